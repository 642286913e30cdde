//! What bounds a packet, and what else decides how it is read.

use super::{Side, Version};

/// How much a peer may send at once. What passes a limit ends the connection with the reason code the
/// specification has for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of one packet, its fixed header included, as the Maximum Packet Size of version 5 counts them
    /// (section 3.1.2.11.4). A longer one is refused when its length is read, before its body has come. Default
    /// 2,000,000; no packet can have more than 268,435,460.
    pub packet_max: usize,
    /// The same for CONNECT, from a peer that nobody knows yet: room for a will, a certificate's names or a token.
    /// Nothing else is taken before it. Default 16 KiB.
    pub connect_max: usize,
    /// Levels of a topic or filter: one more than it has slashes. Whoever walks topics walks no deeper. Default
    /// 128.
    pub topic_levels_max: usize,
    /// User properties of one packet, since every receiver of a message gets them all. Default 256.
    pub user_properties_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            packet_max: 2_000_000,
            connect_max: 16 * 1024,
            topic_levels_max: 128,
            user_properties_max: 256,
        }
    }
}

/// What a body is read by.
#[derive(Clone, Copy)]
pub(super) struct Rules<'l> {
    pub(super) version: Version,
    /// Who sent it.
    pub(super) from: Side,
    pub(super) limits: &'l Limits,
}

impl Rules<'_> {
    #[inline]
    pub(super) fn is_v5(&self) -> bool {
        self.version == Version::V5
    }
}

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

/// The same in half the room, as each connection keeps them: no packet has as many bytes, levels or properties as
/// would not fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    packet_max: u32,
    connect_max: u32,
    topic_levels_max: u32,
    user_properties_max: u32,
}

impl Kept {
    pub(super) const fn new(limits: Limits) -> Kept {
        Kept {
            packet_max: saturated(limits.packet_max),
            connect_max: saturated(limits.connect_max),
            topic_levels_max: saturated(limits.topic_levels_max),
            user_properties_max: saturated(limits.user_properties_max),
        }
    }

    /// Bytes of a packet of somebody who is known.
    #[inline]
    pub(super) const fn packet_max(self) -> usize {
        self.packet_max as usize
    }

    /// Bytes of a CONNECT.
    #[inline]
    pub(super) const fn connect_max(self) -> usize {
        if self.connect_max < self.packet_max { self.connect_max as usize } else { self.packet_max as usize }
    }

    /// What a body of this version is read by.
    #[inline]
    pub(super) const fn rules(self, version: Version, from: Side) -> Rules {
        Rules {
            version,
            from,
            topic_levels_max: self.topic_levels_max as usize,
            user_properties_max: self.user_properties_max as usize,
        }
    }
}

/// A size in 32 bits; what is more is as good as none.
pub(super) const fn saturated(size: usize) -> u32 {
    if size > u32::MAX as usize { u32::MAX } else { size as u32 }
}

/// What a body is read by.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) version: Version,
    /// Who sent it.
    pub(super) from: Side,
    pub(super) topic_levels_max: usize,
    pub(super) user_properties_max: usize,
}

impl Rules {
    /// Of properties that were let in before, however many there are.
    pub(super) const fn of_kept(version: Version, from: Side) -> Rules {
        Rules { version, from, topic_levels_max: usize::MAX, user_properties_max: usize::MAX }
    }

    #[inline]
    pub(super) fn is_v5(&self) -> bool {
        self.version == Version::V5
    }
}

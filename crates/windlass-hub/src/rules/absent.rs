//! A build without rules: messages leave the hub by MQTT alone.

use crate::session::message::Publication;
use crate::stats::HubStats;

/// Bytes of the longest payload that a rule reads.
pub const READ_MAX: usize = 0;

/// What a hub does with messages besides: nothing, in this build.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rules {}

impl Rules {
    /// There is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        true
    }

    pub(crate) fn apply(&self, _: &Publication<'_>, _: u64, _: &mut HubStats) {}
}

//! Who may do what: asked wherever a message passes, at its publisher and at each of its receivers.

use windlass_proto::mqtt::Filter;

use crate::service::Hub;
use crate::session::Key;

impl Hub {
    /// Whether the client of a session may publish to a topic; its will likewise.
    #[inline]
    pub(crate) fn may_write(&self, _: Key, _: &str) -> bool {
        true
    }

    /// Whether it may get messages of a topic, however they come to it: as they are published, from its queue, or
    /// retained.
    #[inline]
    pub(crate) fn may_read(&self, _: Key, _: &str) -> bool {
        true
    }

    /// Whether it may subscribe to a filter.
    pub(crate) fn may_subscribe(&self, _: Key, _: Filter<'_>) -> bool {
        true
    }
}

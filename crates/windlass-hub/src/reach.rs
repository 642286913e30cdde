//! The connections of this worker, from wherever a callback stands.

use windlass::{Conn, ConnId, Scope};

/// What can reach connections: a callback's own, and the scope of a callback that belongs to none.
pub(crate) trait Reach {
    /// A connection of this worker, if it is still open.
    fn conn(&mut self, id: ConnId) -> Option<Conn<'_>>;
}

impl Reach for Conn<'_> {
    #[inline]
    fn conn(&mut self, id: ConnId) -> Option<Conn<'_>> {
        self.other(id)
    }
}

impl Reach for Scope<'_> {
    #[inline]
    fn conn(&mut self, id: ConnId) -> Option<Conn<'_>> {
        Scope::conn(self, id)
    }
}

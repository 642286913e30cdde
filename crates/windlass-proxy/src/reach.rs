//! What a callback may do wherever it was called: on a connection, or on none.

use windlass::{Conn, ConnId, Connect, ConnectError, Scope, Time};

/// A [`Conn`] or a [`Scope`].
pub(crate) trait Reach {
    fn now(&self) -> Time;
    fn random(&mut self) -> u64;
    fn conn(&mut self, id: ConnId) -> Option<Conn<'_>>;
    fn connect(&mut self, connect: Connect) -> Result<ConnId, ConnectError>;
}

impl Reach for Conn<'_> {
    fn now(&self) -> Time {
        Conn::now(self)
    }
    fn random(&mut self) -> u64 {
        Conn::random(self)
    }
    fn conn(&mut self, id: ConnId) -> Option<Conn<'_>> {
        self.other(id)
    }
    fn connect(&mut self, connect: Connect) -> Result<ConnId, ConnectError> {
        Conn::connect(self, connect)
    }
}

impl Reach for Scope<'_> {
    fn now(&self) -> Time {
        Scope::now(self)
    }
    fn random(&mut self) -> u64 {
        Scope::random(self)
    }
    fn conn(&mut self, id: ConnId) -> Option<Conn<'_>> {
        Scope::conn(self, id)
    }
    fn connect(&mut self, connect: Connect) -> Result<ConnId, ConnectError> {
        Scope::connect(self, connect)
    }
}

//! What a callback that belongs to no connection may do: reach all of its service's.

use bytes::Bytes;
use windlass_proto::Time;

use crate::conn::{Conn, broadcast, broadcast_shared};
use crate::connect::{Connect, ConnectError};
use crate::core::slot::flag;
use crate::core::{Core, Direct};
use crate::datagram::table::flag as udp_flag;
use crate::datagram::{Socket, SocketId};
use crate::id::ConnId;

/// The connections of one service on one worker, lent to a callback for a tick, a message or the
/// shutdown.
pub struct Scope<'a> {
    core: &'a mut Core,
    io: &'a mut dyn Direct,
    service: u16,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(core: &'a mut Core, io: &'a mut dyn Direct, service: u16) -> Scope<'a> {
        Scope { core, io, service }
    }

    pub(crate) fn core(&mut self) -> &mut Core {
        self.core
    }

    /// The time, read once a turn.
    pub fn now(&self) -> Time {
        self.core.now
    }

    /// The worker this runs on, counted from 0.
    pub fn worker(&self) -> usize {
        self.core.worker.into()
    }

    /// Whether the server is shutting down gracefully, or the service is being removed.
    pub fn is_draining(&self) -> bool {
        self.core.is_draining(self.service)
    }

    /// Whether the worker is overloaded, as [`Conn::is_overloaded`] tells.
    pub fn is_overloaded(&self) -> bool {
        self.core.overload.refuses(&self.core.limits)
    }

    /// A connection of this worker, if it is still open.
    pub fn conn(&mut self, id: ConnId) -> Option<Conn<'_>> {
        let index = self.core.find(id)?;
        Some(Conn::new(self.core, self.io, index))
    }

    /// Begins a connection of our own, as [`Conn::connect`] does.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn connect(&mut self, connect: Connect) -> Result<ConnId, ConnectError> {
        self.core.connect(self.service, connect)
    }

    /// Takes back a connection that is not there yet, as [`Conn::cancel_connect`] does.
    pub fn cancel_connect(&mut self, id: ConnId) -> bool {
        self.core.cancel_connect(id)
    }

    /// Random bits, for jitter and tie-breaks; never for secrets. In simulation they come from the seed.
    pub fn random(&mut self) -> u64 {
        self.io.random()
    }

    /// Queues bytes on a connection of this worker; nothing if it is gone.
    pub fn write_to(&mut self, id: ConnId, bytes: &[u8]) {
        if let Some(index) = self.core.find(id) {
            self.core.write(&mut *self.io, index, bytes);
        }
    }

    /// Queues shared bytes on a connection of this worker; nothing if it is gone.
    pub fn write_shared_to(&mut self, id: ConnId, bytes: Bytes) {
        if let Some(index) = self.core.find(id) {
            self.core.write_shared(&mut *self.io, index, bytes);
        }
    }

    /// Queues bytes on every connection of the service on this worker.
    pub fn broadcast(&mut self, bytes: &[u8]) {
        broadcast(self.core, self.io, self.service, None, bytes);
    }

    /// A UDP socket of this worker, if it is still open.
    pub fn socket(&mut self, id: SocketId) -> Option<Socket<'_>> {
        let index = self.core.udp.find(self.core.worker, id)?;
        Some(Socket::new(self.core, self.io, index))
    }

    /// Visits every open UDP socket of the service on this worker.
    pub fn each_socket(&mut self, mut visit: impl FnMut(&mut Socket<'_>)) {
        for index in 0..self.core.udp.slots.len() as u32 {
            let slot = &self.core.udp.slots[index as usize];
            let open = slot.is(udp_flag::LIVE) && !slot.is(udp_flag::CLOSING);
            if open && slot.service == self.service {
                visit(&mut Socket::new(self.core, self.io, index));
            }
        }
    }

    /// Opens a UDP socket with one peer: see [`Socket::connect`].
    pub fn connect_udp(&mut self, peer: std::net::SocketAddr) -> std::io::Result<SocketId> {
        self.core.connect_udp(&mut *self.io, self.service, peer)
    }

    /// The same with shared bytes, which are copied for none of them: what came in a message from
    /// another worker is passed on as it is.
    pub fn broadcast_shared(&mut self, bytes: Bytes) {
        broadcast_shared(self.core, self.io, self.service, None, bytes);
    }
}

/// The sessions of one service on one worker.
pub struct Sessions<S> {
    /// At the position of the connection among the service's members.
    table: Vec<Option<S>>,
    len: usize,
}

impl<S> Sessions<S> {
    pub(crate) fn new() -> Sessions<S> {
        Sessions { table: Vec::new(), len: 0 }
    }

    pub(crate) fn reserve(&mut self, connections: usize) {
        self.table.reserve_exact(connections);
    }

    pub(crate) fn insert(&mut self, key: usize, session: S) {
        if self.table.len() <= key {
            self.table.resize_with(key + 1, || None);
        }
        self.len += self.table[key].replace(session).is_none() as usize;
    }

    #[inline]
    pub(crate) fn at(&mut self, key: usize) -> Option<&mut S> {
        self.table.get_mut(key)?.as_mut()
    }

    pub(crate) fn remove(&mut self, key: usize) -> Option<S> {
        let session = self.table.get_mut(key)?.take();
        self.len -= session.is_some() as usize;
        session
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A connection and its session, if it is still open and belongs to this service.
    pub fn get<'a>(&'a mut self, scope: &'a mut Scope<'_>, id: ConnId) -> Option<(Conn<'a>, &'a mut S)> {
        let index = scope.core.find(id)?;
        let slot = &scope.core.slots[index as usize];
        if slot.service != scope.service {
            return None;
        }
        let session = self.table.get_mut(slot.key as usize)?.as_mut()?;
        Some((Conn::new(scope.core, scope.io, index), session))
    }

    /// Visits every open connection of the service with its session.
    pub fn each(&mut self, scope: &mut Scope<'_>, mut visit: impl FnMut(&mut Conn<'_>, &mut S)) {
        for (key, session) in self.table.iter_mut().enumerate() {
            let Some(session) = session else { continue };
            let Some(index) = scope.core.members[scope.service as usize].at(key) else { continue };
            if !scope.core.slots[index as usize].is(flag::CLOSING) {
                visit(&mut Conn::new(scope.core, scope.io, index), session);
            }
        }
    }
}

//! What a callback may do to a connection.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use windlass_proto::proxy_protocol::Addresses;
use windlass_proto::{Put, Time};

use crate::close::Close;
use crate::connect::{Connect, ConnectError};
use crate::core::slot::{NO_LISTENER, flag};
use crate::core::{Core, Direct, NO_WRITING};
use crate::id::ConnId;
use crate::moving::MoveError;
use crate::observe::Traffic;
use crate::worker::NOT_MOVING;

/// A cursor on one connection, lent to a callback.
///
/// Nothing here blocks, and nothing calls back: writes are queued and sent when the callback is over,
/// a close is decided now and carried out at the end of the turn.
pub struct Conn<'a> {
    core: &'a mut Core,
    io: &'a mut dyn Direct,
    index: u32,
}

impl<'a> Conn<'a> {
    pub(crate) fn new(core: &'a mut Core, io: &'a mut dyn Direct, index: u32) -> Conn<'a> {
        Conn { core, io, index }
    }

    pub(crate) fn key(&self) -> usize {
        self.core.slots[self.index as usize].key as usize
    }

    pub(crate) fn core(&mut self) -> &mut Core {
        self.core
    }

    /// This connection's name, to find it again from other callbacks.
    pub fn id(&self) -> ConnId {
        self.core.id(self.index)
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Peer {
        match self.core.slots[self.index as usize].peer.to_addr() {
            Some(addr) => Peer::Tcp(addr),
            None => Peer::Unix,
        }
    }

    /// What the PROXY header said that came before the TLS handshake, where the service asked for one with
    /// [`before_tls`](crate::Service::before_tls). `None`: there was none.
    pub fn proxied(&self) -> Option<Addresses<'static>> {
        #[cfg(feature = "tls")]
        return self.core.proxied(self.index);
        #[cfg(not(feature = "tls"))]
        None
    }

    /// What was agreed in the TLS handshake; `None` on a plain connection.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<crate::TlsInfo<'_>> {
        self.core.tls_info(self.index)
    }

    /// In `eof`: whether the peer ended its TCP stream without the `close_notify` alert that ends a TLS
    /// stream, so that somebody in between may have cut it short. Always false on a plain connection,
    /// which cannot know. The reason in `closed` is [`TlsError::Truncated`](crate::TlsError::Truncated)
    /// then, where it would have been `Eof`.
    pub fn is_truncated(&self) -> bool {
        #[cfg(feature = "tls")]
        let truncated = self.core.is_truncated(self.index);
        #[cfg(not(feature = "tls"))]
        let truncated = false;
        truncated
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.core.slots[self.index as usize].is(flag::TLS)
    }

    /// Our address on this connection: where the peer connected to, or where we connected from. `None` on a
    /// Unix socket. Where the listener is bound to one address and port, everybody who comes to it connected to
    /// that; on a connection of our own, and where the listener is bound to all addresses of the machine, it asks the
    /// system, each time.
    pub fn local_addr(&mut self) -> Option<SocketAddr> {
        match self.core.local_addr(self.index) {
            Some(addr) => Some(addr),
            None => self.io.local_addr(self.index),
        }
    }

    /// How long nothing has been received or sent on this connection, in whole milliseconds. What waits in
    /// its output and is not taken is nothing sent.
    pub fn idle(&self) -> Duration {
        let active = self.core.slots[self.index as usize].active;
        Duration::from_millis(self.core.tick.wrapping_sub(active).into())
    }

    /// The time, read once a turn.
    pub fn now(&self) -> Time {
        self.core.now
    }

    /// Whether the server is shutting down gracefully, or the service is being removed. Never so for a
    /// service that stays ([`Serve::while_draining`](crate::Serve::while_draining)), before its turn comes.
    pub fn is_draining(&self) -> bool {
        self.core.is_draining(self.core.slots[self.index as usize].service)
    }

    /// Whether the worker is overloaded ([`Limits::overload_lag_max`](crate::Limits::overload_lag_max)) and so
    /// far behind in this turn that new work should be refused, if there is a way to say so: its answer would
    /// come late, and make all others later. False for what came first in a turn of an overloaded worker,
    /// which is served in time. Ask once for each piece of work that will be refused then: it is counted
    /// ([`Counters::refused_overload`](crate::Counters::refused_overload)).
    pub fn is_overloaded(&self) -> bool {
        self.core.overload.refuses(&self.core.limits)
    }

    /// Queues bytes to be sent, copying them.
    ///
    /// All that a connection is given in one turn goes out in one system call. A large piece is sent
    /// at once from where it lies, when nothing is before it, and only what the socket does not take
    /// is copied. Never blocks and never fails: beyond
    /// [`Limits::output_high`](crate::Limits::output_high) the engine stops reading this peer, and
    /// beyond [`Limits::output_max`](crate::Limits::output_max) the connection ends. On a connection
    /// that is ending it does nothing.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) {
        self.core.write(&mut *self.io, self.index, bytes);
    }

    /// As [`Conn::write`], but what must wait is kept by reference count: the way to send the same
    /// bytes to many connections.
    pub fn write_shared(&mut self, bytes: Bytes) {
        self.core.write_shared(&mut *self.io, self.index, bytes);
    }

    /// Queues bytes on another connection of this worker; nothing if it is gone.
    pub fn write_to(&mut self, id: ConnId, bytes: &[u8]) {
        if let Some(index) = self.core.find(id) {
            self.core.write(&mut *self.io, index, bytes);
        }
    }

    /// The same with shared bytes: what must wait is kept by reference count.
    pub fn write_shared_to(&mut self, id: ConnId, bytes: Bytes) {
        if let Some(index) = self.core.find(id) {
            self.core.write_shared(&mut *self.io, index, bytes);
        }
    }

    /// Queues bytes on every other connection of this service on this worker.
    pub fn broadcast(&mut self, bytes: &[u8]) {
        let service = self.core.slots[self.index as usize].service;
        broadcast(self.core, self.io, service, Some(self.index), bytes);
    }

    /// The same with shared bytes, which are copied for none of them.
    pub fn broadcast_shared(&mut self, bytes: Bytes) {
        let service = self.core.slots[self.index as usize].service;
        broadcast_shared(self.core, self.io, service, Some(self.index), bytes);
    }

    /// Another connection of this worker, if it is still open.
    pub fn other(&mut self, id: ConnId) -> Option<Conn<'_>> {
        let index = self.core.find(id)?;
        Some(Conn { core: self.core, io: self.io, index })
    }

    /// Whether nothing is left of a connection of this worker that there was. One that [`Conn::other`] does not find
    /// may still be being made, or send what is queued on its way down: then it is not over.
    pub fn is_over(&self, id: ConnId) -> bool {
        let slot = self.core.slots.get(id.index as usize);
        id.worker != self.core.worker || slot.is_none_or(|slot| slot.generation != id.generation)
    }

    /// Begins a connection of our own to somebody else, for the same service on this worker.
    ///
    /// Returns its id at once: [`Conn::other`] does not find it until
    /// [`Service::connected`](crate::Service::connected) is called for it; or
    /// [`Service::connect_failed`](crate::Service::connect_failed) is. Neither is called before this
    /// callback is over.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Full`] at a limit, which counts what is accepted and what is connected alike, and
    /// [`ConnectError::Shutdown`] once the server is shutting down (but see
    /// [`Connect::while_draining`]). Nothing else is called then.
    pub fn connect(&mut self, connect: Connect) -> Result<ConnId, ConnectError> {
        self.core.connect(self.core.slots[self.index as usize].service, connect)
    }

    /// Takes back a connection that is not there yet: `connect_failed` is called for it, with
    /// [`ConnectError::Cancelled`]. False if there is none.
    pub fn cancel_connect(&mut self, id: ConnId) -> bool {
        self.core.cancel_connect(id)
    }

    /// Whether we made this connection, and not its peer.
    pub fn is_outbound(&self) -> bool {
        self.core.slots[self.index as usize].listener == NO_LISTENER
    }

    /// Which listener accepted it, in the order of [`Bound::addresses`](crate::Bound::addresses); `None`
    /// for a connection of our own. A listener that was added while the server ran has a number that none
    /// has that is open now; what a service wants to know of a listener is better said by its tag.
    pub fn listener(&self) -> Option<usize> {
        let listener = self.core.slots[self.index as usize].listener;
        (listener != NO_LISTENER).then_some(usize::from(listener))
    }

    /// The tag of the listener that accepted it ([`Serve::tag`](crate::Serve::tag)); 0 without one, and for
    /// a connection of our own.
    pub fn listener_tag(&self) -> u32 {
        let listener = self.core.slots[self.index as usize].listener;
        self.core.tags.get(usize::from(listener)).copied().unwrap_or(0)
    }

    /// Random bits, for jitter and tie-breaks; never for secrets. In simulation they come from the seed.
    pub fn random(&mut self) -> u64 {
        self.io.random()
    }

    /// Bytes queued on this connection and not yet sent.
    pub fn output_len(&self) -> usize {
        self.core.output_len(self.index)
    }

    /// Whether output is over its high-water mark, so that reading has paused until `drained`: a
    /// service that produces output of itself should stop until then. So should one whose connection takes
    /// no output any more, because it is ending, half-closed by us or coupled: it is congested for good.
    ///
    /// A peer that keeps up is never congested. Who produces without end puts a bound on what one callback
    /// writes, and goes on in the next turn: `conn.wake_at(conn.now())`.
    pub fn is_congested(&self) -> bool {
        self.core.slots[self.index as usize].is(flag::CONGESTED | NO_WRITING)
    }

    /// Stops giving this connection's input to the service, and reading it. Bytes wait in the
    /// socket, and the peer is slowed down by TCP.
    pub fn pause(&mut self) {
        self.core.slot(self.index).set(flag::PAUSED);
    }

    /// Goes on reading this connection while its output is congested, which otherwise stops that: for a
    /// service that stops writing to it then, and needs what comes from it in order to be done with it. A
    /// proxy that passes a request to a backend which answers while it listens would wait for it for ever.
    pub fn read_while_congested(&mut self) {
        self.core.slot(self.index).set(flag::READS_ON);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.core.slots[self.index as usize].is(flag::PAUSED)
    }

    /// Couples this connection with another of the same worker, whatever their services: from the end of
    /// this callback on, what one sends goes to the other, and the service is not woken for it.
    ///
    /// What is queued on either goes out first, and input left untaken is passed on first: so a proxy
    /// writes a header to one, takes what is for itself from the other, and couples them. A pause
    /// ends with it. For a coupled connection `data`, `eof` and `drained` are not called any more, and
    /// what is written to it, or a half-close, is ignored; `timeout`, `draining` and `closed` are called
    /// as ever, [`relay_ended`](crate::Service::relay_ended) when its peer has finished, [`Conn::pause`] stops what it sends, and [`Conn::relayed`] tells what has passed.
    ///
    /// - **Backpressure:** an end is read only when the other has sent all it was given, so a pair holds
    ///   at most one read ([`Config::scratch_bytes`](crate::Config::scratch_bytes)) in each direction.
    /// - **Half-close:** an end's FIN is passed on behind its last byte; the other direction goes on.
    ///   When both have ended, both connections close, as [`Close::Eof`].
    /// - **One end ends for another reason:** so does the other. In good order (`closed` is told the same
    ///   reason, or [`Close::Done`]), if that one was; else by a reset ([`Close::Aborted`]), so that a
    ///   stream that was cut off does not look whole. What was received before is given to the system
    ///   first; a reset takes with it what the peer has not received by then. Unix sockets know no reset:
    ///   there a peer sees the end alone.
    /// - **Deadlines:** activity of either keeps both from being idle; output that is stuck ends both.
    /// - **TLS** at one end or both: what passes is decrypted and encrypted on its way, and never spliced;
    ///   [`Conn::relayed`] counts plaintext. `close_notify` is an end like a FIN. A stream cut short is passed
    ///   on without `close_notify` where that end speaks TLS; to one that does not, as its end: only the
    ///   reason ([`TlsError::Truncated`](crate::TlsError::Truncated)) tells. Any other failure of TLS is
    ///   passed on as a reset.
    ///
    /// False, and nothing happens, if either is gone, closing, half-closed by us, about to move to another
    /// worker, or coupled already.
    pub fn relay(&mut self, other: ConnId) -> bool {
        match self.core.find(other) {
            Some(other) => self.core.couple(self.index, other),
            None => false,
        }
    }

    /// What has passed between this connection and the one it is coupled with; `None` if it never was.
    /// Still there in [`closed`](crate::Service::closed), for the access log.
    pub fn relayed(&self) -> Option<Relayed> {
        if !self.core.slots[self.index as usize].is(flag::RELAYED) {
            return None;
        }
        let (received, sent) = self.core.relays.received(self.index)?;
        Some(Relayed { received, sent })
    }

    /// Bytes it has received and sent so far, those of TLS records included; in
    /// [`closed`](crate::Service::closed), without what of its output is sent after it. `None` without
    /// [`Config::traffic`](crate::Config::traffic).
    pub fn traffic(&self) -> Option<Traffic> {
        let traffic = &self.core.traffic;
        if traffic.is_whole() { traffic.get(self.index) } else { None }
    }

    /// How long it has been open. A connection of our own counts from when it was asked for, one that has
    /// moved from its beginning.
    pub fn age(&self) -> Duration {
        self.core.now.since(self.core.slots[self.index as usize].opened)
    }

    /// Undoes [`Conn::pause`]. Input left untaken is offered again.
    pub fn resume(&mut self) {
        let slot = self.core.slot(self.index);
        if slot.is(flag::PAUSED) {
            slot.clear(flag::PAUSED);
            slot.set(flag::REDELIVER);
            self.core.queue(self.index);
        }
    }

    /// Sets this connection's deadline: `timeout` is called at the first millisecond after `at`.
    /// There is one; setting it again replaces it. One more than 20 days ahead never comes.
    pub fn wake_at(&mut self, at: Time) {
        self.core.wake_at(self.index, at);
    }

    /// Takes back the deadline set with [`Conn::wake_at`].
    pub fn cancel_wake(&mut self) {
        let slot = self.core.slot(self.index);
        if !slot.is(flag::CLOSING) {
            slot.clear(flag::HAS_WAKE);
        }
    }

    /// Sends FIN once what is queued has been sent. Nothing can be written after it; input still
    /// comes.
    pub fn half_close(&mut self) {
        let slot = self.core.slot(self.index);
        if !slot.is(flag::FINISH | flag::RELAYED) {
            slot.set(flag::FINISH);
            if self.core.cork_owner != self.index {
                self.core.touch(self.index);
            }
        }
    }

    /// Moves this connection to another worker, counted from 0, once this callback's output has been sent.
    /// Untaken input goes with it, and so does its session of TLS; nothing is read until it is there. Its
    /// service must be a [`Move`](crate::Move), which tells the rest.
    ///
    /// # Errors
    ///
    /// It stays, and is served on as if nothing had been asked, when it is there already, when there is no
    /// such worker, when the connection or the server is ending, and where connections cannot move.
    /// Should it begin to end, or the server to stop, before it has left, it stays too; its input is
    /// offered again then.
    pub fn move_to(&mut self, worker: usize) -> Result<(), MoveError> {
        let core = &mut *self.core;
        let slot = &core.slots[self.index as usize];
        let movable = core.members[usize::from(slot.service)].movable;
        let Some(workers) = core.workers.filter(|_| movable) else { return Err(MoveError::Unsupported) };
        if worker >= workers {
            return Err(MoveError::NoWorker);
        }
        if core.is_draining(slot.service) {
            return Err(MoveError::Stopping);
        }
        if slot.is(NOT_MOVING) {
            return Err(MoveError::Ending);
        }
        if slot.is(flag::RELAYED) {
            return Err(MoveError::Coupled);
        }
        if worker == usize::from(core.worker) {
            return Err(MoveError::Here);
        }
        if !slot.is(flag::MOVING) {
            core.begin_move(self.index, worker);
        }
        Ok(())
    }

    /// The peer has said, in its protocol, that it sends nothing more on this connection, and all of it has been
    /// taken: `Connection: close` of a request (RFC 9112, 9.6), `QUIT`. When the connection ends in good order, it is
    /// closed behind its last byte, without waiting for the peer's FIN, which is a system call or two and a wake-up
    /// less. A peer that does send more is answered with a reset, which may destroy what it has not read yet; where
    /// more has come before that, its FIN is waited for all the same. Ignored over TLS: there the peer answers.
    pub fn expect_silence(&mut self) {
        let slot = self.core.slot(self.index);
        if !slot.is(flag::TLS) {
            slot.set(flag::SILENT);
        }
    }

    /// Ends the connection in good order: what is queued is sent, then FIN. The same as returning
    /// `Err(Close::Done)`, for a connection other than the one whose callback runs.
    pub fn close(&mut self) {
        self.core.close(self.index, Close::Done);
    }

    /// Ends the connection at once: what is queued is dropped, and the peer sees a reset.
    pub fn abort(&mut self) {
        self.core.close(self.index, Close::Aborted);
    }
}

/// An encoder writes straight to the connection: the same as [`Conn::write`].
impl Put for Conn<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.write(bytes);
    }
}

/// Bytes that have passed through one connection of a relay.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Relayed {
    /// Received from its peer, for the other connection.
    pub received: u64,
    /// Received from the other connection for its peer; all of it has been sent when the connection
    /// ended in good order.
    pub sent: u64,
}

/// Queues `bytes` on every connection of `service` but one.
pub(crate) fn broadcast(
    core: &mut Core,
    io: &mut dyn Direct,
    service: u16,
    except: Option<u32>,
    bytes: &[u8],
) {
    // Many bytes are kept once and shared, few are copied.
    if bytes.len() >= SHARE_MIN && core.pool.region.is_none() {
        return broadcast_shared(core, io, service, except, Bytes::copy_from_slice(bytes));
    }
    each(core, service, except, |core, index| core.write(io, index, bytes));
}

/// The same with shared bytes.
pub(crate) fn broadcast_shared(
    core: &mut Core,
    io: &mut dyn Direct,
    service: u16,
    except: Option<u32>,
    bytes: Bytes,
) {
    each(core, service, except, |core, index| core.write_shared(io, index, bytes.clone()));
}

fn each(core: &mut Core, service: u16, except: Option<u32>, mut write: impl FnMut(&mut Core, u32)) {
    for key in 0..core.members[service as usize].positions() {
        let Some(index) = core.members[service as usize].at(key) else { continue };
        if Some(index) != except && !core.slots[index as usize].is(flag::CLOSING) {
            write(core, index);
        }
    }
}

/// A broadcast of at least this many bytes is shared instead of copied to each.
const SHARE_MIN: usize = 4096;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Peer {
    /// A TCP peer. An IPv4 peer of a dual-stack listener has its IPv4 address.
    Tcp(SocketAddr),
    /// A process on this machine, over a Unix socket.
    Unix,
}

impl Peer {
    /// The address, if it has one.
    pub fn addr(&self) -> Option<SocketAddr> {
        match self {
            Peer::Tcp(addr) => Some(*addr),
            Peer::Unix => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(addr) => addr.fmt(f),
            Peer::Unix => f.write_str("unix"),
        }
    }
}

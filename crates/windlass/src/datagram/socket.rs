//! What a callback may do to a UDP socket.

use std::io;
use std::net::{IpAddr, SocketAddr};

use windlass_proto::Time;

use crate::core::{Core, Direct};
use crate::scope::Scope;

use super::queue::Route;
use super::table::flag;
use super::{Datagram, Ecn, SocketId, send};

/// A cursor on one UDP socket, lent to a callback.
///
/// Nothing here blocks, and nothing calls back: datagrams are queued and sent when the socket's turn is
/// over. What is queued is bounded ([`Limits::datagram_output_max`](crate::Limits::datagram_output_max),
/// [`Limits::datagrams_queued_max`](crate::Limits::datagrams_queued_max)); beyond that datagrams are
/// dropped as [`Limits::when_datagrams_full`](crate::Limits::when_datagrams_full) says, and counted.
pub struct Socket<'a> {
    core: &'a mut Core,
    io: &'a mut dyn Direct,
    index: u32,
}

/// A datagram to be sent, with all that can be said of it: see [`Socket::send_out`].
///
/// ```
/// use windlass::{Ecn, Outgoing};
///
/// let peer = "192.0.2.7:4433".parse()?;
/// let out = Outgoing::new(peer, b"bytes").ecn(Ecn::Ect0);
/// assert_eq!(out.to, peer);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Outgoing<'a> {
    /// To whom. On a connected socket its peer is meant, whatever stands here.
    pub to: SocketAddr,
    /// From which of our addresses; `None` lets the system choose.
    pub from: Option<IpAddr>,
    /// `from` is where somebody sent to, and may be the address of a group: then the system chooses after all.
    from_any: bool,
    /// A mark for the network.
    pub ecn: Option<Ecn>,
    /// Cut `bytes` into datagrams of this size, the last perhaps shorter. 0: `bytes` is one datagram.
    pub segment_bytes: usize,
    /// What is sent.
    pub bytes: &'a [u8],
}

impl<'a> Outgoing<'a> {
    /// One datagram, from whatever address the system chooses, without a mark.
    pub fn new(to: SocketAddr, bytes: &'a [u8]) -> Outgoing<'a> {
        Outgoing { to, from: None, from_any: false, ecn: None, segment_bytes: 0, bytes }
    }

    /// Sets [`Outgoing::from`].
    pub fn from(mut self, from: IpAddr) -> Outgoing<'a> {
        self.from = Some(from);
        self
    }

    /// From the address that a datagram was sent to ([`Datagram::to`]), which a later answer should come from;
    /// `None`, or the address of a group, lets the system choose.
    pub fn from_asked(mut self, asked: Option<IpAddr>) -> Outgoing<'a> {
        (self.from, self.from_any) = (asked.filter(is_single), true);
        self
    }

    /// Sets [`Outgoing::ecn`].
    pub fn ecn(mut self, ecn: Ecn) -> Outgoing<'a> {
        self.ecn = Some(ecn);
        self
    }

    /// Sets [`Outgoing::segment_bytes`].
    pub fn segment_bytes(mut self, bytes: usize) -> Outgoing<'a> {
        self.segment_bytes = bytes;
        self
    }
}

/// Nobody answers from a group's address. That of everybody on one network looks like any other: the system
/// knows, and refuses to send from it.
fn is_single(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_multicast(),
    }
}

impl<'a> Socket<'a> {
    pub(crate) fn new(core: &'a mut Core, io: &'a mut dyn Direct, index: u32) -> Socket<'a> {
        Socket { core, io, index }
    }

    /// This socket's name, to find it again from other callbacks.
    pub fn id(&self) -> SocketId {
        self.core.udp.id(self.core.worker, self.index)
    }

    /// The time, read once a turn.
    pub fn now(&self) -> Time {
        self.core.now
    }

    /// Whether the server is shutting down gracefully, or the service is being removed.
    pub fn is_draining(&self) -> bool {
        self.core.is_draining(self.core.udp.slots[self.index as usize].service)
    }

    /// The address the socket is bound to; its IP may be the wildcard.
    pub fn local_addr(&self) -> SocketAddr {
        self.core.udp.slots[self.index as usize].local
    }

    /// The only peer it has, if it is connected.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.core.udp.slots[self.index as usize].peer
    }

    /// What the service has put there with [`Socket::set_tag`]; 0 before.
    pub fn tag(&self) -> u64 {
        self.core.udp.slots[self.index as usize].tag
    }

    /// Puts a number of the service's on the socket, by which it finds in later callbacks what belongs to it:
    /// the place of a flow in a table, say.
    pub fn set_tag(&mut self, tag: u64) {
        self.core.udp.slots[self.index as usize].tag = tag;
    }

    /// Whether it is bound to all addresses of the machine, so that an answer has to say which it comes from:
    /// [`Socket::reply`] does, and [`Outgoing::from_asked`] later.
    pub fn is_wildcard(&self) -> bool {
        self.core.udp.slots[self.index as usize].is(flag::WILDCARD)
    }

    /// Queues a datagram, copying it. False if it was dropped, since the queue is full, the socket is
    /// closing, it is longer than any datagram may be (65,507 bytes over IPv4), or it is for port 0, which
    /// a sender has that wants no answer (RFC 768).
    #[inline]
    pub fn send_to(&mut self, to: SocketAddr, bytes: &[u8]) -> bool {
        self.queue(to, (None, false), None, bytes)
    }

    /// Queues a datagram to the sender of another: from the address that one was sent to, since a peer
    /// that asked one address takes no answer from another. What was sent to a group is answered from an
    /// address that the system chooses.
    #[inline]
    pub fn reply(&mut self, to: &Datagram<'_>, bytes: &[u8]) -> bool {
        let slot = &self.core.udp.slots[self.index as usize];
        let from = if slot.is(flag::WILDCARD) { to.to.filter(is_single) } else { None };
        self.queue(to.from, (from, true), None, bytes)
    }

    /// Queues a datagram to the peer of a connected socket; does nothing on any other.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        match self.peer() {
            Some(peer) => self.queue(peer, (None, false), None, bytes),
            None => false,
        }
    }

    /// Queues a datagram, or several of one size at once, with a source address or a mark. False if any
    /// was dropped.
    pub fn send_out(&mut self, out: Outgoing<'_>) -> bool {
        let Outgoing { to, from, from_any, ecn, segment_bytes, bytes } = out;
        if segment_bytes == 0 || bytes.len() <= segment_bytes {
            return self.queue(to, (from, from_any), ecn, bytes);
        }
        let mut queued = true;
        for segment in bytes.chunks(segment_bytes) {
            queued &= self.queue(to, (from, from_any), ecn, segment);
        }
        queued
    }

    #[inline]
    fn queue(
        &mut self,
        to: SocketAddr,
        (from, from_any): (Option<IpAddr>, bool),
        ecn: Option<Ecn>,
        bytes: &[u8],
    ) -> bool {
        let slot = &self.core.udp.slots[self.index as usize];
        let (to, from) = slot.in_family(slot.peer.unwrap_or(to), from);
        let route = Route { to, from, from_any, ecn };
        send::queue(self.core, &mut *self.io, self.index, route, bytes)
    }

    /// Bytes queued on this socket and not yet sent.
    pub fn output_len(&self) -> usize {
        self.core.udp.slots[self.index as usize].output_len()
    }

    /// Whether the system has no room: `drained` tells when all that is queued has been sent.
    pub fn is_congested(&self) -> bool {
        self.core.udp.slots[self.index as usize].is(flag::BLOCKED)
    }

    /// Opens another socket on this worker, with one peer: for a proxy's upstream, one for each flow. It
    /// has a port of its own, receives from that peer alone, and is told when nobody listens there.
    ///
    /// # Errors
    ///
    /// The system's, or `QuotaExceeded` when [`Limits::sockets_max`](crate::Limits::sockets_max) is
    /// reached.
    pub fn connect(&mut self, peer: SocketAddr) -> io::Result<SocketId> {
        let service = self.core.udp.slots[self.index as usize].service;
        self.core.connect_udp(&mut *self.io, service, peer)
    }

    /// Another socket of this worker, if it is still open.
    pub fn other(&mut self, id: SocketId) -> Option<Socket<'_>> {
        let index = self.core.udp.find(self.core.worker, id)?;
        Some(Socket { core: self.core, io: self.io, index })
    }

    /// What this service has on this worker beyond this socket: connections, if it serves streams too.
    pub fn scope(&mut self) -> Scope<'_> {
        let service = self.core.udp.slots[self.index as usize].service;
        Scope::new(self.core, self.io, service)
    }

    /// Sets this socket's deadline: `timeout` is called at the first millisecond after `at`. There is
    /// one; setting it again replaces it. One more than 20 days ahead never comes.
    pub fn wake_at(&mut self, at: Time) {
        let tick = self.core.tick_of(at);
        let never = at.since(self.core.now) > crate::config::TIMEOUT_MAX;
        self.core.udp.wake_at(self.index, if never { None } else { Some(tick) });
    }

    /// Takes back the deadline set with [`Socket::wake_at`].
    pub fn cancel_wake(&mut self) {
        self.core.udp.wake_at(self.index, None);
    }

    /// Closes the socket at the end of this turn: what is queued is sent, as far as the system has room.
    /// Nothing more is delivered from it.
    pub fn close(&mut self) {
        self.core.udp.close(self.index);
    }
}

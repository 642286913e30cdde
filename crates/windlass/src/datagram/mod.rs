//! Datagrams: services on UDP sockets.
//!
//! A [`DatagramService`] lives on the same workers as services of streams. `socket.rs` is what a
//! callback may do, `queue.rs` the output of one socket, `table.rs` the sockets of a worker, `send.rs`
//! how output leaves it; the worker's part (receiving, timers, the end) is in `worker/datagrams.rs`.

mod only;
pub(crate) mod queue;
pub(crate) mod send;
mod socket;
pub(crate) mod table;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use windlass_proto::Time;

use crate::scope::Scope;
use crate::service::Tick;

pub use only::{DatagramReceive, Only, datagrams};
pub use socket::{Outgoing, Socket};

/// A service of datagrams: one value per worker thread, never shared, so never locked.
///
/// A type may be a [`Service`](crate::Service) as well: then one value per worker serves both, streams
/// and datagrams ([`Serve::udp`](crate::Serve::udp)). One that is not is served with [`datagrams`].
///
/// Callbacks never nest and never block. What they send is gathered and goes out when the socket's turn
/// is over, datagrams of one size to one peer in one call where the system can.
///
/// When a successor takes over ([`Server::handover_socket`](crate::Server::handover_socket)), it receives
/// what comes to the sockets bound to an address. Here they can be sent from as long as the service has
/// connections or sockets with a peer on this worker, so that a proxy passes on the answers that are under
/// way; then they close without a callback, once what is queued has been sent. They close as well when the
/// successor is gone, since nobody receives from them then. Sockets with a peer stay until their service
/// closes them, or the server drains.
///
/// ```no_run
/// use windlass::{Datagram, DatagramService, Socket, datagrams};
///
/// /// Sends everything back.
/// struct Echo;
///
/// impl DatagramService for Echo {
///     fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
///         socket.reply(&datagram, datagram.bytes);
///     }
/// }
///
/// datagrams(|| Echo).udp("127.0.0.1:9000").run()?;
/// # Ok::<(), windlass::Error>(())
/// ```
#[allow(unused_variables, reason = "the defaults do nothing with theirs")]
pub trait DatagramService: Sized + 'static {
    /// A datagram arrived: whole, perhaps empty, and perhaps not the only time.
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>);

    /// Everything queued has been sent, after the system had no room for it.
    fn drained(&mut self, socket: &mut Socket<'_>) {}

    /// The system reports an error. On a connected socket `ConnectionRefused` says that nobody listens
    /// there (ICMP port unreachable); the socket goes on. Errors of sending come here too, in the turn
    /// after it; one that repeats in one turn is told once and counted.
    fn error(&mut self, socket: &mut Socket<'_>, error: io::Error) {}

    /// The deadline set with [`Socket::wake_at`] has passed. The default closes a connected socket.
    fn timeout(&mut self, socket: &mut Socket<'_>) {
        if socket.peer().is_some() {
            socket.close();
        }
    }

    /// The server has begun a graceful shutdown, and what had arrived has been delivered: called once
    /// for every socket. The default closes it, what it still sends included. One that stays goes on,
    /// up to [`Limits::drain_timeout`](crate::Limits::drain_timeout).
    fn draining(&mut self, socket: &mut Socket<'_>) {
        socket.close();
    }

    /// A tick of the period given with [`Serve::tick`](crate::Serve::tick). Not called for a type that
    /// is a [`Service`](crate::Service) too: that trait's tick is.
    fn tick(&mut self, scope: &mut Scope<'_>, tick: Tick) {}

    /// When [`due`](DatagramService::due) is to be called on this worker, as [`Service`](crate::Service)'s
    /// `deadline` says. Not asked of a type that is one too: that trait's is.
    fn deadline(&mut self) -> Option<Time> {
        None
    }

    /// The [`deadline`](DatagramService::deadline) has come, as in [`Service::due`](crate::Service::due). Not
    /// called for a type that is a [`Service`](crate::Service) too: that trait's is.
    fn due(&mut self, scope: &mut Scope<'_>) {}

    /// The server has begun a graceful shutdown, before `draining` is called for each socket. Not called
    /// for a type that is a [`Service`](crate::Service) too: that trait's `shutdown` is.
    fn shutdown(&mut self, scope: &mut Scope<'_>) {}
}

/// A datagram that arrived.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Datagram<'a> {
    /// Who sent it. An IPv4 peer of a dual-stack socket has its IPv4 address.
    pub from: SocketAddr,
    /// To which of our addresses, where the system tells. May be one of a group (multicast, broadcast).
    pub to: Option<IpAddr>,
    /// What the network marked it with.
    pub ecn: Option<Ecn>,
    /// What is in it: up to 65,507 bytes over IPv4.
    pub bytes: &'a [u8],
}

/// Explicit congestion notification (RFC 3168, section 5): what the network says about its queues.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ecn {
    /// ECT(0): the sender understands congestion marks.
    Ect0,
    /// ECT(1): the same; with a meaning of its own in L4S (RFC 9331).
    Ect1,
    /// CE: a queue on the way is filling up.
    Ce,
}

/// Names one UDP socket of one worker, for as long as the server runs. Never reused: once its socket
/// is closed, everything done to it is quietly nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId {
    pub(crate) worker: u16,
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl SocketId {
    /// The worker the socket lives on, counted from 0.
    pub fn worker(self) -> usize {
        self.worker.into()
    }
}

/// `worker:slot.generation`.
impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}.{}", self.worker, self.index, self.generation)
    }
}

impl fmt::Debug for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketId({self})")
    }
}

/// The callbacks of a service of datagrams, for a host that knows its type only as that of its streams.
pub(crate) struct Calls<S> {
    pub(crate) datagram: fn(&mut S, &mut Socket<'_>, Datagram<'_>),
    pub(crate) drained: fn(&mut S, &mut Socket<'_>),
    pub(crate) error: fn(&mut S, &mut Socket<'_>, io::Error),
    pub(crate) timeout: fn(&mut S, &mut Socket<'_>),
    pub(crate) draining: fn(&mut S, &mut Socket<'_>),
}

impl<S> Clone for Calls<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Calls<S> {}

impl<S: DatagramService> Calls<S> {
    pub(crate) fn new() -> Calls<S> {
        Calls {
            datagram: S::datagram,
            drained: S::drained,
            error: S::error,
            timeout: S::timeout,
            draining: S::draining,
        }
    }
}

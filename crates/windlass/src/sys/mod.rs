//! The seam: everything a worker needs from the world outside, and nothing else.
//!
//! [`Sys`] is the only door to sockets, the poll, the clock and randomness. It is statically
//! dispatched: a worker is `Worker<Y: Sys>`, so the real driver ([`MioSys`], which alone names mio)
//! costs nothing over calling mio directly, and the simulator runs the very same worker on a
//! simulated network in virtual time. Services never see it.
//!
//! The contract every driver keeps, and every worker relies on:
//!
//! - **Edge-triggered.** A stream's readiness is reported when it changes, at the latest once the
//!   worker has seen `WouldBlock` and the direction becomes ready again. Events may also be
//!   spurious, stale, repeated or merged; they are hints, and only a system call tells the truth.
//! - Where [`Sys::short_ends`] is true, a short read or write also promises a later event (not so
//!   for the end of the stream, which may share the event of the data before it). A driver that knows
//!   of another reason for a read to stop short (urgent data) reports READ_CLOSED for it. One is not
//!   covered: behind a message that passes descriptors over a Unix socket, a read stops too. Nobody
//!   has reason to pass any to a server that takes none, and such a peer delays only itself.
//! - Calls never block. `Interrupted` may be returned by any of them and means "again".

// With musl on machines of 32 bits rustix may go through libc, and the two do not agree on how wide a second is
// (rustix 1.1.6, libc 0.2.191): what came for nanoseconds was whatever lay on the stack, and deadlines were over at
// once, or in days.
#[cfg(any(not(unix), all(target_env = "musl", target_pointer_width = "32")))]
#[path = "clock_other.rs"]
mod clock;
#[cfg(not(any(not(unix), all(target_env = "musl", target_pointer_width = "32"))))]
#[path = "clock_unix.rs"]
mod clock;
mod connect;
mod errors;
pub(crate) mod handover;
pub(crate) mod listen;
mod mio_sys;
#[cfg(target_os = "linux")]
mod pipe;
#[cfg(all(feature = "pipe", target_os = "linux"))]
mod piped;
#[cfg(target_os = "linux")]
mod signals;
#[cfg(target_os = "linux")]
mod timerfd;
mod token;
pub(crate) mod udp;
#[cfg(target_os = "linux")]
mod waited;

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use windlass_proto::Time;

use crate::connect::Remote;
use crate::datagram::Ecn;

pub(crate) use errors::{AcceptError, accept_error, is_too_long};
pub(crate) use mio_sys::{MioListener, MioStream, MioSys};
/// One received buffer: one datagram, or several of one flow and size (`stride`).
pub(crate) use quinn_udp::RecvMeta as Received;
#[cfg(target_os = "linux")]
pub(crate) use signals::Signals;
pub(crate) use token::{INDEX_MAX, Token, UDP_MAX};
pub(crate) use udp::{MioUdp, UdpBuffers, ecn_of};

/// What an event says about a source. Only hints: see the contract above.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Readiness(pub(crate) u8);

impl Readiness {
    pub(crate) const READABLE: u8 = 1;
    pub(crate) const WRITABLE: u8 = 2;
    /// The peer sent its FIN, or the connection is broken: reading on will find an end.
    pub(crate) const READ_CLOSED: u8 = 4;
    /// Writing can no longer succeed, or the socket has an error pending.
    pub(crate) const BROKEN: u8 = 8;
}

/// What one call sends: a datagram, or several of one size to one peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outbound<'a> {
    pub(crate) to: SocketAddr,
    /// From which of our addresses; `None` lets the system choose.
    pub(crate) from: Option<IpAddr>,
    /// `from` may turn out not to be an address of ours, and the system chooses then.
    pub(crate) from_any: bool,
    pub(crate) ecn: Option<Ecn>,
    /// The size of every datagram but perhaps the last, if there are several.
    pub(crate) segment: Option<usize>,
    pub(crate) bytes: &'a [u8],
}

/// Wakes one worker's poll from any thread. Wakes are not counted: coalesce them.
pub(crate) trait Wake: Send + Sync + 'static {
    fn wake(&self);
}

/// What came in on the control socket of a server in one turn.
#[derive(Default)]
pub(crate) struct ControlTurn {
    /// When to look again, though nothing happens.
    pub(crate) next: Option<Time>,
    /// The successor that took over is gone.
    pub(crate) gone: bool,
    /// A successor stands ready, with these.
    pub(crate) taken: Option<Vec<handover::Item>>,
    /// Successors that were offered the sockets; that were refused; that ended before they were ready.
    pub(crate) offered: u64,
    pub(crate) refused: u64,
    pub(crate) lost: u64,
}

/// The driver under one worker.
pub(crate) trait Sys: Sized + 'static {
    type Listener: Send + 'static;
    /// `Send`, because an accepted stream may be handed to another worker before it is registered.
    type Stream: Send + 'static;
    /// A UDP socket.
    type Udp: Send + 'static;
    /// What bytes are spliced through, from one stream to another.
    type Pipe;

    /// The monotonic clock. The worker reads it once a turn and once before it sleeps.
    fn now(&mut self) -> Time;

    /// A cheap clock for the stall detector, good to some milliseconds.
    fn coarse_now(&mut self) -> Time;

    /// Random bits, for tie-breaks and jitter; never for secrets.
    fn random(&mut self) -> u64;

    /// True where a short read or write means that an event will follow when there is more to do
    /// (epoll, kqueue). False where only `WouldBlock` re-arms (Windows).
    fn short_ends(&self) -> bool;

    /// Shutdown requests that came in through this driver (a signal pipe) since the last call.
    fn stop_requests(&mut self) -> u32 {
        0
    }

    /// Serves the control socket, after an event on [`Token::CONTROL`] or when it asked for it.
    fn control(&mut self, _now: Time) -> ControlTurn {
        ControlTurn::default()
    }

    /// The server listens no more: lets go of all that it kept for a successor.
    fn stop_listening(&mut self) {}

    /// The waker of this driver's poll.
    fn waker(&self) -> Arc<dyn Wake>;

    /// Waits for events until `timeout` has passed (`None`: for ever) and reports each to `mark`.
    fn poll(&mut self, timeout: Option<Duration>, mark: impl FnMut(Token, Readiness)) -> io::Result<()>;

    /// Events that one poll reports at most; others wait for the next, in the order in which they came.
    fn batch_max(&self) -> usize;

    /// Asks for an event on [`Token::TICK`] at `at`, more precisely than a poll timeout can, and
    /// tells whether it can: if not, the worker uses its poll timeout. `None` disarms.
    fn arm_tick(&mut self, at: Option<Time>) -> bool;

    /// Starts readiness events for a listener.
    fn register_listener(&mut self, listener: &mut Self::Listener, token: Token) -> io::Result<()>;

    /// Takes one connection from the accept queue, non-blocking and close-on-exec. The address is
    /// `None` for a Unix socket.
    fn accept(&mut self, listener: &mut Self::Listener) -> io::Result<(Self::Stream, Option<SocketAddr>)>;

    /// How long a stream that was just accepted has waited for that, to a millisecond; `None` where the
    /// system does not tell (Unix sockets; TCP elsewhere than on Linux).
    fn waited(&mut self, stream: &Self::Stream) -> Option<Duration>;

    /// With the process out of descriptors: gives up the spare descriptor, takes one connection
    /// with it, resets that connection, and takes the spare back. `Ok(false)`: no spare to give.
    fn shed(&mut self, listener: &mut Self::Listener) -> io::Result<bool>;

    /// Stops events and closes a listener. What is in its accept queue is reset by the system.
    fn close_listener(&mut self, listener: Self::Listener);

    /// Begins to connect, non-blocking, close-on-exec and without delays of small writes, from `source`
    /// and with the congestion control of this name where they are given. True: it is connected. False:
    /// an event will come when it is, or failed. `WouldBlock`: not now, and no event will say when (the
    /// queue of a Unix listener is full).
    fn connect(
        &mut self,
        remote: &Remote,
        source: Option<SocketAddr>,
        congestion: Option<&str>,
    ) -> io::Result<(Self::Stream, bool)>;

    /// Whether a stream that was connecting is connected; an error once it never will be. To be asked
    /// after any event, for events may lie. Connected to itself, as a stream can be that found its own
    /// port to be the one it calls, it was refused.
    fn connected(&mut self, stream: &mut Self::Stream) -> io::Result<bool>;

    /// Starts readiness events for a stream: once, and for good.
    fn register(&mut self, stream: &mut Self::Stream, token: Token) -> io::Result<()>;

    /// Whether a stream can leave its poll for another one (not on Windows).
    fn can_move(&self) -> bool;

    /// Ends readiness events for a stream that goes on living on another worker.
    fn release(&mut self, stream: &mut Self::Stream) -> io::Result<()>;

    /// Called when a write has found a stream full. Unix streams are registered for reading only,
    /// since write interest doubles their events, and add it here, once. Tells whether it did.
    fn want_write(&mut self, stream: &mut Self::Stream, token: Token) -> io::Result<bool>;

    fn read(&mut self, stream: &mut Self::Stream, buf: &mut [u8]) -> io::Result<usize>;
    fn write(&mut self, stream: &mut Self::Stream, buf: &[u8]) -> io::Result<usize>;
    fn writev(&mut self, stream: &mut Self::Stream, bufs: &[IoSlice<'_>]) -> io::Result<usize>;

    /// An empty pipe; `None` where the system has none, or none left.
    fn pipe(&mut self) -> Option<Self::Pipe>;

    /// Moves up to `len` bytes from a stream to an empty pipe. Less than `len` means nothing: the
    /// stream is empty when it says `WouldBlock`. 0 is its end. `Unsupported`: not from this stream.
    fn splice_in(
        &mut self,
        stream: &mut Self::Stream,
        pipe: &mut Self::Pipe,
        len: usize,
    ) -> io::Result<usize>;

    /// Moves up to `len` bytes of a pipe that holds as many to a stream. Less than `len` means nothing:
    /// the stream is full when it says `WouldBlock`.
    fn splice_out(
        &mut self,
        pipe: &mut Self::Pipe,
        stream: &mut Self::Stream,
        len: usize,
    ) -> io::Result<usize>;

    /// Our address on a stream; `None` on a Unix socket, and where the system does not say.
    fn local_addr(&mut self, stream: &mut Self::Stream) -> Option<SocketAddr>;

    /// The error pending on a stream, if there is one (`SO_ERROR`); asking clears it.
    fn take_error(&mut self, stream: &mut Self::Stream) -> Option<io::Error>;

    /// Sends FIN: our half of the stream is finished.
    fn finish(&mut self, stream: &mut Self::Stream) -> io::Result<()>;

    /// Whether the other side of a stream has an end to wait for, once ours is finished. A device has none, and what
    /// it says then is for whoever opens it next.
    fn lingers(&self, _stream: &Self::Stream) -> bool {
        true
    }

    /// Deregisters (if `registered`) and closes; with `reset`, discards what is unsent and sends RST.
    fn close(&mut self, stream: Self::Stream, registered: bool, reset: bool);

    /// Opens a UDP socket with one peer, not registered yet. Also tells the address it has.
    fn connect_udp(&mut self, peer: SocketAddr, buffers: UdpBuffers) -> io::Result<(Self::Udp, SocketAddr)>;

    /// Starts readiness events for a UDP socket: for reading only, since on UDP write interest doubles
    /// them.
    fn register_udp(&mut self, socket: &mut Self::Udp, token: Token) -> io::Result<()>;

    /// Events of a registered UDP socket bear this token from now on, and are for reading only.
    fn rename_udp(&mut self, socket: &mut Self::Udp, token: Token) -> io::Result<()>;

    /// Adds write interest after a send has found no room, or takes it back.
    fn want_room(&mut self, socket: &mut Self::Udp, token: Token, wanted: bool) -> io::Result<()>;

    /// Ends readiness events for a socket that a successor receives from: from now on it is sent from, and
    /// there are events only between `want_room(.., true)` and `want_room(.., false)`.
    fn retire_udp(&mut self, socket: &mut Self::Udp) -> io::Result<()>;

    /// Receives into `bufs` and tells how many were filled, each with its entry in `received`. Fewer
    /// than `bufs` are a short read. An error tells of one datagram sent earlier that did not arrive,
    /// and is told once.
    fn receive(
        &mut self,
        socket: &mut Self::Udp,
        bufs: &mut [IoSliceMut<'_>],
        received: &mut [Received],
    ) -> io::Result<usize>;

    /// Sends all of `out`, or nothing.
    fn send(&mut self, socket: &mut Self::Udp, out: &Outbound<'_>) -> io::Result<()>;

    /// Datagrams one `send` can take, now: 1 where the system does not cut them up for us.
    fn segments_max(&self, socket: &Self::Udp) -> usize;

    /// Deregisters (if `registered`) and closes a UDP socket.
    fn close_udp(&mut self, socket: Self::Udp, registered: bool);
}

/// The monotonic clock, for threads that are no workers.
pub(crate) fn now() -> Time {
    clock::now()
}

/// Descriptors this process may have open.
pub(crate) fn descriptor_limit() -> usize {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        getrlimit(Resource::Nofile).current.map_or(1 << 20, |n| n.min(1 << 24) as usize)
    }
    #[cfg(not(unix))]
    {
        1 << 16
    }
}

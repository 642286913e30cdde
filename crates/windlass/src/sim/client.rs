//! Peers of the server, written by a test: a trait to implement, and the line they hold.

use std::rc::Rc;
use std::time::Duration;

use windlass_proto::Time;
use windlass_proto::testing::Rng;

use super::end::{EndId, Fin, State};
use super::trace::Who;
use super::world::{Happening, World};
use crate::config::Limits;

/// A peer of the simulated server, in virtual time.
///
/// It is a state machine: [`step`](Client::step) is called at the client's start, whenever something
/// may have changed on its connection (it opened, bytes or room came, it ended), and when a time it
/// asked for has come. It does what it can and says what it waits for. Calls without any news are
/// possible and must do no harm.
///
/// ```
/// use windlass::sim::{Client, Line, Status, Step};
///
/// /// Sends "ping", and wants it back.
/// struct Ping {
///     received: Vec<u8>,
///     sent: bool,
/// }
///
/// impl Client for Ping {
///     fn step(&mut self, line: &mut Line<'_>) -> Step {
///         if line.status() == Status::Idle {
///             line.connect();
///         }
///         if line.status() == Status::Open && !self.sent {
///             self.sent = line.send(b"ping") == 4;
///         }
///         line.receive(&mut self.received, usize::MAX);
///         match line.status() {
///             _ if self.received == b"ping" => Step::Done,
///             // Cut off by the network or the shutdown, not by a fault of the server.
///             Status::Ended(_) if line.excused() => Step::Done,
///             Status::Ended(how) => line.fail(format!("ended before the answer: {how:?}")),
///             _ => Step::Wait,
///         }
///     }
/// }
/// ```
pub trait Client {
    /// Does what can be done now.
    fn step(&mut self, line: &mut Line<'_>) -> Step;
}

/// What a client wants next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// To be called when something changes.
    Wait,
    /// The same, and at this time at the latest.
    Until(Time),
    /// Nothing: it is finished. A connection it still has is closed.
    Done,
}

/// How a client's connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Status {
    /// There is none: it never connected.
    Idle,
    /// On its way.
    Connecting,
    /// Open in both directions, or half-closed by this client.
    Open,
    /// Over. Everything that arrived before has been received, unless it was a reset.
    Ended(Ending),
}

/// How a connection ended, as its client sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Ending {
    /// The server sent its FIN.
    Fin,
    /// It was reset.
    Reset,
    /// It was refused: nobody listens.
    Refused,
    /// This client closed, reset or left it.
    Own,
}

/// What a client has in hand: the network, the time, its own random numbers, and its connection.
pub struct Line<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) place: &'a mut Place,
}

/// What belongs to one client between its steps.
pub(crate) struct Place {
    pub(crate) index: u32,
    pub(crate) end: Option<EndId>,
    pub(crate) rng: Rng,
    pub(crate) limits: Rc<Limits>,
    pub(crate) failed: bool,
    #[cfg(feature = "tls")]
    pub(crate) tls_config: Option<crate::tls::peer::PeerConfig>,
    /// The TLS of the connection.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Box<crate::tls::peer::Peer>>,
}

impl Line<'_> {
    /// The virtual time.
    pub fn now(&self) -> Time {
        Time::from_nanos(self.world.now)
    }

    /// The time `after` from now, for [`Step::Until`].
    pub fn after(&self, after: Duration) -> Time {
        self.now() + after
    }

    /// This client's random numbers: drawn from the run's seed and nobody else's.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.place.rng
    }

    /// Which of the run's clients this is, counted from 0.
    pub fn index(&self) -> usize {
        self.place.index as usize
    }

    /// The limits the server runs with in this run.
    pub fn limits(&self) -> &Limits {
        &self.place.limits
    }

    /// About as many bytes as one connection of this run's network can carry in reasonable time: some
    /// networks have pipes of a few bytes, and a client that moves megabytes there only costs time.
    pub fn volume_max(&self) -> usize {
        self.world.plan.volume_max() as usize
    }

    /// Connects to the server. A connection from before is closed first.
    pub fn connect(&mut self) {
        self.connect_plain();
        #[cfg(feature = "tls")]
        self.start_tls();
    }

    /// The same without TLS, where clients speak it: for those who send something else.
    pub fn connect_plain(&mut self) {
        self.close();
        self.place.end = Some(self.world.connect(self.place.index, 0));
    }

    /// How the connection is.
    pub fn status(&self) -> Status {
        let status = self.place.end.map_or(Status::Idle, |id| self.world.status(id));
        #[cfg(feature = "tls")]
        let status = self.tls_status(status);
        status
    }

    /// Whether the connection's end, if it ended, is not the server's to answer for: a fault of the
    /// simulated system hit it (an accept that failed, a connection shed for want of descriptors), or
    /// the shutdown has begun.
    pub fn excused(&self) -> bool {
        self.world.shutdown_at.is_some() || self.place.end.is_some_and(|id| self.world.end(id).disturbed)
    }

    /// Whether the server has closed its end, which a client that does not read cannot see.
    pub fn abandoned(&self) -> bool {
        self.place.end.is_some_and(|id| self.world.end(id.peer()).state == State::Closed)
    }

    /// When the shutdown was asked for, if it was.
    pub fn shutdown_at(&self) -> Option<Time> {
        self.world.shutdown_at.map(Time::from_nanos)
    }

    /// Sends what fits in the send buffer, and returns how much that was.
    pub fn send(&mut self, bytes: &[u8]) -> usize {
        #[cfg(feature = "tls")]
        if self.place.tls.is_some() {
            return self.send_tls(bytes);
        }
        self.send_plain(bytes)
    }

    pub(super) fn send_plain(&mut self, bytes: &[u8]) -> usize {
        let Some(id) = self.open() else { return 0 };
        let end = self.world.end_mut(id);
        if end.fin != Fin::No {
            return 0;
        }
        let n = end.space().min(bytes.len());
        if n > 0 {
            end.unsent.extend(&bytes[..n]);
            self.world.pump(id);
            self.note("sends", n);
        }
        n
    }

    /// Takes up to `max` of the bytes that have arrived, and returns how many.
    pub fn receive(&mut self, into: &mut Vec<u8>, max: usize) -> usize {
        #[cfg(feature = "tls")]
        if self.place.tls.is_some() {
            return self.receive_tls(into, max);
        }
        self.receive_plain(into, max)
    }

    pub(super) fn receive_plain(&mut self, into: &mut Vec<u8>, max: usize) -> usize {
        let Some(id) = self.place.end else { return 0 };
        let end = self.world.end_mut(id);
        if end.state != State::Open {
            return 0;
        }
        let n = end.visible().min(max);
        if n > 0 {
            let at = into.len();
            into.resize(at + n, 0);
            end.take(&mut into[at..]);
            if !self.world.speaks_tls {
                self.world.trace.bytes(&into[at..]);
            }
            self.world.window_opens(id);
            self.note("receives", n);
        }
        n
    }

    /// Half-closes: no more will be sent.
    pub fn finish(&mut self) {
        #[cfg(feature = "tls")]
        self.finish_tls();
        self.cut();
    }

    /// The same with TLS, but without the `close_notify` that ends it: the stream is cut short.
    pub fn cut(&mut self) {
        let Some(id) = self.open() else { return };
        if self.world.end(id).fin == Fin::No {
            self.world.end_mut(id).fin = Fin::Queued;
            self.world.pump(id);
            self.note("finishes", 0);
        }
    }

    /// Closes in both directions, as a program does that is done: with bytes unread this is a reset.
    pub fn close(&mut self) {
        let Some(id) = self.place.end else { return };
        match self.world.end(id).state {
            State::Closed | State::Vanished => {}
            State::Opening => self.world.end_mut(id).state = State::Closed,
            _ => {
                #[cfg(feature = "tls")]
                self.finish_tls();
                self.note("closes", 0);
                self.world.close_end(id, false);
            }
        }
    }

    /// Resets the connection: what is on its way may be lost.
    pub fn reset(&mut self) {
        match self.open() {
            Some(id) if self.world.end(id).state == State::Open => {
                self.note("resets", 0);
                self.world.close_end(id, true);
            }
            _ => self.close(),
        }
    }

    /// Is cut off without a word, as by a pulled cable.
    pub fn vanish(&mut self) {
        match self.open() {
            Some(id) if self.world.end(id).state == State::Open => {
                self.note("vanishes", 0);
                self.world.vanish(id);
            }
            _ => self.close(),
        }
    }

    // --- Datagrams.

    /// The address of this client's UDP socket.
    pub fn datagram_addr(&self) -> std::net::SocketAddr {
        self.world.udp_address(self.place.index)
    }

    /// The address at which this client reaches the first service's UDP sockets.
    pub fn datagram_server(&self) -> std::net::SocketAddr {
        self.world.udp_server(self.place.index)
    }

    /// Sends a datagram to the first service.
    pub fn send_datagram(&mut self, bytes: &[u8]) {
        let to = self.datagram_server();
        self.send_datagram_to(to, bytes);
    }

    /// Sends a datagram.
    pub fn send_datagram_to(&mut self, to: std::net::SocketAddr, bytes: &[u8]) {
        self.world.client_sends(self.place.index, to, bytes);
    }

    /// Takes a datagram that has arrived, with its sender's address.
    pub fn receive_datagram(&mut self) -> Option<(std::net::SocketAddr, Vec<u8>)> {
        self.world.client_receives(self.place.index)
    }

    /// Gives this client's UDP socket an address of its own and listens there: as a backend that a service opens
    /// sockets to ([`Socket::connect`](crate::Socket::connect)).
    pub fn bind_datagrams(&mut self, at: std::net::SocketAddr) {
        self.world.client_binds(self.place.index, Some(at));
    }

    /// Whether anybody listens on this client's UDP socket; to send opens it too.
    pub fn listen_for_datagrams(&mut self, open: bool) {
        self.world.client_listens(self.place.index, open);
    }

    /// Whether this run's network neither loses nor doubles datagrams, and no shutdown has begun.
    pub fn datagrams_reliable(&self) -> bool {
        self.world.udp_is_reliable()
    }

    /// Whether this run's network doubles datagrams.
    pub fn datagrams_double(&self) -> bool {
        !self.world.udp.plan.twice.never()
    }

    /// The longest an answer takes in this run's network.
    pub fn datagram_patience(&self) -> Duration {
        Duration::from_nanos(self.world.udp_patience() + self.world.slack())
    }

    /// Fails the run: the server broke a promise to this client.
    pub fn fail(&mut self, what: impl Into<String>) -> Step {
        let conn = self.place.end.map_or(String::new(), |id| format!(", connection #{}", id.conn()));
        self.place.failed = true;
        self.world.fail(format!("client {}{conn}: {}", self.place.index, what.into()));
        Step::Done
    }

    /// Both ends of the connection, for a failure's report.
    pub(crate) fn in_words(&self) -> String {
        let Some(id) = self.place.end else { return "not connected".into() };
        let (own, server) = (self.world.end(id), self.world.end(id.peer()));
        format!(
            "#{} {:?}, {} to send, {} to read, FIN {:?}; server {:?}, {} to send, {} to read, FIN {:?}",
            id.conn(),
            self.status(),
            own.unsent.len() + own.unacked,
            own.arrived.len(),
            own.fin,
            server.state,
            server.unsent.len() + server.unacked,
            server.arrived.len(),
            server.fin,
        )
    }

    pub(super) fn open(&self) -> Option<EndId> {
        self.place.end.filter(|&id| {
            let end = self.world.end(id);
            matches!(end.state, State::Open | State::Opening) && !end.reset_arrived
        })
    }

    fn note(&mut self, what: &'static str, value: usize) {
        let conn = self.place.end.map_or(super::trace::NONE, EndId::conn);
        let (now, who) = (self.world.now, Who::Client(self.place.index));
        self.world.trace.note(now, who, what, conn, value as u64);
    }
}

impl World {
    /// How a connection is, as its client sees it.
    pub(crate) fn status(&self, id: EndId) -> Status {
        let end = self.end(id);
        match end.state {
            State::Opening => Status::Connecting,
            State::Closed if end.error.is_some() => Status::Ended(Ending::Refused),
            State::Closed | State::Vanished => Status::Ended(Ending::Own),
            _ if end.reset_arrived => Status::Ended(Ending::Reset),
            _ if end.at_end() => Status::Ended(Ending::Fin),
            _ => Status::Open,
        }
    }
}

/// A client and its place, as the scheduler runs it.
pub(crate) struct Seat {
    pub(crate) client: Box<dyn Client>,
    pub(crate) place: Place,
    pub(crate) done: bool,
    /// When it is to be called at the latest.
    pub(crate) timer: Option<u64>,
    /// It was called by the server, and the run does not wait for it.
    pub(crate) remote: bool,
}

impl Seat {
    pub(crate) fn step(&mut self, world: &mut World) {
        if self.done {
            return;
        }
        self.timer = self.timer.filter(|&at| at > world.now);
        #[cfg(feature = "tls")]
        Line { world, place: &mut self.place }.pump_tls();
        let step = self.client.step(&mut Line { world, place: &mut self.place });
        match step {
            Step::Wait => {}
            // One timer at a time, or every step would leave one behind that starts another.
            Step::Until(at) => {
                let at = at.as_nanos().max(world.now + 1);
                if self.timer.is_none_or(|timer| at < timer) {
                    self.timer = Some(at);
                    world.at(at, Happening::ClientTimer(self.place.index));
                }
            }
            Step::Done => {
                self.done = true;
                Line { world, place: &mut self.place }.close();
            }
        }
    }
}

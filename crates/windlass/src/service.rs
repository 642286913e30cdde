//! What you write: a service, called by the engine.

use windlass_proto::{Input, Time};

use crate::close::Close;
use crate::conn::{Conn, Peer};
use crate::connect::ConnectError;
use crate::id::ConnId;
use crate::moving::Placement;
use crate::scope::{Scope, Sessions};

/// What comes before the handshake of a connection with TLS. From [`Service::before_tls`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum BeforeTls {
    /// Nothing: the ClientHello is the first that is said.
    #[default]
    Nothing,
    /// A PROXY header, of version 1 or 2. Without one, or with a wrong one, the connection ends with
    /// [`TlsError::ProxyHeader`](crate::TlsError::ProxyHeader). Whoever is asked for one is believed, so only
    /// those who are trusted may be. It has to come within
    /// [`Limits::tls_handshake_timeout`](crate::Limits::tls_handshake_timeout), together with the handshake.
    ProxyHeader,
    /// No handshake at all: the connection ends with [`TlsError::Untrusted`](crate::TlsError::Untrusted).
    Refusal,
}

/// A service: one value per worker thread, never shared, so never locked.
///
/// The engine calls it and it acts on the [`Conn`] it is lent. **Callbacks never nest, and never
/// block**: one that takes longer than [`Limits::stall_timeout`](crate::Limits::stall_timeout) is
/// reported. `Err` from a callback ends the connection, for that reason.
///
/// A panic in a callback is a bug, and ends the server: its session may be half changed, and nobody
/// knows what others share with it. Decoders and services return errors for what peers send.
///
/// ```
/// use windlass::{Close, Conn, Input, Service};
///
/// /// Sends everything back.
/// struct Echo;
///
/// impl Service for Echo {
///     type Session = ();
///     fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
///         Ok(())
///     }
///     fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
///         conn.write(input.take_all());
///         Ok(())
///     }
/// }
/// ```
#[allow(unused_variables, reason = "the defaults do nothing with theirs")]
pub trait Service: Sized + 'static {
    /// Your state for one connection: a decoder, a name, a game entity. A protocol switch is an
    /// assignment to it.
    type Session: 'static;

    /// Which worker a newcomer is to live on: asked on the worker that accepted it, before it is
    /// registered anywhere and before `open`, with the number of the listener in the order of
    /// [`Bound::addresses`](crate::Bound::addresses). The portable and cheapest way to gather those who
    /// belong together, where the address tells; where only their first bytes do, see
    /// [`Move`](crate::Move).
    fn place(&mut self, peer: Peer, listener: usize) -> Placement {
        Placement::Balanced
    }

    /// Whether this peer connects for others, as a proxy does. Asked of a service that
    /// [has no limit of a source](crate::Serve::any_source), when a connection with TLS comes: for as long as its
    /// handshake takes the service knows nothing of it, so a peer that answers for itself has as many
    /// handshakes as [`Limits::source_connections_max`](crate::Limits::source_connections_max) says.
    fn speaks_for_others(&mut self, peer: Peer) -> bool {
        false
    }

    /// What comes before the handshake of a connection with TLS that ends here: asked when its first bytes
    /// have come, with the number of its listener as in [`place`](Service::place). `open` is called behind
    /// both, and finds what a header said in [`Conn::proxied`]. A plain connection's first bytes are the
    /// service's own.
    fn before_tls(&mut self, peer: Peer, listener: usize) -> BeforeTls {
        BeforeTls::Nothing
    }

    /// The worker begins: called once on each, before everything else. The place for a client to
    /// [`connect`](Scope::connect).
    fn start(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<Self::Session>) {}

    /// A peer connected. `Err` refuses it: `closed` is not called then.
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<Self::Session, Close>;

    /// A connection asked for with [`Conn::connect`] or [`Scope::connect`] is there; `tag` is the one it
    /// was asked for with. Exactly one of this and `connect_failed` follows every `connect` that returned
    /// `Ok`. `Err` gives it up: `closed` is not called then. The default calls `open`.
    fn connected(&mut self, conn: &mut Conn<'_>, tag: u64) -> Result<Self::Session, Close> {
        self.open(conn)
    }

    /// A connection asked for did not come about; its id is dead already, and its place free. To try again
    /// here without a pause is to try again every turn: [`Connect::after`](crate::Connect::after) takes
    /// one, and [`Reconnect`](crate::Reconnect) says how long.
    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        sessions: &mut Sessions<Self::Session>,
        id: ConnId,
        tag: u64,
        why: ConnectError,
    ) {
    }

    /// Bytes arrived. Take what is complete; the rest comes back with more behind it. `input` is
    /// never longer than [`Limits::input_max`](crate::Limits::input_max).
    fn data(
        &mut self,
        conn: &mut Conn<'_>,
        session: &mut Self::Session,
        input: &mut Input<'_>,
    ) -> Result<(), Close>;

    /// The peer ended its stream (FIN), all it sent has been offered, and `input` is what was left
    /// untaken. The default ends the connection in good order: queued replies are still sent. Where the end
    /// of the stream may end a message, ask the decoder: [`Decode::end`](windlass_proto::Decode::end).
    /// `Ok(())` keeps our half open, until you close it.
    ///
    /// With TLS this is the peer's `close_notify`, or a FIN without one: who takes the end of the stream
    /// for the end of a message asks [`Conn::is_truncated`] which.
    fn eof(
        &mut self,
        conn: &mut Conn<'_>,
        session: &mut Self::Session,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        Err(if input.is_empty() { Close::Eof } else { Close::Truncated })
    }

    /// The peer of a coupled connection ([`Conn::relay`]) ended its stream, and all it sent has been given to
    /// the other end, which is told the end behind it: called once for each end, unless both are over then,
    /// which is [`closed`](Service::closed) alone. The other direction goes on; this is the time for a
    /// deadline on it. The default does nothing.
    fn relay_ended(&mut self, conn: &mut Conn<'_>, session: &mut Self::Session) -> Result<(), Close> {
        Ok(())
    }

    /// Output fell below its low-water mark after having passed the high one; untaken input is
    /// offered again after it.
    fn drained(&mut self, conn: &mut Conn<'_>, session: &mut Self::Session) -> Result<(), Close> {
        Ok(())
    }

    /// The deadline set with [`Conn::wake_at`] has passed. The default ends the connection.
    fn timeout(&mut self, conn: &mut Conn<'_>, session: &mut Self::Session) -> Result<(), Close> {
        Err(Close::Timeout)
    }

    /// The server has begun a graceful shutdown: called once for every open connection. The default
    /// ends it in good order. `Ok(())` keeps it for work in progress, up to
    /// [`Limits::drain_timeout`](crate::Limits::drain_timeout).
    fn draining(&mut self, conn: &mut Conn<'_>, session: &mut Self::Session) -> Result<(), Close> {
        Err(Close::Shutdown)
    }

    /// A successor has taken the server's listeners over, and this connection stays: called once for
    /// every open connection, for one that comes or moves to a worker later when it is there. It may go on for
    /// [`Limits::handover_drain_timeout`](crate::Limits::handover_drain_timeout), and is told
    /// `draining` after it. A protocol that can ask its peer to come back in its own time does so here.
    fn superseded(&mut self, conn: &mut Conn<'_>, session: &mut Self::Session) -> Result<(), Close> {
        Ok(())
    }

    /// The last call for a connection, once for every `open` that returned `Ok`. Nothing can be
    /// written to it any more; to others it can.
    fn closed(&mut self, conn: &mut Conn<'_>, session: Self::Session, why: Close) {}

    /// A tick of the period given with [`Serve::tick`](crate::Serve::tick).
    fn tick(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<Self::Session>, tick: Tick) {}

    /// When [`due`](Service::due) is to be called on this worker; `None`, the default: not at all. One for the
    /// whole service: one with many rooms, each with a rate of its own, answers with the earliest of theirs.
    ///
    /// Nothing is armed and nothing taken back: the engine asks when callbacks have run, before it sleeps and
    /// before it calls `due`, so twice in a turn. The answer should be at hand, such as the top of a heap.
    fn deadline(&mut self) -> Option<Time> {
        None
    }

    /// The [`deadline`](Service::deadline) has come: `scope.now()` is not before it. As precise as
    /// [`Serve::tick`](crate::Serve::tick), and called once in a turn, behind what was received in it. Where the
    /// deadline has passed all the same when it is over, it is called in the next turn again, which does not
    /// wait: what has to be caught up with can be spread over turns, and everybody else is served in between.
    ///
    /// It goes on in a graceful shutdown, until the worker stops.
    fn due(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<Self::Session>) {}

    /// The server has begun a graceful shutdown, before `draining` is called for each connection.
    fn shutdown(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<Self::Session>) {}
}

/// A service with a [`Mailbox`](crate::Mailbox): messages from other threads.
pub trait Receive: Service {
    /// What is sent to it.
    type Message: Send + 'static;

    /// A message arrived.
    fn receive(
        &mut self,
        scope: &mut Scope<'_>,
        sessions: &mut Sessions<Self::Session>,
        message: Self::Message,
    );
}

/// One tick of a service's period.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Tick {
    /// Counts the periods since the service started, from 1. Skipped ones are counted too.
    pub number: u64,
    /// When it was due: exactly `number` periods after the start, whatever happened in between.
    pub due: Time,
    /// Ticks skipped before this one, because the worker was busy past their time.
    pub missed: u64,
}

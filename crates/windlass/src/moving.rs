//! Which worker a connection lives on: chosen before it is opened, or changed once more is known.

use std::any::Any;
use std::fmt;

use crate::close::Close;
use crate::conn::Conn;
use crate::service::Service;

/// Where a new connection is to live: what [`Service::place`] answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Placement {
    /// On the worker that accepted it, or on one with fewer connections
    /// ([`Config::rebalance_lead`](crate::Config::rebalance_lead)).
    #[default]
    Balanced,
    /// On the worker that accepted it.
    Here,
    /// On this worker, counted from 0. Where there is none, or it has stopped: on the one that accepted it.
    Worker(usize),
}

/// A service whose connections can move to another worker after they were opened: a game server that
/// must read the path of a request before it knows which worker has the room.
///
/// `data` looks at its input without taking it (or takes only what it has dealt with) and calls
/// [`Conn::move_to`]. When the callback's output has been sent, at the earliest at the end of the turn,
/// the connection leaves: [`move_out`](Move::move_out) turns its session into a seed, the engine carries
/// the socket, the untaken input and the seed over, and [`move_in`](Move::move_in) makes a session of the
/// seed on the other worker. Then the input is offered there, with what came behind it, in order and
/// complete. A [`drained`](Service::drained) that is owed comes there too.
///
/// With TLS it is the same: keys and what was decrypted go along, `Conn::tls` and
/// [`Conn::proxied`](crate::Conn::proxied) tell what they told. A connection in its handshake does not move,
/// since its service does not know of it yet: the first that can ask is [`open`](Service::open).
///
/// To tell the engine, describe the service with [`Serve::movable`](crate::Serve::movable). On Windows a
/// socket belongs to its first poll for life: decide with [`Service::place`] there.
///
/// ```
/// use windlass::{Close, Conn, Input, Move, MoveError, Service, serve};
///
/// /// One worker per room: the first byte says which.
/// struct Rooms;
///
/// impl Service for Rooms {
///     type Session = Option<u8>;
///     fn open(&mut self, _: &mut Conn<'_>) -> Result<Option<u8>, Close> {
///         Ok(None)
///     }
///     fn data(&mut self, conn: &mut Conn<'_>, room: &mut Option<u8>, input: &mut Input<'_>) -> Result<(), Close> {
///         if room.is_none() {
///             *room = input.take(1).map(|byte| byte[0]);
///             match conn.move_to(usize::from(room.unwrap_or(0)) % 2) {
///                 Ok(()) => return Ok(()), // the rest is read there
///                 Err(MoveError::Here) => {}
///                 Err(e) => return Err(e.into()),
///             }
///         }
///         conn.write(input.take_all());
///         Ok(())
///     }
/// }
///
/// impl Move for Rooms {
///     type Seed = Option<u8>;
///     fn move_out(&mut self, _: &mut Conn<'_>, room: Option<u8>) -> Option<u8> {
///         room
///     }
///     fn move_in(&mut self, _: &mut Conn<'_>, room: Option<u8>) -> Result<Option<u8>, Close> {
///         Ok(room)
///     }
/// }
///
/// let bound = serve(|| Rooms).movable().workers(2).tcp("127.0.0.1:0").bind()?;
/// # drop(bound);
/// # Ok::<(), windlass::Error>(())
/// ```
pub trait Move: Service {
    /// What of a session travels. The session itself, if it is `Send`.
    type Seed: Send + 'static;

    /// The connection leaves this worker: its id ends, as do its deadline
    /// ([`Conn::wake_at`]), its pause and its jobs. `closed` is not called for it here. What is written now is
    /// dropped.
    fn move_out(&mut self, conn: &mut Conn<'_>, session: Self::Session) -> Self::Seed;

    /// The connection arrives, with a new id. On the same worker it left, should the other have stopped
    /// in between. `Err` ends it, and `closed` is not called then.
    fn move_in(&mut self, conn: &mut Conn<'_>, seed: Self::Seed) -> Result<Self::Session, Close>;
}

/// Why a connection does not move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum MoveError {
    /// It is on that worker already.
    Here,
    /// There is no such worker.
    NoWorker,
    /// The server is shutting down.
    Stopping,
    /// The connection is ending: closed, half-closed by either side, or broken.
    Ending,
    /// It is coupled with another connection of this worker.
    Coupled,
    /// Its service is not [`movable`](crate::Serve::movable), or this system cannot do it (Windows).
    Unsupported,
}

impl fmt::Display for MoveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MoveError::Here => "the connection is on that worker already",
            MoveError::NoWorker => "there is no such worker",
            MoveError::Stopping => "the server is shutting down",
            MoveError::Ending => "the connection is ending",
            MoveError::Coupled => "the connection is coupled with another",
            MoveError::Unsupported => "connections cannot move: not this service's, or not on this system",
        })
    }
}

impl std::error::Error for MoveError {}

/// A seed on its way, with its type erased: only the service that made it gets it back.
pub(crate) type AnySeed = Box<dyn Any + Send>;

/// The two callbacks, for hosts that do not know whether their service has them.
pub(crate) struct Mover<S: Service> {
    pub(crate) out: fn(&mut S, &mut Conn<'_>, S::Session) -> AnySeed,
    pub(crate) into: fn(&mut S, &mut Conn<'_>, AnySeed) -> Result<S::Session, Close>,
}

impl<S: Move> Mover<S> {
    pub(crate) fn new() -> Mover<S> {
        Mover {
            out: |service, conn, session| Box::new(service.move_out(conn, session)),
            into: |service, conn, seed| match seed.downcast() {
                Ok(seed) => service.move_in(conn, *seed),
                // Services have the same number on every worker, so this cannot be.
                Err(_) => Err(Close::Aborted),
            },
        }
    }
}

impl<S: Service> Clone for Mover<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Service> Copy for Mover<S> {}

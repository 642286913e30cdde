//! Why a connection ended, and whose doing it was.

use std::error::Error;
use std::fmt;
use std::io;

use windlass_proto::EncodeError;

use crate::connect::ConnectError;
use crate::moving::MoveError;
use crate::offload::JobError;
use crate::resolve::ResolveError;
use crate::tls_error::TlsError;

/// Why a connection ends: what a callback returns as its error, and what [`closed`] is told.
///
/// `?` in a callback ends the connection: any error type becomes [`Close::Protocol`], but for those of the
/// engine that say what we could not do ([`ConnectError`](crate::ConnectError),
/// [`MoveError`](crate::MoveError), [`ResolveError`](crate::ResolveError) other than a bad name,
/// [`JobError`](crate::JobError), [`EncodeError`]): they become [`Close::Unavailable`], which is not the peer's fault.
///
/// ```
/// use windlass::Close;
///
/// fn parse(line: &[u8]) -> Result<u32, Close> {
///     Ok(std::str::from_utf8(line)?.trim().parse()?) // either error ends the connection
/// }
/// assert_eq!(parse(b"nonsense").unwrap_err().label(), "protocol");
/// ```
///
/// How a connection goes down follows from the reason. The *orderly* ones send what is queued, then
/// FIN, and wait for the peer's FIN up to the linger deadline, so that nothing sent is destroyed by
/// a reset. The others drop what is queued and reset the connection (RST), which frees the memory at
/// both ends at once.
///
/// [`closed`]: crate::Service::closed
#[derive(Debug)]
#[non_exhaustive]
pub enum Close {
    /// The service has nothing more to say. Orderly.
    Done,
    /// The peer ended its stream (FIN) between two messages. Orderly: it still gets its replies.
    Eof,
    /// The peer ended its stream with input left that nobody could take: inside a message. Orderly.
    Truncated,
    /// What the peer sent was wrong, or a callback failed. Orderly, so that an error reply arrives.
    Protocol(Box<dyn Error + Send + Sync>),
    /// A deadline set with [`Conn::wake_at`](crate::Conn::wake_at) passed. Orderly.
    Timeout,
    /// Nothing was received or sent for [`Limits::idle_timeout`](crate::Limits::idle_timeout).
    /// Orderly.
    Idle,
    /// The server is shutting down. Orderly.
    Shutdown,
    /// Somebody outside asked for its end ([`Handle::close_connection`](crate::Handle::close_connection)).
    /// Orderly.
    Requested,
    /// The service refused the connection in `open`. Orderly.
    Refused,
    /// The peer took no output for
    /// [`Limits::write_stall_timeout`](crate::Limits::write_stall_timeout). Reset.
    SlowConsumer,
    /// Output would have passed [`Limits::output_max`](crate::Limits::output_max). Reset.
    Overflow,
    /// The service left more input untaken than
    /// [`Limits::input_max`](crate::Limits::input_max). Orderly.
    InputFull,
    /// The worker's buffers would have passed
    /// [`Limits::buffered_max`](crate::Limits::buffered_max). Reset.
    MemoryFull,
    /// The service, or the end of the drain, aborted it. Reset.
    Aborted,
    /// The peer reset the connection, or it broke.
    Reset,
    /// The system failed a call on it.
    Io(io::Error),
    /// TLS failed, or was cut short. Orderly, so that the alert that says why arrives.
    Tls(TlsError),
    /// What the service needed for it could not be had: a connection of our own, a name's addresses, work
    /// off the loop, a place on another worker. Orderly, so that an error reply arrives.
    Unavailable(Box<dyn Error + Send + Sync>),
}

/// Whose doing a [`Close`] was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// Nobody's: an orderly end.
    Nobody,
    /// The peer's: bad input, silence, not reading.
    Peer,
    /// Ours: a limit of ours, or our shutdown.
    Server,
    /// The network's or the system's.
    Network,
}

/// How many kinds there are, for the counters.
pub(crate) const KINDS: usize = 18;

impl Close {
    /// A short stable name, fit for a metric's label.
    pub fn label(&self) -> &'static str {
        LABELS[self.kind()]
    }

    /// Whose doing it was.
    pub fn fault(&self) -> Fault {
        match self {
            Close::Done | Close::Eof => Fault::Nobody,
            Close::Truncated
            | Close::Protocol(_)
            | Close::Timeout
            | Close::Idle
            | Close::SlowConsumer
            | Close::Overflow
            | Close::InputFull => Fault::Peer,
            Close::Shutdown
            | Close::Requested
            | Close::Refused
            | Close::MemoryFull
            | Close::Aborted
            | Close::Unavailable(_) => Fault::Server,
            Close::Reset | Close::Io(_) => Fault::Network,
            Close::Tls(error) => {
                if error.is_ours() {
                    Fault::Server
                } else {
                    Fault::Peer
                }
            }
        }
    }

    pub(crate) fn kind(&self) -> usize {
        match self {
            Close::Done => 0,
            Close::Eof => 1,
            Close::Truncated => 2,
            Close::Protocol(_) => 3,
            Close::Timeout => 4,
            Close::Idle => 5,
            Close::Shutdown => 6,
            Close::Refused => 7,
            Close::SlowConsumer => 8,
            Close::Overflow => 9,
            Close::InputFull => 10,
            Close::MemoryFull => 11,
            Close::Aborted => 12,
            Close::Reset => 13,
            Close::Io(_) => 14,
            Close::Tls(_) => 15,
            Close::Unavailable(_) => 16,
            Close::Requested => 17,
        }
    }

    /// Whether queued output is still sent, then FIN.
    pub(crate) fn is_orderly(&self) -> bool {
        if let Close::Tls(error) = self {
            return error.is_orderly();
        }
        !matches!(
            self,
            Close::SlowConsumer
                | Close::Overflow
                | Close::MemoryFull
                | Close::Aborted
                | Close::Reset
                | Close::Io(_)
        )
    }

    /// What a failed call on a connection means.
    pub(crate) fn from_io(e: io::Error) -> Close {
        match e.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
                Close::Reset
            }
            _ => Close::Io(e),
        }
    }
}

/// In the order of `Close::kind`.
pub(crate) const LABELS: [&str; KINDS] = [
    "done",
    "eof",
    "truncated",
    "protocol",
    "timeout",
    "idle",
    "shutdown",
    "refused",
    "slow_consumer",
    "overflow",
    "input_full",
    "memory_full",
    "aborted",
    "reset",
    "io",
    "tls",
    "unavailable",
    "requested",
];

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Close::Done => "done",
            Close::Eof => "the peer ended its stream",
            Close::Truncated => "the peer ended its stream inside a message",
            Close::Protocol(e) => return write!(f, "{e}"),
            Close::Timeout => "a deadline passed",
            Close::Idle => "idle for too long",
            Close::Shutdown => "the server is shutting down",
            Close::Requested => "ended on request",
            Close::Refused => "refused",
            Close::SlowConsumer => "the peer did not read for too long",
            Close::Overflow => "the peer read too slowly: output limit reached",
            Close::InputFull => "a message longer than the input limit",
            Close::MemoryFull => "the worker's buffers are full",
            Close::Aborted => "aborted",
            Close::Reset => "reset by the peer",
            Close::Io(e) => return write!(f, "{e}"),
            Close::Tls(e) => return write!(f, "{e}"),
            Close::Unavailable(e) => return write!(f, "{e}"),
        };
        f.write_str(text)
    }
}

// `Close` itself is no `Error`, or this would overlap with `From<T> for T`; the gain is that `?`
// works on every error there is.
impl<E: Error + Send + Sync + 'static> From<E> for Close {
    fn from(e: E) -> Close {
        if is_ours(&e) { Close::Unavailable(Box::new(e)) } else { Close::Protocol(Box::new(e)) }
    }
}

/// Whether an error is about what we could not do, and not about what the peer sent.
fn is_ours(e: &(dyn Error + 'static)) -> bool {
    let unresolved = |e: &ResolveError| *e != ResolveError::BadName;
    e.is::<ConnectError>()
        || e.is::<MoveError>()
        || e.is::<JobError>()
        || e.is::<EncodeError>()
        || e.is::<windlass_proto::http::EncodeError>()
        || e.downcast_ref::<ResolveError>().is_some_and(unresolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_lack_is_not_the_peers_fault() {
        let whose = |close: Close| (close.label(), close.fault());
        assert_eq!(whose("x".parse::<u8>().unwrap_err().into()), ("protocol", Fault::Peer));
        assert_eq!(whose(ResolveError::BadName.into()), ("protocol", Fault::Peer));
        let ours = [
            ConnectError::Full.into(),
            MoveError::NoWorker.into(),
            ResolveError::Closed.into(),
            JobError::Timeout.into(),
            EncodeError::Length.into(),
        ];
        for close in ours {
            assert_eq!(whose(close), ("unavailable", Fault::Server));
        }
    }
}

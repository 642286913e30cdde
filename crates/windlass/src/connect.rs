//! Connections of our own making: what to connect to, and why it did not come about.
//!
//! [`Conn::connect`](crate::Conn::connect) and [`Scope::connect`](crate::Scope::connect) take a
//! [`Connect`] and return at once. What came of it is told later, once, never from inside the callback
//! that asked: [`Service::connected`](crate::Service::connected), or
//! [`Service::connect_failed`](crate::Service::connect_failed) with a [`ConnectError`].

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use crate::sys::{AcceptError, accept_error};
#[cfg(feature = "tls")]
use crate::tls::TlsTarget;
use crate::tls_error::TlsError;

/// Whom to connect to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Remote {
    /// A TCP address. Names are resolved before, off the loop.
    Tcp(SocketAddr),
    /// The path of a Unix stream socket.
    Unix(PathBuf),
    /// A device, named pipes, or the like.
    #[cfg(all(feature = "pipe", target_os = "linux"))]
    Piped(Piped),
}

/// What is no socket and has bytes come and go all the same: a serial line, named pipes, `/dev/stdin` with
/// `/dev/stdout`. Feature `pipe`, on Linux. A file has no readiness and is refused (`PermissionDenied`).
///
/// A terminal is made raw: bytes pass as they are. Nobody is kept from opening the same once more; who wants it for
/// one connection at a time has to see to that.
#[cfg(all(feature = "pipe", target_os = "linux"))]
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Piped {
    /// What is read from.
    pub from: PathBuf,
    /// What is written to; `None`: the same. To a named pipe that nobody reads, connecting fails.
    pub to: Option<PathBuf>,
    /// Bits per second of a serial line; 0: as it is.
    pub baud: u32,
}

#[cfg(all(feature = "pipe", target_os = "linux"))]
impl From<Piped> for Remote {
    fn from(piped: Piped) -> Remote {
        Remote::Piped(piped)
    }
}

impl From<SocketAddr> for Remote {
    fn from(addr: SocketAddr) -> Remote {
        Remote::Tcp(addr)
    }
}

impl From<PathBuf> for Remote {
    fn from(path: PathBuf) -> Remote {
        Remote::Unix(path)
    }
}

impl From<&Path> for Remote {
    fn from(path: &Path) -> Remote {
        Remote::Unix(path.into())
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remote::Tcp(addr) => addr.fmt(f),
            Remote::Unix(path) => write!(f, "unix:{}", path.display()),
            #[cfg(all(feature = "pipe", target_os = "linux"))]
            Remote::Piped(piped) => write!(f, "pipe:{}", piped.from.display()),
        }
    }
}

impl Remote {
    pub(crate) fn addr(&self) -> Option<SocketAddr> {
        match self {
            Remote::Tcp(addr) => Some(*addr),
            _ => None,
        }
    }
}

/// A connection to be made. Plain data.
///
/// ```
/// use std::time::Duration;
/// use windlass::{Connect, Remote};
///
/// let upstream: std::net::SocketAddr = "192.0.2.7:8080".parse()?;
/// let connect = Connect::to(upstream).timeout(Duration::from_secs(2)).tag(7);
/// assert_eq!(connect.remote, Remote::Tcp(upstream));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Connect {
    /// Whom to connect to.
    pub remote: Remote,
    /// How long it may take, from its beginning. `None`:
    /// [`Limits::connect_timeout`](crate::Limits::connect_timeout). At most 20 days.
    pub timeout: Option<Duration>,
    /// Begin only after this long: the pause before another try (see [`Reconnect`](crate::Reconnect)).
    /// It waits in the engine, may be cancelled, and counts as a connection meanwhile; it holds no
    /// socket. Default zero.
    pub after: Duration,
    /// The service's own; comes back with the result. Default 0.
    pub tag: u64,
    /// The address to connect from; port 0 lets the system choose one. TCP only. Default: as the
    /// system's routes say.
    pub source: Option<SocketAddr>,
    /// Begin, and go on, during a graceful shutdown too, up to its deadline: for work that has to be
    /// finished, such as the other half of a proxied connection. Otherwise the shutdown cancels it.
    /// Default false.
    pub while_draining: bool,
    /// Sent before everything else, and in plain text even where TLS follows: a header that says for whom
    /// the connection is. Default: nothing.
    pub preface: Bytes,
    /// Speak TLS, with this server: `connected` is called when the handshake is done, for which there is
    /// [`Limits::tls_handshake_timeout`](crate::Limits::tls_handshake_timeout) after the connection is
    /// made. Default: plain.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsTarget>,
}

impl Connect {
    /// A connection to `remote`, with the defaults.
    pub fn to(remote: impl Into<Remote>) -> Connect {
        Connect {
            remote: remote.into(),
            timeout: None,
            after: Duration::ZERO,
            tag: 0,
            source: None,
            while_draining: false,
            preface: Bytes::new(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Sets [`Connect::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Connect {
        self.timeout = Some(timeout);
        self
    }

    /// Sets [`Connect::after`].
    pub fn after(mut self, pause: Duration) -> Connect {
        self.after = pause;
        self
    }

    /// Sets [`Connect::tag`].
    pub fn tag(mut self, tag: u64) -> Connect {
        self.tag = tag;
        self
    }

    /// Sets [`Connect::source`].
    pub fn source(mut self, addr: SocketAddr) -> Connect {
        self.source = Some(addr);
        self
    }

    /// Sets [`Connect::preface`].
    pub fn preface(mut self, bytes: impl Into<Bytes>) -> Connect {
        self.preface = bytes.into();
        self
    }

    /// Sets [`Connect::tls`].
    #[cfg(feature = "tls")]
    pub fn tls(mut self, target: TlsTarget) -> Connect {
        self.tls = Some(target);
        self
    }

    /// Sets [`Connect::while_draining`].
    pub fn while_draining(mut self) -> Connect {
        self.while_draining = true;
        self
    }
}

/// Why a connection did not come about.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody listens there: the connection was refused, or reset before it was ready, or there is no
    /// such path.
    Refused,
    /// No route leads there, or a router said that none does.
    Unreachable,
    /// There was no answer within the timeout.
    Timeout,
    /// The service took it back.
    Cancelled,
    /// The server is shutting down.
    Shutdown,
    /// [`Limits::connections_max`](crate::Limits::connections_max) or
    /// [`Limits::connecting_max`](crate::Limits::connecting_max) is reached.
    Full,
    /// The system has no descriptor, memory or local port left for it.
    OutOfResources,
    /// The system failed it otherwise.
    Other(io::Error),
    /// It was made, but the TLS handshake failed.
    Tls(TlsError),
}

impl ConnectError {
    /// A short stable name, fit for a metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            ConnectError::Refused => "refused",
            ConnectError::Unreachable => "unreachable",
            ConnectError::Timeout => "timeout",
            ConnectError::Cancelled => "cancelled",
            ConnectError::Shutdown => "shutdown",
            ConnectError::Full => "full",
            ConnectError::OutOfResources => "out_of_resources",
            ConnectError::Other(_) => "other",
            ConnectError::Tls(_) => "tls",
        }
    }

    /// What an error of the system means. An address to bind to that the machine does not have is told
    /// as it is; without one, the same error means that its ports are used up.
    pub(crate) fn from_io(e: io::Error, source_given: bool) -> ConnectError {
        use io::ErrorKind as Kind;
        match e.kind() {
            Kind::ConnectionRefused | Kind::ConnectionReset | Kind::ConnectionAborted | Kind::NotFound => {
                ConnectError::Refused
            }
            Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => ConnectError::Unreachable,
            Kind::TimedOut => ConnectError::Timeout,
            Kind::AddrNotAvailable if !source_given => ConnectError::OutOfResources,
            _ if accept_error(&e) == AcceptError::OutOfResources => ConnectError::OutOfResources,
            _ => ConnectError::Other(e),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConnectError::Refused => "connection refused",
            ConnectError::Unreachable => "no route leads there",
            ConnectError::Timeout => "no answer in time",
            ConnectError::Cancelled => "cancelled",
            ConnectError::Shutdown => "the server is shutting down",
            ConnectError::Full => "as many connections as are allowed",
            ConnectError::OutOfResources => "out of descriptors, memory or local ports",
            ConnectError::Other(e) => return e.fmt(f),
            ConnectError::Tls(e) => return e.fmt(f),
        })
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConnectError::Other(e) => Some(e),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_have_their_meaning() {
        let label = |kind: io::ErrorKind, source| ConnectError::from_io(kind.into(), source).label();
        assert_eq!(label(io::ErrorKind::ConnectionRefused, false), "refused");
        assert_eq!(label(io::ErrorKind::NetworkUnreachable, false), "unreachable");
        assert_eq!(label(io::ErrorKind::TimedOut, false), "timeout");
        assert_eq!(label(io::ErrorKind::AddrNotAvailable, false), "out_of_resources");
        assert_eq!(label(io::ErrorKind::AddrNotAvailable, true), "other");
        assert_eq!(label(io::ErrorKind::PermissionDenied, false), "other");
    }
}

//! Opening client sockets, and the limits of the process on them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::args::Target;

/// How long a connection attempt may take before it counts as failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Descriptors beside the connections: standard streams, epoll, `/proc` files.
const SPARE_DESCRIPTORS: u64 = 32;

/// Opens client sockets to one target.
#[derive(Debug, Clone)]
pub(crate) struct Dialer {
    target: Target,
    address: SockAddr,
    cubic: bool,
}

impl Dialer {
    pub(crate) fn new(target: &Target, cubic: bool) -> Result<Dialer> {
        let address = match target {
            Target::Tcp(addr) => SockAddr::from(*addr),
            Target::Udp(_) => bail!("{target} takes datagrams: see `udp`"),
            Target::Unix(path) => {
                SockAddr::unix(path).with_context(|| format!("`{target}` is not a usable path"))?
            }
        };
        Ok(Dialer { target: target.clone(), address, cubic })
    }

    pub(crate) fn is_tcp(&self) -> bool {
        matches!(self.target, Target::Tcp(_))
    }

    /// Connects, and returns a non-blocking socket with `TCP_NODELAY`.
    pub(crate) fn connect(&self) -> Result<OwnedFd> {
        let attempt = || {
            let socket = self.socket()?;
            if self.is_tcp() {
                socket.set_tcp_nodelay(true)?;
                socket.connect_timeout(&self.address, CONNECT_TIMEOUT)?;
            } else {
                socket.connect(&self.address)?;
            }
            socket.set_nonblocking(true)?;
            Ok(socket.into())
        };
        attempt().map_err(|error: io::Error| anyhow::anyhow!(self.explain(&error)))
    }

    /// Begins to connect without waiting. `attempt` counts the attempts and picks the source
    /// address: a closed connection keeps its port for a minute, so that one address with its
    /// 28,000 ports lasts less than a second of connect-and-close.
    pub(crate) fn begin(&self, attempt: u64) -> io::Result<OwnedFd> {
        let socket = self.socket_of(Type::STREAM.nonblocking())?;
        if let Target::Tcp(SocketAddr::V4(addr)) = &self.target
            && addr.ip().is_loopback()
        {
            let [_, _, c, d] = ((attempt % 250) as u32 + 1).to_be_bytes();
            let source = SocketAddr::from((IpAddr::V4(Ipv4Addr::new(127, 1, c, d)), 0));
            socket.bind(&source.into())?;
        }
        match socket.connect(&self.address) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        Ok(socket.into())
    }

    /// One line that says what failed and what to do.
    pub(crate) fn explain(&self, error: &io::Error) -> String {
        let target = &self.target;
        match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                format!("cannot connect to {target}: connection refused; is the server running?")
            }
            io::ErrorKind::NotFound => format!("cannot connect to {target}: there is no such socket"),
            _ => format!("cannot connect to {target}: {error}"),
        }
    }

    fn socket(&self) -> io::Result<Socket> {
        self.socket_of(Type::STREAM)
    }

    fn socket_of(&self, kind: Type) -> io::Result<Socket> {
        let domain = match &self.target {
            Target::Tcp(SocketAddr::V4(_)) => Domain::IPV4,
            Target::Tcp(SocketAddr::V6(_)) => Domain::IPV6,
            Target::Unix(_) | Target::Udp(_) => Domain::UNIX,
        };
        let socket = Socket::new(domain, kind, None)?;
        if self.cubic && self.is_tcp() {
            socket.set_tcp_congestion(b"cubic")?;
        }
        Ok(socket)
    }
}

/// Lets this process open `connections` sockets at once, if the system permits.
pub(crate) fn allow_descriptors(connections: usize) -> Result<()> {
    let needed = connections as u64 + SPARE_DESCRIPTORS;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit).context("cannot raise the limit of open files")?;
    }
    if let Some(maximum) = limit.maximum.filter(|&maximum| maximum < needed) {
        bail!("{connections} connections need {needed} open files, and the limit (ulimit -n) is {maximum}");
    }
    Ok(())
}

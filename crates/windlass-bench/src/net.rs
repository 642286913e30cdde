//! Opening client sockets, and the limits of the process on them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::args::Target;
#[cfg(feature = "tls")]
use crate::load::TlsClient;
use crate::load::{Fault, Options, Wire};

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
    #[cfg(feature = "tls")]
    tls: Option<TlsClient>,
}

impl Dialer {
    /// For the connections of a load.
    pub(crate) fn of(options: &Options) -> Result<Dialer> {
        let dialer = Dialer::new(&options.target, options.cubic)?;
        #[cfg(feature = "tls")]
        let dialer = Dialer { tls: options.tls.as_ref().map(|tls| tls.client()).transpose()?, ..dialer };
        Ok(dialer)
    }

    /// For plain connections.
    pub(crate) fn new(target: &Target, cubic: bool) -> Result<Dialer> {
        let address = match target {
            Target::Tcp(addr) => SockAddr::from(*addr),
            Target::Udp(_) => bail!("{target} takes datagrams: see `udp`"),
            Target::Unix(path) => {
                SockAddr::unix(path).with_context(|| format!("`{target}` is not a usable path"))?
            }
        };
        Ok(Dialer {
            target: target.clone(),
            address,
            cubic,
            #[cfg(feature = "tls")]
            tls: None,
        })
    }

    pub(crate) fn is_tcp(&self) -> bool {
        matches!(self.target, Target::Tcp(_))
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Connects, its TLS included, and returns a non-blocking socket with `TCP_NODELAY`.
    pub(crate) fn connect(&self) -> Result<Wire> {
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
        let socket = attempt().map_err(|error: io::Error| anyhow!(self.explain(&error)))?;
        let mut wire = self.wire(socket).map_err(|fault| anyhow!("{}: {fault}", self.target))?;
        shake_hands(&mut wire).map_err(|fault| anyhow!("cannot connect to {}: {fault}", self.target))?;
        Ok(wire)
    }

    fn wire(&self, socket: OwnedFd) -> Result<Wire, Fault> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return Ok(Wire::Tls(Box::new(tls.wire(socket)?)));
        }
        Ok(Wire::Plain(socket))
    }

    /// Begins to connect without waiting. `attempt` counts the attempts and picks the source
    /// address: a closed connection keeps its port for a minute, so that one address with its
    /// 28,000 ports lasts less than a second of connect-and-close.
    pub(crate) fn begin(&self, attempt: u64) -> Result<Wire, Fault> {
        let begin = || {
            let socket = self.socket_of(Type::STREAM.nonblocking())?;
            if self.is_tcp() {
                socket.set_tcp_nodelay(true)?;
            }
            if let Target::Tcp(SocketAddr::V4(addr)) = &self.target
                && addr.ip().is_loopback()
            {
                let [_, _, c, d] = ((attempt % 250) as u32 + 1).to_be_bytes();
                let source = SocketAddr::from((IpAddr::V4(Ipv4Addr::new(127, 1, c, d)), 0));
                socket.bind(&source.into())?;
            }
            match socket.connect(&self.address) {
                Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
                _ => Ok(OwnedFd::from(socket)),
            }
        };
        match begin() {
            Ok(socket) => self.wire(socket),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Fault::Failed(Errno::AGAIN)),
            Err(error) => Err(Fault::Connect(self.explain(&error))),
        }
    }

    /// One line that says what failed and what to do.
    fn explain(&self, error: &io::Error) -> String {
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

/// Finishes the handshake, if there is one.
fn shake_hands(wire: &mut Wire) -> Result<(), Fault> {
    #[cfg(feature = "tls")]
    while let Wire::Tls(tls) = wire {
        if tls.shake_hands()? {
            break;
        }
        if !wire.wait(false, CONNECT_TIMEOUT)? {
            return Err(Fault::Tls(format!("no handshake within {CONNECT_TIMEOUT:?}")));
        }
    }
    let _ = wire;
    Ok(())
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

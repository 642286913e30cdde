//! Opening listeners: what has to be set on a socket before it listens.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;

use socket2::{Domain, Protocol, Socket, Type};

use super::MioListener;

/// What a TCP listener is opened with.
#[derive(Clone, Debug)]
pub(crate) struct TcpOptions {
    /// Connections the system queues before they are accepted.
    pub(crate) backlog: i32,
    /// Several listeners on one address, one per worker.
    pub(crate) reuse_port: bool,
    /// Nobody may be there yet.
    pub(crate) first: bool,
    /// Accept IPv4 on an IPv6 wildcard address too.
    pub(crate) dual_stack: bool,
    /// Congestion control by name, where the system lets it be chosen.
    pub(crate) congestion: Option<String>,
}

/// True where the system spreads connections over several listeners on one address.
pub(crate) const REUSE_PORT: bool =
    cfg!(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "dragonfly"));

pub(crate) fn tcp(addr: SocketAddr, options: &TcpOptions) -> io::Result<(MioListener, SocketAddr)> {
    if options.reuse_port && options.first {
        check_free(addr, options)?;
    }
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(!options.dual_stack)?;
    }
    // Lets a restart bind while connections of the last run are in TIME_WAIT. On Windows the option
    // means something else and dangerous: sharing the port with anybody.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    if options.reuse_port {
        #[cfg(target_os = "freebsd")]
        socket.set_reuse_port_lb(true)?;
        #[cfg(not(target_os = "freebsd"))]
        socket.set_reuse_port(true)?;
    }
    // Accepted sockets inherit both, which saves two calls on each.
    socket.set_tcp_nodelay(true)?;
    if let Some(name) = &options.congestion {
        set_congestion(&socket, name)?;
    }
    socket.bind(&addr.into())?;
    // Windows takes a length over 200 only as `SOMAXCONN_HINT`, which is its negative, and refuses
    // whoever comes when the queue is full.
    socket.listen(if cfg!(windows) { -options.backlog } else { options.backlog })?;
    let listener: std::net::TcpListener = socket.into();
    let bound = listener.local_addr()?;
    Ok((MioListener::Tcp(mio::net::TcpListener::from_std(listener)), bound))
}

/// Fails if somebody listens on the address. Those who ask to share a port are not told so by the
/// system: a second server of the same user would join unnoticed and take half of the connections.
fn check_free(addr: SocketAddr, options: &TcpOptions) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(!options.dual_stack)?;
    }
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    // To bind is enough to know; without `listen` nobody connects to a socket that goes again.
    socket.bind(&addr.into())
}

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
pub(super) fn set_congestion(socket: &Socket, name: &str) -> io::Result<()> {
    socket.set_tcp_congestion(name.as_bytes())
}

/// Here the system cannot be asked for one by name.
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
pub(super) fn set_congestion(_: &Socket, _: &str) -> io::Result<()> {
    Ok(())
}

/// A second handle on the same listening socket, for workers that share one accept queue.
pub(crate) fn share(listener: &MioListener) -> io::Result<MioListener> {
    use socket2::SockRef;
    Ok(match listener {
        MioListener::Tcp(l) => {
            let std: std::net::TcpListener = SockRef::from(l).try_clone()?.into();
            MioListener::Tcp(mio::net::TcpListener::from_std(std))
        }
        #[cfg(unix)]
        MioListener::Unix(l) => {
            let std: std::os::unix::net::UnixListener = SockRef::from(l).try_clone()?.into();
            MioListener::Unix(mio::net::UnixListener::from_std(std))
        }
    })
}

/// Listens on a path. A socket file that nobody listens on is a leftover of a killed process and is
/// replaced; anything else there is left alone and is an error.
#[cfg(unix)]
pub(crate) fn unix(path: &Path, backlog: i32) -> io::Result<MioListener> {
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::net::UnixStream;

    if let Ok(meta) = std::fs::symlink_metadata(path) {
        if !meta.file_type().is_socket() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the path exists and is not a socket"));
        }
        match UnixStream::connect(path) {
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            // Connected, or not allowed to: somebody is there.
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    socket.listen(backlog)?;
    let listener: std::os::unix::net::UnixListener = socket.into();
    Ok(MioListener::Unix(mio::net::UnixListener::from_std(listener)))
}

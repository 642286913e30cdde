//! Sockets that another process opened: what is made sure of before one is used.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::FdFlags;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::super::listen::{self, TcpOptions};
use super::super::{MioListener, MioUdp, UdpBuffers, udp};
use super::Local;

/// A socket of another process's making: open, and known for what it is.
#[derive(Debug)]
pub(crate) struct Passed {
    fd: OwnedFd,
    local: Local,
}

impl Passed {
    /// Looks at a descriptor that was passed. One that is no socket, or a stream socket nobody listens
    /// on, is an error.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Passed> {
        let socket = SockRef::from(&fd);
        let kind = socket.r#type()?;
        if kind == Type::STREAM && !socket.is_listener()? {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a stream socket that does not listen"));
        }
        let (domain, at) = (socket.domain()?, socket.local_addr()?);
        let local = match (at.as_socket(), at.as_pathname()) {
            (Some(addr), _) if kind == Type::STREAM => Local::Tcp(addr),
            (_, Some(path)) if kind == Type::STREAM => Local::Unix(path.to_path_buf()),
            (Some(addr), _) if kind == Type::DGRAM && socket.protocol()? == Some(Protocol::UDP) => {
                let receives = addr.port() != 0 && socket.peer_addr().is_err();
                let other = || Local::Other(format!("udp:{addr}, which is not bound, or has a peer"));
                if receives { Local::Udp(addr) } else { other() }
            }
            _ if domain == Domain::UNIX => {
                Local::Other("a Unix socket without a path, or not of streams".into())
            }
            _ => Local::Other("a socket of an unknown kind".into()),
        };
        rustix::io::fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
        Ok(Passed { fd, local })
    }

    pub(crate) fn local(&self) -> &Local {
        &self.local
    }

    /// Whether it takes in connections to addresses that are not its own, as a transparent proxy does
    /// (`Transparent=` of a socket unit). Where it does not say, it may.
    pub(crate) fn is_transparent(&self) -> bool {
        let socket = SockRef::from(&self.fd);
        match self.local {
            Local::Tcp(SocketAddr::V4(_)) => socket.ip_transparent_v4().unwrap_or(true),
            Local::Tcp(SocketAddr::V6(_)) => socket.ip_transparent_v6().unwrap_or(true),
            _ => false,
        }
    }

    /// A listener on the same accept queue, with the options that ours have.
    pub(crate) fn listener(&self, options: &TcpOptions) -> io::Result<MioListener> {
        let socket = Socket::from(self.fd.try_clone()?);
        socket.set_nonblocking(true)?;
        // Changes the length of the queue and nothing else.
        socket.listen(options.backlog)?;
        match self.local {
            Local::Tcp(_) => {
                socket.set_tcp_nodelay(true)?;
                if let Some(name) = &options.congestion {
                    listen::set_congestion(&socket, name)?;
                }
                Ok(MioListener::Tcp(mio::net::TcpListener::from_std(socket.into())))
            }
            Local::Unix(_) => Ok(MioListener::Unix(mio::net::UnixListener::from_std(socket.into()))),
            Local::Udp(_) | Local::Other(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The same socket, with the options that ours have. What waits in it stays there.
    pub(crate) fn udp(&self, buffers: UdpBuffers) -> io::Result<MioUdp> {
        udp::adopt(Socket::from(self.fd.try_clone()?), buffers)
    }
}

/// The first descriptor that systemd passes (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;

/// Takes over the `count` descriptors that whoever started this process left open for it, once in its
/// life. None is taken unless all are open sockets.
#[allow(
    unsafe_code,
    reason = "a number in the environment becomes a descriptor; there is no safe call for it"
)]
pub(crate) fn from_environment(count: usize) -> io::Result<Vec<Passed>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "they have been taken already"));
    }
    let numbers = FIRST..FIRST + count as RawFd;
    for number in numbers.clone() {
        // SAFETY: borrowed for one question only, whose answer to a number that is not open is EBADF.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        let kind = SockRef::from(&fd).r#type();
        kind.map_err(|e| io::Error::new(e.kind(), format!("descriptor {number}: {e}")))?;
    }
    let passed = numbers.map(|number| {
        // SAFETY: it is open, as was just seen. That it is ours is the promise of `LISTEN_FDS` to the
        // process in `LISTEN_PID`: opened for it before it began, and for nobody else in it. `TAKEN`
        // lets nobody come here twice, so it gets one owner.
        Passed::new(unsafe { OwnedFd::from_raw_fd(number) })
            .map_err(|e| io::Error::new(e.kind(), format!("descriptor {number}: {e}")))
    });
    passed.collect()
}

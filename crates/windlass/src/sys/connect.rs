//! Connecting: what has to be set on a socket before it calls, and whether it got through.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

use super::{MioStream, listen};
use crate::connect::Remote;

pub(super) fn begin(
    remote: &Remote,
    source: Option<SocketAddr>,
    congestion: Option<&str>,
) -> io::Result<(MioStream, bool)> {
    match remote {
        Remote::Tcp(addr) => tcp(*addr, source, congestion),
        #[cfg(unix)]
        Remote::Unix(path) => unix(path),
        #[cfg(not(unix))]
        Remote::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        #[cfg(all(feature = "pipe", target_os = "linux"))]
        Remote::Piped(piped) => Ok((MioStream::Piped(super::piped::PipedStream::open(piped)?), true)),
    }
}

fn tcp(
    addr: SocketAddr,
    source: Option<SocketAddr>,
    congestion: Option<&str>,
) -> io::Result<(MioStream, bool)> {
    let socket = stream_socket(Domain::for_address(addr), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if let Some(name) = congestion {
        listen::set_congestion(&socket, name)?;
    }
    if let Some(source) = source {
        socket.bind(&source.into())?;
    }
    let done = is_begun(socket.connect(&addr.into()))?;
    let stream: std::net::TcpStream = socket.into();
    Ok((MioStream::Tcp(mio::net::TcpStream::from_std(stream)), done))
}

/// Non-blocking from birth where the system has that: two calls less.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn stream_socket(domain: Domain, protocol: Option<Protocol>) -> io::Result<Socket> {
    Socket::new(domain, Type::STREAM.nonblocking(), protocol)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn stream_socket(domain: Domain, protocol: Option<Protocol>) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, protocol)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(unix)]
fn unix(path: &std::path::Path) -> io::Result<(MioStream, bool)> {
    let socket = stream_socket(Domain::UNIX, None)?;
    let done = is_begun(socket.connect(&socket2::SockAddr::unix(path)?))?;
    let stream: std::os::unix::net::UnixStream = socket.into();
    Ok((MioStream::Unix(mio::net::UnixStream::from_std(stream)), done))
}

/// Whether a call to connect has done it all; an error if it has done nothing.
fn is_begun(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        // A call that a signal interrupts goes on without it.
        Err(e) if e.kind() == io::ErrorKind::Interrupted || is_in_progress(&e) => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(unix)]
fn is_in_progress(e: &io::Error) -> bool {
    e.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

#[cfg(not(unix))]
fn is_in_progress(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::WouldBlock
}

/// Whether a stream is connected by now.
pub(super) fn is_done(stream: &MioStream) -> io::Result<bool> {
    match stream {
        MioStream::Tcp(s) => {
            if let Some(e) = s.take_error()? {
                return Err(e);
            }
            let Some(peer) = present(s.peer_addr())? else { return Ok(false) };
            // A port the system chose may be the very one that is called, and TCP lets both sides be one.
            if s.local_addr()? == peer {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            Ok(true)
        }
        #[cfg(unix)]
        MioStream::Unix(s) => {
            if let Some(e) = s.take_error()? {
                return Err(e);
            }
            Ok(present(s.peer_addr())?.is_some())
        }
        // Open is open.
        #[cfg(all(feature = "pipe", target_os = "linux"))]
        MioStream::Piped(_) => Ok(true),
    }
}

/// The peer, if there is one yet.
fn present<A>(peer: io::Result<A>) -> io::Result<Option<A>> {
    match peer {
        Ok(peer) => Ok(Some(peer)),
        Err(e) if e.kind() == io::ErrorKind::NotConnected || is_in_progress(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_writes_are_not_delayed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (stream, _) = begin(&Remote::Tcp(listener.local_addr().unwrap()), None, None).unwrap();
        assert!(matches!(stream, MioStream::Tcp(stream) if stream.nodelay().unwrap()));
    }
}

//! The errors a simulated system reports: the numbers of the system the test runs on, as far as it has
//! them, because the engine looks at those.

use std::io::{self, ErrorKind};

/// An error that is cheap to keep and to compare.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Errno {
    WouldBlock,
    Interrupted,
    ConnectionReset,
    BrokenPipe,
    ConnectionAborted,
    Protocol,
    NetworkDown,
    ProcessFiles,
    SystemFiles,
    OutOfMemory,
    ConnectionRefused,
    HostUnreachable,
    NetworkUnreachable,
    AddressNotAvailable,
    NotFound,
    TooLong,
}

impl Errno {
    /// How the trace calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Errno::WouldBlock => "EAGAIN",
            Errno::Interrupted => "EINTR",
            Errno::ConnectionReset => "ECONNRESET",
            Errno::BrokenPipe => "EPIPE",
            Errno::ConnectionAborted => "ECONNABORTED",
            Errno::Protocol => "EPROTO",
            Errno::NetworkDown => "ENETDOWN",
            Errno::ProcessFiles => "EMFILE",
            Errno::SystemFiles => "ENFILE",
            Errno::OutOfMemory => "ENOMEM",
            Errno::ConnectionRefused => "ECONNREFUSED",
            Errno::HostUnreachable => "EHOSTUNREACH",
            Errno::NetworkUnreachable => "ENETUNREACH",
            Errno::AddressNotAvailable => "EADDRNOTAVAIL",
            Errno::NotFound => "ENOENT",
            Errno::TooLong => "EMSGSIZE",
        }
    }

    #[cfg(unix)]
    fn number(self) -> Option<i32> {
        use rustix::io::Errno as Os;
        Some(match self {
            Errno::Protocol => Os::PROTO.raw_os_error(),
            Errno::NetworkDown => Os::NETDOWN.raw_os_error(),
            Errno::ProcessFiles => Os::MFILE.raw_os_error(),
            Errno::SystemFiles => Os::NFILE.raw_os_error(),
            Errno::OutOfMemory => Os::NOMEM.raw_os_error(),
            Errno::TooLong => Os::MSGSIZE.raw_os_error(),
            _ => return None,
        })
    }

    #[cfg(windows)]
    fn number(self) -> Option<i32> {
        // WSAEMFILE, WSAENETDOWN, WSAEMSGSIZE.
        match self {
            Errno::ProcessFiles | Errno::SystemFiles => Some(10024),
            Errno::NetworkDown => Some(10050),
            Errno::TooLong => Some(10040),
            _ => None,
        }
    }

    fn kind(self) -> ErrorKind {
        match self {
            Errno::WouldBlock => ErrorKind::WouldBlock,
            Errno::Interrupted => ErrorKind::Interrupted,
            Errno::ConnectionReset => ErrorKind::ConnectionReset,
            Errno::BrokenPipe => ErrorKind::BrokenPipe,
            Errno::ConnectionAborted => ErrorKind::ConnectionAborted,
            Errno::ConnectionRefused => ErrorKind::ConnectionRefused,
            Errno::NetworkDown => ErrorKind::NetworkDown,
            Errno::HostUnreachable => ErrorKind::HostUnreachable,
            Errno::NetworkUnreachable => ErrorKind::NetworkUnreachable,
            Errno::AddressNotAvailable => ErrorKind::AddrNotAvailable,
            Errno::NotFound => ErrorKind::NotFound,
            Errno::OutOfMemory => ErrorKind::OutOfMemory,
            Errno::Protocol | Errno::ProcessFiles | Errno::SystemFiles | Errno::TooLong => ErrorKind::Other,
        }
    }
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> io::Error {
        match errno.number() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => errno.kind().into(),
        }
    }
}

//! What errors mean: those of accept, and the one of a datagram that no packet holds.

use std::io;

/// What to do after a failed accept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AcceptError {
    /// Nobody is waiting.
    Nobody,
    /// A signal: again.
    Again,
    /// That one connection is gone, or the network failed it; the next may be fine.
    Gone,
    /// Descriptors or memory are used up: it will fail until something is given back.
    OutOfResources,
}

pub(crate) fn accept_error(e: &io::Error) -> AcceptError {
    match e.kind() {
        io::ErrorKind::WouldBlock => AcceptError::Nobody,
        io::ErrorKind::Interrupted => AcceptError::Again,
        io::ErrorKind::OutOfMemory => AcceptError::OutOfResources,
        _ if e.raw_os_error().is_some_and(|code| OUT_OF_RESOURCES.contains(&code)) => {
            AcceptError::OutOfResources
        }
        _ => AcceptError::Gone,
    }
}

/// Whether a datagram was longer than its path carries, or than any packet holds.
pub(crate) fn is_too_long(e: &io::Error) -> bool {
    e.raw_os_error() == Some(TOO_LONG)
}

#[cfg(unix)]
const TOO_LONG: i32 = rustix::io::Errno::MSGSIZE.raw_os_error();

/// WSAEMSGSIZE.
#[cfg(not(unix))]
const TOO_LONG: i32 = 10040;

#[cfg(unix)]
const OUT_OF_RESOURCES: [i32; 4] = {
    use rustix::io::Errno;
    [
        Errno::MFILE.raw_os_error(),
        Errno::NFILE.raw_os_error(),
        Errno::NOBUFS.raw_os_error(),
        Errno::NOMEM.raw_os_error(),
    ]
};

/// WSAEMFILE, WSAENOBUFS, ERROR_NOT_ENOUGH_MEMORY.
#[cfg(not(unix))]
const OUT_OF_RESOURCES: [i32; 3] = [10024, 10055, 8];

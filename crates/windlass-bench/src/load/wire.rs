//! A socket with or without TLS on it, non-blocking.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, writev};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::time::Timespec;

use super::line::Fault;
#[cfg(feature = "tls")]
use super::tls::TlsWire;

/// What a connection speaks over.
#[derive(Debug)]
pub(crate) enum Wire {
    /// The bytes as they are.
    Plain(OwnedFd),
    /// Encrypted.
    #[cfg(feature = "tls")]
    Tls(Box<TlsWire>),
}

impl Wire {
    /// Sends what fits of `bytes`; `None` if nothing does.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        match self {
            Wire::Plain(socket) => again(|| send(&*socket, bytes, SendFlags::NOSIGNAL)),
            #[cfg(feature = "tls")]
            Wire::Tls(tls) => tls.send(bytes),
        }
    }

    /// Sends what fits of `slices`, in one call.
    pub(crate) fn send_slices(&mut self, slices: &[IoSlice<'_>]) -> Result<Option<usize>, Fault> {
        match self {
            Wire::Plain(socket) => again(|| writev(&*socket, slices)),
            #[cfg(feature = "tls")]
            Wire::Tls(tls) => tls.send(slices.first().map_or(&[], |slice| &**slice)),
        }
    }

    /// Sends what is held back below: true if some of it has to wait for the socket.
    pub(crate) fn push(&mut self) -> Result<bool, Fault> {
        match self {
            Wire::Plain(_) => Ok(false),
            #[cfg(feature = "tls")]
            Wire::Tls(tls) => tls.push(),
        }
    }

    /// Receives into `scratch`: `None` if nothing is there, 0 at the end.
    pub(crate) fn receive(&mut self, scratch: &mut [u8]) -> Result<Option<usize>, Fault> {
        match self {
            Wire::Plain(socket) => {
                again(|| recv(&*socket, &mut *scratch, RecvFlags::empty()).map(|(n, _)| n))
            }
            #[cfg(feature = "tls")]
            Wire::Tls(tls) => tls.receive(scratch),
        }
    }

    /// Whether a read that did not fill its buffer has emptied the socket.
    pub(crate) fn short_read_is_last(&self) -> bool {
        matches!(self, Wire::Plain(_))
    }

    /// Waits until the socket can be read, or written if `write` is set; false: not within `patience`.
    pub(crate) fn wait(&self, write: bool, patience: Duration) -> Result<bool, Fault> {
        let flags = if write { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let timeout = Timespec { tv_sec: patience.as_secs() as _, tv_nsec: patience.subsec_nanos() as _ };
        let ready = again(|| poll(&mut [PollFd::new(self, flags)], Some(&timeout)))?;
        Ok(ready.is_some_and(|ready| ready > 0))
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Wire::Plain(socket) => socket.as_fd(),
            #[cfg(feature = "tls")]
            Wire::Tls(tls) => tls.as_fd(),
        }
    }
}

/// Makes a system call until no signal is in its way; `None` where it would block.
pub(super) fn again<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<Option<T>, Fault> {
    loop {
        match call() {
            Ok(value) => return Ok(Some(value)),
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(error) => return Err(Fault::Failed(error)),
        }
    }
}

//! Devices, named pipes, and what stands behind `/dev/stdin` and `/dev/stdout`, as a stream: read from one descriptor,
//! written to another or to the same.
//!
//! The seam's contract holds that a short read or write ends what there was. A terminal or a pipe promises no such
//! thing, so both go on here until the system says `WouldBlock`.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::connect::Piped;

pub(crate) struct PipedStream {
    from: OwnedFd,
    /// `None`: to the same. Closed once it is finished.
    to: Option<OwnedFd>,
    finished: bool,
}

impl PipedStream {
    pub(super) fn open(piped: &Piped) -> io::Result<PipedStream> {
        let Some(to) = &piped.to else {
            let from = open(&piped.from, OFlags::RDWR)?;
            set_raw(&from, piped.baud)?;
            return Ok(PipedStream { from, to: None, finished: false });
        };
        let from = open(&piped.from, OFlags::RDONLY)?;
        let to = open(to, OFlags::WRONLY)?;
        set_raw(&from, piped.baud)?;
        set_raw(&to, piped.baud)?;
        Ok(PipedStream { from, to: Some(to), finished: false })
    }

    pub(super) fn from(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }

    pub(super) fn to(&self) -> BorrowedFd<'_> {
        self.to.as_ref().unwrap_or(&self.from).as_fd()
    }

    pub(super) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut all = 0;
        while all < buf.len() {
            match rustix::io::read(&self.from, &mut buf[all..]) {
                // The end is told by the next call, to whoever has taken what is before it.
                Ok(0) => return Ok(all),
                Ok(n) => all += n,
                Err(_) if all > 0 => return Ok(all),
                // What a device says that is gone (its line hung up): the end of what it had to say.
                Err(Errno::IO) => return Ok(0),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(all)
    }

    pub(super) fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.finished {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut all = 0;
        while all < buf.len() {
            match rustix::io::write(self.to(), &buf[all..]) {
                Ok(n) => all += n,
                Err(_) if all > 0 => return Ok(all),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(all)
    }

    /// One piece after the other: what is slow here is the line, not the call.
    pub(super) fn writev(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut all = 0;
        for buf in bufs {
            match self.write(buf) {
                Ok(n) => {
                    all += n;
                    if n < buf.len() {
                        return Ok(all);
                    }
                }
                Err(_) if all > 0 => return Ok(all),
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Whoever reads the other end of a pipe is told the end; a device that is read from too has none.
    pub(super) fn finish(&mut self) {
        self.finished = true;
        self.to = None;
    }
}

fn open(path: &Path, access: OFlags) -> io::Result<OwnedFd> {
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Has a terminal pass on bytes as they are, eight bits each, at this speed unless that is 0. Anything else is left alone.
fn set_raw(fd: &OwnedFd, baud: u32) -> io::Result<()> {
    let Ok(mut line) = tcgetattr(fd) else { return Ok(()) };
    line.make_raw();
    if baud != 0 {
        line.set_speed(baud)?;
    }
    Ok(tcsetattr(fd, OptionalActions::Now, &line)?)
}

impl Source for PipedStream {
    fn register(&mut self, registry: &Registry, token: Token, _: Interest) -> io::Result<()> {
        let Some(to) = &self.to else {
            let both = Interest::READABLE | Interest::WRITABLE;
            return registry.register(&mut SourceFd(&self.from.as_raw_fd()), token, both);
        };
        registry.register(&mut SourceFd(&self.from.as_raw_fd()), token, Interest::READABLE)?;
        registry.register(&mut SourceFd(&to.as_raw_fd()), token, Interest::WRITABLE)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        self.deregister(registry)?;
        self.register(registry, token, interest)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut SourceFd(&self.from.as_raw_fd()))?;
        match &self.to {
            Some(to) => registry.deregister(&mut SourceFd(&to.as_raw_fd())),
            None => Ok(()),
        }
    }
}

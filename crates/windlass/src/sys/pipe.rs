//! A pipe that bytes pass through on their way from one socket to another, without leaving the kernel.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// What is asked for: as much as an unprivileged process may have by default.
const SIZE: usize = 1 << 20;
const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// SIGPIPE's bit in a set of signals as the system writes it.
const SIGPIPE: u64 = 1 << 12;

/// Whether SIGPIPE is ignored in this process, as Rust has it unless a host says otherwise. To splice to a
/// peer that has gone raises it, and there is no flag against that: then it is better to copy.
pub(super) fn splices_in_peace() -> bool {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).is_some_and(|set| set & SIGPIPE != 0)
}

pub(crate) struct Pipe {
    from: OwnedFd,
    to: OwnedFd,
}

impl Pipe {
    pub(crate) fn new() -> io::Result<Pipe> {
        let (from, to) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Where it is not permitted the default, 64 KiB, has to do.
        let _ = fcntl_setpipe_size(&to, SIZE);
        Ok(Pipe { from, to })
    }

    pub(crate) fn fill(&mut self, socket: BorrowedFd<'_>, len: usize) -> io::Result<usize> {
        done(splice(socket, None, &self.to, None, len.min(SIZE), FLAGS))
    }

    pub(crate) fn empty(&mut self, socket: BorrowedFd<'_>, len: usize) -> io::Result<usize> {
        done(splice(&self.from, None, socket, None, len, FLAGS))
    }
}

fn done(result: rustix::io::Result<usize>) -> io::Result<usize> {
    result.map_err(|errno| match errno {
        Errno::INVAL | Errno::NOSYS => io::ErrorKind::Unsupported.into(),
        errno => errno.into(),
    })
}

//! Signals through the poll: a descriptor that becomes readable, in the place of a handler that interrupts and of a
//! thread that waits.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{FromRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry};
use std::os::fd::AsRawFd;

use super::Token;

/// What asks a server to stop.
const STOP: [libc::c_int; 2] = [libc::SIGTERM, libc::SIGINT];
/// Signals taken with one call.
const AT_ONCE: usize = 4;

/// SIGTERM and SIGINT, which are not delivered otherwise as long as this is there.
pub(crate) struct Signals {
    fd: OwnedFd,
    /// What was blocked before.
    before: libc::sigset_t,
}

impl Signals {
    /// Takes them from now on, for this thread and those it starts.
    #[allow(unsafe_code, reason = "no crate that we have makes such a descriptor")]
    pub(crate) fn to_stop() -> io::Result<Signals> {
        let mut set = MaybeUninit::uninit();
        let mut before = MaybeUninit::uninit();
        // SAFETY: `sigemptyset` writes all of `set` before anything reads it, `pthread_sigmask` all of `before` unless
        // it fails, and then nobody reads that; the signals are valid ones, and no memory is kept.
        let (fd, before) = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in STOP {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            let failed = libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr());
            if failed != 0 {
                return Err(io::Error::from_raw_os_error(failed));
            }
            (libc::signalfd(-1, set.as_ptr(), libc::SFD_NONBLOCK | libc::SFD_CLOEXEC), before.assume_init())
        };
        if fd < 0 {
            let error = io::Error::last_os_error();
            restore(&before);
            return Err(error);
        }
        // SAFETY: it was just opened, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Signals { fd, before })
    }

    pub(super) fn register(&self, registry: &Registry) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.fd.as_raw_fd()), mio::Token(Token::STOP.0), Interest::READABLE)
    }

    /// How many have come since this was last asked.
    pub(super) fn take(&self) -> u32 {
        let mut all = 0;
        let mut bytes = [0u8; AT_ONCE * size_of::<libc::signalfd_siginfo>()];
        while let Ok(n @ 1..) = rustix::io::read(&self.fd, &mut bytes) {
            all += (n / size_of::<libc::signalfd_siginfo>()) as u32;
        }
        all
    }
}

impl Drop for Signals {
    /// Who asks again from here on gets what anybody gets; those that have asked were heard.
    fn drop(&mut self) {
        self.take();
        restore(&self.before);
    }
}

#[allow(unsafe_code, reason = "no crate that we have sets the mask of signals")]
fn restore(before: &libc::sigset_t) {
    // SAFETY: the set is whole, and the system only reads it.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
}

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

/// Signals that are not delivered otherwise as long as this is there: those that ask a server to stop, and SIGHUP.
pub(crate) struct Signals {
    fd: OwnedFd,
    /// Which.
    taken: libc::sigset_t,
    /// What was blocked before.
    before: libc::sigset_t,
    /// Who hears of SIGHUP.
    hangup: Option<Box<dyn FnMut() + Send>>,
}

impl Signals {
    /// None of them so far.
    #[allow(unsafe_code, reason = "no crate that we have makes such a descriptor")]
    pub(crate) fn none() -> io::Result<Signals> {
        let mut none = MaybeUninit::uninit();
        let mut before = MaybeUninit::uninit();
        // SAFETY: `sigemptyset` writes all of `none` before anything reads it, `pthread_sigmask` all of `before` unless
        // it fails, and then nobody reads that; no memory is kept.
        let (fd, taken, before) = unsafe {
            libc::sigemptyset(none.as_mut_ptr());
            let failed = libc::pthread_sigmask(libc::SIG_BLOCK, none.as_ptr(), before.as_mut_ptr());
            if failed != 0 {
                return Err(io::Error::from_raw_os_error(failed));
            }
            let fd = libc::signalfd(-1, none.as_ptr(), libc::SFD_NONBLOCK | libc::SFD_CLOEXEC);
            (fd, none.assume_init(), before.assume_init())
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just opened, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Signals { fd, taken, before, hangup: None })
    }

    /// SIGTERM and SIGINT too from now on, for this thread and those it starts.
    pub(crate) fn take_stop(&mut self) -> io::Result<()> {
        self.take_over(&STOP)
    }

    /// SIGHUP too.
    pub(crate) fn take_hangup(&mut self, heard: Box<dyn FnMut() + Send>) -> io::Result<()> {
        self.hangup = Some(heard);
        self.take_over(&[libc::SIGHUP])
    }

    #[allow(unsafe_code, reason = "no crate that we have makes such a descriptor")]
    fn take_over(&mut self, signals: &[libc::c_int]) -> io::Result<()> {
        // SAFETY: the set is whole, the signals are valid ones, the descriptor is open, and no memory is kept.
        let (failed, fd) = unsafe {
            for &signal in signals {
                libc::sigaddset(&mut self.taken, signal);
            }
            (
                libc::pthread_sigmask(libc::SIG_BLOCK, &self.taken, std::ptr::null_mut()),
                libc::signalfd(self.fd.as_raw_fd(), &self.taken, 0),
            )
        };
        match failed {
            0 if fd >= 0 => Ok(()),
            0 => Err(io::Error::last_os_error()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    pub(super) fn register(&self, registry: &Registry) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.fd.as_raw_fd()), mio::Token(Token::STOP.0), Interest::READABLE)
    }

    /// How many have come that ask to stop since this was last asked. Whoever hears of SIGHUP is told of it.
    pub(super) fn take(&mut self) -> u32 {
        let mut stops = 0;
        let mut bytes = [0u8; AT_ONCE * size_of::<libc::signalfd_siginfo>()];
        while let Ok(n @ 1..) = rustix::io::read(&self.fd, &mut bytes) {
            // The number of the signal is what each begins with.
            for signal in bytes[..n].chunks_exact(size_of::<libc::signalfd_siginfo>()) {
                if signal.first_chunk() == Some(&(libc::SIGHUP as u32).to_ne_bytes()) {
                    if let Some(heard) = &mut self.hangup {
                        heard();
                    }
                } else {
                    stops += 1;
                }
            }
        }
        stops
    }
}

impl Drop for Signals {
    /// Who asks again from here on gets what anybody gets; those that have asked were heard.
    #[allow(unsafe_code, reason = "no crate that we have sets the mask of signals")]
    fn drop(&mut self) {
        self.take();
        // SAFETY: the set is whole, and the system only reads it.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}

//! A precise timer in the poll set: a timerfd with absolute deadlines.
//!
//! A poll's timeout is rounded up to whole milliseconds; a game tick or a pacing timer wants better.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use windlass_proto::Time;

use super::Token;

pub(super) struct TimerFd {
    fd: OwnedFd,
}

impl TimerFd {
    pub(super) fn new(registry: &Registry) -> io::Result<TimerFd> {
        // There the clock of the loop is another one, for the same reason (`super::clock`).
        if cfg!(all(target_env = "musl", target_pointer_width = "32")) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        registry.register(&mut SourceFd(&fd.as_raw_fd()), mio::Token(Token::TICK.0), Interest::READABLE)?;
        Ok(TimerFd { fd })
    }

    /// Arms for `at`, replacing what was armed; setting a timerfd also clears an expiry not yet read,
    /// which is why nobody reads it.
    pub(super) fn arm(&self, at: Option<Time>) -> io::Result<()> {
        // An it_value of zero disarms, so a deadline of zero becomes one nanosecond: at once.
        let nanos = at.map_or(0, |at| at.as_nanos().max(1));
        let it_value =
            Timespec { tv_sec: (nanos / 1_000_000_000) as _, tv_nsec: (nanos % 1_000_000_000) as _ };
        let spec = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &spec)?;
        Ok(())
    }
}

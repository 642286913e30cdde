//! The monotonic clock, as nanoseconds in a `u64`.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since some fixed moment. Through the vDSO: about 30 ns, no system call.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A duration in nanoseconds; 500 years saturate.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Sleeps until `deadline`, or not at all if that has passed.
pub(crate) fn sleep_until(deadline: u64) {
    std::thread::sleep(Duration::from_nanos(deadline.saturating_sub(now())));
}

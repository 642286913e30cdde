//! The monotonic clock on Unix: `CLOCK_MONOTONIC`, and its coarse sister where there is one.

use rustix::time::{ClockId, clock_gettime};
use windlass_proto::Time;

fn read(id: ClockId) -> Time {
    let t = clock_gettime(id);
    Time::from_nanos(t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64)
}

/// The same clock a timerfd counts in, so deadlines can be handed to it as they are.
#[inline]
pub(super) fn now() -> Time {
    read(ClockId::Monotonic)
}

/// Last timer interrupt's time: some nanoseconds to read, 1-10 ms of resolution.
#[inline]
pub(super) fn coarse_now() -> Time {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    return read(ClockId::MonotonicCoarse);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    return now();
}

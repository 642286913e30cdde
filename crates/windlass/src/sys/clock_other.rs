//! The monotonic clock where there is no `clock_gettime`, or none that can be read right.

use std::sync::OnceLock;
use std::time::Instant;

use windlass_proto::Time;

static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// Time since the first call in this process, moved off zero so that subtraction has room.
#[inline]
pub(super) fn now() -> Time {
    let since = ORIGIN.get_or_init(Instant::now).elapsed();
    Time::from_nanos(1_000_000_000 + since.as_nanos() as u64)
}

/// No cheaper clock here.
#[inline]
pub(super) fn coarse_now() -> Time {
    now()
}

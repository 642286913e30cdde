//! Time as an argument.
//!
//! Nothing in this crate or in a service reads a clock. The engine reads it once per turn and passes a
//! [`Time`] along, so a turn sees one instant, and a simulator can run a day in a second.

use core::fmt;
use core::ops::{Add, AddAssign, Sub, SubAssign};
use core::time::Duration;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A point on a monotonic clock: nanoseconds since an origin that means nothing.
///
/// Two times of the same clock can be compared and subtracted; the number alone says nothing about the
/// calendar. The range is 584 years. Arithmetic saturates at both ends instead of wrapping, so "now plus
/// a very long timeout" is a deadline that never comes, and not one that has passed.
///
/// ```
/// use core::time::Duration;
/// use windlass_proto::Time;
///
/// let now = Time::from_nanos(5_000);
/// let deadline = now + Duration::from_millis(1);
/// assert_eq!(deadline.since(now), Duration::from_millis(1));
/// assert_eq!(now.since(deadline), Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The origin of the clock, and the earliest time there is.
    pub const ZERO: Time = Time(0);

    /// The latest time there is: a deadline that never comes.
    pub const MAX: Time = Time(u64::MAX);

    /// The time `nanos` nanoseconds after the origin.
    #[inline]
    pub const fn from_nanos(nanos: u64) -> Time {
        Time(nanos)
    }

    /// Nanoseconds since the origin.
    #[inline]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long `earlier` was before this time; zero if it was not.
    #[inline]
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This time plus `duration`, or `None` past [`Time::MAX`].
    #[inline]
    pub const fn checked_add(self, duration: Duration) -> Option<Time> {
        let Some(whole) = duration.as_secs().checked_mul(NANOS_PER_SECOND) else { return None };
        let Some(nanos) = whole.checked_add(duration.subsec_nanos() as u64) else { return None };
        match self.0.checked_add(nanos) {
            Some(sum) => Some(Time(sum)),
            None => None,
        }
    }
}

/// The time as its distance from the origin, for example `Time(1.5s)`.
impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Time({:?})", Duration::from_nanos(self.0))
    }
}

/// Saturates at [`Time::MAX`].
impl Add<Duration> for Time {
    type Output = Time;

    #[inline]
    fn add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(nanos(duration)))
    }
}

/// Saturates at [`Time::MAX`].
impl AddAssign<Duration> for Time {
    #[inline]
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

/// Saturates at [`Time::ZERO`].
impl Sub<Duration> for Time {
    type Output = Time;

    #[inline]
    fn sub(self, duration: Duration) -> Time {
        Time(self.0.saturating_sub(nanos(duration)))
    }
}

/// Saturates at [`Time::ZERO`].
impl SubAssign<Duration> for Time {
    #[inline]
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

/// The same as [`Time::since`]: zero if the right side is the later one.
impl Sub for Time {
    type Output = Duration;

    #[inline]
    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}

#[inline]
const fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(NANOS_PER_SECOND).saturating_add(duration.subsec_nanos() as u64)
}

//! When a room ticks: at `epoch + n / rate`, whatever happened in between.

use std::time::Duration;

use windlass::Time;

const SECOND: u128 = 1_000_000_000;

/// The deadlines of fixed ticks. They do not drift: the n-th is computed from the epoch, not from the one before it.
///
/// Who is late catches up by at most [`Pace::CATCH_UP_MAX`] ticks; what lies further back is skipped, and counted. The
/// numbers of skipped ticks are left out, so the number of a tick always tells its time.
///
/// ```
/// use std::time::Duration;
/// use windlass::Time;
/// use windlass_realtime::Pace;
///
/// let mut pace = Pace::new(Time::ZERO, 60);
/// assert_eq!(pace.next().as_nanos(), 16_666_667);
/// assert!(pace.beat(Time::from_nanos(16_666_666)).is_none());
/// let beat = pace.beat(Time::from_nanos(16_700_000)).unwrap();
/// assert_eq!((beat.n, beat.late, beat.skipped), (1, Duration::from_nanos(33_333), 0));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    epoch: Time,
    hz: u32,
    /// The last tick that was made or skipped.
    done: u64,
    skipped: u64,
}

/// A tick to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Beat {
    /// Its number, from 1.
    pub n: u64,
    /// How long ago it was due.
    pub late: Duration,
    /// How many before it were skipped.
    pub skipped: u64,
}

impl Pace {
    /// Ticks a room that is late makes up for.
    pub const CATCH_UP_MAX: u64 = 5;
    /// The slowest rate, in ticks a second.
    pub const HZ_MIN: u32 = 1;
    /// The fastest.
    pub const HZ_MAX: u32 = 240;

    /// Ticks of this rate, in ticks a second, from [`Pace::HZ_MIN`] to [`Pace::HZ_MAX`]; others are made the nearest of
    /// these. The first comes one period behind the epoch.
    pub fn new(epoch: Time, hz: u32) -> Pace {
        Pace { epoch, hz: hz.clamp(Pace::HZ_MIN, Pace::HZ_MAX), done: 0, skipped: 0 }
    }

    /// The time that ticks are counted from.
    pub fn epoch(&self) -> Time {
        self.epoch
    }

    /// Ticks a second.
    pub fn hz(&self) -> u32 {
        self.hz
    }

    /// The last tick that was made or skipped; 0 before the first.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Ticks skipped so far.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// From one tick to the next, rounded down to a nanosecond.
    pub fn period(&self) -> Duration {
        Duration::from_nanos(SECOND as u64 / u64::from(self.hz))
    }

    /// When the next tick is due.
    pub fn next(&self) -> Time {
        self.due(self.done + 1)
    }

    fn due(&self, n: u64) -> Time {
        // Up, so that none is early.
        let nanos = (u128::from(n) * SECOND).div_ceil(u128::from(self.hz));
        self.epoch + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The next tick, if it is due; each is given once.
    pub fn beat(&mut self, now: Time) -> Option<Beat> {
        if now < self.next() {
            return None;
        }
        let elapsed = u128::from(now.since(self.epoch).as_nanos() as u64);
        let last = (elapsed * u128::from(self.hz) / SECOND) as u64;
        let skipped = (last - self.done).saturating_sub(Pace::CATCH_UP_MAX);
        self.skipped += skipped;
        self.done += skipped + 1;
        Some(Beat { n: self.done, late: now.since(self.due(self.done)), skipped })
    }

    /// Skips all that is due: for a room whose ticks take longer than their period, which could not catch up and would
    /// only keep the others waiting. Returns how many.
    pub fn give_up(&mut self, now: Time) -> u64 {
        let elapsed = u128::from(now.since(self.epoch).as_nanos() as u64);
        let last = (elapsed * u128::from(self.hz) / SECOND) as u64;
        let skipped = last.saturating_sub(self.done);
        self.skipped += skipped;
        self.done += skipped;
        skipped
    }
}

#[cfg(test)]
mod tests;

//! How late ticks were: counts in buckets, four to each power of two.

use std::time::Duration;

/// How late the ticks of a room were. Buckets end at every 16 µs up to 64 µs, and then at four places between one power of
/// two and the next, to 131 ms; the last has all above.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lateness {
    counts: [u64; Lateness::BUCKETS],
    sum_us: u64,
    max_us: u64,
}

/// Buckets to a power of two.
const PARTS: usize = 4;
/// Where the first ends.
const FINEST_US: u64 = 16;

impl Default for Lateness {
    fn default() -> Lateness {
        Lateness::of([0; Lateness::BUCKETS], 0, 0)
    }
}

impl Lateness {
    /// How many buckets there are.
    pub const BUCKETS: usize = PARTS + 11 * PARTS + 1;

    pub(crate) fn of(counts: [u64; Lateness::BUCKETS], sum_us: u64, max_us: u64) -> Lateness {
        Lateness { counts, sum_us, max_us }
    }

    /// Counts one tick.
    pub fn add(&mut self, late: Duration) {
        let us = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.counts[Lateness::bucket(us)] += 1;
        self.sum_us = self.sum_us.saturating_add(us);
        self.max_us = self.max_us.max(us);
    }

    fn bucket(us: u64) -> usize {
        // Ends are in their bucket, so it is the last microsecond before that is looked at.
        let steps = us.saturating_sub(1) / FINEST_US;
        let octave = steps.checked_ilog2().unwrap_or(0).saturating_sub(PARTS.ilog2()) as usize;
        (octave * PARTS + (steps >> octave) as usize).min(Lateness::BUCKETS - 1)
    }

    const fn end_us(at: usize) -> u64 {
        let octave = (at / PARTS).saturating_sub(1);
        ((at - octave * PARTS) as u64 + 1) * (FINEST_US << octave)
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: &Lateness) {
        for (own, others) in self.counts.iter_mut().zip(other.counts) {
            *own += others;
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.max_us = self.max_us.max(other.max_us);
    }

    /// Buckets of powers of two, from 64 µs on, for where the others are too many: the longest that is in it, `None` for the
    /// last, and how many are.
    pub fn octaves(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        self.counts.chunks(PARTS).enumerate().map(|(nth, counts)| {
            let end = (counts.len() == PARTS)
                .then(|| Duration::from_micros(Lateness::end_us(nth * PARTS + PARTS - 1)));
            (end, counts.iter().sum())
        })
    }

    /// Each bucket: the longest that is in it, `None` for the last, and how many are.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        let end = |at| (at + 1 < Lateness::BUCKETS).then(|| Duration::from_micros(Lateness::end_us(at)));
        self.counts.iter().enumerate().map(move |(at, &count)| (end(at), count))
    }

    /// Ticks counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All of it together.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us)
    }

    /// The latest.
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.max_us)
    }

    /// The end of the bucket below which `share` of all ticks are (0.999, say), or the latest if that is less; zero
    /// without any.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (self.count() as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (end, count) in self.buckets() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return end.map_or(self.max(), |end| end.min(self.max()));
            }
        }
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests;

//! How late ticks were: counts in buckets of powers of two.

use std::time::Duration;

/// How late the ticks of a room were. Buckets end at 64 µs, 128 µs, and so on to 131 ms; the last has all above.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Lateness {
    counts: [u64; Lateness::BUCKETS],
    sum_us: u64,
    max_us: u64,
}

impl Lateness {
    /// How many buckets there are.
    pub const BUCKETS: usize = 13;

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
        (0..Lateness::BUCKETS - 1).find(|&at| us <= Lateness::end_us(at)).unwrap_or(Lateness::BUCKETS - 1)
    }

    const fn end_us(at: usize) -> u64 {
        64 << at
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: &Lateness) {
        for (own, others) in self.counts.iter_mut().zip(other.counts) {
            *own += others;
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.max_us = self.max_us.max(other.max_us);
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

//! How long commits took, in powers of two.

use std::time::Duration;

/// Counts of durations, by powers of two of microseconds. What it says is up to twice too much, never too little.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Latency {
    buckets: [u64; Latency::BUCKETS],
    sum_us: u64,
}

impl Latency {
    /// Up to 1 µs, 2, 4, .. and 33 s; the last is for all that is longer.
    pub const BUCKETS: usize = 26;

    /// Of these buckets, and this sum of all.
    pub(crate) fn of(buckets: [u64; Latency::BUCKETS], sum_us: u64) -> Latency {
        Latency { buckets, sum_us }
    }

    /// Counts one.
    pub fn add(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = us.checked_sub(1).and_then(u64::checked_ilog2).map_or(0, |log| log as usize + 1);
        self.buckets[bucket.min(Latency::BUCKETS - 1)] += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// Adds those of another one.
    pub fn merge(&mut self, other: &Latency) {
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket += more;
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// How many there are up to how many microseconds, those of shorter ones not counted again; `None` is without end.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bound = |at: usize| (at + 1 < Latency::BUCKETS).then(|| 1 << at);
        self.buckets.into_iter().enumerate().map(move |(at, count)| (bound(at), count))
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The sum of all, in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// As long as this at most, of a thousand so many (500: the median); zero if there are none.
    pub fn per_mille(&self, of_thousand: u64) -> Duration {
        let wanted = (self.count() * of_thousand.min(1000)).div_ceil(1000);
        let mut counted = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            counted += count;
            if counted >= wanted.max(1) {
                return Duration::from_micros(1 << at);
            }
        }
        Duration::ZERO
    }
}

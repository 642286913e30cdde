//! When a turn began, by a clock that has another origin than the engine's.

use std::time::Duration;

use windlass::Time;

/// Tells what a clock showed at a [`Time`] that has passed already. The two run alike, so how far they are apart is always
/// the same; what is seen of it is that and how long ago the time was. The least that was seen was of a turn that had
/// done nothing else before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Began {
    apart: Option<i128>,
}

impl Began {
    /// What the clock, which shows `clock`, showed at `time`.
    pub(crate) fn at(&mut self, time: Time, clock: Duration) -> Duration {
        let apart = clock.as_nanos() as i128 - i128::from(time.as_nanos());
        let least = self.apart.map_or(apart, |least| least.min(apart));
        self.apart = Some(least);
        clock.saturating_sub(Duration::from_nanos(u64::try_from(apart - least).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_taken_of_a_turn_counts() {
        let us = Duration::from_micros;
        let time = |us: u64| Time::from_nanos(9_000_000_000 + us * 1_000);
        let mut began = Began::default();
        assert_eq!(began.at(time(0), us(3)), us(3), "nothing is known yet");
        assert_eq!(began.at(time(100), us(101)), us(101), "a turn that did little before");
        assert_eq!(began.at(time(200), us(900)), us(201), "one that did much");
        assert_eq!(began.at(time(1_000), us(1_001)), us(1_001));
    }
}

//! How long to wait before connecting again.

use std::time::Duration;

use windlass_proto::Time;

/// Pauses between tries to connect: they double, each is shortened at random, and after a healthy time
/// they begin anew. Plain data; it has no clock and no randomness of its own.
///
/// The ceiling of the pause is [`min`](Reconnect::min) after the first failure and doubles with each that
/// follows, up to [`max`](Reconnect::max). With full jitter, which is the default, the pause is drawn
/// evenly from zero to the ceiling, so that many clients of a server that came back do not come back
/// to it all at once.
///
/// ```
/// use std::time::Duration;
/// use windlass::{Reconnect, Time};
///
/// let mut reconnect = Reconnect::default();
/// let now = Time::from_nanos(0);
/// // In a service: conn.now() and conn.random().
/// let pause = reconnect.failed(now, 0x1234_5678_9ABC_DEF0);
/// assert!(pause <= reconnect.min);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reconnect {
    /// The longest first pause. Default 100 ms.
    pub min: Duration,
    /// The longest pause of all. Default 30 s.
    pub max: Duration,
    /// How much of a pause is left to chance, in percent. 100 is full jitter, 0 none. Default 100.
    pub jitter_percent: u8,
    /// A connection that lasted this long was healthy: the next pause is the first again. One that is lost
    /// sooner counts as another failure. Default 10 s.
    pub healthy: Duration,
    failures: u32,
    connected_at: Option<Time>,
}

impl Default for Reconnect {
    fn default() -> Reconnect {
        Reconnect {
            min: Duration::from_millis(100),
            max: Duration::from_secs(30),
            jitter_percent: 100,
            healthy: Duration::from_secs(10),
            failures: 0,
            connected_at: None,
        }
    }
}

impl Reconnect {
    /// Sets [`Reconnect::min`] and [`Reconnect::max`].
    pub fn pauses(mut self, min: Duration, max: Duration) -> Reconnect {
        (self.min, self.max) = (min, max);
        self
    }

    /// Sets [`Reconnect::jitter_percent`].
    pub fn jitter_percent(mut self, percent: u8) -> Reconnect {
        self.jitter_percent = percent;
        self
    }

    /// Sets [`Reconnect::healthy`].
    pub fn healthy(mut self, healthy: Duration) -> Reconnect {
        self.healthy = healthy;
        self
    }

    /// Notes that the connection is there.
    pub fn connected(&mut self, now: Time) {
        self.connected_at = Some(now);
    }

    /// Notes that it could not be made, or was lost, and says how long to wait before the next try:
    /// what [`Connect::after`](crate::Connect::after) takes. `random` is any random number, as
    /// [`Conn::random`](crate::Conn::random) gives.
    pub fn failed(&mut self, now: Time, random: u64) -> Duration {
        if self.connected_at.take().is_some_and(|at| now.since(at) >= self.healthy) {
            self.failures = 0;
        }
        let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let ceiling = self.min.saturating_mul(doubled).min(self.max);
        let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
        let chance = u128::from(nanos) * u128::from(self.jitter_percent.min(100)) / 100;
        // Evenly from 0 to `chance`, both included.
        let taken = (u128::from(random) * (chance + 1)) >> 64;
        Duration::from_nanos(nanos - taken as u64)
    }

    /// Failures since the last healthy connection.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_proto::testing::Rng;

    const NOW: Time = Time::from_nanos(1_000_000_000);

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut reconnect = Reconnect::default()
            .pauses(Duration::from_millis(10), Duration::from_millis(75))
            .jitter_percent(0);
        let pauses: Vec<_> = (0..6).map(|_| reconnect.failed(NOW, u64::MAX).as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 75, 75, 75]);
        for _ in 0..100 {
            assert_eq!(reconnect.failed(NOW, 0).as_millis(), 75, "however often it fails");
        }
    }

    #[test]
    fn full_jitter_is_even_from_nothing_to_the_ceiling() {
        let mut rng = Rng::new(1);
        let mut sum = Duration::ZERO;
        for _ in 0..10_000 {
            let pause = Reconnect::default().failed(NOW, rng.next_u64());
            assert!(pause <= Duration::from_millis(100));
            sum += pause;
        }
        let mean = sum / 10_000;
        assert!(mean > Duration::from_millis(47) && mean < Duration::from_millis(53), "{mean:?}");
        assert_eq!(Reconnect::default().failed(NOW, 0), Duration::from_millis(100));
        assert_eq!(Reconnect::default().failed(NOW, u64::MAX), Duration::ZERO);
    }

    #[test]
    fn half_jitter_keeps_half() {
        let mut reconnect = Reconnect::default().jitter_percent(50);
        assert_eq!(reconnect.failed(NOW, u64::MAX), Duration::from_millis(50));
    }

    #[test]
    fn only_a_healthy_connection_begins_anew() {
        let mut reconnect = Reconnect::default().jitter_percent(0);
        reconnect.failed(NOW, 0);
        reconnect.connected(NOW);
        let soon = NOW + Duration::from_secs(9);
        assert_eq!(reconnect.failed(soon, 0), Duration::from_millis(200), "lost too soon");
        reconnect.connected(soon);
        let later = soon + Duration::from_secs(10);
        assert_eq!(reconnect.failed(later, 0), Duration::from_millis(100));
        assert_eq!(reconnect.failed(later, 0), Duration::from_millis(200), "it was healthy only once");
    }
}

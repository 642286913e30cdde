//! Active checks: backends are connected to, now and then, and believed after several answers in a row. One
//! worker does it; what it finds is in the counts that all share.

mod config;
mod probe;

use std::collections::HashMap;
use std::time::Duration;

use windlass::Time;

pub use config::{CheckAddress, CheckKind, ExchangeCheck, HttpCheck};
pub(crate) use probe::Probe;

use crate::config::{Health, ProxyConfig};
use crate::plan::Plan;
use crate::runtime::Standing;
use crate::upstream::Upstream;

/// The tag of a check's connection: this bit, and the backend's number.
pub(crate) const CHECK: u64 = 1 << 63;

impl ProxyConfig {
    /// Whether a check of this backend is a datagram, where it is sent any.
    pub(crate) fn asks_by_datagram(&self, upstream: &Upstream) -> bool {
        matches!(self.check, CheckKind::Exchange(_)) && upstream.config.check_address.is_none()
    }
}

/// The checks of all backends, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    of: HashMap<u32, Check>,
    /// Those that have asked and wait for the answer.
    pub(crate) probes: HashMap<u32, Probe>,
}

/// A check's connection came about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Connected {
    /// That was all. True: the backend is back.
    Passed(bool),
    /// It has asked the backend of this number, and waits for the answer.
    Asked(u32),
}

/// The checks of one backend: time and answers in, verdicts out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Check {
    due: Option<Time>,
    begun: Time,
    calling: bool,
    /// Answers of one kind in a row.
    passed: u32,
    failed: u32,
}

impl Check {
    /// Whether to begin one now; the next is due after the period, a little earlier or later.
    fn begin(&mut self, health: &Health, now: Time, random: u64) -> bool {
        if self.calling || self.due.is_some_and(|due| due > now) {
            return false;
        }
        let every = health.check_every.as_nanos() as u64;
        let spread = (u128::from(every) * u128::from(health.jitter_percent.min(100)) / 100) as u64;
        // From half a spread before the period to half a spread behind it.
        let jitter = ((u128::from(random) * u128::from(spread)) >> 64) as u64;
        self.due = Some(now + Duration::from_nanos(every - spread / 2 + jitter));
        self.begun = now;
        self.calling = true;
        true
    }

    /// An answer. `Some(down)` once there are enough in a row; said again with each that follows.
    fn answered(&mut self, health: &Health, passed: bool) -> Option<bool> {
        self.calling = false;
        (self.passed, self.failed) = match passed {
            true => (self.passed.saturating_add(1), 0),
            false => (0, self.failed.saturating_add(1)),
        };
        if self.passed >= health.rise.max(1) {
            return Some(false);
        }
        (self.failed >= health.fall.max(1)).then_some(true)
    }
}

impl Checks {
    /// The backends to be checked now.
    pub(crate) fn due(&mut self, plan: &Plan, now: Time, mut random: impl FnMut() -> u64) -> Vec<u32> {
        let health = &plan.config.health;
        if health.check_every.is_zero() {
            return Vec::new();
        }
        let is_left_alone = |standing| matches!(standing, Standing::Disabled | Standing::Leaving);
        let checked = plan.upstreams().filter(|(_, upstream)| !is_left_alone(upstream.standing));
        let ids = checked.map(|(_, upstream)| upstream.id());
        ids.filter(|id| self.of.entry(*id).or_default().begin(health, now, random())).collect()
    }

    /// How long the check of a backend that is answered now has taken.
    pub(crate) fn took(&self, id: u32, now: Time) -> Duration {
        self.of.get(&id).map_or(Duration::ZERO, |check| now.since(check.begun))
    }

    /// An answer.
    pub(crate) fn answered(&mut self, id: u32, plan: &Plan, passed: bool) -> Option<bool> {
        self.of.get_mut(&id)?.answered(&plan.config.health, passed)
    }

    /// There was no answer, by no fault of the backend.
    pub(crate) fn unanswered(&mut self, id: u32) {
        if let Some(check) = self.of.get_mut(&id) {
            check.calling = false;
        }
    }

    /// Forgets those that are configured no more.
    pub(crate) fn keep_only(&mut self, plan: &Plan) {
        self.of.retain(|id, _| plan.upstreams().any(|(_, upstream)| upstream.id() == *id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_takes_several_answers_in_a_row() {
        let health = Health { rise: 2, fall: 3, ..Health::default() };
        let mut check = Check::default();
        let verdicts: Vec<_> = [false, false, true, false, false, false, false, true, true, true]
            .into_iter()
            .map(|passed| check.answered(&health, passed))
            .collect();
        let (none, down, up) = (None, Some(true), Some(false));
        assert_eq!(verdicts, [none, none, none, none, none, down, down, none, up, up]);
    }

    #[test]
    fn checks_are_spread_around_their_period_and_never_two_at_once() {
        let second = Duration::from_secs(1);
        let health = Health { check_every: second, jitter_percent: 20, ..Health::default() };
        let mut check = Check::default();
        let now = Time::from_nanos(1);
        assert!(check.begin(&health, now, 0), "the first at once");
        assert_eq!(check.due, Some(now + Duration::from_millis(900)));
        assert!(!check.begin(&health, now + 5 * second, 0), "while one is under way");
        check.answered(&health, true);
        assert!(check.begin(&health, now + second, u64::MAX));
        let due = check.due.unwrap().since(now + second);
        assert!(due > Duration::from_millis(1_099) && due <= Duration::from_millis(1_100), "{due:?}");
    }
}

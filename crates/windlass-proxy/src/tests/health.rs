//! Ejections, slow starts, failing open, caps: what makes a backend open to a client.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use windlass::Time;

use super::config;
use crate::pick::{Picked, Picker, Wanted};
use crate::plan::Plan;
use crate::upstream::{Failure, Lease, Upstream};
use crate::{Balance, Breaker, Health, ProxyConfig};

const NOW: Time = Time::from_nanos(1_000_000_000_000);
const SECOND: Duration = Duration::from_secs(1);

struct Case {
    plan: Plan,
    picker: Picker,
    now: Time,
}

impl Case {
    fn new(config: ProxyConfig) -> Case {
        let plan = Plan::new(config, None, &mut 0).unwrap();
        Case { plan, picker: Picker::default(), now: NOW }
    }

    fn upstream(&self, n: usize) -> &Arc<Upstream> {
        &self.plan.groups[0].upstreams[n]
    }

    fn pick(&mut self, tried: &[u32]) -> Picked {
        let source = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)));
        let wanted = Wanted { source, tried, now: self.now, random: 7 };
        self.picker.pick(&self.plan.groups[0], &self.plan.config, &wanted, |_| true)
    }

    /// The numbers of the backends that so many clients get, one after the other.
    fn picks(&mut self, n: usize) -> Vec<u32> {
        let id = |picked: Picked| match picked {
            Picked::Upstream(lease) => lease.upstream().id(),
            other => panic!("{other:?}"),
        };
        (0..n).map(|_| id(self.pick(&[]))).collect()
    }
}

#[test]
fn failures_in_a_row_eject_for_longer_each_time() {
    let health = Health { failures_max: 3, eject: SECOND, eject_max: 3 * SECOND, ..Health::default() };
    let case = Case::new(config(&["10.0.0.1:80"]));
    let counts = &case.upstream(0).counts;
    let mut now = NOW;
    for wanted in [1, 2, 3, 3] {
        assert!(
            !counts.failed(Failure::Refused, &health, now) && !counts.failed(Failure::Refused, &health, now)
        );
        assert!(counts.failed(Failure::Refused, &health, now), "the third is one too many");
        counts.eject(&health, now);
        let until = now + wanted * SECOND;
        assert!(counts.is_ejected(until - Duration::from_nanos(1)) && !counts.is_ejected(until));
        // What fails meanwhile is not in the next row.
        now = until;
    }
    counts.served();
    assert!((0..3).any(|_| counts.failed(Failure::Refused, &health, now)));
    counts.eject(&health, now);
    assert!(!counts.is_ejected(now + SECOND), "a success begins the row anew");
}

#[test]
fn a_backend_that_is_not_well_gets_nothing_unless_too_few_are() {
    let mut case = Case::new(config(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"]));
    case.upstream(1).counts.set_down(true, NOW);
    assert_eq!(case.picks(6), [1, 3, 4, 1, 3, 4]);
    for n in [0, 2, 3] {
        case.upstream(n).counts.set_down(true, NOW);
    }
    let mut picks = case.picks(4);
    picks.sort();
    assert_eq!(picks, [1, 2, 3, 4], "none is well: each is as good as another");
    case.upstream(0).counts.set_down(false, NOW);
    assert_eq!(case.picks(3), [1, 1, 1]);
    case.plan.config.health.fail_open_percent = 50;
    let mut picks = case.picks(4);
    picks.sort();
    assert_eq!(picks, [1, 2, 3, 4], "one of four is less than half");
}

#[test]
fn a_backend_that_came_back_starts_slowly() {
    let health = Health { slow_start: 10 * SECOND, ..Health::default() };
    let mut case = Case::new(config(&["10.0.0.1:80", "10.0.0.2:80"]).health(health));
    case.upstream(0).counts.set_down(true, NOW);
    case.upstream(0).counts.set_down(false, NOW);
    let share = |case: &mut Case, after: Duration| {
        case.now = NOW + after;
        case.picker = Picker::default();
        case.picks(1100).iter().filter(|id| **id == 1).count()
    };
    assert_eq!(share(&mut case, Duration::ZERO), 100, "a tenth of the other's");
    let half = share(&mut case, 5 * SECOND);
    assert!((360..=370).contains(&half), "{half}");
    assert_eq!(share(&mut case, 10 * SECOND), 550);
}

#[test]
fn a_cap_holds_and_counts_go_back_to_nothing() {
    for balance in Balance::ALL {
        let mut config = config(&["10.0.0.1:80", "10.0.0.2:80"]).balance(balance);
        config.backends.iter_mut().for_each(|backend| backend.connections_max = 2);
        let mut case = Case::new(config);
        let leases: Vec<Lease> = (0..4)
            .map(|_| match case.pick(&[]) {
                Picked::Upstream(lease) => lease,
                other => panic!("{balance:?}: {other:?}"),
            })
            .collect();
        assert!(matches!(case.pick(&[]), Picked::Full), "{balance:?}");
        assert!(Lease::take(case.upstream(0), &Breaker::default(), NOW).is_none());
        drop(leases);
        assert!(matches!(case.pick(&[]), Picked::Upstream(_)));
        let left = |n: usize| case.upstream(n).counts.connections.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!([left(0), left(1)], [0, 0], "{balance:?}");
    }
}

#[test]
fn who_has_been_tried_is_passed_over_and_who_weighs_nothing_too() {
    for balance in Balance::ALL {
        let mut config = config(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]).balance(balance);
        config.backends[2].weight = 0;
        let mut case = Case::new(config);
        for _ in 0..20 {
            let Picked::Upstream(lease) = case.pick(&[1]) else { panic!("{balance:?}") };
            assert_eq!(lease.upstream().id(), 2, "{balance:?}");
        }
        assert!(matches!(case.pick(&[1, 2]), Picked::Nobody), "{balance:?}");
    }
}

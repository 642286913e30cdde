//! The retry budget: what it allows, who waits for it, and that all of it comes back.

use std::sync::Arc;
use std::time::Duration;

use windlass::testing::{Harness, TestPeer};

use super::config;
use crate::budget::Budget;
use crate::{Front, RetryBudget};

#[test]
fn a_share_of_what_is_under_way_and_never_less_than_the_least() {
    let config = RetryBudget { percent: 20, concurrent_min: 3 };
    let budget = Arc::new(Budget::default());
    let allowed =
        |budget: &Arc<Budget>| std::iter::from_fn(|| budget.retry(&config)).collect::<Vec<_>>().len();
    assert_eq!(allowed(&budget), 3);
    let mut underway: Vec<_> = (0..19).map(|_| budget.enter()).collect();
    assert_eq!(allowed(&budget), 3);
    underway.push(budget.enter());
    assert_eq!(allowed(&budget), 4);
    assert_eq!(budget.now(), (20, 0), "those that are over count no more");
    underway.clear();
    assert_eq!(budget.now(), (0, 0));
    let all = RetryBudget { percent: 100, concurrent_min: 0 };
    assert!(budget.retry(&all).is_none(), "nothing is under way");
    let _one = budget.enter();
    let held = budget.retry(&all);
    assert!(held.is_some() && budget.retry(&all).is_none());
}

fn now(front: &Front) -> (usize, usize) {
    let stats = front.stats();
    (stats.retry_budgets[0].active, stats.retry_budgets[0].retrying)
}

struct Case {
    front: Front,
    harness: Harness,
}

impl Case {
    /// So many clients that have all been failed by the first backend.
    fn failed(clients: usize, concurrent_min: u32) -> (Case, Vec<TestPeer>) {
        let mut config = config(&["10.0.0.1:80", "10.0.0.2:80"]);
        config.backends[1].weight = 0;
        config.health.failures_max = 0;
        config.retry_budget = RetryBudget { percent: 0, concurrent_min };
        let front = Front::new(config.clone()).unwrap();
        let mut case = Case { harness: Harness::new(front.serve()), front };
        let clients: Vec<TestPeer> = (0..clients).map(|_| case.harness.connect()).collect();
        assert_eq!(case.harness.calls().len(), clients.len());
        config.backends[1].weight = 1;
        case.front.change(config).unwrap();
        case.harness.advance(Duration::from_millis(100));
        for call in case.harness.calls() {
            case.harness.refuse(&call);
        }
        (case, clients)
    }

    fn budget(&self) -> (u64, u64) {
        let stats = self.front.stats();
        (stats.retry_budgets[0].spent, stats.retry_budgets[0].denied)
    }
}

#[test]
fn retries_beyond_the_budget_wait_for_it_and_all_clients_are_served() {
    let (mut case, clients) = Case::failed(10, 2);
    assert_eq!(case.harness.calls().len(), 2, "no more at the same time");
    assert_eq!(case.front.stats().waiting, 8);
    for done in 0..10 {
        let calls = case.harness.calls();
        assert_eq!(calls.len(), 2.min(10 - done), "the next at once, without a tick");
        assert_eq!(calls[0].remote.to_string(), "10.0.0.2:80");
        case.harness.accept(&calls[0]);
    }
    assert_eq!(case.front.stats().waiting, 0);
    assert_eq!(case.budget().0, 10);
    assert!(case.budget().1 >= 8);
    for client in clients {
        assert_eq!(case.harness.why(client), None);
    }
}

#[test]
fn newcomers_do_not_wait_behind_those_who_try_again() {
    let (mut case, _clients) = Case::failed(5, 1);
    assert_eq!((case.harness.calls().len(), case.front.stats().waiting), (1, 4));
    case.harness.connect();
    assert_eq!((case.harness.calls().len(), case.front.stats().waiting), (2, 4));
}

#[test]
fn a_client_that_vanishes_gives_its_retry_back() {
    let (mut case, clients) = Case::failed(3, 1);
    // The last one's call is taken back when it goes, and the next is made.
    for (gone, client) in clients.into_iter().enumerate() {
        assert_eq!(case.harness.calls().len(), 1, "{gone}");
        let waiting = case.front.stats().waiting;
        assert_eq!(waiting, 2 - gone);
        case.harness.reset(client);
        case.harness.advance(Duration::from_millis(100));
    }
    assert!(case.harness.calls().is_empty());
    assert_eq!(now(&case.front), (0, 0));
}

#[test]
fn where_nobody_may_wait_a_retry_beyond_the_budget_is_refused() {
    let mut config = config(&["10.0.0.1:80", "10.0.0.2:80"]).queue_max(0);
    config.retry_budget = RetryBudget { percent: 0, concurrent_min: 0 };
    let front = Front::new(config).unwrap();
    let mut harness = Harness::new(front.serve());
    let client = harness.connect();
    let call = harness.calls().remove(0);
    harness.refuse(&call);
    harness.advance(Duration::from_millis(2));
    assert_eq!(harness.why(client), Some("unavailable"));
    assert_eq!(front.stats().refused("unreachable"), 1);
    assert_eq!(now(&front), (0, 0));
}

#[test]
fn newcomers_do_not_wait_for_a_backend_that_only_those_who_try_again_need() {
    let mut config = config(&["10.0.0.1:80", "10.0.0.2:80"]);
    config.health.failures_max = 0;
    config.backends.iter_mut().for_each(|backend| backend.connections_max = 1);
    let front = Front::new(config).unwrap();
    let mut harness = Harness::new(front.serve());
    // The second backend is taken for long; the first one fails a client, which waits for the second.
    let failed = harness.connect();
    let first = harness.calls().remove(0);
    let _stays = harness.connect();
    let second = harness.calls().remove(1);
    harness.accept(&second);
    harness.refuse(&first);
    assert_eq!((harness.calls().len(), front.stats().waiting), (0, 1));
    // The first one is there again, is taken, and has room again: whoever waits for either gets it.
    let short = harness.connect();
    let call = harness.calls().remove(0);
    let behind = harness.accept(&call);
    let _waits = harness.connect();
    assert_eq!(front.stats().waiting, 2);
    harness.reset(short);
    let _ = behind;
    harness.advance(Duration::from_millis(100));
    let calls: Vec<_> = harness.calls().iter().map(|call| call.remote.to_string()).collect();
    assert_eq!(calls, ["10.0.0.1:80"]);
    assert_eq!((front.stats().waiting, harness.why(failed)), (1, None));
}

//! Connections of the pool that their backends have closed meanwhile.

use super::*;
use crate::RetryBudget;

/// A worker that keeps one connection, which has served.
fn kept(config: ProxyConfig) -> (Case, TestPeer, TestPeer) {
    let mut case = Case::new(config);
    let client = case.client(GET);
    let backend = case.accept();
    case.harness.send(backend, OK);
    assert_eq!((case.heard(client).as_str(), case.counts()), (ANSWER, (1, 0, 1)));
    case.heard(backend);
    (case, client, backend)
}

/// No retry was to be had: neither by number nor by budget.
fn no_retries() -> ProxyConfig {
    let mut config = one().retries_max(0);
    config.retry_budget = RetryBudget { percent: 0, concurrent_min: 0 };
    config
}

#[test]
fn a_stale_connection_of_the_pool_costs_no_retry() {
    for end in [Harness::finish as fn(&mut Harness, TestPeer), Harness::reset] {
        let (mut case, client, backend) = kept(no_retries());
        case.harness.send(client, GET);
        end(&mut case.harness, backend);
        let backend = case.accept();
        assert_eq!(case.heard(backend), GOT);
        case.harness.send(backend, OK);
        assert_eq!(case.heard(client), ANSWER);
        let (stats, http) = (case.front.stats(), case.http());
        assert_eq!((stats.retries, http.retries, http.stale, stats.backends[0].failed), (0, 0, 1, 0));
        assert_eq!(case.told()[1].retries, 0);
    }
}

#[test]
fn a_stale_connection_is_replaced_once_and_the_next_end_is_a_failure() {
    let (mut case, client, backend) = kept(no_retries());
    case.harness.send(client, GET);
    case.harness.finish(backend);
    let backend = case.accept();
    case.harness.finish(backend);
    assert!(case.harness.calls().is_empty());
    assert!(case.heard(client).starts_with("HTTP/1.1 502 "));
    assert_eq!((case.front.stats().backends[0].failed, case.counts()), (1, (0, 0, 1)));
}

#[test]
fn what_may_have_been_done_on_a_stale_connection_is_not_done_again() {
    let (mut case, client, backend) = kept(no_retries());
    case.harness.send(client, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    assert!(case.heard(backend).starts_with("POST"));
    case.harness.finish(backend);
    assert!(case.harness.calls().is_empty());
    assert!(case.heard(client).starts_with("HTTP/1.1 502 "));
    assert_eq!(case.http().stale, 0);
}

#[test]
fn a_connection_that_has_begun_its_answer_is_not_stale() {
    let (mut case, client, backend) = kept(no_retries());
    case.harness.send(client, GET);
    case.harness.send(backend, "HTTP/1.1 20");
    case.harness.finish(backend);
    assert!(case.harness.calls().is_empty());
    assert!(case.heard(client).starts_with("HTTP/1.1 502 "));
}

/// The retry that it is goes on with its place in the budget.
#[test]
fn a_retry_that_meets_a_stale_connection_keeps_its_place_in_the_budget() {
    let mut config = backends(&["10.0.0.1:80", "10.0.0.2:80"]).retries_max(1);
    config.retry_budget = RetryBudget { percent: 0, concurrent_min: 1 };
    let mut case = Case::new(config);
    // One connection is kept to each.
    let (one, two) = (case.client(GET), case.client(GET));
    let ends: Vec<_> = case.harness.calls().iter().map(|call| case.harness.accept(call)).collect();
    for end in &ends {
        case.harness.send(*end, OK);
    }
    assert_eq!((case.heard(one).as_str(), case.heard(two).as_str()), (ANSWER, ANSWER));
    assert_eq!(case.counts().0, 2);
    case.harness.send(one, GET);
    ends.iter().for_each(|end| case.harness.finish(*end));
    // A fresh connection, and not the other one of the pool, which has gone too.
    let call = case.call();
    case.harness.refuse(&call);
    let backend = case.accept();
    case.harness.send(backend, OK);
    assert_eq!(case.heard(one), ANSWER);
    let told = case.told();
    assert_eq!((told[2].retries, case.http().stale, case.front.stats().retries), (1, 1, 1));
    assert_eq!(case.front.stats().waiting, 0);
}

/// It reads on, though it has ended its stream: what waited for room must not get there any more.
#[test]
fn what_is_sent_again_is_not_sent_to_the_first_as_well() {
    const ROOM: usize = 2 << 10;
    let mut case = Case::with_buffers(no_retries(), ROOM / 2);
    let first = "POST /1 HTTP/1.1\r\nhost: h\r\ncontent-length: 1900\r\n\r\n";
    let length = ROOM - first.len();
    let first = first.replace("1900", &length.to_string()) + &"x".repeat(length);
    let client = case.client(&first);
    let backend = case.accept();
    // Answered and not read: there is no room for anything.
    case.harness.send(backend, OK);
    assert_eq!((case.heard(client).as_str(), case.counts()), (ANSWER, (1, 0, 1)));
    case.harness.send(client, "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    case.harness.finish(backend);
    let another = case.accept();
    assert!(case.heard(another).starts_with("POST /2"), "nothing of it had left");
    let heard = case.heard(backend);
    assert!(!heard.contains("/2"), "{}", &heard[heard.len() - 80..]);
    case.harness.send(another, OK);
    assert_eq!((case.heard(client).as_str(), case.http().stale), (ANSWER, 1));
}

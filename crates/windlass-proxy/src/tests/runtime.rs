//! What an operator orders while a proxy runs, on a network without faults.

use std::time::Duration;

use windlass::testing::{Harness, TestCall, TestPeer};

use super::config;
use crate::{
    Backend, BackendState, Balance, ConfigError, Front, Health, Order, OrderError, Origin, ProxyConfig,
    RUNTIME_CHANGES_MAX, Route,
};

const TICK: Duration = crate::Proxy::TICK;

struct Case {
    front: Front,
    harness: Harness,
}

impl Case {
    fn new(config: ProxyConfig) -> Case {
        let front = Front::new(config).unwrap();
        let harness = Harness::new(front.serve());
        Case { front, harness }
    }

    fn call(&self) -> TestCall {
        let mut calls = self.harness.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.remove(0)
    }

    /// A client, its backend's end of the connection, and where that is.
    fn couple(&mut self) -> (TestPeer, TestPeer, String) {
        let client = self.harness.connect();
        let call = self.call();
        (client, self.harness.accept(&call), call.remote.to_string())
    }

    /// Orders, and lets the workers hear of it.
    fn order(&mut self, backend: &str, order: Order) -> Result<crate::Ordered, OrderError> {
        let ordered = self.front.order(None, backend, &order);
        self.harness.advance(Duration::ZERO);
        ordered
    }

    fn states(&self) -> Vec<(String, BackendState)> {
        let stats = self.front.stats();
        stats.backends.into_iter().map(|backend| (backend.address, backend.state)).collect()
    }

    /// Who gets so many clients, which hang up at once.
    fn takers(&mut self, n: usize) -> Vec<String> {
        let mut takers = Vec::new();
        for _ in 0..n {
            let (client, backend, at) = self.couple();
            takers.push(at);
            self.harness.reset(client);
            let _ = backend;
        }
        takers.sort();
        takers.dedup();
        takers
    }
}

fn backend(address: &str) -> Backend {
    Backend::at(address.parse().unwrap())
}

const ONE: &str = "10.0.0.1:80";
const TWO: &str = "10.0.0.2:80";
const THREE: &str = "10.0.0.3:80";

#[test]
fn a_backend_that_drains_keeps_what_it_has_and_gets_nothing_new() {
    let mut case = Case::new(config(&[ONE, TWO]));
    let (client, behind, at) = case.couple();
    assert_eq!(at, ONE);
    let ordered = case.order(ONE, Order::Drain).unwrap();
    let left = ordered.backend.unwrap();
    assert_eq!((left.state, left.connections, left.weight), (BackendState::Draining, 1, 1));
    assert_eq!(case.takers(4), [TWO]);
    case.harness.send(client, b"still here");
    assert_eq!(case.harness.receive(behind), b"still here");
    let ordered = case.order(ONE, Order::Enable).unwrap();
    assert!(!ordered.backend.unwrap().is_changed, "it is as configured again");
    assert_eq!(case.takers(4), [ONE, TWO]);
}

/// An order is answered before the workers have heard of it; nobody is to notice.
#[test]
fn whoever_comes_after_an_order_finds_what_it_says() {
    let mut case = Case::new(config(&[ONE, TWO]));
    case.couple();
    case.couple();
    case.front.order(None, ONE, &Order::Drain).unwrap();
    assert_eq!(case.couple().2, TWO, "in the very turn in which the message is heard");
    case.front.order(None, TWO, &Order::Remove { force: false }).unwrap();
    case.front.order(None, ONE, &Order::Enable).unwrap();
    assert_eq!(case.couple().2, ONE);
    case.front.add(None, backend(THREE)).unwrap();
    case.front.order(None, ONE, &Order::Disable).unwrap();
    assert_eq!(case.couple().2, THREE);
}

#[test]
fn a_backend_is_added_and_gets_its_share() {
    let mut case = Case::new(config(&[ONE]));
    let added = case.front.add(None, backend(TWO).weight(3)).unwrap().backend.unwrap();
    assert_eq!((added.origin, added.weight, &*added.address), (Origin::Added, 3, TWO));
    case.harness.advance(Duration::ZERO);
    assert_eq!(case.takers(4), [ONE, TWO]);
    let twice = ConfigError::Twice { backend: TWO.into() };
    assert_eq!(case.front.add(None, backend(TWO)).unwrap_err(), OrderError::Wrong(twice));
    let twice = ConfigError::Twice { backend: ONE.into() };
    assert_eq!(case.front.add(None, backend(ONE)).unwrap_err(), OrderError::Wrong(twice));
    let nowhere = case.front.add(Some("www.example.com"), backend(THREE)).unwrap_err();
    assert_eq!(nowhere.to_string(), "there is no route `www.example.com`");
}

#[test]
fn a_backend_that_is_removed_goes_with_its_last_connection() {
    let mut case = Case::new(config(&[ONE, TWO]));
    let (client, behind, _) = case.couple();
    let ordered = case.order(ONE, Order::Remove { force: false }).unwrap();
    assert!(!ordered.gone);
    assert_eq!(ordered.backend.unwrap().connections, 1);
    case.harness.advance(TICK);
    assert_eq!(case.states()[0], (ONE.into(), BackendState::Leaving));
    assert_eq!(case.takers(3), [TWO]);
    case.harness.send(client, b"bye");
    assert_eq!(case.harness.receive(behind), b"bye");
    case.harness.finish(client);
    case.harness.finish(behind);
    case.harness.advance(TICK);
    assert_eq!(case.states(), [(TWO.into(), BackendState::Up)]);
    // Nobody is there who could be drained; but whoever wants it back gets it.
    let gone = OrderError::NoBackend { backend: ONE.into() };
    assert_eq!(case.order(ONE, Order::Drain).unwrap_err(), gone);
    case.order(ONE, Order::Enable).unwrap();
    assert_eq!(case.takers(4), [ONE, TWO]);
    let ordered = case.order(TWO, Order::Remove { force: false }).unwrap();
    assert!(ordered.gone, "without a connection it goes at once");
}

#[test]
fn a_backend_that_is_removed_by_force_loses_its_connections_and_nobody_else_does() {
    let mut case = Case::new(config(&[ONE, TWO]));
    let (cut, behind, _) = case.couple();
    let (stays, other, at) = case.couple();
    assert_eq!(at, TWO);
    case.order(ONE, Order::Remove { force: true }).unwrap();
    assert_eq!((case.harness.why(cut), case.harness.why(behind)), (Some("aborted"), Some("aborted")));
    case.harness.send(stays, b"all well");
    assert_eq!(case.harness.receive(other), b"all well");
    case.harness.advance(TICK);
    assert_eq!(case.states(), [(TWO.into(), BackendState::Up)]);
}

#[test]
fn who_is_being_connected_to_one_that_is_removed_by_force_gets_another() {
    let mut case = Case::new(config(&[ONE, TWO]));
    let client = case.harness.connect();
    assert_eq!(case.call().remote.to_string(), ONE);
    case.order(ONE, Order::Remove { force: true }).unwrap();
    case.harness.advance(TICK);
    let call = case.call();
    assert_eq!(call.remote.to_string(), TWO);
    let behind = case.harness.accept(&call);
    case.harness.send(client, b"hello");
    assert_eq!(case.harness.receive(behind), b"hello");
}

#[test]
fn weights_are_set_and_known_by_the_table_too() {
    for balance in Balance::ALL {
        let mut case = Case::new(config(&[ONE, TWO]).balance(balance));
        case.order(ONE, Order::Weight(0)).unwrap();
        assert_eq!(case.takers(4), [TWO], "{}", balance.label());
        let heavy = case.order(ONE, Order::Weight(70_000)).unwrap_err();
        assert_eq!(heavy, OrderError::Wrong(ConfigError::Weight { backend: ONE.into() }));
        case.order(ONE, Order::Weight(65_535)).unwrap();
        assert!(case.takers(4).contains(&ONE.to_string()), "{}", balance.label());
    }
}

#[test]
fn one_that_is_worked_on_is_not_checked() {
    let health = Health { check_every: Duration::from_secs(1), jitter_percent: 0, ..Health::default() };
    let mut case = Case::new(config(&[ONE, TWO]).health(health));
    let refuse_all = |case: &mut Case| {
        let calls = case.harness.calls();
        calls.iter().for_each(|call| case.harness.refuse(call));
        calls.into_iter().map(|call| call.remote.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(refuse_all(&mut case), [ONE, TWO]);
    case.order(ONE, Order::Disable).unwrap();
    case.harness.advance(Duration::from_millis(1_100));
    assert_eq!(refuse_all(&mut case), [TWO]);
    assert_eq!(case.states()[0].1, BackendState::Disabled);
    case.order(ONE, Order::Enable).unwrap();
    case.harness.advance(Duration::from_millis(1_100));
    assert_eq!(refuse_all(&mut case), [ONE, TWO]);
}

#[test]
fn orders_outlast_another_configuration_for_as_long_as_their_backend_does() {
    let mut case = Case::new(config(&[ONE, TWO]));
    case.order(ONE, Order::Drain).unwrap();
    case.front.add(None, backend(THREE).weight(2)).unwrap();
    let changed = case.front.change(config(&[ONE, TWO]).retries_max(1)).unwrap();
    assert_eq!(changed, crate::Changed::default());
    let stats = case.front.stats();
    assert_eq!(case.states().len(), 3, "{stats:?}");
    assert_eq!(stats.backends[0].state, BackendState::Draining);
    // It is in the file now: what that says of it counts.
    case.front.change(config(&[ONE, THREE])).unwrap();
    let stats = case.front.stats();
    assert_eq!((stats.backends[1].origin, stats.backends[1].weight), (Origin::Configured, 1));
    // One that is gone from it is forgotten, and back as it is described.
    case.front.change(config(&[THREE])).unwrap();
    case.front.change(config(&[ONE, THREE])).unwrap();
    assert_eq!(case.states(), [(ONE.into(), BackendState::Up), (THREE.into(), BackendState::Up)]);
    assert_eq!(case.front.reset(), 0, "nothing differs any more");
}

#[test]
fn a_removed_backend_stays_away_and_a_reset_brings_it_back() {
    let mut case = Case::new(config(&[ONE, TWO]));
    case.order(ONE, Order::Remove { force: false }).unwrap();
    case.front.add(None, backend(THREE)).unwrap();
    case.front.change(config(&[ONE, TWO]).retries_max(1)).unwrap();
    assert_eq!(case.states().len(), 2, "{:?}", case.states());
    assert_eq!(case.front.reset(), 2);
    assert_eq!(case.states(), [(ONE.into(), BackendState::Up), (TWO.into(), BackendState::Up)]);
}

#[test]
fn the_last_backend_may_go_and_clients_are_told() {
    let mut case = Case::new(config(&[ONE]));
    assert!(case.order(ONE, Order::Remove { force: false }).unwrap().gone);
    let client = case.harness.connect();
    case.harness.advance(TICK);
    assert_eq!(case.harness.why(client), Some("unavailable"));
    assert_eq!(case.front.stats().refused("no_backend"), 1);
}

#[test]
fn names_find_backends_and_the_route_says_which() {
    let route = |name: &str| Route::server_name(name).backend(backend(ONE).name("a"));
    let case = Case::new(ProxyConfig::default().route(route("x.test")).route(route("y.test")));
    let unclear = case.front.order(None, "a", &Order::Drain).unwrap_err();
    assert_eq!(unclear.to_string(), "several routes have a backend `a`: say which of x.test, y.test");
    case.front.order(Some("y.test"), "a", &Order::Drain).unwrap();
    let states: Vec<_> = case.states().into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, [BackendState::Up, BackendState::Draining]);
}

#[test]
fn what_differs_is_bounded() {
    let front = Front::new(config(&[ONE])).unwrap();
    let address = |n: usize| format!("10.1.{}.{}:80", n / 250, n % 250);
    let mut changes = front.shared().with_current(|current| current.overlay.clone());
    for n in 0..RUNTIME_CHANGES_MAX {
        changes.order("backends", &address(n), &Order::Drain).unwrap();
    }
    assert_eq!(changes.order("backends", ONE, &Order::Drain).unwrap_err(), OrderError::TooMany);
    changes.order("backends", &address(0), &Order::Weight(3)).unwrap();
}

#[test]
fn another_proxy_in_its_place_takes_the_changes_over() {
    let front = Front::new(config(&[ONE, TWO])).unwrap();
    front.order(None, ONE, &Order::Drain).unwrap();
    front.order(None, TWO, &Order::Weight(9)).unwrap();
    let next = Front::new(config(&[ONE])).unwrap();
    assert_eq!(next.take_over(&front), 1);
    assert_eq!(next.stats().backends[0].state, BackendState::Draining);
}

#[test]
fn bytes_of_connections_that_last_are_counted_while_they_do() {
    let mut case = Case::new(config(&[ONE]));
    let (client, behind, _) = case.couple();
    case.harness.send(client, b"four");
    case.harness.send(behind, b"seven..");
    case.harness.advance(TICK * 2);
    let stats = case.front.stats();
    assert_eq!((stats.backends[0].sent_bytes, stats.backends[0].received_bytes), (4, 7));
    case.harness.send(client, b"more");
    case.harness.finish(client);
    case.harness.finish(behind);
    let stats = case.front.stats();
    assert_eq!((stats.sent_bytes, stats.received_bytes), (8, 7), "each once");
    assert_eq!((stats.clients_peak, stats.backends[0].connections_peak), (1, 1));
}

#[test]
fn downtime_is_what_checks_say() {
    let health = Health { check_every: Duration::from_secs(1), jitter_percent: 0, ..Health::default() };
    let mut case = Case::new(config(&[ONE]).health(Health { fall: 1, rise: 1, ..health }));
    let call = case.call();
    case.harness.advance(Duration::from_millis(30));
    case.harness.refuse(&call);
    let one = case.front.stats().backends.remove(0);
    assert_eq!((one.state, one.downs), (BackendState::Down, 1));
    let check = one.last_check.unwrap();
    assert_eq!((check.passed, check.took), (false, Duration::from_millis(30)));
    case.harness.advance(Duration::from_millis(1_000));
    let one = case.front.stats().backends.remove(0);
    assert!(one.downtime > Duration::from_millis(800), "{one:?}");
    assert_eq!(one.changed_ago, Some(one.downtime));
    let call = case.call();
    case.harness.accept(&call);
    let downtime = case.front.stats().backends[0].downtime;
    case.harness.advance(Duration::from_millis(500));
    let one = case.front.stats().backends.remove(0);
    assert_eq!((one.state, one.downtime), (BackendState::Up, downtime));
}

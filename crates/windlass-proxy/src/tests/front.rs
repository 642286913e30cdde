//! Whole proxies, driven by hand: on a network without faults, with a clock that stands still.

use std::net::IpAddr;
use std::time::Duration;

use windlass::testing::{Harness, TestCall, TestPeer};

use super::config;
use crate::{
    AcceptProxy, Backend, BackendState, Balance, Breaker, Front, Health, Others, ProxyConfig, Route, Sources,
    Timeouts, Version,
};

const SECOND: Duration = Duration::from_secs(1);

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

    /// The only call that waits for an answer.
    fn call(&self) -> TestCall {
        let mut calls = self.harness.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.remove(0)
    }

    /// A client, and its backend's end of the connection to it.
    fn couple(&mut self) -> (TestPeer, TestPeer) {
        let client = self.harness.connect();
        let call = self.call();
        (client, self.harness.accept(&call))
    }

    fn connections(&self) -> Vec<usize> {
        self.front.stats().backends.iter().map(|backend| backend.connections).collect()
    }
}

#[test]
fn bytes_and_ends_pass_and_counts_return_to_nothing() {
    let mut case = Case::new(config(&["10.0.0.1:80"]));
    let client = case.harness.connect();
    case.harness.send(client, b"early");
    let call = case.call();
    assert_eq!(call.remote.to_string(), "10.0.0.1:80");
    let backend = case.harness.accept(&call);
    case.harness.send(client, b" and late");
    assert_eq!(case.harness.receive(backend), b"early and late");
    case.harness.finish(client);
    case.harness.send(backend, b"answer");
    assert_eq!(case.harness.receive(client), b"answer");
    assert_eq!(case.connections(), [1]);
    case.harness.finish(backend);
    assert_eq!((case.harness.why(client), case.harness.why(backend)), (Some("eof"), Some("eof")));
    let stats = case.front.stats();
    let one = &stats.backends[0];
    assert_eq!((stats.clients, stats.opened, one.connections, one.opened, one.failed), (0, 1, 0, 1, 0));
    assert_eq!((one.sent_bytes, one.received_bytes), (14, 6));
}

#[test]
fn a_backend_that_refuses_is_passed_over_and_the_client_never_knows() {
    let mut case = Case::new(config(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]));
    let client = case.harness.connect();
    let call = case.call();
    case.harness.refuse(&call);
    let call = case.call();
    assert_eq!(call.remote.to_string(), "10.0.0.2:80");
    case.harness.unreachable(&call);
    let call = case.call();
    assert_eq!(call.remote.to_string(), "10.0.0.3:80");
    let backend = case.harness.accept(&call);
    case.harness.send(client, b"hello");
    assert_eq!(case.harness.receive(backend), b"hello");
    let stats = case.front.stats();
    assert_eq!((stats.retries, case.connections()), (2, vec![0, 0, 1]));
}

#[test]
fn the_only_backend_is_tried_again_after_a_pause_and_not_for_ever() {
    let mut case = Case::new(config(&["10.0.0.1:80"]).retries_max(2));
    let client = case.harness.connect();
    for _ in 0..2 {
        let call = case.call();
        case.harness.refuse(&call);
        assert!(case.harness.calls().is_empty(), "not at once");
        case.harness.advance(Duration::from_millis(251));
    }
    let call = case.call();
    case.harness.refuse(&call);
    case.harness.advance(Duration::from_millis(2));
    assert_eq!(case.harness.why(client), Some("unavailable"));
    assert_eq!(case.front.stats().refused("unreachable"), 1);
    assert_eq!(case.connections(), [0]);
}

#[test]
fn a_backend_that_hangs_has_until_the_connect_timeout() {
    let mut case = Case::new(config(&["10.0.0.1:80", "10.0.0.2:80"]));
    case.harness.connect();
    case.harness.advance(Duration::from_millis(4_990));
    assert_eq!(case.call().remote.to_string(), "10.0.0.1:80");
    case.harness.advance(Duration::from_millis(20));
    assert_eq!(case.call().remote.to_string(), "10.0.0.2:80");
    assert_eq!(case.connections(), [0, 1]);
}

#[test]
fn a_client_that_vanishes_takes_its_call_back() {
    let mut case = Case::new(config(&["10.0.0.1:80"]));
    let client = case.harness.connect();
    assert_eq!(case.connections(), [1]);
    case.harness.reset(client);
    case.harness.advance(Duration::ZERO);
    assert!(case.harness.calls().is_empty());
    let stats = case.front.stats();
    assert_eq!((stats.clients, stats.backends[0].connections, stats.backends[0].failed), (0, 0, 0));
}

#[test]
fn clients_wait_for_room_in_the_order_they_came() {
    let mut config = config(&["10.0.0.1:80"]);
    config.backends[0].connections_max = 1;
    config.queue_max = 2;
    let mut case = Case::new(config);
    let (first, backend) = case.couple();
    let (second, third, fourth) = (case.harness.connect(), case.harness.connect(), case.harness.connect());
    case.harness.advance(Duration::from_millis(2));
    assert_eq!(case.harness.why(fourth), Some("unavailable"), "the queue is full");
    assert_eq!((case.front.stats().waiting, case.front.stats().refused("queue_full")), (2, 1));
    case.harness.finish(first);
    case.harness.finish(backend);
    let call = case.call();
    let backend = case.harness.accept(&call);
    case.harness.send(second, b"second");
    assert_eq!(case.harness.receive(backend), b"second");
    assert_eq!(case.front.stats().waiting, 1);
    case.harness.advance(10 * SECOND + Duration::from_millis(2));
    assert_eq!(case.harness.why(third), Some("unavailable"), "it has waited for as long as it may");
    assert_eq!((case.front.stats().waiting, case.front.stats().refused("queue_timeout")), (0, 1));
}

#[test]
fn who_leaves_the_queue_is_forgotten() {
    let mut config = config(&["10.0.0.1:80"]);
    config.backends[0].connections_max = 1;
    let mut case = Case::new(config);
    let (first, _backend) = case.couple();
    let second = case.harness.connect();
    let third = case.harness.connect();
    case.harness.reset(second);
    assert_eq!(case.front.stats().waiting, 1);
    case.harness.reset(first);
    let call = case.call();
    let backend = case.harness.accept(&call);
    case.harness.send(third, b"third");
    assert_eq!(case.harness.receive(backend), b"third");
    assert_eq!((case.front.stats().waiting, case.connections()), (0, vec![1]));
}

#[test]
fn silence_has_a_deadline_of_its_own_in_every_state() {
    let timeouts = Timeouts {
        client: 20 * SECOND,
        server: 30 * SECOND,
        client_fin: 3 * SECOND,
        server_fin: 5 * SECOND,
        ..Timeouts::default()
    };
    let mut case = Case::new(config(&["10.0.0.1:80"]).timeouts(timeouts));
    let wait = |case: &mut Case, client: TestPeer, limit: Duration| {
        case.harness.advance(limit - Duration::from_millis(10));
        assert_eq!(case.harness.why(client), None, "{limit:?}: too early");
        case.harness.advance(Duration::from_millis(20));
        assert_eq!(case.harness.why(client), Some("timeout"), "{limit:?}");
    };
    let (client, _) = case.couple();
    case.harness.advance(15 * SECOND);
    case.harness.send(client, b"still here");
    wait(&mut case, client, 20 * SECOND);
    let (client, _backend) = case.couple();
    case.harness.finish(client);
    wait(&mut case, client, 5 * SECOND);
    let (client, backend) = case.couple();
    case.harness.advance(10 * SECOND);
    // It has been silent for longer than that already; what counts is the silence from here on.
    case.harness.finish(backend);
    case.harness.advance(2 * SECOND);
    case.harness.send(client, b"more");
    wait(&mut case, client, 3 * SECOND);
    let tunnel = Timeouts { tunnel: 60 * SECOND, ..timeouts };
    case.front.change(config(&["10.0.0.1:80"]).timeouts(tunnel)).unwrap();
    case.harness.settle();
    let (client, _backend) = case.couple();
    wait(&mut case, client, 60 * SECOND);
    assert_eq!((case.front.stats().clients, case.connections()), (0, vec![0]));
}

#[test]
fn half_closed_without_a_deadline_of_its_own_it_keeps_those_it_had() {
    let none = Duration::ZERO;
    let timeouts = Timeouts {
        client: 20 * SECOND,
        server: 30 * SECOND,
        client_fin: none,
        server_fin: none,
        ..Timeouts::default()
    };
    for (tunnel, limit) in [(none, 20 * SECOND), (60 * SECOND, 60 * SECOND)] {
        let mut case = Case::new(config(&["10.0.0.1:80"]).timeouts(Timeouts { tunnel, ..timeouts }));
        for client_ends in [true, false] {
            let (client, backend) = case.couple();
            case.harness.finish(if client_ends { client } else { backend });
            case.harness.advance(limit - Duration::from_millis(10));
            assert_eq!(case.harness.why(client), None, "{limit:?}: too early");
            case.harness.advance(Duration::from_millis(20));
            assert_eq!(case.harness.why(client), Some("timeout"), "{limit:?}, client ends: {client_ends}");
        }
        assert_eq!((case.front.stats().clients, case.connections()), (0, vec![0]));
    }
}

fn trusting(networks: &[&str]) -> ProxyConfig {
    config(&["10.9.9.9:80"]).accept_proxy(AcceptProxy::from(Sources::parse(networks).unwrap()))
}

fn from(ip: &str) -> IpAddr {
    ip.parse().unwrap()
}

#[test]
fn a_trusted_peer_says_who_the_client_is_and_backends_are_told() {
    let mut config = trusting(&["192.0.2.0/24"]);
    config.backends[0].send_proxy = Some(Version::V1);
    let mut case = Case::new(config);
    let client = case.harness.connect_from(from("192.0.2.9"));
    case.harness.send_split(client, b"PROXY TCP4 203.0.113.7 198.51.100.1 51000 443\r\nhello", 1);
    let call = case.call();
    let backend = case.harness.accept(&call);
    let told = case.harness.receive(backend);
    assert_eq!(String::from_utf8_lossy(&told), "PROXY TCP4 203.0.113.7 198.51.100.1 51000 443\r\nhello");
}

#[test]
fn without_a_header_before_us_backends_are_told_what_we_see() {
    let mut config = config(&["10.0.0.1:80"]);
    config.backends[0].send_proxy = Some(Version::V2);
    let mut case = Case::new(config);
    let client = case.harness.connect_from(from("203.0.113.7"));
    case.harness.send(client, b"hello");
    let call = case.call();
    let backend = case.harness.accept(&call);
    let told = case.harness.receive(backend);
    assert_eq!(&told[..16], b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c");
    assert_eq!(told[16..20], [203, 0, 113, 7]);
    assert_eq!(&told[28..], b"hello");
}

#[test]
fn a_header_from_somebody_who_is_not_trusted_is_refused_and_counted() {
    let header = b"PROXY TCP4 203.0.113.7 198.51.100.1 51000 443\r\nhello";
    let mut case = Case::new(trusting(&["192.0.2.0/24"]));
    let client = case.harness.connect_from(from("198.51.100.9"));
    assert_eq!(case.harness.why(client), None, "refused before it was anybody's");
    assert!(case.harness.is_ended(client) || case.harness.ending(client).is_some());
    assert_eq!(case.front.stats().refused("untrusted"), 1);
    let mut config = trusting(&["192.0.2.0/24"]);
    config.accept_proxy.as_mut().unwrap().others = Others::Clients;
    let mut case = Case::new(config);
    for size in [1, 3, 100] {
        let client = case.harness.connect_from(from("198.51.100.9"));
        case.harness.send_split(client, header, size);
        assert_eq!(case.harness.why(client), Some("protocol"));
        let client = case.harness.connect_from(from("198.51.100.9"));
        case.harness.send_split(client, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", size);
        assert_eq!(case.harness.why(client), Some("protocol"));
    }
    assert!(case.harness.calls().is_empty(), "no backend heard of it");
    assert_eq!(case.front.stats().refused("spoofed"), 6);
    let client = case.harness.connect_from(from("198.51.100.9"));
    case.harness.send(client, b"PROPER");
    let call = case.call();
    let backend = case.harness.accept(&call);
    assert_eq!(case.harness.receive(backend), b"PROPER", "an honest client is served");
}

#[test]
fn a_header_that_is_cut_short_wrong_or_late_reaches_no_backend() {
    let mut case = Case::new(trusting(&["0.0.0.0/0"]));
    let whole = b"PROXY TCP4 203.0.113.7 198.51.100.1 51000 443\r\n";
    for cut in 0..whole.len() {
        let client = case.harness.connect();
        case.harness.send(client, &whole[..cut]);
        case.harness.finish(client);
        let label = if cut == 0 { "eof" } else { "truncated" };
        assert_eq!(case.harness.why(client), Some(label), "{cut}");
    }
    let client = case.harness.connect();
    case.harness.send(client, b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(case.harness.why(client), Some("protocol"));
    assert_eq!(case.front.stats().refused("header"), 1);
    let client = case.harness.connect();
    case.harness.send(client, &whole[..20]);
    case.harness.advance(3 * SECOND);
    case.harness.send(client, &whole[20..30]);
    case.harness.advance(3 * SECOND);
    assert_eq!(case.harness.why(client), Some("timeout"), "the deadline is for all of it, not for each byte");
    assert_eq!(case.front.stats().refused("silent"), 1);
    assert!(case.harness.calls().is_empty());
    assert_eq!(case.front.stats().clients, 0);
}

#[test]
fn what_a_client_hello_asks_for_chooses_the_backend_and_passes_whole() {
    let route = |name: &str, at: &str| Route::server_name(name).backend(Backend::at(at.parse().unwrap()));
    let config = ProxyConfig::default()
        .route(route("a.test", "10.0.0.1:443"))
        .route(route("*.b.test", "10.0.0.2:443"));
    let mut case = Case::new(config);
    for (name, at) in [("a.test", "10.0.0.1:443"), ("x.b.test", "10.0.0.2:443")] {
        let hello = hello(name);
        let client = case.harness.connect();
        case.harness.send_split(client, &hello, 7);
        let call = case.call();
        assert_eq!(call.remote.to_string(), at);
        let backend = case.harness.accept(&call);
        assert_eq!(case.harness.receive(backend), hello);
    }
    let client = case.harness.connect();
    case.harness.send(client, hello("c.test"));
    assert_eq!(case.harness.why(client), Some("protocol"));
    let client = case.harness.connect();
    case.harness.send(client, b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(case.harness.why(client), Some("protocol"));
    let stats = case.front.stats();
    assert_eq!((stats.refused("no_route"), stats.refused("hello")), (1, 1));
}

/// A ClientHello that asks for this name.
fn hello(name: &str) -> Vec<u8> {
    let with_len = |width: usize, body: &[u8]| {
        let len = (body.len() as u32).to_be_bytes();
        [&len[4 - width..], body].concat()
    };
    let entry = [&[0][..], &with_len(2, name.as_bytes())].concat();
    let extension = [&[0, 0][..], &with_len(2, &with_len(2, &entry))].concat();
    let body = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &with_len(2, &extension)].concat();
    let message = [&[1][..], &with_len(3, &body)].concat();
    [&[22, 3, 1][..], &with_len(2, &message)].concat()
}

#[test]
fn a_change_moves_new_clients_and_leaves_the_old_where_they_are() {
    let mut case = Case::new(config(&["10.0.0.1:80"]));
    let (client, backend) = case.couple();
    let changed = case.front.change(config(&["10.0.0.2:80"])).unwrap();
    assert_eq!(
        (changed.added, changed.removed),
        (vec!["backends/10.0.0.2:80".into()], vec!["backends/10.0.0.1:80".into()])
    );
    case.harness.settle();
    case.harness.send(client, b"as before");
    assert_eq!(case.harness.receive(backend), b"as before");
    case.harness.connect();
    assert_eq!(case.call().remote.to_string(), "10.0.0.2:80");
    // Drained: it weighs nothing, and nobody new comes to it.
    let mut drained = config(&["10.0.0.2:80", "10.0.0.3:80"]);
    drained.backends[0].weight = 0;
    case.front.change(drained).unwrap();
    case.harness.settle();
    for _ in 0..3 {
        case.harness.connect();
    }
    let remotes: Vec<_> = case.harness.calls().iter().map(|call| call.remote.to_string()).collect();
    assert_eq!(remotes, ["10.0.0.2:80", "10.0.0.3:80", "10.0.0.3:80", "10.0.0.3:80"]);
    assert_eq!(case.front.stats().backends[0].state, BackendState::Draining);
    assert_eq!(case.connections(), [1, 3], "the call from before it was drained goes on");
    assert!(case.front.change(ProxyConfig::default()).is_err(), "what cannot work changes nothing");
}

#[test]
fn turns_go_on_however_often_the_configuration_changes() {
    for balance in [Balance::RoundRobin, Balance::LeastConnections] {
        let addresses = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
        let mut case = Case::new(config(&addresses).balance(balance));
        for n in 0..9 {
            case.front.change(config(&addresses).balance(balance).queue_max(n)).unwrap();
            case.harness.settle();
            let (client, backend) = case.couple();
            [client, backend].into_iter().for_each(|end| case.harness.finish(end));
        }
        let opened: Vec<u64> = case.front.stats().backends.iter().map(|one| one.opened).collect();
        assert_eq!(opened, [3, 3, 3], "{balance:?}");
    }
}

#[test]
fn who_waits_is_served_when_a_change_brings_a_backend_with_room() {
    let mut one = config(&["10.0.0.1:80"]);
    one.backends[0].connections_max = 1;
    let mut case = Case::new(one.clone());
    let _coupled = case.couple();
    let waiting = case.harness.connect();
    case.harness.send(waiting, b"patience");
    assert_eq!(case.front.stats().waiting, 1);
    case.front.change(one.backend(Backend::at("10.0.0.2:80".parse().unwrap()))).unwrap();
    case.harness.settle();
    let call = case.call();
    assert_eq!(call.remote.to_string(), "10.0.0.2:80");
    let backend = case.harness.accept(&call);
    assert_eq!(case.harness.receive(backend), b"patience");
}

#[test]
fn checks_take_a_backend_out_and_bring_it_back() {
    let health = Health { check_every: SECOND, jitter_percent: 0, rise: 2, fall: 2, ..Health::default() };
    let mut case = Case::new(config(&["10.0.0.1:80", "10.0.0.2:80"]).health(health));
    let mut state = |good: bool| {
        for call in case.harness.calls() {
            let first = call.remote.to_string() == "10.0.0.1:80";
            match good || !first {
                true => drop(case.harness.accept(&call)),
                false => case.harness.refuse(&call),
            }
        }
        let states: Vec<_> = case.front.stats().backends.iter().map(|one| one.state).collect();
        case.harness.advance(SECOND + Duration::from_millis(101));
        states[0]
    };
    let seen: Vec<_> = [false, false, true, true].into_iter().map(&mut state).collect();
    assert_eq!(seen, [BackendState::Up, BackendState::Down, BackendState::Down, BackendState::Up]);
    let one = &case.front.stats().backends[0];
    assert_eq!((one.checks_passed, one.checks_failed, one.connections), (2, 2, 0));
}

#[test]
fn passive_ejection_stops_at_its_share() {
    let health = Health { failures_max: 1, ..Health::default() };
    let mut case = Case::new(config(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]).health(health));
    case.harness.connect();
    for _ in 0..3 {
        let call = case.call();
        case.harness.refuse(&call);
    }
    case.harness.advance(Duration::from_millis(101));
    let stats = case.front.stats();
    let ejected = stats.backends.iter().filter(|one| one.state == BackendState::Ejected).count();
    let spared: u64 = stats.backends.iter().map(|one| one.ejections_spared).sum();
    assert_eq!((ejected, spared), (1, 2), "of three, half is one");
}

#[test]
fn a_backend_that_breaks_connections_before_it_says_anything_is_ejected() {
    let mut case = Case::new(config(&["10.0.0.1:80", "10.0.0.2:80"]).balance(Balance::RoundRobin));
    for _ in 0..3 {
        let client = case.harness.connect();
        let call = case.call();
        assert_eq!(call.remote.to_string(), "10.0.0.1:80");
        let backend = case.harness.accept(&call);
        case.harness.reset(backend);
        assert_eq!(case.harness.why(client), Some("aborted"));
        let (_, other) = case.couple();
        case.harness.send(other, b"well");
    }
    case.harness.advance(Duration::from_millis(101));
    assert_eq!(case.front.stats().backends[0].state, BackendState::Ejected);
    assert_eq!(case.front.stats().backends[0].failed, 3);
}

#[test]
fn a_client_whose_bytes_make_backends_reset_takes_none_from_others() {
    let health = Health {
        breaker: Breaker { errors_percent: 1, volume_min: 1, ..Breaker::default() },
        ..Health::default()
    };
    let mut case = Case::new(config(&["10.0.0.1:80", "10.0.0.2:80"]).health(health));
    for _ in 0..8 {
        let (client, backend) = case.couple();
        case.harness.send(client, b"what it chokes on");
        assert_eq!(case.harness.receive(backend), b"what it chokes on");
        case.harness.reset(backend);
        assert_eq!(case.harness.why(client), Some("aborted"));
    }
    case.harness.advance(Duration::from_millis(101));
    let states: Vec<_> = case.front.stats().backends.iter().map(|one| (one.state, one.failed)).collect();
    assert_eq!(states, [(BackendState::Up, 0); 2]);
}

#[test]
fn a_name_is_resolved_off_the_loop_and_its_last_good_addresses_are_kept() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    let works = Arc::new(AtomicBool::new(true));
    let lookup = works.clone();
    let resolver = windlass::Resolver::with_lookup(windlass::ResolverConfig::default(), move |host| {
        assert_eq!(host, "app.test");
        match lookup.load(Relaxed) {
            true => Ok(vec!["10.7.7.7:0".parse().unwrap(), "10.7.7.8:0".parse().unwrap()]),
            false => Err(std::io::Error::other("nobody knows")),
        }
    });
    let front = Front::with_resolver(config(&["app.test:8080"]), resolver).unwrap();
    let mut case = Case { harness: Harness::new(front.serve()), front };
    let client = case.harness.connect();
    case.harness.advance(Duration::from_millis(200));
    let call = case.call();
    assert_eq!(call.remote.to_string(), "10.7.7.7:8080");
    case.harness.refuse(&call);
    let call = case.call();
    assert_eq!(call.remote.to_string(), "10.7.7.8:8080", "its other address, at once");
    case.harness.accept(&call);
    works.store(false, Relaxed);
    case.harness.advance(100 * SECOND);
    case.harness.reset(client);
    case.harness.connect();
    assert_eq!(case.call().remote.to_string(), "10.7.7.8:8080", "nothing newer is known");
}

#[test]
fn a_drain_lets_pairs_go_on_and_sends_away_who_has_said_nothing() {
    let mut case = Case::new(trusting(&["0.0.0.0/0"]));
    let silent = case.harness.connect();
    let client = case.harness.connect();
    case.harness.send(client, b"PROXY UNKNOWN\r\nhello");
    let call = case.call();
    case.harness.shutdown();
    assert_eq!(case.harness.why(silent), Some("shutdown"));
    let backend = case.harness.accept(&call);
    assert_eq!(case.harness.receive(backend), b"hello");
    case.harness.send(backend, b"bye");
    case.harness.finish(backend);
    assert_eq!(case.harness.receive(client), b"bye");
    case.harness.finish(client);
    assert_eq!(case.front.stats().clients, 0);
}

#[test]
fn who_cannot_be_called_yet_waits_for_the_next_tick_and_not_for_longer_than_the_queue_lasts() {
    let mut config = config(&["10.0.0.1:80"]);
    config.timeouts.connect = 60 * SECOND;
    let front = Front::new(config).unwrap();
    let limits = windlass::Limits { connecting_max: 1, ..windlass::Limits::default() };
    let mut harness = Harness::new(front.serve().limits(limits));
    let clients = [harness.connect(), harness.connect(), harness.connect()];
    assert_eq!((harness.calls().len(), front.stats().waiting), (1, 2));
    harness.advance(9 * SECOND);
    assert_eq!((front.stats().waiting, front.stats().queued), (2, 2), "tried at every tick, counted once");
    harness.advance(2 * SECOND);
    assert_eq!(clients.map(|client| harness.why(client)), [None, Some("unavailable"), Some("unavailable")]);
    assert_eq!(front.stats().refused("queue_timeout"), 2);
}

//! Checks that ask something, by every mode of the proxy that calls backends.

use std::time::Duration;

use windlass::testing::{Harness, TestCall, TestPeer};

use super::config;
use crate::{BackendState, CheckKind, ExchangeCheck, Front, Health, HttpCheck, ProxyConfig};

const SECOND: Duration = Duration::from_secs(1);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup";

fn checked(check: CheckKind) -> ProxyConfig {
    let health = Health {
        check_every: SECOND,
        jitter_percent: 0,
        check_timeout: Duration::from_millis(500),
        rise: 1,
        fall: 1,
        ..Health::default()
    };
    config(&["10.0.0.1:80"]).health(health).check(check)
}

/// The same by each kind of service.
fn each(config: ProxyConfig, mut run: impl FnMut(&Front, Harness)) {
    let front = Front::new(config.clone()).unwrap();
    run(&front, Harness::new(front.serve()));
    let front = Front::new(config.clone()).unwrap();
    run(&front, Harness::new(front.serve_http()));
    let front = Front::new(config).unwrap();
    run(&front, Harness::new(front.serve_udp().unwrap()));
}

/// The next check, as soon as it is due.
fn call(harness: &mut Harness) -> TestCall {
    for _ in 0..40 {
        if harness.calls().is_empty() {
            harness.advance(Duration::from_millis(50));
        }
    }
    let mut calls = harness.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    calls.remove(0)
}

fn accept(harness: &mut Harness) -> TestPeer {
    let call = call(harness);
    harness.accept(&call)
}

fn state(front: &Front) -> (BackendState, u64, u64) {
    let one = &front.stats().backends[0];
    (one.state, one.checks_passed, one.checks_failed)
}

#[test]
fn a_backend_is_asked_and_believed_by_its_answer() {
    each(
        checked(CheckKind::Http(HttpCheck { path: "/up".into(), ..HttpCheck::default() })),
        |front, mut harness| {
            let backend = accept(&mut harness);
            let asked = harness.receive(backend);
            assert!(
                asked.starts_with(b"GET /up HTTP/1.1\r\nhost: 10.0.0.1:80\r\n"),
                "{}",
                asked.escape_ascii()
            );
            assert_eq!(state(front), (BackendState::Up, 0, 0), "a connection is no answer");
            harness.send_split(backend, OK, 3);
            assert!(harness.is_ended(backend), "it has heard enough");
            assert_eq!(state(front), (BackendState::Up, 1, 0));
            let backend = accept(&mut harness);
            harness.send(backend, b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(state(front), (BackendState::Down, 1, 1));
            let backend = accept(&mut harness);
            harness.send(backend, OK);
            assert_eq!(state(front), (BackendState::Up, 2, 1));
        },
    );
}

#[test]
fn who_does_not_answer_in_time_or_hangs_up_has_failed() {
    each(checked(CheckKind::Http(HttpCheck::default())), |front, mut harness| {
        let backend = accept(&mut harness);
        harness.send(backend, b"HTTP/1.1 200");
        harness.advance(Duration::from_millis(400));
        assert_eq!(state(front).2, 0);
        harness.advance(Duration::from_millis(200));
        assert_eq!(state(front), (BackendState::Down, 0, 1), "silence");
        harness.receive(backend);
        assert!(harness.is_ended(backend));
        for (n, how) in [Harness::finish, Harness::reset].into_iter().enumerate() {
            let backend = accept(&mut harness);
            harness.send(backend, b"HTTP/1.1 200 OK\r\n");
            how(&mut harness, backend);
            harness.advance(Duration::from_millis(1));
            assert_eq!(state(front), (BackendState::Down, 0, 2 + n as u64));
        }
        harness.shutdown();
        harness.advance(60 * SECOND);
        assert!(harness.is_stopped(), "no check keeps it");
    });
}

#[test]
fn bytes_are_exchanged_at_another_port() {
    let exchange = ExchangeCheck { send: b"PING\r\n".to_vec(), expect: b"+PONG".to_vec() };
    let mut config = checked(CheckKind::Exchange(exchange));
    config.backends[0] = config.backends[0].clone().check_address(9000);
    each(config, |front, mut harness| {
        let call_ = call(&mut harness);
        assert_eq!(call_.remote.to_string(), "10.0.0.1:9000");
        let backend = harness.accept(&call_);
        assert_eq!(harness.receive(backend), b"PING\r\n");
        harness.send(backend, b"+PONG\r\n");
        assert_eq!(state(front), (BackendState::Up, 1, 0));
        let backend = accept(&mut harness);
        harness.send(backend, b"-LOADING\r\n");
        assert_eq!(state(front), (BackendState::Down, 1, 1));
    });
}

#[test]
fn a_check_goes_to_an_address_of_its_own() {
    let agent = std::net::SocketAddr::from(([10, 0, 0, 9], 9000));
    let mut config = checked(CheckKind::Http(HttpCheck::default()));
    config.backends[0] = config.backends[0].clone().check_address(agent);
    let checks = |host: &str, front: &Front, harness: &mut Harness| {
        let call_ = call(harness);
        assert_eq!(call_.remote.to_string(), "10.0.0.9:9000");
        let backend = harness.accept(&call_);
        let asked = String::from_utf8(harness.receive(backend)).unwrap();
        assert!(asked.starts_with(&format!("GET / HTTP/1.1\r\nhost: {host}\r\n")), "{asked}");
        harness.send(backend, OK);
        assert_eq!(state(front), (BackendState::Up, 1, 0));
    };
    each(config.clone(), |front, mut harness| checks("10.0.0.1:80", front, &mut harness));
    // A Unix socket has an agent as well as others.
    config.backends[0] = crate::Backend::at("unix:/run/app.sock".parse().unwrap()).check_address(agent);
    let front = Front::new(config).unwrap();
    checks("localhost", &front, &mut Harness::new(front.serve()));
}

/// Its checks would never begin, and so never fail.
#[test]
fn a_unix_socket_has_no_port_to_be_checked_at() {
    let mut config = checked(CheckKind::Connect);
    config.backends[0] = crate::Backend::at("unix:/run/app.sock".parse().unwrap()).check_address(9000);
    let wrong = Front::new(config).err().expect("it is a mistake").to_string();
    assert!(wrong.contains("unix:/run/app.sock") && wrong.contains("port"), "{wrong}");
}

#[test]
fn a_check_under_way_ends_with_a_shutdown_and_is_nobodys_fault() {
    each(checked(CheckKind::Http(HttpCheck::default())), |front, mut harness| {
        let backend = accept(&mut harness);
        harness.shutdown();
        harness.receive(backend);
        assert!(harness.is_ended(backend));
        harness.finish(backend);
        harness.advance(Duration::from_millis(1));
        assert!(harness.is_stopped(), "nothing else is there");
        assert_eq!(state(front).2, 0);
    });
}

#[test]
fn who_waits_is_served_when_a_check_brings_a_backend_back() {
    let mut config = checked(CheckKind::Http(HttpCheck::default()));
    config.backends.extend(super::config(&["10.0.0.2:80"]).backends);
    config.backends[1].connections_max = 1;
    config.health.failures_max = 0;
    let front = Front::new(config).unwrap();
    let mut harness = Harness::new(front.serve());
    let answer = |harness: &mut Harness, to: &str, with: &[u8]| {
        let call = harness.calls().into_iter().find(|call| call.remote.to_string() == to).expect("a check");
        let backend = harness.accept(&call);
        harness.send(backend, with);
    };
    answer(&mut harness, "10.0.0.1:80", b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    answer(&mut harness, "10.0.0.2:80", OK);
    harness.connect();
    let second = harness.connect();
    assert_eq!((front.stats().waiting, harness.calls().len()), (1, 1));
    harness.advance(SECOND);
    answer(&mut harness, "10.0.0.1:80", OK);
    assert_eq!(front.stats().waiting, 0, "at once, without a tick");
    assert_eq!(harness.why(second), None);
}

//! The guard at the door of a whole proxy.

use std::time::Duration;

use windlass::testing::{Harness, TestPeer};

use super::config;
use crate::{AcceptProxy, Front, GuardConfig, Others, ProxyConfig, Sources};

const SECOND: Duration = Duration::from_secs(1);

struct Case {
    front: Front,
    harness: Harness,
}

impl Case {
    fn new(guard: GuardConfig, change: impl FnOnce(ProxyConfig) -> ProxyConfig) -> Case {
        let front = Front::new(change(config(&["10.0.0.1:80"]).guard(guard))).unwrap();
        let harness = Harness::new(front.serve());
        Case { front, harness }
    }

    /// All that connect do so from one address.
    fn client(&mut self) -> TestPeer {
        self.harness.connect_from([198, 51, 100, 77].into())
    }

    /// A client whose proxy says that it is this one.
    fn told(&mut self, ip: &str) -> TestPeer {
        let client = self.client();
        self.harness.send(client, format!("PROXY TCP4 {ip} 198.51.100.1 40000 80\r\n").as_bytes());
        self.harness.advance(Duration::from_millis(2));
        client
    }

    fn refused(&self, label: &str) -> u64 {
        self.front.stats().refused(label)
    }
}

fn behind_a_proxy(config: ProxyConfig) -> ProxyConfig {
    config.accept_proxy(AcceptProxy::from(Sources::parse(["0.0.0.0/0", "::/0"]).unwrap()))
}

fn networks(texts: &[&str]) -> Sources {
    Sources::parse(texts).unwrap()
}

#[test]
fn who_is_not_let_in_is_closed_at_once_and_no_backend_hears_of_it() {
    let everybody = GuardConfig { deny: networks(&["0.0.0.0/0", "::/0"]), ..GuardConfig::default() };
    let mut case = Case::new(everybody, |config| config);
    let client = case.client();
    case.harness.advance(Duration::from_millis(2));
    assert!(case.harness.is_ended(client));
    assert!(case.harness.calls().is_empty());
    assert_eq!((case.refused("denied"), case.front.stats().clients), (1, 0));
}

#[test]
fn limits_go_by_the_address_in_a_believed_header() {
    let guard = GuardConfig { connections_max: 1, deny: networks(&["192.0.2.9"]), ..GuardConfig::default() };
    let mut case = Case::new(guard, behind_a_proxy);
    let first = case.told("192.0.2.1");
    let second = case.told("192.0.2.1");
    let other = case.told("192.0.2.2");
    let denied = case.told("192.0.2.9");
    assert_eq!(case.harness.why(first), None);
    assert_eq!(case.harness.why(second), Some("protocol"));
    assert_eq!(case.harness.why(other), None);
    assert_eq!(case.harness.why(denied), Some("protocol"));
    assert_eq!((case.refused("source_full"), case.refused("denied")), (1, 1));
    case.harness.reset(first);
    case.harness.advance(Duration::from_millis(2));
    let again = case.told("192.0.2.1");
    assert_eq!(case.harness.why(again), None, "its place is free again");
    case.harness.reset(again);
    case.harness.reset(other);
    case.harness.advance(Duration::from_millis(2));
    assert_eq!(case.front.stats().clients, 0);
}

#[test]
fn a_proxy_that_speaks_for_itself_has_no_limits_but_is_looked_up() {
    let guard = GuardConfig { connections_max: 1, ..GuardConfig::default() };
    let mut case = Case::new(guard.clone(), behind_a_proxy);
    for _ in 0..5 {
        let client = case.client();
        case.harness.send(client, b"PROXY UNKNOWN\r\n");
        assert_eq!(case.harness.why(client), None);
    }
    let few = GuardConfig { allow: networks(&["203.0.113.0/24"]), ..guard };
    let mut case = Case::new(few, behind_a_proxy);
    let client = case.client();
    case.harness.send(client, b"PROXY UNKNOWN\r\n");
    case.harness.advance(Duration::from_millis(2));
    assert_eq!((case.harness.why(client), case.refused("denied")), (Some("protocol"), 1));
}

#[test]
fn a_spoofed_header_moves_nobody_into_another_source() {
    let guard = GuardConfig { connections_max: 1, ..GuardConfig::default() };
    let mut case = Case::new(guard, |config| {
        let trusted = Sources::parse(["203.0.113.1"]).unwrap();
        config.accept_proxy(AcceptProxy::from(trusted).others(Others::Clients))
    });
    let first = case.client();
    case.harness.send(first, b"hello");
    assert_eq!(case.harness.why(first), None);
    let second = case.told("192.0.2.77");
    assert!(case.harness.is_ended(second), "counted as what it connects from");
    assert_eq!(case.refused("source_full"), 1);
    case.harness.reset(first);
    case.harness.advance(Duration::from_millis(2));
    let third = case.told("192.0.2.77");
    assert_eq!((case.harness.why(third), case.refused("spoofed")), (Some("protocol"), 1));
}

#[test]
fn the_tarpit_keeps_them_silent_as_long_as_it_says_and_as_many_as_it_may() {
    let guard = GuardConfig {
        connection_rate: 1,
        connection_burst: 1,
        tarpit: 5 * SECOND,
        tarpit_max: 2,
        ..GuardConfig::default()
    };
    for proxied in [false, true] {
        let mut case =
            Case::new(guard.clone(), |config| if proxied { behind_a_proxy(config) } else { config });
        let connect = |case: &mut Case| if proxied { case.told("192.0.2.1") } else { case.client() };
        connect(&mut case);
        let kept = [connect(&mut case), connect(&mut case)];
        let beyond = connect(&mut case);
        case.harness.advance(Duration::from_millis(2));
        assert!(case.harness.is_ended(beyond), "no place is left for it");
        let stats = case.front.stats();
        assert_eq!((stats.guard.tarpit, stats.guard.tarpitted, stats.refused("rate")), (2, 2, 3));
        case.harness.send(kept[0], b"GET / HTTP/1.1\r\n\r\n");
        case.harness.advance(4 * SECOND);
        assert_eq!((case.harness.why(kept[0]), case.harness.why(kept[1])), (None, None));
        assert_eq!(case.harness.calls().len(), 1, "only the first client's");
        case.harness.reset(kept[1]);
        case.harness.advance(Duration::from_millis(2));
        assert_eq!(case.front.stats().guard.tarpit, 1, "who leaves makes room");
        case.harness.advance(2 * SECOND);
        assert_eq!(case.harness.why(kept[0]), Some("protocol"));
        let stats = case.front.stats();
        assert_eq!((stats.guard.tarpit, stats.refused("rate")), (0, 3), "each is counted once");
    }
}

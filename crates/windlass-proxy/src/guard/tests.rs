//! Limits of sources, told as what becomes of one client after the other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use windlass::{Peer, Time};

use super::{Guard, GuardConfig, Held};
use crate::refusal::Refusal;
use crate::sources::Sources;

const NOW: Time = Time::from_nanos(1_000_000_000_000);
const SECOND: Duration = Duration::from_secs(1);

fn peer(ip: &str) -> Peer {
    Peer::Tcp(SocketAddr::new(ip.parse().unwrap(), 40_000))
}

fn numbered(n: u32) -> Peer {
    Peer::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(n)), 40_000))
}

fn guard(config: &GuardConfig) -> Guard {
    let guard = Guard::new(config, None);
    guard.seed(7);
    guard
}

fn connections(guard: &Guard) -> u64 {
    guard.table.as_ref().unwrap().connections()
}

#[test]
fn a_source_has_so_many_connections_and_gives_them_back() {
    let config = GuardConfig { connections_max: 2, ..GuardConfig::default() };
    let guard = guard(&config);
    let admit = |ip: &str| guard.admit(&config, peer(ip), NOW);
    let first = admit("192.0.2.1").unwrap();
    let second = admit("192.0.2.1").unwrap();
    assert_eq!(admit("192.0.2.1").err(), Some(Refusal::SourceFull));
    let mapped = admit("::ffff:192.0.2.1");
    assert_eq!(mapped.err(), Some(Refusal::SourceFull), "the same client");
    assert!(admit("192.0.2.2").is_ok(), "another");
    drop(first);
    let third = admit("192.0.2.1");
    assert!(third.is_ok());
    drop((second, third));
    assert_eq!(connections(&guard), 0);
}

#[test]
fn loopback_is_spared_where_that_is_asked_for() {
    for (spare_loopback, wanted) in [(false, 1), (true, 5)] {
        let config = GuardConfig { connections_max: 1, spare_loopback, ..GuardConfig::default() };
        let guard = guard(&config);
        for (ip, wanted) in
            [("127.0.0.1", wanted), ("::1", wanted), ("::ffff:127.0.0.2", wanted), ("10.0.0.1", 1)]
        {
            let held: Vec<_> = (0..5).map_while(|_| guard.admit(&config, peer(ip), NOW).ok()).collect();
            assert_eq!(held.len(), wanted, "{ip}");
        }
    }
}

#[test]
fn a_source_comes_at_its_rate_after_its_burst() {
    let config = GuardConfig { connection_rate: 10, connection_burst: 3, ..GuardConfig::default() };
    let guard = guard(&config);
    let admit = |now: Time| guard.admit(&config, peer("192.0.2.1"), now).map(drop);
    let admitted = |now: Time| (0..10).take_while(|_| admit(now).is_ok()).count();
    assert_eq!(admitted(NOW), 3);
    assert_eq!(admit(NOW), Err(Refusal::Rate));
    assert!(guard.admit(&config, peer("192.0.2.2"), NOW).is_ok(), "another");
    assert_eq!(admitted(NOW + Duration::from_millis(99)), 0);
    assert_eq!(admitted(NOW + Duration::from_millis(100)), 1);
    assert_eq!(admitted(NOW + Duration::from_millis(350)), 2);
    assert_eq!(admitted(NOW + 3600 * SECOND), 3, "no more than the burst");
}

#[test]
fn requests_have_a_rate_of_their_own() {
    let config = GuardConfig {
        connection_rate: 1,
        connection_burst: 1,
        request_rate: 1,
        request_burst: 2,
        ..GuardConfig::default()
    };
    let guard = guard(&config);
    let ip: IpAddr = "192.0.2.1".parse().unwrap();
    assert!(guard.admit(&config, peer("192.0.2.1"), NOW).is_ok());
    let served = (0..5).filter(|_| guard.admit_request(&config, ip, NOW)).count();
    assert_eq!(served, 2);
    assert!(guard.admit_request(&config, ip, NOW + SECOND));
}

#[test]
fn of_ipv6_a_network_is_one_source() {
    let config = GuardConfig { connections_max: 1, ..GuardConfig::default() };
    let guard = guard(&config);
    let admit = |ip: &str| guard.admit(&config, peer(ip), NOW);
    let first = admit("2001:db8:0:1::1");
    assert!(first.is_ok());
    assert_eq!(admit("2001:db8:0:1:ffff::2").err(), Some(Refusal::SourceFull));
    assert!(admit("2001:db8:0:2::1").is_ok());
}

#[test]
fn lists_say_who_is_let_in_and_no_comes_before_yes() {
    let sources = |texts: &[&str]| Sources::parse(texts).unwrap();
    let config = GuardConfig {
        allow: sources(&["10.0.0.0/8", "2001:db8::/32"]),
        deny: sources(&["10.1.0.0/16"]),
        ..GuardConfig::default()
    };
    let guard = guard(&config);
    let admit = |peer: Peer| guard.admit(&config, peer, NOW).map(drop);
    for ip in ["10.0.0.1", "::ffff:10.2.0.1", "2001:db8::1"] {
        assert_eq!(admit(peer(ip)), Ok(()), "{ip}");
    }
    for ip in ["10.1.0.1", "11.0.0.1", "::ffff:10.1.2.3", "2001:db9::1"] {
        assert_eq!(admit(peer(ip)), Err(Refusal::Denied), "{ip}");
    }
    assert_eq!(admit(Peer::Unix), Err(Refusal::Denied));
    let all = GuardConfig { deny: sources(&["unix"]), ..GuardConfig::default() };
    assert_eq!(guard.admit(&all, Peer::Unix, NOW).map(drop), Err(Refusal::Denied));
    assert_eq!(guard.admit(&all, peer("10.0.0.1"), NOW).map(drop), Ok(()));
}

#[test]
fn a_million_sources_stay_within_the_table_and_the_connected_are_never_forgotten() {
    let config = GuardConfig {
        connections_max: 1,
        connection_rate: 1,
        connection_burst: 1,
        sources_max: 1024,
        ..GuardConfig::default()
    };
    let guard = guard(&config);
    let connected: Vec<_> = (0..100).map(|n| guard.admit(&config, numbered(n), NOW).unwrap()).collect();
    for n in 1_000..1_001_000 {
        guard.admit(&config, numbered(n), NOW).map(drop).unwrap();
    }
    assert_eq!(guard.table.as_ref().unwrap().len(), 1024);
    assert_eq!(connections(&guard), connected.len() as u64);
    let later = NOW + SECOND;
    for n in 0..100 {
        let again = guard.admit(&config, numbered(n), later).map(drop);
        assert_eq!(again, Err(Refusal::SourceFull), "{n}: still known");
    }
    assert!(guard.stats().evicted > 900_000, "{:?}", guard.stats());
}

#[test]
fn with_a_full_table_newcomers_are_let_in_and_counted_as_such() {
    let config = GuardConfig { connections_max: 1, sources_max: 8, ..GuardConfig::default() };
    let guard = guard(&config);
    let held: Vec<_> = (0..8).map(|n| guard.admit(&config, numbered(n), NOW).unwrap()).collect();
    assert!(held.iter().all(Option::is_some));
    assert!(matches!(guard.admit(&config, numbered(100), NOW), Ok(None)));
    assert_eq!(guard.stats().untracked, 1);
    drop(held);
    assert!(matches!(guard.admit(&config, numbered(100), NOW), Ok(Some(Held::Seat(_)))));
    assert_eq!(connections(&guard), 0);
}

#[test]
fn whoever_is_forgotten_first_has_least_to_wait_for() {
    let config =
        GuardConfig { connection_rate: 1, connection_burst: 10, sources_max: 8, ..GuardConfig::default() };
    let guard = guard(&config);
    for n in 0..8 {
        for _ in 0..=n {
            guard.admit(&config, numbered(n), NOW).map(drop).unwrap();
        }
    }
    // The first place is taken by the one behind, again and again: nobody else is forgotten.
    for n in 100..200 {
        guard.admit(&config, numbered(n), NOW).map(drop).unwrap();
    }
    let left: Vec<usize> = (0..8)
        .map(|n| (0..20).take_while(|_| guard.admit(&config, numbered(n), NOW).is_ok()).count())
        .collect();
    assert_eq!(left[1..], [8, 7, 6, 5, 4, 3, 2]);
}

#[test]
fn workers_together_keep_the_limit() {
    let config = GuardConfig { connections_max: 50, sources_max: 8, ..GuardConfig::default() };
    let guard = Arc::new(guard(&config));
    // The source is known; else two workers may see it for the first time at once.
    let first = guard.admit(&config, numbered(1), NOW).unwrap();
    let work = || {
        let mut held = Vec::new();
        for n in 0..20_000 {
            match guard.admit(&config, numbered(1), NOW) {
                Ok(seat) => held.push(seat.expect("a place")),
                Err(_) => held.truncate(n % 20),
            }
            assert!(connections(&guard) <= 50);
        }
    };
    std::thread::scope(|scope| {
        let all = [scope.spawn(work), scope.spawn(work), scope.spawn(work)];
        all.into_iter().for_each(|one| one.join().unwrap());
    });
    drop(first);
    assert_eq!(connections(&guard), 0);
}

#[test]
fn a_change_keeps_what_is_counted() {
    let config = GuardConfig { connections_max: 1, ..GuardConfig::default() };
    let before = guard(&config);
    let _seat = before.admit(&config, peer("192.0.2.1"), NOW).unwrap();
    let same = Guard::new(&GuardConfig { connection_rate: 5, ..config.clone() }, Some(&before));
    assert_eq!(same.admit(&config, peer("192.0.2.1"), NOW).err(), Some(Refusal::SourceFull));
    let larger = GuardConfig { sources_max: 1 << 17, ..config };
    let anew = Guard::new(&larger, Some(&before));
    assert!(anew.admit(&larger, peer("192.0.2.1"), NOW).is_ok(), "another table knows nobody");
}

#[test]
fn a_rate_that_was_raised_holds_for_those_who_had_used_up_the_one_before() {
    let slow = GuardConfig { connection_rate: 1, connection_burst: 600, ..GuardConfig::default() };
    let fast = GuardConfig { connection_rate: 100, connection_burst: 200, ..slow.clone() };
    let before = guard(&slow);
    let admit = |guard: &Guard, config: &GuardConfig, now: Time| {
        guard.admit(config, peer("192.0.2.1"), now).map(drop)
    };
    assert!((0..600).all(|_| admit(&before, &slow, NOW).is_ok()));
    assert_eq!(admit(&before, &slow, NOW), Err(Refusal::Rate));
    let after = Guard::new(&fast, Some(&before));
    assert_eq!(admit(&after, &fast, NOW), Err(Refusal::Rate), "its burst is used up");
    assert!((0..100).all(|_| admit(&after, &fast, NOW + SECOND).is_ok()));
    assert_eq!(admit(&after, &fast, NOW + SECOND), Err(Refusal::Rate));
}

#[test]
fn the_tarpit_has_so_many_places() {
    let config = GuardConfig { tarpit: SECOND, tarpit_max: 2, ..GuardConfig::default() };
    let guard = guard(&config);
    let first = guard.tarpit(&config);
    let second = guard.tarpit(&config);
    assert!(first.is_some() && second.is_some() && guard.tarpit(&config).is_none());
    drop(first);
    assert!(guard.tarpit(&config).is_some());
    let stats = guard.stats();
    assert_eq!((stats.tarpit, stats.tarpitted), (1, 3));
}

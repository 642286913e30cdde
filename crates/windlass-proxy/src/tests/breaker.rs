//! The circuit breaker: what opens it, what closes it, and that nothing keeps it open.

use std::sync::Arc;
use std::time::Duration;

use windlass::Time;
use windlass::testing::Harness;

use super::config;
use crate::breaker::{Permit, State};
use crate::upstream::Counts;
use crate::{BackendState, Breaker, ConfigError, Front, Health, ProxyConfig};

const NOW: Time = Time::from_nanos(1_000_000_000_000);
const SECOND: Duration = Duration::from_secs(1);
/// Half of the last ten, of four at least; open for a second; two probes.
const BREAKER: Breaker = Breaker { errors_percent: 50, window: 10, volume_min: 4, open: SECOND, probes: 2 };

fn permit(counts: &Arc<Counts>, now: Time) -> Option<Permit> {
    Permit::take(counts, &BREAKER, now)
}

fn state(counts: &Arc<Counts>, now: Time) -> State {
    counts.circuit.state(&BREAKER, now)
}

/// Uses that end as they are written: `+` well, `-` not.
fn uses(counts: &Arc<Counts>, now: Time, outcomes: &str) {
    for outcome in outcomes.bytes() {
        let mut permit = permit(counts, now).expect("let through");
        match outcome {
            b'+' => permit.succeeded(&BREAKER, now),
            _ => permit.failed(&BREAKER, now),
        }
    }
}

fn opened() -> Arc<Counts> {
    let counts = Arc::new(Counts::new(1));
    uses(&counts, NOW, "----");
    assert_eq!(state(&counts, NOW), State::Open);
    counts
}

#[test]
fn a_share_of_the_last_uses_opens_it_and_few_of_them_do_not() {
    for (outcomes, wanted) in [
        ("---", State::Closed),
        ("----", State::Open),
        ("++++--", State::Closed),
        ("++++---", State::Closed),
        ("++++----", State::Open),
        // What was twelve uses ago is in no window of ten any more.
        ("-+-+++++++++---", State::Closed),
        ("-+-+++++++++-----", State::Open),
    ] {
        let counts = Arc::new(Counts::new(1));
        uses(&counts, NOW, outcomes);
        assert_eq!(state(&counts, NOW), wanted, "{outcomes}");
    }
}

#[test]
fn open_it_lets_nothing_through_and_then_as_many_probes_as_it_wants() {
    let counts = opened();
    assert!(permit(&counts, NOW + SECOND - Duration::from_nanos(1)).is_none());
    let now = NOW + SECOND;
    let mut probes = [permit(&counts, now).unwrap(), permit(&counts, now).unwrap()];
    assert!(permit(&counts, now).is_none(), "two are under way");
    probes[0].succeeded(&BREAKER, now);
    assert_eq!(state(&counts, now), State::HalfOpen);
    assert!(permit(&counts, now).is_none(), "one has passed, one is under way");
    probes[1].succeeded(&BREAKER, now);
    assert_eq!(state(&counts, now), State::Closed);
    uses(&counts, now, "---");
    assert_eq!(state(&counts, now), State::Closed, "what was before is forgotten");
}

#[test]
fn a_probe_that_fails_opens_it_again_and_those_beside_it_mean_nothing() {
    let counts = opened();
    let now = NOW + SECOND;
    let mut probes = [permit(&counts, now).unwrap(), permit(&counts, now).unwrap()];
    probes[0].failed(&BREAKER, now);
    assert_eq!(state(&counts, now), State::Open);
    probes[1].succeeded(&BREAKER, now);
    let later = now + SECOND;
    assert_eq!((state(&counts, now), state(&counts, later)), (State::Open, State::HalfOpen));
    uses(&counts, later, "+");
    assert_eq!(state(&counts, later), State::HalfOpen, "one of two");
    uses(&counts, later, "+");
    assert_eq!(state(&counts, later), State::Closed);
    assert_eq!(counts.circuit.openings.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[test]
fn a_probe_that_breaks_after_all_has_failed() {
    let counts = opened();
    let now = NOW + SECOND;
    // It was connected, and then reset before it brought a byte.
    let mut probe = permit(&counts, now).unwrap();
    probe.succeeded(&BREAKER, now);
    assert_eq!(state(&counts, now), State::HalfOpen);
    probe.failed(&BREAKER, now);
    assert_eq!(state(&counts, now), State::Open);
    // The same when it was the last one that was waited for: these are the first uses of a closed one.
    let now = now + SECOND;
    let mut probes = [permit(&counts, now).unwrap(), permit(&counts, now).unwrap()];
    probes.iter_mut().for_each(|probe| probe.succeeded(&BREAKER, now));
    assert_eq!(state(&counts, now), State::Closed);
    probes.iter_mut().for_each(|probe| probe.failed(&BREAKER, now));
    uses(&counts, now, "-");
    assert_eq!(state(&counts, now), State::Closed);
    uses(&counts, now, "-");
    assert_eq!(state(&counts, now), State::Open);
}

#[test]
fn fewer_probes_than_have_passed_already_are_enough() {
    let counts = opened();
    let now = NOW + SECOND;
    let three = Breaker { probes: 3, ..BREAKER };
    for _ in 0..2 {
        Permit::take(&counts, &three, now).unwrap().succeeded(&three, now);
    }
    // Then somebody wants two, which has been so all along.
    assert_eq!(state(&counts, now), State::HalfOpen);
    assert!(counts.circuit.admits(&BREAKER, now));
    permit(&counts, now).expect("somebody has to find it out").succeeded(&BREAKER, now);
    assert_eq!(state(&counts, now), State::Closed);
}

/// Sozu #237: a breaker that had opened never closed.
#[test]
fn a_breaker_that_never_resets_is_not_ours() {
    let counts = opened();
    let mut now = NOW;
    for round in 0..100 {
        now += SECOND;
        // Probes whose clients vanish say nothing, however many there are.
        for _ in 0..10 {
            let lost = [permit(&counts, now), permit(&counts, now)];
            assert!(lost.iter().all(Option::is_some), "round {round}: there is room for probes");
            assert!(permit(&counts, now).is_none());
        }
        // One that passes while the other fails, one that comes back after it has opened again.
        let [mut passes, mut fails] = [permit(&counts, now).unwrap(), permit(&counts, now).unwrap()];
        fails.failed(&BREAKER, now);
        now += SECOND;
        passes.succeeded(&BREAKER, now);
        drop(passes);
        assert_eq!(state(&counts, now), State::HalfOpen, "round {round}");
        uses(&counts, now, "++");
        assert_eq!(state(&counts, now), State::Closed, "round {round}");
        uses(&counts, now, "----");
        assert_eq!(state(&counts, now), State::Open, "round {round}");
    }
}

#[test]
fn who_succeeded_at_first_and_failed_then_counts_once() {
    let counts = Arc::new(Counts::new(1));
    let mut connections: Vec<Permit> = (0..8).map(|_| permit(&counts, NOW).unwrap()).collect();
    connections.iter_mut().for_each(|one| one.succeeded(&BREAKER, NOW));
    let mut failed = 0;
    while state(&counts, NOW) == State::Closed {
        connections[failed].failed(&BREAKER, NOW);
        failed += 1;
    }
    assert_eq!(failed, 4, "of eight: half");
    let counts = Arc::new(Counts::new(1));
    let mut old = permit(&counts, NOW).unwrap();
    old.succeeded(&BREAKER, NOW);
    uses(&counts, NOW, "++++++----");
    assert_eq!(state(&counts, NOW), State::Closed);
    old.failed(&BREAKER, NOW);
    assert_eq!(state(&counts, NOW), State::Closed, "it has left the window: four of ten");
}

#[test]
fn off_it_is_not_there() {
    let counts = Arc::new(Counts::new(1));
    let off = Breaker { errors_percent: 0, ..BREAKER };
    for _ in 0..100 {
        Permit::take(&counts, &off, NOW).unwrap().failed(&off, NOW);
    }
    assert_eq!(counts.circuit.state(&BREAKER, NOW), State::Closed);
    let opened = opened();
    assert!(Permit::take(&opened, &off, NOW).is_some(), "turned off while it was open");
}

#[test]
fn numbers_that_make_no_sense_are_said() {
    for breaker in [
        Breaker { errors_percent: 101, ..BREAKER },
        Breaker { window: 0, ..BREAKER },
        Breaker { window: Breaker::WINDOW_MAX + 1, ..BREAKER },
        Breaker { volume_min: 11, ..BREAKER },
        Breaker { probes: 0, ..BREAKER },
    ] {
        let config = config(&["10.0.0.1:80"]).health(Health { breaker, ..Health::default() });
        let error = Front::new(config).err();
        assert!(matches!(error, Some(ConfigError::Range { .. })), "{breaker:?}: {error:?}");
    }
}

fn breaking(addresses: &[&str]) -> ProxyConfig {
    let breaker = Breaker { volume_min: 2, ..BREAKER };
    let mut config = config(addresses).retries_max(0);
    config.health = Health { failures_max: 0, breaker, ..Health::default() };
    config
}

#[test]
fn clients_are_refused_at_once_while_it_is_open_and_served_again_when_it_closes() {
    let front = Front::new(breaking(&["10.0.0.1:80"])).unwrap();
    let mut harness = Harness::new(front.serve());
    let state = |front: &Front| front.stats().backends[0].state;
    for _ in 0..2 {
        harness.connect();
        let call = harness.calls().remove(0);
        harness.refuse(&call);
        harness.advance(Duration::from_millis(2));
    }
    harness.advance(Duration::from_millis(100));
    assert_eq!(state(&front), BackendState::CircuitOpen);
    let client = harness.connect();
    harness.advance(Duration::from_millis(2));
    assert!(harness.calls().is_empty(), "nobody is called");
    assert_eq!(harness.why(client), Some("unavailable"));
    assert_eq!(front.stats().refused("circuit_open"), 1);
    harness.advance(SECOND);
    assert_eq!(state(&front), BackendState::HalfOpen);
    // A probe whose client leaves gives its place back.
    let gone = harness.connect();
    harness.reset(gone);
    harness.advance(Duration::ZERO);
    for _ in 0..2 {
        let client = harness.connect();
        let call = harness.calls().remove(0);
        let backend = harness.accept(&call);
        harness.send(client, b"hello");
        assert_eq!(harness.receive(backend), b"hello");
    }
    harness.advance(Duration::from_millis(100));
    assert_eq!(state(&front), BackendState::Up);
    assert_eq!(front.stats().backends[0].circuit_openings, 1);
}

#[test]
fn others_take_the_clients_of_one_whose_breaker_is_open() {
    let front = Front::new(breaking(&["10.0.0.1:80", "10.0.0.2:80"])).unwrap();
    let mut harness = Harness::new(front.serve());
    for n in 0..4 {
        harness.connect();
        let call = harness.calls().remove(0);
        match n % 2 {
            0 => harness.refuse(&call),
            _ => drop(harness.accept(&call)),
        }
    }
    for _ in 0..4 {
        harness.connect();
        let call = harness.calls().remove(0);
        assert_eq!(call.remote.to_string(), "10.0.0.2:80");
        harness.accept(&call);
    }
}

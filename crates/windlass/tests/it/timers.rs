//! Deadlines and ticks: never early, once each, and without drift.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use windlass::{Close, Conn, Input, Limits, Scope, Service, Sessions, Tick, Time, serve};

use crate::harness::*;
use crate::probe::{Event, Probe, wait, wait_closed};

fn start(probe: Probe, limits: Limits) -> Running {
    Running::start(serve(move || probe.clone()).config(one_worker(limits)).tcp("127.0.0.1:0"))
}

#[test]
fn an_idle_connection_is_ended_and_a_lively_one_is_not() {
    let idle_timeout = Duration::from_millis(600);
    let (probe, events) = Probe::new();
    let server = start(probe, Limits { idle_timeout, ..limits() });
    let mut lively = server.connect();
    let begun = Instant::now();
    let mut idle = server.connect();
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let gap = Instant::now();
        lively.write_all(b"x").unwrap();
        thread::sleep(Duration::from_millis(50));
        longest = longest.max(gap.elapsed());
    }
    assert_eq!(wait_closed(&events), "idle");
    expect_end(&mut idle);
    assert!(begun.elapsed() >= idle_timeout);
    // On a machine that is too busy for it, the lively one was not lively.
    let ended = server.counters().closed_by("idle");
    assert!(ended == 1 || longest >= idle_timeout / 2, "{ended} ended, longest gap {longest:?}");
    // Now the lively one falls silent too.
    assert_eq!(wait_closed(&events), "idle");
    server.stop();
}

#[test]
fn output_counts_as_activity_too() {
    let (probe, events) = Probe::new();
    let again = |conn: &mut Conn<'_>| {
        conn.write(b"tock");
        conn.wake_at(conn.now() + Duration::from_millis(100));
        Ok(())
    };
    let server = start(
        probe.open(again).timeout(again),
        Limits { idle_timeout: Duration::from_millis(1500), ..limits() },
    );
    let _stream = server.connect();
    thread::sleep(Duration::from_millis(2200));
    assert!(events.try_iter().all(|event| !matches!(event, Event::Closed(_))));
    server.stop();
}

#[test]
fn wake_at_fires_once_and_never_early() {
    let (probe, events) = Probe::new();
    let asked = Arc::new(Mutex::new(Time::ZERO));
    let asks = asked.clone();
    let probe = probe.input(move |conn, input| {
        let millis = input.take_all()[0];
        // Off the millisecond grid, where rounding down would be early.
        let at = conn.now() + Duration::from_micros(u64::from(millis) * 1000 + 1);
        *asks.lock().unwrap() = at;
        conn.wake_at(at);
        Ok(())
    });
    let server = start(probe, limits());
    let mut stream = server.connect();
    for millis in [0, 1, 2, 3, 7, 20, 255] {
        stream.write_all(&[millis]).unwrap();
        let Event::Timeout(at) = wait(&events, |event| matches!(event, Event::Timeout(_))) else { continue };
        let asked = *asked.lock().unwrap();
        assert!(at >= asked, "{millis} ms: {:?} early", asked.since(at));
        assert!(at.since(asked) < Duration::from_secs(1), "{millis} ms: {:?} late", at.since(asked));
    }
    thread::sleep(Duration::from_millis(100));
    assert!(events.try_recv().is_err(), "each once");
    server.stop();
}

#[test]
fn wake_at_replaces_and_cancel_takes_back() {
    let (probe, events) = Probe::new();
    let probe = probe.input(|conn, input| {
        let now = conn.now();
        match &*input.take_all() {
            b"later" => {
                conn.wake_at(now + Duration::from_millis(20));
                conn.wake_at(now + Duration::from_millis(150));
            }
            b"sooner" => {
                conn.wake_at(now + Duration::from_secs(3600));
                conn.wake_at(now + Duration::from_millis(20));
            }
            _ => {
                conn.wake_at(now + Duration::from_millis(20));
                conn.cancel_wake();
            }
        }
        Ok(())
    });
    let server = start(probe, limits());
    let mut stream = server.connect();
    let begun = Instant::now();
    stream.write_all(b"later").unwrap();
    wait(&events, |event| matches!(event, Event::Timeout(_)));
    assert!(begun.elapsed() >= Duration::from_millis(150), "the later one counts");
    stream.write_all(b"sooner").unwrap();
    wait(&events, |event| matches!(event, Event::Timeout(_)));
    stream.write_all(b"never").unwrap();
    thread::sleep(Duration::from_millis(200));
    assert!(events.try_iter().all(|event| !matches!(event, Event::Timeout(_))), "cancelled");
    server.stop();
}

#[test]
fn the_default_timeout_ends_the_connection() {
    struct Impatient;
    impl Service for Impatient {
        type Session = ();
        fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
            conn.wake_at(conn.now() + Duration::from_millis(30));
            Ok(())
        }
        fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
            Ok(())
        }
    }
    let server = Running::start(serve(|| Impatient).config(one_worker(limits())).tcp("127.0.0.1:0"));
    expect_end(&mut server.connect());
    let counters = server.wait_for("the end", |c| c.connections == 0 && c.opened == 1);
    assert_eq!(counters.closed_by("timeout"), 1);
    server.stop();
}

struct Metronome {
    ticks: Arc<Mutex<Vec<(Tick, Time)>>>,
    hold: Duration,
}

impl Service for Metronome {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        input.take_all();
        thread::sleep(self.hold);
        Ok(())
    }
    fn tick(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<()>, tick: Tick) {
        self.ticks.lock().unwrap().push((tick, scope.now()));
        sessions.each(scope, |conn, ()| conn.write(b"."));
    }
}

#[test]
fn ticks_are_counted_by_their_due_times_and_do_not_drift() {
    let ticks = Arc::new(Mutex::new(Vec::new()));
    let (period, hold) = (Duration::from_micros(2500), Duration::from_millis(60));
    let in_service = ticks.clone();
    let make = move || Metronome { ticks: in_service.clone(), hold };
    let server = Running::start(serve(make).tick(period).config(one_worker(limits())).tcp("127.0.0.1:0"));
    let mut stream = server.connect();
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(300));
        // Holds the worker over many ticks.
        stream.write_all(b"hold").unwrap();
    }
    thread::sleep(Duration::from_millis(300));
    let counters = server.stop().stats.counters;
    let ticks = ticks.lock().unwrap();
    let start = ticks[0].0.due.since(Time::ZERO + period * ticks[0].0.number as u32);
    let mut last = 0;
    for (tick, at) in &*ticks {
        assert_eq!(tick.number, last + 1 + tick.missed, "numbers count every period");
        assert_eq!(tick.due.since(Time::ZERO), start + period * tick.number as u32, "due on the grid");
        let late = at.since(tick.due);
        assert!(*at >= tick.due && late < period, "in its own period, or it is missed: {late:?}");
        last = tick.number;
    }
    assert!(last >= 400, "{last} in about 1.2 s");
    assert!(counters.ticks_missed >= 40, "{} missed", counters.ticks_missed);
    assert_eq!(counters.ticks + counters.ticks_missed, last);
    assert!(ticks.len() > 50, "{} were delivered", ticks.len());
}

#[test]
fn a_server_that_only_ticks_sleeps_between() {
    let ticks = Arc::new(Mutex::new(Vec::new()));
    let in_service = ticks.clone();
    let make = move || Metronome { ticks: in_service.clone(), hold: Duration::ZERO };
    let period = Duration::from_millis(20);
    let server = Running::start(serve(make).tick(period).config(one_worker(limits())).tcp("127.0.0.1:0"));
    thread::sleep(Duration::from_millis(500));
    let counters = server.counters();
    assert!(counters.ticks >= 5, "{}", counters.ticks);
    assert!(counters.polls <= counters.ticks + 10, "{} polls for {}", counters.polls, counters.ticks);
    server.stop();
}

//! The generator against servers that do right and servers that do wrong, on real sockets.

mod servers;

use std::time::Duration;

use servers::{Fault, Serving};
use windlass_bench::args::Target;
use windlass_bench::echo::{self, EchoOptions, EchoReport, Mode};

/// A short run against `server`.
fn options(server: &Serving) -> EchoOptions {
    EchoOptions {
        target: server.target.clone(),
        connections: 4,
        duration: Duration::from_millis(200),
        warmup: Duration::from_millis(20),
        stall: Duration::from_millis(300),
        hold: Duration::from_millis(300),
        pid: Some(std::process::id()),
        ..EchoOptions::default()
    }
}

fn run(options: &EchoOptions) -> EchoReport {
    echo::run(options, &mut |_| {}).unwrap()
}

#[track_caller]
fn assert_clean(report: &EchoReport) {
    assert_eq!(report.trouble(), None);
    assert!(report.messages > 0);
    assert_eq!(report.bytes, report.messages * report.options.size as u64);
    assert_eq!(report.latency.len(), report.messages);
}

#[test]
fn small_and_large_messages_at_any_depth() {
    let server = Serving::tcp(Fault::None);
    for (size, depth) in [(1, 1), (64, 1), (64, 32), (65_521, 3)] {
        let report = run(&EchoOptions { size, depth, ..options(&server) });
        assert_eq!(report.trouble(), None, "{size} bytes at depth {depth}");
        assert!(report.messages > 0);
    }
}

#[test]
fn one_byte_at_a_time_is_as_good() {
    let server = Serving::tcp(Fault::Dribble);
    let report = run(&EchoOptions { size: 100, ..options(&server) });
    assert_eq!(report.trouble(), None);
    assert!(report.messages > 0);
}

#[test]
fn unix_sockets_with_blocked_writes() {
    let server = Serving::unix(Fault::None);
    // More under way than the socket holds, so that writing has to wait for its turn.
    let report = run(&EchoOptions { size: 1 << 20, depth: 4, ..options(&server) });
    assert_eq!(report.trouble(), None);
    assert!(report.messages > 0);
}

#[test]
fn several_threads_share_the_connections() {
    let server = Serving::tcp(Fault::None);
    assert_eq!(run(&EchoOptions { threads: 3, ..options(&server) }).trouble(), None);
    assert_eq!(run(&EchoOptions { threads: 3, rate: Some(2000), ..options(&server) }).trouble(), None);
}

#[test]
fn the_open_loop_keeps_its_rate() {
    let server = Serving::tcp(Fault::None);
    let report = run(&EchoOptions { rate: Some(5000), ..options(&server) });
    assert_eq!(report.trouble(), None);
    // Exactly this many are due inside the window, and each is timed, whenever it comes back.
    assert_eq!(report.latency.len(), 1000);
}

#[test]
fn the_open_loop_counts_waiting_as_latency() {
    let server = Serving::tcp(Fault::SleepOnce(Duration::from_millis(100)));
    let report = run(&EchoOptions { rate: Some(1000), connections: 1, ..options(&server) });
    assert_eq!(report.trouble(), None);
    // Messages due during the sleep were late by up to its length, although each was answered at
    // once when its turn came. A generator that waits for replies would have seen one late one.
    assert!(report.latency.percentile(70.0) > 10_000.0, "p70 is {}", report.latency.percentile(70.0));
}

#[test]
fn churn_on_both_kinds_of_sockets() {
    for server in [Serving::tcp(Fault::None), Serving::unix(Fault::None)] {
        let report = run(&EchoOptions { mode: Mode::Churn, ..options(&server) });
        assert_clean(&report);
    }
}

#[test]
fn idle_connections_are_held_and_used_once() {
    let server = Serving::tcp(Fault::None);
    let report = run(&EchoOptions { mode: Mode::Idle, connections: 20, ..options(&server) });
    assert_clean(&report);
    assert_eq!(report.messages, 20);
    assert!(report.idle.unwrap().bytes_per_connection().is_some());
}

#[test]
fn slow_readers_get_everything_in_the_end() {
    let server = Serving::tcp(Fault::None);
    let report =
        run(&EchoOptions { mode: Mode::Slow, slow_clients: 2, slow_size: 20 << 20, ..options(&server) });
    assert_eq!(report.trouble(), None);
    let slow = report.slow.unwrap();
    assert_eq!((slow.whole, slow.dead), (2, 0));
    assert!(slow.taken.iter().all(|&taken| taken > 0 && taken < 20 << 20));
    assert!(!slow.alone.is_empty() && !slow.held.is_empty());
}

#[test]
fn every_kind_of_damage_is_found() {
    for (fault, words) in [
        (Fault::Flip(5000), "wrong byte at offset 5000"),
        (Fault::Lose(5000), "wrong byte at offset 5000"),
        (Fault::Double(5000), "wrong byte at offset 5001"),
        (Fault::CloseAfter(5000), "owes"),
    ] {
        let server = Serving::tcp(fault);
        let report = run(&EchoOptions { connections: 1, ..options(&server) });
        let trouble = report.trouble().unwrap_or_default();
        assert!(trouble.contains(words), "{fault:?}: {trouble}");
    }
}

#[test]
fn a_lost_last_byte_is_a_stall_and_no_hang() {
    let server = Serving::tcp(Fault::StallAfter(6400));
    let report = run(&EchoOptions { connections: 2, ..options(&server) });
    assert_eq!(report.stalled, 2);
    assert_eq!(report.unanswered, 2);
    let report = run(&EchoOptions { connections: 2, mode: Mode::Churn, size: 10_000, ..options(&server) });
    assert!(report.stalled > 0);
}

#[test]
fn nobody_listens() {
    let gone = Serving::tcp(Fault::None).target.clone();
    let nowhere = Target::Unix(std::env::temp_dir().join("windlass-bench-no-such-socket"));
    for target in [gone, nowhere] {
        for mode in [Mode::Steady, Mode::Churn, Mode::Idle, Mode::Slow] {
            let options = EchoOptions { target: target.clone(), mode, ..EchoOptions::default() };
            let error = echo::run(&options, &mut |_| {}).unwrap_err().to_string();
            assert!(error.contains("cannot connect") && !error.contains('\n'), "{error}");
        }
    }
}

//! The generator against servers that do right and servers that do wrong, on real sockets.

mod broker;
mod mqtt;
mod servers;

use std::time::Duration;

use servers::{Fault, Serving};
use windlass_bench::args::Target;
use windlass_bench::echo::{self, EchoOptions, EchoReport, Mode};
use windlass_bench::load::Options;

/// How long a server may say nothing: one that is well does, on a machine that stands still for a moment.
const STALL: Duration = Duration::from_secs(60);

/// A short run against `server`, but for what `change` changes, in which there is something to be seen.
fn run(server: &Serving, change: impl Fn(&mut EchoOptions)) -> EchoReport {
    run_until(server, change, |report| report.load.messages > 0)
}

/// One that is short at first: if it shows too little, as the machine stood still meanwhile, it is done again and takes
/// longer.
fn run_until(
    server: &Serving,
    change: impl Fn(&mut EchoOptions),
    is_enough: impl Fn(&EchoReport) -> bool,
) -> EchoReport {
    let of = |times: u32| {
        let load = Options {
            target: server.target.clone(),
            connections: 4,
            duration: times * Duration::from_millis(200),
            warmup: Duration::from_millis(20),
            stall: STALL,
            pid: Some(std::process::id()),
            ..Options::default()
        };
        let hold = times * Duration::from_millis(300);
        let mut options = EchoOptions { load, hold, ..EchoOptions::default() };
        change(&mut options);
        echo::run(&options, &mut |_| {})
    };
    // One that has seen nothing at all is an error.
    let short = [1, 5, 25].into_iter().filter_map(|times| of(times).ok()).find(&is_enough);
    short.unwrap_or_else(|| of(75).unwrap())
}

#[track_caller]
fn assert_clean(report: &EchoReport) {
    assert_eq!(report.load.trouble(), None);
    assert!(report.load.messages > 0);
    assert_eq!(report.load.bytes, report.load.messages * report.load.options.size as u64);
    assert_eq!(report.load.latency.len(), report.load.messages);
}

#[test]
fn small_and_large_messages_at_any_depth() {
    let server = Serving::tcp(Fault::None);
    for (size, depth) in [(1, 1), (64, 1), (64, 32), (65_521, 3)] {
        let report = run(&server, |options| {
            options.load.size = size;
            options.load.depth = depth;
        });
        assert_eq!(report.load.trouble(), None, "{size} bytes at depth {depth}");
        assert!(report.load.messages > 0);
    }
}

#[test]
fn one_byte_at_a_time_is_as_good() {
    let server = Serving::tcp(Fault::Dribble);
    let report = run(&server, |options| options.load.size = 100);
    assert_eq!(report.load.trouble(), None);
    assert!(report.load.messages > 0);
}

#[test]
fn unix_sockets_with_blocked_writes() {
    let server = Serving::unix(Fault::None);
    // More under way than the socket holds, so that writing has to wait for its turn.
    let report = run(&server, |options| {
        options.load.size = 1 << 20;
        options.load.depth = 4;
    });
    assert_eq!(report.load.trouble(), None);
    assert!(report.load.messages > 0);
}

#[test]
fn several_threads_share_the_connections() {
    let server = Serving::tcp(Fault::None);
    assert_eq!(run(&server, |options| options.load.threads = 3).load.trouble(), None);
    assert_eq!(
        run(&server, |options| {
            options.load.threads = 3;
            options.load.rate = Some(2000);
        })
        .load
        .trouble(),
        None
    );
}

#[test]
fn the_open_loop_keeps_its_rate() {
    let server = Serving::tcp(Fault::None);
    let report = run(&server, |options| options.load.rate = Some(5000));
    assert_eq!(report.load.trouble(), None);
    // Exactly this many are due inside the window, and each is timed, whenever it comes back.
    assert_eq!(report.load.latency.len(), 1000);
}

#[test]
fn the_open_loop_counts_waiting_as_latency() {
    let server = Serving::tcp(Fault::SleepOnce(Duration::from_millis(100)));
    let report = run(&server, |options| {
        options.load.rate = Some(1000);
        options.load.connections = 1;
        // Half of it, however often it has to be done again.
        options.load.duration = Duration::from_millis(200);
    });
    assert_eq!(report.load.trouble(), None);
    // Messages due during the sleep were late by up to its length, although each was answered at
    // once when its turn came. A generator that waits for replies would have seen one late one.
    assert!(
        report.load.latency.percentile(70.0) > 10_000.0,
        "p70 is {}",
        report.load.latency.percentile(70.0)
    );
}

#[test]
fn churn_on_both_kinds_of_sockets() {
    for server in [Serving::tcp(Fault::None), Serving::unix(Fault::None)] {
        let report = run(&server, |options| options.mode = Mode::Churn);
        assert_clean(&report);
    }
}

#[test]
fn idle_connections_are_held_and_used_once() {
    let server = Serving::tcp(Fault::None);
    let report = run(&server, |options| {
        options.mode = Mode::Idle;
        options.load.connections = 20;
    });
    assert_clean(&report);
    assert_eq!(report.load.messages, 20);
    assert!(report.idle.unwrap().bytes_per_connection().is_some());
}

#[test]
fn slow_readers_get_everything_in_the_end() {
    let server = Serving::tcp(Fault::None);
    let change = |options: &mut EchoOptions| {
        options.mode = Mode::Slow;
        options.slow_clients = 2;
        options.slow_size = 20 << 20;
    };
    let is_measured = |slow: &echo::SlowReport| !slow.alone.is_empty() && !slow.held.is_empty();
    let report = run_until(&server, change, |report| report.slow.as_ref().is_some_and(is_measured));
    assert_eq!(report.load.trouble(), None);
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
        let is_found =
            |report: &EchoReport| report.load.trouble().is_some_and(|trouble| trouble.contains(words));
        let report = run_until(&server, |options| options.load.connections = 1, is_found);
        let trouble = report.load.trouble().unwrap_or_default();
        assert!(trouble.contains(words), "{fault:?}: {trouble}");
    }
}

#[test]
fn a_lost_last_byte_is_a_stall_and_no_hang() {
    let server = Serving::tcp(Fault::StallAfter(6400));
    let stall = Duration::from_millis(300);
    let change = |options: &mut EchoOptions| (options.load.connections, options.load.stall) = (2, stall);
    let report = run_until(&server, change, |report| report.load.stalled == 2);
    assert_eq!(report.load.stalled, 2);
    assert_eq!(report.load.unanswered, 2);
    let churn = |options: &mut EchoOptions| {
        change(options);
        options.mode = Mode::Churn;
        options.load.size = 10_000;
    };
    let report = run_until(&server, churn, |report| report.load.stalled > 0);
    assert!(report.load.stalled > 0);
}

#[test]
fn nobody_listens() {
    // No port that the system gives to anybody.
    let gone = Target::Tcp(([127, 0, 0, 1], 1).into());
    let nowhere = Target::Unix(std::env::temp_dir().join("windlass-bench-no-such-socket"));
    for target in [gone, nowhere] {
        for mode in [Mode::Steady, Mode::Churn, Mode::Idle, Mode::Slow] {
            let options = EchoOptions {
                load: Options { target: target.clone(), ..Options::default() },
                mode,
                ..EchoOptions::default()
            };
            let error = echo::run(&options, &mut |_| {}).unwrap_err().to_string();
            assert!(error.contains("cannot connect") && !error.contains('\n'), "{error}");
        }
    }
}

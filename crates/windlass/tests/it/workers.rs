//! Several workers: connections are spread evenly, and each is served where it lives.

use std::collections::HashSet;
use std::thread;

use windlass::{Config, ConnId, serve};

use crate::child::{self, Process};
use crate::harness::*;
use crate::probe::{Event, Probe};

fn loads(server: &Running, workers: usize) -> Vec<u64> {
    (0..workers).map(|n| server.handle.worker_stats(n).unwrap().counters.connections).collect()
}

#[test]
fn newcomers_go_to_the_least_loaded_worker() {
    const WORKERS: usize = 3;
    for lead in [2, 5] {
        let mut config = Config::default().workers(WORKERS).limits(limits());
        config.rebalance_lead = lead;
        let server = Running::start(serve(|| Echo).config(config).tcp("127.0.0.1:0"));
        let mut streams: Vec<_> = (0..60)
            .map(|_| {
                // One after the other: two workers that decide at the same time may be off by one.
                let mut stream = server.connect();
                round_trip(&mut stream, b"hello");
                stream
            })
            .collect();
        server.wait_for("all to be counted", |c| c.connections == 60);
        let spread = loads(&server, WORKERS);
        let (most, least) = (spread.iter().max().unwrap(), spread.iter().min().unwrap());
        assert!(most - least <= lead as u64, "{spread:?}");
        for stream in &mut streams {
            round_trip(stream, b"wherever it went");
        }
        let counters = server.stop().stats.counters;
        assert!(lead > 2 || counters.handed_over > 0, "chance alone does not do it");
        assert_eq!(counters.opened, 60);
    }
}

#[test]
fn a_storm_is_spread_too() {
    const WORKERS: usize = 3;
    let config = Config::default().workers(WORKERS).limits(limits());
    let server = Running::start(serve(|| Echo).config(config).tcp("127.0.0.1:0"));
    let addr = server.addr();
    let threads: Vec<_> =
        (0..4).map(|_| thread::spawn(move || (0..75).map(|_| connect(addr)).collect::<Vec<_>>())).collect();
    let mut streams: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    server.wait_for("all", |c| c.connections == 300);
    let spread = loads(&server, WORKERS);
    let (most, least) = (spread.iter().max().unwrap(), spread.iter().min().unwrap());
    // Each worker decides on counts that the others are changing: the lead, and one for each of them.
    assert!(most - least <= 2 + WORKERS as u64, "{spread:?}");
    for stream in &mut streams {
        round_trip(stream, b"hello");
    }
    drop(streams);
    server.wait_for("all to leave", |c| c.connections == 0);
    assert_eq!(loads(&server, WORKERS), [0; WORKERS]);
    server.stop();
}

#[test]
fn without_rebalancing_nobody_is_moved() {
    let mut config = Config::default().workers(3).limits(limits());
    config.rebalance_lead = 0;
    let server = Running::start(serve(|| Echo).config(config).tcp("127.0.0.1:0"));
    let mut streams: Vec<_> = (0..60).map(|_| server.connect()).collect();
    for stream in &mut streams {
        round_trip(stream, b"hello");
    }
    assert_eq!(server.stop().stats.counters.handed_over, 0);
}

#[test]
fn ids_name_one_connection_of_one_worker() {
    let (probe, events) = Probe::new();
    let config = Config::default().workers(3).limits(limits());
    let server = Running::start(serve(move || probe.clone()).config(config).tcp("127.0.0.1:0"));
    for _ in 0..5 {
        let streams: Vec<_> = (0..20).map(|_| server.connect()).collect();
        server.wait_for("all", |c| c.connections == 20);
        streams.iter().for_each(reset_on_drop);
        drop(streams);
        server.wait_for("none", |c| c.connections == 0);
    }
    server.stop();
    let ids: Vec<ConnId> =
        events.iter().filter_map(|event| if let Event::Open(id) = event { Some(id) } else { None }).collect();
    assert_eq!(ids.len(), 100);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 100, "no id is used twice");
    let workers: HashSet<_> = ids.iter().map(|id| id.worker()).collect();
    assert_eq!(workers.len(), 3);
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// In a child, as a user who may have few threads.
#[test]
#[ignore = "a part of the test below, run in a child"]
fn more_workers_than_threads() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    if child::arg().is_none() {
        return;
    }
    let before = threads();
    let most = Some(before as u64 + 3);
    setrlimit(Resource::Nproc, Rlimit { current: most, maximum: most }).unwrap();
    let config = Config::default().workers(20).limits(limits());
    let error = serve(|| Echo).config(config).tcp("127.0.0.1:0").run().expect_err("not that many");
    child::say(format_args!("{error}, {} threads left", threads() - before));
}

#[cfg(target_os = "linux")]
#[test]
fn when_a_worker_cannot_be_started_the_others_are_gone_before_it_is_told() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("!!! SKIPPED: only root can become a user without other processes");
        return;
    }
    let mut child = Process::start_as(54_321, "workers::more_workers_than_threads", "");
    let said = child.hear();
    assert!(said.starts_with("cannot start a worker") && said.ends_with(", 0 threads left"), "{said}");
    child.finish();
}

//! The state of a server as JSON: for programs, for `windlass top`, for the page.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use windlass::{Stats, TurnTimes};

use super::Bound;

/// The whole server at one moment. Times are in seconds, sizes in bytes, counts since the start.
#[derive(Serialize)]
pub(crate) struct State {
    version: &'static str,
    uptime_seconds: f64,
    /// "serving", "superseded" (a successor has the listeners) or "draining".
    phase: &'static str,
    /// Messages the services have counted, in their own terms.
    messages: u64,
    connections: usize,
    listeners: Vec<Listener>,
    workers: Vec<Worker>,
    /// Ends of connections by their reason; those that never came are left out.
    closes: BTreeMap<&'static str, u64>,
    counters: BTreeMap<&'static str, u64>,
    turns: Turns,
}

#[derive(Serialize)]
struct Listener {
    address: String,
    connections: usize,
}

#[derive(Serialize)]
struct Worker {
    connections: u64,
    busy_seconds: f64,
    received_bytes: u64,
    sent_bytes: u64,
    buffered_bytes: u64,
    run_queue: u64,
    turns: Turns,
}

/// How long turns took.
#[derive(Serialize)]
struct Turns {
    count: u64,
    p50_seconds: f64,
    p99_seconds: f64,
    p999_seconds: f64,
    max_seconds: f64,
}

impl Turns {
    fn of(times: &TurnTimes) -> Turns {
        let quantile = |q| times.quantile(q).as_secs_f64();
        Turns {
            count: times.count(),
            p50_seconds: quantile(0.5),
            p99_seconds: quantile(0.99),
            p999_seconds: quantile(0.999),
            max_seconds: quantile(1.0),
        }
    }
}

impl Worker {
    fn of(stats: &Stats) -> Worker {
        let counters = &stats.counters;
        Worker {
            connections: counters.connections,
            busy_seconds: Duration::from_nanos(counters.busy_nanos).as_secs_f64(),
            received_bytes: counters.bytes_in,
            sent_bytes: counters.bytes_out,
            buffered_bytes: counters.buffered_bytes,
            run_queue: counters.run_queue,
            turns: Turns::of(&stats.turn_times),
        }
    }
}

impl State {
    pub(crate) fn of(bound: &Bound, uptime: Duration, messages: u64) -> State {
        let handle = &bound.handle;
        let stats = handle.stats();
        let listeners = handle.listener_connections();
        State {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: uptime.as_secs_f64(),
            phase: match (handle.is_superseded(), handle.is_stopping()) {
                (true, _) => "superseded",
                (_, true) => "draining",
                _ => "serving",
            },
            messages,
            connections: handle.connections(),
            listeners: listeners
                .into_iter()
                .map(|(address, connections)| Listener { address, connections })
                .collect(),
            workers: (0..bound.workers)
                .filter_map(|worker| handle.worker_stats(worker))
                .map(|stats| Worker::of(&stats))
                .collect(),
            closes: stats.counters.closes().filter(|(_, n)| *n > 0).collect(),
            counters: stats.counters.entries().collect(),
            turns: Turns::of(&stats.turn_times),
        }
    }
}

//! The state of a server, as [`shape`](super::shape) has it.

use std::collections::BTreeMap;
use std::time::Duration;

use windlass::{Handle, LimitUse, LimitValue, Page, Stats, TurnTimes, TurnTrace};

use super::shape::{
    Connection, Connections, Entry, Limit, Listener, Max, Service, Stall, State, Step, Turn, Turns, Worker,
};
use super::{Bound, shape};
use crate::serving::Messages;
use crate::serving::reload::Reloads;

/// The whole server at one moment.
pub(super) fn state(bound: &Bound, messages: &Messages, reloads: Reloads) -> State {
    let handle = &bound.handle;
    let stats = handle.stats();
    let workers =
        (0..bound.workers).filter_map(|n| Some(worker(&handle.worker_stats(n)?, messages.of_worker(n))));
    let workers: Vec<Worker> = workers.collect();
    State {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        uptime_seconds: handle.uptime().as_secs_f64(),
        phase: match (handle.is_superseded(), handle.is_stopping()) {
            (true, _) => "superseded",
            (_, true) => "draining",
            _ => "serving",
        }
        .into(),
        // Not asked for again: they count on meanwhile, and parts and their sum are to fit.
        messages: workers.iter().map(|worker| worker.messages).sum(),
        connections: handle.connections() as u64,
        turns: turns(&stats.turn_times),
        workers,
        services: services(handle, messages),
        listeners: listeners(handle),
        closes: stats.counters.closes().filter(|(_, n)| *n > 0).map(|(why, n)| (why.into(), n)).collect(),
        counters: stats.counters.entries().map(|(name, n)| (name.into(), n)).collect(),
        limits: handle.limits_in_use().into_iter().map(limit).collect(),
        stalls: handle.stalls().into_iter().rev().map(stall).collect(),
        reloads: shape::Reloads {
            succeeded: reloads.succeeded,
            failed: reloads.failed,
            last_error: reloads.last_error,
        },
        proxies: Vec::new(),
        hubs: Vec::new(),
        games: Vec::new(),
    }
}

fn turns(times: &TurnTimes) -> Turns {
    let quantile = |q| times.quantile(q).as_secs_f64();
    Turns {
        count: times.count(),
        p50_seconds: quantile(0.5),
        p99_seconds: quantile(0.99),
        p999_seconds: quantile(0.999),
        max_seconds: quantile(1.0),
    }
}

fn worker(stats: &Stats, messages: u64) -> Worker {
    let counters = &stats.counters;
    let named = |name| counters.entries().find(|(known, _)| *known == name).map(|(_, n)| n);
    let buckets = stats.turn_times.buckets().filter(|(_, n)| *n > 0);
    Worker {
        connections: counters.connections,
        busy_seconds: Duration::from_nanos(counters.busy_nanos).as_secs_f64(),
        messages,
        received_bytes: counters.bytes_in,
        sent_bytes: counters.bytes_out,
        buffered_bytes: counters.buffered_bytes,
        run_queue: counters.run_queue,
        lag_seconds: named("lag_nanos").map(|nanos| Duration::from_nanos(nanos).as_secs_f64()),
        overloaded: named("overloaded").map(|n| n > 0),
        turns: turns(&stats.turn_times),
        turn_buckets: buckets.map(|(edge, n)| (edge.as_secs_f64(), n)).collect(),
    }
}

/// The engine's services, with what they have counted in their own terms.
pub(super) fn services(handle: &Handle, messages: &Messages) -> Vec<Service> {
    let counted: BTreeMap<String, (&'static str, u64)> = messages.by_service();
    let service = |stats: windlass::ServiceStats| {
        let (kind, messages) = counted.get(&stats.name).copied().unwrap_or_default();
        // Nobody counts what the operator asks.
        let kind = if kind.is_empty() { &*stats.name } else { kind };
        Service {
            kind: kind.into(),
            connections: stats.connections,
            opened: stats.opened,
            messages,
            received_bytes: stats.bytes_in,
            sent_bytes: stats.bytes_out,
            name: stats.name,
        }
    };
    handle.services().into_iter().map(service).collect()
}

fn listeners(handle: &Handle) -> Vec<Listener> {
    let listener = |stats: windlass::ListenerStats| Listener {
        address: stats.address,
        service: stats.service,
        tls: stats.tls,
        connections: stats.connections,
        opened: stats.opened,
        received_bytes: stats.bytes_in,
        sent_bytes: stats.bytes_out,
    };
    handle.listeners().into_iter().map(listener).collect()
}

fn limit(limit: LimitUse) -> Limit {
    let (max, unit) = match limit.value {
        LimitValue::Count(n) => (Max::Number(n as f64), "count"),
        LimitValue::Bytes(n) => (Max::Number(n as f64), "bytes"),
        LimitValue::Time(time) => (Max::Number(time.as_secs_f64()), "seconds"),
        LimitValue::Policy(text) => (Max::Text(text.into()), "text"),
        other => (Max::Text(format!("{other:?}")), "text"),
    };
    Limit {
        name: limit.name.into(),
        used: limit.used,
        max,
        unit: unit.into(),
        reached: limit.reached.unwrap_or(0),
        about: limit.about.into(),
    }
}

fn stall(stall: windlass::Stall) -> Stall {
    Stall {
        worker: stall.worker,
        callback: stall.callback.into(),
        at: stall.listener,
        conn: stall.conn.map(|conn| conn.to_string()),
        took_seconds: stall.took.as_secs_f64(),
        at_seconds: stall.at.as_secs_f64(),
    }
}

/// One page of connections.
pub(super) fn connections(found: Page, page: usize, per_page: usize) -> Connections {
    let connection = |entry: windlass::ConnEntry| Connection {
        id: entry.id.to_string(),
        worker: entry.id.worker(),
        service: entry.service.to_string(),
        listener: entry.listener.map(|listener| listener.to_string()),
        peer: entry.peer.to_string(),
        age_seconds: entry.age.as_secs_f64(),
        idle_seconds: entry.idle.as_secs_f64(),
        received_bytes: entry.received,
        sent_bytes: entry.sent,
        received_rate: entry.received_rate.into(),
        sent_rate: entry.sent_rate.into(),
        output_bytes: entry.output_bytes,
        input_bytes: entry.input_bytes,
        state: entry.state.names().map(String::from).collect(),
    };
    Connections {
        total: found.total,
        matched: found.matched,
        page,
        per_page,
        connections: found.entries.into_iter().map(connection).collect(),
    }
}

/// One turn.
pub(super) fn turn(trace: TurnTrace) -> Turn {
    let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
    let entry = |entry: windlass::TraceEntry| Entry {
        what: entry.what.into(),
        conn: entry.conn.map(|conn| conn.to_string()),
        detail: entry.detail.into_owned(),
        bytes: entry.bytes,
        at_micros: micros(entry.at),
        took_micros: micros(entry.took),
    };
    let step = |step: windlass::TraceStep| Step {
        step: step.step.into(),
        at_micros: micros(step.at),
        took_micros: micros(step.took),
        entries: step.entries.into_iter().map(entry).collect(),
    };
    Turn {
        worker: trace.worker,
        turn: trace.turn,
        waited_micros: micros(trace.waited),
        took_micros: micros(trace.took),
        steps: trace.steps.into_iter().map(step).collect(),
        left_out: trace.left_out,
    }
}

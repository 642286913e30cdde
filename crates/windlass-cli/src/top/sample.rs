//! What the server told at one moment, and what happened between two of them.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde_json::{Value, json};

use crate::admin::shape::{Connections, State, Worker};

/// What the server told at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) state: State,
    /// Of each worker, where the server tells.
    pub(crate) lags: Vec<Option<f64>>,
    pub(crate) overloaded: Vec<bool>,
    pub(crate) reloads: Option<Reloads>,
}

/// How often the configuration was read again.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Reloads {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) last_error: Option<String>,
}

impl Sample {
    /// Reads `GET /api/state`. What another version of the server does not tell is as good as nothing.
    pub(crate) fn read(body: &[u8]) -> Result<Sample, serde_json::Error> {
        let mut value: Value = serde_json::from_slice(body)?;
        if !value["uptime_seconds"].is_number() {
            return Err(serde_json::Error::custom("this is no state of a server"));
        }
        let workers = value["workers"].as_array().cloned().unwrap_or_default();
        let reloads = value["reloads"].as_object().map(|reloads| Reloads {
            succeeded: reloads.get("succeeded").and_then(Value::as_u64).unwrap_or(0),
            failed: reloads.get("failed").and_then(Value::as_u64).unwrap_or(0),
            last_error: reloads.get("last_error").and_then(Value::as_str).map(String::from),
        });
        complete(&mut value);
        Ok(Sample {
            state: serde_json::from_value(value)?,
            lags: workers.iter().map(|worker| worker["lag_seconds"].as_f64()).collect(),
            overloaded: workers.iter().map(|worker| worker["overloaded"] == true).collect(),
            reloads,
        })
    }
}

/// Reads `GET /api/connections`.
pub(crate) fn connections(body: &[u8]) -> Result<Connections, serde_json::Error> {
    serde_json::from_slice(body)
}

/// Puts what is missing in its place.
fn complete(state: &mut Value) {
    let turns = json!({
        "count": 0, "p50_seconds": 0.0, "p99_seconds": 0.0, "p999_seconds": 0.0, "max_seconds": 0.0,
    });
    let traffic =
        json!({ "connections": 0, "opened": 0, "messages": 0, "received_bytes": 0, "sent_bytes": 0 });
    let with = |more: Value| {
        let mut all = traffic.clone();
        add(&mut all, &more);
        all
    };
    add(
        state,
        &json!({
            "version": "?", "pid": 0, "phase": "serving", "messages": 0, "connections": 0, "turns": turns,
            "workers": [], "services": [], "listeners": [], "closes": {}, "counters": {}, "limits": [],
            "stalls": [],
        }),
    );
    for (list, usual) in [
        (
            "workers",
            with(json!({
                "busy_seconds": 0.0, "buffered_bytes": 0, "run_queue": 0, "turns": turns, "turn_buckets": [],
            })),
        ),
        ("services", with(json!({ "name": "", "kind": "" }))),
        ("listeners", with(json!({ "address": "", "service": "", "tls": false }))),
        ("limits", json!({ "name": "", "used": null, "max": "", "unit": "text", "reached": 0, "about": "" })),
        (
            "stalls",
            json!({
                "worker": 0, "callback": "", "where": "", "conn": null, "took_seconds": 0.0, "at_seconds": 0.0,
            }),
        ),
    ] {
        for entry in state[list].as_array_mut().into_iter().flatten() {
            add(entry, &usual);
        }
    }
}

/// Adds what `value` lacks.
fn add(value: &mut Value, usual: &Value) {
    if let (Value::Object(value), Value::Object(usual)) = (value, usual) {
        for (name, usual) in usual {
            value.entry(name.clone()).or_insert_with(|| usual.clone());
        }
    }
}

/// What happened in a second, by the server's own clock.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Rates {
    pub(crate) messages: f64,
    pub(crate) opened: f64,
    pub(crate) closed: f64,
    pub(crate) received: f64,
    pub(crate) sent: f64,
    pub(crate) workers: Vec<WorkerRates>,
    /// By name, and by address.
    pub(crate) services: BTreeMap<String, Traffic>,
    pub(crate) listeners: BTreeMap<String, Traffic>,
    pub(crate) closes: BTreeMap<String, f64>,
}

/// What one worker did.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct WorkerRates {
    /// The share of the time in which it did not wait, from 0 to 1.
    pub(crate) busy: f64,
    pub(crate) turns: f64,
    /// How long turns took, in seconds; `None` if there were none.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) p999: Option<f64>,
}

/// What went through one service or listener.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) messages: f64,
    pub(crate) opened: f64,
    pub(crate) received: f64,
    pub(crate) sent: f64,
}

impl Rates {
    /// What happened between two samples; `None` if they are not of one process, or of one moment.
    pub(crate) fn between(before: &State, after: &State) -> Option<Rates> {
        let passed = after.uptime_seconds - before.uptime_seconds;
        if before.pid != after.pid || passed <= 0.0 {
            return None;
        }
        let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / passed;
        let mut rates = Rates { messages: rate(before.messages, after.messages), ..Rates::default() };
        for (n, worker) in after.workers.iter().enumerate() {
            let Some(earlier) = before.workers.get(n) else { continue };
            rates.received += rate(earlier.received_bytes, worker.received_bytes);
            rates.sent += rate(earlier.sent_bytes, worker.sent_bytes);
            rates.workers.push(worker_rates(earlier, worker, passed));
        }
        for service in &after.services {
            // One that was added meanwhile began with nothing.
            let earlier = before.services.iter().find(|earlier| earlier.name == service.name);
            let was = |of: fn(&crate::admin::shape::Service) -> u64| earlier.map_or(0, of);
            let traffic = Traffic {
                messages: rate(was(|s| s.messages), service.messages),
                opened: rate(was(|s| s.opened), service.opened),
                received: rate(was(|s| s.received_bytes), service.received_bytes),
                sent: rate(was(|s| s.sent_bytes), service.sent_bytes),
            };
            rates.opened += traffic.opened;
            rates.services.insert(service.name.clone(), traffic);
        }
        for listener in &after.listeners {
            let earlier = before.listeners.iter().find(|earlier| earlier.address == listener.address);
            let was = |of: fn(&crate::admin::shape::Listener) -> u64| earlier.map_or(0, of);
            let traffic = Traffic {
                messages: 0.0,
                opened: rate(was(|l| l.opened), listener.opened),
                received: rate(was(|l| l.received_bytes), listener.received_bytes),
                sent: rate(was(|l| l.sent_bytes), listener.sent_bytes),
            };
            rates.listeners.insert(listener.address.clone(), traffic);
        }
        for (why, n) in &after.closes {
            let closed = rate(before.closes.get(why).copied().unwrap_or(0), *n);
            rates.closed += closed;
            rates.closes.insert(why.clone(), closed);
        }
        Some(rates)
    }
}

fn worker_rates(before: &Worker, after: &Worker, passed: f64) -> WorkerRates {
    let fresh: Vec<(f64, u64)> = after
        .turn_buckets
        .iter()
        .map(|&(edge, n)| {
            let earlier = before.turn_buckets.iter().find(|(other, _)| *other == edge);
            (edge, n.saturating_sub(earlier.map_or(0, |(_, n)| *n)))
        })
        .collect();
    WorkerRates {
        busy: ((after.busy_seconds - before.busy_seconds) / passed).clamp(0.0, 1.0),
        turns: after.turns.count.saturating_sub(before.turns.count) as f64 / passed,
        p50: quantile(&fresh, 0.5),
        p99: quantile(&fresh, 0.99),
        p999: quantile(&fresh, 0.999),
    }
}

/// The upper edge of the bucket in which that share of all is reached.
fn quantile(buckets: &[(f64, u64)], share: f64) -> Option<f64> {
    let all: u64 = buckets.iter().map(|(_, n)| n).sum();
    let wanted = (all as f64 * share).ceil().max(1.0) as u64;
    let mut seen = 0;
    buckets.iter().find_map(|&(edge, n)| {
        seen += n;
        (n > 0 && seen >= wanted).then_some(edge)
    })
}

#[cfg(test)]
#[path = "../tests/top/sample.rs"]
mod tests;

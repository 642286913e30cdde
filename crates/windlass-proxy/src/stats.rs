//! How a proxy is: plain data, for metrics and pages.

use std::sync::atomic::Ordering::Relaxed;

use windlass::Time;

use crate::breaker::{Breaker, State};
use crate::http::HttpStats;
use crate::plan::Plan;
use crate::upstream::Upstream;

/// A proxy at one moment. Counts are since its start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ProxyStats {
    /// Clients connected now.
    pub clients: usize,
    /// Clients that have connected.
    pub opened: u64,
    /// Clients that wait for a backend now.
    pub waiting: usize,
    /// Clients that have waited for one.
    pub queued: u64,
    /// Tries after a first one that failed.
    pub retries: u64,
    /// Requests, where HTTP is served.
    pub http: HttpStats,
    /// Clients that were not served, by [`Refusal::label`](crate::Refusal::label).
    pub refused: Vec<(&'static str, u64)>,
    /// Backends, in the order of the configuration.
    pub backends: Vec<BackendStats>,
    /// Retries of each route, in the order of the configuration; `backends` first.
    pub retry_budgets: Vec<BudgetStats>,
}

/// What was tried again for one route.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct BudgetStats {
    /// The route's name; `backends` for those that no route leads to.
    pub group: String,
    /// Clients on their way to a backend now.
    pub active: usize,
    /// Retries among them.
    pub retrying: usize,
    /// Retries that were begun.
    pub spent: u64,
    /// How often one had to wait, or was not made, because there were as many as may be.
    pub denied: u64,
}

impl ProxyStats {
    /// How many were not served for a reason.
    pub fn refused(&self, label: &str) -> u64 {
        self.refused.iter().find(|(other, _)| *other == label).map_or(0, |(_, count)| *count)
    }
}

/// One backend of one route.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct BackendStats {
    /// The route's name; `backends` for those that no route leads to.
    pub group: String,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// How it is.
    pub state: BackendState,
    /// As configured.
    pub weight: u32,
    /// Connections now, those being made included.
    pub connections: usize,
    /// As configured; 0: no limit.
    pub connections_max: usize,
    /// Connections that came about.
    pub opened: u64,
    /// Requests under way there, where HTTP is served.
    pub busy: usize,
    /// Requests that were sent to it.
    pub requests: u64,
    /// Connections that did not, and those it reset before it had sent a byte.
    pub failed: u64,
    /// Checks it has passed.
    pub checks_passed: u64,
    /// Checks it has not.
    pub checks_failed: u64,
    /// How often it was ejected.
    pub ejections: u64,
    /// How often it was not, because too many others were.
    pub ejections_spared: u64,
    /// How often its circuit breaker has opened.
    pub circuit_openings: u64,
    /// Bytes from it, of connections that have ended.
    pub received_bytes: u64,
    /// Bytes to it, of connections that have ended.
    pub sent_bytes: u64,
}

/// How a backend is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BackendState {
    /// It gets new connections.
    Up,
    /// Checks say that it is not there.
    Down,
    /// It has failed clients, and gets no new connections for some time.
    Ejected,
    /// It weighs nothing, and gets no new connections.
    Draining,
    /// Its circuit breaker is open: it gets no new connections for some time.
    CircuitOpen,
    /// Its circuit breaker tries it with a few.
    HalfOpen,
}

impl BackendState {
    /// A short stable name, fit for a metric's label.
    pub const fn label(self) -> &'static str {
        match self {
            BackendState::Up => "up",
            BackendState::Down => "down",
            BackendState::Ejected => "ejected",
            BackendState::Draining => "draining",
            BackendState::CircuitOpen => "circuit_open",
            BackendState::HalfOpen => "half_open",
        }
    }

    fn of(upstream: &Upstream, breaker: &Breaker, now: Time) -> BackendState {
        let circuit = upstream.counts.circuit.state(breaker, now);
        match upstream {
            _ if upstream.config.weight == 0 => BackendState::Draining,
            _ if upstream.counts.is_down() => BackendState::Down,
            _ if upstream.counts.is_ejected(now) => BackendState::Ejected,
            _ if circuit == State::Open => BackendState::CircuitOpen,
            _ if circuit == State::HalfOpen => BackendState::HalfOpen,
            _ => BackendState::Up,
        }
    }
}

pub(crate) fn budgets(plan: &Plan) -> Vec<BudgetStats> {
    let one = |group: &crate::plan::Group| {
        let (active, retrying) = group.budget.now();
        BudgetStats {
            group: group.name.clone(),
            active,
            retrying,
            spent: group.budget.spent.load(Relaxed),
            denied: group.budget.denied.load(Relaxed),
        }
    };
    plan.groups.iter().map(one).collect()
}

pub(crate) fn backends(plan: &Plan, now: Time) -> Vec<BackendStats> {
    let one = |(group, upstream): (usize, &std::sync::Arc<Upstream>)| {
        let (config, counts) = (&upstream.config, &upstream.counts);
        BackendStats {
            group: plan.groups[group].name.clone(),
            name: config.name.clone(),
            address: upstream.key.clone(),
            state: BackendState::of(upstream, &plan.config.health.breaker, now),
            weight: config.weight,
            connections: counts.connections.load(Relaxed),
            connections_max: config.connections_max,
            opened: counts.opened.load(Relaxed),
            busy: counts.busy.load(Relaxed),
            requests: counts.requests.load(Relaxed),
            failed: counts.failed.load(Relaxed),
            checks_passed: counts.checks_passed.load(Relaxed),
            checks_failed: counts.checks_failed.load(Relaxed),
            ejections: counts.ejections.load(Relaxed),
            ejections_spared: counts.ejections_spared.load(Relaxed),
            circuit_openings: counts.circuit.openings.load(Relaxed),
            received_bytes: counts.received.load(Relaxed),
            sent_bytes: counts.sent.load(Relaxed),
        }
    };
    plan.upstreams().map(one).collect()
}

/// What a change came to: backends by `group/address`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Changed {
    /// They are new.
    pub added: Vec<String>,
    /// They get no new connections, and keep those they have.
    pub removed: Vec<String>,
    /// Something about them is different.
    pub changed: Vec<String>,
}

impl Changed {
    pub(crate) fn between(before: &Plan, after: &Plan) -> Changed {
        let name = |plan: &Plan, group: usize, upstream: &Upstream| {
            format!("{}/{}", plan.groups[group].name, upstream.key)
        };
        let all = |plan: &Plan| -> Vec<(String, crate::config::Backend)> {
            plan.upstreams().map(|(group, one)| (name(plan, group, one), one.config.clone())).collect()
        };
        let (before, after) = (all(before), all(after));
        let find = |list: &[(String, crate::config::Backend)], name: &str| {
            list.iter().find(|(other, _)| other == name).map(|(_, config)| config.clone())
        };
        let mut changed = Changed::default();
        for (name, config) in &after {
            match find(&before, name) {
                None => changed.added.push(name.clone()),
                Some(old) if old != *config => changed.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        let gone = before.iter().filter(|(name, _)| find(&after, name).is_none());
        changed.removed = gone.map(|(name, _)| name.clone()).collect();
        changed
    }
}

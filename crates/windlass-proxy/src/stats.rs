//! How a proxy is: plain data, for metrics and pages.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use windlass::Time;

use crate::breaker::{Breaker, State};
use crate::discovery::SourceStats;
use crate::http::HttpStats;
use crate::plan::Plan;
use crate::runtime::{Origin, Standing};
use crate::udp::UdpStats;
use crate::upstream::Upstream;

/// A proxy at one moment. Counts are since its start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ProxyStats {
    /// Clients connected now; of datagrams, flows.
    pub clients: usize,
    /// The most there have been.
    pub clients_peak: usize,
    /// Clients that have connected.
    pub opened: u64,
    /// Clients that wait for a backend now.
    pub waiting: usize,
    /// Clients that have waited for one.
    pub queued: u64,
    /// Tries after a first one that failed.
    pub retries: u64,
    /// Bytes from backends, those that are gone included. Of HTTP all that goes over the wire, heads and framing too:
    /// [`HttpStats::received_bytes`].
    pub received_bytes: u64,
    /// Bytes to backends.
    pub sent_bytes: u64,
    /// Requests, where HTTP is served.
    pub http: HttpStats,
    /// Clients that were not served, by [`Refusal::label`](crate::Refusal::label).
    pub refused: Vec<(&'static str, u64)>,
    /// Backends, in the order of the configuration.
    pub backends: Vec<BackendStats>,
    /// Where more of them come from, those that have been asked.
    pub sources: Vec<SourceStats>,
    /// Retries of each route, in the order of the configuration; `backends` first.
    pub retry_budgets: Vec<BudgetStats>,
    /// Flows of datagrams, where it serves those.
    pub udp: Option<UdpStats>,
    /// What the guard has done, besides refusing.
    pub guard: GuardStats,
}

/// What the guard has done; whom it refused is in [`ProxyStats::refused`] as `denied`, `rate` and `source_full`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct GuardStats {
    /// Clients in the tarpit now.
    pub tarpit: usize,
    /// Clients that were kept there.
    pub tarpitted: u64,
    /// Connections and requests that no limit was held against, because there was no place to remember their
    /// source in.
    pub untracked: u64,
    /// Sources that were forgotten for others before they had their whole burst again.
    pub evicted: u64,
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
    /// Where it comes from.
    pub origin: Origin,
    /// How an operator wants it to be.
    pub standing: Standing,
    /// Something about it is not as configured.
    pub is_changed: bool,
    /// Its share of new connections while it is enabled.
    pub weight: u32,
    /// Connections now, those being made included.
    pub connections: usize,
    /// The most there have been.
    pub connections_peak: usize,
    /// As configured; 0: no limit.
    pub connections_max: usize,
    /// Connections that came about.
    pub opened: u64,
    /// Requests under way there, where HTTP is served.
    pub busy: usize,
    /// Requests that were sent to it.
    pub requests: u64,
    /// Connections that did not, and those it reset before a byte had passed; and requests of HTTP that it reset or
    /// left without anything of an answer in their time.
    pub failed: u64,
    /// Checks it has passed.
    pub checks_passed: u64,
    /// Checks it has not.
    pub checks_failed: u64,
    /// The last check that was answered.
    pub last_check: Option<LastCheck>,
    /// How long ago checks last changed their mind; `None`: they never have.
    pub changed_ago: Option<Duration>,
    /// How often checks found it down that was up.
    pub downs: u64,
    /// How long it was down by the word of checks, altogether.
    pub downtime: Duration,
    /// How often it was ejected.
    pub ejections: u64,
    /// How often it was not, because too many others were.
    pub ejections_spared: u64,
    /// How often its circuit breaker has opened.
    pub circuit_openings: u64,
    /// Bytes from it. Those of connections that last are counted every now and then.
    pub received_bytes: u64,
    /// Bytes to it, the same way.
    pub sent_bytes: u64,
}

/// One check of a backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LastCheck {
    /// Whether it passed.
    pub passed: bool,
    /// How long ago it was answered, or given up.
    pub ago: Duration,
    /// How long that took.
    pub took: Duration,
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
    /// It was taken out of service: the same, and it is not checked.
    Disabled,
    /// It is gone once it has no connection any more.
    Leaving,
}

impl BackendState {
    /// All of them.
    pub const ALL: [BackendState; 8] = [
        BackendState::Up,
        BackendState::Down,
        BackendState::Ejected,
        BackendState::Draining,
        BackendState::CircuitOpen,
        BackendState::HalfOpen,
        BackendState::Disabled,
        BackendState::Leaving,
    ];

    /// A short stable name, fit for a metric's label.
    pub const fn label(self) -> &'static str {
        match self {
            BackendState::Up => "up",
            BackendState::Down => "down",
            BackendState::Ejected => "ejected",
            BackendState::Draining => "draining",
            BackendState::CircuitOpen => "circuit_open",
            BackendState::HalfOpen => "half_open",
            BackendState::Disabled => "disabled",
            BackendState::Leaving => "leaving",
        }
    }

    fn of(upstream: &Upstream, breaker: &Breaker, now: Time) -> BackendState {
        let circuit = upstream.counts.circuit.state(breaker, now);
        match upstream {
            _ if upstream.standing == Standing::Leaving => BackendState::Leaving,
            _ if upstream.standing == Standing::Disabled => BackendState::Disabled,
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
    let breaker = &plan.config.health.breaker;
    let of = |group: usize| plan.groups[group].name.as_str();
    plan.upstreams().map(|(group, upstream)| backend(of(group), upstream, breaker, now)).collect()
}

pub(crate) fn backend(group: &str, upstream: &Upstream, breaker: &Breaker, now: Time) -> BackendStats {
    let (config, counts) = (&upstream.config, &upstream.counts);
    let last_check = counts.checked_ago(now).map(|ago| LastCheck {
        passed: counts.check_passed.load(Relaxed),
        ago,
        took: Duration::from_nanos(counts.check_took.load(Relaxed)),
    });
    BackendStats {
        group: group.into(),
        name: config.name.clone(),
        address: upstream.key.clone(),
        state: BackendState::of(upstream, breaker, now),
        origin: upstream.origin,
        standing: upstream.standing,
        is_changed: upstream.is_changed,
        weight: upstream.weight_set,
        connections: counts.connections.load(Relaxed),
        connections_peak: counts.connections_peak.load(Relaxed),
        connections_max: config.connections_max,
        opened: counts.opened.load(Relaxed),
        busy: counts.busy.load(Relaxed),
        requests: counts.requests.load(Relaxed),
        failed: counts.failed.load(Relaxed),
        checks_passed: counts.checks_passed.load(Relaxed),
        checks_failed: counts.checks_failed.load(Relaxed),
        last_check,
        changed_ago: counts.changed_ago(now),
        downs: counts.downs.load(Relaxed),
        downtime: counts.downtime(now),
        ejections: counts.ejections.load(Relaxed),
        ejections_spared: counts.ejections_spared.load(Relaxed),
        circuit_openings: counts.circuit.openings.load(Relaxed),
        received_bytes: counts.received.load(Relaxed),
        sent_bytes: counts.sent.load(Relaxed),
    }
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

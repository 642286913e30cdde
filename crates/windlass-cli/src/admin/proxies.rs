//! Proxies: how they are, and orders about their backends.
//!
//! An order may read certificates and make tables, so it is carried out on a thread of its own, one at a time;
//! meanwhile the request waits.

use std::sync::{Mutex, PoisonError};
use std::thread;

use windlass::proto::http::Status;
use windlass_http::{Replied, Reply, Request};
use windlass_proxy::{BackendStats, BudgetStats, Order, OrderError, Ordered, SourceStats};

use super::Admin;
use super::ask::{What, tell};
use super::shape::{Backend, BackendOrder, BackendOrdered, Guard, LastCheck, Proxy, RetryBudget, Source};
use crate::config::proxy::{BackendTable, ModeName};
use crate::config::value::{self, Count};
use crate::proxy::{Fronted, Fronts, another};

/// What can be ordered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Add,
    Enable,
    Drain,
    Disable,
    Weight,
    Remove,
    Reset,
}

impl Kind {
    /// With the path of each.
    pub(super) const ALL: [(&str, Kind); 7] = [
        ("/api/proxies/add", Kind::Add),
        ("/api/proxies/enable", Kind::Enable),
        ("/api/proxies/drain", Kind::Drain),
        ("/api/proxies/disable", Kind::Disable),
        ("/api/proxies/weight", Kind::Weight),
        ("/api/proxies/remove", Kind::Remove),
        ("/api/proxies/reset", Kind::Reset),
    ];
}

/// For how long it is so: a restart and an upgrade begin with the file.
const LASTS: &str = "until it is reset or the process ends; a reload leaves it";

/// Why an order was not carried out: the status that says so, and the reason.
pub(super) type Refused = (Status, String);

/// All proxies at one moment.
pub(super) fn all(fronts: &Fronts) -> Vec<Proxy> {
    fronts.each().iter().map(proxy).collect()
}

fn proxy(one: &Fronted) -> Proxy {
    let stats = one.front.stats();
    let http = Some(&stats.http).filter(|_| one.table.mode == ModeName::Http);
    let by_name = |(what, n): (&str, u64)| (what.to_owned(), n);
    Proxy {
        name: one.table.name.clone(),
        clients: stats.clients as u64,
        clients_peak: stats.clients_peak as u64,
        opened: stats.opened,
        waiting: stats.waiting as u64,
        queued: stats.queued,
        retries: stats.retries,
        received_bytes: stats.received_bytes,
        sent_bytes: stats.sent_bytes,
        refused: stats.refused.into_iter().map(|(reason, n)| (reason.into(), n)).collect(),
        http: http.iter().flat_map(|http| http.each()).map(by_name).collect(),
        responses: http.iter().flat_map(|http| http.by_class()).map(by_name).collect(),
        udp: stats.udp.iter().flat_map(|udp| udp.each()).map(|(what, n)| (what.into(), n)).collect(),
        backends: stats.backends.into_iter().map(backend).collect(),
        sources: stats.sources.into_iter().map(source).collect(),
        guard: Guard {
            tarpit: stats.guard.tarpit as u64,
            tarpitted: stats.guard.tarpitted,
            untracked: stats.guard.untracked,
            evicted: stats.guard.evicted,
        },
        retry_budgets: stats.retry_budgets.into_iter().map(retry_budget).collect(),
    }
}

fn retry_budget(stats: BudgetStats) -> RetryBudget {
    RetryBudget {
        route: stats.group,
        active: stats.active as u64,
        retrying: stats.retrying as u64,
        spent: stats.spent,
        denied: stats.denied,
    }
}

fn source(stats: SourceStats) -> Source {
    Source {
        route: stats.group,
        source: stats.source,
        backends: stats.backends as u64,
        updated_seconds: stats.updated_ago.map(|ago| ago.as_secs_f64()),
        changes: stats.changes,
        failures: stats.failures,
        error: stats.error,
    }
}

fn backend(stats: BackendStats) -> Backend {
    Backend {
        route: stats.group,
        name: stats.name,
        address: stats.address,
        state: stats.state.label().into(),
        origin: stats.origin.label().into(),
        changed: stats.is_changed,
        weight: stats.weight,
        connections: stats.connections as u64,
        connections_peak: stats.connections_peak as u64,
        connections_max: stats.connections_max as u64,
        opened: stats.opened,
        busy: stats.busy as u64,
        requests: stats.requests,
        failed: stats.failed,
        received_bytes: stats.received_bytes,
        sent_bytes: stats.sent_bytes,
        checks_passed: stats.checks_passed,
        checks_failed: stats.checks_failed,
        last_check: stats.last_check.map(|check| LastCheck {
            passed: check.passed,
            ago_seconds: check.ago.as_secs_f64(),
            took_seconds: check.took.as_secs_f64(),
        }),
        since_seconds: stats.changed_ago.map(|ago| ago.as_secs_f64()),
        downs: stats.downs,
        downtime_seconds: stats.downtime.as_secs_f64(),
        ejections: stats.ejections,
        ejections_spared: stats.ejections_spared,
        circuit_openings: stats.circuit_openings,
    }
}

/// `POST /api/proxies/drain` and its like.
pub(super) fn order(admin: &Admin, kind: Kind, request: &Request<'_>, reply: Reply<'_, '_>) -> Replied {
    let order = match request.json::<BackendOrder>() {
        Ok(order) => order,
        Err(refusal) => return reply.refuse(refusal),
    };
    let Some(fronted) = admin.proxies.current(&order.proxy) else {
        return reply.status(Status::NOT_FOUND).text(&format!("there is no proxy `{}`\n", order.proxy));
    };
    tracing::info!(?kind, proxy = order.proxy, backend = order.backend, "the operator changes backends");
    let (replied, later) = reply.later();
    let back = admin.mailbox.clone();
    let answer = move || tell(&back, later, What::Ordered(Box::new(carry_out(&fronted, kind, &order))));
    if thread::Builder::new().name("order".into()).spawn(answer).is_err() {
        tell(&admin.mailbox, later, What::Ordered(Box::new(Err(no_thread()))));
    }
    replied
}

fn no_thread() -> Refused {
    (Status::SERVICE_UNAVAILABLE, "the system has no thread left for it".into())
}

/// Does it. Called by no worker.
fn carry_out(fronted: &Fronted, kind: Kind, order: &BackendOrder) -> Result<BackendOrdered, Refused> {
    /// Of two orders the second finds what the first has left.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let front = &fronted.front;
    let route = order.route.as_deref();
    let lacks = |what: &str| (Status::BAD_REQUEST, format!("`{what}` is missing"));
    let lasts = LASTS.to_owned();
    let Some(name) = order.backend.as_deref() else {
        if kind != Kind::Reset {
            return Err(lacks("backend"));
        }
        return Ok(BackendOrdered { reset: front.reset() as u64, lasts, ..BackendOrdered::default() });
    };
    let order = match kind {
        Kind::Add => {
            return Ok(told(front.add(route, added(fronted, name, order)?).map_err(refused)?, lasts));
        }
        Kind::Enable => Order::Enable,
        Kind::Drain => Order::Drain,
        Kind::Disable => Order::Disable,
        Kind::Weight => Order::Weight(order.weight.ok_or_else(|| lacks("weight"))?),
        Kind::Remove => Order::Remove { force: order.force },
        Kind::Reset => Order::Reset,
    };
    Ok(told(front.order(route, name, &order).map_err(refused)?, lasts))
}

/// The backend that is to be added: as the table says where the order says nothing.
fn added(fronted: &Fronted, at: &str, order: &BackendOrder) -> Result<windlass_proxy::Backend, Refused> {
    let wrong = |why: String| (Status::UNPROCESSABLE_CONTENT, why);
    let to = at.parse().map_err(|error: windlass::AddressError| wrong(error.to_string()))?;
    let table = BackendTable {
        to: value::Backend(to),
        name: order.name.clone(),
        weight: Count(order.weight.map_or(1, |weight| weight as usize)),
        connections_max: order.connections_max.map(|max| Count(usize::try_from(max).unwrap_or(usize::MAX))),
        check_port: None,
        check_address: None,
        send_proxy: None,
        tls: None,
    };
    another(&fronted.table, table).map_err(|error| wrong(format!("{error:#}")))
}

fn told(ordered: Ordered, lasts: String) -> BackendOrdered {
    BackendOrdered { backend: ordered.backend.map(backend), gone: ordered.gone, reset: 0, lasts }
}

fn refused(error: OrderError) -> Refused {
    let status = match &error {
        OrderError::NoRoute { .. } | OrderError::NoBackend { .. } => Status::NOT_FOUND,
        OrderError::Ambiguous { .. } | OrderError::TooMany => Status::CONFLICT,
        OrderError::Wrong(windlass_proxy::ConfigError::Twice { .. }) => Status::CONFLICT,
        _ => Status::UNPROCESSABLE_CONTENT,
    };
    (status, error.to_string())
}

/// Answers a request that waited.
pub(super) fn answer(reply: Reply<'_, '_>, outcome: Result<BackendOrdered, Refused>) -> Replied {
    match outcome {
        Ok(ordered) => reply.json(&ordered),
        Err((status, why)) => reply.status(status).text(&format!("{why}\n")),
    }
}

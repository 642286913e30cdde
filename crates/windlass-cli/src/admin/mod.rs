//! Where the operator looks in: metrics, health, the state as JSON, and orders.
//!
//! One more service on the server's workers, so a worker that hangs shows here too. It is given the server's
//! [`Handle`] once that is bound. Read `metrics` for what Prometheus scrapes and `state` for the JSON.
//!
//! On loopback and on Unix sockets nobody has to identify himself; a page of another site cannot get here
//! through a browser, since requests are taken only for hosts that mean this machine, and orders only from
//! pages of our own. Elsewhere every request has to show the token.

mod log;
pub(crate) mod metrics;
mod state;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use windlass::proto::http::Status;
use windlass::{Handle, Serve, serve};
use windlass_http::{App, Http, HttpConfig, Never, Refusal, Replied, Reply, Request};

use crate::access::{Kind, Record};
use crate::config::shape::AdminTable;
use crate::config::value::Listen;
use crate::serving::{Messages, Told};
use metrics::{Format, Page};

/// What is known of the server once it is bound.
#[derive(Clone)]
pub(crate) struct Bound {
    pub(crate) handle: Handle,
    pub(crate) workers: usize,
}

/// Filled when the server is bound, before it runs.
pub(crate) type Slot = Arc<OnceLock<Bound>>;

/// The state behind the routes.
pub(crate) struct Admin {
    bound: Slot,
    messages: Messages,
    token: Option<String>,
    started: Instant,
}

impl App for Admin {
    type Upgraded = Never;
}

/// The service for `table`, if it has an address. Errors: its access log cannot be opened.
pub(crate) fn service(table: &AdminTable, told: &Told) -> Result<Option<Serve<Http<Admin>>>> {
    if table.listen.is_empty() {
        return Ok(None);
    }
    let (bound, messages) = (&told.bound, &told.messages);
    let log = table.access_log.as_ref();
    let log = log.map(|log| told.access.open(log, "admin", Kind::Requests)).transpose()?;
    let token = table.token.as_ref().map(|token| token.0.clone()).filter(|token| !token.is_empty());
    let (bound, messages, started) = (bound.clone(), messages.clone(), Instant::now());
    let service = serve(move || {
        let (bound, messages, token) = (bound.clone(), messages.clone(), token.clone());
        let pages = pages(Admin { bound, messages, token, started });
        match log.clone() {
            Some(log) => pages.on_answer(move |answered| log.add(Record::answered(answered))),
            None => pages,
        }
    });
    let service = service.name("admin").input_max(1 << 20);
    let listen = |service: Serve<_>, Listen(address): &Listen| service.listen(address.to_string());
    Ok(Some(table.listen.iter().fold(service, listen)))
}

fn pages(admin: Admin) -> Http<Admin> {
    // With a token, another site's page has nothing it could show.
    let hosts = match admin.token {
        Some(_) => Vec::new(),
        None => ["localhost", "127.0.0.1", "[::1]"].map(String::from).to_vec(),
    };
    let config = HttpConfig { hosts, clock: Some(since_1970), ..HttpConfig::default() };
    Http::new(admin)
        .config(config)
        .get("/healthz", |_, _, reply| reply.text("ok\n"))
        .get("/readyz", |admin: &mut Admin, _, reply| match admin.bound.get() {
            Some(bound) if !bound.handle.is_stopping() => reply.text("ready\n"),
            _ => reply.status(Status::SERVICE_UNAVAILABLE).text("draining\n"),
        })
        .get("/metrics", |admin, request, reply| {
            allowed(admin, request, reply, |admin, bound, reply| {
                let format = Format::accepted(request.header("accept").unwrap_or_default());
                let text = Page::new(format).server(&bound.handle, bound.workers, admin.messages.total());
                reply.bytes(format.content_type(), text.as_bytes())
            })
        })
        .get("/api/state", |admin, request, reply| {
            allowed(admin, request, reply, |admin, bound, reply| {
                reply.json(&state::State::of(bound, admin.started.elapsed(), admin.messages.total()))
            })
        })
        .post("/api/log", |admin, request, reply| {
            allowed(admin, request, reply, |_, _, reply| log::set(request, reply))
        })
        .post("/api/drain", |admin, request, reply| {
            allowed(admin, request, reply, |_, bound, reply| {
                // A second request would end what the first lets finish.
                if !bound.handle.is_stopping() {
                    bound.handle.shutdown();
                }
                reply.status(Status::ACCEPTED).text("draining\n")
            })
        })
}

/// Answers with `answer`, if whoever asks may.
fn allowed<'a, 'c>(
    admin: &mut Admin,
    request: &Request<'_>,
    reply: Reply<'a, 'c>,
    answer: impl FnOnce(&Admin, &Bound, Reply<'a, 'c>) -> Replied,
) -> Replied {
    if let Some(token) = &admin.token {
        let shown = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if !shown.is_some_and(|shown| same(shown.trim().as_bytes(), token.as_bytes())) {
            let reply = reply.header("www-authenticate", "Bearer");
            return reply.refuse(Refusal(Status::UNAUTHORIZED));
        }
    }
    if request.head.method != "GET" && request.head.method != "HEAD" && !is_own_page(request) {
        return reply.refuse(Refusal(Status::FORBIDDEN));
    }
    match admin.bound.get() {
        Some(bound) => answer(admin, bound, reply),
        None => reply.refuse(Refusal(Status::SERVICE_UNAVAILABLE)),
    }
}

/// Whether it comes from no page at all, or from one of ours: browsers tell, and pages cannot lie about it.
fn is_own_page(request: &Request<'_>) -> bool {
    let host = request.head.host.unwrap_or_default();
    let ours = |origin: &str| {
        origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
    };
    request.header("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"))
        && request.head.headers.all("origin").all(|origin| std::str::from_utf8(origin).is_ok_and(ours))
}

/// In a time that does not tell where they differ.
fn same(shown: &[u8], token: &[u8]) -> bool {
    let differ = shown.iter().zip(token).fold(0, |differ, (a, b)| differ | (a ^ b));
    std::hint::black_box(differ) == 0 && shown.len() == token.len()
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
#[path = "../tests/admin/mod.rs"]
mod tests;

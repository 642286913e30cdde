//! Where the operator looks in: metrics, health, the state as JSON, and orders.
//!
//! One more service on the server's workers, so a worker that hangs shows here too. It is given the server's
//! [`Handle`] once that is bound. Read `metrics` for what Prometheus scrapes, `shape` for the JSON, `state` for
//! where it comes from, `ask` for what only a worker can tell, `door` for who may ask, `proxies`
//! `hubs` and `games` for what is theirs, and `page` for the dashboard.
//!
//! On loopback and on Unix sockets nobody has to identify himself; a page of another site cannot get here
//! through a browser, since requests are taken only for hosts that mean this machine, and only from pages of
//! our own. Elsewhere every request has to show the token.

mod ask;
mod door;
#[cfg(feature = "realtime")]
mod games;
#[cfg(feature = "hub")]
mod hubs;
mod log;
pub(crate) mod metrics;
mod page;
#[cfg(feature = "proxy")]
mod proxies;
pub(crate) mod shape;
mod state;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use windlass::proto::http::Status;
use windlass::{Address, Handle, Mailbox, Serve, Tick, serve};
use windlass_http::{App, Event, Http, HttpConfig, Never, Push, ReceiveApp, Request};

use crate::access::{AccessLog, Kind, Record};
use crate::config::shape::AdminTable;
use crate::config::value::Listen;
use crate::serving::reload::Reloads;
use crate::serving::{ADMIN, Messages, Reloader, Told};
use door::allowed;
use metrics::{Format, Page};

/// What is known of the server once it is bound.
#[derive(Clone)]
pub(crate) struct Bound {
    pub(crate) handle: Handle,
    pub(crate) workers: usize,
}

/// Connections it may have on each of its listeners though the server is full.
const RESERVE: usize = 16;

/// Filled when the server is bound, before it runs.
pub(crate) type Slot = Arc<OnceLock<Bound>>;

/// How often the state is pushed to those who watch.
const LIVE_PERIOD: Duration = Duration::from_secs(1);

/// The state behind the routes.
#[derive(Clone)]
pub(crate) struct Admin {
    bound: Slot,
    messages: Messages,
    /// Filled when the server runs from a file.
    reloader: Arc<OnceLock<Reloader>>,
    #[cfg(feature = "proxy")]
    proxies: crate::proxy::Fronts,
    #[cfg(feature = "hub")]
    hubs: crate::hub::Links,
    /// Who looks at topics, on this worker.
    #[cfg(feature = "hub")]
    viewers: Vec<hubs::Viewer>,
    #[cfg(feature = "realtime")]
    games: crate::game::Links,
    token: Option<String>,
    logins: door::Logins,
    /// Answers of workers come back through it.
    mailbox: Mailbox<ask::Told>,
}

impl Admin {
    fn state(&self, bound: &Bound) -> shape::State {
        let state = state::state(bound, &self.messages, self.reloads());
        shape::State { proxies: self.proxies(), hubs: self.hubs(), games: self.games(), ..state }
    }

    fn proxies(&self) -> Vec<shape::Proxy> {
        #[cfg(feature = "proxy")]
        return proxies::all(&self.proxies);
        #[cfg(not(feature = "proxy"))]
        Vec::new()
    }

    fn hubs(&self) -> Vec<shape::Hub> {
        #[cfg(feature = "hub")]
        return hubs::all(&self.hubs);
        #[cfg(not(feature = "hub"))]
        Vec::new()
    }

    fn games(&self) -> Vec<shape::Game> {
        #[cfg(feature = "realtime")]
        return games::all(&self.games);
        #[cfg(not(feature = "realtime"))]
        Vec::new()
    }

    fn reloads(&self) -> Reloads {
        self.reloader.get().map(Reloader::reloads).unwrap_or_default()
    }

    fn event(&self) -> Option<Event> {
        let state = self.state(self.bound.get()?);
        Some(Event::new(serde_json::to_string(&state).ok()?).name("state"))
    }
}

impl App for Admin {
    type Upgraded = Never;

    fn subscribe(&mut self, request: &Request<'_>) -> Vec<Event> {
        #[cfg(feature = "hub")]
        if request.path() == hubs::LIVE {
            self.begin_to_look(request);
            return Vec::new();
        }
        let _ = request;
        self.event().into_iter().collect()
    }

    fn tick(&mut self, push: &mut Push<'_, '_, Admin>, _: Tick) {
        #[cfg(feature = "hub")]
        self.look_again(push);
        if push.subscribers("/api/live") > 0
            && let Some(event) = self.event()
        {
            push.event("/api/live", &event);
        }
    }
}

impl ReceiveApp for Admin {
    type Message = ask::Told;

    fn receive(&mut self, push: &mut Push<'_, '_, Admin>, told: ask::Told) {
        ask::answer(push, told);
    }
}

/// The service for `table`, if it has an address. Errors: its access log cannot be opened.
pub(crate) fn service(table: &AdminTable, told: &Told) -> Result<Option<Serve<Http<Admin>>>> {
    if table.listen.is_empty() {
        return Ok(None);
    }
    let log = table.access_log.as_ref();
    let log = log.map(|log| told.access.open(log, "admin", Kind::Requests)).transpose()?;
    let token = table.token.as_ref().map(|token| token.0.clone()).filter(|token| !token.is_empty());
    // Until the end of a drain, on a full server and on one that has too much to do: that is when it is asked
    // most.
    let service = serving(told, token, hosts(table), log).name(ADMIN).input_max(1 << 20);
    let service = service.while_draining().reserve(RESERVE).never_shed();
    let listen = |service: Serve<_>, Listen(address): &Listen| service.listen(address.to_string());
    Ok(Some(table.listen.iter().fold(service, listen)))
}

/// What it may be called by a browser: this machine's names for itself, and the loopback addresses it listens
/// on. A name that another site's owner chose cannot be among them.
fn hosts(table: &AdminTable) -> Vec<String> {
    let own = table.listen.iter().filter_map(|Listen(address)| match address {
        Address::Tcp(text) => text.parse::<SocketAddr>().ok().filter(|addr| addr.ip().is_loopback()),
        _ => None,
    });
    let own = own.map(|addr| match addr.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    });
    ["localhost", "127.0.0.1", "[::1]"].map(String::from).into_iter().chain(own).collect()
}

fn serving(
    told: &Told,
    token: Option<String>,
    hosts: Vec<String>,
    log: Option<Arc<AccessLog>>,
) -> Serve<Http<Admin>> {
    let mailbox = Mailbox::new();
    let admin = Admin {
        bound: told.bound.clone(),
        messages: told.messages.clone(),
        reloader: told.reloader.clone(),
        #[cfg(feature = "proxy")]
        proxies: told.proxies.clone(),
        #[cfg(feature = "hub")]
        hubs: told.hubs.clone(),
        #[cfg(feature = "hub")]
        viewers: Vec::new(),
        #[cfg(feature = "realtime")]
        games: told.games.clone(),
        token,
        logins: door::Logins::default(),
        mailbox: mailbox.clone(),
    };
    let service = serve(move || {
        let pages = pages(admin.clone(), hosts.clone());
        match log.clone() {
            Some(log) => pages.on_answer(move |answered| log.add(Record::answered(answered))),
            None => pages,
        }
    });
    service.mailbox(&mailbox).tick(LIVE_PERIOD)
}

/// Dashboards that one worker keeps up to date. Each has a connection, and those of the admin listener are few.
const WATCHERS_MAX: usize = 32;

fn pages(admin: Admin, hosts: Vec<String>) -> Http<Admin> {
    // With a token, another site's page has nothing it could show.
    let hosts = if admin.token.is_some() { Vec::new() } else { hosts };
    let challenge = "Bearer".into();
    let clock: Option<fn() -> Duration> = Some(since_1970);
    // Looking in is wanted most when there is too much to do.
    let config = HttpConfig {
        hosts,
        challenge,
        clock,
        retry_after: None,
        subscribers_max: WATCHERS_MAX,
        ..HttpConfig::default()
    };
    about_games(about_hubs(orders_to_proxies(page::routes(Http::new(admin)))))
        .config(config)
        .get("/healthz", |_, _, reply| reply.text("ok\n"))
        .get("/readyz", |admin: &mut Admin, _, reply| match admin.bound.get() {
            Some(bound) if !bound.handle.is_stopping() => reply.text("ready\n"),
            _ => reply.status(Status::SERVICE_UNAVAILABLE).text("draining\n"),
        })
        .get("/metrics", |admin, request, reply| {
            allowed(admin, request, reply, |admin, bound, reply| {
                let format = Format::accepted(request.header("accept").unwrap_or_default());
                let page = Page::new(format);
                #[cfg(feature = "hub")]
                let page = page.hubs(&admin.hubs.counted());
                #[cfg(feature = "realtime")]
                let page = page.games(&admin.games.stats());
                let text = page.server(bound, &admin.messages, &admin.reloads(), &admin.proxies());
                reply.bytes(format.content_type(), text.as_bytes())
            })
        })
        .get("/api/state", |admin, request, reply| {
            allowed(admin, request, reply, |admin, bound, reply| reply.json(&admin.state(bound)))
        })
        .get("/api/proxies", |admin, request, reply| {
            allowed(admin, request, reply, |admin, _, reply| reply.json(&admin.proxies()))
        })
        .events_if("/api/live", |admin, request| door::admit(admin, request).map(drop))
        .get("/api/connections", |admin, request, reply| {
            allowed(admin, request, reply, |admin, bound, reply| {
                ask::connections(admin, bound, request, reply)
            })
        })
        .get("/api/turn", |admin, request, reply| {
            allowed(admin, request, reply, |admin, bound, reply| ask::turn(admin, bound, request, reply))
        })
        .post("/api/close", |admin, request, reply| {
            allowed(admin, request, reply, |admin, bound, reply| ask::close(admin, bound, request, reply))
        })
        .post("/api/reload", |admin, request, reply| {
            allowed(admin, request, reply, |admin, _, reply| ask::reload(admin, reply))
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
        .post("/api/login", door::login)
        .body_max(4096)
        .post("/api/logout", door::logout)
}

#[cfg(feature = "proxy")]
fn orders_to_proxies(pages: Http<Admin>) -> Http<Admin> {
    proxies::Kind::ALL.into_iter().fold(pages, |pages, (path, kind)| {
        pages.post(path, move |admin, request, reply| {
            allowed(admin, request, reply, |admin, _, reply| proxies::order(admin, kind, request, reply))
        })
    })
}

#[cfg(not(feature = "proxy"))]
fn orders_to_proxies(pages: Http<Admin>) -> Http<Admin> {
    pages
}

#[cfg(feature = "hub")]
fn about_hubs(pages: Http<Admin>) -> Http<Admin> {
    hubs::routes(pages)
}

#[cfg(not(feature = "hub"))]
fn about_hubs(pages: Http<Admin>) -> Http<Admin> {
    pages
}

#[cfg(feature = "realtime")]
fn about_games(pages: Http<Admin>) -> Http<Admin> {
    games::routes(pages)
}

#[cfg(not(feature = "realtime"))]
fn about_games(pages: Http<Admin>) -> Http<Admin> {
    pages
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
#[path = "../tests/admin/mod.rs"]
mod tests;

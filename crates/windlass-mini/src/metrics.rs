//! `[admin]`: what the server has counted, for Prometheus, served by the loop that counts. The families are those of
//! `windlass` that a small machine's operator looks at, under the same names.
//!
//! A request is a line that begins with `GET /metrics`, `GET /healthz` or `GET /readyz` (RFC 9112); its headers are
//! passed over, and the connection ends with the answer.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use windlass::{Close, Conn, Counters, Handle, Input, Serve, Service};

/// The longest request.
const REQUEST_MAX: usize = 8 * 1024;
/// How long one may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is looked at.
#[derive(Default)]
pub(crate) struct Looked {
    /// Set once the server is there.
    pub(crate) server: OnceLock<Handle>,
    #[cfg(feature = "hub")]
    pub(crate) hubs: Vec<(String, windlass_hub::HubWatch)>,
    /// Of those that pass on datagrams.
    #[cfg(feature = "relay")]
    pub(crate) relays: Vec<(String, crate::relay::Evicted)>,
}

/// The service.
pub(crate) fn service(looked: &Arc<Looked>) -> Serve<Admin> {
    let looked = looked.clone();
    windlass::serve(move || Admin(looked.clone()))
        .name("admin")
        .input_max(REQUEST_MAX)
        .idle_timeout(TIMEOUT)
        .never_shed()
        .while_draining()
        .reserve(4)
}

pub(crate) struct Admin(Arc<Looked>);

impl Service for Admin {
    type Session = ();

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        conn.wake_at(conn.now() + TIMEOUT);
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        let bytes = input.peek();
        let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else { return Ok(()) };
        let line = bytes[..end].split(|&byte| byte == b'\r').next().unwrap_or_default();
        let mut words = line.split(|&byte| byte == b' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (status, body) = match path.split(|&byte| byte == b'?').next().unwrap_or_default() {
            _ if method != b"GET" => ("405 Method Not Allowed\r\nAllow: GET", "only GET\n".to_owned()),
            b"/metrics" => ("200 OK", self.0.page()),
            b"/healthz" => ("200 OK", "ok\n".to_owned()),
            b"/readyz" if self.0.is_ready() => ("200 OK", "ready\n".to_owned()),
            b"/readyz" => ("503 Service Unavailable", "not ready\n".to_owned()),
            _ => ("404 Not Found", "there are /metrics, /healthz and /readyz\n".to_owned()),
        };
        let length = body.len().to_string();
        let head = [
            "HTTP/1.1 ",
            status,
            "\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\nContent-Length: ",
            &length,
            "\r\n\r\n",
        ];
        conn.write(head.concat().as_bytes());
        conn.write(body.as_bytes());
        input.take_all();
        conn.close();
        Ok(())
    }
}

type Family = (&'static str, &'static str, fn(&Counters) -> u64);

/// Families of the engine: name, kind, value.
const FAMILIES: &[Family] = &[
    ("connections_opened_total", "counter", |it| it.opened),
    ("connections_ended_total", "counter", |it| it.ended),
    ("received_bytes_total", "counter", |it| it.bytes_in),
    ("sent_bytes_total", "counter", |it| it.bytes_out),
    ("buffered_bytes", "gauge", |it| it.buffered_bytes),
    ("congestions_total", "counter", |it| it.congestions),
    ("turns_total", "counter", |it| it.turns),
    ("overloads_total", "counter", |it| it.overloads),
    ("memory_ended_total", "counter", |it| it.shed_memory),
    #[cfg(feature = "udp")]
    ("sockets_refused_total", "counter", |it| it.sockets_refused),
];

#[cfg(feature = "hub")]
type HubFamily = (&'static str, &'static str, fn(&windlass_hub::HubStats) -> u64);

#[cfg(feature = "hub")]
const HUB_FAMILIES: &[HubFamily] = &[
    ("clients", "gauge", |it| it.clients),
    ("sessions", "gauge", |it| it.sessions),
    ("subscriptions", "gauge", |it| it.subscriptions),
    ("retained", "gauge", |it| it.retained),
    ("retained_bytes", "gauge", |it| it.retained_bytes),
    ("queued", "gauge", |it| it.queued),
    ("queued_bytes", "gauge", |it| it.queued_bytes),
    ("memory_bytes", "gauge", |it| it.memory_used),
    ("packets_received_total", "counter", |it| it.packets_received),
    ("messages_unheard_total", "counter", |it| it.unheard),
];

/// Families of hubs whose values are told apart by a label: name, label, and of each value its own and where it is.
#[cfg(feature = "hub")]
type HubShed = (&'static str, &'static str, &'static [(&'static str, fn(&windlass_hub::HubStats) -> u64)]);

/// What hubs shed.
#[cfg(feature = "hub")]
const HUB_SHED: &[HubShed] = &[
    (
        "windlass_hub_dropped_total",
        "reason",
        &[
            ("queue_full", |it| it.dropped_queue_full),
            ("expired", |it| it.dropped_expired),
            ("too_long", |it| it.dropped_too_long),
            ("offline", |it| it.dropped_offline),
        ],
    ),
    (
        "windlass_hub_denied_total",
        "what",
        &[
            ("publish", |it| it.denied_publish),
            ("read", |it| it.denied_read),
            ("subscribe", |it| it.denied_subscribe),
            ("retain", |it| it.retained_refused),
        ],
    ),
    (
        "windlass_hub_memory_refused_total",
        "what",
        &[
            ("session", |it| it.memory_sessions_refused),
            ("subscription", |it| it.memory_subscriptions_refused),
            ("retained", |it| it.memory_retained_refused),
            ("message", |it| it.memory_messages_dropped),
            ("client", |it| it.memory_clients_ended),
        ],
    ),
];

impl Looked {
    fn is_ready(&self) -> bool {
        self.server.get().is_some_and(|server| !server.is_stopping())
    }

    fn page(&self) -> String {
        let mut page = String::new();
        let Some(server) = self.server.get() else { return page };
        let counters = server.stats().counters;
        family(&mut page, "windlass_connections", "gauge");
        sample(&mut page, "windlass_connections", "", server.connections() as u64);
        counted(&mut page, &counters);
        #[cfg(feature = "relay")]
        connects_failed(&mut page, &counters);
        #[cfg(feature = "hub")]
        self.hubs_shed(&mut page);
        #[cfg(feature = "hub")]
        for (name, kind, value) in HUB_FAMILIES.iter().filter(|_| !self.hubs.is_empty()) {
            let name = crate::joined(&["windlass_hub_", name]);
            family(&mut page, &name, kind);
            for (hub, watch) in &self.hubs {
                sample(&mut page, &name, &label("hub", hub), value(&watch.stats()));
            }
        }
        #[cfg(feature = "relay")]
        for (at, (relay, evicted)) in self.relays.iter().enumerate() {
            if at == 0 {
                family(&mut page, EVICTED, "counter");
            }
            let evicted = evicted.load(std::sync::atomic::Ordering::Relaxed) as u64;
            sample(&mut page, EVICTED, &label("proxy", relay), evicted);
        }
        page
    }
}

/// Flows that made way for others.
#[cfg(feature = "relay")]
const EVICTED: &str = "windlass_proxy_udp_evicted_total";

/// Which service a sample is of.
#[cfg(any(feature = "hub", feature = "relay"))]
fn label(kind: &str, name: &str) -> String {
    crate::joined(&["{", kind, "=\"", &escaped(name), "\"}"])
}

#[cfg(any(feature = "hub", feature = "relay"))]
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(feature = "hub")]
impl Looked {
    fn hubs_shed(&self, page: &mut String) {
        for (name, label, values) in HUB_SHED.iter().filter(|_| !self.hubs.is_empty()) {
            family(page, name, "counter");
            for (hub, watch) in &self.hubs {
                let (hub, stats) = (escaped(hub), watch.stats());
                for (what, value) in *values {
                    let labels = crate::joined(&["{hub=\"", &hub, "\",", label, "=\"", what, "\"}"]);
                    sample(page, name, &labels, value(&stats));
                }
            }
        }
    }
}

/// What the engine has counted.
fn counted(page: &mut String, counters: &Counters) {
    for (name, kind, value) in FAMILIES {
        let name = crate::joined(&["windlass_", name]);
        family(page, &name, kind);
        sample(page, &name, "", value(counters));
    }
    family(page, "windlass_connections_closed_total", "counter");
    for (reason, count) in counters.closes() {
        if count > 0 {
            let label = crate::joined(&["{reason=\"", reason, "\"}"]);
            sample(page, "windlass_connections_closed_total", &label, count);
        }
    }
    family(page, "windlass_newcomers_refused_total", "counter");
    for (reason, count) in [
        ("{reason=\"full\"}", counters.shed_full),
        ("{reason=\"source\"}", counters.shed_source),
        ("{reason=\"overload\"}", counters.shed_overload),
    ] {
        sample(page, "windlass_newcomers_refused_total", reason, count);
    }
}

/// Clients of a relay that found nobody behind it, by why.
#[cfg(feature = "relay")]
fn connects_failed(page: &mut String, counters: &Counters) {
    const NAME: &str = "windlass_connects_failed_total";
    family(page, NAME, "counter");
    for (reason, count) in [
        ("{reason=\"refused\"}", counters.connects_refused),
        ("{reason=\"unreachable\"}", counters.connects_unreachable),
        ("{reason=\"timeout\"}", counters.connects_timed_out),
        ("{reason=\"out_of_resources\"}", counters.connects_out_of_resources),
        ("{reason=\"cancelled\"}", counters.connects_cancelled),
    ] {
        sample(page, NAME, reason, count);
    }
    const FULL: &str = "windlass_connects_over_limit_total";
    family(page, FULL, "counter");
    sample(page, FULL, "", counters.connects_over_limit);
}

fn family(page: &mut String, name: &str, kind: &str) {
    *page += &crate::joined(&["# TYPE ", name, " ", kind, "\n"]);
}

fn sample(page: &mut String, name: &str, label: &str, value: u64) {
    *page += &crate::joined(&[name, label, " ", &value.to_string(), "\n"]);
}

#[cfg(test)]
#[path = "tests/metrics.rs"]
mod tests;

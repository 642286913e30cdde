//! What Prometheus is told of proxies and their backends. Where there is no proxy, it is told nothing of them.

use super::Page;
use crate::admin::shape::{Backend, Proxy, RetryBudget, Source};

/// The states of a backend, each a series: one is 1, the others 0.
const STATES: [&str; 8] =
    ["up", "down", "ejected", "draining", "circuit_open", "half_open", "disabled", "leaving"];

/// One family with a value for each proxy.
type OfProxy = (&'static str, &'static str, &'static str, fn(&Proxy) -> f64);
/// One family with a value for each backend; `None` where it says nothing of one.
type OfBackend = (&'static str, &'static str, &'static str, fn(&Backend) -> Option<f64>);

const OF_PROXIES: [OfProxy; 12] = [
    ("windlass_proxy_clients", "gauge", "Clients of a proxy now.", |p| p.clients as f64),
    ("windlass_proxy_clients_peak", "gauge", "The most clients a proxy has had.", |p| p.clients_peak as f64),
    ("windlass_proxy_clients_opened", "counter", "Clients that have come to a proxy.", |p| p.opened as f64),
    ("windlass_proxy_waiting", "gauge", "Clients that wait for a backend with room.", |p| p.waiting as f64),
    ("windlass_proxy_queued", "counter", "Clients that have waited for one.", |p| p.queued as f64),
    ("windlass_proxy_retries", "counter", "Tries after a first one that failed.", |p| p.retries as f64),
    ("windlass_proxy_received_bytes", "counter", "Bytes from the backends of a proxy.", |p| {
        p.received_bytes as f64
    }),
    ("windlass_proxy_sent_bytes", "counter", "Bytes to the backends of a proxy.", |p| p.sent_bytes as f64),
    ("windlass_proxy_tarpit", "gauge", "Refused clients that are kept without a word now.", |p| {
        p.guard.tarpit as f64
    }),
    ("windlass_proxy_tarpitted", "counter", "Refused clients that were kept like that.", |p| {
        p.guard.tarpitted as f64
    }),
    (
        "windlass_proxy_guard_untracked",
        "counter",
        "Connections and requests without a limit: there was no place to remember their source in.",
        |p| p.guard.untracked as f64,
    ),
    ("windlass_proxy_guard_evicted", "counter", "Sources that were forgotten too early, for others.", |p| {
        p.guard.evicted as f64
    }),
];

/// One family with a value for each route.
type OfRoute = (&'static str, &'static str, &'static str, fn(&RetryBudget) -> u64);

const OF_ROUTES: [OfRoute; 4] = [
    (
        "windlass_proxy_route_underway",
        "gauge",
        "Clients on their way to a backend of a route, or requests without an answer.",
        |r| r.active,
    ),
    ("windlass_proxy_route_retrying", "gauge", "Those of them that are tried again.", |r| r.retrying),
    ("windlass_proxy_route_retries", "counter", "Retries that were begun.", |r| r.spent),
    (
        "windlass_proxy_route_retries_denied",
        "counter",
        "Times that a retry had to wait, or was not made: the budget was used up.",
        |r| r.denied,
    ),
];

const OF_BACKENDS: [OfBackend; 18] = [
    ("windlass_proxy_backend_up", "gauge", "1 where a backend gets new connections, else 0.", |b| {
        Some(f64::from(u8::from(b.state == "up")))
    }),
    ("windlass_proxy_backend_weight", "gauge", "Its share while it is enabled.", |b| Some(b.weight.into())),
    ("windlass_proxy_backend_connections", "gauge", "Connections to a backend now.", |b| {
        Some(b.connections as f64)
    }),
    ("windlass_proxy_backend_connections_peak", "gauge", "The most connections it has had.", |b| {
        Some(b.connections_peak as f64)
    }),
    ("windlass_proxy_backend_connections_max", "gauge", "The most it may have; 0: any number.", |b| {
        Some(b.connections_max as f64)
    }),
    ("windlass_proxy_backend_connections_opened", "counter", "Connections to it that came about.", |b| {
        Some(b.opened as f64)
    }),
    ("windlass_proxy_backend_busy", "gauge", "Requests of HTTP under way at a backend.", |b| {
        Some(b.busy as f64)
    }),
    ("windlass_proxy_backend_requests", "counter", "Requests of HTTP that it was sent.", |b| {
        Some(b.requests as f64)
    }),
    ("windlass_proxy_backend_circuit_openings", "counter", "Times its circuit breaker has opened.", |b| {
        Some(b.circuit_openings as f64)
    }),
    (
        "windlass_proxy_backend_connections_failed",
        "counter",
        "Connections to it that did not come about, or brought no byte of what they were to bring.",
        |b| Some(b.failed as f64),
    ),
    ("windlass_proxy_backend_received_bytes", "counter", "Bytes from a backend.", |b| {
        Some(b.received_bytes as f64)
    }),
    ("windlass_proxy_backend_sent_bytes", "counter", "Bytes to a backend.", |b| Some(b.sent_bytes as f64)),
    ("windlass_proxy_backend_downs", "counter", "Times that checks have found it down.", |b| {
        Some(b.downs as f64)
    }),
    ("windlass_proxy_backend_downtime_seconds", "counter", "How long it was down, by checks.", |b| {
        Some(b.downtime_seconds)
    }),
    ("windlass_proxy_backend_check_duration_seconds", "gauge", "How long its last check took.", |b| {
        b.last_check.map(|check| check.took_seconds)
    }),
    ("windlass_proxy_backend_ejections", "counter", "Times it was ejected for failing clients.", |b| {
        Some(b.ejections as f64)
    }),
    (
        "windlass_proxy_backend_ejections_spared",
        "counter",
        "Times it was not, because too many others were.",
        |b| Some(b.ejections_spared as f64),
    ),
    ("windlass_proxy_backend_changed", "gauge", "1 where it is not as configured, else 0.", |b| {
        Some(f64::from(u8::from(b.changed)))
    }),
];

/// One family with a value for each source of backends.
type OfSource = (&'static str, &'static str, &'static str, fn(&Source) -> f64);

const OF_SOURCES: [OfSource; 4] = [
    (
        "windlass_proxy_source_up",
        "gauge",
        "1 where a source of backends was asked with success, else 0.",
        |s| f64::from(u8::from(s.error.is_none())),
    ),
    ("windlass_proxy_source_backends", "gauge", "Backends that a source names.", |s| s.backends as f64),
    ("windlass_proxy_source_changes", "counter", "Times it has named others than before.", |s| {
        s.changes as f64
    }),
    ("windlass_proxy_source_failures", "counter", "Times it could not be asked, or not be believed.", |s| {
        s.failures as f64
    }),
];

/// The labels of a backend. Names need not differ, addresses do.
fn labels<'a>(proxy: &'a Proxy, backend: &'a Backend) -> [(&'static str, &'a str); 4] {
    [
        ("proxy", &proxy.name),
        ("route", &backend.route),
        ("backend", &backend.name),
        ("address", &backend.address),
    ]
}

fn total(name: &str, kind: &str) -> String {
    if kind == "counter" { format!("{name}_total") } else { name.into() }
}

impl Page {
    /// What became of requests: each count by the name it has in `windlass_proxy::HttpStats`.
    fn http(&mut self, proxies: &[Proxy]) {
        let Some(first) = proxies.iter().find(|proxy| !proxy.http.is_empty()) else { return };
        for what in first.http.keys() {
            let name = format!("windlass_proxy_http_{what}");
            let words = what.replace('_', " ");
            self.family(&name, "counter", &format!("Requests of HTTP: {words}."));
            for proxy in proxies {
                if let Some(count) = proxy.http.get(what) {
                    self.sample(&format!("{name}_total"), &[("proxy", &proxy.name)], *count as f64);
                }
            }
        }
        self.family("windlass_proxy_http_responses", "counter", "Final responses to clients, by class.");
        for proxy in proxies {
            for (class, count) in &proxy.responses {
                let labels = [("proxy", &*proxy.name), ("class", class)];
                self.sample("windlass_proxy_http_responses_total", &labels, *count as f64);
            }
        }
    }

    /// What became of datagrams: each count by the name it has in `windlass_proxy::UdpStats`.
    fn udp(&mut self, proxies: &[Proxy]) {
        let Some(first) = proxies.iter().find(|proxy| !proxy.udp.is_empty()) else { return };
        for what in first.udp.keys() {
            let name = format!("windlass_proxy_udp_{what}");
            let words = what.replace('_', " ");
            self.family(&name, "counter", &format!("Datagrams and their flows: {words}."));
            for proxy in proxies {
                if let Some(count) = proxy.udp.get(what) {
                    self.sample(&format!("{name}_total"), &[("proxy", &proxy.name)], *count as f64);
                }
            }
        }
    }

    /// All that is told of proxies.
    pub(super) fn proxies(&mut self, proxies: &[Proxy]) {
        if proxies.is_empty() {
            return;
        }
        for (name, kind, help, value) in OF_PROXIES {
            self.family(name, kind, help);
            let total = total(name, kind);
            for proxy in proxies {
                self.sample(&total, &[("proxy", &proxy.name)], value(proxy));
            }
        }
        self.family("windlass_proxy_refused", "counter", "Clients that were not served, by reason.");
        for proxy in proxies {
            for (reason, count) in &proxy.refused {
                let labels = [("proxy", &*proxy.name), ("reason", reason)];
                self.sample("windlass_proxy_refused_total", &labels, *count as f64);
            }
        }
        self.http(proxies);
        self.udp(proxies);
        let backends = || proxies.iter().flat_map(|proxy| proxy.backends.iter().map(move |one| (proxy, one)));
        for (name, kind, help, value) in OF_BACKENDS {
            self.family(name, kind, help);
            let total = total(name, kind);
            for (proxy, backend) in backends() {
                if let Some(value) = value(backend) {
                    self.sample(&total, &labels(proxy, backend), value);
                }
            }
        }
        for (name, kind, help, value) in OF_ROUTES {
            self.family(name, kind, help);
            let total = total(name, kind);
            for (proxy, route) in
                proxies.iter().flat_map(|proxy| proxy.retry_budgets.iter().map(move |one| (proxy, one)))
            {
                let labels = [("proxy", &*proxy.name), ("route", &route.route)];
                self.sample(&total, &labels, value(route) as f64);
            }
        }
        for (name, kind, help, value) in OF_SOURCES {
            self.family(name, kind, help);
            let total = total(name, kind);
            for (proxy, source) in
                proxies.iter().flat_map(|proxy| proxy.sources.iter().map(move |one| (proxy, one)))
            {
                let labels = [("proxy", &*proxy.name), ("route", &source.route), ("source", &source.source)];
                self.sample(&total, &labels, value(source));
            }
        }
        self.family("windlass_proxy_backend_state", "gauge", "1 for the state that a backend is in.");
        for (proxy, backend) in backends() {
            for state in STATES {
                let [proxy, route, name, address] = labels(proxy, backend);
                let value = f64::from(u8::from(backend.state == state));
                let labels = [proxy, route, name, address, ("state", state)];
                self.sample("windlass_proxy_backend_state", &labels, value);
            }
        }
        self.family("windlass_proxy_backend_checks", "counter", "Checks of a backend, by what they found.");
        for (proxy, backend) in backends() {
            for (result, count) in [("passed", backend.checks_passed), ("failed", backend.checks_failed)] {
                let [proxy, route, name, address] = labels(proxy, backend);
                let labels = [proxy, route, name, address, ("result", result)];
                self.sample("windlass_proxy_backend_checks_total", &labels, count as f64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;
    use crate::admin::shape::Guard;

    #[test]
    fn a_backend_has_one_state_and_labels_that_differ() {
        let backend = |address: &str, state: &str| Backend {
            route: "backends".into(),
            name: "same".into(),
            address: address.into(),
            state: state.into(),
            ..Backend::default()
        };
        let proxy = Proxy {
            name: "web".into(),
            backends: vec![backend("10.0.0.1:80", "up"), backend("10.0.0.2:80", "draining")],
            refused: [("queue_full".to_owned(), 3)].into(),
            http: [("requests".to_owned(), 7)].into(),
            responses: [("2xx".to_owned(), 5)].into(),
            guard: Guard { tarpit: 2, tarpitted: 9, untracked: 4, evicted: 5 },
            retry_budgets: vec![RetryBudget {
                route: "backends".into(),
                denied: 6,
                ..RetryBudget::default()
            }],
            ..Proxy::default()
        };
        let mut page = Page::new(Format::Prometheus);
        page.proxies(&[proxy]);
        let samples: Vec<&str> = page.text.lines().filter(|line| !line.starts_with('#')).collect();
        let mut series: Vec<&str> =
            samples.iter().filter_map(|line| line.rsplit_once(' ')).map(|(s, _)| s).collect();
        let count = series.len();
        series.sort_unstable();
        series.dedup();
        assert_eq!(series.len(), count, "a series is there twice");
        let is = |state: &str| {
            let of = format!("address=\"10.0.0.2:80\",state=\"{state}\"}} 1");
            samples.iter().any(|line| line.ends_with(&of))
        };
        assert_eq!(STATES.map(is), [false, false, false, true, false, false, false, false]);
        assert!(samples.contains(&"windlass_proxy_http_requests_total{proxy=\"web\"} 7"));
        assert!(samples.contains(&"windlass_proxy_http_responses_total{proxy=\"web\",class=\"2xx\"} 5"));
        assert!(samples.contains(&"windlass_proxy_refused_total{proxy=\"web\",reason=\"queue_full\"} 3"));
        assert!(samples.contains(&"windlass_proxy_tarpit{proxy=\"web\"} 2"));
        assert!(samples.contains(&"windlass_proxy_guard_untracked_total{proxy=\"web\"} 4"));
        let denied = "windlass_proxy_route_retries_denied_total{proxy=\"web\",route=\"backends\"} 6";
        assert!(samples.contains(&denied));
    }

    #[cfg(feature = "proxy")]
    #[test]
    fn every_state_is_told() {
        assert_eq!(windlass_proxy::BackendState::ALL.map(|state| state.label()), STATES);
    }
}

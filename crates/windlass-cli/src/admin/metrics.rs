//! What Prometheus scrapes: the engine's counters as families of metrics, summed over the workers when asked.
//!
//! [`FAMILIES`] is the whole list; the Grafana dashboard, the alert rules and the book name nothing that is
//! not in it, and a test holds them to that; those of proxies are in `proxies`, those of hubs in `hubs`, those of games in `games`. Names follow Prometheus' practice: the prefix `windlass_`, base
//! units, `_total` on what only grows. There is no label with a client's address in it.

#[cfg(feature = "realtime")]
mod games;
#[cfg(feature = "hub")]
mod hubs;
mod proxies;

use std::fmt::Write as _;

use windlass::{Counters, LimitUse, LimitValue, ListenerStats};

use super::Bound;
use super::shape::{Proxy, Service};
use super::state::services;
use crate::serving::Messages;
use crate::serving::reload::Reloads;

/// What a family counts in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One family of metrics.
pub(crate) struct Family {
    /// Without `_total`.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
    pub(crate) samples: Samples,
}

/// Where a family's values come from.
pub(crate) enum Samples {
    /// One counter of the engine's, by its name there.
    One(&'static str),
    /// One that is in nanoseconds there and in seconds here.
    Seconds(&'static str),
    /// Several, each with the value of this label.
    Each(&'static str, &'static [(&'static str, &'static str)]),
    /// Several, and what is left of the first when the others are taken from it, under the label `other`.
    Parts(&'static str, &'static str, &'static [(&'static str, &'static str)]),
    /// Ends of connections by their reason.
    Closes,
    /// Failures of TLS by their reason.
    TlsFailures,
}

use Kind::{Counter, Gauge};
use Samples::{Closes, Each, One, Parts, Seconds, TlsFailures};

macro_rules! families {
    ($($name:literal, $kind:expr, $samples:expr, $help:literal;)*) => {
        &[$(Family { name: concat!("windlass_", $name), kind: $kind, help: $help, samples: $samples },)*]
    };
}

/// Every family that comes from the engine's counters, in the order they are written.
pub(crate) const FAMILIES: &[Family] = families! {
    "connections", Gauge, One("connections"), "Connections open now, those connecting or closing included.";
    "connections_opened", Counter, One("opened"), "Connections opened, accepted and outbound ones.";
    "connections_closed", Counter, Closes, "Connections ended, by reason.";
    "connections_ended", Counter, One("ended"), "Connections whose service was told of their end.";
    "received_bytes", Counter, One("bytes_in"), "Bytes received on connections.";
    "sent_bytes", Counter, One("bytes_out"), "Bytes sent on connections.";
    "buffered_bytes", Gauge, One("buffered_bytes"), "Bytes of input and output queued now.";
    "output_peak_bytes", Gauge, One("output_peak_bytes"), "Most output one connection has had queued.";
    "input_peak_bytes", Gauge, One("input_peak_bytes"), "Most input one connection has had untaken.";
    "congestions", Counter, One("congestions"), "Times output passed its high-water mark and reading paused.";
    "newcomers_refused", Counter, Each("reason", &[("shed_full", "full"), ("shed_source", "source"),
                                                        ("shed_overload", "overload")]),
        "Newcomers reset: at a limit of the server or of their source, or by an overloaded worker.";
    "accept_pauses", Counter,
        Each("reason", &[("accept_paused_full", "full"), ("accept_paused_rate", "rate"),
                         ("accept_paused_resources", "resources"), ("accept_paused_overload", "overload")]),
        "Times accepting paused, by reason.";
    "accepts_aborted", Counter, One("accept_aborted"), "Connections that ended before they were accepted.";
    "turns", Counter, One("turns"), "Turns of the workers' loops.";
    "events", Counter, One("events"), "Readiness events.";
    "busy_seconds", Counter, Seconds("busy_nanos"), "Time not spent waiting for events, of all workers.";
    "run_queue", Gauge, One("run_queue"), "Connections waiting for the next turn, their budget spent.";
    "budgets_spent", Counter,
        Each("of", &[("budget_spent", "connection"), ("datagram_budget_spent", "socket")]),
        "Times the budget of one turn ran out.";
    "system_calls", Counter,
        Each("call", &[("polls", "poll"), ("reads", "read"), ("writes", "write"), ("accepts", "accept"),
                       ("registers", "register"), ("modifies", "modify"), ("finishes", "shutdown"),
                       ("closes_done", "close"), ("receives", "receive"), ("sends", "send"),
                       ("splices", "splice")]),
        "System calls, by kind; a splice is among the reads too.";
    "system_calls_would_block", Counter,
        Each("call", &[("reads_would_block", "read"), ("writes_would_block", "write"),
                       ("accepts_would_block", "accept"), ("receives_would_block", "receive"),
                       ("sends_would_block", "send")]),
        "System calls that found nothing to do, by kind.";
    "lag_seconds", Gauge, Seconds("lag_nanos"),
        "How late a worker was with what had just become ready, at most; of all workers the latest.";
    "lag_min_seconds", Gauge, Seconds("lag_min_nanos"), "The least of it in the last overload_interval.";
    "overloaded_workers", Gauge, One("overloaded"), "Workers overloaded now.";
    "overloads", Counter, One("overloads"), "Times a worker became overloaded.";
    "overloaded_seconds", Counter, Seconds("overloaded_nanos"), "Time workers were overloaded.";
    "overload_refusals", Counter, One("refused_overload"), "Times a service was told to refuse work.";
    "memory_step", Gauge, One("memory_step"),
        "1 where 80 % of buffered_max are queued, 2 with 90 %, 3 with 95 %; of all workers the highest.";
    "memory_steps", Counter,
        Each("step", &[("memory_low", "80"), ("memory_short", "90"), ("memory_critical", "95")]),
        "Times so many percent of buffered_max were queued.";
    "memory_ended", Counter, One("shed_memory"), "Connections ended to get memory back, by these steps.";
    "memory_blocks_refused", Counter, One("blocks_refused"),
        "Connections ended because what they had to keep found no block in a budget of memory.";
    "deadlines", Counter, One("deadlines"), "Deadlines that came due.";
    "ticks", Counter, One("ticks"), "Ticks and deadlines delivered to services.";
    "ticks_missed", Counter, One("ticks_missed"), "Ticks skipped because their time had passed.";
    "messages", Counter, One("messages"), "Messages delivered from mailboxes.";
    "stalls", Counter, One("stalls"), "Callbacks that held their worker longer than stall_timeout.";
    "connections_moved", Counter,
        Each("how", &[("handed_over", "newcomer"), ("moved_out", "out"), ("moved_in", "in")]),
        "Connections that changed their worker.";
    "connects", Counter, One("connects"), "Outbound connections asked for.";
    "connects_succeeded", Counter, One("connects_done"), "Outbound connections made.";
    "connects_failed", Counter,
        Parts("connects_failed", "reason",
              &[("connects_refused", "refused"), ("connects_unreachable", "unreachable"),
                ("connects_timed_out", "timeout"), ("connects_out_of_resources", "out_of_resources"),
                ("connects_tls_failed", "tls"), ("connects_cancelled", "cancelled")]),
        "Outbound connections that did not come about, by reason.";
    "connects_over_limit", Counter, One("connects_over_limit"), "Outbound connections not begun, for a limit.";
    "connecting", Gauge, One("connecting"), "Outbound connections being made now.";
    "relays", Counter, One("relays"), "Pairs of connections coupled.";
    "relayed_bytes", Counter, One("relayed_bytes"), "Bytes taken from one end of a relay for the other.";
    "relay_pipes", Gauge, One("pipes"), "Pipes open for relays.";
    "relay_pipes_refused", Counter, One("pipes_refused"), "Times a relay wanted a pipe and copied.";
    "sockets", Gauge, One("sockets"), "UDP sockets open now.";
    "sockets_refused", Counter, One("sockets_refused"), "UDP sockets that services could not open.";
    "received_datagrams", Counter, One("datagrams_in"), "Datagrams delivered to services.";
    "queued_datagrams", Counter, One("datagrams_queued"), "Datagrams that services have sent.";
    "sent_datagrams", Counter, One("datagrams_out"), "Datagrams handed to the system.";
    "dropped_datagrams", Counter,
        Each("reason", &[("datagrams_dropped", "full"), ("datagrams_unsent", "refused"),
                         ("datagrams_undelivered", "closed")]),
        "Datagrams lost here: the queue was full, the system refused them, or their socket was closed.";
    "datagram_errors", Counter, One("datagram_errors"), "Errors of UDP sockets: refused, unreachable, too long.";
    "datagram_output_peak_bytes", Gauge, One("datagram_output_peak_bytes"),
        "Most bytes of datagrams one socket has had queued.";
    "gso_stopped", Counter, One("gso_stopped"), "Sockets that cannot send several datagrams in one call.";
    "tls_handshakes", Gauge, One("tls_handshakes"), "TLS handshakes in progress now.";
    "tls_handshakes_started", Counter, One("tls_handshakes_started"), "TLS handshakes begun.";
    "tls_handshakes_done", Counter, One("tls_handshakes_done"), "TLS handshakes done.";
    "tls_handshakes_resumed", Counter, One("tls_handshakes_resumed"), "Of these: resumed an earlier session.";
    "tls_handshakes_failed", Counter, One("tls_handshakes_failed"), "TLS connections that ended before that.";
    "tls_handshakes_deferred", Counter, One("tls_handshakes_deferred"), "Times a handshake waited for a turn.";
    "tls_failures", Counter, TlsFailures, "Connections ended by TLS, by reason.";
    "handovers", Counter,
        Each("how", &[("handovers_offered", "offered"), ("handovers_refused", "refused"),
                      ("handovers_lost", "lost")]),
        "Successors that asked for the sockets.";
};

/// Which of the two text formats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// `text/plain; version=0.0.4`.
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

impl Format {
    /// By the `Accept` header of a request.
    pub(crate) fn accepted(accept: &str) -> Format {
        let open = accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            parts.next() == Some("application/openmetrics-text") && !parts.any(|part| part == "q=0")
        });
        if open { Format::OpenMetrics } else { Format::Prometheus }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A page of metrics under way.
pub(crate) struct Page {
    format: Format,
    text: String,
}

impl Page {
    pub(crate) fn new(format: Format) -> Page {
        Page { format, text: String::with_capacity(16 * 1024) }
    }

    /// Begins a family; its samples follow.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // OpenMetrics gives a counter's family without the ending that its samples have.
        let ending = if kind == "counter" && self.format == Format::Prometheus { "_total" } else { "" };
        let _ = writeln!(self.text, "# HELP {name}{ending} {help}\n# TYPE {name}{ending} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text += name;
        for (n, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{}{label}=\"{value}\"", if n == 0 { '{' } else { ',' });
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    fn engine(&mut self, counters: &Counters) {
        let value =
            |name: &str| counters.entries().find(|(n, _)| *n == name).map_or(0, |(_, value)| value) as f64;
        for family in FAMILIES {
            let Family { name, kind, help, samples } = family;
            self.family(name, if *kind == Counter { "counter" } else { "gauge" }, help);
            let total = if *kind == Counter { format!("{name}_total") } else { (*name).into() };
            match samples {
                One(counter) => self.sample(&total, &[], value(counter)),
                Seconds(counter) => self.sample(&total, &[], value(counter) / 1e9),
                Each(label, list) => {
                    list.iter()
                        .for_each(|(counter, text)| self.sample(&total, &[(label, text)], value(counter)));
                }
                Parts(whole, label, list) => {
                    let mut rest = value(whole);
                    for (counter, text) in *list {
                        rest -= value(counter);
                        self.sample(&total, &[(label, text)], value(counter));
                    }
                    self.sample(&total, &[(label, "other")], rest.max(0.0));
                }
                Closes => {
                    counters.closes().for_each(|(why, n)| self.sample(&total, &[("reason", why)], n as f64));
                }
                TlsFailures => {
                    counters
                        .tls_failures()
                        .for_each(|(why, n)| self.sample(&total, &[("reason", why)], n as f64));
                }
            }
        }
    }

    /// Each service, by its name.
    fn services(&mut self, services: &[Service]) {
        type Value = fn(&Service) -> u64;
        let families: [(&str, &str, &str, Value); 5] = [
            ("windlass_service_connections", "gauge", "Connections that one service has.", |s| s.connections),
            ("windlass_service_connections_opened", "counter", "Connections opened by service.", |s| {
                s.opened
            }),
            ("windlass_service_received_bytes", "counter", "Bytes received by service.", |s| {
                s.received_bytes
            }),
            ("windlass_service_sent_bytes", "counter", "Bytes sent by service.", |s| s.sent_bytes),
            ("windlass_service_messages", "counter", "Messages by service, in its own terms.", |s| {
                s.messages
            }),
        ];
        for (name, kind, help, value) in families {
            self.family(name, kind, help);
            let total = if kind == "counter" { format!("{name}_total") } else { name.into() };
            for service in services {
                self.sample(&total, &[("service", &service.name)], value(service) as f64);
            }
        }
    }

    /// Each address that is listened on.
    fn listeners(&mut self, listeners: &[ListenerStats]) {
        type Value = fn(&ListenerStats) -> u64;
        let families: [(&str, &str, &str, Value); 4] = [
            ("windlass_listener_connections", "gauge", "Connections that one listener has.", |l| {
                l.connections
            }),
            ("windlass_listener_connections_opened", "counter", "Connections opened by listener.", |l| {
                l.opened
            }),
            ("windlass_listener_received_bytes", "counter", "Bytes received by listener.", |l| l.bytes_in),
            ("windlass_listener_sent_bytes", "counter", "Bytes sent by listener.", |l| l.bytes_out),
        ];
        for (name, kind, help, value) in families {
            self.family(name, kind, help);
            let total = if kind == "counter" { format!("{name}_total") } else { name.into() };
            for listener in listeners {
                let labels = [("listener", &*listener.address), ("service", &*listener.service)];
                self.sample(&total, &labels, value(listener) as f64);
            }
        }
    }

    /// Limits whose use can be told, and those that were reached.
    fn limits(&mut self, limits: &[LimitUse]) {
        self.family("windlass_limit_used_ratio", "gauge", "The part of a limit that is in use.");
        for limit in limits {
            let (LimitValue::Count(max) | LimitValue::Bytes(max)) = limit.value else { continue };
            if let Some(used) = limit.used.filter(|_| max > 0) {
                self.sample("windlass_limit_used_ratio", &[("limit", limit.name)], used as f64 / max as f64);
            }
        }
        self.family("windlass_limit_reached", "counter", "Times a limit was reached.");
        for limit in limits {
            if let Some(reached) = limit.reached {
                self.sample("windlass_limit_reached_total", &[("limit", limit.name)], reached as f64);
            }
        }
    }

    /// All that a server tells.
    pub(crate) fn server(
        mut self,
        bound: &Bound,
        messages: &Messages,
        reloads: &Reloads,
        proxies: &[Proxy],
    ) -> String {
        let (handle, workers) = (&bound.handle, bound.workers);
        let stats = handle.stats();
        self.family("windlass_build_info", "gauge", "One, with the version that runs.");
        self.sample("windlass_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        self.engine(&stats.counters);
        self.services(&services(handle, messages));
        self.family("windlass_reloads", "counter", "Times the configuration was read again, by outcome.");
        self.sample("windlass_reloads_total", &[("outcome", "succeeded")], reloads.succeeded as f64);
        self.sample("windlass_reloads_total", &[("outcome", "failed")], reloads.failed as f64);
        self.listeners(&handle.listeners());
        self.limits(&handle.limits_in_use());
        self.proxies(proxies);

        self.family("windlass_turn_duration_seconds", "histogram", "How long turns took.");
        let mut turns = 0;
        // Two to a doubling of the engine's four: a page of 44 lines is enough.
        for (n, (edge, count)) in stats.turn_times.buckets().enumerate() {
            turns += count;
            if n % 2 == 1 {
                let edge = edge.as_secs_f64().to_string();
                self.sample("windlass_turn_duration_seconds_bucket", &[("le", &edge)], turns as f64);
            }
        }
        self.sample("windlass_turn_duration_seconds_bucket", &[("le", "+Inf")], turns as f64);
        self.sample("windlass_turn_duration_seconds_sum", &[], stats.counters.busy_nanos as f64 / 1e9);
        self.sample("windlass_turn_duration_seconds_count", &[], turns as f64);

        self.family("windlass_worker_busy_seconds", "counter", "Time one worker did not spend waiting.");
        let each: Vec<_> =
            (0..workers).filter_map(|n| Some((n.to_string(), handle.worker_stats(n)?))).collect();
        for (n, stats) in &each {
            let seconds = stats.counters.busy_nanos as f64 / 1e9;
            self.sample("windlass_worker_busy_seconds_total", &[("worker", n)], seconds);
        }
        self.family("windlass_worker_connections", "gauge", "Connections open on one worker.");
        for (n, stats) in &each {
            self.sample("windlass_worker_connections", &[("worker", n)], stats.counters.connections as f64);
        }
        self.family("windlass_log_dropped", "counter", "Log lines dropped: they came faster than they go.");
        self.sample("windlass_log_dropped_total", &[], crate::logs::dropped() as f64);
        self.family("windlass_access_log_dropped", "counter", "Lines of access logs dropped.");
        self.sample("windlass_access_log_dropped_total", &[], crate::access::dropped() as f64);
        self.family("windlass_up", "gauge", "One while it accepts, zero while it drains.");
        self.sample("windlass_up", &[], if handle.is_stopping() { 0.0 } else { 1.0 });
        if self.format == Format::OpenMetrics {
            self.text += "# EOF\n";
        }
        self.text
    }
}

#[cfg(test)]
#[path = "../tests/admin/metrics.rs"]
mod tests;

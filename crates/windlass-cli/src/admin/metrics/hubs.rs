//! What Prometheus is told of hubs. Where there is none, it is told nothing of them.

use windlass_hub::HubStats;

use super::Page;

/// One value of a family, and how it is told from the others.
type Value = (&'static str, fn(&HubStats) -> u64);
/// One family, and the label that its values differ by.
type OfHub = (&'static str, &'static str, &'static str, &'static str, &'static [Value]);

const OF_HUBS: [OfHub; 18] = [
    ("windlass_hub_clients", "gauge", "Clients connected now.", "", &[("", |it| it.clients)]),
    (
        "windlass_hub_sessions",
        "gauge",
        "Sessions, with and without a connection.",
        "",
        &[("", |it| it.sessions)],
    ),
    ("windlass_hub_subscriptions", "gauge", "Subscriptions.", "", &[("", |it| it.subscriptions)]),
    ("windlass_hub_retained", "gauge", "Retained messages.", "", &[("", |it| it.retained)]),
    (
        "windlass_hub_retained_bytes",
        "gauge",
        "Bytes of retained messages.",
        "",
        &[("", |it| it.retained_bytes)],
    ),
    ("windlass_hub_queued", "gauge", "Messages that wait for their receivers.", "", &[("", |it| it.queued)]),
    ("windlass_hub_queued_bytes", "gauge", "Bytes of them.", "", &[("", |it| it.queued_bytes)]),
    (
        "windlass_hub_connects",
        "counter",
        "Clients that came, by what became of them.",
        "outcome",
        &[("served", |it| it.connected), ("refused", |it| it.refused), ("said_nothing", |it| it.strangers)],
    ),
    (
        "windlass_hub_sessions_resumed",
        "counter",
        "Sessions that were there again.",
        "",
        &[("", |it| it.resumed)],
    ),
    (
        "windlass_hub_sessions_expired",
        "counter",
        "Sessions nobody came back to in time.",
        "",
        &[("", |it| it.sessions_expired)],
    ),
    (
        "windlass_hub_disconnects",
        "counter",
        "Clients disconnected, by why.",
        "reason",
        &[
            ("keep_alive", |it| it.keep_alive_timeouts),
            ("violation", |it| it.violations),
            ("taken_over", |it| it.taken_over),
            ("slow_consumer", |it| it.slow_consumers),
        ],
    ),
    ("windlass_hub_packets_received", "counter", "Packets received.", "", &[("", |it| it.packets_received)]),
    (
        "windlass_hub_messages_received",
        "counter",
        "Messages received, by QoS.",
        "qos",
        &[("0", |it| it.received_qos_0), ("1", |it| it.received_qos_1), ("2", |it| it.received_qos_2)],
    ),
    (
        "windlass_hub_messages_sent",
        "counter",
        "Messages sent, by QoS.",
        "qos",
        &[("0", |it| it.sent_qos_0), ("1", |it| it.sent_qos_1), ("2", |it| it.sent_qos_2)],
    ),
    (
        "windlass_hub_payload_bytes",
        "counter",
        "Bytes of payloads.",
        "direction",
        &[("received", |it| it.received_bytes), ("sent", |it| it.sent_bytes)],
    ),
    (
        "windlass_hub_dropped",
        "counter",
        "Messages dropped, by why.",
        "reason",
        &[
            ("queue_full", |it| it.dropped_queue_full),
            ("expired", |it| it.dropped_expired),
            ("too_long", |it| it.dropped_too_long),
            ("offline", |it| it.dropped_offline),
        ],
    ),
    (
        "windlass_hub_denied",
        "counter",
        "What clients may not do, or over a limit.",
        "what",
        &[
            ("publish", |it| it.denied_publish),
            ("read", |it| it.denied_read),
            ("subscribe", |it| it.denied_subscribe),
            ("retain", |it| it.retained_refused),
        ],
    ),
    ("windlass_hub_wills", "counter", "Wills published.", "", &[("", |it| it.wills)]),
];

impl Page {
    /// Every hub.
    pub(crate) fn hubs(mut self, hubs: &[(String, HubStats)]) -> Page {
        if hubs.is_empty() {
            return self;
        }
        for (name, kind, help, label, values) in OF_HUBS {
            self.family(name, kind, help);
            let full = if kind == "counter" { format!("{name}_total") } else { name.into() };
            for (hub, stats) in hubs {
                for &(value, of) in values {
                    let labels = [("hub", hub.as_str()), (label, value)];
                    let labels = if label.is_empty() { &labels[..1] } else { &labels[..] };
                    self.sample(&full, labels, of(stats) as f64);
                }
            }
        }
        self
    }
}

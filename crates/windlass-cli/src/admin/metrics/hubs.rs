//! What Prometheus is told of hubs. Where there is none, it is told nothing of them.

use windlass_hub::HubStats;

use super::Page;
use crate::hub::Counted;
use crate::hub::rules::outlet::Counts;

/// One value of a family, and how it is told from the others.
type Value = (&'static str, fn(&HubStats) -> u64);

/// One family, and the label that its values differ by.
struct OfHub {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    /// Empty: there is one value.
    label: &'static str,
    values: &'static [Value],
}

macro_rules! of_hubs {
    ($($kind:ident $name:ident $help:literal $field:ident;)* -- $($name2:ident $help2:literal
        $label:ident { $($value:ident: $field2:ident),* };)*) => {
        /// All that a hub counts, but for the times of its commits.
        const OF_HUBS: &[OfHub] = &[
            $(OfHub {
                name: concat!("windlass_hub_", stringify!($name)),
                kind: stringify!($kind),
                help: $help,
                label: "",
                values: &[("", |it| it.$field)],
            },)*
            $(OfHub {
                name: concat!("windlass_hub_", stringify!($name2)),
                kind: "counter",
                help: $help2,
                label: stringify!($label),
                values: &[$((stringify!($value), |it| it.$field2)),*],
            },)*
        ];
    };
}

of_hubs! {
    gauge clients "Clients connected now." clients;
    gauge sessions "Sessions, with and without a connection." sessions;
    gauge subscriptions "Subscriptions." subscriptions;
    gauge retained "Retained messages." retained;
    gauge retained_bytes "Bytes of retained messages." retained_bytes;
    gauge queued "Messages that wait for their receivers." queued;
    gauge queued_bytes "Bytes of them." queued_bytes;
    gauge memory_bytes "Bytes counted against memory_max, where there is one." memory_used;
    counter sessions_resumed "Sessions that were there again." resumed;
    counter sessions_expired "Sessions nobody came back to in time." sessions_expired;
    counter packets_received "Packets received." packets_received;
    counter messages_resent "Messages sent again." resent;
    counter messages_unheard "Messages nobody subscribed to." unheard;
    counter receive_exceeded "Messages over the receive maximum that were taken all the same." receive_exceeded;
    counter wills "Wills published." wills;
    counter rules_matched "Messages given to the sinks of rules." rules_matched;
    counter rules_unread "Messages that a rule was to look into and could not read." rules_unread;
    counter journal_commits "Batches of records that the journal has committed." journal_commits;
    counter journal_records "Records in them." journal_records;
    counter journal_bytes "Bytes of those." journal_bytes;
    counter journal_failures "Commits that failed, each of which is tried again." journal_failed;
    counter journal_refused "Durable work that was refused." journal_refused;
    gauge journal_failing "Workers whose last commit failed, so that durable work is refused." journal_failing;
    gauge journal_waiting_bytes "Bytes of records that wait for their commit." journal_waiting_bytes;
    --
    connects "Clients that came, by what became of them."
        outcome { served: connected, refused: refused, said_nothing: strangers };
    disconnects "Clients disconnected, by why." reason {
        keep_alive: keep_alive_timeouts, violation: violations, taken_over: taken_over,
        slow_consumer: slow_consumers, over_quota: over_quota, revoked: revoked
    };
    messages_received "Messages received, by QoS." qos {
        q0: received_qos_0, q1: received_qos_1, q2: received_qos_2
    };
    messages_sent "Messages sent, by QoS." qos { q0: sent_qos_0, q1: sent_qos_1, q2: sent_qos_2 };
    payload_bytes "Bytes of payloads." direction { received: received_bytes, sent: sent_bytes };
    dropped "Messages dropped, by why." reason {
        queue_full: dropped_queue_full, expired: dropped_expired, too_long: dropped_too_long,
        offline: dropped_offline
    };
    denied "What clients may not do, or over a limit." what {
        publish: denied_publish, read: denied_read, subscribe: denied_subscribe, retain: retained_refused
    };
    memory_refused "What there was no memory for, where memory_max bounds it." what {
        session: memory_sessions_refused, subscription: memory_subscriptions_refused,
        retained: memory_retained_refused, message: memory_messages_dropped,
        client: memory_clients_ended, request: memory_requests_refused
    };
    http_requests "Requests to publish, by what became of them." outcome {
        published: http_published, refused: http_refused
    };
}

/// One family of what a rule counts, with one value.
type OfRule = (&'static str, &'static str, &'static str, fn(&Counts) -> u64);

impl Page {
    /// Every hub.
    pub(crate) fn hubs(mut self, hubs: &[Counted]) -> Page {
        if hubs.is_empty() {
            return self;
        }
        for &OfHub { name, kind, help, label, values } in OF_HUBS {
            self.family(name, kind, help);
            let full = if kind == "counter" { format!("{name}_total") } else { name.into() };
            for Counted { name: hub, stats, .. } in hubs {
                for &(value, of) in values {
                    // A number is no name in the list above.
                    let value = value.strip_prefix('q').filter(|_| label == "qos").unwrap_or(value);
                    let labels = [("hub", hub.as_str()), (label, value)];
                    let labels = if label.is_empty() { &labels[..1] } else { &labels[..] };
                    self.sample(&full, labels, of(stats) as f64);
                }
            }
        }
        self.commits(hubs);
        self.rules(hubs);
        self
    }

    /// How long the commits of journals took.
    fn commits(&mut self, hubs: &[Counted]) {
        let name = "windlass_hub_journal_commit_duration_seconds";
        let mut durable = hubs.iter().filter(|hub| hub.is_durable).peekable();
        if durable.peek().is_none() {
            return;
        }
        self.family(
            name,
            "histogram",
            "How long commits of the journal took, from the worker and back to it.",
        );
        for Counted { name: hub, commits, .. } in durable {
            let mut counted = 0;
            for (edge, count) in commits.buckets() {
                counted += count;
                let edge = edge.map_or("+Inf".into(), |us| (us as f64 / 1e6).to_string());
                self.sample(&format!("{name}_bucket"), &[("hub", hub), ("le", &edge)], counted as f64);
            }
            self.sample(&format!("{name}_sum"), &[("hub", hub)], commits.sum_us() as f64 / 1e6);
            self.sample(&format!("{name}_count"), &[("hub", hub)], counted as f64);
        }
    }

    /// What became of messages that rules are for.
    fn rules(&mut self, hubs: &[Counted]) {
        if hubs.iter().all(|hub| hub.rules.is_empty()) {
            return;
        }
        let one: [OfRule; 3] = [
            ("windlass_hub_rule_delivered", "counter", "Messages that rules have delivered.", |it| {
                it.delivered
            }),
            ("windlass_hub_rule_retries", "counter", "What rules have tried again.", |it| it.retries),
            ("windlass_hub_rule_waiting", "gauge", "Messages that wait for the sink of a rule.", |it| {
                it.waiting
            }),
        ];
        for (name, kind, help, of) in one {
            self.family(name, kind, help);
            let full = if kind == "counter" { format!("{name}_total") } else { name.into() };
            for hub in hubs {
                for (rule, counts) in &hub.rules {
                    self.sample(&full, &[("hub", &hub.name), ("rule", rule)], of(counts) as f64);
                }
            }
        }
        let name = "windlass_hub_rule_dropped";
        self.family(name, "counter", "Messages that rules have dropped, by why.");
        for hub in hubs {
            for (rule, counts) in &hub.rules {
                for (reason, count) in [
                    ("queue_full", counts.queue_full),
                    ("too_long", counts.too_long),
                    ("failed", counts.failed),
                    ("refused", counts.refused),
                ] {
                    let labels = [("hub", hub.name.as_str()), ("rule", rule), ("reason", reason)];
                    self.sample(&format!("{name}_total"), &labels, count as f64);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "../../tests/admin/hubs.rs"]
mod tests;

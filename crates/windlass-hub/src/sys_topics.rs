//! Topics of the hub's own, below `$SYS` (section 4.7.2): what operators of other brokers look at.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use windlass::{Bytes, Time};
use windlass_proto::mqtt::{Properties, QoS, Topic};

use crate::reach::Reach;
use crate::service::Hub;
use crate::session::message::Message;

/// When they are published, and what they said last.
#[derive(Debug)]
pub(crate) struct SysTopics {
    interval: Duration,
    next: Option<Time>,
    said: Vec<(&'static str, u64)>,
}

impl SysTopics {
    pub(crate) fn new(interval: Duration) -> SysTopics {
        SysTopics { interval, next: None, said: Vec::new() }
    }

    pub(crate) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }
}

impl Hub {
    /// Publishes what has changed, if it is time.
    pub(crate) fn tell(&mut self, reach: &mut dyn Reach) {
        if self.sys.interval == Duration::ZERO || self.sys.next.is_some_and(|at| self.now < at) {
            return;
        }
        if self.sys.next.is_none() {
            self.say(reach, "$SYS/broker/version", concat!("windlass ", env!("CARGO_PKG_VERSION")));
        }
        self.sys.next = Some(self.now + self.sys.interval);
        let stats = self.watch.stats();
        let uptime = self.now.since(self.began).as_secs();
        self.say(reach, "$SYS/broker/uptime", format_args!("{uptime} seconds"));
        let dropped = stats.dropped_queue_full + stats.dropped_expired + stats.dropped_too_long;
        for (topic, value) in [
            ("$SYS/broker/clients/total", stats.sessions),
            ("$SYS/broker/clients/connected", stats.clients),
            ("$SYS/broker/clients/disconnected", stats.sessions.saturating_sub(stats.clients)),
            ("$SYS/broker/clients/expired", stats.sessions_expired),
            ("$SYS/broker/subscriptions/count", stats.subscriptions),
            ("$SYS/broker/retained messages/count", stats.retained),
            ("$SYS/broker/store/messages/count", stats.queued),
            ("$SYS/broker/store/messages/bytes", stats.queued_bytes),
            ("$SYS/broker/messages/received", stats.packets_received),
            (
                "$SYS/broker/publish/messages/received",
                stats.received_qos_0 + stats.received_qos_1 + stats.received_qos_2,
            ),
            ("$SYS/broker/publish/messages/sent", stats.sent_qos_0 + stats.sent_qos_1 + stats.sent_qos_2),
            ("$SYS/broker/publish/messages/dropped", dropped),
            ("$SYS/broker/publish/bytes/received", stats.received_bytes),
            ("$SYS/broker/publish/bytes/sent", stats.sent_bytes),
        ] {
            let said = self.sys.said.iter_mut().find(|(of, _)| *of == topic);
            match said {
                Some((_, before)) if *before == value => continue,
                Some((_, before)) => *before = value,
                None => self.sys.said.push((topic, value)),
            }
            self.say(reach, topic, value);
        }
    }

    fn say(&mut self, reach: &mut dyn Reach, topic: &str, value: impl Display) {
        let Ok(topic) = Topic::new(topic) else { return };
        let payload = Bytes::from(value.to_string());
        let message = Message::new(topic, Properties::NONE, payload, QoS::AtMostOnce, self.now);
        self.publish_kept(reach, &Arc::new(message), true);
    }
}

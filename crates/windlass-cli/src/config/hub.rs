//! `[[hub]]`: MQTT.

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_hub::journal::{self, LogConfig};
use windlass_hub::{HubConfig, QoS, WhenExceeded, WhenQueueFull};

use super::identity::IdentityTable;
use super::rule::RuleTable;
use super::shape::{AccessTable, TlsTable};
use super::value::{Count, FilePath, Listen, Size, Time};

/// A hub: MQTT 3.1.1 and 5.0. Each has topics and sessions of its own.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HubTable {
    /// What it is called in messages about this file.
    pub(crate) name: String,
    /// Where it listens: `HOST:PORT`, `:PORT` or `unix:PATH`. A connection that begins with a request of HTTP
    /// becomes a WebSocket.
    pub(crate) listen: Vec<Listen>,
    /// Where it listens without TLS, beside the addresses that speak it: the same topics and sessions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) listen_plain: Vec<Listen>,
    /// Speak TLS on every address of `listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<TlsTable>,
    /// A line for each connection when it has ended. Without a format it is
    /// `{time} {peer} {service} {listener} {duration_ms} {received} {sent} {messages} {reason} {fault}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access_log: Option<AccessTable>,
    /// The folder in which sessions, their messages, what is retained and wills outlive the process; it is made if it
    /// is not there. Without one they are gone with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["/var/lib/windlass/hub"]))]
    pub(crate) data: Option<FilePath>,
    /// When what is kept there is acknowledged.
    pub(crate) durability: Durability,
    /// With `durability = "interval"`, how long it takes until all is on the disk.
    pub(crate) sync_interval: Time,
    /// The longest packet that is taken.
    pub(crate) packet_max: Size,
    /// The longest CONNECT.
    pub(crate) connect_max: Size,
    /// How long a client may take for its CONNECT.
    pub(crate) connect_timeout: Time,
    /// Levels of a topic or filter.
    pub(crate) topic_levels_max: Count,
    /// User properties of one packet.
    pub(crate) user_properties_max: Count,
    /// Messages of QoS 1 and 2 that a client may have under way at once.
    pub(crate) receive_max: Count,
    /// What becomes of a client of version 5 that has more.
    pub(crate) when_receive_exceeded: Exceeded,
    /// Messages of QoS 1 and 2 that are under way to a client at once.
    pub(crate) in_flight_max: Count,
    /// Topic aliases that a client may use.
    pub(crate) topic_alias_max: Count,
    /// Topic aliases that are used towards a client that takes some.
    pub(crate) topic_alias_out_max: Count,
    /// The longest keep-alive; 0 is any.
    pub(crate) keep_alive_max: Time,
    /// The longest time a session is kept without a connection; 0 is for ever.
    pub(crate) session_expiry_max: Time,
    /// Sessions, with and without a connection.
    pub(crate) sessions_max: Count,
    /// Subscriptions of one session.
    pub(crate) subscriptions_max: Count,
    /// Messages that wait for one session.
    pub(crate) queue_max: Count,
    /// Bytes that wait for one session.
    pub(crate) queue_bytes_max: Size,
    /// What becomes of one more.
    pub(crate) when_queue_full: QueueFull,
    /// Whether messages of QoS 0 wait for sessions that have no connection.
    pub(crate) queue_qos_0: bool,
    /// Bytes given to the connection of a client before it has taken them; behind that messages wait in its
    /// queue.
    pub(crate) output_max: Size,
    /// Bytes of messages on their way from one worker to another, where `workers` in [server] says several: over it,
    /// clients of the first are not read until the second has caught up.
    pub(crate) between_workers_max: Size,
    /// Whether messages are retained.
    pub(crate) retain: bool,
    /// Retained messages.
    pub(crate) retained_max: Count,
    /// Bytes of them.
    pub(crate) retained_bytes_max: Size,
    /// Bytes of sessions, subscriptions, retained messages and messages that wait, of all of them together: what there is
    /// no room for is refused, and a message dropped as if the queue of its receiver were full. 0 is no bound or, with
    /// `memory` in [server], a part of that.
    pub(crate) memory_max: Size,
    /// The highest QoS that is taken.
    #[schemars(range(min = 0, max = 2))]
    pub(crate) qos_max: Count,
    /// Whether connections may become WebSockets.
    pub(crate) websocket: bool,
    /// Whether messages may be published by requests of HTTP: `POST /publish/TOPIC`.
    pub(crate) http_publish: bool,
    /// Whether every connection begins with a PROXY header, which says who the client is. Whoever connects is
    /// believed, so only a proxy may be able to.
    pub(crate) proxy_header: bool,
    /// Whether filters may have wildcards.
    pub(crate) wildcards: bool,
    /// Whether subscriptions may be shared.
    pub(crate) shared: bool,
    /// Whether answers are as short as Mosquitto's: a code and no words.
    pub(crate) terse: bool,
    /// How often topics below `$SYS` are published; 0 is never.
    pub(crate) sys_interval: Time,
    /// Who clients are, and what they may do.
    #[serde(skip_serializing_if = "IdentityTable::is_default")]
    pub(crate) identity: IdentityTable,
    /// Messages that go to a file or to a webhook besides: 64 at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rule: Vec<RuleTable>,
}

/// When durable work is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Durability {
    /// Once it is on the disk: a loss of power loses nothing that was acknowledged.
    #[default]
    Commit,
    /// At once: a loss of power may lose the last second, a kill the last milliseconds.
    Interval,
}

/// What becomes of a client that has more messages under way than it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Exceeded {
    /// It is disconnected.
    #[default]
    Disconnect,
    /// It is counted, and served.
    Warn,
}

/// What becomes of a message that a queue has no room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum QueueFull {
    /// It is dropped.
    #[default]
    DropNewest,
    /// Those that have waited longest are.
    DropOldest,
    /// It is dropped, and its receiver is disconnected.
    Disconnect,
}

impl Default for HubTable {
    fn default() -> HubTable {
        let config = HubConfig::default();
        HubTable {
            name: "hub".into(),
            listen: Vec::new(),
            listen_plain: Vec::new(),
            tls: None,
            access_log: None,
            data: None,
            durability: Durability::default(),
            sync_interval: Time(LogConfig::default().sync_interval),
            packet_max: Size(config.packet_max),
            connect_max: Size(config.connect_max),
            connect_timeout: Time(config.connect_timeout),
            topic_levels_max: Count(config.topic_levels_max),
            user_properties_max: Count(config.user_properties_max),
            receive_max: Count(config.receive_max.into()),
            when_receive_exceeded: Exceeded::default(),
            in_flight_max: Count(config.in_flight_max.into()),
            topic_alias_max: Count(config.topic_alias_max.into()),
            topic_alias_out_max: Count(config.topic_alias_out_max.into()),
            keep_alive_max: Time::default(),
            session_expiry_max: Time::default(),
            sessions_max: Count(config.sessions_max),
            subscriptions_max: Count(config.subscriptions_max),
            queue_max: Count(config.queue_max),
            queue_bytes_max: Size(config.queue_bytes_max),
            when_queue_full: QueueFull::default(),
            queue_qos_0: config.queue_qos_0,
            output_max: Size(config.output_max),
            between_workers_max: Size(config.between_workers_max),
            retain: config.retain,
            retained_max: Count(config.retained_max),
            retained_bytes_max: Size(config.retained_bytes_max),
            memory_max: Size(config.memory_max),
            qos_max: Count(config.qos_max as usize),
            websocket: config.websocket,
            http_publish: config.http_publish,
            proxy_header: config.proxy_header,
            wildcards: config.wildcards,
            shared: config.shared,
            terse: config.terse,
            sys_interval: Time(config.sys_interval),
            identity: IdentityTable::default(),
            rule: Vec::new(),
        }
    }
}

impl HubTable {
    /// How its log is kept.
    pub(crate) fn log_config(&self) -> LogConfig {
        LogConfig::default().sync_interval(self.sync_interval.0).durability(match self.durability {
            Durability::Commit => journal::Durability::Commit,
            Durability::Interval => journal::Durability::Interval,
        })
    }

    /// What the service is made with.
    pub(crate) fn config(&self) -> HubConfig {
        let short = |count: Count| u16::try_from(count.0).unwrap_or(u16::MAX);
        let seconds = |time: Time| time.0.as_secs();
        HubConfig {
            packet_max: self.packet_max.0,
            connect_max: self.connect_max.0,
            connect_timeout: self.connect_timeout.0,
            topic_levels_max: self.topic_levels_max.0,
            user_properties_max: self.user_properties_max.0,
            receive_max: short(self.receive_max),
            when_receive_exceeded: match self.when_receive_exceeded {
                Exceeded::Disconnect => WhenExceeded::Disconnect,
                Exceeded::Warn => WhenExceeded::Warn,
            },
            in_flight_max: short(self.in_flight_max),
            topic_alias_max: short(self.topic_alias_max),
            topic_alias_out_max: short(self.topic_alias_out_max),
            keep_alive_max: u16::try_from(seconds(self.keep_alive_max)).unwrap_or(u16::MAX),
            session_expiry_max: match seconds(self.session_expiry_max) {
                0 => u32::MAX,
                seconds => u32::try_from(seconds).unwrap_or(u32::MAX),
            },
            sessions_max: self.sessions_max.0,
            subscriptions_max: self.subscriptions_max.0,
            queue_max: self.queue_max.0,
            queue_bytes_max: self.queue_bytes_max.0,
            when_queue_full: match self.when_queue_full {
                QueueFull::DropNewest => WhenQueueFull::DropNewest,
                QueueFull::DropOldest => WhenQueueFull::DropOldest,
                QueueFull::Disconnect => WhenQueueFull::Disconnect,
            },
            queue_qos_0: self.queue_qos_0,
            output_max: self.output_max.0,
            between_workers_max: self.between_workers_max.0,
            retain: self.retain,
            retained_max: self.retained_max.0,
            retained_bytes_max: self.retained_bytes_max.0,
            memory_max: self.memory_max.0,
            qos_max: QoS::from_bits(self.qos_max.0 as u8).unwrap_or_default(),
            websocket: self.websocket,
            http_publish: self.http_publish,
            proxy_header: self.proxy_header,
            wildcards: self.wildcards,
            shared: self.shared,
            terse: self.terse,
            sys_interval: self.sys_interval.0,
            ..HubConfig::default()
        }
    }

    /// What is wrong with it: a key, and why.
    pub(crate) fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let small = 1..=usize::from(u16::MAX);
        let mut problems = Vec::new();
        for (key, wrong, why) in [
            ("receive_max", !small.contains(&self.receive_max.0), "from 1 to 65,535"),
            ("in_flight_max", !small.contains(&self.in_flight_max.0), "from 1 to 65,535"),
            ("topic_alias_max", self.topic_alias_max.0 > usize::from(u16::MAX), "at most 65,535"),
            ("topic_alias_out_max", self.topic_alias_out_max.0 > usize::from(u16::MAX), "at most 65,535"),
            (
                "keep_alive_max",
                self.keep_alive_max.0.as_secs() > u64::from(u16::MAX),
                "at most 65,535 seconds",
            ),
            ("packet_max", !(20..=268_435_460).contains(&self.packet_max.0), "from 20 to 268,435,460 bytes"),
            ("connect_max", !(128..=1 << 20).contains(&self.connect_max.0), "from 128 bytes to 1MiB"),
            ("topic_levels_max", !(1..=1_024).contains(&self.topic_levels_max.0), "from 1 to 1,024"),
            ("qos_max", self.qos_max.0 > 2, "0, 1 or 2"),
            (
                "sync_interval",
                !(10..=3_600_000).contains(&self.sync_interval.0.as_millis()),
                "from 10ms to 1h",
            ),
            ("connect_timeout", self.connect_timeout.0.is_zero(), "more than 0"),
        ] {
            if wrong {
                problems.push((key, why));
            }
        }
        problems
    }
}

//! What can be set: plain data with `Default` and chained setters.

use std::time::Duration;

use crate::identity::Identity;
use crate::rules::Rules;
use windlass_proto::mqtt::{Limits, QoS, TreeLimits};

/// What becomes of a client that has more messages of QoS 1 and 2 under way than the receive maximum allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum WhenExceeded {
    /// It is disconnected, with 0x93 in version 5 ([MQTT-3.3.4-7], [MQTT-3.3.4-9]).
    #[default]
    Disconnect,
    /// It is counted, and served: for clients that do not know of the limit.
    Warn,
}

/// What becomes of a message that the queue of its receiver has no room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum WhenQueueFull {
    /// That one is dropped: what was promised first comes first.
    #[default]
    DropNewest,
    /// Those that have waited longest are dropped until it fits: what is new is worth more.
    DropOldest,
    /// The receiver is disconnected, with 0x97 in version 5; the message is dropped. A receiver that is not there
    /// keeps what it has.
    Disconnect,
}

macro_rules! config {
    ($($(#[doc = $doc:literal])+ $name:ident: $ty:ty = $default:expr,)*) => {
        /// How a [`Hub`](crate::Hub) serves. Plain data; start from `HubConfig::default()` and set what you need.
        ///
        /// ```
        /// use windlass_hub::HubConfig;
        ///
        /// let config = HubConfig::default().receive_max(50).keep_alive_max(600);
        /// assert_eq!(config.receive_max, 50);
        /// ```
        #[derive(Clone, PartialEq, Debug)]
        pub struct HubConfig {
            $($(#[doc = $doc])+ pub $name: $ty,)*
        }

        impl Default for HubConfig {
            fn default() -> HubConfig {
                HubConfig { $($name: $default,)* }
            }
        }

        impl HubConfig {
            $(
                #[doc = concat!("Sets [`HubConfig::", stringify!($name), "`].")]
                #[must_use]
                pub fn $name(mut self, $name: $ty) -> HubConfig {
                    self.$name = $name;
                    self
                }
            )*
        }
    };
}

config! {
    /// The time at which the service is made, in milliseconds since 1970 (Unix time). From there on it follows the
    /// engine's clock.
    unix_ms: u64 = 0,
    /// Bytes of the longest packet that is taken from a client; clients of version 5 are told (0x95). Default
    /// 2,000,000. The engine's `input_max` has to be as much.
    packet_max: usize = 2_000_000,
    /// Bytes of the longest CONNECT. Nothing else is taken before it, and what is no beginning of one ends the
    /// connection with its first byte. Default 16 KiB: room for a will and a token.
    connect_max: usize = 16 * 1024,
    /// Levels of a topic or filter: one more than slashes. Default 201.
    topic_levels_max: usize = 201,
    /// User properties of one packet. Default 256.
    user_properties_max: usize = 256,
    /// How long a client may take for its CONNECT, and for all of an enhanced authentication; and for each request by
    /// which it publishes, and between two. Default 10 s.
    connect_timeout: Duration = Duration::from_secs(10),
    /// Messages of QoS 1 and 2 that a client may have under way at once: the Receive Maximum that clients of version 5
    /// are told. Default 20.
    receive_max: u16 = 20,
    /// What becomes of a client that has more. Clients of 3.1.1 cannot know, and are only counted.
    when_receive_exceeded: WhenExceeded = WhenExceeded::Disconnect,
    /// Messages of QoS 1 and 2 that are under way to a client at once, if its own Receive Maximum is not less. Others
    /// wait in its queue. Default 20.
    in_flight_max: u16 = 20,
    /// Topic aliases that a client may use. Default 10; 0: none.
    topic_alias_max: u16 = 10,
    /// Topic aliases that are used towards a client, if it takes as many. Default 10; 0: none.
    topic_alias_out_max: u16 = 10,
    /// Bytes of topics that the aliases of one client stand for. Default 64 KiB.
    topic_alias_bytes_max: usize = 64 * 1024,
    /// Whether every connection begins with a PROXY header, of version 1 or 2, which says who the client is; without
    /// one it ends. Whoever connects is believed, so only a proxy may be able to. Default false.
    proxy_header: bool = false,
    /// Whether connections that begin with a request of HTTP become WebSockets (subprotocol `mqtt`). Default true.
    websocket: bool = true,
    /// Whether messages may be published by requests of HTTP: `POST /publish/TOPIC`. Default true.
    http_publish: bool = true,
    /// The longest keep-alive, in seconds; who asks for more, or for none, is told this one in version 5, and held to
    /// what it asked for in 3.1.1. 0, the default: any.
    keep_alive_max: u16 = 0,
    /// The longest time a session is kept without a connection, in seconds; `u32::MAX`, the default, is for ever. In
    /// 3.1.1 a session that is not clean asks for ever.
    session_expiry_max: u32 = u32::MAX,
    /// Sessions, with and without a connection. Who would begin one more is refused (0x97). Default 1,000,000.
    sessions_max: usize = 1_000_000,
    /// Subscriptions of one session. More are refused (0x97). Default 10,000.
    subscriptions_max: usize = 10_000,
    /// Levels of all filters, and of all topics of retained messages, that are kept: about 100 bytes each. Default
    /// 16,777,216 of each. Where there are several workers, each keeps those of all: a level counts once for filters of
    /// its own sessions, once for those of others, and once for shared ones. Subscriptions that a start has found are kept
    /// whatever it is.
    nodes_max: usize = 1 << 24,
    /// Messages that wait for one session, those in flight not counted. Default 1,000.
    queue_max: usize = 1_000,
    /// Bytes of topics, properties and payloads that wait for one session. Default 16 MiB.
    queue_bytes_max: usize = 16 << 20,
    /// What becomes of one more.
    when_queue_full: WhenQueueFull = WhenQueueFull::DropNewest,
    /// Whether messages of QoS 0 wait for sessions that have no connection. Default false: they are dropped.
    queue_qos_0: bool = false,
    /// Bytes that are given to the connection of a client before it has taken them; behind that, messages wait in its
    /// queue. At least the engine's `output_high`. Default 512 KiB.
    output_max: usize = 512 * 1024,
    /// Bytes of messages that are on their way from one worker to another, where there are several: over it, clients of the
    /// first are not read until the second has caught up. Default 16 MiB; less where there is a `memory_max`, an eighth of
    /// which all of them share.
    between_workers_max: usize = 16 << 20,
    /// Retained messages, the hub's own below `$SYS` not counted. A message over it is not retained, and refused if its
    /// QoS allows it (0x97). Default 1,000,000.
    retained_max: usize = 1_000_000,
    /// Bytes of topics, properties and payloads of retained messages. Default 1 GiB.
    retained_bytes_max: usize = 1 << 30,
    /// Bytes of sessions with their wills and topic aliases, subscriptions, messages in queues and in flight, retained
    /// messages, and messages of WebSockets and requests of HTTP that have come in part, all of them together and of all
    /// workers: each is counted with what it takes, by and large. What there is no room for is refused: clients and
    /// subscriptions and retained messages with reason 0x97 (quota exceeded), messages as if the queue of their receiver
    /// were full; who needs more in the middle of its connection is disconnected with 0x97, and a request answered with 503.
    /// As the hub was started; 0: no bound.
    memory_max: usize = 0,
    /// The highest QoS that is taken: clients of version 5 are told. Default 2.
    qos_max: QoS = QoS::ExactlyOnce,
    /// Who clients are, and what they may do. By default those on this machine are served, and nobody else.
    identity: Identity = Identity::default(),
    /// Whether messages are retained. Default true.
    retain: bool = true,
    /// Whether filters may have wildcards. Default true.
    wildcards: bool = true,
    /// Whether subscriptions may be shared. Default true.
    shared: bool = true,
    /// Whether answers are as short as Mosquitto's: refusals have their code and no words (Reason String of version 5),
    /// and PUBREC does not say that nobody subscribes (0x10). Default false.
    terse: bool = false,
    /// What becomes of messages besides. Default: nothing.
    rules: Rules = Rules::default(),
    /// How often topics below `$SYS` are published. Default 10 s; zero: never.
    sys_interval: Duration = Duration::from_secs(10),
}

impl HubConfig {
    /// What a packet is held to, of a client that nobody knows yet and of one that is served.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            packet_max: self.packet_max,
            connect_max: self.connect_max,
            topic_levels_max: self.topic_levels_max,
            user_properties_max: self.user_properties_max,
        }
    }

    pub(crate) fn tree_limits(&self) -> TreeLimits {
        TreeLimits { levels_max: self.topic_levels_max, nodes_max: self.nodes_max }
    }
}

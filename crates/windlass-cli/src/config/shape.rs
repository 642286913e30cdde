//! What a configuration file may hold. The descriptions here are what `windlass init` writes, what editors
//! show, and what the book prints; the defaults are those of the flags.

use std::path::PathBuf;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::level_filters::LevelFilter;

use super::limits::LimitsTable;
use super::value::{AccessFormat, Count, FilePath, Listen, OutputPath, Secret, Size};

/// One server: its workers, what it serves, and what bounds it.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct File {
    /// The files it was read from; none where it is made of flags.
    #[serde(skip)]
    pub(crate) read_from: ReadFrom,
    /// Other files to read, relative to this one. A `*` stands for any part of a file's name.
    #[serde(skip_serializing)]
    pub(crate) include: Vec<String>,
    /// The process.
    pub(crate) server: ServerTable,
    /// Every bound of the engine; `--limits` behind the command of a service explains each.
    #[serde(skip_serializing)]
    pub(crate) limits: LimitsTable,
    /// What is logged, and how.
    pub(crate) log: LogTable,
    /// Where the operator looks in.
    pub(crate) admin: AdminTable,
    /// Services that send back what they get.
    #[cfg(feature = "echo")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) echo: Vec<EchoTable>,
    /// Services that send back WebSocket messages, at `/ws`, with a page for browsers at `/`.
    #[cfg(feature = "websocket")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) websocket: Vec<WebsocketTable>,
    /// Proxies: connections or requests of HTTP, spread over backends.
    #[cfg(feature = "proxy")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) proxy: Vec<super::proxy::ProxyTable>,
    /// Key-value services for Redis clients. All of the process share one store.
    #[cfg(feature = "kv")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resp: Vec<RespTable>,
    /// Caches for memcached clients, in text and binary. All of the process share one store, with Redis
    /// clients too.
    #[cfg(feature = "kv")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) memcached: Vec<MemcachedTable>,
    /// The store behind them.
    #[cfg(feature = "kv")]
    pub(crate) store: StoreTable,
    /// Hubs: MQTT 3.1.1 and 5.0. Each has topics and sessions of its own.
    #[cfg(feature = "hub")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) hub: Vec<super::hub::HubTable>,
    /// Game servers: rooms that tick, matchmaking over HTTP, players over WebSocket, and the arena at `/`.
    #[cfg(feature = "realtime")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) game: Vec<super::game::GameTable>,
}

/// Files that a configuration was read from. They are no difference between two.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadFrom(
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only a sandbox asks"))]
    pub(crate)  Vec<std::path::PathBuf>,
);

impl PartialEq for ReadFrom {
    fn eq(&self, _: &ReadFrom) -> bool {
        true
    }
}

/// The process.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ServerTable {
    /// Worker threads; 0 is one per core. A hub deals its sessions out among as many as are said here, and is served by
    /// one with 0.
    pub(crate) workers: Count,
    /// Buffer that a worker reads into, shared by all its connections: how much one call can move.
    pub(crate) scratch: Size,
    /// One budget of memory for connections, their buffers and what hubs and stores keep: divided before the server
    /// starts, as `windlass check` shows. What there is no room for is refused. 0 is no budget: memory is taken as it is
    /// needed.
    pub(crate) memory: Size,
    /// Unix socket at which the next process takes over from this one while it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["/run/windlass/control"]))]
    pub(crate) control: Option<FilePath>,
    /// Congestion control of every connection, by the system's name for it. Linux and FreeBSD.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["cubic"]))]
    pub(crate) congestion: Option<String>,
    /// Descriptors the process may open; 0 is as many as the system lets it. Each connection takes one.
    pub(crate) descriptors: Count,
    /// User to become once everything is listened on, by name or number. Only root can.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["windlass"]))]
    pub(crate) user: Option<String>,
    /// Group to be in then, instead of those of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["windlass"]))]
    pub(crate) group: Option<String>,
    /// What is given up once everything is listened on, in steps.
    pub(crate) sandbox: Sandbox,
}

impl Default for ServerTable {
    fn default() -> ServerTable {
        ServerTable {
            workers: Count(0),
            scratch: Size(256 * 1024),
            memory: Size(0),
            control: None,
            congestion: None,
            descriptors: Count(0),
            user: None,
            group: None,
            sandbox: Sandbox::Off,
        }
    }
}

/// What is given up once everything is listened on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sandbox {
    /// Nothing.
    #[default]
    Off,
    /// Files outside of this configuration's folders, calls to others by TCP (where there is no proxy), other
    /// programs; a warning says what the system cannot forbid. SIGUSR2 can start no successor then; `windlass upgrade` can. Linux:
    /// Landlock and seccomp.
    On,
    /// Other TCP ports too, and every system call that no service needs; where that cannot be, the server does
    /// not start.
    Strict,
}

/// What is logged, and how.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogTable {
    /// How lines are written: `auto`, `text`, `json`, or `journald`.
    pub(crate) format: LogFormat,
    /// What is logged, and everything more urgent.
    pub(crate) level: LogLevel,
    /// The file that lines are added to; stderr otherwise. It is opened anew on SIGHUP, and where it was
    /// renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["/var/log/windlass/server.log"]))]
    pub(crate) path: Option<FilePath>,
    /// Where the journal is: elsewhere in tests only.
    #[serde(skip)]
    pub(crate) journal_socket: PathBuf,
}

impl Default for LogTable {
    fn default() -> LogTable {
        LogTable {
            format: LogFormat::default(),
            level: LogLevel::default(),
            path: None,
            journal_socket: crate::logs::SOCKET.into(),
        }
    }
}

/// How lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Text on a terminal, entries where systemd's journal reads, JSON otherwise.
    #[default]
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
    /// Entries of systemd's journal, with fields.
    Journald,
}

/// What is logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    /// Nothing.
    Off,
    /// What keeps the server from serving.
    Error,
    /// Limits reached, and callbacks that stalled a worker.
    Warn,
    /// Start and stop, and connections ended through the fault of their peer.
    #[default]
    Info,
    /// Every connection as it opens and closes.
    Debug,
}

impl LogLevel {
    pub(crate) fn filter(self) -> LevelFilter {
        match self {
            LogLevel::Off => LevelFilter::OFF,
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
        }
    }
}

/// Where the operator looks in: metrics, health, the dashboard, orders.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AdminTable {
    /// Loopback or `unix:PATH`. Anything else needs a token. Without an address there is none.
    pub(crate) listen: Vec<Listen>,
    /// What a request has to show as `Authorization: Bearer ..`, to read as well as to order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<Secret>,
    /// A line for each request, without its query. The format is `combined` otherwise; a template has `{method}`,
    /// `{target}`, `{status}`, `{bytes}`, `{duration_ms}`, `{user_agent}`, `{referer}` and more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access_log: Option<AccessTable>,
}

/// An access log.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessTable {
    /// The file that lines are added to, or `-` for stdout. It is opened anew on SIGHUP, and where it was
    /// renamed.
    pub(crate) path: OutputPath,
    /// `json`, `combined` (of requests), or a template with names of fields in braces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<AccessFormat>,
}

/// A certificate and its key.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsTable {
    /// The certificate chain, as PEM, the server's own first.
    pub(crate) cert: FilePath,
    /// The private key of that certificate, as PEM.
    #[schemars(extend("examples" = ["key.pem"]))]
    pub(crate) key: FilePath,
    /// Authorities, as PEM, that clients' certificates are signed by. Clients have to show one then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["clients.pem"]))]
    pub(crate) client_ca: Option<FilePath>,
    /// Whether clients have to show a certificate, where there are authorities for them. What they show has to
    /// be signed by one of these either way.
    #[serde(default, skip_serializing_if = "ClientCertificate::is_default")]
    pub(crate) client_certificate: ClientCertificate,
}

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ClientCertificate {
    /// All of them.
    #[default]
    Required,
    /// Those that want to.
    Optional,
}

impl ClientCertificate {
    fn is_default(&self) -> bool {
        *self == ClientCertificate::default()
    }
}

/// A service that sends back what it gets.
#[cfg(feature = "echo")]
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EchoTable {
    /// What it is called in logs and metrics.
    pub(crate) name: String,
    /// Where it listens: `HOST:PORT`, `:PORT`, `udp:HOST:PORT` or `unix:PATH`.
    pub(crate) listen: Vec<Listen>,
    /// Speak TLS on every address of it but those of datagrams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<TlsTable>,
    /// A line for each connection when it has ended. Without a format it is
    /// `{time} {peer} {service} {listener} {duration_ms} {received} {sent} {messages} {reason} {fault}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access_log: Option<AccessTable>,
}

#[cfg(feature = "echo")]
impl Default for EchoTable {
    fn default() -> EchoTable {
        EchoTable { name: "echo".into(), listen: Vec::new(), access_log: None, tls: None }
    }
}

/// A service that sends back WebSocket messages.
#[cfg(feature = "websocket")]
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WebsocketTable {
    /// What it is called in logs and metrics.
    pub(crate) name: String,
    /// Where it listens: `HOST:PORT`, `:PORT` or `unix:PATH`.
    pub(crate) listen: Vec<Listen>,
    /// Speak TLS on every address of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<TlsTable>,
    /// A line for each connection when it has ended. Without a format it is
    /// `{time} {peer} {service} {listener} {duration_ms} {received} {sent} {messages} {reason} {fault}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access_log: Option<AccessTable>,
}

#[cfg(feature = "websocket")]
impl Default for WebsocketTable {
    fn default() -> WebsocketTable {
        WebsocketTable { name: "websocket".into(), listen: Vec::new(), access_log: None, tls: None }
    }
}

/// A key-value service for Redis clients.
#[cfg(feature = "kv")]
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RespTable {
    /// What it is called in messages about this file.
    pub(crate) name: String,
    /// Where it listens: `HOST:PORT`, `:PORT` or `unix:PATH`.
    pub(crate) listen: Vec<Listen>,
    /// Ask clients for the password in the first line of this file. The same for every table of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["/etc/windlass/password"]))]
    pub(crate) password_file: Option<FilePath>,
    /// Speak TLS on every address of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<TlsTable>,
    /// A line for each connection when it has ended. Without a format it is
    /// `{time} {peer} {service} {listener} {duration_ms} {received} {sent} {messages} {reason} {fault}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access_log: Option<AccessTable>,
}

#[cfg(feature = "kv")]
impl Default for RespTable {
    fn default() -> RespTable {
        RespTable {
            name: "resp".into(),
            listen: Vec::new(),
            access_log: None,
            password_file: None,
            tls: None,
        }
    }
}

/// A cache for memcached clients.
#[cfg(feature = "kv")]
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MemcachedTable {
    /// What it is called in messages about this file.
    pub(crate) name: String,
    /// Where it listens: `HOST:PORT`, `:PORT` or `unix:PATH`.
    pub(crate) listen: Vec<Listen>,
    /// Speak TLS on every address of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<TlsTable>,
    /// A line for each connection when it has ended. Without a format it is
    /// `{time} {peer} {service} {listener} {duration_ms} {received} {sent} {messages} {reason} {fault}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access_log: Option<AccessTable>,
}

#[cfg(feature = "kv")]
impl Default for MemcachedTable {
    fn default() -> MemcachedTable {
        MemcachedTable { name: "memcached".into(), listen: Vec::new(), access_log: None, tls: None }
    }
}

/// The store that the key-value services of the process share.
#[cfg(feature = "kv")]
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StoreTable {
    /// Memory that keys and values may take, their tables included.
    pub(crate) memory_max: Size,
    /// The longest value: a string, an element, a field.
    pub(crate) value_max: Size,
    /// What goes when memory is full.
    pub(crate) eviction: Eviction,
}

#[cfg(feature = "kv")]
impl Default for StoreTable {
    fn default() -> StoreTable {
        let config = windlass_kv::store::StoreConfig::default();
        StoreTable {
            memory_max: Size(config.memory_max),
            value_max: Size(config.value_max),
            eviction: Eviction::default(),
        }
    }
}

/// What goes when memory is full, by the names of Redis.
#[cfg(feature = "kv")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Eviction {
    /// Nothing: what would need more room is refused.
    #[default]
    Noeviction,
    /// What was not used for longest.
    AllkeysLru,
    /// Any key.
    AllkeysRandom,
    /// Of the keys with a deadline, what was not used for longest.
    VolatileLru,
    /// Any key with a deadline.
    VolatileRandom,
    /// The key whose deadline is next.
    VolatileTtl,
}

#[cfg(feature = "kv")]
impl Eviction {
    pub(crate) fn of_store(self) -> windlass_kv::store::Eviction {
        use windlass_kv::store::Eviction as Of;
        match self {
            Eviction::Noeviction => Of::None,
            Eviction::AllkeysLru => Of::AllKeysLru,
            Eviction::AllkeysRandom => Of::AllKeysRandom,
            Eviction::VolatileLru => Of::VolatileLru,
            Eviction::VolatileRandom => Of::VolatileRandom,
            Eviction::VolatileTtl => Of::VolatileTtl,
        }
    }
}

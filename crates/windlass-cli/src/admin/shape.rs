//! The shapes of the JSON: what the server writes, and what `windlass top` reads. Times are in seconds, sizes
//! in bytes, counts since the start.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `GET /api/state`, and the event `state` of `GET /api/live`: the whole server at one moment.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) version: String,
    pub(crate) pid: u32,
    pub(crate) uptime_seconds: f64,
    /// "serving", "superseded" (a successor has the listeners) or "draining".
    pub(crate) phase: String,
    /// Messages the services have counted, in their own terms.
    pub(crate) messages: u64,
    pub(crate) connections: u64,
    pub(crate) turns: Turns,
    pub(crate) workers: Vec<Worker>,
    pub(crate) services: Vec<Service>,
    pub(crate) listeners: Vec<Listener>,
    /// Ends of connections by their reason; those that never came are left out.
    pub(crate) closes: BTreeMap<String, u64>,
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) limits: Vec<Limit>,
    /// The latest first.
    pub(crate) stalls: Vec<Stall>,
    /// Left out by a server that knows of none.
    #[serde(default)]
    pub(crate) reloads: Reloads,
    /// Every proxy; none where there is none.
    #[serde(default)]
    pub(crate) proxies: Vec<Proxy>,
    /// Every hub; none where there is none.
    #[serde(default)]
    pub(crate) hubs: Vec<Hub>,
    /// Every game; none where there is none.
    #[serde(default)]
    pub(crate) games: Vec<Game>,
}

/// One game: `GET /api/games` has a list of them.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Game {
    pub(crate) name: String,
    /// All that it has counted, gauges among it.
    pub(crate) counters: BTreeMap<String, u64>,
    /// How late ticks were: half of them were no later, 99 of 100, and the latest.
    pub(crate) lateness_seconds: [f64; 3],
    /// Rooms that are told one by one; there may be more.
    pub(crate) rooms_shown: usize,
}

/// One room of a game.
#[cfg(feature = "realtime")]
#[derive(Serialize)]
pub(crate) struct GameRoom {
    pub(crate) room: String,
    pub(crate) kind: String,
    /// Ticks a second, as they should be.
    pub(crate) hz: u32,
    pub(crate) players: u64,
    pub(crate) players_max: u64,
    pub(crate) spectators: u64,
    /// Of players and spectators, those whose connection is there now.
    pub(crate) here: u64,
    pub(crate) age_seconds: f64,
    pub(crate) ticks: u64,
    pub(crate) skipped: u64,
    /// Ticks longer than their period, and the longest of all.
    pub(crate) overruns: u64,
    pub(crate) longest_seconds: f64,
    /// As of a game.
    pub(crate) lateness_seconds: [f64; 3],
    /// From players, and to players and spectators.
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
}

/// `GET /api/games/rooms`
#[cfg(feature = "realtime")]
#[derive(Serialize)]
pub(crate) struct GameRooms {
    pub(crate) page: usize,
    pub(crate) per_page: usize,
    /// All that are told one by one, and those of them that fit the filter.
    pub(crate) total: usize,
    pub(crate) matched: usize,
    pub(crate) rooms: Vec<GameRoom>,
}

/// The body of `POST /api/games/end`.
#[cfg(feature = "realtime")]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoomOrder {
    /// The only one, if it is left out.
    #[serde(default)]
    pub(crate) game: Option<String>,
    pub(crate) room: String,
    /// What its players are told.
    #[serde(default)]
    pub(crate) why: Option<String>,
}

/// The body of `POST /api/games/kick`.
#[cfg(feature = "realtime")]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeatOrder {
    #[serde(default)]
    pub(crate) game: Option<String>,
    pub(crate) room: String,
    pub(crate) seat: u16,
    #[serde(default)]
    pub(crate) why: Option<String>,
}

/// One hub: `GET /api/hubs` has a list of them.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Hub {
    pub(crate) name: String,
    /// All that it has counted, gauges among it.
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) rules: Vec<HubRule>,
}

/// One rule of a hub.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HubRule {
    pub(crate) name: String,
    /// Messages that are where they were to go.
    pub(crate) delivered: u64,
    /// Messages that are not, by reason; those that never came are left out.
    pub(crate) dropped: BTreeMap<String, u64>,
    pub(crate) retries: u64,
    pub(crate) waiting: u64,
}

/// `GET /api/hubs/clients`
#[cfg(feature = "hub")]
#[derive(Serialize)]
pub(crate) struct HubClients {
    pub(crate) page: usize,
    pub(crate) per_page: usize,
    #[serde(flatten)]
    pub(crate) found: windlass_hub::inspect::ClientsPage,
}

/// The body of `POST /api/hubs/kick`.
#[cfg(feature = "hub")]
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KickOrder {
    /// The only one, if it is left out.
    #[serde(default)]
    pub(crate) hub: Option<String>,
    pub(crate) client: String,
    /// Its session ends as well.
    #[serde(default)]
    pub(crate) end_session: bool,
}

/// One proxy: `GET /api/proxies` has a list of them.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Proxy {
    pub(crate) name: String,
    /// Clients now, the most there have been, and since the start.
    pub(crate) clients: u64,
    pub(crate) clients_peak: u64,
    pub(crate) opened: u64,
    /// Clients in a queue now, and since the start.
    pub(crate) waiting: u64,
    pub(crate) queued: u64,
    pub(crate) retries: u64,
    /// From backends, and to them.
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    /// Clients that were not served, by reason.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Of HTTP: what became of requests, and how many responses there were of each class.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) http: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) responses: BTreeMap<String, u64>,
    /// Of datagrams: what became of them, and of their flows.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) udp: BTreeMap<String, u64>,
    /// In the order of the configuration.
    pub(crate) backends: Vec<Backend>,
    /// Where more of them come from.
    pub(crate) sources: Vec<Source>,
    pub(crate) guard: Guard,
    /// What is tried again, by route.
    pub(crate) retry_budgets: Vec<RetryBudget>,
}

/// Whom a proxy's guard keeps, and what it could not keep in mind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Guard {
    /// Clients in the tarpit now, and those that were.
    pub(crate) tarpit: u64,
    pub(crate) tarpitted: u64,
    /// Connections and requests that no limit was held against: the table of sources had no place.
    pub(crate) untracked: u64,
    /// Sources that were forgotten for others.
    pub(crate) evicted: u64,
}

/// Retries among the clients of one route.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RetryBudget {
    pub(crate) route: String,
    /// Clients on their way to a backend, or requests without an answer, and retries among them.
    pub(crate) active: u64,
    pub(crate) retrying: u64,
    /// Retries that were begun, and those that had to wait or were not made.
    pub(crate) spent: u64,
    pub(crate) denied: u64,
}

/// A source of backends.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Source {
    pub(crate) route: String,
    /// As it is written in the file.
    pub(crate) source: String,
    /// Backends it names.
    pub(crate) backends: u64,
    /// How long ago it was last asked with success, or found to be other than before.
    pub(crate) updated_seconds: Option<f64>,
    pub(crate) changes: u64,
    pub(crate) failures: u64,
    /// What was wrong, if the last time failed.
    pub(crate) error: Option<String>,
}

/// One backend of one route of a proxy.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Backend {
    /// "backends" for those that no route leads to.
    pub(crate) route: String,
    pub(crate) name: String,
    pub(crate) address: String,
    /// "up", "down", "ejected", "draining", "circuit_open", "half_open", "disabled" or "leaving".
    pub(crate) state: String,
    /// "configured", "discovered" or "added".
    pub(crate) origin: String,
    /// Something about it is not as configured.
    pub(crate) changed: bool,
    pub(crate) weight: u32,
    /// Connections now, the most there have been, and the most there may be; 0: any number.
    pub(crate) connections: u64,
    pub(crate) connections_peak: u64,
    pub(crate) connections_max: u64,
    pub(crate) opened: u64,
    /// Requests under way there, and since the start, where HTTP is served.
    pub(crate) busy: u64,
    pub(crate) requests: u64,
    /// Connections that did not come about, or were reset before a byte had come; and requests of HTTP that it
    /// answered with nothing in their time.
    pub(crate) failed: u64,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) checks_passed: u64,
    pub(crate) checks_failed: u64,
    pub(crate) last_check: Option<LastCheck>,
    /// How long it has been as checks say it is; `None` where they have never changed their mind.
    pub(crate) since_seconds: Option<f64>,
    /// How often checks have found it down, and for how long it was altogether.
    pub(crate) downs: u64,
    pub(crate) downtime_seconds: f64,
    pub(crate) ejections: u64,
    pub(crate) ejections_spared: u64,
    /// How often its circuit breaker has opened.
    pub(crate) circuit_openings: u64,
}

/// The last check of a backend.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct LastCheck {
    pub(crate) passed: bool,
    pub(crate) ago_seconds: f64,
    pub(crate) took_seconds: f64,
}

/// The body of the orders to a proxy: `POST /api/proxies/drain` and the like.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackendOrder {
    pub(crate) proxy: String,
    /// Its address or its name. A reset without one is of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backend: Option<String>,
    /// Where several routes have it, or one is added to a route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<String>,
    /// To set it, or of one that is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) weight: Option<u32>,
    /// Of one that is added: as for all backends of the proxy where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) connections_max: Option<u64>,
    /// Of one that is added: its address where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Of one that is removed: its connections are reset.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) force: bool,
}

/// What such an order came to.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct BackendOrdered {
    /// The backend now, or as it was last; none after a reset of all.
    pub(crate) backend: Option<Backend>,
    pub(crate) gone: bool,
    /// Backends that were put back, by a reset of all.
    #[serde(default)]
    pub(crate) reset: u64,
    /// For how long it is so, in words.
    pub(crate) lasts: String,
}

/// How reloads of the configuration went.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Reloads {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// What was wrong when the last one failed; `None` once one has succeeded.
    pub(crate) last_error: Option<String>,
}

/// What `POST /api/reload` came to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Reloaded {
    pub(crate) changed: Vec<String>,
    /// Keys whose new values have no effect before the process begins anew.
    pub(crate) restart_needed: Vec<String>,
}

/// How long turns took.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Turns {
    pub(crate) count: u64,
    pub(crate) p50_seconds: f64,
    pub(crate) p99_seconds: f64,
    pub(crate) p999_seconds: f64,
    pub(crate) max_seconds: f64,
}

/// One worker.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Worker {
    pub(crate) connections: u64,
    pub(crate) busy_seconds: f64,
    /// Counted by its services, in their own terms.
    #[serde(default)]
    pub(crate) messages: u64,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) buffered_bytes: u64,
    pub(crate) run_queue: u64,
    /// How late it was with what had just become ready, where the engine measures that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lag_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) overloaded: Option<bool>,
    pub(crate) turns: Turns,
    /// The upper edge of each bucket of the histogram that holds turns, and how many; not added up.
    pub(crate) turn_buckets: Vec<(f64, u64)>,
}

/// One service.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) name: String,
    /// As in `windlass init`, "admin", or "kv" where Redis and memcached clients share one.
    pub(crate) kind: String,
    pub(crate) connections: u64,
    pub(crate) opened: u64,
    pub(crate) messages: u64,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
}

/// One address that is listened on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Listener {
    pub(crate) address: String,
    pub(crate) service: String,
    pub(crate) tls: bool,
    pub(crate) connections: u64,
    pub(crate) opened: u64,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
}

/// One limit and its use.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Limit {
    pub(crate) name: String,
    /// Where that can be said: of a limit for each worker or listener on the fullest one, of a limit for each
    /// connection the most that one has used.
    pub(crate) used: Option<u64>,
    pub(crate) max: Max,
    /// "count", "bytes", "seconds" or "text".
    pub(crate) unit: String,
    /// How often it was reached, where that is counted.
    pub(crate) reached: u64,
    pub(crate) about: String,
}

/// What a limit allows: a policy is a text.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Max {
    Number(f64),
    Text(String),
}

/// A callback that held its worker for too long.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Stall {
    pub(crate) worker: usize,
    pub(crate) callback: String,
    /// The listener's address, or the service's name.
    #[serde(rename = "where")]
    pub(crate) at: String,
    pub(crate) conn: Option<String>,
    pub(crate) took_seconds: f64,
    /// The uptime at which it was.
    pub(crate) at_seconds: f64,
}

/// `GET /api/connections`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Connections {
    pub(crate) total: u64,
    pub(crate) matched: u64,
    /// Counted from 1.
    pub(crate) page: usize,
    pub(crate) per_page: usize,
    pub(crate) connections: Vec<Connection>,
}

/// One connection.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Connection {
    pub(crate) id: String,
    pub(crate) worker: usize,
    pub(crate) service: String,
    /// `None` for one of our own making.
    pub(crate) listener: Option<String>,
    pub(crate) peer: String,
    pub(crate) age_seconds: f64,
    pub(crate) idle_seconds: f64,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    /// Bytes a second.
    pub(crate) received_rate: f64,
    pub(crate) sent_rate: f64,
    pub(crate) output_bytes: usize,
    pub(crate) input_bytes: usize,
    pub(crate) state: Vec<String>,
}

/// `GET /api/turn`: one turn of a worker. Moments count from when its poll returned.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Turn {
    pub(crate) worker: usize,
    pub(crate) turn: u64,
    /// How long it slept in poll before.
    pub(crate) waited_micros: f64,
    pub(crate) took_micros: f64,
    pub(crate) steps: Vec<Step>,
    /// Entries there was no room for.
    pub(crate) left_out: u64,
}

/// One step of a turn.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) step: String,
    pub(crate) at_micros: f64,
    pub(crate) took_micros: f64,
    pub(crate) entries: Vec<Entry>,
}

/// One thing that happened in a step.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) what: String,
    pub(crate) conn: Option<String>,
    pub(crate) detail: String,
    pub(crate) bytes: u64,
    pub(crate) at_micros: f64,
    pub(crate) took_micros: f64,
}

/// The body of `POST /api/close`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CloseOrder {
    pub(crate) conn: String,
    /// By a reset, instead of in good order.
    #[serde(default)]
    pub(crate) abort: bool,
}

/// The body of `POST /api/login`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    pub(crate) token: String,
}

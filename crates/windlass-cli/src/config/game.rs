//! `[[game]]`: rooms for real-time games, with the arena in them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_http::ws::Origins;
use windlass_realtime::{Arena, GameConfig, Key, Rate};

use super::shape::{AccessTable, TlsTable};
use super::value::{Count, FilePath, Listen, Size, Time};

/// A game server: rooms that tick, matchmaking over HTTP, players over WebSocket. Its game is the arena, at `/`.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GameTable {
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
    /// Ticks of a room in a second.
    #[schemars(range(min = 1, max = 240))]
    pub(crate) tick_hz: Count,
    /// Players of one room.
    #[schemars(range(min = 1, max = 16))]
    pub(crate) players_max: Count,
    /// Those who only see, of one room.
    pub(crate) spectators_max: Count,
    /// Rooms at once.
    pub(crate) rooms_max: Count,
    /// How long a seat is kept for who has asked for it and does not come.
    pub(crate) reservation_timeout: Time,
    /// How long the seat of a player is kept whose connection ended.
    pub(crate) reconnect_timeout: Time,
    /// How long a room without anybody stays.
    pub(crate) empty_timeout: Time,
    /// The longest message of a player.
    pub(crate) message_max: Size,
    /// What must come and waits for one player; who has more waiting is given up.
    pub(crate) reliable_max: Size,
    /// What one player is sent in a second; snapshots over it are left out.
    pub(crate) seat_output_rate: Size,
    /// Messages of one player in a second; those over it are dropped.
    pub(crate) seat_message_rate: Count,
    /// Requests to matchmaking from one address in a second; others are refused.
    pub(crate) address_request_rate: Count,
    /// Pages that may connect, as browsers write them: `https://example.com`. Empty: those of the server itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) origins: Vec<String>,
    /// Only let in players with a join token that was signed with the secret in the first line of this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["/etc/windlass/join.key"]))]
    pub(crate) token_key_file: Option<FilePath>,
    /// The folder in which every match is recorded, to be replayed by `windlass game replay`; it is made if it is not
    /// there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["/var/lib/windlass/matches"]))]
    pub(crate) record: Option<FilePath>,
}

impl Default for GameTable {
    fn default() -> GameTable {
        let config = GameConfig::new(Key::new(b""), Vec::new());
        let arena = Arena::kind();
        let rate = |rate: Rate| rate.per_second as usize;
        GameTable {
            name: "game".into(),
            listen: Vec::new(),
            tls: None,
            access_log: None,
            tick_hz: Count(arena.hz as usize),
            players_max: Count(arena.players_max.into()),
            spectators_max: Count(arena.spectators_max.into()),
            rooms_max: Count(config.rooms_max),
            reservation_timeout: Time(config.reservation_timeout),
            reconnect_timeout: Time(config.reconnect_timeout),
            empty_timeout: Time(config.empty_timeout),
            message_max: Size(config.message_max),
            reliable_max: Size(config.reliable_max),
            seat_output_rate: Size(rate(config.seat_output)),
            seat_message_rate: Count(rate(config.seat_messages)),
            address_request_rate: Count(rate(config.address_requests)),
            origins: Vec::new(),
            token_key_file: None,
            record: None,
        }
    }
}

impl GameTable {
    /// What is set to something that cannot be, and what it must be.
    pub(crate) fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let mut problems = Vec::new();
        let mut check = |key: &'static str, is_right: bool, must: &'static str| {
            if !is_right {
                problems.push((key, must));
            }
        };
        check("tick_hz", (1..=240).contains(&self.tick_hz.0), "from 1 to 240");
        check("players_max", (1..=16).contains(&self.players_max.0), "from 1 to 16");
        check("spectators_max", self.spectators_max.0 <= 1_000, "at most 1,000");
        check("rooms_max", (1..=100_000).contains(&self.rooms_max.0), "from 1 to 100,000");
        check("message_max", (64..=1 << 20).contains(&self.message_max.0), "from 64 to 1MiB");
        check("reliable_max", self.reliable_max.0 >= 1 << 10, "at least 1KiB");
        let rates = [
            ("seat_output_rate", self.seat_output_rate.0),
            ("seat_message_rate", self.seat_message_rate.0),
            ("address_request_rate", self.address_request_rate.0),
        ];
        for (key, rate) in rates {
            check(key, (1..=1 << 30).contains(&rate), "from 1 to 1,073,741,824");
        }
        problems
    }

    /// What the service is made with.
    pub(crate) fn config(&self, key: Key) -> GameConfig {
        let short = |count: Count| u16::try_from(count.0).unwrap_or(u16::MAX);
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        // As much at once as the defaults have it to the rates.
        let rate = |per_second: usize, seconds: u32| {
            Rate::new(number(per_second), number(per_second).saturating_mul(seconds))
        };
        let arena = Arena::kind()
            .hz(number(self.tick_hz.0))
            .players_max(short(self.players_max))
            .spectators_max(short(self.spectators_max));
        let mut config = GameConfig::new(key, [arena])
            .rooms_max(self.rooms_max.0)
            .reservation_timeout(self.reservation_timeout.0)
            .reconnect_timeout(self.reconnect_timeout.0)
            .empty_timeout(self.empty_timeout.0)
            .message_max(self.message_max.0)
            .reliable_max(self.reliable_max.0)
            .seat_output(rate(self.seat_output_rate.0, 2))
            .seat_messages(rate(self.seat_message_rate.0, 2))
            .address_requests(rate(self.address_request_rate.0, 15));
        if !self.origins.is_empty() {
            config = config.origins(Origins::Listed(self.origins.clone()));
        }
        config
    }
}

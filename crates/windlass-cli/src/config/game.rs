//! `[[game]]`: rooms for real-time games, with the arena in them, and `[game.udp]`: players by datagrams.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass::Address;
use windlass_http::ws::Origins;
use windlass_realtime::{Arena, GameConfig, Key, Rate, UdpConfig};

use super::shape::{AccessTable, TlsTable};
use super::value::{Count, FilePath, Listen, Size, Time};

/// A game server: rooms that tick, matchmaking over HTTP, players over WebSocket and ENet. Its game is the arena, at `/`.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GameTable {
    /// What it is called in logs and metrics.
    pub(crate) name: String,
    /// Where it listens: `HOST:PORT`, `:PORT` or `unix:PATH`.
    pub(crate) listen: Vec<Listen>,
    /// Take players by UDP too, as native games come: by the protocol of ENet, which has no encryption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) udp: Option<UdpTable>,
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
            udp: None,
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

/// Players by datagrams. Each worker has a port of its own, and a seat says which is that of its room.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct UdpTable {
    /// Where the first worker listens: `HOST:PORT` or `:PORT`. Each other worker has the port behind the one before.
    pub(crate) listen: Listen,
    /// What players are told to connect to, a name or an address. Without one it is the address listened on, or, with
    /// `:PORT`, the host that they have asked for a seat.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["play.example.com"]))]
    pub(crate) host: Option<String>,
    /// How long somebody who has connected may take to show a ticket.
    pub(crate) ticket_timeout: Time,
    /// Who has acknowledged nothing for so long is gone; the seat is kept, as when a WebSocket breaks.
    pub(crate) silence_timeout: Time,
    /// Peers of each worker. Who would be one more gets no answer.
    pub(crate) peers_max: Count,
    /// Peers of each worker from one address, or one /64 of IPv6.
    pub(crate) address_peers_max: Count,
    /// Peers of each worker that have not shown a ticket. With one more, who has waited longest has to go.
    pub(crate) strangers_max: Count,
    /// Connections that one address may ask for in a second; more get no answer.
    pub(crate) address_connect_rate: Count,
    /// A CRC-32 in every datagram, as with `enet_crc32`: players must have it then, and may not else.
    pub(crate) checksum: bool,
    /// Compress datagrams with ENet's range coder where that makes them shorter: players must be able to read them then.
    pub(crate) compression: bool,
}

impl Default for UdpTable {
    fn default() -> UdpTable {
        let config = UdpConfig::default();
        UdpTable {
            listen: Listen(Address::Tcp("127.0.0.1:7801".into())),
            host: None,
            ticket_timeout: Time(config.ticket_timeout),
            silence_timeout: Time(config.silence_timeout),
            peers_max: Count(config.peers_max),
            address_peers_max: Count(config.address_peers_max),
            strangers_max: Count(config.strangers_max),
            address_connect_rate: Count(config.address_connects.per_second as usize),
            checksum: config.checksum,
            compression: config.compression,
        }
    }
}

impl UdpTable {
    /// What is set to something that cannot be, and what it must be.
    fn problems(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let is_port = !matches!(self.listen.0, Address::Unix(_));
        let count = |count: Count, max: usize| (1..=max).contains(&count.0);
        let is_host =
            |host: &String| !host.is_empty() && host.len() <= 253 && !host.contains(char::is_whitespace);
        let checks = [
            ("udp.listen", is_port, "an address and a port, or a port"),
            ("udp.host", self.host.as_ref().is_none_or(is_host), "a name or an address"),
            ("udp.ticket_timeout", !self.ticket_timeout.0.is_zero(), "more than 0"),
            ("udp.silence_timeout", self.silence_timeout.0.as_millis() >= 1_000, "at least 1s"),
            ("udp.peers_max", count(self.peers_max, 1 << 20), "from 1 to 1,048,576"),
            ("udp.address_peers_max", count(self.address_peers_max, 1 << 20), "from 1 to 1,048,576"),
            ("udp.strangers_max", count(self.strangers_max, 1 << 20), "from 1 to 1,048,576"),
            ("udp.address_connect_rate", count(self.address_connect_rate, 1 << 20), "from 1 to 1,048,576"),
        ];
        checks.into_iter().filter(|(_, is_right, _)| !is_right).map(|(key, _, must)| (key, must))
    }

    fn config(&self) -> UdpConfig {
        let rate = u32::try_from(self.address_connect_rate.0).unwrap_or(u32::MAX);
        UdpConfig::default()
            .host(self.host.clone())
            .ticket_timeout(self.ticket_timeout.0)
            .silence_timeout(self.silence_timeout.0)
            .peers_max(self.peers_max.0)
            .address_peers_max(self.address_peers_max.0)
            .strangers_max(self.strangers_max.0)
            .address_connects(Rate::new(rate, rate.saturating_mul(4)))
            .checksum(self.checksum)
            .compression(self.compression)
    }

    /// Whether all is as it was, but for what players are told: that alone can be told a game that runs.
    pub(crate) fn same_but_host(one: Option<&UdpTable>, other: Option<&UdpTable>) -> bool {
        let hostless = |table: Option<&UdpTable>| table.map(|it| UdpTable { host: None, ..it.clone() });
        hostless(one) == hostless(other)
    }

    /// Where each worker listens; `None` if there are not so many ports.
    pub(crate) fn addresses(&self, workers: usize) -> Option<Vec<String>> {
        let (Address::Tcp(text) | Address::Udp(text)) = &self.listen.0 else { return None };
        let (host, port) = text.rsplit_once(':')?;
        let first: u16 = port.parse().ok()?;
        let port = |worker: usize| match first {
            // The system chooses, for each of them.
            0 => Some(0),
            first => first.checked_add(u16::try_from(worker).ok()?),
        };
        (0..workers).map(|worker| Some(format!("{host}:{}", port(worker)?))).collect()
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
        problems.extend(self.udp.iter().flat_map(UdpTable::problems));
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
            .address_requests(rate(self.address_request_rate.0, 15))
            .udp(self.udp.as_ref().map(UdpTable::config));
        if !self.origins.is_empty() {
            config = config.origins(Origins::Listed(self.origins.clone()));
        }
        config
    }
}

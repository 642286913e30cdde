//! What Prometheus is told of games and of their rooms. Where there is none, it is told nothing of them.

use std::time::Duration;

use windlass_realtime::{GameStats, Lateness, RoomRow};

use super::Page;

/// One value of a family, and how it is told from the others.
type Value = (&'static str, fn(&GameStats) -> u64);
/// One family, and the label that its values differ by.
type OfGame = (&'static str, &'static str, &'static str, &'static str, &'static [Value]);

const OF_GAMES: [OfGame; 29] = [
    ("windlass_game_rooms", "gauge", "Rooms.", "", &[("", |it| it.rooms)]),
    (
        "windlass_game_seats",
        "gauge",
        "Seats that are taken, those of players who are away for a moment included.",
        "kind",
        &[("player", |it| it.players), ("spectator", |it| it.spectators)],
    ),
    (
        "windlass_game_here",
        "gauge",
        "Seats whose connection is there, by the way it came.",
        "gateway",
        &[("websocket", |it| it.here_websocket), ("udp", |it| it.here_udp)],
    ),
    ("windlass_game_rooms_opened", "counter", "Rooms opened.", "", &[("", |it| it.rooms_opened)]),
    ("windlass_game_rooms_closed", "counter", "Rooms closed.", "", &[("", |it| it.rooms_closed)]),
    ("windlass_game_seats_kept", "counter", "Seats kept for who asked.", "", &[("", |it| it.seats_kept)]),
    (
        "windlass_game_seats_expired",
        "counter",
        "Seats that nobody came for in time.",
        "",
        &[("", |it| it.seats_expired)],
    ),
    (
        "windlass_game_refused",
        "counter",
        "Requests and players refused, by why.",
        "reason",
        &[("no_seat", |it| it.refused), ("rate", |it| it.refused_rate), ("room", |it| it.rejected)],
    ),
    ("windlass_game_joined", "counter", "Seats taken.", "", &[("", |it| it.joined)]),
    ("windlass_game_lost", "counter", "Connections that ended under a seat.", "", &[("", |it| it.lost)]),
    ("windlass_game_returned", "counter", "Returns to a seat.", "", &[("", |it| it.returned)]),
    (
        "windlass_game_left",
        "counter",
        "Seats given up, by why.",
        "reason",
        &[
            ("left", |it| it.left),
            ("lost", |it| it.left_lost),
            ("kicked", |it| it.left_kicked),
            ("slow", |it| it.left_slow),
            ("abuse", |it| it.left_abuse),
            ("closed", |it| it.left_closed),
        ],
    ),
    (
        "windlass_game_ticks",
        "counter",
        "Ticks of rooms, by what became of them.",
        "outcome",
        &[("made", |it| it.ticks), ("skipped", |it| it.ticks_skipped)],
    ),
    ("windlass_game_overruns", "counter", "Ticks longer than their period.", "", &[("", |it| it.overruns)]),
    (
        "windlass_game_messages",
        "counter",
        "Messages of players and to them.",
        "direction",
        &[("in", |it| it.messages_in), ("out", |it| it.messages_out), ("dropped", |it| it.messages_dropped)],
    ),
    (
        "windlass_game_bytes",
        "counter",
        "Bytes of them.",
        "direction",
        &[("in", |it| it.bytes_in), ("out", |it| it.bytes_out)],
    ),
    (
        "windlass_game_snapshots_stale",
        "counter",
        "Snapshots left out for players who do not keep up.",
        "",
        &[("", |it| it.snapshots_stale)],
    ),
    (
        "windlass_game_moved",
        "counter",
        "Connections that moved to the worker of their room.",
        "",
        &[("", |it| it.moved)],
    ),
    ("windlass_game_records_lost", "counter", "Records that broke off.", "", &[("", |it| it.records_lost)]),
    (
        "windlass_game_udp_peers",
        "gauge",
        "Peers by UDP: with a seat, and those that have not shown a ticket.",
        "kind",
        &[("seated", |it| it.udp_seated), ("stranger", |it| it.udp_strangers)],
    ),
    (
        "windlass_game_gateway_joined",
        "counter",
        "Seats taken and come back to, by the way.",
        "gateway",
        &[
            ("websocket", |it| (it.joined + it.returned).saturating_sub(it.udp_joined)),
            ("udp", |it| it.udp_joined),
        ],
    ),
    (
        "windlass_game_gateway_messages",
        "counter",
        "Messages of players and to them, by the way.",
        "gateway",
        &[
            ("websocket", |it| (it.messages_in + it.messages_out).saturating_sub(udp_messages(it))),
            ("udp", udp_messages),
        ],
    ),
    (
        "windlass_game_gateway_bytes",
        "counter",
        "Bytes of them, by the way.",
        "gateway",
        &[("websocket", |it| (it.bytes_in + it.bytes_out).saturating_sub(udp_bytes(it))), ("udp", udp_bytes)],
    ),
    (
        "windlass_game_udp_connected",
        "counter",
        "Peers of ENet that have connected.",
        "",
        &[("", |it| it.udp_connected)],
    ),
    (
        "windlass_game_udp_datagrams",
        "counter",
        "Datagrams of ENet, and those and parts of them that were dropped.",
        "direction",
        &[
            ("in", |it| it.udp_datagrams_in),
            ("out", |it| it.udp_datagrams_out),
            ("dropped", |it| it.udp_dropped),
        ],
    ),
    (
        "windlass_game_udp_bytes",
        "counter",
        "Bytes of datagrams of ENet.",
        "direction",
        &[("in", |it| it.udp_datagram_bytes_in), ("out", |it| it.udp_datagram_bytes_out)],
    ),
    (
        "windlass_game_udp_refused",
        "counter",
        "Peers by UDP that were sent away or not answered, by why.",
        "reason",
        &[
            ("ticket", |it| it.udp_refused_ticket),
            ("late", |it| it.udp_refused_late),
            ("strangers", |it| it.udp_refused_full),
            ("channels", |it| it.udp_refused_channels),
            ("rate", |it| it.udp_refused_rate),
            ("peers", |it| it.udp_refused_peers),
            ("half_open", |it| it.udp_evicted),
            ("unproven", |it| it.udp_unproven),
        ],
    ),
    ("windlass_game_udp_resent", "counter", "Commands of ENet sent again.", "", &[("", |it| it.udp_resent)]),
    (
        "windlass_game_udp_messages_dropped",
        "counter",
        "Messages by UDP dropped: for the throttle, or since no ticket had been shown.",
        "reason",
        &[("throttle", |it| it.udp_throttled), ("early", |it| it.udp_early)],
    ),
];

fn udp_messages(it: &GameStats) -> u64 {
    it.udp_messages_in + it.udp_messages_out
}

fn udp_bytes(it: &GameStats) -> u64 {
    it.udp_bytes_in + it.udp_bytes_out
}

/// Of one room: what differs from room to room and is worth a name.
type OfRoom = (&'static str, &'static str, &'static str, fn(&RoomRow) -> f64);

const OF_ROOMS: [OfRoom; 8] = [
    ("windlass_game_room_players", "gauge", "Players of a room.", |it| it.players as f64),
    ("windlass_game_room_spectators", "gauge", "Spectators of a room.", |it| it.spectators as f64),
    ("windlass_game_room_ticks", "counter", "Ticks of a room that were made.", |it| it.ticks as f64),
    ("windlass_game_room_received_bytes", "counter", "Bytes from players of a room.", |it| {
        it.bytes_in as f64
    }),
    ("windlass_game_room_sent_bytes", "counter", "Bytes to players and spectators of a room.", |it| {
        it.bytes_out as f64
    }),
    ("windlass_game_room_skipped", "counter", "Ticks of a room that were skipped.", |it| it.skipped as f64),
    ("windlass_game_room_overruns", "counter", "Ticks of a room longer than their period.", |it| {
        it.overruns as f64
    }),
    ("windlass_game_room_longest_seconds", "gauge", "The longest tick of a room.", |it| {
        it.longest.as_secs_f64()
    }),
];

impl Page {
    /// Every game, and its rooms one by one.
    pub(crate) fn games(mut self, games: &[(String, GameStats, Vec<RoomRow>)]) -> Page {
        if games.is_empty() {
            return self;
        }
        for (name, kind, help, label, values) in OF_GAMES {
            self.family(name, kind, help);
            let full = if kind == "counter" { format!("{name}_total") } else { name.into() };
            for (game, stats, _) in games {
                for &(value, of) in values {
                    let labels = [("game", game.as_str()), (label, value)];
                    let labels = if label.is_empty() { &labels[..1] } else { &labels[..] };
                    self.sample(&full, labels, of(stats) as f64);
                }
            }
        }
        let name = "windlass_game_tick_lateness_seconds";
        self.family(name, "histogram", "How late ticks were, of all rooms.");
        for (game, stats, _) in games {
            self.lateness(name, &[("game", game)], &stats.lateness, stats.lateness.buckets());
        }
        for (name, kind, help, of) in OF_ROOMS {
            self.family(name, kind, help);
            let full = if kind == "counter" { format!("{name}_total") } else { name.into() };
            for (game, room) in rooms(games) {
                self.sample(&full, &[("game", game), ("room", &room.room.to_string())], of(room));
            }
        }
        let name = "windlass_game_room_tick_lateness_seconds";
        self.family(name, "histogram", "How late the ticks of a room were.");
        for (game, room) in rooms(games) {
            let labels = [("game", game), ("room", &room.room.to_string())];
            // Fewer of them: there are many rooms.
            self.lateness(name, &labels, &room.lateness, room.lateness.octaves());
        }
        self
    }

    fn lateness(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        lateness: &Lateness,
        buckets: impl Iterator<Item = (Option<Duration>, u64)>,
    ) {
        let mut below = 0;
        for (end, count) in buckets {
            below += count;
            let end = end.map_or("+Inf".to_owned(), |end| end.as_secs_f64().to_string());
            let labels: Vec<(&str, &str)> = labels.iter().copied().chain([("le", end.as_str())]).collect();
            self.sample(&format!("{name}_bucket"), &labels, below as f64);
        }
        self.sample(&format!("{name}_sum"), labels, lateness.sum().as_secs_f64());
        self.sample(&format!("{name}_count"), labels, lateness.count() as f64);
    }
}

fn rooms(games: &[(String, GameStats, Vec<RoomRow>)]) -> impl Iterator<Item = (&str, &RoomRow)> {
    games.iter().flat_map(|(game, _, rooms)| rooms.iter().map(move |room| (game.as_str(), room)))
}

#[cfg(test)]
#[path = "../../tests/admin/games.rs"]
mod tests;

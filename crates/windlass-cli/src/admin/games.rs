//! Games: how they are, which rooms they have, who sits in one, and the end of a room or of a seat.
//!
//! What rooms count their workers show, and it is read without asking them. Who sits in a room only its worker knows: it is
//! asked ([`windlass_realtime::inspect`]), and its answer comes by mailbox.

use std::cmp::Ordering;

use windlass::proto::http::Status;
use windlass_http::{Http, Replied, Reply, Request};
use windlass_realtime::inspect::{Ask, AskError, Question, Told};
use windlass_realtime::{GameStats, Lateness, RoomId, RoomRow, Seat};

use super::Admin;
use super::ask::{self, What};
use super::door::allowed;
use super::shape::{Game, GameRoom, GameRooms, RoomOrder, SeatOrder};
use crate::game::Links;

/// Rooms on one page.
const PER_PAGE: usize = 50;
const PER_PAGE_MAX: usize = 1_000;
/// Characters of what players are told.
const WHY_MAX: usize = 120;
/// What they are told where the operator says nothing.
const WHY: &str = "the operator has ended it";

/// All games at one moment.
pub(super) fn all(games: &Links) -> Vec<Game> {
    games.stats().into_iter().map(|(name, stats, rooms)| game(name, &stats, rooms.len())).collect()
}

fn game(name: String, stats: &GameStats, rooms_shown: usize) -> Game {
    Game {
        name,
        counters: stats.entries().map(|(name, n)| (name.into(), n)).collect(),
        lateness_seconds: quantiles(&stats.lateness),
        rooms_shown,
    }
}

/// Half of the ticks, 99 of 100, the latest.
fn quantiles(lateness: &Lateness) -> [f64; 3] {
    [lateness.quantile(0.5), lateness.quantile(0.99), lateness.max()].map(|it| it.as_secs_f64())
}

fn room(row: RoomRow) -> GameRoom {
    GameRoom {
        room: row.room.to_string(),
        kind: row.kind,
        hz: row.hz,
        players: row.players,
        players_max: row.players_max,
        spectators: row.spectators,
        here: row.here,
        age_seconds: row.age.as_secs_f64(),
        ticks: row.ticks,
        skipped: row.skipped,
        overruns: row.overruns,
        longest_seconds: row.longest.as_secs_f64(),
        lateness_seconds: quantiles(&row.lateness),
        received_bytes: row.bytes_in,
        sent_bytes: row.bytes_out,
    }
}

pub(super) fn routes(pages: Http<Admin>) -> Http<Admin> {
    pages
        .get("/api/games", |admin, request, reply| {
            allowed(admin, request, reply, |admin, _, reply| reply.json(&all(&admin.games)))
        })
        .get("/api/games/rooms", |admin, request, reply| {
            allowed(admin, request, reply, |admin, _, reply| rooms(admin, request, reply))
        })
        .get("/api/games/room", |admin, request, reply| {
            allowed(admin, request, reply, |admin, _, reply| {
                let room = request.param("room").unwrap_or_default();
                put(admin, request.param("game"), &room, Question::Room, reply)
            })
        })
        .post("/api/games/end", |admin, request, reply| {
            allowed(admin, request, reply, |admin, _, reply| end(admin, request, reply))
        })
        .post("/api/games/kick", |admin, request, reply| {
            allowed(admin, request, reply, |admin, _, reply| kick(admin, request, reply))
        })
}

/// `GET /api/games/rooms?game=..&sort=..&filter=..&page=..&per_page=..`
fn rooms(admin: &Admin, request: &Request<'_>, reply: Reply<'_, '_>) -> Replied {
    let number = |name: &str, default: usize| match request.param(name) {
        Some(text) => text.parse::<usize>().ok(),
        None => Some(default),
    };
    let order = order_of(request.param("sort").as_deref().unwrap_or("players"));
    let (Some(page), Some(per_page), Some(order)) = (number("page", 1), number("per_page", PER_PAGE), order)
    else {
        let why = "sort is one of players, late, skipped, overruns, sent, age and name; page and per_page are numbers\n";
        return reply.status(Status::BAD_REQUEST).text(why);
    };
    let (page, per_page) = (page.max(1), per_page.clamp(1, PER_PAGE_MAX));
    let Some(rows) = admin.games.rooms(request.param("game").as_deref()) else {
        return reply.status(Status::NOT_FOUND).text("there is no such game\n");
    };
    let filter = request.param("filter").unwrap_or_default();
    let total = rows.len();
    let mut rooms: Vec<GameRoom> = rows.into_iter().map(room).collect();
    rooms.retain(|room| room.room.contains(&filter) || room.kind.contains(&filter));
    // Rows come in the order of their names, and those that are equal stay so.
    rooms.sort_by(order);
    let matched = rooms.len();
    let rooms = rooms.into_iter().skip((page - 1).saturating_mul(per_page)).take(per_page).collect();
    reply.json(&GameRooms { page, per_page, total, matched, rooms })
}

/// Which of two rooms comes first.
type Order = fn(&GameRoom, &GameRoom) -> Ordering;

fn order_of(sort: &str) -> Option<Order> {
    Some(match sort {
        "players" => |a, b| (b.players, b.spectators).cmp(&(a.players, a.spectators)),
        "late" => |a, b| b.lateness_seconds[1].total_cmp(&a.lateness_seconds[1]),
        "skipped" => |a, b| b.skipped.cmp(&a.skipped),
        "overruns" => |a, b| b.overruns.cmp(&a.overruns),
        "sent" => |a, b| b.sent_bytes.cmp(&a.sent_bytes),
        "age" => |a, b| b.age_seconds.total_cmp(&a.age_seconds),
        "name" => |a, b| a.room.cmp(&b.room),
        _ => return None,
    })
}

/// `POST /api/games/end`
fn end(admin: &Admin, request: &Request<'_>, reply: Reply<'_, '_>) -> Replied {
    let RoomOrder { game, room, why } = match request.json::<RoomOrder>() {
        Ok(order) => order,
        Err(refusal) => return reply.refuse(refusal),
    };
    let why = told(why);
    tracing::info!(game, room, why, "the operator ends a room");
    put(admin, game, &room, |room| Question::End { room, why }, reply)
}

/// `POST /api/games/kick`
fn kick(admin: &Admin, request: &Request<'_>, reply: Reply<'_, '_>) -> Replied {
    let SeatOrder { game, room, seat, why } = match request.json::<SeatOrder>() {
        Ok(order) => order,
        Err(refusal) => return reply.refuse(refusal),
    };
    let why = told(why);
    tracing::info!(game, room, seat, why, "the operator has a seat leave");
    put(admin, game, &room, |room| Question::Kick { room, seat: Seat(seat), why }, reply)
}

fn told(why: Option<String>) -> String {
    let why = why.unwrap_or_default();
    let why: String = why.chars().filter(|c| !c.is_control()).take(WHY_MAX).collect();
    if why.trim().is_empty() { WHY.into() } else { why }
}

/// Asks a game: the only one, if no name is said.
fn put(
    admin: &Admin,
    game: Option<String>,
    room: &str,
    question: impl FnOnce(RoomId) -> Question,
    reply: Reply<'_, '_>,
) -> Replied {
    let Some(mailbox) = admin.games.mailbox(game.as_deref()) else {
        return reply.status(Status::NOT_FOUND).text("there is no such game\n");
    };
    let Ok(room) = room.parse() else { return reply.status(Status::NOT_FOUND).text(NO_ROOM) };
    let (replied, later) = reply.later();
    let back = admin.mailbox.clone();
    let asked =
        Ask::send(&mailbox, question(room), move |told| ask::tell(&back, later, What::OfGame(Ok(told))));
    if let Err(why) = asked {
        ask::tell(&admin.mailbox, later, What::OfGame(Err(why)));
    }
    replied
}

const NO_ROOM: &str = "there is no such room\n";

/// Answers a request that waited.
pub(super) fn answer(reply: Reply<'_, '_>, told: Result<Told, AskError>) -> Replied {
    match told {
        Ok(Told::Room(Some(detail))) => reply.json(&*detail),
        Ok(Told::Ended(true)) => reply.text("ended\n"),
        Ok(Told::Kicked(true)) => reply.text("kicked\n"),
        Ok(Told::Kicked(false)) => reply.status(Status::NOT_FOUND).text("nobody has such a seat\n"),
        Ok(_) => reply.status(Status::NOT_FOUND).text(NO_ROOM),
        Err(_) => {
            reply.status(Status::SERVICE_UNAVAILABLE).header("retry-after", "1").text("busy: ask again\n")
        }
    }
}

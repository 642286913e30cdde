//! The arena: sixteen players who move, dash, shoot and score, with a page to play it in.
//!
//! It is the example of a whole game: inputs are commands of one tick each, so a page can predict its own player exactly;
//! shots look back to what the shooter saw; players see what is near them.
//!
//! | input (4 bytes) | |
//! | --- | --- |
//! | buttons `u8` | 1 up, 2 down, 4 left, 8 right, 16 dash, 32 shoot |
//! | aim `u8` | 256 to the circle, clockwise from the right |
//! | seen `u16` | the lowest bits of the tick that is shown, for what is aimed at |
//!
//! | message to players | |
//! | --- | --- |
//! | 1, seat, x `u16`, y `u16`, aim, reach `u16`, hit | a shot, unreliable; `hit` is a seat, or 255 |
//! | 2, seat, seat, score `u16` | who brought down whom, and what the first has then, reliable |
//! | 3, seat, score `u16`, name | who is there, reliable |
//! | 4, seat | who has left, reliable |

pub(crate) mod rules;

use windlass_http::{File, Http};

use crate::RoomKind;
use crate::channel::Channel;
use crate::game::Game;
use crate::hasher::Hasher;
use crate::play::Play;
use crate::room::{Guest, Leave, Reject, Room, Seat};
use crate::snapshot::{Eye, Field, Frame, Schema};
use crate::wire::widen;
use rules::{Body, HEALTH, RADIUS, RANGE, RESPAWN_TICKS, SHOOT, SHOT_EVERY, SIDE};

/// How far players see.
const SIGHT: i32 = 3_600;
/// Bytes of an input.
pub const INPUT_BYTES: usize = 4;

const SHOT: u8 = 1;
const DOWN: u8 = 2;
const NAMED: u8 = 3;
const GONE: u8 = 4;

/// The room.
#[derive(Default)]
pub struct Arena {
    players: Vec<Option<Player>>,
}

struct Player {
    name: String,
    body: Body,
    health: u8,
    score: u16,
    /// Inputs until the next shot.
    shot: u8,
    /// The tick with which they are back.
    back_at: Option<u64>,
    here: bool,
}

impl Arena {
    /// The kind of room, as it is registered: 30 ticks a second, 16 players, 16 spectators.
    pub fn kind() -> RoomKind {
        RoomKind::new("arena", |_| Box::new(Arena::default())).hz(30).players_max(16).spectators_max(16)
    }

    /// What its entities are: x, y, aim, health, inputs until the next dash, score.
    pub fn schema() -> Schema {
        let place = Field::new(0, 1, 13).small(6);
        let fields = [
            place,
            place,
            Field::new(0, 1, 8).small(5),
            Field::new(0, 1, 2),
            Field::new(0, 1, 5).small(2),
            Field::new(0, 1, 10),
        ];
        Schema::new(fields).cell(1_200)
    }

    /// Adds the pages that it is played in.
    pub fn pages(http: Http<Game>) -> Http<Game> {
        http.file("/", File::named("index.html", include_str!("page/index.html")))
            .file("/arena.css", File::named("arena.css", include_str!("page/arena.css")))
            .file("/arena.js", File::named("arena.js", include_str!("page/arena.js")))
            .file("/draw.js", File::named("draw.js", include_str!("page/draw.js")))
            .file("/predict.js", File::named("predict.js", include_str!("page/predict.js")))
            .file("/rules.js", File::named("rules.js", include_str!("page/rules.js")))
            .file("/wire.js", File::named("wire.js", include_str!("page/wire.js")))
            .file("/icon.svg", File::named("icon.svg", include_str!("page/icon.svg")))
            .file("/rules.json", File::named("rules.json", rules::json()))
    }

    fn player(&mut self, seat: Seat) -> Option<&mut Player> {
        self.players.get_mut(usize::from(seat.0))?.as_mut()
    }

    /// A place where nobody stands near, or the best of some.
    fn spawn(&self, play: &mut Play<'_>) -> (i32, i32) {
        let alive = || self.players.iter().flatten().filter(|it| it.health > 0).map(|player| player.body);
        let (mut best, mut distance) = ((RADIUS, RADIUS), -1);
        for _ in 0..12 {
            let (x, y) = (play.between(RADIUS, SIDE - RADIUS), play.between(RADIUS, SIDE - RADIUS));
            let far = |body: Body| i64::from(body.x - x).pow(2) + i64::from(body.y - y).pow(2);
            let nearest = alive().map(far).min().unwrap_or(0);
            if !rules::blocked(x, y) && nearest > distance {
                (best, distance) = ((x, y), nearest);
            }
        }
        best
    }

    fn shoot(&mut self, play: &mut Play<'_>, seat: Seat, seen: u64) {
        let Some(shooter) = self.player(seat) else { return };
        shooter.shot = SHOT_EVERY;
        let Body { x, y, aim, .. } = shooter.body;
        let mut reach = rules::reach(x, y, aim);
        let mut struck = None;
        // Where the others were for who shot, and as they are now: who is down cannot be hit again.
        if let Some(frame) = play.past(seen) {
            for (at, other) in self.players.iter().enumerate() {
                let alive = other.as_ref().is_some_and(|other| other.health > 0) && at != usize::from(seat.0);
                let Some(place) = frame.place(at as u16).filter(|_| alive) else { continue };
                if let Some(far) = rules::hit((x, y), aim, place).filter(|far| *far <= reach) {
                    (reach, struck) = (far, Some(Seat(at as u16)));
                }
            }
        }
        let [[x, x_high], [y, y_high], [far, far_high]] =
            [x, y, reach.min(RANGE)].map(|number| (number as u16).to_le_bytes());
        let hit = struck.map_or(255, |seat| seat.0 as u8);
        let shot = [SHOT, seat.0 as u8, x, x_high, y, y_high, aim, far, far_high, hit];
        play.send_all(Channel::Unreliable, &shot);
        let Some(struck) = struck else { return };
        let Some(other) = self.player(struck) else { return };
        other.health -= 1;
        if other.health == 0 {
            other.back_at = Some(play.tick() + RESPAWN_TICKS);
            let Some(shooter) = self.player(seat) else { return };
            shooter.score = (shooter.score + 1).min(999);
            let [low, high] = shooter.score.to_le_bytes();
            play.send_all(Channel::Reliable, &[DOWN, seat.0 as u8, struck.0 as u8, low, high]);
        }
    }
}

impl Room for Arena {
    fn join(&mut self, play: &mut Play<'_>, seat: Seat, guest: &Guest) -> Result<(), Reject> {
        let at = usize::from(seat.0);
        if self.players.len() <= at {
            self.players.resize_with(at + 1, || None);
        }
        // Who is there, for the newcomer; then the newcomer, for all.
        for (at, other) in self.players.iter().enumerate() {
            if let Some(other) = other {
                play.send(seat, Channel::Reliable, &named(at as u8, other.score, &other.name));
            }
        }
        let name = if guest.name.is_empty() { format!("player {}", seat.0 + 1) } else { guest.name.clone() };
        play.send_all(Channel::Reliable, &named(seat.0 as u8, 0, &name));
        let (x, y) = self.spawn(play);
        let body = Body { x, y, ..Body::default() };
        self.players[at] =
            Some(Player { name, body, health: HEALTH, score: 0, shot: 0, back_at: None, here: true });
        Ok(())
    }

    fn input(&mut self, play: &mut Play<'_>, seat: Seat, _: u32, input: &[u8]) {
        let &[buttons, aim, low, high] = input else { return };
        let seen = widen(play.tick(), u16::from_le_bytes([low, high]));
        let Some(player) = self.player(seat).filter(|player| player.health > 0) else { return };
        player.body.step(buttons, aim);
        player.shot = player.shot.saturating_sub(1);
        if buttons & SHOOT != 0 && player.shot == 0 {
            self.shoot(play, seat, seen);
        }
    }

    fn tick(&mut self, play: &mut Play<'_>, n: u64) {
        for at in 0..self.players.len() {
            let due =
                self.players[at].as_ref().is_some_and(|player| player.back_at.is_some_and(|tick| tick <= n));
            if !due {
                continue;
            }
            let (x, y) = self.spawn(play);
            if let Some(player) = &mut self.players[at] {
                (player.health, player.back_at, player.shot) = (HEALTH, None, 0);
                player.body = Body { x, y, aim: player.body.aim, dash: 0 };
            }
        }
    }

    fn away(&mut self, _: &mut Play<'_>, seat: Seat) {
        if let Some(player) = self.player(seat) {
            player.here = false;
        }
    }

    fn back(&mut self, play: &mut Play<'_>, seat: Seat) {
        for (at, other) in self.players.iter().enumerate() {
            if let Some(other) = other {
                play.send(seat, Channel::Reliable, &named(at as u8, other.score, &other.name));
            }
        }
        if let Some(player) = self.player(seat) {
            player.here = true;
        }
    }

    fn leave(&mut self, play: &mut Play<'_>, seat: Seat, _: Leave) {
        if let Some(player) = self.players.get_mut(usize::from(seat.0)) {
            *player = None;
        }
        play.send_all(Channel::Reliable, &[GONE, seat.0 as u8]);
    }

    fn schema(&self) -> Option<Schema> {
        Some(Arena::schema())
    }

    fn frame(&self, frame: &mut Frame) {
        for (at, player) in self.players.iter().enumerate() {
            // Who is away is not there to be hit.
            let Some(player) = player.as_ref().filter(|player| player.here) else { continue };
            let Body { x, y, aim, dash } = player.body;
            let fields = [x, y, aim.into(), player.health.into(), dash.into(), player.score.into()];
            frame.put(at as u16, (x, y), &fields);
        }
    }

    fn eye(&self, seat: Seat) -> Eye {
        match self.players.get(usize::from(seat.0)) {
            Some(Some(player)) => Eye::Near { x: player.body.x, y: player.body.y, radius: SIGHT },
            _ => Eye::All,
        }
    }

    fn hash(&self) -> u64 {
        let mut hasher = Hasher::new();
        for player in &self.players {
            let Some(player) = player else {
                hasher.add(-1);
                continue;
            };
            let Body { x, y, aim, dash } = player.body;
            hasher.add(x.into()).add(y.into()).add(aim.into()).add(dash.into());
            hasher.add(player.health.into()).add(player.score.into()).add(player.shot.into());
            hasher.add(player.back_at.map_or(-1, |tick| tick as i64)).add(player.here.into());
            hasher.add_bytes(player.name.as_bytes());
        }
        hasher.finish()
    }
}

fn named(seat: u8, score: u16, name: &str) -> Vec<u8> {
    [&[NAMED, seat], &score.to_le_bytes()[..], name.as_bytes()].concat()
}

#[cfg(test)]
mod tests;

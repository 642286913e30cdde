//! The rooms of one worker, when they tick, and who sits in them.
//!
//! A hall has no connections, only their names: what is to be written goes to whoever lends it a [`Reach`].

mod detail;
mod phase;
mod place;
mod running;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use windlass::Time;

use crate::config::{GameConfig, Overrun, RoomKind};
use crate::ids::RoomId;
use crate::mail::Notice;
use crate::outbox::Free;
use crate::pace::Pace;
use crate::record::Recorder;
use crate::room::{Guest, Leave, Reject, Seat};
use crate::stage::{Stage, StageSpec};
use crate::stats::{GameStats, RoomBoard};
use crate::ticket::Ticket;
use crate::wire::{count_messages, put_end, short};
pub(crate) use place::Way;
use place::{Holder, Place, PlaceCounts};
use running::Running;

/// What a hall reaches its players by.
pub(crate) trait Reach {
    /// What may leave to a player now; `None` if they are gone.
    fn free(&mut self, way: Way) -> Option<Free>;
    /// Sends a message, and counts what only this way of sending has.
    fn send(&mut self, way: Way, message: &[u8], stats: &mut GameStats);
    /// Ends a connection behind what was sent, and says why.
    fn end(&mut self, way: Way, why: Leave, text: &str);
    /// Where a player comes from, for people to read, and how many bytes wait to leave to them.
    fn shown(&mut self, way: Way) -> (Option<String>, usize);
}

/// The rooms of a worker by their names, which are random and our own: whoever shows one has it from us, sealed.
type Rooms = HashMap<RoomId, Box<Running>, BuildHasherDefault<OfName>>;

/// A hash of names that are random already.
#[derive(Default)]
struct OfName(u64);

impl Hasher for OfName {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0 ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, name: u64) {
        // Those of tests count from 1, and a table looks at the highest bits and the lowest.
        self.0 = name.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// All rooms of one worker.
pub(crate) struct Hall {
    config: Arc<GameConfig>,
    rooms: Rooms,
    /// When each room ticks next. One entry for each room.
    agenda: BinaryHeap<Reverse<(Time, RoomId)>>,
    /// What the directory is to be told.
    pub(crate) notices: Vec<Notice>,
    pub(crate) stats: GameStats,
    pub(crate) board: RoomBoard,
    out: Vec<u8>,
    due: Vec<RoomId>,
}

/// Why a ticket is not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Unclaimed {
    /// There is no such room any more.
    NoRoom,
    /// The seat is somebody else's by now, or nobody's.
    Expired,
    Rejected(Reject),
}

/// A ticket was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Claimed {
    /// What led to whoever had the seat until now.
    pub(crate) before: Option<Way>,
}

/// The longest message to a seat in one tick, whatever its rate allows.
pub(crate) const PACK_MAX: u64 = 64 * 1024;

impl Hall {
    pub(crate) fn new(config: Arc<GameConfig>, board: RoomBoard) -> Hall {
        Hall {
            config,
            rooms: Rooms::default(),
            agenda: BinaryHeap::new(),
            notices: Vec::new(),
            stats: GameStats::default(),
            board,
            out: Vec::new(),
            due: Vec::new(),
        }
    }

    /// Opens a room.
    pub(crate) fn open(&mut self, id: RoomId, kind: usize, options: &[u8], spec: StageSpec, now: Time) {
        let Some(of) = self.config.kinds.get(kind) else { return };
        let (room, bounds) = (of.make(options), self.bounds());
        let recorder = self.config.record.as_ref().map(|_| Recorder::new(&of.name, options, &spec));
        let stage = Stage::with(room, spec, bounds, recorder);
        let mut running = Running::new(id, kind, stage, now);
        running.sink = self.config.record.clone();
        let alike = self.rooms.values().map(|other| other.pace).filter(|pace| pace.hz() == running.pace.hz());
        let epoch = phase::apart(now, running.pace.hz(), alike.map(|pace| pace.epoch()));
        running.pace = Pace::new(epoch, running.pace.hz());
        self.agenda.push(Reverse((running.pace.next(), id)));
        self.rooms.insert(id, Box::new(running));
        self.stats.rooms_opened += 1;
        self.stats.rooms += 1;
    }

    fn bounds(&self) -> crate::outbox::Bounds {
        let GameConfig { reliable_max, fleeting_max, .. } = *self.config;
        crate::outbox::Bounds { reliable_max, fleeting_max }
    }

    fn kind(&self, kind: usize) -> &RoomKind {
        &self.config.kinds[kind]
    }

    /// What a room is called, and how fast it is.
    pub(crate) fn describe(&self, id: RoomId) -> Option<(&str, u32)> {
        let running = self.rooms.get(&id)?;
        Some((&self.kind(running.kind).name, running.pace.hz()))
    }

    /// Whether a ticket is for one who only sees.
    pub(crate) fn is_spectator(&self, ticket: Ticket) -> bool {
        self.rooms.get(&ticket.room).is_some_and(|running| running.stage.is_spectator(ticket.seat))
    }

    /// Keeps a seat. False if the room is gone, and nothing is kept.
    pub(crate) fn expect(&mut self, ticket: Ticket, guest: Guest, now: Time) -> bool {
        let Some(running) = self.rooms.get_mut(&ticket.room).filter(|running| !running.stage.is_over())
        else {
            return false;
        };
        let Some(place) = running.place_mut(ticket.seat).filter(|place| place.is_free()) else {
            return false;
        };
        let until = now + self.config.reservation_timeout;
        *place = Place {
            serial: ticket.serial,
            holder: Holder::Kept(until),
            guest: Some(guest.into()),
            counts: PlaceCounts { since: now, ..PlaceCounts::default() },
            ..Place::default()
        };
        self.stats.seats_kept += 1;
        true
    }

    /// A connection shows a ticket: it has the seat from now on.
    pub(crate) fn claim(&mut self, ticket: Ticket, way: Way, now: Time) -> Result<Claimed, Unclaimed> {
        let Some(running) = self.rooms.get_mut(&ticket.room).filter(|running| !running.stage.is_over())
        else {
            return Err(Unclaimed::NoRoom);
        };
        let seat = ticket.seat;
        let Some(place) = running
            .places
            .get_mut(usize::from(seat.0))
            .filter(|it| it.serial == ticket.serial && !it.is_free())
        else {
            return Err(Unclaimed::Expired);
        };
        let stage = &mut running.stage;
        let is_player = !stage.is_spectator(seat);
        let before = place.way.take();
        match std::mem::take(&mut place.holder) {
            Holder::Nobody => return Err(Unclaimed::Expired),
            Holder::Kept(_) => {
                let guest = place.guest.get_or_insert_default();
                if let Err(reject) = stage.join(seat, guest) {
                    *place = Place::default();
                    self.stats.rejected += 1;
                    self.notices.push(Notice::Freed { room: ticket.room, seat, serial: ticket.serial });
                    return Err(Unclaimed::Rejected(reject));
                }
                place.counts.since = now;
                self.stats.joined += 1;
                *(if is_player { &mut self.stats.players } else { &mut self.stats.spectators }) += 1;
            }
            Holder::Here => {
                // The page was loaded anew, or the network changed, and nobody has noticed yet that the old connection
                // is gone.
                stage.away(seat);
                stage.back(seat);
                self.stats.returned += 1;
            }
            Holder::Away(_) => {
                stage.back(seat);
                self.stats.returned += 1;
            }
        }
        let fresh = Place {
            serial: place.serial,
            guest: place.guest.take(),
            counts: place.counts,
            holder: Holder::Here,
            way: Some(way),
            ..Place::default()
        };
        // What it may say and be sent it does not get anew with a connection.
        *place = Place { messages: place.messages, input: place.input, output: place.output, ..fresh };
        place.input_at = now;
        if let Some(before) = before {
            *here(&mut self.stats, before) -= 1;
        }
        *here(&mut self.stats, way) += 1;
        Ok(Claimed { before })
    }

    /// The first message of a connection that has got a seat.
    pub(crate) fn welcome(&mut self, ticket: Ticket, reach: &mut dyn FnMut(&[u8])) {
        let Some(running) = self.rooms.get(&ticket.room) else { return };
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        running.head(ticket.seat, 255, &mut out);
        running.stage.welcome(ticket.seat, &ticket.room.to_string(), &mut out);
        reach(&out);
        self.out = out;
    }

    /// A seat says something. `Err`: it is given up for it.
    pub(crate) fn received(
        &mut self,
        ticket: Ticket,
        way: Way,
        message: &[u8],
        now: Time,
    ) -> Result<(), Leave> {
        self.stats.messages_in += 1;
        self.stats.bytes_in += message.len() as u64;
        let config = &self.config;
        let Some((running, at)) = seated(&mut self.rooms, ticket, way) else { return Ok(()) };
        running.bytes_in += message.len() as u64;
        let place = &mut running.places[at];
        let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
        place.counts.messages_in += 1;
        place.counts.bytes_in += u64::from(len);
        // One that brings many to the room is as many as that.
        let count = count_messages(message).max(1);
        let allowed = place.messages.level(config.seat_messages, now) >= u64::from(count)
            && place.input.level(config.seat_input, now) > 0;
        if !allowed {
            self.stats.messages_dropped += 1;
            place.counts.messages_dropped += 1;
            place.dropped += 1;
            return if place.dropped > config.seat_dropped_max { Err(Leave::Abuse) } else { Ok(()) };
        }
        place.messages.spend(config.seat_messages, count, now);
        place.input.spend(config.seat_input, len, now);
        place.dropped = 0;
        let farewell = running.received(ticket.seat, message, now).map_err(|_| Leave::Abuse)?;
        if farewell { Err(Leave::Left) } else { Ok(()) }
    }

    /// A connection is gone; whoever came with it may come back.
    pub(crate) fn lost(&mut self, ticket: Ticket, way: Way, now: Time) {
        let until = now + self.config.reconnect_timeout;
        let Some((running, at)) = seated(&mut self.rooms, ticket, way) else { return };
        running.places[at].way = None;
        running.places[at].holder = Holder::Away(until);
        *here(&mut self.stats, way) -= 1;
        running.stage.away(ticket.seat);
        self.stats.lost += 1;
    }

    /// Somebody leaves for good.
    pub(crate) fn leave(&mut self, ticket: Ticket, way: Way, why: Leave) {
        if let Some((running, at)) = seated(&mut self.rooms, ticket, way) {
            vacate(running, at, why, &mut self.stats, &mut self.notices);
        }
    }

    /// When something is to be done.
    pub(crate) fn next(&self) -> Option<Time> {
        self.agenda.peek().map(|Reverse((at, _))| *at)
    }

    /// Makes the next tick of each room for which it is due; rooms that are late still are due again when it returns.
    /// `begun` is the clock's time at `now`: with a clock, what others have taken since counts.
    pub(crate) fn due(&mut self, now: Time, begun: Option<Duration>, reach: &mut dyn Reach) {
        let mut due = std::mem::take(&mut self.due);
        while let Some(Reverse((_, id))) = self.agenda.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.agenda.pop();
            due.push(id);
        }
        for id in due.drain(..) {
            let passed =
                self.clock().zip(begun).map_or(Duration::ZERO, |(now, begun)| now.saturating_sub(begun));
            self.turn(id, now + passed, reach);
        }
        self.due = due;
    }

    /// The time of the clock it was given, if it was.
    pub(crate) fn clock(&self) -> Option<Duration> {
        self.config.clock.map(|clock| clock())
    }

    /// One tick of one room, and all that goes with it.
    fn turn(&mut self, id: RoomId, now: Time, reach: &mut dyn Reach) {
        let Some(mut running) = self.rooms.remove(&id) else { return };
        let begun = self.clock();
        if let Some(beat) = running.pace.beat(now) {
            running.lateness.add(beat.late);
            self.stats.lateness.add(beat.late);
            self.stats.ticks += 1;
            self.stats.ticks_skipped += beat.skipped;
            running.stage.tick(beat.n);
            self.speak(&mut running, now, reach);
        }
        self.sweep(&mut running, now, reach);
        let took = self.clock().zip(begun).map_or(Duration::ZERO, |(now, begun)| now.saturating_sub(begun));
        let period = running.pace.period();
        running.longest = running.longest.max(took);
        if took > period {
            // It could not catch up, and would only keep the others waiting for longer than it has already.
            running.overruns += 1;
            self.stats.overruns += 1;
            self.stats.ticks_skipped += running.pace.give_up(now + took);
            self.name_overrun(&mut running, took, now);
        }
        let locked = running.stage.is_locked();
        if locked != running.locked {
            running.locked = locked;
            self.notices.push(Notice::Locked { room: id, locked });
        }
        running.slot = self.board.show(running.slot, &running.figures(now));
        let idle = running.idle_since(now).is_some_and(|since| now.since(since) >= self.config.empty_timeout);
        let stopped = running.stop_by.is_some_and(|by| by <= now || running.is_deserted());
        if stopped {
            self.close(running, STOPS, reach);
        } else if running.stage.is_over() || idle {
            let why = if running.stop_by.is_some() { STOPS } else { OVER };
            self.close(running, why, reach);
        } else {
            self.record(&mut running, false);
            self.agenda.push(Reverse((running.pace.next(), id)));
            self.rooms.insert(id, running);
        }
    }

    /// Sends everybody in a room what there is for them: one message each.
    fn speak(&mut self, running: &mut Running, now: Time, reach: &mut dyn Reach) {
        let mut out = std::mem::take(&mut self.out);
        let hz = running.pace.hz();
        for at in 0..running.places.len() {
            let Some(way) = running.places[at].way else { continue };
            let seat = Seat(at as u16);
            let Some(free) = reach.free(way) else { continue };
            let place = &mut running.places[at];
            let allowed = place.output.level(self.config.seat_output, now).min(PACK_MAX) as usize;
            // Who has confirmed nothing for a second gets a snapshot a second: what was sent before may wait
            // in the network still, and would be of no use when it comes.
            let silent = place.unconfirmed >= hz && !running.stage.now().is_multiple_of(hz.into());
            let done = running.stage.input_done(seat);
            let is_news = done != running.places[at].told;
            let age = if is_news { now.since(running.places[at].input_at).as_millis().min(255) } else { 255 };
            out.clear();
            running.head(seat, age as u8, &mut out);
            let head = out.len();
            let before = running.stage.counts().snapshots;
            let packed = running.stage.pack(seat, allowed, free, silent, &mut out);
            let place = &mut running.places[at];
            place.unconfirmed += (running.stage.counts().snapshots - before) as u32;
            place.counts.stale += u64::from(packed.stale);
            self.stats.snapshots_stale += u64::from(packed.stale);
            if out.len() == head && (!is_news || free.congested) {
                continue;
            }
            place.told = done;
            place.output.spend(self.config.seat_output, out.len() as u32, now);
            running.count_sent(at, out.len(), &mut self.stats);
            reach.send(way, &out, &mut self.stats);
        }
        self.out = out;
    }

    /// Those whose time is over, and those whom the room or its limits want gone.
    fn sweep(&mut self, running: &mut Running, now: Time, reach: &mut dyn Reach) {
        while let Some((seat, why, text)) = running.stage.take_doomed() {
            let at = usize::from(seat.0);
            self.end(running, at, why, &text, reach);
            vacate(running, at, why, &mut self.stats, &mut self.notices);
        }
        for at in 0..running.places.len() {
            match running.places[at].holder {
                Holder::Kept(until) if until <= now => {
                    self.stats.seats_expired += 1;
                    vacate(running, at, Leave::Lost, &mut self.stats, &mut self.notices);
                }
                Holder::Away(until) if until <= now => {
                    vacate(running, at, Leave::Lost, &mut self.stats, &mut self.notices);
                }
                _ => {}
            }
        }
    }

    /// The last that a seat is told: what must come, and why it is over.
    fn end(&mut self, running: &mut Running, at: usize, why: Leave, text: &str, reach: &mut dyn Reach) {
        let Some(way) = running.places[at].way else { return };
        let seat = Seat(at as u16);
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        running.head(seat, 255, &mut out);
        running.stage.pack(seat, PACK_MAX as usize, Free::ALL, true, &mut out);
        let text = short(text);
        put_end(&mut out, text);
        if reach.free(way).is_some() {
            running.count_sent(at, out.len(), &mut self.stats);
            reach.send(way, &out, &mut self.stats);
        }
        reach.end(way, why, text);
        self.out = out;
    }

    /// Somebody is told that a room overran, once a second.
    fn name_overrun(&self, running: &mut Running, took: Duration, now: Time) {
        let Some(sink) = &self.config.overruns else { return };
        if running.told_at.is_some_and(|at| now.since(at) < Duration::from_secs(1)) {
            return;
        }
        running.told_at = Some(now);
        sink.give(Overrun {
            room: running.id,
            kind: self.kind(running.kind).name.clone(),
            took,
            period: running.pace.period(),
            overruns: running.overruns,
        });
    }

    fn close(&mut self, mut running: Box<Running>, why: &str, reach: &mut dyn Reach) {
        for at in 0..running.places.len() {
            self.end(&mut running, at, Leave::Closed, why, reach);
            vacate(&mut running, at, Leave::Closed, &mut self.stats, &mut self.notices);
        }
        running.stage.close();
        self.record(&mut running, true);
        self.board.clear(running.slot);
        self.notices.push(Notice::Closed { room: running.id });
        self.stats.rooms_closed += 1;
        self.stats.rooms -= 1;
    }

    /// The server stops: all rooms are told. Those that end with it are closed now, the others have a while.
    pub(crate) fn stop(&mut self, now: Time, reach: &mut dyn Reach) {
        let by = now + self.config.stop_timeout;
        // In the order of the agenda, which has each of them once.
        for Reverse((at, id)) in std::mem::take(&mut self.agenda).into_sorted_vec().into_iter().rev() {
            let Some(mut running) = self.rooms.remove(&id) else { continue };
            running.stage.stop();
            running.stop_by = Some(by);
            if running.stage.is_over() || running.is_deserted() || self.config.stop_timeout.is_zero() {
                self.close(running, STOPS, reach);
                continue;
            }
            self.notices.push(Notice::Locked { room: id, locked: true });
            running.locked = true;
            self.agenda.push(Reverse((at, id)));
            self.rooms.insert(id, running);
        }
    }

    /// Whether a ticket's room goes on though the server stops.
    pub(crate) fn goes_on(&self, ticket: Ticket) -> bool {
        self.rooms.contains_key(&ticket.room)
    }

    /// Other settings from now on. Rooms that are open stay as they were made: their rate, their seats and their records.
    pub(crate) fn set(&mut self, config: Arc<GameConfig>) {
        self.config = config;
        let bounds = self.bounds();
        self.rooms.values_mut().for_each(|running| running.stage.set_bounds(bounds));
    }

    /// Ends a room, since somebody outside wants it so; whether there was one.
    pub(crate) fn end_room(&mut self, id: RoomId, why: &str, reach: &mut dyn Reach) -> bool {
        let Some(running) = self.rooms.remove(&id) else { return false };
        self.agenda.retain(|Reverse((_, other))| *other != id);
        self.close(running, why, reach);
        true
    }

    /// Has a seat leave, since somebody outside wants it so; whether it was taken.
    pub(crate) fn kick(&mut self, id: RoomId, seat: Seat, why: &str, reach: &mut dyn Reach) -> bool {
        let at = usize::from(seat.0);
        let Some(mut running) = self.rooms.remove(&id) else { return false };
        let taken = running.places.get(at).is_some_and(|place| !place.is_free());
        if taken {
            self.end(&mut running, at, Leave::Kicked, why, reach);
            vacate(&mut running, at, Leave::Kicked, &mut self.stats, &mut self.notices);
        }
        self.rooms.insert(id, running);
        taken
    }

    /// Whether a room is here.
    pub(crate) fn has(&self, id: RoomId) -> bool {
        self.rooms.contains_key(&id)
    }

    /// Gives away what was recorded, if it is enough or the last.
    fn record(&mut self, running: &mut Running, last: bool) {
        let Some(sink) = running.sink.clone() else { return };
        let Some(recorder) = running.stage.recorder().filter(|recorder| last || recorder.len() >= PIECE)
        else {
            return;
        };
        let piece =
            crate::RecordPiece { room: running.id, bytes: recorder.take(), first: !running.recorded, last };
        running.recorded = true;
        if !sink.give(piece) {
            running.stage.stop_recording();
            self.stats.records_lost += 1;
        }
    }

    #[cfg(test)]
    pub(crate) fn stage(&self, id: RoomId) -> Option<&Stage> {
        self.rooms.get(&id).map(|running| &running.stage)
    }

    #[cfg(test)]
    pub(crate) fn pace(&self, id: RoomId) -> Option<crate::Pace> {
        self.rooms.get(&id).map(|running| running.pace)
    }
}

/// What players are told when their room closes.
const OVER: &str = "the room is over";
/// The same, when the server stops.
const STOPS: &str = "the server stops";

/// Bytes of a record that are given away at once.
const PIECE: usize = 16 * 1024;

/// The room of a ticket and its seat, if that is this connection's.
fn seated(rooms: &mut Rooms, ticket: Ticket, way: Way) -> Option<(&mut Running, usize)> {
    let running = rooms.get_mut(&ticket.room)?;
    let at = usize::from(ticket.seat.0);
    let place = running.places.get(at)?;
    (place.serial == ticket.serial && place.way == Some(way)).then_some((running, at))
}

/// How many of those who are here came this way.
fn here(stats: &mut GameStats, way: Way) -> &mut u64 {
    match way {
        Way::WebSocket(_) => &mut stats.here_websocket,
        Way::Udp(_) => &mut stats.here_udp,
    }
}

/// Frees a seat, whoever has it.
fn vacate(running: &mut Running, at: usize, why: Leave, stats: &mut GameStats, notices: &mut Vec<Notice>) {
    let place = std::mem::take(&mut running.places[at]);
    if let Some(way) = place.way {
        *here(stats, way) -= 1;
    }
    let seat = Seat(at as u16);
    match place.holder {
        Holder::Nobody => return,
        Holder::Kept(_) => {}
        Holder::Here | Holder::Away(_) => {
            let is_player = !running.stage.is_spectator(seat);
            *(if is_player { &mut stats.players } else { &mut stats.spectators }) -= 1;
            stats.count_left(why);
        }
    }
    running.stage.leave(seat, why);
    notices.push(Notice::Freed { room: running.id, seat, serial: place.serial });
}

#[cfg(test)]
mod tests;

//! One room as it runs: its seats, its timers, its chance, what it sends, and the record of what came in.
//!
//! Nothing here knows a connection or a clock. What happens to a room are calls of a [`Stage`], in an order; given the same
//! calls it does the same, which is what a replay relies on.

mod chair;
mod timers;

use std::fmt;

use crate::channel::Channel;
use crate::outbox::{Bounds, Free, Put};
use crate::play::Play;
use crate::random::Random;
use crate::record::Recorder;
use crate::room::{Guest, Leave, Reject, Room, Seat};
use crate::snapshot::{Baseline, Eye, Frame, History, Saw, Shared, write, write_few};
use crate::spare::Spare;
use crate::wire::{Head, INPUTS_MAX, SNAPSHOT, Said, Welcome, WireError, put_piece, said};
use chair::Chair;
use timers::Timers;

/// What a room is made with, and made with again in a replay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StageSpec {
    /// Where its chance comes from.
    pub seed: u64,
    /// Ticks a second, from 1 to 240.
    pub hz: u32,
    /// Seats of players.
    pub players_max: u16,
    /// Seats of spectators.
    pub spectators_max: u16,
}

impl Default for StageSpec {
    fn default() -> StageSpec {
        StageSpec { seed: 0, hz: 30, players_max: 16, spectators_max: 16 }
    }
}

/// A room that runs. See [`Room`] for what it calls when.
pub struct Stage {
    room: Box<dyn Room>,
    core: Core,
    counts: Counts,
}

/// What a room did so far, or had to leave undone.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Counts {
    /// Ticks made.
    pub ticks: u64,
    /// Inputs given to the room.
    pub inputs: u64,
    /// Inputs that were pushed out by newer ones.
    pub inputs_dropped: u64,
    /// Messages given to the room.
    pub messages: u64,
    /// Messages to seats that were lost, as they may be.
    pub dropped: u64,
    /// Snapshots written.
    pub snapshots: u64,
    /// Those without a baseline among them.
    pub snapshots_whole: u64,
}

/// The part of a stage that a room reaches from its callbacks.
pub(crate) struct Core {
    pub(crate) spec: StageSpec,
    pub(crate) bounds: Bounds,
    pub(crate) tick: u64,
    pub(crate) chairs: Vec<Chair>,
    pub(crate) timers: Timers,
    pub(crate) random: Random,
    pub(crate) history: Option<History>,
    pub(crate) locked: bool,
    pub(crate) over: bool,
    dropped: u64,
    recorder: Option<Recorder>,
    spare: Spares,
}

/// Memory that every tick uses again.
#[derive(Default)]
struct Spares {
    input: Vec<u8>,
    body: Vec<u8>,
    seen: Vec<u16>,
    known: Vec<u16>,
    shared: Shared,
    messages: Spare<u8>,
    ids: Spare<u16>,
}

impl Core {
    pub(crate) fn send(&mut self, seat: Seat, channel: Channel, message: &[u8]) {
        let Some(chair) = self.chairs.get_mut(usize::from(seat.0)).filter(|chair| chair.taken()) else {
            return;
        };
        if chair.away && channel != Channel::Reliable {
            return;
        }
        match chair.outbox.put(channel, message, &self.bounds, &mut self.spare.messages) {
            Put::Queued => {}
            Put::Dropped => self.dropped += 1,
            Put::Full => {
                chair.doom.get_or_insert((Leave::Slow, "too slow".into()));
            }
        }
    }

    fn record(&mut self, write: impl FnOnce(&mut Recorder)) {
        if let Some(recorder) = &mut self.recorder {
            write(recorder);
        }
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("spec", &self.core.spec).field("tick", &self.core.tick).finish()
    }
}

impl Stage {
    /// Opens a room.
    pub fn new(room: Box<dyn Room>, spec: StageSpec) -> Stage {
        let bounds = Bounds { reliable_max: 256 * 1024, fleeting_max: 64 * 1024 };
        Stage::with(room, spec, bounds, None)
    }

    pub(crate) fn with(
        room: Box<dyn Room>,
        mut spec: StageSpec,
        bounds: Bounds,
        recorder: Option<Recorder>,
    ) -> Stage {
        spec.hz = spec.hz.clamp(crate::Pace::HZ_MIN, crate::Pace::HZ_MAX);
        spec.spectators_max = spec.spectators_max.min(u16::MAX - spec.players_max);
        // Of spectators when one comes: most rooms have none.
        let chairs = usize::from(spec.players_max);
        let history = room.schema().map(|schema| History::new(schema, spec.hz));
        let random = Random::new(spec.seed);
        let core = Core {
            spec,
            bounds,
            tick: 0,
            chairs: std::iter::repeat_with(Chair::default).take(chairs).collect(),
            timers: Timers::default(),
            random,
            history,
            locked: false,
            over: false,
            dropped: 0,
            recorder,
            spare: Spares::default(),
        };
        let mut stage = Stage { room, core, counts: Counts::default() };
        stage.room.open(&mut Play::new(&mut stage.core));
        stage
    }

    /// What it was made with.
    pub fn spec(&self) -> &StageSpec {
        &self.core.spec
    }

    /// Whether a seat is one of those who only see.
    pub fn is_spectator(&self, seat: Seat) -> bool {
        seat.0 >= self.core.spec.players_max
    }

    /// Somebody takes a seat. Who has it already stays.
    ///
    /// # Errors
    ///
    /// What the room rejects them with; or that there is no such seat, or that it is taken.
    pub fn join(&mut self, seat: Seat, guest: &Guest) -> Result<(), Reject> {
        let is_player = !self.is_spectator(seat);
        let (at, spec) = (usize::from(seat.0), &self.core.spec);
        if at >= usize::from(spec.players_max) + usize::from(spec.spectators_max) {
            return Err(Reject("no such seat".into()));
        }
        if self.core.chairs.len() <= at {
            self.core.chairs.resize_with(at + 1, Chair::default);
        }
        let chair = &mut self.core.chairs[at];
        if chair.taken() {
            return Err(Reject("the seat is taken".into()));
        }
        chair.here = true;
        if !is_player {
            return Ok(());
        }
        chair.joined = true;
        self.core.record(|recorder| recorder.join(seat, guest));
        let verdict = self.room.join(&mut Play::new(&mut self.core), seat, guest);
        if verdict.is_err() {
            self.core.chairs[usize::from(seat.0)].clear();
        }
        verdict
    }

    /// An input of a player's: it waits for the next tick. Whether it is new.
    pub fn input(&mut self, seat: Seat, client_tick: u32, input: &[u8]) -> bool {
        if self.is_spectator(seat) {
            return false;
        }
        let Some(chair) = self.chair(seat).filter(|chair| chair.here) else { return false };
        let (new, pushed_out) = chair.take_input(client_tick, input);
        self.counts.inputs_dropped += u64::from(pushed_out);
        new
    }

    /// A message of a player's.
    pub fn message(&mut self, seat: Seat, channel: Channel, message: &[u8]) {
        if self.is_spectator(seat) || self.chair(seat).is_none_or(|chair| !chair.here) {
            return;
        }
        self.counts.messages += 1;
        self.core.record(|recorder| recorder.message(seat, channel, message));
        self.room.message(&mut Play::new(&mut self.core), seat, channel, message);
    }

    /// What a seat says, as it travels: see [`wire`](crate::wire).
    ///
    /// # Errors
    ///
    /// [`WireError`]: it is no message. What stands in front of the piece that is none has been taken.
    pub fn received(&mut self, seat: Seat, message: &[u8]) -> Result<Received, WireError> {
        let mut received = Received::default();
        for piece in said(message) {
            match piece? {
                Said::Inputs(inputs) => {
                    // The newest come first, and most have come before: those behind one that has have, too.
                    let Some(chair) = self.chair(seat) else { continue };
                    let news = inputs.iter().take_while(|(tick, _)| chair.is_new(*tick));
                    let mut all = [(0, &[][..]); INPUTS_MAX];
                    let count = all.iter_mut().zip(news).map(|(to, input)| *to = input).count();
                    // The oldest first.
                    for &(tick, input) in all[..count].iter().rev() {
                        received.input |= self.input(seat, tick, input);
                    }
                }
                Said::Message(channel, bytes) => self.message(seat, channel, bytes),
                Said::Confirm(low) => {
                    received.confirmed = true;
                    self.confirm(seat, low);
                }
                Said::Farewell => {
                    received.farewell = true;
                    return Ok(received);
                }
            }
        }
        Ok(received)
    }

    /// What a seat is told behind a tick, as it travels, by a connection that keeps up: for tests of rooms. Empty if nobody
    /// is there.
    pub fn tell(&mut self, seat: Seat) -> Vec<u8> {
        let mut out = Vec::new();
        if self.is_here(seat) {
            let input = self.input_done(seat).unwrap_or_default() as u16;
            Head { tick: self.core.tick as u16, input, age_ms: 255 }.put(&mut out);
            self.pack(seat, usize::MAX, Free::ALL, false, &mut out);
        }
        out
    }

    /// A seat's snapshot of a tick has come; these are the lowest 16 bits of it.
    pub fn confirm(&mut self, seat: Seat, tick_low: u16) {
        if let Some(chair) = self.core.chairs.get_mut(usize::from(seat.0)).filter(|chair| chair.here) {
            chair.shown.confirm(tick_low, &mut self.core.spare.ids);
        }
    }

    /// The connection of a seat has ended; it stays taken.
    pub fn away(&mut self, seat: Seat) {
        let is_player = !self.is_spectator(seat);
        let Some(chair) = self.chair(seat).filter(|chair| chair.here) else { return };
        (chair.here, chair.away) = (false, true);
        chair.forget_connection();
        if is_player {
            self.core.record(|recorder| recorder.away(seat));
            self.room.away(&mut Play::new(&mut self.core), seat);
        }
    }

    /// Whoever has a seat is back, or comes from elsewhere.
    pub fn back(&mut self, seat: Seat) {
        let is_player = !self.is_spectator(seat);
        let Some(chair) = self.chair(seat).filter(|chair| chair.away) else { return };
        (chair.here, chair.away) = (true, false);
        if is_player {
            self.core.record(|recorder| recorder.back(seat));
            self.room.back(&mut Play::new(&mut self.core), seat);
        }
    }

    /// A seat becomes free.
    pub fn leave(&mut self, seat: Seat, why: Leave) {
        let Some(chair) = self.chair(seat).filter(|chair| chair.taken()) else { return };
        let joined = chair.joined;
        chair.clear();
        if joined {
            self.core.record(|recorder| recorder.leave(seat, why));
            self.room.leave(&mut Play::new(&mut self.core), seat, why);
        }
    }

    /// The next tick, with the inputs and timers in front of it, and the frame behind it. Of ticks that are not newer
    /// than the last nothing is made.
    pub fn tick(&mut self, n: u64) {
        if n <= self.core.tick || self.core.over {
            return;
        }
        let mut input = std::mem::take(&mut self.core.spare.input);
        for at in 0..usize::from(self.core.spec.players_max) {
            for _ in 0..self.core.chairs[at].inputs_due() {
                let Some(client_tick) = self.core.chairs[at].inputs.pop(&mut input) else { break };
                self.core.chairs[at].done = Some(client_tick);
                self.give_input(Seat(at as u16), client_tick, &input);
            }
        }
        self.core.spare.input = input;
        // Behind the inputs: what a room is told of them is the tick before, as in a replay.
        self.core.tick = n;
        self.core.record(|recorder| recorder.tick(n));
        while let Some(tag) = self.core.timers.due(n) {
            self.room.timer(&mut Play::new(&mut self.core), tag);
        }
        self.room.tick(&mut Play::new(&mut self.core), n);
        self.counts.ticks += 1;
        if let Some(history) = &mut self.core.history {
            history.add(n, |frame| self.room.frame(frame));
        }
        if self.counts.ticks.is_multiple_of(HASH_EVERY) && self.core.recorder.is_some() {
            let hash = self.room.hash();
            self.core.record(|recorder| recorder.hash(hash));
        }
    }

    /// What a replay has instead of `input`: it was taken out of those that wait when it was recorded.
    pub(crate) fn give_input(&mut self, seat: Seat, client_tick: u32, input: &[u8]) {
        self.counts.inputs += 1;
        self.core.record(|recorder| recorder.input(seat, client_tick, input));
        self.room.input(&mut Play::new(&mut self.core), seat, client_tick, input);
    }

    /// The server stops: the room is told, and lets nobody in any more.
    pub fn stop(&mut self) {
        self.core.record(|recorder| recorder.stop());
        self.room.stop(&mut Play::new(&mut self.core));
        self.core.locked = true;
    }

    /// What may wait for a seat from now on.
    pub(crate) fn set_bounds(&mut self, bounds: Bounds) {
        self.core.bounds = bounds;
    }

    /// Everybody leaves, and the room closes. Its hash then.
    pub fn close(&mut self) -> u64 {
        for at in 0..self.core.chairs.len() {
            self.leave(Seat(at as u16), Leave::Closed);
        }
        self.core.over = true;
        self.room.close(&mut Play::new(&mut self.core));
        let hash = self.room.hash();
        self.core.record(|recorder| recorder.close(hash));
        hash
    }

    fn chair(&mut self, seat: Seat) -> Option<&mut Chair> {
        self.core.chairs.get_mut(usize::from(seat.0))
    }

    /// The number that tells whether two rooms are in the same state.
    pub fn hash(&self) -> u64 {
        self.room.hash()
    }

    /// The frame behind the last tick; `None` without a schema, and before the first tick.
    pub fn frame(&self) -> Option<&Frame> {
        self.core.history.as_ref()?.newest()
    }

    /// Whether the room wants to close.
    pub fn is_over(&self) -> bool {
        self.core.over
    }

    /// Whether it lets nobody in.
    pub fn is_locked(&self) -> bool {
        self.core.locked
    }

    /// The last tick.
    pub fn now(&self) -> u64 {
        self.core.tick
    }

    /// What it has counted.
    pub fn counts(&self) -> Counts {
        Counts { dropped: self.core.dropped, ..self.counts }
    }

    /// Whether somebody has this seat and is here.
    pub fn is_here(&self, seat: Seat) -> bool {
        self.core.chairs.get(usize::from(seat.0)).is_some_and(|chair| chair.here)
    }

    /// Whether somebody has this seat.
    pub fn is_taken(&self, seat: Seat) -> bool {
        self.core.chairs.get(usize::from(seat.0)).is_some_and(Chair::taken)
    }

    /// The next seat that is to be given up, and what it is told. Whoever asks sees to it that it
    /// [leaves](Stage::leave).
    pub(crate) fn take_doomed(&mut self) -> Option<(Seat, Leave, String)> {
        self.core.chairs.iter_mut().enumerate().find_map(|(at, chair)| {
            let (why, text) = chair.doom.take()?;
            Some((Seat(at as u16), why, text))
        })
    }

    /// What is recorded so far and not taken yet.
    pub(crate) fn recorder(&mut self) -> Option<&mut Recorder> {
        self.core.recorder.as_mut()
    }

    /// Stops recording.
    pub(crate) fn stop_recording(&mut self) {
        self.core.recorder = None;
    }

    /// The lowest bits of the last input of a seat's that was given to the room.
    pub(crate) fn input_done(&self, seat: Seat) -> Option<u32> {
        self.core.chairs.get(usize::from(seat.0))?.done
    }

    /// Writes the welcome of a seat.
    pub(crate) fn welcome(&self, seat: Seat, room: &str, out: &mut Vec<u8>) {
        let spec = &self.core.spec;
        let welcome =
            Welcome { seat, hz: spec.hz as u8, players_max: spec.players_max, tick: self.core.tick, room };
        welcome.put(out);
    }

    /// Moves to `out` what waits for a seat, as pieces: what must come up to `allowed` bytes, and what the way is free for, and
    /// then, if that is left of it, the snapshot of the last tick and what else may be lost. `silent`: the seat does not
    /// tell what has come, so no snapshot. Whether one was left out.
    pub(crate) fn pack(
        &mut self,
        seat: Seat,
        allowed: usize,
        free: Free,
        silent: bool,
        out: &mut Vec<u8>,
    ) -> Packed {
        let mut packed = Packed::default();
        let Some(chair) = self.core.chairs.get_mut(usize::from(seat.0)).filter(|chair| chair.here) else {
            return packed;
        };
        if free.congested {
            self.core.dropped += u64::from(chair.outbox.drop_fleeting());
            packed.stale = self.core.history.is_some();
            return packed;
        }
        let before = out.len();
        if !chair.outbox.is_empty() {
            let spare = &mut self.core.spare.messages;
            if free.reliable > 0 {
                chair.outbox.take_reliable(allowed.min(free.reliable), out, spare);
            }
            let left = allowed.saturating_sub(out.len() - before);
            self.core.dropped += u64::from(!chair.outbox.take_fleeting(left, out, spare));
        }
        if !silent && out.len() - before < allowed {
            self.snapshot(seat, out);
        } else {
            packed.stale = self.core.history.is_some();
        }
        packed
    }

    fn snapshot(&mut self, seat: Seat, out: &mut Vec<u8>) {
        let Some(history) = &mut self.core.history else { return };
        let eye = match self.core.spec.players_max {
            players_max if seat.0 >= players_max => Eye::All,
            _ => self.room.eye(seat),
        };
        let Some(newest) = history.newest_mut() else { return };
        let Spares { seen, known, body, shared, ids: spare, .. } = &mut self.core.spare;
        if eye == Eye::Shut {
            return;
        }
        let all = eye == Eye::All;
        let few = newest.seen_of_few(eye);
        if few.is_none() && !all {
            newest.sort();
            newest.seen(eye, seen);
        }
        let Some(frame) = history.newest() else { return };
        let chair = &mut self.core.chairs[usize::from(seat.0)];
        let old = chair.shown.baseline().and_then(|(tick, saw)| {
            // What is further back than a byte tells is of no use: ticks may have been skipped.
            let old = history.at(tick).filter(|old| (1..256).contains(&(frame.tick() - old.tick())))?;
            Some((old, saw))
        });
        self.counts.snapshots += 1;
        self.counts.snapshots_whole += u64::from(old.is_none());
        body.clear();
        match (few, old.and_then(|(old, saw)| Some((old, saw.bits(old)?)))) {
            // As mostly: of who was there before, nobody has gone, and nobody has come.
            (Some(few), Some((old, bits))) if old.ids() == frame.ids() => {
                write_few(frame, few, old, bits, shared, body);
            }
            _ => {
                if let Some(few) = few.filter(|_| !all) {
                    frame.names(few, seen);
                }
                let baseline = old.map(|(old, saw)| Baseline { frame: old, ids: saw.names(old, known) });
                write(frame, if all { frame.ids() } else { seen }, baseline, shared, body);
            }
        }
        put_piece(out, SNAPSHOT, body);
        let saw = match few {
            _ if all => Saw::ALL,
            Some(few) => Saw::Bits(few),
            None => Saw::of(frame, seen, spare),
        };
        chair.shown.show(history, saw, spare);
    }
}

/// What was in a message of a seat's.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Received {
    /// An input that had not come before.
    pub input: bool,
    /// A snapshot has come.
    pub confirmed: bool,
    /// They leave.
    pub farewell: bool,
}

/// What was left out of a message.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Packed {
    /// The snapshot of this tick.
    pub(crate) stale: bool,
}

/// Ticks between two hashes in a record.
const HASH_EVERY: u64 = 64;

#[cfg(test)]
mod tests;

//! One room of a worker: its stage, its pace, and whose seats there are.

use std::time::Duration;

use windlass::Time;

use super::place::{Holder, Place};
use crate::config::RecordSink;
use crate::ids::RoomId;
use crate::lateness::Lateness;
use crate::pace::Pace;
use crate::room::Seat;
use crate::stage::Stage;
use crate::stats::{Figures, GameStats, Slot};
use crate::wire::{Head, WireError};

pub(super) struct Running {
    pub(super) id: RoomId,
    pub(super) kind: usize,
    pub(super) stage: Stage,
    pub(super) pace: Pace,
    pub(super) places: Vec<Place>,
    pub(super) lateness: Lateness,
    pub(super) overruns: u64,
    /// The longest tick.
    pub(super) longest: Duration,
    pub(super) locked: bool,
    pub(super) opened: Time,
    /// By when it is over, since the server stops.
    pub(super) stop_by: Option<Time>,
    /// Where its record goes.
    pub(super) sink: Option<RecordSink>,
    pub(super) recorded: bool,
    /// When somebody was last told that it overran.
    pub(super) told_at: Option<Time>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// Where it stands on the board.
    pub(super) slot: Slot,
    empty_since: Option<Time>,
}

impl Running {
    pub(super) fn new(id: RoomId, kind: usize, stage: Stage, now: Time) -> Running {
        let spec = stage.spec();
        // Of spectators when one comes: most rooms have none.
        let seats = usize::from(spec.players_max);
        let pace = Pace::new(now, spec.hz);
        Running {
            id,
            kind,
            stage,
            pace,
            places: std::iter::repeat_with(Place::default).take(seats).collect(),
            lateness: Lateness::default(),
            overruns: 0,
            longest: Duration::ZERO,
            locked: false,
            opened: now,
            stop_by: None,
            sink: None,
            recorded: false,
            told_at: None,
            bytes_in: 0,
            bytes_out: 0,
            slot: Slot::default(),
            empty_since: Some(now),
        }
    }

    /// The place of a seat, if the room has it.
    pub(super) fn place_mut(&mut self, seat: Seat) -> Option<&mut Place> {
        let (at, spec) = (usize::from(seat.0), self.stage.spec());
        if at >= usize::from(spec.players_max) + usize::from(spec.spectators_max) {
            return None;
        }
        if self.places.len() <= at {
            self.places.resize_with(at + 1, Place::default);
        }
        self.places.get_mut(at)
    }

    /// What stands in front of every message.
    pub(super) fn head(&self, seat: Seat, age_ms: u8, out: &mut Vec<u8>) {
        let input = self.stage.input_done(seat).unwrap_or_default() as u16;
        Head { tick: self.stage.now() as u16, input, age_ms }.put(out);
    }

    /// Whatever a seat says; true if it says farewell.
    pub(super) fn received(&mut self, seat: Seat, message: &[u8], now: Time) -> Result<bool, WireError> {
        let received = self.stage.received(seat, message)?;
        let place = &mut self.places[usize::from(seat.0)];
        if received.input {
            place.input_at = now;
        }
        if received.confirmed {
            place.unconfirmed = 0;
        }
        Ok(received.farewell)
    }

    /// A seat is sent a message of so many bytes.
    pub(super) fn count_sent(&mut self, at: usize, len: usize, stats: &mut GameStats) {
        let len = len as u64;
        let counts = &mut self.places[at].counts;
        (counts.messages_out, counts.bytes_out) = (counts.messages_out + 1, counts.bytes_out + len);
        (stats.messages_out, stats.bytes_out) = (stats.messages_out + 1, stats.bytes_out + len);
        self.bytes_out += len;
    }

    /// Since when nobody is in it, and nobody expected.
    pub(super) fn idle_since(&mut self, now: Time) -> Option<Time> {
        if self.places.iter().all(Place::is_free) {
            Some(*self.empty_since.get_or_insert(now))
        } else {
            self.empty_since = None;
            None
        }
    }

    /// Whether nobody is here.
    pub(super) fn is_deserted(&self) -> bool {
        self.places.iter().all(|place| place.way.is_none())
    }

    /// What the board says of it.
    pub(super) fn figures(&self, now: Time) -> Figures {
        let (players, spectators) = self.places.split_at(self.stage.spec().players_max.into());
        let there = |place: &&Place| matches!(place.holder, Holder::Here | Holder::Away(_));
        Figures {
            room: self.id,
            kind: self.kind,
            hz: self.pace.hz(),
            players: players.iter().filter(there).count() as u64,
            players_max: players.len() as u64,
            spectators: spectators.iter().filter(there).count() as u64,
            here: self.places.iter().filter(|place| place.way.is_some()).count() as u64,
            age: now.since(self.opened),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            ticks: self.stage.counts().ticks,
            skipped: self.pace.skipped(),
            overruns: self.overruns,
            longest: self.longest,
            lateness: self.lateness,
        }
    }
}

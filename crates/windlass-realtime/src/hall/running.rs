//! One room of a worker: its stage, its pace, and whose seats there are.

use std::time::Duration;

use windlass::Time;

use super::place::{Holder, Place};
use crate::ids::RoomId;
use crate::lateness::Lateness;
use crate::pace::Pace;
use crate::room::Seat;
use crate::stage::Stage;
use crate::stats::{Figures, Slot};
use crate::wire::{Head, INPUTS_MAX, Said, WireError, said};

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
    pub(super) recorded: bool,
    /// Where it stands on the board.
    pub(super) slot: Slot,
    empty_since: Option<Time>,
}

impl Running {
    pub(super) fn new(id: RoomId, kind: usize, stage: Stage, now: Time) -> Running {
        let spec = stage.spec();
        let seats = usize::from(spec.players_max) + usize::from(spec.spectators_max);
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
            recorded: false,
            slot: Slot::default(),
            empty_since: Some(now),
        }
    }

    /// What stands in front of every message.
    pub(super) fn head(&self, seat: Seat, age_ms: u8, out: &mut Vec<u8>) {
        let input = self.stage.input_done(seat).unwrap_or_default() as u16;
        Head { tick: self.stage.now() as u16, input, age_ms }.put(out);
    }

    /// Whatever a seat says; true if it says farewell.
    pub(super) fn received(&mut self, seat: Seat, message: &[u8], now: Time) -> Result<bool, WireError> {
        for piece in said(message) {
            match piece? {
                Said::Inputs(inputs) => {
                    // The oldest first.
                    let mut all = [(0, &[][..]); INPUTS_MAX];
                    let count = all.iter_mut().zip(inputs.iter()).map(|(to, input)| *to = input).count();
                    for &(tick, input) in all[..count].iter().rev() {
                        if self.stage.input(seat, tick, input) {
                            self.places[usize::from(seat.0)].input_at = now;
                        }
                    }
                }
                Said::Message(channel, bytes) => self.stage.message(seat, channel, bytes),
                Said::Confirm(low) => {
                    self.places[usize::from(seat.0)].unconfirmed = 0;
                    self.stage.confirm(seat, low);
                }
                Said::Farewell => return Ok(true),
            }
        }
        Ok(false)
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

    /// What the board says of it.
    pub(super) fn figures(&self) -> Figures {
        let players = self.places.iter().take(self.stage.spec().players_max.into());
        let there = |place: &&Place| matches!(place.holder, Holder::Here | Holder::Away(_));
        Figures {
            room: self.id,
            kind: self.kind,
            hz: self.pace.hz(),
            players: players.filter(there).count() as u64,
            ticks: self.stage.counts().ticks,
            skipped: self.pace.skipped(),
            overruns: self.overruns,
            longest: self.longest,
            lateness: self.lateness,
        }
    }
}

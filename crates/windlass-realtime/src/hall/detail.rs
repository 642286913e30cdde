//! One room as somebody outside sees it.

use std::time::Duration;

use windlass::Time;

use super::place::{Holder, Place, Way};
use super::{Hall, Reach};
use crate::ids::RoomId;
use crate::inspect::{RoomDetail, SeatEntry, SeatState};

impl Hall {
    /// All about a room, if it is here.
    pub(crate) fn detail(&self, id: RoomId, now: Time, reach: &mut dyn Reach) -> Option<RoomDetail> {
        let running = self.rooms.get(&id)?;
        let (stage, spec, lateness) = (&running.stage, running.stage.spec(), &running.lateness);
        let counts = stage.counts();
        let mut seats = Vec::new();
        for (at, place) in running.places.iter().enumerate() {
            let (state, until) = match place.holder {
                Holder::Nobody => continue,
                Holder::Kept(until) => (SeatState::Kept, Some(until)),
                Holder::Here => (SeatState::Here, None),
                Holder::Away(until) => (SeatState::Away, Some(until)),
            };
            seats.push(entry(at, place, state, until, now, reach));
            if let Some(entry) = seats.last_mut() {
                entry.spectator = at >= usize::from(spec.players_max);
            }
        }
        Some(RoomDetail {
            room: id.to_string(),
            kind: self.kind(running.kind).name.clone(),
            age_seconds: seconds(now.since(running.opened)),
            hz: running.pace.hz(),
            tick: stage.now(),
            ticks: counts.ticks,
            skipped: running.pace.skipped(),
            overruns: running.overruns,
            longest_seconds: seconds(running.longest),
            lateness_seconds: [lateness.quantile(0.5), lateness.quantile(0.99), lateness.max()].map(seconds),
            players_max: spec.players_max,
            spectators_max: spec.spectators_max,
            locked: stage.is_locked(),
            stopping: running.stop_by.is_some(),
            recorded: running.sink.is_some(),
            inputs: counts.inputs,
            inputs_dropped: counts.inputs_dropped,
            snapshots: counts.snapshots,
            snapshots_whole: counts.snapshots_whole,
            messages_lost: counts.dropped,
            bytes_in: running.bytes_in,
            bytes_out: running.bytes_out,
            seats,
        })
    }
}

fn entry(
    at: usize,
    place: &Place,
    state: SeatState,
    until: Option<Time>,
    now: Time,
    reach: &mut dyn Reach,
) -> SeatEntry {
    let counts = &place.counts;
    let guest = place.guest.as_deref().cloned().unwrap_or_default();
    let (address, waiting) = place.way.map(|way| reach.shown(way)).unwrap_or_default();
    SeatEntry {
        seat: at as u16,
        spectator: false,
        state,
        name: guest.name,
        subject: guest.subject,
        address,
        gateway: place.way.map(Way::name),
        since_seconds: seconds(now.since(counts.since)),
        until_seconds: until.map(|until| seconds(until.since(now))),
        waiting,
        messages_in: counts.messages_in,
        bytes_in: counts.bytes_in,
        messages_dropped: counts.messages_dropped,
        messages_out: counts.messages_out,
        bytes_out: counts.bytes_out,
        snapshots_stale: counts.stale,
    }
}

fn seconds(of: Duration) -> f64 {
    of.as_secs_f64()
}

//! What a room may do in a callback.

use std::fmt::Write as _;

use crate::channel::Channel;
use crate::room::Seat;
use crate::snapshot::Frame;
use crate::stage::Core;

/// The room's side of its players, lent to a callback. What is sent leaves behind the next tick.
pub struct Play<'a> {
    core: &'a mut Core,
}

impl<'a> Play<'a> {
    pub(crate) fn new(core: &'a mut Core) -> Play<'a> {
        Play { core }
    }

    /// The last tick that was begun; 0 before the first.
    pub fn tick(&self) -> u64 {
        self.core.tick
    }

    /// Ticks a second.
    pub fn hz(&self) -> u32 {
        self.core.spec.hz
    }

    /// Seats of players.
    pub fn players_max(&self) -> u16 {
        self.core.spec.players_max
    }

    /// The seats of players that are taken, those whose players are away included.
    pub fn players(&self) -> impl Iterator<Item = Seat> + '_ {
        let players = self.core.chairs.iter().take(self.core.spec.players_max.into());
        let taken = players.enumerate().filter(|(_, chair)| chair.joined);
        taken.map(|(at, _)| Seat(at as u16))
    }

    /// Sends a message to one seat. One that is free gets nothing.
    ///
    /// What a seat does not read is kept up to [`Bounds`](crate::GameConfig::reliable_max); a seat that has no room for
    /// a reliable message is given up, as [`Leave::Slow`](crate::Leave::Slow).
    pub fn send(&mut self, seat: Seat, channel: Channel, message: &[u8]) {
        self.core.send(seat, channel, message);
    }

    /// Sends a message to everybody, spectators included.
    pub fn send_all(&mut self, channel: Channel, message: &[u8]) {
        for at in 0..self.core.chairs.len() {
            self.core.send(Seat(at as u16), channel, message);
        }
    }

    /// Sends a message to everybody but one.
    pub fn send_all_but(&mut self, seat: Seat, channel: Channel, message: &[u8]) {
        for at in 0..self.core.chairs.len() {
            if at != usize::from(seat.0) {
                self.core.send(Seat(at as u16), channel, message);
            }
        }
    }

    /// Calls [`Room::timer`](crate::Room::timer) with `tag` in front of the tick that is so many ticks ahead, at least one.
    /// Timers of one tick come in the order they were set. False if there are [`Play::TIMERS_MAX`] already.
    pub fn after(&mut self, ticks: u64, tag: u64) -> bool {
        let at = self.core.tick.saturating_add(ticks.max(1));
        self.core.timers.set(at, tag)
    }

    /// Takes back the timers with this tag.
    pub fn cancel(&mut self, tag: u64) {
        self.core.timers.cancel(tag);
    }

    /// Timers of one room.
    pub const TIMERS_MAX: usize = 4_096;

    /// Random bits, of the room's seed: the same in a replay.
    pub fn random(&mut self) -> u64 {
        self.core.random.next_u64()
    }

    /// A random number below `n`, each as likely as the others; 0 if `n` is.
    pub fn below(&mut self, n: u64) -> u64 {
        self.core.random.below(n)
    }

    /// A random number from `low` to `high`, both included.
    pub fn between(&mut self, low: i32, high: i32) -> i32 {
        self.core.random.between(low, high)
    }

    /// The world as it was behind an earlier tick: what a player saw when they shot. The last frame no later than
    /// `tick`, and never more than 250 ms back, since others are hit where they were then. `None` without a schema, and
    /// before the first frame.
    pub fn past(&self, tick: u64) -> Option<&Frame> {
        self.core.history.as_ref()?.past(tick)
    }

    /// Has a player leave, and tells them why.
    pub fn kick(&mut self, seat: Seat, why: &str) {
        if let Some(chair) = self.core.chairs.get_mut(usize::from(seat.0)).filter(|chair| chair.taken()) {
            chair.doom.get_or_insert((crate::room::Leave::Kicked, short(why)));
        }
    }

    /// Closes the room, behind this callback: everybody leaves, as [`Leave::Closed`](crate::Leave::Closed).
    pub fn end(&mut self) {
        self.core.over = true;
    }

    /// Lets nobody in any more, or lets them in again: matchmaking passes a locked room by.
    pub fn lock(&mut self, locked: bool) {
        self.core.locked = locked;
    }
}

/// At most so many bytes of text, cut between two characters.
fn short(text: &str) -> String {
    const MAX: usize = crate::wire::END_MAX;
    let mut out = String::new();
    for c in text.chars().take_while(|c| !c.is_control()) {
        if out.len() + c.len_utf8() > MAX {
            break;
        }
        // Into a string nothing fails.
        let _ = out.write_char(c);
    }
    out
}

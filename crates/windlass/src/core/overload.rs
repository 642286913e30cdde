//! Noticing that a worker cannot keep up, and how far its memory has filled.
//!
//! **Lag** is how long something that became ready just after one poll may have waited until it was
//! handled: from that poll's return to the end of the turn's handling. When a poll came back with a full
//! batch, more may wait behind it, so the lag goes on over the next turns, until a poll is not full, or until
//! so many events were taken that everything that was ready then must have been among them. A connection is
//! in the poll's list once, so that is one event for each.
//!
//! A worker is **overloaded** when the least lag over a whole interval stayed above a maximum, which is how
//! CoDel (RFC 8289) tells a queue that stands from a burst that passes: one slow turn, or a thousand
//! newcomers at once, is no overload. What stays is the state; what is refused because of it is decided turn
//! by turn, by how long this one has lasted already: work that is taken on is worth something only while its
//! client still waits for it, and a worker that is idle has no reason to refuse anything.
//!
//! Nothing here reads a clock: the worker's two readings a turn are enough.

use std::cell::Cell;
use std::time::Duration;

use windlass_proto::Time;

use crate::config::Limits;
use crate::planted::{Fault, planted};

/// How full a worker's memory for queued bytes is: nothing is done about it, ...
pub(crate) const CALM: u8 = 0;
/// ... from 80 % on idle and stalled connections have half the time, ...
#[cfg(test)]
pub(crate) const LOW: u8 = 1;
/// ... from 90 % on nobody is let in, and connections that hold bytes and do nothing with them go, ...
pub(crate) const SHORT: u8 = 2;
/// ... and from 95 % on those that hold the most, until it is below 90 %.
pub(crate) const CRITICAL: u8 = 3;

/// Percent at which each step begins; it ends this much lower.
const STEPS: [usize; 3] = [80, 90, 95];
const STEP_ENDS_BELOW: usize = 5;

/// How late a worker is, and what it does about it.
pub(crate) struct Overload {
    /// When what is being handled was ready, at the earliest: on the clock, and on the coarse one.
    since: Time,
    since_coarse: Time,
    /// Turns until all that was ready then must have been handled; 0: it is with this one.
    turns_left: usize,
    /// The least lag of this interval, and when that began.
    least: Duration,
    began: Time,
    /// Somebody was refused something in this interval.
    refused: Cell<bool>,
    /// How often services were told to refuse, in this turn.
    pub(crate) told: Cell<u64>,
    /// The last complete lag, and the least of the last complete interval.
    pub(crate) lag: Duration,
    pub(crate) lag_min: Duration,
    pub(crate) active: bool,
    /// Services are told that it is, whatever is measured: for their tests.
    pub(crate) pretended: bool,
    /// When it became so, or was last counted.
    counted: Time,
    /// The coarse clock after the last callback.
    pub(crate) coarse: Time,
    /// How full the memory is.
    pub(crate) memory: u8,
    /// Where the walk over the connections is, if one is on.
    pub(crate) walk: Walk,
}

/// A walk over the connections, a bounded part of it in each turn.
#[derive(Default)]
pub(crate) struct Walk {
    /// Deadlines have become earlier: timers up to here know.
    pub(crate) rearm: Option<u32>,
    /// Memory is short: connections that hold some of it are looked for, and were up to here.
    pub(crate) seeks: bool,
    pub(crate) at: u32,
    /// When it goes on, if not at once.
    pub(crate) again: Option<Time>,
    /// Who holds less than this is left alone in this round.
    pub(crate) floor: usize,
    /// Somebody was found in this round.
    pub(crate) found: bool,
}

impl Walk {
    /// There is more of it to do at once.
    pub(crate) fn is_on(&self) -> bool {
        self.rearm.is_some() || (self.seeks && self.again.is_none())
    }
}

impl Overload {
    pub(crate) fn new(now: Time) -> Overload {
        Overload {
            since: now,
            since_coarse: now,
            turns_left: 0,
            least: Duration::MAX,
            began: now,
            refused: Cell::new(false),
            told: Cell::new(0),
            lag: Duration::ZERO,
            lag_min: Duration::ZERO,
            active: false,
            pretended: false,
            counted: now,
            coarse: now,
            memory: CALM,
            walk: Walk::default(),
        }
    }

    /// A poll has come back at `now`, after `slept`, with `events`; `batch` is the most it reports, and
    /// `sources` how many things can be ready.
    pub(crate) fn begin_turn(
        &mut self,
        (now, coarse): (Time, Time),
        slept: Duration,
        (events, batch, sources): (u64, usize, u64),
        limits: &Limits,
    ) {
        self.coarse = coarse;
        if slept > limits.overload_lag_max / 8 {
            // Whoever has time to sleep has kept up: nothing stands in front of it.
            self.least = Duration::ZERO;
        }
        let first = self.turns_left == 0;
        if first {
            (self.since, self.since_coarse) = (now, coarse);
        }
        self.turns_left = if (events as usize) < batch {
            0
        } else if first {
            (sources as usize).div_ceil(batch.max(1))
        } else {
            self.turns_left - 1
        };
    }

    /// The turn has ended at `now`; `waited` is how long newcomers have waited to be accepted. Tells whether
    /// the state has changed.
    pub(crate) fn end_turn(&mut self, now: Time, waited: Duration, limits: &Limits) -> bool {
        if self.told.get() > 0 {
            self.refused.set(true);
        }
        if self.turns_left == 0 {
            self.lag = now.since(self.since).max(waited);
            self.least = self.least.min(self.lag);
        }
        let most = limits.overload_lag_max;
        if most.is_zero() {
            return std::mem::take(&mut self.active);
        }
        if now.since(self.began) < limits.overload_interval || self.least == Duration::MAX {
            return false;
        }
        let before = self.active;
        if !self.active {
            self.active = self.least > most;
        } else if self.least < most / 2 && !self.refused.get() && !planted(Fault::OverloadForEver) {
            self.active = false;
        }
        self.lag_min = self.least;
        (self.least, self.began) = (Duration::MAX, now);
        self.refused.set(false);
        if self.active && !before {
            self.counted = now;
        }
        before != self.active
    }

    /// How long it has been overloaded since this was last asked.
    pub(crate) fn take_overloaded(&mut self, now: Time) -> Duration {
        if !self.active {
            return Duration::ZERO;
        }
        let passed = now.since(self.counted);
        self.counted = now;
        passed
    }

    /// Overloaded, and so far behind that what is taken on now would be late: whoever can be refused should
    /// be. Half of the maximum, so that together with the turn before it stays about there.
    #[inline]
    pub(crate) fn is_late(&self, limits: &Limits) -> bool {
        self.active
            && (self.coarse.since(self.since_coarse) >= limits.overload_lag_max / 2
                || planted(Fault::OverloadForEver))
    }

    /// The same, for who will refuse something then.
    pub(crate) fn refuses(&self, limits: &Limits) -> bool {
        let late = self.pretended || self.is_late(limits);
        if late {
            self.told.set(self.told.get() + 1);
        }
        late
    }

    /// Somebody was sent away, or kept waiting.
    pub(crate) fn note_refused(&self) {
        self.refused.set(true);
    }

    /// Of how many parts of its idle timeout a connection has one.
    pub(crate) fn idle_divisor(&self, limits: &Limits) -> u32 {
        let overloaded = if self.active { limits.overload_idle_divisor.max(1) } else { 1 };
        overloaded.max([1, 2, 8, 8][usize::from(self.memory)])
    }

    /// The same of the time for which its output may be stuck.
    pub(crate) fn stall_divisor(&self) -> u32 {
        if self.memory == CALM { 1 } else { 2 }
    }

    /// What `buffered` bytes of `most` are.
    pub(crate) fn memory_step(&self, buffered: usize, most: usize) -> u8 {
        let percent = |n: usize| (most / 100).saturating_mul(n) + (most % 100) * n / 100;
        let mut step = CALM;
        for (n, begins) in STEPS.into_iter().enumerate() {
            let held = usize::from(self.memory) > n;
            if buffered >= percent(if held { begins - STEP_ENDS_BELOW } else { begins }).max(1) {
                step = n as u8 + 1;
            }
        }
        step
    }
}

#[cfg(test)]
mod tests;

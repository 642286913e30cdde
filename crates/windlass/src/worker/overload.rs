//! What a worker does that is short of time or memory: whom it lets in, and whom it ends first.
//!
//! `core/overload.rs` tells that it is. Services are told when they ask; here is what the engine does by
//! itself. The order of giving up: newcomers first, since those who are in are likelier to be somebody and
//! have cost something already; then the idle; then whoever holds the most.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use windlass_proto::Time;

use crate::close::Close;
use crate::config::WhenOverloaded;
use crate::core::overload::{CALM, CRITICAL, SHORT};
use crate::core::slot::flag;
use crate::sys::{Sys, accept_error};

use super::Worker;
use super::accept::Tried;

/// Connections looked at in one turn, for deadlines that have become earlier or for what they hold.
const WALK_MAX: u32 = 2_048;
/// Of these at most so many are ended for what they hold.
const VICTIMS: usize = 8;
/// Short of memory, who holds some and has been silent for this long is idle.
const IDLE_HOLDING: Duration = Duration::from_secs(1);
/// How often all are looked at again while memory stays short.
const WALK_EVERY: Duration = Duration::from_millis(250);

/// How newcomers of a listener find it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Door {
    Open,
    Shut,
    Shed,
}

impl<Y: Sys> Worker<Y> {
    // --- Lag.

    /// A poll has come back at `now`, and had counted `seen` events before it.
    pub(super) fn begin_lag(&mut self, seen: u64, now: Time) {
        let core = &mut self.core;
        let events = core.counters.events - seen;
        let sources = core.counters.connections + core.counters.sockets;
        let slept = now.since(self.turn_ended);
        let batch = self.io.sys.batch_max();
        core.overload.begin_turn((now, self.coarse), slept, (events, batch, sources), &core.limits);
    }

    /// The turn has ended at `now`: is it overloaded, has it been?
    pub(super) fn end_lag(&mut self, now: Time) {
        if self.core.overload.memory != CALM {
            // What the turn has given back may be enough, and there may be no other turn for long.
            self.look_at_memory();
        }
        let waited = self.acceptors.iter().map(|acceptor| acceptor.waited).max().unwrap_or_default();
        let core = &mut self.core;
        let divisor = core.overload.idle_divisor(&core.limits);
        let changed = core.overload.end_turn(now, waited, &core.limits);
        core.counters.refused_overload += core.overload.told.take();
        core.counters.overloaded_nanos += core.overload.take_overloaded(now).as_nanos() as u64;
        core.counters.lag_nanos = core.overload.lag.as_nanos() as u64;
        core.counters.lag_min_nanos = core.overload.lag_min.as_nanos() as u64;
        core.counters.overloaded = u64::from(core.overload.active);
        if changed && core.overload.active {
            core.counters.overloads += 1;
        }
        if changed && core.overload.idle_divisor(&core.limits) > divisor {
            core.overload.walk.rearm = Some(0);
        }
        let late = &self.shared.workers[self.index].late;
        if core.overload.active || late.load(Relaxed) {
            core.overload.coarse = self.io.sys.coarse_now();
            late.store(core.overload.is_late(&core.limits), Relaxed);
        }
    }

    /// Tells services that the worker is overloaded, or not.
    pub(crate) fn pretend_overload(&mut self, overloaded: bool) {
        self.core.overload.pretended = overloaded;
    }

    pub(super) fn is_late(&self) -> bool {
        self.core.overload.is_late(&self.core.limits)
    }

    // --- Newcomers.

    /// Whether newcomers of a listener are let in now.
    pub(super) fn door(&mut self, n: usize) -> Door {
        let overload = &mut self.core.overload;
        let full = overload.memory >= SHORT;
        if overload.active {
            // Not everything in a turn is a callback with a reading of its own.
            overload.coarse = self.io.sys.coarse_now();
        }
        if !(full || overload.active) || self.spares(self.acceptors[n].service) {
            return Door::Open;
        }
        if !full && (!self.is_late() || self.another_is_free()) {
            return Door::Open;
        }
        if self.core.limits.when_overloaded == WhenOverloaded::Shed {
            return Door::Shed;
        }
        self.core.overload.note_refused();
        self.core.counters.accept_paused_overload += 1;
        Door::Shut
    }

    /// Nobody of this service is ever sent away for want of time.
    fn spares(&self, service: u16) -> bool {
        self.services[usize::from(service)].own.never_shed
    }

    /// Newcomers can be given to a worker that keeps up.
    fn another_is_free(&self) -> bool {
        let workers = &self.shared.workers;
        self.shared.config.rebalance_lead > 0
            && (0..workers.len()).any(|n| n != self.index && !workers[n].late.load(Relaxed))
    }

    /// Whether who was placed on `other`, and can be nowhere else, is sent away.
    pub(super) fn sheds_for(&self, other: usize, service: u16) -> bool {
        other != self.index
            && self.core.limits.when_overloaded == WhenOverloaded::Shed
            && !self.spares(service)
            && self.shared.workers.get(other).is_some_and(|worker| worker.late.load(Relaxed))
    }

    pub(super) fn count_shed(&mut self) {
        self.core.overload.note_refused();
        self.core.counters.shed_overload += 1;
    }

    /// Accepts the first who waits, and resets it.
    pub(super) fn shed_one(&mut self, n: usize) -> Tried {
        let Some(listener) = &mut self.acceptors[n].listener else { return Tried::Nobody };
        self.core.counters.accepts += 1;
        match self.io.sys.accept(listener) {
            Ok((stream, _)) => {
                self.count_shed();
                self.io.sys.close(stream, false, true);
                Tried::Shed
            }
            Err(e) => self.accept_failed(n, accept_error(&e)),
        }
    }

    /// Learns how long newcomers wait, where some are left over from the last turn; one who has waited for
    /// too long while the worker is overloaded is as late as one it could not serve in time.
    pub(super) fn has_waited_too_long(&mut self, n: usize, stream: &Y::Stream) -> bool {
        let acceptor = &mut self.acceptors[n];
        let limits = &self.core.limits;
        let sheds = self.core.overload.active && limits.when_overloaded == WhenOverloaded::Shed;
        if !(acceptor.standing || sheds) || limits.overload_lag_max.is_zero() {
            return false;
        }
        // Once a turn is enough to know it.
        acceptor.standing = false;
        let open = self.core.now.since(acceptor.open_since.unwrap_or(self.core.now));
        acceptor.waited = self.io.sys.waited(stream).unwrap_or_default().min(open);
        sheds && acceptor.waited >= limits.overload_lag_max / 2 && !self.spares(self.acceptors[n].service)
    }

    // --- Memory, and deadlines that have become earlier.

    /// Looks at how much is queued, and goes on with the walk over the connections, if there is reason to.
    pub(super) fn relieve(&mut self) {
        self.look_at_memory();
        if self.core.overload.walk.rearm.is_some() {
            self.rearm();
        }
        let walk = &mut self.core.overload.walk;
        if walk.again.is_some_and(|at| at <= self.core.now) {
            walk.again = None;
        }
        // Ends that wait for their turn will give something back: only after them it is known what is missing.
        let ends_wait = self.core.closing.len() >= self.core.limits.closes_per_turn_max;
        if walk.seeks && walk.again.is_none() && !ends_wait {
            self.seek();
        }
    }

    fn look_at_memory(&mut self) {
        let core = &mut self.core;
        let before = core.overload.memory;
        let step = core.overload.memory_step(core.held(), core.limits.buffered_max);
        if step != before {
            self.change_step(before, step);
        }
    }

    fn change_step(&mut self, before: u8, step: u8) {
        let core = &mut self.core;
        let divisor = core.overload.idle_divisor(&core.limits);
        core.overload.memory = step;
        core.counters.memory_step = step.into();
        let counters = &mut core.counters;
        let steps = [&mut counters.memory_low, &mut counters.memory_short, &mut counters.memory_critical];
        for counter in steps.into_iter().take(step.into()).skip(before.into()) {
            *counter += 1;
        }
        let walk = &mut core.overload.walk;
        walk.seeks = step >= SHORT;
        walk.again = None;
        if step > before {
            (walk.at, walk.floor, walk.found) = (0, core.limits.output_high, false);
        }
        if core.overload.idle_divisor(&core.limits) > divisor {
            core.overload.walk.rearm = Some(0);
        }
    }

    /// Timers are armed for deadlines as they were: those that have become earlier are armed anew.
    fn rearm(&mut self) {
        let Some(from) = self.core.overload.walk.rearm else { return };
        let end = self.core.slots.len() as u32;
        let to = end.min(from.saturating_add(WALK_MAX));
        for index in from..to {
            if self.core.slots[index as usize].is(flag::LIVE) {
                self.core.arm(index);
            }
        }
        self.core.overload.walk.rearm = (to < end).then_some(to);
    }

    /// Goes on looking for connections to end: those that hold something and are idle, and if that is not
    /// enough, those that hold the most of those looked at in this turn. Who holds less than its high-water
    /// mark is spared as long as there are others.
    fn seek(&mut self) {
        let critical = self.core.overload.memory == CRITICAL;
        let silent = self.core.tick.wrapping_sub(IDLE_HOLDING.as_millis() as u32);
        let (from, end) = (self.core.overload.walk.at, self.core.slots.len() as u32);
        let to = end.min(from.saturating_add(WALK_MAX));
        let mut most = [(0, 0); VICTIMS];
        let mut freed = 0;
        for index in from..to {
            let held = self.held(index);
            if held == 0 {
                continue;
            }
            if crate::wheel::reached(self.core.slots[index as usize].active, silent) {
                freed += held;
                self.end_for_memory(index);
            } else if critical && held >= self.core.overload.walk.floor.max(most[VICTIMS - 1].0) {
                most[VICTIMS - 1] = (held, index);
                most.sort_unstable_by(|a, b| b.cmp(a));
            }
        }
        let enough = self.core.limits.buffered_max / 10 * 9;
        for (held, index) in most.into_iter().filter(|(held, _)| *held > 0) {
            if self.core.held().saturating_sub(freed) < enough {
                break;
            }
            freed += held;
            self.end_for_memory(index);
        }
        let walk = &mut self.core.overload.walk;
        walk.found |= freed > 0;
        walk.at = if to < end { to } else { 0 };
        if walk.at > 0 {
            return;
        }
        // All have been looked at.
        if critical && !walk.found && walk.floor > 0 {
            walk.floor /= 2;
        } else if !(critical && walk.found) {
            walk.again = Some(self.core.now + WALK_EVERY);
        }
        walk.found = false;
    }

    /// Bytes that ending a connection would give back.
    fn held(&self, index: u32) -> usize {
        let slot = &self.core.slots[index as usize];
        if !slot.is(flag::LIVE) || slot.is(flag::CLOSING) && !slot.is(flag::ENDED) {
            return 0;
        }
        #[cfg(feature = "tls")]
        let in_tls = if slot.is(flag::TLS) { self.core.tls_booked(index) } else { 0 };
        #[cfg(not(feature = "tls"))]
        let in_tls = 0;
        slot.output_len() + slot.input_len() + in_tls
    }

    fn end_for_memory(&mut self, index: u32) {
        self.core.counters.shed_memory += 1;
        if self.core.slot(index).is(flag::ENDED) {
            // Its service was told already: only its last bytes are left.
            self.core.drop_output(index);
            self.core.slot(index).set(flag::EOF | flag::RESET);
            self.core.settle(index);
        } else {
            self.core.close(index, Close::MemoryFull);
        }
    }
}

//! Making connections: begun here, looked at when an event or a timer says so, told to the service.
//!
//! An event is a hint: only the socket knows whether it is connected. `core/connecting.rs` has the
//! state.

use std::io::ErrorKind;

use crate::connect::ConnectError;
use crate::core::slot::{NO_LISTENER, flag};
use crate::core::{Direct, flush};
use crate::id::ConnId;
use crate::planted::{Fault, planted};
use crate::scope::Scope;
use crate::sys::Sys;
use crate::wheel::reached;

use super::Worker;

/// The longest pause before the queue of a Unix listener is tried again, in milliseconds.
const RETRY_MAX: u32 = 64;
/// The longest pause before a socket is asked again that was not connected though an event said so.
/// Another event should come, but not every system sends it.
const ASK_AGAIN_MAX: u32 = 512;

impl<Y: Sys> Worker<Y> {
    /// Tells every service, once, that this worker begins.
    #[inline]
    pub(super) fn start(&mut self) {
        if !std::mem::replace(&mut self.started, true) {
            self.tell_start();
        }
    }

    #[cold]
    fn tell_start(&mut self) {
        for n in 0..self.services.len() {
            self.begin();
            let mut scope = Scope::new(&mut self.core, &mut self.io, n as u16);
            self.services[n].host.start(&mut scope);
            self.check_stall("start", None, n);
        }
    }

    /// Ends those that were decided about, and takes every other connection being made one step on, each within
    /// its budget. What callbacks ask for meanwhile waits for the next turn.
    pub(super) fn connect(&mut self) {
        let closes = self.core.limits.closes_per_turn_max.min(self.core.connecting.decided.len());
        for _ in 0..closes {
            let Some(index) = self.core.connecting.decided.pop_front() else { break };
            if self.core.slot(index).is(flag::CONNECTING)
                && let Some(why) = self.core.attempt(index).verdict.take()
            {
                self.connect_failed(index, why);
            }
        }
        let mut budget = self.core.limits.connects_per_turn_max;
        for _ in 0..self.core.connecting.due.len() {
            if budget == 0 {
                return;
            }
            let Some(index) = self.core.connecting.due.pop_front() else { return };
            let slot = self.core.slot(index);
            // Named twice, or ended since: that costs others nothing.
            if slot.is(flag::CONNECTING) && slot.is(flag::QUEUED) {
                slot.clear(flag::QUEUED);
                if self.core.attempt(index).verdict.is_none() {
                    budget -= 1;
                    self.step_connecting(index);
                }
            }
        }
    }

    fn step_connecting(&mut self, index: u32) {
        let (tick, wake) = (self.core.tick, self.core.slot(index).wake);
        let attempt = self.core.attempt(index);
        let late = reached(attempt.deadline, tick) && !planted(Fault::ConnectWithoutDeadline);
        match attempt.begun {
            // Whoever is late may still have made it.
            true => self.ask(index, late),
            false if late => self.connect_failed(index, ConnectError::Timeout),
            // Its time has come, or its timer has said so and has been set to the deadline.
            false if reached(wake, tick) || wake == attempt.deadline => self.begin_connect(index),
            false => {}
        }
    }

    fn begin_connect(&mut self, index: u32) {
        let attempt = self.core.attempt(index);
        let (connect, deadline) = (attempt.connect.clone(), attempt.deadline);
        let source_given = connect.source.is_some();
        match self.io.connect(index, &connect, self.shared.config.congestion.as_deref()) {
            Ok(done) => {
                self.core.attempt(index).begun = true;
                let generation = self.core.slot(index).generation;
                self.core.counters.registers += 1;
                if self.io.register(index, generation).is_err() {
                    return self.connect_failed(index, ConnectError::OutOfResources);
                }
                if done {
                    return self.ask(index, false);
                }
                // A Unix stream is registered for reading alone, and this is news about writing.
                match self.io.want_write(index, generation) {
                    Ok(modified) => self.core.counters.modifies += u64::from(modified),
                    Err(e) => return self.connect_failed(index, ConnectError::from_io(e, source_given)),
                }
                self.core.slot(index).set(flag::WANTS_WRITE);
                self.core.attempt(index).pause_millis = 0;
                self.core.wake_connecting(index, deadline);
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => self.core.look_again(index, RETRY_MAX),
            Err(e) => self.connect_failed(index, ConnectError::from_io(e, source_given)),
        }
    }

    /// Asks the socket whether it is connected.
    fn ask(&mut self, index: u32, late: bool) {
        match self.io.connected(index) {
            Ok(true) => self.connected(index),
            Ok(false) if planted(Fault::ConnectBelievesEvents) => self.connected(index),
            Ok(false) if late => self.connect_failed(index, ConnectError::Timeout),
            Ok(false) if planted(Fault::ConnectLooksOnce) => {
                let deadline = self.core.attempt(index).deadline;
                self.core.wake_connecting(index, deadline);
            }
            Ok(false) => self.core.look_again(index, ASK_AGAIN_MAX),
            Err(e) => {
                let source_given = self.core.attempt(index).connect.source.is_some();
                self.connect_failed(index, ConnectError::from_io(e, source_given));
            }
        }
    }

    /// Makes it one of this worker's connections.
    fn connected(&mut self, index: u32) {
        let connect = self.core.end_attempt(index).connect;
        let tag = connect.tag;
        if !self.io.short_ends() {
            // No event comes before a read has found nothing.
            self.core.slot(index).set(flag::READABLE);
        }
        self.core.establish(index);
        if !connect.preface.is_empty() {
            // Queued before anything can be behind it, and sent at once.
            self.core.append(index, &connect.preface, None);
            flush::flush(&mut self.core, &mut self.io, index);
        }
        #[cfg(feature = "tls")]
        if let Some(target) = &connect.tls {
            return self.connect_tls(index, target, &connect);
        }
        self.core.count_opened(index);
        self.core.counters.connects_done += 1;
        self.core.cork_owner = index;
        self.call("connected", index, |service, conn| service.connected(conn, tag));
        flush::uncork(&mut self.core, &mut self.io, index);
        self.core.arm(index);
        self.tell_late(index);
    }

    /// Gives everything back, then tells the service, which may ask for the next at once.
    fn connect_failed(&mut self, index: u32, why: ConnectError) {
        let attempt = self.core.end_attempt(index);
        if attempt.begun {
            self.io.close(index, true, false);
            self.core.counters.closes_done += 1;
        }
        let (id, service) = (self.core.id(index), self.core.slot(index).service);
        if planted(Fault::ConnectSlotLeaks) {
            self.core.slot(index).flags = 0;
        } else {
            self.core.remove(index);
            self.count_out(NO_LISTENER, None);
        }
        self.tell_connect_failed(id, service, attempt.connect.tag, why);
    }

    /// Counts it, and tells the service.
    pub(super) fn tell_connect_failed(&mut self, id: ConnId, service: u16, tag: u64, why: ConnectError) {
        let counters = &mut self.core.counters;
        counters.connects_failed += 1;
        match why {
            ConnectError::Refused => counters.connects_refused += 1,
            ConnectError::Unreachable => counters.connects_unreachable += 1,
            ConnectError::Timeout => counters.connects_timed_out += 1,
            ConnectError::OutOfResources => counters.connects_out_of_resources += 1,
            ConnectError::Tls(_) => counters.connects_tls_failed += 1,
            ConnectError::Cancelled | ConnectError::Shutdown => counters.connects_cancelled += 1,
            _ => {}
        }
        if planted(Fault::ConnectFailsSilently) {
            return;
        }
        self.begin();
        let mut scope = Scope::new(&mut self.core, &mut self.io, service);
        self.services[service as usize].host.connect_failed(&mut scope, id, tag, why);
        self.check_stall("connect_failed", None, service as usize);
    }
}

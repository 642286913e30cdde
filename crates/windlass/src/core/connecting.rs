//! Connections being made: asked for by services, not yet usable.
//!
//! One has a slot, and so an id, from the start, but is not LIVE: everything else passes over it. What
//! a slot has no room for is in a table here, at the slot's `key`. The worker does the work
//! (`worker/connect.rs`); here it is noted what has to be looked at.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use windlass_proto::Time;

use super::slot::{NO_LISTENER, flag};
use super::{Core, Tick};
use crate::config::TIMEOUT_MAX;
use crate::connect::{Connect, ConnectError};
use crate::id::ConnId;
use crate::parts;
use crate::planted::{Fault, planted};
use crate::shared::Shared;
use crate::sys::Readiness;
use crate::wheel::reached;

/// One connection being made.
pub(crate) struct Attempt {
    pub(crate) connect: Connect,
    pub(crate) deadline: Tick,
    /// It has a socket.
    pub(crate) begun: bool,
    /// Decided from outside: a cancel, a shutdown.
    pub(crate) verdict: Option<ConnectError>,
    /// The last pause before another look, which doubles.
    pub(crate) pause_millis: u32,
}

/// What the simulator is told of every attempt.
pub(crate) struct Asked {
    pub(crate) id: ConnId,
    pub(crate) tag: u64,
    pub(crate) deadline: Time,
    /// A TLS handshake comes behind it.
    pub(crate) tls: bool,
}

pub(crate) struct Connecting {
    /// At the `key` of their slots.
    attempts: Vec<Option<Attempt>>,
    free: Vec<u32>,
    /// Slots to be looked at. One may be named twice, or be another's by now: a look does no harm.
    pub(crate) due: VecDeque<u32>,
    /// Slots whose attempts have a verdict, in a line of their own: what holds a descriptor for nothing does not
    /// wait behind what is to begin. As above, one may be another's by now.
    pub(crate) decided: VecDeque<u32>,
    shared: Arc<Shared>,
    /// Everything is being aborted.
    stopping: bool,
    /// For the simulator's oracles only.
    log: Option<Vec<Asked>>,
}

impl Connecting {
    pub(crate) fn new(shared: Arc<Shared>) -> Connecting {
        Connecting {
            attempts: Vec::new(),
            free: Vec::new(),
            due: VecDeque::new(),
            decided: VecDeque::new(),
            shared,
            stopping: false,
            log: None,
        }
    }

    fn len(&self) -> usize {
        self.attempts.len() - self.free.len()
    }

    fn add(&mut self, attempt: Attempt) -> u32 {
        match self.free.pop() {
            Some(key) => {
                self.attempts[key as usize] = Some(attempt);
                key
            }
            None => {
                self.attempts.push(Some(attempt));
                self.attempts.len() as u32 - 1
            }
        }
    }
}

/// The engine keeps attempts and their slots in step.
const NO_ATTEMPT: &str = "a connecting slot has an attempt";

impl Core {
    /// Takes note of a connection to be made, if limits allow it.
    pub(crate) fn connect(&mut self, service: u16, connect: Connect) -> Result<ConnId, ConnectError> {
        if !parts::CONNECT {
            return Err(ConnectError::Other(std::io::ErrorKind::Unsupported.into()));
        }
        let stopping = self.connecting.stopping || self.members[usize::from(service)].aborted;
        if stopping || self.is_draining(service) && !connect.while_draining {
            return Err(ConnectError::Shutdown);
        }
        let shared = self.connecting.shared.clone();
        if self.connecting.len() >= self.limits.connecting_max {
            self.counters.connects_over_limit += 1;
            return Err(ConnectError::Full);
        }
        // Counted first and given back, as for those who are accepted.
        if shared.connections.fetch_add(1, Relaxed) >= self.limits.connections_max {
            shared.connections.fetch_sub(1, Relaxed);
            self.counters.connects_over_limit += 1;
            return Err(ConnectError::Full);
        }
        let Some(index) = self.vacant() else {
            shared.connections.fetch_sub(1, Relaxed);
            self.counters.connects_over_limit += 1;
            return Err(ConnectError::Full);
        };
        shared.workers[self.worker as usize].load.fetch_add(1, Relaxed);
        self.counters.connections += 1;
        self.counters.connects += 1;
        self.counters.connecting += 1;
        let timeout = connect.timeout.unwrap_or(self.limits.connect_timeout).min(TIMEOUT_MAX);
        let after = connect.after.min(TIMEOUT_MAX - timeout);
        let begins = if after.is_zero() { self.tick } else { self.tick_after(after) };
        // A tick at least, or its time would be over when it comes.
        let deadline = self.tick_after(after + timeout.max(Duration::from_millis(1)));
        let (peer, tag) = (self.peer_addr(connect.remote.addr()), connect.tag);
        #[cfg(feature = "tls")]
        let tls = connect.tls.is_some();
        #[cfg(not(feature = "tls"))]
        let tls = false;
        let attempt = Attempt { connect, deadline, begun: false, verdict: None, pause_millis: 0 };
        let key = self.connecting.add(attempt);
        let (now, tick) = (self.now, self.tick);
        let stays = self.stay_flag(service);
        let slot = self.slot(index);
        slot.flags = flag::CONNECTING | stays;
        (slot.peer, slot.service, slot.listener, slot.key) = (peer, service, NO_LISTENER, key);
        slot.wake = begins;
        (slot.opened, slot.active) = (now, tick);
        self.traffic.begin(index, self.tick);
        if after.is_zero() {
            self.look(index);
        } else {
            self.wheel.arm(index, begins);
        }
        let id = self.id(index);
        if let Some(log) = &mut self.connecting.log {
            log.push(Asked { id, tag, deadline: self.now + after + timeout, tls });
        }
        Ok(id)
    }

    /// Takes back a connection that is still being made; false if it is not.
    pub(crate) fn cancel_connect(&mut self, id: ConnId) -> bool {
        let same = self.slots.get(id.index as usize).is_some_and(|slot| {
            slot.generation == id.generation && id.worker == self.worker && slot.is(flag::CONNECTING)
        });
        #[cfg(feature = "tls")]
        if self.cancel_handshake(id) {
            return true;
        }
        if !same {
            return false;
        }
        self.decide(id.index, ConnectError::Cancelled);
        true
    }

    /// Decides about a connection being made, unless that was done: the worker ends it in this turn, or in the
    /// next.
    fn decide(&mut self, index: u32, why: ConnectError) {
        let attempt = self.attempt(index);
        if attempt.verdict.is_none() {
            attempt.verdict = Some(why);
            self.connecting.decided.push_back(index);
        }
    }

    /// Ends what is being made: everything, or what is not to go on during a drain.
    pub(crate) fn shut_connecting(&mut self, all: bool) {
        self.connecting.stopping |= all;
        self.shut_connecting_of(all, None);
    }

    /// The same for one service.
    pub(crate) fn shut_connecting_for(&mut self, service: u16, all: bool) {
        self.shut_connecting_of(all, Some(service));
    }

    /// Whether an end of what is being made is meant for a service: the only one, or all that do not stay.
    pub(crate) fn is_meant(&self, service: u16, all: bool, only: Option<u16>) -> bool {
        only.map_or_else(|| all || !self.members[usize::from(service)].stays, |only| only == service)
    }

    fn shut_connecting_of(&mut self, all: bool, only: Option<u16>) {
        #[cfg(feature = "tls")]
        self.shut_handshakes(all, only);
        if self.connecting.len() == 0 || planted(Fault::ConnectForgottenByDrain) {
            return;
        }
        for index in 0..self.slots.len() as u32 {
            let service = self.slot(index).service;
            if self.slot(index).is(flag::CONNECTING)
                && self.is_meant(service, all, only)
                && (all || !self.attempt(index).connect.while_draining)
            {
                self.decide(index, ConnectError::Shutdown);
            }
        }
    }

    /// For the simulator: what has been asked for since it last asked; the first call begins the list.
    pub(crate) fn take_asked(&mut self) -> Vec<Asked> {
        self.connecting.log.replace(Vec::new()).unwrap_or_default()
    }

    pub(crate) fn attempt(&mut self, index: u32) -> &mut Attempt {
        let key = self.slots[index as usize].key as usize;
        self.connecting.attempts[key].as_mut().expect(NO_ATTEMPT)
    }

    /// Has the worker look at it in this turn, or in the next.
    pub(crate) fn look(&mut self, index: u32) {
        let slot = self.slot(index);
        if !slot.is(flag::QUEUED) {
            slot.set(flag::QUEUED);
            self.connecting.due.push_back(index);
        }
    }

    /// Notes an event about a connection being made. Any may be the one that decides; what it says of
    /// input is kept, since it will not be said again.
    pub(crate) fn mark_connecting(&mut self, index: u32, readiness: Readiness) {
        let has = |bits| readiness.0 & bits != 0;
        let slot = self.slot(index);
        if has(Readiness::READABLE | Readiness::READ_CLOSED | Readiness::BROKEN)
            && !planted(Fault::ConnectForgetsInput)
        {
            slot.set(flag::READABLE);
        }
        if has(Readiness::READ_CLOSED | Readiness::BROKEN) {
            slot.set(flag::READ_CLOSED);
        }
        self.look(index);
    }

    /// Its timer came up: the time to begin, to look again, or the end of its patience.
    pub(crate) fn connecting_due(&mut self, index: u32) {
        let (tick, deadline) = (self.tick, self.attempt(index).deadline);
        let slot = self.slot(index);
        if reached(slot.wake, tick) {
            slot.wake = deadline;
            self.look(index);
        }
    }

    /// Comes back to it after a pause that doubles, up to `most` milliseconds, and at its deadline.
    pub(crate) fn look_again(&mut self, index: u32, most: u32) {
        let tick = self.tick;
        let attempt = self.attempt(index);
        attempt.pause_millis = (attempt.pause_millis * 2).clamp(1, most);
        let (at, deadline) = (tick.wrapping_add(attempt.pause_millis), attempt.deadline);
        self.wake_connecting(index, if reached(at, deadline) { at } else { deadline });
    }

    pub(crate) fn wake_connecting(&mut self, index: u32, at: Tick) {
        if planted(Fault::ConnectWithoutDeadline) && at == self.attempt(index).deadline {
            return;
        }
        self.slot(index).wake = at;
        self.wheel.arm(index, at);
    }

    /// Takes the attempt out of the table: it has come to its end, one way or the other.
    pub(crate) fn end_attempt(&mut self, index: u32) -> Attempt {
        let key = self.slots[index as usize].key;
        self.counters.connecting -= 1;
        self.connecting.free.push(key);
        self.connecting.attempts[key as usize].take().expect(NO_ATTEMPT)
    }

    /// Makes it a connection like any other.
    pub(crate) fn establish(&mut self, index: u32) {
        let (service, tick) = (self.slots[index as usize].service, self.tick);
        let key = self.members[service as usize].add(index);
        let slot = self.slot(index);
        let kept = slot.flags & (flag::READABLE | flag::READ_CLOSED | flag::WANTS_WRITE | flag::STAYS);
        slot.flags = flag::LIVE | flag::WRITABLE | kept;
        (slot.key, slot.active) = (key, tick);
        if slot.is(flag::READABLE) {
            self.queue(index);
        }
    }
}

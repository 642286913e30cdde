//! What somebody outside has asked of this worker: which connections it has, to end one, to write a turn
//! down.
//!
//! A walk over the connections goes a thousand slots a turn, so that nobody waits for it who has
//! work to be done.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use windlass_proto::Time;

use crate::close::Close;
use crate::conn::Peer;
use crate::core::slot::{NO_LISTENER, flag};
use crate::observe::errands::{CloseHow, Errand, Taking, TraceAnswer};
use crate::observe::inspect::{Part, Sort};
use crate::observe::trace::{Of, Recorder};
use crate::observe::{ConnEntry, ConnState};
use crate::parts;
use crate::shared::{ListenerShared, Shared};
use crate::sys::{Readiness, Sys, Token};

use super::Worker;

/// Slots looked at in one turn.
const WALK_PER_TURN: usize = 1024;
/// Errands taken in one turn.
const ERRANDS_PER_TURN: usize = 16;

/// What is under way for those who ask.
pub(super) struct Observing {
    taking: Taking,
    walk: Option<Walk>,
    /// Questions for connections, behind the one under way.
    waiting: VecDeque<Part>,
    /// Those who wait for a turn, each with the time up to which it does.
    tracing: Vec<(Time, TraceAnswer)>,
}

/// A slot in the order asked for: its key, and itself with its generation.
type Place = Reverse<(u64, Reverse<u32>, u32)>;

/// A walk over the slots.
struct Walk {
    part: Part,
    next: usize,
    total: u64,
    matched: u64,
    /// The largest, the smallest of them first.
    found: BinaryHeap<Place>,
    /// Names of listeners in use, at their number.
    listeners: Vec<Option<Arc<str>>>,
}

impl Observing {
    pub(super) fn new(shared: Arc<Shared>, worker: usize) -> Observing {
        let taking = Taking::new(shared, worker);
        Observing { taking, walk: None, waiting: VecDeque::new(), tracing: Vec::new() }
    }

    /// When somebody will have waited long enough for a turn.
    pub(super) fn next_wake(&self) -> Option<Time> {
        self.tracing.iter().map(|(until, _)| *until).min()
    }
}

impl<Y: Sys> Worker<Y> {
    /// Takes errands, and goes on with the walk under way. True: there is more to do.
    pub(super) fn errands(&mut self) -> bool {
        let mut more = false;
        for taken in 0.. {
            if taken == ERRANDS_PER_TURN {
                more = true;
                break;
            }
            let Some(errand) = self.observing.taking.next() else { break };
            match errand {
                Errand::Inspect(part) => self.observing.waiting.push_back(part),
                Errand::Close { id, how, answer } => answer(self.close_from_outside(id, how)),
                Errand::Trace { wait, answer } => {
                    self.observing.tracing.push((self.core.now + wait, answer));
                }
            }
        }
        if self.observing.walk.is_none()
            && let Some(part) = self.observing.waiting.pop_front()
        {
            let slots = self.core.slots.len();
            self.core.traffic.ask(slots, self.core.now, self.core.tick);
            let walk =
                Walk { part, next: 0, total: 0, matched: 0, found: BinaryHeap::new(), listeners: Vec::new() };
            self.observing.walk = Some(walk);
        }
        if let Some(walk) = self.observing.walk.take() {
            self.walk_on(walk);
        }
        more || self.observing.walk.is_some() || !self.observing.waiting.is_empty()
    }

    fn close_from_outside(&mut self, id: crate::ConnId, how: CloseHow) -> bool {
        let Some(slot) = self.core.slots.get(id.index as usize) else { return false };
        let same = slot.generation == id.generation && usize::from(id.worker) == self.index;
        if !same || slot.is(flag::CONNECTING) {
            return same && self.core.cancel_connect(id);
        }
        if !slot.is(flag::LIVE) || slot.is(flag::CLOSING) {
            return false;
        }
        let why = match how {
            CloseHow::Orderly => Close::Requested,
            CloseHow::Abort => Close::Aborted,
        };
        self.core.close(id.index, why);
        true
    }

    // --- Connections.

    fn walk_on(&mut self, mut walk: Walk) {
        let end = (walk.next + WALK_PER_TURN).min(self.core.slots.len());
        let most = walk.part.query().offset + walk.part.query().count;
        let mut text = String::new();
        for index in walk.next..end {
            let slot = &self.core.slots[index];
            if !slot.is(flag::LIVE | flag::CONNECTING) {
                continue;
            }
            walk.total += 1;
            if !self.matches(index as u32, &mut walk, &mut text) {
                continue;
            }
            walk.matched += 1;
            let key = self.sort_key(index as u32, walk.part.query().sort);
            let generation = self.core.slots[index].generation;
            let place = Reverse((key, Reverse(index as u32), generation));
            if walk.found.len() < most {
                walk.found.push(place);
            } else if let Some(mut least) = walk.found.peek_mut()
                && place < *least
            {
                *least = place;
            }
        }
        walk.next = end;
        if end < self.core.slots.len() {
            self.observing.walk = Some(walk);
            return;
        }
        let found = std::mem::take(&mut walk.found);
        let mut entries = Vec::with_capacity(found.len());
        for Reverse((key, Reverse(index), generation)) in found {
            // In the turns of the walk it may have become another's.
            if self.core.slots[index as usize].generation == generation {
                entries.push(self.entry(index, key, &mut walk));
            }
        }
        walk.part.give(walk.total, walk.matched, entries);
    }

    fn matches(&self, index: u32, walk: &mut Walk, text: &mut String) -> bool {
        if walk.part.query().filter.is_empty() {
            return true;
        }
        let slot = &self.core.slots[index as usize];
        text.clear();
        let service = &self.services[usize::from(slot.service)].name;
        let listener = self.listeners.get(usize::from(slot.listener));
        let listener = listener.map_or("", |listener| &listener.name);
        // Apart from each other, so that nothing is found across two.
        let _ = match slot.peer.to_addr() {
            Some(peer) => write!(text, "{peer}\n{service}\n{listener}\n{}", self.core.id(index)),
            None => write!(text, "unix\n{service}\n{listener}\n{}", self.core.id(index)),
        };
        text.make_ascii_lowercase();
        text.contains(&*walk.part.query().filter)
    }

    fn sort_key(&mut self, index: u32, sort: Sort) -> u64 {
        let (count, received, sent) = self.core.traffic.look(index, self.core.tick);
        let slot = &self.core.slots[index as usize];
        match sort {
            Sort::Traffic => (received + sent) as u64,
            Sort::Received => count.received,
            Sort::Sent => count.sent,
            Sort::Age => self.core.now.since(slot.opened).as_nanos() as u64,
            Sort::Idle => self.core.tick.wrapping_sub(slot.active).into(),
            Sort::Queued => (self.core.output_len(index) + slot.input_len()) as u64,
        }
    }

    fn entry(&mut self, index: u32, key: u64, walk: &mut Walk) -> ConnEntry {
        let (count, received_rate, sent_rate) = self.core.traffic.look(index, self.core.tick);
        let core = &self.core;
        let slot = &core.slots[index as usize];
        let listener = (slot.listener != NO_LISTENER).then_some(usize::from(slot.listener));
        ConnEntry {
            id: core.id(index),
            service: self.services[usize::from(slot.service)].name.clone(),
            listener: listener.and_then(|n| listener_name(&self.listeners, &mut walk.listeners, n)),
            peer: slot.peer.to_addr().map_or(Peer::Unix, Peer::Tcp),
            age: core.now.since(slot.opened),
            idle: Duration::from_millis(core.tick.wrapping_sub(slot.active).into()),
            received: count.received,
            sent: count.sent,
            received_rate,
            sent_rate,
            output_bytes: core.output_len(index),
            input_bytes: slot.input_len(),
            state: ConnState(slot.flags),
            key,
        }
    }

    // --- One turn.

    /// A turn begins: it is written down if somebody waits for one that has something to tell.
    #[inline]
    pub(super) fn begin_trace(&mut self) {
        if parts::OBSERVE && !self.observing.tracing.is_empty() {
            self.io.trace = Some(Box::new(Recorder::new()));
        }
    }

    /// Its poll has returned, at `now`.
    #[inline]
    pub(super) fn trace_polled(&mut self, now: Time) {
        if parts::OBSERVE
            && let Some(trace) = &mut self.io.trace
        {
            trace.polled(self.turn_ended, now);
        }
    }

    /// A step of the turn begins.
    #[inline]
    pub(super) fn step_begins(&mut self, name: &'static str) {
        if self.io.is_traced() {
            self.trace_step(name);
        }
    }

    #[cold]
    fn trace_step(&mut self, name: &'static str) {
        let now = self.io.sys.now();
        if parts::OBSERVE
            && let Some(trace) = &mut self.io.trace
        {
            trace.step(name, now);
        }
    }

    /// A callback is about to be called.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.coarse = self.io.sys.coarse_now();
        self.begin_entry();
    }

    /// The same where the coarse clock has been asked a moment ago.
    #[inline]
    pub(super) fn begin_entry(&mut self) {
        if parts::OBSERVE
            && let Some(trace) = &mut self.io.trace
        {
            trace.begin(self.io.sys.now());
        }
    }

    /// A newcomer was accepted.
    #[inline]
    pub(super) fn trace_accept(&mut self, listener: u16) {
        if self.io.is_traced() {
            let listener = self.listeners.get(usize::from(listener));
            let name = listener.map(|listener| listener.name.clone()).unwrap_or_default();
            self.trace_ended("accept", Of::Nothing, name);
        }
    }

    /// Something that began with `begin` is over.
    #[cold]
    pub(super) fn trace_ended(&mut self, what: &'static str, of: Of, detail: String) {
        if parts::OBSERVE
            && let Some(trace) = &mut self.io.trace
        {
            trace.ended(what, of, detail, 0, self.io.sys.now());
        }
    }

    /// A callback is over.
    #[cold]
    pub(super) fn trace_callback(&mut self, callback: &'static str, index: Option<u32>, service: usize) {
        let what = match callback {
            "timeout" => "timer",
            "tick" | "due" => "tick",
            "receive" => "message",
            _ => "callback",
        };
        let detail = format!("{callback} {}", self.services[service].name);
        self.trace_ended(what, index.map_or(Of::Nothing, Of::Slot), detail);
    }

    /// The turn is over: those who wait for one get it, if it had anything to do.
    #[inline]
    pub(super) fn end_trace(&mut self) {
        if self.io.is_traced() {
            self.tell_trace();
        }
    }

    #[cold]
    fn tell_trace(&mut self) {
        let Some(mut trace) = self.io.trace.take() else { return };
        let now = self.io.sys.now();
        if trace.is_empty() {
            let is_late = |until: &Time| *until <= now;
            for (_, answer) in self.observing.tracing.extract_if(.., |(until, _)| is_late(until)) {
                answer(None);
            }
        } else {
            trace.name(None, |slot| self.core.id(slot));
            let turn = trace.finish(self.index, self.core.counters.turns + 1, now);
            for (_, answer) in self.observing.tracing.drain(..) {
                answer(Some(turn.clone()));
            }
        }
    }
}

/// Notes an event in the trace of the turn.
#[cold]
pub(super) fn trace_event(trace: &mut Recorder, worker: u16, token: Token, readiness: Readiness) {
    let has = |bits: u8| readiness.0 & bits != 0;
    let what = if has(Readiness::READABLE | Readiness::READ_CLOSED | Readiness::BROKEN) {
        "readable"
    } else {
        "writable"
    };
    let detail = match (has(Readiness::BROKEN), has(Readiness::READ_CLOSED)) {
        (true, _) => "broken",
        (false, true) => "read closed",
        (false, false) if has(Readiness::READABLE) && has(Readiness::WRITABLE) => "readable and writable",
        (false, false) => "",
    };
    if token.as_conn().is_some() {
        trace.event(what, Of::Conn(token.id(worker)), detail);
    } else if token.as_listener().is_some() {
        trace.event("readable", Of::Nothing, "listener");
    } else if token.as_udp().is_some() {
        trace.event(what, Of::Nothing, "UDP socket");
    }
}

fn listener_name(
    listeners: &[Arc<ListenerShared>],
    names: &mut Vec<Option<Arc<str>>>,
    n: usize,
) -> Option<Arc<str>> {
    let name = &listeners.get(n)?.name;
    if names.len() <= n {
        names.resize(n + 1, None);
    }
    Some(names[n].get_or_insert_with(|| name.as_str().into()).clone())
}

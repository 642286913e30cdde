//! One turn of a worker, written down: its steps, and what was called, read and sent in each.
//!
//! The recorder is with the driver ([`Io`](crate::worker)), where reads and writes pass. It is there for one
//! turn that somebody asked for; every other pays one branch at each place.

use std::borrow::Cow;
use std::time::Duration;

use windlass_proto::Time;

use crate::id::ConnId;

/// Entries of one turn; further ones are only counted.
const ENTRIES_MAX: usize = 256;

/// One turn of a worker. Times count from the moment in which its poll returned.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TurnTrace {
    /// The worker, counted from 0.
    pub worker: usize,
    /// The number of the turn, counted from 1.
    pub turn: u64,
    /// How long it slept in poll before.
    pub waited: Duration,
    /// How long the turn took, the sleep apart.
    pub took: Duration,
    /// In the order in which they were taken; those in which nothing happened too.
    pub steps: Vec<TraceStep>,
    /// Entries there was no room for: 256 are kept.
    pub left_out: u64,
}

/// One step of a turn.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TraceStep {
    /// "poll" (events are marked), "run" (connections are read and served), "datagrams", "accept", "timers",
    /// "ticks", "mail", "connect", "end" (output is flushed, ends are carried out), "drain".
    pub step: &'static str,
    /// When it began.
    pub at: Duration,
    /// How long it took.
    pub took: Duration,
    /// What happened in it.
    pub entries: Vec<TraceEntry>,
}

/// One thing that happened in a turn.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TraceEntry {
    /// "readable", "writable", "callback", "read", "flush", "accept", "close", "timer", "tick" or "message".
    pub what: &'static str,
    /// The connection, if it was about one.
    pub conn: Option<ConnId>,
    /// Which callback and of which service, which listener, which reason.
    pub detail: Cow<'static, str>,
    /// Bytes read or sent.
    pub bytes: u64,
    /// When it began.
    pub at: Duration,
    /// How long it took. Writes made inside a callback are entries of their own, and part of it.
    pub took: Duration,
}

/// What an entry is about, until the turn is over: who made it may not know the whole id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Nothing,
    Slot(u32),
    Conn(ConnId),
}

pub(crate) struct Recorder {
    start: Time,
    waited: Duration,
    /// When what goes on now began.
    since: Time,
    steps: Vec<TraceStep>,
    /// The slots of entries whose connection is not known yet: (step, entry, slot).
    unnamed: Vec<(usize, usize, u32)>,
    entries: usize,
    left_out: u64,
}

impl Recorder {
    pub(crate) fn new() -> Recorder {
        let start = Time::from_nanos(0);
        Recorder {
            start,
            waited: Duration::ZERO,
            since: start,
            steps: vec![TraceStep {
                step: "poll",
                at: Duration::ZERO,
                took: Duration::ZERO,
                entries: Vec::new(),
            }],
            unnamed: Vec::new(),
            entries: 0,
            left_out: 0,
        }
    }

    /// The poll that slept since `slept` has returned. Its events are marked while it returns.
    pub(crate) fn polled(&mut self, slept: Time, now: Time) {
        (self.start, self.waited, self.since) = (now, now.since(slept), now);
    }

    /// Something begins that an entry will tell of.
    pub(crate) fn begin(&mut self, now: Time) {
        self.since = now;
    }

    /// The step before is over.
    pub(crate) fn step(&mut self, name: &'static str, now: Time) {
        let at = now.since(self.start);
        self.end_step(at);
        self.steps.push(TraceStep { step: name, at, took: Duration::ZERO, entries: Vec::new() });
        self.since = now;
    }

    fn end_step(&mut self, at: Duration) {
        if let Some(last) = self.steps.last_mut() {
            last.took = at.saturating_sub(last.at);
        }
    }

    /// An event that poll reports, while it does.
    pub(crate) fn event(&mut self, what: &'static str, of: Of, detail: &'static str) {
        self.push(what, of, detail.into(), 0, Duration::ZERO, Duration::ZERO);
    }

    /// Something that ended now. It began with `begin`, or when the last one ended.
    pub(crate) fn ended(
        &mut self,
        what: &'static str,
        of: Of,
        detail: impl Into<Cow<'static, str>>,
        bytes: u64,
        now: Time,
    ) {
        let (at, took) = (self.since.since(self.start), now.since(self.since));
        self.push(what, of, detail.into(), bytes, at, took);
        self.since = now;
    }

    /// Something inside of what goes on.
    pub(crate) fn inside(&mut self, what: &'static str, of: Of, bytes: u64, began: Time, now: Time) {
        let (at, took) = (began.since(self.start), now.since(began));
        self.push(what, of, Cow::Borrowed(""), bytes, at, took);
    }

    fn push(
        &mut self,
        what: &'static str,
        of: Of,
        detail: Cow<'static, str>,
        bytes: u64,
        at: Duration,
        took: Duration,
    ) {
        if self.entries == ENTRIES_MAX {
            self.left_out += 1;
            return;
        }
        let number = self.steps.len().saturating_sub(1);
        let Some(step) = self.steps.last_mut() else { return };
        self.entries += 1;
        let conn = match of {
            Of::Nothing => None,
            Of::Conn(id) => Some(id),
            Of::Slot(slot) => {
                self.unnamed.push((number, step.entries.len(), slot));
                None
            }
        };
        step.entries.push(TraceEntry { what, conn, detail, bytes, at, took });
    }

    /// Tells whose the slots were, of all of them or of one. A slot has one owner in a turn.
    pub(crate) fn name(&mut self, only: Option<u32>, id: impl Fn(u32) -> ConnId) {
        let steps = &mut self.steps;
        self.unnamed.retain(|&(step, entry, slot)| {
            let named = only.is_none_or(|only| only == slot);
            if named && let Some(entry) = steps.get_mut(step).and_then(|step| step.entries.get_mut(entry)) {
                entry.conn = Some(id(slot));
            }
            !named
        });
    }

    /// Nothing worth telling has happened.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    pub(crate) fn finish(mut self, worker: usize, turn: u64, now: Time) -> TurnTrace {
        let took = now.since(self.start);
        self.end_step(took);
        for step in &mut self.steps {
            // What a callback wrote ended before it.
            step.entries.sort_by_key(|entry| entry.at);
        }
        TurnTrace { worker, turn, waited: self.waited, took, steps: self.steps, left_out: self.left_out }
    }
}

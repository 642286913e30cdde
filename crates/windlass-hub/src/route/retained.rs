//! The last message of each topic (section 3.3.1.3).
//!
//! Every worker has all of them, so that a new subscription finds them where it is. Whoever retains one tells the
//! others. Of two for one topic the one of the later version stays, on every worker, in whatever order they come. A
//! version is the time in microseconds, or the number behind the last one that any worker gave, and behind it the worker:
//! so one that was acknowledged before another was published is the earlier of the two wherever they were published.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use windlass::Time;
use windlass_proto::mqtt::{Child, Filter, Retained, Scan, Topic, TreeLimits};

use crate::memory::{self, Charge, Memory};
use crate::session::Replay;
use crate::session::message::Message;
use crate::totals::Totals;

/// The bits of a version that say which worker made it.
const WORKER_BITS: u32 = 10;

/// How long a worker knows that nothing is retained for a topic any more, in case it hears of what was before that. What
/// one worker tells another arrives with the next turn.
const GONE_FOR: Duration = Duration::from_secs(60);

/// And of how many topics at most; those it knows longest are forgotten first.
const GONE_MAX: usize = 100_000;

/// And of so many at least, however short memory is: more than are likely to go while something about one of them is still
/// under way from another worker. Fewer where the bound on memory is so low that they would be most of it.
const GONE_LEAST: usize = 2_048;
const GONE_LEAST_EVER: usize = 64;

/// As long as their names have less than so many bytes.
const GONE_LEAST_BYTES: usize = 1 << 20;

/// And how many bytes their names may have.
const GONE_BYTES_MAX: usize = 16 << 20;

/// As of when nothing is retained for a topic.
#[derive(Debug)]
struct Gone {
    version: u64,
    /// When it is forgotten.
    until: Time,
}

/// Retained messages, within their limits.
#[derive(Debug)]
pub(crate) struct Kept {
    tree: Retained<Held>,
    /// How many subscriptions have asked for what is retained.
    asked: u64,
    /// Which worker this is, of how many.
    worker: usize,
    workers: usize,
    /// Of those that count for this worker: how many, and their bytes.
    own: usize,
    own_bytes: usize,
    /// How many of them expire: without any, nobody looks for them.
    expiring: usize,
    /// The search for those that have expired, while one is under way.
    sweep: Option<Scan>,
    gone: HashMap<Arc<str>, Gone>,
    /// Bytes of the names of those.
    gone_bytes: usize,
    /// The same by age, each once, with when it was to be forgotten as it came here: what has gone again since then is
    /// known for longer, and goes behind the others when its turn comes.
    gone_by_age: VecDeque<(Time, Arc<str>)>,
    /// So many of them are known however short memory is.
    gone_least: usize,
    memory: Memory,
    /// What those are counted with.
    gone_charge: Charge,
}

/// One of them.
#[derive(Debug)]
struct Held {
    message: Arc<Message>,
    /// As it came here, so many subscriptions had asked for what is retained.
    asked: u64,
}

/// Why a message was not retained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

/// Nodes looked at in one step of a search for expired messages.
const SWEEP_NODES: usize = 256;

impl Kept {
    pub(crate) fn new(limits: TreeLimits) -> Kept {
        Kept {
            tree: Retained::new(limits),
            asked: 0,
            worker: 0,
            workers: 1,
            own: 0,
            own_bytes: 0,
            expiring: 0,
            sweep: None,
            gone: HashMap::new(),
            gone_bytes: 0,
            gone_by_age: VecDeque::new(),
            gone_least: GONE_LEAST,
            memory: Memory::default(),
            gone_charge: Charge::default(),
        }
    }

    /// The worker begins.
    pub(crate) fn begin(&mut self, worker: usize, workers: usize, memory: &Memory) {
        (self.worker, self.workers) = (worker, workers.max(1));
        (self.memory, self.gone_charge) = (memory.clone(), memory.charge(0));
        self.gone_least = memory::gone_within(memory.max(), self.workers).clamp(GONE_LEAST_EVER, GONE_LEAST);
    }

    /// Versions are later than this one from now on.
    pub(crate) fn seen(version: u64, totals: &Totals) {
        totals.versions.seen(version >> WORKER_BITS);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// How many count for this worker: over all workers, each once.
    pub(crate) fn own(&self) -> usize {
        self.own
    }

    /// Bytes that the message of a topic is counted with; 0 where there is none.
    pub(crate) fn len_of(&self, topic: Topic<'_>) -> usize {
        self.tree.get(topic).map_or(0, |held| held.message.charged())
    }

    /// Bytes of those.
    pub(crate) fn own_bytes(&self) -> usize {
        self.own_bytes
    }

    /// A version later than all that any worker has given or found at the start.
    pub(crate) fn next_version(&self, totals: &Totals, unix_us: u64) -> u64 {
        totals.versions.next(unix_us) << WORKER_BITS | (self.worker as u64 & ((1 << WORKER_BITS) - 1))
    }

    /// Whether a message counts for this worker: it was published here, or found at the start and dealt out.
    pub(crate) fn is_own(&self, version: u64) -> bool {
        (version & ((1 << WORKER_BITS) - 1)) as usize % self.workers == self.worker
    }

    /// Whether it has a place in this worker's count.
    fn counts(&self, message: &Message) -> bool {
        self.is_own(message.version) && !is_hub_s(message)
    }

    /// Keeps a message of this worker's in place of the one before it, if the limits allow it.
    pub(crate) fn insert(
        &mut self,
        message: Arc<Message>,
        totals: &Totals,
        max: usize,
        bytes_max: usize,
    ) -> Result<(), Full> {
        let topic = message.topic();
        let before = self.tree.get(topic).map(|held| &held.message);
        if is_hub_s(&message) {
            return self.put(message, totals);
        }
        // What it takes the place of leaves the totals; if another worker counts it, when that hears of this one.
        let (max, less) = match before {
            Some(before) => (usize::MAX, before.len()),
            None => (max, 0),
        };
        if !totals.retained.enter(1, max) {
            return Err(Full);
        }
        let bytes_max = if message.len() <= less { usize::MAX } else { bytes_max.saturating_add(less) };
        if !totals.retained_bytes.enter(message.len(), bytes_max) {
            totals.retained.leave(1);
            return Err(Full);
        }
        self.put(message, totals)
    }

    /// Keeps a message that another worker tells of, or that was found at the start, unless a later one is known.
    pub(crate) fn take(&mut self, message: Arc<Message>, totals: &Totals) -> Result<(), Full> {
        let version = message.version;
        let topic = message.topic();
        if self.tree.get(topic).is_some_and(|it| it.message.version >= version)
            || self.gone.get(topic.as_str()).is_some_and(|it| it.version >= version)
        {
            return Ok(());
        }
        if self.counts(&message) {
            totals.retained.add(1);
            totals.retained_bytes.add(message.len());
        }
        self.put(message, totals)
    }

    /// The totals have it already, if it counts for this worker.
    fn put(&mut self, message: Arc<Message>, totals: &Totals) -> Result<(), Full> {
        let topic = message.topic();
        let (len, expires, is_own) = (message.len(), message.expires.is_some(), self.counts(&message));
        match self.tree.insert(topic, Held { message: message.clone(), asked: self.asked }) {
            Ok(before) => {
                self.left(before, totals);
                self.expiring += usize::from(expires);
                if is_own {
                    self.own += 1;
                    self.own_bytes += len;
                }
                Ok(())
            }
            Err(_) => {
                if is_own {
                    totals.retained.leave(1);
                    totals.retained_bytes.leave(len);
                }
                Err(Full)
            }
        }
    }

    fn left(&mut self, before: Option<Held>, totals: &Totals) -> bool {
        let Some(Held { message: before, .. }) = before else { return false };
        self.expiring -= usize::from(before.expires.is_some());
        if self.counts(&before) {
            self.own -= 1;
            self.own_bytes -= before.len();
            totals.retained.leave(1);
            totals.retained_bytes.leave(before.len());
        }
        true
    }

    /// Keeps nothing of a topic any more, as of this version; whether there was something.
    pub(crate) fn remove(&mut self, topic: Topic<'_>, version: u64, totals: &Totals, now: Time) -> bool {
        if self.tree.get(topic).is_some_and(|it| it.message.version > version) {
            return false;
        }
        if self.workers > 1 {
            self.note_gone(topic.as_str(), version, now);
        }
        let before = self.tree.remove(topic);
        self.left(before, totals)
    }

    fn note_gone(&mut self, topic: &str, version: u64, now: Time) {
        while self.gone_by_age.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_eldest(now);
        }
        let until = now + GONE_FOR;
        if let Some(known) = self.gone.get_mut(topic) {
            if version > known.version {
                *known = Gone { version, until };
            }
            return;
        }
        let lacks = |kept: &Kept| {
            kept.gone.len() >= GONE_MAX
                || kept.gone_bytes + topic.len() > GONE_BYTES_MAX
                || (kept.gone.len() >= kept.gone_least || kept.gone_bytes >= GONE_LEAST_BYTES)
                    && kept.memory.lacks_so_much(|| memory::of_gone(topic))
        };
        while lacks(self) {
            // Whatever time it has left; one that has gone again meanwhile is not the eldest.
            let Some(&(noted, _)) = self.gone_by_age.front() else { break };
            self.forget_eldest(noted);
        }
        let topic: Arc<str> = topic.into();
        self.gone_bytes += topic.len();
        if self.gone_charge.counts() {
            self.gone_charge.add(memory::of_gone(&topic));
        }
        self.gone_by_age.push_back((until, topic.clone()));
        self.gone.insert(topic, Gone { version, until });
    }

    /// The topic in front is forgotten, if its time is over by `now`; else it goes behind the others.
    fn forget_eldest(&mut self, now: Time) {
        let Some((_, topic)) = self.gone_by_age.pop_front() else { return };
        match self.gone.get(&topic) {
            Some(gone) if gone.until > now => self.gone_by_age.push_back((gone.until, topic)),
            _ => {
                self.gone_bytes -= topic.len();
                if self.gone_charge.counts() {
                    self.gone_charge.sub(memory::of_gone(&topic));
                }
                self.gone.remove(&topic);
            }
        }
    }

    /// Topics for which nothing is retained since a moment ago, as of which version: those that this worker removed.
    pub(crate) fn lately_gone(&self) -> impl Iterator<Item = (&str, u64)> {
        let own = self.gone.iter().filter(|(_, gone)| self.is_own(gone.version));
        own.map(|(topic, gone)| (&**topic, gone.version))
    }

    pub(crate) fn scan(&mut self, filter: Filter<'_>) -> Scan {
        self.tree.scan(filter)
    }

    pub(crate) fn scan_all(&mut self) -> Scan {
        self.tree.scan_all()
    }

    /// See [`Retained::proceed`].
    pub(crate) fn proceed(
        &self,
        scan: &mut Scan,
        nodes: usize,
        mut found: impl FnMut(&Arc<Message>),
    ) -> bool {
        self.tree.proceed(scan, nodes, |held| found(&held.message))
    }

    /// A subscription asks for what is retained now: its number, for [`proceed_for`](Kept::proceed_for). What is retained
    /// from here on comes to it as it is published.
    pub(crate) fn ask(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// The same as [`proceed`](Kept::proceed), of what was retained before this question.
    pub(crate) fn proceed_for(
        &self,
        asked: u64,
        scan: &mut Scan,
        nodes: usize,
        mut found: impl FnMut(&Arc<Message>),
    ) -> bool {
        self.tree.proceed(scan, nodes, |held| {
            if held.asked < asked {
                found(&held.message);
            }
        })
    }

    /// See [`Retained::children`].
    #[cfg_attr(not(feature = "inspect"), allow(dead_code, reason = "an operator asks"))]
    pub(crate) fn children<'k>(
        &'k self,
        above: Option<&str>,
        max: usize,
        mut found: impl FnMut(Child<'k, Arc<Message>>),
    ) -> bool {
        self.tree.children(above, max, |Child { name, value, has_children }| {
            found(Child { name, value: value.map(|held| &held.message), has_children });
        })
    }

    pub(crate) fn end(&mut self, scan: Scan) {
        self.tree.end(scan);
    }

    /// Retained messages go to a subscription no longer.
    pub(crate) fn drop_replay(&mut self, replay: Replay) {
        if let Some(scan) = replay.scan {
            self.end(scan);
        }
    }

    /// Goes on with the search for expired messages, and takes those out that it finds.
    pub(crate) fn sweep(&mut self, now: Time, totals: &Totals) {
        while self.gone_by_age.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_eldest(now);
        }
        if self.sweep.is_none() {
            if self.expiring == 0 {
                return;
            }
            self.sweep = Some(self.tree.scan_all());
        }
        let Some(mut scan) = self.sweep.take() else { return };
        let mut expired = Vec::new();
        let over = self.tree.proceed(&mut scan, SWEEP_NODES, |Held { message, .. }| {
            if message.is_expired(now) {
                expired.push(message.clone());
            }
        });
        for message in expired {
            let before = self.tree.remove(message.topic());
            self.left(before, totals);
        }
        if over { self.tree.end(scan) } else { self.sweep = Some(scan) }
    }
}

/// Whether it is the hub's own, a fixed few that take no place of others: no client publishes there.
fn is_hub_s(message: &Message) -> bool {
    message.topic_str().starts_with("$SYS/")
}

#[cfg(test)]
mod tests;

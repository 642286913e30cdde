//! Who gets a message: subscriptions by topic, merged by session. `elsewhere` is what other workers have of them.

pub(crate) mod elsewhere;
pub(crate) mod retained;

use windlass_proto::mqtt::{
    Filter, Matched, QoS, SUBSCRIPTION_ID_MAX, SubscribeOptions, Subscriptions, TreeError, TreeLimits,
};

use crate::access::Readers;
use crate::memory::Memory;
use crate::parts;
use crate::session::{Key, Sessions};
use elsewhere::{Chosen, Elsewhere, Joined};

/// The subscriptions of this worker's sessions, and what it knows of those of others.
#[derive(Debug)]
pub(crate) struct Routes {
    limits: TreeLimits,
    are_held: bool,
    /// Where there are other workers, without the shared ones: those are there.
    tree: Subscriptions<Key, Entry>,
    /// `None`: there are no other workers.
    pub(crate) elsewhere: Option<Box<Elsewhere>>,
    worker: u16,
    /// Counts searches: the mark of a session that is among the receivers already.
    search: u64,
    targets: Vec<Target>,
    /// Whether somebody subscribes, be it that nobody gets the message.
    is_heard: bool,
    /// Further subscription identifiers of targets: each with the place of the next.
    ids: Vec<(u32, u32)>,
}

/// How somebody subscribes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) options: SubscribeOptions,
    /// 0: none.
    pub(crate) id: u32,
}

/// A session that gets a message, whatever the number of its subscriptions that match.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) key: Key,
    /// The highest of its subscriptions.
    pub(crate) qos: QoS,
    /// Whether any of them keeps the RETAIN flag.
    pub(crate) retain_as_published: bool,
    /// The first identifier, and the place of the next in the list.
    id: u32,
    next: u32,
}

const NONE: u32 = u32::MAX;

/// As deep as a tree goes.
const UNBOUNDED: TreeLimits = TreeLimits { levels_max: usize::MAX, nodes_max: usize::MAX };

impl Routes {
    pub(crate) fn new(limits: TreeLimits) -> Routes {
        Routes {
            limits,
            are_held: true,
            tree: Subscriptions::new(limits),
            elsewhere: None,
            worker: 0,
            search: 0,
            targets: Vec::new(),
            is_heard: false,
            ids: Vec::new(),
        }
    }

    /// Whether new subscriptions are held to limits, from here on. Those of the start are not, however many levels a lower
    /// limit or another number of workers leaves for them: clients have been told that they have them.
    pub(crate) fn hold_to_limits(&mut self, are_held: bool) {
        let limits = if are_held { self.limits } else { UNBOUNDED };
        self.tree.set_limits(limits);
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.set_limits(limits);
        }
        self.are_held = are_held;
    }

    /// The worker begins, as one of several.
    pub(crate) fn begin(&mut self, worker: usize, workers: usize, memory: &Memory) {
        self.worker = worker as u16;
        if !parts::SPREAD {
            return;
        }
        self.elsewhere = Some(Box::new(Elsewhere::new(worker, workers, self.limits, memory)));
    }

    /// Subscriptions of this worker's sessions.
    pub(crate) fn len(&self) -> usize {
        self.tree.len()
            + self.elsewhere.as_ref().filter(|_| parts::SPREAD).map_or(0, |elsewhere| elsewhere.own())
    }

    /// Those who know of shared subscriptions, where there are several workers.
    fn groups(&mut self, filter: Filter<'_>) -> Option<&mut Elsewhere> {
        self.elsewhere.as_deref_mut().filter(|_| parts::SPREAD && filter.group().is_some())
    }

    /// Levels of filters that are kept: of all workers, at most.
    fn nodes(&self) -> usize {
        self.tree.nodes()
            + self.elsewhere.as_ref().filter(|_| parts::SPREAD).map_or(0, |elsewhere| elsewhere.nodes())
    }

    /// Whether there is no room for another filter: of all workers together, and levels that several of them have count
    /// for each.
    fn is_full(&self) -> bool {
        self.are_held && parts::SPREAD && self.elsewhere.is_some() && self.nodes() >= self.limits.nodes_max
    }

    /// Whether what others tell of their sessions' filters is held to limits. What a start has found is not.
    pub(crate) fn are_held(&self) -> bool {
        self.are_held
    }

    /// Whether there may be room for a filter.
    pub(crate) fn may_take(&self, filter: Filter<'_>) -> bool {
        !self.is_full() && filter.levels().count() <= self.limits.levels_max
    }

    /// Adds a subscription, or replaces it; whether it was there.
    pub(crate) fn insert(&mut self, filter: Filter<'_>, key: Key, entry: Entry) -> Result<bool, TreeError> {
        let member = (self.worker, key);
        if self.is_full() && !self.contains(filter, key) {
            return Err(TreeError::Full);
        }
        match self.groups(filter) {
            Some(groups) => groups.join(filter, member, Joined { entry, filter: filter.as_str().into() }),
            None => Ok(self.tree.insert(filter, key, entry)?.is_some()),
        }
    }

    pub(crate) fn contains(&mut self, filter: Filter<'_>, key: Key) -> bool {
        let member = (self.worker, key);
        match self.groups(filter) {
            Some(groups) => groups.is_in(filter, member),
            None => self.tree.get(filter, &key).is_some(),
        }
    }

    pub(crate) fn remove(&mut self, filter: Filter<'_>, key: Key) -> bool {
        let member = (self.worker, key);
        match self.groups(filter) {
            Some(groups) => groups.leave(filter, member),
            None => self.tree.remove(filter, &key).is_some(),
        }
    }

    /// Looks who gets a message that `from` publishes, each session once; `targets` lends those of this worker, and
    /// `elsewhere` knows those of others. One member of each
    /// shared subscription is chosen: in turn, of those that are connected and have nothing waiting, else of those
    /// that are connected, else of those that come back; and only of those who may read the topic.
    pub(crate) fn find(&mut self, readers: Readers<'_>, from: Option<Key>, sessions: &mut Sessions) {
        self.find_own(readers, from, sessions);
        if parts::SPREAD
            && let Some(elsewhere) = &mut self.elsewhere
        {
            for &(key, entry) in elsewhere.find(readers, sessions) {
                self.is_heard = true;
                note(&mut self.targets, &mut self.ids, self.search, sessions, key, entry);
            }
        }
    }

    /// The same for a message that another worker passes on: to those whose filters match, if it is `routed`, and to
    /// those that were chosen there.
    pub(crate) fn find_passed(
        &mut self,
        readers: Readers<'_>,
        routed: bool,
        chosen: &[Chosen],
        sessions: &mut Sessions,
    ) {
        if routed {
            self.find_own(readers, None, sessions);
        } else {
            self.search += 1;
            self.targets.clear();
            self.ids.clear();
        }
        for chosen in chosen {
            note(&mut self.targets, &mut self.ids, self.search, sessions, chosen.key, chosen.entry);
        }
    }

    fn find_own(&mut self, readers: Readers<'_>, from: Option<Key>, sessions: &mut Sessions) {
        let Routes { tree, search, targets, is_heard, ids, .. } = self;
        *search += 1;
        targets.clear();
        ids.clear();
        *is_heard = false;
        tree.matching(readers.topic, |matched| match matched {
            Matched::Own(&key, entry) => {
                *is_heard = true;
                // Own messages do not come back ([MQTT-3.8.3-3]).
                if entry.options.no_local && from == Some(key) {
                    return;
                }
                note(targets, ids, *search, sessions, key, *entry);
            }
            Matched::Group(group) => {
                let idle = |key: &Key, _: &Entry| {
                    sessions
                        .get(*key)
                        .is_some_and(|it| it.is_connected() && it.queue.is_empty() && readers.has(it))
                };
                let mut chosen = group.next(idle).map(|(key, entry)| (*key, *entry));
                if chosen.is_none() {
                    let connected = |key: &Key, _: &Entry| {
                        sessions.get(*key).is_some_and(|it| it.is_connected() && readers.has(it))
                    };
                    chosen = group.next(connected).map(|(key, entry)| (*key, *entry));
                }
                if chosen.is_none() {
                    let kept = |key: &Key, _: &Entry| {
                        sessions.get(*key).is_some_and(|it| it.is_kept() && readers.has(it))
                    };
                    chosen = group.next(kept).map(|(key, entry)| (*key, *entry));
                }
                if let Some((key, entry)) = chosen {
                    *is_heard = true;
                    note(targets, ids, *search, sessions, key, entry);
                }
            }
        });
    }

    /// Whether anybody subscribes to what was looked for last: its publisher too, who does not want it back.
    pub(crate) fn is_heard(&self) -> bool {
        self.is_heard
    }

    /// Those that were found last.
    pub(crate) fn targets(&self) -> usize {
        self.targets.len()
    }

    /// One of them, and its subscription identifiers, written to `ids`.
    pub(crate) fn target<'i>(
        &self,
        at: usize,
        ids: &'i mut [u32; SUBSCRIPTION_ID_MAX],
    ) -> Option<(Target, &'i [u32])> {
        let target = *self.targets.get(at)?;
        let mut len = 0;
        if target.id != 0 {
            ids[0] = target.id;
            len = 1;
            let mut next = target.next;
            while let Some(&(id, behind)) = self.ids.get(next as usize)
                && len < ids.len()
            {
                ids[len] = id;
                len += 1;
                next = behind;
            }
        }
        Some((target, &ids[..len]))
    }
}

/// Adds a subscription that matches to those of its session.
#[inline]
fn note(
    targets: &mut Vec<Target>,
    ids: &mut Vec<(u32, u32)>,
    search: u64,
    sessions: &mut Sessions,
    key: Key,
    entry: Entry,
) {
    let Some(session) = sessions.get_mut(key) else { return };
    let Entry { options, id } = entry;
    if session.mark != search {
        (session.mark, session.mark_at) = (search, targets.len() as u32);
        let retain_as_published = options.retain_as_published;
        targets.push(Target { key, qos: options.qos, retain_as_published, id, next: NONE });
        return;
    }
    let target = &mut targets[session.mark_at as usize];
    target.qos = target.qos.max(options.qos);
    target.retain_as_published |= options.retain_as_published;
    if id != 0 {
        if target.id == 0 {
            target.id = id;
        } else {
            ids.push((id, target.next));
            target.next = (ids.len() - 1) as u32;
        }
    }
}

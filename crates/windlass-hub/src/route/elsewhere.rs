//! What a worker knows of subscriptions that sessions of other workers have, and of the members of shared ones.
//!
//! Of a filter it knows which workers have sessions with it, and those find out which. Of a group it knows all members,
//! its own included, and chooses one of them itself: each worker goes round for itself.

use std::collections::HashMap;
use std::sync::Arc;

use windlass_proto::mqtt::{Filter, Matched, QoS, Subscriptions, TreeError, TreeLimits};

use super::Entry;
use crate::access::Readers;
use crate::identity::{Rights, Who};
use crate::memory::{self, Charge, Memory};
use crate::session::{Key, Sessions};

/// A session of any worker: the worker, and its place there.
pub(crate) type Member = (u16, Key);

/// The routes to other workers.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    worker: u16,
    /// Filters of sessions on other workers, by worker.
    workers: Subscriptions<u16, Heads>,
    groups: Subscriptions<Member, Joined>,
    /// Subscriptions of this worker's sessions among those.
    own: usize,
    /// Members on other workers.
    members: HashMap<Member, Standing>,
    /// What the last search has found, by worker.
    found: Vec<Found>,
    search: u64,
    /// Members of this worker that it has chosen.
    chosen_here: Vec<(Key, Entry)>,
    /// What is counted here: what this worker knows of others, each filter once however many sessions there have it.
    charge: Charge,
}

/// How many sessions of a worker have a filter.
#[derive(Clone, Copy, Default, Debug)]
struct Heads {
    all: u32,
    /// Those for which messages of QoS 1 and 2 are written down.
    durable: u32,
}

/// A subscription of a group's member.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    pub(crate) entry: Entry,
    /// The very filter, with the group.
    pub(crate) filter: Arc<str>,
}

/// How a member of a group is, as others know it; the better ones first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum State {
    /// It has a connection, and nothing waits.
    Idle,
    /// It has a connection, and something waits.
    Busy,
    /// It has none.
    Away,
}

/// Who a member of a group is, as far as its rights depend on it.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub(crate) client_id: Arc<str>,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) who: Option<Arc<Who>>,
}

/// What is known of a member on another worker.
#[derive(Debug)]
struct Standing {
    generation: u32,
    is_durable: bool,
    state: State,
    reader: Arc<Reader>,
    rights: Rights,
    revision: u32,
}

/// What a message has to do on another worker.
#[derive(Debug, Default)]
pub(crate) struct Found {
    search: u64,
    /// Sessions there may have a filter that it matches.
    pub(crate) routed: bool,
    /// What is queued there is to be written down.
    pub(crate) durable: bool,
    /// Members of groups there that get it.
    pub(crate) chosen: Vec<Chosen>,
}

/// The member of a group that a message is for.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Chosen {
    pub(crate) key: Key,
    /// Which of those that were at this place.
    pub(crate) generation: u32,
    pub(crate) entry: Entry,
    /// Of the group, to choose another if that one is gone.
    pub(crate) filter: Arc<str>,
    pub(crate) is_durable: bool,
}

impl Elsewhere {
    pub(crate) fn new(worker: usize, workers: usize, limits: TreeLimits, memory: &Memory) -> Elsewhere {
        Elsewhere {
            worker: worker as u16,
            workers: Subscriptions::new(limits),
            groups: Subscriptions::new(limits),
            own: 0,
            members: HashMap::new(),
            found: (0..workers).map(|_| Found::default()).collect(),
            search: 0,
            chosen_here: Vec::new(),
            charge: memory.charge(0),
        }
    }

    /// Whether there is no memory for a filter of another worker, if it is not known here.
    pub(crate) fn lacks_for(&self, filter: Filter<'_>, member: Result<Member, u16>, memory: &Memory) -> bool {
        memory.lacks_so_much(|| {
            let is_known = match member {
                Ok(member) => self.is_in(filter, member),
                Err(worker) => self.workers.get(filter, &worker).is_some(),
            };
            if is_known { 0 } else { memory::of_elsewhere(filter.as_str()) }
        })
    }

    /// Holds what is added from here on to these limits.
    pub(super) fn set_limits(&mut self, limits: TreeLimits) {
        self.workers.set_limits(limits);
        self.groups.set_limits(limits);
    }

    /// Shared subscriptions of this worker's sessions.
    pub(crate) fn own(&self) -> usize {
        self.own
    }

    /// Levels of filters that are kept.
    pub(crate) fn nodes(&self) -> usize {
        self.workers.nodes() + self.groups.nodes()
    }

    /// One more session of a worker has a filter, or one more for which messages are written down.
    pub(crate) fn add(&mut self, filter: Filter<'_>, worker: u16, durable: bool) -> Result<(), TreeError> {
        let mut heads = self.workers.get(filter, &worker).copied().unwrap_or_default();
        heads.all += 1;
        heads.durable += u32::from(durable);
        let was = self.workers.insert(filter, worker, heads)?;
        if was.is_none() && self.charge.counts() {
            self.charge.add(memory::of_elsewhere(filter.as_str()));
        }
        Ok(())
    }

    /// And one less.
    pub(crate) fn remove(&mut self, filter: Filter<'_>, worker: u16, durable: bool) {
        let Some(mut heads) = self.workers.get(filter, &worker).copied() else { return };
        heads.all = heads.all.saturating_sub(1);
        heads.durable = heads.durable.saturating_sub(u32::from(durable));
        if heads.all == 0 {
            self.workers.remove(filter, &worker);
            self.less(filter);
        } else {
            // It is there, so there is room.
            let _ = self.workers.insert(filter, worker, heads);
        }
    }

    /// A session of any worker joins a group, or goes on in it with other options; whether it was in it.
    pub(crate) fn join(
        &mut self,
        filter: Filter<'_>,
        member: Member,
        joined: Joined,
    ) -> Result<bool, TreeError> {
        let was = self.groups.insert(filter, member, joined)?.is_some();
        self.own += usize::from(member.0 == self.worker && !was);
        // One of this worker's is counted with its session.
        if member.0 != self.worker && !was && self.charge.counts() {
            self.charge.add(memory::of_elsewhere(filter.as_str()));
        }
        Ok(was)
    }

    fn less(&mut self, filter: Filter<'_>) {
        if self.charge.counts() {
            self.charge.sub(memory::of_elsewhere(filter.as_str()));
        }
    }

    /// And leaves it; whether it was in it.
    pub(crate) fn leave(&mut self, filter: Filter<'_>, member: Member) -> bool {
        let was = self.groups.remove(filter, &member).is_some();
        self.own -= usize::from(member.0 == self.worker && was);
        if member.0 != self.worker && was {
            self.less(filter);
        }
        was
    }

    pub(crate) fn is_in(&self, filter: Filter<'_>, member: Member) -> bool {
        self.groups.get(filter, &member).is_some()
    }

    /// Who a session of another worker is, before it joins its first group, and whenever its client comes.
    pub(crate) fn meet(
        &mut self,
        member: Member,
        generation: u32,
        is_durable: bool,
        state: State,
        reader: Arc<Reader>,
    ) {
        // Of no identity: its rights are asked for at the first use.
        let (rights, revision) = (Rights::EVERYTHING, u32::MAX);
        let standing = Standing { generation, is_durable, state, reader, rights, revision };
        if self.members.insert(member, standing).is_none() {
            self.charge.add(memory::MEMBER);
        }
    }

    pub(crate) fn set_state(&mut self, member: Member, state: State) {
        if let Some(standing) = self.members.get_mut(&member) {
            standing.state = state;
        }
    }

    /// It is in no group any more.
    pub(crate) fn part(&mut self, member: Member) {
        if self.members.remove(&member).is_some() {
            self.charge.sub(memory::MEMBER);
        }
    }

    /// Looks where a message goes: [`found`](Elsewhere::found) tells for each worker, and what is returned are members
    /// of this one. Of each group one member is chosen: in turn, of those that are connected and have nothing waiting,
    /// else of those that are connected, else of those that come back; and only of those who may read the topic.
    pub(crate) fn find(&mut self, readers: Readers<'_>, sessions: &Sessions) -> &[(Key, Entry)] {
        self.search += 1;
        self.chosen_here.clear();
        let Elsewhere { workers, found, search, .. } = self;
        workers.matching(readers.topic, |matched| {
            if let Matched::Own(worker, heads) = matched
                && let Some(found) = found.get_mut(usize::from(*worker))
            {
                let found = found.of(*search);
                found.routed = true;
                found.durable |= heads.durable > 0;
            }
        });
        if self.groups.is_empty() {
            return &[];
        }
        self.choose(readers, sessions, None);
        &self.chosen_here
    }

    /// Chooses another member of one group, since the one that another worker has chosen is not there any more:
    /// [`found`](Elsewhere::found), or one of this worker.
    pub(crate) fn choose_again(
        &mut self,
        readers: Readers<'_>,
        sessions: &Sessions,
        filter: &str,
    ) -> Option<(Key, Entry)> {
        self.search += 1;
        self.chosen_here.clear();
        self.choose(readers, sessions, Some(filter));
        self.chosen_here.first().copied()
    }

    fn choose(&mut self, readers: Readers<'_>, sessions: &Sessions, only: Option<&str>) {
        let Elsewhere { worker, groups, members, found, search, chosen_here, .. } = self;
        groups.matching(readers.topic, |matched| {
            let Matched::Group(group) = matched else { return };
            if only.is_some_and(|only| group.iter().next().is_none_or(|(_, joined)| *joined.filter != *only))
            {
                return;
            }
            let mut next = |worst: State| {
                let takes = |member: &Member, _: &Joined| match member.0 == *worker {
                    true => sessions.get(member.1).is_some_and(|it| it.state() <= worst && readers.has(it)),
                    false => {
                        members.get_mut(member).is_some_and(|it| it.state <= worst && it.may_read(readers))
                    }
                };
                group.next(takes).map(|(member, joined)| (*member, joined.clone()))
            };
            let chosen = next(State::Idle).or_else(|| next(State::Busy)).or_else(|| next(State::Away));
            let Some((member, Joined { entry, filter })) = chosen else { return };
            if member.0 == *worker {
                return chosen_here.push((member.1, entry));
            }
            let (Some(found), Some(standing)) = (found.get_mut(usize::from(member.0)), members.get(&member))
            else {
                return;
            };
            let (generation, is_durable) = (standing.generation, standing.is_durable);
            let found = found.of(*search);
            found.durable |= is_durable && entry.options.qos > QoS::AtMostOnce;
            found.chosen.push(Chosen { key: member.1, generation, entry, filter, is_durable });
        });
    }

    /// What the last search has found on a worker, if anything.
    pub(crate) fn found(&mut self, worker: usize) -> Option<&mut Found> {
        let search = self.search;
        self.found.get_mut(worker).filter(|found| found.search == search)
    }
}

impl Found {
    /// Empty, before this search first finds something here.
    fn of(&mut self, search: u64) -> &mut Found {
        if self.search != search {
            self.chosen.clear();
            (self.search, self.routed, self.durable) = (search, false, false);
        }
        self
    }
}

impl Standing {
    fn may_read(&mut self, readers: Readers<'_>) -> bool {
        if self.revision != readers.revision {
            self.rights = readers.rights_of(&self.reader);
            self.revision = readers.revision;
        }
        self.rights.may_read(readers.topic)
    }
}

//! Messages that one worker posted and another had not taken when the process ended: they are given to the sessions they
//! are for at the start, once and for all.
//!
//! What comes of it is in batches, which the log writes before any other, each message with all that it has come to in
//! one of them. Until they are on the disk nothing else is, so a start that is cut off leaves the rest to the next one.

use std::collections::{BTreeMap, HashMap};

use windlass_proto::mqtt::{Filter, Matched, QoS, SubscribeOptions, Subscriptions, Topic, TreeLimits};

use super::batch::Batch;
use super::record::{How, Ids, REPLAYS, Record, SessionNumber};
use super::recovered::RecoveredSubscription;
use super::replay::{Posted, Replay};
use crate::siblings::home;

/// A batch that has grown past it is followed by another: what is written at once is bounded but for what a single
/// message comes to.
const BATCH_BYTES: usize = 1 << 20;

/// All filters that a hub can have been given.
const LIMITS: TreeLimits = TreeLimits { levels_max: 1_024, nodes_max: usize::MAX };

/// How a message goes to one session: what its subscriptions come to.
#[derive(Default)]
struct Merged {
    qos: QoS,
    retain_as_published: bool,
    ids: Vec<u32>,
}

impl Merged {
    /// One more of its subscriptions matches a message of this QoS.
    fn add(&mut self, subscription: &RecoveredSubscription, qos: QoS) {
        let Ok(options) = SubscribeOptions::from_byte(subscription.options & !REPLAYS) else { return };
        self.qos = self.qos.max(options.qos.min(qos));
        self.retain_as_published |= options.retain_as_published;
        self.ids.extend(Some(subscription.id).filter(|id| *id != 0));
    }
}

/// Who subscribes to what, by worker: made once for each number of workers that messages were posted among, whatever
/// the number of messages. Who subscribes to what does not change while they are given out.
#[derive(Default)]
struct Places {
    /// By worker, what sessions subscribe to for themselves.
    own: BTreeMap<usize, Subscriptions<SessionNumber, RecoveredSubscription>>,
    /// By filter, with the name of the group.
    groups: HashMap<Box<str>, Group>,
}

/// Members of a group, one of whom gets a message.
struct Group {
    first: SessionNumber,
    /// The first on each worker.
    first_at: BTreeMap<usize, SessionNumber>,
}

impl Replay {
    /// Queues what was posted and not taken; what is to be written down of that, in this order.
    pub(super) fn settle(&mut self, now_ms: u64) -> Vec<Batch> {
        let mut batches: Vec<Batch> = Vec::new();
        let mut batch = Batch::default();
        let mut records = 0;
        let mut posted: Vec<(u64, Posted)> = self.all_posted();
        // As they were posted, whichever way they went.
        posted.sort_unstable_by_key(|(number, _)| *number);
        let mut places = HashMap::new();
        for (number, posted) in &posted {
            let places = places.entry(posted.workers).or_insert_with(|| self.places(posted.workers, now_ms));
            for (session, merged) in self.receivers(places, posted) {
                let how = How {
                    qos: merged.qos,
                    retain: posted.retain && merged.retain_as_published,
                    ids: Ids::new(&merged.ids),
                };
                let record = Record::Queued { session, message: posted.message, how };
                records += 1;
                batch.put(&record, records);
                self.apply(&record);
            }
            let record = Record::Taken { number: *number, way: posted.way };
            records += 1;
            batch.put(&record, records);
            if batch.bytes.len() > BATCH_BYTES {
                batches.push(std::mem::take(&mut batch));
            }
        }
        // Nobody waits for them as posted any more.
        for (_, posted) in &posted {
            self.out(posted.message);
        }
        batches.extend(Some(batch).filter(|batch| !batch.is_empty()));
        batches
    }

    /// Where those who are there at this time are, among so many workers.
    fn places(&mut self, workers: usize, now_ms: u64) -> Places {
        let mut places = Places::default();
        #[cfg(test)]
        let mut looked_at = 0;
        for (session, live) in self.sessions(now_ms) {
            #[cfg(test)]
            {
                looked_at += 1;
            }
            let at = home(&live.client_id, workers);
            for (filter, subscription) in &live.subscriptions {
                if filter.starts_with("$share/") {
                    let new = || Group { first: session, first_at: BTreeMap::new() };
                    let group = places.groups.entry(filter.clone()).or_insert_with(new);
                    group.first_at.entry(at).or_insert(session);
                } else if let Ok(filter) = Filter::new(filter) {
                    let own = places.own.entry(at).or_insert_with(|| Subscriptions::new(LIMITS));
                    // Within the limits by what they are.
                    let _ = own.insert(filter, session, *subscription);
                }
            }
        }
        #[cfg(test)]
        {
            self.looked_at += looked_at;
        }
        places
    }

    /// The sessions that a message is for, and how each of them gets it.
    fn receivers(&mut self, places: &mut Places, posted: &Posted) -> BTreeMap<SessionNumber, Merged> {
        let mut receivers: BTreeMap<SessionNumber, Merged> = BTreeMap::new();
        let Some(text) = self.text(posted.message).cloned() else { return receivers };
        let Ok(topic) = Topic::new(&text.topic) else { return receivers };
        let to = usize::from(posted.way.to);
        if posted.routed
            && let Some(own) = places.own.get_mut(&to)
        {
            own.matching(topic, |matched| {
                if let Matched::Own(session, subscription) = matched {
                    receivers.entry(*session).or_default().add(subscription, text.qos);
                }
            });
        }
        for filter in &posted.groups {
            let Some(group) = places.groups.get(filter) else { continue };
            if !Filter::new(filter).is_ok_and(|it| it.matches(topic)) {
                continue;
            }
            // One that was chosen, or another of the group if it is gone.
            let session = group.first_at.get(&to).copied().unwrap_or(group.first);
            if let Some(subscription) = self.subscription(session, filter) {
                receivers.entry(session).or_default().add(subscription, text.qos);
            }
        }
        #[cfg(test)]
        {
            self.looked_at += receivers.len() as u64;
        }
        receivers.retain(|_, merged| merged.qos > QoS::AtMostOnce);
        for merged in receivers.values_mut() {
            merged.ids.sort_unstable();
        }
        receivers
    }
}

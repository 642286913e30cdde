//! Messages that one worker posted and another had not taken when the process ended: they are given to the sessions they
//! are for at the start, once and for all.
//!
//! What comes of it is one batch, which the log writes before any other. Until that is on the disk nothing else is, so a
//! start that is cut off leaves all to the next one.

use windlass_proto::mqtt::{Filter, QoS, SubscribeOptions, Topic};

use super::batch::Batch;
use super::record::{How, Ids, Record, SessionNumber};
use super::replay::{Live, Posted, Replay};
use crate::siblings::home;

/// How a message goes to one session: what its subscriptions come to.
#[derive(Default)]
struct Merged {
    qos: QoS,
    retain_as_published: bool,
    ids: Vec<u32>,
    matches: bool,
}

impl Replay {
    /// Queues what was posted and not taken; what is to be written down of that.
    pub(super) fn settle(&mut self, now_ms: u64) -> Batch {
        let mut batch = Batch::default();
        let mut records = 0;
        let posted: Vec<(u64, Posted)> = std::mem::take(&mut self.posted).into_iter().collect();
        for (number, posted) in &posted {
            for (session, merged) in self.receivers(posted, now_ms) {
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
        }
        // Nobody waits for them as posted any more.
        for (_, posted) in &posted {
            self.out(posted.message);
        }
        batch
    }

    /// The sessions that a message is for, and how each of them gets it.
    fn receivers(&self, posted: &Posted, now_ms: u64) -> Vec<(SessionNumber, Merged)> {
        let Some(text) = self.text(posted.message).cloned() else { return Vec::new() };
        let Ok(topic) = Topic::new(&text.topic) else { return Vec::new() };
        let sessions = self.sessions(now_ms);
        let there = |live: &Live| home(&live.client_id, posted.workers) == usize::from(posted.way.to);
        let mut receivers: Vec<(SessionNumber, Merged)> = Vec::new();
        let mut add = |session: SessionNumber, live: &Live, wanted: &dyn Fn(&str) -> bool| {
            let at = match receivers.iter().position(|(number, _)| *number == session) {
                Some(at) => at,
                None => {
                    receivers.push((session, Merged::default()));
                    receivers.len() - 1
                }
            };
            for (filter, subscription) in &live.subscriptions {
                let matches = wanted(filter) && Filter::new(filter).is_ok_and(|it| it.matches(topic));
                let Ok(options) = SubscribeOptions::from_byte(subscription.options) else { continue };
                if matches {
                    let merged = &mut receivers[at].1;
                    merged.matches = true;
                    merged.qos = merged.qos.max(options.qos.min(text.qos));
                    merged.retain_as_published |= options.retain_as_published;
                    merged.ids.extend(Some(subscription.id).filter(|id| *id != 0));
                }
            }
        };
        let is_shared = |filter: &str| filter.starts_with("$share/");
        for (session, live) in sessions.iter().filter(|(_, live)| posted.routed && there(live)) {
            add(*session, live, &|filter| !is_shared(filter));
        }
        for group in &posted.groups {
            // One that was chosen, or another of the group if it is gone.
            let in_group = || sessions.iter().filter(|(_, live)| live.subscriptions.contains_key(group));
            if let Some((session, live)) =
                in_group().find(|(_, live)| there(live)).or_else(|| in_group().next())
            {
                add(*session, live, &|filter| *filter == **group);
            }
        }
        receivers.retain(|(_, merged)| merged.matches && merged.qos > QoS::AtMostOnce);
        receivers
    }
}

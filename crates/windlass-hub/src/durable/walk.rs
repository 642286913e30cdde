//! A checkpoint: all that is durable is written down anew, some of it in each tick, so that what is older can go.

use windlass_proto::mqtt::{InFlight, QoS, Scan};

use super::Durable;
use super::record::how;
use crate::journal::{REPLAYS, Record};
use crate::service::Hub;
use crate::session::{Key, Session};
use crate::siblings::posted::Post;

/// How far a walk is.
#[derive(Debug)]
pub(super) struct Walk {
    /// What was posted to other workers when it began, the last first.
    posts: Vec<(usize, Post)>,
    next: Key,
    /// Once all sessions are written down.
    retained: Option<Scan>,
}

/// Bytes of records that are written in one tick, about, and levels of retained topics that are looked at.
const STEP_BYTES: usize = 512 << 10;
const STEP_NODES: usize = 4096;

impl Hub {
    /// Goes on with a walk, if one is wanted or under way.
    pub(crate) fn walk(&mut self) {
        let walk = match self.durable.walk.take() {
            Some(walk) => walk,
            None if self.durable.journal.walk_is_wanted() => {
                self.durable.journal.begin_walk();
                for (from, number) in self.siblings.all_taken() {
                    self.durable.taken(from, self.worker, number);
                }
                for (topic, version) in self.kept.lately_gone() {
                    self.durable.gone(topic, version);
                }
                let mut posts = self.siblings.posts();
                posts.reverse();
                Walk { posts, next: 0, retained: None }
            }
            None => return,
        };
        self.durable.walk = self.step(walk);
        if self.durable.walk.is_none() {
            self.durable.journal.end_walk();
        }
    }

    /// One step; `None` if it was the last.
    fn step(&mut self, mut walk: Walk) -> Option<Walk> {
        let Hub { durable, sessions, kept, worker, .. } = self;
        let workers = self.siblings.workers();
        // One that is taken meanwhile is passed over when it is read.
        while let Some((to, post)) = walk.posts.pop() {
            if durable.journal.batch_bytes() >= STEP_BYTES {
                walk.posts.push((to, post));
                return Some(walk);
            }
            durable.posted(&post, (*worker, to, workers));
        }
        while walk.next < sessions.end() {
            if durable.journal.batch_bytes() >= STEP_BYTES {
                return Some(walk);
            }
            if let Some(session) = sessions.get(walk.next) {
                durable.whole(session);
            }
            walk.next += 1;
        }
        let mut scan = walk.retained.take().unwrap_or_else(|| kept.scan_all());
        while durable.journal.batch_bytes() < STEP_BYTES {
            let over = kept.proceed(&mut scan, STEP_NODES, |message| {
                if kept.is_own(message.version) {
                    durable.retained(message);
                }
            });
            if over {
                kept.end(scan);
                return None;
            }
        }
        Some(Walk { retained: Some(scan), ..walk })
    }
}

impl Durable {
    /// All of a session.
    fn whole(&mut self, session: &Session) {
        if session.number == 0 {
            return;
        }
        let number = session.number;
        self.open(session, session.level);
        if session.will.is_some() {
            self.will(session);
        }
        for subscription in session.subscriptions.iter() {
            let (filter, mut options) = (&*subscription.filter, subscription.options.to_byte());
            let mut replays = session.scans.iter().flat_map(|scans| scans.iter());
            if replays.any(|replay| replay.filter == subscription.filter) {
                options |= REPLAYS;
            }
            self.journal.record(&Record::Subscribed {
                session: number,
                filter,
                options,
                id: subscription.id,
            });
        }
        // In flight first: what is sent leaves the queue.
        for (id, in_flight) in session.outgoing.iter().flat_map(|outgoing| outgoing.in_flight()) {
            let packet = id.get();
            match in_flight {
                InFlight::Released => {
                    self.journal.record(&Record::Released { session: number, packet });
                }
                InFlight::Message(_, sent) => {
                    let Some(message) = &sent.message else { continue };
                    let message = self.message(message);
                    let how = how(&sent.how);
                    self.journal.record(&Record::Sent { session: number, message, packet, how });
                }
            }
        }
        for queued in session.queue.iter().filter(|queued| queued.how.qos != QoS::AtMostOnce) {
            self.queued(session, queued);
        }
        for id in session.incoming.iter().flat_map(|incoming| incoming.taken_over()) {
            self.journal.record(&Record::Received { session: number, packet: id.get() });
        }
        if !session.is_connected() {
            self.disconnected(session);
        }
    }
}

//! A small hub: workers with sessions, that records what it does, remembers every state that each session was in, and
//! can tell whether what a start finds is one of those that it may find.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use windlass_proto::mqtt::QoS;
use windlass_proto::testing::Rng;

use crate::journal::*;

/// A state, the worker that wrote it down, and the record that did. `None`: it is gone.
type History<T> = Vec<(usize, u64, Option<T>)>;

pub(super) struct Worker {
    pub(super) journal: Journal,
    sessions: BTreeMap<SessionNumber, RecoveredSession>,
    /// Topics that this worker has retained, those that are deleted too.
    retained: BTreeMap<String, (u64, Option<String>)>,
    /// What is still to be walked.
    walk: Option<(Vec<SessionNumber>, Vec<String>)>,
    /// The last record of the batch that was submitted last, committed or not.
    pub(super) submitted: u64,
}

pub(super) struct Hub {
    pub(super) workers: Vec<Worker>,
    sessions: BTreeMap<SessionNumber, History<RecoveredSession>>,
    retained: BTreeMap<String, History<(u64, String)>>,
    /// Sessions on their way, and whereto.
    moving: Vec<(usize, RecoveredSession)>,
    /// Of each message one, whichever workers have it.
    marks: BTreeMap<MessageNumber, Mark>,
    /// All that was ever queued.
    messages: Vec<Arc<RecoveredMessage>>,
    version: u64,
    pub(super) walks: u64,
}

impl Hub {
    /// Goes on with what a log holds.
    pub(super) fn new(log: &Log, workers: usize, recovered: &Recovered) -> Hub {
        let mut hub = Hub {
            workers: (0..workers)
                .map(|worker| Worker {
                    journal: log.journal(worker),
                    sessions: BTreeMap::new(),
                    retained: BTreeMap::new(),
                    walk: None,
                    submitted: 0,
                })
                .collect(),
            sessions: BTreeMap::new(),
            retained: BTreeMap::new(),
            moving: Vec::new(),
            marks: BTreeMap::new(),
            messages: Vec::new(),
            version: recovered.next_version,
            walks: 0,
        };
        for session in &recovered.sessions {
            let at = session.number as usize % workers;
            for message in messages_of(session) {
                hub.marks.insert(message.number, Mark::recovered(message.number, at));
            }
            hub.sessions.insert(session.number, vec![(at, 0, Some(session.clone()))]);
            hub.workers[at].sessions.insert(session.number, session.clone());
        }
        for retained in &recovered.retained {
            let topic = retained.message.topic.to_string();
            let payload = String::from_utf8_lossy(&retained.message.payload).into_owned();
            let at = worker_of(&topic, workers);
            hub.retained.insert(topic.clone(), vec![(at, 0, Some((retained.version, payload.clone())))]);
            hub.workers[at].retained.insert(topic, (retained.version, Some(payload)));
        }
        hub
    }

    /// Something happens on a worker.
    pub(super) fn act(&mut self, at: usize, rng: &mut Rng) {
        let workers = self.workers.len();
        let worker = &mut self.workers[at];
        let some =
            worker.sessions.keys().nth(rng.below(worker.sessions.len().max(1) as u64) as usize).copied();
        let packet = 1 + rng.below(6) as u16;
        match (rng.below(20), some) {
            (0 | 1, _) | (_, None) => self.open(at, rng),
            (2, Some(session)) => {
                worker.sessions.remove(&session);
                let number = worker.journal.record(&Record::Closed { session });
                self.sessions.entry(session).or_default().push((at, number, None));
            }
            (3, _) => {
                // A topic is one worker's, so that its states have an order.
                let topic = format!("{at}/{}", rng.below(4));
                assert_eq!(worker_of(&topic, workers), at);
                self.version += 1;
                let version = self.version;
                let payload = (rng.chance(2, 3)).then(|| format!("retained {version}"));
                let record = match &payload {
                    Some(payload) => Record::Retained { version, body: body(&topic, payload) },
                    None => Record::RetainedGone { version, topic: &topic },
                };
                let number = worker.journal.record(&record);
                worker.retained.insert(topic.clone(), (version, payload.clone()));
                let state = payload.map(|payload| (version, payload));
                self.retained.entry(topic).or_default().push((at, number, state));
            }
            (4, Some(session)) if workers > 1 => self.send_away(at, session, rng),
            (5..=8, Some(session)) => {
                let message = self.message(rng);
                let many = if rng.chance(1, 3) { 3 } else { 1 };
                let to: Vec<SessionNumber> = self.workers[at]
                    .sessions
                    .range(session..)
                    .take(many)
                    .map(|(number, _)| *number)
                    .collect();
                for session in to {
                    self.queue(at, session, &message, rng);
                }
            }
            (n, Some(session)) => self.change(at, session, n, packet, rng),
        }
    }

    fn open(&mut self, at: usize, rng: &mut Rng) {
        let worker = &mut self.workers[at];
        let session = worker.journal.session();
        let state = RecoveredSession {
            number: session,
            client_id: format!("client {session}").into(),
            user: if rng.chance(1, 2) { "user".into() } else { "".into() },
            level: 4 + rng.below(2) as u8,
            expiry_s: u32::MAX,
            offline_since_ms: None,
            will: None,
            subscriptions: BTreeMap::new(),
            queued: VecDeque::new(),
            in_flight: VecDeque::new(),
            received: Vec::new(),
        };
        let number = worker.journal.record(&Record::Opened {
            session,
            client_id: &state.client_id,
            user: &state.user,
            level: state.level,
            expiry_s: state.expiry_s,
        });
        self.sessions.entry(session).or_default().push((at, number, Some(state.clone())));
        worker.sessions.insert(session, state);
    }

    /// A new message, or now and then one that has been there before.
    fn message(&mut self, rng: &mut Rng) -> Arc<RecoveredMessage> {
        if rng.chance(1, 4) && !self.messages.is_empty() {
            let at = self.messages.len() - 1 - rng.below(self.messages.len().min(8) as u64) as usize;
            return self.messages[at].clone();
        }
        // Its number is drawn from worker 0's, so that no two have the same.
        let number = self.workers[0].journal.session();
        let payload = format!("message {number} {}", "x".repeat(rng.below(30) as usize));
        let message = Arc::new(RecoveredMessage::new(number, &body("topic", &payload)));
        self.messages.push(message.clone());
        message
    }

    fn queue(&mut self, at: usize, session: SessionNumber, message: &Arc<RecoveredMessage>, rng: &mut Rng) {
        let worker = &mut self.workers[at];
        let Some(state) = worker.sessions.get_mut(&session) else { return };
        let message = message.clone();
        let ids: Box<[u32]> = (0..rng.below(3)).map(|n| n as u32 * 1000).collect();
        let delivery = RecoveredDelivery { message, qos: QoS::AtLeastOnce, retain: rng.chance(1, 2), ids };
        let number = text(&mut worker.journal, &mut self.marks, &delivery.message);
        let how = How { qos: delivery.qos, retain: delivery.retain, ids: Ids::new(&delivery.ids) };
        let record = if rng.chance(1, 3) && state.queued.is_empty() {
            let packet = free(state);
            state.in_flight.push_back((packet, RecoveredInFlight::Message(delivery.clone())));
            Record::Sent { session, message: number, packet, how }
        } else {
            state.queued.push_back(delivery.clone());
            Record::Queued { session, message: number, how }
        };
        let number = worker.journal.record(&record);
        let state = state.clone();
        self.sessions.entry(session).or_default().push((at, number, Some(state)));
    }

    fn change(&mut self, at: usize, session: SessionNumber, what: u64, packet: u16, rng: &mut Rng) {
        let worker = &mut self.workers[at];
        let Some(state) = worker.sessions.get_mut(&session) else { return };
        let journal = &mut worker.journal;
        match what {
            9 => {
                state.offline_since_ms = Some(900);
                journal.record(&Record::Disconnected { session, at_ms: 900, expiry_s: u32::MAX });
            }
            10 => {
                (state.offline_since_ms, state.level) = (None, 5);
                journal.record(&Record::Connected { session, level: 5, expiry_s: u32::MAX });
            }
            11 => {
                let (filter, options) = (format!("filter/{packet}"), rng.below(3) as u8);
                journal.record(&Record::Subscribed { session, filter: &filter, options, id: 5 });
                state.subscriptions.insert(filter.into(), RecoveredSubscription { options, id: 5 });
            }
            12 => {
                let filter = format!("filter/{packet}");
                journal.record(&Record::Unsubscribed { session, filter: &filter });
                state.subscriptions.remove(&*filter);
            }
            13 => {
                let message = RecoveredMessage::new(0, &body("will", "bye"));
                journal.record(&Record::Will { session, delay_s: packet.into(), body: message.body() });
                state.will = Some(RecoveredWill { delay_s: packet.into(), message });
            }
            14 => {
                journal.record(&Record::WillGone { session });
                state.will = None;
            }
            15 | 16 => {
                let Some(delivery) = state.queued.pop_front() else { return };
                let message = delivery.message.number;
                let how =
                    How { qos: QoS::ExactlyOnce, retain: delivery.retain, ids: Ids::new(&delivery.ids) };
                if rng.chance(1, 5) {
                    journal.record(&Record::Dropped { session, message });
                } else {
                    let packet = free(state);
                    journal.record(&Record::Sent { session, message, packet, how });
                    let delivery = RecoveredDelivery { qos: QoS::ExactlyOnce, ..delivery.clone() };
                    state.in_flight.push_back((packet, RecoveredInFlight::Message(delivery)));
                }
            }
            17 => {
                let Some((packet, in_flight)) = state.in_flight.front_mut() else { return };
                *in_flight = RecoveredInFlight::Released;
                journal.record(&Record::Released { session, packet: *packet });
            }
            18 => {
                let at = rng.below(state.in_flight.len().max(1) as u64) as usize;
                let Some((packet, _)) = state.in_flight.remove(at) else { return };
                journal.record(&Record::Done { session, packet });
            }
            _ => match state.received.binary_search(&packet) {
                Ok(at) => {
                    state.received.remove(at);
                    journal.record(&Record::ReceivedDone { session, packet });
                }
                Err(at) => {
                    state.received.insert(at, packet);
                    journal.record(&Record::Received { session, packet });
                }
            },
        }
        let (number, state) = (journal.recorded(), state.clone());
        self.sessions.entry(session).or_default().push((at, number, Some(state)));
    }

    /// A session leaves, once all that was recorded here is committed.
    fn send_away(&mut self, at: usize, session: SessionNumber, rng: &mut Rng) {
        let to = rng.below(self.workers.len() as u64) as usize;
        let worker = &mut self.workers[at];
        if to == at || worker.journal.committed() < worker.journal.recorded() {
            return;
        }
        let Some(state) = worker.sessions.remove(&session) else { return };
        worker.journal.released();
        self.moving.push((to, state));
    }

    /// One of those on their way arrives.
    pub(super) fn arrive(&mut self, rng: &mut Rng) {
        if self.moving.is_empty() {
            return;
        }
        let (at, state) = self.moving.swap_remove(rng.below(self.moving.len() as u64) as usize);
        let worker = &mut self.workers[at];
        if worker.journal.adopted() {
            write(&mut worker.journal, &mut self.marks, &state);
        }
        worker.sessions.insert(state.number, state);
    }

    /// A step of a walk, if one is wanted or under way.
    pub(super) fn walk(&mut self, at: usize, rng: &mut Rng) {
        let worker = &mut self.workers[at];
        if worker.walk.is_none() && worker.journal.walk_is_wanted() {
            worker.journal.begin_walk();
            let sessions = worker.sessions.keys().copied().collect();
            worker.walk = Some((sessions, worker.retained.keys().cloned().collect()));
        }
        let Some((sessions, topics)) = &mut worker.walk else { return };
        for _ in 0..rng.below(4) {
            if let Some(session) = sessions.pop() {
                // It may be gone, or have left.
                if let Some(state) = worker.sessions.get(&session) {
                    write(&mut worker.journal, &mut self.marks, state);
                }
            } else if let Some(topic) = topics.pop() {
                let (version, payload) = &worker.retained[&topic];
                let version = *version;
                worker.journal.record(&match payload {
                    Some(payload) => Record::Retained { version, body: body(&topic, payload) },
                    None => Record::RetainedGone { version, topic: &topic },
                });
            } else {
                worker.journal.end_walk();
                worker.walk = None;
                self.walks += 1;
                return;
            }
        }
    }

    /// That what a start has found is what was committed, and of what was on its way to be, each worker's batch whole
    /// or not at all.
    pub(super) fn check(&self, recovered: &Recovered) -> Result<(), String> {
        if !recovered.report.problems.is_empty() {
            return Err(format!("{:?}", recovered.report.problems));
        }
        let mut wrong = String::new();
        for choice in 0..1 << self.workers.len() {
            let bounds: Vec<u64> = (self.workers.iter().enumerate())
                .map(|(at, worker)| {
                    let committed = worker.journal.committed();
                    if choice >> at & 1 == 1 { committed.max(worker.submitted) } else { committed }
                })
                .collect();
            match self.check_at(recovered, &bounds) {
                Ok(()) => return Ok(()),
                Err(why) => wrong += &format!("\nwith {bounds:?}: {why}"),
            }
        }
        Err(wrong)
    }

    fn check_at(&self, recovered: &Recovered, bounds: &[u64]) -> Result<(), String> {
        let found: BTreeMap<_, _> =
            recovered.sessions.iter().map(|session| (session.number, session)).collect();
        for (number, history) in &self.sessions {
            let expected = last(history, bounds);
            let found = found.get(number).copied();
            if expected != found {
                return Err(format!("session {number}: expected\n{expected:?}\nfound\n{found:?}"));
            }
        }
        if let Some(number) = found.keys().find(|number| !self.sessions.contains_key(number)) {
            return Err(format!("session {number} was never there"));
        }
        let found: BTreeMap<_, _> = recovered
            .retained
            .iter()
            .map(|r| {
                let payload = String::from_utf8_lossy(&r.message.payload).into_owned();
                (r.message.topic.to_string(), (r.version, payload))
            })
            .collect();
        for (topic, history) in &self.retained {
            let (expected, found) = (last(history, bounds), found.get(topic));
            if expected != found {
                return Err(format!("topic {topic}: expected {expected:?}, found {found:?}"));
            }
        }
        match found.keys().find(|topic| !self.retained.contains_key(*topic)) {
            Some(topic) => Err(format!("topic {topic} was never there")),
            None => Ok(()),
        }
    }
}

/// The last state within what each worker has written.
fn last<'h, T>(history: &'h History<T>, bounds: &[u64]) -> Option<&'h T> {
    let within = history.iter().rev().find(|(worker, number, _)| *number <= bounds[*worker]);
    within.and_then(|(_, _, state)| state.as_ref())
}

fn body<'b>(topic: &'b str, payload: &'b str) -> Body<'b> {
    Body { topic, payload: payload.as_bytes(), qos: QoS::AtLeastOnce, ..Body::default() }
}

fn worker_of(topic: &str, workers: usize) -> usize {
    topic.split('/').next().and_then(|worker| worker.parse().ok()).unwrap_or(0) % workers
}

fn messages_of(session: &RecoveredSession) -> impl Iterator<Item = &Arc<RecoveredMessage>> {
    let in_flight = session.in_flight.iter().filter_map(|(_, in_flight)| match in_flight {
        RecoveredInFlight::Message(delivery) => Some(delivery),
        RecoveredInFlight::Released => None,
    });
    session.queued.iter().chain(in_flight).map(|delivery| &delivery.message)
}

fn free(state: &RecoveredSession) -> u16 {
    let used = |packet: u16| state.in_flight.iter().any(|(id, _)| *id == packet);
    (1..).find(|packet| !used(*packet)).unwrap_or(u16::MAX)
}

/// The number of a message that is in the log.
fn text(
    journal: &mut Journal,
    marks: &mut BTreeMap<MessageNumber, Mark>,
    message: &RecoveredMessage,
) -> MessageNumber {
    let mark = marks.entry(message.number).or_insert_with(|| Mark::unwritten(message.number));
    journal.message(mark, &message.body())
}

/// All of a session, as a walk writes it.
fn write(journal: &mut Journal, marks: &mut BTreeMap<MessageNumber, Mark>, state: &RecoveredSession) {
    let session = state.number;
    let (client_id, user) = (&*state.client_id, &*state.user);
    journal.record(&Record::Opened {
        session,
        client_id,
        user,
        level: state.level,
        expiry_s: state.expiry_s,
    });
    if let Some(at_ms) = state.offline_since_ms {
        journal.record(&Record::Disconnected { session, at_ms, expiry_s: state.expiry_s });
    }
    if let Some(will) = &state.will {
        journal.record(&Record::Will { session, delay_s: will.delay_s, body: will.message.body() });
    }
    for (filter, RecoveredSubscription { options, id }) in &state.subscriptions {
        journal.record(&Record::Subscribed { session, filter, options: *options, id: *id });
    }
    // In flight first: what is sent leaves the queue.
    for (packet, in_flight) in &state.in_flight {
        let packet = *packet;
        match in_flight {
            RecoveredInFlight::Message(delivery) => {
                let message = text(journal, marks, &delivery.message);
                let how = How { qos: delivery.qos, retain: delivery.retain, ids: Ids::new(&delivery.ids) };
                journal.record(&Record::Sent { session, message, packet, how });
            }
            RecoveredInFlight::Released => {
                journal.record(&Record::Released { session, packet });
            }
        }
    }
    for delivery in &state.queued {
        let message = text(journal, marks, &delivery.message);
        let how = How { qos: delivery.qos, retain: delivery.retain, ids: Ids::new(&delivery.ids) };
        journal.record(&Record::Queued { session, message, how });
    }
    for packet in &state.received {
        journal.record(&Record::Received { session, packet: *packet });
    }
}

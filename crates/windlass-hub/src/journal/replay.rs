//! Records, one after the other, become the state they describe.
//!
//! What it holds on the way is what is live, and the texts of messages that nobody waits for go at once. One may be
//! asked for again (a message that is retained, for a session that subscribes later): its number is noted, and when all
//! is read its text is looked for in a second pass over the log, which as a rule is not needed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use windlass::Bytes;
use windlass_proto::mqtt::QoS;

use super::batch::Batch;
use super::record::{How, MessageNumber, Record, RecordError, SessionNumber, Way};
use super::recovered::{
    Recovered, RecoveredDelivery, RecoveredInFlight, RecoveredMessage, RecoveredRetained, RecoveredSession,
    RecoveredSubscription, RecoveredWill, RecoveredWillDue, Report,
};

/// The state of all records so far.
#[derive(Default)]
pub(super) struct Replay {
    sessions: HashMap<SessionNumber, Live>,
    by_client: HashMap<Box<str>, SessionNumber>,
    messages: HashMap<MessageNumber, Text>,
    /// Messages that somebody has let go of in this frame.
    let_go: Vec<MessageNumber>,
    retained: HashMap<Box<str>, Kept>,
    /// What was posted and not taken, by number, each way. No number is given twice.
    posted: HashMap<Way, BTreeMap<u64, Posted>>,
    /// Up to which number all was taken.
    taken: HashMap<Way, u64>,
    last_number: u64,
    last_version: u64,
    pub(super) report: Report,
    /// Sessions and posted messages that were looked at: what a start costs.
    #[cfg(test)]
    pub(super) looked_at: u64,
}

/// A message between two workers.
pub(super) struct Posted {
    pub(super) message: MessageNumber,
    pub(super) way: Way,
    pub(super) workers: usize,
    pub(super) retain: bool,
    pub(super) routed: bool,
    pub(super) groups: Vec<Box<str>>,
}

/// A session, with messages by their numbers.
#[derive(Default)]
pub(super) struct Live {
    pub(super) client_id: Box<str>,
    user: Box<str>,
    level: u8,
    expiry_s: u32,
    offline_since_ms: Option<u64>,
    will: Option<RecoveredWill>,
    pub(super) subscriptions: BTreeMap<Box<str>, RecoveredSubscription>,
    queued: VecDeque<Waiting>,
    in_flight: VecDeque<(u16, Option<Waiting>)>,
    received: Vec<u16>,
}

struct Waiting {
    message: MessageNumber,
    how: Delivery,
}

struct Delivery {
    qos: QoS,
    retain: bool,
    ids: Box<[u32]>,
}

impl Delivery {
    fn new(how: &How<'_>) -> Delivery {
        Delivery { qos: how.qos, retain: how.retain, ids: how.ids.iter().collect() }
    }
}

/// The text of a message, and how many wait for it.
#[derive(Default)]
struct Text {
    message: Option<Arc<RecoveredMessage>>,
    waiting: usize,
}

/// What is retained for a topic, or that nothing is since this version.
struct Kept {
    version: u64,
    message: Option<KeptMessage>,
}

/// Without the topic, which is the key.
struct KeptMessage {
    payload: Bytes,
    properties: Box<[u8]>,
    qos: QoS,
    expires_at_ms: u64,
    publisher: SessionNumber,
}

impl Replay {
    /// All records of a frame; none, if one of them is not a record.
    pub(super) fn frame(&mut self, body: &[u8]) -> Result<(), RecordError> {
        let mut rest = body;
        while !rest.is_empty() {
            Record::decode(&mut rest)?;
        }
        let mut rest = body;
        while !rest.is_empty() {
            let record = Record::decode(&mut rest)?;
            self.report.records += 1;
            self.apply(&record);
        }
        self.report.batches += 1;
        // Only now: a session that is written down anew lets go of what it takes up again a record later.
        for number in self.let_go.drain(..) {
            if self.messages.get(&number).is_some_and(|text| text.waiting == 0) {
                self.messages.remove(&number);
            }
        }
        Ok(())
    }

    pub(super) fn apply(&mut self, record: &Record<'_>) {
        match *record {
            Record::Opened { session, client_id, user, level, expiry_s } => {
                self.last_number = self.last_number.max(session);
                self.close(session);
                if let Some(before) = self.by_client.insert(client_id.into(), session) {
                    self.close(before);
                    self.by_client.insert(client_id.into(), session);
                }
                let (client_id, user) = (client_id.into(), user.into());
                let live = Live { client_id, user, level, expiry_s, ..Live::default() };
                self.sessions.insert(session, live);
            }
            Record::Closed { session } => self.close(session),
            Record::Message { message, body } => {
                self.last_number = self.last_number.max(message);
                let text = self.messages.entry(message).or_default();
                if text.message.is_none() {
                    text.message = Some(Arc::new(RecoveredMessage::new(message, &body)));
                }
                if text.waiting == 0 {
                    // If nobody waits for it at the end of this frame, nobody does.
                    self.let_go.push(message);
                }
            }
            Record::Posted { number, message, way, workers, retain, routed, groups } => {
                self.last_number = self.last_number.max(number);
                let is_taken = self.taken.get(&way).is_some_and(|taken| *taken >= number);
                let posted = self.posted.entry(way).or_default();
                if !is_taken && !posted.contains_key(&number) {
                    self.messages.entry(message).or_default().waiting += 1;
                    let (workers, groups) = (workers.into(), groups.iter().map(Into::into).collect());
                    posted.insert(number, Posted { message, way, workers, retain, routed, groups });
                }
            }
            Record::Taken { number, way } => {
                self.last_number = self.last_number.max(number);
                let taken = self.taken.entry(way).or_default();
                *taken = number.max(*taken);
                let mut waiters = Waiters { messages: &mut self.messages, let_go: &mut self.let_go };
                // Mostly all of them, and never more than those that are out now.
                while let Some(first) = self.posted.get_mut(&way).and_then(BTreeMap::first_entry)
                    && *first.key() <= number
                {
                    #[cfg(test)]
                    {
                        self.looked_at += 1;
                    }
                    waiters.remove(first.remove().message);
                }
            }
            Record::Retained { version, body } => {
                let message = KeptMessage {
                    payload: Bytes::copy_from_slice(body.payload),
                    properties: body.properties.into(),
                    qos: body.qos,
                    expires_at_ms: body.expires_at_ms,
                    publisher: body.publisher,
                };
                self.keep(body.topic, version, Some(message));
            }
            Record::RetainedGone { version, topic } => self.keep(topic, version, None),
            Record::Connected { session, .. }
            | Record::Disconnected { session, .. }
            | Record::Subscribed { session, .. }
            | Record::Unsubscribed { session, .. }
            | Record::Queued { session, .. }
            | Record::Sent { session, .. }
            | Record::Dropped { session, .. }
            | Record::Released { session, .. }
            | Record::Done { session, .. }
            | Record::Received { session, .. }
            | Record::ReceivedDone { session, .. }
            | Record::Will { session, .. }
            | Record::WillGone { session } => {
                // One that is gone, or that what was removed of the log began: a checkpoint has it, further on.
                if let Some(live) = self.sessions.get_mut(&session) {
                    live.apply(
                        record,
                        &mut Waiters { messages: &mut self.messages, let_go: &mut self.let_go },
                    );
                }
            }
        }
    }

    fn keep(&mut self, topic: &str, version: u64, message: Option<KeptMessage>) {
        self.last_version = self.last_version.max(version);
        match self.retained.get_mut(topic) {
            Some(kept) if kept.version > version => {}
            Some(kept) => *kept = Kept { version, message },
            None => {
                self.retained.insert(topic.into(), Kept { version, message });
            }
        }
    }

    fn close(&mut self, session: SessionNumber) {
        let Some(live) = self.sessions.remove(&session) else { return };
        self.by_client.remove(&live.client_id);
        let mut waiters = Waiters { messages: &mut self.messages, let_go: &mut self.let_go };
        let in_flight = live.in_flight.iter().filter_map(|(_, waiting)| waiting.as_ref());
        for waiting in live.queued.iter().chain(in_flight) {
            waiters.remove(waiting.message);
        }
    }

    /// Whether texts are missing that somebody waits for.
    pub(super) fn wants_texts(&self) -> bool {
        self.messages.values().any(|text| text.message.is_none())
    }

    /// Takes the missing texts of a frame, in a second pass.
    pub(super) fn texts(&mut self, body: &[u8]) {
        let mut rest = body;
        while let Ok(record) = Record::decode(&mut rest) {
            if let Record::Message { message, body } = record
                && let Some(text) = self.messages.get_mut(&message)
                && text.message.is_none()
            {
                text.message = Some(Arc::new(RecoveredMessage::new(message, &body)));
            }
        }
    }

    /// Takes out what was posted and not taken, with the numbers.
    pub(super) fn all_posted(&mut self) -> Vec<(u64, Posted)> {
        std::mem::take(&mut self.posted).into_values().flatten().collect()
    }

    /// How a session subscribes to this very filter.
    pub(super) fn subscription(
        &self,
        session: SessionNumber,
        filter: &str,
    ) -> Option<&RecoveredSubscription> {
        self.sessions.get(&session)?.subscriptions.get(filter)
    }

    /// One less waits for a message.
    pub(super) fn out(&mut self, message: MessageNumber) {
        Waiters { messages: &mut self.messages, let_go: &mut self.let_go }.remove(message);
    }

    /// The text of a message, if there is one.
    pub(super) fn text(&self, message: MessageNumber) -> Option<&Arc<RecoveredMessage>> {
        self.messages.get(&message)?.message.as_ref()
    }

    /// Sessions that are there at this time, in the order of their numbers.
    pub(super) fn sessions(&self, now_ms: u64) -> Vec<(SessionNumber, &Live)> {
        let alive = self.sessions.iter().filter(|(_, live)| !live.is_expired(now_ms));
        let mut alive: Vec<_> = alive.map(|(number, live)| (*number, live)).collect();
        alive.sort_unstable_by_key(|(number, _)| *number);
        alive
    }

    /// The state at this time, in Unix milliseconds, and what is to be written down before all else: what has become of
    /// messages between two workers.
    pub(super) fn finish(mut self, now_ms: u64) -> (Recovered, Vec<Batch>) {
        let settled = self.settle(now_ms);
        let mut recovered = Recovered {
            next_number: self.last_number + 1,
            next_version: self.last_version + 1,
            report: std::mem::take(&mut self.report),
            ..Recovered::default()
        };
        for (topic, kept) in std::mem::take(&mut self.retained) {
            let Some(message) = kept.message else { continue };
            let KeptMessage { payload, properties, qos, expires_at_ms, publisher } = message;
            let message = RecoveredMessage {
                number: 0,
                topic,
                payload,
                properties,
                qos,
                retain: true,
                expires_at_ms,
                publisher,
            };
            if message.is_expired(now_ms) {
                recovered.report.expired_messages += 1;
                continue;
            }
            recovered.report.live_bytes += weight(&message);
            recovered.retained.push(RecoveredRetained { version: kept.version, message });
        }
        let mut lost = 0;
        for (number, live) in std::mem::take(&mut self.sessions) {
            if live.is_expired(now_ms) {
                recovered.report.expired_sessions += 1;
                let Live { client_id, user, will, .. } = live;
                let due = will.map(|will| RecoveredWillDue { session: number, client_id, user, will });
                recovered.wills_due.extend(due);
                continue;
            }
            let session = self.session(number, live, now_ms, &mut recovered.report, &mut lost);
            recovered.sessions.push(session);
        }
        recovered.sessions.sort_unstable_by_key(|session| session.number);
        if lost > 0 {
            let problem =
                format!("{lost} messages of sessions are lost: their text is in none of the segments");
            recovered.report.problems.push(problem);
        }
        (recovered, settled)
    }

    fn session(
        &self,
        number: SessionNumber,
        live: Live,
        now_ms: u64,
        report: &mut Report,
        lost: &mut u64,
    ) -> RecoveredSession {
        let Live { client_id, user, level, expiry_s, offline_since_ms, will, subscriptions, .. } = live;
        let mut delivery = |waiting: Waiting| -> Option<RecoveredDelivery> {
            let Some(message) = self.messages.get(&waiting.message).and_then(|text| text.message.clone())
            else {
                *lost += 1;
                return None;
            };
            let Delivery { qos, retain, ids } = waiting.how;
            Some(RecoveredDelivery { message, qos, retain, ids })
        };
        let mut queued: VecDeque<_> = live.queued.into_iter().filter_map(&mut delivery).collect();
        let waiting = queued.len();
        queued.retain(|delivery| !delivery.message.is_expired(now_ms));
        report.expired_messages += (waiting - queued.len()) as u64;
        let in_flight = live.in_flight.into_iter().filter_map(|(packet, waiting)| match waiting {
            Some(waiting) => Some((packet, RecoveredInFlight::Message(delivery(waiting)?))),
            None => Some((packet, RecoveredInFlight::Released)),
        });
        let in_flight: VecDeque<_> = in_flight.collect();
        let mut received = live.received;
        received.sort_unstable();
        // Of a message that several wait for, each counts its share.
        let share = |delivery: &RecoveredDelivery| {
            16 + weight(&delivery.message) / Arc::strong_count(&delivery.message).max(1) as u64
        };
        report.live_bytes += 32 + (client_id.len() + user.len()) as u64;
        report.live_bytes += subscriptions.keys().map(|filter| filter.len() as u64 + 10).sum::<u64>();
        report.live_bytes += queued.iter().map(share).sum::<u64>();
        report.live_bytes += 8 * (in_flight.len() + received.len()) as u64;
        report.live_bytes += in_flight
            .iter()
            .filter_map(|(_, in_flight)| match in_flight {
                RecoveredInFlight::Message(delivery) => Some(share(delivery)),
                RecoveredInFlight::Released => None,
            })
            .sum::<u64>();
        report.live_bytes += will.as_ref().map_or(0, |will| weight(&will.message));
        RecoveredSession {
            number,
            client_id,
            user,
            level,
            expiry_s,
            offline_since_ms,
            will,
            subscriptions,
            queued,
            in_flight,
            received,
        }
    }
}

/// What it takes in the log, about.
fn weight(message: &RecoveredMessage) -> u64 {
    (message.topic.len() + message.payload.len() + message.properties.len() + 24) as u64
}

/// Counts who waits for which message.
struct Waiters<'r> {
    messages: &'r mut HashMap<MessageNumber, Text>,
    let_go: &'r mut Vec<MessageNumber>,
}

impl Waiters<'_> {
    fn add(&mut self, number: MessageNumber) {
        self.messages.entry(number).or_default().waiting += 1;
    }

    fn remove(&mut self, number: MessageNumber) {
        if let Some(text) = self.messages.get_mut(&number) {
            text.waiting = text.waiting.saturating_sub(1);
            if text.waiting == 0 {
                self.let_go.push(number);
            }
        }
    }
}

impl Live {
    fn is_expired(&self, now_ms: u64) -> bool {
        let after = u64::from(self.expiry_s) * 1000;
        self.expiry_s != u32::MAX
            && self.offline_since_ms.is_some_and(|since| since.saturating_add(after) <= now_ms)
    }

    fn apply(&mut self, record: &Record<'_>, waiters: &mut Waiters<'_>) {
        match *record {
            Record::Connected { level, expiry_s, .. } => {
                (self.level, self.expiry_s, self.offline_since_ms) = (level, expiry_s, None);
            }
            Record::Disconnected { at_ms, expiry_s, .. } => {
                (self.expiry_s, self.offline_since_ms) = (expiry_s, Some(at_ms));
            }
            Record::Subscribed { filter, options, id, .. } => {
                self.subscriptions.insert(filter.into(), RecoveredSubscription { options, id });
            }
            Record::Unsubscribed { filter, .. } => {
                self.subscriptions.remove(filter);
            }
            Record::Queued { message, how, .. } => {
                waiters.add(message);
                self.queued.push_back(Waiting { message, how: Delivery::new(&how) });
            }
            Record::Sent { message, packet, how, .. } => {
                waiters.add(message);
                self.unqueue(message, waiters);
                let waiting = Waiting { message, how: Delivery::new(&how) };
                self.end(packet, waiters);
                self.in_flight.push_back((packet, Some(waiting)));
            }
            Record::Dropped { message, .. } => self.unqueue(message, waiters),
            Record::Released { packet, .. } => {
                match self.in_flight.iter_mut().find(|(id, _)| *id == packet) {
                    Some((_, waiting)) => {
                        if let Some(waiting) = waiting.take() {
                            waiters.remove(waiting.message);
                        }
                    }
                    None => self.in_flight.push_back((packet, None)),
                }
            }
            Record::Done { packet, .. } => self.end(packet, waiters),
            Record::Received { packet, .. } if !self.received.contains(&packet) => {
                self.received.push(packet);
            }
            Record::ReceivedDone { packet, .. } => self.received.retain(|id| *id != packet),
            Record::Will { delay_s, body, .. } => {
                let message = RecoveredMessage::new(0, &body);
                self.will = Some(RecoveredWill { delay_s, message });
            }
            Record::WillGone { .. } => self.will = None,
            // Not of a session.
            _ => {}
        }
    }

    /// Takes the first of a number out of the queue, if one is there.
    fn unqueue(&mut self, message: MessageNumber, waiters: &mut Waiters<'_>) {
        if let Some(at) = self.queued.iter().position(|waiting| waiting.message == message) {
            self.queued.remove(at);
            waiters.remove(message);
        }
    }

    fn end(&mut self, packet: u16, waiters: &mut Waiters<'_>) {
        if let Some(at) = self.in_flight.iter().position(|(id, _)| *id == packet)
            && let Some((_, Some(waiting))) = self.in_flight.remove(at)
        {
            waiters.remove(waiting.message);
        }
    }
}

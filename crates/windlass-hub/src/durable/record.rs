//! What is written down, by those who change it. Of sessions that end with their connection nothing is.

use windlass::Time;
use windlass_proto::mqtt::{Filter, PacketId, QoS, Reason, SubscribeOptions, Topic};

use super::Durable;
use crate::journal::{Body, Groups, How, Ids, MessageNumber, REPLAYS, Record, SessionNumber, Way};
use crate::session::message::Message;
use crate::session::queue::Queued;
use crate::session::will::Will;
use crate::session::{Replay, Sent, Session, Subscription};
use crate::siblings::posted::Post;

/// Whether what it is given is written down: a session of number 0 never was. One that was and ends with its
/// connection from now on will not be asked for again.
fn is_durable(session: &Session) -> bool {
    session.number != 0 && session.is_kept()
}

impl Durable {
    /// Unix milliseconds at a time of the engine's clock.
    pub(crate) fn unix_ms(&self, at: Time) -> u64 {
        self.unix_ms + at.since(self.began).as_millis() as u64
    }

    /// The same in microseconds.
    pub(crate) fn unix_us(&self, at: Time) -> u64 {
        self.unix_ms * 1000 + at.since(self.began).as_micros() as u64
    }

    /// The number of a message whose text is in the log.
    pub(super) fn message(&mut self, message: &Message) -> MessageNumber {
        let expires_at_ms = message.expires.map_or(0, |at| self.unix_ms(at).max(1));
        self.journal.message(&message.mark, &body(message, expires_at_ms))
    }

    /// A client has this session from now on: a new one, or one that was there.
    pub(crate) fn connected(&mut self, session: &mut Session, level: u8) {
        if !self.is_on() {
            return;
        }
        session.level = level;
        let expiry_s = session.expiry;
        if session.number != 0 {
            self.journal.record(&Record::Connected { session: session.number, level, expiry_s });
        } else if session.is_kept() {
            session.number = self.journal.session();
            self.open(session, level);
        } else {
            return;
        }
        self.will(session);
    }

    pub(super) fn open(&mut self, session: &Session, level: u8) {
        let (client_id, user) = (&*session.client_id, session.user.as_deref().unwrap_or_default());
        let (session, expiry_s) = (session.number, session.expiry);
        self.journal.record(&Record::Opened { session, client_id, user, level, expiry_s });
    }

    /// What will it has now, if one.
    pub(crate) fn will(&mut self, session: &Session) {
        let number = session.number;
        if number == 0 {
            return;
        }
        match session.will.as_deref() {
            None => self.journal.record(&Record::WillGone { session: number }),
            Some(will) => {
                let Will { topic, properties, payload, qos, retain, delay, .. } = will;
                let body = Body {
                    topic,
                    payload,
                    properties: properties.properties().as_bytes(),
                    qos: *qos,
                    retain: *retain,
                    ..Body::default()
                };
                self.journal.record(&Record::Will { session: number, delay_s: *delay, body })
            }
        };
    }

    /// Its connection is gone.
    pub(crate) fn disconnected(&mut self, session: &Session) {
        if session.number != 0 {
            let (at_ms, expiry_s) = (self.unix_ms(session.since), session.expiry);
            self.journal.record(&Record::Disconnected { session: session.number, at_ms, expiry_s });
        }
    }

    /// It is gone.
    pub(crate) fn closed(&mut self, session: &Session) {
        if session.number != 0 {
            self.journal.record(&Record::Closed { session: session.number });
        }
    }

    /// It had expired before the hub began, and its will is dealt with.
    pub(crate) fn expired(&mut self, session: SessionNumber) {
        self.journal.record(&Record::Closed { session });
    }

    pub(crate) fn subscribed(
        &mut self,
        session: &Session,
        filter: Filter<'_>,
        options: SubscribeOptions,
        id: u32,
    ) {
        if is_durable(session) {
            let (session, filter, options) = (session.number, filter.as_str(), options.to_byte());
            self.journal.record(&Record::Subscribed { session, filter, options, id });
        }
    }

    /// Retained messages are still to be sent for a subscription, or not any more: what is not said with
    /// [`subscribed`](Durable::subscribed) are not.
    pub(crate) fn replays(&mut self, session: &Session, replay: &Replay, are_there: bool) {
        let subscription = session.subscriptions.iter().find(|it| it.filter == replay.filter);
        let Some(Subscription { filter, options, id }) = subscription.filter(|_| is_durable(session)) else {
            return;
        };
        let options = options.to_byte() | if are_there { REPLAYS } else { 0 };
        self.journal.record(&Record::Subscribed { session: session.number, filter, options, id: *id });
    }

    pub(crate) fn unsubscribed(&mut self, session: &Session, filter: Filter<'_>) {
        if is_durable(session) {
            self.journal.record(&Record::Unsubscribed { session: session.number, filter: filter.as_str() });
        }
    }

    /// It waits for the session, as the last.
    #[inline]
    pub(crate) fn queued(&mut self, session: &Session, queued: &Queued) {
        if is_durable(session) && queued.how.qos != QoS::AtMostOnce {
            let message = self.message(&queued.message);
            let how = how(&queued.how);
            self.journal.record(&Record::Queued { session: session.number, message, how });
        }
    }

    /// It does not any more, unsent.
    pub(crate) fn dropped(&mut self, number: u64, queued: &Queued) {
        let message = queued.message.mark.number();
        if number != 0 && message != 0 && queued.how.qos != QoS::AtMostOnce {
            self.journal.record(&Record::Dropped { session: number, message });
        }
    }

    /// It is in flight. Whether its packet has to wait until that is committed: another message of QoS 2 must never
    /// come under an identifier that the client has taken one by.
    #[inline]
    pub(crate) fn sent(&mut self, number: u64, qos: QoS, sent: &Sent, id: PacketId) -> bool {
        let Some(message) = sent.message.as_deref().filter(|_| number != 0) else { return false };
        let message = self.message(message);
        let record = Record::Sent { session: number, message, packet: id.get(), how: how(&sent.how) };
        let recorded = self.journal.record(&record);
        qos == QoS::ExactlyOnce && recorded > self.journal.committed()
    }

    /// PUBREC came.
    pub(crate) fn released(&mut self, session: &Session, id: PacketId) {
        if session.number != 0 {
            self.journal.record(&Record::Released { session: session.number, packet: id.get() });
        }
    }

    /// Nothing is in flight under this identifier any more.
    #[inline]
    pub(crate) fn done(&mut self, number: u64, id: PacketId) {
        if number != 0 {
            self.journal.record(&Record::Done { session: number, packet: id.get() });
        }
    }

    /// A message of the client was taken over, or refused.
    #[inline]
    pub(crate) fn received(&mut self, session: &Session, qos: QoS, id: PacketId, reason: Reason) {
        if qos == QoS::ExactlyOnce && is_durable(session) && !reason.is_error() {
            self.journal.record(&Record::Received { session: session.number, packet: id.get() });
        }
    }

    /// PUBREL came.
    pub(crate) fn received_done(&mut self, session: &Session, id: PacketId) {
        if session.number != 0 {
            self.journal.record(&Record::ReceivedDone { session: session.number, packet: id.get() });
        }
    }

    /// A message is posted to another worker; way: from which to which, and of how many. Its number, and the record.
    pub(crate) fn post(&mut self, post: &mut Post, way: (usize, usize, usize)) -> (u64, u64) {
        post.number = self.journal.session();
        (post.number, self.posted(post, way))
    }

    /// The same of one that has its number.
    pub(super) fn posted(&mut self, post: &Post, (from, to, workers): (usize, usize, usize)) -> u64 {
        let message = self.message(&post.message);
        let groups: Vec<&str> = post.groups.iter().map(|filter| &**filter).collect();
        self.journal.record(&Record::Posted {
            number: post.number,
            message,
            way: Way { from: from as u16, to: to as u16 },
            workers: workers as u16,
            retain: post.retain,
            routed: post.routed,
            groups: Groups::new(&groups),
        })
    }

    /// All that another worker has posted to this one up to this number is taken; the record.
    pub(crate) fn taken(&mut self, from: usize, to: usize, number: u64) -> u64 {
        self.journal.record(&Record::Taken { number, way: Way { from: from as u16, to: to as u16 } })
    }

    /// It is retained. What the hub says itself below `$SYS` is not written down.
    pub(crate) fn retained(&mut self, message: &Message) {
        if !self.is_on() || is_own(message.topic_str()) {
            return;
        }
        let version = message.version;
        let expires_at_ms = message.expires.map_or(0, |at| self.unix_ms(at).max(1));
        self.journal.record(&Record::Retained { version, body: body(message, expires_at_ms) });
    }

    /// Nothing is for this topic.
    pub(crate) fn retained_gone(&mut self, topic: Topic<'_>, version: u64) {
        self.gone(topic.as_str(), version);
    }

    pub(super) fn gone(&mut self, topic: &str, version: u64) {
        if self.is_on() && !is_own(topic) {
            self.journal.record(&Record::RetainedGone { version, topic });
        }
    }
}

fn is_own(topic: &str) -> bool {
    topic.starts_with("$SYS/")
}

fn body(message: &Message, expires_at_ms: u64) -> Body<'_> {
    Body {
        topic: message.topic_str(),
        payload: &message.payload,
        properties: message.properties().as_bytes(),
        qos: message.qos,
        expires_at_ms,
        ..Body::default()
    }
}

pub(super) fn how(how: &crate::session::queue::How) -> How<'_> {
    How { qos: how.qos, retain: how.retain, ids: Ids::new(how.ids.as_slice()) }
}

//! From a publisher to all who subscribe: who gets a message, and whether now or later.

use std::sync::Arc;

use windlass_proto::mqtt::{Outgoing, QoS, Reason, SUBSCRIPTION_ID_MAX};

use crate::access::Readers;
use crate::config::WhenQueueFull;
use crate::post::{Form, Letter, Unsent};
use crate::reach::Reach;
use crate::service::Hub;
use crate::session::message::{Message, Publication, seconds_left};
use crate::session::queue::{How, Ids, Queued};
use crate::session::{Key, Sent};

impl Hub {
    /// Publishes a message: it is retained if it says so, and given to everybody who subscribes. How many sessions
    /// that were.
    pub(crate) fn publish(
        &mut self,
        reach: &mut dyn Reach,
        from: Option<Key>,
        publication: &mut Publication<'_>,
    ) -> usize {
        if let Some(lens) = &mut self.lens {
            lens.saw(publication);
        }
        if !self.config.rules.is_empty() {
            let unix_ms = self.durable.unix_ms(self.now);
            self.config.rules.apply(publication, unix_ms, &mut self.stats);
        }
        let readers = Readers {
            identity: &self.config.identity,
            revision: self.access.revision(),
            topic: publication.topic,
        };
        self.routes.find(readers, from, &mut self.sessions);
        let targets = self.routes.targets();
        if targets == 0 {
            self.stats.unheard += 1;
            return 0;
        }
        self.post.begin();
        let mut ids = [0; SUBSCRIPTION_ID_MAX];
        for at in 0..targets {
            let Some((target, ids)) = self.routes.target(at, &mut ids) else { break };
            let qos = publication.qos.min(target.qos);
            let retain = publication.retain && target.retain_as_published;
            self.give(reach, target.key, publication, qos, retain, ids);
        }
        targets
    }

    /// Retains a message, or what is retained of its topic no longer, if it has no payload ([MQTT-3.3.1-5] to
    /// [MQTT-3.3.1-7]).
    pub(crate) fn retain(&mut self, publication: &mut Publication<'_>) -> Reason {
        if publication.payload.is_empty() {
            if self.kept.remove(publication.topic) {
                self.durable.retained_gone(publication.topic);
            }
            return Reason::Success;
        }
        let message = publication.message();
        let (max, bytes_max) = (self.config.retained_max, self.config.retained_bytes_max);
        match self.kept.insert(message.clone(), max, bytes_max) {
            Ok(()) => {
                self.durable.retained(&message);
                Reason::Success
            }
            Err(_) => {
                self.stats.retained_refused += 1;
                Reason::QuotaExceeded
            }
        }
    }

    /// Gives a message to one session: to its connection if that takes it now, else to its queue.
    #[inline]
    fn give(
        &mut self,
        reach: &mut dyn Reach,
        key: Key,
        publication: &mut Publication<'_>,
        qos: QoS,
        retain: bool,
        ids: &[u32],
    ) {
        if self.rights(key).is_some_and(|rights| !rights.may_read(publication.topic)) {
            self.stats.denied_read += 1;
            return;
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        let (is_kept, number) = (session.is_kept(), session.number);
        let Some(link) = session.link.as_deref_mut() else {
            if !is_kept || qos == QoS::AtMostOnce && !self.config.queue_qos_0 {
                self.stats.dropped_offline += 1;
                return;
            }
            let how = How { qos, retain, ids: Ids::of(ids) };
            return self.wait(reach, key, Queued { message: publication.message(), how });
        };
        let receive_max = link.receive_max;
        let expiry = publication.expires.map(|at| seconds_left(at, publication.now));
        let passes = match qos {
            QoS::AtMostOnce => !session.queue.has_qos_0(),
            _ => {
                session.queue.is_empty()
                    && session.outgoing.as_ref().is_none_or(|outgoing| outgoing.quota() > 0)
            }
        };
        if passes {
            let Publication { topic, properties, payload, .. } = *publication;
            let letter = Letter { topic, properties, payload, expiry };
            let mut form = Form { qos, id: None, dup: false, retain, ids, hold: false };
            let output_max = self.config.output_max;
            let sent = if qos == QoS::AtMostOnce {
                self.post.send(&letter, &form, link, output_max, reach)
            } else if crate::post::Post::takes(link, output_max, reach) {
                let message = is_kept.then(|| publication.message());
                let how = How { qos, retain, ids: if is_kept { Ids::of(ids) } else { Ids::None } };
                let outgoing = session.outgoing.get_or_insert_with(|| Box::new(Outgoing::new(receive_max)));
                match outgoing.send(qos, Sent { message, how }) {
                    Ok(id) => {
                        form.id = Some(id);
                        let kept = outgoing.get(id);
                        form.hold = kept.is_some_and(|sent| self.durable.sent(number, qos, sent, id));
                        let sent = self.post.send(&letter, &form, link, usize::MAX, reach);
                        if sent == Some(Err(Unsent::TooLong)) {
                            outgoing.cancel(id);
                            self.durable.done(number, id);
                        }
                        if form.hold && sent == Some(Ok(())) {
                            self.durable.hold(key, link.conn, false, self.post.packet());
                        }
                        sent
                    }
                    Err(_) => None,
                }
            } else {
                None
            };
            match sent {
                Some(Ok(())) => return self.stats.sent(qos, payload.len()),
                Some(Err(Unsent::TooLong)) => {
                    self.stats.dropped_too_long += 1;
                    return;
                }
                // What of it is kept is sent again when the client is back.
                Some(Err(Unsent::Gone)) if qos != QoS::AtMostOnce => return,
                Some(Err(Unsent::Gone)) => {
                    self.stats.dropped_offline += 1;
                    return;
                }
                None => {}
            }
        }
        let how = How { qos, retain, ids: Ids::of(ids) };
        self.wait(reach, key, Queued { message: publication.message(), how });
    }

    /// Puts a message into the queue of a session, within its limits.
    pub(crate) fn wait(&mut self, reach: &mut dyn Reach, key: Key, queued: Queued) {
        let now = self.now;
        let (max, bytes_max) = (self.config.queue_max, self.config.queue_bytes_max);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let len = queued.message.len();
        if session.queue.has_room(len, max, bytes_max) {
            self.durable.queued(session, &queued);
            return session.queue.push(queued);
        }
        let (expired, durable, number) = (&mut self.stats.dropped_expired, &mut self.durable, session.number);
        session.queue.drop_expired(now, |queued| {
            *expired += 1;
            durable.dropped(number, queued);
        });
        while !session.queue.has_room(len, max, bytes_max) {
            if self.config.when_queue_full == WhenQueueFull::DropOldest
                && let Some(oldest) = session.queue.pop()
            {
                self.durable.dropped(number, &oldest);
                self.stats.dropped_queue_full += 1;
                continue;
            }
            self.stats.dropped_queue_full += 1;
            if self.config.when_queue_full == WhenQueueFull::Disconnect && session.is_connected() {
                self.stats.slow_consumers += 1;
                self.disconnect(reach, key, Reason::QuotaExceeded);
            }
            return;
        }
        self.durable.queued(session, &queued);
        session.queue.push(queued);
    }

    /// Publishes a message that nobody sends now: a will, or one of the hub's own.
    pub(crate) fn publish_kept(&mut self, reach: &mut dyn Reach, message: &Arc<Message>, retain: bool) {
        let Ok(mut publication) = Publication::of(message, retain, self.now) else { return };
        if retain && self.config.retain {
            self.retain(&mut publication);
        }
        self.publish(reach, None, &mut publication);
    }
}

//! A start: sessions, their messages and what is retained are there again.

use std::sync::Arc;
use std::time::Duration;

use windlass::{Scope, Time};
use windlass_proto::mqtt::{
    Filter, InFlight, Incoming, Outgoing, PacketId, PropertiesBuf, SubscribeOptions, Topic,
};

use crate::config::WhenExceeded;
use crate::journal::{
    Mark, MessageNumber, REPLAYS, RecoveredDelivery, RecoveredInFlight, RecoveredMessage, RecoveredRetained,
    RecoveredSession, RecoveredWill, RecoveredWillDue,
};
use crate::memory::Charge;
use crate::route::Entry;
use crate::route::retained::Kept;
use crate::service::Hub;
use crate::session::message::Message;
use crate::session::queue::{How, Ids, Queued};
use crate::session::will::Will;
use crate::session::{Replay, Sent, Subscription};

impl Hub {
    /// Takes in what the log holds for this worker, before any client is there.
    pub(crate) fn restore(
        &mut self,
        sessions: Vec<RecoveredSession>,
        retained: &[Arc<Message>],
        next_version: u64,
    ) {
        Kept::seen(next_version, self.watch.totals());
        for message in retained {
            self.stats.retained_refused +=
                u64::from(self.kept.take(message.clone(), self.watch.totals()).is_err());
        }
        // One text, one message, whoever waits for it.
        let mut texts = std::collections::HashMap::new();
        for session in sessions {
            self.restore_session(session, &mut texts);
        }
    }

    /// What is retained, within the limits: over one that is lower than before, it goes with the next checkpoint.
    pub(crate) fn restored_retained(&mut self, found: &[RecoveredRetained]) -> Vec<Arc<Message>> {
        let (mut left, mut bytes_left) = (self.config.retained_max, self.config.retained_bytes_max);
        let mut all = Vec::new();
        for found in found {
            let Some(message) = self.restored(&found.message, found.version) else { continue };
            if left == 0 || message.len() > bytes_left {
                self.stats.retained_refused += 1;
                continue;
            }
            (left, bytes_left) = (left - 1, bytes_left - message.len());
            all.push(message);
        }
        all
    }

    /// Those who have no connection any more have lost it now; what was due meanwhile is done.
    pub(crate) fn resume_sessions(&mut self, scope: &mut Scope<'_>) {
        let keys: Vec<_> = self.sessions.iter().map(|(key, session)| (key, session.expiry)).collect();
        for (key, expiry) in keys {
            if expiry == 0 {
                self.end_session(scope, key);
                continue;
            }
            let will = self.sessions.get(key).and_then(|session| session.will.as_ref());
            if will.is_some_and(|will| will.delay == 0) {
                self.publish_will(scope, key);
            }
            self.set_timer(key);
        }
        for RecoveredWillDue { session, client_id, user, will } in std::mem::take(&mut self.durable.wills_due)
        {
            let will = restored_will(&will);
            let user = Some(&*user).filter(|user| !user.is_empty());
            let rights = self.config.identity.rights_of_user(user, &client_id);
            // It may have been allowed when it was made.
            if !Topic::new(&will.topic).is_ok_and(|topic| rights.may_write(topic)) {
                self.stats.denied_publish += 1;
            } else if let Some(message) = will.message(self.now) {
                self.stats.wills += 1;
                self.publish_kept(scope, &message, will.retain);
            }
            // In one batch with what was published: the next start finds both or neither.
            self.durable.expired(session);
        }
    }

    fn restore_session(
        &mut self,
        found: RecoveredSession,
        texts: &mut std::collections::HashMap<MessageNumber, Option<Arc<Message>>>,
    ) {
        let now_ms = self.durable.unix_ms(self.now);
        let RecoveredSession { number, client_id, user, level, expiry_s, offline_since_ms, .. } = found;
        let mut text = |hub: &Hub, delivery: RecoveredDelivery| -> Option<Queued> {
            let RecoveredDelivery { message, qos, retain, ids, .. } = delivery;
            let message = texts.entry(message.number).or_insert_with(|| hub.restored(&message, 0)).clone()?;
            Some(Queued { message, how: How { qos, retain, ids: Ids::of(&ids) } })
        };
        let queued: Vec<Queued> =
            found.queued.into_iter().filter_map(|delivery| text(self, delivery)).collect();
        let in_flight: Vec<(PacketId, InFlight<Sent>)> = found
            .in_flight
            .into_iter()
            .filter_map(|(id, in_flight)| {
                let in_flight = match in_flight {
                    RecoveredInFlight::Released => InFlight::Released,
                    RecoveredInFlight::Message(delivery) => {
                        let Queued { message, how } = text(self, delivery)?;
                        InFlight::Message(how.qos, Sent { message: Some(message), how })
                    }
                };
                Some((PacketId::new(id)?, in_flight))
            })
            .collect();
        self.watch.totals().sessions.add(1);
        let key = self.sessions.add(&client_id, self.now);
        let enforced = level == 5 && self.config.when_receive_exceeded == WhenExceeded::Disconnect;
        let receive_max = self.config.receive_max;
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.number = number;
        session.user = (!user.is_empty()).then(|| (*user).into());
        session.expiry = expiry_s;
        session.will = found.will.as_ref().map(|will| Box::new(restored_will(will).counted(&self.memory)));
        for queued in queued {
            session.queue.push(queued, &self.memory);
        }
        if !in_flight.is_empty() {
            let outgoing = Box::new(Outgoing::restore(in_flight));
            self.memory.take_outgoing(&mut session.units, &outgoing);
            session.outgoing = Some(outgoing);
        }
        if !found.received.is_empty() {
            let ids = found.received.iter().filter_map(|id| PacketId::new(*id));
            let incoming = Box::new(Incoming::restore(receive_max, enforced, ids));
            self.memory.take_incoming(&mut session.units, &incoming);
            session.incoming = Some(incoming);
        }
        match offline_since_ms {
            None => self.durable.disconnected(session),
            // It has waited for some of its time: what is left counts from now on.
            Some(since_ms) => {
                let waited = u32::try_from(now_ms.saturating_sub(since_ms) / 1000).unwrap_or(u32::MAX);
                if session.expiry != u32::MAX {
                    session.expiry = session.expiry.saturating_sub(waited);
                }
                if let Some(will) = &mut session.will {
                    will.delay = will.delay.saturating_sub(waited);
                }
            }
        }
        for (filter, subscription) in found.subscriptions {
            let Ok(options) = SubscribeOptions::from_byte(subscription.options & !REPLAYS) else { continue };
            let (id, replays) = (subscription.id, subscription.options & REPLAYS != 0);
            let Ok(parsed) = Filter::new(&filter) else { continue };
            if self.routes.insert(parsed, key, Entry { options, id }).is_ok()
                && let Some(session) = self.sessions.get_mut(key)
            {
                self.memory.take_subscription(&mut session.units, &filter);
                session.subscriptions.push(Subscription { filter: filter.clone(), options, id });
                if replays {
                    let filter = filter.clone();
                    let replay = Replay { filter, scan: None, asked: 0, is_noted: true, options, id };
                    session.scans.get_or_insert_default().push_back(replay);
                }
                self.tell_added(key, parsed, Entry { options, id }, None);
            }
        }
    }

    /// A message of the log; `None` if its text is nothing that a client may be sent.
    fn restored(&self, found: &RecoveredMessage, version: u64) -> Option<Arc<Message>> {
        let expires = (found.expires_at_ms != 0).then(|| self.time_of(found.expires_at_ms));
        let properties = PropertiesBuf::kept(&found.properties).ok()?;
        let mark = Mark::recovered(found.number, self.worker);
        Message::restored(&found.topic, properties, found.payload.clone(), found.qos, expires, version, mark)
            .ok()
            .map(|message| Arc::new(message.counted(&self.memory, self.siblings.workers())))
    }

    /// The engine's time at these Unix milliseconds; now, if they have passed.
    fn time_of(&self, unix_ms: u64) -> Time {
        let now_ms = self.durable.unix_ms(self.now);
        self.now + Duration::from_millis(unix_ms.saturating_sub(now_ms))
    }
}

fn restored_will(found: &RecoveredWill) -> Will {
    let message = &found.message;
    Will {
        topic: message.topic.clone(),
        properties: PropertiesBuf::kept(&message.properties).unwrap_or_default(),
        payload: message.payload.clone(),
        qos: message.qos,
        retain: message.retain,
        delay: found.delay_s,
        charge: Charge::default(),
    }
}

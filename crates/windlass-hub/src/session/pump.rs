//! What waits for a client, on its way: what is sent again, then its queue, then retained messages.

use windlass_proto::mqtt::{Filter, QoS, Resend};

use super::queue::{How, Ids, Queued};
use super::{Key, Sent, Session, flag};
use crate::durable::Durable;
use crate::memory::Memory;
use crate::post::{Form, Letter, Post, Unsent};
use crate::reach::Reach;
use crate::route::elsewhere::State;
use crate::service::Hub;

/// Levels of retained topics that are looked at for one client before others have their turn.
const SCAN_NODES: usize = 1024;
/// And in one step, between which it is asked whether the client takes more.
const STEP_NODES: usize = 32;

/// What a pump came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pumped {
    /// Nothing is left, or what is left waits for the client.
    Waits,
    /// There is more to do in the next turn.
    More,
}

/// Whether a message need not wait for an acknowledgement of one before it: for its place among those in flight, or for
/// memory, since what waits for the disk is a copy.
fn may_send(session: &Session, queued: &Queued, durable: &Durable, memory: &Memory) -> bool {
    let Queued { message, how } = queued;
    let Some(outgoing) = session.outgoing.as_ref().filter(|_| how.qos > QoS::AtMostOnce) else { return true };
    let held = || durable.to_hold(session.number, how.qos, message.len());
    outgoing.quota() > 0 && (outgoing.is_empty() || !memory.lacks_so_much(held))
}

impl Hub {
    /// Sends a client what waits for it, as far as it takes it.
    pub(crate) fn pump(&mut self, reach: &mut dyn Reach, key: Key) -> Pumped {
        let pumped = match self.send_again(reach, key) && self.send_queue(reach, key) {
            true => self.send_retained(reach, key),
            false => Pumped::Waits,
        };
        self.post.fit();
        if self.sessions.get(key).is_some_and(|session| session.number != 0 && session.scans.is_some()) {
            self.note_replays(key);
        }
        pumped
    }

    /// Writes down that retained messages are still to be sent: mostly they are all sent at once, and nothing is to be
    /// written.
    fn note_replays(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        // Taken out, so that the session can be looked at.
        let Some(mut scans) = session.scans.take() else { return };
        for replay in scans.iter_mut().filter(|replay| !replay.is_noted) {
            replay.is_noted = true;
            self.durable.replays(session, replay, true);
        }
        session.scans = Some(scans);
    }

    /// What was sent before the connection was a new one, in its order ([MQTT-4.4.0-1], [MQTT-4.6.0-1]). Whether
    /// the client takes more.
    fn send_again(&mut self, reach: &mut dyn Reach, key: Key) -> bool {
        // As of now, for all that follows.
        let _ = self.rights(key);
        let Some(session) = self.sessions.get_mut(key) else { return false };
        let Some(outgoing) = &mut session.outgoing else { return session.link.is_some() };
        let Some(link) = session.link.as_deref_mut() else { return false };
        while Post::takes(link, self.config.output_max, reach) {
            match outgoing.resend() {
                // What is left waits for acknowledgements; the quota is zero for others then.
                None => return true,
                Some(Resend::Pubrel(id)) => {
                    let [high, low] = id.get().to_be_bytes();
                    if let Some(mut conn) = reach.conn(link.conn) {
                        crate::client::wire::write(
                            &mut conn,
                            link.is(flag::WEBSOCKET),
                            &[0x62, 2, high, low],
                        );
                    }
                }
                Some(Resend::Publish(id, qos, sent)) => {
                    let Some(message) = sent.message.clone() else { continue };
                    let how = sent.how.clone();
                    let topic = message.topic();
                    // It may have been allowed when it was sent first.
                    if !session.belonging.may_read(topic) {
                        outgoing.cancel(id);
                        self.durable.done(session.number, id);
                        self.stats.denied_read += 1;
                        continue;
                    }
                    let (properties, payload) = (message.properties(), &*message.payload);
                    let (whole, expiry) = (self.post.shares(message.whole()), message.seconds_left(self.now));
                    let letter = Letter { topic, properties, payload, whole, expiry };
                    let ids = how.ids.as_slice();
                    let form = Form { qos, id: Some(id), dup: true, retain: how.retain, ids, hold: false };
                    self.post.begin();
                    match self.post.send(&letter, &form, link, usize::MAX, reach) {
                        Some(Ok(())) => {
                            self.stats.sent(qos, payload.len());
                            self.stats.resent += 1;
                        }
                        Some(Err(Unsent::TooLong)) => {
                            outgoing.cancel(id);
                            self.durable.done(session.number, id);
                            self.stats.dropped_too_long += 1;
                        }
                        _ => return false,
                    }
                }
            }
        }
        false
    }

    /// The queue, in its order; those of QoS 0 pass others that wait for acknowledgements. Whether it is empty.
    fn send_queue(&mut self, reach: &mut dyn Reach, key: Key) -> bool {
        loop {
            let Some(session) = self.sessions.get_mut(key) else { return false };
            let Some(link) = session.link.as_deref_mut() else { return false };
            let Some(front) = session.queue.front() else {
                if session.standing == Some(State::Busy) {
                    self.tell_state(key);
                }
                return true;
            };
            if !Post::takes(link, self.config.output_max, reach) {
                return false;
            }
            let queued = if may_send(session, front, &self.durable, &self.memory) {
                session.queue.pop()
            } else {
                session.queue.pop_qos_0()
            };
            let Some(queued) = queued else { return false };
            if queued.message.is_expired(self.now) {
                self.stats.dropped_expired += 1;
                self.durable.dropped(session.number, &queued);
                continue;
            }
            // It may have been allowed when it was queued.
            if !session.belonging.may_read(queued.message.topic()) {
                self.stats.denied_read += 1;
                self.durable.dropped(session.number, &queued);
                continue;
            }
            self.send_queued(reach, key, queued);
        }
    }

    /// Sends one message for which there is room.
    fn send_queued(&mut self, reach: &mut dyn Reach, key: Key, queued: Queued) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let (is_kept, number) = (session.is_kept(), session.number);
        let Some(link) = session.link.as_deref_mut() else { return };
        let receive_max = link.receive_max;
        let Queued { message, how } = queued;
        let topic = message.topic();
        let (properties, payload) = (message.properties(), &*message.payload);
        let (whole, expiry) = (self.post.shares(message.whole()), message.seconds_left(self.now));
        let letter = Letter { topic, properties, payload, whole, expiry };
        let ids = how.ids.as_slice();
        let mut form = Form { qos: how.qos, id: None, dup: false, retain: how.retain, ids, hold: false };
        if how.qos != QoS::AtMostOnce {
            let units = &mut session.units;
            let outgoing = session.outgoing.get_or_insert_with(|| self.memory.outgoing(units, receive_max));
            let sent = match is_kept {
                true => Sent { message: Some(message.clone()), how: how.clone() },
                false => Sent { message: None, how: How::default() },
            };
            form.id = outgoing.send(how.qos, sent).ok();
            if let Some(id) = form.id
                && let Some(sent) = outgoing.get(id)
            {
                form.hold = self.durable.sent(number, how.qos, sent, id);
            }
        }
        self.post.begin();
        match self.post.send(&letter, &form, link, usize::MAX, reach) {
            Some(Ok(())) => {
                self.stats.sent(how.qos, payload.len());
                if form.hold {
                    let to = (key, link.conn, false);
                    self.durable.hold(to, self.post.packet(), whole, &self.memory);
                }
            }
            Some(Err(Unsent::TooLong)) => {
                self.stats.dropped_too_long += 1;
                if let (Some(outgoing), Some(id)) = (&mut session.outgoing, form.id) {
                    outgoing.cancel(id);
                    self.durable.done(number, id);
                }
            }
            _ => {}
        }
        // Where memory is bounded, nothing is kept that is not counted.
        if !self.memory.is_bounded() {
            self.spares.keep(message);
        }
    }

    /// Retained messages for new subscriptions ([MQTT-3.3.1-6] of 3.1.1, [MQTT-3.3.1-9]), some in each turn.
    fn send_retained(&mut self, reach: &mut dyn Reach, key: Key) -> Pumped {
        let mut looked = 0;
        let mut found = std::mem::take(&mut self.found);
        let pumped = loop {
            let Some(session) = self.sessions.get_mut(key) else { break Pumped::Waits };
            let Some(link) = session.link.as_deref_mut() else { break Pumped::Waits };
            // Those that were found and wait for acknowledgements come first.
            let takes = session.queue.is_empty() && Post::takes(link, self.config.output_max, reach);
            let Some(replay) = session.scan().filter(|_| takes) else { break Pumped::Waits };
            if looked >= SCAN_NODES {
                break Pumped::More;
            }
            looked += STEP_NODES;
            let (options, id) = (replay.options, replay.id);
            if replay.scan.is_none() {
                replay.scan = Filter::new(&replay.filter).ok().map(|filter| self.kept.scan(filter));
            }
            let over = match &mut replay.scan {
                Some(scan) => {
                    let asked = replay.asked;
                    self.kept.proceed_for(asked, scan, STEP_NODES, |message| found.push(message.clone()))
                }
                None => true,
            };
            if over && let Some(replay) = session.scan_over() {
                if replay.is_noted {
                    self.durable.replays(session, &replay, false);
                }
                self.kept.drop_replay(replay);
            }
            for message in found.drain(..) {
                if message.is_expired(self.now) || !self.may_read(key, message.topic_str()) {
                    continue;
                }
                let qos = message.qos.min(options.qos);
                let ids = if id == 0 { Ids::None } else { Ids::One(id) };
                // Retained messages say so when they come for a subscription ([MQTT-3.3.1-8]).
                let how = How { qos, retain: true, ids };
                self.replay(reach, key, Queued { message, how });
            }
        };
        self.found = found;
        pumped
    }

    /// Sends one message, or has it wait, whatever the limits of the queue: the search stops while something waits.
    fn replay(&mut self, reach: &mut dyn Reach, key: Key, queued: Queued) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.queue.is_empty() && may_send(session, &queued, &self.durable, &self.memory) {
            self.send_queued(reach, key, queued);
        } else {
            self.durable.queued(session, &queued);
            session.queue.push(queued, &self.memory);
            if session.standing == Some(State::Idle) {
                self.tell_state(key);
            }
        }
    }
}

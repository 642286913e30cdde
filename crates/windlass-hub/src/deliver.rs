//! From a publisher to all who subscribe: who gets a message, and whether now or later.

use std::sync::Arc;

use windlass_proto::mqtt::{QoS, Reason, SUBSCRIPTION_ID_MAX};

use crate::access::Readers;
use crate::config::WhenQueueFull;
use crate::memory;
use crate::parts;
use crate::post::{Form, Letter, Unsent};
use crate::reach::Reach;
use crate::route::elsewhere::{Chosen, State};
use crate::service::Hub;
use crate::session::message::{Message, Publication, seconds_left};
use crate::session::queue::{How, Ids, Queued};
use crate::session::{Key, Sent};
use crate::siblings::parcel::{Change, Parcel, Passed};
use crate::siblings::posted::Post;

/// How often a message for a group is passed on for want of the member that was chosen. Each time the worker that chose
/// it did not know yet that it was gone.
const HOPS_MAX: u8 = 8;

/// How many of the oldest messages of a queue give way to one that memory is missing for, at most: more of them would be
/// dropped than is won, and each is looked at for every message that finds no room.
const OLDEST_MAX: usize = 8;

impl Hub {
    /// Publishes a message to everybody who subscribes; whether anybody does.
    pub(crate) fn publish(
        &mut self,
        reach: &mut dyn Reach,
        from: Option<Key>,
        publication: &mut Publication<'_>,
    ) -> bool {
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
        self.give_all(reach, publication);
        let passed_on = self.pass_on(publication, 0);
        let is_heard = self.routes.is_heard() || passed_on > 0;
        self.stats.unheard += u64::from(!is_heard);
        is_heard
    }

    /// A message that another worker passes on.
    pub(crate) fn passed_on(&mut self, reach: &mut dyn Reach, passed: Passed) {
        let Passed { message, retain, routed, hops, chosen, .. } = passed;
        let mut publication = Publication::of(&message, retain, self.now);
        let mut here: Vec<Chosen> = chosen.map(Vec::from).unwrap_or_default();
        let mut at = 0;
        while let Some(chosen) = here.get(at) {
            // In the group too: it may have been told that it is not any more.
            let is_there = self.sessions.generation(chosen.key) == chosen.generation
                && self.sessions.get(chosen.key).is_some_and(|it| {
                    (it.is_connected() || it.is_kept())
                        && it.subscriptions.iter().any(|own| *own.filter == *chosen.filter)
                });
            if is_there {
                at += 1;
                continue;
            }
            // It is gone, and the worker that chose it did not know: another one of the group.
            let gone = here.swap_remove(at);
            match self.choose_again(&mut publication, &gone, hops) {
                Some(chosen) => {
                    here.insert(at, chosen);
                    at += 1;
                }
                None => continue,
            }
        }
        let readers = Readers {
            identity: &self.config.identity,
            revision: self.access.revision(),
            topic: publication.topic,
        };
        self.routes.find_passed(readers, routed, &here, &mut self.sessions);
        self.give_all(reach, &mut publication);
    }

    /// Chooses another member of a group: one of this worker, or it is passed on.
    fn choose_again(&mut self, publication: &mut Publication<'_>, gone: &Chosen, hops: u8) -> Option<Chosen> {
        let readers = Readers {
            identity: &self.config.identity,
            revision: self.access.revision(),
            topic: publication.topic,
        };
        let elsewhere = self.routes.elsewhere.as_deref_mut().filter(|_| parts::SPREAD)?;
        let here = elsewhere.choose_again(readers, &self.sessions, &gone.filter);
        if let Some((key, entry)) = here {
            let generation = self.sessions.generation(key);
            return Some(Chosen { key, generation, entry, ..gone.clone() });
        }
        if hops >= HOPS_MAX || self.pass_on(publication, hops + 1) == 0 {
            self.stats.dropped_offline += 1;
        }
        None
    }

    /// Passes a message on to the workers that the last search has found; how many. If it changes what is retained, the
    /// others are told of that.
    fn pass_on(&mut self, publication: &mut Publication<'_>, hops: u8) -> usize {
        let elsewhere = self.routes.elsewhere.as_deref_mut().filter(|_| parts::SPREAD);
        let Some(elsewhere) = elsewhere else { return 0 };
        let mut workers = 0;
        let change = publication.change.take();
        for worker in (0..self.siblings.workers()).filter(|worker| *worker != self.worker) {
            let found = elsewhere.found(worker);
            let mut change = change.clone();
            // At once, unless the message goes to all there whose filters match, whenever it arrives: a subscription that
            // is not known here begins when what was told before it is has arrived.
            if found.as_ref().is_none_or(|found| !found.routed)
                && let Some(change) = change.take()
            {
                self.siblings.tell(worker, Parcel::Changed(change));
            }
            let Some(found) = found else { continue };
            let chosen = std::mem::take(&mut found.chosen);
            let message = publication.passing(&mut self.spares);
            if self.siblings.have_no_room(&message) {
                message.count(&self.memory);
            }
            let (retain, routed) = (publication.retain, found.routed);
            let (mut number, mut until) = (0, 0);
            if found.durable && publication.qos > QoS::AtMostOnce && self.durable.is_on() {
                let durable = chosen.iter().filter(|chosen| chosen.is_durable);
                let groups = durable.map(|chosen| chosen.filter.clone()).collect();
                let mut post = Post { number: 0, message: message.clone(), retain, routed, groups };
                let way = (self.worker, worker, self.siblings.workers());
                (number, until) = self.durable.post(&mut post, way);
                self.siblings.post(worker, post);
            }
            let chosen = (!chosen.is_empty()).then(|| chosen.into_boxed_slice());
            let passed = Passed { message, retain, routed, hops, chosen, number };
            let committed = self.durable.journal.committed();
            self.siblings.pass(worker, change, passed, (until, committed));
            workers += 1;
        }
        workers
    }

    /// Gives a message to the sessions of this worker that the last search has found.
    fn give_all(&mut self, reach: &mut dyn Reach, publication: &mut Publication<'_>) {
        let targets = self.routes.targets();
        if targets == 0 {
            return;
        }
        self.post.begin();
        if self.config.when_queue_full == WhenQueueFull::DropOldest
            && self.memory.lacks_so_much(|| publication.to_keep() + memory::PLACE)
        {
            self.give_way(publication);
        }
        let mut ids = [0; SUBSCRIPTION_ID_MAX];
        for at in 0..targets {
            let Some((target, ids)) = self.routes.target(at, &mut ids) else { break };
            let qos = publication.qos.min(target.qos);
            let retain = publication.retain && target.retain_as_published;
            self.give(reach, target.key, publication, qos, retain, ids);
        }
        self.post.fit();
    }

    /// Where a message finds no memory, the oldest messages give way to it in all queues it is about to wait in: together,
    /// since one that waits in several of them is in memory until the last has dropped it. None of them does if a few of
    /// each queue are not enough.
    #[cold]
    fn give_way(&mut self, publication: &Publication<'_>) {
        let now = self.now;
        let mut waiting = 0;
        for at in 0..self.routes.targets() {
            let Some(key) = self.who_waits(at, publication) else { continue };
            waiting += 1;
            let Some(session) = self.sessions.get_mut(key) else { continue };
            let (expired, durable, number) =
                (&mut self.stats.dropped_expired, &mut self.durable, session.number);
            session.queue.drop_expired(now, |queued| {
                *expired += 1;
                durable.dropped(number, queued);
            });
        }
        let missing = self.memory.missing(publication.to_keep() + waiting * memory::PLACE);
        if missing == 0 {
            return;
        }
        // So many of each queue are looked at, and of those up to a place one more.
        let (mut rounds, mut last, mut freed) = (0, None, 0);
        let mut is_over = false;
        // A round that frees no message is the last: what is behind it would take too many with it.
        'enough: while rounds < OLDEST_MAX && !is_over {
            is_over = true;
            for at in 0..self.routes.targets() {
                let Some(key) = self.who_waits(at, publication) else { continue };
                let Some(queued) = self.sessions.get(key).and_then(|it| it.queue.iter().nth(rounds)) else {
                    continue;
                };
                let message = queued.message.would_free();
                is_over &= message == 0;
                freed += memory::PLACE + message;
                last = Some(at);
                if freed >= missing {
                    break 'enough;
                }
            }
            (rounds, last) = (rounds + 1, None);
        }
        let is_enough = freed >= missing;
        for at in 0..self.routes.targets() {
            let Some(key) = self.who_waits(at, publication) else { continue };
            let Some(session) = self.sessions.get_mut(key) else { continue };
            let looked_at = rounds + usize::from(last.is_some_and(|last| at <= last));
            session.queue.iter().take(looked_at).for_each(|queued| queued.message.stays());
            for _ in 0..if is_enough { looked_at } else { 0 } {
                let Some(oldest) = session.queue.pop() else { break };
                self.durable.dropped(session.number, &oldest);
                self.stats.dropped_queue_full += 1;
                self.stats.memory_messages_dropped += 1;
            }
        }
    }

    /// The session of a target of the last search, if a message is about to wait there behind others.
    fn who_waits(&mut self, at: usize, publication: &Publication<'_>) -> Option<Key> {
        let (target, _) = self.routes.target(at, &mut [0; SUBSCRIPTION_ID_MAX])?;
        let key = target.key;
        if self.rights(key).is_some_and(|rights| !rights.may_read(publication.topic)) {
            return None;
        }
        let session = self.sessions.get(key)?;
        let waits = match (publication.qos.min(target.qos), session.is_connected()) {
            (QoS::AtMostOnce, true) => session.queue.has_qos_0(),
            (QoS::AtMostOnce, false) => session.is_kept() && self.config.queue_qos_0,
            (_, is_connected) => is_connected || session.is_kept(),
        };
        (waits && !session.queue.is_empty()).then_some(key)
    }

    /// Retains a message, or what is retained of its topic no longer, if it has no payload ([MQTT-3.3.1-5] to
    /// [MQTT-3.3.1-7]). The other workers hear of it when it is published, right behind this.
    pub(crate) fn retain(&mut self, publication: &mut Publication<'_>) -> Reason {
        let totals = self.watch.totals();
        let version = self.kept.next_version(totals, self.durable.unix_us(self.now));
        if publication.payload.is_empty() {
            let topic = publication.topic;
            let was = self.kept.remove(topic, version, totals, self.now);
            // What another worker has may not have come here yet.
            if was || self.siblings.are_there() {
                self.durable.retained_gone(topic, version);
                if self.siblings.are_there() {
                    publication.change = Some(Change::Gone(topic.as_str().into(), version));
                }
            }
            return Reason::Success;
        }
        if self.memory.is_bounded() && self.lacks_to_retain(publication) {
            self.stats.retained_refused += 1;
            self.stats.memory_retained_refused += 1;
            return Reason::QuotaExceeded;
        }
        let message = publication.retained(version, &self.memory, self.siblings.workers());
        let (max, bytes_max) = (self.config.retained_max, self.config.retained_bytes_max);
        match self.kept.insert(message.clone(), totals, max, bytes_max) {
            Ok(()) => {
                self.durable.retained(&message);
                if self.siblings.are_there() {
                    publication.change = Some(Change::Retained(message));
                }
                Reason::Success
            }
            Err(_) => {
                self.stats.retained_refused += 1;
                Reason::QuotaExceeded
            }
        }
    }

    /// Whether there is no memory to retain a message. The hub's own are few, and always are.
    fn lacks_to_retain(&self, publication: &Publication<'_>) -> bool {
        // What it takes the place of gives its own back.
        let before = self.kept.len_of(publication.topic);
        let is_own = publication.topic.as_str().starts_with("$SYS/");
        !is_own && self.memory.lacks(publication.to_retain(self.siblings.workers()).saturating_sub(before))
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
            return self.keep_waiting(reach, key, publication, how);
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
            let whole = if self.memory.is_bounded() { None } else { publication.whole() };
            let Publication { topic, properties, payload, .. } = *publication;
            let letter = Letter { topic, properties, payload, whole: whole.as_ref(), expiry };
            let mut form = Form { qos, id: None, dup: false, retain, ids, hold: false };
            let output_max = self.config.output_max;
            let is_first = session.outgoing.as_ref().is_none_or(|outgoing| outgoing.is_empty());
            let lacks = qos > QoS::AtMostOnce
                && self.memory.lacks_so_much(|| {
                    // With the copy that waits for the disk. One that nothing is before is sent whatever that takes: it
                    // would wait for nothing.
                    let held =
                        if is_first { 0 } else { self.durable.to_hold(number, qos, publication.len()) };
                    publication.to_send(is_kept) + held
                });
            let sent = if qos == QoS::AtMostOnce {
                self.post.send(&letter, &form, link, output_max, reach)
            } else if lacks && is_first {
                // Not asked again for its place in the queue: if others have given something back meanwhile, it would
                // wait there for an acknowledgement that nobody owes.
                return self.no_memory(reach, key);
            } else if !lacks && crate::post::Post::takes(link, output_max, reach) {
                // A session of before the start may still be without a table of what is in flight. It gets one, whether
                // there is room or not: what would wait instead would wait for nothing.
                let message = is_kept.then(|| publication.message(&self.memory, &mut self.spares));
                let how = How { qos, retain, ids: if is_kept { Ids::of(ids) } else { Ids::None } };
                let units = &mut session.units;
                let outgoing =
                    session.outgoing.get_or_insert_with(|| self.memory.outgoing(units, receive_max));
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
                            let to = (key, link.conn, false);
                            self.durable.hold(to, self.post.packet(), whole.as_ref(), &self.memory);
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
        self.keep_waiting(reach, key, publication, how);
    }

    /// Keeps a message for the queue of a session, if there is memory for it. If not, that is as if the queue were
    /// full.
    fn keep_waiting(&mut self, reach: &mut dyn Reach, key: Key, publication: &mut Publication<'_>, how: How) {
        if self.memory.lacks_so_much(|| publication.to_keep() + memory::PLACE)
            && !self.make_room(key, publication.to_keep() + memory::PLACE)
        {
            return self.no_memory(reach, key);
        }
        let message = publication.message(&self.memory, &mut self.spares);
        self.wait(reach, key, Queued { message, how });
    }

    /// A message for a session is dropped, since there is no memory for it.
    #[cold]
    fn no_memory(&mut self, reach: &mut dyn Reach, key: Key) {
        self.stats.memory_messages_dropped += 1;
        self.stats.dropped_queue_full += 1;
        let is_connected = self.sessions.get(key).is_some_and(|session| session.is_connected());
        if self.config.when_queue_full == WhenQueueFull::Disconnect && is_connected {
            self.stats.slow_consumers += 1;
            self.disconnect(reach, key, Reason::QuotaExceeded);
        }
    }

    /// Drops from the queue of a session what has expired and, if the policy says so and that is enough, what has waited
    /// longest, until there is memory for so much more; whether there is.
    fn make_room(&mut self, key: Key, bytes: usize) -> bool {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(key) else { return false };
        let (expired, durable, number) = (&mut self.stats.dropped_expired, &mut self.durable, session.number);
        session.queue.drop_expired(now, |queued| {
            *expired += 1;
            durable.dropped(number, queued);
        });
        let missing = self.memory.missing(bytes);
        if missing == 0 {
            return true;
        }
        // What others have waiting too gives back nothing but its place, and then none of it is dropped for nothing.
        if self.config.when_queue_full != WhenQueueFull::DropOldest
            || !session.queue.would_free(missing, OLDEST_MAX)
        {
            return false;
        }
        while self.memory.lacks(bytes) {
            let Some(oldest) = session.queue.pop() else { return false };
            self.durable.dropped(number, &oldest);
            self.stats.dropped_queue_full += 1;
            self.stats.memory_messages_dropped += 1;
        }
        true
    }

    /// Puts a message into the queue of a session, within its limits.
    pub(crate) fn wait(&mut self, reach: &mut dyn Reach, key: Key, queued: Queued) {
        let now = self.now;
        let (max, bytes_max) = (self.config.queue_max, self.config.queue_bytes_max);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let len = queued.message.len();
        if session.queue.has_room(len, max, bytes_max) {
            self.durable.queued(session, &queued);
            session.queue.push(queued, &self.memory);
            if session.standing == Some(State::Idle) {
                self.tell_state(key);
            }
            return;
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
        session.queue.push(queued, &self.memory);
    }

    /// Publishes a message that nobody sends now: a will, or one of the hub's own.
    pub(crate) fn publish_kept(&mut self, reach: &mut dyn Reach, message: &Arc<Message>, retain: bool) {
        let mut publication = Publication::of(message, retain, self.now);
        if retain && self.config.retain {
            self.retain(&mut publication);
        }
        self.publish(reach, None, &mut publication);
    }
}

#[cfg(test)]
mod tests;

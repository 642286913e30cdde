//! SUBSCRIBE and UNSUBSCRIBE.

use windlass::{Close, Conn, ConnId, Scope, Sessions as Clients};
use windlass_proto::Encode;
use windlass_proto::mqtt::{
    self, Filter, Packet, PacketId, Properties, PropertiesBuf, Property, QoS, Reason, Reasons,
    RetainHandling, Suback, Subscribe, SubscribeOptions, Unsubscribe,
};

use super::Client;
use crate::memory;
use crate::route::Entry;
use crate::service::Hub;
use crate::session::{Key, Replay, Subscription, flag};

/// A SUBSCRIBE or UNSUBSCRIBE that is answered once all workers know of it: no message that the answer promises passes
/// it by, and none that it denies comes behind it.
#[derive(Debug)]
pub(crate) struct Waiting {
    question: u64,
    conn: ConnId,
    key: Key,
    /// Which of the sessions that were at this place.
    generation: u32,
    is_unsubscribe: bool,
    id: PacketId,
    /// Each filter with its answer.
    answers: Vec<Answer>,
}

/// What is said of one filter.
#[derive(Debug)]
pub(crate) struct Answer {
    filter: Box<str>,
    reason: Reason,
    /// Until then the session gets no messages for it, but those for which it had it before. So whatever is published
    /// meanwhile, and retained, comes to it once.
    begins: bool,
    /// Retained messages come behind it: how.
    replay: Option<(SubscribeOptions, u32)>,
}

impl Hub {
    /// SUBSCRIBE came: each filter is answered for itself ([MQTT-3.8.4-5], [MQTT-3.8.4-6]).
    pub(super) fn subscribe(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        key: Key,
        subscribe: &Subscribe<'_>,
    ) -> Result<(), Close> {
        let id = subscribe.properties.subscription_id().unwrap_or(0);
        if self.siblings.are_there() {
            let mut answers = Vec::new();
            for subscription in subscribe.filters.iter() {
                let (reason, replays) = self.add_subscription(key, subscription, id);
                let replay = replays.then_some((subscription.options, id));
                let filter = subscription.filter;
                let begins = !reason.is_error() && begins_later(filter);
                answers.push(Answer { filter: filter.as_str().into(), reason, begins, replay });
            }
            self.ask_all(conn, client, key, (false, subscribe.id, answers));
            return Ok(());
        }
        let mut reasons = std::mem::take(&mut self.reasons);
        reasons.clear();
        for subscription in subscribe.filters.iter() {
            let (reason, replays) = self.add_subscription(key, subscription, id);
            if replays {
                self.replay_retained(key, subscription.filter, subscription.options, id);
            }
            reasons.push(reason);
        }
        // [MQTT-3.8.4-1], [MQTT-3.8.4-2]. Retained messages come behind it.
        self.put_reasons(client, key, &reasons, |reasons, properties| {
            Packet::Suback(Suback { id: subscribe.id, properties, reasons })
        });
        self.reasons = reasons;
        self.go_on(conn, client, key);
        Ok(())
    }

    /// Has the answer wait until all workers know, and its client with it.
    fn ask_all(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        key: Key,
        (is_unsubscribe, id, answers): (bool, PacketId, Vec<Answer>),
    ) {
        let (question, conn_id, generation) = (self.siblings.ask(), conn.id(), self.sessions.generation(key));
        let waiting = Waiting { question, conn: conn_id, key, generation, is_unsubscribe, id, answers };
        self.asked.push_back(waiting);
        client.awaits_all = true;
        conn.pause();
    }

    /// Gives the answers that all workers know enough for.
    pub(crate) fn answer_asked(&mut self, scope: &mut Scope<'_>, clients: &mut Clients<Client>) {
        let answered = self.siblings.answered();
        while let Some(waiting) = self.asked.pop_front_if(|waiting| waiting.question <= answered) {
            let Waiting { conn, key, generation, is_unsubscribe, id, mut answers, .. } = waiting;
            if self.sessions.generation(key) == generation {
                // Whether somebody waits for the answer or not: the session has it.
                answers.iter_mut().filter(|it| it.begins).for_each(|answer| self.put_to_use(key, answer));
            }
            let Some((mut conn, client)) = clients.get(scope, conn) else { continue };
            client.awaits_all = false;
            // What it has said meanwhile was not read.
            client.heard = self.now;
            if !self.is_linked(key, conn.id()) {
                continue;
            }
            let reasons: Vec<Reason> = answers.iter().map(|answer| answer.reason).collect();
            self.put_reasons(client, key, &reasons, |reasons, properties| {
                let suback = Suback { id, properties, reasons };
                if is_unsubscribe { Packet::Unsuback(suback) } else { Packet::Suback(suback) }
            });
            for answer in &answers {
                if let (Some((options, id)), Ok(filter)) = (answer.replay, Filter::new(&answer.filter)) {
                    self.replay_retained(key, filter, options, id);
                }
            }
            self.flush(&mut conn, client);
            self.go_on(&mut conn, client, key);
            match self.unheld(&mut conn, client) {
                Ok(()) => conn.resume(),
                Err(_) => conn.close(),
            }
        }
    }

    /// The session gets messages for a subscription from here on, if it still has it.
    fn put_to_use(&mut self, key: Key, answer: &mut Answer) {
        let Ok(filter) = Filter::new(&answer.filter) else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(subscription) = session.subscription(filter) else { return };
        let entry = Entry { options: subscription.options, id: subscription.id };
        if self.routes.insert(filter, key, entry).is_err() {
            (answer.reason, answer.replay) = (Reason::QuotaExceeded, None);
            self.stats.denied_subscribe += 1;
            self.remove_subscription(key, filter);
        }
    }

    /// Another worker has no room for a filter: whoever waits to be told of it has not got it.
    pub(crate) fn refused_elsewhere(&mut self, filter: &str) {
        let mut refused = Vec::new();
        for waiting in self.asked.iter_mut().filter(|waiting| !waiting.is_unsubscribe) {
            let same = |answer: &&mut Answer| !answer.reason.is_error() && *answer.filter == *filter;
            for answer in waiting.answers.iter_mut().filter(same) {
                (answer.reason, answer.begins, answer.replay) = (Reason::QuotaExceeded, false, None);
                refused.push((waiting.key, waiting.generation, waiting.conn));
            }
        }
        let Ok(filter) = Filter::new(filter) else { return };
        for (key, generation, conn) in refused {
            if self.sessions.generation(key) != generation {
                continue;
            }
            // Nobody is told who is gone.
            self.stats.denied_subscribe += u64::from(self.is_linked(key, conn));
            self.remove_subscription(key, filter);
        }
    }

    /// Retained messages go to a new subscription from here on.
    fn replay_retained(&mut self, key: Key, filter: Filter<'_>, options: SubscribeOptions, id: u32) {
        let options = SubscribeOptions { qos: options.qos.min(self.config.qos_max), ..options };
        if self.kept.is_empty() {
            return;
        }
        // One that is under way for this filter begins again, with all that it has not sent.
        self.stop_replay(key, filter);
        if let Some(session) = self.sessions.get_mut(key) {
            let (filter, asked) = (filter.as_str().into(), self.kept.ask());
            let replay = Replay { filter, scan: None, asked, is_noted: false, options, id };
            session.scans.get_or_insert_default().push_back(replay);
        }
    }

    /// Answers each filter; with words for the first that is refused, if the client wants some.
    fn put_reasons(
        &mut self,
        client: &mut Client,
        key: Key,
        reasons: &[Reason],
        packet: impl for<'a> Fn(Reasons<'a>, Properties<'a>) -> Packet<'a>,
    ) {
        self.durable.binding |= self.sessions.get(key).is_some_and(|session| session.number != 0);
        let wants = self.sessions.get(key).and_then(|session| session.link.as_ref());
        let wants =
            wants.is_some_and(|link| link.is(flag::WANTS_PROBLEMS)) && client.is_v5() && !self.config.terse;
        let wrong = reasons.iter().find(|reason| reason.is_error());
        if let Some(wrong) = wrong.filter(|_| wants) {
            let mut said = PropertiesBuf::new();
            if said.push(Property::ReasonString(wrong.name())).is_ok()
                && client
                    .codec
                    .encode(&packet(Reasons::new(reasons), said.properties()), &mut self.out)
                    .is_ok()
            {
                return;
            }
        }
        // One that is longer than the client takes is not sent ([MQTT-3.1.2-24]).
        let _ = client.codec.encode(&packet(Reasons::new(reasons), Properties::NONE), &mut self.out);
    }

    /// What is said of a filter, and whether retained messages come behind it.
    fn add_subscription(
        &mut self,
        key: Key,
        subscription: mqtt::Subscription<'_>,
        id: u32,
    ) -> (Reason, bool) {
        match self.subscribe_to(key, subscription, id) {
            Ok((qos, replays)) => {
                let reason = match qos {
                    QoS::AtMostOnce => Reason::Success,
                    QoS::AtLeastOnce => Reason::GrantedQos1,
                    QoS::ExactlyOnce => Reason::GrantedQos2,
                };
                (reason, replays)
            }
            Err(reason) => (reason, false),
        }
    }

    fn subscribe_to(
        &mut self,
        key: Key,
        subscription: mqtt::Subscription<'_>,
        id: u32,
    ) -> Result<(QoS, bool), Reason> {
        let mqtt::Subscription { filter, mut options } = subscription;
        if filter.group().is_some() && !self.config.shared {
            return Err(Reason::SharedSubscriptionsNotSupported);
        }
        if filter.has_wildcards() && !self.config.wildcards {
            return Err(Reason::WildcardSubscriptionsNotSupported);
        }
        if !self.may_subscribe(key, filter) {
            self.stats.denied_subscribe += 1;
            return Err(Reason::NotAuthorized);
        }
        options.qos = options.qos.min(self.config.qos_max);
        let mut subscriptions_max = self.config.subscriptions_max;
        let user = self.sessions.get(key).and_then(|session| session.user.as_deref());
        match self.config.identity.limits(user).subscriptions_max {
            0 => {}
            max => subscriptions_max = subscriptions_max.min(max),
        }
        let Some(session) = self.sessions.get_mut(key) else { return Err(Reason::UnspecifiedError) };
        if session.number != 0 && self.durable.admit().is_err() {
            return Err(Reason::QuotaExceeded);
        }
        let before = session.subscription(filter).map(|before| before.options.qos);
        let is_new = before.is_none();
        if is_new && session.subscriptions.len() >= subscriptions_max {
            self.stats.denied_subscribe += 1;
            return Err(Reason::QuotaExceeded);
        }
        // What is in flight to it from now on has room too, so that no message has to find it.
        let receive_max = session.link.as_ref().map_or(self.config.in_flight_max, |link| link.receive_max);
        let reserves =
            self.memory.is_bounded() && options.qos > QoS::AtMostOnce && session.outgoing.is_none();
        let bytes = || {
            let bytes = if is_new { memory::of_subscription(filter.as_str()) } else { 0 };
            bytes + if reserves { memory::of_outgoing(receive_max) } else { 0 }
        };
        if self.memory.lacks_so_much(bytes) {
            self.stats.denied_subscribe += 1;
            self.stats.memory_subscriptions_refused += 1;
            return Err(Reason::QuotaExceeded);
        }
        let has_room = if self.siblings.are_there() && begins_later(filter) {
            !is_new || self.routes.may_take(filter)
        } else {
            self.routes.insert(filter, key, Entry { options, id }).is_ok()
        };
        if !has_room {
            self.stats.denied_subscribe += 1;
            return Err(Reason::QuotaExceeded);
        }
        // It takes the place of one with the same filter ([MQTT-3.8.4-3]).
        match session.subscription(filter) {
            Some(before) => (before.options, before.id) = (options, id),
            None => {
                self.memory.take_subscription(&mut session.units, filter.as_str());
                session.subscriptions.push(Subscription { filter: filter.as_str().into(), options, id });
            }
        }
        if reserves {
            session.outgoing = Some(self.memory.outgoing(&mut session.units, receive_max));
        }
        self.durable.subscribed(session, filter, options, id);
        // What is under way for the one before is still to be sent.
        let replays = session.scans.iter_mut().flat_map(|scans| scans.iter_mut());
        for replay in replays.filter(|replay| *replay.filter == *filter.as_str()) {
            replay.is_noted = false;
        }
        let replays = match options.retain_handling {
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => is_new,
            RetainHandling::DoNotSend => false,
        };
        self.tell_added(key, filter, Entry { options, id }, before);
        // A shared subscription begins with none (section 4.8.2).
        Ok((options.qos, replays && filter.group().is_none()))
    }

    /// Retained messages are not looked for any more for the subscription of this filter.
    fn stop_replay(&mut self, key: Key, filter: Filter<'_>) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(scans) = session.scans.as_mut() else { return };
        let at = scans.iter().position(|replay| *replay.filter == *filter.as_str());
        let stopped = at.and_then(|at| scans.remove(at));
        if scans.is_empty() {
            session.scans = None;
        }
        if let Some(replay) = stopped {
            self.kept.drop_replay(replay);
        }
    }

    /// UNSUBSCRIBE came ([MQTT-3.10.4-4] to [MQTT-3.10.4-6]). What waits already is still sent.
    pub(super) fn unsubscribe(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        key: Key,
        unsubscribe: &Unsubscribe<'_>,
    ) -> Result<(), Close> {
        if self.siblings.are_there() {
            let mut answers = Vec::new();
            for filter in unsubscribe.filters.iter() {
                let reason = self.remove_subscription(key, filter);
                answers.push(Answer { filter: filter.as_str().into(), reason, begins: false, replay: None });
            }
            self.ask_all(conn, client, key, (true, unsubscribe.id, answers));
            return Ok(());
        }
        let mut reasons = std::mem::take(&mut self.reasons);
        reasons.clear();
        for filter in unsubscribe.filters.iter() {
            reasons.push(self.remove_subscription(key, filter));
        }
        self.put_reasons(client, key, &reasons, |reasons, properties| {
            Packet::Unsuback(Suback { id: unsubscribe.id, properties, reasons })
        });
        self.reasons = reasons;
        Ok(())
    }

    fn remove_subscription(&mut self, key: Key, filter: Filter<'_>) -> Reason {
        let Some(session) = self.sessions.get_mut(key) else { return Reason::UnspecifiedError };
        let Some(at) = session.subscriptions.iter().position(|it| *it.filter == *filter.as_str()) else {
            return Reason::NoSubscriptionExisted;
        };
        let Some(removed) = session.subscriptions.swap_remove(at) else {
            return Reason::NoSubscriptionExisted;
        };
        self.memory.give_subscription(&mut session.units, &removed.filter);
        self.durable.unsubscribed(session, filter);
        self.routes.remove(filter, key);
        self.tell_removed(key, filter, removed.options.qos);
        self.stop_replay(key, filter);
        Reason::Success
    }
}

/// Whether a subscription begins with its answer, where there are other workers. A member of a group gets what others
/// have chosen it for as soon as they know it: there is nobody else who would.
fn begins_later(filter: Filter<'_>) -> bool {
    filter.group().is_none()
}

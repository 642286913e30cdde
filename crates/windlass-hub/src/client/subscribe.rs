//! SUBSCRIBE and UNSUBSCRIBE.

use windlass::{Close, Conn};
use windlass_proto::Encode;
use windlass_proto::mqtt::{
    self, Filter, Packet, Properties, PropertiesBuf, Property, Reason, Reasons, RetainHandling, Suback,
    Subscribe, Unsubscribe,
};

use super::Client;
use crate::route::Entry;
use crate::service::Hub;
use crate::session::{Key, Replay, Subscription};

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
        let mut reasons = std::mem::take(&mut self.reasons);
        reasons.clear();
        for subscription in subscribe.filters.iter() {
            reasons.push(self.add_subscription(key, subscription, id));
        }
        // [MQTT-3.8.4-1], [MQTT-3.8.4-2]. Retained messages come behind it.
        self.put_reasons(client, key, &reasons, |reasons, properties| {
            Packet::Suback(Suback { id: subscribe.id, properties, reasons })
        });
        self.reasons = reasons;
        self.go_on(conn, client, key);
        Ok(())
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
        let wants = wants.is_some_and(|link| link.wants_problems) && client.is_v5();
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

    fn add_subscription(&mut self, key: Key, subscription: mqtt::Subscription<'_>, id: u32) -> Reason {
        let mqtt::Subscription { filter, mut options } = subscription;
        if filter.group().is_some() && !self.config.shared {
            return Reason::SharedSubscriptionsNotSupported;
        }
        if filter.has_wildcards() && !self.config.wildcards {
            return Reason::WildcardSubscriptionsNotSupported;
        }
        if !self.may_subscribe(key, filter) {
            self.stats.denied_subscribe += 1;
            return Reason::NotAuthorized;
        }
        options.qos = options.qos.min(self.config.qos_max);
        let mut subscriptions_max = self.config.subscriptions_max;
        let user = self.sessions.get(key).and_then(|session| session.user.as_deref());
        match self.config.identity.limits(user).subscriptions_max {
            0 => {}
            max => subscriptions_max = subscriptions_max.min(max),
        }
        let Some(session) = self.sessions.get_mut(key) else { return Reason::UnspecifiedError };
        if session.number != 0 && self.durable.admit().is_err() {
            return Reason::QuotaExceeded;
        }
        let is_new = !self.routes.contains(filter, key);
        if is_new && session.subscriptions.len() >= subscriptions_max {
            self.stats.denied_subscribe += 1;
            return Reason::QuotaExceeded;
        }
        if self.routes.insert(filter, key, Entry { options, id }).is_err() {
            self.stats.denied_subscribe += 1;
            return Reason::QuotaExceeded;
        }
        // It takes the place of one with the same filter ([MQTT-3.8.4-3]).
        match session.subscription(filter) {
            Some(before) => (before.options, before.id) = (options, id),
            None => {
                // Most have one.
                if session.subscriptions.is_empty() {
                    session.subscriptions.reserve_exact(1);
                }
                session.subscriptions.push(Subscription { filter: filter.as_str().into(), options, id });
            }
        }
        self.durable.subscribed(session, filter, options, id);
        let replays = match options.retain_handling {
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => is_new,
            RetainHandling::DoNotSend => false,
        };
        // A shared subscription begins with none (section 4.8.2).
        if replays && filter.group().is_none() && self.kept.len() > 0 {
            let scan = Some(self.kept.scan(filter));
            session.scans.get_or_insert_default().push_back(Replay { scan, options, id });
        }
        match options.qos {
            mqtt::QoS::AtMostOnce => Reason::Success,
            mqtt::QoS::AtLeastOnce => Reason::GrantedQos1,
            mqtt::QoS::ExactlyOnce => Reason::GrantedQos2,
        }
    }

    /// UNSUBSCRIBE came ([MQTT-3.10.4-4] to [MQTT-3.10.4-6]). What waits already is still sent.
    pub(super) fn unsubscribe(
        &mut self,
        _: &mut Conn<'_>,
        client: &mut Client,
        key: Key,
        unsubscribe: &Unsubscribe<'_>,
    ) -> Result<(), Close> {
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
        session.subscriptions.swap_remove(at);
        self.durable.unsubscribed(session, filter);
        self.routes.remove(filter, key);
        Reason::Success
    }
}

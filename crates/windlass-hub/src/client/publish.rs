//! Messages that clients publish.

use windlass::{Close, Conn};
use windlass_proto::mqtt::{AliasesIn, Arrival, MqttError, Publish, QoS, Reason};

use super::Client;
use crate::config::WhenExceeded;
use crate::memory::{self, TheirAliases};
use crate::service::Hub;
use crate::session::Key;
use crate::session::message::Publication;

impl Hub {
    /// PUBLISH came.
    pub(super) fn received(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        key: Key,
        publish: &Publish<'_>,
    ) -> Result<(), Close> {
        let v5 = client.is_v5();
        // More than CONNACK said there is ([MQTT-3.2.2-11], [MQTT-3.2.2-14] are the client's to keep).
        if publish.qos > self.config.qos_max {
            return Err(self.goodbye(client, Reason::QosNotSupported));
        }
        if publish.retain && !self.config.retain {
            return Err(self.goodbye(client, Reason::RetainNotSupported));
        }
        if let Some(load) = client.counted() {
            let user = Some(&*load.name).filter(|name| !name.is_empty());
            let limits = self.config.identity.limits(user);
            if load.published(limits, publish.payload.len(), self.now) {
                self.stats.over_quota += 1;
                return Err(self.goodbye(client, Reason::MessageRateTooHigh));
            }
        }
        let alias = if v5 { publish.properties.topic_alias() } else { None };
        // Taken out, so that the topic can be borrowed from it while the rest of the client is used.
        let mut aliases = client.aliases.take();
        if alias.is_some() && aliases.is_none() && client.aliases_max > 0 {
            let bytes_max = self.config.topic_alias_bytes_max;
            let (topics, charge) = (AliasesIn::new(client.aliases_max, bytes_max), self.memory.charge(0));
            aliases = Some(Box::new(TheirAliases { topics, charge }));
        }
        if self.memory.is_bounded()
            && let (Some(aliases), Some(topic), Some(alias)) = (&mut aliases, publish.topic, alias)
        {
            // A number that it was told it may give cannot be refused.
            if self.memory.lacks(aliases.topics.more_for(topic, alias)) {
                return Err(self.no_memory_for(client));
            }
            // Also if it turns out to be a mistake: then the connection ends.
            let _ = aliases.topics.resolve(Some(topic), Some(alias));
            aliases.charge.set(aliases.topics.memory());
        }
        let topic = match (&mut aliases, alias) {
            (Some(aliases), alias) => aliases.topics.resolve(publish.topic, alias),
            (None, Some(_)) => Err(MqttError::TopicAlias),
            (None, None) => publish.topic.ok_or(MqttError::NoTopic),
        };
        let topic = match topic {
            Ok(topic) => topic,
            Err(error) => return Err(self.mistake(client, error)),
        };
        let ticket = match (publish.qos, publish.id) {
            (QoS::AtMostOnce, _) | (_, None) => None,
            (qos, Some(id)) => {
                let enforced = v5 && self.config.when_receive_exceeded == WhenExceeded::Disconnect;
                let receive_max = self.config.receive_max;
                let Some(session) = self.sessions.get_mut(key) else { return Err(Close::Done) };
                // Who does not keep to the receive maximum needs more with every other message.
                let more = || match &session.incoming {
                    Some(incoming) => incoming.more(),
                    None => memory::of_incoming(receive_max),
                };
                if self.memory.lacks_so_much(more) {
                    return Err(self.no_memory_for(client));
                }
                let units = &mut session.units;
                let incoming = session
                    .incoming
                    .get_or_insert_with(|| self.memory.incoming(units, receive_max, enforced));
                let (exceeded, before) =
                    (incoming.exceeded(), self.memory.is_bounded().then(|| incoming.memory()));
                let arrived = incoming.publish(qos, id, publish.dup);
                if let Some(before) = before {
                    self.memory.change(units, before, incoming.memory());
                }
                match arrived {
                    Ok(Arrival::New(ticket)) => {
                        self.stats.receive_exceeded += incoming.exceeded() - exceeded;
                        Some(ticket)
                    }
                    Ok(_) => {
                        self.acknowledge(client, key);
                        client.aliases = aliases;
                        return Ok(());
                    }
                    Err(error) => return Err(self.mistake(client, error.into())),
                }
            }
        };
        self.stats.received(publish.qos, publish.payload.len());
        client.received = client.received.saturating_add(1);
        // What it was told already goes before what it may be about to get from itself.
        if !self.out.is_empty()
            && self.sessions.get(key).is_some_and(|session| !session.subscriptions.is_empty())
        {
            self.flush(conn, client);
        }
        let mut reason = Reason::Success;
        if !may_be_published(topic.as_str()) || !self.may_write(key, topic.as_str()) {
            self.stats.denied_publish += 1;
            reason = Reason::NotAuthorized;
        }
        if reason == Reason::Success && (ticket.is_some() || publish.retain) && self.durable.admit().is_err()
        {
            if !v5 {
                // No way to refuse, and nothing is acknowledged that is not kept.
                return Err(self.goodbye(client, Reason::QuotaExceeded));
            }
            reason = Reason::QuotaExceeded;
        }
        if reason == Reason::Success {
            let (payload, retain) = (publish.payload, publish.retain);
            let mut publication =
                Publication::new(topic, publish.properties, payload, publish.qos, retain, self.now);
            if retain {
                reason = self.retain(&mut publication);
            }
            if !reason.is_error() && !self.publish(conn, Some(key), &mut publication) {
                reason = Reason::NoMatchingSubscribers;
            }
        }
        client.aliases = aliases;
        if let Some(ticket) = ticket {
            // 3.1.1 has no way to refuse ([MQTT-3.3.5-2] of it): acknowledged, and dropped.
            let reason = if v5 { reason } else { Reason::Success };
            if let Some(session) = self.sessions.get_mut(key) {
                self.durable.received(session, publish.qos, ticket.id(), reason);
                if let Some(incoming) = &mut session.incoming {
                    incoming.ready(ticket, reason);
                }
            }
            self.acknowledge(client, key);
        }
        Ok(())
    }
}

/// Topics below `$SYS` are the hub's own (section 4.7.2), and `$share` is none.
pub(crate) fn may_be_published(topic: &str) -> bool {
    let first = topic.split('/').next().unwrap_or_default();
    first != "$SYS" && first != "$share"
}

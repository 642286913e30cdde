//! CONNECT: who a client is, which session is its, and what CONNACK says.

use windlass::{Close, Conn};
use windlass_proto::Encode;
use windlass_proto::mqtt::{
    AliasesOut, Auth, Connack, Connect, Packet, PropertiesBuf, Property, QoS, Reason, Version,
};

use super::publish::may_be_published;
use super::{Client, Stage, Wire};
use crate::access::Belonging;
use crate::config::WhenExceeded;
use crate::exchange::{Exchange, Step};
use crate::memory::{self, OurAliases};
use crate::service::Hub;
use crate::session::will::Will;
use crate::session::{Key, Link, flag};

/// A client between its CONNECT and CONNACK: what it asked for.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) version: Version,
    pub(crate) client_id: Box<str>,
    /// The hub chose it.
    pub(crate) is_assigned: bool,
    pub(crate) clean_start: bool,
    pub(crate) keep_alive: u16,
    pub(crate) user: Option<Box<str>>,
    /// Who it has turned out to be.
    pub(crate) belonging: Belonging,
    pub(crate) will: Option<Box<Will>>,
    /// In seconds, as it was asked for.
    pub(crate) expiry: u32,
    pub(crate) receive_max: u16,
    pub(crate) topic_alias_max: u16,
    pub(crate) packet_max: usize,
    pub(crate) wants_problems: bool,
    /// Its packets wait until somebody has answered.
    pub(crate) waits: bool,
    /// The enhanced authentication that goes on.
    pub(crate) exchange: Option<Exchanging>,
}

/// The method of a client that is served, and its next authentication, if one goes on.
#[derive(Debug)]
pub(crate) struct Enhanced {
    method: Box<str>,
    again: Option<Exchanging>,
}

/// An enhanced authentication that goes on (section 4.12).
#[derive(Debug)]
pub(crate) struct Exchanging {
    pub(crate) method: Box<str>,
    pub(crate) exchange: Box<dyn Exchange>,
    /// What the last step said, which goes with CONNACK or the last AUTH.
    pub(crate) last: Vec<u8>,
}

impl Hub {
    /// CONNECT came.
    pub(super) fn connect(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        connect: &Connect<'_>,
    ) -> Result<(), Close> {
        let v5 = connect.version == Version::V5;
        let properties = connect.properties;
        let packet_max = properties.maximum_packet_size().map_or(usize::MAX, |max| max as usize);
        client.codec.set_send_max(packet_max);
        let is_assigned = connect.client_id.is_empty();
        let client_id: Box<str> = match connect.client_id {
            // [MQTT-3.1.3-6].
            "" => assigned(conn.random(), conn.random()),
            id => id.into(),
        };
        let expiry = match (v5, connect.clean_start) {
            (true, _) => properties.session_expiry().unwrap_or(0),
            (false, true) => 0,
            (false, false) => u32::MAX,
        };
        if let Some(will) = &connect.will {
            let reason = if will.qos > self.config.qos_max {
                Reason::QosNotSupported
            } else if will.retain && !self.config.retain {
                Reason::RetainNotSupported
            } else if !may_be_published(will.topic.as_str()) {
                Reason::NotAuthorized
            } else {
                Reason::Success
            };
            if reason.is_error() {
                return Err(self.refuse(client, reason));
            }
        }
        let mut its_will = None;
        if let Some(will) = &connect.will {
            // Its session may have one that it takes the place of. Whose it is, and on which worker, is known later.
            let Some(charge) = self.memory.coming(Will::bytes(will)) else {
                self.stats.memory_sessions_refused += 1;
                return Err(self.refuse(client, Reason::QuotaExceeded));
            };
            its_will = Some(Box::new(Will { charge, ..Will::new(will) }));
        }
        let mut asking = Box::new(Asking {
            version: connect.version,
            client_id,
            is_assigned,
            clean_start: connect.clean_start,
            keep_alive: connect.keep_alive,
            user: connect.user_name.map(Into::into),
            belonging: Belonging::default(),
            will: its_will,
            expiry,
            receive_max: properties.receive_maximum().unwrap_or(u16::MAX),
            topic_alias_max: properties.topic_alias_maximum().unwrap_or(0),
            packet_max,
            wants_problems: properties.request_problem_information().unwrap_or(true),
            waits: false,
            exchange: None,
        });
        if let Some(method) = properties.authentication_method() {
            // [MQTT-4.12.0-1].
            let begun = self.authenticator.as_ref().and_then(|it| it.begin(method, connect.client_id));
            let Some(exchange) = begun else {
                return Err(self.refuse(client, Reason::BadAuthenticationMethod));
            };
            asking.exchange = Some(Exchanging { method: method.into(), exchange, last: Vec::new() });
            let data = properties.authentication_data().map_or(&[][..], |data| data.0);
            return self.exchange(conn, client, asking, data);
        }
        self.identify(conn, client, asking, connect.password.map(|password| password.0))
    }

    /// One step of an enhanced authentication before CONNACK.
    fn exchange(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        mut asking: Box<Asking>,
        data: &[u8],
    ) -> Result<(), Close> {
        let Some(exchanging) = &mut asking.exchange else { return Err(Close::Done) };
        match exchanging.exchange.step(data) {
            Step::Continue(data) => {
                // [MQTT-4.12.0-2], [MQTT-4.12.0-3].
                let said = said(&exchanging.method, &data);
                let auth = Auth { reason: Reason::ContinueAuthentication, properties: said.properties() };
                if client.codec.encode(&Packet::Auth(auth), &mut self.out).is_err() {
                    return Err(Close::Refused);
                }
                client.stage = Stage::Asking(asking);
                Ok(())
            }
            Step::Done { user, data } => {
                exchanging.last = data;
                if user.is_some() {
                    asking.user = user;
                }
                self.vouched(conn, client, asking)
            }
            // [MQTT-4.12.0-4].
            Step::Refuse(reason) => Err(self.refuse(client, reason)),
        }
    }

    /// AUTH came: the next step before CONNACK, or another authentication of a client that is served ([MQTT-4.12.1-1]).
    pub(super) fn authenticate(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        auth: &Auth<'_>,
    ) -> Result<(), Close> {
        let method = auth.properties.authentication_method().unwrap_or_default();
        let data = auth.properties.authentication_data().map_or(&[][..], |data| data.0);
        match std::mem::replace(&mut client.stage, Stage::Over) {
            Stage::Asking(asking) => {
                // The method stays the same ([MQTT-4.12.0-5]).
                let same = asking.exchange.as_ref().is_some_and(|it| *it.method == *method);
                if !same || auth.reason != Reason::ContinueAuthentication {
                    return Err(self.refuse(client, Reason::ProtocolError));
                }
                self.exchange(conn, client, asking, data)
            }
            Stage::Served(key) => {
                client.stage = Stage::Served(key);
                self.authenticate_again(client, key, method, data, auth.reason)
            }
            _ => Err(Close::Done),
        }
    }

    fn authenticate_again(
        &mut self,
        client: &mut Client,
        key: Key,
        method: &str,
        data: &[u8],
        reason: Reason,
    ) -> Result<(), Close> {
        let begun = match reason {
            Reason::ReAuthenticate => {
                let client_id =
                    self.sessions.get(key).map(|session| session.client_id.clone()).unwrap_or_default();
                let authenticator = self.authenticator.as_ref();
                let exchange = authenticator.and_then(|it| it.begin(method, &client_id));
                exchange.map(|exchange| Exchanging { method: method.into(), exchange, last: Vec::new() })
            }
            _ => client.enhanced().and_then(|it| it.again.take()),
        };
        let Some(mut exchanging) = begun else { return Err(self.goodbye(client, Reason::ProtocolError)) };
        // The method is that of CONNECT.
        let same = client.enhanced().is_some_and(|it| *it.method == *method);
        if !same {
            return Err(self.goodbye(client, Reason::ProtocolError));
        }
        let (reason, data) = match exchanging.exchange.step(data) {
            Step::Continue(data) => (Reason::ContinueAuthentication, data),
            Step::Done { data, .. } => (Reason::Success, data),
            // [MQTT-4.12.1-2].
            Step::Refuse(_) => return Err(self.goodbye(client, Reason::NotAuthorized)),
        };
        let said = said(method, &data);
        let auth = Auth { reason, properties: said.properties() };
        if client.codec.encode(&Packet::Auth(auth), &mut self.out).is_err() {
            return Err(Close::Refused);
        }
        if reason == Reason::ContinueAuthentication
            && let Some(enhanced) = client.enhanced()
        {
            enhanced.again = Some(exchanging);
        }
        Ok(())
    }

    /// Whoever it is has been told: the client gets its session.
    pub(crate) fn admit(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        asking: Asking,
    ) -> Result<(), Close> {
        self.begin(conn, client, asking)
    }

    /// The client is served from here on: the session is found, or made, and CONNACK says so.
    fn begin(&mut self, conn: &mut Conn<'_>, client: &mut Client, mut asking: Asking) -> Result<(), Close> {
        let mut found = self.sessions.find(&asking.client_id);
        let found_durable = found.and_then(|key| self.sessions.get(key)).is_some_and(|it| it.number != 0);
        if (asking.expiry > 0 || found_durable) && self.durable.admit().is_err() {
            return Err(self.refuse(client, Reason::ServerUnavailable));
        }
        if let Some(key) = found {
            // Whose session it is, nobody else takes over.
            if !self.may_have(key, &asking) {
                return Err(self.refuse(client, Reason::NotAuthorized));
            }
        }
        // Before anything is given up for it, and not again behind that: if what it gives back is somebody else's by then,
        // as that of a will that is published, it is served all the same, and others find no room.
        if self.lacks_for(&asking, found) {
            return Err(self.refuse_for_memory(client));
        }
        // The old session has its place until the new one is in it: nobody else comes between them.
        let mut has_place = false;
        if let Some(key) = found {
            let is_connected = self.sessions.get(key).is_some_and(|session| session.is_connected());
            if is_connected {
                // [MQTT-3.1.4-2] of 3.1.1, [MQTT-3.1.4-3].
                self.stats.taken_over += 1;
                self.disconnect(conn, key, Reason::SessionTakenOver);
                let delayed = self.will_delay(key).is_some_and(|delay| delay > 0);
                if asking.clean_start || !delayed {
                    self.publish_will(conn, key);
                }
            }
            let stays = !is_connected || self.unlink(conn, key);
            if asking.clean_start || !stays {
                // [MQTT-3.1.2-4], [MQTT-3.1.2-6] of 3.1.1.
                has_place = self.end_all_but_place(conn, key);
                found = None;
            }
        }
        let is_present = found.is_some();
        let key = match found {
            Some(key) => key,
            None if !has_place && !self.watch.totals().sessions.enter(1, self.config.sessions_max) => {
                return Err(self.refuse(client, Reason::QuotaExceeded));
            }
            None => self.sessions.add(&asking.client_id, self.now),
        };
        self.belongs(key, std::mem::take(&mut asking.belonging));
        let config = &self.config;
        let v5 = asking.version == Version::V5;
        let keep_alive = match config.keep_alive_max {
            max if v5 && max > 0 && (asking.keep_alive == 0 || asking.keep_alive > max) => max,
            _ => asking.keep_alive,
        };
        let expiry = asking.expiry.min(config.session_expiry_max);
        let receive_max = asking.receive_max.min(config.in_flight_max).max(1);
        let aliases = asking.topic_alias_max.min(config.topic_alias_out_max);
        let Some(session) = self.sessions.get_mut(key) else { return Err(Close::Done) };
        // Mostly the very name that is known of it, and then it is there once.
        let known = session.belonging.who.as_ref().and_then(|who| who.user.as_ref());
        let same = known.filter(|known| asking.user.as_deref() == Some(&***known));
        session.user = same.cloned().or_else(|| asking.user.as_deref().map(Into::into));
        session.expiry = expiry;
        session.will = None;
        session.will = asking.will.take().map(|mut will| {
            let bytes = will.needs(&self.memory);
            if bytes > 0 {
                will.charge = self.memory.charge(bytes);
            }
            will
        });
        let mut flags = flag::OPENING;
        for (is_so, bit) in [
            (client.wire.is_websocket(), flag::WEBSOCKET),
            (asking.wants_problems, flag::WANTS_PROBLEMS),
            (client.is_local(conn.peer()), flag::LOCAL),
        ] {
            flags |= if is_so { bit } else { 0 };
        }
        session.link = Some(Box::new(Link {
            conn: conn.id(),
            version: asking.version,
            flags,
            receive_max,
            packet_max: u32::try_from(asking.packet_max).unwrap_or(u32::MAX),
            aliases: (aliases > 0).then(|| {
                let charge = self.memory.charge(0);
                Box::new(OurAliases { topics: AliasesOut::new(aliases), charge })
            }),
            held: 0,
            held_bytes: 0,
            #[cfg(feature = "inspect")]
            sent: 0,
        }));
        // What is retained meanwhile may not have waited for it.
        for replay in session.scans.iter_mut().flat_map(|scans| scans.iter_mut()) {
            replay.asked = self.kept.ask();
        }
        self.durable.connected(session, if v5 { 5 } else { 4 });
        let is_durable = found_durable || session.number != 0;
        if let Some(at) = session.timer.take() {
            self.timers.cancel(at, key);
        }
        if let Some(outgoing) = &mut session.outgoing {
            self.memory.reconnected(&mut session.units, outgoing, receive_max);
        }
        if let Some(incoming) = &mut session.incoming {
            let enforced = v5 && config.when_receive_exceeded == WhenExceeded::Disconnect;
            incoming.reconnected(config.receive_max, enforced);
        }
        self.tell_who(key);
        let config = &self.config;
        let mut said = PropertiesBuf::new();
        if v5 {
            let mut say = |property| {
                // Ours have an encoding.
                let _ = said.push(property);
            };
            // In the order of Mosquitto's, byte for byte: there are tests that hold a server against that.
            if keep_alive != asking.keep_alive {
                say(Property::ServerKeepAlive(keep_alive));
            }
            if config.topic_alias_max > 0 {
                say(Property::TopicAliasMaximum(config.topic_alias_max));
            }
            if asking.is_assigned {
                // [MQTT-3.1.3-7].
                say(Property::AssignedClientId(&asking.client_id));
            }
            if expiry != asking.expiry {
                say(Property::SessionExpiry(expiry));
            }
            if !config.retain {
                say(Property::RetainAvailable(false));
            }
            say(Property::MaximumPacketSize(u32::try_from(config.packet_max).unwrap_or(u32::MAX)));
            if config.receive_max < u16::MAX {
                say(Property::ReceiveMaximum(config.receive_max));
            }
            match config.qos_max {
                QoS::ExactlyOnce => {}
                // [MQTT-3.2.2-9].
                max => say(Property::MaximumQoS(max as u8)),
            }
            if !config.wildcards {
                say(Property::WildcardSubscriptionAvailable(false));
            }
            if !config.shared {
                say(Property::SharedSubscriptionAvailable(false));
            }
            if let Some(exchanging) = &asking.exchange {
                say(Property::AuthenticationMethod(&exchanging.method));
                if !exchanging.last.is_empty() {
                    say(Property::AuthenticationData(windlass_proto::mqtt::Secret(&exchanging.last)));
                }
            }
        }
        let properties = said.properties();
        let connack = Connack { session_present: is_present, reason: Reason::Success, properties };
        client.stage = Stage::Served(key);
        self.stats.clients += 1;
        if client.codec.encode(&Packet::Connack(connack), &mut self.out).is_err() {
            // It takes no packet that long ([MQTT-3.1.2-24]), so it cannot be served.
            return Err(Close::Refused);
        }
        // What ends with its connection needs no disk.
        self.durable.binding |= is_durable;
        self.stats.connected += 1;
        self.stats.resumed += u64::from(is_present);
        if let Some(exchanging) = asking.exchange {
            client.rare().enhanced = Some(Enhanced { method: exchanging.method, again: None });
        }
        client.ends_with_connection = v5 && asking.expiry == 0;
        client.aliases_max = if v5 { self.config.topic_alias_max } else { 0 };
        client.heard = self.now;
        // [MQTT-3.1.2-24] of 3.1.1, [MQTT-3.1.2-22].
        client.silence_max_ms = u32::from(keep_alive) * 1_500;
        if keep_alive == 0 {
            conn.cancel_wake();
        }
        self.watch_silence(conn, client);
        if let Wire::WebSocket(websocket) = &mut client.wire {
            websocket.admit(self.config.packet_max);
        }
        self.go_on(conn, client, key);
        Ok(())
    }

    /// Whether there is no memory for the session of a client, and its will: beyond what it gives back of those it has.
    fn lacks_for(&self, asking: &Asking, found: Option<Key>) -> bool {
        self.memory.is_bounded() && {
            let found = found.and_then(|key| self.sessions.get(key));
            let is_new = found.is_none() || asking.clean_start;
            let session = if is_new { memory::of_session(&asking.client_id) } else { 0 };
            let will = asking.will.as_ref().map_or(0, |will| will.needs(&self.memory));
            let back = found.map_or(0, |session| {
                let will = session.will.as_ref().map_or(0, |will| will.charge.bytes());
                will + if asking.clean_start { session.units.bytes() } else { 0 }
            });
            let more = session + will;
            more > 0 && self.memory.missing(more) > back
        }
    }

    fn refuse_for_memory(&mut self, client: &mut Client) -> Close {
        self.stats.memory_sessions_refused += 1;
        self.refuse(client, Reason::QuotaExceeded)
    }

    fn will_delay(&self, key: Key) -> Option<u32> {
        self.sessions.get(key)?.will.as_ref().map(|will| will.delay)
    }

    /// CONNACK says no.
    pub(crate) fn refuse(&mut self, client: &mut Client, reason: Reason) -> Close {
        self.stats.refused += 1;
        client.stage = Stage::Over;
        let mut said = PropertiesBuf::new();
        if !self.config.terse {
            let _ = said.push(Property::ReasonString(reason.name()));
        }
        let connack = |properties| Connack { session_present: false, reason, properties };
        // A packet that has no encoding, in this version or for its length, is left out.
        if client.codec.encode(&Packet::Connack(connack(said.properties())), &mut self.out).is_err() {
            let bare = connack(windlass_proto::mqtt::Properties::NONE);
            let _ = client.codec.encode(&Packet::Connack(bare), &mut self.out);
        }
        Close::Refused
    }
}

/// An identifier for who has none: in the form of a random UUID (RFC 9562, version 4), as Mosquitto's.
fn assigned(high: u64, low: u64) -> Box<str> {
    let (first, second) = (high >> 32, high >> 16 & 0xffff);
    let (third, fourth) = (high & 0x0fff | 0x4000, low >> 48 & 0x3fff | 0x8000);
    format!("auto-{first:08x}-{second:04x}-{third:04x}-{fourth:04x}-{:012x}", low & 0xffff_ffff_ffff).into()
}

/// The properties of AUTH.
fn said(method: &str, data: &[u8]) -> PropertiesBuf {
    let mut said = PropertiesBuf::new();
    let _ = said.push(Property::AuthenticationMethod(method));
    if !data.is_empty() {
        let _ = said.push(Property::AuthenticationData(windlass_proto::mqtt::Secret(data)));
    }
    said
}

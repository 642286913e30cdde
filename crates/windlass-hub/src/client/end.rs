//! Ends: of a connection, by either side, and of a session.

use std::time::Duration;

use windlass::{Close, Conn, ConnId};
use windlass_proto::Encode;
use windlass_proto::mqtt::{
    Disconnect, Filter, Limits, Mqtt, MqttError, Packet, PropertiesBuf, Property, Reason, Version,
};

use super::{Client, Stage, wire};
use crate::reach::Reach;
use crate::service::Hub;
use crate::session::{Key, flag};

impl Hub {
    /// Whether this is the connection of the session.
    pub(crate) fn is_linked(&self, key: Key, conn: ConnId) -> bool {
        let link = self.sessions.get(key).and_then(|session| session.link.as_ref());
        link.is_some_and(|link| link.conn == conn)
    }

    /// DISCONNECT came: the will is taken back, unless the client asks for it ([MQTT-3.14.4-3]).
    pub(super) fn disconnected(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        key: Key,
        disconnect: &Disconnect<'_>,
    ) -> Result<(), Close> {
        if let Some(expiry) = disconnect.properties.session_expiry() {
            // Section 3.14.2.2.2: what was to end cannot be kept after all.
            if expiry > 0 && client.ends_with_connection {
                return Err(self.mistake(client, MqttError::PropertyValue(0x11)));
            }
            let expiry = expiry.min(self.config.session_expiry_max);
            if let Some(session) = self.sessions.get_mut(key) {
                session.expiry = expiry;
            }
        }
        if disconnect.reason == Reason::Success
            && let Some(session) = self.sessions.get_mut(key)
        {
            session.will = None;
            self.durable.will(session);
        }
        conn.expect_silence();
        Err(Close::Done)
    }

    /// The connection ends for a reason of ours: it is said in version 5 ([MQTT-4.13.2-1]).
    pub(crate) fn goodbye(&mut self, client: &mut Client, reason: Reason) -> Close {
        self.durable.farewell(self.out.len());
        if client.is_v5() && client.codec.is_connected() {
            let mut said = PropertiesBuf::new();
            let named = !self.config.terse && said.push(Property::ReasonString(reason.name())).is_ok();
            let full = Disconnect { reason, properties: said.properties() };
            if !named || client.codec.encode(&Packet::Disconnect(full), &mut self.out).is_err() {
                let _ = client.codec.encode(&Packet::Disconnect(Disconnect::new(reason)), &mut self.out);
            }
        }
        Close::Refused
    }

    /// What a client needs for what it has begun finds no memory: its connection ends with 0x97, where it can be told.
    #[cold]
    pub(crate) fn no_memory_for(&mut self, client: &mut Client) -> Close {
        self.stats.memory_clients_ended += 1;
        self.goodbye(client, Reason::QuotaExceeded)
    }

    /// Ends the connection of a session for a reason of ours, from anywhere. The session learns of it when it is
    /// closed.
    pub(crate) fn disconnect(&mut self, reach: &mut dyn Reach, key: Key, reason: Reason) {
        let Some(link) = self.sessions.get(key).and_then(|session| session.link.as_ref()) else { return };
        let Some(mut conn) = reach.conn(link.conn) else { return };
        if link.version == Version::V5 {
            let mut packet = Vec::new();
            let mut codec = Mqtt::server(Limits::default()).connected(link.version, false);
            codec.set_send_max(link.send_max());
            if codec.encode(&Packet::Disconnect(Disconnect::new(reason)), &mut packet).is_ok() {
                wire::write(&mut conn, link.is(flag::WEBSOCKET), &packet);
            }
        }
        conn.close();
    }

    /// The connection is over, for whatever reason.
    pub(crate) fn gone(&mut self, conn: &mut Conn<'_>, client: &Client) {
        if let Some(load) = client.counted() {
            load.leave();
        }
        match client.stage {
            Stage::Served(key) => {
                if self.is_linked(key, conn.id()) {
                    self.detach(conn, key);
                }
                self.stats.clients = self.stats.clients.saturating_sub(1);
            }
            Stage::New => self.stats.strangers += 1,
            Stage::Asking(_) | Stage::Http | Stage::Over => {}
        }
    }

    /// The session has no connection any more. Its will is published now, or when its time has come; it ends now, or
    /// when nobody has come back in time.
    pub(crate) fn detach(&mut self, reach: &mut dyn Reach, key: Key) {
        if !self.unlink(reach, key) {
            self.end_session(reach, key);
        }
    }

    /// The same of one whose end is seen to where it is called from; whether the session stays.
    pub(crate) fn unlink(&mut self, reach: &mut dyn Reach, key: Key) -> bool {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(key) else { return false };
        session.link = None;
        session.since = now;
        self.durable.disconnected(session);
        self.tell_state(key);
        let Some(session) = self.sessions.get_mut(key) else { return false };
        let (is_kept, delay) = (session.is_kept(), session.will.as_ref().map(|will| will.delay));
        // What was not sent yet of retained messages is looked for anew in the next connection.
        for scan in
            session.scans.iter_mut().flat_map(|scans| scans.iter_mut()).filter_map(|it| it.scan.take())
        {
            self.kept.end(scan);
        }
        if is_kept {
            if delay == Some(0) {
                self.publish_will(reach, key);
            }
            self.set_timer(key);
        }
        is_kept
    }

    /// Sets the time at which something becomes of a session without a connection: its will, or its end.
    pub(crate) fn set_timer(&mut self, key: Key) {
        let generation = self.sessions.generation(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        if let Some(at) = session.timer.take() {
            self.timers.cancel(at, key);
        }
        if session.link.is_some() {
            return;
        }
        let end = (session.expiry != u32::MAX).then(|| Duration::from_secs(session.expiry.into()));
        let will = session.will.as_ref().map(|will| Duration::from_secs(will.delay.into()));
        let next = match (end, will) {
            (Some(end), Some(will)) => end.min(will),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return,
        };
        let at = session.since + next;
        session.timer.set(at);
        self.timers.set(at, key, generation);
    }

    /// The time of a session without a connection has come.
    pub(crate) fn overdue(&mut self, reach: &mut dyn Reach, key: Key) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.timer.take();
        if session.link.is_some() {
            return;
        }
        let waited = now.since(session.since);
        if session.expiry != u32::MAX && waited >= Duration::from_secs(session.expiry.into()) {
            self.stats.sessions_expired += 1;
            return self.end_session(reach, key);
        }
        let will = session.will.as_ref();
        if will.is_some_and(|will| waited >= Duration::from_secs(will.delay.into())) {
            self.publish_will(reach, key);
        }
        self.set_timer(key);
    }

    /// Publishes the will of a session, if it has one; and it has none any more ([MQTT-3.1.2-8], [MQTT-3.1.2-10]).
    pub(crate) fn publish_will(&mut self, reach: &mut dyn Reach, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(will) = session.will.take() else { return };
        self.durable.will(session);
        // It may have been allowed when it was made.
        if !self.may_write(key, &will.topic) {
            self.stats.denied_publish += 1;
            return;
        }
        let Some(message) = will.message(self.now) else { return };
        self.stats.wills += 1;
        self.publish_kept(reach, &message, will.retain);
    }

    /// The session ends: its will is published at the latest now (section 3.1.2.5), and nothing is left of it.
    pub(crate) fn end_session(&mut self, reach: &mut dyn Reach, key: Key) {
        if self.end_all_but_place(reach, key) {
            self.watch.totals().sessions.leave(1);
        }
    }

    /// The same, but that its place among all sessions goes on being counted: for another one that comes in it. Whether
    /// there was a session.
    #[must_use]
    pub(crate) fn end_all_but_place(&mut self, reach: &mut dyn Reach, key: Key) -> bool {
        self.publish_will(reach, key);
        self.no_end(key);
        let Some(session) = self.sessions.get_mut(key) else { return false };
        if let Some(at) = session.timer.take() {
            self.timers.cancel(at, key);
        }
        let subscriptions = std::mem::take(&mut session.subscriptions);
        for subscription in subscriptions.iter() {
            if let Ok(filter) = Filter::new(&subscription.filter) {
                self.routes.remove(filter, key);
                self.tell_removed(key, filter, subscription.options.qos);
            }
        }
        let Some(session) = self.sessions.remove(key) else { return false };
        self.durable.closed(&session);
        for replay in session.scans.into_iter().flat_map(|scans| *scans) {
            self.kept.drop_replay(replay);
        }
        true
    }
}

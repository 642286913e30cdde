//! Acknowledgements of messages that were sent to a client, and of those it sent.

use windlass::Close;
use windlass_proto::Encode;
use windlass_proto::mqtt::{Ack, Kind, Packet, PacketId, PropertiesBuf, Property, Reason};

use super::Client;
use crate::service::Hub;
use crate::session::{Key, flag};

impl Hub {
    /// PUBACK came: the message is the client's.
    pub(super) fn puback(&mut self, key: Key, ack: &Ack<'_>) -> Result<(), Close> {
        let Some(session) = self.sessions.get_mut(key) else { return Ok(()) };
        if session.outgoing.as_mut().is_some_and(|outgoing| outgoing.puback(ack.id).is_ok()) {
            self.durable.done(session.number, ack.id);
            self.room_made = true;
        }
        Ok(())
    }

    /// PUBREC came: the message is the client's, or refused ([MQTT-4.8.2-6]: then it is nobody else's either).
    pub(super) fn pubrec(&mut self, client: &mut Client, key: Key, ack: &Ack<'_>) -> Result<(), Close> {
        let Some(session) = self.sessions.get_mut(key) else { return Ok(()) };
        let outgoing = session.outgoing.as_mut();
        let known = outgoing.is_some_and(|outgoing| outgoing.pubrec(ack.id, ack.reason).is_ok());
        if known && ack.reason.is_error() {
            self.durable.done(session.number, ack.id);
        } else if known {
            self.durable.released(session, ack.id);
        }
        match (known, ack.reason.is_error()) {
            (true, true) => self.room_made = true,
            (false, true) => {}
            // [MQTT-4.3.3-4]; one that is not known is answered too (section 3.5.2.1).
            (true, false) => self.answer(client, Kind::Pubrel, ack.id, Reason::Success),
            (false, false) => {
                self.answer(client, Kind::Pubrel, ack.id, Reason::PacketIdentifierNotFound);
            }
        }
        Ok(())
    }

    /// PUBCOMP came: the identifier is free.
    pub(super) fn pubcomp(&mut self, key: Key, ack: &Ack<'_>) -> Result<(), Close> {
        let Some(session) = self.sessions.get_mut(key) else { return Ok(()) };
        if session.outgoing.as_mut().is_some_and(|outgoing| outgoing.pubcomp(ack.id).is_ok()) {
            self.durable.done(session.number, ack.id);
            self.room_made = true;
        }
        Ok(())
    }

    /// PUBREL came: what its sender holds of the message is released ([MQTT-4.3.3-11]).
    pub(super) fn pubrel(&mut self, client: &mut Client, key: Key, ack: &Ack<'_>) -> Result<(), Close> {
        let Some(session) = self.sessions.get_mut(key) else { return Ok(()) };
        let incoming = session.incoming.as_mut();
        let reason = incoming.map_or(Reason::PacketIdentifierNotFound, |incoming| incoming.pubrel(ack.id));
        if reason == Reason::Success {
            self.durable.received_done(session, ack.id);
        }
        self.answer(client, Kind::Pubcomp, ack.id, reason);
        Ok(())
    }

    /// Sends the acknowledgements that are due, in the order of their messages ([MQTT-4.6.0-2], [MQTT-4.6.0-3]).
    pub(super) fn acknowledge(&mut self, client: &mut Client, key: Key) {
        while let Some(next) = self
            .sessions
            .get_mut(key)
            .and_then(|session| session.incoming.as_mut())
            .and_then(|incoming| incoming.next_ack())
        {
            let (kind, id, reason) = next;
            self.answer(client, kind, id, reason);
        }
    }

    /// Puts an acknowledgement; with a reason to read if something is wrong, and the client wants to know
    /// ([MQTT-3.1.2-29]) and takes it ([MQTT-3.4.2-2] and its like).
    pub(super) fn answer(&mut self, client: &mut Client, kind: Kind, id: PacketId, reason: Reason) {
        // What is refused is so whatever the log has.
        self.durable.binding |= !reason.is_error();
        let silent = self.config.terse && kind == Kind::Pubrec && reason == Reason::NoMatchingSubscribers;
        if reason == Reason::Success || silent || !client.is_v5() {
            let first = (kind as u8) << 4 | if kind == Kind::Pubrel { 2 } else { 0 };
            let [high, low] = id.get().to_be_bytes();
            self.out.extend_from_slice(&[first, 2, high, low]);
            return;
        }
        let wants = !self.config.terse
            && client.key().is_some_and(|key| {
                let link = self.sessions.get(key).and_then(|session| session.link.as_ref());
                link.is_some_and(|link| link.is(flag::WANTS_PROBLEMS))
            });
        let packet = |ack| match kind {
            Kind::Puback => Packet::Puback(ack),
            Kind::Pubrec => Packet::Pubrec(ack),
            Kind::Pubrel => Packet::Pubrel(ack),
            _ => Packet::Pubcomp(ack),
        };
        let mut said = PropertiesBuf::new();
        if wants && reason.is_error() && said.push(Property::ReasonString(reason.name())).is_ok() {
            let ack = Ack { id, reason, properties: said.properties() };
            if client.codec.encode(&packet(ack), &mut self.out).is_ok() {
                return;
            }
        }
        // Only a client that takes packets of five bytes gets none.
        let _ = client.codec.encode(&packet(Ack::with(id, reason)), &mut self.out);
    }
}

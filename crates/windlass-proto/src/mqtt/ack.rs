//! PUBACK, PUBREC, PUBREL and PUBCOMP, which have one form (sections 3.4 to 3.7 of both versions).

use super::limits::Rules;
use super::property::Place;
use super::read::Reader;
use super::write::{Body, put_id};
use super::{Kind, MqttError, PacketId, Properties, Reason, Side, Version};
use crate::{EncodeError, Put};

/// A word on a message of QoS 1 or 2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ack<'b> {
    /// Of which message ([MQTT-2.3.1-6], [MQTT-2.2.1-5]).
    pub id: PacketId,
    /// How it went. 3.1.1 knows nothing but success and has no way to say anything else, so it is left out there
    /// ([MQTT-3.3.5-2] of 3.1.1: acknowledge, or close the connection).
    pub reason: Reason,
    /// Of version 5.
    pub properties: Properties<'b>,
}

impl<'b> Ack<'b> {
    /// Success.
    pub const fn new(id: PacketId) -> Ack<'b> {
        Ack { id, reason: Reason::Success, properties: Properties::NONE }
    }

    /// With this reason.
    pub const fn with(id: PacketId, reason: Reason) -> Ack<'b> {
        Ack { id, reason, properties: Properties::NONE }
    }

    /// In version 5 the reason may be left out if it is success, and then the properties' length as well
    /// (sections 3.4.2.1, 3.4.2.2.1).
    #[inline]
    pub(super) fn parse(reader: &mut Reader<'b>, rules: &Rules) -> Result<Ack<'b>, MqttError> {
        let id = reader.packet_id()?;
        let (mut reason, mut properties) = (Reason::Success, Properties::NONE);
        if rules.is_v5() && !reader.is_empty() {
            reason = reason_code(reader, rules)?;
            if !reader.is_empty() {
                properties = Properties::parse(reader, Place::Packet(reader.kind()), rules)?;
            }
        }
        reader.end()?;
        Ok(Ack { id, reason, properties })
    }

    pub(super) fn check(&self, kind: Kind, from: Side, version: Version) -> Result<(), EncodeError> {
        if version == Version::V5 && !self.reason.is_allowed(kind, from) {
            return Err(EncodeError::Invalid);
        }
        self.properties.check(Place::Packet(kind), from, version)
    }
}

/// A reason code that this packet may carry.
#[inline]
pub(super) fn reason_code(reader: &mut Reader<'_>, rules: &Rules) -> Result<Reason, MqttError> {
    let (kind, code) = (reader.kind(), reader.u8()?);
    Reason::from_code(code)
        .filter(|reason| reason.is_allowed(kind, rules.from))
        .ok_or(MqttError::ReasonCode(kind, code))
}

/// Puts a reason and properties as far as they say anything.
pub(super) fn put_reason<P: Put + ?Sized>(reason: Reason, properties: Properties<'_>, out: &mut P) {
    if reason != Reason::Success || !properties.is_empty() {
        out.put(&[reason.code()]);
        if !properties.is_empty() {
            properties.put(Version::V5, out);
        }
    }
}

impl Body for (Version, &Ack<'_>) {
    fn put_body<P: Put + ?Sized>(&self, out: &mut P) {
        let (version, ack) = *self;
        put_id(out, ack.id);
        if version == Version::V5 {
            put_reason(ack.reason, ack.properties, out);
        }
    }
}

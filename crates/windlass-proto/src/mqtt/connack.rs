//! CONNACK: the answer to CONNECT (section 3.2 of both versions).

use super::limits::Rules;
use super::property::Place;
use super::read::Reader;
use super::write::Body;
use super::{Kind, MqttError, Properties, Reason, Side, Version};
use crate::{EncodeError, Put};

/// Whether a client is served, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connack<'b> {
    /// Whether the server has a session of this client ([MQTT-3.2.2-2], [MQTT-3.2.2-3]): never if the
    /// connection is refused ([MQTT-3.2.2-4] of 3.1.1, [MQTT-3.2.2-6]).
    pub session_present: bool,
    /// Success, or why not. In 3.1.1 it is said as one of six return codes ([`Reason::connack_code`]).
    pub reason: Reason,
    /// Of version 5.
    pub properties: Properties<'b>,
}

impl<'b> Connack<'b> {
    pub(super) fn parse(reader: &mut Reader<'b>, rules: &Rules) -> Result<Connack<'b>, MqttError> {
        let (flags, code) = (reader.u8()?, reader.u8()?);
        if flags > 1 || flags == 1 && code != 0 {
            return Err(MqttError::ConnackFlags);
        }
        let reason = match rules.version {
            Version::V311 => Reason::from_connack_311(code),
            Version::V5 => Reason::from_code(code).filter(|it| it.is_allowed(Kind::Connack, Side::Server)),
        };
        let reason = reason.ok_or(MqttError::ReasonCode(Kind::Connack, code))?;
        let properties = Properties::parse(reader, Place::Packet(Kind::Connack), rules)?;
        reader.end()?;
        Ok(Connack { session_present: flags == 1, reason, properties })
    }

    pub(super) fn check(&self, version: Version) -> Result<(), EncodeError> {
        let allowed = match version {
            Version::V311 => self.reason.connack_code(version).is_some(),
            Version::V5 => self.reason.is_allowed(Kind::Connack, Side::Server),
        };
        if !allowed || self.session_present && self.reason != Reason::Success {
            return Err(EncodeError::Invalid);
        }
        self.properties.check(Place::Packet(Kind::Connack), Side::Server, version)
    }
}

impl Body for (Version, &Connack<'_>) {
    fn put_body<P: Put + ?Sized>(&self, out: &mut P) {
        let (version, connack) = *self;
        out.put(&[connack.session_present.into(), connack.reason.connack_code(version).unwrap_or_default()]);
        connack.properties.put(version, out);
    }
}

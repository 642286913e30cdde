//! DISCONNECT and AUTH: the last packet of an end, and steps of an authentication (sections 3.14 of both versions,
//! 3.15 of 5.0).

use super::ack::{put_reason, reason_code};
use super::limits::Rules;
use super::property::Place;
use super::read::Reader;
use super::write::Body;
use super::{Kind, MqttError, Properties, Reason, Side, Version};
use crate::{EncodeError, Put};

/// The last packet of an end. In 3.1.1 only clients send it, and it says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disconnect<'b> {
    /// Why. A will is published unless it is success ([MQTT-3.14.4-3]).
    pub reason: Reason,
    /// Of version 5.
    pub properties: Properties<'b>,
}

impl<'b> Disconnect<'b> {
    /// With this reason.
    pub const fn new(reason: Reason) -> Disconnect<'b> {
        Disconnect { reason, properties: Properties::NONE }
    }

    pub(super) fn parse(reader: &mut Reader<'b>, rules: &Rules) -> Result<Disconnect<'b>, MqttError> {
        let (reason, properties) = short(reader, rules)?;
        Ok(Disconnect { reason, properties })
    }

    pub(super) fn check(&self, from: Side, version: Version) -> Result<(), EncodeError> {
        let allowed = match version {
            Version::V5 => self.reason.is_allowed(Kind::Disconnect, from),
            Version::V311 => from == Side::Client && self.reason == Reason::Success,
        };
        if !allowed {
            return Err(EncodeError::Invalid);
        }
        self.properties.check(Place::Packet(Kind::Disconnect), from, version)
    }
}

impl Body for (Version, &Disconnect<'_>) {
    fn put_body<P: Put + ?Sized>(&self, out: &mut P) {
        if self.0 == Version::V5 {
            put_reason(self.1.reason, self.1.properties, out);
        }
    }
}

/// A step of an authentication (section 4.12 of version 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Auth<'b> {
    /// Whether it goes on, begins anew, or is done.
    pub reason: Reason,
    /// The method, which is that of CONNECT ([MQTT-4.12.0-5]), and its data.
    pub properties: Properties<'b>,
}

impl<'b> Auth<'b> {
    pub(super) fn parse(reader: &mut Reader<'b>, rules: &Rules) -> Result<Auth<'b>, MqttError> {
        let (reason, properties) = short(reader, rules)?;
        // Success without anything may be left out (section 3.15.2.1), but that is the server's alone.
        if !reason.is_allowed(Kind::Auth, rules.from) {
            return Err(MqttError::ReasonCode(Kind::Auth, reason.code()));
        }
        let auth = Auth { reason, properties };
        if auth.has_method() { Ok(auth) } else { Err(MqttError::AuthenticationMethod) }
    }

    /// Nothing but a bare success goes without a method (section 3.15.2.2.2).
    fn has_method(&self) -> bool {
        let bare = self.reason == Reason::Success && self.properties.is_empty();
        bare || self.properties.authentication_method().is_some()
    }

    pub(super) fn check(&self, from: Side) -> Result<(), EncodeError> {
        if !self.reason.is_allowed(Kind::Auth, from) || !self.has_method() {
            return Err(EncodeError::Invalid);
        }
        self.properties.check(Place::Packet(Kind::Auth), from, Version::V5)
    }
}

impl Body for Auth<'_> {
    fn put_body<P: Put + ?Sized>(&self, out: &mut P) {
        put_reason(self.reason, self.properties, out);
    }
}

/// A reason and properties, both of which may be left out (sections 3.14.2.1, 3.14.2.2.1).
fn short<'b>(reader: &mut Reader<'b>, rules: &Rules) -> Result<(Reason, Properties<'b>), MqttError> {
    let (mut reason, mut properties) = (Reason::Success, Properties::NONE);
    if rules.is_v5() && !reader.is_empty() {
        reason = reason_code(reader, rules)?;
        if !reader.is_empty() {
            properties = Properties::parse(reader, Place::Packet(reader.kind()), rules)?;
        }
    }
    reader.end()?;
    Ok((reason, properties))
}

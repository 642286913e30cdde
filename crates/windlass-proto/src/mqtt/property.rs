//! Properties, one by one: what there is, of which type, and in which packets (section 2.2.2 of version 5).

use super::read::Reader;
use super::write::{check_binary, check_text, put_binary, put_varint};
use super::{Kind, MqttError, Secret, Topic};
use crate::{EncodeError, Put};

/// Where properties stand: in a packet, or with the will inside CONNECT.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// In the head of a packet of this kind.
    Packet(Kind),
    /// With the will, which they are passed on with.
    Will,
}

impl Place {
    const fn bit(self) -> u16 {
        match self {
            Place::Will => 1,
            Place::Packet(kind) => 1 << kind as u16,
        }
    }
}

const fn places(kinds: &[Kind]) -> u16 {
    let (mut bits, mut at) = (0, 0);
    while at < kinds.len() {
        bits |= Place::Packet(kinds[at]).bit();
        at += 1;
    }
    bits
}

const CONNECT: u16 = places(&[Kind::Connect]);
const CONNACK: u16 = places(&[Kind::Connack]);
const PUBLISH: u16 = places(&[Kind::Publish]);
const MESSAGE: u16 = PUBLISH | Place::Will.bit();
const AUTH: u16 = places(&[Kind::Auth]);
const DISCONNECT: u16 = places(&[Kind::Disconnect]);
const ACKS: u16 =
    places(&[Kind::Puback, Kind::Pubrec, Kind::Pubrel, Kind::Pubcomp, Kind::Suback, Kind::Unsuback]);
const REQUESTS: u16 = places(&[Kind::Subscribe, Kind::Unsubscribe]);

/// A property. Times are seconds, sizes bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Property<'b> {
    /// `0x01` Whether the payload is UTF-8. Passed on unaltered ([MQTT-3.3.2-4]).
    PayloadIsUtf8(bool),
    /// `0x02` Message expiry interval.
    MessageExpiry(u32),
    /// `0x03` What the payload is. Passed on unaltered ([MQTT-3.3.2-20]).
    ContentType(&'b str),
    /// `0x08` Where an answer is to be published: no wildcards ([MQTT-3.3.2-14]). Passed on unaltered
    /// ([MQTT-3.3.2-15]).
    ResponseTopic(Topic<'b>),
    /// `0x09` What an answer is to carry. Passed on unaltered ([MQTT-3.3.2-16]).
    CorrelationData(&'b [u8]),
    /// `0x0b` The number a client gave its subscription: 1 to 268,435,455.
    SubscriptionId(u32),
    /// `0x11` Session expiry interval; `0xffff_ffff` is never.
    SessionExpiry(u32),
    /// `0x12` The client identifier that the server chose ([MQTT-3.1.3-7]).
    AssignedClientId(&'b str),
    /// `0x13` The keep alive the client is to use ([MQTT-3.1.2-21]).
    ServerKeepAlive(u16),
    /// `0x15` Authentication method.
    AuthenticationMethod(&'b str),
    /// `0x16` Authentication data: only with a method.
    AuthenticationData(Secret<'b>),
    /// `0x17` Whether the client wants reason strings and user properties ([MQTT-3.1.2-29]).
    RequestProblemInformation(bool),
    /// `0x18` Will delay interval.
    WillDelay(u32),
    /// `0x19` Whether the client wants response information ([MQTT-3.1.2-28]).
    RequestResponseInformation(bool),
    /// `0x1a` Response information.
    ResponseInformation(&'b str),
    /// `0x1c` Another server to use.
    ServerReference(&'b str),
    /// `0x1f` Why, for people to read.
    ReasonString(&'b str),
    /// `0x21` How many messages of QoS 1 and 2 this end takes at a time: not zero.
    ReceiveMaximum(u16),
    /// `0x22` The highest topic alias this end takes.
    TopicAliasMaximum(u16),
    /// `0x23` Topic alias: not zero ([MQTT-3.3.2-8]).
    TopicAlias(u16),
    /// `0x24` The highest QoS the server takes: 0 or 1, since 2 is without saying.
    MaximumQoS(u8),
    /// `0x25` Whether the server retains messages.
    RetainAvailable(bool),
    /// `0x26` A name and a value that mean something to others. Any number, and their order is kept
    /// ([MQTT-3.3.2-18]).
    User(&'b str, &'b str),
    /// `0x27` The longest packet this end takes: not zero.
    MaximumPacketSize(u32),
    /// `0x28` Whether filters may have wildcards.
    WildcardSubscriptionAvailable(bool),
    /// `0x29` Whether subscriptions may have numbers.
    SubscriptionIdAvailable(bool),
    /// `0x2a` Whether there are shared subscriptions.
    SharedSubscriptionAvailable(bool),
}

pub(super) const SUBSCRIPTION_ID: u8 = 0x0b;
pub(super) const MESSAGE_EXPIRY: u8 = 0x02;
pub(super) const TOPIC_ALIAS: u8 = 0x23;
pub(super) const USER: u8 = 0x26;
pub(super) const AUTHENTICATION_METHOD: u8 = 0x15;
pub(super) const AUTHENTICATION_DATA: u8 = 0x16;
pub(super) const SESSION_EXPIRY: u8 = 0x11;
pub(super) const SERVER_REFERENCE: u8 = 0x1c;

/// Which places a property may stand in; none for an identifier there is not.
pub(super) const fn allowed(id: u8, place: Place) -> bool {
    let places = match id {
        0x01 | MESSAGE_EXPIRY | 0x03 | 0x08 | 0x09 => MESSAGE,
        SUBSCRIPTION_ID => PUBLISH | places(&[Kind::Subscribe]),
        SESSION_EXPIRY => CONNECT | CONNACK | DISCONNECT,
        0x12 | 0x13 | 0x1a | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => CONNACK,
        AUTHENTICATION_METHOD | AUTHENTICATION_DATA => CONNECT | CONNACK | AUTH,
        0x17 | 0x19 => CONNECT,
        0x18 => Place::Will.bit(),
        SERVER_REFERENCE => CONNACK | DISCONNECT,
        0x1f => CONNACK | ACKS | DISCONNECT | AUTH,
        0x21 | 0x22 | 0x27 => CONNECT | CONNACK,
        TOPIC_ALIAS => PUBLISH,
        USER => CONNECT | CONNACK | MESSAGE | ACKS | REQUESTS | DISCONNECT | AUTH,
        _ => 0,
    };
    places & place.bit() != 0
}

impl<'b> Property<'b> {
    /// Its identifier (table 2.4).
    pub const fn id(&self) -> u8 {
        match self {
            Property::PayloadIsUtf8(_) => 0x01,
            Property::MessageExpiry(_) => MESSAGE_EXPIRY,
            Property::ContentType(_) => 0x03,
            Property::ResponseTopic(_) => 0x08,
            Property::CorrelationData(_) => 0x09,
            Property::SubscriptionId(_) => SUBSCRIPTION_ID,
            Property::SessionExpiry(_) => SESSION_EXPIRY,
            Property::AssignedClientId(_) => 0x12,
            Property::ServerKeepAlive(_) => 0x13,
            Property::AuthenticationMethod(_) => AUTHENTICATION_METHOD,
            Property::AuthenticationData(_) => AUTHENTICATION_DATA,
            Property::RequestProblemInformation(_) => 0x17,
            Property::WillDelay(_) => 0x18,
            Property::RequestResponseInformation(_) => 0x19,
            Property::ResponseInformation(_) => 0x1a,
            Property::ServerReference(_) => SERVER_REFERENCE,
            Property::ReasonString(_) => 0x1f,
            Property::ReceiveMaximum(_) => 0x21,
            Property::TopicAliasMaximum(_) => 0x22,
            Property::TopicAlias(_) => TOPIC_ALIAS,
            Property::MaximumQoS(_) => 0x24,
            Property::RetainAvailable(_) => 0x25,
            Property::User(..) => USER,
            Property::MaximumPacketSize(_) => 0x27,
            Property::WildcardSubscriptionAvailable(_) => 0x28,
            Property::SubscriptionIdAvailable(_) => 0x29,
            Property::SharedSubscriptionAvailable(_) => 0x2a,
        }
    }

    /// Reads the value of a property, and whether it may be one.
    pub(super) fn read(id: u8, reader: &mut Reader<'b>) -> Result<Property<'b>, MqttError> {
        let flag = |reader: &mut Reader<'b>| match reader.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(MqttError::PropertyValue(id)),
        };
        let positive = |value: bool| if value { Ok(()) } else { Err(MqttError::PropertyValue(id)) };
        Ok(match id {
            0x01 => Property::PayloadIsUtf8(flag(reader)?),
            MESSAGE_EXPIRY => Property::MessageExpiry(reader.u32()?),
            0x03 => Property::ContentType(reader.text()?),
            0x08 => Property::ResponseTopic(Topic::parse(reader.binary()?, usize::MAX)?),
            0x09 => Property::CorrelationData(reader.binary()?),
            SUBSCRIPTION_ID => {
                let value = reader.varint()?;
                positive(value > 0)?;
                Property::SubscriptionId(value)
            }
            SESSION_EXPIRY => Property::SessionExpiry(reader.u32()?),
            0x12 => Property::AssignedClientId(reader.text()?),
            0x13 => Property::ServerKeepAlive(reader.u16()?),
            AUTHENTICATION_METHOD => Property::AuthenticationMethod(reader.text()?),
            AUTHENTICATION_DATA => Property::AuthenticationData(Secret(reader.binary()?)),
            0x17 => Property::RequestProblemInformation(flag(reader)?),
            0x18 => Property::WillDelay(reader.u32()?),
            0x19 => Property::RequestResponseInformation(flag(reader)?),
            0x1a => Property::ResponseInformation(reader.text()?),
            SERVER_REFERENCE => Property::ServerReference(reader.text()?),
            0x1f => Property::ReasonString(reader.text()?),
            0x21 => {
                let value = reader.u16()?;
                positive(value > 0)?;
                Property::ReceiveMaximum(value)
            }
            0x22 => Property::TopicAliasMaximum(reader.u16()?),
            TOPIC_ALIAS => match reader.u16()? {
                0 => return Err(MqttError::TopicAlias),
                value => Property::TopicAlias(value),
            },
            0x24 => {
                let value = reader.u8()?;
                positive(value < 2)?;
                Property::MaximumQoS(value)
            }
            0x25 => Property::RetainAvailable(flag(reader)?),
            USER => Property::User(reader.text()?, reader.text()?),
            0x27 => {
                let value = reader.u32()?;
                positive(value > 0)?;
                Property::MaximumPacketSize(value)
            }
            0x28 => Property::WildcardSubscriptionAvailable(flag(reader)?),
            0x29 => Property::SubscriptionIdAvailable(flag(reader)?),
            0x2a => Property::SharedSubscriptionAvailable(flag(reader)?),
            _ => return Err(MqttError::PropertyUnknown(id)),
        })
    }

    /// Puts it as it stands in a packet: what [`Properties::encoded`](super::Properties::encoded) takes, one or several.
    ///
    /// # Errors
    ///
    /// If its value has no encoding: a text that is too long or holds U+0000, or a number that may not be.
    pub fn encode(&self, out: &mut (impl Put + ?Sized)) -> Result<(), EncodeError> {
        self.check()?;
        self.put(out);
        Ok(())
    }

    /// That it has an encoding.
    pub(super) fn check(&self) -> Result<(), EncodeError> {
        let valid = |valid: bool| if valid { Ok(()) } else { Err(EncodeError::Invalid) };
        match *self {
            Property::ContentType(text)
            | Property::AssignedClientId(text)
            | Property::AuthenticationMethod(text)
            | Property::ResponseInformation(text)
            | Property::ServerReference(text)
            | Property::ReasonString(text) => check_text(text),
            Property::User(name, value) => check_text(name).and_then(|()| check_text(value)),
            Property::CorrelationData(bytes) | Property::AuthenticationData(Secret(bytes)) => {
                check_binary(bytes)
            }
            Property::SubscriptionId(value) => valid((1..=super::read::VARINT_MAX).contains(&value)),
            Property::ReceiveMaximum(value) | Property::TopicAlias(value) => valid(value > 0),
            Property::MaximumPacketSize(value) => valid(value > 0),
            Property::MaximumQoS(value) => valid(value < 2),
            _ => Ok(()),
        }
    }

    /// Puts the identifier and the value, which has been checked.
    pub(super) fn put(&self, out: &mut (impl Put + ?Sized)) {
        out.put(&[self.id()]);
        match *self {
            Property::PayloadIsUtf8(flag)
            | Property::RequestProblemInformation(flag)
            | Property::RequestResponseInformation(flag)
            | Property::RetainAvailable(flag)
            | Property::WildcardSubscriptionAvailable(flag)
            | Property::SubscriptionIdAvailable(flag)
            | Property::SharedSubscriptionAvailable(flag) => out.put(&[flag.into()]),
            Property::MaximumQoS(value) => out.put(&[value]),
            Property::ServerKeepAlive(value)
            | Property::ReceiveMaximum(value)
            | Property::TopicAliasMaximum(value)
            | Property::TopicAlias(value) => out.put(&value.to_be_bytes()),
            Property::MessageExpiry(value)
            | Property::SessionExpiry(value)
            | Property::WillDelay(value)
            | Property::MaximumPacketSize(value) => out.put(&value.to_be_bytes()),
            Property::SubscriptionId(value) => put_varint(out, value),
            Property::ContentType(text)
            | Property::AssignedClientId(text)
            | Property::AuthenticationMethod(text)
            | Property::ResponseInformation(text)
            | Property::ServerReference(text)
            | Property::ReasonString(text) => put_binary(out, text.as_bytes()),
            Property::ResponseTopic(topic) => put_binary(out, topic.as_str().as_bytes()),
            Property::CorrelationData(bytes) | Property::AuthenticationData(Secret(bytes)) => {
                put_binary(out, bytes);
            }
            Property::User(name, value) => {
                put_binary(out, name.as_bytes());
                put_binary(out, value.as_bytes());
            }
        }
    }
}

//! CONNECT: who a client is, and what it wants (section 3.1 of both versions).

use core::fmt;

use super::limits::Rules;
use super::property::Place;
use super::read::Reader;
use super::write::{Body, check_binary, check_text, put_binary};
use super::{Kind, MqttError, Properties, QoS, Side, Topic, Version};
use crate::{EncodeError, Put};

/// Bytes that no log may show: a password, the data of an authentication.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret<'b>(pub &'b [u8]);

/// Not even their number.
impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A client asks to be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connect<'b> {
    /// What it speaks from here on.
    pub version: Version,
    /// Whether what an earlier session left is forgotten; Clean Session in 3.1.1 (section 3.1.2.4).
    pub clean_start: bool,
    /// Seconds within which it sends something: after one and a half times as long it is gone; 0 is never
    /// ([MQTT-3.1.2-24], [MQTT-3.1.2-22]).
    pub keep_alive: u16,
    /// Who it is; empty if the server shall choose ([MQTT-3.1.3-6]).
    pub client_id: &'b str,
    /// What to publish when the connection ends without DISCONNECT.
    pub will: Option<Will<'b>>,
    /// Section 3.1.3.4, 3.1.3.5.
    pub user_name: Option<&'b str>,
    /// In 3.1.1 only with a user name ([MQTT-3.1.2-22]).
    pub password: Option<Secret<'b>>,
    /// Of version 5.
    pub properties: Properties<'b>,
}

/// The message that is published for a client that is gone (section 3.1.2.5).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Will<'b> {
    /// About what.
    pub topic: Topic<'b>,
    /// At most 65,535 bytes.
    pub payload: &'b [u8],
    /// How.
    pub qos: QoS,
    /// Whether it is retained.
    pub retain: bool,
    /// Of version 5: the delay, and what is passed on with it.
    pub properties: Properties<'b>,
}

/// Without the payload.
impl fmt::Debug for Will<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Will { topic, payload, qos, retain, properties } = self;
        f.debug_struct("Will")
            .field("topic", topic)
            .field("payload", &format_args!("{} bytes", payload.len()))
            .field("qos", qos)
            .field("retain", retain)
            .field("properties", properties)
            .finish()
    }
}

const RESERVED: u8 = 1;
const CLEAN: u8 = 1 << 1;
const WILL: u8 = 1 << 2;
const WILL_RETAIN: u8 = 1 << 5;
const PASSWORD: u8 = 1 << 6;
const USER_NAME: u8 = 1 << 7;

impl<'b> Connect<'b> {
    /// A client of this version and name that starts clean and says nothing else.
    pub const fn new(version: Version, client_id: &'b str) -> Connect<'b> {
        Connect {
            version,
            clean_start: true,
            keep_alive: 0,
            client_id,
            will: None,
            user_name: None,
            password: None,
            properties: Properties::NONE,
        }
    }

    pub(super) fn parse(reader: &mut Reader<'b>, rules: &Rules) -> Result<Connect<'b>, MqttError> {
        let name = reader.binary()?;
        let level = reader.u8()?;
        match name {
            b"MQTT" => {}
            // MQTT 3.1, whose clients understand the answer.
            b"MQIsdp" => return Err(MqttError::ProtocolLevel(level)),
            _ => return Err(MqttError::ProtocolName),
        }
        let version = Version::from_level(level).ok_or(MqttError::ProtocolLevel(level))?;
        let rules = &Rules { version, ..*rules };
        let flags = reader.u8()?;
        let (clean_start, will_qos) = (flags & CLEAN != 0, QoS::from_bits(flags >> 3 & 3));
        // [MQTT-3.1.2-3], [MQTT-3.1.2-11]; [MQTT-3.1.2-14], [MQTT-3.1.2-12].
        let no_will = flags & WILL == 0 && flags & (WILL_RETAIN | 3 << 3) != 0;
        // [MQTT-3.1.2-22]; in version 5 a password may stand alone (section 3.1.2.9).
        let no_name = !rules.is_v5() && flags & (USER_NAME | PASSWORD) == PASSWORD;
        let (false, false, Some(will_qos)) = (flags & RESERVED != 0 || no_will, no_name, will_qos) else {
            return Err(MqttError::ConnectFlags);
        };
        let keep_alive = reader.u16()?;
        let properties = Properties::parse(reader, Place::Packet(Kind::Connect), rules)?;
        let client_id = reader.text()?;
        let will = match flags & WILL {
            0 => None,
            _ => {
                let properties = Properties::parse(reader, Place::Will, rules)?;
                let topic = Topic::parse(reader.binary()?, rules.topic_levels_max)?;
                let payload = reader.binary()?;
                Some(Will { topic, payload, qos: will_qos, retain: flags & WILL_RETAIN != 0, properties })
            }
        };
        let user_name = if flags & USER_NAME != 0 { Some(reader.text()?) } else { None };
        let password = if flags & PASSWORD != 0 { Some(Secret(reader.binary()?)) } else { None };
        reader.end()?;
        // [MQTT-3.1.3-8]. It comes last, since it alone is answered in 3.1.1.
        if client_id.is_empty() && !clean_start && !rules.is_v5() {
            return Err(MqttError::ClientId);
        }
        Ok(Connect { version, clean_start, keep_alive, client_id, will, user_name, password, properties })
    }

    pub(super) fn check(&self) -> Result<(), EncodeError> {
        check_text(self.client_id)?;
        self.properties.check(Place::Packet(Kind::Connect), Side::Client, self.version)?;
        if let Some(will) = &self.will {
            will.properties.check(Place::Will, Side::Client, self.version)?;
            check_binary(will.payload)?;
        }
        check_text(self.user_name.unwrap_or_default())?;
        check_binary(self.password.map_or(&[], |password| password.0))?;
        let v311 = self.version == Version::V311;
        let nameless = v311 && self.user_name.is_none() && self.password.is_some();
        let unknown = v311 && self.client_id.is_empty() && !self.clean_start;
        if nameless || unknown { Err(EncodeError::Invalid) } else { Ok(()) }
    }
}

impl Body for Connect<'_> {
    fn put_body<P: Put + ?Sized>(&self, out: &mut P) {
        let mut flags = if self.clean_start { CLEAN } else { 0 };
        if let Some(will) = &self.will {
            flags |= WILL | (will.qos as u8) << 3 | if will.retain { WILL_RETAIN } else { 0 };
        }
        flags |= if self.user_name.is_some() { USER_NAME } else { 0 };
        flags |= if self.password.is_some() { PASSWORD } else { 0 };
        put_binary(out, b"MQTT");
        out.put(&[self.version.level(), flags]);
        out.put(&self.keep_alive.to_be_bytes());
        self.properties.put(self.version, out);
        put_binary(out, self.client_id.as_bytes());
        if let Some(will) = &self.will {
            will.properties.put(self.version, out);
            put_binary(out, will.topic.as_str().as_bytes());
            put_binary(out, will.payload);
        }
        if let Some(name) = self.user_name {
            put_binary(out, name.as_bytes());
        }
        if let Some(password) = self.password {
            put_binary(out, password.0);
        }
    }
}

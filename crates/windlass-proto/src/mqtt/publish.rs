//! PUBLISH: a message (section 3.3 of both versions).

use core::fmt;

use super::limits::Rules;
use super::property::Place;
use super::read::Reader;
use super::write::{fixed_header, put_binary, put_id, varint_len};
use super::{Kind, MqttError, PacketId, Properties, QoS, Side, Topic, Version};
use crate::{EncodeError, Put};

/// A message on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Publish<'b> {
    /// About what. Not there if a topic alias stands for it, which only version 5 has.
    pub topic: Option<Topic<'b>>,
    /// How it is delivered.
    pub qos: QoS,
    /// Whether it may have been sent before: never with QoS 0 ([MQTT-3.3.1-2]), and passed on to nobody
    /// ([MQTT-3.3.1-3]).
    pub dup: bool,
    /// Whether it is to be retained, or was.
    pub retain: bool,
    /// There if the QoS is 1 or 2, and only then ([MQTT-2.3.1-1], [MQTT-2.3.1-5], [MQTT-2.2.1-2]).
    pub id: Option<PacketId>,
    /// Of version 5.
    pub properties: Properties<'b>,
    /// Any bytes, or none.
    pub payload: &'b [u8],
}

/// Without the payload, which may be a secret.
impl fmt::Debug for Publish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Publish { topic, qos, dup, retain, id, properties, payload } = self;
        f.debug_struct("Publish")
            .field("topic", topic)
            .field("qos", qos)
            .field("dup", dup)
            .field("retain", retain)
            .field("id", id)
            .field("properties", properties)
            .field("payload", &format_args!("{} bytes", payload.len()))
            .finish()
    }
}

/// The first byte of a PUBLISH.
#[inline]
pub(super) const fn first_byte(qos: QoS, dup: bool, retain: bool) -> u8 {
    (Kind::Publish as u8) << 4 | (dup as u8) << 3 | (qos as u8) << 1 | retain as u8
}

/// That the flags of a first byte can be ([MQTT-3.3.1-4], [MQTT-3.3.1-2]).
#[inline]
pub(super) fn check_first(first: u8) -> Result<(), MqttError> {
    match (first >> 1 & 3, first & 8) {
        (3, _) => Err(MqttError::QoS),
        (0, 8) => Err(MqttError::Dup),
        _ => Ok(()),
    }
}

impl<'b> Publish<'b> {
    /// A message of QoS 0.
    pub const fn new(topic: Topic<'b>, payload: &'b [u8]) -> Publish<'b> {
        Publish {
            topic: Some(topic),
            qos: QoS::AtMostOnce,
            dup: false,
            retain: false,
            id: None,
            properties: Properties::NONE,
            payload,
        }
    }

    #[inline]
    pub(super) fn parse(first: u8, reader: &mut Reader<'b>, rules: &Rules) -> Result<Publish<'b>, MqttError> {
        let qos = QoS::from_bits(first >> 1 & 3).ok_or(MqttError::QoS)?;
        let topic = match reader.binary()? {
            [] => None,
            bytes => Some(Topic::parse(bytes, rules.topic_levels_max)?),
        };
        let id = if qos == QoS::AtMostOnce { None } else { Some(reader.packet_id()?) };
        let properties = Properties::parse(reader, Place::Packet(Kind::Publish), rules)?;
        if topic.is_none() && properties.topic_alias().is_none() {
            return Err(MqttError::NoTopic);
        }
        let (dup, retain, payload) = (first & 8 != 0, first & 1 != 0, reader.rest());
        Ok(Publish { topic, qos, dup, retain, id, properties, payload })
    }

    /// Puts the whole packet, or nothing.
    pub(super) fn encode<P: Put + ?Sized>(
        &self,
        from: Side,
        version: Version,
        max: usize,
        out: &mut P,
    ) -> Result<(), EncodeError> {
        let acknowledged = self.qos != QoS::AtMostOnce;
        if acknowledged != self.id.is_some() || self.dup && !acknowledged {
            return Err(EncodeError::Invalid);
        }
        self.properties.check(Place::Packet(Kind::Publish), from, version)?;
        let alias = version == Version::V5 && self.properties.topic_alias().is_some();
        if self.topic.is_none() && !alias {
            return Err(EncodeError::Invalid);
        }
        let topic = self.topic.map_or("", Topic::as_str).as_bytes();
        let properties = self.properties.as_bytes().len();
        let properties = match version {
            Version::V311 => 0,
            Version::V5 => varint_len(properties as u32) + properties,
        };
        let len = 2 + topic.len() + if acknowledged { 2 } else { 0 } + properties + self.payload.len();
        let (header, header_len) = fixed_header(first_byte(self.qos, self.dup, self.retain), len, max)?;
        out.put(&header[..header_len]);
        put_binary(out, topic);
        if let Some(id) = self.id {
            put_id(out, id);
        }
        self.properties.put(version, out);
        out.put(self.payload);
        Ok(())
    }
}

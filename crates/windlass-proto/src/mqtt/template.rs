//! One message to many receivers: its head is written once for each version, and patched for each receiver.

use alloc::vec::Vec;

use super::properties::Properties;
use super::property::{self, Place, Property};
use super::publish::first_byte;
use super::read::VARINT_MAX;
use super::write::{fixed_header, put_varint, varint_bytes, varint_len};
use super::{Kind, PacketId, PropertiesBuf, QoS, Side, Topic, Version};
use crate::{EncodeError, Put};

/// How many subscription identifiers one message may carry. A client with more overlapping subscriptions gets the
/// message as often as it takes.
pub const SUBSCRIPTION_ID_MAX: usize = 16;

/// What all receivers of a message that speak one version have in common.
///
/// Topic and properties are laid out once. What differs (flags, packet identifier, subscription identifiers, topic
/// alias) is put around them for each receiver from the stack: nothing is allocated, and the payload is not
/// touched, so that all receivers share one copy of it.
///
/// The properties are those of the message that came, without its topic alias and subscription identifiers, and in
/// their order ([MQTT-3.3.2-17], [MQTT-3.3.2-18]). The message expiry interval is what is left of it, which the
/// receiver's [`Delivery`] says ([MQTT-3.3.2-6]).
///
/// ```
/// use windlass_proto::mqtt::{Delivery, Properties, PublishTemplate, Topic, Version};
///
/// let topic = Topic::new("a/b").unwrap();
/// let template = PublishTemplate::new(Version::V311, topic, Properties::NONE, 2)?;
/// let mut out = Vec::new();
/// template.put_head(&Delivery::default(), usize::MAX, &mut out)?;
/// out.extend_from_slice(b"hi"); // or `write_shared`, for a payload that is shared
/// assert_eq!(out, b"\x30\x07\0\x03a/bhi");
/// # Ok::<(), windlass_proto::EncodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PublishTemplate {
    version: Version,
    payload: usize,
    /// The topic with its length in front, and behind it the properties without theirs.
    bytes: Vec<u8>,
    topic: usize,
    /// Whether the message expires.
    expires: bool,
}

/// How one receiver gets a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Delivery<'s> {
    /// The lower one of the message and the subscription ([MQTT-3.8.4-6], [MQTT-3.8.4-8]).
    pub qos: QoS,
    /// With QoS 1 and 2.
    pub id: Option<PacketId>,
    /// Whether it is sent again.
    pub dup: bool,
    /// Whether it is said to be retained.
    pub retain: bool,
    /// Of all subscriptions it comes for that have one ([MQTT-3.3.4-3]), up to [`SUBSCRIPTION_ID_MAX`]. Left out in
    /// 3.1.1.
    pub subscription_ids: &'s [u32],
    /// How the topic is said.
    pub topic: TopicForm,
    /// Seconds after which it expires from now on, for a message that does.
    pub expiry: Option<u32>,
}

/// How the topic of a message is said in version 5.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TopicForm {
    /// As it is.
    #[default]
    Name,
    /// As it is, and by this number from now on.
    NameAndAlias(u16),
    /// By a number that the receiver knows.
    Alias(u16),
}

impl PublishTemplate {
    /// A message about this topic, for receivers of one version.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Invalid`] if the properties are none of a message.
    pub fn new(
        version: Version,
        topic: Topic<'_>,
        properties: Properties<'_>,
        payload: usize,
    ) -> Result<PublishTemplate, EncodeError> {
        let bytes = Vec::with_capacity(2 + topic.as_str().len() + properties.as_bytes().len());
        let mut template = PublishTemplate { version, payload, bytes, topic: 0, expires: false };
        template.set(topic, properties, payload)?;
        Ok(template)
    }

    /// The same of another message, in the memory of this one.
    ///
    /// # Errors
    ///
    /// As [`new`](PublishTemplate::new); the template is good for nothing then until the next `set`.
    pub fn set(
        &mut self,
        topic: Topic<'_>,
        properties: Properties<'_>,
        payload: usize,
    ) -> Result<(), EncodeError> {
        properties.check(Place::Packet(Kind::Publish), Side::Server, self.version)?;
        self.bytes.clear();
        self.bytes.put(&(topic.as_str().len() as u16).to_be_bytes());
        self.bytes.put(topic.as_str().as_bytes());
        self.topic = self.bytes.len();
        (self.payload, self.expires) = (payload, false);
        if self.version == Version::V5 && !properties.is_empty() {
            for property in properties.iter() {
                match property.id() {
                    property::TOPIC_ALIAS | property::SUBSCRIPTION_ID => {}
                    property::MESSAGE_EXPIRY => self.expires = true,
                    _ => property.put(&mut self.bytes),
                }
            }
        }
        Ok(())
    }

    /// For receivers of which version.
    #[inline]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Whether the message expires, so that [`Delivery::expiry`] belongs to it.
    #[inline]
    pub const fn expires(&self) -> bool {
        self.expires
    }

    /// Bytes that the whole packet takes for this receiver, if it has so many.
    pub fn len(&self, delivery: &Delivery<'_>) -> usize {
        let (front, own) = self.lengths(delivery);
        let body = front + own.map_or(0, |own| varint_len(own as u32) + own) + self.payload;
        1 + varint_len(u32::try_from(body).unwrap_or(VARINT_MAX)) + body
    }

    /// Whether the packet has no byte: never.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Bytes of topic and packet identifier, and of the properties where the version has them.
    #[inline]
    fn lengths(&self, delivery: &Delivery<'_>) -> (usize, Option<usize>) {
        let named = self.version == Version::V311 || !matches!(delivery.topic, TopicForm::Alias(_));
        let topic = if named { self.topic } else { 2 };
        let front = topic + if delivery.id.is_some() { 2 } else { 0 };
        if self.version == Version::V311 {
            return (front, None);
        }
        let alias = if matches!(delivery.topic, TopicForm::Name) { 0 } else { 3 };
        let expiry = if self.expires && delivery.expiry.is_some() { 5 } else { 0 };
        let ids: usize = delivery.subscription_ids.iter().map(|id| 1 + varint_len(*id)).sum();
        (front, Some(alias + expiry + ids + self.bytes.len() - self.topic))
    }

    /// Puts everything before the payload, or nothing.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] if the whole packet, payload included, takes more than `max` bytes, the receiver's
    /// Maximum Packet Size: the message counts as sent then ([MQTT-3.1.2-24], [MQTT-3.1.2-25]).
    /// [`EncodeError::Invalid`] for a delivery that cannot be: a packet identifier without QoS or the reverse, DUP
    /// with QoS 0, a number of zero, too many of them.
    #[inline]
    pub fn put_head(
        &self,
        delivery: &Delivery<'_>,
        max: usize,
        out: &mut (impl Put + ?Sized),
    ) -> Result<(), EncodeError> {
        let acknowledged = delivery.qos != QoS::AtMostOnce;
        let v5 = self.version == Version::V5;
        let ids = if v5 { delivery.subscription_ids } else { &[] };
        let alias = match delivery.topic {
            TopicForm::Name => None,
            TopicForm::NameAndAlias(alias) | TopicForm::Alias(alias) if v5 => Some(alias),
            TopicForm::NameAndAlias(_) => None,
            TopicForm::Alias(_) => return Err(EncodeError::Invalid),
        };
        if acknowledged != delivery.id.is_some()
            || delivery.dup && !acknowledged
            || alias == Some(0)
            || ids.len() > SUBSCRIPTION_ID_MAX
            || ids.iter().any(|id| *id == 0 || *id > VARINT_MAX)
        {
            return Err(EncodeError::Invalid);
        }
        let (front, own) = self.lengths(delivery);
        let body = front + own.map_or(0, |own| varint_len(own as u32) + own) + self.payload;
        let first = first_byte(delivery.qos, delivery.dup, delivery.retain);
        let (header, header_len) = fixed_header(first, body, max)?;
        out.put(&header[..header_len]);
        match delivery.topic {
            TopicForm::Alias(_) => out.put(&[0, 0]),
            _ => out.put(&self.bytes[..self.topic]),
        }
        let mut small = Small { bytes: [0; SMALL], len: 0 };
        if let Some(id) = delivery.id {
            small.put(&id.get().to_be_bytes());
        }
        if let Some(own) = own {
            put_varint(&mut small, own as u32);
            if let Some(alias) = alias {
                Property::TopicAlias(alias).put(&mut small);
            }
            if let Some(seconds) = delivery.expiry.filter(|_| self.expires) {
                Property::MessageExpiry(seconds).put(&mut small);
            }
            for &id in ids {
                let (bytes, len) = varint_bytes(id);
                small.put(&[property::SUBSCRIPTION_ID]);
                small.put(&bytes[..len]);
            }
        }
        if small.len > 0 {
            out.put(&small.bytes[..small.len]);
        }
        if self.bytes.len() > self.topic {
            out.put(&self.bytes[self.topic..]);
        }
        Ok(())
    }

    /// Puts the whole packet, or nothing.
    ///
    /// # Errors
    ///
    /// As [`put_head`](PublishTemplate::put_head); [`EncodeError::Length`] if this is not the payload the template
    /// is for.
    pub fn put(
        &self,
        delivery: &Delivery<'_>,
        payload: &[u8],
        max: usize,
        out: &mut (impl Put + ?Sized),
    ) -> Result<(), EncodeError> {
        if payload.len() != self.payload {
            return Err(EncodeError::Length);
        }
        self.put_head(delivery, max, out)?;
        out.put(payload);
        Ok(())
    }

    /// The properties that all receivers get, to be kept with a message that waits.
    pub fn properties(&self) -> PropertiesBuf {
        PropertiesBuf::of(&self.bytes[self.topic..])
    }
}

/// A packet identifier, the properties' length, an alias, an expiry and all subscription identifiers.
const SMALL: usize = 2 + 4 + 3 + 5 + 5 * SUBSCRIPTION_ID_MAX;

/// What differs between receivers, on the stack.
struct Small {
    bytes: [u8; SMALL],
    len: usize,
}

impl Put for Small {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        self.bytes[self.len..end].copy_from_slice(bytes);
        self.len = end;
    }
}

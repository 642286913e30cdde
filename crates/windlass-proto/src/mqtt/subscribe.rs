//! SUBSCRIBE, UNSUBSCRIBE and their answers (sections 3.8 to 3.11 of both versions).

use super::limits::Rules;
use super::property::Place;
use super::read::Reader;
use super::write::{Body, put_binary, put_id};
use super::{Filter, Kind, MqttError, PacketId, Properties, QoS, Reason, Side, Version};
use crate::{EncodeError, Put};

/// Filters a client wants messages of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subscribe<'b> {
    /// What SUBACK answers to ([MQTT-2.3.1-7], [MQTT-2.2.1-6]).
    pub id: PacketId,
    /// Of version 5.
    pub properties: Properties<'b>,
    /// At least one ([MQTT-3.8.3-3], [MQTT-3.8.3-2]).
    pub filters: Filters<'b>,
}

/// Filters a client wants no more messages of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unsubscribe<'b> {
    /// What UNSUBACK answers to.
    pub id: PacketId,
    /// Of version 5.
    pub properties: Properties<'b>,
    /// At least one ([MQTT-3.10.3-2]).
    pub filters: Names<'b>,
}

/// One filter of a SUBSCRIBE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subscription<'b> {
    /// Of which topics.
    pub filter: Filter<'b>,
    /// And how.
    pub options: SubscribeOptions,
}

/// How messages of a subscription are sent (section 3.8.3.1 of 5.0). In 3.1.1 there is the QoS alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SubscribeOptions {
    /// The highest QoS: a message comes with this or its own, whichever is lower ([MQTT-3.8.4-6],
    /// [MQTT-3.8.4-8]).
    pub qos: QoS,
    /// Not what this client published itself ([MQTT-3.8.3-3] of 5.0).
    pub no_local: bool,
    /// Messages keep their RETAIN flag ([MQTT-3.3.1-12], [MQTT-3.3.1-13] of 5.0).
    pub retain_as_published: bool,
    /// Which retained messages come at once.
    pub retain_handling: RetainHandling,
}

/// Which retained messages a subscription begins with ([MQTT-3.3.1-9] to [MQTT-3.3.1-11] of 5.0).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum RetainHandling {
    /// All that match.
    #[default]
    Send = 0,
    /// All that match, if there was no such subscription before.
    SendIfNew = 1,
    /// None.
    DoNotSend = 2,
}

impl SubscribeOptions {
    /// This QoS, and nothing else.
    pub const fn new(qos: QoS) -> SubscribeOptions {
        SubscribeOptions {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        }
    }

    /// The byte that says them in version 5: a compact form to keep.
    pub const fn to_byte(self) -> u8 {
        self.qos as u8
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | (self.retain_handling as u8) << 4
    }

    /// The options of such a byte.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub const fn from_byte(byte: u8) -> Result<SubscribeOptions, MqttError> {
        if byte & 0xc0 != 0 {
            return Err(MqttError::SubscribeOptions);
        }
        let retain_handling = match byte >> 4 & 3 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(MqttError::SubscribeValues),
        };
        let Some(qos) = QoS::from_bits(byte & 3) else { return Err(MqttError::SubscribeValues) };
        let (no_local, retain_as_published) = (byte & 4 != 0, byte & 8 != 0);
        Ok(SubscribeOptions { qos, no_local, retain_as_published, retain_handling })
    }
}

/// The filters of a SUBSCRIBE, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Filters<'b>(List<'b, Subscription<'b>>);

/// The filters of an UNSUBSCRIBE, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Names<'b>(List<'b, Filter<'b>>);

/// What came, or what is to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum List<'b, T> {
    Bytes(&'b [u8]),
    Slice(&'b [T]),
}

impl<'b> Filters<'b> {
    /// Those to send.
    pub const fn new(filters: &'b [Subscription<'b>]) -> Filters<'b> {
        Filters(List::Slice(filters))
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = Subscription<'b>> {
        let (bytes, mut slice) = match self.0 {
            List::Bytes(bytes) => (bytes, [].iter()),
            List::Slice(slice) => (&[][..], slice.iter()),
        };
        let mut reader = Reader::new(bytes, Kind::Subscribe);
        core::iter::from_fn(move || match slice.next() {
            Some(subscription) => Some(*subscription),
            None => {
                let filter = Filter::parse(reader.binary().ok()?, usize::MAX).ok()?;
                let options = SubscribeOptions::from_byte(reader.u8().ok()?).ok()?;
                Some(Subscription { filter, options })
            }
        })
    }
}

impl<'b> Names<'b> {
    /// Those to send.
    pub const fn new(filters: &'b [Filter<'b>]) -> Names<'b> {
        Names(List::Slice(filters))
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = Filter<'b>> {
        let (bytes, mut slice) = match self.0 {
            List::Bytes(bytes) => (bytes, [].iter()),
            List::Slice(slice) => (&[][..], slice.iter()),
        };
        let mut reader = Reader::new(bytes, Kind::Unsubscribe);
        core::iter::from_fn(move || match slice.next() {
            Some(filter) => Some(*filter),
            None => Filter::parse(reader.binary().ok()?, usize::MAX).ok(),
        })
    }
}

impl<'b> Subscribe<'b> {
    pub(super) fn parse(reader: &mut Reader<'b>, rules: &Rules) -> Result<Subscribe<'b>, MqttError> {
        let id = reader.packet_id()?;
        let properties = Properties::parse(reader, Place::Packet(Kind::Subscribe), rules)?;
        if reader.is_empty() {
            return Err(MqttError::NoFilters(Kind::Subscribe));
        }
        let filters = Filters(List::Bytes(reader.rest()));
        let List::Bytes(bytes) = filters.0 else { return Ok(Subscribe { id, properties, filters }) };
        let mut reader = Reader::new(bytes, Kind::Subscribe);
        while !reader.is_empty() {
            let filter = Filter::parse(reader.binary()?, rules.topic_levels_max)?;
            let byte = reader.u8()?;
            // [MQTT-3.8.3-4] of 3.1.1: nothing but the QoS.
            if !rules.is_v5() && byte > 2 {
                return Err(MqttError::SubscribeOptions);
            }
            if SubscribeOptions::from_byte(byte)?.no_local && filter.group().is_some() {
                return Err(MqttError::SharedNoLocal);
            }
        }
        Ok(Subscribe { id, properties, filters })
    }

    pub(super) fn check(&self, version: Version) -> Result<(), EncodeError> {
        let mut filters = self.filters.iter().peekable();
        if filters.peek().is_none() {
            return Err(EncodeError::Invalid);
        }
        for Subscription { filter, options } in filters {
            let v311 = version == Version::V311 && options.to_byte() > 2;
            if v311 || options.no_local && filter.group().is_some() {
                return Err(EncodeError::Invalid);
            }
        }
        self.properties.check(Place::Packet(Kind::Subscribe), Side::Client, version)
    }
}

impl Body for (Version, &Subscribe<'_>) {
    fn put_body<P: Put + ?Sized>(&self, out: &mut P) {
        let (version, subscribe) = *self;
        put_id(out, subscribe.id);
        subscribe.properties.put(version, out);
        for Subscription { filter, options } in subscribe.filters.iter() {
            put_binary(out, filter.as_str().as_bytes());
            out.put(&[options.to_byte()]);
        }
    }
}

impl<'b> Unsubscribe<'b> {
    pub(super) fn parse(reader: &mut Reader<'b>, rules: &Rules) -> Result<Unsubscribe<'b>, MqttError> {
        let id = reader.packet_id()?;
        let properties = Properties::parse(reader, Place::Packet(Kind::Unsubscribe), rules)?;
        if reader.is_empty() {
            return Err(MqttError::NoFilters(Kind::Unsubscribe));
        }
        let bytes = reader.rest();
        let mut reader = Reader::new(bytes, Kind::Unsubscribe);
        while !reader.is_empty() {
            Filter::parse(reader.binary()?, rules.topic_levels_max)?;
        }
        Ok(Unsubscribe { id, properties, filters: Names(List::Bytes(bytes)) })
    }

    pub(super) fn check(&self, version: Version) -> Result<(), EncodeError> {
        if self.filters.iter().next().is_none() {
            return Err(EncodeError::Invalid);
        }
        self.properties.check(Place::Packet(Kind::Unsubscribe), Side::Client, version)
    }
}

impl Body for (Version, &Unsubscribe<'_>) {
    fn put_body<P: Put + ?Sized>(&self, out: &mut P) {
        let (version, unsubscribe) = *self;
        put_id(out, unsubscribe.id);
        unsubscribe.properties.put(version, out);
        for filter in unsubscribe.filters.iter() {
            put_binary(out, filter.as_str().as_bytes());
        }
    }
}

/// What became of each filter, in the order they stood in ([MQTT-3.9.3-1], [MQTT-3.11.3-1]): SUBACK, and UNSUBACK,
/// which in 3.1.1 says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Suback<'b> {
    /// The one of SUBSCRIBE or UNSUBSCRIBE.
    pub id: PacketId,
    /// Of version 5.
    pub properties: Properties<'b>,
    /// One for each filter; none in an UNSUBACK of 3.1.1. In a SUBACK of 3.1.1 every error is 0x80
    /// ([MQTT-3.9.3-2] of 3.1.1).
    pub reasons: Reasons<'b>,
}

/// The reasons of a SUBACK or UNSUBACK, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reasons<'b>(List<'b, Reason>);

impl<'b> Reasons<'b> {
    /// Those to send.
    pub const fn new(reasons: &'b [Reason]) -> Reasons<'b> {
        Reasons(List::Slice(reasons))
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = Reason> {
        let (bytes, slice) = match self.0 {
            List::Bytes(bytes) => (bytes, &[][..]),
            List::Slice(slice) => (&[][..], slice),
        };
        bytes.iter().filter_map(|code| Reason::from_code(*code)).chain(slice.iter().copied())
    }
}

impl<'b> Suback<'b> {
    pub(super) fn parse(reader: &mut Reader<'b>, rules: &Rules) -> Result<Suback<'b>, MqttError> {
        let (kind, id) = (reader.kind(), reader.packet_id()?);
        let properties = Properties::parse(reader, Place::Packet(kind), rules)?;
        if kind == Kind::Unsuback && !rules.is_v5() {
            reader.end()?;
        } else if reader.is_empty() {
            return Err(MqttError::Truncated(kind));
        }
        let codes = reader.rest();
        for &code in codes {
            let v311 = rules.is_v5() || matches!(code, 0..=2 | 0x80);
            let reason = Reason::from_code(code).filter(|it| it.is_allowed(kind, Side::Server));
            if !v311 || reason.is_none() {
                return Err(MqttError::ReasonCode(kind, code));
            }
        }
        Ok(Suback { id, properties, reasons: Reasons(List::Bytes(codes)) })
    }

    pub(super) fn check(&self, kind: Kind, version: Version) -> Result<(), EncodeError> {
        let wordless = kind == Kind::Unsuback && version == Version::V311;
        let allowed = self.reasons.iter().all(|reason| reason.is_allowed(kind, Side::Server));
        if !allowed || !wordless && self.reasons.iter().next().is_none() {
            return Err(EncodeError::Invalid);
        }
        self.properties.check(Place::Packet(kind), Side::Server, version)
    }
}

impl Body for (Kind, Version, &Suback<'_>) {
    fn put_body<P: Put + ?Sized>(&self, out: &mut P) {
        let (kind, version, suback) = *self;
        put_id(out, suback.id);
        suback.properties.put(version, out);
        if kind == Kind::Unsuback && version == Version::V311 {
            return;
        }
        for reason in suback.reasons.iter() {
            let failed = version == Version::V311 && reason.is_error();
            out.put(&[if failed { Reason::UnspecifiedError.code() } else { reason.code() }]);
        }
    }
}

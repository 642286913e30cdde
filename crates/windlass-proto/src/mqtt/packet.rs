//! What travels: packets, their kinds, and the words both versions share.

use core::num::NonZeroU16;

use super::{Ack, Auth, Connack, Connect, Disconnect, Publish, Suback, Subscribe, Unsubscribe};

/// A version of the protocol, as the protocol level of CONNECT says it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Version {
    /// MQTT 3.1.1: level 4.
    V311,
    /// MQTT 5.0: level 5.
    V5,
}

impl Version {
    /// The protocol level.
    #[inline]
    pub const fn level(self) -> u8 {
        match self {
            Version::V311 => 4,
            Version::V5 => 5,
        }
    }

    /// The version of a protocol level, if it is one of the two.
    #[inline]
    pub const fn from_level(level: u8) -> Option<Version> {
        match level {
            4 => Some(Version::V311),
            5 => Some(Version::V5),
            _ => None,
        }
    }
}

/// An end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// The end that sends CONNECT.
    Client,
    /// The end that answers it.
    Server,
}

impl Side {
    /// The other end.
    #[inline]
    pub const fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// How a message is delivered (section 4.3 of both versions).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum QoS {
    /// At most once: not acknowledged.
    #[default]
    AtMostOnce = 0,
    /// At least once: PUBACK.
    AtLeastOnce = 1,
    /// Exactly once: PUBREC, PUBREL, PUBCOMP.
    ExactlyOnce = 2,
}

impl QoS {
    /// The level of two bits; `None` for 3, which is none ([MQTT-3.3.1-4]).
    #[inline]
    pub const fn from_bits(bits: u8) -> Option<QoS> {
        match bits {
            0 => Some(QoS::AtMostOnce),
            1 => Some(QoS::AtLeastOnce),
            2 => Some(QoS::ExactlyOnce),
            _ => None,
        }
    }
}

/// A packet identifier: never zero ([MQTT-2.3.1-1], [MQTT-2.2.1-3]).
pub type PacketId = NonZeroU16;

/// The type of a packet, as the upper half of its first byte says it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the names of the specifications")]
pub enum Kind {
    Connect = 1,
    Connack = 2,
    Publish = 3,
    Puback = 4,
    Pubrec = 5,
    Pubrel = 6,
    Pubcomp = 7,
    Subscribe = 8,
    Suback = 9,
    Unsubscribe = 10,
    Unsuback = 11,
    Pingreq = 12,
    Pingresp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl Kind {
    /// The kind of the upper half of a first byte; `None` for 0, which is reserved.
    #[inline]
    pub(super) const fn from_first(first: u8) -> Option<Kind> {
        Some(match first >> 4 {
            1 => Kind::Connect,
            2 => Kind::Connack,
            3 => Kind::Publish,
            4 => Kind::Puback,
            5 => Kind::Pubrec,
            6 => Kind::Pubrel,
            7 => Kind::Pubcomp,
            8 => Kind::Subscribe,
            9 => Kind::Suback,
            10 => Kind::Unsubscribe,
            11 => Kind::Unsuback,
            12 => Kind::Pingreq,
            13 => Kind::Pingresp,
            14 => Kind::Disconnect,
            15 => Kind::Auth,
            _ => return None,
        })
    }

    /// The first byte of every packet of this kind but PUBLISH, whose flags vary: [MQTT-2.2.2-1],
    /// [MQTT-2.1.3-1] and their like for single packets.
    #[inline]
    pub(super) const fn first(self) -> u8 {
        let flags = match self {
            Kind::Pubrel | Kind::Subscribe | Kind::Unsubscribe => 2,
            _ => 0,
        };
        (self as u8) << 4 | flags
    }

    /// Whether this end may send it at all (tables 2.1 of both versions).
    #[inline]
    pub(super) const fn is_sent_by(self, side: Side) -> bool {
        match self {
            Kind::Connect | Kind::Subscribe | Kind::Unsubscribe | Kind::Pingreq => {
                matches!(side, Side::Client)
            }
            Kind::Connack | Kind::Suback | Kind::Unsuback | Kind::Pingresp => matches!(side, Side::Server),
            _ => true,
        }
    }

    /// The name in the specifications: `PUBLISH`.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Connect => "CONNECT",
            Kind::Connack => "CONNACK",
            Kind::Publish => "PUBLISH",
            Kind::Puback => "PUBACK",
            Kind::Pubrec => "PUBREC",
            Kind::Pubrel => "PUBREL",
            Kind::Pubcomp => "PUBCOMP",
            Kind::Subscribe => "SUBSCRIBE",
            Kind::Suback => "SUBACK",
            Kind::Unsubscribe => "UNSUBSCRIBE",
            Kind::Unsuback => "UNSUBACK",
            Kind::Pingreq => "PINGREQ",
            Kind::Pingresp => "PINGRESP",
            Kind::Disconnect => "DISCONNECT",
            Kind::Auth => "AUTH",
        }
    }
}

/// One packet, as a view of the bytes it came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Packet<'b> {
    /// A client asks to be served (section 3.1).
    Connect(Connect<'b>),
    /// The server's answer (section 3.2).
    Connack(Connack<'b>),
    /// A message (section 3.3).
    Publish(Publish<'b>),
    /// The answer to a message of QoS 1 (section 3.4).
    Puback(Ack<'b>),
    /// The first answer to a message of QoS 2 (section 3.5).
    Pubrec(Ack<'b>),
    /// The sender's answer to PUBREC (section 3.6).
    Pubrel(Ack<'b>),
    /// The last word on a message of QoS 2 (section 3.7).
    Pubcomp(Ack<'b>),
    /// Filters a client wants messages of (section 3.8).
    Subscribe(Subscribe<'b>),
    /// What became of each of them (section 3.9).
    Suback(Suback<'b>),
    /// Filters a client wants no more messages of (section 3.10).
    Unsubscribe(Unsubscribe<'b>),
    /// What became of each of them; in 3.1.1 without codes (section 3.11).
    Unsuback(Suback<'b>),
    /// Are you there (section 3.12)?
    Pingreq,
    /// Yes (section 3.13).
    Pingresp,
    /// The last packet of an end, and why (section 3.14).
    Disconnect(Disconnect<'b>),
    /// A step of an authentication, in version 5 only (section 3.15).
    Auth(Auth<'b>),
}

impl Packet<'_> {
    /// Which kind it is.
    #[inline]
    pub const fn kind(&self) -> Kind {
        match self {
            Packet::Connect(_) => Kind::Connect,
            Packet::Connack(_) => Kind::Connack,
            Packet::Publish(_) => Kind::Publish,
            Packet::Puback(_) => Kind::Puback,
            Packet::Pubrec(_) => Kind::Pubrec,
            Packet::Pubrel(_) => Kind::Pubrel,
            Packet::Pubcomp(_) => Kind::Pubcomp,
            Packet::Subscribe(_) => Kind::Subscribe,
            Packet::Suback(_) => Kind::Suback,
            Packet::Unsubscribe(_) => Kind::Unsubscribe,
            Packet::Unsuback(_) => Kind::Unsuback,
            Packet::Pingreq => Kind::Pingreq,
            Packet::Pingresp => Kind::Pingresp,
            Packet::Disconnect(_) => Kind::Disconnect,
            Packet::Auth(_) => Kind::Auth,
        }
    }
}

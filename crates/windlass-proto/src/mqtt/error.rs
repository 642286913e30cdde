//! What a peer can do wrong, and the reason code that answers it.

use core::error::Error;
use core::fmt;

use super::{Kind, Reason, TopicError};

/// Whose kind of mistake it is (section 4.13 of version 5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// The bytes are no packet: they cannot be read as the specification says.
    Malformed,
    /// They are one that may not be sent, or not now.
    Protocol,
    /// They are one that this end does not take: over a limit, or not supported.
    Refused,
}

/// How a peer broke the protocol, or a limit. The connection ends with it ([MQTT-4.8.0-1] of 3.1.1, section 4.13
/// of 5.0); in version 5, [`reason`](MqttError::reason) may be said before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum MqttError {
    /// A type that is reserved, or AUTH in 3.1.1 (table 2.1).
    PacketType,
    /// Flags of the fixed header that are not the ones of this type ([MQTT-2.2.2-2], [MQTT-2.1.3-1]).
    Flags(Kind),
    /// A remaining length of more than four bytes; in version 5, of more bytes than it needs as well
    /// (section 2.2.3 of 3.1.1, [MQTT-1.5.5-1]).
    RemainingLength,
    /// The same of another variable byte integer ([MQTT-1.5.5-1]).
    Integer(Kind),
    /// A packet longer than [`Limits::packet_max`](super::Limits::packet_max), or a CONNECT longer than
    /// [`Limits::connect_max`](super::Limits::connect_max).
    PacketTooLarge,
    /// A packet that this peer may not send, or not now: anything but CONNECT first, a second CONNECT
    /// ([MQTT-3.1.0-1], [MQTT-3.1.0-2]), anything but CONNACK from a server first ([MQTT-3.2.0-1]).
    Unexpected(Kind),
    /// The connection ends inside a packet.
    Cut,
    /// The packet ends inside a field.
    Truncated(Kind),
    /// The packet goes on behind its last field.
    Trailing(Kind),
    /// A string that is not well-formed UTF-8 ([MQTT-1.5.3-1], [MQTT-1.5.4-1]).
    Utf8,
    /// A string with U+0000 in it ([MQTT-1.5.3-2], [MQTT-1.5.4-2]).
    Null,
    /// CONNECT names another protocol ([MQTT-3.1.2-1]).
    ProtocolName,
    /// CONNECT names a level that is neither 4 nor 5 ([MQTT-3.1.2-2]).
    ProtocolLevel(u8),
    /// Connect flags that contradict each other, or the reserved one: [MQTT-3.1.2-3], [MQTT-3.1.2-11],
    /// [MQTT-3.1.2-13] to [MQTT-3.1.2-15], [MQTT-3.1.2-22] of 3.1.1.
    ConnectFlags,
    /// No client identifier, and a session that should outlive the connection ([MQTT-3.1.3-8] of 3.1.1).
    ClientId,
    /// Both bits of a QoS set ([MQTT-3.3.1-4]).
    QoS,
    /// DUP set on a message of QoS 0 ([MQTT-3.3.1-2]).
    Dup,
    /// A packet identifier of zero ([MQTT-2.3.1-1], [MQTT-2.2.1-3]).
    PacketId,
    /// A topic that is none, where one must be ([MQTT-3.3.2-2], [MQTT-4.7.3-1]).
    Topic(TopicError),
    /// No topic, and no alias that stands for one (section 3.3.2.1 of 5.0; [MQTT-4.7.3-1] of 3.1.1).
    NoTopic,
    /// A topic alias of zero, or over the maximum ([MQTT-3.3.2-8], [MQTT-3.3.2-9], section 3.3.2.3.4).
    TopicAlias,
    /// Topics behind aliases that take more than their share of memory.
    TopicAliasBytes,
    /// A filter that is none ([MQTT-4.7.1-2], [MQTT-4.7.1-3], [MQTT-4.8.2-1], [MQTT-4.8.2-2]).
    Filter(TopicError),
    /// SUBSCRIBE or UNSUBSCRIBE without a filter ([MQTT-3.8.3-3], [MQTT-3.10.3-2]).
    NoFilters(Kind),
    /// Reserved bits of a subscription's options ([MQTT-3.8.3-4] of 3.1.1, [MQTT-3.8.3-5]).
    SubscribeOptions,
    /// A QoS or a retain handling of 3 in them (section 3.8.3.1).
    SubscribeValues,
    /// No Local on a shared subscription ([MQTT-3.8.3-4] of 5.0).
    SharedNoLocal,
    /// A reason code that there is not, or that this packet may not carry ([`Reason::is_allowed`]).
    ReasonCode(Kind, u8),
    /// A property that there is not, or that this packet may not carry (section 2.2.2.2).
    PropertyUnknown(u8),
    /// A property that stands twice (sections 3.x.2: "it is a Protocol Error to include .. more than once").
    PropertyTwice(u8),
    /// A property whose value may not be: zero where it may not be, or other than 0 and 1.
    PropertyValue(u8),
    /// A property that this end may not send ([MQTT-3.3.4-6], [MQTT-3.14.2-2]).
    PropertyFrom(u8),
    /// More user properties than [`Limits::user_properties_max`](super::Limits::user_properties_max).
    UserProperties,
    /// Authentication data, or a step of an authentication, without a method (sections 3.1.2.11.10, 3.15.2.2.2).
    AuthenticationMethod,
    /// Reserved bits of CONNACK, or a session that is present though the connection is refused ([MQTT-3.2.2-1],
    /// [MQTT-3.2.2-4] of 3.1.1, [MQTT-3.2.2-6]).
    ConnackFlags,
    /// More messages of QoS 1 and 2 than the receive maximum ([MQTT-3.3.4-7], [MQTT-3.3.4-9]).
    ReceiveMaximum,
    /// A new message under a packet identifier in use ([MQTT-2.3.1-2], [MQTT-2.2.1-3]).
    PacketIdInUse,
}

impl MqttError {
    /// A short stable name, fit for a metric's label.
    pub const fn label(&self) -> &'static str {
        match self {
            MqttError::PacketType => "packet_type",
            MqttError::Flags(_) => "flags",
            MqttError::RemainingLength => "remaining_length",
            MqttError::Integer(_) => "integer",
            MqttError::PacketTooLarge => "packet_too_large",
            MqttError::Unexpected(_) => "unexpected_packet",
            MqttError::Cut => "cut",
            MqttError::Truncated(_) => "truncated",
            MqttError::Trailing(_) => "trailing",
            MqttError::Utf8 => "utf8",
            MqttError::Null => "null",
            MqttError::ProtocolName => "protocol_name",
            MqttError::ProtocolLevel(_) => "protocol_level",
            MqttError::ConnectFlags => "connect_flags",
            MqttError::ClientId => "client_id",
            MqttError::QoS => "qos",
            MqttError::Dup => "dup",
            MqttError::PacketId => "packet_id",
            MqttError::Topic(_) => "topic",
            MqttError::NoTopic => "no_topic",
            MqttError::TopicAlias => "topic_alias",
            MqttError::TopicAliasBytes => "topic_alias_bytes",
            MqttError::Filter(_) => "filter",
            MqttError::NoFilters(_) => "no_filters",
            MqttError::SubscribeOptions => "subscribe_options",
            MqttError::SubscribeValues => "subscribe_values",
            MqttError::SharedNoLocal => "shared_no_local",
            MqttError::ReasonCode(..) => "reason_code",
            MqttError::PropertyUnknown(_) => "property_unknown",
            MqttError::PropertyTwice(_) => "property_twice",
            MqttError::PropertyValue(_) => "property_value",
            MqttError::PropertyFrom(_) => "property_from",
            MqttError::UserProperties => "user_properties",
            MqttError::AuthenticationMethod => "authentication_method",
            MqttError::ConnackFlags => "connack_flags",
            MqttError::ReceiveMaximum => "receive_maximum",
            MqttError::PacketIdInUse => "packet_id_in_use",
        }
    }

    /// The reason code that says it: in CONNACK or DISCONNECT of version 5, before the connection is closed.
    pub const fn reason(&self) -> Reason {
        match self {
            MqttError::PacketTooLarge => Reason::PacketTooLarge,
            MqttError::ProtocolName | MqttError::ProtocolLevel(_) => Reason::UnsupportedProtocolVersion,
            MqttError::ClientId => Reason::ClientIdentifierNotValid,
            MqttError::Topic(TopicError::TooDeep) => Reason::TopicNameInvalid,
            MqttError::Filter(TopicError::TooDeep) => Reason::TopicFilterInvalid,
            MqttError::TopicAlias => Reason::TopicAliasInvalid,
            MqttError::UserProperties | MqttError::TopicAliasBytes => Reason::QuotaExceeded,
            MqttError::ReceiveMaximum => Reason::ReceiveMaximumExceeded,
            MqttError::PacketType
            | MqttError::Flags(_)
            | MqttError::RemainingLength
            | MqttError::Integer(_)
            | MqttError::Cut
            | MqttError::Truncated(_)
            | MqttError::Trailing(_)
            | MqttError::Utf8
            | MqttError::Null
            | MqttError::ConnectFlags
            | MqttError::QoS
            | MqttError::Dup
            | MqttError::Topic(_)
            | MqttError::Filter(_)
            | MqttError::SubscribeOptions
            | MqttError::PropertyUnknown(_)
            | MqttError::ConnackFlags => Reason::MalformedPacket,
            MqttError::Unexpected(_)
            | MqttError::PacketId
            | MqttError::NoTopic
            | MqttError::NoFilters(_)
            | MqttError::SubscribeValues
            | MqttError::SharedNoLocal
            | MqttError::ReasonCode(..)
            | MqttError::PropertyTwice(_)
            | MqttError::PropertyValue(_)
            | MqttError::PropertyFrom(_)
            | MqttError::AuthenticationMethod
            | MqttError::PacketIdInUse => Reason::ProtocolError,
        }
    }

    /// Whose kind of mistake it is.
    pub const fn fault(&self) -> Fault {
        match self.reason() {
            Reason::MalformedPacket => Fault::Malformed,
            Reason::ProtocolError | Reason::TopicAliasInvalid | Reason::ReceiveMaximumExceeded => {
                Fault::Protocol
            }
            _ => Fault::Refused,
        }
    }
}

impl fmt::Display for MqttError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MqttError::PacketType => f.write_str("a packet of a type there is not"),
            MqttError::Flags(kind) => write!(f, "{} with flags it does not have", kind.name()),
            MqttError::RemainingLength => f.write_str("a remaining length that is none"),
            MqttError::Integer(kind) => write!(f, "{} with an integer that is none", kind.name()),
            MqttError::PacketTooLarge => f.write_str("a packet longer than allowed"),
            MqttError::Unexpected(kind) => write!(f, "{} may not come here", kind.name()),
            MqttError::Cut => f.write_str("the end inside a packet"),
            MqttError::Truncated(kind) => write!(f, "{} ends inside a field", kind.name()),
            MqttError::Trailing(kind) => write!(f, "{} goes on behind its last field", kind.name()),
            MqttError::Utf8 => f.write_str("a string that is not UTF-8"),
            MqttError::Null => f.write_str("a string with U+0000 in it"),
            MqttError::ProtocolName => f.write_str("CONNECT of another protocol"),
            MqttError::ProtocolLevel(level) => write!(f, "CONNECT of protocol level {level}"),
            MqttError::ConnectFlags => f.write_str("CONNECT with flags that contradict each other"),
            MqttError::ClientId => f.write_str("no client identifier for a session that is kept"),
            MqttError::QoS => f.write_str("a QoS of 3"),
            MqttError::Dup => f.write_str("DUP on a message of QoS 0"),
            MqttError::PacketId => f.write_str("a packet identifier of zero"),
            MqttError::Topic(error) => write!(f, "a topic name that {error}"),
            MqttError::NoTopic => f.write_str("a message without a topic"),
            MqttError::TopicAlias => f.write_str("a topic alias that may not be"),
            MqttError::TopicAliasBytes => f.write_str("topic aliases for too many bytes of topics"),
            MqttError::Filter(error) => write!(f, "a topic filter that {error}"),
            MqttError::NoFilters(kind) => write!(f, "{} without a topic filter", kind.name()),
            MqttError::SubscribeOptions => f.write_str("subscription options with reserved bits"),
            MqttError::SubscribeValues => f.write_str("subscription options with a value of 3"),
            MqttError::SharedNoLocal => f.write_str("a shared subscription that is not to be local"),
            MqttError::ReasonCode(kind, code) => write!(f, "{} with reason code 0x{code:02x}", kind.name()),
            MqttError::PropertyUnknown(id) => write!(f, "property 0x{id:02x}, which may not stand there"),
            MqttError::PropertyTwice(id) => write!(f, "property 0x{id:02x} twice"),
            MqttError::PropertyValue(id) => write!(f, "property 0x{id:02x} with a value it may not have"),
            MqttError::PropertyFrom(id) => write!(f, "property 0x{id:02x}, which this end may not send"),
            MqttError::UserProperties => f.write_str("more user properties than allowed"),
            MqttError::AuthenticationMethod => f.write_str("an authentication without a method"),
            MqttError::ConnackFlags => f.write_str("CONNACK with flags it may not have"),
            MqttError::ReceiveMaximum => f.write_str("more messages than the receive maximum"),
            MqttError::PacketIdInUse => f.write_str("a new message under a packet identifier in use"),
        }
    }
}

impl Error for MqttError {}

//! Reason codes: how something went.

use super::{Kind, Side, Version};

macro_rules! reasons {
    ($($code:literal $name:ident $text:literal,)*) => {
        /// A reason code of version 5 (section 2.4), and what stands for the return codes of 3.1.1.
        ///
        /// Code 0 is also called normal disconnection (in DISCONNECT) and granted QoS 0 (in SUBACK).
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Reason {
            $(#[doc = concat!("`", stringify!($code), "` ", $text, ".")] $name = $code,)*
        }

        impl Reason {
            /// The reason of a code, if the specification has it.
            pub const fn from_code(code: u8) -> Option<Reason> {
                match code {
                    $($code => Some(Reason::$name),)*
                    _ => None,
                }
            }

            /// The name in the specification.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Reason::$name => $text,)*
                }
            }
        }
    };
}

reasons! {
    0x00 Success "Success",
    0x01 GrantedQos1 "Granted QoS 1",
    0x02 GrantedQos2 "Granted QoS 2",
    0x04 DisconnectWithWill "Disconnect with Will Message",
    0x10 NoMatchingSubscribers "No matching subscribers",
    0x11 NoSubscriptionExisted "No subscription existed",
    0x18 ContinueAuthentication "Continue authentication",
    0x19 ReAuthenticate "Re-authenticate",
    0x80 UnspecifiedError "Unspecified error",
    0x81 MalformedPacket "Malformed Packet",
    0x82 ProtocolError "Protocol Error",
    0x83 ImplementationSpecificError "Implementation specific error",
    0x84 UnsupportedProtocolVersion "Unsupported Protocol Version",
    0x85 ClientIdentifierNotValid "Client Identifier not valid",
    0x86 BadUserNameOrPassword "Bad User Name or Password",
    0x87 NotAuthorized "Not authorized",
    0x88 ServerUnavailable "Server unavailable",
    0x89 ServerBusy "Server busy",
    0x8a Banned "Banned",
    0x8b ServerShuttingDown "Server shutting down",
    0x8c BadAuthenticationMethod "Bad authentication method",
    0x8d KeepAliveTimeout "Keep Alive timeout",
    0x8e SessionTakenOver "Session taken over",
    0x8f TopicFilterInvalid "Topic Filter invalid",
    0x90 TopicNameInvalid "Topic Name invalid",
    0x91 PacketIdentifierInUse "Packet Identifier in use",
    0x92 PacketIdentifierNotFound "Packet Identifier not found",
    0x93 ReceiveMaximumExceeded "Receive Maximum exceeded",
    0x94 TopicAliasInvalid "Topic Alias invalid",
    0x95 PacketTooLarge "Packet too large",
    0x96 MessageRateTooHigh "Message rate too high",
    0x97 QuotaExceeded "Quota exceeded",
    0x98 AdministrativeAction "Administrative action",
    0x99 PayloadFormatInvalid "Payload format invalid",
    0x9a RetainNotSupported "Retain not supported",
    0x9b QosNotSupported "QoS not supported",
    0x9c UseAnotherServer "Use another server",
    0x9d ServerMoved "Server moved",
    0x9e SharedSubscriptionsNotSupported "Shared Subscriptions not supported",
    0x9f ConnectionRateExceeded "Connection rate exceeded",
    0xa0 MaximumConnectTime "Maximum connect time",
    0xa1 SubscriptionIdentifiersNotSupported "Subscription Identifiers not supported",
    0xa2 WildcardSubscriptionsNotSupported "Wildcard Subscriptions not supported",
}

impl Reason {
    /// Its code.
    #[inline]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Whether something failed: codes of 0x80 and more.
    #[inline]
    pub const fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// Whether a packet of this kind may carry it, sent by this end of version 5: the table of section 2.4,
    /// and those of single packets ([MQTT-3.2.2-8], [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1],
    /// [MQTT-3.7.2-1], [MQTT-3.9.3-2], [MQTT-3.11.3-2], [MQTT-3.14.2-1], [MQTT-3.15.2-1]).
    pub const fn is_allowed(self, kind: Kind, from: Side) -> bool {
        let code = self as u8;
        let server = matches!(from, Side::Server);
        match kind {
            Kind::Connack => {
                matches!(code, 0 | 0x80..=0x8a | 0x8c | 0x90 | 0x95 | 0x97 | 0x99..=0x9d | 0x9f)
            }
            Kind::Puback | Kind::Pubrec => {
                matches!(code, 0 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99)
            }
            Kind::Pubrel | Kind::Pubcomp => matches!(code, 0 | 0x92),
            Kind::Suback => {
                matches!(code, 0..=2 | 0x80 | 0x83 | 0x87 | 0x8f | 0x91 | 0x97 | 0x9e | 0xa1 | 0xa2)
            }
            Kind::Unsuback => matches!(code, 0 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8f | 0x91),
            Kind::Disconnect => match code {
                0 | 0x80..=0x83 | 0x90 | 0x93..=0x99 => true,
                4 => !server,
                // 0x8c is in the table of section 2.4 alone.
                0x87 | 0x89 | 0x8b..=0x8f | 0x9a..=0xa2 => server,
                _ => false,
            },
            Kind::Auth => match code {
                0 => server,
                0x18 => true,
                0x19 => !server,
                _ => false,
            },
            _ => false,
        }
    }

    /// The return code of a CONNACK of 3.1.1 (table 3.1). `None` where it has none: the connection is closed
    /// without a CONNACK then ([MQTT-3.2.2-6] of 3.1.1).
    pub const fn connack_code(self, version: Version) -> Option<u8> {
        match (version, self) {
            (Version::V5, _) => Some(self as u8),
            (Version::V311, Reason::Success) => Some(0),
            (Version::V311, Reason::UnsupportedProtocolVersion) => Some(1),
            (Version::V311, Reason::ClientIdentifierNotValid) => Some(2),
            (
                Version::V311,
                Reason::ServerUnavailable
                | Reason::ServerBusy
                | Reason::ServerShuttingDown
                | Reason::QuotaExceeded
                | Reason::UseAnotherServer
                | Reason::ServerMoved
                | Reason::ConnectionRateExceeded,
            ) => Some(3),
            (Version::V311, Reason::BadUserNameOrPassword) => Some(4),
            (Version::V311, Reason::NotAuthorized | Reason::Banned | Reason::BadAuthenticationMethod) => {
                Some(5)
            }
            (Version::V311, _) => None,
        }
    }

    /// The reason that stands for a return code of a CONNACK of 3.1.1.
    pub(super) const fn from_connack_311(code: u8) -> Option<Reason> {
        match code {
            0 => Some(Reason::Success),
            1 => Some(Reason::UnsupportedProtocolVersion),
            2 => Some(Reason::ClientIdentifierNotValid),
            3 => Some(Reason::ServerUnavailable),
            4 => Some(Reason::BadUserNameOrPassword),
            5 => Some(Reason::NotAuthorized),
            _ => None,
        }
    }
}

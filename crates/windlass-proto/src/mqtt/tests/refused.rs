//! What is refused, and how it is answered. Every input goes through every split.

use super::*;
use MqttError as E;

#[track_caller]
fn refused(mqtt: &Mqtt, bytes: &[u8], error: MqttError, reason: Reason) {
    let seen = run(mqtt, bytes);
    assert_eq!(seen.error, Some(error), "b\"{}\" gave {:?}", bytes.escape_ascii(), seen.messages);
    assert_eq!(error.reason(), reason, "{error}");
}

/// A CONNECT with these bytes behind the fixed header.
fn connect(body: &[u8]) -> Vec<u8> {
    [&[0x10, body.len() as u8], body].concat()
}

const MALFORMED: Reason = Reason::MalformedPacket;
const PROTOCOL: Reason = Reason::ProtocolError;

/// [MQTT-2.2.2-1], [MQTT-2.2.2-2], [MQTT-2.1.3-1], and for single packets [MQTT-3.6.1-1], [MQTT-3.8.1-1],
/// [MQTT-3.10.1-1], [MQTT-3.14.1-1], [MQTT-3.15.1-1]: every first byte there is.
#[test]
fn first_bytes() {
    for version in [Version::V311, Version::V5] {
        for first in 0..=255_u8 {
            let seen = run(&server(version), &[first]).error;
            let expected = match (first >> 4, first & 15) {
                (0, _) => Some(E::PacketType),
                (15, _) if version == Version::V311 => Some(E::PacketType),
                (1, _) => Some(E::Unexpected(Kind::Connect)),
                (2, _) => Some(E::Unexpected(Kind::Connack)),
                (9, _) => Some(E::Unexpected(Kind::Suback)),
                (11, _) => Some(E::Unexpected(Kind::Unsuback)),
                (13, _) => Some(E::Unexpected(Kind::Pingresp)),
                // [MQTT-3.3.1-4], [MQTT-3.3.1-2].
                (3, flags) if flags & 6 == 6 => Some(E::QoS),
                (3, flags) if flags & 14 == 8 => Some(E::Dup),
                (3, _) | (6 | 8 | 10, 2) | (4 | 5 | 7 | 12 | 14 | 15, 0) => None,
                (kind, _) => Some(E::Flags(Kind::from_first(kind << 4).unwrap())),
            };
            assert_eq!(seen, expected, "{first:#x} {version:?}");
        }
    }
    assert_eq!(E::Flags(Kind::Pubrel).reason(), MALFORMED);
    assert_eq!(E::QoS.reason(), MALFORMED);
    assert_eq!(E::Unexpected(Kind::Connack).fault(), Fault::Protocol);
}

/// [MQTT-3.1.0-1], and the limit of what comes before anybody is known (CVE-2023-0809, CVE-2021-28166).
#[test]
fn before_connect() {
    let new = Mqtt::server(Limits { connect_max: 100, ..Limits::default() });
    for first in (0x20..=0xff_u8).filter(|first| *first != 0x10) {
        let error = run(&new, &[first, 0xff, 0xff, 0xff, 0x7f]).error;
        assert_eq!(error, Some(E::Unexpected(Kind::from_first(first).unwrap())));
    }
    refused(&new, &[0x10, 99], E::PacketTooLarge, Reason::PacketTooLarge);
    refused(&new, b"\x10\xff\xff\xff\xff", E::RemainingLength, MALFORMED);
    let five = b"\x10\x80\x80\x80\x80\x01";
    refused(&new, five, E::RemainingLength, MALFORMED);
}

/// [MQTT-3.1.2-1] to [MQTT-3.1.2-3], [MQTT-3.1.4-1].
#[test]
fn bad_connects() {
    let new = Mqtt::server(Limits { topic_levels_max: 3, ..Limits::default() });
    let unsupported = Reason::UnsupportedProtocolVersion;
    for (body, error, reason) in [
        (&b"\0\x04MQTx\x04\x02\0\0\0\0"[..], E::ProtocolName, unsupported),
        (b"\0\x04mqtt\x04\x02\0\0\0\0", E::ProtocolName, unsupported),
        (b"\0\0\x04\x02\0\0\0\0", E::ProtocolName, unsupported),
        (b"\0\x06MQIsdp\x03\x02\0\0\0\0", E::ProtocolLevel(3), unsupported),
        (b"\0\x04MQTT\x03\x02\0\0\0\0", E::ProtocolLevel(3), unsupported),
        (b"\0\x04MQTT\x06\x02\0\0\0\0", E::ProtocolLevel(6), unsupported),
        (b"\0\x04MQTT\x84\x02\0\0\0\0", E::ProtocolLevel(0x84), unsupported),
        // The reserved flag; a will's QoS or RETAIN without a will; a will of QoS 3; a password without a name
        // ([MQTT-3.1.2-13], [MQTT-3.1.2-15], [MQTT-3.1.2-14], [MQTT-3.1.2-22] of 3.1.1).
        (b"\0\x04MQTT\x04\x03\0\0\0\0", E::ConnectFlags, MALFORMED),
        (b"\0\x04MQTT\x04\x0a\0\0\0\0", E::ConnectFlags, MALFORMED),
        (b"\0\x04MQTT\x04\x22\0\0\0\0", E::ConnectFlags, MALFORMED),
        (b"\0\x04MQTT\x04\x1e\0\0\0\0\0\x01t\0\0", E::ConnectFlags, MALFORMED),
        (b"\0\x04MQTT\x05\x1e\0\0\0\0\0\0\0\x01t\0\0", E::ConnectFlags, MALFORMED),
        (b"\0\x04MQTT\x04\x42\0\0\0\0\0\0", E::ConnectFlags, MALFORMED),
        // Fields that flags promise and that are not there, and some that no flag promises.
        (b"\0\x04MQTT\x04\x06\0\0\0\0", E::Truncated(Kind::Connect), MALFORMED),
        (b"\0\x04MQTT\x04\x06\0\0\0\0\0\x01t", E::Truncated(Kind::Connect), MALFORMED),
        (b"\0\x04MQTT\x04\x82\0\0\0\0", E::Truncated(Kind::Connect), MALFORMED),
        (b"\0\x04MQTT\x04\xc2\0\0\0\0\0\0", E::Truncated(Kind::Connect), MALFORMED),
        (b"\0\x04MQTT\x04\x02\0\0\0\0\0\0", E::Trailing(Kind::Connect), MALFORMED),
        // [MQTT-3.1.3-3]: no identifier at all.
        (b"\0\x04MQTT\x04\x02\0\0", E::Truncated(Kind::Connect), MALFORMED),
        (b"\0\x04MQ", E::Truncated(Kind::Connect), MALFORMED),
        (b"", E::Truncated(Kind::Connect), MALFORMED),
        // [MQTT-3.1.3-8] of 3.1.1.
        (b"\0\x04MQTT\x04\0\0\0\0\0", E::ClientId, Reason::ClientIdentifierNotValid),
        // [MQTT-3.1.3-4], [MQTT-3.1.3-10], [MQTT-3.1.3-11].
        (b"\0\x04MQTT\x04\x02\0\0\0\x01\xff", E::Utf8, MALFORMED),
        (b"\0\x04MQTT\x04\x02\0\0\0\x01\0", E::Null, MALFORMED),
        (b"\0\x04MQTT\x04\x06\0\0\0\0\0\x01\xff\0\0", E::Utf8, MALFORMED),
        (b"\0\x04MQTT\x04\x82\0\0\0\0\0\x01\xc0", E::Utf8, MALFORMED),
        // A will that nobody could be sent.
        (b"\0\x04MQTT\x04\x06\0\0\0\0\0\x01#\0\0", E::Topic(TopicError::Wildcard), MALFORMED),
        (b"\0\x04MQTT\x04\x06\0\0\0\0\0\0\0\0", E::Topic(TopicError::Empty), MALFORMED),
        (b"\0\x04MQTT\x04\x06\0\0\0\0\0\x03///\0\0", E::Topic(TopicError::TooDeep), Reason::TopicNameInvalid),
        // Properties.
        (b"\0\x04MQTT\x05\x02\0\0\x05\0\0", E::Truncated(Kind::Connect), MALFORMED),
        (b"\0\x04MQTT\x05\x02\0\0\x80\x80\x80\x80\0", E::Integer(Kind::Connect), MALFORMED),
        (b"\0\x04MQTT\x05\x02\0\0\x80\0\0\0", E::Integer(Kind::Connect), MALFORMED),
        (b"\0\x04MQTT\x05\x02\0\0\x03\x21\0\0\0\0", E::PropertyValue(0x21), PROTOCOL),
        (b"\0\x04MQTT\x05\x02\0\0\x04\x16\0\x01x\0\0", E::AuthenticationMethod, PROTOCOL),
        (b"\0\x04MQTT\x05\x06\0\0\0\0\0\x03\x21\0\x01\0\x01t\0\0", E::PropertyUnknown(0x21), MALFORMED),
    ] {
        refused(&new, &connect(body), error, reason);
    }
}

/// [MQTT-1.5.3-1], [MQTT-1.5.4-1]: surrogates, overlong forms, what ends early, what is above U+10FFFF; and
/// [MQTT-1.5.3-2], [MQTT-1.5.4-2].
#[test]
fn strings() {
    for text in [
        &b"\xed\xa0\x80"[..],
        b"\xed\xbf\xbf",
        b"\xc0\x80",
        b"\xe0\x80\xaf",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
        b"a\xff",
    ] {
        let publish = [&[0x30, 2 + text.len() as u8, 0, text.len() as u8], text].concat();
        refused(&server(Version::V311), &publish, E::Utf8, MALFORMED);
    }
    refused(&server(Version::V5), b"\x30\x05\0\x02a\0\0", E::Null, MALFORMED);
    // [MQTT-1.5.7-1]: both halves of a pair.
    refused(&server(Version::V5), b"\x30\x0b\0\x01a\x07\x26\0\x01\xff\0\x01b", E::Utf8, MALFORMED);
    refused(&server(Version::V5), b"\x30\x0b\0\x01a\x07\x26\0\x01b\0\x01\0", E::Null, MALFORMED);
    // [MQTT-3.3.2-13], [MQTT-3.3.2-19]: response topic and content type.
    refused(&server(Version::V5), b"\x30\x08\0\x01a\x04\x08\0\x01\xff", E::Utf8, MALFORMED);
    refused(&server(Version::V5), b"\x30\x08\0\x01a\x04\x03\0\x01\xff", E::Utf8, MALFORMED);
    // Control characters and non-characters are let through.
    assert_eq!(run(&server(Version::V311), b"\x30\x07\0\x05\x01\x7f\xef\xbf\xbf").error, None);
}

#[test]
fn bad_messages() {
    let (v311, v5) = (&server(Version::V311), &server(Version::V5));
    // [MQTT-3.3.2-2], [MQTT-4.7.1-1] of 3.1.1, [MQTT-4.7.0-1] of 5.0.
    refused(v311, b"\x30\x05\0\x03a/#", E::Topic(TopicError::Wildcard), MALFORMED);
    refused(v5, b"\x30\x06\0\x03+/b\0", E::Topic(TopicError::Wildcard), MALFORMED);
    // [MQTT-4.7.3-1] (CVE-2021-34432); section 3.3.2.1 of 5.0.
    refused(v311, b"\x30\x02\0\0", E::NoTopic, PROTOCOL);
    refused(v5, b"\x30\x03\0\0\0", E::NoTopic, PROTOCOL);
    // [MQTT-2.3.1-1], [MQTT-2.2.1-3].
    refused(v311, b"\x32\x05\0\x01a\0\0", E::PacketId, PROTOCOL);
    refused(v5, b"\x34\x06\0\x01a\0\0\0", E::PacketId, PROTOCOL);
    refused(v311, b"\x32\x04\0\x01a\0", E::Truncated(Kind::Publish), MALFORMED);
    refused(v311, b"\x30\x02\0\x01", E::Truncated(Kind::Publish), MALFORMED);
    refused(v311, b"\x30\0", E::Truncated(Kind::Publish), MALFORMED);
    refused(v5, b"\x30\x03\0\x01a", E::Truncated(Kind::Publish), MALFORMED);
    refused(v5, b"\x30\x04\0\x01a\x01", E::Truncated(Kind::Publish), MALFORMED);
    // [MQTT-3.3.2-8]; [MQTT-3.3.4-6]; [MQTT-3.3.2-14].
    refused(v5, b"\x30\x07\0\x01a\x03\x23\0\0", E::TopicAlias, Reason::TopicAliasInvalid);
    refused(v5, b"\x30\x06\0\x01a\x02\x0b\x01", E::PropertyFrom(0x0b), PROTOCOL);
    refused(v5, b"\x30\x08\0\x01a\x04\x08\0\x01#", E::Topic(TopicError::Wildcard), MALFORMED);
    refused(&client(Version::V5), b"\x30\x06\0\x01a\x02\x0b\0", E::PropertyValue(0x0b), PROTOCOL);
    let deep = Limits { topic_levels_max: 4, user_properties_max: 1, ..Limits::default() };
    let deep = &Mqtt::server(deep).connected(Version::V5, false);
    refused(deep, b"\x30\x07\0\x04////\0", E::Topic(TopicError::TooDeep), Reason::TopicNameInvalid);
    assert_eq!(run(deep, b"\x30\x06\0\x03///\0").error, None);
    let users = b"\x30\x0e\0\x01a\x0a\x26\0\0\0\0\x26\0\0\0\0";
    refused(deep, users, E::UserProperties, Reason::QuotaExceeded);
    assert_eq!(run(v5, users).error, None);
}

#[test]
fn too_large() {
    let small = Mqtt::server(Limits { packet_max: 10, ..Limits::default() }).connected(Version::V311, false);
    assert_eq!(run(&small, b"\x30\x08\0\x01a12345").error, None);
    // From the fixed header alone: nothing waits for a body that will not be taken.
    refused(&small, b"\x30\x09", E::PacketTooLarge, Reason::PacketTooLarge);
    refused(&small, b"\x30\xff\xff\xff\x7f", E::PacketTooLarge, Reason::PacketTooLarge);
    assert_eq!(E::PacketTooLarge.fault(), Fault::Refused);
}

#[test]
fn bad_acknowledgements() {
    let (v311, v5) = (&server(Version::V311), &server(Version::V5));
    for (first, kind) in
        [(0x40, Kind::Puback), (0x50, Kind::Pubrec), (0x62, Kind::Pubrel), (0x70, Kind::Pubcomp)]
    {
        refused(v311, &[first, 2, 0, 0], E::PacketId, PROTOCOL);
        refused(v311, &[first, 3, 0, 1, 0], E::Trailing(kind), MALFORMED);
        refused(v311, &[first, 1, 0], E::Truncated(kind), MALFORMED);
        refused(v5, &[first, 5, 0, 1, 0, 0, 0], E::Trailing(kind), MALFORMED);
        // [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1]: codes of others, and of nobody.
        refused(v5, &[first, 3, 0, 1, 0x8e], E::ReasonCode(kind, 0x8e), PROTOCOL);
        refused(v5, &[first, 3, 0, 1, 0x03], E::ReasonCode(kind, 0x03), PROTOCOL);
        refused(v5, &[first, 6, 0, 1, 0, 2, 0x25, 1], E::PropertyUnknown(0x25), MALFORMED);
    }
    refused(v5, b"\x40\x03\0\x01\x92", E::ReasonCode(Kind::Puback, 0x92), PROTOCOL);
    refused(v5, b"\x62\x03\0\x01\x97", E::ReasonCode(Kind::Pubrel, 0x97), PROTOCOL);
    refused(v311, b"\xc0\x01\0", E::Trailing(Kind::Pingreq), MALFORMED);
    refused(v311, b"\xe0\x01\0", E::Trailing(Kind::Disconnect), MALFORMED);
}

#[test]
fn bad_subscriptions() {
    let (v311, v5) = (&server(Version::V311), &server(Version::V5));
    // [MQTT-3.8.3-3], [MQTT-3.8.3-2] of 5.0, [MQTT-3.10.3-2].
    refused(v311, b"\x82\x02\0\x01", E::NoFilters(Kind::Subscribe), PROTOCOL);
    refused(v5, b"\x82\x03\0\x01\0", E::NoFilters(Kind::Subscribe), PROTOCOL);
    refused(v311, b"\xa2\x02\0\x01", E::NoFilters(Kind::Unsubscribe), PROTOCOL);
    refused(v5, b"\xa2\x03\0\x01\0", E::NoFilters(Kind::Unsubscribe), PROTOCOL);
    refused(v311, b"\x82\x06\0\0\0\x01a\0", E::PacketId, PROTOCOL);
    refused(v311, b"\xa2\x05\0\0\0\x01a", E::PacketId, PROTOCOL);
    refused(v311, b"\x82\x05\0\x01\0\x01a", E::Truncated(Kind::Subscribe), MALFORMED);
    refused(v311, b"\x82\x07\0\x01\0\x01a\0\0", E::Truncated(Kind::Subscribe), MALFORMED);
    refused(v311, b"\xa2\x06\0\x01\0\x01a\0", E::Truncated(Kind::Unsubscribe), MALFORMED);
    // [MQTT-3.8.3-4] of 3.1.1, [MQTT-3.8.3-5] of 5.0, section 3.8.3.1.
    for options in 3..=255_u8 {
        refused(v311, &[0x82, 6, 0, 1, 0, 1, b'a', options], E::SubscribeOptions, MALFORMED);
        let seen = run(v5, &[0x82, 7, 0, 1, 0, 0, 1, b'a', options]).error;
        let expected = match options {
            _ if options & 0xc0 != 0 => Some(E::SubscribeOptions),
            _ if options & 3 == 3 || options & 0x30 == 0x30 => Some(E::SubscribeValues),
            _ => None,
        };
        assert_eq!(seen, expected, "{options:#x}");
    }
    assert_eq!(E::SubscribeOptions.reason(), MALFORMED);
    assert_eq!(E::SubscribeValues.reason(), PROTOCOL);
    // [MQTT-4.7.1-2], [MQTT-4.7.1-3], [MQTT-4.8.2-1], [MQTT-4.8.2-2], [MQTT-3.8.3-1], [MQTT-3.10.3-1].
    let subscribe = |filter: &str| {
        let (len, bytes) = (filter.len() as u8, filter.as_bytes());
        let subscribe = [&[0x82, len + 6, 0, 1, 0, 0, len], bytes, &[0]].concat();
        let unsubscribe = [&[0xa2, len + 5, 0, 1, 0, 0, len], bytes].concat();
        (subscribe, unsubscribe)
    };
    for (filter, error) in [
        ("", TopicError::Empty),
        ("a#", TopicError::Wildcard),
        ("#/a", TopicError::Wildcard),
        ("a+/b", TopicError::Wildcard),
        ("##", TopicError::Wildcard),
        ("$share/g", TopicError::Share),
        ("$share/g/", TopicError::Share),
        ("$share//a", TopicError::Share),
        ("$share/+/a", TopicError::Share),
        ("$share/g#/a", TopicError::Share),
        ("$share/g/a#", TopicError::Wildcard),
    ] {
        let (subscribe, unsubscribe) = subscribe(filter);
        refused(v5, &subscribe, E::Filter(error), MALFORMED);
        refused(v5, &unsubscribe, E::Filter(error), MALFORMED);
    }
    refused(v5, b"\x82\x07\0\x01\0\0\x01\xff\0", E::Utf8, MALFORMED);
    // [MQTT-3.8.3-4] of 5.0.
    refused(v5, b"\x82\x10\0\x01\0\0\x0a$share/g/a\x04", E::SharedNoLocal, PROTOCOL);
    // One number for all filters of a packet, and not zero (section 3.8.2.1.2).
    refused(v5, b"\x82\x0b\0\x01\x04\x0b\x01\x0b\x02\0\x01a\0", E::PropertyTwice(0x0b), PROTOCOL);
    refused(v5, b"\x82\x09\0\x01\x02\x0b\0\0\x01a\0", E::PropertyValue(0x0b), PROTOCOL);
}

#[test]
fn bad_answers_of_servers() {
    let (v311, v5) = (&client(Version::V311), &client(Version::V5));
    // [MQTT-3.9.3-2] of both, [MQTT-3.11.3-2].
    refused(v311, b"\x90\x03\0\x01\x03", E::ReasonCode(Kind::Suback, 3), PROTOCOL);
    refused(v311, b"\x90\x03\0\x01\x87", E::ReasonCode(Kind::Suback, 0x87), PROTOCOL);
    refused(v5, b"\x90\x04\0\x01\0\x11", E::ReasonCode(Kind::Suback, 0x11), PROTOCOL);
    refused(v5, b"\xb0\x04\0\x01\0\x02", E::ReasonCode(Kind::Unsuback, 2), PROTOCOL);
    refused(v311, b"\x90\x02\0\x01", E::Truncated(Kind::Suback), MALFORMED);
    refused(v5, b"\xb0\x03\0\x01\0", E::Truncated(Kind::Unsuback), MALFORMED);
    refused(v311, b"\xb0\x03\0\x01\0", E::Trailing(Kind::Unsuback), MALFORMED);
    // [MQTT-3.14.2-2], and the reverse; [MQTT-3.15.2-1]. A server of 3.1.1 has no DISCONNECT.
    refused(v5, b"\xe0\x07\0\x05\x11\0\0\0\x01", E::PropertyFrom(0x11), PROTOCOL);
    refused(&server(Version::V5), b"\xe0\x05\0\x03\x1c\0\0", E::PropertyFrom(0x1c), PROTOCOL);
    refused(v5, b"\xf0\x01\x19", E::ReasonCode(Kind::Auth, 0x19), PROTOCOL);
    refused(&server(Version::V5), b"\xf0\0", E::ReasonCode(Kind::Auth, 0), PROTOCOL);
    // Section 3.15.2.2.2.
    refused(v5, b"\xf0\x01\x18", E::AuthenticationMethod, PROTOCOL);
    refused(v5, b"\xf0\x05\0\x03\x1f\0\0", E::AuthenticationMethod, PROTOCOL);
    assert_eq!(run(v5, b"\xf0\0").error, None);
    refused(v311, b"\xe0\0", E::Unexpected(Kind::Disconnect), PROTOCOL);
    // [MQTT-3.2.2-1], [MQTT-3.2.2-4] of 3.1.1, [MQTT-3.2.2-6], [MQTT-3.2.2-8].
    for (version, bytes, error) in [
        (Version::V311, &b"\x20\x02\x02\0"[..], E::ConnackFlags),
        (Version::V311, b"\x20\x02\x01\x05", E::ConnackFlags),
        (Version::V5, b"\x20\x03\x01\x87\0", E::ConnackFlags),
        (Version::V311, b"\x20\x02\0\x06", E::ReasonCode(Kind::Connack, 6)),
        (Version::V5, b"\x20\x03\0\x01\0", E::ReasonCode(Kind::Connack, 1)),
        (Version::V5, b"\x20\x02\0\0", E::Truncated(Kind::Connack)),
        (Version::V311, b"\x20\x03\0\0\0", E::Trailing(Kind::Connack)),
        (Version::V5, b"\x20\x05\0\0\x02\x24\x02", E::PropertyValue(0x24)),
    ] {
        let mut mqtt = Mqtt::client(version, Limits::default());
        encoded(&mut mqtt, &Packet::Connect(Connect::new(version, "a"))).unwrap();
        refused(&mqtt, bytes, error, error.reason());
    }
}

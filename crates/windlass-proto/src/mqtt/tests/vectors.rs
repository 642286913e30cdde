//! Packets written down byte by byte, from the figures of the specifications.

use super::*;
use crate::{Decode, Input};

/// Decodes one packet, whole and at every split, and encodes it to the same bytes again.
fn both_ways(from: Side, version: Version, bytes: &[u8], expected: &str) {
    let (receiver, mut sender) = match from {
        Side::Client => (server(version), client(version)),
        Side::Server => (client(version), server(version)),
    };
    let seen = run(&receiver, bytes);
    assert_eq!((seen.messages, seen.error), (Vec::from([expected.into()]), None), "{}", bytes.escape_ascii());
    let (mut copy, mut receiver) = (bytes.to_vec(), receiver);
    let packet = receiver.decode(&mut Input::new(&mut copy)).unwrap().unwrap();
    assert_eq!(encoded(&mut sender, &packet).unwrap(), bytes, "{expected}");
}

/// CONNECT as figure 3.6 of both versions has it: user name, password, a will of QoS 1, a clean start, a keep alive
/// of 10 seconds.
#[test]
fn connect_with_everything() {
    let v311 = b"\x10\x27\0\x04MQTT\x04\xce\0\x0a\0\x02id\0\x01w\0\x05gone!\0\x05alice\0\x06secret";
    let connect = asked(&v311[..]).unwrap();
    assert_eq!(connect.0, Version::V311);
    assert_eq!(
        connect.1,
        "Connect { version: V311, clean_start: true, keep_alive: 10, client_id: \"id\", will: Some(Will { topic: \
         \"w\", payload: 5 bytes, qos: AtLeastOnce, retain: false, properties: Properties(0 bytes) }), user_name: \
         Some(\"alice\"), password: Some(Secret(..)), properties: Properties(0 bytes) } Some(\"[103, 111, 110, 101, \
         33]\") Some([115, 101, 99, 114, 101, 116])"
    );
    // With a session expiry interval of 10 seconds, and a will delay of 1.
    let v5 = b"\x10\x33\0\x04MQTT\x05\xee\0\x0a\x05\x11\0\0\0\x0a\0\x02id\x05\x18\0\0\0\x01\0\x01w\0\x05gone!\0\x05alice\0\x06secret";
    let (version, text) = asked(&v5[..]).unwrap();
    assert_eq!(version, Version::V5);
    assert!(text.contains("retain: true"), "{text}");
    assert!(text.contains("WillDelay(1)") && text.ends_with(" SessionExpiry(10)"), "{text}");
}

/// A CONNECT, and what a server's end knows then.
fn asked(bytes: &[u8]) -> Result<(Version, String), MqttError> {
    let mut mqtt = Mqtt::server(Limits::default());
    let text = run(&mqtt, bytes);
    let mut copy = bytes.to_vec();
    let packet = mqtt.decode(&mut Input::new(&mut copy))?.unwrap();
    let Packet::Connect(connect) = packet else { panic!("{packet:?}") };
    let mut sender = Mqtt::client(connect.version, Limits::default());
    assert_eq!(encoded(&mut sender, &packet).unwrap(), bytes);
    assert_eq!(mqtt.version(), Some(connect.version));
    Ok((connect.version, text.messages[0].clone()))
}

/// [MQTT-3.1.2-16] to [MQTT-3.1.2-21] of 3.1.1 and their like: each flag alone says what the payload has.
#[test]
fn connect_with_little() {
    for (bytes, expected) in [
        (
            &b"\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0"[..],
            "client_id: \"\", will: None, user_name: None, password: None",
        ),
        (b"\x10\x0d\0\x04MQTT\x04\0\0\0\0\x01a", "clean_start: false, keep_alive: 0, client_id: \"a\""),
        (b"\x10\x0e\0\x04MQTT\x04\x82\0\0\0\0\0\0", "user_name: Some(\"\"), password: None"),
        // A password alone, which only version 5 has; a byte order mark is kept ([MQTT-1.5.4-3]).
        (b"\x10\x13\0\x04MQTT\x05\x42\0\0\0\0\x03\xef\xbb\xbf\0\x01\0", "client_id: \"\\u{feff}\""),
        // Section 3.1.3.1 of 5.0: no identifier, and no clean start.
        (b"\x10\x0d\0\x04MQTT\x05\0\0\0\0\0\0", "clean_start: false"),
    ] {
        let (_, text) = asked(bytes).unwrap();
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn packets_of_version_3() {
    let v = Version::V311;
    both_ways(Side::Client, v, b"\xc0\0", "PINGREQ");
    both_ways(Side::Server, v, b"\xd0\0", "PINGRESP");
    both_ways(Side::Client, v, b"\xe0\0", "Disconnect { reason: Success, properties: Properties(0 bytes) }");
    // Figure 3.11: topic `a/b`, identifier 10.
    let flags = "qos: AtLeastOnce, dup: false, retain: false, id: Some(10)";
    both_ways(
        Side::Client,
        v,
        b"\x32\x07\0\x03a/b\0\x0a",
        &format!(
            "Publish {{ topic: Some(\"a/b\"), {flags}, properties: Properties(0 bytes), payload: 0 bytes }} []"
        ),
    );
    let flags = "qos: ExactlyOnce, dup: true, retain: true, id: Some(65535)";
    both_ways(
        Side::Server,
        v,
        b"\x3d\x08\0\x03a/b\xff\xff!",
        &format!(
            "Publish {{ topic: Some(\"a/b\"), {flags}, properties: Properties(0 bytes), payload: 1 bytes }} [33]"
        ),
    );
    for (first, name) in [(0x40, "PUBACK"), (0x50, "PUBREC"), (0x62, "PUBREL"), (0x70, "PUBCOMP")] {
        let ack = format!("{name} Ack {{ id: 4660, reason: Success, properties: Properties(0 bytes) }}");
        both_ways(Side::Client, v, &[first, 2, 0x12, 0x34], &ack);
        both_ways(Side::Server, v, &[first, 2, 0x12, 0x34], &ack);
    }
    // Figure 3.23: `a/b` with QoS 1 and `c/d` with QoS 2.
    let rest = "no_local: false, retain_as_published: false, retain_handling: Send }";
    both_ways(
        Side::Client,
        v,
        b"\x82\x0e\0\x0a\0\x03a/b\x01\0\x03c/d\x02",
        &format!(
            "SUBSCRIBE 10 [Subscription {{ filter: \"a/b\", options: SubscribeOptions {{ qos: AtLeastOnce, {rest} }}, \
             Subscription {{ filter: \"c/d\", options: SubscribeOptions {{ qos: ExactlyOnce, {rest} }}]"
        ),
    );
    // Figure 3.26: QoS 0, QoS 2, failure.
    both_ways(
        Side::Server,
        v,
        b"\x90\x05\0\x0a\0\x02\x80",
        "SUBACK 10 [Success, GrantedQos2, UnspecifiedError]",
    );
    both_ways(Side::Client, v, b"\xa2\x0c\0\x0a\0\x03a/b\0\x03c/d", "UNSUBSCRIBE 10 [\"a/b\", \"c/d\"]");
    both_ways(Side::Server, v, b"\xb0\x02\0\x0a", "UNSUBACK 10 []");
}

#[test]
fn packets_of_version_5() {
    let v = Version::V5;
    // Figure 3.9: topic `a/b`, identifier 10, no properties.
    let rest =
        "dup: false, retain: false, id: Some(10), properties: Properties(0 bytes), payload: 0 bytes } []";
    both_ways(
        Side::Client,
        v,
        b"\x32\x08\0\x03a/b\0\x0a\0",
        &format!("Publish {{ topic: Some(\"a/b\"), qos: AtLeastOnce, {rest}"),
    );
    // An alias for a topic, and two subscriptions it comes for.
    let rest =
        "dup: false, retain: false, id: None, properties: Properties(8 bytes), payload: 2 bytes } [104, 105]";
    both_ways(
        Side::Server,
        v,
        b"\x30\x0d\0\0\x08\x23\0\x07\x0b\x01\x0b\x80\x01hi",
        &format!(
            "Publish {{ topic: None, qos: AtMostOnce, {rest} TopicAlias(7) SubscriptionId(1) SubscriptionId(128)"
        ),
    );
    // Sections 3.4.2.1 and 3.4.2.2.1: success without properties is two bytes, another reason three.
    let ack = "PUBACK Ack { id: 1, reason: Success, properties: Properties(0 bytes) }";
    both_ways(Side::Client, v, b"\x40\x02\0\x01", ack);
    let ack = "PUBREC Ack { id: 1, reason: QuotaExceeded, properties: Properties(0 bytes) }";
    both_ways(Side::Server, v, b"\x50\x03\0\x01\x97", ack);
    let ack = "PUBREL Ack { id: 1, reason: PacketIdentifierNotFound, properties: Properties(5 bytes) }";
    let text = format!("{ack} ReasonString(\"no\")");
    both_ways(Side::Client, v, b"\x62\x09\0\x01\x92\x05\x1f\0\x02no", &text);
    // What may be left out may be there.
    for bytes in [&b"\x40\x03\0\x01\0"[..], b"\x40\x04\0\x01\0\0"] {
        let seen = run(&server(v), bytes);
        assert_eq!(seen.messages, ["PUBACK Ack { id: 1, reason: Success, properties: Properties(0 bytes) }"]);
    }
    // Figure 3.20: `a/b` and `c/d`, with an identifier.
    both_ways(
        Side::Client,
        v,
        b"\x82\x10\0\x0a\x02\x0b\x0a\0\x03a/b\x2d\0\x02+/\x01",
        "SUBSCRIBE 10 [Subscription { filter: \"a/b\", options: SubscribeOptions { qos: AtLeastOnce, no_local: true, \
         retain_as_published: true, retain_handling: DoNotSend } }, Subscription { filter: \"+/\", options: \
         SubscribeOptions { qos: AtLeastOnce, no_local: false, retain_as_published: false, retain_handling: Send } \
         }] SubscriptionId(10)",
    );
    both_ways(
        Side::Server,
        v,
        b"\x90\x06\0\x0a\0\x02\x87\x9e",
        "SUBACK 10 [GrantedQos2, NotAuthorized, SharedSubscriptionsNotSupported]",
    );
    both_ways(Side::Client, v, b"\xa2\x08\0\x0a\0\0\x03a/b", "UNSUBSCRIBE 10 [\"a/b\"]");
    both_ways(Side::Server, v, b"\xb0\x05\0\x0a\0\0\x11", "UNSUBACK 10 [Success, NoSubscriptionExisted]");
    let text = "Disconnect { reason: ServerMoved, properties: Properties(4 bytes) } ServerReference(\"b\")";
    both_ways(Side::Server, v, b"\xe0\x06\x9d\x04\x1c\0\x01b", text);
    let text = "Disconnect { reason: DisconnectWithWill, properties: Properties(0 bytes) }";
    both_ways(Side::Client, v, b"\xe0\x01\x04", text);
    let text = "Auth { reason: ContinueAuthentication, properties: Properties(8 bytes) } \
                AuthenticationMethod(\"x\") auth [0]";
    both_ways(Side::Server, v, b"\xf0\x0a\x18\x08\x15\0\x01x\x16\0\x01\0", text);
}

#[test]
fn connack_of_both_versions() {
    let connack = |version, bytes: &[u8]| {
        let mut mqtt = Mqtt::client(version, Limits::default());
        encoded(&mut mqtt, &Packet::Connect(Connect::new(version, "a"))).unwrap();
        let mut copy = bytes.to_vec();
        let Some(Packet::Connack(connack)) = mqtt.decode(&mut Input::new(&mut copy)).unwrap() else {
            panic!("no CONNACK")
        };
        assert_eq!(mqtt.is_connected(), connack.reason == Reason::Success);
        (connack.session_present, connack.reason, connack.properties.receive_maximum())
    };
    assert_eq!(connack(Version::V311, b"\x20\x02\x01\0"), (true, Reason::Success, None));
    assert_eq!(connack(Version::V311, b"\x20\x02\0\x05"), (false, Reason::NotAuthorized, None));
    assert_eq!(connack(Version::V5, b"\x20\x06\x01\0\x03\x21\0\x14"), (true, Reason::Success, Some(20)));
    assert_eq!(connack(Version::V5, b"\x20\x03\0\x9f\0"), (false, Reason::ConnectionRateExceeded, None));
}

/// Section 2.2.3 of 3.1.1, table 2.4: lengths of one to four bytes, and what takes more than the shortest form.
#[test]
fn remaining_lengths() {
    for (len, front) in [(127, &b"\x30\x7f"[..]), (128, b"\x30\x80\x01"), (16_384, b"\x30\x80\x80\x01")] {
        let mut bytes = front.to_vec();
        bytes.extend_from_slice(b"\0\x01t");
        bytes.resize(front.len() + len, b'x');
        let seen = run(&server(Version::V311), &bytes);
        assert_eq!((seen.messages.len(), seen.error, seen.left), (1, None, 0), "{len}");
    }
    // [MQTT-1.5.5-1] is of version 5 alone.
    let long = b"\xc0\x80\0";
    assert_eq!(run(&server(Version::V311), long).messages, ["PINGREQ"]);
    assert_eq!(run(&server(Version::V5), long).error, Some(MqttError::RemainingLength));
    let mut connect = b"\x10\x8c\0\0\x04MQTT\x04\x02\0\0\0\0".to_vec();
    assert_eq!(run(&Mqtt::server(Limits::default()), &connect).error, None);
    (connect[1], connect[9]) = (0x8d, 5);
    connect.insert(13, 0);
    assert_eq!(run(&Mqtt::server(Limits::default()), &connect).error, Some(MqttError::RemainingLength));
}

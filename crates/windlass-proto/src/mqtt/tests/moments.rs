//! Which packet may come or go when, and what a mistake is answered with.

use super::*;
use crate::{Decode, Input};

fn decode(mqtt: &mut Mqtt, bytes: &[u8]) -> Result<String, MqttError> {
    let mut bytes = bytes.to_vec();
    mqtt.decode(&mut Input::new(&mut bytes)).map(|packet| told(packet.unwrap()))
}

fn connect(version: Version, method: bool) -> Vec<u8> {
    let list = properties(if method { &[Property::AuthenticationMethod("x")] } else { &[] });
    let connect = Connect { properties: list.properties(), ..Connect::new(version, "a") };
    encoded(&mut Mqtt::client(version, Limits::default()), &Packet::Connect(connect)).unwrap()
}

fn connack(reason: Reason) -> Packet<'static> {
    Packet::Connack(Connack { session_present: false, reason, properties: Properties::NONE })
}

/// A step of an authentication, if this end may send one now.
fn auth(mqtt: &mut Mqtt) -> Result<Vec<u8>, EncodeError> {
    let list = properties(&[Property::AuthenticationMethod("x")]);
    let (reason, properties) = (Reason::ContinueAuthentication, list.properties());
    encoded(mqtt, &Packet::Auth(Auth { reason, properties }))
}

#[test]
fn a_server_takes_one_connect_first() {
    let mut mqtt = Mqtt::server(Limits::default());
    assert_eq!(mqtt.version(), None);
    decode(&mut mqtt, &connect(Version::V311, false)).unwrap();
    assert_eq!(mqtt.version(), Some(Version::V311));
    // Section 3.1.4: a client need not wait for CONNACK.
    decode(&mut mqtt, b"\x30\x03\0\x01a").unwrap();
    // [MQTT-3.1.0-2].
    let twice = decode(&mut mqtt.clone(), &connect(Version::V311, false));
    assert_eq!(twice, Err(MqttError::Unexpected(Kind::Connect)));
    encoded(&mut mqtt, &connack(Reason::Success)).unwrap();
    let twice = decode(&mut mqtt, &connect(Version::V311, false));
    assert_eq!(twice, Err(MqttError::Unexpected(Kind::Connect)));
}

/// [MQTT-3.2.0-1], [MQTT-3.2.0-2], [MQTT-3.14.0-1], [MQTT-3.14.4-1].
#[test]
fn a_server_sends_one_connack_first() {
    let mut mqtt = Mqtt::server(Limits::default());
    let invalid = Err(EncodeError::Invalid);
    assert_eq!(encoded(&mut mqtt, &connack(Reason::Success)), invalid, "to whom?");
    decode(&mut mqtt, &connect(Version::V5, false)).unwrap();
    let bye = Packet::Disconnect(Disconnect::new(Reason::ServerBusy));
    for packet in [Packet::Pingresp, bye, Packet::Publish(Publish::new(topic("a"), b""))] {
        assert_eq!(encoded(&mut mqtt, &packet), invalid, "{packet:?}");
    }
    assert_eq!(auth(&mut mqtt), invalid);
    let mut refusing = mqtt.clone();
    assert_eq!(encoded(&mut mqtt, &connack(Reason::Success)).unwrap(), b"\x20\x03\0\0\0");
    assert!(mqtt.is_connected());
    assert_eq!(encoded(&mut mqtt, &connack(Reason::Success)), invalid);
    assert_eq!(encoded(&mut mqtt, &Packet::Pingreq), invalid, "a client's");
    assert_eq!(encoded(&mut mqtt, &bye).unwrap(), b"\xe0\x01\x89");
    assert_eq!(encoded(&mut mqtt, &Packet::Pingresp), invalid, "after DISCONNECT");

    assert_eq!(encoded(&mut refusing, &connack(Reason::Banned)).unwrap(), b"\x20\x03\0\x8a\0");
    assert!(!refusing.is_connected());
    assert_eq!(encoded(&mut refusing, &bye), invalid);
}

/// [MQTT-3.1.2-30], [MQTT-4.12.0-6], [MQTT-4.12.0-7].
#[test]
fn authentication_is_asked_for_first() {
    let step = b"\xf0\x06\x18\x04\x15\0\x01x";
    let mut mqtt = Mqtt::server(Limits::default());
    decode(&mut mqtt, &connect(Version::V5, true)).unwrap();
    assert!(auth(&mut mqtt).is_ok());
    decode(&mut mqtt, step).unwrap();
    let early = decode(&mut mqtt, b"\x30\x04\0\x01a\0");
    assert_eq!(early, Err(MqttError::Unexpected(Kind::Publish)));
    encoded(&mut mqtt, &connack(Reason::Success)).unwrap();
    decode(&mut mqtt, b"\x30\x04\0\x01a\0").unwrap();
    decode(&mut mqtt, b"\xf0\x06\x19\x04\x15\0\x01x").unwrap();

    let mut mqtt = Mqtt::server(Limits::default());
    decode(&mut mqtt, &connect(Version::V5, false)).unwrap();
    assert_eq!(decode(&mut mqtt, step), Err(MqttError::Unexpected(Kind::Auth)));
    assert_eq!(auth(&mut mqtt), Err(EncodeError::Invalid));

    let mut mqtt = Mqtt::client(Version::V5, Limits::default());
    assert_eq!(decode(&mut mqtt, b"\x20\x03\0\0\0"), Err(MqttError::Unexpected(Kind::Connack)));
    let list = properties(&[Property::AuthenticationMethod("x")]);
    let connect = Connect { properties: list.properties(), ..Connect::new(Version::V5, "a") };
    encoded(&mut mqtt, &Packet::Connect(connect)).unwrap();
    assert_eq!(encoded(&mut mqtt, &Packet::Pingreq), Err(EncodeError::Invalid));
    assert!(auth(&mut mqtt).is_ok());
    assert_eq!(decode(&mut mqtt, b"\xd0\0"), Err(MqttError::Unexpected(Kind::Pingresp)));
    decode(&mut mqtt, step).unwrap();
    decode(&mut mqtt, b"\x20\x03\0\0\0").unwrap();
    assert!(mqtt.is_connected());
    assert_eq!(decode(&mut mqtt, b"\x20\x03\0\0\0"), Err(MqttError::Unexpected(Kind::Connack)));
}

/// What a mistake of this client is answered with.
fn answer(mqtt: &mut Mqtt, bytes: &[u8]) -> Vec<u8> {
    let error = decode(mqtt, bytes).unwrap_err();
    let mut out = Vec::new();
    mqtt.answer(&error, &mut out);
    let mut again = Vec::new();
    mqtt.answer(&error, &mut again);
    assert!(again.is_empty(), "once");
    out
}

#[test]
fn mistakes_are_answered_as_their_version_has_it() {
    let new = || Mqtt::server(Limits::default());
    // [MQTT-3.1.2-2]; a bridge's level; a level to come.
    assert_eq!(answer(&mut new(), b"\x10\x0e\0\x06MQIsdp\x03\x02\0\0\0\0"), b"\x20\x02\0\x01");
    assert_eq!(answer(&mut new(), b"\x10\x0c\0\x04MQTT\x84\x02\0\0\0\0"), b"\x20\x02\0\x01");
    assert_eq!(answer(&mut new(), b"\x10\x0c\0\x04MQTT\x06\x02\0\0\0\0"), b"\x20\x03\0\x84\0");
    // [MQTT-3.1.3-8] of 3.1.1; anything else in a CONNECT of 3.1.1 is not answered ([MQTT-3.1.4-1]).
    assert_eq!(answer(&mut new(), b"\x10\x0c\0\x04MQTT\x04\0\0\0\0\0"), b"\x20\x02\0\x02");
    assert_eq!(answer(&mut new(), b"\x10\x0c\0\x04MQTT\x04\x03\0\0\0\0"), b"");
    assert_eq!(answer(&mut new(), b"\x10\x0c\0\x04HTTP\x04\x02\0\0\0\0"), b"");
    assert_eq!(answer(&mut new(), b"\xc0\0"), b"");
    // Section 4.13 of 5.0.
    assert_eq!(answer(&mut new(), b"\x10\x0d\0\x04MQTT\x05\x03\0\0\0\0\0"), b"\x20\x03\0\x81\0");
    assert_eq!(answer(&mut server(Version::V5), b"\x30\x02\0\0\0"), b"\xe0\x01\x81");
    assert_eq!(answer(&mut server(Version::V5), b"\x30\x03\0\0\0"), b"\xe0\x01\x82");
    assert_eq!(answer(&mut server(Version::V5), b"\x30\x07\0\x01a\x03\x23\0\0"), b"\xe0\x01\x94");
    assert_eq!(answer(&mut client(Version::V5), b"\x30\x02\0\0\0"), b"\xe0\x01\x81");
    assert_eq!(answer(&mut server(Version::V311), b"\x30\x02\0\0"), b"");
    // What CONNACK has no code for.
    let mut starting = new();
    decode(&mut starting, &connect(Version::V5, false)).unwrap();
    assert_eq!(answer(&mut starting, b"\x30\x07\0\x01a\x03\x23\0\0"), b"\x20\x03\0\x82\0");
}

#[test]
fn what_has_no_encoding_puts_nothing() {
    let list = properties(&[Property::ReceiveMaximum(1)]);
    let long = "x".repeat(65_536);
    let publish = Publish::new(topic("a"), b"");
    let share = [Subscription {
        filter: filter("$share/g/a"),
        options: SubscribeOptions { no_local: true, ..SubscribeOptions::default() },
    }];
    let acked = |reason| Packet::Puback(Ack::with(id(1), reason));
    let subscribe =
        |filters| Packet::Subscribe(Subscribe { id: id(1), properties: Properties::NONE, filters });
    for (from, packet) in [
        (Side::Client, Packet::Publish(Publish { qos: QoS::AtLeastOnce, ..publish })),
        (Side::Client, Packet::Publish(Publish { id: Some(id(1)), ..publish })),
        (Side::Client, Packet::Publish(Publish { dup: true, ..publish })),
        (Side::Client, Packet::Publish(Publish { topic: None, ..publish })),
        (Side::Client, Packet::Publish(Publish { properties: list.properties(), ..publish })),
        (Side::Client, acked(Reason::SessionTakenOver)),
        (Side::Client, subscribe(Filters::new(&[]))),
        (Side::Client, subscribe(Filters::new(&share))),
        (Side::Client, Packet::Disconnect(Disconnect::new(Reason::ServerBusy))),
        (Side::Server, Packet::Disconnect(Disconnect::new(Reason::DisconnectWithWill))),
        (
            Side::Server,
            Packet::Suback(Suback { id: id(1), properties: Properties::NONE, reasons: Reasons::new(&[]) }),
        ),
    ] {
        let mut mqtt = if from == Side::Client { client(Version::V5) } else { server(Version::V5) };
        assert_eq!(encoded(&mut mqtt, &packet), Err(EncodeError::Invalid), "{packet:?}");
    }
    for connect in [
        Connect { client_id: &long, ..Connect::new(Version::V5, "") },
        Connect { user_name: Some(&long), ..Connect::new(Version::V5, "") },
        Connect { password: Some(Secret(long.as_bytes())), ..Connect::new(Version::V5, "") },
    ] {
        let mut mqtt = Mqtt::client(Version::V5, Limits::default());
        let long = Err(EncodeError::TooLong { max: 65_535 });
        assert_eq!(encoded(&mut mqtt, &Packet::Connect(connect)), long);
    }
    let mut mqtt = Mqtt::client(Version::V311, Limits::default());
    for connect in [
        Connect::new(Version::V5, "a"),
        Connect { clean_start: false, ..Connect::new(Version::V311, "") },
        Connect { password: Some(Secret(b"x")), ..Connect::new(Version::V311, "a") },
        Connect { client_id: "a\0", ..Connect::new(Version::V311, "") },
    ] {
        assert_eq!(encoded(&mut mqtt, &Packet::Connect(connect)), Err(EncodeError::Invalid), "{connect:?}");
    }
    // A server of 3.1.1 has no DISCONNECT, and no return code for some refusals ([MQTT-3.2.2-6] of 3.1.1).
    let bye = Packet::Disconnect(Disconnect::new(Reason::Success));
    assert_eq!(encoded(&mut server(Version::V311), &bye), Err(EncodeError::Invalid));
    let mut mqtt = Mqtt::server(Limits::default());
    decode(&mut mqtt, &self::connect(Version::V311, false)).unwrap();
    assert_eq!(encoded(&mut mqtt, &connack(Reason::PacketTooLarge)), Err(EncodeError::Invalid));
    assert_eq!(encoded(&mut mqtt, &connack(Reason::ServerBusy)).unwrap(), b"\x20\x02\0\x03");
}

/// [MQTT-3.1.2-24], [MQTT-3.2.2-15].
#[test]
fn the_peers_maximum_packet_size_holds() {
    let mut mqtt = server(Version::V5);
    mqtt.set_send_max(10);
    let fits = Packet::Publish(Publish::new(topic("a"), b"1234"));
    assert_eq!(encoded(&mut mqtt, &fits).unwrap().len(), 10);
    let over = Packet::Publish(Publish::new(topic("a"), b"12345"));
    assert_eq!(encoded(&mut mqtt, &over), Err(EncodeError::TooLong { max: 10 }));
    mqtt.set_send_max(3);
    let ack = Packet::Puback(Ack::new(id(1)));
    assert_eq!(encoded(&mut mqtt, &ack), Err(EncodeError::TooLong { max: 3 }));
}

/// A reason that 3.1.1 has no word for is left out, and errors of SUBACK are one.
#[test]
fn version_3_says_less() {
    let mut mqtt = server(Version::V311);
    let list = properties(&[Property::ReasonString("why")]);
    let ack = Ack { properties: list.properties(), ..Ack::with(id(1), Reason::QuotaExceeded) };
    assert_eq!(encoded(&mut mqtt, &Packet::Pubrec(ack)).unwrap(), b"\x50\x02\0\x01");
    let reasons = [Reason::GrantedQos1, Reason::NotAuthorized];
    let suback = Suback { id: id(1), properties: list.properties(), reasons: Reasons::new(&reasons) };
    assert_eq!(encoded(&mut mqtt, &Packet::Suback(suback)).unwrap(), b"\x90\x04\0\x01\x01\x80");
    let reasons = [Reason::Success];
    let unsuback = Suback { reasons: Reasons::new(&reasons), ..suback };
    assert_eq!(encoded(&mut mqtt, &Packet::Unsuback(unsuback)).unwrap(), b"\xb0\x02\0\x01");
}

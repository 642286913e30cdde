//! MQTT in a WebSocket, on the same port.

use windlass_hub::{HubConfig, QoS};
use windlass_proto::mqtt::{Packet, Publish, Topic};
use windlass_proto::ws::{FrameHead, Opcode, apply_mask};

use crate::kit::{Desk, V5};
use crate::workers::workers;

pub(crate) fn frame(opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let key = [1, 2, 3, 4];
    let head = FrameHead { fin, mask: Some(key), ..FrameHead::whole(opcode, payload.len() as u64) };
    let mut bytes = head.encode().as_ref().to_vec();
    let mut masked = payload.to_vec();
    apply_mask(&mut masked, key);
    bytes.extend(masked);
    bytes
}

pub(crate) const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn packets_travel_in_binary_messages() {
    let mut desk = Desk::new(HubConfig::default());
    let mut tcp = desk.join(V5, "tcp");
    desk.subscribe(&mut tcp, "#", QoS::AtMostOnce);
    let ws = desk.stranger(V5);
    desk.harness.send(ws.peer, format!("{REQUEST}Sec-WebSocket-Protocol: mqtt\r\n\r\n"));
    let answer = String::from_utf8(desk.harness.receive(ws.peer)).unwrap().to_lowercase();
    assert!(
        answer.starts_with("http/1.1 101") && answer.contains("sec-websocket-protocol: mqtt"),
        "{answer}"
    );
    // CONNECT of 3.1.1 in two messages, the second with a SUBSCRIBE and half a PUBLISH behind it.
    desk.harness.send(ws.peer, frame(Opcode::Binary, true, b"\x10\x0d\0\x04MQTT\x04\x02"));
    desk.harness.send(ws.peer, frame(Opcode::Ping, true, b"?"));
    assert_eq!(desk.harness.receive(ws.peer), b"\x8a\x01?");
    let rest = b"\0\0\0\x01a\x82\x06\0\x01\0\x01a\0\x30\x06\0\x01a";
    desk.harness.send_split(ws.peer, frame(Opcode::Binary, true, rest), 1);
    let got = desk.harness.receive(ws.peer);
    // Where several workers have to know of the filter first, SUBACK leaves behind CONNACK.
    let wanted = match workers() {
        1 => &b"\x82\x09\x20\x02\0\0\x90\x03\0\x01\0"[..],
        _ => b"\x82\x04\x20\x02\0\0\x82\x05\x90\x03\0\x01\0",
    };
    assert_eq!(got, wanted);
    desk.harness.send(ws.peer, frame(Opcode::Binary, false, b"x"));
    desk.harness.send(ws.peer, frame(Opcode::Continuation, true, b"yz"));
    assert_eq!(desk.harness.receive(ws.peer), b"\x82\x08\x30\x06\0\x01axyz");
    assert_eq!(desk.hear(&mut tcp), ["PUBLISH a \"xyz\" q0"]);
    let long = Publish::new(Topic::new("a").unwrap(), &[b'l'; 5_000]);
    desk.say(&mut tcp, &Packet::Publish(long));
    let got = desk.harness.receive(ws.peer);
    assert_eq!((&got[..4], got.len()), (&b"\x82\x7e\x13\x8e"[..], 4 + 3 + 3 + 5_000));
    // A text message ends it ([MQTT-6.0.0-1]).
    desk.harness.send(ws.peer, frame(Opcode::Text, true, b"hi"));
    assert_eq!(desk.harness.why(ws.peer), Some("protocol"));
    assert_eq!(desk.harness.receive(ws.peer)[..4], *b"\x88\x14\x03\xeb");
}

#[test]
fn what_is_no_websocket_of_mqtt_is_answered() {
    let mut desk = Desk::new(HubConfig::default());
    for request in [
        "GET / HTTP/1.1\r\nHost: hub\r\n\r\n".to_string(),
        format!("{REQUEST}\r\n"),
        format!("{REQUEST}Sec-WebSocket-Protocol: chat\r\n\r\n"),
    ] {
        let one = desk.stranger(V5);
        desk.harness.send(one.peer, &request);
        let answer = String::from_utf8(desk.harness.receive(one.peer)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 4"), "{request} {answer}");
        assert_eq!(desk.harness.why(one.peer), Some("protocol"));
    }
    let mut desk = Desk::new(HubConfig::default().websocket(false));
    let one = desk.stranger(V5);
    desk.harness.send(one.peer, format!("{REQUEST}Sec-WebSocket-Protocol: mqtt\r\n\r\n"));
    assert!(desk.harness.receive(one.peer).is_empty());
    assert_eq!(desk.harness.why(one.peer), Some("protocol"));
}

#[test]
fn a_stranger_holds_no_more_than_a_connect() {
    let mut desk = Desk::new(HubConfig::default());
    let one = desk.stranger(V5);
    desk.harness.send(one.peer, format!("{REQUEST}Sec-WebSocket-Protocol: mqtt\r\n\r\n"));
    desk.harness.receive(one.peer);
    desk.harness.send(one.peer, frame(Opcode::Binary, true, &[0x10; 17_000]));
    assert_eq!(desk.harness.why(one.peer), Some("protocol"));
}

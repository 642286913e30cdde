//! Ends: silence, mistakes, shutdown, and administrators.

use windlass_hub::{HubConfig, Mail, QoS};
use windlass_proto::mqtt::{Connect, Packet};

use crate::kit::{Desk, V3, V5};

#[test]
fn who_is_silent_for_too_long_is_gone() {
    let mut desk = Desk::new(HubConfig::default());
    for version in [V3, V5] {
        let mut one = desk.join_with(&Connect { keep_alive: 10, ..Connect::new(version, "a") });
        for _ in 0..3 {
            desk.wait(14.0);
            desk.say(&mut one, &Packet::Pingreq);
            assert_eq!(desk.hear(&mut one), ["PINGRESP"]);
        }
        desk.wait(14.9);
        assert!(!desk.harness.is_ended(one.peer));
        desk.wait(0.2);
        assert_eq!(desk.harness.why(one.peer), Some("timeout"), "[MQTT-3.1.2-22]");
        let last = desk.hear(&mut one);
        assert_eq!(last, if version == V5 { vec!["DISCONNECT KeepAliveTimeout"] } else { vec![] });
    }
    let one = desk.join(V3, "never");
    // As long as the simulated server lets anybody be silent.
    desk.wait(250.0);
    assert_eq!(desk.harness.why(one.peer), None, "0 is never");
    assert_eq!(desk.stats().keep_alive_timeouts, 2);
}

#[test]
fn who_does_not_say_connect_is_gone() {
    let mut desk = Desk::new(HubConfig::default());
    let silent = desk.stranger(V5);
    desk.wait(9.9);
    assert!(!desk.harness.is_ended(silent.peer));
    desk.wait(0.2);
    assert_eq!(desk.harness.why(silent.peer), Some("timeout"));
    for (bytes, why) in [
        (&b"\xc0\0"[..], "PINGREQ"),
        (b"\x20\x02\0\0", "CONNACK"),
        (b"\x10\xff\xff\x7f", "a CONNECT of megabytes"),
        (b"hello", "no packet"),
        (b"\x10\x0c\0\x04MQTT\x03\x02\0\0\0\0", "version 3"),
    ] {
        let one = desk.stranger(V5);
        desk.harness.send(one.peer, bytes);
        assert_eq!(desk.harness.why(one.peer), Some("protocol"), "{why}");
    }
    let half = desk.stranger(V5);
    desk.harness.send(half.peer, b"\x10\x0c\0\x04MQ");
    desk.wait(10.1);
    assert_eq!(desk.harness.why(half.peer), Some("timeout"));
    let stats = desk.stats();
    assert_eq!((stats.sessions, stats.clients, stats.violations), (0, 0, 5));
}

#[test]
fn a_mistake_ends_one_connection_and_touches_nobody_else() {
    let mut desk = Desk::new(HubConfig::default());
    let mut good = desk.join(V5, "good");
    desk.subscribe(&mut good, "#", QoS::AtLeastOnce);
    for (version, bytes, said) in [
        (V5, &b"\x10\0"[..], "DISCONNECT ProtocolError"),
        (V5, b"\x36\x05\0\x01t\0\0", "DISCONNECT MalformedPacket"),
        (V5, b"\x30\x04\0\x01#\0", "DISCONNECT MalformedPacket"),
        (V5, b"\x82\x02\0\x01", "DISCONNECT MalformedPacket"),
        (V3, b"\x10\0", ""),
        (V3, b"\x30\x03\0\x01+", ""),
        (V3, b"\xf0\0", ""),
    ] {
        let mut bad = desk.join(version, "bad");
        desk.harness.send(bad.peer, bytes);
        assert_eq!(desk.hear(&mut bad).join(""), said, "{}", bytes.escape_ascii());
        assert_eq!(desk.harness.why(bad.peer), Some("protocol"));
    }
    desk.say(&mut good, &Packet::Pingreq);
    assert_eq!(desk.hear(&mut good), ["PINGRESP"]);
    let stats = desk.stats();
    assert_eq!((stats.violations, stats.clients), (7, 1));
}

#[test]
fn a_shutdown_is_said() {
    let mut desk = Desk::new(HubConfig::default());
    let (mut five, mut three) = (desk.join(V5, "five"), desk.join(V3, "three"));
    desk.harness.shutdown();
    assert_eq!(desk.hear(&mut five), ["DISCONNECT ServerShuttingDown"]);
    assert!(desk.hear(&mut three).is_empty());
    assert!(desk.harness.is_ended(five.peer) && desk.harness.is_ended(three.peer));
}

#[test]
fn an_administrator_may_end_a_connection() {
    let mut desk = Desk::new(HubConfig::default());
    let mut one = desk.join(V5, "one");
    desk.mailbox.send(0, Mail::Kick("one".into())).unwrap();
    desk.mailbox.send(0, Mail::Kick("nobody".into())).unwrap();
    desk.harness.settle();
    assert_eq!(desk.hear(&mut one), ["DISCONNECT AdministrativeAction"]);
    assert!(desk.harness.is_ended(one.peer));
}

#[test]
fn settings_change_and_sessions_stay() {
    let mut desk = Desk::new(HubConfig::default());
    let (mut one, _) = desk.join_for_good(V5, "one");
    desk.subscribe(&mut one, "t", QoS::AtLeastOnce);
    desk.tell(|| Mail::Set(Box::new(HubConfig::default().keep_alive_max(30))));
    desk.publish(&mut one, "t", "x");
    assert_eq!(desk.hear(&mut one), ["PUBLISH t \"x\" q0"]);
    let (_, heard) = desk.join_for_good(V5, "one");
    assert_eq!(heard, "CONNACK Success present ServerKeepAlive(30)");
}

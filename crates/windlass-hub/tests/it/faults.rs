//! What other brokers were reported to take and must not, storms of one client identifier, one that stops reading among a
//! thousand, and clients that break each limit.

use windlass_hub::{HubConfig, QoS, WhenQueueFull};
use windlass_proto::mqtt::{Connect, Packet, Property, Publish, Topic, Version, Will};
use windlass_proto::ws::{FrameHead, Opcode, apply_mask};

use crate::kit::{Desk, Device, V3, V5, number, properties};
use crate::reported::{self, REPORTED};

/// Of each: its sender is ended, and told why where it can be, in pieces as in one; and nobody else notices.
#[test]
fn what_was_reported_of_others_is_not_taken_here() {
    let mut desk = Desk::new(HubConfig::default());
    let mut good = desk.join(V5, "good");
    desk.subscribe(&mut good, "#", QoS::ExactlyOnce);
    for (number, (what, version, first, bytes, last)) in REPORTED.iter().enumerate() {
        for piece in [usize::MAX, 1] {
            let one = desk.stranger(if *version == 5 { V5 } else { V3 });
            if !first {
                desk.harness.send(one.peer, reported::connect(*version, "bad"));
                assert_eq!(
                    desk.harness.receive(one.peer)[..2],
                    [0x20, if *version == 5 { 14 } else { 2 }],
                    "{what}"
                );
            }
            desk.harness.send_split(one.peer, bytes, piece.min(bytes.len()));
            let heard = desk.harness.receive(one.peer);
            assert_eq!(heard.escape_ascii().to_string(), last.escape_ascii().to_string(), "{what}");
            assert_eq!(desk.harness.why(one.peer), Some("protocol"), "{what}");
        }
        desk.say(&mut good, &Packet::Pingreq);
        assert_eq!(desk.hear(&mut good), ["PINGRESP"], "{number} {what}");
    }
    let stats = desk.stats();
    assert_eq!((stats.violations, stats.clients, stats.sessions), (REPORTED.len() as u64 * 2, 1, 1));
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let key = [9, 8, 7, 6];
    let head = FrameHead { fin: true, mask: Some(key), ..FrameHead::whole(opcode, payload.len() as u64) };
    let mut bytes = head.encode().as_ref().to_vec();
    let mut masked = payload.to_vec();
    apply_mask(&mut masked, key);
    bytes.extend(masked);
    bytes
}

/// CVE-2026-25627 of NanoMQ: what the packet says of its length and what the frame around it says have nothing to do
/// with each other.
#[test]
fn lengths_inside_a_websocket_are_those_of_packets() {
    const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: mqtt\r\n\r\n";
    let mut desk = Desk::new(HubConfig::default());
    for (lie, last) in [
        // Megabytes in a frame of a few bytes: it waits for them, and answers what comes between.
        (&b"\x30\xff\xff\x03\0\x01t"[..], Some(&b"\x8a\x01!"[..])),
        // More than there may be, five bytes of length, and a packet that ends inside its frame.
        (b"\x30\xff\xff\xff\x7f\0\x01t", None),
        (b"\x30\xff\xff\xff\xff\x7f\0\x01t", None),
        (b"\x30\x01\0\x01t", None),
    ] {
        let one = desk.stranger(V5);
        desk.harness.send(one.peer, REQUEST);
        desk.harness.receive(one.peer);
        desk.harness.send(one.peer, frame(Opcode::Binary, &reported::connect(5, "web")));
        assert!(desk.harness.receive(one.peer).starts_with(b"\x82\x10\x20\x0e\0\0"));
        desk.harness.send(one.peer, frame(Opcode::Binary, lie));
        desk.harness.send(one.peer, frame(Opcode::Ping, b"!"));
        let heard = desk.harness.receive(one.peer);
        match last {
            Some(last) => assert_eq!(heard, last),
            None => assert_eq!(desk.harness.why(one.peer), Some("protocol"), "{}", lie.escape_ascii()),
        }
        desk.lose(&one);
    }
}

/// A hundred connections ask for one client identifier, and again, in both versions.
#[test]
fn a_hundred_connections_for_one_client_id() {
    let mut desk = Desk::new(HubConfig::default());
    let mut sender = desk.join(V5, "sender");
    let mut watcher = desk.join(V5, "watcher");
    desk.subscribe(&mut watcher, "gone", QoS::AtLeastOnce);
    let (mut one, _) = desk.join_for_good(V5, "one");
    desk.subscribe(&mut one, "t", QoS::ExactlyOnce);
    desk.publish_at(&mut sender, "t", "kept", QoS::ExactlyOnce, 1);
    // In flight to the first of them, and to whoever has the session last.
    assert_eq!(desk.hear(&mut one), ["PUBLISH t \"kept\" q2 #1"]);
    let stay = properties(&[Property::SessionExpiry(60)]);
    let none = properties(&[]);
    let mut ended = 0;
    let mut held: Vec<(Device, Version)> = vec![(one, V5)];
    for round in 0..3_u8 {
        // All of them are there before any of them speaks.
        let mut storm: Vec<(Device, Version)> = (0..100)
            .map(|n| if (n + round) % 2 == 0 { V5 } else { V3 })
            .map(|version| (desk.stranger(version), version))
            .collect();
        for (device, version) in &mut storm {
            let will = Will {
                topic: Topic::new("gone").unwrap(),
                payload: b"x",
                qos: QoS::AtLeastOnce,
                retain: false,
                properties: none.properties(),
            };
            let own = if *version == V5 { stay.properties() } else { none.properties() };
            let connect = Connect {
                clean_start: false,
                will: Some(will),
                properties: own,
                ..Connect::new(*version, "one")
            };
            desk.say(device, &Packet::Connect(connect));
        }
        held.extend(storm);
        let mut left = Vec::new();
        for (mut device, version) in held {
            let heard = desk.hear(&mut device);
            if desk.harness.is_ended(device.peer) {
                ended += 1;
                let last = heard.last().map(String::as_str);
                if version == V5 {
                    assert_eq!(last, Some("DISCONNECT SessionTakenOver"));
                }
            } else {
                assert!(heard[0].starts_with("CONNACK Success present"), "{heard:?}");
                assert_eq!(heard[1..], ["PUBLISH t \"kept\" q2 #1 dup"]);
                left.push((device, version));
            }
        }
        assert_eq!(left.len(), 1, "one of them has it");
        held = left;
    }
    assert_eq!(ended, 300);
    let stats = desk.stats();
    assert_eq!((stats.sessions, stats.clients, stats.taken_over, stats.subscriptions), (3, 3, 300, 2));
    // Each that had a will is gone ([MQTT-3.1.3-9] is for those with a delay).
    assert_eq!((stats.wills, stats.queued), (299, 279));
    let (mut one, _) = held.remove(0);
    desk.publish_at(&mut sender, "t", "now", QoS::AtLeastOnce, 2);
    assert_eq!(desk.hear(&mut one), ["PUBLISH t \"now\" q1 #2"], "it is subscribed, once");
}

/// Subscribers of which one stops reading: in a build without optimisation a thousand take a minute.
const MANY: usize = if cfg!(debug_assertions) { 200 } else { 1_000 };

/// One of a thousand stops reading: every message is with all others in the turn it came in.
#[test]
fn one_that_stops_reading_among_a_thousand() {
    for (qos, when) in
        [(QoS::AtMostOnce, WhenQueueFull::DropNewest), (QoS::AtLeastOnce, WhenQueueFull::DropOldest)]
    {
        let config = HubConfig::default().output_max(64 << 10).queue_max(20).when_queue_full(when);
        let mut desk = Desk::new(config.in_flight_max(u16::MAX));
        let mut sender = desk.join(V5, "sender");
        let mut receivers: Vec<Device> = (0..MANY).map(|n| desk.join(V3, &format!("r{n}"))).collect();
        for receiver in &mut receivers {
            desk.subscribe(receiver, "t", qos);
        }
        let mut stalled = receivers.swap_remove(MANY / 2);
        desk.subscribe(&mut stalled, "its/own", qos);
        let publish = |desk: &mut Desk, sender: &mut Device, topic, payload: &[u8]| {
            let publish = Publish::new(Topic::new(topic).unwrap(), payload);
            let id = (qos != QoS::AtMostOnce).then(|| number(1));
            desk.say(sender, &Packet::Publish(Publish { qos, id, ..publish }));
            desk.hear(sender);
        };
        // More than fits between the hub and somebody who does not read.
        for _ in 0..80 {
            publish(&mut desk, &mut sender, "its/own", &[b'x'; 64 << 10]);
        }
        let before = desk.stats();
        assert!(before.dropped_queue_full > 0, "it is full");
        for n in 0..5 {
            publish(&mut desk, &mut sender, "t", &[b'y'; 1_000]);
            for receiver in &receivers {
                let got = desk.harness.receive(receiver.peer).len();
                assert!((1_000..1_020).contains(&got), "message {n}: {got} bytes");
            }
        }
        let stats = desk.stats();
        assert_eq!(stats.dropped_queue_full - before.dropped_queue_full, 5, "and nobody else lost any");
        assert!(stats.queued <= 20 && stats.queued_bytes <= 20 * (65 << 10));
        assert!(!desk.harness.is_ended(stalled.peer));
    }
}

/// What it comes to for the server, and for each receiver, to pass on some messages; with somebody beside the receivers
/// who has stopped reading, or without.
fn passing_on(qos: QoS, when: WhenQueueFull, with_stalled: bool) -> Vec<(&'static str, u64)> {
    let config = HubConfig::default().output_max(64 << 10).queue_max(20).when_queue_full(when);
    let mut desk = Desk::new(config.in_flight_max(u16::MAX));
    let mut sender = desk.join(V5, "sender");
    let mut receivers: Vec<Device> = (0..MANY).map(|n| desk.join(V3, &format!("r{n}"))).collect();
    for receiver in &mut receivers {
        desk.subscribe(receiver, "t", qos);
    }
    let id = (qos != QoS::AtMostOnce).then(|| number(1));
    let publish = |desk: &mut Desk, sender: &mut Device, topic, payload: &[u8]| {
        let publish = Publish::new(Topic::new(topic).unwrap(), payload);
        desk.say(sender, &Packet::Publish(Publish { qos, id, ..publish }));
        desk.hear(sender);
    };
    let mut stalled = desk.join(V3, "stalled");
    if with_stalled {
        desk.subscribe(&mut stalled, "t", qos);
        desk.subscribe(&mut stalled, "its/own", qos);
        for _ in 0..80 {
            publish(&mut desk, &mut sender, "its/own", &[b'x'; 64 << 10]);
        }
    }
    // What is seen to now and then is not among what is counted.
    desk.wait(10.0);
    let counters = |desk: &Desk| desk.harness.handle().stats().counters;
    let before = counters(&desk);
    let mut bytes = 0;
    for _ in 0..20 {
        publish(&mut desk, &mut sender, "t", &[b'y'; 1_000]);
        bytes +=
            receivers.iter().map(|receiver| desk.harness.receive(receiver.peer).len() as u64).sum::<u64>();
    }
    let after = counters(&desk);
    let mut counts = vec![("received by the others", bytes)];
    let timed = ["busy_nanos", "lag_nanos", "lag_min_nanos", "overloaded_nanos"];
    counts.extend(
        after
            .entries()
            .zip(before.entries())
            .map(|((name, after), (_, before))| (name, after.saturating_sub(before)))
            // A peak is one of all that was before, the filling of what has stopped reading too.
            .filter(|(name, _)| !timed.contains(name) && !name.ends_with("_peak_bytes")),
    );
    counts
}

/// Of one that has stopped reading nobody else notices anything: the same turns, calls and bytes for their messages as
/// without it, to the last. What it costs the hub to queue a message for it, and to drop another, is in no call.
#[test]
fn one_that_has_stopped_reading_costs_the_others_nothing() {
    for (qos, when) in [
        (QoS::AtMostOnce, WhenQueueFull::DropNewest),
        (QoS::AtMostOnce, WhenQueueFull::DropOldest),
        (QoS::AtLeastOnce, WhenQueueFull::DropOldest),
    ] {
        let (without, beside) = (passing_on(qos, when, false), passing_on(qos, when, true));
        let all = MANY as u64 * 20;
        assert!(without[0].1 >= all * 1_000, "they get all of it: {without:?}");
        let writes = without.iter().find(|(name, _)| *name == "writes").unwrap().1;
        assert!((all..all + 200).contains(&writes), "each with a call of its own: {writes}");
        assert_eq!(without, beside, "{qos:?} {when:?}");
    }
}

/// Somebody who breaks a limit is told so or ended, and what others have is as it was.
#[test]
fn every_limit_has_an_end_for_who_breaks_it() {
    let publish = |topic| Publish::new(Topic::new(topic).unwrap(), b"x");
    let long = "x".repeat(600);
    type Breaks<'b> = (&'static str, HubConfig, &'b dyn Fn(&mut Desk) -> String);
    let said = |desk: &mut Desk, packet: &Packet<'_>| {
        let mut one = desk.join(V5, "bad");
        desk.say(&mut one, packet);
        desk.hear(&mut one).join("; ")
    };
    let limits: [Breaks<'_>; 11] = [
        ("packet_max", HubConfig::default().packet_max(500), &|desk| {
            said(desk, &Packet::Publish(Publish { payload: long.as_bytes(), ..publish("t") }))
        }),
        ("connect_max", HubConfig::default().connect_max(100), &|desk| {
            let (one, heard) = desk.connect(&Connect { user_name: Some(&long), ..Connect::new(V3, "bad") });
            format!("{heard}{:?}", desk.harness.why(one.peer))
        }),
        ("topic_levels_max", HubConfig::default().topic_levels_max(2), &|desk| {
            said(desk, &Packet::Publish(publish("a/b/c")))
        }),
        ("user_properties_max", HubConfig::default().user_properties_max(1), &|desk| {
            let two = properties(&[Property::User("a", "b"); 2]);
            said(desk, &Packet::Publish(Publish { properties: two.properties(), ..publish("t") }))
        }),
        ("receive_max", HubConfig::default().receive_max(1), &|desk| {
            let mut one = desk.join(V5, "bad");
            desk.publish_at(&mut one, "t", "x", QoS::ExactlyOnce, 1);
            desk.publish_at(&mut one, "t", "x", QoS::ExactlyOnce, 2).join("; ")
        }),
        ("topic_alias_max", HubConfig::default().topic_alias_max(1), &|desk| {
            let two = properties(&[Property::TopicAlias(2)]);
            said(desk, &Packet::Publish(Publish { properties: two.properties(), ..publish("t") }))
        }),
        ("sessions_max", HubConfig::default().sessions_max(2), &|desk| {
            desk.join(V5, "second");
            desk.connect(&Connect::new(V5, "bad")).1
        }),
        ("subscriptions_max", HubConfig::default().subscriptions_max(1), &|desk| {
            let mut one = desk.join(V5, "bad");
            desk.subscribe(&mut one, "a", QoS::AtMostOnce);
            desk.subscribe(&mut one, "b", QoS::AtMostOnce).join("; ")
        }),
        ("nodes_max", HubConfig::default().nodes_max(3), &|desk| {
            let mut one = desk.join(V5, "bad");
            desk.subscribe(&mut one, "a/b/c/d", QoS::AtMostOnce).join("; ")
        }),
        ("retained_max", HubConfig::default().retained_max(0), &|desk| {
            let (qos, id) = (QoS::AtLeastOnce, Some(number(1)));
            said(desk, &Packet::Publish(Publish { retain: true, qos, id, ..publish("t/u") }))
        }),
        ("qos_max", HubConfig::default().qos_max(QoS::AtMostOnce), &|desk| {
            let mut one = desk.join(V5, "bad");
            desk.publish_at(&mut one, "t", "x", QoS::AtLeastOnce, 1).join("; ")
        }),
    ];
    let wanted = [
        ("packet_max", "DISCONNECT PacketTooLarge"),
        ("connect_max", "Some(\"protocol\")"),
        ("topic_levels_max", "DISCONNECT TopicNameInvalid"),
        ("user_properties_max", "DISCONNECT QuotaExceeded"),
        ("receive_max", "DISCONNECT ReceiveMaximumExceeded"),
        ("topic_alias_max", "DISCONNECT TopicAliasInvalid"),
        ("sessions_max", "CONNACK QuotaExceeded"),
        ("subscriptions_max", "SUBACK #9 [QuotaExceeded]"),
        ("nodes_max", "SUBACK #9 [QuotaExceeded]"),
        ("retained_max", "PUBACK #1 QuotaExceeded"),
        ("qos_max", "DISCONNECT QosNotSupported"),
    ];
    for ((name, config, break_it), wanted) in limits.into_iter().zip(wanted) {
        let mut desk = Desk::new(config);
        let (mut good, _) = desk.connect(&Connect::new(V5, "good"));
        let heard = break_it(&mut desk);
        assert_eq!((name, &*heard), wanted);
        desk.subscribe(&mut good, "ok", QoS::AtMostOnce);
        desk.publish(&mut good, "ok", "x");
        assert_eq!(desk.hear(&mut good), ["PUBLISH ok \"x\" q0"], "{name}");
    }
}

//! QoS 1 and 2 in both directions.

use windlass_hub::{HubConfig, QoS, Reason, WhenExceeded};
use windlass_proto::mqtt::{Ack, Connect, Packet, Property, Publish, Topic};

use crate::kit::{Desk, V3, V5, number, properties};

#[test]
fn every_qos_to_every_qos() {
    let mut desk = Desk::new(HubConfig::default());
    for (from, to) in [(V3, V3), (V3, V5), (V5, V3), (V5, V5)] {
        for granted in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let (mut sender, mut receiver) = (desk.join(from, "sender"), desk.join(to, "receiver"));
            desk.subscribe(&mut receiver, "t", granted);
            desk.publish(&mut sender, "t", "0");
            assert_eq!(desk.hear(&mut receiver), ["PUBLISH t \"0\" q0"]);
            let acked = desk.publish_at(&mut sender, "t", "1", QoS::AtLeastOnce, 5);
            assert_eq!(acked, ["PUBACK #5 Success"]);
            let heard = desk.hear(&mut receiver);
            match granted {
                QoS::AtMostOnce => assert_eq!(heard, ["PUBLISH t \"1\" q0"]),
                _ => {
                    assert_eq!(heard, ["PUBLISH t \"1\" q1 #1"]);
                    assert!(desk.puback(&mut receiver, 1).is_empty());
                }
            }
            let acked = desk.publish_at(&mut sender, "t", "2", QoS::ExactlyOnce, 6);
            assert_eq!(acked, ["PUBREC #6 Success"]);
            desk.say(&mut sender, &Packet::Pubrel(Ack::new(number(6))));
            assert_eq!(desk.hear(&mut sender), ["PUBCOMP #6 Success"]);
            let heard = desk.hear(&mut receiver);
            match granted {
                QoS::AtMostOnce => assert_eq!(heard, ["PUBLISH t \"2\" q0"]),
                QoS::AtLeastOnce => assert_eq!(heard, ["PUBLISH t \"2\" q1 #2"]),
                QoS::ExactlyOnce => {
                    assert_eq!(heard, ["PUBLISH t \"2\" q2 #2"]);
                    desk.say(&mut receiver, &Packet::Pubrec(Ack::new(number(2))));
                    assert_eq!(desk.hear(&mut receiver), ["PUBREL #2 Success"]);
                    desk.say(&mut receiver, &Packet::Pubcomp(Ack::new(number(2))));
                    assert!(desk.hear(&mut receiver).is_empty());
                }
            }
        }
    }
}

#[test]
fn a_message_of_qos_2_is_taken_once() {
    let mut desk = Desk::new(HubConfig::default());
    let mut receiver = desk.join(V5, "receiver");
    desk.subscribe(&mut receiver, "t", QoS::AtMostOnce);
    let (mut sender, _) = desk.join_for_good(V5, "sender");
    desk.publish_at(&mut sender, "t", "x", QoS::ExactlyOnce, 7);
    assert_eq!(desk.hear(&mut receiver), ["PUBLISH t \"x\" q0"]);
    // Again in the same connection, and in the next one.
    let again = Publish {
        qos: QoS::ExactlyOnce,
        id: Some(number(7)),
        dup: true,
        ..Publish::new(Topic::new("t").unwrap(), b"x")
    };
    desk.say(&mut sender, &Packet::Publish(again));
    assert_eq!(desk.hear(&mut sender), ["PUBREC #7 Success"]);
    desk.lose(&sender);
    let (mut sender, heard) = desk.join_for_good(V5, "sender");
    assert_eq!(heard, "CONNACK Success present");
    desk.say(&mut sender, &Packet::Publish(again));
    assert_eq!(desk.hear(&mut sender), ["PUBREC #7 Success"]);
    desk.say(&mut sender, &Packet::Pubrel(Ack::new(number(7))));
    assert_eq!(desk.hear(&mut sender), ["PUBCOMP #7 Success"]);
    assert!(desk.hear(&mut receiver).is_empty(), "it came once");
    desk.say(&mut sender, &Packet::Pubrel(Ack::new(number(7))));
    assert_eq!(desk.hear(&mut sender), ["PUBCOMP #7 PacketIdentifierNotFound"]);
    desk.say(&mut sender, &Packet::Publish(Publish { dup: false, ..again }));
    assert_eq!(desk.hear(&mut receiver), ["PUBLISH t \"x\" q0"], "a new one");
}

#[test]
fn what_is_in_flight_is_sent_again_in_its_order() {
    let mut desk = Desk::new(HubConfig::default());
    let mut sender = desk.join(V5, "sender");
    let (mut receiver, _) = desk.join_for_good(V5, "receiver");
    desk.subscribe(&mut receiver, "t", QoS::ExactlyOnce);
    desk.publish_at(&mut sender, "t", "1", QoS::AtLeastOnce, 1);
    desk.publish_at(&mut sender, "t", "2", QoS::ExactlyOnce, 2);
    desk.publish_at(&mut sender, "t", "3", QoS::ExactlyOnce, 3);
    assert_eq!(
        desk.hear(&mut receiver),
        ["PUBLISH t \"1\" q1 #1", "PUBLISH t \"2\" q2 #2", "PUBLISH t \"3\" q2 #3"]
    );
    desk.say(&mut receiver, &Packet::Pubrec(Ack::new(number(2))));
    assert_eq!(desk.hear(&mut receiver), ["PUBREL #2 Success"]);
    desk.lose(&receiver);
    desk.publish_at(&mut sender, "t", "4", QoS::AtLeastOnce, 4);
    let (mut receiver, heard) = desk.join_for_good(V5, "receiver");
    assert_eq!(
        heard,
        "CONNACK Success present; PUBLISH t \"1\" q1 #1 dup; PUBREL #2 Success; PUBLISH t \"3\" q2 #3 dup; \
         PUBLISH t \"4\" q1 #4"
    );
    // What is refused is over ([MQTT-4.3.3-9]); what nobody knows is answered.
    desk.say(&mut receiver, &Packet::Pubrec(Ack::with(number(3), Reason::QuotaExceeded)));
    assert!(desk.hear(&mut receiver).is_empty());
    desk.say(&mut receiver, &Packet::Pubrec(Ack::new(number(3))));
    assert_eq!(desk.hear(&mut receiver), ["PUBREL #3 PacketIdentifierNotFound"]);
}

#[test]
fn the_clients_receive_maximum_holds() {
    let mut desk = Desk::new(HubConfig::default());
    let mut sender = desk.join(V5, "sender");
    let two = properties(&[Property::ReceiveMaximum(2)]);
    let mut receiver =
        desk.join_with(&Connect { properties: two.properties(), ..Connect::new(V5, "receiver") });
    desk.subscribe(&mut receiver, "t", QoS::AtLeastOnce);
    for n in 1..=4 {
        desk.publish_at(&mut sender, "t", &n.to_string(), QoS::AtLeastOnce, n);
    }
    desk.publish(&mut sender, "t", "0");
    assert_eq!(
        desk.hear(&mut receiver),
        ["PUBLISH t \"1\" q1 #1", "PUBLISH t \"2\" q1 #2", "PUBLISH t \"0\" q0"],
        "QoS 0 is not held up"
    );
    assert_eq!(desk.puback(&mut receiver, 2), ["PUBLISH t \"3\" q1 #3"]);
    assert_eq!(desk.puback(&mut receiver, 1), ["PUBLISH t \"4\" q1 #4"]);
    assert!(desk.puback(&mut receiver, 3).is_empty());
}

#[test]
fn the_hubs_receive_maximum_holds_if_it_shall() {
    for when in [WhenExceeded::Disconnect, WhenExceeded::Warn] {
        let mut desk = Desk::new(HubConfig::default().receive_max(2).when_receive_exceeded(when));
        let (mut five, heard) = desk.connect(&Connect::new(V5, "five"));
        assert_eq!(heard, "CONNACK Success ReceiveMaximum(2)");
        let mut three = desk.join(V3, "three");
        for n in 1..=3 {
            let heard = desk.publish_at(&mut five, "t", "x", QoS::ExactlyOnce, n);
            let wanted = match (n, when) {
                (3, WhenExceeded::Disconnect) => "DISCONNECT ReceiveMaximumExceeded".to_string(),
                _ => format!("PUBREC #{n} NoMatchingSubscribers"),
            };
            assert_eq!(heard, [wanted]);
            let heard = desk.publish_at(&mut three, "t", "x", QoS::ExactlyOnce, n);
            assert_eq!(heard, [format!("PUBREC #{n} Success")], "3.1.1 knows of no maximum");
        }
        assert_eq!(desk.harness.is_ended(five.peer), when == WhenExceeded::Disconnect);
    }
}

#[test]
fn it_is_that_of_the_version_a_session_goes_on_in() {
    // How many of five come through, of a session that goes on in version 5 and then in 3.1.1.
    let mut desk = Desk::new(HubConfig::default().receive_max(2));
    let (mut one, _) = desk.join_for_good(V3, "one");
    desk.publish_at(&mut one, "t", "x", QoS::AtLeastOnce, 1);
    desk.lose(&one);
    let (mut one, heard) = desk.join_for_good(V5, "one");
    assert_eq!(heard, "CONNACK Success present ReceiveMaximum(2)");
    for n in 1..=2 {
        assert_eq!(desk.publish_at(&mut one, "t", "x", QoS::ExactlyOnce, n).len(), 1);
    }
    let heard = desk.publish_at(&mut one, "t", "x", QoS::ExactlyOnce, 3);
    assert_eq!(heard, ["DISCONNECT ReceiveMaximumExceeded"], "it was told");
    let (mut one, heard) = desk.join_for_good(V3, "one");
    assert_eq!(heard, "CONNACK Success present");
    for n in 3..=5 {
        let heard = desk.publish_at(&mut one, "t", "x", QoS::ExactlyOnce, n);
        assert_eq!(heard, [format!("PUBREC #{n} Success")], "3.1.1 knows of no maximum");
    }
}

#[test]
fn messages_of_one_topic_come_in_order() {
    let mut desk = Desk::new(HubConfig::default().in_flight_max(3));
    let mut sender = desk.join(V5, "sender");
    let (mut receiver, _) = desk.join_for_good(V3, "receiver");
    desk.subscribe(&mut receiver, "t", QoS::AtLeastOnce);
    let (mut next, mut seen) = (1_u16, Vec::new());
    for round in 0..60 {
        if round % 13 == 12 {
            desk.lose(&receiver);
            receiver = desk.join_for_good(V3, "receiver").0;
        }
        for _ in 0..round % 4 {
            desk.publish_at(&mut sender, "t", &next.to_string(), QoS::AtLeastOnce, next);
            next += 1;
        }
        for heard in desk.hear(&mut receiver) {
            let (text, id) = heard.split_once(" q1 #").unwrap();
            let id: u16 = id.split(' ').next().unwrap().parse().unwrap();
            seen.push(text.trim_start_matches("PUBLISH t ").trim_matches('"').parse::<u16>().unwrap());
            desk.say(&mut receiver, &Packet::Puback(Ack::new(number(id))));
        }
    }
    for _ in 0..next {
        for heard in desk.hear(&mut receiver) {
            let (text, id) = heard.split_once(" q1 #").unwrap();
            seen.push(text.trim_start_matches("PUBLISH t ").trim_matches('"').parse::<u16>().unwrap());
            desk.say(&mut receiver, &Packet::Puback(Ack::new(number(id.parse().unwrap()))));
        }
    }
    // Some came twice, where a connection was lost; the first of each are in order, and none is missing.
    let mut first = Vec::new();
    for n in seen {
        if !first.contains(&n) {
            first.push(n);
        }
    }
    assert_eq!(first, (1..next).collect::<Vec<_>>());
}

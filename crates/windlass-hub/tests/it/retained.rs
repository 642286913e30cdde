//! Retained messages, and the three options of a subscription that are about them.

use windlass_hub::{HubConfig, QoS};
use windlass_proto::mqtt::{Packet, Property, Publish, RetainHandling, SubscribeOptions, Topic};

use crate::kit::{Desk, V3, V5, properties};

#[test]
fn the_last_message_of_a_topic_is_kept() {
    let mut desk = Desk::new(HubConfig::default());
    let mut sender = desk.join(V3, "sender");
    desk.retain(&mut sender, "a/1", "first");
    desk.retain(&mut sender, "a/1", "second");
    desk.retain(&mut sender, "a/2", "other");
    desk.publish(&mut sender, "a/1", "not kept");
    for version in [V3, V5] {
        let mut one = desk.join(version, "one");
        assert_eq!(
            desk.subscribe(&mut one, "a/1", QoS::AtLeastOnce),
            ["SUBACK #9 [GrantedQos1]", "PUBLISH a/1 \"second\" q0 retain"]
        );
        // Those that come later are not said to be retained ([MQTT-3.3.1-9] of 3.1.1).
        desk.retain(&mut sender, "a/1", "second");
        assert_eq!(desk.hear(&mut one), ["PUBLISH a/1 \"second\" q0"]);
        let mut all = desk.subscribe(&mut one, "a/+", QoS::AtMostOnce);
        all.sort();
        assert_eq!(
            all,
            ["PUBLISH a/1 \"second\" q0 retain", "PUBLISH a/2 \"other\" q0 retain", "SUBACK #9 [Success]"]
        );
    }
    desk.retain(&mut sender, "a/1", "");
    let mut one = desk.join(V5, "one");
    assert_eq!(desk.subscribe(&mut one, "a/1", QoS::AtLeastOnce), ["SUBACK #9 [GrantedQos1]"]);
    let stats = desk.stats();
    assert_eq!((stats.retained, stats.retained_bytes > 0), (1, true));
}

#[test]
fn a_subscription_says_which_come() {
    let mut desk = Desk::new(HubConfig::default());
    let mut sender = desk.join(V5, "sender");
    desk.retain(&mut sender, "a", "x");
    let mut one = desk.join(V5, "one");
    let options = |retain_handling| SubscribeOptions { retain_handling, ..SubscribeOptions::default() };
    let (new, none) = (options(RetainHandling::SendIfNew), options(RetainHandling::DoNotSend));
    assert_eq!(desk.subscribe_with(&mut one, "a", new, 0).len(), 2);
    assert_eq!(desk.subscribe_with(&mut one, "a", new, 0).len(), 1, "[MQTT-3.3.1-10]");
    assert_eq!(desk.subscribe_with(&mut one, "+", none, 0).len(), 1, "[MQTT-3.3.1-11]");
    assert_eq!(desk.subscribe_with(&mut one, "a", options(RetainHandling::Send), 0).len(), 2);
    assert_eq!(
        desk.subscribe(&mut one, "$share/g/a", QoS::AtMostOnce).len(),
        1,
        "a shared one begins with none"
    );
}

#[test]
fn a_subscription_keeps_the_flag_if_it_says_so() {
    let mut desk = Desk::new(HubConfig::default());
    let mut sender = desk.join(V5, "sender");
    let mut one = desk.join(V5, "one");
    let keep = SubscribeOptions { retain_as_published: true, ..SubscribeOptions::default() };
    desk.subscribe_with(&mut one, "a", keep, 0);
    desk.retain(&mut sender, "a", "x");
    desk.publish(&mut sender, "a", "y");
    desk.retain(&mut sender, "a", "");
    assert_eq!(
        desk.hear(&mut one),
        ["PUBLISH a \"x\" q0 retain", "PUBLISH a \"y\" q0", "PUBLISH a \"\" q0 retain"]
    );
}

#[test]
fn retained_messages_expire() {
    let mut desk = Desk::new(HubConfig::default());
    let mut sender = desk.join(V5, "sender");
    let expiry = properties(&[Property::MessageExpiry(10)]);
    desk.say(
        &mut sender,
        &Packet::Publish(Publish {
            retain: true,
            properties: expiry.properties(),
            ..Publish::new(Topic::new("a").unwrap(), b"x")
        }),
    );
    desk.wait(4.0);
    let mut one = desk.join(V5, "one");
    let heard = desk.subscribe(&mut one, "a", QoS::AtMostOnce);
    assert_eq!(heard[1], "PUBLISH a \"x\" q0 retain MessageExpiry(6)", "[MQTT-3.3.2-6]");
    desk.wait(6.5);
    assert_eq!(desk.subscribe(&mut one, "a", QoS::AtMostOnce).len(), 1);
    assert_eq!(desk.stats().retained, 0, "nobody asks for it, and it is gone");
}

#[test]
fn a_hundred_thousand_come_without_end_to_anybody() {
    let mut desk = Desk::new(HubConfig::default().queue_max(10));
    let mut sender = desk.join(V5, "sender");
    for n in 0..5_000 {
        desk.retain(&mut sender, &format!("a/{}/{n}", n % 7), "x");
    }
    let mut one = desk.join(V5, "one");
    let mut heard = desk.subscribe(&mut one, "#", QoS::AtMostOnce);
    for _ in 0..40 {
        desk.wait(0.01);
        heard.extend(desk.hear(&mut one));
    }
    assert_eq!(heard.len(), 5_001, "the limits of the queue do not matter to them");
    assert_eq!(desk.stats().dropped_queue_full, 0);
}

/// Retains so many messages of QoS 1.
fn with_retained(count: u16) -> Desk {
    let mut desk = Desk::new(HubConfig::default());
    let mut sender = desk.join(V5, "sender");
    for n in 1..=count {
        let topic = format!("a/{n}");
        let publish = Publish::new(Topic::new(&topic).unwrap(), b"x");
        let (qos, id) = (QoS::AtLeastOnce, Some(crate::kit::number(n)));
        desk.say(&mut sender, &Packet::Publish(Publish { retain: true, qos, id, ..publish }));
        desk.hear(&mut sender);
    }
    desk
}

/// The topics of what is heard until nothing comes any more, each message acknowledged.
fn topics_of_all(desk: &mut Desk, device: &mut crate::kit::Device, mut heard: Vec<String>) -> Vec<String> {
    let mut topics = Vec::new();
    while !heard.is_empty() {
        let mut next = Vec::new();
        for text in heard.iter().filter(|text| text.starts_with("PUBLISH")) {
            let words: Vec<&str> = text.split(' ').collect();
            topics.push(words[1].to_owned());
            let id = words.iter().find_map(|word| word.strip_prefix('#')).unwrap();
            next.extend(desk.puback(device, id.parse().unwrap()));
        }
        heard = next;
    }
    topics
}

#[test]
fn what_a_lost_connection_broke_off_goes_on_in_the_next() {
    let mut desk = with_retained(200);
    for version in [V3, V5] {
        let (mut one, _) = desk.join_for_good(version, "one");
        let heard = desk.subscribe(&mut one, "a/+", QoS::AtLeastOnce);
        assert_eq!(heard.len(), 1 + 20, "as many as may be in flight");
        desk.lose(&one);
        desk.wait(1.0);
        let (mut one, heard) = desk.join_for_good(version, "one");
        let heard = heard.split("; ").map(str::to_owned).collect();
        let mut topics = topics_of_all(&mut desk, &mut one, heard);
        topics.sort();
        topics.dedup();
        assert_eq!(topics.len(), 200, "{version:?}");
        desk.say(
            &mut one,
            &Packet::Disconnect(windlass_proto::mqtt::Disconnect::new(windlass_hub::Reason::Success)),
        );
        // It is over, and does not begin again.
        let (mut one, heard) = desk.join_for_good(version, "one");
        assert!(heard.starts_with("CONNACK Success present") && !heard.contains("PUBLISH"), "{heard}");
        desk.unsubscribe(&mut one, "a/+");
        desk.lose(&one);
    }
}

/// However often a client asks and acknowledges nothing, what waits for it is one search for each filter.
#[test]
fn who_asks_again_and_again_is_answered_once_more() {
    let mut desk = with_retained(200);
    let mut one = desk.join(V5, "one");
    let mut heard = desk.subscribe(&mut one, "a/+", QoS::AtLeastOnce);
    for _ in 0..50 {
        heard.extend(desk.subscribe(&mut one, "a/+", QoS::AtLeastOnce));
    }
    let topics = topics_of_all(&mut desk, &mut one, heard);
    assert!((200..=300).contains(&topics.len()), "{}", topics.len());
}

#[test]
fn who_does_not_want_them_any_more_gets_what_was_found() {
    let mut desk = with_retained(200);
    let mut one = desk.join(V5, "one");
    let mut heard = desk.subscribe(&mut one, "a/+", QoS::AtLeastOnce);
    heard.extend(desk.unsubscribe(&mut one, "a/+"));
    let topics = topics_of_all(&mut desk, &mut one, heard);
    assert!((20..=100).contains(&topics.len()), "[MQTT-3.10.4-2]: {}", topics.len());
}

#[test]
fn limits_of_retained_messages_are_kept() {
    let mut desk = Desk::new(HubConfig::default().retained_max(2));
    let mut sender = desk.join(V5, "sender");
    for topic in ["a", "b"] {
        desk.retain(&mut sender, topic, "x");
    }
    let third = Publish {
        retain: true,
        qos: QoS::AtLeastOnce,
        id: Some(crate::kit::number(1)),
        ..Publish::new(Topic::new("c").unwrap(), b"x")
    };
    desk.say(&mut sender, &Packet::Publish(third));
    assert_eq!(desk.hear(&mut sender), ["PUBACK #1 QuotaExceeded"]);
    desk.retain(&mut sender, "a", "another in its place");
    let stats = desk.stats();
    assert_eq!((stats.retained, stats.retained_refused), (2, 1));
    let mut desk = Desk::new(HubConfig::default().retained_bytes_max(100));
    let mut sender = desk.join(V5, "sender");
    for n in 0..50 {
        desk.retain(&mut sender, &format!("t/{n}"), "0123456789");
    }
    assert!(desk.stats().retained_bytes <= 100);
}

#[test]
fn a_hub_may_retain_nothing() {
    let mut desk = Desk::new(HubConfig::default().retain(false));
    let (mut sender, heard) = desk.connect(&windlass_proto::mqtt::Connect::new(V5, "sender"));
    assert_eq!(heard, "CONNACK Success RetainAvailable(false)");
    desk.retain(&mut sender, "a", "x");
    assert_eq!(desk.hear(&mut sender), ["DISCONNECT RetainNotSupported"]);
}

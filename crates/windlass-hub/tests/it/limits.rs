//! Limits, slow consumers, and what is dropped by which policy.

use windlass_hub::{HubConfig, QoS, WhenQueueFull};
use windlass_proto::mqtt::{Packet, Property};

use crate::kit::{Desk, V3, V5, properties};

/// What waits for somebody who was away while ten messages came, three of which may wait.
fn waiting(when: WhenQueueFull) -> (String, u64) {
    let mut desk = Desk::new(HubConfig::default().queue_max(3).when_queue_full(when));
    let mut sender = desk.join(V5, "sender");
    let (mut one, _) = desk.join_for_good(V5, "one");
    desk.subscribe(&mut one, "t", QoS::AtLeastOnce);
    desk.lose(&one);
    for n in 1..=10 {
        desk.publish_at(&mut sender, "t", &n.to_string(), QoS::AtLeastOnce, n);
    }
    let stats = desk.stats();
    assert_eq!(stats.queued, 3);
    let (_, heard) = desk.join_for_good(V5, "one");
    let all: Vec<&str> = heard.split("; ").skip(1).filter_map(|text| text.split('"').nth(1)).collect();
    (all.join(" "), stats.dropped_queue_full)
}

#[test]
fn a_queue_has_a_length() {
    assert_eq!(waiting(WhenQueueFull::DropNewest), ("1 2 3".into(), 7));
    assert_eq!(waiting(WhenQueueFull::DropOldest), ("8 9 10".into(), 7));
    assert_eq!(waiting(WhenQueueFull::Disconnect), ("1 2 3".into(), 7));
}

#[test]
fn a_queue_has_a_size() {
    let mut desk = Desk::new(HubConfig::default().queue_bytes_max(5_000));
    let mut sender = desk.join(V5, "sender");
    let (mut one, _) = desk.join_for_good(V3, "one");
    desk.subscribe(&mut one, "t", QoS::AtLeastOnce);
    desk.lose(&one);
    for n in 1..=10 {
        desk.publish_at(&mut sender, "t", &"x".repeat(1_000), QoS::AtLeastOnce, n);
    }
    let stats = desk.stats();
    assert!(stats.queued == 4 && stats.queued_bytes <= 5_000, "{} {}", stats.queued, stats.queued_bytes);
}

#[test]
fn who_does_not_acknowledge_is_disconnected_where_that_is_the_policy() {
    let config = HubConfig::default().queue_max(3).when_queue_full(WhenQueueFull::Disconnect);
    let mut desk = Desk::new(config.in_flight_max(2));
    let mut sender = desk.join(V5, "sender");
    let (mut one, _) = desk.join_for_good(V5, "one");
    desk.subscribe(&mut one, "t", QoS::AtLeastOnce);
    for n in 1..=6 {
        desk.publish_at(&mut sender, "t", "x", QoS::AtLeastOnce, n);
    }
    assert_eq!(desk.hear(&mut one).last().unwrap(), "DISCONNECT QuotaExceeded");
    let stats = desk.stats();
    assert_eq!((stats.slow_consumers, stats.dropped_queue_full, stats.queued), (1, 1, 3));
    let (_, heard) = desk.join_for_good(V5, "one");
    assert_eq!(heard.matches("PUBLISH").count(), 2, "what it had, it keeps: {heard}");
}

#[test]
fn one_that_stops_reading_holds_nobody_up() {
    let config = HubConfig::default().queue_max(100).output_max(64 * 1024);
    let mut desk = Desk::new(config);
    let mut sender = desk.join(V5, "sender");
    let (mut slow, mut fast) = (desk.join(V5, "slow"), desk.join(V3, "fast"));
    desk.subscribe(&mut slow, "t", QoS::AtMostOnce);
    desk.subscribe(&mut fast, "t", QoS::AtMostOnce);
    let payload = "x".repeat(1_000);
    let mut heard = 0;
    for _ in 0..3_000 {
        desk.publish(&mut sender, "t", &payload);
        heard += desk.hear(&mut fast).len();
    }
    assert_eq!(heard, 3_000);
    let stats = desk.stats();
    assert!(stats.dropped_queue_full > 300, "{}", stats.dropped_queue_full);
    assert_eq!(stats.queued, 100);
    // It reads on, and gets what waited, in order; what comes then is not held up.
    let mut got = 0;
    loop {
        let some = desk.hear(&mut slow).len();
        if some == 0 {
            break;
        }
        got += some as u64;
    }
    assert_eq!(got + stats.dropped_queue_full, 3_000);
    desk.publish(&mut sender, "t", "last");
    assert_eq!(desk.hear(&mut slow), ["PUBLISH t \"last\" q0"]);
}

#[test]
fn what_has_expired_makes_room_first() {
    let mut desk = Desk::new(HubConfig::default().queue_max(2));
    let mut sender = desk.join(V5, "sender");
    let (mut one, _) = desk.join_for_good(V5, "one");
    desk.subscribe(&mut one, "t", QoS::AtLeastOnce);
    desk.lose(&one);
    let short = properties(&[Property::MessageExpiry(1)]);
    for payload in ["a", "b"] {
        desk.say(
            &mut sender,
            &Packet::Publish(windlass_proto::mqtt::Publish {
                qos: QoS::AtLeastOnce,
                id: Some(crate::kit::number(1)),
                properties: short.properties(),
                ..windlass_proto::mqtt::Publish::new(
                    windlass_proto::mqtt::Topic::new("t").unwrap(),
                    payload.as_bytes(),
                )
            }),
        );
        desk.hear(&mut sender);
    }
    desk.wait(2.0);
    desk.publish_at(&mut sender, "t", "c", QoS::AtLeastOnce, 2);
    let stats = desk.stats();
    assert_eq!((stats.dropped_expired, stats.dropped_queue_full), (2, 0));
    assert_eq!(desk.join_for_good(V5, "one").1, "CONNACK Success present; PUBLISH t \"c\" q1 #1");
}

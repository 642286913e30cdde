//! One bound on what is kept: what there is no room for is refused with a reason, and what goes gives its room back.

use std::time::Duration;

use windlass_hub::{HubConfig, QoS, WhenQueueFull};

use crate::kit::{Desk, V3, V5};

/// So much, and what each further worker has for packets.
fn limit(bytes: usize) -> usize {
    bytes + 5 * 2_000 * (crate::workers::workers() - 1)
}

/// Packets are short, so that what is kept is most of it.
fn bounded(bytes: usize) -> HubConfig {
    HubConfig::default()
        .packet_max(2_000)
        .connect_max(2_000)
        .sys_interval(Duration::ZERO)
        .memory_max(limit(bytes))
}

#[test]
fn without_room_for_a_session_nobody_is_let_in() {
    let mut desk = Desk::new(bounded(40_000));
    let mut joined = Vec::new();
    let refused = loop {
        let (device, heard) =
            desk.connect(&windlass_proto::mqtt::Connect::new(V5, &format!("device {}", joined.len())));
        if !heard.starts_with("CONNACK Success") {
            break heard;
        }
        joined.push(device);
    };
    assert_eq!(refused, "CONNACK QuotaExceeded");
    assert!((2..8).contains(&joined.len()), "{}", joined.len());
    let stats = desk.stats();
    assert_eq!((stats.memory_sessions_refused, stats.sessions), (1, joined.len() as u64));
    assert!(stats.memory_used <= limit(40_000) as u64);
    // Whoever leaves makes room for another, as often as one likes.
    for n in 0..20 {
        let one = joined.pop().unwrap();
        desk.lose(&one);
        joined.push(desk.join(V3, &format!("next {n}")));
    }
    // One that is gone leaves nothing behind but the length of another's name.
    let used = desk.stats().memory_used;
    assert!(used.abs_diff(stats.memory_used) < 20, "{used}, and {} before", stats.memory_used);
}

#[test]
fn without_room_a_subscription_is_refused() {
    let mut desk = Desk::new(bounded(40_000));
    let mut one = desk.join(V5, "one");
    let before = desk.stats().memory_used;
    let mut filters = Vec::new();
    let refused = loop {
        let filter = format!("a/long/way/to/{}", filters.len());
        let heard = desk.subscribe(&mut one, &filter, QoS::AtMostOnce);
        if heard != ["SUBACK #9 [Success]"] {
            break heard;
        }
        filters.push(filter);
    };
    assert_eq!(refused, ["SUBACK #9 [QuotaExceeded]"]);
    assert!((5..60).contains(&filters.len()), "{}", filters.len());
    assert_eq!(desk.subscribe(&mut one, &filters[0], QoS::AtLeastOnce), ["SUBACK #9 [GrantedQos1]"], "known");
    desk.unsubscribe(&mut one, &filters[1]);
    assert_eq!(desk.subscribe(&mut one, "a/long/way/to/x", QoS::AtMostOnce), ["SUBACK #9 [Success]"]);
    assert_eq!(desk.stats().memory_subscriptions_refused, 1);
    filters.push("a/long/way/to/x".into());
    for filter in filters {
        desk.unsubscribe(&mut one, &filter);
    }
    assert_eq!(desk.stats().memory_used, before, "all of it is given back");
}

#[test]
fn without_room_nothing_more_is_retained() {
    let mut desk = Desk::new(bounded(40_000));
    let mut one = desk.join(V5, "one");
    let before = desk.stats().memory_used;
    let payload = "x".repeat(1_000);
    let retain = |desk: &mut Desk, one: &mut _, topic: &str, payload: &str| {
        use windlass_proto::mqtt::{Packet, Publish, Topic};
        let publish = Publish::new(Topic::new(topic).unwrap(), payload.as_bytes());
        let id = Some(crate::kit::number(1));
        desk.say(one, &Packet::Publish(Publish { qos: QoS::AtLeastOnce, id, retain: true, ..publish }));
        desk.hear(one).join("; ")
    };
    let mut kept = 0;
    let refused = loop {
        let heard = retain(&mut desk, &mut one, &format!("t/{kept}"), &payload);
        if heard != "PUBACK #1 NoMatchingSubscribers" {
            break heard;
        }
        kept += 1;
    };
    assert_eq!(refused, "PUBACK #1 QuotaExceeded");
    assert!((5..30).contains(&kept), "{kept}");
    // What takes the place of another finds its room.
    assert_eq!(retain(&mut desk, &mut one, "t/0", &"y".repeat(1_000)), "PUBACK #1 NoMatchingSubscribers");
    assert_eq!(retain(&mut desk, &mut one, "t/0", ""), "PUBACK #1 NoMatchingSubscribers");
    assert_eq!(retain(&mut desk, &mut one, "t/new", &payload), "PUBACK #1 NoMatchingSubscribers");
    let stats = desk.stats();
    assert_eq!((stats.memory_retained_refused, stats.retained_refused, stats.retained), (1, 1, kept));
    for n in 1..kept {
        retain(&mut desk, &mut one, &format!("t/{n}"), "");
    }
    retain(&mut desk, &mut one, "t/new", "");
    assert_eq!(desk.stats().memory_used, before, "all of it is given back");
}

/// What waits for one who is away, and what was dropped for want of memory, when far too much comes.
fn waiting(when: WhenQueueFull) -> (Vec<u32>, u64) {
    let mut desk = Desk::new(bounded(60_000).when_queue_full(when).queue_max(1_000));
    let mut sender = desk.join(V5, "sender");
    let (mut one, _) = desk.join_for_good(V5, "one");
    desk.subscribe(&mut one, "t", QoS::AtLeastOnce);
    desk.lose(&one);
    for n in 1..=100_u16 {
        let payload = format!("{n:<1000}");
        let heard = desk.publish_at(&mut sender, "t", &payload, QoS::AtLeastOnce, n);
        assert_eq!(heard, [format!("PUBACK #{n} Success")], "the sender is served");
    }
    let stats = desk.stats();
    assert!(stats.memory_used <= limit(60_000) as u64 && stats.queued > 10, "{stats:?}");
    let (mut one, heard) = desk.join_for_good(V5, "one");
    let mut all = Vec::new();
    let mut heard: Vec<String> = heard.split("; ").skip(1).map(Into::into).collect();
    while !heard.is_empty() {
        let mut acks = Vec::new();
        for text in &heard {
            all.push(text.split('"').nth(1).unwrap().trim().parse().unwrap());
            let id = text.split('#').nth(1).unwrap();
            acks.push(id.split_whitespace().next().unwrap().parse().unwrap());
        }
        heard = acks.into_iter().flat_map(|id| desk.puback(&mut one, id)).collect();
    }
    (all, stats.memory_messages_dropped)
}

#[test]
fn without_room_a_message_is_dropped_as_the_policy_says() {
    let (got, dropped) = waiting(WhenQueueFull::DropNewest);
    assert_eq!(got, (1..=got.len() as u32).collect::<Vec<_>>(), "the first ones");
    assert_eq!(got.len() as u64 + dropped, 100);
    let (got, dropped) = waiting(WhenQueueFull::DropOldest);
    assert_eq!(got, (101 - got.len() as u32..=100).collect::<Vec<_>>(), "the last ones");
    assert_eq!(got.len() as u64 + dropped, 100);
}

#[test]
fn a_message_is_counted_once_however_many_have_it_waiting() {
    let mut desk = Desk::new(bounded(200_000));
    let mut sender = desk.join(V5, "sender");
    for n in 0..10 {
        let (mut one, _) = desk.join_for_good(V5, &format!("one {n}"));
        desk.subscribe(&mut one, "t", QoS::AtLeastOnce);
        desk.lose(&one);
    }
    let before = desk.stats().memory_used;
    desk.publish_at(&mut sender, "t", &"x".repeat(1_500), QoS::AtLeastOnce, 1);
    let stats = desk.stats();
    assert_eq!(stats.queued, 10);
    assert!((1_500..4_000).contains(&(stats.memory_used - before)), "{}", stats.memory_used - before);
}

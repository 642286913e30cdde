//! One bound on what is kept: what there is no room for is refused with a reason, and what goes gives its room back.

use std::time::Duration;

use windlass_hub::journal::LogConfig;
use windlass_hub::{HubConfig, QoS, WhenQueueFull};
use windlass_proto::mqtt::{Connect, Packet, Properties, Property, Publish, Topic, Will};
use windlass_proto::ws::Opcode;

use crate::durable::{disk, on, serving};
use crate::kit::{Desk, Device, V3, V5, properties};
use crate::websocket::{REQUEST, frame};

/// Packets are short, so that what is kept is most of it.
fn bounded(bytes: usize) -> HubConfig {
    HubConfig::default().packet_max(2_000).connect_max(2_000).sys_interval(Duration::ZERO).memory_max(bytes)
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
    assert!((30..80).contains(&joined.len()), "{}", joined.len());
    let stats = desk.stats();
    assert_eq!((stats.memory_sessions_refused, stats.sessions), (1, joined.len() as u64));
    assert!(stats.memory_used <= 40_000);
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
    assert_eq!(desk.subscribe(&mut one, &filters[0], QoS::AtMostOnce), ["SUBACK #9 [Success]"], "known");
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
    let payload = "x".repeat(1_000);
    let retain = |desk: &mut Desk, one: &mut _, topic: &str, payload: &str| {
        use windlass_proto::mqtt::{Packet, Publish, Topic};
        let publish = Publish::new(Topic::new(topic).unwrap(), payload.as_bytes());
        let id = Some(crate::kit::number(1));
        desk.say(one, &Packet::Publish(Publish { qos: QoS::AtLeastOnce, id, retain: true, ..publish }));
        desk.hear(one).join("; ")
    };
    // With what is known of messages in flight from now on.
    retain(&mut desk, &mut one, "t/first", "");
    let before = desk.stats().memory_used;
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
    assert!(stats.memory_used <= 60_000 && stats.queued > 10, "{stats:?}");
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
    desk.publish_at(&mut sender, "to nobody", "", QoS::AtLeastOnce, 1);
    let before = desk.stats().memory_used;
    desk.publish_at(&mut sender, "t", &"x".repeat(1_500), QoS::AtLeastOnce, 2);
    let stats = desk.stats();
    assert_eq!(stats.queued, 10);
    assert!((1_500..4_000).contains(&(stats.memory_used - before)), "{}", stats.memory_used - before);
}

#[test]
fn a_bound_alone_leaves_room_for_clients() {
    // However long packets may be, and however many workers put them together.
    for bytes in [1 << 20, 8 << 20] {
        let config = HubConfig::default().memory_max(bytes);
        assert!(config.packet_max * 5 > bytes, "each of them has room for one packet in pieces");
        let mut desk = Desk::new(config);
        let mut one = desk.join(V5, "one");
        desk.subscribe(&mut one, "t", QoS::AtMostOnce);
        let used = desk.stats().memory_used as usize;
        assert!((1_000..bytes / 10).contains(&used), "{used}");
        // What is longer than there is room for finds it, and it is given back.
        let long = "l".repeat(300_000);
        desk.publish(&mut one, "t", &long);
        assert_eq!(desk.hear(&mut one).len(), 1);
        assert_eq!(desk.stats().memory_used as usize, used);
    }
}

#[test]
fn no_queue_is_emptied_for_what_that_does_not_make_room_for() {
    let mut desk = Desk::new(bounded(100_000).when_queue_full(WhenQueueFull::DropOldest).queue_max(1_000));
    let mut sender = desk.join(V5, "sender");
    for id in ["one", "two", "three"] {
        let (mut one, _) = desk.join_for_good(V5, id);
        desk.subscribe(&mut one, "t", QoS::AtLeastOnce);
        desk.lose(&one);
    }
    // All three have the same messages waiting, so what one drops is there all the same.
    let mut most = 0;
    for n in 1..=100_u16 {
        desk.publish_at(&mut sender, "t", &format!("{n:<1000}"), QoS::AtLeastOnce, n);
        let stats = desk.stats();
        assert!(stats.queued >= most, "{} after {most}", stats.queued);
        most = stats.queued;
        assert!(stats.memory_used <= 100_000);
    }
    assert!(most > 60, "{most}");
    assert_eq!(desk.stats().memory_messages_dropped, 300 - most, "the others were dropped as they came");
}

fn with_will<'c>(id: &'c str, payload: &'c [u8]) -> Connect<'c> {
    let (topic, properties) = (Topic::new("gone").unwrap(), Properties::NONE);
    let will = Will { topic, payload, qos: QoS::AtMostOnce, retain: false, properties };
    Connect { will: Some(will), ..Connect::new(V5, id) }
}

#[test]
fn wills_are_counted_and_refused() {
    let mut desk = Desk::new(bounded(40_000));
    let before = desk.stats().memory_used;
    let will = [b'w'; 1_500];
    let mut all = Vec::new();
    let refused = loop {
        let id = format!("{:02}", all.len());
        let (one, heard) = desk.connect(&with_will(&id, &will));
        if !heard.starts_with("CONNACK Success") {
            break heard;
        }
        all.push(one);
        let used = desk.stats().memory_used - before;
        assert!(used >= all.len() as u64 * 2_200, "{used} with {}", all.len());
    };
    assert_eq!(refused, "CONNACK QuotaExceeded");
    assert!(all.len() > 5);
    assert_eq!(desk.stats().memory_sessions_refused, 1);
    for one in &all {
        desk.lose(one);
    }
    assert_eq!(desk.stats().memory_used, before, "with the wills that were published");
}

fn publish_as(desk: &mut Desk, device: &mut Device, topic: &str, alias: u16) -> Vec<String> {
    let said = properties(&[Property::TopicAlias(alias)]);
    let publish = Publish::new(Topic::new(topic).unwrap(), b"x");
    desk.say(device, &Packet::Publish(Publish { properties: said.properties(), ..publish }));
    desk.hear(device)
}

#[test]
fn nothing_waits_for_a_client_that_is_ready_however_little_room_there_is() {
    let disk = disk();
    let (mut desk, _) = on(&disk, 0);
    let (mut owner, _) = desk.join_for_good(V5, "owner");
    desk.subscribe(&mut owner, "t", QoS::AtLeastOnce);
    desk.wait(1.0);
    let (mut desk, _) = serving(&disk.crash(), bounded(40_000), LogConfig::default());
    let (mut owner, _) = desk.join_for_good(V5, "owner");
    let mut sender = desk.join(V5, "sender");
    // Its own table of what is under way is there then.
    desk.publish_at(&mut sender, "nobody", "", QoS::AtLeastOnce, 1);
    desk.hear(&mut sender);
    for n in 0..100 {
        if desk.stats().memory_used > 37_000 {
            break;
        }
        desk.retain(&mut sender, &format!("r/{n}"), &"x".repeat(500));
    }
    assert!((37_000..38_500).contains(&desk.stats().memory_used), "{}", desk.stats().memory_used);
    desk.publish_at(&mut sender, "t", "hello", QoS::AtLeastOnce, 2);
    desk.wait(1.0);
    let (told, heard) = (desk.hear(&mut sender), desk.hear(&mut owner));
    assert_eq!(heard.len(), 1, "{heard:?}; {told:?}; {:?}", desk.stats());
    assert_eq!(desk.stats().queued, 0);
}

#[test]
fn topic_aliases_are_counted_and_end_whoever_needs_too_many() {
    let mut desk = Desk::new(bounded(40_000).topic_alias_max(100));
    let mut one = desk.join(V5, "one");
    let before = desk.stats().memory_used;
    let topic = |n: u16| format!("{n}{}", "/a long topic".repeat(100));
    for alias in 1..=10 {
        assert!(publish_as(&mut desk, &mut one, &topic(alias), alias).is_empty());
        let used = desk.stats().memory_used - before;
        assert!(used >= u64::from(alias) * 1_300, "{used} for {alias}");
    }
    let full = desk.stats().memory_used;
    publish_as(&mut desk, &mut one, &topic(7), 7);
    assert_eq!(desk.stats().memory_used, full, "known");
    let heard = (11..=100).find_map(|alias| {
        let heard = publish_as(&mut desk, &mut one, &topic(alias), alias);
        heard.first().cloned()
    });
    assert_eq!(heard.as_deref(), Some("DISCONNECT QuotaExceeded"));
    let stats = desk.stats();
    assert_eq!((stats.memory_clients_ended, stats.clients), (1, 0));
    assert!(stats.memory_used < before, "all of it is given back");
}

#[test]
fn topics_that_have_numbers_for_a_client_are_counted_or_said_in_full() {
    let mut desk = Desk::new(bounded(40_000).topic_alias_out_max(1_000));
    let wants = properties(&[Property::TopicAliasMaximum(1_000)]);
    let mut one = desk.join_with(&Connect { properties: wants.properties(), ..Connect::new(V5, "one") });
    desk.subscribe(&mut one, "#", QoS::AtMostOnce);
    let mut sender = desk.join(V5, "sender");
    let before = desk.stats().memory_used;
    for n in 0..100 {
        desk.publish(&mut sender, &format!("{n}{}", "/a long topic".repeat(100)), "x");
        assert_eq!(desk.hear(&mut one).len(), 1, "{n}");
        assert!(desk.stats().memory_used <= 40_000, "{n}");
    }
    assert!(desk.stats().memory_used > before + 20_000);
    desk.lose(&one);
    assert!(desk.stats().memory_used < before);
}

#[test]
fn what_has_come_of_a_message_of_a_websocket_is_counted() {
    let mut desk = Desk::new(bounded(40_000).packet_max(30_000));
    let before = desk.stats().memory_used;
    let mut all = Vec::new();
    for n in 0..5 {
        let one = desk.stranger(V5);
        desk.harness.send(one.peer, format!("{REQUEST}Sec-WebSocket-Protocol: mqtt\r\n\r\n"));
        let connect = [b"\x10\x0e\0\x04MQTT\x05\x02\0\0\0\0\x01".as_slice(), &[b'a' + n]].concat();
        desk.harness.send(one.peer, frame(Opcode::Binary, true, &connect));
        desk.harness.receive(one.peer);
        all.push(one);
    }
    let mut ended = 0;
    let joined = desk.stats().memory_used;
    for (n, one) in all.iter().enumerate() {
        // The first part of a message that goes on, and that of a packet whose messages are whole.
        let part = [b"\x30\xa0\x9c\x01\0\x01t".as_slice(), &[b'x'; 9_000]].concat();
        desk.harness.send(one.peer, frame(Opcode::Binary, n % 2 == 0, &part));
        ended += u64::from(desk.harness.why(one.peer).is_some());
        let used = desk.stats().memory_used;
        assert!(ended > 0 || used >= joined + (n as u64 + 1) * 9_000, "{used}, and {joined} before");
        assert!(used <= 40_000, "{used}");
    }
    let stats = desk.stats();
    assert!((1..4).contains(&ended), "{ended}");
    assert_eq!(stats.memory_clients_ended, ended);
    for one in &all {
        desk.lose(one);
    }
    assert_eq!(desk.stats().memory_used, before, "all of it is given back");
}

#[test]
fn what_has_come_of_a_body_is_counted_or_the_request_refused() {
    let mut desk = Desk::new(bounded(40_000).packet_max(20_000));
    let before = desk.stats().memory_used;
    let peers: Vec<_> = (0..5).map(|_| desk.harness.connect_from([127, 0, 0, 1].into())).collect();
    let mut refused = 0;
    for (n, peer) in peers.iter().enumerate() {
        let head = "POST /publish/t HTTP/1.1\r\nHost: hub\r\nContent-Length: 12000\r\n\r\n";
        desk.harness.send(*peer, [head.as_bytes(), &[b'x'; 10_000]].concat());
        let answer = String::from_utf8(desk.harness.receive(*peer)).unwrap();
        refused += u64::from(answer.starts_with("HTTP/1.1 503"));
        let used = desk.stats().memory_used;
        assert!(refused > 0 || used >= before + (n as u64 + 1) * 10_000, "{used}");
        assert!(used <= 40_000, "{used}");
    }
    let stats = desk.stats();
    assert!((1..4).contains(&refused), "{refused}");
    assert_eq!((stats.memory_requests_refused, stats.http_refused), (refused, refused));
    for peer in &peers {
        desk.harness.send(*peer, [b'x'; 2_000]);
        assert_eq!(desk.harness.why(*peer), None);
    }
    let stats = desk.stats();
    assert_eq!((stats.http_published, stats.memory_used), (5 - refused, before), "those that found room");
}

#[test]
fn what_the_journal_holds_is_kept_over_the_bound_and_may_shrink() {
    let disk = disk();
    let (mut desk, _) = on(&disk, 0);
    let (mut owner, _) = desk.join_for_good(V5, "owner");
    desk.subscribe(&mut owner, "none", QoS::AtLeastOnce);
    for n in 0..20 {
        desk.retain(&mut owner, &format!("t/{n}"), &"x".repeat(1_000));
    }
    desk.wait(1.0);
    let (mut desk, _) = serving(&disk.crash(), bounded(12_000), LogConfig::default());
    let stats = desk.stats();
    assert_eq!((stats.retained, stats.retained_refused), (20, 0), "none of them is lost");
    assert!(stats.memory_used > 20_000, "and it is known: {}", stats.memory_used);
    let (mut owner, heard) = desk.join_for_good(V5, "owner");
    assert!(heard.starts_with("CONNACK Success present"), "{heard}");
    // Nothing new is taken; but what makes room is.
    desk.retain(&mut owner, "t/new", &"x".repeat(1_000));
    desk.retain(&mut owner, "t/0", "short");
    let before = desk.stats();
    assert_eq!((before.retained, before.memory_retained_refused), (20, 1));
    assert!(before.memory_used < stats.memory_used - 900, "{}", before.memory_used);
    for n in 0..20 {
        desk.retain(&mut owner, &format!("t/{n}"), "");
    }
    let stats = desk.stats();
    assert_eq!(stats.retained, 0);
    assert!(stats.memory_used < 6_000, "all of it is given back: {}", stats.memory_used);
    desk.retain(&mut owner, "t/new", &"x".repeat(1_000));
    assert_eq!(desk.stats().retained, 1);
}

//! One bound on what is kept: what there is no room for is refused with a reason, and what goes gives its room back.

use std::time::Duration;

use windlass::Offload;
use windlass_hub::journal::{LogConfig, SimPlan};
use windlass_hub::{HubConfig, QoS, WhenQueueFull};
use windlass_proto::mqtt::{Connect, Packet, Properties, Property, Publish, Topic, Will};
use windlass_proto::ws::Opcode;

use crate::durable::{disk, on, serving};
use crate::kit::{Desk, Device, V3, V5, number, properties};
use crate::websocket::{REQUEST, frame};

/// Packets are short, so that what is kept is most of it.
pub(crate) fn bounded(bytes: usize) -> HubConfig {
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
    // Several workers know for a while that they are gone.
    assert_eq!(retain(&mut desk, &mut one, "t/0", ""), "PUBACK #1 NoMatchingSubscribers");
    assert_eq!(retain(&mut desk, &mut one, "t/1", ""), "PUBACK #1 NoMatchingSubscribers");
    assert_eq!(retain(&mut desk, &mut one, "t/new", &payload), "PUBACK #1 NoMatchingSubscribers");
    let stats = desk.stats();
    assert_eq!((stats.memory_retained_refused, stats.retained_refused, stats.retained), (1, 1, kept - 1));
    for n in 2..kept {
        retain(&mut desk, &mut one, &format!("t/{n}"), "");
    }
    retain(&mut desk, &mut one, "t/new", "");
    // Other workers know for a while of what is gone, and forget it when they hear of the next.
    desk.wait(70.0);
    retain(&mut desk, &mut one, "t/first", "");
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
    let (all, _) = received(&mut desk, "one");
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
        // And where there are several, for what they tell one another.
        let passing = if crate::workers::workers() > 1 { bytes / 8 } else { 0 };
        assert!((1_000..bytes / 10).contains(&(used - passing * 31 / 32)), "{used}");
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

pub(crate) fn with_will<'c>(id: &'c str, payload: &'c [u8]) -> Connect<'c> {
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
    let stats = desk.stats();
    assert_eq!(stats.queued, 0);
    assert!(
        stats.memory_used <= 40_000,
        "one at a time, where there is no room for more: {}",
        stats.memory_used
    );
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
    let mut desk = Desk::new(bounded(44_000).packet_max(20_000));
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
        assert!(used <= 44_000, "{used}");
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
    desk.wait(70.0);
    desk.retain(&mut owner, "t/0", "");
    let stats = desk.stats();
    assert_eq!(stats.retained, 0);
    assert!(stats.memory_used < 6_000, "all of it is given back: {}", stats.memory_used);
    desk.retain(&mut owner, "t/new", &"x".repeat(1_000));
    assert_eq!(desk.stats().retained, 1);
}

/// A hub with so many workers, whatever the tests are run with.
pub(crate) fn with_workers(workers: usize, bytes: usize) -> Desk {
    Desk::spread(workers, bounded(bytes), &Offload::default(), |hub, _, _| hub)
}

/// What a hub with so many workers has counted for these, and still has when they are gone.
fn counted(
    workers: usize,
    take: impl Fn(&mut Desk, &mut Device),
    give: impl Fn(&mut Desk, &mut Device),
) -> (u64, u64) {
    let mut desk = with_workers(workers, 1_000_000);
    let mut one = desk.join(V5, "one");
    desk.publish_at(&mut one, "to nobody", "", QoS::AtLeastOnce, 1);
    let before = desk.stats().memory_used;
    take(&mut desk, &mut one);
    let with = desk.stats().memory_used;
    give(&mut desk, &mut one);
    (with - before, desk.stats().memory_used - before)
}

#[test]
fn what_every_worker_keeps_is_counted_for_each() {
    let topics = || (0..10).map(|n| format!("a/long/way/to/the/house/{n}"));
    // Of what is 160 bytes for each of seven levels.
    let least = 10 * 7 * 150;
    for group in ["", "$share/group/"] {
        let filters = || topics().map(|topic| format!("{group}{topic}"));
        let of = |workers| {
            let subscribe = |desk: &mut Desk, one: &mut Device| {
                for filter in filters() {
                    assert_eq!(desk.subscribe(one, &filter, QoS::AtMostOnce), ["SUBACK #9 [Success]"]);
                }
            };
            let unsubscribe = |desk: &mut Desk, one: &mut Device| {
                filters().for_each(|filter| drop(desk.unsubscribe(one, &filter)));
            };
            counted(workers, subscribe, unsubscribe)
        };
        let (alone, with_three) = (of(1), of(3));
        assert!(with_three.0 >= alone.0 + 2 * least, "{group}: {with_three:?}, and {alone:?} of one");
        assert_eq!((alone.1, with_three.1), (0, 0), "{group}: all of it is given back");
    }
    let of = |workers| {
        counted(
            workers,
            |desk, one| topics().for_each(|topic| desk.retain(one, &topic, "x")),
            |desk, one| topics().for_each(|topic| desk.retain(one, &topic, "")),
        )
    };
    let (alone, with_three) = (of(1), of(3));
    assert!(with_three.0 >= alone.0 + 2 * least, "{with_three:?}, and {alone:?} of one");
    // That they are gone is known for a while.
    assert_eq!(alone.1, 0);
    assert!((1..alone.0 / 2).contains(&with_three.1), "{with_three:?}");
}

#[test]
fn a_filter_that_another_worker_has_no_room_for_is_refused() {
    let filter = |n: usize| format!("{n}{}", "/of/many/levels".repeat(3));
    // With more or less left for the last one: for nobody, or for one of the two workers.
    for bytes in (60_000..64_000).step_by(700) {
        let mut desk = with_workers(2, bytes);
        let mut one = desk.join(V5, "one");
        let before = desk.stats().memory_used;
        let mut granted = 0;
        let refused = loop {
            let heard = desk.subscribe(&mut one, &filter(granted), QoS::AtMostOnce);
            let used = desk.stats().memory_used as usize;
            assert!(used <= bytes - bytes / 32, "{used} of {bytes} with {granted}");
            if heard != ["SUBACK #9 [Success]"] {
                break heard;
            }
            granted += 1;
        };
        assert_eq!(refused, ["SUBACK #9 [QuotaExceeded]"]);
        assert!(granted > 3, "{granted}");
        assert_eq!(desk.stats().memory_subscriptions_refused, 1);
        (0..granted).for_each(|n| drop(desk.unsubscribe(&mut one, &filter(n))));
        assert_eq!(desk.stats().memory_used, before, "all of it is given back");
    }
}

/// Retains until this is left.
pub(crate) fn fill(desk: &mut Desk, one: &mut Device, bound: u64, left: u64) {
    for n in 0.. {
        if bound - desk.stats().memory_used < left + 4_000 {
            break;
        }
        desk.retain(one, &format!("fill/{n}"), &"x".repeat(1_000));
    }
    for last in ["a", "b", "c", "d", "e", "f"] {
        desk.retain(one, last, "x");
        // All that is left, or so much that another one has room.
        let more = match bound - desk.stats().memory_used - left {
            more if more > 1_500 => more.min(2_200) - 700,
            more => more,
        };
        desk.retain(one, last, &"x".repeat(1 + more as usize));
        if bound - desk.stats().memory_used == left {
            return;
        }
    }
    panic!("{:?} of {bound}", desk.stats());
}

#[test]
fn what_another_worker_passes_on_is_kept_within_the_bound_and_goes_to_who_is_there() {
    const BOUND: u64 = 200_000;
    let usable = BOUND - BOUND / 32;
    let mut desk = with_workers(2, BOUND as usize);
    assert!(desk.stats().memory_used >= usable / 8, "room for what passes is set aside");
    let mut here: Vec<_> = (0..6).map(|n| desk.join(V5, &format!("here {n}"))).collect();
    for one in &mut here {
        desk.subscribe(one, "t", QoS::AtMostOnce);
    }
    for n in 0..6 {
        let (mut away, _) = desk.join_for_good(V5, &format!("away {n}"));
        desk.subscribe(&mut away, "t", QoS::AtLeastOnce);
        desk.lose(&away);
    }
    let mut senders: Vec<_> = (0..4).map(|n| desk.join(V5, &format!("sender {n}"))).collect();
    for (n, sender) in senders.iter_mut().enumerate() {
        desk.publish_at(sender, &format!("nobody/{n}"), "", QoS::AtLeastOnce, 1);
    }
    // There is room for some places in queues, and not for a message.
    let usable = BOUND - BOUND / 32;
    fill(&mut desk, &mut senders[0], usable, 1_000);
    let before = desk.stats();
    assert!(
        before.memory_used < BOUND - 900 && before.memory_used > usable - 3_000,
        "{}",
        before.memory_used
    );
    let long = "x".repeat(1_800);
    for round in 0..5 {
        for sender in &mut senders {
            desk.publish_at(sender, "t", &long, QoS::AtLeastOnce, 2 + round);
        }
        let stats = desk.stats();
        assert!(
            stats.memory_used <= before.memory_used,
            "{} after {}",
            stats.memory_used,
            before.memory_used
        );
    }
    for one in &mut here {
        assert_eq!(desk.hear(one).len(), 20, "what is not kept needs no room");
    }
    let stats = desk.stats();
    assert_eq!((stats.queued, stats.memory_messages_dropped), (0, 5 * 4 * 6));
}

#[test]
fn who_does_not_keep_to_the_receive_maximum_is_counted_and_ends() {
    let mut desk = Desk::new(bounded(300_000));
    // Clients of 3.1.1 cannot know.
    let mut one = desk.join(V3, "one");
    desk.publish_at(&mut one, "t", "", QoS::ExactlyOnce, 1);
    let first = desk.stats().memory_used;
    for id in 2..=1_000 {
        desk.publish_at(&mut one, "t", "", QoS::ExactlyOnce, id);
    }
    let used = desk.stats().memory_used - first;
    assert!(used >= 999 * 20, "{used} for a thousand identifiers");
    for id in 1_001..=20_000 {
        desk.publish_at(&mut one, "t", "", QoS::ExactlyOnce, id);
        if desk.harness.is_ended(one.peer) {
            break;
        }
    }
    let stats = desk.stats();
    assert_eq!((stats.memory_clients_ended, stats.clients), (1, 0));
    assert!(stats.memory_used < first, "all of it is given back");
}

#[test]
fn messages_that_wait_for_the_disk_are_counted() {
    let payload = "x".repeat(1_500);
    // So many at once, before it is known that the disk fails: how much more is counted with them, and how many come once it
    // is well.
    let waiting = |bytes: usize, count: u16| {
        let disk = disk();
        let (mut desk, _) = serving(&disk, bounded(bytes).unix_ms(1), LogConfig::default());
        let (mut owner, _) = desk.join_for_good(V5, "owner");
        desk.subscribe(&mut owner, "t", QoS::ExactlyOnce);
        let mut sender = desk.join(V5, "sender");
        desk.publish_at(&mut sender, "nobody", "", QoS::ExactlyOnce, 1);
        desk.wait(1.0);
        let before = desk.stats().memory_used;
        disk.set_plan(SimPlan { sync_fails: 1, ..SimPlan::default() });
        let publish = Publish::new(Topic::new("t").unwrap(), payload.as_bytes());
        let publish = |id| Publish { qos: QoS::ExactlyOnce, id: Some(number(id)), ..publish };
        let all: Vec<_> = (2..2 + count).map(|id| Packet::Publish(publish(id))).collect();
        desk.say_all(&mut sender, &all);
        let used = desk.stats().memory_used;
        assert!(used as usize <= bytes, "{used} of {bytes}");
        assert_eq!(desk.hear(&mut owner).len(), 0);
        disk.set_plan(SimPlan::default());
        desk.wait(60.0);
        let mut got = 0;
        for _ in 0..300 {
            let heard = desk.hear(&mut owner);
            for text in &heard {
                let id = text.split('#').nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
                let ack = windlass_proto::mqtt::Ack::new(number(id));
                got += u64::from(text.starts_with("PUBLISH"));
                let is_first = text.starts_with("PUBLISH");
                desk.say(&mut owner, &if is_first { Packet::Pubrec(ack) } else { Packet::Pubcomp(ack) });
            }
            desk.wait(0.5);
        }
        let stats = desk.stats();
        assert_eq!((got + stats.memory_messages_dropped, stats.queued), (count.into(), 0), "{stats:?}");
        (used - before, got)
    };
    // On its way to another worker it waits there, which has room for that.
    if crate::workers::workers() > 1 {
        return;
    }
    let (more, got) = waiting(200_000, 5);
    // Each as it is kept, and as it will be sent.
    assert!(more >= 5 * 2 * 1_500, "{more}");
    assert_eq!(got, 5);
    let (_, got) = waiting(40_000, 19);
    assert!((5..19).contains(&got), "{got}");
}

#[test]
fn a_greater_receive_maximum_is_counted_or_not_used() {
    let with_max = |desk: &mut Desk, max: u16| {
        let said = properties(&[Property::SessionExpiry(u32::MAX), Property::ReceiveMaximum(max)]);
        let (properties, clean_start) = (said.properties(), false);
        desk.connect(&Connect { clean_start, properties, ..Connect::new(V5, "one") }).0
    };
    // How much more is counted with it, and how many messages are under way at once then.
    let greater = |bytes: usize| {
        let mut desk = Desk::new(bounded(bytes).in_flight_max(1_000).queue_max(1_000));
        let mut sender = desk.join(V5, "sender");
        desk.publish_at(&mut sender, "nobody", "", QoS::AtLeastOnce, 1);
        let mut one = with_max(&mut desk, 2);
        desk.subscribe(&mut one, "t", QoS::AtLeastOnce);
        desk.lose(&one);
        let before = desk.stats().memory_used;
        let mut one = with_max(&mut desk, 1_000);
        let more = desk.stats().memory_used - before;
        for n in 0..20 {
            desk.publish(&mut sender, "t", &n.to_string());
            desk.publish_at(&mut sender, "t", &n.to_string(), QoS::AtLeastOnce, n + 2);
        }
        let heard = desk.hear(&mut one);
        let at_once = heard.iter().filter(|text| text.contains(" q1 ")).count();
        desk.lose(&one);
        assert!(desk.stats().memory_used <= bytes as u64);
        // And never with more than before, however often it comes.
        let mut again = desk.stats().memory_used;
        for max in [1, 1_000, 2, 1_000] {
            let one = with_max(&mut desk, max);
            desk.lose(&one);
            let used = desk.stats().memory_used;
            assert!(used <= again, "{used} after {again}");
            again = used;
        }
        (more, at_once)
    };
    let (more, at_once) = greater(1_000_000);
    assert!(more >= 2 * 1_000 * 40, "{more}");
    assert_eq!(at_once, 20);
    let (more, at_once) = greater(40_000);
    assert!(more < 2_000, "{more}");
    assert!((2..20).contains(&at_once), "{at_once}");
}

#[test]
fn the_oldest_give_way_in_all_queues_they_wait_in() {
    let config = bounded(100_000).when_queue_full(WhenQueueFull::DropOldest).queue_max(1_000);
    let mut desk = Desk::spread(1, config, &Offload::default(), |hub, _, _| hub);
    let mut sender = desk.join(V5, "sender");
    for id in ["one", "two", "three"] {
        let (mut one, _) = desk.join_for_good(V5, id);
        desk.subscribe(&mut one, "t", QoS::AtLeastOnce);
        desk.lose(&one);
    }
    for n in 1..=100_u16 {
        desk.publish_at(&mut sender, "t", &format!("{n:<1000}"), QoS::AtLeastOnce, n);
        assert!(desk.stats().memory_used <= 100_000);
    }
    for id in ["one", "two", "three"] {
        let (got, _) = received(&mut desk, id);
        assert!(got.len() > 20, "{got:?}");
        assert_eq!(got, (101 - got.len() as u32..=100).collect::<Vec<_>>(), "the last ones");
    }
}

#[test]
fn what_somebody_else_has_waiting_too_is_not_dropped_for_nothing() {
    let config = bounded(100_000).when_queue_full(WhenQueueFull::DropOldest).queue_max(1_000);
    let mut desk = Desk::spread(1, config, &Offload::default(), |hub, _, _| hub);
    let mut sender = desk.join(V5, "sender");
    for id in ["one", "two"] {
        let (mut one, _) = desk.join_for_good(V5, id);
        desk.subscribe(&mut one, "both", QoS::AtLeastOnce);
        if id == "one" {
            desk.subscribe(&mut one, "own", QoS::AtLeastOnce);
        }
        desk.lose(&one);
    }
    let mut n = 0;
    while desk.stats().memory_messages_dropped == 0 {
        n += 1;
        desk.publish_at(&mut sender, "both", &format!("{n:<1000}"), QoS::AtLeastOnce, n);
    }
    let before = desk.stats();
    for id in 1..=20 {
        desk.publish_at(&mut sender, "own", &"x".repeat(1_500), QoS::AtLeastOnce, id);
    }
    let stats = desk.stats();
    assert_eq!(stats.queued, before.queued, "the other one has them all the same");
    assert_eq!(stats.memory_messages_dropped, before.memory_messages_dropped + 20);
    // Nobody's marks are left: together they still give way.
    let newest = n + 1;
    desk.publish_at(&mut sender, "both", &format!("{newest:<1000}"), QoS::AtLeastOnce, 1);
    assert_eq!(received(&mut desk, "two").0.last(), Some(&u32::from(newest)));
}

/// Comes for good, and takes all that waits: the numbers that messages begin with.
fn received(desk: &mut Desk, id: &str) -> (Vec<u32>, Device) {
    let (mut one, heard) = desk.join_for_good(V5, id);
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
    (all, one)
}

#[test]
fn who_comes_back_has_the_room_of_what_it_had() {
    const BOUND: u64 = 60_000;
    for workers in [1, 2] {
        for clean_start in [false, true] {
            let mut desk = with_workers(workers, BOUND as usize);
            let will = [b'w'; 1_200];
            let stay = properties(&[Property::SessionExpiry(u32::MAX), Property::ReceiveMaximum(5)]);
            let connect =
                |id, will| Connect { clean_start, properties: stay.properties(), ..with_will(id, will) };
            let names: Vec<String> = (0..4).map(|n| format!("device {n}")).collect();
            let mut all: Vec<_> = names.iter().map(|id| desk.join_with(&connect(id, &will))).collect();
            fill(&mut desk, &mut all[0], BOUND - BOUND / 32, 300);
            let before = desk.stats();
            // The old connection is still there, or is gone.
            desk.lose(&all[1]);
            for (n, id) in names.iter().enumerate().skip(1) {
                let (one, heard) = desk.connect(&connect(id, &will));
                assert!(heard.starts_with("CONNACK Success"), "{workers}, {clean_start}, {id}: {heard}");
                all[n] = one;
            }
            let stats = desk.stats();
            assert!(
                stats.memory_used <= before.memory_used + 100,
                "{} after {}",
                stats.memory_used,
                before.memory_used
            );
            // A stranger is refused, and so is who wants more than it had; and keeps what it had.
            let (_, heard) = desk.connect(&connect("stranger", &will));
            assert_eq!(heard, "CONNACK QuotaExceeded");
            let longer = vec![b'w'; if clean_start { 1_900 } else { 1_650 }];
            let (_, heard) = desk.connect(&connect(&names[2], &longer));
            assert_eq!(heard, "CONNACK QuotaExceeded");
            assert!(!desk.harness.is_ended(all[2].peer), "the connection it had goes on");
            assert_eq!(desk.stats().memory_used, stats.memory_used);
        }
    }
}

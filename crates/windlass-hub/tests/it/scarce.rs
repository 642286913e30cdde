//! Memory that is short: what waits for it does not wait for good, and what is on its way between workers is bounded too.

use windlass_hub::QoS;
use windlass_hub::journal::{LogConfig, SimPlan};
use windlass_proto::mqtt::{Ack, Connect, Packet, Property, Publish, Topic};

use crate::durable::{disk, serving};
use crate::kit::{V5, number, properties};
use crate::memory::{bounded, fill, with_will, with_workers};

/// Each of those retained messages is copied, to wait for the disk.
#[test]
fn retained_messages_that_wait_for_the_disk_are_within_the_bound() {
    const BOUND: usize = 60_000;
    // On its way to another worker nothing is kept, and these have another part of it.
    if crate::workers::workers() > 1 {
        return;
    }
    let disk = disk();
    let (mut desk, _) = serving(&disk, bounded(BOUND).unix_ms(1), LogConfig::default());
    let (mut owner, _) = desk.join_for_good(V5, "owner");
    for n in 0..15 {
        let (topic, payload) = (format!("r/{n}"), "x".repeat(1_500));
        let publish = Publish::new(Topic::new(&topic).unwrap(), payload.as_bytes());
        let (qos, id) = (QoS::ExactlyOnce, Some(number(n + 1)));
        desk.say(&mut owner, &Packet::Publish(Publish { qos, id, retain: true, ..publish }));
        desk.say(&mut owner, &Packet::Pubrel(Ack::new(number(n + 1))));
        desk.wait(0.2);
    }
    desk.hear(&mut owner);
    disk.set_plan(SimPlan { sync_fails: 1, ..SimPlan::default() });
    desk.subscribe(&mut owner, "r/#", QoS::ExactlyOnce);
    let stats = desk.stats();
    assert!(stats.memory_used as usize <= BOUND, "{}", stats.memory_used);
    assert!(stats.queued > 0, "some wait for room: {stats:?}");
    disk.set_plan(SimPlan::default());
    desk.wait(60.0);
    // And each comes, once there is room for it.
    let mut got = 0;
    for _ in 0..60 {
        for text in desk.hear(&mut owner) {
            let Some((_, id)) = text.split_once('#').filter(|_| text.starts_with("PUB")) else { continue };
            let ack = Ack::new(number(id.split_whitespace().next().unwrap().parse().unwrap()));
            let is_first = text.starts_with("PUBLISH");
            got += u64::from(is_first);
            desk.say(&mut owner, &if is_first { Packet::Pubrec(ack) } else { Packet::Pubcomp(ack) });
        }
        desk.wait(0.5);
    }
    assert_eq!((got, desk.stats().queued), (15, 0));
}

/// More than may be on its way to another worker at once is taken as fast as that says what it has: no time passes here.
#[test]
fn durable_messages_for_another_worker_wait_for_no_tick() {
    let config = bounded(4_000_000).receive_max(1_000).queue_max(10_000).unix_ms(1);
    let (mut desk, _) = serving(&disk(), config, LogConfig::default());
    for n in 0..4 {
        let (mut away, _) = desk.join_for_good(V5, &format!("away{n}"));
        desk.subscribe(&mut away, &format!("t/{n}"), QoS::AtLeastOnce);
        desk.lose(&away);
    }
    desk.wait(1.0);
    for n in 0..4 {
        let mut sender = desk.join(V5, &format!("sender{n}"));
        let (topic, payload) = (format!("t/{n}"), "x".repeat(500));
        let publish = |id| {
            let publish = Publish::new(Topic::new(&topic).unwrap(), payload.as_bytes());
            Packet::Publish(Publish { qos: QoS::AtLeastOnce, id: Some(number(id)), ..publish })
        };
        let all: Vec<_> = (1..=400).map(publish).collect();
        desk.say_all(&mut sender, &all);
        let heard = desk.hear(&mut sender);
        assert_eq!(heard.iter().filter(|text| text.starts_with("PUBACK")).count(), 400, "{n}");
    }
    let stats = desk.stats();
    assert_eq!((stats.queued, stats.dropped_queue_full), (4 * 400, 0), "{stats:?}");
}

/// What one worker may have on its way to another is set aside; what is longer than that is counted as it is passed on.
#[test]
fn a_message_that_is_longer_than_what_is_set_aside_for_it_is_counted() {
    let disk = disk();
    let (mut desk, _) = serving(&disk, bounded(400_000).packet_max(30_000).unix_ms(1), LogConfig::default());
    let mut sender = desk.join(V5, "sender");
    desk.publish_at(&mut sender, "nobody", "", QoS::AtLeastOnce, 1);
    for n in 0..4 {
        let (mut away, _) = desk.join_for_good(V5, &format!("away{n}"));
        desk.subscribe(&mut away, &format!("t/{n}"), QoS::AtLeastOnce);
        desk.lose(&away);
    }
    for n in 0..4 {
        desk.wait(5.0);
        let before = desk.stats().memory_used;
        disk.set_plan(SimPlan { sync_fails: 1, ..SimPlan::default() });
        desk.publish_at(&mut sender, &format!("t/{n}"), &"x".repeat(25_000), QoS::AtLeastOnce, 2);
        let more = desk.stats().memory_used - before;
        assert!((25_000..30_000).contains(&more), "{more} for the one to {n}");
        disk.set_plan(SimPlan::default());
    }
}

/// What it gave back as its will was published is in a queue by the time that it is asked for.
#[test]
fn who_takes_its_session_over_is_served_though_its_will_waits_for_another_one() {
    const BOUND: usize = 60_000;
    let mut desk = with_workers(1, BOUND);
    let (mut away, _) = desk.join_for_good(V5, "away");
    desk.subscribe(&mut away, "gone", QoS::AtLeastOnce);
    desk.lose(&away);
    let stay = properties(&[Property::SessionExpiry(u32::MAX)]);
    let connect = |payload| {
        let mut connect = with_will("device", payload);
        connect.will.as_mut().unwrap().qos = QoS::AtLeastOnce;
        Connect { clean_start: false, properties: stay.properties(), ..connect }
    };
    let mut device = desk.join_with(&connect(&[b'w'; 500]));
    fill(&mut desk, &mut device, (BOUND - BOUND / 32) as u64, 1_000);
    // More than is left, and no more than that with what it has.
    let (_, heard) = desk.connect(&connect(&[b'w'; 1_400]));
    assert!(heard.starts_with("CONNACK Success present"), "{heard}");
    assert_eq!(desk.hear(&mut device), ["DISCONNECT SessionTakenOver"]);
    let stats = desk.stats();
    assert_eq!((stats.queued, stats.clients, stats.memory_sessions_refused), (1, 1, 0), "{stats:?}");
    let (_, heard) = desk.connect(&Connect::new(V5, "stranger"));
    assert_eq!(heard, "CONNACK QuotaExceeded", "it is others that find no room");
}

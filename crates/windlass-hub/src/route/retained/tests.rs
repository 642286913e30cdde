//! What counts against the limits of what is retained.

use std::sync::Arc;
use std::time::Duration;

use windlass::{Bytes, Time};
use windlass_proto::mqtt::{Properties, QoS, Topic, TreeLimits};

use super::{Full, GONE_LEAST, GONE_LEAST_BYTES, GONE_LEAST_EVER, Kept};
use crate::memory::{self, Memory};
use crate::session::message::Message;
use crate::totals::Totals;

fn message(topic: &str) -> Arc<Message> {
    let topic = Topic::new(topic).expect("a topic");
    Arc::new(Message::new(topic, Properties::NONE, Bytes::from_static(b"x"), QoS::AtMostOnce, Time::ZERO))
}

#[test]
fn the_hubs_own_topics_take_no_place_of_others() {
    let mut kept = Kept::new(TreeLimits::default());
    let totals = Totals::default();
    let mut insert = |topic: &str| kept.insert(message(topic), &totals, 2, 1_000);
    assert_eq!([insert("$SYS/broker/uptime"), insert("a"), insert("b")], [Ok(()); 3]);
    assert_eq!(insert("c"), Err(Full));
    assert_eq!([insert("a"), insert("$SYS/broker/uptime"), insert("$SYS/broker/version")], [Ok(()); 3]);
    let mut remove = |topic: &str| kept.remove(Topic::new(topic).expect("a topic"), 1, &totals, Time::ZERO);
    assert!(remove("$SYS/broker/uptime") && remove("b"));
    let mut insert = |topic: &str| kept.insert(message(topic), &totals, 2, 1_000);
    assert_eq!(insert("c"), Ok(()));
    assert_eq!(insert("d"), Err(Full));
}

fn of_two() -> Kept {
    let mut kept = Kept::new(TreeLimits::default());
    kept.begin(0, 2, &Memory::default());
    kept
}

#[test]
fn what_is_known_to_be_gone_is_known_once_for_each_topic() {
    let (mut kept, totals) = (of_two(), Totals::default());
    let topics: Vec<String> = (0..10).map(|n| format!("topic/{n}")).collect();
    for version in 1..=10_000_u64 {
        let topic = Topic::new(&topics[version as usize % 10]).expect("a topic");
        kept.remove(topic, version, &totals, Time::ZERO + Duration::from_millis(version));
    }
    assert_eq!((kept.gone.len(), kept.gone_by_age.len()), (10, 10));
    // Each as of its last version, and from then on for a minute.
    let mut gone: Vec<u64> = kept.lately_gone().map(|(_, version)| version).collect();
    gone.sort_unstable();
    assert_eq!(gone, (9_991..=10_000).filter(|version| kept.is_own(*version)).collect::<Vec<_>>());
    let mut remove_at = |ms: u64| {
        let topic = Topic::new("other").expect("a topic");
        kept.remove(topic, 20_000, &totals, Time::ZERO + Duration::from_millis(ms));
        kept.gone.len()
    };
    assert_eq!(remove_at(69_990), 11);
    assert!(remove_at(130_000) <= 1);
}

#[test]
fn what_is_known_to_be_gone_has_a_bound_in_bytes() {
    let (mut kept, totals) = (of_two(), Totals::default());
    for version in 1..=1_000_u64 {
        let topic = format!("{version}/{}", "x".repeat(60_000));
        kept.remove(Topic::new(&topic).expect("a topic"), version, &totals, Time::ZERO);
    }
    let bytes: usize = kept.gone.keys().map(|topic| topic.len()).sum();
    assert!(bytes <= 16 << 20, "{bytes}");
    assert_eq!(kept.gone.len(), kept.gone_by_age.len());
    assert!(
        kept.gone.keys().any(|topic| topic.starts_with("1000/")),
        "those that are known longest go first"
    );
}

#[test]
fn a_message_published_later_has_the_later_version_wherever_that_is() {
    let totals = Totals::default();
    let mut kept = [of_two(), of_two()];
    kept[1].begin(1, 2, &Memory::default());
    let mut last = 0;
    // All within one turn: what time it is tells none of them from the next.
    for _ in 0..3 {
        for at in [0, 0, 0, 1] {
            let version = kept[at].next_version(&totals, 1_000);
            assert!(version > last, "{version} after {last}");
            last = version;
        }
    }
    // And later than what was found at the start.
    Kept::seen(last + (5 << 10), &totals);
    assert!(kept[0].next_version(&totals, 1_000) > last + (5 << 10));
}

/// What is known to be gone takes memory too, and gives way to what is kept.
#[test]
fn topics_that_are_gone_are_counted_and_forgotten_where_memory_is_short() {
    let totals = Totals::default();
    const ROOM: usize = GONE_LEAST * 16;
    let of_each = memory::of_gone("gone/00000");
    let memory = Memory::new(ROOM * of_each);
    let mut kept = Kept::new(TreeLimits::default());
    kept.begin(0, 2, &memory);
    let mut remove = |n: usize, now| {
        let topic = format!("gone/{n:05}");
        kept.remove(Topic::new(&topic).unwrap(), n as u64 + 1, &totals, now);
        kept.gone.len()
    };
    for n in 0..ROOM - 50 {
        assert_eq!(remove(n, Time::ZERO), n + 1);
    }
    assert_eq!(memory.used(), (ROOM - 50) * of_each);
    for n in ROOM - 50..ROOM + 100 {
        remove(n, Time::ZERO);
        assert!(!memory.lacks(0) && memory.excess() == 0);
    }
    assert_eq!(remove(ROOM + 100, Time::ZERO), ROOM, "the eldest are forgotten");
    // Some are known whatever else there is.
    let other = memory.charge(1 << 30);
    assert_eq!(remove(ROOM + 101, Time::ZERO), GONE_LEAST);
    drop(other);
    assert_eq!(remove(ROOM + 102, Time::ZERO + Duration::from_secs(100)), 1);
    assert_eq!(memory.used(), of_each, "all of it is given back");
}

/// Another worker told of a message before it heard that the topic is gone: that arrives behind many that have gone since.
#[test]
fn what_is_gone_does_not_come_back_with_what_was_under_way_however_short_memory_is() {
    let totals = Totals::default();
    let memory = Memory::new(1 << 24);
    let mut kept = Kept::new(TreeLimits::default());
    kept.begin(0, 2, &memory);
    let _others = memory.charge(1 << 24);
    let mut late = Message::clone(&message("gone/0"));
    late.version = 1;
    for n in 0..1_000 {
        kept.remove(Topic::new(&format!("gone/{n}")).unwrap(), n + 2, &totals, Time::ZERO);
    }
    assert_eq!(kept.take(Arc::new(late), &totals), Ok(()));
    assert!(kept.is_empty());
}

#[test]
fn topics_that_are_gone_are_no_great_part_of_a_low_bound_and_their_names_are_bounded_too() {
    let least = |max: usize, len: usize| {
        let (totals, memory) = (Totals::default(), Memory::new(max));
        let mut kept = Kept::new(TreeLimits::default());
        kept.begin(0, 2, &memory);
        let _others = memory.charge(max);
        for n in 0..3_000 {
            let topic = format!("{n:0len$}");
            kept.remove(Topic::new(&topic).unwrap(), n + 1, &totals, Time::ZERO);
        }
        kept.gone.len()
    };
    assert_eq!((least(50_000, 10), least(1 << 30, 10)), (GONE_LEAST_EVER, GONE_LEAST));
    let some = least(1 << 20, 10);
    assert!(
        (GONE_LEAST_EVER..GONE_LEAST / 2).contains(&some) && some * memory::of_gone("") * 2 <= 1 << 17,
        "{some}"
    );
    assert_eq!(least(1 << 30, 50_000), GONE_LEAST_BYTES.div_ceil(50_000));
}

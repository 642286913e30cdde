//! Where sessions live, and what counts of what is on its way.

use std::sync::Arc;

use windlass::{Bytes, Mailbox, Time};
use windlass_proto::mqtt::{Properties, QoS, Topic};

use super::parcel::{self, Passed};
use super::posted::Post;
use super::{Siblings, home};
use crate::memory::Memory;
use crate::session::message::Message;

#[test]
fn homes_are_spread_and_stay() {
    for workers in [1, 2, 3, 7, 64] {
        let mut counts = vec![0; workers];
        for n in 0..10_000 {
            counts[home(&format!("device-{n}"), workers)] += 1;
        }
        let fair = 10_000 / workers;
        assert!(counts.iter().all(|count| *count > fair / 2 && *count < fair * 3 / 2), "{counts:?}");
    }
    // The journal relies on them: they are the same in every version.
    let homes: Vec<usize> = ["", "a", "b", "device-1", "\u{fc}"].iter().map(|id| home(id, 5)).collect();
    assert_eq!(homes, HOMES);
}

/// As FNV-1a of 64 bits, mixed as MurmurHash3 ends, has it.
const HOMES: [usize; 5] = [2, 0, 4, 1, 0];

fn passed(len: usize, qos: QoS, number: u64) -> Passed {
    let (topic, payload) = (Topic::new("t").unwrap(), Bytes::from(vec![b'x'; len]));
    let message = Arc::new(Message::new(topic, Properties::NONE, payload, qos, Time::ZERO));
    Passed { message, retain: false, routed: true, hops: 0, chosen: None, number }
}

/// The first of two workers.
fn first_of_two() -> Siblings {
    let mut siblings = Siblings::default();
    siblings.spread(&Mailbox::new(), 2);
    assert!(siblings.begin(0));
    siblings
}

#[test]
fn what_stays_behind_a_message_that_waits_for_the_disk_counts_once() {
    let mut siblings = first_of_two();
    siblings.set_max(20_000, &Memory::default());
    let first = passed(10, QoS::AtLeastOnce, 1);
    let (message, groups) = (first.message.clone(), Vec::new());
    siblings.post(1, Post { number: 1, message, retain: false, routed: true, groups });
    siblings.pass(1, None, first, (1, 0));
    let mut others = 0;
    while !siblings.is_full() && others < 100 {
        // Of QoS 1, and in no journal: it keeps its place behind the first.
        siblings.pass(1, None, passed(1_000, QoS::AtLeastOnce, 0), (0, 0));
        others += 1;
    }
    let sent = siblings.each[1].sent;
    assert_eq!((others, sent), (16, 0), "so many of 1,256 bytes and more, and none has left");
    siblings.committed(1);
    let sent = siblings.each[1].sent;
    assert!(siblings.is_full() && siblings.each[1].is_full(20_000), "they are on their way");
    assert!(!siblings.each[1].is_full(sent), "and count as that alone: {sent}");
    siblings.heard(1, sent, 0, 1);
    siblings.relieved();
    assert!(!siblings.is_full() && !siblings.each[1].is_full(0));
}

/// What has arrived, and is not known to be written down there, is still kept here: beside what is on its way.
#[test]
fn what_waits_to_be_taken_counts_with_what_is_on_its_way() {
    let mut siblings = first_of_two();
    siblings.set_max(20_000, &Memory::default());
    let post = |siblings: &mut Siblings, number| {
        let first = passed(11_000, QoS::AtLeastOnce, number);
        let (message, groups) = (first.message.clone(), Vec::new());
        siblings.post(1, Post { number, message, retain: false, routed: true, groups });
        siblings.pass(1, None, first, (number, 0));
    };
    post(&mut siblings, 1);
    siblings.committed(1);
    assert!(!siblings.is_full(), "once, though it is kept and on its way");
    siblings.heard(1, siblings.each[1].sent, 0, 0);
    siblings.relieved();
    assert!(!siblings.is_full(), "it is dealt with there, and not written down");
    siblings.pass(1, None, passed(11_000, QoS::AtMostOnce, 0), (0, 0));
    assert!(siblings.is_full(), "22,000 bytes and more");
    siblings.heard(1, 0, 0, 1);
    siblings.relieved();
    assert!(!siblings.is_full(), "one of them is written down");
    // Of one that waits for the disk here, one that is on its way, and one that has arrived.
    for (number, committed) in [(2, true), (3, false)] {
        post(&mut siblings, number);
        if committed {
            siblings.committed(number);
        }
    }
    let all = [11_001 + 1 + parcel::OVERHEAD; 3].iter().sum::<u64>();
    assert!(siblings.each[1].is_full(all - 1) && !siblings.each[1].is_full(all), "each of them once");
    siblings.heard(1, siblings.each[1].sent, 0, 1);
    assert!(siblings.each[1].is_full(all * 2 / 3 - 1) && !siblings.each[1].is_full(all * 2 / 3));
    siblings.committed(3);
    siblings.heard(1, siblings.each[1].sent, 0, 3);
    assert!(!siblings.each[1].is_full(0), "nothing is left of them");
}

#[test]
fn no_more_is_set_aside_than_may_be_on_its_way() {
    let memory = Memory::new(1 << 20);
    let mut siblings = first_of_two();
    siblings.set_max(1_000, &memory);
    assert_eq!((memory.used(), siblings.max), (2_000, 1_000));
    siblings.set_max(1 << 30, &memory);
    assert_eq!(
        (memory.used(), siblings.max),
        ((1 << 20) / 16, (1 << 20) / 32),
        "half of an eighth, for one of two ways"
    );
    siblings.set_max(1_000, &memory);
    assert_eq!((memory.used(), siblings.max), (2_000, 1_000));
    for (len, is_longer) in [(900, false), (1_100, true)] {
        assert_eq!(siblings.have_no_room(&passed(len, QoS::AtMostOnce, 0).message), is_longer, "{len}");
    }
    siblings.set_max(1_000, &Memory::default());
    assert!(
        !siblings.have_no_room(&passed(1_100, QoS::AtMostOnce, 0).message),
        "without a bound nothing is counted"
    );
}

#[test]
fn word_of_what_was_kept_leaves_at_once_where_memory_is_bounded() {
    for (memory, is_due) in [(Memory::new(1 << 20), true), (Memory::default(), false)] {
        let mut siblings = first_of_two();
        siblings.set_max(1 << 20, &memory);
        siblings.kept(1, 7, 3);
        assert!(!siblings.are_due(), "before that is committed");
        siblings.committed(3);
        assert_eq!(siblings.are_due(), is_due);
    }
}

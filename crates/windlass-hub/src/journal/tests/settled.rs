//! What a start costs that finds messages between workers: counts of what is looked at.

use windlass_proto::mqtt::{QoS, SubscribeOptions};

use super::kit::body;
use crate::journal::replay::Replay;
use crate::journal::*;

const SESSIONS: u64 = 300;
const POSTS: u64 = 300;

fn options() -> u8 {
    SubscribeOptions::new(QoS::AtLeastOnce).to_byte()
}

/// Sessions with a filter of their own and one that they share with all, and messages for them from two workers.
fn posted() -> Replay {
    let mut replay = Replay::default();
    for session in 1..=SESSIONS {
        let (client_id, own) = (format!("c{session}"), format!("own/{session}"));
        replay.apply(&Record::Opened { session, client_id: &client_id, user: "", level: 5, expiry_s: 60 });
        for filter in [&own, "$share/g/all"] {
            replay.apply(&Record::Subscribed { session, filter, options: options(), id: 0 });
        }
    }
    for n in 0..POSTS {
        let (message, number) = (1_000 + 2 * n, 1_001 + 2 * n);
        let (topic, groups): (String, &[&str]) =
            if n % 2 == 0 { (format!("own/{}", n + 1), &[]) } else { ("all".into(), &["$share/g/all"]) };
        let way = Way { from: (n % 2) as u16, to: 0 };
        replay.apply(&Record::Message { message, body: body(&topic, b"x") });
        let (routed, groups) = (groups.is_empty(), Groups::new(groups));
        replay.apply(&Record::Posted { number, message, way, workers: 1, retain: false, routed, groups });
    }
    replay
}

#[test]
fn each_session_is_looked_at_once_whatever_was_posted() {
    let mut replay = posted();
    let batches = replay.settle(0);
    assert!(replay.looked_at <= 2 * SESSIONS + 2 * POSTS, "{}", replay.looked_at);
    let records: u64 = batches.iter().map(|batch| batch.records).sum();
    assert_eq!(records, 2 * POSTS, "each has come to one session, and is taken");
}

#[test]
fn what_is_taken_is_found_without_what_is_not() {
    let mut replay = posted();
    replay.looked_at = 0;
    for n in (0..POSTS).step_by(2) {
        replay.apply(&Record::Taken { number: 1_001 + 2 * n, way: Way { from: 0, to: 0 } });
    }
    assert!(replay.looked_at <= 2 * POSTS, "{}", replay.looked_at);
    let batches = replay.settle(0);
    let records: u64 = batches.iter().map(|batch| batch.records).sum();
    assert_eq!(records, POSTS, "the others are still there");
}

/// As [`posted`], with a filter that all sessions have, so that each message comes to something for all of them.
fn posted_to_all() -> Replay {
    let mut replay = posted();
    for session in 1..=SESSIONS {
        replay.apply(&Record::Subscribed { session, filter: "#", options: options(), id: 1_000_000 });
    }
    for n in POSTS..2 * POSTS {
        let (message, number) = (1_000 + 2 * n, 1_001 + 2 * n);
        replay.apply(&Record::Message { message, body: body("t", b"x") });
        let (way, groups) = (Way { from: 2, to: 0 }, Groups::NONE);
        replay.apply(&Record::Posted {
            number,
            message,
            way,
            workers: 1,
            retain: false,
            routed: true,
            groups,
        });
    }
    replay
}

#[test]
fn much_is_written_in_several_batches_each_of_which_is_whole_by_itself() {
    let batches = posted_to_all().settle(0);
    assert!(batches.len() > 1, "{}", batches.len());
    assert!(batches.iter().all(|batch| batch.bytes.len() < 5 << 18));
    let records: u64 = batches.iter().map(|batch| batch.records).sum();
    assert!(records > POSTS * SESSIONS, "{records}");
    // A start that was cut off behind some of them: the next one does the rest, and nothing twice.
    for written in 0..=batches.len() {
        let mut replay = posted_to_all();
        for batch in &batches[..written] {
            replay.frame(&batch.bytes).expect("it is records");
        }
        let rest: Vec<&[u8]> = batches[written..].iter().map(|batch| &batch.bytes[..]).collect();
        let settled = replay.settle(0);
        assert!(settled.iter().map(|batch| &batch.bytes[..]).collect::<Vec<_>>().concat() == rest.concat());
    }
}

//! What records come to.

use windlass_proto::mqtt::QoS;

use super::kit::{body, commit, open, opened, queue, segments, waiting};
use crate::journal::*;

/// Writes records on an empty disk, and gives what the next start finds at this time.
fn after(now_ms: u64, write: impl FnOnce(&mut Journal)) -> Recovered {
    let disk = SimDisk::new(1, SimPlan::default());
    let (log, found) = open(&disk, LogConfig::default());
    assert!(found.sessions.is_empty() && found.retained.is_empty() && found.report == Report::default());
    let mut journal = log.journal(0);
    write(&mut journal);
    assert!(commit(&mut journal, 0));
    drop((journal, log));
    let (_, recovered) = Log::open(disk.crash(), LogConfig::default(), now_ms).expect("it opens");
    assert_eq!(recovered.report.problems, Vec::<String>::new());
    recovered
}

#[test]
fn a_session_is_there_with_all_it_has() {
    let recovered = after(5_000, |journal| {
        let session = journal.session();
        journal.record(&Record::Opened { session, client_id: "c", user: "u", level: 4, expiry_s: 7 });
        journal.record(&Record::Subscribed { session, filter: "a/#", options: 1, id: 3 });
        journal.record(&Record::Subscribed { session, filter: "b", options: 2, id: 0 });
        journal.record(&Record::Subscribed { session, filter: "a/#", options: 2, id: 4 });
        journal.record(&Record::Unsubscribed { session, filter: "b" });
        journal.record(&Record::Unsubscribed { session, filter: "never" });
        let will = body("will", b"bye");
        journal.record(&Record::Will { session, delay_s: 9, body: will });
        for packet in [9, 3, 3, 5] {
            journal.record(&Record::Received { session, packet });
        }
        journal.record(&Record::ReceivedDone { session, packet: 5 });
        let marks: [Mark; 6] = Default::default();
        for (mark, payload) in marks.iter().zip(["0", "1", "2", "3", "4", "5"]) {
            queue(journal, session, mark, &body("a", payload.as_bytes()));
        }
        let how = How { qos: QoS::ExactlyOnce, retain: true, ids: Ids::new(&[3, 4]) };
        for (packet, mark) in (1..).zip(&marks[..4]) {
            journal.record(&Record::Sent { session, message: mark.number(), packet, how });
        }
        journal.record(&Record::Released { session, packet: 2 });
        journal.record(&Record::Done { session, packet: 3 });
        journal.record(&Record::Dropped { session, message: marks[4].number() });
        journal.record(&Record::Connected { session, level: 5, expiry_s: 8 });
        journal.record(&Record::Disconnected { session, at_ms: 4_000, expiry_s: 60 });
    });
    let [session] = &recovered.sessions[..] else { panic!("{recovered:?}") };
    assert_eq!((&*session.client_id, &*session.user, session.level), ("c", "u", 5));
    assert_eq!((session.expiry_s, session.offline_since_ms), (60, Some(4_000)));
    let subscriptions: Vec<_> =
        session.subscriptions.iter().map(|(filter, s)| (&**filter, s.options, s.id)).collect();
    assert_eq!(subscriptions, [("a/#", 2, 4)]);
    let will = session.will.as_ref().expect("it has one");
    assert_eq!((will.delay_s, &will.message.payload[..]), (9, &b"bye"[..]));
    assert_eq!(session.received, [3, 9]);
    assert_eq!(waiting(&recovered), [("c".into(), vec!["5".into()])]);
    let in_flight: Vec<_> = session
        .in_flight
        .iter()
        .map(|(packet, in_flight)| match in_flight {
            RecoveredInFlight::Message(d) => {
                assert_eq!((d.qos, d.retain, &*d.ids), (QoS::ExactlyOnce, true, &[3, 4][..]));
                (*packet, Some(d.message.payload[0]))
            }
            RecoveredInFlight::Released => (*packet, None),
        })
        .collect();
    assert_eq!(in_flight, [(1, Some(b'0')), (2, None), (4, Some(b'3'))]);
    assert!(recovered.next_number > session.number + 6, "no number is given twice");
}

#[test]
fn a_clean_start_ends_the_session_before() {
    let recovered = after(0, |journal| {
        let mark = Mark::default();
        let first = opened(journal, "c");
        queue(journal, first, &mark, &body("a", b"old"));
        let other = opened(journal, "d");
        let second = opened(journal, "c");
        // What still comes for the one that is gone is nobody's.
        queue(journal, first, &mark, &body("a", b"old"));
        journal.record(&Record::Closed { session: first });
        queue(journal, second, &Mark::default(), &body("a", b"new"));
        journal.record(&Record::Closed { session: other });
    });
    assert_eq!(waiting(&recovered), [("c".into(), vec!["new".into()])]);
}

#[test]
fn what_has_expired_is_left_out() {
    let write = |journal: &mut Journal| {
        for (client_id, expiry_s, at_ms) in [("gone", 5, 5_000), ("kept", 6, 5_000), ("ever", u32::MAX, 0)] {
            let session = journal.session();
            journal.record(&Record::Opened { session, client_id, user: "", level: 5, expiry_s });
            let will = body("will", client_id.as_bytes());
            journal.record(&Record::Will { session, delay_s: 60, body: will });
            for (payload, expires_at_ms) in [("a", 10_000), ("b", 10_001), ("c", 0)] {
                let body = Body { expires_at_ms, ..body("t", payload.as_bytes()) };
                queue(journal, session, &Mark::default(), &body);
            }
            journal.record(&Record::Disconnected { session, at_ms, expiry_s });
        }
        let connected = journal.session();
        journal.record(&Record::Opened {
            session: connected,
            client_id: "on",
            user: "",
            level: 5,
            expiry_s: 0,
        });
        for (topic, expires_at_ms) in [("a", 10_000), ("b", 10_001), ("c", 0)] {
            let body = Body { expires_at_ms, ..body(topic, b"x") };
            journal.record(&Record::Retained { version: 1, body });
        }
    };
    let recovered = after(10_000, write);
    let left = vec!["b".to_owned(), "c".to_owned()];
    let expected = [("kept".to_owned(), left.clone()), ("ever".to_owned(), left), ("on".to_owned(), vec![])];
    assert_eq!(waiting(&recovered), expected);
    let due: Vec<_> = recovered.wills_due.iter().map(|due| &due.will.message.payload[..]).collect();
    assert_eq!(due, [b"gone"], "its will is published");
    let mut topics: Vec<_> = recovered.retained.iter().map(|retained| &*retained.message.topic).collect();
    topics.sort_unstable();
    assert_eq!(topics, ["b", "c"]);
    assert_eq!((recovered.report.expired_sessions, recovered.report.expired_messages), (1, 3));
}

#[test]
fn the_later_version_is_retained_whatever_comes_last() {
    let recovered = after(0, |journal| {
        let mut retain = |topic, version, payload| {
            journal.record(&Record::Retained { version, body: body(topic, payload) });
        };
        retain("a", 7, b"7");
        retain("a", 3, b"3");
        retain("b", 4, b"4");
        retain("c", 5, b"5");
        journal.record(&Record::RetainedGone { version: 8, topic: "b" });
        journal.record(&Record::Retained { version: 6, body: body("b", b"6") });
        journal.record(&Record::RetainedGone { version: 2, topic: "c" });
    });
    let mut retained: Vec<_> = recovered.retained.iter().map(|r| (&*r.message.topic, r.version)).collect();
    retained.sort_unstable();
    assert_eq!(retained, [("a", 7), ("c", 5)]);
    assert_eq!(recovered.next_version, 9);
}

#[test]
fn one_text_serves_all_who_wait_for_it() {
    let recovered = after(0, |journal| {
        let mark = Mark::default();
        for client_id in ["a", "b", "c"] {
            let session = opened(journal, client_id);
            queue(journal, session, &mark, &body("t", b"shared"));
        }
        assert_eq!(journal.batch_bytes(), 3 * 11 + 12 + 3 * 4, "it is written once");
    });
    let texts: Vec<_> = recovered.sessions.iter().map(|session| &session.queued[0].message).collect();
    assert!(std::sync::Arc::ptr_eq(texts[0], texts[1]) && std::sync::Arc::ptr_eq(texts[1], texts[2]));
}

#[test]
fn a_message_nobody_waits_for_any_more_can_be_waited_for_again() {
    let disk = SimDisk::new(1, SimPlan::default());
    let (log, _) = open(&disk, LogConfig::default());
    let mut journal = log.journal(0);
    let mark = Mark::default();
    let session = opened(&mut journal, "c");
    queue(&mut journal, session, &mark, &body("t", b"text"));
    assert!(commit(&mut journal, 0));
    journal.record(&Record::Dropped { session, message: mark.number() });
    assert!(commit(&mut journal, 0));
    // Its text is not written again.
    queue(&mut journal, session, &mark, &body("t", b"text"));
    assert_eq!(journal.stats().waiting_bytes, 4);
    assert!(commit(&mut journal, 0));
    drop((journal, log));
    assert_eq!(segments(&disk).len(), 1);
    let (_, recovered) = open(&disk.crash(), LogConfig::default());
    assert_eq!(waiting(&recovered), [("c".into(), vec!["text".into()])]);
}

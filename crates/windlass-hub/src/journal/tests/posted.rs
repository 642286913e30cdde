//! Messages between two workers when the process ends.

use windlass_proto::mqtt::{QoS, SubscribeOptions};

use super::kit::{body, commit, open, opened, queue, waiting};
use crate::journal::*;
use crate::siblings::home;

/// Client identifiers whose sessions are on worker 1 of two.
fn on_one() -> impl Iterator<Item = String> {
    (0..).map(|n| format!("c{n}")).filter(|id| home(id, 2) == 1)
}

fn subscribe(journal: &mut Journal, session: SessionNumber, filter: &str, id: u32) {
    let options =
        SubscribeOptions { retain_as_published: id == 7, ..SubscribeOptions::new(QoS::AtLeastOnce) };
    journal.record(&Record::Subscribed { session, filter, options: options.to_byte(), id });
}

const WAY: Way = Way { from: 0, to: 1 };

/// Posts a message; its number.
fn post(journal: &mut Journal, payload: &str, groups: &[&str]) -> u64 {
    let body = Body { qos: QoS::ExactlyOnce, ..body("t/1", payload.as_bytes()) };
    let message = journal.message(&Mark::default(), &body);
    let number = journal.session();
    let (routed, groups) = (groups.is_empty(), Groups::new(groups));
    journal.record(&Record::Posted { number, message, way: WAY, workers: 2, retain: true, routed, groups });
    number
}

/// A log of two workers with sessions on the second one.
fn begun(disk: &SimDisk) -> (Journal, Journal, Vec<String>) {
    let (log, _) = open(disk, LogConfig::default());
    let log = log.for_workers(2);
    let (mut here, mut there) = (log.journal(0), log.journal(1));
    let clients: Vec<String> = on_one().take(3).collect();
    for client_id in &clients {
        let session = opened(&mut there, client_id);
        subscribe(&mut there, session, "t/#", 3);
        subscribe(&mut there, session, "t/+", 7);
        subscribe(&mut there, session, "$share/g/t/1", 0);
    }
    let elsewhere = (0..).map(|n| format!("c{n}")).find(|id| home(id, 2) == 0).unwrap();
    let session = opened(&mut here, &elsewhere);
    subscribe(&mut here, session, "#", 0);
    assert!(commit(&mut here, 0) && commit(&mut there, 0));
    (here, there, clients)
}

fn payloads(recovered: &Recovered, client_id: &str) -> Vec<String> {
    let of = waiting(recovered).into_iter().find(|(id, _)| id == client_id);
    of.expect("it is there").1
}

#[test]
fn what_was_posted_and_not_taken_waits_for_those_it_was_for() {
    let disk = SimDisk::new(1, SimPlan::default());
    let (mut here, mut there, clients) = begun(&disk);
    let first = post(&mut here, "first", &[]);
    assert!(commit(&mut here, 1));
    // The first is taken, and has come to something for one of them; two more are not.
    there.record(&Record::Taken { number: first, way: WAY });
    assert!(commit(&mut there, 1));
    post(&mut here, "second", &[]);
    post(&mut here, "third", &[]);
    assert!(commit(&mut here, 2));
    drop((here, there));

    let mut disk = disk.crash();
    // However often it is found before anything is written.
    for _ in 0..2 {
        let (log, found) = open(&disk, LogConfig::default());
        for client_id in &clients {
            assert_eq!(payloads(&found, client_id), ["second", "third"]);
        }
        let others = found.sessions.iter().filter(|it| !clients.contains(&it.client_id.to_string()));
        assert_eq!(others.map(|it| it.queued.len()).collect::<Vec<_>>(), [0], "it had its own");
        let delivery = &found.sessions.iter().find(|it| *it.client_id == *clients[0]).unwrap().queued[0];
        assert_eq!((delivery.qos, delivery.retain, &*delivery.ids), (QoS::AtLeastOnce, true, &[3, 7][..]));
        drop(log);
        disk = disk.crash();
    }
    // With the first batch that is written, and before it, it is done: whatever becomes of it then is not undone.
    let (log, found) = open(&disk, LogConfig::default());
    let session = found.sessions.iter().find(|it| *it.client_id == *clients[0]).unwrap();
    let message = session.queued[0].message.number;
    let mut journal = log.for_workers(3).journal(2);
    journal.record(&Record::Dropped { session: session.number, message });
    assert!(commit(&mut journal, 3));
    drop(journal);
    let (_, found) = open(&disk.crash(), LogConfig::default());
    assert_eq!(payloads(&found, &clients[0]), ["third"]);
    assert_eq!(payloads(&found, &clients[1]), ["second", "third"]);
}

#[test]
fn whoever_takes_may_be_the_first_to_write_it_down() {
    let disk = SimDisk::new(1, SimPlan::default());
    let (mut here, mut there, clients) = begun(&disk);
    let number = post(&mut here, "x", &[]);
    there.record(&Record::Taken { number, way: WAY });
    assert!(commit(&mut there, 1) && commit(&mut here, 1));
    drop((here, there));
    let (_, found) = open(&disk.crash(), LogConfig::default());
    assert_eq!(payloads(&found, &clients[0]), [""; 0]);
    assert!(found.next_number > number);
}

#[test]
fn one_member_of_a_group_gets_what_was_posted_to_it() {
    let disk = SimDisk::new(1, SimPlan::default());
    let (mut here, there, clients) = begun(&disk);
    post(&mut here, "x", &["$share/g/t/1"]);
    post(&mut here, "y", &["$share/nobody/t/1"]);
    assert!(commit(&mut here, 1));
    drop((here, there));
    let (_, found) = open(&disk.crash(), LogConfig::default());
    let all: Vec<String> = clients.iter().flat_map(|client_id| payloads(&found, client_id)).collect();
    assert_eq!(all, ["x"]);
    assert_eq!(found.report.problems, Vec::<String>::new());
}

/// The text of a message that is posted stays until it is taken, though nobody has it in a queue.
#[test]
fn a_text_lives_as_long_as_it_is_posted() {
    let disk = SimDisk::new(1, SimPlan::default());
    let (mut here, mut there, clients) = begun(&disk);
    let mark = Mark::default();
    let text = body("t/1", b"text");
    let message = here.message(&mark, &text);
    let number = here.session();
    let (routed, groups) = (true, Groups::NONE);
    here.record(&Record::Posted { number, message, way: WAY, workers: 2, retain: false, routed, groups });
    assert!(commit(&mut here, 1));
    let session = opened(&mut there, "another");
    queue(&mut there, session, &mark, &text);
    there.record(&Record::Dropped { session, message });
    assert!(commit(&mut there, 1));
    drop((here, there));
    let (_, found) = open(&disk.crash(), LogConfig::default());
    assert_eq!(payloads(&found, &clients[0]), ["text"]);
}

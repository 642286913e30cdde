//! Old segments go when all workers have written down what they have, and not before.

use super::kit::{body, commit, open, opened, queue, segments, waiting};
use crate::journal::*;

fn config(workers: usize) -> LogConfig {
    LogConfig::default().workers(workers).segment_bytes(400).checkpoint_bytes(2_000)
}

/// Commits records until a checkpoint is wanted.
fn fill(log: &Log, journal: &mut Journal, session: SessionNumber) {
    let mut n = 0;
    while log.status().checkpoints() == 0 && !journal.walk_is_wanted() {
        journal.record(&Record::Subscribed { session, filter: &"x".repeat(50), options: 0, id: n % 7 });
        assert!(commit(journal, 0));
        n += 1;
        assert!(n < 1_000, "it never comes");
    }
}

#[test]
fn a_checkpoint_removes_what_is_older() {
    let disk = SimDisk::new(1, SimPlan::default());
    let (log, _) = open(&disk, config(1));
    let mut journal = log.journal(0);
    let mark = Mark::default();
    let session = opened(&mut journal, "c");
    queue(&mut journal, session, &mark, &body("t", b"kept"));
    fill(&log, &mut journal, session);
    let before = segments(&disk);
    assert!(before.len() >= 5, "{before:?}");
    journal.begin_walk();
    assert!(!journal.walk_is_wanted() && journal.is_walking());
    opened(&mut journal, "new");
    journal.record(&Record::Opened { session, client_id: "c", user: "", level: 5, expiry_s: u32::MAX });
    queue(&mut journal, session, &mark, &body("t", b"kept"));
    assert!(commit(&mut journal, 0));
    assert_eq!(segments(&disk).len(), before.len() + 1, "not before the end of the walk");
    journal.end_walk();
    assert!(commit(&mut journal, 0));
    let after = segments(&disk);
    assert!(after.len() <= 2 && after.iter().all(|name| !before.contains(name)), "{after:?}");
    assert_eq!((log.status().checkpoints(), journal.is_walking()), (1, false));
    assert!(log.status().bytes() < 400);
    let (_, recovered) = open(&disk.crash(), config(1));
    let expected = [("c".to_owned(), vec!["kept".to_owned()]), ("new".to_owned(), vec![])];
    assert_eq!(waiting(&recovered), expected);
    assert!(recovered.sessions[0].subscriptions.is_empty(), "what began it anew has none");
}

#[test]
fn it_waits_for_the_slowest_worker() {
    let disk = SimDisk::new(1, SimPlan::default());
    let (log, _) = open(&disk, config(3));
    let mut journals: Vec<Journal> = (0..3).map(|worker| log.journal(worker)).collect();
    let sessions: Vec<_> =
        journals.iter_mut().map(|journal| opened(journal, &format!("{journal:?}"))).collect();
    assert!(journals.iter_mut().all(|journal| commit(journal, 0)));
    fill(&log, &mut journals[1], sessions[1]);
    let before = segments(&disk).len();
    for (n, journal) in journals.iter_mut().enumerate() {
        assert!(journal.walk_is_wanted());
        journal.begin_walk();
        let session = sessions[n];
        journal.record(&Record::Opened {
            session,
            client_id: &n.to_string(),
            user: "",
            level: 5,
            expiry_s: 1,
        });
        journal.end_walk();
        assert!(segments(&disk).len() >= before, "worker {n} has not committed it");
        assert!(commit(journal, 0));
    }
    assert!(segments(&disk).len() <= 2);
    let (_, recovered) = open(&disk.crash(), config(3));
    let clients: Vec<_> = recovered.sessions.iter().map(|session| &*session.client_id).collect();
    assert_eq!(clients, ["0", "1", "2"]);
}

#[test]
fn it_waits_for_sessions_between_workers() {
    let disk = SimDisk::new(1, SimPlan::default());
    let (log, _) = open(&disk, config(2));
    let (mut one, mut two) = (log.journal(0), log.journal(1));
    let moves = opened(&mut one, "moves");
    let stays = opened(&mut one, "stays");
    assert!(commit(&mut one, 0));
    // It leaves before the round, and both have walked when it arrives.
    one.released();
    fill(&log, &mut one, stays);
    let before = segments(&disk).len();
    for journal in [&mut one, &mut two] {
        journal.begin_walk();
        journal.end_walk();
        assert!(commit(journal, 0));
    }
    assert!(segments(&disk).len() >= before && one.is_walking());
    assert!(two.adopted(), "it is to be written down here");
    two.record(&Record::Opened { session: moves, client_id: "moves", user: "", level: 5, expiry_s: 1 });
    assert!(commit(&mut two, 0));
    assert!(segments(&disk).len() <= 2 && !one.is_walking());
    let (_, recovered) = open(&disk.crash(), config(2));
    let clients: Vec<_> = recovered.sessions.iter().map(|session| &*session.client_id).collect();
    assert_eq!(clients, ["moves"]);
}

#[test]
fn what_cannot_be_said_to_be_superseded_stays() {
    let disk = SimDisk::new(1, SimPlan::default());
    let (log, _) = open(&disk, config(1));
    let mut journal = log.journal(0);
    let session = opened(&mut journal, "c");
    fill(&log, &mut journal, session);
    journal.begin_walk();
    journal.record(&Record::Opened { session, client_id: "c", user: "", level: 5, expiry_s: 1 });
    journal.end_walk();
    // Room for the walk, and not for the segment behind it.
    disk.set_plan(SimPlan { names_fail: 2, ..SimPlan::default() });
    let mut seconds = 0;
    while log.status().checkpoints() == 0 {
        seconds += 2;
        journal.record(&Record::Received { session, packet: 1 });
        commit(&mut journal, 1_000 * seconds);
        let (_, recovered) = open(&disk.crash(), config(1));
        assert_eq!((recovered.sessions.len(), &recovered.report.problems[..]), (1, &[][..]));
        assert!(seconds < 1_000, "it never gets through");
    }
    assert!(log.status().failed() > 0);
}

#[test]
fn many_starts_do_not_make_many_segments() {
    let disk = SimDisk::new(1, SimPlan::default());
    let mut most = 0;
    for n in 0..300 {
        let (log, recovered) = open(&disk, LogConfig::default());
        let mut journal = log.journal(0);
        let session = recovered.sessions.first().map_or_else(|| journal.session(), |session| session.number);
        let open = Record::Opened { session, client_id: "c", user: "", level: 5, expiry_s: u32::MAX };
        journal.record(&open);
        assert!(commit(&mut journal, n));
        if journal.walk_is_wanted() {
            journal.begin_walk();
            journal.record(&open);
            journal.end_walk();
            assert!(commit(&mut journal, n));
        }
        most = most.max(segments(&disk).len());
    }
    assert!((50..80).contains(&most), "{most}");
}

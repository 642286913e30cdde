//! Disks that are full, that fail, that are slow: nothing is acknowledged that is not there, and work goes on after.

use std::time::Duration;

use windlass::JobError;

use super::kit::{at, body, commit, open, opened, queue, segments, waiting};
use crate::journal::*;

fn clients(disk: &SimDisk) -> Vec<String> {
    let (_, recovered) = open(disk, LogConfig::default());
    assert_eq!(recovered.report.problems, Vec::<String>::new());
    recovered.sessions.iter().map(|session| session.client_id.to_string()).collect()
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let disk = SimDisk::new(3, SimPlan { capacity: 300, ..SimPlan::default() });
    let (log, _) = open(&disk, LogConfig::default());
    let mut journal = log.journal(0);
    let mut acknowledged = Vec::new();
    let mut n = 0;
    while !journal.is_failing() {
        let client = format!("client {n}");
        assert_eq!(journal.admit(), Ok(()));
        opened(&mut journal, &client);
        if commit(&mut journal, 0) {
            assert_eq!(journal.committed(), journal.recorded());
            acknowledged.push(client);
        }
        n += 1;
    }
    assert!(acknowledged.len() > 3);
    assert!(journal.committed() < journal.recorded());
    assert_eq!(journal.admit(), Err(Refusal::Failed));
    assert_eq!(journal.stats().refused, 1);
    assert!(journal.stats().failing && journal.stats().failure.is_some());
    assert!(clients(&disk.crash()).starts_with(&acknowledged));

    // What is given up is recorded all the same, and nothing is tried before its time.
    let last = journal.record(&Record::Received { session: 1, packet: 1 });
    assert!(!journal.is_due(at(999)));
    assert!(!commit(&mut journal, 1_000), "still full");
    assert!(!journal.is_due(at(1_500)));
    disk.set_plan(SimPlan::default());
    assert!(commit(&mut journal, 2_000));
    assert!(commit(&mut journal, 2_000), "and what came meanwhile");
    assert_eq!((journal.committed(), journal.admit()), (last, Ok(())));
    assert!(segments(&disk).len() == 2, "{:?}", segments(&disk));
    let all: Vec<String> = (0..n).map(|n| format!("client {n}")).collect();
    drop((journal, log));
    assert_eq!(clients(&disk.crash()), all);
}

/// A pool takes its jobs back when the server stops, or hands over to another: workers that still serve go on.
#[test]
fn a_commit_that_was_taken_back_is_no_failure() {
    let disk = SimDisk::new(3, SimPlan::default());
    let (log, _) = open(&disk, LogConfig::default());
    let log = log.for_workers(2);
    let (mut journal, mut other) = (log.journal(0), log.journal(1));
    opened(&mut journal, "a");
    drop(journal.job(at(0)).expect("it is due"));
    assert!(!journal.answered(Err(JobError::Cancelled), at(0)));
    assert!(journal.committed() < journal.recorded(), "nor is it done");
    assert_eq!((journal.admit(), other.admit()), (Ok(()), Ok(())));
    assert!(!journal.is_failing() && journal.stats().failed == 0);
    assert!(commit(&mut journal, 1_000), "it is tried again");
    assert_eq!(journal.committed(), journal.recorded());
    drop((journal, other, log));
    assert_eq!(clients(&disk.crash()), ["a"]);
}

#[test]
fn a_file_whose_sync_failed_is_never_used_again() {
    for seed in 0..50 {
        let disk = SimDisk::new(seed, SimPlan::default());
        let (log, _) = open(&disk, LogConfig::default());
        let mut journal = log.journal(0);
        opened(&mut journal, "before");
        assert!(commit(&mut journal, 0));
        opened(&mut journal, "failed");
        disk.set_plan(SimPlan { sync_fails: 1, ..SimPlan::default() });
        assert!(!commit(&mut journal, 0));
        // From here on the disk says that all is well, and has let go of what it could not write.
        disk.set_plan(SimPlan::default());
        assert!(commit(&mut journal, 1_000));
        opened(&mut journal, "after");
        assert!(commit(&mut journal, 1_000));
        assert_eq!(clients(&disk.crash()), ["before", "failed", "after"], "seed {seed}");
    }
}

#[test]
fn a_first_segment_that_fails_leaves_nothing() {
    for fails in [
        SimPlan { sync_fails: 1, ..SimPlan::default() },
        SimPlan { append_fails: 1, ..SimPlan::default() },
        SimPlan { names_fail: 1, ..SimPlan::default() },
    ] {
        let disk = SimDisk::new(1, fails);
        let (log, _) = open(&disk, LogConfig::default());
        let mut journal = log.journal(0);
        opened(&mut journal, "c");
        for second in 0..5 {
            assert!(!commit(&mut journal, 1_000 * second));
        }
        assert_eq!(journal.stats().failed, 5);
        disk.set_plan(SimPlan::default());
        assert!(commit(&mut journal, 5_000));
        drop((journal, log));
        assert_eq!(clients(&disk.crash()), ["c"]);
        assert_eq!(clients(&disk.crash()), ["c"]);
    }
}

#[test]
fn a_commit_that_is_late_is_not_made_twice() {
    let disk = SimDisk::new(1, SimPlan::default());
    let (log, _) = open(&disk, LogConfig::default());
    let mut journal = log.journal(0);
    let session = opened(&mut journal, "c");
    queue(&mut journal, session, &Mark::default(), &body("t", b"once"));
    let (late, timeout) = journal.job(at(0)).expect("it is due");
    assert_eq!(timeout, Duration::from_secs(30));
    assert!(journal.job(at(0)).is_none(), "one at a time");
    assert!(!journal.answered(Err(JobError::Timeout), at(30_000)));
    assert_eq!(journal.admit(), Err(Refusal::Failed));
    let (again, _) = journal.job(at(31_000)).expect("it is tried again");
    // The first one comes to its end after all, and its answer is not heard any more.
    let _ = late();
    let committed = again();
    assert!(journal.answered(Ok(committed), at(31_000)));
    drop((journal, log));
    let (_, recovered) = open(&disk.crash(), LogConfig::default());
    assert_eq!(waiting(&recovered), [("c".into(), vec!["once".into()])]);
}

#[test]
fn a_disk_that_does_not_keep_up_refuses() {
    let disk = SimDisk::new(1, SimPlan::default());
    let (log, _) = open(&disk, LogConfig::default().batch_max(1_000));
    let mut journal = log.journal(0);
    let session = opened(&mut journal, "c");
    let (job, _) = journal.job(at(0)).expect("it is due");
    while journal.admit().is_ok() {
        queue(&mut journal, session, &Mark::default(), &body("t", &[b'x'; 100]));
    }
    assert_eq!(journal.admit(), Err(Refusal::Full));
    assert!((1_000..1_200).contains(&journal.batch_bytes()));
    let committed = job();
    assert!(journal.answered(Ok(committed), at(1)));
    assert!(commit(&mut journal, 1));
    assert_eq!(journal.admit(), Ok(()));
    assert_eq!(journal.stats().refused, 2);
}

#[test]
fn what_a_worker_has_not_committed_is_written_when_it_ends() {
    let disk = SimDisk::new(1, SimPlan::default());
    let (log, _) = open(&disk, LogConfig::default());
    let mut journal = log.journal(0);
    opened(&mut journal, "on its way");
    let (job, _) = journal.job(at(0)).expect("it is due");
    opened(&mut journal, "behind it");
    drop(journal);
    drop(job);
    assert!(matches!(Log::open(disk.clone(), LogConfig::default(), 0), Err(LogError::Locked)));
    drop(log);
    assert_eq!(clients(&disk), ["on its way", "behind it"]);
    assert_eq!(clients(&disk.crash()), ["on its way", "behind it"]);
}

#[test]
fn in_between_it_is_acknowledged_at_once_and_synced_in_time() {
    let config = || LogConfig::default().durability(Durability::Interval);
    let disk = SimDisk::new(1, SimPlan::default());
    let (log, _) = open(&disk, config());
    let mut journal = log.journal(0);
    let first = opened(&mut journal, "first");
    assert_eq!(journal.committed(), journal.recorded());
    assert!(commit(&mut journal, 0));
    assert_eq!(log.status().syncs(), 0);
    // Killed, the system has it; a loss of power may take it, and takes it all at once.
    assert_eq!(clients(&disk.kill()), ["first"]);
    assert!((0..50).any(|_| clients(&disk.crash()).is_empty()));
    assert!(!journal.is_due(at(999)));
    assert!(journal.is_due(at(1_000)), "nothing new, but to be synced");
    assert!(commit(&mut journal, 1_000));
    assert!(!journal.is_due(at(9_000)));
    assert_eq!(clients(&disk.crash()), ["first"]);

    // A sync that fails loses nothing that was acknowledged: it is written again elsewhere.
    journal.record(&Record::Subscribed { session: first, filter: "a", options: 1, id: 0 });
    opened(&mut journal, "second");
    assert!(commit(&mut journal, 1_000));
    disk.set_plan(SimPlan { sync_fails: 1, ..SimPlan::default() });
    assert!(!commit(&mut journal, 2_000));
    assert_eq!(journal.admit(), Err(Refusal::Failed));
    opened(&mut journal, "third");
    assert!(journal.committed() < journal.recorded(), "not any more: it would be a lie");
    disk.set_plan(SimPlan::default());
    assert!(commit(&mut journal, 3_000));
    assert!(commit(&mut journal, 4_100));
    assert!(commit(&mut journal, 5_200));
    assert_eq!(clients(&disk.crash()), ["first", "second", "third"]);
}

#[test]
fn off_all_is_committed_and_nothing_written() {
    let mut journal = Journal::off(1, 4);
    let session = opened(&mut journal, "c");
    queue(&mut journal, session, &Mark::default(), &body("t", b"x"));
    assert_eq!((journal.recorded(), journal.batch_bytes()), (0, 0));
    assert!(journal.committed() > 0 && !journal.is_due(at(9_999)) && !journal.walk_is_wanted());
    assert_eq!((journal.admit(), journal.is_on(), journal.adopted()), (Ok(()), false, false));
    let numbers: Vec<_> = (0..3).map(|_| journal.session()).collect();
    assert!(numbers.windows(2).all(|two| two[1] == two[0] + 4), "{numbers:?}");
}

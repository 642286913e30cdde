//! What the journal counts.

use std::time::Duration;

use super::kit::{at, commit, open, opened};
use crate::journal::*;

#[test]
fn durations_are_counted_by_powers_of_two() {
    let mut latency = Latency::default();
    for us in [0, 1, 2, 3, 4, 5, 1_000, 40_000_000] {
        latency.add(Duration::from_micros(us));
    }
    let counted: Vec<_> = latency.buckets().filter(|(_, count)| *count > 0).collect();
    let expected = [(Some(1), 2), (Some(2), 1), (Some(4), 2), (Some(8), 1), (Some(1_024), 1), (None, 1)];
    assert_eq!(counted, expected);
    assert_eq!((latency.count(), latency.sum_us()), (8, 40_001_015));
    assert_eq!(latency.per_mille(500), Duration::from_micros(4));
    assert_eq!(latency.per_mille(870), Duration::from_micros(1_024));
    assert_eq!(Latency::default().per_mille(500), Duration::ZERO);
    let mut twice = latency;
    twice.merge(&latency);
    assert_eq!((twice.count(), twice.per_mille(500)), (16, Duration::from_micros(4)));
}

#[test]
fn commits_are_counted_with_what_is_in_them() {
    let disk = SimDisk::new(1, SimPlan::default());
    let (log, _) = open(&disk, LogConfig::default());
    let mut journal = log.journal(0);
    for n in 0..3 {
        opened(&mut journal, &format!("a{n}"));
        opened(&mut journal, &format!("b{n}"));
        let waiting = journal.stats().waiting_bytes;
        let (job, _) = journal.job(at(10 * n)).expect("it is due");
        assert_eq!(journal.stats().waiting_bytes, waiting, "until it is committed");
        let committed = job();
        assert!(journal.answered(Ok(committed), at(10 * n + 3)));
    }
    let stats = journal.stats();
    assert_eq!((stats.commits, stats.records, stats.bytes, stats.waiting_bytes), (3, 6, 6 * 12, 0));
    assert_eq!((stats.latency.count(), stats.latency.sum_us()), (3, 9_000));
    assert_eq!((stats.failed, stats.failing, stats.failure.clone()), (0, false, None));
    assert_eq!((log.status().syncs(), log.status().failed(), log.status().segments()), (3, 0, 1));
    let mut both = stats.clone();
    both.merge(&stats);
    assert_eq!((both.commits, both.records, both.latency.count()), (6, 12, 6));
    assert!(commit(&mut journal, 99), "nothing is due");
    assert_eq!(journal.stats().commits, 3);
}

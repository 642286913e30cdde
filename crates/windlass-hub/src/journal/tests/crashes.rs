//! Thousands of lives of a small hub on disks that fail, each ended by a loss of power or a kill, and gone on with by
//! the next. After each: what was committed is there, whole batches only, and nothing that was never recorded.

use windlass::JobError;
use windlass_proto::testing::Rng;

use super::kit::{at, open};
use super::model::Hub;
use crate::journal::*;

#[derive(Default)]
struct Seen {
    lives: u64,
    checkpoints: u64,
    walks: u64,
    failed: u64,
    late: u64,
    torn: u64,
    sessions: usize,
}

/// Lives on one disk, one after the other.
fn run(seed: u64, seen: &mut Seen) {
    let mut rng = Rng::new(seed);
    let workers = 1 + rng.below(3) as usize;
    let config = LogConfig::default()
        .workers(workers)
        .segment_bytes(200 << rng.below(5))
        .checkpoint_bytes(1_000 << rng.below(5));
    let mut disk = SimDisk::new(seed, SimPlan::default());
    let mut recovered = Recovered { next_number: 1, next_version: 1, ..Recovered::default() };
    for life in 0..4 {
        let (log, found) = open(&disk, config.clone());
        if life > 0 {
            // Opened twice, it is the same.
            assert_eq!(
                (found.sessions.len(), found.next_number),
                (recovered.sessions.len(), recovered.next_number)
            );
        }
        let mut hub = Hub::new(&log, workers, &found);
        live(&mut hub, &disk, &mut rng, seen);
        seen.lives += 1;
        seen.checkpoints += log.status().checkpoints();
        seen.walks += hub.walks;
        seen.failed += log.status().failed();
        disk = if rng.chance(1, 4) { disk.kill() } else { disk.crash() };
        let (after, next) = open(&disk, config.clone());
        drop(after);
        if let Err(why) = hub.check(&next) {
            panic!("seed {seed}, life {life}, {workers} workers: {why}");
        }
        seen.torn += u64::from(next.report.torn_bytes > 0);
        seen.sessions = seen.sessions.max(next.sessions.len());
        recovered = next;
    }
}

fn live(hub: &mut Hub, disk: &SimDisk, rng: &mut Rng, seen: &mut Seen) {
    let mut jobs: Vec<(usize, Box<dyn FnOnce() -> Committed>)> = Vec::new();
    let mut late: Vec<Box<dyn FnOnce() -> Committed>> = Vec::new();
    let mut ms = 0;
    let turns = 20 + rng.below(150);
    let faulty = rng.chance(1, 2);
    for turn in 0..turns {
        ms += rng.below(700);
        if rng.chance(1, 30) {
            let mut one_in = |n| if faulty && rng.chance(1, 2) { n } else { 0 };
            let (sync_fails, append_fails, names_fail) = (one_in(4), one_in(6), one_in(3));
            disk.set_plan(SimPlan { sync_fails, append_fails, names_fail, ..SimPlan::default() });
        }
        if turn + 10 > turns && rng.chance(1, 20) {
            // The power goes at one of the next calls: all that comes fails.
            disk.set_plan(SimPlan { calls_max: Some(rng.below(8)), ..SimPlan::default() });
        }
        for worker in 0..hub.workers.len() {
            for _ in 0..rng.below(4) {
                hub.act(worker, rng);
            }
            if rng.chance(1, 2) {
                hub.arrive(rng);
            }
            hub.walk(worker, rng);
            let mut recorded = hub.workers[worker].journal.recorded();
            if hub.workers[worker].journal.is_failing() {
                // It is the batch of before that is tried again.
                recorded = hub.workers[worker].submitted;
            }
            if let Some((job, _)) = hub.workers[worker].journal.job(at(ms)) {
                hub.workers[worker].submitted = recorded;
                jobs.push((worker, Box::new(job)));
            }
        }
        while !jobs.is_empty() && rng.chance(2, 3) {
            let (worker, job) = jobs.remove(0);
            let journal = &mut hub.workers[worker].journal;
            if rng.chance(1, 20) {
                // Too slow: it runs at some later time, and nobody hears of it.
                journal.answered(Err(JobError::Timeout), at(ms));
                late.push(job);
                seen.late += 1;
            } else {
                let committed = job();
                journal.answered(Ok(committed), at(ms));
            }
        }
        if rng.chance(1, 4)
            && let Some(job) = late.pop()
        {
            let _ = job();
        }
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how many seeds is said from outside")]
fn nothing_committed_is_lost_and_nothing_invented() {
    // `WINDLASS_JOURNAL_SEEDS=20000` for an hour.
    let seeds =
        std::env::var("WINDLASS_JOURNAL_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1_000);
    let mut seen = Seen::default();
    for seed in 0..seeds {
        run(seed, &mut seen);
    }
    // The lives were not idle.
    let Seen { lives, checkpoints, walks, failed, late, torn, sessions } = seen;
    assert!(checkpoints > lives / 4 && walks > checkpoints, "{checkpoints} of {walks} in {lives}");
    assert!(failed > lives / 4 && late > lives / 4 && torn > lives / 20, "{failed} {late} {torn}");
    assert!(sessions > 10, "{sessions}");
}

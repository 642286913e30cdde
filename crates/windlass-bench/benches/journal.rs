//! What the hub's journal does on this disk: records a second at so many records for each sync, and the start with a
//! million retained messages.
//!
//! `cargo bench -p windlass-bench --bench journal`. In a folder below the system's temporary one, or below
//! `WINDLASS_BENCH_FOLDER`: the disk is what is measured. Records are messages of 144 bytes, queued for a session, and
//! dropped a commit later, so that what is kept stays small; checkpoints are included.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use windlass::Time;
use windlass_hub::journal::{Body, Folder, How, Journal, Log, LogConfig, Mark, QoS, Record};

const FOR: Duration = Duration::from_secs(3);

struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn folder(name: &str) -> Temporary {
    let above = std::env::var_os("WINDLASS_BENCH_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
    let path = above.join(format!("windlass-journal-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    Temporary(path)
}

fn open(at: &Temporary) -> (Log, windlass_hub::journal::Recovered) {
    let folder = Folder::open(&at.0).expect("the folder can be made");
    Log::open(folder, LogConfig::default(), 0).expect("the log opens")
}

fn commit(journal: &mut Journal) {
    if let Some((job, _)) = journal.job(Time::ZERO) {
        let committed = job();
        assert!(journal.answered(Ok(committed), Time::ZERO), "{:?}", journal.stats().failure);
    }
}

/// Records a second, commits a second, and how long the slowest one of a hundred took.
fn commits(records: u64) -> (f64, f64, Duration) {
    let at = folder(&records.to_string());
    let (log, _) = open(&at);
    let mut journal = log.journal(0);
    let session = journal.session();
    let opened = Record::Opened { session, client_id: "bench", user: "", level: 5, expiry_s: u32::MAX };
    journal.record(&opened);
    commit(&mut journal);
    let payload = [b'x'; 128];
    let body = Body { topic: "bench/topic", payload: &payload, ..Body::default() };
    let (mut waiting, mut took) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < FOR {
        if journal.walk_is_wanted() {
            journal.begin_walk();
            journal.record(&opened);
            journal.end_walk();
        }
        for message in waiting.drain(..) {
            journal.record(&Record::Dropped { session, message });
        }
        for _ in 0..records {
            let message = journal.message(&Mark::default(), &body);
            journal.record(&Record::Queued { session, message, how: How::new(QoS::AtLeastOnce) });
            waiting.push(message);
        }
        let commits = Instant::now();
        commit(&mut journal);
        took.push(commits.elapsed());
    }
    let seconds = begun.elapsed().as_secs_f64();
    took.sort_unstable();
    let commits = took.len() as f64;
    (commits * records as f64 / seconds, commits / seconds, took[took.len() * 99 / 100])
}

fn main() {
    println!("{:>16} {:>14} {:>12} {:>10}", "messages a sync", "messages/s", "syncs/s", "p99");
    for records in [1, 10, 100, 1_000] {
        let (messages, syncs, p99) = commits(records);
        println!("{records:>16} {messages:>14.0} {syncs:>12.0} {p99:>10.1?}");
    }

    let at = folder("start");
    let (log, _) = open(&at);
    let mut journal = log.journal(0);
    for n in 0..1_000_000 {
        let topic = format!("site/{}/device/{n}/state", n % 100);
        let body = Body { topic: &topic, payload: &[b'x'; 64], ..Body::default() };
        journal.record(&Record::Retained { version: n, body });
        if n % 1_000 == 999 {
            commit(&mut journal);
        }
    }
    commit(&mut journal);
    drop((journal, log));
    let begun = Instant::now();
    let (_log, recovered) = open(&at);
    println!(
        "start with {} retained messages of 64 bytes, {} MiB of log: {:.2?}",
        recovered.retained.len(),
        recovered.report.bytes >> 20,
        begun.elapsed()
    );
}

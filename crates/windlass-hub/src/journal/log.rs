//! The log of a process: whoever commits comes through here, one after the other, off the loop.
//!
//! This file is the handle, its configuration and the rounds of checkpoints; `segments.rs` has the files.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
#[allow(clippy::disallowed_types, reason = "only threads that may block wait for it, never a worker")]
use std::sync::Mutex;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use super::batch::Batch;
use super::disk::{Disk, DiskLock};
use super::recover;
use super::recovered::Recovered;
use super::segments::{Place, Segments};
use crate::atomic::AtomicU64;

/// When what was done is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Durability {
    /// Once it is on the disk: what was acknowledged is there after a loss of power.
    #[default]
    Commit,
    /// At once. What was acknowledged is there if the process is killed at any time later than some milliseconds
    /// after it, and after a loss of power if that comes [`LogConfig::sync_interval`] later.
    Interval,
}

/// How a log is kept. Plain data; start from the default and set what you need.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LogConfig {
    /// How many workers write into it, at least 1: old parts are removed when all of them have written down what they
    /// have. [`Log::for_workers`] says otherwise later, as a hub does. Default 1.
    pub workers: usize,
    /// When what was done is acknowledged. Default [`Durability::Commit`].
    pub durability: Durability,
    /// How long it takes until all is synced, in the mode [`Durability::Interval`]. Default 1 s.
    pub sync_interval: Duration,
    /// Bytes of one file, and one batch more. Default 16 MiB.
    pub segment_bytes: u64,
    /// A checkpoint begins when the log is longer than this and twice as long as after the last one, and then old parts
    /// go: it takes the place of four times this, or four times what is kept, at most. Default 64 MiB.
    pub checkpoint_bytes: u64,
    /// Bytes of records that one worker may have waiting for a commit. Over it, no new work is admitted
    /// ([`Refusal::Full`](super::Refusal::Full)). Default 8 MiB; at most 1 GiB.
    pub batch_max: usize,
    /// How long after a failure it is tried again. Default 1 s.
    pub retry: Duration,
    /// How long a commit may take; after it, it has failed. Default 30 s.
    pub commit_timeout: Duration,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig {
            workers: 1,
            durability: Durability::Commit,
            sync_interval: Duration::from_secs(1),
            segment_bytes: 16 << 20,
            checkpoint_bytes: 64 << 20,
            batch_max: 8 << 20,
            retry: Duration::from_secs(1),
            commit_timeout: Duration::from_secs(30),
        }
    }
}

macro_rules! setters {
    ($($name:ident: $ty:ty),* $(,)?) => {
        impl LogConfig {
            $(
                #[doc = concat!("Sets [`LogConfig::", stringify!($name), "`].")]
                #[must_use]
                pub fn $name(mut self, $name: $ty) -> LogConfig {
                    self.$name = $name;
                    self
                }
            )*
        }
    };
}

setters! {
    workers: usize,
    durability: Durability,
    sync_interval: Duration,
    segment_bytes: u64,
    checkpoint_bytes: u64,
    batch_max: usize,
    retry: Duration,
    commit_timeout: Duration,
}

/// Batches longer than this would not fit the head of a frame with all that may be put behind them.
const BATCH_MAX: usize = 1 << 30;

/// In the mode that acknowledges at once, more than this is synced before its time: it is kept in memory until then.
const UNSYNCED_MAX: u64 = 16 << 20;

/// Why a log was not opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum LogError {
    /// Another process has it: the one before this, in a hand-over. Try again.
    Locked,
    /// Another version of windlass has written this file, and this one cannot read it.
    Version {
        /// Which file.
        file: String,
        /// Of which version of the format.
        version: u32,
    },
    /// The disk does not do what is needed.
    Disk {
        /// What it was to do.
        what: String,
        /// Why it did not.
        error: io::Error,
    },
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::Locked => f.write_str("another process uses it"),
            LogError::Version { file, version } => {
                write!(f, "`{file}` was written by another version of windlass (format {version})")
            }
            LogError::Disk { what, error } => write!(f, "cannot {what}: {error}"),
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LogError::Disk { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// The log of a process. Clones are the same one; when the last of them is gone, and every
/// [`Journal`](super::Journal) of it, another process may open it.
#[derive(Clone)]
pub struct Log {
    #[allow(clippy::disallowed_types, reason = "only threads that may block wait for it, never a worker")]
    writing: Arc<Mutex<Writing>>,
    status: LogStatus,
    pub(super) config: Arc<LogConfig>,
    pub(super) first_number: u64,
}

/// What is known of a log at any time, without waiting for it. It does not keep the log open.
#[derive(Clone, Debug, Default)]
pub struct LogStatus(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// The round of checkpoints that is open; 0: none.
    round: AtomicU64,
    rounds: AtomicU64,
    /// Sessions that one worker has let go of, and no other has committed.
    in_transit: AtomicU64,
    bytes: AtomicU64,
    segments: AtomicU64,
    syncs: AtomicU64,
    failed: AtomicU64,
    /// Workers whose last commit failed.
    failing: AtomicU64,
}

impl LogStatus {
    /// Bytes of all segments that are needed.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Relaxed)
    }

    /// How many segments they are.
    pub fn segments(&self) -> u64 {
        self.0.segments.load(Relaxed)
    }

    /// Checkpoints that are over, each of which has removed what was older.
    pub fn checkpoints(&self) -> u64 {
        self.0.rounds.load(Relaxed)
    }

    /// Commits that were synced, those that several workers shared counted for each.
    pub fn syncs(&self) -> u64 {
        self.0.syncs.load(Relaxed)
    }

    /// Writes and syncs that failed.
    pub fn failed(&self) -> u64 {
        self.0.failed.load(Relaxed)
    }

    /// The checkpoint that is under way; 0: none.
    pub(super) fn round(&self) -> u64 {
        self.0.round.load(Acquire)
    }

    /// Whether the last commit of any worker failed: there is one disk.
    pub(super) fn is_failing(&self) -> bool {
        self.0.failing.load(Relaxed) > 0
    }

    /// The last commit of one worker failed, or does not fail any more.
    pub(super) fn set_failing(&self, failing: bool) {
        match failing {
            true => self.0.failing.fetch_add(1, Relaxed),
            false => self.0.failing.fetch_sub(1, Relaxed),
        };
    }

    pub(super) fn released(&self) {
        self.0.in_transit.fetch_add(1, Release);
    }
}

struct Writing {
    segments: Segments,
    /// What a start has settled between workers, until it is written; each once.
    settled: VecDeque<Arc<Batch>>,
    /// Of each worker: the last batch that was written.
    last: Vec<u64>,
    /// Of each worker: the last round that it has walked.
    walked: Vec<u64>,
    /// The open round, or the last one.
    round: u64,
    /// Where the open round began.
    round_from: Option<u64>,
    /// How long the log was after the last round.
    live: u64,
    _lock: DiskLock,
}

impl Log {
    /// Opens the log of a disk, and reads all that is in it, at `now_ms` in Unix milliseconds: what has expired by then
    /// is left out. This blocks, for about a second for each million of records.
    ///
    /// Whatever a crash has left opens. What is not as it was written is set aside in a file that ends in
    /// `.corrupt-N`, is told in [`Report::problems`](super::Report::problems), and stops nothing. What was found at
    /// the end is synced before this returns.
    ///
    /// # Errors
    ///
    /// If another process has it, another version has written it, or the disk cannot be read.
    pub fn open(
        disk: impl Disk + 'static,
        config: LogConfig,
        now_ms: u64,
    ) -> Result<(Log, Recovered), LogError> {
        let mut disk: Box<dyn Disk> = Box::new(disk);
        let lock = disk.lock().map_err(disk_error("lock its folder"))?.ok_or(LogError::Locked)?;
        let (place, recovered, settled) = recover::recover(&mut *disk, now_ms)?;
        Ok((Log::new(disk, lock, config, place, &recovered, settled), recovered))
    }

    #[allow(clippy::disallowed_types, reason = "only threads that may block wait for it, never a worker")]
    fn new(
        disk: Box<dyn Disk>,
        lock: DiskLock,
        mut config: LogConfig,
        place: Place,
        recovered: &Recovered,
        settled: Vec<Batch>,
    ) -> Log {
        config.workers = config.workers.max(1);
        config.batch_max = config.batch_max.min(BATCH_MAX);
        let segments = Segments::new(disk, place, config.segment_bytes, UNSYNCED_MAX);
        let log = Log {
            writing: Arc::new(Mutex::new(Writing {
                segments,
                settled: settled.into_iter().map(Arc::new).collect(),
                last: vec![0; config.workers],
                walked: vec![0; config.workers],
                round: 0,
                round_from: None,
                live: recovered.report.live_bytes,
                _lock: lock,
            })),
            status: LogStatus::default(),
            first_number: recovered.next_number,
            config: Arc::new(config),
        };
        log.lock().tell(&log.status);
        log
    }

    /// What is known of it, for metrics; it does not keep the log open.
    pub fn status(&self) -> LogStatus {
        self.status.clone()
    }

    pub(super) fn status_of(&self) -> &LogStatus {
        &self.status
    }

    /// The same log, which so many workers write into. Call it before the first [`journal`](Log::journal) of it.
    #[must_use]
    pub fn for_workers(mut self, workers: usize) -> Log {
        let workers = workers.max(1);
        {
            let mut writing = self.lock();
            writing.last.resize(workers, 0);
            writing.walked.resize(workers, 0);
        }
        self.config = Arc::new(LogConfig { workers, ..LogConfig::clone(&self.config) });
        self
    }

    fn lock(&self) -> MutexGuard<'_, Writing> {
        // Whoever panicked in there has left the segments as any error does.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a batch of a worker; with `sync` it is on the disk then. Blocks.
    pub(super) fn commit(&self, worker: usize, batch: &Arc<Batch>, sync: bool) -> io::Result<()> {
        self.lock().commit(&self.status, &self.config, worker, batch, sync)
    }

    /// The same, unless somebody else writes.
    pub(super) fn try_commit(&self, worker: usize, batch: &Arc<Batch>) -> Option<io::Result<()>> {
        let mut writing = match self.writing.try_lock() {
            Ok(writing) => writing,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(writing.commit(&self.status, &self.config, worker, batch, true))
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("config", &self.config)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Writing {
    fn commit(
        &mut self,
        status: &LogStatus,
        config: &LogConfig,
        worker: usize,
        batch: &Arc<Batch>,
        sync: bool,
    ) -> io::Result<()> {
        // One that was given up for its slowness and has come to its end after all.
        let again = batch.number <= self.last[worker];
        if !again {
            let written = self.write_settled(sync).and_then(|()| self.segments.write(batch, sync));
            status.0.failed.fetch_add(u64::from(written.is_err()), Relaxed);
            written?;
            status.0.syncs.fetch_add(u64::from(sync), Relaxed);
            self.last[worker] = batch.number;
            self.walked[worker] = self.walked[worker].max(batch.walked);
            status.0.in_transit.fetch_sub(batch.adopted, Relaxed);
        }
        let before = self.round_from;
        if self.check_round(status, config).is_err() {
            // The batch is committed for all that; the round goes on from here with the next one.
            status.0.failed.fetch_add(1, Relaxed);
        }
        if again || before != self.round_from || sync {
            self.tell(status);
        }
        Ok(())
    }

    /// Writes what a start has settled, before all else. One that is written is not written again, so that nobody gets
    /// what is in it twice.
    fn write_settled(&mut self, sync: bool) -> io::Result<()> {
        while let Some(settled) = self.settled.front() {
            self.segments.write(settled, sync)?;
            self.settled.pop_front();
        }
        Ok(())
    }

    /// Begins a round of checkpoints when the log has become long, and ends one that all workers have walked.
    fn check_round(&mut self, status: &LogStatus, config: &LogConfig) -> io::Result<()> {
        if let Some(from) = self.round_from {
            let walked = self.walked.iter().all(|walked| *walked == self.round);
            // A session between two workers is in what neither of them has walked.
            if walked && status.0.in_transit.load(Acquire) == 0 {
                self.segments.supersede(from)?;
                self.round_from = None;
                self.live = self.segments.bytes();
                status.0.round.store(0, Release);
                status.0.rounds.fetch_add(1, Relaxed);
            }
            return Ok(());
        }
        let bytes = self.segments.bytes();
        let long = bytes > config.checkpoint_bytes.max(2 * self.live);
        // Each start begins a segment, and may do little else.
        let many = self.segments.count() > 64 + 2 * bytes / config.segment_bytes.max(1);
        if long || many {
            self.round_from = Some(self.segments.close()?);
            self.round += 1;
            status.0.round.store(self.round, Release);
        }
        Ok(())
    }

    fn tell(&self, status: &LogStatus) {
        status.0.bytes.store(self.segments.bytes(), Relaxed);
        status.0.segments.store(self.segments.count(), Relaxed);
    }
}

pub(super) fn disk_error(what: &str) -> impl FnOnce(io::Error) -> LogError {
    let what = what.to_owned();
    move |error| LogError::Disk { what, error }
}

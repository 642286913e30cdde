//! A worker's end of the log: what it writes down, and what it has been told is on the disk.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use windlass::{JobError, Offload, Scope, SubmitError, Time};

use super::batch::Batch;
use super::latency::Latency;
use super::log::{Durability, Log};
use super::mark::Mark;
use super::record::{Body, MessageNumber, Record, SessionNumber};
use crate::parts;

/// What one worker writes down. Owned by its service; it never blocks.
///
/// Records of a turn go into a batch ([`record`](Journal::record)). When no batch is on its way,
/// [`submit`](Journal::submit) sends it to a thread that appends and syncs it, and while that lasts the next one grows:
/// the busier the worker, the more records share a sync. What may be acknowledged only when it is on the disk remembers
/// the number that `record` gave, and goes when [`committed`](Journal::committed) has reached it.
///
/// ```
/// use windlass_hub::journal::{Journal, Record};
///
/// // Nothing is written down, and all is committed at once: the mode without a log.
/// let mut journal = Journal::off(0, 1);
/// let session = journal.session();
/// let number = journal.record(&Record::Received { session, packet: 7 });
/// assert!(journal.committed() >= number);
/// ```
pub struct Journal {
    log: Option<Log>,
    worker: usize,
    workers: u64,
    batch: Batch,
    /// The batch that is being committed, or that could not be.
    sent: Option<Sent>,
    /// The number of the last record.
    last: u64,
    committed: u64,
    batches: u64,
    /// Something may be written and not synced, since then.
    unsynced_since: Option<Time>,
    /// The round of checkpoints that was walked last, or is.
    round: u64,
    next_number: u64,
    /// The others were told that the last commit failed.
    failing: bool,
    stats: JournalStats,
}

struct Sent {
    batch: Arc<Batch>,
    at: Time,
    /// It is back, and was not committed: to be tried again then.
    again: Option<Time>,
    sync: bool,
}

/// What came of a commit: made on the thread that did it, and for [`Journal::answered`].
#[derive(Debug)]
#[must_use = "give it to `Journal::answered`"]
pub struct Committed(Result<(), String>);

/// Why no new durable work is taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// The log cannot be written: a full disk, or a failing one. It is tried again all the time.
    Failed,
    /// The disk does not keep up: as many bytes wait for it as may.
    Full,
}

impl Refusal {
    /// A stable name, for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Refusal::Failed => "journal_failed",
            Refusal::Full => "journal_full",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Failed => "the journal cannot be written",
            Refusal::Full => "the disk does not keep up with the journal",
        })
    }
}

/// What a worker's journal has counted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct JournalStats {
    /// Batches that were committed.
    pub commits: u64,
    /// Records that were committed.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Commits that failed, by the disk or by their timeout; each is tried again.
    pub failed: u64,
    /// What the last failure was.
    pub failure: Option<String>,
    /// Durable work that was refused.
    pub refused: u64,
    /// Gauge: whether the last commit failed.
    pub failing: bool,
    /// Gauge: bytes that wait for a commit.
    pub waiting_bytes: u64,
    /// How long commits took, from the worker and back to it.
    pub latency: Latency,
}

impl JournalStats {
    /// Adds those of another worker.
    pub fn merge(&mut self, other: &JournalStats) {
        self.commits += other.commits;
        self.records += other.records;
        self.bytes += other.bytes;
        self.failed += other.failed;
        if let Some(failure) = &other.failure {
            self.failure = Some(failure.clone());
        }
        self.refused += other.refused;
        self.failing |= other.failing;
        self.waiting_bytes += other.waiting_bytes;
        self.latency.merge(&other.latency);
    }
}

impl Log {
    /// The end of the worker of this number, below [`LogConfig::workers`](super::LogConfig::workers). One for each.
    pub fn journal(&self, worker: usize) -> Journal {
        let workers = self.config.workers;
        Journal::new(Some(self.clone()), worker.min(workers - 1), workers, self.first_number)
    }
}

impl Journal {
    /// One that writes nothing down: all is lost with the process, and acknowledged at once.
    pub fn off(worker: usize, workers: usize) -> Journal {
        Journal::new(None, worker, workers, 1)
    }

    fn new(log: Option<Log>, worker: usize, workers: usize, first: u64) -> Journal {
        Journal {
            log,
            worker,
            workers: workers.max(1) as u64,
            batch: Batch::default(),
            sent: None,
            last: 0,
            committed: 0,
            batches: 0,
            unsynced_since: None,
            round: 0,
            next_number: first + worker as u64,
            failing: false,
            stats: JournalStats::default(),
        }
    }

    /// Whether anything is written down.
    #[inline]
    pub fn is_on(&self) -> bool {
        parts::JOURNAL && self.log.is_some()
    }

    /// A number for a session that begins. No other, on any worker or before a restart, has it.
    pub fn session(&mut self) -> SessionNumber {
        let number = self.next_number;
        self.next_number += self.workers;
        number
    }

    /// Writes a record down, and says its number: what waits for it may go when [`committed`](Journal::committed) is
    /// as high. Records of one batch are there together after a crash, or none is; all that belongs together is
    /// recorded in one turn, before the next [`submit`](Journal::submit).
    ///
    /// It never fails, so that what a session gives up can always be recorded; ask [`admit`](Journal::admit) before
    /// new work is taken in.
    #[inline]
    pub fn record(&mut self, record: &Record<'_>) -> u64 {
        if !self.is_on() {
            return 0;
        }
        self.last += 1;
        self.batch.put(record, self.last);
        self.last
    }

    /// The number of a message, whose text is written down first unless the log has it. Call it in the turn in which
    /// the message is queued or sent to a session that is durable, each time.
    #[inline]
    pub fn message(&mut self, mark: &Mark, body: &Body<'_>) -> MessageNumber {
        let mut message = mark.number();
        if message == 0 {
            message = mark.name(self.session());
        }
        if self.is_on() && !mark.is_written(self.worker, self.round) {
            mark.set_written(self.worker, self.round);
            self.record(&Record::Message { message, body: *body });
        }
        message
    }

    /// The number of the last record, or 0.
    #[inline]
    pub fn recorded(&self) -> u64 {
        self.last
    }

    /// All records up to this number are safe, as far as the [`Durability`] goes.
    #[inline]
    pub fn committed(&self) -> u64 {
        match &self.log {
            // Acknowledged at once, unless it is known that this would be a lie.
            Some(log) if log.config.durability == Durability::Interval && !self.is_failing() => self.last,
            Some(_) => self.committed,
            None => u64::MAX,
        }
    }

    /// Whether new durable work may be taken: a session, a subscription, a message of QoS 1 or 2. If not, refuse it,
    /// with 0x97 or 0x88 where the protocol has a code; this counts as one refusal.
    ///
    /// # Errors
    ///
    /// Why not. The disk fails for all if it does for one worker.
    #[inline]
    pub fn admit(&mut self) -> Result<(), Refusal> {
        let Some(log) = &self.log else { return Ok(()) };
        let refusal = if self.is_failing() || log.status_of().is_failing() {
            Refusal::Failed
        } else if self.batch.bytes.len() > log.config.batch_max {
            Refusal::Full
        } else {
            return Ok(());
        };
        self.stats.refused += 1;
        Err(refusal)
    }

    /// Whether the last commit failed, and is to be tried again.
    #[inline]
    pub fn is_failing(&self) -> bool {
        self.failing && self.sent.as_ref().is_some_and(|sent| sent.again.is_some())
    }

    /// Whether [`submit`](Journal::submit) would do something now: a batch waits, and none is on its way.
    pub fn is_due(&self, now: Time) -> bool {
        let Some(log) = &self.log else { return false };
        match &self.sent {
            Some(sent) => sent.again.is_some_and(|again| again <= now),
            None => !self.batch.is_empty() || self.sync_is_due(log, now),
        }
    }

    fn sync_is_due(&self, log: &Log, now: Time) -> bool {
        self.unsynced_since.is_some_and(|since| since + log.config.sync_interval <= now)
    }

    /// Has the batch committed, if one waits and none is on its way: call it at the end of a turn, when an answer
    /// came ([`answered`](Journal::answered)), and with each tick. Whether a job was submitted.
    ///
    /// `wrap` makes the pool's answer of what came of it. The job belongs to the service and not to a connection,
    /// which is why a [`Scope`] is asked for.
    pub fn submit<A: Send + 'static>(
        &mut self,
        scope: &mut Scope<'_>,
        pool: &Offload<A>,
        wrap: impl FnOnce(Committed) -> A + Send + 'static,
    ) -> bool {
        if !parts::JOURNAL {
            return false;
        }
        let now = scope.now();
        let Some((job, timeout)) = self.job(now) else { return false };
        match pool.submit_within(scope, timeout, move || wrap(job())) {
            Ok(_) => true,
            Err(SubmitError::Closed(_)) => self.put_off(now),
            Err(error) => self.failed(error.to_string(), now),
        }
    }

    /// What [`submit`](Journal::submit) submits, for whoever has no pool: the commit as a closure, to run on any
    /// thread that may block, and how long it may take. Its result is for [`answered`](Journal::answered), and it is
    /// run even if it is late. `None` if nothing is due.
    pub fn job(&mut self, now: Time) -> Option<(impl FnOnce() -> Committed + Send + 'static, Duration)> {
        if !self.is_due(now) {
            return None;
        }
        let log = self.log.clone()?;
        let worker = self.worker;
        let sync = log.config.durability == Durability::Commit || self.sync_is_due(&log, now);
        let sent = match self.sent.take() {
            Some(sent) => Sent { again: None, at: now, ..sent },
            None => {
                self.batches += 1;
                self.batch.number = self.batches;
                let batch = std::mem::take(&mut self.batch);
                Sent { batch: Arc::new(batch), at: now, again: None, sync }
            }
        };
        let (batch, sync) = (sent.batch.clone(), sent.sync);
        self.sent = Some(sent);
        let timeout = log.config.commit_timeout;
        let job = move || Committed(log.commit(worker, &batch, sync).map_err(|error| error.to_string()));
        Some((job, timeout))
    }

    /// The answer to a job of [`submit`](Journal::submit). Whether [`committed`](Journal::committed) has moved; if
    /// not, the commit has failed, and durable work is refused until one succeeds, or it was taken back by a pool whose
    /// server stops, and is only tried again. Submit the next batch then.
    pub fn answered(&mut self, result: Result<Committed, JobError>, now: Time) -> bool {
        match result {
            Ok(Committed(Ok(()))) => self.succeeded(now),
            Ok(Committed(Err(failure))) => self.failed(failure, now),
            Err(JobError::Cancelled) => self.put_off(now),
            Err(error) => self.failed(error.to_string(), now),
        }
    }

    fn succeeded(&mut self, now: Time) -> bool {
        let Some(sent) = self.sent.take() else { return false };
        self.tell_failing(false);
        self.committed = self.committed.max(sent.batch.last);
        self.stats.commits += 1;
        self.stats.records += sent.batch.records;
        self.stats.bytes += sent.batch.bytes.len() as u64;
        self.stats.latency.add(now.since(sent.at));
        self.unsynced_since = if sent.sync { None } else { self.unsynced_since.or(Some(now)) };
        // The same memory again, and the records that came meanwhile.
        if self.batch.is_empty()
            && let Ok(batch) = Arc::try_unwrap(sent.batch)
        {
            self.batch = batch.emptied();
        }
        true
    }

    fn failed(&mut self, failure: String, now: Time) -> bool {
        self.stats.failed += 1;
        self.stats.failure = Some(failure);
        self.put_off(now);
        self.tell_failing(self.sent.is_some());
        false
    }

    /// The batch is committed later: false. By itself that is no failure, as where the server stops: a client of a worker
    /// that has not yet is not refused for it.
    fn put_off(&mut self, now: Time) -> bool {
        if let (Some(sent), Some(log)) = (&mut self.sent, &self.log) {
            sent.again = Some(now + log.config.retry);
        }
        false
    }

    /// Has the other workers know whether the disk fails: they refuse durable work too.
    fn tell_failing(&mut self, failing: bool) {
        if let Some(log) = self.log.as_ref().filter(|_| self.failing != failing) {
            log.status_of().set_failing(failing);
            self.failing = failing;
        }
    }

    /// Whether a checkpoint is under way for which this worker has not written down what it has. Begin with
    /// [`begin_walk`](Journal::begin_walk) then.
    #[inline]
    pub fn walk_is_wanted(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.status().round() > self.round)
    }

    /// Begins to write down all that this worker has, in steps over as many turns as it takes: each session and each
    /// retained message that was there at this moment and still is. Of a session, in one turn:
    /// [`Record::Opened`], and behind it what it has ([`Record::Disconnected`] too, if it has no connection). Of what
    /// is retained, and was deleted within the last minute, that which *this worker* has recorded or was given at
    /// the start. Then [`end_walk`](Journal::end_walk).
    pub fn begin_walk(&mut self) {
        if let Some(log) = &self.log {
            self.round = log.status().round().max(self.round);
        }
    }

    /// All has been written down.
    pub fn end_walk(&mut self) {
        self.batch.walked = self.round;
    }

    /// Whether a checkpoint is under way, on whichever worker.
    pub fn is_walking(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.status().round() != 0)
    }

    /// A session leaves for another worker, with all that it has, once what was recorded here is committed. Call it when
    /// it is sent, and [`adopted`](Journal::adopted) there: in between no checkpoint ends.
    pub fn released(&mut self) {
        if let Some(log) = &self.log {
            log.status().released();
        }
    }

    /// A session has come from another worker. If this returns true, write it down in this turn as for a walk.
    #[must_use = "if true, the session is to be written down"]
    pub fn adopted(&mut self) -> bool {
        if self.is_on() {
            self.batch.adopted += 1;
        }
        self.is_walking()
    }

    /// What it has counted.
    pub fn stats(&self) -> JournalStats {
        let sent = self.sent.as_ref().map_or(0, |sent| sent.batch.bytes.len());
        let waiting_bytes = (self.batch.bytes.len() + sent) as u64;
        JournalStats { failing: self.is_failing(), waiting_bytes, ..self.stats.clone() }
    }

    /// Bytes of records in the batch that is next: what a walk looks at, to leave room for others.
    pub fn batch_bytes(&self) -> usize {
        self.batch.bytes.len()
    }
}

impl Drop for Journal {
    /// The worker has ended: what it has not committed is written now, unless somebody holds the log. Nothing of it
    /// was acknowledged, but it says what has become of sessions at the end.
    fn drop(&mut self) {
        if !parts::JOURNAL {
            return;
        }
        self.tell_failing(false);
        let Some(log) = &self.log else { return };
        if let Some(sent) = self.sent.take()
            && !matches!(log.try_commit(self.worker, &sent.batch), Some(Ok(())))
        {
            return;
        }
        if !self.batch.is_empty() || self.unsynced_since.is_some() {
            self.batch.number = self.batches + 1;
            let batch = Arc::new(std::mem::take(&mut self.batch));
            let _ = log.try_commit(self.worker, &batch);
        }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("worker", &self.worker)
            .field("recorded", &self.last)
            .field("committed", &self.committed)
            .field("failing", &self.is_failing())
            .finish_non_exhaustive()
    }
}

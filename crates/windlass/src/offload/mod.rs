//! Work off the loop: jobs that block or compute for long, on a few threads of their own, answered on the
//! worker that asked.
//!
//! This file is the surface. `board.rs` is the machine behind it (read its head next), `inbox.rs` the
//! worker's end, `crew.rs` the threads that run the jobs. In a simulation there are no threads: `sim/jobs.rs`
//! runs the jobs at times drawn from the seed.

mod board;
mod crew;
mod inbox;
#[cfg(test)]
mod tests;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use windlass_proto::Time;

use crate::conn::Conn;
use crate::core::Core;
use crate::id::ConnId;
use crate::scope::{Scope, Sessions};
use crate::service::Service;
use crate::shared::Shared;

use board::Board;
pub(crate) use crew::{Crew, Jobs, Started, Threads};
pub(crate) use inbox::{Lane, Taken};

/// Threads of one pool, at most.
const THREADS_MAX: usize = 256;

/// How large a pool is, and how patient. Plain data; start from the default and set what you need.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffloadConfig {
    /// Threads, each started when it is first needed. Default 4; clamped to 1..=256.
    pub threads: usize,
    /// Jobs one worker may have open: waiting, running, or answered and not delivered yet. One more is
    /// refused with [`SubmitError::Full`]. Default 256.
    pub jobs_max: usize,
    /// A job that has not been answered so long after its submission is answered with
    /// [`JobError::Timeout`]. Default 30 s; at most 20 days.
    pub timeout: Duration,
    /// The name of its threads. Default "offload".
    pub name: String,
}

impl Default for OffloadConfig {
    fn default() -> OffloadConfig {
        OffloadConfig { threads: 4, jobs_max: 256, timeout: Duration::from_secs(30), name: "offload".into() }
    }
}

/// A bounded pool of threads for work that would hold a worker: a password hash, a file, a database, a
/// compression. Clones are the same pool.
///
/// A service submits a job, a closure; it runs on one of the pool's threads; what it returns comes back to
/// [`Work::answer`] of the *same service on the same worker*. Every job gets **exactly one answer**: its
/// result, [`JobError::Panicked`], [`JobError::Timeout`] at its deadline, or [`JobError::Cancelled`] when the
/// server stops first. The one exception: a job submitted from a [`Conn`] belongs to that connection, and is
/// **cancelled with it**, whether it was closed or moved to another worker. One that has not started is not
/// run then; of one that has, the result is dropped and counted ([`OffloadStats::late`]). One that is
/// submitted when the connection has ended already, in [`closed`](crate::Service::closed), is the service's,
/// as from a [`Scope`].
///
/// **Bounded.** A worker has at most [`OffloadConfig::jobs_max`] jobs open, and an open job has room for its
/// answer reserved, so no answer is ever lost to a full queue. Beyond that, submitting fails with
/// [`SubmitError::Full`], which hands the job back: pause the connection ([`Conn::pause`]) or refuse the
/// request. [`Work::room`] says when there is room again.
///
/// **A thread cannot be taken back.** A job that never returns gets its timeout answer on time, and holds
/// its thread for good. When every thread is held so, jobs still get their timeout at their deadline, and the
/// loop never notices. Bound the work itself (socket timeouts, sizes) wherever you can.
///
/// **Shutdown.** Connections finish what they have submitted, within the drain timeout. When a worker's last
/// connection is gone, its jobs that have not started are cancelled and those that run are waited for, up to
/// the drain timeout; after it they are left to themselves ([`OffloadStats::detached`]).
///
/// A pool answers one service of one server. Under [`sim`](crate::sim) and in the
/// [`Harness`](crate::testing::Harness) it has no threads: jobs run in virtual time.
///
/// ```
/// use windlass::{Answer, Close, Conn, Input, Offload, Scope, Service, Sessions, Work, serve};
///
/// /// Answers each chunk with its checksum, worked out elsewhere.
/// struct Sums {
///     pool: Offload<u64>,
/// }
///
/// impl Service for Sums {
///     type Session = ();
///     fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
///         Ok(())
///     }
///     fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
///         let bytes = input.take_all().to_vec();
///         match self.pool.submit(conn, move || bytes.iter().map(|&b| u64::from(b)).sum()) {
///             Ok(_) => Ok(()),
///             Err(_) => Err(Close::Refused), // or leave the input and pause until `room`
///         }
///     }
/// }
///
/// impl Work for Sums {
///     type Answer = u64;
///     fn answer(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>, answer: Answer<u64>) {
///         if let (Some(conn), Ok(sum)) = (answer.conn, answer.result) {
///             scope.write_to(conn, format!("{sum}\n").as_bytes());
///         }
///     }
/// }
///
/// let pool = Offload::default();
/// let in_service = pool.clone();
/// let bound = serve(move || Sums { pool: in_service.clone() }).offload(&pool).tcp("127.0.0.1:0").bind()?;
/// # drop(bound);
/// # Ok::<(), windlass::Error>(())
/// ```
pub struct Offload<A> {
    inner: Arc<Inner<A>>,
}

struct Inner<A> {
    config: OffloadConfig,
    bound: OnceLock<Bound<A>>,
}

/// A pool whose server is known.
struct Bound<A> {
    state: Mutex<State<A>>,
    /// Threads without a job sleep on it.
    waiting: Condvar,
    shared: Arc<Shared>,
}

struct State<A> {
    board: Board<A>,
    threads: usize,
    idle: usize,
    /// The server is gone: threads end.
    over: bool,
    spawn_failed: u64,
}

impl<A> Clone for Offload<A> {
    fn clone(&self) -> Self {
        Offload { inner: self.inner.clone() }
    }
}

impl<A: Send + 'static> Default for Offload<A> {
    fn default() -> Self {
        Offload::new(OffloadConfig::default())
    }
}

impl<A> fmt::Debug for Offload<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offload").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

/// Names a job of one pool; never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct JobId(u64);

impl JobId {
    pub(crate) const FIRST: JobId = JobId(0);
    pub(crate) const LAST: JobId = JobId(u64::MAX);

    #[cfg(test)]
    pub(crate) fn numbered(number: u64) -> JobId {
        JobId(number)
    }
}

/// What came of a job.
#[derive(Debug)]
#[non_exhaustive]
pub struct Answer<A> {
    /// Which job.
    pub job: JobId,
    /// The connection it was submitted for, which is open still; `None` if it was submitted from a
    /// [`Scope`].
    pub conn: Option<ConnId>,
    /// What it returned, or why it did not.
    pub result: Result<A, JobError>,
}

/// Why a job has no result.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum JobError {
    /// It was not done by its deadline. If it runs, it runs on, and its result will be dropped.
    Timeout,
    /// It panicked, with this message.
    Panicked(String),
    /// The server stopped before it was started.
    Cancelled,
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobError::Timeout => f.write_str("the job was not done by its deadline"),
            JobError::Panicked(text) => write!(f, "the job panicked: {text}"),
            JobError::Cancelled => f.write_str("the server stopped before the job was started"),
        }
    }
}

impl std::error::Error for JobError {}

/// Why a job was not submitted; it is handed back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubmitError<F> {
    /// This worker has [`OffloadConfig::jobs_max`] jobs open. [`Work::room`] says when there is room.
    Full(F),
    /// No server has been bound to the pool, or it has stopped.
    Closed(F),
}

impl<F> fmt::Display for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SubmitError::Full(_) => "the pool has as many jobs of this worker as it may",
            SubmitError::Closed(_) => "the pool has no running server",
        })
    }
}

// Without the job, which is a closure and cannot be shown.
impl<F> fmt::Debug for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SubmitError::Full(_) => "Full(..)",
            SubmitError::Closed(_) => "Closed(..)",
        })
    }
}

impl<F> std::error::Error for SubmitError<F> {}

/// A service with an [`Offload`] pool: it gets the answers.
pub trait Work: Service {
    /// What jobs return. An enum, if there are several kinds.
    type Answer: Send + 'static;

    /// The answer to a job this service submitted on this worker.
    fn answer(
        &mut self,
        scope: &mut Scope<'_>,
        sessions: &mut Sessions<Self::Session>,
        answer: Answer<Self::Answer>,
    );

    /// There is room again, after a submission on this worker was refused with [`SubmitError::Full`]:
    /// resume what was paused. Comes once for any number of refusals.
    #[allow(unused_variables, reason = "the default does nothing with them")]
    fn room(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<Self::Session>) {}
}

/// What a pool has counted since the start; the last three are what is so now.
///
/// `submitted = answered + cancelled + open`, at any time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct OffloadStats {
    /// Jobs taken in.
    pub submitted: u64,
    /// Jobs refused with [`SubmitError::Full`].
    pub rejected: u64,
    /// Jobs started.
    pub run: u64,
    /// Answers delivered, whatever they said.
    pub answered: u64,
    /// Jobs that ended without an answer, since nobody waited for it any more: their connection was
    /// gone, or they were cancelled.
    pub cancelled: u64,
    /// Answered with [`JobError::Timeout`].
    pub timed_out: u64,
    /// Jobs that panicked.
    pub panicked: u64,
    /// Results dropped because nobody waited for them any more, or their deadline had passed.
    pub late: u64,
    /// Jobs still running when their worker stopped.
    pub detached: u64,
    /// Most jobs that waited at the same time.
    pub queued_peak: u64,
    /// The longest a job waited before it started.
    pub longest_wait: Duration,
    /// Threads that could not be started.
    pub spawn_failed: u64,
    /// Gauge: jobs waiting.
    pub queued: u64,
    /// Gauge: jobs running, and so threads busy. Those nobody waits for any more are counted too.
    pub running: u64,
    /// Gauge: jobs waiting, running, or answered and not delivered.
    pub open: u64,
}

impl OffloadStats {
    /// Names and values of all of them, in the order of their declaration; times in nanoseconds.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("submitted", self.submitted),
            ("rejected", self.rejected),
            ("run", self.run),
            ("answered", self.answered),
            ("cancelled", self.cancelled),
            ("timed_out", self.timed_out),
            ("panicked", self.panicked),
            ("late", self.late),
            ("detached", self.detached),
            ("queued_peak", self.queued_peak),
            ("longest_wait_nanos", self.longest_wait.as_nanos() as u64),
            ("spawn_failed", self.spawn_failed),
            ("queued", self.queued),
            ("running", self.running),
            ("open", self.open),
        ]
        .into_iter()
    }
}

mod sealed {
    /// What can submit a job.
    pub trait Origin {
        #[doc(hidden)]
        #[allow(private_interfaces, reason = "sealed: nobody outside can name or call it")]
        fn origin(&mut self) -> (&mut super::Core, Option<super::ConnId>);
    }
}

impl sealed::Origin for Conn<'_> {
    #[allow(private_interfaces, reason = "sealed: nobody outside can name or call it")]
    fn origin(&mut self) -> (&mut Core, Option<ConnId>) {
        let id = self.id();
        (self.core(), Some(id))
    }
}

impl sealed::Origin for Scope<'_> {
    #[allow(private_interfaces, reason = "sealed: nobody outside can name or call it")]
    fn origin(&mut self) -> (&mut Core, Option<ConnId>) {
        (self.core(), None)
    }
}

/// Where a job comes from: a [`Conn`], and then it belongs to that connection while that is open, or a [`Scope`], and then to
/// the service. Nothing else implements it.
pub trait Origin: sealed::Origin {}

impl<O: sealed::Origin> Origin for O {}

impl<A: Send + 'static> Offload<A> {
    /// A pool without a server; [`Serve::offload`](crate::Serve::offload) binds it to one.
    pub fn new(mut config: OffloadConfig) -> Offload<A> {
        config.threads = config.threads.clamp(1, THREADS_MAX);
        config.timeout = config.timeout.min(crate::config::TIMEOUT_MAX);
        Offload { inner: Arc::new(Inner { config, bound: OnceLock::new() }) }
    }

    /// Submits a job for the connection or the service, with the pool's timeout.
    ///
    /// # Errors
    ///
    /// When there is no room, or no server; the job is handed back.
    pub fn submit<F>(&self, origin: &mut impl Origin, job: F) -> Result<JobId, SubmitError<F>>
    where
        F: FnOnce() -> A + Send + 'static,
    {
        self.submit_within(origin, self.inner.config.timeout, job)
    }

    /// The same with a timeout of its own, at most 20 days.
    ///
    /// # Errors
    ///
    /// As [`Offload::submit`].
    pub fn submit_within<F>(
        &self,
        origin: &mut impl Origin,
        timeout: Duration,
        job: F,
    ) -> Result<JobId, SubmitError<F>>
    where
        F: FnOnce() -> A + Send + 'static,
    {
        let (core, conn) = origin.origin();
        // What a connection asks for in its last callback nobody would cancel, nor hear of.
        let conn = conn.filter(|id| core.find(*id).is_some());
        self.submit_from(core, conn, timeout, job)
    }

    pub(crate) fn submit_from<F>(
        &self,
        core: &mut Core,
        conn: Option<ConnId>,
        timeout: Duration,
        job: F,
    ) -> Result<JobId, SubmitError<F>>
    where
        F: FnOnce() -> A + Send + 'static,
    {
        let Some(bound) = self.inner.bound.get() else { return Err(SubmitError::Closed(job)) };
        let (worker, now) = (usize::from(core.worker), core.now);
        let timeout = timeout.min(crate::config::TIMEOUT_MAX);
        let (id, deadline) = {
            let mut state = bound.lock();
            if state.board.is_closed(worker) {
                return Err(SubmitError::Closed(job));
            }
            if !state.board.reserve(worker) {
                return Err(SubmitError::Full(job));
            }
            state.board.submit(worker, conn, now, timeout, Box::new(job))
        };
        bound.waiting.notify_one();
        core.answers_due = core.answers_due.min(deadline);
        let jobs: Arc<dyn Jobs> = self.inner.clone();
        bound.shared.offer(&jobs);
        Ok(JobId(id))
    }

    /// Gives a job up: it gets no answer, and is not run if it has not started. False if it has been
    /// answered, or cancelled, already.
    pub fn cancel(&self, job: JobId) -> bool {
        let Some(bound) = self.inner.bound.get() else { return false };
        let (refused, (was_open, dropped)) = {
            let board = &mut bound.lock().board;
            (board.owes_room(job.0), board.cancel(job.0))
        };
        drop(dropped);
        if let Some(worker) = refused {
            // Nothing else may happen there that would tell of the room.
            bound.shared.wake(worker);
        }
        was_open
    }

    /// Gives a job up if it has not started.
    pub(crate) fn cancel_waiting(&self, job: JobId) -> bool {
        let Some(bound) = self.inner.bound.get() else { return false };
        let dropped = bound.lock().board.cancel_waiting(job.0);
        dropped.is_some()
    }

    /// What it has counted; all zero before it is bound.
    pub fn stats(&self) -> OffloadStats {
        let Some(bound) = self.inner.bound.get() else { return OffloadStats::default() };
        let state = bound.lock();
        OffloadStats { spawn_failed: state.spawn_failed, ..state.board.stats() }
    }

    /// How it was set up.
    pub fn config(&self) -> &OffloadConfig {
        &self.inner.config
    }

    /// Makes the queues; false if the pool has some already.
    pub(crate) fn bind(&self, shared: &Arc<Shared>) -> bool {
        let board = Board::new(shared.workers.len(), self.inner.config.jobs_max);
        let state = State { board, threads: 0, idle: 0, over: false, spawn_failed: 0 };
        let state = Mutex::new(state);
        self.inner.bound.set(Bound { state, waiting: Condvar::new(), shared: shared.clone() }).is_ok()
    }

    /// The server is gone: what is left is dropped, and idle threads end.
    pub(crate) fn close(&self) {
        let Some(bound) = self.inner.bound.get() else { return };
        let (mut dropped, mut answers) = (Vec::new(), Vec::new());
        let mut state = bound.lock();
        state.over = true;
        for worker in 0..bound.shared.workers.len() {
            answers.extend(state.board.close(worker, &mut dropped));
        }
        drop(state);
        bound.waiting.notify_all();
    }
}

impl<A> Bound<A> {
    /// A panic elsewhere cannot leave the board half changed.
    fn lock(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Send + 'static> Inner<A> {
    /// A started job, ready to be run anywhere, that books its own result.
    fn started(self: Arc<Self>, id: u64, job: board::Job<A>) -> Started {
        Box::new(move |now: &dyn Fn() -> Time| {
            let result = catch_unwind(AssertUnwindSafe(job)).map_err(|panic| {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                JobError::Panicked(text.unwrap_or_else(|| "no message".into()))
            });
            let Some(bound) = self.bound.get() else { return };
            let finished = bound.lock().board.finish(id, result, now());
            if let Ok(worker) = finished {
                bound.shared.wake(worker);
            }
        })
    }
}

impl<A: Send + 'static> Jobs for Inner<A> {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn threads(&self) -> usize {
        self.config.threads
    }

    fn start(self: Arc<Self>, now: Time) -> Option<Started> {
        let (id, job) = self.bound.get()?.lock().board.start(now)?;
        Some(self.started(id, job))
    }

    fn wants_thread(&self) -> bool {
        let Some(bound) = self.bound.get() else { return false };
        let mut state = bound.lock();
        let waiting = state.board.stats().queued as usize;
        let wanted = !state.over && state.threads < self.config.threads && state.idle < waiting;
        state.threads += usize::from(wanted);
        wanted
    }

    fn wait(self: Arc<Self>, now: &dyn Fn() -> Time) -> Option<Started> {
        let bound = self.bound.get()?;
        let mut state = bound.lock();
        let (id, job) = loop {
            if state.over {
                return None;
            }
            if let Some(started) = state.board.start(now()) {
                break started;
            }
            state.idle += 1;
            state = bound.waiting.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        };
        drop(state);
        Some(self.started(id, job))
    }

    fn thread_ended(&self) {
        if let Some(bound) = self.bound.get() {
            bound.lock().threads -= 1;
        }
    }

    fn spawn_failed(&self) {
        if let Some(bound) = self.bound.get() {
            bound.lock().spawn_failed += 1;
        }
    }

    fn check_end(&self) -> Option<String> {
        self.bound.get()?.lock().board.check_end()
    }
}

//! The state of a pool, as a plain machine: what waits, what runs, who is owed an answer.
//!
//! Nothing in here locks, sleeps, calls back or reads a clock. What belongs to the user (a job that will
//! not run, an answer nobody wants) is handed out instead of dropped, since it may do anything then, and
//! this is used under a lock.
//!
//! A job is *open* from its submission until its answer is delivered or its connection is gone. Each open
//! job is in exactly one of three places: waiting in `queue`, running (`running`), or answered (`ready` of
//! its lane). Its place among the open jobs of its lane is the room for its answer, so no answer ever
//! finds the lane full.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use windlass_proto::Time;

use super::{JobError, OffloadStats};
use crate::id::ConnId;
use crate::planted::{Fault, planted};

/// A job as it waits: what it captured, and how to make its answer.
pub(super) type Job<A> = Box<dyn FnOnce() -> A + Send>;

/// Who is owed an answer, and until when.
pub(super) struct Open {
    worker: usize,
    pub(super) conn: Option<ConnId>,
    submitted: Time,
    deadline: Time,
}

/// What one worker has open.
struct Lane<A> {
    open: usize,
    ready: VecDeque<(u64, Result<A, JobError>)>,
    deadlines: BTreeSet<(Time, u64)>,
    /// A submission was refused for want of room, and there has been none since.
    owed_room: bool,
    closed: bool,
}

pub(super) struct Board<A> {
    jobs_max: usize,
    queue: BTreeMap<u64, Job<A>>,
    open: BTreeMap<u64, Open>,
    by_conn: BTreeSet<(ConnId, u64)>,
    /// With their workers. A job stays here until it returns, whoever still waits for it.
    running: BTreeMap<u64, usize>,
    lanes: Vec<Lane<A>>,
    last: u64,
    stats: OffloadStats,
}

/// What a worker is to do next.
pub(super) enum Next<A> {
    /// Deliver this.
    Answer(u64, Open, Result<A, JobError>),
    /// Tell the service that there is room again.
    Room,
    /// Nothing for the service: these are only to be dropped.
    Discard(Discard<A>),
    /// Nothing, until the deadline if there is one.
    Nothing(Option<Time>),
}

/// The user's property that is of no more use.
#[allow(dead_code, reason = "made to be dropped outside the lock")]
pub(super) enum Discard<A> {
    Job(Job<A>),
    Answer(Result<A, JobError>),
}

/// Whether a lane can be closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Left {
    Nothing,
    Answers,
    Running,
}

impl<A> Board<A> {
    pub(super) fn new(workers: usize, jobs_max: usize) -> Board<A> {
        let lane = || Lane {
            open: 0,
            ready: VecDeque::new(),
            deadlines: BTreeSet::new(),
            owed_room: false,
            closed: false,
        };
        Board {
            jobs_max: jobs_max.max(1),
            queue: BTreeMap::new(),
            open: BTreeMap::new(),
            by_conn: BTreeSet::new(),
            running: BTreeMap::new(),
            lanes: (0..workers).map(|_| lane()).collect(),
            last: 0,
            stats: OffloadStats::default(),
        }
    }

    pub(super) fn stats(&self) -> OffloadStats {
        OffloadStats {
            queued: self.queue.len() as u64,
            running: self.running.len() as u64,
            open: self.open.len() as u64,
            ..self.stats
        }
    }

    pub(super) fn is_closed(&self, worker: usize) -> bool {
        self.lanes.get(worker).is_none_or(|lane| lane.closed)
    }

    /// Takes a place for one more job of this worker; false when it has as many open as it may.
    pub(super) fn reserve(&mut self, worker: usize) -> bool {
        let lane = &mut self.lanes[worker];
        if lane.open >= self.jobs_max {
            lane.owed_room = true;
            self.stats.rejected += 1;
            return false;
        }
        lane.open += 1;
        true
    }

    /// Queues a job in the place taken for it.
    pub(super) fn submit(
        &mut self,
        worker: usize,
        conn: Option<ConnId>,
        now: Time,
        timeout: Duration,
        job: Job<A>,
    ) -> (u64, Time) {
        self.last += 1;
        let (id, deadline) = (self.last, now + timeout);
        self.queue.insert(id, job);
        self.open.insert(id, Open { worker, conn, submitted: now, deadline });
        self.lanes[worker].deadlines.insert((deadline, id));
        if let Some(conn) = conn {
            self.by_conn.insert((conn, id));
        }
        self.stats.submitted += 1;
        self.stats.queued_peak = self.stats.queued_peak.max(self.queue.len() as u64);
        (id, deadline)
    }

    /// The job that has waited longest starts.
    pub(super) fn start(&mut self, now: Time) -> Option<(u64, Job<A>)> {
        let (id, job) = self.queue.pop_first()?;
        // A job that waits is open: whatever ends it takes it out of the queue.
        let open = self.open.get(&id)?;
        let waited = now.since(open.submitted);
        self.stats.longest_wait = self.stats.longest_wait.max(waited);
        self.stats.run += 1;
        self.running.insert(id, open.worker);
        Some((id, job))
    }

    /// A job has returned. Tells which worker to wake, or hands back the answer nobody waits for.
    pub(super) fn finish(
        &mut self,
        id: u64,
        result: Result<A, JobError>,
        now: Time,
    ) -> Result<usize, Discard<A>> {
        self.running.remove(&id);
        if matches!(result, Err(JobError::Panicked(_))) {
            self.stats.panicked += 1;
        }
        let Some(open) = self.open.get(&id) else {
            self.stats.late += 1;
            return Err(Discard::Answer(result));
        };
        if now >= open.deadline {
            // The worker is about to notice that itself.
            self.stats.late += 1;
            return Err(Discard::Answer(result));
        }
        let worker = open.worker;
        let lane = &mut self.lanes[worker];
        lane.deadlines.remove(&(open.deadline, id));
        if planted(Fault::AnswerLostWhenFull) && !lane.ready.is_empty() {
            self.forget(id);
            return Err(Discard::Answer(result));
        }
        self.lanes[worker].ready.push_back((id, result));
        Ok(worker)
    }

    /// What there is for a worker.
    pub(super) fn next(&mut self, worker: usize, now: Time) -> Next<A> {
        if let Some((id, result)) = self.lanes[worker].ready.pop_front() {
            return match self.forget(id) {
                Some(open) => {
                    self.stats.answered += 1;
                    Next::Answer(id, open, result)
                }
                // Its connection has gone since, or it was cancelled.
                None => Next::Discard(Discard::Answer(result)),
            };
        }
        let jobs_max = self.jobs_max;
        let lane = &mut self.lanes[worker];
        let due = lane.deadlines.first().copied().filter(|_| !planted(Fault::JobWithoutDeadline));
        if let Some((deadline, id)) = due
            && deadline <= now
        {
            if let Some(job) = self.queue.remove(&id) {
                // Its turn never came. Once more around for the answer.
                return Next::Discard(Discard::Job(job));
            }
            self.stats.timed_out += 1;
            self.stats.answered += 1;
            return match self.forget(id) {
                Some(open) => Next::Answer(id, open, Err(JobError::Timeout)),
                None => Next::Nothing(None),
            };
        }
        if lane.owed_room && lane.open < jobs_max {
            lane.owed_room = false;
            return Next::Room;
        }
        Next::Nothing(due.map(|(at, _)| at))
    }

    /// The answer just taken finds its connection about to end.
    pub(super) fn undelivered(&mut self) {
        self.stats.answered -= 1;
        self.stats.cancelled += 1;
    }

    /// Nobody waits for this job any more. What is to be dropped, if it had not started.
    pub(super) fn cancel(&mut self, id: u64) -> (bool, Option<Job<A>>) {
        let was_open = self.forget(id).is_some();
        self.stats.cancelled += u64::from(was_open);
        (was_open, self.queue.remove(&id))
    }

    /// The worker of an open job, if somebody there was refused and waits for room.
    pub(super) fn owes_room(&self, id: u64) -> Option<usize> {
        let worker = self.open.get(&id)?.worker;
        self.lanes[worker].owed_room.then_some(worker)
    }

    /// Gives a job up, but only if it has not started.
    pub(super) fn cancel_waiting(&mut self, id: u64) -> Option<Job<A>> {
        if self.queue.contains_key(&id) { self.cancel(id).1 } else { None }
    }

    /// The connection is gone: so are its jobs. Tells whether there is room now that somebody waits for.
    pub(super) fn gone(&mut self, worker: usize, conn: ConnId, dropped: &mut Vec<Job<A>>) -> bool {
        while let Some(&(_, id)) = self.by_conn.range((conn, 0)..=(conn, u64::MAX)).next() {
            if planted(Fault::CancelledJobAnswers) || planted(Fault::AnswerToRecycled) {
                self.by_conn.remove(&(conn, id));
                continue;
            }
            dropped.extend(self.cancel(id).1);
        }
        self.lanes[worker].owed_room
    }

    /// Takes a job out of the books.
    fn forget(&mut self, id: u64) -> Option<Open> {
        let open = self.open.remove(&id)?;
        let lane = &mut self.lanes[open.worker];
        lane.open -= 1;
        lane.deadlines.remove(&(open.deadline, id));
        if let Some(conn) = open.conn {
            self.by_conn.remove(&(conn, id));
        }
        Some(open)
    }

    /// The worker has no connection left and would like to stop: its jobs that have not started are
    /// cancelled, and their answers say so.
    pub(super) fn close_if_empty(&mut self, worker: usize, dropped: &mut Vec<Job<A>>) -> Left {
        let open = &self.open;
        let mine = |id: &u64| open.get(id).is_some_and(|open| open.worker == worker);
        let waiting: Vec<u64> = self.queue.keys().copied().filter(mine).collect();
        for id in waiting {
            dropped.extend(self.queue.remove(&id));
            let lane = &mut self.lanes[worker];
            if let Some(open) = self.open.get(&id) {
                lane.deadlines.remove(&(open.deadline, id));
            }
            lane.ready.push_back((id, Err(JobError::Cancelled)));
        }
        let lane = &mut self.lanes[worker];
        if !lane.ready.is_empty() {
            return Left::Answers;
        }
        if lane.open > 0 {
            return Left::Running;
        }
        self.close(worker, dropped);
        Left::Nothing
    }

    /// The worker has stopped. Its jobs that run are left to themselves.
    pub(super) fn close(&mut self, worker: usize, dropped: &mut Vec<Job<A>>) -> Vec<Result<A, JobError>> {
        if self.lanes[worker].closed {
            return Vec::new();
        }
        self.lanes[worker].closed = true;
        self.stats.detached += self.running.values().filter(|&&of| of == worker).count() as u64;
        let mine: Vec<u64> =
            self.open.iter().filter(|(_, open)| open.worker == worker).map(|(id, _)| *id).collect();
        for id in mine {
            dropped.extend(self.cancel(id).1);
        }
        self.lanes[worker].ready.drain(..).map(|(_, result)| result).collect()
    }

    /// For the simulator, at the end: what does not add up.
    pub(super) fn check_end(&self) -> Option<String> {
        let left = (self.queue.len(), self.open.len(), self.by_conn.len());
        if left != (0, 0, 0) {
            return Some(format!(
                "{} jobs wait, {} are open, {} are tied to connections",
                left.0, left.1, left.2
            ));
        }
        let lanes = self.lanes.iter().any(|lane| lane.open > 0 || !lane.deadlines.is_empty());
        if lanes {
            return Some("a worker still has jobs open".into());
        }
        let OffloadStats { submitted, answered, cancelled, .. } = self.stats;
        if answered + cancelled != submitted {
            return Some(format!(
                "{submitted} jobs were submitted, {answered} answered and {cancelled} cancelled"
            ));
        }
        None
    }
}

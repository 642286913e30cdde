//! The threads of pools, without threads: jobs run in virtual time, at moments drawn from the seed.
//!
//! A pool offers itself when a job waits in it. Each of its simulated threads takes a job after a delay,
//! holds it for a while, and runs it at the end of that; some are held for ever. So jobs overtake each
//! other, return long after nobody waits for them, and now and then hold every thread there is.

use std::sync::{Arc, Mutex, PoisonError};

use windlass_proto::testing::Rng;

use super::plan::{MICRO, SECOND, log_draw};
use super::trace::{self, Who};
use super::world::{Happening, World};
use crate::offload::{Crew, Jobs, Started};

/// Where pools leave word, since a worker in its turn cannot reach the world.
type Offered = Arc<Mutex<Vec<Arc<dyn Jobs>>>>;

/// How jobs go in one world.
#[derive(Clone, Debug)]
pub(crate) struct JobPlan {
    /// Until a thread that is free takes a job.
    start_max: u64,
    /// How long one takes.
    run_max: u64,
    /// One job in so many never returns; 0: every one does.
    pub(super) hangs: u64,
}

impl JobPlan {
    /// Jobs are done at once.
    pub(crate) fn calm() -> JobPlan {
        JobPlan { start_max: 1, run_max: 1, hangs: 0 }
    }

    pub(crate) fn draw(mut rng: Rng) -> JobPlan {
        JobPlan {
            start_max: if rng.chance(1, 2) { 1 } else { (100 * MICRO) << rng.below(10) },
            run_max: (10 * MICRO) << rng.below(18),
            hangs: if rng.chance(1, 3) { 2 + rng.below(60) } else { 0 },
        }
    }

    pub(crate) fn every_job_returns(&mut self) {
        self.hangs = 0;
    }
}

enum SimThread {
    Idle,
    /// About to look for a job.
    Waking,
    Running(Started),
    /// Its job never returns.
    Held(#[allow(dead_code, reason = "what a job captured lives as long as its thread")] Started),
}

struct Pool {
    jobs: Arc<dyn Jobs>,
    threads: Vec<SimThread>,
}

/// All pools of a run.
pub(crate) struct Pools {
    offered: Offered,
    pools: Vec<Pool>,
    rng: Rng,
}

/// The crew that only takes notes.
struct Notes(Offered);

impl Crew for Notes {
    fn offer(&self, jobs: &Arc<dyn Jobs>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(jobs.clone());
    }
}

impl Pools {
    pub(crate) fn new(seed: u64) -> Pools {
        Pools { offered: Arc::default(), pools: Vec::new(), rng: Rng::new(seed ^ 0x10B5) }
    }

    /// What the run's pools offer their jobs to.
    pub(crate) fn crew(&self) -> Box<dyn Crew> {
        Box::new(Notes(self.offered.clone()))
    }

    /// What does not add up once everything has stopped.
    pub(crate) fn check_end(&self) -> Option<String> {
        self.pools.iter().find_map(|pool| pool.jobs.check_end())
    }
}

impl World {
    /// Wakes a simulated thread for each job that was submitted.
    pub(crate) fn hire(&mut self) {
        let offered = std::mem::take(&mut *self.jobs.offered.lock().unwrap_or_else(PoisonError::into_inner));
        for jobs in offered {
            let known = self.jobs.pools.iter().position(|pool| Arc::ptr_eq(&pool.jobs, &jobs));
            let n = known.unwrap_or_else(|| {
                let threads = (0..jobs.threads()).map(|_| SimThread::Idle).collect();
                self.jobs.pools.push(Pool { jobs, threads });
                self.jobs.pools.len() - 1
            });
            let idle = |thread: &SimThread| matches!(thread, SimThread::Idle);
            if let Some(thread) = self.jobs.pools[n].threads.iter().position(idle) {
                self.wake_thread(n, thread);
            }
        }
    }

    fn wake_thread(&mut self, pool: usize, thread: usize) {
        self.jobs.pools[pool].threads[thread] = SimThread::Waking;
        let delay = self.jobs.rng.below(self.plan.jobs.start_max);
        self.at(self.now + delay, Happening::JobStarts { pool: pool as u32, thread: thread as u32 });
    }

    pub(crate) fn job_starts(&mut self, pool: usize, thread: usize) {
        let started = self.jobs.pools[pool].jobs.clone().start(crate::Time::from_nanos(self.now));
        let Some(started) = started else {
            self.jobs.pools[pool].threads[thread] = SimThread::Idle;
            return;
        };
        let hangs = self.plan.jobs.hangs;
        if hangs > 0 && self.jobs.rng.below(hangs) == 0 {
            self.trace.note(self.now, Who::World, "job hangs", trace::NONE, thread as u64);
            self.jobs.pools[pool].threads[thread] = SimThread::Held(started);
            return;
        }
        let takes = log_draw(&mut self.jobs.rng, &(0..self.plan.jobs.run_max.min(8 * SECOND)));
        self.trace.note(self.now, Who::World, "job runs", trace::NONE, takes);
        self.jobs.pools[pool].threads[thread] = SimThread::Running(started);
        self.at(self.now + takes, Happening::JobReturns { pool: pool as u32, thread: thread as u32 });
    }

    pub(crate) fn job_returns(&mut self, pool: usize, thread: usize) {
        let at = &mut self.jobs.pools[pool].threads[thread];
        if let SimThread::Running(started) = std::mem::replace(at, SimThread::Waking) {
            let now = crate::Time::from_nanos(self.now);
            started(&|| now);
        }
        self.counts.progress += 1;
        self.wake_thread(pool, thread);
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::MILLI;
    use super::*;

    #[test]
    fn worlds_differ_in_how_their_jobs_go() {
        let plans: Vec<JobPlan> = (0..100).map(|seed| JobPlan::draw(Rng::new(seed))).collect();
        assert!(plans.iter().any(|plan| plan.hangs == 0) && plans.iter().any(|plan| plan.hangs > 0));
        assert!(
            plans.iter().any(|plan| plan.run_max < MILLI) && plans.iter().any(|plan| plan.run_max > SECOND)
        );
    }
}

//! Who runs jobs: threads, or in a simulation the scheduler. A pool does not know which.

use std::sync::Arc;
use std::thread;

use windlass_proto::Time;

use crate::sys;

/// A job that has started: runs it, asks what time it is then, and books its answer.
pub(crate) type Started = Box<dyn FnOnce(&dyn Fn() -> Time) + Send>;

/// A pool, as those who run its jobs see it.
pub(crate) trait Jobs: Send + Sync {
    fn name(&self) -> &str;

    /// How many jobs may run at the same time.
    fn threads(&self) -> usize;

    /// Takes the job that has waited longest; `None` if none waits.
    fn start(self: Arc<Self>, now: Time) -> Option<Started>;

    /// Whether one more thread is needed and allowed; it counts as started then.
    fn wants_thread(&self) -> bool;

    /// Blocks until there is a job; `None` when there will be no more.
    fn wait(self: Arc<Self>, now: &dyn Fn() -> Time) -> Option<Started>;

    /// A thread has ended, or never began.
    fn thread_ended(&self);

    fn spawn_failed(&self);

    /// Once all workers have stopped: what does not add up.
    fn check_end(&self) -> Option<String>;
}

/// Runs the jobs of pools.
pub(crate) trait Crew: Send + Sync {
    /// A job waits in this pool, and will need somebody.
    fn offer(&self, jobs: &Arc<dyn Jobs>);
}

/// One of a pool's threads, for as long as this lives: also when something panics as it is dropped.
struct Counted(Arc<dyn Jobs>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.thread_ended();
    }
}

/// The real crew.
pub(crate) struct Threads;

impl Crew for Threads {
    fn offer(&self, jobs: &Arc<dyn Jobs>) {
        if !jobs.wants_thread() {
            return;
        }
        let counted = Counted(jobs.clone());
        let run = move || {
            while let Some(started) = counted.0.clone().wait(&sys::now) {
                started(&sys::now);
            }
        };
        // Without a thread the job waits for another one, or for its deadline.
        if thread::Builder::new().name(jobs.name().into()).spawn(run).is_err() {
            jobs.spawn_failed();
        }
    }
}

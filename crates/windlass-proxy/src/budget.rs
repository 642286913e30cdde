//! How much may be tried again: at any moment the retries of a group of backends are at most a share of what
//! is under way with it, of all workers together. Backends that fail under load would otherwise get several
//! times that load, for as long as they fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The retries that a group of backends may have at the same time. Who needs one beyond them waits for it in
/// the group's queue, as those wait who find no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryBudget {
    /// In percent of what is under way with the group: clients on their way to a backend, or requests. 100: no
    /// limit. Default 20.
    pub percent: u32,
    /// So many are always allowed. Default 3.
    pub concurrent_min: u32,
}

impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget { percent: 20, concurrent_min: 3 }
    }
}

/// What is counted of one group. Outlives changes of the configuration, for as long as there is a group of its
/// name.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// Clients on their way to a backend, or requests without an answer.
    active: AtomicUsize,
    retrying: AtomicUsize,
    pub(crate) spent: AtomicU64,
    /// Retries that had to wait for others to be over, or were not made.
    pub(crate) denied: AtomicU64,
}

impl Budget {
    /// Something is under way with the group, for as long as what is returned lives.
    pub(crate) fn enter(self: &Arc<Budget>) -> Underway {
        self.active.fetch_add(1, Relaxed);
        Underway(self.clone())
    }

    fn most(&self, config: &RetryBudget) -> u64 {
        let share = self.active.load(Relaxed) as u64 * u64::from(config.percent.min(100)) / 100;
        share.max(u64::from(config.concurrent_min))
    }

    /// Whether there is room for a retry more.
    pub(crate) fn has_room(&self, config: &RetryBudget) -> bool {
        (self.retrying.load(Relaxed) as u64) < self.most(config)
    }

    /// A retry, counted for as long as what is returned lives. `None`: there are as many as may be.
    pub(crate) fn retry(self: &Arc<Budget>, config: &RetryBudget) -> Option<Retry> {
        // Counted first and given back: of several workers one gets the last place.
        if self.retrying.fetch_add(1, Relaxed) as u64 >= self.most(config) {
            self.retrying.fetch_sub(1, Relaxed);
            return None;
        }
        self.spent.fetch_add(1, Relaxed);
        Some(Retry(self.clone()))
    }

    /// What is under way now, and how much of it are retries.
    pub(crate) fn now(&self) -> (usize, usize) {
        (self.active.load(Relaxed), self.retrying.load(Relaxed))
    }
}

/// Something under way with a group: a client to be connected, a request to be answered.
#[derive(Debug)]
pub(crate) struct Underway(Arc<Budget>);

impl Underway {
    /// The budget it belongs to.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.0
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Relaxed);
    }
}

/// A retry under way.
#[derive(Debug)]
pub(crate) struct Retry(Arc<Budget>);

impl Drop for Retry {
    fn drop(&mut self) {
        self.0.retrying.fetch_sub(1, Relaxed);
    }
}

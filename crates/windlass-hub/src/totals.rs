//! What bounds a hub as a whole, whatever worker its parts are on: counts that all of them add to.
//!
//! They are atomic numbers and are only looked at where something begins or is retained, so no worker waits for
//! another. What is counted by user is in `quota.rs`.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use windlass::Time;

use crate::quota::Users;

/// The counts of all workers of one hub.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) sessions: Count,
    /// Messages that are retained, each counted by the worker it was published on.
    pub(crate) retained: Count,
    pub(crate) retained_bytes: Count,
    pub(crate) users: Users,
    /// Unix milliseconds at a time of the engine's clock, which all workers share: as the first of them was told.
    epoch: OnceLock<(u64, Time)>,
}

impl Totals {
    /// What time it is where the engine's clock says `now`; the same for all workers, whenever each of them began.
    pub(crate) fn epoch(&self, unix_ms: u64, now: Time) -> (u64, Time) {
        *self.epoch.get_or_init(|| (unix_ms, now))
    }
}

/// One number.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    /// Adds, unless that would be more than `max`; whether it has.
    pub(crate) fn enter(&self, add: usize, max: usize) -> bool {
        let fits = |count: usize| count.checked_add(add).filter(|sum| *sum <= max);
        self.0.fetch_update(Relaxed, Relaxed, fits).is_ok()
    }

    /// Adds, whatever it comes to.
    pub(crate) fn add(&self, add: usize) {
        self.0.fetch_add(add, Relaxed);
    }

    pub(crate) fn leave(&self, less: usize) {
        self.0.fetch_sub(less, Relaxed);
    }
}

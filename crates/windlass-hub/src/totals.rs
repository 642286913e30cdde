//! What bounds a hub as a whole, whatever worker its parts are on: counts that all of them add to.
//!
//! They are atomic numbers and are only looked at where something begins or is retained, so no worker waits for
//! another. What is counted by user is in `quota.rs`.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use windlass::Time;

use crate::atomic::AtomicU64;
use crate::memory::Memory;
use crate::quota::Users;

/// The counts of all workers of one hub.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) sessions: Count,
    /// Messages that are retained, each counted by the worker it was published on.
    pub(crate) retained: Count,
    pub(crate) retained_bytes: Count,
    /// The last version that one was given, or nothing being retained any more.
    pub(crate) versions: Versions,
    pub(crate) users: Users,
    /// What is kept.
    memory: OnceLock<Memory>,
    /// Unix milliseconds at a time of the engine's clock, which all workers share: as the first of them was told.
    epoch: OnceLock<(u64, Time)>,
}

impl Totals {
    /// Where what is kept is counted, as the first of the workers was told to bound it.
    pub(crate) fn memory(&self, max: usize) -> Memory {
        self.memory.get_or_init(|| Memory::of_hub(max)).clone()
    }

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

/// Numbers of which each is later than all before it, whichever worker asks.
///
/// What time a worker takes it to be would not do: that is when its turn began, and it may give several in one.
#[derive(Debug, Default)]
pub(crate) struct Versions(AtomicU64);

impl Versions {
    /// The next one: this time in microseconds, or the number behind the last.
    pub(crate) fn next(&self, unix_us: u64) -> u64 {
        let next = |last: u64| last.saturating_add(1).max(unix_us);
        let give = |last| Some(next(last));
        // It always gives one, and what it returns is the one before.
        next(self.0.fetch_update(Relaxed, Relaxed, give).unwrap_or_else(|last| last))
    }

    /// They are later than this one from now on.
    pub(crate) fn seen(&self, version: u64) {
        self.0.fetch_max(version, Relaxed);
    }
}

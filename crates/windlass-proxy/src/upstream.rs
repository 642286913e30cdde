//! A backend as all workers share it: what is configured, and counts that are atomic because a cap and a
//! health have to be the same everywhere. They are touched once or twice for a connection, never for its bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use windlass::Time;

use crate::balance::hash;
use crate::breaker::{Breaker, Circuit, Permit};
use crate::config::{Backend, Health};
use crate::runtime::{Origin, Standing};

/// One backend of one group.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) config: Backend,
    /// What it is known by: its address.
    pub(crate) key: String,
    /// The hash of its key.
    pub(crate) hash: u64,
    pub(crate) counts: Arc<Counts>,
    pub(crate) origin: Origin,
    pub(crate) standing: Standing,
    /// Its weight once it is enabled; the one in `config` is 0 until then.
    pub(crate) weight_set: u32,
    /// It is not what the configuration says.
    pub(crate) is_changed: bool,
}

/// What is counted of a backend. Outlives changes of the configuration, for as long as its address is in it.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// A number of its own, for those who have to remember it.
    pub(crate) id: u32,
    /// Now, those being made included; and the most there have been.
    pub(crate) connections: AtomicUsize,
    pub(crate) connections_peak: AtomicUsize,
    pub(crate) opened: AtomicU64,
    /// Requests under way there now, and those that were sent to it: of HTTP alone.
    pub(crate) busy: AtomicUsize,
    pub(crate) requests: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// Bytes from clients, and from the backend.
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) checks_passed: AtomicU64,
    pub(crate) checks_failed: AtomicU64,
    pub(crate) ejections: AtomicU64,
    /// Ejections that the share of those ejected did not allow.
    pub(crate) ejections_spared: AtomicU64,
    /// Active checks say so.
    down: AtomicBool,
    refused_in_row: AtomicU32,
    broken_in_row: AtomicU32,
    ejections_in_row: AtomicU32,
    /// Nanoseconds of the engine's clock; 0: never was.
    ejected_until: AtomicU64,
    came_back: AtomicU64,
    pub(crate) circuit: Circuit,
    /// When checks last changed their mind, how often they found it down, and for how long it was, in
    /// nanoseconds, without the time it is down now.
    changed_at: AtomicU64,
    pub(crate) downs: AtomicU64,
    down_for: AtomicU64,
    /// The last check: when, and how long it took.
    pub(crate) checked_at: AtomicU64,
    pub(crate) check_took: AtomicU64,
    pub(crate) check_passed: AtomicBool,
}

/// How a backend failed a client. Each kind has a row of its own: who accepts every connection and breaks it
/// does not begin anew with each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// No connection came about.
    Refused,
    /// One did, and was reset before a byte had passed; of HTTP, it brought none of an answer, or none in its time.
    Broken,
}

/// Read first: in the steady state nothing is written.
fn clear(count: &AtomicU32) {
    if count.load(Relaxed) != 0 {
        count.store(0, Relaxed);
    }
}

/// 0: it never was.
fn ago(at: u64, now: Time) -> Option<Duration> {
    (at > 0).then(|| Duration::from_nanos(now.as_nanos().saturating_sub(at)))
}

impl Upstream {
    pub(crate) fn new(config: Backend, counts: Arc<Counts>) -> Upstream {
        let key = config.to.to_string();
        Upstream {
            hash: hash(key.as_bytes()),
            weight_set: config.weight,
            config,
            key,
            counts,
            origin: Origin::default(),
            standing: Standing::default(),
            is_changed: false,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.counts.id
    }

    /// Whether it has room for one connection more.
    pub(crate) fn has_room(&self) -> bool {
        let max = self.config.connections_max;
        max == 0 || self.counts.connections.load(Relaxed) < max
    }

    /// Its weight now, in finer units; at least 1. Someone who has come back begins with a tenth of it.
    pub(crate) fn weight(&self, now: Time, slow_start: Duration) -> u32 {
        const WHOLE: u64 = 1024;
        let part = match self.counts.came_back.load(Relaxed) {
            0 => WHOLE,
            since if slow_start.is_zero() || since > now.as_nanos() => WHOLE,
            since => {
                let passed = u128::from(now.as_nanos() - since) * u128::from(WHOLE);
                (passed / slow_start.as_nanos()).clamp(WHOLE as u128 / 10, WHOLE as u128) as u64
            }
        };
        (u64::from(self.config.weight) * part).clamp(1, u64::from(u32::MAX)) as u32
    }
}

impl Counts {
    pub(crate) fn new(id: u32) -> Counts {
        Counts { id, ..Counts::default() }
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Relaxed)
    }

    pub(crate) fn is_ejected(&self, now: Time) -> bool {
        self.ejected_until.load(Relaxed) > now.as_nanos()
    }

    /// Whether nothing speaks against giving it new connections.
    pub(crate) fn is_well(&self, now: Time) -> bool {
        !self.is_down() && !self.is_ejected(now)
    }

    /// What active checks say. True: this is news.
    pub(crate) fn set_down(&self, down: bool, now: Time) -> bool {
        let news = self.down.swap(down, Relaxed) != down;
        if !news {
            return false;
        }
        // Worker 0 alone writes these.
        let since = self.changed_at.swap(now.as_nanos(), Relaxed);
        if down {
            self.downs.fetch_add(1, Relaxed);
        } else {
            self.came_back.store(now.as_nanos(), Relaxed);
            self.down_for.fetch_add(now.as_nanos().saturating_sub(since), Relaxed);
        }
        true
    }

    /// What is remembered of a check: it was answered now, after so long.
    pub(crate) fn note_check(&self, passed: bool, took: Duration, now: Time) {
        let count = if passed { &self.checks_passed } else { &self.checks_failed };
        count.fetch_add(1, Relaxed);
        self.check_passed.store(passed, Relaxed);
        self.check_took.store(took.as_nanos() as u64, Relaxed);
        self.checked_at.store(now.as_nanos().max(1), Relaxed);
    }

    /// How long it has been down altogether.
    pub(crate) fn downtime(&self, now: Time) -> Duration {
        let present = match self.is_down() {
            true => now.as_nanos().saturating_sub(self.changed_at.load(Relaxed)),
            false => 0,
        };
        Duration::from_nanos(self.down_for.load(Relaxed) + present)
    }

    /// How long ago checks changed their mind; `None`: they never have.
    pub(crate) fn changed_ago(&self, now: Time) -> Option<Duration> {
        ago(self.changed_at.load(Relaxed), now)
    }

    /// How long ago the last check was answered.
    pub(crate) fn checked_ago(&self, now: Time) -> Option<Duration> {
        ago(self.checked_at.load(Relaxed), now)
    }

    /// A connection to it came about.
    pub(crate) fn succeeded(&self) {
        self.opened.fetch_add(1, Relaxed);
        clear(&self.refused_in_row);
    }

    /// It has answered a flow of datagrams, which neither is connected first nor ends.
    pub(crate) fn answered(&self) {
        clear(&self.refused_in_row);
        self.served();
    }

    /// A connection to it has served somebody.
    pub(crate) fn served(&self) {
        clear(&self.broken_in_row);
        clear(&self.ejections_in_row);
    }

    /// It failed a client, by its own fault. True: this was one too many in a row.
    pub(crate) fn failed(&self, failure: Failure, health: &Health, now: Time) -> bool {
        self.failed.fetch_add(1, Relaxed);
        let row = match failure {
            Failure::Refused => &self.refused_in_row,
            Failure::Broken => &self.broken_in_row,
        };
        let row = row.fetch_add(1, Relaxed) + 1;
        health.failures_max > 0 && row >= health.failures_max && !self.is_ejected(now)
    }

    /// It gets no new connections for some time.
    pub(crate) fn eject(&self, health: &Health, now: Time) {
        let before = self.ejections_in_row.fetch_add(1, Relaxed);
        let time = health.eject.saturating_mul(1 << before.min(20)).min(health.eject_max);
        let until = now + time;
        self.ejected_until.store(until.as_nanos(), Relaxed);
        self.came_back.store(until.as_nanos(), Relaxed);
        clear(&self.refused_in_row);
        clear(&self.broken_in_row);
        self.ejections.fetch_add(1, Relaxed);
    }
}

/// One connection to a backend, counted for as long as this lives: whichever way it ends, it is counted out.
#[derive(Debug)]
pub(crate) struct Lease {
    upstream: Arc<Upstream>,
    /// The use of the backend it was taken for. Requests that follow on the same connection take their own.
    pub(crate) permit: Permit,
}

impl Lease {
    /// Counts one in, within the backend's cap and as far as its breaker lets it through.
    pub(crate) fn take(upstream: &Arc<Upstream>, breaker: &Breaker, now: Time) -> Option<Lease> {
        let permit = Permit::take(&upstream.counts, breaker, now)?;
        let max = match upstream.config.connections_max {
            0 => usize::MAX,
            max => max,
        };
        // Counted first and given back: of several workers one gets the last place.
        let counts = &upstream.counts;
        let before = counts.connections.fetch_add(1, Relaxed);
        if before >= max {
            counts.connections.fetch_sub(1, Relaxed);
            return None;
        }
        if before >= counts.connections_peak.load(Relaxed) {
            counts.connections_peak.fetch_max(before + 1, Relaxed);
        }
        Some(Lease { upstream: upstream.clone(), permit })
    }

    pub(crate) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.upstream.counts.connections.fetch_sub(1, Relaxed);
    }
}

//! Stopping and watching a server, and what it leaves behind.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::change::{Applied, Change};
use crate::config::Limits;
use crate::error::{Error, Result};
use crate::shared::{Shared, Stall};
use crate::stats::Stats;

/// Stops and watches a server, from any thread.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("workers", &self.shared.workers.len()).finish()
    }
}

impl Handle {
    /// Asks for a shutdown. The first request is graceful: the server stops accepting, tells its
    /// services, and lets connections finish up to
    /// [`Limits::drain_timeout`](crate::Limits::drain_timeout). The second aborts what is left.
    pub fn shutdown(&self) {
        self.shared.request_stop(false);
    }

    /// Aborts everything at once.
    pub fn stop_now(&self) {
        self.shared.request_stop(true);
    }

    /// Whether a successor has taken the listeners over; connections go on.
    pub fn is_superseded(&self) -> bool {
        self.shared.is_superseded()
    }

    /// Whether a shutdown has been asked for, or a successor has taken over.
    pub fn is_stopping(&self) -> bool {
        self.shared.stop_state() != crate::shared::RUNNING
    }

    /// Whether the server drains, or is being stopped: it accepts no more, but for services that
    /// [stay](crate::Serve::while_draining), and tells its connections to finish.
    pub fn is_draining(&self) -> bool {
        self.shared.stop_state() >= crate::shared::DRAINING
    }

    /// Changes the server while it serves. Everything is checked and opened first, then every worker is
    /// told, and when it returns every worker has made the change, unless one is held up for longer than
    /// ten seconds ([`Applied::is_everywhere`](crate::Applied::is_everywhere)). One change is made after
    /// the other.
    ///
    /// To be called from any thread but a worker's: it resolves names, binds sockets and waits.
    ///
    /// # Errors
    ///
    /// What cannot be: a name that no service or more than one has, an address that cannot be listened on,
    /// limits that contradict each other. Nothing has changed then. Also once the server is shutting down
    /// or superseded: should that begin while a change is under way, it wins, and what the change has
    /// brought is shut down with the rest. And before the server has begun to serve.
    pub fn apply(&self, change: Change) -> Result<Applied> {
        let stopped = || Error::config("this server does not change");
        self.shared.changes.get().ok_or_else(stopped)?.apply(&self.shared, change)
    }

    /// Where the listener of this number listens, or did ([`Conn::listener`](crate::Conn::listener)). A number
    /// may be another's once nothing refers to it any more.
    pub fn listener_address(&self, number: usize) -> Option<String> {
        let listener = self.shared.listener(u16::try_from(number).ok()?)?;
        Some(listener.name.clone())
    }

    /// The limits in effect, with automatic ones resolved.
    pub fn limits(&self) -> Limits {
        self.shared.limits()
    }

    /// What all workers have counted, added up. Each publishes once a turn.
    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for worker in &self.shared.workers {
            sum.add(&worker.stats.snapshot());
        }
        sum
    }

    /// What one worker has counted.
    pub fn worker_stats(&self, worker: usize) -> Option<Stats> {
        self.shared.workers.get(worker).map(|worker| worker.stats.snapshot())
    }

    /// Connections that are open, or on their way from one worker to another.
    pub fn connections(&self) -> usize {
        use std::sync::atomic::Ordering::Relaxed;
        self.shared.workers.iter().map(|worker| worker.load.load(Relaxed)).sum()
    }

    /// The connections each listener has open, in the order of [`Bound::addresses`](crate::Bound::addresses),
    /// those that were added later behind or in the place of those that are gone. One that has been closed
    /// is there until its last connection has ended. While a worker looks for a newcomer, the place it
    /// holds for it counts.
    pub fn listener_connections(&self) -> Vec<(String, usize)> {
        use std::sync::atomic::Ordering::Relaxed;
        let listeners = self.shared.listeners();
        let there = listeners.iter().filter(|listener| !listener.is_over());
        there.map(|l| (l.name.clone(), l.connections.load(Relaxed))).collect()
    }

    /// Callbacks that held a worker for too long since this was last asked; the 64 latest are kept.
    pub fn take_stalls(&self) -> Vec<Stall> {
        self.shared.take_stalls()
    }

    /// The 64 latest stalls, whether they have been taken or not, the oldest first.
    pub fn stalls(&self) -> Vec<Stall> {
        self.shared.stalls()
    }

    /// How long the workers have been there; zero before they are.
    pub fn uptime(&self) -> Duration {
        self.shared.since_start(crate::sys::now())
    }

    /// The number of workers.
    pub fn workers(&self) -> usize {
        self.shared.workers.len()
    }
}

/// What a server did, once it has stopped.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The final counters.
    pub stats: Stats,
}

impl Summary {
    /// The share of the time the workers were busy, from 0 to 1, over `elapsed`.
    pub fn busy(&self, elapsed: Duration, workers: usize) -> f64 {
        let available = elapsed.as_nanos() as f64 * workers.max(1) as f64;
        if available > 0.0 { self.stats.counters.busy_nanos as f64 / available } else { 0.0 }
    }
}

//! What the workers of one server share: limits, counts, wakers. Nothing on the data path.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use windlass_proto::Time;

use crate::config::{Config, Limits};
use crate::id::ConnId;
use crate::offload::{Crew, Jobs, Threads};
use crate::planted::{Fault, planted};
use crate::stats::Published;
use crate::sys::Wake;
use crate::sys::handover::Item;

pub(crate) const RUNNING: u8 = 0;
/// A successor listens; connections go on.
pub(crate) const SUPERSEDED: u8 = 1;
pub(crate) const DRAINING: u8 = 2;
pub(crate) const STOPPING: u8 = 3;

pub(crate) struct Shared {
    /// With every automatic value resolved.
    pub(crate) limits: Limits,
    pub(crate) config: Config,
    pub(crate) workers: Vec<WorkerShared>,
    pub(crate) listeners: Vec<ListenerShared>,
    /// Open in the whole server.
    pub(crate) connections: AtomicUsize,
    sources: Mutex<HashMap<IpAddr, usize>>,
    /// Accept rate, as the virtual scheduling form of a token bucket: the time up to which the
    /// bucket's tokens are spent.
    accept_spent: AtomicU64,
    stop: AtomicU8,
    superseded: AtomicBool,
    /// The successor that took over is gone.
    pub(crate) successor_gone: AtomicBool,
    /// A successor has the control socket.
    pub(crate) control_taken: AtomicBool,
    stalls: Mutex<VecDeque<Stall>>,
    /// Who runs the jobs of pools, where it is not threads: the simulator.
    pub(crate) crew: OnceLock<Box<dyn Crew>>,
}

#[derive(Default)]
pub(crate) struct WorkerShared {
    pub(crate) waker: OnceLock<Arc<dyn Wake>>,
    /// A wake is under way and has not been seen.
    pending: AtomicBool,
    /// Connections it has, those on their way to it included.
    pub(crate) load: AtomicUsize,
    /// Overloaded, and what it is given now is late.
    pub(crate) late: AtomicBool,
    pub(crate) stats: Published,
}

pub(crate) struct ListenerShared {
    pub(crate) name: String,
    /// A successor has it.
    pub(crate) taken: AtomicBool,
    pub(crate) connections: AtomicUsize,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::tls::TlsAcceptor>,
}

impl ListenerShared {
    fn new(name: String) -> ListenerShared {
        ListenerShared {
            name,
            taken: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// A callback that held its worker for too long.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Stall {
    /// The worker it ran on.
    pub worker: usize,
    /// Which callback: "open", "data", "tick", ...
    pub callback: &'static str,
    /// Which connection it was for, if for one.
    pub conn: Option<ConnId>,
    /// The address of the listener that connection came from; for other callbacks the service's name.
    pub listener: String,
    /// How long it took, to the resolution of the system's coarse clock (1-10 ms). Time in which the
    /// system ran something else on this core counts too: the connections waited for that as well.
    pub took: Duration,
}

/// Stalls remembered.
const STALLS_KEPT: usize = 64;

impl Shared {
    pub(crate) fn new(config: Config, workers: usize, listeners: Vec<String>) -> Shared {
        Shared {
            limits: config.limits.clone(),
            config,
            workers: (0..workers).map(|_| WorkerShared::default()).collect(),
            listeners: listeners.into_iter().map(ListenerShared::new).collect(),
            connections: AtomicUsize::new(0),
            sources: Mutex::default(),
            accept_spent: AtomicU64::new(0),
            stop: AtomicU8::new(RUNNING),
            superseded: AtomicBool::new(false),
            successor_gone: AtomicBool::new(false),
            control_taken: AtomicBool::new(false),
            stalls: Mutex::default(),
            crew: OnceLock::new(),
        }
    }

    // --- Waking.

    /// Wakes a worker, unless a wake is under way already.
    pub(crate) fn wake(&self, worker: usize) {
        let worker = &self.workers[worker];
        if planted(Fault::MailboxWakeLost) {
            // Right only for a worker that sleeps.
            if worker.pending.load(Ordering::SeqCst) {
                return;
            }
            worker.pending.store(true, Ordering::SeqCst);
            return;
        }
        if !worker.pending.swap(true, Ordering::SeqCst)
            && let Some(waker) = worker.waker.get()
        {
            waker.wake();
        }
    }

    /// The worker is awake and about to look at everything: whoever comes later must wake it again.
    /// Returns whether anybody did.
    pub(crate) fn take_wake(&self, worker: usize) -> bool {
        let pending = &self.workers[worker].pending;
        // The swap is dear; most turns were not woken by anybody.
        pending.load(Ordering::SeqCst) && pending.swap(false, Ordering::SeqCst)
    }

    /// A job waits in a pool: finds it somebody.
    pub(crate) fn offer(&self, jobs: &Arc<dyn Jobs>) {
        self.crew.get().map_or(&Threads as &dyn Crew, |crew| &**crew).offer(jobs);
    }

    // --- Stopping.

    pub(crate) fn stop_state(&self) -> u8 {
        self.stop.load(Ordering::Acquire)
    }

    /// The first request drains, the second stops at once.
    pub(crate) fn request_stop(&self, at_once: bool) {
        let next = |state: u8| if at_once { STOPPING } else { (state + 1).clamp(DRAINING, STOPPING) };
        let _ = self.stop.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| Some(next(state)));
        for worker in 0..self.workers.len() {
            self.wake(worker);
        }
    }

    /// A successor stands ready and has taken these: their queues are its own from now on. The server
    /// stops listening, unless it is shutting down already.
    pub(crate) fn supersede(&self, taken: &[Item]) {
        for item in taken {
            match item {
                Item::Listener(n) => self.listeners[*n as usize].taken.store(true, Ordering::Release),
                Item::Control => self.control_taken.store(true, Ordering::Release),
            }
        }
        self.superseded.store(true, Ordering::Release);
        let _ = self.stop.compare_exchange(RUNNING, SUPERSEDED, Ordering::AcqRel, Ordering::Acquire);
        for worker in 0..self.workers.len() {
            self.wake(worker);
        }
    }

    /// Nobody receives any more what a successor took over to receive.
    pub(crate) fn lose_successor(&self) {
        self.successor_gone.store(true, Ordering::Release);
        for worker in 0..self.workers.len() {
            self.wake(worker);
        }
    }

    pub(crate) fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }

    // --- Counting connections.

    /// Counts one more from `source`; false if it has as many as it may.
    pub(crate) fn enter_source(&self, source: IpAddr) -> bool {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let count = sources.entry(source).or_insert(0);
        if *count >= self.limits.source_connections_max {
            return false;
        }
        *count += 1;
        true
    }

    pub(crate) fn leave_source(&self, source: IpAddr) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                sources.remove(&source);
            }
        }
    }

    /// Takes one token for accepting, or says when there will be one.
    pub(crate) fn take_accept_token(&self, now: Time) -> Result<(), Time> {
        let rate = self.limits.accept_rate_max;
        if rate == 0 {
            return Ok(());
        }
        let interval = 1_000_000_000 / u64::from(rate);
        let burst = interval * u64::from(self.limits.accept_burst_max);
        let now = now.as_nanos();
        let mut at = 0;
        self.accept_spent
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |spent| {
                let spent = spent.max(now);
                // Spent further ahead than the burst reaches: wait for that much time to pass.
                if spent + interval > now + burst {
                    at = spent + interval - burst;
                    return None;
                }
                Some(spent + interval)
            })
            .map(|_| ())
            .map_err(|_| Time::from_nanos(at.max(now + 1)))
    }

    /// Gives back a token for which nobody was there.
    pub(crate) fn return_accept_token(&self) {
        if self.limits.accept_rate_max > 0 {
            let interval = 1_000_000_000 / u64::from(self.limits.accept_rate_max);
            self.accept_spent.fetch_sub(interval, Ordering::Relaxed);
        }
    }

    // --- Stalls.

    pub(crate) fn report_stall(&self, stall: Stall) {
        let mut stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        if stalls.len() == STALLS_KEPT {
            stalls.pop_front();
        }
        stalls.push_back(stall);
    }

    pub(crate) fn take_stalls(&self) -> Vec<Stall> {
        self.stalls.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(limits: Limits) -> Shared {
        Shared::new(Config::default().limits(limits), 1, vec![])
    }

    #[test]
    fn the_rate_bucket_lets_a_burst_through_and_then_the_rate() {
        let shared = shared(Limits { accept_rate_max: 10, accept_burst_max: 5, ..Limits::default() });
        let mut now = Time::from_nanos(77_000_000_000);
        let mut taken = 0;
        while shared.take_accept_token(now).is_ok() {
            taken += 1;
        }
        assert_eq!(taken, 5);
        for _ in 0..20 {
            let at = shared.take_accept_token(now).unwrap_err();
            assert_eq!(at.since(now), Duration::from_millis(100));
            assert!(shared.take_accept_token(Time::from_nanos(at.as_nanos() - 1)).is_err());
            now = at;
            assert!(shared.take_accept_token(now).is_ok(), "at the time it said, there is one");
        }
    }

    #[test]
    fn sources_are_counted_up_and_down() {
        let shared = shared(Limits { source_connections_max: 2, ..Limits::default() });
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        assert!(shared.enter_source(ip) && shared.enter_source(ip) && !shared.enter_source(ip));
        shared.leave_source(ip);
        assert!(shared.enter_source(ip));
        shared.leave_source(ip);
        shared.leave_source(ip);
        assert!(shared.sources.lock().unwrap().is_empty(), "nothing is kept of those who left");
    }

    #[test]
    fn stop_goes_one_way() {
        let shared = shared(Limits::default());
        shared.request_stop(false);
        assert_eq!(shared.stop_state(), DRAINING);
        shared.request_stop(false);
        shared.request_stop(false);
        assert_eq!(shared.stop_state(), STOPPING);
    }
}

//! What the workers of one server share: limits, counts, wakers. Nothing on the data path.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use windlass_proto::Time;

use crate::atomic::AtomicU64;
use crate::budget::Budget;
use crate::change::Changes;
use crate::config::{Config, Limits};
use crate::id::ConnId;
use crate::observe::errands::Errands;
use crate::observe::flows::Cells;
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
    /// In effect, with every automatic value resolved. Each worker has a copy of its own.
    limits: Mutex<Limits>,
    /// Those of them that are asked for where no worker's copy is at hand.
    asked: AskedLimits,
    /// As the server was started, but for its limits.
    pub(crate) config: Config,
    /// How its memory is divided, if it is.
    pub(crate) budget: Option<Arc<Budget>>,
    pub(crate) workers: Vec<WorkerShared>,
    /// By number, for those who watch; each worker has a table of its own.
    listeners: Mutex<Vec<Arc<ListenerShared>>>,
    /// What passes, by name.
    pub(crate) cells: Cells,
    /// Who changes the server while it runs.
    pub(crate) changes: OnceLock<Box<dyn Changes>>,
    /// Its workers are in their loops.
    pub(crate) begun: AtomicBool,
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
    stalls: Mutex<Stalls>,
    /// When the first worker began.
    started: OnceLock<Time>,
    /// Questions for connections that are under way.
    pub(crate) inspections: Arc<AtomicUsize>,
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
    /// What somebody outside asks of it.
    pub(crate) errands: Errands,
}

#[derive(Default)]
struct AskedLimits {
    source_connections_max: AtomicUsize,
    accept_rate_max: AtomicU32,
    accept_burst_max: AtomicU32,
    mailbox_max: AtomicUsize,
}

impl AskedLimits {
    fn set(&self, limits: &Limits) {
        self.source_connections_max.store(limits.source_connections_max, Ordering::Relaxed);
        self.accept_rate_max.store(limits.accept_rate_max, Ordering::Relaxed);
        self.accept_burst_max.store(limits.accept_burst_max, Ordering::Relaxed);
        self.mailbox_max.store(limits.mailbox_max, Ordering::Relaxed);
    }
}

#[derive(Default)]
pub(crate) struct ListenerShared {
    pub(crate) name: String,
    /// What its service knows it by.
    pub(crate) tag: u32,
    /// Our address on every connection it takes in. `None`: each has to be asked for its own.
    pub(crate) local: Option<SocketAddr>,
    /// Connections it may have though the server is full.
    pub(crate) reserve: usize,
    /// A successor has it. Shared by those whose sockets have gone on from one to the next: the successor
    /// was offered them under a former number.
    pub(crate) taken: Arc<AtomicBool>,
    /// Open, on their way between workers, and places held for newcomers.
    pub(crate) connections: AtomicUsize,
    /// Open on workers, or on their way to them.
    pub(crate) sockets: AtomicUsize,
    /// The name of its service.
    pub(crate) service: String,
    /// No part of the server any more.
    pub(crate) removed: AtomicBool,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::tls::TlsAcceptor>,
}

impl ListenerShared {
    /// Nothing refers to its number any more.
    pub(crate) fn is_over(&self) -> bool {
        self.removed.load(Ordering::Acquire)
            && self.sockets.load(Ordering::Acquire) == 0
            && self.connections.load(Ordering::Acquire) == 0
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
    /// When its turn began, from the start of the server.
    pub at: Duration,
}

#[derive(Default)]
struct Stalls {
    kept: VecDeque<Stall>,
    /// How many of them, at the end, have not been taken.
    untaken: usize,
}

/// Stalls remembered.
const STALLS_KEPT: usize = 64;

impl Shared {
    pub(crate) fn new(config: Config, workers: usize, listeners: Vec<ListenerShared>) -> Shared {
        let asked = AskedLimits::default();
        asked.set(&config.limits);
        Shared {
            limits: Mutex::new(config.limits.clone()),
            asked,
            config,
            budget: None,
            workers: (0..workers).map(|_| WorkerShared::default()).collect(),
            listeners: Mutex::new(listeners.into_iter().map(Arc::new).collect()),
            cells: Cells::default(),
            changes: OnceLock::new(),
            begun: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            sources: Mutex::default(),
            accept_spent: AtomicU64::new(0),
            stop: AtomicU8::new(RUNNING),
            superseded: AtomicBool::new(false),
            successor_gone: AtomicBool::new(false),
            control_taken: AtomicBool::new(false),
            stalls: Mutex::default(),
            started: OnceLock::new(),
            inspections: Arc::default(),
            crew: OnceLock::new(),
        }
    }

    /// The same with its memory divided.
    pub(crate) fn with_budget(mut self, budget: Option<Arc<Budget>>) -> Shared {
        if let Some(budget) = &budget {
            self.sources = Mutex::new(HashMap::with_capacity(budget.sources));
        }
        self.budget = budget;
        self
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

    pub(crate) fn wake_all(&self) {
        (0..self.workers.len()).for_each(|worker| self.wake(worker));
    }

    // --- What may change.

    /// The limits in effect.
    pub(crate) fn limits(&self) -> Limits {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_limits(&self, limits: &Limits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits.clone();
        self.asked.set(limits);
        // At another rate the time that is spent means something else.
        self.accept_spent.store(0, Ordering::Relaxed);
    }

    pub(crate) fn mailbox_max(&self) -> usize {
        self.asked.mailbox_max.load(Ordering::Relaxed)
    }

    /// Every listener by its number, those that are no part of the server any more included.
    pub(crate) fn listeners(&self) -> Vec<Arc<ListenerShared>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn listener(&self, n: u16) -> Option<Arc<ListenerShared>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).get(usize::from(n)).cloned()
    }

    /// Gives a number to a listener. Numbers that nothing refers to are given again.
    pub(crate) fn put_listener(&self, n: u16, listener: Arc<ListenerShared>) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        match listeners.get_mut(usize::from(n)) {
            Some(place) => *place = listener,
            None => listeners.push(listener),
        }
    }

    // --- Stopping.

    pub(crate) fn stop_state(&self) -> u8 {
        self.stop.load(Ordering::Acquire)
    }

    /// The first request drains, the second stops at once.
    pub(crate) fn request_stop(&self, at_once: bool) {
        let next = |state: u8| if at_once { STOPPING } else { (state + 1).clamp(DRAINING, STOPPING) };
        let _ = self.stop.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| Some(next(state)));
        self.wake_all();
    }

    /// A successor stands ready and has taken these: their queues are its own from now on. The server
    /// stops listening, unless it is shutting down already.
    pub(crate) fn supersede(&self, taken: &[Item]) {
        for item in taken {
            match item {
                Item::Listener(n) => {
                    if let Some(listener) = self.listener(*n) {
                        listener.taken.store(true, Ordering::Release);
                    }
                }
                Item::Control => self.control_taken.store(true, Ordering::Release),
            }
        }
        self.superseded.store(true, Ordering::Release);
        let _ = self.stop.compare_exchange(RUNNING, SUPERSEDED, Ordering::AcqRel, Ordering::Acquire);
        self.wake_all();
    }

    /// Nobody receives any more what a successor took over to receive.
    pub(crate) fn lose_successor(&self) {
        self.successor_gone.store(true, Ordering::Release);
        self.wake_all();
    }

    pub(crate) fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }

    // --- Counting connections.

    /// Counts one more from `source`; false if it has as many as it may.
    pub(crate) fn enter_source(&self, source: IpAddr) -> bool {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let count = sources.entry(source).or_insert(0);
        let most = self.asked.source_connections_max.load(Ordering::Relaxed);
        // 0: lifted, and the worker that asks has not come to the change yet.
        if most > 0 && *count >= most {
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

    /// Sources that the table has room for.
    #[cfg(test)]
    pub(crate) fn source_places(&self) -> usize {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).capacity()
    }

    /// Takes one token for accepting, or says when there will be one.
    pub(crate) fn take_accept_token(&self, now: Time) -> Result<(), Time> {
        let rate = self.asked.accept_rate_max.load(Ordering::Relaxed);
        if rate == 0 {
            return Ok(());
        }
        let interval = 1_000_000_000 / u64::from(rate);
        let burst = interval * u64::from(self.asked.accept_burst_max.load(Ordering::Relaxed));
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
        let rate = self.asked.accept_rate_max.load(Ordering::Relaxed);
        if rate > 0 {
            let interval = 1_000_000_000 / u64::from(rate);
            let give = |spent: u64| Some(spent.saturating_sub(interval));
            let _ = self.accept_spent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, give);
        }
    }

    // --- Stalls.

    pub(crate) fn report_stall(&self, stall: Stall) {
        let mut stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        if stalls.kept.len() == STALLS_KEPT {
            stalls.kept.pop_front();
        }
        stalls.kept.push_back(stall);
        stalls.untaken = (stalls.untaken + 1).min(STALLS_KEPT);
    }

    /// Those reported since this was last asked.
    pub(crate) fn take_stalls(&self) -> Vec<Stall> {
        let mut stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        let untaken = std::mem::take(&mut stalls.untaken);
        stalls.kept.iter().skip(stalls.kept.len() - untaken).cloned().collect()
    }

    /// The latest, the latest of them last.
    pub(crate) fn stalls(&self) -> Vec<Stall> {
        self.stalls.lock().unwrap_or_else(PoisonError::into_inner).kept.iter().cloned().collect()
    }

    // --- Time.

    /// A worker begins.
    pub(crate) fn begin(&self, now: Time) {
        self.started.get_or_init(|| now);
    }

    pub(crate) fn since_start(&self, now: Time) -> Duration {
        self.started.get().map_or(Duration::ZERO, |started| now.since(*started))
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

    /// A worker that has not taken the change yet still asks.
    #[test]
    fn nobody_is_kept_out_by_a_limit_on_sources_that_was_lifted() {
        let shared = shared(Limits { source_connections_max: 1, ..Limits::default() });
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        assert!(shared.enter_source(ip) && !shared.enter_source(ip));
        shared.set_limits(&Limits { source_connections_max: 0, ..Limits::default() });
        assert!(shared.enter_source(ip));
        (0..2).for_each(|_| shared.leave_source(ip));
        assert!(shared.sources.lock().unwrap().is_empty());
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

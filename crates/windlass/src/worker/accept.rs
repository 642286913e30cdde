//! Taking in new connections, and governing how many and how fast.
//!
//! An accept queue is edge-triggered too: whoever stops before it says "nobody" must remember that.
//! `Acceptor::ready` does, so no shortage of descriptors, limit or budget ever loses a newcomer.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use windlass_proto::Time;

use crate::config::WhenFull;
use crate::core::flush;
use crate::core::slot::{flag, source_of};
use crate::moving::Placement;
use crate::parts;
use crate::planted::{Fault, planted};
use crate::shared::{RUNNING, Shared};
use crate::sys::{AcceptError, Sys, Token, accept_error};

use super::Worker;
use super::change::Order;
use super::moving::{Moved, peer_of};
use super::overload::Door;

/// The first wait after descriptors ran out; it doubles up to the last. Below the 100 ms in which
/// accepting must resume once there are descriptors again.
const BACKOFF_MIN: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_millis(80);
/// Newcomers sent away in one turn, for each that may be let in.
const SHEDS_PER_ACCEPT: usize = 16;
/// Newcomers lost in a row before a pause.
const LOST_MAX: usize = 32;
/// How often room is looked for while `connections_max` is reached; a close on this worker is
/// noticed at once, one elsewhere by this.
const FULL_RETRY: Duration = Duration::from_millis(20);

/// One listener of one worker.
pub(crate) struct Acceptor<Y: Sys> {
    /// `None` once the server no longer listens.
    pub(super) listener: Option<Y::Listener>,
    /// Its number among the server's listeners.
    pub(super) id: u16,
    pub(super) service: u16,
    /// Registered with the poll. Where that failed it is tried again.
    pub(super) registered: bool,
    /// Somebody may be waiting.
    pub(super) ready: bool,
    /// Not to be tried before this.
    pub(super) retry_at: Option<Time>,
    backoff: Duration,
    /// Reported as full, until somebody gets in.
    pub(super) full: bool,
    /// The last turn's budget did not reach to the end of the queue.
    pub(super) standing: bool,
    /// Since when it has been accepting without a pause: what newcomers waited before is no lateness.
    pub(super) open_since: Option<Time>,
    /// How long the last newcomer asked had waited, as long as somebody waits.
    pub(super) waited: Duration,
}

impl<Y: Sys> Acceptor<Y> {
    pub(super) fn new(listener: Y::Listener, id: u16, service: u16) -> Acceptor<Y> {
        // Whoever connected before the listener was registered is found by trying.
        Acceptor {
            listener: Some(listener),
            id,
            service,
            registered: true,
            ready: true,
            retry_at: None,
            backoff: BACKOFF_MIN,
            full: false,
            standing: false,
            open_since: None,
            waited: Duration::ZERO,
        }
    }

    /// When it wants to be tried, if somebody may be waiting.
    pub(super) fn next_try(&self, now: Time) -> Option<Time> {
        (self.ready && self.listener.is_some()).then(|| self.retry_at.unwrap_or(now))
    }
}

/// What is on its way into workers: accepted connections from others, not registered with any poll yet,
/// since on some systems a socket belongs to its first poll for life; and changes of the server.
pub(crate) struct Handoffs<Y: Sys> {
    queues: Vec<Mutex<Queue<Y>>>,
}

struct Queue<Y: Sys> {
    streams: VecDeque<Handed<Y::Stream>>,
    /// Before all streams: one of them may have been accepted after the change.
    orders: VecDeque<Order<Y>>,
    /// False once that worker has stopped.
    open: bool,
}

/// What one on its way takes in a queue.
pub(crate) const HANDED_BYTES: usize = size_of::<Handed<crate::sys::MioStream>>();

/// An admitted connection without a worker yet.
pub(super) struct Handed<S> {
    pub(super) stream: S,
    pub(super) peer: Option<SocketAddr>,
    pub(super) listener: u16,
    pub(super) service: u16,
    pub(super) source_counted: bool,
    /// It was open on another worker before.
    pub(super) moved: Option<Moved>,
}

enum Incoming<Y: Sys> {
    Stream(Handed<Y::Stream>),
    Order(Order<Y>),
}

impl<Y: Sys> Handoffs<Y> {
    /// Each queue with room for `reserved` connections from the start.
    pub(crate) fn new(workers: usize, reserved: usize) -> Handoffs<Y> {
        let queue = || {
            let streams = VecDeque::with_capacity(reserved);
            Mutex::new(Queue { streams, orders: VecDeque::new(), open: true })
        };
        Handoffs { queues: (0..workers).map(|_| queue()).collect() }
    }

    fn lock(&self, worker: usize) -> MutexGuard<'_, Queue<Y>> {
        self.queues[worker].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes a worker's queue if nothing is in it; true if it is closed.
    pub(super) fn close_if_empty(&self, worker: usize) -> bool {
        let mut queue = self.lock(worker);
        queue.open &= !queue.streams.is_empty();
        let (closed, late) =
            (!queue.open, if queue.open { VecDeque::new() } else { std::mem::take(&mut queue.orders) });
        drop(queue);
        // Outside the lock, since whoever waits for them looks at once.
        drop(late);
        closed
    }

    /// Whether no connection is on its way to a worker.
    pub(super) fn is_quiet(&self, worker: usize) -> bool {
        self.lock(worker).streams.is_empty()
    }

    /// Gives every worker its order, or none of them any: in the moment in which the first can see its own,
    /// the last can. `meanwhile` is done first. False once a worker has stopped, or the server is to.
    pub(crate) fn post(&self, orders: Vec<Order<Y>>, shared: &Shared, meanwhile: impl FnOnce()) -> bool {
        let mut queues: Vec<_> = (0..self.queues.len()).map(|worker| self.lock(worker)).collect();
        if queues.iter().any(|queue| !queue.open) || shared.stop_state() != RUNNING {
            drop(queues);
            return false;
        }
        meanwhile();
        for (queue, order) in queues.iter_mut().zip(orders) {
            queue.orders.push_back(order);
        }
        drop(queues);
        shared.wake_all();
        true
    }

    fn next(&self, worker: usize) -> Option<Incoming<Y>> {
        let mut queue = self.lock(worker);
        let order = queue.orders.pop_front().map(Incoming::Order);
        order.or_else(|| queue.streams.pop_front().map(Incoming::Stream))
    }
}

/// What one try to accept came to.
pub(super) enum Tried {
    Accepted,
    /// Accepted and sent away, for the worker has too much to do.
    Shed,
    /// That connection is gone; the next may be there.
    Lost,
    Nobody,
    /// Not now.
    Pause,
}

impl<Y: Sys> Worker<Y> {
    /// Takes in newcomers, within the turn's budget.
    pub(super) fn accept(&mut self) {
        for n in 0..self.acceptors.len() {
            if self.acceptors[n].next_try(self.core.now).is_some_and(|at| at <= self.core.now) {
                self.acceptors[n].retry_at = None;
                if !self.acceptors[n].registered && !self.register_acceptor(n) {
                    continue;
                }
                self.accept_from(n, self.core.limits.accepts_per_turn_max, false);
            }
        }
    }

    /// Takes in everybody who waits, whatever the budget and the rate: the last chance before a listener
    /// closes.
    pub(super) fn accept_all_from(&mut self, n: usize) {
        // Whatever the last event said: who came since may be waiting without one.
        self.acceptors[n].ready = true;
        // Bounded all the same, in case a flood never lets the queue run empty.
        self.accept_from(n, self.core.limits.backlog_max as usize * 2, true);
    }

    /// Takes in up to `budget`; `last` goes past the rate.
    fn accept_from(&mut self, n: usize, budget: usize, last: bool) {
        let now = self.core.now;
        self.acceptors[n].open_since.get_or_insert(now);
        let mut lost = 0;
        // Sending somebody away costs little, and must go faster than others come.
        let (mut left, mut sheds_left) = (budget, budget.saturating_mul(SHEDS_PER_ACCEPT));
        while left > 0 && sheds_left > 0 {
            let tried = self.try_accept(n, last);
            match tried {
                Tried::Shed => sheds_left -= 1,
                _ => left -= 1,
            }
            match tried {
                Tried::Shed => lost = 0,
                Tried::Accepted if planted(Fault::OneAcceptPerEdge) => self.acceptors[n].ready = false,
                Tried::Accepted => lost = 0,
                // One after the other is lost: the system's doing, and no reason to spin.
                Tried::Lost if lost == LOST_MAX => {
                    let acceptor = &mut self.acceptors[n];
                    acceptor.retry_at = Some(self.core.now + acceptor.backoff);
                    acceptor.backoff = (acceptor.backoff * 2).min(BACKOFF_MAX);
                    return;
                }
                Tried::Lost => lost += 1,
                Tried::Nobody => {
                    let acceptor = &mut self.acceptors[n];
                    acceptor.ready = false;
                    acceptor.backoff = BACKOFF_MIN;
                    (acceptor.standing, acceptor.waited) = (false, Duration::ZERO);
                }
                Tried::Pause => {
                    let acceptor = &mut self.acceptors[n];
                    acceptor.open_since = None;
                    (acceptor.standing, acceptor.waited) = (false, Duration::ZERO);
                    return;
                }
            }
            if !self.acceptors[n].ready {
                return;
            }
        }
        self.acceptors[n].standing = true;
    }

    /// Registers a listener, or says when to try again.
    pub(super) fn register_acceptor(&mut self, n: usize) -> bool {
        let acceptor = &mut self.acceptors[n];
        let Some(listener) = &mut acceptor.listener else { return false };
        if self.io.sys.register_listener(listener, Token::listener(n)).is_err() {
            self.core.counters.accept_paused_resources += 1;
            acceptor.retry_at = Some(self.core.now + acceptor.backoff);
            acceptor.backoff = (acceptor.backoff * 2).min(BACKOFF_MAX);
            return false;
        }
        acceptor.registered = true;
        acceptor.backoff = BACKOFF_MIN;
        true
    }

    fn try_accept(&mut self, n: usize, last: bool) -> Tried {
        if self.acceptors[n].listener.is_none() {
            return Tried::Nobody;
        }
        let door = if last { Door::Open } else { self.door(n) };
        if door == Door::Shut {
            self.acceptors[n].retry_at = Some(self.core.now + FULL_RETRY);
            return Tried::Pause;
        }
        if door == Door::Shed {
            return self.shed_one(n);
        }
        // Nobody is to be sent away once accepted: a place is taken first, and given back if nobody came.
        let wait = self.core.limits.when_full == WhenFull::Wait;
        let full = if wait { !self.reserve(n) } else { self.is_full(n) };
        if full && wait {
            let acceptor = &mut self.acceptors[n];
            if !acceptor.full {
                self.core.counters.accept_paused_full += 1;
            }
            acceptor.full = true;
            acceptor.retry_at = Some(self.core.now + FULL_RETRY);
            return Tried::Pause;
        }
        let rated = !full && !last;
        if rated && let Err(at) = self.shared.take_accept_token(self.core.now) {
            self.core.counters.accept_paused_rate += 1;
            self.acceptors[n].retry_at = Some(at);
            if wait {
                self.give_back(n);
            }
            return Tried::Pause;
        }
        self.begin_entry();
        let Some(listener) = &mut self.acceptors[n].listener else { return Tried::Nobody };
        self.core.counters.accepts += 1;
        match self.io.sys.accept(listener) {
            Ok((stream, _)) if full => {
                self.core.counters.shed_full += 1;
                self.io.sys.close(stream, false, true);
                Tried::Accepted
            }
            Ok((stream, _)) if !last && self.has_waited_too_long(n, &stream) => {
                if wait {
                    self.give_back(n);
                }
                if rated {
                    self.shared.return_accept_token();
                }
                self.count_shed();
                self.io.sys.close(stream, false, true);
                Tried::Shed
            }
            Ok((stream, peer)) => {
                self.acceptors[n].full = false;
                self.acceptors[n].backoff = BACKOFF_MIN;
                self.trace_accept(self.acceptors[n].id);
                self.admit(n, stream, peer, wait);
                Tried::Accepted
            }
            Err(e) => {
                if wait {
                    self.give_back(n);
                }
                if rated {
                    self.shared.return_accept_token();
                }
                self.accept_failed(n, accept_error(&e))
            }
        }
    }

    pub(super) fn accept_failed(&mut self, n: usize, error: AcceptError) -> Tried {
        match error {
            AcceptError::Nobody => {
                self.core.counters.accepts_would_block += 1;
                Tried::Nobody
            }
            AcceptError::Again => Tried::Lost,
            AcceptError::Gone => {
                self.core.counters.accept_aborted += 1;
                if planted(Fault::AcceptErrorEndsAccepting) {
                    return Tried::Nobody;
                }
                Tried::Lost
            }
            AcceptError::OutOfResources => self.out_of_resources(n),
        }
    }

    /// No descriptor for the newcomer. It waits in the queue and is tried again after a pause, or is
    /// taken with the spare descriptor and reset, as the policy says.
    fn out_of_resources(&mut self, n: usize) -> Tried {
        if planted(Fault::EmfileNoRetry) {
            return Tried::Nobody;
        }
        let acceptor = &mut self.acceptors[n];
        if self.core.limits.when_full == WhenFull::Shed
            && let Some(listener) = &mut acceptor.listener
        {
            match self.io.sys.shed(listener) {
                Ok(true) => {
                    self.core.counters.shed_full += 1;
                    return Tried::Accepted;
                }
                Err(e) if accept_error(&e) == AcceptError::Nobody => return Tried::Nobody,
                _ => {}
            }
        }
        self.core.counters.accept_paused_resources += 1;
        if planted(Fault::EmfileSpin) {
            return Tried::Pause;
        }
        acceptor.retry_at = Some(self.core.now + acceptor.backoff);
        acceptor.backoff = (acceptor.backoff * 2).min(BACKOFF_MAX);
        Tried::Pause
    }

    /// Whether a limit on connections keeps newcomers of this listener out.
    fn is_full(&self, n: usize) -> bool {
        let limits = &self.core.limits;
        let listener = &self.listeners[self.acceptors[n].id as usize];
        let of_listener = listener.connections.load(Relaxed);
        let full = self.shared.connections.load(Relaxed) >= limits.connections_max;
        full && of_listener >= listener.reserve
            || (limits.listener_connections_max > 0 && of_listener >= limits.listener_connections_max)
    }

    /// Takes a place for a newcomer of this listener, if there is one: several workers may want the
    /// last.
    fn reserve(&mut self, n: usize) -> bool {
        let (shared, limits) = (&self.shared, &self.core.limits);
        let before = shared.connections.fetch_add(1, Relaxed);
        let listener = &self.listeners[self.acceptors[n].id as usize];
        let of_listener = listener.connections.fetch_add(1, Relaxed);
        let listener_max = limits.listener_connections_max;
        if before >= limits.connections_max && of_listener >= listener.reserve
            || (listener_max > 0 && of_listener >= listener_max)
        {
            self.give_back(n);
            return false;
        }
        true
    }

    /// Gives a place back.
    fn give_back(&mut self, n: usize) {
        if planted(Fault::PlaceKept) {
            return;
        }
        self.shared.connections.fetch_sub(1, Relaxed);
        self.listeners[self.acceptors[n].id as usize].connections.fetch_sub(1, Release);
    }

    /// Whether the limit of a source is held against a newcomer, be it for its handshake alone.
    fn is_source_counted(&mut self, listener: u16, service: u16, peer: Option<SocketAddr>) -> bool {
        let service = &mut self.services[usize::from(service)];
        if !service.own.any_source {
            return true;
        }
        #[cfg(feature = "tls")]
        if self.listeners[usize::from(listener)].tls.is_some() {
            return !service.host.speaks_for_others(peer_of(peer));
        }
        let _ = (listener, peer);
        false
    }

    /// Finds a worker for a newcomer. If it has no place yet it gets one, or is sent away.
    fn admit(&mut self, n: usize, stream: Y::Stream, peer: Option<SocketAddr>, mut has_place: bool) {
        let (listener, service) = (self.acceptors[n].id, self.acceptors[n].service);
        let mut source_counted = false;
        if self.core.limits.source_connections_max > 0
            && self.is_source_counted(listener, service, peer)
            && let Some(source) = source_of(peer)
        {
            if !self.shared.enter_source(source) {
                self.core.counters.shed_source += 1;
                if has_place {
                    self.give_back(n);
                }
                return self.io.sys.close(stream, false, true);
            }
            source_counted = true;
        }
        has_place = has_place || self.reserve(n);
        let handed = Handed { stream, peer, listener, service, source_counted, moved: None };
        if !has_place {
            self.core.counters.shed_full += 1;
            if let Some(source) = source_of(peer).filter(|_| source_counted) {
                self.shared.leave_source(source);
            }
            return self.io.sys.close(handed.stream, false, true);
        }
        let placed = match self.services[usize::from(service)].host.place(peer_of(peer), listener.into()) {
            Placement::Balanced => self.less_loaded(),
            Placement::Here => None,
            Placement::Worker(other) => Some(other),
        };
        if parts::THREADS && placed.is_some_and(|other| self.sheds_for(other, service)) {
            // It was placed there, and nobody else may serve it.
            self.give_back(n);
            if let Some(source) = source_of(peer).filter(|_| source_counted) {
                self.shared.leave_source(source);
            }
            self.count_shed();
            return self.io.sys.close(handed.stream, false, true);
        }
        let elsewhere = placed
            .filter(|&other| parts::THREADS && other != self.index && other < self.shared.workers.len());
        let ours = match elsewhere {
            Some(other) => self.hand_over(other, handed),
            None => Some(handed),
        };
        match ours {
            Some(handed) => self.adopt_counted(handed),
            None => self.core.counters.handed_over += 1,
        }
    }

    /// Gives a connection to another worker; gives it back if that one has stopped.
    pub(super) fn hand_over(&mut self, other: usize, handed: Handed<Y::Stream>) -> Option<Handed<Y::Stream>> {
        let mut queue = self.handoffs.lock(other);
        if !queue.open {
            return Some(handed);
        }
        self.shared.workers[other].load.fetch_add(1, Relaxed);
        queue.streams.push_back(handed);
        drop(queue);
        self.shared.wake(other);
        None
    }

    pub(super) fn adopt_counted(&mut self, handed: Handed<Y::Stream>) {
        self.shared.workers[self.index].load.fetch_add(1, Relaxed);
        self.adopt(handed);
    }

    /// A worker with the fewest connections, if this one is ahead of it by the configured lead.
    /// Among equals chance decides, or all workers would send their newcomers to the same one.
    fn less_loaded(&mut self) -> Option<usize> {
        let (workers, lead) = (&self.shared.workers, self.shared.config.rebalance_lead);
        if !parts::THREADS || workers.len() < 2 || lead == 0 || self.shared.stop_state() != RUNNING {
            return None;
        }
        let mine = workers[self.index].load.load(Relaxed);
        // Whoever has too much to do already gets none, if there is another.
        let able = |n: usize| !workers[n].late.load(Relaxed);
        let loads = |n: &usize| workers[*n].load.load(Relaxed);
        let least = (0..workers.len()).filter(|n| able(*n)).map(|n| loads(&n)).min()?;
        if mine < least.saturating_add(lead) && !self.is_late() {
            return None;
        }
        let equals = || (0..workers.len()).filter(|n| able(*n) && loads(n) <= least);
        let count = equals().count().max(1);
        equals().nth(self.io.sys.random() as usize % count)
    }

    pub(super) fn adopt_handed_over(&mut self) {
        loop {
            match self.handoffs.next(self.index) {
                Some(Incoming::Stream(handed)) => self.adopt(handed),
                Some(Incoming::Order(order)) if parts::CHANGE => self.change(order),
                Some(Incoming::Order(_)) => {}
                None => return,
            }
        }
    }

    /// Makes a stream one of this worker's connections.
    fn adopt(&mut self, handed: Handed<Y::Stream>) {
        let Handed { stream, peer, listener, service, source_counted, moved } = handed;
        let Some(index) = self.core.insert(peer, service, listener) else {
            self.core.counters.shed_full += 1;
            if parts::THREADS && moved.is_some() {
                self.lose_moved(service, listener);
            }
            self.io.sys.close(stream, false, true);
            let source = if source_counted { source_of(peer) } else { None };
            return self.count_out(listener, source);
        };
        if source_counted {
            self.core.slot(index).set(flag::SOURCE_COUNTED);
        }
        self.io.insert(index, stream);
        let generation = self.core.slot(index).generation;
        self.core.counters.registers += 1;
        let registered = self.io.register(index, generation);
        if parts::THREADS
            && let Some(moved) = moved
        {
            return self.move_in(index, moved, registered);
        }
        if registered.is_err() {
            self.core.counters.accept_aborted += 1;
            self.core.leave_service(index);
            return self.destroy(index, true);
        }
        #[cfg(feature = "tls")]
        if self.listeners[listener as usize].tls.is_some() {
            return self.adopt_tls(index);
        }
        self.core.count_opened(index);
        self.core.cork_owner = index;
        self.call("open", index, |service, conn| service.open(conn));
        flush::uncork(&mut self.core, &mut self.io, index);
        self.core.arm(index);
        self.tell_late(index);
    }

    /// Counts a connection out again, wherever it got to.
    pub(super) fn count_out(&mut self, listener: u16, source: Option<IpAddr>) {
        if planted(Fault::ConnectionCountLeaks) {
            return;
        }
        let shared = &self.shared;
        shared.connections.fetch_sub(1, Relaxed);
        if let Some(listener) = self.listeners.get(listener as usize) {
            listener.connections.fetch_sub(1, Release);
        }
        shared.workers[self.index].load.fetch_sub(1, Relaxed);
        if let Some(source) = source {
            shared.leave_source(source);
        }
        // A place and a descriptor are free again: whoever waits need not wait out the pause.
        for acceptor in &mut self.acceptors {
            if acceptor.ready && acceptor.full || acceptor.backoff > BACKOFF_MIN {
                acceptor.retry_at = None;
            }
        }
    }
}

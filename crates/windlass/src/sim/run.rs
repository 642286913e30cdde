//! One run: the scheduler that lets workers, clients and the network take turns, by seed.
//!
//! Everything due happens, clients react, then one worker that has a reason to run gets one turn. Only
//! when no worker has a reason does time move on, to whatever comes first. So a run is as fast as the
//! work in it, and a silent hour costs nothing.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use windlass_proto::testing::Rng;

use super::changes::SimChanges;
use super::client::{Place, Seat};
use super::oracle::Spin;
use super::plan::{MILLI, SECOND};
use super::remote::Newcomer;
use super::succession::Succession;
use super::sys::SimSys;
use super::world::{Happening, World};
use crate::config::Limits;
use crate::server::Handle;
use crate::shared::{DRAINING, STOPPING, Shared};
use crate::stats::Stats;
#[cfg(feature = "tls")]
use crate::tls::peer::Peer;
use crate::worker::{Turn, Worker};

/// Virtual time after which a run that has not ended never will.
const TIME_MAX: u64 = 3600 * SECOND;
/// Turns after which the same is so.
const TURNS_MAX: u64 = 5_000_000;

/// Something the test does to the server at a given time.
pub(crate) type Deed = Box<dyn FnOnce(&Handle)>;

/// A worker and what the scheduler knows of it.
struct Berth {
    /// `None` once it has stopped.
    worker: Option<Worker<SimSys>>,
    /// When it wants to run by itself: asked after each turn, since only a turn can change it.
    wake: Option<u64>,
    spin: Spin,
}

impl Berth {
    fn new(worker: Worker<SimSys>) -> Berth {
        Berth { wake: wake_of(&worker), worker: Some(worker), spin: Spin::default() }
    }
}

pub(crate) struct Run {
    pub(crate) world: Rc<RefCell<World>>,
    berths: Vec<Berth>,
    seats: Vec<Seat>,
    shared: Arc<Shared>,
    pub(crate) succession: Option<Succession>,
    pub(crate) changes: Option<SimChanges>,
    limits: Rc<Limits>,
    /// Soonest last.
    deeds: Vec<(u64, Deed)>,
    rng: Rng,
    /// After the last client: how long the server is watched before it is shut down.
    quiet: u64,
    turns: u64,
}

/// What a run came to.
pub(crate) struct Ended {
    pub(crate) hash: u64,
    pub(crate) entries: u64,
    pub(crate) turns: u64,
    pub(crate) connections: u64,
    pub(crate) bytes: u64,
    /// Virtual nanoseconds.
    pub(crate) took: u64,
    /// What broke, and the last of the trace.
    pub(crate) failure: Option<(String, String)>,
}

impl Run {
    pub(crate) fn new(
        world: Rc<RefCell<World>>,
        workers: Vec<Worker<SimSys>>,
        seats: Vec<Seat>,
        shared: Arc<Shared>,
        limits: Rc<Limits>,
        mut deeds: Vec<(u64, Deed)>,
        mut rng: Rng,
    ) -> Run {
        // Stable, so that deeds of one moment keep their order.
        deeds.reverse();
        deeds.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let berths = workers.into_iter().map(Berth::new).collect();
        let quiet = rng.below(8 * SECOND);
        Run {
            world,
            berths,
            seats,
            shared,
            succession: None,
            changes: None,
            limits,
            deeds,
            rng,
            quiet,
            turns: 0,
        }
    }

    /// Runs to the end, or to the first failure.
    pub(crate) fn go(mut self) -> Ended {
        let result = catch_unwind(AssertUnwindSafe(|| self.all()));
        let panic = result.err().map(|panic| {
            let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
            text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or("a panic".into())
        });
        let failed = panic.is_some() || !self.world.borrow().failures.is_empty();
        if panic.is_some() {
            // A worker that panicked is in no state to be taken down in good order.
            std::mem::take(&mut self.berths).into_iter().for_each(std::mem::forget);
        }
        self.berths.clear();
        let servers: Vec<_> = self.servers().cloned().collect();
        self.succession = None;
        self.changes = None;
        let mut stats = Stats::default();
        servers.iter().for_each(|shared| stats.add(&Handle { shared: shared.clone() }.stats()));
        let mut world = self.world.borrow_mut();
        if !failed {
            world.check_end(&self.limits, &servers, &stats);
        }
        let failure = panic.map(|text| format!("panicked: {text}")).or(world.failures.first().cloned());
        Ended {
            hash: world.trace.hash(),
            entries: world.trace.entries(),
            turns: self.turns,
            connections: world.counts.accepted + world.counts.calls_out,
            bytes: world.counts.bytes,
            took: world.now - world.origin,
            failure: failure.map(|what| (what, world.trace.last())),
        }
    }

    fn all(&mut self) {
        while self.step() {
            if !self.world.borrow().failures.is_empty() {
                return;
            }
        }
    }

    /// One step of the whole; false when everything has ended.
    fn step(&mut self) -> bool {
        if self.one_due() {
            return true;
        }
        self.world.borrow_mut().check_deadlines(&self.limits);
        self.end_of_clients();
        self.move_time()
    }

    /// Lets happen what is due, and gives one worker that has a reason a turn; false if none has.
    fn one_due(&mut self) -> bool {
        self.world.borrow_mut().happen();
        self.deeds();
        self.clients();
        let mut runnable = [0; 64];
        let mut count = 0;
        for worker in 0..self.berths.len() {
            if self.wants_to_run(worker) {
                runnable[count] = worker;
                count += 1;
            }
        }
        if count > 0 {
            let worker = runnable[self.rng.below(count as u64) as usize];
            self.turn(worker);
        }
        count > 0
    }

    /// For a run that is driven by hand: everything that is due now.
    pub(crate) fn settle(&mut self) {
        while self.one_due() {}
        self.world.borrow_mut().check_deadlines(&self.limits);
    }

    /// The same: everything that is due in the next `by` nanoseconds, each at its time.
    pub(crate) fn advance(&mut self, by: u64) {
        let until = self.world.borrow().now + by;
        loop {
            self.settle();
            let wakes = (0..self.berths.len()).filter_map(|worker| self.wake_of(worker)).min();
            let mut world = self.world.borrow_mut();
            let next = wakes.into_iter().chain(world.next_happening()).min();
            match next.filter(|&at| at <= until) {
                Some(at) => world.now = at.max(world.now),
                None => {
                    world.now = until;
                    return;
                }
            }
        }
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle { shared: self.shared.clone() }
    }

    pub(crate) fn pretend_overload(&mut self, overloaded: bool) {
        for worker in self.berths.iter_mut().filter_map(|berth| berth.worker.as_mut()) {
            worker.pretend_overload(overloaded);
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.berths.iter().all(|berth| berth.worker.is_none())
    }

    fn servers(&self) -> impl Iterator<Item = &Arc<Shared>> {
        [&self.shared].into_iter().chain(self.succession.as_ref().map(|succession| &succession.shared))
    }

    fn stop_state(&self) -> u8 {
        self.servers().map(|shared| shared.stop_state()).max().unwrap_or_default()
    }

    fn deeds(&mut self) {
        let now = self.world.borrow().now;
        while self.deeds.last().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, deed)) = self.deeds.pop() {
                deed(&Handle { shared: self.shared.clone() });
            }
        }
        if let Some(changes) = &mut self.changes {
            changes.step(now);
        }
        let took_over = self.succession.as_mut().and_then(|succession| succession.step(now));
        if took_over.is_some()
            && let Some(at) = &mut self.world.borrow_mut().shutdown_at
        {
            // It was asked for while the successor stood ready, who begins to drain only now.
            *at = now;
        }
        self.berths.extend(took_over.into_iter().flatten().map(Berth::new));
        // Whoever stops the one stops the other.
        let stop = self.stop_state();
        for shared in self.servers().filter(|shared| stop >= DRAINING && shared.stop_state() < stop) {
            shared.request_stop(stop == STOPPING);
        }
        if stop >= DRAINING {
            let mut world = self.world.borrow_mut();
            world.shutdown_at.get_or_insert(now);
            world.stop_now = stop == STOPPING;
        }
    }

    fn clients(&mut self) {
        // In rounds, since a client's step may stir others, or itself.
        for _ in 0..1000 {
            self.seat_newcomers();
            let mut stirred = std::mem::take(&mut self.world.borrow_mut().stirred);
            if stirred.is_empty() {
                return;
            }
            for &client in &stirred {
                if let Some(seat) = self.seats.get_mut(client as usize) {
                    seat.step(&mut self.world.borrow_mut());
                }
            }
            stirred.clear();
        }
    }

    /// Remotes that have accepted a call, as clients like any other.
    fn seat_newcomers(&mut self) {
        let mut world = self.world.borrow_mut();
        for newcomer in std::mem::take(&mut world.newcomers) {
            let Newcomer { peer: client, end, number, .. } = newcomer;
            assert_eq!(self.seats.len(), number as usize, "seats are numbered as they come");
            let rng = Rng::new(world.rng.next_u64());
            let place = Place {
                index: number,
                end: Some(end),
                rng,
                limits: self.limits.clone(),
                failed: false,
                #[cfg(feature = "tls")]
                tls_config: None,
                #[cfg(feature = "tls")]
                tls: newcomer.tls.as_ref().map(|config| Box::new(Peer::new(config))),
            };
            self.seats.push(Seat { client, place, done: false, timer: None, remote: true });
            world.stir(number);
        }
    }

    /// The time at which a worker wants to run by itself, the lateness of this world included.
    fn wake_of(&self, worker: usize) -> Option<u64> {
        let wake = self.berths[worker].wake?;
        let world = self.world.borrow();
        let late_max = world.plan.late_wake_max;
        if late_max == 0 || wake <= world.turn_started {
            return Some(wake);
        }
        // The same for every look at the same wake.
        let late = Rng::new(wake ^ worker as u64).below(late_max);
        Some(wake + late)
    }

    fn wants_to_run(&self, worker: usize) -> bool {
        if self.berths[worker].worker.is_none() {
            return false;
        }
        let now = self.world.borrow().now;
        self.wake_of(worker).is_some_and(|at| at <= now) || self.world.borrow_mut().has_events(worker)
    }

    fn turn(&mut self, n: usize) {
        {
            let mut world = self.world.borrow_mut();
            world.turn_started = world.now;
            world.turn_calls = 0;
        }
        self.turns += 1;
        let Some(worker) = &mut self.berths[n].worker else { return };
        let result = worker.turn();
        // As it does before it sleeps: the next tick may be all that ever wakes it.
        worker.arm_tick();
        let mut world = self.world.borrow_mut();
        for (a, b) in worker.pairs() {
            world.couple(n, a, b);
        }
        let took = world.now - world.turn_started;
        world.turn_longest = world.turn_longest.max(took);
        world.reap();
        world.hire();
        world.check_counts(&self.limits);
        let Berth { worker, wake, spin } = &mut self.berths[n];
        spin.turned(n, &mut world);
        match result {
            Ok(Turn::Running) => *wake = worker.as_ref().and_then(wake_of),
            Ok(Turn::Stopped) => {
                drop(world);
                (*worker, *wake) = (None, None);
                world = self.world.borrow_mut();
            }
            Err(e) => world.fail(format!("worker {n} gave up: {e}")),
        }
        if self.turns > TURNS_MAX {
            world.fail(format!("no end after {} turns", self.turns));
        }
    }

    /// Once all clients have finished, a quiet time, and then the shutdown.
    fn end_of_clients(&mut self) {
        if self.seats.iter().any(|seat| !seat.done && !seat.remote) || self.stop_state() >= DRAINING {
            return;
        }
        if !self.deeds.is_empty() {
            return;
        }
        let at = self.world.borrow().now + self.quiet;
        self.deeds.push((at, Box::new(Handle::shutdown)));
    }

    /// Moves on to whatever comes next; false when nothing will ever happen again.
    fn move_time(&mut self) -> bool {
        let wakes = (0..self.berths.len()).filter_map(|worker| self.wake_of(worker)).min();
        let mut world = self.world.borrow_mut();
        let stopped = self.berths.iter().all(|berth| berth.worker.is_none());
        if stopped && self.seats.iter().all(|seat| seat.done) {
            return false;
        }
        let deed = self.deeds.last().map(|(at, _)| *at);
        let step = self.succession.as_ref().and_then(Succession::next);
        let change = self.changes.as_ref().and_then(SimChanges::next);
        let next = [wakes, world.next_happening(), deed, step, change].into_iter().flatten().min();
        match next {
            None => {
                let workers = self.berths.iter().filter(|berth| berth.worker.is_some()).count();
                let waiting = waiting(&mut self.seats, &mut world);
                world.fail(format!(
                    "nothing will ever happen again, with {workers} workers running and these clients waiting:{waiting}"
                ));
                false
            }
            Some(at) if at > world.origin + TIME_MAX => {
                let waiting = waiting(&mut self.seats, &mut world);
                world.fail(format!("no end after an hour, with these clients waiting:{waiting}"));
                false
            }
            Some(at) => {
                // Never back, and never on the spot for ever: a wake that has passed is a turn's work.
                world.now = at.max(world.now);
                true
            }
        }
    }
}

fn wake_of(worker: &Worker<SimSys>) -> Option<u64> {
    Some(worker.next_wake()?.as_nanos())
}

/// The clients that have not finished, and how their connections are.
fn waiting(seats: &mut [Seat], world: &mut World) -> String {
    let mut text = String::new();
    for seat in seats.iter_mut().filter(|seat| !seat.done) {
        let line = super::client::Line { world, place: &mut seat.place };
        let _ = write!(text, " {} ({})", line.index(), line.in_words());
    }
    text
}

/// When a client comes: all at once, or spread over some time.
pub(crate) fn arrival(world: &mut World, client: u32, burst: bool) {
    let spread = if burst { MILLI } else { 3 * SECOND };
    let at = world.now + world.rng.below(spread);
    world.at(at, Happening::ClientTimer(client));
}

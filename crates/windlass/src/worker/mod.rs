//! One worker: a thread with its own poll, listeners, connections and services.
//!
//! [`Worker::turn`] is the loop, on one screen. Read it first; each step has a file of its own or a
//! function below. Everything marked in `poll` is acted on later in the same turn, so an event can
//! never reach a connection that was closed or replaced since.

mod accept;
pub(crate) mod change;
mod connect;
pub(crate) mod datagrams;
mod drain;
mod end;
mod errands;
mod handover;
mod io;
pub(crate) mod leaving;
mod moving;
mod overload;
mod read;
mod relay;
mod scratch;
mod timers;
#[cfg(feature = "tls")]
mod tls;

use std::io::Result as IoResult;
use std::sync::Arc;
use std::time::Duration;

use windlass_proto::Time;

use crate::budget::{SCRATCH_LEAST, SCRATCH_MOST};
use crate::close::Close;
use crate::conn::Conn;
use crate::core::slot::flag;
use crate::core::{Core, LIST_RESERVED, flush};
use crate::hosted::Hosted;
use crate::parts;
use crate::planted::{Fault, planted};
use crate::scope::Scope;
use crate::serve::{OwnLimits, ServiceSpec};
use crate::shared::{ListenerShared, Shared, Stall};
use crate::stats::TurnTimes;
use crate::sys::{Readiness, Sys, Token};

pub(crate) use accept::{Acceptor, HANDED_BYTES, Handoffs};
use datagrams::{BoundUdp, Inbound};
use drain::Phase;
use errands::Observing;
use io::Io;
use leaving::Leaving;
pub(crate) use moving::NOT_MOVING;
use scratch::Scratch;
use timers::Ticker;

/// What a worker is made of.
pub(crate) struct Setup<Y: Sys> {
    /// Counted from 0.
    pub(crate) index: usize,
    pub(crate) sys: Y,
    /// Each with its number among the server's listeners and the number of its service.
    pub(crate) listeners: Vec<(Y::Listener, u16, u16)>,
    /// Bound UDP sockets, each with its address and the number of its service.
    pub(crate) sockets: Vec<BoundUdp<Y::Udp>>,
    pub(crate) services: Vec<HostedService>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) handoffs: Arc<Handoffs<Y>>,
    /// Makes the services that are added later.
    pub(crate) hosts: Hosts,
}

/// Makes a service's value on a worker.
pub(crate) type Hosts = Box<dyn Fn(&dyn ServiceSpec, usize) -> HostedService>;

pub(crate) struct HostedService {
    pub(crate) name: Arc<str>,
    pub(crate) tick: Option<Duration>,
    pub(crate) own: OwnLimits,
    /// It stays while others drain.
    pub(crate) stays: bool,
    pub(crate) host: Box<dyn Hosted>,
}

impl HostedService {
    pub(crate) fn new(spec: &dyn ServiceSpec, worker: usize) -> HostedService {
        HostedService {
            name: spec.name(),
            tick: spec.tick(),
            own: spec.own_limits(),
            stays: spec.stays(),
            host: spec.host(worker),
        }
    }
}

/// What a turn leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    Running,
    /// Everything has ended; the worker is done.
    Stopped,
}

pub(crate) struct Worker<Y: Sys> {
    index: usize,
    core: Core,
    io: Io<Y>,
    /// The one buffer all connections are read into.
    scratch: Scratch,
    services: Vec<HostedService>,
    acceptors: Vec<Acceptor<Y>>,
    /// The server's listeners, by number.
    listeners: Vec<Arc<ListenerShared>>,
    tickers: Vec<Ticker>,
    /// When a service wants to be called next, as they last said.
    tick_next: Option<Time>,
    /// What the driver's timer is armed for.
    tick_armed: Option<Time>,
    /// It is armed, so that ticks need not ride on the poll timeout.
    tick_precise: bool,
    shared: Arc<Shared>,
    handoffs: Arc<Handoffs<Y>>,
    hosts: Hosts,
    phase: Phase,
    /// What somebody outside has asked, and is under way.
    observing: Observing,
    /// Services that stay while others drain have begun to leave too.
    stayers_leave: bool,
    /// Services on their way out.
    leaving: Vec<Leaving>,
    /// When the control socket wants to be served though nothing happens on it.
    control_at: Option<Time>,
    /// More messages wait than one turn takes.
    mail_left: bool,
    /// Services have been told that it starts.
    started: bool,
    /// This turn's run list, and the deadlines that came due: kept for their memory.
    running: Vec<u32>,
    fired: Vec<u32>,
    /// What datagrams are received into, and this turn's sockets.
    inbound: Inbound,
    sockets_running: Vec<u32>,
    turn_times: TurnTimes,
    turn_ended: Time,
    /// The coarse clock when the last callback ended.
    coarse: Time,
}

impl<Y: Sys> Worker<Y> {
    /// In a box from the beginning: it is some kilobytes, and each move of it would leave as much of the stack touched.
    pub(crate) fn new(setup: Setup<Y>) -> IoResult<Box<Worker<Y>>> {
        let Setup { index, mut sys, listeners, sockets, services, shared, handoffs, hosts } = setup;
        let now = sys.now();
        let _ = shared.workers[index].waker.set(sys.waker());
        let mut acceptors = Vec::new();
        for (n, (mut listener, id, service)) in listeners.into_iter().enumerate() {
            sys.register_listener(&mut listener, Token::listener(n))?;
            acceptors.push(Acceptor::new(listener, id, service));
        }
        let tickers = Ticker::start(&services, now);
        let mut core = Core::new(index as u16, &shared, now);
        let budget = shared.budget.clone();
        let mut services = services;
        if let Some(budget) = &budget {
            core.reserve(budget)?;
            services.iter_mut().for_each(|service| service.host.reserve(budget.table));
        }
        core.reserve_cork();
        core.workers = sys.can_move().then_some(shared.workers.len());
        for (n, service) in services.iter().enumerate() {
            core.put_members(n as u16, service.host.is_movable(), service.stays, service.own);
        }
        let observing = Observing::new(shared.clone(), index);
        shared.begin(now);
        let listeners = shared.listeners();
        core.tags = listeners.iter().map(|listener| listener.tag).collect();
        core.locals = listeners.iter().map(|listener| listener.local).collect();
        for (n, listener) in listeners.iter().enumerate().filter(|_| parts::OBSERVE) {
            core.flows.put_listener(n as u16, shared.cells.of_listener(&listener.name, shared.workers.len()));
        }
        for (n, service) in services.iter().enumerate().filter(|_| parts::OBSERVE) {
            core.flows.put_service(n as u16, shared.cells.of_service(&service.name, shared.workers.len()));
        }
        let scratch = Scratch::new(shared.config.scratch_bytes.clamp(SCRATCH_LEAST, SCRATCH_MOST));
        let room = budget.as_ref().map_or(core.limits.connections_max, |budget| budget.table);
        let list = budget.as_ref().map_or(LIST_RESERVED, |budget| budget.table);
        let batch = budget.as_ref().map_or(datagrams::BATCH_MAX, |budget| budget.batch);
        let mut worker = Box::new(Worker {
            index,
            core,
            io: Io::new(sys, room),
            scratch,
            services,
            acceptors,
            listeners,
            tickers,
            tick_next: None,
            tick_armed: None,
            tick_precise: false,
            shared,
            handoffs,
            hosts,
            phase: Phase::Running,
            observing,
            stayers_leave: false,
            leaving: Vec::new(),
            control_at: None,
            // Whoever sent, or asked for a shutdown, before there was a waker to wake is found by looking.
            mail_left: true,
            started: false,
            running: Vec::with_capacity(list),
            fired: Vec::with_capacity(list),
            inbound: Inbound::new(batch),
            sockets_running: Vec::new(),
            turn_times: TurnTimes::default(),
            turn_ended: now,
            coarse: now,
        });
        if parts::UDP {
            if budget.is_some() && !sockets.is_empty() {
                worker.reserve_sockets(sockets.len());
            }
            worker.adopt_sockets(sockets)?;
        }
        Ok(worker)
    }

    /// One turn. Sleeps until there is something to do, and does it.
    pub(crate) fn turn(&mut self) -> IoResult<Turn> {
        self.start();
        self.poll()?;
        self.step_begins("run");
        self.run();
        self.step_begins("datagrams");
        if parts::UDP {
            self.datagrams();
        }
        self.step_begins("accept");
        self.accept();
        self.step_begins("timers");
        self.timers();
        if parts::UDP {
            self.socket_timers();
        }
        self.step_begins("ticks");
        self.ticks();
        self.step_begins("mail");
        self.mail();
        self.step_begins("connect");
        if parts::CONNECT {
            self.connect();
        }
        self.relieve();
        self.step_begins("end");
        self.end();
        if parts::UDP {
            self.flush_sockets();
        }
        if parts::THREADS {
            self.move_out();
        }
        self.see_off();
        self.step_begins("drain");
        self.drain();
        if parts::CONNECT {
            self.close_lost_pipes();
        }
        self.core.recycle();
        self.end_trace();
        self.publish();
        Ok(if self.is_stopped() { Turn::Stopped } else { Turn::Running })
    }

    /// When the worker wants its next turn though nothing happens: a time that has passed when it
    /// has work left. `None`: only when something happens.
    pub(crate) fn next_wake(&self) -> Option<Time> {
        let core = &self.core;
        let work_left = !core.run.is_empty()
            || !core.touched.is_empty()
            || !core.closing.is_empty()
            || !core.settling.is_empty()
            || parts::UDP && core.udp.has_work()
            || parts::CONNECT
                && (!core.relays.ready.is_empty()
                    || !core.connecting.due.is_empty()
                    || !core.connecting.decided.is_empty())
            || self.mail_left
            || core.overload.walk.is_on();
        if work_left {
            return Some(core.now);
        }
        let timers = core.wheel.next().map(|tick| core.time_of(tick));
        let sockets = core.udp.next_deadline().map(|tick| core.time_of(tick));
        let accept = self.acceptors.iter().filter_map(|a| a.next_try(core.now)).min();
        let answers = (core.answers_due < Time::MAX).then_some(core.answers_due);
        let leaving = self.leaving.iter().filter_map(|leaving| leaving.next_wake(core.now)).min();
        let phase = self.phase.next_wake(core.now);
        let (asked, looked) = (self.observing.next_wake(), core.traffic.expires());
        let overload = core.overload.next_look(&core.limits);
        let rest =
            [sockets, self.next_tick(), phase, leaving, answers, self.control_at, asked, looked, overload];
        [timers, accept, core.overload.walk.again].into_iter().chain(rest).flatten().min()
    }

    /// Sleeps, then marks what has become ready. Nothing is acted on here.
    fn poll(&mut self) -> IoResult<()> {
        self.arm_tick();
        self.begin_trace();
        let timeout = self.next_wake().map(|at| at.since(self.turn_ended));
        let Worker { core, io, acceptors, .. } = self;
        let (mut stop, mut control) = (false, false);
        core.counters.polls += 1;
        let seen = core.counters.events;
        io.sys.poll(timeout, |token, readiness| {
            core.counters.events += 1;
            if parts::OBSERVE
                && let Some(trace) = &mut io.trace
            {
                errands::trace_event(trace, core.worker, token, readiness);
            }
            if token.as_conn().is_some() {
                mark(core, token, readiness);
            } else if let Some(n) = token.as_listener() {
                acceptors[n].ready = true;
            } else if parts::UDP
                && let Some(n) = token.as_udp()
            {
                datagrams::mark(core, n, token, readiness);
            } else if token == Token::STOP {
                stop = true;
            } else if token == Token::CONTROL {
                control = true;
            }
        })?;
        if stop {
            for _ in 0..io.sys.stop_requests() {
                self.shared.request_stop(false);
            }
        }
        let now = io.sys.now();
        self.core.set_now(now);
        self.coarse = io.sys.coarse_now();
        self.begin_lag(seen, now);
        self.trace_polled(now);
        self.turn_ended = now;
        if parts::HANDOVER && (control || self.control_at.is_some_and(|at| at <= now)) {
            self.control();
        }
        Ok(())
    }

    /// Serves every connection that is ready or has work left, each once: what its budget leaves
    /// undone waits for the next turn, and so for everybody else's.
    fn run(&mut self) {
        #[cfg(feature = "tls")]
        self.core.tls.turn(self.core.limits.tls_handshakes_per_turn_max);
        std::mem::swap(&mut self.running, &mut self.core.run);
        for n in 0..self.running.len() {
            self.serve(self.running[n]);
        }
        self.running.clear();
        if parts::CONNECT && !self.core.relays.ready.is_empty() {
            self.run_relays();
        }
        self.core.counters.run_queue = self.core.run.len() as u64;
    }

    /// Flush, read, deliver, flush: what one connection gets in one turn.
    fn serve(&mut self, index: u32) {
        let slot = self.core.slot(index);
        slot.clear(flag::QUEUED);
        if !slot.is(flag::LIVE) {
            return;
        }
        // Output that was queued in this very turn goes out at its end, with what may yet come.
        if slot.output.is_some() && !slot.is(flag::TOUCHED) {
            flush::flush(&mut self.core, &mut self.io, index);
        }
        let slot = self.core.slot(index);
        if slot.is(flag::ENDED | flag::RELAYED) {
            return if slot.is(flag::ENDED) { self.read_and_discard(index) } else { self.relay(index) };
        }
        if slot.is(flag::PROBE) {
            self.probe(index);
        }
        if self.core.slot(index).is(flag::WRITE_FAILED) && self.core.slot(index).is(flag::PAUSED) {
            // Nobody reads it, so nothing else would end it.
            self.core.close(index, Close::Reset);
        }
        self.core.cork_owner = index;
        if self.core.slot(index).is(flag::OWED_DRAINED)
            && !self.core.slot(index).is(flag::CLOSING | flag::HANDSHAKE)
        {
            self.core.slot(index).clear(flag::OWED_DRAINED);
            self.call("drained", index, |service, conn| service.drained(conn));
        }
        self.read(index);
        flush::uncork(&mut self.core, &mut self.io, index);
    }

    /// Takes what came from other threads: changes and handed-over connections first, then messages.
    fn mail(&mut self) {
        let woken = self.shared.take_wake(self.index);
        if !woken && !self.mail_left && self.core.answers_due > self.core.now {
            return;
        }
        self.core.answers_due = Time::MAX;
        self.adopt_handed_over();
        self.mail_left = parts::OBSERVE && self.errands();
        for n in 0..self.services.len() {
            self.begin();
            for delivered in 0.. {
                if delivered == self.core.limits.mailbox_per_turn_max {
                    self.mail_left = true;
                    break;
                }
                let mut scope = Scope::new(&mut self.core, &mut self.io, n as u16);
                if !self.services[n].host.receive(&mut scope) {
                    break;
                }
                self.core.counters.messages += 1;
                self.check_stall("receive", None, n);
            }
        }
    }

    /// Sends what callbacks queued on connections other than their own.
    fn flush_touched(&mut self) {
        while let Some(index) = self.core.touched.pop() {
            if self.core.slot(index).is(flag::TOUCHED) {
                flush::flush(&mut self.core, &mut self.io, index);
            }
        }
    }

    /// Calls the service of a connection; an error decides the connection's end.
    fn call(
        &mut self,
        callback: &'static str,
        index: u32,
        f: impl FnOnce(&mut dyn Hosted, &mut Conn<'_>) -> Result<(), Close>,
    ) {
        let service = self.core.slot(index).service as usize;
        self.begin();
        let mut conn = Conn::new(&mut self.core, &mut self.io, index);
        if let Err(why) = f(&mut *self.services[service].host, &mut conn) {
            self.core.close(index, why);
        }
        self.check_stall(callback, Some(index), service);
    }

    /// Reports a callback that held the worker for too long. Cheap enough to ask after each: the
    /// coarse clock costs some nanoseconds.
    #[inline]
    fn check_stall(&mut self, callback: &'static str, index: Option<u32>, service: usize) {
        let now = self.io.sys.coarse_now();
        let took = now.since(self.coarse);
        self.coarse = now;
        self.core.overload.coarse = now;
        if self.io.is_traced() {
            self.trace_callback(callback, index, service);
        }
        let limit = self.core.limits.stall_timeout;
        if parts::OBSERVE && took >= limit && !limit.is_zero() {
            self.report_stall(callback, index, service, took);
        }
    }

    #[cold]
    fn report_stall(&mut self, callback: &'static str, index: Option<u32>, service: usize, took: Duration) {
        self.core.counters.stalls += 1;
        let listener = match index {
            Some(index) => self.listeners.get(self.core.slot(index).listener as usize),
            None => None,
        };
        let listener = listener
            .map_or_else(|| self.services[service].name.to_string(), |listener| listener.name.clone());
        let conn = index.map(|index| self.core.id(index));
        let at = self.shared.since_start(self.core.now);
        self.shared.report_stall(Stall { worker: self.index, callback, conn, listener, took, at });
    }

    /// Counts the turn and publishes the counters.
    fn publish(&mut self) {
        let ended = self.io.sys.now();
        let took = ended.since(self.turn_ended).as_nanos() as u64;
        self.turn_ended = ended;
        self.end_lag(ended);
        let core = &mut self.core;
        core.counters.turns += 1;
        core.counters.busy_nanos += took;
        core.counters.buffered_bytes = core.held() as u64;
        let bucket = self.turn_times.record(took);
        self.shared.workers[self.index].stats.store(&core.counters, &self.turn_times, bucket);
        if parts::OBSERVE {
            core.flows.publish(self.index);
        }
        core.traffic.expire(core.now);
    }
}

/// Notes what an event said about a connection, if it is about the one that is there now.
fn mark(core: &mut Core, token: Token, readiness: Readiness) {
    let Some(index) = token.as_conn() else { return };
    let Some(slot) = core.slots.get_mut(index as usize) else { return };
    let same = Token::conn(index, slot.generation) == token || planted(Fault::SlotReusedTooEarly);
    if !same || !slot.is(flag::LIVE) {
        if same && slot.is(flag::CONNECTING) {
            core.mark_connecting(index, readiness);
        }
        return;
    }
    let has = |bit| readiness.0 & bit != 0;
    // A broken socket is found out by reading and writing it, in that order: what came before the
    // break is still there.
    let broken = has(Readiness::BROKEN);
    if broken && planted(Fault::ErrorBeforeData) {
        core.close(index, Close::Reset);
        return;
    }
    if has(Readiness::READABLE) || broken {
        slot.set(flag::READABLE);
    }
    if broken && slot.is(flag::EOF | flag::PAUSED) {
        slot.set(flag::PROBE);
    }
    if has(Readiness::READ_CLOSED) {
        slot.set(flag::READABLE | flag::READ_CLOSED);
    }
    if (has(Readiness::WRITABLE) || broken)
        && !planted(Fault::WritableIgnored)
        && !slot.is(flag::WRITE_FAILED)
    {
        slot.set(flag::WRITABLE);
    }
    // "Writable" is news only to those who wait for it; every new connection is told it once.
    if slot.is(flag::READABLE | flag::PROBE) || slot.output.is_some() {
        core.queue(index);
    }
}

#[cfg(test)]
mod tests;

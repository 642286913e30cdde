//! Watches every callback a worker makes, and holds the engine to what it promised services.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use windlass_proto::{Input, Time};

use super::end::{EndId, State};
use super::remote::Attempt;
use super::world::World;
use crate::close::Close;
use crate::config::Limits;
use crate::conn::{Conn, Peer};
use crate::connect::ConnectError;
use crate::core::Core;
use crate::datagram::{Datagram, Socket};
use crate::hosted::Hosted;
use crate::id::ConnId;
use crate::mailbox::Shut;
use crate::moving::{AnySeed, Placement};
use crate::scope::Scope;
use crate::service::Tick;
use crate::sys::Token;
use crate::tls_error::TlsError;

/// A service on one worker, watched.
pub(crate) struct Watched {
    inner: Box<dyn Hosted>,
    /// The worker's number in its own server.
    index: usize,
    worker: usize,
    world: Rc<RefCell<World>>,
    limits: Rc<Limits>,
    open: BTreeMap<ConnId, Life>,
    /// Ids are never used twice, so all of them are remembered.
    seen: BTreeSet<ConnId>,
    period: Option<u64>,
    last_tick: Option<Tick>,
    deadline: Option<Promise>,
    shut_down: bool,
}

/// A deadline of the service, as it last said.
#[derive(Clone, Copy)]
struct Promise {
    at: u64,
    /// Since when the worker can have acted on it: it was told of it, or has called the service for it.
    since: u64,
}

#[derive(Default)]
struct Life {
    eof: bool,
    /// Besides `eof`, if that came before it was coupled.
    relay_ended: bool,
    draining: bool,
}

impl Watched {
    pub(crate) fn new(
        inner: Box<dyn Hosted>,
        (worker, index): (usize, usize),
        world: Rc<RefCell<World>>,
        limits: Rc<Limits>,
        period: Option<u64>,
    ) -> Watched {
        Watched {
            inner,
            worker,
            index,
            world,
            limits,
            open: BTreeMap::new(),
            seen: BTreeSet::new(),
            period,
            last_tick: None,
            deadline: None,
            shut_down: false,
        }
    }

    fn fail(&self, id: Option<ConnId>, what: impl std::fmt::Display) {
        let mut world = self.world.borrow_mut();
        let about = match id.and_then(|id| world.find(self.worker, id)) {
            Some(end) => format!("connection #{}: ", end.conn()),
            None => String::new(),
        };
        world.fail(format!("{about}{what}"));
    }

    /// The rules for a callback on a connection.
    fn enter(&mut self, callback: &'static str, conn: &Conn<'_>) {
        let id = conn.id();
        let mut world = self.world.borrow_mut();
        world.callbacks += 1;
        let on = world.find(self.worker, id).map_or(super::trace::NONE, EndId::conn);
        let (now, who) = (world.now, super::trace::Who::Worker(self.worker as u16));
        world.trace.note(now, who, callback, on, 0);
        if conn.now().as_nanos() > now {
            world.fail(format!("{callback}: the time in a callback is ahead of the clock"));
        }
        drop(world);
        if !self.open.contains_key(&id) {
            self.fail(Some(id), format_args!("{callback} for a connection that is not open"));
        }
    }

    /// Takes note of the connections that a callback has asked for.
    fn asked(&mut self, core: &mut Core) {
        for asked in core.take_asked() {
            if !self.seen.insert(asked.id) {
                self.fail(None, format_args!("{} was asked for, and an earlier connection had it", asked.id));
            }
            let handshake = asked.tls.then(|| {
                let Limits { tls_handshake_timeout, idle_timeout, write_stall_timeout, .. } = &*self.limits;
                let timeouts = [tls_handshake_timeout, idle_timeout, write_stall_timeout];
                let least = timeouts.into_iter().filter(|timeout| !timeout.is_zero()).min();
                (least.map_or(0, |least| nanos(*least)), nanos(*tls_handshake_timeout))
            });
            let attempt = Attempt { tag: asked.tag, deadline: asked.deadline.as_nanos(), handshake };
            self.world.borrow_mut().asked(asked.id, attempt);
        }
    }

    fn check_closed(&self, conn: &Conn<'_>, why: &Close) {
        let (id, paused, tls) = (conn.id(), conn.is_paused(), conn.is_tls());
        let mut world = self.world.borrow_mut();
        let Some(end_id) = world.find(self.worker, id) else {
            // Closed already: nothing to compare with.
            return;
        };
        let (now, turn) = (world.turn_started, world.turn_started);
        world.end_mut(end_id).ended_at = Some(now);
        let label = why.label();
        if world.by_hand {
            world.end_mut(end_id).closed_as = Some((label, why.to_string()));
        }
        let (by_hand, notified) = (world.by_hand, world.end(end_id.peer()).notified);
        // What came from the other end of a relay is owed in good order.
        let owed = conn.relayed().filter(|_| why.is_orderly()).map_or(0, |relayed| relayed.sent);
        // What nobody could be given any more need not be read.
        let coupled = world.end(end_id).coupled;
        let given_up = coupled.is_some_and(|other| world.end(other).reset_arrived);
        let end = world.end_mut(end_id);
        end.owed = owed;
        let complaint = match why {
            Close::Idle
                if turn.saturating_sub(end.active)
                    < nanos(self.limits.idle_timeout / self.limits.overload_idle_divisor) =>
            {
                Some(format!("was active {} ms ago", (turn - end.active) / 1_000_000))
            }
            // The world notes every byte of progress, and knows no more about a trickle.
            Close::SlowConsumer if self.limits.write_progress_min > 1 => None,
            Close::SlowConsumer => match end.stalled_since {
                None => Some("its output was not stuck".into()),
                Some(since) if turn.saturating_sub(since) < nanos(self.limits.write_stall_timeout) => {
                    Some(format!("its output was stuck for {} ms only", (turn - since) / 1_000_000))
                }
                Some(_) => None,
            },
            Close::Reset if !end.reset_arrived => Some("nobody reset it".into()),
            Close::Reset if !end.arrived.is_empty() && !paused && !given_up => {
                Some(format!("{} bytes that came before the reset were not read", end.arrived.len()))
            }
            Close::Eof | Close::Truncated | Close::Tls(_) if tls && by_hand => None,
            Close::Eof | Close::Truncated if tls => {
                (!notified).then(|| "its peer sent no close_notify".into())
            }
            Close::Tls(TlsError::Truncated) if tls => {
                let cut = (end.fin_arrived || end.reset_arrived) && !notified;
                (!cut).then(|| "its peer cut nothing short".into())
            }
            Close::Tls(error) => Some(format!("nobody did anything wrong: {error}")),
            Close::Eof | Close::Truncated if !end.fin_arrived && !end.reset_arrived => {
                Some("its peer has not finished".into())
            }
            Close::Eof | Close::Truncated if !end.arrived.is_empty() => {
                Some(format!("{} bytes before the end were not read", end.arrived.len()))
            }
            Close::Io(e) => Some(format!("no call on it failed for good: {e}")),
            _ => None,
        };
        if let Some(complaint) = complaint {
            world.fail(format!("connection #{}: closed as {label}, but {complaint}", end_id.conn()));
        }
    }

    fn check_tick(&mut self, now: u64, tick: Tick) {
        let Some(period) = self.period else { return self.fail(None, "a tick without a period") };
        let due = tick.due.as_nanos();
        if now < due {
            self.fail(None, format_args!("tick {} came {} ns early", tick.number, due - now));
        }
        if let Some(last) = self.last_tick {
            let passed = tick.number.wrapping_sub(last.number);
            if passed != tick.missed + 1 || due != last.due.as_nanos() + passed * period {
                self.fail(
                    None,
                    format_args!(
                        "tick {} due at {due} (missed {}) follows tick {} due at {}: not whole periods of {period}",
                        tick.number, tick.missed, last.number, last.due.as_nanos()
                    ),
                );
            }
        } else if tick.number != tick.missed + 1 {
            self.fail(
                None,
                format_args!("the first tick has number {} and missed {}", tick.number, tick.missed),
            );
        }
        if (now - due) >= 2 * period.max(1) && now - due > self.world.borrow().slack() {
            self.fail(None, format_args!("tick {} is late by {} ns", tick.number, now - due));
        }
        self.last_tick = Some(tick);
    }

    /// No deadline that the service stands by may have been passed over.
    fn check_deadline(&mut self, at: Option<u64>) {
        let (now, slack) = (self.world.borrow().now, self.world.borrow().slack());
        self.deadline = at.map(|at| match self.deadline {
            Some(promise) if promise.at == at => promise,
            _ => Promise { at, since: now },
        });
        if let Some(Promise { at, since }) = self.deadline
            && now > at.max(since) + slack
        {
            self.fail(None, format_args!("a service's deadline is late by {} ns", now - at.max(since)));
        }
    }

    fn check_due(&mut self, now: u64) {
        match &mut self.deadline {
            Some(promise) if promise.at <= now => promise.since = now,
            Some(promise) => {
                let early = promise.at - now;
                self.fail(None, format_args!("a service's deadline came {early} ns early"));
            }
            None => self.fail(None, "a deadline of a service that has none"),
        }
    }

    /// At the end of the run: nobody may be left.
    fn left_open(&self) -> usize {
        self.open.len()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let left = self.left_open();
        // Not while a panic unwinds: that is the failure then.
        if left > 0
            && !std::thread::panicking()
            && let Ok(mut world) = self.world.try_borrow_mut()
        {
            world.never_closed += left;
        }
    }
}

fn nanos(duration: std::time::Duration) -> u64 {
    duration.as_nanos() as u64
}

impl World {
    /// The server's end of a connection of worker `worker`, while it is registered.
    pub(crate) fn find(&self, worker: usize, id: ConnId) -> Option<EndId> {
        let token = Token::conn(id.index, id.generation);
        self.pollers[worker].find(token).filter(|&end| self.end(end).state == State::Open)
    }
}

impl Hosted for Watched {
    fn reserve(&mut self, connections: usize) {
        self.inner.reserve(connections);
    }

    fn place(&mut self, peer: Peer, listener: usize) -> Placement {
        self.inner.place(peer, listener)
    }

    #[cfg(feature = "tls")]
    fn speaks_for_others(&mut self, peer: Peer) -> bool {
        self.inner.speaks_for_others(peer)
    }

    #[cfg(feature = "tls")]
    fn before_tls(&mut self, peer: Peer, listener: usize) -> crate::service::BeforeTls {
        self.inner.before_tls(peer, listener)
    }

    fn is_movable(&self) -> bool {
        self.inner.is_movable()
    }

    fn move_out(&mut self, conn: &mut Conn<'_>) -> AnySeed {
        self.enter("move_out", conn);
        self.open.remove(&conn.id());
        self.world.borrow_mut().moving += 1;
        let seed = self.inner.move_out(conn);
        self.asked(conn.core());
        seed
    }

    fn move_in(&mut self, conn: &mut Conn<'_>, seed: AnySeed) -> Result<(), Close> {
        let id = conn.id();
        self.open.insert(id, Life::default());
        self.enter("move_in", conn);
        if !self.seen.insert(id) {
            self.fail(Some(id), format_args!("move_in with id {id}, which an earlier connection had"));
        }
        self.world.borrow_mut().moving -= 1;
        let result = self.inner.move_in(conn, seed);
        if result.is_err() {
            // Its end is not told.
            self.open.remove(&id);
            self.world.borrow_mut().closed += 1;
        }
        self.asked(conn.core());
        result
    }

    fn start(&mut self, scope: &mut Scope<'_>) {
        self.world.borrow_mut().callbacks += 1;
        scope.core().take_asked();
        self.inner.start(scope);
        self.asked(scope.core());
    }

    fn connected(&mut self, conn: &mut Conn<'_>, tag: u64) -> Result<(), Close> {
        let id = conn.id();
        self.open.insert(id, Life::default());
        self.enter("connected", conn);
        {
            let mut world = self.world.borrow_mut();
            world.answered(id, tag, None);
            let turn = world.turn_started;
            if let Some(end) = world.find(self.worker, id) {
                world.end_mut(end).active = turn;
                world.end_mut(end).shaking_since = None;
            }
        }
        let result = self.inner.connected(conn, tag);
        self.asked(conn.core());
        match &result {
            Ok(()) => self.world.borrow_mut().opened += 1,
            Err(_) => {
                self.open.remove(&id);
            }
        }
        result
    }

    fn connect_failed(&mut self, scope: &mut Scope<'_>, id: ConnId, tag: u64, why: ConnectError) {
        {
            let mut world = self.world.borrow_mut();
            world.callbacks += 1;
            world.answered(id, tag, Some(&why));
            let (now, who) = (world.now, super::trace::Who::Worker(self.worker as u16));
            world.trace.note_result(now, who, "connect failed", super::trace::NONE, tag, why.label());
        }
        self.inner.connect_failed(scope, id, tag, why);
        self.asked(scope.core());
    }

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        let id = conn.id();
        {
            let mut world = self.world.borrow_mut();
            if let Some(end) = world.find(self.worker, id) {
                world.end_mut(end).shaking_since = None;
            }
        }
        self.open.insert(id, Life::default());
        self.enter("open", conn);
        if !self.seen.insert(id) {
            self.fail(Some(id), format_args!("open with id {id}, which an earlier connection had"));
        }
        let result = self.inner.open(conn);
        self.asked(conn.core());
        match &result {
            Ok(()) => self.world.borrow_mut().opened += 1,
            Err(_) => {
                self.open.remove(&id);
            }
        }
        result
    }

    fn data(&mut self, conn: &mut Conn<'_>, input: &mut Input<'_>) -> Result<(), Close> {
        self.enter("data", conn);
        let (id, len) = (conn.id(), input.len());
        if len > self.limits.input_max {
            self.fail(Some(id), format_args!("{len} bytes of input, {} allowed", self.limits.input_max));
        }
        self.world.borrow_mut().trace.bytes(input.peek());
        let result = self.inner.data(conn, input);
        self.asked(conn.core());
        result
    }

    fn eof(&mut self, conn: &mut Conn<'_>, input: &mut Input<'_>) -> Result<(), Close> {
        self.enter("eof", conn);
        let id = conn.id();
        if let Some(life) = self.open.get_mut(&id)
            && std::mem::replace(&mut life.eof, true)
        {
            self.fail(Some(id), "eof twice");
        }
        // Driven by hand, only the hand knows what was sent.
        if conn.is_tls() && !self.world.borrow().by_hand {
            let end = self.world.borrow().find(self.worker, id);
            let notified = end.is_some_and(|end| self.world.borrow().end(end.peer()).notified);
            if conn.is_truncated() == notified {
                self.fail(
                    Some(id),
                    format_args!("eof, truncated: {}, close_notify sent: {notified}", !notified),
                );
            }
        }
        let result = self.inner.eof(conn, input);
        self.asked(conn.core());
        result
    }

    fn relay_ended(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        self.enter("relay ended", conn);
        let id = conn.id();
        if conn.relayed().is_none() {
            self.fail(Some(id), "the end of a relay it is not part of");
        }
        if let Some(life) = self.open.get_mut(&id)
            && std::mem::replace(&mut life.relay_ended, true)
        {
            self.fail(Some(id), "its end was told twice");
        }
        let finished = {
            let world = self.world.borrow();
            world
                .find(self.worker, id)
                .is_none_or(|end| world.end(end).fin_arrived || world.end(end).reset_arrived)
        };
        if !finished && !conn.is_tls() {
            self.fail(Some(id), "its end was told, and its peer has not finished");
        }
        let result = self.inner.relay_ended(conn);
        self.asked(conn.core());
        result
    }

    fn drained(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        self.enter("drained", conn);
        let result = self.inner.drained(conn);
        self.asked(conn.core());
        result
    }

    fn timeout(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        self.enter("timeout", conn);
        let result = self.inner.timeout(conn);
        self.asked(conn.core());
        result
    }

    fn draining(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        self.enter("draining", conn);
        let id = conn.id();
        {
            let mut world = self.world.borrow_mut();
            if world.replaced
                && let Some(end) = world.find(self.worker, id)
            {
                // From here on its end is not the engine's to answer for.
                world.end_mut(end).disturbed = true;
                world.end_mut(end.peer()).disturbed = true;
            }
        }
        let excused = self.world.borrow().shutdown_at.is_some() || self.world.borrow().replaced;
        if !excused {
            self.fail(Some(id), "draining without a shutdown");
        }
        if let Some(life) = self.open.get_mut(&id)
            && std::mem::replace(&mut life.draining, true)
        {
            self.fail(Some(id), "draining twice");
        }
        let result = self.inner.draining(conn);
        self.asked(conn.core());
        result
    }

    fn superseded(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        self.enter("superseded", conn);
        self.inner.superseded(conn)
    }

    fn closed(&mut self, conn: &mut Conn<'_>, why: Close) {
        let id = conn.id();
        if self.open.contains_key(&id) {
            self.enter("closed", conn);
            self.check_closed(conn, &why);
            self.open.remove(&id);
            self.world.borrow_mut().closed += 1;
        }
        // Without a session it was refused, and the service is not told.
        self.inner.closed(conn, why);
        self.asked(conn.core());
    }

    fn tick(&mut self, scope: &mut Scope<'_>, tick: Tick) {
        self.check_tick(scope.now().as_nanos(), tick);
        let mut world = self.world.borrow_mut();
        world.callbacks += 1;
        world.ticks += 1;
        drop(world);
        self.inner.tick(scope, tick);
        self.asked(scope.core());
    }

    fn deadline(&mut self) -> Option<Time> {
        let deadline = self.inner.deadline();
        self.check_deadline(deadline.map(Time::as_nanos));
        deadline
    }

    fn due(&mut self, scope: &mut Scope<'_>) {
        self.check_due(scope.now().as_nanos());
        let mut world = self.world.borrow_mut();
        world.callbacks += 1;
        world.ticks += 1;
        drop(world);
        self.inner.due(scope);
        self.asked(scope.core());
    }

    fn shutdown(&mut self, scope: &mut Scope<'_>) {
        if std::mem::replace(&mut self.shut_down, true) {
            self.fail(None, "shutdown was told twice");
        }
        self.world.borrow_mut().callbacks += 1;
        self.inner.shutdown(scope);
        self.asked(scope.core());
    }

    fn close_mailbox_if_empty(&mut self) -> Shut {
        self.inner.close_mailbox_if_empty()
    }

    fn receive(&mut self, scope: &mut Scope<'_>) -> bool {
        let some = self.inner.receive(scope);
        self.asked(scope.core());
        self.world.borrow_mut().callbacks += u64::from(some);
        some
    }

    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        self.enter_socket("datagram", socket);
        self.world.borrow_mut().trace.bytes(datagram.bytes);
        self.inner.datagram(socket, datagram);
    }

    fn socket_drained(&mut self, socket: &mut Socket<'_>) {
        self.enter_socket("socket drained", socket);
        self.inner.socket_drained(socket);
    }

    fn socket_error(&mut self, socket: &mut Socket<'_>, error: std::io::Error) {
        self.enter_socket("socket error", socket);
        self.inner.socket_error(socket, error);
    }

    fn socket_timeout(&mut self, socket: &mut Socket<'_>) {
        self.enter_socket("socket timeout", socket);
        self.inner.socket_timeout(socket);
    }

    fn socket_draining(&mut self, socket: &mut Socket<'_>) {
        self.enter_socket("socket draining", socket);
        if self.world.borrow().shutdown_at.is_none() {
            self.fail(None, "a socket is draining without a shutdown");
        }
        self.inner.socket_draining(socket);
    }
}

impl Watched {
    /// The rules for a callback on a UDP socket.
    fn enter_socket(&mut self, callback: &'static str, socket: &Socket<'_>) {
        let mut world = self.world.borrow_mut();
        world.callbacks += 1;
        let (now, who) = (world.now, super::trace::Who::Worker(self.worker as u16));
        let id = socket.id();
        world.trace.note(now, who, callback, super::trace::NONE, u64::from(id.index));
        if socket.now().as_nanos() > now {
            world.fail(format!("{callback}: the time in a callback is ahead of the clock"));
        }
        if id.worker() != self.index {
            world.fail(format!("{callback}: a socket of worker {}", id.worker()));
        }
    }
}

//! A change of the running server, as one worker carries it out: between two turns of everything else,
//! so that no connection sees half of it.
//!
//! Everything that can fail has been done before (`server/changing.rs`): sockets are open, and numbers are
//! given. Here hosts are made, sockets registered, and what is to go begins to.

use std::sync::atomic::Ordering::Release;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::Limits;
use crate::core::slot::flag;
use crate::datagram::table::flag as udp_flag;
use crate::hosted::Hosted;
use crate::parts;
use crate::planted::{Fault, planted};
use crate::scope::Scope;
use crate::serve::{OwnLimits, ServiceSpec};
use crate::shared::ListenerShared;
use crate::sys::{Sys, Token, now};

use super::accept::Acceptor;
use super::datagrams::BoundUdp;
use super::drain::Phase;
use super::io::Io;
use super::leaving::{Departure, Leaving};
use super::timers::Ticker;
use super::{HostedService, Worker};

/// What one worker is to do. Steps are taken in the order of the fields.
pub(crate) struct Order<Y: Sys> {
    pub(crate) limits: Option<Arc<Limits>>,
    /// By the number of their service.
    pub(crate) own: Vec<(u16, OwnLimits)>,
    /// New listeners, by their numbers.
    pub(crate) listeners: Vec<(u16, Arc<ListenerShared>)>,
    pub(crate) add: Vec<(u16, Arc<dyn ServiceSpec>)>,
    /// What is kept for a successor changes too.
    #[allow(clippy::type_complexity, reason = "it is called once")]
    pub(crate) keep: Option<Box<dyn FnOnce(&mut Y) + Send>>,
    /// A listener's sockets go on as another's, of a service: old number, new number, service.
    pub(crate) pass: Vec<(u16, u16, u16)>,
    /// Listeners to close.
    pub(crate) close: Vec<u16>,
    /// Services to remove, with their listeners.
    pub(crate) remove: Vec<(u16, Arc<Departure>)>,
    /// As for `Setup`.
    pub(crate) open: Vec<(Y::Listener, u16, u16)>,
    pub(crate) sockets: Vec<BoundUdp<Y::Udp>>,
    pub(crate) receipt: Receipt,
}

impl<Y: Sys> Order<Y> {
    pub(crate) fn new(receipt: Receipt) -> Order<Y> {
        Order {
            limits: None,
            own: Vec::new(),
            listeners: Vec::new(),
            add: Vec::new(),
            keep: None,
            pass: Vec::new(),
            close: Vec::new(),
            remove: Vec::new(),
            open: Vec::new(),
            sockets: Vec::new(),
            receipt,
        }
    }
}

/// How far a change has come: workers that have not seen it, and those that refused it.
#[derive(Default)]
pub(crate) struct Progress {
    state: Mutex<(usize, usize)>,
    changed: Condvar,
}

/// What a change came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Everywhere,
    /// The server began to stop meanwhile.
    Stopping,
    /// Some workers have not come by yet.
    Late,
}

impl Progress {
    pub(crate) fn new() -> Arc<Progress> {
        Arc::new(Progress::default())
    }

    fn lock(&self) -> MutexGuard<'_, (usize, usize)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For one worker more.
    pub(crate) fn receipt(self: &Arc<Progress>) -> Receipt {
        self.lock().0 += 1;
        Receipt { progress: self.clone(), taken: false }
    }

    /// Waits until every worker has answered, or for so long.
    pub(crate) fn wait(&self, timeout: Duration) -> Outcome {
        let until = now() + timeout;
        let mut state = self.lock();
        loop {
            match *state {
                (_, 1..) => return Outcome::Stopping,
                (0, 0) => return Outcome::Everywhere,
                _ => {}
            }
            let left = until.since(now());
            if left.is_zero() {
                return Outcome::Late;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// An order's answer: dropped without having been taken, it was refused.
pub(crate) struct Receipt {
    progress: Arc<Progress>,
    taken: bool,
}

impl Drop for Receipt {
    fn drop(&mut self) {
        let mut state = self.progress.lock();
        state.0 -= 1;
        state.1 += usize::from(!self.taken);
        self.progress.changed.notify_all();
    }
}

impl<Y: Sys> Worker<Y> {
    /// Carries out a change. On its way out a worker takes none: what came with it closes.
    #[cold]
    pub(super) fn change(&mut self, order: Order<Y>) {
        if self.phase != Phase::Running {
            return;
        }
        let Order { limits, own, listeners, add, keep, pass, close, remove, open, sockets, mut receipt } =
            order;
        if let Some(limits) = limits {
            self.take_limits(&limits);
        }
        for (service, own) in own {
            self.services[usize::from(service)].own = own;
            self.core.set_own_limits(service, own);
        }
        for (id, listener) in listeners {
            self.put_listener(id, listener);
        }
        for (service, spec) in add {
            self.add_service(service, &*spec);
        }
        if let Some(keep) = keep {
            // Before anything is closed: nobody waits in a queue that has no reader left.
            keep(&mut self.io.sys);
        }
        for (old, new, service) in pass {
            self.pass_listener_on(old, new, service);
        }
        for id in close {
            self.close_listener(id);
        }
        for (service, departure) in remove {
            self.begin_to_leave(service, Some(departure));
        }
        for (listener, id, service) in open {
            self.add_acceptor(listener, id, service);
        }
        if parts::UDP && self.shared.budget.is_some() && !sockets.is_empty() {
            self.reserve_sockets(sockets.len());
        }
        for socket in sockets {
            self.add_socket(socket);
        }
        receipt.taken = true;
    }

    fn take_limits(&mut self, limits: &Limits) {
        self.core.set_limits(limits);
        for acceptor in self.acceptors.iter_mut().filter(|acceptor| acceptor.full) {
            acceptor.retry_at = None;
        }
    }

    fn put_listener(&mut self, id: u16, listener: Arc<ListenerShared>) {
        let (n, tag, local) = (usize::from(id), listener.tag, listener.local);
        let cells = self.shared.cells.of_listener(&listener.name, self.shared.workers.len());
        self.core.flows.put_listener(id, cells);
        if n < self.listeners.len() {
            self.listeners[n] = listener;
            self.core.tags[n] = tag;
            self.core.locals[n] = local;
        } else {
            self.listeners.push(listener);
            self.core.tags.push(tag);
            self.core.locals.push(local);
        }
    }

    fn add_service(&mut self, number: u16, spec: &dyn ServiceSpec) {
        let mut service = (self.hosts)(spec, self.index);
        if let Some(budget) = &self.shared.budget {
            // Now, and not when its connections come.
            service.host.reserve(budget.table);
        }
        let cells = self.shared.cells.host(&service.name, self.shared.workers.len(), 1);
        self.core.flows.put_service(number, cells);
        self.core.put_members(number, service.host.is_movable(), service.stays, service.own);
        self.tickers.extend(Ticker::new(number, &service, self.core.now));
        let n = usize::from(number);
        if n < self.services.len() {
            self.services[n] = service;
        } else {
            self.services.push(service);
        }
        self.begin();
        let mut scope = Scope::new(&mut self.core, &mut self.io, number);
        self.services[n].host.start(&mut scope);
        self.check_stall("start", None, n);
    }

    /// Takes the service away from this worker, with its host.
    pub(super) fn drop_service(&mut self, number: u16, vacant: Box<dyn Hosted>) {
        self.tickers.retain(|ticker| ticker.service() != number);
        let name = self.services[usize::from(number)].name.clone();
        self.shared.cells.leave(&name);
        self.services[usize::from(number)] =
            HostedService { name, tick: None, own: OwnLimits::default(), stays: false, host: vacant };
    }

    fn add_acceptor(&mut self, listener: Y::Listener, id: u16, service: u16) {
        let mut acceptor = Acceptor::new(listener, id, service);
        acceptor.registered = false;
        let n = match self.acceptors.iter().position(|acceptor| acceptor.listener.is_none()) {
            Some(n) => {
                self.acceptors[n] = acceptor;
                n
            }
            None => {
                self.acceptors.push(acceptor);
                self.acceptors.len() - 1
            }
        };
        self.register_acceptor(n);
    }

    fn add_socket(&mut self, (socket, local, listener, service): BoundUdp<Y::Udp>) {
        let Some(index) = self.core.udp.insert(self.core.tick, service, local, None) else {
            self.core.counters.sockets_refused += 1;
            self.listeners[usize::from(listener)].sockets.fetch_sub(1, Release);
            return self.io.sys.close_udp(socket, false);
        };
        self.core.counters.sockets += 1;
        self.put_bound_socket(index, socket, listener);
        // A registration that fails now is tried again when the socket is served.
        let _ = self.register_bound_socket(index);
    }

    /// Closes a listener's sockets here, once everybody who waits has been taken in.
    fn close_listener(&mut self, id: u16) {
        for n in 0..self.acceptors.len() {
            if self.acceptors[n].id == id {
                if !planted(Fault::ClosedQueueForgotten) {
                    self.accept_all_from(n);
                }
                self.close_acceptor(n);
            }
        }
        for index in self.bound_sockets(id) {
            self.last_receive_of(index);
            self.core.udp.close_when_sent(index);
        }
    }

    pub(super) fn close_acceptor(&mut self, n: usize) {
        let acceptor = &mut self.acceptors[n];
        let Some(listener) = acceptor.listener.take() else { return };
        acceptor.waited = Duration::ZERO;
        if acceptor.registered {
            self.io.sys.close_listener(listener);
        }
        self.listeners[usize::from(acceptor.id)].sockets.fetch_sub(1, Release);
    }

    /// A listener's sockets go on as those of another: whoever waits in their queues is served by it.
    fn pass_listener_on(&mut self, old: u16, new: u16, service: u16) {
        for acceptor in &mut self.acceptors {
            if acceptor.id == old && acceptor.listener.is_some() {
                (acceptor.id, acceptor.service) = (new, service);
                (acceptor.ready, acceptor.full, acceptor.retry_at) = (true, false, None);
                self.listeners[usize::from(old)].sockets.fetch_sub(1, Release);
            }
        }
        for index in self.bound_sockets(old) {
            self.pass_socket_on(index, new, service);
        }
    }

    fn bound_sockets(&self, id: u16) -> Vec<u32> {
        let slots = self.core.udp.slots.iter().enumerate();
        let bound = slots.filter(|(_, slot)| {
            slot.is(udp_flag::LIVE)
                && !slot.is(udp_flag::CLOSING)
                && slot.peer.is_none()
                && slot.listener == id
        });
        bound.map(|(index, _)| index as u32).collect()
    }

    /// A UDP socket gets another slot, and so a name that its former service does not know.
    fn pass_socket_on(&mut self, index: u32, listener: u16, service: u16) {
        let old = &mut self.core.udp.slots[index as usize];
        let (local, segments_max) = (old.local, old.segments_max);
        let (output, kept) = (old.output.take(), old.flags & udp_flag::UNREGISTERED);
        let Some(socket) = self.io.udp[index as usize].take() else { return };
        self.listeners[usize::from(self.core.udp.slots[index as usize].listener)]
            .sockets
            .fetch_sub(1, Release);
        self.core.udp.remove(index);
        let Some(new) = self.core.udp.insert(self.core.tick, service, local, None) else { return };
        self.put_bound_socket(new, socket, listener);
        let slot = &mut self.core.udp.slots[new as usize];
        (slot.segments_max, slot.output) = (segments_max, output);
        slot.set(kept);
        let generation = slot.generation;
        if kept == 0 && self.io.rename_udp(new, generation).is_err() {
            self.core.udp.slots[new as usize].set(udp_flag::UNREGISTERED);
        }
        self.core.udp.touch(new);
    }
}

impl<Y: Sys> Io<Y> {
    /// Events of a socket in another slot bear another token.
    fn rename_udp(&mut self, index: u32, generation: u32) -> std::io::Result<()> {
        let Io { sys, udp, .. } = self;
        let Some(socket) = udp[index as usize].as_mut() else { return Ok(()) };
        super::io::again(|| sys.rename_udp(socket, Token::udp(index, generation)))
    }
}

impl<Y: Sys> Worker<Y> {
    /// The service begins to leave this worker: removed (`departure`), or the last to be told of a drain.
    pub(super) fn begin_to_leave(&mut self, service: u16, departure: Option<Arc<Departure>>) {
        for n in 0..self.acceptors.len() {
            if self.acceptors[n].service == service {
                self.accept_all_from(n);
                self.close_acceptor(n);
            }
        }
        self.core.members[usize::from(service)].leaving = true;
        if parts::CONNECT {
            self.core.shut_connecting_for(service, false);
        }
        // Nobody leaves for another worker any more.
        if parts::THREADS {
            self.move_out();
        }
        // What has been sent by now is answered: one more read for each.
        for index in 0..self.core.slots.len() as u32 {
            let slot = self.core.slot(index);
            if slot.is(flag::LIVE) && slot.service == service {
                slot.set(flag::READABLE);
                self.core.queue(index);
            }
        }
        for index in 0..self.core.udp.slots.len() as u32 {
            let slot = &self.core.udp.slots[index as usize];
            if slot.is(udp_flag::LIVE) && slot.service == service {
                self.receive_once_more(index);
            }
        }
        let deadline = self.core.now + self.core.limits.drain_timeout;
        if let Some(departure) = &departure
            && departure.leaves()
        {
            self.shared.wake_all();
        }
        self.leaving.push(Leaving::new(service, departure, deadline));
    }
}

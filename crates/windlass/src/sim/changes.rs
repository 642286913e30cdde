//! Changes of a simulated server amid its traffic: listeners come and go, services are replaced by their
//! like, limits are set anew. What `server/changing.rs` does on a real system is done here without one.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Release;

use windlass_proto::testing::Rng;

use super::plan::{MILLI, SECOND, log_draw};
use super::sys::SimSys;
use super::world::World;
use crate::serve::ServiceSpec;
use crate::shared::{ListenerShared, RUNNING, Shared};
use crate::worker::Handoffs;
use crate::worker::change::{Order, Progress};
use crate::worker::leaving::Departure;

/// Changes in one run, at most.
const CHANGES_MAX: u64 = 12;

pub(crate) struct SimChanges {
    spec: Arc<dyn ServiceSpec>,
    shared: Arc<Shared>,
    handoffs: Arc<Handoffs<SimSys>>,
    world: Rc<RefCell<World>>,
    /// Soonest last.
    due: Vec<u64>,
    rng: Rng,
    /// The service that serves now, and those on their way out.
    service: u16,
    leaving: Vec<(u16, Arc<Departure>)>,
    /// Numbers of services, up to the highest that was given.
    services: u16,
    /// Its listeners.
    listeners: Vec<u16>,
}

impl SimChanges {
    pub(crate) fn new(
        spec: Arc<dyn ServiceSpec>,
        shared: Arc<Shared>,
        handoffs: Arc<Handoffs<SimSys>>,
        world: Rc<RefCell<World>>,
        rng: &mut Rng,
    ) -> SimChanges {
        let mut rng = Rng::new(rng.next_u64());
        let mut at = world.borrow().now;
        let mut due = Vec::new();
        for _ in 0..1 + rng.below(CHANGES_MAX) {
            at += log_draw(&mut rng, &(MILLI..2 * SECOND));
            due.push(at);
        }
        due.reverse();
        SimChanges {
            spec,
            shared,
            handoffs,
            world,
            due,
            rng,
            service: 0,
            leaving: Vec::new(),
            services: 1,
            listeners: vec![0],
        }
    }

    /// When the next is due.
    pub(crate) fn next(&self) -> Option<u64> {
        self.due.last().copied()
    }

    /// Makes those that are due. What the last one brought is on every worker before the next.
    pub(crate) fn step(&mut self, now: u64) {
        while self.next().is_some_and(|at| at <= now) {
            self.due.pop();
            if self.shared.stop_state() != RUNNING {
                self.due.clear();
                return;
            }
            self.change();
        }
    }

    fn change(&mut self) {
        let workers = self.shared.workers.len();
        let progress = Progress::new();
        let mut orders: Vec<Order<SimSys>> = (0..workers).map(|_| Order::new(progress.receipt())).collect();
        match self.rng.below(4) {
            0 => self.widen(&mut orders),
            1 if self.listeners.len() > 1 => self.narrow(&mut orders),
            2 | 3 => self.replace(&mut orders),
            _ => {
                let limits = Arc::new(self.shared.limits());
                self.shared.set_limits(&limits);
                orders.iter_mut().for_each(|order| order.limits = Some(limits.clone()));
            }
        }
        let posted = self.handoffs.post(orders, &self.shared, || {});
        assert!(posted, "a running server takes a change");
    }

    /// One more listener for the service, with a queue for each worker or one for all.
    fn widen(&mut self, orders: &mut [Order<SimSys>]) {
        let (id, listener) = self.number(orders.len());
        let mut world = self.world.borrow_mut();
        let first = world.open_listener(0);
        let shares = world.plan.unix || self.rng.chance(1, 4);
        for order in orders.iter_mut().skip(1) {
            let other = if shares { world.share_listener(&first) } else { world.open_listener(0) };
            order.open.push((other, id, self.service));
        }
        orders[0].open.push((first, id, self.service));
        orders.iter_mut().for_each(|order| order.listeners.push((id, listener.clone())));
        self.listeners.push(id);
    }

    fn narrow(&mut self, orders: &mut [Order<SimSys>]) {
        let n = self.rng.below(self.listeners.len() as u64) as usize;
        let id = self.listeners.swap_remove(n);
        self.close(id);
        orders.iter_mut().for_each(|order| order.close.push(id));
    }

    /// Another service in the place of this one, with all its listeners.
    fn replace(&mut self, orders: &mut [Order<SimSys>]) {
        self.world.borrow_mut().replaced = true;
        let workers = orders.len();
        self.leaving.retain(|(_, departure)| !departure.is_over());
        let vacant = |service: &u16| {
            *service != self.service && !self.leaving.iter().any(|(leaving, _)| leaving == service)
        };
        let service = (0..=self.services).find(vacant).unwrap_or(self.services);
        self.services = self.services.max(service + 1);
        let departure = Arc::new(Departure::new(self.spec.clone(), workers));
        for order in orders.iter_mut() {
            order.add.push((service, self.spec.clone()));
            order.remove.push((self.service, departure.clone()));
        }
        for n in 0..self.listeners.len() {
            let old = self.listeners[n];
            let (id, listener) = self.number(workers);
            self.close(old);
            for order in orders.iter_mut() {
                order.listeners.push((id, listener.clone()));
                order.pass.push((old, id, service));
            }
            self.listeners[n] = id;
        }
        self.leaving.push((self.service, departure));
        self.service = service;
    }

    fn close(&self, id: u16) {
        if let Some(listener) = self.shared.listener(id) {
            listener.removed.store(true, Release);
        }
    }

    /// A number that nothing refers to any more, for a new listener.
    fn number(&self, sockets: usize) -> (u16, Arc<ListenerShared>) {
        let listeners = self.shared.listeners();
        let id = listeners.iter().position(|listener| listener.is_over()).unwrap_or(listeners.len()) as u16;
        let listener = ListenerShared {
            name: format!("listener {id}"),
            sockets: sockets.into(),
            ..ListenerShared::default()
        };
        let listener = Arc::new(listener);
        self.shared.put_listener(id, listener.clone());
        (id, listener)
    }
}

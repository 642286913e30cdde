//! A second server that takes over the listeners and UDP sockets of the first while it serves.
//!
//! It stands ready for a while, with its listeners on the same accept queues, before the first is told;
//! and sometimes it is gone before that, and another one comes later.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use windlass_proto::testing::Rng;

use super::plan::{MILLI, SECOND, log_draw};
use super::sys::{SimListener, SimSys};
use super::watch::Watched;
use super::world::World;
use crate::config::Limits;
use crate::serve::{OwnLimits, ServiceSpec};
use crate::shared::{DRAINING, Shared};
use crate::sys::Sys;
use crate::sys::handover::Item;
use crate::worker::datagrams::BoundUdp;
use crate::worker::{Handoffs, HostedService, Hosts, Setup, Worker};

/// A worker's listeners, each with its number and that of its service.
type Listeners = Vec<(SimListener, u16, u16)>;

/// Makes the workers of a server.
pub(crate) struct Maker {
    pub(crate) services: Vec<Arc<dyn ServiceSpec>>,
    pub(crate) world: Rc<RefCell<World>>,
    pub(crate) limits: Rc<Limits>,
}

impl Maker {
    /// `first` is the number of the first of these among all workers of the run.
    pub(crate) fn workers(
        &self,
        first: usize,
        shared: &Arc<Shared>,
        listeners: Vec<Listeners>,
        sockets: Vec<Vec<BoundUdp<<SimSys as Sys>::Udp>>>,
        handoffs: &Arc<Handoffs<SimSys>>,
    ) -> Vec<Worker<SimSys>> {
        let sockets = sockets.into_iter().chain(std::iter::repeat_with(Vec::new));
        let made = listeners.into_iter().zip(sockets).enumerate().map(|(index, (listeners, sockets))| {
            let (world, limits) = (self.world.clone(), self.limits.clone());
            let hosts: Hosts = Box::new(move |spec, index| {
                let period = spec.tick().map(|period| period.as_nanos() as u64);
                let (world, limits) = (world.clone(), limits.clone());
                let host = Watched::new(spec.host(index), (first + index, index), world, limits, period);
                HostedService {
                    name: spec.name(),
                    tick: spec.tick(),
                    own: OwnLimits { any_source: spec.own_limits().any_source, ..OwnLimits::default() },
                    stays: spec.stays(),
                    host: Box::new(host),
                }
            });
            let services = self.services.iter().map(|spec| hosts(&**spec, index)).collect();
            let setup = Setup {
                index,
                sys: SimSys::new(self.world.clone(), first + index),
                listeners,
                sockets,
                services,
                shared: shared.clone(),
                handoffs: handoffs.clone(),
                hosts,
            };
            *Worker::new(setup).expect("the simulated system registers every listener")
        });
        made.collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Stand,
    Die,
    Take,
}

pub(crate) struct Succession {
    pub(crate) shared: Arc<Shared>,
    predecessor: Arc<Shared>,
    maker: Maker,
    /// The number of its first worker.
    first: usize,
    /// Soonest last.
    steps: Vec<(u64, Step)>,
    standing: Vec<Worker<SimSys>>,
    /// Descriptors of UDP sockets that those who stand have.
    sockets: Vec<usize>,
}

impl Succession {
    pub(crate) fn new(
        maker: Maker,
        predecessor: Arc<Shared>,
        shared: Arc<Shared>,
        rng: &mut Rng,
    ) -> Succession {
        let origin = maker.world.borrow().now;
        let first = predecessor.workers.len();
        let mut steps = Vec::new();
        let mut at = origin;
        let dies = rng.chance(1, 3);
        for end in [Step::Die, Step::Take].into_iter().skip(usize::from(!dies)) {
            at += log_draw(rng, &(MILLI..4 * SECOND));
            steps.push((at, Step::Stand));
            at += log_draw(rng, &(1..200 * MILLI));
            steps.push((at, end));
        }
        steps.reverse();
        Succession { shared, predecessor, maker, first, steps, standing: Vec::new(), sockets: Vec::new() }
    }

    /// When its next step is due.
    pub(crate) fn next(&self) -> Option<u64> {
        self.steps.last().map(|(at, _)| *at)
    }

    /// Takes the steps that are due; its workers, once it has taken over.
    pub(crate) fn step(&mut self, now: u64) -> Option<Vec<Worker<SimSys>>> {
        while self.next().is_some_and(|at| at <= now) {
            let (_, step) = self.steps.pop()?;
            let shutting_down = self.predecessor.stop_state() >= DRAINING;
            match step {
                Step::Stand if shutting_down => self.steps.clear(),
                Step::Stand => self.stand(),
                // With its predecessor gone in the meantime nobody else would see to those who wait.
                Step::Die if !shutting_down => self.die(),
                Step::Die | Step::Take => {
                    self.steps.clear();
                    let listeners = self.predecessor.listeners().len() as u16;
                    let taken: Vec<_> = (0..listeners).map(Item::Listener).collect();
                    self.predecessor.supersede(&taken);
                    self.sockets.clear();
                    return Some(std::mem::take(&mut self.standing));
                }
            }
        }
        None
    }

    /// With all descriptors that were handed to it.
    fn die(&mut self) {
        self.standing.clear();
        if let Ok(mut world) = self.maker.world.try_borrow_mut() {
            self.sockets.drain(..).for_each(|socket| world.close_udp(socket, true));
        }
    }

    /// Every queue gets a worker, and every worker a queue.
    fn stand(&mut self) {
        let workers = self.shared.workers.len();
        let mut listeners: Vec<Listeners> = (0..workers).map(|_| Vec::new()).collect();
        let mut world = self.maker.world.borrow_mut();
        for service in 0..self.maker.services.len() {
            let of_service = |n: &usize| world.queues[*n].group == service;
            let queues: Vec<usize> = (0..world.queues.len()).filter(of_service).collect();
            for n in 0..queues.len().max(workers) {
                let listener = world.open_shared(queues[n % queues.len()]);
                listeners[n % workers].push((listener, service as u16, service as u16));
            }
        }
        let mut sockets: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
        for service in 0..self.maker.services.len() as u16 {
            for (n, (id, local)) in world.bound_udp(service).into_iter().enumerate() {
                let shared = world.share_udp(id);
                self.sockets.push(shared);
                sockets[n % workers].push((shared, local, service, service));
            }
        }
        drop(world);
        let handoffs = Arc::new(Handoffs::new(workers, 0));
        self.standing = self.maker.workers(self.first, &self.shared, listeners, sockets, &handoffs);
    }
}

impl Drop for Succession {
    fn drop(&mut self) {
        self.die();
    }
}

//! What a test says about a run, and the run made of it.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use windlass_proto::testing::Rng;

use super::changes::SimChanges;
use super::client::{Client, Place, Seat};
use super::plan::{Edges, MICRO, MILLI, Plan, SECOND, log_draw};
use super::remote::{self, Answer, RemoteHost};
use super::run::{self, Deed, Ended, Run};
use super::succession::{Maker, Succession};
use super::udp::{Udp, UdpPlan};
use super::world::World;
use crate::budget::Budget;
use crate::config::{Config, Limits, WhenFull, WhenOverloaded};
use crate::connect::Remote;
use crate::serve::{Serve, ServiceSpec, serve};
use crate::server::Handle;
use crate::service::Service;
use crate::shared::{ListenerShared, Shared};
use crate::worker::Handoffs;

/// One run of a simulation, being described: what is served, and who calls.
///
/// Everything not said is drawn from the seed: the network and its faults, the number of workers (1 to
/// 3), the limits, when clients come, when the server is shut down.
pub struct Sim {
    seed: u64,
    rng: Rng,
    plan: Plan,
    udp: UdpPlan,
    config: Config,
    services: Vec<Box<dyn ServiceSpec>>,
    clients: Vec<Box<dyn Client>>,
    remotes: Vec<RemoteHost>,
    deeds: Vec<(Duration, Deed)>,
    room_for_all: bool,
    early_end: bool,
    succession: bool,
    changes: bool,
    trace_kept: Option<usize>,
    #[cfg(feature = "tls")]
    tls: Option<crate::tls::peer::PeerConfig>,
}

impl Sim {
    pub(crate) fn new(seed: u64) -> Sim {
        let mut rng = Rng::new(seed);
        let plan = Plan::swarm(&mut rng);
        let mut config = draw_config(&mut rng);
        let mut for_udp = Rng::new(seed ^ 0xDA7A6);
        let udp = UdpPlan::swarm(&mut for_udp);
        config.limits.datagrams_per_turn_max = log_draw(&mut for_udp, &(1..512)) as usize;
        let early_end = rng.chance(1, 4);
        Sim {
            seed,
            rng,
            plan,
            udp,
            config,
            services: Vec::new(),
            clients: Vec::new(),
            remotes: Vec::new(),
            deeds: Vec::new(),
            room_for_all: false,
            early_end,
            succession: false,
            changes: false,
            trace_kept: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// One service in a world without faults, driven by hand.
    pub(crate) fn by_hand(config: Config, service: Box<dyn ServiceSpec>, buffers: usize) -> Sim {
        let mut plan = Plan::calm();
        let size = buffers as u64..buffers as u64 + 1;
        (plan.send_buffer, plan.receive_buffer) = (size.clone(), size);
        Sim {
            seed: 0,
            rng: Rng::new(0),
            plan,
            udp: UdpPlan::calm(),
            config,
            services: vec![service],
            clients: Vec::new(),
            remotes: Vec::new(),
            deeds: Vec::new(),
            room_for_all: true,
            early_end: false,
            succession: false,
            changes: false,
            trace_kept: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// The seed of this run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Random numbers of this run, for what the test itself draws.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// About as many bytes as one connection of this run's network carries in reasonable time.
    pub fn volume_max(&self) -> usize {
        self.plan.volume_max() as usize
    }

    /// Serves a service; `make` makes its value for each worker.
    pub fn service<S, F>(&mut self, make: F) -> &mut Sim
    where
        S: Service,
        F: Fn() -> S + Send + Sync + 'static,
    {
        self.serve(serve(make))
    }

    /// The same for a service with a mailbox or a tick. Where it listens is ignored: clients
    /// [`connect`](super::Line::connect) to the first service.
    pub fn serve<S: Service>(&mut self, service: Serve<S>) -> &mut Sim {
        self.services.push(service.into_spec());
        self
    }

    /// Clients speak TLS: they want the server to be `name`, and trust `authorities` (PEM). Version and
    /// record size are drawn for each run, and some sessions are resumed. To the clients it makes no
    /// difference; those that are rude in TLS are made for it.
    #[cfg(feature = "tls")]
    pub fn tls(&mut self, name: &str, authorities: &[u8]) -> &mut Sim {
        self.tls = Some(super::tls::draw(&mut self.rng, name, authorities));
        self
    }

    /// Adds `n` clients, made by `make` from random numbers of this run.
    pub fn clients<C: Client + 'static>(
        &mut self,
        n: usize,
        mut make: impl FnMut(&mut Rng) -> C,
    ) -> &mut Sim {
        for _ in 0..n {
            let client = make(&mut self.rng);
            self.clients.push(Box::new(client));
        }
        self
    }

    /// A place that services can [connect](crate::Conn::connect) to. Each call is answered as `answers`
    /// says; with one that is accepted, `make` makes a client, whose line is open when it begins.
    pub fn remote<C: Client + 'static>(
        &mut self,
        answers: impl FnMut(&mut Rng) -> Answer + 'static,
        mut make: impl FnMut(&mut Rng) -> C + 'static,
    ) -> Remote {
        let remote = remote::name(self.remotes.len(), self.plan.unix);
        let makes = move |rng: &mut Rng| Box::new(make(rng)) as Box<dyn Client>;
        self.remotes.push(RemoteHost {
            remote: remote.clone(),
            answers: Box::new(answers),
            makes: Box::new(makes),
            #[cfg(feature = "tls")]
            tls: None,
        });
        remote
    }

    /// The same, but those who accept speak TLS and show what `acceptor` shows; the size of their records is
    /// drawn. `distrusted`: the service is not to believe them, and their handshakes come to nothing.
    #[cfg(feature = "tls")]
    pub fn remote_tls<C: Client + 'static>(
        &mut self,
        acceptor: &crate::TlsAcceptor,
        distrusted: bool,
        answers: impl FnMut(&mut Rng) -> Answer + 'static,
        make: impl FnMut(&mut Rng) -> C + 'static,
    ) -> Remote {
        let remote = self.remote(answers, make);
        let tls = super::tls::draw_server(&mut self.rng, acceptor, distrusted);
        if let Some(host) = self.remotes.last_mut() {
            host.tls = Some(tls);
        }
        remote
    }

    /// Changes the limits drawn for this run.
    pub fn limits(&mut self, change: impl FnOnce(&mut Limits)) -> &mut Sim {
        change(&mut self.config.limits);
        self
    }

    /// The number of workers, instead of one that is drawn. At most 64.
    pub fn workers(&mut self, workers: usize) -> &mut Sim {
        self.config.workers = workers.clamp(1, 64);
        self
    }

    /// A budget of memory for each server ([`Config::memory`]).
    pub fn memory(&mut self, bytes: usize) -> &mut Sim {
        self.config.memory = bytes;
        self
    }

    /// The bytes a worker reads at once ([`Config::scratch_bytes`]), instead of a number that is drawn.
    pub fn scratch_bytes(&mut self, bytes: usize) -> &mut Sim {
        self.config.scratch_bytes = bytes;
        self
    }

    /// Does something to the server at a time after the start: shut it down, send to a mailbox.
    pub fn at(&mut self, after: Duration, deed: impl FnOnce(&Handle) + 'static) -> &mut Sim {
        self.deeds.push((after, Box::new(deed)));
        self
    }

    /// All clients can be connected at the same time: no cap on descriptors or connections below their
    /// number. For clients who wait for each other.
    pub fn room_for_all(&mut self) -> &mut Sim {
        self.room_for_all = true;
        self
    }

    /// Connections can move to other workers ([`Conn::move_to`](crate::Conn::move_to)), which some of the systems that
    /// are drawn do not do. For services that are made for those that do.
    pub fn can_move(&mut self) -> &mut Sim {
        if self.plan.edges == Edges::Stingy {
            self.plan.edges = Edges::Arrival;
        }
        self
    }

    /// Shuts the server down only after every client has finished. Otherwise a quarter of all runs is
    /// shut down earlier, to find what breaks then.
    pub fn to_the_end(&mut self) -> &mut Sim {
        self.early_end = false;
        self
    }

    /// No job of a pool is held for ever, however long one takes. For services that do nothing more without theirs: one
    /// whose disk never answers cannot go on.
    pub fn every_job_returns(&mut self) -> &mut Sim {
        self.plan.jobs.every_job_returns();
        self
    }

    /// Another server takes over the listeners and bound UDP sockets, at a time that is drawn, and
    /// sometimes one is gone before it does; connections stay with the first until they end. For services without a mailbox.
    pub fn succession(&mut self) -> &mut Sim {
        self.succession = true;
        self.config.limits.handover_drain_timeout = Duration::ZERO;
        self
    }

    /// Calls take so long, and so little lateness is borne, that workers are overloaded now and then. Idle
    /// timeouts are shorter then, and newcomers may be turned away.
    pub fn overload(&mut self) -> &mut Sim {
        let rng = &mut self.rng;
        self.plan.call_cost = log_draw(rng, &(5 * MICRO..2 * MILLI));
        let limits = &mut self.config.limits;
        limits.overload_lag_max = Duration::from_nanos(log_draw(rng, &(20 * MICRO..50 * MILLI)));
        limits.overload_interval = Duration::from_nanos(log_draw(rng, &(MILLI..200 * MILLI)));
        limits.overload_idle_divisor = 1 + rng.below(8) as u32;
        limits.when_overloaded = if rng.chance(1, 2) { WhenOverloaded::Wait } else { WhenOverloaded::Shed };
        self
    }

    /// The first service's listeners come and go, and it is replaced by its like again and again, at times
    /// that are drawn: connections of the one before are told to finish. For a service without a mailbox.
    pub fn changes(&mut self) -> &mut Sim {
        self.changes = true;
        self
    }

    /// No faults and no delays: everything arrives at once and whole.
    pub fn calm(&mut self) -> &mut Sim {
        self.plan = Plan::calm();
        self.udp = UdpPlan::calm();
        self
    }

    /// How many of the last happenings a failure shows.
    pub(crate) fn keep_trace(&mut self, kept: usize) {
        self.trace_kept = Some(kept);
    }

    /// A line about this run's world, for a failure's report.
    pub(crate) fn world_in_words(&self) -> String {
        format!("{:?}, {:?}, {:?}", self.config, self.plan, self.udp)
    }

    /// Draws what the description left open. To be called once.
    pub(crate) fn settle(&mut self) {
        let n = self.clients.len();
        let limits = &mut self.config.limits;
        // Where nobody is ever sent away for silence, one who vanished could keep the last place for ever.
        let room_for_all = self.room_for_all || limits.idle_timeout.is_zero();
        if limits.connections_max == 0 {
            // Sometimes fewer places than clients: then somebody has to wait, or is turned away.
            let few = !room_for_all && self.rng.chance(1, 6);
            // With a budget, room for more would be taken from what they have.
            let spare = if self.config.memory == 0 { 1000 } else { 8 };
            limits.connections_max = if few { 1 + self.rng.below(n as u64 + 1) as usize } else { n + spare };
        }
        if room_for_all {
            self.plan.descriptors_max = self.plan.descriptors_max.max(3 * n + 20);
            limits.source_connections_max = 0;
        }
        if self.early_end {
            let at = log_draw(&mut self.rng, &(1_000_000..20 * SECOND));
            self.deeds.push((Duration::from_nanos(at), Box::new(Handle::shutdown)));
            if self.rng.chance(1, 3) {
                let again = at + self.rng.below(2 * SECOND);
                self.deeds.push((Duration::from_nanos(again), Box::new(Handle::shutdown)));
            }
        }
    }

    pub(crate) fn run(self) -> Ended {
        self.into_run().go()
    }

    /// Puts it all together.
    pub(crate) fn into_run(mut self) -> Run {
        if let Err(e) = self.config.limits.check() {
            panic!("the limits of this simulation cannot work: {e}");
        }
        let workers = self.config.workers;
        let specs: Vec<&dyn ServiceSpec> = self.services.iter().map(|spec| &**spec).collect();
        let budget = match Budget::new(&self.config, workers, &specs, usize::MAX) {
            Ok(budget) => budget.map(Arc::new),
            Err(e) => panic!("the memory of this simulation cannot work: {e}"),
        };
        if let Some(budget) = &budget {
            budget.bound(&mut self.config.limits);
            self.config.scratch_bytes = budget.scratch;
        }
        let successors = if self.succession { 1 + self.rng.below(3) as usize } else { 0 };
        let mut world = World::new(self.seed, self.plan, workers + successors);
        world.servers = 1 + usize::from(self.succession);
        world.udp = Udp::new(self.udp, self.seed);
        #[cfg(feature = "tls")]
        {
            world.speaks_tls |= self.remotes.iter().any(|remote| remote.tls.is_some());
        }
        world.remotes = self.remotes;
        if let Some(kept) = self.trace_kept {
            world.trace.keep(kept);
        }
        world.patience = super::clients::patience(&self.config.limits).as_nanos() as u64 / 2;
        world.connections_max = self.config.limits.connections_max;
        world.memory_tight = self.config.limits.buffered_max < Limits::default().buffered_max;
        world.lag_max = self.config.limits.overload_lag_max.as_nanos() as u64;
        world.source_connections_max = self.config.limits.source_connections_max;
        let burst = self.rng.chance(1, 3);
        let same_source = self.rng.chance(1, 4);
        for client in 0..self.clients.len() as u32 {
            let number = if same_source { client % 3 } else { client };
            world.addresses.push(IpAddr::V4(Ipv4Addr::new(10, 9, (number >> 8) as u8, number as u8)));
            run::arrival(&mut world, client, burst);
        }
        // One accept queue per worker, or one for all, as systems differ.
        let shared_queue = world.plan.unix || self.rng.chance(1, 4);
        let mut listeners: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
        for service in 0..self.services.len() as u16 {
            let first = world.open_listener(service.into());
            for of_worker in listeners.iter_mut().skip(1) {
                let listener = if shared_queue {
                    world.share_listener(&first)
                } else {
                    world.open_listener(service.into())
                };
                of_worker.push((listener, service, service));
            }
            listeners[0].push((first, service, service));
        }
        let mut sockets: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
        for service in (0..self.services.len()).filter(|&n| self.services[n].has_datagrams()) {
            for of_worker in &mut sockets {
                let (socket, local) = world.bind_udp(service as u16);
                of_worker.push((socket, local, service as u16, service as u16));
            }
        }
        let origin = world.now;
        let world = Rc::new(RefCell::new(world));
        let limits = Rc::new(self.config.limits.clone());
        let names = self.services.iter().map(|spec| spec.name().to_string()).collect();
        let names: Vec<String> = names;
        let share = |workers: usize| {
            let listener = |(spec, name): (&dyn ServiceSpec, &String)| ListenerShared {
                name: name.clone(),
                service: name.clone(),
                // Where it listens is ignored; how is not.
                tag: spec.tag(0),
                sockets: (workers * (1 + usize::from(spec.has_datagrams()))).into(),
                reserve: spec.reserve(),
                #[cfg(feature = "tls")]
                tls: spec.tls(0).cloned(),
                ..ListenerShared::default()
            };
            let specs = self.services.iter().map(|spec| &**spec);
            let listeners = specs.zip(&names).map(listener).collect();
            let shared = Shared::new(self.config.clone(), workers, listeners).with_budget(budget.clone());
            for spec in &self.services {
                shared.cells.host(&spec.name(), workers, workers);
            }
            #[cfg(feature = "tls")]
            {
                world.borrow_mut().speaks_tls |= shared.listeners().iter().any(|l| l.tls.is_some());
            }
            Arc::new(shared)
        };
        let successor = self.succession.then(|| share(successors));
        let shared = share(workers);
        for shared in [&shared].into_iter().chain(&successor) {
            let _ = shared.crew.set(world.borrow().jobs.crew());
            for spec in &self.services {
                assert!(spec.bind_mailbox(shared), "a mailbox serves one run: make it anew in each");
            }
        }
        let services: Vec<Arc<dyn ServiceSpec>> = self.services.into_iter().map(Arc::from).collect();
        let first = services.first().cloned().filter(|_| self.changes);
        let maker = Maker { services, world: world.clone(), limits: limits.clone() };
        let handoffs = Arc::new(Handoffs::new(workers, 0));
        let made = maker.workers(0, &shared, listeners, sockets, &handoffs);
        let changes =
            first.map(|spec| SimChanges::new(spec, shared.clone(), handoffs, world.clone(), &mut self.rng));
        let succession =
            successor.map(|successor| Succession::new(maker, shared.clone(), successor, &mut self.rng));
        let seats = self.clients.into_iter().enumerate().map(|(index, client)| {
            let rng = Rng::new(self.rng.next_u64());
            let index = index as u32;
            Seat {
                client,
                place: Place {
                    index,
                    end: None,
                    rng,
                    limits: limits.clone(),
                    failed: false,
                    #[cfg(feature = "tls")]
                    tls_config: self.tls.clone(),
                    #[cfg(feature = "tls")]
                    tls: None,
                },
                done: false,
                timer: None,
                remote: false,
            }
        });
        let seats = seats.collect();
        let deeds: Vec<(u64, Deed)> =
            self.deeds.into_iter().map(|(after, deed)| (origin + after.as_nanos() as u64, deed)).collect();
        let mut run = Run::new(world, made, seats, shared, limits, deeds, self.rng);
        run.succession = succession;
        run.changes = changes;
        run
    }
}

/// Limits small enough to be reached, and deadlines short enough to pass.
fn draw_config(rng: &mut Rng) -> Config {
    let seconds = |rng: &mut Rng, low: u64, high: u64| Duration::from_millis(low + rng.below(high - low));
    let usize_of = |rng: &mut Rng, range| log_draw(rng, &range) as usize;
    let scratch_bytes = usize_of(rng, 4096..128 * 1024);
    let output_high = usize_of(rng, 64..64 * 1024);
    let input_max = usize_of(rng, 4 * 1024..1024 * 1024);
    let idle = rng.chance(7, 8).then(|| seconds(rng, 2_000, 15_000));
    let rate = rng.chance(1, 6);
    let defaults = Limits::default();
    let limits = Limits {
        source_connections_max: if rng.chance(1, 5) { 1 + rng.below(5) as usize } else { 0 },
        accept_rate_max: if rate { 5 + rng.below(200) as u32 } else { 0 },
        accept_burst_max: 1 + rng.below(20) as u32,
        accepts_per_turn_max: usize_of(rng, 1..65),
        closes_per_turn_max: usize_of(rng, 1..257),
        when_full: if rng.chance(1, 2) { WhenFull::Wait } else { WhenFull::Shed },
        idle_timeout: idle.unwrap_or_default(),
        write_stall_timeout: seconds(rng, 1_000, 10_000),
        // A simulated peer that is slow on purpose is well-behaved all the same.
        write_progress_min: 1,
        linger_timeout: seconds(rng, 100, 4_000),
        drain_timeout: seconds(rng, 300, 8_000),
        read_budget_bytes: usize_of(rng, 64..256 * 1024),
        input_max,
        output_high,
        output_low: rng.below(output_high as u64) as usize,
        // A service that answers what it is given, and no more, never reaches this.
        output_max: output_high + scratch_bytes + input_max,
        mailbox_per_turn_max: usize_of(rng, 1..1024),
        connecting_max: usize_of(rng, 2..1024),
        connects_per_turn_max: usize_of(rng, 1..65),
        connect_timeout: seconds(rng, 200, 6_000),
        overload_idle_divisor: 1,
        ..defaults
    };
    let workers = 1 + rng.below(3) as usize;
    let rebalance_lead = rng.below(4) as usize;
    Config { workers, limits, scratch_bytes, rebalance_lead, ..Config::default() }
}

impl Sim {
    /// Whether this run's network reports an edge only after `WouldBlock`.
    pub fn is_stingy(&self) -> bool {
        self.plan.edges == Edges::Stingy
    }
}

//! The proxy of datagrams on a simulated network that loses, doubles and reorders, before backends that are away
//! now and then.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use windlass::proto::testing::Rng;
use windlass::proto::{Decode, proxy_protocol::ProxyProtocol};
use windlass::proto::{Input, Time};
use windlass::sim::{self, Client, DatagramPeer, Line, Sim, Step};
use windlass_proxy::{Backend, Balance, Front, Health, ProxyConfig, UdpConfig, Version, WhenFlowsFull};

/// How many seeds a build runs.
const SEEDS: u64 = if cfg!(debug_assertions) { 256 } else { 2_000 };

/// The proxies of all runs: what they count must be nothing once a run is over.
#[derive(Clone, Default)]
struct Fronts(Rc<RefCell<Vec<(u64, Front)>>>);

/// How far the clients of one run are.
#[derive(Default)]
struct Stage {
    /// Backends that are there.
    ready: Cell<usize>,
    backends: Cell<usize>,
    /// Peers that are not done.
    left: Cell<usize>,
}

impl Fronts {
    fn check(name: &str, build: impl Fn(&mut Sim, &Fronts)) {
        let fronts = Fronts::default();
        sim::check(name, 0..SEEDS, |sim| {
            fronts.look();
            build(sim, &fronts);
        });
        fronts.look();
    }

    fn look(&self) {
        for (seed, front) in self.0.borrow_mut().drain(..) {
            let stats = front.stats();
            let connections: usize = stats.backends.iter().map(|backend| backend.connections).sum();
            assert_eq!((stats.clients, connections), (0, 0), "seed {seed}: {stats:?}");
            let udp = stats.udp.expect("it serves datagrams");
            let ended = udp.expired + udp.answered + udp.evicted + udp.source_evicted + udp.orphaned;
            assert!(ended <= stats.opened, "seed {seed}: {stats:?}");
            // Those that are configured no more are not in the figures.
            let opened: u64 = stats.backends.iter().map(|backend| backend.opened).sum();
            if opened == stats.opened + udp.moved {
                let bytes: u64 = stats.backends.iter().map(|backend| backend.received_bytes).sum();
                assert!(bytes >= udp.reply_bytes, "seed {seed}: more than was received: {stats:?}");
            }
        }
    }

    /// Serves, with backends that are clients of the simulation; and looks now and then whether there are more
    /// flows than may be.
    fn serve(&self, sim: &mut Sim, mut config: ProxyConfig, away: bool) -> (Front, Rc<Stage>) {
        let stage = Rc::new(Stage::default());
        let backends = 1 + sim.rng().below(4) as usize;
        stage.backends.set(backends);
        for n in 0..backends {
            let at = SocketAddr::from(([192, 0, 2, 1 + n as u8], 53));
            let mut backend = Backend::at(at.to_string().parse().expect("an address"));
            backend.weight = 1 + sim.rng().below(4) as u32;
            if sim.rng().chance(1, 3) {
                backend.send_proxy = Some(Version::V2);
            }
            config.backends.push(backend);
            let stage = stage.clone();
            sim.clients(1, move |rng| Upstream::new(rng, at, away, stage.clone()));
        }
        let most = config.udp.flows_max;
        let front = Front::new(config).expect("a configuration that works");
        self.0.borrow_mut().push((sim.seed(), front.clone()));
        sim.serve(front.serve_udp().expect("one for datagrams"));
        let workers = 1 + sim.rng().below(3) as usize;
        sim.workers(workers).limits(|limits| limits.drain_timeout = Duration::from_secs(10));
        for n in 0..50 {
            let front = front.clone();
            sim.at(Duration::from_millis(1 << (n % 14)), move |_| {
                let flows = front.stats().clients;
                assert!(flows <= most * workers, "{flows} flows, {most} allowed on each of {workers}");
            });
        }
        (front, stage)
    }
}

/// A backend: sends everything back, but for a PROXY header, which it must not be told twice.
struct Upstream {
    at: SocketAddr,
    away_odds: u64,
    stage: Rc<Stage>,
    bound: bool,
    /// Headers from each flow.
    told: HashMap<SocketAddr, u32>,
    back: Option<Time>,
}

/// How often it is looked whether all peers are done.
const LOOK: Duration = Duration::from_millis(200);
/// How long a backend that is away is away.
const AWAY: Duration = Duration::from_millis(5);

impl Upstream {
    fn new(rng: &mut Rng, at: SocketAddr, away: bool, stage: Rc<Stage>) -> Upstream {
        let away_odds = if away && rng.chance(1, 2) { 1 + rng.below(8) } else { 0 };
        Upstream { at, away_odds, stage, bound: false, told: HashMap::new(), back: None }
    }
}

impl Client for Upstream {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if !self.bound {
            self.bound = true;
            line.bind_datagrams(self.at);
            self.stage.ready.set(self.stage.ready.get() + 1);
        }
        if self.back.is_some_and(|back| line.now() >= back) {
            self.back = None;
            line.listen_for_datagrams(true);
        }
        while let Some((from, mut bytes)) = line.receive_datagram() {
            if bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n") {
                let mut input = Input::new(&mut bytes);
                match ProxyProtocol::default().decode(&mut input) {
                    Ok(Some(header)) if header.source().is_some() => {}
                    other => return line.fail(format!("no header: {other:?}")),
                }
                let headers = self.told.entry(from).or_default();
                *headers += 1;
                if *headers > 1 && !line.datagrams_double() {
                    return line.fail(format!("{from} was told {headers} times who its client is"));
                }
                bytes = input.take_all().to_vec();
            }
            line.send_datagram_to(from, &bytes);
            if line.rng().below(64) < self.away_odds {
                line.listen_for_datagrams(false);
                self.back = Some(line.after(AWAY));
            }
        }
        if self.stage.left.get() == 0 || line.shutdown_at().is_some() {
            return Step::Done;
        }
        let look = line.after(LOOK);
        Step::Until(self.back.map_or(look, |back| back.min(look)))
    }
}

/// A peer that begins when all backends are there, or whenever it comes.
struct Peer {
    stage: Rc<Stage>,
    waits: bool,
    peer: DatagramPeer,
}

impl Client for Peer {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if self.waits && self.stage.ready.get() < self.stage.backends.get() && line.shutdown_at().is_none() {
            return Step::Until(line.after(Duration::from_millis(20)));
        }
        let step = self.peer.step(line);
        if matches!(step, Step::Done) {
            self.stage.left.set(self.stage.left.get() - 1);
        }
        step
    }
}

/// With room for all, and backends that are there: whatever the network does not lose is answered, unchanged, and
/// once.
#[test]
fn every_datagram_is_answered_where_none_is_lost() {
    Fronts::check("udp proxy answers", |sim, fronts| {
        let mut config = ProxyConfig::default().balance(Balance::ALL[sim.rng().below(5) as usize]);
        config.udp.requests_max = sim.rng().below(3) as u32;
        config.udp.drain_idle = Duration::from_millis(100);
        let (_, stage) = fronts.serve(sim, config, false);
        let peers = 1 + sim.rng().below(12) as usize;
        stage.left.set(peers);
        sim.clients(peers, move |rng| Peer {
            stage: stage.clone(),
            waits: true,
            peer: sim::datagram_peer(rng),
        });
    });
}

/// With caps that are reached all the time, backends that are away, and changes: nobody gets what is somebody
/// else's, and counters return to nothing.
#[test]
fn counters_return_to_nothing_with_caps_losses_errors_and_changes() {
    Fronts::check("udp proxy caps", |sim, fronts| {
        let rng = sim.rng();
        let few = if rng.chance(1, 2) { 6 } else { 100 };
        let config = ProxyConfig::default()
            .balance(Balance::ALL[rng.below(5) as usize])
            .retries_max(rng.below(4) as u32)
            .health(Health {
                failures_max: rng.below(4) as u32,
                eject: Duration::from_millis(10 << rng.below(8)),
                fail_open_percent: rng.below(101) as u32,
                ..Health::default()
            })
            .udp(UdpConfig {
                flows_max: 1 + rng.below(few) as usize,
                source_flows_max: rng.below(4) as usize,
                when_full: if rng.chance(1, 3) { WhenFlowsFull::Refuse } else { WhenFlowsFull::Evict },
                idle: Duration::from_millis(1 << rng.below(14)),
                drain_idle: Duration::from_millis(1 << rng.below(14)),
                replies_expected: rng.below(3) as u32,
                requests_max: rng.below(4) as u32,
                reply_factor_max: rng.below(3) as u32,
            });
        let (front, stage) = fronts.serve(sim, config, true);
        for _ in 0..3 {
            let (mut changed, front) = (front.config(), front.clone());
            let gone = sim.rng().below(changed.backends.len() as u64) as usize;
            match changed.backends.len() {
                1 => changed.backends[0].weight = sim.rng().below(2) as u32,
                _ => drop(changed.backends.remove(gone)),
            }
            changed.balance = Balance::ALL[sim.rng().below(5) as usize];
            changed.udp.requests_max = sim.rng().below(3) as u32;
            let at = Duration::from_millis(1 + sim.rng().below(10_000));
            sim.at(at, move |_| drop(front.change(changed).expect("it works")));
        }
        let few_sockets = sim.rng().chance(1, 4);
        let peers = 1 + sim.rng().below(12) as usize;
        stage.left.set(peers);
        sim.clients(peers, move |rng| Peer {
            stage: stage.clone(),
            waits: false,
            peer: sim::forgiving_peer(rng),
        })
        .limits(|limits| {
            if few_sockets {
                limits.sockets_max = 3;
            }
        });
    });
}

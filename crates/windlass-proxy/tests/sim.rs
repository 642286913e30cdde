//! The proxy on a simulated network that does its worst, between clients and backends of every mood.

mod sim_peers;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sim_peers::{Echoer, Reckless, Speaker, patient_mood, rude_mood};
use windlass::proto::testing::Rng;
use windlass::sim::{self, Sim};
use windlass::{Limits, Remote};
use windlass_proxy::{
    AcceptProxy, Backend, Balance, Breaker, CheckKind, ExchangeCheck, Front, GuardConfig, Health, HttpCheck,
    ProxyConfig, RetryBudget, Sources, Target, Timeouts, Version,
};

/// How many seeds a build runs: debug builds only look whether everything still works.
const SEEDS: u64 = if cfg!(debug_assertions) { 60 } else { 2_000 };

/// The proxies of all runs: what they count must be nothing once a run is over.
#[derive(Clone, Default)]
struct Fronts(Rc<RefCell<Vec<(u64, Front)>>>);

impl Fronts {
    /// Runs every seed, and looks at what is left. A run's proxy is looked at when the next is made.
    fn check(name: &str, seeds: u64, build: impl Fn(&mut Sim, &Fronts)) {
        let fronts = Fronts::default();
        sim::check(name, 0..seeds, |sim| {
            fronts.look();
            build(sim, &fronts);
        });
        fronts.look();
    }

    fn look(&self) {
        for (seed, front) in self.0.borrow_mut().drain(..) {
            let stats = front.stats();
            let connections: usize = stats.backends.iter().map(|backend| backend.connections).sum();
            assert_eq!((stats.clients, stats.waiting, connections), (0, 0, 0), "seed {seed}: {stats:?}");
            assert_eq!(stats.guard.tarpit, 0, "seed {seed}: {stats:?}");
            for budget in &stats.retry_budgets {
                assert_eq!((budget.active, budget.retrying), (0, 0), "seed {seed}: {budget:?}");
            }
        }
    }

    fn serve(&self, sim: &mut Sim, config: ProxyConfig) -> Front {
        let front = Front::new(config).expect("a configuration that works");
        self.0.borrow_mut().push((sim.seed(), front.clone()));
        sim.serve(front.serve());
        front
    }
}

fn target(remote: Remote) -> Target {
    match remote {
        Remote::Tcp(address) => Target::Address(address),
        Remote::Unix(path) => Target::Unix(path),
        other => panic!("{other}"),
    }
}

/// Anything that a good client must not notice.
fn drawn(rng: &mut Rng) -> ProxyConfig {
    let mut config = ProxyConfig::default()
        .balance(Balance::ALL[rng.below(5) as usize])
        .retries_max(1_000_000)
        .queue_max(1_000);
    config.retry_pause = Duration::from_millis(1 + rng.below(100));
    config.retry_budget =
        RetryBudget { percent: rng.below(101) as u32, concurrent_min: 1 + rng.below(3) as u32 };
    config.timeouts = Timeouts {
        connect: Duration::from_millis(100 << rng.below(6)),
        queue: Duration::ZERO,
        client: Duration::from_secs(600),
        server: Duration::from_secs(600),
        client_fin: Duration::from_secs(600),
        server_fin: Duration::from_secs(600),
        ..Timeouts::default()
    };
    config.health = Health {
        check_every: Duration::from_millis(if rng.chance(1, 2) { 0 } else { 200 << rng.below(4) }),
        failures_max: rng.below(4) as u32,
        eject: Duration::from_millis(100 << rng.below(6)),
        slow_start: Duration::from_millis(rng.below(3_000)),
        fail_open_percent: rng.below(101) as u32,
        ..Health::default()
    };
    config
}

fn limits(limits: &mut Limits) {
    limits.connecting_max = 1_000;
    // In small steps, with short writes between, it takes an hour to fill a buffer nobody empties.
    limits.read_budget_bytes = limits.read_budget_bytes.max(4096);
    // Nobody is sent away while backends are tried again and again.
    limits.idle_timeout = Duration::from_secs(120);
    limits.input_max = limits.input_max.max(4096);
}

/// Good clients before backends that refuse, hang and come late: nobody notices, and nothing is lost.
#[test]
fn every_byte_goes_through_whatever_backends_do_before_they_accept() {
    Fronts::check("proxy through", SEEDS, |sim, fronts| {
        let mut config = drawn(sim.rng());
        let rude = sim.rng().below(4) as usize;
        for _ in 0..1 + sim.rng().below(4) {
            let answers = patient_mood(sim.rng());
            let remote = sim.remote(answers, |_| Echoer::patient());
            let mut backend = Backend::at(target(remote)).weight(1 + sim.rng().below(4) as u32);
            // Somebody rude would have the only place for as long as silence may last.
            if rude == 0 && sim.rng().chance(2, 3) {
                backend.connections_max = 1 + sim.rng().below(3) as usize;
            }
            config.backends.push(backend);
        }
        fronts.serve(sim, config);
        let clients = 1 + sim.rng().below(16) as usize;
        sim.clients(clients, sim::echo_client).clients(rude, sim::rude_client).room_for_all().limits(limits);
        if rude == 0 {
            // Behind slow clients and a cap one waits for longer than anybody may be silent.
            sim.limits(|limits| limits.idle_timeout = Duration::ZERO);
        }
    });
}

/// Both sides speak when they like and end when they like: whoever ends first, the other is heard to its end.
#[test]
fn bytes_lost_at_half_close_both_orders_both_directions() {
    Fronts::check("proxy half-close", SEEDS, |sim, fronts| {
        let mut config = drawn(sim.rng());
        let answers = patient_mood(sim.rng());
        let most = sim.volume_max() as u64;
        let remote = sim.remote(answers, move |rng| Speaker::backend(rng, most));
        config.backends.push(Backend::at(target(remote)));
        fronts.serve(sim, config);
        let clients = 1 + sim.rng().below(12) as usize;
        sim.clients(clients, move |rng| Speaker::client(rng, most)).room_for_all().limits(limits);
    });
}

/// Everybody does what they like, and the configuration changes meanwhile: what arrives is what was sent, as
/// far as it came, and counts go back to nothing.
#[test]
fn session_counters_that_leak_with_rude_peers_on_both_sides_and_changes() {
    Fronts::check("proxy rude", SEEDS, |sim, fronts| {
        let mut config = drawn(sim.rng());
        config.retries_max = sim.rng().below(4) as u32;
        config.queue_max = sim.rng().below(6) as usize;
        config.retry_budget.concurrent_min = sim.rng().below(3) as u32;
        config.health.breaker = Breaker {
            errors_percent: sim.rng().below(101) as u32,
            window: 1 + sim.rng().below(20) as u32,
            volume_min: 1,
            open: Duration::from_millis(1 + sim.rng().below(2_000)),
            probes: 1 + sim.rng().below(3) as u32,
        };
        let seconds = |rng: &mut Rng, most: u64| Duration::from_millis(1 + rng.below(most * 1_000));
        config.timeouts = Timeouts {
            connect: seconds(sim.rng(), 3),
            greeting: seconds(sim.rng(), 3),
            queue: seconds(sim.rng(), 3),
            client: seconds(sim.rng(), 20),
            server: seconds(sim.rng(), 20),
            tunnel: if sim.rng().chance(1, 2) { seconds(sim.rng(), 20) } else { Duration::ZERO },
            client_fin: seconds(sim.rng(), 5),
            server_fin: seconds(sim.rng(), 5),
        };
        config.check = match sim.rng().below(3) {
            0 => CheckKind::Http(HttpCheck::default()),
            1 => CheckKind::Exchange(ExchangeCheck { send: b"tea".to_vec(), expect: b"tea".to_vec() }),
            _ => CheckKind::Connect,
        };
        config.guard = GuardConfig {
            connections_max: sim.rng().below(4) as u32,
            connection_rate: sim.rng().below(4) as u32,
            connection_burst: 1 + sim.rng().below(4) as u32,
            sources_max: 8,
            tarpit: if sim.rng().chance(1, 2) { seconds(sim.rng(), 5) } else { Duration::ZERO },
            tarpit_max: sim.rng().below(4) as usize,
            ..GuardConfig::default()
        };
        for _ in 0..1 + sim.rng().below(4) {
            let answers = rude_mood(sim.rng());
            let remote = sim.remote(answers, Echoer::rude);
            let mut backend = Backend::at(target(remote));
            if sim.rng().chance(1, 2) {
                backend.connections_max = 1 + sim.rng().below(3) as usize;
            }
            config.backends.push(backend);
        }
        let front = fronts.serve(sim, config.clone());
        for n in 1..4 {
            let (mut changed, front) = (config.clone(), front.clone());
            let gone = sim.rng().below(changed.backends.len() as u64) as usize;
            match changed.backends.len() {
                1 => changed.backends[0].weight = n % 2,
                _ => drop(changed.backends.remove(gone)),
            }
            changed.balance = Balance::ALL[sim.rng().below(5) as usize];
            let at = seconds(sim.rng(), 10);
            sim.at(at, move |_| drop(front.change(changed).expect("it works")));
        }
        let (reckless, rude) = (1 + sim.rng().below(12) as usize, sim.rng().below(8) as usize);
        sim.clients(reckless, Reckless::new).clients(rude, sim::rude_client).limits(|limits| {
            if limits.idle_timeout.is_zero() {
                limits.idle_timeout = Duration::from_secs(10);
            }
            limits.input_max = limits.input_max.max(4096);
        });
    });
}

/// A header in front of everything a client says, split anywhere; a header of ours in front of it again.
#[test]
fn proxy_headers_are_taken_and_given_however_they_are_split() {
    Fronts::check("proxy headers", SEEDS, |sim, fronts| {
        let mut config = drawn(sim.rng());
        config.timeouts.greeting = Duration::ZERO;
        config =
            config.accept_proxy(AcceptProxy::from(Sources::parse(["0.0.0.0/0", "unix"]).expect("networks")));
        let answers = patient_mood(sim.rng());
        let version = if sim.rng().chance(1, 2) { Version::V1 } else { Version::V2 };
        let remote = sim.remote(answers, move |_| Echoer::behind(sim_peers::header(version)));
        config.backends.push(Backend::at(target(remote)).send_proxy(version));
        fronts.serve(sim, config);
        let clients = 1 + sim.rng().below(10) as usize;
        sim.clients(clients, |rng| {
            let version = if rng.chance(1, 2) { Version::V1 } else { Version::V2 };
            Speaker::echoed(rng, sim_peers::header(version))
        })
        .room_for_all()
        .limits(limits);
    });
}

//! The proxy for HTTP on a simulated network that does its worst: every byte may come alone, and everybody may
//! leave. Clients and origins check each other: `peers.rs`.

mod peers;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use peers::{Asker, Origin, patient_mood, rude_mood};
use windlass::proto::testing::Rng;
use windlass::sim::{self, Sim};
use windlass::{Limits, Remote};
use windlass_proxy::{Backend, Balance, Front, Health, ProxyConfig, Target, Timeouts};

/// How many seeds a build runs: debug builds only look whether everything still works.
const SEEDS: u64 = if cfg!(debug_assertions) { 60 } else { 2_000 };

/// The proxies of all runs: what they count must be nothing once a run is over.
#[derive(Clone, Default)]
struct Fronts(Rc<RefCell<Vec<(u64, Front)>>>);

impl Fronts {
    /// Runs every seed, and looks at what is left. A run's proxy is looked at when the next is made.
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
            let busy: usize = stats.backends.iter().map(|backend| backend.busy).sum();
            assert_eq!(
                (stats.clients, stats.waiting, connections, busy),
                (0, 0, 0, 0),
                "seed {seed}: {stats:?}"
            );
        }
    }

    fn serve(&self, sim: &mut Sim, config: ProxyConfig) -> Front {
        let front = Front::new(config).expect("a configuration that works");
        self.0.borrow_mut().push((sim.seed(), front.clone()));
        sim.serve(front.serve_http());
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
    config.retry_budget.percent = 100;
    config.timeouts = Timeouts {
        connect: Duration::from_millis(100 << rng.below(6)),
        queue: Duration::ZERO,
        client: Duration::ZERO,
        server: Duration::ZERO,
        ..Timeouts::default()
    };
    config.health = Health {
        check_every: Duration::from_millis(if rng.chance(1, 2) { 0 } else { 200 << rng.below(4) }),
        failures_max: rng.below(4) as u32,
        eject: Duration::from_millis(100 << rng.below(6)),
        fail_open_percent: rng.below(101) as u32,
        ..Health::default()
    };
    config.http.request_timeout = Duration::ZERO;
    config.http.keep_alive_timeout = Duration::ZERO;
    config.http.response_timeout = Duration::ZERO;
    config.http.pool_max = rng.below(5) as usize;
    config.http.pool_timeout = Duration::from_millis(1 + rng.below(3_000));
    config
}

fn limits(limits: &mut Limits) {
    limits.connecting_max = 1_000;
    limits.read_budget_bytes = limits.read_budget_bytes.max(4096);
    limits.idle_timeout = Duration::ZERO;
    limits.input_max = limits.input_max.max(4096);
}

/// Good clients before origins that refuse, hang and come late, and close idle connections when they like: every
/// response is whole, in order, and of the request it answers, whoever else's went over the same connection.
#[test]
fn every_split_of_requests_and_responses_gives_each_client_its_own() {
    Fronts::check("http through", |sim, fronts| {
        let mut config = drawn(sim.rng());
        // Only what may be repeated, where connections end without a word.
        let closes = sim.rng().chance(1, 2);
        for _ in 0..1 + sim.rng().below(3) {
            let answers = patient_mood(sim.rng());
            let remote = sim.remote(answers, move |rng| Origin::good(rng, closes));
            let mut backend = Backend::at(target(remote));
            if sim.rng().chance(1, 2) {
                backend.connections_max = 1 + sim.rng().below(3) as usize;
            }
            config.backends.push(backend);
        }
        fronts.serve(sim, config);
        let clients = 1 + sim.rng().below(10) as usize;
        sim.clients(clients, move |rng| Asker::good(rng, closes)).room_for_all().limits(limits);
    });
}

/// Everybody does what they like: what looks like a whole response is one, and counts go back to nothing.
#[test]
fn no_response_looks_whole_that_is_not_and_nothing_is_left_of_anybody() {
    Fronts::check("http rude", |sim, fronts| {
        let mut config = drawn(sim.rng());
        config.retries_max = sim.rng().below(4) as u32;
        config.queue_max = sim.rng().below(6) as usize;
        config.retry_budget.percent = sim.rng().below(101) as u32;
        config.retry_budget.concurrent_min = sim.rng().below(3) as u32;
        let seconds = |rng: &mut Rng, most: u64| Duration::from_millis(1 + rng.below(most * 1_000));
        config.timeouts = Timeouts {
            connect: seconds(sim.rng(), 3),
            queue: seconds(sim.rng(), 3),
            client: seconds(sim.rng(), 20),
            server: seconds(sim.rng(), 20),
            tunnel: if sim.rng().chance(1, 2) { seconds(sim.rng(), 20) } else { Duration::ZERO },
            client_fin: seconds(sim.rng(), 5),
            server_fin: seconds(sim.rng(), 5),
            ..Timeouts::default()
        };
        config.http.request_timeout = seconds(sim.rng(), 10);
        config.http.keep_alive_timeout = seconds(sim.rng(), 10);
        config.http.response_timeout = seconds(sim.rng(), 10);
        config.http.requests_max = sim.rng().below(4) as u32;
        for _ in 0..1 + sim.rng().below(4) {
            let answers = rude_mood(sim.rng());
            let remote = sim.remote(answers, Origin::rude);
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
        let (reckless, rude) = (1 + sim.rng().below(12) as usize, sim.rng().below(4) as usize);
        sim.clients(reckless, Asker::reckless).clients(rude, sim::rude_client).limits(|limits| {
            if limits.idle_timeout.is_zero() {
                limits.idle_timeout = Duration::from_secs(10);
            }
            limits.input_max = limits.input_max.max(4096);
        });
    });
}

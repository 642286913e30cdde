//! Whole servers with a budget of memory that is nearly too small, under the simulated network: whoever is served is served
//! every byte, whoever is not is refused or ended for a reason that is counted, and nothing is left over.
//!
//! `WINDLASS_SIM_SEEDS=100000` runs more, `WINDLASS_SIM_SEED=7` only one.

mod sim_services;

use sim_services::pairs::{broken_pairs, cut_pairs, pairs};
#[cfg(feature = "tls")]
use sim_services::tls::{tls_chat, tls_echo};
use sim_services::{chat, echo, flood, monologue};
use windlass::sim::{self, Sim};

/// How many seeds a build runs: debug builds only look whether everything still works.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 2_000 };

/// The same service in little more than it takes to start.
fn tight(service: fn(&mut Sim)) -> impl Fn(&mut Sim) {
    within(service, 220, 20)
}

/// In so many KiB for each worker and for all of them, and up to 512 more.
fn within(service: fn(&mut Sim), each: usize, all: usize) -> impl Fn(&mut Sim) {
    move |sim| {
        service(sim);
        let workers = 1 + sim.rng().below(2) as usize;
        let more = sim.rng().below(6);
        let more = sim.rng().below(512 >> more) as usize;
        sim.workers(workers).memory((each * workers + all + more) << 10);
    }
}

#[test]
fn echo_serves_every_byte_in_a_tight_budget() {
    sim::check("tight echo", 0..SEEDS, tight(echo));
}

#[test]
fn chat_reaches_everybody_in_a_tight_budget() {
    sim::check("tight chat", 0..SEEDS / 2, tight(chat));
}

#[test]
fn a_monologue_is_bounded_by_the_region() {
    sim::check("tight monologue", 0..SEEDS / 4, tight(monologue));
}

#[test]
fn a_flood_of_newcomers_finds_the_tables_full() {
    sim::check("tight flood", 0..SEEDS / 4, tight(flood));
}

#[test]
fn relays_pass_every_byte_on_in_a_tight_budget() {
    sim::check("tight pairs", 0..SEEDS / 2, tight(pairs));
    sim::check("tight broken pairs", 0..SEEDS / 4, tight(broken_pairs));
    sim::check("tight cut pairs", 0..SEEDS / 4, tight(cut_pairs));
}

// A handshake is counted with 32 KiB, and whoever comes over their number is reset: so that good clients all are served,
// there is as much as all of them take, and only the region's share of it is left to be short.
#[test]
#[cfg(feature = "tls")]
fn tls_in_blocks_serves_every_byte() {
    sim::check("budgeted tls echo", 0..SEEDS / 8, within(tls_echo, 1, 24 << 10));
    sim::check("budgeted tls chat", 0..SEEDS / 8, within(tls_chat, 1, 24 << 10));
}

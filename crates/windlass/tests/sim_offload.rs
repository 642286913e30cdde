//! Work off the loop, names, moving connections and deadlines of services under the simulated network.

mod sim_services;

use sim_services::jobs::offload;
use sim_services::moving::moving;
#[cfg(feature = "tls")]
use sim_services::moving::tls_moving;
use sim_services::names::names;
use sim_services::rooms::rooms;
use windlass::sim;

/// How many seeds a build runs: debug builds only look whether everything still works.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 2_000 };

#[test]
fn every_job_gets_one_answer() {
    sim::check("offload", 0..SEEDS, offload);
}

#[test]
fn every_lookup_gets_one_answer() {
    sim::check("names", 0..SEEDS, names);
}

#[test]
fn connections_that_move_lose_nothing() {
    sim::check("moving", 0..SEEDS, moving);
}

#[test]
#[cfg(feature = "tls")]
fn connections_over_tls_that_move_lose_nothing() {
    sim::check("tls moving", 0..SEEDS / 2, tls_moving);
}

#[test]
fn deadlines_of_services_are_met() {
    sim::check("rooms", 0..SEEDS, rooms);
}

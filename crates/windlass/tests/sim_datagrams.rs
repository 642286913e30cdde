//! Services of datagrams under the simulated network: 1,000 seeds and more each.

mod sim_services;

use sim_services::datagrams::{blast_datagrams, echo_datagrams, later_datagrams, proxy_datagrams};
use windlass::sim;

/// How many seeds a build runs: debug builds only look whether everything still works.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 2_000 };

#[test]
fn datagrams_come_back_unchanged() {
    sim::check("echo datagrams", 0..SEEDS, echo_datagrams);
}

#[test]
fn datagrams_are_answered_later() {
    sim::check("later datagrams", 0..SEEDS, later_datagrams);
}

#[test]
fn queues_stay_within_their_bounds() {
    sim::check("blast of datagrams", 0..SEEDS, blast_datagrams);
}

#[test]
fn flows_have_sockets_of_their_own() {
    sim::check("proxy of datagrams", 0..SEEDS, proxy_datagrams);
}

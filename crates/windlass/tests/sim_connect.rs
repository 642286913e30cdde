//! Services that connect to others, under the simulated network, 2,000 seeds each: every call has one
//! answer, a true one and in time, whatever the remotes do, and every byte goes through.

mod sim_services;

use sim_services::outbound::{calls, through};
use windlass::sim;

/// How many seeds a build runs: debug builds only look whether everything still works.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 2_000 };

#[test]
fn every_call_has_one_true_answer_in_time() {
    sim::check("calls", 0..SEEDS, calls);
}

#[test]
fn every_byte_goes_through_to_the_remote_and_back() {
    sim::check("through", 0..SEEDS, through);
}

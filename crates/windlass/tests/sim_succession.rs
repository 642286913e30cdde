//! One server takes over from another under the simulated network: nobody is refused or reset for it,
//! and connections stay where they are.

mod sim_services;

use sim_services::datagrams::{succeeded_datagrams, succeeded_proxy};
use sim_services::succession;
#[cfg(feature = "tls")]
use sim_services::tls::tls_succession;
use windlass::sim;

/// How many seeds a build runs: debug builds only look whether everything still works.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 2_000 };

#[test]
fn nobody_notices_the_succession() {
    sim::check("succession", 0..SEEDS, succession);
}

#[test]
fn flows_answer_through_the_succession() {
    sim::check("succeeded proxy", 0..SEEDS, succeeded_proxy);
}

#[test]
fn no_datagram_is_lost_to_the_succession() {
    sim::check("succeeded datagrams", 0..SEEDS, succeeded_datagrams);
}

#[test]
#[cfg(feature = "tls")]
fn a_handshake_goes_on_through_the_succession() {
    sim::check("tls succession", 0..SEEDS / 8, tls_succession);
}

//! Services that connect to others, under the simulated network, 2,000 seeds each: every call has one
//! answer, a true one and in time, whatever the remotes do, and every byte goes through.

mod sim_services;

use sim_services::outbound::{Seen, calls_seen, through};
#[cfg(feature = "tls")]
use sim_services::tls_outbound::{tls_calls_seen, tls_through};
use windlass::sim;

/// How many seeds a build runs: debug builds only look whether everything still works.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 2_000 };

#[test]
fn every_call_has_one_true_answer_in_time() {
    let seen = Seen::default();
    sim::check("calls", 0..SEEDS, |sim| calls_seen(sim, &seen));
    let seen = seen.lock().unwrap();
    if std::env::var_os("WINDLASS_SIM_SEED").is_some() {
        return;
    }
    for label in [
        "connected",
        "refused",
        "unreachable",
        "timeout",
        "cancelled",
        "shutdown",
        "full",
        "out_of_resources",
    ] {
        assert!(seen.contains(label), "no run came to `{label}`: {seen:?}");
    }
}

#[test]
fn every_byte_goes_through_to_the_remote_and_back() {
    sim::check("through", 0..SEEDS, through);
}

#[test]
#[cfg(feature = "tls")]
fn every_call_over_tls_has_one_true_answer_in_time() {
    let seen = Seen::default();
    sim::check("tls calls", 0..SEEDS / 4, |sim| tls_calls_seen(sim, &seen));
    let seen = seen.lock().unwrap();
    if std::env::var_os("WINDLASS_SIM_SEED").is_some() {
        return;
    }
    let told = ["connected", "refused", "timeout", "cancelled", "shutdown"];
    for label in told.into_iter().chain(["certificate", "handshake_timeout", "handshake_cut"]) {
        assert!(seen.contains(label), "no run came to `{label}`: {seen:?}");
    }
}

#[test]
#[cfg(feature = "tls")]
fn every_byte_goes_through_tls_to_the_remote_and_back() {
    sim::check("tls through", 0..SEEDS / 8, tls_through);
}

//! Whole servers under the simulated network: an echo server and a line chat, 2,000 seeds each.
//!
//! `WINDLASS_SIM_SEEDS=100000` runs more, `WINDLASS_SIM_SEED=7` only one.

mod sim_services;

#[cfg(feature = "tls")]
use sim_services::pairs::tls_pairs;
use sim_services::pairs::{broken_pairs, cut_pairs, pairs};
#[cfg(feature = "tls")]
use sim_services::tls::{tls_chat, tls_echo};
use sim_services::{chat, echo, flood, monologue, overloaded, watched_echo};
use windlass::sim;

/// How many seeds a build runs: debug builds only look whether everything still works.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 2_000 };

#[test]
fn echo_serves_every_byte() {
    sim::check("echo", 0..SEEDS, echo);
}

#[test]
fn an_overloaded_server_serves_every_byte_to_whom_it_lets_in() {
    sim::check("overloaded", 0..SEEDS, overloaded);
}

#[test]
fn echo_serves_every_byte_while_somebody_looks_in() {
    sim::check("watched echo", 0..SEEDS / 2, watched_echo);
}

#[test]
fn chat_reaches_everybody() {
    sim::check("chat", 0..SEEDS, chat);
}

#[test]
fn a_monologue_is_bounded_by_those_who_do_not_listen() {
    sim::check("monologue", 0..SEEDS / 4, monologue);
}

#[test]
fn a_flood_of_newcomers_finds_its_limits() {
    sim::check("flood", 0..SEEDS / 4, flood);
}

#[test]
fn a_relay_passes_every_byte_and_every_end_on() {
    sim::check("pairs", 0..SEEDS, pairs);
}

#[test]
fn a_relay_survives_those_who_break_off() {
    sim::check("broken pairs", 0..SEEDS, broken_pairs);
}

#[test]
fn a_relay_that_is_ended_sends_what_it_has() {
    sim::check("cut pairs", 0..SEEDS / 2, cut_pairs);
}

#[test]
#[cfg(feature = "tls")]
fn echo_over_tls_serves_every_byte() {
    sim::check("tls echo", 0..SEEDS / 2, tls_echo);
}

#[test]
#[cfg(feature = "tls")]
fn chat_over_tls_reaches_everybody() {
    sim::check("tls chat", 0..SEEDS / 4, tls_chat);
}

#[test]
#[cfg(feature = "tls")]
fn a_relay_over_tls_passes_every_byte_and_every_end_on() {
    sim::check("tls pairs", 0..SEEDS / 4, tls_pairs);
}

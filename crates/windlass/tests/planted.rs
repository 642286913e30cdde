//! Whether the simulator sees: every known fault, planted in the engine, must be found.
//!
//! `cargo test -p windlass --release --features planted-faults --test planted -- --nocapture` prints
//! which seed found which fault, and what gave it away; `WINDLASS_FAULT=LostReadEdge` looks for one only.
#![cfg(feature = "planted-faults")]

mod sim_services;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use sim_services::datagrams::{blast_datagrams, echo_datagrams, proxy_datagrams, succeeded_datagrams};
use sim_services::jobs::offload;
use sim_services::moving::moving;
#[cfg(feature = "tls")]
use sim_services::moving::tls_moving;
use sim_services::outbound::{calls, through};
#[cfg(feature = "tls")]
use sim_services::pairs::tls_pairs;
use sim_services::pairs::{broken_pairs, cut_pairs, pairs};
use sim_services::rooms::rooms;
#[cfg(feature = "tls")]
use sim_services::tls::tls_echo;
#[cfg(feature = "tls")]
use sim_services::tls_outbound::tls_calls;
use sim_services::{changes, chat, echo, monologue, overloaded, succession};
use windlass::planted::{Fault, plant};
use windlass::sim::{self, Failure, Sim};

/// A fault must be found within so many seeds.
const SEEDS: u64 = 1_000;

type Scenario = (&'static str, fn(&mut Sim));

const SCENARIOS: &[Scenario] = &[
    ("echo", echo),
    ("overloaded", overloaded),
    ("chat", chat),
    ("monologue", monologue),
    ("calls", calls),
    ("through", through),
    ("offload", offload),
    ("moving", moving),
    ("rooms", rooms),
    ("echo datagrams", echo_datagrams),
    ("blast of datagrams", blast_datagrams),
    ("proxy of datagrams", proxy_datagrams),
    ("pairs", pairs),
    ("broken pairs", broken_pairs),
    ("cut pairs", cut_pairs),
    ("succession", succession),
    ("changes", changes),
    ("succeeded datagrams", succeeded_datagrams),
    #[cfg(feature = "tls")]
    ("tls echo", tls_echo),
    #[cfg(feature = "tls")]
    ("tls moving", tls_moving),
    #[cfg(feature = "tls")]
    ("tls calls", tls_calls),
    #[cfg(feature = "tls")]
    ("tls pairs", tls_pairs),
];

fn first_failure(fault: Fault) -> Option<Box<Failure>> {
    plant(Some(fault));
    let found = (0..SEEDS).find_map(|seed| {
        SCENARIOS.iter().find_map(|(name, describe)| sim::explore(name, seed..seed + 1, describe).err())
    });
    plant(None);
    found
}

/// On all processors: a fault is planted in the engine of one thread.
fn all_failures(faults: Vec<Fault>) -> Vec<(Fault, Option<Box<Failure>>)> {
    let next = AtomicUsize::new(0);
    let take = || faults.get(next.fetch_add(1, Relaxed)).copied();
    let search = || std::iter::from_fn(take).map(|fault| (fault, first_failure(fault))).collect::<Vec<_>>();
    let mut found: Vec<_> = thread::scope(|scope| {
        let searches: Vec<_> = (0..thread::available_parallelism().map_or(1, usize::from))
            .map(|_| scope.spawn(search))
            .collect();
        searches.into_iter().flat_map(|search| search.join().unwrap()).collect()
    });
    found.sort_by_key(|(fault, _)| Fault::ALL.iter().position(|other| other == fault));
    found
}

#[test]
fn every_planted_fault_is_found() {
    // What a fault makes panic is no news; the table tells.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let only = std::env::var("WINDLASS_FAULT").ok();
    let wanted = |fault: &&Fault| only.as_ref().is_none_or(|only| format!("{fault:?}") == *only);
    let found = all_failures(Fault::ALL.iter().filter(wanted).copied().collect());
    std::panic::set_hook(told);
    println!("{:<26} {:<10} {:>4}  what gave it away", "fault", "in", "seed");
    for (fault, failure) in &found {
        let name = format!("{fault:?}");
        match failure {
            Some(failure) => {
                let what = failure.what.lines().next().unwrap_or("");
                println!("{name:<26} {:<10} {:>4}  {what:.110}", failure.name, failure.seed);
            }
            None => println!("{name:<26} {:<10} {:>4}  NOT FOUND", "", ""),
        }
    }
    let missed: Vec<_> =
        found.iter().filter(|(_, failure)| failure.is_none()).map(|(fault, _)| fault).collect();
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
}

//! One subscriber that stops reading, among 1,000 that read: what it costs the others, and the broker.
//!
//! Two of each broker run side by side, with the same load; beside the 1,000 of the second there is one that subscribes
//! to everything and reads nothing. It is sent more than sockets and queues hold before anything is measured.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::super::drive::Drive;
use super::super::figures::{median, spread};
use super::super::peers::Peer;
use super::super::server::Server;
use super::super::workloads::Workload;
use super::super::{Place, SLICE};
use super::fill::Waiting;
use super::restart::address;
use crate::proc::resident_kib;
use crate::text;

/// What it is sent and does not take: 40 MiB.
const FLOOD: u64 = 40 * 1024;
const PAYLOAD: [u8; 1024] = [b'.'; 1024];

/// A pair of turns: without it, and beside it.
pub(super) struct Stalled {
    pub(super) peer: String,
    /// The others' 99th percentile in microseconds.
    p99: (f64, f64),
    /// Deliveries a second to them.
    rates: (f64, f64),
}

impl Stalled {
    /// How many times as long the others wait beside it.
    pub(super) fn ratio(&self) -> f64 {
        self.p99.1 / self.p99.0
    }
}

/// What was found once in each round.
struct Round {
    peer: String,
    /// MiB that the broker's memory grew by.
    grown: f64,
    /// It has been thrown out.
    is_gone: bool,
}

/// The table, and each pair of turns.
pub(super) fn section(
    (rounds, seconds): (u64, Duration),
    workload: &Workload,
    peers: &[[Peer; 2]],
    place: &Place,
) -> (String, Vec<Stalled>) {
    let (mut pairs, mut all) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for two in peers {
            let peer = &two[0];
            // Whoever cannot do it is told so, and is no reason to lose what was measured of all others.
            match once(seconds, workload, two, place) {
                Ok((some, about)) => {
                    let ratios: Vec<f64> = some.iter().map(Stalled::ratio).collect();
                    eprintln!(
                        "round {} S1 {:<14} p99 beside / alone {}",
                        round + 1,
                        peer.name,
                        spread(&ratios)
                    );
                    pairs.extend(some);
                    all.push(about);
                }
                Err(error) => eprintln!("NOT MEASURED: {} on S1: {error:#}", peer.name),
            }
        }
    }
    let names: Vec<&str> = peers.iter().map(|two| &*two[0].name).collect();
    (table(&names, &pairs, &all), pairs)
}

fn once(
    seconds: Duration,
    workload: &Workload,
    two: &[Peer; 2],
    place: &Place,
) -> Result<(Vec<Stalled>, Round)> {
    let [peer, other] = two;
    let start = |peer| Server::start(peer, place.server(), false, &[]);
    let servers = [start(peer)?, start(other)?];
    ensure!(address(&servers[0])? != address(&servers[1])?, "there is one where there should be two");
    let mut loads = [Drive::of(workload, &servers[0])?, Drive::of(workload, &servers[1])?];
    for load in &mut loads {
        load.slice(SLICE)?;
    }
    let beside = &servers[1];
    let before = resident_kib(beside.pid())?;
    let mut stalled = Waiting::connect_as(address(beside)?, "bench-stalls")?;
    stalled.stall()?;
    let mut floods = Waiting::connect_as(address(beside)?, "bench-floods")?;
    floods.pass_on(FLOOD, &PAYLOAD, "bench/flood").context("it is not taken")?;
    drop(floods);
    let mut pairs = Vec::new();
    for turn in 0..seconds.div_duration_f64(SLICE).ceil() as usize {
        let mut figures = [(0.0, 0.0); 2];
        // There and back: neither always follows the other.
        for at in if turn % 2 == 0 { [0, 1] } else { [1, 0] } {
            let report = loads[at].slice(SLICE)?.load;
            figures[at] = (report.latency.percentile(99.0), report.per_second());
        }
        let [alone, beside] = figures;
        if alone.0 > 0.0 && beside.0 > 0.0 {
            let peer = peer.name.clone();
            pairs.push(Stalled { peer, p99: (alone.0, beside.0), rates: (alone.1, beside.1) });
        }
    }
    let after = resident_kib(beside.pid())?;
    let round = Round {
        peer: peer.name.clone(),
        grown: after.saturating_sub(before) as f64 / 1024.0,
        is_gone: !stalled.is_connected()?,
    };
    Ok((pairs, round))
}

fn table(peers: &[&str], pairs: &[Stalled], rounds: &[Round]) -> String {
    let rows: Vec<Vec<String>> = peers
        .iter()
        .filter(|peer| rounds.iter().any(|round| round.peer == **peer))
        .map(|&peer| {
            let of = |figure: fn(&Stalled) -> f64| -> Vec<f64> {
                pairs.iter().filter(|pair| pair.peer == peer).map(figure).collect()
            };
            let middle = |figure| median(&of(figure)).map_or("-".into(), text::number);
            let its = || rounds.iter().filter(|round| round.peer == peer);
            let grown: Vec<f64> = its().map(|round| round.grown).collect();
            vec![
                peer.to_owned(),
                middle(|pair| pair.p99.0),
                middle(|pair| pair.p99.1),
                spread(&of(Stalled::ratio)),
                middle(|pair| pair.rates.0),
                middle(|pair| pair.rates.1),
                spread(&grown),
                format!("{} of {}", its().filter(|round| round.is_gone).count(), its().count()),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = [
        "broker",
        "p99 µs without it",
        "beside it",
        "beside / without",
        "deliveries/s without it",
        "beside it",
        "MiB it costs",
        "it was thrown out",
    ];
    format!(
        "\n## S1: one of 1,001 subscribers does not read; 40 MiB wait for it, and the others' messages\n\n{}",
        text::table(&head, &rows)
    )
}

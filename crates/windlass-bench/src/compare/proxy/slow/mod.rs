//! Honest clients beside 20,000 that say a byte now and then.
//!
//! A process may have some 20,000 descriptors, and a client of a TCP proxy is two of them: so there are several of
//! each proxy at once, on the one core that all proxies have, each with its part of the slow clients. The honest
//! ones are at the first.

mod clients;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

pub use self::clients::{SlowArgs, main};

use self::clients::Slow;
use super::super::drive::Drive;
use super::super::figures::{median, spread};
use super::super::foreign::Files;
use super::super::peers::{Layout, Peer};
use super::super::server::Server;
use super::super::workloads::{BESIDE_SLOW, Workload};
use super::super::{Place, starts};
use super::peers::{self, Upstream, beside_slow_ones};
use super::{Passes, is_wanted};
use crate::net::allow_descriptors;
use crate::proc::{Cpu, resident_kib};
use crate::text;

/// Of each proxy so many at once...
const COPIES: usize = 3;
/// ... with so many slow clients each: 20,000 in all.
const SLOW: usize = 20_000_usize.div_ceil(COPIES);
/// How long the honest ones are driven before they are measured, alone and beside the slow ones.
const WARMS_UP: Duration = Duration::from_millis(250);

/// What came of it with one proxy in one round.
pub(super) struct Slowed {
    pub(super) workload: &'static str,
    pub(super) peer: String,
    /// The honest ones' 99th percentile in microseconds, and exchanges a second: alone, beside the slow ones.
    pub(super) p99: (f64, f64),
    pub(super) rates: (f64, f64),
    /// Bytes of user memory that a slow client takes.
    pub(super) bytes: f64,
    /// Slow clients that were served in the end.
    pub(super) served: usize,
}

impl Slowed {
    /// How many times as long it takes beside them.
    pub(super) fn ratio(&self) -> f64 {
        self.p99.1 / self.p99.0
    }
}

/// All proxies that are to be tried, so many rounds: the tables, and what came of it.
pub(super) fn section(
    (rounds, seconds): (u64, Duration),
    (only, wanted): (&[String], &[String]),
    layout: &Layout,
    place: &Place,
    windlass: &[String],
) -> Result<(String, Vec<Slowed>)> {
    let (mut markdown, mut all) = (String::new(), Vec::new());
    for workload in BESIDE_SLOW.iter().filter(|workload| is_wanted(only, workload.id)) {
        // Whatever is started may have as many as this process.
        allow_descriptors(SLOW * 2)?;
        let generator = place.bound.map(|(_, generator)| generator);
        let upstreams: Vec<Upstream> =
            (0..COPIES).map(|_| Upstream::start(layout, generator)).collect::<Result<_>>()?;
        let files: Vec<Files> = (0..COPIES).map(|_| Files::new()).collect::<Result<_>>()?;
        let mut copies = Vec::new();
        for (upstream, files) in upstreams.iter().zip(&files) {
            let passes = Passes::of(workload);
            let mut some = peers::all(passes, layout, files, upstream, windlass)?;
            some.retain(|peer| beside_slow_ones(passes).contains(&&*peer.name));
            some.retain(|peer| wanted.is_empty() || wanted.contains(&peer.name));
            copies.push(some);
        }
        let numbers = (0..copies[0].len()).filter(|&n| starts(&copies[0][n], place)).collect::<Vec<_>>();
        let mut unable = Vec::new();
        let mut some = Vec::new();
        for round in 0..rounds {
            for &n in &numbers {
                if unable.contains(&n) {
                    continue;
                }
                let peers: Vec<&Peer> = copies.iter().map(|some| &some[n]).collect();
                // Whoever cannot do it is told so, once, and is no reason to lose what was measured of all others.
                let slowed = match once(workload, &peers, place, seconds) {
                    Ok(slowed) => slowed,
                    Err(error) => {
                        eprintln!("NOT MEASURED: {} on {}: {error:#}", peers[0].name, workload.id);
                        unable.push(n);
                        continue;
                    }
                };
                eprintln!(
                    "round {} {} {:<14} p99 {} µs alone, {} beside the slow ones, {} of them served",
                    round + 1,
                    workload.id,
                    slowed.peer,
                    text::number(slowed.p99.0),
                    text::number(slowed.p99.1),
                    slowed.served
                );
                some.push(slowed);
            }
        }
        markdown += &table(workload, numbers.iter().map(|&n| &*copies[0][n].name), &some);
        all.extend(some);
    }
    Ok((markdown, all))
}

fn once(workload: &Workload, peers: &[&Peer], place: &Place, seconds: Duration) -> Result<Slowed> {
    let start = |peer: &&Peer| Server::start(peer, place.server(), false, &[]);
    let servers: Vec<Server> = peers.iter().map(start).collect::<Result<_>>()?;
    let first = &servers[0];
    let mut load = Drive::of(workload, first)?;
    let mut honest = || -> Result<(f64, f64)> {
        load.slice(WARMS_UP)?;
        let report = load.slice(seconds)?.load;
        ensure!(report.is_clean(), "{}", report.trouble().unwrap_or_default());
        Ok((report.latency.percentile(99.0), report.per_second()))
    };
    let (alone, before) = (honest()?, resident_kib(first.pid())?);
    let mut slow = Vec::new();
    for server in &servers {
        let mut some = Slow::start(&server.target.to_string(), workload.says, SLOW)?;
        some.wait()?;
        settle(server)?;
        slow.push(some);
    }
    let after = resident_kib(first.pid())?;
    let beside = honest()?;
    let served = slow.into_iter().map(Slow::end).sum::<Result<usize>>()?;
    Ok(Slowed {
        workload: workload.id,
        peer: peers[0].name.clone(),
        p99: (alone.0, beside.0),
        rates: (alone.1, beside.1),
        bytes: after.saturating_sub(before) as f64 * 1024.0 / SLOW as f64,
        served,
    })
}

/// Waits until a proxy has done what the arrival of its slow clients makes it do.
fn settle(server: &Server) -> Result<()> {
    let began = Instant::now();
    loop {
        let before = Cpu::of(server.pid())?;
        std::thread::sleep(SETTLES);
        let share = Cpu::of(server.pid())?.since(before).total as f64 / SETTLES.as_nanos() as f64;
        // What they say then takes less than that.
        if share < 0.1 || began.elapsed() > SETTLES * 25 {
            return Ok(());
        }
    }
}

/// How long a proxy is looked at for that.
const SETTLES: Duration = Duration::from_millis(200);

fn table<'a>(workload: &Workload, peers: impl Iterator<Item = &'a str>, all: &[Slowed]) -> String {
    let rows: Vec<Vec<String>> = peers
        .map(|peer| {
            let of = |figure: fn(&Slowed) -> f64| -> Vec<f64> {
                all.iter().filter(|slowed| slowed.peer == peer).map(figure).collect()
            };
            let middle = |figure| median(&of(figure)).map_or("-".into(), text::number);
            vec![
                peer.to_owned(),
                middle(|slowed| slowed.p99.0),
                middle(|slowed| slowed.p99.1),
                spread(&of(Slowed::ratio)),
                middle(|slowed| slowed.rates.0),
                middle(|slowed| slowed.rates.1),
                middle(|slowed| slowed.bytes),
                middle(|slowed| slowed.served as f64),
            ]
        })
        .collect();
    let head = [
        "server",
        "p99 µs alone",
        "beside them",
        "beside / alone",
        "exchanges/s alone",
        "beside them",
        "bytes of a slow one",
        "slow ones served",
    ];
    format!("\n## {}: {}\n\n{}", workload.id, workload.title, text::table(&head, &rows))
}

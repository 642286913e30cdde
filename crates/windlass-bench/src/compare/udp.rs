//! UDP echo servers side by side, taking turns of a tenth of a second.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::peers::{Layout, Peer};
use super::server::Server;
use super::{Place, SLICE};
use crate::args::{self, Target};
use crate::proc::Cpu;
use crate::udp::UdpLoad;

/// Options of `compare udp`.
#[derive(Debug, Clone, clap::Args)]
pub struct UdpCompareArgs {
    /// How long each server is measured on each workload
    #[arg(long, value_parser = args::duration, default_value = "3s")]
    seconds: Duration,
    /// Do not build anything first
    #[arg(long)]
    no_build: bool,
    /// Where to write the table; `-` for nowhere
    #[arg(long, default_value = "benches/UDP.md")]
    output: PathBuf,
}

/// Name, peers, bytes of a datagram, datagrams under way.
const WORKLOADS: [(&str, usize, usize, usize); 4] = [
    ("64 B, one flow, 64 under way", 1, 64, 64),
    ("1,200 B, one flow, 64 under way", 1, 1200, 64),
    ("64 B, 1,000 peers, 64 under way", 1000, 64, 64),
    ("1,200 B, 1,000 peers, 64 under way", 1000, 1200, 64),
];

/// What one server did in its slices.
#[derive(Default)]
struct Sum {
    answered: u64,
    lost: u64,
    seconds: f64,
    cpu: u64,
    /// CPU per datagram of each slice, in nanoseconds.
    per_datagram: Vec<f64>,
}

/// Builds the servers, measures them, prints a table and writes it to a file.
///
/// # Errors
/// A build fails, a server does not run, or a datagram comes back changed.
pub fn main(args: UdpCompareArgs) -> Result<()> {
    let layout = Layout::find()?;
    if !args.no_build {
        layout.build_peers()?;
        layout.build_windlass()?;
    }
    let peers = layout.udp_peers();
    let place = Place::choose()?;
    let mut markdown = String::from(
        "# UDP echo, side by side\n\nReproduce it on a quiet machine: \
         `cargo run -p windlass-bench --release -- compare udp`.\n",
    );
    for (name, sources, size, window) in WORKLOADS {
        let sums = measure(&args, &peers, &place, (sources, size, window))?;
        let _ = write!(
            markdown,
            "\n## {name}\n\n| server | datagrams/s | server CPU per datagram, median | ratio | lost |\n\
             | --- | ---: | ---: | ---: | ---: |\n"
        );
        let reference = median(&sums[0].per_datagram);
        for (peer, sum) in peers.iter().zip(&sums) {
            let each = median(&sum.per_datagram);
            let _ = writeln!(
                markdown,
                "| {} | {:.0} | {:.2} us | {:.2} | {} |",
                peer.name,
                sum.answered as f64 / sum.seconds,
                each / 1000.0,
                each / reference,
                sum.lost
            );
        }
    }
    println!("{markdown}");
    if args.output.as_os_str() != "-" {
        std::fs::write(layout.root.join(&args.output), markdown)?;
        eprintln!("wrote {}", args.output.display());
    }
    Ok(())
}

fn measure(
    args: &UdpCompareArgs,
    peers: &[Peer],
    place: &Place,
    (sources, size, window): (usize, usize, usize),
) -> Result<Vec<Sum>> {
    let mut driven = Vec::new();
    for peer in peers {
        let server = Server::start(peer, place.server(), false, &[])?;
        let (Target::Udp(addr) | Target::Tcp(addr)) = server.target else {
            bail!("{} does not listen on UDP", peer.name);
        };
        let mut load = UdpLoad::new(addr, sources, size, window)?;
        load.run(SLICE)?;
        driven.push((server, load, Sum::default()));
    }
    let slices = args.seconds.div_duration_f64(SLICE).ceil() as usize;
    let count = driven.len();
    for slice in 0..slices {
        for turn in 0..count {
            // There and back: nobody always follows the same server.
            let turn = if slice % 2 == 1 { count - 1 - turn } else { turn };
            let (server, load, sum) = &mut driven[(turn + slice / 2) % count];
            let before = Cpu::of(server.pid())?;
            let tally = load.run(SLICE)?;
            let cpu = Cpu::of(server.pid())?.since(before).total;
            ensure!(tally.wrong == 0, "{} datagrams came back changed", tally.wrong);
            sum.answered += tally.answered;
            sum.lost += tally.lost;
            sum.seconds += tally.seconds;
            sum.cpu += cpu;
            sum.per_datagram.push(cpu as f64 / tally.answered.max(1) as f64);
        }
    }
    Ok(driven.into_iter().map(|(_, _, sum)| sum).collect())
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

//! `windlass memcached` beside memcached, which comes from the system's packages: `load` drives one and then
//! the other, and what is compared is the CPU time the servers take for it.
//!
//! Both run on one core with one thread that serves, the load on another. CPU time is the scheduler's own
//! count of the server's process, all its threads together.

mod load;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::peers::Layout;
use super::server::Server;
use super::turns::{Rival, in_turns, row};
use super::{Place, machine};
use crate::args::{self, Target};
use load::{Driver, Kind, Load};

const fn workload(kind: Kind, depth: usize, value: usize, keys: u64) -> Load {
    Load { kind, connections: 50, depth, value, keys }
}

/// What is driven, and how many operations make a turn.
const WORKLOADS: [(&str, Load, u32); 11] = [
    ("get", workload(Kind::Get, 1, 100, 1_000), 10_000),
    ("set", workload(Kind::Set, 1, 100, 1_000), 10_000),
    ("get, 16 at a time", workload(Kind::Get, 16, 100, 1_000), 60_000),
    ("set, 16 at a time", workload(Kind::Set, 16, 100, 1_000), 60_000),
    ("get of 50 keys, per key", workload(Kind::MultiGet, 50, 100, 1_000), 150_000),
    ("get, 16 at a time, 100,000 keys", workload(Kind::Get, 16, 100, 100_000), 60_000),
    ("set, 16 at a time, 100,000 keys", workload(Kind::Set, 16, 100, 100_000), 60_000),
    ("get, values of 10 KiB", workload(Kind::Get, 1, 10_240, 1_000), 8_000),
    ("binary Get", workload(Kind::BinaryGet, 1, 100, 1_000), 10_000),
    ("binary Get, 16 at a time", workload(Kind::BinaryGet, 16, 100, 1_000), 60_000),
    ("binary Set, 16 at a time", workload(Kind::BinarySet, 16, 100, 1_000), 60_000),
];

/// Options of `compare memcached`.
#[derive(Debug, Clone, clap::Args)]
pub struct MemcachedArgs {
    /// Turns of each server on each workload; medians are taken over them
    #[arg(long, value_parser = args::count, default_value = "15")]
    rounds: u64,
    /// Only workloads with this in their name
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// The windlass binary to measure instead of the workspace's
    #[arg(long, value_name = "PATH")]
    windlass: Option<PathBuf>,
    /// Do not build anything first
    #[arg(long)]
    no_build: bool,
    /// Where to write the table; `-` for nowhere
    #[arg(long, default_value = "benches/MEMCACHED.md")]
    output: PathBuf,
}

/// Builds ours, measures both, prints the table and writes it to a file.
///
/// # Errors
/// A build fails, a server does not run, or a reply is not what it must be.
pub fn main(args: MemcachedArgs) -> Result<()> {
    let layout = Layout::find()?;
    let mut peer = layout.windlass();
    match args.windlass {
        Some(program) => peer.program = program,
        None if !args.no_build => layout.build_windlass()?,
        None => {}
    }
    peer.args = ["memcached", "127.0.0.1:0", "-q", "-m", "1024"].map(str::to_owned).to_vec();
    let place = Place::choose()?;
    let memcached = Rival::start(&place, "memcached", |port| {
        let mut args = vec!["-l", "127.0.0.1", "-U", "0", "-t", "1", "-m", "1024", "-p", port];
        if rustix::process::geteuid().is_root() {
            args.extend(["-u", "root"]);
        }
        args.into_iter().map(str::to_owned).collect()
    })?;
    let ours = Server::start(&peer, place.server(), false, &[])?;
    let Target::Tcp(address) = ours.target else { bail!("{} does not listen on TCP", peer.name) };
    let ports = [memcached.port, address.port()];

    let mut markdown = head(args.rounds)?;
    for (label, load, n) in WORKLOADS.iter().filter(|(label, ..)| label.contains(&args.only)) {
        let mut drivers = [Driver::connect(ports[0], load)?, Driver::connect(ports[1], load)?];
        let turns =
            in_turns(args.rounds, [memcached.pid(), ours.pid()], *n, |of| drivers[of].drive(load, *n))?;
        let row = row(label, &turns);
        eprint!("{row}");
        markdown += &row;
    }
    println!("{markdown}");
    if args.output.as_os_str() != "-" {
        let path = layout.root.join(&args.output);
        std::fs::write(&path, markdown).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", args.output.display());
    }
    Ok(())
}

fn head(rounds: u64) -> Result<String> {
    let version = Command::new("memcached").arg("-V").output().context("no memcached")?;
    let version = String::from_utf8_lossy(&version.stdout);
    let mut text = format!(
        "# Beside memcached\n\nReproduce it on a quiet machine, with memcached from the system's packages:\n\
         `cargo run -p windlass-bench --release -- compare memcached`.\n\n`windlass memcached` and `memcached -t 1` \
         ({}), both on one core, the load on another: 50 connections,\neach with one batch of commands on its way; \
         values of 100 bytes over 1,000 keys where nothing else is said;\nevery reply is checked. Turns of about a \
         tenth of a second of CPU, {rounds} for each server. The ratio is that of operations\nper CPU-second of the server's \
         process, ours to memcached's, within each pair of turns: its median, and the\nmiddle half in brackets.\n\n",
        version.trim().trim_start_matches("memcached ")
    );
    for (name, value) in machine::facts().into_iter().take(2) {
        let _ = writeln!(text, "- {name}: {value}");
    }
    text += "\n| operation | memcached, operations/s | windlass, operations/s | memcached, CPU ns each | windlass, CPU ns \
             each | operations per CPU-second, windlass to memcached |\n| --- | ---: | ---: | ---: | ---: | ---: |\n";
    Ok(text)
}

//! `windlass resp` beside redis-server: redis-benchmark drives one and then the other, in turns of about
//! half a second, and what is compared is the CPU time the servers take for it.
//!
//! redis-server and redis-benchmark come from the system's packages. Both servers run on one core with one
//! thread that serves, redis-benchmark on another. CPU time is the scheduler's own count of the server's
//! process; what redis-benchmark takes is not in it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::peers::Layout;
use super::server::Server;
use super::turns::{Rival, in_turns, row};
use super::{Place, machine};
use crate::args::{self, Target};
use crate::text;

/// Connections of redis-benchmark, its default.
const CLIENTS: &str = "50";
/// What is tested, how many commands are sent at a time, over how many keys (0: one), and how many in one
/// turn.
const WORKLOADS: [(&str, u32, u32, u32); 8] = [
    ("SET", 16, 0, 200_000),
    ("GET", 16, 0, 200_000),
    ("PING", 16, 0, 200_000),
    ("SET", 1, 0, 25_000),
    ("GET", 1, 0, 25_000),
    ("PING", 1, 0, 25_000),
    ("SET", 16, 100_000, 200_000),
    ("GET", 16, 100_000, 200_000),
];

/// Options of `compare resp`.
#[derive(Debug, Clone, clap::Args)]
pub struct RespArgs {
    /// Turns of each server on each workload; medians are taken over them
    #[arg(long, value_parser = args::count, default_value = "15")]
    rounds: u64,
    /// The windlass binary to measure instead of the workspace's
    #[arg(long, value_name = "PATH")]
    windlass: Option<PathBuf>,
    /// Do not build anything first
    #[arg(long)]
    no_build: bool,
    /// Where to write the table; `-` for nowhere
    #[arg(long, default_value = "benches/RESP.md")]
    output: PathBuf,
}

/// Builds ours, measures both, prints the table and writes it to a file.
///
/// # Errors
/// A build fails, a server or redis-benchmark does not run, or redis-benchmark reports an error.
pub fn main(args: RespArgs) -> Result<()> {
    let layout = Layout::find()?;
    let mut peer = layout.windlass();
    match args.windlass {
        Some(program) => peer.program = program,
        None if !args.no_build => layout.build_windlass()?,
        None => {}
    }
    peer.args = ["resp", "127.0.0.1:0", "-q"].map(str::to_owned).to_vec();
    let place = Place::choose()?;
    let redis = Rival::start(&place, "redis-server", |port| {
        let args = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        args.map(str::to_owned).to_vec()
    })?;
    let ours = Server::start(&peer, place.server(), false, &[])?;
    let Target::Tcp(address) = ours.target else { bail!("{} does not listen on TCP", peer.name) };
    let ports = [redis.port, address.port()];

    let mut markdown = head(args.rounds)?;
    for (test, depth, keys, n) in WORKLOADS {
        let pids = [redis.pid(), ours.pid()];
        let turns = in_turns(args.rounds, pids, n, |of| drive(ports[of], test, depth, keys, n))?;
        let over =
            if keys == 0 { String::new() } else { format!(", {} keys", text::number(f64::from(keys))) };
        let row = row(&format!("{test} -P {depth}{over}"), &turns);
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
    let version = Command::new("redis-server").arg("--version").output().context("no redis-server")?;
    let version = String::from_utf8_lossy(&version.stdout);
    let version = version.split_whitespace().find(|word| word.starts_with("v=")).unwrap_or("v=?").to_owned();
    let mut text = format!(
        "# RESP beside Redis\n\nReproduce it on a quiet machine, with redis-server and redis-benchmark from the \
         system's packages:\n`cargo run -p windlass-bench --release -- compare resp`.\n\n`windlass resp` and \
         redis-server ({}), each with one thread that serves, both on one core; redis-benchmark\non another, {CLIENTS} \
         connections, in turns of some tenths of a second: {rounds} for each server. Nothing is written to\ndisk. \
         The ratio is that of commands per CPU-second of the server's process, ours to Redis', within each pair\nof \
         turns: its median, and in brackets the middle half (of fewer than 12 turns: the\nlowest and the highest).\n\n",
        &version[2..]
    );
    for (name, value) in machine::facts().into_iter().take(2) {
        let _ = writeln!(text, "- {name}: {value}");
    }
    text += "\n| redis-benchmark | Redis, commands/s | windlass, commands/s | Redis, CPU ns each | windlass, CPU ns each | \
             commands per CPU-second, windlass to Redis |\n| --- | ---: | ---: | ---: | ---: | ---: |\n";
    Ok(text)
}

/// Has redis-benchmark send `n` commands, and returns how many it got answered a second.
fn drive(port: u16, test: &str, depth: u32, keys: u32, n: u32) -> Result<f64> {
    // The test of this name sends arrays, as clients do.
    let test = if test == "PING" { "ping_mbulk" } else { test };
    let mut command = Command::new("redis-benchmark");
    command.args(["-p", &port.to_string(), "-P", &depth.to_string(), "-n", &n.to_string()]);
    command.args(["-c", CLIENTS, "--csv", "-t", &test.to_lowercase()]);
    if keys > 0 {
        command.args(["-r", &keys.to_string()]);
    }
    let output = command.stdin(Stdio::null()).output().context("cannot start redis-benchmark")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "redis-benchmark failed: {text}");
    let line = text.lines().find(|line| line.starts_with('"') && !line.starts_with("\"test\""));
    let rate = line.and_then(|line| line.split(',').nth(1)?.trim_matches('"').parse().ok());
    rate.with_context(|| format!("redis-benchmark told no rate: {text}"))
}

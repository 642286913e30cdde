//! `windlass resp` beside redis-server: redis-benchmark drives one and then the other, in turns of about
//! half a second, and what is compared is the CPU time the servers take for it.
//!
//! redis-server and redis-benchmark come from the system's packages. Both servers run on one core with one
//! thread that serves, redis-benchmark on another. CPU time is the scheduler's own count of the server's
//! process; what redis-benchmark takes is not in it.

use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::figures::{median, spread};
use super::peers::{Layout, Peer};
use super::server::Server;
use super::{Place, machine};
use crate::args::{self, Target};
use crate::proc::Cpu;
use crate::text;

/// How long redis-server may take until it listens.
const STARTUP: Duration = Duration::from_secs(10);
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

/// One turn of one server.
struct Turn {
    per_second: f64,
    /// Nanoseconds of the server's CPU for one command.
    cost: f64,
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
    let (redis, ours) = (Redis::start(&place)?, start(&peer, &place)?);
    let Target::Tcp(address) = ours.target else { bail!("{} does not listen on TCP", peer.name) };
    let servers = [(redis.port, redis.child.id()), (address.port(), ours.pid())];

    let mut markdown = head(args.rounds)?;
    for (test, depth, keys, n) in WORKLOADS {
        let mut turns: [Vec<Turn>; 2] = [Vec::new(), Vec::new()];
        for (port, _) in servers {
            drive(port, test, depth, keys, n)?;
        }
        for round in 0..args.rounds as usize {
            // There and back: nobody always follows the other.
            for turn in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
                let (port, pid) = servers[turn];
                let before = Cpu::of(pid)?;
                let per_second = drive(port, test, depth, keys, n)?;
                let cost = Cpu::of(pid)?.since(before).total as f64 / f64::from(n);
                turns[turn].push(Turn { per_second, cost });
            }
        }
        let row = row(test, depth, keys, &turns);
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

fn start(peer: &Peer, place: &Place) -> Result<Server> {
    Server::start(peer, place.server(), false, &[])
}

fn row(test: &str, depth: u32, keys: u32, turns: &[Vec<Turn>; 2]) -> String {
    let [redis, ours] = turns;
    let each = |turns: &[Turn], figure: fn(&Turn) -> f64| -> Vec<f64> { turns.iter().map(figure).collect() };
    let middle = |turns: &[Turn], figure| median(&each(turns, figure)).map_or("-".into(), text::number);
    let ratios: Vec<f64> = redis.iter().zip(ours).map(|(redis, ours)| redis.cost / ours.cost).collect();
    let over = if keys == 0 { String::new() } else { format!(", {} keys", text::number(f64::from(keys))) };
    format!(
        "| {test} -P {depth}{over} | {} | {} | {} | {} | {} |\n",
        middle(redis, |turn| turn.per_second),
        middle(ours, |turn| turn.per_second),
        middle(redis, |turn| turn.cost),
        middle(ours, |turn| turn.cost),
        spread(&ratios)
    )
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

/// A running redis-server. Dropping it ends it.
struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    fn start(place: &Place) -> Result<Redis> {
        // Whoever takes the port in between makes it fail, which is told.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let core = place.server().map_or("any".into(), |core| core.to_string());
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["pinned", &core, "redis-server", "--port", &port.to_string()]);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut redis = Redis { child, port };
        let deadline = Instant::now() + STARTUP;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(redis.child.try_wait()?.is_none(), "redis-server does not run: is it installed?");
            ensure!(Instant::now() < deadline, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

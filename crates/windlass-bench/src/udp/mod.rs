//! The UDP echo load generator: a closed or an open loop over one flow or many peers, every datagram verified.
//!
//! All peers share one socket: each sends from a loopback address of its own, and to the server that is
//! a peer of its own. So the generator needs no poll over a thousand sockets, and receives its answers
//! in batches. Read `load.rs`.

mod load;

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::json;

pub(crate) use load::UdpLoad;
pub use load::UdpTally;

use crate::args::{self, Target};
use crate::load::{Bench, LoadArgs, Options, Progress, Report, ServerUse, command};
use crate::proc::{Cpu, resident_kib};
use crate::text;

/// Options of `udp`.
#[derive(Debug, Clone, clap::Args)]
pub struct UdpArgs {
    /// The server, as 127.0.0.1:9000 or udp:127.0.0.1:9000
    #[arg(default_value = "127.0.0.1:9000", env = "WINDLASS_TARGET", hide_env = true)]
    pub target: Target,
    /// Peers that send; each has a loopback address of its own, so that a server elsewhere sees one
    #[arg(short, long, alias = "peers", value_name = "N", value_parser = args::count, default_value = "1")]
    #[arg(env = "WINDLASS_CONNECTIONS", hide_env = true)]
    pub connections: u64,
    /// Bytes of a datagram, as in 64, 1200
    #[arg(short, long, value_name = "SIZE", value_parser = args::size, default_value = "64", env = "WINDLASS_SIZE", hide_env = true)]
    pub size: usize,
    /// Datagrams under way at the same time, of all peers together; not with --rate
    #[arg(short, long, alias = "window", value_name = "N", value_parser = args::count, default_value = "64", conflicts_with = "rate")]
    #[arg(env = "WINDLASS_DEPTH", hide_env = true)]
    pub depth: u64,
    /// What every load has
    #[command(flatten)]
    pub load: LoadArgs,
}

/// The most that may be under way in an open loop.
const OPEN_WINDOW: usize = 1 << 16;

/// Runs the generator as a command.
///
/// # Errors
/// A socket cannot be opened, there is no such process, a datagram came back changed, or none came back.
pub fn main(args: UdpArgs) -> Result<()> {
    let (Target::Tcp(server) | Target::Udp(server)) = args.target else {
        bail!("a Unix socket has no datagrams here");
    };
    let options = Options {
        connections: args.connections as usize,
        size: args.size,
        depth: args.depth,
        ..Options::of(&Target::Udp(server), &args.load)
    };
    command(&args.load, |tell| {
        let (report, late) = run(server, &options, tell)?;
        let how = match options.rate {
            None => format!("{} under way", text::thousands(options.depth as i64)),
            Some(rate) => format!("open loop at {}/s", text::thousands(rate as i64)),
        };
        let peers = text::thousands(options.connections as i64);
        let size = text::bytes(options.size as f64);
        let headline = format!("{}: {peers} peers, {size} datagrams, {how}", options.target);
        Ok(Bench::new(headline, report, json!({ "kind": "udp", "late": late })))
    })
}

fn run(server: SocketAddr, options: &Options, tell: &mut dyn FnMut(Progress)) -> Result<(Report, u64)> {
    is_there(server)?;
    let window = if options.rate.is_some() { OPEN_WINDOW } else { options.depth as usize };
    let mut load = UdpLoad::new(server, options.connections, options.size, window)?;
    if let Some(rate) = options.rate {
        load.at_rate(rate);
    }
    let total = options.warmup + options.duration;
    let mut told = (Duration::ZERO, 0);
    let mut progress = |elapsed: Duration, tally: &UdpTally| {
        let passed = elapsed.saturating_sub(told.0).as_secs_f64().max(1e-3);
        let rate = tally.answered.saturating_sub(told.1) as f64 / passed;
        told = (elapsed, tally.answered);
        tell(Progress { elapsed, total, messages: tally.answered, rate, faults: tally.wrong });
    };
    let start = std::time::Instant::now();
    let warm = load.drive(options.warmup, options.stall, &mut |tally| progress(start.elapsed(), tally))?;
    let before = options.pid.map(Cpu::of).transpose()?;
    let tally = load.drive(options.duration, options.stall, &mut |tally| progress(start.elapsed(), tally))?;
    let cpu = options.pid.map(Cpu::of).transpose()?.zip(before).map(|(after, before)| after.since(before));

    let mut report = Report::new(options);
    report.unit = "datagrams";
    report.measured = Duration::from_secs_f64(tally.seconds);
    report.messages = tally.answered;
    report.total_messages = tally.answered;
    report.bytes = tally.answered * options.size as u64;
    report.lost = tally.lost;
    if report.measured + Duration::from_millis(1) < options.duration {
        report.stall(1);
    }
    let wrong = tally.wrong + warm.wrong;
    if wrong > 0 {
        let example = warm.example.or(tally.example).unwrap_or_default();
        report.fault("wrong_reply", wrong, format!("datagrams that were not sent so: {example}"));
    }
    report.latency = tally.latency;
    report.from_sending = tally.from_sending;
    report.server = cpu.map(|cpu| ServerUse {
        cpu,
        messages: report.messages,
        resident_kib: options.pid.and_then(|pid| resident_kib(pid).ok()).unwrap_or(0),
    });
    Ok((report, tally.late + warm.late))
}

/// How long the answer to the first datagram is waited for.
const FIRST: Duration = Duration::from_millis(500);

/// Asks with one datagram whether anybody listens: this socket is told, the one of the load is not.
fn is_there(server: SocketAddr) -> Result<()> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(FIRST))?;
    let answer = socket.send(b"windlass-bench").and_then(|_| socket.recv(&mut [0; 64]));
    match answer {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            bail!("cannot reach udp:{server}: connection refused; is the server running?")
        }
        // An answer, or none: it may have been lost.
        _ => Ok(()),
    }
}

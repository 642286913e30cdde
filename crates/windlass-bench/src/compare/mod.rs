//! Echo servers side by side.
//!
//! Every round runs every server once on every workload, each run with a fresh server process, and
//! the next round starts with the next server. All ratios are taken within a round, so that what
//! the machine does in the meantime hits both sides of a ratio. Server and generator are bound to
//! different cores.

mod machine;
mod peers;
mod server;
mod tables;
mod workloads;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

pub use server::{PinnedArgs, pinned};

use self::peers::{Layout, Peer};
use self::server::Server;
use self::tables::Run;
use self::workloads::Workload;
use crate::{args, echo, text};

/// Options of `compare echo`.
#[derive(Debug, Clone, clap::Args)]
pub struct CompareArgs {
    /// Rounds; medians are taken over them
    #[arg(long, value_parser = args::count, default_value = "5")]
    rounds: u64,
    /// How long each server is measured on each workload
    #[arg(long, value_parser = args::duration, default_value = "3s")]
    seconds: Duration,
    /// Only these workloads, as in W1,W4
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only these servers, as in windlass,mio (epoll, the reference, always takes part)
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// The windlass binary to measure instead of the workspace's; may be given several times
    /// with names, as in old=PATH
    #[arg(long, value_name = "[NAME=]PATH")]
    windlass: Vec<String>,
    /// Do not build anything first
    #[arg(long)]
    no_build: bool,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Where to write the tables; `-` for nowhere
    #[arg(long, default_value = "benches/RESULTS.md")]
    output: PathBuf,
}

/// Builds the servers, measures them, prints the tables and writes them to a file.
///
/// # Errors
/// A build fails, or the reference does not run. Another server that does not start is reported
/// and left out.
pub fn main(args: CompareArgs) -> Result<()> {
    let workloads = workloads::select(&args.only)?;
    let layout = Layout::find()?;
    let mut peers = layout.peers(&args.peers, &args.windlass)?;
    if !args.no_build {
        layout.build_peers()?;
        if args.windlass.is_empty() && peers.iter().any(Peer::is_windlass) {
            layout.build_windlass()?;
        }
    }
    let place = Place::choose()?;
    peers.retain(|peer| starts(peer, &place));
    ensure!(peers.first().is_some_and(|peer| peer.name == peers::REFERENCE), "the reference does not run");

    let runs = measure(&args, &workloads, &peers, &place)?;
    let report = tables::Report { workloads: &workloads, peers: &peers, runs: &runs, place: &place };
    let markdown = report.to_markdown();
    if args.json {
        println!("{:#}", to_json(&runs));
    } else {
        println!("{markdown}");
    }
    if args.output.as_os_str() != "-" {
        let path = layout.root.join(&args.output);
        std::fs::write(&path, markdown).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", args.output.display());
    }
    Ok(())
}

/// Which cores the two sides use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The server's core and the generator's; `None` on a machine with one core.
    cores: Option<(usize, usize)>,
}

impl Place {
    /// Takes the first two cores and binds this process to the second.
    fn choose() -> Result<Place> {
        match server::cores()?.as_slice() {
            [server, generator, ..] => {
                server::pin(*generator)?;
                Ok(Place { cores: Some((*server, *generator)) })
            }
            _ => {
                eprintln!("note: only one core to use; server and generator share it");
                Ok(Place { cores: None })
            }
        }
    }

    fn server(&self) -> Option<usize> {
        self.cores.map(|(server, _)| server)
    }
}

/// Tries whether a server starts at all, so that a missing one is reported once and at once.
fn starts(peer: &Peer, place: &Place) -> bool {
    match Server::start(peer, place.server(), true, &[]) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("LEFT OUT: {error:#}");
            false
        }
    }
}

fn measure(args: &CompareArgs, workloads: &[Workload], peers: &[Peer], place: &Place) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for round in 0..args.rounds as usize {
        for workload in workloads {
            for turn in 0..peers.len() {
                // Another order in each round: whoever comes first finds a colder machine.
                let peer = (turn + round) % peers.len();
                let run = measure_one(workload, &peers[peer], place, args.seconds);
                let run = run.with_context(|| format!("{} on {}", peers[peer].name, workload.id))?;
                eprintln!("round {} {} {:<14} {}", round + 1, workload.id, peers[peer].name, brief(&run));
                runs.push(Run { workload: workload.id, peer: peers[peer].name.clone(), round, report: run });
            }
        }
    }
    Ok(runs)
}

fn measure_one(
    workload: &Workload,
    peer: &Peer,
    place: &Place,
    seconds: Duration,
) -> Result<echo::EchoReport> {
    let server = Server::start(peer, place.server(), workload.cubic, &[])?;
    let mut options = workload.options(seconds);
    options.target = server.target.clone();
    options.pid = Some(server.pid());
    echo::run(&options, &mut |_| {})
}

/// A run in a few words, for the one who waits.
fn brief(report: &echo::EchoReport) -> String {
    let cost = report.server.and_then(|server| server.per_message());
    let cost = cost.map_or(String::new(), |cost| format!(", {} µs CPU", text::number(cost)));
    let trouble = report.trouble().map_or(String::new(), |trouble| format!(", {trouble}"));
    format!("{}/s{cost}{trouble}", text::number(report.per_second()))
}

fn to_json(runs: &[Run]) -> Value {
    let machine: serde_json::Map<String, Value> =
        machine::facts().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let runs: Vec<Value> = runs.iter().map(Run::to_json).collect();
    json!({ "machine": machine, "runs": runs })
}

//! Echo servers side by side.
//!
//! Every round starts every server afresh for every workload. Where messages or connections per
//! second are asked for, the servers of a round run side by side and take turns of a tenth of a
//! second, so that what the machine does in the meantime hits both sides of a ratio; the other
//! workloads run one server after the other, and the next round starts with the next server. Server
//! and generator are bound to different cores.

mod bars;
mod calls;
mod drive;
mod figures;
mod foreign;
mod game;
mod http;
mod hub;
mod kept;
mod machine;
mod memcached;
mod mini;
mod namespace;
mod origin;
mod overload;
mod peers;
mod proxy;
mod relay;
mod resp;
mod server;
mod tables;
#[cfg(feature = "tls")]
mod tls;
mod turns;
mod udp;
mod workloads;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

pub use game::{GameArgs, SocketsArgs, TimerArgs, main as game, sockets, timer};
pub use http::{HttpCompareArgs, main as http};
pub use hub::{HubArgs, main as hub};
pub use memcached::{MemcachedArgs, main as memcached};
pub use mini::{MiniArgs, main as mini};
pub use origin::{OriginArgs, main as origin};
pub use overload::{OverloadArgs, main as overload};
pub use proxy::{ProxyArgs, SlowArgs, main as proxy, slow};
pub use relay::{RelayArgs, main as relay};
pub use resp::{RespArgs, main as resp};
pub use server::{PinnedArgs, pinned};
#[cfg(feature = "tls")]
pub use tls::{TlsCompareArgs, main as tls};
pub use udp::{UdpCompareArgs, main as udp};

use self::drive::Drive;
use self::figures::{Figures, Run};
use self::peers::{Layout, Peer};
use self::server::Server;
use self::tables::Section;
use self::workloads::{Says, Workload};
use crate::echo::EchoReport;
use crate::{args, echo, mqtt, text};

/// How long a server is driven before the next one has its turn, where they take turns.
const SLICE: Duration = Duration::from_millis(100);

/// A run in which something else had one of the two cores for a larger share of the time than
/// this is repeated...
const DISTURBED: f64 = 0.05;
/// ... as often as this; the least disturbed one counts.
const ATTEMPTS: usize = 3;
/// Beyond this share a run gives no ratio: it would tell about the disturbance.
const UNUSABLE: f64 = 0.15;

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
    /// Also measure windlass with two workers against one, on all cores and not bound to any
    #[arg(long)]
    two_workers: bool,
    /// Also count system calls per message with strace
    #[arg(long)]
    strace: bool,
    /// Run server and generator with a high priority (needs the privilege), for a machine that
    /// has other work to do; each run lasts only seconds
    #[arg(long)]
    urgent: bool,
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
    let _urgency = args.urgent.then(server::Urgency::claim).transpose()?;
    let place = Place::choose()?;
    peers.retain(|peer| starts(peer, &place));
    ensure!(peers.first().is_some_and(|peer| peer.name == peers::REFERENCE), "the reference does not run");

    let mut runs = measure((args.rounds, args.seconds), &workloads, &peers, &place)?;
    let mut markdown = tables::head(&peers, &place, args.rounds, args.seconds);
    for workload in &workloads {
        markdown += &Section { title: None, workload, peers: &peers, runs: &runs }.to_markdown();
    }
    if args.two_workers {
        let (text, more) = two_workers(&args, &workloads, &peers, &place)?;
        markdown += &text;
        runs.extend(more);
    }
    if args.strace
        && let Some(section) = calls::section(&peers, &place)?
    {
        markdown += &section;
    }
    if args.json {
        println!("{:#}", to_json(&runs));
    } else {
        println!("{markdown}");
    }
    if args.output.as_os_str() != "-" {
        let path = layout.root.join(&args.output);
        // There are sections in it that are not ours.
        let markdown =
            std::fs::read_to_string(&path).map_or(markdown.clone(), |old| kept::keep(markdown, &old));
        std::fs::write(&path, markdown).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", args.output.display());
    }
    Ok(())
}

/// Which cores the two sides use.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// All cores this process was given.
    all: Vec<usize>,
    /// The server's core and the generator's; `None` if neither is bound to any.
    bound: Option<(usize, usize)>,
}

impl Place {
    /// Takes the first two cores and binds this process to the second.
    fn choose() -> Result<Place> {
        let all = server::cores()?;
        let bound = match all.as_slice() {
            [server, generator, ..] => {
                server::pin(&[*generator])?;
                Some((*server, *generator))
            }
            _ => {
                eprintln!("note: only one core to use; server and generator share it");
                None
            }
        };
        Ok(Place { all, bound })
    }

    /// The same machine with server and generator free to run anywhere.
    fn unbound(&self) -> Result<Place> {
        server::pin(&self.all)?;
        Ok(Place { all: self.all.clone(), bound: None })
    }

    fn rebind(&self) -> Result<()> {
        self.bound.map_or(Ok(()), |(_, generator)| server::pin(&[generator]))
    }

    fn server(&self) -> Option<usize> {
        self.bound.map(|(server, _)| server)
    }
}

/// Tries whether a server starts at all, so that a missing one is reported once and at once.
fn starts(peer: &Peer, place: &Place) -> bool {
    match Server::start(peer, place.server(), peer.takes_cubic(), &[]) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("LEFT OUT: {}: {error:#}", peer.name);
            false
        }
    }
}

/// Measures every workload on every peer, so many rounds of so long each.
fn measure(
    (rounds, seconds): (u64, Duration),
    workloads: &[Workload],
    peers: &[Peer],
    place: &Place,
) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for round in 0..rounds as usize {
        for workload in workloads {
            if workload.scales() && place.bound.is_some() {
                runs.extend(measure_in_slices(seconds, workload, peers, place, round)?);
                continue;
            }
            for turn in 0..peers.len() {
                // Another order in each round: whoever comes first finds a colder machine.
                let peer = &peers[(turn + round) % peers.len()];
                let report = measure_calmly(workload, peer, place, seconds)
                    .with_context(|| format!("{} on {}", peer.name, workload.id))?;
                eprintln!("round {} {} {:<14} {}", round + 1, workload.id, peer.name, brief(&report));
                runs.push(Run { workload: workload.id, peer: peer.name.clone(), round, report });
            }
        }
    }
    Ok(runs)
}

/// Runs all servers side by side and drives one at a time, each for a slice. Every slice is a run.
fn measure_in_slices(
    seconds: Duration,
    workload: &Workload,
    peers: &[Peer],
    place: &Place,
    round: usize,
) -> Result<Vec<Run>> {
    let mut driven = Vec::new();
    for peer in peers {
        let named = || format!("{} on {}", peer.name, workload.id);
        let server = Server::start(peer, place.server(), workload.cubic, &[])?;
        let mut load = Drive::of(workload, &server).with_context(named)?;
        load.slice(SLICE).with_context(named)?;
        driven.push((peer, load, server));
    }
    let slices = seconds.div_duration_f64(SLICE).ceil() as usize;
    let mut runs = Vec::new();
    for slice in 0..slices {
        let mut turns: Vec<usize> = (0..driven.len()).collect();
        // There and back: nobody always follows the same server.
        if slice % 2 == 1 {
            turns.reverse();
        }
        turns.rotate_left(slice / 2 % driven.len());
        for turn in turns {
            let (peer, load, _) = &mut driven[turn];
            let report = load.slice(SLICE).with_context(|| format!("{} on {}", peer.name, workload.id))?;
            runs.push(Run {
                workload: workload.id,
                peer: peer.name.clone(),
                round: round * slices + slice,
                report,
            });
        }
    }
    for (peer, ..) in &driven {
        let figures = Figures::of(&runs, workload.id, &peer.name, &peers[0].name);
        eprintln!("round {} {} {:<14} {}", round + 1, workload.id, peer.name, figures.brief());
    }
    Ok(runs)
}

/// Measures, and measures again if something else had the cores.
fn measure_calmly(workload: &Workload, peer: &Peer, place: &Place, seconds: Duration) -> Result<EchoReport> {
    let mut best = measure_once(workload, peer, place, seconds)?;
    // Where both sides share cores, waiting for one is part of the load.
    let calm = |report: &EchoReport| place.bound.is_none() || report.load.disturbed() <= DISTURBED;
    for _ in 1..ATTEMPTS {
        if calm(&best) {
            break;
        }
        let next = measure_once(workload, peer, place, seconds)?;
        if next.load.disturbed() < best.load.disturbed() {
            best = next;
        }
    }
    Ok(best)
}

fn measure_once(workload: &Workload, peer: &Peer, place: &Place, seconds: Duration) -> Result<EchoReport> {
    let server = Server::start(peer, place.server(), workload.cubic, &[])?;
    let mut options = workload.options(seconds);
    options.load.target = server.target.clone();
    options.load.pid = Some(server.pid());
    match workload.says {
        Says::Mqtt { mode: mqtt::Mode::Idle, .. } => drive::hold(workload, options),
        Says::Mqtt { .. } => {
            let mut load = Drive::of(workload, &server)?;
            load.slice(options.load.warmup)?;
            load.slice(seconds)
        }
        _ => echo::run(&options, &mut |_| {}),
    }
}

/// One worker against two on the same cores, with the generator beside them.
fn two_workers(
    args: &CompareArgs,
    workloads: &[Workload],
    peers: &[Peer],
    place: &Place,
) -> Result<(String, Vec<Run>)> {
    let free = place.unbound()?;
    let (mut markdown, mut runs) = (String::new(), Vec::new());
    for ours in peers.iter().filter(|peer| peer.is_windlass()) {
        let pair = [ours.with_workers(1), ours.with_workers(2)];
        for workload in workloads.iter().filter(|workload| workload.scales()) {
            let some = measure((args.rounds, args.seconds), std::slice::from_ref(workload), &pair, &free)?;
            let title = format!(
                "Two workers on {}: not bound to cores, generator beside them on the same {} cores",
                workload.id,
                free.all.len()
            );
            markdown += &Section { title: Some(title), workload, peers: &pair, runs: &some }.to_markdown();
            runs.extend(some);
        }
    }
    place.rebind()?;
    if runs.is_empty() {
        eprintln!("NOT MEASURED: --two-workers needs windlass and one of W1 to W6");
    }
    Ok((markdown, runs))
}

/// A run in a few words, for the one who waits.
fn brief(report: &EchoReport) -> String {
    let mut text = String::new();
    if let Some((open, used)) = report.idle.and_then(|idle| idle.bytes_per_connection()) {
        text += &format!("{} B open, {} B used", text::number(open), text::number(used));
    } else if let Some(slow) = &report.slow {
        let growth = slow.growth_mib().unwrap_or(0.0);
        text += &format!("grew {} MiB, {} of {} whole", text::number(growth), slow.whole, slow.clients);
    } else {
        text += &format!("{}/s", text::number(report.load.per_second()));
    }
    if let Some(cost) = report.load.server.and_then(|server| server.per_message()) {
        text += &format!(", {} µs CPU", text::number(cost));
    }
    if report.load.disturbed() > DISTURBED {
        text += &format!(", disturbed {:.0} %", report.load.disturbed() * 100.0);
    }
    if let Some(trouble) = report.load.trouble() {
        text += &format!(", {trouble}");
    }
    text
}

fn to_json(runs: &[Run]) -> Value {
    let machine: serde_json::Map<String, Value> =
        machine::facts().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let runs: Vec<Value> = runs.iter().map(Run::to_json).collect();
    json!({ "machine": machine, "runs": runs })
}

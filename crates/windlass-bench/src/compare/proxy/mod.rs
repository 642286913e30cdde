//! Proxies side by side: `windlass proxy`, HAProxy and nginx, in front of one and the same server. TCP, HTTP and UDP.
//!
//! The proxies share one core and take turns there, as echo servers do in `compare echo`; the server behind
//! them is on the generator's core, and so cheap that it is never what is measured. Each proxy has one worker.
//! HAProxy and nginx come from the system's packages, Pingora and Sozu from `benches/proxies`; whichever is not there
//! is left out, loudly. On Linux all of it runs in a network namespace of its own.

mod bars;
mod peers;
mod slow;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

pub use self::slow::{SlowArgs, main as slow};

use self::bars::Measured;
use self::peers::{BUILT, OURS, Upstream};
use super::foreign::Files;
use super::namespace::in_namespace;
use super::peers::{Layout, Peer};
use super::server;
use super::tables::Section;
use super::workloads::{BESIDE_SLOW, PROXY, Says, Workload};
use super::{Place, SLICE, calls, kept, machine, measure, starts};
use crate::args;

/// Options of `compare proxy`.
#[derive(Debug, Clone, clap::Args)]
pub struct ProxyArgs {
    /// Rounds; medians are taken over them
    #[arg(long, value_parser = args::count, default_value = "5")]
    rounds: u64,
    /// How long each proxy is measured on each workload
    #[arg(long, value_parser = args::duration, default_value = "3s")]
    seconds: Duration,
    /// Only these workloads, as in T1,H1
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only these proxies, as in haproxy-256K,windlass
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// The windlass binary to measure instead of the workspace's; may be given several times
    /// with names, as in old=PATH
    #[arg(long, value_name = "[NAME=]PATH")]
    windlass: Vec<String>,
    /// Also count system calls per round trip, request and datagram with strace
    #[arg(long)]
    strace: bool,
    /// Run proxies and generator with a high priority (needs the privilege)
    #[arg(long)]
    urgent: bool,
    /// Do not build anything first
    #[arg(long)]
    no_build: bool,
    /// Build Pingora and Sozu first, which takes minutes; without it they take part if they were built before
    #[arg(long, conflicts_with = "no_build")]
    build_proxies: bool,
    /// Where to write the tables; `-` for nowhere
    #[arg(long, default_value = "benches/PROXY.md")]
    output: PathBuf,
    /// Where to write the bars too, between marks, if all was measured; `-` for nowhere
    #[arg(long, default_value = "benches/RESULTS.md")]
    results: PathBuf,
    /// Already in a network namespace of its own
    #[arg(long = "in-namespace", hide = true)]
    in_namespace: bool,
}

/// What a proxy passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passes {
    Tcp,
    Http,
    Udp,
}

impl Passes {
    fn of(workload: &Workload) -> Passes {
        match workload.says {
            Says::Echo | Says::Mqtt { .. } => Passes::Tcp,
            Says::Http { .. } => Passes::Http,
            Says::Datagrams { .. } => Passes::Udp,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Passes::Tcp => "TCP",
            Passes::Http => "HTTP",
            Passes::Udp => "UDP",
        }
    }
}

/// Builds ours, measures all of them, prints the tables and writes them to a file.
///
/// # Errors
/// A build fails, a proxy fails while it is measured, or none of ours runs.
pub fn main(args: ProxyArgs) -> Result<()> {
    if !args.in_namespace && in_namespace()? {
        return Ok(());
    }
    let known = || PROXY.iter().chain(&BESIDE_SLOW);
    let workloads: Vec<Workload> =
        PROXY.into_iter().filter(|workload| is_wanted(&args.only, workload.id)).collect();
    let ids: Vec<&str> = known().map(|workload| workload.id).collect();
    ensure!(
        known().any(|workload| is_wanted(&args.only, workload.id)),
        "the workloads are {}",
        ids.join(", ")
    );
    let layout = Layout::find()?;
    build(&args, &layout)?;
    let _urgency = args.urgent.then(server::Urgency::claim).transpose()?;
    let place = Place::choose()?;
    let upstream = Upstream::start(&layout, place.bound.map(|(_, generator)| generator))?;
    let files = Files::new()?;

    let (mut markdown, mut about) = (String::new(), Vec::new());
    let (mut runs, mut calls) = (Vec::new(), Vec::new());
    for passes in [Passes::Tcp, Passes::Http, Passes::Udp] {
        let workloads: Vec<Workload> =
            workloads.iter().filter(|workload| Passes::of(workload) == passes).copied().collect();
        if workloads.is_empty() {
            continue;
        }
        let mut peers = peers::all(passes, &layout, &files, &upstream, &args.windlass)?;
        peers.retain(|peer| args.peers.is_empty() || args.peers.contains(&peer.name));
        peers.retain(|peer| starts(peer, &place));
        ensure!(!peers.is_empty(), "no proxy passes on {}", passes.title());
        let some = measure((args.rounds, args.seconds), &workloads, &peers, &place)?;
        for workload in &workloads {
            markdown += &Section { title: None, workload, peers: &peers, runs: &some }.to_markdown();
        }
        if args.strace {
            // Where memory or connections are counted, calls tell nothing.
            let steady: Vec<Workload> = workloads.into_iter().filter(Workload::scales).collect();
            if let Some((section, some)) = calls::section_of(&peers, &place, &steady)? {
                markdown += &section.replace("System calls", &format!("{}: system calls", passes.title()));
                calls.extend(some);
            }
        }
        about.push((passes, peers));
        runs.extend(some);
    }
    let often = (args.rounds.min(SLOW_ROUNDS), args.seconds);
    let only = (&*args.only, &*args.peers);
    let (section, slowed) = slow::section(often, only, &layout, &place, &args.windlass)?;
    markdown += &section;
    let bars = bars::table(&Measured { runs: &runs, calls: &calls, slowed: &slowed });
    let titled = bars.as_ref().map(|table| format!("\n## Against the bars\n\n{table}"));
    let markdown = head(&args, &about) + &titled.unwrap_or_default() + &markdown;
    println!("{markdown}");
    if let Some(table) = bars {
        record(&args, &layout, &table)?;
    }
    if args.output.as_os_str() != "-" {
        let path = layout.root.join(&args.output);
        fs::write(&path, markdown).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", args.output.display());
    }
    Ok(())
}

/// More of them would take longer than all the rest.
const SLOW_ROUNDS: u64 = 3;

/// Whether a workload is among those that were asked for.
fn is_wanted(only: &[String], id: &str) -> bool {
    only.is_empty() || only.iter().any(|only| only.eq_ignore_ascii_case(id))
}

/// What is to be built before anything is measured. A proxy of others that fails to is left out.
fn build(args: &ProxyArgs, layout: &Layout) -> Result<()> {
    if args.no_build {
        return Ok(());
    }
    if args.windlass.is_empty() {
        layout.build_windlass()?;
    }
    for package in BUILT.iter().filter(|_| args.build_proxies) {
        if let Err(error) = layout.build_proxy(package) {
            eprintln!("NOT BUILT: {package}: {error:#}");
        }
    }
    Ok(())
}

/// Writes the bars where those of all comparisons stand; not if they are only some of them.
fn record(args: &ProxyArgs, layout: &Layout, table: &str) -> Result<()> {
    let is_whole = args.only.is_empty() && args.peers.is_empty() && args.windlass.is_empty() && args.strace;
    if !is_whole {
        return Ok(());
    }
    let about = ("proxy", "Proxies against their bars", COMMAND);
    let paths = [args.results.as_path(), args.output.as_path()];
    kept::record(about, layout, paths, (args.rounds, args.seconds), table)
}

const COMMAND: &str = "cargo run -p windlass-bench --release -- compare proxy --strace";

fn head(args: &ProxyArgs, about: &[(Passes, Vec<Peer>)]) -> String {
    let mut out = String::from("# Proxies side by side\n\n");
    out += &format!(
        "Reproduce with `{COMMAND} --build-proxies`; HAProxy and nginx are Debian's packages, Pingora and Sozu are \
         crates (`benches/proxies`).\n\n"
    );
    for (name, value) in machine::facts() {
        out += &format!("- {name}: {value}\n");
    }
    let congestion = if args.in_namespace { "cubic, set on every route" } else { "the system's default" };
    out += &format!("- congestion control here: {congestion}\n");
    out += &format!(
        "\nEach proxy has one worker. All run side by side on one core and take turns of {SLICE:?}; the generator and \
         the server behind the proxies, the same for all, share the other core. {} rounds of {:?}; figures are \
         medians and the middle half of all turns, ratios are to the turn of the first proxy next to it. Every byte \
         that comes back is verified. CPU is the proxy's alone, as the scheduler counts it.\n\n\
         On S1 and S2 there are three of a proxy at once on its core, each with a third of 20,000 clients that say a \
         byte every 5 s, since a process may have some 20,000 descriptors; the honest ones are at the first of the \
         three, {:?} alone and {:?} beside the slow ones, {} rounds.\n",
        args.rounds,
        args.seconds,
        args.seconds,
        args.seconds,
        args.rounds.min(SLOW_ROUNDS)
    );
    for (passes, peers) in about {
        out += &format!("\n{}:\n\n", passes.title());
        for peer in peers {
            out += &format!("- `{}`: {}\n", peer.name, peer.about);
        }
        if !peers.iter().any(|peer| peer.name == OURS) {
            out += "- windlass was not measured\n";
        }
    }
    out
}

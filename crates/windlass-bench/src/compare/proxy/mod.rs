//! Proxies side by side: `windlass proxy`, HAProxy and nginx, in front of one and the same server. TCP, HTTP and UDP.
//!
//! The proxies share one core and take turns there, as echo servers do in `compare echo`; the server behind
//! them is on the generator's core, and so cheap that it is never what is measured. Each proxy has one worker.
//! HAProxy and nginx come from the system's packages; whichever is not there is left out, loudly. On Linux all of it runs in a network namespace of its own.

mod bars;
mod peers;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use self::peers::{OURS, Upstream};
use super::foreign::Files;
use super::namespace::in_namespace;
use super::peers::{Layout, Peer};
use super::server;
use super::tables::Section;
use super::workloads::{PROXY, Says, Workload};
use super::{Place, SLICE, calls, machine, measure, starts};
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
    /// Where to write the tables; `-` for nowhere
    #[arg(long, default_value = "benches/PROXY.md")]
    output: PathBuf,
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
    let wanted =
        |id: &str| args.only.is_empty() || args.only.iter().any(|only| only.eq_ignore_ascii_case(id));
    let workloads: Vec<Workload> = PROXY.into_iter().filter(|workload| wanted(workload.id)).collect();
    let ids: Vec<&str> = PROXY.iter().map(|workload| workload.id).collect();
    ensure!(!workloads.is_empty(), "the workloads are {}", ids.join(", "));
    let layout = Layout::find()?;
    if !args.no_build && args.windlass.is_empty() {
        layout.build_windlass()?;
    }
    let _urgency = args.urgent.then(server::Urgency::claim).transpose()?;
    let place = Place::choose()?;
    let upstream = Upstream::start(&layout, place.bound.map(|(_, generator)| generator))?;
    let files = Files::new()?;

    let (mut markdown, mut about, mut runs) = (String::new(), Vec::new(), Vec::new());
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
            if let Some(section) = calls::section_of(&peers, &place, &steady)? {
                markdown += &section.replace("System calls", &format!("{}: system calls", passes.title()));
            }
        }
        about.push((passes, peers));
        runs.extend(some);
    }
    let markdown = head(&args, &about) + &super::bars::section(&bars::BARS, &runs) + &markdown;
    println!("{markdown}");
    if args.output.as_os_str() != "-" {
        let path = layout.root.join(&args.output);
        fs::write(&path, markdown).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", args.output.display());
    }
    Ok(())
}

fn head(args: &ProxyArgs, about: &[(Passes, Vec<Peer>)]) -> String {
    let mut out = String::from("# Proxies side by side\n\n");
    out += "Reproduce with `cargo run -p windlass-bench --release -- compare proxy --strace`; HAProxy and nginx are \
            Debian's packages.\n\n";
    for (name, value) in machine::facts() {
        out += &format!("- {name}: {value}\n");
    }
    let congestion = if args.in_namespace { "cubic, set on every route" } else { "the system's default" };
    out += &format!("- congestion control here: {congestion}\n");
    out += &format!(
        "\nEach proxy has one worker. All run side by side on one core and take turns of {SLICE:?}; the generator and \
         the server behind the proxies, the same for all, share the other core. {} rounds of {:?}; figures are \
         medians and the middle half of all turns, ratios are to the turn of the first proxy next to it. Every byte \
         that comes back is verified. CPU is the proxy's alone, as the scheduler counts it.\n",
        args.rounds, args.seconds
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

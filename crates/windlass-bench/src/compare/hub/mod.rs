//! MQTT brokers side by side: `windlass hub`, Debian's mosquitto, rmqtt and rumqttd.
//!
//! The brokers share one core and take turns there, as echo servers do in `compare echo`; the generator is on
//! another. Each broker has one worker. mosquitto comes from the system's packages, rmqtt and rumqttd from
//! `benches/peers/brokers`; whatever is not there is left out, loudly.

mod bars;
mod fill;
mod peers;
mod restart;
mod stalled;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use self::bars::Measured;
use self::peers::{COMMITS, KEEPS, MOSQUITTO, OURS};
use super::drive::Drive;
use super::figures::{Figures, Run};
use super::foreign::Files;
use super::namespace::in_namespace;
use super::peers::{Layout, Peer};
use super::server::Server;
use super::tables::Section;
use super::workloads::{HUB, Workload};
use super::{Place, SLICE, calls, kept, machine, measure, server, starts};
use crate::args;

/// Options of `compare hub`.
#[derive(Debug, Clone, clap::Args)]
pub struct HubArgs {
    /// Rounds; medians are taken over them
    #[arg(long, value_parser = args::count, default_value = "5")]
    rounds: u64,
    /// How long each broker is measured on each workload
    #[arg(long, value_parser = args::duration, default_value = "3s")]
    seconds: Duration,
    /// One round of half a second with a tenth of the retained messages, and nothing is written: to see whether all
    /// of it runs
    #[arg(long, conflicts_with_all = ["rounds", "seconds", "retained"])]
    quick: bool,
    /// Only these workloads, as in P1,F2,S1,R1,T1
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only these brokers, as in mosquitto,windlass
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// The windlass binary to measure instead of the workspace's
    #[arg(long, value_name = "PATH")]
    windlass: Option<PathBuf>,
    /// Retained messages that R1 starts with
    #[arg(long, value_parser = args::count, default_value = "1000k")]
    retained: u64,
    /// Also count system calls per message with strace
    #[arg(long)]
    strace: bool,
    /// Run brokers and generator with a high priority (needs the privilege)
    #[arg(long)]
    urgent: bool,
    /// Do not build anything first
    #[arg(long)]
    no_build: bool,
    /// Where to write the tables; `-` for nowhere
    #[arg(long, default_value = "benches/HUB.md")]
    output: PathBuf,
    /// Where to write the bars too, between marks, if all was measured; `-` for nowhere
    #[arg(long, default_value = "benches/RESULTS.md")]
    results: PathBuf,
    /// Already in a network namespace of its own
    #[arg(long = "in-namespace", hide = true)]
    in_namespace: bool,
}

/// What is measured beside the workloads.
const BESIDE_STALLED: &str = "S1";
const STARTS: &str = "R1";
const TWO: &str = "T1";

/// What one of its subscribers stalls on.
const FAN_OUT: &str = "F1";
/// More rounds of starts would take longer than all the rest.
const START_ROUNDS: u64 = 3;

impl HubArgs {
    /// What `--quick` stands for.
    fn settled(mut self) -> HubArgs {
        if self.quick {
            (self.rounds, self.seconds) = (1, Duration::from_millis(500));
            self.retained = bars::RETAINED / 10;
            (self.output, self.results) = ("-".into(), "-".into());
        }
        self
    }

    fn wants(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only.eq_ignore_ascii_case(id))
    }
}

/// Builds ours, measures all of them, prints the tables and writes them to a file.
///
/// # Errors
/// Our build fails, a broker fails while it is measured, or none runs.
pub fn main(args: HubArgs) -> Result<()> {
    if !args.in_namespace && in_namespace()? {
        return Ok(());
    }
    let args = args.settled();
    let workloads: Vec<Workload> = HUB.into_iter().filter(|workload| args.wants(workload.id)).collect();
    let further = [BESIDE_STALLED, STARTS, TWO];
    let ids: Vec<&str> = HUB.iter().map(|workload| workload.id).chain(further).collect();
    ensure!(ids.iter().any(|id| args.wants(id)), "the workloads are {}", ids.join(", "));
    let layout = Layout::find()?;
    if !args.no_build {
        if args.windlass.is_none() {
            layout.build_windlass()?;
        }
        // They are heavy, and may not compile: that is no reason not to measure the others.
        if let Err(error) = layout.build_brokers() {
            eprintln!("NOT BUILT: rmqtt or rumqttd: {error:#}");
        }
    }
    let _urgency = args.urgent.then(server::Urgency::claim).transpose()?;
    let place = Place::choose()?;
    let files = Files::new()?;
    let mut peers = peers::all(&layout, &files, args.windlass.as_deref())?;
    peers.retain(|peer| args.peers.is_empty() || args.peers.contains(&peer.name));
    peers.retain(|peer| starts(peer, &place));
    ensure!(!peers.is_empty(), "no broker runs");

    let (mut markdown, mut runs) = (String::new(), Vec::new());
    for workload in &workloads {
        let some: Vec<Peer> = peers.iter().filter(|peer| takes_part(peer, workload)).cloned().collect();
        let mut kept = Vec::new();
        // A broker that fails one workload takes part in the others.
        for peer in &some {
            match does(peer, workload, &place) {
                Ok(()) => kept.push(peer.clone()),
                Err(error) => eprintln!("LEFT OUT on {}: {}: {error:#}", workload.id, peer.name),
            }
        }
        if kept.is_empty() {
            continue;
        }
        let found = measure_those_that_can(&args, workload, &mut kept, &place)?;
        markdown += &Section { title: None, workload, peers: &kept, runs: &found }.to_markdown();
        runs.extend(found);
    }
    if args.strace {
        let steady: Vec<Workload> = workloads.into_iter().filter(Workload::scales).collect();
        markdown += &calls::section_of(&peers, &place, &steady)?.map(|(text, _)| text).unwrap_or_default();
    }
    let (stalled, pairs) = beside_stalled(&args, (&layout, &peers), &place)?;
    markdown += &stalled;
    let mut began = Vec::new();
    if args.wants(STARTS) {
        // With folders of their own: what other workloads have retained counts against the same bounds.
        let files = Files::new()?;
        let fresh = again(&args, (&layout, &files), &peers)?;
        match restart::section(args.rounds.min(START_ROUNDS), &fresh, &place, args.retained) {
            Ok((section, some)) => {
                markdown += &section;
                began = some;
            }
            Err(error) => eprintln!("NOT MEASURED: {STARTS}: {error:#}"),
        }
    }
    let mut two = Vec::new();
    if args.wants(TWO) {
        let (section, some) = two_workers(&args, &peers, &place)?;
        markdown += &section;
        two = some;
    }
    let bars = bars::table(&Measured { runs: &runs, stalled: &pairs, starts: &began, two: &two });
    let titled = bars.as_ref().map(|table| format!("\n## Against the bars\n\n{table}"));
    let markdown = head(&args, &peers) + &titled.unwrap_or_default() + &markdown;
    println!("{markdown}");
    // Not without some of them.
    if let Some(table) = bars.filter(|_| !began.is_empty()) {
        record(&args, &layout, &table)?;
    }
    if args.output.as_os_str() != "-" {
        let path = layout.root.join(&args.output);
        fs::write(&path, markdown).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", args.output.display());
    }
    Ok(())
}

/// Writes the bars where those of all comparisons stand; not if they are only some of them.
fn record(args: &HubArgs, layout: &Layout, table: &str) -> Result<()> {
    let is_whole = args.only.is_empty()
        && args.peers.is_empty()
        && args.windlass.is_none()
        && args.retained == bars::RETAINED;
    if !is_whole {
        return Ok(());
    }
    let about = ("hub", "Brokers against their bars", COMMAND);
    let paths = [args.results.as_path(), args.output.as_path()];
    kept::record(about, layout, paths, (args.rounds, args.seconds), table)
}

/// One subscriber that stalls among the others.
fn beside_stalled(
    args: &HubArgs,
    (layout, peers): (&Layout, &[Peer]),
    place: &Place,
) -> Result<(String, Vec<stalled::Stalled>)> {
    let workload = HUB.iter().find(|workload| workload.id == FAN_OUT).filter(|_| args.wants(BESIDE_STALLED));
    let Some(workload) = workload else { return Ok(Default::default()) };
    // Two of each serve at the same time: those that cannot choose a port are told another one.
    let files = Files::new()?;
    let some: Vec<Peer> = peers.iter().filter(|peer| takes_part(peer, workload)).cloned().collect();
    let others = again(args, (layout, &files), &some)?;
    let pairs: Vec<[Peer; 2]> = some.into_iter().zip(others).map(|(one, other)| [one, other]).collect();
    Ok(stalled::section((args.rounds, args.seconds), workload, &pairs, place))
}

/// Measures a workload. A broker of crates.io that fails it in the middle is left out, and it begins again: what was
/// measured of all others is not lost for that.
fn measure_those_that_can(
    args: &HubArgs,
    workload: &Workload,
    kept: &mut Vec<Peer>,
    place: &Place,
) -> Result<Vec<Run>> {
    let (length, workload) = ((args.rounds, args.seconds), std::slice::from_ref(workload));
    let failed = match measure(length, workload, kept, place) {
        Ok(runs) => return Ok(runs),
        Err(error) => error,
    };
    let before = kept.len();
    kept.retain(|peer| !peers::FOREIGN.contains(&&*peer.name));
    ensure!((1..before).contains(&kept.len()), failed);
    eprintln!("LEFT OUT: {}: {failed:#}", peers::FOREIGN.join(" and "));
    measure(length, workload, kept, place)
}

/// Tries whether a broker can do it at all.
fn does(peer: &Peer, workload: &Workload, place: &Place) -> Result<()> {
    if !workload.scales() {
        return Ok(());
    }
    let server = Server::start(peer, place.server(), false, &[])?;
    let report = Drive::of(workload, &server)?.slice(SLICE * 2)?.load;
    match report.faults + report.stalled {
        0 => Ok(()),
        _ => bail!(report.trouble().unwrap_or_default()),
    }
}

/// Brokers that keep what they get take part where that is what is measured, and the others in the rest.
fn takes_part(peer: &Peer, workload: &Workload) -> bool {
    let keeps = [KEEPS, COMMITS].contains(&peer.name.as_str());
    if workload.id == "D1" { keeps || peer.name == OURS || peer.name == MOSQUITTO } else { !keeps }
}

/// The same brokers once more, with other ports, and folders in `files`.
fn again(args: &HubArgs, (layout, files): (&Layout, &Files), peers: &[Peer]) -> Result<Vec<Peer>> {
    let others = peers::all(layout, files, args.windlass.as_deref())?;
    peers
        .iter()
        .map(|peer| {
            let other = others.iter().find(|other| other.name == peer.name);
            other.cloned().with_context(|| format!("{} is not there any more", peer.name))
        })
        .collect()
}

/// Deliveries a second with two workers to those with one, of each turn or run; by workload.
type Ratios = Vec<(&'static str, Vec<f64>)>;

/// One worker against two, of ours, with the generator beside them on the same cores.
fn two_workers(args: &HubArgs, peers: &[Peer], place: &Place) -> Result<(String, Ratios)> {
    let Some(ours) = peers.iter().find(|peer| peer.name == OURS) else {
        eprintln!("NOT MEASURED: T1 needs windlass");
        return Ok(Default::default());
    };
    let free = place.unbound()?;
    let mut pair: Vec<Peer> = [1, 2].map(|workers| peers::with_workers(ours, workers)).into();
    pair.retain(|peer| starts(peer, &free));
    let (mut markdown, mut all) = (String::new(), Vec::new());
    for workload in HUB.iter().filter(|workload| pair.len() == 2 && ["P1", "P2", "P4"].contains(&workload.id))
    {
        let runs = measure((args.rounds, args.seconds), std::slice::from_ref(workload), &pair, &free)?;
        let title = format!(
            "{TWO}: two workers on {}: not bound to cores, generator beside them on the same {} cores",
            workload.id,
            free.all.len()
        );
        markdown += &Section { title: Some(title), workload, peers: &pair, runs: &runs }.to_markdown();
        let figures =
            Figures { shared_cores: true, ..Figures::of(&runs, workload.id, &pair[1].name, &pair[0].name) };
        all.push((workload.id, figures.ratios(|report| Some(report.load.per_second()))));
    }
    place.rebind()?;
    Ok((markdown, all))
}

const COMMAND: &str = "cargo run -p windlass-bench --release -- compare hub --strace";

fn head(args: &HubArgs, peers: &[Peer]) -> String {
    let mut out = String::from("# MQTT brokers side by side\n\n");
    out += &format!(
        "Reproduce with `{COMMAND}`; mosquitto is Debian's package, rmqtt and rumqttd come from crates.io \
         (`benches/peers/brokers`).\n\n"
    );
    for (name, value) in machine::facts() {
        out += &format!("- {name}: {value}\n");
    }
    out += &format!(
        "\nEach broker has one worker. All run side by side on one core and take turns of {SLICE:?}; the generator has \
         the other core. MQTT 3.1.1, payloads of 64 B, TCP_NODELAY on both sides. {} rounds of {:?}; figures are \
         medians and the middle half of all turns, ratios are to the turn of the first broker next to it. A message is \
         one delivery to one subscriber (D1: one acknowledgement); every one is verified: none lost, repeated, out of \
         order or changed. CPU is the broker's alone, as the scheduler counts it, for each delivery. On S1 there are two of each broker, \
         in turns too, and one has a subscriber more that does not read. Starts (R1) are timed from the start of the \
         process to the message's arrival, {} times after a stop and after a kill. M1 is resident memory with all of \
         the connections open, less that after a few came and went.\n\n",
        args.rounds,
        args.seconds,
        args.rounds.min(START_ROUNDS)
    );
    for peer in peers {
        out += &format!("- `{}`: {}\n", peer.name, peer.about);
    }
    for name in [MOSQUITTO, "rmqtt", "rumqttd", OURS, COMMITS] {
        if !peers.iter().any(|peer| peer.name == name) {
            out += &format!("- {name} was NOT measured\n");
        }
    }
    out
}

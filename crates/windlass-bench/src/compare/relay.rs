//! TCP relays side by side: windlass' alone, without the proxy around it, HAProxy and nginx, in front of one echo
//! server. The proxy itself is in `proxy/`.
//!
//! The proxies share one core and take turns there, as echo servers do in `compare echo`; the echo
//! server behind them is on the generator's core. HAProxy and nginx come from the system's packages;
//! whichever is not there is left out, loudly. On Linux all of it runs in a network namespace of its
//! own, where cubic is the congestion control of every route: the proxies have no setting for it, and
//! BBR paces by timers.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::figures::{Figures, median};
use super::foreign::{Files, foreign, free_port, is_there, stream_module, version};
use super::namespace::in_namespace;
use super::peers::{Layout, Peer};
use super::server::Server;
use super::tables::Section;
use super::workloads::{RELAY, Workload};
use super::{Place, SLICE, calls, machine, measure, starts};
use crate::{args, text};

/// The bars of the design: milliseconds of CPU to relay 64 MiB, and bytes of an idle pair.
const BULK_BAR: f64 = 30.0;
const IDLE_BAR: f64 = 1024.0;

/// Options of `compare relay`.
#[derive(Debug, Clone, clap::Args)]
pub struct RelayArgs {
    /// Rounds; medians are taken over them
    #[arg(long, value_parser = args::count, default_value = "5")]
    rounds: u64,
    /// How long each proxy is measured on each workload
    #[arg(long, value_parser = args::duration, default_value = "3s")]
    seconds: Duration,
    /// Only these workloads, as in R1,R2
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Also count system calls per round trip with strace
    #[arg(long)]
    strace: bool,
    /// Do not build anything first
    #[arg(long)]
    no_build: bool,
    /// Where to write the tables; `-` for nowhere
    #[arg(long, default_value = "benches/RELAY.md")]
    output: PathBuf,
    /// Already in a network namespace of its own
    #[arg(long = "in-namespace", hide = true)]
    in_namespace: bool,
}

/// Builds ours, measures all of them, prints the tables and writes them to a file.
///
/// # Errors
/// A build fails, or not even windlass' relay runs.
pub fn main(args: RelayArgs) -> Result<()> {
    if !args.in_namespace && in_namespace()? {
        return Ok(());
    }
    let workloads: Vec<Workload> = RELAY
        .into_iter()
        .filter(|workload| {
            args.only.is_empty() || args.only.iter().any(|id| id.eq_ignore_ascii_case(workload.id))
        })
        .collect();
    ensure!(!workloads.is_empty(), "the workloads are R1 to R4");
    let layout = Layout::find()?;
    if !args.no_build {
        layout.build_windlass()?;
        layout.build_example("windlass", "relay")?;
    }
    let place = Place::choose()?;
    let backend = layout.windlass();
    let backend = Server::start(&backend, place.bound.map(|(_, generator)| generator), false, &[])?;
    let upstream = backend.target.to_string();
    let files = Files::new()?;
    let mut peers = peers(&layout, &files, &upstream)?;
    peers.retain(|peer| starts(peer, &place));
    ensure!(peers.iter().any(|peer| peer.name == OURS), "windlass' relay does not run");

    let runs = measure((args.rounds, args.seconds), &workloads, &peers, &place)?;
    let mut markdown = head(&args, &peers);
    for workload in &workloads {
        markdown += &Section { title: None, workload, peers: &peers, runs: &runs }.to_markdown();
    }
    let rows: Vec<Vec<String>> = peers
        .iter()
        .map(|peer| {
            let of = |workload| Figures::of(&runs, workload, &peer.name, &peers[0].name);
            // A message of 1 MiB goes through twice.
            let bulk = of("R2").each(|report| Some(report.load.server?.per_message()? * 32.0 / 1e3));
            let idle = of("R4").each(|report| Some(report.idle.as_ref()?.bytes_per_connection()?.1));
            let cell = |values: &[f64]| median(values).map_or("-".into(), text::number);
            vec![peer.name.clone(), cell(&bulk), cell(&idle)]
        })
        .collect();
    markdown += &format!(
        "\n## Against the bars\n\nAt most {BULK_BAR} ms of CPU for 64 MiB, and {IDLE_BAR} bytes of an idle pair.\n\n{}",
        text::table(&["proxy", "CPU ms per 64 MiB", "bytes of a pair after one round trip"], &rows)
    );
    if args.strace
        && let Some((section, _)) = calls::section_of(&peers, &place, &[RELAY[0], RELAY[1]])?
    {
        markdown += &section;
    }
    println!("{markdown}");
    if args.output.as_os_str() != "-" {
        let path = layout.root.join(&args.output);
        fs::write(&path, markdown).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", args.output.display());
    }
    Ok(())
}

/// The name of our proxy.
const OURS: &str = "windlass";

/// The proxies, in the order of the tables: the first is what ratios refer to.
fn peers(layout: &Layout, files: &Files, upstream: &str) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    if is_there("haproxy") {
        for (name, bufsize, option, about) in [
            ("haproxy-256K", 262_144, "", "one thread, `tune.bufsize 262144`"),
            ("haproxy-16K", 16_384, "", "one thread, its default buffers of 16 KiB"),
            ("haproxy-splice", 16_384, "option splice-auto", "the same with `option splice-auto`"),
        ] {
            let port = free_port()?;
            let text = format!(
                "global\n nbthread 1\n maxconn 7000\n tune.bufsize {bufsize}\ndefaults\n mode tcp\n {option}\n \
                 timeout connect 5s\n timeout client 120s\n timeout server 120s\nlisten relay\n \
                 bind 127.0.0.1:{port} backlog 4096\n server upstream {upstream}\n"
            );
            let file = files.write(&format!("{name}.cfg"), &text)?;
            let about = format!("{}, TCP mode, {about}", version("haproxy", "-v"));
            peers.push(foreign(name, about, port, &format!("haproxy -f {}", file.display())));
        }
    } else {
        eprintln!("LEFT OUT: there is no haproxy on PATH (Debian: apt-get install haproxy)");
    }
    if is_there("nginx") {
        let port = free_port()?;
        let module = stream_module();
        let text = format!(
            "{module}worker_processes 1;\ndaemon off;\nmaster_process off;\npid {pid};\nerror_log stderr crit;\n\
             events {{ worker_connections 18000; }}\nstream {{ server {{ \
             listen 127.0.0.1:{port} backlog=4096; proxy_pass {upstream}; proxy_timeout 120s; }} }}\n",
            pid = files.path("nginx.pid").display()
        );
        let file = files.write("nginx.conf", &text)?;
        let about =
            format!("{}, stream module, one process, its default buffers of 16 KiB", version("nginx", "-v"));
        peers.push(foreign("nginx", about, port, &format!("nginx -c {}", file.display())));
    } else {
        eprintln!("LEFT OUT: there is no nginx on PATH (Debian: apt-get install nginx libnginx-mod-stream)");
    }
    for (name, pipes, about) in [
        (OURS, None, "the example `relay`, one worker, as it is"),
        ("windlass-copy", Some("0"), "the same without pipes: it never splices"),
    ] {
        let mut args = vec!["127.0.0.1:0".to_owned(), upstream.to_owned()];
        args.extend(pipes.map(str::to_owned));
        peers.push(Peer { name: name.into(), about: about.into(), program: layout.example("relay"), args });
    }
    Ok(peers)
}

fn head(args: &RelayArgs, peers: &[Peer]) -> String {
    let mut out = String::from("# TCP proxies side by side\n\n");
    out += "Reproduce with `cargo run -p windlass-bench --release -- compare relay --strace`; HAProxy and nginx are \
            Debian's packages.\n\n";
    for (name, value) in machine::facts() {
        out += &format!("- {name}: {value}\n");
    }
    let congestion = if args.in_namespace { "cubic, set on every route" } else { "the system's default" };
    out += &format!("- congestion control here: {congestion}\n");
    out += &format!(
        "\nAll proxies run side by side on one core and take turns of {SLICE:?}; the generator and the echo server \
         behind the proxies share the other core. {} rounds of {:?}; figures are medians and the middle half of all \
         turns, ratios are to the turn of `{}` next to it. The generator verifies every byte. CPU is the proxy's \
         alone, as the scheduler counts it.\n\n",
        args.rounds, args.seconds, peers[0].name
    );
    for peer in peers {
        out += &format!("- `{}`: {}\n", peer.name, peer.about);
    }
    out
}

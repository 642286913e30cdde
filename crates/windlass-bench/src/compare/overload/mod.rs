//! What becomes of a server that is asked for more than it can do: goodput, and the way back.
//!
//! The server is `costly`, an example of windlass-http, with one worker on one core; the clients have the
//! other. For each cost of a request and each way to come, capacity is what a closed loop gets out of the
//! server; then an open loop offers shares of it. An answer with 200 within the clients' patience is good,
//! everything else is none: late, refused, reset.

mod offer;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::peers::{Layout, Peer};
use super::server::{Server, Urgency};
use super::{Place, machine};
use crate::args::{self, Target};
use crate::proc::Cpu;
use crate::{clock, net, text};
use offer::{Offer, Outcome, SECOND, Way};

/// Options of `overload`.
#[derive(Debug, Clone, clap::Args)]
pub struct OverloadArgs {
    /// What a request costs the server, in microseconds of CPU; several are measured one after the other
    #[arg(long, value_delimiter = ',', default_value = "1000,200")]
    costs: Vec<u64>,
    /// How long three times the capacity is offered
    #[arg(long, value_parser = args::duration, default_value = "120s")]
    seconds: Duration,
    /// How long each of the other loads is offered
    #[arg(long, value_parser = args::duration, default_value = "10s")]
    step: Duration,
    /// How long a client waits for its answer
    #[arg(long, value_parser = args::duration, default_value = "1s")]
    patience: Duration,
    /// Only these servers, as in default,off
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only requests over connections that are kept, or only those over fresh ones: kept, fresh
    #[arg(long)]
    way: Option<String>,
    /// Run server and clients with a high priority (needs the privilege)
    #[arg(long)]
    urgent: bool,
    /// Do not build anything first
    #[arg(long)]
    no_build: bool,
    /// Where to write the tables; `-` for nowhere
    #[arg(long, default_value = "benches/OVERLOAD.md")]
    output: PathBuf,
}

/// The same server, told to behave differently: name, arguments, what that is.
const SERVERS: [(&str, &[&str], &str); 4] = [
    ("default", &[], "the defaults: late by 250 ms for 500 ms is overload, newcomers are shed"),
    ("strict", &["lag=50ms", "interval=100ms"], "`overload_lag_max` 50 ms, `overload_interval` 100 ms"),
    ("wait", &["policy=wait"], "`when_overloaded = wait`"),
    ("off", &["lag=0ms"], "`overload_lag_max = 0`: no overload control"),
];

/// Loads, as shares of the capacity; the last one for long, and then the first again.
const LOADS: [f64; 5] = [0.5, 1.0, 1.5, 2.0, 3.0];
/// Requests of the closed loop that are under way.
const DEPTH: usize = 64;
/// What is looked at for the way back.
const SLICE: u64 = SECOND / 10;

struct Measured {
    name: &'static str,
    capacity: f64,
    loads: Vec<Outcome>,
    seconds: Vec<f64>,
    /// Of the first load, to know what is normal.
    normal_p99: f64,
    /// Nanoseconds; `None` if it did not come back while it was watched.
    recovery: Option<u64>,
    /// The share of time that something else had the server's core for.
    disturbed: f64,
}

/// Builds the server, measures it, prints the tables and writes them to a file.
///
/// # Errors
/// The build fails, or the server does not run.
pub fn main(args: OverloadArgs) -> Result<()> {
    let layout = Layout::find()?;
    if !args.no_build {
        layout.build_example("windlass-http", "costly")?;
    }
    net::allow_descriptors(16_500)?;
    let _urgency = args.urgent.then(Urgency::claim).transpose()?;
    let place = Place::choose()?;
    let mut markdown = head(&args);
    for &cost in &args.costs {
        for way in [Way::Kept, Way::Fresh] {
            let name = if way == Way::Kept { "kept" } else { "fresh" };
            if args.way.as_deref().is_some_and(|only| only != name) {
                continue;
            }
            let mut measured = Vec::new();
            for (name, options, _) in SERVERS {
                if args.only.is_empty() || args.only.iter().any(|only| only == name) {
                    measured.push(measure(&args, &layout, &place, cost, way, (name, options))?);
                }
            }
            let how = match way {
                Way::Kept => "over connections that are kept",
                Way::Fresh => "each over a connection of its own",
            };
            markdown += &format!("\n## A request costs {cost} µs and more, {how}\n\n{}", table(&measured));
            eprintln!("{}", table(&measured));
        }
    }
    println!("{markdown}");
    if args.output.as_os_str() != "-" {
        let path = layout.root.join(&args.output);
        std::fs::write(&path, markdown).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", args.output.display());
    }
    Ok(())
}

fn measure(
    args: &OverloadArgs,
    layout: &Layout,
    place: &Place,
    cost: u64,
    way: Way,
    (name, options): (&'static str, &[&str]),
) -> Result<Measured> {
    let mut words = vec!["127.0.0.1:0".to_owned(), cost.to_string()];
    words.extend(options.iter().map(|&option| option.to_owned()));
    let peer =
        Peer { name: name.into(), about: String::new(), program: layout.example("costly"), args: words };
    let server = Server::start(&peer, place.server(), false, &[])?;
    let Target::Tcp(address) = &server.target else { bail!("{name} is not on TCP") };
    let address = *address;
    let patience = clock::nanos(args.patience);
    let capacity = Offer::new(address, way, patience)?.closed_loop(DEPTH, 4 * SECOND)?;
    let before = Cpu::of(server.pid())?;
    let mut measured = Measured {
        name,
        capacity,
        loads: Vec::new(),
        seconds: Vec::new(),
        normal_p99: 0.0,
        recovery: None,
        disturbed: 0.0,
    };
    for load in LOADS {
        let last = load == LOADS[LOADS.len() - 1];
        let length = clock::nanos(if last { args.seconds } else { args.step });
        let mut steps = vec![(load * capacity, length)];
        if last {
            steps.push((LOADS[0] * capacity, 10 * SECOND));
        }
        // Clients of its own, so that nothing is left over from the load before.
        let slices = Offer::new(address, way, patience)?.run(&steps, SLICE)?;
        let (this, after) = slices.split_at((length / SLICE) as usize);
        // Who came last is answered when nobody else comes any more, and who came first while the queue grew:
        // they would make more of it than can be kept up.
        let patient = (patience / SLICE) as usize;
        let counted = &this[if last { 0 } else { patient }..this.len() - patient];
        let mut outcome = Outcome::default();
        counted.iter().for_each(|slice| outcome.add(slice));
        if load == LOADS[0] {
            measured.normal_p99 = outcome.latency.percentile(99.0);
        }
        if last {
            measured.recovery = recovery(after, measured.normal_p99);
        }
        let seconds = counted.len() as f64 * SLICE as f64 / 1e9;
        eprintln!(
            "{name} {cost} µs {way:?} {load}: {:.0}/s offered, good {:.1} %, 503 {}, refused {}, late {}, p99 {}",
            outcome.offered as f64 / seconds,
            outcome.good as f64 / seconds / capacity * 100.0,
            outcome.busy,
            outcome.refused,
            outcome.late,
            text::micros(outcome.latency.percentile(99.0))
        );
        measured.loads.push(outcome);
        measured.seconds.push(seconds);
        // What it still has of those who gave up is no part of the next load.
        std::thread::sleep(Duration::from_millis(2_000));
    }
    let cpu = Cpu::of(server.pid())?.since(before);
    measured.disturbed = cpu.waited as f64 / (cpu.total + cpu.waited).max(1) as f64;
    Ok(measured)
}

/// When a second begins in which everything is as under the first load, in each of its slices: every request
/// good, and none of a hundred slower than three times its 99th percentile (or 20 ms).
fn recovery(after: &[Outcome], normal_p99: f64) -> Option<u64> {
    let most = (normal_p99 * 3.0).max(20_000.0);
    let normal = |slice: &Outcome| slice.good == slice.offered && slice.latency.percentile(99.0) <= most;
    let slices = after.windows((SECOND / SLICE) as usize).position(|second| second.iter().all(normal))?;
    Some(slices as u64 * SLICE)
}

fn table(measured: &[Measured]) -> String {
    let mut rows = Vec::new();
    for server in measured {
        for ((outcome, seconds), load) in server.loads.iter().zip(&server.seconds).zip(LOADS) {
            let share = |n: u64| format!("{:.1}", n as f64 * 100.0 / outcome.offered.max(1) as f64);
            let last = load == LOADS[LOADS.len() - 1];
            rows.push(vec![
                server.name.to_owned(),
                format!("{load}"),
                format!("{:.0}", outcome.offered as f64 / seconds),
                format!("{:.0}", outcome.good as f64 / seconds),
                format!("{:.1}", outcome.good as f64 / seconds / server.capacity * 100.0),
                share(outcome.busy),
                share(outcome.refused),
                share(outcome.late),
                millis(outcome, 50.0),
                millis(outcome, 99.0),
                match (last, server.recovery) {
                    (false, _) => String::new(),
                    (true, Some(nanos)) => format!("{:.1}", nanos as f64 / 1e9),
                    (true, None) => "not in 10 s".into(),
                },
            ]);
        }
    }
    let columns = [
        "server",
        "load",
        "offered/s",
        "good/s",
        "goodput %",
        "503 %",
        "reset %",
        "late %",
        "p50 ms",
        "p99 ms",
        "normal again after s",
    ];
    let mut out = text::table(&columns, &rows);
    let words = |server: &Measured| {
        format!(
            "{} {:.0}/s (waited for its core {:.0} % of its time)",
            server.name,
            server.capacity,
            server.disturbed * 100.0
        )
    };
    out += &format!("\nCapacity: {}.\n", measured.iter().map(words).collect::<Vec<_>>().join(", "));
    out
}

fn millis(outcome: &Outcome, percent: f64) -> String {
    if outcome.good == 0 { "-".into() } else { text::number(outcome.latency.percentile(percent) / 1e3) }
}

fn head(args: &OverloadArgs) -> String {
    let mut out = String::from("# More than it can do\n\n");
    out += "Reproduce with `cargo run -p windlass-bench --release -- overload`.\n\n";
    for (name, value) in machine::facts() {
        out += &format!("- {name}: {value}\n");
    }
    out += &format!(
        "\nThe server is the example `costly` of windlass-http, one worker on one core; the clients have the other. \
         A request costs it so many microseconds of computing, and what reading, answering and perhaps accepting \
         cost. Capacity is what {DEPTH} clients get that ask again as soon as they are answered. Then requests are \
         offered at shares of it, at moments that do not depend on answers; time runs from the moment a request was \
         due. A client gives up after {:?} and closes its connection; with connections that are kept, who finds none \
         idle opens one. Goodput is what was answered with 200 within that time, in percent of the capacity; latencies \
         are of those. Three times the capacity is offered for {:?}, then half of it at once: normal again is the \
         beginning of a second in each tenth of which all requests are good and their p99 is at most three times \
         that of the first row (or 20 ms). The other loads take {:?} each; of \
         them the first and the last second are left out, of the long one the last.\n\n",
        args.patience, args.seconds, args.step
    );
    for (name, _, about) in SERVERS {
        out += &format!("- `{name}`: {about}\n");
    }
    out
}

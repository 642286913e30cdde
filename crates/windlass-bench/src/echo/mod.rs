//! The echo load generator.
//!
//! [`run`] takes [`EchoOptions`] and returns an [`EchoReport`]; [`main`] is the same as a command,
//! with a progress bar and output for people or as JSON. The loop itself is in `load.rs`, one
//! connection in `stream.rs`, and one file for each [`Mode`].

mod churn;
mod idle;
mod load;
mod options;
mod pace;
mod report;
mod run;
mod slices;
mod slow;
mod steady;
mod stream;

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};

pub use idle::IdleReport;
pub use options::{EchoArgs, EchoOptions, Mode};
pub use report::{EchoReport, ServerUse};
pub(crate) use slices::Sliced;
pub use slow::SlowReport;

use crate::{plot, text};

/// Where a run stands; told about ten times a second.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Time since the start.
    pub elapsed: Duration,
    /// Time the run takes in all, the wait for the last replies not included.
    pub total: Duration,
    /// Messages so far, warm-up included.
    pub messages: u64,
    /// Messages per second since the last call.
    pub rate: f64,
    /// Connections that have failed so far.
    pub faults: u64,
}

/// Runs the generator and returns what it found.
///
/// A stalled or failed connection is no error here: it is in the report. Bytes are verified
/// always.
///
/// # Errors
/// The server cannot be reached, the process may not open enough files, or `pid` does not exist.
pub fn run(options: &EchoOptions, progress: &mut dyn FnMut(Progress)) -> Result<EchoReport> {
    match options.mode {
        Mode::Steady | Mode::Churn => run::run(options, progress),
        Mode::Idle => idle::run(options, progress),
        Mode::Slow => slow::run(options, progress),
    }
}

/// Runs the generator as a command: progress on a terminal, then the report.
///
/// # Errors
/// As [`run`]; and if any connection stalled, failed or lost a byte.
pub fn main(args: EchoArgs) -> Result<()> {
    if let Some(path) = &args.plot {
        plot::check_name(path)?;
    }
    let mut options = EchoOptions::from(&args);
    // More threads than connections would leave some with nothing to do.
    options.threads = options.threads.min(options.connections);
    let bar = progress_bar(args.json);
    let report = run(&options, &mut |progress| show(&bar, progress));
    bar.finish_and_clear();
    let report = report?;
    if args.json {
        println!("{:#}", report.to_json());
    } else {
        println!("{}", headline(&options));
        print!("{}", report.to_text());
    }
    if let Some(path) = &args.plot {
        plot::write(path, &headline(&options), &report.latency)?;
        eprintln!("wrote {}", path.display());
    }
    match report.trouble() {
        None => Ok(()),
        Some(trouble) => Err(anyhow!(trouble)),
    }
}

/// One line that says what was run.
fn headline(options: &EchoOptions) -> String {
    let (target, connections) = (&options.target, text::thousands(options.connections as i64));
    let size = text::bytes(options.size as f64);
    match (options.mode, options.rate) {
        (Mode::Steady, None) => {
            format!("{target}: {connections} connections, {size} messages, depth {}", options.depth)
        }
        (Mode::Steady, Some(rate)) => format!(
            "{target}: {connections} connections, {size} messages, open loop at {}/s",
            text::thousands(rate as i64)
        ),
        (Mode::Churn, _) => {
            format!("{target}: connect, echo {size}, close; {connections} at a time")
        }
        (Mode::Idle, _) => format!("{target}: {connections} idle connections"),
        (Mode::Slow, _) => format!(
            "{target}: {} clients that do not read for {:?}, beside {connections} good ones",
            options.slow_clients, options.hold
        ),
    }
}

fn progress_bar(quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(1);
    if let Ok(style) = ProgressStyle::with_template("[{bar:30}] {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.total.as_millis() as u64);
    bar.set_position(progress.elapsed.min(progress.total).as_millis() as u64);
    let faults = if progress.faults > 0 { format!(", {} FAILED", progress.faults) } else { String::new() };
    bar.set_message(format!("{:>11}/s{faults}", text::number(progress.rate)));
}

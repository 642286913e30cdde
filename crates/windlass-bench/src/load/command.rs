//! A load as a command: progress on a terminal, the report as text or JSON, files, and the end.

use std::fs;
use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};

use super::options::LoadArgs;
use super::report::Report;
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

/// What a load found, as the command shows it.
pub(crate) struct Bench {
    /// What was run, in one line.
    pub(crate) headline: String,
    pub(crate) report: Report,
    /// The report as text.
    pub(crate) text: String,
    /// What the protocol adds to the JSON.
    pub(crate) more: Map<String, Value>,
}

impl Bench {
    /// What every load tells, and what the protocol adds to it as JSON.
    pub(crate) fn new(headline: String, report: Report, more: Value) -> Bench {
        let text = report.to_text();
        let more = if let Value::Object(more) = more { more } else { Map::new() };
        Bench { headline, report, text, more }
    }
}

/// Runs a load as a command.
///
/// # Errors
/// As `run`; and if something was wrong, or nothing was served.
pub(crate) fn command(
    args: &LoadArgs,
    run: impl FnOnce(&mut dyn FnMut(Progress)) -> Result<Bench>,
) -> Result<()> {
    if let Some(path) = &args.plot {
        plot::check_name(path)?;
    }
    let bar = progress_bar(args.json);
    let bench = run(&mut |progress| show(&bar, progress));
    bar.finish_and_clear();
    let Bench { headline, report, text, more } = bench?;
    if args.json {
        let mut value = report.to_json();
        if let Value::Object(object) = &mut value {
            object.extend(more);
        }
        println!("{value:#}");
    } else {
        println!("{headline}");
        print!("{text}");
    }
    if let Some(path) = &args.plot {
        plot::write(path, &headline, &report.latency)?;
        eprintln!("wrote {}", path.display());
    }
    if let Some(path) = &args.hgrm {
        let text = report.latency.to_hgrm();
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    match report.trouble() {
        None => Ok(()),
        Some(trouble) => Err(anyhow!(trouble)),
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

//! The echo load generator.
//!
//! [`run`] takes [`EchoOptions`] and returns an [`EchoReport`]; [`main`] is the same as a command,
//! with a progress bar and output for people or as JSON. One connection is in `stream.rs`; the modes that
//! only echo has are in `idle.rs` and `slow.rs`; the rest is every load's.

mod idle;
mod options;
mod report;
mod slow;
mod stream;

use anyhow::Result;

pub use crate::load::{Progress, ServerUse};
pub use idle::IdleReport;
pub use options::{EchoArgs, EchoOptions, Mode};
pub use report::EchoReport;
pub use slow::SlowReport;

use self::stream::EchoSpeech;
use crate::load::{self, Bench, Options, Sliced};
use crate::text;

/// Runs the generator and returns what it found.
///
/// A stalled or failed connection is no error here: it is in the report. Bytes are verified
/// always.
///
/// # Errors
/// The server cannot be reached, the process may not open enough files, or `pid` does not exist.
pub fn run(options: &EchoOptions, progress: &mut dyn FnMut(Progress)) -> Result<EchoReport> {
    match options.mode {
        Mode::Steady | Mode::Churn => {
            let load = Options { churn: options.mode == Mode::Churn, ..options.load.clone() };
            let load = load::run(&EchoSpeech::new(load.size), &load, progress)?;
            Ok(EchoReport { load, ..EchoReport::new(options) })
        }
        Mode::Idle => idle::run(options, progress),
        Mode::Slow => slow::run(options, progress),
    }
}

/// The same load in slices, for the modes that run so: steady and churn.
pub(crate) fn sliced(options: &EchoOptions) -> Result<Sliced<EchoSpeech>> {
    let load = Options { churn: options.mode == Mode::Churn, ..options.load.clone() };
    Sliced::prepare(&EchoSpeech::new(load.size), &load)
}

/// Runs the generator as a command: progress on a terminal, then the report.
///
/// # Errors
/// As [`run`]; and if any connection stalled, failed or lost a byte, or nothing was served.
pub fn main(args: EchoArgs) -> Result<()> {
    let options = EchoOptions::from(&args);
    load::command(&args.load, |tell| {
        let report = run(&options, tell)?;
        let (text, more) = (report.to_text(), report.more_json());
        Ok(Bench { text, ..Bench::new(headline(&options), report.load, more) })
    })
}

/// One line that says what was run.
fn headline(options: &EchoOptions) -> String {
    let load = &options.load;
    let (target, connections) = (&load.target, text::thousands(load.connections as i64));
    let size = text::bytes(load.size as f64);
    match options.mode {
        Mode::Steady => load.headline(&format!("{size} messages")),
        Mode::Churn => {
            format!("{target}: connect, echo {size}, close; {connections} at a time")
        }
        Mode::Idle => format!("{target}: {connections} idle connections"),
        Mode::Slow => format!(
            "{target}: {} clients that do not read for {:?}, beside {connections} good ones",
            options.slow_clients, options.hold
        ),
    }
}

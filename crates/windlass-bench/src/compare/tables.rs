//! Runs condensed into tables: medians over the rounds, and ratios within each round.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::peers::{Peer, REFERENCE};
use super::workloads::{Kind, Workload};
use super::{Place, machine};
use crate::echo::EchoReport;
use crate::text::{self, number};

/// One run of one server.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) workload: &'static str,
    pub(crate) peer: String,
    pub(crate) round: usize,
    pub(crate) report: EchoReport,
}

impl Run {
    pub(crate) fn to_json(&self) -> Value {
        let mut value = self.report.to_json();
        value["workload"] = json!(self.workload);
        value["peer"] = json!(self.peer);
        value["round"] = json!(self.round);
        value
    }
}

/// Everything the tables are made from.
pub(crate) struct Report<'a> {
    pub(crate) workloads: &'a [Workload],
    pub(crate) peers: &'a [Peer],
    pub(crate) runs: &'a [Run],
    pub(crate) place: &'a Place,
}

impl Report<'_> {
    /// The whole report.
    pub(crate) fn to_markdown(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "# Echo servers side by side\n")?;
        self.write_head(out)?;
        for workload in self.workloads {
            let head = columns(workload.kind);
            let head: Vec<&str> = head.iter().map(String::as_str).collect();
            let rows: Vec<Vec<String>> = self.peers.iter().map(|peer| self.row(workload, peer)).collect();
            writeln!(
                out,
                "\n## {}: {}\n\n{}",
                workload.id,
                workload.title,
                text::table(&head, &rows).trim_end()
            )?;
        }
        Ok(())
    }

    fn write_head(&self, out: &mut String) -> std::fmt::Result {
        let command: Vec<String> = std::env::args().skip(1).collect();
        writeln!(out, "Command: `cargo run -p windlass-bench --release -- {}`\n", command.join(" "))?;
        for (name, value) in machine::facts() {
            writeln!(out, "- {name}: {value}")?;
        }
        match self.place.cores {
            Some((server, generator)) => {
                writeln!(out, "- server on core {server}, generator on core {generator}")?;
            }
            None => writeln!(out, "- server and generator share one core")?,
        }
        let rounds = self.runs.iter().map(|run| run.round + 1).max().unwrap_or(0);
        writeln!(out, "- {rounds} rounds; figures are medians (lowest–highest)")?;
        writeln!(
            out,
            "- ratios are to `{REFERENCE}` in the same round; the median of the rounds' ratios is shown\n"
        )?;
        for peer in self.peers {
            writeln!(out, "- `{}`: {}", peer.name, peer.about)?;
        }
        Ok(())
    }

    fn row(&self, workload: &Workload, peer: &Peer) -> Vec<String> {
        let figures = Figures { report: self, workload: workload.id, peer: &peer.name };
        let mut cells = vec![peer.name.clone()];
        cells.extend(match workload.kind {
            Kind::Throughput { .. } | Kind::Streaming | Kind::OpenLoop => figures.load_cells(workload.kind),
            Kind::Idle | Kind::Slow => Vec::new(),
        });
        cells.push(figures.notes());
        cells
    }
}

fn columns(kind: Kind) -> Vec<String> {
    let unit = match kind {
        Kind::Throughput { unit } => unit,
        Kind::Streaming => "MiB/s",
        Kind::OpenLoop => "messages/s",
        Kind::Idle | Kind::Slow => return vec!["server".into(), "notes".into()],
    };
    [
        "server",
        unit,
        "ratio",
        "CPU µs per message",
        "CPU ratio",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "server busy",
        "generator idle",
        "notes",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The figures of one server on one workload.
struct Figures<'a> {
    report: &'a Report<'a>,
    workload: &'a str,
    peer: &'a str,
}

impl Figures<'_> {
    fn runs_of<'a>(&'a self, peer: &'a str) -> impl Iterator<Item = &'a Run> {
        self.report.runs.iter().filter(move |run| run.workload == self.workload && run.peer == peer)
    }

    /// One figure of each round.
    fn each(&self, figure: impl Fn(&EchoReport) -> Option<f64>) -> Vec<f64> {
        self.runs_of(self.peer).filter_map(|run| figure(&run.report)).collect()
    }

    /// The figure divided by the reference's in the same round, for each round that has both.
    fn ratios(&self, figure: impl Fn(&EchoReport) -> Option<f64>) -> Vec<f64> {
        let of_round = |peer, round| {
            let run = self.runs_of(peer).find(|run| run.round == round)?;
            figure(&run.report).filter(|&value| value > 0.0)
        };
        let rounds = self.runs_of(self.peer).map(|run| run.round);
        rounds.filter_map(|round| Some(of_round(self.peer, round)? / of_round(REFERENCE, round)?)).collect()
    }

    fn load_cells(&self, kind: Kind) -> Vec<String> {
        let rate = move |report: &EchoReport| match kind {
            Kind::Streaming => Some(report.bytes_per_second() / f64::from(1 << 20)),
            _ => Some(report.per_second()),
        };
        let cost = |report: &EchoReport| report.server?.per_message();
        let percentile = |percent: f64| {
            number(median(&self.each(|report| Some(report.latency.percentile(percent)))).unwrap_or(0.0))
        };
        let busy = |report: &EchoReport| {
            Some(report.server?.cpu.total as f64 / report.options.duration.as_nanos() as f64 * 100.0)
        };
        let percent = |values: &[f64]| median(values).map_or("-".into(), |value| format!("{value:.0} %"));
        vec![
            spread(&self.each(rate)),
            ratio(&self.ratios(rate)),
            spread(&self.each(cost)),
            ratio(&self.ratios(cost)),
            percentile(50.0),
            percentile(99.0),
            percentile(99.9),
            percent(&self.each(busy)),
            percent(&self.each(|report| Some(report.generator_idle * 100.0))),
        ]
    }

    /// What went wrong, and in how many rounds.
    fn notes(&self) -> String {
        let mut notes = String::new();
        let mut note = |what: &str, count: fn(&EchoReport) -> u64| {
            let rounds = self.each(|report| Some(count(report) as f64).filter(|&count| count > 0.0));
            if !rounds.is_empty() {
                let gap = if notes.is_empty() { "" } else { ", " };
                let _ = write!(notes, "{gap}{what} {} (in {} rounds)", spread(&rounds), rounds.len());
            }
        };
        note("stalled", |report| report.stalled);
        note("failed", |report| report.faults);
        notes
    }
}

/// The median; `None` of nothing.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length.is_multiple_of(2) => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
        _ => Some(sorted[middle]),
    }
}

/// The median with the lowest and highest value.
pub(crate) fn spread(values: &[f64]) -> String {
    let Some(middle) = median(values) else { return "-".into() };
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} ({}–{})", number(middle), number(low), number(high))
}

fn ratio(values: &[f64]) -> String {
    median(values).map_or("-".into(), |value| format!("{value:.2}"))
}

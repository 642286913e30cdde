//! Figures laid out as markdown.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::figures::{Figures, Run, spread};
use super::peers::Peer;
use super::workloads::{Kind, Workload};
use super::{ATTEMPTS, DISTURBED, Place, SLICE, UNUSABLE, machine};
use crate::echo::{EchoReport, IdleReport, SlowReport};
use crate::text;

/// Everything in front of the first table: what was run, where, and how to read it.
pub(crate) fn head(peers: &[Peer], place: &Place, rounds: u64, seconds: Duration) -> String {
    let mut out = String::from("# Echo servers side by side\n\n");
    // Writing to a string cannot fail.
    let _ = write_head(&mut out, peers, place, rounds, seconds);
    out
}

fn write_head(
    out: &mut String,
    peers: &[Peer],
    place: &Place,
    rounds: u64,
    seconds: Duration,
) -> std::fmt::Result {
    writeln!(out, "Reproduce with `cargo run -p windlass-bench --release -- {}`.\n", command())?;
    for (name, value) in machine::facts() {
        writeln!(out, "- {name}: {value}")?;
    }
    match place.bound {
        Some((server, generator)) => {
            writeln!(out, "- server on core {server}, generator on core {generator}")?
        }
        None => writeln!(out, "- server and generator share one core")?,
    }
    writeln!(
        out,
        "\nEach round starts every server afresh; {rounds} rounds. On W1 to W6 the servers of a round \
         run side by side and take turns of {SLICE:?}, {seconds:?} each in all; each turn gives one ratio to \
         the turn of `{}` next to it, and figures are medians (and the middle half) of all turns. Other \
         workloads run one server after the other, for {seconds:?}, and figures are medians \
         (lowest–highest). The generator verifies every byte. CPU is the server's, all threads, as the \
         scheduler counts it. A run in which something else had one of the two cores for more than {:.0} % \
         of the time is repeated, at most {} times, and the calmest counts; if \
         that one was still disturbed for more than {:.0} %, its ratios are left out.\n",
        peers[0].name,
        DISTURBED * 100.0,
        ATTEMPTS - 1,
        UNUSABLE * 100.0,
    )?;
    for peer in peers {
        writeln!(out, "- `{}`: {}", peer.name, peer.about)?;
    }
    Ok(())
}

/// The arguments of this process, without the folders of this machine.
fn command() -> String {
    let plain = |arg: String| match arg.rsplit_once('/') {
        Some((before, file)) => match before.split_once('=') {
            Some((name, _)) => format!("{name}=PATH/{file}"),
            None if Path::new(before).is_absolute() => format!("PATH/{file}"),
            None => arg,
        },
        None => arg,
    };
    std::env::args().skip(1).map(plain).collect::<Vec<_>>().join(" ")
}

/// One workload's table. The first peer is the reference.
pub(crate) struct Section<'a> {
    /// Instead of the workload's own, for runs in which server and generator share all cores.
    pub(crate) title: Option<String>,
    pub(crate) workload: &'a Workload,
    pub(crate) peers: &'a [Peer],
    pub(crate) runs: &'a [Run],
}

/// A column: its head, and how to fill it.
type Column = (&'static str, fn(&Figures<'_>) -> String);

impl Section<'_> {
    pub(crate) fn to_markdown(&self) -> String {
        let columns = columns(self.workload.kind);
        let mut head = vec!["server"];
        head.extend(columns.iter().map(|(name, _)| *name));
        head.push("notes");
        let rows: Vec<Vec<String>> = self
            .peers
            .iter()
            .map(|peer| {
                let figures = Figures {
                    runs: self.runs,
                    workload: self.workload.id,
                    peer: &peer.name,
                    reference: &self.peers[0].name,
                    shared_cores: self.title.is_some(),
                };
                let mut row = vec![peer.name.clone()];
                row.extend(columns.iter().map(|(_, cell)| cell(&figures)));
                row.push(figures.notes());
                row
            })
            .collect();
        let own = format!("{}: {}", self.workload.id, self.workload.title);
        let title = self.title.as_deref().unwrap_or(&own);
        format!("\n## {title}\n\n{}", text::table(&head, &rows))
    }
}

fn columns(kind: Kind) -> Vec<Column> {
    const COST: [Column; 2] = [
        ("CPU µs per message", |figures| spread(&figures.each(cost))),
        ("CPU ratio", |figures| spread(&figures.ratios(cost))),
    ];
    const LATENCY: [Column; 3] = [
        ("p50 µs", |figures| figures.middle(|report| percentile(report, 50.0))),
        ("p99 µs", |figures| figures.middle(|report| percentile(report, 99.0))),
        ("p99.9 µs", |figures| figures.middle(|report| percentile(report, 99.9))),
    ];
    const BUSY: [Column; 2] = [
        ("server busy %", |figures| figures.middle(busy)),
        ("generator idle %", |figures| figures.middle(|report| Some(report.load.generator_idle * 100.0))),
    ];
    let rate: [Column; 2] = match kind {
        Kind::Idle => return idle_columns(),
        Kind::Slow => return slow_columns(),
        Kind::OpenLoop => {
            let mut columns: Vec<Column> = vec![("messages/s", |figures| figures.middle(rate))];
            columns.extend(LATENCY);
            columns.push(("max µs", |figures| figures.middle(|report| Some(report.load.latency.max()))));
            columns.push(("p99 ratio", |figures| spread(&figures.ratios(|report| percentile(report, 99.0)))));
            columns.extend(COST);
            columns.extend(BUSY);
            return columns;
        }
        Kind::Streaming => [
            ("MiB/s", |figures| spread(&figures.each(mebibytes))),
            ("ratio", |figures| spread(&figures.ratios(mebibytes))),
        ],
        Kind::Throughput { unit } => [
            (unit, |figures| spread(&figures.each(rate))),
            ("ratio", |figures| spread(&figures.ratios(rate))),
        ],
    };
    rate.into_iter().chain(COST).chain(LATENCY).chain(BUSY).collect()
}

fn idle_columns() -> Vec<Column> {
    fn resident(index: usize) -> impl Fn(&EchoReport) -> Option<f64> {
        move |report| Some(report.idle?.resident_kib?[index] as f64)
    }
    fn bytes(report: &EchoReport) -> Option<(f64, f64)> {
        report.idle.as_ref().and_then(IdleReport::bytes_per_connection)
    }
    vec![
        ("bytes each, open", |figures| spread(&figures.each(|report| Some(bytes(report)?.0)))),
        ("bytes each, after one echo", |figures| spread(&figures.each(|report| Some(bytes(report)?.1)))),
        ("KiB resident: before", |figures| figures.middle(resident(0))),
        ("open", |figures| figures.middle(resident(1))),
        ("used", |figures| figures.middle(resident(2))),
        ("CPU % while silent", |figures| figures.middle(|report| Some(report.idle?.cpu_share? * 100.0))),
    ]
}

fn slow_columns() -> Vec<Column> {
    fn of(figure: fn(&SlowReport) -> f64) -> impl Fn(&EchoReport) -> Option<f64> {
        move |report| report.slow.as_ref().map(figure)
    }
    vec![
        ("grew MiB", |figures| spread(&figures.each(|report| report.slow.as_ref()?.growth_mib()))),
        ("MiB taken of each", |figures| {
            figures.middle(of(|slow| {
                slow.taken.iter().sum::<u64>() as f64 / slow.taken.len().max(1) as f64 / f64::from(1 << 20)
            }))
        }),
        ("good alone: messages/s", |figures| figures.middle(of(|slow| slow.rates.0))),
        ("p99 µs", |figures| figures.middle(of(|slow| slow.alone.percentile(99.0)))),
        ("while held: messages/s", |figures| figures.middle(of(|slow| slow.rates.1))),
        ("p99 µs", |figures| figures.middle(of(|slow| slow.held.percentile(99.0)))),
        ("p99.9 µs", |figures| figures.middle(of(|slow| slow.held.percentile(99.9)))),
        ("max µs", |figures| figures.middle(of(|slow| slow.held.max()))),
        ("p99 held / alone", |figures| spread(&figures.each(of(SlowReport::p99_ratio)))),
        ("slow ones whole", |figures| figures.middle(of(|slow| slow.whole as f64))),
        ("dead", |figures| figures.middle(of(|slow| slow.dead as f64))),
        ("drain s", |figures| figures.middle(of(|slow| slow.drain_seconds))),
    ]
}

fn rate(report: &EchoReport) -> Option<f64> {
    Some(report.load.per_second())
}

fn mebibytes(report: &EchoReport) -> Option<f64> {
    Some(report.load.bytes_per_second() / f64::from(1 << 20))
}

fn cost(report: &EchoReport) -> Option<f64> {
    report.load.server?.per_message()
}

fn percentile(report: &EchoReport, percent: f64) -> Option<f64> {
    Some(report.load.latency.percentile(percent))
}

fn busy(report: &EchoReport) -> Option<f64> {
    Some(report.load.server?.cpu.total as f64 / report.load.options.duration.as_nanos().max(1) as f64 * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::workloads;
    use crate::echo::EchoOptions;

    #[test]
    fn every_workload_has_a_table() {
        let peer = |name: &str| Peer {
            name: name.into(),
            about: String::new(),
            program: "x".into(),
            args: Vec::new(),
        };
        let peers = [peer("epoll"), peer("mio")];
        let mut runs = Vec::new();
        for (round, messages) in [(0, 30_000), (1, 10_000), (2, 20_000)] {
            for (peer, factor) in [("epoll", 10), ("mio", 11)] {
                let mut report = EchoReport::new(&EchoOptions::default());
                report.load.messages = messages * factor;
                runs.push(Run { workload: "W1", peer: peer.into(), round, report });
            }
        }
        for workload in &workloads::ALL {
            let section = Section { title: None, workload, peers: &peers, runs: &runs };
            let text = section.to_markdown();
            assert!(text.contains(workload.title));
            let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
            assert_eq!(lines.len(), 4, "head, rule and two servers");
            let bars = |line: &str| line.matches('|').count();
            assert!(lines.iter().all(|line| bars(line) == bars(lines[0])));
        }
        let workload = &workloads::ALL[0];
        let text = Section { title: None, workload, peers: &peers, runs: &runs }.to_markdown();
        // Ten seconds, so 20,000 is the median of the rounds per second; eleven tenths of it mio's.
        assert!(text.contains("20,000 (10,000–30,000)"), "{text}");
        assert!(text.contains("1.10 (1.10–1.10)"), "{text}");
    }
}

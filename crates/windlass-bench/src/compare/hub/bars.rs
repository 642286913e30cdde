//! What was to be reached. Mosquitto 2.1 and FlashMQ, to which the bars are, are not in Debian; what they took
//! on these workloads beside Debian's mosquitto of then, on one machine, is known. So each bar is a share of
//! what Debian's mosquitto takes in the same run.

use std::collections::BTreeSet;

use super::super::bars::{self, Of, SHOWN, cost};
use super::super::figures::{Figures, Run, median};
use super::peers::{COMMITS, MOSQUITTO, OURS};
use super::restart::Began;
use super::stalled::Stalled;
use super::{BESIDE_STALLED, STARTS, TWO};
use crate::echo::EchoReport;

/// One figure of ours beside those of others.
struct Bar {
    what: &'static str,
    workload: &'static str,
    /// Which of ours.
    ours: &'static str,
    figure: Figure,
    /// The most it may be.
    most: Option<f64>,
    of: Of,
}

/// Where a figure comes from.
#[derive(Clone, Copy)]
enum Figure {
    OfRuns(fn(&EchoReport) -> Option<f64>),
    /// The others' 99th percentile beside one that stalls, to that without it.
    Stalled,
    /// Seconds of a start with [`RETAINED`] messages; after a kill, or a stop.
    Start {
        killed: bool,
    },
    /// Deliveries a second with two workers, to those with one.
    Two,
}

/// All that was measured.
pub(super) struct Measured<'a> {
    pub(super) runs: &'a [Run],
    pub(super) stalled: &'a [Stalled],
    pub(super) starts: &'a [Began],
    /// With one worker and with two: workload, and the ratios of turns.
    pub(super) two: &'a [(&'static str, Vec<f64>)],
}

impl Measured<'_> {
    fn peers(&self, bar: &Bar) -> BTreeSet<&str> {
        let runs = self.runs.iter().filter(|run| run.workload == bar.workload).map(|run| &*run.peer);
        let stalled = self.stalled.iter().map(|pair| &*pair.peer);
        let starts = self.starts.iter().map(|began| &*began.peer);
        match bar.figure {
            Figure::OfRuns(_) => runs.collect(),
            Figure::Stalled => stalled.collect(),
            Figure::Start { .. } => starts.collect(),
            Figure::Two => BTreeSet::new(),
        }
    }

    fn figure(&self, bar: &Bar, peer: &str) -> Option<f64> {
        let all: Vec<f64> = match bar.figure {
            Figure::OfRuns(figure) => Figures::of(self.runs, bar.workload, peer, peer).each(figure),
            Figure::Stalled => {
                self.stalled.iter().filter(|pair| pair.peer == peer).map(Stalled::ratio).collect()
            }
            Figure::Start { killed } => self
                .starts
                .iter()
                .filter(|began| began.peer == peer && began.killed == killed && began.retained == RETAINED)
                .map(|began| began.seconds)
                .collect(),
            Figure::Two => {
                let its = self.two.iter().filter(|(workload, _)| bar.what.ends_with(workload));
                its.flat_map(|(_, ratios)| ratios.iter().copied()).collect()
            }
        };
        median(&all)
    }
}

const OTHERS: &[&str] = &[MOSQUITTO];
const DELIVERY: &str = "CPU µs for a delivery";

/// Ours may cost at most so much of what it costs mosquitto.
const fn costs(workload: &'static str, share: f64) -> Bar {
    let figure = Figure::OfRuns(cost);
    Bar { what: DELIVERY, workload, ours: OURS, figure, most: None, of: (share, OTHERS) }
}

/// A figure of ours may be so much at most; mosquitto's is shown.
const fn most(
    what: &'static str,
    workload: &'static str,
    ours: &'static str,
    figure: Figure,
    most: f64,
) -> Bar {
    Bar { what, workload, ours, figure, most: Some(most), of: (SHOWN, OTHERS) }
}

/// A figure without a bar.
const fn two(what: &'static str) -> Bar {
    Bar { what, workload: TWO, ours: OURS, figure: Figure::Two, most: None, of: (SHOWN, &[]) }
}

fn p99(report: &EchoReport) -> Option<f64> {
    Some(report.load.latency.percentile(99.0))
}

fn idle(report: &EchoReport) -> Option<f64> {
    Some(report.idle.as_ref()?.bytes_per_connection()?.0)
}

/// Microseconds from one to the next.
fn gap(report: &EchoReport) -> Option<f64> {
    Some(1e6 / report.load.per_second()).filter(|gap| gap.is_finite())
}

/// What the bars of a start are for.
pub(super) const RETAINED: u64 = 1_000_000;

/// A start of ours may take 5 s.
const fn start(what: &'static str, killed: bool) -> Bar {
    most(what, STARTS, COMMITS, Figure::Start { killed }, 5.0)
}

const BARS: [Bar; 17] = [
    // 0.8 of Mosquitto 2.1's 7.1 µs, where 2.0.11 took 9.1.
    costs("P1", 0.62),
    // A sixth: FlashMQ took 1.04 µs where mosquitto took 7.7, and 0.9 of it is less than that.
    costs("P2", 0.167),
    // 0.85 of Mosquitto 2.1's 12.3 µs, where 2.0.11 took 14.5.
    costs("P3", 0.72),
    // FlashMQ's 1.6 µs, where mosquitto took 15.5.
    costs("P4", 0.103),
    // 0.9 of FlashMQ's 3.8 µs, where mosquitto took 7.7.
    costs("F1", 0.444),
    most("p99 µs", "F1", OURS, Figure::OfRuns(p99), 8_000.0),
    // FlashMQ's 1.6 µs, where mosquitto took 7.4.
    costs("F2", 0.216),
    // 8,000 a second.
    most("µs from one connection to the next", "C1", OURS, Figure::OfRuns(gap), 125.0),
    most("bytes of an idle connection", "M1", OURS, Figure::OfRuns(idle), 1024.0),
    // 150,000 a second.
    most("µs from one acknowledgement to the next", "D1", COMMITS, Figure::OfRuns(gap), 6.67),
    most("p99 µs", "D1", COMMITS, Figure::OfRuns(p99), 5_000.0),
    most("the others' p99 beside one that stalls / without", BESIDE_STALLED, OURS, Figure::Stalled, 1.1),
    start("s of a start with a million retained messages, after a stop", false),
    start("the same, after a kill", true),
    two("deliveries/s of two workers / of one, P1"),
    two("deliveries/s of two workers / of one, P2"),
    two("deliveries/s of two workers / of one, P4"),
];

/// The table; nothing, if nothing of ours was measured.
pub(super) fn table(measured: &Measured<'_>) -> Option<String> {
    bars::table(BARS.iter().filter_map(|bar| row(bar, measured)).collect())
}

fn row(bar: &Bar, measured: &Measured<'_>) -> Option<Vec<String>> {
    let all = measured.peers(bar);
    let of = |peer: &str| measured.figure(bar, peer);
    bars::verdict([bar.what, bar.workload, bar.ours], (bar.most, bar.of), &all, of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::EchoOptions;
    use crate::load::ServerUse;
    use crate::proc::Cpu;

    const NOTHING: Measured<'_> = Measured { runs: &[], stalled: &[], starts: &[], two: &[] };

    fn run(peer: &str, workload: &'static str, nanos: u64) -> Run {
        let mut report = EchoReport::new(&EchoOptions::default());
        let cpu = Cpu { total: nanos, ..Cpu::default() };
        report.load.server = Some(ServerUse { cpu, messages: 1, resident_kib: 0 });
        Run { workload, peer: peer.into(), round: 0, report }
    }

    fn rows(measured: &Measured<'_>) -> Vec<Vec<String>> {
        BARS.iter().filter_map(|bar| row(bar, measured)).collect()
    }

    #[test]
    fn a_share_of_what_mosquitto_takes() {
        for (ours, verdict) in [(1_600, "yes"), (1_700, "NO")] {
            let runs = [run(MOSQUITTO, "P2", 10_000), run("rmqtt", "P2", 1), run(OURS, "P2", ours)];
            let found = rows(&Measured { runs: &runs, ..NOTHING });
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].last().map(String::as_str), Some(verdict), "{ours}");
        }
    }

    #[test]
    fn starts_are_of_a_million_and_of_ours() {
        let began =
            |peer: &str, retained, killed, seconds| Began { peer: peer.into(), retained, killed, seconds };
        let starts = [
            began(COMMITS, 1_000_000, false, 4.0),
            began(COMMITS, 1_000_000, true, 4.0),
            began(COMMITS, 1_000_000, true, 6.0),
            began(COMMITS, 1_000_000, true, 7.0),
        ];
        let found = rows(&Measured { starts: &starts, ..NOTHING });
        let told: Vec<[&str; 2]> = found.iter().map(|row| [&*row[3], &*row[7]]).collect();
        assert_eq!(told, [["4.00", "yes"], ["6.00", "NO"]]);
        let few = [began(COMMITS, 100_000, false, 0.4)];
        assert!(rows(&Measured { starts: &few, ..NOTHING }).is_empty());
    }

    #[test]
    fn two_workers_are_told_and_not_judged() {
        let two = [("P1", vec![1.2, 1.4, 1.3]), ("P4", vec![0.9])];
        let found = rows(&Measured { two: &two, ..NOTHING });
        let told: Vec<[&str; 2]> = found.iter().map(|row| [&*row[3], &*row[7]]).collect();
        assert_eq!(told, [["1.30", "-"], ["0.90", "-"]]);
    }
}

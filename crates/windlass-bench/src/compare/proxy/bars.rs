//! The figures that were to be reached, and those of this run beside them.

use std::collections::BTreeSet;

use super::super::bars::{self, Of, SHOWN, cost};
use super::super::calls::Counted;
use super::super::figures::{Figures, Run, median};
use super::peers::{OURS, OURS_PLAIN};
use super::slow::Slowed;
use crate::echo::EchoReport;

/// Milliseconds of CPU to pass on 64 MiB, and bytes of user memory of an idle pair.
const BULK_MS: f64 = 30.0;
const IDLE_BYTES: f64 = 1024.0;
/// Calls that take or give bytes, for a round trip; and how many times as long honest clients may wait beside slow
/// ones.
const CALLS: f64 = 4.0;
const SLOWER: f64 = 2.0;

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
    /// System calls that take or give bytes.
    Calls,
    /// The 99th percentile beside slow clients, to that without them.
    Slower,
}

/// All that was measured.
pub(super) struct Measured<'a> {
    pub(super) runs: &'a [Run],
    pub(super) calls: &'a [Counted],
    pub(super) slowed: &'a [Slowed],
}

impl Measured<'_> {
    /// Who was measured on a workload.
    fn peers(&self, workload: &str) -> BTreeSet<&str> {
        let runs = self.runs.iter().map(|run| (run.workload, &*run.peer));
        let calls = self.calls.iter().map(|counted| (counted.workload, &*counted.peer));
        let slowed = self.slowed.iter().map(|slowed| (slowed.workload, &*slowed.peer));
        let all = runs.chain(calls).chain(slowed);
        all.filter(|(its, _)| *its == workload).map(|(_, peer)| peer).collect()
    }

    fn figure(&self, bar: &Bar, peer: &str) -> Option<f64> {
        match bar.figure {
            Figure::OfRuns(figure) => median(&Figures::of(self.runs, bar.workload, peer, peer).each(figure)),
            Figure::Calls => {
                let mut all = self.calls.iter();
                all.find(|one| (one.workload, &*one.peer) == (bar.workload, peer)).map(|one| one.of_bytes)
            }
            Figure::Slower => {
                let all = self.slowed.iter();
                let its = all.filter(|one| (one.workload, &*one.peer) == (bar.workload, peer));
                median(&its.map(Slowed::ratio).collect::<Vec<_>>())
            }
        }
    }
}

/// A message of 1 MiB goes through twice.
fn bulk(report: &EchoReport) -> Option<f64> {
    Some(cost(report)? * 32.0 / 1e3)
}

fn idle(report: &EchoReport) -> Option<f64> {
    Some(report.idle.as_ref()?.bytes_per_connection()?.1)
}

const HAPROXY: &[&str] = &["haproxy-256K", "haproxy-16K", "haproxy-splice"];
/// They tell the backend who asks, as ours does by itself; or do not, as ours then does not.
const TOLD: &[&str] = &["haproxy-told", "nginx-told"];
const PLAIN: &[&str] = &["haproxy", "nginx"];
const NGINX: &[&str] = &["nginx"];
const ALL_OF_TCP: &[&str] = &["haproxy-256K", "haproxy-16K", "haproxy-splice", "nginx"];

/// What has to cost at most so much of what it costs the better of others.
const fn costs(what: &'static str, workload: &'static str, ours: &'static str, of: Of) -> Bar {
    Bar { what, workload, ours, figure: Figure::OfRuns(cost), most: None, of }
}

/// What may be so much at most, and the better of others beside it.
const fn at_most(
    most: f64,
    what: &'static str,
    workload: &'static str,
    ours: &'static str,
    figure: Figure,
) -> Bar {
    let others = if matches!(figure, Figure::Slower) { BESIDE_SLOW_ONES } else { ALL_OF_TCP };
    Bar { what, workload, ours, figure, most: Some(most), of: (SHOWN, others) }
}

const BESIDE_SLOW_ONES: &[&str] = &["haproxy-16K", "haproxy", "nginx"];

const REQUEST: &str = "CPU µs for a request";
const CONNECTION: &str = "CPU µs for a connection and a request";
const DATAGRAM: &str = "CPU µs for a datagram";

const SLOWED: &str = "p99 beside 20,000 slow clients / without";

const BARS: [Bar; 13] = [
    Bar { of: (1.0, HAPROXY), ..at_most(BULK_MS, "CPU ms for 64 MiB", "T2", OURS, Figure::OfRuns(bulk)) },
    at_most(CALLS, "system calls for the bytes of a round trip", "T1", OURS, Figure::Calls),
    at_most(IDLE_BYTES, "bytes of an idle pair", "T4", OURS, Figure::OfRuns(idle)),
    at_most(SLOWER, SLOWED, "S1", OURS, Figure::Slower),
    at_most(SLOWER, SLOWED, "S2", OURS_PLAIN, Figure::Slower),
    costs(REQUEST, "H1", OURS, (0.95, TOLD)),
    costs(REQUEST, "H1", OURS_PLAIN, (0.95, PLAIN)),
    costs(CONNECTION, "H2", OURS, (1.0, TOLD)),
    costs(CONNECTION, "H2", OURS_PLAIN, (1.0, PLAIN)),
    costs(DATAGRAM, "U1", OURS, (1.0, NGINX)),
    costs(DATAGRAM, "U2", OURS, (1.0, NGINX)),
    costs(DATAGRAM, "U3", OURS, (1.0, NGINX)),
    costs(DATAGRAM, "U4", OURS, (1.0, NGINX)),
];

/// The table; nothing, if nothing of ours was measured.
pub(super) fn table(measured: &Measured<'_>) -> Option<String> {
    bars::table(BARS.iter().filter_map(|bar| row(bar, measured)).collect())
}

fn row(bar: &Bar, measured: &Measured<'_>) -> Option<Vec<String>> {
    let all = measured.peers(bar.workload);
    let of = |peer: &str| measured.figure(bar, peer);
    bars::verdict([bar.what, bar.workload, bar.ours], (bar.most, bar.of), &all, of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::EchoOptions;
    use crate::load::ServerUse;
    use crate::proc::Cpu;

    fn run(peer: &str, workload: &'static str, nanos: u64) -> Run {
        let mut report = EchoReport::new(&EchoOptions::default());
        let cpu = Cpu { total: nanos, ..Cpu::default() };
        report.load.server = Some(ServerUse { cpu, messages: 1, resident_kib: 0 });
        Run { workload, peer: peer.into(), round: 0, report }
    }

    fn reached(runs: &[Run]) -> Vec<String> {
        let measured = Measured { runs, calls: &[], slowed: &[] };
        BARS.iter().filter_map(|bar| row(bar, &measured)).filter_map(|row| row.last().cloned()).collect()
    }

    #[test]
    fn the_better_of_the_others_counts() {
        for (ours, verdict) in [(11_300, "yes"), (11_500, "NO")] {
            let runs = [("haproxy-told", 13_000), ("nginx-told", 12_000), ("nginx", 1), (OURS, ours)]
                .map(|(peer, nanos)| run(peer, "H1", nanos));
            assert_eq!(reached(&runs), [verdict], "{ours}");
        }
    }

    #[test]
    fn calls_and_slow_clients_have_bars_of_their_own() {
        let rows = |calls: f64, beside: f64| -> Vec<Vec<String>> {
            let counted = |peer: &str, of_bytes| Counted { workload: "T1", peer: peer.into(), of_bytes };
            let (p99, rates) = ((100.0, beside), (1.0, 1.0));
            let slowed = Slowed { workload: "S1", peer: OURS.into(), p99, rates, bytes: 0.0, served: 0 };
            // That HAProxy does with fewer is shown, and no more.
            let calls = [counted(OURS, calls), counted("haproxy-16K", 1.0)];
            let measured = Measured { runs: &[], calls: &calls, slowed: &[slowed] };
            BARS.iter().filter_map(|bar| row(bar, &measured)).collect()
        };
        let good = rows(4.0, 200.0);
        assert_eq!(good.len(), 2);
        assert_eq!(good[0][4..], ["1.00 (haproxy-16K)", "4.00", "4.00", "yes"]);
        assert_eq!(good[1][3..], ["2.00", "-", "-", "2.00", "yes"]);
        let bad = rows(4.1, 201.0);
        assert!(bad.iter().all(|row| row.last().is_some_and(|last| last == "NO")), "{bad:?}");
    }

    #[test]
    fn a_bar_may_be_a_number_too() {
        // 1 ms for a message of 1 MiB there and back is 32 ms for 64 MiB.
        let slow = [run("haproxy-256K", "T2", 2_000_000), run(OURS, "T2", 1_000_000)];
        assert_eq!(reached(&slow), ["NO"]);
        let fast = [run("haproxy-256K", "T2", 600_000), run(OURS, "T2", 500_000)];
        assert_eq!(reached(&fast), ["yes"]);
        assert_eq!(reached(&fast[..1]), [""; 0]);
    }
}

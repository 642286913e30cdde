//! The figures that were to be reached, and those of this run beside them.

use std::collections::BTreeSet;

use super::super::figures::{Figures, Run, median};
use super::peers::OURS;
use crate::echo::EchoReport;
use crate::text;

/// Milliseconds of CPU to pass on 64 MiB, and bytes of user memory of an idle pair.
const BULK_MS: f64 = 30.0;
const IDLE_BYTES: f64 = 1024.0;

/// One figure of ours beside those of others.
struct Bar {
    what: &'static str,
    workload: &'static str,
    /// Which of ours.
    ours: &'static str,
    figure: fn(&EchoReport) -> Option<f64>,
    /// The most it may be.
    most: Option<f64>,
    of: Of,
}

/// The most it may be of the better of these.
type Of = (f64, &'static [&'static str]);

fn cost(report: &EchoReport) -> Option<f64> {
    report.load.server?.per_message()
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
const OURS_PLAIN: &str = "windlass-plain";

/// What has to cost at most so much of what it costs the better of others.
const fn costs(what: &'static str, workload: &'static str, ours: &'static str, of: Of) -> Bar {
    Bar { what, workload, ours, figure: cost, most: None, of }
}

const REQUEST: &str = "CPU µs for a request";
const CONNECTION: &str = "CPU µs for a connection and a request";
const DATAGRAM: &str = "CPU µs for a datagram";

const BARS: [Bar; 10] = [
    Bar {
        what: "CPU ms for 64 MiB",
        workload: "T2",
        ours: OURS,
        figure: bulk,
        most: Some(BULK_MS),
        of: (1.0, HAPROXY),
    },
    Bar {
        what: "bytes of an idle pair",
        workload: "T4",
        ours: OURS,
        figure: idle,
        most: Some(IDLE_BYTES),
        of: (1.0, &[]),
    },
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
pub(super) fn section(runs: &[Run]) -> String {
    let rows: Vec<Vec<String>> = BARS.iter().filter_map(|bar| row(bar, runs)).collect();
    if rows.is_empty() {
        return String::new();
    }
    let head =
        ["figure", "workload", "of ours", "it has", "the better of the others", "ratio", "bar", "reached"];
    format!("\n## Against the bars\n\n{}", text::table(&head, &rows))
}

fn row(bar: &Bar, runs: &[Run]) -> Option<Vec<String>> {
    let all: BTreeSet<&str> =
        runs.iter().filter(|run| run.workload == bar.workload).map(|run| run.peer.as_str()).collect();
    let of = |peer: &str| median(&Figures::of(runs, bar.workload, peer, peer).each(bar.figure));
    let ours = of(bar.ours)?;
    let (share, others) = bar.of;
    let others = all.iter().filter(|peer| others.contains(*peer));
    let best = others.filter_map(|peer| Some((of(peer)?, *peer))).min_by(|a, b| a.0.total_cmp(&b.0));
    let within = bar.most.is_none_or(|most| ours <= most);
    let beats = best.is_none_or(|(best, _)| ours <= best * share);
    let mut bars: Vec<String> = bar.most.map(text::number).into_iter().collect();
    bars.extend(best.map(|_| format!("{share:.2} of the better")));
    Some(vec![
        bar.what.into(),
        bar.workload.into(),
        bar.ours.into(),
        text::number(ours),
        best.map_or("-".into(), |(best, peer)| format!("{} ({peer})", text::number(best))),
        best.map_or("-".into(), |(best, _)| format!("{:.2}", ours / best)),
        bars.join(", "),
        if within && beats { "yes" } else { "NO" }.into(),
    ])
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
        BARS.iter().filter_map(|bar| row(bar, runs)).filter_map(|row| row.last().cloned()).collect()
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
    fn a_bar_may_be_a_number_too() {
        // 1 ms for a message of 1 MiB there and back is 32 ms for 64 MiB.
        let slow = [run("haproxy-256K", "T2", 2_000_000), run(OURS, "T2", 1_000_000)];
        assert_eq!(reached(&slow), ["NO"]);
        let fast = [run("haproxy-256K", "T2", 600_000), run(OURS, "T2", 500_000)];
        assert_eq!(reached(&fast), ["yes"]);
        assert_eq!(reached(&fast[..1]), [""; 0]);
    }
}

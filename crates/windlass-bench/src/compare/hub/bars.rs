//! What was to be reached. Mosquitto 2.1 and FlashMQ, to which the bars are, are not in Debian; what they took
//! on these workloads beside Debian's mosquitto of then, on one machine, is known. So each bar is a share of
//! what Debian's mosquitto takes in the same run.

use super::super::bars::{Bar, cost};
use super::peers::{COMMITS, MOSQUITTO, OURS};
use crate::echo::EchoReport;

const OTHERS: &[&str] = &[MOSQUITTO];
const DELIVERY: &str = "CPU µs for a delivery";

/// Ours may cost at most so much of what it costs mosquitto.
const fn costs(workload: &'static str, share: f64) -> Bar {
    Bar { what: DELIVERY, workload, ours: OURS, figure: cost, most: None, of: (share, OTHERS) }
}

/// A figure of ours may be so much at most.
const fn most(
    what: &'static str,
    workload: &'static str,
    ours: &'static str,
    figure: fn(&EchoReport) -> Option<f64>,
    most: f64,
) -> Bar {
    Bar { what, workload, ours, figure, most: Some(most), of: (1.0, &[]) }
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

pub(super) const BARS: [Bar; 11] = [
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
    most("p99 µs", "F1", OURS, p99, 8_000.0),
    // FlashMQ's 1.6 µs, where mosquitto took 7.4.
    costs("F2", 0.216),
    // 8,000 a second.
    most("µs from one connection to the next", "C1", OURS, gap, 125.0),
    most("bytes of an idle connection", "M1", OURS, idle, 1024.0),
    // 150,000 a second.
    most("µs from one acknowledgement to the next", "D1", COMMITS, gap, 6.67),
    most("p99 µs", "D1", COMMITS, p99, 5_000.0),
];

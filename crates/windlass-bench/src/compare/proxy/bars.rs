//! The figures that were to be reached, and those of this run beside them.

use super::super::bars::{Bar, Of, cost};
use super::peers::OURS;
use crate::echo::EchoReport;

/// Milliseconds of CPU to pass on 64 MiB, and bytes of user memory of an idle pair.
const BULK_MS: f64 = 30.0;
const IDLE_BYTES: f64 = 1024.0;

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

pub(super) const BARS: [Bar; 10] = [
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

#[cfg(test)]
mod tests {
    use super::super::super::bars::row;
    use super::super::super::figures::Run;
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

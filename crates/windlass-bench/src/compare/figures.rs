//! Runs condensed into figures: medians over the rounds, and ratios within each round.

use serde_json::{Value, json};

use crate::echo::EchoReport;
use crate::text::number;

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

/// The figures of one server on one workload.
pub(crate) struct Figures<'a> {
    pub(crate) runs: &'a [Run],
    pub(crate) workload: &'a str,
    pub(crate) peer: &'a str,
    /// The server that ratios refer to.
    pub(crate) reference: &'a str,
    /// Server and generator share their cores, so that waiting for one is no disturbance.
    pub(crate) shared_cores: bool,
}

impl<'a> Figures<'a> {
    /// The figures of `peer` beside `reference`, each on a core of its own.
    pub(crate) fn of(runs: &'a [Run], workload: &'a str, peer: &'a str, reference: &'a str) -> Figures<'a> {
        Figures { runs, workload, peer, reference, shared_cores: false }
    }

    /// Throughput and cost beside the reference's, in a few words.
    pub(crate) fn brief(&self) -> String {
        let rate = |report: &EchoReport| Some(report.load.per_second());
        let cost = |report: &EchoReport| report.load.server?.per_message();
        format!(
            "{}/s, ratio {}; {} µs CPU, ratio {}",
            self.middle(rate),
            spread(&self.ratios(rate)),
            self.middle(cost),
            spread(&self.ratios(cost))
        )
    }

    fn runs_of<'b>(&'b self, peer: &'b str) -> impl Iterator<Item = &'b Run> {
        self.runs.iter().filter(move |run| run.workload == self.workload && run.peer == peer)
    }

    /// One figure of each round that has it.
    pub(crate) fn each(&self, figure: impl Fn(&EchoReport) -> Option<f64>) -> Vec<f64> {
        self.runs_of(self.peer).filter_map(|run| figure(&run.report)).collect()
    }

    /// The figure divided by the reference's in the same round, for each round that has both and
    /// in which neither was disturbed so much that the ratio would tell about the disturbance.
    pub(crate) fn ratios(&self, figure: impl Fn(&EchoReport) -> Option<f64>) -> Vec<f64> {
        let of_round = |peer, round| {
            let run = self.runs_of(peer).find(|run| run.round == round)?;
            let calm = self.shared_cores || run.report.load.disturbed() <= super::UNUSABLE;
            figure(&run.report).filter(|&value| calm && value > 0.0)
        };
        let rounds = self.runs_of(self.peer).map(|run| run.round);
        rounds
            .filter_map(|round| Some(of_round(self.peer, round)? / of_round(self.reference, round)?))
            .collect()
    }

    /// The median of a figure as text, in a fitting precision.
    pub(crate) fn middle(&self, figure: impl Fn(&EchoReport) -> Option<f64>) -> String {
        median(&self.each(figure)).map_or("-".into(), number)
    }

    /// What went wrong, and in how many rounds.
    pub(crate) fn notes(&self) -> String {
        let mut notes = Vec::new();
        let mut note = |what: &str, unit: &str, figure: fn(&EchoReport) -> f64, over: f64| {
            let rounds = self.each(|report| Some(figure(report)).filter(|&value| value > over));
            if let Some(middle) = median(&rounds) {
                let times = rounds.len();
                let plural = if times == 1 { "" } else { "s" };
                notes.push(format!("{what} {middle:.0}{unit} in {times} round{plural}"));
            }
        };
        note("stalled", "", |report| report.load.stalled as f64, 0.0);
        note("lost", "", |report| report.load.lost as f64, 0.0);
        note("unanswered", "", |report| report.load.unanswered as f64, 0.0);
        note("failed", "", |report| report.load.faults as f64, 0.0);
        let over = if self.shared_cores { f64::INFINITY } else { super::DISTURBED * 100.0 };
        note("disturbed", " %", |report| report.load.disturbed() * 100.0, over);
        notes.join(", ")
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

/// From this many values on, the range that is told leaves out the outer quarters.
const MANY: usize = 12;

/// The median with the lowest and highest value, or of many values the middle half.
pub(crate) fn spread(values: &[f64]) -> String {
    let Some(middle) = median(values) else { return "-".into() };
    if values.len() == 1 {
        return number(middle);
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = if sorted.len() < MANY { 0 } else { sorted.len() / 4 };
    let (low, high) = (sorted[cut], sorted[sorted.len() - 1 - cut]);
    format!("{} ({}–{})", number(middle), number(low), number(high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::EchoOptions;

    fn run(peer: &str, round: usize, messages: u64) -> Run {
        let mut report = EchoReport::new(&EchoOptions::default());
        report.load.messages = messages;
        Run { workload: "W1", peer: peer.into(), round, report }
    }

    fn figures<'a>(runs: &'a [Run], peer: &'a str) -> Figures<'a> {
        Figures { runs, workload: "W1", peer, reference: "epoll", shared_cores: false }
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(spread(&[2000.0, 1000.0, 3000.0]), "2,000 (1,000–3,000)");
        assert_eq!(spread(&[]), "-");
    }

    #[test]
    fn ratios_stay_within_a_round() {
        // The machine is twice as fast in round 1; the server is always a tenth better.
        let runs = [
            run("epoll", 0, 1000),
            run("mio", 0, 1100),
            run("epoll", 1, 2000),
            run("mio", 1, 2200),
            run("mio", 2, 9000),
        ];
        let rate = |report: &EchoReport| Some(report.load.per_second());
        let ratios = figures(&runs, "mio").ratios(rate);
        assert_eq!(ratios.len(), 2, "round 2 has no reference");
        assert!(ratios.iter().all(|ratio| (ratio - 1.1).abs() < 1e-9));
    }

    #[test]
    fn a_stalled_reference_gives_no_ratio() {
        let runs = [run("epoll", 0, 0), run("mio", 0, 100)];
        assert!(figures(&runs, "mio").ratios(|report| Some(report.load.per_second())).is_empty());
    }

    #[test]
    fn a_disturbed_round_gives_no_ratio_unless_cores_are_shared() {
        let mut runs = [run("epoll", 0, 100), run("mio", 0, 100)];
        runs[0].report.load.generator_waited = 0.4;
        let rate = |report: &EchoReport| Some(report.load.per_second());
        assert!(figures(&runs, "mio").ratios(rate).is_empty());
        assert_eq!(Figures { shared_cores: true, ..figures(&runs, "mio") }.ratios(rate), [1.0]);
    }

    #[test]
    fn trouble_is_noted() {
        let mut runs = [run("mio", 0, 10), run("mio", 1, 10)];
        runs[1].report.load.stalled = 8;
        assert_eq!(figures(&runs, "mio").notes(), "stalled 8 in 1 round");
    }
}

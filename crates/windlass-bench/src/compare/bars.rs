//! Figures that were to be reached, and those of a run beside them.

use std::collections::BTreeSet;

use super::figures::{Figures, Run, median};
use crate::echo::EchoReport;
use crate::text;

/// One figure of ours beside those of others.
pub(super) struct Bar {
    pub(super) what: &'static str,
    pub(super) workload: &'static str,
    /// Which of ours.
    pub(super) ours: &'static str,
    pub(super) figure: fn(&EchoReport) -> Option<f64>,
    /// The most it may be.
    pub(super) most: Option<f64>,
    pub(super) of: Of,
}

/// The most it may be of the better of these.
pub(super) type Of = (f64, &'static [&'static str]);

/// CPU of the server for a message, in microseconds.
pub(super) fn cost(report: &EchoReport) -> Option<f64> {
    report.load.server?.per_message()
}

/// The table; nothing, if nothing of ours was measured.
pub(super) fn section(bars: &[Bar], runs: &[Run]) -> String {
    let rows: Vec<Vec<String>> = bars.iter().filter_map(|bar| row(bar, runs)).collect();
    if rows.is_empty() {
        return String::new();
    }
    let head =
        ["figure", "workload", "of ours", "it has", "the better of the others", "ratio", "bar", "reached"];
    format!("\n## Against the bars\n\n{}", text::table(&head, &rows))
}

pub(super) fn row(bar: &Bar, runs: &[Run]) -> Option<Vec<String>> {
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

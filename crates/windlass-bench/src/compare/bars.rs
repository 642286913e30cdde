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

/// A share of others that are only shown.
pub(super) const SHOWN: f64 = f64::INFINITY;

/// CPU of the server for a message, in microseconds.
pub(super) fn cost(report: &EchoReport) -> Option<f64> {
    report.load.server?.per_message()
}

/// The table; nothing, if nothing of ours was measured.
pub(super) fn section(bars: &[Bar], runs: &[Run]) -> String {
    let rows = bars.iter().filter_map(|bar| row(bar, runs)).collect();
    table(rows).map(|table| format!("\n## Against the bars\n\n{table}")).unwrap_or_default()
}

/// These rows under their head; `None` without any.
pub(super) fn table(rows: Vec<Vec<String>>) -> Option<String> {
    let head =
        ["figure", "workload", "of ours", "it has", "the better of the others", "ratio", "bar", "reached"];
    (!rows.is_empty()).then(|| text::table(&head, &rows))
}

fn row(bar: &Bar, runs: &[Run]) -> Option<Vec<String>> {
    let all = runs.iter().filter(|run| run.workload == bar.workload).map(|run| run.peer.as_str()).collect();
    let of = |peer: &str| median(&Figures::of(runs, bar.workload, peer, peer).each(bar.figure));
    verdict([bar.what, bar.workload, bar.ours], (bar.most, bar.of), &all, of)
}

/// A row: what it is of, on which workload and of which of ours; the most it may be, and of others; who was measured,
/// and what came of each.
pub(super) fn verdict(
    [what, workload, ours]: [&str; 3],
    (most, (share, others)): (Option<f64>, Of),
    all: &BTreeSet<&str>,
    of: impl Fn(&str) -> Option<f64>,
) -> Option<Vec<String>> {
    let name = ours;
    let ours = of(name)?;
    let others = all.iter().filter(|peer| others.contains(*peer));
    let best = others.filter_map(|peer| Some((of(peer)?, *peer))).min_by(|a, b| a.0.total_cmp(&b.0));
    let within = most.is_none_or(|most| ours <= most);
    let beats = best.is_none_or(|(best, _)| share == SHOWN || ours <= best * share);
    let mut bars: Vec<String> = most.map(text::number).into_iter().collect();
    bars.extend(best.filter(|_| share != SHOWN).map(|_| format!("{share:.2} of the better")));
    Some(vec![
        what.into(),
        workload.into(),
        name.into(),
        text::number(ours),
        best.map_or("-".into(), |(best, peer)| format!("{} ({peer})", text::number(best))),
        best.map_or("-".into(), |(best, _)| format!("{:.2}", ours / best)),
        bars.join(", "),
        if within && beats { "yes" } else { "NO" }.into(),
    ])
}

//! Figures that were to be reached, and those of a run beside them.

use std::collections::BTreeSet;

use crate::echo::EchoReport;
use crate::text;

/// The most it may be of the better of these.
pub(super) type Of = (f64, &'static [&'static str]);

/// A share of others that are only shown.
pub(super) const SHOWN: f64 = f64::INFINITY;

/// CPU of the server for a message, in microseconds.
pub(super) fn cost(report: &EchoReport) -> Option<f64> {
    report.load.server?.per_message()
}

/// These rows under their head; `None` without any.
pub(super) fn table(rows: Vec<Vec<String>>) -> Option<String> {
    let head =
        ["figure", "workload", "of ours", "it has", "the better of the others", "ratio", "bar", "reached"];
    (!rows.is_empty()).then(|| text::table(&head, &rows))
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
        if bars.is_empty() { "-".into() } else { bars.join(", ") },
        match (bars.is_empty(), within && beats) {
            (true, _) => "-",
            (false, true) => "yes",
            (false, false) => "NO",
        }
        .into(),
    ])
}

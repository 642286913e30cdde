//! Rules of a hub: from their tables to sinks, and what those have counted. `outlet` is the queue before a sink and the
//! thread behind it, `file` and `webhook` are the two kinds.

mod file;
mod line;
pub(crate) mod outlet;
pub(crate) mod webhook;

use std::sync::Arc;
use std::time::Duration;

use windlass_hub::rules::{Rule, Rules};

use crate::config::hub::HubTable;
use crate::config::rule::RuleTable;
use outlet::{Counts, Outlet};

/// The rules of one hub, and where they lead. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Made {
    tables: Vec<RuleTable>,
    outlets: Vec<Arc<Outlet>>,
    pub(crate) rules: Rules,
}

impl Made {
    /// Those of a table. What is as it was `before` goes on, with all that waits there.
    pub(crate) fn of(table: &HubTable, before: &Made) -> Made {
        if table.rule == before.tables {
            return before.clone();
        }
        let kept = before.tables.iter().zip(&before.outlets);
        let mut kept: Vec<_> = kept.map(|(table, outlet)| (table, outlet.clone())).collect();
        let outlet = |rule: &RuleTable| match kept.iter().position(|(before, _)| *before == rule) {
            Some(at) => kept.swap_remove(at).1,
            None => Arc::new(Outlet::new(&table.name, rule)),
        };
        let outlets: Vec<_> = table.rule.iter().map(outlet).collect();
        let rules = table.rule.iter().zip(&outlets).filter_map(|(rule, outlet)| {
            // A filter that is none was a problem of the file.
            let made = Rule::new(rule.called(), rule.filter.as_str(), outlet.clone()).ok()?;
            Some(match rule.test() {
                Some(test) => made.test(test),
                None => made,
            })
        });
        Made { rules: Rules::new(rules.collect()), tables: table.rule.clone(), outlets }
    }

    /// What each has counted, by its name.
    pub(crate) fn counts(&self) -> Vec<(String, Counts)> {
        self.tables.iter().zip(&self.outlets).map(|(rule, it)| (rule.called().into(), it.counts())).collect()
    }

    /// The process ends: what waits is tried once more, for so long at most.
    pub(crate) fn finish(&self, within: Duration) {
        let until = std::time::Instant::now() + within;
        self.outlets.iter().for_each(|outlet| outlet.close());
        self.outlets.iter().for_each(|outlet| outlet.wait(until));
    }
}

#[cfg(test)]
#[path = "../../tests/rules.rs"]
mod tests;

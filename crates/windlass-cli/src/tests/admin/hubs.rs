//! That Prometheus is told of all that a hub counts.

use std::collections::BTreeSet;

use super::*;
use crate::admin::metrics::Format;

#[test]
fn all_that_a_hub_counts_is_told_and_by_its_practice() {
    let told: usize = OF_HUBS.iter().map(|family| family.values.len()).sum();
    // The sum of times is in the histogram.
    assert_eq!(told, HubStats::default().entries().count() - 1, "something is not told, or twice");
    let mut seen = BTreeSet::new();
    for family in OF_HUBS {
        assert!(seen.insert(family.name), "{} is there twice", family.name);
        assert!(!family.name.ends_with("_total") && family.help.ends_with('.'), "{}", family.name);
    }
}

#[test]
fn hubs_rules_and_commits_are_told_by_name() {
    let hub = Counted {
        name: "mqtt".into(),
        stats: HubStats::default(),
        commits: windlass_hub::journal::Latency::default(),
        is_durable: true,
        rules: vec![("hot".into(), Counts { delivered: 3, queue_full: 2, ..Counts::default() })],
    };
    let text = Page::new(Format::Prometheus).hubs(&[hub]).text;
    for line in [
        "windlass_hub_messages_received_total{hub=\"mqtt\",qos=\"1\"} 0",
        "windlass_hub_rule_delivered_total{hub=\"mqtt\",rule=\"hot\"} 3",
        "windlass_hub_rule_dropped_total{hub=\"mqtt\",rule=\"hot\",reason=\"queue_full\"} 2",
        "windlass_hub_journal_commit_duration_seconds_bucket{hub=\"mqtt\",le=\"+Inf\"} 0",
        "windlass_hub_journal_commit_duration_seconds_bucket{hub=\"mqtt\",le=\"0.001024\"} 0",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
    }
    assert_eq!(Page::new(Format::Prometheus).hubs(&[]).text, "");
}

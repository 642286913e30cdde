//! That Prometheus is told of all that a game counts.

use std::collections::BTreeSet;

use super::*;
use crate::admin::metrics::Format;

#[test]
fn all_that_a_game_counts_is_told_and_by_its_practice() {
    // Alone: some are told as a part of a sum or of a difference.
    const VALUE: u64 = 4_711;
    let none = GameStats::default();
    let names = none.entries().map(|(name, _)| name);
    let untold = names.filter(|name| {
        let mut stats = GameStats::default();
        stats.entries_mut().filter(|(its, _)| its == name).for_each(|(_, value)| *value = VALUE);
        let text = Page::new(Format::Prometheus).games(&[("arena".into(), stats, Vec::new())]).text;
        !text.lines().any(|line| line.ends_with(&format!(" {VALUE}")))
    });
    assert_eq!(untold.collect::<Vec<_>>(), [""; 0], "told to nobody");
    let families = OF_GAMES.iter().map(|(name, _, help, ..)| (name, help));
    let families = families.chain(OF_ROOMS.iter().map(|(name, _, help, _)| (name, help)));
    let mut seen = BTreeSet::new();
    for (name, help) in families {
        assert!(seen.insert(name), "{name} is there twice");
        assert!(!name.ends_with("_total") && help.ends_with('.'), "{name}");
    }
    for (name, .., values) in OF_GAMES {
        let labels: BTreeSet<&str> = values.iter().map(|(label, _)| *label).collect();
        assert_eq!(labels.len(), values.len(), "{name} has a label twice");
    }
}

#[test]
fn games_are_told_by_name_and_nothing_where_there_is_none() {
    let mut stats = GameStats::default();
    stats.ticks_skipped = 3;
    stats.lateness.add(std::time::Duration::from_micros(100));
    let text = Page::new(Format::Prometheus).games(&[("arena".into(), stats, Vec::new())]).text;
    for line in [
        "windlass_game_ticks_total{game=\"arena\",outcome=\"skipped\"} 3",
        "windlass_game_tick_lateness_seconds_bucket{game=\"arena\",le=\"0.000064\"} 0",
        "windlass_game_tick_lateness_seconds_bucket{game=\"arena\",le=\"0.000128\"} 1",
        "windlass_game_tick_lateness_seconds_bucket{game=\"arena\",le=\"+Inf\"} 1",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
    }
    assert_eq!(Page::new(Format::Prometheus).games(&[]).text, "");
}

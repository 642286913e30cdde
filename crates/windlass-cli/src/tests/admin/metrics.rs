//! The list of metrics against the counters, and the two formats.

use std::collections::BTreeSet;

use super::*;

#[test]
fn every_counter_of_the_engine_is_told_once_and_no_other() {
    let mut told = Vec::new();
    for family in FAMILIES {
        match &family.samples {
            One(name) | Seconds(name) => told.push(*name),
            Each(_, list) => told.extend(list.iter().map(|(name, _)| *name)),
            Parts(whole, _, list) => {
                told.push(whole);
                told.extend(list.iter().map(|(name, _)| *name));
            }
            Closes | TlsFailures => {}
        }
    }
    let names: BTreeSet<&str> = told.iter().copied().collect();
    assert_eq!(names.len(), told.len(), "a counter is told twice");
    let counters = Counters::default();
    let all: BTreeSet<&str> = counters.entries().map(|(name, _)| name).collect();
    assert_eq!(names, all);
}

#[test]
fn names_follow_the_practice() {
    let mut seen = BTreeSet::new();
    for family in FAMILIES {
        assert!(seen.insert(family.name), "{} is there twice", family.name);
        assert!(!family.name.ends_with("_total") && family.help.ends_with('.'), "{}", family.name);
        assert!(family.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", family.name);
    }
}

#[test]
fn the_format_is_what_the_scraper_asks_for() {
    for (accept, format) in [
        ("", Format::Prometheus),
        ("*/*", Format::Prometheus),
        ("text/plain;version=0.0.4", Format::Prometheus),
        ("application/openmetrics-text; version=1.0.0; q=0.9, text/plain; q=0.5", Format::OpenMetrics),
        ("application/openmetrics-text;q=0", Format::Prometheus),
    ] {
        assert_eq!(Format::accepted(accept), format, "{accept}");
    }
}

#[test]
fn labels_are_escaped() {
    let mut page = Page::new(Format::Prometheus);
    page.sample("x", &[("a", "b\"c\\d\ne"), ("f", "g")], 1.5);
    assert_eq!(page.text, "x{a=\"b\\\"c\\\\d\\ne\",f=\"g\"} 1.5\n");
}

//! Every limit of the engine can be set, and mistakes are answered.

use std::time::Duration;

use super::*;

#[test]
fn every_limit_of_the_engine_is_a_key() {
    let keys: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    let names: Vec<&str> = Limits::NAMES.iter().map(|(name, _)| *name).collect();
    assert_eq!(keys, names);
}

#[test]
fn the_default_of_every_limit_can_be_typed_back() {
    let mut limits = Limits::default();
    for key in KEYS {
        let shown = (key.show)(&limits);
        assert!(Setting::parse(&format!("{}={shown}", key.name)).is_ok(), "{}={shown}", key.name);
        (key.read)(&mut limits, &shown).unwrap();
    }
    assert_eq!(limits, Limits::default());
}

#[test]
fn settings_apply_in_order() {
    let settings =
        ["idle_timeout=10s", "output_max=1MiB", "when_full=shed", "connections_max=10k", "idle_timeout=2m"];
    let settings: Vec<Setting> = settings.iter().map(|text| Setting::parse(text).ok().unwrap()).collect();
    let wanted = Limits {
        idle_timeout: Duration::from_secs(120),
        output_max: 1 << 20,
        when_full: WhenFull::Shed,
        connections_max: 10_000,
        ..Limits::default()
    };
    assert_eq!(apply(Limits::default(), &settings), wanted);
}

#[test]
fn mistakes_are_answered() {
    for (text, answer) in [
        ("idle_timeot=10s", "did you mean `idle_timeout`?"),
        ("colour=red", "accept_burst_max"),
        ("idle_timeout", "KEY=VALUE"),
        ("idle_timeout=10", "10s"),
        ("output_max=lots", "64KiB"),
        ("connections_max=-1", "10_000"),
        ("when_full=panic", "`wait` or `shed`"),
        ("backlog_max=5000M", "too large"),
    ] {
        let said = Setting::parse(text).err().unwrap_or_else(|| panic!("{text} is taken"));
        assert!(said.contains(answer), "{text}: {said}");
    }
}

#[test]
fn the_table_keeps_to_its_width() {
    let table = table(&Limits::default(), 80);
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    for (name, _) in Limits::NAMES {
        assert!(table.lines().any(|line| line.starts_with(&format!("{name} "))), "{name}");
    }
}

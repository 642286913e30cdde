//! Any topics and filters, one a line: `cargo +nightly fuzz run mqtt_topics`. Filters, kept in a tree, are found by
//! the topics that a search through a list finds them by, and the reverse; taken out again they leave nothing.
#![no_main]

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use windlass::proto::mqtt::{Filter, Matched, Retained, Subscriptions, Topic, TreeLimits};

fuzz_target!(|text: &str| {
    let limits = TreeLimits { levels_max: 64, ..TreeLimits::default() };
    let shallow = |line: &&str| line.split('/').count() <= limits.levels_max;
    let lines: BTreeSet<&str> = text.lines().filter(shallow).collect();
    let topics: Vec<Topic<'_>> = lines.iter().filter_map(|line| Topic::new(line).ok()).collect();
    let filters: Vec<Filter<'_>> = lines.iter().filter_map(|line| Filter::new(line).ok()).collect();
    let mut tree = Subscriptions::new(limits);
    let mut retained = Retained::new(limits);
    for filter in &filters {
        assert!(tree.insert(*filter, 0, *filter).is_ok_and(|before| before.is_none()));
    }
    for topic in &topics {
        assert!(retained.insert(*topic, *topic).is_ok_and(|before| before.is_none()));
    }
    for topic in &topics {
        let mut found = BTreeSet::new();
        tree.matching(*topic, |matched| match matched {
            Matched::Own(_, filter) => assert!(found.insert(*filter)),
            Matched::Group(group) => group.iter().for_each(|(_, filter)| assert!(found.insert(*filter))),
        });
        let expected: BTreeSet<Filter<'_>> =
            filters.iter().copied().filter(|filter| filter.matches(*topic)).collect();
        assert_eq!(found, expected);
    }
    for filter in &filters {
        let mut found = BTreeSet::new();
        retained.matching(*filter, |topic| {
            assert!(found.insert(*topic));
            ControlFlow::Continue(())
        });
        let expected: BTreeSet<Topic<'_>> =
            topics.iter().copied().filter(|topic| filter.matches(*topic)).collect();
        assert_eq!(found, expected);
    }
    for filter in &filters {
        assert!(tree.remove(*filter, &0).is_some());
    }
    for topic in &topics {
        assert!(retained.remove(*topic).is_some());
    }
    assert_eq!((tree.nodes(), retained.nodes()), (0, 0));
});

//! Trees of topics against a list that is searched through.

use core::ops::ControlFlow;

use super::*;
use crate::testing::Rng;

/// Few names, so that they meet.
fn any_topic(rng: &mut Rng) -> String {
    let mut text = String::new();
    for level in 0..=rng.below(4) {
        if level > 0 {
            text.push('/');
        }
        text += ["", "a", "b", "$x", "ab"][rng.below(5) as usize];
    }
    if text.is_empty() { "a".into() } else { text }
}

fn any_filter(rng: &mut Rng) -> String {
    let mut text = String::new();
    let depth = rng.below(4);
    for level in 0..=depth {
        if level > 0 {
            text.push('/');
        }
        text += match rng.below(8) {
            0 | 1 => "+",
            2 if level == depth => "#",
            _ => ["", "a", "b", "$x", "ab"][rng.below(5) as usize],
        };
    }
    if text.is_empty() {
        text.push('+');
    }
    match rng.below(6) {
        0 => format!("$share/g/{text}"),
        1 => format!("$share/h/{text}"),
        _ => text,
    }
}

#[test]
fn subscriptions_are_those_a_list_has() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mut tree = Subscriptions::new(TreeLimits::default());
        let mut list: Vec<(String, u32, u64)> = Vec::new();
        for step in 0..300_u64 {
            let (text, key) = (any_filter(&mut rng), rng.below(5) as u32);
            let place = list.iter().position(|(other, owner, _)| *other == text && *owner == key);
            if rng.chance(3, 5) {
                let before = tree.insert(filter(&text), key, step).unwrap();
                assert_eq!(before, place.map(|at| list.swap_remove(at).2), "[MQTT-3.8.4-3]");
                list.push((text, key, step));
            } else {
                // [MQTT-3.10.4-1]: only the very filter.
                let removed = tree.remove(filter(&text), &key);
                assert_eq!(removed, place.map(|at| list.swap_remove(at).2), "seed {seed}");
            }
            assert_eq!(tree.len(), list.len());

            let name = any_topic(&mut rng);
            let name = topic(&name);
            let mut found: Vec<(u32, u64)> = Vec::new();
            tree.matching(name, |matched| match matched {
                Matched::Own(key, value) => found.push((*key, *value)),
                Matched::Group(group) => found.extend(group.iter().map(|(key, value)| (*key, *value))),
            });
            found.sort_unstable();
            let mut expected: Vec<(u32, u64)> = list
                .iter()
                .filter(|(text, ..)| filter(text).matches(name))
                .map(|(_, key, value)| (*key, *value))
                .collect();
            expected.sort_unstable();
            assert_eq!(found, expected, "{name:?}, seed {seed}");
        }
        for (text, key, value) in list {
            assert_eq!(tree.get(filter(&text), &key), Some(&value));
            assert_eq!(tree.remove(filter(&text), &key), Some(value));
        }
        assert_eq!((tree.len(), tree.nodes()), (0, 0), "nothing is left over, seed {seed}");
    }
}

#[test]
fn retained_messages_are_those_a_list_has() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mut tree = Retained::new(TreeLimits::default());
        let mut list: Vec<(String, u64)> = Vec::new();
        for step in 0..300_u64 {
            let text = any_topic(&mut rng);
            let place = list.iter().position(|(other, _)| *other == text);
            let before = place.map(|at| list.swap_remove(at).1);
            if rng.chance(3, 5) {
                assert_eq!(tree.insert(topic(&text), step).unwrap(), before);
                list.push((text, step));
            } else {
                assert_eq!(tree.remove(topic(&text)), before);
            }
            assert_eq!(tree.len(), list.len());
            let text = any_filter(&mut rng);
            let pattern = filter(&text);
            let mut found = Vec::new();
            tree.matching(pattern, |value| {
                found.push(*value);
                ControlFlow::Continue(())
            });
            found.sort_unstable();
            let matching = list.iter().filter(|(text, _)| pattern.matches(topic(text)));
            let mut expected: Vec<u64> = matching.map(|(_, value)| *value).collect();
            expected.sort_unstable();
            assert_eq!(found, expected, "{pattern:?}, seed {seed}");
            // Whoever has enough stops.
            let mut few = 0;
            tree.matching(pattern, |_| {
                few += 1;
                if few == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            assert_eq!(few, expected.len().min(2));
        }
        for (text, value) in list {
            *tree.get_mut(topic(&text)).unwrap() += 1;
            assert_eq!(tree.get(topic(&text)), Some(&(value + 1)));
            assert_eq!(tree.remove(topic(&text)), Some(value + 1));
        }
        assert_eq!((tree.len(), tree.nodes()), (0, 0), "nothing is left over, seed {seed}");
    }
}

/// In steps of any size, while messages come and go: what is there all the time is found once.
#[test]
fn a_search_goes_on_where_it_stopped() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let mut tree = Retained::new(TreeLimits::default());
        let mut kept: Vec<String> = Vec::new();
        let change = |tree: &mut Retained<String>, kept: &mut Vec<String>, rng: &mut Rng| {
            let text = any_topic(rng);
            match kept.iter().position(|other| *other == text) {
                Some(at) => {
                    kept.swap_remove(at);
                    assert_eq!(tree.remove(topic(&text)), Some(text));
                    None
                }
                None => {
                    tree.insert(topic(&text), text.clone()).unwrap();
                    kept.push(text.clone());
                    Some(text)
                }
            }
        };
        for _ in 0..100 {
            change(&mut tree, &mut kept, &mut rng);
        }
        let text = any_filter(&mut rng);
        let pattern = filter(&text);
        let (mut always, mut came) = (kept.clone(), Vec::new());
        let mut found: Vec<String> = Vec::new();
        let quiet = rng.chance(1, 3);
        let mut scan = tree.scan(pattern);
        let mut other = tree.scan(filter("#"));
        assert_eq!(scan.pattern(), pattern.pattern());
        while !tree.proceed(&mut scan, rng.below(4) as usize, |value| found.push(value.clone())) {
            if !quiet {
                came.extend(change(&mut tree, &mut kept, &mut rng));
                always.retain(|text| kept.contains(text));
            }
            tree.proceed(&mut other, 1, |_| {});
        }
        // What was there all the time, without what went and came again.
        always.retain(|text| !came.contains(text) && pattern.matches(topic(text)));
        for text in &always {
            let times = found.iter().filter(|other| *other == text).count();
            assert_eq!(times, 1, "{text} by {pattern:?}, seed {seed}");
        }
        assert!(found.iter().all(|text| pattern.matches(topic(text))));
        assert!(!quiet || found.len() == always.len());
        tree.end(scan);
        tree.end(other);
        for text in kept {
            tree.remove(topic(&text)).unwrap();
        }
        assert_eq!((tree.len(), tree.nodes()), (0, 0), "nothing is left over, seed {seed}");
    }
}

/// What a search keeps goes with the last one, each place once, whatever hangs on what.
#[test]
fn places_go_with_the_last_search() {
    let mut tree = Retained::new(TreeLimits::default());
    let names: Vec<String> = (1..40).map(|depth| ["a"; 40][..depth].join("/")).collect();
    for name in &names {
        tree.insert(topic(name), ()).unwrap();
    }
    let (one, two) = (tree.scan(filter("#")), tree.scan(filter("a/#")));
    for name in &names {
        tree.remove(topic(name)).unwrap();
        // One comes and goes as often as it likes.
        tree.insert(topic(name), ()).unwrap();
        tree.remove(topic(name)).unwrap();
    }
    tree.end(two);
    assert_eq!((tree.len(), tree.nodes()), (0, 39));
    tree.insert(topic("a/a"), ()).unwrap();
    tree.end(one);
    assert_eq!((tree.len(), tree.nodes()), (1, 2), "what is kept again stays");
}

/// Section 4.8.2 of 5.0: each message to one of them; in turns, and whoever cannot is passed over.
#[test]
fn members_of_a_group_take_turns() {
    let mut tree = Subscriptions::new(TreeLimits::default());
    for key in [1, 2, 3] {
        tree.insert(filter("$share/g/a"), key, ()).unwrap();
    }
    tree.insert(filter("$share/other/a"), 9, ()).unwrap();
    let mut next = |absent: u32| {
        let mut chosen = Vec::new();
        tree.matching(topic("a"), |matched| match matched {
            Matched::Own(..) => panic!("nobody's own"),
            Matched::Group(group) => {
                chosen.extend(group.next(|key, ()| *key != absent).map(|(key, ())| *key));
            }
        });
        assert_eq!(chosen.last(), Some(&9), "groups do not know of each other");
        chosen[0]
    };
    assert_eq!([next(0), next(0), next(0), next(0)], [1, 2, 3, 1]);
    assert_eq!([next(2), next(2), next(2)], [3, 1, 3]);
    let mut nobody = true;
    tree.matching(topic("a"), |matched| {
        if let Matched::Group(group) = matched {
            nobody &= group.next(|_, ()| false).is_none();
        }
    });
    assert!(nobody);
    // A group is as good as another filter.
    assert_eq!(tree.remove(filter("a"), &1), None);
    assert_eq!(tree.remove(filter("$share/g/a"), &1), Some(()));
}

#[test]
fn limits_hold_and_leave_nothing_behind() {
    let limits = TreeLimits { levels_max: 3, nodes_max: 4 };
    let mut tree = Subscriptions::new(limits);
    assert_eq!(tree.insert(filter("a/b/c/d"), 1, ()), Err(TreeError::TooDeep));
    assert_eq!(tree.insert(filter("a/b/c"), 1, ()), Ok(None));
    assert_eq!(tree.insert(filter("x/y"), 1, ()), Err(TreeError::Full));
    assert_eq!((tree.nodes(), tree.len()), (3, 1));
    assert_eq!(tree.insert(filter("a/b/+"), 1, ()), Ok(None));
    assert_eq!(tree.insert(filter("a/b/c"), 2, ()), Ok(None), "no new level");
    assert_eq!(tree.remove(filter("a/b/c"), &1), Some(()));
    assert_eq!(tree.remove(filter("a/b/c"), &2), Some(()));
    assert_eq!(tree.insert(filter("x"), 1, ()), Ok(None), "a place is free again");
    // Under lower limits what is there stays, and is no more when it is added again.
    tree.insert(filter("a/b/+"), 2, ()).unwrap();
    tree.set_limits(TreeLimits { levels_max: 1, nodes_max: 1 });
    assert_eq!(tree.insert(filter("a/b/+"), 2, ()), Ok(Some(())));
    assert_eq!(tree.insert(filter("y"), 1, ()), Err(TreeError::Full));
    assert_eq!(tree.insert(filter("x/y"), 1, ()), Err(TreeError::TooDeep));
    assert_eq!(tree.remove(filter("a/b/+"), &2), Some(()));
    tree.set_limits(limits);
    // A topic may be as deep as it likes: the search is not.
    let deep = "a/".repeat(30_000);
    let mut found = 0;
    tree.insert(filter("#"), 1, ()).unwrap_err();
    tree.remove(filter("x"), &1);
    tree.insert(filter("#"), 1, ()).unwrap();
    tree.matching(topic(&deep), |_| found += 1);
    assert_eq!(found, 1);
    // As deep as a tree goes, whatever is asked for.
    let mut deepest = Subscriptions::new(TreeLimits { levels_max: usize::MAX, ..TreeLimits::default() });
    let (name, pattern) = (["a"; 1024].join("/"), ["+"; 1024].join("/"));
    deepest.insert(filter(&pattern), 1, ()).unwrap();
    let mut found = 0;
    deepest.matching(topic(&name), |_| found += 1);
    assert_eq!(found, 1);
    assert_eq!(deepest.insert(filter(&["+"; 1025].join("/")), 1, ()), Err(TreeError::TooDeep));
}

#[test]
fn a_search_for_all_finds_what_no_wildcard_is_for() {
    let mut tree = Retained::new(TreeLimits::default());
    let topics = ["a", "a/b", "$x/y", "$", "z/$w"];
    for name in topics {
        tree.insert(topic(name), name).unwrap();
    }
    for (all, expected) in [(false, &["a", "a/b", "z/$w"][..]), (true, &["$", "$x/y", "a", "a/b", "z/$w"])] {
        let mut scan = if all { tree.scan_all() } else { tree.scan(filter("#")) };
        let mut found = Vec::new();
        while !tree.proceed(&mut scan, 2, |value| found.push(*value)) {}
        tree.end(scan);
        found.sort_unstable();
        assert_eq!(found, expected);
    }
}

/// Level by level everything is found that a search for all finds, and nothing else.
#[test]
fn who_goes_down_level_by_level_finds_all() {
    let mut rng = Rng::new(7);
    let mut tree = Retained::new(TreeLimits::default());
    let mut list = alloc::collections::BTreeSet::new();
    for _ in 0..200 {
        let name = any_topic(&mut rng);
        tree.insert(topic(&name), name.clone()).unwrap();
        list.insert(name);
    }
    // Places that wait for the end of a search are not shown.
    let scan = tree.scan_all();
    let gone = list.pop_first().unwrap();
    tree.remove(topic(&gone));
    let mut found = alloc::collections::BTreeSet::new();
    let mut waiting = Vec::from([None]);
    while let Some(above) = waiting.pop() {
        let all = tree.children(above.as_deref(), usize::MAX, |child| {
            let full = match &above {
                Some(above) => format!("{above}/{}", child.name),
                None => String::from(child.name),
            };
            assert!(child.value.is_some() || child.has_children, "{full}");
            if let Some(value) = child.value {
                assert_eq!(*value, full);
                assert!(found.insert(full.clone()));
            }
            if child.has_children {
                waiting.push(Some(full));
            }
        });
        assert!(all);
    }
    tree.end(scan);
    assert_eq!(found, list);
    let mut few = 0;
    assert!(!tree.children(None, 1, |_| few += 1), "there are more");
    assert_eq!(few, 1);
    assert!(tree.children(Some("nowhere/at/all"), 1, |_| panic!()));
}

/// What a search costs depends on the topic's depth and the wildcards on its way, not on how many filters there are.
#[test]
fn a_search_costs_what_its_topic_is_deep() {
    let mut tree = Subscriptions::new(TreeLimits::default());
    let cost = |tree: &mut Subscriptions<u32, ()>, name: &str| {
        let (before, mut found) = (tree.lookups(), 0);
        tree.matching(topic(name), |_| found += 1);
        (tree.lookups() - before, found)
    };
    for (key, pattern) in (0..).zip(["a/b/c/d", "a/+/c/d", "a/b/#", "x/y"]) {
        tree.insert(filter(pattern), key, ()).unwrap();
    }
    // Four levels, of which two are looked at on both ways; and one that nobody has below.
    assert_eq!(cost(&mut tree, "a/b/c/d"), (6, 3));
    assert_eq!(cost(&mut tree, "z/b/c/d"), (1, 0));
    for n in 0..20_000 {
        for pattern in [format!("a/b/c/{n}"), format!("a/{n}/c/d"), format!("{n}/b/c/d"), format!("{n}/+/#")]
        {
            tree.insert(filter(&pattern), n, ()).unwrap();
        }
    }
    assert_eq!(cost(&mut tree, "a/b/c/d"), (6, 3));
    assert_eq!(cost(&mut tree, "z/b/c/d"), (1, 0));
    let deep = "a/".repeat(1_000) + "a";
    assert!(cost(&mut tree, &deep).0 <= 4, "no further than filters go");
}

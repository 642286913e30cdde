//! What is divided at the start, and that what follows lives in it.

use super::*;
use crate::config::shape::ServerTable;
use crate::config::value::{Count, Listen};

fn at(address: &str) -> Vec<Listen> {
    vec![Listen(address.parse().unwrap())]
}

fn with_hubs(memory: usize, hubs: &[(&str, usize)]) -> File {
    let table = |(name, most): &(&str, usize)| crate::config::hub::HubTable {
        name: (*name).into(),
        listen: at("127.0.0.1:0"),
        memory_max: Size(*most),
        ..Default::default()
    };
    File {
        server: ServerTable { memory: Size(memory), workers: Count(1), ..ServerTable::default() },
        hub: hubs.iter().map(table).collect(),
        ..File::default()
    }
}

fn bounds(file: &File) -> Vec<usize> {
    file.hub.iter().map(|hub| hub.memory_max.0).collect()
}

/// What comes of `new` on a server that was started with `old`: the bounds, what waits for a restart, the mistakes.
fn follows(old: File, mut new: File) -> (File, Vec<String>, usize) {
    let before = divided(old).unwrap();
    let (engine, mut restart) = (of_engine(&before), Vec::new());
    let mistakes = follow(&mut new, &before, engine, &mut restart);
    (new, restart, mistakes.len())
}

const MIB: usize = 1 << 20;

#[test]
fn a_reload_leaves_the_bounds_that_were_divided() {
    let (file, restart, mistakes) =
        follows(with_hubs(8 * MIB, &[("one", 0)]), with_hubs(8 * MIB, &[("one", 0)]));
    assert_eq!((bounds(&file), restart, mistakes), (vec![4 * MIB], vec![], 0));
    let started = divided(with_hubs(8 * MIB, &[("one", 0)])).unwrap();
    assert!(file.hub[0].packet_max.0 < 100_000, "what no read can hold is not taken");
    assert!(file.hub == started.hub, "so nothing of it has changed");
}

#[test]
fn another_bound_waits_for_the_next_start() {
    let old = || with_hubs(8 * MIB, &[("one", MIB)]);
    let (file, restart, _) = follows(old(), with_hubs(8 * MIB, &[("one", 2 * MIB)]));
    assert_eq!((bounds(&file), restart), (vec![MIB], vec!["memory_max of the hub one".to_string()]));
    let (file, restart, _) = follows(with_hubs(0, &[("one", MIB)]), with_hubs(0, &[("one", 0)]));
    assert_eq!((bounds(&file), restart.len()), (vec![MIB], 1), "to have none too");
    let (_, restart, _) = follows(old(), old());
    assert!(restart.is_empty());
}

#[test]
fn another_hub_has_what_others_leave_or_is_refused() {
    let old = || with_hubs(8 * MIB, &[("one", 0), ("two", 0)]);
    let (_, _, mistakes) = follows(old(), with_hubs(8 * MIB, &[("one", 0), ("two", 0), ("three", 0)]));
    assert_eq!(mistakes, 1);
    let (file, restart, mistakes) = follows(old(), with_hubs(8 * MIB, &[("one", 0), ("three", 0)]));
    assert_eq!((bounds(&file), restart.len(), mistakes), (vec![2 * MIB, 2 * MIB], 0, 0));
    let (_, _, mistakes) = follows(old(), with_hubs(8 * MIB, &[("one", 0), ("three", 3 * MIB)]));
    assert_eq!(mistakes, 1, "more than is left");
    let (file, _, mistakes) = follows(with_hubs(0, &[("one", 0)]), with_hubs(0, &[("one", 0), ("two", 0)]));
    assert_eq!(
        (bounds(&file), mistakes),
        (vec![0, 0], 0),
        "without a budget there is nothing to be short of"
    );
}

#[test]
fn what_it_takes_is_said_of_all_of_it_and_is_enough() {
    for hubs in [&[("one", 0)][..], &[("one", 0), ("two", 0)], &[("one", 3 * MIB)], &[("one", 50_000)]] {
        let too_little = divided(with_hubs(100 << 10, hubs)).unwrap();
        let said = memory_plan(&too_little).unwrap_err().to_string();
        assert!(said.contains("memory (102400 bytes) is too little"), "{said}");
        let mut words = said.split(": it takes ").nth(1).unwrap().split(' ');
        let kib: usize = words.next().unwrap().parse().unwrap();
        assert!(memory_plan(&divided(with_hubs(kib << 10, hubs)).unwrap()).is_ok(), "{said}");
        let less = divided(with_hubs((kib - 64) << 10, hubs)).unwrap();
        assert!(memory_plan(&less).is_err(), "a step less would have done: {said}");
    }
}

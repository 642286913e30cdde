//! Lists, hashes, sets: what they hold and weigh.

use windlass_proto::testing::Rng;

use super::*;

#[test]
fn a_key_has_one_type() {
    let mut store = store(StoreConfig::default());
    store.edit(b"l", true, 10, |list: &mut List| list.push_back(b"x")).unwrap();
    assert_eq!(store.view::<Vec<u8>>(b"l").err(), Some(StoreError::WrongType));
    assert_eq!(store.edit(b"l", true, 0, |_: &mut Box<Hash>| ()), Err(StoreError::WrongType));
    assert_eq!(store.view::<List>(b"l").unwrap().map(List::len), Some(1));
    assert_eq!(store.view::<List>(b"none").unwrap().map(List::len), None);
    assert_eq!(store.edit(b"none", false, 0, |_: &mut List| ()), Ok(None));
    assert_eq!(store.get(b"l").unwrap().value().type_name(), "list");
}

#[test]
fn an_emptied_collection_is_gone() {
    let mut store = store(StoreConfig::default());
    store.edit(b"l", true, 10, |list: &mut List| list.push_back(b"x")).unwrap();
    store.edit(b"l", false, 0, |list: &mut List| list.pop_front()).unwrap();
    assert_eq!((store.len(), store.used_bytes()), (0, 0));
    store.edit(b"s", true, 0, |_: &mut Box<Set>| ()).unwrap();
    assert!(store.is_empty(), "one that was left empty as well");
}

/// Every operation of every type, at random: the weight kept is the weight counted, and what is emptied
/// weighs nothing.
#[test]
fn weights_hold_through_any_change() {
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let mut store = store(StoreConfig::default());
        for _ in 0..500 {
            let mut bytes = [0; 40];
            rng.fill(&mut bytes);
            // Few different ones, so that they are found again.
            let element = vec![rng.below(6) as u8; rng.below(4) as usize];
            let long = &bytes[..rng.below(40) as usize];
            let key = [rng.below(3) as u8];
            let at = rng.below(5) as usize;
            let which = rng.below(7);
            let _ = match rng.below(4) {
                0 => store.edit(&[b'l', key[0]], true, 100, |list: &mut List| match which {
                    0 => list.push_front(long),
                    1 => list.push_back(&element),
                    2 => drop(list.pop_front()),
                    3 => drop(list.remove(at)),
                    4 => drop(list.set(at, long)),
                    5 => list.insert(at, &element),
                    _ => drop((list.remove_equal(&element, 2, at == 1), list.trim(0, 50))),
                }),
                1 => store.edit(&[b'h', key[0]], true, 100, |hash: &mut Box<Hash>| match which {
                    0..4 => drop(hash.set(&element, long)),
                    _ => drop(hash.remove(&element)),
                }),
                2 => store.edit(&[b's', key[0]], true, 100, |set: &mut Box<Set>| match which {
                    0..4 => drop(set.add(&element)),
                    4 => drop(set.take_at(at)),
                    _ => drop(set.remove(&element)),
                }),
                _ => store.edit(&[b'z', key[0]], true, 100, |set: &mut Box<SortedSet>| match which {
                    0..4 => drop(set.set(&element, Score::new(at as f64).unwrap())),
                    4 => drop(set.pop_first()),
                    5 => drop(set.pop_last()),
                    _ => drop(set.remove(&element)),
                }),
            };
            holds_together(&store);
        }
        let keys: Vec<Vec<u8>> = store.iter().map(|(key, _)| key.to_vec()).collect();
        for key in keys {
            let _ = store.edit(&key, false, 0, |list: &mut List| while list.pop_back().is_some() {});
            let _ = store.edit(&key, false, 0, |set: &mut Box<Set>| while set.take_at(0).is_some() {});
            let _ = store.edit(&key, false, 0, |set: &mut Box<SortedSet>| while set.pop_last().is_some() {});
            let _ = store.edit(&key, false, 0, |hash: &mut Box<Hash>| {
                while let Some(field) = hash.at(0).map(|(field, _)| field.to_vec()) {
                    hash.remove(&field);
                }
            });
        }
        assert_eq!((store.len(), store.used_bytes()), (0, 0), "seed {seed}");
    }
}

#[test]
fn a_sorted_set_is_in_order() {
    let mut set = SortedSet::default();
    let score = |n: f64| Score::new(n).unwrap();
    assert!(set.set(b"b", score(2.0)) && set.set(b"a", score(2.0)) && set.set(b"c", score(-1.0)));
    assert!(!set.set(b"c", score(3.0)), "not a new one");
    let order: Vec<_> = set.iter().map(|(member, score)| (member.to_vec(), score.get())).collect();
    assert_eq!(order, [(b"a".to_vec(), 2.0), (b"b".to_vec(), 2.0), (b"c".to_vec(), 3.0)]);
    assert_eq!(set.range(score(2.5), score(f64::INFINITY)).count(), 1);
    assert_eq!(set.range(score(2.0), score(2.0)).count(), 2);
    assert_eq!(set.range(score(3.0), score(2.0)).count(), 0, "upside down");
    assert_eq!(set.range(score(f64::NEG_INFINITY), score(f64::INFINITY)).count(), 3);
    set.set(b"d", score(f64::INFINITY));
    assert_eq!(set.range(score(9.0), score(f64::INFINITY)).count(), 1);
    assert_eq!(Score::new(f64::NAN), None);
    assert_eq!(Score::new(-0.0), Score::new(0.0));
}

//! Keys: set, found, expired, renamed, walked.

use std::collections::BTreeSet;

use windlass_proto::testing::Rng;

use super::*;

fn text(store: &mut Store, key: &[u8]) -> Option<String> {
    store.get(key).and_then(|entry| entry.bytes()).map(|bytes| String::from_utf8_lossy(bytes).into())
}

#[test]
fn what_is_set_is_found_with_its_flags_and_a_new_version() {
    let mut store = store(StoreConfig::default());
    store.set(b"a", b"one", 7, Expiry::Never).unwrap();
    let (flags, first) = store.get(b"a").map(|entry| (entry.flags(), entry.version())).unwrap();
    assert_eq!(flags, 7);
    store.set(b"a", b"two", 0, Expiry::Never).unwrap();
    assert_eq!(text(&mut store, b"a").as_deref(), Some("two"));
    assert!(store.get(b"a").unwrap().version() > first);
    assert_eq!(text(&mut store, b"b"), None);
    assert_eq!((store.stats().hits, store.stats().misses), (3, 1));
    assert!(store.remove(b"a") && !store.remove(b"a"));
    assert_eq!((store.len(), store.used_bytes()), (0, 0));
}

#[test]
fn a_key_ends_at_its_deadline_and_not_before() {
    let mut store = store(StoreConfig::default());
    store.set(b"a", b"1", 0, Expiry::At(1_000_500)).unwrap();
    store.set_now(1_000_499);
    store.set(b"a", b"2", 0, Expiry::Keep).unwrap();
    assert_eq!(store.deadline(b"a"), Some(Some(1_000_500)));
    store.set_now(1_000_500);
    assert_eq!(text(&mut store, b"a"), None);
    assert_eq!((store.len(), store.stats().expired), (0, 1));
    // What is kept of a deadline that has passed is nothing.
    store.set(b"a", b"1", 0, Expiry::At(1_000_600)).unwrap();
    store.set_now(1_000_600);
    store.set(b"a", b"2", 0, Expiry::Keep).unwrap();
    assert_eq!(store.deadline(b"a"), Some(None));
    store.set(b"a", b"3", 0, Expiry::At(5)).unwrap();
    assert!(!store.contains(b"a"), "a deadline in the past removes the key");
    holds_together(&store);
}

#[test]
fn deadlines_are_set_and_taken_back() {
    let mut store = store(StoreConfig::default());
    assert!(!store.expire(b"a", Some(2_000_000)));
    store.set(b"a", b"1", 0, Expiry::Never).unwrap();
    assert!(store.expire(b"a", Some(2_000_000)));
    assert_eq!((store.deadline(b"a"), store.volatile_len()), (Some(Some(2_000_000)), 1));
    assert!(store.expire(b"a", None));
    assert_eq!((store.deadline(b"a"), store.volatile_len()), (Some(None), 0));
    assert!(store.expire(b"a", Some(1)));
    assert_eq!((store.deadline(b"a"), store.len()), (None, 0));
}

#[test]
fn the_sweep_finds_what_nobody_asks_for() {
    let mut store = store(StoreConfig::default());
    for n in 0..20_000u32 {
        let expiry = if n % 2 == 0 { Expiry::At(1_000_001 + u64::from(n)) } else { Expiry::Never };
        store.set(&n.to_be_bytes(), b"x", 0, expiry).unwrap();
    }
    store.set_now(2_000_000);
    let mut sweeps = 0;
    while store.volatile_len() > 0 {
        store.sweep();
        sweeps += 1;
        assert!(sweeps < 100, "{} are left", store.volatile_len());
    }
    assert_eq!((store.len(), store.stats().expired), (10_000, 10_000));
    assert_eq!(store.sweep(), 0);
    holds_together(&store);
}

#[test]
fn renaming_and_copying_take_everything_along() {
    let mut store = store(StoreConfig::default());
    store.set(b"a", b"1", 3, Expiry::At(2_000_000)).unwrap();
    store.set(b"b", b"longer", 0, Expiry::Never).unwrap();
    assert_eq!(store.rename(b"a", b"b"), Ok(true));
    assert_eq!(store.rename(b"a", b"b"), Ok(false));
    assert_eq!((text(&mut store, b"b").as_deref(), store.deadline(b"b")), (Some("1"), Some(Some(2_000_000))));
    assert_eq!(store.copy(b"b", b"c"), Ok(true));
    assert_eq!((store.get(b"c").unwrap().flags(), store.len()), (3, 2));
    holds_together(&store);
    store.clear();
    holds_together(&store);
}

#[test]
fn limits_on_sizes() {
    let mut store = store(StoreConfig { key_max: 3, value_max: 5, ..StoreConfig::default() });
    assert_eq!(store.set(b"four", b"", 0, Expiry::Never), Err(StoreError::KeyTooLong { max: 3 }));
    assert_eq!(store.set(b"a", b"sixsix", 0, Expiry::Never), Err(StoreError::ValueTooLong { max: 5 }));
    assert_eq!(
        store.edit(b"four", true, 1, |bytes: &mut Vec<u8>| bytes.push(1)),
        Err(StoreError::KeyTooLong { max: 3 })
    );
    assert!(store.is_empty());
}

/// Whatever comes and goes meanwhile, a key that is there all the time is met.
#[test]
fn a_walk_meets_every_key_that_stays() {
    for seed in 0..100 {
        let mut rng = Rng::new(seed);
        let mut store = store(StoreConfig::default());
        for n in 0..500u32 {
            store.set(&n.to_be_bytes(), b"", 0, Expiry::Never).unwrap();
        }
        let (mut met, mut gone) = (BTreeSet::new(), BTreeSet::new());
        let mut cursor = 0;
        loop {
            cursor = store.scan(cursor, 7, |key, _| {
                met.insert(key.to_vec());
            });
            if cursor == 0 {
                break;
            }
            for _ in 0..rng.below(8) {
                let key = (rng.below(600) as u32).to_be_bytes();
                if rng.chance(1, 2) {
                    store.remove(&key);
                    gone.insert(key.to_vec());
                } else {
                    store.set(&key, b"", 0, Expiry::Never).unwrap();
                }
            }
        }
        for n in 0..500u32 {
            let key = n.to_be_bytes().to_vec();
            assert!(met.contains(&key) || gone.contains(&key), "seed {seed}: {n} was not met");
        }
    }
}

#[test]
fn random_keys_are_all_there_is() {
    let mut store = store(StoreConfig::default());
    assert_eq!(store.random_key(), None);
    for n in 0..4u8 {
        store.set(&[n], b"", 0, Expiry::Never).unwrap();
    }
    let drawn: BTreeSet<Vec<u8>> = (0..200).map(|_| store.random_key().unwrap().to_vec()).collect();
    assert_eq!(drawn.len(), 4);
}

//! Memory: the limit holds, and the policy says who goes.

use super::*;

const MAX: usize = 100_000;

fn limited(eviction: Eviction) -> Store {
    store(StoreConfig { memory_max: MAX, eviction, seed: 7, ..StoreConfig::default() })
}

fn fill(store: &mut Store, keys: u32, expiry: impl Fn(u32) -> Expiry) -> u32 {
    let mut refused = 0;
    for n in 0..keys {
        store.set_now(1_000_000 + u64::from(n) * 1_000);
        refused += u32::from(store.set(&n.to_be_bytes(), &[0; 100], 0, expiry(n)).is_err());
        assert!(store.used_bytes() <= MAX);
    }
    holds_together(store);
    refused
}

#[test]
fn without_eviction_writes_are_refused_and_nothing_is_lost() {
    let mut store = limited(Eviction::None);
    let refused = fill(&mut store, 1_000, |_| Expiry::Never);
    assert!(refused > 400 && store.stats().evicted == 0, "{refused}");
    assert_eq!((store.len() as u32 + refused, store.stats().refused), (1_000, u64::from(refused)));
    let edit = store.edit(b"new", true, 300, |bytes: &mut Vec<u8>| bytes.push(1));
    assert_eq!(edit, Err(StoreError::OutOfMemory));
    assert!(!store.contains(b"new"));
    // What takes no more room than it had still can be set.
    assert_eq!(store.set(&0u32.to_be_bytes(), &[1; 100], 0, Expiry::Never), Ok(()));
}

#[test]
fn what_never_fits_evicts_nothing() {
    let mut store = limited(Eviction::AllKeysLru);
    fill(&mut store, 100, |_| Expiry::Never);
    assert_eq!(store.set(b"huge", &vec![0; MAX], 0, Expiry::Never), Err(StoreError::OutOfMemory));
    assert_eq!(store.len(), 100);
}

#[test]
fn the_least_recently_used_go() {
    let mut store = limited(Eviction::AllKeysLru);
    for n in 0..2_000u32 {
        store.set_now(1_000_000 + u64::from(n) * 1_000);
        store.set(&n.to_be_bytes(), &[0; 100], 0, Expiry::Never).unwrap();
        assert!(store.get(&0u32.to_be_bytes()).is_some(), "the one in use stays: {n}");
    }
    let stays = |store: &mut Store, from: u32| {
        (from..from + 100).filter(|n| store.contains(&n.to_be_bytes())).count()
    };
    assert_eq!(stays(&mut store, 1_900), 100, "the latest");
    assert_eq!(stays(&mut store, 100), 0, "the oldest");
    holds_together(&store);
}

#[test]
fn the_next_deadline_goes_first() {
    let mut store = limited(Eviction::VolatileTtl);
    // Every second key lives for ever, the others the longer the older they are.
    let refused = fill(&mut store, 600, |n| match n % 2 {
        0 => Expiry::Never,
        _ => Expiry::At(100_000_000 - u64::from(n)),
    });
    assert_eq!(refused, 0);
    assert_eq!((0..600u32).filter(|n| n % 2 == 0 && store.contains(&n.to_be_bytes())).count(), 300);
    let newest = (501..600u32).filter(|n| n % 2 == 1 && store.contains(&n.to_be_bytes())).count();
    let oldest = (0..100u32).filter(|n| n % 2 == 1 && store.contains(&n.to_be_bytes())).count();
    assert!(oldest > newest, "{oldest} of the oldest, {newest} of the newest");
}

#[test]
fn where_nothing_is_volatile_nothing_goes() {
    for eviction in [Eviction::VolatileLru, Eviction::VolatileRandom, Eviction::VolatileTtl] {
        let mut store = limited(eviction);
        assert!(fill(&mut store, 1_000, |_| Expiry::Never) > 400);
        let mut store = limited(eviction);
        assert_eq!(fill(&mut store, 1_000, |_| Expiry::At(100_000_000)), 0);
        assert!(store.stats().evicted > 400);
    }
    let mut store = limited(Eviction::AllKeysRandom);
    assert_eq!(fill(&mut store, 1_000, |_| Expiry::Never), 0);
}

#[test]
fn what_has_expired_makes_room_under_every_policy() {
    for eviction in Eviction::ALL {
        let mut store = limited(eviction);
        fill(&mut store, 300, |_| Expiry::At(1_400_000));
        store.set_now(2_000_000);
        assert_eq!(store.set(b"large", &vec![0; MAX / 2], 0, Expiry::Never), Ok(()), "{}", eviction.name());
        assert_eq!(store.stats().evicted, 0);
        assert_eq!(Eviction::from_name(eviction.name()), Some(eviction));
    }
}

#[test]
fn growing_a_value_may_cost_itself() {
    let mut store = limited(Eviction::AllKeysLru);
    store.set(b"a", &[0; 1_000], 0, Expiry::Never).unwrap();
    for _ in 0..200 {
        let grown = store.edit(b"a", true, 1_000, |bytes: &mut Vec<u8>| {
            bytes.reserve_exact(1_000);
            bytes.extend([0; 1_000]);
        });
        assert!(grown.is_ok() && store.used_bytes() <= MAX);
    }
    holds_together(&store);
}

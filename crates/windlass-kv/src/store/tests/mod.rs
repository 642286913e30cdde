//! Tests of the store.

mod collections;
mod keys;
mod room;

use super::*;

fn store(config: StoreConfig) -> Store {
    let mut store = Store::new(config);
    store.set_now(1_000_000);
    store
}

/// What the entries weigh, and how many have a deadline, counted anew.
fn recount(store: &Store) -> (usize, usize) {
    let weight = store.map.iter().map(|(key, entry)| entry.weight(key.len())).sum();
    (weight, store.map.values().filter(|entry| entry.deadline != 0).count())
}

#[track_caller]
fn holds_together(store: &Store) {
    assert_eq!((store.used, store.volatile), recount(store));
}

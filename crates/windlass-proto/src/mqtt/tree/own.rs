//! The subscriptions of one filter that are nobody else's: mostly one, and then nothing is allocated for it.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

/// By whose they are. A map of several is behind a pointer, so that most nodes of the tree do without its place.
#[derive(Clone, Default)]
#[allow(clippy::box_collection, reason = "every node has one: two words, and few of them are maps")]
pub(super) enum Own<K, V> {
    #[default]
    None,
    One(K, V),
    Many(Box<BTreeMap<K, V>>),
}

impl<K: Ord + Clone, V> Own<K, V> {
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match core::mem::take(self) {
            Own::None => {
                *self = Own::One(key, value);
                None
            }
            Own::One(of, before) if of == key => {
                *self = Own::One(key, value);
                Some(before)
            }
            Own::One(of, other) => {
                *self = Own::Many(Box::new(BTreeMap::from([(of, other), (key, value)])));
                None
            }
            Own::Many(mut all) => {
                let before = all.insert(key, value);
                *self = Own::Many(all);
                before
            }
        }
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        match core::mem::take(self) {
            Own::None => None,
            Own::One(of, value) if of == *key => Some(value),
            one @ Own::One(..) => {
                *self = one;
                None
            }
            Own::Many(mut all) => {
                let removed = all.remove(key);
                if all.len() == 1
                    && let Some((key, value)) = all.pop_first()
                {
                    *self = Own::One(key, value);
                } else {
                    *self = Own::Many(all);
                }
                removed
            }
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        match self {
            Own::One(of, value) if of == key => Some(value),
            Own::Many(all) => all.get(key),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn each(&self, mut visit: impl FnMut(&K, &V)) {
        match self {
            Own::None => {}
            Own::One(key, value) => visit(key, value),
            Own::Many(all) => all.iter().for_each(|(key, value)| visit(key, value)),
        }
    }
}

impl<K, V> Own<K, V> {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Own::None)
    }
}

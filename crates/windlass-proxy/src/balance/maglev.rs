//! Maglev hashing ("Maglev: A Fast and Reliable Software Network Load Balancer", Eisenbud and others, 2016,
//! section 3.4), with weights: a table in which every backend has its share of places, by its key alone.
//!
//! Neither the order of the configuration nor anything that happens on a machine is in it, so that several
//! nodes with the same backends send a client to the same one.

use super::hash::{hash, mix};
use super::{Bound, Candidate, source};

/// Places in the table: a prime, so that every backend's steps come by all of them. At 100 backends of one
/// weight their shares differ by less than two percent.
pub(crate) const PLACES: usize = 65_537;
/// Nobody has the place yet.
const FREE: u32 = u32::MAX;

/// The table of a group: made once for all workers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Maglev {
    places: Vec<u32>,
}

impl Maglev {
    /// The table for backends of these keys and weights; those that weigh nothing have no place in it.
    pub(crate) fn new(backends: &[(&str, u32)]) -> Maglev {
        // By key and not by position: the order of the configuration says nothing.
        let mut order: Vec<usize> = (0..backends.len()).filter(|n| backends[*n].1 > 0).collect();
        order.sort_by_key(|n| backends[*n].0);
        let Some(heaviest) = order.iter().map(|n| u64::from(backends[*n].1)).max() else {
            return Maglev::default();
        };
        let step = |key: &str| {
            let (offset, skip) = (hash(key.as_bytes()), mix(hash(key.as_bytes()) ^ u64::from(u32::MAX)));
            ((offset % PLACES as u64) as usize, (skip % (PLACES as u64 - 1) + 1) as usize)
        };
        let mut walkers: Vec<(usize, usize)> = order.iter().map(|n| step(backends[*n].0)).collect();
        let mut places = vec![FREE; PLACES];
        let mut left = PLACES;
        // In each round the heaviest take one place, the others as often as their weight lets them.
        for round in 1u64.. {
            for (at, n) in order.iter().enumerate() {
                let weight = u64::from(backends[*n].1);
                if round * weight / heaviest == (round - 1) * weight / heaviest {
                    continue;
                }
                let (mut place, skip) = walkers[at];
                while places[place] != FREE {
                    place = (place + skip) % PLACES;
                }
                places[place] = *n as u32;
                walkers[at].0 = (place + skip) % PLACES;
                left -= 1;
                if left == 0 {
                    return Maglev { places };
                }
            }
        }
        Maglev { places }
    }

    /// The backend for `key`: that of its place, or of the first place after it whose backend is open and
    /// within its bound, so that who stands in for one that is gone is a different one for every place.
    pub(crate) fn find(&self, candidates: &[Candidate], key: u64, bound: &Bound) -> Option<usize> {
        if self.places.is_empty() || !candidates.iter().any(|candidate| candidate.open) {
            return None;
        }
        let start = (mix(key) % PLACES as u64) as usize;
        let mut walk = (start..PLACES).chain(0..start).map(|place| self.places[place] as usize);
        let found = walk.find(|n| {
            candidates.get(*n).is_some_and(|candidate| candidate.open && bound.has_room(candidate))
        });
        // Beside much heavier ones a backend may have no place at all.
        found.or_else(|| source(candidates, key, bound))
    }

    /// Who has each place.
    #[cfg(test)]
    pub(super) fn places(&self) -> &[u32] {
        &self.places
    }
}

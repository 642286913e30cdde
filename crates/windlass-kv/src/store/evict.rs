//! Making room: which keys go when memory is full.

use super::{Eviction, Store, StoreError};

/// Keys drawn for each that is evicted. Redis draws five and keeps a pool of good ones between draws;
/// ten without a pool choose about as well.
const SAMPLES: usize = 10;
/// Positions looked at to find keys with a deadline among many without.
const LOOKS_MAX: usize = 256;

impl Store {
    /// Evicts until `grows` more bytes fit.
    pub(super) fn make_room(&mut self, grows: usize) -> Result<(), StoreError> {
        let max = self.config.memory_max;
        // What will never fit empties nothing.
        if grows > max {
            self.stats.refused += 1;
            return Err(StoreError::OutOfMemory);
        }
        while self.used + grows > max {
            let Some(at) = self.victim() else {
                self.stats.refused += 1;
                return Err(StoreError::OutOfMemory);
            };
            let evicted = self.remove_at(at);
            if evicted.is_expired(self.now) {
                self.stats.expired += 1;
            } else {
                self.stats.evicted += 1;
            }
        }
        Ok(())
    }

    /// The position of the key to go; one that has expired, if one is drawn.
    fn victim(&mut self) -> Option<usize> {
        let (eviction, clock) = (self.config.eviction, self.clock());
        let volatile_only = match eviction {
            Eviction::AllKeysLru | Eviction::AllKeysRandom => false,
            Eviction::VolatileLru | Eviction::VolatileRandom | Eviction::VolatileTtl => true,
            // What has expired may go under every policy.
            Eviction::None => true,
        };
        if self.map.is_empty() || (volatile_only && self.volatile == 0) {
            return None;
        }
        let mut best: Option<(usize, u64)> = None;
        let mut drawn = 0;
        for _ in 0..LOOKS_MAX {
            let at = self.dice.below(self.map.len());
            let (_, entry) = self.map.get_index(at)?;
            if entry.is_expired(self.now) {
                return Some(at);
            }
            if eviction == Eviction::None || (volatile_only && entry.deadline == 0) {
                continue;
            }
            // The larger, the sooner it goes.
            let worth = match eviction {
                Eviction::AllKeysRandom | Eviction::VolatileRandom => return Some(at),
                Eviction::VolatileTtl => u64::MAX - entry.deadline,
                _ => u64::from(clock.wrapping_sub(entry.used_at)),
            };
            if best.is_none_or(|(_, most)| worth > most) {
                best = Some((at, worth));
            }
            drawn += 1;
            if drawn == SAMPLES {
                break;
            }
        }
        best.map(|(at, _)| at)
    }
}

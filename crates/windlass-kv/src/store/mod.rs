//! The store: keys, values, expiry, a memory cap. Both protocols speak to this one, and it knows neither.
//!
//! One [`Store`] is one keyspace and lives on one worker, so nothing in it is locked. It reads no clock:
//! [`Store::set_now`] says what time it is, in Unix milliseconds, before anything else is asked in a turn.
//! Read `value` for what a key can hold, `evict` for what happens when memory is full, `expire` for how
//! keys end, `walk` for how one goes through all of them in steps.
//!
//! Keys stand in an [`IndexMap`]: a hash table of positions over a dense array. The array is what makes
//! the rest simple: a random key is a random position, and a walk from the back to the front meets every
//! key that is there all the time, although removing one moves the last into its place. The hash is
//! keyed by the system's randomness, so nobody can choose keys that collide.

mod config;
mod dice;
mod error;
mod evict;
mod expire;
mod kind;
mod list;
mod sorted;
mod value;
mod walk;

#[cfg(test)]
mod tests;

pub use config::{Eviction, StoreConfig};
pub use error::StoreError;
pub use kind::Kind;
pub use list::List;
pub use sorted::{Score, SortedSet};
pub use value::{Entry, Hash, Set, Value};
pub(crate) use walk::scan;

use std::hash::RandomState;

use dice::Dice;
use indexmap::IndexMap;

/// One keyspace. See the [module](self).
///
/// ```
/// use windlass_kv::store::{Expiry, Store, StoreConfig};
///
/// let mut store = Store::new(StoreConfig::default());
/// store.set_now(1_000);
/// store.set(b"greeting", b"hello", 0, Expiry::At(1_500))?;
/// assert_eq!(store.get(b"greeting").and_then(|entry| entry.bytes()), Some(&b"hello"[..]));
/// store.set_now(1_500);
/// assert!(store.get(b"greeting").is_none());
/// # Ok::<(), windlass_kv::store::StoreError>(())
/// ```
pub struct Store {
    map: IndexMap<Box<[u8]>, Entry, RandomState>,
    now: u64,
    /// What all entries weigh.
    used: usize,
    used_peak: usize,
    /// How many entries have a deadline.
    volatile: usize,
    /// Names every state a value was ever in.
    version: u64,
    sweep_at: usize,
    dice: Dice,
    config: StoreConfig,
    stats: StoreStats,
}

/// When a value that is set expires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expiry {
    /// Never: a deadline it had is forgotten.
    Never,
    /// When it would have expired before.
    Keep,
    /// At this time, in Unix milliseconds. One that has passed removes the key.
    At(u64),
}

/// What a store counts, from its beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct StoreStats {
    /// Lookups that found their key.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Keys that reached their deadline.
    pub expired: u64,
    /// Keys removed to make room for others.
    pub evicted: u64,
    /// Writes refused because no room could be made.
    pub refused: u64,
    /// Writes: what `CAS` of memcached and `INFO` of Redis count as changes.
    pub changes: u64,
}

impl Store {
    /// An empty one.
    pub fn new(config: StoreConfig) -> Store {
        Store {
            map: IndexMap::default(),
            now: 0,
            used: 0,
            used_peak: 0,
            volatile: 0,
            version: 0,
            sweep_at: 0,
            dice: Dice::new(config.seed),
            config,
            stats: StoreStats::default(),
        }
    }

    /// Says what time it is, in Unix milliseconds: the time of all that is asked until the next call.
    #[inline]
    pub fn set_now(&mut self, unix_ms: u64) {
        self.now = unix_ms;
    }

    /// The time [`Store::set_now`] said last.
    #[inline]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Bounds it otherwise from now on. What is stored stays, whatever it takes: room is made by whatever is
    /// written next, as `eviction` says.
    pub fn set_bounds(&mut self, memory_max: usize, value_max: usize, eviction: Eviction) {
        (self.config.memory_max, self.config.value_max) = (memory_max, value_max);
        self.config.eviction = eviction;
    }

    /// What bounds it.
    pub fn config(&self) -> &StoreConfig {
        &self.config
    }

    /// What it counts.
    pub fn stats(&self) -> StoreStats {
        self.stats
    }

    /// Forgets what was counted.
    pub fn reset_stats(&mut self) {
        self.stats = StoreStats::default();
    }

    /// The highest version given so far: after a write that went well, its own.
    #[inline]
    pub fn last_version(&self) -> u64 {
        self.version
    }

    /// How many keys there are, those included that have expired and were not looked at since.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// How many keys have a deadline.
    pub fn volatile_len(&self) -> usize {
        self.volatile
    }

    /// Bytes in use: keys, values and what the tables hold for them, as counted against
    /// [`StoreConfig::memory_max`]. What the allocator adds to each piece is an estimate.
    pub fn used_bytes(&self) -> usize {
        self.used
    }

    /// The most bytes that were ever in use.
    pub fn used_peak_bytes(&self) -> usize {
        self.used_peak
    }

    /// What is stored under a key. Counts as a use of it, and as a hit or a miss.
    #[inline]
    pub fn get(&mut self, key: &[u8]) -> Option<&Entry> {
        let Some(at) = self.find(key) else {
            self.stats.misses += 1;
            return None;
        };
        self.stats.hits += 1;
        let clock = self.clock();
        let entry = &mut self.map[at];
        entry.used_at = clock;
        Some(entry)
    }

    /// The same, but not as a use: nothing is counted.
    pub fn peek(&mut self, key: &[u8]) -> Option<&Entry> {
        self.find(key).map(|at| &self.map[at])
    }

    /// Whether there is such a key; no use of it.
    pub fn contains(&mut self, key: &[u8]) -> bool {
        self.find(key).is_some()
    }

    /// A value of one type, to look at: `None` if there is no such key.
    ///
    /// # Errors
    ///
    /// [`StoreError::WrongType`] if it is of another type.
    pub fn view<K: Kind>(&mut self, key: &[u8]) -> Result<Option<&K>, StoreError> {
        match self.get(key) {
            None => Ok(None),
            Some(entry) => K::of(&entry.value).map(Some).ok_or(StoreError::WrongType),
        }
    }

    /// Sets a key to bytes, whatever it held, with the flags that memcached keeps beside them.
    ///
    /// # Errors
    ///
    /// If key or value are too long, or there is no room: the key keeps what it held.
    #[inline]
    pub fn set(&mut self, key: &[u8], value: &[u8], flags: u32, expiry: Expiry) -> Result<(), StoreError> {
        self.check_sizes(key.len(), value.len())?;
        if matches!(expiry, Expiry::At(at) if at <= self.now) {
            self.remove(key);
            self.next_version();
            return Ok(());
        }
        // No lookup while there is room for certain.
        let weight = Entry::weight_of(key.len(), value.len());
        if self.used + weight > self.config.memory_max {
            let old = self.find(key).map_or(0, |at| self.weight_at(at));
            self.make_room(weight.saturating_sub(old))?;
        }
        let (now, version, clock) = (self.now, self.next_version(), self.clock());
        match self.map.get_mut(key) {
            Some(entry) => {
                let before = entry.weight(key.len());
                let expired = entry.is_expired(now);
                let old = entry.deadline;
                entry.deadline = match expiry {
                    Expiry::Keep if !expired => old,
                    Expiry::At(at) => at,
                    _ => 0,
                };
                (entry.flags, entry.version, entry.used_at) = (flags, version, clock);
                match &mut entry.value {
                    Value::Bytes(bytes) if bytes.capacity() / 4 <= value.len() + 64 => {
                        bytes.clear();
                        bytes.reserve_exact(value.len());
                        bytes.extend_from_slice(value);
                    }
                    other => *other = Value::Bytes(value.to_vec()),
                }
                self.volatile = self.volatile + usize::from(entry.deadline != 0) - usize::from(old != 0);
                let after = entry.weight(key.len());
                self.stats.expired += u64::from(expired);
                self.reweigh(before, after);
            }
            None => {
                let deadline = if let Expiry::At(at) = expiry { at } else { 0 };
                self.insert(key.into(), Value::Bytes(value.to_vec()), deadline, flags);
            }
        }
        Ok(())
    }

    /// Changes a value of one type, which is made, empty, if there is none and `make` says so. `grows` is
    /// how many bytes it will weigh more, at most: the room is made before. A list, hash or set that is
    /// left empty is removed.
    ///
    /// `None` if there is no such key and none is made.
    ///
    /// # Errors
    ///
    /// If the value is of another type, the key is too long, or there is no room: nothing has changed then.
    pub fn edit<K: Kind, R>(
        &mut self,
        key: &[u8],
        make: bool,
        grows: usize,
        change: impl FnOnce(&mut K) -> R,
    ) -> Result<Option<R>, StoreError> {
        let mut at = self.find(key);
        if let Some(at) = at
            && K::of(&self.map[at].value).is_none()
        {
            return Err(StoreError::WrongType);
        }
        if at.is_none() && !make {
            return Ok(None);
        }
        self.check_sizes(key.len(), 0)?;
        let new = if at.is_some() { 0 } else { Entry::weight_of(key.len(), 0) };
        if grows + new > 0 && self.used + grows + new > self.config.memory_max {
            self.make_room(grows + new)?;
            // It may have been the one that had to go.
            at = self.find(key);
            if at.is_none() && !make {
                return Ok(None);
            }
        }
        let at = match at {
            Some(at) => at,
            None => self.insert(key.into(), K::empty(), 0, 0),
        };
        let (version, clock) = (self.next_version(), self.clock());
        let entry = &mut self.map[at];
        let before = entry.weight(key.len());
        let Some(value) = K::of_mut(&mut entry.value) else { return Err(StoreError::WrongType) };
        let result = change(value);
        (entry.version, entry.used_at) = (version, clock);
        let (after, empty) = (entry.weight(key.len()), entry.value.is_empty_collection());
        self.reweigh(before, after);
        if empty {
            self.remove_at(at);
        }
        Ok(Some(result))
    }

    /// Makes room for new keys and strings of these lengths, so that setting them all will not be refused.
    ///
    /// # Errors
    ///
    /// If one of them is too long, or there is no room for all.
    pub fn reserve(&mut self, lengths: impl Iterator<Item = (usize, usize)>) -> Result<(), StoreError> {
        let mut weight = 0;
        for (key, value) in lengths {
            self.check_sizes(key, value)?;
            weight += Entry::weight_of(key, value);
        }
        if self.used + weight > self.config.memory_max { self.make_room(weight) } else { Ok(()) }
    }

    /// Removes a key. False if there was none.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        match self.find(key) {
            Some(at) => {
                self.remove_at(at);
                self.stats.changes += 1;
                true
            }
            None => false,
        }
    }

    /// Gives what is stored under `from` the name `to`, deadline and all, in place of what `to` held.
    /// False if there is no `from`.
    ///
    /// # Errors
    ///
    /// If the new name is too long.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<bool, StoreError> {
        self.check_sizes(to.len(), 0)?;
        if self.find(from).is_none() {
            return Ok(false);
        }
        if from == to {
            return Ok(true);
        }
        let grows = to.len().saturating_sub(from.len());
        if grows > 0 && self.used + grows > self.config.memory_max {
            self.make_room(grows)?;
        }
        // It may have been the one that had to go, or has another place now.
        let Some(at) = self.find(from) else { return Ok(false) };
        let mut entry = self.remove_at(at);
        if let Some(at) = self.find(to) {
            self.remove_at(at);
        }
        entry.version = self.next_version();
        self.used += entry.weight(to.len());
        self.volatile += usize::from(entry.deadline != 0);
        self.map.insert(to.into(), entry);
        self.used_peak = self.used_peak.max(self.used);
        Ok(true)
    }

    /// Puts a copy of what is stored under `from` under `to`, in place of what that held. False if there
    /// is no `from`.
    ///
    /// # Errors
    ///
    /// If the new name is too long, or there is no room.
    pub fn copy(&mut self, from: &[u8], to: &[u8]) -> Result<bool, StoreError> {
        self.check_sizes(to.len(), 0)?;
        let Some(at) = self.find(from) else { return Ok(false) };
        if from == to {
            return Ok(true);
        }
        // The room before the copy; making it may move or evict what is copied.
        let weight = self.map[at].weight(to.len());
        if self.used + weight > self.config.memory_max {
            self.make_room(weight)?;
        }
        let Some(at) = self.find(from) else { return Ok(false) };
        let mut entry = self.map[at].clone();
        let weight = entry.weight(to.len());
        if let Some(at) = self.find(to) {
            self.remove_at(at);
        }
        entry.version = self.next_version();
        self.used += weight;
        self.volatile += usize::from(entry.deadline != 0);
        self.map.insert(to.into(), entry);
        self.used_peak = self.used_peak.max(self.used);
        Ok(true)
    }

    /// Removes every key.
    pub fn clear(&mut self) {
        // The tables go as well: an emptied store gives its memory back.
        self.map = IndexMap::default();
        (self.used, self.volatile, self.sweep_at) = (0, 0, 0);
        // No version from before comes back, and memcached counts it too.
        self.next_version();
    }

    /// Where a key stands. One that has expired is removed instead.
    #[inline]
    fn find(&mut self, key: &[u8]) -> Option<usize> {
        let (at, _, entry) = self.map.get_full(key)?;
        if entry.is_expired(self.now) {
            self.remove_at(at);
            self.stats.expired += 1;
            return None;
        }
        Some(at)
    }

    fn insert(&mut self, key: Box<[u8]>, value: Value, deadline: u64, flags: u32) -> usize {
        let entry = Entry { value, deadline, version: self.version, flags, used_at: self.clock() };
        self.used += entry.weight(key.len());
        self.used_peak = self.used_peak.max(self.used);
        self.volatile += usize::from(deadline != 0);
        self.map.insert_full(key, entry).0
    }

    fn remove_at(&mut self, at: usize) -> Entry {
        let Some((key, entry)) = self.map.swap_remove_index(at) else {
            unreachable!("a position just found")
        };
        self.used -= entry.weight(key.len());
        self.volatile -= usize::from(entry.deadline != 0);
        entry
    }

    fn weight_at(&self, at: usize) -> usize {
        self.map.get_index(at).map_or(0, |(key, entry)| entry.weight(key.len()))
    }

    #[inline]
    fn reweigh(&mut self, before: usize, after: usize) {
        self.used = self.used - before + after;
        self.used_peak = self.used_peak.max(self.used);
    }

    #[inline]
    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.stats.changes += 1;
        self.version
    }

    /// When an entry is used, coarsely: 64 ms a step, which wraps after 8 years.
    #[inline]
    fn clock(&self) -> u32 {
        (self.now >> 6) as u32
    }

    #[inline]
    fn check_sizes(&self, key: usize, value: usize) -> Result<(), StoreError> {
        if key > self.config.key_max {
            return Err(StoreError::KeyTooLong { max: self.config.key_max });
        }
        if value > self.config.value_max {
            return Err(StoreError::ValueTooLong { max: self.config.value_max });
        }
        Ok(())
    }
}

//! memcached's notion of a cache, in terms of the store: what the two protocols have in common.

use windlass::proto::memcached::{Mode, stored_number};

use super::Memcached;
use crate::store::{Expiry, Store, StoreError};

/// An exptime up to this many seconds counts from now, one above is a Unix time (30 days).
const RELATIVE_MAX: i64 = 60 * 60 * 24 * 30;

/// What is counted, from the start of the server or from `stats reset`.
#[derive(Clone, Default)]
pub(super) struct Counts {
    pub(super) commands: u64,
    pub(super) curr_connections: u64,
    pub(super) total_connections: u64,
    pub(super) cmd_get: u64,
    pub(super) cmd_set: u64,
    pub(super) cmd_flush: u64,
    pub(super) cmd_touch: u64,
    pub(super) cmd_meta: u64,
    pub(super) get_hits: u64,
    pub(super) get_misses: u64,
    pub(super) delete_hits: u64,
    pub(super) delete_misses: u64,
    pub(super) incr_hits: u64,
    pub(super) incr_misses: u64,
    pub(super) decr_hits: u64,
    pub(super) decr_misses: u64,
    pub(super) cas_hits: u64,
    pub(super) cas_misses: u64,
    pub(super) cas_badval: u64,
    pub(super) touch_hits: u64,
    pub(super) touch_misses: u64,
    pub(super) too_large: u64,
    pub(super) no_memory: u64,
    pub(super) total_items: u64,
    pub(super) bytes_read: u64,
    pub(super) bytes_written: u64,
    /// Commands answered with an error.
    pub(super) refused: u64,
    /// Connections ended for what they sent, by the error's label.
    pub(super) violations: Vec<(&'static str, u64)>,
}

impl Counts {
    pub(super) fn count_violation(&mut self, label: &'static str) {
        match self.violations.iter_mut().find(|(known, _)| *known == label) {
            Some((_, n)) => *n += 1,
            None => self.violations.push((label, 1)),
        }
    }

    /// `stats reset`: connections are not forgotten, and neither is what the server itself has counted.
    pub(super) fn reset(&mut self) {
        *self =
            Counts { commands: self.commands, curr_connections: self.curr_connections, ..Counts::default() };
    }
}

/// How a storage command went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stored {
    /// Stored.
    Done,
    /// The mode forbids it.
    Forbidden,
    /// There is a value with another number.
    Exists,
    /// There is no value to have a number.
    NotFound,
    /// Over the limit.
    TooLarge,
    /// No room, and nothing to evict.
    NoMemory,
}

/// How `incr` or `decr` went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Counted {
    /// The number now.
    Number(u64),
    /// Nothing there.
    NotFound,
    /// No number there.
    NotNumeric,
    /// There is a value with another number of its own.
    Exists,
    /// No room, and nothing to evict.
    NoMemory,
}

/// A value to store, of either protocol.
pub(super) struct Item<'b> {
    pub(super) mode: Mode,
    pub(super) key: &'b [u8],
    pub(super) value: &'b [u8],
    pub(super) flags: u32,
    pub(super) exptime: i64,
    /// Only if the value there has this number.
    pub(super) cas: Option<u64>,
}

/// When an exptime is: 0 is never, a negative one has passed.
fn expiry(store: &Store, exptime: i64) -> Expiry {
    match exptime {
        0 => Expiry::Never,
        ..0 => Expiry::At(store.now()),
        1..=RELATIVE_MAX => Expiry::At(store.now() + exptime as u64 * 1000),
        _ => Expiry::At((exptime as u64).saturating_mul(1000)),
    }
}

/// The deadline that goes with it.
fn deadline(expiry: Expiry) -> Option<u64> {
    if let Expiry::At(at) = expiry { Some(at) } else { None }
}

impl Memcached {
    pub(super) fn store(&mut self, store: &mut Store, item: &Item<'_>) -> Stored {
        self.counts.cmd_set += 1;
        let stored = self.try_store(store, item);
        match stored {
            Stored::Done => self.counts.total_items += 1,
            Stored::TooLarge => self.counts.too_large += 1,
            Stored::NoMemory => self.counts.no_memory += 1,
            _ => {}
        }
        if matches!(stored, Stored::TooLarge | Stored::NoMemory) {
            forget(store, item.key, item.mode);
        }
        stored
    }

    fn try_store(&mut self, store: &mut Store, item: &Item<'_>) -> Stored {
        let extends = matches!(item.mode, Mode::Append | Mode::Prepend);
        if let Some(cas) = item.cas {
            match store.peek(item.key).map(|entry| entry.version() == cas) {
                None if extends => return Stored::Forbidden,
                None => {
                    self.counts.cas_misses += 1;
                    return Stored::NotFound;
                }
                Some(false) => {
                    self.counts.cas_badval += 1;
                    return Stored::Exists;
                }
                Some(true) => self.counts.cas_hits += 1,
            }
        }
        let allowed = match item.mode {
            Mode::Set => true,
            // Who names the value it replaces has said all there is to say.
            _ if item.cas.is_some() && !extends => true,
            Mode::Add => !store.contains(item.key),
            Mode::Replace => store.contains(item.key),
            Mode::Append | Mode::Prepend => return self.extend(store, item),
        };
        if !allowed {
            return Stored::Forbidden;
        }
        let expiry = expiry(store, item.exptime);
        stored(store.set(item.key, item.value, item.flags, expiry))
    }

    /// Append and prepend: flags and deadline stay.
    fn extend(&mut self, store: &mut Store, item: &Item<'_>) -> Stored {
        let Some(len) = store.peek(item.key).and_then(|entry| entry.bytes()).map(<[u8]>::len) else {
            return Stored::Forbidden;
        };
        if len + item.value.len() > self.limits.value_max {
            return Stored::TooLarge;
        }
        let changed = store.edit(item.key, false, item.value.len(), |bytes: &mut Vec<u8>| {
            bytes.reserve_exact(item.value.len());
            if item.mode == Mode::Append {
                bytes.extend_from_slice(item.value);
            } else {
                bytes.splice(..0, item.value.iter().copied());
            }
        });
        match changed {
            Ok(Some(())) => Stored::Done,
            // It had to go, to make room for what it was to become.
            Ok(None) => Stored::Forbidden,
            Err(error) => stored(Err(error)),
        }
    }

    /// A value came that is over the limit, and was not kept.
    pub(super) fn too_large(&mut self, store: &mut Store, key: &[u8], mode: Mode) {
        self.counts.cmd_set += 1;
        self.counts.too_large += 1;
        forget(store, key, mode);
    }

    pub(super) fn delete(&mut self, store: &mut Store, key: &[u8]) -> bool {
        let removed = store.remove(key);
        *if removed { &mut self.counts.delete_hits } else { &mut self.counts.delete_misses } += 1;
        removed
    }

    pub(super) fn touch(&mut self, store: &mut Store, key: &[u8], exptime: i64) -> bool {
        self.counts.cmd_touch += 1;
        let at = deadline(expiry(store, exptime));
        let touched = store.expire(key, at);
        *if touched { &mut self.counts.touch_hits } else { &mut self.counts.touch_misses } += 1;
        touched
    }

    /// Counts in place: 64 bits that wrap upwards and stop at 0 downwards. A number that became shorter is
    /// filled up with spaces, so that the value keeps its length.
    pub(super) fn count(
        &mut self,
        store: &mut Store,
        key: &[u8],
        delta: u64,
        down: bool,
        cas: Option<u64>,
    ) -> Counted {
        let Some(entry) = store.peek(key) else {
            *if down { &mut self.counts.decr_misses } else { &mut self.counts.incr_misses } += 1;
            return Counted::NotFound;
        };
        // In this order, as memcached looks: nothing written is no number, whoever asks.
        let Some(bytes) = entry.bytes().filter(|bytes| !bytes.is_empty()) else {
            return Counted::NotNumeric;
        };
        if cas.is_some_and(|cas| cas != entry.version()) {
            return Counted::Exists;
        }
        let len = bytes.len();
        let Some(number) = stored_number(bytes) else { return Counted::NotNumeric };
        *if down { &mut self.counts.decr_hits } else { &mut self.counts.incr_hits } += 1;
        let number = if down { number.saturating_sub(delta) } else { number.wrapping_add(delta) };
        self.line.clear();
        let digits = self.line.number(number).bytes();
        let grows = digits.len().saturating_sub(len);
        let changed = store.edit(key, false, grows, |bytes: &mut Vec<u8>| {
            bytes.clear();
            bytes.reserve_exact(digits.len().max(len));
            bytes.extend_from_slice(digits);
            bytes.resize(digits.len().max(len), b' ');
        });
        match changed {
            Ok(Some(())) => Counted::Number(number),
            Ok(None) => Counted::NotFound,
            Err(_) => Counted::NoMemory,
        }
    }

    /// Stores the number that counting begins with.
    pub(super) fn first_number(
        &mut self,
        store: &mut Store,
        key: &[u8],
        number: u64,
        exptime: i64,
    ) -> Result<(), StoreError> {
        self.line.clear();
        let expiry = expiry(store, exptime);
        store.set(key, self.line.number(number).bytes(), 0, expiry)
    }

    /// Forgets everything, now or at a time.
    pub(super) fn flush_all(&mut self, store: &mut Store, delay: i64) {
        self.counts.cmd_flush += 1;
        match expiry(store, delay) {
            Expiry::At(at) if at > store.now() => self.flush_at = Some(at),
            _ => {
                self.flush_at = None;
                store.clear();
            }
        }
    }
}

/// A value that could not be stored takes the one it was to replace with it: nobody is to go on reading
/// what its writer thinks is gone.
fn forget(store: &mut Store, key: &[u8], mode: Mode) {
    if mode == Mode::Set {
        store.remove(key);
    }
}

fn stored(result: Result<(), StoreError>) -> Stored {
    match result {
        Ok(()) => Stored::Done,
        Err(StoreError::ValueTooLong { .. } | StoreError::KeyTooLong { .. }) => Stored::TooLarge,
        Err(StoreError::WrongType) => Stored::Forbidden,
        Err(StoreError::OutOfMemory) => Stored::NoMemory,
    }
}

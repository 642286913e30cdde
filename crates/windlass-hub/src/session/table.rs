//! Where sessions are found: by place, and by client identifier.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use windlass::Time;

use super::Session;
use crate::memory::{self, Memory};

/// The place of a session in the table; used again when it is gone.
pub(crate) type Key = u32;

/// The sessions of one worker.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    slots: Vec<Slot>,
    free: Vec<Key>,
    /// Places by client identifiers, which the sessions there have: a second copy of each would be a third of what
    /// the table costs. Whoever connects chooses its identifier, so the hash is one that nobody can foresee.
    by_id: HashTable<Named>,
    hasher: RandomState,
    /// Where they are counted.
    memory: Memory,
}

/// The hash is kept, so that the table grows without a look at the sessions.
#[derive(Clone, Copy, Debug)]
struct Named {
    hash: u32,
    key: Key,
}

#[derive(Debug, Default)]
struct Slot {
    /// Counts the sessions that were here, so that a timer of one before is known.
    generation: u32,
    session: Option<Box<Session>>,
}

impl Sessions {
    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&Session> {
        self.slots.get(key as usize)?.session.as_deref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Session> {
        self.slots.get_mut(key as usize)?.session.as_deref_mut()
    }

    pub(crate) fn find(&self, client_id: &str) -> Option<Key> {
        let hash = self.hash_of(client_id);
        let named = self.by_id.find(wide(hash), |named| named.hash == hash && self.is(named.key, client_id));
        named.map(|named| named.key)
    }

    fn hash_of(&self, client_id: &str) -> u32 {
        self.hasher.hash_one(client_id) as u32
    }

    fn is(&self, key: Key, client_id: &str) -> bool {
        self.get(key).is_some_and(|session| *session.client_id == *client_id)
    }

    /// Which of those that have been at this place is there now.
    pub(crate) fn generation(&self, key: Key) -> u32 {
        self.slots.get(key as usize).map_or(0, |slot| slot.generation)
    }

    /// A new session, which is counted whether there is room for it or not; there is none of this identifier.
    pub(crate) fn add(&mut self, client_id: &str, now: Time) -> Key {
        let mut session = Box::new(Session::new(client_id.into(), now));
        self.memory.take(&mut session.units, memory::of_session(&session.client_id));
        self.insert(session)
    }

    /// Counts sessions there, and makes room for so many.
    pub(crate) fn reserve(&mut self, memory: &Memory, sessions: usize) {
        self.memory = memory.clone();
        self.slots.reserve_exact(sessions);
        self.free.reserve_exact(sessions);
        self.by_id.reserve(sessions, |named| wide(named.hash));
    }

    fn insert(&mut self, session: Box<Session>) -> Key {
        let key = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as Key
        });
        let hash = self.hash_of(&session.client_id);
        self.by_id.insert_unique(wide(hash), Named { hash, key }, |named| wide(named.hash));
        self.slots[key as usize].session = Some(session);
        key
    }

    /// Takes a session out: its place is another's from now on.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Box<Session>> {
        let slot = self.slots.get_mut(key as usize)?;
        let mut session = slot.session.take()?;
        self.memory.give_all(std::mem::take(&mut session.units));
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key);
        let hash = self.hash_of(&session.client_id);
        if let Ok(named) = self.by_id.find_entry(wide(hash), |named| named.key == key) {
            named.remove();
        }
        Some(session)
    }

    /// All places are below this one.
    pub(crate) fn end(&self) -> Key {
        self.slots.len() as Key
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &Session)> {
        self.slots.iter().enumerate().filter_map(|(at, slot)| Some((at as Key, slot.session.as_deref()?)))
    }
}

/// The table takes its place from the lower bits of a hash and its tag from the upper ones.
fn wide(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

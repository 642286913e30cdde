//! Where sessions are found: by place, and by client identifier.

use std::collections::HashMap;
use std::sync::Arc;

use windlass::Time;

use super::Session;

/// The place of a session in the table; used again when it is gone.
pub(crate) type Key = u32;

/// The sessions of one worker.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    slots: Vec<Slot>,
    free: Vec<Key>,
    by_id: HashMap<Arc<str>, Key>,
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
        self.by_id.get(client_id).copied()
    }

    /// Which of those that have been at this place is there now.
    pub(crate) fn generation(&self, key: Key) -> u32 {
        self.slots.get(key as usize).map_or(0, |slot| slot.generation)
    }

    /// A new session; there is none of this identifier.
    pub(crate) fn add(&mut self, client_id: &str, now: Time) -> Key {
        let client_id: Arc<str> = client_id.into();
        self.insert(Box::new(Session::new(client_id, now)))
    }

    /// One that comes from elsewhere.
    pub(crate) fn insert(&mut self, session: Box<Session>) -> Key {
        let key = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as Key
        });
        self.by_id.insert(session.client_id.clone(), key);
        self.slots[key as usize].session = Some(session);
        key
    }

    /// Takes a session out: its place is another's from now on.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Box<Session>> {
        let slot = self.slots.get_mut(key as usize)?;
        let session = slot.session.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key);
        self.by_id.remove(&session.client_id);
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

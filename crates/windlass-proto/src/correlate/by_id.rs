//! Replies that carry the id of their request.

use alloc::vec::Vec;
use core::fmt;
use core::hash::Hash;

use hashbrown::HashMap;

use super::Refused;
use super::deadlines::Deadlines;
use crate::Time;

/// Requests whose replies say by an id which of them they belong to.
///
/// One that is given up is forgotten: a late reply finds nothing, as one that nobody asked for does.
///
/// ```
/// use windlass_proto::Time;
/// use windlass_proto::correlate::ById;
///
/// let at = Time::from_nanos;
/// let mut waiting = ById::max(100);
/// waiting.insert(7_u16, "subscribe", at(30)).unwrap();
/// waiting.insert(8, "publish", at(90)).unwrap();
/// assert_eq!(waiting.insert(8, "ping", at(90)).unwrap_err().label(), "duplicate");
///
/// assert_eq!(waiting.answered(&8), Some("publish"));
/// assert_eq!(waiting.expire(at(31)), Some((7, "subscribe")));
/// assert_eq!(waiting.answered(&7), None);
/// ```
#[derive(Clone)]
pub struct ById<K, T> {
    max: usize,
    // Where each id's entry is.
    places: HashMap<K, usize>,
    entries: Vec<Option<Entry<K, T>>>,
    // The entries that are `None`.
    free: Vec<usize>,
    deadlines: Deadlines,
}

#[derive(Clone)]
struct Entry<K, T> {
    id: K,
    value: T,
    // Its place among the deadlines.
    place: usize,
}

impl<K: Hash + Eq + Clone, T> ById<K, T> {
    /// Up to `max` requests at a time.
    pub fn max(max: usize) -> ById<K, T> {
        let deadlines = Deadlines::new();
        ById { max, places: HashMap::new(), entries: Vec::new(), free: Vec::new(), deadlines }
    }

    /// A request with this id was sent, and is given up at `deadline`; [`Time::MAX`] is never.
    ///
    /// # Errors
    ///
    /// [`Refused::Duplicate`], or [`Refused::Full`].
    pub fn insert(&mut self, id: K, value: T, deadline: Time) -> Result<(), Refused<T>> {
        if self.places.contains_key(&id) {
            return Err(Refused::Duplicate(value));
        }
        if self.is_full() {
            return Err(Refused::Full(value));
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() - 1
        });
        self.places.insert(id.clone(), at);
        self.entries[at] = Some(Entry { id, value, place: 0 });
        let entries = &mut self.entries;
        self.deadlines.push(deadline, at as u64, |owner, place| moved(entries, owner, place));
        Ok(())
    }

    /// A reply with this id came: the request it belongs to, if one waits.
    pub fn answered(&mut self, id: &K) -> Option<T> {
        let at = *self.places.get(id)?;
        self.remove(at).map(|(_, value)| value)
    }

    /// Gives up the request whose deadline passed first, if one has at `now`. Call it until it gives none;
    /// with [`Time::MAX`] that is all of them, for when the connection is lost.
    pub fn expire(&mut self, now: Time) -> Option<(K, T)> {
        let (deadline, owner) = self.deadlines.first()?;
        if deadline > now { None } else { self.remove(owner as usize) }
    }

    fn remove(&mut self, at: usize) -> Option<(K, T)> {
        let Entry { id, value, place } = self.entries[at].take()?;
        self.places.remove(&id);
        self.free.push(at);
        let entries = &mut self.entries;
        self.deadlines.remove(place, |owner, place| moved(entries, owner, place));
        Some((id, value))
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(deadline, _)| deadline)
    }

    /// The request with this id, if one waits.
    pub fn get(&self, id: &K) -> Option<&T> {
        self.entries[*self.places.get(id)?].as_ref().map(|entry| &entry.value)
    }

    /// The request with this id, if one waits, to be changed: for replies in several parts.
    pub fn get_mut(&mut self, id: &K) -> Option<&mut T> {
        self.entries[*self.places.get(id)?].as_mut().map(|entry| &mut entry.value)
    }

    /// Whether a request with this id waits: whoever chooses ids chooses another then.
    pub fn contains(&self, id: &K) -> bool {
        self.places.contains_key(id)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.deadlines.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the next request would be refused.
    pub fn is_full(&self) -> bool {
        self.len() >= self.max
    }
}

fn moved<K, T>(entries: &mut [Option<Entry<K, T>>], owner: u64, place: usize) {
    if let Some(entry) = &mut entries[owner as usize] {
        entry.place = place;
    }
}

/// The numbers only: ids and requests may be secrets.
impl<K, T> fmt::Debug for ById<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (max, len) = (self.max, self.deadlines.len());
        f.debug_struct("ById").field("len", &len).field("max", &max).finish_non_exhaustive()
    }
}

//! Going through all keys, in steps or by chance.

use super::{Entry, Store};

/// Keys drawn before a random one that has not expired is given up.
const DRAWS_MAX: usize = 100;

impl Store {
    /// Visits about `count` keys and returns where to go on: 0 when all have been visited. It begins at
    /// `cursor` 0 as well.
    ///
    /// A key that is there from the first step to the last is visited at least once, and seldom twice;
    /// one that comes or goes meanwhile, maybe. Nothing is held between the steps.
    pub fn scan(&self, cursor: u64, count: usize, visit: impl FnMut(&[u8], &Entry)) -> u64 {
        let now = self.now;
        let mut visit = visit;
        scan(self.map.len(), cursor, count, |at| {
            if let Some((key, entry)) = self.map.get_index(at)
                && !entry.is_expired(now)
            {
                visit(key, entry);
            }
        })
    }

    /// All keys that have not expired, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Entry)> {
        let now = self.now;
        self.map.iter().filter(move |(_, entry)| !entry.is_expired(now)).map(|(key, entry)| (&**key, entry))
    }

    /// A key drawn at random; `None` if none was found.
    pub fn random_key(&mut self) -> Option<&[u8]> {
        for _ in 0..DRAWS_MAX {
            let at = self.dice.below(self.map.len());
            let (_, entry) = self.map.get_index(at)?;
            if !entry.is_expired(self.now) {
                return self.map.get_index(at).map(|(key, _)| &**key);
            }
        }
        None
    }

    /// A random number below `end`, for commands that draw elements.
    pub fn random_below(&mut self, end: usize) -> usize {
        self.dice.below(end)
    }
}

/// One step from the back to the front of `len` positions: removing an element moves the last one into its
/// place, and the last one has been visited already.
pub(crate) fn scan(len: usize, cursor: u64, count: usize, visit: impl FnMut(usize)) -> u64 {
    let from = match usize::try_from(cursor) {
        Ok(cursor) if cursor != 0 => cursor.min(len),
        _ => len,
    };
    let to = from.saturating_sub(count.max(1));
    (to..from).rev().for_each(visit);
    to as u64
}

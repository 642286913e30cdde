//! Clients that wait for a backend with room, in the order they came.

use std::collections::BTreeMap;

/// Those of one group on one worker.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Pairs, by the number each was given.
    waiting: BTreeMap<u64, u32>,
    next: u64,
}

impl Queue {
    /// At the end; returns its number.
    pub(crate) fn push(&mut self, pair: u32) -> u64 {
        self.next += 1;
        self.waiting.insert(self.next, pair);
        self.next
    }

    /// Who has waited longest.
    pub(crate) fn first(&self) -> Option<(u64, u32)> {
        self.waiting.first_key_value().map(|(number, pair)| (*number, *pair))
    }

    /// Takes one out, wherever it stands. False: it is not there.
    pub(crate) fn remove(&mut self, number: u64) -> bool {
        self.waiting.remove(&number).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

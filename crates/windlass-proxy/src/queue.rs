//! Clients that wait for a backend with room, in the order they came; and apart from them those that have been
//! failed and wait for leave to try again, so that nobody who needs no such leave waits behind them.

use std::collections::BTreeMap;

/// Those of one group on one worker.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Pairs, by the number each was given. Numbers are given once for both.
    waiting: BTreeMap<u64, u32>,
    retrying: BTreeMap<u64, u32>,
    next: u64,
}

impl Queue {
    /// At the end; returns its number.
    pub(crate) fn push(&mut self, pair: u32, is_retry: bool) -> u64 {
        self.next += 1;
        let line = if is_retry { &mut self.retrying } else { &mut self.waiting };
        line.insert(self.next, pair);
        self.next
    }

    /// Whose turn it is: of those who try again, if one of them may, who has waited longest; else of the others.
    /// And whether it is one that tries again.
    pub(crate) fn first(&self, may_retry: bool) -> Option<(u64, u32, bool)> {
        let retry = self.retrying.first_key_value().filter(|_| may_retry);
        let first = retry.or_else(|| self.waiting.first_key_value());
        first.map(|(number, pair)| (*number, *pair, retry.is_some()))
    }

    /// Takes one out, wherever it stands. False: it is not there.
    pub(crate) fn remove(&mut self, number: u64) -> bool {
        self.waiting.remove(&number).or_else(|| self.retrying.remove(&number)).is_some()
    }

    /// Whether somebody waits for room.
    pub(crate) fn is_waited_in(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.retrying.len()
    }
}

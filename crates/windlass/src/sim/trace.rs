//! The record of a run: a hash over everything that happened, and the last of it in words.
//!
//! Two runs of one seed must have the same hash. Entries are small and copied, never formatted, so that
//! recording costs next to nothing; only a failure turns the last of them into text.

use std::collections::VecDeque;
use std::fmt::Write as _;

/// How many entries a failure shows.
pub(super) const LAST: usize = 60;

/// Who did it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    World,
    Worker(u16),
    Client(u32),
}

#[derive(Clone, Copy)]
struct Entry {
    at: u64,
    who: Who,
    what: &'static str,
    /// The connection it is about, numbered as the clients opened them; `u32::MAX`: none.
    on: u32,
    value: u64,
    result: &'static str,
}

pub(crate) struct Trace {
    hash: u64,
    entries: u64,
    origin: u64,
    last: VecDeque<Entry>,
    kept: usize,
}

/// No connection.
pub(crate) const NONE: u32 = u32::MAX;

impl Trace {
    /// Remembers the `kept` last entries.
    pub(crate) fn new(seed: u64, origin: u64, kept: usize) -> Trace {
        Trace { hash: seed ^ 0x6A09_E667_F3BC_C908, entries: 0, origin, last: VecDeque::new(), kept }
    }

    pub(crate) fn keep(&mut self, kept: usize) {
        self.kept = kept.max(1);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    #[inline]
    fn mix(&mut self, word: u64) {
        // One round of a multiply-rotate hash: not strong, but every bit of every word counts.
        self.hash = (self.hash.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    #[inline]
    pub(crate) fn note(&mut self, at: u64, who: Who, what: &'static str, on: u32, value: u64) {
        self.note_result(at, who, what, on, value, "");
    }

    /// Records one happening; `result` is empty or the name of an error.
    pub(crate) fn note_result(
        &mut self,
        at: u64,
        who: Who,
        what: &'static str,
        on: u32,
        value: u64,
        result: &'static str,
    ) {
        self.entries += 1;
        let who_bits = match who {
            Who::World => 0,
            Who::Worker(n) => 1 + (u64::from(n) << 2),
            Who::Client(n) => 2 + (u64::from(n) << 2),
        };
        self.mix(at);
        self.mix(who_bits ^ (u64::from(on) << 32));
        self.mix(value);
        // The words are told apart by a few of their bytes: there are only some dozens of them.
        for word in [what, result] {
            let bytes = word.as_bytes();
            let pick = |i: usize| u64::from(bytes.get(i).copied().unwrap_or(0));
            self.mix(
                pick(0)
                    | pick(1) << 8
                    | pick(2) << 16
                    | pick(bytes.len().wrapping_sub(1)) << 24
                    | (bytes.len() as u64) << 32,
            );
        }
        if self.last.len() == self.kept {
            self.last.pop_front();
        }
        self.last.push_back(Entry { at, who, what, on, value, result });
    }

    /// Adds bytes that were moved to the hash.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.mix(u64::from_le_bytes(word.try_into().expect("chunks of eight")));
        }
        let mut rest = [0; 8];
        rest[..words.remainder().len()].copy_from_slice(words.remainder());
        self.mix(u64::from_le_bytes(rest));
    }

    /// The last entries, oldest first, one to a line.
    pub(crate) fn last(&self) -> String {
        let mut text = String::new();
        for e in &self.last {
            let ms = (e.at - self.origin) as f64 / 1e6;
            let _ = write!(text, "  {ms:>14.6} ms  ");
            let _ = match e.who {
                Who::World => write!(text, "{:<10}", "world"),
                Who::Worker(n) => write!(text, "worker {n:<3}"),
                Who::Client(n) => write!(text, "client {n:<3}"),
            };
            let _ = write!(text, "  {:<16}", e.what);
            if e.on != NONE {
                let _ = write!(text, " #{:<4}", e.on);
            } else {
                text.push_str("      ");
            }
            let _ = writeln!(text, " {:>8} {}", e.value, e.result);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_entry_changes_the_hash() {
        let hash = |at, who, what, on, value| {
            let mut trace = Trace::new(1, 0, LAST);
            trace.note(at, who, what, on, value);
            trace.hash()
        };
        let base = hash(1, Who::Worker(0), "read", 1, 1);
        assert_eq!(base, hash(1, Who::Worker(0), "read", 1, 1));
        for other in [
            hash(2, Who::Worker(0), "read", 1, 1),
            hash(1, Who::Worker(1), "read", 1, 1),
            hash(1, Who::Client(0), "read", 1, 1),
            hash(1, Who::Worker(0), "write", 1, 1),
            hash(1, Who::Worker(0), "read", 2, 1),
            hash(1, Who::Worker(0), "read", 1, 2),
        ] {
            assert_ne!(base, other);
        }
    }
}

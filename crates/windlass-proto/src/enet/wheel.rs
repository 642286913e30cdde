//! When each peer wants to be looked at: a wheel of 1,024 milliseconds, with every peer on it at most once.
//!
//! A peer that wants to be looked at later than the wheel reaches is looked at when the wheel is through, and put
//! on it again. Links are indices of peers, kept here; nothing is allocated per turn.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// No peer.
pub(super) const NONE: u32 = u32::MAX;

const SLOTS: u64 = 1024;
const WORDS: usize = (SLOTS / 64) as usize;

#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    after: u32,
    /// When, or [`OFF`].
    at: u64,
}

const OFF: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Wheel {
    heads: Box<[u32]>,
    used: [u64; WORDS],
    links: Vec<Link>,
    /// Everything before this millisecond has been given out.
    now: u64,
    armed: usize,
}

impl Wheel {
    pub(super) fn new() -> Wheel {
        Wheel {
            heads: vec![NONE; SLOTS as usize].into(),
            used: [0; WORDS],
            links: Vec::new(),
            now: 0,
            armed: 0,
        }
    }

    /// Has `peer` looked at at `at`, and not when it was to be before.
    pub(super) fn arm(&mut self, peer: u32, at: u64) {
        let index = peer as usize;
        if self.links.len() <= index {
            self.links.resize(index + 1, Link { before: NONE, after: NONE, at: OFF });
        }
        let at = at.clamp(self.now, self.now.saturating_add(SLOTS - 1));
        if self.links[index].at == at {
            return;
        }
        self.disarm(peer);
        let slot = (at % SLOTS) as usize;
        let head = self.heads[slot];
        self.links[index] = Link { before: NONE, after: head, at };
        if head != NONE {
            self.links[head as usize].before = peer;
        }
        self.heads[slot] = peer;
        self.used[slot / 64] |= 1 << (slot % 64);
        self.armed += 1;
    }

    /// Has it not looked at.
    pub(super) fn disarm(&mut self, peer: u32) {
        let Some(&link) = self.links.get(peer as usize) else { return };
        if link.at == OFF {
            return;
        }
        let slot = (link.at % SLOTS) as usize;
        if link.before == NONE {
            self.heads[slot] = link.after;
            if link.after == NONE {
                self.used[slot / 64] &= !(1 << (slot % 64));
            }
        } else {
            self.links[link.before as usize].after = link.after;
        }
        if link.after != NONE {
            self.links[link.after as usize].before = link.before;
        }
        self.links[peer as usize].at = OFF;
        self.armed -= 1;
    }

    /// Takes a peer whose time has come, if there is one.
    #[inline]
    pub(super) fn due(&mut self, now: u64) -> Option<u32> {
        if now < self.now {
            return None;
        }
        let Some(at) = self.next() else {
            self.now = now;
            return None;
        };
        if at > now {
            self.now = now;
            return None;
        }
        // Nothing is before it, so the wheel has turned that far.
        self.now = at;
        let peer = self.heads[(at % SLOTS) as usize];
        self.disarm(peer);
        Some(peer)
    }

    /// The millisecond at which a peer wants to be looked at next.
    pub(super) fn next(&self) -> Option<u64> {
        if self.armed == 0 {
            return None;
        }
        let from = (self.now % SLOTS) as usize;
        let mut word = from / 64;
        let mut bits = self.used[word] & (u64::MAX << (from % 64));
        for _ in 0..=WORDS {
            if bits != 0 {
                let slot = (word * 64) as u64 + u64::from(bits.trailing_zeros());
                let ahead = (slot + SLOTS - from as u64) % SLOTS;
                return Some(self.now + ahead);
            }
            word = (word + 1) % WORDS;
            bits = self.used[word];
        }
        None
    }
}

//! Who has sent CONNECT and has not yet shown that the answer reaches it.
//!
//! ENet gives a stranger one of its peers at once, and sends the answer again and again to an address that may be
//! somebody else's. Here a CONNECT costs an entry in a table of fixed size, and an answer that is no longer than
//! what came. A peer is made when the acknowledgement of the answer comes back with what only its receiver can
//! know: the id, the session, and the time it was "sent at", which is no time but a keyed hash.
//!
//! An entry's place follows from address and id, so there is nothing to search. When the eight places where one
//! may stand are taken, a random one is evicted: whoever floods the table cannot choose whom he pushes out.

use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::keyed::Key;
use super::wire::Throttle;

const WAYS: usize = 8;
/// What an entry is worth at most, in milliseconds: nobody answers later.
const AGE_MAX: u64 = 10_000;
/// Wrong answers after which an entry is dropped.
const GUESSES_MAX: u8 = 8;

const PURPOSE_PLACE: u8 = 1;
const PURPOSE_ANSWER: u8 = 2;

/// What is remembered of a CONNECT until its sender is known to be there.
#[derive(Clone, Copy, Debug)]
pub(super) struct HalfOpen {
    pub(super) addr: SocketAddr,
    /// When the last answer was sent, or when it came.
    pub(super) at: u64,
    pub(super) connect_id: u32,
    pub(super) code: u32,
    pub(super) window: u32,
    pub(super) incoming_bandwidth: u32,
    pub(super) outgoing_bandwidth: u32,
    pub(super) throttle: Throttle,
    /// The id it will speak to us by.
    pub(super) own_id: u16,
    /// The id it wants to be spoken to by.
    pub(super) remote_id: u16,
    pub(super) mtu: u16,
    pub(super) channels: u8,
    /// The session of what it sends, and of what we send.
    pub(super) own_session: u8,
    pub(super) remote_session: u8,
    pub(super) guesses: u8,
    /// Answers sent so far; saturates.
    pub(super) answers: u8,
    /// Bytes it has sent that no answer has been charged to. Answers are never longer.
    pub(super) credit: u16,
    /// It is in the queue of answers to be sent.
    pub(super) queued: bool,
}

/// Where an entry stood, and whether it is still that one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    index: u32,
    connect_id: u32,
    own_id: u16,
}

#[derive(Debug)]
pub(super) struct Table {
    entries: Vec<Option<HalfOpen>>,
    sets: usize,
}

impl Table {
    pub(super) fn new(max: usize) -> Table {
        Table { entries: Vec::new(), sets: max.clamp(WAYS, 1 << 20) / WAYS }
    }

    /// The answer's "time" that the peer has to send back.
    pub(super) fn secret(key: &Key, addr: SocketAddr, connect_id: u32, own_id: u16) -> u16 {
        key.of(PURPOSE_ANSWER, addr, u64::from(connect_id) << 16 | u64::from(own_id)) as u16
    }

    fn first(&self, key: &Key, addr: SocketAddr, own_id: u16) -> usize {
        (key.of(PURPOSE_PLACE, addr, u64::from(own_id)) % self.sets as u64) as usize * WAYS
    }

    /// The entry of this address and id.
    pub(super) fn find(&self, key: &Key, now: u64, addr: SocketAddr, own_id: u16) -> Option<Place> {
        if self.entries.is_empty() {
            return None;
        }
        let first = self.first(key, addr, own_id);
        let set = &self.entries[first..first + WAYS];
        let (way, connect_id) = set.iter().enumerate().find_map(|(way, entry)| {
            let entry = entry.as_ref()?;
            let fresh = now.saturating_sub(entry.at) <= AGE_MAX;
            (fresh && entry.own_id == own_id && entry.addr == addr).then_some((way, entry.connect_id))
        })?;
        Some(Place { index: (first + way) as u32, connect_id, own_id })
    }

    /// Puts an entry in, where it may evict another: the second result says so.
    pub(super) fn insert(&mut self, key: &mut Key, now: u64, entry: HalfOpen) -> (Place, bool) {
        if self.entries.is_empty() {
            self.entries = vec![None; self.sets * WAYS];
        }
        let first = self.first(key, entry.addr, entry.own_id);
        let set = &mut self.entries[first..first + WAYS];
        let free = set
            .iter()
            .position(|entry| entry.as_ref().is_none_or(|entry| now.saturating_sub(entry.at) > AGE_MAX));
        let way = free.unwrap_or_else(|| key.draw() as usize % WAYS);
        let place = Place { index: (first + way) as u32, connect_id: entry.connect_id, own_id: entry.own_id };
        set[way] = Some(entry);
        (place, free.is_none())
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut HalfOpen> {
        let entry = self.entries.get_mut(place.index as usize)?.as_mut()?;
        (entry.connect_id == place.connect_id && entry.own_id == place.own_id).then_some(entry)
    }

    /// One more wrong answer; the entry is gone after the last.
    pub(super) fn wrong(&mut self, place: Place) {
        let Some(entry) = self.get_mut(place) else { return };
        entry.guesses += 1;
        if entry.guesses >= GUESSES_MAX {
            self.remove(place);
        }
    }

    pub(super) fn remove(&mut self, place: Place) -> Option<HalfOpen> {
        self.get_mut(place)?;
        self.entries[place.index as usize].take()
    }

    /// Bytes that the table takes.
    pub(super) fn bytes(&self) -> usize {
        self.entries.len() * size_of::<Option<HalfOpen>>()
    }
}

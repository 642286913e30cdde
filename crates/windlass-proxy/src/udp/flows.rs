//! The table of flows of one worker: found by key, in the order of their last datagrams, and by source. No time,
//! no sockets: those who use it say what happens.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

/// No place.
const NONE: u32 = u32::MAX;
/// Of a source with too many, so many of its oldest are looked at for the one that goes.
const LOOKED_AT: usize = 16;

/// Neighbours in a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Links {
    before: u32,
    behind: u32,
}

/// The ends of a list that runs through the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct List {
    first: u32,
    last: u32,
    len: usize,
}

impl Default for List {
    fn default() -> List {
        List { first: NONE, last: NONE, len: 0 }
    }
}

/// Which list: by last datagram, or of a source.
#[derive(Clone, Copy)]
enum Which {
    Order = 0,
    Source = 1,
}

#[derive(Debug)]
struct Slot<K, F> {
    key: K,
    source: IpAddr,
    /// Its client has answered an answer.
    proven: bool,
    /// It is found by its key.
    found: bool,
    links: [Links; 2],
    /// Goes up with every datagram of any flow: which of two was silent for longer.
    touched: u64,
    flow: Option<F>,
}

/// Flows by key, of which none is lost and none is found twice.
#[derive(Debug)]
pub(crate) struct Flows<K, F> {
    slots: Vec<Slot<K, F>>,
    free: Vec<u32>,
    by_key: HashMap<K, u32>,
    sources: HashMap<IpAddr, List>,
    /// Those not proven, and those proven, who was silent for longest first.
    orders: [List; 2],
    touches: u64,
    /// The one found last: datagrams come in bursts.
    latest: Option<(K, u32)>,
}

/// What flows are counted under: an IPv4 address, or an IPv6 /64, which one host may have all of.
fn source_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
        ip => ip,
    }
}

impl<K: Copy + Eq + Hash, F> Flows<K, F> {
    pub(crate) fn new() -> Flows<K, F> {
        Flows {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            sources: HashMap::new(),
            orders: [List::default(); 2],
            touches: 0,
            latest: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// How many there are of a source.
    pub(crate) fn len_of(&self, ip: IpAddr) -> usize {
        self.sources.get(&source_of(ip)).map_or(0, |list| list.len)
    }

    /// Where the flow of a key is.
    #[inline]
    pub(crate) fn find(&mut self, key: &K) -> Option<u32> {
        if let Some((latest, at)) = &self.latest
            && latest == key
        {
            return Some(*at);
        }
        let at = *self.by_key.get(key)?;
        self.latest = Some((*key, at));
        Some(at)
    }

    #[inline]
    pub(crate) fn get(&mut self, at: u32) -> Option<&mut F> {
        self.slots.get_mut(at as usize)?.flow.as_mut()
    }

    pub(crate) fn key(&self, at: u32) -> Option<K> {
        let slot = self.slots.get(at as usize)?;
        slot.flow.is_some().then_some(slot.key)
    }

    /// Puts a new flow in, the last one of all; its key has none.
    pub(crate) fn add(&mut self, key: K, ip: IpAddr, flow: F) -> u32 {
        let none = Links { before: NONE, behind: NONE };
        let slot = Slot {
            key,
            source: source_of(ip),
            proven: false,
            found: true,
            links: [none; 2],
            touched: self.touches,
            flow: Some(flow),
        };
        let source = slot.source;
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        };
        debug_assert!(!self.by_key.contains_key(&key));
        self.by_key.insert(key, at);
        self.latest = Some((key, at));
        append(&mut self.slots, &mut self.orders[0], Which::Order, at);
        append(&mut self.slots, self.sources.entry(source).or_default(), Which::Source, at);
        self.touch(at);
        at
    }

    /// A datagram has passed: it is the last one of its order now.
    #[inline]
    pub(crate) fn touch(&mut self, at: u32) {
        self.touches += 1;
        let Some(slot) = self.slots.get_mut(at as usize) else { return };
        slot.touched = self.touches;
        let order = usize::from(slot.proven);
        if self.orders[order].last != at {
            unlink(&mut self.slots, &mut self.orders[order], Which::Order, at);
            append(&mut self.slots, &mut self.orders[order], Which::Order, at);
        }
    }

    /// Its client is there.
    pub(crate) fn prove(&mut self, at: u32) {
        let Some(slot) = self.slots.get_mut(at as usize) else { return };
        if std::mem::replace(&mut slot.proven, true) {
            return;
        }
        unlink(&mut self.slots, &mut self.orders[0], Which::Order, at);
        append(&mut self.slots, &mut self.orders[1], Which::Order, at);
    }

    /// Whether its client is there.
    #[inline]
    pub(crate) fn is_proven(&self, at: u32) -> bool {
        self.slots.get(at as usize).is_some_and(|slot| slot.proven)
    }

    /// It stays, and is not found any more: the next datagram of its client begins another.
    pub(crate) fn detach(&mut self, at: u32) {
        let Some(slot) = self.slots.get_mut(at as usize) else { return };
        if std::mem::take(&mut slot.found) {
            self.by_key.remove(&slot.key);
        }
        self.latest = None;
    }

    pub(crate) fn remove(&mut self, at: u32) -> Option<F> {
        let slot = self.slots.get_mut(at as usize)?;
        let flow = slot.flow.take()?;
        let (order, source, key) = (usize::from(slot.proven), slot.source, slot.key);
        if std::mem::take(&mut slot.found) {
            self.by_key.remove(&key);
        }
        self.latest = None;
        unlink(&mut self.slots, &mut self.orders[order], Which::Order, at);
        if let Some(list) = self.sources.get_mut(&source) {
            unlink(&mut self.slots, list, Which::Source, at);
            if list.len == 0 {
                self.sources.remove(&source);
            }
        }
        self.free.push(at);
        Some(flow)
    }

    /// Who is to make way for a newcomer: who was silent for longest of those not proven, or else of all.
    pub(crate) fn first_to_go(&self) -> Option<u32> {
        self.orders.iter().map(|list| list.first).find(|first| *first != NONE)
    }

    /// The same of one source, of its oldest.
    pub(crate) fn first_to_go_of(&self, ip: IpAddr) -> Option<u32> {
        let mut at = self.sources.get(&source_of(ip))?.first;
        let mut best: Option<(bool, u64, u32)> = None;
        for _ in 0..LOOKED_AT {
            let Some(slot) = self.slots.get(at as usize) else { break };
            let this = (slot.proven, slot.touched, at);
            best = Some(best.map_or(this, |best| best.min(this)));
            at = slot.links[Which::Source as usize].behind;
        }
        best.map(|(.., at)| at)
    }

    /// Places are numbered below this.
    pub(crate) fn places(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Those in up to `most` places from `at` on, which moves on, and around.
    pub(crate) fn next(&mut self, at: &mut usize, most: usize) -> impl Iterator<Item = &mut F> {
        if *at >= self.slots.len() {
            *at = 0;
        }
        let from = *at;
        *at = from.saturating_add(most).min(self.slots.len());
        self.slots[from..*at].iter_mut().filter_map(|slot| slot.flow.as_mut())
    }

    /// Sources that are known.
    #[cfg(test)]
    pub(crate) fn sources_len(&self) -> usize {
        self.sources.len()
    }

    /// All there are, in no order that means anything.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = (K, &mut F)> {
        self.slots.iter_mut().filter_map(|slot| Some((slot.key, slot.flow.as_mut()?)))
    }
}

fn append<K, F>(slots: &mut [Slot<K, F>], list: &mut List, which: Which, at: u32) {
    slots[at as usize].links[which as usize] = Links { before: list.last, behind: NONE };
    match slots.get_mut(list.last as usize) {
        Some(last) => last.links[which as usize].behind = at,
        None => list.first = at,
    }
    list.last = at;
    list.len += 1;
}

fn unlink<K, F>(slots: &mut [Slot<K, F>], list: &mut List, which: Which, at: u32) {
    let Links { before, behind } = slots[at as usize].links[which as usize];
    match slots.get_mut(before as usize) {
        Some(slot) => slot.links[which as usize].behind = behind,
        None => list.first = behind,
    }
    match slots.get_mut(behind as usize) {
        Some(slot) => slot.links[which as usize].before = before,
        None => list.last = before,
    }
    list.len -= 1;
}

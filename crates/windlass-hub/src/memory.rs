//! What a hub's memory is spent on, counted against one bound ([`HubConfig::memory_max`](crate::HubConfig::memory_max)).
//!
//! Sessions, subscriptions, messages that are kept, places in queues, wills, topic aliases and what has come in part each
//! hold a [`Charge`] (a session [`Units`], which are smaller), and give back what they are counted with when they are gone,
//! on whatever way. What has no room is asked before it is made; what must not be lost, since it was found in the journal, is
//! counted and taken all the same, and then it is others that find no room. What passes from one worker to another has room
//! that is set aside for it (`siblings`), and is asked for where it is kept; what is longer than that room is counted at once.
//!
//! Without a bound nothing is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use windlass_proto::mqtt::{AliasesIn, AliasesOut, Incoming, Outgoing};

use crate::session::Sent;

/// A session without a connection or with one, with its places in the tables and its deadlines, but without what follows,
/// and without its client identifier.
const SESSION: usize = 640;
/// What an allocator adds to a piece.
const PIECE: usize = 16;
/// A subscription, beside its filter.
const SUBSCRIPTION: usize = 256;
/// An entry of a tree, and what leads to it.
const ENTRY: usize = 128;
/// A group with its first member: both are nodes of B-trees, with room for eleven.
const GROUP: usize = 1_280;
/// A session of another worker that is a member of a group.
pub(crate) const MEMBER: usize = 320;
/// A topic that is gone, with its places in a table and in a queue.
const GONE: usize = 192;
/// One level of a filter, or of the topic of a retained message, in their trees.
const LEVEL: usize = 160;
/// A message that is kept, beside its topic, properties and payload; a will too.
const MESSAGE: usize = 192;
/// A place in a queue.
pub(crate) const PLACE: usize = 96;
/// A session counts in pieces of so many bytes.
const UNIT: usize = 16;

/// Bytes of a session.
pub(crate) fn of_session(client_id: &str) -> usize {
    SESSION + client_id.len()
}

/// Bytes of what is known of so many messages in flight to a client.
pub(crate) fn of_outgoing(receive_max: u16) -> usize {
    size_of::<Outgoing<Sent>>() + Outgoing::<Sent>::memory_for(receive_max) + 3 * PIECE
}

/// Bytes of the same from it, while it keeps to that.
pub(crate) fn of_incoming(receive_max: u16) -> usize {
    size_of::<Incoming>() + Incoming::memory_for(receive_max) + 3 * PIECE
}

/// Bytes of a subscription.
pub(crate) fn of_subscription(filter: &str) -> usize {
    // In its session, and level by level in the tree.
    SUBSCRIPTION + shared(filter) + 2 * filter.len() + levels(filter) * LEVEL
}

/// Bytes of a group, if it is the filter of one: as if it had one member.
fn shared(filter: &str) -> usize {
    if filter.starts_with("$share/") { GROUP } else { 0 }
}

/// Bytes of a message that is kept, whoever keeps it.
pub(crate) fn of_message(len: usize) -> usize {
    MESSAGE + len
}

/// Bytes of one that is retained: the message once, and its topic in the trees of so many workers.
pub(crate) fn of_retained(topic: &str, len: usize, workers: usize) -> usize {
    MESSAGE + len + workers * (topic.len() + levels(topic) * LEVEL)
}

/// Bytes of a topic of which a worker knows that nothing is retained any more.
pub(crate) fn of_gone(topic: &str) -> usize {
    GONE + topic.len()
}

/// So many of those each of some workers may know of without asking for memory, for an eighth of a bound: more, as topics
/// are longer.
pub(crate) fn gone_within(max: usize, workers: usize) -> usize {
    max / 8 / workers.max(1) / GONE
}

/// Bytes of a filter that sessions of another worker have: on each worker that knows of it, beside the filter itself.
pub(crate) fn of_elsewhere(filter: &str) -> usize {
    ENTRY + shared(filter) + 2 * filter.len() + levels(filter) * LEVEL
}

fn levels(topic: &str) -> usize {
    topic.bytes().filter(|byte| *byte == b'/').count() + 1
}

/// Of the bound, so much of it is for the wills of clients that have not come to their sessions yet.
const COMING_PART: usize = 32;

/// The bound, and how much of it is in use: of all workers of a hub.
#[derive(Debug)]
struct Pool {
    used: AtomicUsize,
    max: usize,
    /// What of it is set aside for those who come: they are asked for room in what is left when it is known what their
    /// sessions give back.
    coming: Option<Arc<Pool>>,
    /// So much is found to be missing once, as if others had it for a moment.
    #[cfg(test)]
    elsewhere: AtomicUsize,
}

impl Pool {
    fn new(max: usize, coming: Option<Arc<Pool>>) -> Arc<Pool> {
        Arc::new(Pool {
            used: AtomicUsize::new(0),
            max,
            coming,
            #[cfg(test)]
            elsewhere: AtomicUsize::new(0),
        })
    }

    fn lacks(&self, bytes: usize) -> bool {
        #[cfg(test)]
        if bytes > 0 && self.elsewhere.compare_exchange(bytes, 0, Relaxed, Relaxed).is_ok() {
            return true;
        }
        self.used.load(Relaxed).saturating_add(bytes) > self.max
    }
}

/// A way to the count of a hub; `default` counts nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Option<Arc<Pool>>);

impl Memory {
    /// Bounded by so many bytes; 0 is no bound.
    #[cfg(test)]
    pub(crate) fn new(max: usize) -> Memory {
        Memory((max > 0).then(|| Pool::new(max, None)))
    }

    /// Bounded by so many bytes, of which a part is set aside for [those who come](Memory::coming); 0 is no bound.
    pub(crate) fn of_hub(max: usize) -> Memory {
        let part = max / COMING_PART;
        Memory((max > 0).then(|| Pool::new(max - part, Some(Pool::new(part, None)))))
    }

    /// Counts so much for a client that is not yet known to be whose: where there is no room, among what is set aside for
    /// that. `None`: there is none there either.
    pub(crate) fn coming(&self, bytes: usize) -> Option<Charge> {
        if !self.lacks(bytes) {
            return Some(self.charge(bytes));
        }
        let coming = self.0.as_ref()?.coming.as_ref().filter(|coming| !coming.lacks(bytes))?;
        let mut charge = Charge { pool: Some(coming.clone()), bytes: 0 };
        charge.add(bytes);
        Some(charge)
    }

    /// Whether it is counted among those who come.
    pub(crate) fn is_coming(&self, charge: &Charge) -> bool {
        let (coming, its) = (self.0.as_ref().and_then(|pool| pool.coming.as_ref()), charge.pool.as_ref());
        coming.zip(its).is_some_and(|(coming, its)| Arc::ptr_eq(coming, its))
    }

    /// Whether anything is counted.
    #[inline]
    pub(crate) fn is_bounded(&self) -> bool {
        self.0.is_some()
    }

    /// Whether there is no room for so much more. There always is for nothing, or what makes room would find none.
    #[inline]
    pub(crate) fn lacks(&self, bytes: usize) -> bool {
        self.0.as_ref().is_some_and(|pool| bytes > 0 && pool.lacks(bytes))
    }

    /// The same of what is worked out only where memory is bounded.
    #[inline]
    pub(crate) fn lacks_so_much(&self, bytes: impl FnOnce() -> usize) -> bool {
        self.0.is_some() && self.lacks(bytes())
    }

    /// Whoever asks for so much next finds that it is missing, and the one behind it does not.
    #[cfg(test)]
    pub(crate) fn lacks_once(&self, bytes: usize) {
        if let Some(pool) = &self.0 {
            pool.elsewhere.store(bytes, Relaxed);
        }
    }

    /// The bound; 0: there is none.
    pub(crate) fn max(&self) -> usize {
        self.0.as_ref().map_or(0, |pool| pool.max)
    }

    /// Bytes over the bound.
    pub(crate) fn excess(&self) -> usize {
        self.0.as_ref().map_or(0, |pool| pool.used.load(Relaxed).saturating_sub(pool.max))
    }

    /// Bytes that are missing for so much more.
    pub(crate) fn missing(&self, bytes: usize) -> usize {
        self.0
            .as_ref()
            .map_or(0, |pool| (pool.used.load(Relaxed).saturating_add(bytes)).saturating_sub(pool.max))
    }

    /// Counts so much, whether there is room for it or not.
    pub(crate) fn charge(&self, bytes: usize) -> Charge {
        let mut charge = Charge { pool: self.0.clone(), bytes: 0 };
        charge.add(bytes);
        charge
    }

    /// Counts a subscription for a session, whether there is room for it or not.
    pub(crate) fn take_subscription(&self, units: &mut Units, filter: &str) {
        if self.is_bounded() {
            self.take(units, of_subscription(filter));
        }
    }

    /// A session has one less.
    pub(crate) fn give_subscription(&self, units: &mut Units, filter: &str) {
        if self.is_bounded() {
            self.give(units, of_subscription(filter));
        }
    }

    /// Counts so much for a session, whether there is room for it or not.
    pub(crate) fn take(&self, units: &mut Units, bytes: usize) {
        if let Some(pool) = &self.0 {
            let more = Units::of(bytes).0.min(u32::MAX - units.0);
            units.0 += more;
            pool.used.fetch_add(more as usize * UNIT, Relaxed);
        }
    }

    /// A session has so much less.
    pub(crate) fn give(&self, units: &mut Units, bytes: usize) {
        if let Some(pool) = &self.0 {
            let less = Units::of(bytes).0.min(units.0);
            units.0 -= less;
            pool.used.fetch_sub(less as usize * UNIT, Relaxed);
        }
    }

    /// A session is gone.
    pub(crate) fn give_all(&self, units: Units) {
        if let Some(pool) = &self.0 {
            pool.used.fetch_sub(units.0 as usize * UNIT, Relaxed);
        }
    }

    /// What is in flight to a client: where memory is bounded, with all the room it is counted with. Where that is
    /// missing it has room for one message, whatever there is: nothing that must be sent waits for good.
    pub(crate) fn outgoing(&self, units: &mut Units, receive_max: u16) -> Box<Outgoing<Sent>> {
        if self.0.is_none() {
            return Box::new(Outgoing::new(receive_max));
        }
        let receive_max = if self.lacks(of_outgoing(receive_max)) { 1 } else { receive_max };
        let mut outgoing = Box::new(Outgoing::new(receive_max));
        outgoing.reserve();
        self.take_outgoing(units, &outgoing);
        outgoing
    }

    /// Counts one that is there already.
    pub(crate) fn take_outgoing(&self, units: &mut Units, outgoing: &Outgoing<Sent>) {
        if self.is_bounded() {
            self.take(units, size_of::<Outgoing<Sent>>() + outgoing.memory() + 3 * PIECE);
        }
    }

    /// The client is here again, and takes so many at once: it gets as many as there is room for. Its session may have
    /// begun with a lower number, and so with less room.
    pub(crate) fn reconnected(&self, units: &mut Units, outgoing: &mut Outgoing<Sent>, receive_max: u16) {
        if self.0.is_none() {
            return outgoing.reconnected(receive_max);
        }
        let before = outgoing.memory();
        let room = outgoing.room();
        let lacks = receive_max > room
            && self.lacks(Outgoing::<Sent>::memory_for(receive_max).saturating_sub(before));
        outgoing.reconnected(if lacks { room.max(1) } else { receive_max });
        outgoing.reserve();
        self.change(units, before, outgoing.memory());
    }

    /// What is in flight from a client.
    pub(crate) fn incoming(&self, units: &mut Units, receive_max: u16, enforced: bool) -> Box<Incoming> {
        let mut incoming = Box::new(Incoming::new(receive_max, enforced));
        if self.0.is_some() {
            incoming.reserve();
            self.take_incoming(units, &incoming);
        }
        incoming
    }

    /// Counts one that is there already.
    pub(crate) fn take_incoming(&self, units: &mut Units, incoming: &Incoming) {
        if self.is_bounded() {
            self.take(units, size_of::<Incoming>() + incoming.memory() + 3 * PIECE);
        }
    }

    /// Something of a session takes so much now, and took so much before.
    #[inline]
    pub(crate) fn change(&self, units: &mut Units, before: usize, now: usize) {
        // Each in whole units, so that what was taken is given back.
        match Units::of(now).0.checked_sub(Units::of(before).0) {
            Some(0) => {}
            Some(more) => self.take(units, more as usize * UNIT),
            None => self.give(units, (Units::of(before).0 - Units::of(now).0) as usize * UNIT),
        }
    }

    /// Bytes that are counted now.
    pub(crate) fn used(&self) -> usize {
        self.0.as_ref().map_or(0, |pool| {
            pool.used.load(Relaxed) + pool.coming.as_ref().map_or(0, |coming| coming.used.load(Relaxed))
        })
    }
}

/// The topics that a client has given numbers.
#[derive(Debug)]
pub(crate) struct TheirAliases {
    pub(crate) topics: AliasesIn,
    pub(crate) charge: Charge,
}

/// The topics that have numbers for a client.
#[derive(Debug)]
pub(crate) struct OurAliases {
    pub(crate) topics: AliasesOut,
    pub(crate) charge: Charge,
}

/// What a session is counted with: given back where it is taken out of its table, since a way to the count would make every
/// session larger.
#[derive(Debug, Default)]
pub(crate) struct Units(u32);

impl Units {
    fn of(bytes: usize) -> Units {
        Units(u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0 as usize * UNIT
    }
}

/// What something is counted with, until it is gone.
#[derive(Debug, Default)]
pub(crate) struct Charge {
    pool: Option<Arc<Pool>>,
    bytes: usize,
}

impl Charge {
    /// Whether anything is counted.
    #[inline]
    pub(crate) fn counts(&self) -> bool {
        self.pool.is_some()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn add(&mut self, bytes: usize) {
        if let Some(pool) = &self.pool {
            pool.used.fetch_add(bytes, Relaxed);
            self.bytes += bytes;
        }
    }

    /// Counts it with so much from now on.
    pub(crate) fn set(&mut self, bytes: usize) {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.add(more),
            None => self.sub(self.bytes - bytes),
        }
    }

    pub(crate) fn sub(&mut self, bytes: usize) {
        if let Some(pool) = &self.pool {
            pool.used.fetch_sub(bytes, Relaxed);
            self.bytes -= bytes;
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.sub(self.bytes);
    }
}

/// A copy takes as much.
impl Clone for Charge {
    fn clone(&self) -> Charge {
        let mut charge = Charge { pool: self.pool.clone(), bytes: 0 };
        charge.add(self.bytes);
        charge
    }
}

/// How something is counted is no part of what it is.
impl PartialEq for Charge {
    fn eq(&self, _: &Charge) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_given_back() {
        let memory = Memory::new(1_000);
        assert!(memory.lacks(1_001) && !memory.lacks(1_000));
        let mut one = memory.charge(600);
        let copy = one.clone();
        assert_eq!(
            (memory.used(), memory.lacks(1), memory.excess()),
            (1_200, true, 200),
            "over it, if it must be"
        );
        assert!(!memory.lacks(0), "what needs nothing is never refused");
        one.sub(100);
        drop(copy);
        assert_eq!(memory.used(), 500);
        drop(one);
        assert_eq!((memory.used(), memory.lacks(1_000)), (0, false));
        assert!(!Memory::default().lacks(usize::MAX));
        assert_eq!((Memory::default().charge(7).bytes, Memory::new(0).used()), (0, 0));
    }

    #[test]
    fn a_charge_follows_what_grows_and_shrinks() {
        let memory = Memory::new(1_000);
        let mut charge = memory.charge(100);
        for bytes in [700, 0, 12, 12, 3] {
            charge.set(bytes);
            assert_eq!((memory.used(), memory.missing(1_000)), (bytes, bytes));
        }
    }

    #[test]
    fn a_session_counts_in_units_that_are_all_given_back() {
        let memory = Memory::new(10_000);
        let mut units = Units::default();
        for bytes in [1, 15, 16, 17, 1_000] {
            memory.take(&mut units, bytes);
        }
        assert_eq!(memory.used(), 16 * (1 + 1 + 1 + 2 + 63));
        memory.give(&mut units, 17);
        assert_eq!(memory.used(), 16 * (1 + 1 + 1 + 63));
        memory.take(&mut units, usize::MAX);
        memory.take(&mut units, usize::MAX);
        memory.give_all(units);
        assert_eq!(memory.used(), 0, "even what no number can hold");
        let mut units = Units::default();
        Memory::default().take(&mut units, 100);
        assert_eq!(units.0, 0);
    }
}

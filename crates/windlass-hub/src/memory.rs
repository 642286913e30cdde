//! What a hub's memory is spent on, counted against one bound ([`HubConfig::memory_max`](crate::HubConfig::memory_max)).
//!
//! Sessions, subscriptions, messages that are kept, and places in queues each hold a [`Charge`], and give back what
//! they are counted with when they are gone, on whatever way. What has no room is asked before it is made; what must
//! not be lost (found in the journal, passed on by another worker, a will that was promised) is counted and taken all
//! the same, and then it is others that find no room.
//!
//! Without a bound nothing is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use windlass_proto::mqtt::{Incoming, Outgoing};

use crate::session::Sent;

/// A session without a connection or with one, with its places in the tables, its deadlines and topic aliases, but
/// without its subscriptions, and without its client identifier and its will.
const SESSION: usize = 1_536;
/// What is known of one message in flight, to a client or from it; maps have room for twice as many.
const IN_FLIGHT: usize = 2 * 80;
/// A subscription, beside its filter.
const SUBSCRIPTION: usize = 256;
/// One level of a filter, or of the topic of a retained message, in their trees.
const LEVEL: usize = 160;
/// A message that is kept, beside its topic, properties and payload.
const MESSAGE: usize = 192;
/// A place in a queue.
pub(crate) const PLACE: usize = 96;

/// Bytes of a session with so many messages in flight either way.
pub(crate) fn of_session(client_id: &str, in_flight: usize) -> usize {
    SESSION + client_id.len() + in_flight * IN_FLIGHT
}

/// Bytes of a subscription.
pub(crate) fn of_subscription(filter: &str) -> usize {
    // In its session, and level by level in the tree.
    SUBSCRIPTION + 2 * filter.len() + levels(filter) * LEVEL
}

/// Bytes of a message that is kept, whoever keeps it.
pub(crate) fn of_message(len: usize) -> usize {
    MESSAGE + len
}

/// Bytes of one that is retained.
pub(crate) fn of_retained(topic: &str, len: usize) -> usize {
    MESSAGE + len + topic.len() + levels(topic) * LEVEL
}

fn levels(topic: &str) -> usize {
    topic.bytes().filter(|byte| *byte == b'/').count() + 1
}

/// The bound, and how much of it is in use: of all workers of a hub.
#[derive(Debug)]
struct Pool {
    used: AtomicUsize,
    max: usize,
}

/// A way to the count of a hub; `default` counts nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Option<Arc<Pool>>);

impl Memory {
    /// Bounded by so many bytes; 0 is no bound.
    pub(crate) fn new(max: usize) -> Memory {
        Memory((max > 0).then(|| Arc::new(Pool { used: AtomicUsize::new(0), max })))
    }

    /// Whether there is no room for so much more.
    #[inline]
    pub(crate) fn lacks(&self, bytes: usize) -> bool {
        self.0.as_ref().is_some_and(|pool| pool.used.load(Relaxed).saturating_add(bytes) > pool.max)
    }

    /// Counts so much, whether there is room for it or not.
    pub(crate) fn charge(&self, bytes: usize) -> Charge {
        let mut charge = Charge { pool: self.0.clone(), bytes: 0 };
        charge.add(bytes);
        charge
    }

    /// What is in flight to a client: where memory is bounded, with all the room it was counted with.
    pub(crate) fn outgoing(&self, receive_max: u16) -> Box<Outgoing<Sent>> {
        let mut outgoing = Box::new(Outgoing::new(receive_max));
        if self.0.is_some() {
            outgoing.reserve();
        }
        outgoing
    }

    /// The same of what is in flight from it.
    pub(crate) fn incoming(&self, receive_max: u16, enforced: bool) -> Box<Incoming> {
        let mut incoming = Box::new(Incoming::new(receive_max, enforced));
        if self.0.is_some() {
            incoming.reserve();
        }
        incoming
    }

    /// Bytes that are counted now.
    pub(crate) fn used(&self) -> usize {
        self.0.as_ref().map_or(0, |pool| pool.used.load(Relaxed))
    }
}

/// What something is counted with, until it is gone.
#[derive(Debug, Default)]
pub(crate) struct Charge {
    pool: Option<Arc<Pool>>,
    bytes: usize,
}

impl Charge {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn add(&mut self, bytes: usize) {
        if let Some(pool) = &self.pool {
            pool.used.fetch_add(bytes, Relaxed);
            self.bytes += bytes;
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
        assert_eq!((memory.used(), memory.lacks(0)), (1_200, true), "over it, if it must be");
        one.sub(100);
        drop(copy);
        assert_eq!(memory.used(), 500);
        drop(one);
        assert_eq!((memory.used(), memory.lacks(1_000)), (0, false));
        assert!(!Memory::default().lacks(usize::MAX));
        assert_eq!((Memory::default().charge(7).bytes, Memory::new(0).used()), (0, 0));
    }
}

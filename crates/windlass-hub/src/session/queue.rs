//! Messages that wait for one session.

use std::collections::VecDeque;
use std::sync::Arc;

use windlass::Time;
use windlass_proto::mqtt::QoS;

use super::message::Message;
use crate::memory::{self, Charge, Memory};

/// One message that waits, and how it is to be sent.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Queued {
    pub(crate) message: Arc<Message>,
    pub(crate) how: How,
}

/// How a session gets a message, whenever it is sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct How {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Of the subscriptions it comes for, those that have one.
    pub(crate) ids: Ids,
}

/// Subscription identifiers: mostly none or one, and then nothing is allocated.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Ids {
    #[default]
    None,
    One(u32),
    More(Box<[u32]>),
}

impl Ids {
    pub(crate) fn of(ids: &[u32]) -> Ids {
        match ids {
            [] => Ids::None,
            [id] => Ids::One(*id),
            more => Ids::More(more.into()),
        }
    }

    pub(crate) fn as_slice(&self) -> &[u32] {
        match self {
            Ids::None => &[],
            Ids::One(id) => std::slice::from_ref(id),
            Ids::More(ids) => ids,
        }
    }
}

/// The queue of a session, within its limits. One that never held anything has no memory, and one that held much
/// gives it back.
#[derive(Debug, Default)]
pub(crate) struct Queue(Option<Box<Waiting>>);

#[derive(Debug)]
struct Waiting {
    messages: VecDeque<Queued>,
    bytes: usize,
    /// How many of them are of QoS 0: while there are some, others of QoS 0 do not pass them.
    qos_0: usize,
    /// None of them expires before this time.
    expires: Time,
    /// What its places are counted with.
    charge: Charge,
}

impl Default for Waiting {
    fn default() -> Waiting {
        Waiting {
            messages: VecDeque::new(),
            bytes: 0,
            qos_0: 0,
            expires: Time::MAX,
            charge: Charge::default(),
        }
    }
}

/// What of a message, besides its bytes, counts against `queue_bytes_max`.
const OVERHEAD: usize = 64;
/// Room for so many messages is kept when there are none.
const KEEP_MAX: usize = 64;

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.messages.len())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.bytes)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|waiting| waiting.messages.is_empty())
    }

    #[inline]
    pub(crate) fn has_qos_0(&self) -> bool {
        self.0.as_ref().is_some_and(|waiting| waiting.qos_0 > 0)
    }

    /// Whether one more message of so many bytes is within these limits.
    pub(crate) fn has_room(&self, len: usize, max: usize, bytes_max: usize) -> bool {
        self.len() < max && self.bytes() + len + OVERHEAD <= bytes_max
    }

    pub(crate) fn push(&mut self, queued: Queued, memory: &Memory) {
        let waiting = self
            .0
            .get_or_insert_with(|| Box::new(Waiting { charge: memory.charge(0), ..Waiting::default() }));
        waiting.charge.add(memory::PLACE);
        waiting.bytes += queued.message.len() + OVERHEAD;
        waiting.qos_0 += usize::from(queued.how.qos == QoS::AtMostOnce);
        waiting.expires = waiting.expires.min(queued.message.expires.unwrap_or(Time::MAX));
        waiting.messages.push_back(queued);
    }

    pub(crate) fn pop(&mut self) -> Option<Queued> {
        let queued = self.0.as_mut()?.messages.pop_front()?;
        self.gone(&queued);
        Some(queued)
    }

    fn gone(&mut self, queued: &Queued) {
        let Some(waiting) = &mut self.0 else { return };
        waiting.bytes -= queued.message.len() + OVERHEAD;
        waiting.qos_0 -= usize::from(queued.how.qos == QoS::AtMostOnce);
        waiting.charge.sub(memory::PLACE);
        if waiting.messages.is_empty() && waiting.messages.capacity() > KEEP_MAX {
            self.0 = None;
        }
    }

    /// Whether the first `most` messages or fewer give back so many bytes when they are dropped: not if somebody else has
    /// one of them too.
    pub(crate) fn would_free(&self, bytes: usize, most: usize) -> bool {
        let mut freed = 0;
        let alone = |queued: &&Queued| Arc::strong_count(&queued.message) == 1;
        self.iter().take(most).take_while(alone).any(|queued| {
            freed += memory::PLACE + queued.message.charged();
            freed >= bytes
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Queued> {
        self.0.iter().flat_map(|waiting| &waiting.messages)
    }

    pub(crate) fn front(&self) -> Option<&Queued> {
        self.0.as_ref()?.messages.front()
    }

    /// The first one of QoS 0 is taken out of turn: those before it wait for acknowledgements.
    pub(crate) fn pop_qos_0(&mut self) -> Option<Queued> {
        if !self.has_qos_0() {
            return None;
        }
        let waiting = self.0.as_mut()?;
        let at = waiting.messages.iter().position(|queued| queued.how.qos == QoS::AtMostOnce)?;
        let queued = waiting.messages.remove(at)?;
        self.gone(&queued);
        Some(queued)
    }

    /// Drops what has expired, and tells it. A full queue asks with every message: it is looked at only when there is
    /// something to find.
    pub(crate) fn drop_expired(&mut self, now: Time, mut dropped: impl FnMut(&Queued)) {
        let Some(waiting) = self.0.as_deref_mut().filter(|waiting| waiting.expires <= now) else { return };
        let Waiting { messages, bytes, qos_0, expires, charge } = waiting;
        *expires = Time::MAX;
        messages.retain(|queued| {
            let keep = !queued.message.is_expired(now);
            if keep {
                *expires = (*expires).min(queued.message.expires.unwrap_or(Time::MAX));
            } else {
                *bytes -= queued.message.len() + OVERHEAD;
                *qos_0 -= usize::from(queued.how.qos == QoS::AtMostOnce);
                charge.sub(memory::PLACE);
                dropped(queued);
            }
            keep
        });
    }
}

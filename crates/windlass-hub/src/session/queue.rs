//! Messages that wait for one session.

use std::collections::VecDeque;
use std::sync::Arc;

use windlass::Time;
use windlass_proto::mqtt::QoS;

use super::message::Message;

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

/// The queue of a session, within its limits.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    messages: VecDeque<Queued>,
    bytes: usize,
    /// How many of them are of QoS 0: while there are some, others of QoS 0 do not pass them.
    qos_0: usize,
}

/// What of a message, besides its bytes, counts against `queue_bytes_max`.
const OVERHEAD: usize = 64;

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn has_qos_0(&self) -> bool {
        self.qos_0 > 0
    }

    /// Whether one more message of so many bytes is within these limits.
    pub(crate) fn has_room(&self, len: usize, max: usize, bytes_max: usize) -> bool {
        self.messages.len() < max && self.bytes + len + OVERHEAD <= bytes_max
    }

    pub(crate) fn push(&mut self, queued: Queued) {
        self.bytes += queued.message.len() + OVERHEAD;
        self.qos_0 += usize::from(queued.how.qos == QoS::AtMostOnce);
        self.messages.push_back(queued);
    }

    pub(crate) fn pop(&mut self) -> Option<Queued> {
        let queued = self.messages.pop_front()?;
        self.gone(&queued);
        Some(queued)
    }

    fn gone(&mut self, queued: &Queued) {
        self.bytes -= queued.message.len() + OVERHEAD;
        self.qos_0 -= usize::from(queued.how.qos == QoS::AtMostOnce);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Queued> {
        self.messages.iter()
    }

    pub(crate) fn front(&self) -> Option<&Queued> {
        self.messages.front()
    }

    /// The first one of QoS 0 is taken out of turn: those before it wait for acknowledgements.
    pub(crate) fn pop_qos_0(&mut self) -> Option<Queued> {
        if self.qos_0 == 0 {
            return None;
        }
        let at = self.messages.iter().position(|queued| queued.how.qos == QoS::AtMostOnce)?;
        let queued = self.messages.remove(at)?;
        self.gone(&queued);
        Some(queued)
    }

    /// Drops what has expired, and returns it.
    pub(crate) fn drop_expired(&mut self, now: Time, mut dropped: impl FnMut(&Queued)) {
        let (mut bytes, mut qos_0) = (0, 0);
        self.messages.retain(|queued| {
            let keep = !queued.message.is_expired(now);
            if !keep {
                bytes += queued.message.len() + OVERHEAD;
                qos_0 += usize::from(queued.how.qos == QoS::AtMostOnce);
                dropped(queued);
            }
            keep
        });
        self.bytes -= bytes;
        self.qos_0 -= qos_0;
    }
}

//! Publish and subscribe: who hears what.
//!
//! A message is encoded once and queued on each subscriber. One that does not read is the engine's to deal
//! with: its queue is bounded, and when it overflows or stalls its connection ends. Nobody else waits.

use indexmap::{IndexMap, IndexSet};
use windlass::proto::resp::{Encoder, Version};
use windlass::{Bytes, Conn, ConnId};

use super::glob;

/// A message of at least this many bytes is shared by those it is sent to instead of copied.
const SHARE_MIN: usize = 4096;

/// All subscriptions.
#[derive(Default)]
pub(super) struct Pubsub {
    channels: IndexMap<Box<[u8]>, Vec<Subscriber>>,
    patterns: IndexMap<Box<[u8]>, Vec<Subscriber>>,
    /// What all names of all subscriptions take, about.
    bytes: usize,
    message: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Subscriber {
    conn: ConnId,
    version: Version,
}

/// The subscriptions of one connection.
#[derive(Default)]
pub(super) struct Subscriptions {
    pub(super) channels: IndexSet<Box<[u8]>>,
    pub(super) patterns: IndexSet<Box<[u8]>>,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    pub(super) fn of(&mut self, kind: Kind) -> &mut IndexSet<Box<[u8]>> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
        }
    }
}

/// What is subscribed to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Channel,
    Pattern,
}

/// What a subscription costs beside its name.
const COST: usize = 160;

impl Pubsub {
    fn of(&mut self, kind: Kind) -> &mut IndexMap<Box<[u8]>, Vec<Subscriber>> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
        }
    }

    /// What these subscriptions would come to with all there are.
    pub(super) fn bytes_with<'n>(&self, names: impl Iterator<Item = &'n [u8]>) -> usize {
        self.bytes + names.map(|name| name.len() + COST).sum::<usize>()
    }

    /// Adds a subscription that the connection does not have.
    pub(super) fn add(&mut self, kind: Kind, name: &[u8], conn: ConnId, version: Version) {
        self.bytes += name.len() + COST;
        self.of(kind).entry(name.into()).or_default().push(Subscriber { conn, version });
    }

    pub(super) fn remove(&mut self, kind: Kind, name: &[u8], conn: ConnId) {
        let Some(subscribers) = self.of(kind).get_mut(name) else { return };
        if let Some(at) = subscribers.iter().position(|subscriber| subscriber.conn == conn) {
            subscribers.swap_remove(at);
            if subscribers.is_empty() {
                self.of(kind).swap_remove(name);
            }
            self.bytes -= name.len() + COST;
        }
    }

    /// A connection has gone, or wants to hear no more.
    pub(super) fn leave(&mut self, conn: ConnId, subscriptions: Option<Box<Subscriptions>>) {
        let Some(subscriptions) = subscriptions else { return };
        subscriptions.channels.iter().for_each(|name| self.remove(Kind::Channel, name, conn));
        subscriptions.patterns.iter().for_each(|name| self.remove(Kind::Pattern, name, conn));
    }

    /// A connection speaks another version now.
    pub(super) fn set_version(&mut self, conn: ConnId, subscriptions: &Subscriptions, version: Version) {
        for (kind, names) in
            [(Kind::Channel, &subscriptions.channels), (Kind::Pattern, &subscriptions.patterns)]
        {
            for name in names {
                let subscribers = self.of(kind).get_mut(name).map(|all| &mut all[..]).unwrap_or_default();
                subscribers
                    .iter_mut()
                    .filter(|subscriber| subscriber.conn == conn)
                    .for_each(|it| it.version = version);
            }
        }
    }

    /// Sends a message to all who want it and returns how many. What the publisher itself hears is
    /// appended to `out`, before the reply it will get.
    pub(super) fn publish(
        &mut self,
        conn: &mut Conn<'_>,
        out: &mut Vec<u8>,
        channel: &[u8],
        text: &[u8],
    ) -> usize {
        let mut heard = 0;
        let mut message = std::mem::take(&mut self.message);
        if let Some(subscribers) = self.channels.get(channel) {
            message.clear();
            // The versions differ in the first byte, which is set for each.
            let mut encoder = Encoder::new(&mut message, Version::Resp2);
            encoder.push(3);
            encoder.bulk(b"message");
            encoder.bulk(channel);
            encoder.bulk(text);
            heard += send(conn, out, subscribers, &mut message);
        }
        for (pattern, subscribers) in &self.patterns {
            if !glob::matches(pattern, channel) {
                continue;
            }
            message.clear();
            let mut encoder = Encoder::new(&mut message, Version::Resp2);
            encoder.push(4);
            encoder.bulk(b"pmessage");
            encoder.bulk(pattern);
            encoder.bulk(channel);
            encoder.bulk(text);
            heard += send(conn, out, subscribers, &mut message);
        }
        if message.capacity() <= super::KEEP_BYTES {
            self.message = message;
        }
        heard
    }

    /// The channels that somebody is subscribed to.
    pub(super) fn channels(&self) -> impl Iterator<Item = &[u8]> {
        self.channels.keys().map(|name| &**name)
    }

    pub(super) fn subscribers(&self, channel: &[u8]) -> usize {
        self.channels.get(channel).map_or(0, Vec::len)
    }

    pub(super) fn patterns(&self) -> usize {
        self.patterns.len()
    }

    pub(super) fn channels_len(&self) -> usize {
        self.channels.len()
    }
}

/// Queues a message on each subscriber. One that is closing counts, as in Redis.
fn send(conn: &mut Conn<'_>, out: &mut Vec<u8>, subscribers: &[Subscriber], message: &mut [u8]) -> usize {
    let own = conn.id();
    let share = message.len() >= SHARE_MIN && subscribers.len() > 1;
    for version in [Version::Resp2, Version::Resp3] {
        message[0] = if version == Version::Resp2 { b'*' } else { b'>' };
        let mut shared: Option<Bytes> = None;
        for subscriber in subscribers.iter().filter(|subscriber| subscriber.version == version) {
            if subscriber.conn == own {
                out.extend_from_slice(message);
            } else if share {
                let bytes = shared.get_or_insert_with(|| Bytes::copy_from_slice(message));
                conn.write_shared_to(subscriber.conn, bytes.clone());
            } else {
                conn.write_to(subscriber.conn, message);
            }
        }
    }
    subscribers.len()
}

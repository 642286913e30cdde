//! What a log holds, as plain values: given to the workers at the start.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use windlass::Bytes;
use windlass_proto::mqtt::QoS;

use super::record::{Body, MessageNumber, SessionNumber};

/// All that was durable. The hub gives it to its workers.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// In the order of their numbers, which is that of their beginnings.
    pub sessions: Vec<RecoveredSession>,
    /// In no order that means anything.
    pub retained: Vec<RecoveredRetained>,
    /// Wills of sessions that have expired meanwhile: to be published now ([MQTT-3.1.2-8], section 3.1.2.5 of 5.0).
    pub wills_due: Vec<RecoveredWillDue>,
    /// Numbers of sessions and messages begin here.
    pub next_number: u64,
    /// Versions of what is retained begin here.
    pub next_version: u64,
    /// What was read, and what was wrong with it.
    pub report: Report,
}

/// A session, with a connection or without when the log ended.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct RecoveredSession {
    /// Its number.
    pub number: SessionNumber,
    /// The client's identifier.
    pub client_id: Box<str>,
    /// Whom it belongs to; empty for nobody.
    pub user: Box<str>,
    /// The protocol's level of its last connection: 4 or 5.
    pub level: u8,
    /// Seconds it is kept without a connection; `u32::MAX`: for ever.
    pub expiry_s: u32,
    /// Since when it has no connection, in Unix milliseconds. `None`: it had one, and has lost it with the process: say
    /// so with [`Record::Disconnected`](super::Record::Disconnected) as of now.
    pub offline_since_ms: Option<u64>,
    /// Its will, not published.
    pub will: Option<RecoveredWill>,
    /// By filter.
    pub subscriptions: BTreeMap<Box<str>, RecoveredSubscription>,
    /// What waits, in order.
    pub queued: VecDeque<RecoveredDelivery>,
    /// What is in flight, in the order it was sent.
    pub in_flight: VecDeque<(u16, RecoveredInFlight)>,
    /// Identifiers of messages of QoS 2 that were taken over from the client and not released. Sorted.
    pub received: Vec<u16>,
}

/// How a filter is subscribed to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RecoveredSubscription {
    /// [`SubscribeOptions::from_byte`](windlass_proto::mqtt::SubscribeOptions::from_byte) reads them, without bit 7: see
    /// [`Record::Subscribed`](super::Record::Subscribed).
    pub options: u8,
    /// The subscription identifier; 0: none.
    pub id: u32,
}

/// A message for a session.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct RecoveredDelivery {
    /// What: shared by all who wait for it.
    pub message: Arc<RecoveredMessage>,
    /// With which QoS.
    pub qos: QoS,
    /// With which RETAIN flag.
    pub retain: bool,
    /// With which subscription identifiers.
    pub ids: Box<[u32]>,
}

/// What is in flight under an identifier.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum RecoveredInFlight {
    /// A message that is not acknowledged.
    Message(RecoveredDelivery),
    /// PUBREL, without PUBCOMP.
    Released,
}

/// A message.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveredMessage {
    /// Its number; 0 for one that is retained, or a will.
    pub number: MessageNumber,
    /// About what.
    pub topic: Box<str>,
    /// Any bytes.
    pub payload: Bytes,
    /// Properties of version 5, as they are on the wire, without their length.
    pub properties: Box<[u8]>,
    /// As it was published.
    pub qos: QoS,
    /// The RETAIN flag it was published with.
    pub retain: bool,
    /// When it expires, in Unix milliseconds; 0: never.
    pub expires_at_ms: u64,
    /// The session that published it; 0: none that is kept.
    pub publisher: SessionNumber,
}

/// What is retained for a topic.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct RecoveredRetained {
    /// Its version.
    pub version: u64,
    /// What, and for which topic.
    pub message: RecoveredMessage,
}

/// A will.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct RecoveredWill {
    /// Seconds between the end of the connection and its publication.
    pub delay_s: u32,
    /// What.
    pub message: RecoveredMessage,
}

/// The will of a session that has expired, which is over with it: say so with [`Record::Closed`](super::Record::Closed)
/// when it is published, or the next start finds it again.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct RecoveredWillDue {
    /// The session.
    pub session: SessionNumber,
    /// Its client's identifier.
    pub client_id: Box<str>,
    /// Whom it belonged to; empty for nobody.
    pub user: Box<str>,
    /// What is to be published.
    pub will: RecoveredWill,
}

/// What was read of a log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Segments that were read.
    pub segments: u64,
    /// Batches in them.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Bytes at the end that were not written whole, which nobody had been told of.
    pub torn_bytes: u64,
    /// What a log without history would take, about.
    pub live_bytes: u64,
    /// Sessions that had expired.
    pub expired_sessions: u64,
    /// Messages that had expired: waiting, or retained.
    pub expired_messages: u64,
    /// What was not as it was written, and what became of it, for the operator. Empty as a rule.
    pub problems: Vec<String>,
}

impl RecoveredMessage {
    pub(super) fn new(number: MessageNumber, body: &Body<'_>) -> RecoveredMessage {
        RecoveredMessage {
            number,
            topic: body.topic.into(),
            payload: Bytes::copy_from_slice(body.payload),
            properties: body.properties.into(),
            qos: body.qos,
            retain: body.retain,
            expires_at_ms: body.expires_at_ms,
            publisher: body.publisher,
        }
    }

    /// As it is written down.
    pub fn body(&self) -> Body<'_> {
        Body {
            topic: &self.topic,
            payload: &self.payload,
            properties: &self.properties,
            qos: self.qos,
            retain: self.retain,
            expires_at_ms: self.expires_at_ms,
            publisher: self.publisher,
        }
    }

    /// Whether it has expired by then, in Unix milliseconds.
    pub(super) fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms != 0 && self.expires_at_ms <= now_ms
    }
}

/// Without payload and properties, which may be secrets.
impl std::fmt::Debug for RecoveredMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecoveredMessage").field("number", &self.number).field("body", &self.body()).finish()
    }
}

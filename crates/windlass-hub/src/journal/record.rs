//! What is written down: one record for each thing that changes in a durable session or in what is retained.
//!
//! A record is a byte for its kind and its fields, without a length: it ends where its last field does. Records stand
//! in frames (`frame.rs`), which have the checksums; a record that does not decode inside a frame that is whole comes
//! from another version of this code, and no record is ever guessed at.

use std::fmt;

use windlass_proto::mqtt::QoS;

use super::wire::{Reader, put_bytes, put_number};

/// The number of a session: given by [`Journal::session`](super::Journal::session), and never again.
pub type SessionNumber = u64;

/// The number of a message: given by [`Journal::message`](super::Journal::message), and never again.
pub type MessageNumber = u64;

/// In the options of [`Record::Subscribed`]: retained messages are still to be sent.
pub(crate) const REPLAYS: u8 = 0x80;

/// One change. Text and bytes are borrowed, from the hub's state or from the log.
///
/// Every record stands on its own: one of a session or message that is not known any more changes nothing, and one
/// that is read twice does what it did once. That is what lets old parts of the log be removed while it is written.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub enum Record<'b> {
    /// A session begins, connected and empty. It replaces the one of this number, if there is one, and any other of
    /// this client id: so this is also how a checkpoint begins a session, with all that it has behind it.
    Opened {
        /// Whose records follow.
        session: SessionNumber,
        /// The client's identifier.
        client_id: &'b str,
        /// Whom it belongs to; empty for nobody.
        user: &'b str,
        /// The protocol's level of its connection: 4 or 5.
        level: u8,
        /// Seconds it is kept without a connection; `u32::MAX`: for ever.
        expiry_s: u32,
    },
    /// It is gone, and all that it has.
    Closed {
        /// Which.
        session: SessionNumber,
    },
    /// It has a connection again.
    Connected {
        /// Which.
        session: SessionNumber,
        /// The protocol's level of that connection.
        level: u8,
        /// As the client says now.
        expiry_s: u32,
    },
    /// It has none any more.
    Disconnected {
        /// Which.
        session: SessionNumber,
        /// Since when, in Unix milliseconds.
        at_ms: u64,
        /// As the client has said last.
        expiry_s: u32,
    },
    /// It has a subscription, in place of the one of this very filter.
    Subscribed {
        /// Which session.
        session: SessionNumber,
        /// With the group, if it is shared.
        filter: &'b str,
        /// [`SubscribeOptions::to_byte`](windlass_proto::mqtt::SubscribeOptions::to_byte). With bit 7, which is reserved
        /// there, retained messages are still to be sent for it: they are looked for anew after a start.
        options: u8,
        /// The subscription identifier; 0: none.
        id: u32,
    },
    /// It has no such subscription any more.
    Unsubscribed {
        /// Which session.
        session: SessionNumber,
        /// The very filter.
        filter: &'b str,
    },
    /// What sessions wait for: its text, once for all of them. [`Journal::message`](super::Journal::message) writes it.
    Message {
        /// How the others call it.
        message: MessageNumber,
        /// What it says.
        body: Body<'b>,
    },
    /// It waits in the queue of a session, as the last.
    Queued {
        /// In which.
        session: SessionNumber,
        /// What.
        message: MessageNumber,
        /// How it will be sent.
        how: How<'b>,
    },
    /// It is in flight. The first of that number leaves the queue, if one is there.
    Sent {
        /// To which session.
        session: SessionNumber,
        /// What.
        message: MessageNumber,
        /// Its packet identifier.
        packet: u16,
        /// How it is sent.
        how: How<'b>,
    },
    /// It left the queue unsent: expired, too long for the client, or for want of room.
    Dropped {
        /// Which session's.
        session: SessionNumber,
        /// What.
        message: MessageNumber,
    },
    /// PUBREC came: the client has it, and PUBREL goes.
    Released {
        /// Which session.
        session: SessionNumber,
        /// Which identifier.
        packet: u16,
    },
    /// PUBACK or PUBCOMP came, or PUBREC with an error: nothing is in flight under this identifier.
    Done {
        /// Which session.
        session: SessionNumber,
        /// Which identifier.
        packet: u16,
    },
    /// A message of QoS 2 was taken over from the client: another one under this identifier is the same.
    Received {
        /// Which session.
        session: SessionNumber,
        /// Which identifier.
        packet: u16,
    },
    /// PUBREL came: the identifier is free.
    ReceivedDone {
        /// Which session.
        session: SessionNumber,
        /// Which identifier.
        packet: u16,
    },
    /// A message is retained for its topic, unless a later version is.
    Retained {
        /// Which is later.
        version: u64,
        /// What, and for which topic.
        body: Body<'b>,
    },
    /// Nothing is retained for this topic, unless a later version is.
    RetainedGone {
        /// Which is later.
        version: u64,
        /// For which.
        topic: &'b str,
    },
    /// The session has a will, in place of any before.
    Will {
        /// Which session.
        session: SessionNumber,
        /// Seconds between the end of the connection and its publication.
        delay_s: u32,
        /// What.
        body: Body<'b>,
    },
    /// It has none any more: it was published, or the client took it back.
    WillGone {
        /// Which session.
        session: SessionNumber,
    },
    /// A message was taken over by one worker, and is for sessions that another one has: written down together with
    /// what its publisher is told, before that worker hears of it. It is out when that worker has said so
    /// ([`Record::Taken`]); a start finds out who gets it if none has.
    Posted {
        /// Its number among those that this worker posts to that one: later ones have higher numbers, over restarts
        /// too. [`Journal::session`](super::Journal::session) gives it.
        number: u64,
        /// What.
        message: MessageNumber,
        /// From which worker to which.
        way: Way,
        /// Of how many workers that sessions are dealt out among.
        workers: u16,
        /// The RETAIN flag it was published with.
        retain: bool,
        /// It is for the sessions whose filters match.
        routed: bool,
        /// It is for one member of each of these groups: filters with their groups.
        groups: Groups<'b>,
    },
    /// A worker has written down what has become of all that another posted to it.
    Taken {
        /// Up to this number.
        number: u64,
        /// From which worker to which.
        way: Way,
    },
}

/// From one worker to another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Way {
    /// Who posts.
    pub from: u16,
    /// Who takes.
    pub to: u16,
}

/// A message as it came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Body<'b> {
    /// About what.
    pub topic: &'b str,
    /// Any bytes.
    pub payload: &'b [u8],
    /// Properties of version 5 that are passed on, as they are on the wire, without their length.
    pub properties: &'b [u8],
    /// As it was published.
    pub qos: QoS,
    /// The RETAIN flag it was published with.
    pub retain: bool,
    /// When it expires, in Unix milliseconds; 0: never.
    pub expires_at_ms: u64,
    /// The session that published it, which does not get it if it said No Local; 0: none that is kept.
    pub publisher: SessionNumber,
}

impl Default for Body<'_> {
    fn default() -> Self {
        Body {
            topic: "",
            payload: &[],
            properties: &[],
            qos: QoS::AtMostOnce,
            retain: false,
            expires_at_ms: 0,
            publisher: 0,
        }
    }
}

/// Without the payload and the properties, which may be secrets.
impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Body { topic, payload, properties, qos, retain, expires_at_ms, publisher } = self;
        f.debug_struct("Body")
            .field("topic", topic)
            .field("payload", &format_args!("{} bytes", payload.len()))
            .field("properties", &format_args!("{} bytes", properties.len()))
            .field("qos", qos)
            .field("retain", retain)
            .field("expires_at_ms", expires_at_ms)
            .field("publisher", publisher)
            .finish()
    }
}

/// How a message goes to one session.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct How<'b> {
    /// With this QoS.
    pub qos: QoS,
    /// With this RETAIN flag.
    pub retain: bool,
    /// With the identifiers of the subscriptions that it matches.
    pub ids: Ids<'b>,
}

impl How<'_> {
    /// With this QoS, and nothing else.
    pub const fn new(qos: QoS) -> How<'static> {
        How { qos, retain: false, ids: Ids::NONE }
    }
}

/// Subscription identifiers, in order.
#[derive(Clone, Copy)]
pub struct Ids<'b>(List<'b>);

#[derive(Clone, Copy)]
enum List<'b> {
    Slice(&'b [u32]),
    /// As they are in the log: checked, so that no iteration fails.
    Bytes(&'b [u8]),
}

impl<'b> Ids<'b> {
    /// None.
    pub const NONE: Ids<'static> = Ids(List::Slice(&[]));

    /// These.
    pub const fn new(ids: &'b [u32]) -> Ids<'b> {
        Ids(List::Slice(ids))
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        let (mut slice, bytes) = match self.0 {
            List::Slice(slice) => (slice.iter(), &[][..]),
            List::Bytes(bytes) => ([].iter(), bytes),
        };
        let mut reader = Reader::new(bytes);
        std::iter::from_fn(move || slice.next().copied().or_else(|| reader.number_as().ok()))
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        match self.0 {
            List::Slice(slice) => slice.is_empty(),
            List::Bytes(bytes) => bytes.is_empty(),
        }
    }
}

impl Default for Ids<'_> {
    fn default() -> Self {
        Ids::NONE
    }
}

impl PartialEq for Ids<'_> {
    fn eq(&self, other: &Ids<'_>) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Ids<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Filters of groups, in order.
#[derive(Clone, Copy)]
pub struct Groups<'b>(Filters<'b>);

#[derive(Clone, Copy)]
enum Filters<'b> {
    Slice(&'b [&'b str]),
    /// As they are in the log: checked, so that no iteration fails.
    Bytes(&'b [u8]),
}

impl<'b> Groups<'b> {
    /// None.
    pub const NONE: Groups<'static> = Groups(Filters::Slice(&[]));

    /// These.
    pub const fn new(filters: &'b [&'b str]) -> Groups<'b> {
        Groups(Filters::Slice(filters))
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = &'b str> {
        let (mut slice, bytes) = match self.0 {
            Filters::Slice(slice) => (slice.iter(), &[][..]),
            Filters::Bytes(bytes) => ([].iter(), bytes),
        };
        let mut reader = Reader::new(bytes);
        std::iter::from_fn(move || slice.next().copied().or_else(|| reader.text().ok()))
    }
}

impl PartialEq for Groups<'_> {
    fn eq(&self, other: &Groups<'_>) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Groups<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Why bytes are not a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RecordError {
    /// They end within it.
    Short,
    /// A number is out of its range, or not in its shortest form.
    Number,
    /// A text is not UTF-8.
    Text,
    /// Flags that mean nothing.
    Flags,
    /// A kind that is not known.
    Kind(u8),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Short => f.write_str("a record is cut off"),
            RecordError::Number => f.write_str("a number in a record is out of its range"),
            RecordError::Text => f.write_str("a text in a record is not UTF-8"),
            RecordError::Flags => f.write_str("flags in a record mean nothing"),
            RecordError::Kind(kind) => write!(f, "a record of the unknown kind {kind}"),
        }
    }
}

impl std::error::Error for RecordError {}

mod kind {
    pub(super) const OPENED: u8 = 1;
    pub(super) const CLOSED: u8 = 2;
    pub(super) const CONNECTED: u8 = 3;
    pub(super) const DISCONNECTED: u8 = 4;
    pub(super) const SUBSCRIBED: u8 = 5;
    pub(super) const UNSUBSCRIBED: u8 = 6;
    pub(super) const MESSAGE: u8 = 7;
    pub(super) const QUEUED: u8 = 8;
    pub(super) const SENT: u8 = 9;
    pub(super) const DROPPED: u8 = 10;
    pub(super) const RELEASED: u8 = 11;
    pub(super) const DONE: u8 = 12;
    pub(super) const RECEIVED: u8 = 13;
    pub(super) const RECEIVED_DONE: u8 = 14;
    pub(super) const RETAINED: u8 = 15;
    pub(super) const RETAINED_GONE: u8 = 16;
    pub(super) const WILL: u8 = 17;
    pub(super) const WILL_GONE: u8 = 18;
    pub(super) const POSTED: u8 = 19;
    pub(super) const TAKEN: u8 = 20;
}

const QOS: u8 = 0b11;
const RETAIN: u8 = 0b100;
const IDS: u8 = 0b1000;
const EXPIRES: u8 = 0b1000;
const PROPERTIES: u8 = 0b1_0000;
const PUBLISHER: u8 = 0b10_0000;
const ROUTED: u8 = 0b1;

impl Record<'_> {
    /// Appends it. Never more than 64 bytes and what it borrows.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut begin = |kind: u8, number: u64| {
            out.push(kind);
            put_number(out, number);
        };
        match *self {
            Record::Opened { session, client_id, user, level, expiry_s } => {
                begin(kind::OPENED, session);
                put_bytes(out, client_id.as_bytes());
                put_bytes(out, user.as_bytes());
                out.push(level);
                put_number(out, expiry_s.into());
            }
            Record::Closed { session } => begin(kind::CLOSED, session),
            Record::Connected { session, level, expiry_s } => {
                begin(kind::CONNECTED, session);
                out.push(level);
                put_number(out, expiry_s.into());
            }
            Record::Disconnected { session, at_ms, expiry_s } => {
                begin(kind::DISCONNECTED, session);
                put_number(out, at_ms);
                put_number(out, expiry_s.into());
            }
            Record::Subscribed { session, filter, options, id } => {
                begin(kind::SUBSCRIBED, session);
                put_bytes(out, filter.as_bytes());
                out.push(options);
                put_number(out, id.into());
            }
            Record::Unsubscribed { session, filter } => {
                begin(kind::UNSUBSCRIBED, session);
                put_bytes(out, filter.as_bytes());
            }
            Record::Message { message, body } => {
                begin(kind::MESSAGE, message);
                put_body(out, &body);
            }
            Record::Queued { session, message, how } => {
                begin(kind::QUEUED, session);
                put_number(out, message);
                put_how(out, &how);
            }
            Record::Sent { session, message, packet, how } => {
                begin(kind::SENT, session);
                put_number(out, message);
                put_number(out, packet.into());
                put_how(out, &how);
            }
            Record::Dropped { session, message } => {
                begin(kind::DROPPED, session);
                put_number(out, message);
            }
            Record::Released { session, packet } => {
                begin(kind::RELEASED, session);
                put_number(out, packet.into());
            }
            Record::Done { session, packet } => {
                begin(kind::DONE, session);
                put_number(out, packet.into());
            }
            Record::Received { session, packet } => {
                begin(kind::RECEIVED, session);
                put_number(out, packet.into());
            }
            Record::ReceivedDone { session, packet } => {
                begin(kind::RECEIVED_DONE, session);
                put_number(out, packet.into());
            }
            Record::Retained { version, body } => {
                begin(kind::RETAINED, version);
                put_body(out, &body);
            }
            Record::RetainedGone { version, topic } => {
                begin(kind::RETAINED_GONE, version);
                put_bytes(out, topic.as_bytes());
            }
            Record::Will { session, delay_s, body } => {
                begin(kind::WILL, session);
                put_number(out, delay_s.into());
                put_body(out, &body);
            }
            Record::WillGone { session } => begin(kind::WILL_GONE, session),
            Record::Posted { number, message, way, workers, retain, routed, groups } => {
                begin(kind::POSTED, number);
                put_number(out, message);
                put_way(out, way);
                put_number(out, workers.into());
                out.push(if routed { ROUTED } else { 0 } | if retain { RETAIN } else { 0 });
                let mut filters = Vec::new();
                groups.iter().for_each(|filter| put_bytes(&mut filters, filter.as_bytes()));
                put_bytes(out, &filters);
            }
            Record::Taken { number, way } => {
                begin(kind::TAKEN, number);
                put_way(out, way);
            }
        }
    }
}

impl<'b> Record<'b> {
    /// Takes one off the front of the bytes.
    ///
    /// # Errors
    ///
    /// If they do not begin with a whole one; the bytes are as they were then.
    pub fn decode(bytes: &mut &'b [u8]) -> Result<Record<'b>, RecordError> {
        let mut reader = Reader::new(bytes);
        let record = Record::read(&mut reader)?;
        *bytes = reader.rest();
        Ok(record)
    }

    fn read(reader: &mut Reader<'b>) -> Result<Record<'b>, RecordError> {
        let kind = reader.byte()?;
        if !(kind::OPENED..=kind::TAKEN).contains(&kind) {
            return Err(RecordError::Kind(kind));
        }
        // All of them begin with a number: of a session, a message, or a version.
        let number = reader.number()?;
        let session = number;
        Ok(match kind {
            kind::OPENED => Record::Opened {
                session,
                client_id: reader.text()?,
                user: reader.text()?,
                level: reader.byte()?,
                expiry_s: reader.number_as()?,
            },
            kind::CLOSED => Record::Closed { session },
            kind::CONNECTED => {
                Record::Connected { session, level: reader.byte()?, expiry_s: reader.number_as()? }
            }
            kind::DISCONNECTED => {
                Record::Disconnected { session, at_ms: reader.number()?, expiry_s: reader.number_as()? }
            }
            kind::SUBSCRIBED => Record::Subscribed {
                session,
                filter: reader.text()?,
                options: reader.byte()?,
                id: reader.number_as()?,
            },
            kind::UNSUBSCRIBED => Record::Unsubscribed { session, filter: reader.text()? },
            kind::MESSAGE => Record::Message { message: number, body: read_body(reader)? },
            kind::QUEUED => Record::Queued { session, message: reader.number()?, how: read_how(reader)? },
            kind::SENT => Record::Sent {
                session,
                message: reader.number()?,
                packet: reader.number_as()?,
                how: read_how(reader)?,
            },
            kind::DROPPED => Record::Dropped { session, message: reader.number()? },
            kind::RELEASED => Record::Released { session, packet: reader.number_as()? },
            kind::DONE => Record::Done { session, packet: reader.number_as()? },
            kind::RECEIVED => Record::Received { session, packet: reader.number_as()? },
            kind::RECEIVED_DONE => Record::ReceivedDone { session, packet: reader.number_as()? },
            kind::RETAINED => Record::Retained { version: number, body: read_body(reader)? },
            kind::RETAINED_GONE => Record::RetainedGone { version: number, topic: reader.text()? },
            kind::WILL => Record::Will { session, delay_s: reader.number_as()?, body: read_body(reader)? },
            kind::POSTED => {
                let (message, way) = (reader.number()?, read_way(reader)?);
                let (workers, flags) = (reader.number_as()?, reader.byte()?);
                if flags & !(ROUTED | RETAIN) != 0 {
                    return Err(RecordError::Flags);
                }
                let (retain, routed) = (flags & RETAIN != 0, flags & ROUTED != 0);
                Record::Posted { number, message, way, workers, retain, routed, groups: read_groups(reader)? }
            }
            kind::TAKEN => Record::Taken { number, way: read_way(reader)? },
            _ => Record::WillGone { session },
        })
    }
}

fn put_body(out: &mut Vec<u8>, body: &Body<'_>) {
    let Body { topic, payload, properties, qos, retain, expires_at_ms, publisher } = *body;
    let flag = |is: bool, flag: u8| if is { flag } else { 0 };
    out.push(
        qos as u8
            | flag(retain, RETAIN)
            | flag(expires_at_ms != 0, EXPIRES)
            | flag(!properties.is_empty(), PROPERTIES)
            | flag(publisher != 0, PUBLISHER),
    );
    put_bytes(out, topic.as_bytes());
    put_bytes(out, payload);
    if expires_at_ms != 0 {
        put_number(out, expires_at_ms);
    }
    if !properties.is_empty() {
        put_bytes(out, properties);
    }
    if publisher != 0 {
        put_number(out, publisher);
    }
}

fn read_body<'b>(reader: &mut Reader<'b>) -> Result<Body<'b>, RecordError> {
    let flags = reader.byte()?;
    let qos = read_qos(flags, QOS | RETAIN | EXPIRES | PROPERTIES | PUBLISHER)?;
    let (topic, payload) = (reader.text()?, reader.bytes()?);
    let expires_at_ms = if flags & EXPIRES != 0 { reader.number()? } else { 0 };
    let properties = if flags & PROPERTIES != 0 { reader.bytes()? } else { &[] };
    let publisher = if flags & PUBLISHER != 0 { reader.number()? } else { 0 };
    Ok(Body { topic, payload, properties, qos, retain: flags & RETAIN != 0, expires_at_ms, publisher })
}

fn put_way(out: &mut Vec<u8>, way: Way) {
    put_number(out, way.from.into());
    put_number(out, way.to.into());
}

fn read_way(reader: &mut Reader<'_>) -> Result<Way, RecordError> {
    Ok(Way { from: reader.number_as()?, to: reader.number_as()? })
}

fn read_groups<'b>(reader: &mut Reader<'b>) -> Result<Groups<'b>, RecordError> {
    let filters = reader.bytes()?;
    let mut each = Reader::new(filters);
    while !each.rest().is_empty() {
        each.text()?;
    }
    Ok(Groups(Filters::Bytes(filters)))
}

fn put_how(out: &mut Vec<u8>, how: &How<'_>) {
    let ids = how.ids;
    let flags = how.qos as u8 | if how.retain { RETAIN } else { 0 };
    if ids.is_empty() {
        return out.push(flags);
    }
    out.push(flags | IDS);
    // Their length in bytes goes first, so that a reader passes over them: a byte is enough for 25 of them.
    let len: usize = ids.iter().map(|id| id.checked_ilog2().unwrap_or(0) as usize / 7 + 1).sum();
    put_number(out, len as u64);
    for id in ids.iter() {
        put_number(out, id.into());
    }
}

fn read_how<'b>(reader: &mut Reader<'b>) -> Result<How<'b>, RecordError> {
    let flags = reader.byte()?;
    let qos = read_qos(flags, QOS | RETAIN | IDS)?;
    let ids = if flags & IDS != 0 { reader.bytes()? } else { &[] };
    let mut each = Reader::new(ids);
    while !each.rest().is_empty() {
        each.number_as::<u32>()?;
    }
    Ok(How { qos, retain: flags & RETAIN != 0, ids: Ids(List::Bytes(ids)) })
}

fn read_qos(flags: u8, known: u8) -> Result<QoS, RecordError> {
    if flags & !known != 0 {
        return Err(RecordError::Flags);
    }
    QoS::from_bits(flags & QOS).ok_or(RecordError::Flags)
}

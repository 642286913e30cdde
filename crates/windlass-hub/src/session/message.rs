//! A message that is kept: in a queue, in flight, or retained.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use crate::journal::Mark;
use crate::memory::{self, Charge, Memory};
use crate::post::SHARE_MIN;
use crate::siblings::parcel::Change;
use windlass::{Bytes, Time};
use windlass_proto::EncodeError;
use windlass_proto::mqtt::{
    Properties, PropertiesBuf, Property, PublishTemplate, QoS, Topic, TopicBuf, TopicError, Version,
};

/// One message, shared by all who have it to send: topic, properties and payload are there once.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Message {
    topic: TopicBuf,
    /// Without topic alias and subscription identifiers.
    properties: PropertiesBuf,
    pub(crate) payload: Bytes,
    /// That of its publisher.
    pub(crate) qos: QoS,
    /// When it expires, if it does.
    pub(crate) expires: Option<Time>,
    /// Of retained messages, which of two is the later one; 0 otherwise.
    pub(crate) version: u64,
    /// Its text in the journal.
    pub(crate) mark: Mark,
    /// What it is counted with, once somebody keeps it.
    counted: Counted,
    /// Of those who keep it, how many are about to drop it.
    leaving: Leaving,
}

/// What a message is counted with: not as long as it only passes, which has room of its own (`siblings`).
#[derive(Clone, Default, Debug)]
struct Counted(OnceLock<Charge>);

/// How something is counted is no part of what it is.
impl PartialEq for Counted {
    fn eq(&self, _: &Counted) -> bool {
        true
    }
}

/// A number that is zero but for the time in which one worker looks what would give back how much.
#[derive(Default, Debug)]
struct Leaving(AtomicUsize);

/// Nobody is about to drop a copy.
impl Clone for Leaving {
    fn clone(&self) -> Leaving {
        Leaving::default()
    }
}

impl PartialEq for Leaving {
    fn eq(&self, _: &Leaving) -> bool {
        true
    }
}

impl Message {
    pub(crate) fn new(
        topic: Topic<'_>,
        properties: Properties<'_>,
        payload: Bytes,
        qos: QoS,
        now: Time,
    ) -> Message {
        let mut kept = PropertiesBuf::new();
        if !properties.is_empty() {
            kept.extend(properties, |property| {
                !matches!(
                    property,
                    Property::TopicAlias(_) | Property::SubscriptionId(_) | Property::WillDelay(_)
                )
            });
        }
        let expires = expires(properties, now);
        Message {
            topic: topic.into(),
            properties: kept,
            payload,
            qos,
            expires,
            version: 0,
            mark: Mark::default(),
            counted: Counted::default(),
            leaving: Leaving::default(),
        }
    }

    /// The same, counted as one that is kept or, with a version, retained on so many workers.
    pub(crate) fn counted(self, memory: &Memory, workers: usize) -> Message {
        match self.version {
            0 => self.count(memory),
            _ => self.count_with(memory, || memory::of_retained(self.topic_str(), self.len(), workers)),
        }
        self
    }

    /// Counts it as one that is kept, if it is not counted yet.
    #[inline]
    pub(crate) fn count(&self, memory: &Memory) {
        self.count_with(memory, || memory::of_message(self.len()));
    }

    fn count_with(&self, memory: &Memory, bytes: impl FnOnce() -> usize) {
        if memory.is_bounded() && !self.is_counted() {
            // Another worker may be doing the same; then this charge is given back.
            let _ = self.counted.0.set(memory.charge(bytes()));
        }
    }

    fn is_counted(&self) -> bool {
        self.counted.0.get().is_some()
    }

    /// Bytes that are given back when all those have dropped it that this was asked for, of one more of them: until
    /// [`stays`](Message::stays) is told of each.
    pub(crate) fn would_free(self: &Arc<Message>) -> usize {
        let leaving = self.leaving.0.fetch_add(1, Relaxed) + 1;
        if leaving == Arc::strong_count(self) { self.charged() } else { 0 }
    }

    pub(crate) fn stays(&self) {
        self.leaving.0.fetch_sub(1, Relaxed);
    }

    /// One that was kept in a journal.
    pub(crate) fn restored(
        topic: &str,
        properties: PropertiesBuf,
        payload: Bytes,
        qos: QoS,
        expires: Option<Time>,
        version: u64,
        mark: Mark,
    ) -> Result<Message, TopicError> {
        Ok(Message {
            topic: Topic::new(topic)?.into(),
            properties,
            payload,
            qos,
            expires,
            version,
            mark,
            counted: Counted::default(),
            leaving: Leaving::default(),
        })
    }

    pub(crate) fn topic(&self) -> Topic<'_> {
        self.topic.as_topic()
    }

    pub(crate) fn topic_str(&self) -> &str {
        self.topic.as_str()
    }

    pub(crate) fn properties(&self) -> Properties<'_> {
        self.properties.properties()
    }

    /// Bytes it takes, by which queues are bounded.
    pub(crate) fn len(&self) -> usize {
        self.topic_str().len() + self.properties.len() + self.payload.len()
    }

    /// Bytes it is counted with.
    pub(crate) fn charged(&self) -> usize {
        self.counted.0.get().map_or(0, Charge::bytes)
    }

    pub(crate) fn is_expired(&self, now: Time) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    /// The payload as all have it, if it is long.
    pub(crate) fn whole(&self) -> Option<&Bytes> {
        Some(&self.payload).filter(|payload| payload.len() >= SHARE_MIN)
    }

    /// Whole seconds until it expires: what is left of its interval ([MQTT-3.3.2-6]).
    pub(crate) fn seconds_left(&self, now: Time) -> Option<u32> {
        self.expires.map(|at| seconds_left(at, now))
    }
}

/// Places of messages that are gone, for others to come: what waits for a moment only, as where acknowledgements are a
/// little behind, is not asked of the allocator each time. What was in them stays until then.
#[derive(Debug, Default)]
pub(crate) struct Spares(Vec<Arc<Message>>);

/// How many are kept, and bytes of each: a megabyte at most.
const SPARES_MAX: usize = 256;
const SPARE_LEN_MAX: usize = 4096;

impl Spares {
    /// Keeps the place of a message that was sent, unless others have it still.
    #[inline]
    pub(crate) fn keep(&mut self, mut message: Arc<Message>) {
        if self.0.len() < SPARES_MAX && message.len() <= SPARE_LEN_MAX && Arc::get_mut(&mut message).is_some()
        {
            self.0.push(message);
        }
    }

    /// A message that can be shared.
    #[inline]
    fn put(&mut self, message: Message) -> Arc<Message> {
        if let Some(mut spare) = self.0.pop()
            && let Some(place) = Arc::get_mut(&mut spare)
        {
            *place = message;
            return spare;
        }
        Arc::new(message)
    }
}

/// When a message with these properties expires.
pub(crate) fn expires(properties: Properties<'_>, now: Time) -> Option<Time> {
    let seconds = properties.message_expiry()?;
    Some(now + std::time::Duration::from_secs(seconds.into()))
}

/// The interval that came less the whole seconds a message has waited: so rounded up.
pub(crate) fn seconds_left(at: Time, now: Time) -> u32 {
    u32::try_from(at.since(now).as_nanos().div_ceil(1_000_000_000)).unwrap_or(u32::MAX)
}

/// The templates of one message, each made when the first receiver of its version comes.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    of: [Option<PublishTemplate>; 2],
    ready: [bool; 2],
}

impl Templates {
    /// Another message from here on.
    pub(crate) fn clear(&mut self) {
        self.ready = [false; 2];
    }

    /// The template for receivers of a version.
    pub(crate) fn get(
        &mut self,
        version: Version,
        topic: Topic<'_>,
        properties: Properties<'_>,
        payload: usize,
    ) -> Result<&PublishTemplate, EncodeError> {
        let at = usize::from(version == Version::V5);
        if let Some(template) = &mut self.of[at] {
            if !self.ready[at] {
                template.set(topic, properties, payload)?;
            }
        } else {
            self.of[at] = Some(PublishTemplate::new(version, topic, properties, payload)?);
        }
        self.ready[at] = true;
        self.of[at].as_ref().ok_or(EncodeError::Invalid)
    }
}

/// What is published, as it came or as it is kept: whoever has to keep it makes a [`Message`] of it once.
pub(crate) struct Publication<'p> {
    pub(crate) topic: Topic<'p>,
    pub(crate) properties: Properties<'p>,
    pub(crate) payload: &'p [u8],
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) expires: Option<Time>,
    pub(crate) now: Time,
    /// What is retained of its topic from now on: other workers hear of that together with the message.
    pub(crate) change: Option<Change>,
    /// The payload, for all who share it; made when it is first needed.
    bytes: Option<Bytes>,
    /// Made when it is first needed.
    kept: Option<Arc<Message>>,
}

impl<'p> Publication<'p> {
    pub(crate) fn new(
        topic: Topic<'p>,
        properties: Properties<'p>,
        payload: &'p [u8],
        qos: QoS,
        retain: bool,
        now: Time,
    ) -> Publication<'p> {
        let expires = expires(properties, now);
        Publication {
            topic,
            properties,
            payload,
            qos,
            retain,
            expires,
            now,
            change: None,
            bytes: None,
            kept: None,
        }
    }

    /// One that is kept already.
    pub(crate) fn of(message: &'p Arc<Message>, retain: bool, now: Time) -> Publication<'p> {
        Publication {
            topic: message.topic(),
            properties: message.properties(),
            payload: &message.payload,
            qos: message.qos,
            retain,
            expires: message.expires,
            now,
            change: None,
            bytes: Some(message.payload.clone()),
            kept: Some(message.clone()),
        }
    }

    /// Bytes of its topic, properties and payload, as [`Message::len`] has them: properties with their length.
    pub(crate) fn len(&self) -> usize {
        let properties = self.properties.as_bytes().len();
        let length = 1 + usize::from(properties >= 128) + usize::from(properties >= 16_384);
        self.topic.as_str().len() + length + properties + self.payload.len()
    }

    /// Bytes that keeping it takes, beyond what it takes already.
    pub(crate) fn to_keep(&self) -> usize {
        let is_counted = self.kept.as_ref().is_some_and(|kept| kept.is_counted());
        if is_counted { 0 } else { memory::of_message(self.len()) }
    }

    /// Bytes that sending it takes, to a session that has to keep it until it is acknowledged, or not.
    pub(crate) fn to_send(&self, is_kept: bool) -> usize {
        if is_kept { self.to_keep() } else { 0 }
    }

    /// Bytes that retaining it takes, on so many workers.
    pub(crate) fn to_retain(&self, workers: usize) -> usize {
        memory::of_retained(self.topic.as_str(), self.len(), workers)
    }

    /// The message to retain, of this version: the same one, unless it was there before.
    pub(crate) fn retained(&mut self, version: u64, memory: &Memory, workers: usize) -> Arc<Message> {
        if let Some(kept) = &self.kept {
            let mut copy = Message::clone(kept);
            (copy.version, copy.counted) = (version, Counted::default());
            return Arc::new(copy.counted(memory, workers));
        }
        let payload = self.bytes_to_keep();
        let mut message = Message::new(self.topic, self.properties, payload, self.qos, self.now);
        message.version = version;
        self.kept.insert(Arc::new(message.counted(memory, workers))).clone()
    }

    /// The message to keep, counted: one for all who keep it.
    pub(crate) fn message(&mut self, memory: &Memory, spares: &mut Spares) -> Arc<Message> {
        let message = self.passing(spares);
        message.count(memory);
        message
    }

    /// The same for whoever passes it on and does not keep it.
    pub(crate) fn passing(&mut self, spares: &mut Spares) -> Arc<Message> {
        if let Some(kept) = &self.kept {
            return kept.clone();
        }
        let payload = self.bytes_to_keep();
        let message = Message::new(self.topic, self.properties, payload, self.qos, self.now);
        self.kept.insert(spares.put(message)).clone()
    }

    /// The payload as all have it who get it or keep it, if it is long.
    pub(crate) fn whole(&mut self) -> Option<Bytes> {
        (self.payload.len() >= SHARE_MIN).then(|| self.bytes())
    }

    /// The payload for a message that is kept: a short one is nobody else's, and so it is one allocation.
    fn bytes_to_keep(&mut self) -> Bytes {
        match &self.bytes {
            None if self.payload.len() < SHARE_MIN => Bytes::copy_from_slice(self.payload),
            _ => self.bytes(),
        }
    }

    fn bytes(&mut self) -> Bytes {
        self.bytes.get_or_insert_with(|| Bytes::copy_from_slice(self.payload)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_passes_is_not_counted_and_what_is_kept_is_once() {
        let (memory, mut spares) = (Memory::new(10_000), Spares::default());
        let topic = Topic::new("t").unwrap();
        let mut publication =
            Publication::new(topic, Properties::NONE, b"payload", QoS::AtLeastOnce, false, Time::ZERO);
        let bytes = memory::of_message(publication.len());
        let passing = publication.passing(&mut spares);
        assert_eq!((memory.used(), publication.to_keep()), (0, bytes), "asked for where it is kept");
        let kept = [publication.message(&memory, &mut spares), publication.message(&memory, &mut spares)];
        passing.count(&memory);
        assert_eq!((memory.used(), publication.to_keep()), (bytes, 0));
        let retained = publication.retained(1, &memory, 2);
        assert_eq!(memory.used(), bytes + publication.to_retain(2));
        drop((publication, passing, retained));
        assert_eq!(memory.used(), bytes);
        // All who keep it would drop it, or not all.
        assert_eq!((kept[0].would_free(), kept[1].would_free()), (0, bytes));
        kept.iter().for_each(|message| message.stays());
        let third = kept[0].clone();
        assert_eq!((kept[0].would_free(), kept[1].would_free()), (0, 0));
        drop((kept, third));
        assert_eq!(memory.used(), 0);
    }
}

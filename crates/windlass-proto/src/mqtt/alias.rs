//! Topic aliases: numbers for topics, good for one connection and one direction (section 3.3.2.3.4 of 5.0).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use hashbrown::HashMap;

use super::{MqttError, Topic, TopicForm};

/// What a small allocation takes beside its bytes.
const ALLOCATED: usize = 16;

/// The numbers a peer gives its topics. Begin anew with each connection ([MQTT-3.3.2-7]).
#[derive(Clone, Default)]
pub struct AliasesIn {
    max: u16,
    bytes_max: usize,
    bytes: usize,
    /// By alias, from 1; as long as the highest that has been used.
    topics: Vec<Option<Box<str>>>,
}

impl AliasesIn {
    /// Aliases up to `max`, the Topic Alias Maximum that this end said, and topics of `bytes_max` bytes in all.
    pub const fn new(max: u16, bytes_max: usize) -> AliasesIn {
        AliasesIn { max, bytes_max, bytes: 0, topics: Vec::new() }
    }

    /// Bytes that the table and the topics in it take, by and large.
    pub fn memory(&self) -> usize {
        let entries = self.topics.iter().flatten().count();
        self.topics.capacity() * size_of::<Option<Box<str>>>() + self.bytes + entries * ALLOCATED
    }

    /// How much more that will be once an alias stands for `topic`, at most.
    pub fn more_for(&self, topic: Topic<'_>, alias: u16) -> usize {
        let known = self.topics.get(usize::from(alias).wrapping_sub(1)).and_then(Option::as_deref);
        if known == Some(topic.as_str()) {
            return 0;
        }
        let entries = usize::from(alias.min(self.max)).saturating_sub(self.topics.len());
        2 * entries * size_of::<Option<Box<str>>>() + topic.as_str().len() + ALLOCATED
    }

    /// The topic of a message: its own, which an alias stands for from now on if it has one, or the one that its
    /// alias stands for. All aliases up to the maximum are taken ([MQTT-3.3.2-10], [MQTT-3.3.2-12]).
    ///
    /// # Errors
    ///
    /// [`MqttError::TopicAlias`] for an alias of zero, or over the maximum ([MQTT-3.3.2-8], [MQTT-3.3.2-9]);
    /// [`MqttError::TopicAliasBytes`]; [`MqttError::NoTopic`] with neither, or with an alias that stands for nothing
    /// (section 3.3.4: a Protocol Error).
    #[inline]
    pub fn resolve<'t>(
        &'t mut self,
        topic: Option<Topic<'t>>,
        alias: Option<u16>,
    ) -> Result<Topic<'t>, MqttError> {
        let Some(alias) = alias else { return topic.ok_or(MqttError::NoTopic) };
        if alias == 0 || alias > self.max {
            return Err(MqttError::TopicAlias);
        }
        let at = usize::from(alias - 1);
        let Some(topic) = topic else {
            let known = self.topics.get(at).and_then(Option::as_deref);
            return known.map(Topic::kept).ok_or(MqttError::NoTopic);
        };
        if self.topics.len() <= at {
            self.topics.resize(at + 1, None);
        }
        let place = &mut self.topics[at];
        if place.as_deref() != Some(topic.as_str()) {
            let before = place.as_ref().map_or(0, |topic| topic.len());
            let bytes = self.bytes - before + topic.as_str().len();
            if bytes > self.bytes_max {
                return Err(MqttError::TopicAliasBytes);
            }
            self.bytes = bytes;
            *place = Some(topic.as_str().into());
        }
        Ok(topic)
    }
}

/// The numbers only.
impl fmt::Debug for AliasesIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AliasesIn")
            .field("max", &self.max)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// The numbers this end gives its topics. Begin anew with each connection.
///
/// Topics get numbers as they come. When all are in use, one that has not been used for a round gives up its own
/// (the clock algorithm): topics that come again and again keep theirs.
#[derive(Clone, Default)]
pub struct AliasesOut {
    max: u16,
    numbers: HashMap<Box<str>, u16>,
    /// By alias, from 1.
    topics: Vec<(Box<str>, bool)>,
    /// Where the clock's hand is.
    hand: usize,
}

impl AliasesOut {
    /// Aliases up to `max`: the peer's Topic Alias Maximum ([MQTT-3.1.2-26], [MQTT-3.2.2-17]) or less, since each
    /// takes memory here. With 0 there are none ([MQTT-3.1.2-27], [MQTT-3.2.2-18]).
    pub fn new(max: u16) -> AliasesOut {
        AliasesOut { max, ..AliasesOut::default() }
    }

    /// Bytes that the tables and the topics in them take, by and large.
    pub fn memory(&self) -> usize {
        let entry = size_of::<(Box<str>, u16)>() + 1;
        let tables =
            self.numbers.capacity() * entry * 8 / 7 + self.topics.capacity() * size_of::<(Box<str>, bool)>();
        // Each is in both.
        tables + self.topics.iter().map(|(topic, _)| 2 * (topic.len() + ALLOCATED)).sum::<usize>()
    }

    /// How to say this topic in the next message. It must go out, or the peer will not know the number: ask for what
    /// is sent, not for what waits.
    #[inline]
    pub fn form(&mut self, topic: Topic<'_>) -> TopicForm {
        // A number takes three bytes, and a topic that is no longer is better said.
        if self.max == 0 || topic.as_str().len() <= 3 {
            return TopicForm::Name;
        }
        if let Some(&alias) = self.numbers.get(topic.as_str()) {
            self.topics[usize::from(alias - 1)].1 = true;
            return TopicForm::Alias(alias);
        }
        let name: Box<str> = topic.as_str().into();
        if self.topics.len() < usize::from(self.max) {
            self.topics.push((name.clone(), false));
            let alias = self.topics.len() as u16;
            self.numbers.insert(name, alias);
            return TopicForm::NameAndAlias(alias);
        }
        // Twice around at most: the first round takes every mark away. A new one is not marked, so that topics which
        // come once push out each other.
        while core::mem::take(&mut self.topics[self.hand].1) {
            self.hand = (self.hand + 1) % self.topics.len();
        }
        let place = &mut self.topics[self.hand];
        self.numbers.remove(&place.0);
        place.0 = name.clone();
        let alias = self.hand as u16 + 1;
        self.numbers.insert(name, alias);
        self.hand = (self.hand + 1) % self.topics.len();
        TopicForm::NameAndAlias(alias)
    }
}

/// The numbers only.
impl fmt::Debug for AliasesOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AliasesOut")
            .field("max", &self.max)
            .field("len", &self.topics.len())
            .finish_non_exhaustive()
    }
}

//! Topics: those that are published to most, and a walk down their levels.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Serialize;
use windlass_proto::mqtt::{Filter, Topic};

use super::lens::{Lens, Seen};
use super::{OPEN_MAX, REACH_MAX, Shown};
use crate::service::Hub;
use crate::session::message::Message;

/// Names that are told of one level: the first ones in their order.
const NAMES_MAX: usize = 200;
/// Places of retained messages that are looked at for one level.
const LOOKED_AT_MAX: usize = 10_000;

/// What topics are sorted by: the largest first, but names in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum TopicSort {
    /// Messages a second, now.
    #[default]
    Rate,
    /// Messages since somebody looks.
    Messages,
    /// Bytes of their payloads.
    Bytes,
    /// The topic.
    Name,
}

/// Which topics, in what order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TopicQuery {
    /// The order.
    pub sort: TopicSort,
    /// A filter of topics, or a text that is in them; empty: all.
    pub filter: String,
    /// So many are told.
    pub count: usize,
}

/// What is published most.
#[derive(Debug, Default, Serialize)]
pub struct TopicsPage {
    /// Topics that are followed.
    pub followed: usize,
    /// Those of them that fit the filter.
    pub matched: usize,
    /// Messages of further topics, which there was no room to follow.
    pub left_out: u64,
    /// Since when somebody looks: seconds.
    pub for_seconds: f64,
    /// The topics.
    pub topics: Vec<TopicEntry>,
}

/// One of them.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TopicEntry {
    /// The topic.
    pub topic: String,
    /// Messages a second, of the last seconds.
    pub rate: f64,
    /// Messages since somebody looks.
    pub messages: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// How long ago the last one was.
    pub ago_seconds: f64,
    /// Its QoS.
    pub qos: u8,
    /// Whether it was to be retained.
    pub retain: bool,
    /// Its payload.
    pub value: Shown,
}

/// What is right below one level.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Level {
    /// All levels down to it; nothing: these are the first levels.
    pub above: Option<String>,
    /// The names there, in their order: 200 at most.
    pub entries: Vec<LevelEntry>,
    /// There are more.
    pub more: bool,
    #[serde(skip)]
    found: BTreeMap<Box<str>, LevelEntry>,
}

/// One name of a level.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct LevelEntry {
    /// The level's own name, which may be empty.
    pub name: String,
    /// Whether there are levels below.
    pub has_children: bool,
    /// Whether a message of the topic that ends here is retained.
    pub retained: bool,
    /// The last value of that topic: what was published, or what is retained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Shown>,
    /// Messages a second of that topic.
    pub rate: f64,
    /// Messages of it since somebody looks.
    pub messages: u64,
    /// How long ago the last one was, if there was one since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ago_seconds: Option<f64>,
}

/// Levels that nothing is known of yet.
pub(super) fn begin(open: &[Box<str>]) -> Vec<Level> {
    let level = |above: Option<String>| Level { above, ..Level::default() };
    let open = open.iter().take(OPEN_MAX).map(|above| level(Some((**above).into())));
    std::iter::once(level(None)).chain(open).collect()
}

impl Hub {
    /// Somebody looks at topics.
    fn lens(&mut self) -> &Lens {
        let now = self.now;
        let lens = self.lens.get_or_insert_with(|| Box::new(Lens::new(now)));
        lens.look(now);
        lens
    }

    /// Adds what this worker's publishers publish to.
    pub(super) fn list_topics(&mut self, query: &TopicQuery, page: &mut TopicsPage) {
        let now = self.now;
        let lens = self.lens();
        page.followed += lens.len();
        page.left_out += lens.left_out;
        page.for_seconds = page.for_seconds.max(now.since(lens.since()).as_secs_f64());
        let filter = Filter::new(&query.filter).ok().filter(|filter| filter.has_wildcards());
        let fits = |topic: &str| match filter {
            Some(filter) => Topic::new(topic).is_ok_and(|topic| filter.matches(topic)),
            None => topic.contains(&*query.filter),
        };
        let mut found: Vec<_> = lens.topics().filter(|(topic, _)| fits(topic)).collect();
        page.matched += found.len();
        found.sort_unstable_by(|(a, one), (b, other)| match query.sort {
            TopicSort::Rate => lens.rate(other, now).total_cmp(&lens.rate(one, now)),
            TopicSort::Messages => other.messages.cmp(&one.messages),
            TopicSort::Bytes => other.bytes.cmp(&one.bytes),
            TopicSort::Name => a.cmp(b),
        });
        page.topics.extend(found.into_iter().take(query.count.min(REACH_MAX)).map(|(topic, seen)| {
            TopicEntry {
                topic: topic.into(),
                rate: lens.rate(seen, now),
                messages: seen.messages,
                bytes: seen.bytes,
                ago_seconds: now.since(seen.at).as_secs_f64(),
                qos: seen.qos as u8,
                retain: seen.retain,
                value: shown(seen),
            }
        }));
    }

    /// Adds what this worker knows of levels.
    pub(super) fn list_levels(&mut self, levels: &mut [Level]) {
        let now = self.now;
        self.lens();
        let Some(lens) = &self.lens else { return };
        for level in &mut *levels {
            let Level { above, found, more, .. } = level;
            let all = self.kept.children(above.as_deref(), LOOKED_AT_MAX, |child| {
                let Some(entry) = entry_of(found, child.name, more) else { return };
                entry.has_children |= child.has_children;
                if let Some(message) = child.value.filter(|message| !message.is_expired(now)) {
                    entry.retain(message);
                }
            });
            *more |= !all;
        }
        // Each topic is looked at once, however many levels are open.
        let places = levels.iter().enumerate().skip(1);
        let places: HashMap<String, usize> =
            places.filter_map(|(at, level)| Some((level.above.clone()?, at))).collect();
        for (topic, seen) in lens.topics() {
            let mut add = |at: usize, rest: &str| {
                let Level { found, more, .. } = &mut levels[at];
                let (name, is_deeper) = match rest.split_once('/') {
                    Some((name, _)) => (name, true),
                    None => (rest, false),
                };
                let Some(entry) = entry_of(found, name, more) else { return };
                entry.has_children |= is_deeper;
                if !is_deeper {
                    entry.published(seen, now.since(seen.at), lens.rate(seen, now));
                }
            };
            add(0, topic);
            if places.is_empty() {
                continue;
            }
            for (end, _) in topic.match_indices('/') {
                if let Some(&at) = places.get(&topic[..end]) {
                    add(at, &topic[end + 1..]);
                }
            }
        }
    }
}

/// The entry of a name; `None` if that is not among the first ones.
fn entry_of<'f>(
    found: &'f mut BTreeMap<Box<str>, LevelEntry>,
    name: &str,
    more: &mut bool,
) -> Option<&'f mut LevelEntry> {
    if !found.contains_key(name) {
        if found.len() >= NAMES_MAX {
            *more = true;
            if found.last_key_value().is_some_and(|(last, _)| **last < *name) {
                return None;
            }
            found.pop_last();
        }
        found.insert(name.into(), LevelEntry { name: name.into(), ..LevelEntry::default() });
    }
    found.get_mut(name)
}

impl LevelEntry {
    fn retain(&mut self, message: &Message) {
        self.retained = true;
        // What was published last is newer, or the same.
        if self.ago_seconds.is_none() {
            self.value = Some(Shown::of(&message.payload, message.payload.len()));
        }
    }

    fn published(&mut self, seen: &Seen, ago: Duration, rate: f64) {
        self.rate += rate;
        self.messages += seen.messages;
        let ago = ago.as_secs_f64();
        // Another worker's publisher may have been later.
        if self.ago_seconds.is_none_or(|before| ago < before) {
            self.ago_seconds = Some(ago);
            self.value = Some(shown(seen));
        }
    }
}

impl Level {
    pub(super) fn finish(&mut self) {
        self.entries = std::mem::take(&mut self.found).into_values().collect();
    }
}

fn shown(seen: &Seen) -> Shown {
    Shown::of(&seen.value, seen.value_bytes)
}

impl TopicsPage {
    fn cut(&mut self, query: &TopicQuery) {
        // One topic may be published to on several workers.
        self.topics.sort_by(|a, b| a.topic.cmp(&b.topic));
        self.topics.dedup_by(|later, first| {
            let same = later.topic == first.topic;
            if same {
                first.join(later);
            }
            same
        });
        self.topics.sort_by(|a, b| match query.sort {
            TopicSort::Rate => b.rate.total_cmp(&a.rate),
            TopicSort::Messages => b.messages.cmp(&a.messages),
            TopicSort::Bytes => b.bytes.cmp(&a.bytes),
            TopicSort::Name => a.topic.cmp(&b.topic),
        });
        self.topics.truncate(query.count.min(REACH_MAX));
    }

    pub(super) fn finish(&mut self, query: &TopicQuery) {
        self.cut(query);
    }
}

impl TopicEntry {
    fn join(&mut self, other: &mut TopicEntry) {
        self.rate += other.rate;
        self.messages += other.messages;
        self.bytes += other.bytes;
        if other.ago_seconds < self.ago_seconds {
            self.ago_seconds = other.ago_seconds;
            (self.qos, self.retain) = (other.qos, other.retain);
            self.value = std::mem::take(&mut other.value);
        }
    }
}

//! What passes through a hub while somebody looks: topics, how often they are published to, and their last values.
//!
//! There is none while nobody looks, and then a publication costs one branch.

use std::collections::HashMap;
use std::time::Duration;

use windlass::Time;
use windlass_proto::mqtt::QoS;

use super::SHOWN_MAX;
use crate::session::message::Publication;

/// Topics that are followed on one worker.
const TOPICS_MAX: usize = 10_000;
/// Bytes of their names and values.
const BYTES_MAX: usize = 4 << 20;
/// So long after the last question nobody looks any more.
const LOOKED_AT: Duration = Duration::from_secs(15);
/// When there is no room for new topics, those make way that nobody has published to for so long.
const SILENT: Duration = Duration::from_secs(10);
/// What rates are of: those of so many seconds count most.
const WINDOW: f64 = 5.0;

/// The topics of one worker's publishers.
#[derive(Debug)]
pub(crate) struct Lens {
    since: Time,
    until: Time,
    topics: HashMap<Box<str>, Seen>,
    bytes: usize,
    /// Messages of topics that there was no room for.
    pub(super) left_out: u64,
    /// When it was looked last whether somebody makes way.
    swept: Time,
}

/// One topic.
#[derive(Debug)]
pub(super) struct Seen {
    /// Messages since somebody looks, and bytes of their payloads.
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// The last one.
    pub(super) at: Time,
    pub(super) value: Vec<u8>,
    pub(super) value_bytes: usize,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Messages, each counting less the longer ago it was, as of the last one.
    weight: f64,
}

impl Lens {
    pub(super) fn new(now: Time) -> Lens {
        Lens { since: now, until: now + LOOKED_AT, topics: HashMap::new(), bytes: 0, left_out: 0, swept: now }
    }

    /// Somebody looks.
    pub(super) fn look(&mut self, now: Time) {
        self.until = now + LOOKED_AT;
    }

    /// Whether nobody does any more.
    pub(crate) fn is_over(&self, now: Time) -> bool {
        now >= self.until
    }

    pub(super) fn since(&self) -> Time {
        self.since
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = (&str, &Seen)> {
        self.topics.iter().map(|(topic, seen)| (&**topic, seen))
    }

    pub(super) fn len(&self) -> usize {
        self.topics.len()
    }

    /// A message is published.
    pub(crate) fn saw(&mut self, publication: &Publication<'_>) {
        let (topic, payload, now) = (publication.topic.as_str(), publication.payload, publication.now);
        let begin = &payload[..payload.len().min(SHOWN_MAX)];
        let seen = match self.topics.get_mut(topic) {
            Some(seen) => seen,
            None => {
                let size = topic.len() + SHOWN_MAX;
                if self.topics.len() >= TOPICS_MAX || self.bytes + size > BYTES_MAX {
                    self.sweep(now);
                }
                if self.topics.len() >= TOPICS_MAX || self.bytes + size > BYTES_MAX {
                    self.left_out += 1;
                    return;
                }
                self.bytes += size;
                self.topics.entry(topic.into()).or_insert_with(|| Seen {
                    messages: 0,
                    bytes: 0,
                    at: now,
                    value: Vec::new(),
                    value_bytes: 0,
                    qos: publication.qos,
                    retain: false,
                    weight: 0.0,
                })
            }
        };
        seen.weight = seen.weight * fading(now.since(seen.at)) + 1.0;
        seen.messages += 1;
        seen.bytes += payload.len() as u64;
        seen.at = now;
        seen.value.clear();
        seen.value.extend_from_slice(begin);
        seen.value_bytes = payload.len();
        (seen.qos, seen.retain) = (publication.qos, publication.retain);
    }

    /// Those make way that are silent; once a second at most.
    fn sweep(&mut self, now: Time) {
        if now.since(self.swept) < Duration::from_secs(1) {
            return;
        }
        self.swept = now;
        let bytes = &mut self.bytes;
        self.topics.retain(|topic, seen| {
            let stays = now.since(seen.at) < SILENT;
            if !stays {
                *bytes -= topic.len() + SHOWN_MAX;
            }
            stays
        });
    }

    /// Messages a second of a topic.
    pub(super) fn rate(&self, seen: &Seen, now: Time) -> f64 {
        // Of a lens that is young less than a window has passed.
        let passed = 1.0 - fading(now.since(self.since).max(Duration::from_millis(500)));
        seen.weight * fading(now.since(seen.at)) / (WINDOW * passed)
    }
}

/// What a message of so long ago counts.
fn fading(ago: Duration) -> f64 {
    (-ago.as_secs_f64() / WINDOW).exp()
}

//! Rules: what leaves the hub by another way than MQTT. A message of these topics, with such a value in it, goes to a sink.
//!
//! A rule only looks. Whoever publishes is answered as if there were none, and a sink that takes its time is not waited
//! for: [`Sink::offer`] must not block. Read [`Rules`] first.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use windlass_proto::mqtt::{Filter, QoS};

use crate::session::message::Publication;
use crate::stats::HubStats;

/// Bytes of the longest payload that is read as JSON: a longer one passes no test.
pub const READ_MAX: usize = 64 << 10;

/// What a hub does with messages besides. Clones are the same; without any rule a publication costs one branch, and each
/// rule the match of one filter.
///
/// ```
/// use std::sync::Arc;
/// use windlass_hub::rules::{Event, Rule, Rules, Sink, Test};
///
/// #[derive(Debug)]
/// struct Print;
/// impl Sink for Print {
///     fn offer(&self, event: &Event<'_>) {
///         println!("{}", event.topic);
///     }
/// }
///
/// let hot = Test { above: Some(30.0), ..Test::of("temp") };
/// let rule = Rule::new("hot", "plant/+/state", Arc::new(Print)).unwrap().test(hot);
/// let rules = Rules::new(vec![rule]);
/// assert!(!rules.is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rules(Option<Arc<[Rule]>>);

/// Whether both are one value.
impl PartialEq for Rules {
    fn eq(&self, other: &Rules) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

/// Where messages go. One value is shared by all workers.
pub trait Sink: fmt::Debug + Send + Sync {
    /// A message for it. It is called on a worker, between two messages of clients: keep it, or drop it and count that,
    /// but never wait.
    fn offer(&self, event: &Event<'_>);
}

/// A message that a rule is for.
#[derive(Clone, Copy, Debug)]
pub struct Event<'e> {
    /// Its topic.
    pub topic: &'e str,
    /// Its payload.
    pub payload: &'e [u8],
    /// That of its publisher.
    pub qos: QoS,
    /// Whether it is to be retained.
    pub retain: bool,
    /// When it was published, in milliseconds since 1970.
    pub unix_ms: u64,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    name: Box<str>,
    filter: Box<str>,
    test: Option<Test>,
    sink: Arc<dyn Sink>,
}

/// A test of one value in a payload that is JSON. Plain data; all that is set has to hold, and if nothing is, the field
/// has to be there.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Test {
    /// Names of fields and places of lists (from 0) one behind the other, with dots between; or a JSON pointer (RFC 6901),
    /// which begins with `/`. Empty: the payload itself.
    pub field: String,
    /// It is a number larger than this.
    pub above: Option<f64>,
    /// It is a number less than this.
    pub below: Option<f64>,
    /// It is this. Numbers are the same if their values are.
    pub equals: Option<Value>,
}

/// A filter of a rule is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RuleError {
    /// It is no filter of topics.
    Filter,
    /// It is that of a shared subscription.
    Shared,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RuleError::Filter => "that is no filter of topics",
            RuleError::Shared => "a rule shares with nobody: leave `$share` and the group out",
        })
    }
}

impl std::error::Error for RuleError {}

impl Test {
    /// A test of this field, which has to be there.
    pub fn of(field: impl Into<String>) -> Test {
        Test { field: field.into(), ..Test::default() }
    }

    /// Whether a payload passes.
    pub fn passes(&self, payload: &Value) -> bool {
        let Some(value) = self.find(payload) else { return false };
        let number = value.as_f64();
        self.above.is_none_or(|above| number.is_some_and(|number| number > above))
            && self.below.is_none_or(|below| number.is_some_and(|number| number < below))
            && self.equals.as_ref().is_none_or(|equals| match (equals.as_f64(), number) {
                (Some(equals), Some(number)) => equals == number,
                _ => equals == value,
            })
    }

    fn find<'v>(&self, payload: &'v Value) -> Option<&'v Value> {
        if self.field.is_empty() || self.field.starts_with('/') {
            return payload.pointer(&self.field);
        }
        self.field.split('.').try_fold(payload, |value, name| match value {
            Value::Array(list) => list.get(name.parse::<usize>().ok()?),
            value => value.get(name),
        })
    }
}

impl Rule {
    /// A rule for all messages whose topic the filter matches.
    ///
    /// # Errors
    ///
    /// If it is no filter.
    pub fn new(
        name: impl Into<Box<str>>,
        filter: impl Into<Box<str>>,
        sink: Arc<dyn Sink>,
    ) -> Result<Rule, RuleError> {
        let filter = filter.into();
        match Filter::new(&filter) {
            Err(_) => return Err(RuleError::Filter),
            Ok(filter) if filter.group().is_some() => return Err(RuleError::Shared),
            Ok(_) => {}
        }
        Ok(Rule { name: name.into(), filter, test: None, sink })
    }

    /// Only if the payload passes this test.
    #[must_use]
    pub fn test(mut self, test: Test) -> Rule {
        self.test = Some(test);
        self
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Rules {
    /// These, each for itself: a message goes to the sink of every rule that is for it.
    pub fn new(rules: Vec<Rule>) -> Rules {
        Rules((!rules.is_empty()).then(|| rules.into()))
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// A message is published: it goes to the sinks that are for it.
    pub(crate) fn apply(&self, publication: &Publication<'_>, unix_ms: u64, stats: &mut HubStats) {
        let rules = self.0.as_deref().unwrap_or_default();
        let Publication { topic, payload, qos, retain, .. } = *publication;
        // It is read once, and only if somebody has to know.
        let mut read: Option<Option<Value>> = None;
        for rule in rules {
            if !Filter::new(&rule.filter).is_ok_and(|filter| filter.matches(topic)) {
                continue;
            }
            if let Some(test) = &rule.test {
                let value = read.get_or_insert_with(|| match payload.len() <= READ_MAX {
                    true => serde_json::from_slice(payload).ok(),
                    false => None,
                });
                if value.is_none() {
                    stats.rules_unread += 1;
                }
                if !value.as_ref().is_some_and(|value| test.passes(value)) {
                    continue;
                }
            }
            stats.rules_matched += 1;
            rule.sink.offer(&Event { topic: topic.as_str(), payload, qos, retain, unix_ms });
        }
    }
}

#[cfg(test)]
mod tests;

//! Topic names and topic filters (section 4.7 of both versions), and shared subscriptions (section 4.8.2 of 5.0).

use core::error::Error;
use core::fmt;

use super::MqttError;
use super::read;

/// Why a text is no topic name or no filter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum TopicError {
    /// It is empty ([MQTT-4.7.3-1]).
    Empty,
    /// It is longer than 65,535 bytes ([MQTT-4.7.3-3]).
    TooLong,
    /// It has U+0000 in it ([MQTT-4.7.3-2]).
    Null,
    /// A topic name with `+` or `#` in it, or a filter where they do not stand for levels ([MQTT-4.7.1-1] to
    /// [MQTT-4.7.1-3] of 3.1.1; [MQTT-4.7.0-1] to [MQTT-4.7.1-2] of 5.0).
    Wildcard,
    /// `$share/` without a name and a filter behind it ([MQTT-4.8.2-1], [MQTT-4.8.2-2]).
    Share,
    /// It has more levels than allowed.
    TooDeep,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TopicError::Empty => "is empty",
            TopicError::TooLong => "is longer than 65,535 bytes",
            TopicError::Null => "has U+0000 in it",
            TopicError::Wildcard => "has wildcards where they may not be",
            TopicError::Share => "is no shared subscription",
            TopicError::TooDeep => "has more levels than allowed",
        })
    }
}

impl Error for TopicError {}

/// A topic name: what a message is about. Nothing is normalized ([MQTT-4.7.3-4]).
///
/// ```
/// use windlass_proto::mqtt::{Topic, TopicError};
///
/// let topic = Topic::new("sport/tennis/player1").unwrap();
/// assert!(topic.levels().eq(["sport", "tennis", "player1"]));
/// assert!(Topic::new("/").unwrap().levels().eq(["", ""]));
/// assert_eq!(Topic::new("sport/+"), Err(TopicError::Wildcard));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic<'b>(&'b str);

impl<'b> Topic<'b> {
    /// A text as a topic name.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn new(text: &'b str) -> Result<Topic<'b>, TopicError> {
        if text.len() > 65_535 { Err(TopicError::TooLong) } else { name(text, usize::MAX) }
    }

    /// The bytes of a packet, with a length in two bytes that has been read.
    #[inline]
    pub(super) fn parse(bytes: &'b [u8], levels_max: usize) -> Result<Topic<'b>, MqttError> {
        let text = core::str::from_utf8(bytes).map_err(|_| MqttError::Utf8)?;
        name(text, levels_max).map_err(|error| match error {
            TopicError::Null => MqttError::Null,
            error => MqttError::Topic(error),
        })
    }

    /// One that was checked when it was kept.
    #[cfg(feature = "alloc")]
    pub(super) fn kept(text: &'b str) -> Topic<'b> {
        Topic(text)
    }

    /// The text.
    #[inline]
    pub const fn as_str(self) -> &'b str {
        self.0
    }

    /// Its levels: at least one, and any of them may be empty.
    #[inline]
    pub fn levels(self) -> impl Iterator<Item = &'b str> + Clone {
        self.0.split('/')
    }

    /// Whether it begins with `$`: a topic of the server's own, which a leading wildcard does not match
    /// ([MQTT-4.7.2-1]).
    #[inline]
    pub const fn is_dollar(self) -> bool {
        matches!(self.0.as_bytes(), [b'$', ..])
    }
}

impl fmt::Debug for Topic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A topic name that is kept: it was checked when it came, and need not be again.
///
/// ```
/// use windlass_proto::mqtt::{Topic, TopicBuf};
///
/// let topic = Topic::new("sport/tennis").unwrap();
/// assert_eq!(TopicBuf::from(topic).as_topic(), topic);
/// ```
#[cfg(feature = "alloc")]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicBuf(alloc::boxed::Box<str>);

#[cfg(feature = "alloc")]
impl TopicBuf {
    /// The topic.
    #[inline]
    pub fn as_topic(&self) -> Topic<'_> {
        Topic(&self.0)
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(feature = "alloc")]
impl From<Topic<'_>> for TopicBuf {
    fn from(topic: Topic<'_>) -> TopicBuf {
        TopicBuf(topic.0.into())
    }
}

#[cfg(feature = "alloc")]
impl fmt::Debug for TopicBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A topic filter: which topics a subscription is for. Of a shared one, the group is taken off.
///
/// ```
/// use windlass_proto::mqtt::{Filter, Topic, TopicError};
///
/// let filter = Filter::new("$share/workers/sport/#").unwrap();
/// assert_eq!((filter.group(), filter.pattern()), (Some("workers"), "sport/#"));
/// assert!(filter.matches(Topic::new("sport").unwrap()));
/// assert!(!filter.matches(Topic::new("sports").unwrap()));
/// assert_eq!(Filter::new("sport/tennis#"), Err(TopicError::Wildcard));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Filter<'b> {
    text: &'b str,
    /// Where the pattern begins in it: 0 for a subscription that is not shared.
    pattern: usize,
}

const SHARE: &str = "$share/";

impl<'b> Filter<'b> {
    /// A text as a filter. `$share/NAME/FILTER` is a shared subscription, as in version 5; servers take it from
    /// clients of 3.1.1 too.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn new(text: &'b str) -> Result<Filter<'b>, TopicError> {
        check_bytes(text.as_bytes())?;
        filter(text, usize::MAX)
    }

    #[inline]
    pub(super) fn parse(bytes: &'b [u8], levels_max: usize) -> Result<Filter<'b>, MqttError> {
        filter(read::text(bytes)?, levels_max).map_err(MqttError::Filter)
    }

    /// The text as the client said it, `$share/` included: what subscriptions are told apart by
    /// ([MQTT-3.10.4-1]).
    #[inline]
    pub const fn as_str(self) -> &'b str {
        self.text
    }

    /// The group of a shared subscription.
    #[inline]
    pub fn group(self) -> Option<&'b str> {
        let end = self.pattern.checked_sub(1)?;
        self.text.get(SHARE.len()..end)
    }

    /// What topics are held against.
    #[inline]
    pub fn pattern(self) -> &'b str {
        &self.text[self.pattern..]
    }

    /// The levels of [`pattern`](Filter::pattern); `+` and `#` are wildcards, `#` only as the last.
    #[inline]
    pub fn levels(self) -> impl Iterator<Item = &'b str> + Clone {
        self.pattern().split('/')
    }

    /// Whether there are wildcards in it.
    pub fn has_wildcards(self) -> bool {
        memchr::memchr2(b'+', b'#', self.pattern().as_bytes()).is_some()
    }

    /// Whether a topic matches, character by character (section 4.7). A leading wildcard matches no topic that
    /// begins with `$` ([MQTT-4.7.2-1]); `a/#` matches `a` as well (section 4.7.1.2).
    pub fn matches(self, topic: Topic<'_>) -> bool {
        if topic.is_dollar() && self.pattern().starts_with(['+', '#']) {
            return false;
        }
        let mut topic = topic.levels();
        for level in self.levels() {
            match (level, topic.next()) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (level, Some(name)) if level == name => {}
                _ => return false,
            }
        }
        topic.next().is_none()
    }
}

impl fmt::Debug for Filter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

fn check_bytes(bytes: &[u8]) -> Result<(), TopicError> {
    if bytes.len() > 65_535 {
        return Err(TopicError::TooLong);
    }
    if memchr::memchr(0, bytes).is_some() { Err(TopicError::Null) } else { Ok(()) }
}

#[inline]
fn name(text: &str, levels_max: usize) -> Result<Topic<'_>, TopicError> {
    // One loop without a branch: topics are short, and searches have to be set up.
    let (mut slashes, mut wildcards, mut nulls) = (0_u16, false, false);
    for byte in text.bytes() {
        slashes = slashes.wrapping_add(u16::from(byte == b'/'));
        wildcards |= (byte == b'+') | (byte == b'#');
        nulls |= byte == 0;
    }
    if text.is_empty() {
        Err(TopicError::Empty)
    } else if nulls {
        Err(TopicError::Null)
    } else if wildcards {
        Err(TopicError::Wildcard)
    } else if usize::from(slashes) >= levels_max {
        Err(TopicError::TooDeep)
    } else {
        Ok(Topic(text))
    }
}

/// A filter without U+0000.
fn filter(text: &str, levels_max: usize) -> Result<Filter<'_>, TopicError> {
    let mut pattern = 0;
    if let Some(shared) = text.strip_prefix(SHARE) {
        // A `ShareName` holds no wildcards, and a filter stands behind it.
        let (name, rest) = shared.split_once('/').ok_or(TopicError::Share)?;
        if name.is_empty() || rest.is_empty() || name.contains(['+', '#']) {
            return Err(TopicError::Share);
        }
        pattern = text.len() - rest.len();
    }
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    let mut levels = text[pattern..].split('/');
    let mut count = 0;
    while let Some(level) = levels.next() {
        count += 1;
        let wild = level.contains(['+', '#']);
        if wild && (level.len() > 1 || level == "#" && levels.next().is_some()) {
            return Err(TopicError::Wildcard);
        }
    }
    if count > levels_max { Err(TopicError::TooDeep) } else { Ok(Filter { text, pattern }) }
}

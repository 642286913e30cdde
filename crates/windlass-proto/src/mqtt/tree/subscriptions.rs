//! Who gets a message: filters, found by topic.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::fmt;
use core::ops::Bound::{Excluded, Unbounded};

use super::levels::{At, Levels, NONE, ROOT, Value};
use super::own::Own;
use super::{TreeError, TreeLimits};
use crate::mqtt::{Filter, Topic};

/// Subscriptions by filter. `K` says whose they are (a session), `V` how (options, an identifier).
///
/// A search walks the levels of a topic and looks at the names, `+` and `#` that filters have there: what it costs
/// depends on the topic's depth and on the filters that match or begin to, not on how many there are.
///
/// ```
/// use windlass_proto::mqtt::{Filter, Matched, Subscriptions, Topic, TreeLimits};
///
/// let mut tree = Subscriptions::new(TreeLimits::default());
/// tree.insert(Filter::new("sport/+/score")?, 1, "one").unwrap();
/// tree.insert(Filter::new("$share/g/sport/#")?, 2, "two").unwrap();
/// tree.insert(Filter::new("$share/g/sport/#")?, 3, "three").unwrap();
///
/// let mut who = Vec::new();
/// for _ in 0..2 {
///     tree.matching(Topic::new("sport/tennis/score")?, |matched| match matched {
///         Matched::Own(key, _) => who.push(*key),
///         // One of the group: the next one that takes messages now.
///         Matched::Group(group) => who.extend(group.next(|key, _| *key != 99).map(|(key, _)| *key)),
///     });
/// }
/// who.sort();
/// assert_eq!(who, [1, 1, 2, 3]);
/// # Ok::<(), windlass_proto::mqtt::TopicError>(())
/// ```
#[derive(Clone)]
pub struct Subscriptions<K, V> {
    levels: Levels<Node<K, V>>,
    len: usize,
}

#[derive(Clone)]
struct Node<K, V> {
    own: Own<K, V>,
    /// Few filters are shared.
    groups: Option<Box<Groups<K, V>>>,
}

/// By name.
type Groups<K, V> = BTreeMap<Box<str>, Group<K, V>>;

impl<K, V> Default for Node<K, V> {
    fn default() -> Node<K, V> {
        Node { own: Own::None, groups: None }
    }
}

impl<K, V> Value for Node<K, V> {
    fn is_empty(&self) -> bool {
        self.own.is_empty() && self.groups.is_none()
    }
}

/// The members of a shared subscription, one of whom gets each message (section 4.8.2 of 5.0).
#[derive(Clone)]
pub struct Group<K, V> {
    members: BTreeMap<K, V>,
    last: Option<K>,
}

impl<K: Ord + Clone, V> Group<K, V> {
    /// Whose turn it is, of those that `takes` says take a message now: in a circle.
    pub fn next(&mut self, mut takes: impl FnMut(&K, &V) -> bool) -> Option<(&K, &V)> {
        let behind = match &self.last {
            Some(last) => self.members.range((Excluded(last), Unbounded)),
            None => self.members.range(..),
        };
        let around = behind.chain(self.members.iter()).take(self.members.len());
        let (key, value) = around.into_iter().find(|(key, value)| takes(key, value))?;
        self.last = Some(key.clone());
        Some((key, value))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none: never in a tree.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.members.iter()
    }
}

/// A subscription that a topic matches.
#[derive(Debug)]
pub enum Matched<'t, K, V> {
    /// Somebody's own.
    Own(&'t K, &'t V),
    /// A group's: one of them gets the message.
    Group(&'t mut Group<K, V>),
}

impl<K: Ord + Clone, V> Subscriptions<K, V> {
    /// None yet.
    pub fn new(limits: TreeLimits) -> Subscriptions<K, V> {
        Subscriptions { levels: Levels::new(limits), len: 0 }
    }

    /// Holds what is added from here on to these limits. What is there stays, be it over them.
    pub fn set_limits(&mut self, limits: TreeLimits) {
        self.levels.set_limits(limits);
    }

    /// Adds a subscription, or replaces the one that `key` has with this very filter ([MQTT-3.8.4-3]), which is
    /// returned. That of a group is another one than that of nobody or of another group.
    ///
    /// # Errors
    ///
    /// Over a limit, and then nothing has changed.
    pub fn insert(&mut self, filter: Filter<'_>, key: K, value: V) -> Result<Option<V>, TreeError> {
        let at = self.levels.make(filter.levels())?;
        let node = self.levels.value_mut(at);
        let before = match filter.group() {
            None => node.own.insert(key, value),
            Some(name) => {
                let groups = node.groups.get_or_insert_default();
                match groups.get_mut(name) {
                    Some(group) => group.members.insert(key, value),
                    None => {
                        let members = BTreeMap::from([(key, value)]);
                        groups.insert(name.into(), Group { members, last: None });
                        None
                    }
                }
            }
        };
        self.len += usize::from(before.is_none());
        Ok(before)
    }

    /// Removes the subscription that `key` has with this very filter ([MQTT-3.10.4-1]).
    pub fn remove(&mut self, filter: Filter<'_>, key: &K) -> Option<V> {
        let at = self.levels.find(filter.levels())?;
        let node = self.levels.value_mut(at);
        let removed = match filter.group() {
            None => node.own.remove(key)?,
            Some(name) => {
                let groups = node.groups.as_mut()?;
                let group = groups.get_mut(name)?;
                let removed = group.members.remove(key)?;
                if group.members.is_empty() {
                    groups.remove(name);
                }
                if groups.is_empty() {
                    node.groups = None;
                }
                removed
            }
        };
        self.len -= 1;
        self.levels.prune(at);
        Some(removed)
    }

    /// Calls `found` for each subscription that the topic matches, in no order that means anything. Somebody with
    /// several of them comes several times; merge them by key.
    ///
    /// It allocates nothing.
    pub fn matching(&mut self, topic: Topic<'_>, mut found: impl FnMut(Matched<'_, K, V>)) {
        // A leading wildcard matches no topic that begins with `$` ([MQTT-4.7.2-1]).
        self.walk(ROOT, Some(topic.as_str()), !topic.is_dollar(), &mut found);
    }

    /// `rest`: the levels below this node. As deep as the deepest filter at most.
    fn walk(&mut self, at: At, rest: Option<&str>, wild: bool, found: &mut impl FnMut(Matched<'_, K, V>)) {
        let (plus, hash) = (self.levels.plus(at), self.levels.hash(at));
        // `a/#` matches `a` too (section 4.7.1.2).
        if hash != NONE && wild {
            self.report(hash, found);
        }
        let Some(rest) = rest else { return self.report(at, found) };
        // A loop: names are short, and a search has to be set up.
        let (name, rest) = match rest.bytes().position(|byte| byte == b'/') {
            Some(end) => (&rest[..end], Some(&rest[end + 1..])),
            None => (rest, None),
        };
        if plus != NONE && wild {
            self.walk(plus, rest, true, found);
        }
        let child = self.levels.child(at, name);
        if child != NONE {
            self.walk(child, rest, true, found);
        }
    }

    fn report(&mut self, at: At, found: &mut impl FnMut(Matched<'_, K, V>)) {
        let node = self.levels.value_mut(at);
        node.own.each(|key, value| found(Matched::Own(key, value)));
        for group in node.groups.iter_mut().flat_map(|groups| groups.values_mut()) {
            found(Matched::Group(group));
        }
    }

    /// The subscription that `key` has with this very filter.
    pub fn get(&self, filter: Filter<'_>, key: &K) -> Option<&V> {
        let node = self.levels.value(self.levels.find(filter.levels())?);
        match filter.group() {
            None => node.own.get(key),
            Some(name) => node.groups.as_ref()?.get(name)?.members.get(key),
        }
    }

    /// How many subscriptions there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How often searches and changes have looked a name up so far.
    #[cfg(test)]
    pub(crate) fn lookups(&self) -> usize {
        self.levels.lookups.get()
    }

    /// How many levels are kept for them: what [`TreeLimits::nodes_max`] bounds.
    pub fn nodes(&self) -> usize {
        self.levels.len()
    }
}

/// The numbers only.
impl<K, V> fmt::Debug for Subscriptions<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriptions").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<K, V> fmt::Debug for Group<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("len", &self.members.len()).finish_non_exhaustive()
    }
}

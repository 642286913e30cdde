//! The last message of each topic, found by filter.

use core::fmt;
use core::ops::ControlFlow;

use hashbrown::HashSet;

use super::levels::{At, Levels, NONE, ROOT, Value};
use super::{TreeError, TreeLimits};
use crate::mqtt::{Filter, Topic};

/// Retained messages by topic (section 3.3.1.3): the reverse of [`Subscriptions`](super::Subscriptions).
///
/// What a search costs depends on how many topics match its filter, or begin to: `#` walks them all, so whoever
/// looks can stop, or go in steps ([`scan`](Retained::scan)).
///
/// ```
/// use core::ops::ControlFlow;
/// use windlass_proto::mqtt::{Filter, Retained, Topic, TreeLimits};
///
/// let mut retained = Retained::new(TreeLimits::default());
/// retained.insert(Topic::new("room/1/light")?, "on").unwrap();
/// retained.insert(Topic::new("room/2/light")?, "off").unwrap();
/// retained.insert(Topic::new("room/2/door")?, "open").unwrap();
///
/// let mut found = Vec::new();
/// retained.matching(Filter::new("room/+/light")?, |value| {
///     found.push(*value);
///     ControlFlow::Continue(())
/// });
/// found.sort();
/// assert_eq!(found, ["off", "on"]);
/// # Ok::<(), windlass_proto::mqtt::TopicError>(())
/// ```
#[derive(Clone)]
pub struct Retained<V> {
    levels: Levels<Option<V>>,
    len: usize,
    /// Searches under way, and the places that are let go when there are none.
    scans: usize,
    idle: HashSet<At>,
}

impl<V> Value for Option<V> {
    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

impl<V> Retained<V> {
    /// None yet.
    pub fn new(limits: TreeLimits) -> Retained<V> {
        Retained { levels: Levels::new(limits), len: 0, scans: 0, idle: HashSet::new() }
    }

    /// Keeps a message, and returns the one before it ([MQTT-3.3.1-5]). One without payload is not kept, but removes
    /// what is ([MQTT-3.3.1-10], [MQTT-3.3.1-11] of 3.1.1; [MQTT-3.3.1-6], [MQTT-3.3.1-7] of 5.0): call
    /// [`remove`](Retained::remove) for it.
    ///
    /// # Errors
    ///
    /// Over a limit, and then nothing has changed.
    pub fn insert(&mut self, topic: Topic<'_>, value: V) -> Result<Option<V>, TreeError> {
        let at = self.levels.make(topic.levels())?;
        let before = self.levels.value_mut(at).replace(value);
        self.len += usize::from(before.is_none());
        Ok(before)
    }

    /// Removes what is kept of a topic.
    pub fn remove(&mut self, topic: Topic<'_>) -> Option<V> {
        let at = self.levels.find(topic.levels())?;
        let removed = self.levels.value_mut(at).take()?;
        self.len -= 1;
        if self.scans == 0 {
            self.levels.prune(at);
        } else {
            self.idle.insert(at);
        }
        Some(removed)
    }

    /// A search is under way.
    pub(super) fn hold(&mut self) {
        self.scans += 1;
    }

    /// One less.
    pub(super) fn release(&mut self) {
        self.scans = self.scans.saturating_sub(1);
        if self.scans == 0 {
            for at in core::mem::take(&mut self.idle) {
                self.levels.prune(at);
            }
        }
    }

    pub(super) fn child(&self, at: At, name: &str) -> At {
        self.levels.child(at, name)
    }

    pub(super) fn name(&self, at: At) -> &str {
        // It was made of a str.
        core::str::from_utf8(self.levels.name(at)).unwrap_or_default()
    }

    pub(super) fn value(&self, at: At) -> Option<&V> {
        self.levels.value(at).as_ref()
    }

    /// What is kept of a topic.
    pub fn get(&self, topic: Topic<'_>) -> Option<&V> {
        self.levels.value(self.levels.find(topic.levels())?).as_ref()
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, topic: Topic<'_>) -> Option<&mut V> {
        let at = self.levels.find(topic.levels())?;
        self.levels.value_mut(at).as_mut()
    }

    /// Calls `found` for each message whose topic the filter matches, until it breaks, in no order that means
    /// anything. A leading wildcard matches no topic that begins with `$` ([MQTT-4.7.2-1]).
    ///
    /// It allocates nothing.
    pub fn matching(&self, filter: Filter<'_>, mut found: impl FnMut(&V) -> ControlFlow<()>) {
        let _ = self.walk(ROOT, Some(filter.pattern()), &mut found);
    }

    fn walk(
        &self,
        at: At,
        rest: Option<&str>,
        found: &mut impl FnMut(&V) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Some(rest) = rest else { return self.report(at, found) };
        let (name, rest) = match rest.split_once('/') {
            Some((name, rest)) => (name, Some(rest)),
            None => (rest, None),
        };
        match name {
            "+" => {
                let mut child = self.first_child(at);
                while child != NONE {
                    self.walk(child, rest, found)?;
                    child = self.next_child(child);
                }
                ControlFlow::Continue(())
            }
            "#" => {
                // `a/#` is for `a` too (section 4.7.1.2).
                self.report(at, found)?;
                let mut child = self.first_child(at);
                while child != NONE {
                    self.all_below(child, found)?;
                    child = self.next_child(child);
                }
                ControlFlow::Continue(())
            }
            name => match self.levels.child(at, name) {
                NONE => ControlFlow::Continue(()),
                child => self.walk(child, rest, found),
            },
        }
    }

    /// The first child that a wildcard is for.
    pub(super) fn first_child(&self, at: At) -> At {
        self.passing(self.levels.first_child(at))
    }

    pub(super) fn next_child(&self, at: At) -> At {
        self.passing(self.levels.next_sibling(at))
    }

    /// The first child, whatever it is.
    pub(super) fn any_first_child(&self, at: At) -> At {
        self.levels.first_child(at)
    }

    pub(super) fn any_next_child(&self, at: At) -> At {
        self.levels.next_sibling(at)
    }

    /// Passes over those that begin with `$`, if they are first levels.
    fn passing(&self, mut at: At) -> At {
        while at != NONE && self.levels.parent(at) == ROOT && self.levels.name(at).starts_with(b"$") {
            at = self.levels.next_sibling(at);
        }
        at
    }

    /// A node and everything below it, without a stack.
    fn all_below(&self, top: At, found: &mut impl FnMut(&V) -> ControlFlow<()>) -> ControlFlow<()> {
        let mut at = top;
        loop {
            self.report(at, found)?;
            let child = self.levels.first_child(at);
            if child != NONE {
                at = child;
                continue;
            }
            while at != top && self.levels.next_sibling(at) == NONE {
                at = self.levels.parent(at);
            }
            if at == top {
                return ControlFlow::Continue(());
            }
            at = self.levels.next_sibling(at);
        }
    }

    fn report(&self, at: At, found: &mut impl FnMut(&V) -> ControlFlow<()>) -> ControlFlow<()> {
        self.levels.value(at).as_ref().map_or(ControlFlow::Continue(()), found)
    }

    /// How many messages are kept.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many levels are kept for them: what [`TreeLimits::nodes_max`] bounds.
    pub fn nodes(&self) -> usize {
        self.levels.len()
    }
}

/// The numbers only.
impl<V> fmt::Debug for Retained<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retained").field("len", &self.len).finish_non_exhaustive()
    }
}

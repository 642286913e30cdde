//! The tree: a node for each level of each name that is kept, found by its parent and its name.

use alloc::vec::Vec;
use core::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::name::Name;
use super::{TreeError, TreeLimits};

/// A node, by its place.
pub(super) type At = u32;

/// No node.
pub(super) const NONE: At = At::MAX;

/// Where all names begin: always there.
pub(super) const ROOT: At = 0;

/// Searches go down by calls, and a thread's stack has room for so many.
const LEVELS_MAX: usize = 1024;

/// One table holds the edges of all nodes, so that a node with one child, as most are, has no table of its own.
/// Children are a list as well, to be walked.
#[derive(Clone)]
pub(super) struct Levels<T> {
    nodes: Vec<Node<T>>,
    /// Children, by the hash of parent and name.
    edges: HashTable<Edge>,
    hasher: DefaultHashBuilder,
    /// The first place that is free; the next one is its `next`.
    free: At,
    len: usize,
    limits: TreeLimits,
    /// How often a name was looked up below a node.
    #[cfg(test)]
    pub(super) lookups: Count,
}

#[cfg(test)]
#[allow(clippy::disallowed_types, reason = "look-ups are no change, and only tests count them")]
pub(super) type Count = core::cell::Cell<usize>;

/// The hash is kept, so that the table grows without a look at the nodes.
#[derive(Clone, Copy)]
struct Edge {
    hash: u32,
    at: At,
}

#[derive(Clone)]
struct Node<T> {
    name: Name,
    parent: At,
    child: At,
    next: At,
    before: At,
    /// The children of these names, which searches for topics ask for at every step.
    plus: At,
    hash: At,
    value: T,
}

/// What a node holds. One that holds nothing and has no children is let go.
pub(super) trait Value: Default {
    fn is_empty(&self) -> bool;
}

impl<T: Value> Levels<T> {
    pub(super) fn new(limits: TreeLimits) -> Levels<T> {
        let mut levels = Levels {
            nodes: Vec::new(),
            edges: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            free: NONE,
            len: 0,
            limits,
            #[cfg(test)]
            lookups: Count::default(),
        };
        levels.set_limits(limits);
        levels.nodes.push(Node::new("", NONE));
        levels
    }

    /// What is added from here on is held to these.
    pub(super) fn set_limits(&mut self, limits: TreeLimits) {
        self.limits = TreeLimits {
            // A place is 32 bits, and one of them is none.
            nodes_max: limits.nodes_max.min(NONE as usize - 1),
            levels_max: limits.levels_max.min(LEVELS_MAX),
        };
    }

    /// Nodes, the root not counted.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn value(&self, at: At) -> &T {
        &self.nodes[at as usize].value
    }

    #[inline]
    pub(super) fn value_mut(&mut self, at: At) -> &mut T {
        &mut self.nodes[at as usize].value
    }

    #[inline]
    pub(super) fn name(&self, at: At) -> &[u8] {
        self.nodes[at as usize].name.as_bytes()
    }

    #[inline]
    pub(super) fn parent(&self, at: At) -> At {
        self.nodes[at as usize].parent
    }

    /// The first child, or [`NONE`].
    #[inline]
    pub(super) fn first_child(&self, at: At) -> At {
        self.nodes[at as usize].child
    }

    /// The next child of the same parent, or [`NONE`].
    #[inline]
    pub(super) fn next_sibling(&self, at: At) -> At {
        self.nodes[at as usize].next
    }

    /// The child `+`, or [`NONE`].
    #[inline]
    pub(super) fn plus(&self, at: At) -> At {
        self.nodes[at as usize].plus
    }

    /// The child `#`, or [`NONE`].
    #[inline]
    pub(super) fn hash(&self, at: At) -> At {
        self.nodes[at as usize].hash
    }

    /// The child of this name, or [`NONE`].
    #[inline]
    pub(super) fn child(&self, parent: At, name: &str) -> At {
        #[cfg(test)]
        self.lookups.set(self.lookups.get() + 1);
        let first = self.nodes[parent as usize].child;
        if first == NONE {
            return NONE;
        }
        if self.nodes[first as usize].next == NONE {
            // The only one: to look at it takes less than to hash.
            return if self.is(first, parent, name) { first } else { NONE };
        }
        let hash = self.hash_of(parent, name.as_bytes());
        let edge = self.edges.find(wide(hash), |edge| edge.hash == hash && self.is(edge.at, parent, name));
        edge.map_or(NONE, |edge| edge.at)
    }

    #[inline]
    fn hash_of(&self, parent: At, name: &[u8]) -> u32 {
        self.hasher.hash_one((parent, name)) as u32
    }

    #[inline]
    fn is(&self, at: At, parent: At, name: &str) -> bool {
        let node = &self.nodes[at as usize];
        node.parent == parent && node.name.as_bytes() == name.as_bytes()
    }

    /// The node of these levels, if it is there.
    pub(super) fn find<'n>(&self, levels: impl Iterator<Item = &'n str>) -> Option<At> {
        let mut at = ROOT;
        for name in levels {
            at = self.child(at, name);
            if at == NONE {
                return None;
            }
        }
        Some(at)
    }

    /// The node of these levels, which is made if it is not there; all of it, or nothing.
    pub(super) fn make<'n>(
        &mut self,
        levels: impl Iterator<Item = &'n str> + Clone,
    ) -> Result<At, TreeError> {
        let (mut at, mut depth, mut rest) = (ROOT, 0, levels.clone());
        let mut missing = levels;
        while let Some(name) = rest.next() {
            let child = self.child(at, name);
            if child == NONE {
                break;
            }
            (at, depth, missing) = (child, depth + 1, rest.clone());
        }
        let more = missing.clone().count();
        if more == 0 {
            return Ok(at);
        }
        if depth + more > self.limits.levels_max {
            return Err(TreeError::TooDeep);
        }
        if self.len + more > self.limits.nodes_max {
            return Err(TreeError::Full);
        }
        for name in missing {
            at = self.add(at, name);
        }
        Ok(at)
    }

    fn add(&mut self, parent: At, name: &str) -> At {
        let mut node = Node::new(name, parent);
        node.next = self.nodes[parent as usize].child;
        let next = node.next;
        let at = if self.free == NONE {
            self.nodes.push(node);
            (self.nodes.len() - 1) as At
        } else {
            let at = self.free;
            self.free = core::mem::replace(&mut self.nodes[at as usize], node).next;
            at
        };
        if next != NONE {
            self.nodes[next as usize].before = at;
        }
        let above = &mut self.nodes[parent as usize];
        above.child = at;
        match name {
            "+" => above.plus = at,
            "#" => above.hash = at,
            _ => {}
        }
        let hash = self.hash_of(parent, name.as_bytes());
        self.edges.insert_unique(wide(hash), Edge { hash, at }, |edge| wide(edge.hash));
        self.len += 1;
        at
    }

    /// Lets a node go if it is good for nothing any more, and its parents likewise. One that is gone has no parent.
    pub(super) fn prune(&mut self, mut at: At) {
        while at != ROOT {
            let node = &self.nodes[at as usize];
            if node.parent == NONE || node.child != NONE || !node.value.is_empty() {
                return;
            }
            let (parent, next, before) = (node.parent, node.next, node.before);
            let hash = self.hash_of(parent, node.name.as_bytes());
            if let Ok(edge) = self.edges.find_entry(wide(hash), |edge| edge.at == at) {
                edge.remove();
            }
            match before {
                NONE => self.nodes[parent as usize].child = next,
                before => self.nodes[before as usize].next = next,
            }
            let above = &mut self.nodes[parent as usize];
            if above.plus == at {
                above.plus = NONE;
            }
            if above.hash == at {
                above.hash = NONE;
            }
            if next != NONE {
                self.nodes[next as usize].before = before;
            }
            let mut gone = Node::new("", NONE);
            gone.next = self.free;
            self.nodes[at as usize] = gone;
            self.free = at;
            self.len -= 1;
            at = parent;
        }
    }
}

/// The table takes its place from the lower bits of a hash and its tag from the upper ones.
#[inline]
fn wide(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl<T: Value> Node<T> {
    fn new(name: &str, parent: At) -> Node<T> {
        let value = T::default();
        Node {
            name: Name::new(name),
            parent,
            child: NONE,
            next: NONE,
            before: NONE,
            plus: NONE,
            hash: NONE,
            value,
        }
    }
}

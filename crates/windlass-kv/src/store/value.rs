//! What a key holds, and what that weighs.

use std::hash::RandomState;

use indexmap::{IndexMap, IndexSet};

use super::list::List;
use super::sorted::SortedSet;

/// What an allocation costs beside its bytes, about.
pub(super) const PIECE: usize = 16;
/// What an entry takes in the array and the table, about: its key's pointer and length, itself, its hash,
/// and its share of the tables' spare room.
const ENTRY: usize = size_of::<(usize, Box<[u8]>, Entry)>() + 2 * size_of::<usize>() + 2 * PIECE;

/// What is stored under a key.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(super) value: Value,
    /// In Unix milliseconds; 0 is never.
    pub(super) deadline: u64,
    pub(super) version: u64,
    pub(super) flags: u32,
    pub(super) used_at: u32,
}

impl Entry {
    /// The value.
    #[inline]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The bytes, if that is what it holds.
    #[inline]
    pub fn bytes(&self) -> Option<&[u8]> {
        if let Value::Bytes(bytes) = &self.value { Some(bytes) } else { None }
    }

    /// When it expires, in Unix milliseconds; `None` if never.
    #[inline]
    pub fn deadline(&self) -> Option<u64> {
        (self.deadline != 0).then_some(self.deadline)
    }

    /// Names this state of the value: every change gives it a number that no value had before (the CAS of
    /// memcached).
    #[inline]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What a client put beside the value (memcached's flags).
    #[inline]
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// Milliseconds since it was last used, in steps of 64, as of `now` in Unix milliseconds.
    pub fn idle_ms(&self, now: u64) -> u64 {
        u64::from(((now >> 6) as u32).wrapping_sub(self.used_at)) << 6
    }

    /// What it counts against the memory limit with a key of so many bytes.
    #[inline]
    pub fn weight(&self, key: usize) -> usize {
        ENTRY + key + self.value.weight()
    }

    #[inline]
    pub(super) fn weight_of(key: usize, value: usize) -> usize {
        ENTRY + key + value
    }

    #[inline]
    pub(super) fn is_expired(&self, now: u64) -> bool {
        self.deadline != 0 && self.deadline <= now
    }
}

/// A value of one of the types. The large ones are boxed, so that strings stay small.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string, a counter: bytes.
    Bytes(Vec<u8>),
    /// A list.
    List(List),
    /// Fields and their values.
    Hash(Box<Hash>),
    /// A set.
    Set(Box<Set>),
    /// A set ordered by score.
    Sorted(Box<SortedSet>),
}

impl Value {
    /// The type's name, as Redis has it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Bytes(_) => "string",
            Value::List(_) => "list",
            Value::Hash(_) => "hash",
            Value::Set(_) => "set",
            Value::Sorted(_) => "zset",
        }
    }

    #[inline]
    fn weight(&self) -> usize {
        match self {
            Value::Bytes(bytes) => bytes.capacity(),
            Value::List(list) => list.weight(),
            Value::Hash(hash) => hash.weight(),
            Value::Set(set) => set.weight(),
            Value::Sorted(set) => set.weight(),
        }
    }

    pub(super) fn is_empty_collection(&self) -> bool {
        match self {
            Value::Bytes(_) => false,
            Value::List(list) => list.is_empty(),
            Value::Hash(hash) => hash.is_empty(),
            Value::Set(set) => set.is_empty(),
            Value::Sorted(set) => set.is_empty(),
        }
    }
}

/// Fields and their values.
#[derive(Clone, Debug, Default)]
pub struct Hash {
    map: IndexMap<Box<[u8]>, Vec<u8>, RandomState>,
    weight: usize,
}

impl Hash {
    /// What one field adds to the weight, at most.
    pub const FIELD: usize = size_of::<(usize, Box<[u8]>, Vec<u8>)>() + 2 * size_of::<usize>() + 2 * PIECE;

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The value of a field.
    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        self.map.get(field).map(|value| &value[..])
    }

    /// The field at a position, and its value.
    pub fn at(&self, position: usize) -> Option<(&[u8], &[u8])> {
        self.map.get_index(position).map(|(field, value)| (&**field, &value[..]))
    }

    /// All fields and values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.map.iter().map(|(field, value)| (&**field, &value[..]))
    }

    /// Sets a field. True if it is new.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        match self.map.get_mut(field) {
            Some(old) => {
                let before = old.capacity();
                if before / 4 > value.len() + 64 {
                    *old = value.to_vec();
                } else {
                    old.clear();
                    old.reserve_exact(value.len());
                    old.extend_from_slice(value);
                }
                self.weight = self.weight - before + old.capacity();
                false
            }
            None => {
                let value = value.to_vec();
                self.weight += Hash::FIELD + field.len() + value.capacity();
                self.map.insert(field.into(), value);
                true
            }
        }
    }

    /// Removes a field. False if there was none.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self.map.swap_remove_full(field) {
            Some((_, field, value)) => {
                self.weight -= Hash::FIELD + field.len() + value.capacity();
                // As a list's ring: a table that was emptied is not kept.
                if self.map.capacity() > 64 && self.map.len() < self.map.capacity() / 4 {
                    self.map.shrink_to(self.map.len() * 2);
                }
                true
            }
            None => false,
        }
    }

    pub(super) fn weight(&self) -> usize {
        self.weight
    }
}

/// A set.
#[derive(Clone, Debug, Default)]
pub struct Set {
    members: IndexSet<Box<[u8]>, RandomState>,
    weight: usize,
}

impl Set {
    /// What one member adds to the weight beside its bytes.
    pub const MEMBER: usize = size_of::<(usize, Box<[u8]>)>() + 2 * size_of::<usize>() + PIECE;

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether this is a member.
    pub fn contains(&self, member: &[u8]) -> bool {
        self.members.contains(member)
    }

    /// The member at a position.
    pub fn at(&self, position: usize) -> Option<&[u8]> {
        self.members.get_index(position).map(|member| &**member)
    }

    /// All members.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.members.iter().map(|member| &**member)
    }

    /// Adds a member. True if it is new.
    pub fn add(&mut self, member: &[u8]) -> bool {
        if self.members.contains(member) {
            return false;
        }
        self.weight += Set::MEMBER + member.len();
        self.members.insert(member.into())
    }

    /// Removes a member. False if it was none.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let removed = self.members.swap_remove(member);
        if removed {
            self.weight -= Set::MEMBER + member.len();
            self.shrink();
        }
        removed
    }

    /// Removes and returns the member at a position.
    pub fn take_at(&mut self, position: usize) -> Option<Box<[u8]>> {
        let member = self.members.swap_remove_index(position)?;
        self.weight -= Set::MEMBER + member.len();
        self.shrink();
        Some(member)
    }

    /// A table that was emptied is not kept.
    fn shrink(&mut self) {
        if self.members.capacity() > 64 && self.members.len() < self.members.capacity() / 4 {
            self.members.shrink_to(self.members.len() * 2);
        }
    }

    pub(super) fn weight(&self) -> usize {
        self.weight
    }
}

//! Lists: a ring of elements.

use std::collections::VecDeque;

use super::value::PIECE;

/// A list: cheap at both ends, and by position.
#[derive(Clone, Debug, Default)]
pub struct List {
    elements: VecDeque<Box<[u8]>>,
    weight: usize,
}

impl List {
    /// What one element adds to the weight beside its bytes; the ring may be twice as large as it must.
    pub const ELEMENT: usize = 2 * size_of::<Box<[u8]>>() + PIECE;

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// The element at a position.
    pub fn get(&self, at: usize) -> Option<&[u8]> {
        self.elements.get(at).map(|element| &**element)
    }

    /// The elements from one position to before another, both clamped.
    pub fn range(&self, from: usize, to: usize) -> impl DoubleEndedIterator<Item = &[u8]> {
        let to = to.min(self.elements.len());
        self.elements.range(from.min(to)..to).map(|element| &**element)
    }

    /// Adds an element before the first.
    pub fn push_front(&mut self, element: &[u8]) {
        self.weight += List::ELEMENT + element.len();
        self.elements.push_front(element.into());
    }

    /// Adds an element behind the last.
    pub fn push_back(&mut self, element: &[u8]) {
        self.weight += List::ELEMENT + element.len();
        self.elements.push_back(element.into());
    }

    /// Removes the first.
    pub fn pop_front(&mut self) -> Option<Box<[u8]>> {
        let element = self.elements.pop_front()?;
        self.lighten(&element);
        Some(element)
    }

    /// Removes the last.
    pub fn pop_back(&mut self) -> Option<Box<[u8]>> {
        let element = self.elements.pop_back()?;
        self.lighten(&element);
        Some(element)
    }

    /// Replaces the element at a position. False if there is none.
    pub fn set(&mut self, at: usize, element: &[u8]) -> bool {
        let Some(old) = self.elements.get_mut(at) else { return false };
        self.weight = self.weight - old.len() + element.len();
        *old = element.into();
        true
    }

    /// Puts an element before the one at a position, or behind the last.
    pub fn insert(&mut self, at: usize, element: &[u8]) {
        self.weight += List::ELEMENT + element.len();
        self.elements.insert(at.min(self.elements.len()), element.into());
    }

    /// Removes the element at a position.
    pub fn remove(&mut self, at: usize) -> Option<Box<[u8]>> {
        let element = self.elements.remove(at)?;
        self.lighten(&element);
        Some(element)
    }

    /// Keeps the elements from one position to before another.
    pub fn trim(&mut self, from: usize, to: usize) {
        let to = to.min(self.elements.len());
        let from = from.min(to);
        for element in self.elements.drain(to..) {
            self.weight -= List::ELEMENT + element.len();
        }
        for element in self.elements.drain(..from) {
            self.weight -= List::ELEMENT + element.len();
        }
        self.shrink();
    }

    /// Removes elements equal to this one: the first `most`, or the last ones. Returns how many.
    pub fn remove_equal(&mut self, element: &[u8], most: usize, from_back: bool) -> usize {
        let mut left = most;
        let before = self.elements.len();
        let mut keep = |candidate: &[u8]| {
            let goes = left > 0 && candidate == element;
            left -= usize::from(goes);
            !goes
        };
        if from_back {
            let mut kept: VecDeque<_> = std::mem::take(&mut self.elements).into_iter().rev().collect();
            kept.retain(|candidate| keep(candidate));
            self.elements = kept.into_iter().rev().collect();
        } else {
            self.elements.retain(|candidate| keep(candidate));
        }
        let removed = before - self.elements.len();
        self.weight -= removed * (List::ELEMENT + element.len());
        self.shrink();
        removed
    }

    fn lighten(&mut self, element: &[u8]) {
        self.weight -= List::ELEMENT + element.len();
        self.shrink();
    }

    fn shrink(&mut self) {
        // A long list that was emptied does not keep its ring.
        if self.elements.capacity() > 64 && self.elements.len() < self.elements.capacity() / 4 {
            self.elements.shrink_to(self.elements.len() * 2);
        }
    }

    pub(super) fn weight(&self) -> usize {
        self.weight
    }
}

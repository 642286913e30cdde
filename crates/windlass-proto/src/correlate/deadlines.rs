//! Deadlines in order, each of which can be taken out again: a binary heap that tells where things are.

use alloc::vec::Vec;

use crate::Time;

/// A heap of deadlines. Whoever owns the things that have them remembers the place of each, which is told
/// whenever it changes (`moved(owner, place)`), and takes one out by its place.
#[derive(Clone, Debug)]
pub(super) struct Deadlines {
    heap: Vec<Due>,
    pushed: u64,
}

/// Ordered by deadline, and those with the same by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Time,
    nth: u64,
    owner: u64,
}

impl Deadlines {
    pub(super) const fn new() -> Deadlines {
        Deadlines { heap: Vec::new(), pushed: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The earliest, and whose it is.
    pub(super) fn first(&self) -> Option<(Time, u64)> {
        self.heap.first().map(|due| (due.at, due.owner))
    }

    pub(super) fn push(&mut self, at: Time, owner: u64, mut moved: impl FnMut(u64, usize)) {
        self.pushed += 1;
        self.heap.push(Due { at, nth: self.pushed, owner });
        let place = self.up(self.heap.len() - 1, &mut moved);
        moved(owner, place);
    }

    /// Takes out the one at `place`; nothing is said of its own place any more.
    pub(super) fn remove(&mut self, place: usize, mut moved: impl FnMut(u64, usize)) {
        self.heap.swap_remove(place);
        if place < self.heap.len() {
            // The one from the end may belong above this place as well as below it.
            let owner = self.heap[place].owner;
            let up = self.up(place, &mut moved);
            let place = self.down(up, &mut moved);
            moved(owner, place);
        }
    }

    fn up(&mut self, mut place: usize, moved: &mut impl FnMut(u64, usize)) -> usize {
        while place > 0 {
            let above = (place - 1) / 2;
            if self.heap[above] <= self.heap[place] {
                break;
            }
            self.heap.swap(above, place);
            moved(self.heap[place].owner, place);
            place = above;
        }
        place
    }

    fn down(&mut self, mut place: usize, moved: &mut impl FnMut(u64, usize)) -> usize {
        loop {
            let left = 2 * place + 1;
            if left >= self.heap.len() {
                return place;
            }
            let right = left + 1;
            let least =
                if right < self.heap.len() && self.heap[right] < self.heap[left] { right } else { left };
            if self.heap[place] <= self.heap[least] {
                return place;
            }
            self.heap.swap(place, least);
            moved(self.heap[place].owner, place);
            place = least;
        }
    }
}

//! Timers of a room, counted in ticks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What is to come at which tick, those of one tick in the order they were set.
#[derive(Default, Debug)]
pub(crate) struct Timers {
    /// Tick, order, tag.
    heap: BinaryHeap<Reverse<(u64, u64, u64)>>,
    set: u64,
}

impl Timers {
    pub(crate) fn set(&mut self, tick: u64, tag: u64) -> bool {
        if self.heap.len() >= crate::Play::TIMERS_MAX {
            return false;
        }
        self.set += 1;
        self.heap.push(Reverse((tick, self.set, tag)));
        true
    }

    pub(crate) fn cancel(&mut self, tag: u64) {
        self.heap.retain(|Reverse((_, _, other))| *other != tag);
    }

    /// The next that is due at `tick`.
    pub(crate) fn due(&mut self, tick: u64) -> Option<u64> {
        let Reverse((at, _, tag)) = *self.heap.peek()?;
        if at > tick {
            return None;
        }
        self.heap.pop();
        Some(tag)
    }
}

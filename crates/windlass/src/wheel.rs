//! The timer wheel: one deadline per connection, in milliseconds, hashed into three rings.
//!
//! Ring 0 has 256 slots of 1 ms, ring 1 256 slots of 256 ms, ring 2 256 slots of about 65 s, so the
//! wheel spans 4.6 hours; what lies beyond waits in the last slot of ring 2 and is asked again there.
//!
//! Arming is lazy: activity on a connection is one store elsewhere and does not touch the wheel. A
//! timer that comes due is *asked* for its true deadline and put back if that is later. Only a
//! deadline earlier than the armed one moves a timer.
//!
//! Ticks are `u32` milliseconds that wrap after 49 days; all comparisons are on differences, which
//! are right as long as deadlines lie less than 24 days ahead (the limits see to that).

use crate::planted::{Fault, planted};

const SLOTS: usize = 256;
const RINGS: usize = 3;
const NIL: u32 = u32::MAX;
const UNARMED: u16 = u16::MAX;

/// A millisecond on the wheel's wrapping clock.
pub(crate) type Tick = u32;

/// Whether `a` is at or before `b`, on the wrapping clock.
#[inline]
pub(crate) fn reached(a: Tick, b: Tick) -> bool {
    b.wrapping_sub(a) as i32 >= 0
}

#[derive(Clone, Copy)]
struct Node {
    prev: u32,
    next: u32,
    slot: u16,
}

const UNLINKED: Node = Node { prev: NIL, next: NIL, slot: UNARMED };

pub(crate) struct Wheel {
    /// The next tick to look at: everything before it has fired.
    now: Tick,
    armed: usize,
    heads: Box<[u32; SLOTS * RINGS]>,
    /// One bit per slot that is not empty.
    occupied: [[u64; SLOTS / 64]; RINGS],
    nodes: Vec<Node>,
}

impl Wheel {
    pub(crate) fn new(now: Tick) -> Wheel {
        Wheel {
            now,
            armed: 0,
            heads: Box::new([NIL; SLOTS * RINGS]),
            occupied: [[0; SLOTS / 64]; RINGS],
            nodes: Vec::new(),
        }
    }

    /// Room for timers 0 to `n`, so that arming them never moves the table.
    pub(crate) fn reserve(&mut self, n: usize) {
        // A hint: without the room, the table grows as it is needed.
        let _ = self.nodes.try_reserve_exact(n);
    }

    /// Arms timer `id` for `at`, unless it will be asked by then anyway.
    pub(crate) fn arm(&mut self, id: u32, at: Tick) {
        if self.nodes.len() <= id as usize {
            self.nodes.resize(id as usize + 1, UNLINKED);
        }
        let node = &self.nodes[id as usize];
        if node.slot != UNARMED {
            if reached(self.begins(node.slot), at) || planted(Fault::EarlierDeadlineIgnored) {
                return;
            }
            self.unlink(id);
        }
        self.link(id, at);
    }

    /// The tick at which the timers of an occupied slot are asked. Slots need no tick of their own:
    /// each comes up once a round.
    fn begins(&self, slot: u16) -> Tick {
        let (ring, slot) = (slot as usize / SLOTS, slot as usize % SLOTS);
        let shift = 8 * ring as u32;
        let position = self.now >> shift;
        let ahead = (slot as u32).wrapping_sub(position) % SLOTS as u32;
        // The present slot of a higher ring has been emptied, unless it begins just now: what is in
        // it waits for its next round.
        let emptied = ahead == 0 && self.now & ((1 << shift) - 1) != 0;
        let ahead = if emptied { SLOTS as u32 } else { ahead };
        position.wrapping_add(ahead) << shift
    }

    /// Disarms timer `id`, if it is armed.
    pub(crate) fn disarm(&mut self, id: u32) {
        if self.nodes.get(id as usize).is_some_and(|n| n.slot != UNARMED) {
            self.unlink(id);
        }
    }

    /// The tick at which the wheel wants to be advanced again: that of the next timer, or of the
    /// next slot whose timers must be looked at, whichever is first. `None`: nothing is armed.
    pub(crate) fn next(&self) -> Option<Tick> {
        if self.armed == 0 {
            return None;
        }
        let mut best: Option<u32> = None;
        for ring in 0..RINGS {
            let shift = 8 * ring as u32;
            let position = self.now >> shift;
            // Higher rings are emptied into lower ones when their slot begins; a slot that began
            // before `now` is a whole round away.
            let begins_here = self.now & ((1 << shift) - 1) == 0;
            let from = if begins_here { 0 } else { 1 };
            if let Some(distance) = self.distance(ring, position as usize % SLOTS, from) {
                let at = position.wrapping_add(distance as u32) << shift;
                let ahead = at.wrapping_sub(self.now);
                best = Some(best.map_or(ahead, |b| b.min(ahead)));
            }
        }
        best.map(|ahead| self.now.wrapping_add(ahead))
    }

    /// Slots from `position + from` to the next occupied one in `ring`, counted from `position`.
    fn distance(&self, ring: usize, position: usize, from: usize) -> Option<usize> {
        let bits = &self.occupied[ring];
        let start = position + from;
        // Four words and once more the first, whose low bits were passed over at the start.
        for step in 0..=SLOTS / 64 {
            let word = (start / 64 + step) % (SLOTS / 64);
            let mut value = bits[word];
            if step == 0 {
                value &= !0 << (start % 64);
            } else if step == SLOTS / 64 {
                value &= !(!0 << (start % 64));
            }
            if value != 0 {
                let slot = word * 64 + value.trailing_zeros() as usize;
                return Some((slot + SLOTS - start % SLOTS) % SLOTS + from);
            }
        }
        None
    }

    /// Moves on to `now`. `deadline` is asked, for every timer that came due, when it is really
    /// due; those due by now are pushed to `fired`, disarmed; the others are put back.
    pub(crate) fn advance(
        &mut self,
        now: Tick,
        fired: &mut Vec<u32>,
        mut deadline: impl FnMut(u32) -> Option<Tick>,
    ) {
        while reached(self.now, now) {
            let Some(next) = self.next() else {
                self.now = now.wrapping_add(1);
                return;
            };
            if !reached(next, now) {
                self.now = now.wrapping_add(1);
                return;
            }
            self.now = next;
            // From the top, so that what falls from ring 2 to ring 1 may fall on to ring 0.
            for ring in (0..RINGS).rev() {
                let shift = 8 * ring as u32;
                if self.now & ((1u32 << shift) - 1) != 0 {
                    continue;
                }
                let slot = ring * SLOTS + (self.now >> shift) as usize % SLOTS;
                let mut id = self.heads[slot];
                // Taken off as a whole: what is put back into this very slot waits for its next round.
                self.heads[slot] = NIL;
                self.occupied[ring][(slot % SLOTS) / 64] &= !(1 << (slot % 64));
                while id != NIL {
                    let next = self.nodes[id as usize].next;
                    self.nodes[id as usize].slot = UNARMED;
                    self.armed -= 1;
                    match deadline(id) {
                        Some(at) if reached(at, self.now) => fired.push(id),
                        Some(at) => self.link(id, at),
                        None => {}
                    }
                    id = next;
                }
            }
            self.now = self.now.wrapping_add(1);
        }
    }

    fn link(&mut self, id: u32, at: Tick) {
        // What is overdue fires at the next advance.
        let ahead = if reached(self.now, at) { at.wrapping_sub(self.now) } else { 0 };
        let due = self.now.wrapping_add(ahead);
        let (ring, ahead_max) = match ahead {
            0..0x100 => (0, 0xFF),
            0x100..0x1_0000 => (1, 0xFFFF),
            _ => (2, 0xFF_0000),
        };
        let due = if ahead > ahead_max { self.now.wrapping_add(ahead_max) } else { due };
        let slot = ring * SLOTS + (due >> (8 * ring as u32)) as usize % SLOTS;
        let head = self.heads[slot];
        if head != NIL {
            self.nodes[head as usize].prev = id;
        }
        self.nodes[id as usize] = Node { prev: NIL, next: head, slot: slot as u16 };
        self.heads[slot] = id;
        self.occupied[ring][(slot % SLOTS) / 64] |= 1 << (slot % 64);
        self.armed += 1;
    }

    fn unlink(&mut self, id: u32) {
        let Node { prev, next, slot, .. } = self.nodes[id as usize];
        if next != NIL {
            self.nodes[next as usize].prev = prev;
        }
        if prev != NIL {
            self.nodes[prev as usize].next = next;
        } else {
            let slot = slot as usize;
            self.heads[slot] = next;
            if next == NIL {
                self.occupied[slot / SLOTS][(slot % SLOTS) / 64] &= !(1 << (slot % 64));
            }
        }
        self.nodes[id as usize] = UNLINKED;
        self.armed -= 1;
    }
}

#[cfg(test)]
mod tests;

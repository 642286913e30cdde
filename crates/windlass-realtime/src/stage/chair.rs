//! One seat of a room, as the room has it.

use crate::outbox::Outbox;
use crate::room::Leave;
use crate::snapshot::Shown;

/// A seat.
#[derive(Default, Debug)]
pub(crate) struct Chair {
    /// Somebody has it, and is here.
    pub(crate) here: bool,
    /// Somebody has it, and their connection is gone.
    pub(crate) away: bool,
    /// The room has let them in: players only.
    pub(crate) joined: bool,
    pub(crate) outbox: Outbox,
    pub(crate) shown: Shown,
    /// Inputs that wait for a tick, in their order.
    pub(crate) inputs: Inputs,
    /// The last that came.
    pub(crate) newest: Option<u32>,
    /// The last that was given to the room.
    pub(crate) done: Option<u32>,
    /// Inputs it may have given to the room: one more with every tick.
    pub(crate) credit: usize,
    /// It is to be given up, and why.
    pub(crate) doom: Option<(Leave, String)>,
}

/// Inputs of one seat that wait. More of them push the oldest out.
const WAITING_MAX: usize = 16;
/// With more, two are given to the room with one tick, as long as there are: for what came late and at once.
const WAITING_ENOUGH: usize = 3;

impl Chair {
    pub(crate) fn taken(&self) -> bool {
        self.here || self.away
    }

    /// Whether no input of this tick or a later one has come.
    pub(crate) fn is_new(&self, client_tick: u32) -> bool {
        self.newest.is_none_or(|newest| client_tick.wrapping_sub(newest) as i32 > 0)
    }

    /// Takes an input, unless it came before. Whether it did not, and whether another had to go for it.
    pub(crate) fn take_input(&mut self, client_tick: u32, input: &[u8]) -> (bool, bool) {
        if !self.is_new(client_tick) {
            return (false, false);
        }
        self.newest = Some(client_tick);
        let full = self.inputs.len() == WAITING_MAX;
        if full {
            self.inputs.pop(&mut Vec::new());
        }
        self.inputs.push(client_tick, input);
        (true, full)
    }

    /// How many inputs a tick takes. In the long run there are as many as ticks, whatever a client sends: who moves with
    /// every input does not move faster with more of them.
    pub(crate) fn inputs_due(&mut self) -> usize {
        self.credit = (self.credit + 1).min(WAITING_MAX);
        let due = if self.inputs.len() > WAITING_ENOUGH { 2 } else { self.inputs.len().min(1) };
        let due = due.min(self.credit);
        self.credit -= due;
        due
    }

    /// What a connection left behind, which the next one has not: what it has been shown, and what of it may be lost.
    pub(crate) fn forget_connection(&mut self) {
        self.shown.forget();
        self.outbox.drop_fleeting();
        // A page that was loaded anew counts from the beginning.
        (self.newest, self.done) = (None, None);
        self.inputs = Inputs::default();
    }

    pub(crate) fn clear(&mut self) {
        *self = Chair::default();
    }
}

/// Inputs in a row, each as the client's tick, how long it is, and its bytes.
#[derive(Default, Debug)]
pub(crate) struct Inputs {
    bytes: Vec<u8>,
    /// Where the oldest begins.
    head: usize,
    count: usize,
}

/// Bytes in front of an input.
const FRONT: usize = 8;

/// Bytes of memory that a seat keeps whose inputs have all been taken.
const KEPT_MAX: usize = 1_024;
/// And that it gets with the first.
const FIRST: usize = 56;

impl Inputs {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    fn push(&mut self, client_tick: u32, input: &[u8]) {
        // No message is so long.
        let Ok(len) = u32::try_from(input.len()) else { return };
        if self.head > self.bytes.len() - self.head {
            // Each byte is moved for one that was taken at most.
            self.bytes.drain(..self.head);
            self.head = 0;
        }
        let more = FRONT + input.len();
        if self.bytes.capacity() - self.bytes.len() < more {
            // A seat has few that wait, mostly: no more room than there have to be.
            self.bytes.reserve_exact(more.max(FIRST));
        }
        self.bytes.extend_from_slice(&client_tick.to_le_bytes());
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes.extend_from_slice(input);
        self.count += 1;
    }

    /// Moves the oldest to `input`, in the place of what is in it; its tick.
    pub(crate) fn pop(&mut self, input: &mut Vec<u8>) -> Option<u32> {
        let (front, behind) = self.bytes.get(self.head..)?.split_first_chunk::<FRONT>()?;
        let [t0, t1, t2, t3, l0, l1, l2, l3] = *front;
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        input.clear();
        input.extend_from_slice(behind.get(..len)?);
        self.head += FRONT + len;
        self.count -= 1;
        if self.count == 0 {
            self.head = 0;
            self.bytes.clear();
            if self.bytes.capacity() > KEPT_MAX {
                self.bytes = Vec::new();
            }
        }
        Some(u32::from_le_bytes([t0, t1, t2, t3]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::Random;

    #[test]
    fn inputs_come_out_as_they_went_in() {
        let (mut random, mut inputs, mut model) = (Random::new(7), Inputs::default(), VecDeque::new());
        let mut out = vec![b'x'; 3];
        for tick in 0..10_000 {
            // Mostly short ones, which wait for a while, and then none do.
            let len = if random.below(50) == 0 { 3_000 } else { random.below(9) };
            let input: Vec<u8> = (0..len).map(|n| (n ^ u64::from(tick)) as u8).collect();
            inputs.push(tick, &input);
            assert!(2 * inputs.head <= inputs.bytes.len(), "what was taken piles up");
            model.push_back((tick, input));
            let taken = if tick % 100 < 50 { random.below(2) } else { random.below(4) };
            for _ in 0..taken {
                let popped = inputs.pop(&mut out).map(|tick| (tick, out.clone()));
                assert_eq!(popped, model.pop_front());
            }
            assert_eq!(inputs.len(), model.len());
            let held: usize = model.iter().map(|(_, input)| FRONT + input.len()).sum();
            assert_eq!(inputs.bytes.len() - inputs.head, held);
        }
    }
}

//! One seat of a room, as the room has it.

use std::collections::VecDeque;

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

    /// Takes an input, unless it came before. Whether it did not, and whether another had to go for it.
    pub(crate) fn take_input(&mut self, client_tick: u32, input: &[u8]) -> (bool, bool) {
        let is_new = self.newest.is_none_or(|newest| client_tick.wrapping_sub(newest) as i32 > 0);
        if !is_new {
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

/// Inputs in a row: the client's tick and how long each is, and the bytes of all of them.
#[derive(Default, Debug)]
pub(crate) struct Inputs {
    each: VecDeque<(u32, usize)>,
    bytes: VecDeque<u8>,
}

/// Bytes of memory that a seat keeps whose inputs have all been taken.
const KEPT_MAX: usize = 1_024;

impl Inputs {
    pub(crate) fn len(&self) -> usize {
        self.each.len()
    }

    fn push(&mut self, client_tick: u32, input: &[u8]) {
        self.each.push_back((client_tick, input.len()));
        self.bytes.extend(input);
    }

    /// Moves the oldest to `input`, in the place of what is in it; its tick.
    pub(crate) fn pop(&mut self, input: &mut Vec<u8>) -> Option<u32> {
        let (client_tick, len) = self.each.pop_front()?;
        input.clear();
        input.extend(self.bytes.drain(..len));
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT_MAX {
            self.bytes = VecDeque::new();
        }
        Some(client_tick)
    }
}

//! What seats are written of the same frame: most of them have confirmed one of two or three ticks, and see much the same.
//!
//! An entity's bits depend on the frame, and on the baseline's, and on nothing else of a seat. So they are put together
//! once for each baseline, and copied.

use super::delta::longest;
use super::frame::Frame;
use crate::bits::BitRow;

/// The rows of bits of one frame, kept while its seats are written to.
#[derive(Default, Debug)]
pub(crate) struct Shared {
    rows: Rows,
    new: Vec<u16>,
}

#[derive(Default, Debug)]
pub(super) struct Rows {
    tick: u64,
    /// Whether they are worth it, and fit.
    is_on: bool,
    /// By the tick of the baseline: a row for each entity of its frame, which is empty until somebody needs it.
    differences: Vec<(u64, Vec<BitRow>)>,
    /// How many of these are of this frame.
    used: usize,
    /// A row for each entity of the frame, as those get it who have not seen it before.
    fresh: Vec<BitRow>,
}

/// Baselines of one frame that are kept. Who has another one is written to alone.
const BASELINES_MAX: usize = 4;
/// Entities of a frame whose rows are kept. With more of them seats do not see much of the same, and rows take memory.
const ENTITIES_MAX: usize = 256;

impl Shared {
    /// The rows of a frame, and a list of names, empty.
    pub(super) fn of(&mut self, frame: &Frame) -> (&mut Rows, &mut Vec<u16>) {
        let Shared { rows, new } = self;
        if rows.tick != frame.tick() {
            rows.tick = frame.tick();
            rows.is_on = longest(frame.fields()) <= BitRow::MAX && frame.ids().len() <= ENTITIES_MAX;
            rows.used = 0;
            rows.fresh.clear();
        }
        new.clear();
        (rows, new)
    }
}

impl Rows {
    pub(super) fn differences(&mut self, old: &Frame) -> Option<&mut [BitRow]> {
        if !self.is_on || old.ids().len() > ENTITIES_MAX {
            return None;
        }
        let found = self.differences[..self.used].iter().position(|(tick, _)| *tick == old.tick());
        let at = match found {
            Some(at) => at,
            None if self.used < BASELINES_MAX => {
                if self.differences.len() == self.used {
                    self.differences.push(Default::default());
                }
                let (tick, rows) = &mut self.differences[self.used];
                *tick = old.tick();
                rows.clear();
                rows.resize(old.ids().len(), BitRow::default());
                self.used += 1;
                self.used - 1
            }
            None => return None,
        };
        Some(&mut self.differences[at].1)
    }

    pub(super) fn fresh(&mut self, frame: &Frame) -> Option<&mut [BitRow]> {
        if !self.is_on {
            return None;
        }
        self.fresh.resize(frame.ids().len(), BitRow::default());
        Some(&mut self.fresh)
    }
}

//! Where memory is budgeted: all of it is taken at the start, and a connection ends for which none is left.

use std::io;
use std::sync::Arc;

use super::Core;
use super::region::Region;
use super::slot::{PeerAddr, flag};
use crate::budget::Budget;
use crate::close::Close;
use crate::sys::INDEX_MAX;

impl Core {
    /// Makes every table as long as it will ever be, and the region of all buffers.
    ///
    /// # Errors
    ///
    /// There is no memory for it.
    pub(crate) fn reserve(&mut self, budget: &Arc<Budget>) -> io::Result<()> {
        let table = budget.table;
        let region = Region::new(budget.blocks, budget.block).ok_or(io::ErrorKind::OutOfMemory)?;
        self.slots_max = table.min(INDEX_MAX as usize);
        self.slots.reserve_exact(table);
        self.wheel.reserve(table);
        for list in [&mut self.free, &mut self.freed, &mut self.run, &mut self.touched, &mut self.settling] {
            list.reserve(table);
        }
        self.closing.reserve(table);
        self.relays.reserve(table);
        self.traffic.reserve(table);
        self.cork_max = budget.cork;
        self.pool.reserve(region, table, self.limits.relay_pipes_max);
        if budget.sixes {
            self.sixes = (0..table).map(|_| PeerAddr::place()).collect();
        }
        self.input_cap = budget.input_max;
        self.budget = Some(budget.clone());
        Ok(())
    }

    /// The cork's memory, once it is known how much.
    pub(crate) fn reserve_cork(&mut self) {
        self.cork.reserve_exact(self.cork_max);
    }

    /// Bytes of memory that what is queued takes.
    pub(crate) fn held(&self) -> usize {
        self.buffered + self.pool.rounding()
    }

    /// Whether there is a place for `more` bytes of output, whatever the limits say.
    pub(crate) fn has_blocks(&self, index: u32, more: usize) -> bool {
        let output = self.slots[index as usize].output.as_ref();
        output.map_or_else(|| self.pool.fits(more), |output| output.fits(more, &self.pool))
    }

    /// Ends a connection for which there was no block left, and of whose output some is lost: it must not
    /// look whole.
    #[cold]
    pub(super) fn end_without_block(&mut self, index: u32) {
        self.counters.blocks_refused += 1;
        if self.slots[index as usize].is(flag::ENDED) {
            self.drop_output(index);
            self.slot(index).set(flag::EOF | flag::RESET);
            self.settle(index);
        } else if !self.close_for(index, Close::MemoryFull) {
            // Its end is under way, for a reason in good order: the reset follows what is queued.
            self.slot(index).set(flag::RESET);
        }
    }
}

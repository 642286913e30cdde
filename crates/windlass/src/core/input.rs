//! Input that services have left untaken: kept, consumed, and passed on by relays.

use super::Core;
use super::slot::Residue;
#[cfg(feature = "tls")]
use super::slot::flag;
use crate::close::Close;
use crate::planted::{Fault, planted};

/// Input that is passed on is encrypted in pieces of so many bytes.
#[cfg(feature = "tls")]
const SEALED: usize = 4 * 1024;

impl Core {
    /// Keeps `bytes`, which the service left untaken, in place of what was kept before: the last `fresh` of
    /// them, at most, are new.
    pub(crate) fn keep_input(&mut self, index: u32, bytes: &[u8], fresh: usize) {
        if planted(Fault::ResidueDropped) {
            return self.drop_input(index);
        }
        let slot = &mut self.slots[index as usize];
        let residue = slot.input.get_or_insert_with(|| self.pool.residue());
        self.buffered -= residue.len();
        let fits = self.pool.keep(residue, bytes, fresh);
        self.buffered += residue.len();
        if !fits {
            self.counters.blocks_refused += 1;
            self.close(index, Close::MemoryFull);
            return self.drop_input(index);
        }
        self.bound_input(index);
    }

    /// The service took so much of the input that was kept.
    pub(crate) fn consume_input(&mut self, index: u32, n: usize) {
        if let Some(residue) = &mut self.slots[index as usize].input {
            self.buffered -= n;
            self.pool.consume_input(residue, n);
        }
    }

    /// Puts input of one connection that waits to be passed on behind the output of another.
    pub(crate) fn pour_input(&mut self, mut residue: Box<Residue>, to: u32) {
        let len = residue.len();
        if self.pool.region.is_none() {
            self.buffered -= len;
            self.give(to, &residue.bytes);
            return self.pool.give_residue(residue);
        }
        #[cfg(feature = "tls")]
        if self.slots[to as usize].is(flag::TLS) {
            return self.pour_sealed(residue, to);
        }
        self.buffered -= len;
        if len > 0 {
            let output = self.slots[to as usize].output.get_or_insert_with(|| {
                let mut output = self.pool.output();
                output.progress = self.tick;
                output
            });
            let before = output.len();
            let whole = output.pour(&mut residue, &mut self.pool);
            self.buffered += output.len() - before;
            self.touch(to);
            if !whole {
                self.end_without_block(to);
            }
        }
        self.pool.give_residue(residue);
    }

    /// The same where it has to be encrypted: piece by piece, each given back before what becomes of it is queued, so
    /// that no more is needed than there is already.
    #[cfg(feature = "tls")]
    fn pour_sealed(&mut self, mut residue: Box<Residue>, to: u32) {
        let mut piece = [0; SEALED];
        while residue.len() > 0 {
            let n = self.pool.take_input(&mut residue, &mut piece);
            self.buffered -= n;
            let refused = self.counters.blocks_refused;
            self.give(to, &piece[..n]);
            if self.counters.blocks_refused > refused {
                break;
            }
        }
        self.buffered -= residue.len();
        self.pool.give_residue(residue);
    }

    /// Counts untaken input, and holds it to the worker's bound as `enqueue` does output.
    pub(crate) fn bound_input(&mut self, index: u32) {
        let held = self.slots[index as usize].input.as_ref().map_or(0, |residue| residue.len());
        self.counters.input_peak_bytes = self.counters.input_peak_bytes.max(held as u64);
        if self.buffered > self.limits.buffered_max && held > self.limits.output_high {
            self.close(index, Close::MemoryFull);
            self.drop_input(index);
        }
    }

    pub(crate) fn drop_input(&mut self, index: u32) {
        if let Some(residue) = self.slots[index as usize].input.take() {
            self.buffered -= residue.len();
            self.pool.give_residue(residue);
        }
    }
}

//! The relay: what one of two coupled connections sends goes to the other, and the service sleeps.
//!
//! A read into the worker's scratch is followed by a write from it, so that nothing is kept where the
//! other end takes everything. What it does not take is queued there as output, and until it is gone
//! the sender is not read: a pair holds at most one read in each direction. `core/relay.rs` knows who
//! is coupled with whom.
//!
//! On Linux, after several full reads in a row, bytes go through a pipe instead and never leave the
//! kernel, as long as there are enough of them and a pipe can be had. Measured: a third to a half of the
//! CPU of copying for bulk, and more calls for anything small.
//!
//! What speaks TLS is decrypted before and encrypted behind: the same, with a session in between, and never
//! through a pipe (`copy_tls` in `tls.rs`).

use std::io;

use crate::close::Close;
use crate::core::slot::flag;
use crate::core::{Core, Direct, flush};
use crate::planted::{Fault, planted};
use crate::sys::Sys;

use super::Worker;
use super::io::Io;
use super::read::INTERRUPTS_MAX;

/// Asked of one splice: what a pipe may hold at most.
const PIPE_BYTES: usize = 1 << 20;

/// What became of one step.
pub(super) enum Moved {
    /// There may be more.
    Some(usize),
    /// Nothing, but it may be tried again.
    Interrupted,
    /// That is all for now.
    Over,
}

impl<Y: Sys> Worker<Y> {
    /// Goes on with those whose other end has room again. In the same turn, since they have waited.
    pub(super) fn run_relays(&mut self) {
        let mut ready = std::mem::take(&mut self.core.relays.ready);
        for index in ready.drain(..) {
            // Coupled then, and perhaps no longer.
            if self.core.slot(index).is(flag::RELAYED) {
                self.relay(index);
            }
        }
        // What has become ready since waits for the next turn; the list keeps its memory.
        ready.append(&mut self.core.relays.ready);
        self.core.relays.ready = ready;
    }

    /// What one coupled connection gets in one turn.
    pub(super) fn relay(&mut self, index: u32) {
        if self.core.slot(index).is(flag::PROBE) {
            self.probe(index);
        }
        if self.core.slot(index).is(flag::WRITE_FAILED) && self.core.slot(index).is(flag::PAUSED) {
            // Nobody reads it, so nothing else would end it.
            self.core.close(index, Close::Reset);
        }
        if let Some(to) = self.core.relays.other(index) {
            self.core.relays.reading = Some(index);
            self.pass_on(index, to);
            self.core.relays.reading = None;
        }
    }

    /// Passes on what `from` has sent, within its budget and as long as `to` takes it.
    fn pass_on(&mut self, from: u32, to: u32) {
        let mut budget = self.core.pool.read_budget;
        let mut interrupts = 0;
        loop {
            let (source, sink) = (&self.core.slots[from as usize], &self.core.slots[to as usize]);
            if source.is(flag::CLOSING) || sink.is(flag::CLOSING | flag::FINISH | flag::WRITE_FAILED) {
                if source.is(flag::WRITE_FAILED) && sink.is(flag::WRITE_FAILED) {
                    // Neither can be given what the other has sent.
                    self.core.close(from, Close::Reset);
                }
                return;
            }
            if source.is(flag::PAUSED) {
                return;
            }
            if source.input.is_none() && source.is(flag::EOF) {
                return self.pass_end_on(from, to);
            }
            if sink.output.is_some() {
                // Read on when that is gone: `relay_drained`.
                return;
            }
            #[cfg(feature = "tls")]
            if sink.is(flag::TLS) && self.core.pending_len(to) > 0 {
                // Written before they were coupled: it goes first.
                let _ = self.core.seal_pending(to);
                return;
            }
            if source.input.is_some() {
                self.pass_untaken_on(from, to);
                continue;
            }
            if !source.is(flag::READABLE) {
                return;
            }
            #[cfg(feature = "tls")]
            let tls = source.is(flag::TLS) || sink.is(flag::TLS);
            let moved = match self.core.relays.splices(from) {
                #[cfg(feature = "tls")]
                _ if tls => self.copy_tls(from, to, budget),
                true => self.splice(from, to, budget),
                false => self.copy(from, to, budget),
            };
            match moved {
                Moved::Over => return,
                Moved::Some(n) => budget = budget.saturating_sub(n),
                Moved::Interrupted => interrupts += 1,
            }
            if budget == 0 || interrupts == INTERRUPTS_MAX {
                self.core.counters.budget_spent += u64::from(budget == 0);
                if !planted(Fault::LostBudget) {
                    self.core.queue(from);
                }
                return;
            }
        }
    }

    /// Reads into the scratch, and writes from there.
    fn copy(&mut self, from: u32, to: u32, budget: usize) -> Moved {
        let wanted = self.scratch.len().min(self.relay_room(budget));
        self.core.counters.reads += 1;
        let n = match self.io.read(from, &mut self.scratch[..wanted]) {
            Ok(n @ 1..) => n,
            result => return self.nothing_read(from, to, result),
        };
        let whole = self.scratch.len();
        let short = self.book_read(from, n, wanted);
        self.core.relays.note_read(from, n == whole && self.core.limits.relay_pipes_max > 0);
        self.core.book_relayed(from, n);
        let broken = !send_relayed(&mut self.core, &mut self.io, to, &self.scratch[..n]);
        if short || broken { Moved::Over } else { Moved::Some(n) }
    }

    /// How many bytes one step may put into an empty queue.
    pub(super) fn relay_room(&self, budget: usize) -> usize {
        let limits = &self.core.limits;
        let room = budget.min(limits.output_max);
        // Short of memory, take no more than always may be queued.
        if self.core.buffered + room > limits.buffered_max { room.min(limits.output_high) } else { room }
    }

    /// Moves bytes through a pipe.
    fn splice(&mut self, from: u32, to: u32, budget: usize) -> Moved {
        let limits = &self.core.limits;
        let wanted = PIPE_BYTES.min(budget).min(limits.output_max);
        let within = self.core.buffered + wanted <= limits.buffered_max;
        // Asked for only where it will be used: nobody would give it back.
        let pipe = if within { self.io.take_pipe(limits.relay_pipes_max) } else { None };
        let Some(pipe) = pipe else {
            self.core.counters.pipes_refused += 1;
            self.core.relays.note_read(from, false);
            return self.copy(from, to, budget);
        };
        self.core.counters.pipes = self.io.pipes_open() as u64;
        self.core.counters.reads += 1;
        self.core.counters.splices += 1;
        let n = match self.io.splice_in(from, pipe, wanted) {
            Ok(n @ 1..) => n,
            result => {
                self.io.give_pipe(pipe, true);
                return self.nothing_read(from, to, result);
            }
        };
        self.core.count_in(from, n);
        self.core.slot(from).active = self.core.tick;
        self.core.relays.note_splice(from, n, wanted);
        self.core.book_relayed(from, n);
        self.core.enqueue_pipe(to, pipe, n);
        flush::flush(&mut self.core, &mut self.io, to);
        Moved::Some(n)
    }

    /// A read that brought nothing: the end, an error, or not now.
    pub(super) fn nothing_read(&mut self, from: u32, to: u32, result: io::Result<usize>) -> Moved {
        match result {
            Ok(_) => {
                let slot = self.core.slot(from);
                slot.set(flag::EOF);
                slot.clear(flag::READABLE);
                if slot.is(flag::WRITE_FAILED) {
                    self.core.close(from, Close::Reset);
                } else {
                    self.pass_end_on(from, to);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.core.counters.reads_would_block += 1;
                self.nothing_to_read(from);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted && !planted(Fault::InterruptedIsFatal) => {
                return Moved::Interrupted;
            }
            Err(e) if e.kind() == io::ErrorKind::Unsupported => {
                self.core.relays.never_splice(from);
                return Moved::Interrupted;
            }
            Err(e) => {
                self.core.slot(from).clear(flag::READABLE);
                self.core.close(from, Close::from_io(e));
            }
        }
        Moved::Over
    }

    /// All that `from` sent is with `to`: half-closes it, behind what is still queued there.
    fn pass_end_on(&mut self, from: u32, to: u32) {
        if planted(Fault::RelayEofNotPassed) {
            return;
        }
        #[cfg(feature = "tls")]
        if self.core.is_truncated(from) {
            self.core.end_without_notice(to);
        }
        self.core.slot(to).set(flag::FINISH);
        flush::flush(&mut self.core, &mut self.io, to);
        if self.core.slot(from).is(flag::FINISHED) {
            // Both halves are finished.
            self.core.close(from, Close::Eof);
        } else if !self.core.slot(from).is(flag::CLOSING) {
            self.call("relay_ended", from, |service, conn| service.relay_ended(conn));
            self.core.arm(from);
        }
    }

    /// Passes on what the service had left untaken when it coupled the two.
    fn pass_untaken_on(&mut self, from: u32, to: u32) {
        let Some(residue) = self.core.slot(from).input.take() else { return };
        self.core.book_relayed(from, residue.len());
        self.core.pour_input(residue, to);
        flush::flush(&mut self.core, &mut self.io, to);
    }

    /// Pipes whose bytes nobody waits for any more.
    pub(super) fn close_lost_pipes(&mut self) {
        while let Some(pipe) = self.core.pool.lost_pipes.pop() {
            self.io.give_pipe(pipe, false);
            self.core.counters.pipes = self.io.pipes_open() as u64;
        }
    }

    /// The pairs that are coupled.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (crate::ConnId, crate::ConnId)> {
        self.core.relays.pairs().map(|(a, b)| (self.core.id(a), self.core.id(b)))
    }
}

/// Sends what came from the other end of a relay, and queues what the socket does not take. False: it is
/// broken.
pub(super) fn send_relayed<Y: Sys>(core: &mut Core, io: &mut Io<Y>, to: u32, bytes: &[u8]) -> bool {
    let mut sent = 0;
    if core.slot(to).is(flag::WRITABLE) {
        let result = io.write(to, bytes);
        match flush::sent(core, io, to, result, bytes.len()) {
            Some(taken) => sent = taken,
            None => return false,
        }
    }
    if sent < bytes.len() && !planted(Fault::RelayResidueDropped) {
        core.enqueue(to, &bytes[sent..], None);
        // Where a short write promises nothing, only another one makes sure of an event.
        flush::flush(core, io, to);
    }
    true
}

//! Reading a connection and giving its input to the service.

use std::io;

use windlass_proto::Input;

use crate::close::Close;
use crate::conn::Conn;
use crate::core::slot::flag;
use crate::planted::{Fault, planted};
use crate::sys::Sys;

use super::Worker;

/// Untaken input up to this is copied in front of the next read, so that the service sees one piece;
/// beyond it, what is read is appended to it instead.
pub(super) const RESIDUE_COPIED_MAX: usize = 16 * 1024;
/// Signals endured in one read before the connection goes to the back of the queue.
pub(super) const INTERRUPTS_MAX: usize = 8;

/// Reading must wait, or is not for the service any more. Congestion is another reason: `Slot::is_held`.
pub(super) const NO_READING: u32 = flag::PAUSED | flag::CLOSING | flag::EOF | flag::MOVING | flag::RELAYED;

impl<Y: Sys> Worker<Y> {
    /// Reads until the socket is empty, the budget is spent, or the service has enough.
    pub(super) fn read(&mut self, index: u32) {
        if self.core.slot(index).is(flag::REDELIVER)
            && !self.core.slot(index).is_held(NO_READING & !flag::EOF)
        {
            self.core.slot(index).clear(flag::REDELIVER);
            self.redeliver(index);
        }
        #[cfg(feature = "tls")]
        if self.core.slot(index).is(flag::TLS) {
            return self.read_tls(index);
        }
        let mut budget = self.core.pool.read_budget;
        let mut interrupts = 0;
        loop {
            let slot = &self.core.slots[index as usize];
            if !slot.is(flag::READABLE) || slot.is_held(NO_READING) {
                return;
            }
            let (held, head, room) = match &slot.input {
                // As nearly always.
                None => (0, 0, self.core.input_max(index)),
                Some(residue) => {
                    let held = residue.len();
                    let room = self.core.input_max(index).saturating_sub(held);
                    if room == 0 && !planted(Fault::NoInputCap) {
                        return self.read_past_full(index);
                    }
                    let copied = self.copies(held);
                    if copied {
                        self.core.pool.copy_input(residue, &mut self.scratch);
                    }
                    (held, if copied { held } else { 0 }, room.max(1))
                }
            };
            let wanted = (self.scratch.len() - head).min(room).min(budget);
            self.core.counters.reads += 1;
            match self.io.read(index, &mut self.scratch[head..head + wanted]) {
                Ok(0) => return self.end_of_stream(index),
                Ok(n) => {
                    let short = self.book_read(index, n, wanted);
                    self.deliver(index, held, head, n);
                    budget -= n;
                    if short {
                        return;
                    }
                    if self.core.output_len(index) >= self.core.limits.output_high {
                        // What is corked counts: send it, and see how much is left, before reading on.
                        return self.core.queue(index);
                    }
                    if budget == 0 {
                        self.core.counters.budget_spent += 1;
                        if !planted(Fault::LostBudget) {
                            self.core.queue(index);
                        }
                        return;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.core.counters.reads_would_block += 1;
                    return self.nothing_to_read(index);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted && !planted(Fault::InterruptedIsFatal) => {
                    if planted(Fault::InterruptedIsWouldBlock) {
                        return self.nothing_to_read(index);
                    }
                    interrupts += 1;
                    if interrupts == INTERRUPTS_MAX {
                        return self.core.queue(index);
                    }
                }
                Err(e) => {
                    self.core.slot(index).clear(flag::READABLE);
                    return self.core.close(index, Close::from_io(e));
                }
            }
        }
    }

    /// Untaken input is at its limit: one byte more is too much, but the end may be all that follows.
    fn read_past_full(&mut self, index: u32) {
        self.core.counters.reads += 1;
        match self.io.read(index, &mut self.scratch[..1]) {
            Ok(0) => self.end_of_stream(index),
            Ok(n) => {
                self.core.count_in(index, n);
                self.core.close(index, Close::InputFull);
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.core.counters.reads_would_block += 1;
                self.nothing_to_read(index);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => self.core.queue(index),
            Err(e) => self.core.close(index, Close::from_io(e)),
        }
    }

    /// Counts a read, and tells whether it was short in a way that ends the drain: on epoll and
    /// kqueue an event follows when more arrives, and the read that would say EAGAIN is saved. But a
    /// FIN may have shared the event of the data before it, and is found only by reading on.
    #[inline]
    pub(super) fn book_read(&mut self, index: u32, n: usize, wanted: usize) -> bool {
        let short_ends = self.io.sys.short_ends();
        let core = &mut self.core;
        core.count_in(index, n);
        let slot = &mut core.slots[index as usize];
        if !planted(Fault::IdleNotLazy) {
            slot.active = core.tick;
        }
        let fin_behind = slot.is(flag::READ_CLOSED) && !planted(Fault::FinBehindShortRead);
        let short = (n < wanted && short_ends && !fin_behind) || planted(Fault::LostReadEdge);
        if short {
            slot.clear(flag::READABLE);
        }
        short
    }

    pub(super) fn nothing_to_read(&mut self, index: u32) {
        let slot = self.core.slot(index);
        slot.clear(flag::READABLE);
        if slot.is(flag::WRITE_FAILED) {
            // All that came before the break has been read.
            self.core.close(index, Close::Reset);
        }
    }

    /// Gives the service its untaken input (`held` bytes) with the `n` just read behind it. The first
    /// `head` bytes of the scratch are a copy of the former; where they are not, what was read is
    /// moved to them.
    #[inline]
    pub(super) fn deliver(&mut self, index: u32, held: usize, head: usize, n: usize) {
        if head == held {
            let left = {
                let mut input = Input::new(&mut self.scratch[..held + n]);
                let service = self.core.slots[index as usize].service as usize;
                let mut conn = Conn::new(&mut self.core, &mut self.io, index);
                let result = self.services[service].host.data(&mut conn, &mut input);
                let left = input.len();
                let hopeless = input.needed().is_some_and(|need| need > self.core.input_max(index));
                match result {
                    Err(why) => self.core.close(index, why),
                    Ok(()) if hopeless => self.core.close(index, Close::InputFull),
                    Ok(()) => {}
                }
                self.check_stall("data", Some(index), service);
                left
            };
            if left > 0 {
                let end = held + n;
                self.core.keep_input(index, &self.scratch[end - left..end], n);
            } else if held > 0 {
                self.core.drop_input(index);
            }
            return;
        }
        if let Some(residue) = &mut self.core.slot(index).input {
            residue.bytes.extend_from_slice(&self.scratch[..n]);
            self.core.buffered += n;
        }
        self.redeliver(index);
    }

    /// Whether untaken input is copied in front of what is read: always where it lies in blocks, and never
    /// more than half of the scratch then.
    pub(super) fn copies(&self, held: usize) -> bool {
        self.core.pool.region.is_some() || held <= RESIDUE_COPIED_MAX.min(self.scratch.len() / 2)
    }

    /// Offers the untaken input where it lies.
    fn redeliver(&mut self, index: u32) {
        if self.core.pool.region.is_some() {
            let Some(residue) = &self.core.slots[index as usize].input else { return };
            let held = residue.len();
            self.core.pool.copy_input(residue, &mut self.scratch);
            self.begin_entry();
            return self.deliver(index, held, held, 0);
        }
        // Out of the slot, so that the service may borrow it while the connection is lent too.
        let Some(mut residue) = self.core.slot(index).input.take_if(|residue| !residue.bytes.is_empty())
        else {
            return;
        };
        let len = residue.bytes.len();
        self.begin_entry();
        let mut input = Input::new(&mut residue.bytes);
        let service = self.core.slots[index as usize].service as usize;
        let mut conn = Conn::new(&mut self.core, &mut self.io, index);
        let result = self.services[service].host.data(&mut conn, &mut input);
        let left = input.len();
        let hopeless = input.needed().is_some_and(|need| need > self.core.input_max(index));
        residue.bytes.drain(..len - left);
        residue.fit();
        self.core.buffered -= len - left;
        self.core.slot(index).input = Some(residue);
        if left == 0 {
            self.core.drop_input(index);
        }
        match result {
            Err(why) => self.core.close(index, why),
            Ok(()) if hopeless => self.core.close(index, Close::InputFull),
            Ok(()) => self.core.bound_input(index),
        }
        self.check_stall("data", Some(index), service);
    }

    /// The peer's FIN: the service decides what becomes of our half.
    pub(super) fn end_of_stream(&mut self, index: u32) {
        let slot = self.core.slot(index);
        slot.set(flag::EOF);
        slot.clear(flag::READABLE);
        if slot.is(flag::WRITE_FAILED) {
            return self.core.close(index, Close::Reset);
        }
        let service = slot.service as usize;
        let (result, left) = if self.core.pool.region.is_some() {
            let residue = self.core.slots[index as usize].input.as_ref();
            let held = residue.map_or(0, |residue| residue.len());
            if let Some(residue) = residue {
                self.core.pool.copy_input(residue, &mut self.scratch);
            }
            let mut input = Input::new(&mut self.scratch[..held]);
            let mut conn = Conn::new(&mut self.core, &mut self.io, index);
            let result = self.services[service].host.eof(&mut conn, &mut input);
            let left = input.len();
            self.core.consume_input(index, held - left);
            (result, left)
        } else {
            let mut residue = self.core.slot(index).input.take();
            let bytes = residue.as_mut().map_or(&mut [][..], |residue| &mut residue.bytes);
            let mut input = Input::new(bytes);
            let mut conn = Conn::new(&mut self.core, &mut self.io, index);
            let result = self.services[service].host.eof(&mut conn, &mut input);
            let left = input.len();
            if let Some(mut residue) = residue {
                let taken = residue.bytes.len() - left;
                residue.bytes.drain(..taken);
                self.core.buffered -= taken;
                self.core.slot(index).input = Some(residue);
            }
            (result, left)
        };
        if left == 0 {
            self.core.drop_input(index);
        }
        if planted(Fault::EofDropsOutput) {
            self.core.drop_output(index);
            self.core.cork.clear();
        }
        match result {
            Err(why) => self.core.close(index, why),
            // Both halves are finished.
            Ok(()) if self.core.slot(index).is(flag::FINISHED) => self.core.close(index, Close::Eof),
            Ok(()) => {}
        }
        self.check_stall("eof", Some(index), service);
    }

    /// A connection that is paused, or whose input has ended, cannot find by reading that its peer is gone:
    /// asks the socket itself whether there was truth in the event.
    pub(super) fn probe(&mut self, index: u32) {
        self.core.slot(index).clear(flag::PROBE);
        if !self.core.slot(index).is(flag::EOF | flag::PAUSED) {
            // Resumed since the event: reading finds the break, and what came before it.
            return;
        }
        if let Some(error) = self.io.take_error(index) {
            self.core.close(index, Close::from_io(error));
        }
    }

    /// Reads a connection that has ended, for its FIN: closing with input unread would make the
    /// system send a reset, which may destroy what we sent last before the peer has read it.
    pub(super) fn read_and_discard(&mut self, index: u32) {
        let mut budget = self.core.limits.read_budget_bytes;
        while self.core.slot(index).is(flag::READABLE) && !self.core.slot(index).is(flag::EOF) {
            let wanted = self.scratch.len();
            self.core.counters.reads += 1;
            match self.io.read(index, &mut self.scratch) {
                Ok(n @ 1..) => {
                    if self.book_read(index, n, wanted) {
                        return;
                    }
                    budget = budget.saturating_sub(n);
                    if budget == 0 {
                        return self.core.queue(index);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.core.counters.reads_would_block += 1;
                    self.core.slot(index).clear(flag::READABLE);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => return self.core.queue(index),
                // Its FIN, or a break: either way nobody is there any more.
                Ok(_) => {
                    self.core.slot(index).set(flag::EOF);
                    self.core.settle(index);
                }
                Err(_) => {
                    self.core.drop_output(index);
                    self.core.slot(index).set(flag::EOF);
                    self.core.settle(index);
                }
            }
        }
    }
}

//! Which connections are coupled, and what has passed between them.
//!
//! A pair costs one entry in a table, and four bytes for every slot once there has been one: a
//! connection's slot keeps its size. The bytes themselves move in `worker/relay.rs`; here is what must
//! be known without the driver: who is coupled with whom, and what the end of one means to the other.

use super::slot::flag;
use super::{Core, NONE};
use crate::close::Close;
use crate::planted::{Fault, planted};
use crate::tls_error::TlsError;
use crate::wheel::reached;

/// Reads in a row that filled their buffer, before splicing is tried: it costs two calls where a small
/// message needs one.
const FULL_READS: u8 = 3;
/// A read of less than this ends splicing.
const SPLICED_MIN: usize = 32 * 1024;

/// The couplings of one worker.
#[derive(Default)]
pub(crate) struct Relays {
    /// For each slot: twice the number of its pair, plus its side there.
    of: Vec<u32>,
    pairs: Vec<Pair>,
    free: Vec<u32>,
    /// Coupled connections that can be read on, because their other end has taken all it was given.
    pub(crate) ready: Vec<u32>,
    /// The connection that is being read: nobody has to say that it can be read on.
    pub(crate) reading: Option<u32>,
}

struct Pair {
    ends: [End; 2],
}

/// One end of a pair.
#[derive(Clone, Copy)]
struct End {
    /// `NONE` once its connection has ended.
    index: u32,
    /// Bytes taken from it for the other end.
    received: u64,
    full_reads: u8,
    /// The system has refused to splice from it.
    unspliceable: bool,
}

impl Relays {
    /// What a connection costs here, in bytes.
    pub(crate) const PER_SLOT: usize = 4 * size_of::<u32>() + size_of::<Pair>() / 2;

    /// Room for `slots` connections, coupled two by two.
    pub(crate) fn reserve(&mut self, slots: usize) {
        self.of.reserve_exact(slots);
        self.pairs.reserve_exact(slots / 2);
        self.free.reserve_exact(slots / 2);
        // One may be on it twice.
        self.ready.reserve_exact(2 * slots);
    }

    fn add(&mut self, a: u32, b: u32) {
        let end = |index| End { index, received: 0, full_reads: 0, unspliceable: false };
        let pair = Pair { ends: [end(a), end(b)] };
        let number = match self.free.pop() {
            Some(number) => {
                self.pairs[number as usize] = pair;
                number
            }
            None => {
                self.pairs.push(pair);
                self.pairs.len() as u32 - 1
            }
        };
        let slots = a.max(b) as usize + 1;
        if self.of.len() < slots {
            self.of.resize(slots, NONE);
        }
        (self.of[a as usize], self.of[b as usize]) = (number * 2, number * 2 + 1);
    }

    /// This end and the other.
    fn ends(&self, index: u32) -> Option<(&End, &End)> {
        let at = *self.of.get(index as usize)?;
        let [a, b] = &self.pairs.get(at as usize / 2)?.ends;
        Some(if at & 1 == 0 { (a, b) } else { (b, a) })
    }

    fn end_mut(&mut self, index: u32) -> Option<&mut End> {
        let at = *self.of.get(index as usize)?;
        Some(&mut self.pairs.get_mut(at as usize / 2)?.ends[at as usize & 1])
    }

    /// The other end, while its connection is there.
    pub(crate) fn other(&self, index: u32) -> Option<u32> {
        self.ends(index).map(|(_, other)| other.index).filter(|other| *other != NONE)
    }

    /// Bytes taken from this end, and from the other.
    pub(crate) fn received(&self, index: u32) -> Option<(u64, u64)> {
        self.ends(index).map(|(own, other)| (own.received, other.received))
    }

    /// Books a read of an end, for the choice of how to read on.
    pub(crate) fn note_read(&mut self, index: u32, full: bool) {
        if let Some(end) = self.end_mut(index) {
            end.full_reads = if full { end.full_reads.saturating_add(1) } else { 0 };
        }
    }

    /// Books a splice of `n` bytes.
    pub(crate) fn note_splice(&mut self, index: u32, n: usize, wanted: usize) {
        if n < SPLICED_MIN.min(wanted) {
            self.note_read(index, false);
        }
    }

    /// Whether to splice from this end.
    pub(crate) fn splices(&self, index: u32) -> bool {
        self.ends(index).is_some_and(|(own, _)| own.full_reads >= FULL_READS && !own.unspliceable)
    }

    /// The system has refused to.
    pub(crate) fn never_splice(&mut self, index: u32) {
        if let Some(end) = self.end_mut(index) {
            end.unspliceable = true;
        }
    }

    /// Takes a connection out; the pair is gone with the second.
    fn leave(&mut self, index: u32) {
        let Some(end) = self.end_mut(index) else { return };
        end.index = NONE;
        let number = std::mem::replace(&mut self.of[index as usize], NONE) / 2;
        if self.pairs[number as usize].ends.iter().all(|end| end.index == NONE) {
            self.free.push(number);
        }
    }

    /// Every pair with both ends open.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (u32, u32)> {
        let whole = |pair: &Pair| {
            let [a, b] = pair.ends.map(|end| end.index);
            (a != NONE && b != NONE).then_some((a, b))
        };
        self.pairs.iter().filter_map(whole)
    }
}

impl Core {
    /// Couples two open connections; false if one of them is over, or coupled already.
    pub(crate) fn couple(&mut self, a: u32, b: u32) -> bool {
        let unfit =
            flag::RELAYED | flag::MOVING | flag::CLOSING | flag::FINISH | flag::FINISHED | flag::WRITE_FAILED;
        if a == b || self.slots[a as usize].is(unfit) || self.slots[b as usize].is(unfit) {
            return false;
        }
        self.relays.add(a, b);
        self.counters.relays += 1;
        for index in [a, b] {
            let slot = self.slot(index);
            slot.set(flag::RELAYED);
            slot.clear(flag::PAUSED | flag::CONGESTED | flag::OWED_DRAINED | flag::REDELIVER);
            // What either has left untaken is to go on, in this turn still.
            self.relays.ready.push(index);
        }
        true
    }

    /// Books bytes taken from one end for the other.
    pub(crate) fn book_relayed(&mut self, from: u32, n: usize) {
        self.counters.relayed_bytes += n as u64;
        if let Some(end) = self.relays.end_mut(from) {
            end.received += n as u64;
        }
    }

    /// All that a coupled connection was given has been sent: its other end may be read on.
    pub(crate) fn relay_drained(&mut self, index: u32) {
        if let Some(from) = self.relays.other(index)
            && self.relays.reading != Some(from)
            && !planted(Fault::RelayDrainLost)
        {
            let slot = &self.slots[from as usize];
            if slot.is(flag::READABLE | flag::EOF) || slot.input.is_some() {
                self.relays.ready.push(from);
            }
        }
    }

    /// Activity at one end keeps both alive.
    pub(crate) fn share_activity(&mut self, index: u32) {
        if let Some(other) = self.relays.other(index) {
            let (own, others) = (self.slots[index as usize].active, self.slots[other as usize].active);
            let latest = if reached(own, others) { others } else { own };
            self.slot(index).active = latest;
            self.slot(other).active = latest;
        }
    }

    /// A coupled connection ends: what it has received is passed on, and then the other ends too.
    pub(crate) fn uncouple(&mut self, index: u32, why: &Close) {
        let Some(other) = self.relays.other(index) else { return };
        self.pour(index, other);
        if why.is_orderly() {
            self.pour(other, index);
        }
        if planted(Fault::RelayPipeLost) {
            self.lose_pipe(index);
            self.lose_pipe(other);
        }
        if self.slots[other as usize].is(flag::CLOSING) {
            return;
        }
        let theirs = match why {
            Close::Eof => Close::Eof,
            Close::Idle => Close::Idle,
            Close::Timeout => Close::Timeout,
            Close::Shutdown => Close::Shutdown,
            // Passed on as what it is: `Worker::pass_end_on`.
            Close::Tls(TlsError::Truncated) => Close::Eof,
            // Its alert is in good order, and not the end of what it had to say.
            why if !matches!(why, Close::Tls(_)) && why.is_orderly() || planted(Fault::RelayResetIsEnd) => {
                Close::Done
            }
            _ => {
                // A stream that was cut off must not look whole: a reset, but behind what came first.
                self.slot(other).set(flag::RESET);
                Close::Aborted
            }
        };
        self.close(other, theirs);
    }

    /// Puts input of one connection that waits to be passed on behind the output of the other. No limit
    /// stops it: it was held within one already, and here it would be lost.
    fn pour(&mut self, from: u32, to: u32) {
        if self.slots[to as usize].is(flag::FINISH | flag::WRITE_FAILED) {
            return;
        }
        if let Some(residue) = self.slots[from as usize].input.take() {
            self.book_relayed(from, residue.len());
            self.pour_input(residue, to);
        }
        #[cfg(feature = "tls")]
        if self.slots[from as usize].is(flag::TLS) {
            let decrypted = self.take_decrypted(from);
            self.book_relayed(from, decrypted.len());
            self.give(to, &decrypted);
        }
    }

    /// Queues what came from the other end of a relay.
    pub(crate) fn give(&mut self, to: u32, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        // Counted already, and not to be lost: whatever the limits say.
        #[cfg(feature = "tls")]
        if self.slots[to as usize].is(flag::TLS) {
            return self.seal_untaken(to, bytes);
        }
        self.append(to, bytes, None);
        self.touch(to);
    }

    fn lose_pipe(&mut self, index: u32) {
        if let Some(output) = &mut self.slots[index as usize].output {
            self.buffered -= output.lose_pipe(&mut self.pool);
        }
    }

    /// The last of a coupling, once `closed` has been called.
    pub(crate) fn leave_relay(&mut self, index: u32) {
        self.relays.leave(index);
        self.slot(index).clear(flag::RELAYED);
    }
}

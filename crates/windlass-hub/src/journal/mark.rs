//! What a message knows of its text in the log.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use super::record::MessageNumber;
use crate::atomic::AtomicU64;

/// Which text of a message is in the log: kept with the message, for [`Journal::message`](super::Journal::message).
///
/// Several workers may have the same message. Whoever asks writes its text unless it was that worker that wrote it last,
/// and since the last checkpoint began: so what one worker commits never depends on what another has not.
#[derive(Default)]
pub struct Mark {
    number: AtomicU64,
    /// The worker that wrote it last, and one more than its round of checkpoints; 0: nobody has.
    written: AtomicU64,
}

const ROUND_BITS: u32 = 48;

impl Mark {
    /// Of a message that recovery has found: its text is in the log for whoever was given it. One that has no number, as
    /// what is retained has none, is not there as a message.
    pub fn recovered(number: MessageNumber, worker: usize) -> Mark {
        if number == 0 {
            return Mark::default();
        }
        Mark { number: number.into(), written: written(worker, 0).into() }
    }

    /// Of a message that has this number, and whose text is not in the log.
    #[cfg(test)]
    pub(super) fn unwritten(number: MessageNumber) -> Mark {
        Mark { number: number.into(), written: 0.into() }
    }

    /// Its number; 0 if it has none yet.
    #[inline]
    pub fn number(&self) -> MessageNumber {
        self.number.load(Relaxed)
    }

    /// The number that it has from now on: `number` unless it has one.
    pub(super) fn name(&self, number: MessageNumber) -> MessageNumber {
        self.number.compare_exchange(0, number, Relaxed, Relaxed).map_or_else(|had| had, |_| number)
    }

    /// Whether this worker has written the text in this round or later.
    #[inline]
    pub(super) fn is_written(&self, worker: usize, round: u64) -> bool {
        let last = self.written.load(Relaxed);
        last >> ROUND_BITS == written(worker, 0) >> ROUND_BITS && last >= written(worker, round)
    }

    pub(super) fn set_written(&self, worker: usize, round: u64) {
        self.written.store(written(worker, round), Relaxed);
    }
}

fn written(worker: usize, round: u64) -> u64 {
    (worker as u64) << ROUND_BITS | (round + 1)
}

impl Clone for Mark {
    fn clone(&self) -> Mark {
        Mark { number: self.number().into(), written: self.written.load(Relaxed).into() }
    }
}

/// It says nothing of what the message is.
impl PartialEq for Mark {
    fn eq(&self, _: &Mark) -> bool {
        true
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mark").field(&self.number()).finish()
    }
}

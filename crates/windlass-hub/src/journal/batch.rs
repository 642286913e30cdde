//! Records that are committed together.

use super::record::Record;

/// Records on their way into the log: there whole after a crash, or not at all.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) records: u64,
    /// Its own number: each worker counts its batches from 1.
    pub(super) number: u64,
    /// The number of its last record; they are numbered from 1 for each worker.
    pub(super) last: u64,
    /// Of this round of checkpoints the worker has written down all that it has: 0, none.
    pub(super) walked: u64,
    /// How many sessions that came from other workers are in it.
    pub(super) adopted: u64,
}

/// A buffer that has grown past it is not kept for the next batch.
const KEPT_MAX: usize = 1 << 20;

impl Batch {
    pub(super) fn put(&mut self, record: &Record<'_>, number: u64) {
        record.encode(&mut self.bytes);
        self.records += 1;
        self.last = number;
    }

    /// Whether a commit of it would change nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.walked == 0 && self.adopted == 0
    }

    /// The same memory, for others.
    pub(super) fn emptied(mut self) -> Batch {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_MAX);
        Batch { bytes: self.bytes, ..Batch::default() }
    }
}

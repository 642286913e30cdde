//! Names for connections that outlive them safely.

use std::fmt;

/// Names one connection of one worker, for as long as the server runs.
///
/// An id is never reused: once its connection is gone, everything done to it is quietly nothing
/// (the slot it points to carries a generation number, and the next owner's differs).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    pub(crate) worker: u16,
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl ConnId {
    /// The worker the connection lives on, counted from 0.
    pub fn worker(self) -> usize {
        self.worker.into()
    }
}

/// `worker:slot.generation`.
impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}.{}", self.worker, self.index, self.generation)
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnId({self})")
    }
}

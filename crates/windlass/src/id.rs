//! Names for connections that outlive them safely.

use std::fmt;
use std::str::FromStr;

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

/// Text that is no [`ConnId`]: one looks like `0:17.3`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ConnIdError;

impl fmt::Display for ConnIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the id of a connection (as in 0:17.3)")
    }
}

impl std::error::Error for ConnIdError {}

/// What `Display` writes.
impl FromStr for ConnId {
    type Err = ConnIdError;

    fn from_str(text: &str) -> Result<ConnId, ConnIdError> {
        let parse = || {
            let (worker, rest) = text.split_once(':')?;
            let (index, generation) = rest.split_once('.')?;
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            let plain = digits(worker) && digits(index) && digits(generation);
            let (worker, index) = (worker.parse().ok()?, index.parse().ok()?);
            plain.then_some(ConnId { worker, index, generation: generation.parse().ok()? })
        };
        parse().ok_or(ConnIdError)
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

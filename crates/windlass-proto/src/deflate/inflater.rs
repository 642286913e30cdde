//! The half that undoes compression, and that a peer feeds.

use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::TAIL;

/// The most an [`Inflater`] holds, in bytes: the window, and the tables of one block.
pub const INFLATER_BYTES_MAX: usize = 64 * 1024;

const WINDOW_BITS: u8 = 15;
const WINDOW: usize = 1 << WINDOW_BITS;
const ROOM_MIN: usize = 1024;
// An end in every other byte would cost a window and a buffer each.
const STREAMS_MAX: u32 = 64;

/// Undoes the compression of messages, each up to a cap that is checked while it inflates: a thousand bytes
/// can ask for a million, and get no further than the cap. See the [module](super).
///
/// Understands every window size, and messages that end their deflate stream (`BFINAL`, RFC 7692 section
/// 7.2.3.4) as well as those that leave it open. One that ends it keeps the window to itself: what follows
/// cannot refer to messages before it.
pub struct Inflater {
    inner: Inflate,
}

/// Why a message could not be inflated. What was appended before that is to be thrown away, and so is the
/// inflater unless it is [`reset`](Inflater::reset).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InflateError {
    /// It is no deflate stream, or it refers to what was never sent.
    Corrupt,
    /// It inflates to more than the cap.
    TooLarge {
        /// The cap, in bytes.
        max: usize,
    },
}

impl Inflater {
    /// An inflater that has seen nothing.
    pub fn new() -> Inflater {
        Inflater { inner: Inflate::new(false, WINDOW_BITS) }
    }

    /// Appends what `message` was before it was compressed to `out`, at most `max` bytes of it. `out` grows
    /// as it comes, and to twice that at most.
    ///
    /// # Errors
    ///
    /// [`InflateError`].
    pub fn inflate(&mut self, message: &[u8], max: usize, out: &mut Vec<u8>) -> Result<(), InflateError> {
        if message.is_empty() {
            // Not even the front of an empty block: some compress nothing to nothing.
            return Ok(());
        }
        let start = out.len();
        if !self.feed(message, start, max, out)? {
            self.feed(&TAIL, start, max, out)?;
        }
        Ok(())
    }

    /// Forgets what went before: the next message stands alone.
    pub fn reset(&mut self) {
        self.inner.reset(false);
    }

    /// Whether the stream ended with the last of `bytes`, so that no tail belongs to it.
    fn feed(
        &mut self,
        bytes: &[u8],
        start: usize,
        max: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, InflateError> {
        let mut rest = bytes;
        let mut streams = 0;
        loop {
            let at = out.len();
            let done = at - start;
            // One byte over the cap, to see whether there is more.
            let room = (rest.len() * 2).max(done).max(ROOM_MIN).min(max.saturating_sub(done) + 1);
            out.resize(at + room, 0);
            let (taken, written) = (self.inner.total_in(), self.inner.total_out());
            let status = self.inner.decompress(rest, &mut out[at..], InflateFlush::SyncFlush);
            let taken = (self.inner.total_in() - taken) as usize;
            let written = (self.inner.total_out() - written) as usize;
            out.truncate(at + written);
            rest = &rest[taken..];
            let status = status.map_err(|_| InflateError::Corrupt)?;
            if done + written > max {
                return Err(InflateError::TooLarge { max });
            }
            if status == Status::StreamEnd {
                streams += 1;
                if streams > STREAMS_MAX {
                    return Err(InflateError::Corrupt);
                }
                self.restart(&out[start..]);
                if rest.is_empty() {
                    return Ok(true);
                }
            } else if rest.is_empty() && written < room {
                return Ok(false);
            } else if taken == 0 && written == 0 {
                return Err(InflateError::Corrupt);
            }
        }
    }

    /// A stream has ended: what follows is another, which may refer to what this message gave so far.
    fn restart(&mut self, plain: &[u8]) {
        self.inner.reset(false);
        let _ = self.inner.set_dictionary(&plain[plain.len().saturating_sub(WINDOW)..]);
    }
}

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater::new()
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InflateError::Corrupt => f.write_str("compressed bytes that make no sense"),
            InflateError::TooLarge { max } => write!(f, "inflates to more than {max} bytes"),
        }
    }
}

impl Error for InflateError {}

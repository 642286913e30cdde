//! The compressing half.

use alloc::vec::Vec;
use core::fmt;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Status};

use super::TAIL;

// Less room than this, and a flush that just fits is written twice.
const ROOM_MIN: usize = 64;

/// How to compress. Plain data; a value out of its range is brought into it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeflateOptions {
    /// 0 (none) to 9 (smallest). Default 1: the fastest that compresses.
    pub level: u8,
    /// The window's size as a power of two, 9 to 15. Default 15.
    pub window_bits: u8,
    /// Memory for the search, 1 to 9. Default 8.
    pub memory_level: u8,
}

impl Default for DeflateOptions {
    fn default() -> DeflateOptions {
        DeflateOptions { level: 1, window_bits: 15, memory_level: 8 }
    }
}

impl DeflateOptions {
    /// The bytes a [`Deflater`] of these options holds, to within 16 KiB, and never more.
    pub fn bytes(self) -> usize {
        let this = self.in_range();
        // Window and chains; what is to be written; the hash table and the rest.
        (1 << (this.window_bits + 2)) + (7 << (this.memory_level + 6)) + 144 * 1024
    }

    /// Each value brought into its range.
    pub(crate) fn in_range(self) -> DeflateOptions {
        DeflateOptions {
            level: self.level.min(9),
            window_bits: self.window_bits.clamp(9, 15),
            memory_level: self.memory_level.clamp(1, 9),
        }
    }
}

/// Compresses messages. See the [module](super).
pub struct Deflater {
    inner: Deflate,
    options: DeflateOptions,
}

impl Deflater {
    /// Allocates all it will ever hold.
    pub fn new(options: DeflateOptions) -> Deflater {
        let options = options.in_range();
        let config = DeflateConfig {
            level: options.level.into(),
            // Negative: raw deflate, without a header.
            window_bits: -i32::from(options.window_bits),
            mem_level: options.memory_level.into(),
            ..DeflateConfig::default()
        };
        Deflater { inner: Deflate::new_with_config(config), options }
    }

    /// What it was made with.
    pub fn options(&self) -> DeflateOptions {
        self.options
    }

    /// Appends `message`, compressed, to `out`. The next one may refer to it, unless there is a
    /// [`reset`](Deflater::reset) between.
    pub fn compress(&mut self, message: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let mut rest = message;
        loop {
            let (at, taken) = (out.len(), self.inner.total_in());
            out.resize(at + (rest.len() / 2).max(ROOM_MIN), 0);
            let written = self.inner.total_out();
            let status = self.inner.compress(rest, &mut out[at..], DeflateFlush::SyncFlush);
            let written = (self.inner.total_out() - written) as usize;
            rest = &rest[(self.inner.total_in() - taken) as usize..];
            let full = at + written == out.len();
            out.truncate(at + written);
            // It fails for parameters that cannot be given here, and says `BufError` when all was flushed.
            debug_assert!(status.is_ok());
            if !full || !matches!(status, Ok(Status::Ok)) {
                break;
            }
        }
        debug_assert!(rest.is_empty());
        if out[start..].ends_with(&TAIL) {
            out.truncate(out.len() - TAIL.len());
        }
        if out.len() == start {
            // Nothing to flush, so nothing came: the front of an empty stored block belongs before the tail.
            out.push(0);
        }
    }

    /// Forgets what went before: the next message stands alone.
    pub fn reset(&mut self) {
        self.inner.reset();
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").field("options", &self.options).finish_non_exhaustive()
    }
}

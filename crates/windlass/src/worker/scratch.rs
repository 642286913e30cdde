//! The one buffer a worker reads into.

use std::ops::{Deref, DerefMut};

/// Pages of every system we know are a multiple of this.
const PAGE: usize = 4096;

/// A buffer that begins at the start of a page.
///
/// An allocator puts a large block 16 bytes behind one. The kernel's copy to there stores each line a
/// little ahead, modulo the page, of where it loads the next, and processors that compare the low 12
/// bits of addresses take that for a dependency.
pub(super) struct Scratch {
    bytes: Box<[u8]>,
    start: usize,
    len: usize,
}

impl Scratch {
    pub(super) fn new(len: usize) -> Scratch {
        let bytes = vec![0; len + PAGE].into_boxed_slice();
        let start = bytes.as_ptr().align_offset(PAGE).min(PAGE);
        Scratch { bytes, start, len }
    }
}

impl Deref for Scratch {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }
}

impl DerefMut for Scratch {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_a_page_and_is_as_long_as_asked() {
        for len in [1, 4096, 70_000] {
            let mut scratch = Scratch::new(len);
            assert_eq!((scratch.as_ptr() as usize % PAGE, scratch.len()), (0, len));
            scratch[len - 1] = 1;
        }
    }
}

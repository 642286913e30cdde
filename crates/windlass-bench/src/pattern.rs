//! The bytes that are sent, and the check of those that return.
//!
//! All connections share one block of [`PERIOD`] random bytes and send it over and over, each from
//! an offset of its own. Byte `p` of a connection's stream is therefore known from `p` alone, and
//! checking is one `memcmp` against the block. The period is a prime, so that no message size
//! divides it and neighbouring messages differ, and no two neighbouring bytes of the block are
//! equal, so that one lost, doubled or swapped byte shows at the very place. Loss of exactly
//! [`PERIOD`] bytes cannot show here; it shows as bytes that never come back.

use std::io::IoSlice;

/// Length of the block in bytes. A prime, and small enough to stay in the second-level cache.
pub const PERIOD: usize = 65_521;

/// The shared block.
#[derive(Debug)]
pub struct Pattern {
    /// The block twice over, so that any `PERIOD` bytes from any offset lie in one piece.
    bytes: Box<[u8]>,
}

impl Pattern {
    /// Makes the block; the same in every process.
    #[must_use]
    pub fn new() -> Pattern {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut block = Vec::with_capacity(2 * PERIOD);
        while block.len() < PERIOD {
            // xorshift64*: any generator will do, but it must not change from run to run.
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            let byte = (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 56) as u8;
            let follows_equal = block.last() == Some(&byte);
            let closes_equal = block.len() == PERIOD - 1 && block.first() == Some(&byte);
            if !follows_equal && !closes_equal {
                block.push(byte);
            }
        }
        block.extend_from_within(..);
        Pattern { bytes: block.into() }
    }

    /// The place in the block where the stream of connection `index` begins.
    #[must_use]
    pub fn start(index: usize) -> usize {
        // A stride that is no multiple of a usual message size spreads the connections.
        index.wrapping_mul(7919) % PERIOD
    }

    /// The longest piece of at most `len` bytes at `at`, a place below [`PERIOD`].
    #[must_use]
    pub fn piece(&self, at: usize, len: usize) -> &[u8] {
        &self.bytes[at..at + len.min(PERIOD)]
    }

    /// Fills `slices` with the next `len` bytes from `at`; returns how many slices are in use.
    /// What does not fit into the slices is left for the next call.
    pub fn slices<'p>(&'p self, mut at: usize, mut len: usize, slices: &mut [IoSlice<'p>]) -> usize {
        let mut used = 0;
        while len > 0 && used < slices.len() {
            let piece = self.piece(at, len);
            slices[used] = IoSlice::new(piece);
            at = advance(at, piece.len());
            len -= piece.len();
            used += 1;
        }
        used
    }

    /// Compares `received` with what should stand at `at`. The error is the index of the first
    /// wrong byte.
    ///
    /// # Errors
    /// The bytes differ.
    pub fn verify(&self, mut at: usize, received: &[u8]) -> Result<(), usize> {
        let mut checked = 0;
        while checked < received.len() {
            let expected = self.piece(at, received.len() - checked);
            let actual = &received[checked..checked + expected.len()];
            if actual != expected {
                let same = actual.iter().zip(expected).take_while(|(a, b)| a == b).count();
                return Err(checked + same);
            }
            at = advance(at, expected.len());
            checked += expected.len();
        }
        Ok(())
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Pattern::new()
    }
}

/// The place `by` bytes behind `at`, in the block.
#[must_use]
pub fn advance(at: usize, by: usize) -> usize {
    let next = at + by;
    // Rarely more than one period at a time, and a division costs more than a comparison.
    if next < PERIOD { next } else { next % PERIOD }
}

/// Values that are told apart, made of the pattern's bytes: each connection's, each key's and each
/// version's begins elsewhere in it.
pub(crate) struct Values<'p> {
    /// The bytes.
    pub(crate) pattern: &'p Pattern,
    /// How many of them.
    pub(crate) size: usize,
}

impl Values<'_> {
    fn start(number: usize, key: usize, version: u32) -> usize {
        let mixed = (number as u64 * 7919 + key as u64 * 104_729 + u64::from(version) * 15_485_863) as usize;
        mixed % PERIOD
    }

    /// Appends a value to `out`.
    pub(crate) fn write(&self, (number, key, version): (usize, usize, u32), out: &mut Vec<u8>) {
        let (mut at, end) = (Self::start(number, key, version), out.len() + self.size);
        while out.len() < end {
            let piece = self.pattern.piece(at, end - out.len());
            out.extend_from_slice(piece);
            at = advance(at, piece.len());
        }
    }

    /// Whether `value` is this one.
    pub(crate) fn is(&self, (number, key, version): (usize, usize, u32), value: &[u8]) -> bool {
        value.len() == self.size && self.pattern.verify(Self::start(number, key, version), value).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first `len` bytes of a connection's stream, made byte by byte.
    fn stream(pattern: &Pattern, start: usize, len: usize) -> Vec<u8> {
        (0..len).map(|i| pattern.bytes[(start + i) % PERIOD]).collect()
    }

    #[test]
    fn neighbours_differ() {
        let pattern = Pattern::new();
        assert!(pattern.bytes.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(pattern.bytes[..PERIOD], pattern.bytes[PERIOD..]);
    }

    #[test]
    fn slices_make_up_the_stream() {
        let pattern = Pattern::new();
        for (start, len) in [(0, 1), (5, 64), (PERIOD - 1, 2), (PERIOD - 30, 64), (77, 300_000)] {
            let mut slices = [IoSlice::new(&[]); 16];
            let used = pattern.slices(start, len, &mut slices);
            let sent: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.iter().copied()).collect();
            assert_eq!(sent, stream(&pattern, start, len), "{start} {len}");
            assert_eq!(pattern.verify(start, &sent), Ok(()));
        }
    }

    #[test]
    fn any_cut_of_the_stream_verifies() {
        let pattern = Pattern::new();
        let start = Pattern::start(3);
        let bytes = stream(&pattern, start, 3 * PERIOD);
        for step in [1, 63, 4096, PERIOD, PERIOD + 1, 100_000] {
            let mut at = start;
            for chunk in bytes.chunks(step) {
                assert_eq!(pattern.verify(at, chunk), Ok(()), "in steps of {step}");
                at = advance(at, chunk.len());
            }
        }
    }

    #[test]
    fn a_fault_at_any_offset_is_found_where_it_is() {
        let pattern = Pattern::new();
        // The second start puts the seam of the block into the middle of the message.
        for start in [Pattern::start(1), PERIOD - 32] {
            let good = stream(&pattern, start, 65);
            for at in 0..64 {
                let mut flipped = good.clone();
                flipped[at] ^= 1;
                assert_eq!(pattern.verify(start, &flipped), Err(at));

                let mut lost = good.clone();
                lost.remove(at);
                assert_eq!(pattern.verify(start, &lost), Err(at));

                let mut doubled = good.clone();
                doubled.insert(at, good[at]);
                assert_eq!(pattern.verify(start, &doubled), Err(at + 1));

                let mut swapped = good.clone();
                swapped.swap(at, at + 1);
                assert_eq!(pattern.verify(start, &swapped), Err(at));
            }
        }
    }

    #[test]
    fn lost_and_swapped_messages_are_found() {
        let pattern = Pattern::new();
        for size in [64, 4096, 16_384, 65_536, 1 << 20] {
            let bytes = stream(&pattern, 0, 3 * size);
            assert!(pattern.verify(0, &bytes[size..]).is_err(), "the first of {size} is lost");
            let other = stream(&pattern, Pattern::start(1), size);
            assert!(pattern.verify(0, &other).is_err(), "a message of {size} went to the wrong peer");
        }
    }

    #[test]
    fn values_differ_by_version_and_key() {
        let pattern = Pattern::new();
        let values = Values { pattern: &pattern, size: 100_000 };
        let mut value = Vec::new();
        values.write((1, 2, 3), &mut value);
        assert!(values.is((1, 2, 3), &value));
        for other in [(1, 2, 4), (1, 3, 3), (2, 2, 3)] {
            assert!(!values.is(other, &value), "{other:?}");
        }
        assert!(!values.is((1, 2, 3), &value[1..]));
    }
}

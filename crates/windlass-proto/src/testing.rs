//! Holds a codec to its contract: any split of the bytes gives the same messages.
//!
//! [`check`] is everything in one call, for a decoder with its encoder ([`Codec`]): splits, round trips,
//! inputs cut off at every byte, limits, garbage. [`fuzz`] is a fuzzer's entry to the same.
//!
//! [`any_split`] is the test to write first for every [`Decode`]: it runs the decoder over the same bytes
//! whole, in two pieces at every split, byte by byte, and in pieces of random size, and panics where one
//! run differs from another. [`feed`] is one such run. It does what the engine does and no more: what the
//! decoder does not take comes back with more behind it, and now and then the decoder is called with nothing
//! new.
//!
//! [`Rng`] is the seeded generator behind it, for other tests that have to be repeatable.
//!
//! ```
//! use windlass_proto::{Lines, LinesError, testing};
//!
//! let run = testing::any_split(|| Lines::max(5), b"a\nbc\r\n\ntoo long\n", |line| line.to_vec());
//! assert_eq!(run.messages, [&b"a"[..], b"bc", b""]);
//! assert_eq!(run.error, Some(LinesError::TooLong { max: 5 }));
//! ```

mod codec;
mod frames;
mod samples;

use alloc::vec::Vec;
use core::fmt::Debug;
use core::iter;

pub use codec::{Codec, Ends, check, fuzz};
pub use frames::Frames;
pub use samples::{Sample, Samples};

use crate::{Decode, Input};

/// Up to this many bytes, [`any_split`] tries every split into two; of more bytes, a seeded sample.
pub const EVERY_SPLIT_MAX: usize = 4096;

const SAMPLED_SPLITS: usize = 2048;
const RANDOM_RUNS: u64 = 64;

// A decoder may give some messages that have no bytes of their own (the end of a body, say), but not
// without end.
const MESSAGES_WITHOUT_BYTES_MAX: usize = 64;

const ANY_NUMBER: usize = usize::MAX;

/// What a decoder made of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run<T, E> {
    /// The messages, in order, as the test's closure made them.
    pub messages: Vec<T>,
    /// The error that ended the run, if one did. What follows it is not fed.
    pub error: Option<E>,
    /// The number of bytes that had arrived and were not taken when the run ended.
    pub left: usize,
}

/// Checks that `decoder` gives the same messages and the same error for every split of `bytes`, and
/// returns them.
///
/// `decoder` makes a fresh decoder for each run; `own` turns a message into a value that outlives it.
/// Errors are the same if their `Debug` texts are.
///
/// # Panics
///
/// If two splits differ (the panic names both and shows the pieces' sizes or the seed), if a hint given
/// by [`Input::need`] is wrong, or if the decoder gives messages without end and takes no bytes.
pub fn any_split<D, T>(
    decoder: impl Fn() -> D,
    bytes: &[u8],
    mut own: impl for<'b> FnMut(D::Message<'b>) -> T,
) -> Run<T, D::Error>
where
    D: Decode,
    T: PartialEq + Debug,
{
    any_split_with(decoder, bytes, |messages, message| messages.push(own(message)))
}

/// [`any_split`] for a decoder that streams: how much of a body one message carries depends on the split,
/// and rightly so. `collect` adds a message to what it has collected and may merge it with the last.
///
/// # Panics
///
/// As [`any_split`] does.
pub fn any_split_with<D, T>(
    decoder: impl Fn() -> D,
    bytes: &[u8],
    mut collect: impl for<'b> FnMut(&mut Vec<T>, D::Message<'b>),
) -> Run<T, D::Error>
where
    D: Decode,
    T: PartialEq + Debug,
{
    let whole = feed(decoder(), [bytes], &mut collect);
    let mut check = |waits: bool, pieces: &mut dyn Iterator<Item = &[u8]>, how: &dyn Debug| {
        let run = feed_as(&mut decoder(), pieces, &mut Vec::new(), waits, ANY_NUMBER, &mut collect);
        assert_eq!(
            run.messages, whole.messages,
            "{how:?} gave the messages on the left, one piece the right"
        );
        assert_eq!(
            alloc::format!("{:?}", run.error),
            alloc::format!("{:?}", whole.error),
            "{how:?} gave the error on the left, one piece the right"
        );
    };

    for waits in [false, true] {
        check(waits, &mut bytes.chunks(1), &"byte by byte");
        for at in splits(bytes.len()) {
            let (front, back) = bytes.split_at(at);
            check(waits, &mut [front, back].into_iter(), &Split { at, len: bytes.len() });
        }
        for seed in 0..RANDOM_RUNS {
            check(waits, &mut random_pieces(bytes, seed), &RandomPieces { seed });
        }
    }
    whole
}

/// Feeds `pieces` to `decoder` one after another, as the engine does, up to the first error.
///
/// # Panics
///
/// If the decoder gives messages without end and takes no bytes.
pub fn feed<'p, D, T>(
    mut decoder: D,
    pieces: impl IntoIterator<Item = &'p [u8]>,
    collect: impl for<'b> FnMut(&mut Vec<T>, D::Message<'b>),
) -> Run<T, D::Error>
where
    D: Decode,
{
    feed_as(&mut decoder, pieces, &mut Vec::new(), false, ANY_NUMBER, collect)
}

// `pending`: the bytes that wait untaken, `held_max` of them at most. `waits`: do not call the decoder before
// as many are there as its last hint asked for. The engine is free to do either.
fn feed_as<'p, D, T>(
    decoder: &mut D,
    pieces: impl IntoIterator<Item = &'p [u8]>,
    pending: &mut Vec<u8>,
    waits: bool,
    held_max: usize,
    mut collect: impl for<'b> FnMut(&mut Vec<T>, D::Message<'b>),
) -> Run<T, D::Error>
where
    D: Decode,
{
    let mut messages = Vec::new();
    let mut needed = 0;
    let mut pieces = pieces.into_iter().peekable();
    while let Some(piece) = pieces.next() {
        pending.extend_from_slice(piece);
        let early = pending.len() < needed;
        // What came before the end of the input is looked at in any case.
        if waits && early && pieces.peek().is_some() {
            continue;
        }
        let mut input = Input::new(pending);
        let mut without_bytes = 0;
        let error = loop {
            let before = input.len();
            match decoder.decode(&mut input) {
                Ok(Some(message)) => collect(&mut messages, message),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
            assert!(!early, "a message came before the {needed} bytes that the decoder said it needs");
            without_bytes = if input.len() < before { 0 } else { without_bytes + 1 };
            assert!(
                without_bytes <= MESSAGES_WITHOUT_BYTES_MAX,
                "the decoder gives message after message and takes no bytes"
            );
        };
        let left = input.len();
        if error.is_some() {
            return Run { messages, error, left };
        }
        needed = input.needed().unwrap_or(0);
        assert!(
            needed == 0 || needed > left,
            "the decoder waits, says it needs {needed} bytes, and has {left}"
        );
        assert!(
            left <= held_max && needed <= held_max.saturating_add(1),
            "the decoder holds {left} bytes and waits for {needed}, where {held_max} may be held"
        );
        pending.drain(..pending.len() - left);
    }
    Run { messages, error: None, left: pending.len() }
}

fn splits(len: usize) -> Vec<usize> {
    if len <= EVERY_SPLIT_MAX {
        return (0..=len).collect();
    }
    let mut rng = Rng::new(len as u64);
    iter::repeat_with(|| rng.below(len as u64) as usize).take(SAMPLED_SPLITS).collect()
}

// Pieces whose sizes are often tiny and sometimes large, and now and then no bytes at all.
fn random_pieces(bytes: &[u8], seed: u64) -> impl Iterator<Item = &[u8]> {
    let mut rng = Rng::new(seed);
    let mut rest = bytes;
    iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let most = (rest.len() as u64).min(1 << rng.below(13));
        let size = if rng.chance(1, 8) { 0 } else { rng.below(most) as usize + 1 };
        let (piece, behind) = rest.split_at(size);
        rest = behind;
        Some(piece)
    })
}

#[derive(Debug)]
#[expect(dead_code, reason = "read by Debug, in the panic's message")]
struct Split {
    at: usize,
    len: usize,
}

#[derive(Debug)]
#[expect(dead_code, reason = "read by Debug, in the panic's message")]
struct RandomPieces {
    seed: u64,
}

/// A small seeded generator (SplitMix64): the same seed gives the same numbers, on every machine.
///
/// For tests and simulations. Nothing that has to be secret may come from it.
///
/// ```
/// use windlass_proto::testing::Rng;
///
/// let mut rng = Rng::new(42);
/// let dice: Vec<u64> = (0..3).map(|_| rng.below(6) + 1).collect();
/// let mut again = Rng::new(42);
/// assert!(dice.iter().all(|&eyes| eyes == again.below(6) + 1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The generator of this seed. Every seed is as good as any other, zero included.
    #[inline]
    pub const fn new(seed: u64) -> Rng {
        Rng { state: seed }
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`, or zero if `end` is zero.
    ///
    /// The high half of a 128-bit product: one multiplication, and a bias of at most `end / 2^64`.
    #[inline]
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(end)) >> 64) as u64
    }

    /// True `of_these` times in `times`, on average.
    #[inline]
    pub fn chance(&mut self, of_these: u64, times: u64) -> bool {
        self.below(times) < of_these
    }

    /// Fills `bytes` with random ones.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            piece.copy_from_slice(&self.next_u64().to_le_bytes()[..piece.len()]);
        }
    }
}

//! Everything a codec must pass, in one call; and the same as a fuzzer's entry.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::iter;

use super::{EVERY_SPLIT_MAX, Rng, Run, any_split_with, feed_as, random_pieces};
use crate::{Decode, Input};

const ROUND_TRIPS: u64 = 32;
const GARBAGE: u64 = 2048;

// Behind so many bytes no more messages follow: all that is checked is checked at every one of them.
const STREAM_BYTES: usize = 256;

// A decoder may end with some messages, but not with ever more of them.
const LAST_MESSAGES_MAX: usize = 64;

/// A decoder and its encoder, as the test kit sees them: what [`check`] and [`fuzz`] take.
///
/// Where messages are plain bytes, [`Frames`](super::Frames) is one already; where there is no encoder,
/// [`Samples`](super::Samples). For anything else, a dozen lines:
///
/// ```
/// use windlass_proto::testing::{self, Rng};
/// use windlass_proto::{Decode, Encode, Input};
/// # use windlass_proto::framing::{LengthField, FrameError};
/// #
/// # struct Readings(LengthField);
/// # impl Decode for Readings {
/// #     type Message<'b> = u16;
/// #     type Error = FrameError;
/// #     fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<u16>, FrameError> {
/// #         let Some(bytes) = self.0.decode(input)? else { return Ok(None) };
/// #         let bytes = (&*bytes).try_into().map_err(|_| FrameError::Malformed)?;
/// #         Ok(Some(u16::from_be_bytes(bytes)))
/// #     }
/// #     fn end<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<u16>, FrameError> {
/// #         self.0.end(input).map(|_| None)
/// #     }
/// # }
/// # fn readings() -> Readings { Readings(LengthField::be(1).max(3)) }
///
/// /// Numbers of two bytes, each with its length in front.
/// struct Numbers;
///
/// impl testing::Codec for Numbers {
///     type Decoder = Readings;
///     type Message = u16;
///     fn decoder(&self) -> Readings {
///         readings()
///     }
///     fn own(message: u16) -> u16 {
///         message
///     }
///     fn message(&self, rng: &mut Rng) -> u16 {
///         rng.next_u64() as u16
///     }
///     fn encode(&self, message: &u16, out: &mut Vec<u8>) -> bool {
///         LengthField::be(1).encode(&message.to_be_bytes(), out).is_ok()
///     }
///     fn held_max(&self) -> usize {
///         2
///     }
///     fn refused(&self) -> Vec<Vec<u8>> {
///         vec![vec![3]]
///     }
/// }
///
/// testing::check(&Numbers);
/// ```
pub trait Codec {
    /// The decoder.
    type Decoder: Decode;
    /// A message that outlives its input.
    type Message: PartialEq + Debug;

    /// A fresh decoder, as at the beginning of a connection.
    fn decoder(&self) -> Self::Decoder;

    /// A message, out of the input.
    fn own(message: <Self::Decoder as Decode>::Message<'_>) -> Self::Message;

    /// Adds a message to those before. A decoder that streams (parts of a body) merges it with the last,
    /// since how much one part carries depends on the split.
    fn collect(messages: &mut Vec<Self::Message>, message: <Self::Decoder as Decode>::Message<'_>) {
        messages.push(Self::own(message));
    }

    /// Any message, from a seed: short ones, long ones, those over the limit too.
    fn message(&self, rng: &mut Rng) -> Self::Message;

    /// Puts a message, or nothing and returns false if it has no encoding.
    fn encode(&self, message: &Self::Message, out: &mut Vec<u8>) -> bool;

    /// The most bytes that may lie in the input, untaken, while a message is incomplete. A decoder that
    /// lets more of them gather has a limit that does not hold.
    fn held_max(&self) -> usize;

    /// Inputs that break a limit, or the protocol: each must end with an error.
    fn refused(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// How many messages may follow one another.
    fn messages_max(&self) -> usize {
        8
    }

    /// What an end of the input inside a message is.
    fn ends(&self) -> Ends {
        Ends::Refused
    }
}

/// What a codec makes of an end of the input inside a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ends {
    /// An error from [`Decode::end`], always.
    Refused,
    /// It may be the end of the message.
    Open,
}

/// Holds a codec to everything: use it as the test of every codec.
///
/// - Random messages, encoded one behind the other, are decoded to the same messages, whole, byte by byte,
///   at every split and in random pieces, and the input may end behind each.
/// - Cut off at every byte, such a stream gives the messages that are whole, and what [`Codec::ends`] says
///   of the one that is not.
/// - What [`Codec::refused`] gives is refused, the same way for every split.
/// - Some thousand inputs of random bytes, and of messages with something changed, go through [`fuzz`].
/// - Nowhere do more than [`Codec::held_max`] bytes gather, and no hint asks for more.
///
/// # Panics
///
/// If the codec breaks any of this; the panic names the seed or the bytes.
pub fn check<C: Codec>(codec: &C) {
    for seed in 0..ROUND_TRIPS {
        let mut rng = Rng::new(seed);
        let stream = Stream::random(codec, &mut rng);
        stream.comes_back(codec, seed);
        stream.cut_off(codec, seed);
    }
    for bytes in codec.refused() {
        let run = any_split_with(|| codec.decoder(), &bytes, C::collect);
        let error = run.error.as_ref().map(|error| format!("{error:?}"));
        assert!(error.is_some(), "{} is not refused", Bytes(&bytes));
        let outcome = decode(codec, bytes.chunks(1), false);
        assert_eq!(outcome.error, error, "{} byte by byte", Bytes(&bytes));
    }
    for seed in 0..GARBAGE {
        let mut rng = Rng::new(seed);
        let mut bytes = if rng.chance(1, 4) {
            let mut bytes = alloc::vec![0; rng.below(64) as usize];
            rng.fill(&mut bytes);
            bytes
        } else {
            Stream::random(codec, &mut rng).bytes
        };
        mutate(&mut bytes, &mut rng);
        fuzz(codec, &bytes);
    }
}

/// Any bytes at all: the decoder does not panic, gives the same for every split, and holds no more than it
/// may. The entry for a fuzzer, and for a seeded run without one.
///
/// # Panics
///
/// If the codec breaks this.
pub fn fuzz<C: Codec>(codec: &C, bytes: &[u8]) {
    let whole = decode(codec, iter::once(bytes), false);
    // The splits follow from the bytes, so that a fuzzer's input says everything.
    let seed =
        bytes.iter().fold(0, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    for waits in [false, true] {
        if bytes.len() <= EVERY_SPLIT_MAX {
            let bytewise = decode(codec, bytes.chunks(1), waits);
            assert_eq!(bytewise, whole, "byte by byte on the left, one piece on the right: {}", Bytes(bytes));
        }
        for seed in [seed, !seed] {
            let pieces = decode(codec, random_pieces(bytes, seed), waits);
            assert_eq!(pieces, whole, "in pieces on the left, one piece on the right: {}", Bytes(bytes));
        }
    }
}

/// What a codec made of an input and its end.
#[derive(PartialEq, Debug)]
struct Outcome<M> {
    messages: Vec<M>,
    error: Option<String>,
    // Of those messages, the ones that were there before the end.
    before_end: usize,
    // What the end said, if it was reached.
    end: Option<Result<(), String>>,
}

/// Feeds `pieces`, and tells the decoder that nothing follows.
fn decode<'p, C: Codec>(
    codec: &C,
    pieces: impl IntoIterator<Item = &'p [u8]>,
    waits: bool,
) -> Outcome<C::Message> {
    let mut decoder = codec.decoder();
    let mut pending = Vec::new();
    let run = feed_as(&mut decoder, pieces, &mut pending, waits, codec.held_max(), C::collect);
    let Run { mut messages, error, .. } = run;
    let before_end = messages.len();
    if let Some(error) = error {
        return Outcome { messages, error: Some(format!("{error:?}")), before_end, end: None };
    }
    let mut input = Input::new(&mut pending);
    let mut last = 0;
    let end = loop {
        match decoder.end(&mut input) {
            Ok(Some(message)) => C::collect(&mut messages, message),
            Ok(None) => break Ok(()),
            Err(error) => break Err(format!("{error:?}")),
        }
        last += 1;
        assert!(last <= LAST_MESSAGES_MAX, "at its end the decoder gives message after message");
    };
    Outcome { messages, error: None, before_end, end: Some(end) }
}

/// Messages, and their bytes.
struct Stream<M> {
    messages: Vec<M>,
    bytes: Vec<u8>,
    // Where each message's bytes end.
    ends: Vec<usize>,
}

impl<M: PartialEq + Debug> Stream<M> {
    fn random<C: Codec<Message = M>>(codec: &C, rng: &mut Rng) -> Stream<M> {
        let mut stream = Stream { messages: Vec::new(), bytes: Vec::new(), ends: Vec::new() };
        for _ in 0..rng.below(codec.messages_max() as u64 + 1) {
            if stream.bytes.len() > STREAM_BYTES {
                break;
            }
            let message = codec.message(rng);
            let before = stream.bytes.len();
            if codec.encode(&message, &mut stream.bytes) {
                stream.messages.push(message);
                stream.ends.push(stream.bytes.len());
            } else {
                assert_eq!(stream.bytes.len(), before, "{message:?} is refused, and something was put");
            }
        }
        stream
    }

    fn comes_back<C: Codec<Message = M>>(&self, codec: &C, seed: u64) {
        let run = any_split_with(|| codec.decoder(), &self.bytes, C::collect);
        assert_eq!(run.messages, self.messages, "what was encoded on the right, seed {seed}");
        let error = run.error.map(|error| format!("{error:?}"));
        assert_eq!(
            (error, run.left),
            (None, 0),
            "encoded messages are decoded to the last byte, seed {seed}"
        );
    }

    fn cut_off<C: Codec<Message = M>>(&self, codec: &C, seed: u64) {
        for at in 0..=self.bytes.len() {
            let bytes = &self.bytes[..at];
            let outcome = decode(codec, iter::once(bytes), false);
            let bytewise = decode(codec, bytes.chunks(1), true);
            assert_eq!(bytewise, outcome, "byte by byte on the left, cut off at {at}, seed {seed}");
            assert_eq!(outcome.error, None, "cut off at {at}, seed {seed}");
            let whole = self.ends.iter().filter(|end| **end <= at).count();
            if codec.ends() == Ends::Refused {
                assert_eq!(outcome.messages, self.messages[..whole], "cut off at {at}, seed {seed}");
            }
            let between = at == 0 || self.ends.contains(&at);
            match outcome.end {
                Some(Ok(())) if !between && codec.ends() == Ends::Refused => {
                    panic!("the input ends inside a message, at {at}, and nothing is said, seed {seed}")
                }
                Some(Err(error)) if between => {
                    panic!("the input ends behind a message, at {at}, and that is {error}, seed {seed}")
                }
                _ => {}
            }
        }
    }
}

/// Changes some of the bytes, or none.
fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..rng.below(4) {
        let at = rng.below(bytes.len() as u64 + 1) as usize;
        let byte = rng.next_u64() as u8;
        match rng.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, byte),
            2 => bytes.extend_from_within(at..),
            3 if at < bytes.len() => bytes[at] ^= 1 << (byte & 7),
            _ if at < bytes.len() => bytes[at] = byte,
            _ => {}
        }
    }
}

/// Bytes as a panic shows them.
struct Bytes<'b>(&'b [u8]);

impl core::fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

//! Tests of [`crate::testing`]: it sees what a decoder can get wrong.

use alloc::vec;
use alloc::vec::Vec;
use core::convert::Infallible;

use crate::testing::{EVERY_SPLIT_MAX, Rng, any_split, any_split_with, feed};
use crate::{Decode, Input};

/// A length byte and as many bytes, with one thing wrong.
#[derive(Clone, Copy, Default)]
struct Sized {
    takes_length_early: bool,
    never_waits: bool,
    hints_too_much: bool,
    hints_too_little: bool,
    never_takes: bool,
    forgets: bool,
    calls: usize,
}

impl Decode for Sized {
    type Message<'b> = &'b mut [u8];
    type Error = Infallible;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, Infallible> {
        self.calls += 1;
        if self.never_takes {
            return Ok(input.take(0));
        }
        let Some(&len) = input.peek().first() else { return Ok(None) };
        let total = usize::from(len) + 1;
        if self.takes_length_early {
            input.skip(1);
            return Ok(input.take(total - 1));
        }
        if self.forgets && self.calls > 12 {
            return Ok(None);
        }
        if input.len() < total {
            if self.never_waits {
                return Ok(Some(input.take_all()));
            }
            let wrong = usize::from(self.hints_too_much) * 5;
            input.need(if self.hints_too_little { input.len() } else { total + wrong });
            return Ok(None);
        }
        Ok(input.take(total).map(|bytes| &mut bytes[1..]))
    }
}

const BYTES: &[u8] = b"\x03abc\x00\x01d\x05efghi\x02j";

fn split(decoder: Sized) -> Vec<Vec<u8>> {
    any_split(|| decoder, BYTES, |message| message.to_vec()).messages
}

#[test]
fn passes_a_decoder_that_keeps_the_contract() {
    assert_eq!(split(Sized::default()), [&b"abc"[..], b"", b"d", b"efghi"]);
}

#[test]
#[should_panic(expected = "messages on the left")]
fn sees_bytes_taken_before_the_message_is_whole() {
    split(Sized { takes_length_early: true, ..Sized::default() });
}

#[test]
#[should_panic(expected = "messages on the left")]
fn sees_a_message_that_is_not_whole() {
    split(Sized { never_waits: true, ..Sized::default() });
}

#[test]
#[should_panic(expected = "messages on the left")]
fn sees_a_message_lost_after_many_pieces() {
    split(Sized { forgets: true, ..Sized::default() });
}

#[test]
#[should_panic(expected = "before the")]
fn sees_a_hint_that_asks_for_too_much() {
    split(Sized { hints_too_much: true, ..Sized::default() });
}

#[test]
#[should_panic(expected = "the decoder waits")]
fn sees_a_hint_that_asks_for_what_is_there() {
    split(Sized { hints_too_little: true, ..Sized::default() });
}

#[test]
#[should_panic(expected = "takes no bytes")]
fn sees_messages_without_end() {
    split(Sized { never_takes: true, ..Sized::default() });
}

/// Gives whatever is there, until a zero.
struct Stream;

#[derive(Debug, PartialEq)]
struct Zero;

impl core::fmt::Display for Zero {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a zero")
    }
}

impl core::error::Error for Zero {}

impl Decode for Stream {
    type Message<'b> = &'b mut [u8];
    type Error = Zero;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, Zero> {
        match input.find(0) {
            Some(0) => Err(Zero),
            Some(at) => Ok(input.take(at)),
            None if input.is_empty() => Ok(None),
            None => Ok(Some(input.take_all())),
        }
    }
}

#[test]
fn streams_are_merged_before_they_are_compared() {
    let run =
        any_split_with(|| Stream, b"abcdefgh\0ij", |all: &mut Vec<u8>, part| all.extend_from_slice(part));
    assert_eq!((run.messages, run.error), (b"abcdefgh".to_vec(), Some(Zero)));
}

#[test]
#[should_panic(expected = "messages on the left")]
fn streams_differ_while_they_are_not_merged() {
    any_split(|| Stream, b"abcdefgh", |part| part.to_vec());
}

#[test]
fn feed_brings_back_what_was_left_and_stops_at_the_error() {
    let run = feed(Sized::default(), [&b"\x02"[..], b"a", b"", b"b\x04cd"], |messages, message| {
        messages.push(message.to_vec());
    });
    assert_eq!((run.messages, run.error, run.left), (vec![b"ab".to_vec()], None, 3));

    let run = feed(Stream, [&b"a\0b"[..], b"c"], |messages, part| messages.push(part.to_vec()));
    assert_eq!((run.messages, run.error, run.left), (vec![b"a".to_vec()], Some(Zero), 2));
}

#[test]
fn long_input_is_split_at_a_sample_of_places() {
    let bytes: Vec<u8> = BYTES[..5].iter().copied().cycle().take(EVERY_SPLIT_MAX * 2).collect();
    let run = any_split(Sized::default, &bytes, |message| message.len());
    assert_eq!(run.messages.len(), 2 * EVERY_SPLIT_MAX / 5 * 2);
}

#[test]
fn the_generator_is_splitmix64() {
    // The first numbers of seed 1234567 in the reference implementation.
    let mut rng = Rng::new(1_234_567);
    assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
    assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
    assert_eq!(rng.next_u64(), 9_817_491_932_198_370_423);
}

#[test]
fn the_generator_stays_in_its_bounds() {
    let mut rng = Rng::new(0);
    let mut seen = [0_u32; 6];
    for _ in 0..6_000 {
        seen[rng.below(6) as usize] += 1;
    }
    assert!(seen.iter().all(|&times| (800..1200).contains(&times)), "{seen:?}");
    assert_eq!(rng.below(0), 0);
    assert_eq!(rng.below(1), 0);
    assert!((0..100).all(|_| rng.chance(1, 1) && !rng.chance(0, 1)));
    let mut bytes = [0; 19];
    rng.fill(&mut bytes);
    assert!(bytes.iter().filter(|&&byte| byte == 0).count() < 4);
}

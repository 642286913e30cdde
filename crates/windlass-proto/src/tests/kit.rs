//! Tests of [`crate::testing::check`]: it sees what a codec can get wrong.

use alloc::vec::Vec;

use crate::framing::{Fixed, FrameError, LengthField};
use crate::testing::{Frames, check, fuzz};
use crate::{Decode, Encode, EncodeError, Input, Put};

/// A length byte and as many bytes, with one thing wrong.
#[derive(Clone, Copy)]
enum Wrong {
    Nothing,
    NoLimit,
    LimitTooLate,
    EndsAnywhere,
    EndsNowhere,
    HalfPut,
    Repeats,
    LosesTheEmpty,
    EndsWithoutEnd,
}

const MAX: usize = 20;

fn frames(wrong: Wrong) -> Frames<Wrong> {
    Frames::new(wrong, MAX).lengths(0..=MAX + 2)
}

impl Decode for Wrong {
    type Message<'b> = &'b mut [u8];
    type Error = FrameError;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, FrameError> {
        let Some(&len) = input.peek().first() else { return Ok(None) };
        let total = usize::from(len) + 1;
        let checked = match self {
            Wrong::NoLimit => false,
            Wrong::LimitTooLate => input.len() >= total,
            _ => true,
        };
        if total > MAX + 1 && checked {
            return Err(FrameError::TooLong { max: MAX });
        }
        if let (Wrong::LosesTheEmpty, 1, 2..) = (*self, total, input.len()) {
            input.skip(1);
            return self.decode(input);
        }
        Ok(input.take(total).map(|bytes| &mut bytes[1..]))
    }

    fn end<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, FrameError> {
        match self {
            Wrong::EndsAnywhere => Ok(None),
            Wrong::EndsWithoutEnd => Ok(Some(input.take_all())),
            Wrong::EndsNowhere => Err(FrameError::Truncated),
            _ if input.is_empty() => Ok(None),
            _ => Err(FrameError::Truncated),
        }
    }
}

impl Encode<[u8]> for Wrong {
    fn encode(&mut self, message: &[u8], out: &mut (impl Put + ?Sized)) -> Result<(), EncodeError> {
        if let Wrong::HalfPut = self {
            out.put(&[message.len() as u8]);
        }
        if message.len() > MAX {
            return Err(EncodeError::TooLong { max: MAX });
        }
        if !matches!(self, Wrong::HalfPut) {
            out.put(&[message.len() as u8]);
        }
        out.put(message);
        if let (Wrong::Repeats, [0 | 1, ..]) = (&self, message) {
            out.put(&[0]);
        }
        Ok(())
    }
}

#[test]
fn passes_a_codec_that_keeps_the_contract() {
    check(&frames(Wrong::Nothing).refused(&[21]));
    fuzz(&frames(Wrong::Nothing), b"\x02ab\x03c");
}

#[test]
#[should_panic(expected = "where 20 may be held")]
fn sees_a_limit_that_is_not_kept() {
    check(&frames(Wrong::NoLimit));
}

#[test]
#[should_panic(expected = "where 20 may be held")]
fn sees_a_limit_that_is_kept_only_once_everything_is_there() {
    check(&frames(Wrong::LimitTooLate));
}

#[test]
#[should_panic(expected = "may be held")]
fn sees_a_hint_over_the_limit() {
    fuzz(&Frames::new(LengthField::be(4).max(100), 40), &[0, 0, 0, 90]);
}

#[test]
#[should_panic(expected = "and nothing is said")]
fn sees_an_end_inside_a_message_that_is_not_told() {
    check(&frames(Wrong::EndsAnywhere));
}

#[test]
#[should_panic(expected = "and that is")]
fn sees_an_end_between_messages_that_is_refused() {
    check(&frames(Wrong::EndsNowhere));
}

#[test]
#[should_panic(expected = "message after message")]
fn sees_an_end_without_end() {
    check(&frames(Wrong::EndsWithoutEnd).open_end());
}

#[test]
#[should_panic(expected = "is refused, and something was put")]
fn sees_an_encoder_that_puts_half_a_message() {
    check(&frames(Wrong::HalfPut));
}

#[test]
#[should_panic(expected = "what was encoded on the right")]
fn sees_an_encoder_that_puts_too_much() {
    check(&frames(Wrong::Repeats));
}

#[test]
#[should_panic(expected = "messages on the left")]
fn sees_a_message_that_depends_on_what_is_behind_it() {
    check(&frames(Wrong::LosesTheEmpty));
}

#[test]
#[should_panic(expected = "is not refused")]
fn sees_what_is_not_refused() {
    check(&Frames::new(Fixed::bytes(2), 1).lengths(2..=2).refused(b"ab"));
}

#[test]
fn a_stream_of_bytes_may_be_put_anywhere() {
    fn put_twice(mut out: impl Put) {
        out.put(b"a");
        out.put(b"b");
    }
    let mut out = Vec::new();
    put_twice(&mut out);
    put_twice(&mut &mut out);
    assert_eq!(out, b"abab");
}

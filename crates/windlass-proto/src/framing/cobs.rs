//! Consistent Overhead Byte Stuffing: frames without a zero, and a zero behind each.

use memchr::memchr;

use super::{FrameError, ended};
use crate::{Decode, Encode, EncodeError, Input, Put};

/// The longest run of bytes that one code byte stands for.
const RUN_MAX: usize = 254;

/// COBS (Cheshire and Baker, 1999): zeros are taken out of a message, and one ends it.
///
/// In front of each run of bytes without a zero stands a code: the run's length plus one. A zero follows
/// the run, unless the code is 255 or the frame is over. It costs one byte in 254, whatever the bytes are,
/// and who joins in the middle is in step after the next zero.
///
/// The limit counts the decoded message. A zero behind a zero is no frame and is passed over, so that a
/// sender may begin with one. Decoded in place.
///
/// ```
/// use windlass_proto::framing::{Cobs, FrameError};
/// use windlass_proto::{Decode, Encode, Input};
///
/// let mut bytes = Vec::new();
/// let mut cobs = Cobs::max(100);
/// cobs.encode(&[7, 0, 8, 9], &mut bytes).unwrap();
/// assert_eq!(bytes, [2, 7, 3, 8, 9, 0]);
/// assert_eq!(cobs.decode(&mut Input::new(&mut bytes))?.unwrap(), [7, 0, 8, 9]);
/// # Ok::<(), FrameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cobs {
    max: usize,
    // The bytes at the front of the input that are known to hold no zero.
    scanned: usize,
}

impl Cobs {
    /// Messages of up to `max` bytes, decoded.
    pub const fn max(max: usize) -> Cobs {
        Cobs { max, scanned: 0 }
    }
}

impl Decode for Cobs {
    type Message<'b> = &'b mut [u8];
    type Error = FrameError;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, FrameError> {
        if self.scanned == 0 {
            let zeros = input.peek().iter().take_while(|byte| **byte == 0).count();
            input.skip(zeros);
        }
        // More than this without a zero is more than `max`, however it was encoded: a byte is lost for
        // every whole run of 254, and one for the first code.
        let frame_max = self.max.saturating_add(self.max / RUN_MAX + 1);
        let seen = &input.peek()[..input.len().min(frame_max.saturating_add(1))];
        let from = self.scanned.min(seen.len());
        let Some(zero) = memchr(0, &seen[from..]).map(|at| from + at) else {
            self.scanned = seen.len();
            return if seen.len() > frame_max {
                Err(FrameError::TooLong { max: self.max })
            } else {
                Ok(None)
            };
        };
        self.scanned = 0;
        let Some(bytes) = input.take(zero + 1) else { return Ok(None) };
        let frame = &mut bytes[..zero];
        let len = unstuff(frame).ok_or(FrameError::Malformed)?;
        if len > self.max {
            return Err(FrameError::TooLong { max: self.max });
        }
        Ok(Some(&mut frame[..len]))
    }

    fn end<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, FrameError> {
        ended(input).map(|()| None)
    }
}

/// Decodes to the front of `frame`, which holds no zero, and returns the length; `None` if a code points
/// behind its end.
fn unstuff(frame: &mut [u8]) -> Option<usize> {
    let (mut from, mut to) = (0, 0);
    while from < frame.len() {
        let code = usize::from(frame[from]);
        let end = from + code;
        if end > frame.len() {
            return None;
        }
        frame.copy_within(from + 1..end, to);
        to += code - 1;
        from = end;
        if code <= RUN_MAX && from < frame.len() {
            // Never past `from`: a code was read for it.
            frame[to] = 0;
            to += 1;
        }
    }
    Some(to)
}

impl Encode<[u8]> for Cobs {
    fn encode(&mut self, message: &[u8], out: &mut (impl Put + ?Sized)) -> Result<(), EncodeError> {
        if message.len() > self.max {
            return Err(EncodeError::TooLong { max: self.max });
        }
        let mut rest = message;
        loop {
            let window = &rest[..rest.len().min(RUN_MAX)];
            let zero = memchr(0, window);
            let run = &window[..zero.unwrap_or(window.len())];
            out.put(&[run.len() as u8 + 1]);
            out.put(run);
            rest = &rest[run.len()..];
            match zero {
                // The zero that the code stands for. A run, if only an empty one, follows it.
                Some(_) => rest = &rest[1..],
                None if rest.is_empty() => break,
                None => {}
            }
        }
        out.put(&[0]);
        Ok(())
    }
}

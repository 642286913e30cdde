//! Messages with a delimiter behind each.

use memchr::{memchr, memmem};

use super::{FrameError, ended};
use crate::{Decode, Encode, EncodeError, Input, Put};

/// Messages that end at a delimiter, and are handed out without it.
///
/// The delimiter is one byte or several, kept in whatever is at hand: an array, a `&'static [u8]`, a
/// `Vec<u8>` from a configuration. It ends a message at its first occurrence. An empty message is a
/// message too.
///
/// The limit counts the message without its delimiter, and is a bound from the beginning: a message that
/// cannot keep it any more is refused, whether or not its end has arrived. The search goes on where it
/// stopped, as that of [`Lines`](crate::Lines) does, and under the same condition.
///
/// Nothing is escaped: the encoder refuses a message that holds the delimiter.
///
/// ```
/// use windlass_proto::framing::{Delimited, FrameError};
/// use windlass_proto::{Decode, Input};
///
/// let mut received = *b"one||two||thr|";
/// let mut input = Input::new(&mut received);
/// let mut bars = Delimited::new(b"||", 80);
/// assert_eq!(bars.decode(&mut input)?.unwrap(), b"one");
/// assert_eq!(bars.decode(&mut input)?.unwrap(), b"two");
/// assert!(bars.decode(&mut input)?.is_none());
/// assert_eq!(bars.end(&mut input), Err(FrameError::Truncated));
/// # Ok::<(), FrameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Delimited<D> {
    delimiter: D,
    max: usize,
    open_end: bool,
    // No delimiter ends in this many bytes at the front of the input.
    scanned: usize,
}

impl<D: AsRef<[u8]>> Delimited<D> {
    /// Messages of up to `max` bytes, each with `delimiter` behind it.
    ///
    /// # Panics
    ///
    /// If the delimiter is empty.
    pub fn new(delimiter: D, max: usize) -> Delimited<D> {
        assert!(!delimiter.as_ref().is_empty(), "an empty delimiter ends nothing");
        Delimited { delimiter, max, open_end: false, scanned: 0 }
    }

    /// The end of the input ends a last message too, if it has any bytes. By default it is cut off there:
    /// [`FrameError::Truncated`].
    pub fn open_end(self) -> Delimited<D> {
        Delimited { open_end: true, ..self }
    }
}

impl<D: AsRef<[u8]>> Decode for Delimited<D> {
    type Message<'b> = &'b mut [u8];
    type Error = FrameError;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, FrameError> {
        let delimiter = self.delimiter.as_ref();
        let size = delimiter.len();
        let behind = self.max.saturating_add(size);
        let seen = &input.peek()[..input.len().min(behind)];
        // Looked for by its last byte, so that nothing is read twice when it comes in pieces.
        let last = delimiter[size - 1];
        let mut from = self.scanned.min(seen.len());
        while let Some(at) = memchr(last, &seen[from..]) {
            from += at + 1;
            if seen[..from].ends_with(delimiter) {
                self.scanned = 0;
                return Ok(input.take(from).map(|bytes| &mut bytes[..from - size]));
            }
        }
        self.scanned = seen.len();
        if seen.len() == behind {
            return Err(FrameError::TooLong { max: self.max });
        }
        Ok(None)
    }

    fn end<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, FrameError> {
        if !self.open_end || input.is_empty() {
            return ended(input).map(|()| None);
        }
        if input.len() > self.max {
            return Err(FrameError::TooLong { max: self.max });
        }
        self.scanned = 0;
        Ok(Some(input.take_all()))
    }
}

impl<D: AsRef<[u8]>> Encode<[u8]> for Delimited<D> {
    fn encode(&mut self, message: &[u8], out: &mut (impl Put + ?Sized)) -> Result<(), EncodeError> {
        let delimiter = self.delimiter.as_ref();
        if message.len() > self.max {
            return Err(EncodeError::TooLong { max: self.max });
        }
        // One may also begin in the message and end in its own delimiter: `a|` before `||`.
        let seam = (1..delimiter.len())
            .any(|n| message.ends_with(&delimiter[..n]) && delimiter.starts_with(&delimiter[n..]));
        if seam || memmem::find(message, delimiter).is_some() {
            return Err(EncodeError::Delimiter);
        }
        out.put(message);
        out.put(delimiter);
        Ok(())
    }
}

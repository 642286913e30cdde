//! Lines of text or bytes, ended by LF or CRLF.

use core::error::Error;
use core::fmt;

use memchr::memchr;

use crate::{Decode, Encode, EncodeError, Input, Put};

const MAX_BYTES: usize = 8 * 1024;

/// Decodes lines, each ended by LF or CRLF, as bytes without that ending.
///
/// Only one CR before the LF belongs to the ending: `a\r\r\n` is the line `a\r`, and a CR elsewhere is
/// part of the line. An empty line is a message too. Bytes after the last LF are not a line yet.
///
/// The limit counts the line without its ending. The default is 8 KiB. A line over the limit is refused
/// as soon as that is certain, whether or not its end has arrived, so a peer that never ends its line
/// holds `max + 1` bytes at most.
///
/// The search for the LF goes on where it stopped, so a line that comes byte by byte is read once. For
/// this the bytes left in the input must come back in the next; after taking some by other means, start
/// with a new `Lines`.
///
/// The end of the input inside a line is [`LinesError::Truncated`], unless [`Lines::open_end`] makes what is
/// there the last line.
///
/// ```
/// use windlass_proto::{Decode, Input, Lines, LinesError};
///
/// let mut received = *b"one\ntwo\r\n\nfour";
/// let mut input = Input::new(&mut received);
/// let mut lines = Lines::max(3);
/// let (one, two) = (lines.decode(&mut input)?.unwrap(), lines.decode(&mut input)?.unwrap());
/// assert_eq!((&*one, &*two), (&b"one"[..], &b"two"[..])); // both alive, neither copied
/// assert_eq!(lines.decode(&mut input)?.unwrap(), b"");
/// assert_eq!(lines.decode(&mut input), Err(LinesError::TooLong { max: 3 }));
/// # Ok::<(), LinesError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Lines {
    max: usize,
    crlf: bool,
    open_end: bool,
    // The bytes at the front of the input that are known to hold no LF.
    scanned: usize,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinesError {
    /// The line, without its ending, is longer than the limit.
    TooLong {
        /// The limit, in bytes.
        max: usize,
    },
    /// The input ended inside it.
    Truncated,
}

impl Lines {
    /// Lines of up to `max` bytes each, without their ending.
    #[inline]
    pub const fn max(max: usize) -> Lines {
        Lines { max, crlf: false, open_end: false, scanned: 0 }
    }

    /// The encoder ends its lines with CRLF, and not with LF alone. Decoding takes either.
    #[inline]
    pub const fn crlf(self) -> Lines {
        Lines { crlf: true, ..self }
    }

    /// The end of the input ends a last line too, if it has any bytes. A CR at its end is part of it.
    #[inline]
    pub const fn open_end(self) -> Lines {
        Lines { open_end: true, ..self }
    }
}

/// Lines of up to 8 KiB.
impl Default for Lines {
    fn default() -> Lines {
        Lines::max(MAX_BYTES)
    }
}

impl Decode for Lines {
    type Message<'b> = &'b mut [u8];
    type Error = LinesError;

    #[inline]
    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, LinesError> {
        // Behind the longest line and CRLF nothing can change the answer.
        let window = input.len().min(self.max.saturating_add(2));
        let seen = &input.peek()[..window];
        let from = self.scanned.min(window);
        let found = memchr(b'\n', &seen[from..]).map(|at| from + at);
        let end = found.unwrap_or(window);
        self.scanned = end;
        // While the LF is missing, a CR at the end may turn out to belong to it.
        let line = seen[..end].strip_suffix(b"\r").unwrap_or(&seen[..end]).len();
        if line > self.max {
            return Err(LinesError::TooLong { max: self.max });
        }
        if found.is_none() {
            return Ok(None);
        }
        self.scanned = 0;
        Ok(input.take(end + 1).map(|bytes| &mut bytes[..line]))
    }

    fn end<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, LinesError> {
        if input.is_empty() {
            return Ok(None);
        }
        if !self.open_end {
            return Err(LinesError::Truncated);
        }
        if input.len() > self.max {
            return Err(LinesError::TooLong { max: self.max });
        }
        self.scanned = 0;
        Ok(Some(input.take_all()))
    }
}

/// Refuses a line that holds a LF, or, where LF alone ends it, ends with a CR.
impl Encode<[u8]> for Lines {
    fn encode(&mut self, line: &[u8], out: &mut (impl Put + ?Sized)) -> Result<(), EncodeError> {
        if line.len() > self.max {
            return Err(EncodeError::TooLong { max: self.max });
        }
        if memchr(b'\n', line).is_some() || (!self.crlf && line.ends_with(b"\r")) {
            return Err(EncodeError::Delimiter);
        }
        out.put(line);
        out.put(if self.crlf { b"\r\n" } else { b"\n" });
        Ok(())
    }
}

impl LinesError {
    /// A short stable name, fit for a metric's label.
    pub const fn label(&self) -> &'static str {
        match self {
            LinesError::TooLong { .. } => "too_long",
            LinesError::Truncated => "truncated",
        }
    }
}

impl fmt::Display for LinesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinesError::TooLong { max } => write!(f, "line longer than {max} bytes"),
            LinesError::Truncated => f.write_str("input ended inside a line"),
        }
    }
}

impl Error for LinesError {}

//! What a client sends: commands, as an array of bulk strings or as a line of words.

use core::iter::FusedIterator;

use memchr::memchr;

use super::error::RespError;
use super::inline;
use super::number::{parse_decimal, short_count};
use crate::{Decode, Input};

/// What bounds a command or a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RespLimits {
    /// Arguments of a command, or elements of an array. Default 1,048,576.
    pub args_max: usize,
    /// Bytes of one argument, or of a bulk string. Default 512 MiB, as in Redis.
    pub bulk_max: usize,
    /// Bytes of an inline command or of any other line, up to 65,535. Default 65,535.
    pub inline_max: usize,
    /// Arrays in arrays, in a reply; at most 32. Default 32.
    pub depth_max: usize,
}

impl Default for RespLimits {
    fn default() -> RespLimits {
        RespLimits { args_max: 1 << 20, bulk_max: 512 << 20, inline_max: INLINE_MAX, depth_max: DEPTH_MAX }
    }
}

/// Lengths of quoted words are written in two bytes.
const INLINE_MAX: usize = 65_535;
/// What [`Replies`](super::Replies) keeps a place for.
pub(super) const DEPTH_MAX: usize = 32;

/// What a peer may send before it has said who it is, as in Redis.
const UNAUTHENTICATED_ARGS: usize = 10;
const UNAUTHENTICATED_BULK: usize = 16_384;

/// Decodes what clients send, as [`Command`]s.
///
/// A limit that a length announces is refused when the length is read, before its bytes have come and
/// before anything is kept for them. Empty commands (`*0`, an empty line) are passed over, as Redis does.
/// A command that comes in pieces is read once: the decoder knows how many of its arguments have come,
/// and the bytes left in the input must come back.
#[derive(Clone, Debug, Default)]
pub struct Commands {
    limits: RespLimits,
    unauthenticated: bool,
    /// Of the command that has begun: arguments in all, and still to come.
    args: usize,
    left: usize,
    /// Where the first argument begins, from the front of the input, and the next; the length of that, if
    /// it has been read.
    head: usize,
    at: usize,
    bulk: Option<usize>,
    /// Up to where an end of line was looked for and not found.
    scanned: usize,
}

impl Commands {
    /// A decoder with these limits.
    pub fn new(limits: RespLimits) -> Commands {
        let inline_max = limits.inline_max.min(INLINE_MAX);
        Commands { limits: RespLimits { inline_max, ..limits }, ..Commands::default() }
    }

    /// Whether the peer has yet to say who it is: it may send 10 arguments of 16 KiB until then, as in
    /// Redis.
    pub fn set_unauthenticated(&mut self, unauthenticated: bool) {
        self.unauthenticated = unauthenticated;
    }

    /// Reads the number in the line at `at`, and where the line ends; `None` while it has not ended.
    #[inline]
    fn count(&mut self, bytes: &[u8], at: usize, kind: Count) -> Result<Option<(i64, usize)>, RespError> {
        if let Some((count, taken)) = short_count(&bytes[at + 1..]) {
            self.scanned = 0;
            return Ok(Some((count as i64, at + 1 + taken)));
        }
        self.odd_count(bytes, at, kind)
    }

    /// The same for what is incomplete, or not a usual number.
    #[cold]
    fn odd_count(&mut self, bytes: &[u8], at: usize, kind: Count) -> Result<Option<(i64, usize)>, RespError> {
        let Some(end) = line_end(bytes, at, self.limits.inline_max, &mut self.scanned) else {
            let too_big = bytes.len() - at > self.limits.inline_max;
            return if too_big { Err(kind.too_big()) } else { Ok(None) };
        };
        match bytes.get(end + 1) {
            None => return Ok(None),
            Some(b'\n') => {}
            Some(_) => return Err(kind.invalid()),
        }
        self.scanned = 0;
        match parse_decimal(&bytes[at + 1..end]) {
            Some(count) => Ok(Some((count, end + 2))),
            None => Err(kind.invalid()),
        }
    }

    /// Begins a command of several arguments. False while its first line is incomplete.
    #[inline]
    fn begin(&mut self, input: &mut Input<'_>) -> Result<bool, RespError> {
        loop {
            if input.peek().first() != Some(&b'*') {
                return Ok(false);
            }
            let Some((count, next)) = self.count(input.peek(), 0, Count::Args)? else { return Ok(false) };
            if count > self.limits.args_max as i64 {
                return Err(RespError::InvalidCount);
            }
            if self.unauthenticated && count > UNAUTHENTICATED_ARGS as i64 {
                return Err(RespError::UnauthenticatedCount);
            }
            if count > 0 {
                (self.args, self.left, self.bulk) = (count as usize, count as usize, None);
                (self.head, self.at) = (next, next);
                return Ok(true);
            }
            input.skip(next);
        }
    }

    /// Goes over the arguments that have come. True when that was the last.
    #[inline]
    fn arguments(&mut self, input: &mut Input<'_>) -> Result<bool, RespError> {
        while self.left > 0 {
            let bytes = input.peek();
            let (len, body) = match self.bulk {
                Some(len) => (len, self.at),
                None => {
                    match bytes.get(self.at) {
                        None => return Ok(false),
                        Some(b'$') => {}
                        Some(&byte) => return Err(RespError::ExpectedBulk(byte)),
                    }
                    let Some((len, body)) = self.count(bytes, self.at, Count::Bulk)? else {
                        return Ok(false);
                    };
                    if len < 0 || len as usize > self.limits.bulk_max {
                        return Err(RespError::InvalidBulkLength);
                    }
                    if self.unauthenticated && len as usize > UNAUTHENTICATED_BULK {
                        return Err(RespError::UnauthenticatedBulkLength);
                    }
                    (len as usize, body)
                }
            };
            let end = body + len;
            match bytes.get(end..end + 2) {
                Some(b"\r\n") => {}
                Some(_) => return Err(RespError::ExpectedEnd),
                None => {
                    if bytes.get(end).is_some_and(|byte| *byte != b'\r') {
                        return Err(RespError::ExpectedEnd);
                    }
                    (self.at, self.bulk) = (body, Some(len));
                    input.need(end + 2);
                    return Ok(false);
                }
            }
            (self.at, self.bulk) = (end + 2, None);
            self.left -= 1;
        }
        Ok(true)
    }

    /// A line of words.
    #[cold]
    fn inline<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Command<'b>>, RespError> {
        loop {
            let bytes = input.peek();
            match bytes.first() {
                None | Some(b'*') => return Ok(None),
                Some(_) => {}
            }
            // The line's end is LF here, and a CR before it belongs to it.
            let window = bytes.len().min(self.limits.inline_max + 1);
            let from = self.scanned.min(window);
            let Some(end) = memchr(b'\n', &bytes[from..window]).map(|at| from + at) else {
                self.scanned = window;
                return match window > self.limits.inline_max {
                    true => Err(RespError::TooBigInline),
                    false => Ok(None),
                };
            };
            self.scanned = 0;
            let Some(line) = input.take(end + 1) else { return Ok(None) };
            let count = inline::rewrite(line)?;
            if count > self.limits.args_max {
                return Err(RespError::InvalidCount);
            }
            if count > 0 {
                return Ok(Some(Command { bytes: line, count, inline: true }));
            }
            if input.peek().first() == Some(&b'*') {
                return Ok(None);
            }
        }
    }
}

impl Decode for Commands {
    type Message<'b> = Command<'b>;
    type Error = RespError;

    #[inline]
    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Command<'b>>, RespError> {
        loop {
            if self.left == 0 && !self.begin(input)? {
                match input.peek().first() {
                    None | Some(b'*') => return Ok(None),
                    Some(_) => {}
                }
                match self.inline(input)? {
                    // Empty lines, and a command of the other form behind them.
                    None if input.peek().first() == Some(&b'*') => continue,
                    other => return Ok(other),
                }
            }
            if !self.arguments(input)? {
                return Ok(None);
            }
            let Some(bytes) = input.take(self.at) else { return Ok(None) };
            return Ok(Some(Command { bytes: &bytes[self.head..], count: self.args, inline: false }));
        }
    }
}

/// Where the CR of the line at `at` stands, within `max` bytes. `scanned` remembers how far it was looked
/// for, from the front of `bytes`.
fn line_end(bytes: &[u8], at: usize, max: usize, scanned: &mut usize) -> Option<usize> {
    let window = bytes.len().min(at + max + 1);
    let from = (*scanned).clamp(at, window);
    let found = memchr(b'\r', &bytes[from..window]).map(|end| from + end);
    *scanned = found.unwrap_or(window);
    found
}

/// Which number a line holds, for the error.
#[derive(Clone, Copy)]
enum Count {
    Args,
    Bulk,
}

impl Count {
    fn too_big(self) -> RespError {
        match self {
            Count::Args => RespError::TooBigCount,
            Count::Bulk => RespError::TooBigBulkCount,
        }
    }

    fn invalid(self) -> RespError {
        match self {
            Count::Args => RespError::InvalidCount,
            Count::Bulk => RespError::InvalidBulkLength,
        }
    }
}

/// A command and its arguments: a view of the bytes it came in.
#[derive(Clone, Copy)]
pub struct Command<'b> {
    bytes: &'b [u8],
    count: usize,
    inline: bool,
}

impl<'b> Command<'b> {
    /// What is to be done: the first word, as it was written.
    #[inline]
    pub fn name(&self) -> &'b [u8] {
        self.args().next().unwrap_or_default()
    }

    /// How many words there are, the name included: at least one.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "there is no empty command")]
    pub fn len(&self) -> usize {
        self.count
    }

    /// The words in order, the name first.
    #[inline]
    pub fn args(&self) -> Args<'b> {
        Args { bytes: self.bytes, left: self.count, inline: self.inline }
    }
}

/// The numbers only: an argument may be a secret.
impl core::fmt::Debug for Command<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Command").field("len", &self.count).field("bytes", &self.bytes.len()).finish()
    }
}

/// The words of a [`Command`].
#[derive(Clone, Debug)]
pub struct Args<'b> {
    bytes: &'b [u8],
    left: usize,
    inline: bool,
}

impl<'b> Iterator for Args<'b> {
    type Item = &'b [u8];

    #[inline]
    fn next(&mut self) -> Option<&'b [u8]> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        if self.inline {
            return inline::next(&mut self.bytes);
        }
        // Checked when it was decoded; what is written in an odd way was refused then, but for lengths of
        // ten digits and more.
        let bytes = self.bytes;
        let (len, head) = match short_count(bytes.get(1..)?) {
            Some((len, taken)) => (len, 1 + taken),
            None => {
                let end = memchr(b'\r', bytes)?;
                (usize::try_from(parse_decimal(&bytes[1..end])?).ok()?, end + 2)
            }
        };
        let arg = bytes.get(head..head + len)?;
        self.bytes = bytes.get(head + len + 2..)?;
        Some(arg)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Args<'_> {}
impl FusedIterator for Args<'_> {}

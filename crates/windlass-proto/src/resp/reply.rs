//! What a server sends: replies, nested to a limited depth.

use memchr::memchr;

use super::command::{DEPTH_MAX, RespLimits};
use super::error::RespError;
use super::number::{parse_decimal, short_count};
use crate::{Decode, Input};

/// Decodes what servers send, as [`Reply`]s: every type of RESP2 and RESP3 but for streamed strings and
/// aggregates, which no server sends.
///
/// A reply is handed out when all of it has come. One that comes in pieces is read once.
#[derive(Clone, Debug, Default)]
pub struct Replies {
    limits: RespLimits,
    /// How many replies are still missing in each open aggregate, outermost first.
    missing: [usize; DEPTH_MAX],
    depth: usize,
    at: usize,
    scanned: usize,
}

impl Replies {
    /// A decoder with these limits.
    pub fn new(limits: RespLimits) -> Replies {
        let depth_max = limits.depth_max.min(DEPTH_MAX);
        Replies { limits: RespLimits { depth_max, ..limits }, ..Replies::default() }
    }

    /// Goes over one piece at `self.at`: a simple reply, or the head of an aggregate.
    fn piece(&mut self, input: &mut Input<'_>) -> Result<Option<Piece>, RespError> {
        let bytes = input.peek();
        let Some(&kind) = bytes.get(self.at) else { return Ok(None) };
        let window = bytes.len().min(self.at + self.limits.inline_max + 1);
        let from = self.scanned.clamp(self.at + 1, window);
        let Some(end) = memchr(b'\r', &bytes[from..window]).map(|end| from + end) else {
            self.scanned = window;
            let too_long = window - self.at > self.limits.inline_max;
            return if too_long { Err(RespError::InvalidSimple) } else { Ok(None) };
        };
        match bytes.get(end + 1) {
            None => {
                self.scanned = end;
                return Ok(None);
            }
            Some(b'\n') => {}
            Some(_) => return Err(RespError::ExpectedEnd),
        }
        let line = &bytes[self.at + 1..end];
        let piece = match kind {
            b'+' | b'-' | b'(' => Piece::Whole,
            b':' if parse_decimal(line).is_some() => Piece::Whole,
            b'_' if line.is_empty() => Piece::Whole,
            b'#' if line == b"t" || line == b"f" => Piece::Whole,
            b',' if double(line).is_some() => Piece::Whole,
            b'$' | b'*' if line == b"-1" => Piece::Whole,
            b'$' | b'=' | b'!' => Piece::Bytes(self.length(line, self.limits.bulk_max)?),
            b'*' | b'~' | b'>' => Piece::Holds(self.length(line, self.limits.args_max)?),
            b'%' => Piece::Holds(2 * self.length(line, self.limits.args_max)?),
            // Attributes stand before a reply, and are one with it.
            b'|' => Piece::Holds(2 * self.length(line, self.limits.args_max)? + 1),
            b':' | b'_' | b'#' | b',' => return Err(RespError::InvalidSimple),
            other => return Err(RespError::UnknownType(other)),
        };
        if let Piece::Bytes(len) = piece {
            let body = end + 2;
            match bytes.get(body + len..body + len + 2) {
                Some(b"\r\n") => self.at = body + len + 2,
                Some(_) => return Err(RespError::ExpectedEnd),
                None if bytes.get(body + len).is_some_and(|byte| *byte != b'\r') => {
                    return Err(RespError::ExpectedEnd);
                }
                None => {
                    // The line is read again: it is short, and its end is known.
                    self.scanned = end;
                    input.need(body + len + 2);
                    return Ok(None);
                }
            }
        } else {
            self.at = end + 2;
        }
        self.scanned = 0;
        Ok(Some(piece))
    }

    fn length(&self, line: &[u8], max: usize) -> Result<usize, RespError> {
        let length = parse_decimal(line).and_then(|length| usize::try_from(length).ok());
        length.filter(|length| *length <= max).ok_or(RespError::InvalidBulkLength)
    }
}

enum Piece {
    Whole,
    Bytes(usize),
    /// So many replies follow in it.
    Holds(usize),
}

impl Decode for Replies {
    type Message<'b> = Reply<'b>;
    type Error = RespError;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Reply<'b>>, RespError> {
        loop {
            let Some(piece) = self.piece(input)? else { return Ok(None) };
            // It is one of those its aggregate waits for.
            if let Some(outer) = self.depth.checked_sub(1) {
                self.missing[outer] -= 1;
            }
            let holds = if let Piece::Holds(n) = piece { n } else { 0 };
            if holds > 0 {
                if self.depth == self.limits.depth_max.min(DEPTH_MAX) {
                    return Err(RespError::TooDeep);
                }
                self.missing[self.depth] = holds;
                self.depth += 1;
                continue;
            }
            while self.depth > 0 && self.missing[self.depth - 1] == 0 {
                self.depth -= 1;
            }
            if self.depth > 0 {
                continue;
            }
            let at = core::mem::take(&mut self.at);
            let Some(bytes) = input.take(at) else { return Ok(None) };
            return Ok(Some(Reply { bytes }));
        }
    }
}

/// One whole reply: a view of the bytes it came in.
#[derive(Clone, Copy)]
pub struct Reply<'b> {
    bytes: &'b [u8],
}

/// What a reply is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Value<'b> {
    /// A line of text.
    Simple(&'b [u8]),
    /// An error: its code in capitals, a space, and what is wrong. Blob errors of RESP3 as well.
    Error(&'b [u8]),
    /// An integer.
    Integer(i64),
    /// Any bytes.
    Bulk(&'b [u8]),
    /// Nothing: `$-1` and `*-1` of RESP2 as well.
    Null,
    /// Replies in order.
    Array(Elements<'b>),
    /// Keys and values in turn.
    Map(Elements<'b>),
    /// Replies in no order.
    Set(Elements<'b>),
    /// What answers nothing: a published message, say.
    Push(Elements<'b>),
    /// A number with a fraction.
    Double(f64),
    /// Yes or no.
    Boolean(bool),
    /// An integer of any size, as it is written.
    BigNumber(&'b [u8]),
    /// Text, and its format in three letters.
    Verbatim(&'b [u8], &'b [u8]),
}

impl<'b> Reply<'b> {
    /// What it is. Attributes before it are passed over.
    pub fn value(&self) -> Value<'b> {
        read(plain(self.bytes)).map_or(Value::Null, |(value, _)| value)
    }

    /// The bytes it came in.
    pub fn as_bytes(&self) -> &'b [u8] {
        self.bytes
    }
}

/// The number of bytes only: a reply may be a secret.
impl core::fmt::Debug for Reply<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Reply").field("bytes", &self.bytes.len()).finish()
    }
}

/// The replies in a reply.
#[derive(Clone)]
pub struct Elements<'b> {
    bytes: &'b [u8],
    left: usize,
}

impl<'b> Iterator for Elements<'b> {
    type Item = Reply<'b>;

    fn next(&mut self) -> Option<Reply<'b>> {
        self.left = self.left.checked_sub(1)?;
        let len = reply_len(self.bytes)?;
        let (reply, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(Reply { bytes: reply })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Elements<'_> {}

impl core::fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Elements").field("len", &self.left).finish()
    }
}

/// The reply behind the attributes at the front.
fn plain(mut bytes: &[u8]) -> &[u8] {
    while let (b'|', Some((Value::Map(attributes), behind))) =
        (bytes.first().copied().unwrap_or(0), read(bytes))
    {
        bytes = behind;
        for _ in 0..attributes.left {
            bytes = bytes.get(reply_len(bytes).unwrap_or(bytes.len())..).unwrap_or_default();
        }
    }
    bytes
}

/// The bytes of the reply at the front, attributes before it included.
fn reply_len(bytes: &[u8]) -> Option<usize> {
    let (mut rest, mut left) = (bytes, 1usize);
    while left > 0 {
        let (value, behind) = read(rest)?;
        left -= 1;
        if let Value::Array(inner) | Value::Map(inner) | Value::Set(inner) | Value::Push(inner) = value {
            left += inner.left + usize::from(rest.starts_with(b"|"));
        }
        rest = behind;
    }
    Some(bytes.len() - rest.len())
}

/// The reply at the front of what was checked before, and what is behind its own line or bytes.
fn read(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let (line, behind) = match short_count(rest) {
        Some((_, taken)) => (&rest[..taken - 2], &rest[taken..]),
        None => {
            let end = memchr(b'\r', rest)?;
            (&rest[..end], rest.get(end + 2..)?)
        }
    };
    let elements = |n: usize| Some(Elements { bytes: behind, left: n });
    let count = || parse_decimal(line).and_then(|n| usize::try_from(n).ok());
    let value = match kind {
        b'+' => Value::Simple(line),
        b'-' => Value::Error(line),
        b'(' => Value::BigNumber(line),
        b':' => Value::Integer(parse_decimal(line)?),
        b'_' => Value::Null,
        b'#' => Value::Boolean(line == b"t"),
        b',' => Value::Double(double(line)?),
        b'$' | b'*' if line == b"-1" => Value::Null,
        b'*' => Value::Array(elements(count()?)?),
        b'~' => Value::Set(elements(count()?)?),
        b'>' => Value::Push(elements(count()?)?),
        b'%' | b'|' => Value::Map(elements(2 * count()?)?),
        _ => {
            let body = behind.get(..count()?)?;
            let behind = behind.get(body.len() + 2..)?;
            let value = match (kind, body) {
                (b'!', error) => Value::Error(error),
                (b'=', [_, _, _, b':', text @ ..]) => Value::Verbatim(&body[..3], text),
                _ => Value::Bulk(body),
            };
            return Some((value, behind));
        }
    };
    Some((value, behind))
}

fn double(line: &[u8]) -> Option<f64> {
    core::str::from_utf8(line).ok()?.parse().ok()
}

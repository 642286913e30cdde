//! Writing: replies in either version of the protocol, and commands.

use alloc::vec::Vec;
use core::fmt::Write as _;

use super::number::decimal;

/// Which version of the protocol a peer speaks: RESP2 until it asks for another with `HELLO`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Version {
    /// RESP2. What it has no type for is written as what stands in for it.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}

/// Appends to a buffer, in one version of the protocol.
///
/// What contains others (an array, a map) is begun with their number, and then written one by one: it is
/// the caller's part that the number is right.
///
/// ```
/// use windlass_proto::resp::{Encoder, Version};
///
/// let mut out = Vec::new();
/// let mut reply = Encoder::new(&mut out, Version::Resp3);
/// reply.map(1);
/// reply.bulk(b"answer");
/// reply.integer(42);
/// assert_eq!(out, b"%1\r\n$6\r\nanswer\r\n:42\r\n");
/// ```
pub struct Encoder<'o> {
    out: &'o mut Vec<u8>,
    version: Version,
}

impl<'o> Encoder<'o> {
    /// Appends to `out`.
    #[inline]
    pub fn new(out: &'o mut Vec<u8>, version: Version) -> Encoder<'o> {
        Encoder { out, version }
    }

    /// The version it writes.
    #[inline]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Bytes written so far to the buffer.
    #[inline]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether the buffer is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Takes back what was written beyond `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.out.truncate(len);
    }

    /// A simple string: a line of text without CR and LF.
    #[inline]
    pub fn simple(&mut self, text: &str) {
        self.out.push(b'+');
        self.line(text);
    }

    /// An error: its code in capitals, a space, and what is wrong.
    pub fn error(&mut self, text: &str) {
        self.out.push(b'-');
        self.line(text);
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, number: i64) {
        self.head(b':', number);
    }

    /// A bulk string: any bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 24);
        self.head(b'$', bytes.len() as i64);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// The line before a bulk string that is sent by other means, CR LF behind it.
    pub fn bulk_head(&mut self, len: usize) {
        self.head(b'$', len as i64);
    }

    /// A number as a bulk string.
    pub fn bulk_integer(&mut self, number: i64) {
        decimal(number, |digits| self.bulk(digits));
    }

    /// Nothing, where there could be a string or a number.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.version {
            Version::Resp2 => b"$-1\r\n",
            Version::Resp3 => b"_\r\n",
        });
    }

    /// Nothing, where there could be an array.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.version {
            Version::Resp2 => b"*-1\r\n",
            Version::Resp3 => b"_\r\n",
        });
    }

    /// Begins an array of `len` replies.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.head(b'*', len as i64);
    }

    /// Begins a map of `len` pairs; in RESP2 an array of twice as many.
    pub fn map(&mut self, len: usize) {
        match self.version {
            Version::Resp2 => self.head(b'*', 2 * len as i64),
            Version::Resp3 => self.head(b'%', len as i64),
        }
    }

    /// Begins a set of `len` replies; in RESP2 an array.
    pub fn set(&mut self, len: usize) {
        self.head(if self.version == Version::Resp3 { b'~' } else { b'*' }, len as i64);
    }

    /// Begins a message of `len` replies that answers nothing; in RESP2 an array.
    pub fn push(&mut self, len: usize) {
        self.head(if self.version == Version::Resp3 { b'>' } else { b'*' }, len as i64);
    }

    /// A number with a fraction; in RESP2 a bulk string.
    pub fn double(&mut self, number: f64) {
        let mut text = Text::default();
        let written = match number {
            f64::INFINITY => text.write_str("inf"),
            f64::NEG_INFINITY => text.write_str("-inf"),
            // As short as it can be without being another number, and never that of a power.
            _ if number.abs() < 1e21 && (number == 0.0 || number.abs() > 1e-7) => write!(text, "{number}"),
            _ => write!(text, "{number:e}"),
        };
        debug_assert!(written.is_ok(), "any of them fits");
        match self.version {
            Version::Resp2 => self.bulk(text.bytes()),
            Version::Resp3 => {
                self.out.push(b',');
                self.out.extend_from_slice(text.bytes());
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Yes or no; in RESP2 1 or 0.
    pub fn boolean(&mut self, yes: bool) {
        match self.version {
            Version::Resp2 => self.integer(i64::from(yes)),
            Version::Resp3 => self.line(if yes { "#t" } else { "#f" }),
        }
    }

    /// Text to be shown as it is; in RESP2 a bulk string.
    pub fn verbatim(&mut self, text: &[u8]) {
        match self.version {
            Version::Resp2 => self.bulk(text),
            Version::Resp3 => {
                self.head(b'=', text.len() as i64 + 4);
                self.out.extend_from_slice(b"txt:");
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// A command, as a client sends it.
    pub fn command(&mut self, args: &[&[u8]]) {
        self.array(args.len());
        for arg in args {
            self.bulk(arg);
        }
    }

    #[inline]
    fn head(&mut self, kind: u8, number: i64) {
        if let 0..=9 = number {
            return self.out.extend_from_slice(&[kind, b'0' + number as u8, b'\r', b'\n']);
        }
        decimal(number, |digits| {
            self.out.reserve(digits.len() + 3);
            self.out.push(kind);
            self.out.extend_from_slice(digits);
            self.out.extend_from_slice(b"\r\n");
        });
    }

    #[inline]
    fn line(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }
}

/// The text of a number, on the stack.
#[derive(Default)]
struct Text {
    bytes: [u8; 32],
    len: usize,
}

impl Text {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl core::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(core::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

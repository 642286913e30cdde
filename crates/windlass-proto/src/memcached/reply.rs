//! What goes back: heads of answers, written into a small buffer on the stack; nothing is allocated.
//!
//! Values are not copied here: an answer is a head, the value, and for text a CRLF.

use super::KEY_MAX;
use super::binary::{HEAD, RESPONSE, Status};
use super::number::{DIGITS_MAX, digits};

/// `VALUE`, the longest key, three numbers, four spaces and CRLF, and some more for meta flags.
const LINE_MAX: usize = KEY_MAX + 262;

/// One line of text, as it is put together. What does not fit is left out; a line of one key and its
/// numbers always fits.
///
/// ```
/// use windlass_proto::memcached::reply::Line;
///
/// let mut line = Line::default();
/// line.value(b"greeting", 5, 11, Some(42));
/// assert_eq!(line.bytes(), b"VALUE greeting 5 11 42\r\n");
/// ```
#[derive(Clone)]
pub struct Line {
    bytes: [u8; LINE_MAX],
    len: usize,
}

impl Default for Line {
    fn default() -> Line {
        Line { bytes: [0; LINE_MAX], len: 0 }
    }
}

impl Line {
    /// What has been put together.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// How many more bytes fit.
    #[inline]
    pub fn room(&self) -> usize {
        LINE_MAX - self.len
    }

    /// Begins anew.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends bytes.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) -> &mut Line {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
        self
    }

    /// Appends a number in decimal.
    #[inline]
    pub fn number(&mut self, number: u64) -> &mut Line {
        if number < 10 {
            return self.put(&[b'0' + number as u8]);
        }
        self.put(digits(number, &mut [0; DIGITS_MAX]))
    }

    /// The line in front of a value: `VALUE <key> <flags> <bytes> [<cas>]`.
    #[inline]
    pub fn value(&mut self, key: &[u8], flags: u32, len: usize, cas: Option<u64>) {
        self.clear();
        self.put(b"VALUE ").put(key).put(b" ").number(flags.into()).put(b" ").number(len as u64);
        if let Some(cas) = cas {
            self.put(b" ").number(cas);
        }
        self.put(b"\r\n");
    }

    /// The line that answers `incr` and `decr`.
    #[inline]
    pub fn counted(&mut self, number: u64) {
        self.clear();
        self.number(number).put(b"\r\n");
    }
}

/// The head of a binary response. Extras, key and value follow it, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response {
    /// Of the request.
    pub opcode: u8,
    /// Of the request.
    pub opaque: u32,
    /// How it went.
    pub status: Status,
    /// The value's number; 0 where there is none.
    pub cas: u64,
    /// Bytes of extras.
    pub extras: u8,
    /// Bytes of the key.
    pub key: u16,
    /// Bytes of the value.
    pub value: u32,
}

impl Response {
    /// A response of nothing but a status, in numbers; its text, if it is to have one, is the value.
    #[inline]
    pub const fn new(opcode: u8, opaque: u32, status: Status) -> Response {
        Response { opcode, opaque, status, cas: 0, extras: 0, key: 0, value: 0 }
    }

    /// The 24 bytes of it.
    ///
    /// ```
    /// use windlass_proto::memcached::{Status, reply::Response};
    ///
    /// let head = Response { value: 9, ..Response::new(0x00, 7, Status::NotFound) }.head();
    /// assert_eq!(head, [0x81, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
    /// ```
    #[inline]
    pub fn head(&self) -> [u8; HEAD] {
        let body = u32::from(self.extras) + u32::from(self.key) + self.value;
        let mut head = [0; HEAD];
        head[0] = RESPONSE;
        head[1] = self.opcode;
        head[2..4].copy_from_slice(&self.key.to_be_bytes());
        head[4] = self.extras;
        head[6..8].copy_from_slice(&(self.status as u16).to_be_bytes());
        head[8..12].copy_from_slice(&body.to_be_bytes());
        head[12..16].copy_from_slice(&self.opaque.to_be_bytes());
        head[16..24].copy_from_slice(&self.cas.to_be_bytes());
        head
    }
}

//! Bodies, written, and held to what their head said.

use alloc::vec::Vec;

use crate::http::encode::{EncodeError, put_line};
use crate::http::headers::{is_token, is_value};

/// A body on its way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BodyOut {
    end: End,
    // To HEAD, or with 304: counted as ever, and not sent.
    silent: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Length(u64),
    Chunked,
    UntilClose,
}

impl BodyOut {
    pub(crate) fn new(end: End, silent: bool) -> BodyOut {
        BodyOut { end, silent }
    }

    /// Whether its end is the end of the connection.
    pub(crate) fn is_until_close(&self) -> bool {
        self.end == End::UntilClose && !self.silent
    }

    /// Before a piece of `len` bytes; whether the piece is to be sent.
    pub(crate) fn begin(&mut self, out: &mut Vec<u8>, len: usize) -> Result<bool, EncodeError> {
        if let End::Length(left) = &mut self.end {
            *left = left.checked_sub(len as u64).ok_or(EncodeError::Length)?;
        }
        // A chunk of no bytes would be the last.
        if self.silent || len == 0 {
            return Ok(false);
        }
        if self.end == End::Chunked {
            put_hex(out, len);
            out.extend_from_slice(b"\r\n");
        }
        Ok(true)
    }

    /// Behind it, if it was sent.
    pub(crate) fn end(&self, out: &mut Vec<u8>) {
        if self.end == End::Chunked {
            out.extend_from_slice(b"\r\n");
        }
    }

    pub(crate) fn write(&mut self, out: &mut Vec<u8>, piece: &[u8]) -> Result<(), EncodeError> {
        if self.begin(out, piece.len())? {
            out.extend_from_slice(piece);
            self.end(out);
        }
        Ok(())
    }

    /// Behind the last piece.
    pub(crate) fn finish(&self, out: &mut Vec<u8>, trailers: &[(&str, &[u8])]) -> Result<(), EncodeError> {
        match self.end {
            End::Length(1..) => return Err(EncodeError::Length),
            End::Length(0) | End::UntilClose if !trailers.is_empty() => return Err(EncodeError::State),
            End::Chunked => {}
            End::Length(0) | End::UntilClose => return Ok(()),
        }
        for (name, value) in trailers {
            if !is_token(name.as_bytes()) {
                return Err(EncodeError::HeaderName);
            }
            if !is_value(value) {
                return Err(EncodeError::HeaderValue);
            }
        }
        if !self.silent {
            out.extend_from_slice(b"0\r\n");
            for (name, value) in trailers {
                put_line(out, name, value);
            }
            out.extend_from_slice(b"\r\n");
        }
        Ok(())
    }
}

fn put_hex(out: &mut Vec<u8>, number: usize) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for at in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(number >> (4 * at)) & 15]);
    }
}

//! Ready frames: the ways in which protocols mark where a message ends.
//!
//! Each is a plain value that is both a [`Decode`] and an [`Encode`], holds no bytes, and allocates
//! nothing. Messages are borrowed from the input, and where a framing has escapes they are undone in
//! place. Read [`LengthField`] first, the commonest; [`Lines`](crate::Lines) stands beside this module.
//!
//! | | a message ends | bytes an incomplete one may hold |
//! | --- | --- | --- |
//! | [`Lines`](crate::Lines) | at LF or CRLF | `max + 1` |
//! | [`Delimited`] | at a delimiter of `n` bytes | `max + n - 1` |
//! | [`Fixed`] | after so many bytes | one less |
//! | [`LengthField`] | where its header says, as a number or a varint | `max - 1` |
//! | [`OctetCounted`] | where decimal digits in front of it say (RFC 6587) | `max`, and the digits |
//! | [`Cobs`] | at a zero, which is nowhere else | `max + max / 254 + 1` |
//! | [`Slip`] | at 0xC0, escaped elsewhere (RFC 1055) | `2 * max` |
//!
//! The limit is checked as early as it can be: where a length comes first, before a byte of the body is
//! there, and before the hint ([`Input::need`]) that would have somebody wait for it.
//!
//! An end of the input inside a message is [`FrameError::Truncated`], from [`Decode::end`].

mod cobs;
mod delimited;
mod fixed;
mod length;
mod octets;
mod slip;

use core::error::Error;
use core::fmt;

pub use cobs::Cobs;
pub use delimited::Delimited;
pub use fixed::Fixed;
pub use length::LengthField;
pub use octets::OctetCounted;
pub use slip::Slip;

#[cfg(doc)]
use crate::{Decode, Encode};

use crate::Input;

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// It is longer than the limit.
    TooLong {
        /// The limit, in bytes.
        max: usize,
    },
    /// It says that it is shorter than its own header.
    TooShort,
    /// It holds what no encoder writes: a length that is no number, an escape or a code that means nothing.
    Malformed,
    /// The input ended inside it.
    Truncated,
}

impl FrameError {
    /// A short stable name, fit for a metric's label.
    pub const fn label(&self) -> &'static str {
        match self {
            FrameError::TooLong { .. } => "too_long",
            FrameError::TooShort => "too_short",
            FrameError::Malformed => "malformed",
            FrameError::Truncated => "truncated",
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::TooLong { max } => write!(f, "frame longer than {max} bytes"),
            FrameError::TooShort => f.write_str("frame shorter than its own header"),
            FrameError::Malformed => f.write_str("malformed frame"),
            FrameError::Truncated => f.write_str("input ended inside a frame"),
        }
    }
}

impl Error for FrameError {}

/// What is left when nothing follows is the beginning of a frame.
fn ended(input: &Input<'_>) -> Result<(), FrameError> {
    if input.is_empty() { Ok(()) } else { Err(FrameError::Truncated) }
}

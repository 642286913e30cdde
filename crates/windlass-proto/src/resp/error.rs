//! What a peer can do wrong.

use core::error::Error;
use core::fmt;

/// How a peer broke the protocol. Its text is what Redis says for it, to be sent behind `-ERR `.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RespError {
    /// An inline command longer than [`RespLimits::inline_max`](super::RespLimits::inline_max).
    TooBigInline,
    /// An inline command with a quote that is not closed, or goes on behind its closing.
    UnbalancedQuotes,
    /// A number of arguments whose line does not end.
    TooBigCount,
    /// A number of arguments that is none, or over [`RespLimits::args_max`](super::RespLimits::args_max).
    InvalidCount,
    /// A length whose line does not end.
    TooBigBulkCount,
    /// Something else where the length of an argument belongs.
    ExpectedBulk(u8),
    /// A length that is none, or over [`RespLimits::bulk_max`](super::RespLimits::bulk_max).
    InvalidBulkLength,
    /// Something else where CR LF belongs.
    ExpectedEnd,
    /// More arguments than a peer may send that has not said who it is.
    UnauthenticatedCount,
    /// A longer argument than such a peer may send.
    UnauthenticatedBulkLength,
    /// A reply of a type there is not.
    UnknownType(u8),
    /// Replies in replies, deeper than [`RespLimits::depth_max`](super::RespLimits::depth_max).
    TooDeep,
    /// A reply of a simple type that is not written as it must be.
    InvalidSimple,
}

impl RespError {
    /// A short stable name, fit for a metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            RespError::TooBigInline => "inline_too_big",
            RespError::UnbalancedQuotes => "unbalanced_quotes",
            RespError::TooBigCount => "count_too_big",
            RespError::InvalidCount => "invalid_count",
            RespError::TooBigBulkCount => "bulk_count_too_big",
            RespError::ExpectedBulk(_) => "expected_bulk",
            RespError::InvalidBulkLength => "invalid_bulk_length",
            RespError::ExpectedEnd => "expected_end",
            RespError::UnauthenticatedCount => "unauthenticated_count",
            RespError::UnauthenticatedBulkLength => "unauthenticated_bulk_length",
            RespError::UnknownType(_) => "unknown_type",
            RespError::TooDeep => "too_deep",
            RespError::InvalidSimple => "invalid_simple",
        }
    }
}

impl fmt::Display for RespError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        f.write_str(match self {
            RespError::TooBigInline => "too big inline request",
            RespError::UnbalancedQuotes => "unbalanced quotes in request",
            RespError::TooBigCount => "too big mbulk count string",
            RespError::InvalidCount => "invalid multibulk length",
            RespError::TooBigBulkCount => "too big bulk count string",
            // Only what can be shown: it ends up in a line of text.
            RespError::ExpectedBulk(byte) => {
                let shown = if byte.is_ascii_graphic() { char::from(*byte) } else { ' ' };
                return write!(f, "expected '$', got '{shown}'");
            }
            RespError::InvalidBulkLength => "invalid bulk length",
            RespError::ExpectedEnd => "expected CRLF",
            RespError::UnauthenticatedCount => "unauthenticated multibulk length",
            RespError::UnauthenticatedBulkLength => "unauthenticated bulk length",
            RespError::UnknownType(byte) => return write!(f, "unknown reply type 0x{byte:02x}"),
            RespError::TooDeep => "replies nested too deep",
            RespError::InvalidSimple => "invalid simple reply",
        })
    }
}

impl Error for RespError {}

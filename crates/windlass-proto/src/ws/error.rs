//! What a peer can do wrong in an open WebSocket.

use core::error::Error;
use core::fmt;

use super::close::CloseCode;

/// Why a WebSocket has failed. The connection ends; [`close_code`](WsError::close_code) tells the peer why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WsError {
    /// A reserved bit is set and no extension agreed on gives it a meaning (RFC 6455 section 5.2).
    ReservedBits,
    /// An opcode without a meaning (section 5.2).
    Opcode(u8),
    /// A control frame of more than 125 bytes (section 5.5).
    ControlTooLong,
    /// A control frame in fragments (section 5.5).
    ControlFragmented,
    /// A frame of a client without a mask (section 5.1).
    Unmasked,
    /// A frame of a server with one (section 5.1).
    Masked,
    /// A length in more bytes than it takes, or with its highest bit set (section 5.2).
    Length,
    /// A message over the limit, announced or inflated.
    TooLarge {
        /// The limit, in bytes.
        max: usize,
    },
    /// A continuation of nothing (section 5.4).
    NothingToContinue,
    /// A new message inside another (section 5.4).
    Interleaved,
    /// Text, or the reason of a Close frame, that is not UTF-8 (section 8.1).
    Utf8,
    /// A Close frame with a body of one byte (section 5.5.1).
    CloseBody,
    /// A Close frame with a code that none may send (section 7.4).
    CloseCode(u16),
    /// A compressed message that cannot be inflated (RFC 7692 section 6.2).
    Deflate,
    /// Messages half received take all the memory there is for them; nothing wrong with this one.
    Overloaded,
    /// No sign of the peer, though it was asked for one.
    PongTimeout,
    /// The peer did not answer our Close frame.
    CloseTimeout,
}

impl WsError {
    /// How many labels there are, for a table of counters indexed by [`WsError::kind`].
    pub const KINDS: usize = LABELS.len();

    /// A short stable name, fit for a metric's label.
    pub fn label(&self) -> &'static str {
        LABELS[self.kind()]
    }

    /// The number of the label, from 0.
    pub fn kind(&self) -> usize {
        match self {
            WsError::ReservedBits => 0,
            WsError::Opcode(_) => 1,
            WsError::ControlTooLong => 2,
            WsError::ControlFragmented => 3,
            WsError::Unmasked => 4,
            WsError::Masked => 5,
            WsError::Length => 6,
            WsError::TooLarge { .. } => 7,
            WsError::NothingToContinue => 8,
            WsError::Interleaved => 9,
            WsError::Utf8 => 10,
            WsError::CloseBody => 11,
            WsError::CloseCode(_) => 12,
            WsError::Deflate => 13,
            WsError::Overloaded => 14,
            WsError::PongTimeout => 15,
            WsError::CloseTimeout => 16,
        }
    }

    /// The label of a kind: `None` from [`WsError::KINDS`] on.
    pub fn label_of(kind: usize) -> Option<&'static str> {
        LABELS.get(kind).copied()
    }

    /// The code of the Close frame that is the answer.
    pub fn close_code(&self) -> CloseCode {
        match self {
            WsError::Utf8 | WsError::Deflate => CloseCode::INVALID,
            WsError::TooLarge { .. } => CloseCode::TOO_BIG,
            WsError::Overloaded => CloseCode::TRY_LATER,
            _ => CloseCode::PROTOCOL,
        }
    }
}

const LABELS: [&str; 17] = [
    "reserved_bits",
    "opcode",
    "control_too_long",
    "control_fragmented",
    "unmasked",
    "masked",
    "length",
    "too_large",
    "nothing_to_continue",
    "interleaved",
    "utf8",
    "close_body",
    "close_code",
    "deflate",
    "overloaded",
    "pong_timeout",
    "close_timeout",
];

impl fmt::Display for WsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            WsError::ReservedBits => "a reserved bit is set",
            WsError::Opcode(opcode) => return write!(f, "opcode {opcode} means nothing"),
            WsError::ControlTooLong => "a control frame of more than 125 bytes",
            WsError::ControlFragmented => "a control frame in fragments",
            WsError::Unmasked => "a client's frame without a mask",
            WsError::Masked => "a server's frame with a mask",
            WsError::Length => "a length that is not in its shortest form",
            WsError::TooLarge { max } => return write!(f, "a message of more than {max} bytes"),
            WsError::NothingToContinue => "a continuation of nothing",
            WsError::Interleaved => "a message inside another",
            WsError::Utf8 => "text that is not UTF-8",
            WsError::CloseBody => "a Close frame of one byte",
            WsError::CloseCode(code) => return write!(f, "close code {code} is not to be sent"),
            WsError::Deflate => "a compressed message that cannot be inflated",
            WsError::Overloaded => "too many messages half received",
            WsError::PongTimeout => "no sign of the peer",
            WsError::CloseTimeout => "no answer to a Close frame",
        };
        f.write_str(text)
    }
}

impl Error for WsError {}

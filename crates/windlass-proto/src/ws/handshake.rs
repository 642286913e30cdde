//! The opening handshake (RFC 6455 section 4): what both sides of it share.

use core::error::Error;
use core::fmt;

use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1_smol::Sha1;

use crate::http::{HeadEncoder, HttpError, Status};

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Bytes of a `Sec-WebSocket-Key`: 16 random ones in base64.
pub(super) const KEY_BYTES: usize = 24;

/// Bytes of a `Sec-WebSocket-Accept`: a SHA-1 in base64.
pub(super) const ACCEPT_BYTES: usize = 28;

/// Why an opening handshake fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// Not to be read as HTTP.
    Http(HttpError),
    /// A request for something else than a WebSocket.
    NotUpgrade,
    /// A method other than GET.
    Method,
    /// A version other than 13.
    Version,
    /// No key, two of them, or one that is not 16 bytes in base64.
    Key,
    /// A page of another origin.
    Origin,
    /// The service refused.
    Refused(Status),
    /// The server answered with another status than 101.
    Status(Status),
    /// The server's answer does not agree to a WebSocket, or not to ours: `Sec-WebSocket-Accept` is wrong.
    Accept,
    /// The server chose a subprotocol that was not offered, or more than one.
    Protocol,
    /// The server chose an extension that was not offered, or parameters that cannot be.
    Extension,
    /// The handshake took too long.
    Timeout,
}

impl HandshakeError {
    /// How many labels there are, for a table of counters indexed by [`HandshakeError::kind`].
    pub const KINDS: usize = LABELS.len();

    /// A short stable name, fit for a metric's label.
    pub fn label(&self) -> &'static str {
        LABELS[self.kind()]
    }

    /// The number of the label, from 0.
    pub fn kind(&self) -> usize {
        match self {
            HandshakeError::Http(_) => 0,
            HandshakeError::NotUpgrade => 1,
            HandshakeError::Method => 2,
            HandshakeError::Version => 3,
            HandshakeError::Key => 4,
            HandshakeError::Origin => 5,
            HandshakeError::Refused(_) => 6,
            HandshakeError::Status(_) => 7,
            HandshakeError::Accept => 8,
            HandshakeError::Protocol => 9,
            HandshakeError::Extension => 10,
            HandshakeError::Timeout => 11,
        }
    }

    /// The label of a kind: `None` from [`HandshakeError::KINDS`] on.
    pub fn label_of(kind: usize) -> Option<&'static str> {
        LABELS.get(kind).copied()
    }

    /// The status of a server's answer.
    pub fn status(&self) -> Status {
        match self {
            HandshakeError::Http(error) => error.status(),
            HandshakeError::NotUpgrade | HandshakeError::Version => Status::UPGRADE_REQUIRED,
            HandshakeError::Method => Status::METHOD_NOT_ALLOWED,
            HandshakeError::Origin => Status::FORBIDDEN,
            HandshakeError::Refused(status) => *status,
            HandshakeError::Timeout => Status::REQUEST_TIMEOUT,
            _ => Status::BAD_REQUEST,
        }
    }

    /// Appends a server's answer to `out`: a response without a body, after which the connection ends.
    pub fn respond(&self, out: &mut Vec<u8>) {
        let mut head = HeadEncoder::response(out, self.status());
        if self.status() == Status::UPGRADE_REQUIRED {
            // RFC 6455 section 4.4, and RFC 9110 section 15.5.22.
            head = head.header("sec-websocket-version", "13").upgrade("websocket");
        } else {
            head = head.connection_close();
        }
        if *self == HandshakeError::Refused(Status::SERVICE_UNAVAILABLE) {
            head = head.header("retry-after", "1");
        }
        if *self == HandshakeError::Method {
            head = head.header("allow", "GET");
        }
        // Nothing of it comes from outside, so there is nothing that could be wrong with it.
        let written = head.length(0).end();
        debug_assert!(written.is_ok());
    }
}

impl From<HttpError> for HandshakeError {
    fn from(error: HttpError) -> HandshakeError {
        HandshakeError::Http(error)
    }
}

const LABELS: [&str; 12] = [
    "http",
    "not_upgrade",
    "method",
    "version",
    "key",
    "origin",
    "refused",
    "status",
    "accept",
    "protocol",
    "extension",
    "handshake_timeout",
];

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            HandshakeError::Http(error) => return write!(f, "{error}"),
            HandshakeError::NotUpgrade => "not a request for a WebSocket",
            HandshakeError::Method => "a method other than GET",
            HandshakeError::Version => "a version other than 13",
            HandshakeError::Key => "no Sec-WebSocket-Key, or a bad one",
            HandshakeError::Origin => "a page of another origin",
            HandshakeError::Refused(status) => return write!(f, "refused with {}", status.code()),
            HandshakeError::Status(status) => return write!(f, "answered with {}", status.code()),
            HandshakeError::Accept => "an answer to somebody else",
            HandshakeError::Protocol => "a subprotocol that was not offered",
            HandshakeError::Extension => "an extension that was not offered",
            HandshakeError::Timeout => "the handshake took too long",
        };
        f.write_str(text)
    }
}

impl Error for HandshakeError {}

/// The proof that a server has read the key (RFC 6455 section 4.2.2).
pub(super) fn accept_for(key: &[u8]) -> [u8; ACCEPT_BYTES] {
    let mut sha1 = Sha1::new();
    sha1.update(key);
    sha1.update(GUID);
    let mut accept = [0; ACCEPT_BYTES];
    let written = STANDARD.encode_slice(sha1.digest().bytes(), &mut accept);
    debug_assert_eq!(written, Ok(ACCEPT_BYTES));
    accept
}

/// A key from 16 random bytes.
pub(super) fn key_from(bytes: [u8; 16]) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    let written = STANDARD.encode_slice(bytes, &mut key);
    debug_assert_eq!(written, Ok(KEY_BYTES));
    key
}

/// Whether it is 16 bytes in base64.
pub(super) fn is_key(key: &[u8]) -> bool {
    let mut bytes = [0; 18];
    key.len() == KEY_BYTES && STANDARD.decode_slice(key, &mut bytes) == Ok(16)
}

/// Whether it may stand where RFC 9110 section 5.6.2 wants a token.
pub(super) fn is_token(text: &str) -> bool {
    let tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(tchar)
}

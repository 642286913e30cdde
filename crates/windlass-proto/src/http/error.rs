//! What a peer can do wrong, and the status that answers it.

use core::error::Error;
use core::fmt;

use crate::http::Status;

/// Why a message is not one. Small and stable: [`label`](HttpError::label) is fit for a metric, and
/// [`status`](HttpError::status) is what a server answers with before it closes the connection.
///
/// After an error nobody can know where the next message begins: the connection is over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum HttpError {
    /// The first line is no request line or status line (RFC 9112 sections 3 and 4).
    StartLine,
    /// The first line is longer than [`Limits::start_line_max`](crate::http::Limits::start_line_max).
    StartLineTooLong,
    /// Not HTTP/1.0 or HTTP/1.1.
    Version,
    /// The request's target has not the form its method asks for, or holds bytes no target may hold
    /// (RFC 9112 section 3.2).
    Target,
    /// A header line is longer than [`Limits::header_line_max`](crate::http::Limits::header_line_max).
    LineTooLong,
    /// The head is longer than [`Limits::head_max`](crate::http::Limits::head_max).
    HeadTooLong,
    /// More header lines than [`Limits::headers_max`](crate::http::Limits::headers_max).
    TooManyHeaders,
    /// A line ends in LF without CR. RFC 9112 section 2.2 allows to accept it; smuggling lives on that.
    BareLf,
    /// A header line begins with a space or a tab: obsolete folding (RFC 9112 section 5.2).
    Fold,
    /// A header's name is empty, is no token, or has a space before its colon (RFC 9112 section 5.1).
    HeaderName,
    /// A header's value holds a NUL, a bare CR or another control character (RFC 9110 section 5.5).
    HeaderValue,
    /// `Content-Length` is repeated, empty, a list, signed, too large or not a number, or stands where no
    /// body may be (RFC 9112 section 6.3).
    ContentLength,
    /// `Content-Length` and `Transfer-Encoding` in one message (RFC 9112 section 6.1).
    LengthAndChunked,
    /// `Transfer-Encoding` is repeated, malformed, does not end in `chunked`, stands in HTTP/1.0 or where
    /// no body may be (RFC 9112 section 6.1).
    TransferEncoding,
    /// A transfer coding other than `chunked`.
    TransferEncodingUnknown,
    /// `Host` is missing, repeated, malformed, or another than the target names (RFC 9112 section 3.2).
    Host,
    /// An expectation other than `100-continue` (RFC 9110 section 10.1.1).
    Expect,
    /// A chunk's size line or its end is malformed, or its size passes 64 bits (RFC 9112 section 7.1).
    Chunk,
    /// A chunk's size line, extensions included, is longer than
    /// [`Limits::chunk_line_max`](crate::http::Limits::chunk_line_max).
    ChunkLineTooLong,
    /// The trailers are longer than [`Limits::trailers_max`](crate::http::Limits::trailers_max).
    TrailersTooLong,
    /// A trailer that would change how the message is read: framing, routing or authentication (RFC 9110
    /// section 6.5.1).
    Trailer,
    /// The body is longer than [`Limits::body_max`](crate::http::Limits::body_max).
    BodyTooLong,
    /// The stream ended inside a message.
    Truncated,
    /// The message did not arrive in its time. No decoder says so, since none knows the time; it is here
    /// for those who do.
    Timeout,
    /// A response to no request, or an interim one that nobody asked for (a client's error).
    Unexpected,
}

impl HttpError {
    /// A short stable name, fit for a metric's label.
    pub const fn label(self) -> &'static str {
        match self {
            HttpError::StartLine => "start_line",
            HttpError::StartLineTooLong => "start_line_too_long",
            HttpError::Version => "version",
            HttpError::Target => "target",
            HttpError::LineTooLong => "line_too_long",
            HttpError::HeadTooLong => "head_too_long",
            HttpError::TooManyHeaders => "too_many_headers",
            HttpError::BareLf => "bare_lf",
            HttpError::Fold => "fold",
            HttpError::HeaderName => "header_name",
            HttpError::HeaderValue => "header_value",
            HttpError::ContentLength => "content_length",
            HttpError::LengthAndChunked => "length_and_chunked",
            HttpError::TransferEncoding => "transfer_encoding",
            HttpError::TransferEncodingUnknown => "transfer_encoding_unknown",
            HttpError::Host => "host",
            HttpError::Expect => "expect",
            HttpError::Chunk => "chunk",
            HttpError::ChunkLineTooLong => "chunk_line_too_long",
            HttpError::TrailersTooLong => "trailers_too_long",
            HttpError::Trailer => "trailer",
            HttpError::BodyTooLong => "body_too_long",
            HttpError::Truncated => "truncated",
            HttpError::Timeout => "timeout",
            HttpError::Unexpected => "unexpected",
        }
    }

    /// What a server answers a request with that is wrong in this way: 400, 408, 413, 414, 417, 431, 501
    /// or 505.
    pub const fn status(self) -> Status {
        match self {
            HttpError::Timeout => Status::REQUEST_TIMEOUT,
            HttpError::BodyTooLong => Status::CONTENT_TOO_LARGE,
            HttpError::StartLineTooLong => Status::URI_TOO_LONG,
            HttpError::Expect => Status::EXPECTATION_FAILED,
            HttpError::LineTooLong
            | HttpError::HeadTooLong
            | HttpError::TooManyHeaders
            | HttpError::TrailersTooLong => Status::HEADERS_TOO_LARGE,
            HttpError::TransferEncodingUnknown => Status::NOT_IMPLEMENTED,
            HttpError::Version => Status::VERSION_NOT_SUPPORTED,
            _ => Status::BAD_REQUEST,
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HttpError::StartLine => "malformed first line",
            HttpError::StartLineTooLong => "first line too long",
            HttpError::Version => "neither HTTP/1.0 nor HTTP/1.1",
            HttpError::Target => "invalid request target",
            HttpError::LineTooLong => "header line too long",
            HttpError::HeadTooLong => "head too long",
            HttpError::TooManyHeaders => "too many headers",
            HttpError::BareLf => "line ended by LF without CR",
            HttpError::Fold => "folded header line",
            HttpError::HeaderName => "invalid header name",
            HttpError::HeaderValue => "invalid header value",
            HttpError::ContentLength => "invalid Content-Length",
            HttpError::LengthAndChunked => "Content-Length beside Transfer-Encoding",
            HttpError::TransferEncoding => "invalid Transfer-Encoding",
            HttpError::TransferEncodingUnknown => "unknown transfer coding",
            HttpError::Host => "invalid or missing Host",
            HttpError::Expect => "unknown expectation",
            HttpError::Chunk => "malformed chunk",
            HttpError::ChunkLineTooLong => "chunk size line too long",
            HttpError::TrailersTooLong => "trailers too long",
            HttpError::Trailer => "forbidden trailer",
            HttpError::BodyTooLong => "body too long",
            HttpError::Truncated => "stream ended inside a message",
            HttpError::Timeout => "message too slow",
            HttpError::Unexpected => "response that nobody asked for",
        })
    }
}

impl Error for HttpError {}

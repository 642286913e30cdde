//! How much of everything a peer may send.

use crate::http::HEADERS_MAX;

/// The limits of a decoder. Nothing is allocated by any of them: they bound what the buffer in front of the
/// decoder has to hold, and what is passed on.
///
/// A head has to fit into that buffer as a whole: the engine's `input_max`, 1 MiB, is far above it.
///
/// ```
/// use windlass_proto::http::Limits;
///
/// let limits = Limits { body_max: 64 * 1024, ..Limits::default() };
/// assert_eq!(limits.head_max, 32 * 1024);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of the first line with its CRLF: 8 KiB, what RFC 9112 section 3 recommends at least.
    pub start_line_max: usize,
    /// Bytes of a header line with its CRLF: 16 KiB.
    pub header_line_max: usize,
    /// Bytes of the whole head with its empty line: 32 KiB.
    pub head_max: usize,
    /// Header lines: 100, and never more than [`HEADERS_MAX`](crate::http::HEADERS_MAX).
    pub headers_max: usize,
    /// Bytes of a body, without its chunks' framing: 1 MiB. `u64::MAX` for a proxy that only passes bodies
    /// on.
    pub body_max: u64,
    /// Bytes of a chunk's size line with its extensions and CRLF: 256. Extensions are read over.
    pub chunk_line_max: usize,
    /// Bytes of all trailers with their empty line: 8 KiB. Their number is limited as that of headers is.
    pub trailers_max: usize,
    /// Bytes of a request's body that are read over when its response is complete before it: 64 KiB. Beyond
    /// them the connection ends, since nobody can know how much there is to come.
    pub drain_max: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            start_line_max: 8 * 1024,
            header_line_max: 16 * 1024,
            head_max: 32 * 1024,
            headers_max: 100,
            body_max: 1024 * 1024,
            chunk_line_max: 256,
            trailers_max: 8 * 1024,
            drain_max: 64 * 1024,
        }
    }
}

impl Limits {
    pub(crate) fn lines_max(&self) -> usize {
        self.headers_max.min(HEADERS_MAX)
    }
}

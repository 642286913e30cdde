//! Heads, written: nothing that was not checked gets out.

use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use crate::http::Status;
use crate::http::headers::{Header, Headers, is_token, is_value};

/// Writes one head at the end of a buffer.
///
/// Names have to be tokens and values free of control characters, so no value can end its line and begin
/// another (response splitting). The headers that say where a message ends and what becomes of the
/// connection are not given as text: [`length`](HeadEncoder::length), [`chunked`](HeadEncoder::chunked),
/// [`connection_close`](HeadEncoder::connection_close), [`upgrade`](HeadEncoder::upgrade) write them. The
/// first mistake is kept and told by [`end`](HeadEncoder::end), which then leaves the buffer as it was; so does
/// dropping a head that was not ended.
///
/// ```
/// use windlass_proto::http::{HeadEncoder, Status};
///
/// let mut out = Vec::new();
/// HeadEncoder::response(&mut out, Status::OK).header("content-type", "text/plain").length(2).end()?;
/// out.extend_from_slice(b"hi");
/// assert_eq!(out, b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nhi");
///
/// let mut out = Vec::new();
/// let split = HeadEncoder::response(&mut out, Status::OK).header("x", "1\r\nset-cookie: a=b").end();
/// assert!(split.is_err() && out.is_empty());
/// # Ok::<(), windlass_proto::http::EncodeError>(())
/// ```
#[must_use = "a head is complete only with `end`"]
#[derive(Debug)]
pub struct HeadEncoder<'o> {
    // Until the end.
    out: Option<&'o mut Vec<u8>>,
    start: usize,
    framed: bool,
    error: Option<EncodeError>,
}

/// Why a head or a body cannot be written: a mistake of ours, not of the peer's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum EncodeError {
    /// A method that is no token, or a target with a space, a control character or more than ASCII.
    StartLine,
    /// A header's name is no token.
    HeaderName,
    /// A header's value holds a control character.
    HeaderValue,
    /// A header that says where the message ends, or what becomes of the connection, given as text; or a
    /// second one of them.
    Framing,
    /// Nothing may be written now: no request is there to be answered, its response is over, or the body
    /// is no part of it.
    State,
    /// More body than the length that was said, or less of it at its end.
    Length,
}

impl EncodeError {
    /// A short stable name, fit for a metric's label.
    pub const fn label(self) -> &'static str {
        match self {
            EncodeError::StartLine => "start_line",
            EncodeError::HeaderName => "header_name",
            EncodeError::HeaderValue => "header_value",
            EncodeError::Framing => "framing",
            EncodeError::State => "state",
            EncodeError::Length => "length",
        }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EncodeError::StartLine => "method or target cannot be sent",
            EncodeError::HeaderName => "header name is no token",
            EncodeError::HeaderValue => "header value with a control character",
            EncodeError::Framing => "a header that only the encoder writes",
            EncodeError::State => "nothing may be written now",
            EncodeError::Length => "body longer or shorter than its length",
        })
    }
}

impl Error for EncodeError {}

/// Header lines, checked once and written often: those that every response has, say.
///
/// ```
/// use windlass_proto::http::{HeadEncoder, HeaderLines, Status};
///
/// let mut lines = HeaderLines::new();
/// lines.push("x-content-type-options", "nosniff")?;
/// assert!(lines.push("content-length", "5").is_err());
///
/// let mut out = Vec::new();
/// HeadEncoder::response(&mut out, Status::NO_CONTENT).lines(&lines).end()?;
/// assert_eq!(out, b"HTTP/1.1 204 No Content\r\nx-content-type-options: nosniff\r\n\r\n");
/// # Ok::<(), windlass_proto::http::EncodeError>(())
/// ```
#[derive(Clone, Default)]
pub struct HeaderLines {
    bytes: Vec<u8>,
    // There is a `host` among them, which is the request's to say.
    names_host: bool,
}

impl HeaderLines {
    /// No lines.
    pub const fn new() -> HeaderLines {
        HeaderLines { bytes: Vec::new(), names_host: false }
    }

    /// Adds a line.
    ///
    /// # Errors
    ///
    /// As [`HeadEncoder::header`] keeps them: a name that is no token or is one of the encoder's own, a
    /// value with a control character. Nothing is added then.
    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), EncodeError> {
        check(name, value.as_ref())?;
        self.put(name, value.as_ref());
        Ok(())
    }

    /// Adds a line of a message that was received: its name and its value were checked then.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Framing`] if it is one of the encoder's own. Nothing is added then.
    pub fn pass(&mut self, header: Header<'_>) -> Result<(), EncodeError> {
        if is_ours(header.name) {
            return Err(EncodeError::Framing);
        }
        self.put(header.name, header.value);
        Ok(())
    }

    /// Adds a line whose value `write` puts together in place, so that it needs no buffer of its own.
    ///
    /// ```
    /// use std::fmt::Write as _;
    /// use windlass_proto::http::HeaderLines;
    ///
    /// let mut lines = HeaderLines::new();
    /// lines.push_with("x-served-by", |value| {
    ///     value.put(b"node ");
    ///     let _ = write!(value, "{}", 7);
    /// })?;
    /// assert_eq!(lines.headers().get_str("x-served-by"), Some("node 7"));
    /// # Ok::<(), windlass_proto::http::EncodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`push`](HeaderLines::push) has them. Nothing is added then.
    pub fn push_with(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut ValueWriter<'_>),
    ) -> Result<(), EncodeError> {
        check(name, b"")?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b": ");
        let value = self.bytes.len();
        let mut writer = ValueWriter { bytes: &mut self.bytes, left_out: false };
        write(&mut writer);
        if writer.left_out {
            self.bytes.truncate(start);
            return Ok(());
        }
        if !is_value(&self.bytes[value..]) {
            self.bytes.truncate(start);
            return Err(EncodeError::HeaderValue);
        }
        self.bytes.extend_from_slice(b"\r\n");
        self.names_host |= name.eq_ignore_ascii_case("host");
        Ok(())
    }

    fn put(&mut self, name: &str, value: &[u8]) {
        self.names_host |= name.eq_ignore_ascii_case("host");
        put_line(&mut self.bytes, name, value);
    }

    /// Takes all lines out, and keeps the room for others.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.names_host = false;
    }

    pub(crate) fn names_host(&self) -> bool {
        self.names_host
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The lines, to be looked at.
    pub fn headers(&self) -> Headers<'_> {
        Headers::checked(&self.bytes)
    }
}

/// The value of a header while it is put together: what is in it can only become more.
pub struct ValueWriter<'v> {
    bytes: &'v mut Vec<u8>,
    left_out: bool,
}

impl ValueWriter<'_> {
    /// Adds these bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// There will be no such line at all.
    pub fn leave_out(&mut self) {
        self.left_out = true;
    }
}

impl fmt::Debug for ValueWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValueWriter").field("left_out", &self.left_out).finish_non_exhaustive()
    }
}

impl fmt::Write for ValueWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

impl fmt::Debug for HeaderLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.headers().fmt(f)
    }
}

fn check(name: &str, value: &[u8]) -> Result<(), EncodeError> {
    if is_ours(name) {
        return Err(EncodeError::Framing);
    }
    if !is_token(name.as_bytes()) {
        return Err(EncodeError::HeaderName);
    }
    if is_value(value) { Ok(()) } else { Err(EncodeError::HeaderValue) }
}

/// Written by methods of their own.
fn is_ours(name: &str) -> bool {
    let among = |names: &[&str]| names.iter().any(|ours| ours.eq_ignore_ascii_case(name));
    match name.len() {
        7 => among(&["upgrade"]),
        10 => among(&["connection", "keep-alive"]),
        14 => among(&["content-length"]),
        16 => among(&["proxy-connection"]),
        17 => among(&["transfer-encoding"]),
        _ => false,
    }
}

impl<'o> HeadEncoder<'o> {
    /// Begins `HTTP/1.1 STATUS REASON`, with the customary reason.
    pub fn response(out: &'o mut Vec<u8>, status: Status) -> HeadEncoder<'o> {
        let start = out.len();
        out.extend_from_slice(b"HTTP/1.1 ");
        put_number(out, u64::from(status.code()));
        out.push(b' ');
        out.extend_from_slice(status.reason().as_bytes());
        out.extend_from_slice(b"\r\n");
        HeadEncoder { out: Some(out), start, framed: false, error: None }
    }

    /// Begins `METHOD TARGET HTTP/1.1`. A `host` header has to follow.
    pub fn request(out: &'o mut Vec<u8>, method: &str, target: &str) -> HeadEncoder<'o> {
        let start = out.len();
        let valid = is_token(method.as_bytes())
            && !target.is_empty()
            && target.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        for part in [method, " ", target, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        HeadEncoder {
            out: Some(out),
            start,
            framed: false,
            error: (!valid).then_some(EncodeError::StartLine),
        }
    }

    /// Adds a header line.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> HeadEncoder<'o> {
        let value = value.as_ref();
        match check(name, value) {
            Ok(()) => {
                self.line(name, value);
                self
            }
            Err(error) => self.fail(error),
        }
    }

    /// Adds header lines that were checked before.
    pub fn lines(mut self, lines: &HeaderLines) -> HeadEncoder<'o> {
        self.put(|out| out.extend_from_slice(&lines.bytes));
        self
    }

    /// `content-length`: a body of exactly so many bytes follows.
    pub fn length(mut self, bytes: u64) -> HeadEncoder<'o> {
        if core::mem::replace(&mut self.framed, true) {
            return self.fail(EncodeError::Framing);
        }
        self.put(|out| {
            out.extend_from_slice(b"content-length: ");
            put_number(out, bytes);
            out.extend_from_slice(b"\r\n");
        });
        self
    }

    /// `transfer-encoding: chunked`: chunks follow.
    pub fn chunked(mut self) -> HeadEncoder<'o> {
        if core::mem::replace(&mut self.framed, true) {
            return self.fail(EncodeError::Framing);
        }
        self.line("transfer-encoding", b"chunked");
        self
    }

    /// `connection: close`: this message is the last.
    pub fn connection_close(mut self) -> HeadEncoder<'o> {
        self.line("connection", b"close");
        self
    }

    /// `connection: keep-alive`, which peers of HTTP/1.0 want to hear.
    pub fn connection_keep_alive(mut self) -> HeadEncoder<'o> {
        self.line("connection", b"keep-alive");
        self
    }

    /// `connection: Upgrade` and `upgrade: PROTOCOL`: asks for another protocol, or agrees to it.
    pub fn upgrade(mut self, protocol: &str) -> HeadEncoder<'o> {
        if !is_value(protocol.as_bytes()) {
            return self.fail(EncodeError::HeaderValue);
        }
        self.line("connection", b"Upgrade");
        self.line("upgrade", protocol.as_bytes());
        self
    }

    /// Ends the head with its empty line.
    ///
    /// # Errors
    ///
    /// The first mistake there was; then nothing has been written.
    pub fn end(self) -> Result<(), EncodeError> {
        self.end_in().map(drop)
    }

    /// The same, and gives the buffer back.
    pub(crate) fn end_in(mut self) -> Result<&'o mut Vec<u8>, EncodeError> {
        let out = if self.error.is_none() { self.out.take() } else { None };
        let Some(out) = out else { return Err(self.error.unwrap_or(EncodeError::State)) };
        out.extend_from_slice(b"\r\n");
        Ok(out)
    }

    fn line(&mut self, name: &str, value: &[u8]) {
        self.put(|out| put_line(out, name, value));
    }

    fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(out) = &mut self.out {
            write(out);
        }
    }

    pub(crate) fn fail(mut self, error: EncodeError) -> HeadEncoder<'o> {
        self.error.get_or_insert(error);
        self
    }
}

impl Drop for HeadEncoder<'_> {
    fn drop(&mut self) {
        if let Some(out) = self.out.take() {
            out.truncate(self.start);
        }
    }
}

pub(crate) fn put_line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

//! The head of a request.

use alloc::vec::Vec;
use core::fmt;
use core::mem::MaybeUninit;

use crate::http::framing::{Framing, connection_options, framing};
use crate::http::headers::{Headers, is_token};
use crate::http::scan::{Bounds, Scan};
use crate::http::{HEADERS_MAX, HttpError, Limits, Target, Version, target};
use crate::{Decode, Input};

/// How many empty lines before a request are read over: some clients send one behind a body (RFC 9112
/// section 2.2).
const EMPTY_LINES_MAX: u8 = 2;

/// The head of a request, borrowed from the buffer it arrived in. What it says of its body, its connection
/// and its host has been checked, and can be understood in one way only.
///
/// To pass it on, write it anew with a [`HeadEncoder`](crate::http::HeadEncoder): never the bytes as they came.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestHead<'b> {
    /// A token, case-sensitive: `GET`.
    pub method: &'b str,
    /// What is asked for.
    pub target: Target<'b>,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// Who is asked, in the words of `Host`: a name or an address, and perhaps a port. `None` is possible
    /// in HTTP/1.0 only; empty is possible.
    pub host: Option<&'b str>,
    /// The header lines.
    pub headers: Headers<'b>,
    /// How its body ends: never [`Framing::UntilClose`].
    pub framing: Framing,
    /// Whether the connection may be used again after it (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// It waits for `100 Continue` before it sends its body (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
    /// What it asks to go on with, where `Connection` allows it (RFC 9110 section 7.8): `websocket`.
    pub upgrade: Option<&'b [u8]>,
    // As it came.
    bytes: &'b [u8],
}

impl<'b> RequestHead<'b> {
    /// The path of the target, still percent-encoded; empty for targets without one.
    pub fn path(&self) -> &'b str {
        self.target.path().unwrap_or("")
    }

    /// The query of the target, without its `?`.
    pub fn query(&self) -> Option<&'b str> {
        self.target.query()
    }

    /// The target in the client's own words, its query included: for a log, or to be passed on where its form
    /// may stay what it is.
    pub fn target_as_sent(&self) -> &'b str {
        // Behind the method, up to the next space: the parser has found all three on the first line.
        let line = self.bytes.get(self.method.len() + 1..).unwrap_or_default();
        let end = memchr::memchr(b' ', line).unwrap_or(0);
        core::str::from_utf8(&line[..end]).unwrap_or_default()
    }

    /// Whether it asks to go on with `protocol`, in any case.
    pub fn asks_for(&self, protocol: &str) -> bool {
        self.upgrade.is_some() && self.headers.list_has("upgrade", protocol)
    }

    /// A copy that outlives the buffer: to keep a head until its body is there.
    pub fn to_buf(&self) -> RequestHeadBuf {
        RequestHeadBuf { bytes: self.bytes.to_vec() }
    }

    // `bytes`: a whole head, with its empty line, as the scan found it.
    fn parse(bytes: &'b [u8]) -> Result<RequestHead<'b>, HttpError> {
        let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(bytes, &mut slots) {
            Ok(httparse::Status::Complete(end)) if end == bytes.len() => {}
            // The empty line that the scan found is not the one the parser did.
            Ok(_) => return Err(HttpError::StartLine),
            Err(error) => return Err(from_parser(error)),
        }
        let (Some(method), Some(raw_target)) = (parsed.method, parsed.path) else {
            return Err(HttpError::StartLine);
        };
        if !is_token(method.as_bytes()) {
            return Err(HttpError::StartLine);
        }
        let version = if parsed.version == Some(1) { Version::Http11 } else { Version::Http10 };
        let headers = header_lines(bytes);
        let target = Target::parse(method, raw_target)?;
        let framing = framing(&headers, version)?.unwrap_or(Framing::Empty);
        let host = target::host(version, &target, headers.all("host"))?;
        let options = connection_options(&headers);
        let http11 = version == Version::Http11;
        Ok(RequestHead {
            method,
            target,
            version,
            host,
            headers,
            framing,
            keep_alive: !options.close && (http11 || options.keep_alive),
            expects_continue: expects_continue(&headers)? && http11,
            upgrade: headers.get("upgrade").filter(|_| http11 && options.upgrade),
            bytes,
        })
    }
}

/// The head of a request, kept. What it says is read again each time it is asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestHeadBuf {
    bytes: Vec<u8>,
}

impl RequestHeadBuf {
    /// The head.
    ///
    /// # Errors
    ///
    /// None, in truth: it was read once before.
    pub fn head(&self) -> Result<RequestHead<'_>, HttpError> {
        RequestHead::parse(&self.bytes)
    }
}

impl fmt::Debug for RequestHeadBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHeadBuf").field("len", &self.bytes.len()).finish()
    }
}

/// The value may be a secret, the path and the query too.
impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("version", &self.version)
            .field("headers", &self.headers)
            .field("framing", &self.framing)
            .finish_non_exhaustive()
    }
}

fn expects_continue(headers: &Headers<'_>) -> Result<bool, HttpError> {
    let mut expected = headers.all("expect");
    match (expected.next(), expected.next()) {
        (None, _) => Ok(false),
        (Some(value), None) if value.eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(HttpError::Expect),
    }
}

/// The header lines of a head that the parser has found good, without the empty one.
pub(crate) fn header_lines(head: &[u8]) -> Headers<'_> {
    let start = memchr::memchr(b'\n', head).map_or(head.len(), |at| at + 1);
    Headers::checked(head.get(start..head.len().saturating_sub(2)).unwrap_or_default())
}

pub(crate) fn from_parser(error: httparse::Error) -> HttpError {
    match error {
        httparse::Error::HeaderName => HttpError::HeaderName,
        httparse::Error::HeaderValue => HttpError::HeaderValue,
        httparse::Error::TooManyHeaders => HttpError::TooManyHeaders,
        httparse::Error::Version => HttpError::Version,
        httparse::Error::NewLine | httparse::Error::Status | httparse::Error::Token => HttpError::StartLine,
    }
}

/// Decodes heads of requests, and nothing else: for whoever only waits for one, like a WebSocket handshake.
///
/// A head is taken off the input once it is there as a whole. Up to two empty lines before it are read over.
/// What cannot be the beginning of one, TLS for instance, is refused at its first byte.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestHeads {
    limits: Limits,
    scan: Scan,
    empty_lines: u8,
}

impl RequestHeads {
    /// With these limits.
    pub const fn new(limits: Limits) -> RequestHeads {
        RequestHeads { limits, scan: Scan::new(), empty_lines: 0 }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }
}

impl Decode for RequestHeads {
    type Message<'b> = RequestHead<'b>;
    type Error = HttpError;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<RequestHead<'b>>, HttpError> {
        loop {
            match input.peek() {
                [] | [b'\r'] => return Ok(None),
                [b'\r', b'\n', ..] if self.empty_lines < EMPTY_LINES_MAX => {
                    self.empty_lines += 1;
                    input.skip(2);
                }
                [first, ..] if !is_token(&[*first]) => return Err(HttpError::StartLine),
                _ => break,
            }
        }
        let Some(end) = self.scan.end(input.peek(), &Bounds::head(&self.limits))? else { return Ok(None) };
        self.empty_lines = 0;
        let Some(head) = input.take(end) else { return Ok(None) };
        RequestHead::parse(head).map(Some)
    }

    fn end<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<RequestHead<'b>>, HttpError> {
        if input.is_empty() { Ok(None) } else { Err(HttpError::Truncated) }
    }
}

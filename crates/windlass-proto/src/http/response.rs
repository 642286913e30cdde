//! The head of a response.

use core::fmt;
use core::mem::MaybeUninit;

use crate::http::framing::{Framing, connection_options, framing};
use crate::http::headers::Headers;
use crate::http::request::{from_parser, header_lines};
use crate::http::scan::{Bounds, Scan};
use crate::http::{HEADERS_MAX, HttpError, Limits, Status, Version};
use crate::{Decode, Input};

/// The head of a response, borrowed from the buffer it arrived in.
///
/// How its body ends depends on the request it answers (RFC 9112 section 6.3), so a head alone does not know:
/// [`ResponseHead::framing_for`].
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseHead<'b> {
    /// The status: 100 to 999.
    pub status: Status,
    /// The reason phrase as it was sent, for people; often empty.
    pub reason: &'b [u8],
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The header lines.
    pub headers: Headers<'b>,
    /// Whether the connection may be used again after it, as far as the server says.
    pub keep_alive: bool,
    /// What it goes on with: `101 Switching Protocols` alone has it.
    pub upgrade: Option<&'b [u8]>,
    // What the headers say, before the request's method has its say.
    framing: Option<Framing>,
}

impl<'b> ResponseHead<'b> {
    /// How the body ends, if this answers a request with `method`. A response to `HEAD`, and those with
    /// status 1xx, 204 and 304, have none whatever their headers say; a 2xx to `CONNECT` neither.
    pub fn framing_for(&self, method: &str) -> Framing {
        let tunnel = method == "CONNECT" && self.status.is_success();
        if method == "HEAD" || self.status.has_no_body() || tunnel {
            return Framing::Empty;
        }
        self.framing.unwrap_or(Framing::UntilClose)
    }

    /// What the headers say of a body, whether or not this response has one.
    pub(crate) fn claimed(&self) -> Option<Framing> {
        self.framing
    }

    // `bytes`: a whole head, with its empty line, as the scan found it.
    fn parse(bytes: &'b [u8]) -> Result<ResponseHead<'b>, HttpError> {
        let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut []);
        let parsed_as = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut parsed,
            bytes,
            &mut slots,
        );
        match parsed_as {
            Ok(httparse::Status::Complete(end)) if end == bytes.len() => {}
            Ok(_) => return Err(HttpError::StartLine),
            Err(error) => return Err(from_parser(error)),
        }
        let Some(status) = parsed.code.and_then(Status::new) else { return Err(HttpError::StartLine) };
        let version = if parsed.version == Some(1) { Version::Http11 } else { Version::Http10 };
        let headers = header_lines(bytes);
        let framing = framing(&headers, version)?;
        // Where none may be (RFC 9112 sections 6.1 and 6.2), a body would be taken for the next response.
        match framing {
            Some(Framing::Chunked) if status.is_informational() || status == Status::NO_CONTENT => {
                return Err(HttpError::TransferEncoding);
            }
            Some(Framing::Length(1..)) if status.is_informational() || status == Status::NO_CONTENT => {
                return Err(HttpError::ContentLength);
            }
            _ => {}
        }
        let options = connection_options(&headers);
        let http11 = version == Version::Http11;
        let switches = status == Status::SWITCHING_PROTOCOLS && http11 && options.upgrade;
        Ok(ResponseHead {
            status,
            reason: reason(bytes),
            version,
            headers,
            keep_alive: !options.close && (http11 || options.keep_alive),
            upgrade: headers.get("upgrade").filter(|_| switches),
            framing,
        })
    }
}

/// Behind `HTTP/1.1 200 `, up to the end of the line.
fn reason(head: &[u8]) -> &[u8] {
    let line = head.split(|&b| b == b'\r').next().unwrap_or_default();
    line.get("HTTP/1.1 200 ".len()..).unwrap_or_default()
}

impl fmt::Debug for ResponseHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("status", &self.status)
            .field("version", &self.version)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// Decodes heads of responses, and nothing else: for whoever only waits for one, like a WebSocket client.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseHeads {
    limits: Limits,
    scan: Scan,
}

impl ResponseHeads {
    /// With these limits.
    pub const fn new(limits: Limits) -> ResponseHeads {
        ResponseHeads { limits, scan: Scan::new() }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }
}

impl Decode for ResponseHeads {
    type Message<'b> = ResponseHead<'b>;
    type Error = HttpError;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<ResponseHead<'b>>, HttpError> {
        if input.peek().first().is_some_and(|&first| first != b'H') {
            return Err(HttpError::StartLine);
        }
        let Some(end) = self.scan.end(input.peek(), &Bounds::head(&self.limits))? else { return Ok(None) };
        let Some(head) = input.take(end) else { return Ok(None) };
        ResponseHead::parse(head).map(Some)
    }

    fn end<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<ResponseHead<'b>>, HttpError> {
        if input.is_empty() { Ok(None) } else { Err(HttpError::Truncated) }
    }
}

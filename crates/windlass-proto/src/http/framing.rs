//! How long a body is: `Content-Length` and `Transfer-Encoding`, read strictly (RFC 9112 section 6).

use crate::http::headers::{Headers, is_token, trim};
use crate::http::{HttpError, Version};

/// How the end of a body is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// There is no body.
    Empty,
    /// So many bytes.
    Length(u64),
    /// In chunks, with trailers behind them.
    Chunked,
    /// All that comes until the stream ends. Responses only.
    UntilClose,
}

/// What the headers say of the body: one answer, or none if they could be read in two ways.
pub(crate) fn framing(headers: &Headers<'_>, version: Version) -> Result<Option<Framing>, HttpError> {
    let length = content_length(headers)?;
    let mut codings = headers.all("transfer-encoding");
    let Some(coding) = codings.next() else { return Ok(length.map(Framing::Length)) };
    if length.is_some() {
        return Err(HttpError::LengthAndChunked);
    }
    // Repeated fields are one list (RFC 9110 section 5.3), and an honest sender has no need for them here.
    if codings.next().is_some() || version == Version::Http10 {
        return Err(HttpError::TransferEncoding);
    }
    if coding.eq_ignore_ascii_case(b"chunked") {
        return Ok(Some(Framing::Chunked));
    }
    // `gzip, chunked` is well formed, and not known here; everything else is not well formed.
    let Some((codings, last)) = split_last(coding) else { return Err(HttpError::TransferEncoding) };
    let known_form = |c: &[u8]| is_token(c) && !c.eq_ignore_ascii_case(b"chunked");
    if trim(last).eq_ignore_ascii_case(b"chunked") && codings.split(|&b| b == b',').map(trim).all(known_form)
    {
        return Err(HttpError::TransferEncodingUnknown);
    }
    Err(HttpError::TransferEncoding)
}

fn split_last(list: &[u8]) -> Option<(&[u8], &[u8])> {
    let comma = memchr::memrchr(b',', list)?;
    Some((&list[..comma], &list[comma + 1..]))
}

/// One field with digits only; a list of equal numbers, which RFC 9112 section 6.3 lets a recipient accept,
/// is refused as well.
fn content_length(headers: &Headers<'_>) -> Result<Option<u64>, HttpError> {
    let mut values = headers.all("content-length");
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() || value.is_empty() {
        return Err(HttpError::ContentLength);
    }
    let mut length = 0u64;
    for &b in value {
        if !b.is_ascii_digit() {
            return Err(HttpError::ContentLength);
        }
        let digit = u64::from(b - b'0');
        length = length
            .checked_mul(10)
            .and_then(|length| length.checked_add(digit))
            .ok_or(HttpError::ContentLength)?;
    }
    Ok(Some(length))
}

/// What `Connection` says (RFC 9110 section 7.6.1).
#[derive(Clone, Copy, Default)]
pub(crate) struct ConnectionOptions {
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
}

pub(crate) fn connection_options(headers: &Headers<'_>) -> ConnectionOptions {
    let mut options = ConnectionOptions::default();
    for option in headers.list("connection") {
        options.close |= option.eq_ignore_ascii_case(b"close");
        options.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        options.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
    }
    options
}

//! Bodies, read: so many bytes, chunks, or all there is (RFC 9112 sections 6 and 7).

use memchr::memchr;

use crate::Input;
use crate::http::framing::Framing;
use crate::http::headers::{Headers, is_value};
use crate::http::request::from_parser;
use crate::http::scan::{Bounds, Scan};
use crate::http::{HEADERS_MAX, HttpError, Limits};

/// Trailers that would change how a message is read if somebody merged them with its headers: framing,
/// routing, authentication, and how to take the body (RFC 9110 section 6.5.1).
const FORBIDDEN_TRAILERS: [&str; 16] = [
    "content-length",
    "transfer-encoding",
    "host",
    "connection",
    "upgrade",
    "trailer",
    "te",
    "expect",
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "content-type",
    "content-encoding",
    "content-range",
    "location",
];

/// A piece of a body.
pub(crate) enum Piece<'b> {
    Bytes(&'b mut [u8]),
    Trailers(Headers<'b>),
    End,
}

/// One body on its way. Pieces are handed out as they come; nothing is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body {
    state: State,
    // Bytes that may still come under the limit.
    room: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Length(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers(Scan),
    UntilClose,
    End,
}

impl Body {
    pub(crate) fn new(framing: Framing, body_max: u64) -> Body {
        let state = match framing {
            Framing::Empty => State::End,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        };
        Body { state, room: body_max }
    }

    /// Bytes that are certain to come; `None` where that is not known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::End => Some(0),
            _ => None,
        }
    }

    /// Sets the limit anew, before any of it was read.
    pub(crate) fn set_max(&mut self, body_max: u64) {
        self.room = body_max;
    }

    pub(crate) fn is_until_close(&self) -> bool {
        matches!(self.state, State::UntilClose)
    }

    /// The next piece. `End` takes no bytes, and comes once and again.
    pub(crate) fn next<'b>(
        &mut self,
        input: &mut Input<'b>,
        limits: &Limits,
    ) -> Result<Option<Piece<'b>>, HttpError> {
        loop {
            match self.state {
                State::End => return Ok(Some(Piece::End)),
                State::Length(left) => {
                    // Said before, and too much: nothing of it is read.
                    if left > self.room {
                        return Err(HttpError::BodyTooLong);
                    }
                    if left == 0 {
                        self.state = State::End;
                        continue;
                    }
                    let Some((bytes, taken)) = take_up_to(input, left) else { return Ok(None) };
                    self.room -= taken;
                    self.state = State::Length(left - taken);
                    return Ok(Some(Piece::Bytes(bytes)));
                }
                State::ChunkSize => {
                    let Some(size) = chunk_size(input, limits.chunk_line_max)? else { return Ok(None) };
                    if size > self.room {
                        return Err(HttpError::BodyTooLong);
                    }
                    self.state = if size == 0 { State::Trailers(Scan::new()) } else { State::Chunk(size) };
                }
                State::Chunk(left) => {
                    let Some((bytes, taken)) = take_up_to(input, left) else { return Ok(None) };
                    self.room -= taken;
                    self.state = if taken == left { State::ChunkEnd } else { State::Chunk(left - taken) };
                    return Ok(Some(Piece::Bytes(bytes)));
                }
                State::ChunkEnd => {
                    match input.peek() {
                        [b'\r', b'\n', ..] => input.skip(2),
                        [] | [b'\r'] => return Ok(None),
                        _ => return Err(HttpError::Chunk),
                    };
                    self.state = State::ChunkSize;
                }
                State::Trailers(mut scan) => {
                    let end = scan.end(input.peek(), &Bounds::trailers(limits))?;
                    self.state = State::Trailers(scan);
                    let Some(lines) = end.and_then(|end| input.take(end)) else { return Ok(None) };
                    self.state = State::End;
                    if lines != b"\r\n" {
                        return trailers(lines).map(|trailers| Some(Piece::Trailers(trailers)));
                    }
                }
                State::UntilClose => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let Some((bytes, taken)) = take_up_to(input, self.room) else {
                        return Err(HttpError::BodyTooLong);
                    };
                    self.room -= taken;
                    return Ok(Some(Piece::Bytes(bytes)));
                }
            }
        }
    }
}

/// Up to `most` bytes, and how many; `None` if that is none.
fn take_up_to<'b>(input: &mut Input<'b>, most: u64) -> Option<(&'b mut [u8], u64)> {
    let n = usize::try_from(most).unwrap_or(usize::MAX).min(input.len());
    if n == 0 { None } else { Some((input.take(n)?, n as u64)) }
}

/// `SIZE [;EXTENSIONS] CRLF`: hexadecimal digits, and nothing of what some parsers let pass, like signs,
/// spaces around them, or CR and LF alone in an extension.
fn chunk_size(input: &mut Input<'_>, line_max: usize) -> Result<Option<u64>, HttpError> {
    let window = &input.peek()[..input.len().min(line_max)];
    let Some(at) = memchr(b'\n', window) else {
        return if window.len() < line_max { Ok(None) } else { Err(HttpError::ChunkLineTooLong) };
    };
    let Some(line) = window[..at].strip_suffix(b"\r") else { return Err(HttpError::BareLf) };
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (digits, behind) = line.split_at(digits);
    // RFC 9112 section 7.1.1 has spaces before the semicolon for those who still send them.
    let extensions = crate::http::headers::trim_start(behind);
    let well_formed = behind.is_empty() || (extensions.starts_with(b";") && is_value(extensions));
    if digits.is_empty() || !well_formed {
        return Err(HttpError::Chunk);
    }
    let mut size = 0u64;
    for digit in digits {
        let digit = (*digit as char).to_digit(16).unwrap_or_default();
        size = size.checked_mul(16).ok_or(HttpError::Chunk)? | u64::from(digit);
    }
    input.skip(at + 1);
    Ok(Some(size))
}

// `lines`: as the scan found them, with the empty line.
fn trailers(lines: &[u8]) -> Result<Headers<'_>, HttpError> {
    let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
    match httparse::parse_headers(lines, &mut slots) {
        Ok(httparse::Status::Complete((end, headers))) if end == lines.len() => {
            let forbidden = |name: &str| FORBIDDEN_TRAILERS.iter().any(|f| f.eq_ignore_ascii_case(name));
            if headers.iter().any(|header| forbidden(header.name)) {
                return Err(HttpError::Trailer);
            }
        }
        Ok(_) => return Err(HttpError::HeaderName),
        Err(error) => return Err(from_parser(error)),
    }
    Ok(Headers::checked(&lines[..lines.len() - 2]))
}

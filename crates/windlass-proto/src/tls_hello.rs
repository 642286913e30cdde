//! A bounded look at a TLS ClientHello: which name and which protocols the client asks for.
//!
//! A proxy that passes TLS through chooses its upstream by them, without a key and without taking a
//! byte: [`ClientHello::peek`] leaves its input as it found it. RFC 8446 section 4.1.2, the server name
//! RFC 6066 section 3, the protocols RFC 7301.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use crate::Input;

/// Bytes of records a ClientHello may take, if nothing else is said: those of today, with post-quantum
/// key shares, take 2 KiB.
pub const CLIENT_HELLO_MAX: usize = 20 * 1024;

/// The largest payload of a plaintext record (RFC 8446 section 5.1).
const RECORD_MAX: usize = 1 << 14;
const RECORD_HEADER: usize = 5;
const HANDSHAKE_HEADER: usize = 4;

/// What a client says first.
///
/// ```
/// use windlass_proto::{CLIENT_HELLO_MAX, ClientHello, ClientHelloError, Input};
///
/// let mut received = *b"GET / HTTP/1.1\r\n\r\n";
/// let looked = ClientHello::peek(&mut Input::new(&mut received), CLIENT_HELLO_MAX);
/// assert_eq!(looked, Err(ClientHelloError::Http));
///
/// let mut received = [22, 3, 1, 0];
/// let looked = ClientHello::peek(&mut Input::new(&mut received), CLIENT_HELLO_MAX);
/// assert_eq!(looked, Ok(None), "so far it may be one: there is more to come");
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ClientHello {
    /// The host name the client wants to reach, in lower case.
    pub server_name: Option<String>,
    /// The application protocols it speaks (ALPN), those it likes best first.
    pub alpn: Vec<Vec<u8>>,
    /// It can speak TLS 1.3.
    pub tls13: bool,
    /// Its true hello is encrypted (ECH): the name is that of the front, not of the service behind it.
    pub encrypted: bool,
}

/// Why there is no ClientHello to look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ClientHelloError {
    /// The first bytes are no TLS handshake record.
    NotTls,
    /// The first bytes are those of an HTTP request.
    Http,
    /// It takes more bytes than it may.
    TooLong,
    /// A length does not fit, or a part that must not be repeated is.
    Malformed,
}

impl ClientHello {
    /// Looks at the front of `input`, and takes nothing. `Ok(None)`: what is there may be the beginning
    /// of one; [`Input::needed`] says at how many bytes it is worth to look again. Up to `max` bytes are
    /// looked at, records' headers included; [`CLIENT_HELLO_MAX`] is a good number.
    ///
    /// # Errors
    ///
    /// [`ClientHelloError`], as early as it is certain.
    pub fn peek(input: &mut Input<'_>, max: usize) -> Result<Option<ClientHello>, ClientHelloError> {
        let seen = &input.peek()[..input.len().min(max)];
        let (looked, need) = match gather(seen, max)? {
            Gathered::Whole(message) => (Some(parse(&message).ok_or(ClientHelloError::Malformed)?), 0),
            Gathered::Part(need) if need > max => return Err(ClientHelloError::TooLong),
            Gathered::Part(need) => (None, need),
        };
        input.need(need);
        Ok(looked)
    }
}

enum Gathered<'b> {
    /// The message's body: borrowed where one record holds it.
    Whole(Cow<'b, [u8]>),
    /// At so many bytes there is something new to see.
    Part(usize),
}

/// Finds the handshake message in one record or several.
fn gather(bytes: &[u8], max: usize) -> Result<Gathered<'_>, ClientHelloError> {
    let mut message: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    let mut at = 0;
    loop {
        let header = &bytes[at..bytes.len().min(at + RECORD_HEADER)];
        if header.first().is_some_and(|kind| *kind != 22) || header.get(1).is_some_and(|major| *major != 3) {
            let seen = &bytes[..bytes.len().min(RECORD_HEADER)];
            return match at {
                0 if METHODS.iter().any(|method| seen.starts_with(method)) => Err(ClientHelloError::Http),
                // No TLS, but which of the two it is must not depend on how it arrived.
                0 if METHODS.iter().any(|method| method.starts_with(seen)) => {
                    Ok(Gathered::Part(seen.len() + 1))
                }
                0 => Err(ClientHelloError::NotTls),
                _ => Err(ClientHelloError::Malformed),
            };
        }
        let &[_, _, _, high, low] = header else { return Ok(Gathered::Part(at + RECORD_HEADER)) };
        let len = usize::from(u16::from_be_bytes([high, low]));
        if len == 0 || len > RECORD_MAX {
            return Err(ClientHelloError::Malformed);
        }
        let start = at + RECORD_HEADER;
        let payload = &bytes[start..bytes.len().min(start + len)];
        if message.is_empty() {
            message = Cow::Borrowed(payload);
        } else {
            message.to_mut().extend_from_slice(payload);
        }
        if message.first().is_some_and(|kind| *kind != 1) {
            return Err(ClientHelloError::Malformed);
        }
        let wanted = match *message {
            [_, a, b, c, ..] => HANDSHAKE_HEADER + u32::from_be_bytes([0, a, b, c]) as usize,
            _ => HANDSHAKE_HEADER,
        };
        // The bytes of this message alone are too many, whatever records they come in.
        if wanted > max {
            return Err(ClientHelloError::TooLong);
        }
        if message.len() >= HANDSHAKE_HEADER && message.len() >= wanted {
            return Ok(Gathered::Whole(match message {
                Cow::Borrowed(message) => Cow::Borrowed(&message[HANDSHAKE_HEADER..wanted]),
                Cow::Owned(message) => Cow::Owned(message[HANDSHAKE_HEADER..wanted].to_vec()),
            }));
        }
        if payload.len() < len {
            let missing = wanted - message.len();
            return Ok(Gathered::Part((start + payload.len() + missing).min(start + len)));
        }
        at = start + len;
    }
}

/// How requests begin, in no more bytes than a record's header has. In plaintext on a TLS port this is the
/// common mistake, and worth a name of its own.
const METHODS: [&[u8]; 9] =
    [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELET", b"OPTIO", b"PATCH", b"CONNE", b"PRI *"];

/// A piece of the message, read from its front.
struct Part<'b>(&'b [u8]);

impl<'b> Part<'b> {
    fn take(&mut self, n: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<usize> {
        Some(usize::from(self.take(1)?[0]))
    }

    fn u16(&mut self) -> Option<usize> {
        let bytes = self.take(2)?;
        Some(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
    }

    /// A vector with its length in one byte.
    fn short(&mut self) -> Option<Part<'b>> {
        let len = self.u8()?;
        self.take(len).map(Part)
    }

    /// A vector with its length in two.
    fn long(&mut self) -> Option<Part<'b>> {
        let len = self.u16()?;
        self.take(len).map(Part)
    }
}

/// RFC 8446 section 4.1.2, without looking into what a choice of upstream does not need.
fn parse(message: &[u8]) -> Option<ClientHello> {
    let mut hello = ClientHello::default();
    let mut rest = Part(message);
    let _version_and_random = rest.take(2 + 32)?;
    let session = rest.short()?;
    let ciphers = rest.long()?;
    let compressions = rest.short()?;
    if session.0.len() > 32 || ciphers.0.is_empty() || ciphers.0.len() % 2 != 0 || compressions.0.is_empty() {
        return None;
    }
    if rest.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = rest.long()?;
    if !rest.0.is_empty() {
        return None;
    }
    // The extensions looked at, each at most once: a second name would be a way to mislead.
    let mut seen = [false; 4];
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let mut body = extensions.long()?;
        let n = match kind {
            0 => 0,
            16 => 1,
            43 => 2,
            0xfe0d => 3,
            _ => continue,
        };
        if core::mem::replace(&mut seen[n], true) {
            return None;
        }
        match n {
            0 => hello.server_name = server_name(&mut body)?,
            1 => hello.alpn = protocols(&mut body)?,
            2 => hello.tls13 = body.short()?.0.chunks_exact(2).any(|version| version == [3, 4]),
            _ => hello.encrypted = true,
        }
    }
    Some(hello)
}

/// RFC 6066 section 3: a list, of which only host names were ever defined. The outer `None`: malformed.
fn server_name(body: &mut Part<'_>) -> Option<Option<String>> {
    let mut list = body.long()?;
    let mut found = None;
    while !list.0.is_empty() {
        let kind = list.u8()?;
        let name = list.long()?.0;
        if kind != 0 {
            continue;
        }
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        if found.is_some() || name.is_empty() || name.len() > 255 || !name.iter().all(fits) {
            return None;
        }
        found = core::str::from_utf8(name).ok().map(str::to_ascii_lowercase);
    }
    Some(found)
}

/// RFC 7301 section 3.1.
fn protocols(body: &mut Part<'_>) -> Option<Vec<Vec<u8>>> {
    let mut list = body.long()?;
    let mut found = Vec::new();
    while !list.0.is_empty() {
        let name = list.short()?.0;
        if name.is_empty() {
            return None;
        }
        found.push(name.to_vec());
    }
    Some(found)
}

impl ClientHelloError {
    /// A short stable name, fit for a metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            ClientHelloError::NotTls => "not_tls",
            ClientHelloError::Http => "http",
            ClientHelloError::TooLong => "too_long",
            ClientHelloError::Malformed => "malformed",
        }
    }
}

impl fmt::Display for ClientHelloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClientHelloError::NotTls => "not TLS",
            ClientHelloError::Http => "an HTTP request where TLS was expected",
            ClientHelloError::TooLong => "a ClientHello longer than the limit",
            ClientHelloError::Malformed => "a malformed ClientHello",
        })
    }
}

impl Error for ClientHelloError {}

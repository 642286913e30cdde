//! Fields off the front of a packet's body (sections 1.5 of both versions).

use super::{Kind, MqttError, PacketId};

/// The longest remaining length, or variable byte integer: four bytes of seven bits.
pub(super) const VARINT_MAX: u32 = 268_435_455;

/// What is left of a body. A field that is not whole is [`MqttError::Truncated`].
#[derive(Clone, Copy)]
pub(super) struct Reader<'b> {
    rest: &'b [u8],
    kind: Kind,
}

impl<'b> Reader<'b> {
    #[inline]
    pub(super) fn new(body: &'b [u8], kind: Kind) -> Reader<'b> {
        Reader { rest: body, kind }
    }

    #[inline]
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that is left.
    #[inline]
    pub(super) fn rest(&mut self) -> &'b [u8] {
        core::mem::take(&mut self.rest)
    }

    /// Nothing may be left.
    #[inline]
    pub(super) fn end(&self) -> Result<(), MqttError> {
        if self.rest.is_empty() { Ok(()) } else { Err(MqttError::Trailing(self.kind)) }
    }

    #[inline]
    pub(super) fn take(&mut self, n: usize) -> Result<&'b [u8], MqttError> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(MqttError::Truncated(self.kind))?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, MqttError> {
        let (first, rest) = self.rest.split_first().ok_or(MqttError::Truncated(self.kind))?;
        self.rest = rest;
        Ok(*first)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16, MqttError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(MqttError::Truncated(self.kind))?;
        self.rest = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32, MqttError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(MqttError::Truncated(self.kind))?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    #[inline]
    pub(super) fn packet_id(&mut self) -> Result<PacketId, MqttError> {
        PacketId::new(self.u16()?).ok_or(MqttError::PacketId)
    }

    /// A variable byte integer inside a packet: in its shortest form ([MQTT-1.5.5-1]).
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u32, MqttError> {
        match varint(self.rest) {
            Varint::Whole { value, len, shortest: true } => {
                self.rest = &self.rest[len..];
                Ok(value)
            }
            Varint::Partial => Err(MqttError::Truncated(self.kind)),
            Varint::Whole { .. } | Varint::TooLong => Err(MqttError::Integer(self.kind)),
        }
    }

    /// Bytes with their length in front (section 1.5.6 of 5.0).
    #[inline]
    pub(super) fn binary(&mut self) -> Result<&'b [u8], MqttError> {
        let len = self.u16()?;
        self.take(len.into())
    }

    /// The same, as text.
    #[inline]
    pub(super) fn text(&mut self) -> Result<&'b str, MqttError> {
        text(self.binary()?)
    }
}

/// A UTF-8 encoded string (section 1.5.3 of 3.1.1, 1.5.4 of 5.0): well-formed, so without surrogates, and without
/// U+0000. Other control characters and non-characters may be refused, and are not: they do no harm here, and
/// clients send them. A byte order mark is a character like any other ([MQTT-1.5.3-3], [MQTT-1.5.4-3]).
#[inline]
pub(super) fn text(bytes: &[u8]) -> Result<&str, MqttError> {
    let text = core::str::from_utf8(bytes).map_err(|_| MqttError::Utf8)?;
    if memchr::memchr(0, bytes).is_some() { Err(MqttError::Null) } else { Ok(text) }
}

/// What the front of some bytes is as a variable byte integer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Varint {
    /// So far each byte says that another follows.
    Partial,
    /// The fourth byte says so too.
    TooLong,
    Whole {
        value: u32,
        len: usize,
        shortest: bool,
    },
}

#[inline]
pub(super) fn varint(bytes: &[u8]) -> Varint {
    match bytes {
        [] => Varint::Partial,
        [value @ 0..0x80, ..] => Varint::Whole { value: u32::from(*value), len: 1, shortest: true },
        _ => long_varint(bytes),
    }
}

fn long_varint(bytes: &[u8]) -> Varint {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Varint::Whole { value, len: at + 1, shortest: byte != 0 || at == 0 };
        }
    }
    if bytes.len() < 4 { Varint::Partial } else { Varint::TooLong }
}

//! Fields of a packet on their way out.
//!
//! A body is put twice: once into a [`Length`], which counts, and once for good behind the fixed header that
//! says so. What has no encoding is refused before either.

use super::read::VARINT_MAX;
use super::{Kind, PacketId};
use crate::{EncodeError, Put};

/// Counts what is put.
#[derive(Default)]
pub(super) struct Length(pub(super) usize);

impl Put for Length {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// The bytes of a variable byte integer, the shortest form ([MQTT-1.5.5-1]), and how many they are.
#[inline]
pub(super) const fn varint_bytes(mut value: u32) -> ([u8; 4], usize) {
    let mut bytes = [0; 4];
    let mut len = 0;
    loop {
        bytes[len] = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 || len == 3 {
            return (bytes, len + 1);
        }
        bytes[len] |= 0x80;
        len += 1;
    }
}

/// How many bytes that takes.
#[inline]
pub(super) const fn varint_len(value: u32) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

#[inline]
pub(super) fn put_varint(out: &mut (impl Put + ?Sized), value: u32) {
    let (bytes, len) = varint_bytes(value);
    out.put(&bytes[..len]);
}

#[inline]
pub(super) fn put_id(out: &mut (impl Put + ?Sized), id: PacketId) {
    out.put(&id.get().to_be_bytes());
}

/// Bytes with their length in front; that they are at most 65,535 has been checked.
#[inline]
pub(super) fn put_binary(out: &mut (impl Put + ?Sized), bytes: &[u8]) {
    out.put(&(bytes.len() as u16).to_be_bytes());
    out.put(bytes);
}

/// That bytes fit behind a length of two bytes.
#[inline]
pub(super) fn check_binary(bytes: &[u8]) -> Result<(), EncodeError> {
    if bytes.len() > 65_535 { Err(EncodeError::TooLong { max: 65_535 }) } else { Ok(()) }
}

/// The same of text, and that there is no U+0000 in it ([MQTT-1.5.3-2], [MQTT-1.5.4-2]).
#[inline]
pub(super) fn check_text(text: &str) -> Result<(), EncodeError> {
    check_binary(text.as_bytes())?;
    if memchr::memchr(0, text.as_bytes()).is_some() { Err(EncodeError::Invalid) } else { Ok(()) }
}

/// The fixed header of a body of `len` bytes, if a packet of so many bytes may be sent.
#[inline]
pub(super) fn fixed_header(first: u8, len: usize, max: usize) -> Result<([u8; 5], usize), EncodeError> {
    let max = max.min(5 + VARINT_MAX as usize);
    let too_long = EncodeError::TooLong { max };
    let value = u32::try_from(len).ok().filter(|len| *len <= VARINT_MAX).ok_or(too_long)?;
    let (length, length_len) = varint_bytes(value);
    if 1 + length_len + len > max {
        return Err(too_long);
    }
    Ok(([first, length[0], length[1], length[2], length[3]], 1 + length_len))
}

/// A body, to be put twice.
pub(super) trait Body {
    fn put_body<P: Put + ?Sized>(&self, out: &mut P);
}

/// Puts a whole packet of this kind, or nothing.
pub(super) fn put_packet<P: Put + ?Sized>(
    kind: Kind,
    body: &impl Body,
    max: usize,
    out: &mut P,
) -> Result<(), EncodeError> {
    let mut length = Length::default();
    body.put_body(&mut length);
    let (header, header_len) = fixed_header(kind.first(), length.0, max)?;
    out.put(&header[..header_len]);
    body.put_body(out);
    Ok(())
}

//! Frames with a header that says how long they are.

use super::{FrameError, ended};
use crate::{Decode, Encode, EncodeError, Input, Put};

const MAX_BYTES: usize = 64 * 1024;
/// A varint of 64 bits: nine times seven, and one.
const VARINT_MAX: usize = 10;

/// Frames with a length field.
///
/// A frame is `offset` bytes, the length field, and the rest; how many bytes the rest has is the field's
/// value plus the adjustment. Three numbers describe nearly every such protocol:
///
/// | | default | is for |
/// | --- | --- | --- |
/// | [`offset`](LengthField::offset) | 0 | bytes in front of the length: a magic number, a type |
/// | [`adjust`](LengthField::adjust) | 0 | a length that counts something else than what follows it: minus its own width where it counts itself, plus what is not counted where more header follows it |
/// | [`strip`](LengthField::strip) | up to and with the length | bytes off the frame's front that are not handed out |
///
/// The limit counts the whole frame, header included, and is 64 KiB unless [`max`](LengthField::max) says
/// otherwise. A frame over it is refused when its length is there, whatever has arrived of the rest; and
/// so is one that ends inside its own header.
///
/// Messages that are one kind and a body behind a length that counts both:
///
/// ```
/// use windlass_proto::framing::{FrameError, LengthField};
/// use windlass_proto::{Decode, Encode, Input};
///
/// let mut frames = LengthField::be(4).max(1024);
/// let mut bytes = Vec::new();
/// frames.encode(b"hello", &mut bytes).unwrap();
/// assert_eq!(bytes, *b"\0\0\0\x05hello");
/// assert_eq!(frames.decode(&mut Input::new(&mut bytes))?.unwrap(), b"hello");
///
/// let mut promises = [0xff; 4];
/// let refused = frames.decode(&mut Input::new(&mut promises));
/// assert_eq!(refused, Err(FrameError::TooLong { max: 1024 }));
/// # Ok::<(), FrameError>(())
/// ```
///
/// The length in the middle, in little-endian order, counting the whole frame of a two-byte magic number,
/// itself, a one-byte type and the body; type and body are handed out:
///
/// ```
/// # use windlass_proto::framing::{FrameError, LengthField};
/// # use windlass_proto::{Decode, Input};
/// let mut frames = LengthField::le(2).offset(2).adjust(-4).max(100);
/// let mut received = *b"WL\x08\x00Tabc";
/// assert_eq!(frames.decode(&mut Input::new(&mut received))?.unwrap(), b"Tabc");
/// # Ok::<(), FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthField {
    field: Field,
    offset: usize,
    adjust: i64,
    // `None`: everything up to and with the length.
    strip: Option<usize>,
    max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    // Widths of 1 to 8 bytes.
    Big(usize),
    Little(usize),
    Varint,
}

impl LengthField {
    /// A length of `width` bytes, 1 to 8, the most significant first.
    ///
    /// # Panics
    ///
    /// If `width` is 0 or more than 8.
    pub const fn be(width: usize) -> LengthField {
        assert!(width >= 1 && width <= 8, "a length field has 1 to 8 bytes");
        LengthField::of(Field::Big(width))
    }

    /// A length of `width` bytes, 1 to 8, the least significant first.
    ///
    /// # Panics
    ///
    /// If `width` is 0 or more than 8.
    pub const fn le(width: usize) -> LengthField {
        assert!(width >= 1 && width <= 8, "a length field has 1 to 8 bytes");
        LengthField::of(Field::Little(width))
    }

    /// A length in seven bits a byte, the least significant first, the highest bit set in all but the last
    /// byte (unsigned LEB128): what stands before each message where protocol buffers are *delimited*.
    ///
    /// Up to ten bytes, which 64 bits take. A length written longer than it must be is read, as protocol
    /// buffers allow it; one that does not fit into 64 bits is [`FrameError::Malformed`].
    pub const fn varint() -> LengthField {
        LengthField::of(Field::Varint)
    }

    const fn of(field: Field) -> LengthField {
        LengthField { field, offset: 0, adjust: 0, strip: None, max: MAX_BYTES }
    }

    /// Bytes of the frame in front of the length field.
    pub const fn offset(self, offset: usize) -> LengthField {
        LengthField { offset, ..self }
    }

    /// What is added to the field's value to get the number of bytes behind the field.
    pub const fn adjust(self, adjust: i64) -> LengthField {
        LengthField { adjust, ..self }
    }

    /// Bytes off the frame's front that are not part of the message: 0 hands out the frame with its
    /// header. By default all up to and with the length are stripped.
    pub const fn strip(self, strip: usize) -> LengthField {
        LengthField { strip: Some(strip), ..self }
    }

    /// The longest frame, in bytes, its header included.
    pub const fn max(self, max: usize) -> LengthField {
        LengthField { max, ..self }
    }

    /// Puts a frame: `front`, a length, and `rest`. For frames with something in front of their length;
    /// what of this is the message is a question of [`strip`](LengthField::strip), and not asked here.
    ///
    /// # Errors
    ///
    /// As [`Encode::encode`]; [`EncodeError::Head`] if `front` is not [`offset`](LengthField::offset) bytes
    /// long.
    pub fn encode_behind(
        &self,
        front: &[u8],
        rest: &[u8],
        out: &mut (impl Put + ?Sized),
    ) -> Result<(), EncodeError> {
        if front.len() != self.offset {
            return Err(EncodeError::Head);
        }
        let value = (rest.len() as i128).checked_sub(i128::from(self.adjust));
        let value = value.and_then(|value| u64::try_from(value).ok()).ok_or(EncodeError::Length)?;
        let mut field = [0; VARINT_MAX];
        let width = self.store(value, &mut field).ok_or(EncodeError::Length)?;
        if front.len().saturating_add(width).saturating_add(rest.len()) > self.max {
            return Err(EncodeError::TooLong { max: self.max });
        }
        if !front.is_empty() {
            out.put(front);
        }
        out.put(&field[..width]);
        out.put(rest);
        Ok(())
    }

    /// The field's value and width; or, while it is not all there, how many bytes to wait for.
    #[inline]
    fn load(&self, seen: &[u8]) -> Result<Result<(u64, usize), usize>, FrameError> {
        let field = seen.get(self.offset..).unwrap_or_default();
        let (width, big) = match self.field {
            Field::Big(width) => (width, true),
            Field::Little(width) => (width, false),
            Field::Varint => {
                return match varint(field)? {
                    Some(found) => Ok(Ok(found)),
                    None => Ok(Err(self.offset.max(seen.len()).saturating_add(1))),
                };
            }
        };
        let Some(field) = field.get(..width) else { return Ok(Err(self.offset.saturating_add(width))) };
        let value = match (field, big) {
            (&[a, b], true) => u64::from(u16::from_be_bytes([a, b])),
            (&[a, b, c, d], true) => u64::from(u32::from_be_bytes([a, b, c, d])),
            (_, true) => field.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)),
            (_, false) => field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)),
        };
        Ok(Ok((value, width)))
    }

    /// Writes the field and returns its width; `None` if the value does not fit.
    fn store(&self, value: u64, field: &mut [u8; VARINT_MAX]) -> Option<usize> {
        let (Field::Big(width) | Field::Little(width)) = self.field else {
            return Some(put_varint(value, field));
        };
        if width < 8 && value >> (8 * width) != 0 {
            return None;
        }
        if let Field::Big(_) = self.field {
            field[..width].copy_from_slice(&value.to_be_bytes()[8 - width..]);
        } else {
            field[..width].copy_from_slice(&value.to_le_bytes()[..width]);
        }
        Some(width)
    }
}

impl Decode for LengthField {
    type Message<'b> = &'b mut [u8];
    type Error = FrameError;

    #[inline]
    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, FrameError> {
        let (value, width) = match self.load(input.peek())? {
            Ok(found) => found,
            Err(need) => {
                input.need(need);
                return Ok(None);
            }
        };
        let head = self.offset + width;
        // 128 bits hold every sum of these.
        let total = head as i128 + i128::from(value) + i128::from(self.adjust);
        if total < head as i128 {
            return Err(FrameError::TooShort);
        }
        if total > self.max as i128 {
            return Err(FrameError::TooLong { max: self.max });
        }
        let total = total as usize;
        let strip = self.strip.unwrap_or(head);
        if strip > total {
            return Err(FrameError::TooShort);
        }
        let Some(frame) = input.take(total) else {
            input.need(total);
            return Ok(None);
        };
        Ok(Some(&mut frame[strip..]))
    }

    fn end<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, FrameError> {
        ended(input).map(|()| None)
    }
}

/// Puts what the decoder would hand out, in a frame: where nothing but the length is stripped, or nothing
/// at all (the length in the message is replaced by the right one then). For every other header the
/// message does not tell its frame: [`EncodeError::Head`], and
/// [`encode_behind`](LengthField::encode_behind) is the way.
impl Encode<[u8]> for LengthField {
    fn encode(&mut self, message: &[u8], out: &mut (impl Put + ?Sized)) -> Result<(), EncodeError> {
        let only_length = match (self.strip, self.field) {
            (None, _) => self.offset == 0,
            (Some(strip), Field::Big(width) | Field::Little(width)) => self.offset == 0 && strip == width,
            (Some(_), Field::Varint) => false,
        };
        if only_length {
            return self.encode_behind(&[], message, out);
        }
        match (self.strip, self.load(message)) {
            (Some(0), Ok(Ok((_, width)))) => {
                let (front, rest) = message.split_at(self.offset);
                self.encode_behind(front, &rest[width..], out)
            }
            _ => Err(EncodeError::Head),
        }
    }
}

/// An unsigned LEB128 number and how many bytes it takes; `None` while its last byte is missing.
#[inline]
fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, FrameError> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(VARINT_MAX).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        // The tenth byte has room for one bit, and no byte follows it.
        if at == VARINT_MAX - 1 && byte > 1 {
            return Err(FrameError::Malformed);
        }
        if byte < 0x80 {
            return Ok(Some((value, at + 1)));
        }
    }
    Ok(None)
}

fn put_varint(mut value: u64, bytes: &mut [u8; VARINT_MAX]) -> usize {
    let mut at = 0;
    while value >= 0x80 {
        bytes[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    bytes[at] = value as u8;
    at + 1
}

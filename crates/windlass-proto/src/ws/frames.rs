//! Frames into the fragments of messages, as they arrive.

use super::error::WsError;
use super::frame::{FrameHead, HEAD_BYTES_MAX, Opcode};
use super::mask::apply_mask;
use crate::{Decode, Input};

/// Which end of a connection we are: who masks, and who wants it masked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Receives masked frames, and sends unmasked ones.
    Server,
    /// The other way round.
    Client,
}

/// What a message is made of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// What [`Frames`] gives: a control frame, or some of a message. Unmasked.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'b> {
    /// Bytes of a message, as many as there are.
    Fragment(Fragment<'b>),
    /// A ping, to be answered by a pong with the same payload.
    Ping(&'b [u8]),
    /// A pong.
    Pong(&'b [u8]),
    /// A Close frame's body. Nothing that follows it counts.
    Close(&'b [u8]),
}

/// Bytes of a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Fragment<'b> {
    /// What the message is. Whether text is UTF-8 has not been checked.
    pub kind: Kind,
    /// The message is compressed.
    pub compressed: bool,
    /// It begins here.
    pub first: bool,
    /// It ends here.
    pub last: bool,
    /// The bytes, to be changed in place at will.
    pub bytes: &'b mut [u8],
}

/// Decodes frames into [`Piece`]s, in place and without holding anything: a frame whose end has not arrived
/// is given as far as it is there. Control frames are given whole.
///
/// For messages that are worked on as they come, an upload say. To have them whole, see
/// [`Messages`](super::Messages).
///
/// The limit counts the payload of a message as it is on the wire, all its fragments together; a frame that
/// would pass it is refused by its head.
///
/// ```
/// use windlass_proto::ws::{Frames, Kind, Piece, Role};
/// use windlass_proto::{Decode, Input};
///
/// let mut received = [0x81, 0x05, b'H', b'e', b'l'];
/// let mut frames = Frames::new(Role::Client, 1024);
/// let piece = frames.decode(&mut Input::new(&mut received))?.unwrap();
/// let Piece::Fragment(fragment) = piece else { panic!() };
/// assert_eq!((fragment.kind, &*fragment.bytes), (Kind::Text, &b"Hel"[..]));
/// assert!(fragment.first && !fragment.last);
/// # Ok::<(), windlass_proto::ws::WsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Frames {
    max: usize,
    // Payload of the message so far, by the heads: never over `max`.
    total: usize,
    // Of the frame whose payload is arriving.
    left: usize,
    key: [u8; 4],
    role: Role,
    fin: bool,
    compression: bool,
    // The message that is not over, and whether some of it was given.
    open: Option<(Kind, bool)>,
    begun: bool,
}

impl Frames {
    /// Frames for this end, of messages of up to `max` bytes each.
    pub const fn new(role: Role, max: usize) -> Frames {
        Frames {
            max,
            total: 0,
            left: 0,
            key: [0; 4],
            role,
            fin: false,
            compression: false,
            open: None,
            begun: false,
        }
    }

    /// Lets messages be compressed: permessage-deflate was agreed on.
    pub const fn with_compression(mut self) -> Frames {
        self.compression = true;
        self
    }

    pub(super) const fn allow_compression(&mut self) {
        self.compression = true;
    }

    /// Whether a message has begun and not ended.
    pub const fn is_inside(&self) -> bool {
        self.open.is_some()
    }

    /// Bytes of payload that a message may have.
    pub const fn max(&self) -> usize {
        self.max
    }

    /// What a head alone does not tell: is it allowed here?
    fn admit(&mut self, head: &FrameHead) -> Result<(), WsError> {
        let begins = matches!(head.opcode, Opcode::Text | Opcode::Binary);
        if head.rsv1 && !(begins && self.compression) {
            return Err(WsError::ReservedBits);
        }
        match (head.opcode, &self.open) {
            (Opcode::Continuation, None) => Err(WsError::NothingToContinue),
            (Opcode::Text | Opcode::Binary, Some(_)) => Err(WsError::Interleaved),
            _ => Ok(()),
        }
    }

    /// What the second byte tells. Frames are judged byte by byte, so that the verdict is the same however
    /// they are split.
    fn check_front(&mut self, seen: &[u8]) -> Result<(), WsError> {
        if let Some(&first) = seen.first() {
            // Only its first byte is looked at: the rest of this head is made up.
            if let Ok((head, _)) = FrameHead::parse(&[first, 0])? {
                self.admit(&head)?;
            }
        }
        if let Some(&second) = seen.get(1) {
            match (self.role, second & 0x80 != 0) {
                (Role::Server, false) => return Err(WsError::Unmasked),
                (Role::Client, true) => return Err(WsError::Masked),
                _ => {}
            }
        }
        Ok(())
    }

    /// The payload of a control frame, once all of it is there. Its head is not taken before.
    fn control<'b>(head: &FrameHead, taken: usize, input: &mut Input<'b>) -> Option<&'b mut [u8]> {
        let total = taken + head.len as usize;
        let Some(frame) = input.take(total) else {
            input.need(total);
            return None;
        };
        let payload = &mut frame[taken..];
        if let Some(key) = head.mask {
            apply_mask(payload, key);
        }
        Some(payload)
    }

    /// What is there of the frame's payload.
    fn fragment<'b>(&mut self, input: &mut Input<'b>) -> Option<Fragment<'b>> {
        let n = self.left.min(input.len());
        let (kind, compressed) = self.open?;
        let last = self.fin && n == self.left;
        if n == 0 && !last {
            return None;
        }
        let bytes = input.take(n)?;
        self.left -= n;
        if self.role == Role::Server {
            self.key = apply_mask(bytes, self.key);
        }
        let first = !self.begun;
        self.begun = !last;
        if last {
            (self.open, self.fin, self.total) = (None, false, 0);
        }
        Some(Fragment { kind, compressed, first, last, bytes })
    }
}

impl Decode for Frames {
    type Message<'b> = Piece<'b>;
    type Error = WsError;

    #[inline]
    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Piece<'b>>, WsError> {
        loop {
            if self.left > 0 || self.fin {
                return Ok(self.fragment(input).map(Piece::Fragment));
            }
            let seen = &input.peek()[..input.len().min(HEAD_BYTES_MAX)];
            self.check_front(seen)?;
            let (head, taken) = match FrameHead::parse(seen)? {
                Ok(found) => found,
                Err(need) => {
                    if !seen.is_empty() {
                        input.need(need);
                    }
                    return Ok(None);
                }
            };
            if head.opcode.is_control() {
                let Some(payload) = Frames::control(&head, taken, input) else { return Ok(None) };
                return Ok(Some(match head.opcode {
                    Opcode::Ping => Piece::Ping(payload),
                    Opcode::Pong => Piece::Pong(payload),
                    _ => Piece::Close(payload),
                }));
            }
            let room = (self.max - self.total) as u64;
            if head.len > room {
                return Err(WsError::TooLarge { max: self.max });
            }
            input.skip(taken);
            (self.left, self.fin) = (head.len as usize, head.fin);
            self.total += self.left;
            self.key = head.mask.unwrap_or_default();
            match head.opcode {
                Opcode::Text => self.open = Some((Kind::Text, head.rsv1)),
                Opcode::Binary => self.open = Some((Kind::Binary, head.rsv1)),
                _ => {}
            }
        }
    }
}

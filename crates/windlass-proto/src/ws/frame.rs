//! The head of a frame (RFC 6455 section 5.2).

use super::error::WsError;

/// The longest head, in bytes: two, a length of eight, a key of four.
pub const HEAD_BYTES_MAX: usize = 14;

/// The longest payload of a control frame.
pub(super) const CONTROL_MAX: usize = 125;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Opcode {
    /// Goes on with the message begun before.
    Continuation = 0,
    /// Begins a message of UTF-8.
    Text = 1,
    /// Begins a message of bytes.
    Binary = 2,
    /// Ends the connection.
    Close = 8,
    /// Wants a pong with the same payload.
    Ping = 9,
    /// Answers a ping, or is a sign of life.
    Pong = 10,
}

impl Opcode {
    /// Whether it is about the connection, and may stand between the fragments of a message.
    pub const fn is_control(self) -> bool {
        self as u8 >= 8
    }

    const fn from_bits(bits: u8) -> Result<Opcode, WsError> {
        Ok(match bits {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return Err(WsError::Opcode(bits)),
        })
    }
}

/// What stands before a frame's payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHead {
    /// The last frame of its message.
    pub fin: bool,
    /// The first reserved bit: with permessage-deflate, a compressed message begins. The others are never
    /// set.
    pub rsv1: bool,
    /// What it is.
    pub opcode: Opcode,
    /// The key the payload is masked with.
    pub mask: Option<[u8; 4]>,
    /// Bytes of payload; below 2^63.
    pub len: u64,
}

impl FrameHead {
    /// The head of an unmasked frame that is a whole message.
    pub const fn whole(opcode: Opcode, len: u64) -> FrameHead {
        FrameHead { fin: true, rsv1: false, opcode, mask: None, len }
    }

    /// Reads a head off the front of `bytes`, with the bytes it takes. `Ok(Err(n))`: there is more to
    /// see at `n` bytes, and they are not all there.
    ///
    /// # Errors
    ///
    /// What can be seen in the head alone, as early as it can be: [`WsError::ReservedBits`] for the second
    /// and third bit, [`WsError::Opcode`], [`WsError::ControlFragmented`], [`WsError::ControlTooLong`],
    /// [`WsError::Length`].
    pub fn parse(bytes: &[u8]) -> Result<Result<(FrameHead, usize), usize>, WsError> {
        let Some(&first) = bytes.first() else { return Ok(Err(2)) };
        if first & 0x30 != 0 {
            return Err(WsError::ReservedBits);
        }
        let opcode = Opcode::from_bits(first & 0x0f)?;
        let (fin, rsv1) = (first & 0x80 != 0, first & 0x40 != 0);
        if opcode.is_control() && !fin {
            return Err(WsError::ControlFragmented);
        }
        let Some(&second) = bytes.get(1) else { return Ok(Err(2)) };
        let (masked, short) = (second & 0x80 != 0, second & 0x7f);
        if opcode.is_control() && usize::from(short) > CONTROL_MAX {
            return Err(WsError::ControlTooLong);
        }
        let behind = 2 + match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let total = behind + if masked { 4 } else { 0 };
        // Not the key yet: the length may be wrong.
        let Some(extended) = bytes.get(2..behind) else { return Ok(Err(behind)) };
        let len = match *extended {
            [] => short.into(),
            [high, low] => u64::from(u16::from_be_bytes([high, low])),
            _ => extended.iter().fold(0, |len, &byte| len << 8 | u64::from(byte)),
        };
        let shortest = match short {
            126 => len > CONTROL_MAX as u64,
            127 => len > u64::from(u16::MAX) && len >> 63 == 0,
            _ => true,
        };
        if !shortest {
            return Err(WsError::Length);
        }
        let mask = match (masked, bytes.get(behind..total)) {
            (false, _) => None,
            (true, Some(&[a, b, c, d])) => Some([a, b, c, d]),
            (true, _) => return Ok(Err(total)),
        };
        Ok(Ok((FrameHead { fin, rsv1, opcode, mask, len }, total)))
    }

    /// The head in bytes, to be followed by `len` bytes of payload, masked if it has a key.
    #[inline]
    pub fn encode(&self) -> Head {
        let mut head = Head { bytes: [0; HEAD_BYTES_MAX], len: 2 };
        head.bytes[0] = u8::from(self.fin) << 7 | u8::from(self.rsv1) << 6 | self.opcode as u8;
        let short = match self.len {
            0..=125 => self.len as u8,
            126..=0xffff => {
                head.push(&(self.len as u16).to_be_bytes());
                126
            }
            _ => {
                head.push(&self.len.to_be_bytes());
                127
            }
        };
        head.bytes[1] = u8::from(self.mask.is_some()) << 7 | short;
        if let Some(key) = self.mask {
            head.push(&key);
        }
        head
    }
}

/// A [`FrameHead`] in bytes: at most [`HEAD_BYTES_MAX`].
#[derive(Clone, Copy, Debug)]
pub struct Head {
    bytes: [u8; HEAD_BYTES_MAX],
    len: u8,
}

impl Head {
    fn push(&mut self, bytes: &[u8]) {
        let at = usize::from(self.len);
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }
}

impl AsRef<[u8]> for Head {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

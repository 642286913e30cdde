//! Octet counting: the length in decimal digits, as syslog over TCP and TLS has it.

use super::{FrameError, ended};
use crate::{Decode, Encode, EncodeError, Input, Put};

/// Octet counting (RFC 6587 section 3.4.1, RFC 5425 section 4.3): `MSG-LEN SP MSG`.
///
/// The length is in decimal, without a sign or a leading zero, so no message is empty. The limit counts
/// the message without its length. The same RFC's other way, a LF behind each message, is
/// [`Lines`](crate::Lines); which of them a peer speaks is told by its first byte, a digit or `<`.
///
/// ```
/// use windlass_proto::framing::{FrameError, OctetCounted};
/// use windlass_proto::{Decode, Input};
///
/// let mut received = *b"5 <1>hi4 <2>";
/// let mut input = Input::new(&mut received);
/// let mut syslog = OctetCounted::max(8192);
/// assert_eq!(syslog.decode(&mut input)?.unwrap(), b"<1>hi");
/// assert!(syslog.decode(&mut input)?.is_none());
/// assert_eq!(input.needed(), Some(6));
/// # Ok::<(), FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OctetCounted {
    max: usize,
}

impl OctetCounted {
    /// Messages of up to `max` bytes. RFC 5425 section 4.3.1 wants at least 2048 of a receiver, and 8192
    /// if it can.
    pub const fn max(max: usize) -> OctetCounted {
        OctetCounted { max }
    }
}

impl Decode for OctetCounted {
    type Message<'b> = &'b mut [u8];
    type Error = FrameError;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, FrameError> {
        let mut len = 0_usize;
        for (at, &byte) in input.peek().iter().enumerate() {
            match byte {
                b'1'..=b'9' => {}
                b'0' if at > 0 => {}
                b' ' if at > 0 => {
                    let head = at + 1;
                    let Some(bytes) = head.checked_add(len).and_then(|total| input.take(total)) else {
                        input.need(head.saturating_add(len));
                        return Ok(None);
                    };
                    return Ok(Some(&mut bytes[head..]));
                }
                _ => return Err(FrameError::Malformed),
            }
            // Digits that follow only make it longer, so their number is bounded too.
            len = len
                .checked_mul(10)
                .and_then(|len| len.checked_add(usize::from(byte - b'0')))
                .filter(|len| *len <= self.max)
                .ok_or(FrameError::TooLong { max: self.max })?;
        }
        Ok(None)
    }

    fn end<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, FrameError> {
        ended(input).map(|()| None)
    }
}

impl Encode<[u8]> for OctetCounted {
    fn encode(&mut self, message: &[u8], out: &mut (impl Put + ?Sized)) -> Result<(), EncodeError> {
        if message.is_empty() {
            return Err(EncodeError::Length);
        }
        if message.len() > self.max {
            return Err(EncodeError::TooLong { max: self.max });
        }
        // 20 digits are enough for 64 bits; the space stands behind them.
        let mut head = [b' '; 21];
        let (mut at, mut len) = (20, message.len());
        while len > 0 {
            at -= 1;
            head[at] = b'0' + (len % 10) as u8;
            len /= 10;
        }
        out.put(&head[at..]);
        out.put(message);
        Ok(())
    }
}

//! SLIP: packets over a serial line, and over anything else that is a stream of bytes.

use memchr::{memchr, memchr2};

use super::{FrameError, ended};
use crate::{Decode, Encode, EncodeError, Input, Put};

const END: u8 = 0o300;
const ESC: u8 = 0o333;
const ESC_END: u8 = 0o334;
const ESC_ESC: u8 = 0o335;

/// SLIP (RFC 1055): a packet ends at 0xC0, and that byte and 0xDB are escaped inside.
///
/// The limit counts the decoded packet. An empty one is none and is passed over, as the RFC advises for
/// what stands between two 0xC0; so an empty message has no encoding. An escape that means nothing is
/// refused, where the RFC's own example keeps the byte: nothing is lost on a reliable stream, so somebody
/// sent it so. Decoded in place.
///
/// ```
/// use windlass_proto::framing::{FrameError, Slip};
/// use windlass_proto::{Decode, Encode, Input};
///
/// let mut bytes = Vec::new();
/// let mut slip = Slip::max(1006);
/// slip.encode(&[1, 0xC0, 2], &mut bytes).unwrap();
/// assert_eq!(bytes, [1, 0xDB, 0xDC, 2, 0xC0]);
/// assert_eq!(slip.decode(&mut Input::new(&mut bytes))?.unwrap(), [1, 0xC0, 2]);
/// # Ok::<(), FrameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Slip {
    max: usize,
    leading_end: bool,
    // The bytes at the front of the input that are known to hold no END.
    scanned: usize,
}

impl Slip {
    /// Packets of up to `max` bytes, decoded. The RFC's own are up to 1006.
    pub const fn max(max: usize) -> Slip {
        Slip { max, leading_end: false, scanned: 0 }
    }

    /// The encoder puts 0xC0 in front of each packet too, which ends whatever noise a serial line made
    /// before it. Decoding is the same.
    pub const fn leading_end(self) -> Slip {
        Slip { leading_end: true, ..self }
    }
}

impl Decode for Slip {
    type Message<'b> = &'b mut [u8];
    type Error = FrameError;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, FrameError> {
        if self.scanned == 0 {
            let ends = input.peek().iter().take_while(|byte| **byte == END).count();
            input.skip(ends);
        }
        // Every byte escaped is the most that `max` bytes take.
        let packet_max = self.max.saturating_mul(2);
        let seen = &input.peek()[..input.len().min(packet_max.saturating_add(1))];
        let from = self.scanned.min(seen.len());
        let Some(end) = memchr(END, &seen[from..]).map(|at| from + at) else {
            self.scanned = seen.len();
            return if seen.len() > packet_max {
                Err(FrameError::TooLong { max: self.max })
            } else {
                Ok(None)
            };
        };
        self.scanned = 0;
        let Some(bytes) = input.take(end + 1) else { return Ok(None) };
        let packet = &mut bytes[..end];
        let len = unescape(packet).ok_or(FrameError::Malformed)?;
        if len > self.max {
            return Err(FrameError::TooLong { max: self.max });
        }
        Ok(Some(&mut packet[..len]))
    }

    fn end<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, FrameError> {
        ended(input).map(|()| None)
    }
}

/// Decodes to the front of `packet` and returns the length; `None` if an escape means nothing.
fn unescape(packet: &mut [u8]) -> Option<usize> {
    let (mut from, mut to) = (0, 0);
    loop {
        let run = memchr(ESC, &packet[from..]).unwrap_or(packet.len() - from);
        packet.copy_within(from..from + run, to);
        (from, to) = (from + run, to + run);
        if from == packet.len() {
            return Some(to);
        }
        packet[to] = match packet.get(from + 1) {
            Some(&ESC_END) => END,
            Some(&ESC_ESC) => ESC,
            _ => return None,
        };
        (from, to) = (from + 2, to + 1);
    }
}

impl Encode<[u8]> for Slip {
    fn encode(&mut self, message: &[u8], out: &mut (impl Put + ?Sized)) -> Result<(), EncodeError> {
        if message.is_empty() {
            return Err(EncodeError::Length);
        }
        if message.len() > self.max {
            return Err(EncodeError::TooLong { max: self.max });
        }
        if self.leading_end {
            out.put(&[END]);
        }
        let mut rest = message;
        while let Some(at) = memchr2(END, ESC, rest) {
            out.put(&rest[..at]);
            out.put(&[ESC, if rest[at] == END { ESC_END } else { ESC_ESC }]);
            rest = &rest[at + 1..];
        }
        out.put(rest);
        out.put(&[END]);
        Ok(())
    }
}

//! Frames with a length in front: one end sends them, the other sends them back with their bytes in reverse order.

use core::fmt::Write;

use windlass_proto::framing::LengthField;
use windlass_proto::{Decode, Encode, Input, PutSlice};

use crate::peer::{Failure, Hex, Peer};

/// How many there are.
const FRAMES: usize = 64;
/// How many go before the first has come back.
const AHEAD: usize = 2;
/// Bytes of the longest: longer than a packet, and than half of a socket's buffer.
const LONGEST: usize = 124;

const CODEC: LengthField = LengthField::be(2).max(2 + LONGEST);

/// The bytes of one frame, and how many: 0 to the most there may be.
fn frame(number: usize) -> ([u8; LONGEST], usize) {
    let len = number * 31 % (LONGEST + 1);
    (core::array::from_fn(|at| (number * 7 + at) as u8), len)
}

/// Who sends, and checks every byte that comes back.
pub(crate) struct Asking {
    codec: LengthField,
    sent: usize,
    back: usize,
    bytes: usize,
}

impl Asking {
    pub(crate) const fn new() -> Asking {
        Asking { codec: CODEC, sent: 0, back: 0, bytes: 0 }
    }

    fn send(&mut self, out: &mut PutSlice<'_>, log: &mut dyn Write) -> Result<(), Failure> {
        let (bytes, len) = frame(self.sent);
        self.codec.encode(&bytes[..len], out)?;
        if self.sent % 16 == 15 {
            writeln!(log, "frame {} of {len} bytes goes:{}..", self.sent, Hex(&bytes[..len.min(8)]))?;
        }
        self.sent += 1;
        Ok(())
    }

    /// What came of it.
    pub(crate) fn report(&self, log: &mut dyn Write) -> Result<(), Failure> {
        writeln!(
            log,
            "frames: {} there and back, {} bytes of messages, each the same",
            self.back, self.bytes
        )?;
        Ok(())
    }
}

impl Peer for Asking {
    fn opened(&mut self, out: &mut PutSlice<'_>, log: &mut dyn Write) -> Result<(), Failure> {
        (0..AHEAD).try_for_each(|_| self.send(out, log))
    }

    fn received(
        &mut self,
        input: &mut Input<'_>,
        out: &mut PutSlice<'_>,
        log: &mut dyn Write,
    ) -> Result<bool, Failure> {
        let message = self.codec.decode(input).map_err(|error| Failure::Protocol(error.label()))?;
        let Some(message) = message else { return Ok(false) };
        let (bytes, len) = frame(self.back);
        if !message.iter().rev().eq(&bytes[..len]) {
            return Err(Failure::Unexpected("another frame"));
        }
        if self.back % 16 == 15 {
            writeln!(log, "frame {} of {len} bytes is back:{}..", self.back, Hex(&message[..len.min(8)]))?;
        }
        self.back += 1;
        self.bytes += len;
        if self.sent < FRAMES {
            self.send(out, log)?;
        }
        Ok(true)
    }

    fn is_done(&self) -> bool {
        self.back == FRAMES
    }
}

/// Who sends them back.
pub(crate) struct Answering {
    codec: LengthField,
    answered: usize,
}

impl Answering {
    pub(crate) const fn new() -> Answering {
        Answering { codec: CODEC, answered: 0 }
    }
}

impl Peer for Answering {
    fn opened(&mut self, _: &mut PutSlice<'_>, _: &mut dyn Write) -> Result<(), Failure> {
        Ok(())
    }

    fn received(
        &mut self,
        input: &mut Input<'_>,
        out: &mut PutSlice<'_>,
        _: &mut dyn Write,
    ) -> Result<bool, Failure> {
        let message = self.codec.decode(input).map_err(|error| Failure::Protocol(error.label()))?;
        let Some(message) = message else { return Ok(false) };
        // A message is lent as `&mut`: it is turned round where it is.
        message.reverse();
        self.codec.encode(message, out)?;
        self.answered += 1;
        Ok(true)
    }

    fn is_done(&self) -> bool {
        self.answered == FRAMES
    }
}

//! The sending half of an endpoint.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::close::CloseCode;
use super::encode::{MaskKeys, append};
use super::frame::{CONTROL_MAX, FrameHead, Head, Opcode};
use super::frames::Kind;
use super::mask::apply_mask;
#[cfg(feature = "deflate")]
use super::permessage::Packing;
use super::scratch::{SendScratch, empty};

/// A message ready to be sent: its head, and behind it the payload.
#[derive(Clone, Copy, Debug)]
pub struct Encoded<'a> {
    /// The frame's head.
    pub head: Head,
    /// The payload: the message itself, unless it was compressed or masked.
    pub payload: &'a [u8],
}

/// The half of an [`Endpoint`](super::Endpoint) that sends: it encodes messages, pings and the Close frame,
/// after which it encodes nothing more.
#[derive(Debug)]
pub struct Sender {
    // Of a client.
    keys: Option<Box<MaskKeys>>,
    #[cfg(feature = "deflate")]
    packing: Option<Box<Packing>>,
    close_sent: bool,
}

impl Sender {
    pub(super) fn new(keys: Option<MaskKeys>) -> Sender {
        Sender {
            keys: keys.map(Box::new),
            #[cfg(feature = "deflate")]
            packing: None,
            close_sent: false,
        }
    }

    #[cfg(feature = "deflate")]
    pub(super) fn compress(&mut self, packing: Packing) {
        self.packing = Some(Box::new(packing));
    }

    /// Prepares a message to be sent: a server's uncompressed one is not copied. `None` once a Close frame
    /// was written: there is nobody to hear it.
    pub fn encode<'a>(
        &mut self,
        kind: Kind,
        message: &'a [u8],
        scratch: &'a mut SendScratch,
    ) -> Option<Encoded<'a>> {
        if self.close_sent {
            return None;
        }
        empty(&mut scratch.out);
        #[cfg(feature = "deflate")]
        let rsv1 = self.packing.as_mut().is_some_and(|packing| packing.compress(message, scratch));
        #[cfg(not(feature = "deflate"))]
        let rsv1 = false;
        let mask = self.keys.as_mut().map(|keys| keys.next_key());
        if let Some(key) = mask {
            if !rsv1 {
                scratch.out.extend_from_slice(message);
            }
            apply_mask(&mut scratch.out, key);
        }
        let payload = if rsv1 || mask.is_some() { &scratch.out[..] } else { message };
        let head = FrameHead { rsv1, mask, ..FrameHead::whole(kind.opcode(), payload.len() as u64) };
        Some(Encoded { head: head.encode(), payload })
    }

    /// Appends a message to `out`. False once a Close frame was written.
    pub fn send(&mut self, kind: Kind, message: &[u8], scratch: &mut SendScratch, out: &mut Vec<u8>) -> bool {
        let Some(encoded) = self.encode(kind, message, scratch) else { return false };
        out.extend_from_slice(encoded.head.as_ref());
        out.extend_from_slice(encoded.payload);
        true
    }

    /// Appends a ping to `out`, with the first 125 bytes of `payload`. False once a Close frame was written.
    pub fn ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> bool {
        self.control(Opcode::Ping, payload, out)
    }

    pub(super) fn pong(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.control(Opcode::Pong, payload, out);
    }

    /// Appends a Close frame to `out`, with as much of `reason` as fits (123 bytes), unless there was one. A
    /// code that [may not be sent](CloseCode::may_be_sent) is left away, and the reason with it.
    pub fn close(&mut self, code: CloseCode, reason: &str, out: &mut Vec<u8>) {
        let mut body = [0; CONTROL_MAX];
        let mut len = 0;
        if code.may_be_sent() {
            let reason = &reason.as_bytes()[..reason.floor_char_boundary(CONTROL_MAX - 2)];
            len = 2 + reason.len();
            body[..2].copy_from_slice(&code.0.to_be_bytes());
            body[2..len].copy_from_slice(reason);
        }
        self.control(Opcode::Close, &body[..len], out);
        self.close_sent = true;
    }

    /// Whether a Close frame was written.
    pub fn is_closing(&self) -> bool {
        self.close_sent
    }

    /// Whether messages are compressed.
    pub fn is_compressed(&self) -> bool {
        #[cfg(feature = "deflate")]
        return self.packing.is_some();
        #[cfg(not(feature = "deflate"))]
        false
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) -> bool {
        if self.close_sent {
            return false;
        }
        let payload = &payload[..payload.len().min(CONTROL_MAX)];
        let mask = self.keys.as_mut().map(|keys| keys.next_key());
        append(out, FrameHead { mask, ..FrameHead::whole(opcode, payload.len() as u64) }, payload);
        true
    }
}

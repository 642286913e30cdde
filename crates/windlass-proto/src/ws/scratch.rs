//! Buffers and compression state that many connections share.

use alloc::vec::Vec;

#[cfg(feature = "deflate")]
use crate::deflate::{DeflateOptions, Deflater, Inflater};

// A buffer that grew beyond this for one message is not kept for the next.
const KEEP_MAX: usize = 256 * 1024;

/// What receiving and sending a message takes for as long as that lasts: one for all connections of a
/// worker. Empty at first, since what is needed is allocated by the first message that needs it.
#[derive(Debug, Default)]
pub struct Scratch {
    /// For [`Receiver::next`](super::Receiver::next).
    pub receive: ReceiveScratch,
    /// For [`Sender::encode`](super::Sender::encode).
    pub send: SendScratch,
}

/// One inflated message, and the inflater (64 KiB) of all connections without context takeover. What grew
/// beyond 256 KiB is given back with the next message.
#[derive(Debug, Default)]
pub struct ReceiveScratch {
    #[cfg(feature = "deflate")]
    pub(super) plain: Vec<u8>,
    #[cfg(feature = "deflate")]
    pub(super) inflater: Option<Inflater>,
}

/// One message compressed or masked, and a deflater for each window size that some connection without
/// context takeover uses: 7 at most, of `DeflateOptions::bytes` each. What grew beyond 256 KiB is given back with the next message.
#[derive(Debug, Default)]
pub struct SendScratch {
    pub(super) out: Vec<u8>,
    #[cfg(feature = "deflate")]
    deflaters: [Option<Deflater>; 7],
}

impl Scratch {
    /// Empty.
    pub fn new() -> Scratch {
        Scratch::default()
    }
}

impl SendScratch {
    #[cfg(feature = "deflate")]
    pub(super) fn deflater(&mut self, options: DeflateOptions) -> (&mut Deflater, &mut Vec<u8>) {
        let place = &mut self.deflaters[usize::from(options.window_bits.clamp(9, 15) - 9)];
        if place.as_ref().is_some_and(|deflater| deflater.options() != options) {
            *place = None;
        }
        let deflater = place.get_or_insert_with(|| Deflater::new(options));
        deflater.reset();
        (deflater, &mut self.out)
    }
}

/// Clears a buffer for the next message.
pub(super) fn empty(buffer: &mut Vec<u8>) {
    buffer.clear();
    if buffer.capacity() > KEEP_MAX {
        *buffer = Vec::new();
    }
}

//! A codec whose messages are plain bytes, ready for the test kit.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::{Codec, Ends, Rng};
use crate::{Decode, Encode};

// What framings give a meaning: zeros and ones, ends of lines, digits, escapes of SLIP.
const SPECIAL: &[u8] = b"\0\x01\xff\r\n\t 019|\x80\xc0\xdb\xdc\xdd";

/// Everything the test kit must know of a codec that borrows its messages as bytes, in one expression.
///
/// ```
/// use windlass_proto::framing::LengthField;
/// use windlass_proto::testing::{Frames, check};
///
/// // Of a frame of up to 50 bytes, 49 may wait.
/// check(&Frames::new(LengthField::be(2).max(50), 49).refused(b"\0\x31").lengths(0..=50));
/// ```
#[derive(Clone, Debug)]
pub struct Frames<C> {
    codec: C,
    held_max: usize,
    lengths: RangeInclusive<usize>,
    refused: Vec<Vec<u8>>,
    ends: Ends,
}

impl<C> Frames<C> {
    /// A codec, and how many bytes of an incomplete message may wait untaken.
    pub fn new(codec: C, held_max: usize) -> Frames<C> {
        let lengths = 0..=held_max.saturating_add(2);
        Frames { codec, held_max, lengths, refused: Vec::new(), ends: Ends::Refused }
    }

    /// How long random messages are. By default a little longer than the bytes that may wait.
    pub fn lengths(self, lengths: RangeInclusive<usize>) -> Frames<C> {
        Frames { lengths, ..self }
    }

    /// Adds an input that must end with an error.
    pub fn refused(mut self, bytes: &[u8]) -> Frames<C> {
        self.refused.push(bytes.to_vec());
        self
    }

    /// The end of the input may end a message.
    pub fn open_end(self) -> Frames<C> {
        Frames { ends: Ends::Open, ..self }
    }
}

impl<C> Codec for Frames<C>
where
    C: Clone + Encode<[u8]> + for<'b> Decode<Message<'b> = &'b mut [u8]>,
{
    type Decoder = C;
    type Message = Vec<u8>;

    fn decoder(&self) -> C {
        self.codec.clone()
    }

    fn own(message: &mut [u8]) -> Vec<u8> {
        message.to_vec()
    }

    fn message(&self, rng: &mut Rng) -> Vec<u8> {
        let (least, most) = (*self.lengths.start() as u64, *self.lengths.end() as u64);
        // Mostly short, so that every split of several can be tried.
        let range = if rng.chance(1, 4) { most - least } else { (most - least).min(12) };
        let len = least + rng.below(range + 1);
        (0..len)
            .map(|_| {
                let any = rng.next_u64() as u8;
                if rng.chance(1, 2) { SPECIAL[usize::from(any) % SPECIAL.len()] } else { any }
            })
            .collect()
    }

    fn encode(&self, message: &Vec<u8>, out: &mut Vec<u8>) -> bool {
        self.codec.clone().encode(message, out).is_ok()
    }

    fn held_max(&self) -> usize {
        self.held_max
    }

    fn refused(&self) -> Vec<Vec<u8>> {
        self.refused.clone()
    }

    fn ends(&self) -> Ends {
        self.ends
    }
}

//! A decoder without an encoder, and messages written down, ready for the test kit.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;

use super::{Codec, Ends, Rng, feed};
use crate::Decode;

/// Everything the test kit must know of a decoder whose encoder is somebody else's: samples of what it
/// decodes, each of them one message. Messages are compared by their `Debug` texts.
///
/// ```
/// use windlass_proto::Lines;
/// use windlass_proto::testing::{Samples, check};
///
/// check(&Samples::new(|| Lines::max(80), 81).sample(b"PING\r\n").sample(b"QUIT\n").refused(&[b'x'; 81]));
/// ```
#[derive(Clone, Debug)]
pub struct Samples<F> {
    decoder: F,
    held_max: usize,
    samples: Vec<Vec<u8>>,
    refused: Vec<Vec<u8>>,
    ends: Ends,
}

/// A message as its text; and its bytes, where it came out of a sample.
#[derive(Clone, Debug)]
pub struct Sample {
    text: String,
    bytes: Vec<u8>,
}

impl PartialEq for Sample {
    fn eq(&self, other: &Sample) -> bool {
        self.text == other.text
    }
}

impl<F> Samples<F> {
    /// A decoder, and how many bytes of an incomplete message may wait untaken.
    pub fn new(decoder: F, held_max: usize) -> Samples<F> {
        Samples { decoder, held_max, samples: Vec::new(), refused: Vec::new(), ends: Ends::Refused }
    }

    /// Adds the bytes of one message.
    pub fn sample(mut self, bytes: &[u8]) -> Samples<F> {
        self.samples.push(bytes.to_vec());
        self
    }

    /// Adds an input that must end with an error.
    pub fn refused(mut self, bytes: &[u8]) -> Samples<F> {
        self.refused.push(bytes.to_vec());
        self
    }

    /// The end of the input may be anywhere: the decoder says nothing of it.
    pub fn open_end(self) -> Samples<F> {
        Samples { ends: Ends::Open, ..self }
    }
}

impl<F, D> Codec for Samples<F>
where
    F: Fn() -> D,
    D: Decode,
    for<'b> D::Message<'b>: Debug,
{
    type Decoder = D;
    type Message = Sample;

    fn decoder(&self) -> D {
        (self.decoder)()
    }

    fn own(message: D::Message<'_>) -> Sample {
        Sample { text: format!("{message:?}"), bytes: Vec::new() }
    }

    /// # Panics
    ///
    /// If there is no sample, or if one is not exactly one message.
    fn message(&self, rng: &mut Rng) -> Sample {
        let bytes = &self.samples[rng.below(self.samples.len() as u64) as usize];
        let run = feed(self.decoder(), [&bytes[..]], Self::collect);
        match &run.messages[..] {
            [Sample { text, .. }] if run.left == 0 && run.error.is_none() => {
                Sample { text: text.clone(), bytes: bytes.clone() }
            }
            others => panic!(
                "b\"{}\" is {others:?}, {} bytes and {:?}, and not one message",
                bytes.escape_ascii(),
                run.left,
                run.error
            ),
        }
    }

    fn encode(&self, message: &Sample, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&message.bytes);
        true
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

//! Any bytes as compressed messages behind a length: see fuzz/README.md.
#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use windlass_proto::Encode;
use windlass_proto::deflate::Compressed;
use windlass_proto::framing::LengthField;
use windlass_proto::testing::{Codec, Rng, fuzz};

struct Messages;

impl Codec for Messages {
    type Decoder = Compressed<LengthField>;
    type Message = Vec<u8>;
    fn decoder(&self) -> Compressed<LengthField> {
        Compressed::new(LengthField::be(1).max(200), 2000)
    }
    fn own(message: Cow<'_, [u8]>) -> Vec<u8> {
        message.into_owned()
    }
    fn message(&self, rng: &mut Rng) -> Vec<u8> {
        vec![0; rng.below(400) as usize]
    }
    fn encode(&self, message: &Vec<u8>, out: &mut Vec<u8>) -> bool {
        self.decoder().encode(message, out).is_ok()
    }
    fn held_max(&self) -> usize {
        199
    }
}

fuzz_target!(|bytes: &[u8]| fuzz(&Messages, bytes));

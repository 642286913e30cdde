//! Tests of [`crate::deflate::Compressed`]: through the test kit, and what a peer may try.

use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;

use crate::deflate::{Compressed, CompressedError, DeflateOptions, InflateError};
use crate::framing::{FrameError, LengthField};
use crate::testing::{Codec, Rng, check};
use crate::{Decode, Encode, EncodeError, Input};

const MAX: usize = 2000;

fn codec() -> Compressed<LengthField> {
    let options = DeflateOptions { window_bits: 10, memory_level: 3, ..DeflateOptions::default() };
    Compressed::new(LengthField::be(2).max(300), MAX).options(options).worth_it_min(20)
}

/// Messages that compress well, badly, and not at all.
struct Messages;

impl Codec for Messages {
    type Decoder = Compressed<LengthField>;
    type Message = Vec<u8>;

    fn decoder(&self) -> Compressed<LengthField> {
        codec()
    }

    fn own(message: Cow<'_, [u8]>) -> Vec<u8> {
        message.into_owned()
    }

    fn message(&self, rng: &mut Rng) -> Vec<u8> {
        let letters = 1 << rng.below(9);
        let len = rng.below(if letters < 3 { MAX as u64 + 10 } else { 40 });
        (0..len).map(|_| rng.below(letters) as u8).collect()
    }

    fn encode(&self, message: &Vec<u8>, out: &mut Vec<u8>) -> bool {
        codec().encode(message, out).is_ok()
    }

    fn held_max(&self) -> usize {
        299
    }

    fn refused(&self) -> Vec<Vec<u8>> {
        vec![b"\0\0".to_vec(), b"\0\x01\x02".to_vec(), b"\0\x02\x01\xff".to_vec(), b"\xff\xff".to_vec()]
    }
}

#[test]
fn passes_the_kit() {
    check(&Messages);
}

#[test]
fn what_inflates_to_too_much_stops_at_the_cap() {
    let bomb = |len: usize| {
        let mut bytes = Vec::new();
        let mut peer = Compressed::new(LengthField::be(4).max(60_000), usize::MAX);
        peer.encode(&vec![0; len], &mut bytes).unwrap();
        bytes
    };
    let decode = |mut bytes: Vec<u8>| {
        let mut codec = Compressed::new(LengthField::be(4).max(60_000), MAX);
        codec.decode(&mut Input::new(&mut bytes)).map(|message| message.map(|message| message.len()))
    };
    assert_eq!(decode(bomb(MAX)), Ok(Some(MAX)));
    let too_large = Err(CompressedError::Inflate(InflateError::TooLarge { max: MAX }));
    assert_eq!(decode(bomb(MAX + 1)), too_large);
    assert_eq!(decode(bomb(4_000_000)), too_large);
    let as_is = [&[0, 0, 7, 0xd2, 0][..], &[1; MAX + 1]].concat();
    assert_eq!(decode(as_is), Err(CompressedError::TooLong { max: MAX }));
    assert_eq!(codec().encode(&[0; MAX + 1], &mut Vec::new()), Err(EncodeError::TooLong { max: MAX }));
}

#[test]
fn messages_stand_alone_and_are_compressed_only_where_it_pays() {
    let text = b"a message that is said again and again and again".repeat(3);
    let (mut one, mut two) = (Vec::new(), Vec::new());
    let mut codec = codec();
    codec.encode(&text, &mut one).unwrap();
    codec.encode(&text, &mut two).unwrap();
    assert_eq!(one, two, "the second refers to nothing before it");
    assert!(one.len() < text.len() / 2 && one[2] == 1);

    let mut noise = vec![0; 200];
    Rng::new(7).fill(&mut noise);
    let mut bytes = Vec::new();
    codec.encode(&noise, &mut bytes).unwrap();
    assert_eq!((bytes.len(), bytes[2]), (203, 0));
    let borrowed = codec.decode(&mut Input::new(&mut bytes)).unwrap().unwrap();
    assert!(matches!(borrowed, Cow::Borrowed(message) if message == noise));
    let mut rest = [1];
    let cut_off = codec.end(&mut Input::new(&mut rest));
    assert_eq!(cut_off, Err(CompressedError::Frame(FrameError::Truncated)));
}

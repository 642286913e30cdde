//! Tests of [`crate::deflate`].

use alloc::vec;
use alloc::vec::Vec;

use crate::deflate::{DeflateOptions, Deflater, InflateError, Inflater};
use crate::testing::Rng;

fn text(rng: &mut Rng, len: usize) -> Vec<u8> {
    (0..len).map(|_| b"the quick brown fox "[rng.below(20) as usize]).collect()
}

fn inflate(inflater: &mut Inflater, message: &[u8], max: usize) -> Result<Vec<u8>, InflateError> {
    let mut out = b"before".to_vec();
    inflater.inflate(message, max, &mut out)?;
    assert!(out.starts_with(b"before"));
    Ok(out.split_off(6))
}

#[test]
fn messages_come_back_with_every_window_and_level() {
    for window_bits in 8..=16 {
        for level in [0, 1, 6, 9] {
            let options = DeflateOptions { level, window_bits, ..DeflateOptions::default() };
            for takeover in [false, true] {
                let mut rng = Rng::new(u64::from(window_bits));
                let (mut deflater, mut inflater) = (Deflater::new(options), Inflater::new());
                for len in [0, 1, 2, 15, 100, 1000, 70_000, 3, 33_000, 0, 500] {
                    let message = text(&mut rng, len);
                    let mut packed = Vec::new();
                    deflater.compress(&message, &mut packed);
                    assert_eq!(inflate(&mut inflater, &packed, len), Ok(message), "{options:?}, {len}");
                    if !takeover {
                        deflater.reset();
                        inflater.reset();
                    }
                }
            }
        }
    }
}

#[test]
fn what_does_not_compress_comes_back_too() {
    let mut rng = Rng::new(1);
    let (mut deflater, mut inflater) = (Deflater::new(DeflateOptions::default()), Inflater::new());
    // Around every size at which a buffer could just be full.
    for len in (0..300).chain(16_000..16_020) {
        let mut message = vec![0; len];
        rng.fill(&mut message);
        let mut packed = Vec::new();
        deflater.compress(&message, &mut packed);
        assert_eq!(inflate(&mut inflater, &packed, len), Ok(message), "{len}");
    }
}

#[test]
fn a_window_carried_over_makes_the_second_message_smaller() {
    let mut deflater = Deflater::new(DeflateOptions::default());
    let message = text(&mut Rng::new(3), 400);
    let mut sizes = [0; 3];
    for (n, size) in sizes.iter_mut().enumerate() {
        if n == 2 {
            deflater.reset();
        }
        let mut packed = Vec::new();
        deflater.compress(&message, &mut packed);
        *size = packed.len();
    }
    assert!(sizes[1] * 4 < sizes[0], "{sizes:?}");
    assert_eq!(sizes[2], sizes[0]);
}

#[test]
fn the_examples_of_the_rfc() {
    // RFC 7692 sections 7.2.3.1 to 7.2.3.5.
    let mut inflater = Inflater::new();
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(inflate(&mut inflater, &hello, 5).unwrap(), b"Hello");
    let again = [0xf2, 0x00, 0x11, 0x00, 0x00];
    assert_eq!(inflate(&mut inflater, &again, 5).unwrap(), b"Hello");
    inflater.reset();
    let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
    assert_eq!(inflate(&mut inflater, &stored, 5).unwrap(), b"Hello");
    inflater.reset();
    let finished = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    assert_eq!(inflate(&mut inflater, &finished, 5).unwrap(), b"Hello");
    inflater.reset();
    let two_blocks = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(inflate(&mut inflater, &two_blocks, 5).unwrap(), b"Hello");
}

#[test]
fn a_stream_that_ends_without_a_tail_is_whole() {
    let mut inflater = Inflater::new();
    for _ in 0..3 {
        assert_eq!(inflate(&mut inflater, &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 5).unwrap(), b"Hello");
    }
    // Two streams in one message, the second referring to the first.
    let mut two = vec![0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    two.extend([0xf2, 0x00, 0x11, 0x00, 0x00]);
    assert_eq!(inflate(&mut inflater, &two, 10).unwrap(), b"HelloHello");
}

#[test]
fn the_cap_holds_to_the_byte_and_while_inflating() {
    let mut packed = Vec::new();
    Deflater::new(DeflateOptions::default()).compress(&vec![0; 4 << 20], &mut packed);
    assert!(packed.len() < 64 * 1024);
    for max in [0, 1, 1000, 65_536, (4 << 20) - 1] {
        let mut out = Vec::new();
        let result = Inflater::new().inflate(&packed, max, &mut out);
        assert_eq!(result, Err(InflateError::TooLarge { max }));
        assert!(out.len() <= max + 1 && out.capacity() <= (max + 1) * 2 + 64 * 1024, "{}", out.capacity());
    }
    assert_eq!(inflate(&mut Inflater::new(), &packed, 4 << 20).unwrap().len(), 4 << 20);
}

#[test]
fn nonsense_is_an_error_and_no_more() {
    assert_eq!(inflate(&mut Inflater::new(), &[0xff, 0xff, 0xff], 100), Err(InflateError::Corrupt));
    // It refers to a message that this inflater has not seen.
    let again = [0xf2, 0x00, 0x11, 0x00, 0x00];
    assert_eq!(inflate(&mut Inflater::new(), &again, 100), Err(InflateError::Corrupt));
    let mut inflater = Inflater::new();
    for seed in 0..20_000 {
        let mut rng = Rng::new(seed);
        let mut bytes = vec![0; rng.below(60) as usize];
        rng.fill(&mut bytes);
        let mut out = Vec::new();
        let _ = inflater.inflate(&bytes, 10_000, &mut out);
        assert!(out.len() <= 10_001);
        inflater.reset();
    }
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(inflate(&mut inflater, &hello, 5).unwrap(), b"Hello");
}

#[test]
fn streams_that_end_at_once_are_not_followed_for_ever() {
    // Each `03 00` is a whole stream of nothing: a megabyte of them must not cost a window each.
    let bytes = [3, 0].repeat(1 << 19);
    let mut out = Vec::new();
    let inflated = Inflater::new().inflate(&bytes, 1 << 20, &mut out);
    assert_eq!(inflated, Err(InflateError::Corrupt));
}

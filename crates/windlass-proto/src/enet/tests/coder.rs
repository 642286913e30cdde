//! The range coder beside the original: the same bytes, both ways.

use alloc::vec;
use alloc::vec::Vec;

use rusty_enet::Compressor;

use super::super::coder::RangeCoder;
use crate::testing::Rng;

/// Datagrams of all kinds: text, zeros, counters, noise, and what is mixed of them.
fn sample(rng: &mut Rng) -> Vec<u8> {
    let longest = if rng.chance(1, 10) { 4096 } else { 600 };
    let len = rng.below(longest) as usize;
    let mut bytes = Vec::new();
    while bytes.len() < len {
        match rng.below(5) {
            0 => bytes.extend(b"player moved to "),
            1 => bytes.extend(vec![0; rng.below(300) as usize]),
            2 => bytes.extend((rng.next_u64() as u32 % 1000).to_be_bytes()),
            3 => bytes.push(rng.next_u64() as u8),
            _ => {
                // Something seen before.
                let from = rng.below(bytes.len() as u64 + 1) as usize;
                let to = (from + rng.below(40) as usize).min(bytes.len());
                bytes.extend_from_within(from..to);
            }
        }
    }
    bytes.truncate(len);
    bytes
}

#[test]
fn it_writes_what_the_original_writes_and_reads_it() {
    let mut rng = Rng::new(1);
    let (mut ours, mut theirs) = (RangeCoder::new(), rusty_enet::RangeCoder::new());
    let mut shrunk = 0;
    for _ in 0..3000 {
        let bytes = sample(&mut rng);
        let (mut here, mut there) = (vec![0; bytes.len()], vec![0; bytes.len()]);
        let len = ours.compress(&bytes, &mut here);
        let expected = theirs.compress(&[&bytes], bytes.len(), &mut there);
        assert_eq!(len.unwrap_or(0), expected);
        let Some(len) = len.filter(|&len| len > 0) else { continue };
        shrunk += 1;
        assert_eq!(here[..len], there[..len]);
        let mut back = vec![0; 4096];
        assert_eq!(ours.decompress(&here[..len], &mut back), Some(bytes.len()));
        assert_eq!(back[..bytes.len()], bytes);
        // With exactly enough room, and with one byte too little.
        assert_eq!(ours.decompress(&here[..len], &mut back[..bytes.len()]), Some(bytes.len()));
        assert_eq!(ours.decompress(&here[..len], &mut back[..bytes.len() - 1]), None);
    }
    assert!(shrunk > 2000, "{shrunk}");
}

#[test]
fn it_reads_noise_as_the_original_does_or_refuses_it() {
    let mut rng = Rng::new(2);
    let (mut ours, mut theirs) = (RangeCoder::new(), rusty_enet::RangeCoder::new());
    let mut read = 0;
    for _ in 0..3000 {
        // Compressed bytes with a fault or a cut, or noise from the beginning.
        let bytes = sample(&mut rng);
        let mut noise = vec![0; bytes.len() + 8];
        let len = ours.compress(&bytes, &mut noise).unwrap_or(0);
        noise.truncate(len);
        match rng.below(3) {
            0 => noise.truncate(rng.below(len as u64 + 1) as usize),
            1 if len > 0 => noise[rng.below(len as u64) as usize] ^= 1 << rng.below(8),
            _ => {
                noise.resize(20, 0);
                rng.fill(&mut noise);
            }
        }
        let (mut here, mut there) = (vec![0; 4096], vec![0; 4096]);
        if let Some(len) = ours.decompress(&noise, &mut here) {
            read += 1;
            assert_eq!(theirs.decompress(&noise, &mut there), len);
            assert_eq!(here[..len], there[..len]);
        }
    }
    assert!(read > 100, "{read}");
}

#[test]
fn nothing_is_nothing() {
    let mut coder = RangeCoder::new();
    assert_eq!(coder.compress(b"", &mut [0; 8]), Some(0));
    assert_eq!(coder.decompress(b"", &mut [0; 8]), None);
}

//! The numbers are those of the published algorithms, and fair.

use super::{Random, mix};

#[test]
fn the_sources_are_the_published_ones() {
    // SplitMix64 with seed 0: the first two outputs that its authors' program prints.
    let step = 0x9E37_79B9_7F4A_7C15u64;
    assert_eq!(mix(step), 0xE220_A839_7B1D_CDAF);
    assert_eq!(mix(step.wrapping_mul(2)), 0x6E78_9E6A_A1B9_65F4);
    // xoshiro256** from the state 1, 2, 3, 4.
    let mut random = Random([1, 2, 3, 4]);
    let first: Vec<u64> = (0..4).map(|_| random.next_u64()).collect();
    assert_eq!(first, [11_520, 0, 1_509_978_240, 1_215_971_899_390_074_240]);
}

#[test]
fn every_number_below_is_as_likely() {
    let mut random = Random::new(1);
    let mut counts = [0u32; 7];
    for _ in 0..70_000 {
        counts[random.below(7) as usize] += 1;
    }
    assert!(counts.iter().all(|&count| (9_600..10_400).contains(&count)), "{counts:?}");
    assert_eq!(random.below(0), 0);
    assert_eq!(random.below(1), 0);
    assert_eq!(random.between(3, 2), 3);
    let both = (0..100).map(|_| random.between(i32::MIN, i32::MAX)).any(|n| n < 0);
    assert!(both);
}

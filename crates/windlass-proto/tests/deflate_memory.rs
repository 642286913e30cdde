//! What a deflater and an inflater hold is what is said of them. In a process of its own and without a test harness, whose
//! thread would allocate meanwhile: all that is allocated is counted.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use windlass_proto::deflate::{DeflateOptions, Deflater, INFLATER_BYTES_MAX, Inflater};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What is held of what `make` allocates.
fn held<T>(make: impl FnOnce() -> T) -> usize {
    let region = Region::new(ALLOCATOR);
    let made = make();
    let change = region.change();
    drop(made);
    change.bytes_allocated - change.bytes_deallocated
}

fn main() {
    let message: Vec<u8> = (0..200_000_u64).map(|n| ((n * n) >> 7) as u8).collect();
    let mut out = Vec::with_capacity(1 << 20);
    for window_bits in 9..=15 {
        for memory_level in [1, 8, 9] {
            let options = DeflateOptions { window_bits, memory_level, ..DeflateOptions::default() };
            out.clear();
            let held = held(|| {
                let mut deflater = Deflater::new(options);
                deflater.compress(&message, &mut out);
                deflater
            });
            let said = options.bytes();
            assert!(held <= said && held + 16 * 1024 >= said, "{options:?}: {held}, not {said}");
        }
    }
    let mut plain = Vec::with_capacity(1 << 20);
    let held = held(|| {
        let mut inflater = Inflater::new();
        inflater.inflate(&out, message.len(), &mut plain).unwrap();
        inflater
    });
    assert!(held <= INFLATER_BYTES_MAX, "{held}");
    assert_eq!(plain, message);
    println!("an inflater: {held} bytes; a deflater: {}", DeflateOptions::default().bytes());
}

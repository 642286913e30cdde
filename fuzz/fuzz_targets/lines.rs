//! Any bytes as lines: see fuzz/README.md.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::proto::Lines;
use windlass::proto::testing::{Frames, fuzz};

fuzz_target!(|bytes: &[u8]| {
    fuzz(&Frames::new(Lines::max(40), 41), bytes);
    fuzz(&Frames::new(Lines::max(40).open_end(), 41), bytes);
});

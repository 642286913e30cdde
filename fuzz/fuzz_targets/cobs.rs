//! Any bytes as COBS frames: see fuzz/README.md.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::proto::framing::Cobs;
use windlass::proto::testing::{Frames, fuzz};

fuzz_target!(|bytes: &[u8]| {
    fuzz(&Frames::new(Cobs::max(20), 21), bytes);
    fuzz(&Frames::new(Cobs::max(600), 603), bytes);
});

//! Any bytes as messages of one length, which is the first byte: see fuzz/README.md.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::proto::framing::Fixed;
use windlass::proto::testing::{Frames, fuzz};

fuzz_target!(|bytes: &[u8]| {
    let Some((&len, bytes)) = bytes.split_first() else { return };
    let len = usize::from(len) + 1;
    fuzz(&Frames::new(Fixed::bytes(len), len - 1), bytes);
});

//! Any bytes as messages with a delimiter, which is the first bytes: see fuzz/README.md.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::proto::framing::Delimited;
use windlass::proto::testing::{Frames, fuzz};

fuzz_target!(|bytes: &[u8]| {
    let Some((&size, bytes)) = bytes.split_first() else { return };
    let Some((delimiter, bytes)) = bytes.split_at_checked(usize::from(size % 4) + 1) else { return };
    fuzz(&Frames::new(Delimited::new(delimiter, 40), 39 + delimiter.len()), bytes);
    fuzz(&Frames::new(Delimited::new(delimiter, 40).open_end(), 39 + delimiter.len()), bytes);
});

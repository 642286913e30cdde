//! Any bytes as octet-counted messages (RFC 6587): see fuzz/README.md.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::proto::framing::OctetCounted;
use windlass::proto::testing::{Frames, fuzz};

fuzz_target!(|bytes: &[u8]| {
    fuzz(&Frames::new(OctetCounted::max(120), 123), bytes);
    fuzz(&Frames::new(OctetCounted::max(usize::MAX), usize::MAX), bytes);
});

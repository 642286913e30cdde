//! Any bytes as SLIP packets (RFC 1055): see fuzz/README.md.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::proto::framing::Slip;
use windlass::proto::testing::{Frames, fuzz};

fuzz_target!(|bytes: &[u8]| fuzz(&Frames::new(Slip::max(20), 40), bytes));

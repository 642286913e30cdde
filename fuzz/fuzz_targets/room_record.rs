//! Any bytes as the record of a room of the arena: `cargo +nightly fuzz run room_record`. It is played again, or said to be
//! garbled, and comes to the same each time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_realtime::{Arena, replay};

/// What a record of the arena begins with: its seed is 1, the rate 30, with 16 seats and 2 spectators.
const BEGIN: &[u8] = b"WLRECORD\x01\x05arena\x02{}\x01\0\0\0\0\0\0\0\x1e\x10\x02";

fuzz_target!(|bytes: &[u8]| {
    let record = if bytes.starts_with(b"W") { bytes.to_vec() } else { [BEGIN, bytes].concat() };
    let arena = Arena::kind();
    let again = || replay(&record, |kind, options| (kind == arena.name).then(|| arena.make(options)));
    assert_eq!(again(), again());
});

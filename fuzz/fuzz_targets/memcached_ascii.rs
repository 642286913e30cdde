//! Any bytes to the text commands of memcached: `cargo +nightly fuzz run memcached_ascii`. The first byte of
//! the input says how it is cut; the commands must be those of the whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::proto::memcached::{Ascii, Limits};
use windlass::proto::testing;

fuzz_target!(|bytes: &[u8]| {
    let Some((&size, bytes)) = bytes.split_first() else { return };
    // Small, so that a fuzzer reaches them.
    let decoder = || Ascii::new(Limits { value_max: 64, line_max: 512 });
    let whole = testing::feed(decoder(), [bytes], |seen, command| seen.push(format!("{command:?}")));
    let pieces = bytes.chunks(usize::from(size) + 1);
    let split = testing::feed(decoder(), pieces, |seen, command| seen.push(format!("{command:?}")));
    assert_eq!((whole.messages, whole.error), (split.messages, split.error));
});

//! Any bytes to an inflater: `cargo +nightly fuzz run inflate`. Nothing passes the cap, and what we compress
//! comes back, whatever went before.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::proto::deflate::{DeflateOptions, Deflater, Inflater};

const MAX: usize = 64 * 1024;

fuzz_target!(|bytes: &[u8]| {
    let [settings, bytes @ ..] = bytes else { return };
    let mut inflater = Inflater::new();
    for message in bytes.chunks(usize::from(*settings) * 4 + 1) {
        let mut plain = Vec::new();
        let result = inflater.inflate(message, MAX, &mut plain);
        assert!(plain.len() <= MAX + 1 && plain.capacity() <= 4 * MAX);
        if result.is_err() {
            inflater.reset();
        }
    }

    inflater.reset();
    let options = DeflateOptions { level: settings % 10, window_bits: 9 + settings % 7, memory_level: 1 + settings % 9 };
    let mut deflater = Deflater::new(options);
    for message in bytes.chunks(usize::from(*settings) * 4 + 1) {
        let (mut packed, mut plain) = (Vec::new(), Vec::new());
        deflater.compress(message, &mut packed);
        inflater.inflate(&packed, message.len(), &mut plain).expect("what we have compressed");
        assert_eq!(plain, message);
    }
});

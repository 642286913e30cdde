//! Any bytes as headers of the PROXY protocol: see fuzz/README.md.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::proto::proxy_protocol::ProxyProtocol;
use windlass::proto::testing::{Samples, fuzz};

fuzz_target!(|bytes: &[u8]| {
    let codec = ProxyProtocol::default().length_max(300);
    fuzz(&Samples::new(move || codec, codec.held_max()), bytes);
});

//! Any bytes as a packet of MQTT, to our codec and to that of mqtt-protocol-core: both take it, and read the same, or there
//! is a known reason for the difference. The first byte says the kind and the version, the second has the flags of a
//! PUBLISH, and the rest is the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_proto::mqtt::{Kind, Version};

#[path = "../../crates/windlass-proto/tests/mqtt_oracle/oracle.rs"]
mod oracle;

fuzz_target!(|bytes: &[u8]| {
    let [how, flags, body @ ..] = bytes else { return };
    let version = if how & 0x80 == 0 { Version::V311 } else { Version::V5 };
    let kind = oracle::KINDS[usize::from(how & 15) % oracle::KINDS.len()];
    let first = if kind == Kind::Publish { 0x30 | flags & 15 } else { oracle::first_of(kind) };
    oracle::compare(first, body, version);
});

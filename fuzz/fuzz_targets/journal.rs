//! Any bytes as the hub's journal finds them on a disk: see fuzz/README.md. It opens, and what was whole stays.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_hub::journal::fuzzing::fuzz;

fuzz_target!(|bytes: &[u8]| fuzz(bytes));

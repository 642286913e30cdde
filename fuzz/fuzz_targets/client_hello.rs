//! Any bytes to the look at a ClientHello: `cargo +nightly fuzz run client_hello`. Looking at a part never
//! says something else than looking at the whole, only that there is more to come.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::proto::{CLIENT_HELLO_MAX, ClientHello, Input};

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    let whole = ClientHello::peek(&mut Input::new(&mut bytes), CLIENT_HELLO_MAX);
    let half = bytes.len() / 2;
    let mut input = Input::new(&mut bytes[..half]);
    let part = ClientHello::peek(&mut input, CLIENT_HELLO_MAX);
    match part {
        Ok(None) => assert!(input.needed().is_some_and(|need| need > half)),
        // HTTP is told from other plaintext only once its method is there.
        Err(error) => assert!(whole.is_err(), "{error:?}, then {whole:?}"),
        hello => assert_eq!(hello, whole),
    }
});

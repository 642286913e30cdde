//! Any bytes to both sides of the opening handshake: `cargo +nightly fuzz run ws_handshake`. What a server
//! accepts or refuses it answers well; what it and the client agree on, both understand.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::proto::http::{RequestHeads, ResponseHeads};
use windlass::proto::ws::{Compression, Opening, Origins, Upgrade, WsConfig};
use windlass::proto::{Decode, Input};

/// A response, as every HTTP client reads it.
fn check_answer(mut answer: Vec<u8>) -> u16 {
    let mut input = Input::new(&mut answer);
    let head = ResponseHeads::default().decode(&mut input).unwrap().expect("a whole head");
    assert!(input.is_empty());
    head.status.code()
}

fuzz_target!(|bytes: &[u8]| {
    let takeover = Compression { context_takeover: true, peer_context_takeover: true, ..Default::default() };
    let config = WsConfig::default().compression(takeover);

    let mut request = bytes.to_vec();
    if let Ok(Some(head)) = RequestHeads::default().decode(&mut Input::new(&mut request)) {
        let mut answer = Vec::new();
        match Upgrade::new(&head, &Origins::default()) {
            Ok(upgrade) => {
                let protocol = upgrade.protocols().next();
                let endpoint = upgrade.accept(&config, protocol, &mut answer);
                let text = String::from_utf8_lossy(&answer).into_owned();
                assert_eq!(endpoint.sender.is_compressed(), text.contains("sec-websocket-extensions"));
                assert_eq!(check_answer(answer), 101);
            }
            Err(error) => {
                error.respond(&mut answer);
                assert!(check_answer(answer) >= 400);
            }
        }
    }

    let opening = Opening::new([1; 32]).protocol("a").protocol("b");
    let mut response = bytes.to_vec();
    if let Ok(Some(head)) = ResponseHeads::default().decode(&mut Input::new(&mut response)) {
        let _ = opening.answer(&head, &config);
    }

    // Any text as what the client offers: what the server makes of it is an answer to it.
    let offer: String = bytes.iter().filter(|b| b.is_ascii_graphic() || **b == b' ').map(|&b| b as char).collect();
    let text = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: {offer}\r\n\r\n"
    );
    let mut request = text.into_bytes();
    if let Ok(Some(head)) = RequestHeads::default().decode(&mut Input::new(&mut request)) {
        let mut answer = Vec::new();
        if let Ok(upgrade) = Upgrade::new(&head, &Origins::default()) {
            upgrade.accept(&config, None, &mut answer);
            assert_eq!(check_answer(answer), 101);
        }
    }
});

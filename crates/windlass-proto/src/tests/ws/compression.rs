//! Tests of permessage-deflate: what is agreed on, and messages through it.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::endpoint::Talker;
use super::handshake::{serve, shake};
use crate::deflate::DeflateOptions;
use crate::http::{RequestHeads, ResponseHeads};
use crate::testing::Rng;
use crate::ws::{
    Compression, FrameHead, HandshakeError, Kind, Opcode, Opening, Origins, Role, Upgrade, WsConfig, WsError,
};
use crate::{Decode, Input};

fn takeover(ours: bool, theirs: bool) -> WsConfig {
    let compression = Compression {
        context_takeover: ours,
        peer_context_takeover: theirs,
        message_min: 0,
        ..Compression::default()
    };
    WsConfig::default().compression(compression)
}

fn chosen(offer: &str, config: &WsConfig) -> Option<String> {
    let request = alloc::format!(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Extensions: {offer}\r\n\r\n"
    );
    let answer = serve(&request, config, &Origins::SameHost, None).unwrap();
    let line = answer.lines().find(|line| line.starts_with("sec-websocket-extensions"));
    line.map(|line| line.split_once(": ").unwrap().1.to_string())
}

#[test]
fn what_a_server_makes_of_offers() {
    let both = takeover(true, true);
    let is = |offer: &str, answer: &str| assert_eq!(chosen(offer, &both).as_deref(), Some(answer), "{offer}");
    is("permessage-deflate", "permessage-deflate");
    is("x-webkit-deflate-frame, permessage-deflate; client_max_window_bits", "permessage-deflate");
    is("permessage-deflate; client_max_window_bits=10", "permessage-deflate");
    is("permessage-deflate;server_max_window_bits=10", "permessage-deflate; server_max_window_bits=10");
    is("permessage-deflate; server_max_window_bits=\"9\"", "permessage-deflate; server_max_window_bits=9");
    is(
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    );
    // The first that can be met, with nothing but what it asks for.
    is("permessage-deflate; server_max_window_bits=8, permessage-deflate", "permessage-deflate");
    for bad in [
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; unknown",
        "permessage-deflate;",
        "permessage-bzip2",
        "",
    ] {
        assert_eq!(chosen(bad, &both), None, "{bad}");
    }
    assert_eq!(chosen("permessage-deflate", &WsConfig::default()), None, "it is off unless it is wanted");
    assert_eq!(
        chosen("permessage-deflate", &takeover(false, false)).as_deref(),
        Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
    );
}

#[test]
fn what_a_client_makes_of_answers() {
    let opening = Opening::new([1; 32]);
    let (both, neither, off) = (takeover(true, true), takeover(false, false), WsConfig::default());
    let answered = |client: &WsConfig, server: &WsConfig, from: &str, to: &str| {
        shake(&opening, (client, server), None, |answer| answer.replace(from, to))
    };
    for client in [&both, &neither, &off] {
        for server in [&both, &neither, &off] {
            assert_eq!(answered(client, server, "", ""), Ok(None));
        }
    }
    let says = |line: &str| {
        answered(&both, &both, "permessage-deflate", &alloc::format!("permessage-deflate{line}"))
    };
    for good in ["; client_max_window_bits=9", "; server_max_window_bits=8", "; client_no_context_takeover"] {
        assert_eq!(says(good), Ok(None), "{good}");
    }
    let bad =
        ["; client_max_window_bits=8", "; client_max_window_bits", "; foo", ", permessage-deflate", "x"];
    for bad in bad {
        assert_eq!(says(bad), Err(HandshakeError::Extension), "{bad}");
    }
    // It was asked to remember nothing, and does not say that it will.
    let forgotten = answered(&neither, &neither, "; server_no_context_takeover", "");
    assert_eq!(forgotten, Err(HandshakeError::Extension));
}

/// Both ends of a connection.
fn pair(client: &WsConfig, server: &WsConfig) -> (Talker, Talker) {
    let opening = Opening::new([1; 32]);
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    opening.request("h", "/", client, &mut request).unwrap();
    let head = RequestHeads::default().decode(&mut Input::new(&mut request)).unwrap().unwrap();
    let accepted = Upgrade::new(&head, &Origins::SameHost).unwrap().accept(server, None, &mut answer);
    let head = ResponseHeads::default().decode(&mut Input::new(&mut answer)).unwrap().unwrap();
    (Talker::with(opening.answer(&head, client).unwrap().0), Talker::with(accepted))
}

#[test]
fn messages_through_every_agreement() {
    for seed in 0..64_u64 {
        let mut rng = Rng::new(seed);
        let options =
            |rng: &mut Rng| DeflateOptions { window_bits: 9 + rng.below(7) as u8, ..Default::default() };
        let (mut one, mut two) =
            (takeover(seed & 1 != 0, seed & 2 != 0), takeover(seed & 4 != 0, seed & 8 != 0));
        one.compression.as_mut().unwrap().options = options(&mut rng);
        two.compression.as_mut().unwrap().options = options(&mut rng);
        let (mut client, mut server) = pair(&one, &two);
        assert!(client.endpoint.sender.is_compressed() && server.endpoint.sender.is_compressed());
        for _ in 0..20 {
            let (from, to) =
                if rng.chance(1, 2) { (&mut client, &mut server) } else { (&mut server, &mut client) };
            let most = 1 << rng.below(17);
            let len = rng.below(most) as usize;
            let message: String = (0..len).map(|_| b"abcdefgh "[rng.below(9) as usize] as char).collect();
            from.say(Kind::Text, message.as_bytes());
            let said = from.said();
            assert!(said.len() < len + 100);
            let mut heard = Vec::new();
            for piece in said.chunks(1 + rng.below(5000) as usize) {
                heard.extend(to.hear(piece).unwrap());
            }
            assert_eq!(heard, [message], "seed {seed}");
        }
    }
}

#[test]
fn a_small_bomb_goes_no_further_than_the_limit() {
    let (mut client, mut server) = pair(&takeover(true, true), &takeover(true, true).message_max(100_000));
    client.say(Kind::Binary, &vec![0; 10_000_000]);
    let said = client.said();
    assert!(said.len() < 100_000);
    assert_eq!(server.hear(&said), Err(WsError::TooLarge { max: 100_000 }));
    let said = server.said();
    assert_eq!(client.hear(&said).unwrap(), ["close 1009 too_large"]);
}

#[test]
fn nonsense_and_bad_text_in_compressed_messages() {
    let compressed = |kind: Kind, payload: &[u8]| {
        let head = FrameHead { rsv1: true, ..FrameHead::whole(kind.opcode(), payload.len() as u64) };
        [head.encode().as_ref(), payload].concat()
    };
    let hear = |bytes: &[u8]| pair(&takeover(true, true), &takeover(true, true)).0.hear(bytes);
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(hear(&compressed(Kind::Text, &hello)).unwrap(), ["Hello"]);
    assert_eq!(hear(&compressed(Kind::Binary, b"\xff\xff")), Err(WsError::Deflate));
    // A stored block of one byte that is no text.
    assert_eq!(hear(&compressed(Kind::Text, &[0, 1, 0, 0xfe, 0xff, 0xff, 0])), Err(WsError::Utf8));
    assert_eq!(hear(&compressed(Kind::Binary, b"")).unwrap(), ["[]"], "some compress nothing to nothing");
    let ping = FrameHead { rsv1: true, ..FrameHead::whole(Opcode::Ping, 0) };
    assert_eq!(hear(ping.encode().as_ref()), Err(WsError::ReservedBits));
    assert_eq!(Talker::new(Role::Client).hear(&compressed(Kind::Text, &hello)), Err(WsError::ReservedBits));
}

//! Tests of [`Endpoint`]: pings, the closing handshake, and that both ends understand each other.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::{masked, plain};
use crate::Input;
use crate::testing::Rng;
use crate::ws::{CloseCode, Endpoint, Event, Kind, Opcode, Role, Scratch, WsConfig, WsError};

/// An endpoint with what it needs, and what it said.
pub(super) struct Talker {
    pub(super) endpoint: Endpoint,
    pub(super) scratch: Scratch,
    pub(super) out: Vec<u8>,
    pending: Vec<u8>,
}

impl Talker {
    pub(super) fn new(role: Role) -> Talker {
        Talker::with(Endpoint::new(role, &WsConfig::default(), [9; 16]))
    }

    pub(super) fn with(endpoint: Endpoint) -> Talker {
        Talker { endpoint, scratch: Scratch::new(), out: Vec::new(), pending: Vec::new() }
    }

    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<Vec<String>, WsError> {
        self.pending.extend_from_slice(bytes);
        let mut input = Input::new(&mut self.pending);
        let mut events = Vec::new();
        let Endpoint { receiver, sender } = &mut self.endpoint;
        while let Some(event) = receiver.next(&mut input, &mut self.scratch.receive, sender, &mut self.out)? {
            events.push(match event {
                Event::Text(text) => text.to_string(),
                Event::Binary(bytes) => alloc::format!("{bytes:02x?}"),
                Event::Ping(payload) => alloc::format!("ping {}", payload.len()),
                Event::Pong(payload) => alloc::format!("pong {}", payload.len()),
                Event::Close(frame) => alloc::format!("close {} {}", frame.code.0, frame.reason),
            });
        }
        let left = input.len();
        self.pending.drain(..self.pending.len() - left);
        Ok(events)
    }

    pub(super) fn say(&mut self, kind: Kind, message: &[u8]) -> bool {
        self.endpoint.sender.send(kind, message, &mut self.scratch.send, &mut self.out)
    }

    fn close(&mut self, code: CloseCode, reason: &str) {
        self.endpoint.sender.close(code, reason, &mut self.out);
    }

    pub(super) fn said(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.out)
    }
}

#[test]
fn a_ping_is_answered_with_its_payload() {
    let mut server = Talker::new(Role::Server);
    assert_eq!(server.hear(&masked(true, Opcode::Ping, b"12345")).unwrap(), ["ping 5"]);
    assert_eq!(server.said(), plain(true, Opcode::Pong, b"12345"));
    assert_eq!(server.hear(&masked(true, Opcode::Pong, b"1")).unwrap(), ["pong 1"]);
    assert_eq!(server.said(), b"");
}

#[test]
fn the_peer_closes() {
    let mut server = Talker::new(Role::Server);
    let bytes = [masked(true, Opcode::Close, b"\x0f\xa1bye"), masked(true, Opcode::Text, b"late")].concat();
    assert_eq!(server.hear(&bytes).unwrap(), ["close 4001 bye"]);
    assert_eq!(server.said(), plain(true, Opcode::Close, b"\x0f\xa1"));
    assert!(server.endpoint.receiver.is_over() && server.endpoint.sender.is_closing());
    assert!(!server.say(Kind::Text, b"late") && server.said().is_empty());
    assert_eq!(server.hear(&masked(true, Opcode::Ping, b"")).unwrap(), [""; 0]);
    assert_eq!(server.said(), b"");
}

#[test]
fn a_close_without_a_code_is_answered_without_one() {
    let mut server = Talker::new(Role::Server);
    assert_eq!(server.hear(&masked(true, Opcode::Close, b"")).unwrap(), ["close 1005 "]);
    assert_eq!(server.said(), [0x88, 0]);
}

#[test]
fn we_close() {
    let mut server = Talker::new(Role::Server);
    server.close(CloseCode::GOING_AWAY, "maintenance");
    server.close(CloseCode::NORMAL, "again");
    assert_eq!(server.said(), plain(true, Opcode::Close, b"\x03\xe9maintenance"));
    // What was on its way is dropped, in one piece or in two, and pings are not answered.
    let bytes = [
        masked(true, Opcode::Text, b"on its way"),
        masked(false, Opcode::Text, b"and"),
        masked(true, Opcode::Continuation, b"this"),
        masked(true, Opcode::Ping, b""),
        masked(true, Opcode::Close, b"\x03\xe9"),
    ];
    assert_eq!(server.hear(&bytes.concat()).unwrap(), ["ping 0", "close 1001 "]);
    assert_eq!(server.said(), b"");
}

#[test]
fn reasons_are_cut_at_a_character() {
    let mut server = Talker::new(Role::Server);
    server.close(CloseCode::POLICY, &"\u{20ac}".repeat(100));
    let said = server.said();
    let mut client = Talker::new(Role::Client);
    assert_eq!(client.hear(&said).unwrap(), [alloc::format!("close 1008 {}", "\u{20ac}".repeat(41))]);
}

#[test]
fn a_violation_is_told_and_ends_it() {
    let cases = [
        (plain(true, Opcode::Text, b""), WsError::Unmasked, 1002),
        (masked(true, Opcode::Text, b"\xff"), WsError::Utf8, 1007),
        (masked(true, Opcode::Binary, &vec![0; (1 << 20) + 1]), WsError::TooLarge { max: 1 << 20 }, 1009),
        (masked(true, Opcode::Close, &[3, 237]), WsError::CloseCode(1005), 1002),
    ];
    for (bytes, error, code) in cases {
        let mut server = Talker::new(Role::Server);
        assert_eq!(server.hear(&bytes), Err(error));
        let said = server.said();
        let mut client = Talker::new(Role::Client);
        assert_eq!(client.hear(&said).unwrap(), [alloc::format!("close {code} {}", error.label())]);
        assert_eq!(server.hear(b"anything").unwrap(), [""; 0], "dropped");
    }
}

#[test]
fn both_ends_understand_each_other_in_any_pieces() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let (mut client, mut server) = (Talker::new(Role::Client), Talker::new(Role::Server));
        for _ in 0..1 + rng.below(10) {
            let (from, to) =
                if rng.chance(1, 2) { (&mut client, &mut server) } else { (&mut server, &mut client) };
            let most = 1 << rng.below(12);
            let text = "x\u{e9}".repeat(rng.below(most) as usize);
            from.say(Kind::Text, text.as_bytes());
            from.endpoint.sender.ping(b"?", &mut from.out);
            let said = from.said();
            let mut heard = Vec::new();
            let mut rest = &said[..];
            while !rest.is_empty() {
                let (front, behind) = rest.split_at(1 + rng.below(rest.len() as u64) as usize);
                heard.extend(to.hear(front).unwrap());
                rest = behind;
            }
            assert_eq!(heard, [text, "ping 1".into()], "seed {seed}");
            let pong = to.said();
            assert_eq!(from.hear(&pong).unwrap(), ["pong 1"]);
        }
    }
}

#[test]
fn a_servers_plain_message_is_not_copied() {
    let mut server = Talker::new(Role::Server);
    let message = vec![1; 1000];
    let encoded = server.endpoint.sender.encode(Kind::Binary, &message, &mut server.scratch.send).unwrap();
    assert_eq!(encoded.payload.as_ptr(), message.as_ptr());
}

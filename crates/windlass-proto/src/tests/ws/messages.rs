//! Tests of [`Messages`]: what is put together, what is lent, what is text.

use alloc::borrow::Cow;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::{masked, plain};
use crate::testing::{Rng, any_split};
use crate::ws::{CloseCode, CloseFrame, Kind, Message, Messages, Opcode, Role, WsError};
use crate::{Decode, Input};

fn own(message: Message<'_>) -> (&'static str, Vec<u8>) {
    match message {
        Message::Text(text) => ("text", text.as_bytes().to_vec()),
        Message::Binary(bytes) => ("binary", bytes.into_owned()),
        Message::Compressed(_, bytes) => ("compressed", bytes.into_owned()),
        Message::Ping(payload) => ("ping", payload.to_vec()),
        Message::Pong(payload) => ("pong", payload.to_vec()),
        Message::Close(frame) => ("close", frame.code.0.to_string().into_bytes()),
    }
}

fn check(bytes: &[u8], expected: &[(&'static str, &[u8])], error: Option<WsError>) {
    let run = any_split(|| Messages::new(Role::Server, 1 << 20), bytes, own);
    let expected: Vec<_> = expected.iter().map(|(name, bytes)| (*name, bytes.to_vec())).collect();
    assert_eq!((run.messages, run.error), (expected, error), "{bytes:02x?}");
}

#[test]
fn fragments_are_put_together_around_control_frames() {
    let bytes = [
        masked(false, Opcode::Text, b""),
        masked(true, Opcode::Ping, b"1"),
        masked(false, Opcode::Continuation, "h\u{e9}".as_bytes()),
        masked(true, Opcode::Pong, b"2"),
        masked(true, Opcode::Continuation, b""),
        masked(true, Opcode::Binary, b"\xff"),
        masked(true, Opcode::Text, b""),
    ]
    .concat();
    let text = "h\u{e9}".as_bytes();
    check(
        &bytes,
        &[("ping", b"1"), ("pong", b"2"), ("text", text), ("binary", b"\xff"), ("text", b"")],
        None,
    );
}

#[test]
fn one_that_lies_in_one_piece_is_lent() {
    let mut bytes = plain(true, Opcode::Text, b"in one piece");
    let mut messages = Messages::new(Role::Client, 100);
    let message = messages.decode(&mut Input::new(&mut bytes)).unwrap().unwrap();
    assert!(matches!(message, Message::Text(Cow::Borrowed("in one piece"))));
    assert_eq!(messages.held(), 0);
}

#[test]
fn the_buffer_serves_the_next_message_unless_it_grew() {
    let mut messages = Messages::new(Role::Client, 1 << 20);
    for len in [100, 100_000, 100] {
        let mut bytes = plain(false, Opcode::Binary, &vec![1; len]);
        bytes.extend(plain(true, Opcode::Continuation, b"end"));
        let message = messages.next(&mut Input::new(&mut bytes)).unwrap().unwrap();
        assert!(matches!(message, Message::Binary(Cow::Borrowed(bytes)) if bytes.len() == len + 3));
        assert!(messages.next(&mut Input::new(&mut [])).unwrap().is_none());
        assert_eq!(messages.held(), 0);
    }
}

#[test]
fn text_fails_at_the_first_byte_that_no_text_has() {
    let euro = "\u{20ac}".as_bytes();
    let cut =
        [masked(false, Opcode::Text, &euro[..1]), masked(true, Opcode::Continuation, &euro[1..])].concat();
    check(&cut, &[("text", euro)], None);
    check(&masked(true, Opcode::Text, &euro[..2]), &[], Some(WsError::Utf8));
    let unfinished =
        [masked(false, Opcode::Text, &euro[..2]), masked(true, Opcode::Continuation, b"")].concat();
    check(&unfinished, &[], Some(WsError::Utf8));
    // A surrogate, something beyond U+10FFFF, an overlong slash: each known by its second byte, whatever
    // length its frame has announced.
    for bad in [&b"\xed\xa0"[..], b"\xf4\x90", b"\xc0\xaf", b"\xe0\x80", b"\x80", b"\xff"] {
        let mut frame = masked(true, Opcode::Text, &[&b"ok"[..], bad, &[b'x'; 50]].concat());
        frame.truncate(6 + 2 + bad.len());
        check(&frame, &[], Some(WsError::Utf8));
    }
}

#[test]
fn text_in_random_fragments_is_judged_as_a_whole() {
    for seed in 0..2000 {
        let mut rng = Rng::new(seed);
        let pool = ["a", "\u{e9}", "\u{20ac}", "\u{10ffff}", "\u{7ff}", "\u{d7ff}"];
        let mut text: Vec<u8> = (0..rng.below(8)).flat_map(|_| pool[rng.below(6) as usize].bytes()).collect();
        if !text.is_empty() && rng.chance(1, 2) {
            let at = rng.below(text.len() as u64) as usize;
            text[at] = rng.next_u64() as u8;
        }
        let mut bytes = Vec::new();
        let (mut rest, mut opcode) = (&text[..], Opcode::Text);
        while rng.chance(3, 4) {
            let (front, behind) = rest.split_at(rng.below(rest.len() as u64 + 1) as usize);
            bytes.extend(masked(false, opcode, front));
            (rest, opcode) = (behind, Opcode::Continuation);
        }
        bytes.extend(masked(true, opcode, rest));
        let mut messages = Messages::new(Role::Server, 100);
        let found = messages.decode(&mut Input::new(&mut bytes));
        match core::str::from_utf8(&text) {
            Ok(text) => assert_eq!(found, Ok(Some(Message::Text(text.into()))), "seed {seed}"),
            Err(_) => assert_eq!(found, Err(WsError::Utf8), "seed {seed}"),
        }
    }
}

#[test]
fn sixty_five_thousand_fragments_are_one_message() {
    let mut bytes = masked(false, Opcode::Binary, b"x");
    for _ in 0..65_534 {
        bytes.extend(masked(false, Opcode::Continuation, b"x"));
    }
    bytes.extend(masked(true, Opcode::Continuation, b"x"));
    let mut messages = Messages::new(Role::Server, 65_536);
    let message = messages.decode(&mut Input::new(&mut bytes)).unwrap().unwrap();
    assert_eq!(message, Message::Binary(vec![b'x'; 65_536].into()));
}

#[test]
fn what_is_held_follows_what_came_not_what_was_promised() {
    let mut messages = Messages::new(Role::Client, 1 << 30);
    let mut bytes = plain(true, Opcode::Binary, &[0; 70_000]);
    bytes[6..10].copy_from_slice(&[0x3f, 0xff, 0xff, 0xff]);
    assert!(messages.decode(&mut Input::new(&mut bytes)).unwrap().is_none());
    assert_eq!(messages.held(), 70_000);
}

#[test]
fn close_frames() {
    let close = |body: &[u8]| {
        let mut bytes = masked(true, Opcode::Close, body);
        let mut messages = Messages::new(Role::Server, 0);
        match messages.decode(&mut Input::new(&mut bytes)) {
            Ok(Some(Message::Close(CloseFrame { code, reason }))) => Ok((code.0, reason.to_string())),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        }
    };
    assert_eq!(close(b""), Ok((1005, "".into())));
    assert_eq!(close(b"\x03\xe8bye"), Ok((1000, "bye".into())));
    assert_eq!(close(b"\x03"), Err(WsError::CloseBody));
    assert_eq!(close(b"\x03\xe8\xff"), Err(WsError::Utf8));
    for code in 0..=u16::MAX {
        let may = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        let expected = if may { Ok((code, "".into())) } else { Err(WsError::CloseCode(code)) };
        assert_eq!(close(&code.to_be_bytes()), expected);
        assert_eq!(CloseCode(code).may_be_sent(), may);
    }
}

#[test]
fn compressed_messages_are_given_as_they_are() {
    let bytes = b"\x41\x01\xff\x80\x01\xfe";
    let run = any_split(
        || Messages::new(Role::Client, 10).with_compression(),
        bytes,
        |message| matches!(message, Message::Compressed(Kind::Text, bytes) if *bytes == [0xff, 0xfe]),
    );
    assert_eq!((run.messages, run.error), (vec![true], None));
}

//! Tests of [`Frames`]: what is refused, by which byte, and that nothing is held.

use alloc::vec;
use alloc::vec::Vec;

use super::{masked, plain};
use crate::testing::{any_split_with, feed};
use crate::ws::{FrameHead, Frames, Kind, Opcode, Piece, Role, WsError};
use crate::{Decode, Input};

/// A piece that owns its bytes, with neighbouring fragments put together.
#[derive(Clone, Debug, PartialEq)]
enum Owned {
    Message { kind: Kind, compressed: bool, bytes: Vec<u8>, over: bool },
    Control(&'static str, Vec<u8>),
}

fn collect(all: &mut Vec<Owned>, piece: Piece<'_>) {
    let fragment = match piece {
        Piece::Ping(payload) => return all.push(Owned::Control("ping", payload.to_vec())),
        Piece::Pong(payload) => return all.push(Owned::Control("pong", payload.to_vec())),
        Piece::Close(body) => return all.push(Owned::Control("close", body.to_vec())),
        Piece::Fragment(fragment) => fragment,
    };
    if fragment.first {
        // Where it stands does not depend on the split: before all that comes while it is open.
        let (kind, compressed) = (fragment.kind, fragment.compressed);
        all.push(Owned::Message { kind, compressed, bytes: Vec::new(), over: false });
    }
    let open = all.iter_mut().rev().find_map(|owned| match owned {
        Owned::Message { bytes, over, .. } => Some((bytes, over)),
        Owned::Control(..) => None,
    });
    let (bytes, over) = open.expect("a fragment follows the first");
    assert!(!*over);
    bytes.extend_from_slice(fragment.bytes);
    *over = fragment.last;
}

fn check(role: Role, max: usize, bytes: &[u8], expected: &[Owned], error: Option<WsError>) {
    let run = any_split_with(|| Frames::new(role, max), bytes, collect);
    assert_eq!(run.error, error, "{bytes:02x?}");
    assert_eq!(run.messages, expected, "{bytes:02x?}");
}

fn message(kind: Kind, bytes: &[u8]) -> Owned {
    Owned::Message { kind, compressed: false, bytes: bytes.to_vec(), over: true }
}

#[test]
fn the_examples_of_the_rfc() {
    // RFC 6455 section 5.7.
    let hello = message(Kind::Text, b"Hello");
    let masked_hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    check(Role::Server, 5, &masked_hello, core::slice::from_ref(&hello), None);
    check(Role::Client, 5, b"\x81\x05Hello", core::slice::from_ref(&hello), None);
    check(Role::Client, 5, b"\x01\x03Hel\x80\x02lo", core::slice::from_ref(&hello), None);
    check(Role::Client, 5, b"\x89\x05Hello", &[Owned::Control("ping", b"Hello".to_vec())], None);
    check(
        Role::Server,
        0,
        &masked(true, Opcode::Pong, b"Hello"),
        &[Owned::Control("pong", b"Hello".to_vec())],
        None,
    );
}

#[test]
fn every_length_form_and_interleaved_control_frames() {
    for len in [0, 1, 125, 126, 127, 300, 65_535, 65_536] {
        let payload: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let mut bytes = masked(false, Opcode::Binary, &payload);
        bytes.extend(masked(true, Opcode::Ping, b"are you there?"));
        bytes.extend(masked(false, Opcode::Continuation, b""));
        bytes.extend(masked(true, Opcode::Continuation, b"end"));
        bytes.extend(masked(true, Opcode::Close, &[3, 232]));
        let whole = [&payload[..], b"end"].concat();
        // An empty first fragment is not given by itself, so the message begins behind the ping then.
        let ping = Owned::Control("ping", b"are you there?".to_vec());
        let message = message(Kind::Binary, &whole);
        let front = if len == 0 { [ping, message] } else { [message, ping] };
        let expected = [&front[..], &[Owned::Control("close", vec![3, 232])]].concat();
        if len < 1000 {
            check(Role::Server, len + 3, &bytes, &expected, None);
            continue;
        }
        for size in [1, 7, 4096, bytes.len()] {
            let run = feed(Frames::new(Role::Server, len + 3), bytes.chunks(size), collect);
            assert_eq!((run.messages, run.error), (expected.clone(), None), "{len}, by {size}");
        }
    }
}

#[test]
fn what_is_refused() {
    let refused = |role, bytes: &[u8], error| check(role, 10, bytes, &[], Some(error));
    for bits in [0x10, 0x20, 0x30, 0x40] {
        refused(Role::Server, &[0x81 | bits], WsError::ReservedBits);
    }
    for opcode in [3, 7, 11, 15] {
        refused(Role::Server, &[0x80 | opcode, 0x80], WsError::Opcode(opcode));
    }
    refused(Role::Server, &[0x89, 0xfe], WsError::ControlTooLong);
    refused(Role::Server, &[0x09, 0x80], WsError::ControlFragmented);
    refused(Role::Server, &[0x81, 0x05], WsError::Unmasked);
    refused(Role::Client, &[0x81, 0x85], WsError::Masked);
    refused(Role::Server, &[0x80, 0x80], WsError::NothingToContinue);
    refused(Role::Client, &[0x82, 126, 0, 125], WsError::Length);
    refused(Role::Client, &[0x82, 127, 0, 0, 0, 0, 0, 0, 255, 255], WsError::Length);
    refused(Role::Client, &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 255, 255], WsError::Length);
    refused(Role::Client, &plain(true, Opcode::Text, &[b'x'; 11]), WsError::TooLarge { max: 10 });
    let two = [masked(false, Opcode::Text, b"a"), masked(true, Opcode::Text, b"b")].concat();
    let open = Owned::Message { kind: Kind::Text, compressed: false, bytes: b"a".to_vec(), over: false };
    check(Role::Server, 10, &two, &[open], Some(WsError::Interleaved));
}

#[test]
fn fragments_count_together_and_the_next_message_starts_anew() {
    let parts = [(false, Opcode::Binary), (false, Opcode::Continuation), (true, Opcode::Continuation)];
    let frames = parts.map(|(fin, opcode)| plain(fin, opcode, b"1234"));
    let twice = [frames.concat(), frames.concat()].concat();
    let whole = message(Kind::Binary, b"123412341234");
    check(Role::Client, 12, &twice, &[whole.clone(), whole], None);
    let open =
        Owned::Message { kind: Kind::Binary, compressed: false, bytes: b"12341234".to_vec(), over: false };
    check(Role::Client, 11, &twice, &[open], Some(WsError::TooLarge { max: 11 }));
}

#[test]
fn a_length_of_eight_exbibytes_is_refused_by_its_head() {
    let mut bytes = FrameHead::whole(Opcode::Binary, (1 << 63) - 1).encode().as_ref().to_vec();
    let mut frames = Frames::new(Role::Client, usize::MAX >> 1);
    let mut input = Input::new(&mut bytes);
    assert_eq!(frames.decode(&mut input), Ok(None), "within what was allowed: nothing is held for it");
    assert_eq!((input.len(), input.needed()), (0, None));
    check(Role::Client, 1 << 20, &bytes_of(1 << 20), &[], Some(WsError::TooLarge { max: 1 << 20 }));
}

fn bytes_of(max: u64) -> Vec<u8> {
    FrameHead::whole(Opcode::Binary, max + 1).encode().as_ref().to_vec()
}

#[test]
fn only_the_first_frame_of_a_message_may_say_that_it_is_compressed() {
    let head = |fin, rsv1, opcode| FrameHead { fin, rsv1, ..FrameHead::whole(opcode, 1) };
    let bytes = |frames: &[FrameHead]| -> Vec<u8> {
        frames.iter().flat_map(|head| [head.encode().as_ref(), b"x"].concat()).collect()
    };
    let frames = || Frames::new(Role::Client, 10).with_compression();
    let good = bytes(&[head(false, true, Opcode::Text), head(true, false, Opcode::Continuation)]);
    let run = any_split_with(frames, &good, collect);
    let whole = Owned::Message { kind: Kind::Text, compressed: true, bytes: b"xx".to_vec(), over: true };
    assert_eq!((run.messages, run.error), (vec![whole], None));
    let bad = bytes(&[head(false, true, Opcode::Text), head(true, true, Opcode::Continuation)]);
    assert_eq!(any_split_with(frames, &bad, collect).error, Some(WsError::ReservedBits));
    let bad = bytes(&[head(true, true, Opcode::Ping)]);
    assert_eq!(any_split_with(frames, &bad, collect).error, Some(WsError::ReservedBits));
}

#[test]
fn all_two_byte_fronts_agree_with_themselves() {
    for first in 0..=255_u8 {
        for second in [0, 1, 125, 126, 127, 128, 129, 253, 254, 255_u8] {
            for role in [Role::Server, Role::Client] {
                let bytes = [first, second, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
                any_split_with(|| Frames::new(role, 1000).with_compression(), &bytes, collect);
            }
        }
    }
}

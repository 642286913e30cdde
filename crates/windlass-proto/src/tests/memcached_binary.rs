//! Binary requests of memcached: every split, the limits, what ends a connection.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::memcached::reply::Response;
use crate::memcached::{Binary, BinaryError, KEY_MAX, Limits, Mode, Operation, Status};
use crate::testing::{Rng, any_split};
use crate::{Decode, Input};

const SMALL: Limits = Limits { value_max: 100, line_max: 512 };

fn request(opcode: u8, extras: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
    announced(opcode, extras, key, value, value.len())
}

/// A request that announces a value of so many bytes.
fn announced(opcode: u8, extras: &[u8], key: &[u8], value: &[u8], len: usize) -> Vec<u8> {
    let body = (extras.len() + key.len() + len) as u32;
    let mut bytes = vec![0x80, opcode, (key.len() >> 8) as u8, key.len() as u8, extras.len() as u8, 0, 0, 0];
    bytes.extend_from_slice(&body.to_be_bytes());
    bytes.extend_from_slice(&0xdead_beef_u32.to_be_bytes());
    bytes.extend_from_slice(&7_u64.to_be_bytes());
    for part in [extras, key, value] {
        bytes.extend_from_slice(part);
    }
    bytes
}

fn run(bytes: &[u8]) -> (Vec<String>, Option<BinaryError>) {
    let run = any_split(|| Binary::new(SMALL), bytes, |request| format!("{request:?}"));
    (run.messages, run.error)
}

fn error(bytes: &[u8]) -> Option<&'static str> {
    run(bytes).1.map(|error| error.label())
}

#[test]
fn every_opcode_at_every_split() {
    let mut session = Vec::new();
    for opcode in 0..=0xff {
        session.extend(match opcode {
            0x00 | 0x04 | 0x09 | 0x0c | 0x0d | 0x14 => request(opcode, b"", b"key", b""),
            0x01..=0x03 | 0x11..=0x13 => request(opcode, b"\0\0\0\x05\0\0\0\x09", b"key", b"value"),
            0x05 | 0x06 | 0x15 | 0x16 => request(opcode, &[0xff; 20], b"key", b""),
            0x0e | 0x0f | 0x19 | 0x1a => request(opcode, b"", b"key", b"value"),
            0x1c..=0x1e | 0x23 | 0x24 => request(opcode, b"\0\0\0\x09", b"key", b""),
            0x08 | 0x18 | 0x1b => request(opcode, b"\0\0\0\x09", b"", b""),
            0x07 | 0x0a | 0x0b | 0x17 => request(opcode, b"", b"", b""),
            0x10 => request(opcode, b"", b"items", b""),
            _ => request(opcode, b"what", b"key", &[b'v'; 300]),
        });
    }
    let (messages, error) = run(&session);
    assert_eq!((messages.len(), error), (256, None));
    let unknown = messages.iter().filter(|message| message.contains("Unknown")).count();
    // 0x1f to 0x22, and everything above 0x24.
    assert_eq!(unknown, 4 + (0xff - 0x24));
    assert!(messages[1].contains("opaque: 3735928559, cas: 7, quiet: false"), "{}", messages[1]);
    assert!(messages[0x11].contains("quiet: true"), "{}", messages[0x11]);
}

#[test]
fn requests_come_back_as_they_were_written() {
    for seed in 0..500 {
        let mut rng = Rng::new(seed);
        let mut key = vec![0; 1 + rng.below(KEY_MAX as u64) as usize];
        let mut value = vec![0; rng.below(300) as usize];
        let mut extras = [0; 20];
        rng.fill(&mut key);
        rng.fill(&mut value);
        rng.fill(&mut extras);
        let number = |at: usize| u32::from_be_bytes(extras[at..at + 4].try_into().unwrap());
        let decode = |bytes: Vec<u8>, expected: Operation<'_>| {
            let mut bytes = bytes;
            let mut input = Input::new(&mut bytes);
            let request = Binary::new(Limits::default()).decode(&mut input).unwrap().unwrap();
            assert_eq!(request.operation, expected);
            assert_eq!((request.opaque, request.cas, input.len()), (0xdead_beef, 7, 0));
        };
        let (flags, exptime) = (number(0), number(4));
        let (key, value) = (&key[..], &value[..]);
        decode(
            request(2, &extras[..8], key, value),
            Operation::Store { mode: Mode::Add, key, flags, exptime, value },
        );
        decode(
            request(0x1d, &extras[..4], key, b""),
            Operation::Get { key, with_key: false, exptime: Some(flags) },
        );
        let (delta, initial) = (
            u64::from(number(0)) << 32 | u64::from(number(4)),
            u64::from(number(8)) << 32 | u64::from(number(12)),
        );
        let exptime = Some(number(16)).filter(|exptime| *exptime != u32::MAX);
        decode(request(6, &extras, key, b""), Operation::Arith { key, down: true, delta, initial, exptime });
    }
}

#[test]
fn an_announced_value_is_not_believed() {
    for len in [101, 1 << 30, 0xffff_ff00] {
        let mut binary = Binary::new(SMALL);
        let mut bytes = announced(0x01, &[0; 8], b"big", b"", len);
        let mut input = Input::new(&mut bytes);
        let request = binary.decode(&mut input).unwrap().unwrap();
        assert_eq!(request.operation, Operation::TooLarge { key: b"big", mode: Mode::Set });
        assert_eq!(input.needed(), None);
        let mut bytes = [0x80; 90];
        let mut input = Input::new(&mut bytes);
        assert_eq!((binary.decode(&mut input), input.len()), (Ok(None), 0));
    }
    let mut session = request(0x0e, b"", b"big", &[0x80; 101]);
    session.extend(request(0x0a, b"", b"", b""));
    let (messages, error) = run(&session);
    assert!(messages[1].contains("Noop"));
    assert_eq!((messages.len(), error), (2, None));
}

#[test]
fn what_does_not_fit_ends_the_connection() {
    let long = [b'k'; KEY_MAX + 1];
    assert_eq!(error(b"\x81"), Some("magic"));
    assert_eq!(error(b"get a\r\n"), Some("magic"));
    for bad in [
        request(0x00, b"", b"", b""),
        request(0x00, b"", &long, b""),
        request(0x00, b"1234", b"key", b""),
        request(0x00, b"", b"key", b"value"),
        request(0x01, b"", b"key", b"value"),
        request(0x01, b"12345678", b"", b"value"),
        request(0x05, b"1", b"key", b""),
        request(0x0a, b"", b"key", b""),
        request(0x0a, b"", b"", b"value"),
        request(0x08, b"12", b"", b""),
        request(0x10, b"", b"", b"value"),
        request(0x1c, b"", b"key", b""),
        // Refused before any of it has come.
        announced(0x00, b"", b"key", b"", 0xffff_0000),
    ] {
        assert_eq!(error(&bad), Some("arguments"), "{bad:?}");
    }
    let mut lengths = request(0x00, b"", b"key", b"");
    lengths[11] = 2;
    assert_eq!(error(&lengths), Some("lengths"));
    assert_eq!(run(&lengths).1.and_then(|e| e.response()), Some((0, 0xdead_beef, Status::Unknown)));
}

#[test]
fn any_bytes_give_the_same_at_every_split() {
    for seed in 0..80 {
        let mut rng = Rng::new(seed);
        let mut bytes = vec![0; rng.below(120) as usize];
        rng.fill(&mut bytes);
        for at in (0..bytes.len()).step_by(24) {
            bytes[at] = 0x80;
            // Small lengths, so that some of them fit.
            for (offset, max) in [(1, 0x26), (2, 1), (3, 8), (4, 21), (8, 1), (9, 1), (10, 1), (11, 60)] {
                if let Some(byte) = bytes.get_mut(at + offset) {
                    *byte = rng.below(max) as u8;
                }
            }
        }
        run(&bytes);
    }
}

#[test]
fn heads_of_responses() {
    let response = Response { cas: 1, extras: 4, key: 3, value: 5, ..Response::new(0x0c, 9, Status::Ok) };
    let head = response.head();
    assert_eq!(head, [0x81, 0x0c, 0, 3, 4, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1]);
    let text: Vec<&[u8]> = [Status::NotFound, Status::Unknown].map(Status::text).to_vec();
    assert_eq!(text, [&b"Not found"[..], b"Unknown command"]);
}

//! Any bytes to either end of an open WebSocket: `cargo +nightly fuzz run ws_messages`. However they are cut,
//! the same messages come out and the same error, and what a message holds never passes its limit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::proto::ws::{Frames, Message, Messages, Piece, Role};
use windlass::proto::{Decode, Input};

const MAX: usize = 4096;

fn messages(bytes: &[u8], role: Role, piece: usize) -> (Vec<String>, Option<String>) {
    let mut messages = Messages::new(role, MAX).with_compression();
    let (mut seen, mut left) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        left.extend_from_slice(piece);
        let mut input = Input::new(&mut left);
        loop {
            match messages.next(&mut input) {
                Ok(None) => break,
                Ok(Some(message)) => {
                    if let Message::Text(text) = &message {
                        assert!(text.len() <= MAX);
                    }
                    seen.push(format!("{message:?}"));
                }
                Err(error) => return (seen, Some(format!("{error:?}"))),
            }
        }
        assert!(messages.held() <= MAX);
        let len = input.len();
        left.drain(..left.len() - len);
        assert!(left.len() < 14 + 125, "data is never left behind");
    }
    (seen, None)
}

/// The payload of all messages, as fragments.
fn payload(bytes: &[u8], role: Role, piece: usize) -> (Vec<u8>, Option<String>) {
    let mut frames = Frames::new(role, MAX);
    let (mut seen, mut left) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        left.extend_from_slice(piece);
        let mut input = Input::new(&mut left);
        loop {
            match frames.decode(&mut input) {
                Ok(None) => break,
                Ok(Some(Piece::Fragment(fragment))) => seen.extend_from_slice(fragment.bytes),
                Ok(Some(_)) => {}
                Err(error) => return (seen, Some(format!("{error:?}"))),
            }
        }
        let len = input.len();
        left.drain(..left.len() - len);
    }
    (seen, None)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&size, bytes)) = bytes.split_first() else { return };
    let role = if size & 1 == 0 { Role::Server } else { Role::Client };
    let piece = usize::from(size / 2) + 1;
    assert_eq!(messages(bytes, role, usize::MAX), messages(bytes, role, piece));
    assert_eq!(payload(bytes, role, usize::MAX), payload(bytes, role, piece));
});

//! Any bytes to both decoders of RESP: `cargo +nightly fuzz run resp`. In two pieces they give what they give
//! in one, and every word of a command is there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::proto::resp::{Command, Commands, Replies};
use windlass::proto::testing::feed;

fn words(all: &mut Vec<Vec<Vec<u8>>>, command: Command<'_>) {
    let words: Vec<Vec<u8>> = command.args().map(<[u8]>::to_vec).collect();
    assert_eq!(words.len(), command.len());
    all.push(words);
}

fuzz_target!(|bytes: &[u8]| {
    let (front, back) = bytes.split_at(bytes.len() / 2);
    let (whole, parts) = (
        feed(Commands::default(), [bytes], words),
        feed(Commands::default(), [front, back], words),
    );
    assert_eq!((whole.messages, whole.error), (parts.messages, parts.error));
    let (whole, parts) = (
        feed(Replies::default(), [bytes], |all, reply| all.push(format!("{:?}", reply.value()))),
        feed(Replies::default(), [front, back], |all, reply| all.push(format!("{:?}", reply.value()))),
    );
    assert_eq!((whole.messages, whole.error), (parts.messages, parts.error));
});

//! Messages with their length in front, sent back in reverse: `cargo run --example frames`, then
//! `printf '\0\0\0\5hello' | nc -N 127.0.0.1 7004 | xxd`. Bytes and not text: a message may hold anything.

use windlass::proto::framing::LengthField;
use windlass::proto::{Decode, Encode};
use windlass::{Close, Conn, Input, Service, serve};

/// Four bytes of length, the most significant first, in front of up to 64 KiB.
const FRAMES: LengthField = LengthField::be(4).max(4 + 64 * 1024);

pub(crate) struct Reverse;

impl Service for Reverse {
    type Session = LengthField;

    fn open(&mut self, _: &mut Conn<'_>) -> Result<LengthField, Close> {
        Ok(FRAMES)
    }

    fn data(
        &mut self,
        conn: &mut Conn<'_>,
        frames: &mut LengthField,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        // Whoever announces more than that is refused here, before anybody waits for it.
        while let Some(message) = frames.decode(input)? {
            message.reverse(); // where it lies
            frames.encode(message, conn)?; // and straight to the connection: no copy, no buffer
        }
        Ok(())
    }
}

fn main() -> windlass::Result<()> {
    serve(|| Reverse).tcp("127.0.0.1:7004").run().map(drop)
}

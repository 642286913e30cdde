//! Counts things by name. A request is a frame: two bytes of length, then `+` or `?` and a name. The reply is
//! the name's count, eight bytes in a frame. All numbers are big-endian.

use std::collections::HashMap;

use windlass::proto::Decode;
use windlass::{Close, Conn, Input, Service, serve};

// ANCHOR: decode
const FRAME_MAX: usize = 256; // bytes
const NAMES_MAX: usize = 100_000;

struct Frames;

#[derive(Debug, PartialEq)]
struct Wrong(&'static str);

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Wrong {}

impl Decode for Frames {
    type Message<'b> = &'b mut [u8];
    type Error = Wrong;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, Wrong> {
        let &[high, low, ..] = input.peek() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > FRAME_MAX {
            return Err(Wrong("frame too long"));
        }
        input.need(2 + length);
        Ok(input.take(2 + length).map(|frame| &mut frame[2..]))
    }
}
// ANCHOR_END: decode

// ANCHOR: service
#[derive(Default)]
struct Tally {
    counts: HashMap<Vec<u8>, u64>,
}

impl Service for Tally {
    type Session = Frames;

    fn open(&mut self, _: &mut Conn<'_>) -> Result<Frames, Close> {
        Ok(Frames)
    }

    fn data(&mut self, conn: &mut Conn<'_>, frames: &mut Frames, input: &mut Input<'_>) -> Result<(), Close> {
        while let Some(message) = frames.decode(input)? {
            let count = match message {
                [b'+', ..] if self.counts.len() == NAMES_MAX => return Err(Close::Refused),
                [b'+', name @ ..] => {
                    let count = self.counts.entry(name.to_vec()).or_insert(0);
                    *count += 1;
                    *count
                }
                [b'?', name @ ..] => self.counts.get(&*name).copied().unwrap_or(0),
                _ => return Err(Wrong("no such verb").into()),
            };
            conn.write(&8u16.to_be_bytes());
            conn.write(&count.to_be_bytes());
        }
        Ok(())
    }
}
// ANCHOR_END: service

// ANCHOR: main
fn main() -> windlass::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let bound = serve(Tally::default).workers(1).tcp(address).bind()?;
    println!("Listening on {}", bound.addresses()[0]);
    bound.run().map(drop)
}
// ANCHOR_END: main

#[cfg(test)]
mod tests;

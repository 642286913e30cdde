//! The decoder at every split, the service by hand, and the whole server on a network that does its worst.

use windlass::proto::testing::{self, Codec, Ends, Rng, any_split};
use windlass::sim::{self, Script};
use windlass::testing::Harness;

use super::*;

// ANCHOR: split
#[test]
fn any_split_gives_the_same_frames() {
    let bytes = b"\x00\x04+one\x00\x00\x00\x04?two\x01\x01far too long";
    let run = any_split(|| Frames, bytes, |message| message.to_vec());
    assert_eq!(run.messages, [&b"+one"[..], b"", b"?two"]);
    assert_eq!(run.error, Some(Wrong("frame too long")));
}
// ANCHOR_END: split

// ANCHOR: hasty
struct Hasty;

impl Decode for Hasty {
    type Message<'b> = &'b mut [u8];
    type Error = Wrong;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, Wrong> {
        let Some(&mut [high, low]) = input.take(2) else { return Ok(None) };
        Ok(input.take(usize::from(u16::from_be_bytes([high, low]))))
    }
}
// ANCHOR_END: hasty

// ANCHOR: found
#[test]
#[should_panic(expected = "byte by byte")]
fn a_hasty_decoder_is_found() {
    any_split(|| Hasty, b"\x00\x04+one\x00\x04?two", |message| message.to_vec());
}
// ANCHOR_END: found

// ANCHOR: check
/// The frames, as the test kit sees them.
struct Kit;

impl Codec for Kit {
    type Decoder = Frames;
    type Message = Vec<u8>;

    fn decoder(&self) -> Frames {
        Frames
    }

    fn own(message: &mut [u8]) -> Vec<u8> {
        message.to_vec()
    }

    fn message(&self, rng: &mut Rng) -> Vec<u8> {
        let mut message = vec![0; rng.below(FRAME_MAX as u64 + 2) as usize];
        rng.fill(&mut message);
        message
    }

    fn encode(&self, message: &Vec<u8>, out: &mut Vec<u8>) -> bool {
        let fits = message.len() <= FRAME_MAX;
        if fits {
            out.extend(frame(message));
        }
        fits
    }

    fn held_max(&self) -> usize {
        2 + FRAME_MAX - 1
    }

    fn refused(&self) -> Vec<Vec<u8>> {
        vec![b"\x01\x01".to_vec(), b"\xff\xff".to_vec()]
    }

    fn ends(&self) -> Ends {
        Ends::Open
    }
}

#[test]
fn the_frames_pass_the_kit() {
    testing::check(&Kit);
}
// ANCHOR_END: check

// ANCHOR: harness
#[test]
fn counts_are_shared_by_all_connections() {
    let mut harness = Harness::new(serve(Tally::default));
    let (one, two) = (harness.connect(), harness.connect());
    harness.send(one, frame(b"+apples"));
    harness.send(one, frame(b"+apples"));
    assert_eq!(harness.receive(one), [count(1), count(2)].concat());

    harness.send_split(two, frame(b"?apples"), 1);
    assert_eq!(harness.receive(two), count(2));
}

#[test]
fn a_frame_that_is_too_long_ends_its_connection_only() {
    let mut harness = Harness::new(serve(Tally::default));
    let (bad, good) = (harness.connect(), harness.connect());
    harness.send(bad, b"\xff\xff");
    assert_eq!(harness.why_in_words(bad).as_deref(), Some("frame too long"));

    harness.send(good, frame(b"?pears"));
    assert_eq!(harness.receive(good), count(0));
}
// ANCHOR_END: harness

// ANCHOR: sim
#[test]
fn every_count_arrives_whatever_the_network_does() {
    sim::check("tally", 0..300, |sim| {
        sim.service(Tally::default).clients(8, tally_client).clients(3, sim::rude_client);
    });
}

/// Counts a name of its own up, now one at a time, now all at once, and wants each reply.
fn tally_client(rng: &mut Rng) -> Script {
    let name = format!("+{:016x}", rng.next_u64());
    let times = 1 + rng.below(20);
    let request = frame(name.as_bytes());
    let mut script = Script::new();
    if rng.chance(1, 2) {
        for n in 1..=times {
            script = script.send(request.clone()).expect(count(n));
        }
    } else {
        script = script.send(request.repeat(times as usize));
        script = script.expect((1..=times).flat_map(count).collect::<Vec<u8>>());
    }
    script.finish().expect_end()
}
// ANCHOR_END: sim

// ANCHOR: frame
fn frame(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

fn count(n: u64) -> Vec<u8> {
    frame(&n.to_be_bytes())
}
// ANCHOR_END: frame

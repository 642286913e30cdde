//! Codecs of tokio-util through the test kit and in a service.

use tokio_util::codec::{Encoder, LengthDelimitedCodec, LinesCodec};
use windlass::proto::testing::{Codec, Ends, Rng, check};
use windlass::proto::{Decode, Input};
use windlass::testing::Harness;
use windlass::{Bytes, Close, Conn, Service, TokioCodec, TokioCodecError, serve};

const MAX: usize = 40;

struct ForeignLines;

impl Codec for ForeignLines {
    type Decoder = TokioCodec<LinesCodec>;
    type Message = String;

    fn decoder(&self) -> TokioCodec<LinesCodec> {
        TokioCodec::new(LinesCodec::new(), MAX)
    }

    fn own(message: String) -> String {
        message
    }

    fn message(&self, rng: &mut Rng) -> String {
        (0..rng.below(12)).map(|_| char::from(b'a' + rng.below(26) as u8)).collect()
    }

    fn encode(&self, message: &String, out: &mut Vec<u8>) -> bool {
        self.decoder().encode(message, out).is_ok()
    }

    fn held_max(&self) -> usize {
        0
    }

    fn refused(&self) -> Vec<Vec<u8>> {
        vec![vec![b'x'; MAX], b"ok\n\xff\n".to_vec()]
    }

    fn ends(&self) -> Ends {
        Ends::Open
    }
}

struct ForeignFrames;

fn length_delimited() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().length_field_length(2).max_frame_length(30).new_codec()
}

impl Codec for ForeignFrames {
    type Decoder = TokioCodec<LengthDelimitedCodec>;
    type Message = Vec<u8>;

    fn decoder(&self) -> TokioCodec<LengthDelimitedCodec> {
        TokioCodec::new(length_delimited(), MAX)
    }

    fn own(message: bytes::BytesMut) -> Vec<u8> {
        message.to_vec()
    }

    fn message(&self, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = vec![0; rng.below(34) as usize];
        rng.fill(&mut bytes);
        bytes
    }

    fn encode(&self, message: &Vec<u8>, out: &mut Vec<u8>) -> bool {
        self.decoder().encode(Bytes::from(message.clone()), out).is_ok()
    }

    fn held_max(&self) -> usize {
        0
    }

    fn refused(&self) -> Vec<Vec<u8>> {
        vec![vec![0, 31], vec![0xff; 2]]
    }

    // It says nothing of an end right behind a length.
    fn ends(&self) -> Ends {
        Ends::Open
    }
}

#[test]
fn foreign_lines_pass_the_kit() {
    check(&ForeignLines);
}

#[test]
fn foreign_frames_pass_the_kit() {
    check(&ForeignFrames);
}

#[test]
fn what_it_gathers_is_bounded() {
    let mut lines = TokioCodec::new(LinesCodec::new(), 10);
    let refused = lines.decode(&mut Input::new(&mut [b'x'; 30]));
    assert!(matches!(refused, Err(TokioCodecError::TooLong { max: 10 })), "{refused:?}");

    // It reserves 8 MiB for a promise, which its own limit allows.
    let mut frames = TokioCodec::new(LengthDelimitedCodec::new(), 64 * 1024);
    let refused = frames.decode(&mut Input::new(&mut [0, 0x7f, 0xff, 0xff, 1]));
    assert!(matches!(refused, Err(TokioCodecError::TooLong { .. })), "{refused:?}");

    // Small messages in a large input need no more than each of them does.
    let mut lines = TokioCodec::new(LinesCodec::new(), 10);
    let mut bytes = b"123456789\n".repeat(1000);
    let mut input = Input::new(&mut bytes);
    let mut n = 0;
    while lines.decode(&mut input).unwrap().is_some() {
        n += 1;
    }
    assert_eq!((n, input.len()), (1000, 0));
}

#[test]
fn unread_bytes_are_handed_over() {
    let mut lines = TokioCodec::new(LinesCodec::new(), 100);
    let mut bytes = b"switch\nrest".to_vec();
    assert_eq!(lines.decode(&mut Input::new(&mut bytes)).unwrap().as_deref(), Some("switch"));
    let (_, rest) = lines.into_parts();
    assert_eq!(&rest[..], b"rest");
}

/// Upper case, by foreign lines.
struct Shout;

impl Service for Shout {
    type Session = TokioCodec<LinesCodec>;

    fn open(&mut self, _: &mut Conn<'_>) -> Result<TokioCodec<LinesCodec>, Close> {
        Ok(TokioCodec::new(LinesCodec::new_with_max_length(80), 1024))
    }

    fn data(
        &mut self,
        conn: &mut Conn<'_>,
        lines: &mut TokioCodec<LinesCodec>,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        while let Some(line) = lines.decode(input)? {
            lines.encode(line.to_uppercase(), conn)?;
        }
        Ok(())
    }
}

#[test]
fn a_service_speaks_a_foreign_codec() {
    let mut harness = Harness::new(serve(|| Shout));
    let peer = harness.connect();
    harness.send_split(peer, "hello\nwörld\n", 2);
    assert_eq!(harness.receive(peer), "HELLO\nWÖRLD\n".as_bytes());
    harness.send(peer, [b'x'; 100]);
    assert_eq!(harness.why_in_words(peer).as_deref(), Some("max line length exceeded"));

    let mut expected = bytes::BytesMut::new();
    length_delimited().encode(Bytes::from_static(b"abc"), &mut expected).unwrap();
    let mut out = Vec::new();
    TokioCodec::new(length_delimited(), MAX).encode(Bytes::from_static(b"abc"), &mut out).unwrap();
    assert_eq!(out, expected);
}

//! Tests of [`crate::framing`]: every codec through the test kit, and what each says of what is wrong.

use alloc::vec;
use alloc::vec::Vec;

use crate::framing::{Cobs, Delimited, Fixed, FrameError, LengthField, OctetCounted, Slip};
use crate::testing::{Frames, Rng, any_split, check};
use crate::{Decode, Encode, EncodeError, Input, Lines};

/// The messages in `bytes`, at every split, and the error that ended them.
fn decoded<D>(decoder: &D, bytes: &[u8]) -> (Vec<Vec<u8>>, Option<D::Error>)
where
    D: Clone + for<'b> Decode<Message<'b> = &'b mut [u8]>,
{
    let run = any_split(|| decoder.clone(), bytes, |message| message.to_vec());
    (run.messages, run.error)
}

fn encoded(mut encoder: impl Encode<[u8]>, message: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    encoder.encode(message, &mut out).map(|()| out)
}

const fn too_long(max: usize) -> Option<FrameError> {
    Some(FrameError::TooLong { max })
}

#[test]
fn lines_pass_the_kit() {
    check(&Frames::new(Lines::max(20), 21).refused(&[b'x'; 21]).refused(b"ok\n123456789012345678901\n"));
    check(&Frames::new(Lines::max(20).crlf(), 21));
    check(&Frames::new(Lines::max(20).open_end(), 21).open_end());
}

#[test]
fn delimited_passes_the_kit() {
    check(&Frames::new(Delimited::new(b"|", 20), 20).refused(&[b'x'; 21]));
    check(&Frames::new(Delimited::new(b"\r\n", 20), 21).refused(&[b'x'; 22]));
    check(&Frames::new(Delimited::new(b"\0\0\0", 20), 22).refused(&[b'x'; 23]));
    check(&Frames::new(Delimited::new(vec![1, 0, 1], 0), 2).refused(b"\x01\x01\x01"));
    check(&Frames::new(Delimited::new(b"||", 20).open_end(), 21).open_end());
}

#[test]
fn fixed_passes_the_kit() {
    check(&Frames::new(Fixed::bytes(1), 0).lengths(0..=2));
    check(&Frames::new(Fixed::bytes(7), 6).lengths(7..=7));
}

#[test]
fn octet_counting_passes_the_kit() {
    let refused = [&b"0 "[..], b" 1", b"1x", b"-1 x", b"41 ", b"4 abcd01 x", b"99999999999999999999999999"];
    check(
        &refused.iter().fold(Frames::new(OctetCounted::max(40), 42), |frames, bytes| frames.refused(bytes)),
    );
    check(&Frames::new(OctetCounted::max(usize::MAX), usize::MAX).lengths(0..=300));
}

#[test]
fn cobs_passes_the_kit() {
    check(&Frames::new(Cobs::max(20), 21).refused(&[1; 22]).refused(b"\x03a\0"));
    check(&Frames::new(Cobs::max(600), 603).refused(&[255; 604]));
    check(&Frames::new(Cobs::max(0), 1).refused(b"\x01\x01").refused(b"\x02a\0"));
}

#[test]
fn slip_passes_the_kit() {
    let frames = Frames::new(Slip::max(20), 40).refused(&[b'x'; 41]).refused(&[0xdb, 0xc0]);
    check(&frames.refused(&[1, 0xdb, 1, 0xc0]));
}

#[test]
fn length_fields_of_every_width_and_order_pass_the_kit() {
    for width in 1..=8 {
        let held = 39 + width;
        let promise = vec![0xff; width];
        check(&Frames::new(LengthField::be(width).max(held + 1), held).refused(&promise).lengths(0..=42));
        check(&Frames::new(LengthField::le(width).max(held + 1), held).refused(&promise).lengths(0..=42));
    }
    check(&Frames::new(LengthField::varint().max(200), 199).refused(b"\xc8\x01").lengths(0..=202));
    check(&Frames::new(LengthField::varint(), 65_535).refused(&[0xff; 10]).lengths(0..=140));
}

/// A frame's bytes and the message in it, written down from the definition.
fn by_hand(rng: &mut Rng, width: usize, big: bool, offset: usize, adjust: i64, strip: usize) -> [Vec<u8>; 2] {
    let rest = rng.below(10) as usize + strip + (adjust.max(0) as usize);
    let value = (rest as i64 - adjust) as u64;
    let mut field = value.to_be_bytes()[8 - width..].to_vec();
    if !big {
        field.reverse();
    }
    let mut random = |len| (0..len).map(|_| rng.next_u64() as u8).collect::<Vec<_>>();
    let frame = [random(offset), field, random(rest)].concat();
    let message = frame[strip..].to_vec();
    [frame, message]
}

#[test]
fn length_fields_keep_every_knob() {
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let (width, big) = (rng.below(8) as usize + 1, rng.chance(1, 2));
        let (offset, adjust) = (rng.below(5) as usize, rng.below(17) as i64 - 8);
        let strip = rng.below(12) as usize;
        let codec = if big { LengthField::be(width) } else { LengthField::le(width) };
        let codec = codec.offset(offset).adjust(adjust).strip(strip).max(100);
        let frames: Vec<_> = (0..3).map(|_| by_hand(&mut rng, width, big, offset, adjust, strip)).collect();
        let bytes: Vec<u8> = frames.iter().flat_map(|[frame, _]| frame.clone()).collect();
        let messages: Vec<_> = frames.iter().map(|[_, message]| message.clone()).collect();
        assert_eq!(decoded(&codec, &bytes), (messages, None), "seed {seed}: {codec:?}");

        let [frame, _] = &frames[0];
        let (front, rest) = (&frame[..offset], &frame[offset + width..]);
        let mut out = Vec::new();
        codec.encode_behind(front, rest, &mut out).unwrap();
        assert_eq!(out, *frame, "seed {seed}: {codec:?}");
        // The frame as its own message, with a length that is put right.
        let mut wrong = frame.clone();
        wrong[offset] ^= 0x55;
        assert_eq!(encoded(codec.strip(0), &wrong).unwrap(), *frame, "seed {seed}: {codec:?}");
    }
}

#[test]
fn length_fields_refuse_what_cannot_be() {
    let check = |codec: LengthField, bytes: &[u8], wanted| assert_eq!(decoded(&codec, bytes).1, wanted);
    // A length that counts itself and is less than itself.
    check(LengthField::be(2).adjust(-2), &[0, 1], Some(FrameError::TooShort));
    check(LengthField::be(2).adjust(-2), &[0, 2], None);
    check(LengthField::be(1).strip(4), &[2, 0, 0], Some(FrameError::TooShort));
    check(LengthField::be(8).adjust(i64::MAX), &[0xff; 8], too_long(65_536));
    check(LengthField::be(8).adjust(i64::MIN), &[0; 8], Some(FrameError::TooShort));
    check(LengthField::be(2).max(10), &[0, 9], too_long(10));
    check(LengthField::be(2).max(10), &[0, 8], None);
    check(LengthField::varint(), &[0x80; 10], Some(FrameError::Malformed));
    check(LengthField::varint(), &[0x80; 9], None);
    check(LengthField::be(1).offset(usize::MAX), &[1; 9], None);
}

#[test]
fn varints_are_those_of_protocol_buffers() {
    assert_eq!(encoded(LengthField::varint(), &[7; 300]).unwrap()[..2], [0xac, 2]);
    // Longer than it must be.
    let (messages, error) = decoded(&LengthField::varint(), b"\x83\x80\x00abc");
    assert_eq!((messages, error), (vec![b"abc".to_vec()], None));
    // The largest number there is, less what the field itself takes.
    let field = LengthField::varint().offset(1).adjust(-1).strip(1);
    let (messages, error) = decoded(&field, b"x\x04abc");
    assert_eq!((messages, error), (vec![b"\x04abc".to_vec()], None));
}

#[test]
fn length_fields_say_what_they_wait_for() {
    let need = |mut codec: LengthField, bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let mut input = Input::new(&mut bytes);
        assert!(codec.decode(&mut input).unwrap().is_none());
        input.needed()
    };
    assert_eq!(need(LengthField::be(4), &[]), Some(4));
    assert_eq!(need(LengthField::be(4).offset(3), &[1]), Some(7));
    assert_eq!(need(LengthField::be(4).offset(3).adjust(5), &[0, 0, 0, 0, 0, 1, 0]), Some(7 + 256 + 5));
    assert_eq!(need(LengthField::varint(), &[0x80]), Some(2));
    assert_eq!(need(LengthField::varint().offset(2), &[]), Some(3));
}

#[test]
fn a_message_that_does_not_tell_its_frame_is_not_encoded() {
    let head = Err(EncodeError::Head);
    assert_eq!(encoded(LengthField::be(2).offset(1), b"abc"), head);
    assert_eq!(encoded(LengthField::be(2).strip(3), b"abc"), head);
    assert_eq!(encoded(LengthField::be(2).strip(0), b"a"), head);
    assert_eq!(encoded(LengthField::be(2).strip(2), b"a"), Ok(b"\0\x01a".to_vec()));
    assert_eq!(encoded(LengthField::be(1), &[0; 256]), Err(EncodeError::Length));
    assert_eq!(encoded(LengthField::be(1).adjust(5), b"abc"), Err(EncodeError::Length));
    assert_eq!(encoded(LengthField::be(1).max(3), b"abc"), Err(EncodeError::TooLong { max: 3 }));
    let mut out = Vec::new();
    assert_eq!(LengthField::be(1).offset(2).encode_behind(b"a", b"bc", &mut out), Err(EncodeError::Head));
}

#[test]
fn cobs_is_what_its_paper_says() {
    let pairs: [(&[u8], &[u8]); 6] = [
        (b"", b"\x01\0"),
        (b"\0", b"\x01\x01\0"),
        (b"\0\0", b"\x01\x01\x01\0"),
        (b"\x11\x22\0\x33", b"\x03\x11\x22\x02\x33\0"),
        (b"\x11\x22\x33\x44", b"\x05\x11\x22\x33\x44\0"),
        (b"\x11\0\0\0", b"\x02\x11\x01\x01\x01\0"),
    ];
    for (message, bytes) in pairs {
        assert_eq!(encoded(Cobs::max(99), message).unwrap(), bytes);
        assert_eq!(decoded(&Cobs::max(99), bytes), (vec![message.to_vec()], None));
    }
    let run: Vec<u8> = (1..=254).collect();
    assert_eq!(encoded(Cobs::max(254), &run).unwrap(), [&[255][..], &run, &[0]].concat());
    // An encoder may also end it with an empty run.
    let ended = [&[255][..], &run, &[1, 0]].concat();
    assert_eq!(decoded(&Cobs::max(254), &ended), (vec![run.clone()], None));
    assert_eq!(decoded(&Cobs::max(253), &ended), (vec![], too_long(253)));
    let zero_behind = [&run[..], &[0]].concat();
    assert_eq!(encoded(Cobs::max(255), &zero_behind).unwrap(), [&[255][..], &run, &[1, 1, 0]].concat());
}

#[test]
fn zeros_between_cobs_frames_and_ends_between_slip_packets_are_no_messages() {
    let (messages, error) = decoded(&Cobs::max(9), b"\0\0\x02a\0\0\x02b\0\0");
    assert_eq!((messages, error), (vec![b"a".to_vec(), b"b".to_vec()], None));
    let (messages, error) = decoded(&Slip::max(9), b"\xc0\xc0a\xc0\xc0b\xc0\xc0");
    assert_eq!((messages, error), (vec![b"a".to_vec(), b"b".to_vec()], None));
    assert_eq!(encoded(Slip::max(9).leading_end(), b"a").unwrap(), b"\xc0a\xc0");
}

#[test]
fn limits_count_the_decoded_message() {
    assert_eq!(decoded(&Slip::max(2), b"\xdb\xdc\xdb\xdd\xc0").0, [b"\xc0\xdb"]);
    assert_eq!(decoded(&Slip::max(2), b"abc\xc0"), (vec![], too_long(2)));
    assert_eq!(decoded(&Slip::max(2), b"abcde"), (vec![], too_long(2)));
    assert_eq!(decoded(&Cobs::max(3), b"\x04abc\0").0, [b"abc"]);
    assert_eq!(decoded(&Cobs::max(2), b"\x04abc\0"), (vec![], too_long(2)));
}

#[test]
fn a_delimiter_is_found_at_its_first_end() {
    let (messages, error) = decoded(&Delimited::new(b"\n\n", 9), b"a\n\n\nb\n\n");
    assert_eq!((messages, error), (vec![b"a".to_vec(), b"\nb".to_vec()], None));
    assert_eq!(encoded(Delimited::new(b"\n\n", 9), b"a\n"), Err(EncodeError::Delimiter));
    assert_eq!(encoded(Delimited::new(b"\r\n", 9), b"a\r"), Ok(b"a\r\r\n".to_vec()));
    assert_eq!(encoded(Delimited::new(b"abab", 9), b"xab"), Err(EncodeError::Delimiter));
}

#[test]
fn an_open_end_gives_the_last_message() {
    let last = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let mut input = Input::new(&mut bytes);
        let mut lines = Lines::max(3).open_end();
        while lines.decode(&mut input).unwrap().is_some() {}
        let last = lines.end(&mut input).map(|line| line.map(|line| line.to_vec()));
        assert!(last.is_err() || lines.end(&mut input).unwrap().is_none());
        last
    };
    assert_eq!(last(b"a\nb"), Ok(Some(b"b".to_vec())));
    assert_eq!(last(b"a\n"), Ok(None));
    assert_eq!(last(b"a\r"), Ok(Some(b"a\r".to_vec())));
    assert_eq!(last(b"abc\r"), Err(crate::LinesError::TooLong { max: 3 }));
}

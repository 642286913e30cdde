//! What is written is read, and what was not written by us is an error and nothing else.

use super::*;
use crate::Random;

#[test]
fn what_a_seat_says_is_read_as_it_was_said() {
    let message = Saying::new()
        .inputs(u32::MAX, [&b"abc"[..], b"", b"d"])
        .message(Channel::Reliable, &[5; 300])
        .confirm(0x1_2345)
        .farewell()
        .into_bytes();
    let said: Vec<_> = said(&message).collect::<Result<_, _>>().unwrap();
    let Said::Inputs(inputs) = said[0] else { panic!("{said:?}") };
    let inputs: Vec<_> = inputs.iter().collect();
    assert_eq!(inputs, [(u32::MAX, &b"abc"[..]), (u32::MAX - 1, b""), (u32::MAX - 2, b"d")]);
    assert_eq!(
        said[1..],
        [Said::Message(Channel::Reliable, &[5; 300]), Said::Confirm(0x2345), Said::Farewell]
    );
}

#[test]
fn what_a_room_says_is_read_as_it_was_said() {
    let head = Head { tick: 7, input: 65_535, age_ms: 255 };
    let welcome = Welcome { seat: Seat(3), hz: 60, players_max: 16, tick: 1 << 40, room: "r" };
    let mut message = Vec::new();
    head.put(&mut message);
    welcome.put(&mut message);
    put_piece(&mut message, SNAPSHOT, b"snap");
    put_end(&mut message, "over");
    let (read, pieces) = told(&message).unwrap();
    assert_eq!(read, head);
    let pieces: Vec<_> = pieces.collect::<Result<_, _>>().unwrap();
    assert_eq!(pieces, [Told::Welcome(welcome), Told::Snapshot(b"snap"), Told::End("over")]);
}

#[test]
fn a_message_cut_off_anywhere_is_an_error_or_fewer_pieces() {
    let message =
        Saying::new().inputs(9, [&b"ab"[..], b"c"]).message(Channel::Sequenced, b"xyz").into_bytes();
    for cut in 1..message.len() {
        let read: Vec<_> = said(&message[..cut]).collect();
        assert!(read.last().unwrap().is_err() || read.len() == 1, "{cut}");
    }
    for cut in 0..HEAD_BYTES {
        assert!(told(&message[..cut]).is_err());
    }
}

#[test]
fn any_bytes_are_read_without_a_panic() {
    let mut random = Random::new(11);
    for _ in 0..20_000 {
        let mut bytes: Vec<u8> = (0..random.below(40)).map(|_| random.next_u64() as u8).collect();
        if let Some(first) = bytes.first_mut() {
            *first %= 8;
        }
        for piece in said(&bytes) {
            if let Ok(Said::Inputs(inputs)) = piece {
                assert!(inputs.iter().count() <= INPUTS_MAX);
            }
        }
        if let Ok((_, pieces)) = told(&bytes) {
            pieces.for_each(drop);
        }
    }
}

#[test]
fn too_many_inputs_and_wrong_tags_are_errors() {
    let mut body = 1u32.to_le_bytes().to_vec();
    body.extend([0; INPUTS_MAX + 1]);
    let mut message = Vec::new();
    put_piece(&mut message, INPUTS, &body);
    assert!(said(&message).next().unwrap().is_err());
    for (tag, body) in [(0, &b""[..]), (5, b"1"), (6, b"x"), (7, b""), (4, b"abcd"), (4, b"abc")] {
        let mut message = Vec::new();
        put_piece(&mut message, tag, body);
        assert!(said(&message).next().unwrap().is_err(), "{tag}");
    }
    // A length that no memory holds.
    assert!(said(&[1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]).next().unwrap().is_err());
}

#[test]
fn numbers_and_lengths_are_what_they_were() {
    for number in [0, 1, 127, 128, 300, 1 << 20, u64::from(u32::MAX), u64::MAX] {
        let mut out = Vec::new();
        put_number(&mut out, number);
        assert_eq!(take_number(&out), Some((number, &[][..])));
    }
    assert_eq!(take_number(&[0x80; 10]), None);
    for len in [0, 1, 127, 128, 16_383, 16_384] {
        let mut out = Vec::new();
        put_piece(&mut out, 1, &vec![0; len]);
        assert_eq!((out.len(), first_len(&out)), (piece_len(len), Some(piece_len(len))));
    }
}

#[test]
fn the_low_bits_of_a_number_find_it_again() {
    for near in [0u64, 5, 65_534, 65_537, 1 << 40] {
        for off in [-300i64, -1, 0, 1, 300] {
            let Some(number) = near.checked_add_signed(off) else { continue };
            assert_eq!(widen(near, number as u16), number);
        }
    }
    assert_eq!(widen(2, 65_000), 0, "there is nothing before 0");
}

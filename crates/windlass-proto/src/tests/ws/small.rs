//! Tests of the small parts: masks, keys, labels.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use super::KEY;
use crate::testing::Rng;
use crate::ws::{CloseCode, FrameHead, Kind, MaskKeys, Opcode, WsError, apply_mask, frame};

#[test]
fn a_mask_is_the_same_in_one_piece_and_in_many() {
    let mut rng = Rng::new(1);
    for len in 0..100 {
        let mut bytes = vec![0; len];
        rng.fill(&mut bytes);
        let slow: Vec<u8> = bytes.iter().enumerate().map(|(n, byte)| byte ^ KEY[n % 4]).collect();
        let mut whole = bytes.clone();
        apply_mask(&mut whole, KEY);
        assert_eq!(whole, slow);
        let mut key = KEY;
        let mut rest = &mut bytes[..];
        while !rest.is_empty() {
            let (front, behind) = rest.split_at_mut(rng.below(rest.len() as u64) as usize + 1);
            key = apply_mask(front, key);
            rest = behind;
        }
        assert_eq!(bytes, slow);
    }
}

#[test]
fn keys_follow_from_the_seed_and_do_not_come_again() {
    let keys = |seed| {
        let mut keys = MaskKeys::new([seed; 16]);
        (0..1000).map(|_| keys.next_key()).collect::<BTreeSet<_>>()
    };
    assert_eq!(keys(1), keys(1));
    assert_eq!(keys(1).len(), 1000);
    assert!(keys(1).is_disjoint(&keys(2)));
}

#[test]
fn heads_come_back() {
    for opcode in [Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Ping] {
        for len in [0, 125, 126, 65_535, 65_536, u64::MAX >> 1] {
            for mask in [None, Some(KEY)] {
                let head = FrameHead { fin: true, rsv1: true, opcode, mask, len };
                if opcode == Opcode::Ping && len > 125 {
                    continue;
                }
                let bytes = head.encode();
                let bytes = bytes.as_ref();
                assert_eq!(FrameHead::parse(bytes), Ok(Ok((head, bytes.len()))));
                for n in 0..bytes.len() {
                    let need = FrameHead::parse(&bytes[..n]).unwrap().unwrap_err();
                    assert!(need > n && need <= bytes.len());
                }
            }
        }
    }
}

#[test]
fn a_frame_for_everybody() {
    assert_eq!(frame(Kind::Binary, &[7; 200])[..4], [0x82, 126, 0, 200]);
    assert_eq!(frame(Kind::Binary, &[7; 200]).len(), 204);
}

#[test]
fn every_error_has_a_label_of_its_own_and_a_code_that_may_be_sent() {
    let errors = [
        WsError::ReservedBits,
        WsError::Opcode(3),
        WsError::ControlTooLong,
        WsError::ControlFragmented,
        WsError::Unmasked,
        WsError::Masked,
        WsError::Length,
        WsError::TooLarge { max: 1 },
        WsError::NothingToContinue,
        WsError::Interleaved,
        WsError::Utf8,
        WsError::CloseBody,
        WsError::CloseCode(0),
        WsError::Deflate,
        WsError::Overloaded,
        WsError::PongTimeout,
        WsError::CloseTimeout,
    ];
    let labels: BTreeSet<_> = errors.iter().map(WsError::label).collect();
    assert_eq!((labels.len(), errors.len()), (WsError::KINDS, WsError::KINDS));
    assert!(errors.iter().all(|error| error.close_code().may_be_sent()));
    assert!(errors.iter().all(|error| WsError::label_of(error.kind()) == Some(error.label())));
    assert_eq!(WsError::label_of(WsError::KINDS), None);
    assert!(CloseCode::NORMAL < CloseCode::GOING_AWAY);
}

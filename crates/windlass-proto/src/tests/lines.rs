//! Tests of [`crate::Lines`].

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use crate::testing::{Rng, any_split};
use crate::{Decode, Input, Lines, LinesError};

fn check(max: usize, bytes: &str, lines: &[&str], too_long: bool) {
    let run = any_split(|| Lines::max(max), bytes.as_bytes(), |line| line.to_vec());
    let expected: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
    assert_eq!(run.messages, expected, "{bytes:?}");
    assert_eq!(run.error, too_long.then_some(LinesError::TooLong { max }), "{bytes:?}");
}

#[test]
fn ends_at_lf_and_crlf() {
    check(80, "", &[], false);
    check(80, "no end", &[], false);
    check(80, "one\ntwo\r\nthree\nrest", &["one", "two", "three"], false);
    check(80, "\n\r\n\n", &["", "", ""], false);
    check(80, "\r", &[], false);
}

#[test]
fn only_one_cr_before_lf_is_the_ending() {
    check(80, "a\r\r\n", &["a\r"], false);
    check(80, "\rb\rc\n", &["\rb\rc"], false);
}

#[test]
fn the_limit_counts_the_line_without_its_ending() {
    check(3, "abc\nabc\r\n", &["abc", "abc"], false);
    check(3, "abcd\n", &[], true);
    check(3, "abcd\r\n", &[], true);
    check(3, "abc\rd\n", &[], true);
    check(3, "ab\r\r\n", &["ab\r"], false);
    check(3, "abc\r\r\n", &[], true);
    check(3, "ok\nabcd", &["ok"], true);
    check(3, "ok\nabc", &["ok"], false);
    check(3, "ok\nabc\r", &["ok"], false);
    check(3, "ok\nabc\r!", &["ok"], true);
}

#[test]
fn the_limit_may_be_zero_or_everything() {
    check(0, "\n\r\n\n", &["", "", ""], false);
    check(0, "a", &[], true);
    check(usize::MAX, "abc\r\n", &["abc"], false);
}

#[test]
fn the_default_limit_is_8_kib() {
    let mut bytes = vec![b'x'; 8192];
    bytes.extend_from_slice(b"\r\n");
    let run = any_split(Lines::default, &bytes, |line| line.len());
    assert_eq!((run.messages, run.error), (vec![8192], None));
    bytes.insert(0, b'x');
    let run = any_split(Lines::default, &bytes, |line| line.len());
    assert_eq!((run.messages, run.error), (vec![], Some(LinesError::TooLong { max: 8192 })));
}

#[test]
fn a_peer_that_never_ends_its_line_holds_one_byte_more_than_the_limit() {
    let mut lines = Lines::max(100);
    let mut held = 1;
    while lines.decode(&mut Input::new(&mut vec![b'x'; held])).is_ok() {
        held += 1;
    }
    assert_eq!(held, 101);
}

#[test]
fn an_error_takes_nothing_and_comes_again() {
    let mut bytes = *b"abcd\nef\n";
    let mut input = Input::new(&mut bytes);
    let mut lines = Lines::max(3);
    for _ in 0..2 {
        assert_eq!(lines.decode(&mut input), Err(LinesError::TooLong { max: 3 }));
        assert_eq!(input.len(), 8);
    }
}

#[test]
fn goes_on_searching_where_it_stopped() {
    let mut lines = Lines::max(80);
    assert!(lines.decode(&mut Input::new(&mut b"abc".to_vec())).unwrap().is_none());
    // An LF among the bytes it has seen: it can only be missed by not reading them again.
    let mut bytes = b"a\nc\n".to_vec();
    assert_eq!(lines.decode(&mut Input::new(&mut bytes)).unwrap().unwrap(), b"a\nc");
    // And then from the front again.
    let mut bytes = b"\n".to_vec();
    assert_eq!(lines.decode(&mut Input::new(&mut bytes)).unwrap().unwrap(), b"");
}

#[test]
fn input_that_shrank_against_the_contract_is_no_panic() {
    let mut lines = Lines::max(80);
    assert!(lines.decode(&mut Input::new(&mut b"abcdef".to_vec())).unwrap().is_none());
    assert!(lines.decode(&mut Input::new(&mut b"ab".to_vec())).unwrap().is_none());
    assert!(lines.decode(&mut Input::new(&mut [])).unwrap().is_none());
}

#[test]
fn agrees_with_splitting_a_string() {
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let bytes: Vec<u8> = (0..rng.below(60)).map(|_| b"ab\r\n"[rng.below(4) as usize]).collect();
        let run = any_split(|| Lines::max(usize::MAX), &bytes, |line| line.to_vec());
        let mut expected: Vec<_> = bytes.split(|&byte| byte == b'\n').collect();
        let rest = expected.pop().unwrap();
        assert_eq!(run.left, rest.len(), "seed {seed}");
        let expected: Vec<_> =
            expected.iter().map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec()).collect();
        assert_eq!(run.messages, expected, "seed {seed}");
    }
}

#[test]
fn several_lines_live_at_once() {
    let mut bytes = *b"a\nb\n";
    let mut input = Input::new(&mut bytes);
    let mut lines = Lines::default();
    let one = lines.decode(&mut input).unwrap().unwrap();
    let two = lines.decode(&mut input).unwrap().unwrap();
    core::mem::swap(&mut one[0], &mut two[0]);
    assert_eq!(&bytes, b"b\na\n");
}

#[test]
fn the_error_names_the_limit() {
    assert_eq!(format!("{}", LinesError::TooLong { max: 7 }), "line longer than 7 bytes");
}

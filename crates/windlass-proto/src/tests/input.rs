//! Tests of [`crate::Input`].

use alloc::format;

use crate::Input;

#[test]
fn takes_disjoint_pieces_that_live_together() {
    let mut bytes = *b"abcdef";
    let mut input = Input::new(&mut bytes);
    let one = input.take(2).unwrap();
    let two = input.take(1).unwrap();
    let rest = input.take_all();
    one.fill(b'1');
    two.fill(b'2');
    rest.fill(b'3');
    assert!(input.is_empty());
    assert_eq!(&bytes, b"112333");
}

#[test]
fn takes_all_or_nothing() {
    let mut bytes = *b"abc";
    let mut input = Input::new(&mut bytes);
    assert!(input.take(4).is_none());
    assert!(input.take(usize::MAX).is_none());
    assert_eq!(input.peek(), b"abc");
    assert_eq!(input.take(0).unwrap(), b"");
    assert_eq!(input.take(3).unwrap(), b"abc");
    assert!(input.take(1).is_none());
    assert_eq!(input.take(0).unwrap(), b"");
    assert_eq!(input.take_all(), b"");
}

#[test]
fn skips_what_is_there() {
    let mut bytes = *b"abcde";
    let mut input = Input::new(&mut bytes);
    assert_eq!(input.skip(2), 2);
    assert_eq!(input.peek(), b"cde");
    assert_eq!(input.skip(9), 3);
    assert_eq!(input.skip(9), 0);
    assert_eq!(input.len(), 0);
}

#[test]
fn finds_from_the_front() {
    let mut bytes = *b"a,b,c";
    let mut input = Input::new(&mut bytes);
    assert_eq!(input.find(b','), Some(1));
    input.skip(2);
    assert_eq!(input.find(b','), Some(1));
    input.skip(2);
    assert_eq!(input.find(b','), None);
}

#[test]
fn a_hint_lasts_until_bytes_are_taken() {
    let mut bytes = *b"abcdef";
    let mut input = Input::new(&mut bytes);
    assert_eq!(input.needed(), None);
    input.need(9);
    assert_eq!(input.needed(), Some(9));
    assert!(input.take(7).is_none());
    assert_eq!(input.needed(), Some(9), "nothing was taken");
    input.skip(1);
    assert_eq!(input.needed(), None);
    input.need(9);
    input.need(0);
    assert_eq!(input.needed(), None);
    input.need(9);
    input.take_all();
    assert_eq!(input.needed(), None);
}

#[test]
fn debug_shows_no_bytes() {
    let mut bytes = *b"secret";
    assert_eq!(format!("{:?}", Input::new(&mut bytes)), "Input { len: 6, needed: None }");
}

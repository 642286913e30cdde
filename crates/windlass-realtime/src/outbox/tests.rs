//! What waits is bounded, and leaves in order.

use super::{Bounds, Outbox, Put};
use crate::channel::Channel::{Reliable, Sequenced, Unreliable};
use crate::spare::Spare;
use crate::wire::{Pieces, put_piece};

const BOUNDS: Bounds = Bounds { reliable_max: 30, fleeting_max: 12 };

fn read(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    Pieces::new(bytes).map(|piece| piece.map(|(tag, body)| (tag, body.to_vec())).unwrap()).collect()
}

#[test]
fn what_must_come_leaves_in_order_however_little_is_allowed() {
    let (mut outbox, mut spare) = (Outbox::default(), Spare::default());
    for n in 0..7 {
        assert_eq!(outbox.put(Reliable, &[n, n], &BOUNDS, &mut spare), Put::Queued);
    }
    assert_eq!(outbox.put(Reliable, b"full", &BOUNDS, &mut spare), Put::Full);
    let mut seen = Vec::new();
    for allowed in [0, 9, 100] {
        let mut out = Vec::new();
        outbox.take_reliable(allowed, &mut out, &mut spare);
        seen.push(read(&out).into_iter().map(|(_, body)| body[0]).collect::<Vec<_>>());
    }
    assert_eq!(seen, [vec![0], vec![1, 2], vec![3, 4, 5, 6]]);
    assert!(outbox.is_empty());
}

#[test]
fn room_comes_back_with_what_has_left() {
    let (mut outbox, mut spare) = (Outbox::default(), Spare::default());
    let long = [7; 20];
    for _ in 0..100 {
        assert_eq!(outbox.put(Reliable, &long, &BOUNDS, &mut spare), Put::Queued);
        assert_eq!(outbox.put(Reliable, &long, &BOUNDS, &mut spare), Put::Full);
        outbox.take_reliable(1_000, &mut Vec::new(), &mut spare);
    }
}

#[test]
fn the_newest_counts_and_the_rest_may_be_lost() {
    let (mut outbox, mut spare) = (Outbox::default(), Spare::default());
    assert_eq!(outbox.put(Sequenced, b"old", &BOUNDS, &mut spare), Put::Queued);
    assert_eq!(outbox.put(Sequenced, b"new", &BOUNDS, &mut spare), Put::Dropped);
    assert_eq!(outbox.put(Unreliable, b"one", &BOUNDS, &mut spare), Put::Queued);
    assert_eq!(outbox.put(Unreliable, b"two", &BOUNDS, &mut spare), Put::Queued);
    assert_eq!(outbox.put(Unreliable, b"three", &BOUNDS, &mut spare), Put::Dropped);
    let mut out = Vec::new();
    assert!(outbox.take_fleeting(15, &mut out, &mut spare));
    let text = |it: &str| it.as_bytes().to_vec();
    assert_eq!(read(&out), [(1, text("new")), (2, text("one")), (2, text("two"))]);
    assert_eq!(outbox.put(Unreliable, b"four", &BOUNDS, &mut spare), Put::Queued);
    out.clear();
    assert!(!outbox.take_fleeting(3, &mut out, &mut spare));
    assert!(out.is_empty() && outbox.is_empty());
}

#[test]
fn what_has_left_is_not_held_though_something_always_waits() {
    let (mut outbox, mut spare) = (Outbox::default(), Spare::default());
    let bounds = Bounds { reliable_max: 4_096, fleeting_max: 4_096 };
    let (mut out, mut expected) = (Vec::new(), 0..);
    let message = |n: u32| [&n.to_be_bytes()[..], &[0; 96]].concat();
    outbox.put(Reliable, &message(0), &bounds, &mut spare);
    for n in 1..10_000 {
        assert_eq!(outbox.put(Reliable, &message(n), &bounds, &mut spare), Put::Queued);
        out.clear();
        outbox.take_reliable(1, &mut out, &mut spare);
        let mut piece = Vec::new();
        put_piece(&mut piece, Reliable.code(), &message(expected.next().unwrap()));
        assert_eq!(out, piece);
        assert!(!outbox.is_empty());
        assert!(outbox.reliable.capacity() <= 4 * bounds.reliable_max, "{}", outbox.reliable.capacity());
    }
}

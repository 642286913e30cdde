//! In which order a channel hands out what comes.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::super::channel::{Channel, Hand, Took, Waiting, place};
use super::super::event::Kind;
use super::super::wire::Fragment;

#[derive(Default)]
struct Inbox(Vec<Vec<u8>>);

impl Hand for Inbox {
    fn hand(&mut self, _: Kind, bytes: Vec<u8>) {
        self.0.push(bytes);
    }
}

struct Tested {
    channel: Channel,
    waiting: Waiting,
    inbox: Inbox,
}

impl Tested {
    fn at(number: u16) -> Tested {
        let waiting = Waiting { max: 10_000, message_max: 5000, ..Waiting::default() };
        Tested { channel: Channel::at(number), waiting, inbox: Inbox::default() }
    }

    fn reliable(&mut self, number: u16, bytes: &[u8]) -> Took {
        self.channel.take_reliable(number, bytes, &mut self.waiting, &mut self.inbox)
    }

    fn unreliable(&mut self, reliable: u16, number: u16, bytes: &[u8]) -> Took {
        self.channel.take_unreliable(reliable, number, bytes, &mut self.waiting, &mut self.inbox)
    }

    /// Piece `number` of `count`, of one byte each.
    fn piece(&mut self, reliable: u16, start: u16, count: u32, number: u32) -> Took {
        let byte = [b'0' + number as u8];
        let fragment = Fragment { start, count, number, total: count, offset: number, bytes: &byte };
        self.channel.take_unreliable_fragment(reliable, &fragment, &mut self.waiting, &mut self.inbox)
    }

    fn handed(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.inbox.0)
    }
}

#[test]
fn reliable_messages_come_in_order_across_the_wrap() {
    for start in [0, 4095, 28_671, 32_768, 0xfff0, 0xffff] {
        let mut tested = Tested::at(start);
        for ahead in [3, 2, 5, 4, 9] {
            assert_eq!(tested.reliable(start.wrapping_add(ahead), &[ahead as u8]), Took::Taken);
            assert_eq!(tested.reliable(start.wrapping_add(ahead), b"twice"), Took::Late);
        }
        assert!(tested.handed().is_empty());
        assert_eq!(tested.reliable(start.wrapping_add(1), &[1]), Took::Taken);
        assert_eq!(tested.handed(), [[1], [2], [3], [4], [5]]);
        assert_eq!(tested.reliable(start.wrapping_add(3), b"again"), Took::Late);
        assert_eq!(tested.reliable(start, b"old"), Took::Late);
        assert_eq!(tested.waiting.held, 64 + 1);
    }
}

#[test]
fn unreliable_messages_wait_for_the_reliable_one_before_them() {
    let mut tested = Tested::at(0xffff);
    assert_eq!(tested.unreliable(0xffff, 2, b"a2"), Took::Taken);
    assert_eq!(tested.unreliable(0xffff, 1, b"a1"), Took::Late);
    assert_eq!(tested.unreliable(1, 1, b"c1"), Took::Taken);
    assert_eq!(tested.unreliable(0, 3, b"b3"), Took::Taken);
    assert_eq!(tested.unreliable(0, 1, b"b1"), Took::Taken);
    assert_eq!(tested.unreliable(0, 1, b"b1"), Took::Late);
    assert_eq!(tested.handed(), [b"a2"]);
    tested.reliable(1, b"R1");
    tested.reliable(0, b"R0");
    assert_eq!(tested.handed(), [b"R0", b"b1", b"b3", b"R1", b"c1"]);
    assert_eq!(tested.waiting.held, 0);
    assert_eq!(tested.unreliable(0, 9, b"b9"), Took::Late);
}

#[test]
fn a_newer_message_overtakes_one_that_is_not_whole() {
    let mut tested = Tested::at(5);
    tested.piece(5, 1, 3, 0);
    tested.piece(5, 2, 3, 1);
    tested.piece(5, 4, 2, 0);
    assert!(tested.waiting.held > 0);
    tested.piece(5, 2, 3, 0);
    tested.piece(5, 2, 3, 2);
    assert_eq!(tested.handed(), [b"012"]);
    assert_eq!(tested.piece(5, 1, 3, 1), Took::Late);
    assert_eq!(tested.unreliable(5, 3, b"3"), Took::Taken);
    assert_eq!(tested.piece(5, 4, 2, 1), Took::Taken);
    assert_eq!(tested.handed(), [&b"3"[..], b"01"]);
    assert_eq!(tested.waiting.held, 0);
}

#[test]
fn what_is_behind_a_reliable_message_is_whole_before_or_after() {
    let mut tested = Tested::at(0);
    tested.piece(1, 1, 2, 0);
    tested.piece(1, 2, 2, 1);
    tested.piece(1, 2, 2, 0);
    tested.reliable(1, b"R1");
    assert_eq!(tested.handed(), [&b"R1"[..], b"01"]);
    assert_eq!(tested.piece(1, 1, 2, 1), Took::Late);
    assert_eq!(tested.waiting.held, 0);
    // A reliable message makes what was begun before it too late.
    tested.piece(1, 3, 2, 0);
    tested.reliable(2, b"R2");
    assert_eq!(tested.waiting.held, 0);
}

#[test]
fn old_pieces_make_room_for_new_ones() {
    let mut tested = Tested::at(0);
    let piece = |start| Fragment { start, count: 2, number: 0, total: 3000, offset: 0, bytes: b"x" };
    for start in 1..20 {
        let Tested { channel, waiting, inbox } = &mut tested;
        assert_eq!(channel.take_unreliable_fragment(0, &piece(start), waiting, inbox), Took::Taken);
        assert!(waiting.held <= waiting.max);
    }
    assert_eq!(tested.waiting.held, 3 * (64 + 3000 + 4));
}

#[test]
fn windows_are_waited_for() {
    // As the sender: number 4096 * w begins when nothing is under way that could be confused with it.
    let mut channel = Channel::default();
    for number in 1..=4096_u16 {
        assert_eq!(channel.next_reliable(), number);
        assert!(channel.may_begin(number));
        channel.began(number);
    }
    // One of the first window is lost for long.
    for number in 2..=4096 {
        channel.arrived(number);
    }
    let mut number = 4096_u16;
    while channel.may_begin(number + 1) {
        number += 1;
        channel.began(number);
        channel.arrived(number);
    }
    assert_eq!(number + 1, 7 * 4096, "nine windows on, the first is still used");
    channel.arrived(1);
    assert!(channel.may_begin(number + 1));
}

/// Who has a long queue held for them and asks where it costs most is not worth more work than others.
#[test]
fn a_place_in_a_long_queue_is_found_without_looking_at_all_of_it() {
    let queue: VecDeque<u32> = (0..16_000).map(|n| 2 * n + 1).collect();
    for number in [0, 1, 2, 3, 15_999, 16_000, 31_998, 31_999, 32_000] {
        let looks = AtomicU32::new(0);
        let found = place(&queue, number, |&other| {
            looks.fetch_add(1, Relaxed);
            other
        });
        let expected = if number % 2 == 1 { Ok(number as usize / 2) } else { Err(number as usize / 2) };
        assert_eq!(found, expected, "{number}");
        assert!(looks.load(Relaxed) <= 20, "{number}: {looks:?} looks");
    }
    assert_eq!(place(&VecDeque::new(), 5, |&other: &u32| other), Err(0));
}

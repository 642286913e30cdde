//! What an operator does with rooms: looks at one, ends it or a seat of it, sets things anew, stops the server.

use super::*;
use crate::inspect::SeatState;
use crate::{Overrun, OverrunSink};

/// The texts that a connection is told at its end, and the messages before.
fn last_words(it: &mut Fixture, number: u32) -> (Vec<String>, Option<String>) {
    let (mut messages, mut end) = (Vec::new(), None);
    for heard in it.heard(number) {
        for piece in told(&heard).unwrap().1 {
            match piece.unwrap() {
                Told::Message(_, bytes) => messages.push(String::from_utf8_lossy(bytes).into_owned()),
                Told::End(why) => end = Some(why.to_owned()),
                _ => {}
            }
        }
    }
    (messages, end)
}

#[test]
fn a_room_is_seen_as_it_is() {
    let mut it = fixture(config().seat_messages(Rate::new(1, 3)));
    it.open(1, 0);
    let one = it.join(1, 0, 1);
    it.expect(1, 2, "later");
    it.join(1, 4, 3);
    for _ in 0..5 {
        it.say(one, 1, b"hello").unwrap();
    }
    it.wires.waiting.insert(conn(3), 77);
    it.pass(2_000, 100);
    let two = it.join(1, 1, 2);
    it.hall.lost(two, conn(2), it.now);
    it.pass(1_000, 100);
    let detail = it.hall.detail(RoomId(1), it.now, &mut it.wires).unwrap();
    assert_eq!((detail.kind.as_str(), detail.hz, detail.tick, detail.ticks), ("quick", 10, 30, 30));
    assert_eq!((detail.players_max, detail.spectators_max, detail.locked), (4, 1, false));
    assert_eq!((detail.age_seconds, detail.skipped, detail.overruns), (3.0, 0, 0));
    let seats: Vec<_> =
        detail.seats.iter().map(|it| (it.seat, it.spectator, it.state, it.name.as_str())).collect();
    let expected = [
        (0, false, SeatState::Here, "ann"),
        (1, false, SeatState::Away, "ann"),
        (2, false, SeatState::Kept, "later"),
        (4, true, SeatState::Here, "ann"),
    ];
    assert_eq!(seats, expected);
    let [first, away, kept, watcher] = &detail.seats[..] else { panic!("{detail:?}") };
    assert_eq!((first.messages_in, first.messages_dropped, first.since_seconds), (5, 2, 3.0));
    assert_eq!((away.until_seconds, kept.until_seconds), (Some(29.0), Some(12.0)));
    assert_eq!((watcher.waiting, watcher.bytes_out), (77, 0));
    assert_eq!(watcher.snapshots_stale, 30);
    assert_eq!(first.bytes_out, it.hall.stats.bytes_out);
    assert_eq!(detail.bytes_in, it.hall.stats.bytes_in);
    assert!(it.hall.detail(RoomId(2), it.now, &mut it.wires).is_none());
    assert_eq!(it.hall.stats.here_websocket, 2);
}

#[test]
fn a_seat_is_ended_from_outside_and_free() {
    let mut it = fixture(config());
    it.open(1, 0);
    let one = it.join(1, 0, 1);
    it.join(1, 1, 2);
    it.expect(1, 2, "later");
    assert!(it.hall.kick(RoomId(1), Seat(0), "out", &mut it.wires));
    assert_eq!(it.wires.ended, [(conn(1), Leave::Kicked, "out".into())]);
    assert_eq!(last_words(&mut it, 1).1.as_deref(), Some("out"));
    assert_eq!(it.hall.claim(one, conn(4), it.now), Err(Unclaimed::Expired), "nobody comes back to it");
    assert!(it.hall.kick(RoomId(1), Seat(2), "out", &mut it.wires), "kept for somebody");
    for (room, seat) in [(1, 0), (1, 3), (1, 60_000), (9, 0)] {
        assert!(!it.hall.kick(RoomId(room), Seat(seat), "out", &mut it.wires), "{room} {seat}");
    }
    assert_eq!((it.hall.stats.left_kicked, it.hall.stats.players, it.hall.stats.here_websocket), (1, 1, 1));
    it.pass(1_000, 100);
    assert_eq!(it.heard(2).len(), 10, "the others play on");
}

#[test]
fn a_room_is_ended_from_outside_and_no_other() {
    let mut it = fixture(config());
    it.open(1, 0);
    it.open(2, 0);
    let one = it.join(1, 0, 1);
    it.join(2, 0, 2);
    it.say(one, 1, b"last words").unwrap();
    assert!(it.hall.end_room(RoomId(1), "enough", &mut it.wires));
    assert!(!it.hall.end_room(RoomId(1), "enough", &mut it.wires));
    assert_eq!(it.wires.ended, [(conn(1), Leave::Closed, "enough".into())]);
    assert_eq!(last_words(&mut it, 1), (vec!["last words".into()], Some("enough".into())));
    assert_eq!(it.hall.notices.last(), Some(&Notice::Closed { room: RoomId(1) }));
    // The second began half a period later, so as not to tick with the first.
    it.pass(1_000, 100);
    assert_eq!((it.heard(2).len(), it.hall.stats.rooms, it.hall.agenda.len()), (9, 1, 1));
}

#[test]
fn the_last_that_a_seat_is_told_counts_as_all_that_it_is_sent() {
    let mut it = fixture(config());
    it.open(1, 0);
    let tickets = [0, 1, 2].map(|seat| it.join(1, seat, u32::from(seat) + 1));
    it.pass(1_000, 100);
    let before = it.hall.stats;
    let heard = |it: &mut Fixture| (1..=3).flat_map(|n| it.heard(n)).collect::<Vec<_>>();
    heard(&mut it);
    // One by an operator, one by its room, one with its room.
    assert!(it.hall.kick(RoomId(1), Seat(0), "out", &mut it.wires));
    it.say(tickets[1], 2, b"kick").unwrap();
    it.pass(100, 100);
    assert!(it.hall.end_room(RoomId(1), "enough", &mut it.wires));
    assert_eq!(it.wires.ended.len(), 3);
    let sent = heard(&mut it);
    let bytes: usize = sent.iter().map(Vec::len).sum();
    assert_eq!(it.hall.stats.messages_out - before.messages_out, sent.len() as u64);
    assert_eq!(it.hall.stats.bytes_out - before.bytes_out, bytes as u64);
}

#[test]
fn when_the_server_stops_rooms_are_told_and_end_in_their_time() {
    let mut it = fixture(config().stop_timeout(Duration::from_secs(2)));
    for room in 1..=5 {
        it.open(room, 0);
    }
    let tickets: Vec<_> = (1..=4).map(|n| it.join(n, 0, n as u32)).collect();
    // The first ends with it; the second goes on for as long as it may, the third until it has had enough, the fourth until
    // its player has; nobody is in the fifth.
    for (n, ticket) in tickets.iter().enumerate().skip(1) {
        it.say(*ticket, n as u32 + 1, b"stay").unwrap();
    }
    it.pass(200, 100);
    (1..=4).for_each(|n| drop(it.heard(n)));
    it.hall.stop(it.now, &mut it.wires);
    assert_eq!(it.wires.ended, [(conn(1), Leave::Closed, "the server stops".into())]);
    assert_eq!(last_words(&mut it, 1), (vec!["stopping".into()], Some("the server stops".into())));
    assert_eq!(it.hall.stats.rooms, 3);
    assert!(!it.hall.goes_on(tickets[0]) && it.hall.goes_on(tickets[1]));
    assert!(it.hall.notices.contains(&Notice::Locked { room: RoomId(2), locked: true }));
    it.pass(500, 100);
    it.say(tickets[2], 3, b"end").unwrap();
    it.hall.lost(tickets[3], conn(4), it.now);
    it.pass(100, 100);
    assert_eq!(it.hall.stats.rooms, 1, "one has ended itself, and one's player is gone");
    assert_eq!(last_words(&mut it, 3), (vec!["stopping".into()], Some("the server stops".into())));
    it.pass(1_300, 100);
    // 2,100 ms, of which the first 50 were waited for: so as not to tick with the first room.
    assert_eq!((it.hall.stats.rooms, it.hall.pace(RoomId(2)).unwrap().done()), (1, 20), "it ticks on");
    it.heard(2);
    it.pass(100, 100);
    assert_eq!((it.hall.stats.rooms, it.hall.next()), (0, None));
    assert_eq!(last_words(&mut it, 2).1.as_deref(), Some("the server stops"));
    assert_eq!((it.hall.stats.players, it.hall.stats.here_websocket), (0, 0));
}

#[test]
fn a_match_that_goes_on_when_the_server_stops_replays_too() {
    thread_local! {
        static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let sink = RecordSink::new(|piece| {
        BYTES.with_borrow_mut(|bytes| bytes.extend(piece.bytes));
        true
    });
    let mut it = fixture(config().record(Some(sink)));
    it.open(1, 0);
    let one = it.join(1, 0, 1);
    it.say(one, 1, b"stay").unwrap();
    it.pass(1_000, 100);
    it.hall.stop(it.now, &mut it.wires);
    it.pass(10_000, 100);
    assert_eq!(it.hall.stats.rooms, 0);
    let record = BYTES.take();
    let replayed = crate::replay(&record, |_, _| Some(kind("quick", 10, 0).make(b""))).unwrap();
    assert_eq!((replayed.hash, replayed.whole, replayed.ticks), (1, true, 85));
}

#[test]
fn other_settings_are_for_rooms_that_are_open_too_where_they_can_be() {
    thread_local! {
        static PIECES: RefCell<Vec<RoomId>> = const { RefCell::new(Vec::new()) };
    }
    let mut it = fixture(config());
    it.open(1, 0);
    let one = it.join(1, 0, 1);
    let sink = RecordSink::new(|piece| {
        PIECES.with_borrow_mut(|pieces| pieces.push(piece.room));
        true
    });
    let kinds = [kind("quick", 50, 0).players_max(2), kind("slow", 20, 330), kind("fast", 100, 0)];
    let other = GameConfig { kinds: kinds.into(), ..config() }
        .clock(Some(clock))
        .reconnect_timeout(Duration::from_secs(5))
        .reliable_max(500)
        .record(Some(sink));
    it.hall.set(Arc::new(other));
    it.open(2, 0);
    it.pass(1_000, 20);
    assert_eq!(it.hall.pace(RoomId(1)).unwrap().done(), 10, "it keeps its rate");
    assert_eq!(it.hall.pace(RoomId(2)).unwrap().done(), 50);
    let seats = |it: &Fixture, room| it.hall.stage(RoomId(room)).unwrap().spec().players_max;
    assert_eq!((seats(&it, 1), seats(&it, 2)), (4, 2));
    // What may wait for a seat is less now, for this one too.
    it.join(1, 1, 2);
    it.wires.waiting.insert(conn(2), 1);
    it.say(one, 1, &[1; 600]).unwrap();
    it.pass(100, 20);
    assert!(it.wires.ended.contains(&(conn(2), Leave::Slow, "too slow".into())));
    let again = it.join(1, 2, 3);
    it.hall.lost(again, conn(3), it.now);
    it.pass(5_100, 20);
    assert_eq!(it.hall.claim(again, conn(4), it.now), Err(Unclaimed::Expired));
    it.hall.stop(it.now, &mut it.wires);
    // Nothing is there of the beginning of the first.
    assert_eq!(PIECES.take(), [RoomId(2)]);
}

#[test]
fn an_overrun_is_told_with_the_name_of_its_room_once_a_second() {
    thread_local! {
        static TOLD: RefCell<Vec<Overrun>> = const { RefCell::new(Vec::new()) };
    }
    let sink = OverrunSink::new(|overrun| TOLD.with_borrow_mut(|told| told.push(overrun)));
    let mut it = fixture(config().overruns(Some(sink)));
    it.open(1, 1);
    it.open(2, 0);
    let (start, mut turns) = (it.now, 0);
    while CLOCK.get() < Duration::from_secs(10) {
        let next = it.hall.next().unwrap().max(start + CLOCK.get());
        CLOCK.set(next.since(start));
        it.now = next;
        let begun = it.hall.clock();
        it.hall.due(next, begun, &mut it.wires);
        turns += 1;
    }
    let told = TOLD.take();
    assert!(told.iter().all(|it| it.room == RoomId(1) && it.kind == "slow"), "{told:?}");
    assert_eq!((told[0].took, told[0].period), (Duration::from_millis(330), Duration::from_millis(50)));
    assert!((8..=10).contains(&told.len()) && turns > 20, "{told:?}");
    assert!(told.last().unwrap().overruns > 20 && told[0].overruns == 1);
}

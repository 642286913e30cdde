//! Rooms tick when they should, seats are whose they are, and one player's trouble is not another's. What an operator
//! does with rooms is in `operated`.

mod operated;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::*;
use crate::channel::Channel;
use crate::snapshot::{Field, Frame, Schema};
use crate::stats::GameWatch;
use crate::ticket::Key;
use crate::wire::{Saying, Told, told};
use crate::{Play, Rate, RecordSink, Room, RoomKind};

/// Connections that take what they are sent, or do not.
#[derive(Default)]
struct Wires {
    sent: HashMap<Way, Vec<Vec<u8>>>,
    waiting: HashMap<Way, usize>,
    ended: Vec<(Way, Leave, String)>,
}

impl Reach for Wires {
    fn free(&mut self, way: Way) -> Option<Free> {
        Some(Free { congested: self.waiting.contains_key(&way), ..Free::ALL })
    }
    fn send(&mut self, way: Way, message: &[u8], _: &mut GameStats) {
        self.sent.entry(way).or_default().push(message.to_vec());
    }
    fn end(&mut self, way: Way, why: Leave, text: &str) {
        self.ended.push((way, why, text.into()));
    }
    fn shown(&mut self, way: Way) -> (Option<String>, usize) {
        (None, self.waiting.get(&way).copied().unwrap_or_default())
    }
}

thread_local! {
    /// A clock that only rooms move.
    static CLOCK: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static DONE: RefCell<Vec<(u64, u64)>> = const { RefCell::new(Vec::new()) };
}

fn clock() -> Duration {
    CLOCK.get()
}

/// A room whose ticks take as long as its tag says, and which has one entity.
struct Slow {
    takes: Duration,
    state: u64,
    /// It goes on when the server stops, for so long as it may.
    stays: bool,
}

impl Room for Slow {
    fn join(&mut self, _: &mut Play<'_>, _: Seat, guest: &Guest) -> Result<(), Reject> {
        if guest.name == "bad" { Err(Reject("not you".into())) } else { Ok(()) }
    }
    fn message(&mut self, play: &mut Play<'_>, seat: Seat, channel: Channel, message: &[u8]) {
        self.state += 1;
        match message {
            b"stay" => self.stays = true,
            b"kick" => play.kick(seat, "go"),
            b"end" => play.end(),
            b"lock" => play.lock(true),
            message => play.send_all(channel, message),
        }
    }
    fn stop(&mut self, play: &mut Play<'_>) {
        play.send_all(Channel::Reliable, b"stopping");
        if !self.stays {
            play.end();
        }
    }
    fn tick(&mut self, play: &mut Play<'_>, n: u64) {
        DONE.with_borrow_mut(|done| done.push((play.hz().into(), n)));
        CLOCK.set(CLOCK.get() + self.takes);
    }
    fn schema(&self) -> Option<Schema> {
        Some(Schema::new([Field::new(0, 1, 16)]))
    }
    fn frame(&self, frame: &mut Frame) {
        let tick = frame.tick() as i32;
        frame.put(1, (0, 0), &[tick]);
    }
    fn hash(&self) -> u64 {
        self.state
    }
}

fn kind(name: &str, hz: u32, takes_ms: u64) -> RoomKind {
    let takes = Duration::from_millis(takes_ms);
    RoomKind::new(name, move |_| Box::new(Slow { takes, state: 0, stays: false }))
        .hz(hz)
        .players_max(4)
        .spectators_max(1)
}

fn config() -> GameConfig {
    GameConfig::new(Key::new(&[3; 32]), [kind("quick", 10, 0), kind("slow", 20, 330), kind("fast", 100, 0)])
        .clock(Some(clock))
}

struct Fixture {
    hall: Hall,
    wires: Wires,
    now: Time,
    serial: u64,
}

fn fixture(config: GameConfig) -> Fixture {
    let watch = GameWatch::new(1, config.kinds.iter().map(|kind| kind.name.clone()));
    CLOCK.set(Duration::ZERO);
    DONE.take();
    let hall = Hall::new(Arc::new(config), RoomBoard::new(watch, 0));
    Fixture { hall, wires: Wires::default(), now: Time::from_nanos(1_000_000_000_000), serial: 0 }
}

fn conn(number: u32) -> Way {
    Way::WebSocket(format!("0:{number}.1").parse().unwrap())
}

impl Fixture {
    fn open(&mut self, room: u64, kind: usize) {
        let of = &self.hall.config.kinds[kind];
        let spec = StageSpec {
            seed: room,
            hz: of.hz,
            players_max: of.players_max,
            spectators_max: of.spectators_max,
        };
        self.hall.open(RoomId(room), kind, b"{}", spec, self.now);
    }

    fn expect(&mut self, room: u64, seat: u16, name: &str) -> Ticket {
        self.serial += 1;
        let ticket = Ticket { worker: 0, room: RoomId(room), seat: Seat(seat), serial: self.serial };
        assert!(self.hall.expect(ticket, Guest::named(name), self.now));
        ticket
    }

    fn join(&mut self, room: u64, seat: u16, number: u32) -> Ticket {
        let ticket = self.expect(room, seat, "ann");
        assert_eq!(self.hall.claim(ticket, conn(number), self.now), Ok(Claimed { before: None }));
        ticket
    }

    fn say(&mut self, ticket: Ticket, number: u32, message: &[u8]) -> Result<(), Leave> {
        let message = Saying::new().message(Channel::Reliable, message).into_bytes();
        self.hall.received(ticket, conn(number), &message, self.now)
    }

    /// Lets time pass, in turns of so many milliseconds.
    fn pass(&mut self, ms: u64, turn_ms: u64) {
        for _ in 0..ms / turn_ms {
            self.now += Duration::from_millis(turn_ms);
            for _ in 0..5 {
                let begun = self.hall.clock();
                self.hall.due(self.now, begun, &mut self.wires);
            }
        }
    }

    fn heard(&mut self, number: u32) -> Vec<Vec<u8>> {
        self.wires.sent.remove(&conn(number)).unwrap_or_default()
    }
}

/// What pieces a message has: `W`elcome, `M`essage, `S`napshot, `E`nd.
fn pieces(message: &[u8]) -> String {
    let (_, pieces) = told(message).unwrap();
    pieces
        .map(|piece| match piece.unwrap() {
            Told::Welcome(_) => 'W',
            Told::Message(..) => 'M',
            Told::Snapshot(_) => 'S',
            Told::End(_) => 'E',
        })
        .collect()
}

#[test]
fn every_room_ticks_at_its_own_rate_for_as_long_as_time_passes() {
    let mut it = fixture(config().empty_timeout(Duration::from_secs(10_000)));
    it.open(1, 0);
    it.open(2, 2);
    it.pass(600_000, 7);
    it.pass(600_000, 1);
    for (room, hz) in [(1, 10), (2, 100)] {
        let pace = it.hall.pace(RoomId(room)).unwrap();
        // The last turn of the first row comes some milliseconds before its end.
        let elapsed = u128::from(it.now.as_nanos()) - 1_000_000_000_000;
        assert_eq!(u128::from(pace.done()), elapsed * hz / 1_000_000_000);
        assert_eq!(it.hall.stage(RoomId(room)).unwrap().counts().ticks + pace.skipped(), pace.done());
        assert_eq!(pace.skipped(), 0);
    }
    assert!(it.hall.stats.lateness.max() <= Duration::from_millis(7));
    assert_eq!(it.hall.stats.ticks, it.hall.stats.lateness.count());
}

#[test]
fn rooms_of_one_rate_do_not_tick_together() {
    let mut it = fixture(config());
    for room in 1..=4 {
        it.open(room, 0);
    }
    let mut ticks: Vec<u64> = (1..=4)
        .map(|room| it.hall.pace(RoomId(room)).unwrap().next().since(it.now).as_millis() as u64)
        .collect();
    assert_eq!(ticks[0], 100, "the first begins at once");
    ticks.sort_unstable();
    assert_eq!(ticks, [100, 125, 150, 175]);
}

#[test]
fn who_is_late_catches_up_by_five_and_skips_the_rest() {
    let mut it = fixture(config());
    it.open(1, 0);
    it.pass(2_000, 2_000);
    let ticks: Vec<u64> = DONE.take().into_iter().map(|(_, n)| n).collect();
    assert_eq!(ticks, [16, 17, 18, 19, 20]);
    assert_eq!((it.hall.stats.ticks, it.hall.stats.ticks_skipped), (5, 15));
}

#[test]
fn a_room_that_overruns_is_named_and_keeps_others_waiting_for_no_longer_than_that() {
    let mut it = fixture(config());
    it.open(1, 1);
    it.open(2, 0);
    // Turns as they would be: each begins where the clock is after the one before it.
    let start = it.now;
    for _ in 0..60 {
        let next = it.hall.next().unwrap().max(start + CLOCK.get());
        CLOCK.set(next.since(start));
        it.now = next;
        let begun = it.hall.clock();
        it.hall.due(next, begun, &mut it.wires);
    }
    let (slow, quick) = (it.hall.pace(RoomId(1)).unwrap(), it.hall.pace(RoomId(2)).unwrap());
    let slow_room = it.hall.rooms.get(&RoomId(1)).unwrap();
    let quick_room = it.hall.rooms.get(&RoomId(2)).unwrap();
    assert!(slow_room.overruns > 10 && slow.skipped() > 50, "{slow:?}");
    assert_eq!(slow_room.longest, Duration::from_millis(330));
    assert_eq!((quick_room.overruns, quick.skipped()), (0, 0));
    assert!(quick_room.lateness.max() <= Duration::from_millis(330), "{:?}", quick_room.lateness.max());
    assert_eq!(it.hall.stats.overruns, slow_room.overruns);
}

#[test]
fn a_seat_is_kept_for_a_while_and_then_free() {
    let mut it = fixture(config());
    it.open(1, 0);
    let ticket = it.expect(1, 2, "late");
    it.pass(14_900, 100);
    assert_eq!(it.hall.notices, []);
    it.pass(200, 100);
    let freed = Notice::Freed { room: RoomId(1), seat: Seat(2), serial: ticket.serial };
    assert_eq!(it.hall.notices, [freed]);
    assert_eq!(it.hall.claim(ticket, conn(1), it.now), Err(Unclaimed::Expired));
    let other = it.join(1, 2, 2);
    assert_eq!(it.hall.claim(ticket, conn(1), it.now), Err(Unclaimed::Expired), "somebody else's");
    assert!(!it.hall.expect(Ticket { serial: 99, ..other }, Guest::default(), it.now), "taken");
    assert!(!it.hall.expect(Ticket { room: RoomId(5), ..other }, Guest::default(), it.now));
    assert!(!it.hall.expect(Ticket { seat: Seat(50), ..other }, Guest::default(), it.now));
    assert_eq!((it.hall.stats.seats_kept, it.hall.stats.seats_expired, it.hall.stats.joined), (2, 1, 1));
}

#[test]
fn whoever_comes_back_in_time_has_the_same_seat() {
    let mut it = fixture(config());
    it.open(1, 0);
    let ticket = it.join(1, 0, 1);
    it.hall.lost(ticket, conn(1), it.now);
    it.hall.lost(ticket, conn(1), it.now);
    it.pass(29_000, 100);
    assert_eq!(it.hall.claim(ticket, conn(2), it.now), Ok(Claimed { before: None }));
    // A second one with the same ticket, though nobody has noticed that the first is gone.
    assert_eq!(it.hall.claim(ticket, conn(3), it.now), Ok(Claimed { before: Some(conn(2)) }));
    it.hall.lost(ticket, conn(2), it.now);
    assert!(it.hall.stage(RoomId(1)).unwrap().is_here(Seat(0)), "that was the one before");
    assert_eq!(it.say(ticket, 2, b"kick"), Ok(()));
    it.pass(100, 100);
    assert_eq!(it.wires.ended, [], "nor can it say anything");
    it.hall.lost(ticket, conn(3), it.now);
    it.pass(30_100, 100);
    assert_eq!(it.hall.claim(ticket, conn(4), it.now), Err(Unclaimed::Expired));
    let stats = &it.hall.stats;
    assert_eq!((stats.joined, stats.returned, stats.lost, stats.left_lost, stats.players), (1, 2, 2, 1, 0));
}

#[test]
fn whom_a_room_rejects_has_no_seat_and_the_seat_is_free() {
    let mut it = fixture(config());
    it.open(1, 0);
    let ticket = it.expect(1, 0, "bad");
    assert_eq!(it.hall.claim(ticket, conn(1), it.now), Err(Unclaimed::Rejected(Reject("not you".into()))));
    assert_eq!(it.hall.notices.len(), 1);
    it.join(1, 0, 2);
    assert_eq!((it.hall.stats.rejected, it.hall.stats.players), (1, 1));
}

#[test]
fn one_message_a_tick_with_all_there_is() {
    let mut it = fixture(config());
    it.open(1, 0);
    let (one, _) = (it.join(1, 0, 1), it.join(1, 4, 2));
    for _ in 0..5 {
        it.say(one, 1, b"hello").unwrap();
    }
    assert!(it.heard(1).is_empty(), "nothing leaves before the tick");
    it.pass(100, 100);
    for number in [1, 2] {
        let heard = it.heard(number);
        assert_eq!(heard.iter().map(|message| pieces(message)).collect::<Vec<_>>(), ["MMMMMS"]);
    }
    it.pass(300, 100);
    assert_eq!(it.heard(1).iter().map(|message| pieces(message)).collect::<Vec<_>>(), ["S", "S", "S"]);
    assert_eq!(it.hall.stats.messages_out, 8);
}

#[test]
fn a_player_who_does_not_read_is_sent_nothing_and_the_others_everything() {
    let mut it = fixture(config().reliable_max(10_000));
    it.open(1, 0);
    let (one, two) = (it.join(1, 0, 1), it.join(1, 1, 2));
    it.wires.waiting.insert(conn(1), 1);
    for _ in 0..40 {
        it.say(two, 2, &[7; 100]).unwrap();
        it.hall
            .received(
                two,
                conn(2),
                &Saying::new().confirm(it.hall.stage(RoomId(1)).unwrap().now()).into_bytes(),
                it.now,
            )
            .unwrap();
        it.pass(100, 100);
    }
    assert!(it.heard(1).is_empty());
    let heard = it.heard(2);
    assert_eq!(heard.len(), 40);
    assert!(heard.iter().all(|message| pieces(message) == "MS"));
    assert_eq!(it.hall.stats.snapshots_stale, 40);
    // It reads again, in time: everything that must come does, in order, and one snapshot.
    it.wires.waiting.clear();
    it.pass(100, 100);
    let heard = it.heard(1);
    assert_eq!(heard.iter().map(|message| pieces(message)).collect::<Vec<_>>(), ["M".repeat(40) + "S"]);
    // And when it does not, it is given up before more than the bound waits for it.
    it.wires.waiting.insert(conn(1), 1);
    for _ in 0..120 {
        it.say(two, 2, &[7; 100]).unwrap();
        it.pass(100, 100);
    }
    assert_eq!(it.wires.ended, [(conn(1), Leave::Slow, "too slow".into())]);
    assert!(!it.hall.stage(RoomId(1)).unwrap().is_taken(one.seat));
    assert!(it.hall.stage(RoomId(1)).unwrap().is_taken(two.seat));
    assert_eq!((it.hall.stats.left_slow, it.hall.stats.players), (1, 1));
}

#[test]
fn who_confirms_nothing_is_sent_a_snapshot_a_second() {
    let mut it = fixture(config());
    it.open(1, 0);
    let ticket = it.join(1, 0, 1);
    it.pass(10_000, 100);
    let count = it.heard(1).iter().filter(|message| pieces(message) == "S").count();
    assert!((18..=20).contains(&count), "{count}: ten in the first second, and one in each other");
    let now = it.hall.stage(RoomId(1)).unwrap().now();
    it.hall.received(ticket, conn(1), &Saying::new().confirm(now).into_bytes(), it.now).unwrap();
    it.pass(500, 100);
    assert_eq!(it.heard(1).len(), 5);
}

#[test]
fn a_seat_is_sent_no_more_than_its_rate() {
    let mut it = fixture(config().seat_output(Rate::new(1_000, 2_000)));
    it.open(1, 0);
    let (_, two) = (it.join(1, 0, 1), it.join(1, 1, 2));
    for _ in 0..100 {
        it.say(two, 2, &[1; 90]).unwrap();
        it.pass(100, 100);
    }
    let bytes: usize = it.heard(1).iter().map(Vec::len).sum();
    assert!((9_000..=12_500).contains(&bytes), "{bytes}: a thousand a second, and the burst");
    let mut all = 0;
    for _ in 0..20 {
        it.pass(1_000, 100);
        all += it.heard(1).iter().map(|message| pieces(message).matches('M').count()).sum::<usize>();
    }
    assert!(all < 100, "the others came before");
}

#[test]
fn a_flood_is_dropped_and_then_ends_the_seat() {
    let mut it = fixture(config().seat_messages(Rate::new(10, 20)).seat_dropped_max(50));
    it.open(1, 0);
    let (one, two) = (it.join(1, 0, 1), it.join(1, 1, 2));
    let outcomes: Vec<_> = (0..71).map(|_| it.say(one, 1, b"x")).collect();
    assert!(outcomes[..70].iter().all(Result::is_ok));
    assert_eq!(outcomes[70], Err(Leave::Abuse));
    assert_eq!(it.say(two, 2, b"x"), Ok(()));
    assert_eq!(it.hall.stats.messages_dropped, 51);
    assert_eq!(it.hall.received(two, conn(2), &[77, 0], it.now), Err(Leave::Abuse), "what is no message");
    assert_eq!(
        it.hall.received(two, conn(2), &Saying::new().farewell().into_bytes(), it.now),
        Err(Leave::Left)
    );
}

#[test]
fn many_messages_in_one_are_as_many() {
    let mut it = fixture(config().seat_messages(Rate::new(10, 20)).seat_dropped_max(50));
    it.open(1, 0);
    let one = it.join(1, 0, 1);
    let of = |count: usize| {
        let saying = (0..count).fold(Saying::new(), |saying, _| saying.message(Channel::Reliable, b"x"));
        saying.into_bytes()
    };
    let heard_by_room = |it: &Fixture| it.hall.stage(RoomId(1)).unwrap().counts().messages;
    assert_eq!(it.hall.received(one, conn(1), &of(10_000), it.now), Ok(()));
    assert_eq!(
        (heard_by_room(&it), it.hall.stats.messages_dropped),
        (0, 1),
        "more than there may be at once"
    );
    for _ in 0..4 {
        assert_eq!(it.hall.received(one, conn(1), &of(8), it.now), Ok(()));
    }
    assert_eq!((heard_by_room(&it), it.hall.stats.messages_dropped), (16, 3));
    it.pass(1_000, 100);
    assert_eq!(it.hall.received(one, conn(1), &of(14), it.now), Ok(()));
    assert_eq!(heard_by_room(&it), 30);
}

#[test]
fn the_room_decides_who_goes_and_when_it_is_over() {
    let mut it = fixture(config());
    it.open(1, 0);
    let (one, two) = (it.join(1, 0, 1), it.join(1, 1, 2));
    it.say(one, 1, b"lock").unwrap();
    it.say(one, 1, b"kick").unwrap();
    it.pass(100, 100);
    assert_eq!(it.wires.ended, [(conn(1), Leave::Kicked, "go".into())]);
    assert!(it.hall.notices.contains(&Notice::Locked { room: RoomId(1), locked: true }));
    it.say(two, 2, b"last words").unwrap();
    it.say(two, 2, b"end").unwrap();
    assert!(!it.hall.expect(Ticket { serial: 99, ..one }, Guest::default(), it.now), "nobody comes any more");
    it.wires.ended.clear();
    it.heard(2);
    it.pass(100, 100);
    assert_eq!(it.heard(2).iter().map(|message| pieces(message)).collect::<Vec<_>>().concat(), "MSE");
    assert_eq!(it.wires.ended, [(conn(2), Leave::Closed, "the room is over".into())]);
    assert_eq!(it.hall.notices.last(), Some(&Notice::Closed { room: RoomId(1) }));
    assert_eq!(it.hall.claim(two, conn(3), it.now), Err(Unclaimed::NoRoom));
    assert_eq!((it.hall.stats.rooms, it.hall.next()), (0, None));
}

#[test]
fn rooms_close_in_the_same_order_in_every_run() {
    let close = || {
        let mut it = fixture(config());
        for room in [3, 1, 8, 5, 2, 7, 4, 6] {
            it.open(room, 0);
        }
        it.hall.stop(it.now, &mut it.wires);
        assert_eq!((it.hall.stats.rooms, it.hall.next()), (0, None));
        it.hall.notices
    };
    let closed = close();
    for room in 1..=8 {
        assert!(closed.contains(&Notice::Closed { room: RoomId(room) }), "{room}");
    }
    assert_eq!(closed.len(), 8);
    for _ in 0..20 {
        assert_eq!(close(), closed);
    }
}

#[test]
fn a_room_without_anybody_closes_after_a_while() {
    let mut it = fixture(config());
    it.open(1, 0);
    it.pass(9_000, 100);
    let ticket = it.join(1, 0, 1);
    it.pass(60_000, 100);
    assert_eq!(it.hall.stats.rooms, 1);
    it.hall.leave(ticket, conn(1), Leave::Left);
    it.pass(9_900, 100);
    assert_eq!(it.hall.stats.rooms, 1);
    it.pass(300, 100);
    assert_eq!(it.hall.stats.rooms, 0);
}

#[test]
fn what_is_recorded_of_a_room_is_played_again() {
    let pieces = Rc::new(RefCell::new(Vec::new()));
    thread_local! {
        static PIECES: RefCell<Vec<crate::RecordPiece>> = const { RefCell::new(Vec::new()) };
    }
    let sink = RecordSink::new(|piece| {
        PIECES.with_borrow_mut(|pieces| pieces.push(piece));
        true
    });
    let mut it =
        fixture(config().record(Some(sink)).seat_messages(Rate::new(0, 0)).seat_input(Rate::new(0, 0)));
    it.open(1, 0);
    let ticket = it.join(1, 0, 1);
    for n in 0..400 {
        it.say(ticket, 1, &[n as u8; 100]).unwrap();
        let inputs = Saying::new().inputs(n, [&b"one"[..], b"two"]).into_bytes();
        it.hall.received(ticket, conn(1), &inputs, it.now).unwrap();
        it.pass(100, 100);
    }
    it.hall.stop(it.now, &mut it.wires);
    PIECES.with_borrow(|taken| {
        pieces.borrow_mut().extend(taken.iter().map(|it| (it.first, it.last, it.bytes.clone())))
    });
    let pieces = pieces.take();
    assert!(pieces.len() > 2);
    let (first, last) = (pieces.iter().filter(|it| it.0).count(), pieces.iter().filter(|it| it.1).count());
    assert!(pieces[0].0 && pieces[pieces.len() - 1].1 && (first, last) == (1, 1));
    let record: Vec<u8> = pieces.into_iter().flat_map(|it| it.2).collect();
    let make = |name: &str, _: &[u8]| (name == "quick").then(|| kind("quick", 10, 0).make(b""));
    let replayed = crate::replay(&record, make).unwrap();
    assert_eq!((replayed.hash, replayed.whole, replayed.inputs), (400, true, 400));
}

#[test]
fn a_sink_that_does_not_keep_up_ends_the_record_and_nothing_else() {
    let mut it = fixture(config().record(Some(RecordSink::new(|_| false))));
    it.open(1, 0);
    let ticket = it.join(1, 0, 1);
    for _ in 0..300 {
        it.say(ticket, 1, &[1; 100]).unwrap();
        it.pass(100, 100);
    }
    assert_eq!(it.hall.stats.records_lost, 1);
    assert_eq!(it.hall.stage(RoomId(1)).unwrap().counts().ticks, 300);
}

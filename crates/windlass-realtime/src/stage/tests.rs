//! A room is told what happens, in order, and what it sends waits for the tick.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::record::{ReplayError, replay};
use crate::snapshot::{Frame, Schema};
use crate::wire::{Told, told};
use crate::{Field, Hasher, SnapshotReader};

/// Writes down what it is told, and does what messages ask for.
#[derive(Default)]
struct Diary {
    lines: Rc<RefCell<Vec<String>>>,
    state: Hasher,
}

impl Diary {
    fn note(&mut self, line: String) {
        self.state.add_bytes(line.as_bytes());
        self.lines.borrow_mut().push(line);
    }
}

impl Room for Diary {
    fn open(&mut self, play: &mut Play<'_>) {
        self.note(format!("open {}", play.random()));
    }
    fn join(&mut self, _: &mut Play<'_>, seat: Seat, guest: &Guest) -> Result<(), Reject> {
        self.note(format!("join {} {}", seat.0, guest.name));
        if guest.name == "bad" { Err(Reject("no".into())) } else { Ok(()) }
    }
    fn input(&mut self, play: &mut Play<'_>, seat: Seat, client_tick: u32, input: &[u8]) {
        self.note(format!("input {} {client_tick} {input:?} in {}", seat.0, play.tick()));
    }
    fn message(&mut self, play: &mut Play<'_>, seat: Seat, channel: Channel, message: &[u8]) {
        self.note(format!("message {} {channel:?} {message:?}", seat.0));
        match message {
            b"all" => play.send_all(channel, b"to all"),
            b"others" => play.send_all_but(seat, channel, b"to others"),
            b"me" => play.send(seat, channel, b"to you"),
            b"kick 1" => play.kick(Seat(1), "out\nwith you"),
            b"timers" => {
                play.after(2, 20);
                play.after(1, 10);
                play.after(2, 21);
                play.after(0, 11);
                play.after(2, 99);
                play.cancel(99);
            }
            b"end" => play.end(),
            _ => {}
        }
    }
    fn tick(&mut self, play: &mut Play<'_>, n: u64) {
        let random = play.below(1_000);
        self.note(format!("tick {n} {random}"));
    }
    fn timer(&mut self, _: &mut Play<'_>, tag: u64) {
        self.note(format!("timer {tag}"));
    }
    fn away(&mut self, _: &mut Play<'_>, seat: Seat) {
        self.note(format!("away {}", seat.0));
    }
    fn back(&mut self, _: &mut Play<'_>, seat: Seat) {
        self.note(format!("back {}", seat.0));
    }
    fn leave(&mut self, _: &mut Play<'_>, seat: Seat, why: Leave) {
        self.note(format!("leave {} {why}", seat.0));
    }
    fn close(&mut self, _: &mut Play<'_>) {
        self.note("close".into());
    }
    fn hash(&self) -> u64 {
        self.state.finish()
    }
}

fn spec() -> StageSpec {
    StageSpec { seed: 9, hz: 60, players_max: 3, spectators_max: 1 }
}

fn diary(bounds: Bounds, record: bool) -> (Stage, Rc<RefCell<Vec<String>>>) {
    let lines = Rc::default();
    let room = Diary { lines: Rc::clone(&lines), state: Hasher::new() };
    let recorder = record.then(|| Recorder::new("diary", b"", &spec()));
    (Stage::with(Box::new(room), spec(), bounds, recorder), lines)
}

const ROOMY: Bounds = Bounds { reliable_max: 10_000, fleeting_max: 10_000 };

fn guest(name: &str) -> Guest {
    Guest::named(name)
}

/// What a seat is sent: channels and texts.
fn sent(stage: &mut Stage, seat: u16) -> Vec<(Channel, String)> {
    let mut out = vec![0; 5];
    stage.pack(Seat(seat), 10_000, Free::ALL, false, &mut out);
    let (_, pieces) = told(&out).unwrap();
    let of = |piece| match piece {
        Ok(Told::Message(channel, bytes)) => Some((channel, String::from_utf8_lossy(bytes).into_owned())),
        _ => None,
    };
    pieces.filter_map(of).collect()
}

fn told_since(lines: &RefCell<Vec<String>>) -> Vec<String> {
    std::mem::take(&mut *lines.borrow_mut())
}

#[test]
fn whom_a_message_reaches() {
    let (mut stage, _) = diary(ROOMY, false);
    for seat in [0, 1, 3] {
        stage.join(Seat(seat), &guest("x")).unwrap();
    }
    for channel in [Channel::Reliable, Channel::Unreliable, Channel::Sequenced] {
        for (message, reached) in [("all", [1, 1, 0, 1]), ("others", [0, 1, 0, 1]), ("me", [1, 0, 0, 0])] {
            stage.message(Seat(0), channel, message.as_bytes());
            for (seat, count) in reached.into_iter().enumerate() {
                let sent = sent(&mut stage, seat as u16);
                assert_eq!(sent.len(), count, "{message} {channel:?} to {seat}");
                assert!(sent.iter().all(|(its, _)| *its == channel));
            }
        }
    }
}

#[test]
fn timers_come_in_their_ticks_in_the_order_they_were_set() {
    let (mut stage, lines) = diary(ROOMY, false);
    stage.join(Seat(0), &guest("x")).unwrap();
    stage.message(Seat(0), Channel::Reliable, b"timers");
    told_since(&lines);
    stage.tick(1);
    stage.tick(2);
    let told: Vec<_> = told_since(&lines)
        .into_iter()
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(told, ["timer 10", "timer 11", "tick 1", "timer 20", "timer 21", "tick 2"]);
}

#[test]
fn inputs_wait_for_their_tick_one_at_a_time_and_once_each() {
    let (mut stage, lines) = diary(ROOMY, false);
    stage.join(Seat(1), &guest("x")).unwrap();
    stage.join(Seat(0), &guest("y")).unwrap();
    told_since(&lines);
    assert!(stage.input(Seat(1), 7, b"a"));
    assert!(stage.input(Seat(1), 8, b"b"));
    assert!(!stage.input(Seat(1), 7, b"a"), "it came before");
    assert!(stage.input(Seat(0), u32::MAX, b"c"));
    assert!(stage.input(Seat(0), 0, b"d"), "numbers wrap around");
    assert!(!stage.input(Seat(3), 1, b"a"), "a spectator");
    assert!(!stage.input(Seat(2), 1, b"a"), "nobody");
    stage.tick(1);
    stage.tick(2);
    stage.tick(3);
    let inputs: Vec<_> = told_since(&lines).into_iter().filter(|line| line.starts_with("input")).collect();
    let expected = [
        "input 0 4294967295 [99] in 0",
        "input 1 7 [97] in 0",
        "input 0 0 [100] in 1",
        "input 1 8 [98] in 1",
    ];
    assert_eq!(inputs, expected);
    assert_eq!(stage.input_done(Seat(1)), Some(8));
}

#[test]
fn a_flood_of_inputs_is_bounded_and_caught_up_with() {
    let (mut stage, lines) = diary(ROOMY, false);
    stage.join(Seat(0), &guest("x")).unwrap();
    for tick in 0..1_000 {
        stage.input(Seat(0), tick, &[0; 100]);
    }
    assert_eq!(stage.counts().inputs_dropped, 1_000 - 16);
    told_since(&lines);
    (1..=12).for_each(|n| stage.tick(n));
    let inputs = told_since(&lines).into_iter().filter(|line| line.starts_with("input")).count();
    assert_eq!(inputs, 12, "nobody gets ahead of the ticks");
    // Who was held up and comes with all of it at once catches up.
    (13..=22).for_each(|n| stage.tick(n));
    let held_up = told_since(&lines).into_iter().filter(|line| line.starts_with("input")).count();
    assert_eq!(held_up, 4);
    for tick in 2_000..2_010 {
        assert!(stage.input(Seat(0), tick, b"x"));
    }
    (23..=26).for_each(|n| stage.tick(n));
    let inputs = told_since(&lines).into_iter().filter(|line| line.starts_with("input")).count();
    assert_eq!(inputs, 8, "two with a tick while many wait");
}

#[test]
fn seats_are_taken_kept_given_up_and_taken_again() {
    let (mut stage, lines) = diary(ROOMY, false);
    told_since(&lines);
    assert_eq!(stage.join(Seat(0), &guest("bad")), Err(Reject("no".into())));
    assert!(!stage.is_taken(Seat(0)));
    stage.join(Seat(0), &guest("good")).unwrap();
    assert!(stage.join(Seat(0), &guest("other")).is_err());
    assert!(stage.join(Seat(9), &guest("nowhere")).is_err());
    stage.away(Seat(0));
    stage.away(Seat(0));
    assert!(stage.is_taken(Seat(0)) && !stage.is_here(Seat(0)));
    stage.back(Seat(0));
    stage.back(Seat(0));
    stage.leave(Seat(0), Leave::Left);
    stage.leave(Seat(0), Leave::Left);
    stage.join(Seat(3), &guest("spectator")).unwrap();
    stage.away(Seat(3));
    stage.back(Seat(3));
    stage.leave(Seat(3), Leave::Lost);
    assert_eq!(told_since(&lines), ["join 0 bad", "join 0 good", "away 0", "back 0", "leave 0 left"]);
}

#[test]
fn what_must_come_waits_for_those_who_are_away_and_the_rest_does_not() {
    let (mut stage, _) = diary(ROOMY, false);
    stage.join(Seat(0), &guest("x")).unwrap();
    stage.join(Seat(1), &guest("y")).unwrap();
    stage.away(Seat(1));
    for channel in [Channel::Reliable, Channel::Unreliable, Channel::Sequenced] {
        stage.message(Seat(0), channel, b"all");
    }
    assert_eq!(sent(&mut stage, 1), []);
    stage.back(Seat(1));
    assert_eq!(sent(&mut stage, 1), [(Channel::Reliable, "to all".into())]);
}

#[test]
fn who_is_kicked_or_does_not_read_is_named_once() {
    let (mut stage, _) = diary(Bounds { reliable_max: 20, fleeting_max: 20 }, false);
    stage.join(Seat(0), &guest("x")).unwrap();
    stage.join(Seat(1), &guest("y")).unwrap();
    stage.message(Seat(0), Channel::Reliable, b"kick 1");
    stage.message(Seat(0), Channel::Reliable, b"kick 1");
    assert_eq!(stage.take_doomed(), Some((Seat(1), Leave::Kicked, "out".into())));
    assert_eq!(stage.take_doomed(), None);
    for _ in 0..3 {
        stage.message(Seat(0), Channel::Reliable, b"me");
    }
    assert_eq!(stage.take_doomed(), Some((Seat(0), Leave::Slow, "too slow".into())));
}

#[test]
fn the_end_is_told_everybody_once() {
    let (mut stage, lines) = diary(ROOMY, false);
    stage.join(Seat(0), &guest("x")).unwrap();
    stage.message(Seat(0), Channel::Reliable, b"end");
    assert!(stage.is_over());
    told_since(&lines);
    stage.tick(1);
    stage.close();
    assert_eq!(told_since(&lines), ["leave 0 closed", "close"]);
}

/// A match of everything that can happen, drawn from a seed.
fn match_of(seed: u64) -> (Vec<u8>, u64) {
    let (mut stage, _) = diary(ROOMY, true);
    let mut random = Random::new(seed);
    let mut n = 0;
    for _ in 0..3_000 {
        let seat = Seat(random.below(4) as u16);
        match random.below(12) {
            0 => drop(stage.join(seat, &guest(["ann", "bad", "", "\u{1F600}"][random.below(4) as usize]))),
            1 => stage.away(seat),
            2 => stage.back(seat),
            3 => stage.leave(seat, Leave::ALL[random.below(6) as usize]),
            4 => {
                let message = [&b"all"[..], b"others", b"timers", b"kick 1", b""][random.below(5) as usize];
                stage.message(seat, Channel::Unreliable, message);
            }
            5..8 => drop(stage.input(seat, random.next_u64() as u32, &[random.next_u64() as u8; 3])),
            _ => {
                n += 1 + random.below(2) * random.below(3);
                stage.tick(n);
            }
        }
    }
    let hash = stage.close();
    (stage.recorder().unwrap().take(), hash)
}

fn make(kind: &str, _: &[u8]) -> Option<Box<dyn Room>> {
    (kind == "diary").then(|| Box::new(Diary::default()) as Box<dyn Room>)
}

#[test]
fn a_recorded_match_comes_to_the_same_hash() {
    for seed in 0..30 {
        let (record, hash) = match_of(seed);
        let replayed = replay(&record, make).unwrap();
        assert_eq!((replayed.hash, replayed.whole), (hash, true), "seed {seed}");
        assert!(replayed.hashes > 5 && replayed.joins > 5 && replayed.inputs > 50, "{replayed:?}");
    }
}

#[test]
fn a_record_cut_off_anywhere_is_good_up_to_there() {
    let (record, _) = match_of(1);
    let header = record.len() - 2_000.min(record.len());
    for cut in (header..record.len()).step_by(7) {
        let replayed = replay(&record[..cut], make).unwrap();
        assert!(!replayed.whole);
    }
    for cut in 0..20 {
        assert_eq!(replay(&record[..cut], make), Err(ReplayError::NoRecord));
    }
}

#[test]
fn a_record_with_a_byte_changed_is_told_or_differs_and_never_panics() {
    let (record, hash) = match_of(2);
    let mut random = Random::new(4);
    let mut same = 0;
    for _ in 0..300 {
        let mut other = record.clone();
        let at = random.below(other.len() as u64) as usize;
        other[at] ^= 1 << random.below(8);
        same += u32::from(replay(&other, make).is_ok_and(|replayed| replayed.hash == hash && replayed.whole));
    }
    assert!(same < 30, "{same} changes were not seen: those of what the room does not look at");
    let mut other = record.clone();
    other[8] = 2;
    assert_eq!(replay(&other, make), Err(ReplayError::Version(2)));
    assert_eq!(replay(&record, |_, _| None), Err(ReplayError::Kind("diary".into())));
}

#[test]
fn a_room_that_is_not_decided_by_its_seed_is_found_out() {
    let (record, _) = match_of(3);
    let other = |_: &str, _: &[u8]| {
        let mut diary = Diary::default();
        diary.note("something else".into());
        Some(Box::new(diary) as Box<dyn Room>)
    };
    assert!(matches!(replay(&record, other), Err(ReplayError::Differs { .. })));
}

/// Entities on a line, each a step further with every tick.
struct Walkers;

impl Room for Walkers {
    fn schema(&self) -> Option<Schema> {
        Some(Schema::new([Field::new(0, 1, 16)]))
    }
    fn frame(&self, frame: &mut Frame) {
        let tick = frame.tick() as i32;
        (0..4).for_each(|id| frame.put(id, (i32::from(id) * 100, 0), &[tick + i32::from(id)]));
    }
    fn eye(&self, seat: Seat) -> Eye {
        match seat.0 {
            0 => Eye::All,
            1 => Eye::Near { x: 0, y: 0, radius: 150 },
            _ => Eye::Shut,
        }
    }
}

fn snapshot(stage: &mut Stage, seat: u16, allowed: usize, congested: bool) -> (Option<Vec<u8>>, Packed) {
    let mut out = vec![0; 5];
    let packed = stage.pack(Seat(seat), allowed, Free { congested, ..Free::ALL }, false, &mut out);
    let (_, mut pieces) = told(&out).unwrap();
    let body = pieces
        .find_map(|piece| if let Ok(Told::Snapshot(body)) = piece { Some(body.to_vec()) } else { None });
    (body, packed)
}

#[test]
fn each_seat_sees_what_its_eye_does_and_spectators_all() {
    let mut stage = Stage::new(Box::new(Walkers), spec());
    (0..4).for_each(|seat| stage.join(Seat(seat), &guest("")).unwrap());
    let mut readers: Vec<_> = (0..4).map(|_| SnapshotReader::new(Walkers.schema().unwrap())).collect();
    let mut lengths = [0; 4];
    for n in 1..50 {
        stage.tick(n);
        for (seat, reader) in readers.iter_mut().enumerate() {
            let (body, _) = snapshot(&mut stage, seat as u16, 1_000, false);
            let Some(body) = body else { continue };
            lengths[seat] = body.len();
            let view = reader.read(n, &body).unwrap();
            assert_eq!(view.ids().len(), [4, 2, 0, 4][seat]);
            assert_eq!(view.field(1, 0), Some(n as i32 + 1));
            stage.confirm(Seat(seat as u16), n as u16);
        }
    }
    assert_eq!(lengths, [7, 4, 0, 7], "differences, once a baseline is confirmed");
    let counts = stage.counts();
    assert_eq!((counts.snapshots, counts.snapshots_whole), (49 * 3, 3));
}

#[test]
fn a_seat_that_does_not_read_gets_no_snapshot_and_the_next_one_is_the_newest() {
    let mut stage = Stage::new(Box::new(Walkers), spec());
    stage.join(Seat(0), &guest("")).unwrap();
    stage.tick(1);
    assert!(snapshot(&mut stage, 0, 1_000, false).0.is_some());
    stage.confirm(Seat(0), 1);
    for n in 2..=9 {
        stage.tick(n);
        assert_eq!(snapshot(&mut stage, 0, 1_000, true), (None, Packed { stale: true }));
        assert_eq!(snapshot(&mut stage, 0, 0, false), (None, Packed { stale: true }));
    }
    let body = snapshot(&mut stage, 0, 1_000, false).0.unwrap();
    assert_eq!(body[0], 8, "it stands on the first");
    // What it has is lost with its connection.
    stage.away(Seat(0));
    stage.back(Seat(0));
    assert_eq!(snapshot(&mut stage, 0, 1_000, false).0.unwrap()[0], 0);
}

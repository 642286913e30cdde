//! Any messages from seats to a room, and from a room to clients: `cargo +nightly fuzz run room`. The input is a script: seats
//! that come, go and come back, ticks, honest inputs, whole messages of any bytes, and messages of the room's with a fault in
//! them. Nothing may panic or be held without bound, and a client whose messages all arrive sees what there is.
#![no_main]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use windlass_realtime::wire::{Saying, Told, told};
use windlass_realtime::{
    Channel, Eye, Field, Frame, Guest, Leave, Play, Room, Schema, Seat, SnapshotReader, Stage, StageSpec,
};

/// What stands on the board: two fields for each name.
type Board = Rc<RefCell<BTreeMap<u16, [i32; 2]>>>;

/// Whoever has a seat may put anything anywhere.
struct Table(Board);

impl Table {
    fn schema() -> Schema {
        Schema::new([Field::new(-100, 1, 9).small(3), Field::new(0, 7, 5).small(2)]).cell(50)
    }
}

impl Room for Table {
    fn input(&mut self, play: &mut Play<'_>, seat: Seat, _: u32, input: &[u8]) {
        for four in input.chunks_exact(4) {
            let (id, x, y) = (u16::from(four[0] % 64), i32::from(four[1]), i32::from(four[2] & 31));
            let mut board = self.0.borrow_mut();
            match four[3] % 4 {
                0 => drop(board.remove(&id)),
                _ => drop(board.insert(id, [x - 100, y * 7])),
            }
        }
        play.send_all_but(seat, Channel::Unreliable, input);
    }
    fn message(&mut self, play: &mut Play<'_>, seat: Seat, channel: Channel, message: &[u8]) {
        match message.first().map(|first| first % 8) {
            Some(0) => play.kick(seat, "out"),
            Some(1) => drop(play.after(u64::from(message[0]), 7)),
            Some(2) => play.cancel(7),
            Some(3) => play.lock(true),
            _ => play.send_all(channel, message),
        }
    }
    fn timer(&mut self, play: &mut Play<'_>, tag: u64) {
        play.send_all(Channel::Reliable, &tag.to_le_bytes());
    }
    fn schema(&self) -> Option<Schema> {
        Some(Table::schema())
    }
    fn frame(&self, frame: &mut Frame) {
        for (id, values) in &*self.0.borrow() {
            frame.put(*id, (values[0], values[1]), values);
        }
    }
    fn eye(&self, seat: Seat) -> Eye {
        match seat.0 {
            0 => Eye::All,
            1 => Eye::Near { x: 0, y: 100, radius: 60 },
            _ => Eye::Shut,
        }
    }
}

const SEATS: u16 = 5;

fuzz_target!(|script: &[u8]| {
    let board = Board::default();
    let spec = StageSpec { seed: 1, hz: 30, players_max: 4, spectators_max: 1 };
    let mut stage = Stage::new(Box::new(Table(board.clone())), spec);
    // What honest clients have, from when they come until their connection ends.
    let mut readers: Vec<_> = (0..SEATS).map(|_| SnapshotReader::new(Table::schema())).collect();
    // One that is told whatever is made up.
    let mut credulous = SnapshotReader::new(Table::schema());
    let (mut rest, mut n, mut newest) = (script, 0u64, 0u32);
    while let Some((&[step, low, high], behind)) = rest.split_first_chunk::<3>() {
        rest = behind;
        let (seat, number) = (Seat(u16::from(step >> 5) % SEATS), u16::from_le_bytes([low, high]));
        let len = usize::from(number & 0xff).min(rest.len());
        let fresh = |readers: &mut Vec<SnapshotReader>| {
            readers[usize::from(seat.0)] = SnapshotReader::new(Table::schema());
        };
        match step & 15 {
            0 => {
                if stage.join(seat, &Guest::named("x")).is_ok() {
                    fresh(&mut readers);
                }
            }
            1 => stage.away(seat),
            2 => {
                fresh(&mut readers);
                stage.away(seat);
                stage.back(seat);
            }
            3 => {
                stage.leave(seat, Leave::Left);
                fresh(&mut readers);
            }
            4 | 5 => {
                let (bytes, behind) = rest.split_at(len);
                rest = behind;
                // A farewell is for whoever holds the connection; confirmations of what never came do harm to nobody else.
                let _ = stage.received(seat, bytes);
                fresh(&mut readers);
                stage.away(seat);
                stage.back(seat);
            }
            6 | 7 => {
                let (bytes, behind) = rest.split_at(len);
                rest = behind;
                newest = newest.wrapping_add(1 + u32::from(step & 16) * u32::from(number));
                let inputs = bytes.chunks(8).take(8);
                if inputs.len() > 0 {
                    let received = stage.received(seat, &Saying::new().inputs(newest, inputs).into_bytes());
                    assert!(received.is_ok_and(|it| !it.farewell && !it.confirmed));
                }
            }
            8 => {
                let (bytes, behind) = rest.split_at(len);
                rest = behind;
                let channel = [Channel::Reliable, Channel::Unreliable, Channel::Sequenced][len % 3];
                assert!(stage.received(seat, &Saying::new().message(channel, bytes).into_bytes()).is_ok());
            }
            9 => {
                let (bytes, behind) = rest.split_at(len);
                rest = behind;
                if let Ok((_, pieces)) = told(bytes) {
                    for piece in pieces.flatten() {
                        if let Told::Snapshot(body) = piece {
                            let _ = credulous.read(n, body);
                        }
                    }
                }
                let _ = credulous.read(n.saturating_add(number.into()), bytes);
            }
            10 => n = n.saturating_add(u64::from(number) << (step >> 4)),
            _ => n += 1,
        }
        let counts = stage.counts();
        stage.tick(n);
        assert!(stage.counts().ticks <= counts.ticks + 1);
        assert!(
            stage.counts().inputs <= counts.inputs + 2 * u64::from(SEATS),
            "two for a seat in a tick at most"
        );
        for seat in 0..SEATS {
            let mut message = stage.tell(Seat(seat));
            if message.is_empty() {
                continue;
            }
            let (head, pieces) = told(&message).expect("ours");
            assert_eq!(head.tick, stage.now() as u16);
            let mut seen = false;
            for piece in pieces {
                let Told::Snapshot(body) = piece.expect("ours") else { continue };
                seen = true;
                let view = readers[usize::from(seat)].read(stage.now(), body).expect("nothing was lost");
                if matches!(seat, 0 | 4) {
                    let board = board.borrow();
                    assert!(view.ids().iter().eq(board.keys()), "seat {seat} sees others than there are");
                    for (id, values) in &*board {
                        assert_eq!([0, 1].map(|field| view.field(*id, field)), values.map(Some));
                    }
                }
            }
            assert!(!seen || seat != 2);
            // Each second one is confirmed, so that baselines are of different ages.
            if seen && (u64::from(seat) + stage.now()) % 2 == 0 {
                stage.received(Seat(seat), &Saying::new().confirm(stage.now()).into_bytes()).expect("ours");
            }
            // The same with a fault.
            let at = usize::from(number) % message.len();
            message[at] ^= 1 << (step & 7);
            if let Ok((_, pieces)) = told(&message) {
                for piece in pieces.flatten() {
                    if let Told::Snapshot(body) = piece {
                        let _ = credulous.read(stage.now(), body);
                    }
                }
            }
        }
    }
});

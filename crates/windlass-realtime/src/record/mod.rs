//! The record of a room: everything that came in, so that the match can be played again.
//!
//! It begins with `WLRECORD`, the version (1), and what the room was made of: its kind and its options (each a length and
//! bytes), the seed (`u64`), the rate, the seats of players, those of spectators. Then what happened, in order: a tag and
//! numbers in LEB128. A record that ends without its last entry is of a room that was cut off; it is good up to there.

mod replay;

pub use replay::{ReplayError, Replayed, replay, replay_frames};

use crate::channel::Channel;
use crate::room::{Guest, Leave, Seat};
use crate::stage::StageSpec;
use crate::wire::{put_len, put_number};

const MAGIC: &[u8; 8] = b"WLRECORD";
const VERSION: u8 = 1;

const TICK: u8 = 1;
const JOIN: u8 = 2;
const INPUT: u8 = 3;
const MESSAGE: u8 = 4;
const AWAY: u8 = 5;
const BACK: u8 = 6;
const LEAVE: u8 = 7;
const HASH: u8 = 8;
const CLOSE: u8 = 9;
const STOP: u8 = 10;

/// Writes a record into memory, from where it is taken piece by piece.
#[derive(Debug)]
pub(crate) struct Recorder {
    out: Vec<u8>,
    tick: u64,
}

impl Recorder {
    pub(crate) fn new(kind: &str, options: &[u8], spec: &StageSpec) -> Recorder {
        let mut out = MAGIC.to_vec();
        out.push(VERSION);
        for part in [kind.as_bytes(), options] {
            put_len(&mut out, part.len());
            out.extend_from_slice(part);
        }
        out.extend_from_slice(&spec.seed.to_le_bytes());
        for number in [spec.hz, spec.players_max.into(), spec.spectators_max.into()] {
            put_number(&mut out, number.into());
        }
        Recorder { out, tick: 0 }
    }

    /// Bytes that wait to be taken.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    pub(crate) fn tick(&mut self, n: u64) {
        self.out.push(TICK);
        put_number(&mut self.out, n - self.tick);
        self.tick = n;
    }

    pub(crate) fn join(&mut self, seat: Seat, guest: &Guest) {
        self.of(JOIN, seat);
        self.bytes(guest.name.as_bytes());
        match &guest.subject {
            None => put_number(&mut self.out, 0),
            Some(subject) => {
                put_number(&mut self.out, 1);
                self.bytes(subject.as_bytes());
            }
        }
    }

    pub(crate) fn input(&mut self, seat: Seat, client_tick: u32, input: &[u8]) {
        self.of(INPUT, seat);
        put_number(&mut self.out, client_tick.into());
        self.bytes(input);
    }

    pub(crate) fn message(&mut self, seat: Seat, channel: Channel, message: &[u8]) {
        self.of(MESSAGE, seat);
        put_number(&mut self.out, channel.code().into());
        self.bytes(message);
    }

    pub(crate) fn away(&mut self, seat: Seat) {
        self.of(AWAY, seat);
    }

    pub(crate) fn back(&mut self, seat: Seat) {
        self.of(BACK, seat);
    }

    pub(crate) fn leave(&mut self, seat: Seat, why: Leave) {
        self.of(LEAVE, seat);
        put_number(&mut self.out, why.code().into());
    }

    pub(crate) fn stop(&mut self) {
        self.out.push(STOP);
        put_number(&mut self.out, 0);
    }

    pub(crate) fn hash(&mut self, hash: u64) {
        self.out.push(HASH);
        self.out.extend_from_slice(&hash.to_le_bytes());
    }

    pub(crate) fn close(&mut self, hash: u64) {
        self.out.push(CLOSE);
        self.out.extend_from_slice(&hash.to_le_bytes());
    }

    fn of(&mut self, tag: u8, seat: Seat) {
        self.out.push(tag);
        put_number(&mut self.out, seat.0.into());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        put_len(&mut self.out, bytes.len());
        self.out.extend_from_slice(bytes);
    }
}

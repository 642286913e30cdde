//! What somebody outside asks of a game: one of its rooms, the end of it, the end of a seat.
//!
//! A room is on one worker, and whoever asks does not know on which: a question goes from worker to worker by mailbox until
//! one has the room, and that one answers. What all rooms are like is in [`GameWatch`](crate::GameWatch), without a question.

use std::fmt;

use serde::Serialize;
use windlass::Mailbox;

use crate::ids::RoomId;
use crate::mail::{Inner, Mail};
use crate::room::Seat;

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Question {
    /// All about a room.
    Room(RoomId),
    /// The end of a room: everybody is told why, and leaves.
    End {
        /// Which.
        room: RoomId,
        /// What they are told: what is longer than 120 bytes is cut.
        why: String,
    },
    /// The end of a seat: whoever has it, or is to have it, is told why. It is free then, also for them.
    Kick {
        /// Of which room.
        room: RoomId,
        /// Which seat.
        seat: Seat,
        /// What they are told: what is longer than 120 bytes is cut.
        why: String,
    },
}

impl Question {
    pub(crate) fn room(&self) -> RoomId {
        match self {
            Question::Room(room) | Question::End { room, .. } | Question::Kick { room, .. } => *room,
        }
    }
}

/// What is answered, each to its question.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Told {
    /// The room, if it is there.
    Room(Option<Box<RoomDetail>>),
    /// Whether there was such a room, and it has ended.
    Ended(bool),
    /// Whether somebody had the seat.
    Kicked(bool),
}

/// All about a room. Durations are in seconds.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[non_exhaustive]
pub struct RoomDetail {
    /// What it is called.
    pub room: String,
    /// Of which kind it is.
    pub kind: String,
    /// Since when it is open.
    pub age_seconds: f64,
    /// Ticks a second.
    pub hz: u32,
    /// The number of its last tick.
    pub tick: u64,
    /// Ticks made.
    pub ticks: u64,
    /// Ticks skipped.
    pub skipped: u64,
    /// Ticks that took longer than their period.
    pub overruns: u64,
    /// The longest tick, with all that was sent behind it.
    pub longest_seconds: f64,
    /// How late its ticks were: below which half of them were, and 99 of 100, and the latest. The first two are rounded up to
    /// the end of a bucket of [`Lateness`](crate::Lateness).
    pub lateness_seconds: [f64; 3],
    /// Seats of players.
    pub players_max: u16,
    /// Seats of spectators.
    pub spectators_max: u16,
    /// It lets nobody in.
    pub locked: bool,
    /// The server stops, and it is to come to its end.
    pub stopping: bool,
    /// There is a record of it.
    pub recorded: bool,
    /// Inputs given to the room.
    pub inputs: u64,
    /// Inputs that were pushed out by newer ones.
    pub inputs_dropped: u64,
    /// Snapshots written.
    pub snapshots: u64,
    /// Those without a baseline among them.
    pub snapshots_whole: u64,
    /// Messages to seats that were lost, as they may be.
    pub messages_lost: u64,
    /// Bytes from players.
    pub bytes_in: u64,
    /// Bytes to players and spectators.
    pub bytes_out: u64,
    /// Those that are taken, in their order.
    pub seats: Vec<SeatEntry>,
}

/// A seat that is taken.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[non_exhaustive]
pub struct SeatEntry {
    /// Which one it is.
    pub seat: u16,
    /// It only sees.
    pub spectator: bool,
    /// Whether somebody is there.
    pub state: SeatState,
    /// What they want to be called.
    pub name: String,
    /// Who they are for certain, where the game asks for tokens.
    pub subject: Option<String>,
    /// Where they come from, while they are here.
    pub address: Option<String>,
    /// By which way, while they are here: `websocket` or `udp`.
    pub gateway: Option<&'static str>,
    /// For how long they have had it, or it has been kept for them.
    pub since_seconds: f64,
    /// For how long it is kept still, where nobody is there.
    pub until_seconds: Option<f64>,
    /// Bytes that were written to their connection and have not left.
    pub waiting: usize,
    /// Messages from them.
    pub messages_in: u64,
    /// Bytes of them.
    pub bytes_in: u64,
    /// Those of them that were dropped, since they were too many.
    pub messages_dropped: u64,
    /// Messages to them: one with a tick.
    pub messages_out: u64,
    /// Bytes of them.
    pub bytes_out: u64,
    /// Snapshots left out, since they did not keep up or may not be sent so much.
    pub snapshots_stale: u64,
}

/// Whether somebody is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SeatState {
    /// It is kept for somebody who has asked for it and has not come.
    Kept,
    /// They are here.
    Here,
    /// Their connection ended, and it is kept for them.
    Away,
}

/// Why a question was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AskError {
    /// A worker has too much mail, or the game is not there any more.
    Busy,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the game has too much mail, or is gone")
    }
}

impl std::error::Error for AskError {}

/// A question on its way through the workers of a game.
pub struct Ask {
    pub(crate) question: Question,
    /// The worker it was sent to last.
    worker: usize,
    answer: Box<dyn FnOnce(Told) + Send>,
}

/// The question only.
impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ask").field(&self.question).finish()
    }
}

impl Ask {
    /// Asks the game with this mailbox. `answer` is called on a thread of its workers; not at all if one of them stops first,
    /// or has too much mail by then.
    ///
    /// # Errors
    ///
    /// The first worker did not take the question, and `answer` is not called.
    pub fn send(
        mailbox: &Mailbox<Mail>,
        question: Question,
        answer: impl FnOnce(Told) + Send + 'static,
    ) -> Result<(), AskError> {
        let ask = Ask { question, worker: 0, answer: Box::new(answer) };
        mailbox.send(0, Mail(Inner::Outside(ask))).map_err(|_| AskError::Busy)
    }

    /// On to the next worker, since this one does not have the room; the last one answers that there is none.
    pub(crate) fn pass_on(mut self, mailbox: &Mailbox<Mail>) {
        self.worker += 1;
        if self.worker < mailbox.workers() {
            let _ = mailbox.send(self.worker, Mail(Inner::Outside(self)));
            return;
        }
        let told = match self.question {
            Question::Room(_) => Told::Room(None),
            Question::End { .. } => Told::Ended(false),
            Question::Kick { .. } => Told::Kicked(false),
        };
        (self.answer)(told);
    }

    pub(crate) fn answer(self, told: Told) {
        (self.answer)(told);
    }
}

//! What you write: a room, called by the worker it lives on.

use std::fmt;

use crate::channel::Channel;
use crate::play::Play;
use crate::snapshot::{Eye, Frame, Schema};

/// A place in a room: players from 0 on, spectators behind them. It is somebody's until they leave, whatever connections
/// they come with in between.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Seat(pub u16);

/// Who takes a seat.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Guest {
    /// What they want to be called: any text of at most 32 characters without controls, perhaps empty, not unique.
    pub name: String,
    /// Who they are for certain: the subject of their join token. `None` where the game asks for none.
    pub subject: Option<String>,
}

impl Guest {
    /// Somebody of this name. What is too long of it is cut off, and controls are left out.
    pub fn named(name: &str) -> Guest {
        let name = name.chars().filter(|c| !c.is_control()).take(Guest::NAME_MAX).collect::<String>();
        Guest { name: name.trim().to_owned(), subject: None }
    }

    /// Sets [`Guest::subject`].
    pub fn subject(mut self, subject: Option<String>) -> Guest {
        self.subject = subject;
        self
    }

    /// Characters of a name.
    pub const NAME_MAX: usize = 32;
}

/// Why somebody does not get the seat that was kept for them; they are told the text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reject(pub String);

/// Why a seat becomes free.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Leave {
    /// They said so.
    Left,
    /// Their connection ended and they did not come back in time.
    Lost,
    /// The room wants them gone ([`Play::kick`]).
    Kicked,
    /// They did not read what they were sent, and it came to more than is kept.
    Slow,
    /// They sent more than they may, or what is no message.
    Abuse,
    /// The room closes.
    Closed,
}

impl Leave {
    /// All there are.
    pub const ALL: [Leave; 6] =
        [Leave::Left, Leave::Lost, Leave::Kicked, Leave::Slow, Leave::Abuse, Leave::Closed];

    /// A short stable name, fit for a metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            Leave::Left => "left",
            Leave::Lost => "lost",
            Leave::Kicked => "kicked",
            Leave::Slow => "slow",
            Leave::Abuse => "abuse",
            Leave::Closed => "closed",
        }
    }

    pub(crate) fn code(self) -> u8 {
        Leave::ALL.iter().position(|&other| other == self).unwrap_or_default() as u8
    }
}

impl fmt::Display for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A room of an authoritative game: players send what they want to do, and the room decides what happens.
///
/// One value is one room. It lives on one worker from its opening to its close, so nothing in it is locked, and a worker
/// has many. The callbacks never nest and never block. What is sent in them leaves behind the next tick, everything for
/// one player in one message.
///
/// **A room is a function of its seed and of what comes in.** It has no clock but the number of the tick, and no chance
/// but [`Play::random`]; then a recorded match can be played again and comes to the same [`hash`](Room::hash). So a room
/// must not look at addresses, at the iteration order of a `HashMap`, or at anything else that differs from run to run.
///
/// ```
/// use windlass_realtime::{Channel, Guest, Play, Reject, Room, Seat};
///
/// /// Who presses first gets the point.
/// #[derive(Default)]
/// struct Buzzer(Vec<u32>);
///
/// impl Room for Buzzer {
///     fn join(&mut self, play: &mut Play<'_>, seat: Seat, guest: &Guest) -> Result<(), Reject> {
///         self.0.resize(self.0.len().max(usize::from(seat.0) + 1), 0);
///         play.send_all(Channel::Reliable, format!("{} is here", guest.name).as_bytes());
///         Ok(())
///     }
///     fn input(&mut self, play: &mut Play<'_>, seat: Seat, _: u32, _: &[u8]) {
///         self.0[usize::from(seat.0)] += 1;
///         play.send_all_but(seat, Channel::Reliable, b"too late");
///     }
/// }
/// ```
#[allow(unused_variables, reason = "the defaults do nothing with theirs")]
pub trait Room: 'static {
    /// It begins, before anything else.
    fn open(&mut self, play: &mut Play<'_>) {}

    /// A player takes the seat that was kept for them. Spectators are not announced: they only see.
    ///
    /// # Errors
    ///
    /// `Err` rejects them: the seat is free again, and `leave` is not called.
    fn join(&mut self, play: &mut Play<'_>, seat: Seat, guest: &Guest) -> Result<(), Reject> {
        Ok(())
    }

    /// What a player wants to do, and in which tick of their own counting. It is called in front of a tick, once for each
    /// seat mostly and in the order of seats, with what came since; inputs that were lost on the way are not made up for.
    /// [`Play::tick`] is the tick before still.
    fn input(&mut self, play: &mut Play<'_>, seat: Seat, client_tick: u32, input: &[u8]) {}

    /// A message of a player's, when it comes.
    fn message(&mut self, play: &mut Play<'_>, seat: Seat, channel: Channel, message: &[u8]) {}

    /// Tick `n`: the world moves on by one period. Numbers grow by one, except where ticks had to be skipped.
    fn tick(&mut self, play: &mut Play<'_>, n: u64) {}

    /// A timer set with [`Play::after`] has come, in front of the tick it was set for.
    fn timer(&mut self, play: &mut Play<'_>, tag: u64) {}

    /// A player's connection ended, and the seat is kept for a while.
    fn away(&mut self, play: &mut Play<'_>, seat: Seat) {}

    /// They are back.
    fn back(&mut self, play: &mut Play<'_>, seat: Seat) {}

    /// A player is gone, and the seat free. Called once for every `join` that returned `Ok`.
    fn leave(&mut self, play: &mut Play<'_>, seat: Seat, why: Leave) {}

    /// The server stops: say so, and finish. The default ends the room at once. One that goes on ticks for
    /// [`GameConfig::stop_timeout`](crate::GameConfig::stop_timeout) at most, lets nobody in any more, and ends when it
    /// [says so](Play::end), when nobody is in it, or then.
    fn stop(&mut self, play: &mut Play<'_>) {
        play.end();
    }

    /// The room closes, after everybody has left.
    fn close(&mut self, play: &mut Play<'_>) {}

    /// What its entities are, for a room that sends snapshots of itself. Asked once, before `open`.
    fn schema(&self) -> Option<Schema> {
        None
    }

    /// The entities as they are, asked after every tick of a room with a schema.
    fn frame(&self, frame: &mut Frame) {}

    /// What a seat sees of them.
    fn eye(&self, seat: Seat) -> Eye {
        Eye::All
    }

    /// A number that differs when the state of the room does: what a replay is checked by. [`Hasher`](crate::Hasher)
    /// makes one.
    fn hash(&self) -> u64 {
        0
    }
}

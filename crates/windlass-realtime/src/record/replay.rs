//! A recorded match, played again.

use std::fmt;

use super::{AWAY, BACK, CLOSE, HASH, INPUT, JOIN, LEAVE, MAGIC, MESSAGE, STOP, TICK, VERSION};
use crate::channel::Channel;
use crate::room::{Guest, Leave, Room, Seat};
use crate::snapshot::Frame;
use crate::stage::{Stage, StageSpec};
use crate::wire::{take_bytes, take_number};

/// What a replay came to.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Replayed {
    /// What kind of room it was.
    pub kind: String,
    /// What it was made with.
    pub spec: StageSpec,
    /// Ticks that were made.
    pub ticks: u64,
    /// The number of the last.
    pub last_tick: u64,
    /// Players that took a seat, each time.
    pub joins: u64,
    /// Inputs.
    pub inputs: u64,
    /// Hashes in the record, all of which were the same here.
    pub hashes: u64,
    /// The room's hash at the end.
    pub hash: u64,
    /// Whether the record goes on to the room's close.
    pub whole: bool,
}

/// Why a record cannot be replayed.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ReplayError {
    /// It does not begin as a record does.
    NoRecord,
    /// It is of a version that is not known here.
    Version(u8),
    /// There are no rooms of this kind.
    Kind(String),
    /// It says something that no record says, this many bytes behind its beginning.
    Garbled(usize),
    /// The room is not as it was, in this tick: it did something that a seed and inputs do not decide, or it is the room
    /// of another version.
    Differs {
        /// The tick.
        tick: u64,
        /// What the record says.
        recorded: u64,
        /// What it was now.
        replayed: u64,
    },
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::NoRecord => write!(f, "this is no record of a room"),
            ReplayError::Version(version) => {
                write!(f, "a record of version {version}, which is not known here")
            }
            ReplayError::Kind(kind) => {
                write!(f, "a record of a room of the kind {kind:?}, which is not known here")
            }
            ReplayError::Garbled(at) => write!(f, "the record is garbled at byte {at}"),
            ReplayError::Differs { tick, recorded, replayed } => {
                write!(f, "in tick {tick} the room is another: {replayed:016x} instead of {recorded:016x}")
            }
        }
    }
}

impl std::error::Error for ReplayError {}

/// Plays a record again. `make` makes a room of a kind with its options, as the server did.
///
/// # Errors
///
/// [`ReplayError`]. A record that ends in the middle of an entry, as one does of a server that was killed, is good up
/// to there.
pub fn replay(
    record: &[u8],
    make: impl FnOnce(&str, &[u8]) -> Option<Box<dyn Room>>,
) -> Result<Replayed, ReplayError> {
    replay_frames(record, make, |_| {})
}

/// The same, and `see` is lent the frame behind every tick, if the room has any: what players were shown of it, for those
/// who look for where a client went astray.
///
/// # Errors
///
/// As of [`replay`].
pub fn replay_frames(
    record: &[u8],
    make: impl FnOnce(&str, &[u8]) -> Option<Box<dyn Room>>,
    mut see: impl FnMut(&Frame),
) -> Result<Replayed, ReplayError> {
    let rest = record.strip_prefix(MAGIC).ok_or(ReplayError::NoRecord)?;
    let (&version, rest) = rest.split_first().ok_or(ReplayError::NoRecord)?;
    if version != VERSION {
        return Err(ReplayError::Version(version));
    }
    let (kind, options, spec, mut rest) = begin(rest).ok_or(ReplayError::NoRecord)?;
    let room = make(&kind, options).ok_or_else(|| ReplayError::Kind(kind.clone()))?;
    let mut replayed = Replayed {
        kind,
        spec: spec.clone(),
        ticks: 0,
        last_tick: 0,
        joins: 0,
        inputs: 0,
        hashes: 0,
        hash: 0,
        whole: false,
    };
    let mut stage = Stage::new(room, spec);
    while !rest.is_empty() && !replayed.whole {
        let at = record.len() - rest.len();
        let ticks = replayed.ticks;
        rest = match entry(rest, &mut stage, &mut replayed)? {
            Step::Next(rest) => rest,
            Step::Short => break,
            Step::Garbled => return Err(ReplayError::Garbled(at)),
        };
        if let Some(frame) = stage.frame().filter(|_| replayed.ticks > ticks) {
            see(frame);
        }
    }
    if !replayed.whole {
        replayed.hash = stage.hash();
    }
    Ok(replayed)
}

fn begin(rest: &[u8]) -> Option<(String, &[u8], StageSpec, &[u8])> {
    let (kind, rest) = take_bytes(rest)?;
    let (options, rest) = take_bytes(rest)?;
    let (seed, rest) = rest.split_first_chunk::<8>()?;
    let (hz, rest) = take_number(rest)?;
    let (players, rest) = take_number(rest)?;
    let (spectators, rest) = take_number(rest)?;
    let spec = StageSpec {
        seed: u64::from_le_bytes(*seed),
        hz: hz.try_into().ok()?,
        players_max: players.try_into().ok()?,
        spectators_max: spectators.try_into().ok()?,
    };
    Some((std::str::from_utf8(kind).ok()?.to_owned(), options, spec, rest))
}

enum Step<'a> {
    Next(&'a [u8]),
    Short,
    Garbled,
}

/// What `?` cannot say of an `Option`: there is no more, or there is no sense in it.
macro_rules! or {
    ($what:expr, $otherwise:ident) => {
        match $what {
            Some(it) => it,
            None => return Ok(Step::$otherwise),
        }
    };
}

fn entry<'a>(rest: &'a [u8], stage: &mut Stage, replayed: &mut Replayed) -> Result<Step<'a>, ReplayError> {
    let (&tag, rest) = or!(rest.split_first(), Short);
    if matches!(tag, HASH | CLOSE) {
        let (hash, rest) = or!(rest.split_first_chunk::<8>(), Short);
        let recorded = u64::from_le_bytes(*hash);
        let now = if tag == CLOSE { stage.close() } else { stage.hash() };
        if now != recorded {
            return Err(ReplayError::Differs { tick: stage.now(), recorded, replayed: now });
        }
        replayed.hashes += 1;
        if tag == CLOSE {
            (replayed.whole, replayed.hash) = (true, now);
        }
        return Ok(Step::Next(rest));
    }
    let (first, rest) = or!(take_number(rest), Short);
    if tag == TICK {
        // No record of ours stands still, or goes on for longer than numbers do.
        let n = or!(stage.now().checked_add(first).filter(|_| first > 0), Garbled);
        stage.tick(n);
        replayed.ticks += 1;
        replayed.last_tick = n;
        return Ok(Step::Next(rest));
    }
    if tag == STOP {
        stage.stop();
        return Ok(Step::Next(rest));
    }
    let seat = Seat(or!(u16::try_from(first).ok(), Garbled));
    Ok(Step::Next(match tag {
        JOIN => {
            let (name, rest) = or!(take_bytes(rest), Short);
            let (has_subject, mut rest) = or!(take_number(rest), Short);
            let mut guest = Guest { name: or!(text(name), Garbled), subject: None };
            if has_subject == 1 {
                let (subject, behind) = or!(take_bytes(rest), Short);
                (guest.subject, rest) = (Some(or!(text(subject), Garbled)), behind);
            }
            // Who was rejected is so again.
            replayed.joins += u64::from(stage.join(seat, &guest).is_ok());
            rest
        }
        INPUT => {
            let (client_tick, rest) = or!(take_number(rest), Short);
            let (input, rest) = or!(take_bytes(rest), Short);
            let client_tick = or!(u32::try_from(client_tick).ok().filter(|_| stage.is_taken(seat)), Garbled);
            stage.give_input(seat, client_tick, input);
            replayed.inputs += 1;
            rest
        }
        MESSAGE => {
            let (channel, rest) = or!(take_number(rest), Short);
            let (message, rest) = or!(take_bytes(rest), Short);
            let channel = or!(u8::try_from(channel).ok().and_then(Channel::of_code), Garbled);
            stage.message(seat, channel, message);
            rest
        }
        AWAY => {
            stage.away(seat);
            rest
        }
        BACK => {
            stage.back(seat);
            rest
        }
        LEAVE => {
            let (why, rest) = or!(take_number(rest), Short);
            let why = or!(usize::try_from(why).ok().and_then(|why| Leave::ALL.get(why)), Garbled);
            stage.leave(seat, *why);
            rest
        }
        _ => return Ok(Step::Garbled),
    }))
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

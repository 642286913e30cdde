//! Frames of the last ticks, and which of them a seat has seen.

use std::collections::VecDeque;

use super::frame::Frame;
use super::schema::Schema;
use crate::spare::Spare;

/// The last frames of a room, the newest last.
#[derive(Debug)]
pub(crate) struct History {
    frames: VecDeque<Frame>,
    schema: Schema,
    kept: usize,
    /// How many ticks back a room may look.
    rewound: u64,
}

/// Frames that are kept at least: a seat may be so far behind with its confirmation before it gets a whole one.
const KEPT_MIN: usize = 32;
/// And at most: a snapshot tells in a byte how far back its baseline lies.
const KEPT_MAX: usize = 255;

impl History {
    /// How far back a room may look.
    pub(crate) const REWIND_MS: u64 = 250;

    /// Of a room of this rate. A second's frames are kept: who has confirmed nothing for longer is hardly shown any.
    pub(crate) fn new(schema: Schema, hz: u32) -> History {
        let rewound = u64::from(hz) * History::REWIND_MS / 1_000;
        let kept = (hz as usize).clamp(KEPT_MIN, KEPT_MAX);
        History { frames: VecDeque::new(), schema, kept, rewound }
    }

    /// How many frames are kept.
    pub(crate) fn kept(&self) -> usize {
        self.kept
    }

    /// A frame for this tick, filled by `fill`.
    pub(crate) fn add(&mut self, tick: u64, fill: impl FnOnce(&mut Frame)) {
        let spare = if self.frames.len() >= self.kept { self.frames.pop_front() } else { None };
        let mut frame = spare.unwrap_or_else(|| Frame::new(&self.schema));
        let grid = self.frames.back_mut().map(Frame::take_grid).unwrap_or_default();
        frame.take_over(self.places_of_old(tick), grid);
        frame.begin(tick);
        fill(&mut frame);
        if self.frames.len() == self.frames.capacity() {
            // One room of many: no more than it needs.
            self.frames.reserve_exact((self.kept - self.frames.len()).clamp(1, KEPT_MIN));
        }
        self.frames.push_back(frame);
    }

    /// Memory for places: of frames that nobody may look back at any more, once this tick is there.
    fn places_of_old(&mut self, tick: u64) -> Option<Vec<(i32, i32)>> {
        let oldest = tick.saturating_sub(self.rewound);
        let behind = self.frames.partition_point(|frame| frame.tick() < oldest);
        let mut spare = None;
        // Those before them have none any more.
        for frame in self.frames.range_mut(..behind).rev() {
            let Some(places) = frame.take_places() else { break };
            spare = Some(places);
        }
        spare
    }

    pub(crate) fn newest(&self) -> Option<&Frame> {
        self.frames.back()
    }

    pub(crate) fn newest_mut(&mut self) -> Option<&mut Frame> {
        self.frames.back_mut()
    }

    /// The tick of the oldest.
    fn oldest(&self) -> u64 {
        self.frames.front().map_or(0, Frame::tick)
    }

    /// The frame of this tick.
    pub(crate) fn at(&self, tick: u64) -> Option<&Frame> {
        self.exactly(tick).or_else(|| {
            let at = self.frames.binary_search_by_key(&tick, Frame::tick).ok()?;
            self.frames.get(at)
        })
    }

    /// The same where no tick was skipped since, as mostly: looked for at one place, and no other frame is touched.
    fn exactly(&self, tick: u64) -> Option<&Frame> {
        let back = usize::try_from(self.newest()?.tick().checked_sub(tick)?).ok()?;
        let at = self.frames.len().checked_sub(1)?.checked_sub(back)?;
        self.frames.get(at).filter(|frame| frame.tick() == tick)
    }

    /// The last frame no later than `tick`, but none older than `REWIND_MS`.
    pub(crate) fn past(&self, tick: u64) -> Option<&Frame> {
        let newest = self.newest()?.tick();
        let oldest = newest.saturating_sub(self.rewound);
        let wanted = tick.max(oldest);
        if let Some(found) = self.exactly(wanted.min(newest)) {
            return Some(found);
        }
        let behind = self.frames.partition_point(|frame| frame.tick() <= wanted);
        // Ticks may have been skipped, so that there is none at the end of what may be seen.
        let found = self.frames.get(behind.checked_sub(1)?)?;
        if found.tick() >= oldest { Some(found) } else { self.frames.get(behind) }
    }
}

/// What a seat saw of a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Saw {
    /// A bit for each of its entities, in their order: where it has no more of them than that. All bits are all entities,
    /// however many.
    Bits(u64),
    /// The names of entities.
    Names(Vec<u16>),
}

impl Saw {
    pub(crate) const ALL: Saw = Saw::Bits(u64::MAX);

    /// Those of `frame` with these names, which are in order. Memory for names comes from `spare`.
    pub(crate) fn of(frame: &Frame, ids: &[u16], spare: &mut Spare<u16>) -> Saw {
        if frame.ids().len() <= u64::BITS as usize {
            let (mut bits, mut near) = (0, 0);
            for &id in ids {
                if let Some(at) = frame.find_from(&mut near, id) {
                    bits |= 1 << at;
                }
            }
            return Saw::Bits(bits);
        }
        let mut kept = spare.take();
        kept.extend_from_slice(ids);
        Saw::Names(kept)
    }

    /// The same as bits, of a frame of `few` entities; `None` if it is kept otherwise.
    pub(crate) fn bits(&self, frame: &Frame) -> Option<u64> {
        match self {
            Saw::Bits(bits) => Some(bits & frame.few()?),
            Saw::Names(_) => None,
        }
    }

    /// The names of those, in order: from the frame, from here, or put together in `names`.
    pub(crate) fn names<'a>(&'a self, frame: &'a Frame, names: &'a mut Vec<u16>) -> &'a [u16] {
        match self {
            Saw::Bits(u64::MAX) => frame.ids(),
            Saw::Bits(bits) => {
                frame.names(*bits, names);
                names
            }
            Saw::Names(names) => names,
        }
    }
}

/// What one seat was shown, and what it has confirmed.
#[derive(Clone, Default, Debug)]
pub(crate) struct Shown {
    /// The ticks of frames, and what was shown of each.
    frames: VecDeque<(u64, Saw)>,
    confirmed: Option<u64>,
}

/// Of how many frames a seat remembers what it saw before it is worth to give memory back.
const SHRUNK_MIN: usize = 8;

impl Shown {
    /// The newest frame was shown. Memory for names goes back to `spare`.
    pub(crate) fn show(&mut self, history: &History, saw: Saw, spare: &mut Spare<u16>) {
        let Some(tick) = history.newest().map(Frame::tick) else { return };
        // What stood on frames that are gone can be no baseline any more, confirmed or not.
        while self.frames.front().is_some_and(|(tick, _)| *tick < history.oldest())
            || self.frames.len() >= history.kept()
        {
            if let Some((_, Saw::Names(names))) = self.frames.pop_front() {
                spare.give(names);
            }
        }
        // Who has confirmed nothing for a while has many of them, and is shown few from then on.
        if self.frames.capacity() > SHRUNK_MIN && self.frames.len() < self.frames.capacity() / 8 {
            self.frames.shrink_to(SHRUNK_MIN);
        }
        self.frames.push_back((tick, saw));
    }

    /// The seat has got the frame of a tick whose lowest 16 bits these are. What it was never shown is nothing.
    pub(crate) fn confirm(&mut self, low: u16, spare: &mut Spare<u16>) {
        let Some(at) = self.frames.iter().rposition(|(tick, _)| *tick as u16 == low) else { return };
        for (_, saw) in self.frames.drain(..at) {
            if let Saw::Names(names) = saw {
                spare.give(names);
            }
        }
        self.confirmed = self.frames.front().map(|(tick, _)| *tick);
    }

    /// What it has for certain: the frame's tick, and what it saw of that.
    pub(crate) fn baseline(&self) -> Option<(u64, &Saw)> {
        let (tick, saw) = self.frames.front()?;
        (Some(*tick) == self.confirmed).then_some((*tick, saw))
    }

    pub(crate) fn forget(&mut self) {
        *self = Shown::default();
    }
}

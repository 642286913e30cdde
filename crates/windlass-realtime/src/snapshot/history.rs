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
}

/// Frames a seat may be behind with its confirmation before it gets a whole one.
const BASELINE_TICKS: usize = 64;
/// What is shown of frames is remembered of so many, for each seat.
const SHOWN_MAX: usize = 32;

impl History {
    /// How far back a room may look.
    pub(crate) const REWIND_MS: u64 = 250;

    pub(crate) fn new(schema: Schema, hz: u32) -> History {
        let rewound = u64::from(hz) * History::REWIND_MS / 1_000;
        History { frames: VecDeque::new(), schema, kept: BASELINE_TICKS.max(rewound as usize + 1) }
    }

    /// A frame for this tick, filled by `fill`.
    pub(crate) fn add(&mut self, tick: u64, fill: impl FnOnce(&mut Frame)) {
        let spare = if self.frames.len() >= self.kept { self.frames.pop_front() } else { None };
        let mut frame = spare.unwrap_or_else(|| Frame::new(&self.schema));
        frame.begin(tick);
        fill(&mut frame);
        self.frames.push_back(frame);
    }

    pub(crate) fn newest(&self) -> Option<&Frame> {
        self.frames.back()
    }

    pub(crate) fn newest_mut(&mut self) -> Option<&mut Frame> {
        self.frames.back_mut()
    }

    /// The frame of this tick.
    pub(crate) fn at(&self, tick: u64) -> Option<&Frame> {
        let at = self.frames.binary_search_by_key(&tick, Frame::tick).ok()?;
        self.frames.get(at)
    }

    /// The last frame no later than `tick`, but none older than `REWIND_MS`.
    pub(crate) fn past(&self, tick: u64, hz: u32) -> Option<&Frame> {
        let newest = self.newest()?.tick();
        let oldest = newest.saturating_sub(u64::from(hz) * History::REWIND_MS / 1_000);
        let wanted = tick.max(oldest);
        let behind = self.frames.partition_point(|frame| frame.tick() <= wanted);
        // Ticks may have been skipped, so that there is none at the end of what may be seen.
        let found = self.frames.get(behind.checked_sub(1)?)?;
        if found.tick() >= oldest { Some(found) } else { self.frames.get(behind) }
    }
}

/// What one seat was shown, and what it has confirmed.
#[derive(Clone, Default, Debug)]
pub(crate) struct Shown {
    /// The ticks of frames, and what was shown of each: `None` is all of it.
    frames: VecDeque<(u64, Option<Vec<u16>>)>,
    confirmed: Option<u64>,
}

impl Shown {
    /// A frame was shown. Memory for the names comes from `spare`, and goes back there.
    pub(crate) fn show(&mut self, tick: u64, ids: Option<&[u16]>, spare: &mut Spare<u16>) {
        if self.frames.len() == SHOWN_MAX {
            // Not the one that is a baseline, or the seat would get a whole one for no reason.
            let first = usize::from(self.frames.front().map(|(tick, _)| *tick) == self.confirmed);
            if let Some((_, Some(ids))) = self.frames.remove(first) {
                spare.give(ids);
            }
        }
        let ids = ids.map(|ids| {
            let mut kept = spare.take();
            kept.extend_from_slice(ids);
            kept
        });
        self.frames.push_back((tick, ids));
    }

    /// The seat has got the frame of a tick whose lowest 16 bits these are. What it was never shown is nothing.
    pub(crate) fn confirm(&mut self, low: u16, spare: &mut Spare<u16>) {
        let Some(at) = self.frames.iter().rposition(|(tick, _)| *tick as u16 == low) else { return };
        self.frames.drain(..at).filter_map(|(_, ids)| ids).for_each(|ids| spare.give(ids));
        self.confirmed = self.frames.front().map(|(tick, _)| *tick);
    }

    /// What it has for certain: the frame's tick, and what it saw of that.
    pub(crate) fn baseline(&self) -> Option<(u64, Option<&[u16]>)> {
        let (tick, ids) = self.frames.front()?;
        (Some(*tick) == self.confirmed).then_some((*tick, ids.as_deref()))
    }

    pub(crate) fn forget(&mut self) {
        *self = Shown::default();
    }
}

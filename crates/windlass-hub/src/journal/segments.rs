//! The files of the log, as they are written: one is appended to, others are closed, and one that failed is never
//! touched again.
//!
//! Whatever fails, the next attempt begins a new segment, whose head says how much of the one before is known to be on
//! the disk. So nobody has to cut a file, nor ask what became of bytes that a failed sync has let go of.

use std::io;
use std::sync::Arc;

use super::batch::Batch;
use super::disk::{Disk, DiskFile};
use super::frame::{self, HEAD, Head};

/// Segments of the log, and the one that is written.
pub(super) struct Segments {
    pub(super) disk: Box<dyn Disk>,
    /// A segment that is as long is closed.
    segment_bytes: u64,
    /// What may be appended and not synced.
    unsynced_max: u64,
    open: Option<Open>,
    /// The segment that the next one continues, and how much of it is on the disk; 0: none.
    good: (u64, u64),
    /// The number of the next segment.
    next: u64,
    /// The first that is needed.
    first: u64,
    /// Those that are needed, in order: number and bytes.
    sizes: Vec<(u64, u64)>,
    /// Appended and acknowledged before it was synced, which one mode does: written again if that fails.
    unsynced: Vec<Arc<Batch>>,
    unsynced_bytes: u64,
    frame: Vec<u8>,
}

struct Open {
    file: Box<dyn DiskFile>,
    number: u64,
    len: u64,
    /// How much of it is on the disk.
    synced: u64,
}

/// What recovery has found, for the one that goes on writing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Place {
    pub(super) good: (u64, u64),
    pub(super) next: u64,
    pub(super) first: u64,
    pub(super) sizes: Vec<(u64, u64)>,
}

/// The name of a segment.
pub(super) fn name(number: u64) -> String {
    format!("{number:016}.log")
}

/// A buffer that has grown past it is not kept.
const FRAME_KEPT_MAX: usize = 1 << 20;

impl Segments {
    pub(super) fn new(disk: Box<dyn Disk>, place: Place, segment_bytes: u64, unsynced_max: u64) -> Segments {
        Segments {
            disk,
            segment_bytes,
            unsynced_max,
            open: None,
            good: place.good,
            next: place.next.max(1),
            first: place.first.max(1),
            sizes: place.sizes,
            unsynced: Vec::new(),
            unsynced_bytes: 0,
            frame: Vec::new(),
        }
    }

    /// Bytes of all segments that are needed.
    pub(super) fn bytes(&self) -> u64 {
        self.sizes.iter().map(|(_, bytes)| bytes).sum()
    }

    /// How many they are.
    pub(super) fn count(&self) -> u64 {
        self.sizes.len() as u64
    }

    /// Appends a batch; with `sync` it is on the disk when this returns. After an error it may be there or not, and
    /// is to be written again.
    pub(super) fn write(&mut self, batch: &Arc<Batch>, sync: bool) -> io::Result<()> {
        let written = self.append_and_sync(batch, sync);
        if written.is_err() {
            self.abandon();
        }
        written
    }

    fn append_and_sync(&mut self, batch: &Arc<Batch>, sync: bool) -> io::Result<()> {
        self.begin()?;
        if !batch.bytes.is_empty() {
            self.append(&batch.bytes)?;
        }
        let bytes = self.unsynced_bytes + batch.bytes.len() as u64;
        if sync || bytes > self.unsynced_max {
            self.sync()?;
        } else {
            self.unsynced.push(batch.clone());
            self.unsynced_bytes = bytes;
        }
        if self.unsynced.is_empty() && self.open.as_ref().is_some_and(|open| open.len >= self.segment_bytes) {
            self.open = None;
        }
        Ok(())
    }

    /// Has a segment open that holds what is not synced.
    fn begin(&mut self) -> io::Result<()> {
        if self.open.is_some() {
            return Ok(());
        }
        let number = self.next;
        // A number is used once, whatever becomes of its file.
        self.next += 1;
        let file = self.disk.create(&name(number))?;
        let open = self.open.insert(Open { file, number, len: HEAD as u64, synced: 0 });
        let (previous, previous_len) = self.good;
        let head = Head { flags: 0, number, previous, previous_len, first: self.first };
        open.file.append(&head.encode())?;
        // Before anything stands behind it: a head that is garbled with something behind it was whole once.
        open.file.sync()?;
        self.disk.sync_names()?;
        open.synced = open.len;
        let unsynced = std::mem::take(&mut self.unsynced);
        let appended = unsynced.iter().try_for_each(|batch| self.append(&batch.bytes));
        self.unsynced = unsynced;
        appended
    }

    fn append(&mut self, body: &[u8]) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Err(io::Error::other("no segment is open")) };
        self.frame.clear();
        self.frame.shrink_to(FRAME_KEPT_MAX);
        frame::put_frame(&mut self.frame, open.number, open.len, open.synced, body);
        open.file.append(&self.frame)?;
        open.len += self.frame.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.file.sync()?;
        open.synced = open.len;
        self.good = (open.number, open.len);
        match self.sizes.last_mut() {
            Some((number, bytes)) if *number == open.number => *bytes = open.len,
            _ => self.sizes.push(self.good),
        }
        self.unsynced.clear();
        self.unsynced_bytes = 0;
        Ok(())
    }

    /// Lets go of the segment that is written, after an error.
    fn abandon(&mut self) {
        let Some(open) = self.open.take() else { return };
        drop(open.file);
        // Nothing in it counts. If it stays, recovery finds that nobody continues it.
        if self.good.0 != open.number {
            let _ = self.disk.remove(&name(open.number));
        }
    }

    /// Closes the segment that is written, so that the next batch begins another: the number that one will have, or
    /// a lower one.
    pub(super) fn close(&mut self) -> io::Result<u64> {
        let closed = self.sync();
        if closed.is_err() {
            self.abandon();
        }
        closed?;
        self.open = None;
        Ok(self.next)
    }

    /// Segments below this number are not needed any more. Says so on the disk, and removes them.
    pub(super) fn supersede(&mut self, first: u64) -> io::Result<()> {
        self.close()?;
        let before = std::mem::replace(&mut self.first, first);
        let said = self.begin().and_then(|()| self.sync());
        if said.is_err() {
            self.abandon();
            self.first = before;
            return said;
        }
        // From the oldest on: what is left of them if the power goes has no beginning, and so no effect. One that
        // cannot be removed is not read again, and goes at the next start.
        self.sizes.retain(|(number, _)| {
            let needed = *number >= first;
            if !needed {
                let _ = self.disk.remove(&name(*number));
            }
            needed
        });
        let _ = self.disk.sync_names();
        Ok(())
    }
}

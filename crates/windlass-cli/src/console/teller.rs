//! The console's queue, as seen by those who have something for it. Nothing here blocks.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};

use windlass::Handle;

use crate::logs;

/// Log lines that may wait. At some 150 bytes each they come to less than a MiB.
const QUEUE_MAX: usize = 4_096;
/// What they may come to together, if they are longer.
const QUEUE_BYTES_MAX: usize = 4 << 20;

thread_local! {
    /// What the console's thread logs itself: in its own queue it could be dropped, the word of dropped lines
    /// before all others.
    static OWN: RefCell<Option<Vec<Vec<u8>>>> = const { RefCell::new(None) };
}

/// From now on, lines of this thread wait for [`take_own`].
pub(super) fn keep_own() {
    OWN.set(Some(Vec::new()));
}

pub(super) fn take_own() -> Vec<Vec<u8>> {
    OWN.with_borrow_mut(|own| own.as_mut().map(std::mem::take)).unwrap_or_default()
}

/// What wakes the console.
pub(crate) enum Notice {
    /// A finished log line.
    Line(Vec<u8>),
    /// Look at the flags. A queue too full to take this keeps the console awake as well.
    Look,
}

/// Tells the console, from any thread.
#[derive(Clone)]
pub(crate) struct Teller {
    queue: SyncSender<Notice>,
    flags: Arc<Flags>,
}

#[derive(Default)]
struct Flags {
    /// Lines that found the queue full and have not been reported.
    dropped: AtomicU64,
    /// Of all lines that wait.
    bytes: AtomicUsize,
    /// Connections being drained, plus 1; 0 as long as there is nothing to tell.
    draining: AtomicU64,
    drain_told: AtomicBool,
    over: AtomicBool,
    handle: OnceLock<Handle>,
}

impl Teller {
    pub(crate) fn new() -> (Teller, Receiver<Notice>) {
        let (queue, notices) = sync_channel(QUEUE_MAX);
        (Teller { queue, flags: Arc::default() }, notices)
    }

    /// The server whose connections are counted when it drains.
    pub(super) fn watch(&self, handle: Handle) {
        let _ = self.flags.handle.set(handle);
    }

    /// Hands over a finished log line, or drops and counts it.
    pub(crate) fn line(&self, line: &[u8]) {
        let own = OWN.with_borrow_mut(|own| own.as_mut().map(|own| own.push(line.to_vec())).is_some());
        if own {
            return;
        }
        let waiting = self.flags.bytes.fetch_add(line.len(), Ordering::Relaxed);
        let sent = match waiting + line.len() <= QUEUE_BYTES_MAX {
            true => self.queue.try_send(Notice::Line(line.to_vec())),
            false => Err(TrySendError::Full(Notice::Look)),
        };
        if let Err(error) = sent {
            self.taken(line);
            if matches!(error, TrySendError::Full(_)) {
                self.drop_lines(1);
            }
        }
    }

    /// A line is out of the queue.
    pub(super) fn taken(&self, line: &[u8]) {
        self.flags.bytes.fetch_sub(line.len(), Ordering::Relaxed);
    }

    /// Counts lines that nobody will see.
    pub(super) fn drop_lines(&self, lines: u64) {
        self.flags.dropped.fetch_add(lines, Ordering::Relaxed);
        logs::count_dropped(lines);
    }

    /// The server begins to drain. Every worker says so, the first is heard: that is when all
    /// connections are still there to be counted.
    pub(crate) fn draining(&self) {
        if !self.flags.drain_told.swap(true, Ordering::Relaxed) {
            let connections = self.flags.handle.get().map_or(0, |handle| handle.connections() as u64);
            self.flags.draining.store(connections + 1, Ordering::Release);
            let _ = self.queue.try_send(Notice::Look);
        }
    }

    pub(super) fn end(&self) {
        self.flags.over.store(true, Ordering::Release);
        let _ = self.queue.try_send(Notice::Look);
    }

    pub(super) fn is_over(&self) -> bool {
        self.flags.over.load(Ordering::Acquire)
    }

    /// How many connections there were when draining began, once.
    pub(super) fn take_draining(&self) -> Option<u64> {
        self.flags.draining.swap(0, Ordering::AcqRel).checked_sub(1)
    }

    pub(super) fn take_dropped(&self) -> u64 {
        self.flags.dropped.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_and_counts() {
        let (teller, notices) = Teller::new();
        for _ in 0..QUEUE_MAX + 3 {
            teller.line(b"line\n");
        }
        assert_eq!((teller.take_dropped(), teller.take_dropped()), (3, 0));
        assert_eq!(notices.try_iter().count(), QUEUE_MAX);
        drop(notices);
        // Nobody listens any more: nothing to count, nothing to wait for.
        teller.line(b"late\n");
        assert_eq!(teller.take_dropped(), 0);
    }

    #[test]
    fn long_lines_wait_as_long_as_they_come_to_so_much() {
        let (teller, notices) = Teller::new();
        let line = vec![b'x'; QUEUE_BYTES_MAX / 4];
        for _ in 0..5 {
            teller.line(&line);
        }
        assert_eq!((teller.take_dropped(), notices.try_iter().count()), (1, 4));
        teller.line(b"no room as long as none is taken");
        assert_eq!(teller.take_dropped(), 1);
        teller.taken(&line);
        teller.line(&line[1..]);
        assert_eq!((teller.take_dropped(), notices.try_iter().count()), (0, 1));
    }

    #[test]
    fn draining_is_told_once() {
        let (teller, _notices) = Teller::new();
        assert_eq!(teller.take_draining(), None);
        teller.draining();
        teller.draining();
        assert_eq!((teller.take_draining(), teller.take_draining()), (Some(0), None));
    }
}

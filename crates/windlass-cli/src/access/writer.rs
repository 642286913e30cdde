//! The one thread that writes all access logs, and the queue before it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::{AccessLog, DROPPED, Number, Record, line};
use crate::logfile::LogFile;

/// Lines that may wait.
const QUEUE_MAX: usize = 16 * 1024;
/// Bytes that they may hold together.
const QUEUE_BYTES_MAX: usize = 8 << 20;
/// What is written at once; what has waited for [`PERIOD`] is written anyway.
const WRITE_BYTES: usize = 64 * 1024;
/// How often lines are written, and it is looked whether files are still where they were.
const PERIOD: Duration = Duration::from_secs(1);
/// How often it is told that lines are lost.
const TELL_PERIOD: Duration = Duration::from_secs(10);
/// How long the end of the program waits for a pipe that takes nothing: as long as for the console.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

enum Notice {
    Record(Arc<AccessLog>, Record),
    Look,
}

/// The queue, as seen by those who have something for it. Nothing here blocks but the end.
pub(super) struct Queue {
    notices: SyncSender<Notice>,
    flags: Arc<Flags>,
    /// Until the thread has it.
    writer: Mutex<Option<Writer>>,
    finished: Mutex<Option<Receiver<()>>>,
}

#[derive(Default)]
struct Flags {
    /// Held by what waits.
    bytes: AtomicUsize,
    over: AtomicBool,
    /// Files that were opened and that the thread has not taken yet.
    opened: Mutex<Vec<(LogFile, Weak<Number>)>>,
}

impl Queue {
    /// Whoever sets `reopen` wants all files to be opened anew.
    pub(super) fn new(reopen: Arc<AtomicBool>) -> Queue {
        let (queue, notices) = sync_channel(QUEUE_MAX);
        let flags: Arc<Flags> = Arc::default();
        let writer = Writer { notices, flags: flags.clone(), reopen, files: Vec::new(), told: None, lost: 0 };
        Queue { notices: queue, flags, writer: Mutex::new(Some(writer)), finished: Mutex::default() }
    }

    /// Starts the thread, once: true if this was the time.
    pub(super) fn start(&self) -> io::Result<bool> {
        let Some(mut writer) = locked(&self.writer).take() else { return Ok(false) };
        let (done, finished) = sync_channel(1);
        *locked(&self.finished) = Some(finished);
        let thread = thread::Builder::new().name("access".into());
        thread.spawn(move || {
            writer.run();
            let _ = done.send(());
        })?;
        Ok(true)
    }

    pub(super) fn add_file(&self, file: LogFile, number: Weak<Number>) {
        locked(&self.flags.opened).push((file, number));
    }

    pub(super) fn add(&self, log: Arc<AccessLog>, record: Record) {
        let weight = record.weight();
        let waiting = self.flags.bytes.fetch_add(weight, Ordering::Relaxed);
        let sent = match waiting + weight <= QUEUE_BYTES_MAX {
            true => self.notices.try_send(Notice::Record(log, record)),
            false => Err(TrySendError::Full(Notice::Look)),
        };
        if sent.is_err() {
            self.flags.bytes.fetch_sub(weight, Ordering::Relaxed);
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn finish(&self) {
        self.flags.over.store(true, Ordering::Release);
        let _ = self.notices.try_send(Notice::Look);
        // Somebody who reads none of it does not keep the program from ending.
        if let Some(finished) = &*locked(&self.finished) {
            let _ = finished.recv_timeout(FINISH_TIMEOUT);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Writer {
    notices: Receiver<Notice>,
    flags: Arc<Flags>,
    reopen: Arc<AtomicBool>,
    files: Vec<Sink>,
    /// When it was last told how many lines are lost, and how many there were then.
    told: Option<Instant>,
    lost: u64,
}

/// One file, and the lines that it will get.
struct Sink {
    file: LogFile,
    number: Weak<Number>,
    at: usize,
    lines: String,
    why_lost: Option<io::Error>,
    /// Its path cannot be opened any more.
    is_lost: bool,
}

impl Writer {
    fn run(&mut self) {
        let mut due = Instant::now() + PERIOD;
        loop {
            match self.notices.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Notice::Record(log, record)) => self.add(&log, &record),
                Ok(Notice::Look) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= due {
                self.look();
                due = (due + PERIOD).max(Instant::now());
            }
            if self.flags.over.load(Ordering::Acquire) {
                break;
            }
        }
        while let Ok(notice) = self.notices.try_recv() {
            if let Notice::Record(log, record) = notice {
                self.add(&log, &record);
            }
        }
        self.look();
    }

    fn add(&mut self, log: &AccessLog, record: &Record) {
        self.flags.bytes.fetch_sub(record.weight(), Ordering::Relaxed);
        self.take_opened();
        let Some(sink) = self.files.iter_mut().find(|sink| sink.at == log.file.0) else { return };
        line::write(&mut sink.lines, log, record);
        if sink.lines.len() >= WRITE_BYTES {
            sink.write();
        }
    }

    fn take_opened(&mut self) {
        for (file, number) in locked(&self.flags.opened).drain(..) {
            let at = number.upgrade().map_or(usize::MAX, |number| number.0);
            self.files.push(Sink { file, number, at, lines: String::new(), why_lost: None, is_lost: false });
        }
    }

    /// Writes what waits, sees to files that were renamed, and tells what is lost.
    fn look(&mut self) {
        self.take_opened();
        let reopen = self.reopen.swap(false, Ordering::AcqRel);
        for sink in &mut self.files {
            // Lines that were there before the order go where they belong by their time.
            if reopen {
                sink.write();
            }
            if reopen || sink.file.has_vanished() {
                let error = sink.file.reopen().err();
                // It is tried again in a second, and told once.
                if let Some(error) = error.as_ref().filter(|_| !sink.is_lost) {
                    tracing::warn!("cannot open an access log anew, so the old one goes on: {error}");
                }
                sink.is_lost = error.is_some();
            }
            sink.write();
        }
        // No service writes to them any more.
        self.files.retain(|sink| sink.number.strong_count() > 0);
        let lost = super::dropped();
        if lost > self.lost && self.told.is_none_or(|told| told.elapsed() >= TELL_PERIOD) {
            let lines = lost - self.lost;
            let why = self.files.iter_mut().find_map(|sink| sink.why_lost.take());
            let why = why.map_or("they came faster than they could be written".into(), |it| it.to_string());
            tracing::warn!(lines, "{lines} lines of access logs were dropped: {why}");
            (self.told, self.lost) = (Some(Instant::now()), lost);
        }
    }
}

impl Sink {
    fn write(&mut self) {
        if let Err((missing, error)) = self.file.add(self.lines.as_bytes()) {
            let written = self.lines.len() - missing;
            let lost = self.lines.as_bytes()[written..].iter().filter(|byte| **byte == b'\n').count();
            DROPPED.fetch_add(lost as u64, Ordering::Relaxed);
            self.why_lost = Some(error);
        }
        self.lines.clear();
    }
}

#[cfg(test)]
#[path = "../tests/access/writer.rs"]
mod tests;

//! The console: the one thread that writes to the terminal while the server runs.
//!
//! Log lines, the status line and notices all pass through it, so that none garbles another. Once a
//! second it looks at the server's counters, renews the status line, and logs the limits that were
//! reached. Read `teller` for its queue, `status` for the line itself, `watch` and `shed` for what is logged.

#[cfg(feature = "hub")]
mod shed;
mod status;
mod teller;
mod terminal;
mod watch;

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use windlass::Handle;

use crate::config::shape::LogLevel;
use crate::logs::{self, Style, Target};
use crate::quantity::thousands;
use crate::serving::Messages;
use status::{Sample, status_line};
pub(crate) use teller::{Notice, Teller};
use terminal::Output;
pub(crate) use terminal::stdout_width;
use watch::Watch;

/// How often figures are renewed.
const PERIOD: Duration = Duration::from_secs(1);
/// How long the end of the program waits for a terminal or pipe that takes nothing. On a machine that is busy with others the
/// thread may wait for seconds itself, and what it has still to tell is how it ended.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);
/// Log lines are written in pieces of about this size.
const WRITE_BYTES: usize = 16 * 1024;

/// A running console. [`Console::finish`] ends it.
pub(crate) struct Console {
    teller: Teller,
    finished: Receiver<()>,
}

impl Console {
    /// Starts the thread, and with it the logs.
    pub(crate) fn start(
        (teller, notices): (Teller, Receiver<Notice>),
        (style, target): (Style, Target),
        level: LogLevel,
        (handle, messages): (Handle, Messages),
        #[cfg(feature = "hub")] hubs: crate::hub::Links,
        status: bool,
    ) -> std::io::Result<Console> {
        teller.watch(handle.clone());
        let color = matches!(target, Target::Stderr) && terminal::wants_color();
        logs::start(style, level, color, teller.clone());
        let (done, finished) = sync_channel(1);
        let mut writer = Writer {
            style,
            target,
            is_lost: false,
            // Between JSON objects a status line would be in the way of whoever reads them there.
            out: Output::new(status, style == Style::Text),
            teller: teller.clone(),
            notices,
            handle,
            messages,
            #[cfg(feature = "hub")]
            hubs,
        };
        thread::Builder::new().name("console".into()).spawn(move || {
            teller::keep_own();
            writer.run();
            let _ = done.send(());
        })?;
        Ok(Console { teller, finished })
    }

    /// Writes what still waits, clears the status line and ends the thread.
    pub(crate) fn finish(self) {
        self.teller.end();
        // Somebody who reads none of our logs does not keep the program from ending.
        let _ = self.finished.recv_timeout(FINISH_TIMEOUT);
    }
}

struct Writer {
    style: Style,
    target: Target,
    /// The file's path cannot be opened any more.
    is_lost: bool,
    out: Output,
    teller: Teller,
    notices: Receiver<Notice>,
    handle: Handle,
    messages: Messages,
    #[cfg(feature = "hub")]
    hubs: crate::hub::Links,
}

impl Writer {
    fn run(&mut self) {
        let mut last = Sample::take(&self.handle, &self.messages);
        let mut watch = Watch::new(&last.stats);
        #[cfg(feature = "hub")]
        let mut kept = shed::Hubs::default();
        let mut superseded = false;
        let mut due = Instant::now() + PERIOD;
        self.renew(&last, &last);
        while !self.teller.is_over() {
            match self.notices.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Notice::Line(first)) => self.write_lines(first),
                Ok(Notice::Look) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.tell_draining();
            if Instant::now() >= due {
                let now = Sample::take(&self.handle, &self.messages);
                watch.look(&now.stats, self.handle.take_stalls());
                #[cfg(feature = "hub")]
                kept.look(&self.hubs);
                if !superseded && self.handle.is_superseded() {
                    superseded = true;
                    tracing::info!(
                        connections = now.stats.counters.connections,
                        "a successor has taken over"
                    );
                }
                self.keep_file();
                self.report_dropped();
                self.write_own();
                self.renew(&last, &now);
                last = now;
                // When the machine was suspended there is nothing to catch up with.
                due = (due + PERIOD).max(Instant::now());
            }
        }
        watch.look(&self.handle.stats(), self.handle.take_stalls());
        #[cfg(feature = "hub")]
        kept.look(&self.hubs);
        self.write_own();
        self.out.clear();
        self.tell_draining();
        while let Ok(notice) = self.notices.try_recv() {
            if let Notice::Line(first) = notice {
                self.write_lines(first);
            }
        }
        self.report_dropped();
    }

    /// Writes a line and those that came with it, at once.
    fn write_lines(&mut self, mut text: Vec<u8>) {
        self.teller.taken(&text);
        let mut lines = 1;
        while text.len() < WRITE_BYTES && !matches!(self.target, Target::Journal(_)) {
            match self.notices.try_recv() {
                Ok(Notice::Line(more)) => {
                    self.teller.taken(&more);
                    lines += 1;
                    text.extend_from_slice(&more);
                }
                Ok(Notice::Look) => {}
                Err(_) => break,
            }
        }
        self.write(&text, lines);
    }

    /// Writes so many lines, or one entry of the journal.
    fn write(&mut self, text: &[u8], lines: u64) {
        let is_written = match &mut self.target {
            Target::Stderr => self.out.lines(text).is_ok(),
            Target::Journal(journal) => journal.send(text).is_ok(),
            Target::File(file, _) => file.add(text).is_ok(),
        };
        if !is_written {
            self.teller.drop_lines(lines);
        }
    }

    /// Opens the file anew if somebody has asked for that, or has renamed it.
    fn keep_file(&mut self) {
        let Target::File(file, reopen) = &mut self.target else { return };
        if reopen.swap(false, Ordering::AcqRel) || file.has_vanished() {
            let error = file.reopen().err();
            // It is tried again in a second, and told once.
            if let Some(error) = error.as_ref().filter(|_| !self.is_lost) {
                tracing::warn!("cannot open the log anew, so the old one goes on: {error}");
            }
            self.is_lost = error.is_some();
        }
    }

    /// Writes what this thread has logged itself.
    fn write_own(&mut self) {
        for line in teller::take_own() {
            self.write(&line, 1);
        }
    }

    fn renew(&mut self, last: &Sample, now: &Sample) {
        if let Some(width) = self.out.status_width() {
            self.out.status(status_line(last, now, self.handle.is_stopping(), width));
        }
    }

    fn tell_draining(&mut self) {
        let Some(connections) = self.teller.take_draining() else { return };
        match self.style {
            // It may be over by now.
            _ if connections == 0 => {}
            Style::Json | Style::Journal => {
                tracing::info!(connections, "draining");
                self.write_own();
            }
            Style::Text => {
                let s = if connections == 1 { "" } else { "s" };
                let n = thousands(connections);
                let text = format!("Draining {n} connection{s}, press Ctrl-C again to stop at once\n");
                let _ = self.out.lines(text.as_bytes());
            }
        }
    }

    /// Says that log lines are missing, once there is room again: what came before them has been written.
    fn report_dropped(&mut self) {
        let lines = self.teller.take_dropped();
        if lines > 0 {
            let s = if lines == 1 { " was" } else { "s were" };
            tracing::warn!(lines, "{lines} log line{s} dropped: they came faster than they could be written");
            self.write_own();
        }
    }
}

//! Logs: formatted where they happen, written by the console's thread.
//!
//! A worker never waits for a log: a line goes into the console's bounded queue, and one that finds
//! it full is dropped and counted. Read `style` for how a form is chosen, `journal` for the one of systemd's
//! journal, and `threshold` for the level, which can be set while the server runs.

mod journal;
mod style;
mod threshold;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use crate::config::shape::LogLevel;
use crate::console::Teller;
pub(crate) use journal::{Journal, SOCKET};
pub(crate) use style::{Style, Target, choose};
pub(crate) use threshold::set_level;

/// Lines that were dropped since the start: they found the queue full, or could not be written.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many log lines were dropped since the start.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Relaxed)
}

/// Counts lines that nobody will see.
pub(crate) fn count_dropped(lines: u64) {
    DROPPED.fetch_add(lines, Relaxed);
}

/// Has everything that is logged from now on written by the console.
pub(crate) fn start(style: Style, level: LogLevel, color: bool, lines: Teller) {
    threshold::begin(level);
    let set = tracing::subscriber::set_global_default(subscriber(style, color, lines));
    // Only a second call could fail, and the program makes one.
    debug_assert!(set.is_ok());
}

fn subscriber(style: Style, color: bool, lines: Teller) -> Box<dyn tracing::Subscriber + Send + Sync> {
    let registry = tracing_subscriber::registry().with(threshold::Threshold);
    let layer = tracing_subscriber::fmt::layer().with_target(false);
    match style {
        Style::Text => Box::new(registry.with(layer.with_ansi(color).with_writer(Lines { lines, color }))),
        Style::Json => {
            let layer = layer.json().flatten_event(true).with_current_span(false).with_span_list(false);
            Box::new(registry.with(layer.with_writer(Lines { lines, color: true })))
        }
        Style::Journal => Box::new(registry.with(journal::Entries(lines))),
    }
}

struct Lines {
    lines: Teller,
    /// Escape characters in a line are ours: those of others were escaped.
    color: bool,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> &'a Lines {
        self
    }
}

/// Each event arrives as one write: a whole line.
impl io::Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let (text, end) = line.split_at(line.len().saturating_sub(1));
        match text.iter().any(|byte| self.is_control(*byte)) {
            false => self.lines.line(line),
            true => self.lines.line(&[&self.escaped(text), end].concat()),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn is_control(&self, byte: u8) -> bool {
        byte < b' ' && !(byte == 0x1b && self.color) || byte == 0x7f
    }

    /// With a peer's words in it a line stays one line.
    fn escaped(&self, text: &[u8]) -> Vec<u8> {
        let mut escaped = Vec::with_capacity(text.len() + 16);
        for byte in text {
            match self.is_control(*byte) {
                true => escaped.extend(byte.escape_ascii()),
                false => escaped.push(*byte),
            }
        }
        escaped
    }
}

#[cfg(test)]
#[path = "../tests/logs.rs"]
mod tests;

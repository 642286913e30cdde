//! Logs: formatted where they happen, written by the console's thread.
//!
//! A worker never waits for a log: a line goes into the console's bounded queue, and one that finds
//! it full is dropped and counted.

use std::io;

use tracing_subscriber::fmt::MakeWriter;

use crate::config::shape::{LogFormat, LogLevel};
use crate::console::Teller;

/// Has everything that is logged from now on written by the console.
pub(crate) fn start(format: LogFormat, level: LogLevel, color: bool, lines: Teller) {
    let builder = tracing_subscriber::fmt().with_max_level(level.filter()).with_target(false);
    let builder = builder.with_writer(Lines(lines));
    let set = match format {
        LogFormat::Text => tracing::subscriber::set_global_default(builder.with_ansi(color).finish()),
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_current_span(false).with_span_list(false);
            tracing::subscriber::set_global_default(builder.finish())
        }
    };
    // Only a second call could fail, and the program makes one.
    debug_assert!(set.is_ok());
}

struct Lines(Teller);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> &'a Lines {
        self
    }
}

/// Each event arrives as one write: a whole line.
impl io::Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! Which form logs have.

use std::io::{IsTerminal, stderr};
use std::path::Path;

use anyhow::{Result, bail};

use super::Journal;
use crate::config::shape::LogFormat;

/// The form of what is logged, once it is known where it goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// Lines for people, and with them a summary at the end.
    Text,
    /// One JSON object per line.
    Json,
    /// Entries of systemd's journal.
    Journal,
}

impl Style {
    /// What `format` comes to here, and the journal if that is where it all goes.
    pub(crate) fn choose(format: LogFormat, socket: &Path) -> Result<(Style, Option<Journal>)> {
        Ok(match format {
            LogFormat::Text => (Style::Text, None),
            LogFormat::Json => (Style::Json, None),
            LogFormat::Journald => match Journal::reach(socket) {
                Ok(journal) => (Style::Journal, Some(journal)),
                Err(error) => bail!("cannot reach the journal at {}: {error}", socket.display()),
            },
            LogFormat::Auto if stderr().is_terminal() => (Style::Text, None),
            LogFormat::Auto => match Some(socket).filter(|_| is_the_journal()).map(Journal::reach) {
                Some(Ok(journal)) => (Style::Journal, Some(journal)),
                // What cannot be reached may still read what is written to stderr.
                _ => (Style::Json, None),
            },
        })
    }
}

/// Whether stderr is a stream that the journal reads: it tells in the environment which one it has opened
/// (systemd.exec(5), `$JOURNAL_STREAM`). A stderr that was redirected since is another.
#[cfg(target_os = "linux")]
fn is_the_journal() -> bool {
    let told = std::env::var("JOURNAL_STREAM").ok();
    let told = told.as_deref().and_then(|text| text.split_once(':'));
    let Some((device, inode)) = told.and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?))) else {
        return false;
    };
    rustix::fs::fstat(stderr()).is_ok_and(|is| (is.st_dev, is.st_ino) == (device, inode))
}

#[cfg(not(target_os = "linux"))]
fn is_the_journal() -> bool {
    false
}

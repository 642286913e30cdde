//! Which form logs have.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result, bail};

use super::Journal;
use crate::config::shape::{LogFormat, LogTable};
use crate::config::value::FilePath;
use crate::logfile::LogFile;

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

/// Where it goes.
pub(crate) enum Target {
    Stderr,
    Journal(Journal),
    /// To be opened anew when that is set.
    File(LogFile, Arc<AtomicBool>),
}

/// The form that `table` asks for, as far as it leaves that to us, and where it all goes. Errors: it cannot
/// go there.
pub(crate) fn choose(table: &LogTable) -> Result<(Style, Target)> {
    let socket = &table.journal_socket;
    if let Some(FilePath(path)) = &table.path {
        let style = match table.format {
            LogFormat::Text => Style::Text,
            LogFormat::Auto | LogFormat::Json => Style::Json,
            LogFormat::Journald => bail!("the journal is in no file of ours: there is a path for logs, too"),
        };
        let file = LogFile::open(path).with_context(|| format!("cannot write logs to {}", path.display()))?;
        return Ok((style, Target::File(file, Arc::default())));
    }
    Ok(match table.format {
        LogFormat::Text => (Style::Text, Target::Stderr),
        LogFormat::Json => (Style::Json, Target::Stderr),
        LogFormat::Journald => match Journal::reach(socket) {
            Ok(journal) => (Style::Journal, Target::Journal(journal)),
            Err(error) => bail!("cannot reach the journal at {}: {error}", socket.display()),
        },
        LogFormat::Auto if stderr().is_terminal() => (Style::Text, Target::Stderr),
        LogFormat::Auto => match Some(socket).filter(|_| is_the_journal()).map(|at| Journal::reach(at)) {
            Some(Ok(journal)) => (Style::Journal, Target::Journal(journal)),
            // What cannot be reached may still read what is written to stderr.
            _ => (Style::Json, Target::Stderr),
        },
    })
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

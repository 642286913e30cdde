//! A file of lines that is begun anew when it is long enough.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::line;
use super::outlet::{Failure, Kept, Target};
use crate::config::rule::RuleTable;
use crate::logfile::LogFile;

/// The file, once there was something for it.
pub(super) struct LineFile {
    path: PathBuf,
    rotate_bytes: u64,
    keep: usize,
    open: Option<LogFile>,
    lines: Vec<u8>,
}

impl LineFile {
    pub(super) fn new(path: &Path, rule: &RuleTable) -> LineFile {
        LineFile {
            path: path.into(),
            rotate_bytes: rule.rotate_bytes.0 as u64,
            keep: rule.rotate_keep.0,
            open: None,
            lines: Vec::new(),
        }
    }

    /// The file that comes next, so that so many bytes fit: the one that is there, if they do.
    fn room_for(&mut self, bytes: u64) -> io::Result<&mut LogFile> {
        // Somebody else may have moved it away, too.
        let is_gone = self.open.as_ref().is_some_and(LogFile::has_vanished);
        let len = fs::metadata(&self.path).map_or(0, |it| it.len());
        if len > 0 && len + bytes > self.rotate_bytes {
            self.rotate()?;
            self.open = None;
        }
        if is_gone {
            self.open = None;
        }
        Ok(match &mut self.open {
            Some(file) => file,
            none => none.insert(LogFile::open(&self.path)?),
        })
    }

    /// `FILE` is `FILE.1` from here on, that is `FILE.2`, and the last one is gone.
    fn rotate(&self) -> io::Result<()> {
        let numbered = |n: usize| match n {
            0 => self.path.clone(),
            n => {
                let mut name = self.path.clone().into_os_string();
                name.push(format!(".{n}"));
                name.into()
            }
        };
        if self.keep == 0 {
            return fs::remove_file(&self.path);
        }
        for n in (0..self.keep).rev() {
            let from = numbered(n);
            if from.exists() {
                fs::rename(from, numbered(n + 1))?;
            }
        }
        Ok(())
    }
}

impl Target for LineFile {
    fn deliver(&mut self, batch: &[Kept]) -> Result<(), Failure> {
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        for kept in batch {
            line::write(&mut lines, kept);
            lines.push(b'\n');
        }
        let path = self.path.display().to_string();
        let later = |error: io::Error| Failure::Later(format!("{path}: {error}"));
        let outcome = match self.room_for(lines.len() as u64) {
            Ok(file) => match file.add(&lines) {
                Ok(()) => Ok(()),
                // Some lines are in it, and the others must not bring them a second time.
                Err((missing, error)) if missing < lines.len() => Err(Failure::Refused(error.to_string())),
                Err((_, error)) => Err(later(error)),
            },
            Err(error) => Err(later(error)),
        };
        self.lines = lines;
        outcome
    }
}

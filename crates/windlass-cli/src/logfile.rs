//! A file that lines are added to for as long as a server runs: made anew where it was renamed away, and
//! never left with half a line inside when the disk was full.

use std::fs::File;
use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};

/// A file that grows, or stdout.
pub(crate) struct LogFile {
    /// `None`: stdout.
    file: Option<(PathBuf, File)>,
    /// It ends inside a line, since there was no room for the rest.
    torn: bool,
}

impl LogFile {
    /// Opens `path`, or makes it, readable to its owner and group only: there are addresses of people in it.
    /// `-` is stdout. A pipe nobody reads is an error, and not waited for.
    pub(crate) fn open(path: &Path) -> io::Result<LogFile> {
        let file = if is_stdout(path) { None } else { Some((path.to_owned(), open(path)?)) };
        Ok(LogFile { file, torn: false })
    }

    /// Adds whole lines; `Err` says how many bytes of them are not in it, and why.
    pub(crate) fn add(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        if self.torn {
            self.add_bytes(b"\n").map_err(|(_, error)| (lines.len(), error))?;
            self.torn = false;
        }
        self.add_bytes(lines).inspect_err(|(missing, _)| {
            let written = &lines[..lines.len() - missing];
            self.torn = written.last().is_some_and(|byte| *byte != b'\n');
        })
    }

    fn add_bytes(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut left = bytes;
        while !left.is_empty() {
            let written = match &mut self.file {
                Some((_, file)) => file.write(left),
                None => stdout().write(left).and_then(|n| stdout().flush().map(|()| n)),
            };
            match written {
                Ok(0) => return Err((left.len(), io::ErrorKind::WriteZero.into())),
                Ok(n) => left = &left[n..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((left.len(), error)),
            }
        }
        Ok(())
    }

    /// Opens it anew at its path: what was renamed stays as it is. On an error, lines go where they went.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        if let Some((path, file)) = &mut self.file {
            *file = open(path)?;
            self.torn = false;
        }
        Ok(())
    }

    /// Whether another file, or none, is at its path.
    pub(crate) fn has_vanished(&self) -> bool {
        self.file.as_ref().is_some_and(|(path, file)| !is_same(path, file))
    }
}

/// Whether `path` stands for stdout.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let mut options = File::options();
    let file = options
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path)?;
    // That was for opening alone: the thread that writes may wait.
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}

#[cfg(unix)]
fn is_same(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (std::fs::metadata(path), file.metadata()) {
        (Ok(there), Ok(here)) => (there.dev(), there.ino()) == (here.dev(), here.ino()),
        // Whoever cannot look can make nothing anew either.
        (Err(error), _) => error.kind() != io::ErrorKind::NotFound,
        _ => true,
    }
}

/// An open file cannot be renamed there.
#[cfg(not(unix))]
fn is_same(_: &Path, _: &File) -> bool {
    true
}

#[cfg(test)]
#[path = "tests/logfile.rs"]
mod tests;

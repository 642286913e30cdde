//! The files of Unix sockets, and who removes them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

use crate::shared::Shared;

use super::SocketFile;

/// Socket files of ours, removed when the server is gone; unless one is no longer ours, since a server
/// that is draining no longer listens, and its successor may have taken the path or the very socket.
#[derive(Default)]
pub(super) struct UnixPaths {
    files: Vec<(SocketFile, Option<FileMark>)>,
    pub(super) shared: Option<Arc<Shared>>,
}

/// A file of a socket that was a predecessor's, and is ours once that one is told so. What tells it from
/// another one is looked at before.
pub(super) struct AdoptedPath(SocketFile, Option<FileMark>);

impl AdoptedPath {
    pub(super) fn new(path: PathBuf, listener: Option<u16>) -> AdoptedPath {
        let mark = file_mark(&path);
        AdoptedPath((path, listener), mark)
    }
}

impl UnixPaths {
    pub(super) fn push(&mut self, path: PathBuf, listener: Option<u16>) {
        let mark = file_mark(&path);
        self.files.push(((path, listener), mark));
    }

    /// Removes the file of a listener, if it has one and it is still ours.
    pub(super) fn remove(&mut self, listener: u16) {
        let is_its = |((_, of), _): &mut (SocketFile, Option<FileMark>)| *of == Some(listener);
        for (file, mark) in self.files.extract_if(.., is_its) {
            remove_file(&file, mark, self.shared.as_deref());
        }
    }

    /// A listener goes on under another number.
    pub(super) fn rename(&mut self, old: u16, new: u16) {
        for ((_, listener), _) in self.files.iter_mut().filter(|((_, of), _)| *of == Some(old)) {
            *listener = Some(new);
        }
    }

    /// Takes over the files of others.
    pub(super) fn extend(&mut self, other: &mut UnixPaths) {
        self.files.append(&mut other.files);
    }

    pub(super) fn adopt(&mut self, AdoptedPath(file, mark): AdoptedPath) {
        self.files.push((file, mark));
    }
}

impl Drop for UnixPaths {
    fn drop(&mut self) {
        for (file, mark) in &self.files {
            remove_file(file, *mark, self.shared.as_deref());
        }
    }
}

fn remove_file((path, listener): &SocketFile, mark: Option<FileMark>, shared: Option<&Shared>) {
    let taken = shared.is_some_and(|shared| match listener {
        Some(n) => shared.listener(*n).is_some_and(|listener| listener.taken.load(Acquire)),
        None => shared.control_taken.load(Acquire),
    });
    if !taken && mark.is_some() && file_mark(path) == mark {
        let _ = std::fs::remove_file(path);
    }
}

/// What tells a file from another one in its place: device, inode, and the time it was made, since an
/// inode is soon used again.
type FileMark = (u64, u64, i64, i64);

#[cfg(unix)]
fn file_mark(path: &std::path::Path) -> Option<FileMark> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::symlink_metadata(path).ok()?;
    Some((meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec()))
}

#[cfg(not(unix))]
fn file_mark(_: &std::path::Path) -> Option<FileMark> {
    None
}

//! Matches on their way into files: workers hand pieces over, one thread writes.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use windlass_realtime::{RecordPiece, RecordSink, RoomId};

/// The folder of a game's records, and who writes them.
#[derive(Clone)]
pub(crate) struct Records {
    folder: Arc<Path>,
    writer: Arc<Mutex<Option<Writer>>>,
}

/// Makes the folder, if it is not there.
pub(super) fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder of records, {}", folder.display()))
}

struct Writer {
    pieces: SyncSender<RecordPiece>,
    thread: JoinHandle<()>,
}

/// Pieces that wait to be written: some 16 KiB each. With more, records break off, and that is counted.
const WAITING_MAX: usize = 1_024;
/// Records that are written at once; each has a descriptor. Those of more rooms are not begun.
const OPEN_MAX: usize = 1_024;

impl Records {
    /// Records in a folder that is there.
    pub(crate) fn of(folder: &Path) -> Records {
        Records { folder: folder.into(), writer: Arc::default() }
    }

    pub(crate) fn is_in(&self, folder: &Path) -> bool {
        *self.folder == *folder
    }

    /// Where workers give pieces.
    pub(crate) fn sink(&self) -> RecordSink {
        let its = self.clone();
        RecordSink::new(move |piece| its.give(piece))
    }

    fn give(&self, piece: RecordPiece) -> bool {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // With the first piece and not before: a process that gives up privileges does so before it has threads.
        if writer.is_none() {
            *writer = Writer::start(self.folder.to_path_buf()).ok();
        }
        let Some(writer) = &*writer else { return false };
        !matches!(writer.pieces.try_send(piece), Err(TrySendError::Full(_) | TrySendError::Disconnected(_)))
    }

    /// Writes what is left.
    pub(crate) fn finish(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Writer { pieces, thread }) = writer {
            drop(pieces);
            let _ = thread.join();
        }
    }
}

impl Writer {
    fn start(folder: PathBuf) -> std::io::Result<Writer> {
        let (pieces, waiting) = sync_channel::<RecordPiece>(WAITING_MAX);
        let write = move || {
            let mut open: HashMap<RoomId, File> = HashMap::new();
            for piece in waiting {
                if let Err(error) = write(&folder, &mut open, &piece) {
                    open.remove(&piece.room);
                    tracing::warn!(room = %piece.room, "cannot write the record of a match: {error}");
                }
            }
        };
        let thread = std::thread::Builder::new().name("records".into()).spawn(write)?;
        Ok(Writer { pieces, thread })
    }
}

fn write(folder: &Path, open: &mut HashMap<RoomId, File>, piece: &RecordPiece) -> std::io::Result<()> {
    if piece.first {
        if open.len() >= OPEN_MAX {
            return Err(std::io::Error::other(format!("{OPEN_MAX} are being written already")));
        }
        // Rooms have names that no other has, so nothing is ever written over.
        let path = folder.join(format!("{}.match", piece.room));
        open.insert(piece.room, File::create_new(path)?);
    }
    if let Some(file) = open.get_mut(&piece.room) {
        file.write_all(&piece.bytes)?;
    }
    if piece.last {
        open.remove(&piece.room);
    }
    Ok(())
}

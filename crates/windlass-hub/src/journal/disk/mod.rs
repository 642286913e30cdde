//! The seam under the log: the few things it asks of a folder, so that a test can pull the plug at any of them.
//!
//! [`Folder`] is the real one. [`SimDisk`] is one in memory that loses, tears and garbles what was not synced, fills
//! up, and fails to sync as real disks do: once, and with the bytes gone.

mod folder;
mod simulated;

pub use folder::Folder;
pub use simulated::{SimDisk, SimPlan};

use std::io;

/// A flat folder of files that are written from front to back.
///
/// Nothing is promised of bytes before [`DiskFile::sync`], nor of names before [`Disk::sync_names`]. All calls block.
pub trait Disk: Send {
    /// The names of all files, in no order that means anything.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn list(&mut self) -> io::Result<Vec<String>>;

    /// The first bytes of a file, `max` at most, in place of what the buffer has.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn read(&mut self, name: &str, max: u64, into: &mut Vec<u8>) -> io::Result<()>;

    /// A new file, empty also if there was one of this name.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn create(&mut self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Returns once all bytes of a file are there after a loss of power too, whoever has written them.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Gives a file another name, in place of any file that has it: at no moment has none of the two.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Returns once what was created, renamed and removed is so after a loss of power too.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn sync_names(&mut self) -> io::Result<()>;

    /// Takes the folder for this process, until the lock is dropped; `None` if somebody has it already.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn lock(&mut self) -> io::Result<Option<DiskLock>>;
}

/// Nobody else has the folder while this lives.
pub type DiskLock = Box<dyn Send>;

/// A file that is being written.
pub trait DiskFile: Send {
    /// Appends these bytes. After an error any part of them may have been written.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns once all that was appended is there after a loss of power too.
    ///
    /// # Errors
    ///
    /// As the system says. The system may have let go of the bytes and call the next sync a success: whoever sees an
    /// error never uses the file again.
    fn sync(&mut self) -> io::Result<()>;
}

//! The real disk: a folder, its lock, and who may read what is in it.

use std::path::PathBuf;

use super::kit::{body, commit, opened, queue, waiting};
use crate::journal::*;

/// A folder that is gone with it.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Temporary {
        let path = std::env::temp_dir().join(format!("windlass-hub-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Temporary(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn open(folder: &Temporary) -> Result<(Log, Recovered), LogError> {
    let folder = Folder::open(folder.0.join("below/journal")).expect("it can be made");
    Log::open(folder, LogConfig::default().segment_bytes(300), 0)
}

#[test]
fn a_folder_keeps_what_was_committed() {
    let folder = Temporary::new("kept");
    let mut expected = Vec::new();
    for start in 0..5 {
        let (log, recovered) = open(&folder).expect("it opens");
        assert_eq!(waiting(&recovered), expected);
        assert_eq!(recovered.report.problems, Vec::<String>::new());
        let mut journal = log.journal(0);
        for n in 0..10 {
            let (client_id, payload) = (format!("{start} {n}"), format!("payload {n}"));
            let session = opened(&mut journal, &client_id);
            queue(&mut journal, session, &Mark::default(), &body("t", payload.as_bytes()));
            assert!(commit(&mut journal, 0));
            expected.push((client_id, vec![payload]));
        }
        let status = log.status();
        assert!(status.segments() > 1 && status.syncs() == 10);
    }
}

#[test]
fn one_process_has_it_at_a_time() {
    let folder = Temporary::new("locked");
    let (log, _) = open(&folder).expect("it opens");
    let journal = log.journal(0);
    assert!(matches!(open(&folder), Err(LogError::Locked)));
    // A journal is an end of the log as well; what is known of it is not.
    let status = log.status();
    drop(log);
    assert!(matches!(open(&folder), Err(LogError::Locked)));
    drop(journal);
    assert!(open(&folder).is_ok());
    assert_eq!(status.bytes(), 0);
}

#[cfg(unix)]
#[test]
fn nobody_else_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Temporary::new("modes");
    let (log, _) = open(&folder).expect("it opens");
    let mut journal = log.journal(0);
    opened(&mut journal, "c");
    assert!(commit(&mut journal, 0));
    let path = folder.0.join("below/journal");
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o077;
    assert_eq!(mode(&path), 0);
    assert_eq!(mode(&path.join("0000000000000001.log")), 0);
}

#[test]
fn what_cannot_be_opened_says_why() {
    let folder = Temporary::new("wrong");
    std::fs::create_dir_all(folder.0.join("below")).expect("it can be made");
    std::fs::write(folder.0.join("below/journal"), b"a file").expect("it can be written");
    assert!(Folder::open(folder.0.join("below/journal")).is_err());
}

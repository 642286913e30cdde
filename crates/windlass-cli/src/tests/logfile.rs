//! A file that is renamed, deleted, full.

use std::fs;

use super::*;

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("windlass-logfile-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn it_goes_on_where_it_was_and_is_made_anew_when_asked() {
    let folder = folder("renamed");
    let (path, old) = (folder.join("a.log"), folder.join("a.log.1"));
    fs::write(&path, "before\n").unwrap();
    let mut file = LogFile::open(&path).unwrap();
    file.add(b"one\n").unwrap();
    assert!(!file.has_vanished());
    fs::rename(&path, &old).unwrap();
    assert!(file.has_vanished());
    file.add(b"two\n").unwrap();
    file.reopen().unwrap();
    file.add(b"three\n").unwrap();
    assert!(!file.has_vanished());
    assert_eq!(fs::read_to_string(&old).unwrap(), "before\none\ntwo\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    fs::remove_file(&path).unwrap();
    assert!(file.has_vanished());
    fs::remove_dir_all(&folder).unwrap();
    // No place for another: what is open stays open.
    assert!(file.has_vanished() && file.reopen().is_err());
    file.add(b"four\n").unwrap();
}

#[cfg(unix)]
#[test]
fn addresses_of_people_are_not_for_everybody() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder("mode");
    let path = folder.join("a.log");
    LogFile::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o007, 0);
    fs::remove_dir_all(&folder).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let mut file = LogFile::open(Path::new("/dev/full")).unwrap();
    let (missing, error) = file.add(b"one\ntwo\n").unwrap_err();
    assert_eq!((missing, error.kind(), file.torn), (8, io::ErrorKind::StorageFull, false));
}

/// A file limit stands for a disk that takes a part of a line and no more.
#[cfg(target_os = "linux")]
#[test]
fn half_a_line_is_ended_before_the_next() {
    let folder = folder("torn");
    let path = folder.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    assert!(LogFile::open(&path).is_err(), "nobody reads it");
    let mut reader = File::options().read(true).write(true).open(&path).unwrap();
    let mut file = LogFile::open(&path).unwrap();
    file.torn = true;
    file.add(b"next\n").unwrap();
    let mut text = [0; 6];
    io::Read::read_exact(&mut reader, &mut text).unwrap();
    assert_eq!(&text, b"\nnext\n");
    assert!(!file.torn);
    fs::remove_dir_all(&folder).unwrap();
}

//! A file with backends, looked at now and then: what is done off the loop.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use super::list::{self, Found};

/// The longest list.
const FILE_MAX: u64 = 1 << 20;

/// What tells one state of a file from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    /// Since 1970.
    modified: Option<Duration>,
    length: u64,
    /// Another one in its place is another file.
    inode: u64,
}

impl Stamp {
    fn of(data: &Metadata) -> Stamp {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(data);
        #[cfg(not(unix))]
        let inode = 0;
        let modified = data.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        Stamp { modified, length: data.len(), inode }
    }
}

/// What a look at a file came to.
#[derive(Debug)]
pub(crate) struct Look {
    /// That of what was read; `None`: it could not be.
    pub(crate) stamp: Option<Stamp>,
    /// `None`: it is what it was.
    pub(crate) read: Option<Result<Vec<Found>, String>>,
}

/// Looks at a file whose last state is known. Blocks.
pub(crate) fn look(path: &Path, before: Option<Stamp>) -> Look {
    match read(path, before) {
        Ok(None) => Look { stamp: before, read: None },
        Ok(Some((stamp, text))) => {
            let list = String::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned());
            let list = list.and_then(|text| list::read(&text).map_err(|error| error.to_string()));
            Look { stamp: Some(stamp), read: Some(list.map_err(|why| format!("{}: {why}", path.display()))) }
        }
        Err(error) => {
            Look { stamp: None, read: Some(Err(format!("cannot read {}: {error}", path.display()))) }
        }
    }
}

fn read(path: &Path, before: Option<Stamp>) -> io::Result<Option<(Stamp, Vec<u8>)>> {
    let is_file = |data: &Metadata| match data.is_file() {
        true => Ok(()),
        // A pipe would be waited for.
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file")),
    };
    let data = fs::metadata(path)?;
    is_file(&data)?;
    if before == Some(Stamp::of(&data)) {
        return Ok(None);
    }
    let mut file = File::open(path)?;
    let opened = file.metadata()?;
    is_file(&opened)?;
    let mut text = Vec::new();
    (&mut file).take(FILE_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > FILE_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 1 MiB"));
    }
    // Somebody is writing to it: the next look finds it whole.
    let after = file.metadata()?;
    if Stamp::of(&after) != Stamp::of(&opened) || after.len() != text.len() as u64 {
        return Ok(None);
    }
    Ok(Some((Stamp::of(&opened), text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_once_for_each_of_its_states() {
        let folder = std::env::temp_dir().join(format!("windlass-proxy-look-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("backends");
        let missing = look(&path, None);
        assert!(missing.read.unwrap().unwrap_err().contains("cannot read"));
        fs::write(&path, "10.0.0.1:80\n").unwrap();
        let first = look(&path, None);
        assert_eq!(first.read.unwrap().unwrap().len(), 1);
        assert!(look(&path, first.stamp).read.is_none(), "nothing has changed");
        // Another in its place, of the same length.
        fs::write(folder.join("next"), "10.0.0.2:80\n").unwrap();
        fs::rename(folder.join("next"), &path).unwrap();
        let next = look(&path, first.stamp);
        assert_eq!(next.read.unwrap().unwrap()[0].to.to_string(), "10.0.0.2:80");
        fs::write(&path, "10.0.0.2:80\nnobody\n").unwrap();
        let wrong = look(&path, next.stamp);
        assert!(wrong.read.unwrap().unwrap_err().contains("line 2"));
        assert!(look(&path, wrong.stamp).read.is_none(), "and told once");
        let folder_itself = look(&folder, None).read.unwrap().unwrap_err();
        assert!(folder_itself.contains("it is no file"), "{folder_itself}");
        fs::remove_dir_all(&folder).unwrap();
    }
}

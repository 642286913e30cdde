//! Why a server could not start, or had to stop.

use std::fmt;
use std::io;

/// A server that could not start or go on. One line for people; [`Error::io`] has the system's error.
#[derive(Debug)]
pub struct Error {
    what: String,
    source: Option<io::Error>,
}

/// The result of starting or running a server.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn config(what: impl Into<String>) -> Error {
        Error { what: what.into(), source: None }
    }

    pub(crate) fn system(what: impl Into<String>, source: io::Error) -> Error {
        Error { what: what.into(), source: Some(source) }
    }

    pub(crate) fn listen(address: &str, source: io::Error) -> Error {
        Error::system(format!("cannot listen on {address}"), source)
    }

    /// The system's error, if that was the cause; without it the configuration was wrong.
    pub fn io(&self) -> Option<&io::Error> {
        self.source.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        let Some(source) = &self.source else { return Ok(()) };
        match source.kind() {
            io::ErrorKind::AddrInUse => f.write_str(": the address is in use by another process"),
            io::ErrorKind::PermissionDenied => f.write_str(": permission denied"),
            io::ErrorKind::AddrNotAvailable => f.write_str(": this machine has no such address"),
            io::ErrorKind::NotFound => f.write_str(": no such file or directory"),
            _ => write!(f, ": {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}

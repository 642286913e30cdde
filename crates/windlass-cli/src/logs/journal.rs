//! Entries for systemd's journal, in its own protocol: one datagram each, with fields by name
//! (systemd.io/JOURNAL_NATIVE_PROTOCOL). Made where something is logged, sent by the console's thread.

use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::console::Teller;

/// Where the journal takes entries.
pub(crate) const SOCKET: &str = "/run/systemd/journal/socket";

/// The longest value of a field; what is longer is cut, and says so.
const VALUE_MAX: usize = 8 * 1024;
/// Room for all fields but the message: with it an entry is well below what a datagram can hold.
const FIELDS_MAX: usize = 32 * 1024;

/// Makes an entry of every event.
pub(super) struct Entries(pub(super) Teller);

impl<S: Subscriber> Layer<S> for Entries {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.line(&entry(event));
    }
}

/// What an event is to the journal. People see the message alone, so the fields stand behind it too.
fn entry(event: &Event<'_>) -> Vec<u8> {
    let mut fields = Fields::default();
    event.record(&mut fields);
    // As syslog(3) counts them.
    let priority = match *event.metadata().level() {
        Level::ERROR => '3',
        Level::WARN => '4',
        Level::INFO => '6',
        _ => '7',
    };
    let mut entry = format!("PRIORITY={priority}\nSYSLOG_IDENTIFIER=windlass\n").into_bytes();
    fields.message += &fields.behind;
    if fields.left_out > 0 {
        let _ = write!(fields.message, " .. (fields left out: {})", fields.left_out);
    }
    field(&mut entry, "MESSAGE", &fields.message);
    entry.extend_from_slice(&fields.encoded);
    entry
}

#[derive(Default)]
struct Fields {
    message: String,
    /// `conn=3 peer=..`, for people.
    behind: String,
    encoded: Vec<u8>,
    left_out: usize,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field.name(), &format!("{value:?}"));
    }
}

impl Fields {
    fn add(&mut self, name: &str, value: &str) {
        let cut = cut(value);
        let value = cut.as_deref().unwrap_or(value);
        if name == "message" {
            self.message = value.into();
            return;
        }
        if self.encoded.len() + value.len() > FIELDS_MAX {
            self.left_out += 1;
            return;
        }
        let _ = write!(self.behind, " {name}={value}");
        let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let name: String = "WINDLASS_".chars().chain(name.chars().map(letter)).collect();
        field(&mut self.encoded, &name, value);
    }
}

/// `value` without what is too much of it, if it is too long.
fn cut(value: &str) -> Option<String> {
    let over = value.len().checked_sub(VALUE_MAX).filter(|over| *over > 0)?;
    let end = (0..=VALUE_MAX).rev().find(|at| value.is_char_boundary(*at))?;
    Some(format!("{}.. ({} bytes more)", &value[..end], over + VALUE_MAX - end))
}

/// A value with a line break in it goes by its length, or a peer's words could be a field of their own.
fn field(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

/// The way to the journal. Sending may wait for it, so only the console's thread does.
pub(crate) struct Journal {
    #[cfg(target_os = "linux")]
    socket: std::os::unix::net::UnixDatagram,
    path: PathBuf,
}

#[cfg(target_os = "linux")]
impl Journal {
    /// Errors: nobody is there.
    pub(crate) fn reach(path: &Path) -> io::Result<Journal> {
        let socket = std::os::unix::net::UnixDatagram::unbound()?;
        std::os::unix::net::UnixDatagram::unbound()?.connect(path)?;
        Ok(Journal { socket, path: path.to_owned() })
    }

    /// Sends one entry. By the path each time: a journal that was restarted is another socket.
    pub(crate) fn send(&self, entry: &[u8]) -> io::Result<()> {
        self.socket.send_to(entry, &self.path).map(drop)
    }
}

#[cfg(not(target_os = "linux"))]
impl Journal {
    pub(crate) fn reach(_: &Path) -> io::Result<Journal> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux has one"))
    }

    pub(crate) fn send(&self, _: &[u8]) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("{} is none", self.path.display())))
    }
}

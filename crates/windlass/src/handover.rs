//! Sockets that were open before this process began: from systemd, or from the server it replaces.
//!
//! A server that takes over from another one gets every listener and bound UDP socket of all its workers,
//! those who wait in their queues included, over a Unix socket. Only when it stands ready does the other
//! stop accepting and receiving; should it die before, nothing has happened. So nobody is refused and nobody reset.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::sys::handover::{self, DESCRIPTORS_MAX, Item, Passed, Predecessor};

/// Listening sockets, and bound UDP sockets, that somebody else opened, for [`Server::inherit`](crate::Server::inherit).
///
/// Each is known by where it listens: a server takes those it has an address for, and opens the rest.
/// Linux only; elsewhere an error says `Unsupported`.
///
/// ```no_run
/// # use windlass::{Close, Config, Conn, Input, Server, Service, serve};
/// # struct Echo;
/// # impl Service for Echo {
/// #     type Session = ();
/// #     fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> { Ok(()) }
/// #     fn data(&mut self, c: &mut Conn<'_>, _: &mut (), i: &mut Input<'_>) -> Result<(), Close> {
/// #         c.write(i.take_all()); Ok(())
/// #     }
/// # }
/// use windlass::Inherited;
///
/// let control = "/run/echo.control";
/// let mut server = Server::new(Config::default())
///     .add(serve(|| Echo).tcp("127.0.0.1:7000"))
///     .handover_socket(control);
/// if let Some(inherited) = Inherited::from_predecessor(control)? {
///     server = server.inherit(inherited);
/// }
/// server.bind()?.run()?; // the predecessor stops accepting here, once this one does
/// # Ok::<(), windlass::Error>(())
/// ```
pub struct Inherited {
    pub(crate) sockets: Vec<InheritedSocket>,
    pub(crate) control: Option<Passed>,
    pub(crate) predecessor: Option<(Predecessor, PathBuf)>,
}

pub(crate) struct InheritedSocket {
    pub(crate) passed: Passed,
    /// What its predecessor calls it.
    pub(crate) item: Option<Item>,
    /// What systemd calls it.
    name: Option<String>,
}

impl fmt::Display for InheritedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.passed.local().fmt(f)?;
        match &self.name {
            Some(name) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Inherited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inherited").field("sockets", &self.sockets()).finish_non_exhaustive()
    }
}

impl Inherited {
    /// The sockets that systemd's socket activation (sd_listen_fds(3)) has opened for this process,
    /// from `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`; `None` if there are none for it. They are
    /// taken once: the second call is an error, as is a descriptor that is no socket, or a stream
    /// socket that does not listen.
    pub fn from_systemd() -> Result<Option<Inherited>> {
        let variable = |name| std::env::var(name).ok();
        let is_for_us = variable("LISTEN_PID").and_then(|pid| pid.parse().ok()) == Some(std::process::id());
        let Some(count) = variable("LISTEN_FDS").filter(|_| is_for_us) else { return Ok(None) };
        let count = match count.parse() {
            Ok(0) => return Ok(None),
            Ok(n @ 1..=DESCRIPTORS_MAX) => n,
            _ => {
                return Err(Error::config(format!("LISTEN_FDS is `{count}`, which is no number of sockets")));
            }
        };
        let passed = handover::from_environment(count)
            .map_err(|e| Error::system("cannot take the sockets that systemd passed", e))?;
        let names = variable("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').map(str::to_string);
        let mut name = || names.next().filter(|name| !name.is_empty());
        let named = |passed| InheritedSocket { passed, item: None, name: name() };
        let sockets = passed.into_iter().map(named).collect();
        Ok(Some(Inherited { sockets, control: None, predecessor: None }))
    }

    /// The sockets of the server that listens on the control socket `path`
    /// ([`Server::handover_socket`](crate::Server::handover_socket)); `None` if nobody does. It goes on
    /// serving until [`Bound::run`](crate::Bound::run) has every worker ready, and for good if this
    /// value, or what was made with it, is dropped before.
    ///
    /// Waits for at most some seconds. An error if that server refuses: it belongs to another user,
    /// speaks another version, or has another successor.
    pub fn from_predecessor(path: impl AsRef<Path>) -> Result<Option<Inherited>> {
        let path = path.as_ref();
        let failed = |e| Error::system(format!("cannot take over from the server at {}", path.display()), e);
        let Some((predecessor, given)) = handover::ask(path).map_err(failed)? else { return Ok(None) };
        let (mut sockets, mut control) = (Vec::new(), None);
        for (item, passed) in given {
            match item {
                Item::Control => control = Some(passed),
                item => sockets.push(InheritedSocket { passed, item: Some(item), name: None }),
            }
        }
        Ok(Some(Inherited { sockets, control, predecessor: Some((predecessor, path.to_path_buf())) }))
    }

    /// What there is, in words: where each socket listens, and its name if systemd gave it one.
    pub fn sockets(&self) -> Vec<String> {
        self.sockets.iter().map(InheritedSocket::to_string).collect()
    }
}

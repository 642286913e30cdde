//! Changing a server while it serves: services and listeners come and go, limits change, and whatever is
//! not named goes on as if nothing had happened.
//!
//! Here is the surface. `server/changing.rs` checks a change and opens what it needs, `worker/change.rs`
//! carries it out on each worker, `worker/leaving.rs` sees a service off.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;
use crate::config::Limits;
use crate::error::{Error, Result};
use crate::serve::{Serve, ServiceSpec};
use crate::server::BoundAddress;
use crate::service::Service;
use crate::shared::Shared;
#[cfg(feature = "tls")]
use crate::tls::TlsAcceptor;

/// What is to change in a running server, for [`Handle::apply`](crate::Handle::apply).
///
/// Services are known by their [name](Serve::name), which must be one service's alone. Removals come
/// first, whatever the order in which they are said: to replace a service, remove it and add one of the
/// same name. Where an address is given up and listened on again in the same change, its sockets go on:
/// whoever waits in their queues is served by the new service, and nobody is refused meanwhile.
///
/// ```
/// # use windlass::{Change, Close, Conn, Input, Service, serve};
/// # struct Echo;
/// # impl Service for Echo {
/// #     type Session = ();
/// #     fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> { Ok(()) }
/// #     fn data(&mut self, c: &mut Conn<'_>, _: &mut (), i: &mut Input<'_>) -> Result<(), Close> {
/// #         c.write(i.take_all()); Ok(())
/// #     }
/// # }
/// let bound = serve(|| Echo).name("echo").workers(1).tcp("127.0.0.1:0").bind()?;
/// let handle = bound.handle();
/// let server = std::thread::spawn(move || bound.run());
/// let change = Change::new()
///     .listen("echo", "127.0.0.1:0")
///     .add(serve(|| Echo).name("second").tcp("127.0.0.1:0"));
/// let applied = handle.apply(change)?;
/// assert_eq!(applied.addresses().len(), 2);
/// handle.apply(Change::new().remove("echo"))?;
/// handle.shutdown();
/// server.join().unwrap()?;
/// # Ok::<(), windlass::Error>(())
/// ```
#[derive(Default)]
pub struct Change {
    pub(crate) add: Vec<Box<dyn ServiceSpec>>,
    pub(crate) remove: Vec<String>,
    pub(crate) listen: Vec<Wanted>,
    pub(crate) unlisten: Vec<(String, Address)>,
    pub(crate) limits: Option<Limits>,
    pub(crate) own: Vec<(String, Own)>,
    pub(crate) error: Option<Error>,
}

/// A listener that a service is to get.
pub(crate) struct Wanted {
    pub(crate) service: String,
    pub(crate) address: Address,
    pub(crate) tag: u32,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<TlsAcceptor>,
}

/// What a service bounds for itself from now on.
#[derive(Clone, Copy)]
pub(crate) enum Own {
    IdleTimeout(Option<Duration>),
    InputMax(Option<usize>),
}

impl Change {
    /// Nothing, so far.
    pub fn new() -> Change {
        Change::default()
    }

    /// Adds a service with its listeners. [`Service::start`] is called on each worker before anything else
    /// of it is.
    #[allow(clippy::should_implement_trait, reason = "nobody takes a change for a number")]
    pub fn add<S: Service>(mut self, service: Serve<S>) -> Change {
        self.add.push(service.into_spec());
        self
    }

    /// Removes a service: its listeners close, once those who wait in their queues are taken in; its
    /// connections are told to finish, as in a graceful shutdown ([`Service::draining`]), and those that
    /// have not within [`Limits::drain_timeout`] are aborted. Then its values are dropped, and its mailbox
    /// closes.
    pub fn remove(mut self, service: &str) -> Change {
        self.remove.push(service.into());
        self
    }

    /// Has a service listen on an [`Address`], or its text, too. UDP: if it takes
    /// [datagrams](Serve::datagrams).
    pub fn listen(mut self, service: &str, address: impl AsRef<str>) -> Change {
        if let Some(address) = self.parse(address.as_ref()) {
            self.listen.push(Wanted {
                service: service.into(),
                address,
                tag: 0,
                #[cfg(feature = "tls")]
                tls: None,
            });
        }
        self
    }

    /// The same, and TLS is spoken there.
    #[cfg(feature = "tls")]
    pub fn listen_tls(mut self, service: &str, address: impl AsRef<str>, tls: &TlsAcceptor) -> Change {
        if let Some(address) = self.parse(address.as_ref()) {
            self.listen.push(Wanted { service: service.into(), address, tag: 0, tls: Some(tls.clone()) });
        }
        self
    }

    /// Tags the address that a service was told to listen on last, as [`Serve::tag`] does.
    pub fn tag(mut self, tag: u32) -> Change {
        if let Some(wanted) = self.listen.last_mut() {
            wanted.tag = tag;
        }
        self
    }

    /// Closes a listener of a service, by the address it was given or by the one it has, once everybody
    /// who waits in its queue has been taken in. Its connections stay.
    pub fn unlisten(mut self, service: &str, address: impl AsRef<str>) -> Change {
        if let Some(address) = self.parse(address.as_ref()) {
            self.unlisten.push((service.into(), address));
        }
        self
    }

    /// Replaces the limits. What waits or is open beyond a lower one is not cut down to it: only what comes
    /// is measured by it; a connection that has been silent for longer than a shorter
    /// [`Limits::idle_timeout`] ends. With more [`Limits::connections_max`] than the server was started
    /// with its tables grow when they are needed, which takes a moment in which nobody is served.
    /// [`Limits::backlog_max`] and the buffers of UDP sockets are those of listeners opened from now on.
    pub fn limits(mut self, limits: Limits) -> Change {
        self.limits = Some(limits);
        self
    }

    /// The idle timeout of a service's connections from now on; `None`: the server's.
    pub fn idle_timeout(mut self, service: &str, timeout: Option<Duration>) -> Change {
        self.own.push((service.into(), Own::IdleTimeout(timeout)));
        self
    }

    /// Bytes of input a service may leave untaken from now on; `None`: the server's [`Limits::input_max`].
    pub fn input_max(mut self, service: &str, bytes: Option<usize>) -> Change {
        self.own.push((service.into(), Own::InputMax(bytes.map(|bytes| bytes.max(1)))));
        self
    }

    /// Whether nothing is to change.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty()
            && self.remove.is_empty()
            && self.listen.is_empty()
            && self.unlisten.is_empty()
            && self.limits.is_none()
            && self.own.is_empty()
            && self.error.is_none()
    }

    fn parse(&mut self, address: &str) -> Option<Address> {
        let parsed = address.parse().map_err(|e| Error::config(format!("cannot listen: {e}")));
        parsed.map_err(|e| self.error.get_or_insert(e)).ok()
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("add", &self.add.iter().map(|spec| spec.name()).collect::<Vec<_>>())
            .field("remove", &self.remove)
            .field("listen", &self.listen.iter().map(|wanted| &wanted.address).collect::<Vec<_>>())
            .field("unlisten", &self.unlisten)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// A change that was made.
#[derive(Clone, Debug)]
pub struct Applied {
    pub(crate) addresses: Vec<BoundAddress>,
    pub(crate) everywhere: bool,
}

impl Applied {
    /// Where is listened that was not before: first the addresses of added services, then those that
    /// services were told to listen on, each in the order of the change.
    pub fn addresses(&self) -> &[BoundAddress] {
        &self.addresses
    }

    /// Whether every worker has made it. False if one has not come by within ten seconds, or the server
    /// has not begun to run: it will, and in the same order as all others.
    pub fn is_everywhere(&self) -> bool {
        self.everywhere
    }
}

/// Who makes changes: knows what a running server is made of.
pub(crate) trait Changes: Send + Sync {
    fn apply(&self, shared: &Arc<Shared>, change: Change) -> Result<Applied>;
}

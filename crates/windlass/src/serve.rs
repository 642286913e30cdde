//! Saying what a server serves: a service, where it listens, how often it ticks.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;
use crate::config::{Config, Limits};
use crate::datagram::{Calls, DatagramService};
use crate::error::{Error, Result};
use crate::hosted::{Host, Hosted};
use crate::mailbox::{Inbox, Mailbox};
use crate::moving::{Move, Mover};
use crate::offload::{Offload, Work};
use crate::parts;
use crate::resolve::{Resolve, Resolver};
use crate::server::{Bound, Server, Summary};
use crate::service::{Receive, Service};
use crate::shared::Shared;
#[cfg(feature = "tls")]
use crate::tls::TlsAcceptor;

/// Starts the description of a server with one service.
///
/// `make` makes the service's value for each worker, on that worker's thread: the value needs no
/// `Send`.
///
/// ```no_run
/// # use windlass::{Close, Conn, Input, Service, serve};
/// # struct Echo;
/// # impl Service for Echo {
/// #     type Session = ();
/// #     fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> { Ok(()) }
/// #     fn data(&mut self, c: &mut Conn<'_>, _: &mut (), i: &mut Input<'_>) -> Result<(), Close> {
/// #         c.write(i.take_all()); Ok(())
/// #     }
/// # }
/// serve(|| Echo).tcp("127.0.0.1:7000").run()?;
/// # Ok::<(), windlass::Error>(())
/// ```
pub fn serve<S, F>(make: F) -> Serve<S>
where
    S: Service,
    F: Fn() -> S + Send + Sync + 'static,
{
    Serve {
        config: Config::default(),
        spec: Spec {
            name: short_type_name::<S>().into(),
            tick: None,
            own: OwnLimits::default(),
            listen: Vec::new(),
            bad_address: None,
            #[cfg(feature = "tls")]
            tls: Vec::new(),
            tags: Vec::new(),
            pins: Vec::new(),
            stays: false,
            reserve: 0,
            mail: Vec::new(),
            mover: None,
            make: Arc::new(make),
            calls: None,
            streams: true,
        },
    }
}

/// A service and where it listens. From [`serve`]; several go into one [`Server`].
pub struct Serve<S: Service> {
    config: Config,
    spec: Spec<S>,
}

/// Makes the queues of a mailbox, and an inbox on a worker.
trait Mail<S: Service>: Send + Sync {
    fn bind(&self, shared: &Arc<Shared>) -> bool;
    fn inbox(&self, worker: usize) -> Box<dyn Inbox<S>>;
    fn close(&self);
    /// Bytes of one message, where a queue of them can be reserved.
    fn message_bytes(&self) -> usize {
        0
    }
}

impl<S: Work> Mail<S> for Offload<S::Answer> {
    fn bind(&self, shared: &Arc<Shared>) -> bool {
        self.bind(shared)
    }
    fn inbox(&self, worker: usize) -> Box<dyn Inbox<S>> {
        self.inbox::<S>(worker)
    }
    fn close(&self) {
        self.close();
    }
}

impl<S: Resolve> Mail<S> for Resolver {
    fn bind(&self, shared: &Arc<Shared>) -> bool {
        self.bind(shared)
    }
    fn inbox(&self, worker: usize) -> Box<dyn Inbox<S>> {
        self.inbox::<S>(worker)
    }
    fn close(&self) {
        self.close();
    }
}

impl<S: Receive> Mail<S> for Mailbox<S::Message> {
    fn message_bytes(&self) -> usize {
        size_of::<S::Message>()
    }
    fn bind(&self, shared: &Arc<Shared>) -> bool {
        self.bind(shared)
    }
    fn inbox(&self, worker: usize) -> Box<dyn Inbox<S>> {
        self.inbox::<S>(worker)
    }
    fn close(&self) {
        self.close();
    }
}

pub(crate) struct Spec<S: Service> {
    name: Arc<str>,
    tick: Option<Duration>,
    own: OwnLimits,
    listen: Vec<Address>,
    bad_address: Option<Error>,
    /// By the number of their address in `listen`.
    #[cfg(feature = "tls")]
    tls: Vec<(usize, TlsAcceptor)>,
    /// By the number of their address too.
    tags: Vec<(usize, u32)>,
    /// The only worker that has sockets of an address, by its number too.
    pins: Vec<(usize, usize)>,
    stays: bool,
    reserve: usize,
    /// The mailbox, and what else answers from other threads.
    mail: Vec<Box<dyn Mail<S>>>,
    mover: Option<Mover<S>>,
    make: Arc<dyn Fn() -> S + Send + Sync>,
    /// Set if it serves datagrams.
    calls: Option<Calls<S>>,
    streams: bool,
}

/// A described service with its type erased.
/// What a service bounds for itself.
#[derive(Clone, Copy, Default)]
pub(crate) struct OwnLimits {
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) input_max: Option<usize>,
    pub(crate) never_shed: bool,
    pub(crate) any_source: bool,
}

pub(crate) trait ServiceSpec: Send + Sync {
    fn name(&self) -> Arc<str>;
    fn tick(&self) -> Option<Duration>;
    fn own_limits(&self) -> OwnLimits;
    fn listen(&self) -> &[Address];
    /// The TLS of the n-th address.
    #[cfg(feature = "tls")]
    fn tls(&self, n: usize) -> Option<&TlsAcceptor>;
    /// The tag of the n-th address.
    fn tag(&self, n: usize) -> u32;
    /// The only worker that the n-th address is for, if it is for one.
    fn pin(&self, n: usize) -> Option<usize>;
    fn stays(&self) -> bool;
    fn reserve(&self) -> usize;
    fn take_error(&mut self) -> Option<Error>;
    /// Why it cannot listen on an address, if it cannot.
    fn cannot_listen(&self, address: &Address) -> Option<Error>;
    fn has_datagrams(&self) -> bool;
    fn bind_mailbox(&self, shared: &Arc<Shared>) -> bool;
    fn close_mailbox(&self);
    fn host(&self, worker: usize) -> Box<dyn Hosted>;
    /// Bytes of a session in its table.
    fn session_bytes(&self) -> usize;
    /// Bytes of one message of each of its mailboxes.
    fn message_bytes(&self) -> usize;
}

impl<S: Service> ServiceSpec for Spec<S> {
    fn name(&self) -> Arc<str> {
        self.name.clone()
    }
    fn tick(&self) -> Option<Duration> {
        self.tick
    }
    fn own_limits(&self) -> OwnLimits {
        self.own
    }
    fn listen(&self) -> &[Address] {
        &self.listen
    }
    #[cfg(feature = "tls")]
    fn tls(&self, n: usize) -> Option<&TlsAcceptor> {
        self.tls.iter().find(|(of, _)| *of == n).map(|(_, tls)| tls)
    }
    fn tag(&self, n: usize) -> u32 {
        self.tags.iter().find(|(of, _)| *of == n).map_or(0, |(_, tag)| *tag)
    }
    fn pin(&self, n: usize) -> Option<usize> {
        self.pins.iter().find(|(of, _)| *of == n).map(|(_, worker)| *worker)
    }
    fn stays(&self) -> bool {
        self.stays
    }
    fn reserve(&self) -> usize {
        self.reserve
    }
    fn cannot_listen(&self, address: &Address) -> Option<Error> {
        let name = &self.name;
        let what = match address {
            Address::Udp(_) if !parts::UDP => format!("there are no datagrams in this build: {address}"),
            Address::Udp(_) if self.calls.is_none() => format!("{name} serves no datagrams: {address}"),
            Address::Tcp(_) | Address::Unix(_) if !self.streams => {
                format!("{name} serves datagrams only: {address}")
            }
            _ => return None,
        };
        Some(Error::config(format!("cannot listen: {what}")))
    }
    fn take_error(&mut self) -> Option<Error> {
        let wrong = self.listen.iter().find_map(|address| self.cannot_listen(address));
        self.bad_address.take().or(wrong)
    }
    fn has_datagrams(&self) -> bool {
        self.calls.is_some()
    }
    fn bind_mailbox(&self, shared: &Arc<Shared>) -> bool {
        for (n, mail) in self.mail.iter().enumerate() {
            if !mail.bind(shared) {
                // That one is somebody else's; those before it are nobody's.
                self.mail[..n].iter().for_each(|mail| mail.close());
                return false;
            }
        }
        true
    }
    fn close_mailbox(&self) {
        self.mail.iter().for_each(|mail| mail.close());
    }
    fn host(&self, worker: usize) -> Box<dyn Hosted> {
        let inboxes = self.mail.iter().map(|mail| mail.inbox(worker)).collect();
        Box::new(Host::new((self.make)(), inboxes, self.mover, self.calls))
    }
    fn session_bytes(&self) -> usize {
        size_of::<Option<S::Session>>()
    }
    fn message_bytes(&self) -> usize {
        self.mail.iter().map(|mail| mail.message_bytes()).sum()
    }
}

impl<S: Service> Serve<S> {
    /// Listens on a TCP address: `HOST:PORT`, or `:PORT` for all addresses of the machine.
    pub fn tcp(mut self, address: impl Into<String>) -> Serve<S> {
        self.spec.listen.push(Address::Tcp(address.into()));
        self
    }

    /// Listens on a path, as a Unix stream socket.
    pub fn unix(mut self, path: impl Into<PathBuf>) -> Serve<S> {
        self.spec.listen.push(Address::Unix(path.into()));
        self
    }

    /// Takes datagrams on a UDP address: `HOST:PORT`, or `:PORT` for all addresses of the machine. Each
    /// worker has a socket of its own where the system spreads datagrams over them (by the addresses of
    /// both ends, so that a peer stays with its worker); elsewhere only the first worker has one.
    pub fn udp(mut self, address: impl Into<String>) -> Serve<S>
    where
        S: DatagramService,
    {
        self.spec.listen.push(Address::Udp(address.into()));
        self.datagrams()
    }

    /// Takes datagrams on a UDP address with one socket, on one worker, counted from 0: what is sent there comes to that worker,
    /// whoever sends it. For services whose peers have to find the worker that has their state, and are told its
    /// port. [`Serve::bind`] fails if there is no such worker.
    ///
    /// ```
    /// # use windlass::{Datagram, DatagramService, Socket, datagrams};
    /// # struct Echo;
    /// # impl DatagramService for Echo {
    /// #     fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
    /// #         socket.reply(&datagram, datagram.bytes);
    /// #     }
    /// # }
    /// // A port for each of two workers.
    /// let serve = datagrams(|| Echo).workers(2).udp_on(0, "127.0.0.1:0").udp_on(1, "127.0.0.1:0");
    /// let bound = serve.bind()?;
    /// assert_ne!(bound.addresses()[0], bound.addresses()[1]);
    /// # Ok::<(), windlass::Error>(())
    /// ```
    pub fn udp_on(mut self, worker: usize, address: impl Into<String>) -> Serve<S>
    where
        S: DatagramService,
    {
        self.spec.pins.push((self.spec.listen.len(), worker));
        self.udp(address)
    }

    /// Has a service that is a [`DatagramService`] too take datagrams, where [`Serve::listen`] is given a
    /// UDP address, or on sockets it opens itself.
    pub fn datagrams(mut self) -> Serve<S>
    where
        S: DatagramService,
    {
        self.spec.calls = Some(Calls::new());
        self
    }

    /// The service of this name has no streams.
    pub(crate) fn without_streams(mut self, full_name: &str) -> Serve<S> {
        self.spec.streams = false;
        self.spec.name = short_name(full_name).into();
        self
    }

    /// Listens on an [`Address`], or its text; text that is none is reported by `bind`.
    pub fn listen(mut self, address: impl AsRef<str>) -> Serve<S> {
        match address.as_ref().parse() {
            Ok(address) => self.spec.listen.push(address),
            Err(e) => self.spec.bad_address = Some(Error::config(format!("cannot listen: {e}"))),
        }
        self
    }

    /// Listens on an [`Address`], or its text, and speaks TLS there. Each listener has its own; those
    /// from [`tcp`](Serve::tcp), [`unix`](Serve::unix) and [`listen`](Serve::listen) stay plain.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, address: impl AsRef<str>, tls: &TlsAcceptor) -> Serve<S> {
        self.spec.tls.push((self.spec.listen.len(), tls.clone()));
        self.listen(address)
    }

    /// Tags the address given last: what the service's connections find in
    /// [`Conn::listener_tag`](crate::Conn::listener_tag), so that it may serve its listeners differently.
    /// Without one it is 0. Nothing happens before there is an address.
    pub fn tag(mut self, tag: u32) -> Serve<S> {
        if let Some(last) = self.spec.listen.len().checked_sub(1) {
            self.spec.tags.retain(|(of, _)| *of != last);
            self.spec.tags.push((last, tag));
        }
        self
    }

    /// This service stays while the others drain: in a graceful shutdown its listeners stay open, its
    /// connections are not told, and [`is_draining`](crate::Conn::is_draining) is not true for it. On each
    /// worker it is told when the last other connection has ended, and aborted with all others at the end
    /// of [`Limits::drain_timeout`]. For what must answer until the end, such as a readiness probe.
    pub fn while_draining(mut self) -> Serve<S> {
        self.spec.stays = true;
        self
    }

    /// Connections each of this service's listeners may have though
    /// [`Limits::connections_max`] is reached, so that it answers on a full server. They count like all
    /// others, so there may be as many more of them. Default 0.
    pub fn reserve(mut self, connections: usize) -> Serve<S> {
        self.spec.reserve = connections;
        self
    }

    /// The service's name, in reports and for [changes](crate::Change). Default: its type's.
    pub fn name(mut self, name: &str) -> Serve<S> {
        self.spec.name = name.into();
        self
    }

    /// Calls [`Service::tick`] with this period on every worker. On Linux the tick is precise to
    /// some tens of microseconds on an idle machine; elsewhere to a millisecond, and on Windows to
    /// the system's timer interrupt, usually 15.6 ms.
    pub fn tick(mut self, period: Duration) -> Serve<S> {
        self.spec.tick = Some(period);
        self
    }

    /// The idle timeout of this service's connections, instead of the server's
    /// [`Limits::idle_timeout`]. Zero: they may be silent for ever. In a simulation the simulated server's
    /// counts.
    pub fn idle_timeout(mut self, timeout: Duration) -> Serve<S> {
        self.spec.own.idle_timeout = Some(timeout);
        self
    }

    /// Bytes of input this service may leave untaken, instead of the server's [`Limits::input_max`]: its
    /// longest message. At least 1. In a simulation the simulated server's counts.
    pub fn input_max(mut self, bytes: usize) -> Serve<S> {
        self.spec.own.input_max = Some(bytes.max(1));
        self
    }

    /// Lets any number of connections of one address in to this service, and counts none of them, whatever
    /// [`Limits::source_connections_max`] says: for one that knows better whom they come from, behind a proxy,
    /// and has a limit of its own. Until it knows, which is the end of a TLS handshake, peers are counted that do
    /// not [speak for others](Service::speaks_for_others).
    pub fn any_source(mut self) -> Serve<S> {
        self.spec.own.any_source = true;
        self
    }

    /// Lets in whoever comes to this service even while a worker is overloaded or short of memory: for an
    /// admin listener, which is wanted then most. Limits on connections hold all the same.
    pub fn never_shed(mut self) -> Serve<S> {
        self.spec.own.never_shed = true;
        self
    }

    /// Delivers what is sent to `mailbox` to the service, on each worker.
    pub fn mailbox(mut self, mailbox: &Mailbox<S::Message>) -> Serve<S>
    where
        S: Receive,
    {
        self.spec.mail.push(Box::new(mailbox.clone()));
        self
    }

    /// Lets the service resolve names with `resolver`, and gives it the answers.
    pub fn resolver(mut self, resolver: &Resolver) -> Serve<S>
    where
        S: Resolve,
    {
        self.spec.mail.push(Box::new(resolver.clone()));
        self
    }

    /// Lets the service's connections move to other workers ([`Conn::move_to`](crate::Conn::move_to)).
    pub fn movable(mut self) -> Serve<S>
    where
        S: Move,
    {
        self.spec.mover = Some(Mover::new());
        self
    }

    /// Lets the service have its work done by `pool`, and gives it the answers.
    pub fn offload(mut self, pool: &Offload<S::Answer>) -> Serve<S>
    where
        S: Work,
    {
        self.spec.mail.push(Box::new(pool.clone()));
        self
    }

    /// Replaces the configuration. In a [`Server`] of several services the server's counts.
    pub fn config(mut self, config: Config) -> Serve<S> {
        self.config = config;
        self
    }

    /// Sets [`Config::workers`].
    pub fn workers(mut self, workers: usize) -> Serve<S> {
        self.config.workers = workers;
        self
    }

    /// Sets [`Config::limits`].
    pub fn limits(mut self, limits: Limits) -> Serve<S> {
        self.config.limits = limits;
        self
    }

    /// Opens the listeners.
    pub fn bind(self) -> Result<Bound> {
        let config = self.config.clone();
        Server::new(config).add(self).bind()
    }

    /// Opens the listeners and serves until the server is shut down.
    pub fn run(self) -> Result<Summary> {
        self.bind()?.run()
    }

    pub(crate) fn into_parts(self) -> (Config, Box<dyn ServiceSpec>) {
        (self.config, Box::new(self.spec))
    }

    pub(crate) fn into_spec(self) -> Box<dyn ServiceSpec> {
        Box::new(self.spec)
    }
}

/// `Echo` for `my_crate::echo::Echo`.
fn short_type_name<S>() -> &'static str {
    short_name(std::any::type_name::<S>())
}

fn short_name(full: &str) -> &str {
    let path = full.split('<').next().unwrap_or(full);
    path.rsplit("::").next().unwrap_or(path)
}

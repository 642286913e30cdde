//! What all workers of one proxy share, and the way to it from outside: serving, changing, looking.

#[allow(
    clippy::disallowed_types,
    reason = "taken when the configuration changes or is looked at, and never for a connection"
)]
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use windlass::{Mailbox, Resolver, Serve, Time, serve};

use crate::config::ProxyConfig;
use crate::discovery::Discovered;
use crate::http::{HttpProxy, HttpTotals};
use crate::plan::{ConfigError, Plan};
use crate::refusal::Refusals;
use crate::runtime::Overlay;
use crate::service::Proxy;
use crate::stats::{Changed, ProxyStats};
use crate::udp::{Totals, UdpProxy};

/// A proxy as a whole: makes the [`Proxy`] of each worker, changes all of them while they run, and tells how
/// they are. Clones are the same proxy.
///
/// ```no_run
/// use windlass_proxy::{Backend, Front, ProxyConfig};
///
/// let config = ProxyConfig::default()
///     .backend(Backend::at("10.0.0.1:80".parse()?))
///     .backend(Backend::at("10.0.0.2:80".parse()?));
/// let front = Front::new(config)?;
/// front.serve().tcp(":8080").run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Front {
    shared: Arc<Shared>,
}

/// What is sent to the workers of a proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Message {
    /// There is another configuration.
    Changed,
    /// A backend has room again.
    Room,
    /// Connections to the backend of this number are reset.
    Sever(u32),
    /// Somebody waits for a backend: connections that others keep idle are in the way.
    Wanted,
}

pub(crate) struct Shared {
    #[allow(clippy::disallowed_types, reason = "see above")]
    current: Mutex<Current>,
    /// That of the current plan: who has another one looks.
    pub(crate) version: AtomicU64,
    pub(crate) mailbox: Mailbox<Message>,
    pub(crate) resolver: Resolver,
    pub(crate) refusals: Refusals,
    /// Clients now, the most there have been, and since the start.
    pub(crate) clients: AtomicUsize,
    pub(crate) clients_peak: AtomicUsize,
    pub(crate) opened: AtomicU64,
    /// Clients in a queue now, and since the start.
    pub(crate) waiting: AtomicUsize,
    pub(crate) queued: AtomicU64,
    pub(crate) retries: AtomicU64,
    /// Bytes from clients to backends and back, of all that there have been.
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
    /// Backends that wait for the end of their connections.
    pub(crate) leaving: AtomicUsize,
    pub(crate) http: HttpTotals,
    /// The engine's clock, as worker 0 read it last.
    pub(crate) clock: AtomicU64,
    /// It serves datagrams, and what came of them.
    has_datagrams: AtomicBool,
    pub(crate) udp: Totals,
    /// Who is told what is found.
    pub(crate) hear: OnceLock<Hear>,
}

/// Who is told what is found.
pub(crate) type Hear = Box<dyn Fn(&Discovered) + Send + Sync>;

pub(crate) struct Current {
    pub(crate) plan: Arc<Plan>,
    pub(crate) next_id: u32,
    /// What an operator has changed on top of its configuration.
    pub(crate) overlay: Overlay,
}

impl Shared {
    pub(crate) fn with_current<T>(&self, act: impl FnOnce(&mut Current) -> T) -> T {
        // A panic elsewhere cannot leave it half changed.
        act(&mut self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        self.with_current(|current| current.plan.clone())
    }

    /// One client more.
    pub(crate) fn client_came(&self) {
        let now = self.clients.fetch_add(1, Relaxed) + 1;
        if now > self.clients_peak.load(Relaxed) {
            self.clients_peak.fetch_max(now, Relaxed);
        }
    }

    /// Puts another plan into effect, or leaves all as it is. Who has the old one is told.
    pub(crate) fn install(
        &self,
        current: &mut Current,
        config: ProxyConfig,
        overlay: Overlay,
    ) -> Result<(), ConfigError> {
        let mut next_id = current.next_id;
        let plan = Arc::new(Plan::layered(config, &overlay, Some(&current.plan), &mut next_id)?);
        if self.has_datagrams.load(Relaxed) {
            plan.check_udp()?;
        }
        self.version.store(plan.version, Relaxed);
        self.leaving.store(plan.leaving(), Relaxed);
        *current = Current { plan, next_id, overlay };
        // A worker with a full mailbox finds it at its next tick.
        let _ = self.mailbox.send_to_all(Message::Changed);
        Ok(())
    }
}

impl Front {
    /// A proxy with this configuration, which asks the system's resolver for names.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], the first there is.
    pub fn new(config: ProxyConfig) -> Result<Front, ConfigError> {
        Front::with_resolver(config, Resolver::default())
    }

    /// The same, with a resolver of the caller's.
    ///
    /// # Errors
    ///
    /// The same.
    #[allow(clippy::disallowed_types, reason = "see above")]
    pub fn with_resolver(config: ProxyConfig, resolver: Resolver) -> Result<Front, ConfigError> {
        let mut next_id = 0;
        let plan = Arc::new(Plan::new(config, None, &mut next_id)?);
        let shared = Shared {
            version: AtomicU64::new(plan.version),
            current: Mutex::new(Current { plan, next_id, overlay: Overlay::default() }),
            mailbox: Mailbox::new(),
            resolver,
            refusals: Refusals::default(),
            clients: AtomicUsize::new(0),
            clients_peak: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            queued: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            leaving: AtomicUsize::new(0),
            http: HttpTotals::default(),
            clock: AtomicU64::new(0),
            has_datagrams: AtomicBool::new(false),
            udp: Totals::default(),
            hear: OnceLock::new(),
        };
        Ok(Front { shared: Arc::new(shared) })
    }

    /// The service of one worker. It wants [`Front::mailbox`], [`Front::resolver`] and a tick of
    /// [`Proxy::TICK`], and keeps deadlines for silence itself: [`Front::serve`] gives it all of that.
    pub fn proxy(&self) -> Proxy {
        Proxy::new(self.shared.clone(), self.shared.plan())
    }

    /// The proxy with all that it needs but addresses to listen on.
    pub fn serve(&self) -> Serve<Proxy> {
        let front = self.clone();
        serve(move || front.proxy())
            .mailbox(self.mailbox())
            .resolver(self.resolver())
            .tick(Proxy::TICK)
            .idle_timeout(std::time::Duration::ZERO)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The service for HTTP of one worker, as [`Front::proxy`] is the one for TCP. [`Front::serve_http`] gives it
    /// all that it wants.
    pub fn http_proxy(&self) -> HttpProxy {
        HttpProxy::new(self.shared.clone(), self.shared.plan())
    }

    /// The proxy for HTTP with all that it needs but addresses to listen on: its backends get requests of any
    /// client on any connection, one after the other.
    pub fn serve_http(&self) -> Serve<HttpProxy> {
        self.serve_http_with(|proxy| proxy)
    }

    /// The same, with something done to the proxy of each worker: [`HttpProxy::on_exchange`].
    pub fn serve_http_with(
        &self,
        make: impl Fn(HttpProxy) -> HttpProxy + Send + Sync + 'static,
    ) -> Serve<HttpProxy> {
        let front = self.clone();
        serve(move || make(front.http_proxy()))
            .mailbox(self.mailbox())
            .resolver(self.resolver())
            .tick(HttpProxy::TICK)
            .idle_timeout(std::time::Duration::ZERO)
    }

    /// The service of one worker for datagrams. It wants what [`Front::proxy`] does: [`Front::serve_udp`] gives it
    /// all of that.
    ///
    /// # Errors
    ///
    /// The configuration has what only connections can have: see [`ProxyConfig::check_udp`]. From here on
    /// [`Front::change`] looks at that too.
    pub fn udp_proxy(&self) -> Result<UdpProxy, ConfigError> {
        Ok(UdpProxy::new(self.shared.clone(), self.for_datagrams()?))
    }

    /// Checks that it can serve them, now and whenever it changes.
    fn for_datagrams(&self) -> Result<Arc<Plan>, ConfigError> {
        self.shared.with_current(|current| {
            current.plan.check_udp()?;
            self.shared.has_datagrams.store(true, Relaxed);
            Ok(current.plan.clone())
        })
    }

    /// The proxy for datagrams, with all that it needs but addresses:
    /// `front.serve_udp()?.udp(":53")`. A front serves either datagrams or connections.
    ///
    /// # Errors
    ///
    /// As [`Front::udp_proxy`] says.
    pub fn serve_udp(&self) -> Result<Serve<UdpProxy>, ConfigError> {
        self.serve_udp_with(|proxy| proxy)
    }

    /// The same, with something done to the proxy of each worker: [`UdpProxy::on_flow`].
    ///
    /// # Errors
    ///
    /// As [`Front::udp_proxy`] says.
    pub fn serve_udp_with(
        &self,
        make: impl Fn(UdpProxy) -> UdpProxy + Send + Sync + 'static,
    ) -> Result<Serve<UdpProxy>, ConfigError> {
        self.for_datagrams()?;
        let shared = self.shared.clone();
        Ok(serve(move || make(UdpProxy::new(shared.clone(), shared.plan())))
            .mailbox(self.mailbox())
            .resolver(self.resolver())
            .tick(Proxy::TICK)
            .datagrams())
    }

    pub(crate) fn shared_clone(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// The mailbox of its workers.
    pub fn mailbox(&self) -> &Mailbox<Message> {
        &self.shared.mailbox
    }

    /// What resolves names for it.
    pub fn resolver(&self) -> &Resolver {
        &self.shared.resolver
    }

    /// Changes a running proxy: from the next turn of each worker on, new connections go by this
    /// configuration. Backends are known by their addresses and groups by their routes' names; what stays
    /// keeps its counts and its health. A backend that is gone, or weighs nothing now, keeps the connections
    /// it has. Whoever waits, waits on; but for a route that is gone, which refuses.
    ///
    /// What was [ordered](Front::order) of a backend stays, as long as the backend does; one that was
    /// [added](Front::add) stays too, and is the configuration's from when that has it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]; nothing has changed then.
    pub fn change(&self, config: ProxyConfig) -> Result<Changed, ConfigError> {
        self.shared.with_current(|current| {
            let before = current.plan.clone();
            let overlay = current.overlay.fitted(&config);
            self.shared.install(current, config, overlay)?;
            Ok(Changed::between(&before, &current.plan))
        })
    }

    /// The configuration in effect, or about to be, without what was changed on top of it.
    pub fn config(&self) -> ProxyConfig {
        self.shared.plan().config.clone()
    }

    /// How it is now.
    pub fn stats(&self) -> ProxyStats {
        let now = Time::from_nanos(self.shared.clock.load(Relaxed));
        let plan = self.shared.plan();
        let http = self.shared.http.all();
        ProxyStats {
            clients: self.shared.clients.load(Relaxed),
            clients_peak: self.shared.clients_peak.load(Relaxed),
            opened: self.shared.opened.load(Relaxed),
            waiting: self.shared.waiting.load(Relaxed),
            queued: self.shared.queued.load(Relaxed),
            retries: self.shared.retries.load(Relaxed),
            received_bytes: self.shared.received.load(Relaxed) + http.received_bytes,
            sent_bytes: self.shared.sent.load(Relaxed) + http.sent_bytes,
            http,
            refused: self.shared.refusals.all(),
            backends: crate::stats::backends(&plan, now),
            retry_budgets: crate::stats::budgets(&plan),
            guard: plan.guard.stats(),
            udp: self.shared.has_datagrams.load(Relaxed).then(|| self.shared.udp.all()),
            sources: self.shared.with_current(|current| current.overlay.found.stats(now)),
        }
    }
}

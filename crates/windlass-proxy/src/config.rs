//! What can be set: plain data with `Default`. What it comes to, checked, is in `plan.rs`.

use std::time::Duration;

#[cfg(feature = "tls")]
use windlass::TlsTarget;
use windlass_proto::CLIENT_HELLO_MAX;
use windlass_proto::proxy_protocol::Version;

use crate::balance::Balance;
use crate::breaker::Breaker;
use crate::budget::RetryBudget;
use crate::checks::{CheckAddress, CheckKind};
use crate::discovery::{Discover, DiscoveryConfig};
use crate::guard::GuardConfig;
use crate::http::{HttpConfig, HttpRoute};
use crate::sources::Sources;
use crate::target::Target;
use crate::udp::UdpConfig;

/// How a [`Proxy`](crate::Proxy) serves.
///
/// ```
/// use windlass_proxy::{Backend, Balance, ProxyConfig};
///
/// let config = ProxyConfig::default()
///     .backend(Backend::at("10.0.0.1:80".parse()?))
///     .backend(Backend::at("10.0.0.2:80".parse()?).weight(3).connections_max(200))
///     .balance(Balance::LeastConnections);
/// assert_eq!(config.backends.len(), 2);
/// # Ok::<(), windlass::AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProxyConfig {
    /// Where connections go; with routes, those that none of them takes. There may be none then: they are
    /// refused.
    pub backends: Vec<Backend>,
    /// TLS passed through, by what its ClientHello asks for. Without routes nothing is looked at.
    pub routes: Vec<Route>,
    /// How a backend is chosen, of a route or of the others. Default [`Balance::RoundRobin`].
    pub balance: Balance,
    /// Where a client's address decides: the connections one backend may have, in percent of its share of
    /// them all. The next one takes what is more. 0: no bound; else at least 100. Default 125.
    pub load_factor_percent: u32,
    /// Further tries of one client to be connected, each to a backend it has not tried, where there is one.
    /// Default 3.
    pub retries_max: u32,
    /// The pause before a backend that has failed is tried again because there is no other. Default 250 ms.
    pub retry_pause: Duration,
    /// How many may be tried again at the same time.
    pub retry_budget: RetryBudget,
    /// Clients that may wait on one worker, for each route, for a backend with room or one that is there at
    /// all. More are refused. 0: nobody waits. Default 1024.
    pub queue_max: usize,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// Peers that say in a PROXY header whom they stand for. Default: none do, and nothing is looked at.
    pub accept_proxy: Option<AcceptProxy>,
    /// Bytes a ClientHello may take where there are routes. Default [`CLIENT_HELLO_MAX`].
    pub hello_max: usize,
    /// Who is let in, and how much of one source.
    pub guard: GuardConfig,
    /// Who is well.
    pub health: Health,
    /// What backends are asked when they are checked.
    pub check: CheckKind,
    /// How often names of backends are resolved anew. What was found last counts for as long as nothing
    /// newer is found. Default 30 s.
    pub resolve_every: Duration,
    /// How HTTP is served.
    pub http: HttpConfig,
    /// Datagrams, where [`Front::serve_udp`](crate::Front::serve_udp) serves them.
    pub udp: UdpConfig,
    /// Where more of `backends` come from. Default: nowhere.
    pub discover: Vec<Discover>,
    /// How they are looked for.
    pub discovery: DiscoveryConfig,
}

impl Default for ProxyConfig {
    fn default() -> ProxyConfig {
        ProxyConfig {
            backends: Vec::new(),
            routes: Vec::new(),
            balance: Balance::default(),
            load_factor_percent: 125,
            retries_max: 3,
            retry_pause: Duration::from_millis(250),
            retry_budget: RetryBudget::default(),
            queue_max: 1024,
            timeouts: Timeouts::default(),
            accept_proxy: None,
            hello_max: CLIENT_HELLO_MAX,
            guard: GuardConfig::default(),
            health: Health::default(),
            check: CheckKind::default(),
            resolve_every: Duration::from_secs(30),
            http: HttpConfig::default(),
            udp: UdpConfig::default(),
            discover: Vec::new(),
            discovery: DiscoveryConfig::default(),
        }
    }
}

impl ProxyConfig {
    /// Adds a backend.
    pub fn backend(mut self, backend: Backend) -> ProxyConfig {
        self.backends.push(backend);
        self
    }

    /// Adds a source of backends.
    pub fn discover(mut self, discover: Discover) -> ProxyConfig {
        self.discover.push(discover);
        self
    }

    /// Adds a route.
    pub fn route(mut self, route: Route) -> ProxyConfig {
        self.routes.push(route);
        self
    }

    /// Sets [`ProxyConfig::balance`].
    pub fn balance(mut self, balance: Balance) -> ProxyConfig {
        self.balance = balance;
        self
    }

    /// Sets [`ProxyConfig::retries_max`].
    pub fn retries_max(mut self, retries: u32) -> ProxyConfig {
        self.retries_max = retries;
        self
    }

    /// Sets [`ProxyConfig::queue_max`].
    pub fn queue_max(mut self, clients: usize) -> ProxyConfig {
        self.queue_max = clients;
        self
    }

    /// Sets [`ProxyConfig::timeouts`].
    pub fn timeouts(mut self, timeouts: Timeouts) -> ProxyConfig {
        self.timeouts = timeouts;
        self
    }

    /// Sets [`ProxyConfig::accept_proxy`].
    pub fn accept_proxy(mut self, accept: AcceptProxy) -> ProxyConfig {
        self.accept_proxy = Some(accept);
        self
    }

    /// Sets [`ProxyConfig::guard`].
    pub fn guard(mut self, guard: GuardConfig) -> ProxyConfig {
        self.guard = guard;
        self
    }

    /// Sets [`ProxyConfig::check`].
    pub fn check(mut self, check: CheckKind) -> ProxyConfig {
        self.check = check;
        self
    }

    /// Sets [`ProxyConfig::health`].
    pub fn health(mut self, health: Health) -> ProxyConfig {
        self.health = health;
        self
    }
}

/// One backend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backend {
    /// Its name in reports. Default: its address.
    pub name: String,
    /// Where it is. It is the same backend for as long as this is the same.
    pub to: Target,
    /// Its share of new connections, relative to the others'. 0: it gets no new ones and keeps those it has.
    /// At most 65,535. Default 1.
    pub weight: u32,
    /// Connections to it, of all workers together. Others take what is more, or it waits. 0: no limit of its
    /// own. Default 0.
    pub connections_max: usize,
    /// Tells it in a PROXY header of this version who the client is. Of HTTP each request has a connection of its
    /// own then, since the header is for all of one; `Forwarded` headers cost nothing. Default: does not.
    pub send_proxy: Option<Version>,
    /// In a header of version 2 it is told more than addresses: of TLS that ends here the protocol (ALPN), the
    /// name the client asked for, the version and the cipher suite; and a checksum. Default: is not.
    pub send_proxy_tlvs: bool,
    /// Checks go there instead, without TLS and PROXY header. Default: to its own address.
    pub check_address: Option<CheckAddress>,
    /// Speaks TLS with it. Default: plain.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsTarget>,
}

impl Backend {
    /// A backend at this address, with the defaults.
    pub fn at(to: Target) -> Backend {
        Backend {
            name: to.to_string(),
            to,
            weight: 1,
            connections_max: 0,
            send_proxy: None,
            send_proxy_tlvs: false,
            check_address: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Sets [`Backend::name`].
    pub fn name(mut self, name: impl Into<String>) -> Backend {
        self.name = name.into();
        self
    }

    /// Sets [`Backend::weight`].
    pub fn weight(mut self, weight: u32) -> Backend {
        self.weight = weight;
        self
    }

    /// Sets [`Backend::connections_max`].
    pub fn connections_max(mut self, connections: usize) -> Backend {
        self.connections_max = connections;
        self
    }

    /// Sets [`Backend::send_proxy`].
    pub fn send_proxy(mut self, version: Version) -> Backend {
        self.send_proxy = Some(version);
        self
    }

    /// Sets [`Backend::check_address`], to a port or to an address.
    pub fn check_address(mut self, at: impl Into<CheckAddress>) -> Backend {
        self.check_address = Some(at.into());
        self
    }

    /// Sets [`Backend::send_proxy_tlvs`].
    pub fn send_proxy_tlvs(mut self, tlvs: bool) -> Backend {
        self.send_proxy_tlvs = tlvs;
        self
    }

    /// Sets [`Backend::tls`].
    #[cfg(feature = "tls")]
    pub fn tls(mut self, target: TlsTarget) -> Backend {
        self.tls = Some(target);
        self
    }
}

/// Backends for TLS connections that ask for certain names or protocols. Of several routes that fit, the one
/// with the most exact name takes the connection; of equals the one that asks for a protocol, then the first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Route {
    /// Its name in reports. Default: its first server name, or protocol.
    pub name: String,
    /// Names by SNI: `www.example.com`, `*.example.com` for all below it, `*` for any. None: whatever the
    /// name, and without one.
    pub server_names: Vec<String>,
    /// Protocols by ALPN, one of which the client offers. None: whatever it offers.
    pub alpn: Vec<String>,
    /// Where they go.
    pub backends: Vec<Backend>,
    /// Which requests it takes where HTTP is served, and what becomes of them. Server names and protocols are
    /// for TLS that is passed through.
    pub http: HttpRoute,
    /// Where more of these come from.
    pub discover: Vec<Discover>,
}

impl Route {
    /// A route for this server name.
    pub fn server_name(name: impl Into<String>) -> Route {
        Route { server_names: vec![name.into()], ..Route::default() }
    }

    /// A route for this protocol.
    pub fn alpn(protocol: impl Into<String>) -> Route {
        Route { alpn: vec![protocol.into()], ..Route::default() }
    }

    /// Adds a backend.
    pub fn backend(mut self, backend: Backend) -> Route {
        self.backends.push(backend);
        self
    }
}

/// Deadlines. Zero turns one off, but for `connect`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// To be connected to a backend, each try. Default 5 s.
    pub connect: Duration,
    /// For a client to send its PROXY header and its ClientHello, both together. Default 5 s.
    pub greeting: Duration,
    /// In the queue. Default 10 s.
    pub queue: Duration,
    /// Silence on the client's connection, in both directions. Default 10 min.
    pub client: Duration,
    /// Silence on the backend's. Default 10 min.
    pub server: Duration,
    /// If set, takes the place of those two once both are connected. Default 0.
    pub tunnel: Duration,
    /// Silence on the client's connection after the backend has ended its stream. 0: those above go on, as without
    /// HAProxy's `timeout client-fin`. Default 30 s.
    pub client_fin: Duration,
    /// Silence on the backend's connection after the client has ended its stream. 0: the same. Default 30 s.
    pub server_fin: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(5),
            greeting: Duration::from_secs(5),
            queue: Duration::from_secs(10),
            client: Duration::from_secs(600),
            server: Duration::from_secs(600),
            tunnel: Duration::ZERO,
            client_fin: Duration::from_secs(30),
            server_fin: Duration::from_secs(30),
        }
    }
}

/// Who says in a PROXY header whom a connection is for. Whoever may must.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AcceptProxy {
    /// Those who are believed.
    pub from: Sources,
    /// What becomes of everybody else. Default [`Others::Refused`].
    pub others: Others,
}

/// What becomes of a peer that is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Others {
    /// Their connections are closed at once.
    #[default]
    Refused,
    /// They are clients themselves, whose first bytes are looked at: who begins with a PROXY header is
    /// refused. For protocols in which the client speaks first; others wait for the greeting's deadline.
    Clients,
}

impl AcceptProxy {
    /// From these, and nobody else.
    pub fn from(from: Sources) -> AcceptProxy {
        AcceptProxy { from, others: Others::Refused }
    }

    /// Sets [`AcceptProxy::others`].
    pub fn others(mut self, others: Others) -> AcceptProxy {
        self.others = others;
        self
    }
}

/// Who is well, and who may have connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Health {
    /// How often each backend is checked, by connecting to it (with TLS, if it speaks that) and by what
    /// [`ProxyConfig::check`] asks. Worker 0 does it, for all. 0: never. Default 0.
    pub check_every: Duration,
    /// Checks are spread by up to so many percent of the time between them. Default 20.
    pub jitter_percent: u32,
    /// How long a check may take. Default 2 s.
    pub check_timeout: Duration,
    /// Checks in a row that bring a backend back. Default 2.
    pub rise: u32,
    /// Checks in a row that failed, and it is down. Default 3.
    pub fall: u32,
    /// Connections of clients in a row that could not be made, or were reset before a byte had passed in either
    /// direction, or requests of HTTP that were reset or left without anything of an answer in their time, and the
    /// backend is ejected: it gets no new ones for some time. What a client has said on a connection may be why
    /// that was reset, so such a one says nothing about the backend. 0: never. Default 3.
    pub failures_max: u32,
    /// For how long: so long for the first time, twice as long if it happens again before a connection has
    /// come about, and so on. Default 10 s.
    pub eject: Duration,
    /// The longest ejection. Default 5 min.
    pub eject_max: Duration,
    /// Backends of one group that may be ejected at the same time, in percent. Default 50.
    pub ejected_max_percent: u32,
    /// With fewer than so many percent of a group well, health is ignored and all are tried: it is more likely
    /// that the checks are wrong. 0: only when none is. Default 0.
    pub fail_open_percent: u32,
    /// A backend that has come back gets its share of new connections little by little within this time,
    /// from a tenth on. Where a client's address decides, it has no effect. Default 0.
    pub slow_start: Duration,
    /// The circuit breaker of each backend.
    pub breaker: Breaker,
}

impl Default for Health {
    fn default() -> Health {
        Health {
            check_every: Duration::ZERO,
            jitter_percent: 20,
            check_timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
            failures_max: 3,
            eject: Duration::from_secs(10),
            eject_max: Duration::from_secs(300),
            ejected_max_percent: 50,
            fail_open_percent: 0,
            slow_start: Duration::ZERO,
            breaker: Breaker::default(),
        }
    }
}

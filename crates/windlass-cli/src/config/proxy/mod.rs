//! What `[[proxy]]` may hold; `proxy` makes a [`ProxyConfig`](windlass_proxy::ProxyConfig) of it.

mod guard;
pub(crate) mod http;
pub(crate) mod udp;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass::Address;
use windlass_proxy::{Balance, DiscoveryConfig, Health, ProxyConfig};

use crate::config::shape::{AccessTable, TlsTable};
use crate::config::value::{
    Backend, CheckAddress, Count, FilePath, HeaderRule, Listen, NameServer, Network, Source, Time,
};
pub(crate) use guard::{BreakerTable, ExchangeTable, GuardTable, HttpCheckTable};
use http::{HttpTable, RespondTable};
use udp::UdpTable;

/// A proxy and load balancer.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ProxyTable {
    /// What it is called in logs and metrics.
    pub(crate) name: String,
    /// What it passes on: connections as they are, the requests in them, or datagrams.
    pub(crate) mode: ModeName,
    /// Where it listens: `HOST:PORT`, `:PORT` or `unix:PATH`. With `mode = "udp"` these are UDP ports, and
    /// `udp:HOST:PORT` is the same.
    pub(crate) listen: Vec<Listen>,
    /// Where connections go: `HOST:PORT`, of a name too, or `unix:PATH`. A backend with settings of its own
    /// is a `[[proxy.backend]]`.
    pub(crate) to: Vec<Backend>,
    /// Where more backends come from: `file:PATH`, which is watched, `dns:NAME:PORT` for all addresses of a name,
    /// or `srv:NAME` for the targets of a service.
    pub(crate) discover: Vec<Source>,
    /// How a backend is chosen. The last two go by the client's address.
    pub(crate) balance: BalanceName,
    /// By the client's address: the connections that a backend may have, in percent of its share, from 100 on. 0: any
    /// number.
    pub(crate) load_factor_percent: Count,
    /// Connections to each backend, of all workers together. 0: any number.
    pub(crate) connections_max: Count,
    /// Clients of one worker that may wait for a backend with room, for each route. 0: nobody waits.
    pub(crate) queue_max: Count,
    /// Further tries to connect a client, each to another backend where there is one.
    pub(crate) retries_max: Count,
    /// The pause before a backend is tried again because there is no other.
    pub(crate) retry_pause: Time,
    /// Clients of one route that may be tried again at the same time, in percent of those on their way to a
    /// backend. More wait for it. 100: no limit.
    pub(crate) retry_budget_percent: Count,
    /// So many always may.
    pub(crate) retry_budget_min: Count,
    /// Tell backends in a PROXY header of this version who the client is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["v2"]))]
    pub(crate) send_proxy: Option<ProxyVersion>,
    /// Tell them of the client's TLS too, if it ends here: the protocol, the name it asks for, the version. Takes
    /// `send_proxy = "v2"`.
    pub(crate) send_proxy_tlvs: bool,
    /// Networks, or `unix`, whose PROXY headers are believed, and asked for. Without one nobody's are.
    pub(crate) accept_proxy_from: Vec<Network>,
    /// What becomes of everybody else then.
    pub(crate) accept_proxy_others: OthersName,
    /// How long it may take to connect to a backend, each time.
    pub(crate) connect_timeout: Time,
    /// How long a client may take for its PROXY header and its ClientHello. 0: for ever.
    pub(crate) greeting_timeout: Time,
    /// How long a client may wait for a backend with room. 0: for ever.
    pub(crate) queue_timeout: Time,
    /// Silence of a client, in both directions. 0: for ever.
    pub(crate) client_timeout: Time,
    /// Silence of a backend. 0: for ever.
    pub(crate) server_timeout: Time,
    /// If it is not 0, it takes the place of these two once both are connected.
    pub(crate) tunnel_timeout: Time,
    /// Silence of a client after the backend has ended its stream. 0: the timeouts above go on.
    pub(crate) client_fin_timeout: Time,
    /// Silence of a backend after the client has ended its stream. 0: the same.
    pub(crate) server_fin_timeout: Time,
    /// How often backends are checked, by connecting to them. 0: never.
    pub(crate) check_every: Time,
    /// How long a check may take.
    pub(crate) check_timeout: Time,
    /// Checks in a row that bring a backend back.
    pub(crate) check_rise: Count,
    /// Checks in a row that have to fail, and it is down.
    pub(crate) check_fall: Count,
    /// Connections in a row that cannot be made or are reset before a byte has passed, and a backend gets no new ones
    /// for some time. 0: any number.
    pub(crate) failures_max: Count,
    /// For how long: twice as long each time it happens again.
    pub(crate) eject: Time,
    /// The longest that gets.
    pub(crate) eject_max: Time,
    /// Backends that this may happen to at the same time, in percent.
    pub(crate) ejected_max_percent: Count,
    /// With fewer than so many percent well, all are tried. 0: only when none is.
    pub(crate) fail_open_percent: Count,
    /// A backend that has come back gets its share little by little, in this time.
    pub(crate) slow_start: Time,
    /// How often names of backends are resolved anew.
    pub(crate) resolve_every: Time,
    /// Ask backends by an HTTP request when they are checked; else it is enough that they can be connected to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) check_http: Option<HttpCheckTable>,
    /// Ask them by bytes instead; with `mode = "udp"` by a datagram.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) check_exchange: Option<ExchangeTable>,
    /// Break off with backends that fail too often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) breaker: Option<BreakerTable>,
    /// Who is let in, and how much of one source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guard: Option<GuardTable>,
    /// How often files with backends are looked at.
    pub(crate) file_every: Time,
    /// Name servers that are asked for backends. None: those of `/etc/resolv.conf`.
    pub(crate) dns_servers: Vec<NameServer>,
    /// How long a name server may take before the next is asked.
    pub(crate) dns_timeout: Time,
    /// How often a question is asked before it has failed.
    pub(crate) dns_tries: Count,
    /// The shortest time that an answer counts, whatever its time to live.
    pub(crate) dns_ttl_min: Time,
    /// The longest.
    pub(crate) dns_ttl_max: Time,
    /// Speak TLS with backends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backend_tls: Option<BackendTlsTable>,
    /// Speak TLS on every address of it; what comes out of it goes to the backends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<TlsTable>,
    /// A line for each connection when it has ended, for each request with `mode = "http"`, or for each flow with
    /// `mode = "udp"`. Without a format it is
    /// `{time} {peer} {service} {listener} {duration_ms} {received} {sent} {messages} {reason} {fault}`, `combined`
    /// for requests, and for flows
    /// `{time} {peer} {service} {listener} {backend} {duration_ms} {received} {sent} {requests} {replies} {ending}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access_log: Option<AccessTable>,
    /// Backends with settings of their own, besides those in `to`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) backend: Vec<BackendTable>,
    /// How HTTP is served, with `mode = "http"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<HttpTable>,
    /// How datagrams are passed on, with `mode = "udp"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) udp: Option<UdpTable>,
    /// Backends for some of what comes: for TLS that is passed through by what the client asks for, or for
    /// requests by their host and path with `mode = "http"`. The others go to those above.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) route: Vec<RouteTable>,
}

impl Default for ProxyTable {
    fn default() -> ProxyTable {
        let ProxyConfig {
            load_factor_percent,
            retries_max,
            retry_pause,
            retry_budget,
            queue_max,
            timeouts,
            health,
            resolve_every,
            discovery,
            ..
        } = ProxyConfig::default();
        let DiscoveryConfig { file_every, dns_timeout, dns_tries, ttl_min, ttl_max, .. } = discovery;
        let Health {
            check_every,
            check_timeout,
            rise,
            fall,
            failures_max,
            eject,
            eject_max,
            ejected_max_percent,
            fail_open_percent,
            slow_start,
            ..
        } = health;
        let count = |n: u32| Count(n as usize);
        ProxyTable {
            name: "proxy".into(),
            mode: ModeName::default(),
            listen: Vec::new(),
            to: Vec::new(),
            discover: Vec::new(),
            balance: BalanceName::default(),
            load_factor_percent: count(load_factor_percent),
            connections_max: Count(0),
            queue_max: Count(queue_max),
            retries_max: count(retries_max),
            retry_pause: Time(retry_pause),
            retry_budget_percent: count(retry_budget.percent),
            retry_budget_min: count(retry_budget.concurrent_min),
            send_proxy: None,
            send_proxy_tlvs: false,
            accept_proxy_from: Vec::new(),
            accept_proxy_others: OthersName::default(),
            connect_timeout: Time(timeouts.connect),
            greeting_timeout: Time(timeouts.greeting),
            queue_timeout: Time(timeouts.queue),
            client_timeout: Time(timeouts.client),
            server_timeout: Time(timeouts.server),
            tunnel_timeout: Time(timeouts.tunnel),
            client_fin_timeout: Time(timeouts.client_fin),
            server_fin_timeout: Time(timeouts.server_fin),
            check_every: Time(check_every),
            check_timeout: Time(check_timeout),
            check_rise: count(rise),
            check_fall: count(fall),
            failures_max: count(failures_max),
            eject: Time(eject),
            eject_max: Time(eject_max),
            ejected_max_percent: count(ejected_max_percent),
            fail_open_percent: count(fail_open_percent),
            slow_start: Time(slow_start),
            resolve_every: Time(resolve_every),
            check_http: None,
            check_exchange: None,
            breaker: None,
            guard: None,
            file_every: Time(file_every),
            dns_servers: Vec::new(),
            dns_timeout: Time(dns_timeout),
            dns_tries: count(dns_tries),
            dns_ttl_min: Time(ttl_min),
            dns_ttl_max: Time(ttl_max),
            backend_tls: None,
            tls: None,
            access_log: None,
            backend: Vec::new(),
            http: None,
            udp: None,
            route: Vec::new(),
        }
    }
}

impl ProxyTable {
    /// As it is meant: ports are UDP ports where there is nothing else.
    pub(crate) fn meant(mut self) -> ProxyTable {
        if self.mode == ModeName::Udp {
            for Listen(address) in &mut self.listen {
                if let Address::Tcp(text) = address {
                    *address = Address::Udp(std::mem::take(text));
                }
            }
        }
        self
    }

    /// Whether it has anywhere to send a client.
    pub(crate) fn has_backends(&self) -> bool {
        !(self.to.is_empty() && self.backend.is_empty() && self.route.is_empty() && self.discover.is_empty())
    }

    /// Every source of backends.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &windlass_proxy::Source> {
        let routed = self.route.iter().flat_map(|route| &route.discover);
        self.discover.iter().chain(routed).map(|Source(source)| source)
    }

    /// The service that looks for them, if there are any.
    pub(crate) fn discovery(&self) -> Option<String> {
        self.sources().next().map(|_| format!("{} discovery", self.name))
    }

    /// The files that its pages and answers are in, each with the key it stands behind.
    pub(crate) fn pages(&self) -> Vec<(String, &FilePath)> {
        let pages = self.http.iter().flat_map(|http| http.error_page.iter().enumerate());
        let pages = pages.map(|(n, page)| (format!("http.error_page[{n}].file"), &page.file));
        let answers = self.route.iter().enumerate().filter_map(|(n, route)| {
            Some((format!("route[{n}].respond.file"), route.respond.as_ref()?.file.as_ref()?))
        });
        pages.chain(answers).collect()
    }

    /// Whether it names files that are read when it takes effect. Lists of backends are watched.
    pub(crate) fn names_files(&self) -> bool {
        self.backend_tls().next().is_some() || !self.pages().is_empty()
    }

    /// Every TLS that is spoken with backends.
    pub(crate) fn backend_tls(&self) -> impl Iterator<Item = &BackendTlsTable> {
        let routed = self.route.iter().flat_map(|route| &route.backend);
        let own = self.backend.iter().chain(routed).filter_map(|backend| backend.tls.as_ref());
        self.backend_tls.iter().chain(own)
    }
}

/// A backend with settings of its own.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackendTable {
    /// Where it is.
    pub(crate) to: Backend,
    /// What it is called in metrics. Its address, if nothing else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Its share of new connections. 0: it gets none, and keeps those it has.
    #[serde(default = "one")]
    pub(crate) weight: Count,
    /// Connections to it. As for all, if nothing else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) connections_max: Option<Count>,
    /// Checks go to this port instead, without TLS and PROXY header. To its own, if nothing else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [9000]))]
    pub(crate) check_port: Option<u16>,
    /// Checks go to this address instead, in the same way: to an agent that knows how the backend is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) check_address: Option<CheckAddress>,
    /// The PROXY header it is told in. As for all, if nothing else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) send_proxy: Option<ProxyVersion>,
    /// TLS with it. As for all, if nothing else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<BackendTlsTable>,
}

fn one() -> Count {
    Count(1)
}

/// Backends for some of what comes, or an answer to it.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RouteTable {
    /// What it is called in metrics. Its first name, if nothing else is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Hosts of requests: `www.example.com`, `*.example.com` for all below it, `*` for any. None: whatever the
    /// host. Of several routes that fit, the one with the most exact host takes a request, and then the one with
    /// the longest path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["www.example.com", "*.example.org"]]))]
    pub(crate) hosts: Vec<String>,
    /// Paths of requests: `/api` and what is below it, or `=/api` that path alone. None: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["/api", "=/health"]]))]
    pub(crate) paths: Vec<String>,
    /// Methods of requests that are let through. None: those of `http.methods`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["GET", "HEAD"]]))]
    pub(crate) methods: Vec<String>,
    /// Answer with another address; the names in braces of `http.request_headers` may stand in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["https://{host}{uri}"]))]
    pub(crate) redirect: Option<String>,
    /// With which status: 301, 302, 303, 307 or 308. 302, if nothing else is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redirect_status: Option<Count>,
    /// Answer with this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) respond: Option<RespondTable>,
    /// This beginning of the path is taken off before a request is passed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["/api"]))]
    pub(crate) strip_prefix: Option<String>,
    /// This is put before the path then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["/v2"]))]
    pub(crate) add_prefix: Option<String>,
    /// What backends are told in `Host`: a name, or `{backend}` for their address. What the client said, if
    /// nothing else is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["{backend}"]))]
    pub(crate) host_header: Option<String>,
    /// Changes to the headers of requests, behind those of `http.request_headers`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) request_headers: Vec<HeaderRule>,
    /// Changes to the headers of responses, behind those of `http.response_headers`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) response_headers: Vec<HeaderRule>,
    /// Names by SNI: `www.example.com`, `*.example.com` for all below it, `*` for any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) server_names: Vec<String>,
    /// Protocols by ALPN.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) alpn: Vec<String>,
    /// Where they go.
    pub(crate) to: Vec<Backend>,
    /// Where more of these backends come from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) discover: Vec<Source>,
    /// Backends with settings of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) backend: Vec<BackendTable>,
}

/// TLS with a backend.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackendTlsTable {
    /// Authorities that sign its certificate, as PEM.
    #[schemars(extend("examples" = ["authorities.pem"]))]
    pub(crate) authorities: FilePath,
    /// The name its certificate is for, and that it is asked for. The host of its address, if nothing else is
    /// said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// A certificate to show to it, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cert: Option<FilePath>,
    /// The private key of that certificate, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<FilePath>,
}

/// What is passed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ModeName {
    /// Connections, as they are.
    #[default]
    Tcp,
    /// Requests of HTTP/1.1 and WebSocket.
    Http,
    /// Datagrams, each client's to one backend.
    Udp,
}

/// How a backend is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BalanceName {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The one with the fewest connections.
    LeastConnections,
    /// The one with fewer connections of two that are drawn.
    TwoChoices,
    /// Rendezvous hashing: losing a backend moves its clients alone.
    SourceHash,
    /// Maglev hashing: the same, for many backends.
    Maglev,
}

impl BalanceName {
    pub(crate) fn of_proxy(self) -> Balance {
        match self {
            BalanceName::RoundRobin => Balance::RoundRobin,
            BalanceName::LeastConnections => Balance::LeastConnections,
            BalanceName::TwoChoices => Balance::TwoChoices,
            BalanceName::SourceHash => Balance::SourceHash,
            BalanceName::Maglev => Balance::Maglev,
        }
    }
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// What becomes of peers whose headers are not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OthersName {
    /// They are refused.
    #[default]
    Refused,
    /// They are clients themselves, as long as they send no header. They have to speak first.
    Clients,
}

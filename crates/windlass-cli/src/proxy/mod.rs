//! The proxy behind its flags and its tables.

mod http;
mod udp;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
use windlass::{Limits, Serve, serve};
use windlass_proxy::{
    AcceptProxy, Backend, Breaker, CheckKind, Discover, Discovered, Discovery, DiscoveryConfig, Front,
    GuardConfig, Health, HttpProxy, Others, Proxy, ProxyConfig, RetryBudget, Route, Source, Sources, Target,
    Timeouts, Version,
};

use crate::access::{Kind, Record};
use crate::args::ProxyArgs;
use crate::config::File;
use crate::config::proxy::http::{HttpTable, StickyTable};
use crate::config::proxy::{BackendTable, BackendTlsTable, ModeName, OthersName, ProxyTable, ProxyVersion};
use crate::config::value::{self, Count, Listen, NameServer, Network, Time};
use crate::serving::{
    Ends, Tally, Told, Watched, access_from_flags, from_flags, listening, owner, run_flags, tls_from_flags,
};

pub(crate) use http::page;
pub(crate) use udp::{of_datagrams, too_many_flows};

/// Serves until told to stop.
pub(crate) fn run(args: &ProxyArgs) -> Result<()> {
    let mut file = from_flags(&args.serving);
    file.server.workers = Count(args.workers);
    file.server.control = args.control.clone().map(value::FilePath);
    let of_requests = HttpTable {
        trust_forwarded_from: args.trust_forwarded_from.clone(),
        sticky: args.sticky.clone().map(|cookie| StickyTable { cookie, ..StickyTable::default() }),
        ..HttpTable::default()
    };
    let is_http = args.mode == ModeName::Http;
    ensure!(
        is_http || of_requests == HttpTable::default(),
        "--sticky and --trust-forwarded-from are about requests: they need --mode http"
    );
    let table = ProxyTable {
        mode: args.mode,
        http: is_http.then_some(of_requests),
        listen: args.listen.iter().cloned().map(Listen).collect(),
        to: args.to.iter().cloned().map(value::Backend).collect(),
        discover: args.discover.iter().cloned().map(value::Source).collect(),
        balance: args.balance,
        connections_max: Count(args.connections_max),
        send_proxy: args.send_proxy,
        accept_proxy_from: args.accept_proxy_from.clone(),
        check_every: Time(args.check_every),
        tls: tls_from_flags(&args.serving),
        access_log: access_from_flags(&args.serving),
        ..ProxyTable::default()
    };
    file.proxy = vec![table.meant()];
    run_flags(&file, &args.serving)
}

/// The proxies of this process, by their names: to be changed by a reload, and looked at.
#[derive(Clone, Default)]
pub(crate) struct Fronts {
    all: Arc<Mutex<Vec<Fronted>>>,
}

/// One of them.
#[derive(Clone)]
pub(crate) struct Fronted {
    pub(crate) front: Front,
    /// As it is in effect, or about to be.
    pub(crate) table: ProxyTable,
}

impl Fronts {
    fn lock(&self) -> MutexGuard<'_, Vec<Fronted>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, table: &ProxyTable, front: &Front) {
        self.lock().push(Fronted { front: front.clone(), table: table.clone() });
    }

    /// Those of this name. One that was replaced still has connections.
    fn of(&self, name: &str) -> Vec<Front> {
        self.lock().iter().filter(|one| one.table.name == name).map(|one| one.front.clone()).collect()
    }

    /// The one of this name that takes clients.
    pub(crate) fn current(&self, name: &str) -> Option<Fronted> {
        self.lock().iter().rfind(|one| one.table.name == name).cloned()
    }

    /// All that take clients, in the order they came.
    pub(crate) fn each(&self) -> Vec<Fronted> {
        let all = self.lock();
        let is_last = |n: usize| !all[n + 1..].iter().any(|other| other.table.name == all[n].table.name);
        (0..all.len()).filter(|n| is_last(*n)).map(|n| all[n].clone()).collect()
    }

    /// What there is now: to be restored if a change fails.
    pub(crate) fn now(&self) -> Vec<Fronted> {
        self.lock().clone()
    }

    pub(crate) fn restore(&self, before: Vec<Fronted>) {
        *self.lock() = before;
    }

    /// Forgets those that the file has no more, and those that were replaced and have no clients any more.
    pub(crate) fn keep(&self, file: &File) {
        let mut all = self.lock();
        all.retain(|one| file.proxy.iter().any(|table| table.name == one.table.name));
        let mut seen = std::collections::HashSet::new();
        let mut stays: Vec<bool> = Vec::new();
        for one in all.iter().rev() {
            stays.push(seen.insert(one.table.name.clone()) || one.front.stats().clients > 0);
        }
        all.retain(|_| stays.pop().unwrap_or(true));
    }

    fn set_table(&self, table: &ProxyTable) {
        self.lock()
            .iter_mut()
            .filter(|one| one.table.name == table.name)
            .for_each(|one| one.table = table.clone());
    }
}

/// The proxy of one table.
fn front(table: &ProxyTable, file: &File, told: &Told) -> Result<Front> {
    let front = Front::new(config_within(file, table)?).with_context(|| format!("proxy `{}`", table.name))?;
    if let Some(before) = told.proxies.current(&table.name) {
        // What an operator changed is not undone because its log goes elsewhere.
        front.take_over(&before.front);
    }
    let name = table.name.clone();
    front.on_discovery(move |news| log(&name, news));
    told.proxies.add(table, &front);
    Ok(front)
}

/// The service of one table that passes connections on.
pub(crate) fn of_connections(table: &ProxyTable, file: &File, told: &Told) -> Result<Serve<Watched<Proxy>>> {
    let front = front(table, file, told)?;
    let ends = Ends::of(table.access_log.as_ref(), &table.name, told)?;
    let its = told.of(&table.name, "proxy");
    let (mailbox, resolver) = (front.mailbox().clone(), front.resolver().clone());
    let service = serve(move || Watched::new(front.proxy(), &its, ends.clone()))
        .name(&table.name)
        .mailbox(&mailbox)
        .resolver(&resolver)
        .tick(Proxy::TICK)
        // It has a limit of its own, by the client's address and not by that of a proxy before us.
        .any_source()
        // It keeps its own deadlines for silence.
        .idle_timeout(std::time::Duration::ZERO);
    listening(service, told, &owner("proxy", &table.name), (&table.listen, table.tls.as_ref(), 0))
}

/// The service of one table that passes requests on.
pub(crate) fn of_requests(table: &ProxyTable, file: &File, told: &Told) -> Result<Serve<Watched<HttpProxy>>> {
    let front = front(table, file, told)?;
    let log = table.access_log.as_ref();
    let log = log.map(|log| told.access.open(log, &table.name, Kind::Proxied)).transpose()?;
    let ends = Ends::of(None, &table.name, told)?;
    let its = told.of(&table.name, "proxy");
    let (mailbox, resolver) = (front.mailbox().clone(), front.resolver().clone());
    let service = serve(move || {
        let proxy = front.http_proxy();
        let proxy = match log.clone() {
            Some(log) => proxy.on_exchange(move |exchanged| log.add(Record::exchanged(exchanged))),
            None => proxy,
        };
        Watched::new(proxy, &its, ends.clone())
    });
    let service = service
        .name(&table.name)
        .mailbox(&mailbox)
        .resolver(&resolver)
        .tick(HttpProxy::TICK)
        // As above.
        .any_source()
        .idle_timeout(std::time::Duration::ZERO);
    listening(service, told, &owner("proxy", &table.name), (&table.listen, table.tls.as_ref(), 0))
}

/// The service that looks for the backends of a proxy, which has been made before.
pub(crate) fn discovery(table: &ProxyTable, told: &Told) -> Option<Serve<Discovery>> {
    let name = table.discovery()?;
    Some(told.proxies.current(&table.name)?.front.discover().name(&name))
}

fn log(proxy: &str, news: &Discovered) {
    let Discovered { source, route, .. } = news;
    if let Some(changed) = &news.changed {
        let (added, removed) = (changed.added.len(), changed.removed.len());
        let changed = changed.changed.len();
        tracing::info!(proxy, route, source, added, removed, changed, "backends were found");
    }
    if let Some(error) = &news.error {
        tracing::warn!(proxy, route, source, error, "no news of backends: the last good ones stay");
    }
}

/// What a reload has in store for the proxies that stay.
pub(crate) struct Prepared {
    changes: Vec<(String, Front, ProxyConfig)>,
    tables: Vec<ProxyTable>,
}

/// What is different in the settings of proxies that are in both. Errors: a certificate that cannot be read.
pub(crate) fn prepare(before: &File, after: &File, told: &Told) -> Result<Prepared> {
    let mut prepared = Prepared { changes: Vec::new(), tables: Vec::new() };
    for table in &after.proxy {
        let Some(old) = before.proxy.iter().find(|old| old.name == table.name) else { continue };
        // What is in the files that it names may be different all the same.
        if old == table && source_max(before) == source_max(after) && !table.names_files() {
            continue;
        }
        let config = config_within(after, table)?;
        // Once more for what only these tables together could get wrong: nothing fails behind this.
        Front::new(config.clone()).with_context(|| format!("proxy `{}`", table.name))?;
        if table.mode == ModeName::Udp {
            config.check_udp().with_context(|| format!("proxy `{}`", table.name))?;
        }
        let fronts = told.proxies.of(&table.name).into_iter();
        prepared.changes.extend(fronts.map(|front| (table.name.clone(), front, config.clone())));
        prepared.tables.push(table.clone());
    }
    Ok(prepared)
}

/// Makes it so, and says what that came to.
pub(crate) fn change(prepared: Prepared, told: &Told) -> Vec<String> {
    let mut said = Vec::new();
    for table in &prepared.tables {
        told.proxies.set_table(table);
    }
    for (name, front, config) in prepared.changes {
        if front.config() == config {
            continue;
        }
        let Ok(changed) = front.change(config) else { continue };
        let counts = [(changed.added, "added"), (changed.removed, "removed"), (changed.changed, "changed")];
        let counts = counts.into_iter().filter(|(backends, _)| !backends.is_empty());
        let words: Vec<String> =
            counts.map(|(backends, what)| format!("{} {what}", backends.join(", "))).collect();
        let what = if words.is_empty() { "settings changed".into() } else { words.join("; ") };
        let kept = match front.differs() {
            0 => String::new(),
            1 => "; one backend stays as it was changed while it ran".into(),
            n => format!("; {n} backends stay as they were changed while it ran"),
        };
        said.push(format!("proxy `{name}`: {what}{kept}"));
    }
    said
}

/// What a proxy needs of the engine, where nothing else is set: a burst of clients is a burst of connections to
/// backends.
pub(crate) fn limits(file: &File, limits: Limits) -> Limits {
    if file.proxy.is_empty() {
        return limits;
    }
    udp::limits(file, Limits { connecting_max: 16 * 1024, ..limits })
}

/// What is held against one source where a table says nothing of it: what is against those of other services.
fn source_max(file: &File) -> u32 {
    let most = crate::serving::limits(file).source_connections_max;
    u32::try_from(most).map_or(GuardConfig::CONNECTIONS_MAX, |most| most.min(GuardConfig::CONNECTIONS_MAX))
}

/// What a table of this file comes to. Errors: the same.
fn config_within(file: &File, table: &ProxyTable) -> Result<ProxyConfig> {
    let mut config = config(table, Files::Read)?;
    let says_nothing = table.guard.as_ref().is_none_or(|guard| guard.connections_max.is_none());
    // Flows of datagrams have a limit of their own.
    if says_nothing && table.mode != ModeName::Udp {
        config.guard.connections_max = source_max(file);
        // As the engine does.
        config.guard.spare_loopback = true;
    }
    Ok(config)
}

/// Whether files that a table names are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Files {
    /// They are.
    Read,
    /// They are not, to see what else there is.
    Leave,
}

fn count(Count(n): Count) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// What a table comes to. Errors: a file that cannot be read, or what no configuration can be made of.
pub(crate) fn config(table: &ProxyTable, files: Files) -> Result<ProxyConfig> {
    let backends = backends(table, &table.to, &table.backend)?;
    let mut routes = Vec::new();
    for route in &table.route {
        routes.push(Route {
            name: route.name.clone().unwrap_or_default(),
            server_names: route.server_names.clone(),
            alpn: route.alpn.clone(),
            backends: self::backends(table, &route.to, &route.backend)?,
            discover: discover(table, &route.discover)?,
            http: http::route(route, files).with_context(|| format!("route {}", routes.len() + 1))?,
        });
    }
    let networks = table.accept_proxy_from.iter().map(|Network(text)| text);
    let accept_proxy = match table.accept_proxy_from.is_empty() {
        true => None,
        false => Some(AcceptProxy::from(Sources::parse(networks)?).others(match table.accept_proxy_others {
            OthersName::Refused => Others::Refused,
            OthersName::Clients => Others::Clients,
        })),
    };
    let guard = table.guard.as_ref().map(|guard| guard.config()).transpose()?;
    Ok(ProxyConfig {
        backends,
        routes,
        balance: table.balance.of_proxy(),
        load_factor_percent: count(table.load_factor_percent),
        retries_max: count(table.retries_max),
        retry_pause: table.retry_pause.0,
        retry_budget: RetryBudget {
            percent: count(table.retry_budget_percent),
            concurrent_min: count(table.retry_budget_min),
        },
        queue_max: table.queue_max.0,
        timeouts: Timeouts {
            connect: table.connect_timeout.0,
            greeting: table.greeting_timeout.0,
            queue: table.queue_timeout.0,
            client: table.client_timeout.0,
            server: table.server_timeout.0,
            tunnel: table.tunnel_timeout.0,
            client_fin: table.client_fin_timeout.0,
            server_fin: table.server_fin_timeout.0,
        },
        accept_proxy,
        guard: guard.unwrap_or_default(),
        health: Health {
            check_every: table.check_every.0,
            check_timeout: table.check_timeout.0,
            rise: count(table.check_rise),
            fall: count(table.check_fall),
            failures_max: count(table.failures_max),
            eject: table.eject.0,
            eject_max: table.eject_max.0,
            ejected_max_percent: count(table.ejected_max_percent),
            fail_open_percent: count(table.fail_open_percent),
            slow_start: table.slow_start.0,
            breaker: table.breaker.as_ref().map_or_else(Breaker::default, |breaker| breaker.config()),
            ..Health::default()
        },
        check: match (&table.check_http, &table.check_exchange) {
            (Some(_), Some(_)) => bail!("check_http and check_exchange: one of them"),
            (Some(http), None) => http.config()?,
            (None, Some(exchange)) => exchange.config(),
            (None, None) => CheckKind::Connect,
        },
        resolve_every: table.resolve_every.0,
        discover: discover(table, &table.discover)?,
        discovery: DiscoveryConfig {
            file_every: table.file_every.0,
            dns_servers: table.dns_servers.iter().map(|NameServer(server)| *server).collect(),
            dns_timeout: table.dns_timeout.0,
            dns_tries: count(table.dns_tries),
            ttl_min: table.dns_ttl_min.0,
            ttl_max: table.dns_ttl_max.0,
        },
        udp: table.udp.as_ref().map(udp::config).unwrap_or_default(),
        http: http::config(table.http.as_ref().unwrap_or(&HttpTable::default()), files)?,
        ..ProxyConfig::default()
    })
}

/// Sources, whose backends are spoken with as the table says.
fn discover(table: &ProxyTable, sources: &[value::Source]) -> Result<Vec<Discover>> {
    let one = |value::Source(source): &value::Source| {
        let mut discover = Discover::from(source.clone()).connections_max(table.connections_max.0);
        discover.send_proxy = table.send_proxy.map(version);
        discover.send_proxy_tlvs = table.send_proxy_tlvs;
        match &table.backend_tls {
            Some(tls) => speak_tls_with(discover, tls),
            None => Ok(discover),
        }
    };
    sources.iter().map(one).collect()
}

#[cfg(feature = "tls")]
fn speak_tls_with(discover: Discover, table: &BackendTlsTable) -> Result<Discover> {
    let host = match (&table.name, &discover.source) {
        (Some(name), _) => name.clone(),
        // All of its addresses are one host.
        (None, Source::Addresses { host, .. }) => host.clone(),
        (None, source) => bail!("TLS with backends of {source}: their certificate's `name` has to be said"),
    };
    let target = connector(table, &discover.source.to_string())?.to(&host);
    let target = target.with_context(|| format!("TLS with backends of {}: `{host}`", discover.source))?;
    Ok(discover.tls(target))
}

#[cfg(not(feature = "tls"))]
fn speak_tls_with(_: Discover, _: &BackendTlsTable) -> Result<Discover> {
    bail!("this windlass was built without TLS")
}

fn version(version: ProxyVersion) -> Version {
    match version {
        ProxyVersion::V1 => Version::V1,
        ProxyVersion::V2 => Version::V2,
    }
}

/// A backend that an operator adds: with all that the table says of its backends.
pub(crate) fn another(table: &ProxyTable, one: BackendTable) -> Result<Backend> {
    backend(table, one)
}

/// Those that are only addresses, and those with settings of their own.
fn backends(table: &ProxyTable, to: &[value::Backend], more: &[BackendTable]) -> Result<Vec<Backend>> {
    let plain = to.iter().map(|value::Backend(target)| BackendTable {
        to: value::Backend(target.clone()),
        name: None,
        weight: Count(1),
        connections_max: None,
        check_port: None,
        check_address: None,
        send_proxy: None,
        tls: None,
    });
    plain.chain(more.iter().cloned()).map(|one| backend(table, one)).collect()
}

fn backend(table: &ProxyTable, one: BackendTable) -> Result<Backend> {
    let value::Backend(target) = one.to;
    let mut backend = Backend::at(target)
        .weight(u32::try_from(one.weight.0).unwrap_or(u32::MAX))
        .connections_max(one.connections_max.unwrap_or(table.connections_max).0);
    if let Some(name) = one.name {
        backend = backend.name(name);
    }
    match (one.check_port, one.check_address) {
        (Some(_), Some(_)) => bail!("{}: check_port and check_address: one of them", backend.to),
        (Some(port), None) => backend = backend.check_address(port),
        (None, Some(value::CheckAddress(address))) => backend = backend.check_address(address),
        (None, None) => {}
    }
    if let Some(of) = one.send_proxy.or(table.send_proxy) {
        backend = backend.send_proxy(version(of));
        backend = backend.send_proxy_tlvs(table.send_proxy_tlvs);
    }
    match one.tls.as_ref().or(table.backend_tls.as_ref()) {
        Some(tls) => speak_tls(backend, tls),
        None => Ok(backend),
    }
}

#[cfg(feature = "tls")]
fn connector(table: &BackendTlsTable, with: &str) -> Result<windlass::TlsConnector> {
    use windlass::{TlsClient, TlsIdentity};

    let path = &table.authorities.0;
    let authorities = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let identity = match (&table.cert, &table.key) {
        (Some(cert), Some(key)) => Some(TlsIdentity::from_files(&cert.0, &key.0)?),
        (None, None) => None,
        _ => bail!("TLS with {with}: a certificate needs its key, and a key its certificate"),
    };
    Connectors::of_process().find_or_build(TlsClient { identity, ..TlsClient::new(authorities) })
}

/// The connectors there are, with what they were made of. Who reads the same files again gets the same one: a
/// backend has not changed by that, and goes on with the sessions it had.
#[cfg(feature = "tls")]
#[derive(Default)]
struct Connectors(std::collections::VecDeque<(windlass::TlsClient, windlass::TlsConnector)>);

#[cfg(feature = "tls")]
impl Connectors {
    /// With one more, the oldest is made anew when it is asked for.
    const MAX: usize = 256;

    fn of_process() -> MutexGuard<'static, Connectors> {
        static ALL: std::sync::OnceLock<Mutex<Connectors>> = std::sync::OnceLock::new();
        ALL.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find_or_build(&mut self, client: windlass::TlsClient) -> Result<windlass::TlsConnector> {
        // Of a key it is enough to know its certificate: they belong together.
        let chain = |client: &windlass::TlsClient| -> Vec<Vec<u8>> {
            client.identity.iter().flat_map(windlass::TlsIdentity::chain).map(<[u8]>::to_vec).collect()
        };
        let is_same = |(other, _): &&(windlass::TlsClient, windlass::TlsConnector)| {
            other.authorities == client.authorities && chain(other) == chain(&client)
        };
        if let Some((_, connector)) = self.0.iter().find(is_same) {
            return Ok(connector.clone());
        }
        let connector = client.build()?;
        if self.0.len() == Connectors::MAX {
            self.0.pop_front();
        }
        self.0.push_back((client, connector.clone()));
        Ok(connector)
    }
}

#[cfg(feature = "tls")]
fn speak_tls(backend: Backend, table: &BackendTlsTable) -> Result<Backend> {
    let client = connector(table, &backend.to.to_string())?;
    let host = match &backend.to {
        _ if table.name.is_some() => table.name.clone().unwrap_or_default(),
        Target::Address(address) => address.ip().to_string(),
        Target::Name { host, .. } => host.clone(),
        other => bail!("TLS with {other}: its certificate's `name` has to be said"),
    };
    let target = client.to(&host).with_context(|| format!("TLS with {}: `{host}`", backend.to))?;
    Ok(backend.tls(target))
}

#[cfg(not(feature = "tls"))]
fn speak_tls(_: Backend, _: &BackendTlsTable) -> Result<Backend> {
    bail!("this windlass was built without TLS")
}

impl Tally for Proxy {
    fn messages(&self) -> u64 {
        self.coupled()
    }
}

impl Tally for HttpProxy {
    fn messages(&self) -> u64 {
        self.requests()
    }
}

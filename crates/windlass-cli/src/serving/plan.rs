//! The server that a configuration describes.

use anyhow::Result;
use windlass::{Change, Config, Limits, Serve, Server, Service};

use super::{Told, memory};
use crate::access::Kind;
use crate::config::File;
use crate::config::shape::TlsTable;
use crate::config::value::Listen;

/// What is called so among the services of a server: the admin listener.
pub(crate) const ADMIN: &str = "admin";

/// The limits in effect: what is set, over what the services that are asked for need.
pub(crate) fn limits(file: &File) -> Limits {
    let limits = Limits::default();
    #[cfg(feature = "kv")]
    let limits = if is_store_alone(file) { crate::kv::limits(&file.store) } else { limits };
    #[cfg(feature = "proxy")]
    let limits = crate::proxy::limits(file, limits);
    file.limits.over(limits)
}

#[cfg(feature = "kv")]
fn is_store_alone(file: &File) -> bool {
    #[cfg(feature = "proxy")]
    if !file.proxy.is_empty() {
        return false;
    }
    #[cfg(feature = "echo")]
    if !file.echo.is_empty() {
        return false;
    }
    #[cfg(feature = "websocket")]
    if !file.websocket.is_empty() {
        return false;
    }
    !(file.resp.is_empty() && file.memcached.is_empty())
}

/// What services are added to: a server, or a change of one.
pub(super) trait Takes {
    fn take<S: Service>(self, service: Serve<S>) -> Self;
}

impl Takes for Server {
    fn take<S: Service>(self, service: Serve<S>) -> Server {
        self.add(service)
    }
}

impl Takes for Change {
    fn take<S: Service>(self, service: Serve<S>) -> Change {
        self.add(service)
    }
}

/// Every service with its listeners. Nothing is opened yet but certificates.
pub(super) fn server(file: &File, told: &Told) -> Result<Server> {
    let config = Config {
        workers: file.server.workers.0,
        limits: limits(file),
        scratch_bytes: file.server.scratch.0,
        congestion: file.server.congestion.clone(),
        traffic: counts_traffic(file),
        memory: memory::of_engine(file),
        ..Config::default()
    };
    let server = services(file, told, Server::new(config), &|_| true)?;
    memory::enough_for(file, &server)?;
    Ok(match crate::process::watchdog::service(&told.bound) {
        Some(watchdog) => server.add(watchdog),
        None => server,
    })
}

/// How many cores this machine has for us.
#[cfg(any(feature = "hub", feature = "realtime"))]
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// How many workers the engine has then.
#[cfg(feature = "realtime")]
pub(crate) fn workers(file: &File) -> usize {
    match file.server.workers.0 {
        0 => cores(),
        workers => workers,
    }
}

/// Whether the bytes of connections have to be counted from their beginning: their lines tell them.
pub(super) fn counts_traffic(file: &File) -> bool {
    // Those of flows are counted by their proxy.
    let mut services = crate::config::services(file).into_iter();
    services.any(|service| service.access_log.is_some() && service.lines != Kind::Flows)
}

/// Those services that are wanted, by their names.
pub(super) fn services<T: Takes>(
    file: &File,
    told: &Told,
    mut to: T,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<T> {
    #[cfg(feature = "echo")]
    for echo in file.echo.iter().filter(|it| wanted(&it.name)) {
        to = to.take(crate::echo::service(echo, told)?);
    }
    #[cfg(feature = "kv")]
    if wanted(&crate::kv::name(file, told))
        && let Some(kv) = crate::kv::service(file, told)?
    {
        to = to.take(kv);
    }
    #[cfg(feature = "websocket")]
    for websocket in file.websocket.iter().filter(|it| wanted(&it.name)) {
        to = to.take(crate::websocket::service(websocket, told)?);
    }
    #[cfg(feature = "hub")]
    for hub in file.hub.iter().filter(|it| wanted(&it.name)) {
        // One, unless the file says more: its messages then pass between threads.
        let workers = file.server.workers.0.max(1);
        to = to.take(crate::hub::service(hub, workers, file.server.control.is_some(), told)?);
    }
    #[cfg(feature = "realtime")]
    for game in file.game.iter().filter(|it| wanted(&it.name)) {
        to = to.take(crate::game::service(game, workers(file), limits(file).drain_timeout, told)?);
    }
    #[cfg(feature = "proxy")]
    for proxy in file.proxy.iter().filter(|it| wanted(&it.name)) {
        use crate::config::proxy::ModeName;
        to = match proxy.mode {
            ModeName::Tcp => to.take(crate::proxy::of_connections(proxy, file, told)?),
            ModeName::Http => to.take(crate::proxy::of_requests(proxy, file, told)?),
            ModeName::Udp => to.take(crate::proxy::of_datagrams(proxy, file, told)?),
        };
    }
    // Behind the proxies: each looks for the backends of one that is there.
    #[cfg(feature = "proxy")]
    for proxy in file.proxy.iter().filter(|it| it.discovery().is_some_and(|name| wanted(&name))) {
        if let Some(discovery) = crate::proxy::discovery(proxy, told) {
            to = to.take(discovery);
        }
    }
    // Last: whoever reads the addresses finds those of the services first.
    if wanted(ADMIN)
        && let Some(admin) = crate::admin::service(&file.admin, told)?
    {
        to = to.take(admin);
    }
    Ok(to)
}

/// Whose a certificate is.
pub(crate) fn owner(kind: &str, name: &str) -> String {
    format!("{kind} {name}")
}

/// `service` on these addresses, with a tag: with TLS on those of streams, if there is a certificate.
pub(crate) fn listening<S: Service>(
    service: Serve<S>,
    told: &Told,
    owner: &str,
    (listen, tls, tag): (&[Listen], Option<&TlsTable>, u32),
) -> Result<Serve<S>> {
    #[cfg(feature = "tls")]
    if let Some(table) = tls {
        use windlass::Address;
        let tls = told.certificates.acceptor(owner, table)?;
        return Ok(listen.iter().fold(service, |service, Listen(address)| match address {
            // Datagrams are sent as they are.
            Address::Udp(_) => service.listen(address.to_string()).tag(tag),
            _ => service.tls(address.to_string(), &tls).tag(tag),
        }));
    }
    #[cfg(not(feature = "tls"))]
    if tls.is_some() {
        let _ = (told, owner);
        anyhow::bail!("this windlass was built without TLS");
    }
    Ok(listen.iter().fold(service, |service, Listen(address)| service.listen(address.to_string()).tag(tag)))
}

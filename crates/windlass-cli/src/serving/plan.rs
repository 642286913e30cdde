//! The server that a configuration describes.

use anyhow::Result;
use windlass::{Config, Limits, Serve, Server, Service, serve};

use super::{Ends, Told, Watched};
use crate::config::File;
use crate::config::shape::TlsTable;
use crate::config::value::Listen;
use crate::echo::Echo;

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
    file.echo.is_empty() && file.websocket.is_empty() && !(file.resp.is_empty() && file.memcached.is_empty())
}

/// Every service with its listeners. Nothing is opened yet but certificates.
pub(super) fn server(file: &File, told: &Told) -> Result<Server> {
    let config = Config {
        workers: file.server.workers.0,
        limits: limits(file),
        scratch_bytes: file.server.scratch.0,
        congestion: file.server.congestion.clone(),
        ..Config::default()
    };
    let mut server = Server::new(config);
    for echo in &file.echo {
        let ends = Ends::open([(echo.access_log.as_ref(), &*echo.name, 1)], 0, told)?;
        let told = told.clone();
        let service =
            serve(move || Watched::new(Echo::default(), &told, ends.clone())).name(&echo.name).datagrams();
        server = server.add(listening(service, &echo.listen, echo.tls.as_ref())?);
    }
    #[cfg(feature = "kv")]
    if let Some(kv) = crate::kv::service(file, told)? {
        server = server.add(kv);
    }
    for websocket in &file.websocket {
        server = server.add(crate::websocket::service(websocket, told)?);
    }
    #[cfg(feature = "proxy")]
    for proxy in &file.proxy {
        server = server.add(crate::proxy::service(proxy, told)?);
    }
    // Last: whoever reads the addresses finds those of the services first.
    if let Some(admin) = crate::admin::service(&file.admin, told)? {
        server = server.add(admin);
    }
    if let Some(watchdog) = crate::process::watchdog::service(&told.bound) {
        server = server.add(watchdog);
    }
    Ok(server)
}

/// `service` on these addresses: with TLS on those of streams, if there is a certificate.
pub(crate) fn listening<S: Service>(
    service: Serve<S>,
    listen: &[Listen],
    tls: Option<&TlsTable>,
) -> Result<Serve<S>> {
    #[cfg(feature = "tls")]
    if let Some(table) = tls {
        use windlass::{Address, TlsIdentity, TlsServer};
        let tls = TlsServer::new(TlsIdentity::from_files(&table.cert.0, &table.key.0)?).build()?;
        return Ok(listen.iter().fold(service, |service, Listen(address)| match address {
            // Datagrams are sent as they are.
            Address::Udp(_) => service.listen(address.to_string()),
            _ => service.tls(address.to_string(), &tls),
        }));
    }
    #[cfg(not(feature = "tls"))]
    if tls.is_some() {
        anyhow::bail!("this windlass was built without TLS");
    }
    Ok(listen.iter().fold(service, |service, Listen(address)| service.listen(address.to_string())))
}

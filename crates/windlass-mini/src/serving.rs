//! From a configuration to a server that serves.

use windlass::{Serve, Server, Service};

use crate::config::{Config, Tls};
use crate::say;

/// Serves until a signal says otherwise: the first SIGTERM or SIGINT drains, the second stops at once.
pub(crate) fn run(config: &Config) -> Result<(), String> {
    let mut server = Server::new(config.engine());
    #[cfg(feature = "metrics")]
    let mut looked = crate::metrics::Looked::default();
    #[cfg(feature = "echo")]
    for echo in &config.echo {
        let service = windlass::serve(|| crate::echo::Echo).name(&echo.name);
        #[cfg(feature = "udp")]
        let service = service.datagrams();
        server = server.add(listening(service, &echo.listen, &echo.tls)?);
    }
    #[cfg(feature = "relay")]
    for proxy in &config.proxy {
        server = crate::relay::added(server, proxy)?;
    }
    #[cfg(feature = "hub")]
    for hub in &config.hub {
        let (service, watch) = crate::hub::service(hub)?;
        server = server.add(service);
        #[cfg(feature = "metrics")]
        looked.hubs.push((hub.name.clone(), watch));
        #[cfg(not(feature = "metrics"))]
        drop(watch);
    }
    #[cfg(feature = "metrics")]
    let looked = std::sync::Arc::new(looked);
    #[cfg(feature = "metrics")]
    if !config.admin.is_empty() {
        server = server.add(listening(crate::metrics::service(&looked), &config.admin, &Tls::default())?);
    }
    let bound = server.bind().map_err(|error| error.to_string())?;
    let bound = bound.stop_on_signals().map_err(|error| error.to_string())?;
    #[cfg(feature = "metrics")]
    let _ = looked.server.set(bound.handle());
    for address in bound.addresses() {
        say(&["Listening on ", &address.to_string(), "\n"]);
    }
    bound.run().map_err(|error| error.to_string())?;
    if !config.is_quiet() {
        say(&["Stopped\n"]);
    }
    Ok(())
}

/// Has a service listen where it is said, with TLS if there is a certificate, but for datagrams.
pub(crate) fn listening<S: Service>(
    mut service: Serve<S>,
    listen: &[String],
    tls: &Tls,
) -> Result<Serve<S>, String> {
    #[cfg(feature = "tls")]
    if !tls.cert.is_empty() {
        let acceptor = acceptor(tls)?;
        for address in listen {
            let is_udp = address.starts_with("udp:");
            service = if is_udp { service.listen(address) } else { service.tls(address, &acceptor) };
        }
        return Ok(service);
    }
    let _ = tls;
    for address in listen {
        service = service.listen(address);
    }
    Ok(service)
}

#[cfg(feature = "tls")]
fn acceptor(tls: &Tls) -> Result<windlass::TlsAcceptor, String> {
    use windlass::{ClientCertificates, TlsIdentity, TlsServer};
    let identity = TlsIdentity::from_files(&tls.cert, &tls.key).map_err(|error| error.to_string())?;
    let mut server = TlsServer::new(identity);
    if !tls.client_ca.is_empty() {
        let pem = std::fs::read(&tls.client_ca)
            .map_err(|error| crate::joined(&["cannot read ", &tls.client_ca, ": ", crate::words(&error)]))?;
        server = server.clients(match tls.client_certificate {
            1 => ClientCertificates::Optional(pem),
            _ => ClientCertificates::Required(pem),
        });
    }
    server.build().map_err(|error| error.to_string())
}

//! From a configuration to a server that serves: [`made`] opens nothing but the files that are named, so that it finds
//! what is wrong for `check` too, and [`run`] serves.

use windlass::{Address, MemoryPlan, Serve, Server, Service};

use crate::config::{Config, Problem, Tls};
use crate::{complain, say};

/// A server with everything it has to know.
pub(crate) struct Made {
    server: Server,
    /// How memory is divided, if something is said of it.
    pub(crate) plan: Option<MemoryPlan>,
    #[cfg(feature = "metrics")]
    looked: std::sync::Arc<crate::metrics::Looked>,
}

/// Why it does not serve.
pub(crate) enum Failure {
    /// Something in the configuration.
    Config(Problem),
    /// The system.
    System(String),
}

impl From<windlass::Error> for Failure {
    fn from(error: windlass::Error) -> Failure {
        match error.io() {
            None => Failure::Config(Problem::at(0, &error.to_string())),
            Some(_) => Failure::System(error.to_string()),
        }
    }
}

/// Makes the server: reads certificates and whatever else is named, and listens nowhere yet.
pub(crate) fn made(config: &Config) -> Result<Made, Problem> {
    let mut server = Server::new(config.engine());
    #[cfg(feature = "metrics")]
    #[cfg_attr(
        not(any(feature = "hub", feature = "relay")),
        allow(unused_mut, reason = "only those are added")
    )]
    let mut looked = crate::metrics::Looked::default();
    #[cfg(feature = "echo")]
    for echo in &config.echo {
        let service = windlass::serve(|| crate::echo::Echo).name(&echo.name);
        #[cfg(feature = "udp")]
        let service = service.datagrams();
        let service = listening(service, &echo.listen, &echo.tls);
        server = server.add(service.map_err(|what| Problem { line: echo.line, what })?);
    }
    #[cfg(feature = "relay")]
    for proxy in &config.proxy {
        let evicted = crate::relay::Evicted::default();
        let added = crate::relay::added(server, proxy, &evicted);
        server = added.map_err(|what| Problem { line: proxy.line, what })?;
        #[cfg(feature = "metrics")]
        if proxy.is_udp() {
            looked.relays.push((proxy.name.clone(), evicted));
        }
    }
    #[cfg(feature = "hub")]
    for hub in &config.hub {
        let (service, watch) = crate::hub::service(hub).map_err(|what| Problem { line: hub.line, what })?;
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
        let service = listening(crate::metrics::service(&looked), &config.admin, &Tls::default());
        server = server.add(service.map_err(|what| Problem { line: 0, what })?);
    }
    let plan = config.plan(&server)?;
    Ok(Made {
        server,
        plan,
        #[cfg(feature = "metrics")]
        looked,
    })
}

/// Serves until a signal says otherwise: the first SIGTERM or SIGINT drains, the second stops at once. SIGHUP, by which
/// people have others read their file again, is passed over if there is a file, and that is said; without one it is the
/// terminal's end, and ours.
pub(crate) fn run(config: &Config, is_of_file: bool) -> Result<(), Failure> {
    let made = made(config).map_err(Failure::Config)?;
    let mut bound = made.server.bind()?.stop_on_signals()?;
    if is_of_file {
        bound = bound.on_hangup(|| complain(&["SIGHUP: the file is read at the start alone\n"]))?;
    }
    #[cfg(feature = "metrics")]
    let _ = made.looked.server.set(bound.handle());
    for address in bound.addresses() {
        say(&["Listening on ", &address.to_string(), "\n"]);
    }
    if let Some(plan) = bound.memory_plan().filter(|_| !config.is_quiet()) {
        say(&["Memory\n", &config.whole(plan.clone()).to_string()]);
    }
    bound.serve()?;
    if !config.is_quiet() {
        say(&["Stopped\n"]);
    }
    Ok(())
}

/// Has a service listen where it is said, with TLS if there is a certificate.
pub(crate) fn listening<S: Service>(
    mut service: Serve<S>,
    listen: &[String],
    tls: &Tls,
) -> Result<Serve<S>, String> {
    listen.iter().try_for_each(|address| understood(address))?;
    #[cfg(feature = "tls")]
    if !tls.cert.is_empty() {
        let acceptor = acceptor(tls)?;
        for address in listen {
            service = service.tls(address, &acceptor);
        }
        return Ok(service);
    }
    let _ = tls;
    for address in listen {
        service = service.listen(address);
    }
    Ok(service)
}

/// Whether an address can be listened on, but for what the system says to it: names are not asked for.
fn understood(listen: &str) -> Result<(), String> {
    let wrong = |why: &str| Err(crate::joined(&["cannot listen: ", why]));
    let host = match listen.parse() {
        Ok(Address::Tcp(host) | Address::Udp(host)) => host,
        Ok(_) => return Ok(()),
        Err(error) => return wrong(&error.to_string()),
    };
    // A port is behind it: that was looked at.
    if host.starts_with(':') || host.starts_with("localhost:") || host.parse::<std::net::SocketAddr>().is_ok()
    {
        return Ok(());
    }
    wrong(&crate::joined(&["`", listen, "` is no address with a port, and names are for `windlass`"]))
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

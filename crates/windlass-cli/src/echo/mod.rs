//! `windlass echo`: from its flags to its last line.

mod service;
mod summary;

use std::time::Instant;

use anyhow::{Context as _, Result, bail};
#[cfg(feature = "tls")]
use windlass::{Address, TlsIdentity, TlsServer};
use windlass::{Bound, Config, Inherited, Serve, Server, serve};

use crate::args::{EchoArgs, LogFormat};
use crate::console::{Console, Teller, stdout_width};
use crate::{limits, notify, print, signals};
use service::Echo;
pub(crate) use service::Messages;
use summary::Figures;

/// Serves until told to stop.
pub(crate) fn run(args: &EchoArgs) -> Result<()> {
    let config = Config {
        workers: args.workers,
        limits: limits::apply(&args.limit),
        scratch_bytes: args.scratch,
        congestion: args.cubic.then(|| "cubic".into()),
        ..Config::default()
    };
    if args.limits {
        print(limits::table(&config.limits, stdout_width()).as_bytes());
        return Ok(());
    }
    if args.cubic && !cfg!(any(target_os = "linux", target_os = "freebsd")) {
        bail!("--cubic needs Linux or FreeBSD: elsewhere a program cannot choose the congestion control");
    }
    let messages = Messages::default();
    // Quiet: no console, and so no thread but the workers.
    let console = (!args.quiet).then(Teller::new);
    let bound = bind(args, config, messages.clone(), console.as_ref().map(|(teller, _)| teller.clone()))?;
    let bound = signals::stop_on_signals(bound).context("cannot watch for signals")?;
    let listening: String = bound.addresses().iter().map(|at| format!("Listening on {at}\n")).collect();
    let tell = move || {
        print(listening.as_bytes());
        notify::ready();
    };
    // Whoever reads the lines may rely on them: there is no predecessor any more. Without one they come
    // before anything else that is printed.
    let bound = match bound.has_predecessor() {
        true => bound.on_ready(tell),
        false => {
            tell();
            bound
        }
    };

    let (handle, workers) = (bound.handle(), bound.workers());
    let console = console
        .map(|console| Console::start(console, args.log, args.log_level, handle, messages.clone()))
        .transpose()
        .context("cannot start the console")?;
    for socket in bound.left_over() {
        tracing::warn!(socket, "inherited a socket that no address asks for");
    }
    match args.log {
        // The addresses have just been printed.
        LogFormat::Text => tracing::info!(workers, "started"),
        LogFormat::Json => {
            tracing::info!(
                version = env!("CARGO_PKG_VERSION"),
                workers,
                addresses = addresses(&bound),
                "started"
            );
        }
    }
    let started = Instant::now();
    let outcome = bound.run();
    let messages = messages.total();
    let figures = outcome.as_ref().ok().map(|summary| Figures {
        uptime: started.elapsed(),
        workers,
        messages,
        summary,
    });
    match (&figures, args.log) {
        (Some(figures), LogFormat::Json) => figures.log(),
        (Some(_), LogFormat::Text) => tracing::info!("stopped"),
        (None, _) => {}
    }
    if let Some(console) = console {
        console.finish();
        // For those who read logs as JSON it was the last event.
        if let Some(figures) = figures.filter(|_| args.log == LogFormat::Text) {
            print(figures.to_string().as_bytes());
        }
    }
    outcome?;
    Ok(())
}

fn bind(args: &EchoArgs, config: Config, messages: Messages, teller: Option<Teller>) -> Result<Bound> {
    let echo = serve(move || Echo::new(&messages, teller.clone())).name("echo").datagrams();
    let mut server = Server::new(config).add(listening(echo, args)?);
    if let Some(path) = &args.control {
        server = server.handover_socket(path);
        // Its sockets first: they are in use.
        if let Some(inherited) = Inherited::from_predecessor(path)? {
            server = server.inherit(inherited);
        }
    }
    if let Some(inherited) = Inherited::from_systemd()? {
        server = server.inherit(inherited);
    }
    Ok(server.bind()?)
}

/// With TLS on every address, if there is a certificate.
fn listening(echo: Serve<Echo>, args: &EchoArgs) -> Result<Serve<Echo>> {
    #[cfg(feature = "tls")]
    if let (Some(cert), Some(key)) = (&args.tls_cert, &args.tls_key) {
        let tls = TlsServer::new(TlsIdentity::from_files(cert, key)?).build()?;
        return Ok(args.listen.iter().fold(echo, |echo, address| match address {
            // Datagrams are echoed as they are.
            Address::Udp(_) => echo.listen(address.to_string()),
            _ => echo.tls(address.to_string(), &tls),
        }));
    }
    Ok(args.listen.iter().fold(echo, |echo, address| echo.listen(address.to_string())))
}

fn addresses(bound: &Bound) -> String {
    let addresses: Vec<String> = bound.addresses().iter().map(|address| address.to_string()).collect();
    addresses.join(" ")
}

//! What every service's one-liner shares: from its flags to its last line. A command says what it serves
//! and where ([`Serving`]); signals, systemd, TLS, logs, the console and the summary are the same for all.
//! Read `watched` for what is told about a service while it runs.

mod summary;
mod watched;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use windlass::{Address, Bound, Config, Inherited, Limits, Serve, Server};
#[cfg(feature = "tls")]
use windlass::{TlsIdentity, TlsServer};

use crate::args::{LogFormat, ServingArgs};
use crate::console::{Console, Teller, stdout_width};
use crate::{limits, notify, print, signals};
use summary::Figures;
pub(crate) use watched::{Messages, Tally, Watched};

/// One command that serves: what its flags came to.
pub(crate) struct Serving<'a> {
    /// Where it listens.
    pub(crate) listen: &'a [Address],
    /// Worker threads; 0 is one per core.
    pub(crate) workers: usize,
    /// The socket it hands over at, for services that can.
    pub(crate) control: Option<&'a Path>,
    /// The limits as they are when no flag sets them.
    pub(crate) limits: Limits,
    /// The flags that are the same for all.
    pub(crate) args: &'a ServingArgs,
}

/// What a service is told and tells: handed to its [`Watched`].
#[derive(Clone, Default)]
pub(crate) struct Told {
    messages: Messages,
    teller: Option<Teller>,
}

impl Serving<'_> {
    /// Serves until told to stop. `describe` wraps the service in [`Watched`]; the addresses are added here.
    pub(crate) fn run<S: Tally>(self, describe: impl FnOnce(Told) -> Serve<Watched<S>>) -> Result<()> {
        let args = self.args;
        let config = Config {
            workers: self.workers,
            limits: limits::apply(self.limits.clone(), &args.limit),
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
        let told =
            Told { messages: messages.clone(), teller: console.as_ref().map(|(teller, _)| teller.clone()) };
        let bound = self.bind(config, describe(told))?;
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

    fn bind<S: Tally>(&self, config: Config, service: Serve<Watched<S>>) -> Result<Bound> {
        let mut server = Server::new(config).add(self.listening(service)?);
        if let Some(path) = self.control {
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
    fn listening<S: Tally>(&self, service: Serve<Watched<S>>) -> Result<Serve<Watched<S>>> {
        #[cfg(feature = "tls")]
        if let (Some(cert), Some(key)) = (&self.args.tls_cert, &self.args.tls_key) {
            let tls = TlsServer::new(TlsIdentity::from_files(cert, key)?).build()?;
            return Ok(self.listen.iter().fold(service, |service, address| match address {
                // Datagrams are sent as they are.
                Address::Udp(_) => service.listen(address.to_string()),
                _ => service.tls(address.to_string(), &tls),
            }));
        }
        Ok(self.listen.iter().fold(service, |service, address| service.listen(address.to_string())))
    }
}

fn addresses(bound: &Bound) -> String {
    let addresses: Vec<String> = bound.addresses().iter().map(|address| address.to_string()).collect();
    addresses.join(" ")
}

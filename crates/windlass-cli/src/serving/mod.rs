//! From a configuration to the last line. A file and the flags of a one-liner come to the same
//! [`File`](crate::config::File); `plan` makes the server of it, and what is here runs it: signals, systemd,
//! logs, the console, the summary. `memory` divides a budget. Read `watched` for what is told about a service while it runs, `reload`
//! for how it gets another configuration, `upgrade` for how another process takes its place.

mod certificates;
mod difference;
mod ends;
mod memory;
mod plan;
pub(crate) mod reload;
mod summary;
#[cfg(unix)]
pub(crate) mod upgrade;
mod watched;

use std::io::{IsTerminal, stderr, stdout};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use windlass::{
    Address, Bound, Close, Conn, Datagram, DatagramService, Inherited, Input, Server, Service, Socket, serve,
};

use crate::access::AccessLogs;
use crate::args::ServingArgs;
use crate::config::File;
use crate::config::limits::LimitsTable;
use crate::config::shape::{AccessTable, LogTable, ServerTable, TlsTable};
use crate::config::value::{AccessFormat, FilePath, OutputPath, Size};
use crate::console::{Console, Teller, stdout_width};
use crate::logs::{Style, Target};
pub(crate) use crate::signals::Signals;
use crate::{admin, limits, logs, notify, print, process, signals};
use certificates::Certificates;
#[cfg(feature = "tls")]
pub(crate) use certificates::settings as tls_settings;
pub(crate) use memory::{divided, memory_plan};
#[cfg(feature = "hub")]
pub(crate) use plan::cores;
#[cfg(feature = "realtime")]
pub(crate) use plan::workers;
pub(crate) use plan::{ADMIN, limits};
pub(crate) use plan::{listening, owner};
pub(crate) use reload::Reloader;
#[cfg(feature = "kv")]
pub(crate) use reload::Report;
use summary::Figures;
pub(crate) use watched::{Ends, Messages, Tally, Watched};

/// What a service is told and tells: handed to its [`Watched`].
#[derive(Clone, Default)]
pub(crate) struct Told {
    pub(crate) messages: Messages,
    teller: Option<Teller>,
    pub(crate) bound: admin::Slot,
    pub(crate) access: AccessLogs,
    #[cfg(feature = "proxy")]
    pub(crate) proxies: crate::proxy::Fronts,
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "there are none"))]
    certificates: Certificates,
    /// Filled when the server runs from a file.
    pub(crate) reloader: Arc<OnceLock<Reloader>>,
    #[cfg(feature = "kv")]
    pub(crate) kv: crate::kv::Link,
    #[cfg(feature = "hub")]
    pub(crate) hubs: crate::hub::Links,
    #[cfg(feature = "realtime")]
    pub(crate) games: crate::game::Links,
}

impl Told {
    /// The same for a service of this name and kind, whose messages are counted as its own.
    pub(crate) fn of(&self, name: &str, kind: &'static str) -> Told {
        Told { messages: self.messages.of(name, kind), ..self.clone() }
    }
}

/// What the flags that are the same for all services come to, without the services.
pub(crate) fn from_flags(args: &ServingArgs) -> File {
    File {
        server: ServerTable {
            scratch: Size(args.scratch),
            memory: Size(args.memory.unwrap_or(0)),
            congestion: args.cubic.then(|| "cubic".into()),
            user: args.user.clone(),
            group: args.group.clone(),
            sandbox: args.sandbox,
            ..ServerTable::default()
        },
        limits: LimitsTable::from_settings(&args.limit),
        log: LogTable {
            format: args.log,
            level: args.log_level,
            path: args.log_file.clone().map(FilePath),
            journal_socket: args.journal_socket.clone(),
        },
        ..File::default()
    }
}

/// The certificate that flags name.
pub(crate) fn tls_from_flags(args: &ServingArgs) -> Option<TlsTable> {
    #[cfg(feature = "tls")]
    if let (Some(cert), Some(key)) = (&args.tls_cert, &args.tls_key) {
        return Some(TlsTable {
            cert: FilePath(cert.clone()),
            key: FilePath(key.clone()),
            ..TlsTable::default()
        });
    }
    let _ = args;
    None
}

/// The access log that flags ask for.
pub(crate) fn access_from_flags(args: &ServingArgs) -> Option<AccessTable> {
    let path = OutputPath(args.access_log.clone()?);
    Some(AccessTable { path, format: args.access_format.clone().map(AccessFormat) })
}

/// What a one-liner does with what its flags came to.
pub(crate) fn run_flags(file: &File, args: &ServingArgs) -> Result<()> {
    if args.limits {
        print(limits::table(&plan::limits(file), stdout_width()).as_bytes());
        return Ok(());
    }
    if args.cubic && !cfg!(any(target_os = "linux", target_os = "freebsd")) {
        bail!("--cubic needs Linux or FreeBSD: elsewhere a program cannot choose the congestion control");
    }
    run(&divided(file.clone())?, args.quiet)
}

/// What is different from one command to another.
pub(crate) struct Front {
    /// Printed behind the `Listening on` lines; not if it is quiet.
    pub(crate) greeting: String,
    pub(crate) quiet: bool,
    /// The file it was read from, if it was: it can be read again.
    pub(crate) path: Option<PathBuf>,
}

/// Serves until told to stop.
fn run(file: &File, quiet: bool) -> Result<()> {
    run_with(file, Front { greeting: String::new(), quiet, path: None }, |server| server)
}

/// Serves what was read from a file, which may be another when it is read again.
pub(crate) fn run_file(path: &Path, file: &File, quiet: bool) -> Result<()> {
    run_with(file, Front { greeting: String::new(), quiet, path: Some(path.into()) }, |server| server)
}

/// Serves what `file` describes, and what `more` adds to it, until told to stop.
pub(crate) fn run_with(file: &File, front: Front, more: impl FnOnce(Server) -> Server) -> Result<()> {
    let Front { greeting, quiet, path } = front;
    #[cfg(unix)]
    upgrade::remember_program();
    // Before anything else: who sends them now does not mean to end it.
    let signals = path.as_ref().map(|_| Signals::watch()).transpose().context("cannot watch for signals")?;
    // Before tables are sized by it.
    let descriptors = process::raise_descriptors(file)?;
    let messages = Messages::default();
    let (style, logs) = match quiet {
        false => logs::choose(&file.log)?,
        true => (Style::Json, Target::Stderr),
    };
    // Quiet: no console, and so no thread but the workers.
    let console = (!quiet).then(Teller::new);
    let told = Told {
        messages: messages.clone(),
        teller: console.as_ref().map(|(teller, _)| teller.clone()),
        bound: admin::Slot::default(),
        ..Told::default()
    };
    let access = &told.access;
    let bound = bind(file, &told, more)?;
    let bound = signals::stop_on_signals(bound).context("cannot watch for signals")?;
    let _ = told.bound.set(admin::Bound { handle: bound.handle(), workers: bound.workers() });
    // Behind the last listener, and before the first thread.
    let settled = process::settle(file)?;
    access.set_addresses(bound.addresses().iter().map(|address| address.to_string()).collect());
    access.begin().context("cannot start the thread of access logs")?;
    if let Target::File(_, reopen) = &logs {
        signals::set_on_hangup(reopen.clone()).context("cannot watch for SIGHUP")?;
    }
    let services = bound.addresses().len() - file.admin.listen.len();
    let mut listening: String = bound
        .addresses()
        .iter()
        .enumerate()
        .map(|(n, at)| if n < services { format!("Listening on {at}\n") } else { format!("Admin on {at}\n") })
        .collect();
    if !quiet {
        listening += &greeting;
        if let Some(plan) = bound.memory_plan() {
            listening += &format!("Memory\n{}", memory::whole(file, plan.clone()));
        }
    }
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
    if let (Some(path), Some(signals)) = (&path, signals) {
        let started = Reloader::start((path, file), handle.clone(), &told, quiet, signals);
        let _ = told.reloader.set(started.context("cannot start the thread that reloads")?);
    }
    let console = console
        .map(|console| {
            let status = !access.is_on_stdout();
            Console::start(
                console,
                (style, logs),
                file.log.level,
                (handle, messages.clone()),
                #[cfg(feature = "hub")]
                told.hubs.clone(),
                status,
            )
        })
        .transpose()
        .context("cannot start the console")?;
    for socket in bound.left_over() {
        tracing::warn!(socket, "inherited a socket that no address asks for");
    }
    match style {
        // The addresses have just been printed.
        Style::Text => tracing::info!(workers, descriptors, "started"),
        Style::Json | Style::Journal => {
            tracing::info!(
                version = env!("CARGO_PKG_VERSION"),
                workers,
                descriptors,
                addresses = addresses(&bound),
                "started"
            );
        }
    }
    #[cfg(feature = "proxy")]
    if let Some(flows) = crate::proxy::too_many_flows(file, workers, descriptors) {
        tracing::warn!(
            flows,
            descriptors,
            "flows of datagrams could take every descriptor: lower `udp.flows_max`, or raise the limit of descriptors"
        );
    }
    if let Some(user) = &settled.user {
        tracing::info!(user, "privileges are given up");
    }
    if let Some(forbidden) = &settled.sandbox {
        tracing::info!(forbidden, "in a sandbox");
    }
    for lacking in &settled.lacking {
        tracing::warn!("the sandbox is not whole: {lacking}");
    }
    let started = Instant::now();
    let outcome = bound.run();
    #[cfg(feature = "hub")]
    told.hubs.finish();
    access.finish();
    #[cfg(feature = "realtime")]
    told.games.finish();
    let messages = messages.total();
    let figures = outcome.as_ref().ok().map(|summary| Figures {
        uptime: started.elapsed(),
        workers,
        messages,
        summary,
    });
    match (&figures, style) {
        (Some(_), Style::Text) => tracing::info!("stopped"),
        (Some(figures), Style::Json | Style::Journal) => figures.log(),
        (None, _) => {}
    }
    if let Some(console) = console {
        console.finish();
        // For programs it was the last event. A terminal that has no logs on it is somebody's.
        let logs_elsewhere = file.log.path.is_some() || !stderr().is_terminal();
        let is_read = style == Style::Text || (stdout().is_terminal() && logs_elsewhere);
        if let Some(figures) = figures.filter(|_| is_read) {
            print(figures.to_string().as_bytes());
        }
    }
    outcome?;
    Ok(())
}

/// Whether one could listen there now. Nothing stays open.
pub(crate) fn try_listen(address: &Address) -> Result<(), String> {
    if let Address::Unix(path) = address {
        // Listening would replace a socket nobody listens on.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let there = folder.is_none_or(std::path::Path::is_dir);
        return if there { Ok(()) } else { Err(format!("{address}: there is no such folder")) };
    }
    let nobody = serve(|| Nobody).datagrams().workers(1).listen(address.to_string());
    nobody.bind().map(drop).map_err(|error| error.to_string())
}

/// To listen, and never to serve.
struct Nobody;

impl Service for Nobody {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Err(Close::Refused)
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Err(Close::Refused)
    }
}

impl DatagramService for Nobody {
    fn datagram(&mut self, _: &mut Socket<'_>, _: Datagram<'_>) {}
}

fn bind(file: &File, told: &Told, more: impl FnOnce(Server) -> Server) -> Result<Bound> {
    let mut server = more(plan::server(file, told)?);
    if let Some(FilePath(path)) = &file.server.control {
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

fn addresses(bound: &Bound) -> String {
    let addresses: Vec<String> = bound.addresses().iter().map(|address| address.to_string()).collect();
    addresses.join(" ")
}

//! From a configuration to the last line. A file and the flags of a one-liner come to the same
//! [`File`](crate::config::File); `plan` makes the server of it, and what is here runs it: signals, systemd,
//! logs, the console, the summary. Read `watched` for what is told about a service while it runs.

mod ends;
mod plan;
mod summary;
mod watched;

use std::io::{IsTerminal, stderr, stdout};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use windlass::{Address, Bound, Inherited, Server, serve};

use crate::access::AccessLogs;
use crate::args::ServingArgs;
use crate::config::File;
use crate::config::limits::LimitsTable;
use crate::config::shape::{AccessTable, LogTable, ServerTable, TlsTable};
use crate::config::value::{AccessFormat, FilePath, OutputPath, Size};
use crate::console::{Console, Teller, stdout_width};
use crate::logs::Style;
use crate::{admin, limits, notify, print, process, signals};
pub(crate) use plan::limits;
pub(crate) use plan::listening;
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
}

/// What the flags that are the same for all services come to, without the services.
pub(crate) fn from_flags(args: &ServingArgs) -> File {
    File {
        server: ServerTable {
            scratch: Size(args.scratch),
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
            journal_socket: args.journal_socket.clone(),
        },
        ..File::default()
    }
}

/// The certificate that flags name.
pub(crate) fn tls_from_flags(args: &ServingArgs) -> Option<TlsTable> {
    #[cfg(feature = "tls")]
    if let (Some(cert), Some(key)) = (&args.tls_cert, &args.tls_key) {
        return Some(TlsTable { cert: FilePath(cert.clone()), key: FilePath(key.clone()) });
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
    run(file, args.quiet)
}

/// What is different from one command to another.
pub(crate) struct Front {
    /// Printed behind the `Listening on` lines; not if it is quiet.
    pub(crate) greeting: String,
    pub(crate) quiet: bool,
}

/// Serves until told to stop.
pub(crate) fn run(file: &File, quiet: bool) -> Result<()> {
    run_with(file, Front { greeting: String::new(), quiet }, |server| server)
}

/// Serves what `file` describes, and what `more` adds to it, until told to stop.
pub(crate) fn run_with(file: &File, front: Front, more: impl FnOnce(Server) -> Server) -> Result<()> {
    let Front { greeting, quiet } = front;
    // Before tables are sized by it.
    let descriptors = process::raise_descriptors(file)?;
    let messages = Messages::default();
    let (style, journal) = match quiet {
        false => Style::choose(file.log.format, &file.log.journal_socket)?,
        true => (Style::Json, None),
    };
    // Quiet: no console, and so no thread but the workers.
    let console = (!quiet).then(Teller::new);
    let told = Told {
        messages: messages.clone(),
        teller: console.as_ref().map(|(teller, _)| teller.clone()),
        bound: admin::Slot::default(),
        access: AccessLogs::default(),
        #[cfg(feature = "proxy")]
        proxies: crate::proxy::Fronts::default(),
    };
    let access = &told.access;
    let bound = bind(file, &told, more)?;
    let bound = signals::stop_on_signals(bound).context("cannot watch for signals")?;
    let _ = told.bound.set(admin::Bound { handle: bound.handle(), workers: bound.workers() });
    // Behind the last listener, and before the first thread.
    let settled = process::settle(file)?;
    access.set_addresses(bound.addresses().iter().map(|address| address.to_string()).collect());
    if access.is_any() {
        signals::reopen_on_hangup(access).context("cannot watch for SIGHUP")?;
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
    let console = console
        .map(|console| {
            let status = !access.is_on_stdout();
            Console::start(console, (style, journal), file.log.level, (handle, messages.clone()), status)
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
    access.finish();
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
        let is_read = style == Style::Text || (stdout().is_terminal() && !stderr().is_terminal());
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
    let echo = serve(crate::echo::Echo::default).datagrams().workers(1).listen(address.to_string());
    echo.bind().map(drop).map_err(|error| error.to_string())
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

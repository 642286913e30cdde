//! The next process in the place of this one: `windlass upgrade` starts it from outside, SIGUSR2 has the
//! server start it itself. Either way it takes over at `server.control` while this one serves.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::args::UpgradeArgs;
use crate::config::shape::ServerTable;
use crate::config::value::FilePath;
use crate::config::{File, Loaded};
use crate::{configured, print};

/// The program as it was found when this process began: a new one may be in its place by now.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Remembers where this program is.
pub(super) fn remember_program() {
    if let Ok(path) = std::env::current_exe() {
        let _ = PROGRAM.set(path);
    }
}

/// `windlass upgrade`.
pub(crate) fn run(args: &UpgradeArgs) -> Result<()> {
    let loaded = configured::checked(&args.config)?;
    let control = control_of(&loaded)?;
    if !is_served(&control) {
        bail!("no server hands over at {}: start one with `windlass run`", control.display());
    }
    let program = match &args.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().context("cannot tell where this program is")?,
    };
    let mut command = Command::new(&program);
    command.arg("run").arg("-c").arg(&args.config);
    if args.quiet {
        command.arg("-q");
    }
    let child = spawned(command.stdout(Stdio::piped()))
        .with_context(|| format!("cannot start {}", program.display()))?;
    let pid = child.id();
    match ready(child, args.timeout) {
        Ready::Serves => {
            let text = format!("Process {pid} serves; the one before it finishes with its connections\n");
            let text = text + &about_rooms(&loaded.file);
            print(text.as_bytes());
            Ok(())
        }
        Ready::Ended(status) => {
            bail!("the new process ended before it served ({status}); the old one goes on")
        }
        Ready::Late => bail!(
            "the new process was not ready within {:?} and has been stopped; the old one goes on",
            args.timeout
        ),
    }
}

/// What becomes of the rooms of games of the process before; nothing where there are none.
fn about_rooms(file: &File) -> String {
    #[cfg(feature = "realtime")]
    if !file.game.is_empty() {
        let timeout = super::limits(file).handover_drain_timeout;
        let most = match timeout.is_zero() {
            true => String::new(),
            false => format!(", for {} at most", crate::quantity::show_duration(&timeout)),
        };
        return format!(
            "Rooms of games stay with it until their players have left{most}; new ones are in the new process\n"
        );
    }
    let _ = file;
    String::new()
}

fn control_of(loaded: &Loaded) -> Result<PathBuf> {
    match &loaded.file.server.control {
        Some(FilePath(path)) => Ok(path.clone()),
        None => bail!(
            "the configuration sets no `server.control`, so no process can take over from another. \
             Set it, for example `control = \"/run/windlass/control\"` under [server], and restart the server once"
        ),
    }
}

/// Whether somebody listens there. Whoever is asked so hears nothing of it but the end.
fn is_served(path: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(path).is_ok()
}

/// Starts a process that outlives this one, and what is typed at its terminal.
fn spawned(command: &mut Command) -> std::io::Result<Child> {
    use std::os::unix::process::CommandExt;
    command.stdin(Stdio::null()).process_group(0).spawn()
}

enum Ready {
    Serves,
    Ended(ExitStatus),
    Late,
}

/// Waits for the first line a server prints: by then there is no predecessor any more.
fn ready(mut child: Child, timeout: Duration) -> Ready {
    let (tell, told) = channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = String::new();
            let listens = stdout.read_line(&mut line).is_ok() && line.starts_with("Listening on ");
            let _ = tell.send(listens);
            // What else it says at once is not to stop it.
            let _ = stdout.read_to_string(&mut line);
        });
    }
    match told.recv_timeout(timeout) {
        Ok(true) => Ready::Serves,
        Err(RecvTimeoutError::Timeout) => {
            let _ = child.kill();
            let _ = child.wait();
            Ready::Late
        }
        Ok(false) | Err(RecvTimeoutError::Disconnected) => match child.wait() {
            Ok(status) => Ready::Ended(status),
            Err(_) => Ready::Late,
        },
    }
}

/// Starts the program that is now where this one was, with the same arguments. It takes over by itself, or
/// says why it does not, and this server goes on.
pub(super) fn begin_successor(server: &ServerTable) {
    if server.control.is_none() {
        tracing::error!("no upgrade: `server.control` is not set, so no process can take over from this one");
        return;
    }
    let Some(program) = PROGRAM.get() else {
        tracing::error!("no upgrade: it is not known where this program was started from");
        return;
    };
    match spawned(Command::new(program).args(std::env::args_os().skip(1))) {
        Ok(mut child) => {
            tracing::info!(pid = child.id(), program = %program.display(), "upgrade: a successor begins");
            // Told if it fails; if it serves, this process ends first.
            let waits = thread::Builder::new().name("successor".into()).spawn(move || {
                if let Ok(status) = child.wait() {
                    tracing::error!(%status, "upgrade: the successor has ended");
                }
            });
            drop(waits);
        }
        Err(error) => tracing::error!(program = %program.display(), "no upgrade: {error}"),
    }
}

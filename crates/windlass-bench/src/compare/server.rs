//! Starting a server on one core, and ending it whatever happens.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::peers::Peer;
use crate::args::Target;

/// How long a server may take until it listens.
const STARTUP: Duration = Duration::from_secs(10);

/// Options of the hidden command that starts a program on one core.
#[derive(Debug, Clone, clap::Args)]
pub struct PinnedArgs {
    /// The core, or `any`
    core: String,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

/// Becomes the program named in `args`, on one core, and bound to die with its parent.
///
/// A process that dies with `compare` cannot be left behind by a `kill -9`, and setting this up
/// takes a process of its own, since the settings survive `exec` but not `fork`.
///
/// # Errors
/// There is no such core or program. On success this does not return.
pub fn pinned(args: PinnedArgs) -> Result<()> {
    if args.core != "any" {
        pin(args.core.parse().with_context(|| format!("`{}` is not a core", args.core))?)?;
    }
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let [program, rest @ ..] = args.command.as_slice() else { bail!("no program to start") };
    let error = Command::new(program).args(rest).exec();
    Err(error).with_context(|| format!("cannot start {program}"))
}

/// Binds the calling thread, and those it will start, to one core.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    ensure!(core < CpuSet::MAX_CPU, "core {core} is out of range");
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on core {core}"))
}

/// The cores this process may use.
pub(crate) fn cores() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect())
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) target: Target,
}

impl Server {
    /// Starts `peer` on `core` (or anywhere), with `prefix` before its command, and waits until
    /// it listens.
    pub(crate) fn start(peer: &Peer, core: Option<usize>, cubic: bool, prefix: &[String]) -> Result<Server> {
        let ourselves = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(ourselves);
        command.arg("pinned").arg(core.map_or("any".into(), |core| core.to_string()));
        command.args(prefix).arg(&peer.program).args(&peer.args);
        if cubic {
            command.arg("--cubic");
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.with_context(|| format!("cannot start {}", peer.name))?;
        let mut server = Server { child, target: Target::Unix("".into()) };
        let line = server.first_line()?;
        let address = line.trim().strip_prefix("Listening on ").map(str::parse);
        let Some(Ok(target)) = address else {
            let _ = server.child.kill();
            let mut said = String::new();
            if let Some(stderr) = &mut server.child.stderr {
                let _ = stderr.read_to_string(&mut said);
            }
            let why = said.lines().next().unwrap_or("it said nothing").to_owned();
            bail!("{} does not listen: {}", peer.name, if line.is_empty() { why } else { line });
        };
        server.target = target;
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the server with SIGINT and waits, so that a tracer around it can write its summary.
    pub(crate) fn interrupt(mut self) -> Result<String> {
        let mut said = String::new();
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, Signal::INT)?;
        if let Some(stderr) = &mut self.child.stderr {
            stderr.read_to_string(&mut said)?;
        }
        Ok(said)
    }

    /// Waits for the first line of output, but not for ever. The rest is read and thrown away, so
    /// that a talkative server never blocks on a full pipe.
    fn first_line(&mut self) -> Result<String> {
        let stdout = self.child.stdout.take().context("the server has no output")?;
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = String::new();
            let _ = reader.read_line(&mut line);
            let _ = send.send(line);
            let _ = std::io::copy(&mut reader, &mut std::io::sink());
        });
        receive.recv_timeout(STARTUP).context("the server did not say that it listens")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

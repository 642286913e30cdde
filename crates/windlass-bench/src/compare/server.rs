//! Starting a server on one core, and ending it whatever happens.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::peers::Peer;
use crate::args::Target;

/// How long a server may take until it listens.
const STARTUP: Duration = Duration::from_secs(10);
/// And until it has ended: Pingora waits five minutes for connections that nobody has.
const END_TIMEOUT: Duration = Duration::from_secs(3);

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
        pin(&[args.core.parse().with_context(|| format!("`{}` is not a core", args.core))?])?;
    }
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let [program, rest @ ..] = args.command.as_slice() else { bail!("no program to start") };
    let error = Command::new(program).args(rest).exec();
    Err(error).with_context(|| format!("cannot start {program}"))
}

/// Binds the calling thread, and those it will start, to some cores.
pub(crate) fn pin(cores: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for &core in cores {
        ensure!(core < CpuSet::MAX_CPU, "core {core} is out of range");
        set.set(core);
    }
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on cores {cores:?}"))
}

/// The cores this process may use.
pub(crate) fn cores() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect())
}

/// A high priority for this process and the servers it starts, until it is dropped.
#[derive(Debug)]
pub(crate) struct Urgency(());

impl Urgency {
    const NICE: i32 = -19;
    /// Where the kernel groups processes by session, it shares out the cores among the sessions
    /// first, and this is the nice value of ours.
    const SESSION: &str = "/proc/self/autogroup";

    pub(crate) fn claim() -> Result<Urgency> {
        let urgency = Urgency(());
        urgency.set(Urgency::NICE).context("--urgent needs the right to raise priorities")?;
        Ok(urgency)
    }

    fn set(&self, nice: i32) -> std::io::Result<()> {
        rustix::process::setpriority_process(None, nice)?;
        // Not every kernel groups by session; then the line above is all there is.
        let _ = std::fs::write(Urgency::SESSION, nice.to_string());
        Ok(())
    }
}

impl Drop for Urgency {
    fn drop(&mut self) {
        // Less priority is always permitted.
        let _ = self.set(0);
    }
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// The server itself, where `child` is a tracer around it. It would outlive the tracer.
    traced: Option<Pid>,
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
        let mut server = Server { child, traced: None, target: Target::Unix("".into()) };
        let stdout = server.child.stdout.take().context("the server has no output")?;
        let stderr = server.child.stderr.take().context("the server has no error output")?;
        let (line, complaint) = (first_line(stdout), first_line(stderr));
        let line = line.recv_timeout(STARTUP).context("the server did not say that it listens")?;
        let address = line.trim().strip_prefix("Listening on ").map(str::parse);
        let Some(Ok(target)) = address else {
            let _ = server.child.kill();
            let complaint = complaint.recv().unwrap_or_default();
            let why = if line.is_empty() { complaint.trim() } else { line.trim() };
            bail!("{} does not listen: {}", peer.name, if why.is_empty() { "it said nothing" } else { why });
        };
        server.target = target;
        if !prefix.is_empty() {
            server.traced = server.only_child();
        }
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends a server that runs under a tracer: the server itself, so that the tracer around it
    /// sees it go and writes its summary. One that takes minutes over it is killed.
    pub(crate) fn end_traced(mut self) -> Result<()> {
        let traced = self.traced.context("the server is not traced")?;
        rustix::process::kill_process(traced, Signal::TERM)?;
        let deadline = Instant::now() + END_TIMEOUT;
        while self.child.try_wait()?.is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        if self.child.try_wait()?.is_none() {
            rustix::process::kill_process(traced, Signal::KILL)?;
        }
        self.child.wait()?;
        self.traced = None;
        Ok(())
    }

    fn only_child(&self) -> Option<Pid> {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
    }
}

/// Sends the first line of an output when it is there. The rest is read and thrown away, so that
/// a talkative server never blocks on a full pipe.
fn first_line(output: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut line = String::new();
        // A server that ends sends nothing or half a line, and nobody may be waiting any more.
        let _ = reader.read_line(&mut line);
        let _ = send.send(line);
        let _ = std::io::copy(&mut reader, &mut std::io::sink());
    });
    receive
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(traced) = self.traced {
            let _ = rustix::process::kill_process(traced, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! Two servers side by side, driven in turns: another project's, from the system's packages, and ours.
//! What is compared is the CPU time their processes take, whatever drives them.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::Place;
use super::figures::{median, spread};
use crate::proc::Cpu;
use crate::text;

/// How long the other server may take until it listens.
const STARTUP: Duration = Duration::from_secs(10);

/// One turn of one server.
pub(super) struct Turn {
    /// Operations a second.
    pub(super) per_second: f64,
    /// Nanoseconds of the server's CPU for one operation.
    pub(super) cost: f64,
}

/// Drives both once to warm them up, and then each `rounds` times. `drive` is told which of the two
/// (theirs is 0), does `n` operations, and returns how many it did a second. `pids` are the processes.
pub(super) fn in_turns(
    rounds: u64,
    pids: [u32; 2],
    n: u32,
    mut drive: impl FnMut(usize) -> Result<f64>,
) -> Result<[Vec<Turn>; 2]> {
    let mut turns: [Vec<Turn>; 2] = [Vec::new(), Vec::new()];
    for server in [0, 1] {
        drive(server)?;
    }
    for round in 0..rounds {
        // There and back: nobody always follows the other.
        for server in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            let before = Cpu::of(pids[server])?;
            let per_second = drive(server)?;
            let cost = Cpu::of(pids[server])?.since(before).total as f64 / f64::from(n);
            turns[server].push(Turn { per_second, cost });
        }
    }
    Ok(turns)
}

/// A line of the table: rates, costs, and how many operations ours does in the CPU time of one of theirs.
pub(super) fn row(label: &str, [theirs, ours]: &[Vec<Turn>; 2]) -> String {
    let each = |turns: &[Turn], figure: fn(&Turn) -> f64| -> Vec<f64> { turns.iter().map(figure).collect() };
    let middle = |turns: &[Turn], figure| median(&each(turns, figure)).map_or("-".into(), text::number);
    let ratios: Vec<f64> = theirs.iter().zip(ours).map(|(theirs, ours)| theirs.cost / ours.cost).collect();
    format!(
        "| {label} | {} | {} | {} | {} | {} |\n",
        middle(theirs, |turn| turn.per_second),
        middle(ours, |turn| turn.per_second),
        middle(theirs, |turn| turn.cost),
        middle(ours, |turn| turn.cost),
        spread(&ratios)
    )
}

/// The other server, running. Dropping it ends it.
pub(super) struct Rival {
    child: Child,
    pub(super) port: u16,
}

impl Rival {
    /// Starts `program` on the servers' core, with the arguments that `args` gives for a port, and waits
    /// until it listens.
    pub(super) fn start(
        place: &Place,
        program: &str,
        args: impl FnOnce(&str) -> Vec<String>,
    ) -> Result<Rival> {
        // Whoever takes the port in between makes it fail, which is told.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let core = place.server().map_or("any".into(), |core| core.to_string());
        let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
        command.args(["pinned", &core, program]).args(args(&port.to_string()));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut rival = Rival { child, port };
        let deadline = Instant::now() + STARTUP;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(rival.child.try_wait()?.is_none(), "{program} does not run: is it installed?");
            ensure!(Instant::now() < deadline, "{program} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(rival)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

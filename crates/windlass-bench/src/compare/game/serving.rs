//! A server and its bots, as they are started and asked.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal};
use serde_json::Value;

use super::super::Place;
use super::super::foreign::{Files, free_port};
use super::super::peers::Peer;
use super::super::server::Server;
use crate::args::Target;

/// Players of a room.
pub(super) const SEATS: usize = 16;
/// How long all of them may take until they sit.
const PATIENCE: Duration = Duration::from_secs(120);
/// From the last who sat down to the measurement.
pub(super) const SETTLED: Duration = Duration::from_secs(2);

/// Lines of a game's table, for players by UDP. All of them come from one address here, and at once.
pub(super) const BY_UDP: &str = "[game.udp]\nlisten = \"127.0.0.1:0\"\npeers_max = 10000\n\
    address_peers_max = 10000\nstrangers_max = 10000\naddress_connect_rate = 1000000\n";

/// What is measured, and where.
pub(super) struct Program {
    pub(super) server: PathBuf,
    pub(super) bots: PathBuf,
    pub(super) files: Files,
    pub(super) place: Place,
}

/// A game server that runs.
pub(super) struct Game {
    pub(super) server: Server,
    admin: SocketAddr,
    pub(super) at: SocketAddr,
}

impl Program {
    /// Starts a server of so many ticks a second, with `prefix` before its command.
    pub(super) fn game(&self, hz: u32, prefix: &[String]) -> Result<Game> {
        self.game_with(hz, "", prefix)
    }

    /// The same with more lines in its table.
    pub(super) fn game_with(&self, hz: u32, more: &str, prefix: &[String]) -> Result<Game> {
        let admin: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
        // All players come from one address here, and at once.
        let text = format!(
            "[server]\nworkers = 1\n[limits]\nsource_connections_max = 0\n[admin]\nlisten = \"{admin}\"\n[[game]]\nlisten = \"127.0.0.1:0\"\n\
             tick_hz = {hz}\naddress_request_rate = 1000000\n{more}"
        );
        let file = self.files.write("game.toml", &text)?;
        let peer = Peer {
            name: "windlass game".into(),
            about: String::new(),
            program: self.server.clone(),
            args: ["run", "-q", "-c", &file.display().to_string()].map(str::to_owned).into(),
        };
        let server = Server::start(&peer, self.place.server(), false, prefix)?;
        let Target::Tcp(at) = server.target else { bail!("it does not listen on TCP") };
        Ok(Game { server, admin, at })
    }

    /// Starts so many bots, and waits until all of them sit, beside those who do.
    pub(super) fn bots(&self, game: &Game, count: usize, hz: u32, more: &[&str]) -> Result<Bots> {
        let seats = || Ok::<f64, anyhow::Error>(game.metrics()?.get("windlass_game_seats{kind=\"player\"}"));
        let all = seats()? + count as f64;
        let mut command = Command::new(&self.bots);
        command.args(["game", "bots", &count.to_string(), &game.at.to_string(), "--json"]);
        let mut child = command
            .args(["--hz", &hz.to_string()])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start bots")?;
        let output = child.stdout.take().context("they have no output")?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let lines = said.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
                if let Ok(seen) = serde_json::from_str::<Value>(&line) {
                    lines.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), seen));
                }
            }
        });
        let mut bots = Bots { child, said };
        let begun = Instant::now();
        while seats()? < all {
            ensure!(bots.child.try_wait()?.is_none(), "the bots have ended");
            ensure!(begun.elapsed() < PATIENCE, "not all of {count} bots have got a seat");
            std::thread::sleep(Duration::from_millis(200));
        }
        std::thread::sleep(SETTLED);
        Ok(bots)
    }

    /// Runs a control, one of this program's own commands, on the server's core; what it prints.
    pub(super) fn control(&self, args: &[&str]) -> Result<Value> {
        let core = self.place.server().map_or("any".into(), |core| core.to_string());
        let ourselves = std::env::current_exe()?;
        let mut command = Command::new(&ourselves);
        let output = command.args(["pinned", &core]).arg(&ourselves).args(args).output()?;
        ensure!(output.status.success(), "the control failed: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).context("the control did not say what it found")
    }
}

impl Game {
    /// What the server says of itself.
    pub(super) fn metrics(&self) -> Result<Metrics> {
        let mut stream = TcpStream::connect(self.admin)?;
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.admin)?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(Metrics::parse(&text))
    }

    pub(super) fn pid(&self) -> u32 {
        self.server.pid()
    }
}

/// Bots that run, and what they have said. Dropping it ends them.
pub(super) struct Bots {
    child: Child,
    said: Arc<Mutex<Vec<(Instant, Value)>>>,
}

impl Bots {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The last that they have said, and when.
    pub(super) fn last(&self) -> Result<(Instant, Value)> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.last().cloned().context("the bots have said nothing")
    }

    /// Has them leave their seats, and looks whether all was well.
    pub(super) fn end(mut self) -> Result<()> {
        rustix::process::kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the bots could not read what they were sent");
        Ok(())
    }
}

impl Drop for Bots {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The samples of `/metrics`, by name and labels without that of the game.
pub(super) struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    fn parse(text: &str) -> Metrics {
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            let name = name.replace("game=\"game\",", "").replace("{game=\"game\"}", "");
            Some((name, value.parse().ok()?))
        };
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Metrics(lines.filter_map(sample).collect())
    }

    /// One of them; 0 if there is none.
    pub(super) fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }

    /// The buckets of a histogram: their ends in microseconds, and how much is up to there.
    pub(super) fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let prefix = format!("{name}_bucket{{le=\"");
        let mut buckets: Vec<(f64, f64)> = self
            .0
            .iter()
            .filter_map(|(key, value)| {
                let end = key.strip_prefix(&prefix)?.strip_suffix("\"}")?;
                Some((if end == "+Inf" { f64::INFINITY } else { end.parse::<f64>().ok()? * 1e6 }, *value))
            })
            .collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        buckets
    }
}

/// The end of the bucket with this share of what was counted between two looks; the last has none, and it is infinite then.
pub(super) fn quantile(before: &[(f64, f64)], after: &[(f64, f64)], share: f64) -> f64 {
    let counted: Vec<(f64, f64)> =
        before.iter().zip(after).map(|((end, before), (_, after))| (*end, after - before)).collect();
    let all = counted.last().map_or(0.0, |(_, all)| *all);
    counted.iter().find(|(_, below)| *below >= all * share).map_or(f64::NAN, |(end, _)| *end)
}

/// Where a file is, as an argument.
pub(super) fn text(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE windlass_game_ticks counter\n\
        windlass_game_ticks_total{game=\"game\",outcome=\"made\"} 12\n\
        windlass_game_rooms{game=\"game\"} 3\n\
        late_bucket{game=\"game\",le=\"0.0001\"} 5\nlate_bucket{game=\"game\",le=\"+Inf\"} 9\n\
        late_bucket{game=\"game\",le=\"0.00002\"} 1\n";

    #[test]
    fn samples_are_found_by_their_names() {
        let metrics = Metrics::parse(TEXT);
        assert_eq!(metrics.get("windlass_game_ticks_total{outcome=\"made\"}"), 12.0);
        assert_eq!(metrics.get("windlass_game_rooms"), 3.0);
        let buckets = metrics.buckets("late");
        assert_eq!(buckets.len(), 3);
        assert!((buckets[1].0 - 100.0).abs() < 1e-9 && buckets[2].0.is_infinite());
        let none: Vec<(f64, f64)> = buckets.iter().map(|(end, _)| (*end, 0.0)).collect();
        assert!((quantile(&none, &buckets, 0.5) - 100.0).abs() < 1e-9);
        assert!(quantile(&none, &buckets, 0.99).is_infinite());
    }
}

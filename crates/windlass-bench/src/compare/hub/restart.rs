//! How long a broker takes until it serves what it had: stopped in good order, or killed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::super::Place;
use super::super::figures::spread;
use super::super::peers::Peer;
use super::super::server::Server;
use super::fill::Waiting;
use super::peers::{COMMITS, KEEPS};
use crate::args::Target;
use crate::proc::resident_kib;
use crate::text;

/// The longest start that is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// One start of one broker.
pub(super) struct Began {
    pub(super) peer: String,
    /// With so many retained messages.
    pub(super) retained: u64,
    /// After it was killed, and not stopped.
    pub(super) killed: bool,
    pub(super) seconds: f64,
}

/// The table, and each start; nothing, if no broker keeps anything.
pub(super) fn section(
    rounds: u64,
    peers: &[Peer],
    place: &Place,
    count: u64,
) -> Result<(String, Vec<Began>)> {
    let (mut rows, mut all) = (Vec::new(), Vec::new());
    for peer in peers.iter().filter(|peer| [KEEPS, COMMITS].contains(&peer.name.as_str())) {
        let peer = &with_a_store_of_its_own(peer);
        let filled = Instant::now();
        let server = Server::start(peer, place.server(), false, &[])?;
        Waiting::connect(address(&server)?)?.fill(count).context(peer.name.clone())?;
        let filled = filled.elapsed();
        eprintln!("R1 {}: filled in {filled:?}", peer.name);
        let resident = resident_kib(server.pid())?;
        let (mut orderly, mut killed) = (Vec::new(), Vec::new());
        let (mut running, mut lost) = (server, None);
        for round in 0..rounds {
            running.end().with_context(|| format!("{} does not end", peer.name))?;
            let (took, server) = start(peer, place, count)?;
            orderly.push(took.as_secs_f64());
            drop(server);
            // What was not on disk is gone now.
            running = match start(peer, place, count) {
                Ok((took, server)) => {
                    killed.push(took.as_secs_f64());
                    server
                }
                Err(error) => {
                    lost = Some(format!("{error:#}"));
                    break;
                }
            };
            eprintln!("round {} R1 {}: {:?} s, after a kill {:?} s", round + 1, peer.name, orderly, killed);
        }
        let bytes = resident as f64 * 1024.0 / count as f64;
        rows.push(vec![
            peer.name.clone(),
            text::thousands((count as f64 / filled.as_secs_f64()) as i64),
            text::number(bytes),
            spread(&orderly),
            lost.unwrap_or_else(|| spread(&killed)),
        ]);
        for (is_killed, took) in [(false, orderly), (true, killed)] {
            all.extend(took.into_iter().map(|seconds| Began {
                peer: peer.name.clone(),
                retained: count,
                killed: is_killed,
                seconds,
            }));
        }
    }
    if rows.is_empty() {
        eprintln!("NOT MEASURED: R1 needs a broker that keeps what it has");
        return Ok((String::new(), all));
    }
    let head =
        ["broker", "retained a second", "bytes resident each", "start after a stop, s", "after a kill, s"];
    let n = text::thousands(count as i64);
    let table = text::table(&head, &rows);
    Ok((
        format!(
            "\n## R1: start with {n} retained messages, until one of them comes to a new client\n\n{table}"
        ),
        all,
    ))
}

/// The same beginning with nothing: what another workload left behind counts against the limit of what is retained.
fn with_a_store_of_its_own(peer: &Peer) -> Peer {
    let mut peer = peer.clone();
    if let Some(at) = peer.args.iter().position(|arg| arg == "--data") {
        peer.args[at + 1] += "-starts";
    }
    peer
}

pub(super) fn address(server: &Server) -> Result<std::net::SocketAddr> {
    let Target::Tcp(address) = server.target else { bail!("{} is not TCP", server.target) };
    Ok(address)
}

/// Starts it, and waits until the last of the messages comes.
fn start(peer: &Peer, place: &Place, count: u64) -> Result<(Duration, Server)> {
    let began = Instant::now();
    let server = Server::start_within(peer, place.server(), false, &[], PATIENCE)?;
    Waiting::connect(address(&server)?)?.retained(count - 1).context("the message does not come")?;
    Ok((began.elapsed(), server))
}

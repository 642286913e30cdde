//! How long a broker takes until it serves what it had: stopped in good order, or killed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::super::Place;
use super::super::peers::Peer;
use super::super::server::Server;
use super::fill::Waiting;
use super::peers::{COMMITS, KEEPS};
use crate::args::Target;
use crate::proc::resident_kib;
use crate::text;

/// The longest start that is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// The table; nothing, if no broker keeps anything.
pub(super) fn section(peers: &[Peer], place: &Place, count: u64) -> Result<String> {
    let mut rows = Vec::new();
    for peer in peers.iter().filter(|peer| [KEEPS, COMMITS].contains(&peer.name.as_str())) {
        let filled = Instant::now();
        let server = Server::start(peer, place.server(), false, &[])?;
        Waiting::connect(address(&server)?)?.fill(count).context(peer.name.clone())?;
        let filled = filled.elapsed();
        eprintln!("R1 {}: filled in {filled:?}", peer.name);
        let resident = resident_kib(server.pid())?;
        server.end().with_context(|| format!("{} does not end", peer.name))?;
        let (orderly, server) = start(peer, place, count)?;
        drop(server);
        // What was not on disk is gone now.
        let killed = match start(peer, place, count) {
            Ok((took, _)) => seconds(took),
            Err(error) => format!("{error:#}"),
        };
        eprintln!("R1 {}: {orderly:?}, after a kill {killed}", peer.name);
        let bytes = resident as f64 * 1024.0 / count as f64;
        rows.push(vec![
            peer.name.clone(),
            text::thousands((count as f64 / filled.as_secs_f64()) as i64),
            text::number(bytes),
            seconds(orderly),
            killed,
        ]);
    }
    if rows.is_empty() {
        eprintln!("NOT MEASURED: R1 needs a broker that keeps what it has");
        return Ok(String::new());
    }
    let head =
        ["broker", "retained a second", "bytes resident each", "start after a stop, s", "after a kill, s"];
    let n = text::thousands(count as i64);
    Ok(format!(
        "\n## R1: start with {n} retained messages, until one of them comes to a new client\n\n{}",
        text::table(&head, &rows)
    ))
}

fn seconds(time: Duration) -> String {
    text::number(time.as_secs_f64())
}

fn address(server: &Server) -> Result<std::net::SocketAddr> {
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

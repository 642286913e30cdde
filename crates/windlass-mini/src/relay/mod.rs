//! `[[proxy]]`: what comes to one address is passed on to another: connections (`streams.rs`), or datagrams
//! (`datagrams.rs`).

mod datagrams;
mod streams;

use std::net::SocketAddr;

use windlass::{Remote, Server};

use crate::config::{Proxy, Tls};
use crate::serving::listening;

pub(crate) use datagrams::Evicted;

/// Adds the service of a table, which counts what it evicts.
pub(crate) fn added(server: Server, table: &Proxy, evicted: &Evicted) -> Result<Server, String> {
    let to = table.to.first().map_or("", |to| to);
    if table.is_udp() {
        let to = address(to)?;
        let (flows_max, idle) = (table.flows_max, table.udp_idle_timeout);
        if flows_max == 0 || idle.is_zero() {
            return Err("`flows_max` and `idle_timeout` of `[proxy.udp]` are more than 0".into());
        }
        let evicted = evicted.clone();
        let service = move || datagrams::Relay::new(to, flows_max, idle, evicted.clone());
        let service = windlass::datagrams(service).name(&table.name);
        let listen: Vec<String> = table.listen.iter().map(|at| as_udp(at)).collect();
        return Ok(server.add(listening(service, &listen, &Tls::default())?));
    }
    let remote = remote(to, table.baud)?;
    let timeout = table.connect_timeout;
    let service = windlass::serve(move || streams::Relay::new(remote.clone(), timeout)).name(&table.name);
    Ok(server.add(listening(service, &table.listen, &table.tls)?))
}

/// With `mode = "udp"`, `HOST:PORT` is the same as `udp:HOST:PORT`.
pub(crate) fn as_udp(listen: &str) -> String {
    if listen.starts_with("udp:") { listen.into() } else { crate::joined(&["udp:", listen]) }
}

/// Where connections go.
fn remote(to: &str, baud: u32) -> Result<Remote, String> {
    if let Some(paths) = to.strip_prefix("pipe:") {
        let (from, to) = match paths.split_once(',') {
            Some((from, to)) => (from, Some(to.into())),
            None => (paths, None),
        };
        return Ok(Remote::Piped(windlass::Piped { from: from.into(), to, baud }));
    }
    match to.strip_prefix("unix:") {
        Some("") => Err("`unix:` needs a path".into()),
        Some(path) => Ok(Remote::Unix(path.into())),
        None => address(to).map(Remote::Tcp),
    }
}

/// Names are not asked for: that would take another thread.
fn address(to: &str) -> Result<SocketAddr, String> {
    to.parse()
        .map_err(|_| crate::joined(&["`", to, "` is no address with a port, and names are for `windlass`"]))
}

//! `windlass demo`: every service on this machine alone, with clients that keep them busy. Read `file` for
//! what it serves; the rest is as with `windlass run`.

mod clients;

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Result;
use windlass::{Address, Server, serve};

use crate::args::DemoArgs;
use crate::config::File;
#[cfg(feature = "realtime")]
use crate::config::game::GameTable;
use crate::config::shape::{AdminTable, EchoTable, LogLevel, WebsocketTable};
#[cfg(feature = "kv")]
use crate::config::shape::{MemcachedTable, RespTable};
use crate::config::value::Listen;
use crate::serving::{self, Front};
use clients::{Clients, Say};

/// Where the dashboard is, unless something else is there.
const ADMIN_PORT: u16 = 9900;

/// Serves until told to stop.
pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    let mut file = file(free);
    if !args.quiet {
        // What is printed first says where everything is; each client that comes is no news.
        file.log.level = LogLevel::Warn;
    }
    let front = Front { greeting: greeting(&file, args.clients), quiet: args.quiet, path: None };
    let targets = targets(&file);
    let clients = args.clients;
    #[cfg(feature = "realtime")]
    let arena = file.game.first().and_then(|game| first(&game.listen));
    serving::run_with(&file, front, |server: Server| {
        if clients == 0 {
            return server;
        }
        let server = server.add(serve(move || Clients::new(targets.clone(), clients)).name("demo clients"));
        #[cfg(feature = "realtime")]
        if let Some(at) = arena {
            return server.add(bots(at, clients.min(BOTS_MAX)));
        }
        server
    })
}

/// Bots in the arena, whatever the number of clients: who comes to look shall find seats.
#[cfg(feature = "realtime")]
const BOTS_MAX: usize = 6;

/// Players of the arena who are no people.
#[cfg(feature = "realtime")]
fn bots(at: SocketAddr, count: usize) -> windlass::Serve<windlass_realtime::Bots> {
    use windlass_realtime::{Bots, BotsConfig, BotsWatch};

    // All of them on one worker: the others make none.
    let (config, watch) = (BotsConfig::new(at, count), BotsWatch::default());
    let tick = config.tick();
    serve(move || Bots::new(config.clone(), watch.clone())).name("demo bots").tick(tick)
}

/// What `windlass init demo` begins with, and `windlass demo` serves. `port` is given the usual port of a
/// service and gives the one it shall have.
pub(crate) fn file(port: impl Fn(u16) -> u16) -> File {
    let at = |usual| listen(port(usual), Address::Tcp);
    File {
        admin: AdminTable { listen: vec![at(ADMIN_PORT)], ..AdminTable::default() },
        echo: vec![echo(port(9000))],
        websocket: vec![WebsocketTable { listen: vec![at(9001)], ..WebsocketTable::default() }],
        #[cfg(feature = "kv")]
        resp: vec![RespTable { listen: vec![at(6379)], ..RespTable::default() }],
        #[cfg(feature = "kv")]
        memcached: vec![MemcachedTable { listen: vec![at(11211)], ..MemcachedTable::default() }],
        #[cfg(feature = "realtime")]
        game: vec![GameTable { listen: vec![at(7777)], ..GameTable::default() }],
        ..File::default()
    }
}

/// Streams and datagrams on the same port.
fn echo(port: u16) -> EchoTable {
    EchoTable { listen: vec![listen(port, Address::Tcp), listen(port, Address::Udp)], ..EchoTable::default() }
}

fn listen(port: u16, kind: fn(String) -> Address) -> Listen {
    Listen(kind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string()))
}

/// This port of loopback if nobody has it, or else one that the system chooses.
fn free(usual: u16) -> u16 {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|it| it.local_addr());
    bind(usual).or_else(|_| bind(0)).map_or(usual, |addr| addr.port())
}

/// The address of a service's first stream listener.
fn first(listen: &[Listen]) -> Option<SocketAddr> {
    match &listen.first()?.0 {
        Address::Tcp(text) => text.parse().ok(),
        _ => None,
    }
}

/// Whom the clients talk to, and how.
fn targets(file: &File) -> Vec<(SocketAddr, Say)> {
    let echo = file.echo.iter().map(|echo| (&echo.listen, Say::Lines));
    #[cfg(feature = "kv")]
    let echo = {
        let resp = file.resp.iter().map(|resp| (&resp.listen, Say::Resp));
        let memcached = file.memcached.iter().map(|it| (&it.listen, Say::Memcached));
        echo.chain(resp).chain(memcached)
    };
    echo.filter_map(|(listen, say)| Some((first(listen)?, say))).collect()
}

/// What to do now, for somebody who has just started it.
fn greeting(file: &File, clients: usize) -> String {
    let mut text = String::from("\nEverything is on this machine alone. Try, from another terminal:\n\n");
    let mut line = |what: &str, listen: &[Listen], command: &dyn Fn(SocketAddr) -> String| {
        if let Some(addr) = first(listen) {
            let _ = writeln!(text, "  {what:<11} {}", command(addr));
        }
    };
    line("dashboard", &file.admin.listen, &|at| format!("http://{at}"));
    for echo in &file.echo {
        line("echo", &echo.listen, &|at| format!("nc {} {}", at.ip(), at.port()));
        line("datagrams", &echo.listen, &|at| format!("nc -u {} {}", at.ip(), at.port()));
    }
    for websocket in &file.websocket {
        line("WebSocket", &websocket.listen, &|at| format!("http://{at}"));
    }
    #[cfg(feature = "realtime")]
    for game in &file.game {
        line("arena", &game.listen, &|at| format!("http://{at}"));
    }
    #[cfg(feature = "kv")]
    {
        for resp in &file.resp {
            line("Redis", &resp.listen, &|at| format!("redis-cli -p {}", at.port()));
        }
        for it in &file.memcached {
            let stats = |at: SocketAddr| format!("printf 'stats\\r\\n' | nc -q1 {} {}", at.ip(), at.port());
            line("memcached", &it.listen, &stats);
        }
    }
    let s = if clients == 1 { "" } else { "s" };
    let busy =
        if clients == 0 { String::new() } else { format!("{clients} client{s} of its own keep it busy. ") };
    let _ = writeln!(text, "\n{busy}Ctrl-C drains and ends it.\n");
    text
}

#[cfg(test)]
#[path = "../tests/demo.rs"]
mod tests;

//! A TCP proxy: `cargo run --release --example relay -- 127.0.0.1:7002 127.0.0.1:7000` accepts at the first
//! address and couples each connection with one of its own to the second. A number behind the two is
//! `Limits::relay_pipes_max`.

use std::collections::HashMap;
use std::net::SocketAddr;

use windlass::{Close, Conn, ConnId, Connect, ConnectError, Input, Limits, Scope, Service, Sessions, serve};

struct Proxy {
    upstream: SocketAddr,
    /// Clients whose upstream connection is being made, by its tag.
    waiting: HashMap<u64, ConnId>,
    tags: u64,
}

impl Service for Proxy {
    type Session = ();

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        // What the client sends before there is an upstream waits in its socket.
        conn.pause();
        self.tags += 1;
        conn.connect(Connect::to(self.upstream).tag(self.tags).while_draining())?;
        self.waiting.insert(self.tags, conn.id());
        Ok(())
    }

    fn connected(&mut self, conn: &mut Conn<'_>, tag: u64) -> Result<(), Close> {
        match self.waiting.remove(&tag) {
            Some(client) if conn.relay(client) => Ok(()),
            _ => Err(Close::Done),
        }
    }

    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        _: &mut Sessions<()>,
        _: ConnId,
        tag: u64,
        why: ConnectError,
    ) {
        eprintln!("{}: {why}", self.upstream);
        if let Some(mut client) = self.waiting.remove(&tag).and_then(|id| scope.conn(id)) {
            client.abort();
        }
    }

    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Ok(()) // paused at first, then coupled: never called
    }

    fn draining(&mut self, _: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        Ok(()) // until both ends have ended, or the drain's deadline
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [listen, upstream, rest @ ..] = &args[..] else { return Err("relay LISTEN UPSTREAM [PIPES]".into()) };
    let upstream = upstream.parse()?;
    let relay_pipes_max = rest.first().map_or(Ok(Limits::default().relay_pipes_max), |n| n.parse())?;
    let bound = serve(move || Proxy { upstream, waiting: HashMap::new(), tags: 0 })
        .workers(1)
        // A burst of clients is a burst of upstream connections.
        .limits(Limits { relay_pipes_max, connecting_max: 16 * 1024, ..Limits::default() })
        .tcp(listen.as_str())
        .bind()?;
    for address in bound.addresses() {
        println!("Listening on {address}");
    }
    bound.run()?;
    Ok(())
}

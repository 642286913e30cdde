//! TLS ends here: `cargo run --release --example tls_relay -- 127.0.0.1:7443 127.0.0.1:7000 chain.pem key.pem`
//! accepts TLS at the first address and passes what it brings on to the second, in plain text.

use std::collections::HashMap;
use std::net::SocketAddr;

use windlass::{
    Close, Conn, ConnId, Connect, ConnectError, Input, Limits, Scope, Service, Sessions, TlsIdentity,
    TlsServer, serve,
};

struct Proxy {
    upstream: SocketAddr,
    /// Clients whose upstream connection is being made, by its tag.
    waiting: HashMap<u64, ConnId>,
    tags: u64,
}

impl Service for Proxy {
    type Session = ();

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        // Its handshake is done. What it sends before there is an upstream waits.
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
    let [listen, upstream, chain, key] = &args[..] else {
        return Err("tls_relay LISTEN UPSTREAM CHAIN KEY".into());
    };
    let upstream = upstream.parse()?;
    let tls = TlsServer::new(TlsIdentity::from_files(chain, key)?).build()?;
    let bound = serve(move || Proxy { upstream, waiting: HashMap::new(), tags: 0 })
        .workers(1)
        .limits(Limits { connecting_max: 16 * 1024, ..Limits::default() })
        .tls(listen.as_str(), &tls)
        .bind()?;
    for address in bound.addresses() {
        println!("Listening on {address}");
    }
    bound.run()?;
    Ok(())
}

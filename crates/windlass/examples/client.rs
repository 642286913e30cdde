//! A line client that reconnects: `cargo run --example chat` in one terminal, `cargo run --example client`
//! in another, or several. Stop the chat and start it again.
//!
//! What you type goes to the server, what it says is printed. Standard input blocks, so it is read on a
//! thread of its own and comes in by mailbox.

use std::io::Write;
use std::net::SocketAddr;

use windlass::{
    Close, Conn, ConnId, Connect, ConnectError, Input, Mailbox, Receive, Reconnect, Scope, Service, Sessions,
    serve,
};

struct Client {
    server: SocketAddr,
    reconnect: Reconnect,
}

impl Client {
    /// The next try, after a pause that grows while the server is away.
    fn again(&mut self, now: windlass::Time, random: u64) -> Connect {
        let pause = self.reconnect.failed(now, random);
        Connect::to(self.server).after(pause)
    }
}

impl Service for Client {
    type Session = ();

    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
        scope.connect(Connect::to(self.server)).expect("one connection is within every limit");
    }

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        eprintln!("* connected to {}", conn.peer());
        self.reconnect.connected(conn.now());
        Ok(())
    }

    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        _: &mut Sessions<()>,
        _: ConnId,
        _: u64,
        why: ConnectError,
    ) {
        eprintln!("* {}: {why}", self.server);
        let random = scope.random();
        // Refused only once we are shutting down.
        let _ = scope.connect(self.again(scope.now(), random));
    }

    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        std::io::stdout().write_all(input.take_all())?;
        Ok(std::io::stdout().flush()?)
    }

    fn closed(&mut self, conn: &mut Conn<'_>, _: (), why: Close) {
        eprintln!("* disconnected: {why}");
        let random = conn.random();
        let _ = conn.connect(self.again(conn.now(), random));
    }
}

impl Receive for Client {
    type Message = String;

    fn receive(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>, line: String) {
        scope.broadcast(line.as_bytes());
    }
}

fn main() -> windlass::Result<()> {
    let server = SocketAddr::from(([127, 0, 0, 1], 7001));
    let lines = Mailbox::new();
    // No listener: this server only calls.
    let bound = serve(move || Client { server, reconnect: Reconnect::default() })
        .workers(1)
        .mailbox(&lines)
        .bind()?;
    let handle = bound.handle();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let _ = lines.send(0, line + "\n");
        }
        handle.shutdown();
    });
    bound.run().map(drop)
}

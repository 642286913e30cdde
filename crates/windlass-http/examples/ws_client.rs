//! A WebSocket client that sends back what it hears: `cargo run --example ws_client -- 127.0.0.1:9001 /path`.
//!
//! `--print` shows messages instead; `--compress` offers permessage-deflate. It ends with its connection.

use std::net::SocketAddr;

use windlass::{
    Close, Conn, ConnId, Connect, ConnectError, Handle, Input, Limits, Scope, Service, Sessions, serve,
};
use windlass_http::ws::{Message, WsConfig, WsServerConfig, WsSession, WsStats, WsWorker};
use windlass_proto::Decode;
use windlass_proto::http::ResponseHeads;
use windlass_proto::ws::{Compression, Opening};

const MESSAGE_MAX: usize = 16 * 1024 * 1024;

struct Client {
    server: SocketAddr,
    path: String,
    config: WsConfig,
    prints: bool,
    worker: WsWorker,
    handle: std::sync::Arc<std::sync::OnceLock<Handle>>,
}

enum Session {
    Opening(Opening, ResponseHeads),
    Open(WsSession),
}

impl Client {
    fn stop(&self) {
        if let Some(handle) = self.handle.get() {
            handle.shutdown();
        }
    }
}

impl Service for Client {
    type Session = Session;

    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Session>) {
        scope.connect(Connect::to(self.server)).expect("one connection is within every limit");
    }

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<Session, Close> {
        let mut random = [0; 32];
        for bytes in random.chunks_mut(8) {
            bytes.copy_from_slice(&conn.random().to_ne_bytes());
        }
        let opening = Opening::new(random);
        let mut out = Vec::new();
        opening.request(&self.server.to_string(), &self.path, &self.config, &mut out)?;
        conn.write(&out);
        Ok(Session::Opening(opening, ResponseHeads::default()))
    }

    fn data(
        &mut self,
        conn: &mut Conn<'_>,
        session: &mut Session,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        if let Session::Opening(opening, heads) = session {
            let Some(head) = heads.decode(input)? else { return Ok(()) };
            let (endpoint, _) = opening.answer(&head, &self.config)?;
            *session = Session::Open(WsSession::new(endpoint, &mut self.worker, conn));
        }
        let Session::Open(ws) = session else { return Ok(()) };
        ws.data(&mut self.worker, conn, input, |ws, message| {
            match message {
                Message::Text(text) if self.prints => println!("{text}"),
                Message::Binary(bytes) if self.prints => println!("{bytes:02x?}"),
                message => _ = ws.send(message),
            }
            Ok(())
        })
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, session: &mut Session) -> Result<(), Close> {
        let Session::Open(ws) = session else { return Err(Close::Timeout) };
        ws.timeout(&mut self.worker, conn).map(drop)
    }

    fn closed(&mut self, _: &mut Conn<'_>, session: Session, why: Close) {
        match session {
            Session::Open(ws) => eprintln!("closed with {}: {why}", ws.closed(&mut self.worker).0),
            Session::Opening(..) => eprintln!("not opened: {why}"),
        }
        self.stop();
    }

    fn connect_failed(
        &mut self,
        _: &mut Scope<'_>,
        _: &mut Sessions<Session>,
        _: ConnId,
        _: u64,
        why: ConnectError,
    ) {
        eprintln!("{}: {why}", self.server);
        self.stop();
    }
}

fn main() -> windlass::Result<()> {
    let mut config = WsConfig::default().message_max(MESSAGE_MAX);
    let (mut server, mut path, mut prints) =
        (SocketAddr::from(([127, 0, 0, 1], 9001)), "/".to_owned(), false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--print" => prints = true,
            "--compress" => config.compression = Some(Compression::default()),
            _ if argument.starts_with('/') => path = argument,
            _ => server = argument.parse().expect("an address and a port"),
        }
    }
    let handle = std::sync::Arc::new(std::sync::OnceLock::new());
    let given = handle.clone();
    let make = move || Client {
        server,
        path: path.clone(),
        config: config.clone(),
        prints,
        worker: WsWorker::new(WsServerConfig::default(), WsStats::new()),
        handle: given.clone(),
    };
    let limits = Limits { output_max: 4 * MESSAGE_MAX, ..Limits::default() };
    let bound = serve(make).workers(1).limits(limits).bind()?;
    let _ = handle.set(bound.handle());
    bound.run().map(drop)
}

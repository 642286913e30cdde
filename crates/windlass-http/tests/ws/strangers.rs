//! Clients and servers that are not ours: tungstenite's, over real sockets.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use tungstenite::Message as Theirs;
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode as TheirCode;
use windlass::{
    Close, Conn, ConnId, Connect, ConnectError, Handle, Input, Peer, Scope, Service, Sessions, serve,
};
use windlass_http::ws::{
    Accept, CloseCode, Message, Upgrade, Ws, WsConfig, WsServer, WsServerConfig, WsService, WsSession,
    WsStats, WsWorker,
};
use windlass_proto::Decode;
use windlass_proto::http::{ResponseHeads, Status};
use windlass_proto::ws::{HandshakeError, Opening};

struct Echo;

impl WsService for Echo {
    type Session = ();
    fn accept(&mut self, upgrade: &Upgrade<'_, '_>, _: Peer) -> Result<Accept<()>, Status> {
        match upgrade.head.path() {
            "/" => Ok(Accept::new(()).protocol("echo")),
            _ => Err(Status::NOT_FOUND),
        }
    }
    fn message(&mut self, ws: &mut Ws<'_, '_>, _: &mut (), message: Message<'_>) -> Result<(), Close> {
        if message == Message::Text("close") {
            ws.close(CloseCode(4321), "you asked for it");
        }
        ws.send(message);
        Ok(())
    }
}

/// A server that runs until it is dropped.
struct Running {
    address: SocketAddr,
    handle: Handle,
    thread: Option<thread::JoinHandle<()>>,
}

impl Running {
    fn start() -> Running {
        let config = WsServerConfig::default().endpoint(WsConfig::default().message_max(4 << 20));
        let bound =
            serve(move || WsServer::new(Echo, config.clone())).workers(1).tcp("127.0.0.1:0").bind().unwrap();
        let address = bound.addresses()[0].to_string().parse().unwrap();
        let handle = bound.handle();
        let thread = Some(thread::spawn(move || bound.run().map(drop).unwrap()));
        Running { address, handle, thread }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.shutdown();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

#[test]
fn tungstenite_talks_to_our_server() {
    let server = Running::start();
    let mut request = format!("ws://{}/", server.address).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "other, echo".parse().unwrap());
    let (mut socket, response) = tungstenite::connect(request).unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "echo");
    for len in [0, 1, 125, 126, 65_535, 65_536, 3_000_000] {
        let text = "\u{e9}".repeat(len / 2);
        socket.send(Theirs::text(text.clone())).unwrap();
        assert_eq!(socket.read().unwrap(), Theirs::text(text));
        socket.send(Theirs::binary(vec![0xfe; len])).unwrap();
        assert_eq!(socket.read().unwrap(), Theirs::binary(vec![0xfe; len]));
    }
    socket.send(Theirs::Ping(b"123".to_vec().into())).unwrap();
    assert_eq!(socket.read().unwrap(), Theirs::Pong(b"123".to_vec().into()));
    let close = CloseFrame { code: TheirCode::Normal, reason: "bye".into() };
    socket.close(Some(close)).unwrap();
    let Theirs::Close(Some(answer)) = socket.read().unwrap() else { panic!("no Close frame") };
    assert_eq!(answer.code, TheirCode::Normal);
    assert!(matches!(socket.read(), Err(tungstenite::Error::ConnectionClosed)), "a clean end");
}

#[test]
fn our_server_closes_on_tungstenite() {
    let server = Running::start();
    let (mut socket, _) = tungstenite::connect(format!("ws://{}/", server.address)).unwrap();
    socket.send(Theirs::text("close")).unwrap();
    let Theirs::Close(Some(frame)) = socket.read().unwrap() else { panic!("no Close frame") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4321, "you asked for it"));
    assert!(matches!(socket.read(), Err(tungstenite::Error::ConnectionClosed)), "a clean end");
}

#[test]
fn our_server_refuses_tungstenite() {
    let server = Running::start();
    match tungstenite::connect(format!("ws://{}/nowhere", server.address)) {
        Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 404),
        other => panic!("{other:?}"),
    }
}

/// Connects, says three things, wants them back, and closes.
struct Client {
    server: SocketAddr,
    worker: WsWorker,
    handle: std::sync::mpsc::Sender<CloseCode>,
}

enum Calling {
    Shaking(Opening, ResponseHeads),
    Open(WsSession, usize),
}

const THINGS: [&str; 3] = ["", "h\u{e9}llo", "world"];

impl Service for Client {
    type Session = Calling;

    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Calling>) {
        scope.connect(Connect::to(self.server)).unwrap();
    }

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<Calling, Close> {
        let opening = Opening::new([conn.random() as u8; 32]).protocol("echo");
        let mut out = Vec::new();
        opening.request(&self.server.to_string(), "/", &WsConfig::default(), &mut out)?;
        conn.write(&out);
        Ok(Calling::Shaking(opening, ResponseHeads::default()))
    }

    fn data(
        &mut self,
        conn: &mut Conn<'_>,
        session: &mut Calling,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        if let Calling::Shaking(opening, heads) = session {
            let Some(head) = heads.decode(input)? else { return Ok(()) };
            let (endpoint, protocol) = opening.answer(&head, &WsConfig::default())?;
            if protocol != Some("echo") {
                return Err(HandshakeError::Protocol.into());
            }
            let mut ws = WsSession::new(endpoint, &mut self.worker, conn);
            ws.ws(&mut self.worker, conn).text(THINGS[0]);
            *session = Calling::Open(ws, 0);
        }
        let Calling::Open(ws, heard) = session else { return Ok(()) };
        ws.data(&mut self.worker, conn, input, |ws, message| {
            assert_eq!(message, Message::Text(THINGS[*heard]));
            *heard += 1;
            match THINGS.get(*heard) {
                Some(next) => _ = ws.text(next),
                None => ws.close(CloseCode::NORMAL, "enough"),
            }
            Ok(())
        })
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, session: &mut Calling) -> Result<(), Close> {
        let Calling::Open(ws, _) = session else { return Err(Close::Timeout) };
        ws.timeout(&mut self.worker, conn).map(drop)
    }

    fn closed(&mut self, _: &mut Conn<'_>, session: Calling, _: Close) {
        let code = match session {
            Calling::Open(ws, _) => ws.closed(&mut self.worker),
            Calling::Shaking(..) => CloseCode::ABNORMAL,
        };
        self.handle.send(code).unwrap();
    }

    fn connect_failed(
        &mut self,
        _: &mut Scope<'_>,
        _: &mut Sessions<Calling>,
        _: ConnId,
        _: u64,
        why: ConnectError,
    ) {
        panic!("{why}");
    }
}

#[test]
fn our_client_talks_to_tungstenites_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap();
    let theirs = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        #[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
        let choose = |_: &tungstenite::handshake::server::Request,
                      mut response: tungstenite::handshake::server::Response| {
            response.headers_mut().insert("sec-websocket-protocol", "echo".parse().unwrap());
            Ok(response)
        };
        let mut socket = tungstenite::accept_hdr(stream, choose).unwrap();
        loop {
            match socket.read() {
                Ok(message @ (Theirs::Text(_) | Theirs::Binary(_))) => socket.send(message).unwrap(),
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => return,
                Err(error) => panic!("{error}"),
            }
        }
    });
    let (ended, end) = std::sync::mpsc::channel();
    let make = move || Client {
        server,
        worker: WsWorker::new(WsServerConfig::default(), WsStats::new()),
        handle: ended.clone(),
    };
    let bound = serve(make).workers(1).bind().unwrap();
    let handle = bound.handle();
    let ours = thread::spawn(move || bound.run().map(drop).unwrap());
    assert_eq!(end.recv().unwrap(), CloseCode::NORMAL);
    theirs.join().unwrap();
    handle.shutdown();
    ours.join().unwrap();
}

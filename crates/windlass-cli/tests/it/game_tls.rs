//! `[[game]]` over TLS: seats over https, players over wss, on the worker of their room wherever they came in.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use tungstenite::{Message, WebSocket};
use windlass_realtime::wire::{SUBPROTOCOL, Saying, Told, told};

use crate::served::*;
use crate::server::*;

/// Rooms with a player each: that all their connections came in where their room is has a chance of one in 2^24.
const ROOMS: usize = 24;

type Stream = StreamOwned<ClientConnection, TcpStream>;

struct Client {
    at: String,
    config: Arc<ClientConfig>,
}

impl Client {
    fn new(at: &str, certs: &str) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(format!("{certs}/ca.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
        Client { at: at.to_owned(), config }
    }

    fn connect(&self) -> Stream {
        let stream = TcpStream::connect(&self.at).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        StreamOwned::new(ClientConnection::new(self.config.clone(), name).unwrap(), stream)
    }

    /// A seat in a room of its own: the way to it.
    fn seat(&self) -> String {
        let mut stream = self.connect();
        let head = "POST /api/rooms/create HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                    content-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let kept: Value = serde_json::from_str(body).unwrap();
        kept["path"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    fn play(&self, path: &str) -> WebSocket<Stream> {
        let request = tungstenite::http::Request::builder()
            .uri(format!("wss://localhost{path}"))
            .header("host", "localhost")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", SUBPROTOCOL)
            .body(())
            .unwrap();
        tungstenite::client(request, self.connect()).unwrap().0
    }
}

/// Until a message satisfies, given its head's input and whether it has a welcome and a snapshot.
fn hear(socket: &mut WebSocket<Stream>, mut is_it: impl FnMut(u16, bool, bool) -> bool) {
    loop {
        let Message::Binary(message) = socket.read().unwrap() else { continue };
        let (head, pieces) = told(&message).unwrap();
        let (mut welcome, mut snapshot) = (false, false);
        for piece in pieces {
            match piece.unwrap() {
                Told::Welcome(_) => welcome = true,
                Told::Snapshot(_) => snapshot = true,
                _ => {}
            }
        }
        if is_it(head.input, welcome, snapshot) {
            return;
        }
    }
}

#[test]
fn players_over_wss_move_to_the_worker_of_their_room_and_play() {
    let (at, admin) = (free(), free());
    let certs = format!("{}/../windlass/tests/certs", env!("CARGO_MANIFEST_DIR"));
    let text = format!(
        "{LOG}[admin]\nlisten = \"{admin}\"\n[server]\nworkers = 2\n[[game]]\nlisten = \"{at}\"\n\
         [game.tls]\ncert = \"{certs}/server.pem\"\nkey = \"{certs}/server.key\"\n"
    );
    let served = Served::start("game-tls", &text);
    let client = Client::new(&at, &certs);
    let mut players: Vec<_> = (0..ROOMS).map(|_| client.play(&client.seat())).collect();
    for socket in &mut players {
        hear(socket, |_, welcome, _| welcome);
        hear(socket, |_, _, snapshot| snapshot);
        let inputs = Saying::new().inputs(1, [&[4, 0, 0, 0][..]]).into_bytes();
        socket.send(Message::binary(inputs)).unwrap();
    }
    for socket in &mut players {
        hear(socket, |input, _, _| input == 1);
    }
    let moved = || {
        let mut stream = connect(&admin);
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n").unwrap();
        let mut metrics = String::new();
        stream.read_to_string(&mut metrics).unwrap();
        ["out", "in"].map(|how| -> usize {
            let name = format!("windlass_connections_moved_total{{how=\"{how}\"}}");
            let line = metrics.lines().find_map(|line| line.strip_prefix(&*name));
            line.unwrap_or_else(|| panic!("{name} in\n{metrics}")).trim().parse().unwrap()
        })
    };
    // One worker may have told of it, and the other not yet.
    let last = std::cell::Cell::new([0; 2]);
    let agree = || {
        last.set(moved());
        matches!(last.get(), [out, into] if out == into && out > 0)
    };
    wait_until(agree, || format!("out and in: {:?}", last.get()));
    let [out, _] = last.get();
    assert!((1..ROOMS).contains(&out), "{out} moved");
    // They end as others do: with a word, and with `close_notify`.
    for socket in &mut players {
        socket.send(Message::binary(Saying::new().farewell().into_bytes())).unwrap();
        let close = loop {
            if let Message::Close(frame) = socket.read().unwrap() {
                break frame.unwrap();
            }
        };
        assert_eq!(u16::from(close.code), 1000);
    }
    drop(served);
}

//! A player over a WebSocket of tungstenite's: party-ws ADDRESS PATH

use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tungstenite::{Message, http};
use windlass_party::{FAREWELL, Player, say, until_told};

fn main() {
    let mut args = std::env::args().skip(1);
    let (at, path) = (args.next().expect("ADDRESS"), args.next().expect("PATH"));
    let over = until_told();
    let stream = TcpStream::connect(&at).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let request = http::Request::builder()
        .uri(format!("ws://{at}{path}"))
        .header("host", &at)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", tungstenite::handshake::client::generate_key())
        .header("sec-websocket-protocol", "windlass.room.1")
        .body(())
        .unwrap();
    let (mut socket, _) = tungstenite::client(request, stream).unwrap();
    let mut player = Player::new();
    while !over.load(Ordering::Relaxed) {
        if let Message::Binary(bytes) = socket.read().unwrap()
            && let Some(said) = player.hear(&bytes)
        {
            socket.send(Message::binary(said)).unwrap();
        }
    }
    socket.send(Message::binary(FAREWELL.to_vec())).unwrap();
    // The room says that it is so.
    loop {
        match socket.read() {
            Ok(Message::Close(_)) => break,
            Ok(_) => {}
            Err(error) => panic!("no close: {error}"),
        }
    }
    say("bye");
}

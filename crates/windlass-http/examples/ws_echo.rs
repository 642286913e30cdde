//! A WebSocket echo server: `cargo run --example ws_echo`, then open http://127.0.0.1:9002/ in a browser.
//!
//! `ws_echo [ADDRESS] [--compress | --takeover]`: with permessage-deflate, each message of 256 bytes and more
//! by itself, or every message with the window carried over.

use windlass::{Close, Limits, Peer, serve};
use windlass_http::ws::{Accept, Message, Upgrade, Ws, WsServer, WsServerConfig, WsService};
use windlass_proto::http::Status;
use windlass_proto::ws::{Compression, WsConfig};

const MESSAGE_MAX: usize = 16 * 1024 * 1024;

const PAGE: &str = r#"<!doctype html><title>ws_echo</title>
<input id="text" placeholder="say something" autofocus><pre id="heard"></pre>
<script>
const socket = new WebSocket(`ws://${location.host}/`);
socket.onmessage = (event) => (heard.textContent += event.data + "\n");
text.onchange = () => (socket.send(text.value), (text.value = ""));
</script>"#;

struct Echo;

impl WsService for Echo {
    type Session = ();
    fn accept(&mut self, _: &Upgrade<'_, '_>, _: Peer) -> Result<Accept<()>, Status> {
        Ok(Accept::new(()))
    }
    fn message(&mut self, ws: &mut Ws<'_, '_>, _: &mut (), message: Message<'_>) -> Result<(), Close> {
        ws.send(message);
        Ok(())
    }
}

fn main() -> windlass::Result<()> {
    let mut address = "127.0.0.1:9002".to_owned();
    let mut endpoint = WsConfig::default().message_max(MESSAGE_MAX);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--compress" => endpoint.compression = Some(Compression::default()),
            "--takeover" => {
                let (context_takeover, peer_context_takeover) = (true, true);
                let takeover =
                    Compression { context_takeover, peer_context_takeover, ..Compression::default() };
                endpoint.compression = Some(takeover);
            }
            _ => address = argument,
        }
    }
    let config = WsServerConfig::default().endpoint(endpoint);
    // Room for an echo of the longest message behind another.
    let limits = Limits { output_max: 4 * MESSAGE_MAX, ..Limits::default() };
    let bound =
        serve(move || WsServer::new(Echo, config.clone()).page(PAGE)).limits(limits).tcp(address).bind()?;
    println!("listening on {}", bound.addresses()[0]);
    bound.run().map(drop)
}

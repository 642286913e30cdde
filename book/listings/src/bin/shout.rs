//! A WebSocket server that gives every text back in capitals.

use windlass::proto::http::Status;
use windlass::{Close, Peer, serve};
use windlass_http::ws::{Accept, Message, Upgrade, Ws, WsServer, WsServerConfig, WsService};

// ANCHOR: service
struct Shout;

impl WsService for Shout {
    type Session = ();

    fn accept(&mut self, _: &Upgrade<'_, '_>, _: Peer) -> Result<Accept<()>, Status> {
        Ok(Accept::new(()))
    }

    fn message(&mut self, ws: &mut Ws<'_, '_>, _: &mut (), message: Message<'_>) -> Result<(), Close> {
        match message {
            Message::Text(text) => ws.text(&text.to_uppercase()),
            other => ws.send(other),
        };
        Ok(())
    }
}

fn main() -> windlass::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let bound = serve(|| WsServer::new(Shout, WsServerConfig::default())).workers(1).tcp(address).bind()?;
    println!("Listening on {}", bound.addresses()[0]);
    bound.run().map(drop)
}
// ANCHOR_END: service

//! A WebSocket beside pages, on one port.

use windlass::testing::Harness;
use windlass::{Close, Conn, Peer, serve};
use windlass_http::ws::{
    self, Accept, CloseCode, Kind, Message, Upgrade, Ws, WsApp, WsConfig, WsServer, WsServerConfig,
    WsService, WsStats, WsUpgraded,
};
use windlass_http::{App, File, Http};
use windlass_proto::http::Status;
use windlass_proto::ws::{Compression, Opening};

use crate::ws_peer::{Client, Heard};

/// Counts who is there.
struct Room {
    here: usize,
}

impl WsService for Room {
    type Session = String;

    fn accept(&mut self, upgrade: &Upgrade<'_, '_>, _: Peer) -> Result<Accept<String>, Status> {
        if upgrade.head.query() == Some("full") {
            return Err(Status::SERVICE_UNAVAILABLE);
        }
        self.here += 1;
        Ok(Accept::new("me".into()).protocol("room"))
    }

    fn open(&mut self, ws: &mut Ws<'_, '_>, name: &mut String) -> Result<(), Close> {
        ws.text(&format!("{name} of {}", self.here));
        Ok(())
    }

    fn message(&mut self, ws: &mut Ws<'_, '_>, _: &mut String, message: Message<'_>) -> Result<(), Close> {
        ws.send(message);
        Ok(())
    }

    fn closed(&mut self, _: &mut Conn<'_>, name: String, code: CloseCode, _: Close) {
        assert_eq!((name.as_str(), code), ("me", CloseCode::NORMAL));
        self.here -= 1;
    }
}

struct Page {
    room: WsServer<Room>,
}

impl App for Page {
    type Upgraded = WsUpgraded<String>;
}

impl WsApp for Page {
    type Ws = Room;
    fn ws(&mut self) -> &mut WsServer<Room> {
        &mut self.room
    }
}

fn stage() -> (Harness, WsStats) {
    let stats = WsStats::new();
    let counted = stats.clone();
    let endpoint = WsConfig::default().compression(Compression { message_min: 0, ..Compression::default() });
    let config = WsServerConfig::default().endpoint(endpoint);
    let make = move || {
        let room = WsServer::with_stats(Room { here: 0 }, config.clone(), counted.clone());
        Http::new(Page { room })
            .file("/", File::new("text/html", "<p>hi"))
            .upgrade("/ws", "websocket", ws::upgrade)
            .get("/here", |page: &mut Page, _, reply| reply.json(&page.room.service().here))
    };
    (Harness::new(serve(make)), stats)
}

fn request(change: impl Fn(String) -> String) -> Vec<u8> {
    let mut out = Vec::new();
    Opening::new([1; 32]).request("a.example", "/ws", &WsConfig::default(), &mut out).unwrap();
    change(String::from_utf8(out).unwrap()).into_bytes()
}

#[test]
fn a_connection_that_asked_for_a_page_becomes_a_websocket() {
    let (mut harness, stats) = stage();
    let line = harness.connect();
    harness.send(line, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(harness.receive(line).ends_with(b"<p>hi"));

    let compressed = WsConfig::default().compression(Compression::default());
    let mut client = Client::new(Opening::new([1; 32]).protocol("room"), "/ws", compressed);
    harness.send(line, client.said());
    let heard = client.hear(&harness.receive(line)).unwrap();
    assert_eq!(heard, [Heard::Open(Some("room".into())), Heard::Text("me of 1".into())]);
    assert!(client.is_compressed());
    client.say(Kind::Text, b"echo");
    harness.send(line, client.said());
    assert_eq!(client.hear(&harness.receive(line)).unwrap(), [Heard::Text("echo".into())]);
    client.close(1000);
    harness.send(line, client.said());
    assert_eq!(client.hear(&harness.receive(line)).unwrap(), [Heard::Close(1000, "".into())]);
    harness.finish(line);

    let asks = harness.connect();
    harness.send(asks, "GET /here HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(harness.receive(asks).ends_with(b"0"), "it has left");
    assert_eq!(stats.opened(), 1);
}

#[test]
fn refusals_are_answered_and_counted() {
    let (mut harness, stats) = stage();
    let mut status = |bytes: Vec<u8>| {
        let line = harness.connect();
        harness.send(line, bytes);
        String::from_utf8(harness.receive(line)).unwrap()[9..12].parse::<u16>().unwrap()
    };
    assert_eq!(status(b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()), 426);
    assert_eq!(status(request(|text| text.replace("/ws", "/ws?full"))), 503);
    assert_eq!(status(request(|text| text.replace("upgrade:", "origin: http://evil\r\nupgrade:"))), 403);
    assert_eq!(status(request(|text| text.replace("n: 13", "n: 12"))), 426);
    assert_eq!(stats.errors().collect::<Vec<_>>(), [("version", 1), ("origin", 1), ("refused", 1)]);
}

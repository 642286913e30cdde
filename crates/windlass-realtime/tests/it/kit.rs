//! A server with rooms, and players for it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};
use windlass::{BoundAddress, Handle, Mailbox, serve};
use windlass_http::HttpConfig;
use windlass_realtime::wire::{SUBPROTOCOL, Saying, Told, told, widen};
use windlass_realtime::{
    Arena, Channel, Game, GameConfig, GameWatch, Hasher, Key, Mail, Play, Room, RoomKind, Seat,
    SnapshotReader, View,
};

/// Sends everybody what anybody says, and remembers it.
#[derive(Default)]
pub(crate) struct Chat {
    said: Vec<u8>,
}

impl Room for Chat {
    fn message(&mut self, play: &mut Play<'_>, seat: Seat, channel: Channel, message: &[u8]) {
        self.said.extend_from_slice(message);
        if message == b"end" {
            return play.end();
        }
        play.send_all(channel, &[&[seat.0 as u8], message].concat());
    }
}

pub(crate) fn config() -> GameConfig {
    let chat = RoomKind::new("chat", |_| Box::new(Chat::default())).hz(60).players_max(16);
    let slow = RoomKind::new("slow", |_| Box::new(Chat::default())).hz(1).players_max(16);
    GameConfig::new(Key::new(&[5; 32]), [Arena::kind(), chat, slow])
}

pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    pub(crate) watch: GameWatch,
    pub(crate) handle: Handle,
    pub(crate) mailbox: Mailbox<Mail>,
    running: Option<JoinHandle<windlass::Result<windlass::Summary>>>,
}

impl Server {
    pub(crate) fn start(config: GameConfig, workers: usize) -> Server {
        Server::start_at(config, workers, "127.0.0.1:0")
    }

    /// With its sockets for datagrams at this address.
    pub(crate) fn start_at(config: GameConfig, workers: usize, udp: &str) -> Server {
        let limits = windlass::Limits { source_connections_max: 0, ..windlass::Limits::default() };
        Server::start_with(config, workers, udp, limits)
    }

    /// And with these limits.
    pub(crate) fn start_with(
        config: GameConfig,
        workers: usize,
        udp: &str,
        limits: windlass::Limits,
    ) -> Server {
        let kinds = config.kinds.iter().map(|kind| kind.name.clone());
        let (watch, mailbox) = (GameWatch::new(workers, kinds), Mailbox::new());
        let by_udp = config.udp.is_some();
        let (config, its, mail) = (Arc::new(config), watch.clone(), mailbox.clone());
        let make = move || Game::http(config.clone(), &mail, &its, HttpConfig::default());
        let mut serving = serve(make)
            .mailbox(&mailbox)
            .movable()
            .tick(Game::TICK)
            .workers(workers)
            .limits(limits)
            .tcp("127.0.0.1:0");
        for worker in (0..workers).filter(|_| by_udp) {
            serving = serving.udp_on(worker, udp);
        }
        let bound = serving.bind().unwrap();
        let BoundAddress::Tcp(at) = bound.addresses()[0] else { panic!("not TCP") };
        let handle = bound.handle();
        let running = Some(std::thread::spawn(move || bound.run()));
        Server { at, watch, handle, mailbox, running }
    }

    pub(crate) fn stop(&mut self) {
        self.handle.shutdown();
        if let Some(running) = self.running.take() {
            running.join().unwrap().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

/// Until it is so, or for too long.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One request on a connection of its own: the status, and the body as JSON.
pub(crate) fn request(at: SocketAddr, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_default();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    (status, serde_json::from_str(body).unwrap_or_default())
}

pub(crate) fn seat(at: SocketAddr, how: &str, wish: &str) -> (u16, Value) {
    request(at, "POST", &format!("/api/rooms/{how}"), wish)
}

/// A number for what is seen: the same for those who see the same.
pub(crate) fn number_of(view: &View) -> u64 {
    let mut hasher = Hasher::new();
    for &id in view.ids() {
        hasher.add(id.into());
        (0..).map_while(|at| view.field(id, at)).for_each(|value| _ = hasher.add(value.into()));
    }
    hasher.finish()
}

/// A player: their WebSocket, and what they have heard.
pub(crate) struct Player {
    pub(crate) socket: WebSocket<TcpStream>,
    pub(crate) path: String,
    pub(crate) room: String,
    pub(crate) seat: u16,
    pub(crate) tick: u64,
    pub(crate) messages: Vec<(Channel, Vec<u8>)>,
    /// How many messages came: one a tick.
    pub(crate) heard: u64,
    /// What of the others is seen: their names and x, by the newest snapshot.
    pub(crate) seen: Vec<(u16, i32)>,
    /// Ticks of snapshots, and a number for what is in each.
    pub(crate) views: Vec<(u64, u64)>,
    pub(crate) ended: Option<String>,
    pub(crate) closed: Option<u16>,
    reader: SnapshotReader,
    input: u32,
}

/// The WebSocket at a path, or the status that it is refused with.
pub(crate) fn open(
    at: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<WebSocket<TcpStream>, u16> {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut request = tungstenite::http::Request::builder()
        .uri(format!("ws://{at}{path}"))
        .header("host", at.to_string())
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).unwrap();
    match tungstenite::client::client_with_config(request, stream, Some(WebSocketConfig::default())) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
            Err(answer.status().as_u16())
        }
        Err(error) => panic!("{error}"),
    }
}

const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", SUBPROTOCOL);

impl Player {
    pub(crate) fn join(at: SocketAddr, how: &str, wish: &str) -> Player {
        let (status, kept) = seat(at, how, wish);
        assert_eq!(status, 200, "{kept}");
        Player::take(at, kept["path"].as_str().unwrap())
    }

    /// Takes a seat, and hears the welcome.
    pub(crate) fn take(at: SocketAddr, path: &str) -> Player {
        let socket = open(at, path, &[PROTOCOL]).unwrap();
        let mut player = Player {
            socket,
            path: path.to_owned(),
            room: String::new(),
            seat: u16::MAX,
            tick: 0,
            messages: Vec::new(),
            heard: 0,
            seen: Vec::new(),
            views: Vec::new(),
            ended: None,
            closed: None,
            reader: SnapshotReader::new(Arena::schema()),
            input: 0,
        };
        player.hear();
        player
    }

    /// One message, read and confirmed; false when it is over.
    pub(crate) fn hear(&mut self) -> bool {
        let message = match self.socket.read() {
            Ok(Message::Binary(bytes)) => bytes,
            Ok(Message::Close(frame)) => {
                self.closed = frame.map(|frame| frame.code.into());
                return true;
            }
            Ok(_) => return true,
            // A process that was stopped for a moment has heard nothing yet.
            Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::Interrupted => return true,
            Err(_) => return false,
        };
        self.heard += 1;
        let (head, pieces) = told(&message).unwrap();
        self.tick = widen(self.tick, head.tick);
        let mut confirm = None;
        for piece in pieces {
            match piece.unwrap() {
                Told::Welcome(welcome) => {
                    (self.seat, self.tick) = (welcome.seat.0, welcome.tick);
                    self.room = welcome.room.to_owned();
                }
                Told::Message(channel, bytes) => self.messages.push((channel, bytes.to_vec())),
                Told::Snapshot(bytes) => {
                    let view = self.reader.read(self.tick, bytes).unwrap();
                    self.seen = view.ids().iter().map(|&id| (id, view.field(id, 0).unwrap())).collect();
                    self.views.push((self.tick, number_of(view)));
                    confirm = Some(self.tick);
                }
                Told::End(why) => self.ended = Some(why.to_owned()),
                _ => {}
            }
        }
        if let Some(tick) = confirm {
            self.say(Saying::new().confirm(tick));
        }
        true
    }

    pub(crate) fn say(&mut self, saying: Saying) {
        // Who has been closed meanwhile hears so with the next read.
        let _ = self.socket.send(Message::binary(saying.into_bytes()));
    }

    /// An input of the arena's.
    pub(crate) fn press(&mut self, buttons: u8) {
        self.input += 1;
        let [low, high] = (self.tick as u16).to_le_bytes();
        let input = [buttons, 0, low, high];
        self.say(Saying::new().inputs(self.input, [&input[..]]));
    }

    pub(crate) fn hear_until(&mut self, what: &str, mut is_so: impl FnMut(&Player) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(self.hear(), "it is over before: {what}");
            assert!(begun.elapsed() < Duration::from_secs(30), "not in time: {what}");
        }
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.messages.iter().map(|(_, bytes)| String::from_utf8_lossy(&bytes[1..]).into_owned()).collect()
    }
}

//! A player by ENet, and what is on its wire.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::Value;
use windlass::Time;
use windlass_proto::enet::{Config, DATAGRAM_MAX, Ended, Event, Host, Kind, PeerId};
use windlass_realtime::wire::{Saying, Told, told, widen};
use windlass_realtime::{Arena, Channel, SnapshotReader};

use crate::kit::{number_of, seat};

pub(crate) struct Peer {
    socket: UdpSocket,
    to: SocketAddr,
    pub(crate) host: Host,
    pub(crate) peer: PeerId,
    begun: Instant,
    pub(crate) kept: Value,
    /// Sent when it is connected.
    ticket: Option<String>,
    pub(crate) connected: bool,
    pub(crate) seat: Option<u16>,
    pub(crate) room: String,
    pub(crate) tick: u64,
    /// What was said, by what it came.
    pub(crate) messages: Vec<(u8, Kind, Channel, Vec<u8>)>,
    pub(crate) seen: Vec<(u16, i32)>,
    /// A number for each snapshot that came, and its tick.
    pub(crate) views: Vec<(u64, u64)>,
    pub(crate) why: Option<String>,
    pub(crate) ended: Option<Ended>,
    /// Datagrams received, their bytes, and those of messages in them.
    pub(crate) datagrams: u64,
    pub(crate) bytes: u64,
    reader: SnapshotReader,
    inputs: Vec<[u8; 4]>,
    newest: u32,
    confirm: Option<u64>,
}

/// Where the datagrams of a seat go.
pub(crate) fn place(kept: &Value) -> SocketAddr {
    let host = kept["udp"]["host"].as_str().unwrap_or_else(|| panic!("no UDP in {kept}"));
    format!("{host}:{}", kept["udp"]["port"]).parse().unwrap()
}

impl Peer {
    pub(crate) fn join(at: SocketAddr, how: &str, wish: &str) -> Peer {
        let (status, kept) = seat(at, how, wish);
        assert_eq!(status, 200, "{kept}");
        let mut peer = Peer::take(&kept);
        peer.run_until("the welcome", |peer| peer.seat.is_some());
        peer
    }

    /// Connects to where a seat is, and shows its ticket.
    pub(crate) fn take(kept: &Value) -> Peer {
        Peer::at(place(kept), kept, 3, kept["ticket"].as_str())
    }

    pub(crate) fn at(to: SocketAddr, kept: &Value, channels: u8, ticket: Option<&str>) -> Peer {
        Peer::speaking(to, kept, channels, ticket, Config::default())
    }

    /// With datagrams as the configuration says.
    pub(crate) fn speaking(
        to: SocketAddr,
        kept: &Value,
        channels: u8,
        ticket: Option<&str>,
        config: Config,
    ) -> Peer {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut seed = [9; 16];
        seed[..2].copy_from_slice(&socket.local_addr().unwrap().port().to_le_bytes());
        let mut host = Host::new(Config { accept: false, ..config }, seed);
        let peer = host.connect(Time::ZERO, to, channels, 7).unwrap();
        Peer {
            socket,
            to,
            host,
            peer,
            begun: Instant::now(),
            kept: kept.clone(),
            ticket: ticket.map(str::to_owned),
            connected: false,
            seat: None,
            room: String::new(),
            tick: 0,
            messages: Vec::new(),
            seen: Vec::new(),
            views: Vec::new(),
            why: None,
            ended: None,
            datagrams: 0,
            bytes: 0,
            reader: SnapshotReader::new(Arena::schema()),
            inputs: Vec::new(),
            newest: 0,
            confirm: None,
        }
    }

    /// Receives what there is, and sends what is to be sent.
    pub(crate) fn step(&mut self) {
        let now = Time::from_nanos(self.begun.elapsed().as_nanos() as u64);
        let mut buf = [0; 65_536];
        loop {
            match self.socket.recv_from(&mut buf) {
                Ok((len, from)) => {
                    self.datagrams += 1;
                    self.bytes += len as u64;
                    self.host.receive(now, from, &buf[..len]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // Nobody listens there any more.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => panic!("{error}"),
            }
        }
        while let Some(event) = self.host.poll_event() {
            match event {
                Event::Connected { .. } => {
                    self.connected = true;
                    // Nothing unreliable is left out, at either end, because this machine stood still for a moment.
                    self.host.set_throttle(self.peer, 5_000, 2, 0);
                    if let Some(ticket) = self.ticket.take() {
                        self.host.send(self.peer, 0, Kind::Reliable, ticket.as_bytes()).unwrap();
                    }
                }
                Event::Message { channel, kind, bytes, .. } => self.hear(channel, kind, &bytes),
                Event::Disconnected { ended, .. } => self.ended = Some(ended),
                _ => {}
            }
        }
        if let Some(tick) = self.confirm.take() {
            self.say(1, Kind::Unreliable, Saying::new().confirm(tick));
        }
        let mut out = [0; DATAGRAM_MAX];
        while let Some((to, len)) = self.host.poll_transmit(now, &mut out) {
            let _ = self.socket.send_to(&out[..len], to);
        }
    }

    fn hear(&mut self, channel: u8, kind: Kind, message: &[u8]) {
        let (head, pieces) = told(message).unwrap();
        let tick = widen(self.tick, head.tick);
        self.tick = self.tick.max(tick);
        for piece in pieces {
            match piece.unwrap() {
                Told::Welcome(welcome) => {
                    assert_eq!((channel, kind), (0, Kind::Reliable));
                    (self.seat, self.tick) = (Some(welcome.seat.0), welcome.tick);
                    self.room = welcome.room.to_owned();
                }
                Told::Message(of, bytes) => self.messages.push((channel, kind, of, bytes.to_vec())),
                Told::Snapshot(bytes) => {
                    assert_eq!((channel, kind), (1, Kind::Unreliable));
                    let view = self.reader.read(tick, bytes).unwrap();
                    self.seen = view.ids().iter().map(|&id| (id, view.field(id, 0).unwrap())).collect();
                    self.views.push((tick, number_of(view)));
                    self.confirm = Some(tick);
                }
                Told::End(why) => self.why = Some(why.to_owned()),
                _ => {}
            }
        }
    }

    pub(crate) fn say(&mut self, channel: u8, kind: Kind, saying: Saying) {
        // Who has been sent away hears so by themselves.
        let _ = self.host.send(self.peer, channel, kind, &saying.into_bytes());
    }

    pub(crate) fn say_reliable(&mut self, text: &[u8]) {
        self.say(0, Kind::Reliable, Saying::new().message(Channel::Reliable, text));
    }

    /// An input of the arena's, with the two before it.
    pub(crate) fn press(&mut self, buttons: u8) {
        self.newest += 1;
        let [low, high] = (self.tick as u16).to_le_bytes();
        self.inputs.insert(0, [buttons, 0, low, high]);
        self.inputs.truncate(3);
        let inputs: Vec<[u8; 4]> = self.inputs.clone();
        let saying = Saying::new().inputs(self.newest, inputs.iter().map(|input| &input[..]));
        self.say(1, Kind::Unreliable, saying);
    }

    pub(crate) fn run_until(&mut self, what: &str, mut is_so: impl FnMut(&Peer) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < Duration::from_secs(30), "not in time: {what}; {:?}", self.ended);
            self.step();
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.step();
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Connects once more, from the same socket and with the same ticket.
    pub(crate) fn again(&mut self) {
        let now = Time::from_nanos(self.begun.elapsed().as_nanos() as u64);
        self.ticket = self.kept["ticket"].as_str().map(str::to_owned);
        (self.seat, self.ended) = (None, None);
        self.peer = self.host.connect(now, self.to, 3, 7).unwrap();
    }

    pub(crate) fn code(&self) -> Option<u32> {
        match self.ended {
            Some(Ended::Remote(code)) => Some(code),
            _ => None,
        }
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        let texts = self.messages.iter();
        texts.map(|(.., bytes)| String::from_utf8_lossy(&bytes[1..]).into_owned()).collect()
    }

    /// To where it speaks.
    pub(crate) fn to(&self) -> SocketAddr {
        self.to
    }
}

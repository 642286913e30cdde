//! rusty_enet and ours, over real sockets: party-echo ADDRESS [checksum] [compression]
//!
//! First rusty_enet is the client of the echo server at ADDRESS, which is ours; then rusty_enet is the echo server, and ours
//! the client.

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusty_enet::{EventNoRef, Host, HostSettings, Packet, PacketKind, PeerID, RangeCoder, crc32};
use windlass_proto::Time;
use windlass_proto::enet::{Config, DATAGRAM_MAX, Event, Kind, PeerId};

#[derive(Clone, Copy)]
struct Options {
    checksum: bool,
    compression: bool,
}

/// One end of a connection, and what an echo server sends back through it.
trait Client {
    /// True once it is connected.
    fn is_connected(&self) -> bool;
    fn send(&mut self, channel: u8, bytes: &[u8]);
    /// What came meanwhile: channels and messages.
    fn turn(&mut self) -> Vec<(u8, Vec<u8>)>;
    /// Says goodbye; true once the other end has said so too.
    fn leave(&mut self);
    fn has_left(&self) -> bool;
}

const RELIABLE: u8 = 0;
const UNRELIABLE: u8 = 1;
const UNSEQUENCED: u8 = 2;
const FRAGMENTS: u8 = 3;
const CHANNELS: u8 = 4;
/// What either end says of itself when it connects, and when it leaves.
const CODE: u32 = 0x5eed;
/// Interval, acceleration, deceleration: neither end holds back what may be lost, however busy the machine is.
const THROTTLE: (u32, u32, u32) = (5_000, 32, 0);

struct Rusty {
    host: Host<UdpSocket>,
    peer: PeerID,
    connected: bool,
    left: bool,
}

fn settings(options: Options) -> HostSettings {
    HostSettings {
        peer_limit: 8,
        channel_limit: CHANNELS.into(),
        compressor: options.compression.then(|| Box::new(RangeCoder::new()) as _),
        checksum: options.checksum.then(|| Box::new(crc32) as _),
        ..HostSettings::default()
    }
}

fn kind(channel: u8) -> PacketKind {
    match channel {
        RELIABLE => PacketKind::Reliable,
        UNRELIABLE => PacketKind::Unreliable { sequenced: true },
        UNSEQUENCED => PacketKind::Unreliable { sequenced: false },
        _ => PacketKind::AlwaysUnreliable { sequenced: true },
    }
}

impl Rusty {
    fn new(to: SocketAddr, options: Options) -> Rusty {
        let mut host = Host::new(UdpSocket::bind("127.0.0.1:0").unwrap(), settings(options)).unwrap();
        let peer = host.connect(to, CHANNELS.into(), CODE).unwrap().id();
        Rusty { host, peer, connected: false, left: false }
    }
}

impl Client for Rusty {
    fn is_connected(&self) -> bool {
        self.connected
    }

    fn send(&mut self, channel: u8, bytes: &[u8]) {
        self.host.peer_mut(self.peer).send(channel, &Packet::new(bytes, kind(channel))).unwrap();
    }

    fn turn(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut came = Vec::new();
        while let Some(event) = self.host.service().unwrap() {
            match event.no_ref() {
                EventNoRef::Connect { .. } => {
                    self.host.peer_mut(self.peer).set_throttle(THROTTLE.0, THROTTLE.1, THROTTLE.2);
                    self.connected = true;
                }
                EventNoRef::Disconnect { .. } => self.left = true,
                EventNoRef::Receive { channel_id, packet, .. } => {
                    came.push((channel_id, packet.data().to_vec()))
                }
            }
        }
        came
    }

    fn leave(&mut self) {
        self.host.peer_mut(self.peer).disconnect(CODE);
    }

    fn has_left(&self) -> bool {
        self.left
    }
}

struct Ours {
    host: windlass_proto::enet::Host,
    socket: UdpSocket,
    begun: Instant,
    peer: PeerId,
    connected: bool,
    left: bool,
}

impl Ours {
    fn new(to: SocketAddr, options: Options) -> Ours {
        let mut config = Config::default();
        (config.accept, config.checksum, config.compression) = (false, options.checksum, options.compression);
        let mut host = windlass_proto::enet::Host::new(config, [7; 16]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let peer = host.connect(Time::ZERO, to, CHANNELS, CODE).unwrap();
        Ours { host, socket, begun: Instant::now(), peer, connected: false, left: false }
    }
}

impl Client for Ours {
    fn is_connected(&self) -> bool {
        self.connected
    }

    fn send(&mut self, channel: u8, bytes: &[u8]) {
        let kind = match channel {
            RELIABLE => Kind::Reliable,
            UNSEQUENCED => Kind::Unsequenced,
            _ => Kind::Unreliable,
        };
        self.host.send(self.peer, channel, kind, bytes).unwrap();
    }

    fn turn(&mut self) -> Vec<(u8, Vec<u8>)> {
        let now = Time::ZERO + self.begun.elapsed();
        let mut buf = [0; DATAGRAM_MAX];
        while let Ok((len, from)) = self.socket.recv_from(&mut buf) {
            self.host.receive(now, from, &buf[..len]);
        }
        let mut came = Vec::new();
        while let Some(event) = self.host.poll_event() {
            match event {
                Event::Connected { .. } => {
                    self.host.set_throttle(self.peer, THROTTLE.0, THROTTLE.1, THROTTLE.2);
                    self.connected = true;
                }
                Event::Disconnected { ended, .. } => {
                    assert_eq!(ended, windlass_proto::enet::Ended::Local, "the other end has not left");
                    self.left = true;
                }
                Event::Message { channel, kind, bytes, .. } => {
                    assert_eq!(kind == Kind::Unsequenced, channel == UNSEQUENCED);
                    assert_eq!(kind == Kind::Reliable, channel == RELIABLE);
                    came.push((channel, bytes));
                }
                other => panic!("{other:?}"),
            }
        }
        while let Some((to, len)) = self.host.poll_transmit(now, &mut buf) {
            self.socket.send_to(&buf[..len], to).unwrap();
        }
        came
    }

    fn leave(&mut self) {
        self.host.disconnect(self.peer, CODE);
    }

    fn has_left(&self) -> bool {
        self.left
    }
}

/// The message of a number: no two are alike.
fn message(number: u32, len: usize) -> Vec<u8> {
    let rest = (4..len as u32).map(|at| (at * 31 + number * 7 + (at >> 8)) as u8);
    number.to_be_bytes().into_iter().chain(rest).collect()
}

fn number(message: &[u8]) -> u32 {
    u32::from_be_bytes(message[..4].try_into().unwrap())
}

/// What is sent on a channel.
fn lens(channel: u8) -> Vec<usize> {
    match channel {
        RELIABLE => {
            let small = (0..60).map(|n| 4 + n * 23);
            small.clone().chain([100_000]).chain(small).collect()
        }
        UNRELIABLE => (0..100).map(|n| 4 + n * 7).collect(),
        UNSEQUENCED => (0..100).map(|n| 4 + n * 9).collect(),
        _ => vec![20_000; 5],
    }
}

/// Everything there and back.
fn echo(mut client: impl Client, what: &str) {
    let begun = Instant::now();
    let patience = |is_so: bool, what: &str| {
        assert!(begun.elapsed() < Duration::from_secs(60), "not in time: {what}");
        thread::sleep(Duration::from_millis(2));
        !is_so
    };
    while patience(client.is_connected(), "connected") {
        client.turn();
    }
    let sent: Vec<Vec<Vec<u8>>> = (0..CHANNELS)
        .map(|channel| lens(channel).iter().enumerate().map(|(n, &len)| message(n as u32, len)).collect())
        .collect();
    let mut came: Vec<Vec<Vec<u8>>> = vec![Vec::new(); CHANNELS.into()];
    let longest = sent.iter().map(Vec::len).max().unwrap_or(0);
    for n in 0..longest {
        for (channel, messages) in sent.iter().enumerate() {
            if let Some(message) = messages.get(n) {
                client.send(channel as u8, message);
            }
        }
        client.turn().into_iter().for_each(|(channel, bytes)| came[usize::from(channel)].push(bytes));
        thread::sleep(Duration::from_millis(2));
    }
    // What must come has come; what else there is has had time to.
    let mut grace = 100;
    while patience(came[0].len() >= sent[0].len() && grace == 0, "everything that must come") {
        grace = u32::saturating_sub(grace, 1);
        client.turn().into_iter().for_each(|(channel, bytes)| came[usize::from(channel)].push(bytes));
    }
    assert!(came[0] == sent[0], "{what}: what is reliable comes as it was sent, in order");
    for channel in [UNRELIABLE, UNSEQUENCED, FRAGMENTS].map(usize::from) {
        let numbers: Vec<u32> = came[channel].iter().map(|message| number(message)).collect();
        for message in &came[channel] {
            assert!(*message == sent[channel][number(message) as usize], "{what}: channel {channel}, bytes");
        }
        let unique: HashSet<u32> = numbers.iter().copied().collect();
        assert_eq!(unique.len(), numbers.len(), "{what}: channel {channel}, nothing comes twice");
        assert!(
            channel == usize::from(UNSEQUENCED) || numbers.is_sorted(),
            "{what}: channel {channel}, order"
        );
        assert!(
            numbers.len() * 2 >= sent[channel].len(),
            "{what}: channel {channel}, only {} came",
            numbers.len()
        );
    }
    client.leave();
    while patience(client.has_left(), "left") {
        client.turn();
    }
    let counts: Vec<String> =
        came.iter().zip(&sent).map(|(came, sent)| format!("{}/{}", came.len(), sent.len())).collect();
    println!("{what}: back came {}", counts.join(" "));
}

/// An echo server of rusty_enet's, until it is told to end.
fn serve(options: Options, over: Arc<AtomicBool>) -> (SocketAddr, thread::JoinHandle<u32>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut host = Host::new(socket, settings(options)).unwrap();
        let mut left = 0;
        while !over.load(Ordering::Relaxed) {
            while let Some(event) = host.service().unwrap() {
                match event.no_ref() {
                    EventNoRef::Connect { data, .. } => assert_eq!(data, CODE),
                    EventNoRef::Disconnect { data, .. } => {
                        assert_eq!(data, CODE);
                        left += 1;
                    }
                    // Its `Packet::kind` says reliable of everything, so by channel.
                    EventNoRef::Receive { peer, channel_id, packet } => {
                        let back = Packet::new(packet.data(), kind(channel_id));
                        host.peer_mut(peer).send(channel_id, &back).unwrap();
                    }
                }
            }
            thread::sleep(Duration::from_millis(1));
        }
        left
    });
    (at, server)
}

fn main() {
    let mut args = std::env::args().skip(1);
    let at: SocketAddr = args.next().expect("ADDRESS").parse().expect("an address");
    let words: Vec<String> = args.collect();
    let has = |word: &str| words.iter().any(|it| it == word);
    let options = Options { checksum: has("checksum"), compression: has("compression") };
    let said = if words.is_empty() { "plain".to_owned() } else { words.join(" and ") };
    echo(Rusty::new(at, options), &format!("rusty_enet, a client of ours ({said})"));
    let over = Arc::new(AtomicBool::new(false));
    let (theirs, server) = serve(options, over.clone());
    echo(Ours::new(theirs, options), &format!("ours, a client of rusty_enet ({said})"));
    over.store(true, Ordering::Relaxed);
    assert_eq!(server.join().unwrap(), 1, "the server has seen the client leave");
}

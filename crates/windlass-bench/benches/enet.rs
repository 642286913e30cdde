//! What a server of ENet's messages costs: our host beside rusty_enet, over loopback.
//!
//! `cargo bench -p windlass-bench --bench enet`. All peers of a server say 200 bytes, unreliably, and each is sent
//! 200 bytes for it, as players and snapshots of a tick; or one in 25 or 250 of them at a time does, as players who are not
//! in step. Counted are the datagrams that the server received and sent,
//! and the CPU time of the thread while it did: with its system calls, which on loopback include the receiver's half of
//! what is sent. The clients are the same for both. The third row is what the system calls cost alone: the same
//! datagrams sent back as they are. The contenders take turns, so that all see the same machine; medians.

use std::hint::black_box;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::time::{ClockId, clock_gettime};
use rusty_enet::{EventNoRef, HostSettings, MTU_MAX, Packet, PacketKind, PacketReceived, Socket};
use windlass::Time;
use windlass::proto::enet::{Config, DATAGRAM_MAX, Event, Host, Kind, PeerId};

/// Turns of each, unless `WINDLASS_ENET_TURNS` says so.
const TURNS: usize = 21;
/// Messages of one turn, each way.
const MESSAGES: usize = 9000;
const MESSAGE: usize = 200;

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    socket.set_nonblocking(true).expect("a socket");
    // As far as the system lets us; a round's datagrams should fit.
    if set_socket_recv_buffer_size_force(&socket, 8 << 20).is_err() {
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(8 << 20);
    }
    socket
}

fn receive(socket: &UdpSocket, buf: &mut [u8]) -> Option<(usize, SocketAddr)> {
    match socket.recv_from(buf) {
        Ok(received) => Some(received),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

trait Server {
    fn addr(&self) -> SocketAddr;

    /// Answers what has come. Datagrams received and sent.
    fn round(&mut self, now: Time) -> u64;
}

struct Ours {
    socket: UdpSocket,
    host: Host,
    /// Who is to be answered what.
    said: Vec<(PeerId, u8, Vec<u8>)>,
}

impl Server for Ours {
    fn addr(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    fn round(&mut self, now: Time) -> u64 {
        let counted = |host: &Host| host.counters().datagrams_in + host.counters().datagrams_out;
        let before = counted(&self.host);
        let mut buf = [0; DATAGRAM_MAX];
        // As the game server does: what a datagram brings is taken at once, and answered with the tick, whoever it is for in
        // one datagram.
        while let Some((len, from)) = receive(&self.socket, &mut buf) {
            self.host.receive(now, from, &buf[..len]);
            while let Some(event) = self.host.poll_event() {
                if let Event::Message { peer, channel, bytes, .. } = event {
                    self.said.push((peer, channel, bytes));
                }
            }
        }
        for (peer, channel, bytes) in self.said.drain(..) {
            let message = Some((channel, Kind::Unreliable, &bytes[..]));
            if let Some((to, len)) = self.host.transmit_to(now, peer, message, &mut buf).expect("connected") {
                self.socket.send_to(&buf[..len], to).expect("loopback");
            }
            self.host.take_back(bytes);
        }
        while let Some((to, len)) = self.host.poll_transmit(now, &mut buf) {
            self.socket.send_to(&buf[..len], to).expect("loopback");
        }
        counted(&self.host) - before
    }
}

/// A socket that counts.
struct Counting {
    socket: UdpSocket,
    datagrams: u64,
    /// Nothing is left in it.
    dry: bool,
}

impl Socket for Counting {
    type Address = SocketAddr;
    type Error = std::io::Error;

    fn send(&mut self, to: SocketAddr, bytes: &[u8]) -> std::io::Result<usize> {
        self.datagrams += 1;
        self.socket.send_to(bytes, to)
    }

    fn receive(&mut self, buf: &mut [u8; MTU_MAX]) -> std::io::Result<Option<(SocketAddr, PacketReceived)>> {
        let Some((len, from)) = receive(&self.socket, buf) else {
            self.dry = true;
            return Ok(None);
        };
        self.datagrams += 1;
        Ok(Some((from, PacketReceived::Complete(len))))
    }
}

struct Theirs {
    host: rusty_enet::Host<Counting>,
}

impl Server for Theirs {
    fn addr(&self) -> SocketAddr {
        self.host.socket().socket.local_addr().expect("bound")
    }

    fn round(&mut self, _: Time) -> u64 {
        let before = self.host.socket().datagrams;
        // It takes 256 datagrams per call, and then says that there is nothing.
        self.host.socket_mut().dry = false;
        while !self.host.socket().dry {
            while let Some(event) = self.host.service().expect("loopback") {
                if let EventNoRef::Receive { peer, channel_id, packet } = event.no_ref() {
                    let kind = PacketKind::Unreliable { sequenced: true };
                    let packet = Packet::new(packet.data(), kind);
                    self.host.peer_mut(peer).send(channel_id, &packet).expect("there is room");
                }
            }
        }
        self.host.flush();
        self.host.socket().datagrams - before
    }
}

/// Sends datagrams back.
struct Plain {
    socket: UdpSocket,
    waiting: Vec<(SocketAddr, Vec<u8>)>,
}

impl Server for Plain {
    fn addr(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    fn round(&mut self, _: Time) -> u64 {
        let mut buf = [0; DATAGRAM_MAX];
        let mut datagrams = 0;
        // First all, then all back, as the others do.
        while let Some((len, from)) = receive(&self.socket, &mut buf) {
            if self.waiting.len() == datagrams {
                self.waiting.push((from, Vec::with_capacity(DATAGRAM_MAX)));
            }
            let waiting = &mut self.waiting[datagrams];
            waiting.0 = from;
            waiting.1.clear();
            waiting.1.extend_from_slice(&buf[..len]);
            datagrams += 1;
        }
        for (to, bytes) in &self.waiting[..datagrams] {
            self.socket.send_to(bytes, *to).expect("loopback");
        }
        2 * datagrams as u64
    }
}

/// Players behind some sockets.
struct Clients {
    ends: Vec<(UdpSocket, Host, Vec<PeerId>)>,
    server: SocketAddr,
    received: usize,
}

impl Clients {
    const PER_SOCKET: usize = 25;

    fn new(server: SocketAddr, count: usize) -> Clients {
        let ends = (0..count / Clients::PER_SOCKET).map(|number| {
            let mut seed = [9; 16];
            seed[..8].copy_from_slice(&number.to_ne_bytes());
            (socket(), Host::new(Config { accept: false, ..Config::default() }, seed), Vec::new())
        });
        Clients { ends: ends.collect(), server, received: 0 }
    }

    fn step(&mut self, now: Time) {
        let mut buf = [0; DATAGRAM_MAX];
        for (socket, host, peers) in &mut self.ends {
            while let Some((len, from)) = receive(socket, &mut buf) {
                host.receive(now, from, &buf[..len]);
            }
            while let Some(event) = host.poll_event() {
                match event {
                    Event::Connected { peer, .. } => {
                        // Both ends are to send everything, however uneven the round trip is.
                        host.set_throttle(peer, 5000, 32, 0);
                        peers.push(peer);
                    }
                    Event::Message { bytes, .. } => self.received += usize::from(bytes.len() == MESSAGE),
                    other => panic!("{other:?}"),
                }
            }
            while let Some((to, len)) = host.poll_transmit(now, &mut buf) {
                socket.send_to(&buf[..len], to).expect("loopback");
            }
        }
    }

    fn join(&mut self, server: &mut dyn Server, clock: &dyn Fn() -> Time) {
        for (_, host, _) in &mut self.ends {
            for _ in 0..Clients::PER_SOCKET {
                host.connect(clock(), self.server, 1, 0).expect("there is room");
            }
        }
        let begin = Instant::now();
        while self.ends.iter().any(|end| end.2.len() < Clients::PER_SOCKET) {
            self.step(clock());
            server.round(clock());
            assert!(begin.elapsed() < Duration::from_secs(20), "not all have joined");
        }
        // What is left of the handshakes.
        for _ in 0..10 {
            self.step(clock());
            server.round(clock());
        }
    }

    /// Those of turn `turn` speak, of as many turns as `of`.
    fn speak(&mut self, turn: usize, of: usize) {
        for (_, host, peers) in &mut self.ends {
            for &peer in peers.iter().skip(turn % of).step_by(of) {
                host.send(peer, 0, Kind::Unreliable, &[7; MESSAGE]).expect("connected");
            }
        }
    }
}

/// The same sizes without a protocol.
fn plain_slice(plain: &mut Plain, ends: &[UdpSocket], count: usize, of: usize) -> f64 {
    let addr = plain.addr();
    let (mut datagrams, mut used) = (0, Duration::ZERO);
    let mut buf = [0; DATAGRAM_MAX];
    for _ in 0..MESSAGES / count * of {
        for end in ends.iter().cycle().take(count / of) {
            end.send_to(&[7; MESSAGE + 10], addr).expect("loopback");
        }
        let begin = cpu();
        datagrams += plain.round(Time::ZERO);
        used += cpu() - begin;
        for end in ends {
            while let Some(received) = receive(end, &mut buf) {
                black_box(received);
            }
        }
    }
    datagrams as f64 / used.as_secs_f64()
}

fn slice(
    server: &mut dyn Server,
    clients: &mut Clients,
    clock: &dyn Fn() -> Time,
    count: usize,
    of: usize,
) -> f64 {
    let (mut datagrams, mut used) = (0, Duration::ZERO);
    clients.received = 0;
    for turn in 0..MESSAGES / count * of {
        clients.speak(turn, of);
        clients.step(clock());
        let begin = cpu();
        datagrams += server.round(clock());
        used += cpu() - begin;
        clients.step(clock());
    }
    let expected = MESSAGES / count * count;
    assert!(clients.received * 100 >= expected * 98, "{} of {expected} came back", clients.received);
    datagrams as f64 / used.as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let begin = Instant::now();
    let clock = move || {
        let nanos = u64::try_from(begin.elapsed().as_nanos()).expect("a short run");
        Time::from_nanos(nanos + 1_000_000_000)
    };
    let turns = std::env::var("WINDLASS_ENET_TURNS").map_or(TURNS, |turns| turns.parse().expect("a number"));
    println!(
        "| peers, of whom so many at a time | windlass: datagrams per CPU second | rusty_enet (ours to it) | system calls alone |"
    );
    println!("| ---: | ---: | ---: | ---: |");
    for (count, of) in [(50, 1), (200, 1), (1000, 25), (1000, 250)] {
        let config = Config { connects_per_second: 0, ..Config::default() };
        let mut ours = Ours { socket: socket(), host: Host::new(config, [3; 16]), said: Vec::new() };
        let settings = HostSettings { peer_limit: count, channel_limit: 255, ..HostSettings::default() };
        let counting = Counting { socket: socket(), datagrams: 0, dry: false };
        let mut theirs = Theirs { host: rusty_enet::Host::new(counting, settings).expect("a host") };
        let mut plain = Plain { socket: socket(), waiting: Vec::new() };
        let plain_ends: Vec<UdpSocket> = (0..count / Clients::PER_SOCKET).map(|_| socket()).collect();
        let mut at_ours = Clients::new(ours.addr(), count);
        let mut at_theirs = Clients::new(theirs.addr(), count);
        at_ours.join(&mut ours, &clock);
        at_theirs.join(&mut theirs, &clock);

        let mut rates = [const { Vec::new() }; 3];
        for turn in 0..turns {
            for n in 0..3 {
                rates[(n + turn) % 3].push(match (n + turn) % 3 {
                    0 => slice(&mut ours, &mut at_ours, &clock, count, of),
                    1 => slice(&mut theirs, &mut at_theirs, &clock, count, of),
                    _ => plain_slice(&mut plain, &plain_ends, count, of),
                });
            }
        }
        let ratio = median(rates[0].iter().zip(&rates[1]).map(|(ours, theirs)| ours / theirs).collect());
        let [ours, theirs, plain] = rates.map(median);
        println!("| {count}, {} | {ours:.0} | {theirs:.0} ({ratio:.2}) | {plain:.0} |", count / of);
    }
}

//! What a player costs who does nothing: the arena's share of a room included, the system's sockets not. By UDP, where who
//! is silent is gone, they do nothing but acknowledge.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "it/kit.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod kit;

use std::alloc::System;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use windlass::Time;
use windlass_proto::enet::{Config, DATAGRAM_MAX, Event, Host, Kind};
use windlass_realtime::wire::SUBPROTOCOL;
use windlass_realtime::{Rate, UdpConfig};

use kit::{Server, config, eventually, seat};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PLAYERS: usize = 480;

/// All that is allocated is counted: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// A WebSocket by hand, which keeps nothing in memory.
fn idle(server: &Server, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.at).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: {SUBPROTOCOL}\r\n\r\n",
        server.at
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 101");
    stream
}

#[test]
fn a_player_who_does_nothing_costs_no_more_than_eight_kilobytes() {
    let _alone = ALONE.lock();
    let server = Server::start(config().address_requests(Rate::new(0, 0)), 1);
    let join = |n: usize| -> Vec<TcpStream> {
        let path = |_| seat(server.at, "join-or-create", "{}").1["path"].as_str().unwrap().to_owned();
        (0..n).map(path).map(|path| idle(&server, &path)).collect()
    };
    // A room's worth of them first, so that what the server has once is there.
    let mut players = join(16);
    players.reserve(PLAYERS);
    eventually("the first", || server.watch.stats().players == 16);
    std::thread::sleep(Duration::from_secs(1));
    let region = Region::new(ALLOCATOR);
    players.extend(join(PLAYERS));
    eventually("all", || server.watch.stats().players == 16 + PLAYERS as u64);
    // As long as it takes until nothing grows any more: 64 frames of a room.
    std::thread::sleep(Duration::from_secs(4));
    let change = region.change();
    let held = change.bytes_allocated as isize - change.bytes_deallocated as isize;
    let each = held / PLAYERS as isize;
    println!("{each} bytes a player");
    assert!((500..=8_192).contains(&each), "{each} bytes a player");
}

/// Peers of ENet behind one socket.
struct Quiet {
    socket: UdpSocket,
    host: Host,
    begun: Instant,
    welcomed: usize,
}

impl Quiet {
    fn new() -> Quiet {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let host = Host::new(Config { accept: false, ..Config::default() }, [9; 16]);
        Quiet { socket, host, begun: Instant::now(), welcomed: 0 }
    }

    /// Takes a seat.
    fn sit(&mut self, server: &Server) {
        let kept = seat(server.at, "join-or-create", "{}").1;
        let to = format!("127.0.0.1:{}", kept["udp"]["port"]).parse().unwrap();
        let now = Time::from_nanos(self.begun.elapsed().as_nanos() as u64);
        self.host.connect(now, to, 3, 0).unwrap();
        let wanted = self.welcomed + 1;
        eventually("a seat", || {
            self.step(kept["ticket"].as_str().unwrap());
            self.welcomed == wanted
        });
    }

    fn step(&mut self, ticket: &str) {
        let now = Time::from_nanos(self.begun.elapsed().as_nanos() as u64);
        let mut buf = [0; DATAGRAM_MAX];
        loop {
            match self.socket.recv_from(&mut buf) {
                Ok((len, from)) => self.host.receive(now, from, &buf[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        while let Some(event) = self.host.poll_event() {
            match event {
                Event::Connected { peer, .. } => {
                    self.host.send(peer, 0, Kind::Reliable, ticket.as_bytes()).unwrap();
                }
                // The welcome is the first that comes on this channel; who is there comes later.
                Event::Message { channel: 0, bytes, .. } => {
                    self.welcomed += usize::from(bytes.get(5) == Some(&0))
                }
                Event::Disconnected { .. } => panic!("{event:?}"),
                _ => {}
            }
        }
        while let Some((to, len)) = self.host.poll_transmit(now, &mut buf) {
            let _ = self.socket.send_to(&buf[..len], to);
        }
    }

    fn rest(&mut self, length: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < length {
            self.step("");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

#[test]
fn a_player_by_udp_who_only_acknowledges_costs_no_more_than_four_kilobytes() {
    let _alone = ALONE.lock();
    let udp = UdpConfig::default().address_peers_max(1_000).address_connects(Rate::new(0, 0));
    let server = Server::start(config().address_requests(Rate::new(0, 0)).udp(Some(udp)), 1);
    let mut first = Quiet::new();
    (0..16).for_each(|_| first.sit(&server));
    first.rest(Duration::from_secs(1));
    let region = Region::new(ALLOCATOR);
    let mut players = Quiet::new();
    (0..PLAYERS).for_each(|_| {
        players.sit(&server);
        first.step("");
    });
    // As long as it takes until nothing grows any more: a second's frames of a room.
    for _ in 0..40 {
        first.rest(Duration::from_millis(50));
        players.rest(Duration::from_millis(50));
    }
    eventually("all", || server.watch.stats().players == 16 + PLAYERS as u64);
    // Their own end of it is gone; the server does not know that yet.
    drop(players);
    let change = region.change();
    let held = change.bytes_allocated as isize - change.bytes_deallocated as isize;
    let each = held / PLAYERS as isize;
    println!("{each} bytes a player by UDP");
    assert!((500..=4_096).contains(&each), "{each} bytes a player");
}

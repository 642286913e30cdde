//! What players cost in allocations who play: none.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "it/kit.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod kit;

use std::alloc::System;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use windlass_realtime::Rate;
use windlass_realtime::wire::SUBPROTOCOL;

use kit::{Server, config, eventually, seat};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Two full rooms.
const PLAYERS: usize = 32;
/// Allocations of a thousand messages, to which there are more than 60 ticks.
const SHARE_MAX: usize = 10;
const STRETCHES: usize = 30;
/// Buttons of the arena's: right, left, down, up; and shoot.
const WAYS: [u8; 4] = [8, 4, 2, 1];
const SHOOT: u8 = 32;

/// A player by hand, who allocates nothing either.
struct Player {
    stream: TcpStream,
    buffer: Box<[u8; 8192]>,
    len: usize,
    /// The lowest bits of the last tick that came.
    tick: Option<u16>,
    input: u32,
}

impl Player {
    fn sit(server: &Server) -> Player {
        let path = seat(server.at, "join-or-create", "{}").1["path"].as_str().unwrap().to_owned();
        let mut stream = TcpStream::connect(server.at).unwrap();
        stream.set_nodelay(true).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: {SUBPROTOCOL}\r\n\r\n",
            server.at
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"));
        stream.set_nonblocking(true).unwrap();
        Player { stream, buffer: Box::new([0; 8192]), len: 0, tick: None, input: 0 }
    }

    /// Reads what has come; how many messages.
    fn hear(&mut self) -> usize {
        match self.stream.read(&mut self.buffer[self.len..]) {
            Ok(0) => panic!("the seat is lost"),
            Ok(n) => self.len += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        let (mut at, mut heard) = (0, 0);
        while let [0x82, len, rest @ ..] = &self.buffer[at..self.len] {
            let (head, len) = match (*len, rest) {
                (126, [high, low, ..]) => (4, usize::from(u16::from_be_bytes([*high, *low]))),
                (126, _) => break,
                (len, _) => (2, usize::from(len)),
            };
            let Some(message) = self.buffer[at..self.len].get(head..head + len) else { break };
            self.tick = Some(u16::from_le_bytes([message[0], message[1]]));
            (at, heard) = (at + head + len, heard + 1);
        }
        self.buffer.copy_within(at..self.len, 0);
        self.len -= at;
        heard
    }

    /// An input, the one before it, and the last snapshot confirmed.
    fn act(&mut self, nth: usize) {
        let Some(tick) = self.tick else { return };
        let [low, high] = tick.to_le_bytes();
        self.input += 1;
        let buttons = WAYS[(nth + self.input as usize / 20) % 4] | SHOOT;
        let aim = (self.input * 7 + nth as u32 * 40) as u8;
        let [a, b, c, d] = self.input.to_le_bytes();
        let piece =
            [4, 14, a, b, c, d, 4, buttons, aim, low, high, 4, buttons, aim, low, high, 5, 2, low, high];
        let mut frame = [0; 26];
        (frame[0], frame[1]) = (0x82, 0x80 | piece.len() as u8);
        frame[6..].copy_from_slice(&piece);
        self.stream.write_all(&frame).unwrap();
    }
}

fn play(players: &mut [Player], rounds: usize) -> usize {
    let mut heard = 0;
    for _ in 0..rounds {
        for (nth, player) in players.iter_mut().enumerate() {
            heard += player.hear();
            player.act(nth);
        }
        std::thread::sleep(Duration::from_millis(33));
    }
    heard
}

#[test]
fn ticks_allocate_nothing() {
    let server = Server::start(config().address_requests(Rate::new(0, 0)), 1);
    let mut players: Vec<Player> = (0..PLAYERS).map(|_| Player::sit(&server)).collect();
    eventually("all", || server.watch.stats().players == PLAYERS as u64);
    // Until what is used again is as large as it has to be, and everything has happened once.
    play(&mut players, 300);
    // Here and there something grows that was never so long before: a machine that stood still for a moment leaves each
    // seat more than it ever held, and that comes to an end. A message or a tick that costs one does so every time.
    let least = (0..STRETCHES).map(|_| stretch(&server, &mut players)).find(|share| *share <= SHARE_MAX);
    assert!(least.is_some(), "none of {STRETCHES} stretches was without");
    let stats = server.watch.stats();
    assert_eq!((stats.left_abuse, stats.messages_dropped), (0, 0));
}

/// Plays for a second or two; allocations of a thousand messages to players.
fn stretch(server: &Server, players: &mut [Player]) -> usize {
    let before = server.watch.stats();
    let region = Region::new(ALLOCATOR);
    let heard = play(players, 50);
    let change = region.change();
    std::thread::sleep(Duration::from_millis(200));
    let stats = server.watch.stats();
    let (ticks, inputs) = (stats.ticks - before.ticks, stats.messages_in - before.messages_in);
    let count = change.allocations + change.reallocations;
    println!("{count} allocations in {ticks} ticks, {heard} messages to players and {inputs} from them");
    // One in which hardly anything has happened is no measure.
    if heard > 700 && inputs > 700 { count * 1_000 / heard } else { usize::MAX }
}

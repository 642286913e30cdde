//! What a player costs who does nothing: the arena's share of a room included, the system's sockets not.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "it/kit.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod kit;

use std::alloc::System;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use windlass_realtime::Rate;
use windlass_realtime::wire::SUBPROTOCOL;

use kit::{Server, config, eventually, seat};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PLAYERS: usize = 480;

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

//! Connections over TLS that move to other workers: nothing is lost, nothing is decrypted twice, and every
//! end is what it would have been without.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::mpsc::Receiver;

use windlass::{
    Close, Conn, Input, Limits, Move, MoveError, Peer, Placement, Service, TlsAcceptor, TlsServer, serve,
};

use crate::harness::*;
use crate::moving::{LARGE, Told, WORKERS, ask, config, rooms};
use crate::tls::{Client, both, client, finish};
use crate::tls_peer::{VERSIONS, client_config, identity};

fn acceptor() -> TlsAcceptor {
    TlsServer::new(identity("server")).build().unwrap()
}

/// Everybody begins on worker 0.
fn start(limits: Limits) -> (Running, Receiver<Told>) {
    let (serve, told) = rooms(|_, _| Placement::Worker(0));
    let serve = serve.config(config().limits(limits));
    (Running::start(serve.tls("127.0.0.1:0", &acceptor())), told)
}

fn call(server: &Running) -> Client {
    client(server.addr(), both(), "localhost")
}

#[test]
fn it_moves_with_what_it_has_sent_and_what_it_is_owed() {
    for version in VERSIONS {
        let (server, told) = start(limits());
        let mut stream = client(server.addr(), client_config(&[version], None), "localhost");
        // All in one record: what is behind a move was decrypted on the worker before.
        ask(&mut stream, b"?a1?b2?c0?d#", b"0a1b2c0d12");
        let ids: Vec<_> = told.try_iter().collect();
        let [Told::Open(first), Told::In(one), Told::In(two), Told::In(three)] = ids[..] else {
            panic!("{ids:?}")
        };
        assert_eq!([first, one, two, three].map(|id| id.worker()), [0, 1, 2, 0]);
        // Record by record too.
        for byte in b"1?2?0?" {
            stream.write_all(&[*byte]).unwrap();
        }
        expect(&mut stream, b"120");
        ask(&mut stream, b"1@2@", b"localhostlocalhost");
        let there = |n: usize| server.handle.worker_stats(n).unwrap().counters.connections;
        server.wait_for("its last turn", |_| [0, 1, 2].map(there) == [0, 0, 1]);
        ask(&mut stream, b"2x", b"x");
        assert!(told.iter().any(|told| told == Told::Refused(MoveError::Here)));
        stream.write_all(b"0!1?").unwrap();
        expect(&mut stream, &LARGE);
        expect(&mut stream, b"1");
        finish(&mut stream);
        // Rustls reports an end without `close_notify` as an error.
        expect_end(&mut stream);
        let counters = server.stop().stats.counters;
        assert_eq!((counters.moved_out, counters.moved_in, counters.opened), (10, 10, 1));
        assert_eq!((counters.tls_handshakes_done, counters.tls_handshakes), (1, 0));
        assert_eq!((counters.closed_by("eof"), counters.buffered_bytes), (1, 0));
    }
}

/// Talks in pieces that are larger than what a connection may hold, and moves about meanwhile.
fn talk(addr: SocketAddr, n: usize, pieces: usize) {
    let mut stream = client(addr, client_config(&[VERSIONS[n % 2]], None), "localhost");
    for piece in 0..pieces {
        let (mut sent, mut wanted) = (Vec::new(), Vec::new());
        for i in 0..20_000usize {
            let byte = b'a' + ((i + n + piece) % 26) as u8;
            sent.push(byte);
            wanted.push(byte);
            if i % 1_501 == n {
                sent.push(b'0' + ((i + piece) % WORKERS) as u8);
            }
        }
        stream.write_all(&sent).unwrap();
        expect(&mut stream, &wanted);
    }
    finish(&mut stream);
    expect_end(&mut stream);
}

#[test]
fn many_move_at_once_and_lose_nothing() {
    // A record holds more than is read at once and more than a service may leave: some of it waits decrypted.
    let limits = Limits { input_max: 4_000, read_budget_bytes: 6_000, ..limits() };
    let (server, _told) = start(limits);
    let addr = server.addr();
    let threads: Vec<_> = (0..8).map(|n| std::thread::spawn(move || talk(addr, n, 25))).collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let counters = server.stop().stats.counters;
    assert_eq!(counters.moved_out, counters.moved_in);
    assert!(counters.moved_out > 500, "{}", counters.moved_out);
    // Both workers of each move have it right, or the sum would not come to nothing.
    assert_eq!((counters.buffered_bytes, counters.connections, counters.tls_handshakes), (0, 0, 0));
    assert_eq!(counters.closed_by("eof"), 8);
}

/// Moves on with the first byte, and holds the rest back until the end comes.
struct Last;

impl Service for Last {
    type Session = bool;
    fn place(&mut self, _: Peer, _: usize) -> Placement {
        Placement::Worker(0)
    }
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<bool, Close> {
        // The end of the handshake is the first moment; it may come with the peer's last word.
        conn.move_to(2)?;
        Ok(false)
    }
    fn data(&mut self, conn: &mut Conn<'_>, moved: &mut bool, input: &mut Input<'_>) -> Result<(), Close> {
        if !std::mem::replace(moved, true) {
            input.take(1);
            conn.move_to(1)?;
        }
        Ok(())
    }
    fn eof(&mut self, conn: &mut Conn<'_>, _: &mut bool, input: &mut Input<'_>) -> Result<(), Close> {
        assert_eq!(conn.id().worker(), 1);
        conn.write(input.take_all());
        Err(Close::Eof)
    }
}

impl Move for Last {
    type Seed = bool;
    fn move_out(&mut self, _: &mut Conn<'_>, moved: bool) -> bool {
        moved
    }
    fn move_in(&mut self, _: &mut Conn<'_>, moved: bool) -> Result<bool, Close> {
        Ok(moved)
    }
}

#[test]
fn the_end_of_the_stream_is_told_where_it_lives() {
    for clean in [true, false] {
        let serve = serve(|| Last).movable().config(config());
        let server = Running::start(serve.tls("127.0.0.1:0", &acceptor()));
        let mut stream = call(&server);
        // What is said, and the end of it, are there before it moves.
        stream.write_all(b"!last words").unwrap();
        if clean {
            finish(&mut stream);
        } else {
            stream.sock.shutdown(Shutdown::Write).unwrap();
        }
        expect(&mut stream, b"last words");
        expect_end(&mut stream);
        let counters = server.stop().stats.counters;
        assert_eq!(counters.moved_in, 2);
        let (eof, tls) = (counters.closed_by("eof"), counters.closed_by("tls"));
        assert_eq!((eof, tls), if clean { (1, 0) } else { (0, 1) }, "clean: {clean}");
    }
}

#[test]
fn a_server_that_stops_loses_nobody_on_the_way() {
    for round in 0..6 {
        let (server, told) = start(limits());
        let mut streams: Vec<Client> = (0..10).map(|_| call(&server)).collect();
        for stream in &mut streams {
            ask(stream, b"x", b"x");
        }
        for stream in &mut streams {
            stream.write_all(b"12012012").unwrap();
            if round % 2 == 0 {
                stream.write_all(b"!").unwrap();
            }
        }
        if round % 3 == 0 {
            server.handle.stop_now();
        } else {
            server.handle.shutdown();
            drop(streams);
        }
        let counters = server.ended_well().stats.counters;
        assert_eq!((counters.moved_out, counters.buffered_bytes), (counters.moved_in, 0));
        assert_eq!(told.iter().filter(|told| *told == Told::Closed).count(), 10);
    }
}

#[test]
fn a_peer_that_does_not_read_is_ended_where_it_has_moved_to() {
    let limits = Limits { write_stall_timeout: std::time::Duration::from_millis(300), ..limits() };
    let (server, told) = start(limits);
    let mut stream = call(&server);
    ask(&mut stream, b"1?", b"1");
    stream.write_all(b"!").unwrap();
    let counters = server.wait_for("its end", |c| c.connections == 0);
    assert_eq!((counters.closed_by("slow_consumer"), counters.buffered_bytes), (1, 0));
    assert!(told.try_iter().any(|told| told == Told::Closed));
    // What was on its way may still be read, but the end is not clean.
    assert!(stream.read_to_end(&mut Vec::new()).is_err());
    server.stop();
}

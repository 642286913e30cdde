//! What was sent of a large write is given back: the bytes a process holds, counted by its allocator.
//!
//! Counted and not asked of the system, which sees what the allocator keeps for later as well.
#![cfg(unix)]

use std::alloc::System;
use std::io::Read;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use windlass::{Close, Config, Conn, Input, Limits, Service, serve};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const WRITE: usize = 16 << 20;
const READ: usize = 10 << 20;
const PEERS: usize = 10;
/// What may be held beside the bytes that wait: of each peer the sent part of one chunk, which goes back
/// with its last byte, and once the memory a worker keeps (4 chunks, 64 blocks) with its sockets and slots.
const BESIDE: u64 = PEERS as u64 * (256 << 10) + (3 << 20);

/// Greets with one large write.
struct Large;

impl Service for Large {
    type Session = ();
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        conn.write(&vec![1; WRITE]);
        Ok(())
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        input.take_all();
        Ok(())
    }
}

fn held() -> u64 {
    let stats = ALLOCATOR.stats();
    // What reallocating grew or shrank is in both already.
    (stats.bytes_allocated - stats.bytes_deallocated) as u64
}

#[test]
fn the_sent_part_of_a_large_write_is_given_back() {
    let limits = Limits {
        stall_timeout: Duration::ZERO,
        overload_lag_max: Duration::ZERO,
        source_connections_max: 0,
        ..Limits::default()
    };
    let config = Config::default().workers(1).limits(Limits { output_max: 2 * WRITE, ..limits });
    let bound = serve(|| Large).config(config).tcp("127.0.0.1:0").bind().unwrap();
    let (addr, handle) = (bound.addresses()[0].tcp().unwrap(), bound.handle());
    let server = thread::spawn(move || bound.run().unwrap());
    let before = held();

    let mut peers = vec![];
    let mut buf = vec![0; 64 * 1024];
    for _ in 0..PEERS {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut left = READ;
        while left > 0 {
            let want = left.min(buf.len());
            let n = stream.read(&mut buf[..want]).unwrap();
            assert!(n > 0, "the server ended a peer that reads");
            left -= n;
        }
        peers.push(stream);
    }

    // What the service owes is queued once and sent from there: whatever it counts is what it may hold.
    // A turn that is under way holds more, so that it is asked until it rests.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let counted = handle.stats().counters.buffered_bytes;
        let grown = held().saturating_sub(before);
        if grown <= counted + BESIDE {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{} MiB are held for {} MiB of output that waits",
            grown >> 20,
            counted >> 20
        );
        thread::sleep(Duration::from_millis(10));
    }
    handle.stop_now();
    drop(peers);
    server.join().unwrap();
}

//! Serving allocates nothing in steady state: a counting allocator over PING, GET and SET, pipelined and one
//! by one. In a process of its own and without a test harness, whose thread would allocate meanwhile: all that is
//! allocated is counted.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::alloc::System;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use windlass::{Config, Limits, serve};
use windlass_kv::{Kv, KvConfig};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Sends `batch` again and again, and takes what comes back, which has the length of `replies` each time.
fn rounds(stream: &mut TcpStream, batch: &[u8], replies: &mut [u8], n: usize) {
    for _ in 0..n {
        stream.write_all(batch).unwrap();
        stream.read_exact(replies).unwrap();
    }
}

fn main() {
    let limits = Limits { stall_timeout: Duration::ZERO, ..Limits::default() };
    let config = Config::default().workers(1).limits(limits);
    let service = serve(|| Kv::new(KvConfig::default())).tick(Kv::TICK).config(config);
    let bound = service.tcp("127.0.0.1:0").bind().unwrap();
    let (address, handle) = (bound.addresses()[0].tcp().unwrap(), bound.handle());
    let server = thread::spawn(move || bound.run().unwrap());

    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let get = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
    let set = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\n";
    let (ping, incr) = (b"*1\r\n$4\r\nPING\r\n", b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n");
    let seed = b"*3\r\n$3\r\nSET\r\n$1\r\nn\r\n$6\r\n100000\r\n";
    rounds(&mut stream, seed, &mut [0; 5], 1);
    let batch = [&set[..], get, ping, incr].concat();
    let mut reply = [0; 5 + 11 + 7 + 9];
    let deep = batch.repeat(50);
    let mut deep_reply = [0; 50 * (5 + 11 + 7 + 9)];

    for (batch, reply, n) in [(&batch, &mut reply[..], 2_000), (&deep, &mut deep_reply[..], 200)] {
        rounds(&mut stream, batch, reply, 200);
        let region = Region::new(ALLOCATOR);
        rounds(&mut stream, batch, reply, n);
        let change = region.change();
        let counts = [change.allocations, change.reallocations, change.deallocations];
        assert_eq!(counts, [0, 0, 0], "allocations, reallocations, frees in {n} rounds");
    }
    handle.stop_now();
    server.join().unwrap();
}

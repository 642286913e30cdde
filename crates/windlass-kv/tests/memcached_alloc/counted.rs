//! Nothing is allocated in steady state: a counting allocator over real connections. It counts for the whole
//! process, so the client here allocates nothing either while it counts.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::alloc::System;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use windlass::{Limits, serve};
use windlass_kv::{Kv, KvConfig, Protocol};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A request, so many times at once, and the reply to one.
fn rounds(stream: &mut TcpStream, request: &[u8], reply: usize, rounds: usize, into: &mut [u8]) {
    for _ in 0..rounds {
        stream.write_all(request).unwrap();
        stream.read_exact(&mut into[..reply]).unwrap();
    }
}

pub(crate) fn commands_allocate_nothing_in_steady_state() {
    let limits = Limits { stall_timeout: Duration::ZERO, ..Limits::default() };
    let config = KvConfig { protocols: vec![Protocol::Memcached], ..KvConfig::default() };
    let service = serve(move || Kv::new(config.clone())).limits(limits).workers(1).tick(Kv::TICK);
    let bound = service.tcp("127.0.0.1:0").bind().unwrap();
    let (address, handle) = (bound.addresses()[0].tcp().unwrap(), bound.handle());
    let server = thread::spawn(move || bound.run().unwrap());
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    };
    let (mut text, mut binary) = (connect(), connect());
    let mut into = vec![0; 1 << 20];
    let value = "v".repeat(100);
    rounds(
        &mut text,
        format!("set key 0 0 100\r\n{value}\r\nset n 0 0 10\r\n0000000000\r\n").as_bytes(),
        16,
        1,
        &mut into,
    );

    let one_get =
        [0x80, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'k', b'e', b'y'];
    let hit = "VALUE key 0 100\r\n".len() + 100 + 2;
    let sets = format!("set key 0 0 100\r\n{value}\r\n");
    type Case<'a> = (&'a str, Vec<u8>, usize, bool);
    let cases: [Case<'_>; 7] = [
        ("get", b"get key\r\n".to_vec(), hit + 5, false),
        ("get of 50 keys", format!("get{}\r\n", " key".repeat(50)).into(), 50 * hit + 5, false),
        ("100 pipelined gets", "get key\r\n".repeat(100).into(), 100 * (hit + 5), false),
        ("binary get", one_get.to_vec(), 24 + 4 + 100, true),
        ("set over a value of the same length", sets.clone().into(), 8, false),
        ("100 pipelined sets", sets.repeat(100).into(), 100 * 8, false),
        ("incr", b"incr n 0\r\n".to_vec(), 3, false),
    ];
    for (name, request, reply, is_binary) in &cases {
        let stream = if *is_binary { &mut binary } else { &mut text };
        rounds(stream, request, *reply, 100, &mut into);
        // Cut in two as well: what waits for its rest takes a buffer, which a worker keeps.
        for _ in 0..20 {
            let (front, back) = request.split_at(request.len() / 2 + 1);
            stream.write_all(front).unwrap();
            thread::sleep(Duration::from_millis(1));
            rounds(stream, back, *reply, 1, &mut into);
        }
        let region = Region::new(ALLOCATOR);
        rounds(stream, request, *reply, 2_000, &mut into);
        let change = region.change();
        assert_eq!([change.allocations, change.reallocations, change.deallocations], [0; 3], "{name}");
    }
    handle.stop_now();
    server.join().unwrap();
}

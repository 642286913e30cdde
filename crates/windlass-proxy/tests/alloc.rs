//! Nothing is allocated for a request on connections that stay: counted for the whole process, in which the client
//! and the origin allocate nothing either meanwhile.
#![cfg(unix)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests play the peers: they open sockets, start threads and read the clock"
)]

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use windlass::Limits;
use windlass_proxy::{Backend, Front, ProxyConfig};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const REQUEST: &[u8] =
    b"GET /some/path?x=y HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\nCookie: a=b\r\n\r\n";
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: now\r\nContent-Length: 12\r\n\r\nhello, world";

/// Reads into the buffer until it ends like this.
fn read_to(stream: &mut TcpStream, buffer: &mut [u8], end: &[u8]) -> bool {
    let mut length = 0;
    loop {
        match stream.read(&mut buffer[length..]) {
            Ok(n @ 1..) => length += n,
            _ => return false,
        }
        if buffer[..length].ends_with(end) {
            return true;
        }
    }
}

#[test]
fn a_request_on_connections_that_stay_allocates_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        while read_to(&mut stream, &mut buffer, b"\r\n\r\n") {
            stream.write_all(RESPONSE).unwrap();
        }
    });
    let backend = Backend::at(origin.to_string().parse().unwrap());
    let mut config = ProxyConfig::default().backend(backend);
    config.http.pool_timeout = Duration::from_secs(600);
    let front = Front::new(config).unwrap();
    let limits = Limits { stall_timeout: Duration::ZERO, ..Limits::default() };
    let bound = front.serve_http().workers(1).limits(limits).tcp("127.0.0.1:0").bind().unwrap();
    let (address, handle) = (bound.addresses()[0].tcp().unwrap(), bound.handle());
    let server = thread::spawn(move || bound.run().unwrap());
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut buffer = [0; 4096];
    let mut ask = |times: usize| {
        for _ in 0..times {
            client.write_all(REQUEST).unwrap();
            assert!(read_to(&mut client, &mut buffer, b"hello, world"));
        }
    };
    ask(100);
    let region = Region::new(ALLOCATOR);
    ask(5_000);
    let change = region.change();
    assert_eq!(front.stats().http.reused, 5_099);
    // A tick may have something to do meanwhile; a request has not.
    let calls = change.allocations + change.reallocations;
    assert!(calls < 100, "{change:?} for 5,000 requests");
    handle.stop_now();
    server.join().unwrap();
}

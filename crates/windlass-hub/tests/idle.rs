//! What an idle connection with one subscription takes: a counting allocator over some hundreds of them. In a process
//! of its own, since it counts for all of it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use windlass::{Mailbox, serve};
use windlass_hub::{Hub, HubConfig, HubWatch};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Both ends are in this process, which may have 1,024 descriptors. As many sessions fill a table of 512 places.
const CONNECTIONS: usize = 440;
/// Those that come first: what they have the hub make once is not counted.
const FIRST: usize = 8;
/// Bytes asked of the allocator for each of them. With what the allocator adds and the engine's share, which is in tables
/// that are there from the start, less than 1 KiB is resident.
const MOST: usize = 512;

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first, body.len() as u8], body].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

/// A client that subscribes to a topic of its own.
fn client(address: SocketAddr, nth: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let connect = [&[0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0xff, 0xff][..], &text(&format!("device-{nth}"))];
    stream.write_all(&packet(0x10, &connect.concat())).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    subscribe(&mut stream, &format!("house/{nth}"));
    stream
}

fn subscribe(stream: &mut TcpStream, filter: &str) {
    stream.write_all(&packet(0x82, &[&[0, 1][..], &text(filter), &[0]].concat())).unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn an_idle_connection_is_small() {
    let (mailbox, watch) = (Mailbox::new(), HubWatch::new(1));
    let hub = HubConfig::default().sys_interval(Duration::from_millis(100));
    let service = serve(move || Hub::new(hub.clone(), &watch)).mailbox(&mailbox).tick(Hub::TICK);
    let bound = service.workers(1).tcp("127.0.0.1:0").bind().unwrap();
    let (address, handle) = (bound.addresses()[0].tcp().unwrap(), bound.handle());
    let server = thread::spawn(move || bound.run().unwrap());

    let mut first: Vec<TcpStream> = (0..FIRST).map(|nth| client(address, nth)).collect();
    // Something is retained, as it is in every hub: its own topics.
    subscribe(&mut first[0], "$SYS/#");
    first[0].read_exact(&mut [0; 2]).unwrap();
    let region = Region::new(ALLOCATOR);
    let rest: Vec<TcpStream> = (FIRST..FIRST + CONNECTIONS).map(|nth| client(address, nth)).collect();
    let change = region.change();
    let each = (change.bytes_allocated - change.bytes_deallocated) / CONNECTIONS;
    println!("{each} bytes each");
    assert!(each <= MOST, "{each} bytes each, in {} pieces", change.allocations - change.deallocations);
    drop((first, rest));
    handle.stop_now();
    server.join().unwrap();
}

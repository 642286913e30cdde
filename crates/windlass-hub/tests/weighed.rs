//! What is counted against `memory_max` is what is allocated, or more: a counting allocator over sessions, subscriptions,
//! wills, retained messages and messages that wait. In a process of its own, since it counts for all of it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use windlass::{Config, Limits, Mailbox, serve};
use windlass_hub::{Hub, HubConfig, HubStats, HubWatch};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Both ends are in this process, which may have 1,024 descriptors.
const CLIENTS: usize = 400;
/// What is counted may be so many times what is allocated: an allocator adds to each piece, and tables grow by halves.
const TIMES_MAX: usize = 5;

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let (low, high) = (body.len() % 128, body.len() / 128);
    let len = if high == 0 { vec![low as u8] } else { vec![low as u8 | 0x80, high as u8] };
    [&[first][..], &len, body].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

/// A client whose session stays, with a will of 100 bytes if it has one.
fn client(address: SocketAddr, id: &str, has_will: bool) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut body = [0, 4, b'M', b'Q', b'T', b'T', 4, if has_will { 4 } else { 0 }, 0, 0].to_vec();
    body.extend(text(id));
    if has_will {
        body.extend([text("gone"), text(&"w".repeat(100))].concat());
    }
    stream.write_all(&packet(0x10, &body)).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    stream
}

fn subscribe(stream: &mut TcpStream, filter: &str) {
    stream.write_all(&packet(0x82, &[&[0, 1][..], &text(filter), &[1]].concat())).unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
}

/// Once all that was sent on a connection has been served.
fn served(stream: &mut TcpStream) {
    stream.write_all(&[0xc0, 0]).unwrap();
    stream.read_exact(&mut [0; 2]).unwrap();
}

/// What the hub has counted, with the next tick.
fn stats(watch: &HubWatch, ready: impl Fn(&HubStats) -> bool) -> HubStats {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        thread::sleep(4 * Hub::TICK);
        let stats = watch.stats();
        if ready(&stats) {
            return stats;
        }
        assert!(Instant::now() < deadline, "{stats:?}");
    }
}

/// What has become of memory since the last look.
struct Counted<'w> {
    watch: &'w HubWatch,
    before: usize,
    region: Region<'static, System>,
}

impl Counted<'_> {
    fn begin(&mut self) {
        self.before = stats(self.watch, |_| true).memory_used as usize;
        self.region.reset();
    }

    fn check(&mut self, what: &str, ready: &dyn Fn(&HubStats) -> bool) {
        let counted = stats(self.watch, ready).memory_used as usize;
        let change = self.region.change_and_reset();
        let allocated = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
        let more = counted - self.before;
        println!("{what}: {more} bytes counted, {allocated} allocated");
        assert!(allocated <= more, "{what}: {allocated} bytes allocated, {more} counted");
        assert!(more <= TIMES_MAX * allocated, "{what}: {allocated} bytes allocated, {more} counted");
        self.before = counted;
    }
}

#[test]
fn no_less_is_counted_than_is_allocated() {
    let limits = Limits { stall_timeout: Duration::ZERO, ..Limits::default() };
    let (mailbox, watch) = (Mailbox::new(), HubWatch::new(1));
    let hub = HubConfig::default().sys_interval(Duration::ZERO).memory_max(64 << 20);
    let its = watch.clone();
    let service = serve(move || Hub::new(hub.clone(), &its)).mailbox(&mailbox).tick(Hub::TICK);
    // The engine allocates nothing, so what is allocated is the hub's.
    let config = Config::default().workers(1).limits(limits).memory(16 << 20);
    let bound = service.config(config).tcp("127.0.0.1:0").bind().unwrap();
    let (address, handle) = (bound.addresses()[0].tcp().unwrap(), bound.handle());
    let server = thread::spawn(move || bound.run().unwrap());
    let mut first = client(address, "the first", true);
    subscribe(&mut first, "of/the/first");

    let mut clients = Vec::with_capacity(CLIENTS);
    let before = stats(&watch, |stats| stats.subscriptions == 1).memory_used as usize;
    let mut counted = Counted { watch: &watch, before, region: Region::new(ALLOCATOR) };
    for nth in 0..CLIENTS {
        clients.push(client(address, &format!("device-{nth}"), false));
    }
    counted.check("sessions", &|stats| stats.sessions == CLIENTS as u64 + 1);
    for (nth, client) in clients.iter_mut().enumerate() {
        subscribe(client, &format!("house/{nth}/lamp"));
    }
    counted.check("subscriptions", &|stats| stats.subscriptions == CLIENTS as u64 + 1);
    for nth in 0..2_000 {
        let body = [text(&format!("kept/{nth}/value")), vec![b'x'; 100]].concat();
        first.write_all(&packet(0x31, &body)).unwrap();
    }
    served(&mut first);
    counted.check("retained messages", &|stats| stats.retained == 2_000);
    clients.clear();
    stats(&watch, |stats| stats.clients == 1);
    // What is gone with connections gives back nothing of a session.
    counted.begin();
    for round in 0..10 {
        for nth in 0..CLIENTS {
            let topic = format!("house/{nth}/lamp");
            let body = [text(&topic), vec![0, 1 + round], vec![b'x'; 100]].concat();
            first.write_all(&packet(0x32, &body)).unwrap();
            first.read_exact(&mut [0; 4]).unwrap();
        }
    }
    counted.check("messages that wait", &|stats| stats.queued == 10 * CLIENTS as u64);
    handle.stop_now();
    server.join().unwrap();
}

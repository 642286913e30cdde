//! Memory follows bytes received and never bytes promised: what peers that announce gigabytes make the
//! process allocate, counted by its allocator.

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use windlass::proto::correlate::{ById, Fifo};
use windlass::proto::framing::LengthField;
use windlass::proto::{Decode, Time};
use windlass::{Close, Config, Conn, Handle, Input, Limits, Service, serve};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PEERS: usize = 200;
const INPUT_MAX: usize = 1 << 20;

/// Frames without a limit of their own: it is the engine that must refuse.
struct Trusting;

impl Service for Trusting {
    type Session = LengthField;
    fn open(&mut self, _: &mut Conn<'_>) -> Result<LengthField, Close> {
        Ok(LengthField::be(8).max(usize::MAX))
    }
    fn data(
        &mut self,
        conn: &mut Conn<'_>,
        frames: &mut LengthField,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        while let Some(message) = frames.decode(input)? {
            conn.write(message);
        }
        Ok(())
    }
}

/// All bytes asked of the allocator, given back or not.
fn allocated(f: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    f();
    let change = region.change();
    change.bytes_allocated + change.bytes_reallocated.unsigned_abs()
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Announces so many bytes, sends one of them, and is sent away.
fn promise(addr: SocketAddr, bytes: u64) {
    let mut stream = connect(addr);
    let mut frame = [7; 9];
    frame[..8].copy_from_slice(&bytes.to_be_bytes());
    stream.write_all(&frame).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "refused at once");
}

fn wait_for(handle: &Handle, what: &str, happened: impl Fn(&Handle) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !happened(handle) {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Requests that wait for their replies: as many as may, answered and given up, over and over.
fn replies_are_told_apart_without_allocating() {
    let (mut fifo, mut by_id) = (Fifo::max(PEERS), ById::max(PEERS));
    let mut churn = |rounds: u64| {
        for n in 0..rounds {
            let deadline = Time::from_nanos(n + n * 7 % 300);
            let _ = fifo.push(n, deadline);
            let _ = by_id.insert(n, n, deadline);
            if n % 3 == 0 {
                let _ = (fifo.answered(), by_id.answered(&n.saturating_sub(40)));
            }
            if n % 50 == 0 {
                while by_id.expire(Time::from_nanos(n)).is_some() {}
                while fifo.expire(Time::from_nanos(n)).is_some() {}
            }
        }
        while by_id.expire(Time::MAX).is_some() {}
        while fifo.answered().is_ok() {}
    };
    churn(100_000);
    assert_eq!(allocated(|| churn(100_000)), 0);
}

pub(crate) fn memory_follows_what_was_received() {
    replies_are_told_apart_without_allocating();
    let limits = Limits {
        stall_timeout: Duration::ZERO,
        source_connections_max: 0,
        input_max: INPUT_MAX,
        ..Limits::default()
    };
    let bound = serve(|| Trusting).config(Config::default().workers(1).limits(limits)).tcp("127.0.0.1:0");
    let bound = bound.bind().unwrap();
    let (addr, handle) = (bound.addresses()[0].tcp().unwrap(), bound.handle());
    let server = thread::spawn(move || bound.run().unwrap());

    // Over the input limit: refused when the length is there.
    let over = || {
        for bytes in [4 << 30, INPUT_MAX as u64 - 7, u64::MAX].into_iter().cycle().take(PEERS) {
            promise(addr, bytes);
        }
    };
    over();
    let asked = allocated(over);
    println!("{asked} bytes allocated for {PEERS} peers that announce too much");
    assert!(asked < PEERS * 1024, "{asked} bytes were allocated for {PEERS} peers that announce too much");
    wait_for(&handle, "all are refused", |handle| handle.stats().counters.ended == 2 * PEERS as u64);

    // Within the limit: they may send it, and until then nothing is held for it.
    let mut waiting = Vec::with_capacity(PEERS);
    let asked = allocated(|| {
        for _ in 0..PEERS {
            let mut stream = connect(addr);
            let mut frame = [7; 100];
            frame[..8].copy_from_slice(&(INPUT_MAX as u64 - 8).to_be_bytes());
            stream.write_all(&frame).unwrap();
            waiting.push(stream);
        }
        let held = (PEERS * 100) as u64;
        wait_for(&handle, "all wait", |handle| handle.stats().counters.buffered_bytes == held);
    });
    println!("{asked} bytes allocated for {PEERS} peers that announce 1 MiB each");
    assert!(asked < PEERS * 4096, "{asked} bytes were allocated for {PEERS} peers that announce 1 MiB each");

    // One of them keeps its promise.
    let stream = &mut waiting[PEERS / 2];
    stream.write_all(&vec![7; INPUT_MAX - 100]).unwrap();
    let mut message = vec![0; INPUT_MAX - 8];
    stream.read_exact(&mut message).unwrap();
    assert!(message.iter().all(|byte| *byte == 7));

    handle.stop_now();
    drop(waiting);
    server.join().unwrap();
}

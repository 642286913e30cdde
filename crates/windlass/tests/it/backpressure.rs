//! A peer that does not read is slowed down, then bounded, then ended; nobody else notices.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use windlass::{Limits, WhenOverloaded, serve};

use crate::harness::*;
use crate::probe::{Event, Probe, wait, wait_closed};

fn start(probe: Probe, limits: Limits) -> Running {
    Running::start(serve(move || probe.clone()).config(one_worker(limits)).tcp("127.0.0.1:0"))
}

/// Waits until a server no longer moves bytes.
fn settled(server: &Running) {
    let mut last = (0, 0);
    loop {
        let c = server.counters();
        if (c.bytes_in, c.bytes_out) == last && c.bytes_in > 0 {
            return;
        }
        last = (c.bytes_in, c.bytes_out);
        thread::sleep(Duration::from_millis(150));
    }
}

#[test]
fn a_peer_that_does_not_read_is_no_longer_read() {
    let (probe, events) = Probe::new();
    let probe = probe.input(|conn, input| {
        conn.write(input.take_all());
        Ok(())
    });
    let server = start(probe, limits());
    let mut stream = server.connect();
    let message = pattern(64 * 1024 * 1024);
    let writer = send_and_finish(&stream, message.clone());
    server.wait_for("congestion", |c| c.congestions > 0);
    settled(&server);
    let paused = server.counters();
    assert!(paused.buffered_bytes > 0);
    // The mark, what one read brings above it, and the cork.
    let bound = 64 * 1024 + 256 * 1024 + 64 * 1024;
    assert!(paused.output_peak_bytes <= bound, "{} queued", paused.output_peak_bytes);
    assert!(paused.bytes_in < message.len() as u64, "reading has paused");
    thread::sleep(Duration::from_millis(100));
    let later = server.counters();
    // On a busy machine the kernel may still be finding a little room; a spin is thousands.
    assert!(later.reads <= paused.reads + 3, "{} reads while congested", later.reads - paused.reads);
    assert!(later.polls <= paused.polls + 50, "and no spin: {} polls", later.polls - paused.polls);
    expect(&mut stream, &message);
    writer.join().unwrap();
    wait(&events, |event| *event == Event::Drained);
    let done = server.counters();
    assert_eq!(done.buffered_bytes, 0);
    assert!(done.output_peak_bytes <= bound, "{} queued", done.output_peak_bytes);
    server.stop();
}

#[test]
fn drained_comes_once_for_each_congestion_and_lets_a_producer_go_on() {
    const PIECE: usize = 100_000;
    const PIECES: u64 = 300;
    let (probe, events) = Probe::new();
    let sent = Arc::new(AtomicU64::new(0));
    let produce = {
        let sent = sent.clone();
        move |conn: &mut windlass::Conn<'_>| {
            while !conn.is_congested() && sent.load(Relaxed) < PIECES {
                sent.fetch_add(1, Relaxed);
                conn.write(&vec![sent.load(Relaxed) as u8; PIECE]);
            }
            Ok(())
        }
    };
    let server = start(probe.open(produce.clone()).drained(produce), limits());
    let mut stream = server.connect();
    thread::sleep(Duration::from_millis(100));
    assert!(sent.load(Relaxed) < PIECES, "the producer waits");
    let mut piece = vec![0; PIECE];
    for n in 1..=PIECES {
        stream.read_exact(&mut piece).unwrap();
        assert!(piece.iter().all(|byte| *byte == n as u8), "piece {n}");
    }
    let summary = server.stop();
    let drained = events.iter().filter(|event| *event == Event::Drained).count() as u64;
    let congestions = summary.stats.counters.congestions;
    assert!(drained == congestions || drained + 1 == congestions, "{drained} for {congestions}");
    assert!(summary.stats.counters.output_peak_bytes < 64 * 1024 + 2 * PIECE as u64);
}

#[test]
fn a_consumer_that_takes_nothing_for_too_long_is_ended() {
    let write_stall_timeout = Duration::from_millis(200);
    let (probe, events) = Probe::new();
    let probe = probe.open(|conn| {
        conn.write(&vec![1; 16 * 1024 * 1024]);
        Ok(())
    });
    let server = start(probe, Limits { write_stall_timeout, ..limits() });
    let begun = Instant::now();
    let mut stream = server.connect();
    assert_eq!(wait_closed(&events), "slow_consumer");
    assert!(begun.elapsed() >= write_stall_timeout, "not early: {:?}", begun.elapsed());
    server.wait_for("its memory", |c| c.buffered_bytes == 0 && c.connections == 0);
    read_to_reset(&mut stream);
    server.stop();
}

#[test]
fn a_consumer_that_takes_a_little_at_a_time_is_kept() {
    // All of it takes longer than this.
    let write_stall_timeout = Duration::from_secs(2);
    let message = pattern(16 * 1024 * 1024);
    let sent = message.clone();
    let (probe, _events) = Probe::new();
    let probe = probe.open(move |conn| {
        conn.write(&sent);
        Ok(())
    });
    let server = start(probe, Limits { write_stall_timeout, ..limits() });
    let mut stream = server.connect();
    for piece in message.chunks(message.len() / 10 + 1) {
        thread::sleep(Duration::from_millis(250));
        expect(&mut stream, piece);
    }
    server.stop();
}

#[test]
fn output_over_its_cap_ends_the_connection() {
    let (probe, events) = Probe::new();
    let probe = probe.input(|conn, input| {
        input.take_all();
        for _ in 0..64 {
            conn.write(&[3; 1024 * 1024]);
        }
        Ok(())
    });
    let output_max = 4 * 1024 * 1024;
    let server = start(probe, Limits { output_max, ..limits() });
    let mut stream = server.connect();
    stream.write_all(b"flood me").unwrap();
    assert_eq!(wait_closed(&events), "overflow");
    read_to_reset(&mut stream);
    let summary = server.stop();
    assert!(summary.stats.counters.output_peak_bytes <= output_max as u64);
}

#[test]
fn input_over_its_limit_ends_the_connection_with_a_reply() {
    for (announced, sent) in [(0, 200_000), (100_001, 10)] {
        let (probe, events) = Probe::new();
        let probe = probe.open(|conn| {
            conn.write(b"hello");
            Ok(())
        });
        let probe = probe.input(move |_, input| {
            input.need(announced);
            Ok(())
        });
        let server = start(probe, Limits { input_max: 100_000, ..limits() });
        let mut stream = server.connect();
        stream.write_all(&vec![0; sent]).unwrap();
        assert_eq!(wait_closed(&events), "input_full");
        expect(&mut stream, b"hello");
        let summary = server.stop();
        let peak = summary.stats.counters.input_peak_bytes;
        assert!(peak <= 100_000, "{peak}");
    }
}

#[test]
fn a_message_of_exactly_the_input_limit_is_fine() {
    let (probe, _events) = Probe::new();
    let probe = probe.input(|conn, input| {
        if let Some(message) = input.take(100_000) {
            conn.write(&message[..5]);
        }
        Ok(())
    });
    let server = start(probe, Limits { input_max: 100_000, ..limits() });
    let mut stream = server.connect();
    let message = pattern(100_000);
    for _ in 0..3 {
        for piece in message.chunks(33_333) {
            stream.write_all(piece).unwrap();
            thread::sleep(Duration::from_millis(5));
        }
        expect(&mut stream, &message[..5]);
    }
    server.stop();
}

#[test]
fn a_worker_short_of_memory_ends_the_largest_consumers() {
    let (probe, events) = Probe::new();
    let probe = probe.open(|conn| {
        for _ in 0..8 {
            conn.write(&[1; 1024 * 1024]);
        }
        Ok(())
    });
    // One fits, and two do not.
    let buffered_max = 12 * 1024 * 1024;
    let when_overloaded = WhenOverloaded::Wait;
    let server = start(probe, Limits { buffered_max, when_overloaded, ..limits() });
    let streams: Vec<_> = (0..8).map(|_| server.connect()).collect();
    assert_eq!(wait_closed(&events), "memory_full");
    let counters = server.wait_for("all to be open", |c| c.opened == 8);
    assert!(counters.buffered_bytes <= buffered_max as u64);
    assert!(counters.closed_by("memory_full") < 8, "those who fit stay");
    drop(streams);
    server.stop();
}

#[test]
fn untaken_input_is_bounded_for_the_whole_worker() {
    let (probe, events) = Probe::new();
    let probe = probe.input(|_, _| Ok(()));
    let buffered_max = 2 * 1024 * 1024;
    let server = start(probe, Limits { buffered_max, ..limits() });
    let mut streams: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for stream in &mut streams {
        // Ended while it writes, some.
        let _ = stream.write_all(&vec![0; 900 * 1024]);
    }
    assert_eq!(wait_closed(&events), "memory_full");
    settled(&server);
    let counters = server.counters();
    assert!(counters.buffered_bytes <= buffered_max as u64, "{}", counters.buffered_bytes);
    assert!(counters.connections >= 2, "those who fit stay");
    server.stop();
}

#[test]
fn pause_leaves_input_in_the_socket_and_resume_brings_it() {
    let (probe, events) = Probe::new();
    let probe = probe
        .input(|conn, input| {
            input.take(1);
            conn.pause();
            conn.wake_at(conn.now() + Duration::from_millis(100));
            Ok(())
        })
        .timeout(|conn| {
            conn.resume();
            Ok(())
        });
    let server = start(probe, limits());
    let mut stream = server.connect();
    stream.write_all(b"abc").unwrap();
    wait(&events, |event| *event == Event::Input(3));
    stream.write_all(b"defg").unwrap();
    wait(&events, |event| matches!(event, Event::Timeout(_)));
    assert_eq!(events.recv_timeout(LONG), Ok(Event::Input(2)), "what was left comes first, alone");
    wait(&events, |event| matches!(event, Event::Timeout(_)));
    wait(&events, |event| *event == Event::Input(1));
    wait(&events, |event| matches!(event, Event::Timeout(_)));
    assert_eq!(wait(&events, |event| matches!(event, Event::Input(_))), Event::Input(4));
    server.stop();
}

#[test]
fn four_clients_that_do_not_read_beside_sixteen_that_do() {
    const BULK: usize = 64 * 1024 * 1024;
    let server = echo(limits());
    let message = Arc::new(pattern(BULK));
    let addr = server.addr();
    let over = Arc::new(AtomicBool::new(false));
    let slow: Vec<_> = (0..4)
        .map(|_| {
            let (message, over) = (message.clone(), over.clone());
            thread::spawn(move || {
                let mut stream = connect(addr);
                let mut writer = stream.try_clone().unwrap();
                let sent = message.clone();
                let writer = thread::spawn(move || writer.write_all(&sent).unwrap());
                while !over.load(Relaxed) {
                    thread::sleep(Duration::from_millis(5));
                }
                expect(&mut stream, &message);
                writer.join().unwrap();
            })
        })
        .collect();
    server.wait_for("the four to be paused", |c| c.congestions >= 4);
    let good = move || {
        let mut stream: TcpStream = connect(addr);
        for round in 0..200_u64 {
            round_trip(&mut stream, &round.to_le_bytes().repeat(8));
            thread::sleep(Duration::from_millis(2));
        }
    };
    let good: Vec<_> = (0..16).map(|_| thread::spawn(good)).collect();
    let (begun, mut most) = (Instant::now(), 0);
    while !good.iter().all(|good| good.is_finished()) {
        assert!(begun.elapsed() < LONG, "a good client was starved");
        most = most.max(server.counters().buffered_bytes);
        thread::sleep(Duration::from_millis(10));
    }
    good.into_iter().for_each(|good| good.join().unwrap());
    over.store(true, Relaxed);
    for slow in slow {
        slow.join().unwrap();
    }
    let summary = server.stop();
    let peak = summary.stats.counters.output_peak_bytes;
    assert!(most <= 2 * 1024 * 1024, "{most} bytes buffered");
    assert!(peak * 4 <= 2 * 1024 * 1024, "{peak} bytes of one");
    assert_eq!(summary.stats.counters.bytes_in, summary.stats.counters.bytes_out, "every byte went back");
}

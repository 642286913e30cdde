//! What goes in comes back: over every kind of address, however much, however late it is read.

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpListener};
use std::thread;
use std::time::Duration;

use windlass::{Close, Config, Peer, serve};

use crate::harness::*;
use crate::probe::{Probe, wait_closed};

fn round_trips(stream: &mut (impl std::io::Read + Write)) {
    for len in [1, 2, 63, 64, 65, 4096, 70_000] {
        round_trip(stream, &pattern(len));
    }
}

fn has_ipv6() -> bool {
    let has = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        eprintln!("!!! SKIPPED: this machine has no IPv6");
    }
    has
}

#[test]
fn over_ipv4() {
    let server = echo(limits());
    round_trips(&mut server.connect());
    let summary = server.stop();
    assert_eq!(summary.stats.counters.bytes_in, summary.stats.counters.bytes_out);
}

#[test]
fn over_ipv6() {
    if !has_ipv6() {
        return;
    }
    let server = Running::start(serve(|| Echo).config(one_worker(limits())).tcp("[::1]:0"));
    round_trips(&mut server.connect());
    server.stop();
}

#[test]
fn dual_stack_serves_both_and_names_ipv4_peers_as_such() {
    if !has_ipv6() {
        return;
    }
    let probe = Probe::new().0.open(|conn| match conn.peer() {
        Peer::Tcp(addr) => {
            conn.write(format!("{}\n", addr.ip()).as_bytes());
            Ok(())
        }
        _ => Err(Close::Refused),
    });
    let server = Running::start(serve(move || probe.clone()).config(one_worker(limits())).tcp(":0"));
    let port = server.addr().port();
    expect(&mut connect((Ipv4Addr::LOCALHOST, port).into()), b"127.0.0.1\n");
    expect(&mut connect((Ipv6Addr::LOCALHOST, port).into()), b"::1\n");
    server.stop();
}

#[test]
fn over_a_unix_socket() {
    let path = SocketPath::new();
    let server = Running::start(serve(|| Echo).config(one_worker(limits())).unix(&path.0));
    let mut stream = path.connect();
    round_trips(&mut stream);
    // Enough to fill the socket, so that write interest has to be added and work.
    let message = pattern(16 * 1024 * 1024);
    let mut writer = stream.try_clone().unwrap();
    let sent = message.clone();
    let writer = thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    thread::sleep(Duration::from_millis(100));
    expect(&mut stream, &message);
    expect_end(&mut stream);
    writer.join().unwrap();
    server.stop();
    assert!(!path.0.exists(), "the socket file is removed");
}

#[test]
fn over_a_unix_socket_on_three_workers() {
    let path = SocketPath::new();
    let config = Config::default().workers(3).limits(limits());
    let server = Running::start(serve(|| Echo).config(config).unix(&path.0));
    let mut streams: Vec<_> = (0..30).map(|_| path.connect()).collect();
    for stream in &mut streams {
        round_trip(stream, b"hello");
    }
    server.stop();
}

#[test]
fn one_write_of_16_mib_reaches_a_peer_that_reads_late() {
    let message = pattern(16 * 1024 * 1024);
    let sent = message.clone();
    let (probe, events) = Probe::new();
    let probe = probe.open(move |conn| {
        conn.write(&sent);
        Ok(())
    });
    let server = Running::start(serve(move || probe.clone()).config(one_worker(limits())).tcp("127.0.0.1:0"));
    let mut stream = server.connect();
    server.wait_for("the write to be queued", |c| c.output_peak_bytes > 1024 * 1024);
    thread::sleep(Duration::from_millis(200));
    expect(&mut stream, &message);
    stream.shutdown(Shutdown::Write).unwrap();
    drop(stream);
    server.handle.shutdown();
    assert_eq!(wait_closed(&events), "shutdown");
    server.ended_well();
}

#[test]
fn a_half_closing_client_gets_its_full_reply() {
    for late in [false, true] {
        let server = echo(limits());
        let mut stream = server.connect();
        let message = pattern(16 * 1024 * 1024);
        let writer = send_and_finish(&stream, message.clone());
        if late {
            thread::sleep(Duration::from_millis(200));
        }
        expect(&mut stream, &message);
        expect_end(&mut stream);
        writer.join().unwrap();
        let counters = server.wait_for("the end", |c| c.connections == 0);
        assert_eq!(counters.closed_by("eof"), 1);
        server.stop();
    }
}

#[test]
fn more_than_a_scratch_buffer_in_one_edge() {
    // The least scratch and a budget above it: one edge takes many reads.
    let mut config = one_worker(limits());
    config.scratch_bytes = 4096;
    // The first byte holds the worker until all the rest has arrived behind one edge.
    let probe = Probe::new().0.input(|conn, input| {
        if input.peek() == b"!" {
            thread::sleep(Duration::from_millis(100));
        }
        conn.write(input.take_all());
        Ok(())
    });
    let server = Running::start(serve(move || probe.clone()).config(config).tcp("127.0.0.1:0"));
    let mut stream = server.connect();
    stream.write_all(b"!").unwrap();
    thread::sleep(Duration::from_millis(20));
    let message = pattern(40_000);
    stream.write_all(&message).unwrap();
    expect(&mut stream, b"!");
    expect(&mut stream, &message);
    let summary = server.stop();
    assert!(summary.stats.counters.reads > 9, "in pieces: {}", summary.stats.counters.reads);
}

#[test]
fn a_spent_budget_is_no_lost_edge() {
    let limits = windlass::Limits { read_budget_bytes: 1000, ..limits() };
    let server = echo(limits);
    let mut stream = server.connect();
    let message = pattern(100_000);
    let writer = send_and_finish(&stream, message.clone());
    expect(&mut stream, &message);
    expect_end(&mut stream);
    writer.join().unwrap();
    assert!(server.counters().budget_spent >= 50);
    server.stop();
}

#[test]
fn a_thousand_connections_take_turns() {
    let server = echo(limits());
    let mut streams: Vec<_> = (0..1000).map(|_| server.connect()).collect();
    for round in 0..3_u32 {
        for (n, stream) in streams.iter_mut().enumerate() {
            stream.write_all(format!("{n} {round}\n").as_bytes()).unwrap();
        }
        for (n, stream) in streams.iter_mut().enumerate() {
            expect(stream, format!("{n} {round}\n").as_bytes());
        }
    }
    drop(streams);
    server.wait_for("all to end", |c| c.connections == 0 && c.opened == 1000);
    server.stop();
}

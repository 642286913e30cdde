//! Signals: the first drains, the second stops at once.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::server::*;

#[test]
fn ctrl_c_drains_and_prints_a_summary() {
    let server = Server::start(&["--workers", "2"]);
    let mut streams = [server.connect(), server.connect()];
    for stream in &mut streams {
        round_trip(stream, b"hello");
    }
    server.signal(Signal::INT);
    for stream in &mut streams {
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "an orderly end");
    }
    drop(streams);
    let (status, summary, stderr) = server.ended();
    assert_eq!(status.code(), Some(0));
    let lines: Vec<_> = summary.lines().collect();
    assert!(lines[0].starts_with("Served 2 connections in "), "{summary}");
    assert_eq!(lines[1..4], ["  messages  2", "  bytes     10 B in, 10 B out", "  ended     shutdown 2"]);
    assert!(lines[4].starts_with("  busy ") && lines[4].ends_with(" of 2 workers"), "{summary}");
    assert!(lines[5].starts_with("  turns     p50 "), "{summary}");
    let told = "Draining 2 connections, press Ctrl-C again to stop at once";
    assert!(stderr.lines().any(|line| line == told), "{stderr}");
    assert!(!stderr.contains('\r') && !stderr.contains('\x1b'), "no terminal, no status line: {stderr}");
}

#[test]
fn sigterm_drains_as_well_and_quiet_is_quiet() {
    let server = Server::start(&["-q"]);
    round_trip(&mut server.connect(), b"hello");
    server.signal(Signal::TERM);
    let (status, stdout, stderr) = server.ended();
    assert_eq!((status.code(), stdout.as_str(), stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn a_server_without_connections_stops_at_once() {
    // Whoever waited for anything here would do so for an hour.
    let limits = ["--limit", "drain_timeout=1h,linger_timeout=1h"];
    let (status, summary, stderr) = Server::start(&limits).stop();
    assert!(status.success() && summary.starts_with("Served 0 connections in "), "{summary}");
    assert!(!stderr.contains("Draining") && !summary.contains("ended"), "{stderr}{summary}");
}

#[test]
fn a_second_signal_stops_at_once() {
    for workers in ["1", "2"] {
        let limits =
            ["--workers", workers, "--limit", "drain_timeout=1h,linger_timeout=1h,write_stall_timeout=0"];
        let mut server = Server::start(&limits);
        // Neither reads nor closes: its output cannot be sent, and holds the drain.
        let stuck = server.connect();
        fill(&stuck);
        server.signal(Signal::INT);
        // Two signals at once would be one.
        server.wait_for("Draining 1 connection, press", 1);
        thread::sleep(Duration::from_millis(500));
        assert!(server.is_running(), "the drain waits for the stuck connection");
        server.signal(Signal::INT);
        let (status, summary, stderr) = server.ended();
        assert_eq!(status.code(), Some(0));
        assert!(summary.starts_with("Served 1 connection in "), "{summary}");
        assert!(stderr.contains("Draining 1 connection, press"), "{stderr}");
    }
}

/// Writes until nothing more is taken.
fn fill(mut stream: &TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let mut refused = 0;
    while refused < 20 {
        match stream.write(&[1; 64 * 1024]) {
            Ok(_) => refused = 0,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                thread::sleep(Duration::from_millis(10));
            }
            Err(e) => panic!("{e}"),
        }
    }
}

//! Going down: gracefully, by the deadline, and at once.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use windlass::{Close, Config, Conn, Handle, Input, Limits, Service, serve};

use crate::harness::*;
use crate::probe::{Event, Probe, wait, wait_closed};

fn start(probe: Probe, limits: Limits) -> Running {
    Running::start(serve(move || probe.clone()).config(one_worker(limits)).tcp("127.0.0.1:0"))
}

#[test]
fn what_was_sent_before_a_drain_is_answered() {
    let server = echo(limits());
    let mut streams: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.write_all(b"before").unwrap();
    }
    server.handle.shutdown();
    for stream in &mut streams {
        expect(stream, b"before");
        expect_end(stream);
    }
    drop(streams);
    let summary = server.ended_well();
    assert_eq!(summary.stats.counters.closed_by("shutdown"), 50);
    assert!(std::net::TcpStream::connect(("127.0.0.1", 1)).is_err());
}

#[test]
fn a_drain_takes_in_those_who_wait_in_the_accept_queue() {
    for workers in [1, 3] {
        // Bound and connected to before it runs, and told to stop before it has begun.
        let config = Config::default().workers(workers).limits(limits());
        let bound = serve(|| Echo).config(config).tcp("127.0.0.1:0").bind().unwrap();
        let addr = bound.addresses()[0].tcp().unwrap();
        let mut streams: Vec<_> = (0..60).map(|_| connect(addr)).collect();
        for stream in &mut streams {
            stream.write_all(b"in time").unwrap();
        }
        bound.handle().shutdown();
        let server = Running::run(bound);
        for stream in &mut streams {
            expect(stream, b"in time");
            expect_end(stream);
        }
        assert!(std::net::TcpStream::connect(addr).is_err(), "it no longer listens");
        drop(streams);
        assert_eq!(server.ended_well().stats.counters.opened, 60);
    }
}

#[test]
fn queued_output_is_still_sent_by_a_drain() {
    let message = pattern(8 * 1024 * 1024);
    let sent = message.clone();
    let (probe, _events) = Probe::new();
    let probe = probe.open(move |conn| {
        conn.write(&sent);
        Ok(())
    });
    let server = start(probe, limits());
    let mut stream = server.connect();
    server.wait_for("output to wait", |c| c.buffered_bytes > 0);
    server.handle.shutdown();
    thread::sleep(Duration::from_millis(100));
    expect(&mut stream, &message);
    expect_end(&mut stream);
    drop(stream);
    server.ended_well();
}

#[test]
fn a_service_may_finish_its_work_and_the_deadline_aborts_the_rest() {
    let drain_timeout = Duration::from_secs(2);
    let (probe, events) = Probe::new();
    let server = start(probe.draining(|_| Ok(())), Limits { drain_timeout, ..limits() });
    let mut stream = server.connect();
    let mut finishing = server.connect();
    server.wait_for("both", |c| c.connections == 2);
    let begun = Instant::now();
    server.handle.shutdown();
    wait(&events, |event| *event == Event::Draining);
    wait(&events, |event| *event == Event::Draining);
    // Work goes on meanwhile.
    finishing.write_all(b"work").unwrap();
    wait(&events, |event| *event == Event::Input(4));
    assert_eq!(wait_closed(&events), "aborted");
    assert!(begun.elapsed() >= drain_timeout, "not early: {:?}", begun.elapsed());
    assert_eq!(wait_closed(&events), "aborted");
    assert!(read_to_reset(&mut stream).is_empty());
    server.ended_well();
}

#[test]
fn a_drain_ends_as_soon_as_the_last_connection_does() {
    let (probe, events) = Probe::new();
    let probe = probe.draining(|_| Ok(())).eof(|_| Err(Close::Eof));
    let server = start(probe, Limits { drain_timeout: Duration::from_secs(3600), ..limits() });
    let stream = server.connect();
    server.handle.shutdown();
    wait(&events, |event| *event == Event::Draining);
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(wait_closed(&events), "eof");
    server.ended_well();
}

#[test]
fn a_second_request_stops_at_once() {
    for (closes_per_turn_max, connections) in [(256, 3), (5, 100)] {
        let (probe, events) = Probe::new();
        let probe = probe.draining(|_| Ok(())).open(|conn| {
            conn.write(&[0; 100]);
            Ok(())
        });
        let hour = Duration::from_secs(3600);
        let server = start(probe, Limits { drain_timeout: hour, closes_per_turn_max, ..limits() });
        let streams: Vec<_> = (0..connections).map(|_| server.connect()).collect();
        server.wait_for("all", |c| c.connections == connections);
        server.handle.shutdown();
        wait(&events, |event| *event == Event::Draining);
        assert!(server.handle.is_stopping());
        server.handle.shutdown();
        let summary = server.ended_well();
        assert_eq!(summary.stats.counters.closed_by("aborted"), connections);
        drop(streams);
    }
}

#[test]
fn lingering_connections_are_stopped_too() {
    // Many more than one turn may close, all waiting for a FIN that does not come.
    let hour = Duration::from_secs(3600);
    let (probe, _events) = Probe::new();
    let probe = probe.input(|conn, input| {
        conn.write(input.take_all());
        Err(Close::Done)
    });
    let limits = Limits { linger_timeout: hour, drain_timeout: hour, closes_per_turn_max: 3, ..limits() };
    let server = start(probe, limits);
    let mut streams: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for stream in &mut streams {
        round_trip(stream, b"bye");
        expect_end(stream);
    }
    server.handle.shutdown();
    thread::sleep(Duration::from_millis(50));
    server.handle.shutdown();
    server.ended_well();
}

#[test]
fn a_server_without_connections_stops_at_once() {
    for workers in [1, 3] {
        let config = Config::default().workers(workers).limits(limits());
        let server = Running::start(serve(|| Echo).config(config).tcp("127.0.0.1:0"));
        server.handle.shutdown();
        server.ended_well();
    }
}

#[test]
fn the_stop_pipe_drains_and_then_stops() {
    let (probe, events) = Probe::new();
    let probe = probe.draining(|_| Ok(()));
    let limits = Limits { drain_timeout: Duration::from_secs(3600), ..limits() };
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let bound = serve(move || probe.clone()).config(one_worker(limits)).tcp("127.0.0.1:0").bind().unwrap();
    let server = Running::run(bound.stop_pipe(theirs));
    let mut stream = server.connect();
    stream.write_all(b"x").unwrap();
    wait(&events, |event| *event == Event::Input(1));
    ours.write_all(b"T").unwrap();
    wait(&events, |event| *event == Event::Draining);
    ours.write_all(b"T").unwrap();
    assert_eq!(wait_closed(&events), "aborted");
    server.ended_well();
}

/// Answers "!" with more than sockets hold, and ends with anything else: then it asks for the shutdown.
struct LastOne {
    handle: Arc<OnceLock<Handle>>,
    /// It asks in every `closed`, those of the drain included.
    always: bool,
}

impl Service for LastOne {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        if input.take_all() == b"!" {
            conn.write(&pattern(8 << 20));
            return Ok(());
        }
        Err(Close::Done)
    }
    fn closed(&mut self, conn: &mut Conn<'_>, _: (), _: Close) {
        if self.always || !conn.is_draining() {
            self.handle.get().unwrap().shutdown();
        }
    }
}

/// Whether everybody got all that was queued for them when one connection's `closed` asked for the shutdown.
fn all_is_sent(workers: usize, always: bool) -> bool {
    let handle = Arc::new(OnceLock::new());
    let in_service = handle.clone();
    let make = move || LastOne { handle: in_service.clone(), always };
    let config = Config::default().workers(workers).limits(limits());
    let server = Running::start(serve(make).config(config).tcp("127.0.0.1:0"));
    assert!(handle.set(server.handle.clone()).is_ok());
    let mut streams: Vec<_> = (0..6).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.write_all(b"!").unwrap();
    }
    server.wait_for("all to be stuck", |c| c.congestions == 6);
    let mut last = server.connect();
    last.write_all(b"x").unwrap();
    expect_end(&mut last);
    drop(last);
    let wanted = pattern(8 << 20);
    let whole = |stream: &mut std::net::TcpStream| {
        let mut received = Vec::new();
        let ended = std::io::Read::read_to_end(stream, &mut received);
        ended.is_ok() && received == wanted
    };
    let sent = streams.iter_mut().map(whole).filter(|whole| *whole).count();
    drop(streams);
    server.ended_well();
    sent == 6
}

#[test]
fn a_shutdown_asked_for_in_closed_cuts_nothing_that_is_queued() {
    assert!(all_is_sent(1, false));
    assert!(all_is_sent(3, false));
    // Those that end in the drain ask for it once more, and the second time is at once.
    assert!(!all_is_sent(1, true));
}

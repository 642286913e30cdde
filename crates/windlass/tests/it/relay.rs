//! Two coupled connections on real sockets: bytes, ends, resets, backpressure and deadlines.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use windlass::{Close, Conn, ConnId, Input, Limits, Relayed, Service, serve};

use crate::harness::{
    LONG, Running, SocketPath, expect, expect_end, limits, one_worker, pattern, read_to_reset, reset_on_drop,
    send_and_finish,
};

/// Couples its connections two by two, in the order they come, when the second has sent a `!`. What
/// follows that, and all the first has sent, is for the other.
struct Pairs {
    first: Option<ConnId>,
    /// A deadline on each from then on; as often as it passes, `timeout` is told to the test.
    look: Option<Duration>,
    ends: Sender<End>,
}

#[derive(Debug, PartialEq)]
enum End {
    Timeout,
    Closed(&'static str, Option<Relayed>),
}

impl Service for Pairs {
    type Session = ();

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        if self.first.is_none() {
            self.first = Some(conn.id());
            conn.write(b"first");
        }
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        assert_eq!(conn.relayed(), None, "coupled connections do not wake the service");
        if self.first == Some(conn.id()) {
            return Ok(());
        }
        assert_eq!(input.take(1).as_deref(), Some(&b"!"[..]));
        let first = self.first.take().expect("one waits");
        conn.write(b"second");
        conn.write_to(first, b"coupled");
        assert!(conn.relay(first));
        assert!(!conn.relay(first), "once");
        conn.write(b"ignored");
        if let Some(look) = self.look {
            conn.wake_at(conn.now() + look);
        }
        Ok(())
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        let _ = self.ends.send(End::Timeout);
        match self.look {
            Some(look) if conn.relayed().is_some_and(|relayed| relayed.received == 0) => {
                conn.wake_at(conn.now() + look);
                Ok(())
            }
            _ => Err(Close::Timeout),
        }
    }

    fn draining(&mut self, _: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        Ok(())
    }

    fn closed(&mut self, conn: &mut Conn<'_>, _: (), why: Close) {
        let _ = self.ends.send(End::Closed(why.label(), conn.relayed()));
    }
}

struct Pair {
    server: Running,
    ends: Receiver<End>,
    a: TcpStream,
    b: TcpStream,
}

impl Pair {
    fn new(limits: Limits) -> Pair {
        Pair::with_look(limits, None)
    }

    fn with_look(limits: Limits, look: Option<Duration>) -> Pair {
        let (sender, ends) = channel();
        let made = move || Pairs { first: None, look, ends: sender.clone() };
        let server = Running::start(serve(made).config(one_worker(limits)).tcp("127.0.0.1:0"));
        let mut a = server.connect();
        expect(&mut a, b"first");
        let mut b = server.connect();
        b.write_all(b"!").unwrap();
        expect(&mut b, b"second");
        expect(&mut a, b"coupled");
        Pair { server, ends, a, b }
    }

    /// How the next connection ended, and what had passed through it.
    fn closed(&self) -> (&'static str, u64, u64) {
        loop {
            match self.ends.recv_timeout(LONG).expect("it ends") {
                End::Timeout => {}
                End::Closed(why, relayed) => {
                    let relayed = relayed.expect("it was coupled");
                    return (why, relayed.received, relayed.sent);
                }
            }
        }
    }
}

#[test]
fn bytes_and_ends_pass_in_both_directions() {
    let mut pair = Pair::new(limits());
    pair.a.write_all(b"ping").unwrap();
    expect(&mut pair.b, b"ping");
    pair.b.write_all(b"pong").unwrap();
    expect(&mut pair.a, b"pong");
    // One has nothing more to say; the other has.
    pair.a.shutdown(Shutdown::Write).unwrap();
    expect_end(&mut pair.b);
    let long = pattern(3 << 20);
    let sending = send_and_finish(&pair.b, long.clone());
    expect(&mut pair.a, &long);
    expect_end(&mut pair.a);
    sending.join().unwrap();
    let (one, other) = (pair.closed(), pair.closed());
    let passed = (3 << 20) + 4;
    assert_eq!((one.0, other.0), ("eof", "eof"));
    assert_eq!((one.1 + other.1, one.1.max(other.1)), (4 + passed, passed));
    assert_eq!((one.2, other.2), (other.1, one.1));
    let counters = pair.server.stop().stats.counters;
    assert_eq!((counters.relays, counters.relayed_bytes), (1, 4 + passed));
}

#[test]
fn what_was_left_untaken_goes_first() {
    let (sender, _ends) = channel();
    let made = move || Pairs { first: None, look: None, ends: sender.clone() };
    let server = Running::start(serve(made).config(one_worker(limits())).tcp("127.0.0.1:0"));
    let mut a = server.connect();
    expect(&mut a, b"first");
    let early = pattern(100_000);
    a.write_all(&early).unwrap();
    server.wait_for("all of it", |counters| counters.bytes_in == 100_000);
    let mut b = server.connect();
    b.write_all(b"!and more").unwrap();
    expect(&mut b, b"second");
    expect(&mut b, &early);
    expect(&mut a, b"coupledand more");
    round_trip_through(&mut a, &mut b);
}

fn round_trip_through(a: &mut TcpStream, b: &mut TcpStream) {
    a.write_all(b"there").unwrap();
    expect(b, b"there");
    b.write_all(b"and back").unwrap();
    expect(a, b"and back");
}

#[test]
fn a_small_round_trip_takes_four_calls() {
    let mut pair = Pair::new(limits());
    round_trip_through(&mut pair.a, &mut pair.b);
    let before = pair.server.wait_for("the first", |counters| counters.relayed_bytes == 13);
    for _ in 0..100 {
        round_trip_through(&mut pair.a, &mut pair.b);
    }
    let after = pair.server.wait_for("all of it", |counters| counters.relayed_bytes == 101 * 13);
    assert_eq!((after.reads - before.reads, after.writes - before.writes), (200, 200));
    assert_eq!(after.modifies, 0);
}

#[test]
fn one_who_does_not_read_stops_the_other() {
    // Small enough that the sockets between hold much more than the relay.
    let mut pair = Pair::new(Limits { relay_pipes_max: 0, output_max: 1 << 20, ..limits() });
    let long = pattern(24 << 20);
    let sending = send_and_finish(&pair.a, long.clone());
    pair.server
        .wait_for("a full socket", |counters| counters.writes_would_block > 0 || counters.buffered_bytes > 0);
    // The other direction goes on meanwhile.
    pair.b.write_all(b"still here").unwrap();
    expect(&mut pair.a, b"still here");
    expect(&mut pair.b, &long);
    expect_end(&mut pair.b);
    sending.join().unwrap();
    let counters = pair.server.counters();
    assert!(counters.output_peak_bytes <= 256 * 1024, "{}", counters.output_peak_bytes);
}

#[test]
fn a_reset_follows_what_came_before_it() {
    let mut pair = Pair::new(limits());
    pair.a.write_all(b"the last words").unwrap();
    expect(&mut pair.b, b"the last words");
    reset_on_drop(&pair.a);
    drop(pair.a);
    assert_eq!(read_to_reset(&mut pair.b), b"");
    let mut whys = [0, 1].map(|_| match pair.ends.recv_timeout(LONG) {
        Ok(End::Closed(why, _)) => why,
        other => panic!("an end, not {other:?}"),
    });
    whys.sort_unstable();
    assert_eq!(whys, ["aborted", "reset"]);
    pair.server.stop();
}

#[test]
fn activity_of_one_keeps_both_and_silence_ends_both() {
    let idle_timeout = Duration::from_millis(2400);
    let mut pair = Pair::new(Limits { idle_timeout, ..limits() });
    // Only one direction is in use, for longer than the timeout.
    for n in 0..8u8 {
        pair.a.write_all(&[n]).unwrap();
        expect(&mut pair.b, &[n]);
        thread::sleep(idle_timeout / 6);
    }
    assert_eq!(pair.server.counters().ended, 0);
    expect_end(&mut pair.a);
    expect_end(&mut pair.b);
    assert_eq!((pair.closed().0, pair.closed().0), ("idle", "idle"));
}

#[test]
fn one_who_never_reads_ends_both() {
    let write_stall_timeout = Duration::from_millis(300);
    let mut pair = Pair::new(Limits { write_stall_timeout, ..limits() });
    let mut a = pair.a.try_clone().unwrap();
    let sending = thread::spawn(move || a.write_all(&vec![7; 64 << 20]).expect_err("nobody reads"));
    assert_eq!(pair.closed().0, "slow_consumer");
    assert_eq!(pair.closed().0, "aborted");
    sending.join().unwrap();
    let mut rest = Vec::new();
    assert!(pair.a.read_to_end(&mut rest).is_err() || rest.is_empty());
}

#[test]
fn deadlines_are_kept_and_may_end_a_relay() {
    let mut pair = Pair::with_look(limits(), Some(Duration::from_millis(20)));
    for _ in 0..3 {
        assert_eq!(pair.ends.recv_timeout(LONG), Ok(End::Timeout));
    }
    round_trip_through(&mut pair.a, &mut pair.b);
    expect_end(&mut pair.a);
    expect_end(&mut pair.b);
    assert_eq!((pair.closed().0, pair.closed().0), ("timeout", "timeout"));
}

#[test]
fn a_drain_lets_relays_go_on() {
    let mut pair = Pair::new(limits());
    pair.server.handle.shutdown();
    round_trip_through(&mut pair.a, &mut pair.b);
    round_trip_through(&mut pair.a, &mut pair.b);
    drop((pair.a, pair.b));
    pair.server.ended_well();
}

#[test]
fn unix_and_tcp_are_coupled_alike() {
    let path = SocketPath::new();
    let (sender, ends) = channel();
    let made = move || Pairs { first: None, look: None, ends: sender.clone() };
    let limits = Limits { relay_pipes_max: 2, ..limits() };
    let config = one_worker(limits);
    let server = Running::start(serve(made).config(config).tcp("127.0.0.1:0").unix(&path.0));
    let mut a = path.connect();
    expect(&mut a, b"first");
    let mut b = server.connect();
    b.write_all(b"!").unwrap();
    expect(&mut b, b"second");
    expect(&mut a, b"coupled");
    let long = pattern(8 << 20);
    let sending = send_and_finish(&b, long.clone());
    expect(&mut a, &long);
    expect_end(&mut a);
    sending.join().unwrap();
    let (mut out, back) = (a.try_clone().unwrap(), long.clone());
    let sending = thread::spawn(move || {
        out.write_all(&back).unwrap();
        out.shutdown(Shutdown::Write).unwrap();
    });
    expect(&mut b, &long);
    expect_end(&mut b);
    sending.join().unwrap();
    assert!(matches!(ends.recv_timeout(LONG), Ok(End::Closed("eof", _))));
}

/// Bulk in one direction, so much that a relay splices if it can.
fn bulk(pipes: usize) -> windlass::Counters {
    let mut config = one_worker(Limits { relay_pipes_max: pipes, ..limits() });
    config.scratch_bytes = 16 * 1024;
    let (sender, _ends) = channel();
    let made = move || Pairs { first: None, look: None, ends: sender.clone() };
    let server = Running::start(serve(made).config(config).tcp("127.0.0.1:0"));
    let mut a = server.connect();
    expect(&mut a, b"first");
    let mut b = server.connect();
    b.write_all(b"!").unwrap();
    expect(&mut b, b"second");
    expect(&mut a, b"coupled");
    let long = pattern(32 << 20);
    let sending = send_and_finish(&a, long.clone());
    expect(&mut b, &long);
    expect_end(&mut b);
    sending.join().unwrap();
    // Small ones are read again after it.
    let sending = send_and_finish(&b, b"thanks".to_vec());
    expect(&mut a, b"thanks");
    expect_end(&mut a);
    sending.join().unwrap();
    server.stop().stats.counters
}

#[test]
fn bulk_goes_through_a_pipe_where_it_may() {
    let counters = bulk(4);
    assert_eq!(counters.splices > 0, cfg!(target_os = "linux"), "{counters:?}");
    assert!(counters.pipes <= 1, "one serves one direction after the other");
    assert_eq!(bulk(0).splices, 0);
}

#[test]
fn both_must_be_there() {
    let (tell, told) = channel();
    struct Lonely {
        tell: Sender<bool>,
        gone: Option<ConnId>,
    }
    impl Service for Lonely {
        type Session = ();
        fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
            let _ = self.tell.send(conn.relay(conn.id()));
            if let Some(gone) = self.gone.replace(conn.id()) {
                let _ = self.tell.send(conn.relay(gone));
            }
            Err(Close::Refused)
        }
        fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
            unreachable!("nobody is served")
        }
    }
    let made = move || Lonely { tell: tell.clone(), gone: None };
    let server = Running::start(serve(made).config(one_worker(limits())).tcp("127.0.0.1:0"));
    expect_end(&mut server.connect());
    server.wait_for("its end", |counters| counters.closes_done == 1);
    expect_end(&mut server.connect());
    for _ in 0..3 {
        assert_eq!(told.recv_timeout(LONG), Ok(false), "neither with itself nor with one that is gone");
    }
}

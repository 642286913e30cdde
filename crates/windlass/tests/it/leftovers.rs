//! What is left over: memory after large messages, input and pauses at a reset.

use std::io::Write;
use std::thread;
use std::time::Duration;

use crate::harness::*;
use crate::probe::{Event, Probe, wait};
use windlass::*;

fn start(probe: Probe, limits: Limits) -> Running {
    Running::start(serve(move || probe.clone()).config(one_worker(limits)).tcp("127.0.0.1:0"))
}

#[test]
fn a_paused_connection_hears_of_a_reset() {
    let (probe, events) = Probe::new();
    let probe = probe.input(|conn, input| {
        input.take_all();
        conn.pause();
        Ok(())
    });
    let server = start(probe, Limits { idle_timeout: Duration::ZERO, ..limits() });
    let mut stream = server.connect();
    stream.write_all(b"x").unwrap();
    wait(&events, |e| *e == Event::Input(1));
    reset_on_drop(&stream);
    drop(stream);
    server.wait_for("the reset to be heard of", |c| c.connections == 0);
    server.stop();
}

#[test]
fn a_close_by_the_server_costs_no_eagain() {
    let probe = Probe::new().0.input(|conn, input| {
        conn.write(input.take_all());
        Err(Close::Done)
    });
    let server = start(probe, limits());
    for _ in 0..100 {
        let mut s = server.connect();
        s.write_all(b"x").unwrap();
        expect(&mut s, b"x");
        expect_end(&mut s);
    }
    let c = server.wait_for("all", |c| c.ended == 100 && c.connections == 0);
    println!("reads {} eagain {} writes {} polls {}", c.reads, c.reads_would_block, c.writes, c.polls);
    assert_eq!(c.reads_would_block, 0);
    server.stop();
}

/// A peer that takes the output in drips: how long may it hold 16 MiB?
#[test]
fn abort_after_close_ends_at_once() {
    struct S;
    impl Service for S {
        type Session = ();
        fn open(&mut self, c: &mut Conn<'_>) -> std::result::Result<(), Close> {
            c.write(&vec![1; 16 << 20]);
            c.close();
            c.abort();
            Ok(())
        }
        fn data(
            &mut self,
            _: &mut Conn<'_>,
            _: &mut (),
            i: &mut Input<'_>,
        ) -> std::result::Result<(), Close> {
            i.take_all();
            Ok(())
        }
    }
    let server = Running::start(serve(|| S).config(one_worker(limits())).tcp("127.0.0.1:0"));
    let _s = server.connect();
    server.wait_for("its abort", |c| (c.connections, c.closed_by("aborted")) == (0, 1));
    server.stop();
}

/// Untaken input that waits for `drained` when the peer resets.
#[test]
fn input_left_while_congested_is_offered_before_a_reset_is_believed() {
    let (probe, events) = Probe::new();
    let probe = probe.input(|conn, input| {
        // One request a time, 4 bytes, each answered with much, none while congested.
        while !conn.is_congested() {
            let Some(_) = input.take(4) else { break };
            conn.write(&vec![1; 8 << 20]);
        }
        Ok(())
    });
    let server = start(probe, limits());
    let mut stream = server.connect();
    stream.write_all(b"one.two.quit").unwrap();
    wait(&events, |e| matches!(e, Event::Input(_)));
    thread::sleep(Duration::from_millis(100));
    reset_on_drop(&stream);
    drop(stream);
    let mut seen = vec![];
    loop {
        let e = wait(&events, |_| true);
        seen.push(e);
        if matches!(e, Event::Closed(_)) {
            break;
        }
    }
    println!("{seen:?}");
    assert!(seen.iter().any(|e| matches!(e, Event::Input(_))), "two requests never offered again");
    server.stop();
}

//! Every way a connection ends: the reason that is given, and what the peer sees.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use windlass::{Close, Limits, serve};

use crate::harness::*;
use crate::probe::{Event, Probe, wait, wait_closed};

fn start(probe: Probe, limits: Limits) -> Running {
    Running::start(serve(move || probe.clone()).config(one_worker(limits)).tcp("127.0.0.1:0"))
}

/// All bytes offered until the connection ended, and the reason.
fn received(events: &Receiver<Event>) -> (usize, &'static str) {
    let mut bytes = 0;
    loop {
        match events.recv_timeout(LONG).expect("the end comes") {
            Event::Input(n) => bytes += n,
            Event::Closed(why) => return (bytes, why),
            _ => {}
        }
    }
}

#[test]
fn input_with_fin_in_one_segment() {
    for _ in 0..20 {
        let server = echo(limits());
        let mut stream = server.connect();
        // Held back until FIN is there to go with it.
        socket2::SockRef::from(&stream).set_tcp_nodelay(false).unwrap();
        socket2::SockRef::from(&stream).set_tcp_cork(true).unwrap();
        stream.write_all(b"all at once").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        expect(&mut stream, b"all at once");
        expect_end(&mut stream);
        server.wait_for("the end", |c| c.closed_by("eof") == 1 && c.connections == 0);
        server.stop();
    }
}

#[test]
fn input_with_fin_behind_a_busy_worker() {
    // Both arrive while the worker is held: one event for the two, and a short read.
    let (probe, events) = Probe::new();
    let probe = probe
        .input(|conn, input| {
            if input.peek().starts_with(b"!") {
                thread::sleep(Duration::from_millis(50));
            }
            conn.write(input.take_all());
            Ok(())
        })
        .eof(|_| Err(Close::Eof));
    let server = start(probe, limits());
    let mut busy = server.connect();
    let mut stream = server.connect();
    busy.write_all(b"!").unwrap();
    thread::sleep(Duration::from_millis(20));
    stream.write_all(b"data").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    expect(&mut stream, b"data");
    expect_end(&mut stream);
    assert_eq!(wait_closed(&events), "eof");
    server.stop();
}

#[test]
fn input_with_a_reset_behind_it() {
    for hold in [false, true] {
        let (probe, events) = Probe::new();
        let probe = probe.input(move |conn, input| {
            if hold && input.peek() == b"!" {
                thread::sleep(Duration::from_millis(60));
            }
            conn.write(input.take_all());
            Ok(())
        });
        let server = start(probe, limits());
        let mut stream = server.connect();
        stream.write_all(b"!").unwrap();
        thread::sleep(Duration::from_millis(20));
        stream.write_all(&pattern(5000)).unwrap();
        reset_on_drop(&stream);
        drop(stream);
        let (bytes, why) = received(&events);
        assert_eq!(why, "reset");
        assert_eq!(bytes, 5001, "what came before the reset is offered (hold {hold})");
        server.wait_for("the close", |c| c.connections == 0);
        server.stop();
    }
}

#[test]
fn a_reset_while_output_waits_ends_the_connection() {
    let (probe, events) = Probe::new();
    let probe = probe.open(|conn| {
        conn.write(&vec![7; 8 * 1024 * 1024]);
        Ok(())
    });
    let server = start(probe, limits());
    let stream = server.connect();
    server.wait_for("output to wait", |c| c.buffered_bytes > 0);
    reset_on_drop(&stream);
    drop(stream);
    assert_eq!(wait_closed(&events), "reset");
    server.wait_for("memory to be given back", |c| c.buffered_bytes == 0 && c.connections == 0);
    server.stop();
}

#[test]
fn our_half_close_leaves_the_other_direction_open() {
    let (probe, events) = Probe::new();
    let probe = probe.input(|conn, input| {
        if input.peek().starts_with(b"bye") {
            conn.write(b"last words");
            conn.half_close();
            conn.write(b"not these");
        }
        input.take_all();
        Ok(())
    });
    let server = start(probe.eof(|_| Err(Close::Eof)), limits());
    let mut stream = server.connect();
    stream.write_all(b"bye").unwrap();
    expect(&mut stream, b"last words");
    expect_end(&mut stream);
    wait(&events, |event| *event == Event::Input(3));
    for _ in 0..3 {
        stream.write_all(b"and still").unwrap();
        wait(&events, |event| *event == Event::Input(9));
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(wait_closed(&events), "eof");
    let counters = server.wait_for("the close", |c| c.connections == 0);
    assert_eq!(counters.finishes, 1, "FIN is sent once");
    server.stop();
}

#[test]
fn a_connection_ends_when_both_halves_have() {
    let (probe, events) = Probe::new();
    let probe = probe.input(|conn, input| {
        input.take_all();
        conn.half_close();
        Ok(())
    });
    let server = start(probe, limits());
    let mut stream = server.connect();
    stream.write_all(b"x").unwrap();
    expect_end(&mut stream);
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(wait_closed(&events), "eof", "though the service says nothing to it");
    server.wait_for("the close", |c| c.connections == 0);
    server.stop();
}

#[test]
fn a_reset_of_a_half_open_connection_is_seen() {
    let (probe, events) = Probe::new();
    let server = start(probe, limits());
    let stream = server.connect();
    stream.shutdown(Shutdown::Write).unwrap();
    wait(&events, |event| *event == Event::Eof(0));
    reset_on_drop(&stream);
    drop(stream);
    assert_eq!(wait_closed(&events), "reset", "though there is nothing left to read");
    server.stop();
}

#[test]
fn a_half_close_waits_for_queued_output() {
    let message = pattern(12 * 1024 * 1024);
    let sent = message.clone();
    let (probe, _events) = Probe::new();
    let probe = probe.open(move |conn| {
        conn.write(&sent);
        conn.half_close();
        Ok(())
    });
    let server = start(probe, limits());
    let mut stream = server.connect();
    thread::sleep(Duration::from_millis(50));
    expect(&mut stream, &message);
    expect_end(&mut stream);
    assert_eq!(server.counters().connections, 1, "our half only");
    server.stop();
}

#[test]
fn an_orderly_close_is_no_reset_though_input_is_left_unread() {
    let reply = pattern(1024 * 1024);
    let sent = reply.clone();
    let (probe, events) = Probe::new();
    let probe = probe.input(move |conn, _| {
        conn.write(&sent);
        Err(Close::Done)
    });
    let server = start(probe, limits());
    let mut stream = server.connect();
    // More than the one read sees, and more still on the way while we close.
    let mut writer = stream.try_clone().unwrap();
    let writer = thread::spawn(move || {
        for _ in 0..200 {
            // Fails once the server has closed for good, which it may.
            let _ = writer.write_all(&[1; 16 * 1024]);
        }
        let _ = writer.shutdown(Shutdown::Write);
    });
    thread::sleep(Duration::from_millis(100));
    expect(&mut stream, &reply);
    expect_end(&mut stream);
    writer.join().unwrap();
    assert_eq!(wait_closed(&events), "done");
    server.wait_for("the close", |c| c.connections == 0);
    server.stop();
}

#[test]
fn an_abort_is_a_reset_and_drops_what_is_queued() {
    let (probe, events) = Probe::new();
    let probe = probe.input(|conn, input| {
        input.take_all();
        conn.write(&vec![0; 24 * 1024 * 1024]);
        conn.abort();
        Ok(())
    });
    let server = start(probe, limits());
    let mut stream = server.connect();
    stream.write_all(b"go").unwrap();
    let came = read_to_reset(&mut stream).len();
    assert!(came < 24 * 1024 * 1024, "{came}");
    assert_eq!(wait_closed(&events), "aborted");
    server.wait_for("the memory", |c| c.buffered_bytes == 0 && c.connections == 0);
    server.stop();
}

#[test]
fn a_refused_connection_gets_its_reason_and_no_closed_call() {
    let (probe, events) = Probe::new();
    let probe = probe.open(|conn| {
        conn.write(b"not you");
        Err(Close::Refused)
    });
    let server = start(probe, limits());
    let mut stream = server.connect();
    stream.write_all(b"ignored").unwrap();
    expect(&mut stream, b"not you");
    expect_end(&mut stream);
    drop(stream);
    let counters = server.wait_for("the close", |c| c.connections == 0 && c.opened == 1);
    assert_eq!(counters.closed_by("refused"), 1);
    server.stop();
    assert!(events.iter().all(|event| matches!(event, Event::Open(_))), "neither input nor an end");
}

#[test]
fn any_error_is_a_protocol_error_and_its_reply_arrives() {
    let (probe, events) = Probe::new();
    let probe = probe.input(|conn, input| {
        conn.write(b"a number, please\n");
        let _: u32 = std::str::from_utf8(input.take_all())?.trim().parse()?;
        Ok(())
    });
    let server = start(probe, limits());
    for bad in [&b"twelve"[..], b"\xFF\xFF"] {
        let mut stream = server.connect();
        stream.write_all(bad).unwrap();
        expect(&mut stream, b"a number, please\n");
        expect_end(&mut stream);
        assert_eq!(wait_closed(&events), "protocol");
    }
    assert_eq!(server.stop().stats.counters.closed_by("protocol"), 2);
}

#[test]
fn the_default_tells_eof_from_a_message_cut_off() {
    use windlass::proto::{Decode, Lines};
    use windlass::{Conn, Input, Service};
    struct LineEcho;
    impl Service for LineEcho {
        type Session = Lines;
        fn open(&mut self, _: &mut Conn<'_>) -> Result<Lines, Close> {
            Ok(Lines::max(100))
        }
        fn data(
            &mut self,
            conn: &mut Conn<'_>,
            lines: &mut Lines,
            input: &mut Input<'_>,
        ) -> Result<(), Close> {
            while let Some(line) = lines.decode(input)? {
                conn.write(line);
            }
            Ok(())
        }
    }
    let server = Running::start(serve(|| LineEcho).config(one_worker(limits())).tcp("127.0.0.1:0"));
    for (sent, back, why) in [("a\nb\n", "ab", "eof"), ("a\nb", "a", "truncated")] {
        let mut stream = server.connect();
        stream.write_all(sent.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert_eq!(reply, back);
        server.wait_for(why, |c| c.closed_by(why) == 1);
    }
    let summary = server.stop();
    assert_eq!(summary.stats.counters.input_peak_bytes, 1, "the b that was left");
}

/// Nobody lingers, though the peer never goes: it has all that was sent, a large last word included, and its FIN.
#[test]
fn a_peer_that_is_silent_from_now_on_is_not_waited_for() {
    const LAST: usize = 4 << 20;
    let (probe, events) = Probe::new();
    let probe = probe.input(|conn, input| {
        input.take_all();
        conn.expect_silence();
        conn.write(&pattern(LAST));
        Err(Close::Done)
    });
    let server = start(probe, Limits { linger_timeout: LONG * 10, ..limits() });
    let mut stream = server.connect();
    stream.write_all(b"x").unwrap();
    let mut heard = vec![0; LAST];
    stream.read_exact(&mut heard).unwrap();
    assert!(heard == pattern(LAST));
    expect_end(&mut stream);
    assert_eq!(wait_closed(&events), "done");
    server.wait_for("the close", |c| c.connections == 0);
    assert_eq!(server.counters().finishes, 0, "a close is all it takes");
    drop(stream);
    server.stop();
}

/// What has come behind its last word is no reason to reset it before it has read ours.
#[test]
fn a_peer_that_was_to_be_silent_and_is_not_is_waited_for() {
    let (probe, _events) = Probe::new();
    let probe = probe.input(|conn, input| {
        input.take_all();
        conn.expect_silence();
        conn.write(b"last words");
        Err(Close::Done)
    });
    // The first read is full, so that more is known to be there.
    let limits = Limits { linger_timeout: LONG * 10, read_budget_bytes: 1_000, ..limits() };
    let server = start(probe, limits);
    let mut stream = server.connect();
    stream.write_all(&pattern(30_000)).unwrap();
    expect(&mut stream, b"last words");
    expect_end(&mut stream);
    server.wait_for("its FIN before its close", |c| c.finishes == 1 && c.connections == 1);
    drop(stream);
    server.wait_for("the close", |c| c.connections == 0);
    server.stop();
}

#[test]
fn a_peer_that_never_goes_is_let_go_at_the_linger_deadline() {
    let linger_timeout = Duration::from_millis(150);
    let (probe, _events) = Probe::new();
    let probe = probe.input(|conn, input| {
        input.take_all();
        conn.write(b"bye");
        Err(Close::Done)
    });
    let server = start(probe, Limits { linger_timeout, ..limits() });
    let mut stream = server.connect();
    stream.write_all(b"x").unwrap();
    expect(&mut stream, b"bye");
    expect_end(&mut stream);
    let begun = Instant::now();
    assert_eq!(server.counters().connections, 1, "it lingers");
    server.wait_for("the linger deadline", |c| c.connections == 0);
    assert!(begun.elapsed() > linger_timeout / 3, "not before its time: {:?}", begun.elapsed());
    server.stop();
}

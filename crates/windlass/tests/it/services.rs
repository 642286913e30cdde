//! What a service may do: switch protocols, live beside others, reach other connections; and what
//! becomes of one that holds its worker or panics.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use windlass::proto::{Decode, Lines};
use windlass::{Close, Config, Conn, ConnId, Input, Limits, Server, Service, serve};

use crate::harness::*;
use crate::probe::{Event, Probe, wait};

/// Lines, until one says "raw"; from then on an echo.
struct Switching;

enum Session {
    Lines(Lines),
    Raw,
}

impl Service for Switching {
    type Session = Session;
    fn open(&mut self, _: &mut Conn<'_>) -> Result<Session, Close> {
        Ok(Session::Lines(Lines::max(10)))
    }
    fn data(
        &mut self,
        conn: &mut Conn<'_>,
        session: &mut Session,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        while let Session::Lines(lines) = session {
            let Some(line) = lines.decode(input)? else { return Ok(()) };
            if line == b"raw" {
                *session = Session::Raw;
            } else {
                conn.write(b"line\n");
            }
        }
        conn.write(input.take_all());
        Ok(())
    }
}

#[test]
fn a_protocol_switch_is_an_assignment() {
    let server = Running::start(serve(|| Switching).config(one_worker(limits())).tcp("127.0.0.1:0"));
    let mut stream = server.connect();
    stream.write_all(b"one\ntwo\nraw\nno end of line, and longer than ten").unwrap();
    expect(&mut stream, b"line\nline\nno end of line, and longer than ten");
    let mut stream = server.connect();
    stream.write_all(b"longer than ten").unwrap();
    expect_end(&mut stream);
    assert_eq!(server.stop().stats.counters.closed_by("protocol"), 1);
}

#[test]
fn several_services_share_the_workers() {
    struct Shout;
    impl Service for Shout {
        type Session = u32;
        fn open(&mut self, _: &mut Conn<'_>) -> Result<u32, Close> {
            Ok(0)
        }
        fn data(&mut self, conn: &mut Conn<'_>, count: &mut u32, input: &mut Input<'_>) -> Result<(), Close> {
            *count += 1;
            let text = input.take_all();
            text.make_ascii_uppercase();
            conn.write(text);
            conn.write(format!("{count}").as_bytes());
            conn.broadcast(b"!");
            Ok(())
        }
    }
    for workers in [1, 3] {
        let config = Config::default().workers(workers).limits(limits());
        let path = SocketPath::new();
        let bound = Server::new(config)
            .add(serve(|| Echo).tcp("127.0.0.1:0").tcp("127.0.0.1:0"))
            .add(serve(|| Shout).tcp("127.0.0.1:0"))
            .add(serve(|| Switching).unix(&path.0))
            .bind()
            .unwrap();
        let server = Running::run(bound);
        let mut echoes = [connect(server.addrs[0]), connect(server.addrs[1])];
        let mut shouting = connect(server.addrs[2]);
        let mut switching = path.connect();
        for n in 1..=3 {
            shouting.write_all(b"hello").unwrap();
            expect(&mut shouting, format!("HELLO{n}").as_bytes());
            // Also shows that the other service's broadcast stays with it.
            echoes.iter_mut().for_each(|echo| round_trip(echo, b"hello"));
            switching.write_all(b"hello\n").unwrap();
            expect(&mut switching, b"line\n");
        }
        let names: Vec<_> = server.handle.listener_connections();
        assert_eq!(names.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [1, 1, 1, 1], "{names:?}");
        server.stop();
    }
}

#[test]
fn connections_reach_each_other_and_ids_of_the_gone_are_dead() {
    let (probe, events) = Probe::new();
    let first: Arc<Mutex<Option<ConnId>>> = Arc::default();
    let found: Arc<Mutex<Vec<bool>>> = Arc::default();
    let seen = found.clone();
    let probe = probe.input(move |conn, input| {
        let id = *first.lock().unwrap().get_or_insert(conn.id());
        let text = input.take_all();
        seen.lock().unwrap().push(conn.other(id).is_some());
        conn.write_to(id, text);
        if text == b"end" {
            conn.other(id).expect("it was there").close();
            assert!(conn.other(id).is_none(), "no longer: its end is decided");
        }
        Ok(())
    });
    let server = Running::start(serve(move || probe.clone()).config(one_worker(limits())).tcp("127.0.0.1:0"));
    let (mut first, mut second) = (server.connect(), server.connect());
    round_trip(&mut first, b"me");
    second.write_all(b"hello").unwrap();
    expect(&mut first, b"hello");
    second.write_all(b"end").unwrap();
    expect(&mut first, b"end");
    expect_end(&mut first);
    drop(first);
    wait(&events, |event| matches!(event, Event::Closed("done")));
    server.wait_for("the close", |c| c.connections == 1);
    // Its slot is taken by another, which must not be taken for it.
    let mut third = server.connect();
    for _ in 0..3 {
        third.write_all(b"x").unwrap();
        wait(&events, |event| matches!(event, Event::Input(1)));
    }
    second.write_all(b"lost").unwrap();
    wait(&events, |event| matches!(event, Event::Input(4)));
    drop(second);
    third.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(std::io::Read::read(&mut third, &mut [0]).is_err(), "nothing came to the wrong one");
    server.stop();
    let found = found.lock().unwrap().clone();
    assert_eq!(found, [true, true, true, false, false, false, false]);
}

#[test]
fn a_callback_that_holds_its_worker_is_named() {
    let (probe, events) = Probe::new();
    let sleep = || thread::sleep(Duration::from_millis(1000));
    let probe = probe
        .input(move |conn, input| {
            match &*input.take_all() {
                b"data" => sleep(),
                b"timeout" => conn.wake_at(conn.now()),
                _ => {}
            }
            conn.write(b"ok");
            Ok(())
        })
        .timeout(move |conn| {
            sleep();
            conn.write(b"ok");
            Ok(())
        });
    // Far above what a busy machine may take from a thread for a moment, and below the sleep.
    let limits = Limits { stall_timeout: Duration::from_millis(800), ..limits() };
    let server = Running::start(serve(move || probe.clone()).config(one_worker(limits)).tcp("127.0.0.1:0"));
    let mut stream = server.connect();
    let Event::Open(id) = wait(&events, |event| matches!(event, Event::Open(_))) else { return };
    for _ in 0..100 {
        stream.write_all(b"quick").unwrap();
        expect(&mut stream, b"ok");
    }
    assert_eq!(server.handle.take_stalls(), [], "none without a reason");
    for (message, replies) in [("data", &b"ok"[..]), ("timeout", b"okok")] {
        stream.write_all(message.as_bytes()).unwrap();
        expect(&mut stream, replies);
        server.wait_for("the stall to be counted", |c| c.stalls > 0);
        let stalls = server.handle.take_stalls();
        let [stall] = &stalls[..] else { panic!("one stall, not {stalls:?}") };
        assert_eq!((stall.callback, stall.conn, stall.worker), (message, Some(id), 0));
        assert_eq!(stall.listener, server.addr().to_string());
        assert!(stall.took >= Duration::from_millis(980), "{:?}", stall.took);
    }
    assert_eq!(server.stop().stats.counters.stalls, 2);
}

#[test]
fn a_panic_ends_the_whole_server_and_comes_out_of_run() {
    for workers in [1, 3] {
        let probe = Probe::new().0.input(|_, input| {
            assert!(input.take_all() != b"bomb", "the service's own bug");
            Ok(())
        });
        let config = Config::default().workers(workers).limits(limits());
        let server = Running::start(serve(move || probe.clone()).config(config).tcp("127.0.0.1:0"));
        // With three workers it goes off on each of them in some round: who has whom is chance.
        let mut streams: Vec<_> = (0..6).map(|_| server.connect()).collect();
        server.wait_for("all", |c| c.connections == 6);
        streams[0].write_all(b"bomb").unwrap();
        let panic = server.join().expect_err("the panic");
        let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        assert!(text.contains("the service's own bug"), "{text}");
        for stream in &mut streams {
            // A reset or an end, but no silence.
            let end = std::io::Read::read(stream, &mut [0]);
            assert!(!matches!(end, Ok(1..)));
            assert!(!end.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock), "a hang");
        }
    }
}

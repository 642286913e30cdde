//! Connections of a service's own making: what becomes of each, on real sockets.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use windlass::{
    Close, Config, Conn, ConnId, Connect, ConnectError, Input, Limits, Mailbox, Peer, Receive, Scope,
    Service, Sessions, serve,
};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::child::{self, Process};
use crate::harness::*;

/// What a test asks of the caller.
enum Ask {
    Connect(Connect),
    Cancel(u64),
    /// Begins some, and then takes others back.
    Replace(Vec<Connect>, Vec<u64>),
    Write(u64, Vec<u8>),
    Close(u64),
}

/// What the caller tells the test.
#[derive(Debug, PartialEq)]
enum Told {
    /// `connect` itself said no.
    NotBegun(u64, &'static str),
    Connected(u64, Peer),
    Failed(u64, &'static str),
    Cancelled(bool),
    Input(u64, Vec<u8>),
    Closed(u64, &'static str),
}

/// A service that connects where it is told to.
struct Caller {
    told: Sender<Told>,
    first: Vec<Connect>,
    ids: HashMap<u64, ConnId>,
    /// A callback runs: another must not begin.
    busy: bool,
    /// Keeps its connections during a drain.
    stays: bool,
}

impl Caller {
    fn tell(&self, told: Told) {
        let _ = self.told.send(told);
    }

    fn enter(&mut self) {
        assert!(!std::mem::replace(&mut self.busy, true), "callbacks never nest");
    }

    fn connect(&mut self, scope: &mut Scope<'_>, connect: Connect) {
        let tag = connect.tag;
        match scope.connect(connect) {
            Ok(id) => {
                assert!(scope.conn(id).is_none(), "not usable yet");
                self.ids.insert(tag, id);
            }
            Err(why) => self.tell(Told::NotBegun(tag, why.label())),
        }
    }
}

impl Service for Caller {
    type Session = u64;

    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<u64>) {
        self.enter();
        for connect in std::mem::take(&mut self.first) {
            self.connect(scope, connect);
        }
        self.busy = false;
    }

    fn open(&mut self, _: &mut Conn<'_>) -> Result<u64, Close> {
        unreachable!("it does not listen")
    }

    fn connected(&mut self, conn: &mut Conn<'_>, tag: u64) -> Result<u64, Close> {
        self.enter();
        assert!(conn.is_outbound());
        assert_eq!(self.ids[&tag], conn.id(), "the id is the one it was given at first");
        self.tell(Told::Connected(tag, conn.peer()));
        self.busy = false;
        Ok(tag)
    }

    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        _: &mut Sessions<u64>,
        id: ConnId,
        tag: u64,
        why: ConnectError,
    ) {
        self.enter();
        assert_eq!(self.ids[&tag], id);
        assert!(scope.conn(id).is_none() && !scope.cancel_connect(id));
        self.tell(Told::Failed(tag, why.label()));
        self.busy = false;
    }

    fn data(&mut self, _: &mut Conn<'_>, tag: &mut u64, input: &mut Input<'_>) -> Result<(), Close> {
        self.tell(Told::Input(*tag, input.take_all().to_vec()));
        Ok(())
    }

    fn draining(&mut self, _: &mut Conn<'_>, _: &mut u64) -> Result<(), Close> {
        if self.stays { Ok(()) } else { Err(Close::Shutdown) }
    }

    fn closed(&mut self, _: &mut Conn<'_>, tag: u64, why: Close) {
        self.tell(Told::Closed(tag, why.label()));
    }
}

impl Receive for Caller {
    type Message = Ask;

    fn receive(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<u64>, ask: Ask) {
        self.enter();
        match ask {
            Ask::Connect(connect) => self.connect(scope, connect),
            Ask::Cancel(tag) => {
                let cancelled = scope.cancel_connect(self.ids[&tag]);
                self.tell(Told::Cancelled(cancelled));
            }
            Ask::Replace(begun, taken_back) => {
                for connect in begun {
                    self.connect(scope, connect);
                }
                for tag in taken_back {
                    assert!(scope.cancel_connect(self.ids[&tag]));
                }
            }
            Ask::Write(tag, bytes) => scope.write_to(self.ids[&tag], &bytes),
            Ask::Close(tag) => {
                if let Some(mut conn) = scope.conn(self.ids[&tag]) {
                    conn.close();
                }
            }
        }
        self.busy = false;
    }
}

/// A server that only calls, and what it tells.
struct Calling {
    server: Running,
    mailbox: Mailbox<Ask>,
    told: Receiver<Told>,
}

impl Calling {
    fn start(limits: Limits) -> Calling {
        Calling::start_with(limits, false, Vec::new())
    }

    fn start_with(limits: Limits, stays: bool, first: Vec<Connect>) -> Calling {
        let (sender, told) = channel();
        let mailbox = Mailbox::new();
        let make = move || Caller {
            told: sender.clone(),
            first: first.clone(),
            ids: HashMap::new(),
            busy: false,
            stays,
        };
        let server = Running::start(serve(make).config(one_worker(limits)).mailbox(&mailbox));
        Calling { server, mailbox, told }
    }

    fn ask(&self, ask: Ask) {
        assert!(self.mailbox.send(0, ask).is_ok());
    }

    fn connect(&self, connect: Connect) {
        self.ask(Ask::Connect(connect));
    }

    fn told(&self) -> Told {
        self.told.recv_timeout(LONG).expect("the caller is told")
    }

    fn connected(&self, tag: u64) {
        assert!(matches!(self.told(), Told::Connected(told, _) if told == tag));
    }
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A listener whose queue takes one connection, and that connection in it: whoever calls now is not
/// answered.
fn full_listener() -> (TcpListener, std::net::TcpStream) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let listener: TcpListener = socket.into();
    let first = connect(listener.local_addr().unwrap());
    (listener, first)
}

fn full_unix_listener(path: &SocketPath) -> (UnixListener, std::os::unix::net::UnixStream) {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    socket.bind(&socket2::SockAddr::unix(&path.0).unwrap()).unwrap();
    socket.listen(0).unwrap();
    (socket.into(), path.connect())
}

#[test]
fn a_connection_is_made_and_carries_bytes_both_ways() {
    let echo = echo(limits());
    let calling = Calling::start(limits());
    calling.connect(Connect::to(echo.addr()).tag(7));
    assert_eq!(calling.told(), Told::Connected(7, Peer::Tcp(echo.addr())));
    calling.ask(Ask::Write(7, b"hello".to_vec()));
    assert_eq!(calling.told(), Told::Input(7, b"hello".to_vec()));
    calling.ask(Ask::Close(7));
    assert_eq!(calling.told(), Told::Closed(7, "done"));
    let counters = calling.server.stop().stats.counters;
    assert_eq!((counters.connects, counters.connects_done, counters.connects_failed), (1, 1, 0));
    assert_eq!((counters.connecting, counters.registers), (0, 1));
    echo.stop();
}

#[test]
fn a_client_begins_with_the_worker_and_hears_who_speaks_first() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let greeter = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"welcome").unwrap();
        stream
    });
    let calling = Calling::start_with(limits(), false, vec![Connect::to(addr).tag(1)]);
    calling.connected(1);
    assert_eq!(calling.told(), Told::Input(1, b"welcome".to_vec()));
    let mut stream = greeter.join().unwrap();
    calling.server.handle.shutdown();
    expect_end(&mut stream);
    drop(stream);
    calling.server.ended_well();
}

#[test]
fn refused_and_unreachable_are_told_apart() {
    let calling = Calling::start(limits());
    calling.connect(Connect::to(nobody()).tag(1));
    assert_eq!(calling.told(), Told::Failed(1, "refused"));
    // No system has a route for TCP to a multicast address.
    calling.connect(Connect::to("224.0.0.1:9".parse::<SocketAddr>().unwrap()).tag(2));
    assert_eq!(calling.told(), Told::Failed(2, "unreachable"));
    let counters = calling.server.stop().stats.counters;
    assert_eq!((counters.connects_refused, counters.connects_unreachable), (1, 1));
    assert_eq!(counters.connects_failed, 2);
}

#[test]
fn who_does_not_answer_is_given_up_at_the_deadline() {
    let (listener, _first) = full_listener();
    let addr = listener.local_addr().unwrap();
    let limits = Limits { connect_timeout: Duration::from_millis(300), ..limits() };
    let calling = Calling::start(limits);
    let begun = Instant::now();
    calling.connect(Connect::to(addr).tag(1).timeout(Duration::from_secs(2)));
    calling.connect(Connect::to(addr).tag(2));
    assert_eq!(calling.told(), Told::Failed(2, "timeout"));
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(calling.told(), Told::Failed(1, "timeout"));
    assert!(begun.elapsed() >= Duration::from_secs(2));
    let counters = calling.server.stop().stats.counters;
    assert_eq!(counters.connects_timed_out, 2);
    assert!(counters.polls < 50, "it sleeps meanwhile: {} polls", counters.polls);
}

#[test]
fn a_connection_being_made_can_be_taken_back() {
    let (listener, _first) = full_listener();
    let calling = Calling::start(limits());
    calling.connect(Connect::to(listener.local_addr().unwrap()).tag(1));
    calling.server.wait_for("the call", |c| c.registers == 1);
    calling.ask(Ask::Cancel(1));
    assert_eq!(calling.told(), Told::Cancelled(true));
    assert_eq!(calling.told(), Told::Failed(1, "cancelled"));
    calling.ask(Ask::Cancel(1));
    assert_eq!(calling.told(), Told::Cancelled(false));
    // One that waits to begin can be as well, and holds no socket meanwhile.
    calling.connect(Connect::to(listener.local_addr().unwrap()).tag(2).after(LONG));
    calling.server.wait_for("the wait", |c| c.connecting == 1);
    assert_eq!(calling.server.counters().registers, 1);
    calling.ask(Ask::Cancel(2));
    assert_eq!(calling.told(), Told::Cancelled(true));
    assert_eq!(calling.told(), Told::Failed(2, "cancelled"));
    assert_eq!(calling.server.stop().stats.counters.connects_cancelled, 2);
}

/// Clients of a proxy that vanish by the thousands take as many calls back, and others come meanwhile.
#[test]
fn calls_that_are_taken_back_do_not_wait_behind_those_that_begin() {
    let (listener, _first) = full_listener();
    let calling = Calling::start(Limits { connects_per_turn_max: 1, ..limits() });
    const CALLS: u64 = 200;
    for tag in 0..CALLS {
        calling.connect(Connect::to(listener.local_addr().unwrap()).tag(tag));
    }
    calling.server.wait_for("the calls", |c| c.registers == CALLS);
    // Which fail as they begin.
    let nowhere = SocketPath::new();
    let begun = (CALLS..2 * CALLS).map(|tag| Connect::to(&*nowhere.0).tag(tag)).collect();
    calling.ask(Ask::Replace(begun, (0..CALLS).collect()));
    let order: Vec<Told> = (0..2 * CALLS).map(|_| calling.told()).collect();
    let cancelled: Vec<Told> = (0..CALLS).map(|tag| Told::Failed(tag, "cancelled")).collect();
    assert_eq!(&order[..CALLS as usize], cancelled);
    assert!(
        order[CALLS as usize..].iter().all(|told| matches!(told, Told::Failed(tag, _) if *tag >= CALLS)),
        "{order:?}"
    );
}

#[test]
fn a_pause_comes_before_the_call() {
    let echo = echo(limits());
    let calling = Calling::start(limits());
    let begun = Instant::now();
    // Counted from the beginning, so a timeout shorter than the pause is enough.
    let pause = Duration::from_millis(200);
    calling.connect(Connect::to(echo.addr()).tag(1).after(pause).timeout(Duration::from_secs(20)));
    calling.connected(1);
    assert!(begun.elapsed() >= pause);
    calling.server.stop();
    echo.stop();
}

#[test]
fn unix_paths_are_called_too() {
    let path = SocketPath::new();
    let calling = Calling::start(limits());
    calling.connect(Connect::to(&*path.0).tag(1));
    assert_eq!(calling.told(), Told::Failed(1, "refused"), "no such path");
    drop(UnixListener::bind(&path.0).unwrap());
    calling.connect(Connect::to(&*path.0).tag(2));
    assert_eq!(calling.told(), Told::Failed(2, "refused"), "nobody listens on it");
    std::fs::remove_file(&path.0).unwrap();
    let echo = Running::start(serve(|| Echo).config(one_worker(limits())).unix(&path.0));
    calling.connect(Connect::to(&*path.0).tag(3));
    assert_eq!(calling.told(), Told::Connected(3, Peer::Unix));
    calling.ask(Ask::Write(3, b"hello".to_vec()));
    assert_eq!(calling.told(), Told::Input(3, b"hello".to_vec()));
    calling.server.stop();
    echo.stop();
}

#[test]
fn a_full_queue_of_a_unix_listener_is_tried_again_until_the_deadline() {
    let path = SocketPath::new();
    let (listener, _first) = full_unix_listener(&path);
    let calling = Calling::start(limits());
    calling.connect(Connect::to(&*path.0).tag(1).timeout(Duration::from_millis(200)));
    assert_eq!(calling.told(), Told::Failed(1, "timeout"));
    calling.connect(Connect::to(&*path.0).tag(2).timeout(LONG));
    calling.server.wait_for("the second call", |c| c.connecting == 1);
    let _accepted = listener.accept().unwrap();
    assert_eq!(calling.told(), Told::Connected(2, Peer::Unix));
    let mut accepted = listener.accept().unwrap().0;
    calling.ask(Ask::Write(2, b"hello".to_vec()));
    expect(&mut accepted, b"hello");
    calling.server.stop();
}

#[test]
fn a_stream_that_reaches_itself_was_refused() {
    let addr = nobody();
    let calling = Calling::start(limits());
    calling.connect(Connect::to(addr).source(addr).tag(1));
    assert_eq!(calling.told(), Told::Failed(1, "refused"));
    calling.server.stop();
}

#[test]
fn the_source_address_can_be_chosen() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let calling = Calling::start(limits());
    let source = "127.0.0.7:0".parse().unwrap();
    calling.connect(Connect::to(listener.local_addr().unwrap()).source(source).tag(1));
    calling.connected(1);
    let (_stream, peer) = listener.accept().unwrap();
    assert_eq!(peer.ip(), source.ip());
    calling
        .connect(Connect::to(listener.local_addr().unwrap()).source("192.0.2.1:0".parse().unwrap()).tag(2));
    assert_eq!(calling.told(), Told::Failed(2, "other"), "not an address of this machine");
    calling.server.stop();
}

#[test]
fn limits_say_no_at_once_and_are_counted() {
    let (listener, _first) = full_listener();
    let addr = listener.local_addr().unwrap();
    let calling = Calling::start(Limits { connecting_max: 2, ..limits() });
    for tag in 1..=3 {
        calling.connect(Connect::to(addr).tag(tag));
    }
    assert_eq!(calling.told(), Told::NotBegun(3, "full"));
    calling.ask(Ask::Cancel(1));
    assert_eq!(calling.told(), Told::Cancelled(true));
    assert_eq!(calling.told(), Told::Failed(1, "cancelled"));
    calling.connect(Connect::to(nobody()).tag(4));
    assert_eq!(calling.told(), Told::Failed(4, "refused"), "there is a place again");
    assert_eq!(calling.server.stop().stats.counters.connects_over_limit, 1);

    let echo = echo(limits());
    let calling = Calling::start(Limits { connections_max: 1, ..limits() });
    calling.connect(Connect::to(echo.addr()).tag(1));
    calling.connected(1);
    calling.connect(Connect::to(echo.addr()).tag(2));
    assert_eq!(calling.told(), Told::NotBegun(2, "full"));
    calling.ask(Ask::Close(1));
    assert_eq!(calling.told(), Told::Closed(1, "done"));
    calling.server.wait_for("the place", |c| c.connections == 0);
    calling.connect(Connect::to(echo.addr()).tag(3));
    calling.connected(3);
    calling.server.stop();
    echo.stop();
}

#[test]
fn a_drain_takes_back_what_is_being_made_unless_it_was_asked_to_wait() {
    let path = SocketPath::new();
    let (listener, _first) = full_unix_listener(&path);
    let (silent, _second) = full_listener();
    let calling = Calling::start_with(limits(), true, Vec::new());
    calling.connect(Connect::to(silent.local_addr().unwrap()).tag(1));
    calling.connect(Connect::to(&*path.0).tag(2).while_draining());
    calling.server.wait_for("the calls", |c| c.connecting == 2);
    calling.server.handle.shutdown();
    assert_eq!(calling.told(), Told::Failed(1, "shutdown"));
    calling.connect(Connect::to(&*path.0).tag(3));
    assert_eq!(calling.told(), Told::NotBegun(3, "shutdown"));
    let _accepted = listener.accept().unwrap();
    calling.connected(2);
    calling.ask(Ask::Close(2));
    assert_eq!(calling.told(), Told::Closed(2, "done"));
    drop(listener);
    calling.server.ended_well();
}

#[test]
fn nothing_being_made_outlives_the_drain_or_a_stop() {
    let (silent, _first) = full_listener();
    for at_once in [false, true] {
        let limits = Limits { drain_timeout: Duration::from_millis(100), ..limits() };
        let calling = Calling::start(limits);
        calling.connect(Connect::to(silent.local_addr().unwrap()).tag(1).timeout(LONG).while_draining());
        calling.connect(Connect::to(silent.local_addr().unwrap()).tag(2).timeout(LONG).after(LONG));
        calling.server.wait_for("the calls", |c| c.connecting == 2);
        let Calling { server, told, .. } = calling;
        if at_once {
            server.stop();
        } else {
            server.handle.shutdown();
            server.ended_well();
        }
        let mut told: Vec<_> = told.iter().collect();
        told.sort_by_key(|told| matches!(told, Told::Failed(2, _)));
        assert_eq!(told, [Told::Failed(1, "shutdown"), Told::Failed(2, "shutdown")]);
    }
}

#[test]
fn a_thousand_connections_at_once() {
    const MANY: u64 = 1_000;
    let config = Config::default().workers(1).limits(Limits { linger_timeout: LONG, ..limits() });
    let echo = Running::start(serve(|| Echo).config(config).tcp("127.0.0.1:0"));
    let all = (0..MANY).map(|tag| Connect::to(echo.addr()).tag(tag).timeout(LONG)).collect();
    let calling = Calling::start_with(limits(), false, all);
    let mut answered = 0;
    while answered < MANY {
        match calling.told() {
            Told::Connected(tag, _) => calling.ask(Ask::Write(tag, tag.to_le_bytes().to_vec())),
            Told::Input(tag, bytes) => {
                assert_eq!(bytes, tag.to_le_bytes());
                answered += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    let counters = calling.server.stop().stats.counters;
    assert_eq!((counters.connects_done, counters.connects_failed), (MANY, 0));
    assert_eq!(counters.registers, MANY, "each was registered once");
    echo.stop();
}

#[test]
fn who_is_reset_at_once_is_told_of_it_one_way_or_the_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let calling = Calling::start(limits());
    for tag in 0..20 {
        calling.connect(Connect::to(addr).tag(tag));
        let (stream, _) = listener.accept().unwrap();
        reset_on_drop(&stream);
        drop(stream);
        match calling.told() {
            Told::Connected(..) => assert_eq!(calling.told(), Told::Closed(tag, "reset")),
            other => assert_eq!(other, Told::Failed(tag, "refused")),
        }
    }
    calling.server.stop();
}

/// In a child: more calls than it has descriptors.
#[test]
#[ignore = "a part of the test below, run in a child"]
fn calls_with_few_descriptors() {
    const CALLS: u64 = 100;
    let Some(arg) = child::arg() else { return };
    let addr: SocketAddr = arg.parse().unwrap();
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: Some(64) }).unwrap();
    let calling = Calling::start(Limits { connections_max: 1_000, ..limits() });
    (0..CALLS).for_each(|tag| calling.connect(Connect::to(addr).tag(tag)));
    let (mut made, mut failed) = (Vec::new(), 0);
    while made.len() + failed < CALLS as usize {
        match calling.told() {
            Told::Connected(tag, _) => made.push(tag),
            Told::Failed(_, why) => {
                assert_eq!(why, "out_of_resources");
                failed += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((20..64).contains(&made.len()), "{} are made", made.len());
    calling.ask(Ask::Close(made[0]));
    assert_eq!(calling.told(), Told::Closed(made[0], "done"));
    calling.server.wait_for("the descriptor", |c| c.connections == made.len() as u64 - 1);
    calling.connect(Connect::to(addr).tag(CALLS));
    calling.connected(CALLS);
    calling.server.stop();
}

#[test]
fn without_descriptors_a_call_fails_and_the_next_may_not() {
    let echo = echo(limits());
    Process::start("connect::calls_with_few_descriptors", &echo.addr().to_string()).finish();
    echo.wait_for("the end of all", |c| c.connections == 0);
    echo.stop();
}

#[test]
fn deadlines_hold_for_connections_of_our_own() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let calling = Calling::start(Limits { idle_timeout: Duration::from_millis(100), ..limits() });
    calling.connect(Connect::to(listener.local_addr().unwrap()).tag(1));
    calling.connected(1);
    assert_eq!(calling.told(), Told::Closed(1, "idle"));
    let mut stream = listener.accept().unwrap().0;
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    drop(stream);
    calling.server.stop();
}

//! A worker that cannot keep up: newcomers, those who are in, and the way back. And one whose memory fills.
//!
//! A service that takes a while for each message is enough to be overloaded by a few clients, when little
//! lateness is borne; everything else is counters and states, however busy the machine is.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use windlass::testing::Harness;
use windlass::{Close, Conn, Counters, Input, Limits, Server, Service, WhenOverloaded, serve};

use crate::harness::*;

const MS: Duration = Duration::from_millis(1);

/// Takes its time for each message and sends it back, or says "busy" at once when it is told to.
struct Slow {
    takes: Duration,
    /// How often it was told.
    refused: Option<Arc<AtomicU64>>,
}

fn slow(takes: Duration) -> impl Fn() -> Slow + Send + Sync + 'static {
    move || Slow { takes, refused: None }
}

impl Service for Slow {
    type Session = ();

    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        if let Some(refused) = &self.refused
            && conn.is_overloaded()
        {
            refused.fetch_add(1, SeqCst);
            input.take_all();
            conn.write(b"busy");
            return Ok(());
        }
        let until = Instant::now() + self.takes;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        conn.write(input.take_all());
        Ok(())
    }
}

/// Little is borne, and for a short time only.
fn strict() -> Limits {
    Limits { overload_lag_max: 4 * MS, overload_interval: 20 * MS, ..limits() }
}

/// Clients that ask as soon as they are answered, each on a connection of its own.
struct Crowd {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

impl Crowd {
    fn new(addr: SocketAddr, clients: usize) -> Crowd {
        let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let client = |mut stream: TcpStream| {
            let (over, answered) = (over.clone(), answered.clone());
            thread::spawn(move || {
                while !over.load(SeqCst) {
                    let mut back = [0; 4];
                    stream.write_all(b"work").expect("those who are in are served");
                    stream.read_exact(&mut back).expect("and answered");
                    assert!(back == *b"work" || back == *b"busy");
                    answered.fetch_add(1, SeqCst);
                }
            })
        };
        // Before any of them asks for much.
        let inside: Vec<_> = (0..clients).map(|_| let_in(addr)).collect();
        let clients = inside.into_iter().map(client).collect();
        Crowd { over, answered, clients }
    }

    fn is_answered(&self, more: u64) {
        let (before, deadline) = (self.answered.load(SeqCst), Instant::now() + LONG);
        while self.answered.load(SeqCst) < before + more {
            assert!(Instant::now() < deadline, "they are answered no more");
            thread::sleep(MS);
        }
    }

    fn end(self) {
        self.over.store(true, SeqCst);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
    }
}

/// One that has been answered. A machine that is held up for a moment may be overloaded without anybody's asking.
fn let_in(addr: SocketAddr) -> TcpStream {
    let deadline = Instant::now() + LONG;
    loop {
        let mut stream = connect(addr);
        if stream.write_all(b"work").is_ok() && stream.read_exact(&mut [0; 4]).is_ok() {
            return stream;
        }
        assert!(Instant::now() < deadline, "nobody is let in");
        thread::sleep(MS);
    }
}

/// Connects until the counters say so; how many of them were reset.
fn knock(server: &Running, what: &str, mut enough: impl FnMut(&Counters) -> bool) -> usize {
    let (mut resets, deadline) = (0, Instant::now() + LONG);
    while !enough(&server.counters()) {
        assert!(Instant::now() < deadline, "waited in vain for {what}: {:#?}", server.counters());
        let Ok(mut stream) = TcpStream::connect(server.addr()) else { continue };
        stream.set_read_timeout(Some(20 * MS)).unwrap();
        resets +=
            usize::from(matches!(stream.read(&mut [0]), Err(e) if e.kind() == ErrorKind::ConnectionReset));
    }
    resets
}

#[test]
fn newcomers_are_sent_away_while_it_lasts_and_those_who_are_in_are_served() {
    let config = one_worker(strict());
    let server = Running::start(serve(slow(8 * MS)).config(config).tcp("127.0.0.1:0"));
    let crowd = Crowd::new(server.addr(), 6);
    let counters = server.wait_for("overload", |c| c.overloads > 0);
    assert!(counters.lag_min_nanos > 4_000_000, "{}", counters.lag_min_nanos);
    let resets = knock(&server, "somebody to be shed", |c| c.shed_overload >= 3);
    assert!(resets > 0);
    crowd.is_answered(20);
    crowd.end();
    let counters = server.wait_for("recovery", |c| {
        // It looks at itself when it has a turn.
        let _ = TcpStream::connect(server.addr());
        c.overloaded == 0
    });
    assert!(counters.overloaded_nanos >= 20_000_000, "{}", counters.overloaded_nanos);
    assert_eq!(counters.accept_paused_overload, 0);
    round_trip(&mut let_in(server.addr()), b"hello");
    server.stop();
}

/// Others send it nobody as long as it is said to be late, so it must not wait for somebody to come.
#[test]
fn it_ends_though_nobody_comes_any_more() {
    let server = Running::start(serve(slow(8 * MS)).config(one_worker(strict())).tcp("127.0.0.1:0"));
    let crowd = Crowd::new(server.addr(), 6);
    server.wait_for("overload", |c| c.overloaded == 1);
    crowd.end();
    let polls = server.wait_for("recovery", |c| c.overloaded == 0 && c.connections == 0).polls;
    thread::sleep(200 * MS);
    assert!(server.counters().polls <= polls + 3, "and then it sleeps");
    server.stop();
}

#[test]
fn or_they_wait_and_are_served_once_it_is_over() {
    let limits = Limits { when_overloaded: WhenOverloaded::Wait, ..strict() };
    let server = Running::start(serve(slow(8 * MS)).config(one_worker(limits)).tcp("127.0.0.1:0"));
    let crowd = Crowd::new(server.addr(), 6);
    server.wait_for("overload", |c| c.overloaded == 1);
    let mut waiting = Vec::new();
    server.wait_for("the door to be shut", |c| {
        waiting.push(server.connect());
        c.accept_paused_overload > 0
    });
    crowd.is_answered(20);
    crowd.end();
    for stream in &mut waiting {
        round_trip(stream, b"hello");
    }
    assert_eq!(server.counters().shed_overload, 0);
    server.stop();
}

#[test]
fn a_service_is_told_and_refuses() {
    let refused = Arc::new(AtomicU64::new(0));
    let counted = refused.clone();
    let make = move || Slow { takes: 8 * MS, refused: Some(counted.clone()) };
    let server = Running::start(serve(make).config(one_worker(strict())).tcp("127.0.0.1:0"));
    let crowd = Crowd::new(server.addr(), 6);
    server.wait_for("refusals", |c| c.refused_overload > 10);
    crowd.is_answered(20);
    crowd.end();
    let counters = server.wait_for("rest", |c| c.refused_overload == refused.load(SeqCst));
    assert!(counters.overloads >= 1);
    server.stop();
}

#[test]
fn who_is_never_shed_gets_in() {
    let config = one_worker(strict());
    let server = Server::new(config)
        .add(serve(slow(8 * MS)).tcp("127.0.0.1:0"))
        .add(serve(|| Echo).name("admin").tcp("127.0.0.1:0").never_shed());
    let server = Running::run(server.bind().unwrap());
    let crowd = Crowd::new(server.addr(), 6);
    server.wait_for("overload", |c| c.overloaded == 1);
    for _ in 0..20 {
        round_trip(&mut connect(server.addrs[1]), b"how are you?");
    }
    knock(&server, "somebody else to be shed", |c| c.shed_overload > 0);
    crowd.end();
    server.stop();
}

#[test]
fn idle_ones_end_sooner() {
    // An hour, of which next to nothing is left.
    let limits =
        Limits { idle_timeout: Duration::from_secs(3600), overload_idle_divisor: 100_000_000, ..strict() };
    let server = Running::start(serve(slow(8 * MS)).config(one_worker(limits)).tcp("127.0.0.1:0"));
    let mut idle = server.connect();
    round_trip(&mut idle, b"hello");
    let busy: Vec<_> = (0..6).map(|_| server.connect()).collect();
    let addr = server.addr();
    let over = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = busy
        .into_iter()
        .map(|mut stream| {
            let over = over.clone();
            thread::spawn(move || {
                while !over.load(SeqCst) {
                    // They may be found idle between two messages.
                    if stream.write_all(b"work").is_err() || !matches!(stream.read(&mut [0; 4]), Ok(1..)) {
                        let Ok(next) = TcpStream::connect(addr) else { continue };
                        stream = next;
                    }
                }
            })
        })
        .collect();
    expect_end(&mut idle);
    over.store(true, SeqCst);
    load.into_iter().for_each(|client| client.join().unwrap());
    let counters = server.counters();
    assert!(counters.overloads >= 1 && counters.closed_by("idle") >= 1);
    server.stop();
}

#[test]
fn with_zero_it_is_off() {
    let limits = Limits { overload_lag_max: Duration::ZERO, ..strict() };
    let server = Running::start(serve(slow(8 * MS)).config(one_worker(limits)).tcp("127.0.0.1:0"));
    let crowd = Crowd::new(server.addr(), 6);
    crowd.is_answered(40);
    knock(&server, "newcomers", |c| c.opened > 10);
    crowd.end();
    let counters = server.counters();
    assert_eq!((counters.overloads, counters.shed_overload, counters.overloaded_nanos), (0, 0, 0));
    assert!(counters.lag_nanos > 0);
    server.stop();
}

/// Works when somebody comes.
struct Door(Duration);

impl Service for Door {
    type Session = ();

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        let until = Instant::now() + self.0;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        conn.write(b"welcome");
        Err(Close::Done)
    }

    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        input.take_all();
        Ok(())
    }
}

/// One at a time is let in, so turns are short; the queue is what stands.
#[test]
#[cfg(target_os = "linux")]
fn a_queue_of_newcomers_that_stands_is_overload_too() {
    let limits = Limits { accepts_per_turn_max: 1, overload_lag_max: 30 * MS, ..strict() };
    let server = Running::start(serve(|| Door(4 * MS)).config(one_worker(limits)).tcp("127.0.0.1:0"));
    let over = Arc::new(AtomicBool::new(false));
    let client = |_| {
        let (addr, over) = (server.addr(), over.clone());
        thread::spawn(move || {
            let (mut welcome, mut reset) = (0, 0);
            while !over.load(SeqCst) {
                let Ok(mut stream) = TcpStream::connect(addr) else { continue };
                let mut said = Vec::new();
                match stream.read_to_end(&mut said) {
                    Ok(_) if said == b"welcome" => welcome += 1,
                    Err(e) if e.kind() == ErrorKind::ConnectionReset && said.is_empty() => reset += 1,
                    other => panic!("either welcome or reset, not {other:?} with {said:?}"),
                }
            }
            (welcome, reset)
        })
    };
    let clients: Vec<_> = (0..40).map(client).collect();
    let counters = server.wait_for("newcomers to be shed", |c| c.shed_overload > 20);
    assert!(counters.overloads > 0);
    server.wait_for("others to be let in", |c| c.opened > counters.opened + 10);
    over.store(true, SeqCst);
    let ended = clients.into_iter().map(|client| client.join().unwrap());
    let (welcome, reset) = ended.fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    // What a client has seen is counted at the end of the turn.
    server.wait_for("all of them to be counted", |c| welcome <= c.opened && reset <= c.shed_overload);
    server.stop();
}

// --- Memory, in virtual time.

const MIB: usize = 1024 * 1024;

/// Sends as many KiB as it is told to.
struct Fill;

impl Service for Fill {
    type Session = ();

    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        for kib in std::str::from_utf8(input.take_all()).unwrap().split_whitespace() {
            conn.write(&vec![7; kib.parse::<usize>().unwrap() * 1024]);
        }
        Ok(())
    }
}

fn filled(limits: Limits) -> Harness {
    // What a connection is sent waits in the engine, but for the little that its buffers take.
    Harness::with_buffers(serve(|| Fill).limits(limits), 512)
}

fn memory() -> Limits {
    Limits {
        buffered_max: 10 * MIB,
        output_high: MIB / 2,
        idle_timeout: Duration::from_secs(100),
        write_stall_timeout: Duration::from_secs(40),
        overload_lag_max: Duration::ZERO,
        ..limits()
    }
}

fn counted(harness: &Harness) -> Counters {
    harness.handle().stats().counters
}

#[test]
fn at_80_percent_idle_and_stalled_connections_have_half_the_time() {
    let mut harness = filled(memory());
    let (idle, stalled) = (harness.connect(), harness.connect());
    harness.send(stalled, "8300");
    let counters = counted(&harness);
    assert_eq!((counters.memory_step, counters.memory_low, counters.memory_short), (1, 1, 0));
    harness.advance(Duration::from_secs(19));
    assert_eq!(harness.why(stalled), None);
    harness.advance(Duration::from_secs(2));
    assert_eq!(harness.why(stalled), Some("slow_consumer"));
    assert_eq!(harness.why(idle), None);
    // That gave the memory back, and the others their time.
    assert_eq!(counted(&harness).memory_step, 0);
    harness.advance(Duration::from_secs(60));
    assert_eq!(harness.why(idle), None);
    let stalled = harness.connect();
    harness.send(stalled, "8300");
    harness.advance(MS);
    assert_eq!(harness.why(idle), Some("idle"), "its half was over already");
    let counters = counted(&harness);
    assert_eq!((counters.memory_low, counters.shed_memory), (2, 0));
}

#[test]
fn at_90_percent_nobody_is_let_in_and_who_holds_bytes_in_silence_ends() {
    for policy in [WhenOverloaded::Shed, WhenOverloaded::Wait] {
        let mut harness = filled(Limits { when_overloaded: policy, ..memory() });
        let (idle, stalled) = (harness.connect(), harness.connect());
        harness.send(stalled, "9300");
        assert_eq!(counted(&harness).memory_step, 2);
        let newcomer = harness.connect();
        harness.send(newcomer, "1");
        let counters = counted(&harness);
        match policy {
            WhenOverloaded::Shed => assert_eq!((counters.opened, counters.shed_overload), (2, 1)),
            WhenOverloaded::Wait => {
                assert_eq!((counters.opened, counters.shed_overload), (2, 0));
                assert!(counters.accept_paused_overload > 0);
            }
        }
        harness.advance(MS * 900);
        assert_eq!(harness.why(stalled), None);
        harness.advance(MS * 500);
        assert_eq!(harness.why(stalled), Some("memory_full"));
        assert_eq!(harness.why(idle), None, "it holds nothing");
        let counters = counted(&harness);
        assert_eq!((counters.memory_step, counters.memory_short, counters.shed_memory), (0, 1, 1));
        if policy == WhenOverloaded::Wait {
            assert_eq!(harness.receive(newcomer).len(), 1024, "its turn has come");
        }
    }
}

#[test]
fn at_95_percent_those_who_hold_the_most_end() {
    let mut harness = filled(memory());
    let peers: Vec<_> = (0..10).map(|_| harness.connect()).collect();
    for (n, peer) in peers.iter().enumerate() {
        // 400, 500, ... 1300 KiB: 8,500 together.
        harness.send(*peer, format!("{}", 400 + 100 * n));
    }
    assert_eq!(counted(&harness).memory_step, 1);
    let last = harness.connect();
    harness.send(last, "1280");
    // The two largest were enough to be below 90 %.
    let ended: Vec<_> = peers.iter().map(|peer| harness.why(*peer)).collect();
    assert_eq!(ended[..9], [None; 9]);
    assert_eq!((ended[9], harness.why(last)), (Some("memory_full"), None));
    let counters = counted(&harness);
    assert_eq!((counters.memory_critical, counters.shed_memory), (1, 1));
    assert!(counters.buffered_bytes < 9 * MIB as u64, "{}", counters.buffered_bytes);
}

#[test]
fn where_nobody_holds_much_many_who_hold_little_end() {
    let mut harness = filled(Limits { buffered_max: MIB, ..memory() });
    let peers: Vec<_> = (0..100).map(|_| harness.connect()).collect();
    for peer in &peers {
        harness.send(*peer, "12");
    }
    let counters = counted(&harness);
    assert!(counters.memory_critical >= 1 && counters.shed_memory > 0, "{counters:?}");
    let ended = peers.iter().filter(|peer| harness.why(**peer).is_some()).count();
    assert!((5..40).contains(&ended), "{ended} ended");
    assert!(counters.buffered_bytes < MIB as u64 * 95 / 100);
}

/// Ends wait for their turn, and what they will give back is not sought from others meanwhile.
#[test]
fn who_is_active_does_not_end_while_those_who_were_idle_do() {
    let mut harness = filled(Limits { closes_per_turn_max: 1, ..memory() });
    let silent: Vec<_> = (0..30).map(|_| harness.connect()).collect();
    for peer in &silent {
        harness.send(*peer, "260");
    }
    harness.advance(2_000 * MS);
    let active: Vec<_> = (0..3).map(|_| harness.connect()).collect();
    for peer in &active {
        harness.send(*peer, "660");
    }
    assert_eq!(counted(&harness).memory_critical, 1);
    assert!(silent.iter().all(|peer| harness.why(*peer) == Some("memory_full")));
    let ended: Vec<_> = active.iter().map(|peer| harness.why(*peer)).collect();
    assert_eq!(ended, [None; 3]);
}

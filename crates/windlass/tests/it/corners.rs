//! Corners that were wrong once: odd orders, odd peers, odd configuration.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use crate::child::{self, Process};
use crate::harness::*;
use crate::probe::{Event, Probe, wait, wait_closed};
use windlass::*;

fn start(probe: Probe, limits: Limits) -> Running {
    Running::start(serve(move || probe.clone()).config(one_worker(limits)).tcp("127.0.0.1:0"))
}

#[test]
fn a_port_in_use_is_refused_with_two_workers_too() {
    let config = Config::default().workers(2).limits(limits());
    let first = serve(|| Echo).config(config.clone()).tcp("127.0.0.1:0").bind().unwrap();
    let address = first.addresses()[0].to_string();
    let second = serve(|| Echo).config(config).tcp(address).bind();
    assert!(second.is_err(), "two servers listen on one port");
}

#[test]
fn a_server_that_goes_leaves_its_successors_socket_file_alone() {
    let path = SocketPath::new();
    let probe = Probe::new().0.draining(|_| Ok(()));
    let first = Running::start(serve(move || probe.clone()).config(one_worker(limits())).unix(&path.0));
    let held = path.connect();
    first.wait_for("it", |c| c.opened == 1);
    first.handle.shutdown();
    // It no longer listens, and finishes what it has; the successor starts.
    let deadline = Instant::now() + LONG;
    let second = loop {
        match serve(|| Echo).config(one_worker(limits())).unix(&path.0).bind() {
            Ok(bound) => break Running::run(bound),
            Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
            Err(e) => panic!("{e}"),
        }
    };
    round_trip(&mut path.connect(), b"hello");
    drop(held);
    first.stop();
    assert!(path.0.exists(), "the first removed the socket file of the second");
    round_trip(&mut path.connect(), b"hello");
    second.stop();
}

fn rss() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|l| l.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn a_byte_left_untaken_does_not_hold_the_memory_of_the_message_before_it() {
    // What other tests of this process hold is not looked at.
    Process::start("corners::bytes_left_untaken", "").finish();
}

#[test]
#[ignore = "a part of the test above, run in a child"]
fn bytes_left_untaken() {
    if child::arg().is_none() {
        return;
    }
    const MESSAGE: usize = 1_000_000;
    const CLIENTS: usize = 200;
    let probe = Probe::new().0.input(|conn, input| {
        while input.take(MESSAGE).is_some() {
            conn.write(b"k");
        }
        Ok(())
    });
    let server = start(probe, Limits { source_connections_max: 0, buffered_max: 16 << 20, ..limits() });
    let message = vec![7; MESSAGE + 1];
    let before = rss();
    let mut held = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = server.connect();
        stream.write_all(&message).unwrap();
        expect(&mut stream, b"k");
        held.push(stream);
    }
    let c = server.wait_for("the last bytes", |c| c.buffered_bytes == CLIENTS as u64);
    let grown = rss().saturating_sub(before);
    println!("buffered_bytes {} grown {} MiB", c.buffered_bytes, grown >> 20);
    assert!(
        grown < 32 << 20,
        "{} MiB held for {} buffered bytes (buffered_max 16 MiB)",
        grown >> 20,
        c.buffered_bytes
    );
    server.stop();
}

struct Farewell {
    mailbox: Mailbox<u32>,
    sent: Arc<AtomicUsize>,
    got: Arc<AtomicUsize>,
}
impl Service for Farewell {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> std::result::Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), i: &mut Input<'_>) -> std::result::Result<(), Close> {
        i.take_all();
        Ok(())
    }
    fn draining(&mut self, _: &mut Conn<'_>, _: &mut ()) -> std::result::Result<(), Close> {
        Ok(())
    }
    fn closed(&mut self, _: &mut Conn<'_>, _: (), _: Close) {
        if self.mailbox.send(0, 1).is_ok() {
            self.sent.fetch_add(1, Ordering::SeqCst);
        }
    }
}
impl Receive for Farewell {
    type Message = u32;
    fn receive(&mut self, _: &mut Scope<'_>, _: &mut Sessions<()>, _: u32) {
        self.got.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_message_taken_in_a_drain_is_delivered() {
    let mailbox = Mailbox::new();
    let (sent, got) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (m, s, g) = (mailbox.clone(), sent.clone(), got.clone());
    let make = move || Farewell { mailbox: m.clone(), sent: s.clone(), got: g.clone() };
    let server =
        Running::start(serve(make).mailbox(&mailbox).config(one_worker(limits())).tcp("127.0.0.1:0"));
    let stream = server.connect();
    server.wait_for("it", |c| c.opened == 1);
    server.handle.shutdown();
    thread::sleep(Duration::from_millis(50));
    drop(stream);
    server.ended_well();
    assert_eq!(sent.load(Ordering::SeqCst), got.load(Ordering::SeqCst), "sent: Ok, but never delivered");
}

struct Busy {
    mailbox: Mailbox<u32>,
    full: std::sync::mpsc::Sender<(u32, bool)>,
}
impl Service for Busy {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> std::result::Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> std::result::Result<(), Close> {
        Ok(())
    }
}
impl Receive for Busy {
    type Message = u32;
    fn receive(&mut self, _: &mut Scope<'_>, _: &mut Sessions<()>, n: u32) {
        if n < 4 {
            let _ = self.full.send((n, self.mailbox.send(0, 100).is_err()));
        }
    }
}

#[test]
fn a_mailbox_is_full_only_while_messages_wait() {
    let mailbox = Mailbox::new();
    let (full, answers) = channel();
    let m = mailbox.clone();
    let make = move || Busy { mailbox: m.clone(), full: full.clone() };
    let bound = serve(make)
        .mailbox(&mailbox)
        .config(one_worker(Limits { mailbox_max: 4, ..limits() }))
        .bind()
        .unwrap();
    for n in 0..4 {
        mailbox.send(0, n).unwrap();
    }
    let server = Running::run(bound);
    let mut last = (9, true);
    for _ in 0..4 {
        last = answers.recv_timeout(LONG).unwrap();
        println!("{last:?}");
    }
    assert_eq!(last, (3, false), "the last of 4 is delivered, none waits, and the mailbox of 4 is full");
    server.stop();
}

#[test]
fn data_is_not_called_without_bytes() {
    let (probe, events) = Probe::new();
    struct P(Probe);
    impl Service for P {
        type Session = ();
        fn open(&mut self, c: &mut Conn<'_>) -> std::result::Result<(), Close> {
            Service::open(&mut self.0, c)
        }
        fn data(
            &mut self,
            c: &mut Conn<'_>,
            s: &mut (),
            i: &mut Input<'_>,
        ) -> std::result::Result<(), Close> {
            Service::data(&mut self.0, c, s, i)
        }
        fn eof(&mut self, c: &mut Conn<'_>, _: &mut (), i: &mut Input<'_>) -> std::result::Result<(), Close> {
            i.take_all();
            c.write(&vec![1; 16 << 20]);
            Ok(())
        }
        fn drained(&mut self, c: &mut Conn<'_>, s: &mut ()) -> std::result::Result<(), Close> {
            Service::drained(&mut self.0, c, s)
        }
        fn closed(&mut self, c: &mut Conn<'_>, s: (), w: Close) {
            Service::closed(&mut self.0, c, s, w)
        }
    }
    let probe = probe.input(|_, _| Ok(()));
    let server =
        Running::start(serve(move || P(probe.clone())).config(one_worker(limits())).tcp("127.0.0.1:0"));
    let mut stream = server.connect();
    stream.write_all(b"head").unwrap();
    wait(&events, |e| *e == Event::Input(4));
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut all = vec![0; 16 << 20];
    stream.read_exact(&mut all).unwrap();
    wait(&events, |e| *e == Event::Drained);
    thread::sleep(Duration::from_millis(100));
    let rest: Vec<_> = events.try_iter().collect();
    assert!(!rest.contains(&Event::Input(0)), "data() called with no bytes: {rest:?}");
    server.stop();
}

#[test]
fn without_a_stall_timeout_an_orderly_end_is_no_less_patient() {
    let message = pattern(16 << 20);
    let sent = message.clone();
    let probe = Probe::new().0.open(move |conn| {
        conn.write(&sent);
        Err(Close::Done)
    });
    let server = start(
        probe,
        Limits {
            write_stall_timeout: Duration::ZERO,
            linger_timeout: Duration::from_millis(2500),
            ..limits()
        },
    );
    let mut stream = server.connect();
    for piece in message.chunks(message.len() / 20 + 1) {
        thread::sleep(Duration::from_millis(150));
        expect(&mut stream, piece);
    }
    server.stop();
}

#[test]
fn a_huge_rebalance_lead_never_hands_over() {
    let config = Config { rebalance_lead: usize::MAX, ..Config::default() }.workers(2).limits(limits());
    let server = Running::start(serve(|| Echo).config(config).tcp("127.0.0.1:0"));
    let mut streams: Vec<_> = (0..16).map(|_| server.connect()).collect();
    for s in &mut streams {
        round_trip(s, b"x");
    }
    assert_eq!(server.counters().handed_over, 0);
    server.stop();
}

#[test]
fn too_many_workers_are_an_error() {
    let bound = std::panic::catch_unwind(|| {
        serve(|| Echo).config(Config::default().workers(usize::MAX)).tcp("127.0.0.1:0").bind().is_err()
    });
    assert!(matches!(bound, Ok(true)), "{bound:?}");
}

#[test]
fn a_tick_period_that_cannot_be_kept_is_refused() {
    for period in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(1 << 55)] {
        let bound = serve(|| Echo).tick(period).config(one_worker(limits())).tcp("127.0.0.1:0").bind();
        let error = bound.err().expect("refused").to_string();
        assert_eq!(error, "the tick of Echo must be from 100 us to 20 days");
    }
}

#[test]
fn urgent_data_strands_nothing() {
    let probe = Probe::new().0.input(|conn, input| {
        let bytes = input.take_all();
        if bytes == b"hold" {
            thread::sleep(Duration::from_millis(200));
        } else {
            conn.write(bytes);
        }
        Ok(())
    });
    let server = start(probe, limits());
    let mut busy = server.connect();
    let mut stream = server.connect();
    server.wait_for("both", |c| c.opened == 2);
    busy.write_all(b"hold").unwrap();
    thread::sleep(Duration::from_millis(50));
    stream.write_all(b"abc").unwrap();
    socket2::SockRef::from(&stream).send_out_of_band(b"!").unwrap();
    stream.write_all(b"def").unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut buf = [0; 6];
    let got = stream.read_exact(&mut buf);
    assert!(got.is_ok(), "got only {buf:?}");
    assert_eq!(&buf, b"abcdef");
    server.stop();
}

#[test]
fn those_who_leave_together_are_told_of_in_one_write() {
    struct Room;
    impl Service for Room {
        type Session = ();
        fn open(&mut self, _: &mut Conn<'_>) -> std::result::Result<(), Close> {
            Ok(())
        }
        fn data(
            &mut self,
            c: &mut Conn<'_>,
            _: &mut (),
            i: &mut Input<'_>,
        ) -> std::result::Result<(), Close> {
            if i.take_all() == b"hold" {
                thread::sleep(Duration::from_millis(300));
                c.write(b"held");
            }
            Ok(())
        }
        fn closed(&mut self, c: &mut Conn<'_>, _: (), _: Close) {
            c.broadcast(b"left\n");
        }
    }
    let server = Running::start(serve(|| Room).config(one_worker(limits())).tcp("127.0.0.1:0"));
    let mut stay: Vec<_> = (0..50).map(|_| server.connect()).collect();
    let leave: Vec<_> = (0..50).map(|_| server.connect()).collect();
    let mut hold = server.connect();
    server.wait_for("all", |c| c.opened == 101);
    hold.write_all(b"hold").unwrap();
    thread::sleep(Duration::from_millis(50));
    drop(leave);
    for s in &mut stay {
        expect(s, &b"left\n".repeat(50));
    }
    let c = server.wait_for("all gone", |c| c.ended == 50);
    assert!(c.writes < 300, "51 members, 50 leave in one turn: {} writes", c.writes);
    server.stop();
}

#[test]
fn writing_nothing_does_nothing() {
    struct Ticker;
    impl Service for Ticker {
        type Session = ();
        fn open(&mut self, _: &mut Conn<'_>) -> std::result::Result<(), Close> {
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
        fn tick(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>, _: Tick) {
            scope.broadcast(b"");
        }
    }
    let server = Running::start(
        serve(|| Ticker)
            .tick(Duration::from_millis(10))
            .config(one_worker(Limits { idle_timeout: Duration::from_millis(200), ..limits() }))
            .tcp("127.0.0.1:0"),
    );
    let _stream = server.connect();
    thread::sleep(Duration::from_millis(800));
    let c = server.wait_for("its end", |c| c.closed_by("idle") == 1);
    assert_eq!(c.writes, 0);
    server.stop();
}

#[test]
fn a_consumer_that_reads_all_the_time_is_no_stalled_one() {
    let probe = Probe::new().0.open(|conn| {
        conn.write(&vec![1; 16 << 20]);
        Ok(())
    });
    let server = start(probe, Limits { write_stall_timeout: Duration::from_secs(1), ..limits() });
    let mut stream = server.connect();
    let begun = Instant::now();
    let mut buf = vec![0; 20 * 1024];
    let mut total = 0;
    while begun.elapsed() < Duration::from_secs(8) {
        match stream.read(&mut buf) {
            Ok(0) => panic!("ended after {total} in {:?}", begun.elapsed()),
            Ok(n) => total += n,
            Err(e) => panic!(
                "{e} after {total} bytes in {:?}; {} slow_consumer",
                begun.elapsed(),
                server.counters().closed_by("slow_consumer")
            ),
        }
        // 400 KiB a second, without a pause longer than 50 ms.
        thread::sleep(Duration::from_millis(50));
    }
    println!("read {total}");
    server.stop();
}

#[test]
fn linger_deadlines_keep_to_the_close_budget() {
    let probe = Probe::new()
        .0
        .draining(|_| Ok(()))
        .input(|_, i| {
            i.take_all();
            Ok(())
        })
        .timeout(|_| Err(Close::Done))
        .open(|c| {
            let at = Time::from_nanos((c.now().as_nanos() / 1_000_000_000 + 2) * 1_000_000_000);
            c.wake_at(at);
            Ok(())
        });
    let server = start(
        probe,
        Limits {
            closes_per_turn_max: 1,
            linger_timeout: Duration::from_millis(300),
            source_connections_max: 0,
            ..limits()
        },
    );
    let streams: Vec<_> = (0..500).map(|_| server.connect()).collect();
    server.wait_for("all ended", |c| c.ended == 500);
    let before = server.counters();
    let after = server.wait_for("all closed", |c| c.connections == 0);
    let turns = after.turns - before.turns;
    println!("{} closes in {turns} turns", after.closes_done - before.closes_done);
    assert!(turns >= after.closes_done - before.closes_done, "{turns} turns");
    drop(streams);
    server.stop();
}

#[test]
fn input_at_its_limit_and_then_the_end() {
    let (probe, events) = Probe::new();
    let probe = probe.input(|_, _| Ok(())).eof(|_| Err(Close::Done));
    let server = start(probe, Limits { input_max: 1000, ..limits() });
    let mut stream = server.connect();
    stream.write_all(&[1; 1000]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(wait_closed(&events), "done");
    server.stop();
}

#[test]
fn a_mailbox_whose_server_never_runs_is_closed() {
    let mailbox = Mailbox::new();
    let (full, _answers) = channel();
    let m = mailbox.clone();
    let make = move || Busy { mailbox: m.clone(), full: full.clone() };
    let bound = serve(make).mailbox(&mailbox).config(one_worker(limits())).bind().unwrap();
    drop(bound);
    assert!(mailbox.send(0, 1).is_err(), "taken by nobody");
}

#[test]
fn a_stall_is_blamed_on_who_caused_it() {
    struct Room;
    impl Service for Room {
        type Session = ();
        fn open(&mut self, _: &mut Conn<'_>) -> std::result::Result<(), Close> {
            Ok(())
        }
        fn data(
            &mut self,
            c: &mut Conn<'_>,
            _: &mut (),
            i: &mut Input<'_>,
        ) -> std::result::Result<(), Close> {
            i.take_all();
            c.broadcast(b"hello");
            Err(Close::Done)
        }
    }
    let lim = Limits { stall_timeout: Duration::from_millis(10), source_connections_max: 0, ..limits() };
    let server = Running::start(serve(|| Room).config(one_worker(lim)).tcp("127.0.0.1:0"));
    let stay: Vec<_> = (0..6000).map(|_| server.connect()).collect();
    server.wait_for("all", |c| c.opened == 6000);
    server.handle.take_stalls();
    for _ in 0..5 {
        let mut s = server.connect();
        s.write_all(b"x").unwrap();
        let _ = s.read(&mut [0]);
    }
    thread::sleep(Duration::from_millis(300));
    let stalls = server.handle.take_stalls();
    for s in &stalls {
        println!("{s:?}");
    }
    assert!(stalls.iter().all(|s| s.callback != "closed"), "`closed` does nothing here");
    drop(stay);
    server.stop();
}

/// What is foretold of two addresses is what the system says to them, whichever comes first, on one worker and on two.
#[cfg(target_os = "linux")]
#[test]
fn addresses_that_conflict_are_those_that_the_system_refuses() {
    // Somebody else may have taken a port meanwhile.
    let free = || std::net::TcpListener::bind("[::]:0").unwrap().local_addr().unwrap().port();
    let hosts = ["", "0.0.0.0", "127.0.0.1", "127.0.0.2", "[::]", "[::1]"];
    for (one, other) in hosts.iter().flat_map(|one| hosts.map(|other| (one, other))) {
        for (kind, workers) in [("", 1), ("", 2), ("udp:", 1), ("udp:", 2)] {
            let port = free();
            let [one, other] = [one, other].map(|host| format!("{kind}{host}:{port}"));
            let foretold = one.parse::<Address>().unwrap().conflicts_with(&other.parse().unwrap());
            let config = Config { workers, limits: limits(), ..Config::default() };
            let bound = serve(|| Echo).datagrams().listen(&one).listen(&other).config(config).bind();
            assert_eq!(bound.is_err(), foretold, "{one} and {other}, {workers} workers");
        }
    }
}

//! Corners of what the engine does besides accepting: pipes without memory for them, room by a cancel,
//! a resolver that is a stranger's, calls from every callback, proxies under peers that misbehave.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use windlass::{
    Answer, Close, Config, Conn, ConnId, Connect, ConnectError, Input, Limits, Lookup, Move, Offload,
    OffloadConfig, Peer, Placement, Resolve, ResolveError, Resolved, Resolver, Scope, Service, Sessions,
    Tick, Work, serve,
};

use crate::harness::*;

/// Couples every newcomer with a connection of its own to `upstream`.
struct Proxy {
    upstream: SocketAddr,
    waiting: HashMap<u64, ConnId>,
    last: u64,
}

impl Proxy {
    fn to(upstream: SocketAddr) -> impl Fn() -> Proxy + Send + Sync + 'static {
        move || Proxy { upstream, waiting: HashMap::new(), last: 0 }
    }
}

impl Service for Proxy {
    type Session = ();
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        self.last += 1;
        conn.pause();
        conn.connect(Connect::to(self.upstream).tag(self.last).timeout(LONG))?;
        self.waiting.insert(self.last, conn.id());
        Ok(())
    }
    fn connected(&mut self, conn: &mut Conn<'_>, tag: u64) -> Result<(), Close> {
        let downstream = self.waiting.remove(&tag).expect("asked for once");
        if conn.relay(downstream) { Ok(()) } else { Err(Close::Done) }
    }
    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        _: &mut Sessions<()>,
        _: ConnId,
        tag: u64,
        _: ConnectError,
    ) {
        let downstream = self.waiting.remove(&tag).expect("asked for once");
        if let Some(mut conn) = scope.conn(downstream) {
            conn.abort();
        }
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Ok(())
    }
}

/// Plain threads: each connection is given to `serve`.
fn upstream(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    addr
}

fn echo_threads() -> SocketAddr {
    upstream(|mut stream| {
        let mut buf = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = stream.read(&mut buf) {
            if stream.write_all(&buf[..n]).is_err() {
                return;
            }
        }
    })
}

#[cfg(target_os = "linux")]
fn pipes_of_this_process() -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("pipe:")).count()
}

/// A relay that is short of memory copies, and holds no pipe for what it does not splice.
#[test]
#[cfg(target_os = "linux")]
fn without_memory_for_it_no_pipe_is_held() {
    let limits = Limits { buffered_max: 512 * 1024, relay_pipes_max: 200, ..limits() };
    // Every read fills so small a scratch.
    let config = Config { scratch_bytes: 4096, ..one_worker(limits) };
    let server = Running::start(serve(Proxy::to(echo_threads())).config(config).tcp("127.0.0.1:0"));
    let before = pipes_of_this_process();
    let mut stream = server.connect();
    let bytes = pattern(8 << 20);
    let sending = send_and_finish(&stream, bytes.clone());
    expect(&mut stream, &bytes);
    expect_end(&mut stream);
    sending.join().unwrap();
    let counters = server.counters();
    assert!(counters.pipes_refused > 0, "it was to be spliced");
    // Other tests of this process have some too.
    let held = pipes_of_this_process().saturating_sub(before);
    assert!(held < 200, "{held} ends of pipes for nothing");
    server.stop();
}

/// Takes one job at a time, and gives the first up when it is told so.
struct Fickle {
    pool: Offload<()>,
    gate: Arc<(Mutex<bool>, Condvar)>,
    jobs: Vec<windlass::JobId>,
    told: Sender<&'static str>,
}

impl Service for Fickle {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        for byte in input.take_all().to_vec() {
            if byte == b'c' {
                let job = self.jobs.pop().expect("there is one");
                assert!(self.pool.cancel(job) && !self.pool.cancel(job));
                continue;
            }
            let gate = self.gate.clone();
            let job = move || drop(gate.1.wait_while(gate.0.lock().unwrap(), |open| !*open).unwrap());
            match self.pool.submit(conn, job) {
                Ok(job) => self.jobs.push(job),
                Err(_) => drop(self.told.send("full")),
            }
        }
        Ok(())
    }
}

impl Work for Fickle {
    type Answer = ();
    fn answer(&mut self, _: &mut Scope<'_>, _: &mut Sessions<()>, _: Answer<()>) {
        let _ = self.told.send("answer");
    }
    fn room(&mut self, _: &mut Scope<'_>, _: &mut Sessions<()>) {
        let _ = self.told.send("room");
    }
}

/// Who was refused is told when a cancel has made room, although nothing else happens.
#[test]
fn a_cancelled_job_makes_room() {
    let pool =
        Offload::new(OffloadConfig { jobs_max: 1, threads: 1, timeout: LONG * 10, ..Default::default() });
    let gate: Arc<(Mutex<bool>, Condvar)> = Arc::default();
    let (told, hear) = channel();
    let (in_service, in_jobs) = (pool.clone(), gate.clone());
    let make = move || Fickle {
        pool: in_service.clone(),
        gate: in_jobs.clone(),
        jobs: Vec::new(),
        told: told.clone(),
    };
    let serve = serve(make).offload(&pool).config(one_worker(limits())).tcp("127.0.0.1:0");
    let server = Running::start(serve);
    let mut stream = server.connect();
    stream.write_all(b"jj").unwrap();
    assert_eq!(hear.recv_timeout(LONG), Ok("full"));
    stream.write_all(b"c").unwrap();
    assert_eq!(hear.recv_timeout(LONG), Ok("room"), "one was cancelled");
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    let stats = pool.stats();
    assert_eq!((stats.submitted, stats.cancelled, stats.open), (1, 1, 0));
    server.stop();
}

/// Looks a name up with a resolver that is another server's.
struct Stranger {
    resolver: Resolver,
}

impl Service for Stranger {
    type Session = ();
    fn place(&mut self, _: Peer, _: usize) -> Placement {
        Placement::Worker(1)
    }
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        let text = match self.resolver.lookup(conn, "example.invalid", 1) {
            Ok(Lookup::Ready(_)) => "ready",
            Ok(Lookup::Pending(_)) => "pending",
            Err(ResolveError::Closed) => "closed",
            Err(_) => "failed",
        };
        conn.write(text.as_bytes());
        Err(Close::Done)
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Ok(())
    }
}

impl Resolve for Stranger {
    fn resolved(&mut self, _: &mut Scope<'_>, _: &mut Sessions<()>, _: Resolved) {}
}

/// A worker that the resolver has never heard of is refused, and does not fall.
#[test]
fn a_resolver_of_a_smaller_server_refuses() {
    let resolver = Resolver::with_lookup(Default::default(), |_| Ok(Vec::new()));
    let (one, two) = (resolver.clone(), resolver.clone());
    let small = serve(move || Stranger { resolver: one.clone() }).resolver(&resolver).workers(1);
    let small = small.tcp("127.0.0.1:0").bind().unwrap();
    let large = serve(move || Stranger { resolver: two.clone() });
    let large =
        Running::start(large.config(Config::default().workers(2).limits(limits())).tcp("127.0.0.1:0"));
    let mut stream = large.connect();
    expect(&mut stream, b"closed");
    expect_end(&mut stream);
    drop(stream);
    large.stop();
    drop(small);
}

/// Calls whoever refuses from every callback there is, and counts what it is told.
struct Caller {
    nobody: SocketAddr,
    told: Sender<u64>,
    ticks: u64,
}

const CALLS: [u64; 6] = [1, 2, 3, 4, 5, 6];

impl Caller {
    fn connect(&self, tag: u64) -> Connect {
        // Both ends of what may be asked for.
        let timeout = if tag.is_multiple_of(2) { Duration::MAX } else { LONG };
        Connect::to(self.nobody).tag(tag).timeout(timeout)
    }
}

impl Service for Caller {
    type Session = ();
    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
        scope.connect(self.connect(1)).unwrap();
    }
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        conn.connect(self.connect(2))?;
        conn.wake_at(conn.now());
        Ok(())
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn timeout(&mut self, conn: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        conn.connect(self.connect(3))?;
        Err(Close::Timeout)
    }
    fn closed(&mut self, conn: &mut Conn<'_>, _: (), _: Close) {
        let id = conn.connect(self.connect(4)).unwrap();
        assert_ne!(id, conn.id());
        // Taken back before it began.
        let id = conn.connect(self.connect(5).after(Duration::MAX)).unwrap();
        assert!(conn.other(id).is_none());
        assert!(conn.cancel_connect(id));
    }
    fn tick(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>, _: Tick) {
        self.ticks += 1;
        if self.ticks == 1 {
            scope.connect(self.connect(6).timeout(Duration::ZERO)).unwrap();
        }
    }
    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        _: &mut Sessions<()>,
        id: ConnId,
        tag: u64,
        _: ConnectError,
    ) {
        assert!(scope.conn(id).is_none() && !scope.cancel_connect(id));
        let _ = self.told.send(tag);
        if (1000..4000).contains(&tag) {
            // Again and again, a turn each.
            scope.connect(self.connect(tag + 1)).unwrap();
        }
        if tag == 1 {
            scope.connect(self.connect(1000)).unwrap();
        }
    }
}

#[test]
fn every_callback_may_call_and_thousands_of_refusals_leave_nothing() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (told, hear) = channel();
    let make = move || Caller { nobody, told: told.clone(), ticks: 0 };
    // Few places: what ends gives its place back at once.
    let limits = Limits { connecting_max: 8, connections_max: 12, ..limits() };
    let tick = Duration::from_millis(20);
    let server = Running::start(serve(make).tick(tick).config(one_worker(limits)).tcp("127.0.0.1:0"));
    let mut stream = server.connect();
    let mut seen = Vec::new();
    while !(CALLS.iter().all(|tag| seen.contains(tag)) && seen.contains(&4000)) {
        seen.push(hear.recv_timeout(LONG).expect("each call has its end"));
    }
    expect_end(&mut stream);
    drop(stream);
    let counters = server.wait_for("all to be gone", |counters| counters.connections == 0);
    assert_eq!(counters.connects, counters.connects_failed);
    assert_eq!((counters.connecting, counters.connects_over_limit), (0, 0));
    // Nothing is left to wake up for.
    let before = server.counters().polls;
    thread::sleep(Duration::from_millis(200));
    let polls = server.counters().polls - before;
    assert!(polls <= 40, "{polls} turns for ten ticks");
    server.stop();
}

/// Peers of a proxy that end in every way, at both ends, many at once: each stream arrives whole up to
/// its end, or is seen to be cut off, and nothing is left.
#[test]
fn a_proxy_whose_peers_misbehave_keeps_nothing_and_hides_no_cut() {
    const LEN: usize = 700_000;
    // The first byte says what the upstream does with what follows.
    let addr = upstream(|mut stream| {
        let mut how = [0];
        if stream.read_exact(&mut how).is_err() {
            return;
        }
        match how[0] % 4 {
            // Sends its own, and only then reads.
            0 => {
                if stream.write_all(&pattern(LEN)).is_ok() && stream.shutdown(Shutdown::Write).is_ok() {
                    let _ = std::io::copy(&mut stream, &mut std::io::sink());
                }
            }
            // Reads all, and then sends.
            1 => {
                if std::io::copy(&mut stream, &mut std::io::sink()).is_ok() {
                    let _ = stream.write_all(&pattern(LEN));
                }
            }
            // Sends, and resets with input unread.
            2 => {
                let _ = stream.write_all(&pattern(LEN));
                reset_on_drop(&stream);
            }
            // Resets at once.
            _ => reset_on_drop(&stream),
        }
    });
    for workers in [1, 2] {
        let config = Config::default().workers(workers).limits(limits());
        let server = Running::start(serve(Proxy::to(addr)).config(config).tcp("127.0.0.1:0"));
        let proxy = server.addr();
        let peers: Vec<_> = (0..48u8)
            .map(|n| {
                thread::spawn(move || {
                    let mut stream = connect(proxy);
                    let sending = (n % 8 < 4).then(|| {
                        let mut bytes = vec![n];
                        bytes.extend(pattern(LEN));
                        let mut stream = stream.try_clone().unwrap();
                        thread::spawn(move || {
                            let _ = stream.write_all(&bytes);
                            let _ = stream.shutdown(Shutdown::Write);
                        })
                    });
                    if sending.is_none() {
                        let _ = stream.write_all(&[n]);
                        let _ = stream.shutdown(Shutdown::Write);
                    }
                    if n % 16 == 5 {
                        // Gone in the middle.
                        reset_on_drop(&stream);
                        return;
                    }
                    let mut got = Vec::new();
                    let result = stream.read_to_end(&mut got);
                    if let Some(sending) = sending {
                        sending.join().unwrap();
                    }
                    let wanted = pattern(LEN);
                    assert!(got == wanted[..got.len()], "other bytes than sent to {n}");
                    match n % 4 {
                        0 | 1 => {
                            assert!(result.is_ok() && got.len() == LEN, "{n}: {result:?}, {}", got.len())
                        }
                        _ => assert!(result.is_err(), "{n}: {} bytes look whole", got.len()),
                    }
                })
            })
            .collect();
        for peer in peers {
            peer.join().unwrap();
        }
        let counters = server.wait_for("all to be gone", |counters| counters.connections == 0);
        assert_eq!(counters.connects, counters.connects_done + counters.connects_failed);
        assert_eq!(counters.buffered_bytes, 0);
        server.stop();
    }
}

/// Pairs in full flow, and nobody reads at the ends: a stop ends all of them at once.
#[test]
fn a_stop_ends_relays_in_full_flow() {
    for graceful in [false, true] {
        let server = Running::start(
            serve(Proxy::to(echo_threads()))
                .config(one_worker(Limits { drain_timeout: Duration::from_millis(300), ..limits() }))
                .tcp("127.0.0.1:0"),
        );
        let senders: Vec<_> = (0..8)
            .map(|_| {
                let mut stream = server.connect();
                thread::spawn(move || while stream.write_all(&[7; 65536]).is_ok() {})
            })
            .collect();
        server.wait_for("them to be stuck", |counters| counters.relayed_bytes > 16 << 20);
        if graceful {
            server.handle.shutdown();
            server.ended_well();
        } else {
            server.stop();
        }
        for sender in senders {
            sender.join().unwrap();
        }
    }
}

/// Worker 0 is held by a callback when the server begins to drain, and lets its connection move then.
#[derive(Clone)]
struct Late {
    told: Sender<&'static str>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Service for Late {
    /// Keeps its worker from ending.
    type Session = bool;
    fn place(&mut self, _: Peer, listener: usize) -> Placement {
        Placement::Worker(listener)
    }
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<bool, Close> {
        Ok(conn.id().worker() == 1)
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut bool, input: &mut Input<'_>) -> Result<(), Close> {
        if conn.id().worker() == 0 {
            let _ = self.told.send("held");
            drop(self.gate.1.wait_while(self.gate.0.lock().unwrap(), |open| !*open).unwrap());
            return Ok(conn.move_to(1)?);
        }
        conn.write(input.take_all());
        Ok(())
    }
    fn draining(&mut self, conn: &mut Conn<'_>, keeps: &mut bool) -> Result<(), Close> {
        if *keeps {
            conn.wake_at(conn.now() + Duration::from_secs(1));
            let _ = self.told.send("draining");
            return Ok(());
        }
        Err(Close::Shutdown)
    }
}

impl Move for Late {
    type Seed = ();
    fn move_out(&mut self, _: &mut Conn<'_>, _: bool) {}
    fn move_in(&mut self, _: &mut Conn<'_>, (): ()) -> Result<bool, Close> {
        Ok(false)
    }
}

/// What a connection sent before the server stopped is answered, though it arrives at a worker that
/// drains already.
#[test]
fn who_moves_to_a_worker_that_drains_is_answered_first() {
    let gate: Arc<(Mutex<bool>, Condvar)> = Arc::default();
    let (told, hear) = channel();
    let service = Late { told, gate: gate.clone() };
    let config = Config { rebalance_lead: 0, ..Config::default().workers(2).limits(limits()) };
    let serve = serve(move || service.clone()).movable().config(config);
    let server = Running::start(serve.tcp("127.0.0.1:0").tcp("127.0.0.1:0"));
    let mut keeper = connect(server.addrs[1]);
    round_trip(&mut keeper, b"here");
    let mut stream = server.connect();
    stream.write_all(b"answer me").unwrap();
    assert_eq!(hear.recv_timeout(LONG), Ok("held"));
    server.handle.shutdown();
    assert_eq!(hear.recv_timeout(LONG), Ok("draining"));
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    expect(&mut stream, b"answer me");
    expect_end(&mut stream);
    drop((stream, keeper));
    server.ended_well();
}

/// Couples the second connection with the first, paused at once, with input left untaken.
struct Held {
    first: Option<ConnId>,
    told: Sender<usize>,
}

impl Service for Held {
    type Session = ();
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        if self.first.is_none() {
            self.first = Some(conn.id());
            conn.write(b"first");
        }
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        assert!(conn.relay(self.first.expect("one waits")));
        conn.pause();
        conn.wake_at(conn.now() + Duration::from_millis(100));
        Ok(())
    }
    fn timeout(&mut self, conn: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        let _ = self.told.send(conn.relayed().map_or(0, |relayed| relayed.received as usize));
        conn.resume();
        Ok(())
    }
}

/// A pause stops what a coupled connection sends, what it had sent before included.
#[test]
fn a_paused_end_of_a_relay_sends_nothing() {
    let (told, hear) = channel();
    let make = move || Held { first: None, told: told.clone() };
    let server = Running::start(serve(make).config(one_worker(limits())).tcp("127.0.0.1:0"));
    let mut first = server.connect();
    expect(&mut first, b"first");
    let mut second = server.connect();
    second.write_all(b"untaken").unwrap();
    second.shutdown(Shutdown::Write).unwrap();
    assert_eq!(hear.recv_timeout(LONG), Ok(0), "paused");
    expect(&mut first, b"untaken");
    expect_end(&mut first);
    first.shutdown(Shutdown::Write).unwrap();
    expect_end(&mut second);
    server.stop();
}

/// Looks the same name up twice, and ends with the first answer.
struct Hasty {
    resolver: Resolver,
}

impl Service for Hasty {
    type Session = ();
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        for port in [1, 2] {
            assert!(matches!(self.resolver.lookup(conn, "name.example", port)?, Lookup::Pending(_)));
        }
        Ok(())
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Ok(())
    }
}

impl Resolve for Hasty {
    fn resolved(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>, resolved: Resolved) {
        assert_eq!(resolved.port, 1, "whoever is about to end expects no more");
        assert!(resolved.result.is_err(), "there was no address in the answer");
        let mut conn = scope.conn(resolved.conn.expect("asked for one")).expect("it is open");
        conn.write(b"first");
        conn.close();
    }
}

/// Every lookup that waited is answered or counted as cancelled.
#[test]
fn a_lookup_whose_connection_is_ending_is_counted() {
    let resolver = Resolver::with_lookup(Default::default(), |_| Ok(Vec::new()));
    let in_service = resolver.clone();
    let serve = serve(move || Hasty { resolver: in_service.clone() }).resolver(&resolver);
    let server = Running::start(serve.config(one_worker(limits())).tcp("127.0.0.1:0"));
    let mut stream = server.connect();
    expect(&mut stream, b"first");
    expect_end(&mut stream);
    drop(stream);
    server.wait_for("it to be gone", |counters| counters.connections == 0);
    let stats = resolver.stats();
    assert_eq!((stats.lookups, stats.joined, stats.cancelled, stats.waiting), (2, 1, 1, 0));
    server.stop();
}

/// Answers at length and wants to move; whoever cannot leave is answered where it is.
struct Stuck;

const LONG_REPLY: usize = 12 << 20;

impl Service for Stuck {
    /// It has asked to be moved.
    type Session = bool;
    fn place(&mut self, _: Peer, _: usize) -> Placement {
        Placement::Worker(0)
    }
    fn open(&mut self, _: &mut Conn<'_>) -> Result<bool, Close> {
        Ok(false)
    }
    fn data(&mut self, conn: &mut Conn<'_>, asked: &mut bool, input: &mut Input<'_>) -> Result<(), Close> {
        if std::mem::replace(asked, true) {
            conn.write(input.take_all());
            return Ok(());
        }
        conn.write(&pattern(LONG_REPLY));
        Ok(conn.move_to(1)?)
    }
}

impl Move for Stuck {
    type Seed = bool;
    fn move_out(&mut self, _: &mut Conn<'_>, asked: bool) -> bool {
        asked
    }
    fn move_in(&mut self, _: &mut Conn<'_>, asked: bool) -> Result<bool, Close> {
        Ok(asked)
    }
}

/// One that waits to move when a drain begins stays, and is answered before it is told.
#[test]
fn who_is_about_to_move_when_a_drain_begins_is_answered_first() {
    // Much output, and no congestion: that would hold its input back by itself.
    let limits = Limits { output_high: 2 * LONG_REPLY, ..limits() };
    let config = Config { rebalance_lead: 0, ..Config::default().workers(2).limits(limits) };
    let server = Running::start(serve(|| Stuck).movable().config(config).tcp("127.0.0.1:0"));
    let mut stream = server.connect();
    stream.write_all(b"the rest").unwrap();
    server.wait_for("the reply to be stuck", |counters| counters.buffered_bytes > 0);
    server.handle.shutdown();
    server.wait_for("the drain", |_| std::net::TcpStream::connect(server.addr()).is_err());
    expect(&mut stream, &pattern(LONG_REPLY));
    expect(&mut stream, b"the rest");
    expect_end(&mut stream);
    drop(stream);
    assert_eq!(server.ended_well().stats.counters.moved_out, 0);
}

//! Changing a server while it serves: what is named changes, everything else goes on, and a change that
//! cannot be made whole is not made at all.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use windlass::{
    Change, Close, Config, Conn, Datagram, DatagramService, Input, Limits, Mailbox, Receive, Scope,
    SendError, Server, Service, Sessions, Socket, serve,
};

use crate::harness::*;

/// Says its name and the listener's tag to everybody who comes, then sends everything back.
struct Greeter {
    name: &'static str,
    alive: Arc<AtomicUsize>,
    /// Ends its connections when it is told of a drain.
    ends: bool,
}

impl Service for Greeter {
    type Session = ();
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        let draining = if conn.is_draining() { " draining" } else { "" };
        conn.write(format!("{} {}{draining}\n", self.name, conn.listener_tag()).as_bytes());
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        Ok(())
    }
    fn draining(&mut self, conn: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        conn.write(b"told\n");
        if self.ends { Err(Close::Shutdown) } else { Ok(()) }
    }
}

impl Drop for Greeter {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl DatagramService for Greeter {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        socket.reply(&datagram, self.name.as_bytes());
    }
}

impl Receive for Greeter {
    type Message = String;
    fn receive(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<()>, message: String) {
        sessions.each(scope, |conn, ()| conn.write(message.as_bytes()));
    }
}

/// Values of services, and how many of them there are.
#[derive(Clone, Default)]
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn greeter(&self, name: &'static str) -> windlass::Serve<Greeter> {
        self.make(name, false)
    }

    fn ender(&self, name: &'static str) -> windlass::Serve<Greeter> {
        self.make(name, true)
    }

    fn make(&self, name: &'static str, ends: bool) -> windlass::Serve<Greeter> {
        let alive = self.0.clone();
        let make = move || {
            alive.fetch_add(1, Ordering::SeqCst);
            Greeter { name, alive: alive.clone(), ends }
        };
        serve(make).name(name)
    }

    fn wait_for(&self, n: usize) {
        wait_until(&format!("{n} values alive"), || self.0.load(Ordering::SeqCst) == n);
    }
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn two_workers(limits: Limits) -> Config {
    Config::default().workers(2).limits(limits)
}

fn start(config: Config, services: impl FnOnce(Server) -> Server) -> Running {
    Running::run(services(Server::new(config)).bind().expect("binds"))
}

fn greeted(addr: SocketAddr, greeting: &str) -> TcpStream {
    let mut stream = connect(addr);
    expect(&mut stream, greeting.as_bytes());
    stream
}

/// Nobody listens there.
fn refused(addr: SocketAddr) {
    match TcpStream::connect(addr) {
        Err(e) => assert_eq!(e.kind(), ErrorKind::ConnectionRefused),
        Ok(stream) => panic!("{stream:?} was taken in"),
    }
}

/// What a server is said to consist of.
fn picture(server: &Running) -> (Vec<String>, Limits) {
    let listeners = server.handle.listener_connections();
    (listeners.into_iter().map(|(name, _)| name).collect(), server.handle.limits())
}

#[test]
fn services_and_listeners_come_and_go_while_others_stay() {
    let alive = Alive::default();
    let server = start(two_workers(limits()), |s| s.add(alive.ender("old").tcp("127.0.0.1:0")));
    let first = server.addr();
    let mut stays = greeted(first, "old 0\n");

    let path = SocketPath::new();
    let change = Change::new()
        .add(alive.ender("new").tcp("127.0.0.1:0").tag(7).unix(&path.0).tag(8))
        .listen("old", "127.0.0.1:0")
        .tag(9);
    let applied = server.handle.apply(change).unwrap();
    assert!(applied.is_everywhere());
    alive.wait_for(4);
    let at: Vec<_> = applied.addresses().iter().map(|at| at.tcp()).collect();
    let (new, second) = (at[0].unwrap(), at[2].unwrap());
    let mut of_new = greeted(new, "new 7\n");
    let mut of_second = greeted(second, "old 9\n");
    let mut of_unix = path.connect();
    expect(&mut of_unix, b"new 8\n");
    for stream in [&mut stays, &mut of_new, &mut of_second] {
        round_trip(stream, b"there and back");
    }

    server.handle.apply(Change::new().unlisten("old", first.to_string())).unwrap();
    refused(first);
    round_trip(&mut stays, b"a listener's connections stay");

    server.handle.apply(Change::new().remove("new")).unwrap();
    refused(new);
    assert!(!path.0.exists(), "its file is gone");
    expect(&mut of_new, b"told\n");
    expect_end(&mut of_new);
    expect(&mut of_unix, b"told\n");
    drop((of_new, of_unix));
    alive.wait_for(2);
    round_trip(&mut stays, b"still");
    round_trip(&mut of_second, b"still");
    drop((stays, of_second));
    server.ended_by_shutdown();
    assert_eq!(alive.0.load(Ordering::SeqCst), 0);
}

#[test]
fn what_cannot_be_changed_whole_is_not_changed_at_all() {
    let alive = Alive::default();
    let server = start(two_workers(limits()), |s| {
        s.add(alive.greeter("one").tcp("127.0.0.1:0"))
            .add(alive.greeter("twin").tcp("127.0.0.1:0"))
            .add(alive.greeter("twin").tcp("127.0.0.1:0"))
    });
    alive.wait_for(6);
    let before = picture(&server);
    let used = TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = used.local_addr().unwrap().to_string();
    let (good, path) = ("127.0.0.1:0", SocketPath::new());
    let unix = format!("unix:{}", path.0.display());
    let mailbox = Mailbox::new();
    let bound_already = Mailbox::new();
    let own = alive.greeter("mail").mailbox(&bound_already);
    server.handle.apply(Change::new().add(own)).unwrap();
    alive.wait_for(8);
    let wide = Limits { output_low: 2, output_high: 1, ..limits() };
    let changes = [
        (Change::new().listen("one", good).listen("one", &unix).listen("one", &in_use), "in use"),
        (Change::new().add(alive.greeter("x").tcp(good).tcp(&in_use).mailbox(&mailbox)), "in use"),
        (Change::new().remove("one").listen("twin", good), "several services twin"),
        (Change::new().listen("one", good).remove("nobody"), "no service nobody"),
        (Change::new().listen("one", &unix).unlisten("one", "127.0.0.1:9"), "does not listen on 127.0.0.1:9"),
        (Change::new().listen("one", "nonsense"), "no port"),
        (Change::new().listen("one", "udp:127.0.0.1:0"), "serves no datagrams"),
        (Change::new().remove("one").listen("one", good), "removed by the same change"),
        (Change::new().add(alive.greeter("one").tcp(good)), "a service one already"),
        (Change::new().add(alive.greeter("x")).add(alive.greeter("x")), "a service x already"),
        (Change::new().listen("one", good).limits(wide), "output_low"),
        (Change::new().add(alive.greeter("x").tick(Duration::ZERO)), "tick of x"),
        (Change::new().idle_timeout("one", Some(Duration::from_secs(1 << 30))), "20 days"),
        (Change::new().add(alive.greeter("x").tcp(good).mailbox(&bound_already)), "one service only"),
    ];
    for (change, wrong) in changes {
        let what = format!("{change:?}");
        let error = server.handle.apply(change).expect_err(&what).to_string();
        assert!(error.contains(wrong), "{what}: {error}");
        assert_eq!(picture(&server), before, "{what}");
    }
    assert!(!path.0.exists(), "no file is left behind");
    assert!(matches!(mailbox.send(0, String::new()), Err(SendError::Closed(_))));
    assert_eq!(bound_already.send(0, String::new()), Ok(()), "another's mailbox is left alone");
    assert_eq!(alive.0.load(Ordering::SeqCst), 8, "no value was made");
    greeted(server.addr(), "one 0\n");
    server.handle.apply(Change::new()).expect("nothing is a change too");
    server.stop();
}

#[test]
fn an_address_that_is_given_up_and_wanted_goes_on_without_a_gap() {
    let alive = Alive::default();
    let path = SocketPath::new();
    let limits = Limits { drain_timeout: Duration::from_secs(20), ..limits() };
    let server = start(two_workers(limits), |s| {
        s.add(alive.greeter("a").tcp("127.0.0.1:0").unix(&path.0).udp("127.0.0.1:0"))
    });
    let listeners: Vec<String> = picture(&server).0;
    let tcp = server.addr();
    let udp: SocketAddr = listeners[2].strip_prefix("udp:").unwrap().parse().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..3)
        .map(|n| {
            let (over, path) = (over.clone(), path.0.clone());
            thread::spawn(move || {
                let mut calls = 0;
                while !over.load(Ordering::SeqCst) {
                    let mut greeting = [0; 4];
                    if n == 0 {
                        connect_unix(&path).read_exact(&mut greeting).expect("greeted");
                    } else {
                        connect(tcp).read_exact(&mut greeting).expect("greeted");
                    }
                    assert!(b"ab".contains(&greeting[0]), "{greeting:?}");
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    let mut old = greeted(tcp, "a 0\n");
    for n in 0..40 {
        let (old, name) = if n % 2 == 0 { ("a", "b") } else { ("b", "a") };
        let next = alive.ender(name).tcp(tcp.to_string()).unix(&path.0).udp(udp.to_string());
        let applied = server.handle.apply(Change::new().remove(old).add(next)).unwrap();
        let at: Vec<_> = applied.addresses().iter().map(|at| at.to_string()).collect();
        assert_eq!(at, listeners);
        let asked = UdpSocket::bind("127.0.0.1:0").unwrap();
        asked.set_read_timeout(Some(LONG)).unwrap();
        asked.send_to(b"?", udp).unwrap();
        let mut answer = [0; 16];
        let len = asked.recv(&mut answer).expect("an answer");
        assert_eq!(&answer[..len], name.as_bytes());
    }
    over.store(true, Ordering::SeqCst);
    let calls: u64 =
        callers.into_iter().map(|caller| caller.join().expect("nobody was refused or reset")).sum();
    assert!(calls > 0);
    expect(&mut old, b"told\n");
    round_trip(&mut old, b"its deadline is far");
    assert!(path.0.exists());
    drop(old);
    alive.wait_for(2);
    let counters = server.counters();
    assert_eq!(counters.closed_by("aborted"), 0, "{counters:#?}");
    server.ended_by_shutdown();
    assert!(!path.0.exists());
}

#[test]
fn a_thousand_changes_use_the_same_numbers_again() {
    struct Numbers(Arc<AtomicUsize>);
    impl Service for Numbers {
        type Session = ();
        fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
            self.0.fetch_max(conn.listener().unwrap(), Ordering::SeqCst);
            conn.write(b"!");
            Ok(())
        }
        fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
            Ok(())
        }
    }
    let highest = Arc::new(AtomicUsize::new(0));
    let server = start(two_workers(limits()), |s| s.add(serve(|| Echo).name("stays").tcp("127.0.0.1:0")));
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mut early = None;
    for n in 0..1000 {
        let highest = highest.clone();
        let one = serve(move || Numbers(highest.clone())).name("one").tcp("127.0.0.1:0");
        let applied = server.handle.apply(Change::new().add(one).listen("stays", "127.0.0.1:0")).unwrap();
        let (at, more) = (applied.addresses()[0].tcp().unwrap(), applied.addresses()[1].tcp().unwrap());
        let mut stream = connect(at);
        expect(&mut stream, b"!");
        reset_on_drop(&stream);
        drop(stream);
        server.handle.apply(Change::new().remove("one").unlisten("stays", more.to_string())).unwrap();
        if n == 100 {
            early = Some(descriptors());
        }
    }
    assert!(highest.load(Ordering::SeqCst) < 60, "numbers go up to {highest:?}");
    wait_until("all listeners but one are forgotten", || picture(&server).0.len() == 1);
    // Those of other tests are among them, and go.
    let few = early.unwrap() + 100;
    wait_until("all descriptors are closed but some", || descriptors() < few);
    server.stop();
}

#[test]
fn limits_change_and_deadlines_with_them() {
    let patient = Limits { idle_timeout: Duration::from_secs(600), ..limits() };
    let server = start(two_workers(patient.clone()), |s| {
        s.add(serve(|| Echo).name("echo").tcp("127.0.0.1:0"))
            .add(serve(|| Echo).name("own").tcp("127.0.0.1:0").idle_timeout(Duration::from_secs(500)))
    });
    let (mut idle, mut own) = (server.connect(), connect(server.addrs[1]));
    round_trip(&mut idle, b"there");
    round_trip(&mut own, b"there");
    let hasty = Limits { idle_timeout: Duration::from_millis(50), ..patient.clone() };
    server.handle.apply(Change::new().limits(hasty)).unwrap();
    expect_end(&mut idle);
    assert_eq!(server.handle.limits().idle_timeout, Duration::from_millis(50));
    round_trip(&mut own, b"it has a timeout of its own");
    server.handle.apply(Change::new().idle_timeout("own", Some(Duration::from_millis(40)))).unwrap();
    expect_end(&mut own);
    drop((idle, own));

    let few = Limits { connections_max: 1, ..patient.clone() };
    server.handle.apply(Change::new().limits(few)).unwrap();
    server.wait_for("room", |counters| counters.connections == 0);
    let mut first = server.connect();
    round_trip(&mut first, b"in");
    let mut second = server.connect();
    second.write_all(b"waits").unwrap();
    server.wait_for("a full server", |counters| counters.accept_paused_full > 0);
    server.handle.apply(Change::new().limits(Limits { connections_max: 2, ..patient.clone() })).unwrap();
    expect(&mut second, b"waits");

    let short = Limits { input_max: 4, ..patient };
    server.handle.apply(Change::new().limits(short).input_max("echo", Some(100))).unwrap();
    round_trip(&mut first, &pattern(1000));
    drop((first, second));
    server.stop();
}

#[test]
fn what_stays_while_others_drain_answers_until_the_end() {
    let alive = Alive::default();
    let limits = Limits { drain_timeout: Duration::from_secs(20), ..limits() };
    let server = start(one_worker(limits), |s| {
        s.add(alive.greeter("slow").tcp("127.0.0.1:0"))
            .add(alive.ender("probe").tcp("127.0.0.1:0").while_draining())
    });
    let mut slow = greeted(server.addr(), "slow 0\n");
    let mut probe = greeted(server.addrs[1], "probe 0\n");
    server.handle.shutdown();
    expect(&mut slow, b"told\n");
    refused(server.addr());
    assert!(server.handle.is_draining());
    round_trip(&mut probe, b"it is not told");
    let mut late = greeted(server.addrs[1], "probe 0\n");
    round_trip(&mut late, b"and takes others in");
    drop(slow);
    for stream in [&mut probe, &mut late] {
        expect(stream, b"told\n");
        expect_end(stream);
    }
    drop((probe, late));
    server.ended_well();
}

#[test]
fn what_stays_while_others_drain_ends_with_the_deadline() {
    let alive = Alive::default();
    let limits = Limits { drain_timeout: Duration::from_millis(300), ..limits() };
    let server = start(two_workers(limits), |s| {
        s.add(alive.greeter("slow").tcp("127.0.0.1:0"))
            .add(alive.greeter("probe").tcp("127.0.0.1:0").while_draining())
    });
    let mut slow = greeted(server.addr(), "slow 0\n");
    let mut probe = greeted(server.addrs[1], "probe 0\n");
    server.handle.shutdown();
    read_to_reset(&mut slow);
    // On its worker it is alone, and told; or it goes with the others.
    let mut rest = Vec::new();
    let _ = probe.read_to_end(&mut rest);
    server.ended_well();
}

#[test]
fn a_reserve_is_there_when_the_server_is_full() {
    for when_full in [windlass::WhenFull::Wait, windlass::WhenFull::Shed] {
        let limits = Limits { connections_max: 2, when_full, ..limits() };
        let alive = Alive::default();
        let server = start(two_workers(limits), |s| {
            s.add(serve(|| Echo).tcp("127.0.0.1:0")).add(alive.greeter("probe").tcp("127.0.0.1:0").reserve(2))
        });
        let mut full: Vec<_> = (0..2).map(|_| server.connect()).collect();
        full.iter_mut().for_each(|stream| round_trip(stream, b"in"));
        let probes: Vec<_> = (0..2).map(|_| greeted(server.addrs[1], "probe 0\n")).collect();
        let _third = server.connect();
        let _more = connect(server.addrs[1]);
        server.wait_for("both being kept out", |c| c.accept_paused_full + c.shed_full > 1);
        server.wait_for("everybody else", |c| c.connections == 4 && c.opened == 4);
        drop(probes);
        server.stop();
    }
}

#[test]
fn a_mailbox_comes_and_goes_with_its_service() {
    let alive = Alive::default();
    let server = start(two_workers(limits()), |s| s.add(serve(|| Echo).tcp("127.0.0.1:0")));
    let mailbox = Mailbox::new();
    let one = alive.ender("one").tcp("127.0.0.1:0").mailbox(&mailbox);
    let at = server.handle.apply(Change::new().add(one)).unwrap().addresses()[0].tcp().unwrap();
    let mut stream = greeted(at, "one 0\n");
    mailbox.send_to_all("a message\n".into()).unwrap();
    expect(&mut stream, b"a message\n");
    server.handle.apply(Change::new().remove("one")).unwrap();
    expect(&mut stream, b"told\n");
    drop(stream);
    alive.wait_for(0);
    wait_until("a closed mailbox", || mailbox.send_to_all(String::new()).is_err());
    server.stop();
}

#[test]
fn a_service_that_does_not_let_go_is_removed_at_the_deadline() {
    let alive = Alive::default();
    let limits = Limits { drain_timeout: Duration::from_millis(200), ..limits() };
    let server = start(two_workers(limits), |s| {
        s.add(serve(|| Echo).name("echo").tcp("127.0.0.1:0"))
            .add(alive.greeter("stubborn").tcp("127.0.0.1:0"))
    });
    let mut held = greeted(server.addrs[1], "stubborn 0\n");
    let mut other = server.connect();
    server.handle.apply(Change::new().remove("stubborn")).unwrap();
    assert_eq!(read_to_reset(&mut held), b"told\n");
    alive.wait_for(0);
    round_trip(&mut other, b"not concerned");
    drop(other);
    server.stop();
}

#[test]
fn a_shutdown_wins_over_a_change() {
    for n in 0..20 {
        let alive = Alive::default();
        let server = start(two_workers(limits()), |s| s.add(alive.ender("one").tcp("127.0.0.1:0")));
        let stream = greeted(server.addr(), "one 0\n");
        let (handle, stops) = (server.handle.clone(), server.handle.clone());
        let stopper = thread::spawn(move || {
            thread::sleep(Duration::from_micros(100 * n));
            stops.shutdown();
        });
        let change = |change: Change| match handle.apply(change) {
            Ok(_) => true,
            Err(e) => {
                assert!(e.to_string().contains("shutting down"), "{e}");
                false
            }
        };
        // To the shutdown, which comes in between.
        while change(Change::new().add(alive.ender("more").tcp("127.0.0.1:0")))
            && change(Change::new().remove("more"))
        {}
        stopper.join().unwrap();
        drop(stream);
        server.ended_well();
        assert_eq!(alive.0.load(Ordering::SeqCst), 0);
        assert!(handle.apply(Change::new()).is_err(), "no change is made after it");
    }
}

#[test]
fn a_worker_does_not_change_its_own_server() {
    struct Meddler(Arc<Mutex<Option<windlass::Handle>>>);
    impl Service for Meddler {
        type Session = ();
        fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
            let handle = self.0.lock().unwrap().clone().unwrap();
            conn.write(handle.apply(Change::new()).unwrap_err().to_string().as_bytes());
            Err(Close::Done)
        }
        fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
            Ok(())
        }
    }
    let handle = Arc::new(Mutex::new(None));
    let own = handle.clone();
    let serve = serve(move || Meddler(own.clone())).config(one_worker(limits())).tcp("127.0.0.1:0");
    let server = Running::start(serve);
    *handle.lock().unwrap() = Some(server.handle.clone());
    let mut said = String::new();
    server.connect().read_to_string(&mut said).unwrap();
    assert!(said.contains("would wait for itself"), "{said}");
    server.stop();
}

impl Running {
    /// Shuts it down in good order.
    fn ended_by_shutdown(self) {
        self.handle.shutdown();
        self.ended_well();
    }
}

#[test]
fn who_is_removed_already_is_told_once() {
    let alive = Alive::default();
    let limits = Limits { drain_timeout: Duration::from_secs(3), ..limits() };
    let server = start(one_worker(limits), |s| {
        s.add(serve(|| Echo).tcp("127.0.0.1:0"))
            .add(alive.greeter("probe").tcp("127.0.0.1:0").while_draining())
    });
    let mut probe = greeted(server.addrs[1], "probe 0\n");
    server.handle.apply(Change::new().remove("probe")).unwrap();
    expect(&mut probe, b"told\n");
    server.handle.shutdown();
    for _ in 0..4 {
        thread::sleep(Duration::from_millis(20));
        round_trip(&mut probe, b"a turn");
    }
    assert_eq!(read_to_reset(&mut probe), b"");
    server.ended_well();
}

/// Where there are no others, nothing has to happen for those who stay to be told.
#[test]
fn what_stays_while_others_drain_ends_at_once_where_there_are_none() {
    let alive = Alive::default();
    let limits = Limits { drain_timeout: Duration::from_secs(20), ..limits() };
    for clients in [0, 1] {
        let server = start(two_workers(limits.clone()), |s| {
            s.add(serve(|| Echo).tcp("127.0.0.1:0"))
                .add(alive.ender("probe").tcp("127.0.0.1:0").while_draining())
        });
        let mut probes: Vec<_> = (0..clients).map(|_| greeted(server.addrs[1], "probe 0\n")).collect();
        thread::sleep(Duration::from_millis(50));
        let begun = Instant::now();
        server.handle.shutdown();
        for probe in &mut probes {
            expect(probe, b"told\n");
            expect_end(probe);
        }
        drop(probes);
        server.ended_well();
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}

/// Has everybody on worker 0; the other one takes its time to send them there.
struct Slowly {
    worker: usize,
    asked: Arc<AtomicBool>,
}

impl Service for Slowly {
    type Session = ();
    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
        self.worker = scope.worker();
    }
    fn place(&mut self, _: windlass::Peer, _: usize) -> windlass::Placement {
        if self.worker == 1 {
            self.asked.store(true, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(300));
        }
        windlass::Placement::Worker(0)
    }
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        Ok(())
    }
    fn draining(&mut self, _: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        Ok(())
    }
}

#[test]
fn who_comes_to_a_service_when_its_time_is_over_is_aborted_too() {
    let limits = Limits { drain_timeout: Duration::ZERO, ..limits() };
    let server = start(two_workers(limits), |s| s.add(serve(|| Echo).tcp("127.0.0.1:0")));
    let asked = Arc::new(AtomicBool::new(false));
    let told = asked.clone();
    let make = move || Slowly { worker: 0, asked: told.clone() };
    let slowly = serve(make).name("slowly").tcp("127.0.0.1:0");
    let at = server.handle.apply(Change::new().add(slowly)).unwrap().addresses()[0].tcp().unwrap();
    let mut clients = Vec::new();
    wait_until("the other worker to have one", || {
        clients.push(connect(at));
        asked.load(Ordering::SeqCst)
    });
    server.handle.apply(Change::new().remove("slowly")).unwrap();
    for client in &mut clients {
        let mut rest = Vec::new();
        let end = client.read_to_end(&mut rest);
        assert!(!matches!(&end, Err(e) if e.kind() == ErrorKind::WouldBlock), "{end:?}");
    }
    wait_until("its end", || server.handle.services().len() == 1);
    server.stop();
}

/// Closes the socket to which something is sent.
struct Closes;

impl DatagramService for Closes {
    fn datagram(&mut self, socket: &mut Socket<'_>, _: Datagram<'_>) {
        socket.close();
    }
}

impl Service for Closes {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Ok(())
    }
}

#[test]
fn an_address_whose_socket_its_service_has_closed_is_opened_again() {
    let alive = Alive::default();
    let server = start(one_worker(limits()), |s| {
        s.add(serve(|| Echo).tcp("127.0.0.1:0"))
            .add(serve(|| Closes).name("one").datagrams().listen("udp:127.0.0.1:0"))
    });
    let at = server.handle.listener_connections()[1].0.clone();
    let asks = UdpSocket::bind("127.0.0.1:0").unwrap();
    asks.set_read_timeout(Some(LONG)).unwrap();
    asks.connect(at.strip_prefix("udp:").unwrap()).unwrap();
    // Or the end would be seen before the beginning, on a slow machine.
    server.wait_for("its socket", |c| c.sockets == 1);
    asks.send(b"close").unwrap();
    server.wait_for("its end", |c| c.sockets == 0);
    let next = alive.greeter("two").datagrams().listen(&at);
    server.handle.apply(Change::new().remove("one").add(next)).unwrap();
    let mut back = [0; 16];
    // What was sent to nobody may be told of first.
    let got = (0..2).find_map(|_| {
        asks.send(b"who is there?").ok()?;
        asks.recv(&mut back).ok()
    });
    assert_eq!(got.map(|n| &back[..n]), Some(&b"two"[..]));
    server.handle.apply(Change::new().remove("two")).unwrap();
    wait_until("nothing but the other", || server.handle.listener_connections().len() == 1);
    server.stop();
}

/// Does not get beyond its start.
struct Fails;

impl Service for Fails {
    type Session = ();
    fn start(&mut self, _: &mut Scope<'_>, _: &mut Sessions<()>) {
        panic!("it fails, as it should here");
    }
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Ok(())
    }
}

#[test]
fn who_was_a_worker_of_a_server_that_failed_changes_another() {
    let failing = serve(|| Fails).config(one_worker(limits())).tcp("127.0.0.1:0").bind().unwrap();
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| failing.run()));
    assert!(failed.is_err());
    let server = echo(limits());
    server.handle.apply(Change::new().listen("Echo", "127.0.0.1:0")).unwrap();
    server.stop();
}

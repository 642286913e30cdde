//! Limits on connections: how many, how fast, and what becomes of those who are too many.

use std::io::Read;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use windlass::{Config, Limits, Server, WhenFull, serve};

use crate::harness::*;

/// Whether a connection is served: it gets its echo soon.
fn is_served(stream: &mut TcpStream) -> bool {
    use std::io::Write;
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut back = [0; 2];
    let served = stream.write_all(b"hi").and_then(|()| stream.read_exact(&mut back)).is_ok();
    stream.set_read_timeout(Some(LONG)).unwrap();
    served
}

/// Each leaves as soon as it is served, and makes place for the next.
fn all_in_turn(waiting: &mut Vec<TcpStream>) {
    for stream in &mut *waiting {
        stream.set_nonblocking(true).unwrap();
        std::io::Write::write_all(stream, b"hi").unwrap();
    }
    let begun = Instant::now();
    while !waiting.is_empty() {
        assert!(begun.elapsed() < LONG, "{} still wait", waiting.len());
        waiting.retain_mut(|stream| match stream.read(&mut [0; 2]) {
            Ok(n) => {
                assert_eq!(n, 2, "served, not sent away");
                false
            }
            Err(e) => {
                assert_eq!(e.kind(), std::io::ErrorKind::WouldBlock, "nobody is reset");
                true
            }
        });
    }
}

fn is_reset(stream: &mut TcpStream) -> bool {
    stream.read(&mut [0]).is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset)
}

#[test]
fn over_connections_max_newcomers_wait() {
    let server = echo(Limits { connections_max: 3, ..limits() });
    let mut streams: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for stream in &mut streams {
        round_trip(stream, b"hello");
    }
    let mut fourth = server.connect();
    assert!(!is_served(&mut fourth));
    let counters = server.counters();
    assert_eq!((counters.connections, counters.accept_paused_full, counters.shed_full), (3, 1, 0));
    thread::sleep(Duration::from_millis(300));
    let polls = server.counters().polls - counters.polls;
    assert!(polls < 60, "{polls} polls in 0.3 s while full");
    streams.pop();
    // The "hi" it sent while it waited.
    expect(&mut fourth, b"hi");
    round_trip(&mut fourth, b"hello");
    assert_eq!(server.counters().connections, 3);
    server.stop();
}

#[test]
fn over_connections_max_newcomers_are_shed() {
    let server = echo(Limits { connections_max: 3, when_full: WhenFull::Shed, ..limits() });
    let mut streams: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for stream in &mut streams {
        round_trip(stream, b"hello");
    }
    for n in 1..=5 {
        assert!(is_reset(&mut server.connect()));
        server.wait_for("the count", |c| c.shed_full == n);
    }
    streams.pop();
    server.wait_for("the place", |c| c.connections == 2);
    round_trip(&mut server.connect(), b"hello");
    server.stop();
}

#[test]
fn connections_max_holds_over_all_workers() {
    for when_full in [WhenFull::Wait, WhenFull::Shed] {
        let limits = Limits { connections_max: 10, when_full, ..limits() };
        let config = Config::default().workers(3).limits(limits);
        let server = Running::start(serve(|| Echo).config(config).tcp("127.0.0.1:0"));
        let mut streams: Vec<_> = (0..40).map(|_| server.connect()).collect();
        server.wait_for("the limit", |c| c.connections == 10);
        thread::sleep(Duration::from_millis(100));
        let counters = server.counters();
        assert_eq!((counters.connections, counters.opened), (10, 10));
        if when_full == WhenFull::Wait {
            all_in_turn(&mut streams);
            assert_eq!(server.wait_for("their end", |c| c.connections == 0).opened, 40);
        }
        server.stop();
    }
}

/// All workers decide at once, on counts that the others are changing.
#[test]
fn limits_are_exact_when_workers_race() {
    for of_listener in [true, false] {
        for _ in 0..10 {
            let (all, one) = if of_listener { (1000, 10) } else { (10, 0) };
            let when_full = WhenFull::Shed;
            let limits =
                Limits { connections_max: all, listener_connections_max: one, when_full, ..limits() };
            let config = Config::default().workers(3).limits(limits);
            let bound = serve(|| Echo).config(config).tcp("127.0.0.1:0").bind().unwrap();
            let addr = bound.addresses()[0].tcp().unwrap();
            let streams: Vec<_> = (0..150).map(|_| connect(addr)).collect();
            let server = Running::run(bound);
            let counters = server.wait_for("all to be decided", |c| c.opened + c.shed_full == 150);
            assert_eq!((counters.opened, counters.connections), (10, 10), "of a listener: {of_listener}");
            server.stop();
            drop(streams);
        }
    }
}

/// The same with newcomers who wait: two workers that want the last place must not both let one in,
/// since one of those would be sent away.
#[test]
fn nobody_who_may_wait_is_reset_when_workers_race() {
    for of_listener in [true, false] {
        for _ in 0..20 {
            let (all, one) = if of_listener { (1000, 3) } else { (3, 0) };
            let limits = Limits { connections_max: all, listener_connections_max: one, ..limits() };
            let config = Config::default().workers(3).limits(limits);
            let bound = serve(|| Echo).config(config).tcp("127.0.0.1:0").bind().unwrap();
            let addr = bound.addresses()[0].tcp().unwrap();
            let mut waiting: Vec<_> = (0..30).map(|_| connect(addr)).collect();
            let server = Running::run(bound);
            all_in_turn(&mut waiting);
            let counters = server.wait_for("all to be gone", |c| c.opened == 30 && c.connections == 0);
            assert_eq!(counters.shed_full, 0, "of a listener: {of_listener}");
            server.stop();
        }
    }
}

#[test]
fn a_listener_has_a_limit_of_its_own() {
    let limits = Limits { listener_connections_max: 2, ..limits() };
    let bound = Server::new(one_worker(limits))
        .add(serve(|| Echo).name("one").tcp("127.0.0.1:0"))
        .add(serve(|| Echo).name("two").tcp("127.0.0.1:0"))
        .bind()
        .unwrap();
    let server = Running::run(bound);
    let (one, two) = (server.addrs[0], server.addrs[1]);
    let mut at_one: Vec<_> = (0..3).map(|_| connect(one)).collect();
    for stream in &mut at_one[..2] {
        round_trip(stream, b"hello");
    }
    assert!(!is_served(&mut at_one[2]));
    let mut at_two = [connect(two), connect(two)];
    for stream in &mut at_two {
        round_trip(stream, b"the other listener is not full");
    }
    let counts: Vec<_> = server.handle.listener_connections().into_iter().map(|(_, n)| n).collect();
    assert_eq!(counts, [2, 2]);
    at_one.remove(0);
    expect(&mut at_one[1], b"hi");
    server.stop();
}

/// An address of this machine that is not a loopback one, for which no packet needs to be sent.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // Only asks the routing table which source a packet there would have.
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

#[test]
fn a_source_has_a_limit_and_loopback_has_none() {
    let Some(ip) = own_address() else {
        eprintln!("!!! SKIPPED: this machine has no address but loopback");
        return;
    };
    for workers in [1, 3] {
        let limits = Limits { source_connections_max: 3, ..limits() };
        let config = Config::default().workers(workers).limits(limits);
        let server = Running::start(serve(|| Echo).config(config).tcp("0.0.0.0:0"));
        let from_outside = (ip, server.addr().port()).into();
        let local = (std::net::Ipv4Addr::LOCALHOST, server.addr().port()).into();
        let mut first: Vec<_> = (0..3).map(|_| connect(from_outside)).collect();
        first.iter_mut().for_each(|stream| round_trip(stream, b"hello"));
        for n in 1..=3 {
            assert!(is_reset(&mut connect(from_outside)));
            server.wait_for("the count", |c| c.shed_source == n);
        }
        let mut others: Vec<_> = (0..10).map(|_| connect(local)).collect();
        others.iter_mut().for_each(|stream| round_trip(stream, b"hello"));
        // One leaves, and one may come.
        first.pop();
        server.wait_for("the place", |c| c.connections == 2 + 10);
        round_trip(&mut connect(from_outside), b"hello");
        server.stop();
    }
}

#[test]
fn a_service_that_says_so_has_no_limit_of_a_source_and_counts_none() {
    let Some(ip) = own_address() else {
        eprintln!("!!! SKIPPED: this machine has no address but loopback");
        return;
    };
    let limits = Limits { source_connections_max: 2, ..limits() };
    let config = Config::default().workers(1).limits(limits);
    let server = Running::start(serve(|| Echo).any_source().config(config).tcp("0.0.0.0:0"));
    let from_outside = (ip, server.addr().port()).into();
    let mut all: Vec<_> = (0..8).map(|_| connect(from_outside)).collect();
    all.iter_mut().for_each(|stream| round_trip(stream, b"hello"));
    drop(all);
    let counters = server.wait_for("all to go", |c| c.connections == 0);
    assert_eq!(counters.shed_source, 0);
    server.stop();
}

#[test]
fn the_accept_rate_lets_a_burst_in_and_then_the_rate() {
    let server = echo(Limits { accept_rate_max: 50, accept_burst_max: 10, ..limits() });
    let begun = Instant::now();
    let mut streams: Vec<_> = (0..30).map(|_| server.connect()).collect();
    let counters = server.wait_for("all to get in", |c| c.opened == 30);
    // 10 at once, and 20 ms for each of the other 20: never faster, however slow the machine.
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(20 * 20 - 20), "30 were accepted in {took:?}");
    assert!(counters.accept_paused_rate >= 1);
    assert!(counters.accept_paused_rate <= 60, "{} pauses", counters.accept_paused_rate);
    assert!(counters.polls < 400, "it sleeps between: {} polls", counters.polls);
    for stream in &mut streams {
        round_trip(stream, b"hello");
    }
    server.stop();
}

#[test]
fn a_storm_of_newcomers_is_taken_in_turns() {
    let server = echo(Limits { accepts_per_turn_max: 1, ..limits() });
    let mut old = server.connect();
    let streams: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for _ in 0..50 {
        round_trip(&mut old, b"hello");
    }
    let counters = server.wait_for("all to get in", |c| c.opened == 201);
    assert!(counters.turns >= 201);
    drop(streams);
    server.stop();
}

#[test]
fn limits_that_cannot_work_are_refused_by_name() {
    let bad = [
        (Limits { output_low: 70_000, ..limits() }, "output_low"),
        (Limits { output_max: 1, ..limits() }, "output_max"),
        (Limits { input_max: 0, ..limits() }, "input_max"),
        (Limits { idle_timeout: Duration::from_secs(3_000_000), ..limits() }, "idle_timeout"),
    ];
    for (limits, name) in bad {
        let error = serve(|| Echo).config(one_worker(limits)).tcp("127.0.0.1:0").bind().err().unwrap();
        assert!(error.to_string().contains(name), "{error}");
        assert!(error.io().is_none());
    }
}

#[test]
fn what_cannot_be_listened_on_is_one_clear_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let not_a_socket = SocketPath::new();
    std::fs::write(&not_a_socket.0, "a file").unwrap();
    let bad = [
        (address.clone(), "in use"),
        ("192.0.2.1:0".into(), "no such address"),
        ("nonsense".into(), "port"),
        ("unix:/nonexistent/folder/socket".into(), "no such file"),
        (format!("unix:{}", not_a_socket.0.display()), "not a socket"),
    ];
    for (address, why) in bad {
        let error = serve(|| Echo).config(one_worker(limits())).listen(&address).bind().err().unwrap();
        let text = error.to_string();
        assert!(text.contains(why) && text.lines().count() == 1, "{address}: {text}");
    }
    assert_eq!(std::fs::read(&not_a_socket.0).unwrap(), b"a file", "left alone");
}

/// In a child, as another user.
#[test]
#[ignore = "a part of the test below, run in a child"]
fn listens_on_the_path_of_another_user() {
    let Some(path) = crate::child::arg() else { return };
    let error = serve(|| Echo).config(one_worker(limits())).unix(path).bind().err().unwrap();
    crate::child::say(error);
}

#[test]
fn a_socket_file_one_may_not_ask_is_not_said_to_be_in_use() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("!!! SKIPPED: only root can become another user");
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let path = SocketPath::new();
    drop(std::os::unix::net::UnixListener::bind(&path.0).unwrap());
    std::fs::set_permissions(&path.0, std::fs::Permissions::from_mode(0o600)).unwrap();
    let part = "limits::listens_on_the_path_of_another_user";
    let mut child = crate::child::Process::start_as(54_321, part, &path.0.display().to_string());
    let said = child.hear();
    assert!(said.ends_with(": permission denied"), "{said}");
    child.finish();
    assert!(path.0.exists());
}

#[test]
fn a_socket_file_is_replaced_only_if_nobody_listens() {
    let path = SocketPath::new();
    drop(std::os::unix::net::UnixListener::bind(&path.0).unwrap());
    let server = Running::start(serve(|| Echo).config(one_worker(limits())).unix(&path.0));
    round_trip(&mut path.connect(), b"hello");
    let second = serve(|| Echo).config(one_worker(limits())).unix(&path.0).bind();
    assert!(second.err().unwrap().to_string().contains("in use"));
    round_trip(&mut path.connect(), b"the first is still there");
    server.stop();
}

/// Leaves what it gets untaken, up to the limit.
struct Hoard;

impl windlass::Service for Hoard {
    type Session = ();
    fn open(&mut self, _: &mut windlass::Conn<'_>) -> Result<(), windlass::Close> {
        Ok(())
    }
    fn data(
        &mut self,
        _: &mut windlass::Conn<'_>,
        _: &mut (),
        _: &mut windlass::Input<'_>,
    ) -> Result<(), windlass::Close> {
        Ok(())
    }
}

#[test]
fn a_service_bounds_its_own_silence_and_input() {
    use std::io::Write;
    let limits = Limits { idle_timeout: Duration::from_millis(200), input_max: 1000, ..limits() };
    let bound = Server::new(one_worker(limits))
        .add(serve(|| Hoard).name("server's").tcp("127.0.0.1:0"))
        .add(serve(|| Hoard).name("own").idle_timeout(Duration::ZERO).input_max(3000).tcp("127.0.0.1:0"))
        .bind()
        .unwrap();
    let server = Running::run(bound);
    let (mut common, mut own) = (connect(server.addrs[0]), connect(server.addrs[1]));
    let mut hoarding = connect(server.addrs[0]);
    hoarding.write_all(&[1; 1001]).unwrap();
    own.write_all(&[1; 3000]).unwrap();
    // Both its end and that of the silent one.
    server.wait_for("input over the server's limit", |c| c.closed_by("input_full") == 1);
    server.wait_for("silence", |c| c.closed_by("idle") == 1);
    assert_eq!(common.read(&mut [0]).unwrap_or(0), 0);
    drop((common, hoarding));
    // The other service allows both.
    server.wait_for("one to be left", |c| c.connections == 1);
    own.write_all(&[1]).unwrap();
    server.wait_for("input over its own limit", |c| c.closed_by("input_full") == 2);
    server.stop();

    let serve = serve(|| Hoard).idle_timeout(Duration::from_secs(21 * 24 * 3600)).tcp("127.0.0.1:0");
    assert!(serve.bind().err().unwrap().to_string().contains("at most 20 days"));
}

//! Datagrams on real sockets.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use windlass::Limits;
use windlass_proxy::{Backend, Balance, Front, ProxyConfig, UdpConfig};

use crate::servers::{LONG, Running, expect, own_ip};

/// What nobody has to be heard with.
const FLOOD: &[u8] = b"flood";

/// A backend of datagrams: sends everything back.
struct Echo {
    address: SocketAddr,
    /// Who has sent anything but floods.
    heard: Arc<Mutex<HashSet<SocketAddr>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    fn start() -> Echo {
        Echo::at((own_ip(), 0).into())
    }

    fn at(address: SocketAddr) -> Echo {
        let socket = UdpSocket::bind(address).expect("a port");
        let address = socket.local_addr().expect("its address");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        let (heard, stop) = (Arc::<Mutex<HashSet<_>>>::default(), Arc::new(AtomicBool::new(false)));
        let (hears, stopped) = (heard.clone(), stop.clone());
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while !stopped.load(SeqCst) {
                let Ok((n, from)) = socket.recv_from(&mut buffer) else { continue };
                if !buffer.starts_with(FLOOD) {
                    hears.lock().expect("nobody panics with it").insert(from);
                }
                let _ = socket.send_to(&buffer[..n], from);
            }
        });
        Echo { address, heard, stop, thread: Some(thread) }
    }

    fn flows(&self) -> Vec<SocketAddr> {
        self.heard.lock().expect("nobody panics with it").iter().copied().collect()
    }

    /// Nobody listens there any more once this returns.
    fn close(&mut self) {
        self.stop.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ends in good order");
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.close();
    }
}

fn limits() -> Limits {
    Limits { stall_timeout: Duration::ZERO, drain_timeout: LONG, ..Limits::default() }
}

fn proxy(config: ProxyConfig, workers: usize) -> (Front, Running) {
    let front = Front::new(config).expect("a configuration that works");
    let service = front.serve_udp().expect("one for datagrams");
    let running = Running::with(service.workers(workers).udp("127.0.0.1:0"), limits());
    (front, running)
}

fn config<'a>(backends: impl IntoIterator<Item = &'a Echo>) -> ProxyConfig {
    let at = |backend: &Echo| Backend::at(backend.address.to_string().parse().expect("an address"));
    ProxyConfig { backends: backends.into_iter().map(at).collect(), ..ProxyConfig::default() }
}

/// A client on an address of its own.
fn client(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(to).expect("an address");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    socket
}

/// Asks until there is an answer, since datagrams may be lost. What was asked before may be answered late.
fn ask(client: &UdpSocket, what: &[u8]) {
    let mut buffer = vec![0; 65_536];
    expect("an answer", || {
        let _ = client.send(what);
        while let Ok(n) = client.recv(&mut buffer) {
            if &buffer[..n] == what {
                return true;
            }
        }
        false
    });
}

fn expect_no_flows(front: &Front) {
    expect("flows return to nothing", || {
        let stats = front.stats();
        let connections: usize = stats.backends.iter().map(|backend| backend.connections).sum();
        (stats.clients, connections) == (0, 0)
    });
}

#[test]
fn datagrams_of_every_size_pass_both_ways_in_bursts() {
    let echo = Echo::start();
    let (front, running) = proxy(config([&echo]), 1);
    let client = client(running.addresses[0]);
    for size in [0, 1, 100, 1_200, 1_472, 1_473, 9_000, 65_507] {
        let what: Vec<u8> = (0..size).map(|n| (n * 31 % 251) as u8).collect();
        ask(&client, &what);
    }
    // Several at once, of one size: they go in one call where the system can, and none is changed. By another client, as the
    // first may have asked more than once, and may be answered as often.
    let client = self::client(running.addresses[0]);
    client.set_read_timeout(Some(LONG)).expect("a timeout");
    for round in 0..20_u8 {
        let mut waiting: HashSet<Vec<u8>> = (0..16_u8).map(|n| [[round, n]; 300].concat()).collect();
        for what in &waiting {
            client.send(what).expect("sent");
        }
        let mut buffer = [0; 2_000];
        while !waiting.is_empty() {
            let n = client.recv(&mut buffer).expect("loopback loses none of so few");
            assert!(waiting.remove(&buffer[..n]), "round {round}: {} bytes that were not sent", n);
        }
    }
    assert_eq!(front.stats().clients, 2);
}

#[test]
fn a_million_spoofed_udp_sources_stay_within_the_cap() {
    const CAP: usize = 256;
    // A debug build looks whether it works; the million is the release build's.
    let sources: u32 = if cfg!(debug_assertions) { 10_000 } else { 1_000_000 };
    let echo = Echo::start();
    let udp = UdpConfig { flows_max: CAP, source_flows_max: 0, ..UdpConfig::default() };
    let (front, running) = proxy(config([&echo]).udp(udp), 1);
    let to = running.addresses[0];
    let honest = client(to);
    ask(&honest, b"hello");
    ask(&honest, b"I have heard you");
    let handle = &running.handle;
    let (mut flows, mut sockets) = (0, 0);
    for n in 0..sources {
        // Every one has an address of its own: all of 127.0.0.0/8 is here.
        let spoofed = UdpSocket::bind((Ipv4Addr::from(0x7F10_0000 + n), 0)).expect("an address");
        let _ = spoofed.send_to(FLOOD, to);
        if n % 256 == 0 {
            // Who was there before is served through all of it.
            ask(&honest, &n.to_be_bytes());
            flows = flows.max(front.stats().clients);
            sockets = sockets.max(handle.stats().counters.sockets);
        }
    }
    ask(&honest, b"still here");
    let stats = front.stats();
    // Who asks waits for an answer, and so the flood is never far ahead of the proxy.
    assert!(stats.opened > u64::from(sources) / 4, "they were flows: {stats:?}");
    assert_eq!((flows, stats.clients), (CAP, CAP));
    assert_eq!(stats.backends[0].connections, CAP);
    // Sockets close at the end of the turn: of one more turn of datagrams there may be some.
    let turn = limits().datagrams_per_turn_max + 64 * 32;
    assert!(sockets as usize <= CAP + turn, "{sockets} sockets");
    // The one flow that has talked was never sent away.
    assert_eq!(echo.flows().len(), 1);
    expect("evictions are counted", || {
        front.stats().udp.is_some_and(|udp| udp.evicted + CAP as u64 == front.stats().opened)
    });
}

#[test]
fn a_backend_that_goes_loses_nobody_for_long_and_may_come_back() {
    let (mut one, other) = (Echo::start(), Echo::start());
    let mut config = config([&one, &other]).balance(Balance::RoundRobin);
    config.health.eject = Duration::from_millis(200);
    let (front, running) = proxy(config, 2);
    let clients: Vec<UdpSocket> = (0..20).map(|_| client(running.addresses[0])).collect();
    clients.iter().for_each(|client| ask(client, b"hello"));
    let connections = |front: &Front| -> Vec<usize> {
        front.stats().backends.iter().map(|backend| backend.connections).collect()
    };
    assert!(connections(&front).iter().all(|n| *n > 0), "{:?}", connections(&front));
    one.close();
    // Asked again, as clients do, until somebody answers: the error moved them.
    clients.iter().for_each(|client| ask(client, b"and now?"));
    assert_eq!(connections(&front), [0, 20]);
    assert!(front.stats().backends[0].failed > 0);
    let one = Echo::at(one.address);
    expect("it gets new flows again", || {
        ask(&client(running.addresses[0]), b"new");
        !one.flows().is_empty()
    });
}

#[test]
fn session_socket_deaf_after_one_receive_error() {
    // Known of another proxy (Quilkin's issue 1445), with the only backend there is.
    let mut echo = Echo::start();
    let (front, running) = proxy(config([&echo]), 1);
    let client = client(running.addresses[0]);
    ask(&client, b"hello");
    for _ in 0..3 {
        let before = echo.flows();
        let errors = || front.stats().udp.map_or(0, |udp| udp.backend_errors);
        let seen = errors();
        echo.close();
        expect("the error is seen", || {
            client.send(b"anybody?").expect("sent");
            errors() > seen
        });
        echo = Echo::at(echo.address);
        ask(&client, b"back again");
        // On the same socket.
        assert_eq!((echo.flows(), front.stats().clients), (before, 1));
    }
}

#[test]
fn nobody_but_the_backend_is_heard_by_a_client() {
    let echo = Echo::start();
    let (front, running) = proxy(config([&echo]), 1);
    let client = client(running.addresses[0]);
    ask(&client, b"hello");
    let flow = echo.flows()[0];
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for _ in 0..10 {
        stranger.send_to(b"forged", ("127.0.0.1", flow.port())).expect("sent");
    }
    ask(&client, b"after them");
    // It may have asked more than once, and be answered as often.
    let mut buffer = [0; 100];
    while let Ok(n) = client.recv(&mut buffer) {
        assert_eq!(&buffer[..n], b"after them");
    }
    expect("what the backend said is counted, and nothing else", || {
        front.stats().udp.is_some_and(|udp| udp.replies >= 2 && udp.replies == udp.requests)
    });
}

#[test]
fn flows_end_by_themselves_and_a_drain_waits_for_those_that_do_not() {
    let echo = Echo::start();
    let udp = UdpConfig { idle: Duration::from_millis(50), ..UdpConfig::default() };
    let (front, running) = proxy(config([&echo]).udp(udp), 2);
    for _ in 0..50 {
        ask(&client(running.addresses[0]), b"hello");
    }
    expect_no_flows(&front);
    expect("they are counted", || front.stats().udp.is_some_and(|udp| udp.expired == front.stats().opened));
    // Only the listening sockets are left.
    expect("sockets are closed", || running.handle.stats().counters.sockets == 2);
    let client = client(running.addresses[0]);
    ask(&client, b"one more");
    running.handle.shutdown();
    expect_no_flows(&front);
    expect("it has stopped", || running.handle.stats().counters.sockets == 0);
}

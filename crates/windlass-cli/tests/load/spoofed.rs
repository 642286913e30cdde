//! Datagrams whose sources are forged, a million of them, and others who are served beside them.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::clients::*;
use crate::served::*;
use crate::server::*;
use crate::slow::percentile;

/// Each has an address of its own: all of 127.0.0.0/8 is this machine.
const SOURCES: u32 = 1_000_000;
const FIRST: u32 = 0x7F10_0000;
const FLOOD: &[u8] = b"flood";
/// Flows that the proxy of the flood may have, as it has by itself.
const FLOWS_MAX: usize = 8_192;
/// Sockets are closed at the end of a turn: of one more turn of datagrams there may be some.
const TURN: usize = 64 + 64 * 32;
/// User memory of a flow, in bytes.
const FLOW_MAX: usize = 2 * 1024;
/// What the table may take when it was full once, and is full still, in KiB.
const GROWTH_MAX: usize = 4 * 1024;
/// After so many of them the honest ones ask, and wait for an answer: the flood is never far ahead of the proxy.
const BURST: u32 = 100;
/// Rounds of them in which nobody floods.
const ALONE: usize = 2_000;

/// One worker has the proxy that is flooded, and one for datagrams and one for TCP beside it. What is asserted: no
/// more flows and descriptors than there may be, and memory for no more, from the moment the table is full; whoever
/// has talked before keeps the flow it has, and is answered; and so are the neighbours. When all is over, nothing
/// is left of it.
#[test]
#[ignore = "half a minute of full load: `.ci/run load`"]
fn a_million_spoofed_sources_of_datagrams_stay_within_the_cap() {
    allow_descriptors();
    let (datagrams, bytes) = (Echo::start(), backend("127.0.0.1:0"));
    let (flooded, beside, tcp, admin) = (free(), free(), free(), free());
    let served = Served::start(
        "spoofed",
        &format!(
            "{LOG}[server]\nworkers = 1\n[admin]\nlisten = \"{admin}\"\n\
             [[proxy]]\nname = \"flooded\"\nmode = \"udp\"\nlisten = \"{flooded}\"\nto = \"{to}\"\n\
             udp = {{ flows_max = {FLOWS_MAX}, idle_timeout = \"5s\" }}\n\
             [[proxy]]\nname = \"beside\"\nmode = \"udp\"\nlisten = \"{beside}\"\nto = \"{to}\"\n\
             udp = {{ idle_timeout = \"5s\" }}\n\
             [[proxy]]\nname = \"tcp\"\nlisten = \"{tcp}\"\nto = \"{}\"\n",
            bytes.address,
            to = datagrams.address,
        ),
    );
    let pid = served.pid();
    let mut honest = Honest::start(&flooded, &beside, &tcp);
    // The first ones make what all have.
    (0..100).for_each(|_| honest.ask());
    honest.took.clear();
    (0..ALONE).for_each(|_| honest.ask());
    let alone = std::mem::take(&mut honest.took);
    let (before, opened) = ((resident(pid), descriptors(pid)), Figures::of(&admin).opened);

    let (began, mut full) = (Instant::now(), None);
    let (mut most, mut resident_most, mut descriptors_most) = (Figures::default(), 0, 0);
    for n in 0..SOURCES {
        let forged = UdpSocket::bind((Ipv4Addr::from(FIRST + n), 0)).expect("an address");
        let _ = forged.send_to(FLOOD, &flooded);
        if n % BURST == 0 {
            honest.ask();
        }
        if n % (SOURCES / 50) == SOURCES / 50 - 1 {
            let now = Figures::of(&admin);
            most = most.max(now);
            descriptors_most = descriptors_most.max(descriptors(pid));
            resident_most = resident_most.max(resident(pid));
            // By then every place in the table was taken, and given to somebody else.
            if full.is_none() && now.evicted >= FLOWS_MAX as f64 {
                full = Some(resident(pid));
            }
        }
    }
    let (took, beside) = (began.elapsed(), std::mem::take(&mut honest.took));
    let (last, full) = (Figures::of(&admin), full.expect("the table was full early on"));
    println!(
        "{SOURCES} sources in {took:.1?}: {} flows opened, {} at most, {} evicted; {} to {resident_most} KiB ({full} \
         when the table was full), {} to {descriptors_most} descriptors; p99 of honest rounds {:?} alone, {:?} \
         beside them, {} datagrams asked again",
        last.opened - opened,
        most.clients,
        last.evicted,
        before.0,
        before.1,
        percentile(alone, 99),
        percentile(beside, 99),
        honest.again,
    );
    // Every one would be a flow if the system had room for all that come.
    assert!(last.opened - opened > f64::from(SOURCES) / 4.0, "{} of them were flows", last.opened - opened);
    // The neighbours are a client each.
    assert!(
        most.clients <= (FLOWS_MAX + 2) as f64 && last.clients_peak <= (FLOWS_MAX + 4) as f64,
        "{most:?} {last:?}"
    );
    assert!(most.connections <= (FLOWS_MAX + 2) as f64, "{most:?}");
    assert!(
        descriptors_most <= before.1 + FLOWS_MAX + TURN,
        "{descriptors_most} descriptors, {} before",
        before.1
    );
    let memory_max = before.0 + FLOWS_MAX * FLOW_MAX / 1024 + GROWTH_MAX;
    assert!(resident_most <= memory_max, "{resident_most} KiB, {memory_max} at most");
    assert!(resident(pid) <= full + GROWTH_MAX, "{full} KiB when the table was full, {} now", resident(pid));
    // Each of the flooded proxy's but those that are there was sent away: nobody else's.
    assert!(last.evicted <= last.opened - FLOWS_MAX as f64, "{last:?}");
    // Whoever has talked was never sent away, there and beside it.
    assert_eq!(datagrams.flows(), 2, "each honest client has kept its flow");

    drop(honest);
    wait_until(|| Figures::of(&admin).clients == 0.0, || format!("{:?} to end", Figures::of(&admin)));
    expect_rest(pid, &admin, before.1);
    served.stop();
}

/// What the server tells of its proxies together.
#[derive(Clone, Copy, Default, Debug)]
struct Figures {
    clients: f64,
    clients_peak: f64,
    connections: f64,
    opened: f64,
    evicted: f64,
}

impl Figures {
    fn of(admin: &str) -> Figures {
        Figures {
            clients: metric(admin, "windlass_proxy_clients"),
            clients_peak: metric(admin, "windlass_proxy_clients_peak"),
            connections: metric(admin, "windlass_proxy_backend_connections"),
            opened: metric(admin, "windlass_proxy_clients_opened_total"),
            evicted: metric(admin, "windlass_proxy_udp_evicted_total"),
        }
    }

    fn max(self, other: Figures) -> Figures {
        Figures {
            clients: self.clients.max(other.clients),
            clients_peak: self.clients_peak.max(other.clients_peak),
            connections: self.connections.max(other.connections),
            opened: self.opened.max(other.opened),
            evicted: self.evicted.max(other.evicted),
        }
    }
}

/// Those who are served beside the flood: one of the flooded proxy, one of another for datagrams, one of TCP.
struct Honest {
    datagrams: [UdpSocket; 2],
    stream: TcpStream,
    asked: u64,
    /// How often there was no answer in time.
    again: u64,
    /// How long each round took.
    took: Vec<Duration>,
}

impl Honest {
    fn start(flooded: &str, beside: &str, tcp: &str) -> Honest {
        let datagrams = [flooded, beside].map(|to| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
            socket.connect(to).expect("an address");
            socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
            socket
        });
        let stream = connect(tcp);
        stream.set_nodelay(true).expect("a stream");
        Honest { datagrams, stream, asked: 0, again: 0, took: Vec::new() }
    }

    /// All of them once, until they are answered: datagrams may be lost.
    fn ask(&mut self) {
        let began = Instant::now();
        self.asked += 1;
        let what = self.asked.to_be_bytes();
        for socket in &self.datagrams {
            let (mut buffer, mut times) = ([0; 64], 0);
            'asked: loop {
                assert!(times < 400, "nobody is answered any more");
                self.again += u64::from(times > 0);
                times += 1;
                socket.send(&what).expect("sent");
                while let Ok(n) = socket.recv(&mut buffer) {
                    // An answer to what was asked before may be late.
                    if buffer[..n] == what {
                        break 'asked;
                    }
                }
            }
        }
        round_trip(&mut self.stream, &what);
        self.took.push(began.elapsed());
    }
}

/// A server of datagrams: sends everything back.
struct Echo {
    address: SocketAddr,
    /// Who has sent anything but floods.
    heard: Arc<Mutex<HashSet<SocketAddr>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Echo {
    fn start() -> Echo {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("its address");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        let (heard, is_over) = (Arc::<Mutex<HashSet<_>>>::default(), Arc::new(AtomicBool::new(false)));
        let (hears, over) = (heard.clone(), is_over.clone());
        let thread = thread::spawn(move || {
            let mut buffer = [0; 2_000];
            while !over.load(Relaxed) {
                let Ok((n, from)) = socket.recv_from(&mut buffer) else { continue };
                if !buffer[..n].starts_with(FLOOD) {
                    hears.lock().unwrap().insert(from);
                }
                // Whoever has gone is none to be answered.
                let _ = socket.send_to(&buffer[..n], from);
            }
        });
        Echo { address, heard, is_over, thread: Some(thread) }
    }

    /// Of those that have sent anything but floods.
    fn flows(&self) -> usize {
        self.heard.lock().unwrap().len()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

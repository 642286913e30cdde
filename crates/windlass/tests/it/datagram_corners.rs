//! What systems do to datagrams besides carrying them: paths too narrow for what is sent, addresses that
//! nobody can answer from, routes that refuse. One peer's misfortune is no other's.
#![cfg(target_os = "linux")]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Sender, channel};

use windlass::{Datagram, DatagramService, Ecn, Outgoing, Socket, datagrams};

use crate::child::{self, Process};
use crate::harness::*;

/// What a datagram asks for is its first byte.
struct Asked {
    seen: Sender<Option<Ecn>>,
}

const BURST: usize = 20;
/// Longer than the narrow path of `in_narrow_network` carries, and short enough to be cut up elsewhere.
const SEGMENT: usize = 1400;
const NARROW: usize = 1280;

impl DatagramService for Asked {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        let (to, ecn) = (datagram.from, datagram.ecn);
        match datagram.bytes.first() {
            // A burst that the system can cut up.
            Some(b'b') => {
                let bytes: Vec<u8> = (0..BURST).flat_map(|n| [n as u8; SEGMENT]).collect();
                socket.send_out(Outgoing::new(to, &bytes).segment_bytes(SEGMENT));
            }
            // From an address that is not ours.
            Some(b'f') => {
                let from = [192, 0, 2, 1].into();
                assert!(socket.send_out(Outgoing::new(to, b"from nowhere").from(from)));
            }
            // To a port that there is not.
            Some(b'z') => {
                let bytes = datagram.bytes;
                assert!(!socket.send_to(SocketAddr::new(to.ip(), 0), bytes), "nobody has port 0");
            }
            // With a mark, to that port of ours.
            Some(b'm') => {
                let port = std::str::from_utf8(&datagram.bytes[1..]).unwrap().parse().unwrap();
                let to = SocketAddr::new(to.ip(), port);
                socket.send_out(Outgoing::new(to, b"see").ecn(Ecn::Ect0));
            }
            Some(b's') => self.seen.send(ecn).unwrap(),
            _ => {
                socket.reply(&datagram, datagram.bytes);
            }
        }
    }
}

fn asked(address: &str) -> (Running, SocketAddr, std::sync::mpsc::Receiver<Option<Ecn>>) {
    let (seen, sees) = channel();
    let server = datagrams(move || Asked { seen: seen.clone() }).config(one_worker(limits()));
    let bound = server.udp(address).bind().expect("binds");
    let addr = bound.addresses()[0].udp().expect("a UDP address");
    (Running::run(bound), addr, sees)
}

fn client(host: &str) -> UdpSocket {
    let socket = UdpSocket::bind((host.parse::<IpAddr>().unwrap(), 0)).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket
}

fn hears(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut bytes = vec![0; 65_536];
    let (n, from) = socket.recv_from(&mut bytes).expect("an answer");
    bytes.truncate(n);
    (bytes, from)
}

/// Every datagram of a burst, in order.
fn hears_a_burst(socket: &UdpSocket) {
    for n in 0..BURST {
        let (bytes, _) = hears(socket);
        assert_eq!((bytes.len(), bytes[0]), (SEGMENT, n as u8));
    }
}

#[test]
fn every_size_comes_back_over_six() {
    let (server, addr, _) = asked("[::1]:0");
    let socket = client("::1");
    let sizes = [1, 1452, 1453, 1472, 1473, 9_000, 65_487, 65_488, 65_489, 65_527];
    for size in sizes {
        let bytes = vec![b'-'; size];
        if let Err(e) = socket.send_to(&bytes, addr) {
            panic!("{size} bytes: {e}");
        }
        assert_eq!(hears(&socket).0.len(), size);
    }
    let counters = server.stop().stats.counters;
    assert_eq!((counters.datagrams_out, counters.datagrams_unsent), (sizes.len() as u64, 0));
}

#[test]
fn what_a_narrow_path_does_not_carry_at_once_goes_one_by_one() {
    in_narrow_network("datagram_corners::narrow");
}

/// In a child, where the loopback carries packets of `NARROW` bytes only.
#[test]
#[ignore = "a part of the test above, run in a child"]
fn narrow() {
    if child::arg().is_none() {
        return;
    }
    for (server, host) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), (":0", "127.0.0.1")] {
        let (server, addr, _) = asked(server);
        let to = SocketAddr::new(host.parse().unwrap(), addr.port());
        let socket = client(host);
        for _ in 0..2 {
            socket.send_to(b"b", to).unwrap();
            hears_a_burst(&socket);
        }
        let counters = server.stop().stats.counters;
        let told = (counters.datagrams_out, counters.datagrams_unsent, counters.datagram_errors);
        assert_eq!(told, (2 * BURST as u64, 0, 0), "from {addr}");
        assert_eq!(counters.gso_stopped, 0, "others have wider paths");
    }
    child::say("fine");
}

fn in_narrow_network(part: &str) {
    let script = format!("ip link set lo mtu {NARROW} up && exec \"$@\"");
    // The namespace first: whoever may not make one learns nothing of the rest.
    let may = std::process::Command::new("unshare").args(["-rn", "ip", "link", "set", "lo", "up"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        eprintln!("!!! SKIPPED: no network namespace of our own (unshare -rn, ip)");
        return;
    }
    let mut child = Process::wrapped(&["unshare", "-rn", "sh", "-c", &script, "sh"], part, "-");
    assert_eq!(child.hear(), "fine");
    child.finish();
}

#[test]
fn a_question_to_everybody_is_answered_from_an_address_of_ours() {
    let (server, addr, _) = asked("0.0.0.0:0");
    let socket = client("127.0.0.1");
    socket.set_broadcast(true).unwrap();
    for _ in 0..3 {
        // The loopback's own broadcast address.
        socket.send_to(b"who is there?", ("127.255.255.255", addr.port())).unwrap();
        let (bytes, from) = hears(&socket);
        assert_eq!(bytes, b"who is there?");
        assert_eq!(from, SocketAddr::new([127, 0, 0, 1].into(), addr.port()));
    }
    // The others are none the worse for it.
    socket.send_to(b"and from here", ("127.0.0.7", addr.port())).unwrap();
    assert_eq!(hears(&socket).1.ip(), IpAddr::from([127, 0, 0, 7]));
    let counters = server.stop().stats.counters;
    assert_eq!((counters.datagrams_out, counters.datagrams_unsent), (4, 0));
    assert_eq!((counters.datagram_errors, counters.gso_stopped), (0, 0));
}

#[test]
fn a_datagram_that_cannot_be_sent_takes_nothing_from_the_others() {
    let (server, addr, _) = asked("0.0.0.0:0");
    let (watcher, watched, sees) = asked("127.0.0.1:0");
    let socket = client("127.0.0.1");
    let to = ("127.0.0.1", addr.port());
    for ask in [&b"f"[..], b"z", b"f", b"z"] {
        socket.send_to(ask, to).unwrap();
    }
    server.wait_for("four that are not sent", |c| c.datagrams_unsent == 4);
    // They are cut up for us still.
    socket.send_to(b"b", to).unwrap();
    hears_a_burst(&socket);
    // And marked.
    socket.send_to(format!("m{}", watched.port()).as_bytes(), to).unwrap();
    assert_eq!(sees.recv_timeout(LONG), Ok(Some(Ecn::Ect0)));
    watcher.stop();
    let counters = server.stop().stats.counters;
    assert_eq!((counters.datagrams_unsent, counters.gso_stopped), (4, 0));
    assert!(counters.sends <= 8, "the burst went in one call: {}", counters.sends);
}

//! Handing UDP sockets to a successor: each has one reader at any time, and what waits in it is read.
#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};

use windlass::{Datagram, DatagramService, Server, Socket, SocketId, datagrams};

use crate::handover::{Generation, activate};
use crate::harness::*;

/// Each on a port of its own, so that the system spreads them over the sockets.
const CLIENTS: usize = 64;

fn client(at: &str) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket.connect(at.strip_prefix("udp:").expect("a UDP address")).unwrap();
    socket
}

fn hears(socket: &UdpSocket, bytes: &[u8]) {
    let mut back = [0; 100];
    let n = socket.recv(&mut back).expect("an answer");
    assert_eq!(&back[..n], bytes);
}

/// Sent once, and never again: the echo comes, or it was lost.
fn is_echoed(socket: &UdpSocket) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let bytes = NUMBER.fetch_add(1, Ordering::Relaxed).to_le_bytes();
    socket.send(&bytes).expect("nobody refuses");
    hears(socket, &bytes);
}

#[test]
fn every_socket_is_read_by_the_successor_alone() {
    let control = SocketPath::new();
    for (before, after) in [(1, 1), (2, 2), (3, 1), (1, 3), (2, 3)] {
        let mut old = Generation::start(&control.0, before, "-", &["udp:127.0.0.1:0"]);
        let clients: Vec<_> = (0..CLIENTS).map(|_| client(&old.at[0])).collect();
        clients.iter().for_each(is_echoed);
        // The host is enough to find it by.
        let mut new = Generation::start(&control.0, after, "-", &["udp:127.0.0.1:0"]);
        assert_eq!((&new.at, new.left.as_str()), (&old.at, "[]"));
        clients.iter().for_each(is_echoed);
        // With nothing left to do the old one ends, and its clients are none the wiser.
        old.wait_for("sockets", 0);
        let of_old = old.counter("datagrams_in");
        old.ended();
        clients.iter().for_each(is_echoed);
        // Counted at the end of the turn, when the echo may long be here.
        new.wait_for("datagrams_in", 3 * CLIENTS as u64 - of_old);
        assert_eq!(new.counter("sockets"), before as u64);
        new.process.tell("shutdown");
        new.ended();
    }
}

#[test]
fn what_waits_in_a_socket_outlives_the_predecessor() {
    let control = SocketPath::new();
    let old = Generation::start(&control.0, 2, "-", &["udp:127.0.0.1:0"]);
    let clients: Vec<_> = (0..CLIENTS).map(|_| client(&old.at[0])).collect();
    let mut new = Generation::bound(&control.0, 1, "stop=bound", &[&old.at[0]]);
    // Killed: nobody reads now, and nobody refuses.
    drop(old);
    clients.iter().for_each(|client| assert_eq!(client.send(b"waits").expect("nobody refuses"), 5));
    new.process.tell("go on");
    assert_eq!(new.process.hear(), "ready");
    clients.iter().for_each(|client| hears(client, b"waits"));
    new.wait_for("datagrams_in", CLIENTS as u64);
}

#[test]
fn a_successor_that_dies_takes_no_datagram_along() {
    let control = SocketPath::new();
    let mut old = Generation::start(&control.0, 2, "-", &["udp:127.0.0.1:0"]);
    let clients: Vec<_> = (0..CLIENTS).map(|_| client(&old.at[0])).collect();
    let new = Generation::bound(&control.0, 3, "stop=bound", &[&old.at[0]]);
    clients.iter().for_each(is_echoed);
    drop(new);
    old.wait_for("handovers_lost", 1);
    clients.iter().for_each(is_echoed);
    old.wait_for("datagrams_in", 2 * CLIENTS as u64);
    assert_eq!(old.counter("superseded"), 0);
}

#[test]
fn a_socket_the_successor_does_not_want_closes() {
    let control = SocketPath::new();
    let mut old = Generation::start(&control.0, 2, "-", &["udp:127.0.0.1:0", "127.0.0.1:0"]);
    let (dropped, kept) = (old.at[0].clone(), old.at[1].clone());
    let client = client(&dropped);
    is_echoed(&client);
    let mut stays = connect(kept.parse().unwrap());
    round_trip(&mut stays, b"first");
    let new = Generation::start(&control.0, 1, "-", &[&kept]);
    assert_eq!(new.left, format!("[{dropped}]"));
    old.wait_for("sockets", 0);
    client.send(b"anybody?").unwrap();
    assert_eq!(client.recv(&mut [0; 9]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    round_trip(&mut stays, b"still there");
    drop(stays);
    old.ended();
}

/// Asks the upstream that a datagram names, on a socket for each flow, and passes its one answer back.
#[derive(Default)]
struct Ask {
    flows: HashMap<SocketId, (SocketId, SocketAddr)>,
}

impl DatagramService for Ask {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        if let Some((bound, asked)) = self.flows.remove(&socket.id()) {
            if let Some(mut bound) = socket.other(bound) {
                bound.send_to(asked, datagram.bytes);
            }
            return socket.close();
        }
        let upstream = std::str::from_utf8(datagram.bytes).unwrap().parse().unwrap();
        let flow = socket.connect(upstream).unwrap();
        self.flows.insert(flow, (socket.id(), datagram.from));
        socket.other(flow).unwrap().send(b"question");
    }
}

/// A server of those, and two questions under way: who asked and whom the answers are for.
fn asked(control: &SocketPath) -> (Running, String, UdpSocket, UdpSocket, [SocketAddr; 2]) {
    let server = Server::new(one_worker(limits())).add(datagrams(Ask::default).udp("127.0.0.1:0"));
    let bound = server.handover_socket(&control.0).bind().unwrap();
    let at = bound.addresses()[0].to_string();
    let (old, client) = (Running::run(bound), client(&at));
    let upstream = UdpSocket::bind("127.0.0.1:0").unwrap();
    upstream.set_read_timeout(Some(LONG)).unwrap();
    let flows = [(); 2].map(|()| {
        client.send(upstream.local_addr().unwrap().to_string().as_bytes()).unwrap();
        upstream.recv_from(&mut [0; 100]).expect("the question").1
    });
    (old, at, client, upstream, flows)
}

#[test]
fn late_answers_go_out_from_where_they_were_asked() {
    let control = SocketPath::new();
    let (old, at, client, upstream, flows) = asked(&control);
    let mut new = Generation::start(&control.0, 2, "-", &[&at]);
    // What is asked now is the successor's, and only its own.
    is_echoed(&client);
    for flow in flows {
        upstream.send_to(b"late", flow).unwrap();
        hears(&client, b"late");
    }
    // With the last flow the socket goes, and the server with it.
    let counters = old.ended_well().stats.counters;
    assert_eq!((counters.datagrams_in, counters.datagrams_out), (4, 4));
    is_echoed(&client);
    new.wait_for("datagrams_in", 2);
}

#[test]
fn nobody_holds_the_port_of_a_successor_that_is_gone() {
    let control = SocketPath::new();
    let (old, at, client, upstream, flows) = asked(&control);
    let new = Generation::start(&control.0, 1, "-", &[&at]);
    is_echoed(&client);
    drop(new);
    old.wait_for("the socket to close", |counters| counters.sockets == 2);
    client.send(b"anybody?").unwrap();
    assert_eq!(client.recv(&mut [0; 9]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    // The flows go on, and answers are nobody's.
    for flow in flows {
        assert_eq!(upstream.send_to(b"late", flow).unwrap(), 4);
    }
    old.wait_for("the flows to be served", |counters| counters.datagrams_in == 4);
    old.stop();
}

#[test]
fn a_udp_socket_from_systemd_is_served() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = format!("udp:{}", socket.local_addr().unwrap());
    // Has a peer, so it is nobody's to receive from.
    let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
    connected.connect("127.0.0.1:9").unwrap();
    let left = format!("udp:{}, which is not bound, or has a peer", connected.local_addr().unwrap());
    // Sent before anybody serves, as is usual there.
    let early = client(&addr);
    early.send(b"early").unwrap();
    let names = "LISTEN_FDNAMES=dns:odd";
    let mut child = activate(&[socket.as_fd(), connected.as_fd()], names, &addr);
    drop(socket);
    assert_eq!(child.hear(), format!("{addr} (dns) {left} (odd)"));
    assert_eq!(child.hear(), format!("at {addr} left [{left} (odd)]"));
    hears(&early, b"early");
    is_echoed(&client(&addr));
    child.finish();
}

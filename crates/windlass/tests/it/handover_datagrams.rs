//! Handing UDP sockets to a successor: each has one reader at any time, and what waits in it is read.
#![cfg(target_os = "linux")]

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};

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

//! Some thousand handshakes, each spoilt somewhere: every one ends a single connection at most, with a
//! counted reason, and leaves nothing behind. `fuzz/` feeds the same server without end.
#![cfg(feature = "tls")]

mod tls_peer;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tls_peer::{Echo, VERSIONS, client_config, client_connection, identity, pem};
use windlass::proto::testing::Rng;
use windlass::testing::{Harness, TestPeer};
use windlass::{ClientCertificates, TlsServer, serve};

const HANDSHAKES: u64 = if cfg!(debug_assertions) { 3_000 } else { 10_000 };

/// Spoils `bytes` in one of the ways that networks, bugs and enemies do.
fn spoil(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let at = rng.below(bytes.len().max(1) as u64) as usize;
    match rng.below(7) {
        _ if bytes.is_empty() => bytes.push(rng.next_u64() as u8),
        0 => bytes[at] ^= 1 << rng.below(8),
        1 => bytes[at] = rng.next_u64() as u8,
        2 => bytes.truncate(at),
        3 => bytes.insert(at, rng.next_u64() as u8),
        4 => {
            let again = bytes[at..].to_vec();
            bytes.extend(again);
        }
        // A header or a length.
        5 => bytes[at.min(9)] = [0, 1, 0x3f, 0x40, 0xff][rng.below(5) as usize],
        _ => {
            let mut noise = vec![0; rng.below(300) as usize];
            rng.fill(&mut noise);
            bytes.splice(at..at, noise);
        }
    }
}

/// One visit, spoilt in one of its flights or, rarely, in none. True if it was echoed.
fn visit(harness: &mut Harness, peer: TestPeer, config: &Arc<ClientConfig>, rng: &mut Rng) -> bool {
    let mut client = client_connection(config.clone());
    let spoilt = rng.below(5);
    for flight in 0..5 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        if flight == spoilt {
            spoil(rng, &mut wire);
        }
        let size = if rng.chance(1, 2) { wire.len() } else { 1 + rng.below(200) as usize };
        harness.send_split(peer, &wire, size);
        let reply = harness.receive(peer);
        let mut reply = &reply[..];
        while !reply.is_empty() {
            if client.read_tls(&mut reply).is_err() || client.process_new_packets().is_err() {
                return false;
            }
        }
        let mut echoed = [0; 5];
        if std::io::Read::read(&mut client.reader(), &mut echoed).is_ok_and(|n| n == 5) {
            return echoed == *b"hello";
        }
        if !client.is_handshaking() {
            client.writer().write_all(b"hello").unwrap();
        }
    }
    false
}

#[test]
fn a_spoilt_handshake_ends_one_connection_for_a_counted_reason() {
    let tls = TlsServer::new(identity("server"))
        .clients(ClientCertificates::Optional(pem("ca.pem")))
        .build()
        .unwrap();
    let mut harness = Harness::new(serve(|| Echo).tls("127.0.0.1:0", &tls));
    let configs = VERSIONS.map(|version| Arc::new(client_config(&[version], Some("client"))));
    let mut rng = Rng::new(0x715);
    let mut echoed = 0;
    for _ in 0..HANDSHAKES {
        let peer = harness.connect();
        let config = &configs[rng.below(2) as usize];
        echoed += u64::from(visit(&mut harness, peer, config, &mut rng));
        match rng.below(3) {
            0 => harness.finish(peer),
            1 => harness.reset(peer),
            // Stays as it is, for the deadline.
            _ => {}
        }
        // Now and then the late ones are due.
        if rng.chance(1, 20) {
            harness.advance(Duration::from_secs(11));
        }
    }
    harness.advance(Duration::from_secs(400));
    harness.advance(Duration::from_secs(400));
    let counters = harness.handle().stats().counters;
    assert_eq!((counters.connections, counters.buffered_bytes, counters.tls_handshakes), (0, 0, 0));
    assert_eq!(counters.opened, counters.ended);
    let ended = counters.opened + counters.tls_handshakes_failed;
    assert_eq!(ended, HANDSHAKES, "each had its end");
    let reasons: Vec<_> = counters.tls_failures().filter(|(_, n)| *n > 0).collect();
    let after = counters.closed_by("tls");
    assert_eq!(reasons.iter().map(|(_, n)| n).sum::<u64>(), counters.tls_handshakes_failed + after);
    println!("{echoed} of {HANDSHAKES} came through; the others: {reasons:?}");
    for label in ["malformed", "misbehaved", "decrypt", "handshake_timeout", "handshake_cut", "truncated"] {
        assert!(counters.tls_failed_by(label) > 0, "never {label}");
    }
    assert_eq!(counters.tls_failed_by("internal"), 0);
    assert!(echoed > HANDSHAKES / 20, "most that are spoilt late, or not, are served: {echoed}");
}

//! A PROXY header before the handshake: who is believed, what the service hears, and headers that are cut,
//! wrong, or from somebody who must not send one.
#![cfg(feature = "tls")]

mod tls_peer;

use std::net::IpAddr;
use std::time::Duration;

use tls_peer::{HarnessClient, VERSIONS, client_config, client_connection, identity};
use windlass::proto::Encode;
use windlass::proto::proxy_protocol::{Addresses, Header, ProxyProtocol, Version};
use windlass::testing::{Harness, TestPeer};
use windlass::{BeforeTls, Close, Config, Conn, Input, Limits, Peer, Service, TlsServer, serve};

const TRUSTED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 9, 9));
const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 6, 6, 6));
const NEIGHBOUR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 1, 1));

/// Says whom it was told of, and then everything back.
struct Told;

impl Service for Told {
    type Session = ();

    fn speaks_for_others(&mut self, peer: Peer) -> bool {
        matches!(peer, Peer::Tcp(address) if address.ip() == TRUSTED)
    }

    fn before_tls(&mut self, peer: Peer, _: usize) -> BeforeTls {
        match peer {
            Peer::Tcp(address) if address.ip() == TRUSTED => BeforeTls::ProxyHeader,
            Peer::Tcp(address) if address.ip() == STRANGER => BeforeTls::Refusal,
            _ => BeforeTls::Nothing,
        }
    }

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        let told = match conn.proxied() {
            Some(Addresses::Inet { source, destination, .. }) => format!("{source} to {destination};"),
            other => format!("{other:?};"),
        };
        conn.write(told.as_bytes());
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        Ok(())
    }
}

fn harness() -> Harness {
    let tls = TlsServer::new(identity("server")).build().unwrap();
    Harness::new(serve(|| Told).tls("127.0.0.1:0", &tls))
}

fn client(
    harness: &mut Harness,
    ip: IpAddr,
    version: &'static rustls::SupportedProtocolVersion,
) -> HarnessClient {
    let conn = client_connection(client_config(&[version], None));
    HarnessClient { peer: harness.connect_from(ip), conn, received: Vec::new(), closed: false, failed: None }
}

fn header(version: Version, addresses: Addresses<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    ProxyProtocol::writes(version).encode(&Header::new(version, addresses), &mut bytes).unwrap();
    bytes
}

fn inet() -> Addresses<'static> {
    Addresses::tcp("192.0.2.7:51000".parse().unwrap(), "198.51.100.1:443".parse().unwrap())
}

fn headers() -> [Vec<u8>; 2] {
    [Version::V1, Version::V2].map(|version| header(version, inet()))
}

const SAID: &[u8] = b"192.0.2.7:51000 to 198.51.100.1:443;";

#[test]
fn the_service_hears_whom_the_header_names_however_it_is_split() {
    for version in VERSIONS {
        for header in headers() {
            // Behind the header, and in it, and in the ClientHello behind it.
            for at in (0..=header.len()).chain([header.len() + 1, header.len() + 3, header.len() + 60]) {
                let mut harness = harness();
                let mut client = client(&mut harness, TRUSTED, version);
                let mut first = header.clone();
                first.extend(client.flight());
                harness.send(client.peer, &first[..at]);
                harness.send(client.peer, &first[at..]);
                client.hear(&mut harness);
                client.shake_hands(&mut harness);
                let wire = client.write(b" and hello");
                harness.send(client.peer, wire);
                client.hear(&mut harness);
                assert_eq!(client.received, [SAID, b" and hello"].concat(), "split at {at}");
            }
            let mut harness = harness();
            let mut client = client(&mut harness, TRUSTED, version);
            let mut first = header.clone();
            first.extend(client.flight());
            harness.send_split(client.peer, &first, 1);
            client.hear(&mut harness);
            client.shake_hands(&mut harness);
            assert_eq!(client.received, SAID, "byte by byte");
        }
    }
}

#[test]
fn a_proxy_may_speak_for_itself_or_not_know() {
    let local = header(Version::V2, Addresses::Local);
    let unix = Addresses::Unix { source: b"/run/a", destination: b"/run/b", datagram: false };
    for (header, wanted) in [
        (local, "Some(Local);"),
        (header(Version::V2, unix), "Some(Unknown);"),
        (header(Version::V1, Addresses::Unknown), "Some(Unknown);"),
    ] {
        let mut harness = harness();
        let mut client = client(&mut harness, TRUSTED, VERSIONS[1]);
        harness.send(client.peer, &header);
        client.shake_hands(&mut harness);
        assert_eq!(client.received, wanted.as_bytes());
    }
}

#[test]
fn a_header_that_is_cut_anywhere_ends_the_handshake() {
    for header in headers() {
        for len in 0..header.len() {
            let mut harness = harness();
            let client = client(&mut harness, TRUSTED, VERSIONS[1]);
            harness.send(client.peer, &header[..len]);
            harness.finish(client.peer);
            harness.advance(Duration::from_millis(1));
            assert!(harness.is_ended(client.peer), "{len} of {}", header.len());
        }
        // Or it does not come at all.
        let mut harness = harness();
        let client = client(&mut harness, TRUSTED, VERSIONS[1]);
        harness.send(client.peer, &header[..7]);
        harness.advance(Duration::from_secs(9));
        assert!(!harness.is_ended(client.peer));
        harness.advance(Duration::from_secs(2));
        assert!(harness.is_ended(client.peer), "there is a deadline for both together");
    }
}

/// What the failures of this harness were counted as.
fn failures(harness: &Harness, label: &str) -> u64 {
    harness.handle().stats().counters.tls_failed_by(label)
}

#[test]
fn without_a_header_or_with_a_wrong_one_there_is_no_handshake() {
    let mut overlong = b"PROXY TCP4 192.0.2.7 198.51.100.1 51000 443".to_vec();
    overlong.resize(200, b' ');
    for wrong in
        [&b"GET / HTTP/1.1\r\n"[..], b"PROXY TCP9 1 2 3 4\r\n", &overlong, b"\r\n\r\n\0\r\nQUIT\n\x31"]
    {
        let mut harness = harness();
        let client = client(&mut harness, TRUSTED, VERSIONS[1]);
        harness.send(client.peer, wrong);
        assert!(harness.is_ended(client.peer), "{}", wrong.escape_ascii());
        assert_eq!(failures(&harness, "proxy_header"), 1);
    }
    let mut harness = harness();
    let mut client = client(&mut harness, TRUSTED, VERSIONS[1]);
    client.talk(&mut harness);
    assert!(harness.is_ended(client.peer), "a ClientHello without a header");
    assert_eq!(failures(&harness, "proxy_header"), 1);
    // A second header is no ClientHello.
    let mut harness = self::harness();
    let client = self::client(&mut harness, TRUSTED, VERSIONS[1]);
    harness.send(client.peer, [headers()[0].clone(), headers()[1].clone()].concat());
    assert!(harness.is_ended(client.peer));
    assert_eq!(failures(&harness, "plaintext"), 1);
}

#[test]
fn a_header_from_somebody_who_is_not_asked_for_one_is_no_header() {
    for header in headers() {
        let mut harness = harness();
        let mut client = client(&mut harness, NEIGHBOUR, VERSIONS[1]);
        let mut first = header.clone();
        first.extend(client.flight());
        harness.send(client.peer, first);
        assert!(harness.is_ended(client.peer));
        assert_eq!(failures(&harness, "plaintext"), 1);
    }
    let mut harness = harness();
    let mut client = client(&mut harness, NEIGHBOUR, VERSIONS[1]);
    client.shake_hands(&mut harness);
    assert_eq!(client.received, b"None;");
}

#[test]
fn who_is_refused_gets_no_handshake_whatever_it_says() {
    for first in [headers()[0].clone(), Vec::new()] {
        let mut harness = harness();
        let mut client = client(&mut harness, STRANGER, VERSIONS[1]);
        let mut first = first;
        first.extend(client.flight());
        harness.send(client.peer, first);
        client.hear(&mut harness);
        assert!(harness.is_ended(client.peer) && client.received.is_empty());
        let stats = harness.handle().stats().counters;
        assert_eq!((stats.tls_failed_by("untrusted"), stats.tls_handshakes_started), (1, 0));
    }
}

#[test]
fn a_source_has_so_many_handshakes_although_its_service_counts_for_itself() {
    let tls = TlsServer::new(identity("server")).build().unwrap();
    // The simulated network itself looks after smaller ones, and knows of no such service.
    const MOST: usize = 64;
    let limits = Limits { source_connections_max: MOST, ..Limits::default() };
    let config = Config::default().limits(limits);
    let service = serve(|| Told).any_source().config(config).tls("127.0.0.1:0", &tls);
    let mut harness = Harness::new(service);
    let shed = |harness: &Harness| harness.handle().stats().counters.shed_source;
    let several = |harness: &mut Harness, n: usize| -> Vec<TestPeer> {
        (0..n).map(|_| harness.connect_from(NEIGHBOUR)).collect()
    };
    // Whoever stands for others has any number of them.
    for _ in 0..2 * MOST {
        harness.connect_from(TRUSTED);
    }
    assert_eq!(shed(&harness), 0);
    let mut first = client(&mut harness, NEIGHBOUR, VERSIONS[1]);
    let mut silent = several(&mut harness, MOST);
    assert_eq!(shed(&harness), 1);
    // Who is through is the service's to count, and makes room for another handshake.
    first.shake_hands(&mut harness);
    let mut second = client(&mut harness, NEIGHBOUR, VERSIONS[1]);
    second.shake_hands(&mut harness);
    assert_eq!((&first.received[..], &second.received[..]), (&b"None;"[..], &b"None;"[..]));
    silent.extend(several(&mut harness, 2));
    assert_eq!(shed(&harness), 2);
    // And so does who goes in the middle of one; those who were through are not counted out twice.
    for gone in silent.into_iter().chain([first.peer, second.peer]) {
        harness.reset(gone);
    }
    several(&mut harness, MOST);
    assert_eq!(shed(&harness), 2);
    several(&mut harness, 1);
    assert_eq!(shed(&harness), 3);
}

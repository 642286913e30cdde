//! TLS passed through, ended, begun; by real handshakes between three proxies and an echo server.

use std::io::{Read, Write};

use windlass::proto::Decode;
use windlass::proto::proxy_protocol::{ProxyProtocol, Tlvs, kind};
use windlass::{ClientCertificates, Close, Conn, Input, Service, TlsClient, TlsIdentity, TlsServer, serve};
use windlass_proxy::{
    AcceptProxy, Backend, Front, GuardConfig, Others, ProxyConfig, Route, Sources, Version,
};

use crate::servers::*;

struct Echo;

impl Service for Echo {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        Ok(())
    }
}

fn cert(name: &str) -> String {
    format!("{}/../windlass/tests/certs/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn identity(name: &str) -> TlsIdentity {
    TlsIdentity::from_files(cert(&format!("{name}.pem")), cert(&format!("{name}.key"))).unwrap()
}

fn authorities() -> Vec<u8> {
    std::fs::read(cert("ca.pem")).unwrap()
}

/// An echo server that shows this certificate, and asks clients for one if it is told to.
fn echo(name: &str, asks: bool) -> Running {
    let mut server = TlsServer::new(identity(name));
    if asks {
        server = server.clients(ClientCertificates::Required(authorities()));
    }
    let tls = server.build().unwrap();
    Running::start(serve(|| Echo).workers(1).tls("127.0.0.1:0", &tls))
}

/// A proxy that speaks TLS with one backend, which it takes for `name`.
fn begins_tls(to: std::net::SocketAddr, name: &str, client: &TlsClient) -> (Front, Running) {
    let target = client.build().unwrap().to(name).unwrap();
    let backend = Backend::at(to.to_string().parse().unwrap()).tls(target);
    proxy(ProxyConfig::default().backend(backend).retries_max(1), 1)
}

#[test]
fn tls_is_begun_passed_through_by_name_and_ended() {
    let (server, other) = (echo("server", false), echo("other", false));
    let route = |name: &str, to: &Running| {
        Route::server_name(name).backend(Backend::at(to.addresses[0].to_string().parse().unwrap()))
    };
    let passes =
        ProxyConfig::default().route(route("server.test", &server)).route(route("*.wild.test", &other));
    let (passing, between) = proxy(passes, 1);
    let client = TlsClient::new(authorities());
    let said = vec![7; 300_000];
    // Who ends it is the one whose certificate is for the name: a wrong route would fail the handshake.
    for name in ["server.test", "a.wild.test"] {
        let (front, running) = begins_tls(between.addresses[0], name, &client);
        assert!(ask(running.addresses[0], &said).unwrap() == said, "{name}");
        expect_nothing(&front);
    }
    let (front, running) = begins_tls(between.addresses[0], "other.test", &client);
    assert_eq!(ask(running.addresses[0], b"lost").unwrap_or_default(), b"");
    expect("it is refused twice", || passing.stats().refused("no_route") == 2);
    assert_eq!(front.stats().refused("unreachable"), 1);
    expect_nothing(&passing);
}

#[test]
fn a_certificate_is_shown_to_a_backend_that_asks_for_one() {
    let server = echo("server", true);
    let client = TlsClient::new(authorities());
    let (front, running) = begins_tls(server.addresses[0], "server.test", &client);
    assert_ne!(ask(running.addresses[0], b"who are you?").unwrap_or_default(), b"who are you?");
    expect_nothing(&front);
    let client = client.identity(identity("client"));
    let (front, running) = begins_tls(server.addresses[0], "server.test", &client);
    assert_eq!(ask(running.addresses[0], b"here I am").unwrap(), b"here I am");
    expect_nothing(&front);
}

#[test]
fn a_backend_that_cannot_be_trusted_is_no_backend() {
    let server = echo("stranger", false);
    let (front, running) = begins_tls(server.addresses[0], "server.test", &TlsClient::new(authorities()));
    assert_eq!(ask(running.addresses[0], b"secret").unwrap_or_default(), b"");
    assert_eq!(front.stats().refused("unreachable"), 1);
    assert!(front.stats().backends[0].failed >= 2);
}

#[test]
fn tls_of_clients_ends_at_the_listener() {
    let backend = Listening::echo();
    let front = Front::new(config([&backend])).unwrap();
    let tls = TlsServer::new(identity("server")).build().unwrap();
    let ends = Running::start(front.serve().workers(1).tls("127.0.0.1:0", &tls));
    let (_, running) = begins_tls(ends.addresses[0], "server.test", &TlsClient::new(authorities()));
    let said = vec![9; 300_000];
    assert!(ask(running.addresses[0], &said).unwrap() == said);
    expect_nothing(&front);
}

/// Two proxies behind each other: the first tells the second, before TLS, who the client is; the second ends TLS
/// and tells its backend, with what it knows of the TLS.
fn chained(believes: &str, others: Others) -> (Front, [Running; 2], Listening) {
    let backend = Listening::echo();
    let mut inner = config([&backend]);
    inner.backends[0] = inner.backends[0].clone().send_proxy(Version::V2).send_proxy_tlvs(true);
    inner = inner.accept_proxy(AcceptProxy::from(Sources::parse([believes]).unwrap()).others(others));
    let front = Front::new(inner).unwrap();
    let tls = TlsServer::new(identity("server")).alpn(["tea"]).build().unwrap();
    let ends = Running::start(front.serve().workers(1).tls("127.0.0.1:0", &tls));
    let client = TlsClient::new(authorities()).alpn(["tea"]);
    let target = client.build().unwrap().to("server.test").unwrap();
    let to = ends.addresses[0].to_string().parse().unwrap();
    let outer = Backend::at(to).tls(target).send_proxy(Version::V1);
    let (_, begins) = proxy(ProxyConfig::default().backend(outer).retries_max(0), 1);
    (front, [ends, begins], backend)
}

#[test]
fn a_header_before_tls_that_ends_here_names_the_client_and_goes_on_with_what_tls_says() {
    let (front, [_ends, begins], _backend) = chained("127.0.0.0/8", Others::Refused);
    let mut client = std::net::TcpStream::connect(begins.addresses[0]).unwrap();
    let address = client.local_addr().unwrap();
    client.write_all(b"hello").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).unwrap();
    let mut input = Input::new(&mut heard);
    let header = ProxyProtocol::default().decode(&mut input).unwrap().expect("a whole header");
    assert_eq!(header.source(), Some(address));
    let tlvs = header.tlvs;
    assert_eq!(tlvs.find(kind::AUTHORITY), Some(&b"server.test"[..]));
    assert_eq!(tlvs.find(kind::ALPN), Some(&b"tea"[..]));
    assert!(tlvs.find(kind::CRC32C).is_some(), "the decoder has checked it");
    let ssl = tlvs.find(kind::SSL).expect("of TLS");
    assert_eq!(ssl[..5], [1, 0, 0, 0, 1], "no certificate was shown");
    let inside = Tlvs::new(&ssl[5..]).expect("TLVs");
    assert_eq!(inside.find(kind::SSL_VERSION), Some(&b"TLSv1.3"[..]));
    assert!(inside.find(kind::SSL_CIPHER).is_some());
    assert_eq!(input.peek(), b"hello");
    expect_nothing(&front);
}

#[test]
fn whoever_is_not_believed_gets_no_tls_or_none_with_a_header() {
    let (front, [ends, begins], _backend) = chained("192.0.2.0/24", Others::Refused);
    assert_eq!(ask(begins.addresses[0], b"hello").unwrap_or_default(), b"");
    expect("it is refused before the handshake", || front.stats().refused("untrusted") >= 1);
    assert_eq!(front.stats().opened, 0);
    drop((ends, begins));
    let (front, [_ends, begins], _backend) = chained("192.0.2.0/24", Others::Clients);
    assert_eq!(ask(begins.addresses[0], b"hello").unwrap_or_default(), b"", "a header is no ClientHello");
    assert_eq!(front.stats().opened, 0);
}

#[test]
fn who_is_denied_costs_no_handshake() {
    let backend = Listening::echo();
    let tls = TlsServer::new(identity("server")).build().unwrap();
    for (tarpit, handshakes) in [(std::time::Duration::ZERO, 0), (std::time::Duration::from_millis(1), 1)] {
        let deny = Sources::parse(["127.0.0.0/8"]).unwrap();
        let guard = GuardConfig { deny, tarpit, ..GuardConfig::default() };
        let front = Front::new(config([&backend]).guard(guard)).unwrap();
        let ends = Running::start(front.serve().workers(1).tls("127.0.0.1:0", &tls));
        let (_, begins) = begins_tls(ends.addresses[0], "server.test", &TlsClient::new(authorities()));
        assert_eq!(ask(begins.addresses[0], b"hello").unwrap_or_default(), b"");
        expect("it is refused, by the name of the reason", || front.stats().refused("denied") >= 1);
        let done = || ends.handle.stats().counters.tls_handshakes_done;
        // Counted at the end of a turn.
        expect("for the tarpit it is let in so far", || done() >= handshakes);
        assert_eq!(done().min(1), handshakes);
    }
}

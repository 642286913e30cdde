//! TLS passed through, ended, begun; by real handshakes between three proxies and an echo server.

use windlass::{ClientCertificates, Close, Conn, Input, Service, TlsClient, TlsIdentity, TlsServer, serve};
use windlass_proxy::{Backend, Front, ProxyConfig, Route};

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

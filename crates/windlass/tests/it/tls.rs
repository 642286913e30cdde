//! TLS on real sockets, with rustls' own client: versions, names, certificates, resumption, reload, ends.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use windlass::{ClientCertificates, Close, Conn, Input, Limits, Service, TlsAcceptor, TlsServer, serve};

use crate::harness::*;
use crate::tls_peer::{VERSIONS, client_config, identity, pem};

fn acceptor() -> TlsAcceptor {
    TlsServer::new(identity("server")).build().unwrap()
}

pub(crate) fn both() -> ClientConfig {
    client_config(&VERSIONS, None)
}

pub(crate) type Client = StreamOwned<ClientConnection, TcpStream>;

pub(crate) fn client(addr: SocketAddr, config: impl Into<Arc<ClientConfig>>, name: &str) -> Client {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    StreamOwned::new(ClientConnection::new(config.into(), name).unwrap(), connect(addr))
}

/// The handshake's result, said by the client.
fn handshake(client: &mut Client) -> std::io::Result<()> {
    while client.conn.is_handshaking() {
        client.conn.complete_io(&mut client.sock)?;
    }
    Ok(())
}

fn tls_echo(tls: &TlsAcceptor, limits: Limits) -> Running {
    Running::start(serve(|| Echo).config(one_worker(limits)).tls("127.0.0.1:0", tls))
}

/// Says what the handshake came to, in one line, then sends everything back.
struct Teller;

impl Service for Teller {
    type Session = ();
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        let line = match conn.tls() {
            None => "plain\n".into(),
            Some(tls) => format!(
                "{} {} alpn={} name={} certificates={} resumed={}\n",
                tls.version(),
                tls.cipher_suite(),
                tls.alpn().map_or("-".into(), String::from_utf8_lossy),
                tls.server_name().unwrap_or("-"),
                tls.peer_certificates().count(),
                tls.is_resumed(),
            ),
        };
        conn.write(line.as_bytes());
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        Ok(())
    }
}

fn teller(tls: &TlsAcceptor) -> Running {
    Running::start(serve(|| Teller).config(one_worker(limits())).tls("127.0.0.1:0", tls))
}

fn line(stream: &mut impl Read) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).expect("a line"), 1, "after {:?}", String::from_utf8_lossy(&line));
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

/// `close_notify`, then FIN.
pub(crate) fn finish(client: &mut Client) {
    client.conn.send_close_notify();
    client.flush().unwrap();
    client.sock.shutdown(Shutdown::Write).unwrap();
}

#[test]
fn both_versions_echo_and_end_in_good_order() {
    for version in VERSIONS {
        let server = tls_echo(&acceptor(), limits());
        let mut client = client(server.addr(), client_config(&[version], None), "localhost");
        round_trip(&mut client, b"hello");
        round_trip(&mut client, &pattern(300_000)[..1_000]);
        finish(&mut client);
        // rustls reports an end without `close_notify` as an error.
        expect_end(&mut client);
        let counters = server.wait_for("the end", |c| c.connections == 0);
        assert_eq!((counters.closed_by("eof"), counters.tls_handshakes_done), (1, 1));
        assert_eq!(counters.tls_handshakes, 0);
        server.stop();
    }
}

#[test]
fn sixteen_mebibytes_there_and_back() {
    for version in VERSIONS {
        let server = tls_echo(&acceptor(), limits());
        let mut client = client(server.addr(), client_config(&[version], None), "localhost");
        let bytes = pattern(16 << 20);
        // One thread: it sends as much as may be on its way, and then reads that.
        for piece in bytes.chunks(64 * 1024) {
            round_trip(&mut client, piece);
        }
        let counters = server.stop().stats.counters;
        let overhead = counters.bytes_out - (16 << 20);
        assert!(overhead < 64 * 1024, "{overhead} bytes of records and handshake");
    }
}

/// A service that answers any byte with 16 MiB in one write.
struct Fountain;

impl Service for Fountain {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        input.take_all();
        conn.write(&pattern(16 << 20));
        conn.write_shared(pattern(5_000).into());
        Err(Close::Done)
    }
}

#[test]
fn one_large_write_arrives_whole_and_the_end_behind_it() {
    for version in VERSIONS {
        let server =
            Running::start(serve(|| Fountain).config(one_worker(limits())).tls("127.0.0.1:0", &acceptor()));
        let mut client = client(server.addr(), client_config(&[version], None), "localhost");
        client.write_all(b"?").unwrap();
        expect(&mut client, &pattern(16 << 20));
        expect(&mut client, &pattern(5_000));
        expect_end(&mut client);
        drop(client);
        server.wait_for("the end", |c| c.connections == 0 && c.closed_by("done") == 1);
        server.stop();
    }
}

/// Passes one byte at a time, each in a segment of its own.
struct Dribble(TcpStream);

impl Read for Dribble {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(&mut buf[..1])
    }
}

impl Write for Dribble {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.write(&buf[..buf.len().min(1)])
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn records_and_segments_of_one_byte() {
    for version in VERSIONS {
        let server = tls_echo(&acceptor(), limits());
        let name = ServerName::try_from("localhost").unwrap();
        let conn = ClientConnection::new(client_config(&[version], None).into(), name).unwrap();
        let mut slow = StreamOwned::new(conn, Dribble(connect(server.addr())));
        for byte in b"one byte" {
            round_trip(&mut slow, &[*byte]);
        }
        let mut quick = client(server.addr(), client_config(&[version], None), "localhost");
        let text = pattern(2_000);
        for byte in &text {
            // A record each.
            quick.write_all(&[*byte]).unwrap();
        }
        expect(&mut quick, &text);
        server.stop();
    }
}

#[test]
fn the_service_learns_what_was_agreed() {
    let tls = TlsServer::new(identity("server"))
        .identity("other.test", identity("other"))
        .identity("*.wild.test", identity("other"))
        .alpn(["h2", "http/1.1"])
        .build()
        .unwrap();
    let server = teller(&tls);
    let mut config = client_config(&[&rustls::version::TLS13], None);
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let config = Arc::new(config);
    // The client checks that the certificate is for the name it asked for.
    for name in ["server.test", "other.test", "OTHER.test", "a.wild.test"] {
        let line = line(&mut client(server.addr(), config.clone(), name));
        let name = name.to_ascii_lowercase();
        let wanted = format!("TLSv1.3 TLS13_AES_256_GCM_SHA384 alpn=h2 name={name} certificates=0 resumed=");
        assert!(line.starts_with(&wanted), "{line}");
    }
    let plain =
        line(&mut client(server.addr(), client_config(&[&rustls::version::TLS12], None), "localhost"));
    assert!(
        plain.starts_with("TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 alpn=- name=localhost"),
        "{plain}"
    );
    let mut none = both();
    none.alpn_protocols = vec![b"smtp".to_vec()];
    assert!(handshake(&mut client(server.addr(), none, "localhost")).is_err());
    server.wait_for("the refusal", |c| c.tls_failed_by("no_protocol") == 1);
    server.stop();
}

#[test]
fn without_a_certificate_for_the_name_there_is_no_handshake() {
    let tls = TlsServer { default: None, ..TlsServer::default() }.identity("other.test", identity("other"));
    let server = tls_echo(&tls.build().unwrap(), limits());
    round_trip(&mut client(server.addr(), both(), "other.test"), b"known");
    let refused = handshake(&mut client(server.addr(), both(), "localhost")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidData, "an alert, not a reset: {refused}");
    server.wait_for("the refusal", |c| c.tls_failed_by("server_name") == 1);
    server.stop();
}

#[test]
fn clients_show_certificates_where_they_must() {
    let ca = pem("ca.pem");
    for version in VERSIONS {
        for (clients, let_in) in [
            (ClientCertificates::Ignored, [Some(0), Some(0), Some(0)]),
            (ClientCertificates::Optional(ca.clone()), [Some(0), Some(1), None]),
            (ClientCertificates::Required(ca.clone()), [None, Some(1), None]),
        ] {
            let server =
                teller(&TlsServer::new(identity("server")).clients(clients.clone()).build().unwrap());
            for (who, shown) in [None, Some("client"), Some("stranger")].into_iter().zip(let_in) {
                let mut client = client(server.addr(), client_config(&[version], who), "localhost");
                // With TLS 1.3 the client learns of a refusal only with the first read.
                let mut first = [0; 200];
                let said = client.read(&mut first).map(|n| String::from_utf8_lossy(&first[..n]).into_owned());
                match (shown, said) {
                    (Some(n), Ok(said)) => assert!(said.contains(&format!("certificates={n} ")), "{said}"),
                    (None, Err(e)) => assert_eq!(e.kind(), ErrorKind::InvalidData, "an alert: {e}"),
                    (shown, said) => panic!("{clients:?}, {who:?}: {shown:?} wanted, {said:?}"),
                }
            }
            let refused = let_in.iter().filter(|shown| shown.is_none()).count() as u64;
            let counters = server.wait_for("refusals", |c| c.tls_handshakes_failed == refused);
            let by_reason = counters.tls_failed_by("no_certificate") + counters.tls_failed_by("certificate");
            assert_eq!(by_reason, refused);
            server.stop();
        }
    }
}

#[test]
fn sessions_are_resumed_by_ticket_and_by_memory() {
    for version in VERSIONS {
        for (tickets, sessions) in [(true, 0), (false, 100), (false, 0)] {
            let settings = TlsServer::new(identity("server")).tickets(tickets).sessions_max(sessions);
            let tls = settings.build().unwrap();
            let server = teller(&tls);
            let config = Arc::new(client_config(&[version], None));
            let visit = || {
                let mut client = client(server.addr(), config.clone(), "localhost");
                let said = line(&mut client);
                round_trip(&mut client, b"and now the ticket has come");
                said.ends_with("resumed=true")
            };
            let resumes = tickets || sessions > 0;
            assert_eq!((visit(), visit()), (false, resumes), "{version:?}, {tickets}, {sessions}");
            tls.reload(&settings).unwrap();
            assert_eq!(visit(), resumes, "also after a reload");
            let other = settings.clients(ClientCertificates::Optional(pem("ca.pem")));
            tls.reload(&other).unwrap();
            assert!(!visit(), "but not where clients are judged anew");
            let counters = server.stop().stats.counters;
            assert_eq!(counters.tls_handshakes_resumed, if resumes { 2 } else { 0 });
        }
    }
}

#[test]
fn a_reload_under_load_loses_nobody() {
    let settings = |name: &str| TlsServer::new(identity(name)).alpn(["x"]);
    let tls = settings("server").build().unwrap();
    let server = tls_echo(&tls, limits());
    let shown = |client: &Client| client.conn.peer_certificates().unwrap()[0].to_vec();
    let mut old = client(server.addr(), both(), "localhost");
    round_trip(&mut old, b"before");
    let over = Arc::new(AtomicBool::new(false));
    let visitors: Vec<_> = (0..3)
        .map(|_| {
            let (over, addr) = (over.clone(), server.addr());
            thread::spawn(move || {
                let mut visits = 0;
                while !over.load(Ordering::Relaxed) {
                    round_trip(&mut client(addr, both(), "localhost"), b"hello");
                    visits += 1;
                }
                visits
            })
        })
        .collect();
    for n in 0..100 {
        tls.reload(&settings(if n % 2 == 0 { "renewed" } else { "server" })).unwrap();
        thread::yield_now();
    }
    tls.reload(&settings("renewed")).unwrap();
    let mut new = client(server.addr(), both(), "localhost");
    round_trip(&mut new, b"after");
    assert_ne!(shown(&old), shown(&new));
    round_trip(&mut old, b"still here");
    over.store(true, Ordering::Relaxed);
    for visitor in visitors {
        assert!(visitor.join().expect("every handshake and every echo went well") > 0);
    }
    assert!(tls.reload(&TlsServer { versions: vec![], ..settings("server") }).is_err());
    round_trip(&mut client(server.addr(), both(), "localhost"), b"a bad reload changes nothing");
    assert_eq!(server.stop().stats.counters.tls_handshakes_failed, 0);
}

#[test]
fn plain_and_tls_side_by_side() {
    let serve = serve(|| Teller).config(one_worker(limits()));
    let server = Running::start(serve.tcp("127.0.0.1:0").tls("127.0.0.1:0", &acceptor()).tcp("127.0.0.1:0"));
    assert_eq!(line(&mut connect(server.addrs[0])), "plain");
    assert!(line(&mut client(server.addrs[1], both(), "localhost")).starts_with("TLSv1.3"));
    assert_eq!(line(&mut connect(server.addrs[2])), "plain");
    server.stop();
}

#[test]
fn what_is_no_tls_has_a_name() {
    let server = tls_echo(&acceptor(), limits());
    for (bytes, label) in [
        (&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], "http_request"),
        (b"hello\n", "plaintext"),
        (&[22, 3, 1, 0, 5, 2, 0, 0, 1, 0], "malformed"),
        (&[22, 3, 1, 0xff, 0xff], "malformed"),
    ] {
        let before = server.counters().tls_failed_by(label);
        let mut stream = connect(server.addr());
        stream.write_all(bytes).unwrap();
        server.wait_for(label, |c| c.tls_failed_by(label) == before + 1);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an orderly end");
        assert!(answer.is_empty() || answer[0] == 21, "nothing, or an alert: {answer:?}");
    }
    // Ours did nothing wrong, and are not disturbed.
    round_trip(&mut client(server.addr(), both(), "localhost"), b"hello");
    let counters = server.stop().stats.counters;
    assert_eq!((counters.tls_handshakes_failed, counters.opened), (4, 1));
}

#[test]
fn a_handshake_has_its_time_and_no_more() {
    let limits = Limits { tls_handshake_timeout: Duration::from_millis(400), ..limits() };
    let server = tls_echo(&acceptor(), limits);
    let silent = connect(server.addr());
    let mut dribbling = connect(server.addr());
    // A byte now and then does not help: the time is for all of it.
    let hello = [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
    for byte in hello.iter().chain(&[0; 10_000]) {
        if dribbling.write_all(&[*byte]).is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
        if server.counters().tls_failed_by("handshake_timeout") == 2 {
            break;
        }
    }
    server.wait_for("both to be ended", |c| c.tls_failed_by("handshake_timeout") == 2 && c.connections == 0);
    drop((silent, dribbling));
    let counters = server.stop().stats.counters;
    assert_eq!((counters.opened, counters.tls_handshakes_started), (0, 1), "the silent one cost no session");
}

#[test]
fn handshakes_in_progress_are_bounded() {
    let server = tls_echo(&acceptor(), Limits { tls_handshakes_max: 2, ..limits() });
    let mut halves: Vec<_> = (0..2).map(|_| connect(server.addr())).collect();
    for half in &mut halves {
        half.write_all(&[22, 3, 1]).unwrap();
    }
    server.wait_for("two in progress", |c| c.tls_handshakes == 2);
    let mut third = connect(server.addr());
    third.write_all(&[22]).unwrap();
    read_to_reset(&mut third);
    halves.pop();
    server.wait_for("one to be gone", |c| c.tls_handshakes == 1);
    round_trip(&mut client(server.addr(), both(), "localhost"), b"there is room again");
    let counters = server.counters();
    assert_eq!(counters.tls_failed_by("handshakes_full"), 1);
    assert_eq!(counters.tls_failed_by("handshake_cut"), 1);
    server.stop();
}

#[test]
fn a_storm_of_handshakes_goes_through_a_few_at_a_time() {
    let limits = Limits { tls_handshakes_per_turn_max: 1, ..limits() };
    let server = tls_echo(&acceptor(), limits);
    let addr = server.addr();
    let clients: Vec<_> = (0..40)
        .map(|_| thread::spawn(move || round_trip(&mut client(addr, both(), "localhost"), b"hello")))
        .collect();
    for client in clients {
        client.join().expect("served");
    }
    let counters = server.stop().stats.counters;
    assert_eq!((counters.tls_handshakes_done, counters.tls_handshakes_failed), (40, 0));
}

/// Says at the end of the peer's stream whether it was cut short.
struct Ends;

impl Service for Ends {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        if input.take_all().ends_with(b"half") {
            conn.write(b"our half ends here");
            conn.half_close();
        }
        Ok(())
    }
    fn eof(&mut self, conn: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        let text: &[u8] = if conn.is_truncated() { b"truncated" } else { b"clean" };
        conn.write(text);
        Err(Close::Eof)
    }
}

#[test]
fn a_clean_end_and_a_truncated_one_are_told_apart() {
    for version in VERSIONS {
        let server =
            Running::start(serve(|| Ends).config(one_worker(limits())).tls("127.0.0.1:0", &acceptor()));
        let start = || {
            let mut client = client(server.addr(), client_config(&[version], None), "localhost");
            client.write_all(b"x").unwrap();
            client
        };
        let mut clean = start();
        finish(&mut clean);
        expect(&mut clean, b"clean");
        expect_end(&mut clean);
        let mut cut = start();
        cut.sock.shutdown(Shutdown::Write).unwrap();
        expect(&mut cut, b"truncated");
        expect_end(&mut cut);
        // Without FIN behind it, it is as good.
        let mut open = start();
        open.conn.send_close_notify();
        open.flush().unwrap();
        expect(&mut open, b"clean");
        expect_end(&mut open);
        // Our half first.
        let mut half = start();
        half.write_all(b"half").unwrap();
        expect(&mut half, b"our half ends here");
        expect_end(&mut half);
        half.write_all(b"still heard").unwrap();
        finish(&mut half);
        drop((clean, cut, open, half));
        let counters = server.wait_for("all to be gone", |c| c.connections == 0);
        assert_eq!((counters.closed_by("eof"), counters.closed_by("tls")), (3, 1));
        assert_eq!(counters.tls_failed_by("truncated"), 1);
        server.stop();
    }
}

#[test]
fn tampered_records_end_a_connection_with_an_alert() {
    for version in VERSIONS {
        let server = tls_echo(&acceptor(), limits());
        let mut client = client(server.addr(), client_config(&[version], None), "localhost");
        round_trip(&mut client, b"hello");
        client.sock.write_all(&[23, 3, 3, 0, 40]).unwrap();
        client.sock.write_all(&[7; 40]).unwrap();
        let error = client.read(&mut [0; 10]).unwrap_err();
        assert!(error.to_string().contains("BadRecordMac"), "{error}");
        server.wait_for("the end", |c| c.tls_failed_by("decrypt") == 1 && c.closed_by("tls") == 1);
        server.stop();
    }
}

#[test]
fn keys_are_updated_but_not_without_end() {
    let server = tls_echo(&acceptor(), limits());
    let mut client = client(server.addr(), client_config(&[&rustls::version::TLS13], None), "localhost");
    handshake(&mut client).unwrap();
    for _ in 0..100 {
        client.conn.refresh_traffic_keys().unwrap();
        round_trip(&mut client, b"with new keys");
    }
    for _ in 0..100 {
        client.conn.refresh_traffic_keys().unwrap();
    }
    while client.conn.wants_write() {
        client.conn.write_tls(&mut client.sock).unwrap();
    }
    server.wait_for("the end", |c| c.tls_failed_by("misbehaved") == 1);
    server.stop();
}

/// Everything goes to everybody else.
struct Chat;

impl Service for Chat {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        let bytes = input.take_all().to_vec();
        conn.broadcast(&bytes);
        Ok(())
    }
}

#[test]
fn plain_and_tls_connections_write_to_each_other() {
    let serve = serve(|| Chat).config(one_worker(limits()));
    let server = Running::start(serve.tcp("127.0.0.1:0").tls("127.0.0.1:0", &acceptor()));
    let mut plain = connect(server.addrs[0]);
    let mut tls: Vec<_> = (0..3).map(|_| client(server.addrs[1], both(), "localhost")).collect();
    for client in &mut tls {
        handshake(client).unwrap();
    }
    // One who never gets through its handshake gets nothing.
    let mut half = connect(server.addrs[1]);
    half.write_all(&[22]).unwrap();
    server.wait_for("all to be there", |c| c.opened == 4 && c.tls_handshakes == 1);
    for text in [pattern(10), pattern(100_000), pattern(4_096)] {
        plain.write_all(&text).unwrap();
        for client in &mut tls {
            expect(client, &text);
        }
    }
    let text = pattern(1_000);
    tls[0].write_all(&text).unwrap();
    expect(&mut plain, &text);
    expect(&mut tls[1], &text);
    half.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(half.read(&mut [0]).is_err(), "nothing has come");
    server.stop();
}

#[test]
fn a_client_that_does_not_read_pauses_the_server_and_loses_nothing() {
    let limits = Limits { output_high: 32 * 1024, output_low: 8 * 1024, ..limits() };
    let server = tls_echo(&acceptor(), limits);
    let mut client = client(server.addr(), both(), "localhost");
    handshake(&mut client).unwrap();
    let text = pattern(12 << 20);
    let mut records = Vec::new();
    for piece in text.chunks(16 * 1024) {
        client.conn.writer().write_all(piece).unwrap();
        while client.conn.wants_write() {
            client.conn.write_tls(&mut records).unwrap();
        }
    }
    let mut sock = client.sock.try_clone().unwrap();
    let sender = thread::spawn(move || sock.write_all(&records).unwrap());
    server.wait_for("the server to be congested", |c| c.congestions > 0);
    expect(&mut client, &text);
    sender.join().unwrap();
    let counters = server.stop().stats.counters;
    assert!(counters.output_peak_bytes < 1 << 20, "{}", counters.output_peak_bytes);
}

#[test]
fn a_drain_lets_a_handshake_finish() {
    let server = tls_echo(&acceptor(), limits());
    let mut client = client(server.addr(), both(), "localhost");
    // Half a ClientHello is on its way when the server is told to stop.
    let mut flight = Vec::new();
    client.conn.write_tls(&mut flight).unwrap();
    client.sock.write_all(&flight[..100]).unwrap();
    server.wait_for("the first half", |c| c.tls_handshakes == 1);
    server.handle.shutdown();
    server.wait_for("the drain", |_| server.handle.is_stopping());
    client.sock.write_all(&flight[100..]).unwrap();
    handshake(&mut client).unwrap();
    expect_end(&mut client);
    drop(client);
    let counters = server.ended_well().stats.counters;
    assert_eq!(counters.closed_by("shutdown"), 1);
}

/// Short of memory, what waits for the rest of a record is given back as other input is.
#[test]
fn unfinished_records_give_their_memory_back() {
    let limits = Limits {
        buffered_max: 128 * 1024,
        idle_timeout: 10 * LONG,
        tls_handshake_timeout: 10 * LONG,
        overload_lag_max: Duration::ZERO,
        ..limits()
    };
    let server = tls_echo(&acceptor(), limits);
    let send = |mut client: Client| {
        round_trip(&mut client, b"hello");
        client.sock.write_all(&[23, 3, 3, 0x40, 0]).unwrap();
        client.sock.write_all(&vec![7; 15_000]).unwrap();
        client
    };
    let clients: Vec<_> = (0..8).map(|_| client(server.addr(), both(), "localhost")).collect();
    let _clients: Vec<_> = clients.into_iter().map(send).collect();
    server.wait_for("memory to be short", |c| c.memory_short == 1);
    let counters = server.wait_for("relief", |c| c.memory_step == 0);
    assert!(counters.shed_memory > 0 && counters.closed_by("memory_full") > 0);
    server.stop();
}

//! TLS on connections of our own making, to servers of ours and to some that are none.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use windlass::{
    ClientCertificates, Close, Conn, ConnId, Connect, ConnectError, Input, Limits, Scope, Service, Sessions,
    TlsClient, TlsServer, TlsVersion, serve,
};

use crate::harness::*;
use crate::tls_peer::{identity, pem};

/// Connects, says hello, tells what came back, and leaves.
struct Caller {
    calls: Vec<Connect>,
    told: Sender<String>,
}

impl Service for Caller {
    type Session = Vec<u8>;

    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Vec<u8>>) {
        for connect in self.calls.drain(..) {
            scope.connect(connect).expect("begun");
        }
    }

    fn open(&mut self, _: &mut Conn<'_>) -> Result<Vec<u8>, Close> {
        unreachable!("it does not listen")
    }

    fn connected(&mut self, conn: &mut Conn<'_>, tag: u64) -> Result<Vec<u8>, Close> {
        let tls = conn.tls().expect("TLS");
        let alpn = tls.alpn().map(String::from_utf8_lossy).unwrap_or_default();
        let certificates = tls.peer_certificates().count();
        let said = format!("{tag}: {} {alpn} {certificates} {:?}", tls.version(), tls.server_name());
        let _ = self.told.send(said);
        conn.write(&pattern(200_000));
        Ok(Vec::new())
    }

    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        _: &mut Sessions<Vec<u8>>,
        id: ConnId,
        tag: u64,
        why: ConnectError,
    ) {
        assert!(scope.conn(id).is_none() && !scope.cancel_connect(id), "dead already");
        let _ = self.told.send(match why {
            ConnectError::Tls(error) => format!("{tag}: tls {}", error.label()),
            why => format!("{tag}: {}", why.label()),
        });
    }

    fn data(&mut self, _: &mut Conn<'_>, got: &mut Vec<u8>, input: &mut Input<'_>) -> Result<(), Close> {
        got.extend_from_slice(input.take_all());
        if got.len() < 200_000 { Ok(()) } else { Err(Close::Done) }
    }

    fn closed(&mut self, _: &mut Conn<'_>, got: Vec<u8>, why: Close) {
        let whole = got == pattern(200_000);
        let _ = self.told.send(format!("closed {} {whole}", why.label()));
    }
}

fn caller(calls: Vec<Connect>, limits: Limits) -> (Running, Receiver<String>) {
    let (told, heard) = channel();
    let calls = std::sync::Mutex::new(Some(calls));
    let told = std::sync::Mutex::new(told);
    let make = move || Caller {
        calls: calls.lock().unwrap().take().unwrap_or_default(),
        told: told.lock().unwrap().clone(),
    };
    (Running::start(serve(make).config(one_worker(limits)).tcp("127.0.0.1:0")), heard)
}

fn hear(heard: &Receiver<String>) -> String {
    heard.recv_timeout(LONG).expect("told in time")
}

fn echo_server(settings: TlsServer) -> Running {
    let tls = settings.build().unwrap();
    Running::start(serve(|| Echo).config(one_worker(limits())).tls("127.0.0.1:0", &tls))
}

fn call(addr: SocketAddr, client: &TlsClient, name: &str) -> Connect {
    Connect::to(addr).tag(7).tls(client.build().unwrap().to(name).unwrap())
}

#[test]
fn a_service_calls_a_tls_server_and_is_answered() {
    let server = echo_server(
        TlsServer::new(identity("server"))
            .alpn(["echo"])
            .clients(ClientCertificates::Required(pem("ca.pem"))),
    );
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        for name in ["server.test", "127.0.0.1"] {
            let client = TlsClient::new(pem("ca.pem"))
                .identity(identity("client"))
                .alpn(["other", "echo"])
                .versions([version]);
            let (caller, heard) = caller(vec![call(server.addr(), &client, name)], limits());
            let shown = if name == "127.0.0.1" { "None".into() } else { format!("Some({name:?})") };
            assert_eq!(hear(&heard), format!("7: {version} echo 1 {shown}"));
            assert_eq!(hear(&heard), "closed done true");
            let counters = caller.wait_for("the end", |c| c.connections == 0);
            assert_eq!((counters.connects_done, counters.tls_handshakes_done), (1, 1));
            caller.stop();
        }
    }
    let counters = server.wait_for("their ends", |c| c.connections == 0);
    assert_eq!(counters.closed_by("eof"), 4, "each said close_notify");
    server.stop();
}

#[test]
fn what_is_not_to_be_trusted_is_not_connected() {
    let server = echo_server(TlsServer::new(identity("server")));
    let trusting = TlsClient::new(pem("ca.pem"));
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain_addr = plain.local_addr().unwrap();
    let talks = std::thread::spawn(move || {
        let mut stream = plain.accept().unwrap().0;
        stream.write_all(b"220 this is no TLS\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    for (connect, wanted) in [
        (call(server.addr(), &TlsClient::new(pem("stranger-ca.pem")), "server.test"), "7: tls certificate"),
        (call(server.addr(), &trusting, "elsewhere.test"), "7: tls certificate"),
        (call(plain_addr, &trusting, "server.test"), "7: tls malformed"),
    ] {
        let (caller, heard) = caller(vec![connect], limits());
        assert_eq!(hear(&heard), wanted);
        let counters = caller.wait_for("the end", |c| c.connections == 0);
        assert_eq!((counters.connects_failed, counters.opened, counters.tls_handshakes), (1, 0, 0));
        caller.stop();
    }
    talks.join().unwrap();
    assert!(trusting.build().unwrap().to("not a name").is_err());
    assert!(TlsClient::new("").build().is_err(), "nobody is trusted unasked");
    let refused = server.wait_for("alerts", |c| c.tls_failed_by("alert") == 2);
    assert_eq!(refused.opened, 0);
    server.stop();
}

#[test]
fn a_server_that_never_answers_costs_only_its_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = call(silent.local_addr().unwrap(), &TlsClient::new(pem("ca.pem")), "server.test");
    let limits = Limits { tls_handshake_timeout: Duration::from_millis(200), ..limits() };
    let (caller, heard) = caller(vec![connect.clone(), connect], limits);
    assert_eq!(
        (hear(&heard), hear(&heard)),
        ("7: tls handshake_timeout".into(), "7: tls handshake_timeout".into())
    );
    caller.stop();
    let connect = call(silent.local_addr().unwrap(), &TlsClient::new(pem("ca.pem")), "server.test");
    let (caller, heard) = self::caller(vec![connect], crate::harness::limits());
    caller.wait_for("the handshake", |c| c.tls_handshakes == 1);
    caller.handle.stop_now();
    assert_eq!(hear(&heard), "7: shutdown");
    caller.ended_well();
}

/// Couples each of its clients with a connection of its own.
struct Proxy {
    upstream: Connect,
    waiting: std::collections::HashMap<u64, ConnId>,
}

impl Service for Proxy {
    type Session = ();
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        conn.pause();
        let tag = self.waiting.len() as u64;
        conn.connect(self.upstream.clone().tag(tag))?;
        self.waiting.insert(tag, conn.id());
        Ok(())
    }
    fn connected(&mut self, conn: &mut Conn<'_>, tag: u64) -> Result<(), Close> {
        assert!(conn.relay(self.waiting[&tag]));
        Ok(())
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        unreachable!("paused, and then coupled")
    }
}

#[test]
fn a_relay_ends_tls_and_begins_it_anew() {
    let tls = TlsServer::new(identity("server")).build().unwrap();
    let echoes = Running::start(
        serve(|| Echo).config(one_worker(limits())).tls("127.0.0.1:0", &tls).tcp("127.0.0.1:0"),
    );
    let client = TlsClient::new(pem("ca.pem")).build().unwrap();
    let behind =
        [Connect::to(echoes.addrs[0]).tls(client.to("server.test").unwrap()), Connect::to(echoes.addrs[1])];
    for (upstream, plain_before) in [(0, false), (0, true), (1, false)] {
        let upstream = behind[upstream].clone();
        let make = move || Proxy { upstream: upstream.clone(), waiting: Default::default() };
        let proxy = serve(make).config(one_worker(limits()));
        let proxy = Running::start(proxy.tls("127.0.0.1:0", &tls).tcp("127.0.0.1:0"));
        let text = pattern(4 << 20);
        if plain_before {
            let mut stream = connect(proxy.addrs[1]);
            let sender = send_and_finish(&stream, text.clone());
            expect(&mut stream, &text);
            expect_end(&mut stream);
            sender.join().unwrap();
        } else {
            let mut stream = crate::tls::client(proxy.addr(), crate::tls::both(), "localhost");
            for piece in text.chunks(64 * 1024) {
                round_trip(&mut stream, piece);
            }
            crate::tls::finish(&mut stream);
            expect_end(&mut stream);
        }
        let counters = proxy.wait_for("both ends", |c| c.connections == 0);
        assert_eq!((counters.closed_by("eof"), counters.relayed_bytes), (2, 2 * text.len() as u64));
        proxy.stop();
    }
    echoes.stop();
}

//! What a proxy needs to know of the two connections it has coupled, and says before it does.

use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use windlass::testing::Harness;
use windlass::{Close, Conn, ConnId, Connect, Input, Service, serve};

const UPSTREAM: ([u8; 4], u16) = ([192, 0, 2, 7], 8080);

/// Couples each client with a connection of its own, and tells which of the two ended first.
struct Front {
    connect: Connect,
    client: Option<ConnId>,
    told: Sender<Told>,
}

#[derive(Debug, PartialEq)]
enum Told {
    Local(Option<SocketAddr>),
    /// By an outbound connection, or the client; silent for so long then.
    Ended(bool, Duration),
    Closed(&'static str),
}

impl Service for Front {
    type Session = ();

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        let _ = self.told.send(Told::Local(conn.local_addr()));
        conn.pause();
        self.client = Some(conn.id());
        conn.connect(self.connect.clone())?;
        Ok(())
    }

    fn connected(&mut self, conn: &mut Conn<'_>, _: u64) -> Result<(), Close> {
        conn.write(b"behind");
        assert!(conn.relay(self.client.expect("a client waits")));
        Ok(())
    }

    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        unreachable!("paused, then coupled")
    }

    fn relay_ended(&mut self, conn: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        let _ = self.told.send(Told::Ended(conn.is_outbound(), conn.idle()));
        conn.wake_at(conn.now() + Duration::from_secs(3));
        Ok(())
    }

    fn closed(&mut self, _: &mut Conn<'_>, _: (), why: Close) {
        let _ = self.told.send(Told::Closed(why.label()));
    }
}

fn front(connect: Connect) -> (Harness, std::sync::mpsc::Receiver<Told>) {
    let (told, tells) = channel();
    let make = move || Front { connect: connect.clone(), client: None, told: told.clone() };
    (Harness::new(serve(make)), tells)
}

#[test]
fn the_end_of_one_half_of_a_relay_is_told_once_and_may_have_a_deadline() {
    let (mut harness, tells) = front(Connect::to(SocketAddr::from(UPSTREAM)));
    let client = harness.connect();
    let call = harness.calls().remove(0);
    let upstream = harness.accept(&call);
    let Told::Local(Some(_)) = tells.try_recv().unwrap() else { panic!("an address first") };
    harness.advance(Duration::from_secs(2));
    harness.send(client, b"question");
    assert_eq!(harness.receive(upstream), b"behindquestion");
    harness.advance(Duration::from_millis(1_500));
    harness.finish(client);
    assert_eq!(tells.try_recv(), Ok(Told::Ended(false, Duration::from_millis(1_500))));
    harness.send(upstream, b"answer");
    assert_eq!(harness.receive(client), b"answer");
    assert!(tells.try_recv().is_err(), "once");
    harness.advance(Duration::from_millis(3_001));
    assert_eq!(tells.try_recv(), Ok(Told::Closed("timeout")), "its own deadline ends both");
    assert_eq!(tells.try_recv(), Ok(Told::Closed("timeout")));
}

#[test]
fn the_second_end_is_the_close_alone() {
    let (mut harness, tells) = front(Connect::to(SocketAddr::from(UPSTREAM)));
    let client = harness.connect();
    let call = harness.calls().remove(0);
    let upstream = harness.accept(&call);
    harness.finish(upstream);
    harness.finish(client);
    let told: Vec<Told> = tells.try_iter().skip(1).collect();
    assert_eq!(told, [Told::Ended(true, Duration::ZERO), Told::Closed("eof"), Told::Closed("eof")]);
}

#[test]
fn a_preface_comes_before_what_the_service_writes() {
    let (mut harness, _tells) = front(Connect::to(SocketAddr::from(UPSTREAM)).preface(&b"PREFACE "[..]));
    harness.connect();
    let call = harness.calls().remove(0);
    let upstream = harness.accept(&call);
    assert_eq!(harness.receive(upstream), b"PREFACE behind");
}

#[test]
#[cfg(feature = "tls")]
fn a_preface_comes_in_plain_text_before_tls() {
    use windlass::TlsClient;

    let authorities = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certs/ca.pem")).unwrap();
    let target = TlsClient::new(authorities).build().unwrap().to("upstream.test").unwrap();
    let connect = Connect::to(SocketAddr::from(UPSTREAM)).preface(&b"PREFACE "[..]).tls(target);
    let (mut harness, _tells) = front(connect);
    harness.connect();
    let call = harness.calls().remove(0);
    let upstream = harness.accept(&call);
    let received = harness.receive(upstream);
    assert_eq!(&received[..8], b"PREFACE ");
    assert_eq!(received[8..10], [22, 3], "a handshake record: the ClientHello");
}

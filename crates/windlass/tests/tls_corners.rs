//! Corners of TLS, each driven by hand on a network without faults: what comes together with the end of a
//! handshake, ends at a limit, who is told what, and what waits where.
#![cfg(feature = "tls")]

mod tls_peer;

use std::time::Duration;

use tls_peer::{Echo, HarnessClient, VERSIONS, identity};
use windlass::proto::testing::Rng;
use windlass::sim::Ending;
use windlass::testing::Harness;
use windlass::{Close, Conn, Input, Limits, Serve, Service, TlsServer, serve};

const TLS13: &rustls::SupportedProtocolVersion = &rustls::version::TLS13;

fn harness<S: Service>(serve: Serve<S>) -> Harness {
    Harness::new(behind_tls(serve))
}

fn behind_tls<S: Service>(serve: Serve<S>) -> Serve<S> {
    serve.tls("127.0.0.1:0", &TlsServer::new(identity("server")).build().unwrap())
}

fn bytes(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Rng::new(7).fill(&mut bytes);
    bytes
}

/// Pauses in `open`, until its deadline.
struct Later;

impl Service for Later {
    type Session = bool;
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<bool, Close> {
        conn.pause();
        conn.wake_at(conn.now() + Duration::from_secs(1));
        Ok(false)
    }
    fn timeout(&mut self, conn: &mut Conn<'_>, resumed: &mut bool) -> Result<(), Close> {
        *resumed = true;
        conn.resume();
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, resumed: &mut bool, input: &mut Input<'_>) -> Result<(), Close> {
        assert!(*resumed, "it is paused");
        conn.write(input.take_all());
        Ok(())
    }
}

#[test]
fn what_comes_with_the_end_of_the_handshake_waits_for_a_pause() {
    for len in [5, 100_000, 400_000] {
        let mut harness = harness(serve(|| Later));
        let mut client = HarnessClient::connect(&mut harness, TLS13);
        let text = bytes(len);
        let mut last = client.last_flight(&mut harness);
        last.extend(client.write(&text));
        harness.send(client.peer, last);
        client.hear(&mut harness);
        assert!(client.received.is_empty());
        harness.advance(Duration::from_secs(2));
        client.hear(&mut harness);
        assert!(client.received == text, "{} of {len} bytes", client.received.len());
    }
}

#[test]
fn what_comes_with_the_end_of_the_handshake_keeps_its_order_in_a_drain() {
    /// Goes on with what it has.
    struct Stays;
    impl Service for Stays {
        type Session = ();
        fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
            Ok(())
        }
        fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
            conn.write(input.take_all());
            Ok(())
        }
        fn draining(&mut self, _: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
            Ok(())
        }
    }
    for version in VERSIONS {
        let mut harness = harness(serve(|| Stays));
        let mut client = HarnessClient::connect(&mut harness, version);
        let mut last = client.last_flight(&mut harness);
        harness.shutdown();
        harness.advance(Duration::from_millis(10));
        let text = bytes(500_000);
        if client.conn.is_handshaking() {
            // With 1.2 the server has the last word.
            harness.send(client.peer, std::mem::take(&mut last));
            client.hear(&mut harness);
        }
        last.extend(client.write(&text));
        harness.send(client.peer, last);
        client.hear(&mut harness);
        assert!(client.received == text, "{} bytes came back, or others", client.received.len());
    }
}

#[test]
fn a_silent_connection_is_in_no_handshake() {
    let limits = Limits { tls_handshakes_max: 1, ..Limits::default() };
    let mut harness = harness(serve(|| Echo).limits(limits));
    let silent = [harness.connect(), harness.connect(), harness.connect()];
    // Everything is looked at once more.
    harness.shutdown();
    harness.advance(Duration::from_millis(10));
    let counters = harness.handle().stats().counters;
    assert_eq!((counters.tls_handshakes_started, counters.tls_handshakes_failed), (0, 0));
    assert!(silent.iter().all(|&peer| !harness.is_ended(peer)), "and has its time");
}

/// Answers with much; at the next tick, whoever has not taken it gets more, and is ended in good order.
struct Parting;

impl Service for Parting {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        input.take_all();
        conn.write(&[7; 40_000]);
        Ok(())
    }
    fn tick(
        &mut self,
        scope: &mut windlass::Scope<'_>,
        sessions: &mut windlass::Sessions<()>,
        _: windlass::Tick,
    ) {
        sessions.each(scope, |conn, ()| {
            if conn.output_len() > 0 {
                conn.write(&[8; 6_000]);
                conn.close();
            }
        });
    }
}

#[test]
fn an_end_at_the_output_limit_is_no_clean_one_unless_all_was_sent() {
    for version in VERSIONS {
        let limits =
            Limits { output_high: 20_000, output_low: 10_000, output_max: 40_000, ..Limits::default() };
        let serve = behind_tls(serve(|| Parting).limits(limits).tick(Duration::from_secs(1)));
        let mut harness = Harness::with_buffers(serve, 2_000);
        let mut client = HarnessClient::connect(&mut harness, version);
        client.shake_hands(&mut harness);
        let ask = client.write(b"stuff");
        harness.send(client.peer, ask);
        // Stuck with some 36,000 bytes, and given 6,000 more and its end.
        harness.advance(Duration::from_secs(2));
        client.hear(&mut harness);
        let whole = client.received.len() == 46_000 && client.closed;
        let ending = if whole { Ending::Fin } else { Ending::Reset };
        assert_eq!(harness.ending(client.peer), Some(ending), "{} bytes", client.received.len());
        assert_eq!(client.failed, None, "what came is whole records");
    }
}

#[test]
fn who_broke_the_rules_is_to_blame_whoever_writes_next() {
    /// Answers once, and does not listen any more.
    struct Once;
    impl Service for Once {
        type Session = ();
        fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
            conn.wake_at(conn.now() + Duration::from_secs(1));
            Ok(())
        }
        fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
            conn.write(input.take_all());
            conn.pause();
            Ok(())
        }
        fn timeout(&mut self, conn: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
            conn.resume();
            Ok(())
        }
    }
    let mut harness = harness(serve(|| Once));
    let mut client = HarnessClient::connect(&mut harness, TLS13);
    client.shake_hands(&mut harness);
    let mut wire = client.write(b"good");
    for _ in 0..100 {
        client.conn.refresh_traffic_keys().unwrap();
        wire.extend(client.flight());
    }
    harness.send(client.peer, wire);
    harness.advance(Duration::from_secs(2));
    client.hear(&mut harness);
    let counters = harness.handle().stats().counters;
    assert_eq!(counters.tls_failed_by("misbehaved"), 1, "{:?}", harness.why_in_words(client.peer));
}

#[test]
fn what_waits_inside_of_tls_is_counted() {
    let mut harness = harness(serve(|| Later));
    let mut client = HarnessClient::connect(&mut harness, TLS13);
    client.shake_hands(&mut harness);
    harness.advance(Duration::from_secs(2));
    let record = client.write(&bytes(16_000));
    harness.send(client.peer, &record[..10_000]);
    assert_eq!(harness.handle().stats().counters.buffered_bytes, 10_000, "a part of a record");
    harness.send(client.peer, &record[10_000..]);
    assert_eq!(harness.handle().stats().counters.buffered_bytes, 0);
    client.hear(&mut harness);
    assert_eq!(client.received.len(), 16_000);
}

#[test]
fn empty_records_and_handshakes_anew_are_no_way_to_keep_us_busy() {
    let mut harness = harness(serve(|| Echo));
    // A ClientHello in records without content.
    let peer = harness.connect();
    for _ in 0..1_000 {
        harness.send(peer, [22, 3, 1, 0, 0]);
    }
    assert_eq!(harness.handle().stats().counters.tls_handshakes_failed, 1);
    // One more of it, in the middle of everything: renegotiation, or nothing known.
    for version in VERSIONS {
        let mut client = HarnessClient::connect(&mut harness, version);
        client.shake_hands(&mut harness);
        harness.send(client.peer, [22, 3, 3, 0, 5, 1, 0, 0, 1, 0]);
        client.hear(&mut harness);
        assert!(client.failed.is_some(), "an alert");
        assert_eq!(harness.why(client.peer), Some("tls"));
    }
}

/// Calls a TLS server when it starts, and is told what came of it.
struct Caller {
    while_draining: bool,
    told: std::sync::Arc<std::sync::Mutex<Vec<&'static str>>>,
    call: Option<windlass::ConnId>,
}

impl Service for Caller {
    type Session = ();
    fn start(&mut self, scope: &mut windlass::Scope<'_>, _: &mut windlass::Sessions<()>) {
        let target = windlass::TlsClient::new(tls_peer::pem("ca.pem")).build().unwrap().to("localhost");
        let remote: std::net::SocketAddr = ([192, 0, 2, 7], 443).into();
        let mut connect = windlass::Connect::to(remote).tls(target.unwrap());
        connect.while_draining = self.while_draining;
        self.call = Some(scope.connect(connect).unwrap());
    }
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        unreachable!("nobody comes")
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn connect_failed(
        &mut self,
        _: &mut windlass::Scope<'_>,
        _: &mut windlass::Sessions<()>,
        _: windlass::ConnId,
        _: u64,
        why: windlass::ConnectError,
    ) {
        self.told.lock().unwrap().push(why.label());
    }
    fn tick(&mut self, scope: &mut windlass::Scope<'_>, _: &mut windlass::Sessions<()>, _: windlass::Tick) {
        assert!(scope.cancel_connect(self.call.unwrap()));
    }
}

#[test]
fn a_handshake_of_ours_ends_with_a_drain_unless_it_may_go_on() {
    for (while_draining, wanted) in [(false, "shutdown"), (true, "cancelled")] {
        let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let calls = told.clone();
        let make = move || Caller { while_draining, told: calls.clone(), call: None };
        let mut harness = Harness::new(serve(make).tick(Duration::from_secs(1)));
        let server = harness.accept(&harness.calls()[0].clone());
        assert!(!harness.receive(server).is_empty(), "its ClientHello");
        harness.shutdown();
        harness.advance(Duration::from_millis(10));
        assert_eq!(harness.is_stopped(), !while_draining);
        if while_draining {
            // The service takes it back.
            harness.advance(Duration::from_secs(1));
        }
        assert_eq!(*told.lock().unwrap(), [wanted]);
        let counters = harness.handle().stats().counters;
        assert_eq!((counters.connects_cancelled, counters.tls_handshakes_failed), (1, 1));
        assert!(harness.is_stopped());
    }
}

#[test]
fn protocol_names_are_of_a_length_that_can_be_said() {
    for (len, fits) in [(0, false), (1, true), (255, true), (256, false)] {
        let name = vec![b'x'; len];
        assert_eq!(TlsServer::new(identity("server")).alpn([&name]).build().is_ok(), fits);
        let client = windlass::TlsClient::new(tls_peer::pem("ca.pem"));
        assert_eq!(client.alpn([&name]).build().is_ok(), fits);
    }
}

/// Couples its connections two by two.
#[derive(Default)]
struct Couples(Option<windlass::ConnId>);

impl Service for Couples {
    type Session = ();
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        match self.0.take() {
            None => {
                conn.pause();
                self.0 = Some(conn.id());
            }
            Some(first) => {
                // Before what is relayed.
                conn.write_to(first, b"[coupled]");
                conn.write(b"[coupled]");
                assert!(conn.relay(first) && !conn.relay(first));
            }
        }
        Ok(())
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        unreachable!("coupled")
    }
}

/// Two clients of a relay; the second sends `len` bytes together with the end of its handshake.
fn coupled(harness: &mut Harness, len: usize) -> [HarnessClient; 2] {
    let mut first = HarnessClient::connect(harness, TLS13);
    first.shake_hands(harness);
    let early = first.write(b"early");
    harness.send(first.peer, early);
    let mut second = HarnessClient::connect(harness, TLS13);
    let mut last = second.last_flight(harness);
    last.extend(second.write(&bytes(len)));
    harness.send(second.peer, last);
    second.hear(harness);
    first.hear(harness);
    assert_eq!(second.received, b"[coupled]early");
    [first, second]
}

#[test]
fn a_relay_decrypts_and_encrypts_and_keeps_the_order() {
    for len in [0, 1, 100_000, 700_000] {
        let mut harness = harness(serve(Couples::default));
        let [mut first, mut second] = coupled(&mut harness, len);
        assert!(first.received[..9] == *b"[coupled]" && first.received[9..] == bytes(len), "{len}");
        let text = bytes(300_000);
        let wire = first.write(&text);
        harness.send(first.peer, wire);
        second.hear(&mut harness);
        assert!(second.received[14..] == text);
        // One half, then the other.
        first.conn.send_close_notify();
        let end = first.flight();
        harness.send(first.peer, end);
        second.hear(&mut harness);
        assert!(second.closed);
        let more = second.write(b"still heard");
        harness.send(second.peer, more);
        second.conn.send_close_notify();
        let end = second.flight();
        harness.send(second.peer, end);
        first.hear(&mut harness);
        assert!(first.closed && first.received.ends_with(b"still heard"));
        let counters = harness.handle().stats().counters;
        assert_eq!((counters.closed_by("eof"), counters.buffered_bytes), (2, 0));
    }
}

#[test]
fn a_relay_passes_on_how_a_stream_ended() {
    // Cut short: the other end sees that too.
    let mut harness = harness(serve(Couples::default));
    let [first, mut second] = coupled(&mut harness, 10);
    harness.finish(first.peer);
    second.hear(&mut harness);
    assert_eq!((second.closed, harness.ending(second.peer)), (false, Some(Ending::Fin)));
    harness.finish(second.peer);
    let counters = harness.handle().stats().counters;
    assert_eq!(counters.tls_failed_by("truncated"), 2);
    // Broken: what came before is passed on, and a reset.
    let [mut first, mut second] = coupled(&mut harness, 10);
    let mut wire = first.write(b"whole");
    wire.extend([23, 3, 3, 0, 40]);
    wire.extend([7; 40]);
    harness.send(first.peer, wire);
    second.hear(&mut harness);
    assert!(second.received.ends_with(b"whole") && !second.closed);
    assert_eq!(harness.ending(second.peer), Some(Ending::Reset));
    assert_eq!(harness.why(first.peer), Some("tls"));
}

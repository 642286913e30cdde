//! A service driven by hand: handshakes, deadlines, limits, ends, and who hears a broadcast.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use windlass::testing::{Harness, TestPeer};
use windlass::{Bytes, Close, Conn, ConnId, Limits, Mailbox, Peer, Tick, serve};
use windlass_http::ws::{
    Accept, CloseCode, Kind, Members, Message, Origins, Upgrade, Ws, WsConfig, WsReceive, WsServer,
    WsServerConfig, WsService, WsStats, frame,
};
use windlass_proto::http::Status;
use windlass_proto::ws::{FrameHead, Opcode, Opening};

use crate::ws_peer::{Client, Heard};

thread_local! {
    // What services say of themselves: the harness runs them on this thread.
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn log() -> Vec<String> {
    LOG.take()
}

/// Does what its messages say.
struct Obedient;

impl WsService for Obedient {
    type Session = Rc<str>;

    fn accept(&mut self, upgrade: &Upgrade<'_, '_>, _: Peer) -> Result<Accept<Rc<str>>, Status> {
        if upgrade.head.path() == "/nowhere" {
            return Err(Status::NOT_FOUND);
        }
        let accept = Accept::new(upgrade.head.path().into());
        Ok(match upgrade.protocols().next() {
            Some(protocol) => accept.protocol(protocol),
            None => accept,
        })
    }

    fn open(&mut self, ws: &mut Ws<'_, '_>, path: &mut Rc<str>) -> Result<(), Close> {
        ws.text(&format!("welcome to {path}"));
        Ok(())
    }

    fn message(&mut self, ws: &mut Ws<'_, '_>, _: &mut Rc<str>, message: Message<'_>) -> Result<(), Close> {
        match message {
            Message::Text("wake me") => {
                let at = ws.conn().now() + Duration::from_secs(7);
                ws.wake_at(at);
            }
            Message::Text("tell all") => ws.broadcast(&Bytes::from(frame(Kind::Text, b"news"))),
            Message::Text("close") => ws.close(CloseCode(4000), "as you say"),
            Message::Text("done") => return Err(Close::Done),
            Message::Text("fail") => return Err("x".parse::<u8>().unwrap_err().into()),
            Message::Text("pause") => ws.pause(),
            other => _ = ws.send(other),
        }
        Ok(())
    }

    fn drained(&mut self, _: &mut Ws<'_, '_>, _: &mut Rc<str>) -> Result<(), Close> {
        LOG.with_borrow_mut(|log| log.push("drained".into()));
        Ok(())
    }

    fn timeout(&mut self, ws: &mut Ws<'_, '_>, _: &mut Rc<str>) -> Result<(), Close> {
        ws.text("wake up");
        Ok(())
    }

    fn closed(&mut self, _: &mut Conn<'_>, path: Rc<str>, code: CloseCode, why: Close) {
        LOG.with_borrow_mut(|log| log.push(format!("{path} {} {}", code.0, why.label())));
    }

    fn tick(&mut self, members: &mut Members<'_, '_, Rc<str>>, tick: Tick) {
        let text = format!("tick {}", tick.number);
        members.broadcast(&Bytes::from(frame(Kind::Text, text.as_bytes())));
    }
}

impl WsReceive for Obedient {
    type Message = (Option<ConnId>, &'static str);

    fn receive(&mut self, members: &mut Members<'_, '_, Rc<str>>, (to, text): Self::Message) {
        match to {
            Some(id) => {
                members.get(id, |ws, _| _ = ws.text(text));
            }
            None => members.each(|ws, path| _ = ws.text(&format!("{text} at {path}"))),
        }
    }
}

struct Stage {
    harness: Harness,
    stats: WsStats,
}

impl Stage {
    fn new(config: WsServerConfig) -> Stage {
        Stage::with(config, Limits::default(), 1 << 20)
    }

    fn with(config: WsServerConfig, limits: Limits, buffers: usize) -> Stage {
        log();
        let stats = WsStats::new();
        let counted = stats.clone();
        let make = move || WsServer::with_stats(Obedient, config.clone(), counted.clone()).page("<p>hi");
        Stage { harness: Harness::with_buffers(serve(make).limits(limits), buffers), stats }
    }

    /// An answer as text.
    fn ask(&mut self, request: &str) -> String {
        let peer = self.harness.connect();
        self.harness.send(peer, request);
        String::from_utf8_lossy(&self.harness.receive(peer)).into_owned()
    }

    fn connect(&mut self) -> Caller {
        self.connect_as(Opening::new([7; 32]), WsConfig::default())
    }

    fn connect_as(&mut self, opening: Opening, config: WsConfig) -> Caller {
        let mut caller = Caller { line: self.harness.connect(), peer: Client::new(opening, "/", config) };
        let heard = caller.exchange(&mut self.harness);
        assert!(matches!(heard[0], Heard::Open(_)));
        assert_eq!(heard[1], Heard::Text("welcome to /".into()));
        caller
    }
}

struct Caller {
    line: TestPeer,
    peer: Client,
}

impl Caller {
    /// Sends what there is to send, and hears what comes.
    fn exchange(&mut self, harness: &mut Harness) -> Vec<Heard> {
        harness.send(self.line, self.peer.said());
        self.peer.hear(&harness.receive(self.line)).unwrap()
    }

    fn say(&mut self, harness: &mut Harness, text: &str) -> Vec<Heard> {
        self.peer.say(Kind::Text, text.as_bytes());
        self.exchange(harness)
    }
}

fn text(text: &str) -> Heard {
    Heard::Text(text.into())
}

fn close(code: u16, reason: &str) -> Heard {
    Heard::Close(code, reason.into())
}

fn request(change: impl Fn(String) -> String) -> String {
    let mut out = Vec::new();
    Opening::new([1; 32]).request("a.example", "/", &WsConfig::default(), &mut out).unwrap();
    change(String::from_utf8(out).unwrap())
}

#[test]
fn requests_are_accepted_refused_or_shown_the_page() {
    let mut stage = Stage::new(WsServerConfig::default());
    let status = |answer: String| answer[9..12].parse::<u16>().unwrap();
    assert_eq!(status(stage.ask(&request(|text| text))), 101);
    assert_eq!(status(stage.ask(&request(|text| text.replace("GET /", "GET /nowhere")))), 404);
    assert_eq!(status(stage.ask(&request(|text| text.replace("n: 13", "n: 12")))), 426);
    let strange = |text: String| text.replace("upgrade:", "origin: http://evil.example\r\nupgrade:");
    assert_eq!(status(stage.ask(&request(strange))), 403);
    let own = |text: String| text.replace("upgrade:", "origin: http://a.example\r\nupgrade:");
    assert_eq!(status(stage.ask(&request(own))), 101);
    let page = stage.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(page.starts_with("HTTP/1.1 200 ") && page.ends_with("\r\n\r\n<p>hi"), "{page}");
    assert_eq!(status(stage.ask("GET /other HTTP/1.1\r\nHost: a\r\n\r\n")), 426);
    assert_eq!(status(stage.ask("\x16\x03\x01")), 400);
    let counts: Vec<_> = stage.stats.errors().collect();
    assert_eq!(stage.stats.opened(), 2);
    assert_eq!(counts, [("http", 1), ("not_upgrade", 1), ("version", 1), ("origin", 1), ("refused", 1)]);
}

#[test]
fn every_page_may_come_where_it_is_said() {
    let mut stage = Stage::new(WsServerConfig::default().origins(Origins::Any));
    let strange = |text: String| text.replace("upgrade:", "origin: null\r\nupgrade:");
    assert!(stage.ask(&request(strange)).starts_with("HTTP/1.1 101 "));
}

#[test]
fn a_request_that_does_not_come_is_not_waited_for() {
    let mut stage = Stage::new(WsServerConfig::default());
    let peer = stage.harness.connect();
    stage.harness.send(peer, "GET / HTTP/1.1\r\n");
    stage.harness.advance(Duration::from_secs(9));
    assert_eq!(stage.harness.why(peer), None);
    stage.harness.advance(Duration::from_secs(2));
    assert!(stage.harness.receive(peer).starts_with(b"HTTP/1.1 408 "));
    assert_eq!(stage.harness.why_in_words(peer).as_deref(), Some("the handshake took too long"));
    assert_eq!(stage.stats.errors().collect::<Vec<_>>(), [("handshake_timeout", 1)]);
}

#[test]
fn messages_come_back_and_the_subprotocol_is_agreed_on() {
    let mut stage = Stage::new(WsServerConfig::default());
    let mut caller = stage.connect_as(Opening::new([7; 32]).protocol("one"), WsConfig::default());
    assert_eq!(caller.say(&mut stage.harness, "h\u{e9}llo"), [text("h\u{e9}llo")]);
    caller.peer.say(Kind::Binary, &[0xff; 70_000]);
    caller.peer.ping();
    let heard = caller.exchange(&mut stage.harness);
    assert_eq!(heard, [Heard::Binary(vec![0xff; 70_000]), Heard::Pong]);
    caller.peer.close(1000);
    assert_eq!(caller.exchange(&mut stage.harness), [close(1000, "")]);
    assert_eq!(stage.harness.why(caller.line), Some("done"));
    stage.harness.finish(caller.line);
    assert_eq!(log(), ["/ 1000 done"]);
}

#[test]
fn frames_behind_the_request_are_not_lost() {
    let mut stage = Stage::new(WsServerConfig::default());
    let line = stage.harness.connect();
    let mut bytes = request(|text| text).into_bytes();
    bytes.extend([0x81, 0x81, 0, 0, 0, 0, b'x']);
    for size in [1, bytes.len()] {
        stage.harness.send_split(line, &bytes, size);
        if size > 1 {
            break;
        }
        let answer = stage.harness.receive(line);
        assert!(answer.ends_with(b"\x81\x0cwelcome to /\x81\x01x"), "{}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn the_service_closes() {
    let mut stage = Stage::new(WsServerConfig::default());
    let mut caller = stage.connect();
    caller.peer.say(Kind::Text, b"close");
    caller.peer.say(Kind::Text, b"too late to be answered");
    assert_eq!(caller.exchange(&mut stage.harness), [close(4000, "as you say")]);
    assert_eq!(stage.harness.why(caller.line), None, "it waits for the answer");
    caller.exchange(&mut stage.harness);
    assert_eq!(stage.harness.why(caller.line), Some("done"));
    for (says, code, label) in [("done", 1000, "done"), ("fail", 1008, "protocol")] {
        let mut caller = stage.connect();
        assert_eq!(caller.say(&mut stage.harness, says), [close(code, "")]);
        assert_eq!(stage.harness.why(caller.line), Some(label));
    }
}

#[test]
fn a_close_frame_that_is_not_answered() {
    let mut stage = Stage::new(WsServerConfig::default());
    let mut caller = stage.connect();
    caller.say(&mut stage.harness, "close");
    stage.harness.advance(Duration::from_secs(4));
    assert_eq!(stage.harness.why(caller.line), None);
    stage.harness.advance(Duration::from_secs(2));
    assert_eq!(stage.harness.why_in_words(caller.line).as_deref(), Some("no answer to a Close frame"));
    assert_eq!(stage.stats.errors().collect::<Vec<_>>(), [("close_timeout", 1)]);
}

#[test]
fn silence_is_asked_for_a_sign_of_life_and_then_ended() {
    let mut stage = Stage::new(WsServerConfig::default());
    let (mut alive, dead) = (stage.connect(), stage.connect());
    for _ in 0..10 {
        stage.harness.advance(Duration::from_secs(31));
        assert_eq!(alive.exchange(&mut stage.harness), [Heard::Ping]);
        alive.exchange(&mut stage.harness);
    }
    assert_eq!(stage.harness.why(alive.line), None);
    assert_eq!(stage.harness.why_in_words(dead.line).as_deref(), Some("no sign of the peer"));
    assert_eq!(log(), ["/ 1002 protocol"]);
}

#[test]
fn the_services_own_deadline_does_not_disturb_the_others() {
    let mut stage = Stage::new(WsServerConfig::default());
    let mut caller = stage.connect();
    caller.say(&mut stage.harness, "wake me");
    stage.harness.advance(Duration::from_secs(6));
    assert_eq!(caller.exchange(&mut stage.harness), []);
    stage.harness.advance(Duration::from_secs(2));
    assert_eq!(caller.exchange(&mut stage.harness), [text("wake up")]);
    stage.harness.advance(Duration::from_secs(25));
    assert_eq!(caller.exchange(&mut stage.harness), [Heard::Ping]);
}

#[test]
fn a_paused_one_is_not_asked() {
    let mut stage = Stage::with(
        WsServerConfig::default(),
        Limits { idle_timeout: Duration::ZERO, ..Limits::default() },
        1 << 20,
    );
    let mut caller = stage.connect();
    caller.say(&mut stage.harness, "pause");
    stage.harness.advance(Duration::from_secs(300));
    assert_eq!(caller.exchange(&mut stage.harness), []);
    assert_eq!(stage.harness.why(caller.line), None);
}

#[test]
fn violations_are_told_and_counted() {
    let mut stage = Stage::new(WsServerConfig::default());
    let too_long = FrameHead { mask: Some([0; 4]), ..FrameHead::whole(Opcode::Binary, 1 << 40) };
    let cases = [
        (vec![0xf1, 0x80], 1002, "reserved_bits"),
        (vec![0x81, 0x00], 1002, "unmasked"),
        (vec![0x81, 0x81, 0, 0, 0, 0, 0xff], 1007, "utf8"),
        (too_long.encode().as_ref().to_vec(), 1009, "too_large"),
    ];
    for (bytes, code, label) in cases {
        let mut caller = stage.connect();
        stage.harness.send(caller.line, bytes);
        assert_eq!(caller.exchange(&mut stage.harness), [close(code, label)]);
        assert_eq!(stage.harness.why(caller.line), Some("protocol"));
        assert_eq!(log(), [format!("/ {code} protocol")]);
        assert!(stage.stats.errors().any(|count| count == (label, 1)));
    }
}

#[test]
fn messages_half_received_have_one_limit_together() {
    let config = WsServerConfig { partial_max: 100_000, ..WsServerConfig::default() };
    let mut stage = Stage::new(config);
    let head = FrameHead { mask: Some([0; 4]), ..FrameHead::whole(Opcode::Binary, 90_000) };
    let mut begin = head.encode().as_ref().to_vec();
    begin.resize(60_000, 0);
    let (mut one, mut two) = (stage.connect(), stage.connect());
    stage.harness.send(one.line, &begin);
    stage.harness.send(two.line, &begin);
    assert_eq!(two.exchange(&mut stage.harness), [close(1013, "overloaded")]);
    stage.harness.finish(two.line);
    // Its memory is there for the next.
    let mut three = stage.connect();
    stage.harness.send(three.line, &begin[..30_000]);
    assert_eq!(three.exchange(&mut stage.harness), []);
    stage.harness.send(one.line, vec![0; 90_000 + head.encode().as_ref().len() - begin.len()]);
    assert_eq!(one.exchange(&mut stage.harness), [Heard::Binary(vec![0; 90_000])]);
}

#[test]
fn a_peer_that_does_not_read_is_not_read_from() {
    let limits = Limits { output_high: 4_000, output_low: 1_000, ..Limits::default() };
    let mut stage = Stage::with(WsServerConfig::default(), limits, 4_000);
    let mut caller = stage.connect();
    for n in 0..200 {
        caller.peer.say(Kind::Text, format!("{n:0>500}").as_bytes());
    }
    stage.harness.send(caller.line, caller.peer.said());
    assert!(stage.harness.handle().stats().counters.output_peak_bytes < 10_000);
    let heard = caller.exchange(&mut stage.harness);
    let expected: Vec<_> = (0..200).map(|n| text(&format!("{n:0>500}"))).collect();
    assert_eq!(heard, expected);
    assert!(log().contains(&"drained".to_owned()));
}

#[test]
fn an_end_without_a_close_frame() {
    let mut stage = Stage::new(WsServerConfig::default());
    let (quiet, inside) = (stage.connect(), stage.connect());
    stage.harness.finish(quiet.line);
    stage.harness.send(inside.line, [0x81]);
    stage.harness.finish(inside.line);
    assert_eq!(log(), ["/ 1006 eof", "/ 1006 truncated"]);
}

#[test]
fn a_broadcast_reaches_those_who_are_open_and_nobody_else() {
    let mut stage = Stage::new(WsServerConfig::default());
    let (mut one, mut two, mut closing) = (stage.connect(), stage.connect(), stage.connect());
    let (shaking, leaver) = (stage.harness.connect(), stage.connect());
    stage.harness.reset(leaver.line);
    closing.peer.say(Kind::Text, b"close");
    stage.harness.send(closing.line, closing.peer.said());
    assert_eq!(one.say(&mut stage.harness, "tell all"), []);
    assert_eq!(two.exchange(&mut stage.harness), [text("news")]);
    assert_eq!(closing.exchange(&mut stage.harness), [close(4000, "as you say")]);
    assert_eq!(stage.harness.receive(shaking), b"");
    // Who comes into a place that has become free hears it too.
    let mut late = stage.connect();
    assert_eq!(one.say(&mut stage.harness, "tell all"), []);
    assert_eq!(late.exchange(&mut stage.harness), [text("news")]);
    assert_eq!(two.exchange(&mut stage.harness), [text("news")]);
}

#[test]
fn ticks_and_messages_from_other_threads() {
    log();
    let mailbox = Mailbox::new();
    let make = || WsServer::new(Obedient, WsServerConfig::default());
    let harness = Harness::new(serve(make).mailbox(&mailbox).tick(Duration::from_secs(1)));
    let mut stage = Stage { harness, stats: WsStats::new() };
    let mut caller = stage.connect();
    let shaking = stage.harness.connect();
    mailbox.send(0, (None, "hello")).unwrap();
    assert_eq!(caller.exchange(&mut stage.harness), [text("hello at /")]);
    stage.harness.advance(Duration::from_millis(1_500));
    assert_eq!(caller.exchange(&mut stage.harness), [text("tick 1")]);
    assert_eq!(stage.harness.receive(shaking), b"");
}

#[test]
fn a_shutdown_is_told_and_waits_for_the_answer() {
    let mut stage = Stage::new(WsServerConfig::default());
    let mut caller = stage.connect();
    let shaking = stage.harness.connect();
    stage.harness.shutdown();
    assert_eq!(stage.harness.why(shaking), Some("shutdown"));
    stage.harness.finish(shaking);
    assert_eq!(caller.exchange(&mut stage.harness), [close(1001, "")]);
    assert!(!stage.harness.is_stopped());
    caller.exchange(&mut stage.harness);
    stage.harness.finish(caller.line);
    assert_eq!(log(), ["/ 1001 done"]);
    assert!(stage.harness.is_stopped());
}

//! The service by hand: what is answered, what is refused, and when a connection ends.

use std::time::Duration;

use windlass::proto::http::{Limits, Status};
use windlass::testing::{Harness, TestPeer};
use windlass::{Bytes, Close, Conn, Input, Tick, Time, serve};
use windlass_http::{
    Accepted, App, Event, File, Http, HttpConfig, HttpStats, Push, Refusal, Replied, Reply, Request,
    Upgraded, WhenSlow,
};

const SECOND: Duration = Duration::from_secs(1);

/// Counts, and pushes the count; upgraded connections are echoes that shout.
#[derive(Default)]
struct Desk {
    count: u64,
    closed: Vec<String>,
}

struct Shout;

impl App for Desk {
    type Upgraded = Shout;

    fn subscribe(&mut self, request: &Request<'_>) -> Vec<Event> {
        let last = request.header("last-event-id").unwrap_or("none");
        vec![Event::new(format!("count {}, last {last}", self.count)).name("hello")]
    }

    fn tick(&mut self, push: &mut Push<'_, '_, Desk>, tick: Tick) {
        push.event("/events", &Event::new("x".repeat(1000)).id(tick.number.to_string()));
        push.each_upgraded(|conn, _| conn.write(b"tick"));
    }
}

impl Upgraded<Desk> for Shout {
    fn open(&mut self, _: &mut Desk, conn: &mut Conn<'_>) -> Result<(), Close> {
        conn.write(b"WELCOME ");
        Ok(())
    }

    fn data(&mut self, desk: &mut Desk, conn: &mut Conn<'_>, input: &mut Input<'_>) -> Result<(), Close> {
        desk.count += 1;
        let bytes = input.take_all();
        bytes.make_ascii_uppercase();
        conn.write(bytes);
        Ok(())
    }

    fn closed(self, desk: &mut Desk, _: &mut Conn<'_>, why: Close) {
        desk.closed.push(why.label().to_owned());
    }
}

fn count(desk: &mut Desk, request: &Request<'_>, reply: Reply<'_, '_>) -> Replied {
    match request.json::<u64>() {
        Ok(by) => {
            desk.count += by;
            reply.status(Status::CREATED).json(&desk.count)
        }
        Err(refusal) => reply.refuse(refusal),
    }
}

fn desk(config: HttpConfig) -> Http<Desk> {
    let big = Bytes::from(vec![b'b'; 100_000]);
    Http::new(Desk::default())
        .config(config)
        .file("/", File::named("index.html", "<h1>Hi</h1>").gzip("zipped"))
        .file("/big", File::named("big.txt", big))
        .get("/name/*", |_, request, reply| {
            reply.text(&format!("[{}] {:?}", request.rest(), request.param("q")))
        })
        .get("/name/exact", |_, _, reply| reply.text("exact"))
        .post("/count", count)
        .body_max(10)
        .post("/echo", |_, request, reply| reply.bytes("application/octet-stream", request.body))
        .get("/bad", |_, _, reply| reply.header("x", "a\r\nset-cookie: b").text("never"))
        .get("/closed", |desk, _, reply| reply.text(&desk.closed.join(",")))
        .get("/stats", |_, _, reply| {
            let text = show(reply.stats());
            reply.text(&text)
        })
        .get("/push", |_, _, mut reply| {
            reply.push("/events", &Event::new("pushed"));
            reply.empty()
        })
        .events("/events")
        .upgrade("/shout", "shout", |_, request| match request.header("x-secret") {
            Some("no") => Err(Refusal(Status::FORBIDDEN)),
            _ => Ok(Accepted::new(Shout).header("x-level", "11")),
        })
}

fn show(stats: &HttpStats) -> String {
    format!(
        "{:?} {:?} unwritable {} subscribers {} slow {}+{} upgrades {} shed {}",
        stats.responses,
        stats.refused,
        stats.unwritable,
        stats.subscribers,
        stats.slow_disconnected,
        stats.slow_skipped,
        stats.upgrades,
        stats.shed
    )
}

fn harness_with(config: HttpConfig) -> Harness {
    Harness::new(serve(move || desk(config.clone())))
}

fn harness() -> Harness {
    harness_with(HttpConfig::default())
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

/// The answer to one request with these lines, on a connection of its own.
fn ask(harness: &mut Harness, start: &str, lines: &str) -> String {
    let peer = harness.connect();
    harness.send(peer, format!("{start} HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
    text(harness.receive(peer))
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head").1
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status")
}

fn stats(harness: &mut Harness) -> String {
    let answer = ask(harness, "GET /stats", "");
    body(&answer).to_owned()
}

#[test]
fn pages_come_with_what_browsers_want_to_know() {
    let h = &mut harness();
    let page = ask(h, "GET /", "");
    assert_eq!((status(&page), body(&page)), (200, "<h1>Hi</h1>"));
    for line in [
        "content-type: text/html; charset=utf-8",
        "content-length: 11",
        "cache-control: no-cache",
        "vary: accept-encoding",
        "x-content-type-options: nosniff",
        "x-frame-options: DENY",
        "referrer-policy: same-origin",
        "content-security-policy: default-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    ] {
        assert!(page.contains(&format!("\r\n{line}\r\n")), "{line:?} in {page}");
    }
    assert!(!page.contains("\r\ndate:"), "there is no clock");
    let etag = page.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag").to_owned();

    let head = ask(h, "HEAD /", "");
    assert_eq!(head, page.replace("<h1>Hi</h1>", ""));
    for known in [
        format!("If-None-Match: {etag}"),
        format!("If-None-Match: \"x\", W/{etag}"),
        "If-None-Match: *".into(),
    ] {
        let answer = ask(h, "GET /", &format!("{known}\r\n"));
        assert!(status(&answer) == 304 && body(&answer).is_empty() && answer.contains(&etag), "{answer}");
        assert!(!answer.contains("content-length"), "of what it stands for, or none: {answer}");
    }
    assert_eq!(status(&ask(h, "GET /", "If-None-Match: \"x\"\r\n")), 200);

    for (accepts, expected) in
        [("gzip, br", "zipped"), ("*", "zipped"), ("gzip;q=0", "<h1>Hi</h1>"), ("br", "<h1>Hi</h1>")]
    {
        let answer = ask(h, "GET /", &format!("Accept-Encoding: {accepts}\r\n"));
        assert_eq!(body(&answer), expected, "{accepts}");
        assert_eq!(answer.contains("content-encoding: gzip"), expected == "zipped");
        assert_eq!(answer.contains(&etag), expected != "zipped", "another representation, another tag");
    }
    let big = ask(h, "GET /big", "");
    assert!(body(&big).len() == 100_000 && big.contains("content-type: text/plain"));
    assert_eq!(body(&ask(h, "HEAD /big", "")), "");
}

#[test]
fn a_clock_that_is_lent_gives_a_date() {
    let config = HttpConfig { clock: Some(|| Duration::from_secs(784_111_777)), ..HttpConfig::default() };
    let answer = ask(&mut harness_with(config), "GET /", "");
    assert!(answer.contains("\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), "{answer}");
}

#[test]
fn routes_are_found_by_path_and_method() {
    let h = &mut harness();
    assert_eq!(body(&ask(h, "GET /name/a%20b/../c?x=y&q=1+%41", "")), "[a%20b/../c] Some(\"1 A\")");
    assert_eq!(body(&ask(h, "GET /name/exact", "")), "exact");
    assert_eq!(body(&ask(h, "GET http://h/name/exact", "")), "exact");
    let missing = ask(h, "GET /nowhere", "");
    assert_eq!((status(&missing), body(&missing)), (404, "404 Not Found\n"));
    assert_eq!(status(&ask(h, "OPTIONS *", "")), 404);
    let wrong = ask(h, "GET /count", "");
    assert!(status(&wrong) == 405 && wrong.contains("\r\nallow: POST\r\n"), "{wrong}");
    let wrong = ask(h, "DELETE /", "");
    assert!(status(&wrong) == 405 && wrong.contains("\r\nallow: GET, HEAD\r\n"), "{wrong}");
}

#[test]
fn json_goes_in_and_out_within_its_limit() {
    let h = &mut harness();
    let post = |lines: &str, body: &str| format!("POST /count HTTP/1.1\r\nHost: h\r\n{lines}\r\n{body}");
    let json = "Content-Type: application/json; charset=utf-8\r\n";
    let cases = [
        (post(&format!("{json}Content-Length: 1\r\n"), "5"), 201, "5"),
        (post(&format!("{json}Transfer-Encoding: chunked\r\n"), "1\r\n1\r\n1\r\n0\r\n0\r\n\r\n"), 201, "15"),
        (post("Content-Length: 1\r\n", "5"), 415, "415 Unsupported Media Type\n"),
        (post(&format!("{json}Content-Length: 1\r\n"), "x"), 400, "400 Bad Request\n"),
        (post(json, ""), 400, "400 Bad Request\n"),
        (post(&format!("{json}Content-Length: 11\r\n"), ""), 413, "body_too_long\n"),
        (post(&format!("{json}Transfer-Encoding: chunked\r\n"), "b\r\n"), 413, "body_too_long\n"),
        (post(&format!("{json}Expect: 100-continue\r\nContent-Length: 11\r\n"), ""), 413, "body_too_long\n"),
    ];
    for (request, code, expected) in &cases {
        for size in [1, 7, 4096] {
            if size != 1 && *code == 201 {
                continue; // It counts.
            }
            let peer = h.connect();
            h.send_split(peer, request, size);
            let answer = text(h.receive(peer));
            assert_eq!((status(&answer), body(&answer)), (*code, *expected), "{request:?}");
        }
    }
    let peer = h.connect();
    h.send(peer, post(&format!("{json}Expect: 100-continue\r\nContent-Length: 2\r\n"), ""));
    assert_eq!(text(h.receive(peer)), "HTTP/1.1 100 Continue\r\n\r\n");
    h.send(peer, "10");
    assert_eq!(body(&text(h.receive(peer))), "25");
    let stats = stats(h);
    assert!(stats.contains("(\"body_too_long\", 9)"), "{stats}");
}

#[test]
fn a_connection_is_kept_for_the_next_request_and_the_next() {
    let h = &mut harness_with(HttpConfig { requests_max: 3, ..HttpConfig::default() });
    let peer = h.connect();
    let all = "GET /name/1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
               \r\nGET /name/3 HTTP/1.1\r\nHost: h\r\n\r\nGET /name/4 HTTP/1.1\r\nHost: h\r\n\r\n";
    h.send_split(peer, all, 5);
    let answers = text(h.receive(peer));
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    assert!(answers.ends_with("[3] None") && answers.contains("\r\nabc"), "{answers}");
    assert_eq!(answers.matches("connection: close").count(), 1, "the last says so: {answers}");
    assert_eq!(h.why(peer), Some("done"));

    let peer = h.connect();
    h.send(peer, "GET /name/1 HTTP/1.0\r\n\r\n");
    assert!(text(h.receive(peer)).contains("connection: close") && h.why(peer) == Some("done"));
    let peer = h.connect();
    h.send(peer, "GET /name/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(text(h.receive(peer)).contains("connection: keep-alive") && h.why(peer).is_none());
    h.finish(peer);
    assert_eq!(h.why(peer), Some("eof"));
    let peer = h.connect();
    h.send(peer, "GET /na");
    h.finish(peer);
    assert_eq!((h.why(peer), h.receive(peer).len()), (Some("truncated"), 0));
}

#[test]
fn pipelined_requests_never_pile_up_their_answers() {
    // 300 answers of 100 KiB at once, to a peer that reads 4 KiB at a time.
    let config = HttpConfig::default();
    let mut h = Harness::with_buffers(serve(move || desk(config.clone())), 4096);
    let peer = h.connect();
    let handle = h.handle();
    h.send(peer, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n".repeat(300));
    let (mut received, mut most) = (0, 0);
    loop {
        let piece = h.receive_some(peer, 64 * 1024);
        most = most.max(handle.stats().counters.buffered_bytes);
        if piece.is_empty() {
            break;
        }
        received += piece.len();
    }
    assert!(received > 300 * 100_000, "{received}");
    assert!(most < 300_000, "{most} bytes were held");
    assert_eq!(h.why(peer), None, "and it may go on");
    h.send(peer, "GET /name/exact HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(text(h.receive(peer)).ends_with("exact"));
}

#[test]
fn what_was_asked_before_the_end_is_answered() {
    for (buffers, output_high) in
        [(4096, 64 * 1024), (1 << 20, 64 * 1024), (1 << 20, 1 << 20), (4096, 1 << 20)]
    {
        let limits = windlass::Limits { output_high, ..windlass::Limits::default() };
        let serve = serve(|| desk(HttpConfig::default())).limits(limits);
        let mut h = Harness::with_buffers(serve, buffers);
        let peer = h.connect();
        h.send(peer, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n".repeat(20));
        h.finish(peer);
        let answers = text(h.receive(peer));
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 20, "{buffers} {output_high}");
        assert_eq!((h.why(peer), answers.len() > 20 * 100_000), (Some("eof"), true));
    }
}

#[test]
fn what_is_malformed_is_answered_counted_and_closed() {
    let h = &mut harness();
    for (bytes, code, label) in [
        ("GET / HTTP/1.1\r\n\r\n", 400, "host"),
        ("GET / HTTP/1.1\nHost: h\n\n", 400, "bare_lf"),
        ("GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505, "version"),
        ("\x16\x03\x01", 400, "start_line"),
        (
            "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            501,
            "transfer_encoding_unknown",
        ),
        ("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400, "chunk"),
        ("GET / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n", 417, "expect"),
    ] {
        let peer = h.connect();
        h.send(peer, bytes);
        let answer = text(h.receive(peer));
        assert_eq!((status(&answer), body(&answer)), (code, format!("{label}\n").as_str()), "{bytes:?}");
        assert_eq!(h.why(peer), Some("protocol"), "{bytes:?}");
        assert!(stats(h).contains(&format!("(\"{label}\", 1)")));
    }
    let peer = h.connect();
    h.send(peer, format!("GET /{} HTTP/1.1\r\n", "x".repeat(9000)));
    assert_eq!(status(&text(h.receive(peer))), 414);
    let peer = h.connect();
    h.send(peer, format!("GET / HTTP/1.1\r\nHost: h\r\n{}", "a: b\r\n".repeat(101)));
    assert_eq!(status(&text(h.receive(peer))), 431);
}

#[test]
fn deadlines_are_for_the_whole_and_not_for_a_byte() {
    let h = &mut harness();
    let trickle = |h: &mut Harness, peer: TestPeer, bytes: &str| {
        for byte in bytes.as_bytes() {
            h.send(peer, [*byte]);
            h.advance(SECOND);
        }
    };
    let silent = h.connect();
    h.advance(9 * SECOND);
    assert_eq!(h.why(silent), None);
    h.advance(2 * SECOND);
    assert_eq!((h.why(silent), h.receive(silent).len()), (Some("timeout"), 0), "there is nothing to answer");

    let slow = h.connect();
    trickle(h, slow, "GET / HTTP/1.1\r\nHost");
    let answer = text(h.receive(slow));
    assert_eq!((status(&answer), body(&answer), h.why(slow)), (408, "timeout\n", Some("protocol")));

    let slow = h.connect();
    h.send(slow, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n");
    trickle(h, slow, &"x".repeat(40));
    assert_eq!((status(&text(h.receive(slow))), h.why(slow)), (408, Some("protocol")));

    // Each request has its own time; and what lies between them has its own.
    let good = h.connect();
    for _ in 0..4 {
        trickle(h, good, "GET / H");
        h.send(good, "TTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(status(&text(h.receive(good))), 200);
        h.advance(50 * SECOND);
        assert_eq!(h.why(good), None);
    }
    h.advance(11 * SECOND);
    assert_eq!((h.why(good), h.receive(good).len()), (Some("done"), 0));
    assert!(stats(h).contains("(\"timeout\", 2)"));
}

#[test]
fn a_reply_that_cannot_be_written_is_our_fault_and_not_a_header() {
    let h = &mut harness();
    let answer = ask(h, "GET /bad", "");
    assert!(status(&answer) == 500 && !answer.contains("set-cookie") && body(&answer).is_empty(), "{answer}");
    assert!(stats(h).contains("unwritable 1"));
}

#[test]
fn requests_for_other_hosts_are_not_ours() {
    let config = HttpConfig { hosts: vec!["localhost".into(), "[::1]".into()], ..HttpConfig::default() };
    let h = &mut harness_with(config);
    for (host, code) in [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("[::1]:80", 200),
        ("[::1]", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("", 421),
    ] {
        let peer = h.connect();
        h.send(peer, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(status(&text(h.receive(peer))), code, "{host:?}");
    }
    let peer = h.connect();
    h.send(peer, "GET / HTTP/1.0\r\n\r\n");
    assert_eq!(status(&text(h.receive(peer))), 421);
}

fn subscribe(h: &mut Harness, lines: &str) -> (TestPeer, String) {
    let peer = h.connect();
    h.send(peer, format!("GET /events HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
    let answer = text(h.receive(peer));
    (peer, answer)
}

#[test]
fn events_reach_all_who_subscribed() {
    let config = HttpConfig { subscribers_max: 2, ..HttpConfig::default() };
    let h = &mut Harness::new(serve(move || desk(config.clone())).tick(20 * SECOND));
    let (one, answer) = subscribe(h, "");
    assert!(
        answer.contains("content-type: text/event-stream") && answer.contains("connection: close"),
        "{answer}"
    );
    assert_eq!(body(&answer), "event: hello\ndata: count 0, last none\n\n");
    let (two, answer) = subscribe(h, "Last-Event-ID: 41\r\n");
    assert_eq!(body(&answer), "event: hello\ndata: count 0, last 41\n\n");
    assert_eq!(status(&subscribe(h, "").1), 503, "no more than two");
    assert_eq!(body(&ask(h, "HEAD /events", "")), "");

    ask(h, "GET /push", "");
    assert_eq!(
        (text(h.receive(one)), text(h.receive(two))),
        ("data: pushed\n\n".into(), "data: pushed\n\n".into())
    );
    h.advance(16 * SECOND);
    assert_eq!(text(h.receive(one)), ":\n\n", "nobody takes it for dead");
    h.advance(5 * SECOND);
    assert!(text(h.receive(one)).starts_with("id: 1\ndata: xxx"));

    h.send(one, "whatever it says");
    assert_eq!(h.why(one), None);
    h.finish(one);
    assert_eq!(h.why(one), Some("eof"));
    assert!(stats(h).contains("subscribers 1"));
    assert_eq!(status(&subscribe(h, "").1), 200, "its place is free");
    h.advance(400 * SECOND);
    assert_eq!(h.why(two), None, "it lasts");
}

#[test]
fn a_slow_subscriber_slows_nobody() {
    for (when_slow, expected) in [(WhenSlow::Disconnect, "slow 1+0"), (WhenSlow::Skip, "slow 0+")] {
        let config = HttpConfig { when_slow, subscriber_output_max: 20_000, ..HttpConfig::default() };
        let make = move || desk(config.clone());
        let h = &mut Harness::with_buffers(serve(make).tick(Duration::from_millis(10)), 2048);
        let (slow, _) = subscribe(h, "");
        let (quick, _) = subscribe(h, "");
        let mut events = 0;
        for _ in 0..100 {
            h.advance(Duration::from_millis(10));
            events += text(h.receive(quick)).matches("data: ").count();
        }
        assert_eq!(events, 100, "{when_slow:?}");
        assert!(stats(h).contains(expected), "{when_slow:?}: {}", stats(h));
        assert_eq!(h.why(slow).is_some(), when_slow == WhenSlow::Disconnect);
        if when_slow == WhenSlow::Skip {
            // What it has is whole events, though not all.
            let got = text(h.receive(slow));
            assert!((10..100).contains(&got.matches("data: xxx").count()), "{}", got.len());
            assert!(got.ends_with("\n\n"));
        }
    }
}

#[test]
fn a_connection_becomes_another_protocol() {
    let h = &mut Harness::new(serve(|| desk(HttpConfig::default())).tick(200 * SECOND));
    let request = |lines: &str| format!("GET /shout HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    let upgrade = "Connection: keep-alive, Upgrade\r\nUpgrade: shout\r\n";
    let peer = h.connect();
    h.send_split(peer, request(upgrade) + "hello", 9);
    assert_eq!(
        text(h.receive(peer)),
        "HTTP/1.1 101 Switching Protocols\r\nx-level: 11\r\nconnection: Upgrade\r\nupgrade: shout\r\n\r\nWELCOME HELLO"
    );
    h.send(peer, "GET / HTTP/1.1\r\n");
    assert_eq!(text(h.receive(peer)), "GET / HTTP/1.1\r\n", "it is no HTTP any more");
    h.advance(201 * SECOND);
    assert_eq!(text(h.receive(peer)), "tick", "and no deadline of HTTP's holds");
    h.finish(peer);
    assert_eq!(h.why(peer), Some("eof"));
    assert_eq!(body(&ask(h, "GET /closed", "")), "eof");

    let hint = ask(h, "GET /shout", "");
    assert!(status(&hint) == 426 && hint.contains("\r\nupgrade: shout\r\n"), "{hint}");
    assert_eq!(status(&ask(h, "GET /shout", "Connection: Upgrade\r\nUpgrade: whisper\r\n")), 426);
    assert_eq!(status(&ask(h, "GET /shout", &format!("{upgrade}X-Secret: no\r\n"))), 403);
    assert!(stats(h).contains("upgrades 1"));
}

#[test]
fn an_overloaded_worker_refuses_what_it_would_answer_late() {
    let h = &mut harness();
    let peer = h.connect();
    h.pretend_overload(true);
    // What is pipelined behind it is answered too, and the connection goes on.
    h.send(
        peer,
        "GET / HTTP/1.1\r\nHost: h\r\n\r\nPOST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n",
    );
    h.send(peer, "abc");
    let answers = text(h.receive(peer));
    assert_eq!(answers.matches("HTTP/1.1 503 Service Unavailable\r\n").count(), 2, "{answers}");
    assert_eq!(answers.matches("\r\nretry-after: 1\r\n").count(), 2, "{answers}");
    assert_eq!(status(&ask(h, "GET /shout", "Connection: Upgrade\r\nUpgrade: shout\r\n")), 503);
    assert_eq!(h.why(peer), None);
    assert_eq!(h.handle().stats().counters.refused_overload, 3);
    h.pretend_overload(false);
    h.send(peer, "GET /name/x HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(status(&text(h.receive(peer))), 200);
    assert!(stats(h).ends_with("upgrades 0 shed 3"));

    let h = &mut harness_with(HttpConfig { retry_after: None, ..HttpConfig::default() });
    h.pretend_overload(true);
    assert_eq!(status(&ask(h, "GET /", "")), 200);
}

#[test]
fn a_shutdown_lets_a_request_be_answered() {
    let h = &mut harness();
    let (idle, busy) = (h.connect(), h.connect());
    h.send(busy, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na");
    let (listening, _) = subscribe(h, "");
    h.shutdown();
    assert_eq!((h.why(idle), h.why(listening), h.why(busy)), (Some("shutdown"), Some("shutdown"), None));
    h.send(busy, "bc");
    let answer = text(h.receive(busy));
    assert!(body(&answer) == "abc" && answer.contains("connection: close"), "{answer}");
    h.finish(busy);
    h.finish(idle);
    h.finish(listening);
    h.advance(SECOND);
    assert!(h.is_stopped());
}

#[test]
fn limits_are_the_configurations() {
    let config = HttpConfig { limits: Limits { body_max: 3, ..Limits::default() }, ..HttpConfig::default() };
    let h = &mut harness_with(config);
    let echo = |h: &mut Harness, n: usize| {
        let answer = ask(h, "POST /echo", &format!("Content-Length: {n}\r\n\r\n{}", "x".repeat(n)));
        status(&answer)
    };
    assert_eq!((echo(h, 3), echo(h, 4)), (200, 413));
}

#[test]
fn bodies_half_received_have_one_limit_together() {
    let config = HttpConfig { bodies_max: 100_000, ..HttpConfig::default() };
    let mut h = Harness::new(serve(move || desk(config.clone())));
    let begin = |length: usize| {
        let head = format!("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
        [head.into_bytes(), vec![b'x'; 60_000]].concat()
    };
    let (one, two) = (h.connect(), h.connect());
    h.send(one, begin(61_000));
    h.send(two, begin(90_000));
    assert_eq!(status(&text(h.receive(two))), 503);
    // The rest of its body is read over, and then it ends.
    h.send(two, vec![b'x'; 30_000]);
    assert_eq!(h.why(two), Some("done"));
    h.send(one, vec![b'x'; 1_000]);
    assert_eq!(status(&text(h.receive(one))), 200);
    // What they held is free again.
    let three = h.connect();
    h.send(three, begin(60_000));
    assert_eq!(status(&text(h.receive(three))), 200);
}

/// Each subscriber by himself: what he asked for, and nobody else gets it.
struct Each(Vec<(windlass::ConnId, String)>);

impl App for Each {
    type Upgraded = windlass_http::Never;

    fn subscribe(&mut self, request: &Request<'_>) -> Vec<Event> {
        self.0.push((request.conn, request.param("as").unwrap_or_default()));
        Vec::new()
    }

    fn tick(&mut self, push: &mut Push<'_, '_, Each>, _: Tick) {
        self.0.retain(|(conn, _)| push.is_subscriber("/events", *conn));
        for (conn, name) in &self.0 {
            assert!(push.event_to("/events", *conn, &Event::new(name.as_str())));
            assert!(!push.event_to("/elsewhere", *conn, &Event::new("nobody's")));
        }
        let here = self.0.len().to_string();
        push.event("/count", &Event::new(here));
    }
}

#[test]
fn an_event_may_be_for_one_subscriber() {
    let each = || Http::new(Each(Vec::new())).events("/events").events("/count");
    let h = &mut Harness::new(serve(each).tick(SECOND));
    let ask = |h: &mut Harness, target: &str| {
        let peer = h.connect();
        h.send(peer, format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        h.receive(peer);
        peer
    };
    let (one, two) = (ask(h, "/events?as=one"), ask(h, "/events?as=two"));
    h.advance(SECOND);
    assert_eq!(
        (text(h.receive(one)), text(h.receive(two))),
        ("data: one\n\n".into(), "data: two\n\n".into())
    );
    h.reset(one);
    h.advance(2 * SECOND);
    assert_eq!(text(h.receive(two)), "data: two\n\ndata: two\n\n");
}

/// Tells its listeners when it said that it would, at times that nothing else has.
struct Alarm {
    at: Option<Time>,
    rung: u32,
}

impl App for Alarm {
    type Upgraded = windlass_http::Never;

    fn subscribe(&mut self, _: &Request<'_>) -> Vec<Event> {
        vec![Event::new("set")]
    }

    fn deadline(&mut self) -> Option<Time> {
        self.at
    }

    fn due(&mut self, push: &mut Push<'_, '_, Alarm>) {
        assert_eq!(self.at, Some(push.scope().now()));
        self.rung += 1;
        self.at = (self.rung < 3).then(|| push.scope().now() + Duration::from_nanos(1_000_003));
        push.event("/events", &Event::new(self.rung.to_string()));
    }
}

#[test]
fn an_app_has_a_deadline_of_its_own() {
    let alarm = || {
        Http::new(Alarm { at: None, rung: 0 }).events("/events").get("/set", |alarm, _, mut reply| {
            alarm.at = Some(reply.conn().now() + Duration::from_nanos(1_000_003));
            reply.text("set")
        })
    };
    let h = &mut Harness::new(serve(alarm));
    let listener = h.connect();
    h.send(listener, "GET /events HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(text(h.receive(listener)).ends_with("data: set\n\n"));
    h.advance(SECOND);
    assert_eq!(text(h.receive(listener)), "", "it has none yet");
    let peer = h.connect();
    h.send(peer, "GET /set HTTP/1.1\r\nHost: h\r\n\r\n");
    for rung in 1..=3 {
        h.advance(Duration::from_nanos(1_000_002));
        assert_eq!(text(h.receive(listener)), "", "not before");
        h.advance(Duration::from_nanos(1));
        assert_eq!(text(h.receive(listener)), format!("data: {rung}\n\n"));
    }
    h.advance(SECOND);
    assert_eq!(text(h.receive(listener)), "", "and none any more");
}

//! What an access log hears of: every answer, once, with what was asked.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use windlass::serve;
use windlass::testing::Harness;
use windlass_http::{App, File, Http, HttpConfig, Never};

struct Nothing;

impl App for Nothing {
    type Upgraded = Never;
}

thread_local! {
    static HEARD: Rc<RefCell<Vec<String>>> = Rc::default();
}

fn harness() -> Harness {
    HEARD.with(|heard| heard.borrow_mut().clear());
    Harness::new(serve(|| {
        let heard = HEARD.with(Rc::clone);
        let config = HttpConfig {
            hosts: vec!["h".into()],
            head_timeout: Duration::from_secs(5),
            ..HttpConfig::default()
        };
        Http::new(Nothing)
            .config(config)
            .get("/text", |_, _, reply| reply.text("hello"))
            .file("/file", File::new("text/plain", "x".repeat(5_000)))
            .post("/post", |_, request, reply| reply.bytes("text/plain", request.body))
            .body_max(10)
            .events("/events")
            .upgrade("/ws", "websocket", |_, _| {
                Err(windlass_http::Refusal(windlass::proto::http::Status::BAD_REQUEST))
            })
            .on_answer(move |answered| {
                let head = answered.head.as_ref();
                heard.borrow_mut().push(format!(
                    "{} {} {} {} {:?}",
                    head.map_or("?", |head| head.method),
                    head.map_or("?", |head| head.path()),
                    answered.status.code(),
                    answered.body_bytes,
                    answered.took
                ));
            })
    }))
}

fn heard() -> Vec<String> {
    HEARD.with(|heard| std::mem::take(&mut *heard.borrow_mut()))
}

#[test]
fn every_answer_is_told_once() {
    let mut harness = harness();
    let mut ask = |text: &str| {
        let peer = harness.connect();
        harness.send(peer, text);
        (String::from_utf8_lossy(&harness.receive(peer)).into_owned(), heard())
    };
    for (request, told) in [
        ("GET /text HTTP/1.1\r\nhost: h\r\n\r\n", "GET /text 200 5 0ns"),
        ("HEAD /text HTTP/1.1\r\nhost: h\r\n\r\n", "HEAD /text 200 0 0ns"),
        ("GET /file?a=secret HTTP/1.1\r\nhost: h\r\n\r\n", "GET /file 200 5000 0ns"),
        ("POST /post HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc", "POST /post 200 3 0ns"),
        ("GET /none HTTP/1.1\r\nhost: h\r\n\r\n", "GET /none 404 14 0ns"),
        ("GET /text HTTP/1.1\r\nhost: evil\r\n\r\n", "GET /text 421 24 0ns"),
        ("PUT /text HTTP/1.1\r\nhost: h\r\n\r\n", "PUT /text 405 23 0ns"),
        ("GET /events HTTP/1.1\r\nhost: h\r\n\r\n", "GET /events 200 0 0ns"),
        ("GET /ws HTTP/1.1\r\nhost: h\r\n\r\n", "GET /ws 426 0 0ns"),
    ] {
        let (response, heard) = ask(request);
        assert_eq!(heard, [told], "{response}");
    }
    // Its body would be too much: it is known who asked for what.
    let (response, heard) = ask("POST /post HTTP/1.1\r\nhost: h\r\ncontent-length: 11\r\n\r\n");
    assert!(heard[0].starts_with("POST /post 413 ") && heard.len() == 1, "{heard:?} {response}");
    let (response, heard) = ask("GET / SMTP/3\r\n\r\n");
    assert!(heard[0].starts_with("? ? 505 ") || heard[0].starts_with("? ? 400 "), "{heard:?} {response}");
    let (_, heard) = ask("GET /text HTTP/1.1\r\nhost: h\r\n\r\nGET /none HTTP/1.1\r\nhost: h\r\n\r\n");
    assert_eq!(heard, ["GET /text 200 5 0ns", "GET /none 404 14 0ns"]);
}

#[test]
fn what_is_too_slow_is_told_and_what_takes_time_says_so() {
    let mut harness = harness();
    let peer = harness.connect();
    harness.send(peer, "POST /post HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\n");
    assert!(heard().is_empty(), "not answered yet");
    harness.advance(Duration::from_millis(1_500));
    harness.send(peer, "abc");
    assert_eq!(heard(), ["POST /post 200 3 1.5s"]);
    harness.send(peer, "GET /te");
    harness.advance(Duration::from_secs(6));
    let told = heard();
    assert!(told.len() == 1 && told[0].starts_with("? ? 408 "), "{told:?}");
    let silent = harness.connect();
    harness.advance(Duration::from_secs(6));
    assert!(harness.receive(silent).is_empty());
    assert!(heard().is_empty(), "whoever asked nothing is told nothing");
}

//! Answers that come later: what waits behind them, what becomes of those that never come, and who may
//! listen to events.

use std::collections::VecDeque;
use std::time::Duration;

use windlass::proto::http::Status;
use windlass::testing::{Harness, TestPeer};
use windlass::{Tick, serve};
use windlass_http::{App, Event, Http, HttpConfig, Later, Never, Push, Refusal, Reply};

const SECOND: Duration = Duration::from_secs(1);

/// Answers at each tick one of those who wait, in the order in which they asked.
#[derive(Default)]
struct Clerk {
    waiting: VecDeque<(Later, String)>,
    /// Answers that nobody waited for any more.
    lost: u32,
}

impl App for Clerk {
    type Upgraded = Never;

    fn tick(&mut self, push: &mut Push<'_, '_, Clerk>, tick: Tick) {
        let Some((later, text)) = self.waiting.pop_front() else { return };
        let owed = push.answer(later, |reply| match text.as_str() {
            "again" => {
                let (replied, later) = reply.later();
                self.waiting.push_back((later, "at last".into()));
                replied
            }
            "full" => reply.refuse(Refusal(Status::SERVICE_UNAVAILABLE)),
            text => reply.header("x-tick", tick.number.to_string()).text(text),
        });
        self.lost += u32::from(!owed);
    }
}

fn clerk(config: HttpConfig) -> Http<Clerk> {
    Http::new(Clerk::default())
        .config(config)
        .get("/now", |_, _, reply| reply.text("now"))
        .get("/lost", |clerk, _, reply| reply.text(&clerk.lost.to_string()))
        .get("/late", |_, _, reply| {
            let text = reply.stats().late.to_string();
            reply.text(&text)
        })
        .get("/never", |_, _, reply| reply.later().0)
        .get("/later/*", |clerk, request, reply| {
            let (replied, later) = reply.header("x-dropped", "yes").later();
            assert_eq!(later.worker(), 0);
            clerk.waiting.push_back((later, request.rest().to_owned()));
            replied
        })
        .post("/later", |clerk, request, reply| {
            let (replied, later) = reply.later();
            clerk.waiting.push_back((later, String::from_utf8_lossy(request.body).into_owned()));
            replied
        })
        .events_if("/events", |clerk, request| match request.param("key").as_deref() {
            Some("open") => Ok(()),
            _ => {
                clerk.lost += 1;
                Err(Refusal(Status::UNAUTHORIZED))
            }
        })
        .get("/push", |_, _, mut reply: Reply<'_, '_>| {
            reply.push("/events", &Event::new("pushed"));
            reply.empty()
        })
}

fn harness_with(config: HttpConfig) -> Harness {
    Harness::new(serve(move || clerk(config.clone())).tick(SECOND))
}

fn harness() -> Harness {
    harness_with(HttpConfig::default())
}

fn send(harness: &mut Harness, peer: TestPeer, starts: &[&str]) {
    let requests: String =
        starts.iter().map(|start| format!("{start} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
    harness.send(peer, requests);
}

fn received(harness: &mut Harness, peer: TestPeer) -> String {
    String::from_utf8(harness.receive(peer)).expect("text")
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head").1
}

/// What a new connection is told at once.
fn ask(harness: &mut Harness, start: &str) -> String {
    let peer = harness.connect();
    send(harness, peer, &[start]);
    received(harness, peer)
}

#[test]
fn an_answer_may_come_later_and_what_is_behind_it_waits() {
    let h = &mut harness();
    let peer = h.connect();
    send(h, peer, &["GET /later/a", "GET /now", "GET /later/b", "GET /now"]);
    assert_eq!(received(h, peer), "");
    assert!(ask(h, "GET /now").ends_with("\r\n\r\nnow"), "others are answered");
    h.advance(SECOND);
    let first = received(h, peer);
    let parts: Vec<_> = first.split("HTTP/1.1 200 OK\r\n").skip(1).map(body).collect();
    assert_eq!(parts, ["a", "now"], "{first}");
    assert!(first.contains("x-tick: 1\r\n") && !first.contains("x-dropped"), "{first}");
    h.advance(SECOND);
    let second = received(h, peer);
    let parts: Vec<_> = second.split("HTTP/1.1 200 OK\r\n").skip(1).map(body).collect();
    assert_eq!(parts, ["b", "now"]);
    // The connection is kept as ever, and for as long.
    h.advance(SECOND * 59);
    send(h, peer, &["GET /now"]);
    assert!(received(h, peer).ends_with("now"));
    h.advance(SECOND * 61);
    assert!(h.is_ended(peer));
    assert_eq!(body(&ask(h, "GET /lost")), "0");
}

#[test]
fn a_body_a_head_and_a_refusal_come_later_too() {
    let h = &mut harness();
    let (posts, heads) = (h.connect(), h.connect());
    h.send(posts, "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nfu");
    h.send(posts, "ll");
    send(h, heads, &["HEAD /later/abc", "GET /now"]);
    h.advance(SECOND * 2);
    assert!(received(h, posts).starts_with("HTTP/1.1 503 "));
    let head = received(h, heads);
    assert!(head.contains("content-length: 3\r\n") && !head.contains("abc"), "{head}");
    assert!(head.ends_with("now"), "{head}");
    // Put off once more.
    send(h, posts, &["GET /later/again"]);
    h.advance(SECOND);
    assert_eq!(received(h, posts), "");
    h.advance(SECOND);
    assert_eq!(body(&received(h, posts)), "at last");
}

#[test]
fn who_is_not_answered_in_time_is_told_so() {
    let config = HttpConfig { answer_timeout: SECOND * 5, ..HttpConfig::default() };
    let h = &mut harness_with(config);
    let peer = h.connect();
    send(h, peer, &["GET /never", "GET /now"]);
    h.advance(SECOND * 4);
    assert_eq!(received(h, peer), "");
    h.advance(SECOND * 2);
    let answers = received(h, peer);
    assert!(answers.starts_with("HTTP/1.1 504 ") && answers.ends_with("\r\n\r\nnow"), "{answers}");
    assert_eq!(body(&ask(h, "GET /late")), "1");
    // An answer to what was answered already, and is another request by now, goes nowhere.
    let waits = h.connect();
    for _ in 0..7 {
        let other = h.connect();
        send(h, other, &["GET /later/x"]);
    }
    send(h, waits, &["GET /later/too_late", "GET /never"]);
    h.advance(SECOND * 7);
    assert!(received(h, waits).starts_with("HTTP/1.1 504 "));
    h.advance(SECOND * 2);
    assert_eq!(received(h, waits), "");
    h.advance(SECOND * 2);
    assert!(received(h, waits).starts_with("HTTP/1.1 504 "));
    assert!(body(&ask(h, "GET /lost")).parse::<u32>().is_ok_and(|lost| lost >= 1));
}

#[test]
fn a_connection_that_ends_forgets_what_it_is_owed() {
    let h = &mut harness();
    let peer = h.connect();
    send(h, peer, &["GET /later/a"]);
    h.reset(peer);
    h.advance(SECOND);
    // Whoever comes after it is another.
    let next = h.connect();
    send(h, next, &["GET /never"]);
    h.advance(SECOND);
    assert_eq!(received(h, next), "");
    assert_eq!(body(&ask(h, "GET /lost")), "1");
}

#[test]
fn a_client_that_has_finished_sending_gets_its_answers() {
    for (starts, wanted) in [(&["GET /later/a"][..], 1), (&["GET /later/a", "GET /now"][..], 2)] {
        let h = &mut harness();
        let peer = h.connect();
        send(h, peer, starts);
        h.finish(peer);
        h.advance(SECOND);
        assert_eq!(received(h, peer).matches("HTTP/1.1 200 OK").count(), wanted);
        assert!(h.is_ended(peer), "there is nothing left to be said");
    }
}

#[test]
fn a_drain_waits_for_what_is_owed() {
    let h = &mut harness();
    let (peer, idle) = (h.connect(), h.connect());
    send(h, peer, &["GET /later/a"]);
    h.shutdown();
    assert!(h.is_ended(idle) && !h.is_ended(peer));
    h.advance(SECOND);
    let answer = received(h, peer);
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("\r\n\r\na"), "{answer}");
    assert!(h.is_ended(peer));
}

#[test]
fn the_last_request_of_a_connection_may_be_answered_later() {
    let h = &mut harness();
    let peer = h.connect();
    h.send(peer, "GET /later/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    h.advance(SECOND);
    assert!(received(h, peer).ends_with("\r\n\r\na"));
    assert!(h.is_ended(peer));
}

#[test]
fn events_are_for_those_who_may_listen() {
    let config = HttpConfig { challenge: "Bearer".into(), ..HttpConfig::default() };
    let h = &mut harness_with(config);
    let (inside, outside) = (h.connect(), h.connect());
    send(h, inside, &["GET /events?key=open"]);
    send(h, outside, &["GET /events", "GET /now"]);
    assert!(received(h, inside).starts_with("HTTP/1.1 200 OK"));
    let refused = received(h, outside);
    assert!(refused.starts_with("HTTP/1.1 401 ") && refused.ends_with("now"), "{refused}");
    assert_eq!(refused.matches("www-authenticate: Bearer\r\n").count(), 1, "{refused}");
    assert!(ask(h, "HEAD /events").starts_with("HTTP/1.1 401 "), "nor is there a head for them");
    assert!(ask(h, "GET /push").starts_with("HTTP/1.1 200 OK"));
    assert_eq!(received(h, inside), "data: pushed\n\n");
    assert_eq!(received(h, outside), "");
    assert_eq!(body(&ask(h, "GET /lost")), "2", "the guard sees the app");
}

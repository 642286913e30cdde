//! Connections that go on to another worker: upgraded ones, and those between requests.

use std::time::Duration;

use windlass::testing::Harness;
use windlass::{Close, Conn, Input, MoveError, serve};
use windlass_http::{Accepted, App, Http, MoveUpgraded, Push, Upgraded};

/// Goes to the worker that its path names, and says there what it hears, with the worker's number in front.
struct Echo {
    wanted: usize,
}

struct Game;

impl App for Game {
    type Upgraded = Echo;

    fn shutdown(&mut self, push: &mut Push<'_, '_, Game>) {
        push.each_upgraded(|conn, _| conn.write(b"[over]"));
    }
}

impl Upgraded<Game> for Echo {
    fn open(&mut self, _: &mut Game, conn: &mut Conn<'_>) -> Result<(), Close> {
        match conn.move_to(self.wanted) {
            Ok(()) | Err(MoveError::Here) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn data(&mut self, _: &mut Game, conn: &mut Conn<'_>, input: &mut Input<'_>) -> Result<(), Close> {
        if conn.id().worker() == self.wanted {
            let heard = input.take_all().to_vec();
            conn.write(format!("{}:", self.wanted).as_bytes());
            conn.write(&heard);
        }
        Ok(())
    }
}

impl MoveUpgraded<Game> for Echo {
    type Seed = usize;

    fn move_out(self, _: &mut Game, _: &mut Conn<'_>) -> usize {
        self.wanted
    }

    fn move_in(_: &mut Game, conn: &mut Conn<'_>, wanted: usize) -> Result<Echo, Close> {
        conn.write(b"[moved]");
        Ok(Echo { wanted })
    }
}

fn harness() -> Harness {
    let make = || {
        Http::new(Game)
            .upgrade("/to/*", "echo", |_, request| {
                Ok(Accepted::new(Echo { wanted: request.rest().parse().unwrap_or(99) }))
            })
            .get("/worker", |_, _, mut reply| {
                let worker = reply.conn().id().worker();
                reply.text(&worker.to_string())
            })
            .get("/go", |_, _, mut reply| {
                let other = 1 - reply.conn().id().worker();
                reply.conn().move_to(other).unwrap();
                reply.text("going")
            })
            .post("/body", |_, request, mut reply| {
                let worker = reply.conn().id().worker();
                reply.text(&format!("{worker} has {}", request.body.len()))
            })
            .events("/events")
    };
    Harness::new(serve(make).movable().workers(2))
}

fn upgrade(path: &str, behind: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n{behind}")
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_came_behind_the_request_is_heard_on_the_other_worker() {
    for worker in [0, 1] {
        let mut harness = harness();
        let peer = harness.connect();
        harness.send(peer, upgrade(&format!("/to/{worker}"), "hello"));
        let heard = text(&harness.receive(peer));
        let (head, rest) = heard.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(rest == format!("{worker}:hello") || rest == format!("[moved]{worker}:hello"), "{rest}");
        harness.send(peer, " again");
        assert_eq!(text(&harness.receive(peer)), format!("{worker}: again"));
        harness.shutdown();
        assert_eq!(text(&harness.receive(peer)), "[over]", "the app is told before its connections are");
    }
}

#[test]
fn there_is_no_such_worker() {
    let mut harness = harness();
    let peer = harness.connect();
    harness.send(peer, upgrade("/to/7", ""));
    assert_eq!(harness.why(peer), Some("unavailable"));
}

#[test]
fn requests_go_on_where_the_connection_is_and_deadlines_hold() {
    let mut harness = harness();
    let peer = harness.connect();
    harness.send(peer, get("/worker"));
    let first = text(&harness.receive(peer)).chars().last().unwrap();
    // Half of the next request has come when it goes.
    harness.send(peer, get("/go") + "POST /body HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\n123");
    assert!(text(&harness.receive(peer)).ends_with("going"));
    harness.send(peer, "45");
    let other = if first == '0' { '1' } else { '0' };
    assert!(text(&harness.receive(peer)).ends_with(&format!("{other} has 5")));
    harness.send(peer, get("/go"));
    harness.receive(peer);
    harness.advance(Duration::from_secs(59));
    assert_eq!(harness.why(peer), None);
    harness.advance(Duration::from_secs(2));
    assert_eq!(harness.why(peer), Some("done"), "kept for as long as was promised");
}

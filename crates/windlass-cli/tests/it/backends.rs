//! Backends of a running proxy, changed by `windlass backends` and by whoever asks the admin listener.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use serde_json::{Value, json};

use crate::config::Folder;
use crate::server::*;

/// A proxy between its admin listener and three echoes, of which it knows the first two.
struct Proxied {
    server: Server,
    admin: String,
    echoes: [Server; 3],
    folder: Folder,
}

fn proxied(name: &str) -> Proxied {
    let echoes = [(); 3].map(|()| Server::start(&["-q"]));
    let folder = Folder::new(name);
    let file = folder.file("windlass.toml", &text(&echoes, ""));
    let mut server = Server::command(&["run", "-q", "-c", &file]);
    let admin = server.line().strip_prefix("Admin on ").unwrap().to_owned();
    Proxied { server, admin, echoes, folder }
}

fn text(echoes: &[Server; 3], more: &str) -> String {
    format!(
        "[server]\nworkers = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [[proxy]]\nname = \"web\"\nlisten = \"127.0.0.1:0\"\nto = [\"{}\", \"{}\"]\n{more}",
        echoes[0].address, echoes[1].address
    )
}

impl Proxied {
    /// `windlass backends`, at this server.
    fn backends(&self, words: &[&str]) -> (bool, String) {
        let output = run(&[&["backends"], words, &["--admin", &self.admin]].concat());
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    fn done(&self, words: &[&str]) -> String {
        let (done, said) = self.backends(words);
        assert!(done, "{words:?}: {said}");
        said
    }

    fn list(&self) -> Vec<Value> {
        let proxies: Value = serde_json::from_str(&self.done(&["--json"])).unwrap();
        proxies[0]["backends"].as_array().unwrap().clone()
    }

    /// How often each of its backends has been given somebody, by address.
    fn opened(&self, address: &str) -> u64 {
        let list = self.list();
        let its = list.iter().find(|one| one["address"] == address);
        its.map_or(0, |one| one["opened"].as_u64().unwrap())
    }

    /// So many clients, one after the other.
    fn clients(&self, n: usize) {
        for _ in 0..n {
            round_trip(&mut self.server.connect(), b"hello");
        }
    }

    fn post(&self, path: &str, body: &Value, lines: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.admin).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let (body, host) = (body.to_string(), "host: localhost");
        let head = format!("POST {path} HTTP/1.1\r\n{host}\r\n{lines}content-length: {}\r\n", body.len());
        stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.into())
    }
}

#[test]
fn drained_weighed_added_and_removed_while_connections_stay() {
    let case = proxied("backends");
    let [one, other, third] = case.echoes.each_ref().map(|echo| echo.address.clone());
    // Of several, so that each of the two has some.
    let mut stay: Vec<TcpStream> = (0..8).map(|_| case.server.connect()).collect();
    stay.iter_mut().for_each(|stream| round_trip(stream, b"before"));
    let said = case.done(&["drain", "web", &one]);
    assert!(said.contains("is draining") && said.contains("a reload leaves it"), "{said}");
    let before = case.opened(&one);
    case.clients(6);
    assert_eq!(case.opened(&one), before, "it gets nobody new");
    let said = case.done(&["add", "web", &third, "--weight", "2", "--name", "third"]);
    assert!(said.contains("web: third is up, weight 2"), "{said}");
    case.clients(9);
    assert!(case.opened(&third) > 0);
    assert!(case.done(&["weight", "web", "third", "7"]).contains("weight 7"));
    let list = case.done(&[]);
    assert!(list.contains("draining*") && list.contains(&format!("third ({third})")), "{list}");
    stay.iter_mut().for_each(|stream| round_trip(stream, b"and still"));
    // By force: those it has are reset, and nobody else's.
    case.done(&["remove", "web", &one, "--force", "--wait"]);
    let mut lost = 0;
    for stream in &mut stay {
        let mut byte = [0];
        lost += usize::from(stream.write_all(b"x").is_err() || !matches!(stream.read(&mut byte), Ok(1)));
    }
    assert!(lost > 0 && lost < 8, "{lost} of 8 were its connections");
    assert_eq!(case.list().len(), 2);
    let said = case.done(&["reset", "web"]);
    assert!(said.contains("2 backends are as configured again"), "{said}");
    let addresses: Vec<Value> = case.list().into_iter().map(|one| one["address"].clone()).collect();
    assert_eq!(addresses, [json!(one), json!(other)]);
    case.clients(4);
}

#[test]
fn who_waits_for_a_drain_comes_back_when_the_last_has_gone() {
    let case = proxied("backends-wait");
    let one = &case.echoes[0].address;
    case.done(&["remove", "web", &case.echoes[1].address]);
    let mut client = case.server.connect();
    round_trip(&mut client, b"here");
    let (said, gone) = std::thread::scope(|scope| {
        let waits = scope.spawn(|| case.done(&["drain", "web", one, "--wait"]));
        let deadline = Instant::now() + LONG;
        while case.list()[0]["state"] != "draining" {
            assert!(Instant::now() < deadline, "it never drains");
        }
        assert!(!waits.is_finished(), "while a client is there");
        round_trip(&mut client, b"not yet");
        let gone = Instant::now();
        drop(client);
        (waits.join().unwrap(), gone)
    });
    assert!(said.contains("no connection"), "{said}");
    assert!(gone.elapsed() < LONG);
}

#[test]
fn a_reload_leaves_what_was_changed_and_says_so() {
    let case = proxied("backends-reload");
    let one = &case.echoes[0].address;
    case.done(&["drain", "web", one]);
    case.folder.file("windlass.toml", &text(&case.echoes, "retries_max = 1\n"));
    let (status, body) = case.post("/api/reload", &json!({}), "");
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("one backend stays as it was changed while it ran"), "{body}");
    assert_eq!(case.list()[0]["state"], "draining");
    // With another log it is another service, in its place.
    let log = case.folder.path("access.log");
    let more = format!("retries_max = 1\naccess_log = {{ path = \"{log}\" }}\n");
    case.folder.file("windlass.toml", &text(&case.echoes, &more));
    let (status, body) = case.post("/api/reload", &json!({}), "");
    assert_eq!(status, 200, "{body}");
    assert_eq!(case.list()[0]["state"], "draining", "{body}");
    case.done(&["enable", "web", one]);
    assert_eq!(case.list()[0]["state"], "up");
    let before = case.opened(one);
    case.clients(8);
    assert!(case.opened(one) > before);
}

#[test]
fn a_reload_that_fails_leaves_the_proxy_that_is_asked() {
    let case = proxied("backends-failed");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let log = case.folder.path("access.log");
    let more = format!(
        "access_log = {{ path = \"{log}\" }}\n[[echo]]\nlisten = \"{}\"\n",
        taken.local_addr().unwrap()
    );
    case.folder.file("windlass.toml", &text(&case.echoes, &more));
    let (status, body) = case.post("/api/reload", &json!({}), "");
    assert_eq!(status, 422, "{body}");
    let one = &case.echoes[0].address;
    case.done(&["drain", "web", one]);
    let before = case.opened(one);
    case.clients(6);
    assert_eq!(case.opened(one), before, "the one that serves was asked");
}

#[test]
fn orders_that_make_no_sense_are_refused_with_a_reason() {
    let case = proxied("backends-wrong");
    let one = &case.echoes[0].address;
    for (words, why) in [
        (&["drain", "wep", "x"][..], "there is no proxy `wep`"),
        (&["drain", "web", "10.0.0.9:80"], "there is no backend `10.0.0.9:80`"),
        (&["add", "web", one], "is there twice"),
        (&["weight", "web", one, "70000"], "a weight is at most 65535"),
        (&["add", "web", "10.0.0.9:80", "--route", "nowhere"], "there is no route `nowhere`"),
    ] {
        let (done, said) = case.backends(words);
        assert!(!done && said.contains(why), "{words:?}: {said}");
    }
    let json = "content-type: application/json\r\n";
    let order = json!({"proxy": "web", "backend": one});
    assert_eq!(case.post("/api/proxies/weight", &order, json), (400, "`weight` is missing\n".into()));
    let unknown = json!({"proxy": "web", "backend": one, "wait": true});
    assert_eq!(case.post("/api/proxies/drain", &unknown, json).0, 400);
    // A form of another site, and its script.
    assert_eq!(case.post("/api/proxies/drain", &order, "content-type: text/plain\r\n").0, 415);
    let other_site = format!("{json}origin: http://evil.example\r\nsec-fetch-site: cross-site\r\n");
    assert_eq!(case.post("/api/proxies/drain", &order, &other_site).0, 403);
    assert!(case.list().iter().all(|backend| backend["state"] == "up"), "nothing has changed");
}

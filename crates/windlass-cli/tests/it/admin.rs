//! The admin listener of the real binary: state, connections, one turn, orders, the token.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use serde_json::{Value, json};

use crate::config::Folder;
use crate::server::*;

/// A server with two echoes and an admin listener, and where that is.
struct Watched {
    server: Server,
    second: String,
    admin: String,
    file: Configuration,
}

/// A configuration file, gone in the end.
struct Configuration(std::path::PathBuf);

impl Drop for Configuration {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn watched(name: &str, admin: &str) -> Watched {
    let path = std::env::temp_dir().join(format!("windlass-admin-{}-{name}.toml", std::process::id()));
    let text = format!(
        "[server]\nworkers = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n{admin}\n\
         [[echo]]\nname = \"first\"\nlisten = \"127.0.0.1:0\"\n\
         [[echo]]\nname = \"second\"\nlisten = \"127.0.0.1:0\"\n"
    );
    std::fs::write(&path, text).unwrap();
    let file = Configuration(path.clone());
    let mut server = Server::command(&["run", "-c", &path.display().to_string(), "-q"]);
    let second = server.line().strip_prefix("Listening on ").unwrap().to_owned();
    let admin = server.line().strip_prefix("Admin on ").unwrap().to_owned();
    Watched { server, second, admin, file }
}

impl Watched {
    /// Status, header lines and body.
    fn send(&self, first: &str, lines: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.admin).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let host = if lines.contains("host:") { "" } else { "host: localhost\r\n" };
        let length = body.len();
        let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        let head = format!(
            "{first} HTTP/1.1\r\n{host}{lines}{kind}content-length: {length}\r\nconnection: close\r\n"
        );
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.into(), body.into())
    }

    fn json(&self, path: &str) -> Value {
        let (status, _, body) = self.send(&format!("GET {path}"), "", "");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Asks until the answer is as wanted.
    fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + LONG;
        loop {
            let answer = self.json(path);
            if wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "asked in vain: {answer:#}");
        }
    }

    fn end(self) {
        assert_eq!(self.send("POST /api/drain", "authorization: Bearer t0ken\r\n", "").0, 202);
        let (status, _, stderr) = self.server.ended();
        assert!(status.success(), "{stderr}");
    }
}

fn exchange(stream: &mut TcpStream, bytes: usize) {
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(&vec![b'x'; bytes]).unwrap();
    stream.read_exact(&mut vec![0; bytes]).unwrap();
}

#[test]
fn what_happens_is_seen_by_service_listener_and_connection() {
    let watched = watched("seen", "");
    let mut first = watched.server.connect();
    exchange(&mut first, 100);
    let mut second = TcpStream::connect(&watched.second).unwrap();
    exchange(&mut second, 50_000);
    let state = watched.until("/api/state", |state| {
        // What services count themselves is looked up a moment before.
        let are_counted = |n: usize| state["services"][n]["messages"].as_u64() > Some(0);
        state["services"][0]["sent_bytes"] == 100
            && state["services"][1]["sent_bytes"] == 50_000
            && are_counted(0)
            && are_counted(1)
    });
    for (n, (name, bytes)) in [("first", 100), ("second", 50_000)].into_iter().enumerate() {
        let service = &state["services"][n];
        assert_eq!((&service["name"], &service["kind"]), (&json!(name), &json!("echo")), "{state:#}");
        assert_eq!((&service["connections"], &service["opened"]), (&json!(1), &json!(1)));
        assert_eq!(service["received_bytes"], bytes);
        assert!(service["messages"].as_u64() > Some(0));
        let listener = &state["listeners"][n];
        assert_eq!((&listener["service"], &listener["opened"]), (&json!(name), &json!(1)));
    }
    assert_eq!(state["services"][2]["kind"], "admin");
    assert_eq!(state["pid"], watched.server.pid());
    let workers = state["workers"].as_array().unwrap();
    assert_eq!(workers.len(), 2);
    let of_workers: u64 = workers.iter().map(|worker| worker["messages"].as_u64().unwrap()).sum();
    assert_eq!(state["messages"], of_workers, "each message is some worker's");

    // The talker is on top, once somebody looks.
    let peer = second.local_addr().unwrap().to_string();
    let top = loop {
        exchange(&mut second, 10_000);
        let page = watched.json("/api/connections?sort=traffic&per_page=1");
        let top = page["connections"][0].clone();
        if top["peer"] == json!(peer) && top["received_rate"].as_f64() > Some(0.0) {
            break top;
        }
    };
    assert_eq!((&top["service"], &top["listener"]), (&json!("second"), &json!(watched.second)));
    let named = watched.json("/api/connections?filter=first&sort=age");
    assert_eq!(named["matched"], 1);
    assert_eq!(named["connections"][0]["peer"], json!(first.local_addr().unwrap().to_string()));

    // And is closed.
    let order = json!({ "conn": top["id"] }).to_string();
    assert_eq!(watched.send("POST /api/close", "", &order).0, 200);
    let mut rest = Vec::new();
    second.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
    let state = watched.until("/api/state", |state| {
        state["services"][1]["connections"] == 0 && state["closes"]["requested"].is_u64()
    });
    assert_eq!(state["closes"]["requested"], 1);

    let (_, _, metrics) = watched.send("GET /metrics", "", "");
    for line in [
        "windlass_service_connections{service=\"first\"} 1\n".to_owned(),
        "windlass_service_connections_opened_total{service=\"second\"} 1\n".to_owned(),
        format!(
            "windlass_listener_received_bytes_total{{listener=\"{}\",service=\"first\"}} 100\n",
            watched.server.address
        ),
        "windlass_limit_used_ratio{limit=\"buffered_max\"} 0\n".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    assert!(!metrics.contains(&peer), "nobody's address is a label");
    drop(first);
    watched.end();
}

#[test]
fn a_turn_is_told_while_somebody_talks() {
    let watched = watched("turn", "");
    let mut client = watched.server.connect();
    exchange(&mut client, 10);
    let talks = std::thread::spawn(move || {
        // Longer than it is asked for.
        let deadline = Instant::now() + 2 * LONG;
        client.set_read_timeout(Some(LONG)).unwrap();
        while Instant::now() < deadline && client.write_all(b"tick").is_ok() {
            if !matches!(client.read(&mut [0; 64]), Ok(1..)) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    });
    let is_data = |entry: &Value| entry["what"] == "callback" && entry["detail"] == "data first";
    let deadline = Instant::now() + LONG;
    let turn = (0..).take_while(|_| Instant::now() < deadline).find_map(|n| {
        let (status, _, body) = watched.send(&format!("GET /api/turn?worker={}", n % 2), "", "");
        if status == 204 {
            return None;
        }
        let turn: Value = serde_json::from_str(&body).unwrap();
        let steps = turn["steps"].as_array().unwrap();
        let run = steps.iter().find(|step| step["step"] == "run").unwrap();
        run["entries"].as_array().unwrap().iter().any(is_data).then_some(turn)
    });
    let turn = turn.expect("one of many turns served the client");
    let run = turn["steps"].as_array().unwrap().iter().find(|step| step["step"] == "run").unwrap();
    let entries = run["entries"].as_array().unwrap();
    let at = entries.iter().position(is_data).unwrap();
    assert_eq!(entries[at - 1]["what"], "read");
    assert_eq!(entries[at + 1]["what"], "flush", "{turn:#}");
    assert_eq!(entries[at]["conn"], entries[at + 1]["conn"]);
    watched.end();
    talks.join().unwrap();
}

#[test]
fn the_state_is_streamed_once_a_second() {
    let watched = watched("live", "");
    let stream = TcpStream::connect(&watched.admin).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    (&stream).write_all(b"GET /api/live HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut lines = BufReader::new(&stream).lines().map(Result::unwrap);
    let mut states = Vec::new();
    let head: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    assert!(
        head[0].contains("200") && head.iter().any(|line| line == "content-type: text/event-stream"),
        "{head:?}"
    );
    // The first may have been late, and the second behind it at once.
    while states.len() < 4 {
        let Some(line) = lines.next() else { panic!("the stream ended") };
        if let Some(json) = line.strip_prefix("data: ") {
            states.push(serde_json::from_str::<Value>(json).unwrap());
        }
    }
    let uptime = |n: usize| states[n]["uptime_seconds"].as_f64().unwrap();
    assert!(
        uptime(3) - uptime(0) > 1.0,
        "the first at once, then one for each second: {:?}",
        [uptime(0), uptime(1), uptime(2), uptime(3)]
    );
    drop(stream);
    watched.end();
}

#[test]
fn without_the_token_nothing_is_told_and_a_browser_logs_in() {
    let watched = watched("token", "token = \"t0ken\"");
    assert_eq!(watched.send("GET /healthz", "", "").0, 200);
    for first in
        ["GET /api/state", "GET /api/live", "GET /api/connections", "GET /api/turn", "POST /api/close"]
    {
        let (status, head, _) = watched.send(first, "", "");
        assert!(status == 401 && head.contains("www-authenticate: Bearer"), "{first}: {head}");
    }
    for shown in ["Bearer t0ken", "bearer t0ken", "Bearer  t0ken"] {
        assert_eq!(watched.send("GET /api/state", &format!("authorization: {shown}\r\n"), "").0, 200);
    }
    for wrong in ["Bearer t0kem", "Bearer t0ken1", "Bearer t0", "Bearer ", "Bearer", "Basic t0ken", "t0ken"] {
        assert_eq!(
            watched.send("GET /api/state", &format!("authorization: {wrong}\r\n"), "").0,
            401,
            "{wrong}"
        );
    }
    let (status, head, _) = watched.send("POST /api/login", "", "{\"token\":\"t0ken\"}");
    assert_eq!(status, 204);
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = cookie.split(';').next().unwrap();
    // Another worker may be the one that is asked.
    for _ in 0..8 {
        assert_eq!(watched.send("GET /api/state", &format!("cookie: {cookie}\r\n"), "").0, 200);
    }
    let (status, _, _) =
        watched.send("POST /api/drain", &format!("cookie: {cookie}\r\norigin: http://evil.example\r\n"), "");
    assert_eq!(status, 403);
    watched.end();
}

#[test]
fn nobody_else_is_let_in_by_a_browser() {
    let watched = watched("forged", "");
    assert_eq!(watched.send("GET /api/state", "host: evil.example\r\n", "").0, 421);
    for lines in
        ["origin: http://evil.example\r\n", "sec-fetch-site: cross-site\r\n", "sec-fetch-site: same-site\r\n"]
    {
        for first in ["GET /api/state", "GET /api/live", "POST /api/drain", "POST /api/close"] {
            assert_eq!(watched.send(first, lines, "").0, 403, "{first} {lines}");
        }
    }
    let (_, head, _) = watched.send("GET /api/state", "", "");
    assert!(head.contains("cache-control: no-store") && !head.contains("access-control-"), "{head}");
    watched.end();
}

/// All of 127.0.0.0/8 is this machine, and needs no token.
#[cfg(target_os = "linux")]
#[test]
fn any_loopback_address_is_a_host_of_its_own() {
    let folder = Folder::new("loopback");
    let text = "[admin]\nlisten = \"127.0.0.2:0\"\n[[echo]]\nlisten = \"127.0.0.1:0\"\n";
    let mut server = Server::command(&["run", "-c", &folder.file("w.toml", text), "-q"]);
    let admin = server.line().strip_prefix("Admin on ").unwrap().to_owned();
    for (host, status) in [(&*admin, 200), ("localhost", 200), ("127.0.0.3", 421), ("evil.example", 421)] {
        let mut stream = TcpStream::connect(&admin).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let head = format!("GET /api/state HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {response}");
    }
    assert!(server.stop().0.success());
}

#[test]
fn the_file_is_read_again_on_request() {
    let watched = watched("reload", "");
    let path = watched.file.0.clone();
    let text = std::fs::read_to_string(&path).unwrap();
    let mut client = watched.server.connect();
    exchange(&mut client, 10);
    std::fs::write(&path, text.replace("[admin]", "[limits]\nidle_timeout = \"77s\"\n[admin]")).unwrap();
    let (status, _, body) = watched.send("POST /api/reload", "", "");
    assert_eq!(status, 200, "{body}");
    let report: Value = serde_json::from_str(&body).unwrap();
    assert!(!report["changed"].as_array().unwrap().is_empty(), "{report}");
    assert_eq!(report["restart_needed"], json!([]));
    let state = watched.json("/api/state");
    let limits = state["limits"].as_array().unwrap();
    let limit = limits.iter().find(|limit| limit["name"] == "idle_timeout").unwrap();
    assert_eq!((&limit["max"], &limit["unit"]), (&json!(77.0), &json!("seconds")));

    std::fs::write(&path, text.replace("workers", "wrokers")).unwrap();
    let (status, _, body) = watched.send("POST /api/reload", "", "");
    assert_eq!(status, 422, "{body}");
    let wrong: Value = serde_json::from_str(&body).unwrap();
    assert!(wrong["problems"][0]["message"].as_str().unwrap().contains("wrokers"), "{wrong}");
    let state = watched.json("/api/state");
    assert_eq!((&state["reloads"]["succeeded"], &state["reloads"]["failed"]), (&json!(1), &json!(1)));
    assert!(state["reloads"]["last_error"].is_string(), "{state:#}");
    let (_, _, metrics) = watched.send("GET /metrics", "", "");
    assert!(metrics.contains("windlass_reloads_total{outcome=\"failed\"} 1\n"), "{metrics}");
    exchange(&mut client, 10);
    drop(client);
    std::fs::write(&path, text).unwrap();
    watched.end();
}

//! A server from a file: run, check, init and config, as somebody would type them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use rustix::process::Signal;

pub(crate) use crate::served::Folder;
use crate::server::*;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn exchange(address: &str, say: &[u8], hear: &[u8]) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(say).unwrap();
    let mut heard = vec![0; hear.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(heard, hear, "{}", String::from_utf8_lossy(&heard));
}

#[test]
fn several_services_of_one_file() {
    let folder = Folder::new("several");
    let socket = folder.path("echo.sock");
    folder.file("more.toml", "[[echo]]\nname = \"second\"\nlisten = \"127.0.0.1:0\"\n");
    let kv = if cfg!(feature = "kv") {
        "[[resp]]\nlisten = \"127.0.0.1:0\"\n[[memcached]]\nlisten = \"127.0.0.1:0\"\n"
    } else {
        ""
    };
    let path = folder.file(
        "windlass.toml",
        &format!(
            "include = \"more.toml\"\n[server]\nworkers = 2\n[log]\nformat = \"json\"\n\
             [[echo]]\nlisten = [\"127.0.0.1:0\", \"unix:{socket}\"]\n{kv}"
        ),
    );
    let mut server = Server::command(&["run", "-c", &path]);
    exchange(&server.address, b"first", b"first");
    assert_eq!(server.line(), format!("Listening on unix:{socket}"));
    let second = server.line();
    exchange(second.strip_prefix("Listening on ").unwrap(), b"second", b"second");
    if cfg!(feature = "kv") {
        let resp = server.line();
        let resp = resp.strip_prefix("Listening on ").unwrap();
        exchange(resp, b"PING\r\n", b"+PONG\r\n");
        let memcached = server.line();
        let memcached = memcached.strip_prefix("Listening on ").unwrap();
        // Connections may begin on either worker: the store is one.
        for n in 0..8 {
            exchange(memcached, format!("set k 0 0 1\r\n{n}\r\n").as_bytes(), b"STORED\r\n");
            exchange(memcached, b"get k\r\n", format!("VALUE k 0 1\r\n{n}\r\nEND\r\n").as_bytes());
        }
    }
    server.signal(Signal::TERM);
    let (status, _, stderr) = server.ended();
    assert!(status.success(), "{stderr}");
    assert!(stderr.lines().all(|line| line.starts_with('{')), "JSON, as the file says: {stderr}");
    assert!(!Path::new(&socket).exists());
}

#[test]
fn mistakes_are_told_with_exit_code_78() {
    let folder = Folder::new("mistakes");
    let path = folder.file("w.toml", "[sever]\n[[echo]]\nlisten = \"127.0.0.1\"\n");
    for command in ["run", "check", "config"] {
        let output = run(&[command, "-c", &path]);
        let said = text(output.stderr);
        assert_eq!(output.status.code(), Some(78), "{command}: {said}");
        assert!(said.contains("w.toml:1:2") && said.contains("did you mean `server`?"), "{command}: {said}");
        assert!(said.contains("w.toml:3:10") && said.contains("2 things are wrong"), "{command}: {said}");
        assert!(output.stdout.is_empty() && !said.contains('\u{1b}'), "{command}: {said}");
    }
    let output = run(&["check", "-c", &path, "--format", "json"]);
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), list.as_array().unwrap().len()), (Some(78), 2));
    assert_eq!(list[0]["line"], 1);
    let output = run(&["run", "-c", &folder.path("none.toml")]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(output.stderr).contains("cannot read "));
}

#[test]
fn check_tries_what_only_the_machine_can_tell() {
    let folder = Folder::new("check");
    let server = Server::start(&["-q"]);
    folder.file("cert.pem", "nothing");
    let path = folder.file(
        "w.toml",
        &format!(
            "[limits]\nconnections_max = 4_000_000_000\n[[echo]]\n\
             listen = [\"{}\", \"192.0.2.1:0\", \"unix:/nowhere/at/all\", \"127.0.0.1:0\"]\n\
             tls = {{ cert = \"cert.pem\", key = \"key.pem\" }}\n",
            server.address
        ),
    );
    let output = run(&["check", "-c", &path]);
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    for line in [
        "in use by another process",
        "this machine has no such address",
        "there is no such folder",
        "more descriptors than this process may open",
        "5 things are wrong",
    ] {
        assert!(said.contains(line), "{line} is missing in\n{said}");
    }
    if cfg!(feature = "tls") {
        assert!(said.contains("cert.pem") && said.contains("w.toml:5:"), "{said}");
    }
    let output = run(&["check", "-c", &path, "--no-environment"]);
    assert!(output.status.success(), "{}", text(output.stderr));
}

#[test]
#[cfg(feature = "realtime")]
fn check_sees_where_players_of_games_come_by_udp() {
    let folder = Folder::new("check-udp");
    let checked = |text: &str, more: &[&str]| {
        let path = folder.file("w.toml", &format!("[server]\nworkers = 3\n{text}"));
        let output = run(&[&["check", "-c", &path], more].concat());
        (output.status.code(), text_of(&output))
    };
    let game = |name: &str, port: &str| {
        format!(
            "[[game]]\nname = \"{name}\"\nlisten = \"127.0.0.1:0\"\n[game.udp]\nlisten = \"127.0.0.1:{port}\"\n"
        )
    };
    // Each worker has a port of its own.
    let (code, said) = checked(&game("one", "0"), &[]);
    assert!(code == Some(0) && said.contains("4 addresses to listen on"), "{said}");
    let both = [game("one", "7801"), game("two", "7803")].concat();
    let (code, said) = checked(&both, &["--no-environment"]);
    assert_eq!(code, Some(78), "{said}");
    assert!(
        said.contains("`udp:127.0.0.1:7803` is listened on twice") && said.contains("first here"),
        "{said}"
    );
    assert!(said.contains("w.toml:12:1\n") && said.contains("one thing is wrong"), "{said}");
    let other = format!("{}[[echo]]\nlisten = \"udp:127.0.0.1:7802\"\n", game("one", "7801"));
    assert_eq!(checked(&other, &["--no-environment"]).0, Some(78), "the second worker's");
    let other = other.replace(":7802", ":7804").replace("udp:127", "127");
    assert_eq!(checked(&other, &["--no-environment"]).0, Some(0));
    let (code, said) = checked(&game("one", "65534"), &["--no-environment"]);
    assert!(code == Some(78) && said.contains("no 3 ports from 127.0.0.1:65534 on"), "{said}");
    // And what only this machine can tell.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (code, said) = checked(&game("one", &socket.local_addr().unwrap().port().to_string()), &[]);
    assert!(code == Some(78) && said.contains("in use by another process"), "{said}");
}

#[cfg(feature = "realtime")]
fn text_of(output: &std::process::Output) -> String {
    text([&output.stdout[..], &output.stderr].concat())
}

#[test]
fn init_writes_what_serves_and_overwrites_nothing() {
    let folder = Folder::new("init");
    let path = folder.path("windlass.toml");
    let kinds: &[&str] = if cfg!(feature = "kv") { &["echo", "resp", "memcached"] } else { &["echo"] };
    for kind in kinds {
        let printed = text(run(&["init", kind]).stdout);
        assert!(run(&["init", kind, "-o", &path]).status.success());
        assert_eq!(fs::read_to_string(&path).unwrap(), printed);
        let again = run(&["init", kind, "-o", &path]);
        assert_eq!(again.status.code(), Some(1), "it overwrites nothing");
        let output = run(&["check", "--no-environment", "-c", &path]);
        assert!(output.status.success(), "{}", text(output.stderr));
        assert!(text(output.stdout).contains("nothing is wrong; 1 address to listen on"));
        fs::remove_file(&path).unwrap();
    }
    let output = run(&["init", "ecko"]);
    assert!(text(output.stderr).contains("did you mean `echo`?"));
    let said = text(run(&["init", "nothing-like-it"]).stderr);
    assert!(said.contains("`nothing-like-it`. The kinds are: echo") && said.contains(", demo"), "{said}");
}

#[test]
fn config_prints_what_is_in_effect() {
    let folder = Folder::new("effective");
    let path = folder
        .file("w.toml", "[admin]\ntoken = \"${TOKEN}\"\n[[echo]]\nlisten = \"127.0.0.1:${PORT:-9000}\"\n");
    let output =
        windlass(&["config", "-c", &path]).env("TOKEN", "s3cret").env("PORT", "9123").output().unwrap();
    let said = text(output.stdout);
    assert!(said.contains("\"127.0.0.1:9123\"") && said.contains("idle_timeout = \"5m\""), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    let output = run(&["config", "--schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(schema["properties"]["echo"].is_object());
}

/// The status, and the body.
/// Asks the admin service with the first line of a request, and returns the status and the body.
pub(crate) fn ask(address: &str, request: &str) -> (String, String) {
    said(address, &format!("{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
}

/// Gives it an order with this JSON.
pub(crate) fn order(address: &str, path: &str, json: &str) -> (String, String) {
    let lines = "host: localhost\r\nconnection: close\r\ncontent-type: application/json";
    let length = json.len();
    said(address, &format!("POST {path} HTTP/1.1\r\n{lines}\r\ncontent-length: {length}\r\n\r\n{json}"))
}

fn said(address: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().into(), body.into())
}

#[test]
fn the_operator_looks_in_and_drains() {
    let folder = Folder::new("admin");
    let path = folder.file(
        "w.toml",
        "[server]\nworkers = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n[[echo]]\nlisten = \"127.0.0.1:0\"\n",
    );
    let mut server = Server::command(&["run", "-c", &path, "-q"]);
    let admin = server.line();
    let admin = admin.strip_prefix("Admin on ").unwrap();
    let mut client = server.connect();
    client.write_all(b"hello").unwrap();
    client.read_exact(&mut [0; 5]).unwrap();
    assert_eq!(ask(admin, "GET /readyz"), ("200".into(), "ready\n".into()));
    let (_, json) = ask(admin, "GET /api/state");
    let state: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(state["workers"].as_array().unwrap().len(), 2, "{json}");
    let echo = &state["listeners"][0];
    assert_eq!(
        (echo["address"].as_str(), &echo["connections"]),
        (Some(&*server.address), &1.into()),
        "{json}"
    );
    // A worker publishes at the end of a turn, and the client may have heard before.
    let deadline = std::time::Instant::now() + LONG;
    loop {
        let (_, metrics) = ask(admin, "GET /metrics");
        let sent = metrics.lines().find(|line| line.starts_with("windlass_sent_bytes_total ")).unwrap();
        if sent.split(' ').nth(1).unwrap().parse::<f64>().unwrap() >= 5.0 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{sent}");
    }
    assert_eq!(ask(admin, "POST /api/drain").0, "202");
    drop(client);
    let (status, _, stderr) = server.ended();
    assert!(status.success(), "{stderr}");
}

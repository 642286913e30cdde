//! `windlass demo`, as somebody would type it the first time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::server::*;

/// The port behind `before` in `text`.
fn port(text: &str, before: &str) -> u16 {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {text}")).1;
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

fn ask(port: u16, say: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(say.as_bytes()).unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap();
    heard
}

#[test]
fn everything_it_names_is_there() {
    let mut server = Server::command(&["demo", "--clients", "6"]);
    let mut text = String::new();
    while !text.contains("Ctrl-C") {
        text = text + &server.line() + "\n";
    }
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let dashboard = port(&text, "dashboard   http://127.0.0.1:");
    assert!(ask(dashboard, &get("/readyz")).starts_with("HTTP/1.1 200 "));
    assert!(ask(port(&text, "WebSocket   http://127.0.0.1:"), &get("/")).contains("WebSocket echo"));
    let mut echo = TcpStream::connect(("127.0.0.1", port(&text, "nc 127.0.0.1 "))).unwrap();
    echo.set_read_timeout(Some(LONG)).unwrap();
    echo.write_all(b"hello\n").unwrap();
    let mut back = [0; 6];
    echo.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"hello\n");
    if cfg!(feature = "kv") {
        assert_eq!(ask(port(&text, "redis-cli -p "), "PING\r\nQUIT\r\n"), "+PONG\r\n+OK\r\n");
        assert!(ask(port(&text, "nc -q1 127.0.0.1 "), "version\r\nquit\r\n").starts_with("VERSION "));
    }
    if cfg!(feature = "realtime") {
        let arena = port(&text, "arena       http://127.0.0.1:");
        assert!(ask(arena, &get("/")).contains("<title>Arena</title>"));
        // Its bots play, and leave seats for people.
        let players = || {
            let rooms = ask(arena, &get("/api/rooms"));
            let rooms: serde_json::Value =
                serde_json::from_str(rooms.split_once("\r\n\r\n").unwrap().1).unwrap();
            rooms[0]["players"].as_u64().unwrap_or_default()
        };
        let deadline = Instant::now() + LONG;
        while players() != 6 {
            assert!(Instant::now() < deadline, "{}", players());
            thread::sleep(Duration::from_millis(20));
        }
    }
    // Its clients are there: their ends and ours, and something has been said.
    let busy = || {
        let state = ask(dashboard, &get("/api/state"));
        let state: serde_json::Value = serde_json::from_str(state.split_once("\r\n\r\n").unwrap().1).unwrap();
        (state["connections"].as_u64().unwrap(), state["messages"].as_u64().unwrap())
    };
    let deadline = Instant::now() + LONG;
    while !matches!(busy(), (connections, messages) if connections >= 13 && messages >= 12) {
        assert!(Instant::now() < deadline, "{:?}", busy());
        thread::sleep(Duration::from_millis(20));
    }
    server.signal(Signal::TERM);
    let (status, _, stderr) = server.ended();
    assert!(status.success(), "{stderr}");
}

//! Logs: on stderr, with stable keys, and no more than asked for.

use std::io::{Read, Write};
use std::net::Shutdown;

use serde_json::Value;

use crate::server::*;

fn events(stderr: &str) -> Vec<Value> {
    stderr.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// The event with that message, and its keys.
fn event<'a>(events: &'a [Value], message: &str) -> (&'a Value, Vec<&'a str>) {
    let found = events.iter().find(|event| event["message"].as_str().unwrap().starts_with(message));
    let found = found.unwrap_or_else(|| panic!("{message}: {events:#?}"));
    let mut keys: Vec<&str> = found.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    (found, keys)
}

#[test]
fn json_logs_have_stable_keys() {
    let server = Server::start(&["--log", "json", "--log-level", "debug", "--workers", "1"]);
    let mut stream = server.connect();
    let peer = stream.local_addr().unwrap().to_string();
    round_trip(&mut stream, b"hello");
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    drop(stream);
    let address = server.address.clone();
    let (status, stdout, stderr) = server.stop();
    assert!(status.success());
    assert_eq!(stdout, "", "the summary is an event");

    let events = events(&stderr);
    let (started, keys) = event(&events, "started");
    assert_eq!(keys, ["addresses", "descriptors", "level", "message", "timestamp", "version", "workers"]);
    assert_eq!((&started["level"], &started["addresses"]), (&"INFO".into(), &Value::from(address)));
    let (opened, keys) = event(&events, "opened");
    assert_eq!(keys, ["conn", "level", "message", "peer", "timestamp"]);
    assert_eq!((&opened["level"], &opened["peer"]), (&"DEBUG".into(), &Value::from(peer)));
    let (closed, keys) = event(&events, "closed");
    assert_eq!(keys, ["conn", "level", "message", "peer", "reason", "timestamp"]);
    assert_eq!((&closed["level"], &closed["reason"]), (&"DEBUG".into(), &"eof".into()));
    let (stopped, keys) = event(&events, "stopped");
    let wanted = [
        "busy_percent",
        "bytes_in",
        "bytes_out",
        "closes",
        "connections",
        "datagrams_dropped",
        "datagrams_in",
        "datagrams_out",
        "level",
        "message",
        "messages",
        "stalls",
        "timestamp",
        "turn_max_us",
        "turn_p50_us",
        "turn_p99_us",
        "uptime_ms",
    ];
    assert_eq!(keys, wanted);
    assert_eq!(
        (&stopped["connections"], &stopped["bytes_out"], &stopped["closes"]),
        (&1.into(), &5.into(), &"eof 1".into())
    );
}

#[test]
fn the_default_level_is_silent_about_well_behaved_peers() {
    let server = Server::start(&["--log", "json"]);
    for _ in 0..5 {
        round_trip(&mut server.connect(), b"hello");
    }
    let (_, _, stderr) = server.stop();
    let about_conns = events(&stderr).iter().filter(|event| event.get("peer").is_some()).count();
    assert_eq!(about_conns, 0, "{stderr}");
}

#[test]
fn faults_of_peers_and_limits_reached_are_told() {
    let limits = "idle_timeout=50ms,connections_max=1";
    let server = Server::start(&["--log", "json", "--workers", "1", "--limit", limits]);
    let mut idle = server.connect();
    let mut next = server.connect();
    assert_eq!(idle.read(&mut [0]).unwrap(), 0, "ended for silence");
    drop(idle);
    next.write_all(b"its turn").unwrap();
    next.read_exact(&mut [0; 8]).unwrap();
    drop(next);
    let (_, _, stderr) = server.stop();
    let events = events(&stderr);
    let (closed, _) = event(&events, "closed");
    assert_eq!((&closed["level"], &closed["reason"]), (&"INFO".into(), &"idle".into()));
    let (paused, keys) = event(&events, "accepting paused");
    assert_eq!(keys, ["level", "limit", "message", "times", "timestamp"]);
    assert_eq!((&paused["level"], &paused["limit"]), (&"WARN".into(), &"connections_max".into()));
}

#[test]
fn off_logs_nothing() {
    let server = Server::start(&["--log-level", "off", "--limit", "idle_timeout=20ms"]);
    assert_eq!(server.connect().read(&mut [0]).unwrap(), 0, "ended for silence");
    let (status, summary, stderr) = server.stop();
    assert!(status.success() && summary.contains("idle 1"), "{summary}");
    // The connection may still be waiting for our FIN to be answered; that is told, not logged.
    let logged = stderr.lines().filter(|line| !line.starts_with("Draining "));
    assert_eq!(logged.count(), 0, "{stderr}");
}

/// Somebody who never reads our logs holds up neither the connections nor the end.
#[test]
fn a_stuck_log_reader_holds_nobody_up() {
    use std::io::BufRead;
    use std::process::Stdio;
    let mut child =
        windlass(&["echo", "127.0.0.1:0", "--log", "json", "--log-level", "debug", "--workers", "1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("Listening on ").unwrap();
    // Each logs two lines of some 120 bytes: the pipe holds 64 KiB, the queue 4,096 lines.
    for _ in 0..3_000 {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        round_trip(&mut stream, b"still served");
    }
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let deadline = std::time::Instant::now() + LONG;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => assert!(std::time::Instant::now() < deadline, "it does not end"),
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    assert!(status.success());
}

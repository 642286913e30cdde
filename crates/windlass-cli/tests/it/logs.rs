//! Logs: on stderr, with stable keys, and no more than asked for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;

use serde_json::Value;

use crate::config::{Folder, ask, order};
use crate::server::*;
use crate::terminal::Terminal;

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
    // Said already when its turn comes: on a slow machine it would be silent for too long as well.
    next.write_all(b"its turn").unwrap();
    assert_eq!(idle.read(&mut [0]).unwrap(), 0, "ended for silence");
    drop(idle);
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

#[test]
fn where_nobody_reads_along_logs_are_json_and_the_summary_an_event() {
    let server = Server::start(&["--log", "auto", "--workers", "1"]);
    round_trip(&mut server.connect(), b"hello");
    let (_, stdout, stderr) = server.stop();
    assert_eq!(stdout, "");
    let events = events(&stderr);
    event(&events, "started");
    event(&events, "stopped");
}

#[test]
fn they_go_to_a_file_that_is_rotated() {
    let folder = Folder::new("log-file");
    let (path, old) = (folder.path("server.log"), folder.path("server.log.1"));
    let server = Server::start(&["--log", "auto", "--log-level", "debug", "--log-file", &path]);
    let has = |path: &str, words: &str| {
        let deadline = std::time::Instant::now() + LONG;
        while !std::fs::read_to_string(path).unwrap_or_default().contains(words) {
            assert!(std::time::Instant::now() < deadline, "{words}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    has(&path, "started");
    std::fs::rename(&path, &old).unwrap();
    server.signal(rustix::process::Signal::HUP);
    // Made anew though nothing happens.
    let deadline = std::time::Instant::now() + LONG;
    while std::fs::metadata(&path).is_err() {
        assert!(std::time::Instant::now() < deadline, "no new file");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    round_trip(&mut server.connect(), b"hello");
    has(&path, "opened");
    let (status, stdout, stderr) = server.stop();
    assert_eq!((status.code(), &*stdout, &*stderr), (Some(0), "", ""));
    event(&events(&std::fs::read_to_string(&path).unwrap()), "stopped");
    assert_eq!(events(&std::fs::read_to_string(&old).unwrap()).len(), 1);
    let both = run(&["echo", "127.0.0.1:0", "--log", "journald", "--log-file", &path]);
    assert!(String::from_utf8(both.stderr).unwrap().contains("the journal is in no file of ours"));
}

#[test]
fn on_a_terminal_they_are_text() {
    let Some(mut terminal) = Terminal::start(&["echo", "127.0.0.1:0", "--workers", "1"]) else { return };
    terminal.until("started");
    terminal.press(b"\x03");
    let status = terminal.ended();
    let shown = &terminal.shown;
    assert!(status.success(), "{status:?}: {shown}");
    assert!(shown.contains("Z  INFO started workers=1") && !shown.contains('{'), "{shown}");
    assert!(shown.contains("0 connections | 0 messages/s"), "the status line: {shown}");
    assert!(shown.contains("Served 0 connections in "), "the summary: {shown}");
}

/// A journal of the test's own: the server's entries, each as the lines it is made of.
#[cfg(target_os = "linux")]
struct Journal {
    path: SocketPath,
    socket: std::os::unix::net::UnixDatagram,
}

#[cfg(target_os = "linux")]
impl Journal {
    fn new(name: &str) -> Journal {
        let path = SocketPath::new(name);
        let socket = std::os::unix::net::UnixDatagram::bind(&path.0).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        Journal { path, socket }
    }

    /// Where it is, and how to log there.
    fn server(&self, args: &[&str], stderr: &std::io::PipeWriter, stream: &str) -> Server {
        let mut command = windlass(&["echo", "127.0.0.1:0", "--workers", "1", "--journal-socket"]);
        command.arg(&self.path.0).args(args).env("JOURNAL_STREAM", stream);
        command.stderr(stderr.try_clone().unwrap());
        Server::of(command)
    }

    fn entry(&self) -> Vec<String> {
        let mut entry = [0; 65_536];
        let length = self.socket.recv(&mut entry).unwrap();
        String::from_utf8(entry[..length].to_vec()).unwrap().lines().map(String::from).collect()
    }
}

#[cfg(target_os = "linux")]
#[test]
fn under_the_journal_they_are_its_entries() {
    let journal = Journal::new("journal");
    let (mut reader, stderr) = std::io::pipe().unwrap();
    let stat = rustix::fs::fstat(&stderr).unwrap();
    let stream = format!("{}:{}", stat.st_dev, stat.st_ino);
    let server = journal.server(&["--log-level", "debug"], &stderr, &stream);
    drop(stderr);
    let started = journal.entry();
    assert_eq!(started[..2], ["PRIORITY=6", "SYSLOG_IDENTIFIER=windlass"], "{started:?}");
    assert!(started[2].starts_with("MESSAGE=started "), "{started:?}");
    let address = format!("WINDLASS_ADDRESSES={}", server.address);
    assert!(started.contains(&address) && started.contains(&"WINDLASS_WORKERS=1".into()), "{started:?}");
    let stream = server.connect();
    let peer = stream.local_addr().unwrap();
    let opened = journal.entry();
    assert_eq!(opened[0], "PRIORITY=7", "{opened:?}");
    assert!(opened.contains(&format!("WINDLASS_PEER={peer}")), "{opened:?}");
    drop(stream);
    let closed = journal.entry();
    assert!(closed.contains(&"WINDLASS_REASON=eof".into()), "{closed:?}");
    let (status, stdout, _) = server.stop();
    let stopped = journal.entry();
    assert!(status.success() && stopped.contains(&"WINDLASS_CONNECTIONS=1".into()), "{stopped:?}");
    assert_eq!(stdout, "", "the summary is an entry");
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "nothing twice");
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_journal_does_not_read_is_not_for_it() {
    let journal = Journal::new("no-journal");
    let (mut reader, stderr) = std::io::pipe().unwrap();
    // Redirected since: the journal opened another one.
    let server = journal.server(&[], &stderr, "1:2");
    drop(stderr);
    assert!(server.stop().0.success());
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    event(&events(&text), "started");
    journal.socket.set_nonblocking(true).unwrap();
    assert!(journal.socket.recv(&mut [0; 16]).is_err());
    let gone = SocketPath::new("no-journal-at-all");
    let output =
        run(&["echo", "127.0.0.1:0", "--log", "journald", "--journal-socket", gone.0.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: cannot reach the journal at "), "{said}");
}

/// Somebody who does not read our logs holds up neither the connections nor the end. What is lost is counted,
/// and told once there is room again.
#[test]
fn a_stuck_log_reader_holds_nobody_up() {
    let folder = Folder::new("stuck");
    let path = folder.file(
        "w.toml",
        "[server]\nworkers = 1\n[log]\nlevel = \"debug\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [[echo]]\nlisten = \"127.0.0.1:0\"\n",
    );
    let (reader, stderr) = std::io::pipe().unwrap();
    let mut command = windlass(&["run", "-c", &path]);
    command.stderr(stderr);
    let mut server = Server::of(command);
    let admin = server.line().strip_prefix("Admin on ").unwrap().to_owned();
    // Each logs two lines of some 120 bytes: the pipe holds 64 KiB, the queue 4,096 lines.
    for _ in 0..3_000 {
        round_trip(&mut server.connect(), b"still served");
    }
    let dropped = || {
        let (_, metrics) = ask(&admin, "GET /metrics");
        let line = metrics.lines().find_map(|line| line.strip_prefix("windlass_log_dropped_total ")).unwrap();
        line.parse::<u64>().unwrap()
    };
    let lost = dropped();
    assert!(lost > 500, "{lost}");
    // Somebody comes to read.
    let mut lines = BufReader::new(reader).lines();
    let told = lines.find_map(|line| {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        event["message"].as_str().unwrap().contains("log lines were dropped").then_some(event)
    });
    let told = told.unwrap();
    assert_eq!((&told["level"], told["lines"].as_u64().unwrap() >= lost), (&"WARN".into(), true), "{told}");
    assert!(dropped() >= told["lines"].as_u64().unwrap());
    // Now for good, and it ends all the same.
    for _ in 0..3_000 {
        round_trip(&mut server.connect(), b"still served");
    }
    assert!(server.stop().0.success());
    drop(lines);
}

#[test]
fn the_level_is_set_while_it_runs() {
    let folder = Folder::new("level");
    let path = folder.file(
        "w.toml",
        "[server]\nworkers = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n[[echo]]\nlisten = \"127.0.0.1:0\"\n",
    );
    for quiet in [false, true] {
        let args: &[&str] = if quiet { &["run", "-q", "-c", &path] } else { &["run", "-c", &path] };
        let mut server = Server::command(args);
        let admin = server.line().strip_prefix("Admin on ").unwrap().to_owned();
        round_trip(&mut server.connect(), b"unseen");
        let set = |body: &str| order(&admin, "/api/log", body).0;
        assert_eq!(set("{\"level\":\"loud\"}"), "400");
        assert_eq!(set("{\"level\":\"debug\"}"), if quiet { "409" } else { "200" });
        round_trip(&mut server.connect(), b"seen");
        assert_eq!(set("{\"level\":\"off\"}"), if quiet { "409" } else { "200" });
        round_trip(&mut server.connect(), b"unseen");
        let (status, _, stderr) = server.stop();
        assert!(status.success());
        let opened = stderr.matches("\"opened\"").count();
        assert_eq!(opened, usize::from(!quiet), "{stderr}");
        assert!(!stderr.contains("stopped"), "{stderr}");
    }
}

//! Access logs: a line for each connection or request, whatever its peer writes, and files that are rotated.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::config::{Folder, ask, order};
use crate::server::*;
use crate::terminal::Terminal;

/// Waits until the file has so many lines, and returns them.
fn lines(path: &str, n: usize) -> Vec<String> {
    let deadline = Instant::now() + LONG;
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        if text.lines().count() >= n && text.ends_with('\n') {
            return text.lines().map(String::from).collect();
        }
        assert!(Instant::now() < deadline, "{n} lines in vain: {text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_line_for_each_connection_of_echo() {
    let folder = Folder::new("access-echo");
    let path = folder.path("access.log");
    // Long enough for whoever says something.
    let limits = ["--limit", "idle_timeout=3s", "--workers", "1", "-q"];
    let server = Server::start(&[&["--access-log", &path][..], &limits].concat());
    let mut stream = server.connect();
    round_trip(&mut stream, b"hello");
    round_trip(&mut stream, b"you");
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let first = stream.local_addr().unwrap().to_string();
    drop(stream);
    let first_line = lines(&path, 1).remove(0);
    let mut idle = server.connect();
    let second = idle.local_addr().unwrap().to_string();
    assert_eq!(idle.read(&mut [0]).unwrap(), 0, "ended for silence");
    let address = server.address.clone();
    // What was not written yet is written at the end.
    let (status, stdout, _) = server.stop();
    assert_eq!((status.code(), &*stdout), (Some(0), ""));
    let lines = lines(&path, 2);
    assert_eq!(lines[0], first_line);
    let columns: Vec<Vec<&str>> = lines.iter().map(|line| line.split(' ').collect()).collect();
    assert!(columns[0][0].starts_with("20") && columns[0][0].ends_with('Z'), "{lines:?}");
    assert_eq!(columns[0][1..4], [&first, "echo", &address]);
    assert!(columns[0][4].parse::<f64>().is_ok());
    assert_eq!(columns[0][5..], ["8", "8", "2", "eof", "nobody"], "{lines:?}");
    assert_eq!(columns[1][1], second);
    assert!(columns[1][4].parse::<f64>().unwrap() >= 2_900.0, "{lines:?}");
    assert_eq!(columns[1][5..], ["0", "0", "0", "idle", "peer"], "{lines:?}");
}

/// Request and end in one segment: the reply is queued when the service hears of the end.
#[test]
fn what_goes_out_behind_the_end_counts_as_sent() {
    let folder = Folder::new("access-sent");
    let path = folder.path("access.log");
    let server = Server::start(&["--access-log", &path, "--access-format", "{received} {sent}", "-q"]);
    let mut stream = server.connect();
    let text = vec![b'x'; 3_000_000];
    let mut writer = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(&text).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        assert_eq!(heard.len(), text.len());
    });
    assert_eq!(lines(&path, 1), ["3000000 3000000"]);
    assert!(server.stop().0.success());
}

#[test]
fn lines_on_stdout_and_formats_that_are_wrong() {
    let args = ["--access-log", "-", "--access-format", "{service} \"{reason}\" {messages}", "-q"];
    let server = Server::start(&args);
    round_trip(&mut server.connect(), b"hello");
    let (status, stdout, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    assert!(stdout == "echo \"eof\" 1\n" || stdout == "echo \"shutdown\" 1\n", "{stdout}");
    for (format, said) in [
        ("{pier}", "there is no field {pier}; did you mean {peer}?"),
        ("combined", "`combined` is for requests"),
        ("{status}", "{status} is nothing that connections have"),
    ] {
        let output = run(&["echo", "127.0.0.1:0", "--access-log", "-", "--access-format", format]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && stderr.contains(said), "{stderr}");
    }
    let output = run(&["echo", "127.0.0.1:0", "--access-log", "/nowhere/at/all.log"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let said = "cannot write the access log of `echo` to /nowhere/at/all.log";
    assert!(output.status.code() == Some(1) && stderr.contains(said), "{stderr}");
}

/// Services of every kind, in one file or several, each in its format; the operator's requests too.
#[cfg(feature = "kv")]
#[test]
fn every_kind_of_service_has_one() {
    let folder = Folder::new("access-kinds");
    let path = folder.file(
        "w.toml",
        "[admin]\nlisten = \"127.0.0.1:0\"\naccess_log = { path = \"admin.log\" }\n\
         [[echo]]\nlisten = \"127.0.0.1:0\"\n\
         [[resp]]\nname = \"first\"\nlisten = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\n\
         access_log = { path = \"kv.log\", format = \"{service} {listener} {messages}\" }\n\
         [[memcached]]\nlisten = \"127.0.0.1:0\"\naccess_log = { path = \"kv.log\", format = \"json\" }\n\
         [[memcached]]\nname = \"silent\"\nlisten = \"127.0.0.1:0\"\n",
    );
    let mut server = Server::command(&["run", "-c", &path, "-q"]);
    let mut others: Vec<String> = (0..5).map(|_| server.line()).collect();
    let admin = others.pop().unwrap().strip_prefix("Admin on ").unwrap().to_owned();
    let at = |n: usize| others[n].strip_prefix("Listening on ").unwrap();
    round_trip(&mut server.connect(), b"nobody notes this");
    let log = folder.path("kv.log");
    let talk = |address: &str, say: &str, hear: &str| {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(say.as_bytes()).unwrap();
        let mut heard = vec![0; hear.len()];
        stream.read_exact(&mut heard).unwrap();
        assert_eq!(String::from_utf8_lossy(&heard), hear);
    };
    talk(at(3), "mg k v\r\n", "EN\r\n");
    talk(at(1), "PING\r\nPING\r\n", "+PONG\r\n+PONG\r\n");
    lines(&log, 1);
    talk(at(2), "mg k v\r\n", "EN\r\n");
    let kv = lines(&log, 2);
    assert_eq!(kv[0], format!("first {} 2", at(1)));
    let json: serde_json::Value = serde_json::from_str(&kv[1]).unwrap();
    assert_eq!(
        (&json["service"], &json["listener"], &json["received"], &json["sent"], &json["reason"]),
        (&"memcached".into(), &at(2).into(), &8.into(), &4.into(), &"eof".into())
    );

    assert_eq!(ask(&admin, "GET /healthz?token=secret").0, "200");
    let mut forger = std::net::TcpStream::connect(&admin).unwrap();
    let agent = "x\" 200 1\t\"-\" \"-\" \\n";
    forger
        .write_all(
            format!(
                "GET /none HTTP/1.1\r\nhost: localhost\r\nuser-agent: {agent}\r\n\
                 referer: http://localhost/page?a=secret\r\nconnection: close\r\n\r\n"
            )
            .as_bytes(),
        )
        .unwrap();
    forger.read_to_string(&mut String::new()).unwrap();
    let mut stranger = std::net::TcpStream::connect(&admin).unwrap();
    stranger.write_all(b"\x16\x03\x01\r\n\r\n").unwrap();
    stranger.read_to_string(&mut String::new()).unwrap();
    let asked = lines(&folder.path("admin.log"), 3);
    let behind = |line: &str| line.split_once(" +0000] ").unwrap().1.to_owned();
    assert!(asked.iter().all(|line| line.starts_with("127.0.0.1 - - [")), "{asked:?}");
    assert_eq!(behind(&asked[0]), "\"GET /healthz HTTP/1.1\" 200 3 \"-\" \"-\"");
    assert_eq!(
        behind(&asked[1]),
        "\"GET /none HTTP/1.1\" 404 14 \"http://localhost/page\" \
         \"x\\x22 200 1\\x09\\x22-\\x22 \\x22-\\x22 \\x5Cn\""
    );
    assert!(behind(&asked[2]).starts_with("\"-\" 400 "), "{asked:?}");
    let metrics = ask(&admin, "GET /metrics").1;
    assert!(metrics.contains("\nwindlass_access_log_dropped_total 0\n"), "{metrics}");
    assert!(server.stop().0.success());
    assert_eq!(lines(&log, 2).len(), 2, "nothing of whom nobody asked");
}

#[test]
fn files_are_rotated_as_logrotate_does_it() {
    let folder = Folder::new("access-rotate");
    let (path, old) = (folder.path("access.log"), folder.path("access.log.1"));
    let server = Server::start(&["--access-log", &path, "--access-format", "{received}", "-q"]);
    let say = |text: &[u8]| round_trip(&mut server.connect(), text);
    say(b"1");
    assert_eq!(lines(&path, 1), ["1"]);
    fs::rename(&path, &old).unwrap();
    server.signal(Signal::HUP);
    // It is made anew though nothing happens.
    assert!(lines_of_nothing(&path), "no new file");
    say(b"22");
    assert_eq!(lines(&path, 1), ["2"]);
    // Without a signal.
    fs::rename(&path, &old).unwrap();
    say(b"333");
    assert_eq!(lines(&path, 1), ["3"]);
    assert_eq!(lines(&old, 1), ["2"]);
    assert!(server.stop().0.success(), "SIGHUP ends nobody");
}

/// Waits until there is an empty file.
fn lines_of_nothing(path: &str) -> bool {
    let deadline = Instant::now() + LONG;
    while Instant::now() < deadline {
        if fs::metadata(path).is_ok_and(|it| it.len() == 0) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// A reload that adds an access log, the first, and takes it away again.
#[test]
fn one_comes_and_goes_with_a_reload() {
    let folder = Folder::new("access-reload");
    let log = folder.path("access.log");
    let text = "[server]\nworkers = 1\n[log]\nformat = 'json'\n[admin]\nlisten = '127.0.0.1:0'\n\
                [[echo]]\nlisten = '127.0.0.1:0'\n";
    let path = folder.file("w.toml", text);
    let mut server = Server::command(&["run", "-c", &path]);
    let admin = server.line().strip_prefix("Admin on ").unwrap().to_owned();
    let reload = |text: &str| {
        folder.file("w.toml", text);
        let (status, said) = order(&admin, "/api/reload", "{}");
        assert_eq!(status, "200", "{said}");
        let state = ask(&admin, "GET /api/state").1;
        let state: serde_json::Value = serde_json::from_str(&state).unwrap();
        let listeners = state["listeners"].as_array().unwrap();
        let echo = listeners.iter().find(|listener| listener["service"] == "echo").unwrap();
        echo["address"].as_str().unwrap().to_owned()
    };
    round_trip(&mut server.connect(), b"unseen");
    let logged = format!(
        "{text}access_log = {{ path = 'access.log', format = '{{service}} {{listener}} {{messages}}' }}\n"
    );
    let address = reload(&logged);
    let say = |address: &str| round_trip(&mut std::net::TcpStream::connect(address).unwrap(), b"seen");
    say(&address);
    assert_eq!(lines(&log, 1), [format!("echo {address} 1")]);
    // The thread that writes has come with it, and hears the signal, which reloads as well.
    fs::rename(&log, folder.path("access.log.1")).unwrap();
    server.signal(Signal::HUP);
    assert!(lines_of_nothing(&log), "no new file");
    let address = reload(text);
    say(&address);
    let (status, _, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    assert_eq!(fs::read_to_string(&log).unwrap(), "", "{stderr}");
}

/// What a process without privileges gave up does not keep it from opening its files anew.
#[cfg(target_os = "linux")]
#[test]
fn files_are_rotated_in_a_strict_sandbox_too() {
    let folder = Folder::new("access-sandbox");
    let (path, log) = (folder.path("access.log"), folder.path("server.log"));
    let mut args = vec!["--access-log", &path, "--access-format", "{received}", "--log-file", &log];
    args.extend(["--sandbox", "strict", "--log", "json"]);
    if is_root() {
        args.extend(["--user", "61184", "--group", "61184"]);
        std::os::unix::fs::chown(folder.path(""), Some(61_184), Some(61_184)).unwrap();
    }
    let server = Server::start(&args);
    round_trip(&mut server.connect(), b"1");
    assert_eq!(lines(&path, 1), ["1"]);
    let here = fs::metadata(&path).unwrap();
    for path in [&path, &log] {
        fs::rename(path, format!("{path}.1")).unwrap();
    }
    assert!(lines_of_nothing(&path) && lines_of_nothing(&log), "no new files");
    round_trip(&mut server.connect(), b"22");
    assert_eq!(lines(&path, 1), ["2"]);
    use std::os::unix::fs::MetadataExt;
    let there = fs::metadata(&path).unwrap();
    assert_eq!((here.uid(), there.uid()), (there.uid(), if is_root() { 61_184 } else { here.uid() }));
    assert!(server.stop().0.success());
    assert!(fs::read_to_string(format!("{log}.1")).unwrap().contains("in a sandbox"));
    assert!(lines(&log, 1)[0].contains("\"stopped\""));
}

/// The disk is full, and nobody who is served notices.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_lines_and_no_connection() {
    let folder = Folder::new("access-full");
    let path = folder.file(
        "w.toml",
        "[server]\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n[[echo]]\nlisten = \"127.0.0.1:0\"\n\
         access_log = { path = \"/dev/full\" }\n",
    );
    let mut server = Server::command(&["run", "-c", &path]);
    let admin = server.line().strip_prefix("Admin on ").unwrap().to_owned();
    for _ in 0..20 {
        round_trip(&mut server.connect(), b"still served");
    }
    let deadline = Instant::now() + LONG;
    while !ask(&admin, "GET /metrics").1.contains("\nwindlass_access_log_dropped_total 20\n") {
        assert!(Instant::now() < deadline, "they are not counted");
        std::thread::sleep(Duration::from_millis(20));
    }
    round_trip(&mut server.connect(), b"still served");
    let (status, _, stderr) = server.stop();
    assert!(status.success());
    assert!(stderr.contains("lines of access logs were dropped: No space left on device"), "{stderr}");
}

/// On a terminal, lines on stdout are not mixed with a status line.
#[test]
fn lines_on_a_terminal_have_it_to_themselves() {
    let words = ["echo", "127.0.0.1:0", "--workers", "1", "--access-log", "-"];
    let Some(mut terminal) = Terminal::start(&words) else { return };
    let address = terminal.line("Listening on ");
    drop(std::net::TcpStream::connect(address).unwrap());
    terminal.until(" eof nobody");
    terminal.press(b"\x03");
    let status = terminal.ended();
    let shown = &terminal.shown;
    assert!(status.success(), "{status:?}: {shown}");
    assert!(!shown.contains("messages/s"), "{shown}");
}

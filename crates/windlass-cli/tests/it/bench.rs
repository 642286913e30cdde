//! `windlass bench`: every load against a server that does right, one that does wrong, none, and one that
//! goes away.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::server::*;

/// How long a load runs: a moment, and longer where a busy machine has done nothing in that.
const MOMENTS: [&str; 3] = ["200ms", "2s", "20s"];

/// Runs a load of so many words, for so long.
fn bench(words: &[&str], time: &str) -> Output {
    let short = ["-c", "4", "-t", time, "--warmup", "20ms", "--stall", "20s", "--json"];
    run(&[&["bench"], words, &short].concat())
}

/// Runs a load to its good end; the report.
#[track_caller]
fn clean(words: &[&str]) -> Value {
    clean_until(words, |report| report["messages"].as_u64() > Some(0))
}

/// The same, for longer where it has not come to what is wanted in a moment. That nothing is wrong holds for all.
#[track_caller]
fn clean_until(words: &[&str], is_enough: impl Fn(&Value) -> bool) -> Value {
    let mut report = Value::Null;
    for time in MOMENTS {
        let output = bench(words, time);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{words:?}: {stderr}"));
        assert_eq!(
            ["faults", "stalled", "unanswered"].map(|name| report[name].as_u64()),
            [Some(0); 3],
            "{words:?}: {stderr}"
        );
        if is_enough(&report) {
            assert!(output.status.success(), "{words:?}: {stderr}");
            assert!(report["messages"].as_u64().unwrap() > 0, "{words:?}: {report}");
            assert_eq!(report["verified"], true, "{report}");
            return report;
        }
    }
    panic!("{words:?}: {report}");
}

/// What a load of a moment says to people.
fn said_by(words: &[&str]) -> String {
    let mut said = String::new();
    for time in MOMENTS {
        let output = run(&[&["bench"], words, &["--warmup", "0s", "--stall", "20s", "-t", time]].concat());
        said = String::from_utf8(output.stdout).unwrap();
        if !said.contains("nothing was served") {
            break;
        }
    }
    said
}

/// Runs a load that fails long before its end; its one line on stderr, and the report if there is one.
#[track_caller]
fn fails(words: &[&str]) -> (String, Value) {
    fails_within(words, "60s")
}

#[track_caller]
fn fails_within(words: &[&str], time: &str) -> (String, Value) {
    let output = bench(words, time);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words:?}: {stderr}");
    assert!(stderr.starts_with("error: ") && stderr.lines().count() == 1, "{words:?}: {stderr}");
    (stderr, serde_json::from_slice(&output.stdout).unwrap_or_default())
}

/// A server that answers each piece it reads with what `answer` makes of it, again and again until that says
/// `connection: close`.
fn answering(answer: impl Fn(usize, &[u8]) -> Vec<u8> + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || {
                let mut buf = vec![0; 64 * 1024];
                for nth in 0.. {
                    let Ok(n @ 1..) = stream.read(&mut buf) else { return };
                    let answer = answer(nth, &buf[..n]);
                    let last = answer.windows(17).any(|words| words == b"connection: close");
                    if stream.write_all(&answer).is_err() || last {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[cfg(feature = "kv")]
const STORES: [&[&str]; 3] = [&["resp"], &["memcached"], &["memcached", "--binary"]];

#[cfg(feature = "kv")]
fn store(words: &[&str]) -> Server {
    Server::command(&[words[0], "127.0.0.1:0", "-q"])
}

#[test]
fn echo_over_tcp_and_unix_sockets() {
    let server = Server::start(&["-q", "--workers", "1"]);
    let report = clean(&["echo", &server.address, "--size", "100", "--depth", "3"]);
    assert_eq!((&report["kind"], &report["mode"]), (&"echo".into(), &"steady".into()));
    let churn = clean(&["echo", &server.address, "--mode", "churn"]);
    assert_eq!(churn["mode"], "churn");
    let path = SocketPath::new("bench");
    let server = Server::on(&format!("unix:{}", path.0.display()), &["-q"]);
    clean(&["echo", &server.address]);
}

#[cfg(feature = "hub")]
#[test]
fn messages_through_a_hub() {
    let server = Server::command(&["hub", "127.0.0.1:0", "-q"]);
    for qos in ["0", "1", "2"] {
        for mode in ["pairs", "fan-in", "fan-out"] {
            let report = clean(&["mqtt", &server.address, "--mode", mode, "--qos", qos, "--depth", "3"]);
            assert_eq!((&report["kind"], &report["mode"]), (&"mqtt".into(), &mode.into()));
        }
    }
    let web = format!("ws://{}", server.address);
    for target in [server.address.as_str(), &web] {
        clean(&["mqtt", target, "--mode", "connect"]);
        clean(&["mqtt", target, "--protocol", "3.1.1", "--retain", "--durable"]);
    }
    let said = said_by(&["mqtt", &server.address, "-c", "1"]);
    assert!(said.contains(": 2 connections, MQTT 5.0, 1 pair, "), "{said}");
    assert!(said.contains("verified  every delivery, in order, once\n"), "{said}");
}

/// One is one, and datagrams keep no order.
#[test]
fn the_text_says_what_was_done() {
    let server = Server::on("udp:127.0.0.1:0", &["-q", "--workers", "1"]);
    let said = said_by(&["udp", &server.address]);
    assert!(said.contains(": 1 peer, 64 B datagrams"), "{said}");
    assert!(said.contains("verified  every datagram that came back\n"), "{said}");
    let server = Server::start(&["-q", "--workers", "1"]);
    let said = said_by(&["echo", &server.address, "-c", "1"]);
    assert!(said.contains(": 1 connection, "), "{said}");
    assert!(said.contains("verified  every reply, in order, once\n"), "{said}");
}

/// Zero would be the best latency there is.
#[test]
fn where_nothing_is_served_no_latency_is_told() {
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap().to_string();
    let words = ["bench", "echo", &address, "-c", "1", "--warmup", "0s", "-t", "100ms", "--stall", "200ms"];
    let output = run(&words);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("nothing was served") && !said.contains("latency"), "{said}");
}

#[test]
fn the_shape_of_the_json() {
    let server = Server::start(&["-q", "--workers", "1"]);
    let report = clean(&["echo", &server.address, "--rate", "1000"]);
    let names: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
    for name in [
        "kind",
        "target",
        "tls",
        "connections",
        "size",
        "depth",
        "rate",
        "seconds",
        "messages",
        "messages_per_second",
        "bytes_per_second",
        "latency_us",
        "latency_from_sending_us",
        "server",
        "generator_idle",
        "disturbed",
        "stalled",
        "unanswered",
        "lost",
        "reconnects",
        "faults",
        "errors",
        "fault_texts",
        "verified",
    ] {
        assert!(names.contains(&name), "{name} is promised: {names:?}");
    }
    for latency in [&report["latency_us"], &report["latency_from_sending_us"]] {
        // 1,000 a second for 200 ms: exactly these were due.
        assert_eq!(latency["count"], 200, "{report}");
        for name in ["min", "p50", "p90", "p99", "p99.9", "max"] {
            assert!(latency[name].as_f64().unwrap() > 0.0, "{name}: {latency}");
        }
    }
    assert!(report["latency_us"]["p50"].as_f64() >= report["latency_from_sending_us"]["p50"].as_f64());
}

#[test]
fn flags_are_variables_too() {
    let server = Server::start(&["-q", "--workers", "1"]);
    let mut report = Value::Null;
    for time in MOMENTS {
        let mut command = windlass(&["bench", "echo"]);
        command.env("WINDLASS_TARGET", &server.address).env("WINDLASS_DURATION", time);
        command.env("WINDLASS_WARMUP", "0").env("WINDLASS_JSON", "1").env("WINDLASS_CUBIC", "");
        command.env("WINDLASS_STALL", "20s");
        let output = command.output().unwrap();
        report = serde_json::from_slice(&output.stdout).expect("a report in JSON");
        if report["messages"].as_u64() > Some(0) {
            break;
        }
    }
    assert_eq!((&report["target"], &report["verified"]), (&server.address.as_str().into(), &true.into()));
}

#[test]
fn files_with_the_latencies() {
    let server = Server::start(&["-q", "--workers", "1"]);
    let (svg, hgrm) = (SocketPath::new("latency.svg"), SocketPath::new("latency.hgrm"));
    let paths = [&svg, &hgrm].map(|path| path.0.display().to_string());
    clean(&["echo", &server.address, "--plot", &paths[0], "--hgrm", &paths[1]]);
    assert!(std::fs::read_to_string(&svg.0).unwrap().starts_with("<svg"));
    let text = std::fs::read_to_string(&hgrm.0).unwrap();
    assert!(text.trim_start().starts_with("Value") && text.contains("#[Max"), "{text}");
}

#[test]
fn datagrams() {
    let server = Server::on("udp:127.0.0.1:0", &["-q", "--workers", "1"]);
    let report = clean(&["udp", &server.address]);
    assert_eq!((&report["kind"], &report["connections"]), (&"udp".into(), &4.into()));
    let open = clean(&["udp", &server.address, "--rate", "1000"]);
    // As many as were due in one of the moments.
    let sent = open["messages"].as_u64().unwrap() + open["lost"].as_u64().unwrap();
    assert!([200, 2_000, 20_000].contains(&sent), "{open}");
}

#[cfg(feature = "kv")]
#[test]
fn stores() {
    for words in STORES {
        let server = store(words);
        for more in
            [&["--depth", "8", "--keys", "10"][..], &["--rate", "500", "--size", "100KiB", "--keys", "10"]]
        {
            let report = clean(&[words, &[&server.address], more].concat());
            assert!(report["kind"].as_str().unwrap().starts_with(words[0]), "{report}");
        }
        clean(&[words, &[&server.address, "--mix", "incr=1", "--prefix", "another:"]].concat());
    }
}

#[cfg(feature = "kv")]
#[test]
fn a_store_behind_a_password() {
    let file = SocketPath::new("bench-password");
    std::fs::write(&file.0, "open sesame\n").unwrap();
    let path = file.0.display().to_string();
    let server = Server::command(&["resp", "127.0.0.1:0", "-q", "--password-file", &path]);
    clean(&["resp", &server.address, "--password-file", &path]);
    assert!(fails(&["resp", &server.address]).0.contains("NOAUTH"));
}

/// A server with an admin listener, and where that is.
fn with_admin() -> (Server, String, SocketPath) {
    let file = SocketPath::new("bench.toml");
    let text =
        "[server]\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n[[echo]]\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(&file.0, text).unwrap();
    let mut server = Server::command(&["run", "-q", "-c", &file.0.display().to_string()]);
    let admin = server.line().strip_prefix("Admin on ").expect("where the admin listens").to_owned();
    (server, admin, file)
}

#[test]
fn pages() {
    let (_server, admin, _file) = with_admin();
    let url = format!("http://{admin}/healthz");
    let kept = clean(&["http", &url]);
    assert_eq!(
        (&kept["kind"], &kept["status"], &kept["body_bytes"]),
        (&"http".into(), &200.into(), &3.into())
    );
    clean(&["http", &url, "--depth", "4"]);
    clean(&["http", &url, "--close"]);
    clean(&["http", &url, "--rate", "500"]);
    clean(&["http", &admin, "--path", "/metrics", "--any-body"]);
    clean(&["http", &admin, "--path", "/nothing", "--status", "404"]);
    assert!(fails(&["http", &admin, "--path", "/nothing"]).0.contains("404"));
}

/// A WebSocket echo, and where that is.
fn ws_echo() -> (Server, String) {
    let server = Server::command(&["websocket", "127.0.0.1:0", "-q"]);
    let place = format!("{}/ws", server.address);
    (server, place)
}

#[test]
fn connections_that_a_server_ends_are_replaced() {
    // As servers do that let a connection have so many requests and no more.
    let page = |nth| {
        let last = if nth == 9 { "connection: close\r\n" } else { "" };
        format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{last}\r\nok").into_bytes()
    };
    let ends = answering(move |nth, _| page(nth));
    clean_until(&["http", &ends], |report| report["reconnects"].as_u64() > Some(0));
    // And as old ones do, whose body ends with the connection.
    let old = answering(|_, _| b"HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nto the end".to_vec());
    let report = clean(&["http", &old]);
    assert_eq!(report["body_bytes"], 10);
}

#[test]
fn web_sockets() {
    let (_server, place) = ws_echo();
    assert_eq!(clean(&["ws", &format!("ws://{place}"), "--depth", "4"])["kind"], "ws");
    clean(&["ws", &place, "--size", "100KiB"]);
    clean(&["ws", &place, "--rate", "500"]);
}

#[cfg(feature = "tls")]
#[test]
fn over_tls() {
    let file = |name: &str| format!("{}/../windlass/tests/certs/{name}", env!("CARGO_MANIFEST_DIR"));
    let (cert, key, ca) = (file("server.pem"), file("server.key"), file("ca.pem"));
    let server = Server::start(&["-q", "--tls-cert", &cert, "--tls-key", &key]);
    let by_name = server.address.replace("127.0.0.1", "localhost");
    let report = clean(&["echo", &by_name, "--tls", "--tls-ca", &ca, "--size", "100KiB", "--depth", "2"]);
    assert_eq!(report["tls"], true);
    clean(&["echo", &server.address, "--tls", "--tls-insecure", "--mode", "churn"]);
    // Not signed by whom the system trusts, and not for that name.
    assert!(fails(&["echo", &by_name, "--tls"]).0.contains("certificate"));
    let (wrong, _) = fails(&["echo", &by_name, "--tls", "--tls-ca", &ca, "--tls-name", "example.com"]);
    assert!(wrong.contains("not valid for name"), "{wrong}");
    // And to a server without.
    let plain = Server::start(&["-q"]);
    assert!(fails(&["echo", &plain.address, "--tls", "--tls-insecure"]).0.contains("TLS"));
    #[cfg(feature = "kv")]
    for words in STORES {
        let server =
            Server::command(&[words[0], "127.0.0.1:0", "-q", "--tls-cert", &cert, "--tls-key", &key]);
        clean(&[words, &[&server.address, "--tls", "--tls-insecure", "--depth", "4"]].concat());
    }
}

#[test]
fn garbage_is_no_reply() {
    let address = answering(|_, _| b"\x00\x01garbage\r\n".to_vec());
    for words in [&["resp"][..], &["memcached"], &["memcached", "--binary"], &["http"], &["ws"]] {
        let (line, _) = fails(&[words, &[&address]].concat());
        assert!(line.contains("wrong reply"), "{words:?}: {line}");
    }
    let (line, report) = fails(&["echo", &address]);
    assert!(line.contains("wrong byte") && report["errors"]["wrong_reply"] == 4, "{line} {report}");
    assert_eq!((&report["verified"], &report["messages"]), (&false.into(), &0.into()));
}

#[test]
fn right_at_first_and_wrong_then() {
    // It says yes to all: the keys seem to be stored, and then there is no value.
    let yes = answering(|_, said| {
        b"+OK\r\n".repeat(said.windows(5).filter(|word| word.ends_with(b"ET\r\n")).count())
    });
    let (line, report) = fails(&["resp", &yes, "--mix", "get=1"]);
    assert!(line.contains("wrong reply: Simple") && line.contains("to GET"), "{line}");
    assert_eq!(report["errors"]["wrong_reply"], 4, "{report}");

    let page =
        |nth| format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{}", u8::from(nth == 20)).into_bytes();
    let (line, report) = fails(&["http", &answering(move |nth, _| page(nth))]);
    assert!(line.contains("the body differs from the first at byte 0"), "{line}");
    assert_eq!(report["errors"]["wrong_reply"], 4, "{report}");

    let busy = |nth| if nth < 20 { "200 OK" } else { "503 Busy" };
    let page = move |nth| format!("HTTP/1.1 {}\r\ncontent-length: 0\r\n\r\n", busy(nth)).into_bytes();
    let (_, report) = fails(&["http", &answering(move |nth, _| page(nth))]);
    assert_eq!(report["errors"]["error_reply"], 4, "{report}");
}

#[test]
fn datagrams_that_were_changed() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let mut buf = [0; 2048];
        while let Ok((n, from)) = socket.recv_from(&mut buf) {
            buf[n - 1] ^= 1;
            let _ = socket.send_to(&buf[..n], from);
        }
    });
    // It goes on to its end, for some may be right.
    for time in MOMENTS {
        let (line, report) = fails_within(&["udp", &address], time);
        assert!(line.contains("nothing was served"), "{line}");
        if report["errors"]["wrong_reply"].as_u64() > Some(0) {
            return assert!(line.contains("datagrams that were not sent so"), "{line}");
        }
    }
    panic!("no answer came");
}

/// Where nobody listens.
fn nobody() -> SocketAddr {
    crate::served::free().parse().unwrap()
}

#[test]
fn nobody_listens() {
    let address = nobody().to_string();
    for words in [&["echo"][..], &["udp"], &["ws"], &["http"], &["resp"], &["memcached"]] {
        let (line, _) = fails(&[words, &[&address]].concat());
        assert!(line.contains("connection refused; is the server running?"), "{words:?}: {line}");
    }
}

/// How often the threads of a process have been given a core.
fn turns(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let each = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("status")).ok());
    let each: Vec<String> = each.collect();
    let lines = each.iter().flat_map(|status| status.lines());
    lines.filter_map(|line| line.split_once("ctxt_switches:")?.1.trim().parse::<u64>().ok()).sum()
}

/// Starts a load of two minutes, ends the server under it once it is busy, and looks at what the load says.
#[track_caller]
fn goes_away(words: &[&str], stall: &str, server: &Server, signal: Signal) -> Value {
    let long = ["-c", "4", "-t", "120s", "--warmup", "0s", "--stall", stall, "--json"];
    let (begun, before) = (Instant::now(), turns(server.pid()));
    let load = windlass(&[&["bench"], words, &long].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_millis(400));
    // The loop is closed: for so many turns some messages must have come back.
    while turns(server.pid()) < before + 200 {
        assert!(begun.elapsed() < LONG, "{words:?}: nothing is asked");
        thread::sleep(Duration::from_millis(20));
    }
    server.signal(signal);
    let output = load.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words:?}: {stderr}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{words:?}: it ends with the server");
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{words:?}: {stderr}"));
    assert!(report["messages"].as_u64().unwrap() > 0, "{words:?}: {report}");
    assert!(
        report["seconds"].as_f64().unwrap() < 60.0,
        "what was measured, not what was asked for: {report}"
    );
    report["errors"].clone()
}

/// That every connection was closed or reset, or closed between two requests and not opened again.
fn all_ended(errors: &Value) -> bool {
    let count = |kind: &str| errors[kind].as_u64().unwrap_or(0);
    count("closed") + count("reset") + count("connect") == 4
}

#[test]
fn the_server_goes_away() {
    let server = Server::start(&["-q", "--workers", "1"]);
    let errors = goes_away(&["echo", &server.address], "20s", &server, Signal::KILL);
    assert!(all_ended(&errors), "{errors}");

    let server = Server::on("udp:127.0.0.1:0", &["-q", "--workers", "1"]);
    // Here that is how it is noticed.
    let errors = goes_away(&["udp", &server.address], "5s", &server, Signal::KILL);
    assert_eq!(errors["stalled"], 1, "{errors}");

    let (server, admin, _file) = with_admin();
    let errors = goes_away(&["http", &admin, "--path", "/healthz"], "20s", &server, Signal::KILL);
    assert!(all_ended(&errors), "{errors}");

    #[cfg(feature = "kv")]
    for words in STORES {
        let server = store(words);
        let errors = goes_away(&[words, &[&server.address]].concat(), "20s", &server, Signal::KILL);
        assert!(all_ended(&errors), "{words:?}: {errors}");
    }

    let (server, address) = ws_echo();
    let errors = goes_away(&["ws", &address], "20s", &server, Signal::KILL);
    assert!(all_ended(&errors), "{errors}");

    // In good order: with a Close frame to each.
    let (server, address) = ws_echo();
    let errors = goes_away(&["ws", &address], "20s", &server, Signal::TERM);
    assert!(errors["error_reply"] == 4 || all_ended(&errors), "{errors}");
}

#[test]
fn bad_words() {
    for (words, part) in [
        (&["http", "ftp://127.0.0.1/"][..], "`ftp` is no scheme"),
        (&["http", "127.0.0.1:1", "--close", "--depth", "2"], "--depth"),
        (&["resp", "--mix", "del=1"], "`del=1`"),
        (&["memcached", "--prefix", "a b"], "no spaces"),
        (&["echo", "--rate", "5", "--depth", "2"], "--depth"),
    ] {
        let output = run(&[&["bench"], words].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(part), "{words:?}: {said}");
    }
}

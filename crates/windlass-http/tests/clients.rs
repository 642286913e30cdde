//! Clients that were written by others: curl, Python's http.client and urllib, and Chromium.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use windlass::{Bytes, Handle, Limits, Tick, serve};
use windlass_http::{App, Event, File, Http, HttpConfig, Never, Push, Request};

/// Far more than any of it takes, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);

const GZIPPED: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xd7, 0x51,
    0x48, 0xce, 0xcf, 0x2d, 0x28, 0x4a, 0x2d, 0x2e, 0x4e, 0x4d, 0x01, 0x00, 0x12, 0x7e, 0x19, 0x78, 0x11,
    0x00, 0x00, 0x00,
];

const PAGE: &str = "<!doctype html><title>t</title><script src=\"/app.js\"></script>";
/// Tells the server what it hears from it.
const SCRIPT: &str = r#"
let heard = [];
new EventSource("/events").addEventListener("tick", event => {
  heard.push(event.data);
  fetch("/seen", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(heard.join(" ")),
  });
});
"#;

struct Tell {
    count: u64,
    seen: Sender<String>,
}

impl App for Tell {
    type Upgraded = Never;

    fn subscribe(&mut self, request: &Request<'_>) -> Vec<Event> {
        vec![Event::new(format!("from {}", request.header("last-event-id").unwrap_or("the start")))]
    }

    fn tick(&mut self, push: &mut Push<'_, '_, Tell>, tick: Tick) {
        push.event("/events", &Event::new(tick.number.to_string()).name("tick").id(tick.number.to_string()));
    }
}

fn pages(seen: Sender<String>) -> Http<Tell> {
    let text = File::named("t.txt", "hello, compressed").gzip(GZIPPED);
    Http::new(Tell { count: 0, seen })
        .config(HttpConfig { requests_max: 0, ..HttpConfig::default() })
        .file("/", File::named("index.html", PAGE))
        .file("/app.js", File::named("app.js", SCRIPT))
        .file("/text", text)
        .file("/big", File::named("big", Bytes::from(vec![b'x'; 5_000_000])))
        .get("/asked", |tell, _, reply| {
            let _ = tell.seen.send("asked".into());
            reply.empty()
        })
        .post("/echo", |_, request, reply| reply.bytes("application/octet-stream", request.body))
        .route("PUT", "/echo", |_, request, reply| reply.bytes("application/octet-stream", request.body))
        .post("/count", |tell, request, reply| match request.json::<u64>() {
            Ok(by) => {
                tell.count += by;
                reply.json(&tell.count)
            }
            Err(refusal) => reply.refuse(refusal),
        })
        .post("/seen", |tell, request, reply| {
            let _ = tell.seen.send(request.json::<String>().unwrap_or_default());
            reply.empty()
        })
        .events("/events")
}

struct Running {
    url: String,
    address: String,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
    seen: Receiver<String>,
}

impl Running {
    fn start() -> Running {
        Running::with(Limits::default())
    }

    fn with(limits: Limits) -> Running {
        let (sender, seen) = channel();
        let serve = serve(move || pages(sender.clone())).limits(limits).workers(1);
        let serve = serve.tick(Duration::from_millis(100));
        let bound = serve.tcp("127.0.0.1:0").bind().expect("a free port");
        let address = bound.addresses()[0].to_string();
        let handle = bound.handle();
        let thread = std::thread::spawn(move || {
            bound.run().expect("it serves");
        });
        Running { url: format!("http://{address}"), address, handle, thread: Some(thread), seen }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.shutdown();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
        }
    }
}

/// What a program prints, if it is installed.
fn run(command: &mut Command, input: &[u8]) -> Option<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = spawned else {
        eprintln!("SKIPPED: {name} is not installed");
        return None;
    };
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    // It may be answered before it has sent everything.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("written");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {errors}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn curl(args: &[&str], input: &[u8]) -> Option<String> {
    run(Command::new("curl").args(["-sS", "--noproxy", "*", "--max-time", "100"]).args(args), input)
}

#[test]
fn curl_is_served() {
    let server = Running::start();
    let at = |path: &str| format!("{}{path}", server.url);
    let Some(page) = curl(&["-i", &at("/")], b"") else { return };
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.ends_with(PAGE), "{page}");
    let ask = |args: &[&str], input: &[u8]| curl(args, input).expect("curl is there");

    // One connection for three requests, with bodies and without.
    let format = "%{http_code} %{num_connects} %{size_download}\n";
    let (root, big, text) = (at("/"), at("/big"), at("/text"));
    let several = ask(
        &["-o", "/dev/null", "-o", "/dev/null", "-o", "/dev/null", "-w", format, &root, &big, &text],
        b"",
    );
    assert_eq!(several, format!("200 1 {}\n200 0 5000000\n200 0 17\n", PAGE.len()));
    assert_eq!(ask(&["--compressed", &text], b""), "hello, compressed");
    assert_eq!(ask(&["-0", &text], b""), "hello, compressed");
    let head = ask(&["-I", &big], b"");
    assert!(head.contains("content-length: 5000000") && head.ends_with("\r\n\r\n"), "{head}");

    let etag = ask(&["-o", "/dev/null", "-w", "%header{etag}", &root], b"");
    let tag = format!("If-None-Match: {etag}");
    assert_eq!(ask(&["-H", &tag, "-w", "%{http_code}", &root], b""), "304");

    // A body in chunks, since curl does not know how long its input is; and one it asks about first.
    let body = "0123456789".repeat(50_000);
    assert_eq!(ask(&["-T", "-", &at("/echo")], body.as_bytes()), body);
    let expect = ["-H", "Expect: 100-continue", "--expect100-timeout", "90", "--data-binary", "@-"];
    assert_eq!(ask(&[&expect[..], &[&at("/echo")]].concat(), body.as_bytes()), body);
    let large = vec![b'x'; 1_048_577];
    let refused = ask(&[&expect[..], &["-w", "%{http_code}", &at("/echo")]].concat(), &large);
    assert_eq!(refused, "body_too_long\n413");
    let json = ["-H", "content-type: application/json", "-d"];
    assert_eq!(ask(&[&json[..], &["40", &at("/count")]].concat(), b""), "40");
    assert_eq!(ask(&[&json[..], &["2", &at("/count")]].concat(), b""), "42");
    assert_eq!(
        ask(&["-w", "%{http_code}", "-d", "2", &at("/count")], b""),
        "415 Unsupported Media Type\n415"
    );
    assert_eq!(ask(&["-w", "%{http_code}", &at("/none")], b""), "404 Not Found\n404");
}

#[test]
fn curl_hears_events() {
    let server = Running::start();
    let url = format!("{}/events", server.url);
    let command = ["-sSN", "--noproxy", "*", "--max-time", "100", "-H", "Last-Event-ID: 7", &url];
    let Ok(child) = Command::new("curl").args(command).stdout(Stdio::piped()).spawn() else {
        eprintln!("SKIPPED: curl is not installed");
        return;
    };
    let mut child = Killed(child);
    let lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
    let lines: Vec<String> = lines.take(10).map(|line| line.expect("text")).collect();
    assert_eq!(lines[..3], ["data: from 7", "", "event: tick"]);
    let number = |line: &String| line.strip_prefix("data: ").and_then(|n| n.parse::<u64>().ok());
    let ticks: Vec<u64> = lines.iter().filter_map(number).collect();
    assert!(ticks.len() >= 2 && ticks.windows(2).all(|pair| pair[1] > pair[0]), "{lines:?}");
}

/// A child that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const PYTHON: &str = r#"
import http.client, json, sys, urllib.error, urllib.request
host = sys.argv[1]
urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({})))

conn = http.client.HTTPConnection(host, timeout=100)
sock = None
for i in range(200):
    if i % 4 == 0:
        conn.request("GET", "/text")
        expected = b"hello, compressed"
    elif i % 4 == 1:
        expected = bytes([i]) * (i * 50)
        conn.request("POST", "/echo", body=expected)
    elif i % 4 == 2:
        parts = [b"part", b"", b"x" * 70000, bytes([i])]
        expected = b"".join(parts)
        conn.request("PUT", "/echo", body=(p for p in parts if p), encode_chunked=True,
                     headers={"Transfer-Encoding": "chunked"})
    else:
        conn.request("HEAD", "/big")
        expected = b""
    answer = conn.getresponse()
    assert answer.status == 200 and answer.read() == expected, (i, answer.status)
    assert sock is None or conn.sock is sock, "one connection for all"
    sock = conn.sock
    if i % 4 == 0:
        etag = answer.headers["etag"]
conn.request("GET", "/text", headers={"If-None-Match": etag})
answer = conn.getresponse()
assert (answer.status, answer.read()) == (304, b"")
conn.request("GET", "/text", headers={"Accept-Encoding": "gzip"})
answer = conn.getresponse()
import gzip
assert answer.headers["content-encoding"] == "gzip" and gzip.decompress(answer.read()) == b"hello, compressed"
conn.request("GET", "/text", headers={"Connection": "close"})
assert conn.getresponse().read() == b"hello, compressed" and conn.sock is None

request = urllib.request.Request("http://" + host + "/count", data=b"7", headers={"content-type": "application/json"})
with urllib.request.urlopen(request, timeout=100) as answer:
    assert json.load(answer) == 7
for path, data, code in [("/none", None, 404), ("/count", b"7", 415), ("/text", b"x", 405)]:
    try:
        urllib.request.urlopen("http://" + host + path, data=data, timeout=100)
        raise SystemExit("served " + path)
    except urllib.error.HTTPError as e:
        assert e.code == code, (path, e.code)

conn = http.client.HTTPConnection(host, timeout=100)
conn.request("GET", "/events")
answer = conn.getresponse()
assert answer.headers["content-type"] == "text/event-stream"
ticks = []
while len(ticks) < 3:
    line = answer.readline().decode()
    if line.startswith("data: ") and line[6:].strip().isdigit():
        ticks.append(int(line[6:]))
assert ticks == sorted(set(ticks)), ticks
print("fine")
"#;

#[test]
fn python_is_served() {
    let server = Running::start();
    let Some(said) = run(Command::new("python3").args(["-c", PYTHON, &server.address]), b"") else { return };
    assert_eq!(said.trim(), "fine");
}

#[test]
fn a_browser_loads_a_page_and_hears_its_events() {
    let server = Running::start();
    let home = std::env::temp_dir().join(format!("windlass-http-browser-{}", std::process::id()));
    std::fs::create_dir_all(&home).expect("a place for its profile");
    let child = ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(|name| {
        let mut command = Command::new(name);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-proxy-server",
            "--remote-debugging-port=0",
        ]);
        command.arg(format!("--user-data-dir={}", home.display())).arg(format!("{}/", server.url));
        command.env("HOME", &home).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().ok()
    });
    let Some(child) = child else {
        eprintln!("SKIPPED: there is no Chromium");
        return;
    };
    let mut child = Killed(child);
    let started = Instant::now();
    // What the page has heard by the time it has heard three: one event after another.
    let heard = loop {
        match server.seen.recv_timeout(Duration::from_secs(1)) {
            Ok(heard) if heard.split(' ').count() >= 3 => break Some(heard),
            Ok(_) => {}
            Err(_) if matches!(child.0.try_wait(), Ok(Some(_))) => break None,
            Err(_) => assert!(started.elapsed() < PATIENCE, "the browser has heard nothing"),
        }
    };
    drop(child);
    let _ = std::fs::remove_dir_all(&home);
    let Some(heard) = heard else {
        eprintln!("SKIPPED: Chromium does not run here");
        return;
    };
    let ticks: Vec<u64> = heard.split(' ').map(|tick| tick.parse().expect("a number")).collect();
    assert!(ticks.windows(2).all(|pair| pair[1] > pair[0]), "{heard}");
}

/// Requests and the end of the stream in one event, and answers that go out between two of them.
#[test]
fn what_was_asked_before_the_end_is_answered() {
    let server = Running::with(Limits { output_high: 16 << 20, ..Limits::default() });
    let mut stream = TcpStream::connect(&server.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = "HEAD /big HTTP/1.1\r\nHost: h\r\n\r\n";
    stream.write_all(request.repeat(1000).as_bytes()).expect("sent");
    stream.shutdown(std::net::Shutdown::Write).expect("ended");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("answers and an end");
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 1000);
}

/// A client of the worst kind costs a connection and nothing else.
#[test]
fn garbage_is_answered_once_and_ended() {
    let server = Running::start();
    for garbage in
        [&b"\x16\x03\x01\x02\x00"[..], b"GET\n", b"\0\0\0\0", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(&server.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(garbage).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer and an end");
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{garbage:?}: {answer}");
    }
}

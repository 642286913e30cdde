//! `mode = "http"`, as somebody would configure it: the real binary before origins that tell what they heard.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

use rustix::process::Signal;

use crate::config::Folder;
use crate::server::*;

/// An origin that answers each request with its own name and the head that it got.
struct Origin {
    address: String,
}

impl Origin {
    fn start(name: &'static str) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            for stream in listener.incoming() {
                thread::spawn(move || serve(&stream.unwrap(), name));
            }
        });
        Origin { address }
    }
}

fn serve(stream: &TcpStream, name: &str) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            head += &line;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let said = format!("{name}\n{head}");
        let answer = format!(
            "HTTP/1.1 200 OK\r\nServer: origin/1\r\nX-Origin: {name}\r\nContent-Length: {}\r\n\r\n{said}",
            said.len()
        );
        let mut writer = stream;
        let is_last = head.to_ascii_lowercase().contains("connection: close");
        if writer.write_all(answer.as_bytes()).is_err() || is_last {
            return;
        }
    }
}

/// Sends a request, lines given without their ends, and returns the whole response.
fn ask(address: &str, lines: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let request = format!("{}\r\nConnection: close\r\n\r\n", lines.replace('\n', "\r\n"));
    stream.write_all(request.as_bytes()).unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap();
    heard
}

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or(response)
}

/// The value of a header of the response, or of a line of the request that an origin tells of.
fn value<'r>(response: &'r str, name: &str) -> Option<&'r str> {
    response.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// The name of the origin that answered.
fn origin(response: &str) -> &str {
    value(response, "x-origin").unwrap_or_else(|| panic!("no origin: {response}"))
}

fn serving(folder: &Folder, text: &str) -> (Server, String) {
    let file = folder.file("windlass.toml", text);
    (Server::command(&["run", "-q", "-c", &file]), file)
}

const BEGIN: &str = "[[proxy]]\nmode = \"http\"\nlisten = \"127.0.0.1:0\"\n";

#[test]
fn requests_go_by_host_and_path_and_origins_are_told_who_asks() {
    let folder = Folder::new("http-routes");
    let (site, api) = (Origin::start("site"), Origin::start("api"));
    let (server, _) = serving(
        &folder,
        &format!(
            "{BEGIN}to = \"{}\"\n[proxy.http]\nrequest_headers = [\"set X-Real-IP: {{client_ip}}\"]\n\
             response_headers = \"remove Server\"\n\
             [[proxy.route]]\nhosts = \"api.test\"\npaths = \"/v1\"\nstrip_prefix = \"/v1\"\nto = \"{}\"\n",
            site.address, api.address
        ),
    );
    let asked = ask(
        &server.address,
        "GET /v1/a//b?c=d HTTP/1.1\nHost: API.test:80\nX-Forwarded-For: 1.2.3.4\nX_Forwarded_For: 1.2.3.4\n\
         X-Real-IP: 1.2.3.4\nConnection: X-Forwarded-Host",
    );
    assert_eq!((status(&asked), origin(&asked)), ("200", "api"), "{asked}");
    let heard = asked.split_once("\r\n\r\n").unwrap().1;
    assert!(heard.starts_with("api\nGET /a//b?c=d HTTP/1.1\r\n"), "{heard}");
    assert_eq!(value(heard, "host"), Some("API.test:80"));
    assert_eq!(value(heard, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(value(heard, "x-forwarded-host"), Some("API.test:80"));
    assert_eq!(value(heard, "x-forwarded-proto"), Some("http"));
    assert_eq!(value(heard, "x-real-ip"), Some("127.0.0.1"));
    assert!(!heard.contains("1.2.3.4") && !heard.contains('_'), "{heard}");
    assert_eq!(value(&asked, "server"), None, "{asked}");
    for (path, host, wanted) in
        [("/v1", "api.test", "api"), ("/v10", "api.test", "site"), ("/v1", "b.api.test", "site")]
    {
        assert_eq!(origin(&ask(&server.address, &format!("GET {path} HTTP/1.1\nHost: {host}"))), wanted);
    }
    assert_eq!(status(&ask(&server.address, "GET /x/../v1 HTTP/1.1\nHost: api.test")), "400");
}

#[test]
fn answers_of_its_own_need_no_backend() {
    let folder = Folder::new("http-answers");
    folder.file("503.html", "<h1>later</h1>");
    // Nobody listens there.
    let gone = crate::served::free();
    let (server, _) = serving(
        &folder,
        &format!(
            "{BEGIN}to = \"{gone}\"\nretries_max = 0\nqueue_max = 0\n\
             [proxy.http]\nresponse_headers = \"set X-Frame-Options: DENY\"\n\
             error_page = [{{ status = 503, file = \"503.html\" }}, {{ status = 502, file = \"503.html\" }}]\n\
             [[proxy.route]]\nhosts = [\"old.test\", \"*.old.test\"]\nredirect = \"https://new.test{{uri}}\"\n\
             redirect_status = 308\n\
             [[proxy.route]]\npaths = \"=/health\"\nmethods = [\"GET\", \"HEAD\"]\n\
             respond = {{ status = 200, body = \"well\" }}\n"
        ),
    );
    let moved = ask(&server.address, "POST /a?b HTTP/1.1\nHost: www.old.test\nContent-Length: 0");
    assert_eq!((status(&moved), value(&moved, "location")), ("308", Some("https://new.test/a?b")), "{moved}");
    assert_eq!(value(&moved, "x-frame-options"), Some("DENY"));
    let well = ask(&server.address, "GET /health HTTP/1.1\nHost: a");
    assert!(status(&well) == "200" && well.ends_with("\r\n\r\nwell"), "{well}");
    let head = ask(&server.address, "HEAD /health HTTP/1.1\nHost: a");
    assert!(value(&head, "content-length") == Some("4") && head.ends_with("\r\n\r\n"), "{head}");
    let method = ask(&server.address, "DELETE /health HTTP/1.1\nHost: a");
    assert_eq!((status(&method), value(&method, "allow")), ("405", Some("GET, HEAD")), "{method}");
    let later = ask(&server.address, "GET /health/x HTTP/1.1\nHost: a");
    assert!(matches!(status(&later), "502" | "503") && later.ends_with("<h1>later</h1>"), "{later}");
    assert_eq!(value(&later, "content-type"), Some("text/html; charset=utf-8"));
}

#[test]
fn a_cookie_brings_a_client_back_for_as_long_as_its_backend_is_there() {
    let folder = Folder::new("http-sticky");
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    let text = |backends: &str| {
        format!(
            "{BEGIN}to = [{backends}]\n[proxy.http.sticky]\ncookie = \"srv\"\nsecret = \"0123456789abcdef\"\n"
        )
    };
    let both = format!("{:?}, {:?}", one.address, two.address);
    let (server, _) = serving(&folder, &text(&both));
    let mut cookies = BTreeSet::new();
    for _ in 0..2 {
        let first = ask(&server.address, "GET / HTTP/1.1\nHost: a");
        let set = value(&first, "set-cookie").unwrap().to_owned();
        let cookie = set.split(';').next().unwrap().to_owned();
        assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Lax") && !set.contains("127"), "{set}");
        for _ in 0..5 {
            let again = ask(&server.address, &format!("GET / HTTP/1.1\nHost: a\nCookie: x=y; {cookie}"));
            assert_eq!(origin(&again), origin(&first));
            assert_eq!(value(&again, "set-cookie"), None);
            assert_eq!(value(again.split_once("\r\n\r\n").unwrap().1, "cookie"), Some("x=y"));
        }
        cookies.insert((cookie, origin(&first).to_owned()));
    }
    // By turns it was another one the second time.
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    folder.file("windlass.toml", &text(&format!("{:?}", two.address)));
    server.signal(Signal::HUP);
    let (cookie, _) = cookies.iter().find(|(_, name)| name == "one").unwrap();
    let (stays, _) = cookies.iter().find(|(_, name)| name == "two").unwrap();
    let asked = format!("GET / HTTP/1.1\nHost: a\nCookie: {cookie}");
    let moved = until(|| Some(ask(&server.address, &asked)).filter(|answer| origin(answer) == "two"));
    let set = value(&moved, "set-cookie").unwrap();
    assert!(set.starts_with(stays), "what a cookie means stays: {set}");
}

/// Asks again and again until there is an answer.
fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + LONG;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(std::time::Instant::now() < deadline, "in vain");
        thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_line_for_each_request() {
    let folder = Folder::new("http-log");
    let origin = Origin::start("one");
    let log = folder.path("access.log");
    let format = "{client} {method} {host} {target} {protocol} {status} {bytes} {request_bytes} {route} {backend} \
                  {queue_ms} {connect_ms} {response_ms} {duration_ms} {retries} {reused} {ending} {why} \
                  \\\"{user_agent}\\\" \\\"{referer}\\\"";
    let (server, _) = serving(
        &folder,
        &format!(
            "[server]\nworkers = 1\n{BEGIN}to = \"{}\"\naccess_log = {{ path = {log:?}, format = \"{format}\" }}\n\
             [[proxy.route]]\nname = \"old\"\nhosts = \"old.test\"\nredirect = \"/\"\n",
            origin.address
        ),
    );
    let first = ask(
        &server.address,
        "GET /a?secret=1 HTTP/1.1\nHost: a.test\nUser-Agent: \"x\" y\nReferer: http://b/?token=2",
    );
    ask(&server.address, "POST /b HTTP/1.1\nHost: a.test\nContent-Length: 0");
    ask(&server.address, "GET /c HTTP/1.1\nHost: old.test");
    ask(&server.address, "GET /d HTTP/1.1\nHost: a.test\nContent-Length: 5\nTransfer-Encoding: chunked");
    ask(&server.address, "GET /e/../f HTTP/1.1\nHost: a.test");
    let lines = until(|| {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        (text.lines().count() >= 5 && text.ends_with('\n'))
            .then(|| text.lines().map(str::to_owned).collect::<Vec<_>>())
    });
    assert!(!lines.concat().contains("secret") && !lines.concat().contains("token"), "{lines:?}");
    let columns: Vec<Vec<&str>> = lines.iter().map(|line| line.split(' ').collect()).collect();
    let body = first.split_once("\r\n\r\n").unwrap().1.len().to_string();
    assert!(columns[0][0].starts_with("127.0.0.1:"));
    assert_eq!(
        columns[0][1..9],
        ["GET", "a.test", "/a", "HTTP/1.1", "200", &body, "0", "backends"],
        "{lines:?}"
    );
    assert_eq!(columns[0][9], origin.address);
    assert!(
        columns[0][10..14].iter().all(|time| time.parse::<f64>().is_ok_and(|time| time >= 0.0)),
        "{lines:?}"
    );
    assert_eq!(columns[0][14..17], ["0", "no", "complete"], "{lines:?}");
    assert!(lines[0].ends_with("\"\\x22x\\x22 y\" \"http://b/\""), "{lines:?}");
    assert_eq!(columns[1][14..17], ["0", "yes", "complete"], "{lines:?}");
    assert_eq!((columns[2][5], columns[2][8], columns[2][9]), ("302", "old", "-"), "{lines:?}");
    // What cannot be read is nobody's request.
    assert_eq!((columns[3][1], columns[3][5], columns[3][9], columns[3][16]), ("-", "400", "-", "refused"));
    assert_eq!(columns[3][17], "length_and_chunked", "{lines:?}");
    assert_eq!((columns[4][3], columns[4][5]), ("/e/../f", "400"), "{lines:?}");
    assert_eq!(columns[4][16..18], ["refused", "path"], "{lines:?}");
}

/// An origin that keeps count of the bytes it reads and writes: `/missing` is not there, and `/never` is answered
/// by nobody.
fn counting(read: &Arc<AtomicU64>, written: &Arc<AtomicU64>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (read, written) = (read.clone(), written.clone());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, read, written) = (stream.unwrap(), read.clone(), written.clone());
            thread::spawn(move || {
                let (mut reader, mut writer) = (BufReader::new(&stream), &stream);
                loop {
                    let (mut head, mut length) = (String::new(), 0);
                    while !head.ends_with("\r\n\r\n") {
                        let from = head.len();
                        if reader.read_line(&mut head).unwrap_or(0) == 0 {
                            return;
                        }
                        if let Some(value) = head[from..].to_ascii_lowercase().strip_prefix("content-length:")
                        {
                            length = value.trim().parse().unwrap();
                        }
                    }
                    reader.read_exact(&mut vec![0; length]).unwrap();
                    read.fetch_add((head.len() + length) as u64, SeqCst);
                    let answer = match head.split(' ').nth(1).unwrap() {
                        "/never" => continue,
                        "/missing" => "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone",
                        _ => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
                    };
                    written.fetch_add(answer.len() as u64, SeqCst);
                    writer.write_all(answer.as_bytes()).unwrap();
                }
            });
        }
    });
    address
}

#[test]
fn what_metrics_say_of_requests_is_what_was_sent() {
    let folder = Folder::new("http-metrics");
    let (read, written) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let origin = counting(&read, &written);
    let text = format!(
        "[server]\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n{BEGIN}name = \"web\"\nto = \"{origin}\"\n\
         [proxy.http]\npool_timeout = \"1h\"\n\
         [[proxy.route]]\npaths = \"=/health\"\nrespond = {{ status = 200, body = \"well\" }}\n"
    );
    let (mut server, _) = serving(&folder, &text);
    let admin = server.line();
    let admin = admin.strip_prefix("Admin on ").unwrap();
    let samples = || crate::config::ask(admin, "GET /metrics").1;
    let sample = |text: &str, name: &str| -> u64 {
        let wanted = format!("{name}{{proxy=\"web\"");
        let of = |line: &&str| line.starts_with(&wanted);
        let line = text.lines().find(of).unwrap_or_else(|| panic!("no {name} in {text}"));
        line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() as u64
    };
    for (lines, wanted) in [
        ("GET /a HTTP/1.1\nHost: a", "200"),
        ("GET /b HTTP/1.1\nHost: a", "200"),
        ("GET /c HTTP/1.1\nHost: a", "200"),
        ("POST /d HTTP/1.1\nHost: a\nContent-Length: 0", "200"),
        ("GET /missing HTTP/1.1\nHost: a", "404"),
        ("GET /x/../y HTTP/1.1\nHost: a", "400"),
        ("GET /health HTTP/1.1\nHost: a", "200"),
    ] {
        assert_eq!(status(&ask(&server.address, lines)), wanted, "{lines}");
    }
    // A body, and a client that leaves before it is answered.
    let before = read.load(SeqCst);
    let mut leaves = server.connect();
    leaves.write_all(b"PUT /never HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").unwrap();
    until(|| (read.load(SeqCst) > before).then_some(()));
    leaves.shutdown(Shutdown::Write).unwrap();
    assert_eq!(leaves.read(&mut [0; 1]).unwrap(), 0, "it is not kept until the backend has answered");
    let text = until(|| {
        let text = samples();
        (sample(&text, "windlass_proxy_http_clients_gone_total") == 1).then_some(text)
    });
    for (what, wanted) in [
        ("requests", 8),
        ("answered", 2),
        ("opened", 1),
        ("reused", 5),
        ("retries", 0),
        ("stale", 0),
        ("upgrades", 0),
        ("cut_short", 0),
        ("bad_responses", 0),
    ] {
        assert_eq!(sample(&text, &format!("windlass_proxy_http_{what}_total")), wanted, "{what}: {text}");
    }
    for (class, wanted) in [("1xx", 0), ("2xx", 5), ("3xx", 0), ("4xx", 2), ("5xx", 0)] {
        let line =
            format!("windlass_proxy_http_responses_total{{proxy=\"web\",class=\"{class}\"}} {wanted}\n");
        assert!(text.contains(&line), "{line} {text}");
    }
    // To the byte, by proxy and by backend.
    for (name, wanted) in [("sent", read.load(SeqCst)), ("received", written.load(SeqCst))] {
        assert_eq!(sample(&text, &format!("windlass_proxy_{name}_bytes_total")), wanted, "{name}: {text}");
        assert_eq!(sample(&text, &format!("windlass_proxy_backend_{name}_bytes_total")), wanted, "{name}");
    }
    assert_eq!(sample(&text, "windlass_proxy_backend_requests_total"), 6);
    assert_eq!(sample(&text, "windlass_proxy_backend_busy"), 0);
}

#[test]
fn websocket_goes_through_it() {
    let service = Server::command(&["websocket", "-q", "127.0.0.1:0"]);
    let proxy = Server::command(&[
        "proxy",
        "-q",
        "--mode",
        "http",
        "--listen",
        "127.0.0.1:0",
        "--to",
        &service.address,
    ]);
    assert_eq!(status(&ask(&proxy.address, "GET / HTTP/1.1\nHost: a")), "200", "its page");
    let mut stream = proxy.connect();
    let upgrade = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // A masked text frame of `hi`, right behind the request: whoever waits for 101 is not hurried.
    stream.write_all(upgrade.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    stream.write_all(&[0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2]).unwrap();
    let mut frame = [0; 4];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(frame, [0x81, 2, b'h', b'i']);
}

#[test]
fn a_reload_changes_rules_and_pages_and_what_is_passed_on() {
    let folder = Folder::new("http-reload");
    let origin = Origin::start("one");
    let page = folder.file("page.txt", "first");
    let rules = |more: &str| {
        format!(
            "{BEGIN}to = \"{}\"\n{more}[[proxy.route]]\npaths = \"/page\"\n\
             respond = {{ status = 200, file = \"page.txt\" }}\n",
            origin.address
        )
    };
    let (server, file) = serving(&folder, &rules(""));
    let get = |path: &str| ask(&server.address, &format!("GET {path} HTTP/1.1\nHost: a"));
    assert!(get("/page").ends_with("first"));
    // Of an idle connection nothing is lost.
    let mut stays = server.connect();
    stays.write_all(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(heard_of(&mut stays).contains("GET /x"));
    std::fs::write(&page, "second").unwrap();
    folder.file("windlass.toml", &rules("http = { response_headers = \"set X-New: 1\" }\n"));
    server.signal(Signal::HUP);
    let new = until(|| Some(get("/page")).filter(|answer| answer.contains("X-New: 1")));
    assert!(new.ends_with("second"), "{new}");
    stays.write_all(b"GET /y HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let heard = heard_of(&mut stays);
    assert!(heard.contains("GET /y") && heard.contains("X-New: 1"), "{heard}");
    // A page that is gone is a mistake, and what there was goes on.
    std::fs::remove_file(&page).unwrap();
    let checked = run(&["check", "-c", &file, "--no-environment"]);
    assert!(checked.status.success(), "what is on this machine is another matter");
    server.signal(Signal::HUP);
    assert!(get("/page").ends_with("second"));
    // Connections as they are, from now on: what is no HTTP passes too.
    folder.file(
        "windlass.toml",
        &format!("[[proxy]]\nlisten = \"{}\"\nto = \"{}\"\n", server.address, origin.address),
    );
    server.signal(Signal::HUP);
    until(|| {
        Some(get("/page"))
            .filter(|answer| answer.contains("\r\nServer: origin/1") && !answer.contains("X-New"))
    });
}

/// One response with a length.
fn heard_of(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut heard = String::new();
    let mut reader = BufReader::new(&mut *stream);
    while !heard.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut heard).unwrap() > 0, "{heard}");
    }
    let length = value(&heard, "content-length").unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    heard + &String::from_utf8(body).unwrap()
}

#[test]
fn mistakes_are_told_where_they_stand() {
    let folder = Folder::new("http-mistakes");
    let said = |text: &str| {
        let output = run(&["check", "--no-environment", "-c", &folder.file("wrong.toml", text)]);
        assert_eq!(output.status.code(), Some(78), "{text}");
        String::from_utf8(output.stderr).unwrap()
    };
    let begin = format!("{BEGIN}to = \"10.0.0.1:80\"\n");
    for (text, line, words) in [
        ("[proxy.http]\nrequest_headers = \"set Content-Length: 5\"\n", 6, "cannot be changed by a rule"),
        ("[proxy.http]\nrequest_headers = [\"put X: 5\"]\n", 6, "write `set NAME: VALUE`"),
        ("[proxy.http]\nresponse_headers = \"set X-Host: {host}\"\n", 6, "knows nothing of its request"),
        ("[proxy.http]\nunderscores = \"droop\"\n", 6, "did you mean `drop`"),
        ("[proxy.http]\nmethods = [\"get\"]\n", 6, "in capitals"),
        ("[proxy.http]\nsticky = { secret = \"short\" }\n", 6, "16 at least"),
        ("[proxy.http]\nrequest_timeot = \"1s\"\n", 6, "did you mean `request_timeout`"),
        ("[[proxy.route]]\nhosts = \"a.test:80\"\nto = \"10.0.0.2:80\"\n", 5, "ports do not count"),
        ("[[proxy.route]]\npaths = \"api\"\nto = \"10.0.0.2:80\"\n", 5, "does not begin with a slash"),
        ("[[proxy.route]]\nredirect = \"{query}\"\n", 5, "a redirect begins with"),
        ("[[proxy.route]]\nredirect = \"/\"\nto = \"10.0.0.2:80\"\n", 5, "its backends would get nothing"),
        ("[[proxy.route]]\nredirect_status = 301\nto = \"10.0.0.2:80\"\n", 6, "without `redirect`"),
        ("[[proxy.route]]\nserver_names = [\"a.test\"]\nto = \"10.0.0.2:80\"\n", 6, "told apart by `hosts`"),
        ("access_log = { path = \"-\", format = \"{received}\" }\n", 5, "{received} is nothing that"),
    ] {
        let told = said(&format!("{begin}{text}"));
        let at = format!("wrong.toml:{line}:");
        assert!(told.contains(words) && told.contains(&at), "{text}: {told}");
    }
    let short = said(&format!("{begin}[proxy.http]\nsticky = {{ secret = \"short\" }}\n"));
    assert!(!short.contains("\"short\""), "a secret is not shown: {short}");
    let tcp = said(
        "[[proxy]]\nlisten = \":1\"\nto = \"10.0.0.1:80\"\n[[proxy.route]]\nhosts = \"a\"\nto = \"10.0.0.2:80\"\n",
    );
    assert!(tcp.contains("set `mode = \"http\"`") && tcp.contains("wrong.toml:5:"), "{tcp}");
    let flags = run(&["proxy", "--to", "10.0.0.1:80", "--sticky", "a"]);
    assert!(String::from_utf8_lossy(&flags.stderr).contains("--mode http"));
}

#[test]
fn what_is_printed_is_a_file_again_and_a_beginning_serves() {
    let folder = Folder::new("http-print");
    folder.file("p.html", "x");
    let file = folder.file(
        "windlass.toml",
        &format!(
            "{BEGIN}to = \"10.0.0.1:80\"\n[proxy.http]\nforwarded = \"both\"\ntrust_forwarded_from = \"10.0.0.0/8\"\n\
             request_headers = [\"add X-A: b\", \"replace Location: a -> b\"]\nsticky = {{ max_age = \"1h\" }}\n\
             [[proxy.http.error_page]]\nstatus = 503\nfile = \"p.html\"\n\
             [[proxy.route]]\nhosts = \"*.a.test\"\npaths = [\"/x\", \"=/y\"]\nhost_header = \"{{backend}}\"\nto = \"10.0.0.2:80\"\n"
        ),
    );
    let shown = String::from_utf8(run(&["config", "-c", &file]).stdout).unwrap();
    for part in ["mode = \"http\"", "[proxy.http]", "replace Location: a -> b", "\"=/y\"", "max_age = \"1h\""]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let again = folder.file("again.toml", &shown);
    let checked = run(&["check", "--no-environment", "-c", &again]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(String::from_utf8(run(&["config", "-c", &again]).stdout).unwrap(), shown);

    // With the first sign of each line taken off, the tables of a beginning are there.
    let text = String::from_utf8(run(&["init", "proxy"]).stdout).unwrap();
    let start = text.find("# [proxy.http]").unwrap();
    let end = start + text[start..].find("\n\n").unwrap();
    // What is in the environment and what is on disk is missing here.
    let is_elsewhere = |line: &&str| ["# sticky =", "# error_page ="].iter().any(|key| line.starts_with(key));
    let lines = text[start..end].lines().filter(|line| !is_elsewhere(line));
    let table: String = lines.map(|line| format!("{}\n", &line[2..])).collect();
    let begun = text.replace("# mode = \"tcp\"", "mode = \"http\"").replacen(&text[start..end], &table, 1);
    let file = folder.file("begun.toml", &begun);
    let checked = run(&["check", "--no-environment", "-c", &file]);
    assert!(checked.status.success(), "{}\n{begun}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn the_book_shows_a_file_that_is_right() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../book/listings/site.toml");
    let checked = windlass(&["check", "--no-environment", "-c", file])
        .env("STICKY_SECRET", "0123456789abcdef")
        .output();
    let checked = checked.unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

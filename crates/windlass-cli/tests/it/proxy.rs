//! `windlass proxy` and `[[proxy]]`, as somebody would type them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::config::Folder;
use crate::server::*;

/// Connects, says something, and hears all that comes.
fn ask(address: &str, say: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut heard = Vec::new();
    // A refusal may be a reset, where something was said already; and it may come before all is said.
    let _ = stream.write_all(say).and_then(|()| stream.shutdown(Shutdown::Write));
    let _ = stream.read_to_end(&mut heard);
    heard
}

fn proxy(more: &[&str]) -> Server {
    Server::command(&[&["proxy", "--listen", "127.0.0.1:0", "--log", "text"], more].concat())
}

#[test]
fn two_backends_and_one_that_goes() {
    let (one, other) = (Server::start(&["-q"]), Server::start(&["-q"]));
    let server = proxy(&["--to", &one.address, "--to", &other.address, "--workers", "1"]);
    for n in 0..6 {
        let said = format!("client {n}");
        assert_eq!(ask(&server.address, said.as_bytes()), said.as_bytes());
    }
    let (_, summary, _) = one.stop();
    assert!(summary.is_empty() || summary.contains("3 connections"), "{summary}");
    for n in 0..6 {
        assert_eq!(ask(&server.address, b"and now?"), b"and now?", "client {n} after one has gone");
    }
    let (status, summary, _) = server.stop();
    assert!(status.success());
    assert!(summary.contains("messages  12"), "{summary}");
}

#[test]
fn a_header_is_heard_from_those_who_are_trusted_and_passed_on() {
    let echo = Server::start(&["-q"]);
    let inner = proxy(&["--to", &echo.address, "--accept-proxy-from", "127.0.0.0/8", "--send-proxy", "v1"]);
    let header = b"PROXY TCP4 203.0.113.7 198.51.100.1 51000 443\r\nhello";
    assert_eq!(ask(&inner.address, header), header, "the echo sends back what it was told");
    assert_eq!(ask(&inner.address, b"no header\r\n"), b"");
    assert_eq!(ask(&inner.address, b"PROXY TCP4 203.0.113.7"), b"", "cut short");
    let strict = proxy(&["--to", &echo.address, "--accept-proxy-from", "192.0.2.0/24"]);
    assert_eq!(ask(&strict.address, header), b"", "from somebody who is not believed");
    let (_, _, log) = inner.stop();
    assert!(log.contains("no PROXY header where one was expected"), "{log}");
}

#[test]
fn a_file_with_a_proxy_before_a_service() {
    let folder = Folder::new("proxy");
    let echo = Server::start(&["-q"]);
    let file = folder.file(
        "windlass.toml",
        &format!(
            "[[proxy]]\nlisten = \"127.0.0.1:0\"\nbalance = \"maglev\"\nconnect_timeout = \"2s\"\n\
             [[proxy.backend]]\nto = \"{0}\"\nweight = 3\n",
            echo.address
        ),
    );
    let server = Server::command(&["run", "-q", "-c", &file]);
    assert_eq!(ask(&server.address, b"hello"), b"hello");
    let shown = String::from_utf8(run(&["config", "-c", &file]).stdout).unwrap();
    assert!(shown.contains("balance = \"maglev\"") && shown.contains("[[proxy.backend]]"), "{shown}");
    // What it prints is a file again.
    let again = folder.file("again.toml", &shown);
    let checked = run(&["check", "--no-environment", "-c", &again]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn mistakes_are_told_where_they_stand() {
    let folder = Folder::new("proxy-mistakes");
    let said = |text: &str| {
        let output = run(&["check", "--no-environment", "-c", &folder.file("wrong.toml", text)]);
        assert_eq!(output.status.code(), Some(78), "{text}");
        String::from_utf8(output.stderr).unwrap()
    };
    let begin = "[[proxy]]\nlisten = \":8080\"\n";
    let nowhere = said(begin);
    assert!(
        nowhere.contains("nowhere to pass connections on to") && nowhere.contains("10.0.0.1:80"),
        "{nowhere}"
    );
    let near = said(&format!("{begin}to = \"10.0.0.1:80\"\nbalance = \"least-conections\"\n"));
    assert!(near.contains("least-connections"), "{near}");
    let twice = said(&format!("{begin}to = [\"10.0.0.1:80\", \"10.0.0.1:80\"]\n"));
    assert!(twice.contains("10.0.0.1:80 is there twice"), "{twice}");
    let port = said(&format!("{begin}to = \"10.0.0.1\"\n"));
    assert!(port.contains("no port") && port.contains("wrong.toml:3"), "{port}");
    let network = said(&format!("{begin}to = \"10.0.0.1:80\"\naccept_proxy_from = \"10.0.0.1/8\"\n"));
    assert!(network.contains("no network"), "{network}");
    let both = said(&format!(
        "{begin}to = \"10.0.0.1:80\"\ntls = {{ cert = \"c.pem\", key = \"k.pem\" }}\n\
         [[proxy.route]]\nserver_names = [\"a.test\"]\nto = \"10.0.0.2:443\"\n"
    ));
    assert!(both.contains("no ClientHello left to route by"), "{both}");
    for (key, value, why) in [
        ("connect_timeout", "\"0s\"", "must not be 0"),
        ("check_timeout", "\"0s\"", "must not be 0"),
        ("resolve_every", "\"0s\"", "must not be 0"),
        ("file_every", "\"0s\"", "must not be 0"),
        ("dns_timeout", "\"0s\"", "must not be 0"),
        ("dns_ttl_min", "\"0s\"", "must not be 0"),
        ("dns_ttl_max", "\"1ms\"", "at most less than at least"),
        ("load_factor_percent", "99", "from 100"),
        ("fail_open_percent", "101", "from 0 to 100"),
        ("ejected_max_percent", "101", "from 0 to 100"),
    ] {
        let wrong = said(&format!("{begin}to = \"10.0.0.1:80\"\n\n{key} = {value}\n"));
        assert!(wrong.contains("wrong.toml:5") && wrong.contains(key) && wrong.contains(why), "{wrong}");
    }
}

#[test]
fn init_writes_a_proxy_that_serves_as_it_stands() {
    let folder = Folder::new("proxy-init");
    let text = String::from_utf8(run(&["init", "proxy"]).stdout).unwrap();
    for key in ["to = [", "balance", "connect_timeout", "accept_proxy_from", "check_every", "backend_tls"] {
        assert!(text.contains(key), "{key}: {text}");
    }
    let file = folder.file("windlass.toml", &text.replace("127.0.0.1:8080", "127.0.0.1:0"));
    let server = Server::command(&["run", "-q", "-c", &file]);
    assert!(server.address.starts_with("127.0.0.1:"));
}

#[test]
fn a_reload_changes_the_backends_and_leaves_connections_where_they_are() {
    let folder = Folder::new("proxy-reload");
    let (one, other) = (Server::start(&["-q"]), Server::start(&["-q"]));
    let text = |to: &str| format!("[[proxy]]\nlisten = \"127.0.0.1:0\"\nto = \"{to}\"\n");
    let file = folder.file("windlass.toml", &text(&one.address));
    let server = Server::command(&["run", "-q", "-c", &file]);
    let mut stays = server.connect();
    round_trip(&mut stays, b"before");
    folder.file("windlass.toml", &text(&other.address));
    server.signal(rustix::process::Signal::HUP);
    // Its only backend before is gone: from now on only the other one can answer.
    let deadline = std::time::Instant::now() + LONG;
    loop {
        round_trip(&mut stays, b"still here");
        let mut probe = server.connect();
        round_trip(&mut probe, b"who answers?");
        let peers = connections_of(other.pid());
        if peers > 0 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the new backend is never asked");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    round_trip(&mut stays, b"and still");
    let (status, ..) = one.stop();
    assert!(status.success());
    assert_eq!(ask(&server.address, b"without the old one"), b"without the old one");
}

/// Sockets that a process has open, beyond its listeners and the like: those of its connections come on top of what
/// it had when nobody was connected.
fn connections_of(pid: u32) -> usize {
    let sockets = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    let sockets = sockets.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    let sockets: Vec<_> = sockets.filter(|to| to.to_string_lossy().starts_with("socket:")).collect();
    // The sockets that are connected: each is in the table of established ones, under its inode.
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    let is_established = |inode: &str| {
        table.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.get(3) == Some(&"01") && fields.get(9) == Some(&inode)
        })
    };
    let inode = |to: &std::path::PathBuf| to.to_string_lossy().replace("socket:[", "").replace(']', "");
    sockets.iter().filter(|to| is_established(&inode(to))).count()
}

/// A proxy from a file: `more` stands in its table.
fn from_file(folder: &Folder, to: &str, more: &str) -> Server {
    let text = format!("[[proxy]]\nlisten = \"127.0.0.1:0\"\nto = \"{to}\"\n{more}");
    let file = folder.file("windlass.toml", &text);
    Server::command(&["run", "-q", "-c", &file])
}

#[test]
fn a_source_has_as_many_connections_as_the_guard_says_whoever_it_comes_through() {
    let folder = Folder::new("proxy-guard");
    let echo = Server::start(&["-q"]);
    let more = "accept_proxy_from = [\"127.0.0.0/8\"]\n[proxy.guard]\nconnections_max = 1\n\
                deny = [\"203.0.113.128/25\"]\n";
    let server = from_file(&folder, &echo.address, more);
    let told = |ip: &str| format!("PROXY TCP4 {ip} 198.51.100.1 51000 443\r\nhello");
    let mut first = TcpStream::connect(&server.address).unwrap();
    first.set_read_timeout(Some(LONG)).unwrap();
    first.write_all(told("203.0.113.7").as_bytes()).unwrap();
    let mut heard = [0; 5];
    first.read_exact(&mut heard).unwrap();
    assert_eq!(ask(&server.address, told("203.0.113.7").as_bytes()), b"", "its second");
    assert_eq!(ask(&server.address, told("203.0.113.8").as_bytes()), b"hello", "another source");
    assert_eq!(ask(&server.address, told("203.0.113.200").as_bytes()), b"", "denied");
    let checked = run(&["check", "--no-environment", "-c", &folder.file("again.toml", &shown(&folder))]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// The file in the folder, as `windlass config` prints it.
fn shown(folder: &Folder) -> String {
    let out = run(&["config", "-c", &folder.path("windlass.toml")]);
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn without_a_word_on_it_a_source_has_what_the_server_allows_each() {
    let folder = Folder::new("proxy-sources");
    let echo = Server::start(&["-q"]);
    let more = "accept_proxy_from = [\"127.0.0.0/8\"]\n[limits]\nsource_connections_max = 2\n";
    let server = from_file(&folder, &echo.address, more);
    let hold = |ip: &str| {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        // Refused, it may be a reset already.
        let _ = write!(stream, "PROXY TCP4 {ip} 198.51.100.1 51000 443\r\nhello");
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).is_ok().then_some(stream)
    };
    let held = [hold("203.0.113.7"), hold("203.0.113.7"), hold("203.0.113.8")];
    assert!(held.iter().all(Option::is_some), "one address of a proxy, and two sources");
    assert!(hold("203.0.113.7").is_none());
    let spared: Vec<_> = (0..5).map(|_| hold("127.0.0.1")).collect();
    assert!(spared.iter().all(Option::is_some), "loopback");
}

#[test]
fn numbers_of_guard_and_breaker_are_told_where_they_stand() {
    let folder = Folder::new("proxy-ranges");
    let file = folder.file(
        "windlass.toml",
        "[[proxy]]\nlisten = \":8080\"\nto = \"10.0.0.1:80\"\n[proxy.guard]\nipv6_prefix = 129\n\
         [proxy.breaker]\nwindow = 50\n",
    );
    let out = run(&["check", "--no-environment", "-c", &file]);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && text.contains("guard.ipv6_prefix is from 1 to 128"), "{text}");
    assert!(text.contains("windlass.toml:5"), "{text}");
}

/// An HTTP server that says who it is, and whether it is ready: a thread for each connection.
fn web(name: &'static str, ready: &'static str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut asked = Vec::new();
                let mut byte = [0];
                while !asked.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                    asked.push(byte[0]);
                }
                let (status, body) =
                    if asked.starts_with(b"GET /ready ") { (ready, "") } else { ("200 OK", name) };
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
                );
            });
        }
    });
    address
}

/// Of two backends the other gets no clients, for what is said of it in its table.
fn the_other_is_left_out(name: &str, other: &str, more: &str) {
    let folder = Folder::new(name);
    let ready = web("the ready one", "204 No Content");
    let more = format!(
        "check_every = \"50ms\"\ncheck_rise = 1\ncheck_fall = 1\ncheck_http = {{ path = \"/ready\" }}\n\
         [[proxy.backend]]\nto = \"{other}\"\n{more}"
    );
    let server = from_file(&folder, &ready, &more);
    let answer = || String::from_utf8_lossy(&ask(&server.address, b"GET / HTTP/1.1\r\n\r\n")).into_owned();
    let began = std::time::Instant::now();
    let mut in_row = 0;
    // Without a check they would take turns.
    while in_row < 10 {
        in_row = if answer().contains("the ready one") { in_row + 1 } else { 0 };
        assert!(began.elapsed() < LONG, "the other still gets clients");
    }
}

#[test]
fn a_backend_that_says_it_is_not_ready_gets_no_clients() {
    the_other_is_left_out("proxy-check", &web("the other", "503 Service Unavailable"), "");
}

#[test]
fn a_backend_is_as_ready_as_the_agent_at_another_address_says() {
    let (other, agent) = (web("the other", "204 No Content"), web("its agent", "503 Service Unavailable"));
    the_other_is_left_out("proxy-agent", &other, &format!("check_address = \"{agent}\"\n"));
}

#[test]
fn checks_that_make_no_sense_are_told() {
    let folder = Folder::new("proxy-wrong-check");
    for (wrong, wanted) in [
        (
            "check_http = {}\ncheck_exchange = { expect = \"x\" }",
            "check_http and check_exchange: one of them",
        ),
        ("check_exchange = { send = \"x\", expect = \"\" }", "an expected answer has at least one byte"),
        ("check_http = { status = [\"2xx\"] }", "`2xx` is no status"),
        ("check_http = { path = \"up\" }", "a path begins with /"),
        (
            "[[proxy.backend]]\nto = \"10.0.0.2:80\"\ncheck_address = \"agent.test:9000\"",
            "`agent.test:9000` is no address with a port, like 10.0.0.9:9000",
        ),
        (
            "[[proxy.backend]]\nto = \"10.0.0.2:80\"\ncheck_address = \"10.0.0.9:9000\"\ncheck_port = 9000",
            "10.0.0.2:80: check_port and check_address: one of them",
        ),
        (
            "[[proxy.backend]]\nto = \"unix:app.sock\"\ncheck_port = 9000",
            "a Unix socket has no other port to be checked at",
        ),
    ] {
        let text = format!("[[proxy]]\nlisten = \":8080\"\nto = \"10.0.0.1:80\"\n{wrong}\n");
        let out = run(&["check", "--no-environment", "-c", &folder.file("windlass.toml", &text)]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && said.contains(wanted), "{said}");
    }
}

/// TLS ends at the second of two proxies, which hears from the first, before TLS, who the client is.
#[cfg(feature = "tls")]
#[test]
fn a_header_before_tls_that_ends_here() {
    let folder = Folder::new("proxy-before-tls");
    let echo = Server::start(&["-q"]);
    let certs = concat!(env!("CARGO_MANIFEST_DIR"), "/../windlass/tests/certs");
    let inner = from_file(
        &folder,
        &echo.address,
        &format!(
            "accept_proxy_from = [\"127.0.0.0/8\"]\nsend_proxy = \"v1\"\n\
             tls = {{ cert = \"{certs}/server.pem\", key = \"{certs}/server.key\" }}\n"
        ),
    );
    let outer = from_file(
        &Folder::new("proxy-before-tls-outer"),
        &inner.address,
        &format!(
            "accept_proxy_from = [\"127.0.0.0/8\"]\nsend_proxy = \"v2\"\n\
             backend_tls = {{ authorities = \"{certs}/ca.pem\", name = \"server.test\" }}\n"
        ),
    );
    let header = b"PROXY TCP4 203.0.113.7 198.51.100.1 51000 443\r\n";
    let heard = ask(&outer.address, &[&header[..], b"hello"].concat());
    assert_eq!(heard, [&header[..], b"hello"].concat(), "{}", heard.escape_ascii());
}

/// Certificates are renewed and pages rewritten in their places, without a word in the file that names them.
#[cfg(all(unix, feature = "tls"))]
#[test]
fn the_files_that_a_proxy_names_are_read_again_by_a_reload() {
    let certs = concat!(env!("CARGO_MANIFEST_DIR"), "/../windlass/tests/certs");
    let (cert, key) = (format!("{certs}/server.pem"), format!("{certs}/server.key"));
    let echo = Server::start(&["-q", "--tls-cert", &cert, "--tls-key", &key]);
    let folder = Folder::new("proxy-files-again");
    let put = |name: &str, text: &str| drop(folder.file(name, text));
    put("ca.pem", &std::fs::read_to_string(format!("{certs}/stranger-ca.pem")).unwrap());
    put("503.html", "later");
    let more = "retries_max = 0\nfailures_max = 0\n\
                backend_tls = { authorities = \"ca.pem\", name = \"server.test\" }\n\
                [[proxy]]\nname = \"pages\"\nlisten = \"127.0.0.1:0\"\nmode = \"http\"\nto = \"127.0.0.1:1\"\n\
                retries_max = 0\nhttp = { abort_on_close = false, error_page = [{ status = 502, file = \"503.html\" }, \
                { status = 503, file = \"503.html\" }] }\n";
    let mut server = from_file(&folder, &echo.address, more);
    let line = server.line();
    let pages = line.strip_prefix("Listening on ").unwrap_or_else(|| panic!("{line}"));
    let page =
        || String::from_utf8(ask(pages, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).unwrap();
    assert_eq!(ask(&server.address, b"hello"), b"", "nobody whom it trusts");
    assert!(page().ends_with("later"), "{}", page());
    put("ca.pem", &std::fs::read_to_string(format!("{certs}/ca.pem")).unwrap());
    put("503.html", "much later");
    server.signal(rustix::process::Signal::HUP);
    crate::served::wait_until(|| ask(&server.address, b"hello") == b"hello", || "the new authority".into());
    crate::served::wait_until(|| page().ends_with("much later"), page);
}

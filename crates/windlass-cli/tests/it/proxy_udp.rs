//! `windlass proxy --mode udp`, as somebody would type it.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::config::Folder;
use crate::server::*;

/// The port behind `udp:`.
fn port(address: &str) -> &str {
    address.strip_prefix("udp:").expect("a UDP address")
}

fn client(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(port(address)).expect("an address");
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    socket
}

/// Asks until there is an answer, as clients of datagrams do.
fn ask(client: &UdpSocket, what: &[u8]) -> Vec<u8> {
    let began = Instant::now();
    let mut buffer = [0; 2_000];
    loop {
        client.send(what).expect("sent");
        while let Ok(n) = client.recv(&mut buffer) {
            // Whoever had to ask twice before may be answered twice.
            if buffer[..n].ends_with(what) {
                return buffer[..n].to_vec();
            }
        }
        assert!(began.elapsed() < LONG, "no answer to {}", what.escape_ascii());
    }
}

fn proxy(more: &[&str]) -> Server {
    let begin = ["proxy", "--mode", "udp", "--listen", "127.0.0.1:0", "--log", "text"];
    Server::command(&[&begin, more].concat())
}

#[test]
fn two_backends_and_one_that_goes() {
    let echo = || Server::on("udp:127.0.0.1:0", &["-q"]);
    let (one, other) = (echo(), echo());
    let server = proxy(&["--to", port(&one.address), "--to", port(&other.address), "--workers", "1"]);
    let clients: Vec<UdpSocket> = (0..6).map(|_| client(&server.address)).collect();
    for client in &clients {
        assert_eq!(ask(client, b"hello"), b"hello");
    }
    one.stop();
    for client in &clients {
        assert_eq!(ask(client, b"and now?"), b"and now?");
    }
    let (status, summary, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    assert!(summary.contains("messages  6"), "flows: {summary}");
}

#[test]
fn a_header_is_in_front_of_the_first_datagram() {
    let echo = Server::on("udp:127.0.0.1:0", &["-q"]);
    let server = proxy(&["--to", port(&echo.address), "--send-proxy", "v2"]);
    let client = client(&server.address);
    let told = ask(&client, b"hello");
    assert!(told.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x12") && told.ends_with(b"hello"), "{told:?}");
    assert_eq!(ask(&client, b"more"), b"more");
}

#[test]
fn mistakes_are_told_where_they_stand() {
    let folder = Folder::new("proxy-udp-mistakes");
    let said = |text: &str| {
        let output = run(&["check", "--no-environment", "-c", &folder.file("wrong.toml", text)]);
        assert_eq!(output.status.code(), Some(78), "{text}");
        String::from_utf8(output.stderr).unwrap()
    };
    let begin = "[[proxy]]\nmode = \"udp\"\nlisten = \":5353\"\n";
    for (more, what, line) in [
        ("to = \"unix:/run/app.sock\"\n", "`to[0]` is about connections", 4),
        ("to = \"10.0.0.1:53\"\nsend_proxy = \"v1\"\n", "version 1 has no words for datagrams", 5),
        ("to = \"10.0.0.1:53\"\naccept_proxy_from = \"10.0.0.0/8\"\n", "`accept_proxy_from` is about", 5),
        ("to = \"10.0.0.1:53\"\nudp = { flows_max = 0 }\n", "`udp.flows_max` must not be 0", 5),
        ("to = \"10.0.0.1:53\"\nhttp = { request_id = true }\n", "`http` is about requests", 5),
        ("to = \"10.0.0.1:53\"\nconnect_timeout = \"6s\"\n", "`connect_timeout` is about connections", 5),
        ("to = \"10.0.0.1:53\"\nclient_timeout = 0\n", "`client_timeout` is about connections", 5),
    ] {
        let told = said(&format!("{begin}{more}"));
        assert!(told.contains(what) && told.contains(&format!("wrong.toml:{line}")), "{more}: {told}");
    }
    let other = said("[[proxy]]\nlisten = \":80\"\nto = \"10.0.0.1:80\"\nudp = { flows_max = 5 }\n");
    assert!(other.contains("`udp` is about datagrams") && other.contains("mode = \"udp\""), "{other}");
    let stream = said("[[proxy]]\nlisten = \"udp::80\"\nto = \"10.0.0.1:80\"\n");
    assert!(stream.contains("there are no datagrams in what"), "{stream}");
}

#[test]
fn a_file_is_read_changed_and_printed() {
    let folder = Folder::new("proxy-udp");
    let echo = Server::on("udp:127.0.0.1:0", &["-q"]);
    let other = Server::on("udp:127.0.0.1:0", &["-q"]);
    let text = |to: &str| {
        format!(
            "[[proxy]]\nmode = \"udp\"\nlisten = \"127.0.0.1:0\"\nto = \"{}\"\n\
             udp = {{ idle_timeout = \"1min\", when_flows_full = \"refuse\" }}\n",
            port(to)
        )
    };
    let file = folder.file("windlass.toml", &text(&echo.address));
    let shown = String::from_utf8(run(&["config", "-c", &file]).stdout).unwrap();
    assert!(shown.contains("mode = \"udp\"") && shown.contains("when_flows_full = \"refuse\""), "{shown}");
    let again = folder.file("again.toml", &shown);
    let checked = run(&["check", "--no-environment", "-c", &again]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    let server = Server::command(&["run", "-q", "-c", &file]);
    let stays = client(&server.address);
    assert_eq!(ask(&stays, b"hello"), b"hello");
    folder.file("windlass.toml", &text(&other.address));
    server.signal(Signal::HUP);
    // A new flow goes to the new backend, once the reload is through; the old one stays where it is.
    echo.stop();
    let began = Instant::now();
    let new = client(&server.address);
    assert_eq!(ask(&new, b"new"), b"new");
    assert!(began.elapsed() < LONG);
}

/// What is asked of the successor is answered by it; what was asked before comes from the predecessor, from where
/// it was asked.
#[cfg(target_os = "linux")]
#[test]
fn answers_under_way_at_a_hand_over_come_from_the_predecessor() {
    let backend = UdpSocket::bind("127.0.0.1:0").expect("a port");
    backend.set_read_timeout(Some(LONG)).expect("a timeout");
    let control = SocketPath::new("proxy-udp-control");
    let folder = Folder::new("proxy-udp-hand-over");
    let start = |listen: &str| {
        let file = folder.file(
            "windlass.toml",
            &format!(
                "[server]\nworkers = 1\ncontrol = '{}'\n[[proxy]]\nmode = 'udp'\nlisten = '{listen}'\n\
                 to = '{}'\nudp = {{ replies_expected = 1 }}\n",
                control.0.display(),
                backend.local_addr().expect("its address")
            ),
        );
        Server::command(&["run", "-q", "-c", &file])
    };
    let old = start("127.0.0.1:0");
    let client = client(&old.address);
    client.set_read_timeout(Some(LONG)).expect("a timeout");
    let mut buffer = [0; 100];
    client.send(b"question").expect("sent");
    let (_, flow) = backend.recv_from(&mut buffer).expect("the question");
    let new = start(port(&old.address));
    assert_eq!(new.address, old.address);
    client.send(b"another").expect("sent");
    let (_, other) = backend.recv_from(&mut buffer).expect("the question");
    assert_ne!(flow, other);
    for (flow, answer) in [(flow, &b"late answer"[..]), (other, b"soon")] {
        backend.send_to(answer, flow).expect("sent");
        let n = client.recv(&mut buffer).expect("an answer");
        assert_eq!(&buffer[..n], answer);
    }
    // With its last flow the predecessor ends by itself.
    let (status, _, stderr) = old.ended();
    assert!(status.success(), "{stderr}");
    new.stop();
}

#[test]
fn flows_that_could_take_every_descriptor_are_told_at_the_start() {
    let folder = Folder::new("proxy-udp-descriptors");
    let told = |flows: usize| {
        let text = format!(
            "[server]\nworkers = 1\ndescriptors = 4000\n[[proxy]]\nmode = 'udp'\nlisten = '127.0.0.1:0'\n\
             to = '127.0.0.1:1'\nudp = {{ flows_max = {flows} }}\n"
        );
        let server = Server::command(&["run", "-c", &folder.file("windlass.toml", &text)]);
        server.stop().2.contains("could take every descriptor")
    };
    assert!(told(3000) && !told(2900));
}

/// A line of the access log, once it is written.
fn logged(path: &str, lines: usize) -> Vec<String> {
    let deadline = Instant::now() + LONG;
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.lines().count() >= lines && text.ends_with('\n') {
            return text.lines().map(str::to_owned).collect();
        }
        assert!(Instant::now() < deadline, "{lines} lines in vain: {text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_line_for_each_flow_when_it_is_over() {
    let folder = Folder::new("proxy-udp-access");
    let path = folder.path("flows.log");
    let echo = Server::on("udp:127.0.0.1:0", &["-q"]);
    let to = port(&echo.address);
    let text = |more: &str| {
        format!(
            "[server]\nworkers = 1\n[[proxy]]\nname = 'games'\nmode = 'udp'\nlisten = '127.0.0.1:0'\n\
             udp = {{ idle_timeout = '3s' }}\naccess_log = {{ path = '{path}'{more} }}\n\
             [[proxy.backend]]\nto = '{to}'\nname = 'first'\n"
        )
    };
    let server = Server::command(&["run", "-q", "-c", &folder.file("windlass.toml", &text(""))]);
    let asks = client(&server.address);
    assert_eq!(ask(&asks, b"hello"), b"hello");
    let line = logged(&path, 1).remove(0);
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(
        words[1..5],
        [&asks.local_addr().unwrap().to_string(), "games", &server.address, "first"],
        "{line}"
    );
    // Whoever has to ask twice on a busy machine has said more.
    let (received, sent): (u64, u64) = (words[6].parse().unwrap(), words[7].parse().unwrap());
    let (requests, replies): (u64, u64) = (words[8].parse().unwrap(), words[9].parse().unwrap());
    assert!(requests >= 1 && replies >= 1, "{line}");
    assert_eq!((received, sent, words[10]), (5 * requests, 5 * replies, "expired"), "{line}");
    assert!(words[5].parse::<f64>().unwrap() < 3_000.0 * requests as f64, "the silence is not in it: {line}");
    // The next one is still there when the server ends.
    ask(&asks, b"again");
    assert!(server.stop().0.success());
    let lines = logged(&path, 2);
    assert!(lines.len() == 2 && lines[1].contains(" games "), "{lines:?}");

    let said = |more: &str| {
        let output = run(&["check", "--no-environment", "-c", &folder.file("wrong.toml", &text(more))]);
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(", format = '{messages}'").contains("{messages} is nothing that flows of datagrams have"));
    let json = folder.file("json.toml", &text(", format = 'json'"));
    assert!(run(&["check", "--no-environment", "-c", &json]).status.success());
}

/// What a process gave up does not keep it from opening a socket for each flow, from hearing that nobody listens at a
/// backend, from checking those there are, and from writing its lines down.
#[cfg(target_os = "linux")]
#[test]
fn flows_in_a_strict_sandbox() {
    let folder = Folder::new("proxy-udp-sandbox");
    let path = folder.path("flows.log");
    let echo = Server::on("udp:127.0.0.1:0", &["-q"]);
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let user = match is_root() {
        true => "user = '61184'\ngroup = '61184'\n",
        false => "",
    };
    if is_root() {
        std::os::unix::fs::chown(folder.path(""), Some(61_184), Some(61_184)).unwrap();
    }
    let text = |to: &str| {
        format!(
            "[server]\nworkers = 2\nsandbox = 'strict'\n{user}[log]\nformat = 'json'\n[[proxy]]\nmode = 'udp'\n\
             listen = '127.0.0.1:0'\nto = [{to}]\nsend_proxy = 'v2'\ncheck_every = '100ms'\n\
             check_exchange = {{ send = 'x', expect = 'x' }}\n\
             udp = {{ idle_timeout = '3s' }}\naccess_log = {{ path = '{path}', format = '{{requests}} {{ending}}' }}\n"
        )
    };
    let both = format!("'{}', '{nobody}'", port(&echo.address));
    let file = folder.file("windlass.toml", &text(&both));
    let server = Server::command(&["run", "-c", &file]);
    assert_eq!(crate::process::status(server.pid(), "Seccomp"), "2");
    let clients: Vec<UdpSocket> = (0..8).map(|_| client(&server.address)).collect();
    for client in &clients {
        let told = ask(client, b"hello");
        assert!(told.ends_with(b"hello"), "{told:?}");
        assert_eq!(ask(client, b"more"), b"more");
    }
    // Those that went to nobody at first have moved, which is written sooner.
    let is_told = |lines: &[String]| lines.iter().any(|line| line.ends_with(" expired"));
    let lines = || logged(&path, clients.len());
    crate::served::wait_until(|| is_told(&lines()), || format!("the end of a silent flow: {:?}", lines()));
    // Read again, within.
    folder.file("windlass.toml", &text(&format!("'{}'", port(&echo.address))));
    server.signal(Signal::HUP);
    assert!(ask(&client(&server.address), b"later").ends_with(b"later"));
    let (status, _, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    assert!(stderr.contains("in a sandbox") && !stderr.contains("not whole"), "{stderr}");
}

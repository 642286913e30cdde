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
        if let Ok(n) = client.recv(&mut buffer) {
            return buffer[..n].to_vec();
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

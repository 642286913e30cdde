//! `windlass proxy` and `[[proxy]]`, as somebody would type them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::config::Folder;
use crate::server::*;

/// Connects, says something, and hears all that comes.
fn ask(address: &str, say: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(say).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    // A refusal may be a reset, where something was said already.
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

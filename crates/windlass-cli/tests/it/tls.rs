//! `windlass echo --tls-cert --tls-key`, talked to with `openssl s_client`.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use crate::server::*;

fn file(name: &str) -> String {
    format!("{}/../windlass/tests/certs/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn server() -> Server {
    let (cert, key) = (file("server.pem"), file("server.key"));
    Server::start(&["--tls-cert", &cert, "--tls-key", &key, "--log-level", "debug"])
}

fn has_openssl() -> bool {
    let there = Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_ok();
    if !there {
        eprintln!("SKIPPED: there is no openssl to talk to");
    }
    there
}

fn s_client(server: &Server, more: &[&str]) -> Child {
    Command::new("openssl")
        .args(["s_client", "-connect", &server.address, "-servername", "localhost", "-quiet", "-no_ign_eof"])
        .args(["-CAfile", &file("ca.pem"), "-verify_return_error"])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn openssl_is_echoed_in_both_versions() {
    if !has_openssl() {
        return;
    }
    let server = server();
    for version in ["-tls1_2", "-tls1_3"] {
        let mut client = s_client(&server, &[version]);
        let mut stdin = client.stdin.take().unwrap();
        let mut stdout = BufReader::new(client.stdout.take().unwrap());
        for text in ["hello\n", "and again\n"] {
            stdin.write_all(text.as_bytes()).unwrap();
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            assert_eq!(line, text, "{version}");
        }
        // s_client ends with its input, and says `close_notify`.
        drop(stdin);
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert!(client.wait().unwrap().success() && rest.is_empty(), "{version}: {rest}");
    }
    // Both ends have come before the server's own.
    server.wait_for("reason=\"eof\"", 2);
    let (status, _, log) = server.stop();
    assert!(status.success());
    assert_eq!(log.matches("reason=\"eof\"").count(), 2, "two clean ends: {log}");
}

#[test]
fn older_versions_and_plaintext_are_refused() {
    let server = server();
    if has_openssl() {
        let mut old = s_client(&server, &["-tls1_1"]);
        drop(old.stdin.take());
        assert!(!old.wait().unwrap().success());
    }
    let mut plain = server.connect();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).unwrap();
    assert!(answer.is_empty());
}

#[test]
fn files_that_are_no_certificates_are_named() {
    let (cert, key) = (file("server.pem"), file("server.key"));
    for (cert, key, wanted) in [
        ("/nowhere.pem", key.as_str(), "/nowhere.pem"),
        (&key, &key, "no certificate"),
        (&cert, &cert, "no private key"),
        (&cert, &file("other.key"), "cannot be used"),
    ] {
        let output = run(&["echo", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(wanted), "{said}");
    }
    assert_eq!(run(&["echo", "--tls-cert", &cert]).status.code(), Some(2), "the key is missing");
}

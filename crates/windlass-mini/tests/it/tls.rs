//! `tls` of a service, with a client of others.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::{Folder, has, mini};

#[test]
fn a_client_of_others_shakes_hands_and_is_answered() {
    if !has("openssl") {
        return;
    }
    let folder = Folder::new();
    let (cert, key) = (folder.0.join("cert.pem"), folder.0.join("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out"])
        .arg(&cert)
        .arg("-keyout")
        .arg(&key)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let config = format!(
        "[[echo]]\nlisten = [\"127.0.0.1:0\"]\ntls = {{ cert = \"{}\", key = \"{}\" }}\n",
        cert.display(),
        key.display()
    );
    let mini = mini(&config, 1);
    let mut client = Command::new("openssl")
        .args([
            "s_client",
            "-tls1_3",
            "-quiet",
            "-verify_return_error",
            "-servername",
            "localhost",
            "-CAfile",
        ])
        .arg(&cert)
        .args(["-connect", &mini.addresses[0]])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(b"a line\n").unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(client.stdout.take().unwrap()), &mut line)
        .unwrap();
    assert_eq!(line, "a line\n");
    assert_eq!(mini.threads(), 1);
    client.kill().unwrap();
    client.wait().unwrap();
}

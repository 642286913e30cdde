//! `[[hub]]`, with clients of others.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::harness::{LONG, has, mini};

#[test]
fn what_is_published_comes_to_who_subscribes() {
    let mini = mini("[[hub]]\nlisten = [\"127.0.0.1:0\"]\n", 1);
    assert_eq!(mini.threads(), 1);
    if !has("mosquitto_sub") || !has("mosquitto_pub") {
        return;
    }
    let port = mini.addresses[0].rsplit_once(':').unwrap().1;
    for (version, qos) in [("311", "0"), ("5", "1"), ("5", "2")] {
        let of = |program: &str| {
            let mut command = Command::new(program);
            command.args(["-h", "127.0.0.1", "-p", port, "-V", version, "-q", qos, "-t", "a/b"]);
            command
        };
        // Retained, so that it does not matter who comes first.
        assert!(of("mosquitto_pub").args(["-r", "-m", "a message"]).status().unwrap().success());
        let out = of("mosquitto_sub").args(["-C", "1", "-W", "20"]).output().unwrap();
        assert_eq!((out.stdout, out.status.success()), (b"a message\n".to_vec(), true));
        // And one that is there: what was retained tells it so, and us.
        let mut sub =
            of("mosquitto_sub").args(["-C", "101", "-W", "60"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(sub.stdout.take().unwrap());
        let mut first = String::new();
        said.read_line(&mut first).unwrap();
        assert_eq!(first, "a message\n");
        let lines = "one more\n".repeat(100);
        let mut publisher = of("mosquitto_pub").arg("-l").stdin(Stdio::piped()).spawn().unwrap();
        publisher.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert!(publisher.wait().unwrap().success());
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, lines);
        assert!(sub.wait().unwrap().success());
    }
    assert_eq!(mini.threads(), 1, "with clients, too");
    mini.signal("TERM");
    assert!(mini.ended().0.success());
}

/// By hand, so that something is tried where there is no client: CONNECT of 3.1.1, SUBSCRIBE, and PUBLISH to itself.
#[test]
fn it_speaks_mqtt() {
    let mini = mini("[[hub]]\nlisten = [\"127.0.0.1:0\"]\n", 1);
    let mut stream = TcpStream::connect(&mini.addresses[0]).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a").unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    stream.write_all(b"\x82\x06\x00\x01\x00\x01t\x00").unwrap();
    let mut suback = [0; 5];
    stream.read_exact(&mut suback).unwrap();
    assert_eq!(suback, [0x90, 3, 0, 1, 0]);
    stream.write_all(b"\x30\x05\x00\x01thi").unwrap();
    let mut publish = [0; 7];
    stream.read_exact(&mut publish).unwrap();
    assert_eq!(&publish, b"\x30\x05\x00\x01thi");
}

#[test]
fn what_is_no_mqtt_ends_that_connection_alone() {
    let mini = mini("[[hub]]\nlisten = [\"127.0.0.1:0\"]\n", 1);
    for nonsense in
        [&b"\x00\x00"[..], b"\xff\xff\xff\xff\xff", b"\x10\xff\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(&mini.addresses[0]).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(nonsense).unwrap();
        let mut all = Vec::new();
        // An end or a reset, and no silence.
        match stream.read_to_end(&mut all) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
    let mut stream = TcpStream::connect(&mini.addresses[0]).unwrap();
    stream.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a").unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
}

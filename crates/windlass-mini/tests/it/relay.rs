//! `[[proxy]]`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::thread;

use crate::harness::{LONG, mini};

#[test]
fn connections_are_passed_on_both_ways_and_so_are_their_ends() {
    let backend = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = backend.local_addr().unwrap();
    let mini = mini(&format!("[[proxy]]\nlisten = [\"127.0.0.1:0\"]\nto = [\"{to}\"]\n"), 1);
    let serves = thread::spawn(move || {
        let (mut stream, _) = backend.accept().unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(b"seen: ").unwrap();
        stream.write_all(&all).unwrap();
    });
    let mut stream = TcpStream::connect(&mini.addresses[0]).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(b"a request").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "seen: a request");
    serves.join().unwrap();
    assert_eq!(mini.threads(), 1);
}

#[test]
fn who_cannot_be_passed_on_is_told() {
    // A port that nobody listens on any more.
    let to = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mini = mini(&format!("[[proxy]]\nlisten = [\"127.0.0.1:0\"]\nto = [\"{to}\"]\n"), 1);
    let mut stream = TcpStream::connect(&mini.addresses[0]).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let error = stream.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn datagrams_are_passed_on_and_answers_find_back() {
    let backend = UdpSocket::bind("127.0.0.1:0").unwrap();
    backend.set_read_timeout(Some(LONG)).unwrap();
    let to = backend.local_addr().unwrap();
    let config = format!(
        "[[proxy]]\nmode = \"udp\"\nlisten = [\"127.0.0.1:0\"]\nto = [\"{to}\"]\n[proxy.udp]\nidle_timeout = \"300ms\"\n"
    );
    let mini = mini(&config, 1);
    let clients: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let mut doors = Vec::new();
    for (n, client) in clients.iter().enumerate() {
        client.set_read_timeout(Some(LONG)).unwrap();
        client.send_to(&[n as u8], &mini.addresses[0]).unwrap();
        let mut bytes = [0; 8];
        let (len, from) = backend.recv_from(&mut bytes).unwrap();
        assert_eq!((len, bytes[0]), (1, n as u8));
        doors.push(from);
    }
    for (n, door) in doors.iter().enumerate().rev() {
        backend.send_to(&[n as u8 + 10], door).unwrap();
    }
    for (n, client) in clients.iter().enumerate() {
        let mut bytes = [0; 8];
        let (len, _) = client.recv_from(&mut bytes).unwrap();
        assert_eq!((len, bytes[0]), (1, n as u8 + 10));
    }
    // A flow ends when it is silent, and begins anew.
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", mini.pid())).unwrap().count();
    let (busy, begun) = (descriptors(), std::time::Instant::now());
    while descriptors() > busy - 3 {
        assert!(begun.elapsed() < LONG, "flows do not end");
        thread::sleep(std::time::Duration::from_millis(20));
    }
    clients[0].send_to(b"again", &mini.addresses[0]).unwrap();
    let (len, _) = backend.recv_from(&mut [0; 8]).unwrap();
    assert_eq!(len, 5);
}

//! `[[proxy]]`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::thread;

use crate::harness::{Folder, LONG, mini};

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

fn connected(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

fn answered(mut stream: &TcpStream, wanted: &[u8]) {
    let mut bytes = vec![0; wanted.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, wanted);
}

/// A terminal's line would make two bytes of a newline, and say everything twice.
#[test]
fn a_serial_line_has_its_bytes_passed_on_as_they_are_to_one_client_at_a_time() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let device = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&device).unwrap();
    unlockpt(&device).unwrap();
    let path = ptsname(&device, Vec::new()).unwrap().into_string().unwrap();
    let mut device = std::fs::File::from(device);
    let mini =
        mini(&format!("[[proxy]]\nlisten = [\"127.0.0.1:0\"]\nto = [\"pipe:{path}\"]\nbaud = 9600\n"), 1);
    let mut client = connected(&mini.addresses[0]);
    client.write_all(b"AT\n\x03\xff").unwrap();
    let mut bytes = [0; 5];
    device.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"AT\n\x03\xff");
    let speed = rustix::termios::tcgetattr(&device).unwrap().output_speed();
    assert_eq!(speed, 9600);
    device.write_all(b"OK\r\n\x04").unwrap();
    answered(&client, b"OK\r\n\x04");
    let mut second = connected(&mini.addresses[0]);
    // An end or a reset, and none of the line's bytes.
    match second.read(&mut [0; 8]) {
        Ok(n) => assert_eq!(n, 0),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    drop(client);
    // The line is free once the first has gone.
    let begun = std::time::Instant::now();
    loop {
        let mut third = connected(&mini.addresses[0]);
        third.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
        let _ = third.write_all(b"?");
        let refused = match third.read(&mut [0; 1]) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        if !refused {
            break;
        }
        assert!(begun.elapsed() < LONG, "the line stays taken");
    }
    device.read_exact(&mut bytes[..1]).unwrap();
    assert_eq!(bytes[0], b'?');
}

#[test]
fn two_named_pipes_are_the_two_directions() {
    let folder = Folder::new();
    let (from, to) = (folder.0.join("from"), folder.0.join("to"));
    let made = std::process::Command::new("mkfifo").args([&from, &to]).status().unwrap();
    assert!(made.success());
    // For both, so that opening waits for nobody.
    let open = |path| std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let (mut into, mut out) = (open(&from), open(&to));
    let config = format!(
        "[[proxy]]\nlisten = [\"127.0.0.1:0\"]\nto = [\"pipe:{},{}\"]\n",
        from.display(),
        to.display()
    );
    let mini = mini(&config, 1);
    let mut client = connected(&mini.addresses[0]);
    let sent: Vec<u8> = (0..300_000u32).map(|n| (n % 253) as u8).collect();
    let (mut writer, there) = (client.try_clone().unwrap(), sent.clone());
    let writes = thread::spawn(move || writer.write_all(&there).unwrap());
    let mut back = vec![0; sent.len()];
    out.read_exact(&mut back).unwrap();
    assert!(back == sent, "other bytes came out");
    writes.join().unwrap();
    let (there, reads) = (
        sent.clone(),
        thread::spawn(move || {
            let mut back = vec![0; 300_000];
            client.read_exact(&mut back).unwrap();
            back
        }),
    );
    into.write_all(&there).unwrap();
    assert!(reads.join().unwrap() == sent, "other bytes came back");
}

#[test]
fn a_file_is_no_line() {
    let folder = Folder::new();
    let path = folder.file("a", "text");
    let mini =
        mini(&format!("[[proxy]]\nlisten = [\"127.0.0.1:0\"]\nto = [\"pipe:{}\"]\n", path.display()), 1);
    let error = connected(&mini.addresses[0]).read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

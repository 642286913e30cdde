//! It listens where it says, and sends back what it gets.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::server::*;

#[test]
fn echoes_over_tcp() {
    let server = Server::start(&[]);
    let mut stream = server.connect();
    round_trip(&mut stream, b"hello\n");
    round_trip(&mut stream, &vec![7; 100_000]);
    stream.write_all(b"last words").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"last words", "a client that ends its stream still gets its reply");
}

#[test]
fn echoes_over_a_unix_socket_and_takes_it_away() {
    let path = SocketPath::new("echo");
    let server = Server::on(&format!("unix:{}", path.0.display()), &["-q"]);
    assert_eq!(server.address, format!("unix:{}", path.0.display()));
    let mut stream = UnixStream::connect(&path.0).unwrap();
    round_trip(&mut stream, b"hello\n");
    drop(stream);
    assert!(server.stop().0.success());
    assert!(!path.0.exists(), "the socket's file is removed");
}

#[test]
fn echoes_datagrams() {
    let server = Server::on("udp:127.0.0.1:0", &[]);
    let address = server.address.strip_prefix("udp:").unwrap().to_owned();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket.connect(address).unwrap();
    let mut echo = [0; 2000];
    for datagram in [&b"hello"[..], b"", &[7; 1200]] {
        socket.send(datagram).unwrap();
        let n = socket.recv(&mut echo).unwrap();
        assert_eq!(&echo[..n], datagram);
    }
    let (status, rest, _) = server.stop();
    assert!(status.success());
    assert!(rest.contains("messages  3") && rest.contains("datagrams 3 in, 3 out, 0 dropped"), "{rest}");
}

#[test]
fn who_may_be_an_echo_too_is_not_answered() {
    let server = Server::on("udp:127.0.0.1:0", &["--workers", "1"]);
    let address = server.address.strip_prefix("udp:").unwrap().to_owned();
    let bind = |host: &str, port: u16| {
        let socket = std::net::UdpSocket::bind((host, port)).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.connect(&address).unwrap();
        socket
    };
    let port = address.rsplit(':').next().unwrap().parse().unwrap();
    let (other, client) = (bind("127.0.0.78", port), bind("127.0.0.1", 0));
    let mut echo = [0; 20];
    // One worker takes them in turn, so what is answered at all is there first.
    other.send(b"round and round").unwrap();
    client.send(b"hello").unwrap();
    assert_eq!(client.recv(&mut echo).unwrap(), 5);
    other.set_nonblocking(true).unwrap();
    assert_eq!(other.recv(&mut echo).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    let (_, rest, _) = server.stop();
    assert!(rest.contains("messages  1") && rest.contains("datagrams 2 in, 1 out, 0 dropped"), "{rest}");
}

#[test]
fn several_addresses_have_a_line_each() {
    let path = SocketPath::new("several-addresses");
    let unix = format!("unix:{}", path.0.display());
    let server = Server::start(&["127.0.0.1:0", &unix, "-q"]);
    round_trip(&mut UnixStream::connect(&path.0).unwrap(), b"one service");
    let (_, rest, _) = server.stop();
    let lines: Vec<_> = rest.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("Listening on 127.0.0.1:"), "{rest}");
    assert!(!lines[0].ends_with(":0"), "{rest}");
    assert_eq!(lines[1], format!("Listening on {unix}"));
}

#[test]
fn ipv6_and_every_address() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED: this machine has no IPv6");
        return;
    }
    let server = Server::on("[::1]:0", &["-q"]);
    assert!(server.address.starts_with("[::1]:"), "{}", server.address);
    round_trip(&mut server.connect(), b"six");
    let server = Server::on(":0", &["-q"]);
    let port = server.address.rsplit(':').next().unwrap().to_owned();
    for host in ["127.0.0.1", "[::1]"] {
        round_trip(&mut std::net::TcpStream::connect(format!("{host}:{port}")).unwrap(), b"both");
    }
}

#[test]
fn a_session_with_nc() {
    if Command::new("nc").arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        eprintln!("SKIPPED: nc is not installed");
        return;
    }
    let server = Server::start(&[]);
    let (host, port) = server.address.rsplit_once(':').unwrap();
    let mut nc = Command::new("nc")
        .args([host, port])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("nc starts");
    nc.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
    let mut echo = [0; 6];
    nc.stdout.as_mut().unwrap().read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"hello\n");
    let _ = nc.kill();
    let _ = nc.wait();
}

#[test]
fn settings_come_from_the_environment_too() {
    let mut command = windlass(&["echo"]);
    let settings = [
        ("WINDLASS_LISTEN", "127.0.0.1:0,127.0.0.1:0"),
        ("WINDLASS_WORKERS", "1"),
        ("WINDLASS_QUIET", "1"),
        ("WINDLASS_LIMIT", "idle_timeout=1m,output_max=2MiB"),
    ];
    let mut child = command.envs(settings).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    for _ in 0..2 {
        assert!(lines.next().unwrap().unwrap().starts_with("Listening on 127.0.0.1:"));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let output = windlass(&["echo"]).env("WINDLASS_LIMIT", "nonsense=1").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[cfg(target_os = "linux")]
#[test]
fn one_quiet_worker_is_one_thread() {
    let threads =
        |server: &Server| std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap().count();
    let server = Server::start(&["--workers", "1", "-q"]);
    round_trip(&mut server.connect(), b"served");
    assert_eq!(threads(&server), 1);
    let server = Server::start(&["--workers", "1"]);
    round_trip(&mut server.connect(), b"served");
    assert_eq!(threads(&server), 2, "the worker and the console");
}

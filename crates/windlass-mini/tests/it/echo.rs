//! `[[echo]]`, and what holds for every service: one thread, and an orderly end.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use crate::harness::{Folder, LONG, Mini, mini, output, program};

const ECHO: &str = "[server]\nworkers = 1\n\n[[echo]]\nlisten = [\"127.0.0.1:0\", \"udp:127.0.0.1:0\"]\n";

fn connected(mini: &Mini) -> TcpStream {
    let stream = TcpStream::connect(&mini.addresses[0]).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

fn answered(mut stream: &TcpStream, text: &[u8]) {
    stream.write_all(text).unwrap();
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, text);
}

#[test]
fn streams_and_datagrams_come_back_and_one_thread_does_it() {
    let mini = mini(ECHO, 2);
    assert_eq!(mini.threads(), 1);
    let mut stream = connected(&mini);
    let sent: Vec<u8> = (0..10_000_000u32).map(|n| (n % 251) as u8).collect();
    let (mut reader, expected) = (stream.try_clone().unwrap(), sent.clone());
    let reads = std::thread::spawn(move || {
        let mut back = vec![0; expected.len()];
        reader.read_exact(&mut back).unwrap();
        assert!(back == expected, "other bytes came back");
    });
    stream.write_all(&sent).unwrap();
    reads.join().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket.send_to(b"a datagram", &mini.addresses[1]).unwrap();
    let mut back = [0; 64];
    let (n, _) = socket.recv_from(&mut back).unwrap();
    assert_eq!(&back[..n], b"a datagram");
    assert_eq!(mini.threads(), 1, "with connections, too");
}

/// Whoever speaks from where another echo would is not answered: by its own port on another address, or by one of a system's
/// own servers.
#[test]
fn who_may_be_an_echo_is_not_answered() {
    let mini = mini(ECHO, 2);
    let (_, own) = mini.addresses[1].rsplit_once(':').unwrap();
    let mut silent = vec![UdpSocket::bind(format!("127.0.0.2:{own}")).unwrap()];
    match UdpSocket::bind("127.0.0.2:1019") {
        Ok(socket) => silent.push(socket),
        Err(why) => eprintln!("SKIPPED: no socket of a system's port: {why}"),
    }
    for socket in &silent {
        socket.send_to(b"and again", &mini.addresses[1]).unwrap();
    }
    // What came behind it is answered, so it was heard.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket.send_to(b"a datagram", &mini.addresses[1]).unwrap();
    socket.recv_from(&mut [0; 64]).unwrap();
    for socket in silent {
        socket.set_nonblocking(true).unwrap();
        assert!(socket.recv_from(&mut [0; 64]).is_err(), "{:?} was answered", socket.local_addr());
    }
}

#[test]
fn sigterm_ends_it_in_order() {
    let mini = mini(ECHO, 2);
    let mut stream = connected(&mini);
    answered(&stream, b"before");
    mini.signal("TERM");
    // The end of the stream, and no reset.
    assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0);
    drop(stream);
    let (status, said) = mini.ended();
    assert!(status.success(), "{status}");
    assert_eq!(said, "Stopped\n");
}

#[test]
fn sigint_does_too_and_a_quiet_one_says_nothing_of_it() {
    let folder = Folder::new();
    let path = folder.file("a.toml", "[log]\nlevel = \"error\"\n[[echo]]\nlisten = [\"127.0.0.1:0\"]\n");
    let text = std::fs::read_to_string(path).unwrap();
    let mini = mini(&text, 1);
    mini.signal("INT");
    let (status, said) = mini.ended();
    assert!(status.success() && said.is_empty(), "{status} {said:?}");
}

#[test]
fn a_wrong_configuration_ends_the_start_with_its_line_and_what_was_meant() {
    let folder = Folder::new();
    let path =
        folder.file("a.toml", "[[echo]]\nlisten = [\"127.0.0.1:0\"]\n[limits]\nidle_timeut = \"5s\"\n");
    let path = path.to_str().unwrap();
    for command in ["run", "check"] {
        let out = output(&[command, "-c", path]);
        assert_eq!(out.status.code(), Some(78));
        let said = String::from_utf8(out.stderr).unwrap();
        let expected = format!(
            "error: {path}:4: this program has no key `limits.idle_timeut`: did you mean `limits.idle_timeout`?\n"
        );
        assert_eq!(said, expected);
    }
    let out = output(&["run", "-c", "/no/such/file.toml"]);
    assert_eq!(out.status.code(), Some(78));
    assert!(String::from_utf8(out.stderr).unwrap().contains("no such file"));
}

#[test]
fn a_right_one_is_said_to_be() {
    let folder = Folder::new();
    let path = folder.file("a.toml", ECHO);
    let out = output(&["check", "-c", path.to_str().unwrap()]);
    assert!(out.status.success());
    assert_eq!(String::from_utf8(out.stdout).unwrap(), format!("{}: nothing is wrong\n", path.display()));
}

#[test]
fn an_address_in_use_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let out = output(&["echo", "-l", &address]);
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(said.contains(&address) && said.contains("in use"), "{said}");
}

#[test]
fn out_of_descriptors_it_goes_on() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    let mut command = std::process::Command::new("sh");
    let path = program().get_program().to_owned();
    command.args(["-c", "ulimit -n 24; exec \"$0\" echo -l 127.0.0.1:0"]).arg(path);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("Listening on ").unwrap().to_owned();
    let held: Vec<_> = (0..100).filter_map(|_| TcpStream::connect(&address).ok()).collect();
    std::thread::sleep(Duration::from_millis(100));
    assert!(child.try_wait().unwrap().is_none(), "it has ended");
    drop(held);
    let stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    answered(&stream, b"served again");
    child.kill().unwrap();
    child.wait().unwrap();
}

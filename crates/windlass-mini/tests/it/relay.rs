//! `[[proxy]]`.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Folder, LONG, Mini, mini, output};
use crate::little::eventually;

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
    // No port that the system gives to anybody.
    let mini = mini("[[proxy]]\nlisten = [\"127.0.0.1:0\"]\nto = [\"127.0.0.1:1\"]\n", 1);
    assert!(reset(&mini.addresses[0]));
}

#[test]
fn datagrams_are_passed_on_and_answers_find_back() {
    let backend = UdpSocket::bind("127.0.0.1:0").unwrap();
    backend.set_read_timeout(Some(LONG)).unwrap();
    let to = backend.local_addr().unwrap();
    // No flow ends while it is looked at, however slow that is.
    let mini = mini(&format!("[[proxy]]\nmode = \"udp\"\nlisten = [\"127.0.0.1:0\"]\nto = [\"{to}\"]\n"), 1);
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
}

/// Each has a socket of its own.
#[test]
fn a_flow_ends_when_it_is_silent_and_begins_anew() {
    let (backend, mini) = datagrams("idle_timeout = \"300ms\"");
    let idle = sockets(&mini);
    let clients: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for round in 0..2 {
        for (n, client) in clients.iter().enumerate() {
            client.send_to(&vec![0; 1 + n], &mini.addresses[0]).unwrap();
            let (len, from) = backend.recv_from(&mut [0; 8]).unwrap();
            assert_eq!(len, 1 + n, "round {round}");
            assert_ne!(from.to_string(), mini.addresses[0]);
        }
        eventually("flows end", || (sockets(&mini) == idle).then_some(()));
    }
}

/// How many sockets it has.
fn sockets(mini: &Mini) -> usize {
    let all = std::fs::read_dir(format!("/proc/{}/fd", mini.pid())).unwrap();
    let is_socket = |fd: std::io::Result<std::fs::DirEntry>| {
        let to = fd.ok().and_then(|fd| std::fs::read_link(fd.path()).ok());
        to.is_some_and(|to| to.to_string_lossy().starts_with("socket:"))
    };
    all.map(is_socket).filter(|is| *is).count()
}

/// A backend, and a relay to it with these settings of `[proxy.udp]`.
fn datagrams(settings: &str) -> (UdpSocket, Mini) {
    let backend = UdpSocket::bind("127.0.0.1:0").unwrap();
    backend.set_read_timeout(Some(LONG)).unwrap();
    let to = backend.local_addr().unwrap();
    let config = format!(
        "[[proxy]]\nmode = \"udp\"\nlisten = [\"127.0.0.1:0\"]\nto = [\"{to}\"]\n[proxy.udp]\n{settings}\n"
    );
    (backend, mini(&config, 1))
}

#[test]
fn who_was_silent_longest_makes_way() {
    let (backend, mini) = datagrams("flows_max = 2");
    let clients: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let mut doors = [backend.local_addr().unwrap(); 3];
    // The second has been silent longest when the third comes.
    for n in [0, 1, 0, 2] {
        clients[n].send_to(&[n as u8], &mini.addresses[0]).unwrap();
        let mut bytes = [0; 8];
        let (_, from) = backend.recv_from(&mut bytes).unwrap();
        assert_eq!(usize::from(bytes[0]), n);
        doors[n] = from;
    }
    for (n, heard) in [(1, false), (0, true), (2, true)] {
        let wait = if heard { LONG } else { Duration::from_millis(300) };
        clients[n].set_read_timeout(Some(wait)).unwrap();
        backend.send_to(b"answer", doors[n]).unwrap();
        assert_eq!(clients[n].recv_from(&mut [0; 8]).is_ok(), heard, "client {n}");
    }
    // Many come and go, and the last is heard as the first was.
    for n in 0..500_u32 {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(&n.to_be_bytes(), &mini.addresses[0]).unwrap();
        let mut bytes = [0; 4];
        let (_, from) = backend.recv_from(&mut bytes).unwrap();
        assert_eq!(u32::from_be_bytes(bytes), n);
        client.set_read_timeout(Some(LONG)).unwrap();
        backend.send_to(b"answer", from).unwrap();
        client.recv_from(&mut [0; 8]).unwrap();
    }
}

#[test]
fn answers_keep_no_flow_alive() {
    let (backend, mini) = datagrams("idle_timeout = \"300ms\"");
    let idle = sockets(&mini);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"?", &mini.addresses[0]).unwrap();
    let (_, door) = backend.recv_from(&mut [0; 8]).unwrap();
    let begun = Instant::now();
    while sockets(&mini) != idle {
        assert!(begun.elapsed() < LONG, "the flow does not end");
        // Once it has ended, the port is closed.
        let _ = backend.send_to(b"!", door);
        thread::sleep(Duration::from_millis(20));
    }
}

/// And the client does, which is answered from where it asked.
#[test]
fn who_goes_on_asking_keeps_its_flow() {
    let backend = UdpSocket::bind("127.0.0.1:0").unwrap();
    backend.set_read_timeout(Some(LONG)).unwrap();
    let to = backend.local_addr().unwrap();
    let relay = format!("[[proxy]]\nmode = \"udp\"\nlisten = [\"0.0.0.0:0\"]\nto = [\"{to}\"]\n");
    const IDLE: Duration = Duration::from_secs(2);
    let mini = mini(&format!("{relay}[proxy.udp]\nidle_timeout = \"2s\"\n"), 1);
    let (_, port) = mini.addresses[0].rsplit_once(':').unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    client.connect(format!("127.0.0.2:{port}")).unwrap();
    let (first, mut begun, mut asked) = (Instant::now(), Instant::now(), Instant::now());
    let mut flow = None;
    while begun.elapsed() < 2 * IDLE {
        let before = std::mem::replace(&mut asked, Instant::now());
        client.send(b"?").unwrap();
        let (_, door) = backend.recv_from(&mut [0; 8]).unwrap();
        if before.elapsed() >= IDLE {
            // We were that slow ourselves, and it may have ended.
            assert!(first.elapsed() < 10 * LONG, "this machine is too slow for this");
            (begun, flow) = (Instant::now(), None);
        }
        assert_eq!(*flow.get_or_insert(door), door, "a flow of its own all along");
        backend.send_to(b"!", door).unwrap();
        let in_time = asked.elapsed() < IDLE;
        // It hears nobody but whom it asked.
        match client.recv(&mut [0; 8]) {
            Ok(len) => assert_eq!(len, 1),
            Err(error) => assert!(!in_time, "{error}"),
        }
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn no_flow_and_no_time_are_refused_at_the_start() {
    for (key, setting) in [("flows_max", "flows_max = 0"), ("idle_timeout", "idle_timeout = \"0s\"")] {
        let folder = Folder::new();
        let config = format!(
            "[[proxy]]\nmode = \"udp\"\nlisten = [\"127.0.0.1:0\"]\nto = [\"127.0.0.1:9\"]\n[proxy.udp]\n{setting}\n"
        );
        let path = folder.file("windlass.toml", &config);
        let out = output(&["run", "-c", &path.display().to_string()]);
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(!out.status.success() && said.contains(key), "{said}");
    }
}

fn connected(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// `None` is one who was reset so soon that it never heard that it was taken in.
fn arrived(address: &str) -> Option<TcpStream> {
    match TcpStream::connect(address) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        connected => {
            let stream = connected.unwrap();
            stream.set_read_timeout(Some(LONG)).unwrap();
            Some(stream)
        }
    }
}

/// Whether who comes is reset, and hears nothing before.
fn reset(address: &str) -> bool {
    let Some(mut stream) = arrived(address) else { return true };
    stream.read(&mut [0; 1]).unwrap_err().kind() == ErrorKind::ConnectionReset
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
    // An end or a reset, and none of the line's bytes.
    match arrived(&mini.addresses[0]).map(|mut second| second.read(&mut [0; 8])) {
        None => {}
        Some(Ok(n)) => assert_eq!(n, 0),
        Some(Err(error)) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    drop(client);
    // The line is free once the first has gone: what comes then is either turned away or passed on.
    rustix::fs::fcntl_setfl(&device, rustix::fs::OFlags::NONBLOCK).unwrap();
    eventually("the line is free", || {
        let mut third = arrived(&mini.addresses[0])?;
        let _ = third.write_all(b"?");
        third.set_nonblocking(true).unwrap();
        eventually("an answer of some kind", || {
            if device.read(&mut bytes[..1]).is_ok_and(|n| n == 1) {
                return Some(Some(()));
            }
            let waits = third.read(&mut [0; 1]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
            (!waits).then_some(None)
        })
    });
    assert_eq!(bytes[0], b'?');
}

/// A device of two named pipes: what it says is written to the first, what it hears is read from the second.
fn piped(folder: &Folder) -> (Mini, File, File) {
    let (from, to) = (folder.0.join("from"), folder.0.join("to"));
    let made = std::process::Command::new("mkfifo").args([&from, &to]).status().unwrap();
    assert!(made.success());
    // For both, so that opening waits for nobody.
    let open = |path| File::options().read(true).write(true).open(path).unwrap();
    let (into, out) = (open(&from), open(&to));
    // Nobody is waited for until it ends by itself.
    let config = format!(
        "[limits]\nlinger_timeout = \"1h\"\n[[proxy]]\nlisten = [\"127.0.0.1:0\"]\nto = [\"pipe:{},{}\"]\n",
        from.display(),
        to.display()
    );
    (mini(&config, 1), into, out)
}

/// Whether a new client is turned away within this time. One that is not has said nothing.
fn refused(address: &str, within: Duration) -> bool {
    let Some(stream) = arrived(address) else { return true };
    stream.set_read_timeout(Some(within)).unwrap();
    match stream.peek(&mut [0; 1]) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// Has it that a pipe takes nothing more, and says how much is in it.
fn fill(pipe: &mut File) -> usize {
    let all = rustix::pipe::fcntl_getpipe_size(&*pipe).unwrap();
    pipe.write_all(&vec![b'.'; all]).unwrap();
    all
}

#[test]
fn a_device_that_goes_on_answering_is_not_cut_off() {
    // One that says nothing for two seconds may be: then it was this machine that was too slow.
    const TOO_LONG: Duration = Duration::from_millis(1_900);
    for tries in 1.. {
        let folder = Folder::new();
        let (mini, mut into, mut out) = piped(&folder);
        let mut client = connected(&mini.addresses[0]);
        client.write_all(b"all?").unwrap();
        out.read_exact(&mut [0; 4]).unwrap();
        let mut before = Instant::now();
        client.shutdown(Shutdown::Write).unwrap();
        let says = thread::spawn(move || {
            let mut longest = Duration::ZERO;
            for n in 0..7 {
                thread::sleep(Duration::from_millis(500));
                let now = Instant::now();
                into.write_all(&[n]).unwrap();
                longest = longest.max(before.elapsed());
                before = now;
            }
            (into, longest)
        });
        let mut said = Vec::new();
        client.read_to_end(&mut said).unwrap();
        let (_into, longest) = says.join().unwrap();
        if longest < TOO_LONG || said == [0, 1, 2, 3, 4, 5, 6] {
            assert_eq!(said, [0, 1, 2, 3, 4, 5, 6]);
            return;
        }
        assert!(tries < 20, "this machine is too slow for this");
    }
}

#[test]
fn a_client_that_takes_nothing_more_is_not_told_that_this_was_all() {
    let folder = Folder::new();
    let (mini, mut into, _out) = piped(&folder);
    let device = folder.0.join("from");
    let is_device = |fd: std::io::Result<std::fs::DirEntry>| {
        fd.is_ok_and(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to == device))
    };
    let is_open = || std::fs::read_dir(format!("/proc/{}/fd", mini.pid())).unwrap().any(is_device);
    let mut client = connected(&mini.addresses[0]);
    eventually("it has the device", || is_open().then_some(()));
    rustix::fs::fcntl_setfl(&into, rustix::fs::OFlags::NONBLOCK).unwrap();
    // Until no buffer on the way has room, and it does not merely take its time.
    let mut passed = Instant::now();
    while passed.elapsed() < Duration::from_millis(500) || !mini.is_asleep() {
        if into.write(&[b'.'; 4096]).is_ok_and(|n| n > 0) {
            passed = Instant::now();
        } else {
            thread::sleep(Duration::from_millis(5));
        }
    }
    client.shutdown(Shutdown::Write).unwrap();
    let begun = Instant::now();
    assert!(is_open());
    while is_open() {
        assert!(begun.elapsed() < LONG, "it is not ended");
        thread::sleep(Duration::from_millis(20));
    }
    let error = client.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_device_is_taken_until_it_has_what_was_sent_before() {
    let folder = Folder::new();
    let (mini, mut into, mut out) = piped(&folder);
    let before = fill(&mut out);
    let mut client = connected(&mini.addresses[0]);
    client.write_all(&[b'a'; 100]).unwrap();
    thread::sleep(Duration::from_millis(200));
    drop(client);
    // Nobody hears it any more: a reset, and the client is gone before its bytes are.
    for _ in 0..3 {
        into.write_all(b"x").unwrap();
        thread::sleep(Duration::from_millis(50));
        assert!(refused(&mini.addresses[0], LONG), "a second client has the device");
    }
    let mut heard = vec![0; before + 100];
    out.read_exact(&mut heard).unwrap();
    assert_eq!(&heard[before..], [b'a'; 100]);
    // It is free at once: it has no end that would be waited for.
    let begun = Instant::now();
    while refused(&mini.addresses[0], Duration::from_millis(200)) {
        assert!(begun.elapsed() < LONG, "the device stays taken");
    }
}

#[test]
fn two_named_pipes_are_the_two_directions() {
    let folder = Folder::new();
    let (mini, mut into, mut out) = piped(&folder);
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
    assert!(reset(&mini.addresses[0]));
}

//! One server takes over from the other while it serves, and nobody notices.
#![cfg(target_os = "linux")]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::server::*;

const HANDOVERS: usize = 50;
const LONG_LIVED: usize = 1_000;
const STORM_THREADS: usize = 4;

/// Connects, is echoed, closes, again and again; the first failure of any kind is the result.
pub(crate) fn storm(address: &str, over: &AtomicBool, done: &AtomicU64) -> Result<(), String> {
    for n in 0u64.. {
        if over.load(Relaxed) {
            break;
        }
        let step = |what: &str, e: std::io::Error| format!("{what} of connection {n}: {e}");
        let mut stream = TcpStream::connect(address).map_err(|e| step("connect", e))?;
        stream.set_read_timeout(Some(LONG)).unwrap();
        let sent = n.to_le_bytes();
        stream.write_all(&sent).map_err(|e| step("write", e))?;
        let mut back = [0; 8];
        stream.read_exact(&mut back).map_err(|e| step("echo", e))?;
        assert_eq!(back, sent);
        done.fetch_add(1, Relaxed);
    }
    Ok(())
}

#[test]
fn fifty_handovers_in_a_storm_lose_nobody() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let control = SocketPath::new("storm");
    let path = control.0.display().to_string();
    // And however slow the machine is, nobody is sent away for that.
    let forever = "handover_drain_timeout=0,idle_timeout=0,overload_lag_max=0";
    // Workers come and go with the generations: queues are shared where they differ.
    let start = |address: &str, n: usize| {
        let workers = ["2", "2", "3", "1"][n % 4];
        Server::on(address, &["--control", &path, "--workers", workers, "--limit", forever])
    };
    let first = start("127.0.0.1:0", 0);
    let address = first.address.clone();
    let (over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut long_lived: Vec<TcpStream> = (0..LONG_LIVED / 2).map(|_| first.connect()).collect();
    for stream in &mut long_lived {
        round_trip(stream, b"the first");
    }
    let clients: Vec<_> = (0..STORM_THREADS)
        .map(|_| {
            let (address, over, done) = (address.clone(), over.clone(), done.clone());
            thread::spawn(move || storm(&address, &over, &done))
        })
        .collect();
    let mut generations = vec![first];
    for n in 1..=HANDOVERS {
        let before = done.load(Relaxed);
        let next = start(&address, n);
        assert_eq!(next.address, address);
        // Some stay with each.
        for _ in 0..LONG_LIVED / 2 / HANDOVERS {
            let mut stream = next.connect();
            round_trip(&mut stream, b"a later one");
            long_lived.push(stream);
        }
        generations.push(next);
        // The storm goes on, or a thread of it has failed.
        while done.load(Relaxed) < before + 20 && !clients.iter().any(|client| client.is_finished()) {
            thread::yield_now();
        }
    }
    over.store(true, Relaxed);
    for client in clients {
        assert_eq!(client.join().unwrap(), Ok(()), "after {} connections", done.load(Relaxed));
    }
    assert_eq!(long_lived.len(), LONG_LIVED);
    for stream in &mut long_lived {
        round_trip(stream, b"all of them");
    }
    println!("{} connections and {HANDOVERS} hand-overs", done.load(Relaxed));
    drop(long_lived);
    let last = generations.pop().unwrap();
    let mut served = 0;
    for generation in generations {
        // By itself, with its last connection.
        let (status, summary, stderr) = generation.ended();
        assert!(status.success(), "{stderr}");
        served += connections(&summary);
    }
    let (status, summary, _) = last.stop();
    assert!(status.success());
    assert_eq!(served + connections(&summary), done.load(Relaxed) + LONG_LIVED as u64, "each by one of them");
    assert!(!control.0.exists(), "the last takes the file away");
}

/// Each datagram is sent once, and the next when its echo is there, from many ports in turn so that every
/// socket of the server gets some.
fn ask_one_by_one(address: &str, over: &AtomicBool, done: &AtomicU64) -> Result<(), String> {
    let sockets: Vec<_> = (0..32).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for socket in &sockets {
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.connect(address).unwrap();
    }
    for (n, socket) in (0u64..).zip(sockets.iter().cycle()) {
        if over.load(Relaxed) {
            break;
        }
        let step = |what: &str, e: std::io::Error| format!("{what} of datagram {n}: {e}");
        let sent = n.to_le_bytes();
        socket.send(&sent).map_err(|e| step("send", e))?;
        let mut back = [0; 9];
        let length = socket.recv(&mut back).map_err(|e| step("echo", e))?;
        if back[..length] != sent {
            return Err(format!("{:?} for datagram {n}", &back[..length]));
        }
        done.fetch_add(1, Relaxed);
    }
    Ok(())
}

#[test]
fn ten_handovers_lose_no_datagram() {
    const HANDOVERS: usize = 10;
    let control = SocketPath::new("datagrams");
    let path = control.0.display().to_string();
    let start = |address: &str, n: usize| {
        let workers = ["2", "2", "3", "1"][n % 4];
        Server::on(address, &["127.0.0.1:0", "--control", &path, "--workers", workers])
    };
    let first = start("udp:127.0.0.1:0", 0);
    let address = first.address.clone();
    let (over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..STORM_THREADS)
        .map(|_| {
            let (over, done) = (over.clone(), done.clone());
            let address = address.strip_prefix("udp:").unwrap().to_owned();
            thread::spawn(move || ask_one_by_one(&address, &over, &done))
        })
        .collect();
    let (mut last, mut served) = (first, 0);
    for n in 1..=HANDOVERS {
        let before = done.load(Relaxed);
        let next = start(&address, n);
        assert_eq!(next.address, address);
        while done.load(Relaxed) < before + 500 && !clients.iter().any(|client| client.is_finished()) {
            thread::yield_now();
        }
        // By itself: it has no connections, and no sockets any more.
        let (status, summary, stderr) = std::mem::replace(&mut last, next).ended();
        assert!(status.success(), "{stderr}");
        served += datagrams(&summary);
    }
    over.store(true, Relaxed);
    for client in clients {
        assert_eq!(client.join().unwrap(), Ok(()), "after {} datagrams", done.load(Relaxed));
    }
    let (status, summary, _) = last.stop();
    assert!(status.success());
    println!("{} datagrams and {HANDOVERS} hand-overs", done.load(Relaxed));
    assert_eq!(served + datagrams(&summary), done.load(Relaxed), "each by one of them");
}

/// "datagrams 1,234 in, ..."
fn datagrams(summary: &str) -> u64 {
    let number = summary.split_once("datagrams ").and_then(|(_, rest)| rest.split(' ').next());
    // A generation may have been too short to get any.
    number.map_or(0, |number| number.replace(',', "").parse().unwrap())
}

/// "Served 1,234 connections in ..."
fn connections(summary: &str) -> u64 {
    let number = summary.strip_prefix("Served ").and_then(|rest| rest.split(' ').next());
    number.unwrap_or_else(|| panic!("{summary}")).replace(',', "").parse().unwrap()
}

#[test]
fn it_says_so_and_the_supervisor_hears_it() {
    let (control, notify) = (SocketPath::new("says"), SocketPath::new("notify"));
    let supervisor = UnixDatagram::bind(&notify.0).unwrap();
    supervisor.set_read_timeout(Some(LONG)).unwrap();
    let path = control.0.display().to_string();
    let old = Server::start(&["--control", &path, "--log", "json"]);
    let mut stays = old.connect();
    round_trip(&mut stays, b"hello");
    let mut command = windlass(&["echo", &old.address, "--control", &path, "-q"]);
    let mut new =
        command.env("NOTIFY_SOCKET", &notify.0).stdout(std::process::Stdio::null()).spawn().unwrap();
    let mut text = [0; 100];
    let n = supervisor.recv(&mut text).unwrap();
    assert_eq!(text[..n], *format!("READY=1\nMAINPID={}", new.id()).as_bytes());
    round_trip(&mut old.connect(), b"the address is the same");
    round_trip(&mut stays, b"still there");
    // The console looks once a second.
    old.wait_for("a successor has taken over", 1);
    drop(stays);
    let (status, _, stderr) = old.ended();
    assert!(status.success(), "{stderr}");
    new.kill().unwrap();
    new.wait().unwrap();
}

#[test]
fn another_address_is_taken_as_well_and_what_is_gone_is_told() {
    let control = SocketPath::new("other");
    let path = control.0.display().to_string();
    let old = Server::start(&["--control", &path]);
    let new = Server::on("127.0.0.2:0", &["--control", &path]);
    round_trip(&mut new.connect(), b"hello");
    let (status, _, _) = old.ended();
    assert!(status.success());
    let (_, _, stderr) = new.stop();
    assert!(stderr.contains("inherited a socket that no address asks for"), "{stderr}");
}

#[test]
fn a_full_queue_on_a_path_is_in_use_and_holds_nobody_up() {
    let path = SocketPath::new("full");
    let _listener = std::os::unix::net::UnixListener::bind(&path.0).unwrap();
    rustix::net::listen(&_listener, 0).unwrap();
    // As many as it takes.
    let mut queued = Vec::new();
    loop {
        let socket = rustix::net::socket_with(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            rustix::net::SocketFlags::NONBLOCK,
            None,
        )
        .unwrap();
        match rustix::net::connect(&socket, &rustix::net::SocketAddrUnix::new(&path.0).unwrap()) {
            Ok(()) => queued.push(socket),
            Err(e) => {
                assert_eq!(std::io::Error::from(e).kind(), ErrorKind::WouldBlock);
                break;
            }
        }
    }
    let address = format!("unix:{}", path.0.display());
    let output = run(&["echo", &address]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let line = format!("error: cannot listen on {address}: the address is in use by another process\n");
    assert!(stderr.starts_with(&line), "{stderr}");
}

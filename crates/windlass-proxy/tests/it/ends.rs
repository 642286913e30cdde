//! Bytes and ends, in every order.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use windlass_proxy::{Backend, ProxyConfig, Target};

use crate::servers::*;

fn pattern(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 31 + seed) as u8).collect()
}

#[test]
fn bytes_lost_at_half_close_the_client_ends_first() {
    // It hears all, and only then says all.
    let backend = Listening::start(|mut stream| {
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        heard.reverse();
        stream.write_all(&heard).unwrap();
    });
    let (front, running) = proxy(config([&backend]), 1);
    for length in [0, 1, 1_000, 3 << 20] {
        let said = pattern(length, length);
        let mut wanted = said.clone();
        wanted.reverse();
        assert!(ask(running.addresses[0], &said).unwrap() == wanted, "{length} bytes");
    }
    expect_nothing(&front);
}

#[test]
fn bytes_lost_at_half_close_the_backend_ends_first() {
    let backend = Listening::start(|mut stream| {
        stream.write_all(&pattern(1, 3 << 20)).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        assert!(heard == pattern(2, 3 << 20));
    });
    let (front, running) = proxy(config([&backend]), 1);
    let mut client = connect(running.addresses[0]);
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).unwrap();
    assert!(heard == pattern(1, 3 << 20));
    client.write_all(&pattern(2, 3 << 20)).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    // Its end comes once the backend has heard all.
    expect("the backend has heard all of it", || backend.now.load(std::sync::atomic::Ordering::SeqCst) == 0);
    expect_nothing(&front);
    let stats = &front.stats().backends[0];
    assert_eq!((stats.received_bytes, stats.sent_bytes), (3 << 20, 3 << 20));
}

#[test]
fn readiness_spins_nobody_turns_while_a_pair_is_half_closed_and_silent() {
    let backend = Listening::start(|mut stream| {
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        thread::park_timeout(LONG);
    });
    let (_front, running) = proxy(config([&backend]), 1);
    let mut client = connect(running.addresses[0]);
    client.write_all(b"hello").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let polls = || running.handle.stats().counters.polls;
    expect("it is coupled", || running.handle.stats().counters.relayed_bytes == 5);
    thread::sleep(std::time::Duration::from_millis(200));
    let before = polls();
    thread::sleep(std::time::Duration::from_secs(1));
    let turned = polls() - before;
    // Ten ticks in a second; a spin is thousands.
    assert!(turned < 100, "{turned} turns in a second in which nothing happened");
}

#[test]
fn a_reset_is_passed_on_as_one() {
    let backend = Listening::start(|stream| {
        let mut stream = stream;
        let mut first = [0; 5];
        stream.read_exact(&mut first).unwrap();
        // With input unread, closing resets.
        thread::sleep(std::time::Duration::from_millis(20));
    });
    let (front, running) = proxy(config([&backend]), 1);
    let mut client = connect(running.addresses[0]);
    client.write_all(b"hello and more than it reads").unwrap();
    let ended = client.read_to_end(&mut Vec::new());
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    expect_nothing(&front);
}

#[test]
fn unix_sockets_on_either_side() {
    let folder = std::env::temp_dir().join(format!("windlass-proxy-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (inner, outer) = (folder.join("backend"), folder.join("front"));
    let listener = UnixListener::bind(&inner).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut heard = Vec::new();
                stream.read_to_end(&mut heard).unwrap();
                stream.write_all(&heard).unwrap();
            });
        }
    });
    let config = ProxyConfig::default().backend(Backend::at(Target::Unix(inner)));
    let front = windlass_proxy::Front::new(config).unwrap();
    let running = Running::start(front.serve().workers(1).tcp("127.0.0.1:0").unix(&outer));
    let said = pattern(3, 1 << 20);
    assert!(ask(running.addresses[0], &said).unwrap() == said);
    let mut client = UnixStream::connect(&outer).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    let (mut sender, text) = (client.try_clone().unwrap(), said.clone());
    let sends = thread::spawn(move || {
        sender.write_all(&text).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).unwrap();
    sends.join().unwrap();
    assert!(heard == said);
    expect_nothing(&front);
    let _ = std::fs::remove_dir_all(&folder);
}

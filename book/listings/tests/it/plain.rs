//! What the plain servers get wrong, in bytes and counts, and that ours does not.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::program::{Program, folder};

const PAGE: usize = 16 * 1024 * 1024;

fn expect(stream: &mut TcpStream, wanted: &[u8]) {
    let mut got = vec![0; wanted.len()];
    stream.read_exact(&mut got).expect("an answer");
    assert_eq!(got, wanted);
}

// Reads to the end, whatever kind of end it is, and counts.
fn count_to_end(stream: &mut TcpStream) -> usize {
    let (mut count, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return count,
            Ok(n) => count += n,
            Err(e) if e.kind() == ErrorKind::ConnectionReset => return count,
            Err(e) => panic!("after {count} bytes: {e}"),
        }
    }
}

// Whether nothing is there to be read, while another connection is served a hundred times.
fn stays_silent(server: &Program, silent: &mut TcpStream) -> bool {
    let mut other = server.connect();
    for _ in 0..100 {
        other.write_all(b"x").unwrap();
        expect(&mut other, b"x");
    }
    silent.set_nonblocking(true).unwrap();
    let nothing = matches!(silent.read(&mut [0]), Err(e) if e.kind() == ErrorKind::WouldBlock);
    silent.set_nonblocking(false).unwrap();
    nothing
}

#[test]
fn write_all_loses_the_rest_of_a_page() {
    let server = Program::serve("plain_pages");
    let mut peer = server.connect_narrow();
    peer.write_all(b"x").unwrap();
    server.says("temporarily unavailable");
    assert!(count_to_end(&mut peer) < PAGE);
}

#[test]
fn windlass_sends_the_whole_page() {
    let server = Program::serve("pages");
    let mut peer = server.connect_narrow();
    peer.write_all(b"x").unwrap();
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(count_to_end(&mut peer), PAGE);
}

#[test]
fn one_read_per_event_leaves_the_rest_behind() {
    let message = vec![b'm'; 10_000];
    let server = Program::serve("plain_echo");
    let mut peer = server.connect();
    // In one segment, so in one event.
    assert_eq!(peer.write(&message).unwrap(), message.len());
    expect(&mut peer, &message[..4096]);
    assert!(stays_silent(&server, &mut peer), "the rest came without a new event");
    // Until something new arrives.
    peer.write_all(b"m").unwrap();
    expect(&mut peer, &message[..4096]);

    let server = Program::serve("echo");
    let mut peer = server.connect();
    assert_eq!(peer.write(&message).unwrap(), message.len());
    expect(&mut peer, &message);
}

#[test]
fn running_out_of_descriptors_ends_the_plain_server_only() {
    let limited = |name: &str| {
        let mut command = Command::new("prlimit");
        Program::start(command.arg("--nofile=40").arg(folder().join(name)).arg("127.0.0.1:0"))
    };
    let crowd = |server: &Program| {
        let address = server.address().to_string();
        let output = Command::new(folder().join("crowd")).args([&address, "50"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };

    let mut server = limited("plain_echo");
    assert!(!crowd(&server).contains("50 of 50"));
    assert!(!server.ended().success());
    server.says("Too many open files");

    let mut server = limited("echo");
    assert_eq!(crowd(&server), "50 came, 50 of 50 lines were answered\n");
    assert!(server.is_running());
}

#[test]
fn a_queue_without_a_limit_takes_all_the_memory_it_is_asked_for() {
    // Eight bytes in, eight pages out, to a peer that has not begun to read when the first is there.
    let peak = |name: &str| {
        let server = Program::serve(name);
        let mut peer = server.connect_narrow();
        peer.write_all(&[b'x'; 8]).unwrap();
        let mut first = [0];
        peer.read_exact(&mut first).unwrap();
        let mut other = server.connect();
        other.write_all(b"x").unwrap();
        other.read_exact(&mut first).unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(count_to_end(&mut peer), 8 * PAGE - 1, "no byte is lost");
        server.peak_kib()
    };
    let page = PAGE as u64 / 1024;
    let (plain, ours) = (peak("plain_queue"), peak("pages"));
    assert!(plain > 8 * page, "{plain} KiB");
    assert!(ours < 2 * page, "{ours} KiB");
}

#[test]
fn an_event_can_find_the_next_owner_of_its_place() {
    let output = Command::new(folder().join("plain_stale")).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("is given to Cem"), "{said}");
}

#[test]
fn an_interrupted_wait_ends_the_plain_server_only() {
    for (name, ends) in [("plain_echo", true), ("echo", false)] {
        let mut server = Program::serve(name);
        let mut peer = server.connect();
        peer.write_all(b"before").unwrap();
        expect(&mut peer, b"before");
        server.settled();
        server.signal("STOP");
        while !server.status("State").starts_with('T') {
            thread::sleep(Duration::from_millis(1));
        }
        server.signal("CONT");
        if ends {
            assert!(!server.ended().success());
            server.says("Interrupted");
        } else {
            peer.write_all(b"after").unwrap();
            expect(&mut peer, b"after");
        }
    }
}

#[test]
fn who_says_nothing_stays_or_is_told_to_go() {
    // Nobody leaves: the plain server sleeps without a deadline, and holds what it holds.
    let server = Program::serve("plain_echo");
    let silent: Vec<_> = (0..100).map(|_| server.connect()).collect();
    server.hear("a hundred newcomers", |lines| {
        (lines.iter().filter(|line| line.ends_with("connected")).count() == 100).then_some(())
    });
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    assert!(descriptors > silent.len());

    // Ours says what is wrong and closes, though the peer keeps typing.
    let server = Program::serve("lines");
    let mut silent = server.connect();
    let mut trickle = server.connect();
    let mut typing = trickle.try_clone().unwrap();
    thread::spawn(move || {
        while typing.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    for peer in [&mut silent, &mut trickle] {
        expect(peer, b"too slow\n");
    }
    assert_eq!(count_to_end(&mut silent), 0);
}

#[test]
fn a_plain_server_cuts_its_replies_off_when_it_is_stopped() {
    for (name, whole) in [("plain_queue", false), ("pages", true)] {
        let mut server = Program::serve(name);
        let mut peer = server.connect_narrow();
        peer.write_all(b"x").unwrap();
        let mut first = [0];
        peer.read_exact(&mut first).unwrap();
        server.signal("TERM");
        if !whole {
            server.ended();
        }
        let count = 1 + count_to_end(&mut peer);
        assert_eq!(count == PAGE, whole, "{name}: {count} bytes");
        drop(peer);
        assert_eq!(server.ended().success(), whole);
    }
}

#[test]
fn a_message_costs_a_plain_server_a_line_of_output_too() {
    if !Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: strace is not there; the calls were not counted");
        return;
    }
    // Calls that write to standard output, and calls that send.
    let calls = |name: &str| {
        let record = std::env::temp_dir().join(format!("windlass-book-{}-{name}", std::process::id()));
        let mut command = Command::new("strace");
        command.arg("-o").arg(&record).arg(folder().join(name)).arg("127.0.0.1:0");
        let mut server = Program::start(&mut command);
        let address = server.address().to_string();
        let said = Command::new(folder().join("crowd")).args([&address, "1", "1000"]).output().unwrap();
        assert_eq!(said.stdout, b"1 came, 1000 of 1000 lines were answered\n");
        // strace passes a SIGTERM on to nobody, but ends when its program does.
        assert!(Command::new("kill").args(server.children()).status().unwrap().success());
        server.ended();
        let text = std::fs::read_to_string(&record).unwrap();
        std::fs::remove_file(&record).unwrap();
        let count = |front: &str| text.lines().filter(|line| line.starts_with(front)).count();
        (count("write(1,"), count("sendto("))
    };
    let (said, sent) = calls("plain_echo");
    assert!(said >= 1000 && sent == 1000, "{said} lines, {sent} sent");
    assert_eq!(calls("echo"), (1, 1000));
}

//! The steady state: one read and one write for a message, no read for nothing, no change of a
//! registration; and the counters say what the kernel saw.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Command;

use windlass::{Counters, serve};

use crate::child::{self, Process};
use crate::harness::*;

const MESSAGES: u64 = 1_000;

fn calls(counters: &Counters) -> [u64; 6] {
    let c = counters;
    [c.reads, c.reads_would_block, c.writes, c.writes_would_block, c.registers, c.modifies]
}

#[test]
fn over_tcp_one_read_and_one_write_for_a_message() {
    let server = echo(limits());
    let mut stream = server.connect();
    round_trip(&mut stream, b"warm up");
    let before = server.wait_for("the turn to end", |c| c.writes == 1 && c.buffered_bytes == 0);
    for n in 0..MESSAGES {
        round_trip(&mut stream, &n.to_le_bytes().repeat(8));
    }
    let after = server.wait_for("the last turn", |c| c.bytes_out == before.bytes_out + 64 * MESSAGES);
    let mut wanted = calls(&before);
    wanted[0] += MESSAGES;
    wanted[2] += MESSAGES;
    assert_eq!(calls(&after), wanted);
    assert_eq!(after.reads_would_block, 0);
    assert!(after.events - before.events <= MESSAGES + 1, "one event each: {}", after.events - before.events);
    assert!(after.polls - before.polls <= 2 * MESSAGES, "at most a poll that waits, too");
    assert!(after.accepts == before.accepts);
    server.stop();
}

#[test]
fn over_a_unix_socket_one_read_and_one_write_for_a_message() {
    let path = SocketPath::new();
    let server = Running::start(serve(|| Echo).config(one_worker(limits())).unix(&path.0));
    let mut stream = path.connect();
    round_trip(&mut stream, b"warm up");
    let before = server.wait_for("the turn to end", |c| c.writes == 1);
    for n in 0..MESSAGES {
        round_trip(&mut stream, &n.to_le_bytes().repeat(8));
    }
    let after = server.wait_for("the last turn", |c| c.bytes_out == before.bytes_out + 64 * MESSAGES);
    let mut wanted = calls(&before);
    wanted[0] += MESSAGES;
    wanted[2] += MESSAGES;
    assert_eq!(calls(&after), wanted);
    assert!(after.events - before.events <= MESSAGES + 1, "one event each: {}", after.events - before.events);
    server.stop();
}

#[test]
fn a_batch_of_messages_is_one_write() {
    let probe = crate::probe::Probe::new().0.input(|conn, input| {
        while let Some(message) = input.take(64) {
            conn.write(message);
        }
        Ok(())
    });
    let server = Running::start(serve(move || probe.clone()).config(one_worker(limits())).tcp("127.0.0.1:0"));
    let mut stream = server.connect();
    let batch = pattern(64 * 16);
    for _ in 0..100 {
        round_trip(&mut stream, &batch);
    }
    let counters = server.stop().stats.counters;
    assert_eq!(counters.bytes_out, 100 * 64 * 16);
    assert!(counters.writes <= counters.reads, "{} writes, {} reads", counters.writes, counters.reads);
}

#[test]
fn write_interest_on_a_unix_socket_is_added_once_and_counted() {
    let path = SocketPath::new();
    let server = Running::start(serve(|| Echo).config(one_worker(limits())).unix(&path.0));
    let mut stream = path.connect();
    let message = pattern(4 * 1024 * 1024);
    for _ in 0..2 {
        let mut writer = stream.try_clone().unwrap();
        let sent = message.clone();
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &sent).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(50));
        expect(&mut stream, &message);
        writer.join().unwrap();
    }
    assert_eq!(server.stop().stats.counters.modifies, 1);
}

/// In a child: an echo server on one TCP and one Unix listener.
#[test]
#[ignore = "a part of the test below, run in a child"]
fn counted_echo() {
    let Some(path) = child::arg() else { return };
    let server = serve(|| Echo).config(one_worker(limits())).tcp("127.0.0.1:0").unix(path);
    let server = Running::start(server);
    child::say(server.addr());
    child::answer(&server.handle);
    let counters = server.stop().stats.counters;
    child::say(counters.entries().map(|(name, n)| format!("{name}={n}")).collect::<Vec<_>>().join(" "));
}

/// The table of `strace -c`: calls by name.
fn calls_by_name(report: &str) -> HashMap<String, u64> {
    let row = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        // "% time, seconds, usecs/call, calls, [errors,] syscall"
        let calls = words.get(3)?.parse().ok()?;
        Some((words.last()?.to_string(), calls))
    };
    report.lines().filter_map(row).collect()
}

#[test]
fn the_counters_agree_with_strace() {
    let can = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("!!! SKIPPED: strace is not installed, or may not trace");
        return;
    }
    let (path, report) = (SocketPath::new(), SocketPath::new());
    let report_path = report.0.display().to_string();
    let traced = "trace=recvfrom,recvmsg,readv,sendto,sendmsg,writev,epoll_ctl,accept4,shutdown";
    let under = ["strace", "-f", "-c", "-e", traced, "-o", &report_path];
    let mut server = Process::wrapped(&under, "steady::counted_echo", &path.0.display().to_string());
    let addr: SocketAddr = server.hear().parse().unwrap();
    {
        let mut stream = connect(addr);
        let mut unix = path.connect();
        for n in 0..MESSAGES {
            round_trip(&mut stream, &n.to_le_bytes().repeat(8));
            if n % 10 == 0 {
                round_trip(&mut unix, &n.to_le_bytes().repeat(8));
            }
        }
        // Some that come and go, some output that does not fit at once.
        for _ in 0..5 {
            round_trip(&mut connect(addr), b"hello");
        }
        let message = pattern(8 * 1024 * 1024);
        let (mut stream, mut unix_writer) = (connect(addr), unix.try_clone().unwrap());
        let writer = send_and_finish(&stream, message.clone());
        let sent = message.clone();
        let unix_sender =
            std::thread::spawn(move || std::io::Write::write_all(&mut unix_writer, &sent).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(100));
        expect(&mut stream, &message);
        expect_end(&mut stream);
        expect(&mut unix, &message);
        writer.join().unwrap();
        unix_sender.join().unwrap();
    }
    while child::ask(&mut server)["connections"] > 0 {}
    server.end_of_words();
    let text = server.hear();
    server.finish();
    let counted: HashMap<_, u64> = text
        .split(' ')
        .map(|word| word.split_once('=').unwrap())
        .map(|(k, n)| (k, n.parse().unwrap()))
        .collect();
    let traced = calls_by_name(&std::fs::read_to_string(&report.0).unwrap());
    let traced = |names: &[&str]| names.iter().filter_map(|name| traced.get(*name)).sum::<u64>();
    assert_eq!(traced(&["recvfrom", "recvmsg", "readv"]), counted["reads"], "reads");
    assert_eq!(traced(&["sendto", "sendmsg", "writev"]), counted["writes"], "writes");
    assert_eq!(traced(&["accept4"]), counted["accepts"], "accepts");
    assert_eq!(traced(&["shutdown"]), counted["finishes"], "half-closes");
    // Beside those of connections: the waker, and both listeners in and out.
    let connections = counted["registers"] + counted["modifies"] + counted["closes_done"];
    assert_eq!(traced(&["epoll_ctl"]), connections + 1 + 2 * 2, "registrations");
    assert_eq!(counted["modifies"], 1, "none but for the Unix socket");
    assert_eq!(counted["registers"], counted["closes_done"]);
}

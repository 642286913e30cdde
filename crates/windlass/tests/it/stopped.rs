//! Stopped processes. A client that is stopped (SIGSTOP) in the middle of a flood: others go on, and it
//! gets every byte once it goes on too. A server that is stopped: it goes on where it was.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use windlass::serve;

use crate::child::{self, Process};
use crate::harness::*;
use crate::probe::Probe;

const FLOOD: usize = 16 * 1024 * 1024;

/// In a child: asks for the flood and checks it.
#[test]
#[ignore = "a part of the test below, run in a child"]
fn flooded_client() {
    let Some(arg) = child::arg() else { return };
    let mut stream = connect(arg.parse::<SocketAddr>().unwrap());
    stream.write_all(b"flood").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    child::say("begun");
    // Stopped while it waits for this.
    child::listen();
    expect(&mut stream, &pattern(FLOOD)[1..]);
    child::say("every byte");
}

#[test]
fn a_stopped_client_gets_every_byte_and_holds_nobody_up() {
    let probe = Probe::new().0.input(|conn, input| {
        match &*input.take_all() {
            b"flood" => conn.write(&pattern(FLOOD)),
            other => conn.write(other),
        }
        Ok(())
    });
    let server = Running::start(serve(move || probe.clone()).config(one_worker(limits())).tcp("127.0.0.1:0"));
    let mut client = Process::start("stopped::flooded_client", &server.addr().to_string());
    assert_eq!(client.hear(), "begun");
    let pid = Pid::from_raw(client.pid() as i32).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    client.tell("go on");
    server.wait_for("the flood to stand", |c| c.buffered_bytes > 0);
    let before = server.counters();
    let mut others: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for _ in 0..20 {
        for other in &mut others {
            round_trip(other, b"hello");
        }
        thread::sleep(Duration::from_millis(10));
    }
    let after = server.counters();
    assert!(after.buffered_bytes <= FLOOD as u64);
    let polls = after.polls - before.polls;
    assert!(polls <= 20 * 10 * 2 + 50, "no spin on the one that does not read: {polls} polls");
    kill_process(pid, Signal::CONT).unwrap();
    assert_eq!(client.hear(), "every byte");
    client.finish();
    server.stop();
}

/// In a child: an echo server.
#[test]
#[ignore = "a part of the test below, run in a child"]
fn echo_in_a_child() {
    if child::arg().is_none() {
        return;
    }
    let server = echo(limits());
    child::say(server.addr());
    child::answer(&server.handle);
    server.stop();
}

/// Stopping and going on interrupts a poll (EINTR), which must end neither the loop nor a connection.
#[test]
fn a_stopped_server_goes_on() {
    let mut server = Process::start("stopped::echo_in_a_child", "");
    let addr: SocketAddr = server.hear().parse().unwrap();
    let pid = Pid::from_raw(server.pid() as i32).unwrap();
    let mut stream = connect(addr);
    round_trip(&mut stream, b"before");
    for n in 0..20_u32 {
        kill_process(pid, Signal::STOP).unwrap();
        let mut waiting = connect(addr);
        waiting.write_all(b"meanwhile").unwrap();
        stream.write_all(&n.to_le_bytes()).unwrap();
        kill_process(pid, Signal::CONT).unwrap();
        expect(&mut waiting, b"meanwhile");
        expect(&mut stream, &n.to_le_bytes());
        thread::sleep(Duration::from_millis(5));
    }
    let counters = child::ask(&mut server);
    assert_eq!(counters["opened"], 21);
    assert!(counters["polls"] < 1000, "{} polls", counters["polls"]);
    server.finish();
}

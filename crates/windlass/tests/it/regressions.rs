//! Mistakes that were made once, each as small as it could be made.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use windlass::{Close, Config, Conn, Input, Limits, Mailbox, Receive, Scope, Service, Sessions, serve};

use crate::harness::*;
use crate::probe::Probe;

/// The peer's FIN and the linger deadline in one turn: the connection was closed by the one and then
/// once more by the other.
#[test]
fn a_fin_and_the_linger_deadline_in_one_turn() {
    let probe = Probe::new().0.input(|conn, input| match &*input.take_all() {
        b"hold" => {
            thread::sleep(Duration::from_millis(300));
            Ok(())
        }
        bye => {
            conn.write(bye);
            Err(Close::Done)
        }
    });
    let limits = Limits { linger_timeout: Duration::from_millis(100), ..limits() };
    let server = Running::start(serve(move || probe.clone()).config(one_worker(limits)).tcp("127.0.0.1:0"));
    let (mut busy, mut leaving) = (server.connect(), server.connect());
    round_trip(&mut leaving, b"bye");
    expect_end(&mut leaving);
    busy.write_all(b"hold").unwrap();
    thread::sleep(Duration::from_millis(30));
    drop(leaving);
    server.wait_for("the close", |c| c.connections == 1 && c.opened == 2);
    // The slot goes to somebody who must not inherit what was left to do.
    let mut next = server.connect();
    thread::sleep(Duration::from_millis(150));
    busy.write_all(b"hold").unwrap();
    next.write_all(b"bye").unwrap();
    expect(&mut next, b"bye");
    server.stop();
}

/// A listener that fails for ever, in a way nobody foresaw, must not make its worker spin. (Shut down
/// behind the server's back, every accept from it says "invalid argument".)
#[test]
#[cfg(target_os = "linux")]
fn a_broken_listener_is_no_reason_to_spin() {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let bound = windlass::Server::new(one_worker(limits()))
        .add(serve(|| Echo).tcp("127.0.0.1:0").tcp("127.0.0.1:0"))
        .bind()
        .unwrap();
    let server = Running::run(bound);
    let Some(fd) = descriptor_of_listener(server.addr().port()) else { panic!("it listens") };
    let this = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let Ok(listener) = pidfd_getfd(this, fd, PidfdGetfdFlags::empty()) else {
        eprintln!("!!! SKIPPED: descriptors cannot be duplicated here");
        return;
    };
    socket2::Socket::from(listener).shutdown(std::net::Shutdown::Both).unwrap();
    thread::sleep(Duration::from_millis(100));
    let mut other = connect(server.addrs[1]);
    let before = server.counters();
    thread::sleep(Duration::from_millis(500));
    round_trip(&mut other, b"the other listener works");
    let after = server.counters();
    let polls = after.polls - before.polls;
    assert!(polls <= 200, "{polls} polls in half a second");
    server.stop();
}

/// The descriptor in this process of the socket that listens on a port of IPv4.
#[cfg(target_os = "linux")]
fn descriptor_of_listener(port: u16) -> Option<i32> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    // Local address in hexadecimal, and state 0A: listening.
    let mut rows = rows.filter(|row| row[1].ends_with(&format!(":{port:04X}")) && row[3] == "0A");
    let socket = format!("socket:[{}]", rows.next()?[9]);
    let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let mut files = files.filter(|f| std::fs::read_link(f.path()).is_ok_and(|to| to.as_os_str() == &*socket));
    files.next()?.file_name().to_str()?.parse().ok()
}

/// A successor may listen on the path while its predecessor drains; the latter, once gone, removed the
/// socket file of the former.
#[test]
fn a_predecessor_leaves_the_socket_file_of_its_successor_alone() {
    let path = SocketPath::new();
    let probe = Probe::new().0.draining(|_| Ok(())).eof(|_| Err(Close::Eof));
    let old = Running::start(serve(move || probe.clone()).config(one_worker(limits())).unix(&path.0));
    let stream = path.connect();
    old.wait_for("the connection", |c| c.connections == 1);
    old.handle.shutdown();
    while std::os::unix::net::UnixStream::connect(&path.0).is_ok() {
        thread::sleep(Duration::from_millis(2));
    }
    let new = Running::start(serve(|| Echo).config(one_worker(limits())).unix(&path.0));
    round_trip(&mut path.connect(), b"hello");
    drop(stream);
    old.ended_well();
    round_trip(&mut path.connect(), b"still here");
    new.stop();
    assert!(!path.0.exists(), "its own is removed");
}

/// Without a listener nothing made the worker's first turn happen; a message or a shutdown from
/// before it was never seen, and with it all later ones.
#[test]
fn a_server_without_listeners_hears_what_was_sent_before_it_ran() {
    struct Quiet(std::sync::mpsc::Sender<u32>);
    impl Service for Quiet {
        type Session = ();
        fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
            Ok(())
        }
        fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
            Ok(())
        }
    }
    impl Receive for Quiet {
        type Message = u32;
        fn receive(&mut self, _: &mut Scope<'_>, _: &mut Sessions<()>, message: u32) {
            let _ = self.0.send(message);
        }
    }
    let (sender, seen) = channel();
    let mailbox = Mailbox::new();
    let make = move || Quiet(sender.clone());
    let bound = serve(make).mailbox(&mailbox).config(one_worker(limits())).bind().unwrap();
    mailbox.send(0, 7).unwrap();
    let server = Running::run(bound);
    assert_eq!(seen.recv_timeout(LONG), Ok(7));
    server.handle.shutdown();
    server.ended_well();
}

/// Listeners that share a port let a second server of the same user join them unnoticed.
#[test]
fn a_port_in_use_is_in_use_with_any_number_of_workers() {
    for workers in [1, 2] {
        let bind = |at: String| serve(|| Echo).workers(workers).tcp(at).bind();
        let first = bind("127.0.0.1:0".into()).unwrap();
        let error = bind(first.addresses()[0].to_string()).err().expect("the port is taken");
        assert_eq!(error.io().map(|e| e.kind()), Some(std::io::ErrorKind::AddrInUse));
    }
}

/// Worker 0 watches the stop pipe; when it had drained nobody heard the second request.
#[test]
fn a_second_request_on_the_stop_pipe_is_heard_while_anybody_drains() {
    let linger_timeout = Duration::from_millis(20);
    let limits = Limits { drain_timeout: LONG * 10, linger_timeout, ..limits() };
    let probe = Probe::new().0.draining(|conn| match conn.id().worker() {
        0 => Err(Close::Shutdown),
        _ => Ok(()),
    });
    let config = Config::default().workers(2).limits(limits);
    let bound = serve(move || probe.clone()).config(config).tcp("127.0.0.1:0").bind().unwrap();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let server = Running::run(bound.stop_pipe(ours));
    let on = |worker| server.handle.worker_stats(worker).unwrap().counters.connections;
    let mut streams = Vec::new();
    while on(0) == 0 || on(1) == 0 {
        streams.push(server.connect());
        server.wait_for("it to be counted", |c| c.opened == streams.len() as u64);
    }
    theirs.write_all(b"!").unwrap();
    server.wait_for("worker 0 to be done", |_| on(0) == 0);
    thread::sleep(Duration::from_millis(50));
    assert!(on(1) > 0, "and worker 1 is not");
    theirs.write_all(b"!").unwrap();
    server.ended_well();
}

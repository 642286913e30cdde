//! Mistakes that were made once, each as small as it could be made.

use std::io::Write;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use windlass::{Close, Conn, Input, Limits, Mailbox, Receive, Scope, Service, Sessions, serve};

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

//! Messages from other threads: each once, in order, bounded, with few wakes.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use windlass::{
    Close, Config, Conn, Input, Limits, Mailbox, Receive, Scope, SendError, Service, Sessions, serve,
};

use crate::harness::*;

/// Notes each message with the worker it came to, and passes text on to its connections.
struct Board {
    seen: Sender<(usize, Note)>,
    hold: Arc<Barrier>,
}

#[derive(Clone, PartialEq, Debug)]
enum Note {
    Number {
        sender: usize,
        number: u64,
    },
    Text(&'static str),
    /// Holds the worker until the test comes to the barrier twice.
    Hold,
}

impl Service for Board {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        Ok(())
    }
}

impl Receive for Board {
    type Message = Note;
    fn receive(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>, note: Note) {
        match note {
            Note::Text(text) => scope.broadcast(text.as_bytes()),
            Note::Hold => {
                self.hold.wait();
                self.hold.wait();
            }
            Note::Number { .. } => {}
        }
        let _ = self.seen.send((scope.worker(), note));
    }
}

struct Notes {
    server: Running,
    mailbox: Mailbox<Note>,
    seen: std::sync::mpsc::Receiver<(usize, Note)>,
    hold: Arc<Barrier>,
}

fn start(workers: usize, limits: Limits) -> Notes {
    let mailbox = Mailbox::new();
    let (sender, seen) = channel();
    let hold = Arc::new(Barrier::new(2));
    let in_service = hold.clone();
    let make = move || Board { seen: sender.clone(), hold: in_service.clone() };
    let config = Config::default().workers(workers).limits(limits);
    let server = Running::start(serve(make).mailbox(&mailbox).config(config).tcp("127.0.0.1:0"));
    Notes { server, mailbox, seen, hold }
}

#[test]
fn from_many_threads_to_all_workers_once_and_in_order() {
    const SENDERS: usize = 4;
    const EACH: u64 = 5_000;
    for workers in [1, 3] {
        let Notes { server, mailbox, seen, .. } = start(workers, limits());
        assert_eq!(mailbox.workers(), workers);
        thread::scope(|scope| {
            for sender in 0..SENDERS {
                let mailbox = mailbox.clone();
                scope.spawn(move || {
                    for number in 0..EACH {
                        mailbox.send_to_all(Note::Number { sender, number }).unwrap();
                    }
                });
            }
        });
        let mut next = vec![[0; SENDERS]; workers];
        for _ in 0..EACH * (SENDERS * workers) as u64 {
            let (worker, note) = seen.recv_timeout(LONG).expect("every message arrives");
            let Note::Number { sender, number } = note else { panic!("{note:?}") };
            assert_eq!(number, next[worker][sender], "in the order of their sender");
            next[worker][sender] += 1;
        }
        let summary = server.stop();
        assert_eq!(summary.stats.counters.messages, EACH * (SENDERS * workers) as u64);
        assert!(seen.recv_timeout(LONG).is_err(), "each once");
    }
}

#[test]
fn a_full_mailbox_hands_the_message_back_and_has_room_again_later() {
    let Notes { server, mailbox, seen, hold } = start(1, Limits { mailbox_max: 100, ..limits() });
    mailbox.send(0, Note::Hold).unwrap();
    hold.wait();
    let mut sent = 0;
    let back = loop {
        match mailbox.send(0, Note::Number { sender: 0, number: sent }) {
            Ok(()) => sent += 1,
            Err(e) => break e,
        }
    };
    // The one that is being delivered waits no longer.
    assert!(matches!(back, SendError::Full(Note::Number { number: 100, .. })), "{back:?}");
    assert_eq!(sent, 100);
    hold.wait();
    for _ in 0..101 {
        seen.recv_timeout(LONG).expect("what was taken in arrives");
    }
    mailbox.send(0, Note::Text("room again")).unwrap();
    assert_eq!(seen.recv_timeout(LONG).unwrap().1, Note::Text("room again"));
    server.stop();
}

#[test]
fn messages_the_worker_has_taken_but_not_delivered_count_too() {
    let Notes { server, mailbox, seen, hold } = start(1, Limits { mailbox_max: 100, ..limits() });
    mailbox.send(0, Note::Hold).unwrap();
    hold.wait();
    // Taken together, once the first hold is over; the second holds with 50 still to come.
    mailbox.send(0, Note::Hold).unwrap();
    for number in 0..50 {
        mailbox.send(0, Note::Number { sender: 0, number }).unwrap();
    }
    hold.wait();
    hold.wait();
    let fit = (0..200).filter(|n| mailbox.send(0, Note::Number { sender: 1, number: *n }).is_ok()).count();
    assert!((40..=50).contains(&fit), "{fit} more of 100 beside 50");
    hold.wait();
    for _ in 0..2 + 50 + fit {
        seen.recv_timeout(LONG).expect("what was taken in arrives");
    }
    server.stop();
}

#[test]
fn messages_sent_before_a_drain_are_delivered() {
    let Notes { server, mailbox, seen, hold } = start(1, Limits { mailbox_per_turn_max: 10, ..limits() });
    mailbox.send(0, Note::Hold).unwrap();
    hold.wait();
    for number in 0..1000 {
        mailbox.send(0, Note::Number { sender: 0, number }).unwrap();
    }
    server.handle.shutdown();
    hold.wait();
    server.ended_well();
    assert_eq!(seen.iter().count(), 1001);
}

#[test]
fn a_burst_wakes_the_worker_a_few_times_and_is_taken_in_turns() {
    let Notes { server, mailbox, seen, hold } = start(1, Limits { mailbox_per_turn_max: 100, ..limits() });
    thread::sleep(Duration::from_millis(50));
    let before = server.counters();
    mailbox.send(0, Note::Hold).unwrap();
    hold.wait();
    for number in 0..10_000 {
        mailbox.send(0, Note::Number { sender: 0, number }).unwrap();
    }
    hold.wait();
    for _ in 0..=10_000 {
        seen.recv_timeout(LONG).unwrap();
    }
    let after = server.wait_for("the last turn", |c| c.messages == 10_001);
    let polls = after.polls - before.polls;
    assert!((100..=110).contains(&polls), "{polls} polls for 10,000 messages, 100 a turn");
    let events = after.events - before.events;
    assert!(events <= 3, "{events} wakes");
    thread::sleep(Duration::from_millis(50));
    assert!(server.counters().polls <= after.polls + 2, "it sleeps again");
    server.stop();
}

#[test]
fn messages_reach_connections() {
    let Notes { server, mailbox, .. } = start(3, limits());
    let mut streams: Vec<_> = (0..12).map(|_| server.connect()).collect();
    for stream in &mut streams {
        round_trip(stream, b"here");
    }
    mailbox.send_to_all(Note::Text("to all of you")).unwrap();
    for stream in &mut streams {
        expect(stream, b"to all of you");
    }
    server.stop();
}

#[test]
fn messages_sent_before_it_runs_wait_for_it() {
    let mailbox = Mailbox::new();
    let early = mailbox.send(0, Note::Text("too early"));
    assert!(matches!(early, Err(SendError::Closed(_))), "nothing is bound");
    let (sender, seen) = channel();
    let hold = Arc::new(Barrier::new(2));
    let make = move || Board { seen: sender.clone(), hold: hold.clone() };
    let serve = serve(make).mailbox(&mailbox).config(Config::default().workers(2).limits(limits()));
    let bound = serve.tcp("127.0.0.1:0").bind().unwrap();
    mailbox.send_to_all(Note::Text("before")).unwrap();
    assert!(matches!(mailbox.send(2, Note::Text("")), Err(SendError::Closed(_))), "no such worker");
    let server = Running::run(bound);
    for _ in 0..2 {
        assert_eq!(seen.recv_timeout(LONG).unwrap().1, Note::Text("before"));
    }
    server.stop();
}

#[test]
fn once_the_server_has_stopped_the_mailbox_is_closed() {
    let Notes { server, mailbox, .. } = start(3, limits());
    server.stop();
    for worker in 0..3 {
        assert!(matches!(mailbox.send(worker, Note::Text("late")), Err(SendError::Closed(_))));
    }
    assert!(mailbox.send_to_all(Note::Text("late")).is_err());
}

#[test]
fn a_mailbox_belongs_to_one_server() {
    let Notes { server, mailbox, .. } = start(1, limits());
    let (sender, _seen) = channel();
    let hold = Arc::new(Barrier::new(2));
    let make = move || Board { seen: sender.clone(), hold: hold.clone() };
    let second = serve(make).mailbox(&mailbox).config(one_worker(limits())).tcp("127.0.0.1:0").bind();
    assert!(second.err().unwrap().to_string().contains("mailbox"));
    server.stop();
}

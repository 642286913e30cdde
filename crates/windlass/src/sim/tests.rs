//! The simulated system against the contract of the seam, without a worker.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::rc::Rc;

use super::end::EndId;
use super::errno::Errno;
use super::plan::{Edges, Odds, Plan};
use super::sys::{SimListener, SimStream, SimSys};
use super::world::World;
use crate::sys::{Readiness, Sys, Token};

struct Bench {
    world: Rc<RefCell<World>>,
    sys: SimSys,
    listener: SimListener,
}

impl Bench {
    fn new(plan: Plan) -> Bench {
        let world = Rc::new(RefCell::new(World::new(7, plan, 1)));
        let mut sys = SimSys::new(world.clone(), 0);
        let mut listener = world.borrow_mut().open_listener(0);
        sys.register_listener(&mut listener, Token::listener(0)).unwrap();
        Bench { world, sys, listener }
    }

    /// A connected pair, registered as connection 0.
    fn pair(&mut self) -> (EndId, SimStream) {
        let client = self.world.borrow_mut().connect(0, 0);
        self.settle();
        let (mut stream, _) = self.sys.accept(&mut self.listener).unwrap();
        self.sys.register(&mut stream, Token::conn(0, 0)).unwrap();
        self.events();
        (client, stream)
    }

    /// Lets everything on its way arrive.
    fn settle(&mut self) {
        let mut world = self.world.borrow_mut();
        while let Some(at) = world.next_happening() {
            world.now = world.now.max(at);
            world.happen();
        }
    }

    fn events(&mut self) -> Vec<(Token, u8)> {
        let mut events = Vec::new();
        self.sys.poll(None, |token, readiness| events.push((token, readiness.0))).unwrap();
        events
    }

    fn send(&mut self, from: EndId, bytes: &[u8]) {
        let mut world = self.world.borrow_mut();
        world.end_mut(from).unsent.extend(bytes);
        world.pump(from);
    }

    fn finish(&mut self, from: EndId) {
        let mut world = self.world.borrow_mut();
        world.end_mut(from).fin = super::end::Fin::Queued;
        world.pump(from);
    }
}

const IN: u8 = Readiness::READABLE;
const OUT: u8 = Readiness::WRITABLE;

#[test]
fn one_edge_for_many_connections_and_none_for_those_left_behind() {
    let mut bench = Bench::new(Plan::calm());
    for client in 0..3 {
        bench.world.borrow_mut().connect(client, 0);
    }
    bench.settle();
    assert_eq!(bench.events(), [(Token::listener(0), IN)]);
    let first = bench.sys.accept(&mut bench.listener).unwrap();
    assert_eq!(bench.events(), [], "what is left in the queue gives no new edge");
    assert!(bench.sys.accept(&mut bench.listener).is_ok());
    assert!(bench.sys.accept(&mut bench.listener).is_ok());
    let empty = bench.sys.accept(&mut bench.listener).err().unwrap();
    assert_eq!(empty.kind(), ErrorKind::WouldBlock);
    bench.sys.close(first.0, false, false);
}

#[test]
fn bytes_and_their_end_come_in_one_event() {
    let mut bench = Bench::new(Plan::calm());
    let (client, mut stream) = bench.pair();
    bench.send(client, b"hello");
    bench.finish(client);
    bench.settle();
    assert_eq!(bench.events(), [(Token::conn(0, 0), IN | OUT | Readiness::READ_CLOSED)]);
    let mut buf = [0; 16];
    assert_eq!(bench.sys.read(&mut stream, &mut buf).unwrap(), 5);
    assert_eq!(bench.events(), [], "and the end has no event of its own");
    assert_eq!(bench.sys.read(&mut stream, &mut buf).unwrap(), 0);
    bench.sys.close(stream, true, false);
}

#[test]
fn a_full_pipe_reports_space_once_it_was_missed_and_a_third_is_free() {
    let mut bench = Bench::new(Plan { send_buffer: 90..91, receive_buffer: 100..101, ..Plan::calm() });
    let (client, mut stream) = bench.pair();
    assert_eq!(bench.sys.write(&mut stream, &[1; 500]).unwrap(), 90);
    bench.settle();
    assert_eq!(bench.events(), [(Token::conn(0, 0), OUT)]);
    assert_eq!(bench.sys.write(&mut stream, &[1; 500]).unwrap(), 90);
    bench.settle();
    // Ten went through, eighty wait for a window.
    assert_eq!(bench.events(), []);
    assert_eq!(bench.sys.write(&mut stream, &[1; 500]).unwrap(), 10);
    let full = bench.sys.write(&mut stream, &[1; 500]).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    let mut taken = vec![0; 100];
    assert_eq!(bench.world.borrow_mut().end_mut(client).take(&mut taken), 100);
    bench.world.borrow_mut().window_opens(client);
    bench.settle();
    assert_eq!(bench.events(), [(Token::conn(0, 0), OUT)]);
    bench.sys.close(stream, true, false);
}

#[test]
fn stingy_edges_come_only_after_would_block() {
    let mut bench = Bench::new(Plan { edges: Edges::Stingy, ..Plan::calm() });
    assert!(!bench.sys.short_ends());
    let (client, mut stream) = bench.pair();
    // Armed for reading since it was registered.
    bench.send(client, b"12345678");
    bench.settle();
    assert_eq!(bench.events(), [(Token::conn(0, 0), IN)]);
    let mut buf = [0; 4];
    assert_eq!(bench.sys.read(&mut stream, &mut buf).unwrap(), 4);
    bench.send(client, b"more");
    bench.settle();
    assert_eq!(bench.events(), [], "the worker has not seen WouldBlock");
    assert_eq!(bench.sys.read(&mut stream, &mut buf).unwrap(), 4);
    assert_eq!(bench.sys.read(&mut stream, &mut buf).unwrap(), 4);
    assert_eq!(bench.sys.read(&mut stream, &mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
    bench.send(client, b"x");
    bench.settle();
    assert_eq!(bench.events(), [(Token::conn(0, 0), IN)]);
    bench.sys.close(stream, true, false);
}

#[test]
fn an_injected_short_read_keeps_the_promise_of_an_event() {
    let mut bench = Bench::new(Plan { short_read: Odds::ALWAYS, ..Plan::calm() });
    let (client, mut stream) = bench.pair();
    bench.send(client, &[7; 1000]);
    bench.settle();
    let mut got = 0;
    while got < 1000 {
        bench.settle();
        assert_eq!(bench.events(), [(Token::conn(0, 0), IN | OUT)], "after {got} bytes");
        let mut buf = [0; 2000];
        got += bench.sys.read(&mut stream, &mut buf).unwrap();
        if got < 1000 {
            assert_eq!(bench.sys.read(&mut stream, &mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
    }
    bench.sys.close(stream, true, false);
}

#[test]
fn bytes_before_a_reset_stay_readable() {
    let mut bench = Bench::new(Plan::calm());
    let (client, mut stream) = bench.pair();
    bench.send(client, b"last words");
    bench.world.borrow_mut().close_end(client, true);
    bench.settle();
    let events = bench.events();
    assert_eq!(events.len(), 1);
    assert_ne!(events[0].1 & Readiness::BROKEN, 0);
    let mut buf = [0; 16];
    assert_eq!(bench.sys.read(&mut stream, &mut buf).unwrap(), 10);
    assert_eq!(bench.sys.read(&mut stream, &mut buf).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(bench.sys.read(&mut stream, &mut buf).unwrap(), 0, "an error is told once");
    assert_eq!(bench.sys.write(&mut stream, b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    bench.sys.close(stream, true, false);
}

#[test]
fn closing_with_unread_bytes_resets_the_peer() {
    let mut bench = Bench::new(Plan::calm());
    let (client, mut stream) = bench.pair();
    bench.send(client, b"never read");
    bench.settle();
    assert_eq!(bench.sys.write(&mut stream, b"reply").unwrap(), 5);
    bench.sys.close(stream, true, false);
    bench.settle();
    let world = bench.world.borrow();
    assert!(world.end(client).reset_arrived);
    assert_eq!(world.descriptors, 0);
}

#[test]
fn a_closed_stream_still_delivers_what_was_written_and_its_end() {
    let mut bench = Bench::new(Plan { send_buffer: 4096..4097, receive_buffer: 64..65, ..Plan::calm() });
    let (client, mut stream) = bench.pair();
    assert_eq!(bench.sys.write(&mut stream, &[9; 4000]).unwrap(), 4000);
    bench.sys.close(stream, true, false);
    let mut got = 0;
    for _ in 0..200 {
        bench.settle();
        let mut world = bench.world.borrow_mut();
        let mut buf = [0; 100];
        got += world.end_mut(client).take(&mut buf);
        world.window_opens(client);
    }
    let world = bench.world.borrow();
    assert_eq!(got, 4000);
    assert!(world.end(client).fin_arrived && !world.end(client).reset_arrived);
}

#[test]
fn out_of_descriptors_keeps_the_queue_and_shedding_resets_its_first() {
    let mut bench = Bench::new(Plan { descriptors_max: 1, ..Plan::calm() });
    let (_, first) = bench.pair();
    let second = bench.world.borrow_mut().connect(1, 0);
    bench.settle();
    let full = bench.sys.accept(&mut bench.listener).err().unwrap();
    assert_eq!(full.raw_os_error(), std::io::Error::from(Errno::ProcessFiles).raw_os_error());
    assert!(bench.sys.shed(&mut bench.listener).unwrap());
    bench.settle();
    assert!(bench.world.borrow().end(second).reset_arrived);
    assert!(bench.world.borrow().end(second).disturbed);
    bench.sys.close(first, true, false);
    assert_eq!(bench.world.borrow().descriptors, 0);
}

#[test]
fn a_stale_event_carries_the_token_of_the_closed_registration() {
    let mut bench = Bench::new(Plan { stale: Odds::ALWAYS, ..Plan::calm() });
    let (_, stream) = bench.pair();
    bench.sys.close(stream, true, true);
    bench.settle();
    let events = bench.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].0, Token::conn(0, 0));
}

#[test]
#[should_panic(expected = "closed while Closed")]
fn closing_twice_panics() {
    let mut bench = Bench::new(Plan::calm());
    let (client, stream) = bench.pair();
    bench.world.borrow_mut().close_descriptor(client.peer(), false);
    bench.sys.close(stream, false, false);
}

#[test]
fn a_dropped_stream_is_closed_and_a_registered_one_is_a_failure() {
    let mut bench = Bench::new(Plan::calm());
    let (_, stream) = bench.pair();
    drop(stream);
    bench.world.borrow_mut().reap();
    let world = bench.world.borrow();
    assert_eq!(world.descriptors, 0);
    assert_eq!(world.failures.len(), 1);
}

#[test]
fn a_call_is_silent_until_it_is_answered_and_words_come_behind_the_answer() {
    let mut bench = Bench::new(Plan::calm());
    bench.world.borrow_mut().by_hand = true;
    let remote = super::remote::name(0, false);
    let (mut stream, done) = bench.sys.connect(&remote, None, None).unwrap();
    assert!(!done);
    bench.sys.register(&mut stream, Token::conn(0, 0)).unwrap();
    bench.settle();
    assert_eq!(bench.events(), []);
    assert!(!bench.sys.connected(&mut stream).unwrap());
    let held = bench.world.borrow().held[0].0;
    bench.world.borrow_mut().reached(held, usize::MAX, false);
    bench.send(held.peer(), b"hello");
    bench.settle();
    assert_eq!(bench.events(), [(Token::conn(0, 0), IN | OUT)]);
    assert!(bench.sys.connected(&mut stream).unwrap());
    bench.sys.close(stream, true, false);

    let (mut stream, _) = bench.sys.connect(&remote, None, None).unwrap();
    bench.sys.register(&mut stream, Token::conn(1, 0)).unwrap();
    let held = bench.world.borrow().held[1].0;
    bench.world.borrow_mut().refused(held, false);
    assert_ne!(bench.events()[0].1 & Readiness::BROKEN, 0);
    assert_eq!(bench.sys.connected(&mut stream).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    bench.sys.close(stream, true, false);
    assert_eq!(bench.world.borrow().descriptors, 0);
}

#[test]
fn the_same_seed_is_the_same_world() {
    let run = |seed| {
        let plan = Plan::swarm(&mut windlass_proto::testing::Rng::new(seed));
        let world = World::new(seed, plan, 2);
        (world.origin, format!("{:?}", world.plan))
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

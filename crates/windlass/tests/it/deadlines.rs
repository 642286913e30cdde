//! Deadlines of whole services: never early, once in a turn, and whatever the service last said.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use windlass::testing::Harness;
use windlass::{
    Close, Conn, Datagram, DatagramService, Input, Scope, Server, Service, Sessions, Socket, Time, datagrams,
    serve,
};

use crate::harness::*;

/// When it was called, and what it had answered.
type Told = Arc<Mutex<Vec<(Time, Time)>>>;

/// Rooms that tick at rates of their own, on a grid that begins with the worker.
struct Rooms {
    /// Hz.
    rates: &'static [u64],
    queue: BTreeSet<(Time, usize)>,
    /// Ticks of each.
    ticks: Vec<u64>,
    told: Told,
}

impl Rooms {
    fn new(rates: &'static [u64], told: &Told) -> Rooms {
        Rooms { rates, queue: BTreeSet::new(), ticks: vec![0; rates.len()], told: told.clone() }
    }
}

impl Service for Rooms {
    type Session = ();

    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
        let first = |(room, rate)| (scope.now() + Duration::from_nanos(1_000_000_000 / rate), room);
        self.queue = self.rates.iter().copied().enumerate().map(|(room, rate)| first((room, rate))).collect();
    }

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        conn.write(format!("{:?}", self.ticks).as_bytes());
        Ok(())
    }

    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        input.take_all();
        // Busy past many deadlines.
        thread::sleep(Duration::from_millis(60));
        Ok(())
    }

    fn deadline(&mut self) -> Option<Time> {
        self.queue.first().map(|(at, _)| *at)
    }

    fn due(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
        let (at, room) = self.queue.pop_first().expect("it had a deadline");
        self.told.lock().unwrap().push((scope.now(), at));
        self.ticks[room] += 1;
        // One in each call: those that have passed as well are called for in the turns that follow.
        self.queue.insert((at + Duration::from_nanos(1_000_000_000 / self.rates[room]), room));
    }
}

#[test]
fn many_rates_in_virtual_time_are_exact() {
    let told = Told::default();
    let rooms = told.clone();
    let rates = &[1, 20, 30, 60, 64, 128, 240, 240];
    let mut harness = Harness::new(serve(move || Rooms::new(rates, &rooms)));
    harness.advance(Duration::from_millis(10_002));
    let peer = harness.connect();
    let ticks = rates.map(|rate| rate * 10);
    assert_eq!(harness.receive(peer), format!("{ticks:?}").as_bytes());
    let told = told.lock().unwrap();
    assert_eq!(told.len() as u64, ticks.iter().sum::<u64>());
    assert!(told.iter().all(|(now, at)| now == at), "neither early nor late");
}

/// Does what it is told: "5" wants to be called in 5 ms, "-" never.
struct Obedient {
    at: Option<Time>,
    told: Told,
}

impl Service for Obedient {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        let text = String::from_utf8_lossy(input.take_all()).into_owned();
        self.at = text.parse().ok().map(|millis| conn.now() + Duration::from_millis(millis));
        Ok(())
    }
    fn deadline(&mut self) -> Option<Time> {
        self.at
    }
    fn due(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
        let at = self.at.take().expect("it had a deadline");
        self.told.lock().unwrap().push((scope.now(), at));
    }
}

#[test]
fn the_last_answer_counts() {
    let told = Told::default();
    let in_service = told.clone();
    let mut harness = Harness::new(serve(move || Obedient { at: None, told: in_service.clone() }));
    let peer = harness.connect();
    let start = harness.now();
    let came = |told: &Told| -> Vec<u128> {
        told.lock().unwrap().drain(..).map(|(now, _)| now.since(start).as_millis()).collect()
    };
    // Later, then earlier, than what is set.
    harness.send(peer, b"20");
    harness.send(peer, b"50");
    harness.advance(Duration::from_millis(49));
    assert!(came(&told).is_empty(), "the later one counts");
    harness.advance(Duration::from_millis(10));
    assert_eq!(came(&told), [50]);
    harness.send(peer, b"1000");
    harness.send(peer, b"20");
    harness.advance(Duration::from_millis(1000));
    assert_eq!(came(&told), [79], "the earlier one, and once");
    // Never, and then the same again.
    harness.send(peer, b"20");
    harness.send(peer, b"-");
    harness.advance(Duration::from_millis(100));
    assert!(came(&told).is_empty(), "taken back");
    harness.send(peer, b"20");
    harness.send(peer, b"-");
    harness.send(peer, b"20");
    harness.advance(Duration::from_millis(30));
    assert_eq!(came(&told), [1179]);
    // At once.
    harness.send(peer, b"0");
    assert_eq!(came(&told), [1189]);
}

#[test]
fn several_services_beside_a_tick_on_one_timer() {
    let (fast, slow) = (Told::default(), Told::default());
    let (a, b) = (fast.clone(), slow.clone());
    let bound = Server::new(one_worker(limits()))
        .add(serve(move || Rooms::new(&[200, 50], &a)).tcp("127.0.0.1:0"))
        .add(serve(|| Echo).tick(Duration::from_millis(7)).tcp("127.0.0.1:0"))
        .add(serve(move || Rooms::new(&[10], &b)).name("slow").tcp("127.0.0.1:0"))
        .bind()
        .unwrap();
    let server = Running::run(bound);
    let mut stream = server.connect();
    let mut holds = 0;
    let begun = Instant::now();
    while holds < 3 || fast.lock().unwrap().len() < 120 || slow.lock().unwrap().len() < 4 {
        assert!(begun.elapsed() < LONG, "they are called");
        thread::sleep(Duration::from_millis(200));
        stream.write_all(b"hold").unwrap();
        holds += 1;
    }
    let counters = server.stop().stats.counters;
    let (fast, slow) = (fast.lock().unwrap(), slow.lock().unwrap());
    assert!(fast.iter().chain(&*slow).all(|(now, at)| now >= at), "never early");
    // One call for each deadline, those that were missed for a time included.
    assert!(fast.windows(2).all(|pair| pair[0].1 <= pair[1].1), "in order");
    let called = (fast.len() + slow.len()) as u64;
    assert!(counters.ticks > called, "the tick of the other service is among them");
    assert!(counters.polls <= 2 * counters.ticks + 30, "{} polls for {}", counters.polls, counters.ticks);
}

/// Deadlines are met to the half of a millisecond, which a poll's timeout cannot do.
#[test]
#[cfg(target_os = "linux")]
fn finer_than_a_poll_timeout() {
    let told = Told::default();
    let rooms = told.clone();
    // Off the grid of milliseconds.
    let serve = serve(move || Rooms::new(&[240, 77], &rooms)).config(one_worker(limits()));
    let server = Running::start(serve.tcp("127.0.0.1:0"));
    let begun = Instant::now();
    loop {
        thread::sleep(Duration::from_secs(1));
        let mut late: Vec<_> = told.lock().unwrap().drain(..).map(|(now, at)| now.since(at)).collect();
        late.sort_unstable();
        // The best tenth, in the best second: others may keep this machine busy.
        let best = late.get(late.len() / 10).copied();
        if late.len() > 150 && best < Some(Duration::from_micros(500)) {
            break;
        }
        assert!(begun.elapsed() < LONG, "{} of them, {best:?} late", late.len());
    }
    server.stop();
}

#[test]
fn it_goes_on_in_a_graceful_shutdown() {
    struct Stays {
        at: Time,
        calls: u32,
    }
    impl Service for Stays {
        type Session = ();
        fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
            Ok(())
        }
        fn data(&mut self, _: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
            input.take_all();
            Ok(())
        }
        fn draining(&mut self, _: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
            Ok(())
        }
        fn deadline(&mut self) -> Option<Time> {
            (self.calls > 0).then_some(self.at)
        }
        fn shutdown(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
            (self.calls, self.at) = (3, scope.now() + Duration::from_millis(5));
        }
        fn due(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<()>) {
            assert!(scope.is_draining());
            self.calls -= 1;
            self.at = scope.now() + Duration::from_millis(5);
            let last = self.calls == 0;
            sessions.each(scope, |conn, ()| {
                conn.write(b".");
                if last {
                    conn.close();
                }
            });
        }
    }
    let mut harness = Harness::new(serve(|| Stays { at: Time::ZERO, calls: 0 }));
    let peer = harness.connect();
    harness.advance(Duration::from_secs(1));
    harness.shutdown();
    harness.advance(Duration::from_millis(14));
    assert_eq!(harness.receive(peer), b"..");
    harness.advance(Duration::from_millis(1));
    assert_eq!(harness.receive(peer), b".");
    assert!(harness.is_ended(peer));
    harness.finish(peer);
    assert!(harness.is_stopped());
}

#[test]
fn services_of_datagrams_have_it_too() {
    struct Delayed(Option<(Time, std::net::SocketAddr)>);
    impl DatagramService for Delayed {
        fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
            self.0 = Some((socket.now() + Duration::from_micros(1_500), datagram.from));
        }
        fn deadline(&mut self) -> Option<Time> {
            self.0.map(|(at, _)| at)
        }
        fn due(&mut self, scope: &mut Scope<'_>) {
            let (at, to) = self.0.take().expect("it had a deadline");
            assert_eq!(scope.now(), at);
            scope.each_socket(|socket| {
                socket.send_to(to, b"later");
            });
        }
    }
    let mut harness = Harness::new(datagrams(|| Delayed(None)));
    let peer = harness.bind_udp();
    harness.send_datagram(peer, b"now");
    harness.advance(Duration::from_micros(1_499));
    assert_eq!(harness.receive_datagram(peer), None);
    harness.advance(Duration::from_micros(1));
    assert_eq!(harness.receive_datagram(peer).map(|(_, bytes)| bytes), Some(b"later".to_vec()));
}

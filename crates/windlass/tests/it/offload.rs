//! Work off the loop: each job one answer, on its worker, for a connection that is still there.

use std::collections::HashSet;
use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use windlass::{
    Answer, Close, Config, Conn, ConnId, Input, Limits, Mailbox, Offload, OffloadConfig, OffloadStats,
    Receive, Scope, Service, Sessions, SubmitError, Work, serve,
};

use crate::harness::*;

/// What a byte of input asks for.
///
/// `p`: panic. `h`: hold the job until the test opens the gate for one. Anything else: echo it.
struct Desk {
    pool: Offload<u8>,
    gate: Arc<Gate>,
    told: Sender<(usize, Told)>,
    paused: Vec<ConnId>,
}

/// Lets as many jobs pass as it was opened times.
#[derive(Default)]
struct Gate(Mutex<u32>, Condvar);

impl Gate {
    fn open(&self) {
        *self.0.lock().unwrap() += 1;
        self.1.notify_all();
    }

    fn pass(&self) {
        *self.1.wait_while(self.0.lock().unwrap(), |left| *left == 0).unwrap() -= 1;
    }
}

#[derive(Clone, PartialEq, Debug)]
enum Told {
    Answer(Option<ConnId>, Result<u8, String>),
    Full,
    Room,
    Closed,
}

impl Desk {
    fn tell(&self, worker: usize, told: Told) {
        let _ = self.told.send((worker, told));
    }
}

fn job(byte: u8, gate: &Arc<Gate>) -> impl FnOnce() -> u8 + Send + 'static {
    let gate = gate.clone();
    move || {
        match byte {
            b'p' => panic!("as asked"),
            b'h' => gate.pass(),
            _ => {}
        }
        byte
    }
}

impl Service for Desk {
    /// Jobs without an answer.
    type Session = usize;
    fn open(&mut self, _: &mut Conn<'_>) -> Result<usize, Close> {
        Ok(0)
    }
    fn data(&mut self, conn: &mut Conn<'_>, open: &mut usize, input: &mut Input<'_>) -> Result<(), Close> {
        while let Some(&byte) = input.peek().first() {
            // Only those that are meant to can be too late.
            let short = matches!(byte, b'h' | b'y');
            let timeout = if short { self.pool.config().timeout } else { LONG };
            match self.pool.submit_within(conn, timeout, job(byte, &self.gate)) {
                Ok(_) => {
                    input.take(1);
                    *open += 1;
                }
                Err(SubmitError::Full(_)) => {
                    conn.pause();
                    self.paused.push(conn.id());
                    self.tell(conn.id().worker(), Told::Full);
                    return Ok(());
                }
                Err(e) => panic!("{e}"),
            }
        }
        Ok(())
    }
    fn draining(&mut self, _: &mut Conn<'_>, open: &mut usize) -> Result<(), Close> {
        if *open > 0 { Ok(()) } else { Err(Close::Shutdown) }
    }
    fn closed(&mut self, conn: &mut Conn<'_>, _: usize, _: Close) {
        self.tell(conn.id().worker(), Told::Closed);
    }
}

impl Work for Desk {
    type Answer = u8;
    fn answer(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<usize>, answer: Answer<u8>) {
        let draining = scope.is_draining();
        if let Some(id) = answer.conn {
            let (mut conn, open) = sessions.get(scope, id).expect("an answer for one who is there");
            *open -= 1;
            if let Ok(byte) = answer.result {
                conn.write(&[byte]);
            }
            if draining && *open == 0 {
                conn.close();
            }
        }
        self.tell(scope.worker(), Told::Answer(answer.conn, answer.result.map_err(|e| e.to_string())));
    }
    fn room(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<usize>) {
        self.tell(scope.worker(), Told::Room);
        for id in std::mem::take(&mut self.paused) {
            if let Some(mut conn) = scope.conn(id) {
                conn.resume();
            }
        }
    }
}

/// A job of the service itself, by message.
impl Receive for Desk {
    type Message = u8;
    fn receive(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<usize>, byte: u8) {
        self.pool.submit(scope, job(byte, &self.gate)).expect("room");
    }
}

struct Pooled {
    server: Running,
    pool: Offload<u8>,
    mailbox: Mailbox<u8>,
    gate: Arc<Gate>,
    told: Receiver<(usize, Told)>,
}

fn start(workers: usize, limits: Limits, config: OffloadConfig) -> Pooled {
    let (pool, mailbox, gate) = (Offload::new(config), Mailbox::new(), Arc::new(Gate::default()));
    let (sender, told) = channel();
    let (in_service, in_jobs) = (pool.clone(), gate.clone());
    let make = move || Desk {
        pool: in_service.clone(),
        gate: in_jobs.clone(),
        told: sender.clone(),
        paused: Vec::new(),
    };
    let config = Config::default().workers(workers).limits(limits);
    let serve = serve(make).offload(&pool).mailbox(&mailbox).config(config).tcp("127.0.0.1:0");
    Pooled { server: Running::start(serve), pool, mailbox, gate, told }
}

impl Pooled {
    fn next(&self) -> Told {
        self.told.recv_timeout(LONG).expect("the service is told").1
    }

    /// Waits until the pool's counters say so.
    fn wait_for(&self, what: &str, condition: impl Fn(&OffloadStats) -> bool) -> OffloadStats {
        let deadline = std::time::Instant::now() + LONG;
        loop {
            let stats = self.pool.stats();
            if condition(&stats) {
                return stats;
            }
            assert!(std::time::Instant::now() < deadline, "waited in vain for {what}: {stats:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn one_thread() -> OffloadConfig {
    OffloadConfig { threads: 1, ..OffloadConfig::default() }
}

#[test]
fn answers_come_back_to_their_connection_on_its_worker() {
    const PEERS: usize = 30;
    let pooled = start(3, limits(), OffloadConfig::default());
    let mut streams: Vec<_> = (0..PEERS).map(|_| pooled.server.connect()).collect();
    for round in 0..20u8 {
        for (n, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&[b'A' + (n as u8 + round) % 26]).unwrap();
        }
        for (n, stream) in streams.iter_mut().enumerate() {
            expect(stream, &[b'A' + (n as u8 + round) % 26]);
        }
    }
    let mut workers = HashSet::new();
    for _ in 0..20 * PEERS {
        let (worker, told) = pooled.told.recv_timeout(LONG).unwrap();
        let Told::Answer(Some(conn), Ok(_)) = told else { panic!("{told:?}") };
        assert_eq!(conn.worker(), worker);
        workers.insert(worker);
    }
    assert_eq!(workers.len(), 3);
    let stats = pooled.pool.stats();
    assert_eq!((stats.submitted, stats.answered, stats.run), (600, 600, 600));
    assert_eq!((stats.open, stats.queued, stats.cancelled, stats.rejected), (0, 0, 0, 0));
    pooled.server.stop();
}

#[test]
fn a_panic_is_an_answer_and_the_thread_goes_on() {
    let pooled = start(1, limits(), one_thread());
    let mut stream = pooled.server.connect();
    stream.write_all(b"pe").unwrap();
    let Told::Answer(Some(_), Err(text)) = pooled.next() else { panic!("an error comes first") };
    assert!(text.contains("as asked"), "{text}");
    expect(&mut stream, b"e");
    assert_eq!(pooled.pool.stats().panicked, 1);
    pooled.server.stop();
}

#[test]
fn a_full_pool_pushes_back_and_says_when_there_is_room() {
    let pooled = start(1, limits(), OffloadConfig { jobs_max: 3, ..one_thread() });
    let mut stream = pooled.server.connect();
    stream.write_all(b"h12345").unwrap();
    assert_eq!(pooled.next(), Told::Full);
    let stats = pooled.pool.stats();
    assert_eq!((stats.submitted, stats.open, stats.rejected), (3, 3, 1));
    pooled.gate.open();
    expect(&mut stream, b"h12345");
    let told: Vec<_> = std::iter::from_fn(|| pooled.told.recv_timeout(Duration::ZERO).ok()).collect();
    assert!(told.iter().any(|(_, told)| *told == Told::Room), "{told:?}");
    assert!(pooled.pool.stats().longest_wait > Duration::ZERO);
    pooled.server.stop();
}

#[test]
fn what_belongs_to_a_connection_goes_with_it() {
    let pooled = start(1, limits(), one_thread());
    let mut stream = pooled.server.connect();
    stream.write_all(b"h123").unwrap();
    pooled.wait_for("the first to run, three to wait", |s| s.running == 1 && s.queued == 3);
    reset_on_drop(&stream);
    drop(stream);
    assert_eq!(pooled.next(), Told::Closed);
    let stats = pooled.wait_for("cancellation", |s| s.open == 0);
    assert_eq!((stats.cancelled, stats.queued, stats.running, stats.run), (4, 0, 1, 1));
    // Its successor has its slot, and gets its own answers only.
    let mut other = pooled.server.connect();
    other.write_all(b"x").unwrap();
    pooled.wait_for("the next to wait", |s| s.queued == 1);
    pooled.gate.open();
    expect(&mut other, b"x");
    let stats = pooled.pool.stats();
    assert_eq!((stats.late, stats.run, stats.answered), (1, 2, 1));
    assert!(matches!(pooled.next(), Told::Answer(Some(_), Ok(b'x'))));
    pooled.server.stop();
}

#[test]
fn a_job_that_does_not_return_holds_only_its_thread() {
    let config =
        OffloadConfig { timeout: Duration::from_millis(1500), threads: 2, ..OffloadConfig::default() };
    let pooled = start(1, limits(), config);
    let mut held = pooled.server.connect();
    // One holds a thread; the other thread serves on.
    held.write_all(b"h").unwrap();
    let Told::Answer(Some(_), Err(text)) = pooled.next() else { panic!("a timeout") };
    assert!(text.contains("deadline"), "{text}");
    held.write_all(b"x").unwrap();
    expect(&mut held, b"x");
    assert!(matches!(pooled.next(), Told::Answer(_, Ok(b'x'))));
    // Both held: what cannot start gets its timeout too.
    held.write_all(b"h").unwrap();
    pooled.wait_for("both to be held", |s| s.running == 2);
    held.write_all(b"y").unwrap();
    for _ in 0..2 {
        assert!(matches!(pooled.next(), Told::Answer(Some(_), Err(_))));
    }
    let stats = pooled.pool.stats();
    assert_eq!((stats.timed_out, stats.running, stats.open, stats.queued), (3, 2, 0, 0));
    pooled.gate.open();
    pooled.gate.open();
    pooled.wait_for("both to return", |s| s.running == 0 && s.late == 2);
    held.write_all(b"z").unwrap();
    expect(&mut held, b"z");
    pooled.server.stop();
}

#[test]
fn a_drain_waits_for_what_connections_have_asked_for() {
    let pooled = start(1, limits(), one_thread());
    let mut stream = pooled.server.connect();
    stream.write_all(b"h").unwrap();
    pooled.wait_for("it to run", |s| s.running == 1);
    pooled.server.handle.shutdown();
    pooled.gate.open();
    expect(&mut stream, b"h");
    expect_end(&mut stream);
    drop(stream);
    pooled.server.ended_well();
    assert_eq!(pooled.pool.stats().detached, 0);
}

#[test]
fn a_drain_cancels_what_has_not_started_and_waits_for_what_runs() {
    let pooled = start(1, limits(), one_thread());
    for byte in *b"h12" {
        pooled.mailbox.send(0, byte).unwrap();
    }
    pooled.wait_for("one to run, two to wait", |s| s.running == 1 && s.queued == 2);
    pooled.server.handle.shutdown();
    for _ in 0..2 {
        let Told::Answer(None, Err(text)) = pooled.next() else { panic!("cancelled first") };
        assert!(text.contains("stopped"), "{text}");
    }
    pooled.gate.open();
    assert_eq!(pooled.next(), Told::Answer(None, Ok(b'h')));
    pooled.server.ended_well();
    let stats = pooled.pool.stats();
    assert_eq!((stats.answered, stats.run, stats.detached, stats.open), (3, 1, 0, 0));
}

#[test]
fn what_runs_past_the_drain_is_left_to_itself_and_counted() {
    let limits = Limits { drain_timeout: Duration::from_millis(50), ..limits() };
    let pooled = start(1, limits, one_thread());
    pooled.mailbox.send(0, b'h').unwrap();
    pooled.wait_for("it to run", |s| s.running == 1);
    pooled.server.handle.shutdown();
    let Pooled { server, pool, gate, .. } = pooled;
    server.ended_well();
    assert_eq!((pool.stats().detached, pool.stats().open), (1, 0));
    gate.open();
}

#[test]
fn a_pool_belongs_to_one_service_and_ends_with_its_server() {
    let pooled = start(1, limits(), one_thread());
    let again = pooled.pool.clone();
    let (told, gate, pool) = (channel().0, pooled.gate.clone(), pooled.pool.clone());
    let make =
        move || Desk { pool: pool.clone(), gate: gate.clone(), told: told.clone(), paused: Vec::new() };
    let second = serve(make).offload(&again).workers(1).tcp("127.0.0.1:0").bind();
    assert!(second.err().unwrap().to_string().contains("pool"));
    pooled.server.stop();
}

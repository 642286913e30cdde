//! What single parts of the engine cost, each beside the plainest way to do the same: `cargo bench -p windlass
//! --bench parts`.
//!
//! The two sides take turns, one thing is under way at a time, and what is told is CPU time as the scheduler
//! counts it (Linux), so that other work on the machine changes little. Figures are medians over the turns.
#![cfg_attr(not(target_os = "linux"), allow(dead_code, unused_imports))]

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use windlass::{
    Answer, Close, Conn, Connect, Handle, Input, Limits, Lookup, Offload, Resolve, Resolved, Resolver,
    ResolverConfig, Scope, Serve, Service, Sessions, Work, serve,
};

/// Turns of each side, and what is done in one.
const TURNS: usize = 15;
const CONNECTS: u64 = 400;
const JOBS: u64 = 2_000;
const LOOKUPS: u64 = 200_000;

fn main() {
    connects();
    jobs();
    lookups();
}

/// Nanoseconds on a core, of the calling thread.
fn thread_cpu() -> u64 {
    on_core(&std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default())
}

/// The same of the whole process.
fn process_cpu() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let texts =
        tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    texts.map(|text| on_core(&text)).sum()
}

fn on_core(schedstat: &str) -> u64 {
    schedstat.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs a server until `service` says on the channel what it came to.
fn told<S: Service>(serve: impl FnOnce(Sender<f64>) -> Serve<S>) -> f64 {
    let (tell, told) = channel();
    let limits = Limits { stall_timeout: Duration::ZERO, ..Limits::default() };
    let bound = serve(tell).workers(1).limits(limits).bind().expect("binds");
    let handle: Handle = bound.handle();
    let server = std::thread::spawn(move || bound.run().expect("runs"));
    let value = told.recv().expect("told");
    handle.stop_now();
    server.join().expect("ends");
    value
}

// --- Outbound connections.

/// Connects, hears the end, and connects again.
struct Dialer {
    to: SocketAddr,
    left: u64,
    begun: u64,
    tell: Sender<f64>,
}

impl Service for Dialer {
    type Session = ();
    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
        self.begun = thread_cpu();
        scope.connect(Connect::to(self.to)).expect("within the limits");
    }
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn closed(&mut self, conn: &mut Conn<'_>, _: (), _: Close) {
        self.left -= 1;
        if self.left > 0 {
            conn.connect(Connect::to(self.to)).expect("within the limits");
        } else {
            let _ = self.tell.send((thread_cpu() - self.begun) as f64 / CONNECTS as f64);
        }
    }
}

/// The same with mio alone.
fn dial_plainly(to: SocketAddr) -> f64 {
    let mut poll = mio::Poll::new().expect("a poll");
    let mut events = mio::Events::with_capacity(64);
    let begun = thread_cpu();
    for _ in 0..CONNECTS {
        let mut stream = mio::net::TcpStream::connect(to).expect("begun");
        let interest = mio::Interest::READABLE | mio::Interest::WRITABLE;
        poll.registry().register(&mut stream, mio::Token(0), interest).expect("registered");
        'connection: loop {
            match poll.poll(&mut events, None) {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                polled => polled.expect("polled"),
            }
            for event in &events {
                if event.is_writable() {
                    assert!(stream.take_error().expect("asked").is_none());
                }
                if event.is_readable() {
                    match stream.read(&mut [0; 64]) {
                        Ok(_) => break 'connection,
                        Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                        Err(e) => panic!("{e}"),
                    }
                }
            }
        }
        poll.registry().deregister(&mut stream).expect("deregistered");
    }
    (thread_cpu() - begun) as f64 / CONNECTS as f64
}

fn connects() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let to = listener.local_addr().expect("bound");
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        ours.push(told(|tell| serve(move || Dialer { to, left: CONNECTS, begun: 0, tell: tell.clone() })));
        plain.push(std::thread::spawn(move || dial_plainly(to)).join().expect("dialled"));
    }
    let (ours, plain) = (median(ours) / 1e3, median(plain) / 1e3);
    println!("connect, end, close: {ours:.1} us of CPU; plain mio {plain:.1}; ratio {:.2}", ours / plain);
}

// --- Jobs off the loop.

/// One job after the other.
struct Jobs {
    pool: Offload<u64>,
    left: u64,
    begun: (u64, Instant),
    tell: Sender<f64>,
    waited: Sender<f64>,
}

impl Jobs {
    fn submit(&mut self, scope: &mut Scope<'_>) {
        assert!(self.pool.submit(scope, || 7).is_ok());
    }
}

impl Service for Jobs {
    type Session = ();
    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
        self.begun = (process_cpu(), Instant::now());
        self.submit(scope);
    }
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Ok(())
    }
}

impl Work for Jobs {
    type Answer = u64;
    fn answer(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>, answer: Answer<u64>) {
        assert_eq!(answer.result.ok(), Some(7));
        self.left -= 1;
        if self.left > 0 {
            return self.submit(scope);
        }
        let (cpu, since) = self.begun;
        let _ = self.waited.send(since.elapsed().as_nanos() as f64 / JOBS as f64);
        let _ = self.tell.send((process_cpu() - cpu) as f64 / JOBS as f64);
    }
}

/// The same between two threads with two channels.
fn job_plainly() -> (f64, f64) {
    let (jobs, received) = channel::<Box<dyn FnOnce() -> u64 + Send>>();
    let (answer, answers) = channel();
    let worker = std::thread::spawn(move || received.iter().all(|job| answer.send(job()).is_ok()));
    let begun = (process_cpu(), Instant::now());
    for _ in 0..JOBS {
        jobs.send(Box::new(|| 7)).expect("sent");
        assert_eq!(answers.recv().expect("answered"), 7);
    }
    let cost = (process_cpu() - begun.0) as f64 / JOBS as f64;
    let took = begun.1.elapsed().as_nanos() as f64 / JOBS as f64;
    drop(jobs);
    worker.join().expect("ends");
    (cost, took)
}

fn jobs() {
    let mut figures = [const { Vec::new() }; 4];
    for _ in 0..TURNS {
        let (waited, took) = channel();
        let pool = Offload::default();
        let bound = pool.clone();
        let make = move |tell: Sender<f64>| {
            let make = move || Jobs {
                pool: pool.clone(),
                left: JOBS,
                begun: (0, Instant::now()),
                tell: tell.clone(),
                waited: waited.clone(),
            };
            serve(make).offload(&bound)
        };
        figures[0].push(told(make));
        figures[1].push(took.recv().expect("told"));
        let (cost, took) = job_plainly();
        figures[2].push(cost);
        figures[3].push(took);
    }
    let [cost, took, plain_cost, plain_took] = figures.map(|values| median(values) / 1e3);
    println!(
        "job off the loop and its answer: {cost:.1} us of CPU, {took:.1} us; two channels between two threads \
         {plain_cost:.1} and {plain_took:.1}; ratios {:.2} and {:.2}",
        cost / plain_cost,
        took / plain_took
    );
}

// --- Names.

/// Looks one name up, and then again and again.
struct Names {
    resolver: Resolver,
    tell: Sender<f64>,
}

impl Service for Names {
    type Session = ();
    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
        let first = self.resolver.lookup(scope, "upstream.test", 443);
        assert!(matches!(first, Ok(Lookup::Pending(_))));
    }
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Ok(())
    }
}

impl Resolve for Names {
    fn resolved(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>, resolved: Resolved) {
        assert!(resolved.result.is_ok());
        let begun = thread_cpu();
        for _ in 0..LOOKUPS {
            let Ok(Lookup::Ready(addrs)) = self.resolver.lookup(scope, "upstream.test", 443) else {
                panic!("it is in the cache");
            };
            std::hint::black_box(addrs);
        }
        let _ = self.tell.send((thread_cpu() - begun) as f64 / LOOKUPS as f64);
    }
}

fn lookups() {
    let mut ours = Vec::new();
    for _ in 0..TURNS {
        let answer: SocketAddr = ([192, 0, 2, 7], 0).into();
        let resolver = Resolver::with_lookup(ResolverConfig::default(), move |_| Ok(vec![answer]));
        let bound = resolver.clone();
        ours.push(told(|tell| {
            serve(move || Names { resolver: resolver.clone(), tell: tell.clone() }).resolver(&bound)
        }));
    }
    println!("name in the cache: {:.0} ns of CPU", median(ours));
}

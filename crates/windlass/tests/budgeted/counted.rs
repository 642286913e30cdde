//! A counting allocator over a million messages, thousands of connections that come and go, listeners that
//! stop reading, and datagrams: all of it from the first one on, with nothing done before to warm anything
//! up.
//!
//! The allocator counts for the whole process, so the clients here allocate nothing either while it
//! counts.

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use windlass::{
    Bytes, Change, Close, Config, Conn, Datagram, DatagramService, Handle, Input, Limits, MemoryPlan,
    Service, Socket, serve,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MESSAGE: usize = 64;
const MEMORY: usize = 4 << 20;
/// UDP sockets of a service that comes later: more than any list has room for by chance.
const SOCKETS: usize = 12;

/// Allocations, reallocations and frees in `f`.
fn counted(f: impl FnOnce()) -> [usize; 3] {
    let region = Region::new(ALLOCATOR);
    f();
    let change = region.change();
    [change.allocations, change.reallocations, change.deallocations]
}

struct Echo;

impl Service for Echo {
    type Session = u64;
    fn open(&mut self, _: &mut Conn<'_>) -> Result<u64, Close> {
        Ok(0)
    }
    fn data(&mut self, conn: &mut Conn<'_>, seen: &mut u64, input: &mut Input<'_>) -> Result<(), Close> {
        // Message by message, so that some are cut off and wait for their rest.
        while let Some(message) = input.take(MESSAGE) {
            conn.write(message);
            *seen += 1;
        }
        Ok(())
    }
}

impl DatagramService for Echo {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        socket.reply(&datagram, datagram.bytes);
    }
}

/// What one says, all others hear.
struct Crowd;

impl Service for Crowd {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        while let Some(message) = input.take(LOUD) {
            conn.broadcast(message);
        }
        Ok(())
    }
}

/// More than is shared instead of copied where nothing is budgeted.
const LOUD: usize = 5_000;

/// Says much for each byte it hears, as something that all may share.
struct Generous;

impl Service for Generous {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        for _ in input.take_all() {
            conn.write_shared(Bytes::from_static(&[5; 64 << 10]));
        }
        Ok(())
    }
}

/// Where the server is.
struct At<'a> {
    four: SocketAddr,
    six: Option<SocketAddr>,
    udp: SocketAddr,
    path: &'a Path,
    handle: Handle,
    plan: MemoryPlan,
}

/// Runs a service on one worker while `test` talks to it, after its first turn.
fn with_server<S: Service + DatagramService>(
    make: impl Fn() -> S + Send + Sync + 'static,
    test: impl FnOnce(At<'_>),
) {
    let path = std::env::temp_dir().join(format!("windlass-budgeted-{}", std::process::id()));
    let has_six = std::net::TcpListener::bind("[::1]:0").is_ok();
    let limits = Limits {
        stall_timeout: Duration::ZERO,
        overload_lag_max: Duration::ZERO,
        idle_timeout: Duration::ZERO,
        ..Limits::default()
    };
    let config = Config::default().workers(1).limits(limits).memory(MEMORY);
    let serve = serve(make).config(config).tcp("127.0.0.1:0").unix(&path).udp("127.0.0.1:0");
    let bound = if has_six { serve.tcp("[::1]:0") } else { serve }.bind().unwrap();
    let at = bound.addresses();
    let at = At {
        four: at[0].tcp().unwrap(),
        udp: at[2].udp().unwrap(),
        six: at.get(3).and_then(|at| at.tcp()),
        path: &path,
        handle: bound.handle(),
        plan: bound.memory_plan().unwrap().clone(),
    };
    let handle = at.handle.clone();
    let thread = thread::spawn(move || bound.run().unwrap());
    let deadline = Instant::now() + Duration::from_secs(30);
    while handle.stats().counters.turns == 0 {
        assert!(Instant::now() < deadline, "it starts");
        thread::sleep(Duration::from_millis(1));
    }
    test(at);
    handle.stop_now();
    thread.join().unwrap();
}

pub(crate) fn nothing_is_allocated_after_the_start() {
    let [allocated, _, freed] = counted(|| drop(std::hint::black_box(vec![1_u8; 100])));
    assert_eq!([allocated, freed], [1, 1], "the counter counts");
    let region = Region::new(ALLOCATOR);
    with_server(
        || Echo,
        |at| {
            let change = region.change();
            let took = change.bytes_allocated - change.bytes_deallocated;
            assert!(took <= at.plan.memory, "{took} bytes were allocated for\n{}", at.plan);
            a_million_messages(&at);
            connections_that_come_and_go(&at);
            datagrams(&at);
            a_service_that_comes_later(&at);
        },
    );
    with_server(|| NoDatagrams(Crowd), a_crowd_that_stops_reading);
    with_server(|| NoDatagrams(Generous), what_is_shared_is_copied);
}

/// A service of streams alone that the harness above can start.
struct NoDatagrams<S>(S);

impl<S: Service> Service for NoDatagrams<S> {
    type Session = S::Session;
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<S::Session, Close> {
        self.0.open(conn)
    }
    fn data(&mut self, c: &mut Conn<'_>, s: &mut S::Session, i: &mut Input<'_>) -> Result<(), Close> {
        self.0.data(c, s, i)
    }
}

impl<S: Service> DatagramService for NoDatagrams<S> {
    fn datagram(&mut self, _: &mut Socket<'_>, _: Datagram<'_>) {}
}

fn a_million_messages(at: &At<'_>) {
    // Not a multiple of the message, so that each batch ends inside one.
    let batch = [7; MESSAGE * 100 + 32];
    let mut back = [0; MESSAGE * 102];
    let counts = counted(|| {
        let mut stream = TcpStream::connect(at.four).unwrap();
        let mut owed = 0;
        for _ in 0..10_000 {
            stream.write_all(&batch).unwrap();
            owed += batch.len();
            let whole = owed / MESSAGE * MESSAGE;
            stream.read_exact(&mut back[..whole]).unwrap();
            owed -= whole;
        }
    });
    assert_eq!(counts, [0, 0, 0], "allocations, reallocations, frees in a million messages");
}

/// Ends of every kind: by the client, in the middle of a message, by a reset; a few at a time and many at once.
fn connections_that_come_and_go(at: &At<'_>) {
    let many = at.plan.limits.connections_max - 10;
    let mut at_once: Vec<TcpStream> = Vec::with_capacity(many);
    let opened = at.handle.stats().counters.opened;
    let counts = counted(|| {
        let mut back = [0; MESSAGE];
        for n in 0..3_000 {
            let to = at.six.filter(|_| n % 2 == 0).unwrap_or(at.four);
            let mut stream = TcpStream::connect(to).unwrap();
            stream.write_all(&[1; MESSAGE + 5]).unwrap();
            stream.read_exact(&mut back).unwrap();
            if n % 3 == 0 {
                stream.shutdown(Shutdown::Write).unwrap();
                assert_eq!(stream.read(&mut back).unwrap(), 0);
            }
            let mut local = UnixStream::connect(at.path).unwrap();
            local.write_all(&[1; MESSAGE]).unwrap();
            local.read_exact(&mut back).unwrap();
        }
        for round in 0..3 {
            for n in 0..many {
                let to = at.six.filter(|_| n % 2 == round % 2).unwrap_or(at.four);
                at_once.push(TcpStream::connect(to).unwrap());
            }
            for stream in &mut at_once {
                stream.write_all(&[1; MESSAGE]).unwrap();
            }
            for stream in &mut at_once {
                stream.read_exact(&mut back).unwrap();
            }
            at_once.clear();
        }
    });
    let opened = at.handle.stats().counters.opened - opened;
    assert_eq!(counts, [0, 0, 0], "{opened} connections");
    assert!(opened >= 6_000 + 3 * many as u64);
}

fn datagrams(at: &At<'_>) {
    let peers: Vec<_> = (0..20).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let counts = counted(|| {
        let mut back = [0; 2_000];
        for n in 0..1_000 {
            for peer in &peers {
                peer.send_to(&[n as u8; 1_000], at.udp).unwrap();
            }
            for peer in &peers {
                assert_eq!(peer.recv_from(&mut back).unwrap().0, 1_000);
            }
        }
    });
    assert_eq!(counts, [0, 0, 0], "20,000 datagrams");
}

/// The tables of a service that a change adds are as long as there may be connections before the first of them comes.
fn a_service_that_comes_later(at: &At<'_>) {
    let mut later = serve(|| Echo).name("later").tcp("127.0.0.1:0");
    for _ in 0..SOCKETS {
        later = later.udp("127.0.0.1:0");
    }
    let applied = at.handle.apply(Change::new().add(later)).unwrap();
    // The worker drops what it was told after it has said so: whoever was there before is served behind that.
    let mut before = TcpStream::connect(at.four).unwrap();
    before.write_all(&[1; MESSAGE]).unwrap();
    before.read_exact(&mut [0; MESSAGE]).unwrap();
    let to = applied.addresses()[0].tcp().unwrap();
    let udp: Vec<_> = applied.addresses().iter().filter_map(|at| at.udp()).collect();
    assert_eq!(udp.len(), SOCKETS);
    let many = at.plan.limits.connections_max - 10;
    let mut at_once: Vec<TcpStream> = Vec::with_capacity(many);
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let counts = counted(|| {
        let mut back = [0; MESSAGE];
        at_once.extend((0..many).map(|_| TcpStream::connect(to).unwrap()));
        for stream in &mut at_once {
            stream.write_all(&[1; MESSAGE]).unwrap();
            stream.read_exact(&mut back).unwrap();
        }
        for n in 0..100 {
            for udp in &udp {
                peer.send_to(&[n; MESSAGE], udp).unwrap();
            }
            for _ in 0..SOCKETS {
                assert_eq!(peer.recv_from(&mut back).unwrap().0, MESSAGE);
            }
        }
    });
    assert_eq!(counts, [0, 0, 0], "{many} connections of a service that came later, and its datagrams");
}

/// What is shared would be held beside the region: with a place for each, and for as long as somebody does not read.
fn what_is_shared_is_copied(at: At<'_>) {
    let mut deaf: Vec<TcpStream> = Vec::with_capacity(3);
    let counts = counted(|| {
        for _ in 0..3 {
            let mut stream = TcpStream::connect(at.four).unwrap();
            // More than a socket takes, and more than may be queued.
            stream.write_all(&[1; 200]).unwrap();
            deaf.push(stream);
            thread::sleep(Duration::from_millis(100));
        }
    });
    assert_eq!(counts, [0, 0, 0], "three who do not read what all may share");
    assert!(at.handle.stats().counters.output_peak_bytes > 64 << 10, "some of it was queued");
}

/// Output waits, to the end of the region and beyond it: somebody is ended, and nothing is allocated.
fn a_crowd_that_stops_reading(at: At<'_>) {
    let mut speaker = UnixStream::connect(at.path).unwrap();
    let mut deaf: Vec<UnixStream> = Vec::with_capacity(100);
    let loud = [3; LOUD];
    let ended = |at: &At<'_>| {
        let counters = at.handle.stats().counters;
        counters.closed_by("memory_full") + counters.closed_by("overflow")
    };
    let mut ends = 0;
    let counts = counted(|| deaf.extend((0..60).map(|_| UnixStream::connect(at.path).unwrap())));
    assert_eq!(counts, [0, 0, 0], "sixty newcomers");
    // Asking for counters allocates, so it is not asked while it is counted.
    for _ in 0..200 {
        let counts = counted(|| {
            for _ in 0..20 {
                speaker.write_all(&loud).unwrap();
            }
            thread::sleep(Duration::from_millis(1));
        });
        assert_eq!(counts, [0, 0, 0], "a crowd that does not listen");
        ends = ended(&at);
        if ends > 3 {
            break;
        }
    }
    assert!(ends > 3, "the region was full, and somebody was ended");
}

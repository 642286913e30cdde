//! Nothing is allocated in steady state: a counting allocator over a million messages, over datagrams and
//! over what is relayed.
//!
//! The allocator counts for the whole process, so the clients here allocate nothing either while it
//! counts.

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use windlass::{
    Close, Config, Conn, ConnId, Datagram, DatagramService, Handle, Input, Limits, Outgoing, Service, Socket,
    datagrams, serve,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MESSAGE: usize = 64;

/// Runs a service on one worker while `test` talks to it.
fn with_server<S: Service>(
    make: impl Fn() -> S + Send + Sync + 'static,
    test: impl FnOnce(SocketAddr, &Path, &Handle),
) {
    let path = std::env::temp_dir().join(format!("windlass-alloc-{}", std::process::id()));
    let limits =
        Limits { stall_timeout: Duration::ZERO, overload_lag_max: Duration::ZERO, ..Limits::default() };
    let config = Config::default().workers(1).limits(limits);
    let bound = serve(make).config(config).tcp("127.0.0.1:0").unix(&path).bind().unwrap();
    let (addr, handle) = (bound.addresses()[0].tcp().unwrap(), bound.handle());
    let thread = thread::spawn(move || bound.run().unwrap());
    test(addr, &path, &handle);
    handle.stop_now();
    thread.join().unwrap();
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn connect_unix(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Allocations, reallocations and frees in `f`.
fn counted(f: impl FnOnce()) -> [usize; 3] {
    let region = Region::new(ALLOCATOR);
    f();
    let change = region.change();
    [change.allocations, change.reallocations, change.deallocations]
}

struct Echo;

impl Service for Echo {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        // Message by message, so that some are cut off and wait for their rest.
        while let Some(message) = input.take(MESSAGE) {
            conn.write(message);
        }
        Ok(())
    }
}

pub(crate) fn the_steady_state_allocates_nothing() {
    let [allocated, _, freed] = counted(|| drop(std::hint::black_box(vec![1_u8; 100])));
    assert_eq!([allocated, freed], [1, 1], "the counter counts");
    a_million_pipelined_messages();
    messages_at_depth_one_on_many_connections();
    a_broadcast_with_partial_writes::<64>();
    a_broadcast_with_partial_writes::<3000>();
    a_broadcast_with_partial_writes::<6000>();
    a_broadcast_to_a_crowd_that_stops_reading();
    datagrams_of_many_peers("127.0.0.1:0");
    datagrams_of_many_peers("0.0.0.0:0");
    bursts_of_datagrams();
    a_relay_of_small_messages();
    a_relay_of_bulk();
}

fn a_million_pipelined_messages() {
    with_server(
        || Echo,
        |addr, _, _| {
            let mut stream = connect(addr);
            // Not a multiple of the message, so that each batch ends inside one.
            let batch = [7; MESSAGE * 100 + 32];
            let mut back = [0; MESSAGE * 100 + 32];
            let mut owed = 0;
            let mut round = |rounds: usize| {
                for _ in 0..rounds {
                    stream.write_all(&batch).unwrap();
                    owed += batch.len();
                    let whole = owed / MESSAGE * MESSAGE;
                    let mut got = 0;
                    while got < whole {
                        let n = stream.read(&mut back).unwrap();
                        assert!(n > 0);
                        got += n;
                    }
                    owed -= whole;
                }
            };
            round(1_000);
            let counts = counted(|| round(10_000));
            assert_eq!(counts, [0, 0, 0], "allocations, reallocations, frees in a million messages");
        },
    );
}

fn messages_at_depth_one_on_many_connections() {
    with_server(
        || Echo,
        |addr, _, _| {
            let mut streams: Vec<_> = (0..50).map(|_| connect(addr)).collect();
            let mut round = |rounds: usize| {
                let mut back = [0; MESSAGE];
                for _ in 0..rounds {
                    for stream in &mut streams {
                        stream.write_all(&[1; MESSAGE]).unwrap();
                    }
                    for stream in &mut streams {
                        stream.read_exact(&mut back).unwrap();
                    }
                }
            };
            round(100);
            assert_eq!(counted(|| round(1_000)), [0, 0, 0]);
        },
    );
}

/// A chat without lines: what one says in messages of `LEN` bytes, all others hear.
struct Crowd<const LEN: usize> {
    heard: Arc<AtomicU64>,
}

impl<const LEN: usize> Service for Crowd<LEN> {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        while let Some(message) = input.take(LEN) {
            conn.broadcast(message);
            self.heard.fetch_add(1, SeqCst);
        }
        Ok(())
    }
}

/// One that speaks and some that listen, over Unix sockets, which hold little.
struct Room<const LEN: usize> {
    speaker: UnixStream,
    listeners: Vec<UnixStream>,
    heard: Arc<AtomicU64>,
    said: u64,
    message: Vec<u8>,
    buf: Vec<u8>,
}

impl<const LEN: usize> Room<LEN> {
    /// Messages said at once.
    const BATCH: usize = 32 * 1024 / LEN;

    fn new(path: &Path, listeners: usize, heard: Arc<AtomicU64>) -> Room<LEN> {
        let listeners = (0..listeners).map(|_| connect_unix(path)).collect();
        let (message, buf) = (vec![3; LEN * Self::BATCH], vec![0; LEN * Self::BATCH]);
        Room { speaker: connect_unix(path), listeners, heard, said: 0, message, buf }
    }

    /// Says a batch, and waits until the service has heard them.
    fn say(&mut self) {
        self.speaker.write_all(&self.message).unwrap();
        self.said += Self::BATCH as u64;
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.heard.load(SeqCst) < self.said {
            assert!(Instant::now() < deadline, "the speaker is heard");
            thread::yield_now();
        }
    }

    /// Every listener reads what was said in `batches`.
    fn listen(&mut self, batches: usize) {
        for _ in 0..batches {
            for listener in &mut self.listeners {
                listener.read_exact(&mut self.buf).unwrap();
            }
        }
    }

    /// Says so much that at least `queued` bytes wait in the server, and then has it read.
    fn round(&mut self, handle: &Handle, queued: u64) {
        let mut batches = 0;
        while handle.stats().counters.buffered_bytes < queued {
            self.say();
            batches += 1;
        }
        self.listen(batches);
    }
}

/// The listeners' sockets fill; output is queued, partly sent, and queued again, within what a worker
/// keeps of blocks: nothing is allocated.
fn a_broadcast_with_partial_writes<const LEN: usize>() {
    let heard = Arc::new(AtomicU64::new(0));
    let in_service = heard.clone();
    let make = move || Crowd::<LEN> { heard: in_service.clone() };
    with_server(make, |_, path, handle| {
        let mut room = Room::<LEN>::new(path, 3, heard);
        (0..10).for_each(|_| room.round(handle, 400_000));
        (0..10).for_each(|_| room.round(handle, 100_000));
        let said = room.said;
        let counts = counted(|| (0..20).for_each(|_| room.round(handle, 100_000)));
        let said = (room.said - said) as usize;
        if LEN < 4096 {
            assert_eq!(counts, [0, 0, 0], "broadcasting {LEN} bytes at a time");
        } else {
            // Many bytes are kept once for all who wait for them: a block, and its reference count.
            assert!(counts[0] <= 2 * said && counts[1] <= said, "{counts:?} for {said} broadcasts");
        }
    });
}

/// Megabytes are queued, more than a worker keeps of blocks. Beyond those, a block of 16 KiB is
/// allocated and freed again: by the queue's length, not by the message.
fn a_broadcast_to_a_crowd_that_stops_reading() {
    let heard = Arc::new(AtomicU64::new(0));
    let in_service = heard.clone();
    let make = move || Crowd::<64> { heard: in_service.clone() };
    with_server(make, |_, path, handle| {
        let mut room = Room::<64>::new(path, 8, heard);
        (0..3).for_each(|_| room.round(handle, 8_000_000));
        let said = room.said;
        let [allocated, reallocated, _] = counted(|| (0..5).for_each(|_| room.round(handle, 8_000_000)));
        let queued = (room.said - said) as usize * 64 * 8;
        let blocks = queued / (16 * 1024);
        assert!(allocated <= blocks + blocks / 4, "{allocated} allocations for {blocks} blocks queued");
        assert!(reallocated <= blocks / 4, "{reallocated} reallocations for {blocks} blocks queued");
    });
}

/// Sends everything back; what asks for more gets a burst.
struct Answers;

const BURST: usize = 40;

impl DatagramService for Answers {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        if datagram.bytes != b"burst" {
            socket.reply(&datagram, datagram.bytes);
            return;
        }
        let bytes = [1; BURST * MESSAGE];
        assert!(socket.send_out(Outgoing::new(datagram.from, &bytes).segment_bytes(MESSAGE)));
    }
}

/// Runs a service of datagrams on one worker while `test` talks to it.
fn with_datagrams(at: &str, test: impl FnOnce(SocketAddr)) {
    let limits =
        Limits { stall_timeout: Duration::ZERO, overload_lag_max: Duration::ZERO, ..Limits::default() };
    let config = Config::default().workers(1).limits(limits);
    let bound = datagrams(|| Answers).config(config).udp(at).bind().unwrap();
    let (addr, handle) = (bound.addresses()[0].udp().unwrap(), bound.handle());
    let thread = thread::spawn(move || bound.run().unwrap());
    test(([127, 0, 0, 1], addr.port()).into());
    handle.stop_now();
    thread.join().unwrap();
}

fn udp_client(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    socket.connect(to).unwrap();
    socket
}

fn datagrams_of_many_peers(at: &str) {
    with_datagrams(at, |addr| {
        let peers: Vec<_> = (0..50).map(|_| udp_client(addr)).collect();
        let round = |rounds: usize| {
            let mut back = [0; MESSAGE + 1];
            for n in 0..rounds {
                for peer in &peers {
                    peer.send(&[n as u8; MESSAGE]).unwrap();
                }
                for peer in &peers {
                    assert_eq!((peer.recv(&mut back).unwrap(), back[0]), (MESSAGE, n as u8));
                }
            }
        };
        round(100);
        assert_eq!(counted(|| round(1_000)), [0, 0, 0], "50,000 datagrams at {at}");
    });
}

fn bursts_of_datagrams() {
    with_datagrams("127.0.0.1:0", |addr| {
        let peer = udp_client(addr);
        let round = |rounds: usize| {
            let mut back = [0; MESSAGE + 1];
            for _ in 0..rounds {
                peer.send(b"burst").unwrap();
                for _ in 0..BURST {
                    assert_eq!(peer.recv(&mut back).unwrap(), MESSAGE);
                }
            }
        };
        round(100);
        assert_eq!(counted(|| round(1_000)), [0, 0, 0], "40,000 datagrams in bursts");
    });
}

/// Couples its connections two by two.
struct Pairs(Option<ConnId>);

impl Service for Pairs {
    type Session = ();
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        match self.0.take() {
            Some(first) => assert!(conn.relay(first)),
            None => self.0 = Some(conn.id()),
        }
        Ok(())
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Ok(())
    }
}

fn a_relay_of_small_messages() {
    with_server(
        || Pairs(None),
        |addr, _, _| {
            let mut streams: Vec<_> = (0..20).map(|_| connect(addr)).collect();
            let mut round = |rounds: usize| {
                let mut back = [0; MESSAGE];
                for _ in 0..rounds {
                    for pair in streams.chunks_exact_mut(2) {
                        let [one, other] = pair else { unreachable!("two by two") };
                        one.write_all(&[2; MESSAGE]).unwrap();
                        other.read_exact(&mut back).unwrap();
                        other.write_all(&[3; MESSAGE]).unwrap();
                        one.read_exact(&mut back).unwrap();
                    }
                }
            };
            round(100);
            assert_eq!(counted(|| round(1_000)), [0, 0, 0], "20,000 messages relayed");
        },
    );
}

/// More than the other end takes at once, so that some waits in the relay, and then through pipes.
fn a_relay_of_bulk() {
    const PIECE: usize = 4 << 20;
    with_server(
        || Pairs(None),
        |addr, _, handle| {
            let (mut one, mut other) = (connect(addr), connect(addr));
            let (piece, mut back) = (vec![5; PIECE], vec![0; PIECE]);
            // Until nobody takes it any more.
            let sending = thread::spawn(move || while one.write_all(&piece).is_ok() {});
            let mut round = |pieces: usize| {
                (0..pieces).for_each(|_| other.read_exact(&mut back).unwrap());
            };
            // As much waits as ever may, in the relay and in pipes, before any of it is counted.
            for _ in 0..4 {
                thread::sleep(Duration::from_millis(50));
                round(4);
            }
            assert_eq!(counted(|| round(32)), [0, 0, 0], "128 MiB relayed");
            if cfg!(target_os = "linux") {
                assert!(handle.stats().counters.splices > 0, "most of it through pipes");
            }
            drop(other);
            sending.join().unwrap();
        },
    );
}

//! Starting a server on a free port in a thread, talking to it, and stopping it, with a deadline on
//! everything: a test that would hang fails instead.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use windlass::{
    Bound, Close, Config, Conn, Counters, Datagram, DatagramService, Handle, Input, Limits, Serve, Service,
    Socket, Summary, serve,
};

/// What is long over when everything is well, also on a slow and busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Sends everything back.
pub(crate) struct Echo;

impl Service for Echo {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        Ok(())
    }
}

impl DatagramService for Echo {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        socket.reply(&datagram, datagram.bytes);
    }
}

/// Limits under which nothing of what a test does not ask for gets in its way: stalls are not
/// reported on a machine that is busy with other tests.
pub(crate) fn limits() -> Limits {
    Limits { stall_timeout: Duration::ZERO, overload_lag_max: Duration::ZERO, ..Limits::default() }
}

pub(crate) fn one_worker(limits: Limits) -> Config {
    Config::default().workers(1).limits(limits)
}

/// An echo server on one worker.
pub(crate) fn echo(limits: Limits) -> Running {
    Running::start(serve(|| Echo).config(one_worker(limits)).tcp("127.0.0.1:0"))
}

/// A server in a thread. Stopped at once when dropped.
pub(crate) struct Running {
    pub(crate) handle: Handle,
    pub(crate) addrs: Vec<SocketAddr>,
    ended: Receiver<thread::Result<windlass::Result<Summary>>>,
}

impl Running {
    pub(crate) fn start<S: Service>(serve: Serve<S>) -> Running {
        Running::run(serve.bind().expect("binds"))
    }

    pub(crate) fn run(bound: Bound) -> Running {
        let addrs = bound.addresses().iter().filter_map(|a| a.tcp()).collect();
        let handle = bound.handle();
        let (sender, ended) = channel();
        thread::spawn(move || {
            let run = std::panic::AssertUnwindSafe(|| bound.run());
            let _ = sender.send(std::panic::catch_unwind(run));
        });
        Running { handle, addrs, ended }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addrs[0]
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.addr())
    }

    pub(crate) fn counters(&self) -> Counters {
        self.handle.stats().counters
    }

    /// Waits until the counters say so.
    pub(crate) fn wait_for(&self, what: &str, mut condition: impl FnMut(&Counters) -> bool) -> Counters {
        let deadline = Instant::now() + LONG;
        loop {
            let counters = self.counters();
            if condition(&counters) {
                return counters;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}: {counters:#?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// What `run` came to, a panic included. Fails if the server does not end.
    pub(crate) fn join(&self) -> thread::Result<windlass::Result<Summary>> {
        self.ended.recv_timeout(LONG).expect("the server ends")
    }

    /// Stops it at once, and checks that nothing is left behind.
    pub(crate) fn stop(self) -> Summary {
        self.handle.stop_now();
        self.ended_well()
    }

    /// Waits for its end, and checks that nothing is left behind.
    pub(crate) fn ended_well(self) -> Summary {
        let summary = self.join().expect("no panic").expect("no error");
        let counters = &summary.stats.counters;
        assert_eq!(counters.connections, 0, "nothing is open at the end");
        assert_eq!(counters.buffered_bytes, 0, "nothing is buffered at the end");
        assert_eq!(counters.opened, counters.ended, "every connection ended once");
        assert_eq!(counters.closes().map(|(_, n)| n).sum::<u64>(), counters.ended, "each for one reason");
        for (name, connections) in self.handle.listener_connections() {
            assert_eq!(connections, 0, "{name} counts down what it counted up");
        }
        summary
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop_now();
    }
}

/// Connects, without delays and with deadlines.
pub(crate) fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).expect("connects");
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream
}

/// Bytes of which none may be lost, repeated or swapped unseen: each depends on its place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    let byte = |n: usize| (n as u32).wrapping_mul(0x9E37_79B9).rotate_right(13) as u8;
    (0..len).map(byte).collect()
}

/// Reads exactly what `wanted` holds.
pub(crate) fn expect(stream: &mut impl Read, wanted: &[u8]) {
    let mut buf = vec![0; 256 * 1024];
    let mut at = 0;
    while at < wanted.len() {
        let most = buf.len().min(wanted.len() - at);
        let n = stream.read(&mut buf[..most]).unwrap_or_else(|e| panic!("after {at} bytes: {e}"));
        assert!(n > 0, "the stream ended after {at} of {} bytes", wanted.len());
        assert!(buf[..n] == wanted[at..at + n], "other bytes than sent, in the {n} after {at}");
        at += n;
    }
}

/// Reads up to the end of the stream.
pub(crate) fn expect_end(stream: &mut impl Read) {
    let mut byte = [0];
    assert_eq!(stream.read(&mut byte).expect("an orderly end"), 0, "more than expected came");
}

/// Reads until the peer's reset, and returns what came before it.
pub(crate) fn read_to_reset(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionReset => bytes,
        other => panic!("a reset, not {other:?} after {} bytes", bytes.len()),
    }
}

/// One message there and back.
pub(crate) fn round_trip(stream: &mut (impl Read + Write), message: &[u8]) {
    stream.write_all(message).expect("writes");
    expect(stream, message);
}

/// Sends `message` from another thread and then FIN, as a client does that only then reads.
pub(crate) fn send_and_finish(stream: &TcpStream, message: Vec<u8>) -> thread::JoinHandle<()> {
    let mut stream = stream.try_clone().unwrap();
    thread::spawn(move || {
        stream.write_all(&message).expect("writes");
        stream.shutdown(Shutdown::Write).expect("finishes");
    })
}

/// A reset instead of an orderly end, once it is dropped.
pub(crate) fn reset_on_drop(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// A path for a socket, gone when dropped.
pub(crate) struct SocketPath(pub(crate) PathBuf);

impl SocketPath {
    pub(crate) fn new() -> SocketPath {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        SocketPath(std::env::temp_dir().join(format!("windlass-it-{}-{number}", std::process::id())))
    }

    pub(crate) fn connect(&self) -> UnixStream {
        connect_unix(&self.0)
    }
}

pub(crate) fn connect_unix(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).expect("connects");
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

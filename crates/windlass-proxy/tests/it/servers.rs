//! Servers and clients of the tests, with a deadline on everything.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use windlass::{BoundAddress, Handle, Limits, Serve, Service};
use windlass_proxy::{Backend, Front, ProxyConfig};

/// What is long over when everything is well, also on a slow and busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A windlass server in a thread. Stopped when dropped.
pub(crate) struct Running {
    pub(crate) handle: Handle,
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Running {
    pub(crate) fn start<S: Service>(serve: Serve<S>) -> Running {
        let limits = Limits {
            stall_timeout: Duration::ZERO,
            drain_timeout: Duration::from_secs(1),
            ..Limits::default()
        };
        Running::with(serve, limits)
    }

    pub(crate) fn with<S: Service>(serve: Serve<S>, limits: Limits) -> Running {
        let bound = serve.limits(limits).bind().expect("binds");
        let at = |address: &BoundAddress| address.tcp().or(address.udp());
        let addresses = bound.addresses().iter().filter_map(at).collect();
        let handle = bound.handle();
        thread::spawn(move || bound.run());
        Running { handle, addresses }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop_now();
    }
}

/// A proxy on so many workers, on a port of its own.
pub(crate) fn proxy(config: ProxyConfig, workers: usize) -> (Front, Running) {
    let front = Front::new(config).expect("a configuration that works");
    let running = Running::start(front.serve().workers(workers).tcp("127.0.0.1:0"));
    (front, running)
}

pub(crate) fn config<'a>(backends: impl IntoIterator<Item = &'a Listening>) -> ProxyConfig {
    let at = |backend: &Listening| Backend::at(backend.address.to_string().parse().expect("an address"));
    ProxyConfig { backends: backends.into_iter().map(at).collect(), ..ProxyConfig::default() }
}

/// An address of a backend's own: once it has closed its port, nobody else is given that.
pub(crate) fn own_ip() -> Ipv4Addr {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let [.., high, low] = COUNT.fetch_add(1, SeqCst).to_be_bytes();
    Ipv4Addr::new(127, 32 + (std::process::id() % 128) as u8, high, low)
}

/// A backend: a thread for each connection.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    /// Connections now, and the most there were.
    pub(crate) now: Arc<AtomicUsize>,
    pub(crate) most: Arc<AtomicUsize>,
    closed: Arc<AtomicBool>,
}

impl Listening {
    pub(crate) fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Listening {
        let listener = TcpListener::bind((own_ip(), 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let closed = Arc::new(AtomicBool::new(false));
        let (counts, is_closed, serve) = ((now.clone(), most.clone()), closed.clone(), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if is_closed.load(SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (now, most) = counts.clone();
                let serve = serve.clone();
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                thread::spawn(move || {
                    stream.set_read_timeout(Some(LONG)).expect("a timeout");
                    // Whoever sees its end finds it counted out.
                    let until_counted = stream.try_clone();
                    serve(stream);
                    now.fetch_sub(1, SeqCst);
                    drop(until_counted);
                });
            }
        });
        Listening { address, now, most, closed }
    }

    /// Sends everything back.
    pub(crate) fn echo() -> Listening {
        Listening::start(|mut stream| {
            let mut buffer = [0; 16 * 1024];
            while let Ok(n @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..n]).is_err() {
                    return;
                }
            }
        })
    }

    /// Nobody listens there any more.
    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
        // Wakes the thread that accepts, so that the listener goes.
        let _ = TcpStream::connect(self.address);
        expect("the port is closed", || TcpStream::connect(self.address).is_err());
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.closed.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Waits until something is so.
pub(crate) fn expect(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("connects");
    stream.set_read_timeout(Some(LONG)).expect("a timeout");
    stream
}

/// Says something, ends its half, and hears the rest.
pub(crate) fn ask(to: SocketAddr, what: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(LONG))?;
    stream.write_all(what)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// Nothing is left of anybody.
pub(crate) fn expect_nothing(front: &Front) {
    expect("counts return to nothing", || {
        let stats = front.stats();
        let connections: usize = stats.backends.iter().map(|backend| backend.connections).sum();
        (stats.clients, stats.waiting, connections) == (0, 0, 0)
    });
}

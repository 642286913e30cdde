//! Echo servers for the tests: a thread for each connection, and a fault if one is wanted.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use windlass_bench::args::Target;

/// What a server does wrong, mostly once it has echoed so many bytes of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It writes one byte at a time; legal, but unfriendly.
    Dribble,
    /// It sleeps once, in the middle of a run.
    SleepOnce(Duration),
    /// It changes this byte.
    Flip(u64),
    /// It leaves this byte out.
    Lose(u64),
    /// It sends this byte twice.
    Double(u64),
    /// It closes the connection here.
    CloseAfter(u64),
    /// It says nothing more from here on.
    StallAfter(u64),
}

/// A server that stops listening when it is dropped.
pub(crate) struct Serving {
    pub(crate) target: Target,
    stop: Arc<AtomicBool>,
    socket_file: Option<PathBuf>,
}

impl Serving {
    pub(crate) fn tcp(fault: Fault) -> Serving {
        // At an address of its own: once its port is closed, nobody else is given that.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let [.., high, low] = NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let own = [127, 32 + (std::process::id() % 128) as u8, high, low];
        let listener = TcpListener::bind((std::net::Ipv4Addr::from(own), 0)).unwrap();
        let target = Target::Tcp(listener.local_addr().unwrap());
        let accept = move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            Box::new(stream) as Box<dyn Duplex>
        };
        Serving::start(target, fault, accept, None)
    }

    pub(crate) fn unix(fault: Fault) -> Serving {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("windlass-bench-{}-{number}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let listener = UnixListener::bind(&path).unwrap();
        let accept = move || Box::new(listener.accept().unwrap().0) as Box<dyn Duplex>;
        Serving::start(Target::Unix(path.clone()), fault, accept, Some(path))
    }

    fn start(
        target: Target,
        fault: Fault,
        accept: impl Fn() -> Box<dyn Duplex> + Send + 'static,
        socket_file: Option<PathBuf>,
    ) -> Serving {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        thread::spawn(move || {
            loop {
                let stream = accept();
                if stopping.load(Ordering::Acquire) {
                    return;
                }
                // A broken connection is the client's affair to notice.
                thread::spawn(move || drop(serve(stream, fault)));
            }
        });
        Serving { target, stop, socket_file }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wake the accepting thread, so that it sees the flag and lets its listener go; wait until
        // the port refuses, since a test may want exactly that.
        match &self.target {
            Target::Tcp(addr) => while TcpStream::connect(addr).is_ok() {},
            Target::Unix(path) => while UnixStream::connect(path).is_ok() {},
            Target::Udp(_) => {}
        }
        if let Some(path) = &self.socket_file {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A stream of either kind.
trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

fn serve(mut stream: Box<dyn Duplex>, fault: Fault) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut echoed = 0_u64;
    let mut slept = false;
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        let mut bytes = buffer[..read].to_vec();
        // Where in this piece the fault lies, if it does.
        let here = |at: u64| usize::try_from(at.checked_sub(echoed)?).ok().filter(|&at| at < read);
        match fault {
            Fault::None | Fault::Dribble => {}
            Fault::SleepOnce(time) => {
                if !slept && echoed > 5000 {
                    slept = true;
                    thread::sleep(time);
                }
            }
            Fault::Flip(at) => {
                if let Some(at) = here(at) {
                    bytes[at] ^= 0x55;
                }
            }
            Fault::Lose(at) => {
                if let Some(at) = here(at) {
                    bytes.remove(at);
                }
            }
            Fault::Double(at) => {
                if let Some(at) = here(at) {
                    bytes.insert(at, bytes[at]);
                }
            }
            Fault::CloseAfter(at) => {
                if let Some(at) = here(at) {
                    return stream.write_all(&bytes[..at]);
                }
            }
            Fault::StallAfter(at) => {
                if let Some(at) = here(at) {
                    stream.write_all(&bytes[..at])?;
                    thread::sleep(Duration::from_secs(5));
                }
            }
        }
        echoed += read as u64;
        match fault {
            Fault::Dribble => bytes.chunks(1).try_for_each(|byte| stream.write_all(byte))?,
            _ => stream.write_all(&bytes)?,
        }
    }
}

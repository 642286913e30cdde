//! `memory = "8MiB"` in a machine of 16 MiB, and five hundred clients at once, most of whom mean no good; or with too few
//! descriptors for them. It is not killed, does not end by itself, keeps its one thread, says what it shed, and whoever is
//! honest is served: those who were there before meanwhile too.
//!
//! One siege at a time: each has the machine for itself, and none is slow because of another.

#[cfg(feature = "echo")]
mod echo;
#[cfg(feature = "hub")]
mod hub;
#[cfg(feature = "relay")]
mod relay;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use socket2::{Domain, Socket, Type};

use crate::harness::{Folder, LONG, Mini, program, started};
use crate::little::{Little, eventually};

/// How many come at once.
const CLIENTS: usize = 500;

/// Bytes of a packet on the roads of those who read little.
const SMALL: u32 = 536;

/// A server under siege.
struct Besieged {
    mini: Mini,
    little: Option<Little>,
    stderr: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Besieged {
    /// With these services, which listen on so many addresses. `first` is done by the shell that becomes the server.
    fn start(name: &str, first: &str, services: &str, listens: usize) -> Besieged {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        raise_descriptors();
        let little = Little::new(name);
        let admin = if cfg!(feature = "metrics") { "[admin]\nlisten = [\"127.0.0.1:0\"]\n" } else { "" };
        // However slow the machine is, nobody is sent away for that, and all are from one address.
        let limits =
            "[limits]\nwhen_full = \"shed\"\noverload_lag_max = \"0s\"\nsource_connections_max = 0\n";
        let folder = Folder::new();
        let config =
            folder.file("windlass.toml", &format!("[server]\nmemory = \"8MiB\"\n{limits}{admin}{services}"));
        let stderr = folder.0.join("stderr");
        let mut shell = Command::new("sh");
        let group = Little::enter(little.as_ref());
        shell.arg("-c").arg(format!("{group} && {first} && exec \"$0\" \"$@\""));
        shell.arg(program().get_program()).args(["run", "-c"]).arg(config);
        shell.stderr(File::create(&stderr).unwrap());
        let mini = started(shell, folder, listens + usize::from(cfg!(feature = "metrics")));
        Besieged { mini, little, stderr, _alone: alone }
    }

    /// `None` is one who was shed so soon that it never heard that it was taken in.
    fn connect(&self, listen: usize) -> Option<TcpStream> {
        let stream = match TcpStream::connect(&self.mini.addresses[listen]) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
            connected => connected.unwrap(),
        };
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        Some(stream)
    }

    /// One who has little read of what it is sent, over a road of small packets: the system's buffers at both ends are small
    /// then, and what else waits does so in the server.
    fn deaf(&self, listen: usize) -> TcpStream {
        let to: SocketAddr = self.mini.addresses[listen].parse().unwrap();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.set_tcp_mss(SMALL).unwrap();
        match socket.connect(&to.into()) {
            Ok(()) => {}
            // As above.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error}"),
        }
        socket.into()
    }

    /// Still there, and by itself.
    fn holds(&mut self, when: &str) {
        assert!(self.mini.is_running(), "{when}: it has ended: {}", self.said());
        assert_eq!(self.mini.threads(), 1, "{when}");
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    /// Its numbers, where it is built to tell them.
    fn page(&self) -> Option<String> {
        if !cfg!(feature = "metrics") {
            return None;
        }
        let get = || {
            let mut stream = self.connect(self.mini.addresses.len() - 1)?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").ok()?;
            let mut page = String::new();
            stream.read_to_string(&mut page).ok()?;
            page.starts_with("HTTP/1.1 200").then_some(page)
        };
        // Some who have gone may still have their places.
        Some(eventually("its numbers", get))
    }

    /// It was neither killed nor did it end or complain; and it ends when it is told to.
    fn held(mut self) {
        self.holds("in the end");
        if let Some(little) = &self.little {
            assert_eq!(little.killed(), 0);
        }
        assert_eq!(self.said(), "");
        let Besieged { mini, little, stderr, _alone } = self;
        mini.signal("TERM");
        // With it its folder goes, and what it said.
        let said = File::open(stderr);
        let (status, _) = mini.ended();
        let mut text = String::new();
        said.unwrap().read_to_string(&mut text).unwrap();
        assert!(status.success(), "{status}: {text}");
        drop(little);
    }
}

/// A sum over all samples of a family whose labels have this in them.
fn counted(page: &str, family: &str, label: &str) -> u64 {
    let of_family = |line: &&str| line.split(['{', ' ']).next() == Some(family) && line.contains(label);
    let values = page.lines().filter(of_family);
    values.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// As many as this process may have: both ends of five hundred are here.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Has all of them say whatever is taken, until none of it is: by a server that waits for them, and is not merely slow.
#[cfg(any(feature = "echo", feature = "relay"))]
fn gorge<'s>(besieged: &Besieged, streams: impl Iterator<Item = &'s mut TcpStream>) {
    let mut streams: Vec<_> = streams.collect();
    streams.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
    let (begun, mut passes_without) = (std::time::Instant::now(), 0);
    // One that is shedding others all the time does not wait.
    while passes_without < 5 || !besieged.mini.is_asleep() && begun.elapsed() < LONG / 4 {
        let taken = streams.iter_mut().filter_map(|stream| stream.write(&[7; 64 << 10]).ok()).count();
        passes_without = if taken == 0 { passes_without + 1 } else { 0 };
        if taken == 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// Whether it comes back as it was sent.
#[cfg(any(feature = "echo", feature = "relay"))]
fn is_echoed(stream: &mut TcpStream, text: &[u8]) -> bool {
    let mut back = vec![0; text.len()];
    let is_answered = stream.write_all(text).is_ok() && stream.read_exact(&mut back).is_ok();
    assert!(!is_answered || back == text, "other bytes came back");
    is_answered
}

/// The same of a datagram, of which some may be lost.
#[cfg(any(feature = "relay", all(feature = "echo", feature = "udp")))]
fn is_echoed_as_datagram(to: &str, text: &[u8]) -> bool {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    socket.send_to(text, to).unwrap();
    let mut back = [0; 64];
    let answered = socket.recv_from(&mut back).map(|(len, _)| len);
    assert!(answered.as_ref().map_or(true, |&len| &back[..len] == text), "other bytes came back");
    answered.is_ok()
}

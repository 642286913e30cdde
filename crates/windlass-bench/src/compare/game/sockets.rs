//! The control of a crowd: a program that has as many connections as the server, or one socket of datagrams, reads and
//! writes as many bytes as often, in rooms of sixteen that do not fall together, and does nothing else. Its other side is the
//! same program.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::serving::{Program, SEATS, SETTLED};
use crate::args::Target;
use crate::compare::peers::Peer;
use crate::compare::server::Server;
use crate::proc::Cpu;

/// Options of the hidden command that is either side of it.
#[derive(Debug, Clone, clap::Args)]
pub struct SocketsArgs {
    /// Connections
    #[arg(long)]
    players: usize,
    /// Writes to each in a second
    #[arg(long)]
    hz: u64,
    /// Bytes of a write
    #[arg(long)]
    bytes: usize,
    /// All of them as datagrams of one socket
    #[arg(long)]
    udp: bool,
    /// The other side, which listens; this one does without it
    #[arg(long)]
    to: Option<SocketAddr>,
}

const SECOND: u64 = 1_000_000_000;
/// What an event has that is the timer's.
const TIMER: u64 = u64::MAX;
/// Bytes of a player's input, with those repeated, what it confirms and the frame.
const INPUT: usize = 36;

/// What is spoken by.
enum Ends {
    Streams(Vec<TcpStream>),
    Datagrams(UdpSocket),
}

impl Ends {
    /// Says something to a player. What the system has no room for is not said.
    fn say(&self, player: usize, said: &[u8]) -> io::Result<()> {
        let outcome = match self {
            Ends::Streams(all) => (&all[player]).write(said),
            Ends::Datagrams(socket) => socket.send(said),
        };
        match outcome {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Reads what there is where an event was.
    fn hear(&self, of: usize, scratch: &mut [u8]) -> io::Result<()> {
        let outcome = match self {
            Ends::Streams(all) => match all.get(of).map(|mut stream| stream.read(scratch)) {
                Some(Ok(0)) => Err(ErrorKind::UnexpectedEof.into()),
                Some(outcome) => outcome.map(drop),
                None => Ok(()),
            },
            Ends::Datagrams(socket) => std::iter::repeat_with(|| socket.recv(scratch).map(drop))
                .find(Result::is_err)
                .unwrap_or(Ok(())),
        };
        outcome.or_else(|error| if error.kind() == ErrorKind::WouldBlock { Ok(()) } else { Err(error) })
    }
}

/// Runs both sides; CPU-seconds in a second of the one that listens.
pub(super) fn run(
    program: &Program,
    players: usize,
    hz: u32,
    bytes: usize,
    udp: bool,
    seconds: Duration,
) -> Result<f64> {
    let ourselves = std::env::current_exe()?;
    let args = |bytes: usize| -> Vec<String> {
        let numbers = [("--players", players), ("--hz", hz as usize), ("--bytes", bytes)];
        let numbers = numbers.into_iter().flat_map(|(name, number)| [name.to_owned(), number.to_string()]);
        let udp = udp.then(|| "--udp".to_owned());
        std::iter::once("sockets".to_owned()).chain(numbers).chain(udp).collect()
    };
    let peer = Peer {
        name: "sockets alone".into(),
        about: String::new(),
        program: ourselves.clone(),
        args: args(bytes),
    };
    let server = Server::start(&peer, program.place.server(), false, &[])?;
    let Target::Tcp(at) = server.target else { bail!("it does not listen on TCP") };
    let mut command = Command::new(&ourselves);
    command.arg("pinned").arg("any").arg(&ourselves).args(args(INPUT)).args(["--to", &at.to_string()]);
    let mut other = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let outcome = (|| {
        let output = other.stdout.take().context("the other side has no output")?;
        let said = BufReader::new(output).read_line(&mut String::new())?;
        ensure!(said > 0, "the other side did not connect");
        std::thread::sleep(SETTLED);
        let (before, began) = (Cpu::of(server.pid())?, std::time::Instant::now());
        std::thread::sleep(seconds);
        let cpu = Cpu::of(server.pid())?.since(before);
        Ok(cpu.total as f64 / 1e9 / began.elapsed().as_secs_f64())
    })();
    let _ = other.kill();
    let _ = other.wait();
    outcome
}

/// Either side, until it is killed.
///
/// # Errors
/// A connection fails or ends.
pub fn main(args: SocketsArgs) -> Result<()> {
    crate::net::allow_descriptors(args.players + 8)?;
    let ends = if args.udp { datagrams(&args)? } else { streams(&args)? };
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let edges = EventFlags::IN | EventFlags::ET;
    match &ends {
        Ends::Streams(all) => {
            for (n, stream) in all.iter().enumerate() {
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                epoll::add(&epoll, stream, EventData::new_u64(n as u64), edges)?;
            }
        }
        Ends::Datagrams(socket) => {
            socket.set_nonblocking(true)?;
            epoll::add(&epoll, socket, EventData::new_u64(0), edges)?;
        }
    }
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    epoll::add(&epoll, timer.as_fd(), EventData::new_u64(TIMER), EventFlags::IN | EventFlags::ET)?;
    speak(&args, &ends, |next, heard| {
        let nothing = Timespec { tv_sec: 0, tv_nsec: 0 };
        let it_value = Timespec { tv_sec: (next / SECOND) as _, tv_nsec: (next % SECOND) as _ };
        let spec = Itimerspec { it_interval: nothing, it_value };
        timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &spec)?;
        let mut events = Vec::with_capacity(1024);
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        heard.extend(events.iter().map(|event| event.data.u64()).filter(|of| *of != TIMER));
        Ok(())
    })
}

fn streams(args: &SocketsArgs) -> Result<Ends> {
    let mut all = Vec::new();
    match args.to {
        None => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            println!("Listening on {}", listener.local_addr()?);
            while all.len() < args.players {
                all.push(listener.accept()?.0);
            }
        }
        Some(to) => {
            for _ in 0..args.players {
                all.push(TcpStream::connect(to)?);
            }
            println!("connected");
        }
    }
    Ok(Ends::Streams(all))
}

fn datagrams(args: &SocketsArgs) -> Result<Ends> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    match args.to {
        None => {
            println!("Listening on {}", socket.local_addr()?);
            let (_, from) = socket.recv_from(&mut [0; INPUT])?;
            socket.connect(from)?;
        }
        Some(to) => {
            socket.connect(to)?;
            socket.send(&[b'.'; INPUT])?;
            println!("connected");
        }
    }
    Ok(Ends::Datagrams(socket))
}

/// Writes to those whose time has come, and reads from those who have said something: `wait` waits until one or the other.
fn speak(
    args: &SocketsArgs,
    ends: &Ends,
    mut wait: impl FnMut(u64, &mut Vec<u64>) -> Result<()>,
) -> Result<()> {
    let said = vec![b'.'; args.bytes];
    let mut scratch = vec![0; 64 * 1024];
    let (hz, begin) = (args.hz.max(1), super::control::now());
    let rooms = args.players.div_ceil(SEATS) as u64;
    let due = |room: u64, n: u64| begin + (room * 7_919_317) % (SECOND / hz) + (n * SECOND).div_ceil(hz);
    let mut agenda: BinaryHeap<_> = (0..rooms).map(|room| Reverse((due(room, 1), room, 1))).collect();
    let mut heard = Vec::new();
    loop {
        let Some(&Reverse((next, ..))) = agenda.peek() else { bail!("nobody to speak to") };
        wait(next, &mut heard)?;
        for of in heard.drain(..) {
            ends.hear(of as usize, &mut scratch)?;
        }
        let now = super::control::now();
        while let Some(&Reverse((_, room, n))) = agenda.peek().filter(|Reverse((at, ..))| *at <= now) {
            agenda.pop();
            for player in room as usize * SEATS..args.players.min((room as usize + 1) * SEATS) {
                ends.say(player, &said)?;
            }
            agenda.push(Reverse((due(room, n + 1), room, n + 1)));
        }
    }
}

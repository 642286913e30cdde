//! Clients that say a byte now and then, by the thousands: a process of their own, because a process may have some
//! 20,000 descriptors.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::compare::workloads::Says;
use crate::net::allow_descriptors;

/// Each says a byte so often.
const EVERY: Duration = Duration::from_secs(5);
/// All say theirs in bursts of this length, so that what is measured is not who wakes up how often.
const BURST: Duration = Duration::from_millis(4);
/// They come so many at once, with a pause of `BURST`: slow ones, and no rush that a server may well refuse.
const AT_ONCE: usize = 16;
/// How long an answer may take in the end.
const PATIENCE: Duration = Duration::from_secs(5);
/// After so many that were not served the others are not asked any more.
const UNSERVED_MAX: usize = 20;
/// What a client of HTTP says byte for byte, and then its end.
const HEAD: &[u8] = b"GET /128 HTTP/1.1\r\nhost: localhost\r\nx-slow: ";
const ANSWER: &[u8] = b"HTTP/1.1 200";

/// Options of the hidden command.
#[derive(Debug, Clone, clap::Args)]
pub struct SlowArgs {
    /// Where to
    address: SocketAddr,
    /// How many
    count: usize,
    /// They ask for something
    #[arg(long)]
    http: bool,
}

/// Connects, says that it has, is slow until its input ends, and says how many were served in the end.
///
/// # Errors
/// There are too few descriptors, or somebody cannot connect.
pub fn main(args: SlowArgs) -> Result<()> {
    allow_descriptors(args.count)?;
    let mut clients = Vec::with_capacity(args.count);
    for n in 0..args.count {
        let stream =
            TcpStream::connect(args.address).with_context(|| format!("client {n} of {}", args.address))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut client = Client { stream, said: 0, is_http: args.http };
        client.say();
        clients.push(client);
        if n % AT_ONCE == 0 {
            std::thread::sleep(BURST);
        }
    }
    println!("slow");
    let over = std::thread::spawn(|| std::io::stdin().read_to_end(&mut Vec::new()));
    let (mut next, mut due) = (0, 0.0);
    let each_burst = args.count as f64 * BURST.as_secs_f64() / EVERY.as_secs_f64();
    let mut wakes = Instant::now();
    while !over.is_finished() && args.count > 0 {
        due += each_burst;
        while due >= 1.0 {
            clients[next].say();
            next = (next + 1) % args.count;
            due -= 1.0;
        }
        // What was slept too long is not made up for: nobody is to be told a thousand bytes at once.
        wakes = (wakes + BURST).max(Instant::now());
        std::thread::sleep(wakes.saturating_duration_since(Instant::now()));
    }
    clients.iter_mut().for_each(Client::end);
    let (mut served, mut unserved) = (0, 0);
    for client in &mut clients {
        match client.is_served() {
            true => served += 1,
            false => unserved += 1,
        }
        if unserved > UNSERVED_MAX {
            break;
        }
    }
    println!("served {served}");
    Ok(())
}

struct Client {
    stream: TcpStream,
    said: usize,
    is_http: bool,
}

impl Client {
    /// One more byte. Whether it was heard is seen in the end.
    fn say(&mut self) {
        let byte = HEAD.get(self.said).filter(|_| self.is_http).unwrap_or(&b'x');
        let _ = self.stream.write_all(&[*byte]);
        self.said += 1;
    }

    /// What is missing of what it has to say.
    fn end(&mut self) {
        if self.is_http {
            let rest = [HEAD.get(self.said..).unwrap_or_default(), b"\r\n\r\n"].concat();
            let _ = self.stream.write_all(&rest);
        }
    }

    fn is_served(&mut self) -> bool {
        let mut heard = vec![0; if self.is_http { ANSWER.len() } else { self.said }];
        let is_whole = self.stream.read_exact(&mut heard).is_ok();
        is_whole && if self.is_http { heard == ANSWER } else { heard.iter().all(|byte| *byte == b'x') }
    }
}

/// The process of some of them.
pub(super) struct Slow {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Slow {
    pub(super) fn start(address: &str, says: Says, count: usize) -> Result<Slow> {
        let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
        command.args(["slow", address, &count.to_string()]);
        if matches!(says, Says::Http { .. }) {
            command.arg("--http");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let says = BufReader::new(child.stdout.take().context("they have no output")?);
        Ok(Slow { child, says })
    }

    /// Until all are connected.
    pub(super) fn wait(&mut self) -> Result<()> {
        ensure!(self.line()? == "slow", "the slow clients could not all connect");
        Ok(())
    }

    /// Lets them end what they have to say; how many were served.
    pub(super) fn end(mut self) -> Result<usize> {
        drop(self.child.stdin.take());
        let line = self.line()?;
        let served = line.strip_prefix("served ").and_then(|count| count.parse().ok());
        self.child.wait()?;
        served.context("the slow clients did not tell how many were served")
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

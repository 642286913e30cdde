//! A small page over keep-alive connections: the example `pages` of windlass-http beside nginx.
//!
//! The servers share one core and take turns of a tenth of a second there, the generator has the other
//! core. It checks the status and the length of every response, and comes back where a server ends a
//! connection after its thousand requests, as both do. What counts is the CPU a request costs the server.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use windlass_proto::http::{ClientConn, Limits, ResponsePart, Status};
use windlass_proto::{Decode as _, Input};

use super::figures::median;
use super::foreign::{Files, foreign, free_port, is_there, version};
use super::peers::{Layout, Peer};
use super::server::Server;
use super::{Place, SLICE, machine};
use crate::args::{self, Target};
use crate::proc::Cpu;
use crate::{clock, text};

/// What is asked for, by all clients of all servers.
const PAGE: &str = include_str!("../../../windlass-http/examples/pages/index.html");

/// Requests on the way at the same time: connections, and how many on each.
const WORKLOADS: [(&str, usize, usize); 2] = [("H1", 64, 1), ("H2", 16, 16)];

/// Options of `compare http`.
#[derive(Debug, Clone, clap::Args)]
pub struct HttpCompareArgs {
    /// How long each server is measured on each workload
    #[arg(long, value_parser = args::duration, default_value = "10s")]
    seconds: Duration,
    /// Do not build anything first
    #[arg(long)]
    no_build: bool,
    /// Where to write the tables; `-` for nowhere
    #[arg(long, default_value = "benches/HTTP.md")]
    output: PathBuf,
}

/// Builds ours, measures all of them, prints the tables and writes them to a file.
///
/// # Errors
/// A build fails, a server does not run, or one answers something else than the page.
pub fn main(args: HttpCompareArgs) -> Result<()> {
    let layout = Layout::find()?;
    if !args.no_build {
        layout.build_example("windlass-http", "pages")?;
    }
    let place = Place::choose()?;
    let files = Files::new()?;
    let peers = peers(&layout, &files)?;
    let mut markdown = head(&args, &peers);
    for (id, connections, depth) in WORKLOADS {
        let mut driven = Vec::new();
        for peer in &peers {
            let server = Server::start(peer, place.server(), false, &[])?;
            let Target::Tcp(address) = &server.target else { bail!("{} is not on TCP", peer.name) };
            let load = Load::connect(*address, connections, depth)?;
            driven.push(Driven { peer, server, load, turns: Vec::new() });
        }
        for turn in 0..args.seconds.div_duration_f64(SLICE).ceil() as usize {
            for n in 0..driven.len() {
                // There and back: nobody always follows the same server.
                let n = if turn % 2 == 1 { driven.len() - 1 - n } else { n };
                driven[(n + turn / 2) % peers.len()].turn()?;
            }
        }
        markdown += &format!(
            "\n## {id}: `GET /`, {} bytes, {connections} connections, {depth} at a time on each\n\n{}",
            PAGE.len(),
            table(&driven)
        );
    }
    println!("{markdown}");
    if args.output.as_os_str() != "-" {
        let path = layout.root.join(&args.output);
        std::fs::write(&path, markdown).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", args.output.display());
    }
    Ok(())
}

/// nginx first: ratios are to it.
fn peers(layout: &Layout, files: &Files) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    if is_there("nginx") {
        let page = files.write("index.html", PAGE)?;
        // What `return` is given: a body of the same length.
        let text = "x".repeat(PAGE.len());
        let page_folder = page.parent().unwrap_or(&page).display().to_string();
        for (name, location, about) in [
            ("nginx", format!("root {page_folder};"), "the same page from a file, `open_file_cache`"),
            ("nginx-return", format!("return 200 \"{text}\";"), "`return 200` with as many bytes"),
        ] {
            let port = free_port()?;
            let config = format!(
                "worker_processes 1;\ndaemon off;\nmaster_process off;\npid {pid};\nerror_log stderr crit;\n\
                 events {{ worker_connections 4096; }}\nhttp {{ access_log off; types {{ text/html html; }}\n\
                 open_file_cache max=10; keepalive_requests 1000;\n\
                 server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ {location} }} }} }}\n",
                pid = files.path(&format!("{name}.pid")).display()
            );
            let file = files.write(&format!("{name}.conf"), &config)?;
            let about = format!("{}, one process, {about}", version("nginx", "-v"));
            peers.push(foreign(name, about, port, &format!("nginx -c {}", file.display())));
        }
    } else {
        eprintln!("LEFT OUT: there is no nginx on PATH (Debian: apt-get install nginx)");
    }
    peers.push(Peer {
        name: "windlass".into(),
        about: "the example `pages` of windlass-http, one worker".into(),
        program: layout.example("pages"),
        args: vec!["127.0.0.1:0".into()],
    });
    Ok(peers)
}

struct Driven<'p> {
    peer: &'p Peer,
    server: Server,
    load: Load,
    turns: Vec<Turn>,
}

#[derive(Clone, Copy)]
struct Turn {
    per_second: f64,
    cpu_us: f64,
    // The share of the server's time in which it waited for its core.
    waited: f64,
}

impl Driven<'_> {
    fn turn(&mut self) -> Result<()> {
        let pid = self.server.pid();
        let before = Cpu::of(pid)?;
        let open = clock::now();
        let answers =
            self.load.drive(clock::nanos(SLICE)).with_context(|| format!("driving {}", self.peer.name))?;
        let took = (clock::now() - open) as f64 / 1e9;
        let cpu = Cpu::of(pid)?.since(before);
        if answers > 0 {
            self.turns.push(Turn {
                per_second: answers as f64 / took,
                cpu_us: cpu.total as f64 / 1e3 / answers as f64,
                waited: cpu.waited as f64 / (cpu.total + cpu.waited).max(1) as f64,
            });
        }
        Ok(())
    }
}

/// Clients of one server, at rest between two turns.
struct Load {
    address: SocketAddr,
    depth: usize,
    clients: Vec<Client>,
    buffer: Vec<u8>,
}

struct Client {
    stream: TcpStream,
    conn: ClientConn,
    body: usize,
    left: Vec<u8>,
    out: Vec<u8>,
}

impl Load {
    fn connect(address: SocketAddr, connections: usize, depth: usize) -> Result<Load> {
        let clients: Result<Vec<Client>> =
            (0..connections).map(|_| Client::connect(address, depth)).collect();
        Ok(Load { address, depth, clients: clients?, buffer: vec![0; 256 * 1024] })
    }

    /// Keeps all connections busy for `length` nanoseconds, waits for what is still owed, and tells how many
    /// responses came.
    fn drive(&mut self, length: u64) -> Result<u64> {
        let close = clock::now() + length;
        let mut answers = 0;
        for client in &mut self.clients {
            client.ask(self.depth)?;
        }
        loop {
            let mut fds: Vec<PollFd<'_>> =
                self.clients.iter().map(|client| PollFd::new(&client.stream, PollFlags::IN)).collect();
            let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
            ensure!(poll(&mut fds, Some(&patience))? > 0, "no answer for ten seconds");
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            let over = clock::now() >= close;
            for (client, _) in self.clients.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
                answers += client.receive(&mut self.buffer)?;
                if client.conn.is_over() {
                    *client = Client::connect(self.address, self.depth)?;
                }
                if !over {
                    client.ask(self.depth)?;
                }
            }
            if over && self.clients.iter().all(|client| client.conn.pending() == 0) {
                return Ok(answers);
            }
        }
    }
}

impl Client {
    fn connect(address: SocketAddr, depth: usize) -> Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let conn = ClientConn::new(Limits::default()).pipeline_max(depth);
        Ok(Client { stream, conn, body: 0, left: Vec::new(), out: Vec::new() })
    }

    fn ask(&mut self, depth: usize) -> Result<()> {
        // All at once, when all are answered: so that one write carries them.
        if self.conn.pending() > 0 {
            return Ok(());
        }
        self.out.clear();
        for _ in 0..depth {
            self.conn.request(&mut self.out, "GET", "/", "localhost").header("accept", "*/*").empty()?;
        }
        // A few kilobytes into an empty socket: it takes them.
        self.stream.write_all(&self.out).context("sending")
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<u64> {
        let n = match self.stream.read(buffer) {
            Ok(0) => bail!("a connection ended without a word"),
            Ok(n) => n,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(0),
            Err(e) => return Err(e).context("receiving"),
        };
        self.left.extend_from_slice(&buffer[..n]);
        let mut input = Input::new(&mut self.left);
        let mut answers = 0;
        while let Some(part) = self.conn.decode(&mut input)? {
            match part {
                ResponsePart::Head(head) => ensure!(head.status == Status::OK, "answered {:?}", head.status),
                ResponsePart::Body(bytes) => self.body += bytes.len(),
                ResponsePart::End => {
                    ensure!(self.body == PAGE.len(), "answered {} bytes", self.body);
                    self.body = 0;
                    answers += 1;
                }
                _ => {}
            }
        }
        let left = input.len();
        self.left.drain(..self.left.len() - left);
        Ok(answers)
    }
}

fn table(driven: &[Driven<'_>]) -> String {
    let of = |server: &Driven<'_>, figure: fn(&Turn) -> f64| {
        median(&server.turns.iter().map(figure).collect::<Vec<_>>()).unwrap_or(f64::NAN)
    };
    let reference = of(&driven[0], |turn| turn.cpu_us);
    let rows: Vec<Vec<String>> = driven
        .iter()
        .map(|server| {
            let cpu = of(server, |turn| turn.cpu_us);
            vec![
                server.peer.name.clone(),
                text::number(cpu),
                format!("{:.2}", cpu / reference),
                text::number(of(server, |turn| turn.per_second)),
                format!("{:.0}", of(server, |turn| turn.waited) * 100.0),
                server.turns.len().to_string(),
            ]
        })
        .collect();
    let columns = ["server", "CPU µs per request", "ratio", "requests/s", "waited for its core %", "turns"];
    text::table(&columns, &rows)
}

fn head(args: &HttpCompareArgs, peers: &[Peer]) -> String {
    let mut out = String::from("# A page over keep-alive connections\n\n");
    out += "Reproduce with `cargo run -p windlass-bench --release -- compare http`; nginx is Debian's package.\n\n";
    for (name, value) in machine::facts() {
        out += &format!("- {name}: {value}\n");
    }
    out += &format!(
        "\nThe servers run side by side on one core and take turns of {SLICE:?} there, {:?} each on each workload; \
         the generator has another core and checks every response. Figures are medians of the turns. CPU is the \
         server's alone, as the scheduler counts it; where a server waited for its core much of the time, the \
         machine had other work, and requests per second say nothing.\n\n",
        args.seconds
    );
    for peer in peers {
        out += &format!("- `{}`: {}\n", peer.name, peer.about);
    }
    out
}

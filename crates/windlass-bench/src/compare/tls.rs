//! Programs at which TLS ends, side by side: windlass' example `tls_relay`, HAProxy and nginx, each in front
//! of one plain echo server.
//!
//! All run on one core and take turns of a tenth of a second; client and echo server are threads of this
//! program, on the other core. One thing is under way at a time, so what is compared is the CPU time of a
//! handshake, of bulk and of a small message, and never a throughput: other work on the machine stretches
//! turns and hardly changes that.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

use super::foreign::{Files, foreign, free_port, is_there, stream_module, version};
use super::peers::{Layout, Peer};
use super::server::Server;
use super::{Place, SLICE, machine};
use crate::args::{self, Target};
use crate::proc::Cpu;
use crate::text;

/// Options of `compare tls`.
#[derive(Debug, Clone, clap::Args)]
pub struct TlsCompareArgs {
    /// How long each program is measured on each workload
    #[arg(long, value_parser = args::duration, default_value = "3s")]
    seconds: Duration,
    /// Do not build anything first
    #[arg(long)]
    no_build: bool,
    /// Where to write the table; `-` for nowhere
    #[arg(long, default_value = "benches/TLS.md")]
    output: PathBuf,
}

/// Sent and wanted back in one piece: less than always is on its way.
const PIECE: usize = 128 * 1024;
const MESSAGE: usize = 64;
/// What bulk is told of.
const BULK: f64 = (64 << 20) as f64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Workload {
    Full,
    Resumed,
    Bulk,
    Small,
}

impl Workload {
    const ALL: [Workload; 4] = [Workload::Full, Workload::Resumed, Workload::Bulk, Workload::Small];

    fn title(self) -> &'static str {
        match self {
            Workload::Full => "Connect, full handshake, one round trip of 64 B, close",
            Workload::Resumed => "The same with a resumed session",
            Workload::Bulk => "64 MiB there and back, in pieces of 128 KiB on one connection",
            Workload::Small => "Round trip of 64 B on an open connection",
        }
    }
}

/// What one program did in its slices: CPU of one operation, in nanoseconds, and the share of the time in
/// which it was ready to run and something else had its core.
#[derive(Default)]
struct Slices {
    each: Vec<f64>,
    /// To the first program's slice next to it.
    ratios: Vec<f64>,
    waited: Vec<f64>,
}

/// Builds ours, measures all of them, prints the tables and writes them to a file.
///
/// # Errors
/// A build fails, ours does not run, or a byte comes back changed.
pub fn main(args: TlsCompareArgs) -> Result<()> {
    let layout = Layout::find()?;
    if !args.no_build {
        layout.build_example("windlass", "tls_relay")?;
    }
    let place = Place::choose()?;
    let files = Files::new()?;
    let upstream = echo_server()?;
    let mut peers = peers(&layout, &files, upstream)?;
    peers.retain(|peer| match Server::start(peer, place.server(), false, &[]) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("LEFT OUT: {}: {error:#}", peer.name);
            false
        }
    });
    ensure!(peers.iter().any(|peer| peer.name == OURS), "windlass' example does not run");
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut markdown = head(&args, &peers, load.trim());
    for workload in Workload::ALL {
        let slices = measure(&args, &layout, &peers, &place, workload)?;
        let _ = write!(
            markdown,
            "\n## {}\n\n| program | CPU µs, median | middle half | ratio | waited for its core |\n| --- | ---: | ---: | ---: | ---: |\n",
            workload.title()
        );
        for (peer, slices) in peers.iter().zip(&slices) {
            let [low, median, high] = quartiles(&slices.each).map(|nanos| text::number(nanos / 1e3));
            let (ratio, waited) = (quartiles(&slices.ratios)[1], quartiles(&slices.waited)[1] * 100.0);
            let _ = writeln!(
                markdown,
                "| {} | {median} | {low}–{high} | {ratio:.2} | {waited:.0} % |",
                peer.name
            );
        }
    }
    println!("{markdown}");
    if args.output.as_os_str() != "-" {
        let path = layout.root.join(&args.output);
        std::fs::write(&path, markdown).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", args.output.display());
    }
    Ok(())
}

/// The name of ours.
const OURS: &str = "windlass";

fn certificate(layout: &Layout, file: &str) -> PathBuf {
    layout.root.join("crates/windlass/tests/certs").join(file)
}

/// The programs, in the order of the tables: the first is what ratios refer to.
fn peers(layout: &Layout, files: &Files, upstream: SocketAddr) -> Result<Vec<Peer>> {
    let (chain, key) = (certificate(layout, "server.pem"), certificate(layout, "server.key"));
    let read = |path: &PathBuf| std::fs::read_to_string(path).with_context(|| path.display().to_string());
    let mut peers = Vec::new();
    if is_there("haproxy") {
        let port = free_port()?;
        let both = files.write("both.pem", &format!("{}{}", read(&chain)?, read(&key)?))?;
        let text = format!(
            "global\n nbthread 1\n maxconn 7000\ndefaults\n mode tcp\n timeout connect 5s\n \
             timeout client 120s\n timeout server 120s\nlisten tls\n \
             bind 127.0.0.1:{port} backlog 4096 ssl crt {both}\n server upstream {upstream}\n",
            both = both.display()
        );
        let file = files.write("haproxy-tls.cfg", &text)?;
        let about = format!("{}, TCP mode, one thread", version("haproxy", "-v"));
        peers.push(foreign("haproxy", about, port, &format!("haproxy -f {}", file.display())));
    } else {
        eprintln!("LEFT OUT: there is no haproxy on PATH (Debian: apt-get install haproxy)");
    }
    if is_there("nginx") {
        let port = free_port()?;
        let module = stream_module();
        let text = format!(
            "{module}worker_processes 1;\ndaemon off;\nmaster_process off;\npid {pid};\nerror_log stderr crit;\n\
             events {{ worker_connections 18000; }}\nstream {{ server {{ listen 127.0.0.1:{port} ssl backlog=4096; \
             ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3; \
             proxy_pass {upstream}; proxy_timeout 120s; }} }}\n",
            pid = files.path("nginx-tls.pid").display(),
            chain = chain.display(),
            key = key.display()
        );
        let file = files.write("nginx-tls.conf", &text)?;
        let about = format!("{}, stream module, one process", version("nginx", "-v"));
        peers.push(foreign("nginx", about, port, &format!("nginx -c {}", file.display())));
    } else {
        eprintln!("LEFT OUT: there is no nginx on PATH (Debian: apt-get install nginx libnginx-mod-stream)");
    }
    let args =
        ["127.0.0.1:0".into(), upstream.to_string(), chain.display().to_string(), key.display().to_string()];
    peers.push(Peer {
        name: OURS.into(),
        about: "the example `tls_relay`, one worker".into(),
        program: layout.example("tls_relay"),
        args: args.into(),
    });
    Ok(peers)
}

/// Sends everything back, each connection in a thread of its own.
fn echo_server() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut buf = vec![0; 2 * PIECE];
                let _ = stream.set_nodelay(true);
                // Whoever is gone has had enough.
                while let Ok(n @ 1..) = stream.read(&mut buf) {
                    if stream.write_all(&buf[..n]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(addr)
}

/// A client of one program.
struct Client {
    addr: SocketAddr,
    config: Arc<ClientConfig>,
    open: Option<Stream>,
    sent: Vec<u8>,
    received: Vec<u8>,
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

impl Client {
    fn new(layout: &Layout, addr: SocketAddr, workload: Workload) -> Result<Client> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate(layout, "ca.pem"))?)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        if workload == Workload::Full {
            config.resumption = Resumption::disabled();
        }
        let len = if workload == Workload::Bulk { PIECE } else { MESSAGE };
        let sent = (0..len).map(|n| (n * 7) as u8).collect();
        let mut client = Client { addr, config: Arc::new(config), open: None, sent, received: vec![0; len] };
        // The first of all is a full handshake, and brings the tickets.
        let mut stream = client.connect()?;
        client.round_trip(&mut stream)?;
        if matches!(workload, Workload::Bulk | Workload::Small) {
            client.open = Some(stream);
        }
        Ok(client)
    }

    fn connect(&self) -> Result<Stream> {
        let tcp = TcpStream::connect(self.addr)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(Duration::from_secs(20)))?;
        let conn = ClientConnection::new(self.config.clone(), ServerName::try_from("localhost")?)?;
        Ok(StreamOwned::new(conn, tcp))
    }

    fn round_trip(&mut self, stream: &mut Stream) -> Result<()> {
        stream.write_all(&self.sent)?;
        stream.flush()?;
        stream.read_exact(&mut self.received)?;
        ensure!(self.received == self.sent, "other bytes came back than were sent");
        Ok(())
    }

    /// Works for a slice; how many operations that were.
    fn run(&mut self, workload: Workload) -> Result<f64> {
        let (begun, mut done) = (Instant::now(), 0.0);
        while begun.elapsed() < SLICE {
            match self.open.take() {
                Some(mut stream) => {
                    self.round_trip(&mut stream)?;
                    self.open = Some(stream);
                    done += if workload == Workload::Bulk { PIECE as f64 / BULK } else { 1.0 };
                }
                None => {
                    let mut stream = self.connect()?;
                    self.round_trip(&mut stream)?;
                    let resumed = stream.conn.handshake_kind() == Some(HandshakeKind::Resumed);
                    ensure!(resumed == (workload == Workload::Resumed), "a handshake of the other kind");
                    stream.conn.send_close_notify();
                    stream.flush()?;
                    done += 1.0;
                }
            }
        }
        Ok(done)
    }
}

fn measure(
    args: &TlsCompareArgs,
    layout: &Layout,
    peers: &[Peer],
    place: &Place,
    workload: Workload,
) -> Result<Vec<Slices>> {
    let mut driven = Vec::new();
    for peer in peers {
        let server = Server::start(peer, place.server(), false, &[])?;
        let Target::Tcp(addr) = server.target else { bail!("{} does not listen on TCP", peer.name) };
        let mut client =
            Client::new(layout, addr, workload).with_context(|| format!("a client of {}", peer.name))?;
        client.run(workload).with_context(|| peer.name.clone())?;
        driven.push((server, client, Slices::default()));
    }
    let count = driven.len();
    for slice in 0..args.seconds.div_duration_f64(SLICE).ceil() as usize {
        let mut costs = vec![0.0; count];
        for turn in 0..count {
            // There and back: nobody always follows the same program.
            let turn = if slice % 2 == 1 { count - 1 - turn } else { turn };
            let turn = (turn + slice / 2) % count;
            let (server, client, slices) = &mut driven[turn];
            let (begun, before) = (Instant::now(), Cpu::of(server.pid())?);
            let done = client.run(workload).with_context(|| peers[turn].name.clone())?;
            let cpu = Cpu::of(server.pid())?.since(before);
            costs[turn] = cpu.total as f64 / done;
            slices.each.push(costs[turn]);
            slices.waited.push(cpu.waited as f64 / begun.elapsed().as_nanos() as f64);
        }
        for ((_, _, slices), cost) in driven.iter_mut().zip(&costs) {
            slices.ratios.push(cost / costs[0]);
        }
    }
    Ok(driven.into_iter().map(|(_, _, slices)| slices).collect())
}

fn quartiles(values: &[f64]) -> [f64; 3] {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values.get(values.len() * quarter / 4).copied().unwrap_or(0.0))
}

fn head(args: &TlsCompareArgs, peers: &[Peer], load: &str) -> String {
    let mut out = String::from("# Where TLS ends, side by side\n\n");
    out += "Reproduce with `cargo run -p windlass-bench --release -- compare tls`; HAProxy and nginx are Debian's \
            packages.\n\n";
    for (name, value) in machine::facts() {
        let _ = writeln!(out, "- {name}: {value}");
    }
    let _ = writeln!(out, "- load average at the start, this benchmark not included: {load}");
    let _ = write!(
        out,
        "\nTLS 1.3, TLS_AES_256_GCM_SHA384, a certificate with an ECDSA key on P-256. All programs run on one core \
         and take turns of {SLICE:?}, {:?} each; client and echo server are on the other core. One thing is under way \
         at a time, and figures are the CPU of the program alone as the scheduler counts it: kernel and user, the \
         plain connection to the echo server included. Ratios are medians of those to the turn of `{}` next to it; \
         the last column tells how much other work there was on that core.\n\n",
        args.seconds, peers[0].name
    );
    for peer in peers {
        let _ = writeln!(out, "- `{}`: {}", peer.name, peer.about);
    }
    out
}

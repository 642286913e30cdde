//! TCP proxies side by side: windlass' relay alone and the proxy around it, HAProxy and nginx, in front of one
//! echo server.
//!
//! The proxies share one core and take turns there, as echo servers do in `compare echo`; the echo
//! server behind them is on the generator's core. HAProxy and nginx come from the system's packages;
//! whichever is not there is left out, loudly. On Linux all of it runs in a network namespace of its
//! own, where cubic is the congestion control of every route: the proxies have no setting for it, and
//! BBR paces by timers.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::figures::{Figures, median};
use super::peers::{Layout, Peer};
use super::server::Server;
use super::tables::Section;
use super::workloads::{RELAY, Workload};
use super::{CompareArgs, Place, SLICE, calls, machine, measure};
use crate::{args, text};

/// What must be done in a fresh network namespace before anything can run in it.
const NAMESPACE: &str = "ip link set lo up && for to in 127.0.0.0/8 127.0.0.1; do \
    ip route replace local $to dev lo proto kernel scope host src 127.0.0.1 table local congctl cubic || exit 1; \
    done";
/// The option of a run that has been put into one.
const INSIDE: &str = "--in-namespace";
/// Where Debian puts nginx' stream module, if it is a file of its own.
pub(super) const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";
/// The bars of the design: milliseconds of CPU to relay 64 MiB, and bytes of an idle pair.
const BULK_BAR: f64 = 30.0;
const IDLE_BAR: f64 = 1024.0;

/// Options of `compare relay`.
#[derive(Debug, Clone, clap::Args)]
pub struct RelayArgs {
    /// Rounds; medians are taken over them
    #[arg(long, value_parser = args::count, default_value = "5")]
    rounds: u64,
    /// How long each proxy is measured on each workload
    #[arg(long, value_parser = args::duration, default_value = "3s")]
    seconds: Duration,
    /// Only these workloads, as in R1,R2
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Also count system calls per round trip with strace
    #[arg(long)]
    strace: bool,
    /// Do not build anything first
    #[arg(long)]
    no_build: bool,
    /// Where to write the tables; `-` for nowhere
    #[arg(long, default_value = "benches/RELAY.md")]
    output: PathBuf,
    /// Already in a network namespace of its own
    #[arg(long = "in-namespace", hide = true)]
    in_namespace: bool,
}

/// Builds ours, measures all of them, prints the tables and writes them to a file.
///
/// # Errors
/// A build fails, or not even windlass' relay runs.
pub fn main(args: RelayArgs) -> Result<()> {
    if !args.in_namespace && in_namespace()? {
        return Ok(());
    }
    let workloads: Vec<Workload> = RELAY
        .into_iter()
        .filter(|workload| {
            args.only.is_empty() || args.only.iter().any(|id| id.eq_ignore_ascii_case(workload.id))
        })
        .collect();
    ensure!(!workloads.is_empty(), "the workloads are R1 to R4");
    let layout = Layout::find()?;
    if !args.no_build {
        layout.build_windlass()?;
        layout.build_example("windlass", "relay")?;
    }
    let place = Place::choose()?;
    let backend = layout.windlass();
    let backend = Server::start(&backend, place.bound.map(|(_, generator)| generator), false, &[])?;
    let upstream = backend.target.to_string();
    let files = Files::new()?;
    let mut peers = peers(&layout, &files, &upstream)?;
    peers.retain(|peer| match Server::start(peer, place.server(), false, &[]) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("LEFT OUT: {}: {error:#}", peer.name);
            false
        }
    });
    ensure!(peers.iter().any(|peer| peer.name == OURS), "windlass' relay does not run");

    let shared = CompareArgs {
        rounds: args.rounds,
        seconds: args.seconds,
        only: Vec::new(),
        peers: Vec::new(),
        windlass: Vec::new(),
        two_workers: false,
        strace: args.strace,
        urgent: false,
        no_build: true,
        json: false,
        output: args.output.clone(),
    };
    let runs = measure(&shared, &workloads, &peers, &place)?;
    let mut markdown = head(&args, &peers);
    for workload in &workloads {
        markdown += &Section { title: None, workload, peers: &peers, runs: &runs }.to_markdown();
    }
    let rows: Vec<Vec<String>> = peers
        .iter()
        .map(|peer| {
            let of = |workload| Figures::of(&runs, workload, &peer.name, &peers[0].name);
            // A message of 1 MiB goes through twice.
            let bulk = of("R2").each(|report| Some(report.load.server?.per_message()? * 32.0 / 1e3));
            let idle = of("R4").each(|report| Some(report.idle.as_ref()?.bytes_per_connection()?.1));
            let cell = |values: &[f64]| median(values).map_or("-".into(), text::number);
            vec![peer.name.clone(), cell(&bulk), cell(&idle)]
        })
        .collect();
    markdown += &format!(
        "\n## Against the bars\n\nAt most {BULK_BAR} ms of CPU for 64 MiB, and {IDLE_BAR} bytes of an idle pair.\n\n{}",
        text::table(&["proxy", "CPU ms per 64 MiB", "bytes of a pair after one round trip"], &rows)
    );
    if args.strace
        && let Some(section) = calls::section_of(&peers, &place, &[RELAY[0], RELAY[1]])?
    {
        markdown += &section;
    }
    println!("{markdown}");
    if args.output.as_os_str() != "-" {
        let path = layout.root.join(&args.output);
        fs::write(&path, markdown).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", args.output.display());
    }
    Ok(())
}

/// Runs this program again in a network namespace of its own; false if there can be none.
fn in_namespace() -> Result<bool> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", script]);
        command
    };
    let tried = unshare(NAMESPACE).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        eprintln!("NOT ISOLATED: no network namespace to be had; the system's congestion control stays");
        return Ok(false);
    }
    let ourselves = std::env::current_exe().context("cannot find this program")?;
    let mut command = unshare(&format!("{NAMESPACE} && exec \"$0\" \"$@\""));
    let status = command.arg(ourselves).args(std::env::args_os().skip(1)).arg(INSIDE).status()?;
    ensure!(status.success(), "the run in its namespace failed");
    Ok(true)
}

/// The name of our proxy.
const OURS: &str = "windlass";

/// The proxies, in the order of the tables: the first is what ratios refer to.
fn peers(layout: &Layout, files: &Files, upstream: &str) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    if is_there("haproxy") {
        for (name, bufsize, option, about) in [
            ("haproxy-256K", 262_144, "", "one thread, `tune.bufsize 262144`"),
            ("haproxy-16K", 16_384, "", "one thread, its default buffers of 16 KiB"),
            ("haproxy-splice", 16_384, "option splice-auto", "the same with `option splice-auto`"),
        ] {
            let port = free_port()?;
            let text = format!(
                "global\n nbthread 1\n maxconn 7000\n tune.bufsize {bufsize}\ndefaults\n mode tcp\n {option}\n \
                 timeout connect 5s\n timeout client 120s\n timeout server 120s\nlisten relay\n \
                 bind 127.0.0.1:{port} backlog 4096\n server upstream {upstream}\n"
            );
            let file = files.write(&format!("{name}.cfg"), &text)?;
            let about = format!("{}, TCP mode, {about}", version("haproxy", "-v"));
            peers.push(foreign(name, about, port, &format!("haproxy -f {}", file.display())));
        }
    } else {
        eprintln!("LEFT OUT: there is no haproxy on PATH (Debian: apt-get install haproxy)");
    }
    if is_there("nginx") {
        let port = free_port()?;
        let module = if Path::new(STREAM_MODULE).is_file() {
            format!("load_module {STREAM_MODULE};\n")
        } else {
            String::new()
        };
        let text = format!(
            "{module}worker_processes 1;\ndaemon off;\nmaster_process off;\npid {pid};\nerror_log stderr crit;\n\
             events {{ worker_connections 18000; }}\nstream {{ server {{ \
             listen 127.0.0.1:{port} backlog=4096; proxy_pass {upstream}; proxy_timeout 120s; }} }}\n",
            pid = files.path("nginx.pid").display()
        );
        let file = files.write("nginx.conf", &text)?;
        let about =
            format!("{}, stream module, one process, its default buffers of 16 KiB", version("nginx", "-v"));
        peers.push(foreign("nginx", about, port, &format!("nginx -c {}", file.display())));
    } else {
        eprintln!("LEFT OUT: there is no nginx on PATH (Debian: apt-get install nginx libnginx-mod-stream)");
    }
    for (name, pipes, about) in [
        (OURS, None, "the example `relay`, one worker, as it is"),
        ("windlass-copy", Some("0"), "the same without pipes: it never splices"),
    ] {
        let mut args = vec!["127.0.0.1:0".to_owned(), upstream.to_owned()];
        args.extend(pipes.map(str::to_owned));
        peers.push(Peer { name: name.into(), about: about.into(), program: layout.example("relay"), args });
    }
    let service = ["proxy", "--listen", "127.0.0.1:0", "--to", upstream, "--workers", "1", "-q"];
    peers.push(Peer {
        name: "windlass-proxy".into(),
        about: "`windlass proxy`, the whole service, one worker".into(),
        program: layout.windlass().program,
        args: service.map(str::to_owned).into(),
    });
    Ok(peers)
}

/// A server that does not say when it listens: the shell in front of it does, and then becomes it.
pub(super) fn foreign(name: &str, about: String, port: u16, command: &str) -> Peer {
    let script = format!(
        "( (for n in $(seq 100); do (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && \
         echo Listening on 127.0.0.1:{port} && break; sleep 0.05; done) & ); exec {command}"
    );
    Peer { name: name.into(), about, program: "bash".into(), args: vec!["-c".into(), script] }
}

pub(super) fn is_there(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// The first words of what a program says of its version, on whichever output.
pub(super) fn version(program: &str, option: &str) -> String {
    let output = Command::new(program).arg(option).output();
    let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let first = text.lines().next().unwrap_or(program).trim_start_matches("nginx version: ");
    first.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// A port that nobody had a moment ago.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A folder for configuration files, gone when dropped.
pub(super) struct Files(PathBuf);

impl Files {
    pub(super) fn new() -> Result<Files> {
        let folder = std::env::temp_dir().join(format!("windlass-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Files(folder))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Files in the system's temporary folder do no harm if they stay.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn head(args: &RelayArgs, peers: &[Peer]) -> String {
    let mut out = String::from("# TCP proxies side by side\n\n");
    out += "Reproduce with `cargo run -p windlass-bench --release -- compare relay --strace`; HAProxy and nginx are \
            Debian's packages.\n\n";
    for (name, value) in machine::facts() {
        out += &format!("- {name}: {value}\n");
    }
    let congestion = if args.in_namespace { "cubic, set on every route" } else { "the system's default" };
    out += &format!("- congestion control here: {congestion}\n");
    out += &format!(
        "\nAll proxies run side by side on one core and take turns of {SLICE:?}; the generator and the echo server \
         behind the proxies share the other core. {} rounds of {:?}; figures are medians and the middle half of all \
         turns, ratios are to the turn of `{}` next to it. The generator verifies every byte. CPU is the proxy's \
         alone, as the scheduler counts it.\n\n",
        args.rounds, args.seconds, peers[0].name
    );
    for peer in peers {
        out += &format!("- `{}`: {}\n", peer.name, peer.about);
    }
    out
}

//! Servers of a file, which is changed while they run, and which may be followed by others.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::server::*;

/// Those that [`free_port`] draws from.
const PORTS: u32 = 12_000;

/// Logs as tests read them.
pub(crate) const LOG: &str = "[log]\nformat = \"json\"\n";

/// A folder of its own, gone in the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("windlass-cli-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server of a file, with its log.
pub(crate) struct Served {
    pub(crate) folder: Folder,
    pub(crate) config: String,
    log: String,
    pub(crate) child: Child,
    /// Everybody who serves, or has.
    pub(crate) pids: BTreeSet<u32>,
}

/// Address that nobody has at the moment.
pub(crate) fn free() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// A port that nobody has at the moment, and that nobody gets who does not ask for it: those that the system gives to
/// connections are above. One of those could be another test's before it is listened on, or while a server that had it
/// is started again.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static FIRST: OnceLock<u32> = OnceLock::new();
    // Every process begins somewhere else, and gives none twice.
    let first = *FIRST.get_or_init(|| RandomState::new().hash_one(0) as u32 % PORTS);
    loop {
        let port = 20_000 + ((first + NEXT.fetch_add(1, Relaxed)) % PORTS) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Served {
    pub(crate) fn start(name: &str, text: &str) -> Served {
        Served::command(name, text, |command| command)
    }

    pub(crate) fn command(name: &str, text: &str, with: impl FnOnce(&mut Command) -> &mut Command) -> Served {
        let folder = Folder::new(name);
        let (config, log) = (folder.file("windlass.toml", text), folder.path("log"));
        let mut command = windlass(&["run", "-c", &config]);
        command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let child = with(&mut command).spawn().unwrap();
        let pids = BTreeSet::from([child.id()]);
        let served = Served { folder, config, log, child, pids };
        served.wait_for("\"message\":\"started\"", 1);
        served
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        self.log().matches(what).count()
    }

    /// Until it has been logged so often.
    pub(crate) fn wait_for(&self, what: &str, times: usize) {
        wait_until(|| self.count(what) >= times, || format!("{what} {times} times in:\n{}", self.log()));
    }

    pub(crate) fn write(&self, text: &str) {
        // In one step, as editors do.
        let new = self.folder.file("windlass.toml.new", text);
        fs::rename(new, &self.config).unwrap();
    }

    /// Has `pid` read another file, and waits for what comes of it. True: it was taken.
    pub(crate) fn reload_of(&self, pid: u32, text: &str) -> bool {
        let counts = || (self.count("\"message\":\"reloaded\""), self.count("\"message\":\"not reloaded"));
        let before = counts();
        self.write(text);
        kill(pid, Signal::HUP);
        wait_until(|| counts() != before, || format!("a reload in:\n{}", self.log()));
        counts().0 > before.0
    }

    pub(crate) fn reload(&self, text: &str) -> bool {
        self.reload_of(self.pid(), text)
    }

    pub(crate) fn upgrade(&mut self, args: &[&str]) -> Output {
        let log = File::options().append(true).open(&self.log).unwrap();
        let mut command = windlass(&[&["upgrade", "-c", &self.config], args].concat());
        command.stderr(log).output().unwrap()
    }

    /// Upgrades; the new process.
    pub(crate) fn upgraded(&mut self) -> u32 {
        let output = self.upgrade(&[]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}\n{}", self.log());
        let pid = said.strip_prefix("Process ").and_then(|rest| rest.split(' ').next()).unwrap();
        let pid = pid.parse().unwrap();
        self.pids.insert(pid);
        pid
    }

    /// SIGTERM, and its end.
    pub(crate) fn stop(mut self) {
        kill(self.pid(), Signal::TERM);
        let child = &mut self.child;
        wait_until(|| child.try_wait().unwrap().is_some(), || "its end".into());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        for pid in self.pids.iter().filter(|pid| **pid != self.child.id()) {
            let _ = kill_process(Pid::from_raw(*pid as i32).unwrap(), Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

pub(crate) fn wait_until(mut condition: impl FnMut() -> bool, what: impl Fn() -> String) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {}", what());
        thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap_or_else(|e| panic!("{address}: {e}"));
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream
}

/// Resident memory of a process, in KiB.
pub(crate) fn resident(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

pub(crate) fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

//! Starts `windlass echo` (or another service) on a free port, and sees to it that none is left behind.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything takes here on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// The binary, without what the environment would set.
pub(crate) fn windlass(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WINDLASS_")) {
        command.env_remove(name);
    }
    command.env("COLUMNS", "80").env_remove("RUST_BACKTRACE").args(args).stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    windlass(args).output().expect("the binary runs")
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    /// What the first line said.
    pub(crate) address: String,
    reads_stderr: Option<thread::JoinHandle<()>>,
    /// What it has written to stderr so far, whole lines.
    stderr: Arc<Mutex<String>>,
}

impl Server {
    /// On a port of the system's choice.
    pub(crate) fn start(args: &[&str]) -> Server {
        Server::on("127.0.0.1:0", args)
    }

    /// With logs for people, unless `args` say how they shall be.
    pub(crate) fn on(address: &str, args: &[&str]) -> Server {
        let log: &[&str] = if args.contains(&"--log") { &[] } else { &["--log", "text"] };
        Server::command(&[&["echo", address], args, log].concat())
    }

    /// With these arguments.
    pub(crate) fn command(args: &[&str]) -> Server {
        let mut command = windlass(args);
        command.stderr(Stdio::piped());
        Server::of(command)
    }

    /// This one. Its stderr is read if it is a pipe of the command's own.
    pub(crate) fn of(mut command: Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        drop(command);
        let pipe = child.stderr.take();
        let stderr: Arc<Mutex<String>> = Arc::default();
        let told = stderr.clone();
        let reads_stderr = thread::spawn(move || {
            let Some(mut pipe) = pipe.map(BufReader::new) else { return };
            let mut line = String::new();
            while pipe.read_line(&mut line).is_ok_and(|n| n > 0) {
                told.lock().unwrap().push_str(&std::mem::take(&mut line));
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("Listening on ").map(str::to_owned);
        match address {
            Some(address) => Server { child, stdout, address, reads_stderr: Some(reads_stderr), stderr },
            None => {
                let _ = child.wait();
                reads_stderr.join().unwrap();
                panic!("first line: {line:?}; stderr: {}", stderr.lock().unwrap());
            }
        }
    }

    /// The next of its lines: after the first, those of its other addresses.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().into()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        stream
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it has told this so often on stderr: what it tells comes a little behind what it does.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, times: usize) {
        let deadline = Instant::now() + LONG;
        while self.stderr.lock().unwrap().matches(what).count() < times {
            assert!(Instant::now() < deadline, "{what} {times} times in:\n{}", self.stderr.lock().unwrap());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end: the status, the rest of stdout, and all of stderr.
    pub(crate) fn ended(mut self) -> (ExitStatus, String, String) {
        let deadline = Instant::now() + LONG;
        while self.is_running() {
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        self.reads_stderr.take().unwrap().join().unwrap();
        let stderr = std::mem::take(&mut *self.stderr.lock().unwrap());
        (self.child.wait().unwrap(), rest, stderr)
    }

    /// Sends SIGINT and waits for its end.
    pub(crate) fn stop(self) -> (ExitStatus, String, String) {
        self.signal(Signal::INT);
        self.ended()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a message and reads it back.
pub(crate) fn round_trip(stream: &mut (impl Read + std::io::Write), message: &[u8]) {
    stream.write_all(message).unwrap();
    let mut echo = vec![0; message.len()];
    stream.read_exact(&mut echo).unwrap();
    assert_eq!(echo, message);
}

/// A path for a socket, gone when dropped.
pub(crate) struct SocketPath(pub(crate) std::path::PathBuf);

impl SocketPath {
    pub(crate) fn new(name: &str) -> SocketPath {
        SocketPath(std::env::temp_dir().join(format!("windlass-cli-{}-{name}", std::process::id())))
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A configuration, gone when dropped. It has a folder of its own.
pub(crate) struct ConfigFile(pub(crate) std::path::PathBuf);

impl ConfigFile {
    pub(crate) fn new(name: &str, text: &str) -> ConfigFile {
        let folder = std::env::temp_dir().join(format!("windlass-cli-{}-{name}.d", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("windlass.toml"), text).unwrap();
        ConfigFile(folder.join("windlass.toml"))
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ = self.0.parent().map(std::fs::remove_dir_all);
    }
}

/// Whether we are root, whom nothing is forbidden.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

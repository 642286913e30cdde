//! One of the book's programs, running, and the lines it says. It is killed when it is dropped.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Far more than anything here takes: a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Program {
    child: Child,
    said: Arc<Said>,
}

#[derive(Default)]
struct Said {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

/// Where the programs are: each stands in the folder of the one that Cargo tells of.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_plain_echo")).parent().expect("a file is in a folder").to_path_buf()
}

impl Program {
    /// Starts one of the book's servers on a port of its own.
    pub(crate) fn serve(name: &str) -> Program {
        Program::start(Command::new(folder().join(name)).arg("127.0.0.1:0"))
    }

    /// Starts a command. Both of its outputs are heard.
    pub(crate) fn start(command: &mut Command) -> Program {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let said = Arc::new(Said::default());
        listen(child.stdout.take().expect("piped"), said.clone());
        listen(child.stderr.take().expect("piped"), said.clone());
        Program { child, said }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    // What it has said so far.
    fn said(&self) -> Vec<String> {
        self.said.lines.lock().unwrap().clone()
    }

    /// Waits until it has said something that `wanted` picks.
    pub(crate) fn hear<T>(&self, what: &str, mut wanted: impl FnMut(&[String]) -> Option<T>) -> T {
        let mut lines = self.said.lines.lock().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = wanted(&lines) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}; it said {lines:#?}");
            lines = self.said.more.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Waits until it has said a line with these words. It may have ended by then.
    pub(crate) fn says(&self, words: &str) {
        self.hear(words, |lines| lines.iter().any(|line| line.contains(words)).then_some(()));
    }

    /// Where it listens, once it has said so.
    pub(crate) fn address(&self) -> SocketAddr {
        self.hear("`Listening on`", |lines| {
            lines
                .iter()
                .find_map(|line| line.strip_prefix("Listening on ")?.trim_start_matches("udp:").parse().ok())
        })
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A connection whose receive buffer is small, so that what is not read stays with the server.
    pub(crate) fn connect_narrow(&self) -> TcpStream {
        let address = self.address();
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(32 * 1024).unwrap();
        socket.connect(&address.into()).expect("it listens");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends it a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let signal = format!("-{name}");
        let status = Command::new("kill").args([&signal, &self.pid().to_string()]).status().unwrap();
        assert!(status.success(), "kill {signal}");
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it goes on; it said {:#?}", self.said());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The numbers of the processes it has started.
    pub(crate) fn children(&self) -> Vec<String> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// Waits until it sleeps: until it has nothing to do but to wait for an event.
    pub(crate) fn settled(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.status("State").starts_with('S') {
            assert!(Instant::now() < deadline, "it never sleeps; it said {:#?}", self.said());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// A line of its `/proc/PID/status`: what stands behind `key`.
    pub(crate) fn status(&self, key: &str) -> String {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {key}")).trim().to_owned()
    }

    /// The most memory it has used, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.status("VmHWM").trim_end_matches(" kB").parse().expect("a number of kB")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // What it has started itself (strace, its program) does not outlive it.
        for child in self.children() {
            let _ = Command::new("kill").args(["-KILL", &child]).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(pipe: impl Read + Send + 'static, said: Arc<Said>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            said.lines.lock().unwrap().push(line);
            said.more.notify_all();
        }
    });
}

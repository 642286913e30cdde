//! mosquitto itself, from the system's packages, and how its clients and ours are run.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::served::free_port;
use crate::server::{LONG, is_root, windlass};

/// A running broker, with a folder of its own.
pub(super) struct Broker {
    child: Child,
    folder: PathBuf,
    /// Where it speaks plain MQTT.
    pub(super) port: String,
    /// Where it speaks MQTT over WebSocket, over TLS, and over TLS to those who show a certificate.
    pub(super) web: String,
    pub(super) tls: String,
    pub(super) mutual: String,
}

/// The certificates of the engine's tests.
pub(super) fn certificate(name: &str) -> String {
    format!("{}/../windlass/tests/certs/{name}", env!("CARGO_MANIFEST_DIR"))
}

impl Broker {
    /// Everybody is let in. `None`, and loudly, where there is no mosquitto, or not its clients.
    pub(super) fn start() -> Option<Broker> {
        Broker::with("allow_anonymous true")
    }

    /// With these lines in its configuration.
    pub(super) fn with(lines: &str) -> Option<Broker> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        for program in ["mosquitto", "mosquitto_sub"] {
            match Command::new(program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status() {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    println!("SKIPPED: {program} is not installed (Debian: mosquitto, mosquitto-clients)");
                    return None;
                }
                Err(error) => panic!("{program}: {error}"),
            }
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("windlass-cli-mqtt-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        // Whoever takes a port in between has it end at once: then others are tried.
        for _ in 0..10 {
            if let Some(broker) = Broker::try_in(&folder, lines) {
                return Some(broker);
            }
        }
        panic!("mosquitto does not listen: {}", std::fs::read_to_string(folder.join("log")).unwrap());
    }

    fn try_in(folder: &std::path::Path, lines: &str) -> Option<Broker> {
        let [port, web, tls, mutual] = [(); 4].map(|()| free_port().to_string());
        let user = if is_root() { "user root\n" } else { "" };
        let [cert, key, ca] = ["server.pem", "server.key", "ca.pem"].map(certificate);
        let secure = format!("cafile {ca}\ncertfile {cert}\nkeyfile {key}");
        let text = format!(
            "{user}per_listener_settings false\nset_tcp_nodelay true\nlog_dest stderr\nmax_queued_messages 0\n{lines}\n\
             listener {port} 127.0.0.1\nlistener {web} 127.0.0.1\nprotocol websockets\n\
             listener {tls} 127.0.0.1\n{secure}\nlistener {mutual} 127.0.0.1\n{secure}\nrequire_certificate true\n\
             listener 0 {}\n",
            folder.join("socket").display()
        );
        std::fs::write(folder.join("mosquitto.conf"), text).unwrap();
        let child = Broker::spawn(folder);
        let mut broker = Broker { child, folder: folder.into(), port, web, tls, mutual };
        if broker.listens() {
            return Some(broker);
        }
        // Its folder is for the next.
        broker.folder = std::path::PathBuf::new();
        None
    }

    fn spawn(folder: &std::path::Path) -> Child {
        let log = std::fs::File::create(folder.join("log")).unwrap();
        Command::new("mosquitto")
            .arg("-c")
            .arg(folder.join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Whether it listens, once it does; or has ended.
    fn listens(&mut self) -> bool {
        let deadline = Instant::now() + LONG;
        while TcpStream::connect(format!("127.0.0.1:{}", self.port)).is_err()
            || UnixStream::connect(self.socket()).is_err()
        {
            if self.child.try_wait().unwrap().is_some() || Instant::now() > deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        // Somebody else may have the port.
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends, and begins anew, without what it had.
    pub(super) fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        for _ in 0..10 {
            self.child = Broker::spawn(&self.folder);
            if self.listens() {
                return;
            }
        }
        panic!("mosquitto does not come back");
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// A file beside its configuration.
    pub(super) fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.folder.join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    /// The folder of a broker that is to be started: for a password file.
    pub(super) fn place(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("windlass-cli-mqtt-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// One of ours here, to its end, with this for stdin.
    pub(super) fn fed(&self, args: &[&str], stdin: &[u8]) -> Output {
        let mut child = self
            .ours(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let stdin = stdin.to_vec();
        let feeds = thread::spawn(move || pipe.write_all(&stdin));
        let output = child.wait_with_output().unwrap();
        let _ = feeds.join().unwrap();
        output
    }

    pub(super) fn ours(&self, args: &[&str]) -> Command {
        let mut command = windlass(&args[..1]);
        command.args(["-h", "127.0.0.1", "-p", &self.port]).args(&args[1..]);
        command
    }

    /// One of ours here, to its end.
    pub(super) fn run(&self, args: &[&str]) -> Output {
        self.ours(args).output().unwrap()
    }

    /// One of ours here, which has to do well.
    #[track_caller]
    pub(super) fn good(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A client of mosquitto's here, which has to do well.
    #[track_caller]
    pub(super) fn theirs(&self, args: &[&str]) -> String {
        let output = Command::new(args[0])
            .args(["-h", "127.0.0.1", "-p", &self.port])
            .args(&args[1..])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// `windlass sub`, once it has subscribed.
    #[track_caller]
    pub(super) fn subscribed(&self, args: &[&str]) -> Running {
        Running::of(self.ours(&[&["sub"], args].concat()))
    }

    /// mosquitto_sub, once it has subscribed.
    pub(super) fn they_subscribed(&self, args: &[&str]) -> Running {
        let mut command = Command::new("stdbuf");
        command.args(["-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", &self.port, "-d"]).args(args);
        Running::of_theirs(command)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.folder.as_os_str().is_empty() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// A subscriber that runs.
pub(super) struct Running {
    pub(super) child: Child,
    stdout: Option<BufReader<std::process::ChildStdout>>,
    /// What it tells of itself, line by line; read by a thread, so that it never waits.
    stderr: Option<mpsc::Receiver<String>>,
}

impl Running {
    /// Ours tells on stderr what it hears.
    fn of(mut command: Command) -> Running {
        let mut child = command
            .arg("-d")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, told) = mpsc::channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut running = Running { child, stdout: Some(stdout), stderr: Some(told) };
        running.says("SUBACK");
        running
    }

    /// Theirs on stdout.
    fn of_theirs(mut command: Command) -> Running {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        until(&mut stdout, "SUBACK");
        Running { child, stdout: Some(stdout), stderr: None }
    }

    /// Waits until it says that on stderr.
    pub(super) fn says(&mut self, word: &str) {
        let mut all = Vec::new();
        loop {
            match self.stderr.as_ref().unwrap().recv_timeout(LONG) {
                Ok(line) if line.contains(word) => return,
                Ok(line) => all.push(line),
                Err(_) => panic!("no {word}: {all:?}"),
            }
        }
    }

    /// Its next line, but for what it tells of itself.
    pub(super) fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.stdout.as_mut().unwrap().read_line(&mut line).unwrap() > 0, "it has ended");
            if !line.starts_with("Client ") && !line.starts_with("Subscribed ") {
                return line.trim_end().to_owned();
            }
        }
    }

    /// Nobody reads any more what it prints.
    pub(super) fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Waits for its end: the status, and the rest of what it printed.
    pub(super) fn ended(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.stdout.as_mut().unwrap().read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until(from: &mut impl BufRead, word: &str) {
    let mut all = String::new();
    loop {
        let before = all.len();
        assert!(from.read_line(&mut all).unwrap() > 0, "no {word}: {all}");
        if all[before..].contains(word) {
            return;
        }
    }
}

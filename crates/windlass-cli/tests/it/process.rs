//! The process: its descriptors, its user, its sandbox, its supervisor.

use std::io::{Read, Write};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};

use crate::server::*;

pub(crate) fn status(pid: u32, key: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{key} in {status}")).trim().into()
}

fn limit(pid: u32) -> (u64, u64) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut numbers = line.split_whitespace().map(|word| word.parse().unwrap_or(u64::MAX));
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// `windlass` under a shell that sets the soft limit first.
#[cfg(target_os = "linux")]
#[test]
fn descriptors_are_raised_and_told() {
    let file = ConfigFile::new("descriptors", "[[echo]]\nlisten = '127.0.0.1:0'\n[log]\nformat = 'json'\n");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -Sn 300; exec \"$0\" run -c \"$1\""]);
    command.arg(env!("CARGO_BIN_EXE_windlass")).arg(&file.0).stderr(Stdio::piped());
    let server = Server::of(command);
    let (soft, hard) = limit(server.pid());
    assert_eq!(soft, hard.min(1 << 20));
    let (_, _, stderr) = server.stop();
    assert!(stderr.contains(&format!("\"descriptors\":{soft}")), "{stderr}");

    let checks = run(&["check", "-c", file.0.to_str().unwrap()]);
    let said = String::from_utf8(checks.stdout).unwrap();
    assert!(said.contains(&format!("descriptors: {soft}")), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_number_of_descriptors_is_taken_at_its_word() {
    let text = "[server]\ndescriptors = 200\n[[echo]]\nlisten = '127.0.0.1:0'\n";
    let file = ConfigFile::new("few-descriptors", text);
    let server = Server::command(&["run", "-c", file.0.to_str().unwrap()]);
    assert_eq!(limit(server.pid()).0, 200);
    round_trip(&mut server.connect(), b"hello");
}

#[cfg(target_os = "linux")]
#[test]
fn root_is_given_up_for_good() {
    let path = SocketPath::new("owned");
    let unix = format!("unix:{}", path.0.display());
    if !is_root() {
        let output = run(&["echo", "127.0.0.1:0", "--user", "61184", "--group", "61184"]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("only root can become `61184`"), "{stderr}");
        return;
    }
    // A port that only root may open.
    let args = ["echo", "127.0.0.1:819", &unix, "--user", "61184", "--group", "61185", "--workers", "2"];
    let server = Server::command(&args);
    assert_eq!(status(server.pid(), "Uid"), "61184\t61184\t61184\t61184");
    assert_eq!(status(server.pid(), "Gid"), "61185\t61185\t61185\t61185");
    assert_eq!(status(server.pid(), "Groups"), "");
    for capabilities in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_eq!(status(server.pid(), capabilities), "0000000000000000", "{capabilities}");
    }
    assert_eq!(status(server.pid(), "NoNewPrivs"), "1");
    // Of every thread.
    for task in std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        assert!(status.contains("Uid:\t61184\t61184\t61184\t61184\n"), "{status}");
    }
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(&path.0).unwrap().uid(), 61_184, "the socket is theirs too");
    round_trip(&mut server.connect(), b"hello");
    let (ended, _, stderr) = server.stop();
    assert!(ended.success() && stderr.contains("privileges are given up"), "{stderr}");
}

#[test]
fn who_is_nobody_here_is_said_with_the_line() {
    let file =
        ConfigFile::new("nobody", "[server]\nuser = 'no-such-user'\n[[echo]]\nlisten = '127.0.0.1:0'\n");
    let output = run(&["check", "-c", file.0.to_str().unwrap()]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr.contains("there is no user `no-such-user`") && stderr.contains(":2:1"), "{stderr}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_sandbox_is_whole_and_all_goes_on_within_it() {
    for sandbox in ["on", "strict"] {
        let (control, path) = (SocketPath::new(&format!("{sandbox}-c")), SocketPath::new(sandbox));
        let text = format!(
            "[server]\nworkers = 2\nsandbox = '{sandbox}'\ncontrol = '{}'\n[admin]\nlisten = '127.0.0.1:0'\n\
             [[echo]]\nlisten = ['127.0.0.1:0', 'unix:{}', 'udp:127.0.0.1:0']\n",
            control.0.display(),
            path.0.display()
        );
        let file = ConfigFile::new(sandbox, &text);
        let config = file.0.to_str().unwrap();
        let mut old = Server::command(&["run", "-c", config]);
        let lines: Vec<String> = (0..3).map(|_| old.line()).collect();
        let admin = lines[2].strip_prefix("Admin on ").unwrap_or_else(|| panic!("{lines:?}")).to_owned();
        assert_eq!((&*status(old.pid(), "Seccomp"), &*status(old.pid(), "NoNewPrivs")), ("2", "1"));
        let mut stays = old.connect();
        round_trip(&mut stays, b"hello");
        round_trip(&mut std::os::unix::net::UnixStream::connect(&path.0).unwrap(), b"hello");
        assert!(run(&["health", &admin]).status.success());
        // Another takes over, and the first goes on with what it has.
        let new = Server::command(&["run", "-c", config]);
        round_trip(&mut stays, b"still there");
        round_trip(&mut new.connect(), b"the next");
        drop(stays);
        let (ended, _, stderr) = old.ended();
        assert!(ended.success(), "{stderr}");
        assert!(stderr.contains("in a sandbox") && stderr.contains("calls by TCP, signals"), "{stderr}");
        assert!(!stderr.contains("not whole"), "{stderr}");
        let (ended, _, stderr) = new.stop();
        assert!(ended.success(), "{stderr}");
        assert!(!path.0.exists() && !control.0.exists(), "sockets are removed from within too");
    }
}

#[cfg(all(target_os = "linux", feature = "kv"))]
#[test]
fn a_store_and_a_user_in_a_strict_sandbox() {
    let mut args = vec!["resp", "127.0.0.1:0", "--sandbox", "strict"];
    if is_root() {
        args.extend(["--user", "61184", "--group", "61184"]);
    }
    let server = Server::command(&args);
    let mut stream = server.connect();
    stream.write_all(b"SET a b\r\nGET a\r\n").unwrap();
    let mut reply = [0; 12];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"+OK\r\n$1\r\nb\r\n");
    assert_eq!(status(server.pid(), "Seccomp"), "2");
    let (ended, _, stderr) = server.stop();
    assert!(ended.success(), "{stderr}");
}

/// A server with a supervisor, which is this test.
struct Supervised {
    child: Child,
    supervisor: UnixDatagram,
    _path: SocketPath,
}

impl Supervised {
    fn start(name: &str, args: &[&str], watchdog_usec: &str) -> Supervised {
        let path = SocketPath::new(name);
        let supervisor = UnixDatagram::bind(&path.0).unwrap();
        supervisor.set_read_timeout(Some(LONG)).unwrap();
        let mut command = windlass(args);
        command.env("NOTIFY_SOCKET", &path.0).env("WATCHDOG_USEC", watchdog_usec);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Supervised { child, supervisor, _path: path }
    }

    fn hears(&self) -> String {
        let mut text = [0; 200];
        let n = self.supervisor.recv(&mut text).expect("the supervisor hears something");
        String::from_utf8(text[..n].to_vec()).unwrap()
    }

    fn hears_in_the_end(&self, wanted: &str) {
        while self.hears() != wanted {}
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_supervisor_hears_from_every_loop_and_of_the_end() {
    let socket = SocketPath::new("watched");
    let address = format!("unix:{}", socket.0.display());
    for sandbox in ["off", "strict"] {
        let args = ["echo", &address, "--workers", "2", "-q", "--sandbox", sandbox];
        let mut server = Supervised::start("watchdog", &args, "400000");
        let id = server.child.id();
        assert_eq!(server.hears(), format!("READY=1\nMAINPID={id}"));
        for _ in 0..5 {
            assert_eq!(server.hears(), "WATCHDOG=1\nSTATUS=serving 0 connections");
        }
        let stream = std::os::unix::net::UnixStream::connect(&socket.0).unwrap();
        round_trip(&mut &stream, b"hello");
        server.hears_in_the_end("WATCHDOG=1\nSTATUS=serving 1 connection");
        // What it does not read keeps it in its drain, where it is heard of as before.
        let pid = rustix::process::Pid::from_raw(id as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        while !server.hears().starts_with("STOPPING=1\nWATCHDOG=1\nSTATUS=draining ") {}
        drop(stream);
        assert!(server.child.wait().unwrap().success());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_reload_works_within_a_sandbox() {
    let free = crate::served::free();
    let first = "[server]\nsandbox = 'on'\n[[echo]]\nlisten = '127.0.0.1:0'\n";
    let file = ConfigFile::new("sandbox-reload", first);
    let server = Server::command(&["run", "-c", file.0.to_str().unwrap()]);
    let mut stays = server.connect();
    std::fs::write(&file.0, format!("{first}[[echo]]\nname = 'another'\nlisten = '{free}'\n")).unwrap();
    server.signal(rustix::process::Signal::HUP);
    let deadline = std::time::Instant::now() + LONG;
    let mut another = loop {
        match std::net::TcpStream::connect(&free) {
            Ok(stream) => break stream,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    round_trip(&mut another, b"a port that is new");
    round_trip(&mut stays, b"still there");
    let (ended, _, stderr) = server.stop();
    assert!(ended.success(), "{stderr}");
}

#[test]
fn health_says_what_it_has_asked_and_what_came_of_it() {
    // Somebody who accepts and says nothing.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap().to_string();
    let said = |output: std::process::Output| {
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let slow = said(run(&["health", &address, "--timeout", "100ms"]));
    assert_eq!(slow, format!("error: {address}: no answer: it took too long\n"));
    // As it stands in a browser's line.
    let slow = said(run(&["health", &format!("http://{address}/"), "--timeout", "100ms"]));
    assert!(slow.contains("it took too long"), "{slow}");
    // Without a file it is the usual address, where somebody may be or not.
    let folder = std::env::temp_dir().join(format!("windlass-health-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let output = windlass(&["health"]).current_dir(&folder).output().unwrap();
    let all = [output.stdout, output.stderr].concat();
    assert!(String::from_utf8_lossy(&all).contains("127.0.0.1:9900: "), "{all:?}");
    // A file that was named must be there.
    let output = windlass(&["health", "-c", "nowhere.toml"]).current_dir(&folder).output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(output.status.code(), Some(78));
}

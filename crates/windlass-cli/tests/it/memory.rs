//! `memory = "4MiB"`: the plan is told, and five hundred clients in a machine of 16 MiB neither end the server nor
//! make it silent about what it shed.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::server::*;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_plan_is_told_before_it_serves_and_when_it_does() {
    let file = "[server]\nworkers = 1\nmemory = '8MiB'\n[[echo]]\nlisten = '127.0.0.1:0'\n";
    let file = ConfigFile::new("memory-plan", file);
    let said = text(run(&["check", "-c", file.0.to_str().unwrap()]).stdout);
    let (_, plan) = said.split_once("\nmemory:\n").unwrap_or_else(|| panic!("{said}"));
    for line in ["buffers read into", "connections", "sessions of echo", "blocks of the region"] {
        assert!(plan.lines().any(|it| it.starts_with(line)), "{line} in {plan}");
    }
    assert!(plan.trim_end().ends_with("8,388,608"), "{plan}");
    // The same where flags say it, behind the addresses.
    let mut server = Server::start(&["--workers", "1", "--memory", "8MiB"]);
    assert_eq!(server.line(), "Memory");
    for line in plan.lines() {
        assert_eq!(server.line(), line.trim_end());
    }
    round_trip(&mut server.connect(), b"hello");
}

#[test]
fn too_little_is_a_mistake_in_the_file() {
    let file = "[server]\nworkers = 1\nmemory = '100KiB'\n[[echo]]\nlisten = '127.0.0.1:0'\n";
    let file = ConfigFile::new("memory-little", file);
    let checked = run(&["check", "-c", file.0.to_str().unwrap()]);
    let said = text(checked.stderr);
    assert_eq!(checked.status.code(), Some(78), "{said}");
    assert!(said.contains("memory (102400 bytes) is too little") && said.contains(":3:"), "{said}");
}

/// A group of processes with so little memory, or at least so little address space.
struct Little(Option<PathBuf>);

const LITTLE: usize = 16 << 20;

impl Little {
    fn new(name: &str) -> Little {
        let name = format!("windlass-{}-{name}", std::process::id());
        for (at, limit) in
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
        {
            let folder = PathBuf::from(at).join(&name);
            if std::fs::create_dir(&folder).is_err() {
                continue;
            }
            if std::fs::write(folder.join(limit), LITTLE.to_string()).is_ok() {
                return Little(Some(folder));
            }
            let _ = std::fs::remove_dir(&folder);
        }
        Little(None)
    }

    fn serve(&self, arguments: &[&str]) -> Server {
        let program = windlass(&[]);
        let mut shell = std::process::Command::new("sh");
        let first = match &self.0 {
            Some(folder) => format!("echo $$ > {}/cgroup.procs", folder.display()),
            // Threads and the binary take some of it before anything is served.
            None => "ulimit -v 400000".into(),
        };
        shell.arg("-c").arg(format!("{first} && exec \"$0\" \"$@\""));
        shell.arg(program.get_program()).args(arguments).stdin(Stdio::null()).stderr(Stdio::piped());
        Server::of(shell)
    }

    /// How often the kernel had to end something in it.
    fn killed(&self) -> u64 {
        let Some(folder) = &self.0 else { return 0 };
        let events = ["memory.oom_control", "memory.events"];
        let told = events.iter().filter_map(|file| std::fs::read_to_string(folder.join(file)).ok());
        let told: String = told.collect();
        let killed = told.lines().find_map(|line| line.strip_prefix("oom_kill "));
        killed.map_or(0, |n| n.trim().parse().unwrap())
    }
}

impl Drop for Little {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            // Empty once the server is gone.
            for _ in 0..100 {
                if std::fs::remove_dir(folder).is_ok() {
                    return;
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Writes until nobody takes any more, or it is ended; whether it was.
fn stuff(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.set_nonblocking(true).unwrap();
    for _ in 0..64 {
        match stream.write(bytes) {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => return true,
        }
    }
    false
}

#[cfg(feature = "hub")]
#[test]
fn five_hundred_devices_that_misbehave_end_nothing_but_themselves() {
    let little = Little::new("hub");
    let file = "[server]\nworkers = 1\nmemory = '4MiB'\n[limits]\nwhen_full = 'shed'\n[log]\nformat = 'json'\n\
                [[hub]]\nlisten = '127.0.0.1:0'\n";
    let file = ConfigFile::new("memory-hub", file);
    let mut server = little.serve(&["run", "-c", file.0.to_str().unwrap()]);
    // A session that stays for an hour, with a name of two letters.
    let connect = |n: u16| {
        let mut packet = vec![0x10, 20, 0, 4, b'M', b'Q', b'T', b'T', 5, 0, 0, 0, 5, 0x11, 0, 0, 0x0e, 0x10];
        packet.extend([0, 2, b'a' + (n / 26 % 26) as u8, b'a' + (n % 26) as u8]);
        packet
    };
    let mut devices = Vec::new();
    for n in 0..500_u16 {
        let mut stream = server.connect();
        let _ = stream.write_all(&connect(n));
        // Every topic, QoS 1, and whatever comes is not read.
        let _ = stream.write_all(&[0x82, 7, 0, 1, 0, 0, 1, b'#', 1]);
        match n % 4 {
            // Nothing that is MQTT.
            0 => drop(stream.write_all(&[0xff; 200])),
            // The beginning of a packet that never ends.
            1 => drop(stream.write_all(&[0x32, 0xff, 0xff, 0x7f, 0, 1, b't', 0, 1])),
            _ => {}
        }
        devices.push(stream);
    }
    let mut retained = vec![0x33, 0, 0, 0, 3];
    for round in 0..40_u8 {
        for (n, device) in devices.iter_mut().enumerate() {
            retained.truncate(5);
            retained.extend([b'r', b'0' + round % 64, b'0' + (n % 64) as u8, 0, 9, 0]);
            retained.extend([b'x'; 1_200]);
            let len = retained.len() - 3;
            (retained[1], retained[2]) = (len as u8 | 0x80, (len >> 7) as u8);
            stuff(device, &retained);
        }
        assert!(server.is_running(), "round {round}");
    }
    drop(devices);
    assert_eq!(little.killed(), 0);
    // Once they are gone, whoever comes is served, or told what is the matter.
    let deadline = std::time::Instant::now() + LONG;
    let answer = loop {
        let mut last = server.connect();
        let mut answer = [0; 4];
        if last.write_all(&connect(0)).is_ok() && last.read_exact(&mut answer).is_ok() {
            break answer;
        }
        assert!(server.is_running() && std::time::Instant::now() < deadline, "somebody is let in again");
        thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(answer[0], 0x20, "a CONNACK: {answer:?}");
    let (status, _, log) = server.stop();
    assert!(status.success(), "{status}: {log}");
}

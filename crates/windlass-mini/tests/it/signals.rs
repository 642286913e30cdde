//! Signals: the first that asks to stop drains, the second ends at once, and SIGHUP has nobody read a file again.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::harness::{Folder, LONG, Mini, mini, program, started};
use crate::little::eventually;

fn connected(mini: &Mini) -> TcpStream {
    let stream = TcpStream::connect(&mini.addresses[0]).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// Writes until nothing more is taken: what it is to be sent cannot be, and holds a drain.
fn fill(mut stream: &TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let mut refused = 0;
    while refused < 20 {
        match stream.write(&[1; 64 * 1024]) {
            Ok(_) => refused = 0,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                thread::sleep(Duration::from_millis(10));
            }
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM")] {
        let mut mini = mini(
            "[limits]\ndrain_timeout = \"1h\"\nlinger_timeout = \"1h\"\nwrite_stall_timeout = \"0s\"\n\
             [[echo]]\nlisten = [\"127.0.0.1:0\"]\n",
            1,
        );
        let stuck = connected(&mini);
        fill(&stuck);
        mini.signal(first);
        eventually("nobody else is let in", || TcpStream::connect(&mini.addresses[0]).err());
        thread::sleep(Duration::from_millis(300));
        assert!(mini.is_running(), "the drain waits for who is stuck");
        assert_eq!(mini.threads(), 1);
        mini.signal(second);
        let (status, said) = mini.ended();
        assert_eq!((status.code(), &*said), (Some(0), "Stopped\n"));
    }
}

#[test]
fn a_hangup_is_answered_and_changes_nothing() {
    let folder = Folder::new();
    let path = folder.file("windlass.toml", "[[echo]]\nlisten = [\"127.0.0.1:0\"]\n");
    let stderr = folder.0.join("stderr");
    let mut command = program();
    command.args(["run", "-c"]).arg(&path).stderr(std::fs::File::create(&stderr).unwrap());
    let mini = started(command, folder, 1);
    let mut stream = connected(&mini);
    for times in 1..=2 {
        mini.signal("HUP");
        let said = eventually("it says something", || {
            let said = std::fs::read_to_string(&stderr).unwrap();
            (said.matches('\n').count() == times).then_some(said)
        });
        assert_eq!(said, "SIGHUP: the file is read at the start alone\n".repeat(times));
        stream.write_all(b"still here").unwrap();
        stream.read_exact(&mut [0; 10]).unwrap();
    }
    assert_eq!(mini.threads(), 1);
    drop(stream);
    mini.signal("TERM");
    let (status, said) = mini.ended();
    assert_eq!((status.code(), &*said), (Some(0), "Stopped\n"));
}

/// What has no file was typed, and goes with its terminal.
#[test]
fn without_a_file_a_hangup_is_the_end() {
    let mut command = program();
    command.args(["echo", "-l", "127.0.0.1:0"]).stderr(Stdio::null());
    let mini = started(command, Folder::new(), 1);
    let status = std::fs::read_to_string(format!("/proc/{}/status", mini.pid())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    if u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 == 1 {
        // As by `nohup`: whoever starts it means it to stay.
        let _ = std::io::stderr().write_all(b"SKIPPED: SIGHUP is ignored here, and so by what is started\n");
        return;
    }
    mini.signal("HUP");
    let (status, _) = mini.ended();
    assert_eq!(status.signal(), Some(1), "{status}");
}

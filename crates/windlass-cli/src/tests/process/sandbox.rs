//! The sandbox from inside: this very program once more, with the same rules.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;

use super::*;

const FOLDER: &str = "SANDBOX_TEST_FOLDER";
const STRICT: &str = "SANDBOX_TEST_STRICT";

/// Runs [`inside`] in a process of its own, which cannot leave the sandbox again.
fn in_sandbox(name: &str, strict: bool) {
    let folder = std::env::temp_dir().join(format!("windlass-sandbox-{}-{name}", std::process::id()));
    for part in ["read", "write", "sockets", "logs", "other"] {
        fs::create_dir_all(folder.join(part)).unwrap();
        fs::write(folder.join(part).join("file"), part).unwrap();
    }
    let inside = ["--exact", "process::sandbox::tests::inside", "--ignored", "--nocapture"];
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(inside).env(FOLDER, &folder).env("NOTIFY_SOCKET", "@somewhere");
    if strict {
        command.env(STRICT, "1");
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_is_forbidden_fails_and_what_is_kept_works() {
    in_sandbox("on", false);
}

#[test]
fn strictly_too() {
    in_sandbox("strict", true);
}

#[test]
#[ignore = "run by the tests above, in a process of its own"]
fn inside() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("set by the test that runs this"));
    let sandbox = if std::env::var_os(STRICT).is_some() { Sandbox::Strict } else { Sandbox::On };
    let [read, write, sockets, logs, other] =
        ["read", "write", "sockets", "logs", "other"].map(|part| folder.join(part));
    let open_before = fs::File::open(other.join("file")).unwrap();
    let listens = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listens.local_addr().unwrap().port();
    let kept = Kept {
        read: [read.clone()].into(),
        write: [write.clone()].into(),
        sockets: [sockets.clone()].into(),
        logs: [logs.clone()].into(),
        ports: [port].into(),
        calls: false,
    };
    let enforced = enforce(sandbox, &kept).unwrap();
    println!("{enforced:?}");
    assert!(enforced.lacking.is_empty(), "this kernel is too old for the test");

    let denied = |outcome: std::io::Result<()>, what: &str| match outcome {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
        // What the strict one does not list is not there.
        Err(error) if sandbox == Sandbox::Strict && error.kind() == ErrorKind::Unsupported => {}
        other => panic!("{what}: {other:?}"),
    };
    denied(fs::read("/etc/shadow").map(drop), "reading a file of the system's");
    denied(fs::read(other.join("file")).map(drop), "reading elsewhere");
    denied(fs::read_dir(&other).map(drop), "listing elsewhere");
    denied(fs::write(read.join("file"), "x"), "writing where one may read");
    denied(fs::write(read.join("new"), "x"), "making a file where one may read");
    denied(fs::remove_file(other.join("file")), "removing");
    denied(fs::read(logs.join("file")).map(drop), "reading a log");
    denied(fs::remove_file(logs.join("file")), "removing a log");
    denied(fs::write(sockets.join("new"), "x"), "making a file where sockets are");
    let another = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(drop);
    match sandbox {
        Sandbox::Strict => denied(another, "another port"),
        _ => another.expect("another port, for a reload"),
    }
    denied(TcpStream::connect(listens.local_addr().unwrap()).map(drop), "calling by TCP");
    denied(Command::new("/bin/true").status().map(drop), "another program");
    let me = rustix::process::getpid();
    denied(rustix::process::chroot("/").map_err(Into::into), "another root");
    let parent = rustix::process::getppid().unwrap();
    denied(rustix::process::test_kill_process(parent).map_err(Into::into), "a signal to another");

    assert_eq!(fs::read(read.join("file")).unwrap(), b"read");
    fs::write(write.join("new"), "x").unwrap();
    fs::rename(write.join("new"), write.join("file")).unwrap();
    fs::remove_file(write.join("file")).unwrap();
    std::io::read_to_string(&open_before).unwrap();
    for log in ["file", "new"] {
        fs::File::options().append(true).create(true).open(logs.join(log)).expect("a log, opened anew");
    }
    drop(listens);
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port that is configured");
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("datagrams");
    let path = sockets.join("socket");
    let listens = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    drop(listens);
    fs::remove_file(&path).unwrap();
    std::thread::spawn(|| std::thread::available_parallelism().unwrap()).join().expect("threads");
    rustix::process::test_kill_process(me).expect("a signal to ourselves");
}

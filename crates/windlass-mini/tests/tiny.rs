//! `windlass-echo`, which has no file and no flags.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_windlass-echo");

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn it_echoes_at_every_address_and_ends_when_told() {
    let mut command = Command::new(PROGRAM);
    command.args(["127.0.0.1:0", "[::1]:0"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    for _ in 0..2 {
        let line = lines.next().unwrap();
        let mut stream = TcpStream::connect(line.strip_prefix("Listening on ").unwrap()).unwrap();
        stream.write_all(b"hello").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut back = String::new();
        stream.read_to_string(&mut back).unwrap();
        assert_eq!(back, "hello");
    }
    assert!(Command::new("kill").arg(running.0.id().to_string()).status().unwrap().success());
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}

#[test]
fn who_asks_for_anything_else_is_told_how_it_is_used() {
    for (args, code, said) in [
        (&[][..], 2, "usage: windlass-echo"),
        (&["--help"], 2, "usage: windlass-echo"),
        (&["127.0.0.1:0", "-q"], 2, "usage: windlass-echo"),
        (&["nowhere"], 1, "error: "),
    ] {
        let output = Command::new(PROGRAM).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with(said), "{args:?}: {output:?}");
    }
}

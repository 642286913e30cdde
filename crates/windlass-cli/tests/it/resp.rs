//! `windlass resp` with clients that are not ours: redis-cli and redis-benchmark, from the system's packages.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::server::*;

fn is_missing(program: &str) -> bool {
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_err() {
        eprintln!("SKIPPED: {program} is not installed");
    }
    there.is_err()
}

fn resp(args: &[&str]) -> Server {
    Server::command(&[&["resp", "127.0.0.1:0"], args].concat())
}

fn port(server: &Server) -> &str {
    server.address.rsplit(':').next().unwrap()
}

/// What redis-cli prints for commands it reads from a pipe.
fn redis_cli(server: &Server, args: &[&str], commands: &str) -> String {
    let mut cli = Command::new("redis-cli")
        .args(["-p", port(server)])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-cli starts");
    cli.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    let output = cli.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_session_with_redis_cli() {
    if is_missing("redis-cli") {
        return;
    }
    let server = resp(&["-q"]);
    let commands = "PING\nSET greeting \"hello world\"\nGET greeting\nINCR n\nRPUSH l a b\nLRANGE l 0 -1\n\
                    HSET h f v\nHGETALL h\nEXPIRE n 100\nTTL n\nMULTI\nGET n\nEXEC\nTYPE l\n";
    let said = redis_cli(&server, &[], commands);
    assert_eq!(said, "PONG\nOK\nhello world\n1\n2\na\nb\n1\nf\nv\n1\n100\nOK\nQUEUED\n1\nlist\n");
    // It asks for the documentation of commands when it helps with one.
    let docs =
        redis_cli(&server, &["--no-raw", "-3"], "COMMAND DOCS get\nHGETALL h\nZADD z 1.5 m\nZSCORE z m\n");
    assert!(docs.contains("1# \"f\" => \"v\"") && docs.contains("(double) 1.5"), "{docs}");
    assert!(docs.contains("Returns the string value of a key."), "{docs}");
    let error = redis_cli(&server, &[], "NOSUCH\n");
    assert!(error.starts_with("ERR unknown command 'NOSUCH'"), "{error}");
}

#[test]
fn redis_benchmark_finds_no_fault() {
    if is_missing("redis-benchmark") {
        return;
    }
    let server = resp(&["-q"]);
    for depth in ["1", "16"] {
        let output = Command::new("redis-benchmark")
            .args(["-p", port(&server), "-n", "1000", "-c", "10", "-P", depth, "--csv"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let tests =
            said.lines().filter(|line| line.starts_with('"') && !line.starts_with("\"test\"")).count();
        assert!(tests >= 19, "{tests} tests: {said}");
        assert!(!said.to_lowercase().contains("error") && !said.contains("WARN"), "{said}");
    }
}

#[test]
fn a_password_is_asked_for() {
    let file = SocketPath::new("password");
    std::fs::write(&file.0, "open sesame\nnot this\n").unwrap();
    let path = file.0.display().to_string();
    let server = resp(&["-q", "--password-file", &path]);
    let mut stream = server.connect();
    stream.write_all(b"GET a\r\nAUTH not\r\nAUTH \"open sesame\"\r\nGET a\r\nQUIT\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    let wanted = "-NOAUTH Authentication required.\r\n\
                  -WRONGPASS invalid username-password pair or user is disabled.\r\n+OK\r\n$-1\r\n+OK\r\n";
    assert_eq!(said, wanted);
    std::fs::write(&file.0, "\nsecond\n").unwrap();
    let output = run(&["resp", "127.0.0.1:0", "--password-file", &path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is empty"));
}

#[test]
fn the_store_has_its_limits_and_the_end_its_summary() {
    let args = ["--memory-max", "1MiB", "--value-max", "4KiB", "--eviction", "allkeys-lru", "--log", "text"];
    let server = resp(&args);
    let mut stream = server.connect();
    stream.write_all(b"CONFIG GET maxmemory*\r\n*2\r\n$4\r\nECHO\r\n$4097\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.contains("1048576") && said.contains("allkeys-lru"), "{said}");
    assert!(said.ends_with("-ERR Protocol error: invalid bulk length\r\n"), "{said}");
    drop(stream);
    let (status, rest, stderr) = server.stop();
    assert!(status.success() && rest.contains("messages  1"), "{rest}");
    assert!(stderr.contains("invalid bulk length"), "{stderr}");
    let output = run(&["resp", "--eviction", "nonsense"]);
    assert_eq!(output.status.code(), Some(2));
}

//! What goes wrong is told in one clear line, without a panic.

use std::io::Read;
use std::process::{Output, Stdio};

use crate::server::*;

/// Checks the exit code and that stderr is that line, and returns what stands behind it.
fn fails(args: &[&str], code: i32, line: &str) -> String {
    let Output { status, stdout, stderr } = run(args);
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(code), "{args:?}: {stderr}");
    let (first, rest) = stderr.split_once('\n').unwrap();
    assert_eq!(first, format!("error: {line}"), "{args:?}");
    assert!(stdout.is_empty() && !stderr.contains("panicked") && !stderr.contains("backtrace"), "{stderr}");
    rest.into()
}

#[test]
fn a_port_in_use() {
    for workers in ["1", "2"] {
        let server = Server::start(&["-q", "--workers", workers]);
        let line = format!("cannot listen on {}: the address is in use by another process", server.address);
        let hint = fails(&["echo", &server.address, "--workers", workers], 1, &line);
        assert!(hint.starts_with("hint: ") && hint.lines().count() == 1, "{hint}");
    }
    let path = SocketPath::new("in-use");
    let address = format!("unix:{}", path.0.display());
    let _server = Server::on(&address, &["-q"]);
    let line = format!("cannot listen on {address}: the address is in use by another process");
    fails(&["echo", &address], 1, &line);
}

#[test]
fn bad_addresses() {
    for (address, line) in [
        ("127.0.0.1", "`127.0.0.1` has no port: write it as HOST:PORT, for example 127.0.0.1:9000"),
        ("127.0.0.1:http", "`http` is no port: it must be from 0 to 65535"),
        ("unix:", "`unix:` needs a path, for example unix:/tmp/echo.sock"),
    ] {
        fails(&["echo", address], 2, &format!("invalid value '{address}' for '[ADDR]...': {line}"));
    }
    // Kept for documentation, so nobody's.
    let hint = fails(
        &["echo", "192.0.2.1:9000"],
        1,
        "cannot listen on 192.0.2.1:9000: this machine has no such address",
    );
    assert!(hint.contains("127.0.0.1"), "{hint}");
    fails(
        &["echo", "no.such.host.invalid:9000"],
        1,
        "cannot listen: `no.such.host.invalid` is no address and no known host name",
    );
    fails(
        &["echo", "unix:/nowhere/at/all"],
        1,
        "cannot listen on unix:/nowhere/at/all: no such file or directory",
    );
}

#[test]
fn no_permission() {
    if is_root() {
        eprintln!("SKIPPED: root may listen anywhere");
        return;
    }
    let hint = fails(&["echo", "127.0.0.1:80"], 1, "cannot listen on 127.0.0.1:80: permission denied");
    assert!(hint.contains("below 1024"), "{hint}");
}

#[test]
fn every_limit_is_accepted() {
    let table = String::from_utf8(run(&["echo", "--limits"]).stdout).unwrap();
    let mut settings = Vec::new();
    for (name, _) in windlass::Limits::NAMES {
        let line = table.lines().find(|line| line.split(' ').next() == Some(name));
        let value = line.unwrap_or_else(|| panic!("{name}: {table}")).split_whitespace().nth(1).unwrap();
        settings.push(format!("{name}={value}"));
    }
    let mut args = vec!["-q"];
    for setting in &settings {
        args.extend(["--limit", setting]);
    }
    assert!(Server::start(&args).stop().0.success());
}

#[test]
fn the_table_shows_what_is_in_effect() {
    let output = run(&["echo", "--limits", "--limit", "idle_timeout=90s", "--limit", "when_full=shed"]);
    let table = String::from_utf8(output.stdout).unwrap();
    let value =
        |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap().split_whitespace().nth(1);
    assert_eq!((value("idle_timeout"), value("when_full")), (Some("90s"), Some("shed")));
}

#[test]
fn bad_limits() {
    let rest = fails(
        &["echo", "--limit", "idle_timeot=10s"],
        2,
        "invalid value 'idle_timeot=10s' for '--limit <KEY=VALUE>': there is no limit `idle_timeot`; \
         did you mean `idle_timeout`?",
    );
    assert!(rest.contains("accept_burst_max"), "the list is there: {rest}");
    fails(
        &["echo", "--limit", "idle_timeout=10"],
        2,
        "invalid value 'idle_timeout=10' for '--limit <KEY=VALUE>': `10` has no unit: \
         write it as 10ms, 10s or 10m",
    );
    fails(
        &["echo", "127.0.0.1:0", "--limit", "output_low=1MiB"],
        1,
        "output_low (1048576) must be below output_high (65536)",
    );
}

#[test]
fn nobody_reads_stdout() {
    // As in `windlass echo | head -1`.
    let mut child = windlass(&["echo", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut byte = [0];
    child.stdout.take().unwrap().read_exact(&mut byte).unwrap();
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

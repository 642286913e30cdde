//! A newcomer's walk: the demonstration as a file, the dashboard, `nc`, `redis-cli`, the WebSocket page, a reload,
//! the end. The README's own two commands, in a clone, are what `.ci/run` does.

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::dashboard::browser::Browser;
use crate::served::free_port;
use crate::server::*;

/// What a shell command prints; `None` where its program is not there.
fn shell(program: &str, command: &str) -> Option<String> {
    let there =
        Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
    if !there.unwrap().success() {
        println!("SKIPPED: no {program}: that step of the walk was left out");
        return None;
    }
    let output = Command::new("sh").args(["-c", command]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_newcomer_gets_from_the_first_command_to_the_last() {
    let folder = std::env::temp_dir().join(format!("windlass-walk-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("windlass.toml");
    let file = path.to_str().unwrap();
    assert!(run(&["init", "demo", "-o", file]).status.success());
    // Others may have the usual ports while this runs.
    let (echo, page, resp, admin) = (free_port(), free_port(), free_port(), free_port());
    let mut text = fs::read_to_string(&path).unwrap();
    for (usual, port) in [(9000, echo), (9001, page), (6379, resp), (11211, free_port()), (9900, admin)] {
        text = text.replace(&format!("127.0.0.1:{usual}"), &format!("127.0.0.1:{port}"));
    }
    fs::write(&path, &text).unwrap();
    assert!(run(&["check", "-c", file]).status.success());
    let mut server = Server::command(&["run", "-c", file]);

    if let Some(said) = shell("nc", &format!("printf 'hello\\n' | nc -N 127.0.0.1 {echo}")) {
        assert_eq!(said, "hello\n");
    }
    if cfg!(feature = "kv")
        && let Some(said) = shell("redis-cli", &format!("redis-cli -p {resp} incr visits"))
    {
        assert_eq!(said, "1\n");
    }
    let browser = Browser::start("walk");
    if let Some(mut browser) = browser {
        browser.open(&format!("http://127.0.0.1:{page}/"));
        browser.until("document.getElementById('state').textContent === 'Connected.'");
        browser.eval(
            "(() => { document.getElementById('text').value = 'is anybody there?'; \
             document.getElementById('form').requestSubmit(); })()",
        );
        browser.until("document.getElementById('heard').textContent.includes('is anybody there?')");
        assert_eq!(browser.complaints(), [""; 0]);
        browser.open(&format!("http://127.0.0.1:{admin}/"));
        browser.until("document.body.textContent.includes('websocket')");
        assert_eq!(browser.complaints(), [""; 0]);
    }

    // Somebody stays while the file is changed: a service more, and the old ones as they were.
    let mut stays = std::net::TcpStream::connect(("127.0.0.1", echo)).unwrap();
    stays.set_read_timeout(Some(LONG)).unwrap();
    round_trip(&mut stays, b"before");
    let more = free_port();
    fs::write(&path, format!("{text}\n[[echo]]\nname = \"more\"\nlisten = \"127.0.0.1:{more}\"\n")).unwrap();
    server.signal(Signal::HUP);
    let deadline = std::time::Instant::now() + LONG;
    let mut new = loop {
        match std::net::TcpStream::connect(("127.0.0.1", more)) {
            Ok(stream) => break stream,
            Err(error) => {
                assert!(std::time::Instant::now() < deadline, "the reload brought nothing: {error}")
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    new.set_read_timeout(Some(LONG)).unwrap();
    round_trip(&mut new, b"new");
    round_trip(&mut stays, b"after");
    assert!(run(&["health", &format!("127.0.0.1:{admin}")]).status.success());
    assert!(server.is_running());

    server.signal(Signal::TERM);
    let (status, _, stderr) = server.ended();
    assert!(status.success(), "{stderr}");
    let _ = fs::remove_dir_all(&folder);
}

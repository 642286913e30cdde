//! `windlass top`, as text and in a terminal of tmux's, beside a server under load.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::config::Folder;
use crate::served::free;
use crate::server::*;

/// A server with an admin listener, and where both are.
struct Watched {
    server: Server,
    admin: String,
    folder: Folder,
}

fn watched(name: &str, admin: &str) -> Watched {
    let folder = Folder::new(name);
    // The same for another server after it.
    let listen = free();
    let text = format!(
        "[server]\nworkers = 1\n[admin]\nlisten = \"{listen}\"\n{admin}\n[[echo]]\nlisten = \"127.0.0.1:0\"\n"
    );
    let file = folder.file("windlass.toml", &text);
    let mut server = Server::command(&["run", "-q", "-c", &file]);
    let admin = server.line().strip_prefix("Admin on ").unwrap().to_owned();
    Watched { server, admin, folder }
}

/// So many connections that echo, until dropped.
struct Busy(Child);

impl Busy {
    fn with(server: &Server, connections: &str) -> Busy {
        let words = ["bench", "echo", &server.address, "-c", connections, "-t", "10m", "--rate", "1000"];
        let mut load = windlass(&words);
        Busy(load.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn one_snapshot_as_text() {
    let watched = watched("top-once", "");
    let _busy = Busy::with(&watched.server, "7");
    let deadline = Instant::now() + LONG;
    let said = loop {
        let output = run(&["top", &watched.admin, "--once"]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // The load may not have begun.
        let rate = said.lines().find(|line| line.starts_with("messages/s")).expect("the rate");
        let rate: u64 = rate.split_whitespace().nth(1).unwrap().replace(',', "").parse().unwrap();
        if rate > 300 {
            break said;
        }
        assert!(Instant::now() < deadline, "{said}");
    };
    let pid = format!("pid {}", watched.server.pid());
    for part in
        [&pid, "serving", &watched.server.address, "most traffic", "Limits", "connections_max", "Stalls"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let service = said.lines().find(|line| line.starts_with("echo ")).expect("the service");
    assert!(service.split_whitespace().any(|word| word == "7"), "{service}");
    // It is told where stdout is no terminal, too.
    assert!(run(&["top", &watched.admin]).status.success());
}

#[test]
fn the_configuration_says_where_and_the_token() {
    let watched = watched("top-token", "token = \"secret\"");
    let refused = run(&["top", &watched.admin, "--once"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("it wants a token: give --token-file, or set WINDLASS_TOKEN"), "{said}");

    let token = watched.folder.file("token", "secret\n");
    assert!(run(&["top", &watched.admin, "--once", "--token-file", &token]).status.success());
    let mut command = windlass(&["top", &watched.admin, "--once"]);
    assert!(command.env("WINDLASS_TOKEN", "secret").output().unwrap().status.success());
    let text = format!(
        "[admin]\nlisten = \"{}\"\ntoken = \"secret\"\n[[echo]]\nlisten = \"127.0.0.1:0\"\n",
        watched.admin
    );
    let file = watched.folder.file("here.toml", &text);
    let output = run(&["top", "--once", "-c", &file]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn nobody_answers() {
    let gone = free();
    let output = run(&["top", &gone]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said, format!("error: cannot ask the admin listener at {gone}: connection refused\n"));
    assert_eq!(run(&["top", "nowhere"]).status.code(), Some(2));
    let server = Server::start(&["-q"]);
    let said = run(&["top", &server.address, "--once"]);
    assert_eq!(said.status.code(), Some(1), "an echo is no admin listener");
}

/// A terminal of so many columns and lines, with a shell in it.
struct Tmux(String);

impl Tmux {
    fn new(name: &str, (width, height): (&str, &str)) -> Option<Tmux> {
        if Command::new("tmux").arg("-V").stdout(Stdio::null()).status().is_err() {
            eprintln!("SKIPPED: there is no tmux to be the terminal");
            return None;
        }
        let tmux = Tmux(format!("windlass-{}-{name}", std::process::id()));
        let shell = "env -i PATH=/usr/bin:/bin TERM=screen LANG=C.UTF-8 PS1='READY> ' sh";
        assert!(tmux.call(&["-f", "/dev/null", "new-session", "-d", "-x", width, "-y", height, shell]).0);
        tmux.until(|shown| shown.contains("READY>"));
        Some(tmux)
    }

    fn call(&self, words: &[&str]) -> (bool, String) {
        let output = Command::new("tmux").args(["-L", &self.0]).args(words).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn press(&self, keys: &[&str]) {
        assert!(self.call(&[&["send-keys"], keys].concat()).0);
    }

    /// Waits until the screen is as wanted; the screen.
    #[track_caller]
    fn until(&self, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + LONG;
        loop {
            let (_, shown) = self.call(&["capture-pane", "-p"]);
            if wanted(&shown) {
                return shown;
            }
            assert!(Instant::now() < deadline, "the screen is\n{shown}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.call(&["kill-server"]);
    }
}

/// Whether a line that begins so has this word in it.
fn line_has(shown: &str, begins: &str, word: &str) -> bool {
    let mut lines = shown.lines().filter(|line| line.starts_with(begins));
    lines.any(|line| line.split_whitespace().any(|w| w == word))
}

#[test]
fn in_a_terminal() {
    let Some(tmux) = Tmux::new("view", ("80", "24")) else { return };
    let watched = watched("top-view", "");
    let busy = Busy::with(&watched.server, "7");
    tmux.press(&[&format!("{} top {}", env!("CARGO_BIN_EXE_windlass"), watched.admin), "Enter"]);
    let shown = tmux.until(|shown| line_has(shown, "echo ", "7") && shown.contains("most traffic"));
    assert!(shown.starts_with("windlass ") && shown.contains("[1Overview]"), "{shown}");
    // Some thousand a second, as they were sent.
    tmux.until(|shown| {
        let rate = shown.lines().find(|line| line.starts_with("messages/s")).unwrap_or_default();
        let rate = rate.split_whitespace().nth(1).unwrap_or_default().replace(',', "");
        rate.parse::<u64>().is_ok_and(|rate| (300..3000).contains(&rate))
    });

    // One of the connections is closed.
    tmux.press(&["2"]);
    tmux.press(&["/"]);
    tmux.press(&["echo", "Enter"]);
    tmux.until(|shown| shown.contains("by traffic  /echo  7 of "));
    tmux.press(&["j", "x"]);
    tmux.until(|shown| shown.contains("y closes it"));
    tmux.press(&["y"]);
    tmux.until(|shown| shown.contains("is closed"));
    tmux.until(|shown| shown.contains("  6 of "));

    // The views, and a narrow terminal.
    tmux.press(&["3"]);
    tmux.until(|shown| shown.contains("[3Closes]") && shown.contains("reason"));
    tmux.press(&["5"]);
    tmux.until(|shown| shown.contains("connections_max"));
    tmux.press(&["?"]);
    tmux.until(|shown| shown.contains("close a connection"));
    tmux.press(&["q"]);
    assert!(tmux.call(&["resize-window", "-x", "40", "-y", "20"]).0);
    tmux.press(&["1"]);
    let narrow = tmux.until(|shown| shown.contains("[1Over]"));
    assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");

    // The server goes and comes back.
    drop(busy);
    let Watched { server, admin, folder } = watched;
    drop(server);
    tmux.until(|shown| shown.contains("NO ANSWER"));
    let text = format!("[admin]\nlisten = \"{admin}\"\n[[echo]]\nlisten = \"127.0.0.1:0\"\n");
    let _again = Server::command(&["run", "-q", "-c", &folder.file("again.toml", &text)]);
    tmux.until(|shown| shown.contains("another server answers"));

    // And the terminal is as it was.
    tmux.press(&["q"]);
    let shown = tmux.until(|shown| shown.trim_end().ends_with("READY>"));
    assert!(!shown.contains("Overview"), "{shown}");
    tmux.press(&["echo it=$?", "Enter"]);
    tmux.until(|shown| shown.contains("it=0"));
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let Some(tmux) = Tmux::new("signal", ("80", "24")) else { return };
    let watched = watched("top-signal", "");
    let pid = watched.folder.path("pid");
    let line =
        format!("sh -c 'echo $$ >{pid}; exec {} top {}'", env!("CARGO_BIN_EXE_windlass"), watched.admin);
    tmux.press(&[&line, "Enter"]);
    tmux.until(|shown| shown.contains("[1Overview]"));
    let pid: i32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    tmux.until(|shown| shown.trim_end().ends_with("READY>"));
    tmux.press(&["stty -a", "Enter"]);
    // Raw mode would have neither; and what was typed would not be seen.
    let shown = tmux.until(|shown| shown.contains(" icanon") && shown.contains(" echo "));
    assert!(shown.contains("READY> stty -a"), "{shown}");
}

/// One that can only be printed to gets no sequences that it would print.
#[test]
fn a_dumb_terminal_gets_the_snapshot() {
    let Some(tmux) = Tmux::new("dumb", ("80", "24")) else { return };
    let watched = watched("top-dumb", "");
    tmux.press(&[
        // What is typed is broken at the edge of the terminal, and must not look like what it prints.
        &format!("TERM=dumb {} top {}; echo DO''NE", env!("CARGO_BIN_EXE_windlass"), watched.admin),
        "Enter",
    ]);
    let shown = tmux.until(|shown| shown.lines().any(|line| line == "DONE"));
    assert!(shown.contains("stall_timeout"), "the end of the list of limits: {shown}");
}

/// It does not look for keys for ever where nobody can press any.
#[cfg(target_os = "linux")]
#[test]
fn it_ends_with_its_terminal() {
    let Some(tmux) = Tmux::new("gone", ("80", "24")) else { return };
    let watched = watched("top-gone", "");
    let file = watched.folder.file("pid", "");
    let command = format!("echo $$ > {file}; exec {} top {}", env!("CARGO_BIN_EXE_windlass"), watched.admin);
    tmux.press(&[&command, "Enter"]);
    tmux.until(|shown| shown.contains("[1Overview]"));
    let pid = std::fs::read_to_string(&file).unwrap();
    drop(tmux);
    // Of one that has ended and waits to be buried, nothing is left but its name.
    let words = format!("/proc/{}/cmdline", pid.trim());
    let deadline = Instant::now() + LONG;
    while std::fs::read(&words).is_ok_and(|words| !words.is_empty()) {
        if Instant::now() > deadline {
            let _ = kill_process(Pid::from_raw(pid.trim().parse().unwrap()).unwrap(), Signal::KILL);
            panic!("it goes on");
        }
        thread::sleep(Duration::from_millis(50));
    }
}

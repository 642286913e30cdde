//! A server of a file is given another file, or another process: what did not change goes on, and what is
//! wrong changes nothing. Under full load nobody is refused, reset or forgotten.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use rustix::fs::{FileType, Mode};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, setrlimit, test_kill_process};

use crate::config::Folder;
use crate::handover::storm;
use crate::served::*;
use crate::server::*;

fn ask(stream: &mut TcpStream, question: &str, answer: &str) {
    stream.write_all(question.as_bytes()).unwrap();
    let mut heard = vec![0; answer.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), answer);
}

#[test]
fn what_changed_changes_and_everything_else_goes_on() {
    let (a, b, c) = (free(), free(), free());
    let echo = |name: &str, at: &str| format!("[[echo]]\nname = \"{name}\"\nlisten = [{at}]\n");
    let served = Served::start("changes", &(LOG.to_owned() + &echo("stays", &format!("\"{a}\", \"{b}\""))));
    let (mut first, mut second) = (connect(&a), connect(&b));
    round_trip(&mut first, b"there");
    round_trip(&mut second, b"there");

    let text = LOG.to_owned() + &echo("stays", &format!("\"{a}\"")) + &echo("new", &format!("\"{c}\""));
    assert!(served.reload(&text));
    assert!(TcpStream::connect(&b).is_err(), "closed");
    round_trip(&mut first, b"goes on");
    round_trip(&mut second, b"though its listener is closed");
    let mut third = connect(&c);
    round_trip(&mut third, b"new");

    // The same again is no change; an address may go to another service.
    assert!(served.reload(&text));
    let text = format!("{LOG}[limits]\nidle_timeout = \"3s\"\n{}", echo("moved", &format!("\"{a}\"")));
    assert!(served.reload(&text));
    let mut moved = connect(&a);
    round_trip(&mut moved, b"served by another");
    assert_eq!(third.read(&mut [0]).unwrap(), 0, "removed, and told to finish");
    assert_eq!(moved.read(&mut [0]).unwrap(), 0, "the limit is in effect");
    let log = served.log();
    for line in ["stays listens no more on", "service new added", "service moved added", "limits set"] {
        assert!(log.contains(line), "{line}: {log}");
    }
    served.stop();
}

#[test]
fn a_file_that_is_wrong_changes_nothing_and_is_told_with_its_lines() {
    let (a, b) = (free(), free());
    let good = format!("{LOG}[[echo]]\nlisten = \"{a}\"\n");
    let served = Served::start("wrong", &good);
    let mut stays = connect(&a);
    round_trip(&mut stays, b"there");
    let used = TcpListener::bind("127.0.0.1:0").unwrap();
    let used = used.local_addr().unwrap();
    let wrong = [
        (format!("{good}nonsense = 1\n"), "windlass.toml:5"),
        (format!("{LOG}[[echo]]\nname = \"admin\"\nlisten = \"{a}\"\n"), "windlass.toml:4"),
        (format!("{LOG}[[echo]]\nlisten = [\"{b}\", \"{used}\"]\n"), "in use by another process"),
        (format!("{good}[echo.tls]\ncert = \"none.pem\"\nkey = \"none.pem\"\n"), "windlass.toml:5"),
        (String::new(), "serves nothing"),
    ];
    for (text, told) in wrong {
        assert!(!served.reload(&text), "{text}");
        served.wait_for(told, 1);
        assert!(TcpStream::connect(&b).is_err(), "nothing has changed");
        round_trip(&mut stays, b"goes on");
        round_trip(&mut connect(&a), b"so do newcomers");
    }
    assert!(served.reload(&good));
    assert!(served.reload(&format!("{good}[server]\nworkers = 3\nscratch = \"64KiB\"\n")));
    let log = served.log();
    for key in ["\"key\":\"server.workers\"", "\"key\":\"server.scratch\""] {
        assert!(log.contains(key), "{key}: {log}");
    }
    served.stop();
}

#[cfg(feature = "kv")]
#[test]
fn a_store_keeps_its_keys_and_follows_its_settings() {
    let (a, b) = (free(), free());
    let text = |more: &str, memory: &str, listen: &str| {
        format!("{LOG}[store]\nmemory_max = \"{memory}\"\n[[resp]]\nlisten = {listen}\n{more}")
    };
    let served = Served::start("store", &text("", "64MiB", &format!("\"{a}\"")));
    let mut early = connect(&a);
    ask(&mut early, "SET key value\r\n", "+OK\r\n");
    let password = served.folder.file("password", "first\n");
    let with = format!("password_file = \"{password}\"\n[[memcached]]\nlisten = \"{b}\"\n");
    let both = text(&with, "32MiB", &format!("\"{a}\""));
    assert!(served.reload(&both));
    ask(&mut early, "GET key\r\n", "$5\r\nvalue\r\n");
    let maxmemory = format!("*2\r\n$9\r\nmaxmemory\r\n$8\r\n{}\r\n", 32 << 20);
    ask(&mut early, "CONFIG GET maxmemory\r\n", &maxmemory);
    ask(&mut connect(&b), "get key\r\n", "VALUE key 0 5\r\nvalue\r\nEND\r\n");
    ask(&mut connect(&a), "GET key\r\n", "-NOAUTH");
    let mut knows = connect(&a);
    ask(&mut knows, "AUTH first\r\nGET key\r\n", "+OK\r\n$5\r\nvalue\r\n");
    // The file is the same, but what it names is not.
    served.folder.file("password", "second\n");
    assert!(served.reload(&both));
    ask(&mut connect(&a), "AUTH first\r\n", "-WRONGPASS");
    ask(&mut connect(&a), "AUTH second\r\nGET key\r\n", "+OK\r\n$5\r\nvalue\r\n");
    ask(&mut knows, "GET key\r\n", "$5\r\nvalue\r\n");
    served.folder.file("password", "\n");
    assert!(!served.reload(&both), "an empty password would let everybody in");
    ask(&mut connect(&a), "GET key\r\n", "-NOAUTH");
    served.stop();
}

/// Each of them asks for what is in the file when its turn comes, so one that waits is enough.
#[test]
fn signals_that_come_while_a_file_is_read_are_one() {
    let text = format!("{LOG}[[echo]]\nlisten = \"{}\"\n", free());
    let served = Served::start("waits", &text);
    let pipe = served.folder.path("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    fs::rename(&pipe, &served.config).unwrap();
    kill(served.pid(), Signal::HUP);
    // It opens once somebody reads there.
    let mut writer = File::options().write(true).open(&served.config).unwrap();
    for _ in 0..50 {
        kill(served.pid(), Signal::HUP);
        thread::sleep(Duration::from_millis(2));
    }
    // The last of them has come: on its way still, it would be one more.
    wait_until(|| !awaits_hangup(served.pid()), || "its signals to come".into());
    thread::sleep(Duration::from_millis(50));
    served.write(&text);
    writer.write_all(text.as_bytes()).unwrap();
    drop(writer);
    served.wait_for("\"message\":\"reloaded\"", 2);
    assert!(!served.reload("nonsense"));
    assert_eq!(served.count("\"message\":\"reloaded\""), 2, "{}", served.log());
    served.stop();
}

/// Whether SIGHUP waits for the process to take it.
fn awaits_hangup(pid: u32) -> bool {
    let pending = crate::process::status(pid, "ShdPnd");
    u64::from_str_radix(&pending, 16).unwrap() & 1 != 0
}

/// The store is called what its table was called first: another service cannot be called so.
#[cfg(feature = "kv")]
#[test]
fn a_change_that_fails_leaves_the_store_its_keys() {
    let (a, b) = (free(), free());
    let store = |name: &str| format!("{LOG}[[resp]]\nname = \"{name}\"\nlisten = \"{a}\"\n");
    let served = Served::start("store-stays", &store("first"));
    ask(&mut connect(&a), "SET key value\r\n", "+OK\r\n");
    let echo = format!("[[echo]]\nname = \"first\"\nlisten = \"{b}\"\n");
    assert!(!served.reload(&(store("second") + &echo)));
    assert!(served.reload(&store("second")));
    ask(&mut connect(&a), "GET key\r\n", "$5\r\nvalue\r\n");
    served.stop();
}

/// There was none when the server began. It is opened anew on SIGHUP like any other.
#[test]
fn an_access_log_may_come_with_a_reload() {
    let (a, b) = (free(), free());
    let used = TcpListener::bind("127.0.0.1:0").unwrap();
    let used = used.local_addr().unwrap();
    let plain = format!("{LOG}[[echo]]\nlisten = \"{a}\"\n");
    let served = Served::start("log-comes", &plain);
    let path = served.folder.path("access.log");
    let second = |at: &str| {
        format!(
            "{plain}[[echo]]\nname = \"second\"\nlisten = \"{at}\"\naccess_log = {{ path = \"{path}\", format = \"{{service}} {{messages}}\" }}\n"
        )
    };
    assert!(!served.reload(&second(&used.to_string())));
    let is_open = || {
        let open = fs::read_dir(format!("/proc/{}/fd", served.pid())).unwrap();
        open.filter_map(|it| fs::read_link(it.unwrap().path()).ok()).any(|it| it == *path)
    };
    wait_until(|| !is_open(), || "nobody writes there, and it is closed".into());
    let text = second(&b);
    assert!(served.reload(&text));
    served.wait_for("access_log: bytes received and sent", 1);
    let has = |lines: &str| {
        let text = || fs::read_to_string(&path).unwrap_or_default();
        wait_until(|| text() == lines, || format!("{lines:?}: {:?}", text()));
    };
    round_trip(&mut connect(&b), b"one");
    has("second 1\n");
    fs::rename(&path, served.folder.path("access.log.1")).unwrap();
    assert!(served.reload(&text));
    // Until it is, lines go where they went.
    wait_until(|| Path::new(&path).exists(), || "it is opened anew".into());
    round_trip(&mut connect(&b), b"another");
    has("second 1\n");
    served.stop();
}

/// The certificate that a server shows.
#[cfg(feature = "tls")]
fn shown_at(at: &str) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", at, "-servername", "localhost"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let begin = text.find("-----BEGIN CERTIFICATE-----").expect("a certificate is shown");
    let end = text.find("-----END CERTIFICATE-----").unwrap();
    text[begin..end].to_owned()
}

#[cfg(feature = "tls")]
#[test]
fn certificates_are_read_again_though_the_file_is_the_same() {
    if Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_err() {
        return eprintln!("SKIPPED: there is no openssl to talk to");
    }
    let at = free();
    let certs = format!("{}/../windlass/tests/certs", env!("CARGO_MANIFEST_DIR"));
    let folder = Folder::new("renewed-certs");
    let show = |name: &str| {
        for end in ["pem", "key"] {
            fs::copy(format!("{certs}/{name}.{end}"), folder.path(&format!("cert.{end}"))).unwrap();
        }
    };
    show("server");
    let (cert, key) = (folder.path("cert.pem"), folder.path("cert.key"));
    let text = format!("{LOG}[[echo]]\nlisten = \"{at}\"\n[echo.tls]\ncert = \"{cert}\"\nkey = \"{key}\"\n");
    let served = Served::start("renewed", &text);
    let shown = || shown_at(&at);
    let before = shown();
    show("renewed");
    assert_eq!(shown(), before, "not by itself");
    assert!(served.reload(&text));
    assert_ne!(shown(), before);
    served.wait_for("a certificate was read again", 1);
    fs::write(&cert, "nonsense").unwrap();
    let renewed = shown();
    assert!(!served.reload(&text));
    assert_eq!(shown(), renewed, "a certificate that is wrong changes nothing");
    served.stop();
}

/// Whatever else the same reload changes: the port, the settings, TLS at all; and though one before it failed.
#[cfg(feature = "tls")]
#[test]
fn a_new_certificate_is_shown_whatever_changes_with_it() {
    if Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_err() {
        return eprintln!("SKIPPED: there is no openssl to talk to");
    }
    let certs = format!("{}/../windlass/tests/certs", env!("CARGO_MANIFEST_DIR"));
    let service = |name: &str, at: &str, more: &str, cert: Option<&str>| {
        let tls = |cert| format!("[echo.tls]\ncert = \"{certs}/{cert}.pem\"\nkey = \"{certs}/{cert}.key\"\n");
        let tls = cert.map(tls).unwrap_or_default();
        format!("[[echo]]\nname = \"{name}\"\nlisten = \"{at}\"\n{more}{tls}")
    };
    let (a, b, c) = (free(), free(), free());
    let one = |at: &str, more: &str, cert| format!("{LOG}{}", service("one", at, more, cert));
    let served = Served::start("shown", &one(&a, "", Some("server")));
    let old = shown_at(&a);
    assert!(served.reload(&one(&b, "", Some("renewed"))));
    let new = shown_at(&b);
    assert_ne!(new, old, "with another port");
    let log = served.folder.path("access.log");
    let more = format!("access_log = {{ path = \"{log}\" }}\n");
    assert!(served.reload(&one(&b, &more, Some("server"))));
    assert_eq!(shown_at(&b), old, "with other settings");
    assert!(served.reload(&one(&b, &more, None)));
    round_trip(&mut connect(&b), b"without TLS");
    assert!(served.reload(&one(&b, &more, Some("renewed"))));
    assert_eq!(shown_at(&b), new, "with TLS again");
    let used = TcpListener::bind("127.0.0.1:0").unwrap();
    let used = used.local_addr().unwrap().to_string();
    let and = |at: &str, cert| one(&b, &more, Some("renewed")) + &service("two", at, "", Some(cert));
    assert!(!served.reload(&and(&used, "server")));
    assert!(served.reload(&and(&c, "renewed")));
    assert_eq!(shown_at(&c), new, "after a change that could not be made");
    served.stop();
}

#[test]
fn the_supervisor_hears_of_reloads_and_of_another_main_process() {
    let folder = Folder::new("hears");
    let notify = folder.path("notify");
    let supervisor = UnixDatagram::bind(&notify).unwrap();
    supervisor.set_read_timeout(Some(LONG)).unwrap();
    let hear = || {
        let mut text = [0; 200];
        let n = supervisor.recv(&mut text).unwrap();
        String::from_utf8(text[..n].to_vec()).unwrap()
    };
    let control = folder.path("control");
    let text = format!("{LOG}[server]\ncontrol = \"{control}\"\n[[echo]]\nlisten = \"{}\"\n", free());
    let mut served = Served::command("heard", &text, |command| command.env("NOTIFY_SOCKET", &notify));
    assert_eq!(hear(), format!("READY=1\nMAINPID={}", served.pid()));
    assert!(served.reload(&text));
    let begun = hear();
    let micros = begun.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{begun}"));
    assert!(micros.parse::<u64>().unwrap() > 0);
    assert_eq!(hear(), "READY=1");
    // SIGUSR2: by itself, and so with the environment it has.
    kill(served.pid(), Signal::USR2);
    let said = hear();
    let pid: u32 =
        said.strip_prefix("READY=1\nMAINPID=").unwrap_or_else(|| panic!("{said}")).parse().unwrap();
    assert_ne!(pid, served.pid());
    served.pids.insert(pid);
    // The one before it has nothing left to do.
    let child = &mut served.child;
    wait_until(|| child.try_wait().unwrap().is_some(), || "its end".into());
}

#[test]
fn an_upgrade_that_cannot_be_says_why_and_changes_nothing() {
    let at = free();
    let plain = format!("{LOG}[[echo]]\nlisten = \"{at}\"\n");
    let mut served = Served::start("no-upgrade", &plain);
    let mut stays = connect(&at);
    round_trip(&mut stays, b"there");
    let failed = |served: &mut Served, args: &[&str], code: i32, why: &str| {
        let output = served.upgrade(args);
        assert_eq!(output.status.code(), Some(code), "{}", served.log());
        served.wait_for(why, 1);
    };
    failed(&mut served, &[], 1, "sets no `server.control`");
    kill(served.pid(), Signal::USR2);
    served.wait_for("no upgrade: `server.control` is not set", 1);
    served.write("nonsense");
    failed(&mut served, &[], 78, "wrong with the configuration");
    let folder = Folder::new("failed-upgrade-control");
    let control = folder.path("control");
    let text = format!("{plain}[server]\ncontrol = \"{control}\"\n");
    served.write(&text);
    failed(&mut served, &[], 1, "no server hands over at");
    round_trip(&mut stays, b"still there");
    drop((stays, served));

    let mut served = Served::start("failed-upgrade", &text);
    let mut stays = connect(&at);
    round_trip(&mut stays, b"there");
    // It is found out only when it binds.
    let used = TcpListener::bind("127.0.0.1:0").unwrap();
    let used = used.local_addr().unwrap();
    served.write(&text.replace(&format!("\"{at}\""), &format!("[\"{at}\", \"{used}\"]")));
    failed(&mut served, &[], 1, "the new process ended before it served");
    served.write(&text);
    failed(&mut served, &["--program", "/bin/false"], 1, "the new process ended before it served");
    let sleeps = served.folder.file("sleeps", "#!/bin/sh\nexec sleep 60\n");
    fs::set_permissions(&sleeps, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let slow = ["--program", &sleeps, "--timeout", "200ms"];
    failed(&mut served, &slow, 1, "was not ready within 200ms");
    round_trip(&mut stays, b"still there");
    round_trip(&mut connect(&at), b"and so are newcomers");
}

const RELOADS: usize = 100;
const UPGRADES: usize = 20;
const LONG_LIVED: usize = 1_000;
/// Clients that come and go, and clients that stay and send as fast as they are answered.
const STORMS: usize = 2;
const STREAMS: usize = 2;

/// Sends and is echoed on one connection as fast as that goes.
fn stream(address: &str, over: &AtomicBool, done: &AtomicU64) -> Result<(), String> {
    let mut stream = connect(address);
    let (sent, mut back) = ([7; 4096], [0; 4096]);
    while !over.load(Relaxed) {
        let went = stream.write_all(&sent).and_then(|()| stream.read_exact(&mut back));
        went.map_err(|e| format!("after {} messages: {e}", done.load(Relaxed)))?;
        assert_eq!(sent, back);
        done.fetch_add(1, Relaxed);
    }
    Ok(())
}

/// As a storm, on an address that goes from one service to the next: a connection may be told to finish
/// before it has been heard, in good order. Nobody is refused or reset there either.
fn visit(address: &str, over: &AtomicBool, done: &AtomicU64) -> Result<(), String> {
    while !over.load(Relaxed) {
        let mut stream = connect(address);
        let mut back = Vec::new();
        let went = stream.write_all(b"hello").and_then(|()| stream.take(5).read_to_end(&mut back));
        match went {
            Ok(_) if back == b"hello" || back.is_empty() => {}
            other => return Err(format!("{other:?} and {back:?} on the address that moves")),
        }
        done.fetch_add(1, Relaxed);
    }
    Ok(())
}

/// What is asserted: nobody is refused, reset or left without an answer: neither the long-lived, nor those
/// that come and go, nor those that send all the time. The server's resident memory after the hundredth
/// reload is at most 6 MiB above that after the twentieth, with as many descriptors but for a few; that of
/// the last process of twenty at most 6 MiB above that of the first that took over.
#[test]
fn a_hundred_reloads_and_twenty_upgrades_at_full_load_lose_nobody() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let control = Folder::new("load-control");
    let (main, more, other) = (free(), free(), free());
    let text = |n: usize| {
        let mut text = format!(
            "{LOG}[server]\nworkers = 2\ncontrol = \"{}\"\n[limits]\nidle_timeout = 0\nhandover_drain_timeout = 0\noverload_lag_max = 0\n\
             source_connections_max = {}\n[[echo]]\nname = \"main\"\nlisten = [\"{main}\"{}]\n",
            control.path("control"),
            1_000 + n,
            // A listener that comes and goes.
            if n.is_multiple_of(2) { format!(", \"{more}\"") } else { String::new() },
        );
        // An address that goes from one service to another, and is always served.
        let name = if n.is_multiple_of(3) { "fizz" } else { "buzz" };
        text += &format!("[[echo]]\nname = \"{name}\"\nlisten = \"{other}\"\n");
        text
    };
    let mut served = Served::start("load", &text(1));
    let mut long_lived: Vec<TcpStream> = (0..LONG_LIVED).map(|_| connect(&main)).collect();
    long_lived.iter_mut().for_each(|stream| round_trip(stream, b"the first"));
    let (over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..STORMS + STREAMS)
        .map(|n| {
            let at = if n == 0 { other.clone() } else { main.clone() };
            let (over, done) = (over.clone(), done.clone());
            let load = match n {
                0 => visit,
                _ if n < STORMS => storm,
                _ => stream,
            };
            thread::spawn(move || load(&at, &over, &done))
        })
        .collect();
    let failed = |clients: &[thread::JoinHandle<_>]| clients.iter().any(|client| client.is_finished());
    // The load goes on between two changes, or somebody has failed.
    let goes_on = |clients: &[thread::JoinHandle<_>]| {
        let before = done.load(Relaxed);
        while done.load(Relaxed) < before + 20 && !failed(clients) {
            thread::yield_now();
        }
    };
    let first = served.pid();
    let mut warm = None;
    for n in 2..2 + RELOADS {
        assert!(served.reload(&text(n)), "{}", served.log());
        goes_on(&clients);
        if failed(&clients) {
            break;
        }
        if n == 20 {
            warm = Some((resident(first), descriptors(first)));
        }
        round_trip(long_lived.get_mut(n).unwrap(), b"in between");
    }
    let (before, after) = (warm, (resident(first), descriptors(first)));
    let (mut pid, mut early) = (first, None);
    for n in 0..UPGRADES {
        if failed(&clients) {
            break;
        }
        pid = served.upgraded();
        goes_on(&clients);
        if n == 1 {
            early = Some(resident(pid));
        }
        round_trip(&mut long_lived[500 + n], b"in between");
        // A reload of the new one, too.
        if n % 5 == 0 {
            assert!(served.reload_of(pid, &text(n)), "{}", served.log());
        }
    }
    let late = resident(pid);
    over.store(true, Relaxed);
    for client in clients {
        assert_eq!(client.join().unwrap(), Ok(()), "after {} messages\n{}", done.load(Relaxed), served.log());
    }
    long_lived.iter_mut().for_each(|stream| round_trip(stream, b"all of them"));
    let (before, early) = (before.unwrap(), early.unwrap());
    println!(
        "{} messages; {} KiB and {} descriptors, then {} and {}; {early} KiB, then {late}",
        done.load(Relaxed),
        before.0,
        before.1,
        after.0,
        after.1
    );
    assert!(after.0 < before.0 + 6 * 1024, "{} KiB after 19 reloads, {} after 100", before.0, after.0);
    assert!(after.1 < before.1 + 20, "{} descriptors after 19 reloads, {} after 100", before.1, after.1);
    assert!(late < early + 6 * 1024, "{early} KiB in the second process, {late} in the last");
    drop(long_lived);
    // By itself, with its last connection.
    let child = &mut served.child;
    wait_until(|| child.try_wait().unwrap().is_some(), || "the end of the first process".into());
    assert!(served.child.wait().unwrap().success());
    kill(pid, Signal::TERM);
    let is_there =
        |pid: u32| test_kill_process(Pid::from_raw(pid as i32).unwrap()).is_ok() && !is_zombie(pid);
    wait_until(|| !is_there(pid), || "the end of the last".into());
    assert!(!fs::exists(control.path("control")).unwrap(), "the last takes the file away");
}

fn is_zombie(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn a_full_or_draining_server_still_tells_how_it_is() {
    let (at, admin) = (free(), free());
    let text = format!(
        "{LOG}[limits]\nconnections_max = 1\ndrain_timeout = \"20s\"\n[admin]\nlisten = \"{admin}\"\n\
         [[websocket]]\nlisten = \"{at}\"\n"
    );
    let served = Served::start("ready", &text);
    let get = |path: &str| {
        let mut stream = connect(&admin);
        stream
            .write_all(
                format!("GET {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n").as_bytes(),
            )
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/readyz").starts_with("HTTP/1.1 200 "), "{}", get("/readyz"));
    // A WebSocket that does not answer the server's close is there until the deadline.
    let mut stays = connect(&at);
    let upgrade = format!(
        "GET /ws HTTP/1.1\r\nhost: {at}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    ask(&mut stays, &upgrade, "HTTP/1.1 101 ");
    assert!(get("/healthz").starts_with("HTTP/1.1 200 "), "the server is full");
    kill(served.pid(), Signal::TERM);
    wait_until(|| get("/readyz").starts_with("HTTP/1.1 503 "), || get("/readyz"));
    assert!(get("/healthz").starts_with("HTTP/1.1 200 "), "it drains");
    drop(stays);
    let mut served = served;
    let child = &mut served.child;
    wait_until(|| child.try_wait().unwrap().is_some(), || "its end".into());
}

//! `memory = "8MiB"`: the plan is told, and five hundred clients in a machine of 16 MiB, or with too few descriptors, neither
//! end the server nor make it silent about what it shed.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::little::{Little, eventually, stuff};
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

#[cfg(feature = "hub")]
#[test]
fn what_it_takes_is_said_of_hubs_too() {
    let file = |memory: &str| {
        let text = format!("[server]\nworkers = 1\nmemory = '{memory}'\n[[hub]]\nlisten = '127.0.0.1:0'\n");
        ConfigFile::new("memory-hub-little", &text)
    };
    let little = file("100KiB");
    let checked = run(&["check", "-c", little.0.to_str().unwrap()]);
    let said = text(checked.stderr);
    assert_eq!(checked.status.code(), Some(78), "{said}");
    assert!(said.contains("services keep 51200 bytes of it") && said.contains(":3:"), "{said}");
    let (_, takes) = said.split_once(": it takes ").unwrap_or_else(|| panic!("{said}"));
    let enough = file(&takes.split(", or").next().unwrap().replace(' ', ""));
    let checked = run(&["check", "-c", enough.0.to_str().unwrap()]);
    assert!(checked.status.success(), "{said} and then {}", text(checked.stderr));
}

#[cfg(feature = "hub")]
#[test]
fn a_reload_leaves_what_was_divided() {
    let text_of = |more: &str| {
        format!(
            "[server]\nworkers = 1\nmemory = '8MiB'\n[admin]\nlisten = '127.0.0.1:0'\n\
             [[hub]]\nname = 'h'\nlisten = '127.0.0.1:0'\n{more}"
        )
    };
    let file = ConfigFile::new("memory-reload", &text_of(""));
    let mut server = Server::command(&["run", "-c", file.0.to_str().unwrap()]);
    let admin = server.line().strip_prefix("Admin on ").unwrap().to_owned();
    let reload = |text: &str| {
        std::fs::write(&file.0, text).unwrap();
        asked(&admin, "POST /api/reload")
    };
    // A long packet is refused: more than half of what is read at once, of a server with 4 MiB for connections.
    let is_too_long = |server: &Server| {
        let mut stream = server.connect();
        stream.write_all(&device(0)).unwrap();
        let said = read_packet(&mut stream);
        let at = said.windows(5).position(|it| it[0] == 0x27).expect("a maximum packet size");
        u32::from_be_bytes(said[at + 1..at + 5].try_into().unwrap())
    };
    let before = is_too_long(&server);
    assert!(before < 100_000, "{before}");
    let said = reload(&text_of("queue_max = 50\n"));
    assert!(said.contains("settings of h") && said.contains("\"restart_needed\":[]"), "{said}");
    thread::sleep(Duration::from_millis(200));
    assert_eq!(is_too_long(&server), before, "the bounds are those of the start");
    let said = reload(&text_of("memory_max = '1MiB'\n"));
    assert!(said.contains("\"restart_needed\":[\"memory_max of the hub h\"]"), "{said}");
    let said = reload(&text_of("[[hub]]\nname = 'i'\nlisten = '127.0.0.1:0'\n"));
    assert!(said.starts_with("HTTP/1.1 422") && said.contains("no memory for another hub"), "{said}");
    assert!(server.stop().0.success());
}

/// The answer of the admin listener.
fn asked(admin: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        .unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

/// One packet of fewer than 128 bytes.
fn read_packet(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let mut body = vec![0; head[1].into()];
    stream.read_exact(&mut body).unwrap();
    body
}

/// CONNECT of version 5 with a name of two letters: a session that stays for an hour.
fn device(n: u16) -> Vec<u8> {
    let mut packet = vec![0x10, 20, 0, 4, b'M', b'Q', b'T', b'T', 5, 0, 0, 0, 5, 0x11, 0, 0, 0x0e, 0x10];
    packet.extend([0, 2, b'a' + (n / 26 % 26) as u8, b'a' + (n % 26) as u8]);
    packet
}

/// A server in little memory, and its admin listener.
struct Besieged {
    server: Server,
    admin: String,
    little: Option<Little>,
    _file: ConfigFile,
}

impl Besieged {
    /// `first` is done by the shell that becomes the server.
    fn start(name: &str, first: &str, config: &str) -> Besieged {
        let little = Little::new(name);
        let file = ConfigFile::new(
            &format!("memory-{name}"),
            &format!("[log]\nformat = 'json'\n[admin]\nlisten = '127.0.0.1:0'\n{config}"),
        );
        let program = windlass(&[]);
        let group = Little::enter(little.as_ref());
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c").arg(format!("{group} && {first} && exec \"$0\" \"$@\""));
        shell.arg(program.get_program()).args(["run", "-c", file.0.to_str().unwrap()]);
        shell.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut server = Server::of(shell);
        let admin = server.line().strip_prefix("Admin on ").unwrap().to_owned();
        Besieged { server, admin, little, _file: file }
    }

    /// A sum over all labels of a metric.
    fn counted(&self, metric: &str) -> f64 {
        let said = asked(&self.admin, "GET /metrics");
        let values = said.lines().filter(|line| line.split(['{', ' ']).next() == Some(metric));
        values.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// It was neither killed nor did it end; its log.
    fn held(mut self) -> String {
        assert!(self.server.is_running());
        if let Some(little) = &self.little {
            assert_eq!(little.killed(), 0);
        }
        let (status, _, log) = self.server.stop();
        assert!(status.success(), "{status}: {log}");
        log
    }
}

fn says_hello(server: &Server) -> Option<()> {
    let mut last = server.connect();
    let mut answer = [0; 5];
    (last.write_all(b"hello").is_ok() && last.read_exact(&mut answer).is_ok())
        .then(|| assert_eq!(&answer, b"hello"))
}

/// Whether the other side has ended it, of a stream that does not wait.
fn has_ended(stream: &TcpStream) -> bool {
    match stream.peek(&mut [0]) {
        Ok(n) => n == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn five_hundred_who_do_not_read_end_no_echo() {
    // However slow the machine is, nobody is sent away for that.
    let config = "[server]\nworkers = 1\nmemory = '8MiB'\n[limits]\nwhen_full = 'shed'\noverload_lag_max = 0\n[[echo]]\nlisten = '127.0.0.1:0'\n";
    let mut besieged = Besieged::start("echo", "true", config);
    let mut good = besieged.server.connect();
    round_trip(&mut good, b"hello");
    let mut bad: Vec<_> = (0..500).map(|_| besieged.server.connect()).collect();
    let bytes = vec![7; 64 << 10];
    for round in 0..5 {
        bad.iter_mut().for_each(|stream| {
            stuff(stream, &bytes);
        });
        assert!(besieged.server.is_running(), "round {round}");
    }
    // Whoever reads is served among them.
    if good.write_all(b"still here").is_err() || good.read_exact(&mut [0; 10]).is_err() {
        panic!("it was ended: {}", besieged.held());
    }
    eventually("it was short of memory", || {
        (besieged.counted("windlass_memory_steps_total") > 0.0).then_some(())
    });
    drop(bad);
    eventually("somebody is served again", || says_hello(&besieged.server));
    let log = besieged.held();
    assert!(log.contains("\"limit\":\"buffered_max\""), "it says what it shed: {log}");
}

#[test]
fn an_echo_without_descriptors_sheds_and_goes_on() {
    let config = "[server]\nworkers = 1\nmemory = '8MiB'\n[limits]\nwhen_full = 'shed'\nconnections_max = 500\n\
                  [[echo]]\nlisten = '127.0.0.1:0'\n";
    let mut besieged = Besieged::start("descriptors", "ulimit -n 100", config);
    let mut many: Vec<_> = (0..500).map(|_| besieged.server.connect()).collect();
    let bytes = vec![7; 64 << 10];
    many.iter_mut().for_each(|stream| {
        stuff(stream, &bytes);
    });
    assert!(besieged.server.is_running());
    // While they are all there: of those that have left it would let in more.
    eventually("most are sent away", || (many.iter().filter(|it| has_ended(it)).count() > 300).then_some(()));
    drop(many);
    eventually("somebody is served again", || says_hello(&besieged.server));
    eventually("those who were refused are counted", || {
        (besieged.counted("windlass_newcomers_refused_total") > 300.0).then_some(())
    });
    let log = besieged.held();
    assert!(log.contains("newcomers reset") || log.contains("out of descriptors"), "it says so: {log}");
}

#[cfg(feature = "hub")]
#[test]
fn five_hundred_devices_that_misbehave_end_nothing_but_themselves() {
    // However slow the machine is, nobody is sent away for that.
    let config = "[server]\nworkers = 1\nmemory = '8MiB'\n[limits]\nwhen_full = 'shed'\noverload_lag_max = 0\n[[hub]]\nlisten = '127.0.0.1:0'\n";
    let mut besieged = Besieged::start("hub", "true", config);
    let mut devices = Vec::new();
    for n in 0..500_u16 {
        let mut stream = besieged.server.connect();
        let _ = stream.write_all(&device(n));
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
    for round in 0..40_u8 {
        for (n, device) in devices.iter_mut().enumerate() {
            let mut retained = vec![0x33, 0, 0, 0, 3];
            retained.extend([b'r', b'0' + round, b'0' + (n % 64) as u8, 0, 9, 0]);
            retained.extend([b'x'; 1_200]);
            let len = retained.len() - 3;
            (retained[1], retained[2]) = (len as u8 | 0x80, (len >> 7) as u8);
            stuff(device, &retained);
        }
        assert!(besieged.server.is_running(), "round {round}");
    }
    drop(devices);
    // Once they are gone, whoever comes is served, or told what is the matter.
    let (mut last, answer) = eventually("somebody is let in again", || {
        let mut last = besieged.server.connect();
        let mut answer = [0; 4];
        (last.write_all(&device(0)).is_ok() && last.read_exact(&mut answer).is_ok()).then_some((last, answer))
    });
    assert_eq!(answer[0], 0x20, "a CONNACK: {answer:?}");
    // Whose room ended first in the siege, the hub's or the server's around it, depends on who was faster. What is left of
    // the hub's is filled by one who stays.
    for n in 0..6_000 {
        let mut retained = vec![0x31, 0xbc, 9, 0, 9];
        retained.extend(format!("fill/{n:04}").bytes());
        retained.push(0);
        retained.resize(retained.len() + 1_200, b'x');
        last.write_all(&retained).unwrap();
    }
    eventually("it says what it shed", || {
        (besieged.counted("windlass_hub_memory_refused_total") > 0.0).then_some(())
    });
    let kept = besieged.counted("windlass_hub_memory_bytes");
    // What is told of those who subscribe while it is full is counted all the same.
    assert!(kept <= f64::from(4 << 20) * 17.0 / 16.0, "{kept}");
    let log = besieged.held();
    assert!(
        log.contains("\"limit\":\"memory_max\"") && log.contains("no memory"),
        "it says what it shed: {log}"
    );
}

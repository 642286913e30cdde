//! Handing every listener to a successor, in processes of their own: nobody is refused, nobody is
//! reset, and whoever fails on the way leaves no trace.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use windlass::{Change, Close, Config, Conn, Handle, Inherited, Input, Limits, Server, Service, serve};

use crate::child::{self, Process};
use crate::harness::*;

/// In a child: an echo server. The argument is `CONTROL WORKERS HOW ADDRESS...`; what it says: where it
/// listens, then "ready", and answers to what it is asked.
#[test]
#[ignore = "a part of the tests below, run in a child"]
fn a_generation() {
    let Some(arg) = child::arg() else { return };
    let words: Vec<&str> = arg.split(' ').collect();
    let [control, workers, how, addresses @ ..] = &words[..] else { panic!("{words:?}") };
    let mut limits = Limits { drain_timeout: Duration::from_secs(1), ..limits() };
    if let Some(ms) = how.strip_prefix("drain=") {
        limits.handover_drain_timeout = Duration::from_millis(ms.parse().unwrap());
    }
    if let Some(ms) = how.strip_prefix("ready=") {
        limits.handover_ready_timeout = Duration::from_millis(ms.parse().unwrap());
    }
    let config = Config::default().workers(workers.parse().unwrap()).limits(limits);
    let stands = (*how == "stop=opening").then(std::sync::atomic::AtomicBool::default);
    let make = move || {
        // One worker never stands ready; the others do, with listeners registered.
        if stands.as_ref().is_some_and(|told| !told.swap(true, std::sync::atomic::Ordering::SeqCst)) {
            child::say("opening");
            child::listen();
        }
        Echo
    };
    let echo = addresses.iter().fold(serve(make), |echo, address| echo.listen(address));
    let mut server = Server::new(config).add(echo.datagrams()).handover_socket(control);
    match Inherited::from_predecessor(control) {
        Ok(Some(inherited)) => server = server.inherit(inherited),
        Ok(None) => {}
        Err(e) => return child::say(format_args!("error {e}")),
    }
    if *how == "stop=inherited" {
        child::say("inherited");
        child::listen();
    }
    let bound = match server.bind() {
        Ok(bound) => bound,
        Err(e) => return child::say(format_args!("error {e}")),
    };
    let at: Vec<String> = bound.addresses().iter().map(|at| at.to_string()).collect();
    child::say(format_args!("at {} left [{}]", at.join(" "), bound.left_over().join(" ")));
    if *how == "stop=bound" {
        child::listen();
    }
    let server = Running::run(bound.on_ready(|| child::say("ready")));
    answer(&server);
}

/// Answers until the parent finishes or the server ends.
fn answer(server: &Running) {
    while let Some(question) = child::listen() {
        match question.as_str() {
            "counters" => say_counters(&server.handle),
            "shutdown" => server.handle.shutdown(),
            change if change.contains("listen ") => {
                let (how, address) = change.split_once(' ').unwrap();
                let change = match how {
                    "listen" => Change::new().listen("Echo", address),
                    _ => Change::new().unlisten("Echo", address),
                };
                let made = server.handle.apply(change).expect("it can be changed");
                assert!(made.is_everywhere());
                child::say(made.addresses().first().map(|at| at.to_string()).unwrap_or_default());
            }
            "end" => {
                let summary = server.join().unwrap();
                child::say(match summary {
                    Ok(_) => "ended".into(),
                    Err(e) => format!("error {e}"),
                });
            }
            other => panic!("{other}"),
        }
    }
}

fn say_counters(handle: &Handle) {
    let counters = handle.stats().counters;
    let superseded = ("superseded", u64::from(handle.is_superseded()));
    let text: Vec<_> =
        counters.entries().chain([superseded]).map(|(name, n)| format!("{name}={n}")).collect();
    child::say(text.join(" "));
}

pub(crate) struct Generation {
    pub(crate) process: Process,
    pub(crate) at: Vec<String>,
    pub(crate) left: String,
}

impl Generation {
    /// Started and bound, with what it says next still to come.
    pub(crate) fn bound(control: &Path, workers: usize, how: &str, addresses: &[&str]) -> Generation {
        let arg = format!("{} {workers} {how} {}", control.display(), addresses.join(" "));
        let mut process = Process::start("handover::a_generation", &arg);
        let line = process.hear();
        let (at, left) = line.split_once(" left ").unwrap_or_else(|| panic!("{line}"));
        let at = at.split(' ').skip(1).map(str::to_string).collect();
        Generation { process, at, left: left.into() }
    }

    /// Serving.
    pub(crate) fn start(control: &Path, workers: usize, how: &str, addresses: &[&str]) -> Generation {
        let mut generation = Generation::bound(control, workers, how, addresses);
        assert_eq!(generation.process.hear(), "ready");
        generation
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.at[0].parse().unwrap()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.addr())
    }

    pub(crate) fn counter(&mut self, name: &str) -> u64 {
        child::ask(&mut self.process)[name]
    }

    pub(crate) fn wait_for(&mut self, name: &str, n: u64) {
        let deadline = Instant::now() + LONG;
        loop {
            let is = self.counter(name);
            if is == n {
                return;
            }
            assert!(Instant::now() < deadline, "{name} is {is}, and {n} was waited for");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends with its last connection.
    pub(crate) fn ended(mut self) {
        self.process.tell("end");
        assert_eq!(self.process.hear(), "ended");
        self.process.finish();
    }
}

#[test]
fn a_successor_takes_the_listeners_and_connections_stay() {
    let control = SocketPath::new();
    let path = SocketPath::new();
    let unix = format!("unix:{}", path.0.display());
    for (before, after) in [(1, 1), (2, 2), (3, 1), (1, 3), (2, 3)] {
        let mut old = Generation::start(&control.0, before, "-", &["127.0.0.1:0", &unix]);
        let (mut stays, mut stays_unix) = (old.connect(), path.connect());
        round_trip(&mut stays, b"first");
        round_trip(&mut stays_unix, b"first");
        let addr = old.at[0].clone();
        let mut new = Generation::start(&control.0, after, "-", &[&addr, &unix]);
        assert_eq!((&new.at, new.left.as_str()), (&old.at, "[]"));
        assert_eq!(old.counter("superseded"), 1);
        old.wait_for("connections", 2);
        // Everybody who comes now is served, whatever queue the system puts them in; for a moment perhaps
        // by a worker of the old one that has not heard of it yet.
        let mut streams: Vec<_> = (0..50).map(|_| new.connect()).collect();
        streams.iter_mut().for_each(|stream| round_trip(stream, b"newcomer"));
        round_trip(&mut path.connect(), b"newcomer");
        let opened = old.counter("opened") + new.counter("opened");
        assert_eq!(opened, 2 + 51, "{before} workers before, {after} after");
        round_trip(&mut stays, b"still there");
        round_trip(&mut stays_unix, b"still there");
        drop((stays, stays_unix, streams));
        old.ended();
        assert!(path.0.exists() && control.0.exists(), "they are the successor's now");
        round_trip(&mut path.connect(), b"served");
        new.process.tell("shutdown");
        new.ended();
        assert!(!path.0.exists() && !control.0.exists(), "and it takes them away");
    }
}

#[test]
fn a_file_that_somebody_else_has_put_there_stays() {
    let (control, path) = (SocketPath::new(), SocketPath::new());
    let unix = format!("unix:{}", path.0.display());
    let old = Generation::start(&control.0, 1, "-", &["127.0.0.1:0", &unix]);
    let mut new = Generation::start(&control.0, 1, "-", &[&old.at[0], &unix]);
    old.ended();
    // Somebody removes it, as some do to be sure, and listens there.
    std::fs::remove_file(&path.0).unwrap();
    let _others = std::os::unix::net::UnixListener::bind(&path.0).unwrap();
    new.process.tell("shutdown");
    new.ended();
    assert!(path.0.exists() && !control.0.exists(), "one was its own, one was not");
}

#[test]
fn those_who_wait_in_a_queue_are_served_by_the_successor() {
    let control = SocketPath::new();
    // Accepts nobody while it has one.
    let limit = Limits { connections_max: 1, ..limits() };
    for workers in [1, 2] {
        let config = Config::default().workers(workers).limits(limit.clone());
        let server = Server::new(config).add(serve(|| Echo).tcp("127.0.0.1:0")).handover_socket(&control.0);
        let old = Running::run(server.bind().unwrap());
        let mut first = old.connect();
        round_trip(&mut first, b"first");
        let mut waiting: Vec<_> = (0..40).map(|_| old.connect()).collect();
        waiting.iter_mut().for_each(|stream| stream.write_all(b"waited").unwrap());
        let new = Generation::start(&control.0, 1, "-", &[&old.addr().to_string()]);
        waiting.iter_mut().for_each(|stream| expect(stream, b"waited"));
        round_trip(&mut first, b"still there");
        drop((first, waiting));
        old.ended_well();
        drop(new);
    }
}

#[test]
fn a_listener_the_successor_does_not_want_is_drained_by_the_predecessor() {
    let control = SocketPath::new();
    let bound = Server::new(one_worker(limits()))
        .add(serve(|| Echo).tcp("127.0.0.1:0").tcp("127.0.0.1:0"))
        .handover_socket(&control.0);
    let old = Running::run(bound.bind().unwrap());
    let (kept, dropped) = (old.addrs[0], old.addrs[1]);
    let new = Generation::start(&control.0, 1, "-", &[&kept.to_string()]);
    assert_eq!(new.left, format!("[{dropped}]"));
    old.wait_for("the end of it", |_| TcpStream::connect(dropped).is_err());
    round_trip(&mut connect(kept), b"served");
    old.ended_well();
}

#[test]
fn what_a_server_listens_on_since_it_began_is_handed_over_too() {
    let (control, path) = (SocketPath::new(), SocketPath::new());
    let unix = format!("unix:{}", path.0.display());
    for (before, after) in [(1, 2), (2, 1), (2, 2)] {
        let mut old = Generation::start(&control.0, before, "-", &["127.0.0.1:0"]);
        let mut change = |words: String| {
            old.process.tell(&words);
            old.process.hear()
        };
        let added = change("listen 127.0.0.1:0".into());
        let datagrams = change("listen udp:127.0.0.1:0".into());
        assert_eq!(change(format!("listen {unix}")), unix);
        let gone = old.at[0].clone();
        assert_eq!(change(format!("unlisten {gone}")), "");
        assert!(TcpStream::connect(&gone).is_err(), "it is closed though a descriptor of it was kept");
        let waits = connect(added.parse().unwrap());
        let new = Generation::start(&control.0, after, "-", &[&added, &datagrams, &unix]);
        assert_eq!(new.at, [&*added, &*datagrams, &*unix]);
        // What is closed was not offered: nothing is left over.
        assert_eq!(new.left, "[]");
        drop(waits);
        old.ended();
        assert!(path.0.exists(), "it is the successor's");
        (0..20).for_each(|_| round_trip(&mut new.connect(), b"served"));
        round_trip(&mut path.connect(), b"served");
        let asks = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        asks.set_read_timeout(Some(LONG)).unwrap();
        asks.send_to(b"datagram", datagrams.strip_prefix("udp:").unwrap()).unwrap();
        assert_eq!(asks.recv(&mut [0; 16]).unwrap(), 8);
    }
}

#[test]
fn a_successor_that_was_offered_what_is_not_there_any_more_is_refused() {
    let control = SocketPath::new();
    let mut old = Generation::start(&control.0, 2, "-", &["127.0.0.1:0"]);
    let addr = old.at[0].clone();
    let mut new = Generation::bound(&control.0, 1, "stop=bound", &[&addr]);
    old.process.tell("listen 127.0.0.1:0");
    let added = old.process.hear();
    new.process.tell("go on");
    new.process.tell("end");
    let said = new.process.hear();
    assert!(said.ends_with("it has changed meanwhile: try again"), "{said}");
    round_trip(&mut old.connect(), b"served");
    let next = Generation::start(&control.0, 1, "-", &[&addr, &added]);
    assert_eq!((old.counter("handovers_lost"), next.left.as_str()), (1, "[]"));
    old.ended();
    round_trip(&mut connect(added.parse().unwrap()), b"served");
}

#[test]
fn a_successor_that_dies_changes_nothing() {
    let control = SocketPath::new();
    let mut old = Generation::start(&control.0, 2, "-", &["127.0.0.1:0"]);
    let addr = old.at[0].clone();
    let mut stays = old.connect();
    for (n, how) in ["stop=inherited", "stop=bound", "stop=opening"].into_iter().enumerate() {
        let arg = format!("{} 2 {how} {addr}", control.0.display());
        let mut new = Process::start("handover::a_generation", &arg);
        assert!(new.hear().starts_with(if how == "stop=inherited" { "inherited" } else { "at " }));
        if how == "stop=opening" {
            assert_eq!(new.hear(), "opening");
        }
        let mut streams: Vec<_> = (0..50).map(|_| old.connect()).collect();
        // SIGKILL, with the descriptors in its hands.
        drop(new);
        old.wait_for("handovers_lost", n as u64 + 1);
        streams.extend((0..50).map(|_| old.connect()));
        streams.iter_mut().for_each(|stream| round_trip(stream, b"nobody was lost"));
        round_trip(&mut stays, b"still there");
        assert_eq!((old.counter("superseded"), old.counter("opened")), (0, 1 + 100 * (n as u64 + 1)));
    }
    let new = Generation::start(&control.0, 2, "-", &[&addr]);
    round_trip(&mut new.connect(), b"and the next takes over");
    assert_eq!(old.counter("superseded"), 1);
}

#[test]
fn a_predecessor_that_dies_is_no_loss() {
    let control = SocketPath::new();
    let old = Generation::start(&control.0, 2, "-", &["127.0.0.1:0"]);
    let addr = old.at[0].clone();
    // Between the offer and ready: nobody is left to say goodbye.
    let mut new = Generation::bound(&control.0, 2, "stop=bound", &[&addr]);
    drop(old);
    new.process.tell("go on");
    assert_eq!(new.process.hear(), "ready");
    round_trip(&mut new.connect(), b"served");
    // While it drains.
    let stays = new.connect();
    let newer = Generation::start(&control.0, 2, "-", &[&addr]);
    drop(new);
    for _ in 0..50 {
        round_trip(&mut newer.connect(), b"served");
    }
    drop(stays);
    // Of the whole server nothing is left but the files, and the next starts as the first did.
    drop(newer);
    let first = Generation::start(&control.0, 1, "-", &[&addr]);
    round_trip(&mut first.connect(), b"served");
}

#[test]
fn a_successor_that_takes_too_long_is_given_up() {
    let control = SocketPath::new();
    let mut old = Generation::start(&control.0, 1, "ready=50", &["127.0.0.1:0"]);
    let addr = old.at[0].clone();
    let mut new = Generation::bound(&control.0, 2, "stop=bound", &[&addr]);
    old.wait_for("handovers_lost", 1);
    let mut streams: Vec<_> = (0..20).map(|_| old.connect()).collect();
    new.process.tell("go on");
    new.process.tell("end");
    let said = new.process.hear();
    assert!(said.starts_with("error cannot take over") && said.ends_with("that took too long"), "{said}");
    streams.iter_mut().for_each(|stream| round_trip(stream, b"nobody was lost"));
    assert_eq!((old.counter("opened"), old.counter("superseded")), (20, 0));
}

#[test]
fn connections_drain_after_the_time_they_are_given() {
    let control = SocketPath::new();
    let old = Generation::start(&control.0, 1, "drain=2000", &["127.0.0.1:0"]);
    let mut stays = old.connect();
    round_trip(&mut stays, b"first");
    let begun = Instant::now();
    let new = Generation::start(&control.0, 1, "-", &[&old.at[0]]);
    round_trip(&mut stays, b"for a while");
    expect_end(&mut stays);
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    drop(stays);
    old.ended();
    round_trip(&mut new.connect(), b"served");
}

#[test]
fn a_shutdown_after_the_handover_drains_at_once() {
    let control = SocketPath::new();
    let mut old = Generation::start(&control.0, 2, "drain=0", &["127.0.0.1:0"]);
    let mut stays = old.connect();
    round_trip(&mut stays, b"first");
    let new = Generation::start(&control.0, 2, "-", &[&old.at[0]]);
    old.process.tell("shutdown");
    expect_end(&mut stays);
    drop(stays);
    old.ended();
    round_trip(&mut new.connect(), b"served");
}

/// The lines a stranger gets on the control socket.
struct Stranger(BufReader<UnixStream>);

impl Stranger {
    fn says(control: &Path, bytes: &[u8]) -> Stranger {
        let mut stream = connect_unix(control);
        stream.write_all(bytes).unwrap();
        Stranger(BufReader::new(stream))
    }

    fn hears(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().into()
    }

    /// The end, or the reset that stands for it when something was left unread.
    fn hears_the_end(&mut self) {
        let end = self.0.read(&mut [0]);
        assert!(matches!(&end, Ok(0)) || end.as_ref().is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
    }
}

#[test]
fn strangers_on_the_control_socket_are_refused_and_counted() {
    use std::os::unix::fs::PermissionsExt;
    let control = SocketPath::new();
    let server = Server::new(one_worker(limits())).add(serve(|| Echo).tcp("127.0.0.1:0"));
    let old = Running::run(server.handover_socket(&control.0).bind().unwrap());
    let mode = std::fs::metadata(&control.0).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let mut refused = 0;
    let mut refuses = |bytes: &[u8], why: &str| {
        let mut stranger = Stranger::says(&control.0, bytes);
        assert_eq!(stranger.hears(), format!("refused {why}"));
        stranger.hears_the_end();
        refused += 1;
        let counters = old.wait_for("the count", |c| c.handovers_refused == refused);
        assert_eq!((counters.handovers_offered, counters.handovers_lost), (0, 0));
        round_trip(&mut old.connect(), b"undisturbed");
    };
    refuses(b"windlass handover 2\n", "it speaks version 1 of the hand-over, not 2");
    refuses(b"GET / HTTP/1.1\r\n\r\n", "that is no hand-over");
    refuses(b"ready 0\n", "that is out of turn");
    refuses(b"\xff\xfe\n", "that is no hand-over");
    refuses(&[b'x'; 10_000], "that is no hand-over");
    // Says nothing, and is not waited for for ever.
    let mut silent = Stranger::says(&control.0, b"");
    assert_eq!(silent.hears(), "refused that took too long");
    // Comes and goes.
    drop(Stranger::says(&control.0, b"windl"));
    old.wait_for("the count", |c| c.handovers_refused == refused + 2);
    // Asks for what is not there, once it has been served.
    let mut served = Stranger::says(&control.0, b"windlass handover 1\n");
    assert_eq!(served.hears(), "offer 2");
    served.0.get_mut().write_all(b"ready 7\n").unwrap();
    assert_eq!(["listener 0", "control"], [served.hears(), served.hears()].each_ref().map(String::as_str));
    assert_eq!(served.hears(), "refused that is out of turn");
    old.wait_for("the count", |c| c.handovers_lost == 1);
    // Many at once wait without a word: more than are listened to.
    let mut many: Vec<_> = (0..20).map(|_| Stranger::says(&control.0, b"")).collect();
    assert_eq!(many[19].hears(), "refused too many others ask");
    drop(many);
    assert!(!old.handle.is_superseded());
    round_trip(&mut old.connect(), b"undisturbed");
    old.stop();
    assert!(!control.0.exists());
}

/// Holds its worker up with each message: says so, and waits for a word.
struct Slow(Arc<Mutex<(Sender<()>, Receiver<()>)>>);

impl Service for Slow {
    type Session = ();

    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        let gate = self.0.lock().unwrap();
        gate.0.send(()).unwrap();
        gate.1.recv().unwrap();
        conn.write(input.take_all());
        Ok(())
    }
}

#[test]
fn a_successor_that_is_gone_when_its_word_is_read_is_not_believed() {
    let ((enters, entered), (go, goes)) = (channel(), channel());
    let gate = Arc::new(Mutex::new((enters, goes)));
    let control = SocketPath::new();
    let slow = serve(move || Slow(gate.clone())).tcp("127.0.0.1:0");
    let old =
        Running::run(Server::new(one_worker(limits())).add(slow).handover_socket(&control.0).bind().unwrap());
    let mut successor = Stranger::says(&control.0, b"windlass handover 1\n");
    for line in ["offer 2", "listener 0", "control"] {
        assert_eq!(successor.hears(), line);
    }
    let mut stream = old.connect();
    stream.write_all(b"hold on").unwrap();
    entered.recv_timeout(LONG).unwrap();
    successor.0.get_mut().write_all(b"ready 0 control\n").unwrap();
    drop(successor);
    go.send(()).unwrap();
    expect(&mut stream, b"hold on");
    old.wait_for("it to be given up", |counters| counters.handovers_lost == 1);
    assert!(!old.handle.is_superseded());
    go.send(()).unwrap();
    round_trip(&mut old.connect(), b"undisturbed");
    old.stop();
}

#[test]
fn of_two_successors_one_is_refused() {
    let control = SocketPath::new();
    let mut old = Generation::start(&control.0, 2, "-", &["127.0.0.1:0"]);
    let addr = old.at[0].clone();
    let mut first = Generation::bound(&control.0, 1, "stop=bound", &[&addr]);
    let arg = format!("{} 1 - {addr}", control.0.display());
    let mut second = Process::start("handover::a_generation", &arg);
    let said = second.hear();
    assert!(
        said.starts_with("error cannot take over") && said.ends_with("another successor is being served"),
        "{said}"
    );
    second.finish();
    old.wait_for("handovers_refused", 1);
    assert_eq!(old.counter("handovers_offered"), 1);
    first.process.tell("go on");
    assert_eq!(first.process.hear(), "ready");
    old.ended();
    round_trip(&mut first.connect(), b"served");
}

/// In a child, as another user.
#[test]
#[ignore = "a part of the test below, run in a child"]
fn another_user() {
    let Some(control) = child::arg() else { return };
    child::say(match Inherited::from_predecessor(control) {
        Err(e) => e.to_string(),
        other => format!("no error but {other:?}"),
    });
}

#[test]
fn another_user_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    if !rustix::process::geteuid().is_root() {
        eprintln!("!!! SKIPPED: only root can become another user");
        return;
    }
    let control = SocketPath::new();
    let server = Server::new(one_worker(limits())).add(serve(|| Echo).tcp("127.0.0.1:0"));
    let old = Running::run(server.handover_socket(&control.0).bind().unwrap());
    let mut child = Process::start_as(65534, "handover::another_user", &control.0.display().to_string());
    assert!(child.hear().ends_with("permission denied"), "the file is for us alone");
    child.finish();
    std::fs::set_permissions(&control.0, std::fs::Permissions::from_mode(0o666)).unwrap();
    let mut child = Process::start_as(65534, "handover::another_user", &control.0.display().to_string());
    let said = child.hear();
    assert!(said.contains("cannot take over"), "{said}");
    child.finish();
    assert_eq!(old.counters().handovers_offered, 0);
    old.stop();
}

/// In a child: what systemd passed.
#[test]
#[ignore = "a part of the tests below, run in a child"]
fn activated() {
    let Some(address) = child::arg() else { return };
    let inherited = match Inherited::from_systemd() {
        Ok(inherited) => inherited,
        Err(e) => return child::say(format_args!("error {e}")),
    };
    let Some(inherited) = inherited else { return child::say("none") };
    child::say(inherited.sockets().join(" "));
    assert!(Inherited::from_systemd().err().unwrap().to_string().contains("taken already"));
    let server = Server::new(Config::default().workers(2).limits(limits())).inherit(inherited);
    let bound = server.add(serve(|| Echo).listen(address).datagrams()).bind().unwrap();
    child::say(format_args!("at {} left [{}]", bound.addresses()[0], bound.left_over().join(" ")));
    let server = Running::run(bound);
    answer(&server);
    server.stop();
}

/// Starts a child with these sockets as descriptors 3.., as systemd does.
pub(crate) fn activate(sockets: &[std::os::fd::BorrowedFd<'_>], more: &str, address: &str) -> Process {
    use std::os::fd::AsRawFd;
    // A shell moves them to where they belong, from numbers that are out of the way, and its number
    // becomes the server's.
    let copies: Vec<_> =
        sockets.iter().map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, 100).expect("a descriptor")).collect();
    for copy in &copies {
        rustix::io::fcntl_setfd(copy, rustix::io::FdFlags::empty()).unwrap();
    }
    let moves: String = copies
        .iter()
        .enumerate()
        .map(|(n, fd)| format!("{}<&{} {}<&- ", n + 3, fd.as_raw_fd(), fd.as_raw_fd()))
        .collect();
    let script =
        format!("exec {moves}; export LISTEN_PID=$$ LISTEN_FDS={} {more}; exec \"$@\"", sockets.len());
    Process::wrapped(&["bash", "-c", &script, "bash"], "handover::activated", address)
}

#[test]
fn sockets_from_systemd_are_served() {
    use std::os::fd::AsFd;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    // Connected before anybody serves, as is usual there.
    let mut early = connect(addr);
    early.write_all(b"early").unwrap();
    let names = "LISTEN_FDNAMES=web:admin";
    let mut child = activate(&[listener.as_fd(), other.as_fd()], names, &addr.to_string());
    let left = other.local_addr().unwrap();
    assert_eq!(child.hear(), format!("{addr} (web) {left} (admin)"));
    assert_eq!(child.hear(), format!("at {addr} left [{left} (admin)]"));
    expect(&mut early, b"early");
    round_trip(&mut connect(addr), b"hello");
    drop(early);
    child.finish();
}

#[test]
fn what_is_not_for_us_or_no_listener_is_not_taken() {
    use std::os::fd::AsFd;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let mut child = activate(&[listener.as_fd()], "LISTEN_PID=1", &addr);
    assert_eq!(child.hear(), "none");
    child.finish();
    let (not_listening, _other) = UnixStream::pair().unwrap();
    let mut child = activate(&[listener.as_fd(), not_listening.as_fd()], "", &addr);
    let said = child.hear();
    assert!(said.starts_with("error cannot take the sockets that systemd passed: descriptor 4"), "{said}");
    child.finish();
    let file = std::fs::File::open("/dev/null").unwrap();
    let mut child = activate(&[file.as_fd()], "", &addr);
    assert!(child.hear().contains("descriptor 3"));
    child.finish();
    let mut child = activate(&[], "LISTEN_FDS=1000000", &addr);
    assert!(child.hear().starts_with("error LISTEN_FDS is `1000000`"));
    child.finish();
}

/// The number of a process's sockets, polls and the like, and of those a program it starts would get.
fn descriptors(pid: u32) -> (usize, usize) {
    /// `O_CLOEXEC`.
    const CLOEXEC: u32 = 0o2_000_000;
    /// What `activate` has open for a moment, which may be the moment a child begins.
    const OTHERS: u32 = 100;
    let (mut open, mut passed_on) = (0, 0);
    for number in std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let number: u32 = number.unwrap().file_name().to_str().unwrap().parse().unwrap();
        let is = std::fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap_or_default();
        let is = is.to_string_lossy();
        let Ok(info) = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")) else { continue };
        if number < OTHERS && (is.starts_with("socket:") || is.starts_with("anon_inode:")) {
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("it has flags");
            open += 1;
            passed_on += usize::from(u32::from_str_radix(flags.trim(), 8).unwrap() & CLOEXEC == 0);
        }
    }
    (open, passed_on)
}

#[test]
fn descriptors_neither_leak_nor_reach_other_programs() {
    let (control, path) = (SocketPath::new(), SocketPath::new());
    let unix = format!("unix:{}", path.0.display());
    let mut last = Generation::start(&control.0, 2, "-", &["127.0.0.1:0", "udp:127.0.0.1:0", &unix]);
    let at = last.at.clone();
    let addresses: Vec<&str> = at.iter().map(String::as_str).collect();
    let first = descriptors(last.process.pid());
    // Offered, and not taken.
    for n in 1..=20 {
        let mut stranger = Stranger::says(&control.0, b"windlass handover 1\n");
        assert_eq!(stranger.hears(), "offer 6");
        drop(stranger);
        last.wait_for("handovers_lost", n);
    }
    assert_eq!(descriptors(last.process.pid()), first);
    for _ in 0..5 {
        let mut stays = connect(at[0].parse().unwrap());
        round_trip(&mut stays, b"first");
        let next = Generation::start(&control.0, 2, "-", &addresses);
        round_trip(&mut stays, b"still there");
        // Gone are five listeners and sockets, the twins of six, and two of the control socket; what has
        // come is the connection and the line of its successor. The socket beside the connection stays.
        let most = first.0 - 5 - 6 - 2 + 2;
        let deadline = Instant::now() + LONG;
        while descriptors(last.process.pid()).0 > most {
            assert!(Instant::now() < deadline, "{:?} are left of {first:?}", descriptors(last.process.pid()));
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(stays);
        std::mem::replace(&mut last, next).ended();
        // One more than the first has: the line to its predecessor.
        assert_eq!(descriptors(last.process.pid()).0, first.0 + 1);
    }
    assert_eq!(descriptors(last.process.pid()).1, 0, "all are closed on exec");
}

/// In a child: takes over, with so few descriptors left that some of those offered find no place.
#[test]
#[ignore = "a part of the test below, run in a child"]
fn short_of_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Some(control) = child::arg() else { return };
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let limit = getrlimit(Resource::Nofile);
    // The limit is one of numbers, and whoever started us may have left one open that is high.
    let is_free = |n: &u64| !std::fs::exists(format!("/proc/self/fd/{n}")).unwrap();
    // The connection itself, and two.
    let last = (0..).filter(is_free).nth(2).unwrap();
    setrlimit(Resource::Nofile, Rlimit { current: Some(last + 1), ..limit }).unwrap();
    let said = Inherited::from_predecessor(&control).expect_err("not all could be taken").to_string();
    setrlimit(Resource::Nofile, limit).unwrap();
    let left = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    child::say(format_args!("{said}; {} more are open", left - open));
}

#[test]
fn a_successor_without_room_for_all_descriptors_takes_none() {
    let control = SocketPath::new();
    let mut old = Generation::start(&control.0, 2, "-", &["127.0.0.1:0", "127.0.0.1:0"]);
    let mut child = Process::start("handover::short_of_descriptors", &control.0.display().to_string());
    let said = child.hear();
    assert!(said.ends_with("not all of its descriptors could be taken; 0 more are open"), "{said}");
    child.finish();
    old.wait_for("handovers_lost", 1);
    assert_eq!(old.counter("superseded"), 0);
    round_trip(&mut old.connect(), b"undisturbed");
}

/// Waits in `receive` for as long as it is told to.
struct Waits(Arc<Mutex<Receiver<()>>>);

impl Service for Waits {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Ok(())
    }
}

impl windlass::Receive for Waits {
    type Message = Sender<()>;
    fn receive(&mut self, _: &mut windlass::Scope<'_>, _: &mut windlass::Sessions<()>, waits: Sender<()>) {
        waits.send(()).unwrap();
        self.0.lock().unwrap().recv().unwrap();
    }
}

/// The worker finds both at once: an order to give a listener another service, and a successor that is ready.
#[test]
fn a_path_that_goes_on_while_a_successor_takes_over_stays() {
    let (control, path) = (SocketPath::new(), SocketPath::new());
    let unix = format!("unix:{}", path.0.display());
    let (go_on, until) = channel();
    let (mailbox, until) = (windlass::Mailbox::new(), Arc::new(Mutex::new(until)));
    let old = Server::new(one_worker(limits()))
        .add(serve(|| Echo).name("echo").listen(&unix))
        .add(serve(move || Waits(until.clone())).name("waits").mailbox(&mailbox))
        .handover_socket(&control.0);
    let old = Running::run(old.bind().unwrap());
    old.wait_for("its start", |c| c.turns > 0);
    let inherited = Inherited::from_predecessor(&control.0).unwrap().expect("a predecessor");
    let new = Server::new(one_worker(limits())).add(serve(|| Echo).listen(&unix)).inherit(inherited);
    let new = new.bind().unwrap();

    let (waits, has_come) = channel();
    mailbox.send(0, waits).unwrap();
    has_come.recv_timeout(LONG).unwrap();
    let change = Change::new().remove("echo").add(serve(|| Echo).name("other").listen(&unix));
    let handle = old.handle.clone();
    let changing = std::thread::spawn(move || handle.apply(change));
    let deadline = Instant::now() + LONG;
    while old.handle.listener_connections().len() < 2 {
        assert!(Instant::now() < deadline, "the change is not on its way");
        std::thread::sleep(Duration::from_millis(1));
    }
    let new = Running::run(new);
    // Until it has said that it is ready.
    std::thread::sleep(Duration::from_millis(200));
    go_on.send(()).unwrap();
    let _ = changing.join().unwrap();
    old.ended_well();
    round_trip(&mut path.connect(), b"served by the successor");
    new.stop();
}

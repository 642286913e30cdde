//! The real hub, killed again and again under load, and handed over: nothing it has acknowledged is lost, and no message
//! of QoS 2 comes twice.
//!
//! 20 kills in the suite; `WINDLASS_KILLS=1000 cargo test -p windlass-cli --test durable` for as many.
#![cfg(all(unix, feature = "hub"))]

mod client;

use std::collections::HashMap;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

use windlass::proto::mqtt::{QoS, Version};
use windlass::proto::testing::Rng;

use client::{Got, Promised, Taken, publisher, retained, subscriber};

const PUBLISHERS: usize = 8;
/// Nothing that still comes takes longer than that, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A hub in a folder of its own.
struct Hub<'f> {
    child: Child,
    folder: &'f Path,
    port: u16,
}

impl Hub<'_> {
    fn start(folder: &Path, port: u16, workers: usize) -> Hub<'_> {
        let mut command = Command::new(program());
        // Takers may fall behind, and nothing is to be dropped for that.
        command
            .args(["hub", &format!("127.0.0.1:{port}"), "--queue-max", "1m", "--data"])
            .arg(folder.join("data"))
            // Another program may have none.
            .args((workers > 1).then(|| format!("--workers={workers}")));
        Hub::of(command, folder, port)
    }

    /// One that takes over from whoever serves at the control socket of this folder.
    fn succeed(folder: &Path, port: u16) -> Hub<'_> {
        let mut command = Command::new(program());
        command.args(["run", "-q", "-c"]).arg(folder.join("windlass.toml"));
        Hub::of(command, folder, port)
    }

    fn of(mut command: Command, folder: &Path, port: u16) -> Hub<'_> {
        let child = command.stdout(Stdio::null()).spawn().expect("it starts");
        Hub { child, folder, port }
    }

    fn wait_until_it_serves(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(
                self.child.try_wait().expect("a child").is_none(),
                "it ended in {}",
                self.folder.display()
            );
            assert!(Instant::now() < deadline, "it does not serve");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until it has ended by itself.
    fn ends(mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait().expect("a child").is_none() {
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn kill(mut self) {
        // SIGKILL.
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

/// A test that fails leaves nothing behind that runs.
impl Drop for Hub<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Ends<'f>([&'f AtomicBool; 2]);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|flag| flag.store(true, Relaxed));
    }
}

/// A port that no connection is given for its own end: clients that try while nobody listens would meet themselves.
fn free_port() -> u16 {
    /// Tests of this process take theirs apart from each other.
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let begin = 20_000 + (std::process::id() % 8_000) as u16 + TAKEN.fetch_add(500, Relaxed);
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (begin..32_000).find(is_free).expect("a port is free")
}

/// Another program is tried with the same arguments.
fn program() -> std::ffi::OsString {
    std::env::var_os("WINDLASS_HUB").unwrap_or_else(|| env!("CARGO_BIN_EXE_windlass").into())
}

/// A folder of its own, gone in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("windlass-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_was_acknowledged_survives_kills() {
    survives_kills(0, &[1]);
}

/// Each start deals the sessions out anew.
#[test]
fn what_was_acknowledged_survives_kills_between_workers() {
    survives_kills(1, &[2, 3, 2, 1]);
}

fn survives_kills(test: u16, workers: &[usize]) {
    let mut workers = workers.iter().copied().cycle();
    let mut next = || workers.next().unwrap_or(1);
    let kills = std::env::var("WINDLASS_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(20);
    let seed = std::env::var("WINDLASS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let folder = Folder::new(&format!("durable-{test}"));
    let port = free_port();
    let hub = Hub::start(&folder.0, port, next());
    let (published, acknowledged) = under_load(hub, |mut hub, acknowledged| {
        let mut rng = Rng::new(seed);
        let goes_on = goes_on(kills, acknowledged);
        for _ in (0..).take_while(goes_on) {
            thread::sleep(Duration::from_millis(5 + rng.below(120)));
            hub.kill();
            hub = Hub::start(&folder.0, port, next());
            // Now and then before it serves.
            if rng.chance(9, 10) {
                hub.wait_until_it_serves();
            }
        }
        hub
    });
    println!("{kills} kills: {published} messages published, {acknowledged} acknowledged, none lost");
    assert!(acknowledged >= 10 * kills, "hardly any load");
}

/// Whether there is another disturbance, the how manieth it may be: so many in all, and on a slow machine more, until enough
/// was acknowledged meanwhile.
fn goes_on(times: u64, acknowledged: &AtomicU64) -> impl Fn(&u64) -> bool {
    let deadline = Instant::now() + Duration::from_secs(120);
    move |n| *n < times || acknowledged.load(Relaxed) < 10 * times && Instant::now() < deadline
}

/// A process hands its port, its log and its sessions over to the next one.
#[test]
fn what_was_acknowledged_survives_handovers() {
    survives_handovers(1);
}

/// And one of several workers.
#[test]
fn what_was_acknowledged_survives_handovers_between_workers() {
    survives_handovers(2);
}

fn survives_handovers(workers: usize) {
    let handovers = std::env::var("WINDLASS_HANDOVERS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let folder = Folder::new(&format!("handover-{workers}"));
    let port = free_port();
    let path = |name: &str| folder.0.join(name).display().to_string();
    let text = format!(
        "[server]\nworkers = {workers}\ncontrol = '{}'\n[[hub]]\nlisten = '127.0.0.1:{port}'\ndata = '{}'\n\
          queue_max = '1m'\n",
        path("control"),
        path("data")
    );
    std::fs::write(folder.0.join("windlass.toml"), text).expect("a file");
    let hub = Hub::succeed(&folder.0, port);
    let (published, acknowledged) = under_load(hub, |mut hub, acknowledged| {
        let mut rng = Rng::new(7);
        let goes_on = goes_on(handovers, acknowledged);
        for _ in (0..).take_while(goes_on) {
            thread::sleep(Duration::from_millis(50 + rng.below(150)));
            let next = Hub::succeed(&folder.0, port);
            hub.ends();
            hub = next;
        }
        hub
    });
    println!(
        "{handovers} hand-overs: {published} messages published, {acknowledged} acknowledged, none lost"
    );
    assert!(acknowledged >= 10 * handovers, "hardly any load");
}

/// Whatever `disturb` does to the hub while messages are published and taken, at its end all that was acknowledged has
/// come, and what is of QoS 2 once. How many were published and acknowledged.
fn under_load<'f>(mut hub: Hub<'f>, disturb: impl FnOnce(Hub<'f>, &AtomicU64) -> Hub<'f>) -> (u64, u64) {
    let port = hub.port;
    let (stop, over) = (&AtomicBool::new(false), &AtomicBool::new(false));
    let ready = &[AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false)];
    let (taken, acknowledged) = (&<[Taken; 3]>::default(), &AtomicU64::new(0));
    hub.wait_until_it_serves();
    thread::scope(|scope| {
        // Whoever panics, the others come to an end.
        let _ends = Ends([stop, over]);
        // One takes QoS 2 in version 5, one in 3.1.1, one QoS 1: and each is killed under as the others are.
        let filters = &["load/#", "retained/+"][..];
        let takes = [
            ("takes-2", QoS::ExactlyOnce, Version::V5),
            ("takes-2-old", QoS::ExactlyOnce, Version::V311),
            ("takes-1", QoS::AtLeastOnce, Version::V5),
        ];
        let takers: Vec<_> = takes
            .iter()
            .zip(ready.iter().zip(taken))
            .map(|(&(id, qos, version), (ready, taken))| {
                scope.spawn(move || subscriber(port, (id, filters), (qos, version), (ready, taken), over))
            })
            .collect();
        while !ready.iter().all(|ready| ready.load(Relaxed)) {
            thread::sleep(Duration::from_millis(5));
        }
        let giver = |n| scope.spawn(move || publisher(port, (n, qos_of(n)), acknowledged, stop, over));
        let givers: Vec<_> = (0..PUBLISHERS).map(giver).collect();

        let mut hub = disturb(hub, acknowledged);
        hub.wait_until_it_serves();
        stop.store(true, Relaxed);
        let promised: Vec<Promised> =
            givers.into_iter().map(|giver| giver.join().expect("it has not panicked")).collect();
        // What waits still comes, as long as it may take here: until all of them have all of it, or nothing has come for
        // so long that nothing will.
        let all = promised.iter().map(|promised| promised.acknowledged.len() as u64).sum();
        let sum = || taken.iter().map(|taken| taken.all.load(Relaxed)).sum::<u64>();
        let (mut before, mut since) = (sum(), Instant::now());
        while taken.iter().any(|taken| taken.new.load(Relaxed) < all) && since.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(20));
            if before != sum() {
                (before, since) = (sum(), Instant::now());
            }
        }
        // And what should not: a second time.
        loop {
            before = sum();
            thread::sleep(Duration::from_secs(3));
            if before == sum() {
                break;
            }
        }
        let kept =
            retained(port, promised.iter().filter(|promised| promised.retained.is_some()).count() as u64);
        over.store(true, Relaxed);
        let got: Vec<Got> =
            takers.into_iter().map(|taker| taker.join().expect("it has not panicked")).collect();
        check(&promised, &got, &kept);
        hub.kill();
        promised.iter().fold((0, 0), |(published, acknowledged), promised| {
            (published + promised.published, acknowledged + promised.acknowledged.len() as u64)
        })
    })
}

fn qos_of(publisher: usize) -> QoS {
    if publisher < PUBLISHERS / 2 { QoS::ExactlyOnce } else { QoS::AtLeastOnce }
}

fn check(promised: &[Promised], got: &[Got], kept: &HashMap<usize, u64>) {
    for (n, promised) in promised.iter().enumerate() {
        assert_eq!(
            promised.acknowledged.len() as u64,
            promised.published,
            "publisher {n}: all is done at the end"
        );
        for (taker, got) in got.iter().enumerate() {
            let lost: Vec<u64> = promised
                .acknowledged
                .iter()
                .copied()
                .filter(|number| !got.contains_key(&(n, *number)))
                .collect();
            assert!(lost.is_empty(), "of publisher {n}, taker {taker} never got {lost:?}");
            // Exactly once, if it was QoS 2 all the way.
            if qos_of(n) == QoS::ExactlyOnce && taker < 2 {
                let twice: Vec<_> = got.iter().filter(|((of, _), times)| *of == n && **times > 1).collect();
                assert!(twice.is_empty(), "of publisher {n}, taker {taker} got {twice:?}");
            }
        }
        assert_eq!(kept.get(&n), promised.retained.as_ref(), "what is retained of publisher {n}");
    }
}

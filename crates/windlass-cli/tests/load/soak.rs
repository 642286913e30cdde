//! Hours in short: clients of every kind come and go, backends die and come back, files are read again.

use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::clients::*;
use crate::origin::{Client, Origin};
use crate::served::*;
use crate::server::*;

/// How long, unless `WINDLASS_SOAK` says so: as `90s`, or `10m`.
const USUALLY: Duration = Duration::from_secs(30);
/// What memory may grow by after a fifth of the time, in KiB.
const GROWTH_MAX: usize = 8 * 1024;
/// Kinds of clients, and how many of each there are at the same time.
const KINDS: usize = 5;
const EACH: usize = 2;
/// What those who vanish wait before they come again. Without it they are a flood, which makes a server refuse
/// newcomers on purpose; here everybody is to be served.
const PAUSE: Duration = Duration::from_millis(2);

/// Nobody is refused for a machine that has no time for the server: who is reset here was lost.
pub(crate) const NEVER_SHED: &str = "[limits]\noverload_lag_max = \"0s\"\n";

/// What `WINDLASS_SOAK` says, or else this.
pub(crate) fn length(usually: Duration) -> Duration {
    let Ok(text) = std::env::var("WINDLASS_SOAK") else { return usually };
    let (number, unit) = match text.strip_suffix('m') {
        Some(number) => (number, 60),
        None => (text.strip_suffix('s').unwrap_or(&text), 1),
    };
    Duration::from_secs(number.parse::<u64>().expect("WINDLASS_SOAK is like 90s or 10m") * unit)
}

/// What is asserted: what comes back is what was sent, or where a backend was killed the beginning of it; those on the
/// backend that stays never notice; in the end nobody is counted, no descriptor is left, memory is what it was
/// after a fifth of the time, and the process sleeps.
#[test]
#[ignore = "half a minute of full load, or as long as WINDLASS_SOAK says: `.ci/run load`"]
fn a_soak_of_tcp_with_churn_leaves_nothing_behind() {
    soak("tcp", backend, talk);
}

/// The same of requests. Those that may be repeated are answered by a backend that lives, whichever was killed.
#[test]
#[ignore = "half a minute of full load, or as long as WINDLASS_SOAK says: `.ci/run load`"]
fn a_soak_of_http_with_churn_leaves_nothing_behind() {
    soak("http", Origin::start, ask);
}

/// Backends are made by `start`, and killed by dropping them. Clients do what `visit` does: of which kind, which
/// turn of that kind, before backends that come and go, and before one that stays.
fn soak<B>(
    mode: &str,
    start: impl Fn(&str) -> B,
    visit: impl Fn(usize, usize, &str, &str) + Copy + Send + 'static,
) where
    B: Backend,
{
    allow_descriptors();
    let (main, steady, admin) = (free(), free(), free());
    let stays = start("127.0.0.1:0");
    let (dies, nobody) = (free(), free());
    let text = |n: usize| {
        format!(
            "{LOG}[server]\nworkers = 2\n{NEVER_SHED}[admin]\nlisten = \"{admin}\"\n\
             [[proxy]]\nname = \"main\"\nmode = \"{mode}\"\nlisten = \"{main}\"\n\
             to = [\"{at}\", \"{dies}\", \"{nobody}\"]\ncheck_every = \"200ms\"\nconnect_timeout = \"{}s\"\n\
             [[proxy]]\nname = \"steady\"\nmode = \"{mode}\"\nlisten = \"{steady}\"\nto = \"{at}\"\n",
            5 + n % 2,
            at = stays.address(),
        )
    };
    let served = Served::start(&format!("soak-{mode}"), &text(0));
    let pid = served.pid();
    // The first of each kind make what all have.
    (0..KINDS).for_each(|kind| visit(kind, 0, &main, &steady));
    let before = descriptors(pid);
    let over = Arc::new(AtomicBool::new(false));
    let counts: Arc<[AtomicU64; KINDS]> = Arc::default();
    let clients: Vec<_> = (0..KINDS * EACH)
        .map(|n| {
            let (main, steady, over, counts) = (main.clone(), steady.clone(), over.clone(), counts.clone());
            thread::spawn(move || {
                for turn in 0.. {
                    if over.load(Relaxed) {
                        return;
                    }
                    visit(n % KINDS, turn, &main, &steady);
                    counts[n % KINDS].fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    let (began, length) = (Instant::now(), length(USUALLY));
    let mut warm = None;
    for n in 1.. {
        // On a slow machine some more, until each kind has come often enough.
        let often = counts.iter().all(|count| count.load(Relaxed) > 10);
        if began.elapsed() >= length && (often || began.elapsed() >= length + 6 * LONG) {
            break;
        }
        // It is killed in the middle of what it does, and is back some turns later.
        let victim = start(&dies);
        thread::sleep(Duration::from_millis(700));
        drop(victim);
        assert!(served.reload(&text(n)), "{}", served.log());
        thread::sleep(Duration::from_millis(300));
        if warm.is_none() && began.elapsed() >= length / 5 {
            warm = Some(resident(pid));
        }
        assert!(!clients.iter().any(|client| client.is_finished()), "somebody has failed:\n{}", served.log());
    }
    let (warm, late) = (warm.expect("a fifth of the time has passed"), resident(pid));
    over.store(true, Relaxed);
    clients.into_iter().for_each(|client| client.join().expect("nobody failed"));
    let counts: Vec<u64> = counts.iter().map(|count| count.load(Relaxed)).collect();
    println!(
        "{length:?} of {mode}: clients of each kind {counts:?}; {warm} KiB after a fifth of it, {late} in the end"
    );
    assert!(counts.iter().all(|count| *count > 10), "{counts:?}");
    assert!(late < warm + GROWTH_MAX, "{warm} KiB after a fifth of the time, {late} in the end");
    // Connections that are kept for the next request are none that were forgotten: they go with their backend.
    drop(stays);
    expect_rest(pid, &admin, before);
    served.stop();
}

/// A backend that is killed when it is dropped.
trait Backend {
    fn address(&self) -> &str;
}

impl Backend for Server {
    fn address(&self) -> &str {
        &self.address
    }
}

impl Backend for Origin {
    fn address(&self) -> &str {
        &self.address
    }
}

fn pattern(turn: usize) -> Vec<u8> {
    (0..1 << (turn % 18)).map(|n| (n * 31 + turn) as u8).collect()
}

/// One client of TCP.
fn talk(kind: usize, turn: usize, main: &str, steady: &str) {
    let said = pattern(turn);
    match kind {
        // Before backends of which one stays: all of it, or nothing is lost but what a killed one took along.
        0 => match exchange(main, &said) {
            Ok(heard) => assert!(said.starts_with(&heard), "other bytes than were sent"),
            Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it hangs: {error}"),
        },
        // Before one that stays: all of it, always.
        1 => assert!(exchange(steady, &said).expect("nobody is reset") == said, "other bytes than were sent"),
        // Gone in the middle of it. That it could not say all of it is all the same.
        2 => {
            drop(vanish(if turn.is_multiple_of(2) { main } else { steady }, &said));
            thread::sleep(PAUSE);
        }
        // Nothing said, and ended.
        3 => {
            let stream = connect(steady);
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(std::io::copy(&mut &stream, &mut std::io::sink()).unwrap(), 0);
        }
        // One that stays for a while, and is asked again and again.
        _ => {
            let mut stream = connect(steady);
            (0..50).for_each(|_| round_trip(&mut stream, b"still there?"));
        }
    }
}

/// One client of HTTP.
fn ask(kind: usize, turn: usize, main: &str, steady: &str) {
    let said = pattern(turn);
    match kind {
        // Before backends of which one stays: always answered, since it may be asked of another.
        0 => {
            let mut client = Client::connect(main);
            (0..20).for_each(|_| client.expect_word());
        }
        // Before one that stays, with a body: all of it, always.
        1 => {
            let mut client = Client::connect(steady);
            let (status, body) = client.ask("POST", &said).expect("an answer");
            assert!(status == "HTTP/1.1 200 OK" && body == said, "{status}");
        }
        // A body before backends that are killed: all of it, or it is told that there is none.
        2 => {
            if let Some((status, body)) = Client::connect(main).ask("POST", &said) {
                assert!(!status.contains(" 200 ") || body == said, "other bytes than were sent");
            }
        }
        // Gone in the middle of a head, or of a body.
        3 => {
            let head = b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 100000\r\n\r\n and some of it";
            let most = turn % head.len();
            drop(vanish(if turn.is_multiple_of(2) { main } else { steady }, &head[..most]));
            thread::sleep(PAUSE);
        }
        // What is no HTTP is told so, and ended.
        _ => {
            let mut client = Client::connect(steady);
            client.say(b"GET / HTTP/1.1\r\nhost : h\r\n\r\n");
            let (status, _) = client.hear().expect("an answer");
            assert!(status.starts_with("HTTP/1.1 400 "), "{status}");
        }
    }
}

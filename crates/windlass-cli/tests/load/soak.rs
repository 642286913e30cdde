//! Hours in short: clients of every kind come and go, backends die and come back, files are read again.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::clients::*;
use crate::served::*;
use crate::server::*;

/// How long, unless `WINDLASS_SOAK` says so: as `90s`, or `10m`.
const USUALLY: Duration = Duration::from_secs(30);
/// What memory may grow by after a fifth of the time, in KiB.
const GROWTH_MAX: usize = 8 * 1024;
/// Clients of each kind at the same time, and those that stay.
const EACH: usize = 2;
const STAY: usize = 200;

fn length() -> Duration {
    let Ok(text) = std::env::var("WINDLASS_SOAK") else { return USUALLY };
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
fn a_soak_with_churn_leaves_nothing_behind() {
    allow_descriptors();
    let (main, steady, admin) = (free(), free(), free());
    let stays = backend("127.0.0.1:0");
    let (dies, nobody) = (free(), free());
    let text = |n: usize| {
        format!(
            "{LOG}[server]\nworkers = 2\n[admin]\nlisten = \"{admin}\"\n\
             [[proxy]]\nname = \"main\"\nlisten = \"{main}\"\nto = [\"{}\", \"{dies}\", \"{nobody}\"]\n\
             check_every = \"200ms\"\nconnect_timeout = \"{}s\"\n\
             [[proxy]]\nname = \"steady\"\nlisten = \"{steady}\"\nto = \"{}\"\n",
            stays.address,
            5 + n % 2,
            stays.address,
        )
    };
    let served = Served::start("soak", &text(0));
    let pid = served.pid();
    // The first of each kind make what all have.
    for address in [&main, &steady] {
        exchange(address, b"the first").expect("one of them answers");
    }
    let before = descriptors(pid);
    let mut stay: Vec<TcpStream> = (0..STAY).map(|_| connect(&steady)).collect();
    let over = Arc::new(AtomicBool::new(false));
    let counts: Arc<[AtomicU64; 5]> = Arc::default();
    let clients: Vec<_> = (0..5 * EACH)
        .map(|n| {
            let (main, steady, over, counts) = (main.clone(), steady.clone(), over.clone(), counts.clone());
            thread::spawn(move || {
                for turn in 0.. {
                    if over.load(Relaxed) {
                        return;
                    }
                    visit(n % 5, turn, &main, &steady);
                    counts[n % 5].fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    let (began, length) = (Instant::now(), length());
    let mut warm = None;
    for n in 1.. {
        if began.elapsed() >= length {
            break;
        }
        // It is killed in the middle of what it does, and is back some turns later.
        let victim = backend(&dies);
        round_trip(&mut stay[n % STAY], b"are you there?");
        thread::sleep(Duration::from_millis(700));
        drop(victim);
        assert!(served.reload(&text(n)), "{}", served.log());
        stay.iter_mut().for_each(|stream| round_trip(stream, b"still there?"));
        thread::sleep(Duration::from_millis(300));
        if warm.is_none() && began.elapsed() >= length / 5 {
            warm = Some(resident(pid));
        }
        assert!(!clients.iter().any(|client| client.is_finished()), "somebody has failed:\n{}", served.log());
    }
    let (warm, late) = (warm.expect("a fifth of the time has passed"), resident(pid));
    over.store(true, Relaxed);
    clients.into_iter().for_each(|client| client.join().expect("nobody failed"));
    drop(stay);
    let counts: Vec<u64> = counts.iter().map(|count| count.load(Relaxed)).collect();
    println!(
        "{length:?}: clients of each kind {counts:?}; {warm} KiB after a fifth of it, {late} in the end"
    );
    assert!(counts.iter().all(|count| *count > 10), "{counts:?}");
    assert!(late < warm + GROWTH_MAX, "{warm} KiB after a fifth of the time, {late} in the end");
    expect_rest(pid, &admin, before);
    served.stop();
}

/// One client of a kind.
fn visit(kind: usize, turn: usize, main: &str, steady: &str) {
    let said: Vec<u8> = (0..1 << (turn % 18)).map(|n| (n * 31 + turn) as u8).collect();
    match kind {
        // Before backends of which one stays: all of it, or nothing is lost but what a killed one took along.
        0 => match exchange(main, &said) {
            Ok(heard) => assert!(said.starts_with(&heard), "other bytes than were sent"),
            Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it hangs: {error}"),
        },
        // Before one that stays: all of it, always.
        1 => assert!(exchange(steady, &said).expect("nobody is reset") == said, "other bytes than were sent"),
        // Gone in the middle of it. That it could not say all of it is all the same.
        2 => drop(vanish(if turn.is_multiple_of(2) { main } else { steady }, &said)),
        // Nothing said, and ended.
        3 => {
            let stream = connect(steady);
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(std::io::copy(&mut &stream, &mut std::io::sink()).unwrap(), 0);
        }
        // Gone without a word.
        _ => drop(connect(main)),
    }
}
